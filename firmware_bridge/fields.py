"""Taking checked values out of a parsed TOML table, collecting faults instead of stopping at the first."""

from collections.abc import Mapping, Sequence
from typing import Any

from firmware_bridge.errors import Fault


class Fields:
    """One TOML table being read. Every `take` notes a fault and goes on with a harmless value."""

    def __init__(self, table: object, where: str, faults: list[Fault]) -> None:
        self.faults = faults
        self._where = where
        self._taken: set[str] = set()
        if not isinstance(table, Mapping):
            faults.append(Fault(key=where, got=table, remedy="write a table here"))
            table = {}
        self._table: Mapping[str, Any] = table

    def fault(self, key: str, got: object, remedy: str) -> None:
        self.faults.append(Fault(key=self._path(key), got=got, remedy=remedy))

    def text(self, key: str, *, default: str | None = None) -> str:
        value = self._take(key, default)
        if value is not None and not (isinstance(value, str) and (value or default is not None)):
            self.fault(key, value, "write a text in quotes")
            return ""
        return value or ""

    def integer(self, key: str, *, low: int, high: int, default: int | None = None) -> int:
        value = self._take(key, default)
        if value is None or (value is default and key not in self._table):
            return value if value is not None else low
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.fault(key, value, f"write a whole number from {low} to {high}")
            return low
        return value

    def number(self, key: str, *, low: float | None = None, default: float | None = None) -> float:
        value = self._take(key, default)
        if value is None:
            return low or 0.0
        finite = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12
        if not finite or (low is not None and value < low):
            self.fault(key, value, "write a number" + (f" of at least {low}" if low is not None else ""))
            return low or 0.0
        return float(value)

    def one_of(self, key: str, allowed: Sequence[Any], *, default: Any = None) -> Any:
        value = self._take(key, default)
        # 1 == True == 1.0 in Python, not in TOML
        if not any(
            value == item and isinstance(value, str) | (type(value) is type(item)) for item in allowed
        ):
            if value is not None or key in self._table:
                choices = ", ".join(
                    repr(str(item)) if isinstance(item, str) else str(item) for item in allowed
                )
                self.fault(key, value, f"write one of {choices}")
            return allowed[0] if allowed else ""
        return value

    def sections(self, key: str) -> "list[Fields]":
        self._taken.add(key)
        parts = self._table.get(key, [])
        if not isinstance(parts, list):
            self.fault(key, parts, f"write [[{self._path(key)}]] tables")
            return []
        return [Fields(part, f"{self._path(key)}[{index}]", self.faults) for index, part in enumerate(parts)]

    def raw(self, key: str, default: Any) -> Any:
        """The value as it is, for what is checked elsewhere."""
        return self._take(key, default)

    def mark(self, *keys: str) -> None:
        """Keys that are read elsewhere."""
        self._taken.update(keys)

    def refuse_unknown(self) -> None:
        for key in self._table:
            if key not in self._taken:
                known = ", ".join(sorted(self._taken))
                self.fault(key, self._table[key], f"unknown key: known here are {known}")

    def _take(self, key: str, default: Any) -> Any:
        self._taken.add(key)
        if key not in self._table and default is None:
            self.fault(key, None, "is missing: add it")
        return self._table.get(key, default)

    def _path(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key
