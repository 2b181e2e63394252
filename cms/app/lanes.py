"""One lane per station: decide, commit, publish, answer; then the next.

Everything that changes a station (its frames, its leaving, an operator, a partner, a timer) takes
its turn here, so nobody ever reads state that is not committed. Lanes of different stations never
wait for each other, which is how group commits come about.
"""

from __future__ import annotations

import asyncio
from collections import deque

from cms.domain.ids import StationId


class Lanes:
    """First come, first served, per station. Holds memory only for stations that are busy.

    ``async with lanes(station): ...``; entering a free lane does not suspend.
    """

    __slots__ = ("_busy",)

    def __init__(self) -> None:
        self._busy: dict[StationId, deque[asyncio.Future[None]]] = {}

    def __call__(self, station: StationId) -> Turn:
        return Turn(self._busy, station)

    def idle(self, station: StationId) -> bool:
        """Whether nobody holds or awaits the lane of *station* now."""
        return station not in self._busy


class Turn:
    """One turn in one lane; use once, with ``async with``."""

    __slots__ = ("_busy", "_station")

    def __init__(
        self, busy: dict[StationId, deque[asyncio.Future[None]]], station: StationId
    ) -> None:
        self._busy = busy
        self._station = station

    async def __aenter__(self) -> None:
        waiting = self._busy.get(self._station)
        if waiting is None:
            self._busy[self._station] = deque()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # it became our turn while we were being cancelled
            raise

    async def __aexit__(self, *_: object) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        waiting = self._busy[self._station]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._busy[self._station]
