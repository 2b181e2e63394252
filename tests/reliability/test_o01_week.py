"""O01: fifty partners, ten of them down for seven days, on a clock that jumps.

The OCPI edge, its workers and the feed are the product's own; partners answer in this process, so
that a week takes a minute. Real sockets, real time and a crash are the other O01's matter.
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from cms.domain.ids import EvseRef, EvseUid, LocationId, PartnerId, SessionId, StationId
from cms.domain.partner import Partner
from cms.domain.session import Session
from cms.domain.status import ConnectorReport
from ocpi_cpo.answers import Heard, Silence
from ocpi_cpo.client import Ask
from ocpi_cpo.connections import Endpoint
from ocpi_cpo.registration import TakeOver
from ocpi_cpo.wire import authorization, dumps, loads
from tests.conformance.ocpi import world as worlds
from tests.conformance.ocpi.world import World
from tests.harness.figures import size
from tests.harness.warp import WarpLoop
from tests.reliability.conftest import Judge

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(600),
]

ANSWERS_IN = 0.05
"""Seconds that a partner who is well takes for an answer."""
STEP = 1200.0
"""Seconds between two moments at which something happens."""
SITES, PER_SITE = 5, 4
RARELY = 3600.0
"""Seconds between looks that find nothing here: nobody is told of statuses late, or of a plan."""
TIMED_BY_MONOTONIC = (
    "ocpi_cpo.client",
    "ocpi_cpo.promises",
    "ocpi_cpo.push.watch",
    "ocpi_cpo.push.worker",
)


@dataclass
class Provider:
    """A partner as it looks from the wire.

    Attributes:
        fault: how it is down now: "black hole", "reset" or "503"; None = it is well.
        asked: when a request came, well or not, in seconds of the loop.
        told: when it heard of a state of an EVSE, by EVSE and that state's ``last_updated``.
    """

    id: PartnerId
    fault: str | None = None
    asked: list[float] = field(default_factory=list)
    evses: dict[str, Any] = field(default_factory=dict)
    told: dict[tuple[str, datetime | None], float] = field(default_factory=dict)
    sessions: dict[str, Any] = field(default_factory=dict)
    bills: Counter[str] = field(default_factory=Counter)

    @property
    def host(self) -> str:
        return f"{self.id.lower().replace('*', '-')}.example"

    @property
    def token(self) -> str:
        """By which it calls us."""
        return f"calls-us-{self.id}"

    def take_over(self) -> TakeOver:
        base = f"http://{self.host}/ocpi/2.2.1"
        modules = [(name, "RECEIVER") for name in ("locations", "sessions", "cdrs", "tariffs")]
        ends = [Endpoint(name, role, f"{base}/{name}") for name, role in modules]
        ends.append(Endpoint("tokens", "SENDER", f"{base}/tokens"))
        return TakeOver(f"http://{self.host}/versions", "2.2.1", "t", self.token, tuple(ends))

    def take(self, method: str, path: list[str], body: Any, now: float) -> Heard:
        headers: dict[str, str] = {}
        match method, path:
            case "GET", ["tokens"]:
                return _answer([])
            case _, ["locations", _, _, _] if method == "PUT":
                for each in body["evses"]:
                    self._evse(each["uid"], each, now)
            case _, ["locations", _, _, _, uid]:
                self._evse(uid, body, now)
            case _, ["sessions", _, _, id]:
                self.sessions[id] = {**self.sessions.get(id, {}), **body}
            case "POST", ["cdrs"]:
                self.bills[body["id"]] += 1
                headers["Location"] = f"http://{self.host}/ocpi/2.2.1/cdrs/{body['id']}"
            case _, ["tariffs", *_]:
                pass
            case _:
                return Heard(404, {}, b"", 0)
        return _answer(None, headers)

    def _evse(self, uid: str, body: Any, now: float) -> None:
        self.evses[uid] = {**self.evses.get(uid, {}), **body}
        self.told.setdefault((uid, _moment(body["last_updated"])), now)


def _answer(data: Any, headers: dict[str, str] | None = None) -> Heard:
    body = {"data": data, "status_code": 1000, "timestamp": "2026-11-02T06:00:00Z"}
    return Heard(200, headers or {}, dumps(body), 50)


@dataclass
class Wire:
    """Stands where the client's connections would be."""

    loop: WarpLoop
    providers: dict[str, Provider]

    async def send(self, ask: Ask, timeout: float | None = None) -> Heard | Silence:
        where = urlsplit(ask.url)
        provider = self.providers[where.hostname or ""]
        provider.asked.append(self.loop.time())
        match provider.fault:
            case "black hole":
                await asyncio.sleep(timeout or 10.0)
                return Silence("timeout", sent=True)
            case "reset":
                return Silence("refused", sent=False)
            case "503":
                await asyncio.sleep(ANSWERS_IN)
                return Heard(503, {}, b"", 50)
        await asyncio.sleep(ANSWERS_IN)
        path = where.path.removeprefix("/ocpi/2.2.1/").split("/")
        body = None if ask.body is None else loads(ask.body)
        return provider.take(ask.method, path, body, self.loop.time())


