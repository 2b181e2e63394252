"""Sites and chargers: what stands where, how it does, who may connect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cms.dashboard import views
from cms.dashboard.api.desk import Desk, by, only_all_sites, same
from cms.dashboard.routing import Call, Route
from cms.dashboard.views import Json
from cms.domain.errors import InvalidValue, NotFound
from cms.domain.ids import LocationId, StationId
from cms.domain.partner import Right
from cms.domain.topology import Approval, ChargingStation
from cms.intake.base import Intake
from cms.intake.topology import ChargerIn, LocationIn


class ApprovalIn(Intake):
    approval: Approval


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of sites and chargers."""
    read, operate, admin = Right.READ, Right.OPERATE, Right.ADMIN
    its = Network(desk)
    return [
        Route("GET", "/sites", read, its.sites, answer="array"),
        Route("GET", "/sites/{id}", read, its.site),
        Route("PUT", "/sites/{id}", admin, its.put_site, LocationIn),
        Route("GET", "/chargers", read, its.chargers, answer="array"),
        Route("GET", "/chargers/{id}", read, its.charger),
        Route("PUT", "/chargers/{id}", admin, its.put_charger, ChargerIn),
        Route("POST", "/chargers/{id}/approval", admin, its.approve, ApprovalIn),
        Route("POST", "/chargers/{id}/password", admin, its.password),
        Route("GET", "/chargers/{id}/log", operate, its.frames, answer="array"),
        Route("GET", "/refused-handshakes", operate, its.refusals, answer="array"),
    ]


class Network:
    """Handlers of sites and chargers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def sites(self, call: Call) -> Any:
        """Sites with EVSEs by status."""
        catalogue = self._desk.catalogue
        return [
            views.site(location, catalogue.stations_of(location.id), self._desk.live)
            for location in catalogue.locations.values()
            if call.caller.sees(location.id) and not location.removed
        ]

    async def site(self, call: Call) -> Any:
        """One site with its chargers."""
        id = LocationId(call.part("id"))
        location = self._desk.catalogue.locations.get(id)
        if location is None or not call.caller.sees(id):
            raise NotFound("site", id)
        stations = self._desk.catalogue.stations_of(id)
        view = views.site(location, stations, self._desk.live)
        return {**view, "chargers": [self._charger(station) for station in stations]}

    async def put_site(self, call: Call) -> Any:
        """Add or replace a site."""
        given: LocationIn = call.body
        same("id", given.id, call.part("id"))
        location = given.value(self._desk.party)
        only_all_sites(call)
        await self._desk.administration.put_location(location, by(call))
        return views.site(location, self._desk.catalogue.stations_of(location.id), self._desk.live)

    async def chargers(self, call: Call) -> Any:
        """Chargers, live."""
        return [
            self._charger(station)
            for station in self._desk.catalogue.stations.values()
            if call.caller.sees(station.location)
        ]

    async def charger(self, call: Call) -> Any:
        """One charger, live."""
        return self._charger(self._desk.station(call))

    async def put_charger(self, call: Call) -> Any:
        """Add or replace a charger; a new one's password is told once."""
        given: ChargerIn = call.body
        same("id", given.id, call.part("id"))
        only_all_sites(call)
        administration = self._desk.administration
        known = StationId(given.id) in self._desk.catalogue.keys
        if given.location not in self._desk.catalogue.locations:
            raise InvalidValue("location", f"no site {given.location!r}")
        station = await administration.put_station(given.value(), by(call))
        view = self._charger(station)
        if given.auth == "none":
            await administration.open_to_all(station.id, by(call))
        elif given.password is not None:
            await administration.set_password(station.id, given.password.encode(), by(call))
        elif not known:
            view["password"] = await administration.new_password(station.id, by(call))
        return view

    async def approve(self, call: Call) -> Any:
        """Approve, test, reject or remove."""
        station = self._desk.station(call)
        approved = await self._desk.administration.approve(station.id, call.body.approval, by(call))
        return self._charger(approved)

    async def password(self, call: Call) -> Any:
        """Draw a new password, told once."""
        station = self._desk.station(call)
        drawn = await self._desk.administration.new_password(station.id, by(call))
        return {"id": station.id, "password": drawn}

    async def frames(self, call: Call) -> Any:
        """Its last frames."""
        station = self._desk.station(call)
        return [views.as_plain(each) for each in self._desk.log.frames(station.id)]

    async def refusals(self, call: Call) -> Any:
        """Who was not let in, and why."""
        only_all_sites(call)
        return [views.as_plain(each) for each in self._desk.log.refusals()]

    def _charger(self, station: ChargingStation) -> Json:
        return views.charger(station, self._desk.catalogue, self._desk.live)
