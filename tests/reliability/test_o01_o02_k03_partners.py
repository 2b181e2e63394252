"""K03, O01, O02: a bill reaches its partner once, whatever the line and the partner do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from simulators.emsp import Emsp, Fault, Kind
from tests.harness.charger import Charger, plugged, stamp, start16, stop16
from tests.harness.figures import size
from tests.harness.network import CARD, Network
from tests.harness.partners import registered
from tests.harness.server import Server, serving
from tests.harness.standing import living
from tests.reliability.conftest import Judge

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(240),
]


async def charged(charger: Charger, tag: str, wh: int = 100, base: int = 1_000) -> None:
    """One whole session of a 1.6 charger."""
    began = await charger.call("StartTransaction", start16(tag, base, stamp(minutes=5)))
    stop = stop16(began["transactionId"], base + wh, stamp(), tag)
    await charger.call("StopTransaction", stop)


def copies(emsp: Emsp) -> Counter[str]:
    """How often each bill was stored at the partner."""
    return Counter(line["id"] for line in emsp.ledger.of("cdr") if line["stored"])


async def bills(emsp: Emsp, count: int, within: float = 30) -> None:
    """Wait until *count* different bills are at the partner."""
    await emsp.wait_for(lambda: len(copies(emsp)) >= count, within)


async def quiet(emsp: Emsp, seconds: float = 0.8) -> None:
    """Wait until no request has come for a while: whatever was to be repeated has been."""
    async with asyncio.timeout(60):
        while True:
            before = len(emsp.arrivals)
            await asyncio.sleep(seconds)
            if len(emsp.arrivals) == before:
                return


# ---------------------------------------------------------------- K03


async def test_k03_killed_between_the_partners_answer_and_our_mark(
    tmp_path: Path, scenario: Judge
) -> None:
    """The partner has the bill, we died before we noted it. It answers a repetition in its way."""
    ways = {
        "dedups": None,
        "says 2001": Kind.REFUSE_REPEAT,
        "says 409": Kind.CONFLICT,
        "stores twice": Kind.STORE_TWICE,
    }
    network = Network(tmp_path, chargers=len(ways), own_cards=False)
    with scenario("K03", mutant="new-bill-id-on-retry") as this:
        twice = missing = stored_twice = not_dead = 0
        async with serving(network) as server:
            async with registered(server, cards=range(len(ways))) as emsp:
                for number, kind in enumerate(ways.values()):
                    if kind is not None:
                        emsp.faults.add(Fault(kind, "cdrs", "POST", status_code=2001))
                    await server.kill()
                    server.env["CMS_FAILPOINT"] = "X5:1:kill"
                    await server.start()
                    async with plugged(network, number) as charger:
                        await charged(charger, CARD.format(number=number))
                        not_dead += await server.ended(within=30) != -9
                    del server.env["CMS_FAILPOINT"]
                    before = len(emsp.pushes("cdrs"))
                    await server.start()
                    await bills(emsp, number + 1)
                    await quiet(emsp)
                    emsp.faults.clear()
                    this.n += 1
                    this.facts[f"posts_{number}"] = len(emsp.pushes("cdrs")) - before
                found = copies(emsp)
                ledger = await server.ledger()
                ours = {line["id"] for line in ledger if line["kind"] == "cdr"}
                missing = len(ours - set(found))
                extra = [count - 1 for count in found.values() if count > 1]
                stored_twice = sum(extra)
                twice = max(0, stored_twice - 1)
                unknown = len(set(found) - ours)
            this.figure("kills_missing", not_dead)
            this.figure("missing", missing)
            this.figure("twice", twice)
            this.figure("unknown_bills", unknown)
            this.figure("extra_where_it_stores_twice", stored_twice, 1)
            await living(this, server)


# ---------------------------------------------------------------- O02


async def test_o02_a_post_whose_outcome_is_unclear_ends_as_one_bill(
    tmp_path: Path, scenario: Judge
) -> None:
    """The connection is cut after the partner stored the bill: before, within, after the answer."""
    kinds = [Kind.CUT_AFTER, Kind.CUT_WITHIN, Kind.HTTP_AFTER, Kind.NO_LOCATION, Kind.CLOSE]
    network = Network(tmp_path, chargers=len(kinds), own_cards=False)
    with scenario("O02", mutant="new-bill-id-on-retry") as this:
        async with serving(network) as server:
            async with registered(server, cards=range(len(kinds))) as emsp:
                faults = [Fault(kind, "cdrs", "POST", times=1, http=502) for kind in kinds]
                for number, fault in enumerate(faults):
                    emsp.faults.add(fault)
                    async with plugged(network, number) as charger:
                        await charged(charger, CARD.format(number=number))
                    await bills(emsp, number + 1)
                    await quiet(emsp)
                    this.n += 1
                found = copies(emsp)
            this.figure("twice", sum(count - 1 for count in found.values()))
            this.figure("bills_beyond_one_each", abs(len(kinds) - len(found)))
            this.figure("faults_not_struck", sum(fault.hits != 1 for fault in faults))
            this.figure("partner_complains", len(emsp.complaints))
            this.facts["posts"] = len(emsp.pushes("cdrs"))
            this.wrong(*emsp.complaints)
            await living(this, server)


# ---------------------------------------------------------------- O01


@asynccontextmanager
async def partners(server: Server, count: int, cards: int) -> AsyncIterator[list[Emsp]]:
    """So many partners; each owns the same number of drivers' cards."""
    async with AsyncExitStack() as stack:
        found = []
        for number in range(count):
            mine = range(number * cards, (number + 1) * cards)
            emsp = registered(server, f"E{number:02d}", cards=mine)
            found.append(await stack.enter_async_context(emsp))
        yield found


