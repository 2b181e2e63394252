"""The live picture: every EVSE's and every running session's current state, shared by all readers.

One writer per station (its lane) replaces whole frozen values after the commit; readers take no
lock and never await. OCPI's GETs, the push, the commands' checks and the page all read it; no
second copy of "current status" exists to disagree with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from cms.app.writes import Touched
from cms.domain.ids import EvseRef, SessionId, StationId
from cms.domain.session import Session
from cms.domain.status import EvseState, evolve_evse

_UPDATED = frozenset({"location", "evse", "tariff"})
"""Kinds whose last change partners see in the thing itself."""


class Subscription:
    """What has changed since it was last read; at most *size* changes wait.

    A reader that is too slow does not pile up memory: ``missed`` says that it must look at the
    whole picture again.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._unread: deque[Touched] = deque()
        self._arrived = asyncio.Event()
        self.missed = False

    def offer(self, touched: Touched) -> None:
        if len(self._unread) >= self._size:
            self.missed = True
            return
        self._unread.append(touched)
        self._arrived.set()

    async def __aiter__(self) -> AsyncIterator[Touched]:
        while True:
            while self._unread:
                yield self._unread.popleft()
            self._arrived.clear()
            await self._arrived.wait()


class LiveState:
    def __init__(self) -> None:
        self._stations: dict[StationId, dict[int, EvseState]] = {}
        self._sessions: dict[SessionId, Session] = {}
        self._updated: dict[tuple[str, str], datetime] = {}
        self._changed = asyncio.Event()
        self._subscriptions: set[Subscription] = set()

    # -- reading

    def evse(self, ref: EvseRef) -> EvseState:
        """Return the state of *ref*; an EVSE never heard of is offline and unknown."""
        states = self._stations.get(ref.station)
        state = states.get(ref.evse) if states else None
        return state if state is not None else EvseState(ref)

    def station(self, station: StationId) -> Sequence[EvseState]:
        return tuple(self._stations.get(station, {}).values())

    def evses(self) -> Iterator[EvseState]:
        for states in list(self._stations.values()):
            yield from tuple(states.values())

    def session(self, id: SessionId) -> Session | None:
        """Return an open session (running, or stopped and not yet settled)."""
        return self._sessions.get(id)

    def sessions(self) -> Sequence[Session]:
        return tuple(self._sessions.values())

    def updated(self, kind: str, key: str) -> datetime | None:
        """When partners were last given to see a change of a location, EVSE or tariff."""
        return self._updated.get((kind, key))

    # -- publishing, only after the commit

    def put(self, state: EvseState) -> None:
        """Publish *state*. Call it after the commit, so that no reader sees what may be lost."""
        ref = state.ref
        states = self._stations.get(ref.station)
        if states is None:
            states = self._stations[ref.station] = {}
        states[ref.evse] = state

    def put_session(self, session: Session) -> None:
        self._sessions[session.id] = session

    def drop_session(self, id: SessionId) -> None:
        self._sessions.pop(id, None)

    def restore(self, updated: Mapping[tuple[str, str], datetime]) -> None:
        self._updated.update(updated)

    def publish(self, touched: Iterable[Touched], states: Iterable[EvseState] = ()) -> None:
        """Publish *states* with the moments the commit gave them, and wake everybody.

        Losing a wake-up costs delay, never data: the feed is in the store.
        """
        for state in states:
            self.put(state)
        news = False
        for each in touched:
            news = True
            kind = each.kind
            if kind in _UPDATED:
                self._updated[kind, each.key] = each.last_updated
            if kind == "evse":
                ref = EvseRef.parse(each.key)
                self.put(evolve_evse(self.evse(ref), last_updated=each.last_updated))
            for subscription in self._subscriptions:
                subscription.offer(each)
        if news:
            self.announce()

    # -- waiting

    def announce(self) -> None:
        """Wake everyone who waits for work."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        """Wait for the next change. Start waiting *before* reading, or a wake-up is missed."""
        await self._changed.wait()

    @contextmanager
    def subscribed(self, size: int = 1000) -> Iterator[Subscription]:
        """Follow every change while the block runs."""
        subscription = Subscription(size)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
