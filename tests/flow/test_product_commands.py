"""A partner's START_SESSION, STOP_SESSION and UNLOCK_CONNECTOR, all the way to the charger and back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from simulators.emsp import Emsp
from simulators.emsp.commands import Command
from simulators.station import StationSimulator
from tests.flow.product import STARTS, STOPS, VERSIONS, Json, Product, fault_free, product

QUICK = {"ocpp": {"call_timeout_seconds": 1.0}}
REFERENCE = "ref-7"

both_versions = pytest.mark.parametrize("version", VERSIONS)


@asynccontextmanager
async def roaming(
    folder: Path, version: str, database: str | None = None
) -> AsyncIterator[tuple[Product, StationSimulator, Emsp]]:
    async with product(folder, more=QUICK, database=database) as cpo:
        emsp = await cpo.partner()
        station = await cpo.station(version=version)
        yield cpo, station, emsp


async def start(cpo: Product, emsp: Emsp, reference: str = REFERENCE) -> Command:
    token = emsp.tokens.add("APP1", type="APP_USER")
    return await emsp.start_session(
        "SITE-0", cpo.uid(), token=token, authorization_reference=reference
    )


async def charging(cpo: Product, emsp: Emsp, station: StationSimulator) -> Json:
    """Start by the app and wait until the partner sees the session run."""
    command = await start(cpo, emsp)
    assert (command.answer, await command.result()) == ("ACCEPTED", "ACCEPTED")
    await station.session_started()
    return await emsp.wait_for(lambda: emsp.session(REFERENCE))


def late_start(station: StationSimulator, version: str) -> None:
    """Let a charger that did not answer a remote start carry it out all the same."""
    (asked,) = station.received_so_far(STARTS[version])
    tag = asked["idTag"] if version == "1.6" else asked["idToken"]["idToken"]
    station.plug()
    station.begin(
        station.outlets[1],
        tag,
        "Central",
        "RemoteStart",
        remote_start_id=asked.get("remoteStartId"),
    )


async def whole_session(cpo: Product, emsp: Emsp, station: StationSimulator) -> Json:
    """Start, charge for a moment, stop; returns the partner's copy of the bill."""
    session = await charging(cpo, emsp, station)
    await emsp.wait_for(lambda: emsp.session(REFERENCE)["kwh"] > 0)
    stop = await emsp.stop_session(session["id"])
    assert (stop.answer, await stop.result()) == ("ACCEPTED", "ACCEPTED")
    assert stop.results == ["ACCEPTED"]
    await station.session_finished()
    return await emsp.wait_for(lambda: emsp.cdr_of(session["id"]))


async def let_the_window_close(cpo: Product) -> None:
    """Put the end of every remote start's window into the past; nobody waits three minutes."""
    remote = cpo.server.parts.remote
    for tag, record in list(remote._starts.items()):
        remote._starts[tag] = replace(record, expires_at=record.created_at)
    await remote.expire()


@both_versions
async def test_a_partner_starts_and_stops_a_session_and_gets_one_bill(
    tmp_path: Path, version: str
) -> None:
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        bill = await whole_session(cpo, emsp, station)
        assert len(station.received_so_far(STARTS[version])) == 1
        assert len(station.received_so_far(STOPS[version])) == 1
        delivered = station.transactions[0].energy_wh
        assert delivered and Decimal(bill["total_energy"]) * 1000 == delivered
        assert bill["authorization_reference"] == REFERENCE
        assert bill["auth_method"] == "COMMAND"
        assert bill["cdr_token"]["uid"] == "APP1"
        await emsp.wait_for(lambda: emsp.session(REFERENCE)["status"] == "COMPLETED")
        assert all(len(each.results) == 1 for each in emsp.commands.values())
        fault_free(emsp)


@both_versions
async def test_the_same_on_postgresql(tmp_path: Path, version: str, postgres_url: str) -> None:
    async with roaming(tmp_path, version, postgres_url) as (cpo, station, emsp):
        bill = await whole_session(cpo, emsp, station)
        delivered = station.transactions[0].energy_wh
        assert delivered and Decimal(bill["total_energy"]) * 1000 == delivered
        fault_free(emsp)


@both_versions
async def test_a_charger_that_rejects_a_start_is_told_so_once(tmp_path: Path, version: str) -> None:
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        station.answers[STARTS[version]] = "Rejected"
        command = await start(cpo, emsp)
        assert (command.answer, await command.result()) == ("ACCEPTED", "REJECTED")
        station.answers.clear()
        again = await start(cpo, emsp, "ref-8")
        assert (again.answer, await again.result()) == ("ACCEPTED", "ACCEPTED"), "the EVSE is free"
        assert command.results == ["REJECTED"]
        fault_free(emsp)


@both_versions
async def test_a_charger_that_does_not_answer_is_a_timeout(tmp_path: Path, version: str) -> None:
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        station.tap.mute_on.add(STARTS[version])
        command = await start(cpo, emsp)
        assert (command.answer, await command.result()) == ("ACCEPTED", "TIMEOUT")
        assert command.results == ["TIMEOUT"]
        fault_free(emsp)


