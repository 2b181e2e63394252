"""Quotes come from the one engine, so they hold."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cms.domain.errors import InvalidValue
from cms.domain.ids import TariffId
from cms.domain.money import Money
from cms.domain.quote import GRAIN_WH, MOST_WH, energy_for, planned, quote
from cms.domain.tariff import Basis, Dimension, Element, PriceComponent, Restrictions, Tariff, Tax

KOLKATA = ZoneInfo("Asia/Kolkata")
MORNING = datetime(2026, 3, 3, 9, 30, tzinfo=UTC)  # 15:00 in Kolkata
TAXES = (Tax("CGST", Decimal(9)), Tax("SGST", Decimal(9)))
BOOK = Tariff(
    TariffId("T"),
    "INR",
    (
        Element(
            (
                PriceComponent(Dimension.FLAT, Decimal(20)),
                PriceComponent(Dimension.ENERGY, Decimal(10)),
            ),
            Restrictions(end_time=time(16)),
        ),
        Element((PriceComponent(Dimension.ENERGY, Decimal(20)),)),
    ),
    basis=Basis.GROSS,
    taxes=TAXES,
)


def rupees(amount: str) -> Money:
    return Money(Decimal(amount), "INR")


def test_quote_walks_through_the_times_of_day() -> None:
    rating = quote(BOOK, MORNING, 9000, 6000, KOLKATA)
    assert rating.total.gross == rupees("140.00")  # 20 + 6 kWh at 10 + 3 kWh at 20


def test_quote_may_end_with_parking() -> None:
    rating = quote(BOOK, MORNING, 6000, 6000, KOLKATA, parking=timedelta(hours=1))
    assert rating.parking_time == timedelta(hours=1)


def test_money_buys_less_after_the_price_rises() -> None:
    assert energy_for(BOOK, MORNING, rupees("80"), 6000, KOLKATA) == 6000
    assert energy_for(BOOK, MORNING, rupees("100"), 6000, KOLKATA) == 7000


def test_money_that_does_not_pay_the_start_buys_nothing() -> None:
    assert energy_for(BOOK, MORNING, rupees("19.99"), 6000, KOLKATA) is None
    assert energy_for(BOOK, MORNING, rupees("20.00"), 6000, KOLKATA) == 0


def test_free_energy_is_bounded() -> None:
    free = Tariff(TariffId("F"), "INR", (Element((PriceComponent(Dimension.FLAT, Decimal(0)),)),))
    assert energy_for(free, MORNING, rupees("1"), 6000, KOLKATA) == MOST_WH


@given(st.integers(2_000, 100_000))
def test_energy_for_money_costs_no_more_and_the_next_grain_more(budget: int) -> None:
    money = Money(Decimal(budget) / 100, "INR")
    energy = energy_for(BOOK, MORNING, money, 6000, KOLKATA)
    assert energy is not None
    assert quote(BOOK, MORNING, energy, 6000, KOLKATA).total.gross.amount <= money.amount
    above = quote(BOOK, MORNING, energy + GRAIN_WH, 6000, KOLKATA).total.gross.amount
    assert above > money.amount


@pytest.mark.parametrize(("energy", "power"), [(-1, 1), (MOST_WH + 1, 1), (1, 0)])
def test_impossible_quotes_are_refused(energy: int, power: int) -> None:
    with pytest.raises(InvalidValue):
        quote(BOOK, MORNING, energy, power, KOLKATA)
    with pytest.raises(InvalidValue):
        energy_for(BOOK, MORNING, Money(Decimal(1), "EUR"), 1, KOLKATA)


# ---------------------------------------------------------------- what a plan comes to


HOUR, HALF = timedelta(hours=1), timedelta(minutes=30)


@pytest.mark.parametrize(
    ("energy", "stay", "budget", "expected"),
    [
        (None, HOUR, None, (6000, HOUR, timedelta())),
        (3000, None, None, (3000, HALF, timedelta())),
        (3000, HOUR, None, (3000, HALF, HALF)),
        (9000, HOUR, None, (6000, HOUR, timedelta())),
        (None, None, "100", (7000, HOUR + HALF / 3, timedelta())),
        (9000, None, "100", (7000, HOUR + HALF / 3, timedelta())),
        (2000, None, "100", (2000, HALF / 1.5, timedelta())),
        (None, 2 * HOUR, "100", (7000, HOUR + HALF / 3, HALF * 5 / 3)),
        (0, None, None, (0, timedelta(), timedelta())),
        (
            10 * MOST_WH,
            None,
            None,
            (MOST_WH, timedelta(seconds=MOST_WH * 3600 // 6000), timedelta()),
        ),
    ],
)
def test_the_limit_that_is_reached_first_ends_the_charge_and_the_rest_of_the_stay_is_parking(
    energy: int | None,
    stay: timedelta | None,
    budget: str | None,
    expected: tuple[int, timedelta, timedelta],
) -> None:
    money = None if budget is None else rupees(budget)
    plan = planned(BOOK, MORNING, 6000, KOLKATA, energy=energy, stay=stay, budget=money)
    assert plan is not None
    assert (plan.energy, plan.charging, plan.parking) == expected


def test_a_plan_over_four_in_the_afternoon_is_priced_on_both_sides_of_it() -> None:
    half_past_three = MORNING + HALF
    plan = planned(BOOK, half_past_three, 6000, KOLKATA, stay=HOUR)
    assert plan is not None
    rating = quote(BOOK, half_past_three, plan.energy, 6000, KOLKATA, parking=plan.parking)
    four = half_past_three + HALF
    assert [(each.start, each.wh) for each in rating.periods] == [
        (half_past_three, 3000),
        (four, 3000),
    ]
    assert rating.total.gross == rupees("110.00")  # 20 + 3 kWh at 10 + 3 kWh at 20
    at_four = quote(BOOK, four, plan.energy, 6000, KOLKATA)
    assert at_four.total.gross == rupees("120.00"), "the fee of the morning is not due any more"


def test_a_plan_for_too_little_money_is_none() -> None:
    assert planned(BOOK, MORNING, 6000, KOLKATA, budget=rupees("19.99")) is None


def test_a_plan_names_what_is_missing_or_wrong() -> None:
    with pytest.raises(InvalidValue) as missing:
        planned(BOOK, MORNING, 6000, KOLKATA)
    assert (missing.value.field, "minutes or amount" in str(missing.value)) == ("kwh", True)
    with pytest.raises(InvalidValue) as power:
        planned(BOOK, MORNING, 0, KOLKATA, energy=1000)
    assert power.value.field == "power_kw"
