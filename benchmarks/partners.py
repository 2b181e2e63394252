"""Many partners that cost next to nothing: each on a port of its own, all in one process.

They register as partners do, take whatever they are brought without looking at it, and note when
each status came. What the simulated partner checks of every request would cost more here than the
server that is measured; it is checked elsewhere.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
import orjson
import uvloop

from benchmarks import meter, orders
from benchmarks.orders import Json
from benchmarks.walker import Walker

_OK = orjson.dumps(
    {"status_code": 1000, "status_message": "ok", "timestamp": "2026-01-01T00:00:00Z"}
)
_MODULES = (
    ("credentials", "SENDER"),
    ("locations", "RECEIVER"),
    ("sessions", "RECEIVER"),
    ("cdrs", "RECEIVER"),
    ("tokens", "SENDER"),
)


@dataclass(slots=True)
class Partner:
    """One partner.

    Attributes:
        statuses: of each EVSE that came: (monotonic seconds, uid, status, last_updated).
        counts: how many requests of each method and module came.
        caught: when the newest bill came, and how many requests had come by then.
        receives: whether it takes what is pushed.
    """

    party: str
    port: int = 0
    server: asyncio.Server | None = None
    open: set[Http] = field(default_factory=set)
    tokens: list[Json] = field(default_factory=list)
    outbound: str = ""
    cpo: str = ""
    locations: str = ""
    statuses: list[tuple[float, str, str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    caught: tuple[float, int] = (0.0, 0)
    receives: bool = True

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/ocpi"

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: Http(self), "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    def leave(self) -> None:
        """Refuse connections, and cut those that stand."""
        if self.server is not None:
            self.server.close()
        for each in tuple(self.open):
            each.abort()

    def answer(self, method: str, path: str, body: bytes) -> bytes:
        """Return the whole answer to a request."""
        module = path.split("/")[3].split("?")[0] if path.count("/") > 2 else ""
        if method == "GET":
            return _response(_enveloped(self._read(path, module)))
        now = time.monotonic()
        self.counts[f"{method} {module}"] += 1
        if module == "cdrs":
            self.caught = (now, self.counts.total())
        if method == "PATCH":
            told = orjson.loads(body)
            uid = path.rsplit("/", 1)[1]
            self.statuses.append((now, uid, told["status"], told["last_updated"]))
        place = f"{self.base}/2.2.1/cdrs/{self.counts['POST cdrs']}" if method == "POST" else ""
        return _response(_OK, place)

    def _read(self, path: str, module: str) -> Any:
        if path.endswith("/versions"):
            return [{"version": "2.2.1", "url": f"{self.base}/2.2.1"}]
        if module == "tokens":
            return self.tokens
        ends = [
            {"identifier": name, "role": role, "url": f"{self.base}/2.2.1/{name}"}
            for name, role in _MODULES
            if self.receives or role == "SENDER"
        ]
        return {"version": "2.2.1", "endpoints": ends}


def _enveloped(data: Any) -> bytes:
    return orjson.dumps({**orjson.loads(_OK), "data": data})


def _response(body: bytes, place: str = "") -> bytes:
    more = f"Location: {place}\r\n" if place else ""
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{more}"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class Http(asyncio.Protocol):
    """Just enough HTTP/1.1 for one well-behaved client: no chunks, no pipelining."""

    def __init__(self, partner: Partner) -> None:
        self._partner = partner
        self._transport: asyncio.Transport | None = None
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._partner.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._partner.open.discard(self)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._got[:end]
        size = _length(head)
        if len(self._got) < end + 4 + size:
            return
        body, self._got = self._got[end + 4 : end + 4 + size], self._got[end + 4 + size :]
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        assert self._transport is not None
        self._transport.write(self._partner.answer(method, path, body))


def _length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


class Crowd:
    """Obeys orders about partners, which are named by their party ids."""

    def __init__(self) -> None:
        self.partners: dict[str, Partner] = {}

    async def do_register(
        self,
        party: str,
        url: str,
        token: str,
        prefix: str = "",
        cards: int = 0,
        evses: int = 0,
        receives: bool = True,
    ) -> Json:
        """Let a new partner register, with a card ``<prefix><charger><evse>`` for each EVSE."""
        partner = self.partners[party] = Partner(party, receives=receives)
        await partner.listen()
        partner.tokens = [
            _token(party, f"{prefix}{number:05d}{evse:02d}")
            for number in range(cards)
            for evse in range(evses)
        ]
        async with aiohttp.ClientSession() as http:
            versions = await _ask(http, "GET", url, token)
            details = await _ask(
                http,
                "GET",
                next(each["url"] for each in versions if each["version"] == "2.2.1"),
                token,
            )
            at = next(
                each["url"] for each in details["endpoints"] if each["identifier"] == "credentials"
            )
            theirs = await _ask(http, "POST", at, token, self._credentials(partner))
            partner.outbound, partner.cpo = theirs["token"], url
            ends = await _ask(http, "GET", at.rsplit("/", 1)[0], partner.outbound)
        partner.locations = next(
            each["url"]
            for each in ends["endpoints"]
            if (each["identifier"], each["role"]) == ("locations", "SENDER")
        )
        return {}

    def _credentials(self, partner: Partner) -> Json:
        role = {
            "role": "EMSP",
            "country_code": "IN",
            "party_id": partner.party,
            "business_details": {"name": partner.party},
        }
        token = f"bench-{partner.party}-0123456789abcdef"
        return {"token": token, "url": f"{partner.base}/versions", "roles": [role]}

    async def do_leave(self, party: str) -> Json:
        self.partners[party].leave()
        return {}

    async def do_return(self, party: str) -> Json:
        """Listen again, and call: that is how a server sees that a partner lives."""
        partner = self.partners[party]
        partner.counts.clear()
        await partner.listen()
        async with aiohttp.ClientSession() as http:
            await _ask(http, "GET", partner.cpo, partner.outbound)
        return {"at": time.monotonic()}

    async def do_walk(self, party: str, limit: int, seconds: float) -> Json:
        """Read all pages of sites, once or for so long, as *party*; see ``benchmarks.walker``."""
        partner = self.partners[party]
        walker = Walker(partner.locations, _headers(partner.outbound), limit)
        await walker.walk(seconds)
        return walker.found()

    async def do_counts(self) -> Json:
        """Tell what came to whom since the last ``statuses``."""
        return {
            party: {"counts": dict(each.counts), "caught": each.caught}
            for party, each in self.partners.items()
        }

    async def do_statuses(self, parties: list[str]) -> Json:
        """Hand out what came to *parties* since the last time: their statuses."""
        chosen = {party: self.partners[party] for party in parties}
        found = {party: each.statuses for party, each in chosen.items()}
        for each in chosen.values():
            each.statuses = []
            each.counts.clear()
            each.caught = (0.0, 0)
        return {"statuses": found}


def _token(party: str, uid: str) -> Json:
    return {
        "country_code": "IN",
        "party_id": party,
        "uid": uid,
        "type": "RFID",
        "contract_id": f"IN-{party}-{uid}",
        "issuer": party,
        "valid": True,
        "whitelist": "ALWAYS",
        "last_updated": "2026-01-01T00:00:00Z",
    }


def _headers(token: str) -> dict[str, str]:
    return {
        "Authorization": f"Token {base64.b64encode(token.encode()).decode()}",
        "X-Request-ID": "bench",
        "X-Correlation-ID": "bench",
        "OCPI-from-country-code": "IN",
        "OCPI-from-party-id": "BEN",
    }


async def _ask(
    http: aiohttp.ClientSession, method: str, url: str, token: str, body: Any = None
) -> Any:
    async with http.request(method, url, json=body, headers=_headers(token)) as answer:
        told = await answer.json(content_type=None)
    if told.get("status_code") != 1000:
        raise RuntimeError(f"{method} {url}: {told}")
    return told["data"]


async def main() -> None:
    await orders.serve(orders.of(Crowd()))


if __name__ == "__main__":
    meter.raise_file_limit()
    meter.pin(meter.LOAD_CORE)
    uvloop.run(main())
