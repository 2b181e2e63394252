"""What one decision writes: plain values that the store turns into rows.

A ``Unit`` is all or nothing. The store groups waiting units into one transaction; a unit never
reads, so units of different stations never wait for each other's decisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cms.domain.audit import AuditEntry, WorkItem
from cms.domain.cdr import Cdr
from cms.domain.evolve import quick
from cms.domain.ids import (
    CommandId,
    LocationId,
    PartnerId,
    ReservationId,
    SessionId,
    StationId,
    TariffHash,
    TariffId,
    TransactionId,
)
from cms.domain.partner import ApiKey, Partner
from cms.domain.reservation import Reservation
from cms.domain.session import Session, SessionStatus
from cms.domain.status import EvseState
from cms.domain.tariff import Tariff
from cms.domain.tariff_choice import TariffRule
from cms.domain.token import Token, Verdict
from cms.domain.topology import ChargingStation, Location, StationKey, StationRecord
from cms.domain.transaction import Flag, TransactionEvent


@dataclass(frozen=True, slots=True)
class Ack:
    """What a charger was told the first time; a repetition is told the same.

    Attributes:
        transaction: our number for its transaction, as text; None where the protocol has none.
        verdict: what was decided about its token; None where none was presented.
        group: the name of its token's group (``Token.group_name``), by which the charger lets
            another one of it stop; not kept: a repetition after a restart is told without it.
    """

    transaction: TransactionId | None = None
    verdict: Verdict | None = None
    group: str | None = None


NO_ACK = Ack()
"""Nothing but that it was received."""


@quick
@dataclass(frozen=True, slots=True)
class JournalFrame:
    """The raw frame of a transaction message, with its key, in the commit of its effect.

    Attributes:
        key: content key, unique over the whole journal; None for frames that may repeat
            (status reports during a transaction).
        raw: the bytes as received.
        event: what the frame says, in the core's words; None where it says nothing usable.
        notes: repairs as ``"code: text"``.
        quarantined: kept for a person; no effect was derived from it.
    """

    key: bytes | None
    station: StationId
    visit: int
    action: str
    raw: bytes
    received_at: datetime
    session: SessionId | None = None
    transaction: TransactionId | None = None
    event: TransactionEvent | None = None
    ack: Ack = NO_ACK
    notes: tuple[str, ...] = ()
    quarantined: bool = False


@dataclass(frozen=True, slots=True)
class Touch:
    """Partners must be told about *key* of *kind* again.

    ``kind`` is one of ``"location"``, ``"evse"``, ``"tariff"``, ``"session"``, ``"cdr"``.
    ``key``: location id, ``str(EvseRef)``, tariff id, session id, cdr id.
    ``owner`` None = everybody may hear of it.
    """

    kind: str
    key: str
    owner: PartnerId | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class PutSession:
    """Insert or replace the whole session row."""

    session: Session


@dataclass(frozen=True, slots=True)
class JoinSession:
    """A session that nobody outside has heard of turned out to be another one.

    What was journalled for it belongs to *into* from now on; the row of *gone* goes.
    """

    gone: SessionId
    into: SessionId


@quick
@dataclass(frozen=True, slots=True)
class SessionProgress:
    """The small update of a running session that each sample makes."""

    id: SessionId
    status: SessionStatus
    last_wh: int | None
    last_at: datetime | None
    delivered_wh: int
    power_w: int | None
    charging: bool
    touched_at: datetime | None
    flags: tuple[Flag, ...]
    activated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PutCdr:
    """Insert a bill. It can never be replaced; a second one for the same id is refused."""

    cdr: Cdr


@dataclass(frozen=True, slots=True)
class KeepTariff:
    """Keep a tariff under its content hash; known already is fine."""

    hash: TariffHash
    tariff: Tariff


@dataclass(frozen=True, slots=True)
class PutEvse:
    state: EvseState


@dataclass(frozen=True, slots=True)
class PutRecord:
    """What a station said of itself; an older visit never overwrites a newer one."""

    record: StationRecord


@dataclass(frozen=True, slots=True)
class PutLocation:
    location: Location


@dataclass(frozen=True, slots=True)
class PutStation:
    station: ChargingStation


@dataclass(frozen=True, slots=True)
class PutStationKey:
    key: StationKey


@dataclass(frozen=True, slots=True)
class PutTariff:
    tariff: Tariff
    from_file: bool = False


@dataclass(frozen=True, slots=True)
class DropTariff:
    id: TariffId


@dataclass(frozen=True, slots=True)
class PutTariffRule:
    rule: TariffRule


@dataclass(frozen=True, slots=True)
class DropTariffRule:
    id: str


@dataclass(frozen=True, slots=True)
class PutToken:
    token: Token


@dataclass(frozen=True, slots=True)
class PutPartner:
    partner: Partner


@dataclass(frozen=True, slots=True)
class PutApiKey:
    key: ApiKey


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """A wish that somebody was promised an outcome for.

    Attributes:
        verb: ``"remote_start"``, ``"remote_stop"``, ``"unlock"``, ``"reset"``, ...
        asked_by: ``"partner:<id>"``, ``"key:<id>"``, ``"system"``, ``"cli"``.
        id_token: the 16 characters drawn for a remote start, unique.
        number: the 31-bit number drawn for a remote start.
        reply_to: where the one who asked wants to hear of the outcome; opaque to the core.
        outcome: None while it runs; then an ``Outcome`` value.
        told_at: when the one who asked heard of the outcome; None until then.
        session: the session that came of it.
        reservation: the reservation that it asks for, takes back or starts.
        presented: what the station is given instead of *id_token*: the token of a reservation.
        card: *presented* is a card's number.
    """

    id: CommandId
    verb: str
    station: StationId
    asked_by: str
    created_at: datetime
    expires_at: datetime
    evse: int | None = None
    connector: int | None = None
    transaction: TransactionId | None = None
    id_token: str | None = None
    number: int | None = None
    token: Token | None = None
    owner: PartnerId | None = None
    reference: str | None = None
    limit_wh: int | None = None
    limit_money: str | None = None
    limit_seconds: int | None = None
    reply_to: str | None = None
    outcome: str | None = None
    finished_at: datetime | None = None
    told_at: datetime | None = None
    session: SessionId | None = None
    reservation: ReservationId | None = None
    presented: str | None = None
    card: bool = False


@dataclass(frozen=True, slots=True)
class PutCommand:
    """Insert or replace the whole command row."""

    command: CommandRecord


@dataclass(frozen=True, slots=True)
class PutReservation:
    """Insert or replace the whole reservation."""

    reservation: Reservation


@dataclass(frozen=True, slots=True)
class Audit:
    entry: AuditEntry


@dataclass(frozen=True, slots=True)
class PutWorkItem:
    """Open (first wins while open), reopen or close a work item."""

    item: WorkItem


@quick
@dataclass(frozen=True, slots=True)
class AuthorisationNote:
    """A decision about a token, for the case file (kept as long as samples are)."""

    at: datetime
    station: StationId
    id_token: str
    verdict: Verdict
    why: str
    owner: PartnerId | None = None
    session: SessionId | None = None
    waited_ms: int = 0


@dataclass(frozen=True, slots=True)
class PutCursor:
    """How far a partner has been told of one stream of the feed."""

    partner: PartnerId
    stream: str
    seq: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """One object's way to one partner.

    Attributes:
        state: ``"delivered"``, ``"parked"``, ``"ambiguous"``, ``"retrying"``.
        place: where the partner keeps it (its own words, e.g. a Location header).
    """

    partner: PartnerId
    kind: str
    key: str
    state: str
    seq: int
    at: datetime
    attempts: int = 0
    place: str | None = None
    error: str | None = None
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PutDelivery:
    delivery: Delivery


@quick
@dataclass(frozen=True, slots=True)
class Exchange:
    """One request to or from a partner with its answer, for the case file. Without secrets."""

    at: datetime
    partner: PartnerId
    outbound: bool
    kind: str
    key: str
    method: str
    url: str
    request: bytes
    http_status: int | None
    answer: bytes
    took_ms: int
    session: SessionId | None = None


@dataclass(frozen=True, slots=True)
class KeepExchange:
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class PutDocument:
    """Keep an edge package's own data; the core neither reads nor understands it."""

    kind: str
    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class DropDocument:
    kind: str
    key: str


