"""The ``Store`` port in memory: for tests of use cases and for trying things out. Not durable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from cms.app import writes as w
from cms.app.ports import (
    CdrQuery,
    Change,
    Clock,
    Dated,
    DatedCdr,
    JournalEntry,
    Page,
    Restored,
    SessionQuery,
)
from cms.app.vouching import VOUCHED
from cms.app.writes import (
    AuthorisationNote,
    CommandRecord,
    Committed,
    Delivery,
    Exchange,
    Touched,
    Unit,
)
from cms.domain.audit import AuditEntry, WorkItem
from cms.domain.cdr import Cdr
from cms.domain.errors import StoreDown, UnitRefused
from cms.domain.ids import (
    CdrId,
    LocationId,
    PartnerId,
    ReservationId,
    SessionId,
    StationId,
    TariffHash,
    TransactionId,
)
from cms.domain.partner import ApiKey, Partner
from cms.domain.reservation import Reservation
from cms.domain.session import OPEN, Session, SessionStatus
from cms.domain.status import EvseState
from cms.domain.tariff import Tariff
from cms.domain.tariff_choice import TariffRule
from cms.domain.token import Token
from cms.domain.topology import ChargingStation, Location, StationKey, StationRecord
from cms.store.codec import token_key
from cms.store.group import keyed_frame

T = TypeVar("T")
_MILLISECOND = timedelta(milliseconds=1)


class MemoryStore:
    """Keeps every value in a dictionary. Commits are atomic because nothing awaits in them.

    Attributes:
        healthy: set it to False to make the store refuse everything with ``StoreDown``.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.healthy = True
        self.seq = 0
        self.frames: list[JournalEntry] = []
        self._by_key: dict[bytes, w.JournalFrame] = {}
        self.feed: dict[tuple[str, str], Change] = {}
        self._sessions: dict[SessionId, Session] = {}
        self._cdrs: dict[CdrId, Cdr] = {}
        self._snapshots: dict[TariffHash, Tariff] = {}
        self._evses: dict[str, EvseState] = {}
        self._records: dict[StationId, StationRecord] = {}
        self._locations: dict[str, Location] = {}
        self._stations: dict[StationId, ChargingStation] = {}
        self._keys: dict[StationId, StationKey] = {}
        self._tariffs: dict[str, Tariff] = {}
        self._rules: dict[str, TariffRule] = {}
        self._tokens: dict[tuple[str, str, str], Token] = {}
        self._partners: dict[PartnerId, Partner] = {}
        self._api_keys: dict[str, ApiKey] = {}
        self._commands: dict[str, CommandRecord] = {}
        self._reservations: dict[ReservationId, Reservation] = {}
        self._audit: list[AuditEntry] = []
        self._work: dict[str, WorkItem] = {}
        self._notes: list[AuthorisationNote] = []
        self._cursors: dict[PartnerId, dict[str, int]] = {}
        self._deliveries: dict[tuple[PartnerId, str, str], Delivery] = {}
        self._exchanges: list[Exchange] = []
        self._documents: dict[tuple[str, str], bytes] = {}

    async def commit(self, unit: Unit) -> Committed:
        self._check_up()
        frame = keyed_frame(unit)
        if frame is not None and frame.key is not None:
            if (first := self._by_key.get(frame.key)) is not None:
                return Committed(first.ack, first.session)
            self._check(unit)
            self._by_key[frame.key] = frame
        else:
            self._check(unit)
        for write in unit:
            self._apply(write)
        return Committed(touched=self._touch([x for x in unit if isinstance(x, w.Touch)]))

    def _check_up(self) -> None:
        if not self.healthy:
            raise StoreDown("the store is down")

    def _check(self, unit: Unit) -> None:
        """Refuse a unit that breaks a constraint, before anything of it is written."""
        bills: set[CdrId] = set(self._cdrs)
        gone = {write.gone for write in unit if isinstance(write, w.JoinSession)}
        for write in unit:
            if isinstance(write, w.PutCdr):
                if write.cdr.id in bills:
                    raise UnitRefused(f"cdr {write.cdr.id} exists")
                bills.add(write.cdr.id)
            elif isinstance(write, w.PutSession):
                self._check_transaction(write.session, gone)
            elif isinstance(write, w.PutCommand) and write.command.id_token is not None:
                self._check_id_token(write.command)

    def _check_transaction(self, new: Session, gone: AbstractSet[SessionId]) -> None:
        for old in self._sessions.values():
            same = (old.station, old.transaction) == (new.station, new.transaction)
            other = old.id != new.id and old.id not in gone
            if new.transaction is not None and same and other:
                raise UnitRefused(f"transaction {new.transaction} of {new.station} exists")

    def _check_id_token(self, new: CommandRecord) -> None:
        for old in self._commands.values():
            if old.id_token == new.id_token and old.id != new.id:
                raise UnitRefused(f"id_token {new.id_token} is drawn already")

    def _apply(self, write: w.Write) -> None:
        match write:
            case w.JournalFrame():
                self.frames.append(JournalEntry(len(self.frames) + 1, write))
            case w.Touch():
                pass  # last, all together
            case w.PutSession(session):
                self._sessions[session.id] = session
            case w.JoinSession(gone, into):
                self.frames = [_joined(each, gone, into) for each in self.frames]
                self._sessions.pop(gone, None)
            case w.SessionProgress():
                self._progress(write)
            case w.PutCdr(cdr):
                self._cdrs[cdr.id] = cdr
            case w.KeepTariff(hash, tariff):
                self._snapshots.setdefault(hash, tariff)
            case w.PutEvse(state):
                self._evses[str(state.ref)] = state
            case w.PutRecord(record):
                before = self._records.get(record.id)
                if before is None or before.visit <= record.visit:
                    self._records[record.id] = record
            case w.PutCommand(command):
                self._commands[command.id] = command
            case w.PutReservation(reservation):
                self._reservations[reservation.id] = reservation
            case w.Audit(entry):
                self._audit.append(entry)
            case w.PutWorkItem(item):
                self._put_work(item)
            case w.AuthorisationNote():
                self._notes.append(write)
            case w.KeepExchange(exchange):
                self._exchanges.append(exchange)
            case w.PutCursor(partner, stream, seq):
                self._cursors.setdefault(partner, {})[stream] = seq
            case w.PutDelivery(delivery):
                self._deliveries[delivery.partner, delivery.kind, delivery.key] = delivery
            case w.PutDocument(kind, key, body):
                self._documents[kind, key] = body
            case w.DropDocument(kind, key):
                self._documents.pop((kind, key), None)
            case _:
                self._apply_catalogue(write)

    def _apply_catalogue(self, write: w.Write) -> None:
        match write:
            case w.PutLocation(location):
                self._locations[location.id] = location
            case w.PutStation(station):
                self._stations[station.id] = station
            case w.PutStationKey(key):
                self._keys[key.station] = key
            case w.PutTariff(tariff):
                self._tariffs[tariff.id] = tariff
            case w.DropTariff(id):
                self._tariffs.pop(id, None)
            case w.PutTariffRule(rule):
                self._rules[rule.id] = rule
            case w.DropTariffRule(rule_id):
                self._rules.pop(rule_id, None)
            case w.PutToken(token):
                self._tokens[token_key(token)] = token
            case w.PutPartner(partner):
                self._partners[partner.id] = partner
            case w.PutApiKey(api_key):
                self._api_keys[api_key.id] = api_key
            case _:
                raise UnitRefused(f"{type(write).__name__} is no write")

    def _progress(self, new: w.SessionProgress) -> None:
        if (session := self._sessions.get(new.id)) is not None:
            self._sessions[new.id] = replace(
                session,
                status=new.status,
                last_wh=new.last_wh,
                last_at=new.last_at,
                delivered_wh=new.delivered_wh,
                power_w=new.power_w,
                charging=new.charging,
                touched_at=new.touched_at,
                flags=new.flags,
                activated_at=new.activated_at,
            )

    def _put_work(self, item: WorkItem) -> None:
        before = self._work.get(item.id)
        if before is None or before.closed_at is not None or item.closed_at is not None:
            self._work[item.id] = item

    def _touch(self, touches: Sequence[w.Touch]) -> tuple[Touched, ...]:
        now = self._clock()
        last = {(touch.kind, touch.key): touch for touch in touches}
        for seq, ((kind, key), touch) in enumerate(last.items(), self.seq + 1):
            before = self.feed.get((kind, key))
            at = now if before is None else max(now, before.last_updated + _MILLISECOND)
            self.feed[kind, key] = Change(seq, kind, key, touch.owner, at, touch.deleted)
        self.seq += len(last)
        places = [self.feed[touch.kind, touch.key] for touch in touches]
        return tuple(Touched(each.kind, each.key, each.seq, each.last_updated) for each in places)

    # -- reads

    async def restore(self) -> Restored:
        self._check_up()
        open_ = [each for each in self._in_order() if each.status in OPEN]
        used = {each.tariff for each in open_}
        used |= {switch.tariff for each in open_ for switch in each.switches}
        open_ids: set[str] = {each.id for each in open_}
        return Restored(
            locations=_created(self._locations),
            stations=_created(self._stations),
            records=[self._records[id] for id in sorted(self._records)],
            keys=list(self._keys.values()),
            evses=[self._evse(ref) for ref in sorted(self._evses)],
            tariffs=list(self._tariffs.values()),
            rules=list(self._rules.values()),
            snapshots={hash: each for hash, each in self._snapshots.items() if hash in used},
            tokens=list(self._tokens.values()),
            partners=_created(self._partners),
            api_keys=_created(self._api_keys),
            open_sessions=open_,
            unfinished_commands=[x for x in self._commands_in_order() if self._unfinished(x)],
            reservations=[x for x in _created(self._reservations) if _waits(x)],
            open_work=[item for item in self._work_in_order() if item.closed_at is None],
            last_updated={
                thing: change.last_updated
                for thing, change in self.feed.items()
                if thing[0] in ("location", "evse", "tariff")
                or (thing[0] == "session" and thing[1] in open_ids)
            },
        )

    def _evse(self, ref: str) -> EvseState:
        seen = self.feed.get(("evse", ref))
        return replace(self._evses[ref], last_updated=None if seen is None else seen.last_updated)

    def _unfinished(self, command: CommandRecord) -> bool:
        waits = command.id_token is not None or (
            command.reply_to is not None and command.told_at is None
        )
        if command.id_token is not None and command.created_at > self._clock() - VOUCHED:
            return True
        return command.outcome is None or (command.expires_at > self._clock() and waits)

    async def changes(
        self, owner: PartnerId | None, kinds: Sequence[str], after: int, limit: int
    ) -> Sequence[Change]:
        self._check_up()
        found = [
            change
            for change in self.feed.values()
            if change.seq > after and change.kind in kinds and change.owner in (None, owner)
        ]
        return sorted(found, key=lambda change: change.seq)[:limit]

    async def unseen(
        self, owner: PartnerId | None, kinds: Sequence[str], after: int
    ) -> tuple[int, datetime | None]:
        self._check_up()
        found = [
            change.last_updated
            for change in self.feed.values()
            if change.seq > after and change.kind in kinds and change.owner in (None, owner)
        ]
        return len(found), min(found, default=None)

    async def cursors(self, partner: PartnerId) -> Mapping[str, int]:
        self._check_up()
        return dict(self._cursors.get(partner, {}))

    async def head(self) -> int:
        self._check_up()
        return self.seq

    async def delivery(self, partner: PartnerId, kind: str, key: str) -> Delivery | None:
        self._check_up()
        return self._deliveries.get((partner, kind, key))

    async def deliveries(self, partner: PartnerId, state: str) -> Sequence[Delivery]:
        self._check_up()
        found = [x for x in self._deliveries.values() if (x.partner, x.state) == (partner, state)]
        return sorted(found, key=lambda each: (each.seq, each.key))

    async def deliveries_with(
        self, partner: PartnerId, kind: str, keys: Sequence[str]
    ) -> Mapping[str, Delivery]:
        self._check_up()
        found = ((key, self._deliveries.get((partner, kind, key))) for key in keys)
        return {key: each for key, each in found if each is not None}

    async def documents(self, kind: str) -> Mapping[str, bytes]:
        self._check_up()
        return {key: body for (of, key), body in sorted(self._documents.items()) if of == kind}

    async def session(self, id: SessionId) -> Dated | None:
        self._check_up()
        session = self._sessions.get(id)
        return None if session is None else self._dated(session)

    async def sessions_with(self, ids: Sequence[SessionId]) -> Mapping[SessionId, Dated]:
        self._check_up()
        return {id: self._dated(self._sessions[id]) for id in ids if id in self._sessions}

    async def session_of(self, station: StationId, transaction: TransactionId) -> Session | None:
        self._check_up()
        same = (
            each
            for each in self._sessions.values()
            if (each.station, each.transaction) == (station, transaction)
        )
        return next(same, None)

    async def sessions(self, query: SessionQuery) -> tuple[Sequence[Dated], int]:
        self._check_up()
        dated = (self._dated(session) for session in self._in_order())
        return _page((x for x in dated if _asked(x, query)), query.newest_first, query.page)

    async def due_for_settling(self, now: datetime, limit: int) -> Sequence[Session]:
        self._check_up()
        due = [
            (session.settle_after, session.id, session)
            for session in self._sessions.values()
            if session.status is SessionStatus.STOPPED
            and session.settle_after is not None
            and session.settle_after <= now
        ]
        return [session for _, _, session in sorted(due, key=lambda x: x[:2])[:limit]]

    def _in_order(self) -> list[Session]:
        return sorted(self._sessions.values(), key=lambda each: (each.received_at, each.id))

    def _dated(self, session: Session) -> Dated:
        seen = self.feed.get(("session", session.id))
        return Dated(session, session.received_at if seen is None else seen.last_updated)

    async def cdr(self, id: CdrId) -> DatedCdr | None:
        self._check_up()
        cdr = self._cdrs.get(id)
        return None if cdr is None else self._dated_cdr(cdr)

    async def cdr_of(self, session: SessionId) -> DatedCdr | None:
        self._check_up()
        bills = [x for x in self._bills() if x.cdr.session == session and not x.cdr.credit]
        return bills[-1] if bills else None

    async def cdrs_with(self, ids: Sequence[CdrId]) -> Mapping[CdrId, DatedCdr]:
        self._check_up()
        return {id: self._dated_cdr(self._cdrs[id]) for id in ids if id in self._cdrs}

    async def cdrs_of(self, sessions: Sequence[SessionId]) -> Mapping[SessionId, DatedCdr]:
        self._check_up()
        wanted = set(sessions)
        bills = (each for each in self._bills() if not each.cdr.credit)
        return {each.cdr.session: each for each in bills if each.cdr.session in wanted}

    async def cdrs(self, query: CdrQuery) -> tuple[Sequence[DatedCdr], int]:
        self._check_up()
        bills = (bill for bill in self._bills() if _asked_bill(bill, query))
        return _page(bills, query.newest_first, query.page)

    def _bills(self) -> list[DatedCdr]:
        bills = sorted(self._cdrs.values(), key=lambda each: (each.created_at, each.id))
        return [self._dated_cdr(cdr) for cdr in bills]

    def _dated_cdr(self, cdr: Cdr) -> DatedCdr:
        seen = self.feed.get(("cdr", cdr.id))
        return DatedCdr(cdr, cdr.created_at if seen is None else seen.last_updated, cdr.created_at)

    async def journal(self, session: SessionId) -> Sequence[JournalEntry]:
        self._check_up()
        return [entry for entry in self.frames if entry.frame.session == session]

    async def journal_entry(self, id: int) -> JournalEntry | None:
        self._check_up()
        return self.frames[id - 1] if 0 < id <= len(self.frames) else None

    async def journal_of(
        self, station: StationId, since: datetime, until: datetime, limit: int
    ) -> Sequence[JournalEntry]:
        self._check_up()
        found = [
            entry
            for entry in self.frames
            if entry.frame.station == station and since <= entry.frame.received_at <= until
        ]
        return sorted(found, key=lambda entry: entry.frame.received_at)[:limit]

    async def tariff_snapshot(self, hash: TariffHash) -> Tariff | None:
        self._check_up()
        return self._snapshots.get(hash)

    async def command(self, id: str) -> CommandRecord | None:
        self._check_up()
        return self._commands.get(id)

    async def command_of_reply(self, asked_by: str, reply_to: str) -> CommandRecord | None:
        self._check_up()
        asked = [
            each
            for each in self._commands_in_order()
            if (each.asked_by, each.reply_to) == (asked_by, reply_to)
        ]
        return asked[-1] if asked else None

    async def reservation(self, id: ReservationId) -> Reservation | None:
        self._check_up()
        return self._reservations.get(id)

    async def reservations(
        self, page: Page, sites: frozenset[LocationId] | None = None
    ) -> Sequence[Reservation]:
        self._check_up()
        newest = [
            each
            for each in sorted(self._reservations.values(), key=lambda x: (x.created_at, x.id))
            if sites is None or each.location in sites
        ][::-1]
        return newest[page.offset : page.offset + page.limit]

    async def commands_of_session(self, session: SessionId) -> Sequence[CommandRecord]:
        self._check_up()
        return [each for each in self._commands_in_order() if each.session == session]

    async def commands_of(
        self, station: StationId, since: datetime, until: datetime
    ) -> Sequence[CommandRecord]:
        self._check_up()
        return [
            each
            for each in self._commands_in_order()
            if each.station == station and since <= each.created_at <= until
        ]

    def _commands_in_order(self) -> list[CommandRecord]:
        return sorted(self._commands.values(), key=lambda each: (each.created_at, each.id))

    async def audit(self, subject: str | None, page: Page) -> Sequence[AuditEntry]:
        self._check_up()
        found = [x for x in reversed(self._audit) if subject is None or x.subject == subject]
        return _window(found, page)

    async def work_items(
        self, open_only: bool, page: Page, subject: str | None = None
    ) -> Sequence[WorkItem]:
        self._check_up()
        found = [
            each
            for each in self._work_in_order()
            if (each.closed_at is None or not open_only) and subject in (None, each.subject)
        ]
        return _window(found, page)

    def _work_in_order(self) -> list[WorkItem]:
        return sorted(self._work.values(), key=lambda each: (each.opened_at, each.id))

    async def work_item(self, id: str) -> WorkItem | None:
        self._check_up()
        return self._work.get(id)

    async def authorisations(
        self, station: StationId, since: datetime, until: datetime
    ) -> Sequence[AuthorisationNote]:
        self._check_up()
        found = [x for x in self._notes if x.station == station and since <= x.at <= until]
        return sorted(found, key=lambda note: note.at)

    async def exchanges(
        self, session: SessionId | None = None, partner: PartnerId | None = None, limit: int = 200
    ) -> Sequence[Exchange]:
        self._check_up()
        found = [
            each
            for each in self._exchanges
            if session in (None, each.session) and partner in (None, each.partner)
        ]
        return found[-limit:]

    async def exchanges_about(self, kind: str, key: str) -> Sequence[Exchange]:
        self._check_up()
        return [each for each in self._exchanges if (each.kind, each.key) == (kind, key)]


