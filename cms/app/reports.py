"""Sums for site owners: energy and revenue per site and calendar day, equal to the bills' own sum."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from cms.app.catalogue import Catalogue
from cms.app.ports import CdrQuery, DatedCdr, Page, Store
from cms.domain.cdr import Cdr
from cms.domain.ids import LocationId

_PAGE = 500


@dataclass(frozen=True, slots=True)
class SumKey:
    """What is added up together: a site, one of its calendar days, a currency."""

    location: LocationId
    day: date
    currency: str


@dataclass(frozen=True, slots=True)
class Sums:
    """Totals of the bills of one key; a credit takes away.

    Attributes:
        energy_wh: of bills less that of credits.
        net, tax, gross: exact sums of what the bills say.
    """

    bills: int = 0
    energy_wh: int = 0
    net: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)
    gross: Decimal = Decimal(0)

    def plus(self, cdr: Cdr) -> Sums:
        net, gross = cdr.total.net.amount, cdr.total.gross.amount
        sign = -1 if cdr.credit else 1
        return Sums(
            self.bills + 1,
            self.energy_wh + sign * cdr.energy_wh,
            self.net + net,
            self.tax + gross - net,
            self.gross + gross,
        )


class Reports:
    def __init__(self, store: Store, catalogue: Catalogue) -> None:
        self._store = store
        self._catalogue = catalogue

    async def sums(
        self, sites: frozenset[LocationId] | None, first: date, last: date
    ) -> dict[SumKey, Sums]:
        """Add up the bills whose session ended on a day from *first* to *last*, both included.

        A day is the site's own calendar day, so a bill belongs to one day only, whatever the zone
        of who asks.

        Args:
            sites: whose; None = all.
        """
        found: dict[SumKey, Sums] = {}
        async for each in self.bills(sites, first, last):
            cdr = each.cdr
            key = SumKey(cdr.place.location, self._day(cdr), cdr.currency)
            if first <= key.day <= last:
                found[key] = found.get(key, Sums()).plus(cdr)
        return dict(sorted(found.items(), key=lambda item: (item[0].day, item[0].location)))

    async def bills(
        self, sites: frozenset[LocationId] | None, first: date, last: date
    ) -> AsyncIterator[DatedCdr]:
        """Walk all bills that may fall on these days somewhere on Earth, page by page."""
        query = CdrQuery(
            sites=sites,
            ended_from=_utc(first) - timedelta(hours=14),
            ended_to=_utc(last) + timedelta(hours=24 + 12),
            page=Page(limit=_PAGE),
        )
        while True:
            page, total = await self._store.cdrs(query)
            for each in page:
                yield each
            query = replace(query, page=Page(query.page.offset + _PAGE, _PAGE))
            if query.page.offset >= total or not page:
                return

    def _day(self, cdr: Cdr) -> date:
        site = self._catalogue.locations.get(cdr.place.location)
        if site is None:
            return cdr.ended_at.date()
        return cdr.ended_at.astimezone(site.zone).date()


def _utc(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
