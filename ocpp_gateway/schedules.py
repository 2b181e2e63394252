"""Charging schedules on the wire: what both versions of OCPP write alike."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, Literal, Protocol

from cms.domain.charging_profile import (
    LONGEST_SECONDS,
    TENTH,
    ActiveSchedule,
    ChargingProfile,
    Period,
    RateUnit,
)

STACK_LEVEL: Final = 0
"""We never stack: what holds together we combine ourselves, into one profile of one level."""


class WirePeriod(Protocol):
    @property
    def startPeriod(self) -> int: ...
    @property
    def limit(self) -> float: ...


def unit_of(profile: ChargingProfile) -> Literal["A", "W"]:
    return "W" if profile.unit is RateUnit.WATTS else "A"


def kind_of(profile: ChargingProfile) -> Literal["Absolute", "Relative"]:
    """A profile without a start counts from the beginning of the charging."""
    return "Relative" if profile.start is None else "Absolute"


def schedule(
    unit: str,
    periods: Iterable[WirePeriod],
    start: datetime | None,
    duration: int | None,
    min_rate: float | None = None,
) -> ActiveSchedule | None:
    """Return a station's schedule; None where nothing of it can be used.

    Stations write limits with more digits than the one that OCPP allows; these are rounded.
    """
    found: dict[int, Period] = {}
    for each in periods:
        limit = rate(each.limit)
        if 0 <= each.startPeriod <= LONGEST_SECONDS and limit is not None:
            found[each.startPeriod] = Period(each.startPeriod, limit)
    if not found:
        return None
    length = duration if duration is not None and 0 < duration <= LONGEST_SECONDS else None
    least = None if min_rate is None else rate(min_rate)
    return ActiveSchedule(
        RateUnit(unit), tuple(found[at] for at in sorted(found)), start, length, least
    )


def rate(value: float) -> Decimal | None:
    """Return a limit with one decimal; None for what is none (negative, endless)."""
    if not 0 <= value <= 10**9:
        return None
    return Decimal(str(value)).quantize(TENTH, ROUND_HALF_UP)


def start_of(text: str) -> datetime | None:
    """Return an aware moment; None for what is none ("0" has been seen), or has no zone."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
