"""What a session that still runs costs so far: the same engine and the same facts as its bill."""

from __future__ import annotations

import asyncio
from zoneinfo import ZoneInfo

from cms.app.catalogue import Catalogue
from cms.app.charging import Charging
from cms.app.ports import Clock, Store
from cms.domain.errors import InvalidValue
from cms.domain.folding import fold
from cms.domain.rating import Rating, rate
from cms.domain.reservation import reserved_time
from cms.domain.session import Session, SessionStatus
from cms.domain.settlement import active_from, active_usages
from cms.domain.tariff import Tariff
from cms.domain.transaction import TransactionEvent

_LONG_RECORD = 200
"""Events from which on folding and rating leave the event loop."""


class RunningPrices:
    def __init__(
        self, store: Store, catalogue: Catalogue, charging: Charging, clock: Clock
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._charging = charging
        self._clock = clock

    async def so_far(self, session: Session) -> Rating | None:
        """Rate an open session up to its last sample; None where nothing can be said yet."""
        tariff = self._charging.tariff(session)
        if tariff is None:
            return None
        if session.status is SessionStatus.RESERVED:
            held = reserved_time(session.held_from or session.started_at, self._clock())
            return rate(tariff, (), self._zone(session), reservation=held)
        events = [
            entry.frame.event
            for entry in await self._store.journal(session.id)
            if entry.frame.event is not None and not entry.frame.quarantined
        ]
        if len(events) < _LONG_RECORD:
            return self._rated(session, tariff, events)
        return await asyncio.to_thread(self._rated, session, tariff, events)

    def _rated(
        self, session: Session, tariff: Tariff, events: list[TransactionEvent]
    ) -> Rating | None:
        told = fold(events)
        since, active = session.held_from, active_from(session, told)
        if active is None or not told.readings:
            return None
        held = None if since is None else reserved_time(since, active)
        try:
            usages = active_usages(told, active)
            switches = self._charging.switches(session)
            return rate(tariff, usages, self._zone(session), reservation=held, switches=switches)
        except InvalidValue:
            return None

    def _zone(self, session: Session) -> ZoneInfo:
        site = self._catalogue.locations.get(session.location) if session.location else None
        return site.zone if site is not None else ZoneInfo("UTC")
