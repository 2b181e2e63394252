"""The writing statements, one per kind of write, compiled once per database.

They are SQLAlchemy Core, but run on the drivers' own ``executemany``: at thousands of rows a second
the per-row work of the generic layer costs more than everything else together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Dialect, Table, and_, bindparam, delete, or_, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.sql import ClauseElement

from cms.store import tables as t

PROGRESS = (
    "status",
    "last_wh",
    "last_at",
    "delivered_wh",
    "power_w",
    "charging",
    "touched_at",
    "flags",
    "activated_at",
)
"""Columns of a session that a sample changes."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Text for the driver, and the names of its parameters in order."""

    text: str
    parameters: tuple[str, ...]


Build = Callable[[Dialect], ClauseElement]


def _insert(dialect: Dialect, table: Table) -> Any:
    return (postgresql if dialect.name == "postgresql" else sqlite).insert(table)


def _append(table: Table) -> Build:
    """Insert. Where the table's ``id`` is a number, the database counts it up itself."""
    names = [column.name for column in table.c if column.autoincrement is not True]
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    return lambda dialect: _insert(dialect, table).values(values).inline()


def _replace(table: Table, *, keep: Sequence[str] = (), where: Any = None) -> Build:
    """Insert or replace whole, but for the columns *keep*, and only *where*."""

    def build(dialect: Dialect) -> ClauseElement:
        insert = _insert(dialect, table)
        changed = {
            column.name: insert.excluded[column.name]
            for column in table.c
            if not column.primary_key and column.name not in keep
        }
        upsert: ClauseElement = insert.on_conflict_do_update(
            index_elements=list(table.primary_key.columns),
            set_=changed,
            where=None if where is None else where(insert.excluded),
        )
        return upsert

    return build


def _once(table: Table) -> Build:
    """Insert; known already is fine."""
    return lambda dialect: _insert(dialect, table).on_conflict_do_nothing()


def _drop(table: Table) -> Build:
    keys = [column == bindparam(column.name) for column in table.primary_key.columns]
    return lambda dialect: delete(table).where(and_(*keys))


def _progress(dialect: Dialect) -> ClauseElement:
    changed: dict[str, Any] = {name: bindparam(f"new_{name}") for name in PROGRESS}
    return update(t.sessions).where(t.sessions.c.id == bindparam("of")).values(changed)


def _not_older(new: Any) -> Any:
    """An older visit never overwrites a newer one."""
    return new.visit >= t.station_records.c.visit


def _opens_or_closes(new: Any) -> Any:
    """While a work item is open, opening it again changes nothing."""
    return or_(t.work_items.c.closed_at.is_not(None), new.closed_at.is_not(None))


def _text(sql: str, **by_dialect: tuple[str, str]) -> Build:
    """Hand-written SQL; ``{name}`` stands for (SQLite's, PostgreSQL's) word."""

    def build(dialect: Dialect) -> ClauseElement:
        index = int(dialect.name == "postgresql")
        return text(sql.format(**{name: words[index] for name, words in by_dialect.items()}))

    return build


SETTLED = (
    "(session IS NULL OR session IN"
    " (SELECT id FROM sessions WHERE status IN ('completed', 'invalid')))"
)
OLD_SAMPLES = (
    "received_at < :before AND NOT quarantined AND (kind IS NULL OR kind = 'updated')"
    f" AND {SETTLED}"
)
"""Samples and status reports of settled sessions."""
OLD_FRAMES = (
    "received_at < :before AND NOT quarantined AND kind IN ('started', 'ended')"
    f" AND event IS NOT NULL AND {SETTLED}"
)
"""Starts and ends of settled sessions that still have their bytes."""
OLD_NOTES = "at < :before"

_SOME = "id IN (SELECT id FROM {table} WHERE {which} ORDER BY id LIMIT :limit)"


def _some(table: str, which: str) -> str:
    return _SOME.format(table=table, which=which)


