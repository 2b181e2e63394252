"""The reservations that live, in memory: who holds which EVSE. Nothing here does I/O.

Replaced after the commit, like everything that readers see. Those that have ended stay in the store.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator

from cms.domain.ids import EvseRef, LocationId, PartnerId, ReservationId, StationId
from cms.domain.reservation import Reservation
from cms.domain.token import AuthMethod, Decision, Token, TokenType, Verdict
from cms.domain.transaction import TransactionEvent


class Reservations:
    def __init__(self) -> None:
        self._all: dict[ReservationId, Reservation] = {}
        self._by_station: dict[StationId, dict[ReservationId, None]] = {}

    # -- changing, only after the commit

    def restore(self, kept: Iterable[Reservation]) -> None:
        for each in kept:
            self.put(each)

    def put(self, own: Reservation) -> None:
        """Show *own* as it is now; one that is over, and owes nothing, is forgotten."""
        self._forget(own.id)
        if own.live or own.owed or own.unheard:
            self._all[own.id] = own
            self._by_station.setdefault(own.station, {})[own.id] = None

    def _forget(self, id: ReservationId) -> None:
        before = self._all.pop(id, None)
        if before is None:
            return
        here = self._by_station[before.station]
        del here[id]
        if not here:
            del self._by_station[before.station]

    # -- asking

    def __iter__(self) -> Iterator[Reservation]:
        return iter(tuple(self._all.values()))

    def get(self, id: ReservationId) -> Reservation | None:
        return self._all.get(id)

    def draw(self) -> ReservationId:
        """Draw a number that no reservation in memory has: positive, 31 bits."""
        while True:
            number = ReservationId(secrets.randbelow(2**31 - 1) + 1)
            if number not in self._all:
                return number

    def of_station(self, station: StationId) -> Iterator[Reservation]:
        """The live reservations of *station*."""
        for id in tuple(self._by_station.get(station, ())):
            own = self._all[id]
            if own.live:
                yield own

    def named(self, owner: PartnerId | None, name: str) -> Reservation | None:
        """Return the live reservation that *owner* calls *name*."""
        folded = name.casefold()
        return next(
            (
                each
                for each in self._all.values()
                if each.live and each.owner == owner and each.name.casefold() == folded
            ),
            None,
        )

    def at(self, evse: EvseRef) -> Reservation | None:
        """Return the live reservation that names *evse*, or is asked to."""
        return next(
            (
                each
                for each in self.of_station(evse.station)
                if each.hold.evse == evse.evse
                or (each.asked is not None and each.asked.evse == evse.evse)
            ),
            None,
        )

    def for_token(
        self, owner: PartnerId | None, token: Token | None, evse: EvseRef
    ) -> Reservation | None:
        """Return the live reservation by which *token* may start at *evse*, that EVSE's first."""
        fitting = [
            each
            for each in self.of_station(evse.station)
            if each.owner == owner and each.may_use(token) and each.covers(evse.evse)
        ]
        return min(fitting, key=lambda each: each.hold.evse is None, default=None)

    def at_site(
        self, owner: PartnerId | None, token: Token, site: LocationId
    ) -> Reservation | None:
        """Return the live reservation of *token* at *site*, if there is just one."""
        found = [
            each
            for each in self._all.values()
            if each.live and each.owner == owner and each.location == site and each.may_use(token)
        ]
        return found[0] if len(found) == 1 else None

    def used_by(
        self, station: StationId, event: TransactionEvent, token: Token | None
    ) -> Reservation | None:
        """Return the reservation that a start uses.

        The charger's own word comes first, if the token fits; many a charger does not say which,
        and then EVSE, token and time must.
        """
        shown = (event.id_token or "").casefold()
        fitting = [
            each
            for each in self.of_station(station)
            if each.hold.id_token.casefold() == shown or each.may_use(token)
        ]
        for each in fitting:
            if each.id == event.reservation:
                return each
        return next(
            (
                each
                for each in fitting
                if each.covers(event.evse) and each.in_time(event.occurred_at)
            ),
            None,
        )

    def decision(self, station: StationId, uid: str) -> Decision | None:
        """Return what is decided about drawn characters that a reservation at *station* has.

        A card is decided about as cards are, with the token that the reservation brought.
        """
        for each in self.of_station(station):
            hold = each.hold
            if not hold.card and hold.id_token == uid.upper():
                return Decision(
                    Verdict.ACCEPTED,
                    f"reserved by {hold.asked_by}",
                    hold.token,
                    AuthMethod.COMMAND,
                    hold.reference,
                )
        return None

    def word(self, station: StationId, event: TransactionEvent) -> Decision | None:
        """Return the partner's word for a reserved card, for a start that nobody can be asked
        about any more: the charger was alone."""
        own = self.used_by(station, event, None)
        if own is None:
            return None
        hold = own.hold
        why = f"reserved by {hold.asked_by}; the charger was alone"
        return Decision(Verdict.ACCEPTED, why, hold.token, AuthMethod.COMMAND, hold.reference)

    def card(self, uid: str) -> Token | None:
        """Return the token of a reserved card, which its partner need not have told us before."""
        named = uid.casefold()
        for each in self._all.values():
            token = each.hold.token
            if each.live and token.type is TokenType.RFID and token.uid.casefold() == named:
                return token
        return None
