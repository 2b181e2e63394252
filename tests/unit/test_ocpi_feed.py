"""What everybody may hear of is read once, and nobody misses any of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from cms.app.ports import Change
from cms.app.writes import Touch
from cms.domain.ids import PartnerId
from cms.store.memory import MemoryStore
from ocpi_cpo.push import feed
from ocpi_cpo.push.feed import SITES, SharedFeed
from tests.unit.office import EMS


class Store(MemoryStore):
    """Counts who reads the feed, and answers a turn of the loop later."""

    def __init__(self) -> None:
        super().__init__(lambda: datetime(2026, 11, 20, tzinfo=UTC))
        self.reads = 0

    async def changes(
        self, owner: PartnerId | None, kinds: Sequence[str], after: int, limit: int
    ) -> Sequence[Change]:
        self.reads += 1
        found = await super().changes(owner, kinds, after, limit)
        await asyncio.sleep(0)
        return found

    async def happen(self, *keys: str) -> None:
        await self.commit([Touch("evse", key) for key in keys])


@pytest.fixture
def store() -> Store:
    return Store()


async def told(of: SharedFeed, after: int, limit: int = 100) -> list[tuple[str, int]]:
    return [(each.key, each.seq) for each in await of.changes(EMS, SITES, after, limit)]


async def test_twenty_lines_hear_of_a_change_by_one_read(store: Store) -> None:
    shared = SharedFeed(store)
    await store.happen("a", "b")
    heard = await asyncio.gather(*(told(shared, 0) for _ in range(20)))
    assert heard == [[("a", 1), ("b", 2)]] * 20
    await store.happen("c")
    shared.news()
    heard = await asyncio.gather(*(told(shared, 2) for _ in range(20)))
    assert heard == [[("c", 3)]] * 20
    assert store.reads == 2


async def test_who_hears_of_news_while_another_reads_is_not_told_the_older_state(
    store: Store,
) -> None:
    shared = SharedFeed(store)
    first = asyncio.ensure_future(told(shared, 0))
    await asyncio.sleep(0)  # it has read, and has no answer yet
    await store.happen("a")
    shared.news()
    assert await told(shared, 0) == [("a", 1)]
    await first


async def test_a_thing_that_changed_again_has_its_newest_place_only(store: Store) -> None:
    shared = SharedFeed(store)
    await store.happen("a", "b")
    await told(shared, 0)
    await store.happen("a")
    shared.news()
    assert await told(shared, 0) == [("b", 2), ("a", 3)]
    assert await told(shared, 0, limit=1) == [("b", 2)]


async def test_who_is_far_behind_reads_for_himself(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MOST", 2)
    monkeypatch.setattr(feed, "AT_ONCE", 2)
    shared = SharedFeed(store)
    await store.happen("a", "b", "c", "d", "e")
    everything = [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)]
    for after in (3, 0, 4, 2, 5, 1):
        assert await told(shared, after) == everything[after:]


async def test_what_is_ones_own_is_not_shared(store: Store) -> None:
    shared = SharedFeed(store)
    await store.commit([Touch("session", "s", EMS), Touch("session", "t", PartnerId("IN*OTH"))])
    (own,) = await shared.changes(EMS, ("session",), 0, 100)
    assert own.key == "s"


async def test_news_that_nobody_told_are_found_after_a_moment(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "STALE_SECONDS", 0.0)
    shared = SharedFeed(store)
    await told(shared, 0)
    await store.happen("a")
    async with asyncio.timeout(5):
        assert await told(shared, 0) == [("a", 1)]
