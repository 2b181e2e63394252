"""Energy and revenue per site and calendar day, as site owners ask for it.

A day is the site's own (its time zone), a bill counts on the day on which its session ended, and every
sum is the sum of the bills to the minor unit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol

from cms.domain.ids import LocationId


@dataclass(frozen=True, slots=True)
class SumQuery:
    """Which bills: of these sites (None = all), ended on these calendar days, both included."""

    first: date
    last: date
    sites: frozenset[LocationId] | None = None


@dataclass(frozen=True, slots=True)
class DaySum:
    """What one site's bills of one day and currency add up to.

    Attributes:
        location: None for bills whose site nobody knows any more; their days are UTC's.
        bills: how many, credits not counted.
        net, gross: in *currency*, credits subtracted.
    """

    location: LocationId | None
    day: date
    currency: str
    bills: int
    energy_wh: int
    net: Decimal
    gross: Decimal


class Sums(Protocol):
    def ledger(self) -> AsyncIterator[dict[str, object]]:
        """Yield sessions, bills, journal and work items as plain data, one line each."""

    async def sums(self, query: SumQuery) -> Sequence[DaySum]:
        """Return the sums in order of site, day and currency; days without a bill are absent."""
