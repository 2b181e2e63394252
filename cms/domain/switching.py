"""Tariffs that take each other's place while a session runs: each part has its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from cms.domain.errors import InvalidValue
from cms.domain.money import half_up
from cms.domain.rated import Rating
from cms.domain.tariff import Tariff
from cms.domain.usage import Usage

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Switch:
    """From *at* (aware UTC) on, *tariff* holds, as it was at that moment."""

    at: datetime
    tariff: Tariff


@dataclass(frozen=True, slots=True)
class Part:
    """What was used under one tariff."""

    tariff: Tariff
    usages: Sequence[Usage]


def parts_of(tariff: Tariff, usages: Sequence[Usage], switches: Sequence[Switch]) -> Sequence[Part]:
    """Cut *usages* where the tariff switches; at least one part. What nothing was used under (a
    switch before the start, after the end or at the moment of the next one) is left out.

    Args:
        tariff: that of the start.
        switches: in order of time.

    Raises:
        InvalidValue: if the tariffs have several currencies.
    """
    if not switches:
        return (Part(tariff, usages),)
    if any(each.tariff.currency != tariff.currency for each in switches):
        raise InvalidValue("switches", f"a session in {tariff.currency} stays in it")
    parts: list[Part] = []
    first, rest = tariff, usages
    for switch in switches:
        used, rest = _cut(rest, switch.at)
        if used:
            parts.append(Part(tariff, used))
        tariff = switch.tariff
    if rest:
        parts.append(Part(tariff, rest))
    return parts or (Part(first, ()),)


def tariffs_used(rating: Rating, tariff: Tariff, switches: Sequence[Switch]) -> tuple[Tariff, ...]:
    """Return the tariffs that priced something of a session, in order of their first use.

    Args:
        tariff, switches: by which *rating* was made; equal ids are one tariff.
    """
    known = {each.tariff.id: each.tariff for each in switches} | {tariff.id: tariff}
    used = dict.fromkeys(period.tariff for period in rating.periods)
    return tuple(known[id] for id in used) or (tariff,)


def switches_of(rating: Rating, tariffs: Sequence[Tariff]) -> tuple[Tariff, Sequence[Switch]]:
    """Return under which of *tariffs* a rated session began, and how it went on, as its periods
    tell: the other way round."""
    known = {each.id: each for each in tariffs}
    first = known.get(rating.tariff, tariffs[0])
    switches: list[Switch] = []
    for before, after in pairwise(rating.periods):
        if after.tariff != before.tariff:
            switches.append(Switch(after.start, known[after.tariff]))
    return first, switches


def _cut(usages: Sequence[Usage], at: datetime) -> tuple[Sequence[Usage], Sequence[Usage]]:
    """Return what lies before *at* and the rest; energy inside a usage is spread evenly, in whole
    Wh, half up."""
    before = [each for each in usages if each.end <= at and each.start < at]
    rest = list(usages[len(before) :])
    if rest and rest[0].start < at:
        first, second = _halves(rest[0], at)
        return [*before, first], [second, *rest[1:]]
    return before, rest


def _halves(usage: Usage, at: datetime) -> tuple[Usage, Usage]:
    passed, whole = (at - usage.start) // _MICROSECOND, (usage.end - usage.start) // _MICROSECOND
    wh = half_up(Fraction(usage.wh) * passed / whole)
    return (
        _piece(usage, usage.start, at, wh),
        _piece(usage, at, usage.end, usage.wh - wh),
    )


def _piece(usage: Usage, start: datetime, end: datetime, wh: int | Fraction) -> Usage:
    return Usage(start, end, wh, usage.kind, usage.power_w, usage.current_ma)
