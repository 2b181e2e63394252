"""The process is told to stop while cars charge, and comes back: sessions go on, nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.emsp import Emsp
from simulators.habits import QUICK_BACKOFF
from simulators.ledger import Ledger
from simulators.oracle import compare
from simulators.station import StationConfig, StationSimulator
from tests.flow.product import VERSIONS
from tests.harness.network import Network, password
from tests.harness.partners import register
from tests.harness.server import serving


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGKILL"])
async def test_sessions_go_on_over_a_restart(tmp_path: Path, signal: str) -> None:
    network = Network(tmp_path, chargers=4, prefix="CS-", own_cards=False)
    ledger = Ledger()
    async with serving(network) as server, Emsp(country_code="IN", party_id="EMP") as emsp:
        async with server.api() as api:
            await register(emsp, api)
        stations = [station(network, number, ledger) for number in range(4)]
        for each in stations:
            await each.__aenter__()
        try:
            for number, each in enumerate(stations):
                await each.booted()
                await emsp.push_token(emsp.tokens.add(f"RFID-{number}"))
                assert await each.start_local(id_tag=f"RFID-{number}") is not None
                await each.session_started()
            await emsp.wait_for(lambda: len(emsp.store.sessions) == 4)

            if signal == "SIGTERM":
                code, seconds = await server.terminate()
                assert code == 0 and seconds < 10
            else:
                await server.kill()
            for each in stations:
                await each.until(lambda: not each.online)  # noqa: B023
                each.outlets[1].meter.add(20)
            await stations[0].stop_local()  # it ends while nobody listens
            await server.start()
            for each in stations:
                await each.until(lambda: each.online)  # noqa: B023
            for each in stations[1:]:
                await each.stop_local()
            for each in stations:
                await each.session_finished()
            await emsp.wait_for(lambda: len(emsp.store.cdrs) == 4, 30)
            ours = await server.ledger()
        finally:
            for each in stations:
                await each.__aexit__()
        assert [each.transaction_id for station in stations for each in station.transactions]
        assert all(len(each.transactions) == 1 for each in stations)
        verdict = compare(list(ledger.entries), emsp.ledger.lines, ours)
        assert not verdict.mismatches, [str(each) for each in verdict.mismatches]
        assert len(emsp.store.cdrs) == 4
        assert not emsp.complaints and not emsp.cost_differences
        assert server.unhandled() == []


def station(network: Network, number: int, ledger: Ledger) -> StationSimulator:
    identity = network.identity(number)
    config = StationConfig(
        identity,
        network.ocpp_url,
        VERSIONS[number % 2],
        password(identity),
        power_w=60_000,
        sample_interval=0.5,
        backoff=QUICK_BACKOFF,
    )
    return StationSimulator(config, ledger)
