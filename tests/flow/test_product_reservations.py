"""Reservations all the way: the partner's app, the product, a charger on its socket, and the bill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from simulators.emsp import Emsp
from simulators.emsp.commands import Command
from simulators.emsp.wire import moment
from simulators.habits import QUICK_BACKOFF
from simulators.ledger import Ledger
from simulators.station import StationConfig, StationSimulator
from tests.flow.product import VERSIONS, Json, Product, card, evse_copy, fault_free, product
from tests.harness.network import Network, password
from tests.harness.partners import register
from tests.harness.server import serving

QUICK = {"ocpp": {"call_timeout_seconds": 1.0}, "charging": {"reservation_grace_seconds": 1.0}}
TARIFF: Json = {
    "id": "DC-18",
    "currency": "INR",
    "basis": "gross",
    "taxes": [{"name": "CGST", "percent": "9"}, {"name": "SGST", "percent": "9"}],
    "elements": [
        {"components": [{"dimension": "energy", "price": "18.00"}]},
        {
            "components": [{"dimension": "time", "price": "6.00", "step_size": 600}],
            "restrictions": {"reservation": "reserved"},
        },
        {
            "components": [{"dimension": "flat", "price": "4.00"}],
            "restrictions": {"reservation": "expired"},
        },
    ],
}
"""Reserved time costs 6 an hour in steps of 10 minutes, not to come 4 more."""

both_versions = pytest.mark.parametrize("version", VERSIONS)


@asynccontextmanager
async def roaming(
    folder: Path, version: str, evses: int = 1, **more: Any
) -> AsyncIterator[tuple[Product, StationSimulator, Emsp]]:
    async with product(folder, evses=evses, more=QUICK, tariffs=[TARIFF]) as cpo:
        emsp = await cpo.partner()
        station = await cpo.station(version=version, evses=evses, **more)
        yield cpo, station, emsp


async def reserve(
    cpo: Product, emsp: Emsp, uid: str = "04A1B2C3", seconds: float = 600, **token: Any
) -> Command:
    return await emsp.reserve_now(
        "R-1",
        datetime.now(UTC) + timedelta(seconds=seconds),
        "SITE-0",
        token=emsp.tokens.add(uid, **token),
        evse_uid=cpo.uid(),
        authorization_reference="ref-7",
    )


async def held(cpo: Product, emsp: Emsp, station: StationSimulator, **more: Any) -> Json:
    """Reserve, and wait until charger and partner have it; returns the partner's session."""
    command = await reserve(cpo, emsp, **more)
    assert (command.answer, await command.result()) == ("ACCEPTED", "ACCEPTED")
    await station.until(lambda: len(station.reservations) == 1)
    await status_told(cpo, emsp, "RESERVED")
    return await session_as(emsp, "RESERVATION")


async def session_as(emsp: Emsp, *status: str) -> Json:
    """The partner's only session, once it has *status*."""

    def there() -> Json | None:
        return next((s for s in emsp.store.sessions.values() if s["status"] in status), None)

    found: Json = await emsp.wait_for(there)
    assert len(emsp.store.sessions) == 1
    return found


async def status_told(cpo: Product, emsp: Emsp, status: str) -> None:
    await emsp.wait_for(lambda: (evse_copy(emsp, cpo.uid()) or {}).get("status") == status)


async def reservation(cpo: Product, state: str) -> Json:
    """The only reservation, as the operator sees it, once it has *state*."""
    found = await cpo.until_told("/reservations", lambda rows: rows and rows[0]["state"] == state)
    assert len(found) == 1
    own: Json = found[0]
    return own


def reserved_for_ten_minutes(bill: Json) -> None:
    """1.00, the least; a minor unit more or less, since parts are cut from the rounded total."""
    part = bill["total_reservation_cost"]["incl_vat"]
    assert abs(part - Decimal(1)) <= Decimal("0.01"), part


@both_versions
async def test_an_app_reserves_starts_stops_and_pays_both(tmp_path: Path, version: str) -> None:
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        reserved = await held(cpo, emsp, station, uid="APP-1", type="APP_USER")
        [kept] = station.reservations.history
        assert len(kept.id_tag) == 16 and kept.id_tag != "APP-1"
        token = emsp.tokens.add("APP-1", type="APP_USER")
        command = await emsp.start_session("SITE-0", cpo.uid(), token=token)
        assert await command.result() == "ACCEPTED"
        begun = await station.session_started()
        assert (begun.id_tag, begun.reservation_id) == (kept.id_tag, kept.number)
        active = await session_as(emsp, "ACTIVE")
        assert active["id"] == reserved["id"]
        assert active["authorization_reference"] == command.reference
        assert (await reservation(cpo, "used"))["session"] == reserved["id"]
        station.outlets[1].meter.add(20)
        stopped = await emsp.stop_session(reserved["id"])
        assert await stopped.result() == "ACCEPTED"
        bill = await emsp.wait_for(lambda: emsp.cdr_of(reserved["id"]))
        reserved_for_ten_minutes(bill)
        assert moment(bill["start_date_time"]) <= moment(reserved["start_date_time"])
        assert bill["total_energy_cost"]["incl_vat"] > 0
        fault_free(emsp)


