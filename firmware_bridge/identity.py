"""Giving a sensor another unit id, carefully: an id that two devices share takes both off the bus."""

import time

from firmware_bridge.errors import BridgeError
from firmware_bridge.frames import Request
from firmware_bridge.scan import Ask
from firmware_bridge.settings import SensorSettings
from firmware_bridge.transaction import Cause

_TRIES = 3
_SETTLE_S = 0.5


def change_id(ask: Ask, sensor: SensorSettings, new_id: int) -> str:
    """Write `new_id` into the sensor; returns what to do next. Raises BridgeError where it is refused.

    The new id is asked first, several times: whoever answers there, by value or exception, keeps it.
    """
    profile, rule = sensor.profile, sensor.profile.set_id
    if rule is None:
        raise BridgeError(f"{profile.name} has no register for its id: set it by the maker's own means")
    if not profile.link.first_device_id <= new_id <= profile.link.last_device_id:
        first, last = profile.link.first_device_id, profile.link.last_device_id
        raise BridgeError(f"id {new_id}: {profile.name} can have {first} to {last}")
    timeout_s = (profile.link.response_timeout_ms + profile.link.max_reply_delay_ms) / 1000
    address = profile.registers[rule.register].address
    read_old = Request(device_id=sensor.device_id, function=3, address=address)
    read_new = Request(device_id=new_id, function=3, address=address)
    if _answers(ask, read_new, timeout_s):
        raise BridgeError(f"a device answers at id {new_id} already: choose another id")
    if not _answers(ask, read_old, timeout_s):
        raise BridgeError(f"nothing answers at id {sensor.device_id}: look with `edged bus scan`")
    write = Request(device_id=sensor.device_id, function=6, address=address, value=new_id)
    written = ask(write, timeout_s)
    if written.cause is Cause.EXCEPTION:
        raise BridgeError(f"{sensor.name} refused the new id (exception {written.exception_code})")
    if rule.needs_restart:
        return f"{sensor.name} has taken id {new_id}. Power it off and on: then it answers there."
    time.sleep(_SETTLE_S)
    if not _answers(ask, read_new, timeout_s):
        raise BridgeError(f"{sensor.name} does not answer at {new_id}: look with `edged bus scan`")
    return f"{sensor.name} answers at id {new_id} now."


def _answers(ask: Ask, request: Request, timeout_s: float) -> bool:
    return any(ask(request, timeout_s).heard for _ in range(_TRIES))