@both_versions
async def test_a_session_that_begins_after_the_timeout_still_finds_its_owner(
    tmp_path: Path, version: str
) -> None:
    """Silence is not a no: the car may charge all the same, and then it is billed."""
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        station.tap.mute_on.add(STARTS[version])
        command = await start(cpo, emsp)
        assert await command.result() == "TIMEOUT"
        late_start(station, version)
        session = await emsp.wait_for(lambda: emsp.session(REFERENCE))
        assert session["cdr_token"]["uid"] == "APP1"
        fault_free(emsp)


@both_versions
async def test_a_link_that_dies_under_a_start_is_told_at_once(tmp_path: Path, version: str) -> None:
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        station.tap.mute_on.add(STARTS[version])
        command = await start(cpo, emsp)
        await station.received(STARTS[version])
        await station.go_offline()
        result = await command.result(timeout=5)
        assert result in ("EVSE_INOPERATIVE", "TIMEOUT")
        assert len(command.results) == 1
        fault_free(emsp)


@both_versions
async def test_nothing_is_promised_for_a_charger_that_is_gone(tmp_path: Path, version: str) -> None:
    """Within the grace partners still see the last status; a command looks at the connection."""
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        await station.go_offline()
        await cpo.until(lambda: not cpo.evse().online)
        command = await start(cpo, emsp)
        assert command.answer == "REJECTED"
        assert command.results == []
        fault_free(emsp)


@both_versions
async def test_a_repeated_request_starts_once(tmp_path: Path, version: str) -> None:
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        command = await start(cpo, emsp)
        assert await command.result() == "ACCEPTED"
        await station.session_started()
        endpoint = emsp.connection.endpoints["commands", "RECEIVER"] + "/START_SESSION"
        for _ in range(3):
            answer = await emsp.client.request("POST", endpoint, command.body)
            assert answer.data["result"] == "ACCEPTED"
        await station.data_transfer("nobody")  # whatever would follow has been sent before this
        assert len(station.received_so_far(STARTS[version])) == 1
        assert command.results == ["ACCEPTED"]
        fault_free(emsp)


async def test_two_wishes_for_one_evse_at_one_moment_start_one_session(tmp_path: Path) -> None:
    async with roaming(tmp_path, "1.6") as (cpo, station, emsp):
        both = await asyncio.gather(start(cpo, emsp, "ref-a"), start(cpo, emsp, "ref-b"))
        assert sorted(str(each.answer) for each in both) == ["ACCEPTED", "REJECTED"]
        await station.session_started()
        assert len(station.received_so_far(STARTS["1.6"])) == 1
        fault_free(emsp)


@both_versions
async def test_a_session_of_another_partner_cannot_be_stopped(tmp_path: Path, version: str) -> None:
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        session = await charging(cpo, emsp, station)
        other = await cpo.partner("OTH")
        refused = await other.stop_session(session["id"])
        unknown = await other.stop_session("no-such-session")
        assert refused.answer in ("REJECTED", "UNKNOWN_SESSION")
        assert unknown.answer == "UNKNOWN_SESSION"
        assert station.received_so_far(STOPS[version]) == []
        assert station.transactions[0].running
        assert other.store.sessions == {}


@both_versions
async def test_a_stop_that_the_charger_rejects_leaves_the_session_running(
    tmp_path: Path, version: str
) -> None:
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        session = await charging(cpo, emsp, station)
        station.answers[STOPS[version]] = "Rejected"
        stop = await emsp.stop_session(session["id"])
        assert (stop.answer, await stop.result()) == ("ACCEPTED", "REJECTED")
        assert station.transactions[0].running
        assert emsp.session(REFERENCE)["status"] == "ACTIVE"
        fault_free(emsp)


@both_versions
@pytest.mark.parametrize(
    ("status", "result"), [("Unlocked", "ACCEPTED"), ("UnlockFailed", "FAILED")]
)
async def test_an_unlock_ends_as_the_charger_says(
    tmp_path: Path, version: str, status: str, result: str
) -> None:
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        station.answers["UnlockConnector"] = status
        command = await emsp.unlock_connector("SITE-0", cpo.uid(), "1")
        assert (command.answer, await command.result()) == ("ACCEPTED", result)
        assert command.results == [result]
        assert len(station.received_so_far("UnlockConnector")) == 1
        fault_free(emsp)


@both_versions
async def test_a_start_that_comes_to_nothing_becomes_a_work_item(
    tmp_path: Path, version: str
) -> None:
    """Accepted is not done: no session comes of it, and an operator must see that."""
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        station.answers[STARTS[version]] = "Accepted"
        station.outlets[1].faulted = True  # it says yes and cannot
        command = await start(cpo, emsp)
        assert await command.result() == "ACCEPTED"
        await let_the_window_close(cpo)
        item = await cpo.work("start_without_effect")
        assert item["charger"] == cpo.network.identity(0)
