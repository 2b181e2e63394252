"""What partners, operators and site owners ask of stations.

A wish goes in two steps: ``accept`` decides from memory and makes the promise durable before
anybody hears of it; ``carry_out`` asks the station and keeps the outcome. After a crash the
unfinished ones end as TIMEOUT, told once. "Accepted" is not "done": a remote start without a
session by its deadline becomes a work item.
"""

from __future__ import annotations

import asyncio
import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import assert_never
from uuid import uuid4

from cms.app import failpoints
from cms.app.catalogue import Catalogue
from cms.app.live import LiveState
from cms.app.ports import Clock, StationLink, Store
from cms.app.reservations import Reservations
from cms.app.twins import JOIN_START, Twins
from cms.app.vouching import Vouchers
from cms.app.writes import Audit, CommandRecord, PutCommand, PutWorkItem, Write
from cms.domain.audit import AuditEntry, WorkItem, WorkType
from cms.domain.commands import (
    Answer,
    AskTransaction,
    ChangeAvailability,
    Command,
    Outcome,
    RemoteStart,
    RemoteStop,
    Reset,
    ResetKind,
    Trigger,
    Unlock,
    Wanted,
)
from cms.domain.ids import (
    CommandId,
    EvseRef,
    PartnerId,
    ReservationId,
    SessionId,
    StationId,
    TransactionId,
)
from cms.domain.session import NO_LIMIT, Limit, Session
from cms.domain.status import EvseStatus
from cms.domain.token import Token

START_WINDOW = timedelta(minutes=3)
"""How long after a remote start its session may come (plugging in takes its time)."""

ANSWER_WINDOW = timedelta(seconds=30)
"""How long a station may take to answer any command; announced to partners."""

STARTABLE = frozenset({EvseStatus.AVAILABLE, EvseStatus.OCCUPIED, EvseStatus.RESERVED})

_ALPHABET = string.ascii_uppercase + string.digits


