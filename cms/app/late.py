"""What is said of a session late, twice or in contradiction: kept, and never a change of what holds."""

from __future__ import annotations

from dataclasses import replace

from cms.app import oddities
from cms.app.open_sessions import OpenSessions
from cms.app.places import Places
from cms.app.ports import Frame, Store
from cms.app.rows import journal_row, progress_row
from cms.app.terms import Terms
from cms.app.writes import Ack, PutSession, PutWorkItem, Write
from cms.domain import progress
from cms.domain.session import Session, evolve_session
from cms.domain.token import Decision
from cms.domain.transaction import EventKind, Flag, TransactionEvent


class Late:
    """Keeps what changes no transaction any more."""

    def __init__(self, store: Store, open: OpenSessions, terms: Terms, places: Places) -> None:
        self._store = store
        self._open = open
        self._terms = terms
        self._places = places

    async def note(self, frame: Frame, session: Session, event: TransactionEvent, ack: Ack) -> Ack:
        """Keep a fact about a session that has stopped; it counts when the session is settled."""
        after = evolve_session(session, flags=session.flagged(*event.flags))
        row = journal_row(frame, session.transaction, event, session.id, ack)
        return await self._open.become(session, after, [row, progress_row(after)], ack)

    async def conflict(
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
        return await self._open.become(session, after, unit, ack)

    async def after_end(
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


def _contradicts(session: Session, event: TransactionEvent) -> bool:
    """Whether a second start or end says other values than those that hold."""
    match event.kind:
        case EventKind.STARTED:
            return not progress.same_start(session, event)
        case EventKind.ENDED:
            return not progress.same_end(session, event)
        case EventKind.UPDATED:
            return False
