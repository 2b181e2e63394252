"""A small network for tests of the use cases: two sites, three stations, a partner, one store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

from cms.app.authorising import Authoriser
from cms.app.catalogue import Catalogue
from cms.app.charging import Charging
from cms.app.charging_rules import ChargingRules
from cms.app.lanes import Lanes
from cms.app.live import LiveState
from cms.app.ports import Frame, JournalEntry, Restored, Visit
from cms.app.remote import Remote
from cms.app.reserving import Reserving
from cms.app.settling import Settling
from cms.app.stations import StationDesk, StationRules, Stations
from cms.app.supervision import Supervisor
from cms.app.writes import (
    CommandRecord,
    Committed,
    DropDocument,
    JoinSession,
    JournalFrame,
    KeepTariff,
    PutCdr,
    PutCommand,
    PutDocument,
    PutEvse,
    PutRecord,
    PutReservation,
    PutSession,
    PutWorkItem,
    SessionProgress,
    Touch,
    Touched,
    Unit,
)
from cms.domain.audit import WorkItem
from cms.domain.cdr import Cdr
from cms.domain.commands import Answer, Command, Outcome
from cms.domain.errors import StoreDown, UnitRefused
from cms.domain.ids import (
    EvseRef,
    EvseUid,
    LocationId,
    PartnerId,
    ReservationId,
    SessionId,
    StationId,
    TariffHash,
    TariffId,
    TransactionId,
)
from cms.domain.meter import Quantity, Sample
from cms.domain.partner import Partner, PartnerState
from cms.domain.reservation import Reservation
from cms.domain.session import OPEN, Session
from cms.domain.status import EvseState
from cms.domain.tariff import Basis, Dimension, Element, PriceComponent, Tariff, Tax
from cms.domain.token import Decision, Token, TokenType, Whitelist
from cms.domain.topology import (
    ChargingStation,
    Connector,
    ConnectorFormat,
    Coordinates,
    Evse,
    Location,
    PowerType,
    StationRecord,
)
from cms.domain.transaction import EventKind, TransactionEvent

T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
SITE = LocationId("SITE")
CS1, CS2, CS3 = StationId("CS1"), StationId("CS2"), StationId("CS3")
EMS = PartnerId("IN*EMS")


class TinyStore:
    """As much of the ``Store`` port as the use cases need, in dictionaries.

    Attributes:
        down: every commit raises ``StoreDown``.
        refuse: a unit for which this returns True raises ``UnitRefused``.
        commits: how many units were written.
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self.down = False
        self.healthy = True
        self.refuse: Any = lambda unit: False
        self.commits = 0
        self.frames: list[JournalFrame] = []
        self.by_key: dict[bytes, JournalFrame] = {}
        self.rows: dict[SessionId, Session] = {}
        self.evses: dict[EvseRef, EvseState] = {}
        self.records: dict[StationId, StationRecord] = {}
        self.bills: dict[str, Cdr] = {}
        self.tariffs: dict[TariffHash, Tariff] = {}
        self.items: dict[str, WorkItem] = {}
        self.starts: dict[str, CommandRecord] = {}
        self.reserved: dict[ReservationId, Reservation] = {}
        self.units: list[Unit] = []
        self.seq = 0

    async def commit(self, unit: Unit) -> Committed:
        await asyncio.sleep(0)
        if self.down:
            raise StoreDown
        if self.refuse(unit):
            raise UnitRefused("refused by the test")
        for write in unit:
            if isinstance(write, JournalFrame) and write.key in self.by_key:
                known = self.by_key[write.key]
                return Committed(known.ack, known.session)
        self._check(unit)
        self.commits += 1
        self.units.append(unit)
        touched = [made for write in unit if (made := self._write(write)) is not None]
        return Committed(touched=tuple(touched))

    def _check(self, unit: Unit) -> None:
        gone = [write.gone for write in unit if isinstance(write, JoinSession)]
        for write in unit:
            if isinstance(write, PutSession) and write.session.transaction is not None:
                new = write.session
                for known in self.rows.values():
                    same = (known.station, known.transaction) == (new.station, new.transaction)
                    if same and known.id not in (new.id, *gone):
                        raise UnitRefused("transaction is not unique")
            if isinstance(write, PutCdr) and write.cdr.id in self.bills:
                raise UnitRefused("a bill is never replaced")

    def _write(self, write: object) -> Touched | None:
        match write:
            case JournalFrame():
                self.frames.append(write)
                if write.key is not None:
                    self.by_key[write.key] = write
            case PutSession(session):
                self.rows[session.id] = session
            case JoinSession(gone, into):
                self.frames = [
                    replace(each, session=into) if each.session == gone else each
                    for each in self.frames
                ]
                del self.rows[gone]
            case PutReservation(reservation):
                self.reserved[reservation.id] = reservation
            case SessionProgress():
                names = [name for name in write.__slots__ if name != "id"]
                change = {name: getattr(write, name) for name in names}
                self.rows[write.id] = replace(self.rows[write.id], **change)
            case PutEvse(state):
                self.evses[state.ref] = state
            case PutRecord(record):
                self.records[record.id] = record
            case PutCdr(cdr):
                self.bills[cdr.id] = cdr
            case KeepTariff(hash, tariff):
                self.tariffs[hash] = tariff
            case PutCommand(command):
                self.starts[command.id] = command
            case PutWorkItem(item):
                known = self.items.get(item.id)
                if known is None or item.closed_at is not None:
                    self.items[item.id] = item
            case Touch():
                self.seq += 1
                return Touched(write.kind, write.key, self.seq, self._clock())
        return None

    async def session_of(self, station: StationId, transaction: TransactionId) -> Session | None:
        return next(
            (s for s in self.rows.values() if (s.station, s.transaction) == (station, transaction)),
            None,
        )

    async def documents(self, kind: str) -> Mapping[str, bytes]:
        kept: dict[str, bytes] = {}
        for write in (each for unit in self.units for each in unit):
            if isinstance(write, PutDocument) and write.kind == kind:
                kept[write.key] = write.body
            elif isinstance(write, DropDocument) and write.kind == kind:
                kept.pop(write.key, None)
        return kept

    async def session(self, id: SessionId) -> Any:
        found = self.rows.get(id)
        return None if found is None else type("Dated", (), {"session": found})()

    async def journal(self, session: SessionId) -> Sequence[JournalEntry]:
        return [
            JournalEntry(number, frame)
            for number, frame in enumerate(self.frames)
            if frame.session == session
        ]

    async def journal_entry(self, id: int) -> JournalEntry | None:
        return JournalEntry(id, self.frames[id])

    async def due_for_settling(self, now: datetime, limit: int) -> Sequence[Session]:
        return [
            session
            for session in self.rows.values()
            if session.status == "stopped"
            and session.settle_after is not None
            and session.settle_after <= now
        ][:limit]

    async def tariff_snapshot(self, hash: TariffHash) -> Tariff | None:
        return self.tariffs.get(hash)

    async def cdr_of(self, session: SessionId) -> Any:
        found = next((cdr for cdr in self.bills.values() if cdr.session == session), None)
        return None if found is None else type("DatedCdr", (), {"cdr": found})()

    async def commands_of(
        self, station: StationId, since: datetime, until: datetime
    ) -> Sequence[CommandRecord]:
        return [
            each
            for each in self.starts.values()
            if each.station == station and since <= each.created_at <= until
        ]

    async def command(self, id: str) -> CommandRecord | None:
        return self.starts.get(id)

    async def reservation(self, id: ReservationId) -> Reservation | None:
        return self.reserved.get(id)

    async def work_items(self, open_only: bool, page: Any) -> Sequence[WorkItem]:
        return [each for each in self.items.values() if not (open_only and each.closed_at)]

    async def work_item(self, id: str) -> WorkItem | None:
        return self.items.get(id)

    async def restore(self) -> Restored:
        return Restored(
            records=tuple(self.records.values()),
            evses=tuple(self.evses.values()),
            snapshots=dict(self.tariffs),
            open_sessions=tuple(s for s in self.rows.values() if s.status in OPEN),
            unfinished_commands=tuple(self.starts.values()),
            reservations=tuple(
                each for each in self.reserved.values() if each.live or each.owed or each.unheard
            ),
            open_work=tuple(each for each in self.items.values() if each.closed_at is None),
        )


