"""Locations as ready bytes, per group of partners that see the same prices.

Nothing is built on a GET that was built before: a page is joined bytes. A site's bytes are built
again by the first who asks after it, one of its EVSEs or its price book changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from cms.app.catalogue import Catalogue, EvsePlace
from cms.app.live import LiveState
from cms.app.ports import Clock
from cms.domain.ids import EvseRef, LocationId, PartnerId, TariffId
from cms.domain.topology import ChargingStation, Connector, EvseParking, Location
from ocpi_cpo.config import OwnParty
from ocpi_cpo.versions.dialect import Dialect
from ocpi_cpo.versions.v221.topology import EvseView
from ocpi_cpo.wire import Json, dumps, stamp

_DAWN = datetime(1970, 1, 1, tzinfo=UTC)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Network:
    """The network as one partner sees it, from memory."""

    def __init__(
        self,
        catalogue: Catalogue,
        live: LiveState,
        dialect: Dialect,
        parties: Sequence[OwnParty] = (),
        clock: Clock = _utc_now,
    ) -> None:
        self.catalogue = catalogue
        self.live = live
        self.dialect = dialect
        self._parties = parties
        self._clock = clock

    def now(self) -> datetime:
        """The moment for which prices are looked up."""
        return self._clock()

    def shows(self, site: Location) -> bool:
        """Whether partners hear of *site*, and it has a form in this version."""
        return site.roaming and self.dialect.shows(site, self._parties)

    def group(self, partner: PartnerId) -> PartnerId | None:
        """Return who shares *partner*'s view: itself if its prices may be its own, else None."""
        return partner if self.catalogue.offers.particular(partner) else None

    def sites(self) -> list[Location]:
        """Every site, by creation and id: an update never moves one."""
        return sorted(
            self.catalogue.locations.values(), key=lambda site: (site.created_at or _DAWN, site.id)
        )

    def updated(self, site: Location) -> datetime:
        """Return a site's ``last_updated``, the same that stands in its bytes."""
        return max(
            [
                self.live.updated("location", site.id) or site.created_at or _DAWN,
                *(view.last_updated for view in self.views(site, None)),
            ]
        )

    def views(self, site: Location, partner: PartnerId | None) -> list[EvseView]:
        """Return the EVSEs of *site* that partners may see."""
        return [
            self.view(EvsePlace(site, station, evse), partner)
            for station in self.catalogue.stations_of(site.id)
            if station.seen
            for evse in station.evses
            if self.dialect.shows_evse(evse)
        ]

    def view(self, place: EvsePlace, partner: PartnerId | None) -> EvseView:
        return EvseView(
            place.evse,
            self.live.evse(place.evse.ref),
            lambda plug: self._tariffs(place, plug, partner),
            _defined(place.station, place.location),
            self.live.updated("evse", str(place.evse.ref)),
            _parking(place),
        )

    def _tariffs(
        self, place: EvsePlace, plug: Connector, partner: PartnerId | None
    ) -> list[TariffId]:
        """Return what holds now, the best tariff of each kind, the usual one first.

        The usual one, because some read no further. ``Borders`` touches the site when it changes.
        """
        offered = self.catalogue.offered(place, plug, partner, self._clock())
        return [each.id for each in offered]

    def visible(self, ref: EvseRef) -> EvsePlace | None:
        """Return where an EVSE stands, if partners may see it."""
        place = self.catalogue.place(ref)
        if place is None or not place.station.seen:
            return None
        if not (self.shows(place.location) and self.dialect.shows_evse(place.evse)):
            return None
        return place

    def find(self, location: str, uid: str) -> EvsePlace | None:
        """Return the visible EVSE *uid* of *location*, both compared without case."""
        ref = self.catalogue.evse_by_uid(uid)
        place = self.visible(ref) if ref is not None else None
        if place is None or place.location.id.casefold() != location.casefold():
            return None
        return place

    def site(self, id: str) -> Location | None:
        """Return a site that partners may see, its id compared without case."""
        found = self._site(id)
        return found if found is not None and self.shows(found) else None

    def _site(self, id: str) -> Location | None:
        found = self.catalogue.locations.get(LocationId(id))
        if found is not None:
            return found
        folded = id.casefold()
        return next(
            (each for each in self.catalogue.locations.values() if each.id.casefold() == folded),
            None,
        )

    def body(self, site: Location, partner: PartnerId | None) -> Json:
        """Return the whole Location as JSON values."""
        return self.dialect.location(
            site, self.views(site, partner), self.live.updated("location", site.id)
        )


