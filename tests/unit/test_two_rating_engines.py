"""Two engines that share no code price the same random sessions: ours and the partner's.

Ours sees what the charger measured; the partner sees only the tariff and the charging periods,
shortened as they are on the wire.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cms.domain.ids import TariffId
from cms.domain.rated import Period, Rating
from cms.domain.rating import rate as our_rate
from cms.domain.switching import Switch
from cms.domain.tariff import (
    Basis,
    Dimension,
    Element,
    PriceComponent,
    Restrictions,
    Tariff,
    Tax,
)
from cms.domain.usage import Usage, UsageKind
from simulators.emsp.rating import rate as partners_rate
from simulators.emsp.wire import stamp

Json = dict[str, Any]

DAYS = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
TIME_NAMES = {UsageKind.CHARGING: "TIME", UsageKind.PARKING: "PARKING_TIME"}
KINDS = [*TIME_NAMES, UsageKind.CHARGING, UsageKind.UNBILLED]
BATCH = 100


def decimal(value: Fraction, digits: int) -> Decimal:
    return Decimal(round(value * 10**digits)).scaleb(-digits)


def restrictions(luck: random.Random) -> tuple[Restrictions, Json]:
    """A random restriction, as ours and as OCPI's."""
    bound = luck.choice(["min", "max"])
    match luck.choice(["none", "clock", "kwh", "duration", "power", "day"]):
        case "clock":
            start, end = luck.sample(range(24), 2)
            texts = {"start_time": f"{start:02}:00", "end_time": f"{end:02}:00"}
            return Restrictions(start_time=time(start), end_time=time(end)), texts
        case "day":
            day = luck.randrange(7)
            return Restrictions(day_of_week=frozenset({day})), {"day_of_week": [DAYS[day]]}
        case "duration":
            seconds = {f"{bound}_duration": luck.randrange(1, 7200)}
            return Restrictions(**seconds), seconds
        case "kwh" | "power" as quantity:
            limit: Any = {f"{bound}_{quantity}": Decimal(luck.randrange(1, 20))}
            return Restrictions(**limit), limit
        case _:
            return Restrictions(), {}


def element(luck: random.Random, basis: Basis) -> tuple[Element, Json]:
    ours, ocpi = restrictions(luck)
    dimensions = luck.sample(list(Dimension), luck.randrange(1, 4))
    if "min_power" in ocpi or "max_power" in ocpi:
        # Periods show the least and the greatest power, not when a flat fee first applied.
        dimensions = [d for d in dimensions if d is not Dimension.FLAT] or [Dimension.ENERGY]
    pairs = [component(luck, dimension, basis) for dimension in dimensions]
    wire: Json = {"price_components": [pair[1] for pair in pairs]}
    if ocpi:
        wire["restrictions"] = ocpi
    return Element(tuple(pair[0] for pair in pairs), ours), wire


def component(
    luck: random.Random, dimension: Dimension, basis: Basis
) -> tuple[PriceComponent, Json]:
    price, step = Decimal(luck.randrange(5000)).scaleb(-2), luck.choice([1, 1, 1, 60, 300, 500])
    vat = luck.choice([None, Decimal(18), Decimal(5)])
    wire: Json = {"type": dimension.name, "price": price, "step_size": step}
    if vat is not None:
        wire["vat"] = vat
        if basis is Basis.GROSS:
            wire["price"] = decimal(Fraction(price) * 100 / (100 + Fraction(vat)), 9)
    taxes = () if vat is None else (Tax("VAT", vat),)
    return PriceComponent(dimension, price, step, taxes), wire


def usages(luck: random.Random) -> list[Usage]:
    """A session around the spring change of the clocks."""
    at = datetime(2026, 3, 28, luck.randrange(24), luck.randrange(60), 7, tzinfo=UTC)
    found = []
    for _ in range(luck.randrange(1, 12)):
        end = at + timedelta(seconds=luck.randrange(1, 4000))
        kind = luck.choice(KINDS)
        wh = luck.randrange(6000) if kind is UsageKind.CHARGING else 0
        power = luck.randrange(22000) if wh and luck.random() < 0.5 else None
        found.append(Usage(at, end, wh, kind, power))
        at = end
    return found


