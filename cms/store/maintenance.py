"""Backup, retention and the ledger: what an operator does to a store as a whole."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import URL

from cms.app.ports import Clock
from cms.store import address
from cms.store.errors import CannotOpen
from cms.store.group import Trim
from cms.store.store import SqlReader, SqlStore

BATCH = 500
"""Rows per transaction of retention: so many that charging does not notice."""


@dataclass(frozen=True, slots=True)
class Keep:
    """For how long what is kept, in days."""

    journal_days: int = 400
    exchange_days: int = 90
    authorisation_days: int = 90


async def retention(store: SqlStore, keep: Keep, clock: Clock, batch: int = BATCH) -> int:
    """Delete what is older than *keep*, in bounded batches; returns how many rows were cut.

    Of settled sessions only. Samples go whole; starts and ends lose their bytes and keep key and
    answer, so that even a very late repetition gets the first answer. What is quarantined stays.

    Raises:
        StoreDown: if the store goes down meanwhile. What was cut stays cut.
    """
    now = clock()
    cut = 0
    for kind, days in (
        ("trim_samples", keep.journal_days),
        ("trim_frames", keep.journal_days),
        ("trim_authorisations", keep.authorisation_days),
        ("trim_exchanges", keep.exchange_days),
    ):
        before = now - timedelta(days=days)
        while found := await store.old(kind, before, batch):
            await store.commit([Trim(kind, before, batch)])  # type: ignore[list-item]
            cut += found
            await asyncio.sleep(0)
    return cut


async def backup(url: str, to: Path) -> None:
    """Write a backup of the store at *url* to *to*, while a server may be running on it.

    It holds everything that was acknowledged before it began. SQLite: a database file.
    PostgreSQL: an archive for ``pg_restore``, made by ``pg_dump``.

    Raises:
        CannotOpen: if the store does not answer, *to* cannot be written, or pg_dump is missing.
    """
    where = address.parse(url)
    with address.speaking_of(where):
        if where.get_backend_name() == "sqlite":
            await asyncio.to_thread(_copy_sqlite, address.path_of(where), to)
        else:
            await _dump_postgres(where, to)


def _copy_sqlite(path: Path, to: Path) -> None:
    """Copy page by page; finished or not there at all."""
    unfinished = to.with_name(to.name + ".part")
    unfinished.unlink(missing_ok=True)
    source = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
    try:
        target = sqlite3.connect(unfinished)
        try:
            source.backup(target)
        finally:
            target.close()
    finally:
        source.close()
    _sync(unfinished)
    unfinished.replace(to)
    _sync(to.absolute().parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


async def _dump_postgres(url: URL, to: Path) -> None:
    program = _pg_dump()
    if program is None:
        raise CannotOpen("pg_dump is not installed; install PostgreSQL's client programs")
    plain = url.set(drivername="postgresql", password=None).render_as_string()
    secret = {} if url.password is None else {"PGPASSWORD": str(url.password)}
    process = await asyncio.create_subprocess_exec(
        program,
        "--format=custom",
        f"--file={to}",
        f"--dbname={plain}",
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **secret},
    )
    _, said = await process.communicate()
    if process.returncode != 0:
        reason = (said.decode(errors="replace").strip().splitlines() or ["failed"])[-1]
        raise CannotOpen(f"pg_dump of {address.shown(url)}: {reason}")


def _pg_dump() -> str | None:
    """Return the newest pg_dump: an older one refuses a newer server."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/pg_dump"),
        key=lambda path: int(path.parent.parent.name),
    )
    return str(found[-1]) if found else shutil.which("pg_dump")


async def export_ledger(store: SqlReader) -> AsyncIterator[dict[str, object]]:
    """Yield our ledger for the oracle: sessions, bills, journal, work items as plain data."""
    async for line in store.ledger():
        yield line
