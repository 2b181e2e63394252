"""Services that tests talk to: a PostgreSQL that was given, or one of our own in a temporary folder."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
from sqlalchemy import URL, make_url

T = TypeVar("T")

REQUIRE = "CMS_TEST_REQUIRE_SERVICES"
ADDRESS = "CMS_TEST_POSTGRES"
NO_SERVICE = "no service: "
"""Every skip for want of a service begins so; the terminal summary counts them."""


def unavailable(what: str) -> None:
    """Skip the test for want of a service; fail where services are required."""
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{what} ({REQUIRE}=1)")
    pytest.skip(NO_SERVICE + what)


def postgres_binaries() -> Path | None:
    """Return the folder of the newest installed server binaries, if there is one."""
    on_path = shutil.which("pg_ctl")
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"),
        key=lambda path: int(path.parent.parent.name),
    )
    if found:
        return found[-1].parent
    return Path(on_path).resolve().parent if on_path else None


class PostgresServer:
    """A server of our own. It runs as another user when we are root, which it insists on.

    Durable as in production: fsync stays on, or the store would rightly refuse it.
    """

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="cms-pg-", dir="/tmp"))
        self._user = _unprivileged()
        self.port = _free_port()
        if self._user is not None:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                  "--locale=C", "--no-sync")  # fmt: skip

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def url(self, database: str = "postgres") -> URL:
        return URL.create(
            "postgresql",
            username="postgres",
            host="127.0.0.1",
            port=self.port,
            database=database,
        )

    def start(self) -> None:
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 "
            f"-c unix_socket_directories={self._folder} -c max_connections=60"
        )
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", self._data, "-w", "-t", "30", "-l", log, "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; *mode* as ``pg_ctl`` knows it (``immediate`` is the crash)."""
        self._run("pg_ctl", "-D", self._data, "-w", "-t", "30", "-m", mode, "stop")

    def remove(self) -> None:
        try:
            self.stop()
        except subprocess.CalledProcessError:
            pass  # was stopped by the test
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        user = {} if self._user is None else {"user": self._user.pw_uid, "group": self._user.pw_gid}
        subprocess.run(
            [str(self._binaries / program), *arguments],
            check=True,
            timeout=60,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            extra_groups=[] if user else None,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            **user,
        )


def _unprivileged() -> pwd.struct_passwd | None:
    """Return whom to run the server as; None = as ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("no user to run PostgreSQL as: neither postgres nor nobody exists")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Databases:
    """Makes a database per test, from a template that has the schema already."""

    def __init__(self, server: URL) -> None:
        self._server = server
        self._prefix = f"cms_test_{os.getpid()}"
        self._count = 0

    def prepare(self, migrate: Callable[[str], Coroutine[Any, Any, object]]) -> None:
        """Make the template."""
        template = f"{self._prefix}_template"
        self._execute(f'CREATE DATABASE "{template}"')
        run_apart(lambda: migrate(self._url(template)))

    def create(self, *, empty: bool = False) -> str:
        """Make a database; returns its address."""
        self._count += 1
        name = f"{self._prefix}_{self._count}"
        template = "template1" if empty else f"{self._prefix}_template"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self._url(name)

    def drop(self, address: str) -> None:
        self._execute(f'DROP DATABASE IF EXISTS "{make_url(address).database}" WITH (FORCE)')

    def close(self) -> None:
        self.drop(self._url(f"{self._prefix}_template"))

    def _url(self, name: str) -> str:
        return self._server.set(database=name).render_as_string(hide_password=False)

    def _execute(self, sql: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(
                self._server.render_as_string(hide_password=False), timeout=10
            )
            try:
                await connection.execute(sql)
            finally:
                await connection.close()

        run_apart(run)


def run_apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run *work* on an event loop of its own in a thread of its own; returns its result."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(asyncio.run(work()))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    if errors:
        raise errors[0]
    return results[0]
