"""What EVSEs did a while ago, for partners that are told later.

Kept in memory and only as long as somebody is told later. After a start, or once the first such
partner is there, nothing is known of the time before: such a partner reads UNKNOWN until its delay
has passed, never what it is not yet to see.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime, timedelta

from cms.app.live import LiveState
from cms.app.ports import Clock
from cms.domain.ids import EvseRef
from cms.domain.status import EvseState


class Past:
    """Statuses by EVSE and time."""

    def __init__(self, live: LiveState, clock: Clock) -> None:
        self._live = live
        self._clock = clock
        self._reach = timedelta(0)
        self._times: dict[EvseRef, list[datetime]] = {}
        self._states: dict[EvseRef, list[EvseState]] = {}
        self.since = clock()

    def reach(self, delay: timedelta) -> None:
        """Keep what happened within *delay*; nothing at all where it is zero."""
        if delay and not self._reach:
            self.since = self._clock()
            for state in self._live.evses():
                self._add(state, self.since)
        if not delay:
            self._times.clear()
            self._states.clear()
        self._reach = delay

    def note(self, ref: EvseRef) -> None:
        """An EVSE has changed."""
        if self._reach:
            state = self._live.evse(ref)
            self._add(state, state.last_updated or self._clock())

    def again(self) -> None:
        """Some changes were missed: look at all EVSEs."""
        for state in self._live.evses():
            self.note(state.ref)

    def at(self, ref: EvseRef, moment: datetime) -> tuple[EvseState, datetime] | None:
        """Return what *ref* did at *moment* and since when; None where that is not known."""
        times = self._times.get(ref, ())
        found = bisect_right(times, moment) - 1
        return (self._states[ref][found], times[found]) if found >= 0 else None

    def between(self, after: datetime, until: datetime) -> Iterable[EvseRef]:
        """Return the EVSEs that changed after one moment, and not after the other."""
        for ref, times in self._times.items():
            if bisect_right(times, until) > bisect_right(times, after):
                yield ref

    def _add(self, state: EvseState, at: datetime) -> None:
        times = self._times.setdefault(state.ref, [])
        states = self._states.setdefault(state.ref, [])
        if states and (states[-1].status is state.status or at < times[-1]):
            return
        times.append(at)
        states.append(state)
        old = bisect_right(times, self._clock() - self._reach) - 1
        if old > 0:
            del times[:old], states[:old]
