"""The car is plugged in, its charger begins a transaction without a token (OCPP 2.0.1, F01), and only
then the app's start comes: it says who pays for the transaction that runs already."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.emsp import Emsp
from simulators.emsp.commands import Command
from simulators.habits import QUICK_BACKOFF
from simulators.ledger import Ledger
from simulators.oracle import compare
from simulators.station import StationConfig, StationSimulator
from tests.flow.product import product
from tests.harness.network import Network, password
from tests.harness.partners import register
from tests.harness.server import serving


@pytest.mark.parametrize("tells_token", [True, False], ids=["token and number", "number only"])
@pytest.mark.parametrize("restart", [False, True], ids=["no restart", "killed in between"])
async def test_an_app_start_pays_for_what_plugging_in_began(
    tmp_path: Path, tells_token: bool, restart: bool
) -> None:
    network = Network(tmp_path, chargers=1, prefix="CS-", own_cards=False)
    ledger = Ledger()
    identity = network.identity(0)
    uid = f"{identity}-1"
    config = StationConfig(
        identity,
        network.ocpp_url,
        "2.0.1",
        password(identity),
        power_w=60_000,
        sample_interval=0.4,
        backoff=QUICK_BACKOFF,
        tells_token=tells_token,
    )
    async with (
        serving(network) as server,
        Emsp(country_code="IN", party_id="EMP") as emsp,
        Emsp(country_code="IN", party_id="OTH") as other,
    ):
        async with server.api() as api:
            await register(emsp, api)
            await register(other, api)
        async with StationSimulator(config, ledger) as station:
            await station.booted()
            station.outlets[1].waits_for_driver = True
            begun = station.begin_by_plug()
            await station.drained()

            command = await emsp.start_session(
                "SITE-0",
                uid,
                token=emsp.tokens.add("APP1", type="APP_USER"),
                authorization_reference="ref-1",
            )
            assert (command.answer, await command.result()) == ("ACCEPTED", "ACCEPTED")
            if restart:
                await server.kill()
                await station.until(lambda: not station.online)
                await server.start()
                await station.until(lambda: station.online)
            assert (await competing(other, uid)).answer == "REJECTED"  # promised
            assert emsp.session("ref-1") is None
            station.outlets[1].waits_for_driver = False
            station.note()
            session = await emsp.wait_for(lambda: emsp.session("ref-1"))
            assert (await competing(other, uid)).answer == "REJECTED"  # taken

            assert session["auth_method"] == "COMMAND"
            assert session["cdr_token"]["uid"] == "APP1"
            await emsp.wait_for(lambda: emsp.session("ref-1")["kwh"] > 0)
            stop = await emsp.stop_session(session["id"])
            assert (stop.answer, await stop.result()) == ("ACCEPTED", "ACCEPTED")
            await station.session_finished()
            bill = await emsp.wait_for(lambda: emsp.cdr_of(session["id"]), 30)
            assert [each.txn for each in station.transactions] == [begun.txn]
            assert len(station.received_so_far("RequestStartTransaction")) == 1
            ours = await server.ledger()
        assert bill["auth_method"] == "COMMAND"
        assert bill["authorization_reference"] == "ref-1"
        assert bill["cdr_token"]["uid"] == "APP1"
        verdict = compare(list(ledger.entries), emsp.ledger.lines, ours)
        assert not verdict.mismatches, [str(each) for each in verdict.mismatches]
        assert len(emsp.store.cdrs) == 1 and not other.store.cdrs and not other.store.sessions
        assert not emsp.complaints and not emsp.cost_differences and not other.complaints
        assert server.unhandled() == []


async def competing(other: Emsp, uid: str) -> Command:
    return await other.start_session("SITE-0", uid, token=other.tokens.add("APP2", type="APP_USER"))


async def test_nobody_may_start_where_somebody_charges(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        emsp, other = await cpo.partner(), await cpo.partner("OTH")
        station = await cpo.station(version="2.0.1")
        station.begin_by_plug()
        await station.drained()
        token = emsp.tokens.add("APP1", type="APP_USER")
        start = await emsp.start_session("SITE-0", cpo.uid(), token=token)
        assert (start.answer, await start.result()) == ("ACCEPTED", "ACCEPTED")
        await emsp.wait_for(lambda: emsp.store.sessions)
        assert (await competing(other, cpo.uid())).answer == "REJECTED"
