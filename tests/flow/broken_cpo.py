"""A proxy in front of a good CPO that breaks one rule at a time, the way real ones do.

Each defect is a function over one question and its answer; its name says what is wrong with such a
CPO, and beside it stand the checks that must turn red, all of them and no others. What is wrong in
any version is in ``defects_221``, what only CPOs of 2.1.1 or 2.3.0 get wrong in files of their own.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import aiohttp
from aiohttp import web
from yarl import URL

from ocpi_check.wire import BadJson, Json, dumps, loads

KEPT = re.compile(r"(?i)x-|ocpi-|link|content-type|allow|www-authenticate|location")


@dataclass(slots=True)
class Asked:
    """A question on its way to the good CPO.

    Attributes:
        path: below ``/ocpi/``, e.g. ``2.2.1/locations/SITE-0``.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    token: str

    @property
    def parts(self) -> list[str]:
        return [each for each in self.path.split("/") if each]

    @property
    def module(self) -> str:
        return self.parts[1] if len(self.parts) > 1 else self.parts[0]


@dataclass(slots=True)
class Said:
    """The good CPO's answer, to be spoilt."""

    http: int
    headers: dict[str, str]
    body: Any
    raw: bytes | None = None

    @property
    def code(self) -> int:
        found: int = self.body.get("status_code", 0)
        return found

    @property
    def data(self) -> Any:
        return self.body.get("data")

    @property
    def items(self) -> list[Json]:
        return self.data if isinstance(self.data, list) else []

    def drop(self, *names: str) -> None:
        wanted = {name.lower() for name in names}
        self.headers = {k: v for k, v in self.headers.items() if k.lower() not in wanted}

    def set(self, name: str, value: str) -> None:
        self.drop(name)
        self.headers[name] = value

    def get(self, name: str) -> str:
        return next((v for k, v in self.headers.items() if k.lower() == name.lower()), "")


Spoil = Callable[[Asked, Said], None]
Twist = Callable[[Asked], Asked]


@dataclass(frozen=True, slots=True)
class Defect:
    """What is wrong with a CPO.

    Attributes:
        red: the checks that must see it.
        asks: what it makes of questions; *says*: of answers.
    """

    name: str
    red: frozenset[str]
    says: Spoil = field(default=lambda asked, said: None)
    asks: Twist = field(default=lambda asked: asked)


class Defects(list[Defect]):
    """What CPOs of one version do wrong, declared beside the functions that do it."""

    def answers(self, *red: str) -> Callable[[Spoil], Spoil]:
        """Declare a way to spoil answers; its name is the function's."""

        def declared(says: Spoil) -> Spoil:
            self.append(Defect(says.__name__, frozenset(red), says))
            return says

        return declared

    def questions(self, *red: str) -> Callable[[Twist], Twist]:
        """Declare a way to misread questions."""

        def declared(asks: Twist) -> Twist:
            self.append(Defect(asks.__name__, frozenset(red), asks=asks))
            return asks

        return declared


@asynccontextmanager
async def broken(good: str, defect: Defect, token: str) -> AsyncIterator[str]:
    """Run a CPO that is *good* but for *defect*; yields its versions URL.

    Args:
        good: base of the good one, ``http://host:port``.
        token: Authorization header that the good one accepts, for defects about tokens.
    """
    async with aiohttp.ClientSession(auto_decompress=True) as http:
        app = web.Application(client_max_size=2**24)
        base: list[str] = []

        async def serve(request: web.Request) -> web.Response:
            asked = defect.asks(await _asked(request, token))
            said = await _forward(http, good, asked, base[0])
            if isinstance(said.body, dict):
                defect.says(asked, said)
            content = said.raw if said.raw is not None else dumps(said.body)
            return web.Response(status=said.http, headers=said.headers, body=content)

        app.router.add_route("*", "/ocpi/{tail:.*}", serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            base.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
            yield f"{base[0]}/ocpi/versions"
        finally:
            await runner.cleanup()


async def _asked(request: web.Request, token: str) -> Asked:
    headers = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "connection")}
    path = request.rel_url.raw_path.removeprefix("/ocpi/")
    query = dict(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True))
    return Asked(request.method, path, query, headers, await request.read(), token)


async def _forward(http: aiohttp.ClientSession, good: str, asked: Asked, own: str) -> Said:
    url = f"{good}/ocpi/{asked.path}" + (f"?{urlencode(asked.query)}" if asked.query else "")
    async with http.request(
        asked.method, URL(url, encoded=True), data=asked.body or None, headers=asked.headers
    ) as answer:
        raw = (await answer.read()).replace(good.encode(), own.encode())
        headers = {k: v.replace(good, own) for k, v in answer.headers.items() if KEPT.match(k)}
    headers.pop("Content-Length", None)
    try:
        return Said(answer.status, headers, loads(raw))
    except BadJson:
        return Said(answer.status, headers, None, raw)


# -- helpers of the defects


def of(asked: Asked, said: Said, module: str) -> Iterator[Json]:
    """The objects of *module* in an answer to a GET."""
    if asked.method == "GET" and asked.module == module and said.code == 1000:
        if isinstance(said.data, list):
            yield from said.data
        elif isinstance(said.data, dict) and len(asked.parts) == 3:
            yield said.data


def evses_in(asked: Asked, said: Said) -> Iterator[Json]:
    for each in of(asked, said, "locations"):
        yield from each.get("evses") or []


def plugs_in(asked: Asked, said: Said) -> Iterator[Json]:
    for each in evses_in(asked, said):
        yield from each["connectors"]
