"""The group committer: many units, one durable transaction.

There is no timer. While one transaction becomes durable the next units queue, and all of them are
the next group: under load a group grows by itself, alone a unit pays for one commit and no more.

What may go wrong, by class:

* a constraint or a value: the group's units run again one by one, and the guilty one is refused;
* anything else: nobody of the group is acknowledged, the store is down, and a probe brings it back.
  Whether a commit took effect whose answer was lost is decided by the journal key when the charger
  repeats itself.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from time import monotonic

import structlog

from cms.app.ports import Clock
from cms.app.writes import Committed, Unit
from cms.domain.errors import StoreDown, UnitRefused
from cms.store import codec
from cms.store.address import first_line
from cms.store.codec import Values

log = structlog.get_logger("cms.store")

Waiting = tuple[Unit, "asyncio.Future[Committed]"]
Outcome = Committed | UnitRefused | StoreDown

GROUP_LIMIT = 500
QUEUE_LIMIT = 20_000
PROBE_FIRST_SECONDS = 0.05
PROBE_MOST_SECONDS = 1.0
RELAPSE_SECONDS = 10.0
"""A store that goes down again so soon after it came back is left alone before the next probe: a nearly
full disk takes a probe and then no group, and would open the door a hundred times a second."""
LOCK_WAIT_SECONDS = 10.0
"""So long a group waits for somebody else's lock before the store counts as down."""


class Committer(ABC):
    """What both databases share: the queue, its bound, and the answers.

    Args:
        queue_limit: so many units may wait; whoever comes then waits for room.
    """

    def __init__(
        self, clock: Clock, *, group_limit: int = GROUP_LIMIT, queue_limit: int = QUEUE_LIMIT
    ) -> None:
        self._clock = clock
        self._group_limit = group_limit
        self._queue_limit = queue_limit
        self._loop = asyncio.get_running_loop()
        self._waiting = 0
        self._room = asyncio.Event()
        self._healthy = True
        self._came_back = float("-inf")
        self.groups = 0
        self.units = 0
        self.on_health: Callable[[bool], None] | None = None
        """Called on the event loop when the store goes down (False) or comes back (True)."""

    @property
    def healthy(self) -> bool:
        return self._healthy

    durability: str
    """The settings that were checked at the start, for printing."""

    @property
    def waiting(self) -> int:
        """How many units wait to become durable."""
        return self._waiting

    async def commit(self, unit: Unit) -> Committed:
        """See ``Store.commit``."""
        while self._waiting >= self._queue_limit:
            self._room.clear()
            await self._room.wait()
        if not self._healthy:
            raise StoreDown("the store is down")
        future: asyncio.Future[Committed] = self._loop.create_future()
        self._waiting += 1
        self._enqueue((unit, future))
        return await future

    @abstractmethod
    def _enqueue(self, waiting: Waiting) -> None:
        """Hand a unit to the writer; never blocks."""

    @abstractmethod
    async def close(self) -> None:
        """Write what is queued, then stop."""

    def _answer(self, group: Sequence[Waiting], outcomes: Iterable[Outcome]) -> None:
        """Tell each unit of a group its outcome. Runs on the event loop, once per group."""
        self._waiting -= len(group)
        self.groups += 1
        self.units += len(group)
        for (_, future), outcome in zip(group, outcomes, strict=True):
            if future.done():
                continue  # whoever waited has been cancelled
            if type(outcome) is Committed:
                future.set_result(outcome)
            else:
                future.set_exception(outcome)  # type: ignore[arg-type]
        if self._waiting < self._queue_limit:
            self._room.set()

    def _relapsed(self) -> bool:
        """Whether the store went down soon after it came back."""
        return monotonic() - self._came_back < RELAPSE_SECONDS

    def _announce(self, healthy: bool, why: str = "") -> None:
        """Say that the store went down or came back. Runs on the event loop."""
        if healthy:
            log.info("store.up")
        else:
            log.error("store.down", why=why)
        if self.on_health is not None:
            self.on_health(healthy)


def refused(error: Exception) -> UnitRefused:
    why = first_line(error)  # further lines repeat values, which do not belong in logs
    log.warning("store.unit_refused", why=why, error=type(error).__name__)
    return UnitRefused(why)


def down(error: BaseException) -> StoreDown:
    return StoreDown(f"{type(error).__name__}: {error}".rstrip(": "))


def answered(row: Sequence[str | None]) -> Committed:
    """Return what a repetition is told, from (ack_transaction, ack_verdict, session)."""
    transaction, verdict, session = row
    return Committed(codec.ack_from(transaction, verdict), session)  # type: ignore[arg-type]


def columns(rows: Sequence[Values]) -> list[list[object]]:
    """Turn rows into columns."""
    return [list(column) for column in zip(*rows, strict=True)]
