"""``cms serve`` as a process: started, waited for, asked, killed, started again."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.harness.network import Network

ROOT = Path(__file__).resolve().parents[2]
"""Where the packages lie: the repository, or the copy that a mutant was made of."""

START_SECONDS = 60.0
STOP_SECONDS = 15.0


class DidNotStart(Exception):
    """The server ended, or did not get ready in time; carries the end of its log."""


class Server:
    """One server on one network; it may die and be started again.

    Attributes:
        env: more environment for the next start (e.g. ``CMS_FAILPOINT``).
        exit_codes: of every process that ended, in order; -9 where it was killed.
    """

    def __init__(self, network: Network, *, env: dict[str, str] | None = None) -> None:
        self.network = network
        self.env = dict(env or {})
        self.exit_codes: list[int] = []
        self.key = ""
        self._log = network.folder / "server.log"
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.subprocess.Process | None = None

    # -- life

    async def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            DidNotStart: with the end of its log.
        """
        await self.launch()
        await self.ready()

    async def launch(self) -> None:
        """Start the process without waiting for it."""
        self.network.write()
        self.network.operator_file.unlink(missing_ok=True)
        out = await self._logging()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "cms", "serve", "--config", str(self.network.config_file),
                stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, cwd=ROOT,
                env={**os.environ, **self.env},
            )  # fmt: skip
        finally:
            os.close(out)

    async def _logging(self) -> int:
        """Start whatever writes the log; returns the pipe to it.

        Not the server itself: what it may write to files can then be limited without blinding us.
        """
        read, write = os.pipe()
        with self._log.open("ab") as log:
            self._writer = await asyncio.create_subprocess_exec("cat", stdin=read, stdout=log)
        os.close(read)
        return write

    async def ready(self, within: float = START_SECONDS) -> None:
        """Wait until ``/readyz`` says yes."""
        deadline = time.monotonic() + within
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
            while time.monotonic() < deadline and self.running:
                if await self._answers(http):
                    return
                await asyncio.sleep(0.02)
        raise DidNotStart(f"exit codes {self.exit_codes}, log ends:\n{self.log()[-3000:]}")

    async def _answers(self, http: aiohttp.ClientSession) -> bool:
        try:
            told = json.loads(self.network.operator_file.read_text())
            async with http.get(f"{told['url']}/readyz") as answer:
                self.key = told["key"]
                return answer.status == 200
        except (OSError, ValueError, aiohttp.ClientError, TimeoutError):
            return False

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def kill(self) -> None:
        """``kill -9``; returns when it is dead."""
        if self.running:
            assert self._process is not None
            self._process.kill()
        await self.ended()

    async def ended(self, within: float = STOP_SECONDS) -> int:
        """Wait until it has ended, by whatever; returns its exit code."""
        assert self._process is not None
        async with asyncio.timeout(within):
            code = await self._process.wait()
            if self._writer is not None:
                await self._writer.wait()
        self._process = None
        self.exit_codes.append(code)
        return code

    async def terminate(self, within: float = STOP_SECONDS) -> tuple[int, float]:
        """SIGTERM; returns its exit code and how many seconds it took."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        code = await self.ended(within)
        return code, time.monotonic() - began

    async def gone(self) -> None:
        """End it, whatever state it is in."""
        if self.running:
            with suppress(TimeoutError):
                await self.terminate()
                return
            await self.kill()

    # -- questions

    @asynccontextmanager
    async def api(self) -> AsyncIterator[Api]:
        """Talk to its API as the operator."""
        headers = {"Authorization": f"Bearer {self.key}"}
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
            yield Api(http, self.network.base)

    async def metrics(self) -> dict[str, float]:
        """Every sample of ``/metrics``, by its name with labels."""
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{self.network.base}/metrics") as answer:
                return parse_metrics(await answer.text())

    async def cli(self, *arguments: str, within: float = 60) -> tuple[int, str]:
        """Run ``cms`` with *arguments* on this network's config; returns exit code and output."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cms", *arguments, "--config", str(self.network.config_file),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, cwd=ROOT, env={**os.environ},
        )  # fmt: skip
        async with asyncio.timeout(within):
            out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(errors="replace")

    async def ledger(self) -> list[dict[str, Any]]:
        """Our ledger: asked from the running server, else what ``cms export ledger`` writes."""
        if self.running:
            async with self.api() as api:
                return await api.lines("/ledger.jsonl")
        file = self.network.folder / "ours.jsonl"
        file.unlink(missing_ok=True)
        code, text = await self.cli("export", "ledger", str(file))
        assert code == 0, f"cms export ledger: exit code {code}: {text}"
        return [json.loads(line) for line in file.read_text().splitlines()]

    # -- its log

    def log(self) -> str:
        """Everything that it has written so far, over all its lives."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def events(self) -> Iterator[dict[str, Any]]:
        """Its structured log lines."""
        for line in self.log().splitlines():
            if line.startswith("{"):
                with suppress(ValueError):
                    yield json.loads(line)

    def unhandled(self, *allowed: str) -> list[str]:
        """Lines about exceptions that nobody handled, but for the events named in *allowed*."""
        return unhandled(self.log(), *allowed)


class Api:
    """``/api/v1`` with all rights."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self.http = http
        self.base = base

    async def get(self, path: str, **query: Any) -> Any:
        return await self._ask("GET", path, params={k: str(v) for k, v in query.items()})

    async def post(self, path: str, body: Any = None) -> Any:
        return await self._ask("POST", path, json=body if body is not None else {})

    async def put(self, path: str, body: Any) -> Any:
        return await self._ask("PUT", path, json=body)

    async def delete(self, path: str) -> Any:
        return await self._ask("DELETE", path)

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask something that may be refused; returns the HTTP status and the answer."""
        url = f"{self.base}/api/v1{path}"
        async with self.http.request(method, url, json=body) as answer:
            return answer.status, await answer.json(content_type=None)

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        async with self.http.request(method, f"{self.base}/api/v1{path}", **more) as answer:
            body = await answer.json(content_type=None)
            assert answer.status < 400, f"{method} {path}: {answer.status} {body}"
            return body

    async def lines(self, path: str) -> list[dict[str, Any]]:
        """Read JSON lines."""
        async with self.http.get(f"{self.base}/api/v1{path}") as answer:
            assert answer.status == 200, f"{path}: {answer.status}"
            return [json.loads(line) for line in (await answer.text()).splitlines()]

    async def work_items(self) -> list[dict[str, Any]]:
        """Every open work item."""
        found: list[dict[str, Any]] = await self.get("/work-items", limit=500)
        return found


_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*(?:\{[^}]*\})?) (\S+)$")
_BAD = re.compile(r"Traceback \(most recent call last\)|never retrieved|was never awaited")


def parse_metrics(text: str) -> dict[str, float]:
    """Read Prometheus' text format."""
    found = (_SAMPLE.match(line) for line in text.splitlines())
    return {match[1]: float(match[2]) for match in found if match}


def unhandled(log: str, *allowed: str) -> list[str]:
    """Lines of *log* that tell of an unhandled exception or an error of ours."""
    found = []
    for line in log.splitlines():
        level = event = ""
        if line.startswith("{"):
            with suppress(ValueError):
                told = json.loads(line)
                level, event = told.get("level", ""), told.get("event", "")
        if event in allowed:
            continue
        if level in ("error", "critical") or _BAD.search(line):
            found.append(line)
    return found


@asynccontextmanager
async def serving(network: Network, *, env: dict[str, str] | None = None) -> AsyncIterator[Server]:
    """A running server; it is ended with the block, whatever happened."""
    server = Server(network, env=env)
    try:
        await server.start()
        yield server
    finally:
        await server.gone()
