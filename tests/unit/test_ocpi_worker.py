"""The order in which one line leaves: nothing overtakes what must go before it, nothing starves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cms.app.ports import Change
from cms.app.writes import Touch
from cms.domain.ids import CdrId, LocationId, SessionId
from cms.store.memory import MemoryStore
from ocpi_cpo.config import OcpiConfig, OwnParty
from ocpi_cpo.connections import Connection, Endpoint, LinkState
from ocpi_cpo.push.ahead import Before
from ocpi_cpo.push.behind import Behind
from ocpi_cpo.push.feed import SharedFeed
from ocpi_cpo.push.telling import DONE, Told
from ocpi_cpo.push.worker import Worker
from tests.unit.office import EMS, SITE

MODULES = ("locations", "sessions", "cdrs")
MANY = 300
CONFIG = OcpiConfig("https://cpo", (OwnParty("IN", "CPO", "CPO"),))


class Courier:
    """Brings everything at once and notes what it brought. Bill ``b7`` is of session ``s7``."""

    def __init__(self, store: MemoryStore) -> None:
        self.behind = Behind(store)
        self.ahead = self
        self.told: list[str] = []
        self.sites: set[str] = set()
        self.moved = asyncio.Event()
        self.held: dict[str, asyncio.Event] = {}
        self.before: dict[str, Before] = {}
        self.reads: list[int] = []

    def clear(self) -> None:
        """Nothing is kept here."""

    def site(self, session: str) -> LocationId | None:
        return SITE

    def introduced(self, connection: Connection, site: LocationId) -> bool:
        return site in self.sites

    def knows(self, connection: Connection, change: Change) -> bool:
        return False

    async def read_ahead(
        self, sessions: Sequence[Change], bills: Sequence[Change]
    ) -> Mapping[str, Before]:
        self.reads.append(len(sessions) + len(bills))
        await asyncio.sleep(0)
        usual = {b.key: Before(SessionId(f"s{b.key[1:]}")) for b in bills}
        return {key: self.before.get(key, each) for key, each in usual.items()}

    async def tell(
        self, connection: Connection, change: Change, answered: Any, *, rear: bool
    ) -> Told:
        await asyncio.sleep(0)
        if change.key in self.held:
            await self.held[change.key].wait()
        if change.kind == "location":
            self.sites.add(change.key)
        self.told.append(change.key)
        self.moved.set()
        return DONE

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                self.moved.clear()
                await self.moved.wait()


class Line:
    """A worker over a store in memory."""

    def __init__(self) -> None:
        def clock() -> datetime:
            return datetime(2026, 11, 20, tzinfo=UTC)

        self.store = MemoryStore(clock)
        self.courier = Courier(self.store)
        ends = tuple(Endpoint(each, "RECEIVER", f"https://ems/{each}") for each in MODULES)
        there = Connection(EMS, LinkState.CONNECTED, outbound="t", version="2.2.1", endpoints=ends)
        self.connection: Connection | None = there
        self.worker = Worker(
            EMS, self.store, SharedFeed(self.store), self.courier, CONFIG, clock,  # type: ignore[arg-type]
            lambda: self.connection, there, lambda evse: SITE, self.refused,
        )  # fmt: skip

    async def refused(self, connection: Connection, why: str) -> None:
        raise AssertionError(why)

    async def told(self, expects: int) -> list[str]:
        """Run until so many things are told; returns them in order."""
        running = asyncio.ensure_future(self.worker.run())
        await self.courier.until(lambda: len(self.courier.told) == expects)
        self.connection = None
        self.worker.look()
        await running
        return self.courier.told


async def backlog(line: Line, many: int = MANY) -> None:
    await line.store.commit([Touch("location", SITE)])
    for number in range(many):
        await line.store.commit(
            [Touch("session", f"s{number}", EMS), Touch("cdr", f"b{number}", EMS)]
        )


async def test_a_bill_leaves_when_its_session_is_told_however_many_others_wait() -> None:
    line = Line()
    await backlog(line)
    told = await line.told(1 + 2 * MANY)
    at = {key: place for place, key in enumerate(told)}
    assert len(at) == len(told) == 1 + 2 * MANY
    assert all(at[f"s{number}"] < at[f"b{number}"] for number in range(MANY))
    assert max(at[f"b{number}"] - at[f"s{number}"] for number in range(MANY)) < 150
    assert await line.store.cursors(EMS) == {
        "locations": 1, "sessions": 2 * MANY, "cdrs": 2 * MANY + 1
    }  # fmt: skip


async def test_what_is_told_is_read_in_batches() -> None:
    line = Line()
    await backlog(line)
    await line.told(1 + 2 * MANY)
    assert len(line.courier.reads) < 2 * MANY / 16


async def test_a_session_waits_for_its_site_where_the_partner_does_not_know_it() -> None:
    line = Line()
    await backlog(line, 3)
    told = await line.told(7)
    assert told[0] == SITE

    line = Line()
    line.courier.sites.add(SITE)  # known since before
    line.courier.held[SITE] = asyncio.Event()
    await line.store.commit([Touch("location", "the first, by which we see that it lives")])
    await backlog(line, 3)
    running = asyncio.ensure_future(line.told(8))
    await line.courier.until(lambda: len(line.courier.told) == 7)
    line.courier.held[SITE].set()
    assert (await running)[-1] == SITE


async def test_a_bill_waits_for_the_bills_that_it_corrects() -> None:
    line = Line()
    line.courier.held["b0"] = asyncio.Event()
    line.courier.before["b1"] = Before(SessionId("s1"), (CdrId("b0"),))
    await backlog(line, 3)
    running = asyncio.ensure_future(line.told(7))
    await line.courier.until(lambda: "b2" in line.courier.told)
    assert "b1" not in line.courier.told
    line.courier.held["b0"].set()
    told = await running
    assert told.index("b0") < told.index("b1")
