"""O05: a partner that reads by pages while everything changes misses nothing and reads nothing torn."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from cms.domain.ids import LocationId, StationId
from cms.domain.status import ConnectorReport
from ocpi_cpo.wire import stamp
from simulators.emsp.partner import Emsp
from simulators.emsp.wire import moment
from tests.conformance.ocpi.world import EMP, Asker, World, now, running
from tests.harness.figures import size
from tests.reliability.conftest import Judge

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(240),
]

LIMITS = (1, 3, 7, 20, 50, 1000)
REPORTS = (ConnectorReport.FREE, ConnectorReport.CHARGING, ConnectorReport.FAULTED)


@dataclass(slots=True)
class Truth:
    """What was written, by kind: each thing and the version that the writer last gave it."""

    sites: set[str] = field(default_factory=set)
    sessions: dict[str, int] = field(default_factory=dict)
    bills: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Reader:
    """Reads one list over and over, each time what changed since, as careful partners do."""

    ask: Asker
    module: str
    limit: int
    seen: dict[str, list[Any]] = field(default_factory=dict)
    torn: list[str] = field(default_factory=list)
    crawls: int = 0
    since: str = "2020-01-01T00:00:00Z"

    async def crawl(self) -> None:
        """Read what changed since the last crawl began, by our clock as its first page told it."""
        path = f"/2.2.1/{self.module}?date_from={quote(self.since)}&limit={self.limit}"
        began = ""
        while path:
            heard = await self.ask("GET", path)
            assert heard.code == 1000, heard.envelope
            began = began or heard.envelope["timestamp"]
            for each in heard.data:
                self._take(each)
            link = heard.headers.get("Link", "")
            path = link.split(";")[0].strip("<>") if link else ""
        self.since = began
        self.crawls += 1

    def _take(self, each: Any) -> None:
        versions = self.seen.setdefault(each["id"], [])
        if versions and moment(each["last_updated"]) < moment(versions[-1]["last_updated"]):
            self.torn.append(f"{self.module} {each['id']}: older after newer")
        if self.module == "locations":
            newest = max(moment(evse["last_updated"]) for evse in each["evses"])
            if moment(each["last_updated"]) < newest:
                self.torn.append(f"{each['id']}: an EVSE is newer than its location")
        versions.append(each)


async def test_o05_pulling_while_everything_is_written(scenario: Judge) -> None:
    """Writers change sites, sessions and bills; readers of every page size follow by date."""
    seconds, sites = size("O05_SECONDS", 4), size("O05_SITES", 30)
    with scenario("O05", mutant="an-update-moves-an-object") as this:
        async with _bed(sites) as (cpo, ask), AsyncExitStack() as stack:
            truth = Truth({str(id) for id in cpo.catalogue.locations})
            await asyncio.sleep(1.1)  # what never changes is a second older than the first crawl
            readers = [
                Reader(ask, module, limit)
                for module in ("locations", "sessions", "cdrs")
                for limit in LIMITS
            ]
            done = asyncio.Event()
            group = await stack.enter_async_context(asyncio.TaskGroup())
            dice = random.Random(this.seed)
            writers = [
                group.create_task(_write(cpo, truth, random.Random(dice.random()), done))
                for _ in range(8)
            ]
            reading = [group.create_task(_follow(each, done)) for each in readers]
            await asyncio.sleep(seconds)  # the length of the observation
            done.set()
            written = sum(await asyncio.gather(*writers))
            await asyncio.gather(*reading)
            missed, stale = await _compared(cpo, truth, readers)
            torn = [each for reader in readers for each in reader.torn]
            this.n = written
            this.facts |= {"crawls": sum(each.crawls for each in readers)}
            this.wrong(*missed, *stale, *torn)
            this.figure("missed", len(missed))
            this.figure("stale", len(stale))
            this.figure("torn", len(torn))


@asynccontextmanager
async def _bed(sites: int) -> AsyncIterator[tuple[World, Asker]]:
    async with running(page_limit=1000) as cpo, Emsp(modules=("credentials", "tokens")) as emsp:
        await cpo.small_network()
        for number in range(2, sites + 1):
            site = LocationId(f"PUNE-{number}")
            await cpo.add_site(site)
            await cpo.add_station(StationId(f"CS{number}"), site=site, evses=2)
        await cpo.connect(emsp)
        yield cpo, Asker(cpo.base, emsp.connection.outbound)


async def _write(cpo: World, truth: Truth, dice: random.Random, done: asyncio.Event) -> int:
    """Change something until told to stop; several things often share one moment."""
    count = 0
    mine: list[Any] = []
    busy = list(cpo.catalogue.stations.values())[: len(truth.sites) // 4]
    evses = [evse.ref for station in busy for evse in station.evses]  # the others never change
    while not done.is_set():
        match dice.randrange(4):
            case 0 | 1:
                await cpo.report(dice.choice(evses), dice.choice(REPORTS))
            case 2:
                session = await cpo.session()
                mine.append(session)
                truth.sessions[session.id] = session.delivered_wh
            case _ if mine:
                bill = await cpo.settle(mine.pop(dice.randrange(len(mine))))
                truth.bills.add(bill.id)
            case _:
                pass
        count += 1
        await asyncio.sleep(0.004)  # some 200 changes a second, of eight writers
    return count


async def _follow(reader: Reader, done: asyncio.Event) -> None:
    while not done.is_set():
        await reader.crawl()
        await asyncio.sleep(0.01)
    await reader.crawl()  # what was written while the last one was read


async def _compared(cpo: World, truth: Truth, readers: list[Reader]) -> tuple[list[str], list[str]]:
    """What a reader never saw, and what it saw last that is not what stands there now."""
    missed, stale = [], []
    wanted = {"locations": truth.sites, "sessions": set(truth.sessions), "cdrs": truth.bills}
    for reader in readers:
        gone = wanted[reader.module] - set(reader.seen)
        missed += [f"{reader.module} by {reader.limit}: {id}" for id in sorted(gone)]
        path = f"/2.2.1/{reader.module}?date_from=2020-01-01T00:00:00Z&limit=1000"
        whole: dict[str, Any] = {}
        while path:
            heard = await reader.ask("GET", path)
            whole |= {each["id"]: each for each in heard.data}
            link = heard.headers.get("Link", "")
            path = link.split(";")[0].strip("<>") if link else ""
        stale += [
            f"{reader.module} by {reader.limit}: {id}"
            for id, each in whole.items()
            if id in reader.seen and reader.seen[id][-1] != each
        ]
    return missed, stale


async def test_o05_things_of_one_moment_are_each_in_one_window(scenario: Judge) -> None:
    """Bills of the same millisecond, cut by windows at that very moment."""
    with scenario("O05-moment", mutant="dates-in-whole-seconds") as this:
        async with _bed(1) as (cpo, ask):
            for _ in range(40):
                await cpo.settle(await cpo.session())
            heard = await ask("GET", "/2.2.1/cdrs?limit=1000")
            moments = sorted({each["last_updated"] for each in heard.data}, key=moment)
            ids = sorted(each["id"] for each in heard.data)
            wrong = 0
            for cut in moments[:: max(1, len(moments) // 10)]:
                early = await ask("GET", f"/2.2.1/cdrs?date_to={quote(cut)}&limit=1000")
                late = await ask("GET", f"/2.2.1/cdrs?date_from={quote(cut)}&limit=1000")
                found = [each["id"] for each in early.data + late.data]
                wrong += sorted(found) != ids
                this.n += 1
            this.figure("windows_wrong", wrong)
            edge = stamp(now() + timedelta(days=1))
            none = await ask("GET", f"/2.2.1/cdrs?date_from={quote(edge)}")
            this.figure("after_all", len(none.data))
            assert cpo.service.connections.get(EMP) is not None
