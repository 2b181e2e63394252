"""RESERVE_NOW and CANCEL_RESERVATION: which EVSE a partner means, and which reservation.

The partner's own ids never reach a charger: the core draws a number for each reservation, so equal
ids of two partners are two reservations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from cms.app.catalogue import Catalogue, EvsePlace
from cms.app.remote import Asker, Refusal
from cms.app.reserving import RESERVABLE, ReserveWish, Reserving
from cms.app.writes import CommandRecord
from cms.domain.ids import EvseRef, PartnerId
from cms.domain.token import Token
from cms.domain.topology import Location
from ocpi_cpo.pages import Network
from ocpi_cpo.promises import Wish
from ocpi_cpo.versions.dialect import CancelOrder, ReserveOrder


class Reservations:
    def __init__(self, network: Network, reserving: Reserving, window: timedelta) -> None:
        self._network = network
        self._catalogue: Catalogue = network.catalogue
        self._reserving = reserving
        self._window = window

    async def reserve(
        self, order: ReserveOrder, site: Location, named: EvsePlace | None, asker: Asker
    ) -> CommandRecord | Refusal:
        """Promise what RESERVE_NOW asks for.

        Args:
            named: the EVSE that the order names; None = any of the site, chosen here.
        """
        owner = order.token.partner
        places = self._reservable(site, owner) if named is None else [named]
        if not places:
            return Refusal.NOT_RESERVABLE
        wish = ReserveWish(
            order.name,
            site.id,
            [each.evse.ref for each in places],
            order.token,
            order.expires_at,
            order.token.partner,
            named is None and _any_will_do(places),
            order.reference,
        )
        return await self._reserving.accept(wish, asker, self._window)

    async def cancel(
        self, order: CancelOrder, owner: PartnerId, asker: Asker
    ) -> tuple[CommandRecord | Refusal, Location | None] | None:
        """Promise what CANCEL_RESERVATION asks for; None = *owner* has no such reservation."""
        own = self._reserving.named(owner, order.name)
        if own is None:
            return None
        accepted = await self._reserving.accept_cancel(own, asker, self._window)
        return accepted, self._catalogue.locations.get(own.location)

    def through(self, wish: Wish) -> Wish:
        """Return *wish* as one about a reservation, or about a start of one.

        A start is carried out as every start is.
        """
        record = wish.record
        if record.verb == "remote_start":
            return wish
        return replace(
            wish,
            work=lambda: self._reserving.carry_out(record),
            give_up=lambda: self._reserving.give_up(record),
        )

    def reserved(self, owner: PartnerId, token: Token, site: Location) -> EvsePlace | None:
        """Return the EVSE that is held for *token* at *site*, if there is just one."""
        ref = self._reserving.at_site(owner, token, site.id)
        return None if ref is None else self._network.visible(ref, self._network.group(owner))

    def _reservable(self, site: Location, owner: PartnerId | None) -> Sequence[EvsePlace]:
        """Return the EVSEs of *site* that can be reserved, those that are free first."""
        group = self._network.group(owner)
        able = [
            place
            for station in self._catalogue.stations_of(site.id)
            for evse in station.evses
            if (place := self._network.visible(evse.ref, group)) is not None
            and RESERVABLE in place.evse.capabilities
        ]
        return sorted(able, key=lambda place: not self._free(place.evse.ref))

    def _free(self, ref: EvseRef) -> bool:
        return self._network.live.evse(ref).status.value == "available"


def _any_will_do(places: Sequence[EvsePlace]) -> bool:
    """Whether the station of the first place can hold any one of several EVSEs."""
    station = places[0].station
    return station.reserves_any and sum(each.station.id == station.id for each in places) > 1
