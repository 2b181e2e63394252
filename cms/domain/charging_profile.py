"""Charging profiles: the most that a car may take, over time. Values and rules, pure.

A profile is a wish about one session (a partner's, an operator's) or about one EVSE (an
operator's). Its limits are maxima, never targets. Where several hold at one moment, the lowest
binds; that of the EVSE itself always holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from itertools import pairwise

from cms.domain.errors import InvalidValue
from cms.domain.ids import EvseRef, SessionId
from cms.domain.topology import Evse, PowerType

TENTH = Decimal("0.1")

MOST_PERIODS = 1024
"""More than any station keeps."""

LONGEST_SECONDS = 2**31 - 1
"""Durations and offsets travel as signed 32-bit integers."""

SHORTEST_SPAN, LONGEST_SPAN = timedelta(minutes=5), timedelta(minutes=60)
"""How far ahead a plan is told that nobody asked for."""


class RateUnit(StrEnum):
    WATTS = "W"  # of all phases together
    AMPERES = "A"  # per phase


@dataclass(frozen=True, slots=True)
class Period:
    """From *offset* seconds after the profile's start, until the next period: at most *limit*.

    Attributes:
        limit: in the profile's unit, at least 0, with one decimal at most.
    """

    offset: int
    limit: Decimal

    def __post_init__(self) -> None:
        if not 0 <= self.offset <= LONGEST_SECONDS:
            raise InvalidValue("offset", "must be 0 or more seconds")
        _check_rate("limit", self.limit)


@dataclass(frozen=True, slots=True)
class ChargingProfile:
    """Limits over time.

    Attributes:
        periods: at least one, by rising offset. Before the first of them nothing is limited.
        start: None = the beginning of the session's charging.
        duration: seconds until it ends; None = with the session.
        min_rate: below it charging would be inefficient; the same unit, one decimal at most.
    """

    unit: RateUnit
    periods: tuple[Period, ...]
    start: datetime | None = None
    duration: int | None = None
    min_rate: Decimal | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.periods) <= MOST_PERIODS:
            raise InvalidValue("periods", f"1 to {MOST_PERIODS} are needed")
        offsets = [each.offset for each in self.periods]
        if any(later <= earlier for earlier, later in pairwise(offsets)):
            raise InvalidValue("periods", "each must start after the one before it")
        if self.duration is not None and not 0 < self.duration <= LONGEST_SECONDS:
            raise InvalidValue("duration", "must be above 0 seconds")
        if self.min_rate is not None:
            _check_rate("min_rate", self.min_rate)

    def began(self, charging_from: datetime) -> datetime:
        return self.start or charging_from

    def ends(self, charging_from: datetime) -> datetime | None:
        """Return when it ends; None = with the session."""
        if self.duration is None:
            return None
        return self.began(charging_from) + timedelta(seconds=self.duration)


@dataclass(frozen=True, slots=True)
class ActiveSchedule:
    """What a station plans for one EVSE, all that it knows of taken together.

    Attributes:
        start: None = when it was asked (the station did not say, or not legibly).
    """

    unit: RateUnit
    periods: tuple[Period, ...]
    start: datetime | None = None
    duration: int | None = None
    min_rate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Supply:
    """What an EVSE can deliver at most; between amperes and watts stands its nominal voltage.

    Attributes:
        amperes: per phase.
        watts: of all phases together.
    """

    voltage: int
    phases: int
    amperes: int
    watts: int

    def most(self, unit: RateUnit) -> Decimal:
        return Decimal(self.watts if unit is RateUnit.WATTS else self.amperes)

    def converted(self, limit: Decimal, unit: RateUnit, wanted: RateUnit) -> Decimal:
        """Return *limit* in *wanted*, never more than it was."""
        if unit is wanted:
            return limit
        factor = Decimal(self.voltage * self.phases)
        found = limit * factor if wanted is RateUnit.WATTS else limit / factor
        return found.quantize(TENTH, ROUND_DOWN)


def supply_of(evse: Evse, connector: int | None) -> Supply:
    """Return what *evse* can deliver at *connector*, by its first where nobody says which."""
    plug = evse.connector(connector or 1) or evse.connectors[0]
    phases = {PowerType.AC_3_PHASE: 3, PowerType.AC_2_PHASE: 2}.get(plug.power_type, 1)
    return Supply(plug.max_voltage, phases, plug.max_amperage, plug.power_w)


# ---------------------------------------------------------------- what holds together


@dataclass(frozen=True, slots=True)
class _Placed:
    """A profile on the clock."""

    profile: ChargingProfile
    began: datetime
    ends: datetime | None

    def limit(self, at: datetime) -> Decimal | None:
        """Return the limit that holds at a moment; None where the profile says nothing."""
        if at < self.began or (self.ends is not None and at >= self.ends):
            return None
        elapsed = (at - self.began).total_seconds()
        held = [each for each in self.profile.periods if each.offset <= elapsed]
        return held[-1].limit if held else None

    def edges(self) -> Iterable[datetime]:
        """Every moment at which its limit may change."""
        for each in self.profile.periods:
            yield self.began + timedelta(seconds=each.offset)
        if self.ends is not None:
            yield self.ends


def _placed(profiles: Iterable[ChargingProfile], charging_from: datetime) -> list[_Placed]:
    return [_Placed(p, p.began(charging_from), p.ends(charging_from)) for p in profiles]


def lowest(
    profiles: Sequence[ChargingProfile],
    supply: Supply,
    unit: RateUnit,
    charging_from: datetime,
    begin: datetime,
    until: datetime | None,
    now: datetime | None = None,
) -> tuple[Period, ...]:
    """Return what holds from *begin* (to *until*), offsets counted from *begin*.

    At each moment the lowest of all limits, and never more than the EVSE can deliver.

    Args:
        now: a moment of the same second as *begin*, whose limit the first period tells; default:
            *begin* itself.
    """
    placed = _placed(profiles, charging_from)
    first = now or begin
    edges = {first}
    for each in placed:
        edges |= {at for at in each.edges() if first < at and (until is None or at < until)}
    limits: dict[int, Decimal] = {}
    for at in sorted(edges):  # of two within one second the later holds
        limits[int((at - begin).total_seconds())] = _lowest_at(placed, supply, unit, at)
    found: list[Period] = []
    for offset, limit in limits.items():
        if not found or found[-1].limit != limit:
            found.append(Period(offset, limit))
    return tuple(found)


def _lowest_at(placed: Sequence[_Placed], supply: Supply, unit: RateUnit, at: datetime) -> Decimal:
    limits = [
        supply.converted(limit, each.profile.unit, unit)
        for each in placed
        if (limit := each.limit(at)) is not None
    ]
    return min([*limits, supply.most(unit)])


def combined(
    profiles: Sequence[ChargingProfile], supply: Supply, charging_from: datetime
) -> ChargingProfile | None:
    """Return the one profile that a station is given so that all of *profiles* hold.

    One alone stays as it is, but that it says from its first moment on what holds. Several become
    one in the unit of the first of them, from the earliest start on.
    """
    if not profiles:
        return None
    if len(profiles) == 1:
        return _from_its_start(profiles[0], supply)
    unit = profiles[0].unit
    begin = min(each.began(charging_from) for each in profiles)
    ends = [each.ends(charging_from) for each in profiles]
    last = max((each for each in ends if each is not None), default=None)
    duration = None if None in ends or last is None else int((last - begin).total_seconds())
    periods = lowest(profiles, supply, unit, charging_from, begin, None)
    if duration is not None:
        periods = tuple(each for each in periods if each.offset < duration)
    rates = [each.min_rate for each in profiles if each.min_rate is not None and each.unit is unit]
    return ChargingProfile(unit, periods, begin, duration, max(rates, default=None))


def _from_its_start(profile: ChargingProfile, supply: Supply) -> ChargingProfile:
    """Stations want a first period at 0: before the first that is named, all may flow."""
    if profile.periods[0].offset == 0:
        return profile
    free = Period(0, supply.most(profile.unit))
    return replace(profile, periods=(free, *profile.periods))


def expected(
    profiles: Sequence[ChargingProfile],
    supply: Supply,
    charging_from: datetime,
    now: datetime,
    span: timedelta,
) -> ActiveSchedule:
    """Return what a station should plan from *now* on, for where it cannot say so itself.

    With no profile left it is the most that the EVSE can deliver.
    """
    unit = profiles[0].unit if profiles else RateUnit.WATTS
    begin = now.replace(microsecond=0)
    periods = lowest(profiles, supply, unit, charging_from, begin, begin + span, now)
    return ActiveSchedule(unit, periods, begin, int(span.total_seconds()))


def worth_telling(
    profiles: Sequence[ChargingProfile], charging_from: datetime, now: datetime
) -> timedelta:
    """Return how far ahead a plan is told unasked: to the end of what is set, 5 to 60 minutes."""
    ends = [each.ends(charging_from) for each in profiles]
    left = [each - now for each in ends if each is not None and each > now]
    if not profiles or len(left) < len(ends):
        return LONGEST_SPAN
    span = min(max(max(left), SHORTEST_SPAN), LONGEST_SPAN)
    return timedelta(seconds=int(span.total_seconds()))


def until(plan: ActiveSchedule, end: datetime) -> ActiveSchedule:
    """Return *plan* as far as it reaches to *end*: some stations tell more than they are asked."""
    if plan.start is None or end <= plan.start:
        return plan
    seconds = int((end - plan.start).total_seconds())
    if plan.duration is not None:
        seconds = min(seconds, plan.duration)
    periods = tuple(each for each in plan.periods if each.offset < seconds)
    return replace(plan, periods=periods, duration=seconds)


def same_plan(one: ActiveSchedule | None, other: ActiveSchedule | None, now: datetime) -> bool:
    """Whether two plans of one EVSE say the same about the time from *now* that both know."""
    if one is None or other is None:
        return one is other
    if one.unit is not other.unit:
        return False
    ends = [end for each in (one, other) if (end := _end(each, now)) is not None]
    until = min(ends, default=None)
    return _from(one, now, until) == _from(other, now, until)


def _end(plan: ActiveSchedule, now: datetime) -> datetime | None:
    if plan.duration is None:
        return None
    return (plan.start or now) + timedelta(seconds=plan.duration)


def _from(
    plan: ActiveSchedule, now: datetime, until: datetime | None
) -> tuple[Decimal | None, tuple[tuple[int, Decimal], ...]]:
    """Return the limit at *now*, and each later change up to *until*, to the second."""
    begin = plan.start or now
    at = [(begin + timedelta(seconds=each.offset), each.limit) for each in plan.periods]
    held = [limit for moment, limit in at if moment <= now]
    later: list[tuple[int, Decimal]] = []
    before = held[-1] if held else None
    for moment, limit in at:
        if moment > now and (until is None or moment < until) and limit != before:
            later.append((round(moment.timestamp()), limit))
            before = limit
    return (held[-1] if held else None), tuple(later)


# ---------------------------------------------------------------- what is set


@dataclass(frozen=True, slots=True)
class Setting:
    """A profile with who set it.

    Attributes:
        who: ``"partner:<id>"``, or of an operator ``"key:<id>"`` and the like.
        sure: the station said that it takes it; False = it was asked and did not answer.
    """

    who: str
    profile: ChargingProfile
    at: datetime
    sure: bool = True

    @property
    def partners(self) -> bool:
        return self.who.startswith("partner:")


@dataclass(frozen=True, slots=True)
class Steering:
    """What is set on one running session.

    Attributes:
        number: by which the station knows the session's profile; one for its whole life.
        partners: what its owner set; *operators*: what we set ourselves.
        followed: its owner has set one with success, and hears of later changes.
        plan: what its owner was last given to know; None = nothing yet.
        ended: the end of its owner's profile was told.
    """

    session: SessionId
    number: int
    partners: Setting | None = None
    operators: Setting | None = None
    followed: bool = False
    plan: ActiveSchedule | None = None
    ended: bool = False

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The partner's first, in whose unit the station is told."""
        return tuple(each for each in (self.partners, self.operators) if each is not None)

    @property
    def profiles(self) -> tuple[ChargingProfile, ...]:
        return tuple(each.profile for each in self.settings)

    def by(self, who: str) -> Setting | None:
        """Return what *who*, or somebody of the same side, has set."""
        return self.partners if who.startswith("partner:") else self.operators

    def with_setting(self, who: str, setting: Setting | None) -> Steering:
        """Return the steering with what *who* set in place of what that side had set."""
        if not who.startswith("partner:"):
            return replace(self, operators=setting)
        return replace(self, partners=setting, ended=False)


@dataclass(frozen=True, slots=True)
class EvseCap:
    """What an operator set for every session of one EVSE. Its number is the station's."""

    evse: EvseRef
    number: int
    setting: Setting


def _check_rate(field: str, value: Decimal) -> None:
    if not value.is_finite() or value < 0 or value > 10**9:
        raise InvalidValue(field, "must be 0 or more")
    if value != value.quantize(TENTH, ROUND_DOWN):
        raise InvalidValue(field, "has one decimal at most")
