"""The last frames of every station, for the operator's eyes, in one ring of bytes per process.

One ``bytearray`` of fixed size, so that 100,000 stations cost no more than ten and the garbage
collector never sees a frame. Each record knows where the station's previous one began; a chain
ends where the ring has been overwritten.
"""

from __future__ import annotations

import struct
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Final

MAX_KEPT: Final = 2048
"""Bytes of one frame that are kept; longer ones are cut."""

_HEAD: Final = struct.Struct("<qdBHI")  # place of the previous record + 1, time, direction, sizes


class Direction(IntEnum):
    RECEIVED = 0
    SENT = 1


@dataclass(frozen=True, slots=True)
class LoggedFrame:
    """A frame as it passed; ``data`` may be cut to ``MAX_KEPT`` bytes of ``size``."""

    at: datetime
    direction: Direction
    data: bytes
    size: int


class FrameLog:
    """A ring of *capacity* bytes over all stations."""

    __slots__ = ("_capacity", "_end", "_last", "_ring")

    def __init__(self, capacity: int = 8 * 2**20) -> None:
        if capacity < 2 * (MAX_KEPT + 256):
            raise ValueError("the frame log needs room for a few frames")
        self._capacity = capacity
        self._ring = bytearray(capacity)
        self._end = 0  # bytes ever written; the ring holds the last `capacity` of them
        self._last: dict[str, int] = {}

    def add(self, station: str, direction: Direction, data: bytes, at: float) -> None:
        """Note a frame. *at* is POSIX time."""
        size = len(data)
        kept = data if size <= MAX_KEPT else data[:MAX_KEPT]
        length = _HEAD.size + len(kept)
        place = self._end % self._capacity
        if place + length > self._capacity:  # never split a record over the seam
            self._end += self._capacity - place
            place = 0
        head = (self._last.get(station, -1) + 1, at, direction, len(kept), size)
        _HEAD.pack_into(self._ring, place, *head)
        self._ring[place + _HEAD.size : place + length] = kept
        self._last[station] = self._end
        self._end += length

    def last(self, station: str, limit: int = 50) -> list[LoggedFrame]:
        """Return the newest frames of *station* that the ring still holds, oldest first."""
        found: list[LoggedFrame] = []
        begin = self._last.get(station, -1)
        while begin >= 0 and self._holds(begin) and len(found) < limit:
            place = begin % self._capacity
            previous, at, direction, kept, size = _HEAD.unpack_from(self._ring, place)
            body = bytes(self._ring[place + _HEAD.size : place + _HEAD.size + kept])
            found.append(
                LoggedFrame(datetime.fromtimestamp(at, UTC), Direction(direction), body, size)
            )
            begin = previous - 1
        return found[::-1]

    def _holds(self, begin: int) -> bool:
        """A record is whole until the ring's end has run a full round past its beginning."""
        return self._end - begin <= self._capacity


@dataclass(frozen=True, slots=True)
class Refused:
    """A handshake that was refused, and why."""

    at: datetime
    identity: str
    source: str
    status: int
    reason: str


class RefusedLog:
    """The last refused handshakes. Bounded: strangers decide how many there are."""

    __slots__ = ("_entries", "totals")

    def __init__(self, limit: int = 1000) -> None:
        self._entries: deque[Refused] = deque(maxlen=limit)
        self.totals: Counter[str] = Counter()
        """How many there were since the start, by reason without its particulars."""

    def add(self, entry: Refused) -> None:
        self._entries.append(entry)
        self.totals[entry.reason.partition(" in ")[0]] += 1

    def last(self, identity: str | None = None, limit: int = 50) -> list[Refused]:
        """Return the newest entries, oldest first; of one identity (without case) or of all."""
        wanted = None if identity is None else identity.casefold()
        found = [e for e in self._entries if wanted is None or e.identity.casefold() == wanted]
        return found[-limit:]