def dimensions(period: Period) -> list[Json]:
    hours = Fraction(period.duration // timedelta(microseconds=1), 3_600_000_000)
    volumes: list[tuple[str, Decimal]] = []
    if period.wh:
        volumes.append(("ENERGY", decimal(Fraction(period.wh) / 1000, 6)))
    if period.kind in TIME_NAMES:
        volumes.append((TIME_NAMES[period.kind], decimal(hours, 6)))
    for name, watts in (("MIN_POWER", period.min_power_w), ("MAX_POWER", period.max_power_w)):
        if watts is not None:
            volumes.append((name, Decimal(watts) / 1000))
    return [{"type": name, "volume": volume} for name, volume in volumes]


def cdr(rating: Rating) -> Json:
    periods = [
        {
            "start_date_time": stamp(period.start),
            "dimensions": dimensions(period),
            "tariff_id": period.tariff,
        }
        for period in rating.periods
        if dimensions(period)  # dark time has none, and a period needs one
    ]
    end = stamp(rating.periods[-1].end)
    return {"end_date_time": end, "currency": "INR", "charging_periods": periods}


@pytest.mark.parametrize("batch", range(5))
def test_partner_finds_our_total_from_the_tariff_and_the_periods_alone(batch: int) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        luck = random.Random(seed)
        basis = luck.choice(list(Basis))
        elements = [element(luck, basis) for _ in range(luck.randrange(1, 5))]
        tariff = Tariff(TariffId("T"), "INR", tuple(pair[0] for pair in elements), basis)
        zone = luck.choice(["UTC", "Asia/Kolkata", "Europe/Berlin"])
        ours = our_rate(tariff, usages(luck), ZoneInfo(zone))
        bill = cdr(ours)
        if not bill["charging_periods"]:
            continue

        wire = {"id": "T", "currency": "INR", "elements": [pair[1] for pair in elements]}
        theirs = partners_rate(bill, [wire], zone)

        found = (theirs.excl, theirs.incl)
        assert found == (ours.total.net.amount, ours.total.gross.amount), f"seed {seed}"


@pytest.mark.parametrize("batch", range(3))
def test_both_agree_where_the_tariff_switches_while_the_session_runs(batch: int) -> None:
    """A second and a third tariff, each at a random moment, before the start or after the end too;
    the third is the first one again every other time."""
    several = 0
    for seed in range(10_000 + batch * BATCH, 10_000 + (batch + 1) * BATCH):
        luck = random.Random(seed)
        basis = luck.choice(list(Basis))
        made = {id: [element(luck, basis) for _ in range(luck.randrange(1, 4))] for id in "ABC"}
        tariffs = {
            id: Tariff(TariffId(id), "INR", tuple(pair[0] for pair in pairs), basis)
            for id, pairs in made.items()
        }
        zone, used = luck.choice(["UTC", "Asia/Kolkata", "Europe/Berlin"]), usages(luck)
        lasts = int((used[-1].end - used[0].start).total_seconds())
        moments = sorted(luck.randrange(-60, lasts + 60) for _ in range(2))
        switches = [
            Switch(used[0].start + timedelta(seconds=at), tariffs[id])
            for at, id in zip(moments, luck.choice(["BC", "BA"]), strict=True)
        ]
        ours = our_rate(tariffs["A"], used, ZoneInfo(zone), switches=switches)
        bill = cdr(ours)
        if not bill["charging_periods"]:
            continue
        several += len({period.tariff for period in ours.periods}) > 1

        wire = [
            {"id": id, "currency": "INR", "elements": [pair[1] for pair in pairs]}
            for id, pairs in made.items()
        ]
        theirs = partners_rate(bill, wire, zone)

        found = (theirs.excl, theirs.incl)
        assert found == (ours.total.net.amount, ours.total.gross.amount), f"seed {seed}"
        assert ours.wh == sum(each.wh for each in used)
    assert several > BATCH / 2
