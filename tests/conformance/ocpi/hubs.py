"""A small roaming hub on loopback: one token, many parties, told apart by the routing headers."""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from cms.domain.ids import PartnerId
from cms.domain.partner import Partner, PartnerRole
from ocpi_cpo.wire import authorization, loads
from tests.conformance.ocpi.world import Asker, Heard, World, now

HUB = PartnerId("IN*HUB")
ANN, BOB, CAT = PartnerId("NL*ANN"), PartnerId("DE*BOB"), PartnerId("IN*CAT")
MEMBERS = (ANN, BOB, CAT)
SENDER_MODULES = ("tokens", "commands")
RECEIVER_MODULES = ("locations", "tariffs", "sessions", "cdrs")
OURS = "IN*CPO"


@dataclass
class Arrival:
    """A request of ours that reached the hub."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any

    @property
    def module(self) -> str:
        return self.path.strip("/").split("/")[0]

    @property
    def to(self) -> str | None:
        return _party(self.headers, "to")

    @property
    def sender(self) -> str | None:
        return _party(self.headers, "from")


def _party(headers: dict[str, str], which: str) -> str | None:
    country = headers.get(f"OCPI-{which}-country-code")
    return None if country is None else f"{country}*{headers[f'OCPI-{which}-party-id']}"


def routing(sender: str | None, receiver: str | None = OURS) -> dict[str, str]:
    """The headers of a request in the name of *sender*."""
    found = {}
    for which, party in (("from", sender), ("to", receiver)):
        if party is not None:
            found[f"OCPI-{which}-country-code"], found[f"OCPI-{which}-party-id"] = party.split("*")
    return found


@dataclass
class Hub:
    """What the hub holds and how it behaves.

    Attributes:
        says: what it answers to functional requests for one party instead of success:
            (HTTP status, OCPI status_code). ``None`` as a party: to every request.
        tokens, clients: its lists, served in pages of two.
        allowed: who answers which uid when nobody is named, with the answer's data.
        forwards: whether a GET of one object reaches the party that it is for, which then answers
            from *copies* (by party and path).
    """

    base: str
    token: str = "the-hubs-own-token-0123456789"
    version: str = "2.2.1"
    party: str = HUB
    client_info: bool = True
    roles: list[dict[str, Any]] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)
    forwards: bool = False
    copies: dict[tuple[str | None, str], Any] = field(default_factory=dict)
    arrivals: list[Arrival] = field(default_factory=list)
    says: dict[str | None, tuple[int, int]] = field(default_factory=dict)
    tokens: list[dict[str, Any]] = field(default_factory=list)
    clients: list[dict[str, Any]] = field(default_factory=list)
    allowed: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    ask: Asker | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    # -- what tests look at

    def pushed(
        self, module: str, to: str | None = None, method: str | None = None
    ) -> list[Arrival]:
        return [
            each
            for each in self.arrivals
            if each.module == module
            and each.method != "GET"
            and to in (None, each.to)
            and method in (None, each.method)
        ]

    async def until(self, probe: Callable[[], Any], timeout: float = 8.0) -> Any:
        """Wait until something has arrived that *probe* finds."""
        async with asyncio.timeout(timeout):
            while not (found := probe()):
                self.arrived.clear()
                await self.arrived.wait()
        return found

    async def call(self, sender: str | None, method: str, path: str, body: Any = None) -> Heard:
        """Ask the CPO in the name of *sender*."""
        assert self.ask is not None, "not registered"
        return await self.ask(method, f"/{self.version}{path}", body, headers=routing(sender))

    async def configure(self, method: str, path: str, body: Any = None) -> Heard:
        """Call a configuration module of the CPO: without routing headers."""
        assert self.ask is not None, "not registered"
        return await self.ask(method, f"/{self.version}{path}", body)

    async def client(self, party: str, status: str, role: str = "EMSP") -> Heard:
        """Tell the CPO how a party does."""
        country, id = party.split("*")
        path = f"/hubclientinfo/{country}/{id}"
        return await self.configure("PUT", path, client(party, status, role))

    # -- registration

    def credentials(self, token: str | None = None) -> dict[str, Any]:
        country, party = self.party.split("*")
        own = {
            "role": "HUB",
            "country_code": country,
            "party_id": party,
            "business_details": {"name": "A Hub"},
        }
        return {
            "token": token or self.token,
            "url": f"{self.base}/versions",
            "roles": self.roles or [own],
            **self.more,
        }

    async def register(self, base: str, token_a: str) -> Heard:
        first = Asker(base, token_a)
        heard = await first("POST", f"/{self.version}/credentials", self.credentials())
        if heard.code == 1000:
            self.ask = Asker(base, heard.data["token"])
        return heard

    # -- serving

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._serve)
        return app

    async def _serve(self, request: web.Request) -> web.Response:
        raw = await request.read()
        arrival = Arrival(
            request.method,
            request.path,
            dict(request.query),
            dict(request.headers),
            loads(raw) if raw else None,
        )
        self.arrivals.append(arrival)
        self.arrived.set()
        if request.headers.get("Authorization") != authorization(self.token):
            return self._answer(arrival, None, 2000, http=401)
        for party in (None, arrival.to) if arrival.module != "versions" else (None,):
            if party in self.says:
                http, code = self.says[party]
                return self._answer(arrival, None, code, http=http)
        return self._sorted(arrival)

    def _sorted(self, arrival: Arrival) -> web.Response:
        match arrival.module, arrival.method:
            case "versions", _:
                url = f"{self.base}/{self.version}"
                return self._answer(arrival, [{"version": self.version, "url": url}])
            case self.version, _:
                return self._answer(arrival, self._details())
            case "tokens", "GET":
                return self._page(arrival, self.tokens)
            case "hubclientinfo", "GET":
                return self._page(arrival, self.clients)
            case "tokens", "POST":
                uid = arrival.path.split("/")[2]
                if uid not in self.allowed:
                    return self._answer(arrival, None, 2004, http=404)
                who, data = self.allowed[uid]
                return self._answer(arrival, data, responder=who)
        if self.forwards and arrival.module in RECEIVER_MODULES:
            return self._held(arrival)
        return self._answer(arrival, None)

    def _held(self, arrival: Arrival) -> web.Response:
        """Answer as the party that keeps what it is told."""
        key = arrival.to, arrival.path
        match arrival.method:
            case "GET" if key not in self.copies:
                return self._answer(arrival, None, 2003, http=404)
            case "GET":
                return self._answer(arrival, self.copies[key])
            case "POST":
                path = f"{arrival.path}/{arrival.body['id']}"
                self.copies[arrival.to, path] = arrival.body
                return self._answer(arrival, None, more={"Location": f"{self.base}{path}"})
            case "PUT":
                self.copies[key] = arrival.body
            case "PATCH":
                self.copies[key] = {**self.copies.get(key, {}), **arrival.body}
        return self._answer(arrival, None)

    def _details(self) -> dict[str, Any]:
        modules = [(each, "SENDER") for each in SENDER_MODULES]
        modules += [(each, "RECEIVER") for each in RECEIVER_MODULES]
        modules += [("credentials", "RECEIVER")]
        if self.client_info:
            modules.append(("hubclientinfo", "SENDER"))
        return {
            "version": self.version,
            "endpoints": [
                {"identifier": module, "role": role, "url": f"{self.base}/{module}"}
                for module, role in modules
            ],
        }

    def _page(self, arrival: Arrival, items: list[dict[str, Any]]) -> web.Response:
        offset = int(arrival.query.get("offset", 0))
        headers = {"X-Total-Count": str(len(items)), "X-Limit": "2"}
        if offset + 2 < len(items):
            headers["Link"] = f'<{self.base}{arrival.path}?offset={offset + 2}>; rel="next"'
        return self._answer(arrival, items[offset : offset + 2], more=headers)

    def _answer(
        self,
        arrival: Arrival,
        data: Any,
        code: int = 1000,
        *,
        http: int = 200,
        responder: str | None = None,
        more: dict[str, str] | None = None,
    ) -> web.Response:
        headers = dict(more or {})
        if arrival.sender is not None:
            headers |= routing(responder or arrival.to or self.party, arrival.sender)
        body = {"status_code": code, "timestamp": f"{now():%Y-%m-%dT%H:%M:%SZ}"}
        if data is not None:
            body["data"] = data
        return web.json_response(body, status=http, headers=headers)


def client(party: str, status: str, role: str = "EMSP") -> dict[str, Any]:
    country, id = party.split("*")
    return {
        "party_id": id,
        "country_code": country,
        "role": role,
        "status": status,
        "last_updated": f"{now():%Y-%m-%dT%H:%M:%SZ}",
    }


def token_of(party: str, uid: str, **more: Any) -> dict[str, Any]:
    country, id = party.split("*")
    return {
        "country_code": country,
        "party_id": id,
        "uid": uid,
        "type": "RFID",
        "contract_id": f"{country}-{id}-{uid}",
        "issuer": f"Provider {id}",
        "valid": True,
        "whitelist": "ALLOWED",
        "last_updated": f"{now():%Y-%m-%dT%H:%M:%SZ}",
        **more,
    }


@asynccontextmanager
async def hub(**more: Any) -> AsyncIterator[Hub]:
    """A hub that listens on loopback until the block ends."""
    socket = sockets.socket()
    socket.bind(("127.0.0.1", 0))
    new = Hub(f"http://127.0.0.1:{socket.getsockname()[1]}", **more)
    runner = web.AppRunner(new.app(), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.SockSite(runner, socket).start()
    try:
        yield new
    finally:
        await runner.cleanup()


async def joined(cpo: World, new: Hub, *members: str) -> None:
    """Have the hub register, and the CPO know these parties behind it."""
    new.clients = [client(each, "CONNECTED") for each in members]
    partner = Partner(PartnerId(new.party), "A Hub", role=PartnerRole.HUB)
    heard = await new.register(cpo.base, await cpo.service.invite(_private(partner), "test"))
    assert heard.code == 1000, heard.envelope
    await until_behind(cpo, new, *members)


async def until_behind(cpo: World, new: Hub, *members: str) -> None:
    def there() -> bool:
        return set(members) <= cpo.service.parties.behind(PartnerId(new.party))

    async with asyncio.timeout(5):
        while not there():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def _private(partner: Partner) -> Partner:
    return Partner(partner.id, partner.name, role=partner.role, allow_private_addresses=True)
