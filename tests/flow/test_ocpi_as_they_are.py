"""Partners as they are, whole sessions over real HTTP, one small fake per shipped profile.

The fakes share no code with the product and behave as badly as what is published about the real
ones says; they are no good partners, so the well-behaved simulator cannot stand in for them.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from simulators.station import StationSimulator
from tests.flow.product import Json, Product, product

T = TypeVar("T")


@dataclass(slots=True)
class Fake:
    """A partner with habits.

    Attributes:
        raw: it writes and compares tokens without base64.
        details: whether its version details can be read.
        routes: whether it names parties in headers.
        long_bills: it knows ``/cdrs/{country}/{party}`` only.
        cut_off: of the energy asked for, at which it stops the session.
    """

    party: str
    version: str
    raw: bool = True
    details: bool = True
    routes: bool = False
    long_bills: bool = False
    cut_off_kwh: Decimal | None = None
    base: str = ""
    inbound: set[str] = field(default_factory=set)
    outbound: str = ""
    ends: list[Json] = field(default_factory=list)
    heard: list[tuple[str, str, Any, dict[str, str]]] = field(default_factory=list)
    sessions: dict[str, Json] = field(default_factory=dict)
    bills: list[Json] = field(default_factory=list)
    results: list[Json] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _http: aiohttp.ClientSession | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: set[str] = field(default_factory=set)
    _errands: set[asyncio.Task[Any]] = field(default_factory=set)

    # -- as a server

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._serve)
        return app

    async def _serve(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body = json.loads(raw, parse_float=Decimal) if raw else None
        path = request.path
        self.heard.append((request.method, path, body, dict(request.headers)))
        answer = self._answer(request, path, body)
        self._changed.set()
        self._changed = asyncio.Event()
        return answer

    def _answer(self, request: web.Request, path: str, body: Any) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Token ")
        if token not in self.inbound:
            self.refused.append(f"{request.method} {path}: token {token[:4]}...")
            return web.Response(status=401)
        inside = path.removeprefix(f"/ocpi/{self.version}/")
        if path == "/ocpi/versions":
            return _said(
                [{"version": self.version, "url": f"{self.base}/ocpi/{self.version}/details"}]
            )
        if inside == "details" and self.details:
            return _said({"version": self.version, "endpoints": self.endpoints()})
        module, _, rest = inside.partition("/")
        match request.method, module:
            case "PUT", "sessions":
                return self._session(rest, body)
            case "POST", "cdrs" if bool(rest) == self.long_bills:
                self.bills.append(body)
                return _said(None)
            case "POST", "commands":
                self.results.append(body)
                return _said(None)
            case (("PUT" | "PATCH" | "DELETE"), ("locations" | "tariffs")):
                return _said(None)
            case "GET", "tokens":
                return _said([])
        return web.Response(status=404, text="<html>Cannot find it</html>")

    def _session(self, rest: str, body: Json) -> web.Response:
        country, party, id = rest.split("/")
        if self.version == "2.1.1":
            return _said(None)
        if (body["country_code"], body["party_id"], body["id"]) != (country, party, id):
            return web.Response(status=400)
        if not body.get("authorization_reference"):
            return web.Response(status=400)
        self.sessions[body["authorization_reference"]] = body
        full = self.cut_off_kwh is not None and Decimal(str(body["kwh"])) > self.cut_off_kwh
        if full and body["status"] == "ACTIVE" and id not in self._stopping:
            self._stopping.add(id)
            errand = asyncio.ensure_future(self.command("STOP_SESSION", id, {"session_id": id}))
            self._errands.add(errand)
            errand.add_done_callback(self._errands.discard)
        return _said(None)

    def endpoints(self) -> list[Json]:
        roles = {"tokens": "SENDER", "commands": "SENDER", "credentials": "RECEIVER"}
        modules = ("credentials", "locations", "sessions", "cdrs", "tariffs", "tokens", "commands")
        return [
            {
                "identifier": module,
                "role": roles.get(module, "RECEIVER"),
                "url": f"{self.base}/ocpi/{self.version}/{module}",
            }
            for module in modules
        ]

    # -- as a client

    async def call(self, method: str, url: str, body: Any = None) -> tuple[int, Json]:
        assert self._http is not None
        headers = {"Authorization": f"Token {self._written(self.outbound)}"}
        headers |= {"X-Request-Id": str(uuid4()), "X-Correlation-Id": str(uuid4())}
        if self.routes and "/credentials" not in url and "versions" not in url:
            headers |= {
                "OCPI-from-country-code": "IN", "OCPI-from-party-id": self.party,
                "OCPI-to-country-code": "IN", "OCPI-to-party-id": "CPO",
            }  # fmt: skip
        async with self._http.request(method, url, json=body, headers=headers) as answer:
            return answer.status, json.loads(await answer.read(), parse_float=Decimal)

    def _written(self, token: str) -> str:
        return token if self.raw else base64.b64encode(token.encode()).decode()

    async def register(self, versions_url: str, token_a: str) -> None:
        """As an admin call makes it do it: version, details, the SENDER's credentials, POST."""
        self.outbound = token_a
        _, versions = await self.call("GET", versions_url)
        [url] = [each["url"] for each in versions["data"] if each["version"] == self.version]
        _, details = await self.call("GET", url)
        self.ends = details["data"]["endpoints"]
        ours = uuid4().hex
        self.inbound = {ours, self._written(ours)} if self.raw else {self._written(ours)}
        role = {
            "role": "EMSP", "party_id": self.party, "country_code": "IN",
            "business_details": {"name": "Fake"},
        }  # fmt: skip
        body: Json = {"token": ours, "url": f"{self.base}/ocpi/versions", "roles": [role]}
        if self.version == "2.1.1":
            body = {
                "token": ours, "url": f"{self.base}/ocpi/versions", "party_id": self.party,
                "country_code": "IN", "business_details": {"name": "Fake"},
            }  # fmt: skip
        http, answer = await self.call("POST", self.end("credentials", "SENDER"), body)
        assert http == 200 and answer["status_code"] == 1000, answer
        self.outbound = answer["data"]["token"]

    def end(self, module: str, role: str) -> str:
        found = [e["url"] for e in self.ends if e["identifier"] == module]
        with_role = [
            e["url"] for e in self.ends if e["identifier"] == module and e.get("role") == role
        ]
        found = with_role if self.version != "2.1.1" else found
        assert found, f"no {module} as {role}"
        return str(found[0])

    async def command(self, name: str, id: str, body: Json) -> Json:
        reply = f"{self.base}/ocpi/{self.version}/commands/{name}/{id}"
        url = f"{self.end('commands', 'RECEIVER')}/{name}"
        http, answer = await self.call("POST", url, {"response_url": reply, **body})
        assert http == 200, answer
        return answer

    async def until(self, probe: Callable[[], T | None], timeout: float = 20) -> T:
        async with asyncio.timeout(timeout):
            while True:
                changed = self._changed
                if found := probe():
                    return found
                await changed.wait()