# In the order in which they run. The order is fixed, and rows are sorted by key on a database with
# several writers, so that two processes never wait for each other in a circle.
_WRITES: dict[str, Build] = {
    "journal": _append(t.journal),
    "join_journal": _text("UPDATE journal SET session = :into WHERE session = :gone"),
    "drop_session": _drop(t.sessions),
    "put_location": _replace(t.locations, keep=["created_at"]),
    "put_station": _replace(t.stations, keep=["created_at"]),
    "put_station_key": _replace(t.station_keys, keep=["created_at"]),
    "put_record": _replace(t.station_records, where=_not_older),
    "put_tariff": _replace(t.tariffs, keep=["created_at"]),
    "drop_tariff": _drop(t.tariffs),
    "put_rule": _replace(t.tariff_rules, keep=["created_at"]),
    "drop_rule": _drop(t.tariff_rules),
    "keep_tariff": _once(t.tariff_snapshots),
    "put_token": _replace(t.tokens, keep=["created_at"]),
    "put_partner": _replace(t.partners, keep=["created_at"]),
    "put_api_key": _replace(t.api_keys, keep=["created_at"]),
    "put_command": _replace(t.commands, keep=["created_at"]),
    "put_reservation": _replace(t.reservations, keep=["created_at"]),
    "put_session": _replace(t.sessions),
    "progress": _progress,
    "put_cdr": _append(t.cdrs),
    "put_evse": _replace(t.evses),
    "audit": _append(t.audit),
    "put_work_item": _replace(t.work_items, where=_opens_or_closes),
    "authorisation": _append(t.authorisations),
    "put_cursor": _replace(t.cursors),
    "put_delivery": _replace(t.deliveries),
    "exchange": _append(t.exchanges),
    "put_document": _replace(t.documents),
    "drop_document": _drop(t.documents),
    "trim_samples": _text(f"DELETE FROM journal WHERE {_some('journal', OLD_SAMPLES)}"),
    "trim_frames": _text(
        "UPDATE journal SET raw = {empty}, event = NULL, notes = NULL"
        f" WHERE {_some('journal', OLD_FRAMES)}",
        empty=("X''", "''"),
    ),
    "trim_authorisations": _text(
        f"DELETE FROM authorisations WHERE {_some('authorisations', OLD_NOTES)}"
    ),
    "trim_exchanges": _text(f"DELETE FROM exchanges WHERE {_some('exchanges', OLD_NOTES)}"),
}

KINDS = tuple(_WRITES)

_TOUCH = """
INSERT INTO change (kind, key, owner, seq, last_updated, deleted)
VALUES (:kind, :key, :owner, :seq, :last_updated, :deleted)
ON CONFLICT (kind, key) DO UPDATE SET owner = excluded.owner, seq = excluded.seq,
deleted = excluded.deleted,
last_updated = max(excluded.last_updated, change.last_updated + 1000)
"""

_TOUCH_ALL = """
INSERT INTO change (kind, key, owner, seq, last_updated, deleted)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bool[])
ON CONFLICT (kind, key) DO UPDATE SET owner = excluded.owner, seq = excluded.seq,
deleted = excluded.deleted,
last_updated = greatest(excluded.last_updated, change.last_updated + 1000)
RETURNING kind, key, last_updated
"""

COUNT = "UPDATE feed_counter SET seq = seq + {n} WHERE id = 1 RETURNING seq"
"""Raises the feed's counter. The row's lock makes the order of commits the order of ``seq``."""

KNOWN = "SELECT key, ack_transaction, ack_verdict, session FROM journal WHERE key "
"""Which of a group's keys are journalled already; followed by the list of keys."""


@dataclass(frozen=True, slots=True)
class SqliteStatements:
    writes: dict[str, Statement]
    count: str = COUNT.format(n="?")
    known: str = KNOWN
    touch: str = ""
    later: str = (
        "SELECT kind, key, last_updated FROM change"
        " WHERE owner IS ? AND seq > ? AND last_updated > ?"
    )
    """Things whose moment had to be put after the group's own, to rise strictly."""


@dataclass(frozen=True, slots=True)
class PostgresStatements:
    writes: dict[str, Statement]
    count: str = COUNT.format(n="$1")
    known: str = KNOWN + "= ANY($1::bytea[])"
    touch: str = _TOUCH_ALL


CHUNKS = (64, 16, 4, 1)
"""Rows per INSERT: few sizes, so that each text is prepared once."""


@dataclass(frozen=True, slots=True)
class Chunked:
    """One statement in texts of several rows each.

    The driver lets go of the interpreter lock for each step of a statement, and under a busy event
    loop must queue for it again. A step of 64 rows queues once, where 64 steps would queue 64 times.

    Attributes:
        texts: (rows, text), most rows first; only (1, text) where rows cannot be joined.
    """

    texts: tuple[tuple[int, str], ...]

    @classmethod
    def of(cls, text: str) -> Chunked:
        head, values, rest = text.partition("VALUES (")
        if not text.startswith("INSERT") or not values:
            return cls(((1, text),))
        row, _, tail = rest.partition(")")
        return cls(tuple((n, f"{head}VALUES {', '.join([f'({row})'] * n)}{tail}") for n in CHUNKS))


def for_sqlite() -> SqliteStatements:
    dialect = sqlite.dialect(paramstyle="qmark")
    return SqliteStatements(_compiled(dialect), touch=_compile(text(_TOUCH), dialect).text)


def for_postgres() -> PostgresStatements:
    dialect: Dialect = asyncpg.dialect()  # type: ignore[no-untyped-call]
    return PostgresStatements(_compiled(dialect))


def _compiled(dialect: Dialect) -> dict[str, Statement]:
    return {name: _compile(build(dialect), dialect) for name, build in _WRITES.items()}


def _compile(clause: ClauseElement, dialect: Dialect) -> Statement:
    compiled: Any = clause.compile(dialect=dialect)
    return Statement(str(compiled), tuple(compiled.positiontup or ()))
