"""The reads: SQLAlchemy Core on a pool of connections of their own, never on the writer's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

import asyncpg
from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    func,
    or_,
    select,
    union_all,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

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
from cms.app.writes import AuthorisationNote, CommandRecord, Delivery, Exchange
from cms.domain.audit import AuditEntry, WorkItem
from cms.domain.errors import StoreDown
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
from cms.domain.reservation import Reservation
from cms.domain.session import Session
from cms.domain.status import EvseState
from cms.domain.tariff import Tariff
from cms.store import codec
from cms.store import tables as t

BILLS_IN_A_ROW = 1


@cache
def _changes(owned: bool, kinds: tuple[str, ...]) -> Select[Any]:
    """Return the statement that reads the feed, made once: every line reads it all the time.

    One index range each for everybody's and the owner's own, then merged.

    Args:
        owned: with the changes that belong to ``:whose``.
    """
    c, most = t.change.c, bindparam("most", type_=Integer)
    owners: list[ColumnElement[bool]] = [c.owner.is_(None)]
    if owned:
        owners.append(c.owner == bindparam("whose"))
    wanted = and_(c.seq > bindparam("after"), c.kind.in_(kinds))
    parts = [
        select(select(t.change).where(of, wanted).order_by(c.seq).limit(most).subquery())
        for of in owners
    ]
    both = union_all(*parts).subquery()
    return select(both).order_by(both.c.seq).limit(most)


@cache
def _session() -> Select[Any]:
    return _dated_sessions().where(t.sessions.c.id == bindparam("id"))


@cache
def _sessions_with() -> Select[Any]:
    return _dated_sessions().where(t.sessions.c.id.in_(bindparam("ids", expanding=True)))


@cache
def _cdr() -> Select[Any]:
    return _dated_cdrs().where(t.cdrs.c.id == bindparam("id"))


@cache
def _cdrs_with() -> Select[Any]:
    return _dated_cdrs().where(t.cdrs.c.id.in_(bindparam("ids", expanding=True)))


@cache
def _cdrs_of() -> Select[Any]:
    """Bills of ``:sessions`` that are no credits, oldest first."""
    c = t.cdrs.c
    bills = _dated_cdrs().add_columns(c.session)
    of = c.session.in_(bindparam("sessions", expanding=True))
    return bills.where(of, c.credit.is_(False)).order_by(c.created_at, c.id)


@cache
def _deliveries_with() -> Select[Any]:
    d = t.deliveries.c
    return select(t.deliveries).where(
        d.partner == bindparam("whose"),
        d.kind == bindparam("of"),
        d.key.in_(bindparam("keys", expanding=True)),
    )


class Reads:
    """Every read of the ``Store`` port.

    Statements that partners' lines need all the time are made once: to make one costs more than to
    run it.

    All raise ``StoreDown`` where the database cannot be asked.
    """

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise StoreDown(str(error.orig)) from error
        except (OSError, TimeoutError, asyncpg.PostgresError, SQLAlchemyError) as error:
            raise StoreDown(f"{type(error).__name__}: {error}") from error

    async def _all(
        self, query: Select[Any], given: Mapping[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        async with self._reading() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(query, given)).all()
        return rows

    async def _first(self, query: Select[Any]) -> Row[Any] | None:
        async with self._reading() as connection:
            row: Row[Any] | None = (await connection.execute(query.limit(1))).first()
        return row

    # -- at start

    async def restore(self) -> Restored:
        async with self._reading() as connection:
            return await _Restoring(connection, self._clock()).everything()

    # -- the feed

    async def changes(
        self, owner: PartnerId | None, kinds: Sequence[str], after: int, limit: int
    ) -> Sequence[Change]:
        query = _changes(owner is not None, tuple(kinds))
        given = {"after": after, "most": limit} | ({} if owner is None else {"whose": owner})
        rows = await self._all(query, given)
        return [codec.change_from(row) for row in rows]

    async def unseen(
        self, owner: PartnerId | None, kinds: Sequence[str], after: int
    ) -> tuple[int, datetime | None]:
        c = t.change.c
        owners = [c.owner.is_(None), *([c.owner == owner] if owner is not None else [])]
        parts = [
            select(c.last_updated).where(of, c.seq > after, c.kind.in_(kinds)) for of in owners
        ]
        both = union_all(*parts).subquery()
        oldest = func.min(both.c.last_updated, type_=t.UtcDateTime)
        figures: list[Any] = [func.count().label("many"), oldest.label("oldest")]
        (row,) = await self._all(select(*figures).select_from(both))
        return int(row.many), row.oldest

    async def cursors(self, partner: PartnerId) -> Mapping[str, int]:
        rows = await self._all(select(t.cursors).where(t.cursors.c.partner == partner))
        return {row.stream: row.seq for row in rows}

    async def head(self) -> int:
        row = await self._first(select(t.feed_counter.c.seq))
        return 0 if row is None else int(row.seq)

    async def delivery(self, partner: PartnerId, kind: str, key: str) -> Delivery | None:
        return (await self.deliveries_with(partner, kind, [key])).get(key)

    async def deliveries_with(
        self, partner: PartnerId, kind: str, keys: Sequence[str]
    ) -> Mapping[str, Delivery]:
        given = {"whose": partner, "of": kind, "keys": list(keys)}
        rows = await self._all(_deliveries_with(), given) if keys else ()
        return {row.key: codec.delivery_from(row) for row in rows}

    async def deliveries(self, partner: PartnerId, state: str) -> Sequence[Delivery]:
        d = t.deliveries.c
        query = select(t.deliveries).where(d.partner == partner, d.state == state)
        return [codec.delivery_from(row) for row in await self._all(query.order_by(d.seq, d.key))]

    async def documents(self, kind: str) -> Mapping[str, bytes]:
        query = select(t.documents).where(t.documents.c.kind == kind)
        return {row.key: row.body for row in await self._all(query.order_by(t.documents.c.key))}

    # -- sessions

    async def session(self, id: SessionId) -> Dated | None:
        rows = await self._all(_session(), {"id": id})
        return _dated(rows[0]) if rows else None

    async def sessions_with(self, ids: Sequence[SessionId]) -> Mapping[SessionId, Dated]:
        rows = await self._all(_sessions_with(), {"ids": list(ids)}) if ids else ()
        return {each.session.id: each for each in map(_dated, rows)}

    async def session_of(self, station: StationId, transaction: TransactionId) -> Session | None:
        s = t.sessions.c
        row = await self._first(
            select(t.sessions).where(s.station == station, s.transaction == transaction)
        )
        return None if row is None else codec.session_from(row)

    async def sessions(self, query: SessionQuery) -> tuple[Sequence[Dated], int]:
        s = t.sessions.c
        order = (s.received_at, s.id)
        rows, total = await self._page(
            _dated_sessions().where(*_session_filters(query)), order, query.newest_first, query.page
        )
        return [_dated(row) for row in rows], total

    async def due_for_settling(self, now: datetime, limit: int) -> Sequence[Session]:
        s = t.sessions.c
        due = select(t.sessions).where(
            t.OPEN_SESSIONS, s.status == "stopped", s.settle_after <= now
        )
        rows = await self._all(due.order_by(s.settle_after, s.id).limit(limit))
        return [codec.session_from(row) for row in rows]

    # -- bills

    async def cdr(self, id: CdrId) -> DatedCdr | None:
        rows = await self._all(_cdr(), {"id": id})
        return _dated_cdr(rows[0]) if rows else None

    async def cdrs_with(self, ids: Sequence[CdrId]) -> Mapping[CdrId, DatedCdr]:
        rows = await self._all(_cdrs_with(), {"ids": list(ids)}) if ids else ()
        return {each.cdr.id: each for each in await _dated_cdrs_from(rows)}

    async def cdr_of(self, session: SessionId) -> DatedCdr | None:
        return (await self.cdrs_of([session])).get(session)

    async def cdrs_of(self, sessions: Sequence[SessionId]) -> Mapping[SessionId, DatedCdr]:
        rows = await self._all(_cdrs_of(), {"sessions": list(sessions)}) if sessions else ()
        newest = {SessionId(row.session): row for row in rows}
        return {each.cdr.session: each for each in await _dated_cdrs_from(newest.values())}

    async def cdrs(self, query: CdrQuery) -> tuple[Sequence[DatedCdr], int]:
        c = t.cdrs.c
        rows, total = await self._page(
            _dated_cdrs().where(*_cdr_filters(query)),
            (c.created_at, c.id),
            query.newest_first,
            query.page,
        )
        return [_dated_cdr(row) for row in rows], total

    async def _page(
        self,
        query: Select[Any],
        order: tuple[ColumnElement[Any], ...],
        newest_first: bool,
        page: Page,
    ) -> tuple[Sequence[Row[Any]], int]:
        """Return a window of *query* and how many rows it has in all, as of one moment.

        One statement is one moment on both databases; two would not be, for readers hold no
        transaction. Only where the window is empty the count is asked alone.
        """
        count = select(func.count()).select_from(query.order_by(None).subquery())
        counted = query.add_columns(count.scalar_subquery().label("in_all"))
        ordered = counted.order_by(*(each.desc() if newest_first else each for each in order))
        window = ordered.offset(page.offset).limit(page.limit)
        async with self._reading() as connection:
            rows = (await connection.execute(window)).all() if page.limit else ()
            total = rows[0].in_all if rows else (await connection.execute(count)).scalar_one()
        return rows, int(total)

    # -- frames

    async def journal(self, session: SessionId) -> Sequence[JournalEntry]:
        j = t.journal.c
        rows = await self._all(select(t.journal).where(j.session == session).order_by(j.id))
        return [codec.journal_from(row) for row in rows]

    async def journal_entry(self, id: int) -> JournalEntry | None:
        row = await self._first(select(t.journal).where(t.journal.c.id == id))
        return None if row is None else codec.journal_from(row)

    async def journal_of(
        self, station: StationId, since: datetime, until: datetime, limit: int
    ) -> Sequence[JournalEntry]:
        j = t.journal.c
        wanted = (j.station == station, j.received_at >= since, j.received_at <= until)
        theirs = select(t.sessions.c.id).where(t.sessions.c.station == station)
        # Two questions, since each has an index: frames without a session, and those with one.
        both = union_all(
            select(t.journal).where(*wanted, j.session.is_(None)),
            select(t.journal).where(*wanted, j.session.in_(theirs)),
        ).subquery()
        rows = await self._all(select(both).order_by(both.c.received_at, both.c.id).limit(limit))
        return [codec.journal_from(row) for row in rows]

    async def tariff_snapshot(self, hash: TariffHash) -> Tariff | None:
        kept = t.tariff_snapshots
        row = await self._first(select(kept.c.body).where(kept.c.hash == hash))
        return None if row is None else codec.tariff_from(row.body)

    # -- commands, audit, work, case file

    async def command(self, id: str) -> CommandRecord | None:
        row = await self._first(select(t.commands.c.body).where(t.commands.c.id == id))
        return None if row is None else codec.command_from(row.body)

    async def command_of_reply(self, asked_by: str, reply_to: str) -> CommandRecord | None:
        c = t.commands.c
        asked = select(c.body).where(c.reply_to == reply_to, c.asked_by == asked_by)
        row = await self._first(asked.order_by(c.created_at.desc(), c.id.desc()))
        return None if row is None else codec.command_from(row.body)

    async def reservation(self, id: ReservationId) -> Reservation | None:
        kept = t.reservations.c
        row = await self._first(select(kept.body).where(kept.id == id))
        return None if row is None else codec.reservation_from(row.body)

    async def reservations(
        self, page: Page, sites: frozenset[LocationId] | None = None
    ) -> Sequence[Reservation]:
        kept = t.reservations.c
        newest = select(kept.body).order_by(kept.created_at.desc(), kept.id.desc())
        if sites is not None:
            newest = newest.where(kept.location.in_(sorted(sites)))
        rows = await self._all(newest.offset(page.offset).limit(page.limit))
        return [codec.reservation_from(row.body) for row in rows]

    async def commands_of_session(self, session: SessionId) -> Sequence[CommandRecord]:
        return await self._commands(t.commands.c.session == session)

    async def commands_of(
        self, station: StationId, since: datetime, until: datetime
    ) -> Sequence[CommandRecord]:
        c = t.commands.c
        return await self._commands(
            c.station == station, c.created_at >= since, c.created_at <= until
        )

    async def _commands(self, *where: ColumnElement[bool]) -> Sequence[CommandRecord]:
        c = t.commands.c
        rows = await self._all(select(c.body).where(*where).order_by(c.created_at, c.id))
        return [codec.command_from(row.body) for row in rows]

    async def audit(self, subject: str | None, page: Page) -> Sequence[AuditEntry]:
        query = select(t.audit).order_by(t.audit.c.id.desc())
        if subject is not None:
            query = query.where(t.audit.c.subject == subject)
        rows = await self._all(query.offset(page.offset).limit(page.limit))
        return [codec.audit_from(row) for row in rows]

    async def work_items(
        self, open_only: bool, page: Page, subject: str | None = None
    ) -> Sequence[WorkItem]:
        i = t.work_items.c
        query = select(t.work_items).order_by(i.opened_at, i.id)
        if open_only:
            query = query.where(i.closed_at.is_(None))
        if subject is not None:
            query = query.where(i.subject == subject)
        rows = await self._all(query.offset(page.offset).limit(page.limit))
        return [codec.work_from(row) for row in rows]

    async def work_item(self, id: str) -> WorkItem | None:
        row = await self._first(select(t.work_items).where(t.work_items.c.id == id))
        return None if row is None else codec.work_from(row)

    async def authorisations(
        self, station: StationId, since: datetime, until: datetime
    ) -> Sequence[AuthorisationNote]:
        a = t.authorisations.c
        wanted = (a.station == station, a.at >= since, a.at <= until)
        rows = await self._all(select(t.authorisations).where(*wanted).order_by(a.at, a.id))
        return [codec.authorisation_from(row) for row in rows]

    async def exchanges(
        self, session: SessionId | None = None, partner: PartnerId | None = None, limit: int = 200
    ) -> Sequence[Exchange]:
        e = t.exchanges.c
        query = select(t.exchanges)
        if session is not None:
            query = query.where(e.session == session)
        if partner is not None:
            query = query.where(e.partner == partner)
        newest = await self._all(query.order_by(e.id.desc()).limit(limit))
        return [codec.exchange_from(row) for row in reversed(newest)]

    async def exchanges_about(self, kind: str, key: str) -> Sequence[Exchange]:
        e = t.exchanges.c
        rows = await self._all(
            select(t.exchanges).where(e.kind == kind, e.key == key).order_by(e.id)
        )
        return [codec.exchange_from(row) for row in rows]


def _dated_sessions() -> Select[Any]:
    c = t.change.c
    of = and_(c.kind == "session", c.key == t.sessions.c.id)
    seen = func.coalesce(c.last_updated, t.sessions.c.received_at, type_=t.UtcDateTime)
    return select(t.sessions, seen.label("last_updated")).select_from(
        t.sessions.outerjoin(t.change, of)
    )


def _dated_cdrs() -> Select[Any]:
    c = t.change.c
    of = and_(c.kind == "cdr", c.key == t.cdrs.c.id)
    seen = func.coalesce(c.last_updated, t.cdrs.c.created_at, type_=t.UtcDateTime)
    return select(t.cdrs.c.body, t.cdrs.c.created_at, seen.label("last_updated")).select_from(
        t.cdrs.outerjoin(t.change, of)
    )


def _session_filters(query: SessionQuery) -> Iterable[ColumnElement[bool]]:
    s = t.sessions.c
    seen = func.coalesce(t.change.c.last_updated, s.received_at, type_=t.UtcDateTime)
    if query.owned_by is not None:
        yield s.owner == query.owned_by
    if query.owners is not None:
        yield s.owner.in_(sorted(query.owners))
    if query.sites is not None:
        yield s.location.in_(sorted(query.sites))
    if query.station is not None:
        yield s.station == query.station
    if query.evse is not None:
        yield s.evse == query.evse
    if query.status is not None:
        yield s.status.in_(sorted(status.value for status in query.status))
    yield from _within(s.started_at, query.started_from, query.started_to)
    yield from _within(seen, query.updated_from, query.updated_to)
    if query.id_token is not None:
        yield or_(s.id_token == query.id_token, s.token_uid == query.id_token)
    if query.reference is not None:
        yield s.reference == query.reference


def _cdr_filters(query: CdrQuery) -> Iterable[ColumnElement[bool]]:
    c = t.cdrs.c
    seen = func.coalesce(t.change.c.last_updated, c.created_at, type_=t.UtcDateTime)
    if query.owned_by is not None:
        yield c.owner == query.owned_by
    if query.owners is not None:
        yield c.owner.in_(sorted(query.owners))
    if query.sites is not None:
        yield c.location.in_(sorted(query.sites))
    if query.session is not None:
        yield c.session == query.session
    yield from _within(c.ended_at, query.ended_from, query.ended_to)
    yield from _within(seen, query.updated_from, query.updated_to)


def _within(
    column: ColumnElement[Any], begin: datetime | None, end: datetime | None
) -> Iterable[ColumnElement[bool]]:
    """From included, to excluded, as partners and site owners ask."""
    if begin is not None:
        yield column >= begin
    if end is not None:
        yield column < end


def _dated(row: Row[Any]) -> Dated:
    return Dated(codec.session_from(row), row.last_updated)


def _dated_cdr(row: Row[Any]) -> DatedCdr:
    return DatedCdr(codec.cdr_from(row.body), row.last_updated, row.created_at)


async def _dated_cdrs_from(rows: Iterable[Row[Any]]) -> list[DatedCdr]:
    """Read bills, a few at a time for the loop's sake: one takes half a millisecond."""
    bills = []
    for number, row in enumerate(rows, 1):
        bills.append(_dated_cdr(row))
        if number % BILLS_IN_A_ROW == 0:
            await asyncio.sleep(0)
    return bills


