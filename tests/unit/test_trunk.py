"""What the lines over one hub's connection have in common: how a hub that is away is asked."""

from __future__ import annotations

from ocpi_cpo.push.pace import Trunk

HOUR = 3600.0


def asked_in_an_hour(trunk: Trunk, first: float = 0.0) -> int:
    """How often a hub is asked that never answers, by two lines that always have something."""
    now, count = first, 0
    for line in ("A", "B"):
        if trunk.room(now):
            count += 1
            trunk.failed(now + 0.1, now, line, unreachable=False)
    while (wait := trunk.probe_in(now)) is not None and now + wait < first + HOUR:
        now += wait
        count += 1
        trunk.failed(now, now, "the hub itself", unreachable=True)
        assert not trunk.room(now), "no line sends while the hub is away"
    return count


def test_a_dead_hub_is_asked_at_most_twelve_times_in_an_hour() -> None:
    assert 8 <= asked_in_an_hour(Trunk(8)) <= 12


def test_one_line_that_gets_nothing_through_closes_nothing() -> None:
    trunk = Trunk(8)
    for n in range(10):
        trunk.failed(n, n, "A", unreachable=False)
    assert not trunk.closed
    assert trunk.room(10.0) == 1


def test_two_lines_in_a_row_close_it_but_not_if_something_passed_between() -> None:
    trunk = Trunk(8)
    trunk.failed(1.0, 1.0, "A", unreachable=False)
    trunk.passed(2.0)
    trunk.failed(3.0, 3.0, "B", unreachable=False)
    assert not trunk.closed
    trunk.failed(4.0, 4.0, "A", unreachable=False)
    assert trunk.closed


def test_a_hub_that_cannot_be_reached_closes_it_at_once() -> None:
    trunk = Trunk(8)
    trunk.failed(1.0, 1.0, "A", unreachable=True)
    assert trunk.closed and trunk.room(1.0) == 0


def test_requests_from_before_the_closing_count_once() -> None:
    trunk = Trunk(8)
    for _ in range(8):
        trunk.failed(1.0, 0.5, "A", unreachable=True)
    assert trunk.failures == 1


def test_its_answer_lets_one_request_through_which_opens_it_or_closes_it_again() -> None:
    moves: list[bool] = []
    trunk = Trunk(8)
    trunk.moved = lambda: moves.append(trunk.closed)
    trunk.failed(0.0, 0.0, "A", unreachable=True)
    assert trunk.probe_in(0.0) == 5.0
    trunk.answered()
    assert trunk.room(5.0) == 1 and trunk.probe_in(5.0) is None
    trunk.failed(6.0, 5.5, "A", unreachable=False)
    assert trunk.room(6.0) == 0 and trunk.probe_in(6.0) == 360.0
    trunk.heard(7.0)
    assert trunk.probe_in(7.0) == 0.0
    trunk.answered()
    trunk.passed(8.0)
    assert not trunk.closed and trunk.room(8.0) == 8
    assert moves == [True, True, False]


def test_room_is_shared_and_given_to_who_waits_longest() -> None:
    trunk, woken = Trunk(2), list[str]()
    trunk.passed(0.0)
    trunk.flying = 2
    for name in ("A", "B"):
        trunk.wait(lambda name=name: woken.append(name))  # type: ignore[misc]
    trunk.next(1.0)
    assert woken == []
    trunk.flying = 1
    trunk.next(1.0)
    assert woken == ["A"]
    trunk.next(1.0)
    assert woken == ["A", "B"]
