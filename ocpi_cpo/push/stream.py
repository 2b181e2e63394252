"""One module's part of the feed on its way to one partner: what waits, what flies, how far. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cms.app.ports import Change

PARK_AFTER = 5
"""Failures of one object, while others pass, after which it is put aside."""

ObjectOf = Callable[[Change], str]


@dataclass(slots=True, eq=False)
class Item:
    """One change that waits or flies.

    Attributes:
        object: what it is part of; two of one object never fly at once.
        feed: False for what was parked and is tried again: the cursor knows nothing of it.
        not_before: monotonic seconds; later after each failure.
        strikes: failures between which others passed.
    """

    change: Change
    object: str
    feed: bool = True
    attempts: int = 0
    strikes: int = 0
    not_before: float = 0.0
    passes_seen: int = 0


@dataclass(slots=True)
class Stream:
    """The changes of some kinds, in order of ``seq``.

    Attributes:
        cursor: nothing at or below it is open; durable after a moment.
        fetched_to: the highest ``seq`` that was read from the feed.
        exhausted: the last read brought everything there was.
    """

    name: str
    kinds: tuple[str, ...]
    object_of: ObjectOf
    cursor: int = 0
    fetched_to: int = 0
    exhausted: bool = False
    waiting: list[Item] = field(default_factory=list)
    flying: dict[str, Item] = field(default_factory=dict)

    def start(self, cursor: int) -> None:
        """Begin (again) after *cursor*."""
        self.cursor = self.fetched_to = cursor
        self.exhausted = False
        self.waiting.clear()
        self.flying.clear()

    def hungry(self, low: int) -> bool:
        return len(self.waiting) < low

    def feed(self, changes: Sequence[Change], asked: int) -> None:
        """Take further changes. A newer change of a key that waits takes over its place in line.

        The feed has one row per thing, so the older ``seq`` of that key is no row any more.
        """
        waiting = {(each.change.kind, each.change.key): each for each in self.waiting}
        for change in changes:
            known = waiting.get((change.kind, change.key))
            if known is not None:
                known.change, known.feed = change, True
            else:
                self.waiting.append(Item(change, self.object_of(change)))
            self.fetched_to = max(self.fetched_to, change.seq)
        self.exhausted = len(changes) < asked

    def again(self, item: Item) -> None:
        """Queue something that was parked, unless it waits or flies anyway."""
        if not self.holds(item.change.kind, item.change.key):
            self.waiting.append(item)

    def forget(self, kind: str, key: str) -> None:
        """Take what was parked and waits to be tried again out of the line."""
        self.waiting = [
            each
            for each in self.waiting
            if each.feed or (each.change.kind, each.change.key) != (kind, key)
        ]

    def unseen(self) -> tuple[int, datetime | None]:
        """Return how many changes of the feed the partner has not seen, and when the oldest was.

        True once ``exhausted``; before, there are more in the store.
        """
        open_ = [e.change for e in (*self.waiting, *self.flying.values()) if e.feed]
        return len(open_), min((each.last_updated for each in open_), default=None)

    def holds(self, kind: str, key: str) -> bool:
        """Whether a change of that thing waits or flies."""
        present = [*self.waiting, *self.flying.values()]
        return any((each.change.kind, each.change.key) == (kind, key) for each in present)

    def next(self, now: float, ready: Callable[[Item], bool]) -> Item | None:
        """Return the first that may leave: its object rests, its pause is over, *ready* agrees.

        Of one object the first in line leaves first.
        """
        passed_over: set[str] = set(self.flying)
        for item in self.waiting:
            if item.object in passed_over:
                continue
            if item.not_before <= now and ready(item):
                return item
            passed_over.add(item.object)
        return None

    def launch(self, item: Item) -> None:
        self.waiting.remove(item)
        self.flying[item.object] = item

    def land(self, item: Item) -> None:
        """*item* is done with: delivered or parked."""
        self.flying.pop(item.object, None)

    def back(self, item: Item) -> None:
        """*item* failed and waits again, behind the others so that these are tried first."""
        self.flying.pop(item.object, None)
        key = (item.change.kind, item.change.key)
        newer = next((e for e in self.waiting if (e.change.kind, e.change.key) == key), None)
        if newer is None:
            self.waiting.append(item)
            return
        newer.attempts, newer.strikes = item.attempts, item.strikes
        newer.not_before, newer.passes_seen = item.not_before, item.passes_seen
        if not newer.feed:
            newer.change, newer.feed = item.change, item.feed

    @property
    def told(self) -> bool:
        """Whether nothing of it is known that the partner has not been told."""
        return self.exhausted and not self.waiting and not self.flying

    def open(self, object: str) -> bool:
        """Whether anything of *object* waits or flies."""
        return object in self.flying or any(each.object == object for each in self.waiting)

    def settled(self) -> int:
        """Return the highest ``seq`` with nothing open at or below it."""
        opened = [e.change.seq for e in (*self.waiting, *self.flying.values()) if e.feed]
        return min(min(opened) - 1, self.fetched_to) if opened else self.fetched_to

    def due_in(self, now: float) -> float | None:
        """Return the seconds until the next waiting item's pause ends; None if none waits for one."""
        pauses = [each.not_before - now for each in self.waiting if each.not_before > now]
        return min(pauses, default=None)
