"""Every scripted session, in both versions, against a central system that is not ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from simulators.fleet import Fleet, FleetPlan
from simulators.habits import QUICK_BACKOFF, STEADY
from simulators.ledger import Ledger
from simulators.scenarios import SCENARIOS, main, run
from simulators.station import StationConfig
from tests.flow.tiny_central import Central, tiny_central


@pytest.fixture
async def central() -> AsyncIterator[Central]:
    async with tiny_central() as running:
        running.strict = True
        yield running


def config(central: Central, version: str) -> StationConfig:
    return StationConfig(
        "CP-1",
        central.url,
        version,
        sample_interval=None,
        backoff=QUICK_BACKOFF,
        personality=replace(STEADY, message_timeout=0.3, retry_interval=0.02),
    )


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
@pytest.mark.parametrize("name", sorted(SCENARIOS))
async def test_each_scenario_ends_with_everything_told(
    central: Central, name: str, version: str
) -> None:
    ledger = Ledger()
    transaction = await run(config(central, version), name, "TAG-1", ledger)
    (delivered,) = ledger.of("delivered")
    assert transaction.stop_acked
    assert delivered["stop_wh"] - delivered["start_wh"] == transaction.energy_wh
    expected = 0 if name == "nothing-delivered" else 5_000
    assert expected <= (transaction.energy_wh or 0) <= expected + 20
    assert not list(ledger.of("callerror"))
    starts = central.payloads("StartTransaction") + [
        each for each in central.payloads("TransactionEvent") if each["eventType"] == "Started"
    ]
    assert len(starts) == (2 if name == "lost-answer" else 1)


async def test_a_refused_tag_is_a_plain_error(central: Central) -> None:
    central.blocked.add("STOLEN")
    with pytest.raises(ValueError, match="does not charge for STOLEN"):
        await run(config(central, "1.6"), "plain", "STOLEN", Ledger())


async def test_the_command_line_prints_what_was_delivered(
    central: Central, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    arguments = ["plain", "--url", central.url, "--identity", "CP-9", "--quirk", "trailing-nul"]
    assert await asyncio.to_thread(main, arguments) == 0
    assert '"told":true' in capsys.readouterr().out


def test_station_and_fleet_run_on_uvloop_too() -> None:
    async def both() -> tuple[Ledger, Ledger]:
        one, many = Ledger(), Ledger()
        async with tiny_central() as central:
            await run(config(central, "1.6"), "offline", "TAG-1", one)
            async with Fleet(FleetPlan(central.url, 3), many) as fleet:
                await fleet.drain()
        return one, many

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        one, many = runner.run(both())
    assert len(list(one.of("delivered"))) == 1
    assert len(list(many.of("delivered"))) == 3
