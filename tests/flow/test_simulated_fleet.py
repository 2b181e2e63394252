"""The fleet against a central system that is not ours."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from ocpp.v16 import call as call16

from simulators.fleet import Fleet, FleetPlan, main
from simulators.habits import (
    LIBOCPP,
    LIBOCPP_ONE_ATTEMPT,
    MICROOCPP,
    NO_BACKOFF,
    SAP,
    STEADY,
    STEADY_SAME_ID,
    Personality,
)
from simulators.ledger import Ledger, read
from tests.flow.tiny_central import Central, tiny_central


@pytest.fixture
async def central() -> AsyncIterator[Central]:
    async with tiny_central() as running:
        running.strict = True
        yield running


def plan(central: Central, **more: Any) -> FleetPlan:
    defaults = {"count": 10, "seed": 7, "share_201": 0.5, "backoff": NO_BACKOFF}
    return FleetPlan(url=central.url, **(defaults | more))


def impatient(personality: Personality) -> Personality:
    return replace(personality, retry_interval=0.02, message_timeout=0.3)


async def test_every_session_of_either_version_is_told_and_acknowledged(
    central: Central,
) -> None:
    ledger = Ledger()
    asked = plan(central, sessions=2, password=lambda identity: f"secret-{identity}")
    async with Fleet(asked, ledger) as fleet:
        await fleet.booted()
        await fleet.drain()
    assert not list(ledger.of("callerror"))
    assert len(list(ledger.of("delivered"))) == 20
    acked = Counter(entry["message"] for entry in ledger.of("acked"))
    assert acked == {
        "start": 10, "sample": 30, "stop": 10, "started": 10, "updated": 30, "ended": 10,
    }  # fmt: skip
    ids = {entry["transaction_id"] for entry in ledger.of("acked") if entry["message"] == "stop"}
    assert ids == {str(payload["transactionId"]) for payload in central.payloads("StopTransaction")}
    stops = {entry["stop_wh"] for entry in ledger.of("delivered") if entry["version"] == "1.6"}
    assert stops == {payload["meterStop"] for payload in central.payloads("StopTransaction")}
    assert len(fleet.boot_seconds) == 10


async def test_the_same_seed_delivers_the_same_energy(central: Central) -> None:
    ledgers = [Ledger(), Ledger()]
    for ledger in ledgers:
        async with Fleet(plan(central), ledger) as fleet:
            await fleet.drain()
    energies = [
        sorted((each["station"], each["start_wh"], each["stop_wh"]) for each in ledger.of("delivered"))
        for ledger in ledgers
    ]  # fmt: skip
    assert energies[0] == energies[1]


async def test_a_fleet_outlives_its_backend_and_loses_nothing(central: Central) -> None:
    ledger = Ledger()
    endless = plan(central, sessions=None, personalities=[STEADY, STEADY_SAME_ID, SAP])
    async with Fleet(endless, ledger) as fleet:
        for death in range(1, 4):
            await fleet.acknowledged(death * 60)
            await central.die()
            await central.start()
        await fleet.booted()
        fleet.finish()
        await fleet.drain()
    assert not list(ledger.of("gave_up"))
    ended = Counter(
        entry["txn"] for entry in ledger.of("acked") if entry["message"] in ("stop", "ended")
    )
    assert set(ended) == {entry["txn"] for entry in ledger.of("delivered")}
    assert set(ended.values()) == {1}
    assert fleet.figures["boots"] > 10


@pytest.mark.parametrize("habits", [LIBOCPP, MICROOCPP, STEADY, STEADY_SAME_ID, SAP])
async def test_a_lost_answer_is_asked_for_again_by_the_habit_of_the_firmware(
    central: Central, habits: Personality
) -> None:
    central.silent_on["StartTransaction"] = 1
    one = plan(central, count=1, share_201=0, personalities=[impatient(habits)])
    async with Fleet(one) as fleet:
        await fleet.drain()
    first, second = central.message_ids("StartTransaction")
    assert (first == second) is habits.same_id
    assert central.payloads("StartTransaction")[0] == central.payloads("StartTransaction")[1]
    assert fleet.figures["timeouts"] == fleet.figures["retries"] == 1


async def test_firmware_with_one_attempt_discards_what_a_callerror_answered(
    central: Central,
) -> None:
    central.errors_on["TransactionEvent"] = 1
    ledger = Ledger()
    one = plan(central, count=1, share_201=1, personalities=[impatient(LIBOCPP_ONE_ATTEMPT)])
    async with Fleet(one, ledger) as fleet:
        await fleet.drain()
    assert [entry["message"] for entry in ledger.of("gave_up")] == ["started"]
    assert [entry["code"] for entry in ledger.of("callerror")] == ["InternalError"]


async def test_a_start_that_never_was_answered_leaves_a_stop_with_minus_one(
    central: Central,
) -> None:
    central.silent_on["StartTransaction"] = 3
    one = plan(central, count=1, share_201=0, personalities=[impatient(MICROOCPP)])
    async with Fleet(one) as fleet:
        await fleet.drain()
    assert central.payloads("StopTransaction")[0]["transactionId"] == -1
    assert "transactionId" not in central.payloads("MeterValues")[0]


async def test_a_paced_fleet_charges_on_while_the_backend_is_away(central: Central) -> None:
    ledger = Ledger()
    async with Fleet(plan(central, sessions=2, pace=0.02), ledger) as fleet:
        await fleet.booted()
        await central.die()
        await fleet._until(lambda: all(each.done for each in fleet.chargers), 20)
        acked_before = fleet.figures["acked"]
        await central.start()
        await fleet.drain()
    assert acked_before < fleet.figures["acked"]
    assert any(event.get("offline") for event in central.payloads("TransactionEvent"))
    assert len(list(ledger.of("delivered"))) == 20


async def test_a_power_cut_brings_everybody_back(central: Central) -> None:
    async with Fleet(plan(central, sessions=0)) as fleet:
        await fleet.booted()
        fleet.drop_all()
        await fleet._until(lambda: fleet.figures["boots"] == 20, 20)
        await fleet.booted()
        await fleet.drain()


async def test_the_backends_calls_get_legal_answers(central: Central) -> None:
    async with Fleet(plan(central, count=1, share_201=0, sessions=0)) as fleet:
        await fleet.booted()
        server = central.charge_points["FLEET-00000"]
        start = call16.RemoteStartTransaction(id_tag="X")
        assert (await server.call(start)).status == "Rejected"
        assert (await server.call(call16.GetConfiguration())).configuration_key == []
        assert await server.call(call16.ClearCache()) is None


async def test_refused_handshakes_are_counted_and_tried_again(central: Central) -> None:
    central.refusals = 3
    async with Fleet(plan(central, count=2)) as fleet:
        await fleet.drain()
    assert fleet.figures["refused_401"] == 3
    assert fleet.figures["boots"] == 2


async def test_the_command_line_runs_a_fleet_and_writes_its_ledger(
    central: Central, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fleet.jsonl"
    arguments = [
        "--url", central.url, "--count", "4", "--seed", "3", "--ledger", str(path),
        "--password", "pw-{identity}", "--share-201", "0.25", "--personality", "steady",
    ]  # fmt: skip
    assert await asyncio.to_thread(main, arguments) == 0
    assert len([each for each in read(path) if each["kind"] == "delivered"]) == 4
    assert '"boots":4' in capsys.readouterr().out
