"""Every background task has an owner; a failure is logged, counted and hurts nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

from cms.domain.errors import StoreDown

log = structlog.get_logger()

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0


class Supervisor:
    """Owns background work: loops that must go on, and errands that run once.

    Attributes:
        deaths: how many tasks ended by an exception that was no ``StoreDown``; 0 in a sound system.
    """

    def __init__(self, died: Callable[[], None] = lambda: None) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._died = died
        self.deaths = 0

    def keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run *work* again whenever it ends by an exception, after a growing pause."""
        self._start(name, self._kept(name, work))

    def every(self, seconds: float, name: str, work: Callable[[], Awaitable[Any]]) -> None:
        """Run *work* again and again with a pause between."""

        async def rounds() -> None:
            while True:
                await asyncio.sleep(seconds)
                await work()

        self.keep(name, rounds)

    def errand(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        """Run *work* once, in the background."""
        self._start(name, self._once(name, work))

    async def stop(self) -> None:
        """Cancel everything and wait until it has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _kept(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await work()
                return
            except Exception as error:
                self._note(name, error)
                if isinstance(error, StoreDown):  # no fault of this work: it goes on with the store
                    pause = _FIRST_PAUSE_SECONDS
            if asyncio.get_running_loop().time() - began > _LONGEST_PAUSE_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _once(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except Exception as error:
            self._note(name, error)

    def _note(self, name: str, error: Exception) -> None:
        if isinstance(error, StoreDown):
            log.warning("task.store_down", task=name)
            return
        self.deaths += 1
        self._died()
        log.error("task.failed", task=name, exc_info=error)

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@asynccontextmanager
async def supervised(died: Callable[[], None] = lambda: None) -> AsyncIterator[Supervisor]:
    """Own background work while the block runs; leaving it ends all of it."""
    supervisor = Supervisor(died)
    try:
        yield supervisor
    finally:
        await supervisor.stop()
