"""What a line writes down behind its telling: nothing waits for it, and it is written in few goes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from cms.app.writes import Exchange, KeepExchange, PutCursor, Write
from cms.domain.errors import StoreDown
from ocpi_cpo.push import behind
from ocpi_cpo.push.behind import Behind
from tests.unit.office import EMS


class Store:
    """Commits when it is let."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.commits: list[list[Write]] = []
        self.down = False

    async def commit(self, writes: Sequence[Write]) -> None:
        await self.open.wait()
        if self.down:
            raise StoreDown("gone")
        self.commits.append(list(writes))


def made(store: Store) -> Behind:
    return Behind(store)  # type: ignore[arg-type]


def exchange(number: int) -> KeepExchange:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    return KeepExchange(
        Exchange(
            at, EMS, outbound=True, kind="evse", key=str(number), method="PATCH", url="", request=b"",
            http_status=200, answer=b"", took_ms=1,
        )
    )  # fmt: skip


async def test_what_gathers_while_a_commit_runs_is_one_commit_and_of_a_stream_the_newest() -> None:
    store = Store()
    line = made(store)
    line.move(PutCursor(EMS, "locations", 1))
    await asyncio.sleep(0)
    for number in range(2, 50):
        line.move(PutCursor(EMS, "locations", number))
        await line.keep(exchange(number))
    store.open.set()
    await line.leave()
    assert len(store.commits) == 2
    assert len(store.commits[1]) == 48 + 1
    assert store.commits[1][-1] == PutCursor(EMS, "locations", 49)


async def test_telling_waits_once_too_much_is_unwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behind, "MOST_EXCHANGES", 2)
    store = Store()
    line = made(store)
    await line.keep(exchange(0))
    await asyncio.sleep(0)
    await line.keep(exchange(1))
    await line.keep(exchange(2))
    waiting = asyncio.ensure_future(line.keep(exchange(3)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    store.open.set()
    await waiting
    await line.leave()
    assert sum(map(len, store.commits)) == 4


async def test_a_store_that_is_down_is_told_to_the_line_once() -> None:
    store = Store()
    store.down = True
    store.open.set()
    line = made(store)
    line.move(PutCursor(EMS, "locations", 1))
    for _ in range(5):
        await asyncio.sleep(0)
    with pytest.raises(StoreDown):
        line.check()
    line.check()
    store.down = False
    line.move(PutCursor(EMS, "locations", 2))
    await line.leave()
    assert store.commits == [[PutCursor(EMS, "locations", 2)]]


async def test_the_end_of_a_line_does_not_hang_on_a_store_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(behind, "LEAVE_SECONDS", 0.01)
    line = made(Store())
    line.move(PutCursor(EMS, "locations", 1))
    async with asyncio.timeout(1):
        await line.leave()
