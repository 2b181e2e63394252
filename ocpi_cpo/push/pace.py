"""How fast a partner is spoken to: back-off with one probe, and Retry-After. Pure.

A partner that is down for good is asked at most twelve times in its first hour and less often
afterwards (one probe, pauses of 1 s, 5 s, 25 s ... 15 min), however much is waiting for it: after
a minute without a sign of life, one request goes ahead of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import random

FIRST_PAUSE_SECONDS = 1.0
FACTOR = 5.0
ALIVE_SECONDS = 60.0

FIRST_PROBE_SECONDS = 5.0
PROBE_SECONDS = 360.0
"""A hub that is away is asked for its versions after five seconds, then every six minutes: with the
two requests that showed it to be away no more than twelve in an hour."""


def pause(failures: int, cap: float, jitter: Callable[[], float] = random) -> float:
    """Return the pause after *failures* in a row: 1 s, 5 s, 25 s ... *cap*, less up to a tenth.

    The cap itself is not shortened, so that a partner that is down for good is asked no more often
    than once in *cap* seconds.
    """
    if failures <= 0:
        return 0.0
    grown = FIRST_PAUSE_SECONDS * FACTOR ** min(failures - 1, 12)
    return cap if grown >= cap else float(grown * (1 - jitter() / 10))


@dataclass(slots=True)
class Pace:
    """The state of one partner's line. Times are seconds of a monotonic clock.

    Attributes:
        in_flight: the most requests at once while all is well.
        failures: requests in a row that brought no answer that decides anything.
        passed_at: when an answer last decided something.
        suspects: the objects that these were about. As long as it is one and the same, it may be
            the object's fault, and others need not wait.
    """

    in_flight: int
    cap: float
    failures: int = 0
    resume_at: float = 0.0
    suspects: frozenset[str] = frozenset()
    passed_at: float = float("-inf")

    def room(self, now: float, flying: int) -> int:
        """Return how many further requests may leave now: none in a pause, one as a probe."""
        if now < self.resume_at:
            return 0
        alive = self.failures == 0 and now - self.passed_at < ALIVE_SECONDS
        allowed = self.in_flight if alive else 1
        return max(0, allowed - flying)

    def passed(self, now: float) -> None:
        """An answer came that decides something."""
        self.failures, self.resume_at, self.suspects = 0, 0.0, frozenset()
        self.passed_at = now

    def lone_suspect(self) -> str | None:
        """Return the one object that all failures in a row were about, if it is only one."""
        return next(iter(self.suspects)) if len(self.suspects) == 1 else None

    def failed(self, now: float, began: float, object: str, retry_after: float | None) -> None:
        """A request brought nothing. Those that left before the last pause began count once."""
        self.suspects |= {object, *(("the partner itself",) if retry_after else ())}
        if began >= self.resume_at or self.failures == 0:
            self.failures += 1
        wait = pause(self.failures, self.cap)
        self.resume_at = max(self.resume_at, now + max(wait, retry_after or 0.0))

    def heard(self, now: float) -> None:
        """The partner called us: it lives, so the next probe may leave at once."""
        self.resume_at = min(self.resume_at, now)

    def waits(self, now: float) -> float | None:
        """Return the seconds until the pause ends; None outside one."""
        return self.resume_at - now if self.resume_at > now else None


@dataclass(slots=True)
class Trunk:
    """What all lines over one connection have in common. Times are seconds of a monotonic clock.

    One party behind a hub that is away must not slow the others; a hub that is away must not be
    asked by every line. The trunk is closed when a request could not reach the hub at all, or when
    the requests of two lines brought nothing and none between them did. While it is closed no line
    sends; the hub is asked for its versions now and then (``probe_in``). Its answer lets one
    request through, and what becomes of that one opens the trunk or closes it again.

    Attributes:
        in_flight: the most requests at once, of all lines together.
        flying: those on their way now.
        failures: how often it was closed since something passed; 0 = open.
        suspects: the lines whose requests brought nothing since something passed.
        answers: whether the hub answered since the trunk was closed last.
        moved: called whenever it was closed or opened.
    """

    in_flight: int
    flying: int = 0
    failures: int = 0
    closed_at: float = float("-inf")
    resume_at: float = 0.0
    suspects: frozenset[str] = frozenset()
    answers: bool = False
    passed_at: float = float("-inf")
    moved: Callable[[], None] = lambda: None
    _waiting: dict[Callable[[], None], None] = field(default_factory=dict)

    @property
    def closed(self) -> bool:
        return self.failures > 0

    def room(self, now: float) -> int:
        """Return how many further requests may leave now."""
        if self.closed:
            return max(0, 1 - self.flying) if self.answers else 0
        alive = now - self.passed_at < ALIVE_SECONDS
        return max(0, (self.in_flight if alive else 1) - self.flying)

    def wait(self, wake: Callable[[], None]) -> None:
        """Have *wake* called when there is room, after those who wait already."""
        self._waiting.setdefault(wake)

    def next(self, now: float) -> None:
        """Wake the one that waits longest, if there is room. It passes the word on."""
        if self._waiting and self.room(now):
            wake = next(iter(self._waiting))
            del self._waiting[wake]
            wake()

    def passed(self, now: float) -> None:
        """Something got through to the hub or beyond."""
        opened = self.closed
        self.failures, self.suspects, self.answers = 0, frozenset(), False
        self.passed_at = now
        if opened:
            self.moved()

    def failed(self, now: float, began: float, line: str, unreachable: bool) -> None:
        """A request of *line* brought nothing; what left before the last closing counts no more."""
        if self.closed and began <= self.closed_at:
            return
        self.suspects |= {line}
        if self.closed or unreachable or len(self.suspects) > 1:
            self.failures += 1
            self.closed_at, self.answers = now, False
            self.resume_at = now + (FIRST_PROBE_SECONDS if self.failures == 1 else PROBE_SECONDS)
            self.moved()

    def answered(self) -> None:
        """The hub gave its versions: one request may try."""
        self.answers = True

    def heard(self, now: float) -> None:
        """The hub called us: it lives, so it may be asked at once."""
        self.resume_at = min(self.resume_at, now)

    def probe_in(self, now: float) -> float | None:
        """Return the seconds until the hub shall be asked for its versions; None if it need not."""
        return max(0.0, self.resume_at - now) if self.closed and not self.answers else None