@dataclass
class Week:
    """What happens at the charge points, step by step.

    Attributes:
        changes: EVSE, its ``last_updated`` and when that became true, in seconds of the loop.
        dirty: by partner, what changed since it went down.
    """

    world: World
    loop: WarpLoop
    dice: random.Random
    providers: list[Provider]
    running: list[Session] = field(default_factory=list)
    sessions: dict[SessionId, Session] = field(default_factory=dict)
    bills: dict[PartnerId, list[str]] = field(default_factory=dict)
    changes: list[tuple[str, datetime, float]] = field(default_factory=list)
    dirty: dict[PartnerId, set[tuple[str, str]]] = field(default_factory=dict)

    async def step(self) -> None:
        await self._status()
        if self.dice.random() < 0.5:
            await self._begin()
        for session in list(self.running):
            if self.dice.random() < 0.3:
                await self._end(session)
            else:
                await self._progress(session)

    async def _status(self) -> None:
        ref = EvseRef(StationId(f"CS{self.dice.randrange(SITES * PER_SITE)}"), 1)
        free = self.world.live.evse(ref).presence and self.dice.random() < 0.5
        await self.world.report(ref, ConnectorReport.FREE if free else ConnectorReport.OCCUPIED)
        at, place = self.world.live.evse(ref).last_updated, self.world.catalogue.place(ref)
        assert place is not None
        if at is not None:
            self.changes.append((f"{ref.station}-1", at, self.loop.time()))
        for each in self.providers:
            self._soil(each.id, "evse", str(ref))
            self._soil(each.id, "location", place.location.id)

    async def _begin(self) -> None:
        owner = self.dice.choice(self.providers).id
        session = await self.world.session(
            owner, started_at=self.loop.now(), received_at=self.loop.now(), delivered_wh=0
        )
        self._note(session)
        self.running.append(session)

    async def _progress(self, session: Session) -> None:
        self.running.remove(session)
        after = replace(session, delivered_wh=session.delivered_wh + 900)
        self.running.append(await self.world.keep(after))
        self._note(after)

    async def _end(self, session: Session) -> None:
        self.running.remove(session)
        bill = await self.world.settle(session)
        self._note(session)
        assert session.owner is not None
        self._soil(session.owner, "cdr", bill.id)
        self.bills.setdefault(session.owner, []).append(bill.id)

    def _note(self, session: Session) -> None:
        self.sessions[session.id] = session
        assert session.owner is not None
        self._soil(session.owner, "session", session.id)

    def _soil(self, partner: PartnerId, kind: str, key: str) -> None:
        if partner in self.dirty:
            self.dirty[partner].add((kind, key))


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


async def network(world: World) -> None:
    await world.add_tariff()
    for number in range(SITES):
        await world.add_site(LocationId(f"SITE-{number}" if number else "PUNE-1"))
    for number in range(SITES * PER_SITE):
        site = number // PER_SITE
        await world.add_station(
            StationId(f"CS{number}"), LocationId(f"SITE-{site}" if site else "PUNE-1")
        )
        await world.report(EvseRef(StationId(f"CS{number}"), 1), ConnectorReport.FREE)


def most_in_an_hour(asked: list[float], since: float, until: float) -> int:
    """Return the most requests within any hour between two moments."""
    found = [at for at in asked if since <= at < until]
    return max((bisect_left(found, at + 3600.0) - n for n, at in enumerate(found)), default=0)


