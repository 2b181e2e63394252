"""Readings become contiguous segments whose energy is last minus first register."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cms.domain.errors import InvalidValue
from cms.domain.usage import Reading, Usage, UsageKind, usages_from_readings

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
CHARGING, PARKING, UNBILLED = UsageKind.CHARGING, UsageKind.PARKING, UsageKind.UNBILLED


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def told(usages: tuple[Usage, ...]) -> list[tuple[float, object, UsageKind]]:
    return [((u.end - NOON) / timedelta(minutes=1), u.wh, u.kind) for u in usages]


def test_two_registers_are_one_segment() -> None:
    usages = usages_from_readings([Reading(at(0), 1000), Reading(at(60), 8000)])
    assert usages == (Usage(at(0), at(60), 7000),)


def test_state_change_between_samples_keeps_the_energy_with_the_charging_time() -> None:
    usages = usages_from_readings(
        [Reading(at(0), 0), Reading(at(15), charging=False), Reading(at(60), 3000)]
    )
    assert told(usages) == [(15, 3000, CHARGING), (60, 0, PARKING)]


def test_register_is_interpolated_where_power_is_reported_without_one() -> None:
    usages = usages_from_readings(
        [Reading(at(0), 0), Reading(at(20), power_w=3000), Reading(at(60), 3001)]
    )
    assert told(usages) == [(20, 1000, CHARGING), (60, 2001, CHARGING)]
    assert [u.power_w for u in usages] == [None, 3000]


def test_energy_that_came_while_parked_stays_in_the_parking_time() -> None:
    usages = usages_from_readings([Reading(at(0), 0, charging=False), Reading(at(30), 7)])
    assert told(usages) == [(30, 7, PARKING)]


def test_dark_time_is_unbilled_and_takes_no_energy() -> None:
    usages = usages_from_readings(
        [Reading(at(0), 0), Reading(at(60), 4000)], dark=[(at(20), at(40))]
    )
    assert told(usages) == [(20, 2000, CHARGING), (40, 0, UNBILLED), (60, 2000, CHARGING)]


def test_dark_intervals_may_overlap_and_stick_out() -> None:
    usages = usages_from_readings(
        [Reading(at(0), 0), Reading(at(60), 600)],
        dark=[(at(50), at(90)), (at(-5), at(10)), (at(5), at(20)), (at(55), at(58))],
    )
    assert told(usages) == [(20, 0, UNBILLED), (50, 600, CHARGING), (60, 0, UNBILLED)]


def test_energy_that_has_nowhere_else_to_go_stays_with_the_dark_time() -> None:
    usages = usages_from_readings([Reading(at(0), 0), Reading(at(9), 5)], dark=[(at(0), at(9))])
    assert told(usages) == [(9, 5, UNBILLED)]


def test_stray_registers_do_not_change_the_energy_of_the_session() -> None:
    usages = usages_from_readings(
        [Reading(at(0), 100), Reading(at(1), 9000), Reading(at(2), 50), Reading(at(3), 400)]
    )
    assert [u.wh for u in usages] == [300, 0, 0]


def test_two_registers_of_one_moment_keep_their_energy() -> None:
    usages = usages_from_readings([Reading(at(0), 0), Reading(at(5), 100), Reading(at(5), 130)])
    assert told(usages) == [(5, 100, CHARGING), (5, 30, CHARGING)]


def test_state_holds_until_something_else_is_said() -> None:
    readings = [
        Reading(at(0), 0, charging=False),
        Reading(at(5), 0),
        Reading(at(10), 0, charging=True),
        Reading(at(15), 50),
        Reading(at(20), 90),
    ]
    kinds = [u.kind for u in usages_from_readings(readings)]
    assert kinds == [PARKING, PARKING, CHARGING, CHARGING]


@pytest.mark.parametrize(
    "readings",
    [
        [],
        [Reading(NOON, 0)],
        [Reading(NOON), Reading(at(1), 5)],
        [Reading(NOON, 5), Reading(at(1))],
        [Reading(NOON, 5), Reading(at(1), 4)],
        [Reading(at(1), 5), Reading(NOON, 6)],
    ],
)
def test_what_cannot_be_one_session_is_refused(readings: list[Reading]) -> None:
    with pytest.raises(InvalidValue):
        usages_from_readings(readings)


def test_segment_cannot_end_before_it_starts_or_lack_a_zone() -> None:
    with pytest.raises(InvalidValue):
        Usage(at(1), at(0))
    with pytest.raises(InvalidValue):
        Usage(datetime(2026, 1, 1), datetime(2026, 1, 1))  # noqa: DTZ001


steps = st.lists(
    st.tuples(
        st.integers(0, 90),
        st.none() | st.integers(-50, 500),
        st.none() | st.booleans(),
    ),
    max_size=12,
)
darkness = st.lists(st.tuples(st.integers(-10, 700), st.integers(-10, 700)), max_size=4)


@given(steps, darkness, st.integers(0, 5_000))
def test_segments_are_contiguous_and_sum_to_last_minus_first(
    steps: list[tuple[int, int | None, bool | None]], dark: list[tuple[int, int]], last: int
) -> None:
    readings, minutes = [Reading(NOON, 0)], 0
    for gap, register, charging in steps:
        minutes += gap
        readings.append(Reading(at(minutes), register, charging))
    readings.append(Reading(at(minutes + 1), last))
    usages = usages_from_readings(readings, dark=[(at(a), at(b)) for a, b in dark])
    assert sum(u.wh for u in usages) == last
    assert all(u.wh >= 0 for u in usages)
    assert (usages[0].start, usages[-1].end) == (NOON, at(minutes + 1))
    assert all(a.end == b.start for a, b in pairwise(usages))
