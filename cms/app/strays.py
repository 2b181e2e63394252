"""What chargers say that belongs to no session: kept for a person, with its bytes.

A stop without a start waits as a session of its own, which its start may yet complete.
"""

from __future__ import annotations

from dataclasses import replace

from cms.app import oddities
from cms.app.catalogue import Catalogue
from cms.app.places import Places
from cms.app.ports import Frame, Restored, Store
from cms.app.rows import journal_row
from cms.app.writes import Ack, PutSession, PutWorkItem, Write
from cms.domain.audit import WorkItem, WorkType
from cms.domain.errors import UnitRefused
from cms.domain.ids import StationId, TransactionId
from cms.domain.joining import Orphan, only_orphan
from cms.domain.session import Session, SessionStatus
from cms.domain.transaction import Flag, TransactionEvent


class Strays:
    """Keeps what nobody knows where to put, and the stops that wait for their start."""

    def __init__(self, store: Store, catalogue: Catalogue, places: Places) -> None:
        self._store = store
        self._catalogue = catalogue
        self._places = places
        self._orphans: dict[StationId, list[Orphan]] = {}

    def restore(self, kept: Restored) -> None:
        """Take up the stops that wait for their start."""
        for item in kept.open_work:
            if item.type is WorkType.ORPHAN_STOP and item.station is not None:
                orphans = self._orphans.setdefault(StationId(item.station), [])
                orphans += oddities.orphan_from(item)

    def stop_of(self, station: StationId, start: TransactionEvent) -> Orphan | None:
        """Return the one waiting stop that *start* fits."""
        return only_orphan(start, self._orphans.get(station, ()))

    def joined(self, station: StationId, orphan: Orphan) -> None:
        """A waiting stop has found its start."""
        self._orphans[station].remove(orphan)

    async def keep_stop(
        self,
        frame: Frame,
        transaction: TransactionId | None,
        event: TransactionEvent,
        ack: Ack,
    ) -> Ack:
        """Keep a stop without a start as a session of its own, which its start may yet complete."""
        station = frame.visit.station
        orphans = self._orphans.setdefault(station, [])
        if len(orphans) >= oddities.MOST_ORPHANS:
            item = oddities.many_orphans(frame)
            return await self.keep(frame, transaction, event, ack, item)
        orphan = oddities.waiting(event)
        session = Session(
            orphan.session,
            station,
            event.evse or self._places.evse(station, event, None),
            SessionStatus.INVALID,
            orphan.began_at,
            frame.received_at,
            event.id_token or "",
            location=self._places.location(station),
            ended_at=event.occurred_at,
            stop_wh=event.register_wh,
            last_wh=event.register_wh,
            stop_reason=event.reason,
            dialect=self._catalogue.record(station).dialect,
            flags=tuple(dict.fromkeys((Flag.ORPHAN_STOP, *event.flags))),
        )
        unit: list[Write] = [
            journal_row(frame, transaction, event, session.id, ack),
            PutSession(session),
            PutWorkItem(oddities.orphan_item(orphan, frame, transaction)),
        ]
        done = await self._store.commit(unit)
        if done.first is not None:
            return done.first
        orphans.append(orphan)
        return ack

    async def keep(
        self,
        frame: Frame,
        transaction: TransactionId | None,
        event: TransactionEvent | None,
        ack: Ack,
        item: WorkItem,
    ) -> Ack:
        """Keep a frame before a person, together with *item*."""
        row = replace(journal_row(frame, transaction, event, None, ack), quarantined=True)
        done = await self._store.commit([row, PutWorkItem(item)])
        return ack if done.first is None else done.first

    async def quarantine(
        self,
        frame: Frame,
        transaction: TransactionId | None,
        event: TransactionEvent | None,
        why: str,
        ack: Ack,
    ) -> Ack:
        """Keep a frame that could not be taken in for the reason *why*."""
        item = oddities.quarantined(frame, why, self._places.location(frame.visit.station))
        try:
            return await self.keep(frame, transaction, event, ack, item)
        except UnitRefused:  # what was read of it cannot be kept either; its bytes can
            bare = replace(frame, notes=())
            return await self.keep(bare, None, None, ack, item)
