"""What is odd, as work items: evidence for a person, one item per trouble."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from uuid import uuid4

from cms.app.ports import Frame
from cms.app.writes import PutWorkItem
from cms.domain.audit import WorkAction, WorkItem, WorkType
from cms.domain.ids import LocationId, SessionId, TransactionId
from cms.domain.joining import Orphan, register_of
from cms.domain.session import Session
from cms.domain.transaction import EventKind, TransactionEvent

MOST_ORPHANS = 20
"""Orphan stops of one station that wait at once; more become one work item together."""


def waiting(event: TransactionEvent) -> Orphan:
    began = min((each.at for each in event.samples), default=event.occurred_at)
    return Orphan(
        SessionId(str(uuid4())),
        min(began, event.occurred_at),
        event.occurred_at,
        event.id_token,
        event.register_wh,
    )


def orphan_item(orphan: Orphan, frame: Frame, transaction: TransactionId | None) -> WorkItem:
    return WorkItem(
        f"orphan-stop:{orphan.session}",
        WorkType.ORPHAN_STOP,
        f"session:{orphan.session}",
        frame.received_at,
        station=frame.visit.station,
        evidence={
            "transaction": transaction,
            "began_at": orphan.began_at.isoformat(),
            "ended_at": orphan.ended_at.isoformat(),
            "id_token": orphan.id_token,
            "register_wh": orphan.register_wh,
        },
        actions=(WorkAction.JOIN, WorkAction.WRITE_OFF, WorkAction.DISMISS),
    )


def orphan_from(item: WorkItem) -> Sequence[Orphan]:
    """Read an orphan back from its work item; nothing where a person has written over it."""
    told = item.evidence
    began, ended = told.get("began_at"), told.get("ended_at")
    register, tag = told.get("register_wh"), told.get("id_token")
    if not (isinstance(began, str) and isinstance(ended, str)):
        return ()
    return (
        Orphan(
            SessionId(item.subject.removeprefix("session:")),
            datetime.fromisoformat(began),
            datetime.fromisoformat(ended),
            tag if isinstance(tag, str) else None,
            register if isinstance(register, int) else None,
        ),
    )


def orphan_joined(orphan: Orphan, frame: Frame) -> PutWorkItem:
    return PutWorkItem(
        WorkItem(
            f"orphan-stop:{orphan.session}",
            WorkType.ORPHAN_STOP,
            f"session:{orphan.session}",
            frame.received_at,
            station=frame.visit.station,
            closed_at=frame.received_at,
            closed_by="system",
            action=WorkAction.JOIN,
            note="its start turned up",
        )
    )


def many_orphans(frame: Frame) -> WorkItem:
    return WorkItem(
        f"orphan-stops:{frame.visit.station}",
        WorkType.ORPHAN_STOP,
        f"charger:{frame.visit.station}",
        frame.received_at,
        station=frame.visit.station,
        evidence={"explanation": f"more than {MOST_ORPHANS} stops without a start wait already"},
    )


def orphan_samples(
    frame: Frame, transaction: TransactionId | None, event: TransactionEvent
) -> WorkItem:
    return WorkItem(
        f"orphan-meter-values:{frame.visit.station}",
        WorkType.ORPHAN_METER_VALUES,
        f"charger:{frame.visit.station}",
        frame.received_at,
        station=frame.visit.station,
        evidence={
            "transaction": transaction,
            "at": event.occurred_at.isoformat(),
            "evse": event.evse,
            "register_wh": register_of(event),
        },
    )


def foreign(frame: Frame, transaction: TransactionId) -> WorkItem:
    return WorkItem(
        f"foreign:{frame.visit.station}",
        WorkType.FOREIGN_TRANSACTION,
        f"charger:{frame.visit.station}",
        frame.received_at,
        station=frame.visit.station,
        evidence={
            "transaction": transaction,
            "explanation": "the station named a transaction of another station",
        },
    )


def contradiction(session: Session, event: TransactionEvent, frame: Frame) -> WorkItem:
    what = "stop" if event.kind is EventKind.ENDED else "start"
    held = (session.ended_at, session.stop_wh)
    if event.kind is EventKind.STARTED:
        held = (session.started_at, session.start_wh)
    return WorkItem(
        f"conflicting-{what}:{session.id}",
        WorkType.CONFLICTING_STOP if what == "stop" else WorkType.QUARANTINED_FRAME,
        f"session:{session.id}",
        frame.received_at,
        station=session.station,
        location=session.location,
        evidence={
            "holds": {"at": held[0] and held[0].isoformat(), "register_wh": held[1]},
            "contradicts": {
                "at": event.occurred_at.isoformat(),
                "register_wh": register_of(event),
            },
        },
    )


def late_energy(session: Session, event: TransactionEvent, frame: Frame) -> WorkItem:
    return WorkItem(
        f"late-energy:{session.id}",
        WorkType.INCOMPLETE_RECORD,
        f"session:{session.id}",
        frame.received_at,
        station=session.station,
        location=session.location,
        evidence={
            "explanation": "a register came after the bill and lies outside of it",
            "register_wh": register_of(event),
            "billed_from_wh": session.start_wh,
            "billed_to_wh": session.stop_wh,
        },
    )


def quarantined(frame: Frame, why: str, location: LocationId | None) -> WorkItem:
    return WorkItem(
        f"quarantined:{(frame.key or sha256(frame.raw).digest()).hex()[-32:]}",
        WorkType.QUARANTINED_FRAME,
        f"charger:{frame.visit.station}",
        frame.received_at,
        station=frame.visit.station,
        location=location,
        evidence={"action": frame.action, "why": why, "notes": list(frame.notes)},
    )


def security(frame: Frame, kind: str, at: datetime, detail: str) -> WorkItem:
    return WorkItem(
        f"security:{frame.visit.station}:{kind}",
        WorkType.SECURITY,
        f"charger:{frame.visit.station}",
        frame.received_at,
        station=frame.visit.station,
        evidence={"kind": kind, "at": at.isoformat(), "detail": detail},
    )
