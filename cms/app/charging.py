"""Transactions: what chargers say of them becomes sessions, durable before it is acknowledged.

Every event is one unit of work: its raw frame with its key, and its effect. The key, not a lock,
makes a repetition harmless, and the repetition is told what was said the first time. Nothing that
a charger says is refused for being odd: it is kept, flagged, acknowledged.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from cms.app import oddities
from cms.app.catalogue import Catalogue
from cms.app.lanes import Lanes
from cms.app.live import LiveState
from cms.app.places import Places
from cms.app.ports import Clock, Frame, Restored, Soon, StatusReport, Store
from cms.app.rows import (
    evse_rows,
    interruption_rows,
    journal_row,
    note_rows,
    progress_row,
    touch,
)
from cms.app.terms import RemoteStarts, Terms, Tokens, start_flags
from cms.app.writes import (
    NO_ACK,
    Ack,
    CommandRecord,
    Committed,
    JoinSession,
    PutCommand,
    PutSession,
    PutWorkItem,
    Write,
)
from cms.domain import progress
from cms.domain.audit import WorkItem, WorkType
from cms.domain.errors import UnitRefused
from cms.domain.folding import takes_power
from cms.domain.ids import (
    EvseRef,
    PartnerId,
    SessionId,
    StationId,
    TransactionId,
    new_session_id,
)
from cms.domain.joining import Orphan, names_one, only_fit, only_orphan
from cms.domain.reservation import Reservation
from cms.domain.session import OPEN, Session, SessionStatus, evolve_session
from cms.domain.status import ConnectorReport, EvseState, evolve_evse
from cms.domain.switching import Switch
from cms.domain.tariff import Tariff
from cms.domain.token import Decision
from cms.domain.transaction import ChargingState, EventKind, Flag, TransactionEvent

_DRAWS = 8


@dataclass(frozen=True, slots=True)
class ChargingRules:
    """What the operator may choose.

    Attributes:
        settle_grace: how long after a stop late samples are waited for.
        touch_every: a running session is told to its partner at most so often ...
        touch_for: ... unless this says otherwise for that partner.
        stale_after: a start older than this never waits for a partner.
        interrupted_hold: how long the real stop of a transaction that was cut off is waited for.
    """

    settle_grace: timedelta = timedelta()
    touch_every: timedelta = timedelta(seconds=15)
    touch_for: Callable[[PartnerId | None], timedelta | None] = lambda owner: None
    stale_after: timedelta = timedelta(minutes=5)
    interrupted_hold: timedelta = timedelta(minutes=15)


Change = Callable[[Session], tuple[Session, Sequence[Write]] | None]
"""Returns a session as it shall be, with what else is to be written; None = leave it."""


def _ignore(session: Session) -> None:
    """Nobody is interested."""


class Charging:
    """Starts, samples and stops of every station.

    Attributes:
        on_stopped: told of every session that stopped, or got a late fact, after the commit.
        on_progress: told of every running session that began or got samples, after the commit.
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
        self._catalogue = catalogue
        self._lanes = lanes
        self._terms = Terms(store, catalogue, tokens, starts, clock, rules.stale_after)
        self._places = Places(catalogue, live)
        self._clock = clock
        self.rules = rules
        self._open: dict[StationId, dict[TransactionId, SessionId]] = {}
        self._owners: dict[TransactionId, StationId] = {}
        self._acks: dict[bytes, Ack] = {}
        self._keys: dict[SessionId, bytes] = {}
        self._orphans: dict[StationId, list[Orphan]] = {}
        self.on_stopped: Callable[[Session], None] = _ignore
        self.on_progress: Callable[[Session], None] = _ignore

    # -- restart, reading

    def restore(self, kept: Restored) -> None:
        """Take up open sessions with their tariffs, and orphan stops that wait for their start."""
        self._terms.restore(kept)
        for session in sorted(kept.open_sessions, key=lambda each: each.started_at):
            self._remember(session)
            self._live.put_session(session)
            if session.running and self._places.known(session.ref):
                state = self._live.evse(session.ref).with_session(session.id)
                self._live.put(replace(state, meter=progress.meter(session)))
        for item in kept.open_work:
            if item.type is WorkType.ORPHAN_STOP and item.station is not None:
                orphans = self._orphans.setdefault(StationId(item.station), [])
                orphans += oddities.orphan_from(item)

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

    def running(self, station: StationId) -> Iterable[Session]:
        """Running sessions of a station."""
        for id in tuple(self._open.get(station, {}).values()):
            session = self._live.session(id)
            if session is not None and session.running:
                yield session

    def session_of(self, station: StationId, transaction: TransactionId) -> Session | None:
        """Return an open session by what its charger calls it."""
        id = self._open.get(station, {}).get(transaction)
        return None if id is None else self._live.session(id)

    def knows(self, session: SessionId, charging: ChargingState | None) -> bool:
        """Whether a status report's word on the flow of energy is nothing new."""
        if charging is None:
            return True
        known = self._live.session(session)
        return known is None or known.charging == takes_power(charging)

    def settled(self, session: Session) -> None:
        """Forget a session that has its bill (or will never have one)."""
        self._live.drop_session(session.id)
        transactions = self._open.get(session.station)
        if transactions is not None and session.transaction is not None:
            transactions.pop(session.transaction, None)
            self._owners.pop(session.transaction, None)
            if not transactions:
                del self._open[session.station]
        self._acks.pop(self._keys.pop(session.id, b""), None)

    # -- what stations say

    def authorize(self, station: StationId, id_token: str, evse: int | None) -> Soon[Decision]:
        """May this token charge at this station?"""
        return self._terms.authorize(station, id_token, evse)

    async def transaction(
        self, frame: Frame, transaction: TransactionId | None, event: TransactionEvent
    ) -> Ack:
        """Take in one event of one transaction; durable on return."""
        if frame.key is not None and (told := self._acks.get(frame.key)) is not None:
            return told
        decision, station = None, frame.visit.station
        if event.id_token is not None:
            open_one = None if transaction is None else self.session_of(station, transaction)
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
        self._publish(after, done, (state,))

    async def keep(self, frame: Frame, why: str) -> Ack:
        """Keep transaction data that nobody could read, for a person."""
        async with self._lanes(frame.visit.station):
            return await self._quarantine(frame, None, None, why, Ack(self._draw()))

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
            self._publish(after, done, () if state is before else (state,))
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
                ack = replace(ack, transaction=self._draw())
            return await self._quarantine(frame, transaction, event, str(refused), ack)

    def _told_again(
        self, station: StationId, transaction: TransactionId | None, event: TransactionEvent
    ) -> Session | None:
        """Return the open session that an event names; most events are of one."""
        if transaction is None or not (_named_by_charger(event) or names_one(transaction)):
            return None
        return self.session_of(station, transaction)

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
            return await self._after_end(frame, session, event, decision)
        self._remember(session)
        self._live.put_session(session)
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
                return self._begin_late(frame, session, event, decision)
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
        """Open a session; with *transaction* None the number is ours to draw."""
        station = frame.visit.station
        orphan = only_orphan(event, self._orphans.get(station, ()))
        for _ in range(_DRAWS):
            named = transaction if transaction is not None else self._draw()
            ack = Ack(
                None if transaction is not None else named,
                None if decision is None else decision.verdict,
                _group(decision),
            )
            try:
                return await self._open_session(frame, named, event, decision, ack, orphan)
            except UnitRefused:
                if transaction is None:
                    continue  # another transaction has the number that we drew
                kept = await self._store.session_of(station, transaction)
                if kept is None:
                    raise
                return await self._kept(frame, kept, event, decision)
        raise UnitRefused("no transaction number is free")

    async def _open_session(
        self,
        frame: Frame,
        transaction: TransactionId,
        event: TransactionEvent,
        decision: Decision | None,
        ack: Ack,
        orphan: Orphan | None,
    ) -> Ack:
        held = None if orphan else self._terms.reservation(frame.visit.station, event, decision)
        start = self._terms.remote_start(frame.visit.station, event, held)
        session = self._new_session(frame, transaction, event, decision, start, orphan, held)
        before = self._live.evse(session.ref)
        takes_evse = session.running and self._takes_evse(session, before, frame)
        state = before.with_session(session.id) if takes_evse else before
        state, others = self._let_go(held, session, state)
        used = self._terms.used(held, session)
        command = self._terms.started(start, session)
        interrupted = self._interrupted(before, frame) if takes_evse else None
        unit: list[Write] = [journal_row(frame, transaction, event, session.id, ack)]
        unit += self._terms.keep_tariff(session)
        unit += () if interrupted is None else interruption_rows(interrupted, frame)
        unit.append(PutSession(session))
        unit += note_rows(frame, event, decision, session)
        unit += () if command is None else (PutCommand(command),)
        unit += () if orphan is None else (oddities.orphan_joined(orphan, frame),)
        unit += evse_rows(session, before, state)
        unit += [row for was, now in others for row in evse_rows(session, was, now)]
        unit += (*used, touch(session))
        done = await self._store.commit(unit)
        if done.first is not None:
            return done.first
        self._terms.tariff_kept(session)
        self._terms.reservations_used(used)
        if orphan is not None:
            self._orphans[frame.visit.station].remove(orphan)
        if interrupted is not None:
            self._live.put_session(interrupted)
            self.on_stopped(interrupted)
        self._terms.came_true(command)
        if frame.key is not None:
            self._acks[frame.key] = ack
            self._keys[session.id] = frame.key
        self._remember(session)
        changed = () if state is before else (state,)
        self._publish(session, done, (*changed, *(now for _, now in others)))
        return ack

    def _let_go(
        self, held: Reservation | None, session: Session, state: EvseState
    ) -> tuple[EvseState, Sequence[tuple[EvseState, EvseState]]]:
        """Return the EVSE of a session without the reservation that it uses, and each other EVSE
        that was held for it, before and after."""
        if held is None:
            return state, ()
        if state.reservation == held.id:
            state = state.with_reservation(None)
        others = [each for each in self._live.station(session.station) if each.ref != session.ref]
        return state, [
            (each, each.with_reservation(None)) for each in others if each.reservation == held.id
        ]

    def _new_session(
        self,
        frame: Frame,
        transaction: TransactionId,
        event: TransactionEvent,
        decision: Decision | None,
        start: CommandRecord | None,
        orphan: Orphan | None,
        held: Reservation | None,
    ) -> Session:
        station = frame.visit.station
        evse = self._places.evse(station, event, start)
        connector = event.connector or (start.connector if start else None)
        ref = EvseRef(station, evse)
        begun = event.kind is EventKind.STARTED
        session = Session(
            orphan.session if orphan is not None else new_session_id(frame.received_at),
            station,
            evse,
            SessionStatus.PENDING,
            event.occurred_at,
            frame.received_at,
            event.id_token or "",
            transaction,
            connector=connector,
            location=self._places.location(station),
            start_wh=progress.begin_register(event),
            dialect=self._catalogue.record(station).dialect,
            flags=start_flags(event, decision, begun),
        )
        session = self._terms.owned(
            session, decision, start, self._places.connector(ref, connector)
        )
        session = progress.progressed(session, event, paid_before=False)
        session = evolve_session(session, last_wh=session.last_wh or session.start_wh)
        if held is not None:
            session = self._in_place_of(held, session, event.occurred_at)
        if event.kind is EventKind.ENDED:
            session = progress.ended(session, event, self._settle_after(frame))
        elif orphan is not None:
            session = progress.reunited(session, orphan, self._settle_after(frame))
        return evolve_session(session, touched_at=frame.received_at)

    def _in_place_of(self, held: Reservation, session: Session, at: datetime) -> Session:
        """Return *session* as what the reservation that it uses became: the same session goes on.

        The price is that of the moment at which this EVSE was reserved. A reservation is never
        followed by something pending: its driver is known and is here.

        Args:
            at: when it was used.
        """
        before = None if held.session is None else self._live.session(held.session)
        status = session.status
        session = evolve_session(
            session,
            status=SessionStatus.ACTIVE if status is SessionStatus.PENDING else status,
            reservation=held.id,
            held_from=held.held_at or session.started_at,
            activated_at=session.activated_at or at,
        )
        if before is None:
            return session
        session = evolve_session(session, id=before.id, received_at=before.received_at)
        if held.hold.evse != session.evse or before.tariff is None:
            return session
        return evolve_session(session, tariff=before.tariff, currency=before.currency)

    async def _begin_late(
        self,
        frame: Frame,
        session: Session,
        event: TransactionEvent,
        decision: Decision | None,
    ) -> Ack:
        """Take in a start whose later events came first, or one that came in other words."""
        ack = Ack(verdict=None if decision is None else decision.verdict)
        if Flag.SEQ_GAP not in session.flags:
            if progress.same_start(session, event):
                return await self._note_late(frame, session, event, ack)
            return await self._conflict(frame, session, event, Flag.CONFLICTING_START, ack)
        start = self._terms.remote_start(frame.visit.station, event)
        after = progress.begun(session, event)
        if not after.evse:
            after = evolve_session(after, evse=self._places.evse(after.station, event, start))
        if decision is not None or session.token is None:
            connector = self._places.connector(after.ref, after.connector)
            after = self._terms.owned(after, decision, start, connector)
        after = progress.begun_with(after, event)
        return await self._put_owned(frame, after, event, decision, ack)

    async def _put_owned(
        self,
        frame: Frame,
        after: Session,
        event: TransactionEvent,
        decision: Decision | None,
        ack: Ack,
    ) -> Ack:
        """Replace a session that only now learns where it began or who pays."""
        start = self._terms.remote_start(frame.visit.station, event)
        command = self._terms.started(start, after)
        before = self._live.evse(after.ref)
        free = after.running and before.session is None
        shown = free and self._takes_evse(after, before, frame)
        state = before.with_session(after.id) if shown else before
        after = evolve_session(after, touched_at=frame.received_at)
        unit: list[Write] = [journal_row(frame, after.transaction, event, after.id, ack)]
        unit += self._terms.keep_tariff(after)
        unit += [PutSession(after), *note_rows(frame, event, decision, after)]
        unit += () if command is None else (PutCommand(command),)
        unit += evse_rows(after, before, state)
        unit.append(touch(after))
        done = await self._store.commit(unit)
        if done.first is not None:
            return await self._again(after, done.first)
        self._terms.tariff_kept(after)
        self._terms.came_true(command)
        self._publish(after, done, () if state is before else (state,))
        return ack

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
            return await self._note_late(frame, session, event, ack)
        if session.token is None and not session.id_token:
            start = self._terms.remote_start(session.station, event)
            if decision is not None or start is not None:
                return await self._token_late(frame, session, event, decision, ack)
        after = progress.progressed(session, event)
        unit: list[Write] = [
            journal_row(frame, session.transaction, event, session.id, ack),
            *self._progress_writes(session, after),
        ]
        return await self._become(session, after, unit, ack)

    async def _token_late(
        self,
        frame: Frame,
        session: Session,
        event: TransactionEvent,
        decision: Decision | None,
        ack: Ack,
    ) -> Ack:
        """Who pays comes after plugging in: a token is shown, or a remote start is named."""
        here = replace(event, evse=event.evse or session.evse or None)
        held = self._terms.reservation(frame.visit.station, here, decision)
        start = self._terms.remote_start(frame.visit.station, event, held)
        tag = event.id_token or ("" if start is None else start.presented or start.id_token)
        after = evolve_session(session, id_token=tag or "")
        connector = self._places.connector(after.ref, after.connector)
        after = self._terms.owned(after, decision, start, connector, at=event.occurred_at)
        after = progress.progressed(after, event, paid_before=False)
        after = evolve_session(
            after, flags=after.flagged(*start_flags(event, decision, begun=True))
        )
        if held is not None:
            return await self._join_reserved(frame, session, after, event, decision, ack, held)
        return await self._put_owned(frame, after, event, decision, ack)

    async def _join_reserved(
        self,
        frame: Frame,
        before: Session,
        after: Session,
        event: TransactionEvent,
        decision: Decision | None,
        ack: Ack,
        held: Reservation,
    ) -> Ack:
        """The car came first, and only now we hear that it is the one whose EVSE was reserved.

        Its owner knows the session by the reservation's id; what nobody else has heard of goes on
        under it, with everything that was journalled.
        """
        after = self._in_place_of(held, after, event.occurred_at)
        after = evolve_session(after, touched_at=frame.received_at)
        start = self._terms.remote_start(frame.visit.station, event, held)
        command, used = self._terms.started(start, after), self._terms.used(held, after)
        was = self._live.evse(after.ref)
        state = was.with_session(after.id) if was.session == before.id else was
        state, others = self._let_go(held, after, state)
        unit: list[Write] = [journal_row(frame, after.transaction, event, after.id, ack)]
        unit += () if after.id == before.id else (JoinSession(before.id, after.id),)
        unit += self._terms.keep_tariff(after)
        unit += [PutSession(after), *note_rows(frame, event, decision, after)]
        unit += () if command is None else (PutCommand(command),)
        unit += evse_rows(after, was, state)
        unit += [row for old, new in others for row in evse_rows(after, old, new)]
        unit += (*used, touch(after))
        done = await self._store.commit(unit)
        if done.first is not None:
            return await self._again(before, done.first)
        self._terms.tariff_kept(after)
        self._terms.reservations_used(used)
        self._terms.came_true(command)
        if after.id != before.id:
            self._live.drop_session(before.id)
            self._keys[after.id] = self._keys.pop(before.id, b"")
        self._remember(after)
        changed = () if state is was else (state,)
        self._publish(after, done, (*changed, *(new for _, new in others)))
        return ack

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
                return await self._note_late(frame, session, event, ack)
            return await self._conflict(frame, session, event, Flag.CONFLICTING_END, ack)
        after = progress.ended(session, event, self._settle_after(frame))
        after = evolve_session(after, touched_at=frame.received_at)
        before = self._live.evse(session.ref)
        state = before.with_session(None) if before.session == session.id else before
        unit: list[Write] = [
            journal_row(frame, session.transaction, event, session.id, ack),
            PutSession(after),
            *evse_rows(session, before, state),
            touch(after),
        ]
        return await self._become(session, after, unit, ack, () if state is before else (state,))

    # -- what comes late, twice or contradicts

    async def _become(
        self,
        session: Session,
        after: Session,
        unit: Sequence[Write],
        ack: Ack,
        states: Sequence[EvseState] = (),
    ) -> Ack:
        """Make *unit* durable and show what *session* became; a repetition gets the first answer."""
        done = await self._store.commit(unit)
        if done.first is not None:
            return await self._again(session, done.first)
        self._publish(after, done, states)
        return ack

    async def _again(self, session: Session, first: Ack) -> Ack:
        """Answer a repetition as the first time.

        Where the store went away just when it had made the first one durable, what we remember of
        the session is older than what is kept: take up what is kept.
        """
        if session.transaction is None:
            return first
        kept = await self._store.session_of(session.station, session.transaction)
        known = self._live.session(session.id)
        if kept is None or known is None or kept.status not in OPEN:
            return first
        if kept.running or not known.running:
            self._live.put_session(kept)
            return first
        before = self._live.evse(kept.ref)
        state = before.with_session(None) if before.session == kept.id else before
        done = await self._store.commit([*evse_rows(kept, before, state), touch(kept)])
        self._publish(kept, done, () if state is before else (state,))
        return first

    async def _note_late(
        self, frame: Frame, session: Session, event: TransactionEvent, ack: Ack
    ) -> Ack:
        """Keep a fact about a session that has stopped; it counts when the session is settled."""
        after = evolve_session(session, flags=session.flagged(*event.flags))
        row = journal_row(frame, session.transaction, event, session.id, ack)
        return await self._become(session, after, [row, progress_row(after)], ack)

    async def _conflict(
        self, frame: Frame, session: Session, event: TransactionEvent, flag: Flag, ack: Ack
    ) -> Ack:
        """Keep a second start or end with other values before a person; the first one holds."""
        after = evolve_session(session, flags=session.flagged(flag))
        frame_row = journal_row(frame, session.transaction, event, session.id, ack)
        unit: list[Write] = [
            replace(frame_row, quarantined=True),
            progress_row(after),
            PutWorkItem(oddities.contradiction(session, event, frame)),
        ]
        return await self._become(session, after, unit, ack)

    async def _after_end(
        self,
        frame: Frame,
        session: Session,
        event: TransactionEvent,
        decision: Decision | None,
    ) -> Ack:
        """Keep a fact about a session that is settled. It is never reopened, its bill never changed."""
        ack = Ack(verdict=None if decision is None else decision.verdict)
        begins = event.kind is EventKind.STARTED and Flag.SEQ_GAP in session.flags
        contradicts = not begins and _contradicts(session, event)
        after = evolve_session(session, flags=session.flagged(Flag.AFTER_END))
        if begins:  # it was withheld for want of its start; a person may try again
            after = self._terms.owned(
                progress.begun(after, event),
                decision,
                self._terms.remote_start(session.station, event),
                self._places.connector(session.ref, event.connector),
            )
        unit: list[Write] = [
            replace(
                journal_row(frame, session.transaction, event, session.id, ack),
                quarantined=contradicts,
            ),
            *self._terms.keep_tariff(after),
            PutSession(after),
        ]
        if contradicts:
            unit.append(PutWorkItem(oddities.contradiction(session, event, frame)))
        elif not begins and progress.adds_energy(session, event):
            unit.append(PutWorkItem(oddities.late_energy(session, event, frame)))
        done = await self._store.commit(unit)
        return ack if done.first is None else done.first

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
        if transaction is not None and self._owners.get(transaction, station) != station:
            return await self._keep_with(
                frame, transaction, event, ack, oddities.foreign(frame, transaction)
            )
        session = self._fit(station, event)
        if session is not None:
            if transaction is not None or event.kind is EventKind.ENDED:
                event = replace(event, flags=(*event.flags, Flag.UNKNOWN_TRANSACTION))
            return await self._continue(frame, session, event, decision)
        if event.kind is EventKind.ENDED:
            return await self._orphan_stop(frame, transaction, event, ack)
        item = oddities.orphan_samples(frame, transaction, event)
        return await self._keep_with(frame, transaction, event, ack, item)

    async def _orphan_stop(
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
            return await self._keep_with(frame, transaction, event, ack, item)
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

    async def _keep_with(
        self,
        frame: Frame,
        transaction: TransactionId | None,
        event: TransactionEvent | None,
        ack: Ack,
        item: WorkItem,
    ) -> Ack:
        row = replace(journal_row(frame, transaction, event, None, ack), quarantined=True)
        done = await self._store.commit([row, PutWorkItem(item)])
        return ack if done.first is None else done.first

    async def _quarantine(
        self,
        frame: Frame,
        transaction: TransactionId | None,
        event: TransactionEvent | None,
        why: str,
        ack: Ack,
    ) -> Ack:
        item = oddities.quarantined(frame, why, self._places.location(frame.visit.station))
        try:
            return await self._keep_with(frame, transaction, event, ack, item)
        except UnitRefused:  # what was read of it cannot be kept either; its bytes can
            bare = replace(frame, notes=())
            return await self._keep_with(bare, None, None, ack, item)

    # -- helpers

    def _draw(self) -> TransactionId:
        """Draw a number that no open transaction has: positive, 31 bits, not to be guessed."""
        while True:
            number = TransactionId(str(secrets.randbelow(2**31 - 1) + 1))
            if number not in self._owners:
                return number

    def _remember(self, session: Session) -> None:
        if session.transaction is not None:
            self._open.setdefault(session.station, {})[session.transaction] = session.id
            self._owners[session.transaction] = session.station

    def _fit(self, station: StationId, event: TransactionEvent) -> Session | None:
        return only_fit(event, self.running(station))

    def _publish(self, session: Session, done: Committed, states: Sequence[EvseState] = ()) -> None:
        """Show what is durable now, and tell whoever acts on it."""
        for each in done.touched:
            if each.kind == "session" and each.key == session.id:
                session = evolve_session(session, touched_at=each.last_updated)
        self._live.put_session(session)
        for state in states:
            self._live.put(state)
        running = session.running
        if running:
            state = self._live.evse(session.ref)
            if state.session == session.id:
                self._live.put(evolve_evse(state, meter=progress.meter(session)))
        if done.touched:
            self._live.publish(done.touched)
        (self.on_progress if running else self.on_stopped)(session)

    def _takes_evse(self, session: Session, state: EvseState, frame: Frame) -> bool:
        """Whether a start shows on its EVSE: an old one does not move the picture back."""
        if not self._places.known(session.ref):
            return False
        current = None if state.session is None else self._live.session(state.session)
        if current is not None:
            return current.started_at < session.started_at
        live = frame.received_at - session.started_at <= self.rules.stale_after
        return live or set(state.connectors.values()) != {ConnectorReport.FREE}

    def _interrupted(self, state: EvseState, frame: Frame) -> Session | None:
        """Return the session that a new one on its EVSE has put to an end, as stopped."""
        session = None if state.session is None else self._live.session(state.session)
        if session is None or not session.running:
            return None
        hold = frame.received_at + self.rules.interrupted_hold
        return progress.concluded(session, "interrupted", hold)

    def _settle_after(self, frame: Frame) -> datetime:
        return frame.received_at + self.rules.settle_grace


# ---------------------------------------------------------------- small questions


def _named_by_charger(event: TransactionEvent) -> bool:
    """Whether the transaction's name is the charger's own, so that any text may be one."""
    return event.seq_no is not None or event.kind is EventKind.STARTED


def _flow(report: ConnectorReport) -> ChargingState | None:
    return ChargingState.CHARGING if report is ConnectorReport.CHARGING else None


def _group(decision: Decision | None) -> str | None:
    """Return the name of the group whose tokens may stop what a token began; of a refused one, none."""
    if decision is None or not decision.accepted or decision.token is None:
        return None
    return decision.token.group_name


def _contradicts(session: Session, event: TransactionEvent) -> bool:
    """Whether a second start or end says other values than those that hold."""
    match event.kind:
        case EventKind.STARTED:
            return not progress.same_start(session, event)
        case EventKind.ENDED:
            return not progress.same_end(session, event)
        case EventKind.UPDATED:
            return False
