"""Where a site's wall clock passes given times of day, as UTC instants.

Daylight saving makes this worth a module: an hour that comes twice is passed twice, an hour that
is skipped never, and the jump itself is a passing too.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


def passings(
    start: datetime, end: datetime, times: Collection[time], zone: ZoneInfo
) -> list[datetime]:
    """Return the instants strictly between *start* and *end* where the wall clock may change sides.

    These are all passings of *times* and all jumps of the clock; sorted, UTC, without repeats.

    Args:
        start, end: aware.
        times: times of day on the site's wall clock.
    """
    found = set(_jumps(start, end, zone))
    day = start.astimezone(zone).date()
    last = end.astimezone(zone).date()
    while day <= last:
        for each in times:
            found |= _instants(day, each, zone)
        day += _DAY
    return sorted(at for at in found if start < at < end)


@lru_cache(maxsize=4096)
def _instants(day: date, wall: time, zone: ZoneInfo) -> frozenset[datetime]:
    """When the clock shows *wall* on *day*: twice where an hour comes twice. Kept, since sessions
    of one day pass the same few moments."""
    first = datetime.combine(day, wall, zone)
    return frozenset({first.astimezone(UTC), first.replace(fold=1).astimezone(UTC)})


def _jumps(start: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the instants in (start, end] at which the zone's offset changes."""
    jumps: list[datetime] = []
    here = start
    while here < end:
        there = min(here + _DAY, end)
        if _offset(here, zone) != _offset(there, zone):
            jumps.append(_jump_between(here, there, zone))
        here = there
    return jumps


def _jump_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Find the first whole second with the new offset. Jumps lie on whole seconds."""
    old = _offset(before, zone)
    low, high = before.astimezone(UTC).replace(microsecond=0), after.astimezone(UTC)
    while high - low > _SECOND:
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if middle == low:
            break
        if _offset(middle, zone) == old:
            low = middle
        else:
            high = middle
    return low + _SECOND


def _offset(at: datetime, zone: ZoneInfo) -> timedelta | None:
    return at.astimezone(zone).utcoffset()
