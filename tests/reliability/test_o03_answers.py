"""O03: whatever a partner answers, we do what the answer means, and nothing else suffers by it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from cms.app.ports import Page
from cms.domain.ids import LocationId
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi.world import EMP, World, running, until, until_kept
from tests.reliability.conftest import Judge

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(180),
]

AT_ONCE = 6
"""How many rows run side by side, each with a CPO and a partner of its own."""

TIMEOUT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Row:
    """One answer, and what it must lead to.

    Attributes:
        leads_to: taken (it counts as delivered), again (asked again until it is taken), parked
            (not asked again by itself, a person is told), stopped (nothing more is sent).
        module: to what kind of object it is given.
        times: how often; None = to this object for good.
    """

    name: str
    fault: dict[str, Any]
    leads_to: str
    module: str = "cdrs"
    times: int | None = 1


def envelope(code: Any, **more: Any) -> str:
    return json.dumps({"status_code": code, "timestamp": "2026-01-01T00:00:00Z", **more})


def raw(body: str, http: int = 200, **headers: str) -> dict[str, Any]:
    return {"kind": Kind.RAW, "http": http, "body": body, "headers": headers}


JSON = {"Content-Type": "application/json"}


def rows(canary: str) -> Iterator[Row]:
    """Every kind of answer to a bill, and the classes again for sessions and locations."""
    yield from _taken(canary)
    yield from _again()
    yield from _parked(canary)
    for code in (401, 403):
        yield Row(f"HTTP {code}", raw("", code), "stopped", times=None)
    yield from _of_other_modules(canary)


def _taken(canary: str) -> Iterator[Row]:
    for code in (1000, 1001, 1999):
        yield Row(f"OCPI {code}", raw(envelope(code), **JSON), "taken")
    yield Row("201", raw(envelope(1000), 201, **JSON), "taken")
    yield Row("text/plain", raw(envelope(1000), **{"Content-Type": "text/plain"}), "taken")
    yield Row("no content type", raw(envelope(1000)), "taken")
    yield Row("data of any kind", raw(envelope(1000, data=[1, {"x": None}]), **JSON), "taken")
    yield Row("no Location", {"kind": Kind.NO_LOCATION}, "taken")
    yield Row("relative Location", {"kind": Kind.RELATIVE_LOCATION}, "taken")
    foreign = raw(envelope(1000), 201, Location=f"{canary}/cdrs/1")
    yield Row("foreign Location", foreign, "taken")
    yield Row(
        "Location of 2,000 characters", raw(envelope(1000), 201, Location="/" * 2000), "taken"
    )
    yield Row("409", raw("", 409), "taken")
    said = envelope(2001, status_message="CDR already exists")
    yield Row("2001 already exists", raw(said, **JSON), "taken")
    yield Row("slow", {"kind": Kind.SLOW_AFTER, "seconds": 0.3}, "taken")


def _again() -> Iterator[Row]:
    for http in (500, 502, 503, 504, 599):
        yield Row(f"HTTP {http}", raw("", http), "again", times=2)
    for http in (429, 503):
        later = {"kind": Kind.HTTP, "http": http, "retry_after": 0}
        yield Row(f"HTTP {http} with Retry-After", later, "again")
    yield Row("Retry-After that is no number", raw("", 429, **{"Retry-After": "soon"}), "again")
    for code in (3000, 3001, 3002, 3003, 3999, 4000, 4001, 4002, 4003):
        yield Row(f"OCPI {code}", raw(envelope(code), **JSON), "again", times=2)
    odd = {
        "empty": "",
        "no JSON": "OK",
        "half JSON": '{"status_code": 1000,',
        "a list": "[1000]",
        "null": "null",
        "a text for a code": envelope("1000"),
        "a fraction for a code": envelope(1000.5),
        "true for a code": envelope(True),
        "no code": json.dumps({"data": {}}),
        "code 0": envelope(0),
        "code 5000": envelope(5000),
        "a code of 400 digits": '{"status_code": ' + "9" * 400 + "}",
        "deep JSON": "[" * 100_000,
        "not UTF-8 to us": '{"status_code": "\\ud800"}',
    }
    for name, body in odd.items():
        yield Row(name, raw(body, **JSON), "again")
    yield Row("a page of HTML", {"kind": Kind.HTML, "http": 200}, "again")
    yield Row("HTML and 502", {"kind": Kind.HTML, "http": 502}, "again")
    yield Row("a body without end", {"kind": Kind.HUGE}, "again")
    yield Row("drop by drop", {"kind": Kind.DRIP, "seconds": 0.05}, "again")
    yield Row("never", {"kind": Kind.BLACKHOLE}, "again")
    yield Row("cut at once", {"kind": Kind.CLOSE}, "again")
    yield Row("cut after it was stored", {"kind": Kind.CUT_AFTER}, "again")
    yield Row("cut within the answer", {"kind": Kind.CUT_WITHIN}, "again")
    yield Row("502 after it was stored", {"kind": Kind.HTTP_AFTER, "http": 502}, "again")


def _parked(canary: str) -> Iterator[Row]:
    for code in (2000, 2001, 2002, 2003, 2004, 2999):
        yield Row(f"OCPI {code}", raw(envelope(code), **JSON), "parked")
    for http in (400, 402, 404, 405, 406, 410, 413, 415, 418, 422):
        yield Row(f"HTTP {http}", raw("", http), "parked")
    for http in (301, 302, 303, 307, 308):
        turn = {"kind": Kind.REDIRECT, "http": http, "url": f"{canary}/{http}"}
        yield Row(f"redirect {http}", turn, "parked")


def _of_other_modules(canary: str) -> Iterator[Row]:
    turn = {"kind": Kind.REDIRECT, "http": 307, "url": f"{canary}/put"}
    for module in ("sessions", "locations"):
        yield Row(f"{module}: 2xx", raw(envelope(1000), **JSON), "taken", module)
        yield Row(f"{module}: 503", raw("", 503), "again", module)
        yield Row(f"{module}: nonsense", raw("<>"), "again", module)
        yield Row(f"{module}: 4003", raw(envelope(4003), **JSON), "again", module)
        yield Row(f"{module}: redirect", turn, "parked", module)
        yield Row(f"{module}: 400", raw("", 400), "parked", module)
        yield Row(f"{module}: 401", raw("", 401), "stopped", module, times=None)


@dataclass(slots=True)
class Canary:
    """A server that nobody may ever speak to."""

    url: str = ""
    hits: list[str] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.Response:
        self.hits.append(f"{request.method} {request.path}")
        return web.Response(text=envelope(1000), content_type="application/json")


async def test_o03_every_answer_leads_to_what_it_means(scenario: Judge) -> None:
    canary = Canary()
    runner = await _listening(canary)
    try:
        with scenario("O03", mutant="odd-answers-are-delivered") as this:
            wrong: list[str] = []
            places = asyncio.Semaphore(AT_ONCE)

            async def judged(row: Row) -> None:
                async with places:
                    try:
                        wrong.extend(f"{row.name}: {each}" for each in await judge(row))
                    except TimeoutError:
                        wrong.append(f"{row.name}: it never came to {row.leads_to}")

            every = list(rows(canary.url))
            async with asyncio.TaskGroup() as group:
                for row in every:
                    group.create_task(judged(row))
            this.n = len(every)
            this.wrong(*wrong)
            this.figure("rows_wrong", len({each.split(":")[0] for each in wrong}))
            this.figure("requests_to_strangers", len(canary.hits))
            this.facts["kinds"] = len({row.leads_to for row in every})
    finally:
        await runner.cleanup()


async def _listening(canary: Canary) -> web.AppRunner:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", canary.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    canary.url = f"http://localhost:{runner.addresses[0][1]}"  # another host than the partner's
    return runner


# ---------------------------------------------------------------- one row


async def judge(row: Row) -> list[str]:
    """Give the answer of *row* to one object of a fresh partner; returns what went wrong."""
    async with running(request_timeout=TIMEOUT, backoff_cap=timedelta(seconds=0.2)) as cpo:
        await cpo.small_network()
        async with Emsp() as emsp:
            await cpo.connect(emsp)
            await emsp.wait_for(lambda: emsp.store.locations)
            method = {"cdrs": "POST", "sessions": "PUT", "locations": "PUT"}[row.module]
            fault = emsp.faults.add(
                Fault(module=row.module, method=method, times=row.times, **row.fault)
            )
            key = await OBJECTS[row.module](cpo)
            wrong = await JUDGES[row.leads_to](cpo, emsp, row, fault, key)
            emsp.faults.clear()
            return wrong


async def _a_bill(cpo: World) -> str:
    return str((await cpo.settle(await cpo.session())).id)


async def _a_session(cpo: World) -> str:
    return str((await cpo.session()).id)


async def _a_site(cpo: World) -> str:
    return str((await cpo.add_site(LocationId("PUNE-2"))).id)


OBJECTS: dict[str, Callable[[World], Awaitable[str]]] = {
    "cdrs": _a_bill,
    "sessions": _a_session,
    "locations": _a_site,
}
KIND_OF = {"cdrs": "cdr", "sessions": "session", "locations": "location"}


def _asked(emsp: Emsp, row: Row, key: str) -> int:
    """How many requests about the object came."""
    method = "POST" if row.module == "cdrs" else "PUT"
    found = [a for a in emsp.arrivals if a.module == row.module and a.method == method]
    if row.module == "cdrs":
        return sum(a.object_id == key for a in found)
    return sum(a.path.rstrip("/").endswith(key) for a in found)


async def _taken_by(cpo: World, row: Row, key: str) -> Any:
    """Wait until the object counts as delivered; a session leaves no row, so the line must be empty."""
    if row.module == "sessions":
        await until_kept(lambda: _nothing_waits(cpo), timeout=8)
        return None
    return await _row(cpo, row, key, "delivered")


async def _nothing_waits(cpo: World) -> list[bool]:
    return [True] if (await cpo.service.partner_health(EMP)).lag == 0 else []


async def _row(cpo: World, row: Row, key: str, state: str) -> Any:
    async def there() -> list[Any]:
        found = await cpo.store.delivery(EMP, KIND_OF[row.module], key)
        return [found] if found is not None and found.state == state else []

    await until_kept(there, timeout=8)
    return (await there())[0]


async def _taken_row(cpo: World, emsp: Emsp, row: Row, fault: Fault, key: str) -> list[str]:
    await until(lambda: fault.hits == 1)
    kept = await _taken_by(cpo, row, key)
    wrong = []
    if (count := _asked(emsp, row, key)) != 1:
        wrong.append(f"{count} requests")
    place = (kept.place if kept is not None else None) or emsp.base_url
    if row.module == "cdrs" and not place.startswith(emsp.base_url):
        wrong.append(f"kept the place {place}")
    return wrong + await _the_next_goes(cpo, emsp)


async def _again_row(cpo: World, emsp: Emsp, row: Row, fault: Fault, key: str) -> list[str]:
    await until(lambda: fault.hits == row.times, timeout=8)
    if fault.kind in (Kind.BLACKHOLE, Kind.DRIP):
        await until(lambda: _asked(emsp, row, key) > 1, timeout=8)
    await _taken_by(cpo, row, key)
    wrong = []
    if (count := _asked(emsp, row, key)) != (row.times or 0) + 1:
        wrong.append(f"{count} requests")
    if row.module == "cdrs":
        copies = sum(emsp.store.cdr_copies.values())
        if copies != 1:
            wrong.append(f"the bill is there {copies} times")
    return wrong + await _the_next_goes(cpo, emsp)


async def _parked_row(cpo: World, emsp: Emsp, row: Row, fault: Fault, key: str) -> list[str]:
    await _row(cpo, row, key, "parked")
    wrong = await _the_next_goes(cpo, emsp)
    if (count := _asked(emsp, row, key)) != 1:
        wrong.append(f"{count} requests")
    subject = f"{KIND_OF[row.module]}:{key}"
    items = await cpo.store.work_items(True, Page(), subject)
    if [each.type for each in items] != ["parked_delivery"]:
        wrong.append(f"nobody is told: {items}")
    return wrong


async def _stopped_row(cpo: World, emsp: Emsp, row: Row, fault: Fault, key: str) -> list[str]:
    await until(lambda: cpo.service.health(EMP)["state"] == "refused")
    seen = len(emsp.arrivals)
    async with Emsp(party_id="OTH") as witness:
        await cpo.connect(witness)
        await witness.wait_for(lambda: witness.store.locations)
        await _a_session(cpo)
        await _a_site(cpo)
        await witness.wait_for(lambda: ("IN", "CPO", "PUNE-2") in witness.store.locations)
    wrong = [] if len(emsp.arrivals) == seen else ["it is asked on"]
    kept = await cpo.store.delivery(EMP, KIND_OF[row.module], key)
    if kept is not None and kept.state == "delivered":
        wrong.append("it counts as delivered")
    return wrong


async def _the_next_goes(cpo: World, emsp: Emsp) -> list[str]:
    """Another bill reaches the partner: nothing else suffers."""
    other = await _a_bill(cpo)
    await emsp.wait_for(lambda: ("IN", "CPO", other.upper()) in emsp.store.cdr_copies, 8)
    return []


Judged = Callable[[World, Emsp, Row, Fault, str], Awaitable[list[str]]]
JUDGES: dict[str, Judged] = {
    "taken": _taken_row,
    "again": _again_row,
    "parked": _parked_row,
    "stopped": _stopped_row,
}