def _said(data: Any) -> web.Response:
    envelope = {"status_code": 1000, "timestamp": "2026-01-01T00:00:00Z"}
    if data is not None:
        envelope["data"] = data
    return web.json_response(envelope)


@asynccontextmanager
async def listening(fake: Fake) -> AsyncIterator[Fake]:
    runner = web.AppRunner(fake.app(), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as fake._http:
            yield fake
    finally:
        await runner.cleanup()


async def joined(cpo: Product, fake: Fake, profile: str) -> None:
    """Add the partner with its profile, as an operator does, and let it register."""
    body = {
        "id": f"IN*{fake.party}", "name": "Fake", "profile": profile,
        "allow_private_addresses": True,
    }  # fmt: skip
    invited = await cpo.api.post("/partners", body)
    await fake.register(invited["url"], invited["token"])


def shared_token(fake: Fake) -> Json:
    """One token for all drivers, with a uid that no charger could carry."""
    if fake.version == "2.1.1":
        return {
            "uid": str(UID), "type": "OTHER", "auth_id": "ALL", "issuer": "Fake", "valid": True,
            "whitelist": "ALWAYS", "last_updated": "2026-01-01T00:00:00Z",
        }  # fmt: skip
    return {
        "country_code": "IN", "party_id": fake.party, "uid": str(UID), "type": "APP_USER",
        "contract_id": "ALL", "issuer": "Fake", "valid": True, "whitelist": "ALWAYS",
        "last_updated": "2026-01-01T00:00:00Z",
    }  # fmt: skip


UID = uuid4()


async def test_a_ubc_adaptor_completes_a_whole_session(tmp_path: Path) -> None:
    """Raw token, 404 on its details, one page, evse_id key, no headers, older bills, 90 %."""
    fake = Fake("EMSP", "2.2.1", details=False, long_bills=True, cut_off_kwh=Decimal("0.02"))
    async with product(tmp_path, chargers=2, more=QUICK) as cpo, listening(fake):
        with pytest.raises(Exception, match="EMSP|400"):
            await cpo.api.post("/partners", {"id": "IN*EMSP", "name": "Fake"})
        await joined(cpo, fake, "ubc-ocpi-adaptor")
        http, answer = await fake.call(
            "PUT",
            f"{fake.end('tokens', 'RECEIVER')}/IN/EMSP/{UID}?type=APP_USER",
            shared_token(fake),
        )
        assert http in (200, 201), answer
        _, listed = await fake.call("GET", f"{fake.end('locations', 'SENDER')}?limit=1000&offset=0")
        evses = [e for site in listed["data"] for e in site["evses"]]
        assert len(evses) == 2  # all on one page
        stations = [await cpo.station(number) for number in range(2)]
        references = [str(uuid4()), str(uuid4())]  # 36 characters each
        for number, reference in enumerate(references):  # two cars, one token
            await started(cpo, fake, number, reference)
        for number, reference in enumerate(references):
            station: StationSimulator = stations[number]
            await station.session_started()
            [asked] = station.received_so_far("RemoteStartTransaction")
            assert len(asked["idTag"]) == 16  # neither the uid nor the reference
            await fake.until(lambda r=reference: fake.sessions.get(r))  # type: ignore[misc]
        for reference in references:
            session = await fake.until(
                lambda r=reference: (  # type: ignore[misc]
                    fake.sessions[r] if fake.sessions[r]["status"] == "COMPLETED" else None
                )
            )
            assert session["cdr_token"]["uid"] == str(UID)
        bills = await fake.until(lambda: fake.bills if len(fake.bills) == 2 else None)
        assert {each["authorization_reference"] for each in bills} == set(references)
        for bill in bills:
            assert bill["total_cost"]["incl_vat"] > bill["total_cost"]["excl_vat"] > 0
        assert not [each for each in fake.refused if "Basic" in each]
        first = [f"{m} {p}" for m, p, *_ in fake.heard if "/cdrs" in p]
        assert first[0].endswith("/cdrs") and first[-1].endswith("/cdrs/IN/CPO")
        assert not [h for *_, h in fake.heard if any(n.lower().startswith("ocpi-") for n in h)]
        base = fake.end("tariffs", "SENDER")
        id = (await fake.call("GET", base))[1]["data"][0]["id"]
        for path in (id, f"IN/CPO/{id}"):
            assert (await fake.call("GET", f"{base}/{path}"))[1]["data"]["id"] == id


async def started(cpo: Product, fake: Fake, number: int, reference: str) -> None:
    order = {
        "token": shared_token(fake),
        "location_id": "SITE-0",
        "evse_id" if fake.party == "EMSP" else "evse_uid": cpo.uid(number),
        "connector_id": "1",
        "authorization_reference": reference,
    }
    if fake.version == "2.1.1":
        order = {k: order[k] for k in ("token", "location_id", "evse_uid")}
    answer = await fake.command("START_SESSION", reference, order)
    assert answer["data"]["result"] == "ACCEPTED", answer
    await fake.until(lambda: fake.results)


QUICK = {"charging": {"session_push_seconds": 1.0}}

FAKES = [
    ("strict", Fake("STR", "2.2.1", raw=False, routes=True)),
    ("chargeindia-hub", Fake("CIH", "2.2.1", raw=False, routes=True)),
    ("gireve-hub", Fake("GIR", "2.2.1", raw=False, routes=True)),
    ("legacy-2.1.1", Fake("LEG", "2.1.1")),
]


@pytest.mark.parametrize(("profile", "fake"), FAKES, ids=[name for name, _ in FAKES])
async def test_a_partner_of_each_profile_completes_a_whole_session(
    tmp_path: Path, profile: str, fake: Fake
) -> None:
    async with product(tmp_path, more=QUICK) as cpo, listening(fake):
        await joined(cpo, fake, profile)
        station = await cpo.station()
        reference = str(uuid4())
        await started(cpo, fake, 0, reference)
        await station.session_started()

        def running() -> Json | None:
            bodies = [b for m, p, b, _ in fake.heard if m == "PUT" and "/sessions/" in p]
            return next((b for b in bodies if b["status"] == "ACTIVE" and b["kwh"] > 0), None)

        session = await fake.until(running)
        stop = await fake.command("STOP_SESSION", session["id"], {"session_id": session["id"]})
        assert stop["data"]["result"] == "ACCEPTED"
        [bill] = await fake.until(lambda: fake.bills)
        uid = bill["auth_id"] if fake.version == "2.1.1" else bill["cdr_token"]["uid"]
        assert uid in (str(UID), "ALL")
        if profile in ("gireve-hub", "legacy-2.1.1"):  # moments without a fraction
            assert "." not in session["last_updated"] and "." not in bill["last_updated"]
        if profile == "chargeindia-hub":
            base = fake.end("tokens", "RECEIVER")
            await fake.call("PUT", f"{base}/IN/CIH/{UID}?type=APP_USER", shared_token(fake))
            for method in ("PUT", "POST"):
                _, answer = await fake.call(method, f"{base}/IN/CIH/{UID}/authorize", {})
                assert answer["data"]["allowed"] == "ALLOWED"
        if profile == "gireve-hub":
            fake.routes = False
            _, answer = await fake.call("GET", fake.end("locations", "SENDER"))
            assert answer["status_code"] == 2001
