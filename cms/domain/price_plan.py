"""A tariff prepared for rating: restrictions become bit masks, prices exact integers per unit, all
over the one denominator of the tariff.

Element *i* of a plan is bit *i*. Which elements hold is the AND of a mask from the clock and masks
from the bands of energy, duration, power and current; which component prices what under a mask is
worked out once and remembered.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import NamedTuple

from cms.domain.tariff import (
    Dimension,
    Element,
    PriceComponent,
    PriceLimit,
    ReservationPhase,
    Restrictions,
    Tariff,
    Tax,
)
from cms.domain.usage import UsageKind

MICROSECONDS = 1_000_000
"""Microseconds in a second: the engine's unit of time."""

_UNITS = {
    Dimension.ENERGY: 1000,  # a price per kWh, volumes in Wh
    Dimension.FLAT: 1,
    Dimension.TIME: 3600 * MICROSECONDS,
    Dimension.PARKING_TIME: 3600 * MICROSECONDS,
}


class PlannedComponent(NamedTuple):
    """A price component with its exact price per Wh, microsecond or session.

    Attributes:
        net, gross, taxes: integers over the plan's ``denominator``: sums of them are exact, and
            cost a tenth of sums of fractions.
    """

    element: int
    dimension: Dimension
    step: int
    net: int
    gross: int
    taxes: tuple[tuple[Tax, int], ...]
    source: PriceComponent


class Choice(NamedTuple):
    """Which components (by index) hold together; ``None`` = free.

    ``flats`` has one entry per group of elements whose flat price is due once on its own.
    """

    flats: tuple[int | None, ...]
    energy: int | None
    time: int | None
    parking: int | None

    def of(self, kind: UsageKind) -> int | None:
        """The component that prices time of *kind*, which is not dark."""
        return self.parking if kind is UsageKind.PARKING else self.time


class Bands:
    """A quantity cut at thresholds; each band knows which elements may hold in it."""

    __slots__ = ("masks", "thresholds")

    def __init__(self, ranges: Sequence[tuple[int | Fraction | None, int | Fraction | None]]):
        bounds = {bound for pair in ranges for bound in pair if bound is not None}
        self.thresholds: list[int | Fraction] = sorted(bounds)
        lows: list[int | Fraction] = [-1, *self.thresholds]
        self.masks = [
            sum(1 << i for i, pair in enumerate(ranges) if _within(low, *pair)) for low in lows
        ]

    def mask(self, value: int | Fraction) -> int:
        """Elements that hold at *value*: lower bounds included, upper ones excluded."""
        return self.masks[bisect_right(self.thresholds, value)]

    def after(self, value: int | Fraction) -> int | Fraction | None:
        """The next threshold above *value*."""
        return self.around(value)[1]

    def around(self, value: int | Fraction) -> tuple[int | Fraction | None, int | Fraction | None]:
        """The thresholds between which the same elements hold as at *value*: the lower one
        included, the upper one excluded; ``None`` where there is none."""
        thresholds = self.thresholds
        place = bisect_right(thresholds, value)
        return (
            thresholds[place - 1] if place else None,
            thresholds[place] if place < len(thresholds) else None,
        )


def _within(value: int | Fraction, low: int | Fraction | None, high: int | Fraction | None) -> bool:
    return (low is None or value >= low) and (high is None or value < high)


class Plan:
    """Some elements of one tariff, in order of precedence, ready to be asked.

    Args:
        elements: (number in the tariff from 1, element).
        flat_groups: how many elements, from the front, form each group of flat prices.
        denominator: of all of the tariff's prices, see :func:`_denominator`.
    """

    __slots__ = (
        "_choices",
        "_clocked",
        "_groups",
        "_unclocked",
        "components",
        "current",
        "current_unknown",
        "denominator",
        "duration",
        "energy",
        "flat",
        "power",
        "priced",
        "times",
    )

    def __init__(
        self,
        tariff: Tariff,
        elements: Sequence[tuple[int, Element]],
        flat_groups: Sequence[int],
        denominator: int,
    ) -> None:
        self.denominator = denominator
        rules = [element.restrictions for _, element in elements]
        self.components: list[PlannedComponent] = []
        self.priced = [
            {part.dimension: self._plan(tariff, number, part) for part in element.components}
            for number, element in elements
        ]
        self.energy = _bands(rules, "kwh", 1000)
        self.power = _bands(rules, "power", 1000)
        self.current = _bands(rules, "current", 1000)
        self.duration = _bands(rules, "duration", MICROSECONDS)
        self.current_unknown = sum(
            1 << i
            for i, rule in enumerate(rules)
            if rule.min_current is None and rule.max_current is None
        )
        self._clocked = [(1 << i, rule) for i, rule in enumerate(rules) if rule.on_clock]
        self._unclocked = sum(1 << i for i, rule in enumerate(rules) if not rule.on_clock)
        self.times = _wall_times(rules)
        self.flat = any(part.dimension is Dimension.FLAT for part in self.components)
        self._groups = _group_masks(flat_groups)
        self._choices: dict[int, Choice] = {}

    def _plan(self, tariff: Tariff, number: int, part: PriceComponent) -> int:
        price = _exact_price(tariff, part)
        net, gross, *taxes = (int(each * self.denominator) for each in price)
        planned = PlannedComponent(
            number,
            part.dimension,
            part.step_size,
            net,
            gross,
            tuple(zip(tariff.taxes_of(part), taxes, strict=True)),
            part,
        )
        self.components.append(planned)
        return len(self.components) - 1

    @property
    def clocked(self) -> bool:
        """Whether the site's clock or calendar matters to any element."""
        return bool(self._clocked)

    def clock_mask(self, local: datetime) -> int:
        """Elements that may hold at *local*, the site's wall time."""
        mask = self._unclocked
        for bit, rule in self._clocked:
            if rule.hold_at(local):
                mask |= bit
        return mask

    def choose(self, mask: int) -> Choice:
        """Per dimension, the first element of *mask* that prices it."""
        choice = self._choices.get(mask)
        if choice is None:
            choice = self._choices[mask] = Choice(
                tuple(self._first(mask & group, Dimension.FLAT) for group in self._groups),
                self._first(mask, Dimension.ENERGY),
                self._first(mask, Dimension.TIME),
                self._first(mask, Dimension.PARKING_TIME),
            )
        return choice

    def _first(self, mask: int, dimension: Dimension) -> int | None:
        for place, priced in enumerate(self.priced):
            if mask >> place & 1 and dimension in priced:
                return priced[dimension]
        return None


