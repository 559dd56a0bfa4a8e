"""Long lists by pages: one page of what a query finds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

MOST_PAGES = 10_000
Line = TypeVar("Line")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Line]):
    """Some lines of a list; `number` counts from 1, `more` says that another page follows."""

    lines: list[Line]
    number: int
    more: bool

    def __iter__(self) -> Iterator[Line]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)


def fetch(
    connection: Connection, query: Any, number: int, size: int, line_of: Callable[[Any], Line]
) -> Page[Line]:
    """Return one page of an ordered query, each row made into a line."""
    rows = connection.execute(query.limit(size + 1).offset((number - 1) * size)).all()
    return Page(lines=[line_of(row) for row in rows[:size]], number=number, more=len(rows) > size)
