"""What an operator asks of a charger over the API: reset, trigger, availability, start, stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from cms.domain.ids import StationId, TransactionId
from tests.flow.product import STOPS, VERSIONS, Product, card, product

ID = "CS-00000"

both_versions = pytest.mark.parametrize("version", VERSIONS)


async def ask(cpo: Product, what: str, **body: object) -> str:
    outcome: str = (await cpo.api.post(f"/chargers/{ID}/{what}", body))["outcome"]
    return outcome


@both_versions
async def test_a_reset_boots_the_charger_again(tmp_path: Path, version: str) -> None:
    async with product(tmp_path) as cpo:
        station = await cpo.station(version=version)
        assert await ask(cpo, "reset", kind="hard") == "accepted"
        await station.booted(2)
        (told,) = station.received_so_far("Reset")
        assert told == {"type": "Hard" if version == "1.6" else "Immediate"}
        (row,) = [
            each for each in await cpo.api.get("/audit") if each["what"] == "command.reset_hard"
        ]
        assert row["who"] == "key:operator"


@both_versions
async def test_a_soft_reset_lets_a_running_session_end(tmp_path: Path, version: str) -> None:
    async with product(tmp_path) as cpo:
        station = await cpo.station(version=version)
        await station.start_local(id_tag=card())
        await station.session_started()
        outcome = await ask(cpo, "reset", kind="soft")
        assert outcome == ("accepted" if version == "1.6" else "scheduled")
        if version == "2.0.1":
            assert station.transactions[0].running
            await station.stop_local()
        await station.booted(2)
        bill = await cpo.bill()
        assert bill["energy_wh"] == station.transactions[0].energy_wh


@both_versions
@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("status", "StatusNotification"),
        ("heartbeat", "Heartbeat"),
        ("boot", "BootNotification"),
        ("meter_values", "MeterValues"),
    ],
)
async def test_a_trigger_brings_the_message_that_it_names(
    tmp_path: Path, version: str, wanted: str, message: str
) -> None:
    async with product(tmp_path) as cpo:
        station = await cpo.station(version=version)
        station.tap.frames.clear()
        assert await ask(cpo, "trigger", wanted=wanted, evse=1) == "accepted"
        await station.until(
            lambda: any(way == ">" and f'"{message}"' in text for way, text in station.tap.frames)
        )


@both_versions
async def test_an_evse_is_taken_out_of_service_and_back(tmp_path: Path, version: str) -> None:
    async with product(tmp_path, evses=2) as cpo:
        station = await cpo.station(version=version, evses=2)
        assert await ask(cpo, "availability", operative=False, evse=2) == "accepted"
        await cpo.until(lambda: cpo.evse(0, 2).status.value == "inoperative")
        assert cpo.evse(0, 1).status.value == "available"
        assert await ask(cpo, "availability", operative=True, evse=2) == "accepted"
        await cpo.until(lambda: cpo.evse(0, 2).status.value == "available")
        assert len(station.received_so_far("ChangeAvailability")) == 2


@both_versions
async def test_a_busy_charger_goes_out_of_service_when_its_session_ends(
    tmp_path: Path, version: str
) -> None:
    async with product(tmp_path) as cpo:
        station = await cpo.station(version=version)
        await station.start_local(id_tag=card())
        await station.session_started()
        assert await ask(cpo, "availability", operative=False) == "scheduled"
        assert cpo.evse().status.value == "charging"
        await station.stop_local()
        await cpo.until(lambda: cpo.evse().status.value == "inoperative")


@both_versions
async def test_an_operator_starts_and_stops_a_session(tmp_path: Path, version: str) -> None:
    async with product(tmp_path) as cpo:
        station = await cpo.station(version=version)
        told = await cpo.api.post(f"/evses/{cpo.uid()}/start", {"token": card()})
        assert told["outcome"] == "accepted"
        await station.session_started()
        session = await cpo.session()
        await cpo.until_told(f"/sessions/{session['id']}", lambda told: told["energy_wh"] > 0)
        stop = await cpo.api.post(f"/sessions/{session['id']}/stop")
        assert stop["outcome"] == "accepted"
        await station.session_finished()
        assert len(station.received_so_far(STOPS[version])) == 1
        assert (await cpo.bill())["energy_wh"] == station.transactions[0].energy_wh


@both_versions
async def test_an_operator_unlocks_a_connector(tmp_path: Path, version: str) -> None:
    async with product(tmp_path) as cpo:
        station = await cpo.station(version=version)
        told = await cpo.api.post(f"/evses/{cpo.uid()}/unlock", {})
        assert told["outcome"] == "accepted"
        assert len(station.received_so_far("UnlockConnector")) == 1


@both_versions
async def test_a_wish_to_a_charger_that_is_gone_is_refused_in_words(
    tmp_path: Path, version: str
) -> None:
    async with product(tmp_path) as cpo:
        station = await cpo.station(version=version)
        await station.go_offline()
        await cpo.until(lambda: not cpo.evse().online)
        path = f"/api/v1/chargers/{ID}/reset"
        async with cpo.api.http.post(cpo.url(path), json={}) as answer:
            assert answer.status == 409
            assert "no connection" in await answer.text()


async def test_the_backend_asks_a_2_x_charger_about_its_transaction(tmp_path: Path) -> None:
    """1.6 has no such call, and is not asked."""
    async with product(tmp_path, chargers=2) as cpo:
        newer, older = await cpo.station(0, "2.0.1"), await cpo.station(1, "1.6")
        transaction = await newer.start_local(id_tag=card())
        await newer.session_started()
        assert transaction is not None
        remote = cpo.server.parts.remote
        name = TransactionId(transaction.txn)
        told = await remote.ask_transaction(StationId(cpo.network.identity(0)), name)
        assert told.detail["ongoing"] == "true"
        no = await remote.ask_transaction(StationId(cpo.network.identity(1)), name)
        assert no.outcome.value == "not_supported"
        assert older.received_so_far("GetTransactionStatus") == []
