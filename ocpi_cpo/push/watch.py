"""Looks after a hub that is away: asks for its versions until it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from ocpi_cpo.push.pace import Trunk

Probe = Callable[[], Awaitable[bool]]
"""Asks the hub for its versions; True if it answered."""


class HubWatch:
    """Owns the trunk of one hub's connection.

    Args:
        opened: called when the hub is back.
    """

    def __init__(self, in_flight: int, probe: Probe, opened: Callable[[], None]) -> None:
        self.trunk = Trunk(in_flight, moved=self._moved)
        self._probe = probe
        self._opened = opened
        self._news = asyncio.Event()

    def heard(self) -> None:
        """The hub called us."""
        self.trunk.heard(monotonic())
        self._news.set()

    async def run(self) -> None:
        """Probe whenever it is time to, until cancelled."""
        while True:
            self._news.clear()
            wait = self.trunk.probe_in(monotonic())
            if wait is None or wait > 0:
                await self._rest(wait)
                continue
            began = monotonic()
            if await self._probe():
                self.trunk.answered()
                self._opened()
                self.trunk.next(monotonic())
            else:
                self.trunk.failed(monotonic(), began, "the hub itself", unreachable=True)

    async def _rest(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return

    def _moved(self) -> None:
        self._news.set()
        if not self.trunk.closed:
            self._opened()
