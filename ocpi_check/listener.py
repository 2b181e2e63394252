"""The checker's own side of a connection: what the party under test calls back.

It plays an eMSP towards a CPO and a CPO towards an eMSP. Everything that arrives is kept; whatever
is pushed is taken. Its addresses are odd on purpose: a good party takes them as they are.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from ocpi_check.wire import Json, authorization, dumps, join, loads, now, stamp

EMSP_SIDE = (
    ("tokens", "SENDER"),
    ("commands", "SENDER"),
    ("locations", "RECEIVER"),
    ("tariffs", "RECEIVER"),
    ("sessions", "RECEIVER"),
    ("cdrs", "RECEIVER"),
)
CPO_SIDE = (
    ("locations", "SENDER"),
    ("tariffs", "SENDER"),
    ("sessions", "SENDER"),
    ("cdrs", "SENDER"),
    ("tokens", "RECEIVER"),
    ("commands", "RECEIVER"),
)
OTHER_VERSION = "2.99"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request of the party under test.

    Attributes:
        module: the interface that was called, or "" where the address is none of ours.
        segments: the path below it.
        door: which of our faces it went to: "good", or one that is broken on purpose.
    """

    method: str
    door: str
    module: str
    segments: tuple[str, ...]
    path: str
    headers: Mapping[str, str]
    body: Any
    known: bool

    def shown(self) -> str:
        head = "\n".join(f"{name}: {value}" for name, value in self.headers.items())
        return f"{self.method} {self.path}\n{head}\n{dumps(self.body).decode()}"


