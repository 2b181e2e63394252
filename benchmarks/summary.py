"""The arithmetic of the benchmark: medians over rounds, percentiles, ratios, verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from math import ceil


class Bound(Enum):
    """On which side of its target a figure must lie."""

    AT_MOST = "<="
    AT_LEAST = ">="

    def holds(self, value: float, target: float) -> bool:
        return value <= target if self is Bound.AT_MOST else value >= target


def median(values: Sequence[float]) -> float:
    """Return the middle value, or the mean of the two in the middle.

    Raises:
        ValueError: there is none.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that *percent* of all do not exceed (nearest rank).

    Raises:
        ValueError: there are no values, or *percent* is not within 0 to 100.
    """
    if not values:
        raise ValueError("no values")
    if not 0 <= percent <= 100:
        raise ValueError(f"percent: expected 0 to 100, found {percent}")
    ordered = sorted(values)
    return ordered[max(ceil(len(ordered) * percent / 100), 1) - 1]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the rounds' ratios; round *n* of one belongs to round *n* of the other.

    A noisy neighbour slows both halves of a round, so the ratio of a round is steadier than the
    ratio of two medians.

    Raises:
        ValueError: the rounds do not pair up, or there are none.
    """
    return median([one / other for one, other in zip(ours, theirs, strict=True)])
