"""K10, C05: a planned stop, a backup under load, and everybody coming back at once."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from simulators.fleet import Fleet, FleetPlan
from simulators.habits import STEADY, Backoff
from simulators.ledger import Ledger
from simulators.oracle import Kind
from tests.harness.charger import Charger, dial, plugged, stamp, start16
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
    pytest.mark.timeout(240),
]


def plan(network: Network, seed: int, count: int) -> FleetPlan:
    return FleetPlan(
        url=network.ocpp_url,
        count=count,
        seed=seed,
        share_201=0.3,
        sessions=None,
        samples=3,
        sample_wh=(1, 5),
        pace=0.8,
        personalities=[STEADY],
        backoff=Backoff(0.2, 1.0, 0.5),
        password=password,
        id_tag=lambda number: CARD.format(number=number),
    )


async def test_k10_a_planned_stop_flushes_answers_and_a_backup_holds_what_was_acknowledged(
    tmp_path: Path, scenario: Judge
) -> None:
    fleet_size, watchers = size("K10_CHARGERS", 150), 20
    network = Network(tmp_path, chargers=fleet_size + watchers)
    with scenario("K10", mutant="stop-without-flush") as this:
        async with serving(network) as server:
            async with Fleet(plan(network, this.seed, fleet_size), Ledger()) as fleet:
                await fleet.booted()
                await fleet.acknowledged(2 * fleet_size, timeout=60)
                acked = [each["transaction_id"] for each in fleet.ledger.of("acked")]
                code, text = await server.cli("db", "backup", str(tmp_path / "backup.db"))
                assert code == 0, text
                missing = set(acked) - transactions_in(tmp_path / "backup.db")
                chargers = [
                    await dial(network, number) for number in range(fleet_size, network.chargers)
                ]
                await asyncio.gather(*(charger.boot() for charger in chargers))
                asking = [asyncio.create_task(_start(each, network)) for each in chargers]
                await asyncio.sleep(0)
                exit_code, seconds = await server.terminate()
                codes = [await charger.closed() for charger in chargers]
                answers = await asyncio.gather(*asking)
                await server.start()
                fleet.finish()
                await fleet.drain(timeout=90)
                await _again(network, fleet_size, answers)
                ledger = await server.ledger()
                verdict = await judged(server, fleet.ledger.entries)
            known = {each["transaction_id"] for each in ledger if each["kind"] == "session"}
            told = {str(answer) for answer in answers if answer is not None}
            this.n = verdict.figures["acked_starts"] + len(told)
            this.wrong(*verdict.mismatches, codes)
            this.figure("lost_or_doubled", len(verdict.mismatches))
            this.figure("answered_but_lost", len(told - known))
            this.figure("acked_missing_in_backup", len(missing))
            this.figure("stop_s", seconds, 10)
            this.figure("stop_exit_code", abs(exit_code))
            this.figure("not_closed_with_1012", sum(code != 1012 for code in codes))
            this.facts["answered_while_stopping"] = len(told)
            await living(this, server)


async def _start(charger: Charger, network: Network) -> int | None:
    """Start a transaction; None if the socket closed before the answer."""
    number = int(charger.identity.removeprefix(network.prefix))
    with suppress(ConnectionError, OSError):
        answer = await charger.call(
            "StartTransaction", start16(CARD.format(number=number), 100, stamp())
        )
        return int(answer["transactionId"])
    return None


async def _again(network: Network, first: int, answers: list[int | None]) -> None:
    """Every charger that was left without an answer finds the server well."""
    for number, answer in enumerate(answers, first):
        if answer is None:
            async with plugged(network, number) as charger:
                assert await _start(charger, network) is not None


def transactions_in(backup: Path) -> set[str]:
    with closing(sqlite3.connect(backup)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {row[0] for row in database.execute('SELECT "transaction" FROM sessions')}


# ---------------------------------------------------------------- C05


async def test_c05_everybody_comes_back_at_once_and_is_served(
    tmp_path: Path, scenario: Judge
) -> None:
    count = size("C05_CHARGERS", 1_000)
    network = Network(tmp_path, chargers=count)
    with scenario("C05", mutant="slow-password-check") as this:
        loop = asyncio.get_running_loop()
        async with serving(network) as server:
            calm = replace(
                plan(network, this.seed, count), pace=2.0, backoff=Backoff(0.1, 0.3, 0.2)
            )
            async with Fleet(calm, Ledger()) as fleet:
                await fleet.booted(timeout=90)
                await fleet.acknowledged(count, timeout=60)
                await server.kill()
                await asyncio.sleep(2.0)  # sessions go on; their messages queue up
                fleet.boot_seconds.clear()
                await server.launch()
                await server.ready()
                began = loop.time()
                await fleet.booted(timeout=90)
                booted = loop.time() - began
                fleet.finish()
                await fleet.drain(timeout=120)
                drained = loop.time() - began
                boots = sorted(fleet.boot_seconds)
                memory = peak_mb(server.pid)
                verdict = await judged(server, fleet.ledger.entries)
            this.n = len(boots)
            this.wrong(*verdict.mismatches)
            this.figure("booted_s", booted, 15)
            this.figure("boot_p99_s", boots[int(len(boots) * 0.99)], 10)
            this.figure("rss_mb", memory, 400)
            this.figure("callerrors", verdict.count(Kind.CALLERROR))
            this.figure("lost_or_doubled", len(verdict.mismatches))
            this.facts["drained_s"] = drained
            await living(this, server)


def peak_mb(pid: int) -> float:
    """The most resident memory that a process had so far."""
    text = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
