"""A PostgreSQL database for one run: on the server that is named or found, else on one of our own."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from benchmarks.servers import Failed, free_port

USUAL = "postgresql://postgres@127.0.0.1:5432/postgres"


@asynccontextmanager
async def postgresql() -> AsyncIterator[str]:
    """Give the URL of an empty database, which is dropped at the end.

    The server is that of ``CMS_TEST_POSTGRES``; else one on port 5432 of this machine; else one
    that is started from the installed binaries in a temporary folder.

    Raises:
        Failed: there is none, or it would not keep what it acknowledged (fsync is off).
    """
    named = os.environ.get("CMS_TEST_POSTGRES")
    url = (named or USUAL).replace("+asyncpg", "")
    if await _reachable(url):
        async with _database(url) as database:
            yield database
    elif named:
        raise Failed("CMS_TEST_POSTGRES names a server that does not answer")
    else:
        with _own_server() as own:
            async with _database(own) as database:
                yield database


async def _reachable(url: str) -> bool:
    try:
        await (await asyncpg.connect(url, timeout=5)).close()
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    return True


@asynccontextmanager
async def _database(url: str) -> AsyncIterator[str]:
    name = f"cms_bench_{os.getpid()}"
    server = await asyncpg.connect(url)
    try:
        for setting in ("fsync", "synchronous_commit"):
            if await server.fetchval(f"SHOW {setting}") != "on":
                raise Failed(f"{setting} is off on this PostgreSQL: nothing would be durable")
        await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await server.execute(f"CREATE DATABASE {name}")
        try:
            yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        finally:
            await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    finally:
        await server.close()


@contextmanager
def _own_server() -> Iterator[str]:
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="cms-bench-pg-"))
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    port = free_port()
    data = folder / "data"
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    try:
        _run([f"{binaries}/initdb", "-D", str(data), "-U", "postgres", "-A", "trust"], user)
        start = [f"{binaries}/pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log")]
        _run([*start, "-o", options, "start"], user)
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            _run([f"{binaries}/pg_ctl", "-D", str(data), "-m", "fast", "stop"], user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> str:
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    here = found[-1] if found else shutil.which("initdb")
    if here is None:
        raise Failed("no PostgreSQL is installed, and none is reachable")
    return str(Path(here).parent)


def _run(command: list[str], user: str | None) -> None:
    done = subprocess.run(  # noqa: PLW1510
        command, user=user, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60
    )
    if done.returncode:
        raise Failed(f"{command[0]}: {done.stderr.decode(errors='replace').strip()[-300:]}")
