"""What every room shares: the desk with everything they ask, and the questions several put."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from cms.app.administration import Administration, By
from cms.app.casefile import CaseFile
from cms.app.catalogue import Catalogue
from cms.app.correcting import Correcting
from cms.app.evidence import Evidence
from cms.app.invoicing import Invoicing
from cms.app.live import LiveState
from cms.app.ports import Clock, Page, PartnerDesk, StationLog, Store, WorkDesk
from cms.app.pricing import Pricing
from cms.app.profiling import Profiling
from cms.app.quoting import Quoting
from cms.app.remote import Remote
from cms.app.reserving import Reserving
from cms.app.settling import Settling
from cms.app.sums import Sums
from cms.dashboard.access import Access
from cms.dashboard.routing import Call
from cms.domain.errors import Forbidden, InvalidValue, NotFound
from cms.domain.ids import EvseRef, LocationId, PartnerId, SessionId
from cms.domain.rating import Rating
from cms.domain.session import Session
from cms.domain.topology import ChargingStation
from cms.intake.base import Intake


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that the API asks, as bootstrap wires it."""

    store: Store
    catalogue: Catalogue
    live: LiveState
    administration: Administration
    remote: Remote
    settling: Settling
    profiling: Profiling
    reserving: Reserving
    sums: Sums
    casefile: CaseFile
    correcting: Correcting
    evidence: Evidence
    invoicing: Invoicing
    work: WorkDesk
    partners: PartnerDesk
    log: StationLog
    running_price: Callable[[Session], Awaitable[Rating | None]]
    clock: Clock
    party: PartnerId
    access: Access
    pricing: Pricing
    quoting: Quoting

    def station(self, call: Call) -> ChargingStation:
        """Return the charger that the path's ``{id}`` names, in whatever case it is spelled.

        Raises:
            NotFound: there is none, or none that the caller may see.
        """
        id = self.catalogue.spelled(call.part("id"))
        station = self.catalogue.stations.get(id) if id is not None else None
        if station is None or not call.caller.sees(station.location):
            raise NotFound("charger", call.part("id"))
        return station

    def evse(self, call: Call) -> EvseRef:
        """Return the EVSE that the path's ``{uid}`` names.

        Raises:
            NotFound: there is none, or none that the caller may see.
        """
        ref = self.catalogue.evse_by_uid(call.part("uid"))
        place = self.catalogue.place(ref) if ref is not None else None
        if ref is None or place is None or not call.caller.sees(place.location.id):
            raise NotFound("EVSE", call.part("uid"))
        return ref

    async def session(self, call: Call) -> Session:
        """Return the session that the path's ``{id}`` names.

        Raises:
            NotFound: there is none, or none that the caller may see.
        """
        id = SessionId(call.part("id"))
        session = await self.known_session(id)
        if session is None or not call.caller.sees(session.location):
            raise NotFound("session", id)
        return session

    async def known_session(self, id: SessionId) -> Session | None:
        """Return a session as it is now, running or kept; None for none."""
        if (live := self.live.session(id)) is not None:
            return live
        kept = await self.store.session(id)
        return None if kept is None else kept.session


class Paged(Intake):
    """A window of a longer list."""

    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 50

    def page(self) -> Page:
        return Page(self.offset, self.limit)


def by(call: Call) -> By:
    """Who changes something and why, for the audit."""
    return By(call.caller.who, call.reason)


def same(field: str, given: str, path: str) -> None:
    """Refuse a body that is about something else than its address."""
    if given != path:
        raise InvalidValue(field, f"{given!r} is not what the address says: {path!r}")


def only_all_sites(call: Call) -> None:
    """What concerns the whole network is for keys that see all of it."""
    if call.caller.sites is not None:
        raise Forbidden("this key sees its own sites only")


def narrowed(call: Call, site: str | None) -> frozenset[LocationId] | None:
    """The sites to look at: the caller's own, narrowed to one where asked."""
    if site is None:
        return call.caller.sites
    if not call.caller.sees(LocationId(site)):
        raise NotFound("site", site)
    return frozenset({LocationId(site)})
