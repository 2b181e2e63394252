"""Times, numbers and units: damage that passes every schema."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import adapters
from adapters.pipeline.quantities import Scales
from adapters.pipeline.times import offset
from adapters.standard import Switches, adapter
from cms.domain.meter import Quantity
from cms.domain.units import wh

READ = adapters.STANDARD.readings
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
TEN = datetime(2026, 1, 5, 10, tzinfo=UTC)
REGISTER = "Energy.Active.Import.Register"


@pytest.mark.parametrize(
    ("text", "at", "codes"),
    [
        ("2026-01-05T10:00:00Z", TEN, []),
        ("2026-01-05T10:00:00.000Z", TEN, []),
        ("2026-01-05T15:30:00+05:30", TEN, []),
        ("2026-01-05T12:00:00+02", TEN, []),
        ("2026-01-05T15:30:00+0530", TEN, []),
        ("2026-01-05T10:00:00.1234567Z", TEN.replace(microsecond=123456), []),
        ("2026-01-05T10:00:00,5Z", TEN.replace(microsecond=500000), []),
        ("2026-01-05T10:00:00", TEN, ["Q-070"]),
        ("2026-01-05 10:00:00", TEN, ["Q-073", "Q-070"]),
        ("2026-01-05 10:00:00Z", TEN, ["Q-073"]),
        ("2026-01-05t10:00:00z", TEN, ["Q-073"]),
        ("2026-01-05T10:00:00Z[GMT]", TEN, ["Q-073"]),
        ("2026-01-05T15:30:00+05:30[IST]", TEN, ["Q-073"]),
        ("2026-1-5T10:0:0Z", TEN, ["Q-073"]),
        ("2026/01/05 10:00:00", TEN, ["Q-073", "Q-070"]),
        (" 2026-01-05T10:00:00Z\x00", TEN, ["Q-073"]),
        ("1767607200", TEN, ["Q-073"]),
        ("1767607200000", TEN, ["Q-073"]),
        ("", None, ["Q-073"]),
        ("0", None, ["Q-073"]),
        ("zorg", None, ["Q-073"]),
        ("2026-02-31T10:00:00Z", None, ["Q-073"]),
        ("222222017-01-01T00:00:00Z", None, ["Q-073"]),
        ("9" * 10_000, None, ["Q-073"]),
        ("1970-01-01T00:00:00.740Z", None, ["Q-072"]),
        ("2000-01-01T00:00:00Z", None, ["Q-072"]),
        ("2106-02-07T06:28:15Z", None, ["Q-072"]),
        ("0001-01-01T00:00:00+05:30", None, ["Q-072"]),
        ("9999-12-31T23:59:59-05:30", None, ["Q-072"]),
    ],
)
def test_time(text: str, at: datetime | None, codes: list[str]) -> None:
    found, notes = READ.time(text, NOW)
    assert found == at
    assert [note.code for note in notes] == codes
    assert found is None or found.tzinfo is UTC


def test_a_time_ahead_by_a_zone_is_a_claim_and_one_ahead_by_two_days_is_none() -> None:
    assert READ.time("2026-01-05T17:30:00Z", NOW)[0] is not None
    assert READ.time("2026-01-07T12:00:00Z", NOW)[0] is None


def test_a_profile_says_which_zone_is_meant_by_none() -> None:
    indian = adapter("x", Switches(naive=offset("+05:30"))).readings
    assert indian.time("2026-01-05T15:30:00", NOW)[0] == TEN
    assert indian.time("2026-01-05T10:00:00Z", NOW)[0] == TEN


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader_of_times(text: str) -> None:
    READ.time(text, NOW)


@given(
    st.timedeltas(timedelta(0), timedelta(days=3650)),
    st.integers(-14 * 60, 14 * 60),
)
def test_every_time_comes_back_as_the_moment_it_is(ago: timedelta, minutes: int) -> None:
    aware = (NOW - ago).astimezone(timezone(timedelta(minutes=minutes)))
    assert READ.time(aware.isoformat(), NOW) == (aware, ())


@pytest.mark.parametrize(
    ("measurand", "value", "unit", "quantity", "number", "codes"),
    [
        (REGISTER, "1200", "Wh", Quantity.ENERGY_REGISTER, 1200, []),
        (None, "1200", None, Quantity.ENERGY_REGISTER, 1200, []),
        (REGISTER, "12.3455", "kWh", Quantity.ENERGY_REGISTER, 12346, []),
        (REGISTER, "51.5", "Wh", Quantity.ENERGY_REGISTER, 52, []),
        (REGISTER, "1.2e3", "Wh", Quantity.ENERGY_REGISTER, 1200, []),
        (REGISTER, "12.5", "kwh", Quantity.ENERGY_REGISTER, 12500, ["Q-059"]),
        (REGISTER, "12.5", "KWH", Quantity.ENERGY_REGISTER, 12500, ["Q-059"]),
        (REGISTER, "12.5", " kWh ", Quantity.ENERGY_REGISTER, 12500, ["Q-059"]),
        (REGISTER, "12", "W", Quantity.ENERGY_REGISTER, 12, ["Q-060"]),
        (REGISTER, "  9.6", "Wh", Quantity.ENERGY_REGISTER, 10, ["Q-088"]),
        (REGISTER, "12,5", "kWh", Quantity.ENERGY_REGISTER, 12500, ["Q-088"]),
        (REGISTER, "1,234.5", "Wh", None, 0, ["Q-088"]),
        (REGISTER, "", "Wh", None, 0, ["Q-088"]),
        (REGISTER, "NaN", "Wh", None, 0, ["Q-088"]),
        (REGISTER, "--", "Wh", None, 0, ["Q-088"]),
        (REGISTER, "1_000", "Wh", None, 0, ["Q-088"]),
        (REGISTER, "\u0663", "Wh", None, 0, ["Q-088"]),
        (REGISTER, "9" * 60, "Wh", None, 0, ["Q-089"]),
        (REGISTER, "1e400", "Wh", None, 0, ["Q-089"]),
        (REGISTER, "-5", "Wh", None, 0, ["Q-089"]),
        (REGISTER, "5", "zorg", None, 0, ["Q-059"]),
        (REGISTER, "5", "varh", None, 0, ["Q-059"]),
        (REGISTER, "5", "MWh", None, 0, ["Q-059"]),
        ("Energy.Active.Import.Interval", "5", "Wh", Quantity.ENERGY_INTERVAL, 5, []),
        ("Power.Active.Import", "7.4", "kW", Quantity.POWER, 7400, []),
        ("Power.Active.Import", "500.38", None, Quantity.POWER, 500, []),
        ("Power.Active.Import", "7", "kWh", Quantity.POWER, 7000, ["Q-060"]),
        ("Power.Active.Import", "-20", "W", Quantity.POWER, -20, []),
        ("Current.Import", "16.05", "A", Quantity.CURRENT, 16050, []),
        ("Current.Import", "16000", "mA", Quantity.CURRENT, 16000, ["Q-059"]),
        ("Voltage", "230.1", "V", Quantity.VOLTAGE, 230100, []),
        ("SoC", "55.5", "Percent", Quantity.STATE_OF_CHARGE, 5550, []),
        ("SoC", "55", "%", Quantity.STATE_OF_CHARGE, 5500, ["Q-059"]),
        ("SoC", "65535", None, None, 0, ["Q-089"]),
        ("Temperature", "31.2", "Celcius", Quantity.TEMPERATURE, 31200, []),
        ("Temperature", "-127", "Celsius", None, 0, ["Q-089"]),
        ("Temperature", "300", "K", None, 0, ["Q-059"]),
        ("Frequency", "50", "Hertz", None, 0, []),
        ("Power.Reactive.Import", "1", "var", None, 0, []),
    ],
)
def test_measured_value(
    measurand: str | None,
    value: str,
    unit: str | None,
    quantity: Quantity | None,
    number: int,
    codes: list[str],
) -> None:
    found, integer, notes = READ.measure(measurand, value, unit, 0)
    assert (found, integer) == (quantity, number)
    assert [note.code for note in notes] == codes


def test_a_multiplier_is_a_power_of_ten() -> None:
    assert READ.measure(REGISTER, "12.5", "Wh", 3)[:2] == (Quantity.ENERGY_REGISTER, 12500)
    assert READ.measure(REGISTER, "12500", "kWh", -3)[:2] == (Quantity.ENERGY_REGISTER, 12500)
    assert READ.measure(REGISTER, "1", "Wh", 99)[0] is None


@given(st.decimals(0, 10**9, places=4, allow_nan=False), st.sampled_from(["Wh", "kWh"]))
def test_energy_agrees_with_the_exact_conversion(value: Decimal, unit: str) -> None:
    assert READ.energy(str(value), unit, REGISTER)[0] == wh(str(value), unit)


@given(st.decimals(0, 10**9, places=5, allow_nan=False), st.sampled_from(["Wh", "kWh"]))
def test_a_json_number_is_read_as_its_shortest_text(value: Decimal, unit: str) -> None:
    number = float(value)
    assert READ.measure(REGISTER, number, unit, 0)[1] == wh(repr(number), unit)


@given(st.integers(0, 10**6), st.integers(0, 9999))
def test_numbers_near_a_half_are_rounded_half_up_exactly(whole: int, fraction: int) -> None:
    for text in (f"{whole}.{fraction:04d}", f"{whole}.{fraction:04d}5", f"{whole}.5"):
        assert READ.measure(REGISTER, text, "kWh", 0)[1] == wh(text, "kWh")
        assert READ.measure(REGISTER, float(text), "Wh", 0)[1] == wh(text, "Wh")


@given(st.text(max_size=80), st.text(max_size=8) | st.none(), st.integers(-400, 400))
def test_no_value_breaks_the_reader_of_quantities(value: str, unit: str | None, power: int) -> None:
    READ.measure(REGISTER, value, unit, power)


def test_a_profile_of_mislabelled_kwh_scales_values_and_registers_and_says_so() -> None:
    read = adapter("x", Switches(scales=Scales(energy_is_kwh=True))).readings
    for unit in (None, "Wh"):
        quantity, number, notes = read.measure(REGISTER, "361.5", unit, 0)
        assert (quantity, number) == (Quantity.ENERGY_REGISTER, 361_500)
        assert [note.code for note in notes] == ["Q-080"]
    assert read.measure(REGISTER, "361.5", "kWh", 0) == (Quantity.ENERGY_REGISTER, 361_500, ())
    assert read.register(361)[0] == 361_000
    assert READ.register(361) == (361, ())


@pytest.mark.parametrize("unknown", [-1, -(2**63), 10**30])
def test_a_register_that_stands_for_unknown_is_none_and_never_zero(unknown: int) -> None:
    value, notes = READ.register(unknown)
    assert value is None
    assert [note.code for note in notes] == ["Q-089"]


def test_a_token_loses_only_what_no_token_can_contain() -> None:
    assert READ.token("CARD1") == ("CARD1", ())
    assert READ.token(" CARD1\x10\x0e")[0] == "CARD1"
    assert READ.token("card1")[0] == "card1", "case is the catalogue's business"
    assert READ.token("A B")[0] == "A B"
    assert [note.code for note in READ.token("CARD1\x00")[1]] == ["Q-048"]


def test_text_for_the_store_has_no_nul() -> None:
    assert READ.text("ok\x00\x1b[2J")[0] == "ok[2J"
    assert READ.text("Säule 7") == ("Säule 7", ())
