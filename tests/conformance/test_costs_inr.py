"""Worked rupee bills with CGST and SGST: our engine and the partner's own give each number.

Every case says in ``how`` how a person gets there with a pencil. CGST equals SGST to the paisa, by
law; where net and gross leave an odd number of paise between them, one stands as rounding.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cms.domain.money import to_decimal
from cms.domain.rating import Rating, Reservation, rate
from cms.domain.tariff import Basis, Tariff, Tax
from cms.domain.usage import Usage
from simulators.emsp.rating import rate as partners_rate
from simulators.emsp.wire import stamp
from tests.conformance import test_costs as worked

CASES = [
    json.loads(line) for line in (worked.DATA / "costs_inr.jsonl").read_text().splitlines() if line
]
ZONE = ZoneInfo("Asia/Kolkata")
TIMES = {"CHARGE": "TIME", "PARK": "PARKING_TIME", "RESERVE": "RESERVATION_TIME"}

Case = dict[str, Any]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))


def tariff(case: Case) -> Tariff:
    """The tariff of a case, its one rate cut in halves: CGST and SGST."""
    given = worked._tariff(case["inline_tariff"], "INR", None)
    return Tariff(
        given.id,
        given.currency,
        tuple(
            type(element)(
                tuple(
                    type(part)(part.dimension, part.price, part.step_size, halves(part.taxes or ()))
                    for part in element.components
                ),
                element.restrictions,
            )
            for element in given.elements
        ),
        given.basis,
        min_price=given.min_price,
        max_price=given.max_price,
    )


def halves(taxes: tuple[Tax, ...]) -> tuple[Tax, ...]:
    return tuple(Tax(name, tax.percent / 2) for tax in taxes for name in ("CGST", "SGST"))


def start(case: Case) -> datetime:
    day, clock = case["start_local"].split()
    at = datetime.combine(worked.DAYS[day], time.fromisoformat(clock), ZONE)
    return at.astimezone(UTC)


def rated(case: Case) -> Rating:
    usages: list[Usage] = []
    reservation: Reservation | None = None
    at = start(case)
    for segment in case["segments"]:
        end = at + timedelta(seconds=float(Decimal(str(segment["min"])) * 60))
        if segment["kind"] == "RESERVE":
            reservation = Reservation(at, end)
        else:
            usages.append(worked._usage(segment, at, end))
        at = end
    return rate(tariff(case), usages, ZONE, reservation=reservation)


def taxed(rating: Rating, name: str) -> Decimal:
    amounts = (line.amount.amount for line in rating.total.taxes if line.name == name)
    return sum(amounts, Decimal("0.00"))


@every_case
def test_rupee_bill_comes_out_to_the_paisa(case: Case) -> None:
    rating = rated(case)
    total = rating.total
    rounding = total.rounding.amount if total.rounding is not None else Decimal("0.00")
    found = (total.net.amount, taxed(rating, "CGST"), taxed(rating, "SGST"), rounding)
    assert [str(each) for each in (*found, total.gross.amount)] == [
        case["excl"], case["cgst"], case["sgst"], case["rounding"], case["incl"],
    ], (case["how"], rating.trace)  # fmt: skip


@every_case
def test_rupee_bill_is_exact_before_it_is_rounded(case: Case) -> None:
    rating = rated(case)
    assert to_decimal(rating.exact_net) == Decimal(case["exact_excl"]), rating.trace
    assert to_decimal(rating.exact_gross) == Decimal(case["exact_incl"]), rating.trace


@every_case
def test_parts_of_a_rupee_bill_add_up_tax_by_tax(case: Case) -> None:
    rating = rated(case)
    if rating.clamp is not None:
        return
    parts = [rating.fixed, rating.energy, rating.time, rating.parking, rating.reservation]
    whole = parts[0]
    for part in parts[1:]:
        whole += part
    assert (whole.net, whole.tax, whole.gross) == (
        rating.total.net,
        rating.total.tax,
        rating.total.gross,
    )
    for part in parts:
        amounts = {name: Decimal() for name in ("CGST", "SGST")}
        for line in part.taxes:
            amounts[line.name] += line.amount.amount
        assert amounts["CGST"] == amounts["SGST"]


@every_case
def test_partner_finds_the_same_rupees_on_its_own(case: Case) -> None:
    wire = json.loads(json.dumps(case["inline_tariff"]), parse_float=Decimal)
    for element in wire["elements"]:
        for part in element["price_components"]:
            part["step_size"] = int(part["step_size"])
    at, periods = start(case), []
    begun = at
    for segment in case["segments"]:
        hours = round(Decimal(str(segment["min"])) / 60, 6)
        volumes = [{"type": TIMES[segment["kind"]], "volume": hours}]
        if segment["kwh"]:
            volumes.append({"type": "ENERGY", "volume": Decimal(str(segment["kwh"]))})
        if segment["power_kw"]:
            volumes.append({"type": "MAX_POWER", "volume": Decimal(str(segment["power_kw"]))})
        periods.append({"start_date_time": stamp(at), "dimensions": volumes, "tariff_id": "INR"})
        at += timedelta(seconds=float(Decimal(str(segment["min"])) * 60))
    cdr = {
        "start_date_time": stamp(begun),
        "end_date_time": stamp(at),
        "currency": "INR",
        "charging_periods": periods,
    }
    cost = partners_rate(cdr, [wire], "Asia/Kolkata")
    assert (str(cost.excl), str(cost.incl)) == (case["excl"], case["incl"])


def test_there_are_enough_cases_of_every_kind() -> None:
    assert len(CASES) >= 25
    assert {case["rounding"] for case in CASES} == {"-0.01", "0.00", "0.01"}
    assert any(tariff(case).basis is Basis.GROSS for case in CASES)
