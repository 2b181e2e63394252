"""The newest part of the feed that everybody may hear of, read once for all lines.

A status changes once and twenty partners hear of it: without this, twenty lines would read the same
two rows. What belongs to one owner, and what lies further back, is read by whoever wants it.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from time import monotonic

from cms.app.ports import Change, Store
from cms.domain.ids import PartnerId

SITES = ("location", "evse")
"""Kinds that are kept: never anybody's own."""
AT_ONCE = 500
"""Rows of one read."""
MOST = 1000
"""Rows that are kept."""
STALE_SECONDS = 1.0
"""So old a look at the store may be where nobody told of news: they may be another process's."""


class SharedFeed:
    """Serves all lines. Made before any, and told of news before they are."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: list[Change] = []  # by seq, one per thing
        self._seqs: list[int] = []
        self._low = -1  # everything beyond it, up to _high, is among the rows
        self._high = -1
        self._news = 0
        self._seen = -1  # how many news there were before the last look
        self._looked = float("-inf")
        self._turn = asyncio.Lock()

    def news(self) -> None:
        """A site or one of its EVSEs has changed."""
        self._news += 1

    async def changes(
        self, owner: PartnerId, kinds: Sequence[str], after: int, limit: int
    ) -> Sequence[Change]:
        """See ``Store.changes``."""
        if tuple(kinds) != SITES:
            return await self._store.changes(owner, kinds, after, limit)
        if self._low < 0:
            self._low = self._high = after
        if after < self._low:
            return await self._store.changes(owner, kinds, after, limit)
        await self._look(self._news)
        begin = bisect_right(self._seqs, after)
        return self._rows[begin : begin + limit]

    async def _look(self, wanted: int) -> None:
        """Read on, unless somebody has since there were so many news."""
        if self._fresh(wanted):
            return
        async with self._turn:
            while not self._fresh(wanted):
                news, began = self._news, monotonic()
                rows = await self._store.changes(None, SITES, self._high, AT_ONCE)
                self._take(rows)
                if len(rows) < AT_ONCE:
                    self._seen, self._looked = news, began
                    return

    def _fresh(self, wanted: int) -> bool:
        return self._seen >= wanted and monotonic() - self._looked < STALE_SECONDS

    def _take(self, rows: Sequence[Change]) -> None:
        """Put rows behind the others. An older row of the same thing is no row any more."""
        if not rows:
            return
        newer = {(each.kind, each.key) for each in rows}
        kept = [each for each in self._rows if (each.kind, each.key) not in newer]
        kept += rows
        if len(kept) > MOST:
            self._low = kept[-MOST - 1].seq
            del kept[:-MOST]
        self._rows, self._seqs = kept, [each.seq for each in kept]
        self._high = rows[-1].seq
