"""How admin verbs reach the system: one HTTP client, two ways to the same API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from cms.config import Config, blaming


class Refused(Exception):
    """The API said no; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Office:
    """A connection to the API with all rights."""

    http: aiohttp.ClientSession
    base: str

    async def get(self, path: str, **query: Any) -> Any:
        wanted = {name: str(value) for name, value in query.items() if value is not None}
        return await self._ask("GET", path, params=wanted)

    async def fetch(self, path: str) -> bytes:
        """Get a file."""
        async with self.http.get(f"{self.base}/api/v1{path}") as answer:
            body = await answer.read()
            if answer.status >= 400:
                raise Refused(_said(body.decode("utf-8", "replace"), answer.status))
            return body

    async def put(self, path: str, body: Any) -> Any:
        return await self._ask("PUT", path, json=body)

    async def post(self, path: str, body: Any = None) -> Any:
        return await self._ask("POST", path, json=body or {})

    async def patch(self, path: str, body: Any) -> Any:
        return await self._ask("PATCH", path, json=body)

    async def delete(self, path: str) -> Any:
        return await self._ask("DELETE", path)

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        async with self.http.request(method, f"{self.base}/api/v1{path}", **more) as answer:
            text = await answer.text()
            if answer.status >= 400:
                raise Refused(_said(text, answer.status))
            return json.loads(text) if answer.content_type == "application/json" else text


def _said(text: str, status: int) -> str:
    try:
        problem = json.loads(text)
    except ValueError:
        return f"HTTP {status}"
    field = problem.get("field")
    detail = str(problem.get("detail", f"HTTP {status}"))
    return f"{field}: {detail}" if field else detail


@asynccontextmanager
async def office(config: Config) -> AsyncIterator[Office]:
    """Reach the running server; where none runs, open the store for the time of the block.

    Raises:
        ConfigError: the store cannot be opened, for instance because a server of another config
            holds it.
    """
    running = await _running(config.http.operator_file)
    if running is not None:
        async with _client(running[1]) as http:
            yield Office(http, running[0])
        return
    from cms.bootstrap import back_office  # the whole backend: slow to load, seldom needed

    async with back_office(config) as (base, key), _client(key) as http:
        yield Office(http, base)


def visit(config: Config, errand: Callable[[Office], Awaitable[Any]]) -> Any:
    """Run one errand at the office and return what it brings."""

    async def go() -> Any:
        async with office(config) as there:
            return await errand(there)

    with blaming(config):
        return asyncio.run(go())


def _client(key: str) -> aiohttp.ClientSession:
    """Return a client for the loopback; the server's certificate names its public host, not this."""
    return aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {key}"},
        timeout=aiohttp.ClientTimeout(total=60),
        connector=aiohttp.TCPConnector(ssl=False),
    )


async def _running(file: Path) -> tuple[str, str] | None:
    """Return address and key of the running server that wrote *file*, if it answers."""
    told = _told(file)
    if told is None:
        return None
    base, key = told
    try:
        async with _client(key) as http, http.get(f"{base}/api/v1/sites") as answer:
            return (base, key) if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError):
        return None


def _told(file: Path) -> tuple[str, str] | None:
    try:
        told = json.loads(file.read_text())
        return str(told["url"]), str(told["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