@both_versions
@pytest.mark.parametrize("names", [True, False])
async def test_a_card_that_reserved_is_let_charge_and_no_other(
    tmp_path: Path, version: str, names: bool
) -> None:
    async with roaming(tmp_path, version, names_reservation=names) as (cpo, station, emsp):
        reserved = await held(cpo, emsp, station, whitelist="NEVER")
        assert station.reservations.history[0].id_tag == "04A1B2C3"
        assert await station.start_local(id_tag=card()) is None  # reserved for somebody else
        begun = await station.start_local(id_tag="04A1B2C3")
        assert begun is not None
        assert (begun.reservation_id is not None) is names
        active = await session_as(emsp, "ACTIVE")
        assert active["id"] == reserved["id"]
        assert (active["auth_method"], active["authorization_reference"]) == ("COMMAND", "ref-7")
        assert not [each for each in emsp.arrivals if "authorize" in str(each.path)]
        station.outlets[1].meter.add(20)
        await station.stop_local()
        bill = await emsp.wait_for(lambda: emsp.cdr_of(reserved["id"]))
        reserved_for_ten_minutes(bill)
        assert len(emsp.store.cdrs) == 1
        fault_free(emsp)


@both_versions
async def test_nobody_comes(tmp_path: Path, version: str) -> None:
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        reserved = await held(cpo, emsp, station, seconds=3)
        await session_as(emsp, "COMPLETED")
        bill = await emsp.wait_for(lambda: emsp.cdr_of(reserved["id"]))
        assert bill["total_cost"]["incl_vat"] == Decimal("5.00")
        await reservation(cpo, "expired")
        await status_told(cpo, emsp, "AVAILABLE")
        fault_free(emsp)


@both_versions
async def test_a_partner_takes_it_back(tmp_path: Path, version: str) -> None:
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        await held(cpo, emsp, station)
        command = await emsp.cancel_reservation("R-1")
        assert (command.answer, await command.result()) == ("ACCEPTED", "ACCEPTED")
        await station.until(lambda: not len(station.reservations))
        await session_as(emsp, "COMPLETED")
        await status_told(cpo, emsp, "AVAILABLE")
        await emsp.wait_for(lambda: len(emsp.store.cdrs) == 1)
        fault_free(emsp)


@both_versions
async def test_an_operator_cancels_it_and_the_partner_hears(tmp_path: Path, version: str) -> None:
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        await held(cpo, emsp, station)
        own = await reservation(cpo, "held")
        told = await cpo.api.post(f"/reservations/{own['id']}/cancel")
        assert (told["outcome"], told["state"]) == ("accepted", "cancelled")
        [command] = emsp.commands.values()
        await emsp.wait_for(lambda: command.results == ["ACCEPTED", "CANCELED_RESERVATION"])
        await station.until(lambda: not len(station.reservations))
        await session_as(emsp, "COMPLETED")
        assert not emsp.store.cdrs
        fault_free(emsp)


@both_versions
async def test_a_charger_that_breaks_lets_it_go_and_the_partner_hears(
    tmp_path: Path, version: str
) -> None:
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        await held(cpo, emsp, station)
        station.fault()
        [command] = emsp.commands.values()
        await emsp.wait_for(lambda: command.results == ["ACCEPTED", "CANCELED_RESERVATION"])
        await reservation(cpo, "cancelled")
        await status_told(cpo, emsp, "OUTOFORDER")
        fault_free(emsp)


@both_versions
@pytest.mark.parametrize(
    ("how", "result"),
    [
        ("unsupporting", "NOT_SUPPORTED"),
        ("Occupied", "EVSE_OCCUPIED"),
        ("Faulted", "EVSE_INOPERATIVE"),
        ("Unavailable", "EVSE_INOPERATIVE"),
        ("Rejected", "REJECTED"),
    ],
)
async def test_a_charger_that_will_not_or_cannot(
    tmp_path: Path, version: str, how: str, result: str
) -> None:
    async with roaming(tmp_path, version, reserves=how != "unsupporting") as (cpo, station, emsp):
        if how != "unsupporting":
            station.answers["ReserveNow"] = how
        command = await reserve(cpo, emsp)
        assert (command.answer, await command.result()) == ("ACCEPTED", result)
        await reservation(cpo, "refused")
        assert not emsp.store.sessions
        assert (evse_copy(emsp, cpo.uid()) or {})["status"] == "AVAILABLE"


