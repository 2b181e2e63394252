"""A site is dark when its chargers vanish together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cms.domain.darkness import DarkRule, went_dark

NOW = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
RULE = DarkRule()


def ago(*seconds: int) -> list[datetime]:
    return [NOW - timedelta(seconds=each) for each in seconds]


def test_all_chargers_gone_within_the_window_is_dark_since_the_first_went() -> None:
    assert went_dark(RULE, 0, ago(50, 20, 0), NOW) == ago(50)[0]


def test_one_charger_that_leaves_is_a_bad_link() -> None:
    assert went_dark(RULE, 5, ago(0), NOW) is None
    assert went_dark(RULE, 0, ago(0), NOW) is None


def test_half_a_site_is_not_a_dark_site() -> None:
    assert went_dark(RULE, 2, ago(5, 0), NOW) is None


def test_four_of_five_are_enough() -> None:
    assert went_dark(RULE, 1, ago(9, 9, 5, 0), NOW) is not None


def test_chargers_that_left_one_after_the_other_over_an_hour_are_no_power_cut() -> None:
    assert went_dark(RULE, 0, ago(3600, 1800, 0), NOW) is None
