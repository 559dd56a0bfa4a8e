"""Whether the outline of a berth encloses anything."""

from collections.abc import Sequence
from itertools import combinations

Point = tuple[int, int]


def outline_fault(polygon: Sequence[Point]) -> str | None:
    """Return what is wrong with an outline (px), as a remedy; None when it is a plain polygon."""
    corners = list(polygon)
    sides = list(zip(corners, corners[1:] + corners[:1], strict=True))
    if any(_cross(*one, *other) for one, other in combinations(sides, 2)):
        return "its sides cross each other; name the corners in order around the berth"
    if sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in sides) == 0:
        return "encloses nothing; name the corners in order around the berth"
    return None


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether ab and cd cut through each other; to touch is no fault."""
    return _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0


def _turn(a: Point, b: Point, c: Point) -> int:
    """Return > 0 where c lies to one side of ab, < 0 to the other, 0 on its line."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
