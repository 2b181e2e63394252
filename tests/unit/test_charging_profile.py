"""Charging profiles: what holds when, in which unit, and what a station is given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from cms.domain.charging_profile import (
    ActiveSchedule,
    ChargingProfile,
    Period,
    RateUnit,
    Supply,
    combined,
    expected,
    lowest,
    same_plan,
    worth_telling,
)
from cms.domain.errors import InvalidValue

T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
W, A = RateUnit.WATTS, RateUnit.AMPERES
SUPPLY = Supply(voltage=230, phases=3, amperes=32, watts=22_080)


def profile(*periods: tuple[int, str], unit: RateUnit = W, **more: object) -> ChargingProfile:
    made = tuple(Period(offset, Decimal(limit)) for offset, limit in periods)
    return ChargingProfile(unit, made, **more)  # type: ignore[arg-type]


def later(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def plain(periods: tuple[Period, ...]) -> list[tuple[int, str]]:
    return [(each.offset, str(each.limit)) for each in periods]


@pytest.mark.parametrize("limit", ["7.25", "-1", "NaN"])
def test_a_limit_is_no_less_than_zero_and_has_one_decimal(limit: str) -> None:
    with pytest.raises(InvalidValue):
        profile((0, limit))


def test_a_profile_needs_rising_periods_and_a_duration_above_zero() -> None:
    for broken in ([], [(0, "1"), (0, "2")], [(60, "1"), (30, "2")]):
        with pytest.raises(InvalidValue, match="periods"):
            profile(*broken)
    with pytest.raises(InvalidValue, match="duration"):
        profile((0, "1"), duration=0)


def test_one_profile_alone_stays_as_it_is() -> None:
    own = profile((0, "7000"), (600, "11000"), duration=3600)
    assert combined([own], SUPPLY, T0) == own


def test_before_a_profile_s_first_period_all_may_flow() -> None:
    own = combined([profile((300, "16"), unit=A)], SUPPLY, T0)
    assert own is not None and plain(own.periods) == [(0, "32"), (300, "16")]


def test_of_two_limits_the_lower_holds_at_each_moment() -> None:
    partners = profile((0, "7000"), (600, "11000"))
    ours = profile((0, "9000"), start=later(300), duration=600)
    both = combined([partners, ours], SUPPLY, T0)
    assert both is not None
    assert (both.start, both.duration) == (T0, None)
    assert plain(both.periods) == [(0, "7000"), (600, "9000"), (900, "11000")]


def test_amperes_become_watts_by_the_phases_that_there_are_and_never_more_than_was_said() -> None:
    assert SUPPLY.converted(Decimal(16), A, W) == Decimal("11040.0")
    assert SUPPLY.converted(Decimal(7000), W, A) == Decimal("10.1")
    both = combined([profile((0, "10"), unit=A), profile((0, "3680"))], SUPPLY, T0)
    assert both is not None and both.unit is A and plain(both.periods) == [(0, "5.3")]


def test_two_profiles_that_end_make_one_that_ends_with_the_later() -> None:
    both = combined(
        [profile((0, "7000"), duration=60), profile((0, "9000"), duration=120)], SUPPLY, T0
    )
    assert both is not None and both.duration == 120
    assert plain(both.periods) == [(0, "7000"), (60, "9000")]


def test_nothing_set_is_no_profile_and_the_plan_is_the_most_of_the_evse() -> None:
    assert combined([], SUPPLY, T0) is None
    plan = expected([], SUPPLY, T0, T0, timedelta(minutes=30))
    assert (plan.unit, plain(plan.periods), plan.duration) == (W, [(0, "22080")], 1800)


def test_a_plan_begins_now_and_ends_with_its_span() -> None:
    own = profile((0, "7000"), (600, "11000"), (5000, "1000"))
    plan = expected([own], SUPPLY, T0, later(100.4), timedelta(seconds=1000))
    assert plan.start == later(100)
    assert plain(plan.periods) == [(0, "7000"), (500, "11000")]


def test_no_limit_lies_above_what_the_evse_can_deliver() -> None:
    periods = lowest([profile((0, "50000"))], SUPPLY, W, T0, T0, None)
    assert plain(periods) == [(0, "22080")]


@pytest.mark.parametrize(
    ("duration", "seconds"), [(60, 300), (1200, 1200), (86_400, 3600), (None, 3600)]
)
def test_what_is_told_unasked_spans_five_to_sixty_minutes(
    duration: int | None, seconds: int
) -> None:
    span = worth_telling([profile((0, "7000"), duration=duration)], T0, T0)
    assert span == timedelta(seconds=seconds)


def test_the_same_plan_asked_for_later_is_no_news() -> None:
    own = profile((0, "7000"), (600, "11000"))
    first = expected([own], SUPPLY, T0, T0, timedelta(minutes=30))
    second = expected([own], SUPPLY, T0, later(120), timedelta(minutes=30))
    assert same_plan(first, second, later(120))
    assert not same_plan(first, second, later(0) - timedelta(seconds=1)) or first == second


def test_another_limit_now_or_soon_is_news() -> None:
    one = ActiveSchedule(W, (Period(0, Decimal(7000)),), T0, 600)
    now_lower = ActiveSchedule(W, (Period(0, Decimal(5000)),), T0, 600)
    soon_lower = ActiveSchedule(W, (Period(0, Decimal(7000)), Period(60, Decimal(5000))), T0, 600)
    assert not same_plan(one, now_lower, T0)
    assert not same_plan(one, soon_lower, T0)
    assert not same_plan(one, None, T0) and same_plan(None, None, T0)
    assert not same_plan(one, ActiveSchedule(A, (Period(0, Decimal(7000)),), T0, 600), T0)


def test_two_changes_within_one_second_are_one_and_the_later_holds() -> None:
    ours = profile((0, "5000"), start=later(0.4))
    both = combined([profile((0, "7000")), ours], SUPPLY, T0)
    assert both is not None and plain(both.periods) == [(0, "5000")]


def test_a_plan_asked_for_in_the_first_second_of_a_session_says_what_holds_by_then() -> None:
    plan = expected([profile((0, "7000"))], SUPPLY, later(0.3), later(0.6), timedelta(minutes=5))
    assert plan.start == T0 and plain(plan.periods) == [(0, "7000")]
