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
from cms.domain.quote import GRAIN_WH, MOST_WH, energy_for, quote
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
