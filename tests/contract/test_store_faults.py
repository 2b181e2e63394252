"""The store in trouble: absent for everybody, back without a restart, nothing acknowledged lost."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from cms.app import failpoints
from cms.app import writes as w
from cms.app.ports import SessionQuery
from cms.app.writes import Ack, Committed, Touch
from cms.domain.errors import StoreDown
from cms.domain.ids import SessionId, TransactionId
from cms.store import postgres as postgres_writer
from cms.store import sqlite as sqlite_writer
from cms.store.opening import open_store
from cms.store.store import SqlStore
from tests.contract import samples as x
from tests.contract.conftest import Watch, until
from tests.services import PostgresServer


def start(n: int) -> list[w.Write]:
    id = f"s{n}"
    return [x.frame(b"start%d" % n), w.PutSession(x.session(id)), Touch("session", id)]


async def is_up(store: SqlStore) -> bool:
    return store.healthy


@pytest.mark.parametrize("point", [failpoints.X1, failpoints.X2, failpoints.X4])
async def test_a_failure_anywhere_in_a_commit_acknowledges_nobody(
    database_url: str, watch: Watch, arm: Callable[..., None], point: str
) -> None:
    """And the repetition finds out, by its key, whether the commit took effect."""
    async with open_store(database_url, watch) as store:
        heard: list[bool] = []
        store.when_health_changes(heard.append)
        arm(point)
        units = [[*start(n), w.PutCdr(x.cdr(f"b{n}", f"s{n}"))] for n in range(10)]
        said = await asyncio.gather(*(store.commit(u) for u in units), return_exceptions=True)
        assert all(isinstance(each, StoreDown) for each in said)
        assert failpoints.hits(point) == 1
        await until(lambda: is_up(store))
        again = [await store.commit(unit) for unit in units]
        assert {each.first is not None for each in again} == {point == failpoints.X2}
        _, total = await store.sessions(SessionQuery())
        assert total == 10
        assert heard == [False, True]


async def test_while_down_everybody_is_refused_at_once(
    database_url: str,
    watch: Watch,
    arm: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for writer in (sqlite_writer, postgres_writer):  # so that it is not up again before we look
        monkeypatch.setattr(writer, "PROBE_FIRST_SECONDS", 1.0)
    async with open_store(database_url, watch) as store:
        arm(failpoints.X1)
        with pytest.raises(StoreDown):
            await store.commit(start(1))
        assert not store.healthy
        with pytest.raises(StoreDown):
            async with asyncio.timeout(1):
                await store.commit(start(2))


async def test_sqlite_held_by_a_stranger_is_down_and_comes_back(
    tmp_path: Path, watch: Watch
) -> None:
    path = tmp_path / "cms.db"
    async with open_store(f"sqlite:///{path}", watch, lock_wait=0.2) as store:
        await store.commit(start(1))
        stranger = sqlite3.connect(path, isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreDown, match="locked"):
            await store.commit(start(2))
        assert not store.healthy
        assert await store.session(SessionId("s1")) is not None  # reads go on
        stranger.execute("ROLLBACK")
        stranger.close()
        await until(lambda: is_up(store))
        assert (await store.commit(start(2))).first is None


async def test_a_lock_that_is_let_go_in_time_only_delays(tmp_path: Path, watch: Watch) -> None:
    path = tmp_path / "cms.db"
    async with open_store(f"sqlite:///{path}", watch, lock_wait=10) as store:
        stranger = sqlite3.connect(path, isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")
        waiting = asyncio.gather(*(store.commit(start(n)) for n in range(50)))
        stall = 0.0
        loop = asyncio.get_running_loop()
        for _ in range(50):
            before = loop.time()
            await asyncio.sleep(0.005)
            stall = max(stall, loop.time() - before)
        assert not waiting.done()
        assert stall < 0.2, "the event loop waited for the database"
        stranger.execute("ROLLBACK")
        stranger.close()
        assert all(each.first is None for each in await waiting)


async def test_a_full_disk_acknowledges_nothing_that_is_not_stored(
    tmp_path: Path, watch: Watch
) -> None:
    path = tmp_path / "cms.db"
    async with open_store(f"sqlite:///{path}", watch) as store:
        await store.commit(start(1))
        writer = store._writer
        writer._connection.execute("PRAGMA max_page_count=1")  # type: ignore[attr-defined]
        big = x.frame(b"big", raw=b"x" * 3_000_000)
        with pytest.raises(StoreDown, match="full"):
            await store.commit([big])
        await until(lambda: is_up(store))  # the limit went with the connection
        assert (await store.commit([big])).first is None


async def test_postgres_that_cuts_the_writer_off_is_back_at_once(
    postgres_url: str, watch: Watch
) -> None:
    async with open_store(postgres_url, watch) as store:
        await store.commit(start(1))
        other = await asyncpg.connect(postgres_url)
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'cms writer' AND datname = current_database()"
        )
        await other.close()
        with pytest.raises(StoreDown):
            await store.commit(start(2))
        await until(lambda: is_up(store), seconds=5)
        assert (await store.commit(start(2))).first is None
        assert (await store.commit(start(1))).first is not None


async def test_postgres_stopped_and_started_is_down_and_comes_back(
    own_postgres: PostgresServer, watch: Watch
) -> None:
    from cms.store.schema import upgrade

    url = own_postgres.url().render_as_string()
    await upgrade(url)
    async with open_store(url, watch) as store:
        await store.commit(start(1))
        await asyncio.to_thread(own_postgres.stop)
        with pytest.raises(StoreDown):
            await store.commit(start(2))
        with pytest.raises(StoreDown):
            await store.session(SessionId("s1"))
        assert not store.healthy
        await asyncio.to_thread(own_postgres.start)
        await until(lambda: is_up(store))
        assert (await store.commit(start(1))).first is not None
        assert (await store.commit(start(2))).first is None
        assert await store.session(SessionId("s1")) is not None


@pytest.mark.reliability
async def test_d02_the_same_start_at_two_processes_at_once_is_one_session(
    postgres_url: str, watch: Watch
) -> None:
    """Two committers on one database, 1,000 rounds."""
    rounds, seed = 1000, 7
    chance = random.Random(seed)
    async with open_store(postgres_url, watch) as one, open_store(postgres_url, watch) as two:
        different = duplicates = 0
        for base in range(0, rounds, 50):
            async with asyncio.timeout(60):
                pairs = await asyncio.gather(
                    *(_race(one, two, n, chance.random()) for n in range(base, base + 50))
                )
            different += sum(a != b for a, b in pairs)
        _, sessions = await one.sessions(SessionQuery())
        duplicates = sessions - rounds
        frames = await one.journal(x.SESSION.id)
    print(f"D02 pass seed={seed} n={rounds} duplicates={duplicates}(0) differing={different}(0)")
    assert (duplicates, different) == (0, 0)
    assert len(frames) == rounds


async def _race(one: SqlStore, two: SqlStore, n: int, chance: float) -> tuple[object, object]:
    """Both get the same Start and each would give it a number of its own."""

    async def at(store: SqlStore, name: str, head_start: bool) -> object:
        if not head_start:
            await asyncio.sleep(0)
        number = TransactionId(f"{name}{n}")
        own = x.session(f"{name}{n}", number)
        ack = Ack(number)
        said = await store.commit(
            [x.frame(b"race%d" % n, ack=ack), w.PutSession(own), Touch("session", own.id)]
        )
        return ack if said.first is None else said.first

    return await asyncio.gather(at(one, "a", chance < 0.7), at(two, "b", chance > 0.3))


async def test_the_order_of_commits_is_the_order_of_the_feed_over_processes(
    postgres_url: str, watch: Watch
) -> None:
    """A reader that follows the feed while two processes write misses nothing."""
    total = 300
    async with open_store(postgres_url, watch) as one, open_store(postgres_url, watch) as two:
        seen: set[str] = set()

        async def follow() -> None:
            after = 0
            while len(seen) < total:
                for change in await one.changes(None, ["session"], after, 50):
                    assert change.seq > after
                    after = change.seq
                    seen.add(change.key)

        async def write(store: SqlStore, name: str) -> None:
            for n in range(0, total // 2, 5):
                await asyncio.gather(
                    *(store.commit([Touch("session", f"{name}{n + k}")]) for k in range(5))
                )

        async with asyncio.timeout(60):
            await asyncio.gather(follow(), write(one, "a"), write(two, "b"))
        assert len(seen) == total


async def test_a_full_queue_makes_newcomers_wait_and_loses_nobody(
    database_url: str, watch: Watch
) -> None:
    async with open_store(database_url, watch) as store:
        store._writer._queue_limit = 10
        said = await asyncio.gather(*(store.commit(start(n)) for n in range(200)))
        assert all(isinstance(each, Committed) and each.first is None for each in said)
        assert store.waiting == 0


async def test_what_is_queued_at_the_end_is_written(database_url: str, watch: Watch) -> None:
    async with open_store(database_url, watch) as store:
        waiting = [asyncio.ensure_future(store.commit(start(n))) for n in range(100)]
        await asyncio.sleep(0)
    assert all(each.first is None for each in await asyncio.gather(*waiting))
    async with open_store(database_url, watch) as store:
        _, total = await store.sessions(SessionQuery())
    assert total == 100


async def test_one_who_stops_waiting_hurts_nobody(database_url: str, watch: Watch) -> None:
    async with open_store(database_url, watch) as store:
        tasks = [asyncio.ensure_future(store.commit(start(n))) for n in range(20)]
        await asyncio.sleep(0)
        tasks[3].cancel()
        said = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(each, Committed) for each in said) == 19
        assert store.waiting == 0


async def test_postgres_tables_locked_by_a_stranger_are_down_and_come_back(
    postgres_url: str, watch: Watch
) -> None:
    async with open_store(postgres_url, watch, lock_wait=0.3) as store:
        stranger = await asyncpg.connect(postgres_url)
        lock = stranger.transaction()
        await lock.start()
        await stranger.execute("LOCK TABLE journal IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreDown, match="lock timeout"):
            await store.commit(start(1))
        await lock.rollback()
        await stranger.close()
        await until(lambda: is_up(store))
        assert (await store.commit(start(1))).first is None


async def test_a_busy_event_loop_does_not_starve_the_writer(
    database_url: str, watch: Watch
) -> None:
    """A loop that works in turns of 2 ms without a pause: commits go on all the same."""

    async def busy() -> None:
        while True:
            until = time.perf_counter() + 0.002
            while time.perf_counter() < until:
                pass
            await asyncio.sleep(0)

    async with open_store(database_url, watch) as store:
        noise = asyncio.create_task(busy())
        async with asyncio.timeout(15):
            for base in range(0, 1000, 100):
                await asyncio.gather(*(store.commit(start(base + n)) for n in range(100)))
        noise.cancel()
        _, total = await store.sessions(SessionQuery())
    assert total == 1000