Write = (
    JournalFrame
    | Touch
    | PutSession
    | JoinSession
    | SessionProgress
    | PutCdr
    | KeepTariff
    | PutEvse
    | PutRecord
    | PutLocation
    | PutStation
    | PutStationKey
    | PutTariff
    | DropTariff
    | PutTariffRule
    | DropTariffRule
    | PutToken
    | PutPartner
    | PutApiKey
    | PutCommand
    | PutReservation
    | Audit
    | PutWorkItem
    | AuthorisationNote
    | PutCursor
    | PutDelivery
    | KeepExchange
    | PutDocument
    | DropDocument
)

Unit = Sequence[Write]
"""The writes of one decision, in order. At most one ``JournalFrame`` with a key."""


@quick
@dataclass(frozen=True, slots=True)
class Touched:
    """What a ``Touch`` became: its place in the feed and the moment partners will read."""

    kind: str
    key: str
    seq: int
    last_updated: datetime


@dataclass(frozen=True, slots=True)
class Committed:
    """A unit is durable.

    Attributes:
        first: not None if the unit's key was known: then *nothing* of the unit was written, and
            this is what the charger was told the first time.
        first_session: the session that the first frame belongs to.
        touched: in the order of the unit's touches.
    """

    first: Ack | None = None
    first_session: SessionId | None = None
    touched: tuple[Touched, ...] = ()


def moved(location: LocationId, state: EvseState) -> tuple[Write, ...]:
    """Return the writes by which partners hear that an EVSE's visible state changed."""
    return (PutEvse(state), Touch("evse", str(state.ref)), Touch("location", location))
