"""A site without power, and a charger with a bad link: two different things."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from simulators.emsp import Emsp
from simulators.station import StationSimulator
from tests.flow.product import VERSIONS, Json, Product, evse_copy, fault_free, product

TIMED = {
    "id": "DC-18",
    "currency": "INR",
    "basis": "net",
    "elements": [
        {
            "components": [
                {"dimension": "energy", "price": "18.00"},
                {"dimension": "time", "price": "3600.00"},  # one rupee a second
            ]
        }
    ],
}

both_versions = pytest.mark.parametrize("version", VERSIONS)


def status(emsp: Emsp, cpo: Product, number: int) -> str | None:
    return (evse_copy(emsp, cpo.uid(number)) or {}).get("status")


async def begin(cpo: Product, emsp: Emsp, number: int) -> Json:
    token = emsp.tokens.add(f"APP{number}", type="APP_USER")
    command = await emsp.start_session(
        "SITE-0", cpo.uid(number), token=token, authorization_reference=f"ref-{number}"
    )
    assert await command.result() == "ACCEPTED"
    session: Json = await emsp.wait_for(
        lambda: (
            (emsp.session(f"ref-{number}") or {"kwh": 0})["kwh"] and emsp.session(f"ref-{number}")
        )
    )
    return session


async def all_available(cpo: Product, emsp: Emsp) -> None:
    for number in range(cpo.network.chargers):
        await emsp.wait_for(lambda: status(emsp, cpo, number) == "AVAILABLE")  # noqa: B023


def told_of(emsp: Emsp, cpo: Product, number: int, since: int) -> list[Json | None]:
    """What the partner was told of one charger after so many requests."""
    end = f"/{cpo.uid(number)}"
    return [each.body for each in emsp.arrivals[since:] if each.path.endswith(end)]


async def lose_power(*stations: StationSimulator) -> None:
    await asyncio.gather(*(each.go_offline() for each in stations))


@both_versions
async def test_chargers_that_vanish_together_are_dark_and_the_dark_is_not_billed(
    tmp_path: Path, version: str
) -> None:
    async with product(tmp_path, chargers=2, tariffs=[TIMED]) as cpo:
        emsp = await cpo.partner()
        stations = [await cpo.station(number, version) for number in range(2)]
        session = await begin(cpo, emsp, 0)
        await lose_power(*stations)
        for number in range(2):
            await emsp.wait_for(lambda: status(emsp, cpo, number) == "UNKNOWN")  # noqa: B023
        for station in stations:
            station.go_online()
            await station.booted(2)
        await cpo.until_told(f"/sessions/{session['id']}", lambda told: "stitched" in told["flags"])
        (dark,) = [s for s in await steps(cpo, session["id"]) if "dark" in s]
        assert dark
        await stations[0].stop_local()
        await stations[0].session_finished()
        bill = await emsp.wait_for(lambda: emsp.cdr_of(session["id"]))
        (transaction,) = stations[0].transactions
        assert int(bill["total_energy"] * 1000) == transaction.energy_wh
        billed_s = bill["total_time_cost"]["excl_vat"]
        whole_s = bill["total_time"] * 3600
        assert billed_s <= whole_s - Decimal("1.5"), "the chargers were gone for two seconds"
        await emsp.wait_for(lambda: status(emsp, cpo, 0) == "AVAILABLE")
        fault_free(emsp)


async def steps(cpo: Product, session: str) -> list[str]:
    story = await cpo.api.get(f"/sessions/{session}/timeline")
    return [f"{each['kind']} {each['title']} {each['detail']}".lower() for each in story["steps"]]


@both_versions
async def test_by_the_other_policy_sessions_end_where_the_light_went_out(
    tmp_path: Path, version: str
) -> None:
    more = {"charging": {"power_cut_policy": "end"}}
    async with product(tmp_path, chargers=2, more=more) as cpo:
        emsp = await cpo.partner()
        stations = [await cpo.station(number, version) for number in range(2)]
        session = await begin(cpo, emsp, 0)
        await lose_power(*stations)
        told = await cpo.until_told(
            f"/sessions/{session['id']}", lambda told: told["ended_at"] is not None
        )
        assert told["stop_reason"] == "power_lost" and "dark" in told["flags"]


@both_versions
async def test_one_charger_that_drops_keeps_its_last_status_for_the_grace(
    tmp_path: Path, version: str
) -> None:
    more = {"charging": {"offline_grace_seconds": 2}}
    async with product(tmp_path, chargers=3, more=more) as cpo:
        emsp = await cpo.partner()
        stations = [await cpo.station(number, version) for number in range(3)]
        await all_available(cpo, emsp)
        seen = len(emsp.arrivals)
        await stations[0].go_offline()
        await cpo.until(lambda: not cpo.evse(0).online)
        assert cpo.evse(0).status.value == "available", "the grace has begun"
        assert told_of(emsp, cpo, 0, seen) == [], "partners are not told of a blink"
        await emsp.wait_for(lambda: status(emsp, cpo, 0) == "UNKNOWN")
        assert status(emsp, cpo, 1) == status(emsp, cpo, 2) == "AVAILABLE"
        stations[0].go_online()
        await emsp.wait_for(lambda: status(emsp, cpo, 0) == "AVAILABLE")
        fault_free(emsp)


@both_versions
async def test_one_charger_that_blinks_within_the_grace_is_no_news_to_partners(
    tmp_path: Path, version: str
) -> None:
    async with product(tmp_path, chargers=3) as cpo:
        emsp = await cpo.partner()
        stations = [await cpo.station(number, version) for number in range(3)]
        await all_available(cpo, emsp)
        seen = len(emsp.arrivals)
        await stations[0].go_offline()
        await cpo.until(lambda: not cpo.evse(0).online)
        stations[0].go_online()
        await stations[0].booted(2)
        await stations[0].statuses_sent()
        stations[1].fault()
        await emsp.wait_for(lambda: status(emsp, cpo, 1) not in ("AVAILABLE", None))
        assert told_of(emsp, cpo, 0, seen) == [], "only of the fault of the other one"
        fault_free(emsp)
