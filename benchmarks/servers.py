"""Start and end the processes that a benchmark needs: servers, the load, the ticker."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import config, meter

START_SECONDS = 120.0
LOAD_SECONDS = 240.0
LONGEST_LINE = 64 * 1024 * 1024


class Failed(Exception):
    """A process did not do what it was started for; the text says what."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Cms:
    """The server under test, running.

    Attributes:
        key: opens its HTTP API.
    """

    pid: int
    ocpp_port: int
    http_port: int
    folder: Path
    config: Path
    start_seconds: float

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def key(self) -> str:
        return str(json.loads((self.folder / "operator.json").read_text())["key"])

    def get(self, path: str) -> str:
        """Return the text of an answer of its HTTP port."""
        request = urllib.request.Request(f"{self.base}{path}", headers=self._headers())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())

    def post(self, path: str, body: Any) -> Any:
        """POST JSON and return the JSON of the answer."""
        headers = {**self._headers(), "Content-Type": "application/json"}
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}{path}", data, headers, method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def gauges(self, *names: str) -> dict[str, float]:
        """Read metrics; those that the server does not show are left out."""
        return meter.gauges(self.get("/metrics"), names)


@contextmanager
def cms(folder: Path, body: str, database: str | None = None) -> Iterator[Cms]:
    """Run ``cms serve`` on a config of its own, on the server's core, until the block ends.

    Args:
        database: URL; None = a new SQLite file in *folder*.

    Raises:
        Failed: it did not get ready; with the end of its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ocpp_port, http_port = free_port(), free_port()
    url = database or f"sqlite:///{folder / 'cms.db'}"
    path = config.write(folder, ocpp_port, http_port, url, body)
    if database is not None:
        _upgrade(path)
    log = folder / "cms.log"
    begun = time.monotonic()
    with _process(["-m", "cms", "serve", "--config", str(path)], log, folder) as process:
        _wait_until_ready(process, http_port, log)
        ready = time.monotonic() - begun
        yield Cms(process.pid, ocpp_port, http_port, folder, path, ready)


def _upgrade(path: Path) -> None:
    done = subprocess.run(  # noqa: PLW1510
        [sys.executable, "-m", "cms", "db", "upgrade", "--config", str(path)],
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )
    if done.returncode:
        raise Failed(f"cms db upgrade: {done.stderr.strip()[-500:]}")


@contextmanager
def reference(module: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Run one of our reference servers; gives (process id, port)."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    log = folder / f"{module}.log"
    with _process(["-m", f"benchmarks.{module}", str(port)], log, folder) as process:
        _wait_for_port(process, port, log)
        yield process.pid, port


@contextmanager
def _process(arguments: list[str], log: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    environment.pop("CMS_DATABASE", None)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=folder,
            env=environment,
        )
    meter.pin(meter.SERVER_CORE, process.pid)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        _must_live(process, log)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    raise Failed(f"not ready after {START_SECONDS:.0f} s: {_end_of(log)}")


def _wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        _must_live(process, log)
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise Failed(f"no server on port {port}: {_end_of(log)}")


def _must_live(process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is not None:
        raise Failed(f"ended with {process.returncode}: {_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-1500:]


class Obedient:
    """A process that takes orders (``benchmarks.orders``), seen from here."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._name = name
        self._process = process

    async def __call__(self, do: str, **order: Any) -> dict[str, Any]:
        """Give one order and return its result.

        Raises:
            Failed: it went wrong, or took far too long.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **order}).encode() + b"\n")
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise Failed(f"{self._name}: {do} took longer than {LOAD_SECONDS:.0f} s") from None
        if not line:
            raise Failed(f"{self._name}: ended during {do}")
        result: dict[str, Any] = json.loads(line)
        if "error" in result:
            raise Failed(f"{self._name}: {do}: {result['error']}")
        return result


Load = Obedient
"""The load generator."""


@asynccontextmanager
async def obedient(module: str) -> AsyncIterator[Obedient]:
    """Run one of our modules that take orders."""
    process = await _talking(module)
    try:
        yield Obedient(module, process)
    finally:
        await _end(process)


def load() -> AbstractAsyncContextManager[Load]:
    """Run the load generator on the load's core."""
    return obedient("load")


class Ticker:
    """The idle ticker's process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def longest_ms(self) -> float:
        """Return the longest delay since the last time that anything was asked."""
        return (await self._asked())[0]

    async def p99_ms(self) -> float:
        """Return the 99th percentile of the delays since the last time."""
        return (await self._asked())[1]

    async def _asked(self) -> tuple[float, float]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(b"\n")
        longest, p99 = (await self._process.stdout.readline()).split()
        return float(longest), float(p99)


@asynccontextmanager
async def ticker() -> AsyncIterator[Ticker]:
    process = await _talking("ticker")
    try:
        yield Ticker(process)
    finally:
        await _end(process)


async def _talking(module: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"benchmarks.{module}",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LONGEST_LINE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(10):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
