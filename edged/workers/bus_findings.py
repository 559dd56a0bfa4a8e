"""What a bus says of its port and its sensors, as findings: the same ones for health and for `edged diag`."""

from collections.abc import Iterator

from edged.domain.health import Finding, HealthStatus
from firmware_bridge import BusSnapshot, BusTrouble, SensorSnapshot

_FAILED_SHARE = 0.02  # of a sensor's requests; a long cable in the rain loses that much
_FAILED_FROM = 3  # one lost reply of the first ten says nothing about the wiring
_SILENT = ("quarantined", "failing")


def findings_of(bus: BusSnapshot) -> Iterator[Finding]:
    """Yield the port's finding and one for each sensor; parts that work have the status `ok`.

    All is judged by the last minutes: a sensor that has healed is well, however long it was away.
    """
    part = f"bus {bus.bus}"
    if bus.port_error is not None:
        remedy = bus.port_remedy or "look at the adapter"
        yield Finding(where=part, status=HealthStatus.FAILED, cause=bus.port_error, remedy=remedy)
        return
    names = {sensor.sensor for sensor in bus.sensors}
    # a trouble of all sensors is the line's; that of an only sensor is shown with the sensor
    of_bus = [
        trouble
        for trouble in bus.troubles
        if not trouble.sensors or (len(names) > 1 and names == set(trouble.sensors))
    ]
    if of_bus:
        status = HealthStatus.FAILED if of_bus[0].sensors else HealthStatus.DEGRADED
        yield Finding(where=part, status=status, cause=of_bus[0].cause, remedy=of_bus[0].remedy)
    else:
        noise = f", {bus.noise_bytes} stray bytes" if bus.noise_bytes else ""
        yield Finding.sound(part, f"{bus.port} open{noise}")
    troubles = {name: trouble for trouble in reversed(bus.troubles) for name in trouble.sensors}
    for sensor in bus.sensors:
        yield _of_sensor(sensor, troubles.get(sensor.sensor))


def _of_sensor(sensor: SensorSnapshot, trouble: BusTrouble | None) -> Finding:
    part = f"sensor {sensor.sensor}"
    errors = ", ".join(f"{count} x {cause}" for cause, count in sensor.recent_errors.items())
    if sensor.quality in _SILENT or not sensor.recent_answers:
        known = f"does not answer at id {sensor.device_id}" + (f" ({errors})" if errors else "")
        remedy = "check its power, the A/B wires and its id: `edged bus watch`, `edged bus scan`"
        cause = known if trouble is None else trouble.cause
        remedy = remedy if trouble is None else trouble.remedy
        return Finding(where=part, status=HealthStatus.FAILED, cause=cause, remedy=remedy)
    faults = [channel.cause for channel in sensor.channels if channel.state == "fault"]
    if trouble is not None:
        status = HealthStatus.FAILED if faults else HealthStatus.DEGRADED
        return Finding(where=part, status=status, cause=trouble.cause, remedy=trouble.remedy)
    if faults:
        return Finding(
            where=part,
            status=HealthStatus.FAILED,
            cause=f"answers and reports a fault: {', '.join(faults)}",
            remedy="look at the sensor and its loop or aim; see the maker's manual",
        )
    states = ", ".join(f"{channel.state or 'unknown'}" for channel in sensor.channels)
    reply = f" in {sensor.reply_p50_ms:.0f} ms" if sensor.reply_p50_ms else ""
    seen = f"{states}; answers{reply}"
    failed = sum(sensor.recent_errors.values())
    if failed >= _FAILED_FROM and failed > _FAILED_SHARE * sensor.recent_requests:
        return Finding(
            where=part,
            status=HealthStatus.DEGRADED,
            cause=f"{seen}; {errors} in {sensor.recent_requests} requests",
            remedy="check wiring, termination and shielding",
        )
    return Finding.sound(part, seen)
