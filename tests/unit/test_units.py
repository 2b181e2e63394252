"""Meter text becomes whole small units once, half up, and damage is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cms.domain.units import Wh, kwh, milliamps, watts, wh


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("12345", "Wh", 12345),
        ("12.345", "kWh", 12345),
        ("12.3455", "kWh", 12346),
        ("0.5", "Wh", 1),
        ("0.49999", "Wh", 0),
        ("1e3", "Wh", 1000),
        ("-0.5", "Wh", -1),
        (".5", "kWh", 500),
        ("+7", "Wh", 7),
    ],
)
def test_readings_become_whole_watt_hours_half_up(text: str, unit: str, expected: int) -> None:
    assert wh(text, unit) == expected


@pytest.mark.parametrize(
    "text", ["", " 1", "1,5", "NaN", "Infinity", "1_000", "٣", "1e999", "1e15", "9" * 65, "0x10"]
)
def test_what_is_no_plausible_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        wh(text)


def test_wrong_unit_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'kW' is no unit of energy"):
        wh("1", "kW")


def test_power_and_current_are_whole_watts_and_milliamperes() -> None:
    assert watts("7.36", "kW") == 7360
    assert milliamps("31.9996") == 32000


@given(st.integers(0, 10**12))
def test_kilowatt_hours_lose_nothing(energy: int) -> None:
    assert wh(str(kwh(Wh(energy))), "kWh") == energy


def test_kilowatt_hours_are_written_without_zeros_or_exponent() -> None:
    assert str(kwh(1500)) == "1.5"
    assert str(kwh(100_000)) == "100"
    assert kwh(0) == Decimal(0)
