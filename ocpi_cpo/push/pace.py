"""How fast a partner is spoken to: back-off with one probe, and Retry-After. Pure.

A partner that is down for good is asked at most twelve times in its first hour and less often
afterwards (one probe, pauses of 1 s, 5 s, 25 s ... 15 min), however much is waiting for it: after
a minute without a sign of life, one request goes ahead of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import random

FIRST_PAUSE_SECONDS = 1.0
FACTOR = 5.0
ALIVE_SECONDS = 60.0


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
