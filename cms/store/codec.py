"""Frozen values to rows and back.

A row is a plain tuple in the order of its table's columns, in types that both drivers take as they
are. Hot values (journal, sessions, EVSEs) are written by hand; values that are only kept whole are
compact JSON. Tariffs and bills have a canonical text of their own (``cms.domain.plain``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Row

from cms.app.ports import Change, JournalEntry
from cms.app.writes import (
    Ack,
    AuthorisationNote,
    CommandRecord,
    Delivery,
    Exchange,
    JournalFrame,
    SessionProgress,
)
from cms.domain.audit import AuditEntry, WorkAction, WorkItem, WorkType
from cms.domain.cdr import Cdr, cdr_from_text, cdr_text
from cms.domain.ids import (
    CommandId,
    LocationId,
    PartnerId,
    ReservationId,
    SessionId,
    StationId,
    TariffHash,
    TransactionId,
)
from cms.domain.meter import Quantity, ReadingContext, Sample
from cms.domain.partner import ApiKey, Partner
from cms.domain.reservation import Reservation
from cms.domain.session import NO_LIMIT, Limit, Session, SessionStatus, TariffSwitch
from cms.domain.status import EvseState
from cms.domain.tariff import Tariff, tariff_from_text, tariff_text
from cms.domain.tariff_choice import TariffRule
from cms.domain.token import AuthMethod, Token, Verdict
from cms.domain.topology import ChargingStation, Location, StationKey, StationRecord
from cms.domain.transaction import ChargingState, EventKind, Flag, TransactionEvent
from cms.store.tables import micros, moment

Values = tuple[Any, ...]
"""One row's values, in column order."""

encode = msgspec.json.Encoder().encode
_plain = msgspec.json.Decoder().decode

location_from = msgspec.json.Decoder(Location).decode
station_from = msgspec.json.Decoder(ChargingStation).decode
station_key_from = msgspec.json.Decoder(StationKey).decode
record_from = msgspec.json.Decoder(StationRecord).decode
evse_from = msgspec.json.Decoder(EvseState).decode
rule_from = msgspec.json.Decoder(TariffRule).decode
partner_from = msgspec.json.Decoder(Partner).decode
api_key_from = msgspec.json.Decoder(ApiKey).decode
token_from = msgspec.json.Decoder(Token).decode
command_from = msgspec.json.Decoder(CommandRecord).decode
reservation_from = msgspec.json.Decoder(Reservation).decode


def tariff_body(tariff: Tariff) -> bytes:
    return tariff_text(tariff).encode()


def tariff_from(body: bytes) -> Tariff:
    return tariff_from_text(body.decode())


# -- events: positional and typed, because a long session has thousands of them

_SampleRow = tuple[Quantity, int, ReadingContext, str | None, str]
_EventRow = tuple[
    EventKind,
    datetime,
    datetime,
    bytes,
    int | None,
    int | None,
    int | None,
    str | None,
    int | None,
    list[tuple[datetime, list[_SampleRow]]],
    ChargingState | None,
    str | None,
    int | None,
    int | None,
    bool,
    tuple[Flag, ...],
]
_event_row = msgspec.json.Decoder(_EventRow).decode


def _by_moment(samples: Sequence[Sample]) -> list[tuple[datetime, list[Values]]]:
    """Return samples in order, those of one moment together: a message has many of each."""
    moments: list[tuple[datetime, list[Values]]] = []
    at: datetime | None = None
    rows: list[Values] = []
    for sample in samples:
        if sample[0] is not at:
            at, rows = sample[0], []
            moments.append((at, rows))
        rows.append(sample[1:])
    return moments


def event_body(event: TransactionEvent) -> bytes:
    """Return an event as one compact JSON array. The order of its items is part of the format."""
    return encode(
        (
            event.kind,
            event.occurred_at,
            event.received_at,
            event.content,
            event.seq_no,
            event.evse,
            event.connector,
            event.id_token,
            event.register_wh,
            _by_moment(event.samples),
            event.charging,
            event.reason,
            event.remote_start,
            event.reservation,
            event.offline,
            event.flags,
        )
    )


def event_from(body: bytes) -> TransactionEvent:
    (kind, occurred, received, content, seq_no, evse, connector, id_token, register, moments,
     charging, reason, remote_start, reservation, offline, flags) = _event_row(body)  # fmt: skip
    return TransactionEvent(
        kind=kind,
        occurred_at=occurred,
        received_at=received,
        content=content,
        seq_no=seq_no,
        evse=evse,
        connector=connector,
        id_token=id_token,
        register_wh=register,
        samples=tuple(Sample(at, *row) for at, rows in moments for row in rows),
        charging=charging,
        reason=reason,
        remote_start=remote_start,
        reservation=reservation,
        offline=offline,
        flags=flags,
    )


# -- journal


