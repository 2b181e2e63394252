"""Sessions that do not end: their charger is gone, or says that the EVSE is free.

Nothing is concluded from silence. A person is shown the session, with what is known, and may end it
at its last sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cms.app.live import LiveState
from cms.app.ports import Clock, Store
from cms.app.stations import Stations
from cms.app.work import silent
from cms.app.writes import PutWorkItem
from cms.domain.ids import SessionId
from cms.domain.session import Session
from cms.domain.status import ConnectorReport


@dataclass(frozen=True, slots=True)
class SilenceRules:
    """What the operator may choose.

    Attributes:
        away: a running session whose charger was not heard for so long is shown.
        free: one whose EVSE is reported free, and that told nothing for so long, is shown.
    """

    away: timedelta = timedelta(hours=6)
    free: timedelta = timedelta(minutes=15)


class Silence:
    def __init__(
        self,
        store: Store,
        live: LiveState,
        stations: Stations,
        clock: Clock,
        rules: SilenceRules = SilenceRules(),
    ) -> None:
        self._store = store
        self._live = live
        self._stations = stations
        self._clock = clock
        self._rules = rules
        self._shown: set[SessionId] = set()

    async def look(self) -> int:
        """Show every session that has newly fallen silent; return how many. Call it each minute."""
        now = self._clock()
        running = [session for session in self._live.sessions() if session.running]
        self._shown &= {session.id for session in running}
        found = [each for each in running if each.id not in self._shown and self._silent(each, now)]
        for session in found:
            item = silent(session, self._stations.seen(session.station), now)
            await self._store.commit([PutWorkItem(item)])
            self._shown.add(session.id)
        return len(found)

    def _silent(self, session: Session, now: datetime) -> bool:
        told = max(session.received_at, session.last_at or session.received_at)
        if not self._stations.connected_now(session.station):
            heard = self._stations.seen(session.station) or told
            return now - heard >= self._rules.away
        state = self._live.evse(session.ref)
        free = set(state.connectors.values()) == {ConnectorReport.FREE}
        return free and now - told >= self._rules.free
