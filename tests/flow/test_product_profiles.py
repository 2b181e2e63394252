"""Charging profiles over real sockets: a partner and an operator limit a car that really slows down."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from simulators.emsp.partner import Emsp
from simulators.station import StationSimulator
from tests.flow.product import CAPABILITIES, VERSIONS, Product, fault_free, product

ABLE = [*CAPABILITIES, "CHARGING_PROFILE_CAPABLE"]
SETS, CLEARS = "SetChargingProfile", "ClearChargingProfile"


def watts(limit: float, **more: Any) -> dict[str, Any]:
    periods = [{"start_period": 0, "limit": limit}]
    return {"charging_rate_unit": "W", "charging_profile_period": periods, **more}


def world_of(tmp_path: Path) -> AbstractAsyncContextManager[Product]:
    return product(tmp_path, capabilities=ABLE)


async def charging(world: Product, version: str) -> tuple[Emsp, StationSimulator, str]:
    """A partner's driver charges at 60 kW."""
    emsp = await world.partner()
    station = await world.station(version=version, power_w=60_000)
    started = await emsp.start_session("SITE-0", world.uid(), token=emsp.tokens.add("CARD1"))
    assert await started.result() == "ACCEPTED"
    await station.session_started()
    session = await world.session()
    await world.until(lambda: world.evse().session)
    return emsp, station, session["id"]


def power(station: StationSimulator) -> int:
    return station.outlets[1].meter.power_w


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_partner_slows_its_driver_s_car_and_lets_it_go_again(
    tmp_path: Path, version: str
) -> None:
    async with world_of(tmp_path) as world:
        emsp, station, session = await charging(world, version)
        asked = await emsp.profiles.set(session, watts(7400.5))
        assert await asked.result() == {"result": "ACCEPTED"}
        await station.until(lambda: power(station) == 7400)
        told = await (await emsp.profiles.ask(session, 900)).result()
        [period] = told["profile"]["charging_profile"]["charging_profile_period"]
        assert period == {"start_period": 0, "limit": 7400.5}
        asked = await emsp.profiles.clear(session)
        assert await asked.result() == {"result": "ACCEPTED"}
        await station.until(lambda: power(station) == 60_000)
        assert not station.smart.profiles
        fault_free(emsp)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_profile_in_amperes_that_ends_lets_the_car_take_all_again(
    tmp_path: Path, version: str
) -> None:
    async with world_of(tmp_path) as world:
        emsp, station, session = await charging(world, version)
        profile = {
            "charging_rate_unit": "A",
            "duration": 86_400,
            "charging_profile_period": [{"start_period": 0, "limit": 10}],
        }
        assert await (await emsp.profiles.set(session, profile)).result() == {"result": "ACCEPTED"}
        await station.until(lambda: power(station) == 6900)
        [held] = station.smart.profiles.values()
        assert (held.start, held.duration) == (None, 86_400)
        brief = {**watts(5000), "duration": 1}  # over by now: relative to the start of charging
        await (await emsp.profiles.set(session, brief)).result()
        await station.until(lambda: power(station) == 60_000)
        told = await emsp.wait_for(lambda: emsp.profiles.active.get(session))
        assert told[-1]["charging_profile"]["charging_profile_period"][0]["limit"] == 60_000
        fault_free(emsp)


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_operator_s_limit_holds_beside_the_partner_s_and_the_partner_hears_of_it(
    tmp_path: Path, version: str
) -> None:
    async with world_of(tmp_path) as world:
        emsp, station, session = await charging(world, version)
        await (await emsp.profiles.set(session, watts(11_000))).result()
        told = await world.api.put(f"/sessions/{session}/profile", {"limit": 5000})
        assert told["outcome"] == "accepted"
        await station.until(lambda: power(station) == 5000)
        active = await emsp.wait_for(lambda: emsp.profiles.active.get(session))
        assert active[-1]["charging_profile"]["charging_profile_period"][0]["limit"] == 5000
        shown = await world.api.get(f"/sessions/{session}/profile")
        assert [each["who"].split(":")[0] for each in shown["settings"]] == ["partner", "key"]
        assert shown["owner_is_told"]
        await world.api.delete(f"/sessions/{session}/profile")
        await station.until(lambda: power(station) == 11_000)
        await emsp.wait_for(lambda: len(emsp.profiles.active[session]) == 2)
        fault_free(emsp)


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_evse_s_limit_holds_for_the_running_session_and_for_the_next(
    tmp_path: Path, version: str
) -> None:
    async with world_of(tmp_path) as world:
        _emsp, station, session = await charging(world, version)
        path = f"/evses/{world.uid()}/profile"
        told = await world.api.put(path, {"unit": "A", "limit": "8"})
        assert told["outcome"] == "accepted"
        await station.until(lambda: power(station) == 5520)
        plan = await world.api.post(f"/sessions/{session}/plan", {"seconds": 600})
        assert plan["plan"]["periods"] == [{"limit": "8", "offset": 0}]
        await world.api.post(f"/sessions/{session}/stop", {})
        await station.session_finished()
        await station.start_local()
        await station.until(lambda: power(station) == 5520)
        assert (await world.api.get(path))["setting"]["profile"]["unit"] == "A"
        assert (await world.api.delete(path))["outcome"] == "accepted"
        await station.until(lambda: power(station) == 60_000)


