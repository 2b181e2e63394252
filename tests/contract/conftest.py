"""Every store that ships, behind one way to open, restart and close it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cms.app.ports import Store
from cms.store.memory import MemoryStore
from cms.store.opening import open_store
from tests.contract.samples import NOW


class Watch:
    """A clock that a test sets. It stands still unless told."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def tick(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def watch() -> Watch:
    return Watch()


Open = Callable[[], AbstractAsyncContextManager[Store]]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def open_again(request: pytest.FixtureRequest, tmp_path: Path, watch: Watch) -> Iterator[Open]:
    """Open this test's one database; what was committed before is there again."""
    if request.param == "memory":
        kept = MemoryStore(watch)

        @asynccontextmanager
        async def same() -> AsyncIterator[Store]:
            yield kept

        yield same
        return
    url = (
        f"sqlite:///{tmp_path}/cms.db"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_url")
    )
    yield lambda: open_store(url, watch)


@pytest.fixture
async def store(open_again: Open) -> AsyncIterator[Store]:
    async with open_again() as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a durable database of this test's own."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/cms.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


async def until(condition: Callable[[], Awaitable[bool] | bool], seconds: float = 15) -> None:
    """Wait until *condition* holds. It asks again and again: nothing announces what it is about."""
    import asyncio

    async with asyncio.timeout(seconds):
        while True:
            holds = condition()
            if holds if isinstance(holds, bool) else await holds:
                return
            await asyncio.sleep(0.01)
