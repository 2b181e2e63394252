"""One timer for all connections: each is looked at when it may be due, and not before.

A timer per connection costs memory and a heap; a scan over all costs a stall. Here a connection
lies in the slot of the second in which it wants to be seen next.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Protocol


class Watched(Protocol):
    def look(self, now: float) -> float | None:
        """Do what is due; return in how many seconds to look again, None for never."""


class Wheel:
    """Turns one slot every *tick_s*.

    Args:
        each_tick: called with the time at every turn, for whatever is global.
    """

    __slots__ = ("_each_tick", "_handle", "_loop", "_position", "_slots", "_tick_s")

    def __init__(
        self, each_tick: Callable[[float], None], tick_s: float = 1.0, slots: int = 128
    ) -> None:
        self._each_tick = each_tick
        self._tick_s = tick_s
        self._slots: list[list[Watched]] = [[] for _ in range(slots)]
        self._position = 0
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._handle = self._loop.call_later(self._tick_s, self._turn)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._slots = [[] for _ in self._slots]

    def watch(self, watched: Watched, in_s: float) -> None:
        """Look at *watched* in *in_s* seconds, or at the longest this wheel can wait."""
        steps = min(max(math.ceil(in_s / self._tick_s), 1), len(self._slots) - 1)
        self._slots[(self._position + steps) % len(self._slots)].append(watched)

    def _turn(self) -> None:
        self._handle = self._loop.call_later(self._tick_s, self._turn)
        self._position = (self._position + 1) % len(self._slots)
        due, self._slots[self._position] = self._slots[self._position], []
        now = self._loop.time()
        for watched in due:
            again = watched.look(now)
            if again is not None:
                self.watch(watched, again)
        self._each_tick(now)