@both_versions
async def test_a_charger_that_never_answered_is_told_to_let_go(
    tmp_path: Path, version: str
) -> None:
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        station.tap.mute_on.add("ReserveNow")
        command = await reserve(cpo, emsp)
        assert await command.result() == "TIMEOUT"
        own = await reservation(cpo, "refused")
        asked = await station.received("CancelReservation")
        assert asked["reservationId"] == own["id"]
        await cpo.until_told(
            f"/reservations/{own['id']}", lambda told: not told["charger_may_still_hold_it"]
        )
        assert command.results == ["TIMEOUT"]
        assert not emsp.store.sessions


@both_versions
async def test_a_driver_who_came_while_the_charger_was_alone_has_used_it(
    tmp_path: Path, version: str
) -> None:
    async with roaming(tmp_path, version) as (cpo, station, emsp):
        reserved = await held(cpo, emsp, station, seconds=4, whitelist="NEVER")
        await station.go_offline()
        assert await station.start_local(id_tag="04A1B2C3") is not None
        own = await reservation(cpo, "held")
        until = datetime.fromisoformat(own["expires_at"]) + timedelta(seconds=3)
        await cpo.until(lambda: datetime.now(UTC) > until)  # its time is long over, and we waited
        await reservation(cpo, "held")
        station.go_online()
        active = await session_as(emsp, "ACTIVE")
        assert active["id"] == reserved["id"]
        await reservation(cpo, "used")
        station.outlets[1].meter.add(20)
        await station.stop_local()
        bill = await emsp.wait_for(lambda: emsp.cdr_of(reserved["id"]))
        reserved_for_ten_minutes(bill)
        fault_free(emsp)


async def test_our_own_driver_by_api_at_any_evse_of_a_charger(tmp_path: Path) -> None:
    async with roaming(tmp_path, "2.0.1", evses=2) as (cpo, station, _):
        charger = cpo.network.identity(0)
        body = {
            "token": card(),
            "expires_at": (datetime.now(UTC) + timedelta(minutes=5)).isoformat(),
        }
        refused, _ = await cpo.api.ask("POST", f"/chargers/{charger}/reserve", body)
        assert refused == 409  # it is not described as one that can
        placed = await cpo.api.post(f"/evses/{cpo.uid()}/reserve", body)
        assert (placed["outcome"], placed["state"], placed["evse"]) == ("accepted", "held", 1)
        assert placed["id_token"] == card()
        await station.until(lambda: station.reservations.get(placed["id"]) is not None)
        evse = (await cpo.charger())["evses"][0]
        assert (evse["status"], evse["reservation"]) == ("reserved", placed["id"])
        assert await station.start_local(id_tag=card()) is not None
        used = await reservation(cpo, "used")
        assert used["session"] == placed["session"]


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGKILL"])
async def test_what_is_held_survives_a_restart(tmp_path: Path, signal: str) -> None:
    network = Network(
        tmp_path, chargers=1, prefix="CS-", own_cards=False, capabilities=["RESERVABLE"]
    )
    async with serving(network) as server, Emsp(country_code="IN", party_id="EMP") as emsp:
        async with server.api() as api:
            await register(emsp, api)
        identity = network.identity(0)
        config = StationConfig(
            identity, network.ocpp_url, "1.6", password(identity), backoff=QUICK_BACKOFF,
            power_w=60_000, sample_interval=0.5,
        )  # fmt: skip
        async with StationSimulator(config, Ledger()) as station:
            await station.booted()
            await station.statuses_sent()
            command = await emsp.reserve_now(
                "R-1",
                datetime.now(UTC) + timedelta(minutes=5),
                "SITE-0",
                token=emsp.tokens.add("04A1B2C3"),
                evse_uid=f"{identity}-1",
            )
            assert await command.result() == "ACCEPTED"
            reserved = await session_as(emsp, "RESERVATION")
            await (server.terminate() if signal == "SIGTERM" else server.kill())
            await station.until(lambda: not station.online)
            await server.start()
            await station.until(lambda: station.online)
            assert await station.start_local(id_tag="04A1B2C3") is not None
            assert (await session_as(emsp, "ACTIVE"))["id"] == reserved["id"]
            station.outlets[1].meter.add(20)
            await station.stop_local()
            await emsp.wait_for(lambda: emsp.cdr_of(reserved["id"]))
            assert len(emsp.store.cdrs) == 1
        fault_free(emsp)
        assert server.unhandled() == []
