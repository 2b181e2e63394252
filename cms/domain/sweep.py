"""Walking a session through a plan: who priced how much, and in which periods.

Time is whole microseconds since the start of the walk. Energy at a boundary inside a segment is
interpolated evenly and rounded half up to a whole Wh, so that what partners see in the periods is
exactly what was billed; a threshold of energy is met exactly.

Most usages of a session change nothing but amounts. They are told from the others by comparing
their ends with what would change the price next, and are added up at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from cms.domain.errors import InvalidValue
from cms.domain.ids import TariffId
from cms.domain.money import half_up
from cms.domain.price_plan import Choice, Plan
from cms.domain.rated import Period
from cms.domain.usage import Usage, UsageKind
from cms.domain.wallclock import passings

MICROSECOND = timedelta(microseconds=1)
_HOUR = 3_600_000_000

KINDS = tuple(UsageKind)
_CHARGING, _PARKING = UsageKind.CHARGING, UsageKind.PARKING
_UNBILLED, _RESERVED = UsageKind.UNBILLED, UsageKind.RESERVED


class _OpenPeriod:
    """A period that may still grow."""

    __slots__ = ("currents", "end", "energy", "kind", "powers", "start", "time", "wh")

    def __init__(self, start: int, kind: UsageKind, energy: int | None, time: int | None) -> None:
        self.start = self.end = start
        self.kind, self.energy, self.time = kind, energy, time
        self.wh: int | Fraction = 0
        self.powers: list[int] = []
        self.currents: list[int] = []


class Sweep:
    """One walk. ``take`` every usage in order, or ``run`` through all, then read the results.

    Attributes:
        volumes: per component of the plan, Wh or microseconds that it prices.
        last_energy, last_time, last_parking: the component that priced each last.
        flats: per group of the plan, the flat component that is due.
        spent: microseconds per kind of time.
        energy: Wh of the session so far, under the tariffs before as well.
    """

    __slots__ = (
        "_clock",
        "_cuts",
        "_elapsed",
        "_end",
        "_final",
        "_flat_before",
        "_flats_wait",
        "_masks",
        "_now",
        "_origin",
        "_periods",
        "_plan",
        "energy",
        "flats",
        "last_energy",
        "last_parking",
        "last_time",
        "spent",
        "volumes",
    )

    def __init__(
        self,
        plan: Plan,
        start: datetime,
        end: datetime,
        zone: ZoneInfo,
        before: Sweep | None = None,
    ) -> None:
        self._plan = plan
        self._origin = self._end = start
        self._final = end
        self._now = self._elapsed = self._clock = 0
        self._cuts, self._masks = _clock_bands(plan, start, end, zone)
        self._periods: list[_OpenPeriod] = []
        self.energy: int | Fraction = 0
        self.volumes: list[int | Fraction] = [0] * len(plan.components)
        self.last_energy: int | None = None
        self.last_time: int | None = None
        self.last_parking: int | None = None
        self.flats: list[int | None] = [None] * len(plan.choose(0).flats)
        self._flats_wait = plan.flat
        self.spent = dict.fromkeys(KINDS, 0)
        self._flat_before = False
        if before is not None:
            self._go_on(before)

    def _go_on(self, before: Sweep) -> None:
        """Count on where the walk under the tariff before ended: restrictions speak of the whole
        session, and its flat price is due once.

        Raises:
            InvalidValue: if this walk does not start where that one ended.
        """
        if self._origin != before._end:
            raise InvalidValue("usages", f"{self._origin} does not continue {before._end}")
        self.energy, self._elapsed = before.energy, before._elapsed
        self._flat_before = before._flat_before or any(each is not None for each in before.flats)
        self._flats_wait = self._flats_wait and not self._flat_before

    def take(self, usage: Usage) -> None:
        """Walk through one usage, piece by piece where something changes inside it.

        Raises:
            InvalidValue: if it does not start where the one before ended.
        """
        if usage.start != self._end:
            raise InvalidValue("usages", f"{usage.start} does not continue {self._end}")
        self._end = usage.end
        begin, base = self._now, self.energy
        end = (usage.end - self._origin) // MICROSECOND
        goal = base + usage.wh
        held = self._held(usage, end - begin)
        while True:
            choice = self._choice(held)
            at, energy = self._next_stop(usage, begin, end, base, goal)
            self._piece(usage, at, energy, choice)
            if at == end and energy == goal:
                return

    def run(self, usages: Sequence[Usage]) -> None:
        """Take all of *usages*; the same as one after the other, and several times as fast.

        Raises:
            InvalidValue: if one does not start where the one before ended.
        """
        momentary = self._plan.power.thresholds or self._plan.current.thresholds
        place, count = 0, len(usages)
        while place < count:
            self.take(usages[place])
            place += 1
            if not momentary:
                place = self._add_alike(usages, place)

    def _add_alike(self, usages: Sequence[Usage], place: int) -> int:
        """Add up the usages from *place* on that only lengthen the last period, and return the
        place of the first that does not."""
        period, choice = self._periods[-1], self._choice(-1)
        kind = period.kind
        priced = None if kind is _UNBILLED else choice.of(kind)
        if choice.energy != period.energy or priced != period.time:
            return place
        until, floor, ceiling = self._until(kind), *self._plan.energy.around(self.energy)
        bounded = floor is not None or ceiling is not None
        at, energy, moved, first = self._end, self.energy, False, place
        powers, currents = period.powers, period.currents
        for number in range(first, len(usages)):
            start, end, used, uses, power, current = usages[number]
            if uses is not kind or end > until or (start is not at and start != at):
                break
            lasted = end > at
            if not lasted and at >= until:
                break
            if bounded:
                if floor is not None and energy < floor:
                    break
                if ceiling is not None and (energy >= ceiling or energy + used > ceiling):
                    break
            if used:
                energy += used
                moved = True
            if lasted or used:
                if power is not None:
                    powers.append(power)
                if current is not None:
                    currents.append(current)
            at = end
            place += 1
        if place > first:
            self._lengthen(period, choice, at, energy, moved)
        return place

    def _lengthen(
        self, period: _OpenPeriod, choice: Choice, at: datetime, energy: int | Fraction, moved: bool
    ) -> None:
        """Count the last period on until *at*; *moved* says that energy flowed in some piece."""
        self._end = at
        now = (at - self._origin) // MICROSECOND
        used = energy - self.energy
        self._count(period.kind, now - self._now, used, moved, choice)
        period.end = now
        period.wh += used
        self._now, self.energy = now, energy

    def _choice(self, held: int) -> Choice:
        """Which components price what begins now; *held* are the elements that power and current
        allow."""
        plan = self._plan
        while self._clock < len(self._cuts) and self._cuts[self._clock] <= self._now:
            self._clock += 1
        mask = held & self._masks[self._clock]
        if plan.energy.thresholds:
            mask &= plan.energy.mask(self.energy)
        if plan.duration.thresholds:
            mask &= plan.duration.mask(self._elapsed)
        return plan.choose(mask)

    def _until(self, kind: UsageKind) -> datetime:
        """Until when neither the clock nor the duration changes the price."""
        stops = [self._final]
        if self._clock < len(self._cuts):
            stops.append(self._origin + self._cuts[self._clock] * MICROSECOND)
        limit = self._plan.duration.after(self._elapsed)
        if limit is not None and kind is not _UNBILLED:
            stops.append(self._end + (int(limit) - self._elapsed) * MICROSECOND)
        return min(stops)

    def periods(self, tariff: TariffId) -> list[Period]:
        """The periods so far, each with the numbers of the elements that priced it."""
        return [self._period(each, tariff) for each in self._periods]

    def _held(self, usage: Usage, duration: int) -> int:
        """Elements that power and current allow, for the whole usage."""
        plan, mask = self._plan, -1
        if plan.power.thresholds:
            mask = plan.power.mask(_power(usage, duration))
        if plan.current.thresholds:
            if usage.current_ma is not None:
                mask &= plan.current.mask(usage.current_ma)
            elif usage.kind is _CHARGING:
                mask &= plan.current_unknown
            else:
                mask &= plan.current.mask(0)
        return mask

    def _next_stop(
        self, usage: Usage, begin: int, end: int, base: int | Fraction, goal: int | Fraction
    ) -> tuple[int, int | Fraction]:
        """Return where the next piece ends: its time, and the energy of the walk by then."""
        at = end
        if self._clock < len(self._cuts) and self._cuts[self._clock] < at:
            at = self._cuts[self._clock]
        if self._plan.duration.thresholds and usage.kind is not _UNBILLED:
            limit = self._plan.duration.after(self._elapsed)
            if limit is not None:
                at = min(at, self._now + int(limit) - self._elapsed)
        energy = goal if at == end else _position(base, goal, self.energy, at - begin, end - begin)
        if self._plan.energy.thresholds and goal > self.energy:
            crossed = self._plan.energy.after(self.energy)
            if crossed is not None and crossed < goal:
                when = begin + int((crossed - base) * (end - begin) // usage.wh)
                if when <= at:
                    return max(when, self._now), crossed
                return at, min(energy, crossed)
        return at, energy

    def _piece(self, usage: Usage, at: int, energy: int | Fraction, choice: Choice) -> None:
        duration, used = at - self._now, energy - self.energy
        priced = self._count(usage.kind, duration, used, bool(used), choice)
        if duration or used or not self._periods:
            self._note_period(usage, at, used, choice.energy, priced)
        self._now, self.energy = at, energy

    def _count(
        self, kind: UsageKind, duration: int, used: int | Fraction, moved: bool, choice: Choice
    ) -> int | None:
        """Give time and energy to the components that price them; return that of the time."""
        priced = self._count_time(kind, duration, choice)
        if moved and choice.energy is not None:
            self.volumes[choice.energy] += used
            self.last_energy = choice.energy
        if kind is not _UNBILLED:
            self._elapsed += duration
            if self._flats_wait:
                self._note_flats(choice)
        return priced

    def _count_time(self, kind: UsageKind, duration: int, choice: Choice) -> int | None:
        """Give *duration* to the component that prices this kind of time, and return it."""
        self.spent[kind] += duration
        if kind is _UNBILLED:
            return None
        priced = choice.of(kind)
        if priced is not None and duration:
            self.volumes[priced] += duration
            if kind is _PARKING:
                self.last_parking = priced
            else:
                self.last_time = priced
        return priced

    def _note_flats(self, choice: Choice) -> None:
        for group, flat in enumerate(choice.flats):
            if self.flats[group] is None:
                self.flats[group] = flat
        self._flats_wait = None in self.flats

    def _note_period(
        self, usage: Usage, at: int, used: int | Fraction, energy: int | None, time: int | None
    ) -> None:
        last = self._periods[-1] if self._periods else None
        if (
            last is None
            or last.kind is not usage.kind
            or last.energy != energy
            or last.time != time
        ):
            last = _OpenPeriod(self._now, usage.kind, energy, time)
            self._periods.append(last)
        last.end = at
        last.wh += used
        if usage.power_w is not None:
            last.powers.append(usage.power_w)
        if usage.current_ma is not None:
            last.currents.append(usage.current_ma)

    def _period(self, raw: _OpenPeriod, tariff: TariffId) -> Period:
        return Period(
            self._origin + timedelta(microseconds=raw.start),
            self._origin + timedelta(microseconds=raw.end),
            raw.kind,
            tariff,
            raw.wh,
            self._element(raw.energy),
            self._element(raw.time),
            min(raw.powers, default=None),
            max(raw.powers, default=None),
            min(raw.currents, default=None),
            max(raw.currents, default=None),
        )

    def _element(self, component: int | None) -> int | None:
        return None if component is None else self._plan.components[component].element


def sweep(
    plan: Plan, usages: Sequence[Usage], zone: ZoneInfo, before: Sweep | None = None
) -> Sweep:
    """Walk *usages* (at least one, contiguous, in order) through *plan*.

    Args:
        before: the walk of the same session under the tariff that held until then.

    Raises:
        InvalidValue: if a usage does not start where the one before ended.
    """
    walk = Sweep(plan, usages[0].start, usages[-1].end, zone, before)
    walk.run(usages)
    return walk


def _clock_bands(
    plan: Plan, start: datetime, end: datetime, zone: ZoneInfo
) -> tuple[list[int], list[int]]:
    """Return where the walk's clock changes sides, and the clock mask of each stretch between."""
    if not plan.clocked:
        return [], [-1]
    instants = passings(start, end, plan.times, zone)
    masks = [plan.clock_mask(at.astimezone(zone)) for at in (start, *instants)]
    return [(at - start.astimezone(UTC)) // MICROSECOND for at in instants], masks


def _power(usage: Usage, duration: int) -> int | Fraction:
    """Momentary power in W; the average of the segment where nobody told it."""
    if usage.power_w is not None:
        return usage.power_w
    if usage.kind is not _CHARGING or not duration:
        return 0
    return Fraction(usage.wh) * _HOUR / duration


def _position(
    base: int | Fraction, goal: int | Fraction, reached: int | Fraction, passed: int, whole: int
) -> int | Fraction:
    """Interpolate the energy after *passed* of *whole*, in whole Wh, never past the ends."""
    value = half_up(base + Fraction(goal - base) * passed / whole)
    low, high = (reached, goal) if goal >= reached else (goal, reached)
    return min(max(value, low), high)
