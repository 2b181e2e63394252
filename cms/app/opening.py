"""How a session begins: at its start, or when only later it is told where it began or who pays.

A session may take the place of a reservation, complete a stop that came without its start, and put
an end to the one that its EVSE still showed; all of it is one unit of work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from cms.app import oddities
from cms.app.catalogue import Catalogue
from cms.app.charging_rules import ChargingRules
from cms.app.late import Late
from cms.app.live import LiveState
from cms.app.open_sessions import OpenSessions
from cms.app.places import Places
from cms.app.ports import Frame, Store
from cms.app.rows import evse_rows, interruption_rows, journal_row, note_rows, touch
from cms.app.strays import Strays
from cms.app.terms import Terms, start_flags
from cms.app.writes import Ack, CommandRecord, JoinSession, PutCommand, PutSession, Write
from cms.domain import progress
from cms.domain.errors import UnitRefused
from cms.domain.ids import EvseRef, TransactionId, new_session_id
from cms.domain.joining import Orphan
from cms.domain.reservation import Reservation
from cms.domain.session import Session, SessionStatus, evolve_session
from cms.domain.status import ConnectorReport, EvseState
from cms.domain.token import Decision
from cms.domain.transaction import EventKind, Flag, TransactionEvent

_DRAWS = 8


class Opening:
    """Opens sessions, in their station's lane."""

    def __init__(
        self,
        store: Store,
        live: LiveState,
        catalogue: Catalogue,
        open: OpenSessions,
        strays: Strays,
        late: Late,
        terms: Terms,
        places: Places,
        rules: ChargingRules,
    ) -> None:
        self._store = store
        self._live = live
        self._catalogue = catalogue
        self._open = open
        self._strays = strays
        self._late = late
        self._terms = terms
        self._places = places
        self._rules = rules

    async def start(
        self,
        frame: Frame,
        transaction: TransactionId | None,
        event: TransactionEvent,
        decision: Decision | None,
    ) -> Ack:
        """Open a session; with *transaction* None the number is ours to draw.

        Raises:
            UnitRefused: the store takes no session of this name.
        """
        orphan = self._strays.stop_of(frame.visit.station, event)
        for _ in range(_DRAWS):
            named = transaction if transaction is not None else self._open.draw()
            ack = Ack(
                None if transaction is not None else named,
                None if decision is None else decision.verdict,
                _group(decision),
            )
            try:
                return await self._open_session(frame, named, event, decision, ack, orphan)
            except UnitRefused:
                if transaction is not None:
                    raise
                # another transaction has the number that we drew
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
            self._strays.joined(frame.visit.station, orphan)
        if interrupted is not None:
            self._live.put_session(interrupted)
            self._open.on_stopped(interrupted)
        self._terms.came_true(command)
        self._open.answered(session.id, frame.key, ack)
        self._open.remember(session)
        changed = () if state is before else (state,)
        self._open.publish(session, done, (*changed, *(now for _, now in others)))
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
            session = progress.ended(session, event, frame.received_at + self._rules.settle_grace)
        elif orphan is not None:
            session = progress.reunited(
                session, orphan, frame.received_at + self._rules.settle_grace
            )
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

    async def begin_late(
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
                return await self._late.note(frame, session, event, ack)
            return await self._late.conflict(frame, session, event, Flag.CONFLICTING_START, ack)
        start = self._terms.remote_start(frame.visit.station, event)
        after = progress.begun(session, event)
        if not after.evse:
            after = evolve_session(after, evse=self._places.evse(after.station, event, start))
        if decision is not None or session.token is None:
            connector = self._places.connector(after.ref, after.connector)
            after = self._terms.owned(after, decision, start, connector)
        after = progress.begun_with(after, event)
        return await self._put_owned(frame, after, event, decision, ack)

    async def token_late(
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
            return await self._open.again(before, done.first)
        self._terms.tariff_kept(after)
        self._terms.reservations_used(used)
        self._terms.came_true(command)
        if after.id != before.id:
            self._open.renamed(before.id, after.id)
        self._open.remember(after)
        changed = () if state is was else (state,)
        self._open.publish(after, done, (*changed, *(new for _, new in others)))
        return ack

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
            return await self._open.again(after, done.first)
        self._terms.tariff_kept(after)
        self._terms.came_true(command)
        self._open.publish(after, done, () if state is before else (state,))
        return ack

    def _takes_evse(self, session: Session, state: EvseState, frame: Frame) -> bool:
        """Whether a start shows on its EVSE: an old one does not move the picture back."""
        if not self._places.known(session.ref):
            return False
        current = None if state.session is None else self._live.session(state.session)
        if current is not None:
            return current.started_at < session.started_at
        live = frame.received_at - session.started_at <= self._rules.stale_after
        return live or set(state.connectors.values()) != {ConnectorReport.FREE}

    def _interrupted(self, state: EvseState, frame: Frame) -> Session | None:
        """Return the session that a new one on its EVSE has put to an end, as stopped."""
        session = None if state.session is None else self._live.session(state.session)
        if session is None or not session.running:
            return None
        hold = frame.received_at + self._rules.interrupted_hold
        return progress.concluded(session, "interrupted", hold)


def _group(decision: Decision | None) -> str | None:
    """Return the name of the group whose tokens may stop what a token began; of a refused one, none."""
    if decision is None or not decision.accepted or decision.token is None:
        return None
    return decision.token.group_name