def journal_values(frame: JournalFrame) -> Values:
    event, ack = frame.event, frame.ack
    return (
        frame.key,
        frame.station,
        frame.visit,
        None if event is None else event.kind.value,
        frame.action,
        frame.raw,
        micros(frame.received_at),
        frame.session,
        frame.transaction,
        None if event is None else event_body(event),
        ack.transaction,
        None if ack.verdict is None else ack.verdict.value,
        encode(frame.notes) if frame.notes else None,
        frame.quarantined,
    )


def ack_from(transaction: str | None, verdict: str | None) -> Ack:
    return Ack(
        None if transaction is None else TransactionId(transaction),
        None if verdict is None else Verdict(verdict),
    )


def journal_from(row: Row[Any]) -> JournalEntry:
    frame = JournalFrame(
        key=row.key,
        station=StationId(row.station),
        visit=row.visit,
        action=row.action,
        raw=row.raw,
        received_at=row.received_at,
        session=_id(SessionId, row.session),
        transaction=_id(TransactionId, row.transaction),
        event=None if row.event is None else event_from(row.event),
        ack=ack_from(row.ack_transaction, row.ack_verdict),
        notes=() if row.notes is None else tuple(_plain(row.notes)),
        quarantined=row.quarantined,
    )
    return JournalEntry(row.id, frame)


# -- sessions


def session_values(session: Session) -> Values:
    token, limit = session.token, session.limit
    return (
        session.id,
        session.station,
        session.evse,
        session.status.value,
        micros(session.started_at),
        micros(session.received_at),
        session.id_token,
        session.transaction,
        session.connector,
        session.location,
        None if token is None else encode(token),
        None if token is None else token.uid,
        session.owner,
        session.method.value,
        session.reference,
        session.command,
        session.start_wh,
        session.last_wh,
        _micros(session.last_at),
        session.delivered_wh,
        session.power_w,
        session.charging,
        _micros(session.ended_at),
        session.stop_wh,
        session.stop_reason,
        _micros(session.settle_after),
        session.tariff,
        session.currency,
        limit.energy_wh,
        None if limit.money is None else str(limit.money),
        limit.seconds,
        _micros(session.stop_asked_at),
        _micros(session.touched_at),
        session.dialect,
        " ".join(session.flags),
        session.reservation,
        _micros(session.held_from),
        _switches_text(session.switches),
        _micros(session.activated_at),
    )


def _switches_text(switches: tuple[TariffSwitch, ...]) -> str | None:
    if not switches:
        return None
    return encode([[micros(each.at), each.tariff] for each in switches]).decode()


def switches_from(text: str | None) -> tuple[TariffSwitch, ...]:
    if text is None:
        return ()
    return tuple(TariffSwitch(moment(at), TariffHash(hash)) for at, hash in _plain(text))


def progress_values(progress: SessionProgress) -> Values:
    """In the order that ``statements.PROGRESS`` names."""
    return (
        progress.status.value,
        progress.last_wh,
        _micros(progress.last_at),
        progress.delivered_wh,
        progress.power_w,
        progress.charging,
        _micros(progress.touched_at),
        " ".join(progress.flags),
        _micros(progress.activated_at),
        progress.id,
    )


def session_from(row: Row[Any]) -> Session:
    return Session(
        id=SessionId(row.id),
        station=StationId(row.station),
        evse=row.evse,
        status=SessionStatus(row.status),
        started_at=row.started_at,
        received_at=row.received_at,
        id_token=row.id_token,
        transaction=_id(TransactionId, row.transaction),
        connector=row.connector,
        location=_id(LocationId, row.location),
        token=None if row.token is None else token_from(row.token),
        owner=_id(PartnerId, row.owner),
        method=AuthMethod(row.method),
        reference=row.reference,
        command=_id(CommandId, row.command),
        start_wh=row.start_wh,
        last_wh=row.last_wh,
        last_at=row.last_at,
        delivered_wh=row.delivered_wh,
        power_w=row.power_w,
        charging=row.charging,
        ended_at=row.ended_at,
        stop_wh=row.stop_wh,
        stop_reason=row.stop_reason,
        settle_after=row.settle_after,
        tariff=_id(TariffHash, row.tariff),
        currency=row.currency,
        limit=_limit_from(row),
        stop_asked_at=row.stop_asked_at,
        touched_at=row.touched_at,
        dialect=row.dialect,
        flags=tuple(Flag(each) for each in row.flags.split()),
        reservation=_id(ReservationId, row.reservation),
        held_from=row.held_from,
        switches=switches_from(row.switches),
        activated_at=row.activated_at,
    )


def _limit_from(row: Row[Any]) -> Limit:
    money = None if row.limit_money is None else Decimal(row.limit_money)
    limit = Limit(row.limit_wh, money, row.limit_seconds)
    return limit if limit.any else NO_LIMIT


# -- bills


