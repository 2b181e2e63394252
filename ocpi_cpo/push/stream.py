"""One module's part of the feed on its way to one partner: what waits, what flies, how far. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush

from cms.app.ports import Change

PARK_AFTER = 5
"""Failures of one object, while others pass, after which it is put aside."""

_SLACK = 1000
"""Numbers that may be kept of what is open no more, beside as many as are."""

ObjectOf = Callable[[Change], str]
Thing = tuple[str, str]
"""Kind and key."""


@dataclass(slots=True, eq=False)
class Item:
    """One change that waits or flies.

    Attributes:
        object: what it is part of; two of one object never fly at once.
        feed: False for what was parked and is tried again: the cursor knows nothing of it.
        read: what its telling needs of the store was read.
        not_before: monotonic seconds; later after each failure.
        strikes: failures between which others passed.
        rear: of a tariff whose new forms are told, and which is to be taken back when the sites are
            told that showed it: the last change of a site that goes before, 0 while that is not
            known; None for everything else.
    """

    change: Change
    object: str
    feed: bool = True
    read: bool = False
    attempts: int = 0
    strikes: int = 0
    not_before: float = 0.0
    passes_seen: int = 0
    rear: int | None = None

    @property
    def thing(self) -> Thing:
        return self.change.kind, self.change.key


@dataclass(slots=True)
class Stream:
    """The changes of some kinds, in order of ``seq``.

    Nothing that is asked for each item looks at all of them: a line may be long.

    Attributes:
        cursor: nothing at or below it is open; durable after a moment.
        fetched_to: the highest ``seq`` that was read from the feed.
        exhausted: the last read brought everything there was.
        flying: by object.
    """

    name: str
    kinds: tuple[str, ...]
    object_of: ObjectOf
    cursor: int = 0
    fetched_to: int = 0
    exhausted: bool = False
    flying: dict[str, Item] = field(default_factory=dict)
    _line: dict[Thing, Item] = field(default_factory=dict)
    _queued: Counter[str] = field(default_factory=Counter)
    _resting: set[Item] = field(default_factory=set)
    _seqs: list[tuple[int, int, Item]] = field(default_factory=list)
    _count: int = 0

    def start(self, cursor: int) -> None:
        """Begin (again) after *cursor*."""
        self.cursor = self.fetched_to = cursor
        self.exhausted = False
        self.flying.clear()
        self._line.clear()
        self._queued.clear()
        self._resting.clear()
        self._seqs.clear()

    @property
    def waiting(self) -> Sequence[Item]:
        """What waits, in line."""
        return list(self._line.values())

    def __iter__(self) -> Iterator[Item]:
        """Walk along what waits."""
        return iter(self._line.values())

    @property
    def length(self) -> int:
        """How many wait."""
        return len(self._line)

    def hungry(self, low: int) -> bool:
        return len(self._line) < low

    def feed(self, changes: Sequence[Change], asked: int) -> None:
        """Take further changes. A newer change of a key that waits takes over its place in line.

        The feed has one row per thing, so the older ``seq`` of that key is no row any more.
        """
        for change in changes:
            known = self._line.get((change.kind, change.key))
            if known is not None:
                known.change, known.feed, known.read, known.rear = change, True, False, None
                self._number(known)
            else:
                self._append(Item(change, self.object_of(change)))
            self.fetched_to = max(self.fetched_to, change.seq)
        self.exhausted = len(changes) < asked

    def _append(self, item: Item) -> None:
        self._line[item.thing] = item
        self._queued[item.object] += 1
        if item.not_before:
            self._resting.add(item)
        self._number(item)

    def _remove(self, item: Item) -> None:
        del self._line[item.thing]
        self._resting.discard(item)
        self._queued[item.object] -= 1
        if not self._queued[item.object]:
            del self._queued[item.object]

    def _number(self, item: Item) -> None:
        if item.feed:
            self._count += 1
            heappush(self._seqs, (item.change.seq, self._count, item))
            if len(self._seqs) > _SLACK + 2 * (len(self._line) + len(self.flying)):
                self._seqs = sorted(each for each in self._seqs if self._holds_number(*each))

    def again(self, item: Item) -> None:
        """Queue something that was parked, unless it waits or flies anyway."""
        if not self.holds(item.change.kind, item.change.key):
            self._append(item)

    def forget(self, kind: str, key: str) -> None:
        """Take what was parked and waits to be tried again out of the line."""
        item = self._line.get((kind, key))
        if item is not None and not item.feed:
            self._remove(item)

    def unseen(self) -> tuple[int, datetime | None]:
        """Return how many changes of the feed the partner has not seen, and when the oldest was.

        True once ``exhausted``; before, there are more in the store.
        """
        open_ = [e.change for e in (*self, *self.flying.values()) if e.feed]
        return len(open_), min((each.last_updated for each in open_), default=None)

    def holds(self, kind: str, key: str) -> bool:
        """Whether a change of that thing waits or flies."""
        return (kind, key) in self._line or any(
            each.thing == (kind, key) for each in self.flying.values()
        )

    def next(self, now: float, ready: Callable[[Item], bool]) -> Item | None:
        """Return the first that may leave: its object rests, its pause is over, *ready* agrees.

        Of one object the first in line leaves first.
        """
        passed_over: set[str] = set()
        for item in self:
            if item.object in self.flying or item.object in passed_over:
                continue
            if item.not_before <= now and ready(item):
                return item
            if self._queued[item.object] > 1:
                passed_over.add(item.object)
        return None

    def launch(self, item: Item) -> None:
        self._remove(item)
        self.flying[item.object] = item

    def land(self, item: Item) -> None:
        """*item* is done with: delivered or parked."""
        self.flying.pop(item.object, None)

    def back(self, item: Item) -> None:
        """*item* failed and waits again, behind the others so that these are tried first."""
        self.flying.pop(item.object, None)
        item.read = False
        newer = self._line.get(item.thing)
        if newer is None:
            self._append(item)
            return
        newer.attempts, newer.strikes = item.attempts, item.strikes
        newer.not_before, newer.passes_seen = item.not_before, item.passes_seen
        if newer.not_before:
            self._resting.add(newer)
        if not newer.feed:
            newer.change, newer.feed = item.change, item.feed
            self._number(newer)

    def wake(self) -> None:
        """End the pauses of all that waits: it was the partner that was away, not their fault."""
        for item in self._resting:
            item.not_before = 0.0
        self._resting.clear()

    @property
    def told(self) -> bool:
        """Whether nothing of it is known that the partner has not been told."""
        return self.exhausted and not self._line and not self.flying

    def open(self, object: str) -> bool:
        """Whether anything of *object* waits or flies."""
        return object in self.flying or object in self._queued

    def untried(self, object: str) -> bool:
        """Whether anything of *object* flies, or waits and has not failed yet."""
        if object in self.flying:
            return True
        if object not in self._queued:
            return False
        return any(each.object == object and not each.attempts for each in self)

    def settled(self) -> int:
        """Return the highest ``seq`` with nothing open at or below it."""
        while self._seqs and not self._holds_number(*self._seqs[0]):
            heappop(self._seqs)
        return min(self._seqs[0][0] - 1, self.fetched_to) if self._seqs else self.fetched_to

    def _holds_number(self, seq: int, _: int, item: Item) -> bool:
        """Whether *item* is open and still stands for *seq*."""
        if not item.feed or item.change.seq != seq:
            return False
        return self._line.get(item.thing) is item or self.flying.get(item.object) is item

    def due_in(self, now: float) -> float | None:
        """Return the seconds until the next waiting item's pause ends; None if none waits for one."""
        self._resting = {each for each in self._resting if each.not_before > now}
        return min((each.not_before - now for each in self._resting), default=None)
