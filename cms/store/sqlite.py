"""SQLite: one writer in a thread of its own, never on the event loop.

WAL with ``synchronous=FULL``: with NORMAL a power cut loses commits that were acknowledged.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic

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
    down,
    log,
    refused,
)
from cms.store.errors import NotDurable
from cms.store.group import Batch, Group, Thing, Unwritable
from cms.store.statements import Chunked

_GUILTY = (
    Unwritable,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    OverflowError,  # an integer beyond 64 bits
    UnicodeEncodeError,  # a lone surrogate
)


SWITCH_SECONDS = 0.0005
"""After so long a thread that waits for the interpreter may ask for it.

The event loop lets go of the interpreter for a moment whenever it polls, and each time the wait
begins anew: with Python's 5 ms a loop that is busy in shorter turns starves the writer for seconds.
"""

CHECKPOINT_PAGES = 4000
"""16 MB of log between checkpoints: few, so that a page written often is copied once, and yet none
so long that acknowledgements wait for it noticeably."""


def connect(path: Path, lock_wait: float = LOCK_WAIT_SECONDS) -> sqlite3.Connection:
    """Open *path* for writing, durable.

    Raises:
        sqlite3.Error: if it cannot be opened.
        NotDurable: if the file system does not allow what durability needs.
    """
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(
        uri,
        uri=True,
        timeout=lock_wait,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-32768")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        _check_durable(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_durable(connection: sqlite3.Connection) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    (level,) = connection.execute("PRAGMA synchronous").fetchone()
    if (mode, level) != ("wal", 2):
        raise NotDurable(
            f"SQLite runs with journal_mode={mode}, synchronous={level}; needs wal and 2 (FULL)"
        )


def _execute(connection: sqlite3.Connection, chunked: Chunked, rows: Sequence[Values]) -> None:
    """Run one statement for all *rows*, in as few steps as its texts allow."""
    done = 0
    for size, text in chunked.texts:
        while len(rows) - done >= size:
            values = list(chain.from_iterable(rows[done : done + size]))
            connection.execute(text, values)
            done += size


def _write_something(connection: sqlite3.Connection) -> None:
    """Make a change durable that nobody reads: SQLite writes no page that would stay as it is."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version={(number + 1) % 2**31}")


