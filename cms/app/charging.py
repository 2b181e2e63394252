"""Transactions: what chargers say of them becomes sessions, durable before it is acknowledged.

Every event is one unit of work: its raw frame with its key, and its effect. The key, not a lock,
makes a repetition harmless, and the repetition is told what was said the first time. Nothing that
a charger says is refused for being odd: it is kept, flagged, acknowledged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256

from cms.app import oddities
from cms.app.catalogue import Catalogue
from cms.app.charging_rules import ChargingRules
from cms.app.lanes import Lanes
from cms.app.late import Late
from cms.app.live import LiveState
from cms.app.open_sessions import OpenSessions
from cms.app.opening import Opening
from cms.app.places import Places
from cms.app.ports import Clock, Frame, Restored, Soon, StatusReport, Store
from cms.app.rows import evse_rows, journal_row, progress_row, touch
from cms.app.strays import Strays
from cms.app.terms import RemoteStarts, Terms, Tokens
from cms.app.writes import NO_ACK, Ack, PutSession, PutWorkItem, Write
from cms.domain import progress
from cms.domain.errors import UnitRefused
from cms.domain.folding import takes_power
from cms.domain.ids import SessionId, StationId, TransactionId
from cms.domain.joining import names_one, only_fit
from cms.domain.session import OPEN, Session, evolve_session
from cms.domain.status import ConnectorReport, EvseState
from cms.domain.switching import Switch
from cms.domain.tariff import Tariff
from cms.domain.token import Decision
from cms.domain.transaction import ChargingState, EventKind, Flag, TransactionEvent

Change = Callable[[Session], tuple[Session, Sequence[Write]] | None]
"""Returns a session as it shall be, with what else is to be written; None = leave it."""


class Charging:
    """Starts, samples and stops of every station.

    What belongs to a session is taken in here; ``Opening``, ``Late`` and ``Strays`` do the rest.

    Attributes:
        open: the sessions that have no bill yet, and who is told of them.
    """

    def __init__(
        self,
        store: Store,
        live: LiveState,
        catalogue: Catalogue,
        lanes: Lanes,
        tokens: Tokens,
        starts: RemoteStarts,
        clock: Clock,
        rules: ChargingRules = ChargingRules(),
    ) -> None:
        self._store = store
        self._live = live
        self._lanes = lanes
        self._terms = Terms(store, catalogue, tokens, starts, clock, rules.stale_after)
        self._places = Places(catalogue, live)
        self._clock = clock
        self.rules = rules
        self.open = OpenSessions(store, live, self._places)
        self._strays = Strays(store, catalogue, self._places)
        self._late = Late(store, self.open, self._terms, self._places)
        self._opening = Opening(
            store,
            live,
            catalogue,
            self.open,
            self._strays,
            self._late,
            self._terms,
            self._places,
            rules,
        )

    # -- restart, reading

    def restore(self, kept: Restored) -> None:
        """Take up open sessions with their tariffs, and orphan stops that wait for their start."""
        self._terms.restore(kept)
        self.open.restore(kept)
        self._strays.restore(kept)

    @property
    def terms(self) -> Terms:
        """Who pays what; for sessions that begin without a transaction."""
        return self._terms

    def tariff(self, session: Session) -> Tariff | None:
        """Return the tariff that was frozen when *session* started."""
        return self._terms.tariff(session)

    def switches(self, session: Session) -> Sequence[Switch]:
        """Return the tariffs that took its place while *session* ran, as they were then."""
        return self._terms.switches(session)

    def knows(self, session: SessionId, charging: ChargingState | None) -> bool:
        """Whether a status report's word on the flow of energy is nothing new."""
        if charging is None:
            return True
        known = self._live.session(session)
        return known is None or known.charging == takes_power(charging)

    # -- what stations say

    def authorize(self, station: StationId, id_token: str, evse: int | None) -> Soon[Decision]:
        """May this token charge at this station?"""
        return self._terms.authorize(station, id_token, evse)

    async def transaction(
        self, frame: Frame, transaction: TransactionId | None, event: TransactionEvent
    ) -> Ack:
        """Take in one event of one transaction; durable on return."""
        if frame.key is not None and (told := self.open.told.get(frame.key)) is not None:
            return told
        decision, station = None, frame.visit.station
        if event.id_token is not None:
            open_one = None if transaction is None else self.open.session_of(station, transaction)
            decision = await self._terms.decide(frame, event, open_one)
        async with self._lanes(station):
            return await self._safely(frame, transaction, event, decision)

    async def meter_values(
        self,
        frame: Frame,
        evse: int,
        transaction: TransactionId | None,
        event: TransactionEvent,
    ) -> None:
        """Take in samples. Those of an idle EVSE belong to no transaction and are not kept."""
        if event.evse is None and evse > 0:
            event = replace(event, evse=evse)
        station = frame.visit.station
        async with self._lanes(station):
            if transaction is None and self._fit(station, event) is None:
                return
            await self._safely(frame, transaction, event, None)

    async def status_reported(
        self,
        frame: Frame,
        status: StatusReport,
        session: SessionId,
        state: EvseState,
        writes: Sequence[Write],
    ) -> None:
        """Keep a status report of an EVSE with a running transaction. Called in the lane.

        Args:
            state: the EVSE as the report leaves it, not published yet.
            writes: by which the report itself becomes visible.
        """
        before = self._live.session(session)
        if before is None:
            done = await self._store.commit(writes)
            self._live.publish(done.touched, (state,))
            return
        event = TransactionEvent(
            EventKind.UPDATED,
            status.at or frame.received_at,
            frame.received_at,
            frame.key or sha256(frame.raw).digest(),
            evse=status.evse,
            connector=status.connector,
            charging=status.charging or _flow(status.report),
        )
        after = progress.progressed(before, event)
        unit: list[Write] = [
            replace(journal_row(frame, before.transaction, event, before.id), key=None),
            *writes,
            *self._progress_writes(before, after),
        ]
        done = await self._store.commit(unit)
        self.open.publish(after, done, (state,))

    async def keep(self, frame: Frame, why: str) -> Ack:
        """Keep transaction data that nobody could read, for a person."""
        async with self._lanes(frame.visit.station):
            return await self._strays.quarantine(frame, None, None, why, Ack(self.open.draw()))

    async def security_event(self, frame: Frame, kind: str, at: datetime, detail: str) -> None:
        """Keep what a station says of its own security, in the journal and before a person."""
        item = oddities.security(frame, kind, at, detail)
        async with self._lanes(frame.visit.station):
            await self._store.commit([journal_row(frame, None, None), PutWorkItem(item)])

    async def change(self, id: SessionId, how: Change) -> Session | None:
        """Change an open session for a reason of ours, in its station's lane.

        Returns the session as it is now; None if it is settled already or *how* wanted nothing.
        """
        session = self._live.session(id)
        if session is None:
            return None
        async with self._lanes(session.station):
            session = self._live.session(id)
            changed = None if session is None else how(session)
            if session is None or changed is None:
                return None
            after, writes = changed
            before = self._live.evse(session.ref)
            freed = before.session == id and not after.running
            state = before.with_session(None) if freed else before
            unit = [*writes, PutSession(after), *evse_rows(after, before, state)]
            done = await self._store.commit([*unit, touch(after)])
            self.open.publish(after, done, () if state is before else (state,))
            return after

    # -- where an event belongs

    async def _safely(
        self,
        frame: Frame,
        transaction: TransactionId | None,
        event: TransactionEvent,
        decision: Decision | None,
    ) -> Ack:
        try:
            session = self._told_again(frame.visit.station, transaction, event)
            if session is not None:
                return await self._continue(frame, session, event, decision)
            return await self._take(frame, transaction, event, decision)
        except UnitRefused as refused:
            ack = Ack(verdict=None if decision is None else decision.verdict)
            if event.kind is EventKind.STARTED and transaction is None:
                ack = replace(ack, transaction=self.open.draw())
            return await self._strays.quarantine(frame, transaction, event, str(refused), ack)

    def _told_again(
        self, station: StationId, transaction: TransactionId | None, event: TransactionEvent
    ) -> Session | None:
        """Return the open session that an event names; most events are of one."""
        if transaction is None or not (_named_by_charger(event) or names_one(transaction)):
            return None
        return self.open.session_of(station, transaction)

    async def _take(
        self,
        frame: Frame,
        transaction: TransactionId | None,
        event: TransactionEvent,
        decision: Decision | None,
    ) -> Ack:
        station = frame.visit.station
        if event.kind is EventKind.STARTED and transaction is None:
            return await self._start(frame, None, event, decision)
        theirs = _named_by_charger(event)
        if transaction is None or not (theirs or names_one(transaction)):
            return await self._nameless(frame, transaction, event, decision)
        if theirs and event.kind is EventKind.STARTED:
            return await self._start(frame, transaction, event, decision)
        kept = await self._store.session_of(station, transaction)
        if kept is not None:
            return await self._kept(frame, kept, event, decision)
        if theirs:
            return await self._start(frame, transaction, event, decision)
        return await self._nameless(frame, transaction, event, decision)

    async def _kept(
        self,
        frame: Frame,
        session: Session,
        event: TransactionEvent,
        decision: Decision | None,
    ) -> Ack:
        """Take in an event of a session that only the store knows: settled, as a rule.

        An open one was made durable while whoever waited for it was cancelled; it is taken up.
        """
        if session.status not in OPEN:
            return await self._late.after_end(frame, session, event, decision)
        self.open.take_up(session)
        return await self._continue(frame, session, event, decision)

    def _continue(
        self,
        frame: Frame,
        session: Session,
        event: TransactionEvent,
        decision: Decision | None,
    ) -> Awaitable[Ack]:
        match event.kind:
            case EventKind.UPDATED:
                return self._sample(frame, session, event, decision)
            case EventKind.STARTED:
                return self._opening.begin_late(frame, session, event, decision)
            case EventKind.ENDED:
                return self._end(frame, session, event, decision)

    # -- starts

    async def _start(
        self,
        frame: Frame,
        transaction: TransactionId | None,
        event: TransactionEvent,
        decision: Decision | None,
    ) -> Ack:
        try:
            return await self._opening.start(frame, transaction, event, decision)
        except UnitRefused:
            if transaction is None:
                raise
            kept = await self._store.session_of(frame.visit.station, transaction)
            if kept is None:
                raise
            return await self._kept(frame, kept, event, decision)

    # -- samples

    async def _sample(
        self,
        frame: Frame,
        session: Session,
        event: TransactionEvent,
        decision: Decision | None,
    ) -> Ack:
        ack = NO_ACK if decision is None else Ack(verdict=decision.verdict)
        if not session.running:
            return await self._late.note(frame, session, event, ack)
        if session.token is None and not session.id_token:
            start = self._terms.remote_start(session.station, event)
            if decision is not None or start is not None:
                return await self._opening.token_late(frame, session, event, decision, ack)
        after = progress.progressed(session, event)
        unit: list[Write] = [
            journal_row(frame, session.transaction, event, session.id, ack),
            *self._progress_writes(session, after),
        ]
        return await self.open.become(session, after, unit, ack)

    def _progress_writes(self, before: Session, after: Session) -> Sequence[Write]:
        """Return the small update, and the touch where one is due."""
        now = self._clock()
        every = self.rules.touch_for(before.owner) or self.rules.touch_every
        due = before.touched_at is None or now - before.touched_at >= every
        if before.status is not after.status or due:
            return (progress_row(after, now), touch(after))
        return (progress_row(after, after.touched_at),)

    # -- ends

    async def _end(
        self,
        frame: Frame,
        session: Session,
        event: TransactionEvent,
        decision: Decision | None,
    ) -> Ack:
        ack = Ack(verdict=None if decision is None else decision.verdict)
        if not session.running and session.stop_reason not in progress.CONCLUDED:
            if progress.same_end(session, event):
                return await self._late.note(frame, session, event, ack)
            return await self._late.conflict(frame, session, event, Flag.CONFLICTING_END, ack)
        after = progress.ended(session, event, frame.received_at + self.rules.settle_grace)
        after = evolve_session(after, touched_at=frame.received_at)
        before = self._live.evse(session.ref)
        state = before.with_session(None) if before.session == session.id else before
        unit: list[Write] = [
            journal_row(frame, session.transaction, event, session.id, ack),
            PutSession(after),
            *evse_rows(session, before, state),
            touch(after),
        ]
        return await self.open.become(
            session, after, unit, ack, () if state is before else (state,)
        )

    # -- without a transaction

    async def _nameless(
        self,
        frame: Frame,
        transaction: TransactionId | None,
        event: TransactionEvent,
        decision: Decision | None,
    ) -> Ack:
        """Take in an event of a transaction that nobody knows here."""
        station = frame.visit.station
        ack = Ack(verdict=None if decision is None else decision.verdict)
        if transaction is not None and self.open.foreign(station, transaction):
            return await self._strays.keep(
                frame, transaction, event, ack, oddities.foreign(frame, transaction)
            )
        session = self._fit(station, event)
        if session is not None:
            if transaction is not None or event.kind is EventKind.ENDED:
                event = replace(event, flags=(*event.flags, Flag.UNKNOWN_TRANSACTION))
            return await self._continue(frame, session, event, decision)
        if event.kind is EventKind.ENDED:
            return await self._strays.keep_stop(frame, transaction, event, ack)
        item = oddities.orphan_samples(frame, transaction, event)
        return await self._strays.keep(frame, transaction, event, ack, item)

    # -- helpers

    def _fit(self, station: StationId, event: TransactionEvent) -> Session | None:
        return only_fit(event, self.open.running(station))


# ---------------------------------------------------------------- small questions


def _named_by_charger(event: TransactionEvent) -> bool:
    """Whether the transaction's name is the charger's own, so that any text may be one."""
    return event.seq_no is not None or event.kind is EventKind.STARTED


def _flow(report: ConnectorReport) -> ChargingState | None:
    return ChargingState.CHARGING if report is ConnectorReport.CHARGING else None
