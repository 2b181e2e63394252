"""The one rating engine: running sessions, bills and quotes are all priced by :func:`rate`.

Per dimension the first element holds whose restrictions all match (moment by moment); volumes per
component are summed over the session; step_size is applied once to the session's totals; exact
costs are clamped; and one rounding, half up, makes minor units of the totals, from which all parts
are cut by largest remainder. The order and the rules are those of OCPI 2.2.1, tariffs module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from functools import cache
from math import lcm
from zoneinfo import ZoneInfo

from cms.domain.money import (
    Money,
    Price,
    TaxLine,
    apportion,
    half_up_ratio,
    minor_digits,
    share,
    to_minor,
)
from cms.domain.price_plan import MICROSECONDS, Plan, PlannedComponent, TariffPlan, plan_of
from cms.domain.rated import Clamp, CostLine, Period, Rating, Reservation
from cms.domain.rating_trace import trace_of
from cms.domain.sweep import KINDS, Sweep, sweep
from cms.domain.switching import Part, Switch, parts_of
from cms.domain.tariff import Dimension, Tariff, Tax
from cms.domain.usage import Usage, UsageKind

__all__ = ["Clamp", "CostLine", "Period", "Rating", "Reservation", "rate"]

_SAME_TIME = 1800
"""Microseconds: half of the sixth digit of an hour. A total that exceeds a multiple of the step by
no more is that multiple, or else a charger's milliseconds would cost a whole block."""

_SAME_ENERGY = Fraction(1, 2000)
"""Wh: half of the sixth digit of a kWh, for energy that is no whole number of Wh."""


class _Part(IntEnum):
    """The parts of a total, in the order in which a bill names them."""

    FIXED = 0
    ENERGY = 1
    TIME = 2
    PARKING = 3
    RESERVATION = 4


_PART_OF = {
    Dimension.FLAT: _Part.FIXED,
    Dimension.ENERGY: _Part.ENERGY,
    Dimension.TIME: _Part.TIME,
    Dimension.PARKING_TIME: _Part.PARKING,
}


def rate(
    tariff: Tariff,
    usages: Sequence[Usage],
    zone: ZoneInfo,
    *,
    reservation: Reservation | None = None,
    switches: Sequence[Switch] = (),
) -> Rating:
    """Price a session.

    Where its tariff was switched, each part is priced under its own: the restrictions of each speak
    of the whole session, a flat price is due once, steps round the totals up by the component that
    priced last, and the limits are those of the tariff that held at the end.

    Args:
        tariff: as it was when the session started.
        usages: contiguous, in order; empty when a reservation was never used. Dark (UNBILLED)
            time costs nothing and does not count for duration restrictions; energy that the
            register counted in it is billed.
        zone: the site's; times of day and weekdays of the tariff are its wall clock.
        reservation: time for which the EVSE was held before; the first tariff prices it.
        switches: tariffs that took its place while it ran, in order of time.

    Raises:
        InvalidValue: if a usage does not start where the one before ended, or a switch changes the
            currency.
    """
    costs: list[_Cost] = []
    periods: list[Period] = []
    walks: list[_Walk] = []
    if reservation is not None:
        plan = plan_of(tariff)
        phase = plan.expired if reservation.expired else plan.reserved
        walks.append(_Walk(tariff, phase, _walk_reservation(phase, reservation, zone)))
        costs += _costs(walks, reserved=True)
        periods += walks[-1].sweep.periods(tariff.id)
    parts = parts_of(tariff, usages, switches)
    last = parts[-1].tariff
    if usages:
        session = _walk_parts(parts, zone)
        walks += session
        costs += _costs(session, reserved=False)
        for walk in session:
            periods += walk.sweep.periods(walk.tariff.id)
    sums = _sum_up(tariff.currency, plan_of(last), costs, with_minimum=bool(usages))
    held = [walk.tariff for walk in walks] or [last]
    several = any(each is not held[0] for each in held)
    lines = tuple(_line(cost, several) for cost in costs)
    spent = {kind: _spent(walks, kind) for kind in KINDS}
    return Rating(
        tariff=held[0].id,
        currency=tariff.currency,
        periods=tuple(periods),
        lines=lines,
        fixed=sums.parts[_Part.FIXED],
        energy=sums.parts[_Part.ENERGY],
        time=sums.parts[_Part.TIME],
        parking=sums.parts[_Part.PARKING],
        reservation=sums.parts[_Part.RESERVATION],
        total=sums.total,
        clamp=sums.clamp,
        exact_net=sums.net,
        exact_gross=sums.gross,
        wh=walks[-1].sweep.energy if usages else 0,
        charging_time=spent[UsageKind.CHARGING],
        parking_time=spent[UsageKind.PARKING],
        unbilled_time=spent[UsageKind.UNBILLED],
        reserved_time=spent[UsageKind.RESERVED],
        trace=trace_of(
            held,
            periods,
            lines,
            sums.total,
            sums.clamp,
            sums.exact,
            zone,
        ),
    )


