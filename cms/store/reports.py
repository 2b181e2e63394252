"""Sums and exports: reads that walk over many rows, a bounded page at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Row, Select, Table, func, literal, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from cms.app.sums import DaySum, SumQuery
from cms.domain.ids import LocationId
from cms.store import codec
from cms.store import tables as t
from cms.store.statements import OLD_FRAMES, OLD_NOTES, OLD_SAMPLES
from cms.store.tables import micros

PAGE = 1000
_ZONES_WIDEST = timedelta(hours=15)


@dataclass(slots=True)
class _Sum:
    bills: int = 0
    energy_wh: int = 0
    net: Decimal = Decimal(0)
    gross: Decimal = Decimal(0)

    def add(self, row: Row[Any]) -> None:
        sign = -1 if row.credit else 1
        self.bills += 0 if row.credit else 1
        self.energy_wh += sign * row.energy_wh
        self.net += Decimal(row.net)  # a credit's amounts are negative already
        self.gross += Decimal(row.gross)


_OLD: dict[str, tuple[Table, str]] = {
    "trim_samples": (t.journal, OLD_SAMPLES),
    "trim_frames": (t.journal, OLD_FRAMES),
    "trim_authorisations": (t.authorisations, OLD_NOTES),
    "trim_exchanges": (t.exchanges, OLD_NOTES),
}


class Reports:
    """Reads over many rows. The class that takes it in brings ``_reading``."""

    def _reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        raise NotImplementedError

    async def sums(self, query: SumQuery) -> Sequence[DaySum]:
        """See ``cms.app.sums.Sums``."""
        zones = await self._zones()
        sums: dict[tuple[str, date, str], _Sum] = defaultdict(_Sum)
        async for row in self._bills(query):
            zone = zones.get(row.location, ZoneInfo("UTC"))
            day = row.ended_at.astimezone(zone).date()
            if query.first <= day <= query.last:
                sums[row.location or "", day, row.currency].add(row)
        return [
            DaySum(
                location=LocationId(location) if location else None,
                day=day,
                currency=currency,
                bills=each.bills,
                energy_wh=each.energy_wh,
                net=each.net,
                gross=each.gross,
            )
            for (location, day, currency), each in sorted(sums.items())
        ]

    async def _zones(self) -> dict[str | None, ZoneInfo]:
        async with self._reading() as connection:
            rows = await connection.execute(select(t.locations.c.body))
            found = [codec.location_from(row.body) for row in rows]
        return {location.id: location.zone for location in found}

    async def _bills(self, query: SumQuery) -> AsyncIterator[Row[Any]]:
        """Every bill that may end within the query's days in some zone."""
        c = t.cdrs.c
        begin = datetime.combine(query.first, time(), UTC) - _ZONES_WIDEST
        end = datetime.combine(query.last, time(), UTC) + timedelta(days=1) + _ZONES_WIDEST
        bills = select(
            c.id, c.location, c.ended_at, c.energy_wh, c.currency, c.net, c.gross, c.credit
        ).where(c.ended_at >= begin, c.ended_at < end)
        if query.sites is not None:
            bills = bills.where(c.location.in_(sorted(query.sites)))
        async for row in self._walk(bills, (c.ended_at, c.id)):
            yield row

    async def _walk(
        self, query: Select[Any], by: tuple[ColumnElement[Any], ...]
    ) -> AsyncIterator[Row[Any]]:
        """Yield *query*'s rows in order of *by*, which names every row once.

        Each page is a read of its own, so a long walk holds no old picture of the database open.
        """
        after: tuple[Any, ...] | None = None
        while True:
            page = query if after is None else query.where(tuple_(*by) > tuple_(*_like(by, after)))
            async with self._reading() as connection:
                rows = (await connection.execute(page.order_by(*by).limit(PAGE))).all()
            for row in rows:
                yield row
            if len(rows) < PAGE:
                return
            after = tuple(getattr(rows[-1], column.key or "") for column in by)

    async def old(self, kind: str, before: datetime, limit: int) -> int:
        """Count what retention's *kind* may cut that is older than *before*; *limit* is enough."""
        table, condition = _OLD[kind]
        rows = select(table.c.id).where(text(condition)).limit(limit).subquery()
        async with self._reading() as connection:
            found = await connection.execute(
                select(func.count()).select_from(rows), {"before": micros(before)}
            )
            return int(found.scalar_one())

    async def ledger(self) -> AsyncIterator[dict[str, object]]:
        """Yield what the oracle compares: sessions, bills, journal, work items, as plain data.

        Times are ISO 8601 with Z, money is decimal text, energy whole Wh.
        """
        for table, by, line in (
            (t.sessions, (t.sessions.c.received_at, t.sessions.c.id), _session_line),
            (t.cdrs, (t.cdrs.c.created_at, t.cdrs.c.id), _cdr_line),
            (t.journal, (t.journal.c.id,), _journal_line),
            (t.work_items, (t.work_items.c.opened_at, t.work_items.c.id), _work_line),
        ):
            async for row in self._walk(_without_bodies(table), by):
                yield line(row)


def _like(by: Sequence[ColumnElement[Any]], values: Sequence[Any]) -> list[Any]:
    return [literal(value, column.type) for column, value in zip(by, values, strict=True)]


def _without_bodies(table: Table) -> Select[Any]:
    bodies = {"raw", "event", "body", "notes", "evidence"}
    return select(*(column for column in table.c if column.name not in bodies))


def _session_line(row: Row[Any]) -> dict[str, object]:
    known = row.last_wh is not None or row.stop_wh is not None or row.start_wh is not None
    return {
        "kind": "session",
        "id": row.id,
        "station": row.station,
        "transaction_id": row.transaction,
        "version": row.dialect,
        "evse": row.evse,
        "connector": row.connector,
        "id_tag": row.id_token,
        "started_at": _iso(row.started_at),
        "ended_at": _iso(row.ended_at),
        "start_wh": row.start_wh,
        "stop_wh": row.stop_wh,
        "energy_wh": row.delivered_wh if known else None,
        "status": row.status,
        "partner": row.owner,
        "flags": row.flags.split(),
    }


def _cdr_line(row: Row[Any]) -> dict[str, object]:
    return {
        "kind": "cdr",
        "id": row.id,
        "session_id": row.session,
        "partner": row.owner,
        "energy_wh": row.energy_wh,
        "currency": row.currency,
        "total_excl": row.net,
        "total_incl": row.gross,
        "credit": row.credit,
    }


def _journal_line(row: Row[Any]) -> dict[str, object]:
    return {
        "kind": "journal",
        "station": row.station,
        "action": row.action,
        "transaction_id": row.transaction,
        "received_at": _iso(row.received_at),
        "quarantined": row.quarantined,
    }


def _work_line(row: Row[Any]) -> dict[str, object]:
    return {
        "kind": "work_item",
        "id": row.id,
        "type": row.type,
        "subject": row.subject,
        "state": "open" if row.closed_at is None else "closed",
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")
