"""The partner's own arithmetic: worked examples of the specification, then the fine print."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from simulators.emsp.rating import CannotRate, Cost, rate
from simulators.emsp.wire import loads, stamp

Json = dict[str, Any]

DATA = Path(__file__).parents[1] / "data" / "ocpi"
MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
DAYS = {"Mon": 0, "Tue": 1, "Wed": 2, "Thu": 3, "Fri": 4, "Sat": 5, "Sun": 6}
KINDS = {"CHARGE": "TIME", "PARK": "PARKING_TIME", "RESERVE": "RESERVATION_TIME"}


def worked_cases() -> list[Json]:
    lines = (DATA / "costs.jsonl").read_text().splitlines()
    cases = [json.loads(line, parse_float=Decimal) for line in lines]
    return [case for case in cases if "2.2.1" in case["branch"]]


def tariff_of(case: Json) -> Json:
    """The tariff of a worked case, whatever the file wraps it in."""
    found: Json = case["inline_tariff"] or loads((DATA / "2.2.1" / case["tariff"]).read_bytes())
    if "tariffs" in found:
        found = found["tariffs"][0]
    for element in found["elements"]:
        for component in element["price_components"]:
            component["step_size"] = int(component["step_size"])
            if case["energy_price_override"] and component["type"] == "ENERGY":
                component["price"] = case["energy_price_override"]
    return {"id": "T", **found}


def cdr_of(case: Json, tariff_id: str) -> Json:
    """A CDR with one charging period for each segment: nothing is cut in advance."""
    day, clock = case["start_local"].split()
    hours, minutes = map(int, clock.split(":"))
    at = MONDAY + timedelta(days=DAYS[day], hours=hours, minutes=minutes)
    start, periods = at, []
    for segment in case["segments"]:
        periods.append(
            {
                "start_date_time": stamp(at),
                "dimensions": dimensions(segment),
                "tariff_id": tariff_id,
            }
        )
        at += timedelta(minutes=float(segment["min"]))
    return cdr(periods, start, at)


def dimensions(segment: Json) -> list[Json]:
    hours = round(Decimal(segment["min"]) / 60, 6)
    found = [{"type": KINDS[segment["kind"]], "volume": hours}]
    if segment["kwh"]:
        found.append({"type": "ENERGY", "volume": Decimal(segment["kwh"])})
    if segment["current_a"]:
        found.append({"type": "MAX_CURRENT", "volume": Decimal(segment["current_a"])})
    if segment["power_kw"]:
        found.append({"type": "MAX_POWER", "volume": Decimal(segment["power_kw"])})
    return found


def cdr(periods: list[Json], start: datetime, end: datetime, **members: Any) -> Json:
    return {
        "start_date_time": stamp(start),
        "end_date_time": stamp(end),
        "currency": "EUR",
        "charging_periods": periods,
        **members,
    }


@pytest.mark.parametrize("case", worked_cases(), ids=lambda case: str(case["id"]))
def test_worked_example_of_the_specification_costs_what_it_says(case: Json) -> None:
    tariff = tariff_of(case)

    cost = rate(cdr_of(case, tariff["id"]), [tariff], "UTC")

    for exact, stated in (
        (cost.exact_excl, case["assert_excl"]),
        (cost.exact_incl, case["assert_incl"]),
    ):
        if stated is not None:
            assert abs(exact - Fraction(stated)) < Fraction(1, 1_000_000)


def tariff(*elements: Json, **members: Any) -> Json:
    return {"id": "T", "currency": "EUR", "elements": list(elements), **members}


def element(kind: str, price: str, step: int = 1, vat: str | None = None, **rules: Any) -> Json:
    component: Json = {"type": kind, "price": Decimal(price), "step_size": step}
    if vat:
        component["vat"] = Decimal(vat)
    return {"price_components": [component], **({"restrictions": rules} if rules else {})}


def charged(
    price_list: Json, kwh: str, minutes: int = 60, start: datetime = MONDAY, zone: str = "UTC"
) -> Cost:
    hours = Decimal(minutes) / 60
    period = {
        "start_date_time": stamp(start),
        "dimensions": [
            {"type": "ENERGY", "volume": Decimal(kwh)},
            {"type": "TIME", "volume": round(hours, 4)},
        ],
        "tariff_id": "T",
    }
    return rate(cdr([period], start, start + timedelta(minutes=minutes)), [price_list], zone)


def test_half_a_cent_is_rounded_up_and_only_at_the_end() -> None:
    cost = charged(tariff(element("ENERGY", "0.005")), "1")

    assert (cost.excl, cost.exact_excl) == (Decimal("0.01"), Fraction(1, 200))


def test_half_a_cent_of_a_shelf_price_survives_its_shortened_net_price() -> None:
    """17.50 including 18 % are 14.830508475 net; 2 Wh of it are 0.035 on the shelf."""
    assert charged(tariff(element("ENERGY", "14.830508475", vat="18")), "0.002").incl == Decimal(
        "0.04"
    )


def test_what_is_next_to_half_a_cent_is_not_half_a_cent() -> None:
    """14.41582 including 18 % are 12.2167966102 net. Of 1.536 kWh that makes 18.76499959: exactly
    17298984/921875, which is 4e-7 below half a cent. Six digits would call it half, and be wrong."""
    cost = charged(tariff(element("ENERGY", "12.2167966102", vat="18")), "1.536")

    assert Fraction(18765, 1000) - Fraction(17298984, 921875) > Fraction(4, 10**7)
    assert (cost.excl, cost.incl) == (Decimal("18.76"), Decimal("22.14"))


def test_minimum_clamps_each_side_for_itself() -> None:
    prices = tariff(
        element("ENERGY", "1", vat="18"),
        min_price={"excl_vat": Decimal(2), "incl_vat": Decimal("2.50")},
    )

    assert (charged(prices, "1").excl, charged(prices, "1").incl) == (2, Decimal("2.50"))


def test_limit_without_incl_leaves_incl_alone() -> None:
    prices = tariff(element("ENERGY", "1", vat="10"), max_price={"excl_vat": Decimal(2)})

    assert (charged(prices, "4").excl, charged(prices, "4").incl) == (2, Decimal("4.40"))


def test_energy_that_crosses_a_limit_is_priced_on_both_sides_of_it() -> None:
    prices = tariff(element("ENERGY", "1", max_kwh=Decimal(10)), element("ENERGY", "2"))

    assert charged(prices, "25").excl == Decimal("40.00")


def test_evening_price_follows_the_clock_of_the_location() -> None:
    prices = tariff(element("ENERGY", "2", start_time="18:00"), element("ENERGY", "1"))
    five_to_six = datetime(2026, 6, 1, 17, 30, tzinfo=ZoneInfo("Asia/Kolkata")).astimezone(UTC)

    assert charged(prices, "10", start=five_to_six, zone="Asia/Kolkata").excl == 15
    assert charged(prices, "10", start=five_to_six, zone="UTC").excl == 10


def test_night_price_wraps_midnight() -> None:
    prices = tariff(element("ENERGY", "1", start_time="22:00", end_time="06:00"))
    late = MONDAY + timedelta(hours=23, minutes=30)

    assert charged(prices, "10", start=late).excl == 10
    assert charged(prices, "10", start=MONDAY + timedelta(hours=12)).excl == 0


def test_duration_counts_charging_and_parking_from_the_start_of_the_session() -> None:
    prices = tariff(element("TIME", "6", min_duration=1800))

    assert charged(prices, "1", minutes=60).excl == 3


def test_clock_counts_where_the_volume_is_only_a_shortened_form_of_it() -> None:
    """20 minutes are 0.3333 hours: at 3 an hour that is 1.00, not 0.9999."""
    cost = charged(tariff(element("TIME", "3")), "1", minutes=20)

    assert cost.exact_excl == 1


def test_period_without_a_time_dimension_bills_its_energy_and_no_time() -> None:
    prices = tariff(element("ENERGY", "1"), element("TIME", "6"))
    dark = {
        "start_date_time": stamp(MONDAY),
        "dimensions": [{"type": "ENERGY", "volume": Decimal(4)}],
        "tariff_id": "T",
    }

    assert rate(cdr([dark], MONDAY, MONDAY + timedelta(hours=1)), [prices], "UTC").excl == 4


def test_credit_is_the_same_amount_below_zero() -> None:
    prices = tariff(element("FLAT", "5"))
    start = {"start_date_time": stamp(MONDAY), "tariff_id": "T"}
    period = {**start, "dimensions": [{"type": "TIME", "volume": Decimal(1)}]}
    credit = cdr([period], MONDAY, MONDAY + timedelta(hours=1), credit=True)

    assert rate(credit, [prices], "UTC").excl == -5


def test_tariff_that_was_never_sent_cannot_be_rated() -> None:
    with pytest.raises(CannotRate, match="no tariff T"):
        charged({**tariff(element("FLAT", "1")), "id": "OTHER"}, "1")


def test_bill_that_is_one_cent_off_does_not_agree() -> None:
    cost = charged(tariff(element("ENERGY", "1", vat="18")), "10")

    assert cost.agrees_with({"excl_vat": Decimal(10), "incl_vat": Decimal("11.80")})
    assert not cost.agrees_with({"excl_vat": Decimal(10), "incl_vat": Decimal("11.81")})
    assert not cost.agrees_with({"excl_vat": Decimal("9.99"), "incl_vat": Decimal("11.80")})
