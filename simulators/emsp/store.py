"""What the partner holds: its copies of the CPO's objects, and every version it ever saw."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from simulators.emsp.wire import Json, moment, now

T = TypeVar("T")

Key = tuple[str, ...]
"""Ids of an object, upper case, since OCPI compares them without case: (country, party, id, ...)."""


def key_of(*ids: str) -> Key:
    """The key of the object with these *ids*."""
    return tuple(part.upper() for part in ids)


@dataclass(frozen=True, slots=True)
class Complaint:
    """A mistake of the CPO.

    Attributes:
        where: method and path, e.g. ``PUT sessions/IN/CPO/1``.
        field: dotted path of the member, or the name of the rule.
    """

    where: str
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Version:
    """One state of one object, as it arrived.

    Attributes:
        body: what was sent (a PATCH: only the changes).
        result: the copy after it was applied; ``None`` after a DELETE.
        monotonic: seconds on this machine's monotonic clock, for latencies.
    """

    method: str
    body: Json | None
    result: Json | None
    at: datetime
    monotonic: float


@dataclass(slots=True)
class Arrival:
    """One request that reached us, answered or not.

    Attributes:
        http: HTTP status that we answered; ``None`` if we never did.
        monotonic: when its head was read, monotonic seconds.
    """

    method: str
    module: str
    path: str
    object_id: str | None
    at: datetime
    monotonic: float
    headers: dict[str, str]
    body: Json | None = None
    http: int | None = None
    status_code: int | None = None


class Pulse:
    """Wakes whoever waits for anything to change."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def beat(self) -> None:
        """Something changed."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def until(self, probe: Callable[[], T | None], timeout: float) -> T:
        """Wait until *probe* gives something true, and return that.

        Raises:
            TimeoutError: after *timeout* seconds.
        """
        async with asyncio.timeout(timeout):
            while not (found := probe()):
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiters.add(waiter)
                try:
                    await waiter
                finally:
                    self._waiters.discard(waiter)
        return found


@dataclass(slots=True)
class Store:
    """Copies by module and key, with their history.

    Attributes:
        cdr_copies: how many copies of each CDR were stored (more than one only if told to).
    """

    pulse: Pulse = field(default_factory=Pulse)
    locations: dict[Key, Json] = field(default_factory=dict)
    sessions: dict[Key, Json] = field(default_factory=dict)
    tariffs: dict[Key, Json] = field(default_factory=dict)
    cdrs: dict[Key, Json] = field(default_factory=dict)
    cdr_copies: dict[Key, int] = field(default_factory=lambda: defaultdict(int))
    history: dict[tuple[str, Key], list[Version]] = field(default_factory=lambda: defaultdict(list))

    def note(
        self, module: str, key: Key, method: str, body: Json | None, result: Json | None
    ) -> None:
        """Remember one version of an object."""
        version = Version(method, body, result, now(), time.monotonic())
        self.history[module, key].append(version)

    def evse(self, location: Key, uid: str) -> Json | None:
        """The copy of an EVSE; *location* is the key of its location."""
        evses = self.locations.get(location, {}).get("evses") or []
        return find(evses, "uid", uid)

    def put_evse(self, location: Key, evse: Json) -> Json:
        """Place *evse* in its location, which is returned as it is now."""
        held = self.locations[location]
        evses = replaced(held.get("evses") or [], "uid", evse)
        newest = max(held["last_updated"], evse["last_updated"], key=moment)
        self.locations[location] = {**held, "evses": evses, "last_updated": newest}
        return self.locations[location]


def find(items: list[Json], name: str, value: str) -> Json | None:
    """The item whose *name* is *value*, without case."""
    return next((item for item in items if item[name].upper() == value.upper()), None)


def replaced(items: list[Json], name: str, item: Json) -> list[Json]:
    """*items* with *item* in the place of the one of the same *name*, or at the end."""
    if find(items, name, item[name]) is None:
        return [*items, item]
    return [item if old[name].upper() == item[name].upper() else old for old in items]
