"""A charging transaction as a set of facts, for every protocol family alike.

A charger tells a transaction in pieces that may come twice, late, out of order or never. Each
piece is a ``TransactionEvent``; what the transaction *was* is a pure function of the set of its
distinct events (``fold``, in ``cms.domain.folding``), whatever the order of arrival.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cms.domain.evolve import quick
from cms.domain.meter import Sample


class EventKind(StrEnum):
    STARTED = "started"
    UPDATED = "updated"
    ENDED = "ended"


class ChargingState(StrEnum):
    """What the car and the EVSE are doing within a transaction."""

    CONNECTED = "connected"
    CHARGING = "charging"
    SUSPENDED_BY_CAR = "suspended_by_car"
    SUSPENDED_BY_STATION = "suspended_by_station"
    IDLE = "idle"


class Flag(StrEnum):
    """What was odd about an event or a session. Kept, shown, never a reason to drop it."""

    TIME_IMPLAUSIBLE = "time_implausible"
    REGISTER_MISSING = "register_missing"
    REGISTER_FELL = "register_fell"
    ENERGY_IMPLAUSIBLE = "energy_implausible"
    UNKNOWN_TOKEN = "unknown_token"
    REFUSED_TOKEN = "refused_token"
    UNKNOWN_TRANSACTION = "unknown_transaction"
    FOREIGN_TRANSACTION = "foreign_transaction"
    SEQ_REUSED = "seq_reused"
    SEQ_GAP = "seq_gap"
    CONFLICTING_START = "conflicting_start"
    CONFLICTING_END = "conflicting_end"
    STARTED_OFFLINE = "started_offline"
    ORPHAN_STOP = "orphan_stop"
    AFTER_END = "after_end"
    DAMAGED = "damaged"
    DARK = "dark"
    STITCHED = "stitched"
    OVERSHOT = "overshot"
    SIGNED_LEFT_OUT = "signed_left_out"


@quick
@dataclass(frozen=True, slots=True)
class TransactionEvent:
    """One distinct thing that a charger said about a transaction.

    Attributes:
        occurred_at: the charger's claim, aware UTC; ``received_at`` where the claim is unusable
            (then ``Flag.TIME_IMPLAUSIBLE`` is among the flags).
        content: hash of the parsed frame before any repair; two events with the same content are
            one event.
        seq_no: the charger's own numbering, None where its protocol has none.
        evse: EVSE number at the station, 1-based; None where the message does not say.
        register_wh: the meter register that begins or ends the transaction, in Wh.
        remote_start: the number by which the charger refers to a remote start of ours.
        offline: the charger says that it happened while it had no connection.
    """

    kind: EventKind
    occurred_at: datetime
    received_at: datetime
    content: bytes
    seq_no: int | None = None
    evse: int | None = None
    connector: int | None = None
    id_token: str | None = None
    register_wh: int | None = None
    samples: tuple[Sample, ...] = ()
    charging: ChargingState | None = None
    reason: str | None = None
    remote_start: int | None = None
    reservation: int | None = None
    offline: bool = False
    flags: tuple[Flag, ...] = ()