class _Restoring:
    """Reads everything that lives in memory, on one connection."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    async def everything(self) -> Restored:
        seen = await self._last_updated()
        return Restored(
            locations=await self._bodies(t.locations, codec.location_from),
            stations=await self._bodies(t.stations, codec.station_from),
            records=await self._bodies(t.station_records, codec.record_from),
            keys=await self._bodies(t.station_keys, codec.station_key_from),
            evses=[_seen(state, seen) for state in await self._bodies(t.evses, codec.evse_from)],
            tariffs=await self._bodies(t.tariffs, codec.tariff_from),
            rules=await self._bodies(t.tariff_rules, codec.rule_from),
            snapshots=await self._snapshots(),
            tokens=await self._bodies(t.tokens, codec.token_from),
            partners=await self._bodies(t.partners, codec.partner_from),
            api_keys=await self._bodies(t.api_keys, codec.api_key_from),
            open_sessions=await self._open_sessions(),
            unfinished_commands=await self._unfinished(),
            reservations=await self._reservations(),
            open_work=await self._open_work(),
            last_updated=seen,
        )

    async def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        rows: Sequence[Row[Any]] = (await self._connection.execute(query)).all()
        return rows

    async def _bodies(self, table: Table, read: Any) -> list[Any]:
        """Read a table's values in order of creation, a bit at a time for the loop's sake."""
        created = [table.c.created_at] if "created_at" in table.c else []
        rows = await self._rows(select(table.c.body).order_by(*created, *table.primary_key.columns))
        values = []
        for number, row in enumerate(rows):
            values.append(read(row.body))
            if number % 1000 == 999:
                await asyncio.sleep(0)
        return values

    async def _last_updated(self) -> dict[tuple[str, str], datetime]:
        c = t.change.c
        kinds = ("location", "evse", "tariff")
        current = select(c.kind, c.key, c.last_updated).where(c.kind.in_(kinds))
        open_ = select(c.kind, c.key, c.last_updated).join(
            t.sessions, and_(c.kind == "session", c.key == t.sessions.c.id)
        )
        rows = [
            *await self._rows(current),
            *await self._rows(open_.where(t.OPEN_SESSIONS)),
        ]
        return {(row.kind, row.key): row.last_updated for row in rows}

    async def _snapshots(self) -> dict[TariffHash, Tariff]:
        kept = t.tariff_snapshots
        used = select(t.sessions.c.tariff).where(t.OPEN_SESSIONS)
        begun = await self._rows(select(kept).where(kept.c.hash.in_(used)))
        rows = [*begun, *await self._switched_snapshots()]
        return {TariffHash(row.hash): codec.tariff_from(row.body) for row in rows}

    async def _switched_snapshots(self) -> Sequence[Row[Any]]:
        s = t.sessions.c
        texts = select(s.switches).where(t.OPEN_SESSIONS, s.switches.is_not(None))
        switched = {
            each.tariff
            for row in await self._rows(texts)
            for each in codec.switches_from(row.switches)
        }
        kept = t.tariff_snapshots
        return await self._rows(select(kept).where(kept.c.hash.in_(switched))) if switched else ()

    async def _open_sessions(self) -> list[Session]:
        s = t.sessions.c
        rows = await self._rows(
            select(t.sessions).where(t.OPEN_SESSIONS).order_by(s.received_at, s.id)
        )
        return [codec.session_from(row) for row in rows]

    async def _unfinished(self) -> list[CommandRecord]:
        """Commands that run, remote starts whose idTag or token still means something, and
        outcomes that nobody has heard of yet and somebody may still wait for."""
        c = t.commands.c
        vouched = and_(c.id_token.is_not(None), c.created_at > self._now - VOUCHED)
        waits = or_(c.id_token.is_not(None), and_(c.reply_to.is_not(None), c.told_at.is_(None)))
        wanted = or_(c.outcome.is_(None), and_(c.expires_at > self._now, waits), vouched)
        rows = await self._rows(select(c.body).where(wanted).order_by(c.created_at, c.id))
        return [codec.command_from(row.body) for row in rows]

    async def _reservations(self) -> list[Reservation]:
        kept = t.reservations.c
        rows = await self._rows(
            select(kept.body).where(t.OPEN_RESERVATIONS).order_by(kept.created_at, kept.id)
        )
        return [codec.reservation_from(row.body) for row in rows]

    async def _open_work(self) -> list[WorkItem]:
        i = t.work_items.c
        rows = await self._rows(
            select(t.work_items).where(i.closed_at.is_(None)).order_by(i.opened_at, i.id)
        )
        return [codec.work_from(row) for row in rows]


def _seen(state: EvseState, seen: Mapping[tuple[str, str], datetime]) -> EvseState:
    """Give an EVSE the moment that partners read; it is decided after the state is written."""
    return replace(state, last_updated=seen.get(("evse", str(state.ref))))
