"""Drivers who change their mind while they charge: another tariff holds from then on.

No charger is steered by preferences: it delivers what the car takes, or what a charging profile
allows. What a preference changes is the tariff, and that is durable before it is promised.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cms.app.catalogue import Catalogue
from cms.app.charging import Charging
from cms.app.ports import Clock
from cms.app.writes import Audit, Write
from cms.domain.audit import AuditEntry
from cms.domain.ids import SessionId
from cms.domain.preference import Answer, Wish, reachable, serves
from cms.domain.session import Session, TariffSwitch, evolve_session
from cms.domain.tariff import Tariff
from cms.domain.topology import Connector


class Preferring:
    def __init__(self, charging: Charging, catalogue: Catalogue, clock: Clock) -> None:
        self._charging = charging
        self._catalogue = catalogue
        self._clock = clock

    async def prefer(self, id: SessionId, wish: Wish) -> Answer:
        """Switch the tariff of a running session to the kind that its driver wishes for, if the
        connector shows the session's owner one; durable on return.

        Raises:
            StoreDown: nothing can be made durable now; nothing has changed.
        """
        answer = Answer.NOT_POSSIBLE

        def how(session: Session) -> tuple[Session, Sequence[Write]] | None:
            nonlocal answer
            decided = self._decide(session, wish)
            if isinstance(decided, Answer):
                answer = decided
                return None
            answer = Answer.HOLDS
            return self._switched(session, *decided)

        after = await self._charging.change(id, how)
        if after is not None:
            self._charging.terms.tariff_kept(after)
        return answer

    def _decide(self, session: Session, wish: Wish) -> Answer | tuple[Tariff, Tariff]:
        """Return the answer; or, where it takes a switch, the tariff that holds and the next."""
        plug = self._plug(session)
        if plug is None or not session.running:
            return Answer.NOT_POSSIBLE
        now = self._clock()
        running = self._charging.terms.tariff_now(session)
        if running is not None and serves(running.kind, wish.kind):
            found: Tariff | None = running
        else:
            found = self._shown(session, plug, wish, now)
        if found is None:
            return Answer.NO_SUCH_TARIFF
        if not reachable(wish, session.delivered_wh, plug.power_w, now):
            return Answer.NOT_POSSIBLE
        if found is running:
            return Answer.HOLDS
        if running is None or found.currency != running.currency:
            return Answer.NOT_POSSIBLE
        return running, found

    def _shown(self, session: Session, plug: Connector, wish: Wish, now: datetime) -> Tariff | None:
        shown = self._charging.terms.shown(session.ref, plug.number, session.owner, now)
        return next((each for each in shown if serves(each.kind, wish.kind)), None)

    def _plug(self, session: Session) -> Connector | None:
        place = self._catalogue.place(session.ref)
        if place is None:
            return None
        return place.evse.connector(session.connector or 1) or place.evse.connectors[0]

    def _switched(
        self, session: Session, running: Tariff, found: Tariff
    ) -> tuple[Session, Sequence[Write]]:
        now = self._clock()
        hash, kept = self._charging.terms.keep_switched(session, found)
        switch = TariffSwitch(now.replace(microsecond=0), hash)  # partners read whole seconds
        entry = AuditEntry(
            now,
            f"partner:{session.owner}" if session.owner else "driver",
            "session.tariff_switched",
            f"session:{session.id}",
            {"tariff": running.id},
            {"tariff": found.id},
            "the driver's charging preference",
        )
        after = evolve_session(session, switches=(*session.switches, switch))
        return after, [*kept, Audit(entry)]
