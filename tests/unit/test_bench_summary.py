"""The benchmark's own arithmetic."""

from __future__ import annotations

import pytest

from benchmarks.report import Figure
from benchmarks.summary import Bound, median, percentile, ratio


def test_the_median_of_an_even_number_lies_between_the_two_in_the_middle() -> None:
    assert median([4, 1, 3, 2]) == 2.5
    assert median([9, 1, 5]) == 5


def test_a_percentile_is_a_value_that_was_seen() -> None:
    values = [float(number) for number in range(1, 101)]
    assert percentile(values, 50) == 50
    assert percentile(values, 99) == 99
    assert percentile(values, 100) == 100
    assert percentile([7.0], 99) == 7


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_percentile_outside_of_everything_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="percent"):
        percentile([1.0], percent)


def test_nothing_has_no_median_and_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        median([])
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_a_ratio_pairs_the_rounds_so_that_a_slow_minute_does_not_tell() -> None:
    assert ratio([20, 200, 21], [10, 100, 10]) == 2


def test_rounds_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(ValueError):
        ratio([1, 2], [1])


def test_a_figure_passes_on_its_target_and_fails_beyond_it() -> None:
    assert Figure("x", 1.8, "x", Bound.AT_MOST, 1.8).verdict == "pass"
    assert Figure("x", 1.81, "x", Bound.AT_MOST, 1.8).verdict == "FAIL"
    assert Figure("x", 2.5, "x", Bound.AT_LEAST, 2.5).verdict == "pass"
    assert Figure("x", 2.4, "x", Bound.AT_LEAST, 2.5).verdict == "FAIL"


def test_what_was_not_measured_or_is_in_doubt_never_passes() -> None:
    assert Figure("x", None, "x", Bound.AT_MOST, 1).verdict == "NOT MEASURED"
    assert Figure("x", 0.5, "x", Bound.AT_MOST, 1, doubt="3 CALLERRORs").verdict == "IN DOUBT"
