"""CO: each CDR's cost worked out a second time, from the tariffs and periods that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from ocpi_check.catalogue import MODERN, Checks, Skipped
from ocpi_check.checks.objects import clamped, judge, net
from ocpi_check.ground import Ground, named
from ocpi_check.shapes import PARTS, SHAPES
from ocpi_check.wire import Json, decimal
from simulators.emsp.rating import DECIMALS, CannotRate, Cost, rate

check = Checks()

PART_OF = {
    "total_energy_cost": "ENERGY",
    "total_time_cost": "TIME",
    "total_parking_cost": "PARKING_TIME",
}


async def _rateable(on: Ground) -> list[Json]:
    """CDRs whose shape allows to work with them, in the form of 2.2.1.

    Raises:
        Skipped: there are none.
    """
    shape = SHAPES[on.version]["cdrs"]
    good = [
        each
        for each in await on.some("cdrs")
        if not any(p.rule not in ("TR-34", "TR-31", "LO-12", "B2-05") for p in shape(each, ""))
        and (each.get("tariffs") or on.version == "2.1.1")
    ]
    found = [each for each in map(_modern, good) if each is not None]
    if not found:
        raise Skipped("no CDR can be worked out (none, or none of the right shape)")
    return found


def _modern(cdr: Json) -> Json | None:
    """*cdr* with prices and periods as in 2.2.1; None if it does not hold all of its price.

    What 2.1.1 has no member for (limits, reservations) stands in a tariff's text, if anywhere.
    """
    core = {**cdr, "tariffs": [_tariff(each) for each in cdr.get("tariffs") or []]}
    for name in ("total_cost", *PARTS):
        if name in core:
            core[name] = _price(core[name])
    if "stop_date_time" in cdr:
        if not core["tariffs"] or any(each.get("tariff_alt_text") for each in core["tariffs"]):
            return None
        named_ = {"tariff_id": core["tariffs"][0]["id"]}
        core["end_date_time"] = cdr["stop_date_time"]
        core["charging_periods"] = [{**each, **named_} for each in cdr["charging_periods"]]
    return core


def _price(price: Any) -> Json:
    if not isinstance(price, dict):
        return {"excl_vat": price}
    if "before_taxes" not in price:
        return price
    taxes = [Decimal(each["amount"]) for each in price.get("taxes") or []]
    before = Decimal(price["before_taxes"])
    return {"excl_vat": before, "incl_vat": before + sum(taxes, Decimal(0))}


def _tariff(tariff: Json) -> Json:
    core = dict(tariff)
    for name in ("min_price", "max_price"):
        limit = core.get(name)
        if isinstance(limit, dict) and "before_taxes" in limit:
            core[name] = {"excl_vat": limit["before_taxes"]}
            if limit.get("after_taxes") is not None:
                core[name]["incl_vat"] = limit["after_taxes"]
    return core


async def _zone(on: Ground, cdr: Json) -> str:
    place = cdr.get("cdr_location") or cdr.get("location") or {}
    if place.get("time_zone"):
        return str(place["time_zone"])
    for each in await on.present("locations"):
        if each.get("id") == place.get("id"):
            return str(each.get("time_zone") or "UTC")
    return "UTC"


async def _costs(on: Ground) -> list[tuple[Json, Cost]]:
    found = []
    for each in await _rateable(on):
        try:
            found.append((each, rate(each, each["tariffs"], await _zone(on, each))))
        except (CannotRate, KeyError, ValueError, TypeError, ArithmeticError):
            continue  # CD-11 or the shape says why
    if not found:
        raise Skipped("no CDR can be worked out")
    return found


@check("CO-27", "bills what its tariffs give, rounded once to the smallest unit")
async def total(on: Ground) -> None:
    problems = [
        f"{named('cdrs', each)} costs {net(each['total_cost'])} excluding tax, "
        f"its own tariffs give {cost.excl}"
        for each, cost in await _costs(on)
        if not _agrees(net(each["total_cost"]), cost.excl)
    ]
    await judge(on, "cdrs", problems)


def _agrees(told: Decimal | None, due: Decimal) -> bool:
    return told is None or abs(told - due) * 2 < _unit(due)


def _unit(amount: Decimal) -> Decimal:
    exponent = amount.as_tuple().exponent
    return Decimal(1).scaleb(exponent if isinstance(exponent, int) else 0)


@check("CO-24", "adds the tax of each component to the total including tax", versions=MODERN)
async def taxes(on: Ground) -> None:
    problems = []
    for each, cost in await _costs(on):
        told = decimal(each["total_cost"].get("incl_vat"))
        if not _agrees(told, cost.incl) and _agrees(net(each["total_cost"]), cost.excl):
            problems.append(
                f"{named('cdrs', each)} costs {told} including tax, its own tariffs give {cost.incl}"
            )
    await judge(on, "cdrs", problems)


@check("CO-25", "clamps totals by min_price and max_price, each side for itself", versions=MODERN)
async def clamps(on: Ground) -> None:
    found = [(each, cost) for each, cost in await _costs(on) if clamped(each)]
    if not found:
        raise Skipped("no CDR has a tariff with a least or greatest price")
    problems = [
        f"{named('cdrs', each)} is {net(each['total_cost'])}, clamped it would be {cost.excl}"
        for each, cost in found
        if not _agrees(net(each["total_cost"]), cost.excl)
    ]
    await judge(on, "cdrs", problems)


@check("CO-28", "has cost parts that add up exactly to the total", "E", versions=MODERN)
async def exact_sum(on: Ground) -> None:
    problems = []
    for each in await _rateable(on):
        parts = [net(each[name]) or Decimal(0) for name in PARTS if each.get(name)]
        told = net(each["total_cost"])
        if not parts or told is None or clamped(each) or each.get("credit"):
            continue
        if sum(parts, Decimal(0)) != told:
            problems.append(f"{named('cdrs', each)} parts add up to {sum(parts)}, total {told}")
    await judge(on, "cdrs", problems)


def _only(cdr: Json, kind: str) -> Json:
    """*cdr* under tariffs that price one dimension of a session and nothing else."""
    tariffs = [
        {k: v for k, v in each.items() if k not in ("min_price", "max_price")}
        | {"elements": list(_elements(each, kind))}
        for each in cdr["tariffs"]
    ]
    return {**cdr, "tariffs": tariffs}


def _elements(tariff: Json, kind: str) -> Iterator[Json]:
    for element in tariff["elements"]:
        if (element.get("restrictions") or {}).get("reservation"):
            continue
        kept = [each for each in element["price_components"] if each["type"] == kind]
        if kept:
            yield {**element, "price_components": kept}


def _part(id: str, name: str, title: str) -> None:
    @check(id, title, versions=MODERN)
    async def judged(on: Ground) -> None:
        problems, seen = [], False
        for each in await _rateable(on):
            told = net(each.get(name))
            if told is None or each.get("credit"):
                continue
            alone = _only(each, PART_OF[name])
            try:
                due = rate(alone, alone["tariffs"], await _zone(on, each)).excl
            except (CannotRate, KeyError, ValueError, TypeError, ArithmeticError):
                continue
            seen = True
            unit = Decimal(1).scaleb(-DECIMALS.get(str(each["currency"]), 2))
            if abs(told - due) > unit:  # a part may carry the rounding of the whole
                problems.append(f"{named('cdrs', each)} {name} is {told}, its tariffs give {due}")
        if not seen:
            raise Skipped(f"no CDR has a {name}")
        await judge(on, "cdrs", problems)


_part("CO-10", "total_energy_cost", "prices each part of the energy by its component")
_part("CO-14", "total_time_cost", "prices the charging time by its component")
_part("CO-13", "total_parking_cost", "prices the parking time by its component")
