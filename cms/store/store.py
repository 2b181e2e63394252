"""The ``Store`` port over SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from cms.app.ports import Clock
from cms.app.writes import Committed, Unit
from cms.store.committer import Committer
from cms.store.reads import Reads
from cms.store.reports import Reports


class SqlReader(Reads, Reports):
    """A store that is only read, while a server may write it. Made by ``open_for_reading``."""


class SqlStore(SqlReader):
    """Writes go through the group committer, reads through a pool of their own.

    Made by ``open_store``. Implements the port whole.
    """

    def __init__(self, writer: Committer, engine: AsyncEngine, clock: Clock) -> None:
        super().__init__(engine, clock)
        self._writer = writer

    def commit(self, unit: Unit) -> Coroutine[Any, Any, Committed]:
        """See ``Store.commit``."""
        return self._writer.commit(unit)

    @property
    def healthy(self) -> bool:
        return self._writer.healthy

    @property
    def waiting(self) -> int:
        """How many units wait to become durable (for metrics)."""
        return self._writer.waiting

    @property
    def groups(self) -> tuple[int, int]:
        """How many transactions and how many units were written so far (for metrics)."""
        return self._writer.groups, self._writer.units

    @property
    def durability(self) -> str:
        """The durability settings that were checked at the start, for printing."""
        return self._writer.durability

    def when_health_changes(self, tell: Callable[[bool], None]) -> None:
        """Have *tell* called on the event loop when the store goes down or comes back."""
        self._writer.on_health = tell