class Link:
    """Answers what the test says; remembers what was asked."""

    def __init__(self) -> None:
        self.sent: list[Command] = []
        self.answer = Answer(Outcome.ACCEPTED)

    async def send(self, command: Command) -> Answer:
        self.sent.append(command)
        return self.answer

    async def disconnect(self, station: StationId, why: str) -> None:
        """Nobody is connected by a socket here."""


class Partners:
    """A partner's real-time authorisation."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: Decision | None = None

    async def authorise(
        self, partner: PartnerId, token: Token | None, uid: str, where: EvseRef | None
    ) -> Decision | None:
        self.asked.append(uid)
        return self.answer


class World:
    """Everything wired, with a clock that the test moves."""

    def __init__(self, store: TinyStore | None = None, rules: ChargingRules = ChargingRules()):
        self.now = T0
        self.ticks = 0.0
        self.store = store or TinyStore(lambda: self.now)
        self.live = LiveState()
        self.lanes = Lanes()
        self.catalogue = catalogue()
        self.link = Link()
        self.partners = Partners()
        self.remote = Remote(self.store, self.live, self.catalogue, self.link, self.clock)  # type: ignore[arg-type]
        self.tokens = Authoriser(
            self.catalogue,
            self.partners,
            self.remote.start_of,
            self.clock,
            Supervisor().errand,
            card_of=self.remote.reservations.card,
        )
        self.charging = Charging(
            self.store,  # type: ignore[arg-type]
            self.live,
            self.catalogue,
            self.lanes,
            self.tokens,
            self.remote,
            self.clock,
            rules,
        )
        self.stations = Stations(
            self.store,  # type: ignore[arg-type]
            self.live,
            self.catalogue,
            self.lanes,
            self.clock,
            StationRules(),
            now=lambda: self.ticks,
        )
        self.desk = StationDesk(self.stations, self.charging)
        self.settling = Settling(
            self.store,  # type: ignore[arg-type]
            self.live,
            self.catalogue,
            self.lanes,
            self.charging,
            self.remote,
            self.clock,
        )
        self.reserving = Reserving(
            self.store,  # type: ignore[arg-type]
            self.live,
            self.catalogue,
            self.lanes,
            self.remote,
            self.charging.terms,
            self.settling,
            self.link,
            self.clock,
        )
        self.desk.reserving = self.reserving
        self._frames = 0

    def clock(self) -> datetime:
        return self.now

    def later(self, **more: float) -> datetime:
        self.now += timedelta(**more)
        self.ticks += timedelta(**more).total_seconds()
        return self.now

    async def restarted(self) -> World:
        """The same store under a new process."""
        other = World(self.store)
        other.now, other.ticks = self.now, self.ticks
        self.store._clock = other.clock
        kept = await self.store.restore()
        other.catalogue.records.update((record.id, record) for record in kept.records)
        other.desk.restore(kept)
        await other.settling.restore(kept)
        await other.reserving.restore(kept)
        await other.remote.give_up_unfinished(kept.unfinished_commands)
        return other

    def bill(self) -> Cdr:
        (bill,) = self.store.bills.values()
        return bill

    def session(self, index: int = 0) -> Session:
        """The session that began as the *index*-th, as the store has it."""
        return list(self.store.rows.values())[index]

    def frame(self, visit: Visit, action: str = "Call", key: bytes | None = None) -> Frame:
        self._frames += 1
        raw = f"[2,{self._frames}]".encode()
        return Frame(visit, action, raw, self.now, key)

    # -- what a charger with given numbers says

    async def start(
        self,
        visit: Visit,
        token: str = "CARD",
        wh: int = 1000,
        evse: int = 1,
        at: datetime | None = None,
        **more: Any,
    ) -> Any:
        event = self.event(EventKind.STARTED, at, evse=evse, id_token=token, register_wh=wh, **more)
        return await self.desk.transaction(self.frame(visit, "Start", event.content), None, event)

    async def samples(
        self, visit: Visit, transaction: str | None, wh: int, evse: int = 1, **more: Any
    ) -> None:
        sample = Sample(self.now, Quantity.ENERGY_REGISTER, wh)
        event = self.event(EventKind.UPDATED, None, samples=(sample,), **more)
        name = None if transaction is None else TransactionId(transaction)
        await self.desk.meter_values(self.frame(visit, "Meter", event.content), evse, name, event)

    async def stop(
        self,
        visit: Visit,
        transaction: str | None,
        wh: int = 8000,
        at: datetime | None = None,
        **more: Any,
    ) -> Any:
        event = self.event(EventKind.ENDED, at, register_wh=wh, **more)
        name = None if transaction is None else TransactionId(transaction)
        return await self.desk.transaction(self.frame(visit, "Stop", event.content), name, event)

    async def tell(self, visit: Visit, transaction: str, kind: EventKind, **more: Any) -> Any:
        """One event of a charger that numbers its transactions itself."""
        event = self.event(kind, more.pop("at", None), **more)
        frame = self.frame(visit, "Event", event.content)
        return await self.desk.transaction(frame, TransactionId(transaction), event)

    def event(self, kind: EventKind, at: datetime | None, **more: Any) -> TransactionEvent:
        at = at or self.now
        content = sha256(repr((kind, at, sorted(more.items(), key=str))).encode()).digest()
        return replace(TransactionEvent(kind, at, self.now, content), **more)


def catalogue() -> Catalogue:
    kept = Catalogue()
    kept.put_location(
        Location(
            SITE,
            PartnerId("IN*CPO"),
            "1 Road",
            "Pune",
            "IND",
            Coordinates(Decimal("18.5"), Decimal("73.8")),
            "Asia/Kolkata",
        )
    )
    for station in (CS1, CS2, CS3):
        kept.put_station(ChargingStation(station, SITE, tuple(_evse(station, n) for n in (1, 2))))
    kept.tariffs[TARIFF.id] = TARIFF
    kept.partners[EMS] = Partner(EMS, "EMS", PartnerState.CONNECTED)
    kept.put_token(token("CARD"))
    kept.put_token(token("ROAM", EMS))
    kept.put_token(replace(token("ASK", EMS), whitelist=Whitelist.NEVER))
    kept.put_token(replace(token("BAD"), valid=False))
    return kept


def token(uid: str, partner: PartnerId | None = None) -> Token:
    return Token(partner, uid, TokenType.RFID, f"IN-{uid}", "Issuer", True, Whitelist.ALWAYS)


TARIFF = Tariff(
    TariffId("AC-18"),
    "INR",
    (Element((PriceComponent(Dimension.ENERGY, Decimal("18.00")),)),),
    Basis.GROSS,
    (Tax("GST", Decimal(18)),),
)


def _evse(station: StationId, number: int) -> Evse:
    connector = Connector(
        1, "IEC_62196_T2", ConnectorFormat.SOCKET, PowerType.AC_3_PHASE, 230, 32, None, (TARIFF.id,)
    )
    return Evse(EvseRef(station, number), EvseUid(f"{station}-{number}"), (connector,))
