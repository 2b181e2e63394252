"""What a session used, as contiguous segments of time that are charging, parking or unbilled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from functools import partial
from itertools import pairwise
from operator import gt
from typing import NamedTuple, Self

from cms.domain.errors import InvalidValue
from cms.domain.money import half_up

_MICROSECOND = timedelta(microseconds=1)


class UsageKind(StrEnum):
    """What the time of a segment counts as. Energy counts in every kind: the register moved."""

    CHARGING = "charging"
    """The vehicle takes or asks for power, throttled or not."""
    PARKING = "parking"
    """The vehicle does not ask for power."""
    UNBILLED = "unbilled"
    """Dark time (the site's power was cut): neither charging nor parking, no time is billed."""
    RESERVED = "reserved"
    """The EVSE is held for a vehicle that has not come. Rating makes it; chargers never do."""


_CHARGING, _PARKING = UsageKind.CHARGING, UsageKind.PARKING


class _Stretch(NamedTuple):
    start: datetime
    end: datetime
    wh: int | Fraction = 0
    kind: UsageKind = UsageKind.CHARGING
    power_w: int | None = None
    current_ma: int | None = None


class Usage(_Stretch):
    """One stretch of a session with even use. A tuple, like ``Sample``: a bill has dozens.

    Attributes:
        start: aware UTC.
        end: aware UTC, not before *start*; the next segment starts here.
        wh: energy in this segment in Wh; negative when the vehicle gave energy back.
        kind: what the time counts as.
        power_w: momentary power in W; ``None`` if unknown (the segment's average is used).
        current_ma: momentary current summed over the phases in mA; ``None`` if unknown.

    Raises:
        InvalidValue: on construction, if a time has no zone or the end lies before the start.
    """

    __slots__ = ()

    def __new__(
        cls,
        start: datetime,
        end: datetime,
        wh: int | Fraction = 0,
        kind: UsageKind = UsageKind.CHARGING,
        power_w: int | None = None,
        current_ma: int | None = None,
    ) -> Self:
        if start.tzinfo is None or end.tzinfo is None:
            raise InvalidValue("start", "the times of a usage need a time zone")
        if end < start:
            raise InvalidValue("end", f"{end} is before the start {start}")
        return super().__new__(cls, start, end, wh, kind, power_w, current_ma)


_usage_of: Callable[
    [tuple[datetime, datetime, int, UsageKind, int | None, int | None]],
    Usage,
] = partial(tuple.__new__, Usage)
"""Makes a usage of times that were looked at before."""


class Reading(NamedTuple):
    """A moment of a session: the register, the state, or both, as one charger reported it.

    Attributes:
        at: the charger's time of it, aware UTC.
        wh: the energy register in Wh; ``None`` for a mere change of state.
        charging: whether the vehicle charges from here on; ``None`` leaves the state as it was.
        power_w: momentary power from here on, W; ``None`` if not reported.
        current_ma: momentary current over all phases from here on, mA; ``None`` if not reported.
    """

    at: datetime
    wh: int | None = None
    charging: bool | None = None
    power_w: int | None = None
    current_ma: int | None = None


reading_of: Callable[
    [tuple[datetime, int | None, bool | None, int | None, int | None]], Reading
] = partial(tuple.__new__, Reading)
"""Makes a reading of all of its fields, for the hot path."""


def usages_from_readings(
    readings: Sequence[Reading],
    *,
    dark: Iterable[tuple[datetime, datetime]] = (),
) -> tuple[Usage, ...]:
    """Turn time-ordered readings into contiguous usages whose energy is last minus first register.

    A reading's state, power and current hold until the next reading. Between two registers the
    energy is spread evenly over the charging time (over all lit time if there was none), so a
    change of state between two samples gets an interpolated register, in whole Wh, half up.
    Registers that stray (a dip, or a peak above the last one) are held between their neighbours:
    only the first and the last register decide the energy of the session.

    Args:
        readings: ordered by time; the first and the last carry a register. The state before
            anything is said about it is charging.
        dark: intervals in which the site had no power. They become UNBILLED segments.

    Raises:
        InvalidValue: if there are fewer than two readings, a register is missing at either end,
            time goes backwards, or the last register is below the first.
    """
    _check_readings(readings)
    result: list[Usage] = []
    cuts = _dark_cuts(readings, dark)
    registers = _held_registers(readings)
    charging = True
    power: int | None = None
    current: int | None = None
    last = readings[0].wh or 0
    pending: list[Usage] = []
    for (reading, following), register in zip(pairwise(readings), registers[1:], strict=True):
        at, told_wh, told_state, told_power, told_current = reading
        until = following[0]
        if told_state is not None:
            charging = told_state
        if told_wh is not None or told_power is not None:
            power, current = told_power, told_current
        kind = _CHARGING if charging else _PARKING
        if register is not None and not pending and not cuts:
            if until > at or register != last:
                result.append(_usage_of((at, until, register - last, kind, power, current)))
                last = register
            continue
        pending += _cut_dark(at, until, kind, power, current, cuts)
        if register is not None:
            if register != last and not pending:  # two registers of one moment
                pending.append(Usage(at, until, 0, kind, power, current))
            result += _spread(pending, register - last)
            pending, last = [], register
    return tuple(result)


def readings_since(readings: Sequence[Reading], at: datetime) -> tuple[Reading, ...]:
    """Return *readings* from the moment *at* on, with all the energy that they tell.

    What was read before counts as read at that moment: the first register, so that no energy is
    lost, and the last state, power and current. If they end before it, all is read at their end.
    """
    if not readings or at <= readings[0].at:
        return tuple(readings)
    at = min(at, readings[-1].at)
    later = tuple(each for each in readings[:-1] if each.at > at)
    states = [each.charging for each in readings if each.at <= at and each.charging is not None]
    told = [each for each in readings if each.at <= at and _measured(each)]
    first = Reading(
        at,
        readings[0].wh,
        states[-1] if states else None,
        told[-1].power_w if told else None,
        told[-1].current_ma if told else None,
    )
    return (first, *later, readings[-1])


def _measured(reading: Reading) -> bool:
    return reading.wh is not None or reading.power_w is not None


def _check_readings(readings: Sequence[Reading]) -> None:
    if len(readings) < 2:
        raise InvalidValue("readings", "a session needs a first and a last reading")
    first, last = readings[0], readings[-1]
    if first.wh is None or last.wh is None:
        raise InvalidValue("readings", "the first and the last reading need a register")
    if last.wh < first.wh:
        raise InvalidValue("readings", f"register falls from {first.wh} Wh to {last.wh} Wh")
    moments = [reading.at for reading in readings]
    if moments[0].tzinfo is None:  # and then none has one, or else they do not compare
        raise InvalidValue("readings", "the times need a time zone")
    if any(map(gt, moments, moments[1:])):
        before, after = next(pair for pair in pairwise(moments) if pair[0] > pair[1])
        raise InvalidValue("readings", f"{after} comes after {before}")


def _held_registers(readings: Sequence[Reading]) -> list[int | None]:
    """Return the registers, each held between the one before it and the last one."""
    floor, ceiling = readings[0].wh or 0, readings[-1].wh or 0
    held: list[int | None] = []
    for reading in readings:
        wh = reading.wh
        if wh is None:
            held.append(None)
            continue
        if wh > ceiling:
            floor = ceiling
        elif wh > floor:
            floor = wh
        held.append(floor)
    return held


def _dark_cuts(
    readings: Sequence[Reading], dark: Iterable[tuple[datetime, datetime]]
) -> list[tuple[datetime, datetime]]:
    """Clip the dark intervals to the session, sort them and join those that touch."""
    first, last = readings[0].at, readings[-1].at
    joined: list[tuple[datetime, datetime]] = []
    for start, end in sorted((max(start, first), min(end, last)) for start, end in dark):
        if start >= end:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _cut_dark(
    start: datetime,
    end: datetime,
    kind: UsageKind,
    power: int | None,
    current: int | None,
    dark: Sequence[tuple[datetime, datetime]],
) -> Iterator[Usage]:
    """Yield [start, end) as usages without energy, the dark parts of it unbilled."""
    for dark_start, dark_end in dark:
        if dark_end <= start or dark_start >= end:
            continue
        if dark_start > start:
            yield Usage(start, dark_start, 0, kind, power, current)
        start = max(start, dark_start)
        yield Usage(start, min(dark_end, end), 0, UsageKind.UNBILLED)
        start = min(dark_end, end)
    if start < end:
        yield Usage(start, end, 0, kind, power, current)


def _spread(parts: list[Usage], energy: int) -> list[Usage]:
    """Give *energy* to *parts*, evenly over their charging time, else lit time, else all time."""
    if not energy:
        return parts
    if len(parts) == 1:
        return [_with_energy(parts[0], energy)]
    weights = _weights(parts)
    whole = sum(weights)
    result: list[Usage] = []
    passed = given = 0
    for part, weight in zip(parts, weights, strict=True):
        passed += weight
        reached = half_up(Fraction(energy * passed, whole))
        result.append(_with_energy(part, reached - given) if reached != given else part)
        given = reached
    return result


def _weights(parts: Sequence[Usage]) -> list[int]:
    for kinds in ({UsageKind.CHARGING}, {UsageKind.CHARGING, UsageKind.PARKING}, set(UsageKind)):
        weights = [(p.end - p.start) // _MICROSECOND if p.kind in kinds else 0 for p in parts]
        if any(weights):
            return weights
    return [1] * len(parts)


def _with_energy(part: Usage, energy: int) -> Usage:
    return Usage(part.start, part.end, energy, part.kind, part.power_w, part.current_ma)
