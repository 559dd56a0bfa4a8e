"""Distances along a street."""

from math import cos, hypot, radians

METRES_PER_DEGREE = 111_320.0


def distance_m(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """Return the distance of two nearby points in metres (equirectangular; fine below some km)."""
    north = (other_lat - lat) * METRES_PER_DEGREE
    east = (other_lon - lon) * METRES_PER_DEGREE * cos(radians((lat + other_lat) / 2))
    return hypot(north, east)