def cdr_values(cdr: Cdr) -> Values:
    return (
        cdr.id,
        cdr.session,
        cdr.owner,
        cdr.place.location,
        micros(cdr.started_at),
        micros(cdr.ended_at),
        micros(cdr.created_at),
        cdr.energy_wh,
        cdr.currency,
        str(cdr.total.net.amount),
        str(cdr.total.gross.amount),
        cdr.credit,
        cdr_text(cdr).encode(),
    )


def cdr_from(body: bytes) -> Cdr:
    return cdr_from_text(body.decode())


# -- the rest


def command_values(command: CommandRecord) -> Values:
    return (
        command.id,
        command.station,
        command.asked_by,
        command.reply_to,
        command.id_token,
        command.session,
        micros(command.created_at),
        micros(command.expires_at),
        command.outcome,
        _micros(command.told_at),
        encode(command),
    )


def reservation_values(own: Reservation) -> Values:
    open_ = own.live or own.owed or own.unheard
    return (
        own.id,
        micros(own.created_at),
        encode(own),
        own.owner,
        own.location,
        own.station,
        own.state.value,
        open_,
    )


def audit_values(entry: AuditEntry) -> Values:
    return (
        micros(entry.at),
        entry.who,
        entry.what,
        entry.subject,
        None if entry.before is None else encode(entry.before),
        None if entry.after is None else encode(entry.after),
        entry.reason,
    )


def audit_from(row: Row[Any]) -> AuditEntry:
    return AuditEntry(
        at=row.at,
        who=row.who,
        what=row.what,
        subject=row.subject,
        before=None if row.before is None else _plain(row.before),
        after=None if row.after is None else _plain(row.after),
        reason=row.reason,
    )


def work_values(item: WorkItem) -> Values:
    return (
        item.id,
        item.type.value,
        item.subject,
        micros(item.opened_at),
        item.station,
        item.location,
        encode(item.evidence),
        " ".join(item.actions),
        _micros(item.closed_at),
        item.closed_by,
        None if item.action is None else item.action.value,
        item.note,
    )


def work_from(row: Row[Any]) -> WorkItem:
    return WorkItem(
        id=row.id,
        type=WorkType(row.type),
        subject=row.subject,
        opened_at=row.opened_at,
        station=row.station,
        location=row.location,
        evidence=_plain(row.evidence),
        actions=tuple(WorkAction(each) for each in row.actions.split()),
        closed_at=row.closed_at,
        closed_by=row.closed_by,
        action=None if row.action is None else WorkAction(row.action),
        note=row.note,
    )


def authorisation_values(note: AuthorisationNote) -> Values:
    return (
        micros(note.at),
        note.station,
        note.id_token,
        note.verdict.value,
        note.why,
        note.owner,
        note.session,
        note.waited_ms,
    )


def authorisation_from(row: Row[Any]) -> AuthorisationNote:
    return AuthorisationNote(
        at=row.at,
        station=StationId(row.station),
        id_token=row.id_token,
        verdict=Verdict(row.verdict),
        why=row.why,
        owner=_id(PartnerId, row.owner),
        session=_id(SessionId, row.session),
        waited_ms=row.waited_ms,
    )


def delivery_values(delivery: Delivery) -> Values:
    return (
        delivery.partner,
        delivery.kind,
        delivery.key,
        delivery.state,
        delivery.seq,
        micros(delivery.at),
        delivery.attempts,
        delivery.place,
        delivery.error,
        _micros(delivery.retry_at),
    )


def delivery_from(row: Row[Any]) -> Delivery:
    return Delivery(
        partner=PartnerId(row.partner),
        kind=row.kind,
        key=row.key,
        state=row.state,
        seq=row.seq,
        at=row.at,
        attempts=row.attempts,
        place=row.place,
        error=row.error,
        retry_at=row.retry_at,
    )


def exchange_values(exchange: Exchange) -> Values:
    return (
        micros(exchange.at),
        exchange.partner,
        exchange.outbound,
        exchange.kind,
        exchange.key,
        exchange.method,
        exchange.url,
        exchange.request,
        exchange.http_status,
        exchange.answer,
        exchange.took_ms,
        exchange.session,
    )


def exchange_from(row: Row[Any]) -> Exchange:
    return Exchange(
        at=row.at,
        partner=PartnerId(row.partner),
        outbound=row.outbound,
        kind=row.kind,
        key=row.key,
        method=row.method,
        url=row.url,
        request=row.request,
        http_status=row.http_status,
        answer=row.answer,
        took_ms=row.took_ms,
        session=_id(SessionId, row.session),
    )


def change_from(row: Row[Any]) -> Change:
    return Change(
        seq=row.seq,
        kind=row.kind,
        key=row.key,
        owner=_id(PartnerId, row.owner),
        last_updated=row.last_updated,
        deleted=row.deleted,
    )


def token_key(token: Token) -> tuple[str, str, str]:
    """What makes a token one token: owner ("" is ours), uid without case, type."""
    return (token.partner or "", token.uid.casefold(), token.type.value)


def _micros(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def _id(kind: Any, value: str | int | None) -> Any:
    return None if value is None else kind(value)
