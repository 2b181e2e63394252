"""PostgreSQL: one connection for the writer, asyncpg's own ``executemany`` on it.

Several processes may share one database: the row lock of ``feed_counter``, taken last in every
transaction that touches the feed, makes the order of commits the order of ``seq`` over all of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any, cast

import asyncpg
from sqlalchemy import URL

from cms.app import failpoints
from cms.app.ports import Clock
from cms.app.writes import Committed
from cms.domain.errors import StoreDown
from cms.store import statements
from cms.store.codec import Values
from cms.store.committer import (
    GROUP_LIMIT,
    LOCK_WAIT_SECONDS,
    PROBE_FIRST_SECONDS,
    PROBE_MOST_SECONDS,
    QUEUE_LIMIT,
    Committer,
    Outcome,
    Waiting,
    answered,
    columns,
    down,
    log,
    refused,
)
from cms.store.errors import NotDurable
from cms.store.group import Batch, Group, Thing, Unwritable

_GUILTY = (
    Unwritable,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    asyncpg.ProgramLimitExceededError,
)
_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_TRIES = 5
_JOURNAL_KEY = "journal_key_key"

LEASE = 0x636D73  # "cms": the advisory lock that every running server shares


async def connect(url: URL, lock_wait: float = LOCK_WAIT_SECONDS) -> asyncpg.Connection:
    """Open the writer's connection, durable, holding the server's lease.

    Raises:
        OSError, asyncpg.PostgresError: if the server cannot be reached or refuses.
        NotDurable: if the server would lose acknowledged commits.
    """
    milliseconds = str(int(lock_wait * 1000))
    connection = await asyncpg.connect(
        driver_dsn(url),
        timeout=PROBE_MOST_SECONDS * 5,
        command_timeout=lock_wait * 2,
        server_settings={
            "application_name": "cms writer",
            "synchronous_commit": "on",
            "lock_timeout": milliseconds,
            "idle_in_transaction_session_timeout": "60000",
            "jit": "off",
        },
    )
    try:
        await _check_durable(connection)
        await connection.execute("SELECT pg_advisory_lock_shared($1)", LEASE)
    except BaseException:
        connection.terminate()
        raise
    return connection


def driver_dsn(url: URL) -> str:
    """Return *url* as the driver itself reads it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


async def _check_durable(connection: asyncpg.Connection) -> None:
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        value = await connection.fetchval(f"SHOW {setting}")
        if value == "off":
            raise NotDurable(
                f"PostgreSQL runs with {setting}=off and would lose acknowledged commits; "
                f"set {setting}=on"
            )


