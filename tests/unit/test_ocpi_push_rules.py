"""The push's pure parts: pace, lines, and what an answer means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cms.app.ports import Change
from ocpi_cpo.answers import Heard, Kind, Silence, judge
from ocpi_cpo.push.pace import Pace, pause
from ocpi_cpo.push.stream import Item, Stream

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def change(seq: int, key: str) -> Change:
    return Change(seq, "session", key, None, NOW, False)


def line(*changes: Change) -> Stream:
    stream = Stream("sessions", ("session",), lambda c: c.key)
    stream.start(0)
    stream.feed(changes, 100)
    return stream


def always(item: Item) -> bool:
    return True


# -- streams


def test_the_cursor_stops_below_what_is_open() -> None:
    stream = line(change(1, "a"), change(2, "b"), change(3, "c"))
    first, second = stream.waiting[0], stream.waiting[1]
    stream.launch(first)
    stream.launch(second)
    stream.land(second)
    assert stream.settled() == 0
    stream.land(first)
    assert stream.settled() == 2


def test_a_newer_change_takes_over_the_place_in_line_of_the_older() -> None:
    stream = line(change(1, "a"), change(2, "b"))
    stream.feed([change(3, "a")], 100)
    assert [(each.change.key, each.change.seq) for each in stream.waiting] == [("a", 3), ("b", 2)]
    assert stream.settled() == 1


def test_two_requests_about_one_object_never_fly_at_once() -> None:
    stream = line(change(1, "a"))
    item = stream.next(0.0, always)
    assert item is not None
    stream.launch(item)
    stream.feed([change(2, "a")], 100)
    assert stream.next(0.0, always) is None
    stream.land(item)
    assert stream.next(0.0, always) is not None


def test_what_failed_waits_behind_the_others() -> None:
    stream = line(change(1, "a"), change(2, "b"))
    item = stream.next(0.0, always)
    assert item is not None
    stream.launch(item)
    item.not_before = 10.0
    stream.back(item)
    following = stream.next(0.0, always)
    assert following is not None and following.change.key == "b"
    assert stream.due_in(4.0) == 6.0
    assert stream.settled() == 0


def test_a_partner_that_is_back_hears_at_once_what_waited_for_it() -> None:
    stream = line(change(1, "a"))
    item = stream.next(0.0, always)
    assert item is not None
    stream.launch(item)
    item.not_before = 900.0
    stream.back(item)
    assert stream.next(1.0, always) is None
    stream.wake()
    assert stream.next(1.0, always) is item
    assert stream.due_in(1.0) is None


def test_what_failed_while_a_newer_change_came_is_one_item_with_its_history() -> None:
    stream = line(change(1, "a"))
    item = stream.next(0.0, always)
    assert item is not None
    stream.launch(item)
    stream.feed([change(5, "a")], 100)
    item.attempts = 3
    stream.back(item)
    [only] = stream.waiting
    assert (only.change.seq, only.attempts) == (5, 3)


def test_a_parked_thing_that_is_tried_again_does_not_hold_the_cursor() -> None:
    stream = line(change(7, "a"))
    taken = stream.next(0.0, always)
    assert taken is not None
    stream.launch(taken)
    stream.land(taken)
    stream.again(Item(change(0, "z"), "z", feed=False))
    assert stream.settled() == 7
    stream.feed([change(9, "z")], 100)
    assert stream.settled() == 8


# -- pace


def test_pauses_grow_to_the_cap_and_stay() -> None:
    pauses = [pause(n, 300, jitter=lambda: 0.0) for n in range(9)]
    assert pauses == [0, 1, 5, 25, 125, 300, 300, 300, 300]
    assert pause(3, 300, jitter=lambda: 1.0) == pytest.approx(22.5)


def test_after_a_failure_one_probe_leaves_at_a_time() -> None:
    pace = Pace(8, 300.0)
    pace.passed(-1.0)
    assert pace.room(0.0, 3) == 5
    for key in "abcdefgh":  # eight in flight fail together: that is one failure of the partner
        pace.failed(0.0, -1.0, key, None)
    assert pace.failures == 1
    assert pace.room(0.5, 0) == 0
    assert pace.room(1.0, 0) == 1
    assert pace.room(1.0, 1) == 0
    pace.passed(1.0)
    assert pace.room(1.0, 0) == 8


def test_after_a_silence_one_request_goes_ahead() -> None:
    pace = Pace(8, 900.0)
    assert pace.room(0.0, 0) == 1
    pace.passed(0.0)
    assert pace.room(59.0, 0) == 8
    assert pace.room(61.0, 0) == 1


def test_a_dead_partner_is_asked_twelve_times_in_its_first_hour_at_most() -> None:
    pace, now, asked = Pace(8, 900.0), 0.0, 0
    while now < 3600:
        asked += 1
        pace.failed(now, now, f"object {asked}", None)
        now += pace.waits(now) or 0.0
    assert 5 <= asked <= 9  # and up to three that were under way when it died


def test_one_object_that_fails_alone_is_told_from_a_partner_that_is_down() -> None:
    pace = Pace(8, 300.0)
    pace.failed(0.0, -1.0, "a", None)
    pace.failed(10.0, 9.0, "a", None)
    assert pace.lone_suspect() == "a"
    pace.failed(20.0, 19.0, "b", None)
    assert pace.lone_suspect() is None


def test_a_time_that_the_partner_names_is_kept() -> None:
    pace = Pace(8, 300.0)
    pace.failed(0.0, -1.0, "a", 60.0)
    assert pace.waits(1.0) == 59.0
    assert pace.lone_suspect() is None
    pace.heard(5.0)
    assert pace.room(5.0, 0) == 1


# -- answers


@pytest.mark.parametrize(
    ("http", "code", "message", "kind"),
    [
        (200, 1000, "", Kind.DELIVERED),
        (201, 1999, "", Kind.DELIVERED),
        (200, 2000, "", Kind.REFUSED),
        (200, 2003, "unknown location", Kind.REFUSED),
        (200, 2001, "CDR already exists", Kind.EXISTS),
        (200, 3000, "", Kind.LATER),
        (200, 4002, "", Kind.LATER),
        (200, 5000, "", Kind.UNCLEAR),
        (302, None, "", Kind.REFUSED),
        (400, 2000, "", Kind.REFUSED),
        (401, 2000, "", Kind.UNAUTHORISED),
        (403, None, "", Kind.UNAUTHORISED),
        (404, 2003, "", Kind.MISSING),
        (405, None, "", Kind.REFUSED),
        (409, None, "", Kind.EXISTS),
        (429, None, "", Kind.LATER),
        (500, 1000, "", Kind.UNCLEAR),
        (503, None, "", Kind.UNCLEAR),
    ],
)
def test_each_answer_has_its_meaning(http: int, code: int | None, message: str, kind: Kind) -> None:
    body = (
        b""
        if code is None
        else b'{"status_code":%d,"status_message":"%s"}'
        % (
            code,
            message.encode(),
        )
    )
    assert judge(Heard(http, {}, body, 1)).kind is kind


def test_a_success_without_an_envelope_is_unclear() -> None:
    for body in (b"", b"<html>", b"[]", b'{"status_code":"1000"}', b'{"status_code":true}'):
        assert judge(Heard(200, {}, body, 1)).kind is Kind.UNCLEAR


def test_a_503_that_names_a_time_was_not_taken() -> None:
    answer = judge(Heard(503, {"Retry-After": "7200"}, b"", 1))
    assert (answer.kind, answer.retry_after) == (Kind.LATER, 3600.0)


def test_silence_tells_what_was_sent_from_what_was_not() -> None:
    assert judge(Silence("timeout", sent=True)).kind is Kind.UNCLEAR
    assert judge(Silence("refused", sent=False)).kind is Kind.UNREACHABLE
    assert judge(Silence("forbidden", sent=False)).kind is Kind.REFUSED
