"""Money adds up, by construction."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cms.domain.money import (
    CurrencyError,
    Money,
    Price,
    TaxLine,
    apportion,
    half_up,
    minor_digits,
    share,
    to_decimal,
    to_minor,
)


def inr(amount: str) -> Money:
    return Money(Decimal(amount), "INR")


@pytest.mark.parametrize(
    ("currency", "digits"),
    [("INR", 2), ("EUR", 2), ("CAD", 2), ("GBP", 2), ("NOK", 2), ("USD", 2)]
    + [("JPY", 0), ("ISK", 0), ("HUF", 2), ("KWD", 3), ("CLF", 4)],
)
def test_minor_digits_are_those_of_iso_4217(currency: str, digits: int) -> None:
    assert minor_digits(currency) == digits


@pytest.mark.parametrize("currency", ["inr", "RUPEE", "", "XXX"])
def test_unknown_currency_is_refused(currency: str) -> None:
    with pytest.raises(CurrencyError, match="ISO 4217"):
        minor_digits(currency)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1/2", 1), ("-1/2", -1), ("5/2", 3), ("-5/2", -3), ("49/100", 0), ("2", 2), ("-7/3", -2)],
)
def test_half_goes_away_from_zero(value: str, expected: int) -> None:
    assert half_up(Fraction(value)) == expected


def test_minor_units_are_rounded_once_from_the_exact_amount() -> None:
    assert to_minor(Fraction("1.005"), "INR") == 101
    assert to_minor(Fraction("1.0049999999"), "INR") == 100
    assert to_minor(Fraction("1.5"), "JPY") == 2


def test_exact_values_compare_at_six_digits() -> None:
    assert to_decimal(Fraction(61, 60)) == Decimal("1.016667")


def test_two_currencies_do_not_add() -> None:
    with pytest.raises(CurrencyError):
        inr("1") + Money(Decimal(1), "EUR")


def test_money_of_a_fraction_of_a_paisa_is_not_payable() -> None:
    assert inr("18.00").minor == 1800
    with pytest.raises(ValueError, match="minor unit"):
        _ = inr("18.005").minor
    assert inr("18.005").rounded() == inr("18.01")


def test_gross_is_net_and_taxes_and_clamp() -> None:
    price = Price(
        inr("10.00"),
        (TaxLine("CGST", Decimal(9), inr("0.90")), TaxLine("SGST", Decimal(9), inr("0.90"))),
        inr("-0.10"),
    )
    assert price.gross == inr("11.70")
    assert price.tax == inr("1.80")
    assert (price + -price).gross == inr("0.00")


def test_adding_prices_merges_equal_taxes_and_keeps_others_apart() -> None:
    low = Price(inr("1.00"), (TaxLine("VAT", Decimal(5), inr("0.05")),))
    high = Price(inr("1.00"), (TaxLine("VAT", Decimal(18), inr("0.18")),))
    total = low + high + low
    assert [(line.percent, line.amount) for line in total.taxes] == [
        (Decimal(5), inr("0.10")),
        (Decimal(18), inr("0.18")),
    ]


def test_price_in_two_currencies_cannot_exist() -> None:
    with pytest.raises(CurrencyError):
        Price(inr("1"), (TaxLine("VAT", Decimal(5), Money(Decimal(1), "EUR")),))


def test_largest_remainder_gets_the_missing_unit() -> None:
    assert apportion(3, [Fraction("0.3"), Fraction("1.9"), Fraction("0.8")]) == [0, 2, 1]


fractions = st.fractions(min_value=0, max_value=10_000, max_denominator=1_000)


@given(st.lists(fractions, min_size=1, max_size=8))
def test_parts_of_a_rounded_sum_add_up_and_move_less_than_one_unit(exact: list[Fraction]) -> None:
    total = half_up(sum(exact, Fraction()))
    parts = apportion(total, exact)
    assert sum(parts) == total
    assert all(abs(part - value) < 1 for part, value in zip(parts, exact, strict=True))


@given(st.integers(-10_000, 10_000), st.lists(fractions, min_size=1, max_size=8))
def test_shares_add_up(total: int, weights: list[Fraction]) -> None:
    if any(weights):
        assert sum(share(total, weights)) == total


def test_nothing_cannot_be_shared_among_nobody() -> None:
    assert apportion(0, []) == []
    with pytest.raises(ValueError, match="no parts"):
        apportion(1, [])
