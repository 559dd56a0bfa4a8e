"""Settings that a device forgets without power: compared with what was wanted, and written again. Pure."""

from firmware_bridge.blocks import Part
from firmware_bridge.frames import Request
from firmware_bridge.registers import Table

_FIRST_REWRITE_PAUSE_S = 5.0
_LONGEST_REWRITE_PAUSE_S = 3600.0
_Place = tuple[int, Table, int]


class SettingWrites:
    """The settings of one bus, by unit and place."""

    def __init__(self) -> None:
        self._tries: dict[_Place, tuple[int, float]] = {}  # so often written, not again before
        self._names: dict[_Place, str] = {}
        self._counts: dict[int, int] = {}

    def check(self, part: Part, raw: int, now_s: float) -> Request | None:
        """The write that a reading calls for, if any. The setting is read back after it."""
        sensor = part.sensor
        rule = next((rule for rule in sensor.profile.reapply if rule.register_name == part.name), None)
        if rule is None:
            return None
        wanted = part.register.raw_of(sensor.reapply.get(part.name, rule.value))
        place = (sensor.device_id, part.register.table, part.address)
        if wanted is None or raw == wanted:
            self._tries.pop(place, None)
            return None
        # Some devices take a setting but never show it: they are written less and less often.
        tries, not_before_s = self._tries.get(place, (0, now_s))
        if now_s < not_before_s:
            return None
        pause_s = min(_FIRST_REWRITE_PAUSE_S * 2**tries, _LONGEST_REWRITE_PAUSE_S)
        self._tries[place], self._names[place] = (tries + 1, now_s + pause_s), part.name
        self._counts[sensor.device_id] = self.count(sensor.device_id) + 1
        return write_of(part, wanted)

    def count(self, device_id: int) -> int:
        """How often settings of a unit were written again."""
        return self._counts.get(device_id, 0)

    def unconfirmed(self, device_id: int) -> tuple[str, ...]:
        """Settings that were written more than once and still read otherwise."""
        tries = tuple(self._tries.items())
        names = {self._names[place] for place, (count, _) in tries if place[0] == device_id and count > 1}
        return tuple(sorted(names))


def write_of(part: Part, raw: int) -> Request:
    """The one request that writes a whole value: all words of it, in the register's order."""
    register = part.register
    values = (raw,) if register.table is Table.COILS else register.words(raw)
    default = 5 if register.table is Table.COILS else 6 if len(values) == 1 else 16
    return Request(
        device_id=part.sensor.device_id,
        function=register.write_function or default,
        address=part.address,
        values=values,
    )