class PostgresCommitter(Committer):
    """Writes from one task over one connection. See ``committer`` for what it promises."""

    durability = "PostgreSQL synchronous_commit=on fsync=on full_page_writes=on"

    def __init__(
        self,
        url: URL,
        connection: asyncpg.Connection,
        clock: Clock,
        *,
        lock_wait: float = LOCK_WAIT_SECONDS,
        group_limit: int = GROUP_LIMIT,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        super().__init__(clock, group_limit=group_limit, queue_limit=queue_limit)
        self._url = url
        self._lock_wait = lock_wait
        self._connection = connection
        self._sql = statements.for_postgres()
        self._writes = [(kind, self._sql.writes[kind].text) for kind in statements.KINDS]
        self._queue: deque[Waiting] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="store-writer")

    def _enqueue(self, waiting: Waiting) -> None:
        self._queue.append(waiting)
        self._wake.set()

    async def close(self) -> None:
        self._closing = True
        self._wake.set()
        await self._task
        try:
            async with asyncio.timeout(PROBE_MOST_SECONDS):
                await self._connection.close()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._connection.terminate()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                group = [
                    self._queue.popleft() for _ in range(min(len(self._queue), self._group_limit))
                ]
                outcomes, trouble = await self._outcomes(group)
                self._answer(group, outcomes)
                if trouble is not None:
                    await self._recover()
            if self._closing:
                return

    async def _outcomes(
        self, group: Sequence[Waiting]
    ) -> tuple[list[Outcome], BaseException | None]:
        """Write a group; returns each unit's outcome, and what took the store down, if anything."""
        try:
            return list(await self._write_or_again(group)), None
        except _GUILTY as error:
            if len(group) == 1:
                return [refused(error)], None
        except Exception as error:
            return self._down(group, error), error
        return await self._one_by_one(group)

    async def _one_by_one(
        self, group: Sequence[Waiting]
    ) -> tuple[list[Outcome], BaseException | None]:
        outcomes: list[Outcome] = []
        for index, waiting in enumerate(group):
            one, trouble = await self._outcomes([waiting])
            outcomes += one
            if trouble is not None:
                return outcomes + self._down(group[index + 1 :], trouble), trouble
        return outcomes, None

    def _down(self, group: Sequence[Waiting], error: BaseException) -> list[Outcome]:
        if self._healthy:
            self._healthy = False
            self._announce(False, str(down(error)))
        return [down(error) for _ in group]

    async def _write_or_again(self, group: Sequence[Waiting]) -> list[Committed]:
        """Write a group; again where another process stood in its way.

        It may have journalled one of our keys after we looked for it: the next look finds it.
        """
        for _ in range(_TRIES - 1):
            try:
                return await self._write(group)
            except _AGAIN:
                continue
            except asyncpg.UniqueViolationError as error:
                if error.constraint_name != _JOURNAL_KEY:
                    raise
        return await self._write(group)

    async def _write(self, waiting: Sequence[Waiting]) -> list[Committed]:
        """Write units in one transaction; they are durable when this returns."""
        connection = self._connection
        failpoints.hit(failpoints.X1)
        group = Group([unit for unit, _ in waiting], self._clock())
        async with connection.transaction():
            batch = group.plan(await self._known(group.keys))
            for kind, text in self._writes:
                if rows := batch.of(kind, ordered=True):
                    await connection.executemany(text, rows)
            touched, later = await self._touch(batch)
            if batch.rows.get("put_cdr"):
                failpoints.hit(failpoints.X4)
        failpoints.hit(failpoints.X2)
        return group.committed(touched, later)

    async def _known(self, keys: list[bytes]) -> dict[bytes, Committed]:
        if not keys:
            return {}
        found = await self._connection.fetch(self._sql.known, keys)
        return {row[0]: answered((row[1], row[2], row[3])) for row in found}

    async def _touch(self, batch: Batch) -> tuple[list[Values], dict[Thing, int]]:
        """Give what was touched its place in the feed: last in the transaction, under the lock."""
        count = len(batch.touched)
        if not count:
            return [], {}
        head = await self._connection.fetchval(self._sql.count, count)
        rows = batch.touches(head - count + 1)
        found = await self._connection.fetch(self._sql.touch, *columns(rows))
        return rows, {(row[0], row[1]): row[2] for row in found if row[2] > batch.now}

    # -- down, and back again

    async def _recover(self) -> None:
        """Refuse everybody until the server takes a durable write again."""
        delay = PROBE_FIRST_SECONDS
        if self._relapsed():
            await self._pause(PROBE_MOST_SECONDS)
        while not self._closing:
            self._refuse_queued()
            try:
                await self._reopen()
            except Exception as error:
                log.debug("store.probe_failed", why=str(error))
                await self._pause(delay)
                delay = min(delay * 2, PROBE_MOST_SECONDS)
            else:
                self._came_back = monotonic()
                self._healthy = True
                self._announce(True)
                return
        self._refuse_queued()

    async def _pause(self, seconds: float) -> None:
        """Wait, but not for one who wants to close."""
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                while not self._closing:
                    await self._wake.wait()
                    self._wake.clear()
                    self._refuse_queued()
        except TimeoutError:
            pass

    async def _reopen(self) -> None:
        self._connection.terminate()
        connection = await connect(self._url, self._lock_wait)
        try:
            await connection.execute("UPDATE feed_counter SET seq = seq")
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection

    def _refuse_queued(self) -> None:
        late = list(self._queue)
        self._queue.clear()
        if late:
            self._answer(late, [StoreDown("the store is down") for _ in late])


async def server_runs(url: URL) -> bool:
    """Whether a running server holds its lease on this database."""
    connection = await asyncpg.connect(driver_dsn(url), timeout=5)
    try:
        free = cast(Any, await connection.fetchval("SELECT pg_try_advisory_lock($1)", LEASE))
        return not free
    finally:
        await connection.close()
