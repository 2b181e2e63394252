"""The rules for calls of ours, and for looking at thousands of sockets with one timer."""

from __future__ import annotations

import asyncio

from ocpp_gateway.limits import Flaps, TokenBucket
from ocpp_gateway.rpc import Rpc
from ocpp_gateway.wheel import Wheel


def test_one_call_is_in_flight_and_the_next_leaves_after_its_answer() -> None:
    rpc: Rpc[str] = Rpc()
    assert rpc.submit("1", b"one", "a", 0)
    assert rpc.submit("2", b"two", "b", 0)
    assert rpc.next_to_send(0) == b"one"
    assert rpc.next_to_send(0) is None
    assert rpc.answered("1") == "a"
    assert rpc.next_to_send(1) == b"two"


def test_a_wrong_id_frees_nothing() -> None:
    rpc: Rpc[str] = Rpc()
    rpc.submit("1", b"one", "a", 0)
    assert rpc.answered("1") is None  # not sent yet
    rpc.next_to_send(0)
    assert rpc.answered("2") is None
    assert rpc.next_to_send(0) is None
    assert rpc.answered("1") == "a"
    assert rpc.answered("1") is None  # a repeated answer


def test_a_call_that_is_not_answered_in_time_is_given_up_and_its_late_answer_ignored() -> None:
    rpc: Rpc[str] = Rpc(timeout_s=30)
    rpc.submit("1", b"one", "a", 0)
    rpc.next_to_send(5)
    assert rpc.deadline() == 35
    assert rpc.expired(34.9) == []
    assert rpc.expired(35) == ["a"]
    assert rpc.answered("1") is None
    assert rpc.idle


def test_a_call_that_waited_too_long_for_its_turn_is_never_sent() -> None:
    rpc: Rpc[str] = Rpc(timeout_s=30)
    rpc.submit("1", b"one", "a", 0)
    rpc.next_to_send(10)
    rpc.submit("2", b"two", "b", 5)
    assert rpc.deadline() == 35
    assert rpc.expired(36) == ["b"]
    assert rpc.answered("1") == "a"
    assert rpc.next_to_send(36) is None


def test_a_full_queue_refuses() -> None:
    rpc: Rpc[int] = Rpc(max_waiting=2)
    assert [rpc.submit(str(n), b"", n, 0) for n in range(3)] == [True, True, False]


def test_a_lost_connection_gives_back_every_call() -> None:
    rpc: Rpc[str] = Rpc()
    rpc.submit("1", b"one", "a", 0)
    rpc.submit("2", b"two", "b", 0)
    rpc.next_to_send(0)
    assert rpc.abandon() == ["a", "b"]
    assert rpc.idle
    assert rpc.deadline() is None


def test_the_bucket_admits_a_burst_and_then_the_rate() -> None:
    bucket = TokenBucket(rate=10, burst=3, now=0)
    assert [bucket.take(0) for _ in range(4)] == [True, True, True, False]
    assert bucket.take(0.1)
    assert not bucket.take(0.1)
    assert [bucket.take(100) for _ in range(4)] == [True, True, True, False]


def test_take_overs_count_only_within_their_window() -> None:
    flaps = Flaps(limit=2, window_s=600)
    assert flaps.count("A", 0) == 1
    assert not flaps.refuses("A", 1)
    assert flaps.count("A", 300) == 2
    assert flaps.refuses("A", 301)
    assert not flaps.refuses("B", 301)
    assert not flaps.refuses("A", 601)


async def test_the_wheel_looks_at_each_when_it_is_due_and_stops_when_told() -> None:
    class Watched:
        looks = 0

        def look(self, now: float) -> float | None:
            self.looks += 1
            return 0.01 if self.looks < 3 else None

    ticks = asyncio.Queue[float]()
    wheel = Wheel(ticks.put_nowait, tick_s=0.01, slots=8)
    soon, later = Watched(), Watched()
    wheel.watch(soon, 0.01)
    wheel.watch(later, 999)  # the longest that the wheel can wait: seven turns
    wheel.start()
    async with asyncio.timeout(10):
        for _ in range(6):
            await ticks.get()
        assert (soon.looks, later.looks) == (3, 0)
        while later.looks == 0:
            await ticks.get()
    wheel.stop()