class Refusal(StrEnum):
    """Why a wish is not even tried."""

    UNKNOWN_EVSE = "unknown_evse"
    UNKNOWN_SESSION = "unknown_session"
    UNKNOWN_CONNECTOR = "unknown_connector"
    OFFLINE = "offline"
    BUSY = "busy"
    INOPERATIVE = "inoperative"
    NOT_LIVE = "not_live"
    NOT_YOURS = "not_yours"
    NOT_CAPABLE = "not_capable"
    TOO_OFTEN = "too_often"
    RESERVED = "reserved"
    NOT_RESERVABLE = "not_reservable"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who wants it, and where they want to hear of it.

    Attributes:
        who: ``"partner:<id>"``, ``"key:<id>"``, ``"system"``, ``"cli"``.
        reply_to: opaque to the core; None where nobody waits for an outcome.
    """

    who: str
    reply_to: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StartWish:
    """A remote start as it is asked for.

    Attributes:
        connector: None = the station chooses, or there is only one.
        token: who pays; a copy goes into the session.
        owner: the partner who asks for it; None for our own drivers.
    """

    evse: EvseRef
    token: Token | None
    owner: PartnerId | None = None
    connector: int | None = None
    reference: str | None = None
    limit: Limit = NO_LIMIT


class Remote:
    def __init__(
        self,
        store: Store,
        live: LiveState,
        catalogue: Catalogue,
        link: StationLink,
        clock: Clock,
        reservations: Reservations | None = None,
        vouchers: Vouchers | None = None,
    ) -> None:
        self._store = store
        self._live = live
        self._catalogue = catalogue
        self._link = link
        self._clock = clock
        self.reservations = Reservations() if reservations is None else reservations
        self.vouchers = Vouchers() if vouchers is None else vouchers
        self._starts: dict[str, CommandRecord] = {}
        self._numbers: dict[int, CommandRecord] = {}
        self._reserved: dict[ReservationId, CommandRecord] = {}
        self._claims: dict[EvseRef, CommandId] = {}
        self._twins = Twins()

    # -- accepting

    async def accept_start(self, wish: StartWish, asker: Asker) -> CommandRecord | Refusal:
        """Promise a remote start, or say at once why not. A promise is durable on return.

        The EVSE is claimed in memory first, so that of two wishes at one moment one is refused; the
        same wish once more is promised the outcome of the first.
        """
        record = self._start_record(wish, asker)
        twin = self._twins.like(record, self._clock())
        if twin is not None and await asyncio.shield(twin.promised):
            self._twins.join(record, twin)
            joins = replace(record, verb=JOIN_START, id_token=None, number=None)
            return await self._promise(joins, asker)
        if (refusal := self._why_not(wish)) is not None:
            return refusal
        held = self.reservations.for_token(wish.owner, wish.token, wish.evse)
        if held is not None:  # the station lets nobody else charge there
            token, card = held.hold.id_token, held.hold.card
            record = replace(record, reservation=held.id, presented=token, card=card)
        self._claim(record, wish.evse)
        start = self._twins.begin(record)
        try:
            await self._store.commit(promised(record, asker))
        except BaseException:
            self._release(record)
            start.promised.set_result(False)
            start.answer.cancel()
            raise
        start.promised.set_result(True)
        self.vouchers.vouch(record.station, record.token, record.reference, record.created_at)
        return record

    def _start_record(self, wish: StartWish, asker: Asker) -> CommandRecord:
        return self._record(
            "remote_start",
            wish.evse.station,
            asker,
            START_WINDOW,
            evse=wish.evse.evse,
            connector=wish.connector,
            id_token=draw_id_token(),
            number=secrets.randbelow(2**31 - 1) + 1,
            token=wish.token,
            owner=wish.owner,
            reference=wish.reference,
            limit_wh=wish.limit.energy_wh,
            limit_money=None if wish.limit.money is None else str(wish.limit.money),
            limit_seconds=wish.limit.seconds,
        )

    async def accept_stop(self, session: Session, asker: Asker) -> CommandRecord | Refusal:
        """Promise to stop a running session."""
        if not session.running or session.transaction is None:
            return Refusal.UNKNOWN_SESSION
        if not self._online(session.ref):
            return Refusal.OFFLINE
        return await self._promise(
            self._record(
                "remote_stop",
                session.station,
                asker,
                ANSWER_WINDOW,
                evse=session.evse,
                transaction=session.transaction,
                session=session.id,
                owner=session.owner,
            ),
            asker,
        )

    async def accept_unlock(
        self, evse: EvseRef, connector: int, asker: Asker
    ) -> CommandRecord | Refusal:
        """Promise to try to unlock a connector."""
        place = self._catalogue.place(evse)
        if place is None or place.evse.removed:
            return Refusal.UNKNOWN_EVSE
        if place.evse.connector(connector) is None:
            return Refusal.UNKNOWN_CONNECTOR
        if not self._online(evse):
            return Refusal.OFFLINE
        return await self._promise(
            self._record(
                "unlock",
                evse.station,
                asker,
                ANSWER_WINDOW,
                evse=evse.evse,
                connector=connector,
            ),
            asker,
        )

    async def accept_reset(
        self, station: StationId, kind: ResetKind, asker: Asker
    ) -> CommandRecord | Refusal:
        return await self._accept_for_station(f"reset_{kind}", station, asker)

    async def accept_trigger(
        self, station: StationId, wanted: Wanted, evse: int | None, asker: Asker
    ) -> CommandRecord | Refusal:
        return await self._accept_for_station(f"trigger_{wanted}", station, asker, evse=evse)

    async def accept_availability(
        self, station: StationId, operative: bool, evse: int | None, asker: Asker
    ) -> CommandRecord | Refusal:
        verb = "make_operative" if operative else "make_inoperative"
        return await self._accept_for_station(verb, station, asker, evse=evse)

    async def accept_wish(
        self,
        verb: str,
        evse: EvseRef,
        asker: Asker,
        session: Session | None = None,
        details: Mapping[str, object] | None = None,
    ) -> CommandRecord | Refusal:
        """Promise something about an EVSE that somebody else than us carries out.

        Args:
            details: for the audit, beside what stands in every command's row.
        """
        if not self._online(evse):
            return Refusal.OFFLINE
        record = self._record(
            verb,
            evse.station,
            asker,
            ANSWER_WINDOW,
            evse=evse.evse,
            transaction=None if session is None else session.transaction,
            session=None if session is None else session.id,
            owner=None if session is None else session.owner,
        )
        return await self._promise(record, asker, details)

    # -- carrying out

    async def carry_out(self, record: CommandRecord) -> Answer:
        """Ask the station, keep the outcome, return the station's answer."""
        if record.verb == JOIN_START:
            answer = await self._twins.outcome(record)
        else:
            answer = await self._asked(record)
        failpoints.hit(failpoints.X8)
        await self.finish(record, answer.outcome)
        return answer

    async def _asked(self, record: CommandRecord) -> Answer:
        answer = None
        try:
            answer = await self._link.send(_command_of(record))
        finally:
            self._twins.answered(record, answer)
        return answer

    async def finish(self, record: CommandRecord, outcome: Outcome) -> CommandRecord:
        """Keep how *record* ended. A start that was accepted goes on waiting for its session."""
        done = replace(self._current(record), outcome=str(outcome), finished_at=self._clock())
        await self._store.commit([PutCommand(done)])
        if record.id_token is not None:
            if outcome is Outcome.ACCEPTED or outcome is Outcome.TIMEOUT:
                self._remember(done)  # after a time-out the car may still start (and be billed)
            else:
                self._release(done)
        return done

    async def told(self, record: CommandRecord) -> None:
        """Keep that whoever asked has heard of the outcome (or can never hear of it)."""
        current = await self._store.command(record.id) or record
        await self._store.commit([PutCommand(replace(current, told_at=self._clock()))])

    async def ask_transaction(self, station: StationId, transaction: TransactionId) -> Answer:
        """Ask a station about one of its transactions; nothing is promised to anybody."""
        return await self._link.send(AskTransaction(CommandId(uuid4().hex), station, transaction))

    async def stop_now(self, session: Session, asker: Asker) -> Answer | Refusal:
        """Accept and carry out a stop (limits, power cuts)."""
        accepted = await self.accept_stop(session, asker)
        return accepted if isinstance(accepted, Refusal) else await self.carry_out(accepted)

    # -- matching sessions to starts

    def start_of(self, id_token: str) -> CommandRecord | None:
        """Return the open remote start that drew *id_token*."""
        return self._starts.get(id_token.upper())

    def start_numbered(self, number: int) -> CommandRecord | None:
        return self._numbers.get(number)

    def start_reserved(self, reservation: ReservationId) -> CommandRecord | None:
        """Return the open remote start that was sent with the token of a reservation."""
        return self._reserved.get(reservation)

    def claimed(self, evse: EvseRef) -> bool:
        """Whether a remote start is under way at *evse*."""
        return evse in self._claims

    def started(self, record: CommandRecord, session: SessionId) -> CommandRecord:
        """Return *record* with its session, for the unit that opens the session.

        Once that unit is durable the caller calls ``came_true``.
        """
        return replace(self._current(record), session=session)

    def came_true(self, record: CommandRecord) -> None:
        """The start has its session: the EVSE's claim ends, its idTag keeps its meaning."""
        self._remember(record)
        self._free(record)
        self.vouchers.spent(record.station, record.token)

    # -- time

    async def expire(self) -> None:
        """Turn starts that never became a session into work items; forget old ones."""
        now = self._clock()
        for record in [each for each in self._starts.values() if each.expires_at <= now]:
            self._release(record)
            if record.session is None and record.outcome == Outcome.ACCEPTED:
                await self._store.commit([PutWorkItem(_without_effect(record, now))])

    async def give_up_unfinished(
        self, unfinished: Sequence[CommandRecord]
    ) -> Sequence[CommandRecord]:
        """After a start: what was promised before the stop ends as TIMEOUT. Returns those of which
        nobody has heard yet.

        A remote start's idTag keeps its meaning until its window closes: the charger may have
        heard us, and the session that follows must find its owner.
        """
        ended = []
        self.vouchers.restore(unfinished)
        for record in unfinished:
            done = replace(record, outcome=str(Outcome.TIMEOUT), finished_at=self._clock())
            if record.outcome is None:
                await self._store.commit([PutCommand(done)])
                if record.told_at is None:  # else it was told when its time was over
                    ended.append(done)
            if record.id_token is not None and record.expires_at > self._clock():
                self._remember(done if record.outcome is None else record)
                if record.session is None and record.evse is not None:
                    self._claims.setdefault(EvseRef(record.station, record.evse), record.id)
        return ended

    # -- inside

    def _why_not(self, wish: StartWish) -> Refusal | None:
        place = self._catalogue.place(wish.evse)
        if place is None or place.evse.removed:
            return Refusal.UNKNOWN_EVSE
        if wish.connector is not None and place.evse.connector(wish.connector) is None:
            return Refusal.UNKNOWN_CONNECTOR
        if wish.owner is not None and not place.station.live:
            return Refusal.NOT_LIVE
        if not self._online(wish.evse):
            return Refusal.OFFLINE
        if wish.evse in self._claims or self._serves_somebody(wish.evse):
            return Refusal.BUSY
        held = self.reservations.at(wish.evse)
        if held is not None and not (held.owner == wish.owner and held.may_use(wish.token)):
            return Refusal.RESERVED
        return self._status_refuses(wish.evse, place.station.live)

    def _serves_somebody(self, evse: EvseRef) -> bool:
        """Whether a session runs at *evse* that a remote start cannot take over.

        Some chargers begin their transaction when the car is plugged in (OCPP 2.0.1, F01): the
        remote start then says who pays for it.
        """
        running = self._live.evse(evse).session
        if running is None:
            return False
        session = self._live.session(running)
        return session is None or not session.waits_for_token

    def _status_refuses(self, evse: EvseRef, live: bool) -> Refusal | None:
        status = replace(self._live.evse(evse), live=True, session=None).status
        if status in STARTABLE:
            return None
        if status is EvseStatus.CHARGING:
            return Refusal.BUSY
        return Refusal.INOPERATIVE

    def _online(self, evse: EvseRef) -> bool:
        return self._live.evse(evse).online

    async def _accept_for_station(
        self, verb: str, station: StationId, asker: Asker, evse: int | None = None
    ) -> CommandRecord | Refusal:
        if station not in self._catalogue.stations:
            return Refusal.UNKNOWN_EVSE
        if not any(state.online for state in self._live.station(station)):
            return Refusal.OFFLINE
        return await self._promise(
            self._record(verb, station, asker, ANSWER_WINDOW, evse=evse), asker
        )

    async def _promise(
        self, record: CommandRecord, asker: Asker, details: Mapping[str, object] | None = None
    ) -> CommandRecord:
        await self._store.commit(promised(record, asker, details))
        return record

    def _record(
        self,
        verb: str,
        station: StationId,
        asker: Asker,
        window: timedelta,
        *,
        evse: int | None = None,
        connector: int | None = None,
        transaction: TransactionId | None = None,
        session: SessionId | None = None,
        id_token: str | None = None,
        number: int | None = None,
        token: Token | None = None,
        owner: PartnerId | None = None,
        reference: str | None = None,
        limit_wh: int | None = None,
        limit_money: str | None = None,
        limit_seconds: int | None = None,
    ) -> CommandRecord:
        now = self._clock()
        return CommandRecord(
            CommandId(str(uuid4())),
            verb,
            station,
            asker.who,
            now,
            now + window,
            evse=evse,
            connector=connector,
            transaction=transaction,
            session=session,
            id_token=id_token,
            number=number,
            token=token,
            owner=owner,
            reference=reference,
            limit_wh=limit_wh,
            limit_money=limit_money,
            limit_seconds=limit_seconds,
            reply_to=asker.reply_to,
        )

    def _current(self, record: CommandRecord) -> CommandRecord:
        """The newest copy: a session may have come before the station's own answer."""
        return self._starts.get(record.id_token or "", record)

    def _claim(self, record: CommandRecord, evse: EvseRef) -> None:
        self._claims[evse] = record.id
        self._remember(record)

    def _remember(self, record: CommandRecord) -> None:
        if record.id_token is not None:
            self._starts[record.id_token] = record
        if record.number is not None:
            self._numbers[record.number] = record
        if record.reservation is not None:
            self._reserved[record.reservation] = record

    def _release(self, record: CommandRecord) -> None:
        self._starts.pop(record.id_token or "", None)
        self._numbers.pop(record.number or 0, None)
        if record.reservation is not None:
            self._reserved.pop(record.reservation, None)
        self._free(record)

    def _free(self, record: CommandRecord) -> None:
        ref = EvseRef(record.station, record.evse or 0)
        if self._claims.get(ref) == record.id:
            del self._claims[ref]