def p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)] if values else float("inf")


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[WarpLoop]:
    made = WarpLoop()
    for module in TIMED_BY_MONOTONIC:
        monkeypatch.setattr(f"{module}.monotonic", made.time)
    monkeypatch.setattr(worlds, "now", made.now)
    monkeypatch.setattr("ocpi_cpo.service.DUE_LOOK_SECONDS", RARELY)
    monkeypatch.setattr("cms.app.profiling._LOOK_SECONDS", RARELY)
    yield made
    made.close()


def test_o01_ten_of_fifty_partners_are_down_for_a_week(loop: WarpLoop, scenario: Judge) -> None:
    with scenario("O01-week", mutant="no-pause-for-the-dead") as this:
        loop.run_until_complete(week(this, loop))


async def week(this: Any, loop: WarpLoop) -> None:
    count, down_count = size("O01_PARTNERS", 50), size("O01_DOWN", 10)
    hours = size("O01_HOURS", 168)
    dice = random.Random(this.seed)
    providers = [Provider(PartnerId(f"IN*P{number:02}")) for number in range(count)]
    dead, well = providers[:down_count], providers[down_count:]
    wire = Wire(loop, {each.host: each for each in providers})
    config = {"poll": timedelta(minutes=10), "allow_private": True}
    async with worlds.running(**config) as world:
        world.service._client.send = wire.send  # type: ignore[method-assign]
        await network(world)
        for each in providers:
            partner = Partner(each.id, str(each.id), allow_private_addresses=True)
            await world.service.adopt(partner, each.take_over(), "test")
        happening = Week(world, loop, dice, providers)
        with loop.warped():
            for _ in range(6):
                await happening.step()
                await asyncio.sleep(STEP)
            for number, each in enumerate(dead):
                each.fault = ("black hole", "reset", "503")[number % 3]
                happening.dirty[each.id] = set()
            went = loop.time()
            for _ in range(int(hours * 3600 / STEP)):
                await happening.step()
                await asyncio.sleep(STEP)
            back = loop.time()
            rows = [(await world.service.healths.of(each.id)).lag for each in dead]
        for each in dead:
            each.fault = None
            await call_us(world, each)
        with loop.warped():
            await asyncio.sleep(300.0)
            missing = [fault for each in providers for fault in behind(happening, each)]
    twice = sum(1 for each in providers for copies in each.bills.values() if copies > 1)
    objects = [len(happening.dirty[each.id]) for each in dead]
    lags = list(lags_of(happening, well, went, back))
    this.n = len(lags)
    this.figure(
        "most_requests_an_hour", max(most_in_an_hour(e.asked, went, back) for e in dead), 12
    )
    this.figure("rows_over_objects", max(r - o for r, o in zip(rows, objects, strict=True)))
    this.figure("missing", len(missing))
    this.figure("twice", twice)
    this.figure("well_lag_p99_s", p99(lags), 2)
    this.wrong(*missing[:10])
    this.facts["partners"] = count
    this.facts["hours"] = hours
    this.facts["bills"] = sum(len(each) for each in happening.bills.values())
    this.facts["backlog"] = sum(objects)


async def call_us(world: World, each: Provider) -> None:
    """A partner that is back asks us something, as it would."""
    headers = {"Authorization": authorization(each.token)}
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{world.base}/2.2.1/locations?limit=1", headers=headers) as answer:
            assert answer.status == 200, await answer.text()


def behind(week: Week, each: Provider) -> Iterator[str]:
    """What *each* does not know, or knows otherwise than it is."""
    for number in range(SITES * PER_SITE):
        ref = EvseRef(StationId(f"CS{number}"), 1)
        uid = EvseUid(f"{ref.station}-1")
        place = week.world.catalogue.place(ref)
        assert place is not None
        theirs = each.evses.get(uid, {})
        at = week.world.live.evse(ref).last_updated
        if at is None or _moment(theirs.get("last_updated")) != at:
            yield f"{each.id}: {uid}: {theirs.get('last_updated')} in place of {at}"
    for bill in week.bills.get(each.id, ()):
        if not each.bills[bill]:
            yield f"{each.id}: bill {bill}"
    for session in week.sessions.values():
        if session.owner == each.id and session.id not in each.sessions:
            yield f"{each.id}: session {session.id}"


def lags_of(week: Week, well: list[Provider], since: float, until: float) -> Iterator[float]:
    """Seconds from each change of an EVSE until each partner that is well heard of it."""
    for uid, stamp, at in week.changes:
        if since <= at < until - STEP:
            for each in well:
                heard = each.told.get((uid, stamp))
                yield float("inf") if heard is None else heard - at
