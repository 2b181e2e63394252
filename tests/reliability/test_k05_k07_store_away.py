"""K05, K07: while the store is away the backend is absent, not rude, and comes back by itself."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from websockets.exceptions import InvalidStatus

from simulators.fleet import Fleet, FleetPlan
from simulators.habits import STEADY, Backoff
from simulators.ledger import Ledger
from simulators.oracle import Kind
from tests.harness.charger import dial
from tests.harness.figures import Scenario, size
from tests.harness.network import CARD, Network, password
from tests.harness.partners import judged
from tests.harness.server import Server, serving
from tests.harness.standing import living
from tests.reliability.conftest import Judge
from tests.services import PostgresServer

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(240),
]

Trouble = Callable[[], Awaitable[None]]
FULL_BYTES = 4_096
"""How far into a file the server may write when the disk is 'full': less than any commit needs."""


def plan(network: Network, seed: int) -> FleetPlan:
    return FleetPlan(
        url=network.ocpp_url,
        count=network.chargers - 1,
        seed=seed,
        share_201=0.3,
        sessions=None,
        samples=2,
        sample_wh=(1, 5),
        pace=0.6,
        personalities=[STEADY],
        backoff=Backoff(0.5, 2.0, 0.5),
        password=password,
        id_tag=lambda number: CARD.format(number=number),
    )


async def until_ready(server: Server, wanted: bool, within: float) -> float:
    """Wait until ``/readyz`` says *wanted*; returns after how many seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with aiohttp.ClientSession() as http, asyncio.timeout(within):
        while True:
            async with http.get(f"{server.network.base}/readyz") as answer:
                if (answer.status == 200) is wanted:
                    return loop.time() - began
            await asyncio.sleep(0.05)


async def refused(network: Network) -> tuple[int, str | None]:
    """Try to connect; returns HTTP status and Retry-After of the refusal."""
    try:
        charger = await dial(network, network.chargers - 1)
    except InvalidStatus as error:
        return error.response.status_code, error.response.headers.get("Retry-After")
    charger.vanish()
    return 101, None


@asynccontextmanager
async def under_load(server: Server, seed: int) -> AsyncIterator[Fleet]:
    async with Fleet(plan(server.network, seed), Ledger()) as fleet:
        await fleet.booted(timeout=60)
        await fleet.acknowledged(2 * fleet.plan.count, timeout=60)
        yield fleet


async def away(
    this: Scenario, server: Server, take: Trouble, give_back: Trouble, seconds: float
) -> None:
    """Take the store away under load for *seconds*, give it back, drain, and judge."""
    network = server.network
    async with under_load(server, this.seed) as fleet:
        watcher = await dial(network, network.chargers - 1)
        await watcher.boot()
        await take()
        red = await until_ready(server, False, within=20)
        code = await watcher.closed(timeout=10)
        status, retry_after = await refused(network)
        await asyncio.sleep(max(0.0, seconds - red))
        still, _ = await refused(network)
        await give_back()
        back = await until_ready(server, True, within=30)
        await fleet.booted(timeout=60)
        fleet.finish()
        await fleet.drain(timeout=90)
        verdict = await judged(server, fleet.ledger.entries)
    lost = [each for each in verdict.mismatches if each.kind is not Kind.CALLERROR]
    this.n = verdict.figures["acked_starts"] + verdict.figures["acked_stops"]
    this.wrong(*verdict.mismatches)
    this.figure("lost_or_doubled", len(lost))
    this.figure("callerrors", verdict.count(Kind.CALLERROR))
    this.figure("red_after_s", red, 5)
    this.figure("not_closed_with_1013", int(code != 1013))
    this.figure("upgrades_not_503", int(status != 503) + int(still != 503))
    this.figure("without_retry_after", int(not retry_after))
    this.figure("back_after_s", back, 10)
    this.facts["close_code"] = code


async def test_k05_a_full_disk_loses_nothing_and_heals_without_a_restart(
    tmp_path: Path, scenario: Judge
) -> None:
    network = Network(tmp_path, chargers=size("K05_CHARGERS", 100) + 1)
    with scenario("K05", mutant="callerror-when-store-down") as this:
        async with serving(network) as server:

            async def fill() -> None:
                """Let no file of the server grow: every write ends like one to a full disk."""
                limit = (FULL_BYTES, resource.RLIM_INFINITY)
                resource.prlimit(server.pid, resource.RLIMIT_FSIZE, limit)

            async def free() -> None:
                no_limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
                resource.prlimit(server.pid, resource.RLIMIT_FSIZE, no_limit)

            await away(this, server, fill, free, size("K05_SECONDS", 10))
            await living(this, server, "store.down")


@pytest.mark.postgres
async def test_k07_postgresql_crashes_and_cut_connections_lose_nothing(
    tmp_path: Path, own_postgres: PostgresServer, scenario: Judge
) -> None:
    url = own_postgres.url().render_as_string(hide_password=False)
    network = Network(tmp_path, chargers=size("K07_CHARGERS", 100) + 1, database=url)
    with scenario("K07", mutant="down-means-acknowledged") as this:
        server = Server(network)
        network.write()
        code, text = await server.cli("db", "upgrade")
        assert code == 0, text

        async def crash() -> None:
            for _ in range(3):
                await cut_backends(url)
                await asyncio.sleep(1.0)
            await asyncio.to_thread(own_postgres.stop)

        async def start() -> None:
            await asyncio.to_thread(own_postgres.start)

        async with serving(network) as server:
            await away(this, server, crash, start, size("K07_SECONDS", 10))
            await living(this, server, "store.down")


async def cut_backends(url: str) -> None:
    """End every connection of the server to its database, in the middle of whatever it does."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
    finally:
        await connection.close()
