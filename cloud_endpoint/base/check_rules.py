"""Limits of the plate check."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Chosen limits of the check."""

    reading_max_age_ms: int = 30 * 60_000  # a missed exit may have put another car there since
    reading_grace_ms: int = 4_000  # the pole reads each arrival anyway: do not ask while it does
    doubt_below: float = 0.99  # a differing character read with less confidence is a human's to judge
    max_captures: int = 3  # answered captures for one submission
    max_modifications: int = 3