def _spent(walks: Sequence[_Walk], kind: UsageKind) -> timedelta:
    return timedelta(microseconds=sum(walk.sweep.spent[kind] for walk in walks))


def _walk_reservation(plan: Plan, reservation: Reservation, zone: ZoneInfo) -> Sweep:
    held = Usage(reservation.start, reservation.end, 0, UsageKind.RESERVED)
    return sweep(plan, [held], zone)


@dataclass(slots=True)
class _Walk:
    """A part of a session that was walked through the plan of its tariff."""

    tariff: Tariff
    plan: Plan
    sweep: Sweep


def _walk_parts(parts: Sequence[Part], zone: ZoneInfo) -> list[_Walk]:
    walks: list[_Walk] = []
    before: Sweep | None = None
    for part in parts:
        plan = plan_of(part.tariff).session
        before = sweep(plan, part.usages, zone, before)
        walks.append(_Walk(part.tariff, plan, before))
    return walks


@dataclass(slots=True)
class _Cost:
    """What one component costs, exact; volumes in its own unit (Wh, microseconds, 1).

    Attributes:
        over: of which *net* and *gross* are numerators.
    """

    tariff: Tariff
    component: PlannedComponent
    part: _Part
    volume: int | Fraction
    billed: int | Fraction
    over: int

    @property
    def net(self) -> int:
        return self.component.net * self.billed.numerator

    @property
    def gross(self) -> int:
        return self.component.gross * self.billed.numerator


def _costs(walks: Sequence[_Walk], *, reserved: bool) -> list[_Cost]:
    """Apply the steps, then price every component that was used, in the order of a bill."""
    billed = [_measured(walk.sweep) for walk in walks]
    _step_energy(walks, billed)
    _step_time(walks, billed)
    costs: list[_Cost] = []
    for walk, amounts in zip(walks, billed, strict=True):
        costs += _costs_of(walk, amounts, reserved)
    if len(walks) > 1:
        costs.sort(key=lambda cost: cost.part)
    return costs


def _measured(walk: Sweep) -> list[int | Fraction]:
    """Return what each component prices before any step, the flat ones once."""
    billed = list(walk.volumes)
    for index in walk.flats:
        if index is not None:
            walk.volumes[index] = billed[index] = 1
    return billed


def _costs_of(walk: _Walk, billed: Sequence[int | Fraction], reserved: bool) -> list[_Cost]:
    volumes = walk.sweep.volumes
    costs = [
        _cost(walk, component, volumes[index], billed[index], reserved)
        for index, component in enumerate(walk.plan.components)
        if billed[index] or volumes[index]
    ]
    costs.sort(key=lambda cost: (cost.part, cost.component.element))
    return costs


def _cost(
    walk: _Walk,
    component: PlannedComponent,
    volume: int | Fraction,
    billed: int | Fraction,
    reserved: bool,
) -> _Cost:
    part = _Part.RESERVATION if reserved else _PART_OF[component.dimension]
    over = walk.plan.denominator * billed.denominator
    return _Cost(walk.tariff, component, part, volume, billed, over)


def _step_energy(walks: Sequence[_Walk], billed: Sequence[list[int | Fraction]]) -> None:
    """Round the session's priced energy up by the last energy component, which bears the rest."""
    for number in reversed(range(len(walks))):
        walk, last = walks[number], walks[number].sweep.last_energy
        if last is not None:
            volume = _total(walks, Dimension.ENERGY)
            billed[number][last] += _surplus(volume, walk.plan.components[last].step, _SAME_ENERGY)
            return


def _step_time(walks: Sequence[_Walk], billed: Sequence[list[int | Fraction]]) -> None:
    """Round priced parking up if there is any, else priced charging (or reserved) time."""
    lasts = [each.sweep.last_parking for each in walks]
    dimension = Dimension.PARKING_TIME
    if not any(each is not None for each in lasts):
        lasts, dimension = [each.sweep.last_time for each in walks], Dimension.TIME
    for number in reversed(range(len(walks))):
        last = lasts[number]
        if last is None:
            continue
        step = walks[number].plan.components[last].step
        if step > 1:
            volume = _total(walks, dimension)
            billed[number][last] += _surplus(volume, step * MICROSECONDS, _SAME_TIME)
        return


def _total(walks: Sequence[_Walk], dimension: Dimension) -> int | Fraction:
    return sum(
        volume
        for walk in walks
        for component, volume in zip(walk.plan.components, walk.sweep.volumes, strict=True)
        if component.dimension is dimension
    )