@dataclass(slots=True)
class Listener:
    """Listens for the party under test.

    Args:
        host, port: where to listen; port 0 picks a free one.
        public_url: how the other side reaches this; None = where it listens.
        side: the interfaces that we offer.
        token: token B, what the other side must call us with.
        tokens: the tokens that our list gives out (as an eMSP).
    """

    version: str
    us: tuple[str, str]
    host: str = "127.0.0.1"
    port: int = 0
    public_url: str | None = None
    side: tuple[tuple[str, str], ...] = EMSP_SIDE
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    tokens: list[Json] = field(default_factory=list)
    former: list[str] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    _runner: web.AppRunner | None = None
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def up(self) -> None:
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def down(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def base(self) -> str:
        return self.public_url or f"http://{self.host}:{self.port}"

    def versions_url(self, door: str = "good") -> str:
        return join(self.base, "check", door, "our-versions")

    def url(self, module: str, door: str = "good") -> str:
        """Of one of our interfaces; not where anyone would guess it."""
        return join(self.base, "check", door, "here", module)

    def credentials(self, door: str = "good", **more: Any) -> Json:
        """Our Credentials, with token B."""
        country, party = self.us
        body: Json = {"token": self.token, "url": self.versions_url(door)}
        who: Json = {
            "business_details": {"name": "OCPI check"},
            "party_id": party,
            "country_code": country,
        }
        if self.version == "2.1.1":
            return body | who | more
        role = "EMSP" if self.side is EMSP_SIDE else "CPO"
        return body | {"roles": [{"role": role, **who}]} | more

    def renew(self) -> None:
        """Mint another token B; the former one is still heard."""
        self.former = [self.token]
        self.token = secrets.token_urlsafe(32)

    async def until(self, probe: Callable[[], Any], seconds: float) -> Any:
        """What *probe* finds, asked again after each arrival; None if that takes too long."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    self._heard.clear()
                    if found := probe():
                        return found
                    await self._heard.wait()
        except TimeoutError:
            return None

    def heard(self, module: str, method: str | None = None) -> list[Arrival]:
        """What arrived for *module* with a token that we gave."""
        return [
            each
            for each in self.arrivals
            if each.module == module and method in (None, each.method) and each.known
        ]

    # -- serving

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        arrival = self._arrival(request, raw)
        self.arrivals.append(arrival)
        http, envelope, headers = self._reply(arrival, request)
        self._heard.set()
        ids = ("X-Request-ID", "X-Correlation-ID")
        headers |= {name: arrival.headers[name] for name in ids if name in arrival.headers}
        headers |= self._routing(request, arrival.module)
        whole = envelope | {"timestamp": stamp(now())}
        return web.Response(
            status=http, body=dumps(whole), headers=headers, content_type="application/json"
        )

    def _arrival(self, request: web.Request, raw: bytes) -> Arrival:
        try:
            body = loads(raw) if raw else None
        except ValueError:
            body = raw.decode(errors="replace")
        parts = [each for each in request.path.split("/") if each]
        door, module, segments = "", "", tuple(parts)
        if len(parts) >= 3 and parts[0] == "check":
            door, what = parts[1], parts[2]
            module, segments = what, tuple(parts[3:])
            if what == "here" and segments:
                module, segments = segments[0], segments[1:]
        given = request.headers.get("Authorization")
        known = given in [authorization(each, self.version) for each in (self.token, *self.former)]
        return Arrival(
            request.method, door, module, segments, request.path_qs,
            request.headers.copy(), body, known,
        )  # fmt: skip

    def _routing(self, request: web.Request, module: str) -> dict[str, str]:
        if self.version == "2.1.1" or module in ("our-versions", "details", "credentials"):
            return {}
        found = {"OCPI-from-country-code": self.us[0], "OCPI-from-party-id": self.us[1]}
        for name in ("country-code", "party-id"):
            if value := request.headers.get(f"OCPI-from-{name}"):
                found[f"OCPI-to-{name}"] = value
        return found

    def _reply(self, arrival: Arrival, request: web.Request) -> tuple[int, Json, dict[str, str]]:
        if not arrival.known or arrival.door == "locked":
            return 401, {"status_code": 2000, "status_message": "unknown token"}, {}
        match arrival.module:
            case "our-versions":
                return 200, _good(self._versions(arrival.door)), {}
            case "details":
                return 200, _good(self._details(arrival.door)), {}
            case "credentials":
                return 200, _good(self.credentials()), {}
            case "tokens" if arrival.segments[-1:] == ("authorize",):
                return 200, _good(self._authorised(arrival)), {}
            case "tokens" | "locations" | "tariffs" | "sessions" | "cdrs" if (
                arrival.method == "GET" and (arrival.module, "SENDER") in self.side
            ):
                return 200, *self._page(arrival.module)
            case "cdrs" if arrival.method == "POST":
                where = join(self.url("cdrs"), str(_id(arrival.body)))
                return 201, _good(), {"Location": where}
            case "":
                return 404, {"status_code": 2000, "status_message": "no such address"}, {}
            case _ if arrival.method == "GET":
                return 404, {"status_code": 2000, "status_message": "not kept here"}, {}
        return 200, _good(), {}

    def _page(self, module: str) -> tuple[Json, dict[str, str]]:
        items = self.tokens if module == "tokens" else []
        return _good(items), {"X-Total-Count": str(len(items)), "X-Limit": "1000"}

    def _versions(self, door: str) -> list[Json]:
        version = OTHER_VERSION if door == "foreign" else self.version
        return [
            {"version": OTHER_VERSION, "url": join(self.base, "check", door, "elsewhere")},
            {"version": version, "url": join(self.base, "check", door, "details")},
        ]

    def _details(self, door: str) -> Json:
        if door == "bare":  # needed interfaces are missing
            return {"version": self.version, "endpoints": []}
        offered = [("credentials", "SENDER"), *self.side]
        endpoints = [
            {"identifier": module, "role": role, "url": self.url(module, door)}
            for module, role in offered
        ]
        if self.version == "2.1.1":  # where the list of modules is closed
            endpoints = [{k: v for k, v in each.items() if k != "role"} for each in endpoints]
        else:
            own = {"identifier": "xxchk_custom", "role": "SENDER", "url": self.url("x", door)}
            endpoints.append(own)
        return {"version": self.version, "endpoints": endpoints}

    def _authorised(self, arrival: Arrival) -> Json:
        uid = arrival.segments[0] if arrival.segments else ""
        token = next((each for each in self.tokens if each["uid"] == uid), None)
        info: Json = {"allowed": "ALLOWED" if token else "NOT_ALLOWED"}
        if token and self.version != "2.1.1":
            info["token"] = token
        return info


def _good(data: Any = None) -> Json:
    return {"status_code": 1000} if data is None else {"status_code": 1000, "data": data}


def _id(body: Any) -> Any:
    return body.get("id") if isinstance(body, dict) else None
