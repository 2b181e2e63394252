"""OCPP-J's rules for calls of ours, without I/O.

Feed it what is wanted, what arrived and what time it is; it says what to send. It never awaits
and never reads a clock, so every rule below can be tested in microseconds.

Rules: at most one call of ours is in flight (OCPP-J 1.6, 4.1.1); one that is not answered in time
is given up and its late answer means nothing; an answer with a wrong id frees nothing; calls wait
in a bounded queue, and a full queue refuses instead of piling up.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

CALL_TIMEOUT_S = 30.0
MAX_WAITING = 50

T = TypeVar("T")


class Rpc(Generic[T]):
    """Our calls to one station. ``T`` is whatever the caller wants back with the answer."""

    __slots__ = ("_in_flight", "_max_waiting", "_timeout_s", "_waiting")

    def __init__(self, timeout_s: float = CALL_TIMEOUT_S, max_waiting: int = MAX_WAITING) -> None:
        self._timeout_s = timeout_s
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[str, bytes, T, float]] = deque()
        self._in_flight: tuple[str, float, T] | None = None

    def submit(self, id: str, data: bytes, call: T, now: float) -> bool:
        """Let a call wait its turn. False: the queue is full, nothing was taken."""
        if len(self._waiting) >= self._max_waiting:
            return False
        self._waiting.append((id, data, call, now + self._timeout_s))
        return True

    def next_to_send(self, now: float) -> bytes | None:
        """Return the bytes to write now; None while a call is in flight or none waits."""
        if self._in_flight is not None or not self._waiting:
            return None
        id, data, call, _ = self._waiting.popleft()
        self._in_flight = (id, now + self._timeout_s, call)
        return data

    def answered(self, id: str) -> T | None:
        """Return the call that *id* answers and free its slot; None if it answers none."""
        if self._in_flight is None or self._in_flight[0] != id:
            return None
        call = self._in_flight[2]
        self._in_flight = None
        return call

    def expired(self, now: float) -> list[T]:
        """Give up and return the call in flight if its time is over, and all that waited as long.

        A wish that nobody waits for any more must not reach the station later.
        """
        calls = []
        if self._in_flight is not None and now >= self._in_flight[1]:
            calls.append(self._in_flight[2])
            self._in_flight = None
        while self._waiting and now >= self._waiting[0][3]:
            calls.append(self._waiting.popleft()[2])
        return calls

    def deadline(self) -> float | None:
        """When ``expired`` next has something to say."""
        ends = [] if self._in_flight is None else [self._in_flight[1]]
        ends += [self._waiting[0][3]] if self._waiting else []
        return min(ends, default=None)

    @property
    def idle(self) -> bool:
        return self._in_flight is None and not self._waiting

    def abandon(self) -> list[T]:
        """The connection is gone: forget and return everything, the one in flight first."""
        calls = [] if self._in_flight is None else [self._in_flight[2]]
        calls += [call for _, _, call, _ in self._waiting]
        self._in_flight = None
        self._waiting.clear()
        return calls
