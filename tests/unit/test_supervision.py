"""Background work goes on, whatever it dies of, and every death is counted."""

from __future__ import annotations

import asyncio

import pytest

from cms.app import supervision
from cms.app.supervision import supervised
from cms.domain.errors import StoreDown


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "_FIRST_PAUSE_SECONDS", 0.001)


class Work:
    """Fails as often as told, then stays."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.runs = 0
        self.steady = asyncio.Event()

    async def __call__(self) -> None:
        self.runs += 1
        if self.errors:
            raise self.errors.pop(0)
        self.steady.set()
        await asyncio.Event().wait()


async def test_a_loop_that_dies_is_started_again_and_its_death_counted() -> None:
    died: list[None] = []
    work = Work(ValueError("a bug"), KeyError("another"))
    async with supervised(lambda: died.append(None)) as supervisor:
        supervisor.keep("work", work)
        async with asyncio.timeout(5):
            await work.steady.wait()
        assert (work.runs, supervisor.deaths, len(died)) == (3, 2, 2)


async def test_a_store_that_is_away_is_no_death() -> None:
    work = Work(StoreDown("away"), StoreDown("still"))
    async with supervised() as supervisor:
        supervisor.keep("work", work)
        async with asyncio.timeout(5):
            await work.steady.wait()
        assert supervisor.deaths == 0


async def test_one_death_hurts_no_other_work() -> None:
    good, bad = Work(), Work(ValueError("a bug"))
    async with supervised() as supervisor:
        supervisor.keep("bad", bad)
        supervisor.keep("good", good)
        async with asyncio.timeout(5):
            await good.steady.wait()
            await bad.steady.wait()
        assert good.runs == 1


async def test_an_errand_runs_once_and_its_failure_is_counted() -> None:
    async def fails() -> None:
        raise ValueError("a bug")

    died = asyncio.Event()
    async with supervised(died.set) as supervisor:
        supervisor.errand("errand", fails())
        async with asyncio.timeout(5):
            await died.wait()
        assert supervisor.deaths == 1


async def test_rounds_go_on_and_end_with_the_supervisor() -> None:
    rounds = 0
    enough = asyncio.Event()

    async def count() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            enough.set()

    async with supervised() as supervisor:
        supervisor.every(0.001, "count", count)
        async with asyncio.timeout(5):
            await enough.wait()
    seen = rounds
    await asyncio.sleep(0.01)
    assert rounds == seen
