"""The schema's version: which one a database has, and how it gets the current one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from cms.store import address
from cms.store.errors import SchemaTooNew, SchemaTooOld

PAGE_BYTES = 8192
"""Of a new SQLite file. A journal row of a message with samples takes 2 kB: with the usual 4096 a
page holds one of them, and the log is half air."""


def newest() -> str:
    """Return the version that this program knows as its own."""
    head = _scripts().get_current_head()
    assert head is not None  # there is at least the first
    return head


async def upgrade(url: str) -> str:
    """Bring the database at *url* to the newest version, step by step; returns that version.

    Each step is one transaction: killed in the middle, the database has the version before.

    Raises:
        CannotOpen: if the address is wrong or the database does not answer.
        SchemaTooNew: if a newer program wrote it. Nothing is changed then.
    """
    await _on_connection(address.parse(url), _upgrade)
    return newest()


async def current(url: str) -> str | None:
    """Return the version of the database at *url*; None where there is no schema yet.

    Raises:
        CannotOpen: if the address is wrong or the database does not answer.
    """
    found: str | None = await _on_connection(address.parse(url), _current)
    return found


async def check(url: URL) -> None:
    """Make sure that the database has the version that this program works with.

    Raises:
        SchemaTooNew, SchemaTooOld: otherwise, saying what to do.
    """
    _check(await _on_connection(url, _current))


def _check(found: str | None) -> None:
    _refuse_newer(found)
    if found != newest():
        raise SchemaTooOld(
            f"the database has schema {found or 'none'}, this program needs {newest()}; "
            "run: cms db upgrade"
        )


def _refuse_newer(found: str | None) -> None:
    if found is not None and found not in {each.revision for each in _scripts().walk_revisions()}:
        raise SchemaTooNew(
            f"the database was written by a newer version of this program (schema {found}, "
            f"known up to {newest()}); use that version, or restore a backup"
        )


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(connection: Connection) -> None:
    _refuse_newer(_current(connection))
    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SchemaTooNew(str(error)) from error


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def _on_connection(url: URL, work: Any) -> Any:
    """Run *work* on a connection of its own, off the event loop."""
    with address.speaking_of(url):
        if url.get_backend_name() == "sqlite":
            return await asyncio.to_thread(_on_sqlite, url, work)
        engine = create_async_engine(url, poolclass=NullPool)
        async with engine.connect() as connection:
            result = await connection.run_sync(work)
            await connection.commit()
            return result


def _on_sqlite(url: URL, work: Any) -> Any:
    if work is _current and not address.path_of(url).exists():
        return None  # and do not make the file by looking
    engine = create_engine(url.set(drivername="sqlite"), poolclass=NullPool)
    begin = "BEGIN" if work is _current else "BEGIN IMMEDIATE"

    # The driver's own idea of transactions leaves DDL out of them; ours takes it in.
    @event.listens_for(engine, "connect")
    def _plain(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    with engine.connect() as connection:
        result = work(connection)
        connection.commit()
        return result