def _exact_price(tariff: Tariff, part: PriceComponent) -> tuple[Fraction, ...]:
    """Return net, gross and each tax per Wh, microsecond or session."""
    unit = _UNITS[part.dimension]
    net, gross = tariff.net_price(part) / unit, tariff.gross_price(part) / unit
    return net, gross, *(net * Fraction(tax.percent) / 100 for tax in tariff.taxes_of(part))


def _denominator(tariff: Tariff) -> int:
    """Return the least number of which every exact price of *tariff* is a whole number of parts."""
    parts = (part for element in tariff.elements for part in element.components)
    return lcm(*(each.denominator for part in parts for each in _exact_price(tariff, part)))


def _bands(rules: Sequence[Restrictions], name: str, scale: int) -> Bands:
    ranges = [
        (_scaled(getattr(rule, f"min_{name}"), scale), _scaled(getattr(rule, f"max_{name}"), scale))
        for rule in rules
    ]
    return Bands(ranges)


def _scaled(value: Decimal | int | None, scale: int) -> int | Fraction | None:
    if value is None:
        return None
    exact = Fraction(value) * scale
    return exact.numerator if exact.denominator == 1 else exact


def _wall_times(rules: Sequence[Restrictions]) -> frozenset[time]:
    """Times of day at which some clock restriction may begin or end to hold."""
    midnight = time()
    times: set[time] = set()
    for rule in rules:
        if rule.on_time:
            times |= {rule.start_time or midnight, rule.end_time or midnight}
        if rule.start_date or rule.end_date or rule.day_of_week:
            times.add(midnight)
    return frozenset(times)


def wall_times(tariff: Tariff) -> frozenset[time]:
    """Return the times of day at which a price of *tariff* may change."""
    return _wall_times([element.restrictions for element in tariff.elements])


def _group_masks(sizes: Sequence[int]) -> list[int]:
    masks, place = [], 0
    for size in sizes:
        masks.append((1 << size) - 1 << place)
        place += size
    return masks


@dataclass(slots=True)
class TariffPlan:
    """All plans of a tariff, and its limits in exact money."""

    session: Plan
    reserved: Plan
    expired: Plan
    min_net: Fraction | None
    min_gross: Fraction | None
    max_net: Fraction | None
    max_gross: Fraction | None

    @property
    def limited(self) -> bool:
        """Whether a session has a least or a greatest price."""
        return self.min_net is not None or self.max_net is not None


def plan_of(tariff: Tariff) -> TariffPlan:
    """Return the tariff's plan; made once and kept in the tariff."""
    known = tariff._compiled
    if isinstance(known, TariffPlan):
        return known
    plan = _compile(tariff)
    object.__setattr__(tariff, "_compiled", plan)
    return plan


def _compile(tariff: Tariff) -> TariffPlan:
    phases: dict[ReservationPhase | None, list[tuple[int, Element]]] = {
        None: [],
        ReservationPhase.RESERVED: [],
        ReservationPhase.EXPIRED: [],
    }
    for number, element in enumerate(tariff.elements, start=1):
        phases[element.restrictions.reservation].append((number, element))
    held, gone = phases[ReservationPhase.RESERVED], phases[ReservationPhase.EXPIRED]
    over = _denominator(tariff)
    return TariffPlan(
        Plan(tariff, phases[None], [len(phases[None])], over),
        Plan(tariff, held, [len(held)], over),
        Plan(tariff, gone + held, [len(gone), len(held)], over),
        _limit(tariff.net_limit, tariff.min_price),
        _limit(tariff.gross_limit, tariff.min_price),
        _limit(tariff.net_limit, tariff.max_price),
        _limit(tariff.gross_limit, tariff.max_price),
    )


def _limit(
    side: Callable[[PriceLimit], Fraction | None], limit: PriceLimit | None
) -> Fraction | None:
    return None if limit is None else side(limit)
