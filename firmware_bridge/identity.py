"""Giving a sensor another unit id, carefully: an id that two devices share takes both off the bus."""

import time

from firmware_bridge.blocks import Part
from firmware_bridge.errors import BridgeError
from firmware_bridge.frames import Request
from firmware_bridge.scan import Ask
from firmware_bridge.setting_writes import write_of
from firmware_bridge.settings import SensorSettings
from firmware_bridge.transaction import Cause

_TRIES = 3
_SETTLE_S = 0.5


def change_id(ask: Ask, sensor: SensorSettings, new_id: int) -> str:
    """Write `new_id` into the sensor, read it back, and return what was proven and what to do next.

    The new id is asked first, several times: a device that answers there keeps it. Raises BridgeError where
    the change is refused, did not happen, or cannot be proven; the error says how to find out.
    """
    part = _id_register(sensor, new_id)
    timeout_s = sensor.response_timeout_s + sensor.max_reply_delay_s
    old_id = sensor.device_id
    if _value(ask, part, new_id, timeout_s) is not None:
        raise BridgeError(f"a device answers at id {new_id} already: choose another id")
    if _value(ask, part, old_id, timeout_s) is None:
        raise BridgeError(f"nothing answers at id {old_id}: look with `edged bus scan`")
    written = ask(write_of(part, new_id), timeout_s)
    if written.cause is Cause.EXCEPTION:
        raise BridgeError(f"{sensor.name} refused the new id (exception {written.exception_code})")
    time.sleep(_SETTLE_S)
    at_new, at_old = _value(ask, part, new_id, timeout_s), _value(ask, part, old_id, timeout_s)
    if at_new is not None and at_old is not None:
        raise BridgeError(
            f"ids {old_id} and {new_id} both answer: take one device off the line and scan again"
        )
    if at_new == new_id:
        return f"{sensor.name} answers at id {new_id} now."
    if at_new is None and at_old == new_id:
        return f"{sensor.name} has stored id {new_id}. Power it off and on: then it answers there."
    look = f"look with `edged bus scan --ids {old_id},{new_id}`"
    if at_new is None and at_old is None:
        raise BridgeError(
            f"{sensor.name} answers neither at {old_id} nor at {new_id}: power it off and on, {look}"
        )
    if at_new is None and _needs_restart(sensor):
        raise BridgeError(
            f"{sensor.name} still shows id {at_old}: it ignored the write, or shows it only after a restart. "
            f"Power it off and on, {look}"
        )
    if at_new is None:
        raise BridgeError(f"{sensor.name} ignored the write and keeps id {at_old}: is it locked by a switch?")
    raise BridgeError(f"id {new_id} answers, but its id register shows {at_new}: {look}")


def _id_register(sensor: SensorSettings, new_id: int) -> Part:
    profile, rule = sensor.profile, sensor.profile.set_id
    if rule is None:
        raise BridgeError(f"{profile.name} has no register for its id: set it by the maker's own means")
    if not profile.link.may_have(new_id):
        first, last = profile.link.device_ids
        raise BridgeError(f"id {new_id}: {profile.name} can have {first} to {last}")
    register, channel = profile.registers[rule.register_name], sensor.used_channels[0]
    place = profile.place(register, channel)
    return Part(
        sensor=sensor,
        name=rule.register_name,
        register=register,
        channel=channel,
        address=place.address,
        bit=place.bit,
    )


def _needs_restart(sensor: SensorSettings) -> bool:
    return sensor.profile.set_id is not None and sensor.profile.set_id.needs_restart


def _value(ask: Ask, part: Part, device_id: int, timeout_s: float) -> int | None:
    """What the id register shows at a unit id; -1 where a device answers there without showing it."""
    register = part.register
    request = Request(
        device_id=device_id,
        function=register.table.read_function,
        address=part.address,
        count=register.size,
    )
    for _ in range(_TRIES):
        outcome = ask(request, timeout_s)
        if outcome.cause is Cause.OK:
            return register.raw(outcome.values)
        if outcome.cause is Cause.EXCEPTION and not outcome.is_absence:
            return -1
    return None