def _joined(entry: JournalEntry, gone: SessionId, into: SessionId) -> JournalEntry:
    if entry.frame.session != gone:
        return entry
    return replace(entry, frame=replace(entry.frame, session=into))


def _waits(own: Reservation) -> bool:
    """Whether a reservation lives, or something is owed to a station or a partner."""
    return own.live or own.owed or own.unheard


def _created(values: Mapping[Any, T]) -> list[T]:
    """In order of creation where that is told, else of insertion."""
    first = datetime.min.replace(tzinfo=UTC)

    def created(value: Any) -> datetime:
        at: datetime | None = value.created_at
        return first if at is None else at

    return sorted(values.values(), key=created)


def _page(found: Iterable[T], newest_first: bool, page: Page) -> tuple[Sequence[T], int]:
    everything = list(found)
    if newest_first:
        everything.reverse()
    return _window(everything, page), len(everything)


def _window(found: Sequence[T], page: Page) -> Sequence[T]:
    return found[page.offset : page.offset + page.limit]


def _asked(dated: Dated, query: SessionQuery) -> bool:
    session = dated.session
    token = session.token
    checks: tuple[Callable[[], bool], ...] = (
        lambda: query.owned_by is None or session.owner == query.owned_by,
        lambda: query.owners is None or session.owner in query.owners,
        lambda: query.sites is None or session.location in query.sites,
        lambda: query.station is None or session.station == query.station,
        lambda: query.evse is None or session.evse == query.evse,
        lambda: query.status is None or session.status in query.status,
        lambda: _within(session.started_at, query.started_from, query.started_to),
        lambda: _within(dated.last_updated, query.updated_from, query.updated_to),
        lambda: (
            query.id_token is None
            or query.id_token in (session.id_token, token.uid if token else None)
        ),
        lambda: query.reference is None or session.reference == query.reference,
    )
    return all(check() for check in checks)


def _asked_bill(dated: DatedCdr, query: CdrQuery) -> bool:
    cdr = dated.cdr
    return (
        (query.owned_by is None or cdr.owner == query.owned_by)
        and (query.owners is None or cdr.owner in query.owners)
        and (query.sites is None or cdr.place.location in query.sites)
        and (query.session is None or cdr.session == query.session)
        and _within(cdr.ended_at, query.ended_from, query.ended_to)
        and _within(dated.last_updated, query.updated_from, query.updated_to)
    )


def _within(at: datetime, begin: datetime | None, end: datetime | None) -> bool:
    return (begin is None or at >= begin) and (end is None or at < end)