def _surplus(volume: int | Fraction, step: int, same: int | Fraction) -> int | Fraction:
    """What is missing to the next multiple of *step*; nothing within *same* above a multiple."""
    if step == 0 or volume <= 0 or (step == 1 and isinstance(volume, int)):
        return 0
    over = volume % step
    return 0 if not over or over <= same < step else step - over


@dataclass(slots=True)
class _Sums:
    """Totals and parts of a rating."""

    parts: list[Price]
    total: Price
    clamp: Clamp | None
    exact: tuple[Fraction, Fraction]
    net: Fraction
    gross: Fraction


_Cell = tuple[int, Tax, int]
"""Part, tax, and its exact amount over the denominator of the sums."""


def _sum_up(
    currency: str, plan: TariffPlan, costs: Sequence[_Cost], *, with_minimum: bool
) -> _Sums:
    """Clamp the exact sums, round the totals once, and cut every part from them.

    The sums are integers over one denominator, that of all prices and volumes.
    """
    over = lcm(*(cost.over for cost in costs))
    scale = 10 ** minor_digits(currency)
    nets = [0] * len(_Part)
    whole_gross = 0
    for cost in costs:
        nets[cost.part] += cost.net * (over // cost.over)
        whole_gross += cost.gross * (over // cost.over)
    net, gross = Fraction(sum(nets), over), Fraction(whole_gross, over)
    cells = _tax_cells(costs, over)
    rounded_net = half_up_ratio(sum(nets) * scale, over)
    rounded_gross = half_up_ratio(whole_gross * scale, over)
    cut = apportion(rounded_net, [amount * scale for amount in nets], over)
    taxes = _tax_lines(scale, over, cells, rounded_gross - rounded_net)
    parts = [
        _price(currency, minor, lines, rest)
        for minor, (lines, rest) in zip(cut, taxes, strict=True)
    ]
    total = _added(currency, rounded_net, taxes)
    if not plan.limited:
        return _Sums(parts, total, None, (net, gross), net, gross)
    min_net, min_gross = (plan.min_net, plan.min_gross) if with_minimum else (None, None)
    clamped_net = _clamped(net, min_net, plan.max_net)
    clamped_gross = _clamped(gross, min_gross, plan.max_gross)
    clamp = None
    if (clamped_net, clamped_gross) != (net, gross):
        due_net, due_gross = to_minor(clamped_net, currency), to_minor(clamped_gross, currency)
        clamp = Clamp(
            Money.from_minor(due_net - rounded_net, currency),
            Money.from_minor(due_gross - rounded_gross, currency),
        )
        both = plan.max_gross is not None or min_gross is not None
        total = _clamped_price(total, cells, due_net, due_gross, both)
    return _Sums(parts, total, clamp, (net, gross), clamped_net, clamped_gross)


def _tax_cells(costs: Sequence[_Cost], over: int) -> list[_Cell]:
    """Exact taxes per part and tax, in order of first appearance."""
    cells: dict[tuple[int, str, Decimal], _Cell] = {}
    for cost in costs:
        times = cost.billed.numerator * (over // cost.over)
        for tax, per_unit in cost.component.taxes:
            key = (cost.part, tax.name, tax.percent)
            _, first, amount = cells.get(key, (cost.part, tax, 0))
            cells[key] = (cost.part, first, amount + per_unit * times)
    return list(cells.values())


_PartTaxes = tuple[list[tuple[Tax, int]], int]
"""A part's taxes in minor units, and its rounding."""


def _tax_lines(scale: int, over: int, cells: Sequence[_Cell], tax: int) -> list[_PartTaxes]:
    """Share the rounded *tax* among parts and taxes; twins get the same, to the minor unit.

    Taxes of one percentage on one price are twins (CGST and SGST must be equal by law): each is
    rounded half up. Where net and gross leave an odd number of minor units between them, the one
    by which the twins miss it is the rounding, on the largest part.
    """
    amounts: list[int] = [0] * len(cells)
    rest = [0] * len(_Part)
    groups = _twins(cells)
    shares = apportion(
        tax, [sum(cells[i][2] for row in rows for i in row) * scale for rows in groups], over
    )
    for rows, whole in zip(groups, shares, strict=True):
        exact = [cells[row[0]][2] * scale for row in rows]
        twins = len(rows[0])
        each = whole if twins == 1 else half_up_ratio(sum(exact), over)
        for row, minor in zip(rows, apportion(each, exact, over), strict=True):
            for index in row:
                amounts[index] = minor
        largest = max(rows, key=lambda row: abs(cells[row[0]][2]))
        rest[cells[largest[0]][0]] += whole - each * twins
    lines: list[list[tuple[Tax, int]]] = [[] for _ in _Part]
    for (part, kind, _), minor in zip(cells, amounts, strict=True):
        lines[part].append((kind, minor))
    return list(zip(lines, rest, strict=True))


_nothing = cache(Price.zero)
"""Most parts of most bills cost nothing."""


def _price(currency: str, net: int, taxes: Sequence[tuple[Tax, int]], rounding: int) -> Price:
    """Make a price of minor units."""
    if not (net or taxes or rounding):
        return _nothing(currency)
    return Price(
        Money.from_minor(net, currency),
        tuple(
            [
                TaxLine(tax.name, tax.percent, Money.from_minor(minor, currency))
                for tax, minor in taxes
            ]
        ),
        rounding=Money.from_minor(rounding, currency) if rounding else None,
    )


def _twins(cells: Sequence[_Cell]) -> list[list[tuple[int, ...]]]:
    """Group cells (by index): per set of twin taxes, one row per part, its twins side by side.

    Twins have one percentage and one exact amount: they tax the same price.
    """
    rows: dict[tuple[int, Decimal, int], list[int]] = {}
    for index, (part, tax, amount) in enumerate(cells):
        rows.setdefault((part, tax.percent, amount), []).append(index)
    groups: dict[tuple[Decimal, tuple[str, ...]], list[tuple[int, ...]]] = {}
    for (_, percent, _), row in rows.items():
        names = tuple(cells[index][1].name for index in row)
        groups.setdefault((percent, names), []).append(tuple(row))
    return list(groups.values())


def _added(currency: str, net: int, parts: Sequence[_PartTaxes]) -> Price:
    """Add up the parts' taxes and roundings; the sum of their nets is *net*."""
    merged: dict[tuple[str, Decimal], tuple[Tax, int]] = {}
    for taxes, _ in parts:
        for tax, minor in taxes:
            key = (tax.name, tax.percent)
            merged[key] = (tax, minor + (merged[key][1] if key in merged else 0))
    total = _price(currency, net, tuple(merged.values()), 0)
    if any(rest for _, rest in parts):
        over = Money.from_minor(sum(rest for _, rest in parts), currency)
        return replace(total, rounding=over)
    return total


def _clamped(value: Fraction, low: Fraction | None, high: Fraction | None) -> Fraction:
    if low is not None and value < low:
        value = low
    return high if high is not None and value > high else value


def _clamped_price(total: Price, cells: Sequence[_Cell], net: int, gross: int, both: bool) -> Price:
    """Return the price after a clamp to *net* and *gross* minor units.

    Where the tariff limits net and gross, what lies between them is tax, and is split over the
    session's taxes in their own proportion. Otherwise (only net is limited, or nothing is taxed)
    the taxes stay what they were and the clamp line bears the difference.
    """
    currency = total.currency
    kinds = [(line.name, line.percent) for line in total.taxes]
    weights = [
        sum(amount for _, tax, amount in cells if (tax.name, tax.percent) == kind) for kind in kinds
    ]
    base = Money.from_minor(net, currency)
    if both and any(weights) and gross >= net:
        amounts, over = _evened(kinds, weights, share(gross - net, weights))
        return Price(
            base,
            tuple(
                TaxLine(name, percent, Money.from_minor(minor, currency))
                for (name, percent), minor in zip(kinds, amounts, strict=True)
            ),
            rounding=Money.from_minor(over, currency) if over else None,
        )
    rest = Money.from_minor(gross - net, currency) - total.tax
    return Price(base, total.taxes, rest if rest else None)


def _evened(
    kinds: Sequence[tuple[str, Decimal]], weights: Sequence[int], amounts: Sequence[int]
) -> tuple[list[int], int]:
    """Give taxes of one percentage and weight the same amount; return what is left over too."""
    least: dict[tuple[Decimal, int], int] = {}
    keys = [(percent, weight) for (_, percent), weight in zip(kinds, weights, strict=True)]
    for key, amount in zip(keys, amounts, strict=True):
        least[key] = min(amount, least.get(key, amount))
    even = [least[key] for key in keys]
    return even, sum(amounts) - sum(even)


def _line(cost: _Cost, several: bool) -> CostLine:
    tariff, component = cost.tariff, cost.component
    return CostLine(
        component.dimension,
        component.element,
        _shown(component.dimension, cost.volume),
        _shown(component.dimension, cost.billed),
        component.source.price,
        tariff.basis,
        tariff.taxes_of(component.source),
        Fraction(cost.net, cost.over),
        Fraction(cost.gross, cost.over),
        cost.part is _Part.RESERVATION,
        tariff.id if several else None,
    )


def _shown(dimension: Dimension, volume: int | Fraction) -> int | Fraction:
    """Seconds for times (the engine counts microseconds), whole where they are whole."""
    if dimension in (Dimension.ENERGY, Dimension.FLAT):
        return volume
    seconds = Fraction(volume, MICROSECONDS)
    return seconds.numerator if seconds.denominator == 1 else seconds
