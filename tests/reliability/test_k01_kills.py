"""K01: killed at random moments under load, nothing acknowledged is lost and nothing is billed twice."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import pytest

from simulators.emsp import Emsp
from simulators.fleet import Fleet, FleetPlan
from simulators.habits import (
    LIBOCPP,
    LIBOCPP_ONE_ATTEMPT,
    MICROOCPP,
    QUICK_BACKOFF,
    SAP,
    STEADY,
    Personality,
)
from simulators.ledger import Ledger
from simulators.oracle import Kind
from tests.harness.figures import Scenario, size
from tests.harness.network import CARD, Network, password
from tests.harness.partners import judged as wait_for_verdict
from tests.harness.partners import registered
from tests.harness.server import Server, serving
from tests.harness.standing import living
from tests.reliability.conftest import Judge

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(900),
]

LOST = (Kind.ACKED_START_MISSING, Kind.ACKED_SAMPLE_MISSING, Kind.ACKED_STOP_MISSING)
TWICE = (Kind.DUPLICATE_SESSION, Kind.UNEXPLAINED_SESSION)
BILLS = (Kind.DUPLICATE_CDR, Kind.SESSION_WITHOUT_CDR, Kind.CDR_WITHOUT_SESSION)
ENERGY = (Kind.ENERGY_DIFFERS, Kind.CDR_ENERGY_DIFFERS)
PARTNER = (Kind.CDR_MISSING_AT_PARTNER, Kind.CDR_TWICE_AT_PARTNER, Kind.CDR_AT_WRONG_PARTNER)
MONEY = (Kind.CDR_BODY_DIFFERS, Kind.COST_DIFFERS)


def personalities() -> list[Personality]:
    """Five kinds of firmware, in more of a hurry than in the field."""
    kinds = (LIBOCPP, LIBOCPP_ONE_ATTEMPT, MICROOCPP, SAP, STEADY)
    return [replace(kind, retry_interval=0.2, message_timeout=20.0) for kind in kinds]


def plan(network: Network, seed: int, pace: float) -> FleetPlan:
    return FleetPlan(
        url=network.ocpp_url,
        count=network.chargers,
        seed=seed,
        share_201=0.25,
        sessions=None,
        samples=2,
        pace=pace,
        sample_wh=(1, 9),  # faster than any charger delivers, the bill would be withheld
        personalities=personalities(),
        backoff=QUICK_BACKOFF,
        password=password,
        id_tag=lambda number: CARD.format(number=number),
    )


async def killed_again_and_again(
    server: Server, fleet: Fleet, kills: int, dice: random.Random
) -> None:
    for _ in range(kills):
        await asyncio.sleep(dice.uniform(0.7, 2.5))
        await server.kill()
        await server.start()
    await fleet.booted(timeout=60)


async def judged(this: Scenario, server: Server, fleet: Fleet, emsp: Emsp) -> None:
    """Drain, let the three ledgers be compared, and record the figures."""
    fleet.finish()
    await fleet.drain(timeout=120)
    verdict = await wait_for_verdict(server, fleet.ledger.entries, emsp)
    this.n = verdict.figures["acked_starts"] + verdict.figures["acked_stops"]
    for name, kinds in (
        ("lost", LOST),
        ("duplicate_sessions", TWICE),
        ("bills_wrong", BILLS),
        ("energy_wrong", ENERGY),
        ("partner_wrong", PARTNER),
        ("money_wrong", MONEY),
        ("callerrors", (Kind.CALLERROR,)),
    ):
        this.figure(name, sum(verdict.count(kind) for kind in kinds))
    this.figure("partner_complains", len(emsp.complaints))
    this.wrong(*verdict.mismatches, *emsp.complaints[:10])
    for name in ("delivered", "acked_stops", "gave_up", "cdrs", "cdrs_at_partner"):
        this.facts[name] = verdict.figures[name]
    this.facts["retries"] = fleet.figures["retries"]


async def killing(this: Scenario, network: Network, kills: int) -> None:
    dice = random.Random(this.seed)
    async with serving(network) as server:
        async with registered(server, cards=range(network.chargers)) as emsp:
            async with Fleet(plan(network, this.seed, 1.2), Ledger()) as fleet:
                await fleet.booted(timeout=60)
                await killed_again_and_again(server, fleet, kills, dice)
                await judged(this, server, fleet, emsp)
            this.facts["kills"] = server.exit_codes.count(-9)
            this.figure("kills_missing", kills - server.exit_codes.count(-9))
            await living(this, server)


async def test_k01_killed_at_random_moments_under_load_on_sqlite(
    tmp_path: Path, scenario: Judge
) -> None:
    chargers, kills = size("K01_CHARGERS", 200), size("K01_KILLS", 10)
    with scenario("K01-sqlite", mutant="ack-before-commit") as this:
        await killing(this, Network(tmp_path, chargers=chargers, own_cards=False), kills)


@pytest.mark.postgres
async def test_k01_killed_at_random_moments_under_load_on_postgresql(
    tmp_path: Path, postgres_url: str, scenario: Judge
) -> None:
    chargers, kills = size("K01_PG_CHARGERS", 100), size("K01_PG_KILLS", 3)
    network = Network(tmp_path, chargers=chargers, own_cards=False, database=postgres_url)
    with scenario("K01-postgresql", mutant="retry-is-new") as this:
        await killing(this, network, kills)
