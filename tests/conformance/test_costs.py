"""Worked examples of the tariffs and CDRs modules: our engine gives every stated number.

Exact totals are compared at six digits, the way partners are told to compare them.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cms.domain.ids import TariffId
from cms.domain.money import to_decimal
from cms.domain.rating import Rating, Reservation, rate
from cms.domain.tariff import (
    Basis,
    Dimension,
    Element,
    PriceComponent,
    PriceLimit,
    ReservationPhase,
    Restrictions,
    Tariff,
    Tax,
)
from cms.domain.usage import Usage, UsageKind

DATA = Path(__file__).parents[1] / "data" / "ocpi"
ZONE = ZoneInfo("Europe/Amsterdam")
CASES = [json.loads(line) for line in (DATA / "costs.jsonl").read_text().splitlines() if line]
DAYS = {"Mon": date(2026, 3, 2), "Tue": date(2026, 3, 3), "Sat": date(2026, 3, 7)}
WEEK = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
PHASES = {
    "RESERVATION": ReservationPhase.RESERVED,
    "RESERVATION_EXPIRES": ReservationPhase.EXPIRED,
}


def _number(data: dict[str, Any], key: str) -> Decimal | None:
    return None if data.get(key) is None else Decimal(str(data[key]))


def _component(data: dict[str, Any], override: Decimal | None) -> PriceComponent:
    dimension = Dimension(data["type"].lower())
    price = Decimal(str(data["price"]))
    if override is not None and dimension is Dimension.ENERGY:
        price = override
    taxes = (Tax("VAT", Decimal(str(data["vat"]))),) if "vat" in data else ()
    return PriceComponent(dimension, price, int(data["step_size"]), taxes)


def _restrictions(data: dict[str, Any]) -> Restrictions:
    numbers = {
        key: _number(data, key)
        for quantity in ("kwh", "current", "power")
        for key in (f"min_{quantity}", f"max_{quantity}")
    }
    times = {
        key: time.fromisoformat(data[key]) if key in data else None
        for key in ("start_time", "end_time")
    }
    dates = {
        key: date.fromisoformat(data[key]) if key in data else None
        for key in ("start_date", "end_date")
    }
    return Restrictions(
        **numbers,
        **times,
        **dates,
        min_duration=data.get("min_duration"),
        max_duration=data.get("max_duration"),
        day_of_week=frozenset(WEEK.index(day) for day in data.get("day_of_week", ())),
        reservation=PHASES.get(data.get("reservation", "")),
    )


def _limit(data: dict[str, Any] | None) -> PriceLimit | None:
    if data is None:
        return None
    net = _number(data, "excl_vat") or _number(data, "before_taxes")
    return PriceLimit(net, _number(data, "incl_vat") or _number(data, "after_taxes"))


def _tariff(data: dict[str, Any], currency: str, override: Decimal | None) -> Tariff:
    elements = tuple(
        Element(
            tuple(_component(part, override) for part in element["price_components"]),
            _restrictions(element.get("restrictions", {})),
        )
        for element in data["elements"]
    )
    return Tariff(
        TariffId(data.get("id", "inline")),
        currency,
        elements,
        Basis.GROSS if data.get("tax_included") == "YES" else Basis.NET,
        min_price=_limit(data.get("min_price")),
        max_price=_limit(data.get("max_price")),
    )


def _tariff_of(case: dict[str, Any], version: str) -> Tariff:
    override = _number(case, "energy_price_override")
    data = case["inline_tariff"]
    if data is None:
        data = json.loads((DATA / version / case["tariff"]).read_text())
        data = data["tariffs"][0] if "tariffs" in data else data
    return _tariff(data, case["currency"], override)


def _start(case: dict[str, Any]) -> datetime:
    day, clock = case["start_local"].split()
    return datetime.combine(DAYS[day], time.fromisoformat(clock), ZONE).astimezone(UTC)


def _rated(case: dict[str, Any], version: str) -> Rating:
    usages: list[Usage] = []
    reservation: Reservation | None = None
    at = _start(case)
    for segment in case["segments"]:
        end = at + timedelta(seconds=float(Decimal(str(segment["min"])) * 60))
        if segment["kind"] == "RESERVE":
            reservation = Reservation(at, end, case["expired"])
        else:
            usages.append(_usage(segment, at, end))
        at = end
    return rate(_tariff_of(case, version), usages, ZONE, reservation=reservation)


def _usage(segment: dict[str, Any], start: datetime, end: datetime) -> Usage:
    kinds = {"CHARGE": UsageKind.CHARGING, "PARK": UsageKind.PARKING}
    energy = _exact(segment, "kwh", 1000)
    assert energy is not None
    power, current = _exact(segment, "power_kw", 1000), _exact(segment, "current_a", 1000)
    return Usage(
        start,
        end,
        int(energy) if energy == int(energy) else Fraction(energy),
        kinds[segment["kind"]],
        None if power is None else int(power),
        None if current is None else int(current),
    )


def _exact(segment: dict[str, Any], key: str, scale: int) -> Decimal | None:
    number = _number(segment, key)
    return None if number is None else number * scale


ROWS = [
    pytest.param(case, version, id=f"{case['id']}-{version}")
    for case in CASES
    for version in ("2.2.1", "2.3.0")
    if version in case["branch"]
]


@pytest.mark.parametrize(("case", "version"), ROWS)
def test_worked_example_comes_out_exactly(case: dict[str, Any], version: str) -> None:
    rating = _rated(case, version)
    if case["assert_excl"] is not None:
        assert to_decimal(rating.exact_net) == Decimal(case["assert_excl"]), rating.trace
    if case["assert_incl"] is not None:
        assert to_decimal(rating.exact_gross) == Decimal(case["assert_incl"]), rating.trace


@pytest.mark.parametrize(("case", "version"), ROWS)
def test_worked_example_adds_up_to_the_cent(case: dict[str, Any], version: str) -> None:
    rating = _rated(case, version)
    parts = [rating.fixed, rating.energy, rating.time, rating.parking, rating.reservation]
    net = sum((part.net.amount for part in parts), Decimal())
    gross = sum((part.gross.amount for part in parts), Decimal())
    if rating.clamp is not None:
        net += rating.clamp.net.amount
        gross += rating.clamp.gross.amount
    assert (net, gross) == (rating.total.net.amount, rating.total.gross.amount)
    assert rating.total.net.amount == to_decimal(rating.exact_net, 2)
    assert rating.total.gross.amount == to_decimal(rating.exact_gross, 2)


def test_all_cases_of_2_2_1_are_here() -> None:
    assert sum("2.2.1" in case["branch"] for case in CASES) >= 29
