"""Sessions with a limit are stopped in time.

Every sample brings a new forecast; the stop is given so long before the limit as a charger needs to
obey. What passed the limit all the same is reported when the session is settled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from cms.app.catalogue import Catalogue
from cms.app.charging import Charging
from cms.app.live import LiveState
from cms.app.ports import Clock, Store
from cms.app.remote import Asker, Refusal
from cms.app.writes import PutWorkItem
from cms.domain.audit import WorkAction, WorkItem, WorkType
from cms.domain.commands import Answer, Outcome
from cms.domain.ids import SessionId
from cms.domain.limits import STOP_LATENCY, CostAt, Progress, plan
from cms.domain.rating import rate
from cms.domain.session import Session
from cms.domain.usage import Reading, usages_from_readings

_ASKER = "system"
_MOST_READINGS = 120
"""Readings kept per limited session for pricing it; beyond that every second one goes."""


@dataclass(frozen=True, slots=True)
class LimitingRules:
    """What the operator may choose.

    Attributes:
        look_ahead: longer than the pause between two samples of any charger.
        latency: from asking a charger to stop until its power is off.
        ask_again: pause before a charger that did not obey is asked again.
    """

    look_ahead: timedelta = timedelta(minutes=3)
    latency: timedelta = STOP_LATENCY
    ask_again: timedelta = timedelta(seconds=15)


class Stopper(Protocol):
    """Stops sessions (``cms.app.remote.Remote``)."""

    async def stop_now(self, session: Session, asker: Asker) -> Answer | Refusal: ...


@dataclass(slots=True)
class _Watched:
    """A limited session.

    Attributes:
        due: when to give the stop, by our clock; None = not in sight.
        again: not asked again before; None = never asked.
        failed: it was asked to stop and did not obey; a person knows.
    """

    readings: list[Reading] = field(default_factory=list)
    due: datetime | None = None
    again: datetime | None = None
    failed: bool = False


class Limiting:
    def __init__(
        self,
        store: Store,
        live: LiveState,
        catalogue: Catalogue,
        charging: Charging,
        stopper: Stopper,
        clock: Clock,
        rules: LimitingRules = LimitingRules(),
    ) -> None:
        self._store = store
        self._live = live
        self._catalogue = catalogue
        self._charging = charging
        self._stopper = stopper
        self._clock = clock
        self._rules = rules
        self._watched: dict[SessionId, _Watched] = {}
        self._woken = asyncio.Event()
        charging.open.on_progress = self.observe

    def restore(self) -> None:
        """Take up the limited sessions that run."""
        for session in self._live.sessions():
            if session.running:
                self.observe(session)

    def observe(self, session: Session) -> None:
        """Forecast anew: a session began or told samples. Memory only."""
        if not session.limit.any:
            return
        watched = self._watched.setdefault(session.id, _Watched())
        _add(watched.readings, session)
        now = self._clock()
        stop = plan(
            session.limit,
            Progress(
                session.begun_at,
                session.last_at or session.begun_at,
                session.delivered_wh,
                self._power(session, watched.readings),
            ),
            now,
            look_ahead=self._rules.look_ahead,
            cost=self._cost(session, watched.readings),
            latency=self._rules.latency,
        )
        watched.due = None if stop is None else max(stop.ask_at, watched.again or stop.ask_at)
        if watched.due is not None and watched.due <= now + timedelta(seconds=1):
            self._woken.set()

    async def run(self) -> None:
        """Give every stop when it is due, for ever."""
        while True:
            self._woken.clear()
            await self.give_due()
            try:
                async with asyncio.timeout(0.25):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def give_due(self) -> int:
        """Give the stops that are due now, side by side; return how many."""
        now = self._clock()
        due = [id for id, each in self._watched.items() if each.due and each.due <= now]
        await asyncio.gather(*(self._give(id) for id in due))
        return len(due)

    # -- inside

    async def _give(self, id: SessionId) -> None:
        session, watched = self._live.session(id), self._watched[id]
        if session is None or not session.running:
            del self._watched[id]
            return
        watched.due = watched.again = self._clock() + self._rules.ask_again
        answer = await self._stopper.stop_now(session, Asker(_ASKER, reason="limit reached"))
        obeyed = isinstance(answer, Answer) and answer.outcome is Outcome.ACCEPTED
        if not obeyed and not watched.failed:
            watched.failed = True
            word = answer.outcome if isinstance(answer, Answer) else answer
            await self._store.commit([PutWorkItem(_not_stopped(session, str(word), self._clock()))])

    def _power(self, session: Session, readings: Sequence[Reading]) -> int:
        """Return the power to reckon with, W: as told, else as measured, else the most there is."""
        if session.power_w is not None:
            return session.power_w
        if len(readings) >= 2:
            last, before = readings[-1], readings[-2]
            seconds = int((last.at - before.at).total_seconds())
            if seconds > 0 and last.wh is not None and before.wh is not None:
                return max(last.wh - before.wh, 0) * 3600 // seconds
        place = self._catalogue.place(session.ref)
        return max(each.power_w for each in place.evse.connectors) if place else 0

    def _cost(self, session: Session, readings: Sequence[Reading]) -> CostAt | None:
        """Return the pricing of *session* at a later moment; None where money is no limit."""
        tariff = self._charging.tariff(session)
        place = self._catalogue.place(session.ref)
        if session.limit.money is None or tariff is None or place is None or not readings:
            return None
        zone = place.location.zone
        begun = readings[0].wh or 0
        switches = self._charging.switches(session)

        def cost(at: datetime, wh: int) -> Decimal:
            later = [*readings, Reading(max(at, readings[-1].at), begun + wh)]
            used = usages_from_readings(later)
            return rate(tariff, used, zone, switches=switches).total.gross.amount

        return cost


def _add(readings: list[Reading], session: Session) -> None:
    """Add where a session is now. The register here counts from 0 at its start."""
    if session.activated_at is None:
        return
    if not readings:
        readings.append(Reading(session.activated_at, 0))
    at = session.last_at or session.activated_at
    if at > readings[-1].at and session.delivered_wh >= (readings[-1].wh or 0):
        readings.append(Reading(at, session.delivered_wh, session.charging, session.power_w))
    if len(readings) > _MOST_READINGS:
        readings[1:-1] = readings[2:-1:2]


def _not_stopped(session: Session, answer: str, now: datetime) -> WorkItem:
    return WorkItem(
        f"stop-failed:{session.id}",
        WorkType.STOP_FAILED,
        f"session:{session.id}",
        now,
        station=session.station,
        location=session.location,
        evidence={"why": "its limit is reached", "answer": answer},
        actions=(WorkAction.END_AT_LAST_SAMPLE, WorkAction.DISMISS),
    )
