"""A 2G link: 64 kbit/s, 800 ms, and a NAT that forgets who says nothing. It keeps its sessions."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from simulators.faults import fault_proxy, slow_2g
from simulators.fleet import Fleet, FleetPlan
from simulators.habits import QUICK_BACKOFF, STEADY
from simulators.ledger import Ledger
from tests.harness.charger import Charger, plugged
from tests.harness.figures import size
from tests.harness.network import CARD, Network, password
from tests.harness.partners import judged
from tests.harness.server import serving
from tests.harness.standing import living
from tests.reliability.conftest import Judge

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.alone,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(180),
]

NAT_IDLE_S = 6.0
TIMES = {"ping_after_seconds": 2.0, "dead_after_seconds": 5.0}
"""120 s, 30 s and 46 s of the field, all shortened; the link's own 800 ms stay as they are."""


async def test_a_2g_link_behind_a_forgetful_nat_keeps_its_sessions(
    tmp_path: Path, scenario: Judge
) -> None:
    count = size("LINK_CHARGERS", 20)
    network = Network(tmp_path, chargers=count + 1, more={"ocpp": dict(TIMES)})
    with scenario("L2G", mutant="no-pings") as this:
        async with serving(network) as server:
            async with fault_proxy("127.0.0.1", network.ocpp_port, this.seed) as proxy:
                slow_2g(proxy.up)
                slow_2g(proxy.down)
                proxy.idle_timeout = NAT_IDLE_S
                plan = FleetPlan(
                    url=f"ws://127.0.0.1:{proxy.port}/ocpp",
                    count=count,
                    seed=this.seed,
                    share_201=0.5,
                    sessions=1,
                    samples=0,
                    sample_wh=(1, 20),
                    pace=8.0,  # of two events, one or the other comes after the NAT's patience
                    personalities=[STEADY],
                    backoff=QUICK_BACKOFF,
                    password=password,
                    id_tag=lambda number: CARD.format(number=number),
                )
                async with Fleet(plan, Ledger()) as fleet, plugged(network, count) as neighbour:
                    waits = asyncio.create_task(_heartbeats(neighbour, fleet))
                    await fleet.booted(timeout=60)
                    await fleet.drain(timeout=90)
                    slowest = await waits
                    connections = proxy.connections
                    verdict = await judged(server, fleet.ledger.entries)
            this.n = verdict.figures["acked_stops"]
            this.wrong(*verdict.mismatches)
            this.figure("reconnects", connections - count)
            this.figure("timeouts", fleet.figures["timeouts"])
            this.figure("lost_or_doubled", len(verdict.mismatches))
            this.figure("neighbour_slowest_ms", slowest * 1000, 250)
            await living(this, server)


async def _heartbeats(neighbour: Charger, fleet: Fleet) -> float:
    """Let a charger on a good line ask for the time until the others are done; its 99th percentile."""
    loop, took = asyncio.get_running_loop(), []
    while not all(each.done for each in fleet.chargers):
        began = loop.time()
        await neighbour.call("Heartbeat", {})
        took.append(loop.time() - began)
        await asyncio.sleep(0.05)
    return sorted(took)[int(len(took) * 0.99)]
