"""Tariffs begin and end by the clock: at that moment the sites that show them have changed.

Nothing in the network moves then, so this looks at the clock and puts the sites into the feed. How
far it has looked is durable: what began or ended while we were away is told when we are back.
"""

from __future__ import annotations

from datetime import datetime

from cms.app.catalogue import Catalogue
from cms.app.live import LiveState
from cms.app.ports import Clock, Store
from cms.app.writes import PutDocument, Touch
from cms.domain.tariff import Tariff

LOOK_EVERY_SECONDS = 15.0
DOCUMENT = "ocpi.tariff_borders"


class Borders:
    def __init__(self, store: Store, live: LiveState, catalogue: Catalogue, clock: Clock) -> None:
        self._store = store
        self._live = live
        self._catalogue = catalogue
        self._clock = clock

    async def look(self) -> None:
        """Touch the sites at which a tariff has begun or ended since the last look."""
        now, since = self._clock(), await self._since()
        if since is None:
            await self._store.commit([_seen(now)])
            return
        passed = [
            tariff for tariff in self._catalogue.tariffs.values() if _between(tariff, since, now)
        ]
        if not passed:
            return
        sites = {
            place.location.id
            for tariff in passed
            for place in self._catalogue.connectors_with(tariff.id)
        }
        touches = [Touch("location", site) for site in sorted(sites)]
        done = await self._store.commit([_seen(now), *touches])
        self._live.publish(done.touched)

    async def _since(self) -> datetime | None:
        kept = (await self._store.documents(DOCUMENT)).get("seen")
        return None if kept is None else datetime.fromisoformat(kept.decode())


def _seen(now: datetime) -> PutDocument:
    return PutDocument(DOCUMENT, "seen", now.isoformat().encode())


def _between(tariff: Tariff, since: datetime, now: datetime) -> bool:
    return any(at is not None and since < at <= now for at in (tariff.valid_from, tariff.valid_to))
