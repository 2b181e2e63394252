"""Rows that the use cases of charging write: journal, progress, touches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cms.app.ports import Frame
from cms.app.writes import (
    NO_ACK,
    Ack,
    AuthorisationNote,
    JournalFrame,
    PutEvse,
    PutSession,
    SessionProgress,
    Touch,
    Write,
    moved,
)
from cms.domain.folding import OURS
from cms.domain.ids import PartnerId, SessionId, TransactionId
from cms.domain.session import Session
from cms.domain.status import EvseState
from cms.domain.token import Decision
from cms.domain.transaction import EventKind, TransactionEvent

NOBODY = PartnerId("")
"""Owner of changes that no partner may hear of (None would mean everybody)."""


def touch(session: Session) -> Touch:
    """Return the touch by which the session's owner, and nobody else, hears of it."""
    return Touch("session", session.id, NOBODY if session.owner is None else session.owner)


def evse_rows(session: Session, before: EvseState, after: EvseState) -> Sequence[Write]:
    """Return the writes by which a session's EVSE changes; none where it does not."""
    if after is before:
        return ()
    if after.version != before.version and session.location is not None:
        return moved(session.location, after)
    return (PutEvse(after),)


def concluded_row(session: Session, now: datetime, visit: int = 0) -> JournalFrame:
    """Return the journal row that tells an end which we concluded (``progress.concluded``)."""
    event = TransactionEvent(
        EventKind.ENDED,
        session.ended_at or now,
        now,
        OURS + f"{session.stop_reason}:{session.id}".encode(),
        register_wh=session.stop_wh,
        reason=session.stop_reason,
    )
    return our_row(session, event, "core.ended", visit)


def our_row(session: Session, event: TransactionEvent, action: str, visit: int = 0) -> JournalFrame:
    """Return the journal row of an event that no charger told: what we saw or decided."""
    return JournalFrame(
        None,
        session.station,
        visit,
        action,
        event.content,
        event.received_at,
        session.id,
        session.transaction,
        event,
    )


def journal_row(
    frame: Frame,
    transaction: TransactionId | None,
    event: TransactionEvent | None,
    session: SessionId | None = None,
    ack: Ack = NO_ACK,
) -> JournalFrame:
    """Return the journal row of a frame with what it says and what it was told."""
    visit = frame.visit
    return JournalFrame(
        frame.key,
        visit.station,
        visit.number,
        frame.action,
        frame.raw,
        frame.received_at,
        session,
        transaction,
        event,
        ack,
        frame.notes,
    )


def progress_row(session: Session, touched_at: datetime | None = None) -> SessionProgress:
    """Return the small update of a running session."""
    return SessionProgress(
        session.id,
        session.status,
        session.last_wh,
        session.last_at,
        session.delivered_wh,
        session.power_w,
        session.charging,
        touched_at or session.touched_at,
        session.flags,
        session.activated_at,
    )


def note_rows(
    frame: Frame, event: TransactionEvent, decision: Decision | None, session: Session
) -> Sequence[Write]:
    """Return what the case file keeps of a decision about a token."""
    if decision is None:
        return ()
    return (
        AuthorisationNote(
            frame.received_at,
            frame.visit.station,
            event.id_token or "",
            decision.verdict,
            decision.why,
            session.owner,
            session.id,
        ),
    )


def interruption_rows(session: Session, frame: Frame) -> Sequence[Write]:
    """Return how a session that another put to an end is kept and told."""
    row = concluded_row(session, frame.received_at, frame.visit.number)
    return (row, PutSession(session), touch(session))