async def test_a_limit_on_the_spot_that_a_charger_tells_of_reaches_the_partner(
    tmp_path: Path,
) -> None:
    async with world_of(tmp_path) as world:
        emsp, station, session = await charging(world, "2.0.1")
        await (await emsp.profiles.set(session, watts(11_000))).result()
        station.grid_limit(3700)
        active = await emsp.wait_for(lambda: emsp.profiles.active.get(session))
        assert active[-1]["charging_profile"]["charging_profile_period"][0]["limit"] == 3700
        station.grid_limit(None)
        await emsp.wait_for(lambda: len(emsp.profiles.active[session]) == 2)
        last = emsp.profiles.active[session][-1]["charging_profile"]
        assert last["charging_profile_period"][0]["limit"] == 11_000
        fault_free(emsp)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_charger_that_refuses_is_told_as_it_is_and_nothing_is_kept(
    tmp_path: Path, version: str
) -> None:
    async with world_of(tmp_path) as world:
        emsp, station, session = await charging(world, version)
        station.answers[SETS] = "Rejected"
        asked = await emsp.profiles.set(session, watts(7000))
        assert await asked.result() == {"result": "REJECTED"}
        assert (await world.api.get(f"/sessions/{session}/profile"))["settings"] == []
        assert power(station) == 60_000
        told = await world.api.put(f"/evses/{world.uid()}/profile", {"limit": 5000})
        assert told["outcome"] == "rejected"
        assert (await world.api.get(f"/evses/{world.uid()}/profile"))["setting"] is None
        fault_free(emsp)


async def test_a_charger_that_started_anew_is_given_its_evse_s_limit_again(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        station = await world.station()
        await world.api.put(f"/evses/{world.uid()}/profile", {"limit": 5000})
        await station.received(SETS)
        station.smart.profiles.clear()
        station.reset("HardReset")
        await station.received(SETS, 2)
        await station.until(lambda: bool(station.smart.profiles))


async def test_an_evse_that_takes_no_profiles_is_a_conflict_and_a_wrong_body_names_its_field(
    tmp_path: Path,
) -> None:
    async with product(tmp_path) as world:
        await world.station()
        status, told = await world.api.ask("PUT", f"/evses/{world.uid()}/profile", {"limit": 1})
        assert (status, told["detail"]) == (409, "this EVSE cannot do that")
        body = {"limit": 1, "duration": 0}
        status, told = await world.api.ask("PUT", f"/evses/{world.uid()}/profile", body)
        assert (status, told["field"]) == (400, "duration")
        status, told = await world.api.ask("PUT", f"/evses/{world.uid()}/profile", {})
        assert status == 400 and "limit or periods" in told["detail"]
