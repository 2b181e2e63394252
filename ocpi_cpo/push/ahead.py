"""What is read of the store ahead of a batch: sessions, bills, and what became of bills before.

One read each for a batch in place of two or three for every object. What was read is told only as
long as the feed gives its thing no newer moment, and once: what is tried again is read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cms.app.ports import Change, Dated, DatedCdr, Store
from cms.app.writes import Delivery
from cms.domain.cdr import credit_id
from cms.domain.ids import CdrId, LocationId, PartnerId, SessionId
from cms.domain.rated import Rating
from cms.domain.session import SessionStatus

Key = TypeVar("Key")

MOST_BILLS = 300
"""That are kept: a bill is read before its session is told, and told after it."""


@dataclass(frozen=True, slots=True)
class Before:
    """What a partner hears before a bill: its session, and the bills that it corrects."""

    session: SessionId | None = None
    bills: tuple[CdrId, ...] = ()


def before(dated: DatedCdr | None) -> Before:
    """Return what must be told before a bill."""
    if dated is None:
        return Before()
    own = dated.cdr
    if own.replaces is not None:
        return Before(own.session, (own.replaces, credit_id(own.replaces)))
    return Before(own.session, () if own.credit_of is None else (own.credit_of,))


class ReadAhead:
    """Serves one line."""

    def __init__(self, partner: PartnerId, store: Store) -> None:
        self._partner = partner
        self._store = store
        self._sessions: dict[SessionId, Dated] = {}
        self._bills: dict[CdrId, DatedCdr] = {}
        self._first: dict[SessionId, Rating] = {}
        self._deliveries: dict[str, Delivery | None] = {}

    async def sessions(self, changes: Sequence[Change]) -> None:
        """Read sessions, and what those that ended cost."""
        found = await self._store.sessions_with([SessionId(each.key) for each in changes])
        self._sessions.update(found)
        ended = [
            id
            for id, each in found.items()
            if each.session.status is SessionStatus.COMPLETED and id not in self._first
        ]
        self._keep((await self._store.cdrs_of(ended)).values())

    async def bills(self, changes: Sequence[Change]) -> Mapping[str, Before]:
        """Read bills and what is known of their way to the partner; returns what goes before each."""
        ids = [CdrId(each.key) for each in changes]
        fresh = await self._store.cdrs_with([id for id in ids if id not in self._bills])
        self._keep(fresh.values())
        known: Mapping[str, Delivery] = await self._store.deliveries_with(self._partner, "cdr", ids)
        self._deliveries.update({id: known.get(id) for id in ids})
        return {id: before(self._bills.get(id) or fresh.get(id)) for id in ids}

    def _keep(self, bills: Iterable[DatedCdr]) -> None:
        for each in bills:
            self._bills[each.cdr.id] = each
            if not each.cdr.credit and each.cdr.replaces is None:
                self._first[each.cdr.session] = each.cdr.rating
        _shorten(self._bills)
        _shorten(self._first)

    def session(self, change: Change) -> Dated | None:
        """Hand out a session as it was read, unless it has changed since."""
        found = self._sessions.pop(SessionId(change.key), None)
        return found if found is not None and _new(found, change) else None

    def site(self, session: str) -> LocationId | None:
        """Return where a session that was read is; None if it is at no site, or was not read."""
        found = self._sessions.get(SessionId(session))
        return None if found is None else found.session.location

    def sites(self) -> set[LocationId]:
        """Return where the sessions are that were read and wait to be told."""
        return {x.session.location for x in self._sessions.values() if x.session.location}

    def first_rating(self, session: SessionId) -> Rating | None:
        """What a session's first bill says, if that was read."""
        return self._first.get(session)

    def bill(self, change: Change) -> tuple[DatedCdr, Delivery | None] | None:
        """Hand out a bill and its way so far, if both were read."""
        id = CdrId(change.key)
        found = self._bills.get(id)
        if found is None or id not in self._deliveries or not _new(found, change):
            return None
        del self._bills[id]
        return found, self._deliveries.pop(id)

    def clear(self) -> None:
        """Nothing of it waits to be told any more."""
        for each in (self._sessions, self._bills, self._first, self._deliveries):
            each.clear()

    def forget(self, kind: str, key: str) -> None:
        """Somebody else has written of the way of a thing."""
        if kind == "cdr":
            self._deliveries.pop(key, None)


def _shorten(kept: dict[Key, Any]) -> None:
    while len(kept) > MOST_BILLS:
        del kept[next(iter(kept))]


def _new(found: Dated | DatedCdr, change: Change) -> bool:
    """Whether what was read is as new as what the feed says."""
    return change.seq == 0 or found.last_updated >= change.last_updated