class SqliteCommitter(Committer):
    """Writes from one thread. See ``committer`` for what it promises.

    Args:
        path: an existing database of the current schema.
        lock_wait: seconds to wait for a foreign lock before the store counts as down.
    """

    durability = "SQLite journal_mode=wal synchronous=FULL"

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        lock_wait: float = LOCK_WAIT_SECONDS,
        group_limit: int = GROUP_LIMIT,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        super().__init__(clock, group_limit=group_limit, queue_limit=queue_limit)
        self._path = path
        self._lock_wait = lock_wait
        self._sql = statements.for_sqlite()
        self._writes = [
            (kind, Chunked.of(self._sql.writes[kind].text)) for kind in statements.KINDS
        ]
        self._touches = Chunked.of(self._sql.touch.strip())
        self._gathered: list[Waiting] = []  # of this turn of the event loop
        self._queue: SimpleQueue[list[Waiting] | None] = SimpleQueue()
        self._taken: deque[Waiting] = deque()  # the writer's own
        self._stopping = threading.Event()
        self._connection: sqlite3.Connection | None = connect(path, lock_wait)
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def _enqueue(self, waiting: Waiting) -> None:
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(waiting)

    def _hand_over(self) -> None:
        """Give the writer all units of this turn at once.

        Handed over one by one, the first would wake the writer, which would fight with the event
        loop for the interpreter and then write a group of few.
        """
        units, self._gathered = self._gathered, []
        if units:
            self._queue.put(units)

    async def close(self) -> None:
        self._hand_over()
        self._stopping.set()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    # -- everything below runs in the writer's thread

    def _run(self) -> None:
        while (group := self._take()) is not None:
            outcomes, trouble = self._outcomes(group)
            self._tell(group, outcomes)
            if trouble is not None:
                self._recover()
        if self._connection is not None:
            self._connection.close()

    def _take(self) -> list[Waiting] | None:
        """Wait for a unit, then take all that queued meanwhile. None = stop."""
        taken = self._taken
        if not taken:
            first = self._queue.get()
            if first is None:
                return None
            taken.extend(first)
        try:
            while len(taken) < self._group_limit:
                following = self._queue.get_nowait()
                if following is None:
                    self._queue.put(None)  # stop after this group
                    break
                taken.extend(following)
        except Empty:
            pass
        return [taken.popleft() for _ in range(min(len(taken), self._group_limit))]

    def _tell(self, group: Sequence[Waiting], outcomes: Sequence[Outcome]) -> None:
        self._loop.call_soon_threadsafe(self._answer, group, outcomes)

    def _outcomes(self, group: Sequence[Waiting]) -> tuple[list[Outcome], BaseException | None]:
        """Write a group; returns each unit's outcome, and what took the store down, if anything."""
        try:
            return list(self._write(group)), None
        except _GUILTY as error:
            if len(group) == 1:
                return [refused(error)], None
        except BaseException as error:
            return self._down(group, error), error
        return self._one_by_one(group)

    def _one_by_one(self, group: Sequence[Waiting]) -> tuple[list[Outcome], BaseException | None]:
        outcomes: list[Outcome] = []
        for index, waiting in enumerate(group):
            one, trouble = self._outcomes([waiting])
            outcomes += one
            if trouble is not None:
                return outcomes + self._down(group[index + 1 :], trouble), trouble
        return outcomes, None

    def _down(self, group: Sequence[Waiting], error: BaseException) -> list[Outcome]:
        if self._healthy:
            self._healthy = False  # before anybody hears, so that nothing more queues
            self._loop.call_soon_threadsafe(self._announce, False, str(down(error)))
        return [down(error) for _ in group]

    def _write(self, waiting: Sequence[Waiting]) -> list[Committed]:
        """Write units in one transaction; they are durable when this returns."""
        connection = self._connection
        if connection is None:
            raise StoreDown("the store is down")
        failpoints.hit(failpoints.X1)
        group = Group([unit for unit, _ in waiting], self._clock())
        connection.execute("BEGIN IMMEDIATE")
        try:
            batch = group.plan(self._known(connection, group.keys))
            for kind, chunked in self._writes:
                if rows := batch.of(kind):
                    _execute(connection, chunked, rows)
            touched, later = self._touch(connection, batch)
            if batch.rows.get("put_cdr"):
                failpoints.hit(failpoints.X4)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        failpoints.hit(failpoints.X2)
        return group.committed(touched, later)

    def _known(self, connection: sqlite3.Connection, keys: list[bytes]) -> dict[bytes, Committed]:
        if not keys:
            return {}
        # Lists of a few sizes only, filled up with the last key: few texts, all prepared once.
        size = 1 << (len(keys) - 1).bit_length()
        padded = keys + keys[-1:] * (size - len(keys))
        marks = ",".join("?" * size)
        found = connection.execute(f"{self._sql.known}IN ({marks})", padded)
        return {row[0]: answered(row[1:]) for row in found}

    def _touch(
        self, connection: sqlite3.Connection, batch: Batch
    ) -> tuple[list[Values], dict[Thing, int]]:
        """Give what was touched its place in the feed: last in the transaction."""
        count = len(batch.touched)
        if not count:
            return [], {}
        (head,) = connection.execute(self._sql.count, (count,)).fetchone()
        rows = batch.touches(head - count + 1)
        _execute(connection, self._touches, rows)
        later: dict[Thing, int] = {}
        for owner in {row[2] for row in rows}:
            for kind, key, at in connection.execute(
                self._sql.later, (owner, head - count, batch.now)
            ):
                later[kind, key] = at
        return rows, later

    # -- down, and back again

    def _recover(self) -> None:
        """Refuse everybody until the database takes a durable write again."""
        delay = PROBE_FIRST_SECONDS
        if self._relapsed():
            self._stopping.wait(PROBE_MOST_SECONDS)
        while not self._stopping.is_set():
            self._refuse_queued()
            try:
                self._reopen()
            except Exception as error:
                log.debug("store.probe_failed", why=str(error))
                self._stopping.wait(delay)
                delay = min(delay * 2, PROBE_MOST_SECONDS)
            else:
                self._refuse_queued()
                self._came_back = monotonic()
                self._healthy = True
                self._loop.call_soon_threadsafe(self._announce, True)
                return
        self._refuse_queued()

    def _reopen(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        connection = connect(self._path, PROBE_MOST_SECONDS)
        try:
            _write_something(connection)
            connection.execute(f"PRAGMA busy_timeout={int(self._lock_wait * 1000)}")
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _refuse_queued(self) -> None:
        late = list(self._taken)
        self._taken.clear()
        stop = False
        while True:
            try:
                waiting = self._queue.get_nowait()
            except Empty:
                break
            if waiting is None:
                stop = True
            else:
                late += waiting
        if stop:
            self._queue.put(None)
        if late:
            self._tell(late, [StoreDown("the store is down") for _ in late])
