"""Prices begin and end by the clock: at that moment the sites that show them have changed.

Nothing in the network moves then, so this looks at the clock and puts the sites into the feed. How
far it has looked is durable: what began or ended while we were away is told when we are back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta

from cms.app.catalogue import Catalogue
from cms.app.live import LiveState
from cms.app.ports import Clock, Store
from cms.app.writes import PutDocument, Touch
from cms.domain.ids import LocationId, TariffId
from cms.domain.price_change import PriceChange
from cms.domain.price_plan import wall_times
from cms.domain.tariff import Tariff
from cms.domain.wallclock import passings

LOOK_EVERY_SECONDS = 15.0
_AFTER_SECONDS = 0.001
"""A clock that wakes us a moment early must not make us look twice."""

DOCUMENT = "ocpi.tariff_borders"


class Borders:
    def __init__(self, store: Store, live: LiveState, catalogue: Catalogue, clock: Clock) -> None:
        self._store = store
        self._live = live
        self._catalogue = catalogue
        self._clock = clock

    async def run(self) -> None:
        """Look at each border when it is reached, for ever."""
        while True:
            await asyncio.sleep(self.pause())
            await self.look()

    def pause(self) -> float:
        """Return the seconds until the next border, at most ``LOOK_EVERY_SECONDS``: prices are
        changed meanwhile, and clocks are set."""
        now = self._clock()
        until = now + timedelta(seconds=LOOK_EVERY_SECONDS)
        ahead = [at for at in self._borders(now, until) if now < at <= until]
        return (min(ahead, default=until) - now).total_seconds() + _AFTER_SECONDS

    def _borders(self, now: datetime, until: datetime) -> Iterator[datetime]:
        offers = self._catalogue.offers
        for change in self._changes():
            yield change.default
            yield from (each.at for each in change.moments)
        single = any(map(offers.reads_headline, self._catalogue.partners))
        for tariff in tuple(self._catalogue.tariffs.values()):
            yield from (at for at in (tariff.valid_from, tariff.valid_to) if at is not None)
            times = wall_times(tariff) if single else ()
            if times:
                for zone in offers.zones:
                    yield from passings(now, until, frozenset(times), zone)

    async def look(self) -> None:
        """Touch what shows another price than at the last look: sites, and single prices."""
        now, since = self._clock(), await self._since()
        if since is None:
            await self._store.commit([_seen(now)])
            return
        tariffs = set(self._begun(since, now)) | set(self._new_headlines(since, now))
        sites = set(self._sites(since, now))
        if not (tariffs or sites):
            return
        touches = [Touch("tariff", id) for id in sorted(tariffs)]
        touches += [Touch("location", site) for site in sorted(sites)]
        done = await self._store.commit([_seen(now), *touches])
        self._live.publish(done.touched)

    def _begun(self, since: datetime, now: datetime) -> Iterator[TariffId]:
        """Tariffs of changes that began: who could not be told ahead is told now."""
        for change in self._changes():
            if change.tariff in self._catalogue.tariffs and _begins(change, since, now):
                yield change.tariff

    def _sites(self, since: datetime, now: datetime) -> Iterator[LocationId]:
        for tariff in tuple(self._catalogue.tariffs.values()):
            if _between(tariff, since, now):
                yield from self._showing(tariff.id)
        for change in self._changes():
            yield from (each.location for each in change.moments if since < each.at <= now)
            if since < change.default <= now:
                yield from self._showing(change.tariff)

    def _new_headlines(self, since: datetime, now: datetime) -> Iterator[TariffId]:
        """Tariffs whose price of the moment has changed, where a partner reads nothing else."""
        offers = self._catalogue.offers
        if not any(map(offers.reads_headline, self._catalogue.partners)):
            return
        until = now + timedelta(microseconds=1)
        for tariff in tuple(self._catalogue.tariffs.values()):
            times = wall_times(tariff)
            if times and any(passings(since, until, times, zone) for zone in offers.zones):
                yield tariff.id

    def _changes(self) -> list[PriceChange]:
        changes = self._catalogue.offers.changes.values()
        return [each for each in changes if not each.withdrawn]

    def _showing(self, tariff: TariffId) -> Iterator[LocationId]:
        return (place.location.id for place in self._catalogue.connectors_with(tariff))

    async def _since(self) -> datetime | None:
        kept = (await self._store.documents(DOCUMENT)).get("seen")
        return None if kept is None else datetime.fromisoformat(kept.decode())


def _seen(now: datetime) -> PutDocument:
    return PutDocument(DOCUMENT, "seen", now.isoformat().encode())


def _begins(change: PriceChange, since: datetime, now: datetime) -> bool:
    moments = (change.default, *(each.at for each in change.moments))
    return any(since < at <= now for at in moments)


def _between(tariff: Tariff, since: datetime, now: datetime) -> bool:
    return any(at is not None and since < at <= now for at in (tariff.valid_from, tariff.valid_to))