def limit_of(record: CommandRecord) -> Limit:
    """Return the limit that a remote start carries."""
    money = None if record.limit_money is None else Decimal(record.limit_money)
    return Limit(record.limit_wh, money, record.limit_seconds)


def draw_id_token() -> str:
    """Draw 16 characters that no card has."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(16))


def promised(
    record: CommandRecord, asker: Asker, details: Mapping[str, object] | None = None
) -> list[Write]:
    """Return the writes by which a command is promised."""
    entry = AuditEntry(
        record.created_at,
        asker.who,
        f"command.{record.verb}",
        f"command:{record.id}",
        after={
            "station": record.station,
            "evse": record.evse,
            "session": record.session,
            "owner": record.owner,
            **(details or {}),
        },
        reason=asker.reason,
    )
    return [PutCommand(record), Audit(entry)]


def _without_effect(record: CommandRecord, now: datetime) -> WorkItem:
    return WorkItem(
        f"start-without-effect:{record.id}",
        WorkType.START_WITHOUT_EFFECT,
        f"command:{record.id}",
        now,
        station=record.station,
        evidence={
            "asked_by": record.asked_by,
            "asked_at": record.created_at.isoformat(),
            "evse": record.evse,
            "explanation": "the station accepted the remote start, and no session came of it",
        },
    )


def _command_of(record: CommandRecord) -> Command:
    """Return what the station is asked, from the durable record."""
    station, evse = record.station, record.evse
    match record.verb.split("_", 1):
        case ["remote", "start"]:
            assert evse is not None and record.id_token is not None and record.number is not None
            return RemoteStart(
                record.id,
                EvseRef(station, evse),
                record.presented or record.id_token,
                record.number,
                record.connector,
                record.card,
            )
        case ["remote", "stop"]:
            assert record.transaction is not None
            return RemoteStop(record.id, station, record.transaction)
        case ["unlock"]:
            return Unlock(record.id, EvseRef(station, evse or 1), record.connector or 1)
        case ["reset", kind]:
            return Reset(record.id, station, ResetKind(kind))
        case ["trigger", wanted]:
            return Trigger(record.id, station, Wanted(wanted), evse)
        case ["make", word]:
            return ChangeAvailability(record.id, station, word == "operative", evse)
        case _:
            raise ValueError(f"no such command: {record.verb}")


def explain(refusal: Refusal) -> str:
    """Say a refusal to a person."""
    match refusal:
        case Refusal.UNKNOWN_EVSE:
            return "no such EVSE"
        case Refusal.UNKNOWN_SESSION:
            return "no such running session"
        case Refusal.UNKNOWN_CONNECTOR:
            return "no such connector"
        case Refusal.OFFLINE:
            return "the station has no connection to us now"
        case Refusal.BUSY:
            return "the EVSE is in use"
        case Refusal.INOPERATIVE:
            return "the EVSE cannot charge now"
        case Refusal.NOT_LIVE:
            return "the station is not in service yet"
        case Refusal.NOT_YOURS:
            return "this session is not yours"
        case Refusal.NOT_CAPABLE:
            return "this EVSE cannot do that"
        case Refusal.TOO_OFTEN:
            return "asked too often; wait a minute"
        case Refusal.RESERVED:
            return "the EVSE is reserved for somebody else"
        case Refusal.NOT_RESERVABLE:
            return "this EVSE cannot be reserved"
    assert_never(refusal)
