"""Every bound of the gateway in one place; the config may change each."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds, in the unit that each name carries.

    Attributes:
        max_frame_before_boot, max_frame: bytes of one message, before and after a station is
            registered; larger ones close the socket with 1009.
        handshake_s: from TCP accept to upgrade.
        unauthenticated_per_address: sockets of one address that are not admitted yet; beyond it
            those go that have stood longest, if longer than unauthenticated_grace_s.
        handshakes_per_s, handshake_burst: admission of upgrades; beyond it 503 and Retry-After.
        ping_after_s: silence before a ping. dead_after_s: silence before the socket is given up.
        ack_s: the longest that a station may wait for one answer before its socket is closed.
        call_s: how long a station may take to answer us.
        max_inbound: calls of one station that wait; more pauses reading its socket.
        max_outbound: calls to one station that wait; more are refused.
        max_unsent: bytes that a station does not take off the wire before it is given up.
        probe_s: how long an old socket has to answer a ping when a newer one arrives.
        flaps, flap_window_s: take-overs of a living socket from another address before newcomers
            are refused, and for how long they count.
        heartbeat_s: the interval that stations are told.
    """

    max_frame_before_boot: int = 64 * 1024
    max_frame: int = 1024 * 1024
    handshake_s: float = 10.0
    unauthenticated_per_address: int = 50
    unauthenticated_grace_s: float = 2.0
    handshakes_per_s: float = 2000.0
    handshake_burst: int = 10_000
    ping_after_s: float = 30.0
    dead_after_s: float = 46.0
    ack_s: float = 15.0
    call_s: float = 30.0
    max_inbound: int = 16
    max_outbound: int = 50
    max_unsent: int = 1024 * 1024
    probe_s: float = 5.0
    flaps: int = 5
    flap_window_s: float = 600.0
    retry_after_s: int = 10
    close_s: float = 5.0
    heartbeat_s: int = 300


class TokenBucket:
    """Admits *rate* per second on average and *burst* at once."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = now

    def take(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Flaps:
    """Counts, per station, take-overs of a living socket: two devices that fight for one name."""

    __slots__ = ("_limit", "_seen", "_window")

    def __init__(self, limit: int, window_s: float) -> None:
        self._limit = limit
        self._window = window_s
        self._seen: dict[str, deque[float]] = {}

    def count(self, station: str, now: float) -> int:
        """Count one and return how many there are in the window now."""
        seen = self._seen.setdefault(station, deque(maxlen=self._limit))
        seen.append(now)
        return self._recent(station, now)

    def refuses(self, station: str, now: float) -> bool:
        return self._recent(station, now) >= self._limit

    def _recent(self, station: str, now: float) -> int:
        seen = self._seen.get(station)
        if seen is None:
            return 0
        while seen and seen[0] <= now - self._window:
            seen.popleft()
        if not seen:
            del self._seen[station]
            return 0
        return len(seen)
