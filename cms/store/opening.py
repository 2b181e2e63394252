"""Opening a store: address, lease, schema, durability, writer and readers, in this order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from cms.app.ports import Clock
from cms.store import address, lease, postgres, schema, sqlite
from cms.store.committer import LOCK_WAIT_SECONDS, Committer
from cms.store.errors import CannotOpen
from cms.store.store import SqlReader, SqlStore

READERS = 5


@asynccontextmanager
async def open_store(
    url: str, clock: Clock, *, lock_wait: float = LOCK_WAIT_SECONDS
) -> AsyncIterator[SqlStore]:
    """Open the store at *url* and keep it open for the length of the block.

    An SQLite file is made and migrated where needed; a PostgreSQL database must have been
    (``cms db upgrade``), since several processes may share it.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://USER@HOST/NAME``.
        lock_wait: seconds to wait for a foreign lock before the store counts as down.

    Raises:
        CannotOpen: one line that says why, and what to do.
    """
    where = address.parse(url)
    opening = _sqlite if where.get_backend_name() == "sqlite" else _postgres
    async with opening(where, clock, lock_wait) as store:
        yield store


@asynccontextmanager
async def open_for_reading(url: str, clock: Clock) -> AsyncIterator[SqlReader]:
    """Open the store at *url* for reading only: no lease, no migration, beside a running server.

    Raises:
        CannotOpen: one line that says why, and what to do.
    """
    where = address.parse(url)
    if where.get_backend_name() == "sqlite":
        if not address.path_of(where).exists():
            raise CannotOpen(f"cannot open {address.shown(where)}: no such file")
        engine = _sqlite_readers(where)
    else:
        engine = _postgres_readers(where, LOCK_WAIT_SECONDS)
    await schema.check(where)
    try:
        yield SqlReader(engine, clock)
    finally:
        await engine.dispose()


async def server_runs(url: str) -> bool:
    """Whether a running server holds its lease on the store at *url*.

    Raises:
        CannotOpen: if the address is wrong or the database does not answer.
    """
    where = address.parse(url)
    if where.get_backend_name() == "sqlite":
        return lease.is_held(address.path_of(where))
    with address.speaking_of(where):
        return await postgres.server_runs(where)


@asynccontextmanager
async def _sqlite(url: URL, clock: Clock, lock_wait: float) -> AsyncIterator[SqlStore]:
    path = address.path_of(url)
    held = await asyncio.to_thread(_claim, path)
    try:
        await schema.upgrade(str(url))
        with address.speaking_of(url):
            writer = sqlite.SqliteCommitter(path, clock, lock_wait=lock_wait)
        async with _with_readers(writer, _sqlite_readers(url), clock) as store:
            yield store
    finally:
        held.release()


def _claim(path: Path) -> lease.FileLease:
    try:
        return lease.FileLease(path)
    except OSError as error:
        raise CannotOpen(f"cannot open {path}: {error.strerror}") from error


@asynccontextmanager
async def _postgres(url: URL, clock: Clock, lock_wait: float) -> AsyncIterator[SqlStore]:
    await schema.check(url)
    with address.speaking_of(url):
        connection = await postgres.connect(url, lock_wait)
    writer = postgres.PostgresCommitter(url, connection, clock, lock_wait=lock_wait)
    async with _with_readers(writer, _postgres_readers(url, lock_wait), clock) as store:
        yield store


@asynccontextmanager
async def _with_readers(
    writer: Committer, engine: AsyncEngine, clock: Clock
) -> AsyncIterator[SqlStore]:
    try:
        yield SqlStore(writer, engine, clock)
    finally:
        await writer.close()
        await engine.dispose()


def _sqlite_readers(url: URL) -> AsyncEngine:
    engine = create_async_engine(url, pool_size=READERS, max_overflow=0)

    @event.listens_for(engine.sync_engine, "connect")
    def _only_read(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    return engine


def _postgres_readers(url: URL, lock_wait: float) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=READERS,
        max_overflow=READERS,
        pool_pre_ping=True,
        connect_args={
            "timeout": 5,
            "command_timeout": lock_wait * 3,
            "server_settings": {
                "application_name": "cms reader",
                "default_transaction_read_only": "on",
                "jit": "off",
            },
        },
    )