async def test_o01_a_partner_that_is_down_delays_nobody_and_gets_everything_once_later(
    tmp_path: Path, scenario: Judge
) -> None:
    """Of six partners one refuses connections, one answers 503, one never answers at all."""
    count, cards, rounds = 6, 2, size("O01_ROUNDS", 6)
    network = Network(
        tmp_path, chargers=count * cards, own_cards=False, more={"ocpi": {"timeout_seconds": 2}}
    )
    with scenario("O01", mutant="one-line-for-all-partners") as this:
        async with serving(network) as server:
            async with partners(server, count, cards) as everybody:
                down, healthy = everybody[:3], everybody[3:]
                await quiet(everybody[0])
                await down[0].go_down()
                down[1].faults.add(Fault(Kind.HTTP, http=503))
                down[2].faults.add(Fault(Kind.BLACKHOLE))
                marks = [len(emsp.arrivals) for emsp in down]
                slowest = 0.0
                for done in range(1, rounds + 1):
                    slowest = max(slowest, await _everybody_charges(network, healthy, done))
                asked = [len(e.arrivals) - m for e, m in zip(down, marks, strict=True)]
                await _heal(down)
                await asyncio.gather(*(bills(emsp, cards * rounds, within=60) for emsp in down))
                await asyncio.gather(*(quiet(emsp) for emsp in everybody))
                ledger = await server.ledger()
                missing, twice, wrong = _bills_judged(everybody, ledger)
                stale = sum(_stale_sessions(emsp, ledger) for emsp in everybody)
                this.n = len(everybody) * cards * rounds
                this.wrong(*(c for emsp in everybody for c in emsp.complaints))
                this.figure("missing", missing)
                this.figure("twice", twice)
                this.figure("wrong_partner", wrong)
                this.figure("stale_sessions", stale)
                this.figure("healthy_slowest_s", slowest, 2)
                this.figure("requests_to_the_dead", max(asked), 12)
                this.figure("partner_complains", sum(len(e.complaints) for e in everybody))
            await living(this, server)


async def _everybody_charges(network: Network, healthy: list[Emsp], done: int) -> float:
    """One session at each charger; seconds until every healthy partner has its bills."""
    async with asyncio.TaskGroup() as group:
        for number in range(network.chargers):
            group.create_task(_one_session(network, number, 1_000 * done))
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*(bills(emsp, 2 * done) for emsp in healthy))
    return loop.time() - began


async def _one_session(network: Network, number: int, base: int) -> None:
    async with plugged(network, number) as charger:
        await charged(charger, CARD.format(number=number), base=base)


async def _heal(down: list[Emsp]) -> None:
    """The partners are back, and say so by asking for something, as partners do."""
    await down[0].come_back()
    for emsp in down:
        emsp.faults.clear()
        await emsp.pull("locations")


def _bills_judged(everybody: list[Emsp], ledger: list[dict[str, Any]]) -> tuple[int, int, int]:
    owner = {line["id"]: line["partner"] for line in ledger if line["kind"] == "cdr"}
    found = {f"{e.us.country_code}*{e.us.party_id}": copies(e) for e in everybody}
    missing = sum(id not in found[partner] for id, partner in owner.items())
    twice = sum(n - 1 for bills_ in found.values() for n in bills_.values())
    wrong = sum(owner.get(id) != partner for partner, ids in found.items() for id in ids)
    return missing, twice, wrong


def _stale_sessions(emsp: Emsp, ledger: list[dict[str, Any]]) -> int:
    """Sessions of which the partner's copy is not what is true now."""
    me = f"{emsp.us.country_code}*{emsp.us.party_id}"
    theirs = {each["id"]: each["status"] for each in emsp.store.sessions.values()}
    return sum(
        theirs.get(line["id"]) != "COMPLETED"
        for line in ledger
        if line["kind"] == "session" and line["partner"] == me
    )
