"""Who changed what, and what waits for a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One append-only row, written in the same commit as the change.

    Attributes:
        who: ``"key:<id>"``, ``"partner:<id>"``, ``"file"``, ``"cli"``, ``"system"``.
        what: a verb in the past tense, e.g. ``"tariff.changed"``.
        subject: kind and key of what changed, e.g. ``"tariff:AC-18"``.
        before, after: the thing as plain data, without secrets; None where there is none.
    """

    at: datetime
    who: str
    what: str
    subject: str
    before: object | None = None
    after: object | None = None
    reason: str | None = None


class WorkType(StrEnum):
    """Why a person must look."""

    ORPHAN_STOP = "orphan_stop"  # a stop whose transaction nobody knows
    ORPHAN_METER_VALUES = "orphan_meter_values"
    UNKNOWN_TOKEN = "unknown_token"  # charged, and nobody is known to pay: unknown, or refused
    QUARANTINED_FRAME = "quarantined_frame"
    CONFLICTING_STOP = "conflicting_stop"
    FOREIGN_TRANSACTION = "foreign_transaction"
    INCOMPLETE_RECORD = "incomplete_record"
    WITHHELD_BILL = "withheld_bill"
    SILENT_SESSION = "silent_session"  # open, and its charger does not come back
    STOP_FAILED = "stop_failed"
    START_WITHOUT_EFFECT = "start_without_effect"
    OVERSHOOT = "overshoot"
    PARKED_DELIVERY = "parked_delivery"  # a partner refuses it
    PARTNER_REFUSES_US = "partner_refuses_us"
    COPY_DIFFERS = "copy_differs"  # a partner's copy of a bill is not what we sent
    SETTLE_BY_HAND = "settle_by_hand"  # a correction that a partner's version cannot be told
    INVOICE_DIFFERS = "invoice_differs"  # a partner invoices bills that are not as ours are
    PARTNER_SUSPENDED = "partner_suspended"  # by its hub, with bills that it has not got
    SECURITY = "security"


class WorkAction(StrEnum):
    END_AT_LAST_SAMPLE = "end_at_last_sample"
    JOIN = "join"
    ASSIGN = "assign"
    WRITE_OFF = "write_off"
    RETRY = "retry"
    DISMISS = "dismiss"


@dataclass(frozen=True, slots=True)
class WorkItem:
    """Something that waits for a person.

    Attributes:
        id: derived from type and subject, so that the same trouble is one item.
        subject: what it is about, e.g. ``"session:<id>"``, ``"journal:<id>"``.
        evidence: plain data that a person needs to decide.
        actions: what may be done about it.
    """

    id: str
    type: WorkType
    subject: str
    opened_at: datetime
    station: str | None = None
    location: str | None = None
    evidence: dict[str, object] = field(default_factory=dict)
    actions: tuple[WorkAction, ...] = (WorkAction.DISMISS,)
    closed_at: datetime | None = None
    closed_by: str | None = None
    action: WorkAction | None = None
    note: str | None = None