def _parking(place: EvsePlace) -> list[EvseParking]:
    known = {each.id for each in place.location.parking_places}
    return [each for each in place.evse.parking if each.place in known]


def _defined(station: ChargingStation, site: Location) -> datetime | None:
    known = [each for each in (station.created_at, site.created_at) if each is not None]
    return max(known) if known else None


@dataclass(frozen=True, slots=True)
class Ready:
    """One site's bytes, with what they were made from.

    Attributes:
        content: identifies what is in it but statuses and dates: what a PATCH of an EVSE cannot
            tell.
        statuses: of each EVSE, as they stand in the body: (status, last_updated).
        told: the site's moment in the feed; every visible change in it gives a new one.
    """

    body: bytes
    content: str
    statuses: Mapping[EvseRef, tuple[str, str]]
    last_updated: datetime
    site: Location
    told: datetime | None


class Pages:
    """Ready bytes of sites, per price group.

    A change of a site, of one of its EVSEs or of what the price book shows there moves the site's
    place in the feed (they are touched in the same commit), so bytes are true as long as that
    place is the one they were made at.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._ready: dict[tuple[PartnerId | None, LocationId], Ready] = {}
        self._order: list[LocationId] = []

    def order(self) -> list[LocationId]:
        """Return the ids of all sites in their stable order."""
        if len(self._order) != len(self.network.catalogue.locations):
            self._order = [site.id for site in self.network.sites()]
        if not self.network.dialect.selective and not self.network.catalogue.private:
            return self._order
        sites = self.network.catalogue.locations
        return [id for id in self._order if self.network.shows(sites[id])]

    def ready(self, ids: Sequence[LocationId], partner: PartnerId) -> list[Ready]:
        """Return the bytes of *ids*; builds only what changed."""
        group = self.network.group(partner)
        return [self._current(group, id) for id in ids]

    def one(self, id: LocationId, partner: PartnerId) -> Ready:
        """Return the bytes of one site."""
        return self._current(self.network.group(partner), id)

    def _current(self, group: PartnerId | None, id: LocationId) -> Ready:
        found = self._ready.get((group, id))
        if found is not None and self._true(found, id):
            return found
        return self._build(group, id)

    def _true(self, ready: Ready, id: LocationId) -> bool:
        network = self.network
        return (
            ready.told == network.live.updated("location", id)
            and ready.site is network.catalogue.locations[id]
        )

    def _build(self, group: PartnerId | None, id: LocationId) -> Ready:
        network = self.network
        site = network.catalogue.locations[id]
        body = network.body(site, group)
        ready = Ready(
            dumps(body),
            _content(body),
            {view.evse.ref: status_of(view) for view in network.views(site, group)},
            network.updated(site),
            site,
            network.live.updated("location", id),
        )
        self._ready[group, id] = ready
        return ready


def status_of(view: EvseView) -> tuple[str, str]:
    """Return what a PATCH of an EVSE tells."""
    return str(view.state.status), stamp(view.last_updated)


def _content(body: Json) -> str:
    evses = [
        {
            **{name: each for name, each in evse.items() if name not in ("status", "last_updated")},
            "connectors": [_undated(plug) for plug in evse["connectors"]],
        }
        for evse in body.get("evses") or ()
    ]
    return sha256(dumps({**_undated(body), "evses": evses})).hexdigest()


def _undated(body: Json) -> Json:
    return {name: value for name, value in body.items() if name != "last_updated"}
