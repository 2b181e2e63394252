"""Whole charges as their chargers report them, and what the partner sees of them over HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from cms.domain.commands import Answer, Outcome, RemoteStart
from cms.domain.meter import Quantity, Sample
from cms.domain.tariff import Dimension, Element, PriceComponent, Restrictions
from cms.domain.token import Whitelist
from cms.domain.transaction import ChargingState, EventKind
from simulators.emsp.partner import Emsp
from simulators.emsp.wire import moment
from tests.conformance.ocpi.test_commands import until_over
from tests.conformance.ocpi.test_reservations import Car
from tests.conformance.ocpi.test_tokens_authorize import wire
from tests.conformance.ocpi.world import (
    OPERATOR,
    SITE,
    Asker,
    World,
    now,
    running,
    shelf,
)
from tests.conformance.statements import reading

MINUTE = timedelta(minutes=1)
STEPPED = (
    Element(
        (PriceComponent(Dimension.ENERGY, Decimal(10)), PriceComponent(Dimension.TIME, Decimal(6))),
        Restrictions(max_duration=1800),
    ),
    Element(
        (
            PriceComponent(Dimension.ENERGY, Decimal(20)),
            PriceComponent(Dimension.TIME, Decimal(12)),
            PriceComponent(Dimension.PARKING_TIME, Decimal(60)),
        )
    ),
)
"""Dearer after half an hour; parking costs."""


def register(at: datetime, wh: int) -> Sample:
    return Sample(at, Quantity.ENERGY_REGISTER, wh)


async def card(cpo: World, emsp: Emsp, whitelist: str = "ALWAYS") -> None:
    await emsp.push_token(emsp.tokens.add("CARD1", whitelist=whitelist))


def owned(emsp: Emsp) -> dict[str, Any] | None:
    return next(iter(emsp.store.sessions.values()), None)


async def charge(
    cpo: World, emsp: Emsp, waits: ChargingState
) -> tuple[dict[str, Any], dict[str, Any]]:
    """An hour of 6 kWh with one reading at its end, then 20 minutes in state *waits*."""
    await cpo.administration.put_tariff(replace(shelf(), elements=STEPPED), OPERATOR)
    await card(cpo, emsp)
    car, began = Car(cpo), now().replace(microsecond=0) - 80 * MINUTE
    ends, leaves = began + 60 * MINUTE, began + 80 * MINUTE
    states = ChargingState
    ack = await car.says(
        EventKind.STARTED,
        at=began,
        evse=1,
        id_token="CARD1",
        register_wh=1000,
        charging=states.CHARGING,
    )
    await car.says(
        EventKind.UPDATED,
        ack.transaction,
        at=ends,
        samples=(register(ends, 7000),),
        charging=waits,
    )
    await emsp.wait_for(lambda: (found := owned(emsp)) and found["kwh"] == 6)
    shown = dict(owned(emsp) or {})
    await car.says(EventKind.ENDED, ack.transaction, at=leaves, register_wh=7000)
    await cpo.settling.settle_due()
    bill = await emsp.wait_for(lambda: emsp.cdr_of(shown["id"]))
    return shown, bill


def volumes(bill: dict[str, Any]) -> list[dict[str, Any]]:
    return [{d["type"]: d["volume"] for d in p["dimensions"]} for p in bill["charging_periods"]]


async def test_cd_18_and_se_14_a_reported_charge_changes_period_where_its_price_does(
    cpo: World, emsp: Emsp
) -> None:
    """The one reading comes half an hour after the border: the register there is interpolated."""
    shown, bill = await charge(cpo, emsp, ChargingState.SUSPENDED_BY_CAR)
    began = moment(bill["start_date_time"])
    starts = [moment(p["start_date_time"]) - began for p in bill["charging_periods"]]
    assert starts == [0 * MINUTE, 30 * MINUTE, 60 * MINUTE]
    told = volumes(bill)
    assert [each.get("ENERGY", 0) for each in told] == [3, 3, 0]
    assert [each.get("TIME", 0) for each in told] == [Decimal("0.5"), Decimal("0.5"), 0]
    progress = [moment(p["start_date_time"]) - began for p in shown["charging_periods"]]
    assert progress[:2] == starts[:2]  # the running session had them already
    assert shown["status"] == "ACTIVE" and shown["total_cost"]["excl_vat"] > 0
    assert not emsp.complaints and not emsp.cost_differences


@pytest.mark.parametrize(
    ("waits", "kind"),
    [
        (ChargingState.SUSPENDED_BY_CAR, "PARKING_TIME"),
        (ChargingState.CONNECTED, "PARKING_TIME"),
        (ChargingState.SUSPENDED_BY_STATION, "TIME"),
    ],
)
async def test_cd_21_and_15_what_the_charger_reports_decides_what_is_parking(
    cpo: World, emsp: Emsp, waits: ChargingState, kind: str
) -> None:
    _, bill = await charge(cpo, emsp, waits)
    last = volumes(bill)[-1]
    assert set(last) & {"TIME", "PARKING_TIME"} == {kind}
    parked = bill.get("total_parking_time", 0)
    assert abs(parked - (Decimal(20) / 60 if kind == "PARKING_TIME" else 0)) < Decimal("1e-4")
    assert abs(bill["total_time"] - Decimal(80) / 60) < Decimal("1e-4")
    assert not emsp.complaints and not emsp.cost_differences


async def test_se_04_and_05_every_put_has_all_periods_so_far(cpo: World, emsp: Emsp) -> None:
    await charge(cpo, emsp, ChargingState.SUSPENDED_BY_CAR)
    lists = [
        [p["start_date_time"] for p in each.body.get("charging_periods") or []]
        for each in emsp.pushes("sessions")
        if each.body is not None
    ]
    assert {each.method for each in emsp.pushes("sessions")} == {"PUT"}
    assert len(lists[-1]) == 3
    for earlier, later in pairwise(lists):
        assert later[: len(earlier)] == earlier and len(set(later)) == len(later)


@pytest.mark.parametrize("version", ["2.1.1", "2.2", "2.2.1", "2.3.0"])
async def test_se_08_a_pending_session_starts_when_it_becomes_active_and_is_pushed(
    cpo: World, version: str
) -> None:
    """A card is shown; five minutes later the car is plugged in; after ten more it takes energy."""
    begins = "start_datetime" if version == "2.1.1" else "start_date_time"
    await cpo.administration.put_tariff(replace(shelf(), elements=STEPPED), OPERATOR)
    async with Emsp(version=version) as emsp:
        await cpo.connect(emsp)
        await card(cpo, emsp)
        car, carded = Car(cpo), now().replace(microsecond=0) - 80 * MINUTE
        plugged, leaves = carded + 5 * MINUTE, carded + 65 * MINUTE
        ack = await car.says(
            EventKind.STARTED,
            at=carded,
            evse=1,
            id_token="CARD1",
            register_wh=1000,
            charging=ChargingState.IDLE,
        )
        shown = dict(await emsp.wait_for(lambda: owned(emsp)))
        assert (shown["status"], moment(shown["start_date_time"])) == ("PENDING", carded)

        await car.says(
            EventKind.UPDATED, ack.transaction, at=plugged, charging=ChargingState.CONNECTED
        )
        await emsp.wait_for(lambda: (found := owned(emsp)) and found["status"] == "ACTIVE")
        await car.says(
            EventKind.UPDATED,
            ack.transaction,
            at=plugged + 10 * MINUTE,
            samples=(register(plugged + 10 * MINUTE, 1000),),
            charging=ChargingState.CHARGING,
        )
        await car.says(EventKind.ENDED, ack.transaction, at=leaves, register_wh=7000)
        await cpo.settling.settle_due()
        await emsp.wait_for(lambda: (found := owned(emsp)) and found["status"] == "COMPLETED")
        bill = await emsp.wait_for(lambda: next(iter(emsp.store.cdrs.values()), None))

        told = [each.body for each in emsp.pushes("sessions") if each.body is not None]
        starts = {each["status"]: moment(each[begins]) for each in told}
        assert starts == {"PENDING": carded, "ACTIVE": plugged, "COMPLETED": plugged}
        dated = [moment(each["last_updated"]) for each in told]
        assert dated == sorted(dated)

        assert moment(bill["start_date_time"]) == plugged
        assert moment(bill["charging_periods"][0]["start_date_time"]) == plugged
        assert abs(bill["total_time"] - 1) < Decimal("1e-4") and bill["total_energy"] == 6
        lasted = [
            volume for each in volumes(bill) for kind, volume in each.items() if "TIME" in kind
        ]
        assert abs(sum(lasted) - 1) < Decimal("1e-4")
        assert not emsp.complaints and not emsp.cost_differences


async def test_se_08_a_start_that_says_card_and_car_is_active_at_once(
    cpo: World, emsp: Emsp
) -> None:
    await card(cpo, emsp)
    began = now().replace(microsecond=0)
    await Car(cpo).says(EventKind.STARTED, at=began, evse=1, id_token="CARD1", register_wh=0)
    shown = await emsp.wait_for(lambda: owned(emsp))
    assert (shown["status"], moment(shown["start_date_time"])) == ("ACTIVE", began)


@pytest.mark.parametrize(
    ("whitelist", "method"), [(Whitelist.ALWAYS, "WHITELIST"), (Whitelist.NEVER, "AUTH_REQUEST")]
)
async def test_se_11_and_cd_17_the_card_of_a_real_start_says_the_method(
    cpo: World, emsp: Emsp, whitelist: Whitelist, method: str
) -> None:
    await card(cpo, emsp, whitelist.value.upper())
    car = Car(cpo)
    ack = await car.says(EventKind.STARTED, evse=1, id_token="CARD1", register_wh=0)
    shown = await emsp.wait_for(lambda: owned(emsp))
    asked = emsp.tokens.asked
    assert (shown["auth_method"], len(asked)) == (method, int(method == "AUTH_REQUEST"))
    assert shown.get("authorization_reference") == (asked[0].reference if asked else None)
    await car.says(EventKind.ENDED, ack.transaction, register_wh=1000)
    await cpo.settling.settle_due()
    bill = await emsp.wait_for(lambda: emsp.cdr_of(shown["id"]))
    assert bill["auth_method"] == method
    assert bill.get("authorization_reference") == shown.get("authorization_reference")


async def test_cm_12_and_se_12_the_session_of_a_start_has_what_the_command_said(
    cpo: World, emsp: Emsp
) -> None:
    token = emsp.tokens.add("APP1", type="APP_USER")
    command = await emsp.start_session(SITE, "CS1-1", token=token)
    assert await command.result() == "ACCEPTED"
    [asked] = cpo.link.sent
    assert isinstance(asked, RemoteStart)
    await Car(cpo).says(EventKind.STARTED, evse=1, id_token=asked.id_token, register_wh=0)
    shown = await emsp.wait_for(lambda: emsp.session(command.reference))
    assert shown["auth_method"] == "COMMAND"
    assert shown["cdr_token"] == {name: token[name] for name in shown["cdr_token"]}
    assert not emsp.complaints and not emsp.tokens.asked


@reading
async def test_cm_06_a_session_that_starts_after_the_timeout_is_pushed_all_the_same() -> None:
    async with running(command_timeout=timedelta(seconds=0.2)) as cpo, Emsp() as emsp:
        await cpo.small_network()
        await cpo.connect(emsp)
        cpo.link.held = asyncio.Event()
        command = await emsp.start_session(SITE, "CS1-1", token=emsp.tokens.add("CARD1"))
        assert await command.result() == "TIMEOUT"
        [asked] = cpo.link.sent
        assert isinstance(asked, RemoteStart)
        cpo.link.held.set()
        record = cpo.remote.start_of(asked.id_token)
        assert record is not None
        await until_over(f"command {record.id}")
        await Car(cpo).says(EventKind.STARTED, evse=1, id_token=asked.id_token, register_wh=0)
        shown = await emsp.wait_for(lambda: emsp.session(command.reference))
        assert shown["auth_method"] == "COMMAND"
        assert command.results == ["TIMEOUT"] and len(emsp.pushes("commands")) == 1


async def test_tk_05_a_token_becomes_invalid_and_is_never_deleted(cpo: World, ask: Asker) -> None:
    await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", wire())
    assert (await ask("DELETE", "/2.2.1/tokens/IN/EMP/T1")).http in (404, 405)
    assert (await ask("GET", "/2.2.1/tokens/IN/EMP/T1")).data["valid"] is True
    news = {"valid": False, "last_updated": "2099-01-01T00:00:00Z"}
    assert (await ask("PATCH", "/2.2.1/tokens/IN/EMP/T1", news)).code == 1000
    shown = await ask("GET", "/2.2.1/tokens/IN/EMP/T1")
    assert (shown.http, shown.data["valid"]) == (200, False)


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Outcome.ACCEPTED, "ACCEPTED"),
        (Outcome.OCCUPIED, "EVSE_OCCUPIED"),
        (Outcome.INOPERATIVE, "EVSE_INOPERATIVE"),
    ],
)
async def test_cm_04_an_outcome_of_a_start_has_its_word(
    cpo: World, emsp: Emsp, outcome: Outcome, result: str
) -> None:
    """With those of CM-20, CM-17 (CANCELED_RESERVATION) and CM-18 (UNKNOWN_RESERVATION): all nine."""
    cpo.link.answer = Answer(outcome)
    command = await emsp.start_session(SITE, "CS1-1", token=emsp.tokens.add("CARD1"))
    assert await command.result() == result
    assert not emsp.complaints


async def test_c3_05_sessions_and_every_part_of_a_bill_have_the_new_price(cpo: World) -> None:
    async with Emsp(version="2.3.0") as emsp:
        await cpo.connect(emsp)
        await emsp.wait_for(lambda: emsp.store.locations)
        await charge(cpo, emsp, ChargingState.SUSPENDED_BY_CAR)
        bill = emsp.pushes("cdrs")[-1].body or {}
        told = [each.body or {} for each in emsp.pushes("sessions")]
        prices = [each["total_cost"] for each in told if "total_cost" in each]
        assert len(prices) > 1 and prices[-1] == bill["total_cost"]
        costs = {name: cost for name, cost in bill.items() if name.endswith("_cost")}
        assert {"total_cost", "total_energy_cost", "total_time_cost"} <= set(costs)
        for cost in (*costs.values(), *prices):
            assert set(cost) == {"before_taxes", "taxes"}
            assert {"name", "amount"} <= set(cost["taxes"][0])
        assert not emsp.complaints and not emsp.cost_differences
