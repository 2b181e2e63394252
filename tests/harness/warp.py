"""An event loop whose clock jumps to the next timer as soon as nothing else is to be done.

Days pass in seconds, and nothing in between is left out: each timer fires, in order, at its time.
What comes over sockets takes real time, so the clock jumps only while ``jumping`` is set.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(2026, 11, 2, 6, 0, tzinfo=UTC)
"""What the wall shows when the clock of a loop is at 0."""


class WarpLoop(asyncio.SelectorEventLoop):
    """Seconds of ``time`` are seconds since :data:`EPOCH`."""

    def __init__(self) -> None:
        self._base = 0.0
        self._real = time.monotonic()
        self.jumping = False
        super().__init__(_Jumping(self))

    def time(self) -> float:
        gone = 0.0 if self.jumping else time.monotonic() - self._real
        return self._base + gone

    def jump(self, seconds: float) -> None:
        self._base += seconds

    def now(self) -> datetime:
        """Return the moment of the loop's clock, in whole milliseconds as partners are told it."""
        return EPOCH + timedelta(milliseconds=int(self.time() * 1000))

    @contextmanager
    def warped(self) -> Iterator[None]:
        """Jump while the block runs."""
        self._base, self.jumping = self.time(), True
        try:
            yield
        finally:
            self._real, self.jumping = time.monotonic(), False


class _Jumping(selectors.DefaultSelector):
    """Waits for nothing while its loop jumps."""

    def __init__(self, loop: WarpLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if not self._loop.jumping or timeout is None:
            return super().select(timeout)
        ready = super().select(0)
        if not ready and timeout > 0:
            self._loop.jump(timeout)
        return ready
