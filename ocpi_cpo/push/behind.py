"""What a line writes down behind its telling: how far it is, and what was said and answered.

Telling never waits for the disk here. One commit at a time takes all that has gathered, so a line
that tells a thousand things a second writes no more often than one that tells ten. A crash loses
at most what gathered meanwhile: a status or a session is told once more, as after any crash, and a
few exchanges are missing in the case file. What must be known before anything else happens (whether
a bill is about to be sent) is not written here.
"""

from __future__ import annotations

import asyncio

from cms.app.ports import Store
from cms.app.writes import KeepExchange, PutCursor, Write
from cms.domain.ids import PartnerId

MOST_EXCHANGES = 200
"""That may wait to be written; beyond that telling waits after all."""

LEAVE_SECONDS = 2.0
"""What is written last may take, at the end of a line."""


class Behind:
    """Serves one line."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._exchanges: list[Write] = []
        self._cursors: dict[tuple[PartnerId, str], PutCursor] = {}
        self._saving: asyncio.Task[None] | None = None

    async def keep(self, exchange: KeepExchange) -> None:
        """Write *exchange* down soon."""
        while len(self._exchanges) >= MOST_EXCHANGES and self._busy():
            assert self._saving is not None
            await asyncio.wait({self._saving})
        self._exchanges.append(exchange)
        self._save()

    def move(self, cursor: PutCursor) -> None:
        """Write down soon how far a stream is; of one stream the newest counts."""
        self._cursors[cursor.partner, cursor.stream] = cursor
        self._save()

    def check(self) -> None:
        """Say whether the last attempt to write went well.

        Raises:
            StoreDown: it did not; what it held is lost.
        """
        if self._saving is not None and self._saving.done():
            saving, self._saving = self._saving, None
            saving.result()

    async def leave(self) -> None:
        """Write the rest, if that goes quickly; afterwards nothing of it is under way."""
        saving = self._saving
        if saving is None:
            return
        await asyncio.wait({saving}, timeout=LEAVE_SECONDS)
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
        self._saving = None

    def _busy(self) -> bool:
        return self._saving is not None and not self._saving.done()

    def _failed(self) -> bool:
        saving = self._saving
        return saving is not None and saving.done() and saving.exception() is not None

    def _save(self) -> None:
        if not self._busy() and not self._failed():  # a failure waits to be seen by ``check``
            self._saving = asyncio.create_task(self._write_all())

    async def _write_all(self) -> None:
        while self._exchanges or self._cursors:
            writes = [*self._exchanges, *self._cursors.values()]
            self._exchanges, self._cursors = [], {}
            await self._store.commit(writes)
