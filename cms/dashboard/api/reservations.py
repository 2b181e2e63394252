"""Reservations: seen, placed for our own drivers, cancelled whoever asked for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import uuid4

from pydantic import Field

from cms.app.remote import Asker, Refusal, explain
from cms.app.reserving import ReserveWish
from cms.dashboard import views
from cms.dashboard.api.desk import Desk, Paged, narrowed
from cms.dashboard.routing import Call, Route
from cms.domain.errors import Conflict, InvalidValue, NotFound
from cms.domain.ids import EvseRef, LocationId, ReservationId
from cms.domain.partner import Right
from cms.domain.reservation import Reservation
from cms.domain.token import Token
from cms.intake.base import Intake, Moment


class ReservationsIn(Paged):
    site: str | None = None


class ReserveIn(Intake):
    """A reservation for one of our own tokens; the same name again replaces it."""

    token: Annotated[str, Field(min_length=1, max_length=36)]
    expires_at: Moment
    name: Annotated[str, Field(min_length=1, max_length=36)] | None = None


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of reservations."""
    its = Reservations(desk)
    return [
        Route("GET", "/reservations", Right.READ, its.reservations, query=ReservationsIn,
              answer="array"),
        Route("GET", "/reservations/{id}", Right.READ, its.reservation),
        Route("POST", "/reservations/{id}/cancel", Right.OPERATE, its.cancel),
        Route("POST", "/evses/{uid}/reserve", Right.OPERATE, its.reserve, ReserveIn),
        Route("POST", "/chargers/{id}/reserve", Right.OPERATE, its.reserve_any, ReserveIn),
    ]  # fmt: skip


class Reservations:
    """Handlers of reservations."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def reservations(self, call: Call) -> Any:
        """Reservations, newest first."""
        given: ReservationsIn = call.query
        sites = narrowed(call, given.site)
        found = await self._desk.store.reservations(given.page(), sites)
        return [views.reservation(each) for each in found]

    async def reservation(self, call: Call) -> Any:
        """One reservation."""
        return views.reservation(await self._found(call))

    async def cancel(self, call: Call) -> Any:
        """Cancel it; a partner that asked for it is told."""
        own = await self._found(call)
        if not own.live:
            raise Conflict(f"it is {own.state} already")
        answer = await self._desk.reserving.cancel(own, Asker(call.caller.who, None, call.reason))
        return {"outcome": answer.outcome, **views.reservation(await self._found(call))}

    async def reserve(self, call: Call) -> Any:
        """Hold an EVSE for one of our drivers."""
        ref = self._desk.catalogue.evse_by_uid(call.part("uid"))
        place = None if ref is None else self._desk.catalogue.place(ref)
        if ref is None or place is None or not call.caller.sees(place.location.id):
            raise NotFound("EVSE", call.part("uid"))
        return await self._place(call, place.location.id, [ref], any_of_station=False)

    async def reserve_any(self, call: Call) -> Any:
        """Hold any one EVSE of a charger for one of our drivers."""
        station = self._desk.station(call)
        if not station.reserves_any:
            raise Conflict("this charger is not described as one that can (reserves_any)")
        refs = [each.ref for each in station.evses]
        return await self._place(call, station.location, refs, any_of_station=True)

    async def _place(
        self, call: Call, site: LocationId, evses: Sequence[EvseRef], *, any_of_station: bool
    ) -> Any:
        given: ReserveIn = call.body
        wish = ReserveWish(
            given.name or str(uuid4()),
            site,
            evses,
            self._own_token(given.token),
            given.expires_at,
            None,
            any_of_station,
        )
        accepted = await self._desk.reserving.accept(
            wish, Asker(call.caller.who, None, call.reason)
        )
        if isinstance(accepted, Refusal):
            raise Conflict(explain(accepted))
        answer = await self._desk.reserving.carry_out(accepted)
        assert accepted.reservation is not None, "a reservation that was asked for has a number"
        own = await self._desk.store.reservation(accepted.reservation)
        shown = {} if own is None else views.reservation(own)
        return {"command": accepted.id, "outcome": answer.outcome, **shown}

    def _own_token(self, uid: str) -> Token:
        for token in self._desk.catalogue.tokens_named(uid):
            if token.partner is None and token.valid:
                return token
        raise InvalidValue("token", f"{uid!r} is no valid token of our own")

    async def _found(self, call: Call) -> Reservation:
        text = call.part("id")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 11 else 0
        own = await self._desk.store.reservation(ReservationId(number))
        if own is None or not call.caller.sees(own.location):
            raise NotFound("reservation", text)
        return own
