"""The simulated partner against a tiny CPO that does what a test tells it to."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from simulators.emsp import Driver, Emsp, Fault, Kind, RegistrationFailed, Script
from simulators.emsp.driver import Habits

Json = dict[str, Any]

DATA = Path(__file__).parents[1] / "data" / "ocpi" / "2.2.1"
ROUTING = {
    "OCPI-from-country-code": "BE",
    "OCPI-from-party-id": "BEC",
    "OCPI-to-country-code": "IN",
    "OCPI-to-party-id": "EMP",
}


def example(name: str, **changes: Any) -> Json:
    """An object of the specification, with *changes*."""
    found: Json = json.loads((DATA / name).read_text())
    return {**found, **changes}


def ours(item: Json) -> Json:
    """*item* with a token of the simulated partner."""
    return {**item, "cdr_token": {**item["cdr_token"], "country_code": "IN", "party_id": "EMP"}}


def encoded(token: str) -> str:
    return "Token " + base64.b64encode(token.encode()).decode()


@dataclass
class TinyCpo:
    """A CPO of a few lines: answers what it is told to and keeps what it got.

    Attributes:
        token_a: what it handed out.
        outbound: how it may call the partner (the partner's B, or C if the CPO began).
        answer: CommandResponse.result for every command.
        results: the CommandResults that it posts after an ACCEPTED command.
        on_start: called with a START_SESSION that was accepted.
    """

    http: aiohttp.ClientSession
    token_a: str = "first-contact"
    inbound: str = "c" * 32
    outbound: str = ""
    partner: dict[str, str] = field(default_factory=dict)
    url: str = ""
    got: list[tuple[str, str, Any]] = field(default_factory=list)
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    answer: str = "ACCEPTED"
    results: tuple[str, ...] = ("ACCEPTED",)
    locations: list[Json] = field(default_factory=list)
    on_command: Callable[[str, Json], Any] = lambda name, body: None
    versions: tuple[str, ...] = ("2.2.1",)
    jobs: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, request: web.Request) -> web.Response:
        path, token = request.path, request.headers.get("Authorization")
        body = await request.json() if request.can_read_body else None
        self.got.append((request.method, path, body))
        self.seen.append((path, dict(request.headers)))
        opens = (self.inbound, self.token_a) if "x/" not in path else (self.inbound,)
        if token not in map(encoded, opens):
            return self.reply(request, 2000, http=401)
        if path == "/versions":
            urls = [{"version": v, "url": f"{self.url}/{v}"} for v in self.versions]
            return self.reply(request, data=urls)
        if path == "/2.2.1":
            return self.reply(request, data={"version": "2.2.1", "endpoints": self.endpoints()})
        if path == "/credentials":
            return await self.credentials(request, body)
        if path.startswith("/x/commands/"):
            self.after(self.carry_out(path.rsplit("/", 1)[1], body))
            return self.reply(request, data={"result": self.answer, "timeout": 30})
        if path == "/x/locations":
            return self.page(request)
        return self.reply(request)

    def endpoints(self) -> list[Json]:
        sender, receiver = ("locations", "sessions", "cdrs", "tariffs"), ("tokens", "commands")
        return [
            {"identifier": "credentials", "role": "SENDER", "url": f"{self.url}/credentials"},
            *({"identifier": m, "role": "SENDER", "url": f"{self.url}/x/{m}"} for m in sender),
            *({"identifier": m, "role": "RECEIVER", "url": f"{self.url}/x/{m}/"} for m in receiver),
        ]

    def mine(self, token: str) -> Json:
        role = {
            "role": "CPO",
            "country_code": "BE",
            "party_id": "BEC",
            "business_details": {"name": "Tiny"},
        }
        return {"token": token, "url": f"{self.url}/versions", "roles": [role]}

    async def credentials(self, request: web.Request, body: Json | None) -> web.Response:
        if request.method == "DELETE":
            self.outbound = ""
            return self.reply(request)
        assert body is not None
        self.outbound = body["token"]
        await self.look_at(body["url"])  # while the partner's POST is open
        if request.method == "PUT":
            self.inbound = self.inbound[1:] + "d"
        self.token_a = ""
        return self.reply(request, data=self.mine(self.inbound))

    async def look_at(self, versions_url: str) -> None:
        versions = await self.call("GET", versions_url, functional=False)
        details = await self.call("GET", versions["data"][0]["url"], functional=False)
        self.partner = {e["identifier"]: e["url"] for e in details["data"]["endpoints"]}

    async def register_at(self, emsp: Emsp) -> Json:
        """Begin a registration at the partner."""
        self.outbound = emsp.hand_out_token()
        await self.look_at(emsp.versions_url)
        url, body = self.partner["credentials"], self.mine(self.inbound)
        answer = await self.call("POST", url, body, functional=False)
        self.outbound = answer["data"]["token"]
        return answer

    async def carry_out(self, name: str, body: Json) -> None:
        for result in self.results if self.answer == "ACCEPTED" else ():
            await self.call("POST", body["response_url"], {"result": result})
        if self.answer == "ACCEPTED":
            await self.on_command(name, body)

    def after(self, job: Any) -> None:
        task = asyncio.ensure_future(job)
        self.jobs.add(task)
        task.add_done_callback(self.jobs.discard)

    def page(self, request: web.Request) -> web.Response:
        offset = int(request.query.get("offset", 0))
        more = offset + 1 < len(self.locations)
        link = f'<{self.url}/x/locations?offset={offset + 1}&limit=1>; rel="next"'
        headers = {"Link": link} if more else {}
        return self.reply(request, data=self.locations[offset : offset + 1], headers=headers)

    def reply(
        self,
        request: web.Request,
        code: int = 1000,
        data: Any = None,
        http: int = 200,
        headers: dict[str, str] | None = None,
    ) -> web.Response:
        body: Json = {"status_code": code, "timestamp": "2026-01-01T00:00:00Z"}
        if data is not None:
            body["data"] = data
        ids = {n: request.headers[n] for n in ("X-Request-ID", "X-Correlation-ID")}
        for name, value in request.headers.items():
            if name.upper().startswith("OCPI-TO"):
                ids["OCPI-from" + name[7:]] = value
            elif name.upper().startswith("OCPI-FROM"):
                ids["OCPI-to" + name[9:]] = value
        return web.json_response(body, status=http, headers={**ids, **(headers or {})})

    async def send(
        self, method: str, url: str, body: Any = None, *, functional: bool = True, **headers: str
    ) -> tuple[int, str, aiohttp.typedefs.LooseHeaders]:
        """One request to the partner; returns status, text and headers."""
        sent = {
            "Authorization": encoded(self.outbound),
            "X-Request-ID": "r1",
            "X-Correlation-ID": "c1",
            **(ROUTING if functional else {}),
            **headers,
        }
        data = body if isinstance(body, bytes) else json.dumps(body) if body else None
        if data:
            sent["Content-Type"] = "application/json"
        async with self.http.request(
            method, url, data=data, headers=sent, allow_redirects=False
        ) as answer:
            return answer.status, await answer.text(), answer.headers

    async def call(self, method: str, url: str, body: Any = None, functional: bool = True) -> Json:
        """One request to the partner; returns its envelope."""
        _, text, _ = await self.send(method, url, body, functional=functional)
        found: Json = json.loads(text)
        return found

    async def push(self, method: str, path: str, body: Any = None) -> Json:
        """One push: *path* is ``module/...``."""
        module, _, rest = path.partition("/")
        return await self.call(method, f"{self.partner[module]}/{rest}".rstrip("/"), body)


@asynccontextmanager
async def tiny_cpo() -> AsyncIterator[TinyCpo]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
        cpo = TinyCpo(http)
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", cpo.serve)
        runner = web.AppRunner(app, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        cpo.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield cpo
        await asyncio.gather(*cpo.jobs)
        await runner.cleanup()


@pytest.fixture
async def cpo() -> AsyncIterator[TinyCpo]:
    async with tiny_cpo() as found:
        yield found


@pytest.fixture
async def emsp() -> AsyncIterator[Emsp]:
    async with Emsp() as found:
        yield found


@pytest.fixture
async def linked(emsp: Emsp, cpo: TinyCpo) -> tuple[Emsp, TinyCpo]:
    """A partner and a CPO that are registered with each other."""
    await cpo.register_at(emsp)
    assert emsp.complaints == []
    return emsp, cpo


# -- registration --------------------------------------------------------------------------------


async def test_partner_that_begins_lets_the_cpo_call_back_while_its_post_is_open(
    emsp: Emsp, cpo: TinyCpo
) -> None:
    await emsp.register(f"{cpo.url}/versions", "first-contact")

    posted = next(body for method, path, body in cpo.got if path == "/credentials")
    assert [arrival.module for arrival in emsp.arrivals] == ["versions", "2.2.1"]
    assert posted["token"] in emsp.connection.inbound
    assert (emsp.connection.outbound, emsp.complaints) == (cpo.inbound, [])


async def test_partner_that_is_called_hands_out_a_token_that_works(
    linked: tuple[Emsp, TinyCpo],
) -> None:
    emsp, cpo = linked

    assert emsp.connection.outbound == cpo.inbound
    assert (await cpo.push("GET", "tokens"))["data"] == []
    assert (await cpo.push("POST", "credentials", cpo.mine("x")))["status_code"] == 2000


async def test_token_a_is_dead_after_registration_and_opens_no_module_before(
    emsp: Emsp, cpo: TinyCpo
) -> None:
    token_a = cpo.outbound = emsp.hand_out_token()
    assert (await cpo.send("GET", emsp.url("tokens")))[0] == 401
    await cpo.register_at(emsp)
    cpo.outbound = token_a

    assert (await cpo.send("GET", emsp.versions_url, functional=False))[0] == 401


async def test_cpo_without_a_common_version_is_told_3002(emsp: Emsp, cpo: TinyCpo) -> None:
    cpo.versions = ("2.1.1",)

    with pytest.raises(RegistrationFailed) as failed:
        await emsp.register(f"{cpo.url}/versions", "first-contact")

    assert (failed.value.code, emsp.connection.registered) == (3002, False)


async def test_put_renews_both_tokens_and_delete_ends_everything(
    linked: tuple[Emsp, TinyCpo],
) -> None:
    emsp, cpo = linked
    before = emsp.connection.outbound, cpo.outbound
    await emsp.update_credentials()
    assert emsp.connection.outbound not in before
    assert cpo.outbound not in before
    assert (await cpo.push("GET", "tokens"))["status_code"] == 1000
    token = cpo.outbound

    assert (await emsp.unregister()).ok
    cpo.outbound = token
    assert (await cpo.push("GET", "tokens"))["status_code"] == 2000


# -- receivers -----------------------------------------------------------------------------------


async def test_status_patch_lands_in_the_copy_with_its_history_and_time(
    linked: tuple[Emsp, TinyCpo],
) -> None:
    emsp, cpo = linked
    await cpo.push("PUT", "locations/BE/BEC/LOC1", example("location_example.json"))
    await cpo.push(
        "PATCH", "locations/BE/BEC/LOC1/3256", example("location_patch_example_tariff.json")
    )
    status = {"status": "CHARGING", "last_updated": "2026-01-01T00:00:00Z"}
    await cpo.push("PATCH", "locations/be/bec/loc1/3256", status)

    seen = [version.result for version in emsp.history("locations", "BE", "BEC", "LOC1", "3256")]
    assert [evse and evse["status"] for evse in seen] == ["AVAILABLE", "AVAILABLE", "CHARGING"]
    assert emsp.pushes("locations")[-1].monotonic > emsp.pushes("locations")[0].monotonic
    assert emsp.complaints == []


async def test_patch_of_what_the_partner_does_not_have_is_404(
    linked: tuple[Emsp, TinyCpo],
) -> None:
    emsp, cpo = linked
    url = f"{emsp.url('locations')}/BE/BEC/NOPE/1"

    status, _, _ = await cpo.send("PATCH", url, {"last_updated": "2026-01-01T00:00:00Z"})

    assert status == 404


async def test_evse_that_vanishes_without_removed_is_a_complaint(
    linked: tuple[Emsp, TinyCpo],
) -> None:
    emsp, cpo = linked
    location = example("location_example.json")
    await cpo.push("PUT", "locations/BE/BEC/LOC1", location)
    await cpo.push("PUT", "locations/BE/BEC/LOC1", {**location, "evses": location["evses"][:1]})

    assert [complaint.field for complaint in emsp.complaints] == ["evses"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kwh": "41.12"}, "kwh"),
        ({"total_cost": 8.5}, "total_cost"),
        ({"last_updated": "2026-01-01T00:00:00+00:00"}, "last_updated"),
        ({"status": "Completed"}, "status"),
        ({"id": "other"}, "id"),
        ({"currency": None}, "currency"),
        ({"auth_method": "ALWAYS"}, "auth_method"),
    ],
)
async def test_wrong_session_is_refused_with_its_field(
    linked: tuple[Emsp, TinyCpo], change: Json, field: str
) -> None:
    emsp, cpo = linked
    session = ours(example("session_example_2_short_finished.json", **change))

    answer = await cpo.push("PUT", "sessions/BE/BEC/101", session)

    assert answer["status_code"] == 2001
    assert answer["status_message"].startswith(field)
    assert [complaint.field for complaint in emsp.complaints] == [field]
    assert emsp.store.sessions == {}


async def test_session_of_another_partners_token_is_a_leak(linked: tuple[Emsp, TinyCpo]) -> None:
    emsp, cpo = linked

    await cpo.push("PUT", "sessions/BE/BEC/101", example("session_example_2_short_finished.json"))

    assert [complaint.field for complaint in emsp.complaints] == ["cdr_token"]


async def test_patch_of_a_session_appends_periods_and_a_doubled_one_is_noticed(
    linked: tuple[Emsp, TinyCpo],
) -> None:
    emsp, cpo = linked
    session = ours(
        example("session_example_1_simple_start.json", country_code="BE", party_id="BEC")
    )
    path = f"sessions/BE/BEC/{session['id']}"
    await cpo.push("PUT", path, session)
    patch = {
        "kwh": 15,
        "charging_periods": [
            {
                "start_date_time": "2030-03-09T10:17:09Z",
                "dimensions": [{"type": "ENERGY", "volume": 12}],
            }
        ],
        "last_updated": "2030-03-09T10:17:10Z",
    }
    await cpo.push("PATCH", path, patch)
    assert emsp.complaints == []
    await cpo.push("PATCH", path, patch)

    assert [complaint.field for complaint in emsp.complaints] == ["charging_periods"]


async def test_older_state_after_a_newer_one_is_noticed(linked: tuple[Emsp, TinyCpo]) -> None:
    emsp, cpo = linked
    tariff = example("tariff_14_step_size.json", country_code="BE", party_id="BEC")
    await cpo.push("PUT", "tariffs/BE/BEC/22", tariff)
    old = {**tariff, "last_updated": "2001-01-01T00:00:00Z"}
    await cpo.push("PUT", "tariffs/BE/BEC/22", old)
    await cpo.push("DELETE", "tariffs/BE/BEC/22")

    assert [complaint.field for complaint in emsp.complaints] == ["last_updated"]
    assert emsp.history("tariffs", "BE", "BEC", "22")[-1].result is None


@pytest.mark.parametrize(
    "body", [b"{", b'{"a": NaN}', b'{"a": 1, "a": 2}', b'{"kwh": 0.30000000000000004}', b"\xff"]
)
async def test_what_is_no_clean_json_gets_400(linked: tuple[Emsp, TinyCpo], body: bytes) -> None:
    emsp, cpo = linked

    status, _, _ = await cpo.send("PUT", f"{emsp.url('sessions')}/BE/BEC/1", body)

    assert status == 400
    assert [complaint.field for complaint in emsp.complaints] == ["body"]


async def test_missing_routing_headers_and_a_bare_token_are_noticed(
    linked: tuple[Emsp, TinyCpo],
) -> None:
    emsp, cpo = linked
    await cpo.send("GET", emsp.url("tokens"), functional=False)
    status, _, _ = await cpo.send("GET", emsp.url("tokens"), Authorization=f"Token {cpo.outbound}")

    assert status == 401
    fields = [complaint.field for complaint in emsp.complaints]
    assert fields == ["OCPI-from", "OCPI-to", "Authorization"]


# -- bills ---------------------------------------------------------------------------------------


async def test_cdr_is_stored_once_recomputed_and_found_at_its_location(
    linked: tuple[Emsp, TinyCpo], tmp_path: Path
) -> None:
    emsp, cpo = linked
    cdr = ours(example("cdr_example.json"))
    cdr["charging_periods"][0]["dimensions"].append({"type": "ENERGY", "volume": 15.342})
    status, _, headers = await cpo.send("POST", emsp.url("cdrs"), cdr)
    again = await cpo.send("POST", emsp.url("cdrs"), cdr)

    assert (status, again[0]) == (201, 200)
    assert (await cpo.call("GET", dict(headers)["Location"]))["data"] == cdr
    assert [line["stored"] for line in emsp.ledger.of("cdr")] == [True, False]
    assert emsp.ledger.of("recomputed") == [
        {"kind": "recomputed", "cdr_id": "12345", "excl": "4.00", "incl": "4.40"}
    ]
    assert (emsp.cost_differences, emsp.complaints) == ([], [])


async def test_wrong_total_and_a_tariff_never_sent_are_noticed(
    linked: tuple[Emsp, TinyCpo],
) -> None:
    emsp, cpo = linked
    cdr = ours(example("cdr_example.json", total_cost={"excl_vat": 4.10, "incl_vat": 4.51}))
    tariff = {**cdr["tariffs"][0], "currency": "INR"}
    await cpo.push("PUT", "tariffs/BE/BEC/12", tariff)
    await cpo.push("POST", "cdrs", cdr)

    assert len(emsp.cost_differences) == 1
    fields = {complaint.field for complaint in emsp.complaints}
    assert fields == {"total_energy", "total_cost.excl_vat", "total_cost.incl_vat", "tariffs"}


# -- misbehaviour --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        (Fault(Kind.HTTP, "tariffs", http=503, retry_after=7, times=1), 503, ""),
        (Fault(Kind.OCPI, "tariffs", status_code=3000, times=1), 200, '"status_code":3000'),
        (Fault(Kind.HTML, "tariffs", http=200, times=1), 200, "<html>"),
        (Fault(Kind.BAD_JSON, "tariffs", times=1), 200, '{"status_code": 1000, '),
        (Fault(Kind.HUGE, "tariffs", size=100_000, times=1), 200, " " * 1000),
        (Fault(Kind.REDIRECT, "tariffs", times=1), 302, ""),
    ],
    ids=lambda value: value.kind.value if isinstance(value, Fault) else "",
)
async def test_wrong_answer_is_given_once_and_then_the_right_one(
    linked: tuple[Emsp, TinyCpo], fault: Fault, status: int, text: str
) -> None:
    emsp, cpo = linked
    emsp.faults.add(fault)
    tariff = example("tariff_14_step_size.json", country_code="BE", party_id="BEC")
    url = f"{emsp.url('tariffs')}/BE/BEC/22"

    wrong = await cpo.send("PUT", url, tariff)
    assert (wrong[0], text in wrong[1], emsp.store.tariffs) == (status, True, {})
    right = await cpo.send("PUT", url, tariff)
    assert (right[0], len(emsp.store.tariffs), fault.hits) == (201, 1, 1)


@pytest.mark.parametrize(
    ("kind", "stored"), [(Kind.CLOSE, 0), (Kind.CUT_AFTER, 1), (Kind.CUT_WITHIN, 1)]
)
async def test_cut_connection_leaves_the_cdr_stored_or_not(
    linked: tuple[Emsp, TinyCpo], kind: Kind, stored: int
) -> None:
    emsp, cpo = linked
    emsp.faults.add(Fault(kind, "cdrs", times=1))

    with pytest.raises(aiohttp.ClientError):
        await cpo.push("POST", "cdrs", ours(example("cdr_example.json")))

    assert len(emsp.store.cdrs) == stored
    assert emsp.ledger.of("request")[-1]["answered"] == {"http": None, "status_code": None}


@pytest.mark.parametrize(
    ("kind", "status", "copies"),
    [(Kind.CONFLICT, 409, 1), (Kind.REFUSE_REPEAT, 200, 1), (Kind.STORE_TWICE, 201, 2)],
)
async def test_repeated_cdr_meets_the_partners_habit(
    linked: tuple[Emsp, TinyCpo], kind: Kind, status: int, copies: int
) -> None:
    emsp, cpo = linked
    emsp.faults.add(Fault(kind, "cdrs"))
    cdr = ours(example("cdr_example.json"))
    await cpo.push("POST", "cdrs", cdr)

    again = await cpo.send("POST", emsp.url("cdrs"), cdr)

    assert (again[0], sum(emsp.store.cdr_copies.values())) == (status, copies)


async def test_partner_that_is_down_refuses_and_comes_back_with_its_copies(
    linked: tuple[Emsp, TinyCpo],
) -> None:
    emsp, cpo = linked
    await emsp.go_down()
    with pytest.raises(aiohttp.ClientConnectionError):
        await cpo.push("GET", "tokens")
    await emsp.come_back()

    assert (await cpo.push("GET", "tokens"))["status_code"] == 1000


async def test_black_hole_swallows_one_module_only_and_until_told_otherwise(
    linked: tuple[Emsp, TinyCpo],
) -> None:
    emsp, cpo = linked
    hole = emsp.faults.add(Fault(Kind.BLACKHOLE, "cdrs"))
    lost = asyncio.ensure_future(cpo.push("POST", "cdrs", ours(example("cdr_example.json"))))
    await emsp.wait_for(lambda: hole.hits)
    assert (await cpo.push("GET", "tokens"))["status_code"] == 1000
    assert not lost.done()
    emsp.faults.clear()

    with pytest.raises(aiohttp.ClientError):
        await lost


# -- tokens --------------------------------------------------------------------------------------


async def test_token_list_is_paged_and_filtered(linked: tuple[Emsp, TinyCpo]) -> None:
    emsp, cpo = linked
    for number in range(5):
        emsp.tokens.add(f"T{number}")
    changed = emsp.tokens.change("T1", valid=False, last_updated="2026-01-01T00:00:00Z")
    assert changed["last_updated"] > "2026"
    url, uids = f"{emsp.url('tokens')}?limit=2", []
    while url:
        _, text, headers = await cpo.send("GET", url)
        uids += [token["uid"] for token in json.loads(text)["data"]]
        url = dict(headers).get("Link", "").removeprefix("<").split(">")[0]

    assert uids == ["T0", "T1", "T2", "T3", "T4"]


@pytest.mark.parametrize(
    ("uid", "http", "code", "allowed"),
    [
        ("GOOD", 200, 1000, "ALLOWED"),
        ("POOR", 200, 1000, "NO_CREDIT"),
        ("STRANGER", 404, 2004, None),
    ],
)
async def test_real_time_authorisation_answers_by_script(
    linked: tuple[Emsp, TinyCpo], uid: str, http: int, code: int, allowed: str | None
) -> None:
    emsp, cpo = linked
    emsp.tokens.add("GOOD")
    emsp.tokens.scripts["POOR"] = Script("NO_CREDIT", seconds=0.01)

    status, text, _ = await cpo.send("POST", f"{emsp.url('tokens')}/{uid}/authorize")

    answer = json.loads(text)
    assert (status, answer["status_code"]) == (http, code)
    assert answer.get("data", {}).get("allowed") == allowed
    assert ("authorization_reference" in answer.get("data", {})) == (allowed == "ALLOWED")
    assert emsp.tokens.asked[0].uid == uid


async def test_tokens_are_put_and_patched_at_the_cpo(linked: tuple[Emsp, TinyCpo]) -> None:
    emsp, cpo = linked
    token = emsp.tokens.add("APP1", type="APP_USER")

    assert (await emsp.push_token(token)).ok
    assert (await emsp.patch_token(token, valid=False)).ok
    assert [got[:2] for got in cpo.got[-2:]] == [
        ("PUT", "/x/tokens/IN/EMP/APP1"),
        ("PATCH", "/x/tokens/IN/EMP/APP1"),
    ]
    assert set(cpo.got[-1][2]) == {"valid", "last_updated"}


# -- commands and pulling ------------------------------------------------------------------------


async def nothing(name: str, body: Json) -> None:
    """A charger that accepts and does no more."""


async def test_command_brings_an_answer_and_one_result_with_their_times(
    linked: tuple[Emsp, TinyCpo],
) -> None:
    emsp, cpo = linked
    cpo.on_command = nothing
    token = emsp.tokens.add("T1")

    command = await emsp.start_session("LOC1", "3256", token=token)

    assert (command.answer, await command.result(5)) == ("ACCEPTED", "ACCEPTED")
    assert command.answered is not None and command.resulted is not None
    assert command.sent < command.answered
    assert cpo.got[-1][2]["authorization_reference"] == command.reference
    await asyncio.gather(*cpo.jobs)
    assert [line["result"] for line in emsp.ledger.of("command")] == ["ACCEPTED"]


async def test_second_result_and_a_result_after_a_refusal_are_noticed(
    linked: tuple[Emsp, TinyCpo],
) -> None:
    emsp, cpo = linked
    cpo.on_command, cpo.results = nothing, ("ACCEPTED", "TIMEOUT")
    await (await emsp.unlock_connector("LOC1", "3256", "1")).result(5)
    await asyncio.gather(*cpo.jobs)
    assert [complaint.reason for complaint in emsp.complaints] == [
        "a second CommandResult: TIMEOUT"
    ]

    cpo.answer = "REJECTED"
    refused = await emsp.stop_session("101")
    await cpo.call("POST", refused.body["response_url"], {"result": "FAILED"})
    assert "a CommandResult after REJECTED" in emsp.complaints[-1].reason


async def test_reservations_are_asked_for_and_cancelled(linked: tuple[Emsp, TinyCpo]) -> None:
    emsp, cpo = linked
    cpo.answer = "NOT_SUPPORTED"
    expiry = datetime.now(UTC) + timedelta(minutes=15)

    asked = await emsp.reserve_now("R1", expiry, "LOC1", token=emsp.tokens.add("T1"))
    cancelled = await emsp.cancel_reservation("R1")

    assert (asked.answer, cancelled.answer) == ("NOT_SUPPORTED", "NOT_SUPPORTED")
    assert cpo.got[-2][2]["expiry_date"].endswith("Z")


async def test_locations_are_pulled_page_by_page(linked: tuple[Emsp, TinyCpo]) -> None:
    emsp, cpo = linked
    cpo.locations = [example("location_example.json", id=f"L{n}") for n in range(3)]

    assert await emsp.refresh("locations") == 3
    assert [location["id"] for location in emsp.store.locations.values()] == ["L0", "L1", "L2"]


# -- the app -------------------------------------------------------------------------------------


class Charging:
    """The tiny CPO's chargers: a session runs until it is stopped, then comes its CDR."""

    def __init__(self, cpo: TinyCpo) -> None:
        self.cpo = cpo
        self.sessions: dict[str, Json] = {}

    async def obey(self, name: str, body: Json) -> None:
        if name == "START_SESSION":
            await self.start(body)
        else:
            await self.finish(self.sessions[body["session_id"]])

    async def start(self, body: Json) -> None:
        session = example(
            "session_example_1_simple_start.json",
            country_code="BE",
            party_id="BEC",
            id=f"S{len(self.sessions)}",
            location_id=body["location_id"],
            evse_uid=body["evse_uid"],
            authorization_reference=body["authorization_reference"],
            auth_method="COMMAND",
            kwh=0.5,
        )
        token = body["token"]
        session["cdr_token"] = {name: token[name] for name in session["cdr_token"]}
        session.pop("total_cost", None)
        session.pop("charging_periods", None)
        self.sessions[session["id"]] = session
        await self.cpo.push("PUT", f"sessions/BE/BEC/{session['id']}", session)

    async def finish(self, session: Json) -> None:
        ended = {
            **session,
            "status": "COMPLETED",
            "kwh": 15.342,
            "end_date_time": "2030-01-01T00:00:00Z",
            "last_updated": "2030-01-01T00:00:00Z",
        }
        await self.cpo.push("PUT", f"sessions/BE/BEC/{session['id']}", ended)
        cdr = example(
            "cdr_example.json",
            id=f"C-{session['id']}",
            session_id=session["id"],
            cdr_token=session["cdr_token"],
        )
        cdr["charging_periods"][0]["dimensions"].append({"type": "ENERGY", "volume": 15.342})
        await self.cpo.push("POST", "cdrs", cdr)


async def test_drivers_charge_many_at_once_and_each_gets_one_bill(
    linked: tuple[Emsp, TinyCpo],
) -> None:
    emsp, cpo = linked
    chargers = Charging(cpo)
    cpo.on_command = chargers.obey
    cpo.locations = [example("location_example.json", id=f"L{n}") for n in range(4)]
    await emsp.refresh("locations")
    habits = Habits(charge=(0.01, 0.05), stops=1.0, patience=10)

    drives = await Driver(emsp, habits).drive(10, seed=7)

    assert [drive.problem for drive in drives] == [None] * 10
    assert len({drive.cdr_id for drive in drives}) == len(emsp.store.cdrs) == 10
    assert {drive.how for drive in drives} == {"stopped"}
    assert (emsp.complaints, emsp.cost_differences) == ([], [])


async def test_driver_whose_starts_are_refused_says_so(linked: tuple[Emsp, TinyCpo]) -> None:
    emsp, cpo = linked
    cpo.locations, cpo.answer = [example("location_example.json")], "REJECTED"
    await emsp.refresh("locations")

    (drive,) = await Driver(emsp, Habits(attempts=2)).drive(1, seed=1)

    assert drive.problem == "START_SESSION at 3256: REJECTED"
    assert len(emsp.commands) == 2


# -- the ledger ----------------------------------------------------------------------------------


async def test_ledger_on_disk_keeps_every_request_with_its_digits(
    cpo: TinyCpo, tmp_path: Path
) -> None:
    path = tmp_path / "partner.jsonl"
    async with Emsp(ledger=path) as emsp:
        await cpo.register_at(emsp)
        session = json.dumps(ours(example("session_example_2_short_finished.json")))
        body = session.replace("41.12", "41.1200").encode()
        await cpo.send("PUT", f"{emsp.url('sessions')}/BE/BEC/101", body)

    lines = path.read_text().splitlines()
    assert '"kwh":41.1200' in lines[-1]
    last = json.loads(lines[-1])
    assert (last["kind"], last["module"], last["object_id"]) == ("request", "sessions", "101")
    assert last["answered"] == {"http": 201, "status_code": 1000}


async def test_partner_in_another_process_can_be_steered(linked: tuple[Emsp, TinyCpo]) -> None:
    emsp, cpo = linked
    control = f"{emsp.base_url}/_control"
    wish = {"kind": "http", "module": "tokens", "http": 500, "times": 1}
    await cpo.send("POST", f"{control}/faults", wish)

    assert (await cpo.send("GET", emsp.url("tokens")))[0] == 500
    assert (await cpo.send("GET", emsp.url("tokens")))[0] == 200
    assert json.loads((await cpo.send("GET", f"{control}/report"))[1])["registered"] is True
