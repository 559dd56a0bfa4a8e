"""What a bus says of its port and its sensors, as findings: the same ones for health and for `edged diag`."""

from collections.abc import Iterator

from edged.domain.health import Finding, HealthStatus
from firmware_bridge import BusSnapshot, SensorSnapshot

_FAILED_SHARE = 0.02  # of a sensor's requests; a long cable in the rain loses that much
_SILENT = ("quarantined", "failing")


def findings_of(bus: BusSnapshot) -> Iterator[Finding]:
    """Yield the port's finding and one for each sensor; parts that work have the status `ok`."""
    part = f"bus {bus.bus}"
    if bus.port_error is not None:
        remedy = bus.port_remedy or "look at the adapter"
        yield Finding(where=part, status=HealthStatus.FAILED, cause=bus.port_error, remedy=remedy)
        return
    noise = f", {bus.noise_bytes} stray bytes" if bus.noise_bytes else ""
    yield Finding.sound(part, f"{bus.port} open{noise}")
    for sensor in bus.sensors:
        yield _of_sensor(sensor)


def _of_sensor(sensor: SensorSnapshot) -> Finding:
    part = f"sensor {sensor.sensor}"
    errors = ", ".join(f"{count} x {cause}" for cause, count in sensor.errors.items())
    if sensor.quality in _SILENT or not sensor.answers:
        return Finding(
            where=part,
            status=HealthStatus.FAILED,
            cause=f"does not answer at id {sensor.device_id}" + (f" ({errors})" if errors else ""),
            remedy="check its power, the A/B wires and its id: `edged bus watch`, `edged bus scan`",
        )
    faults = [channel.cause for channel in sensor.channels if channel.state == "fault"]
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
    if sum(sensor.errors.values()) > _FAILED_SHARE * sensor.requests:
        return Finding(
            where=part,
            status=HealthStatus.DEGRADED,
            cause=f"{seen}; {errors} in {sensor.requests} requests",
            remedy="check wiring, termination and shielding",
        )
    return Finding.sound(part, seen)
