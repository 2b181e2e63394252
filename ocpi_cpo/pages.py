"""Locations as ready bytes, per group of partners that see the same sites, statuses and prices.

Nothing is built on a GET that was built before: a page is joined bytes. What happened at EVSEs is
put into a site's bytes by the first who asks after it; they are built anew only where more changed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from operator import is_

from cms.app.catalogue import Catalogue, EvsePlace
from cms.app.live import LiveState
from cms.app.ports import Clock
from cms.domain.ids import EvseRef, LocationId, PartnerId, TariffId
from cms.domain.sharing import EVERYTHING, LiveStatus, Sharing
from cms.domain.status import EvseState, EvseStatus, evolve_evse
from cms.domain.topology import ChargingStation, Connector, EvseParking, Location
from ocpi_cpo.config import OwnParty
from ocpi_cpo.past import Past
from ocpi_cpo.splicing import Spliced, spliced
from ocpi_cpo.versions.dialect import Dialect
from ocpi_cpo.versions.v221.topology import EvseView
from ocpi_cpo.wire import Json, dumps, stamp

_TOLD_ALONE = ("status", "last_updated")
_DAWN = datetime(1970, 1, 1, tzinfo=UTC)

SLICE_SECONDS = 0.005
"""How long sites are built before others get their turn."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Group:
    """Partners that see the same of the network.

    Attributes:
        prices: whose prices; None = those of nobody in particular.
        sharing: what is shown to them.
    """

    prices: PartnerId | None = None
    sharing: Sharing = EVERYTHING

    @property
    def live(self) -> bool:
        """Whether it sees what EVSEs do as it happens."""
        return self.sharing.status is LiveStatus.SHOWN


ANYBODY = Group()


@dataclass(frozen=True, slots=True)
class _Moment:
    """When what a group sees of a site last changed, but for statuses.

    Attributes:
        told, site: what it was looked up at.
        fixed: what *content* was worked out from, beside the site.
    """

    at: datetime
    content: str
    told: datetime | None
    site: Location
    fixed: tuple[object, ...]


class Network:
    """The network as one partner sees it, from memory.

    Args:
        past: for partners that are told of statuses later.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        live: LiveState,
        dialect: Dialect,
        parties: Sequence[OwnParty] = (),
        clock: Clock = _utc_now,
        past: Past | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.live = live
        self.dialect = dialect
        self._parties = parties
        self._clock = clock
        self._past = past or Past(live, clock)
        self._since = clock()
        self._moments: dict[tuple[Group, LocationId], _Moment] = {}

    def now(self) -> datetime:
        """The moment for which prices are looked up."""
        return self._clock()

    def shows(self, site: Location, group: Group) -> bool:
        """Whether partners of *group* hear of *site*, and it has a form in this version."""
        return (
            site.roaming and group.sharing.shows(site) and self.dialect.shows(site, self._parties)
        )

    def shows_tariff(self, id: TariffId, group: Group) -> bool:
        """Whether a tariff, or the one that it is a version or form of, is shared."""
        chosen, offers = group.sharing.tariffs, self.catalogue.offers
        return chosen is None or offers.base_of(id) in offers.versions_of(chosen)

    def group(self, partner: PartnerId | None) -> Group:
        """Return with whom *partner* shares its view.

        With everybody, unless its prices may be its own or something is kept from it.
        """
        particular = partner is not None and self.catalogue.offers.particular(partner)
        sharing = self.catalogue.sharing_of(partner)
        if not particular and sharing == EVERYTHING:
            return ANYBODY
        return Group(partner if particular else None, sharing)

    def sites(self) -> list[Location]:
        """Every site, by creation and id: an update never moves one."""
        return sorted(
            self.catalogue.locations.values(), key=lambda site: (site.created_at or _DAWN, site.id)
        )

    def updated(self, site: Location, group: Group = ANYBODY) -> datetime:
        """Return a site's ``last_updated``, the same that stands in its bytes."""
        return _newest(self.told(site, group), self.views(site, group))

    def told(self, site: Location, group: Group) -> datetime:
        """Return when a group was last given to see a change of a site itself."""
        if not group.live:
            return self._moment(site, group)
        at = self.live.updated("location", site.id) or site.created_at or _DAWN
        return max(at, group.sharing.since or _DAWN)

    def _moment(self, site: Location, group: Group) -> datetime:
        """Return when what is seen of *site* last changed, statuses apart.

        The feed's own moment would say when something happened there. What changed before we
        started counts as changed then.
        """
        told, known = self.live.updated("location", site.id), self._moments.get((group, site.id))
        if known is not None and known.told == told and known.site is site:
            return known.at
        first = max(self._since, group.sharing.since or _DAWN, site.created_at or _DAWN)
        views = [self._still(each, _DAWN) for each in self._places(site, group)]
        fixed = (_fixed(views), [each.state.status for each in views])
        if known is not None and known.site is site and known.fixed == fixed:
            content = known.content
        else:
            content = _content(self.dialect.location(site, views, _DAWN), group)
        at = first if known is None else known.at
        if known is not None and known.content != content:
            at = self._clock()
        self._moments[group, site.id] = _Moment(at, content, told, site, fixed)
        return at

    def views(self, site: Location, group: Group) -> list[EvseView]:
        """Return the EVSEs of *site* as partners of *group* may see them."""
        seen = self._places(site, group)
        if group.live:
            return seen
        moment = self._moment(site, group)
        return [self._later(each, group, moment) for each in seen]

    def _places(self, site: Location, group: Group) -> list[EvseView]:
        return [
            self._now(EvsePlace(site, station, evse), group)
            for station in self.catalogue.stations_of(site.id)
            if station.seen
            for evse in station.evses
            if self.dialect.shows_evse(evse)
        ]

    def again(self, before: Sequence[EvseView], site: Location, group: Group) -> list[EvseView]:
        """Return what ``views`` does, by way of what it returned when the same stations were here.

        Args:
            before: the same object is in the result where nothing happened at an EVSE since.
        """
        if not group.live:
            return self.views(site, group)
        live = self.live
        return [
            each
            if each.state.last_updated is not None and live.evse(each.evse.ref) is each.state
            else replace(
                each,
                state=live.evse(each.evse.ref),
                moved_at=live.updated("evse", str(each.evse.ref)),
            )
            for each in before
        ]

    def view(self, place: EvsePlace, group: Group) -> EvseView:
        """Return one EVSE as partners of *group* see it."""
        seen = self._now(place, group)
        if group.live:
            return seen
        return self._later(seen, group, self._moment(place.location, group))

    def _now(self, place: EvsePlace, group: Group) -> EvseView:
        return EvseView(
            place.evse,
            self.live.evse(place.evse.ref),
            lambda plug: self._tariffs(place, plug, group),
            _defined(place.station, place.location),
            self.live.updated("evse", str(place.evse.ref)),
            _parking(place),
        )

    def _later(self, seen: EvseView, group: Group, moment: datetime) -> EvseView:
        """Return an EVSE with the status that a group may see by now, and since when it may.

        That an EVSE is planned, or gone for good, is no news of what happens there.
        """
        still = self._still(seen, moment)
        if _of_life(seen) or group.sharing.status is LiveStatus.HIDDEN:
            return still
        delay = group.sharing.delay
        found = self._past.at(seen.evse.ref, self._clock() - delay)
        if found is None:
            return still
        state, since = found
        return replace(seen, state=evolve_evse(state, last_updated=max(since + delay, moment)))

    def _still(self, seen: EvseView, moment: datetime) -> EvseView:
        """Return an EVSE without what happens at it."""
        if _of_life(seen):
            return replace(seen, state=evolve_evse(seen.state, last_updated=moment))
        return replace(seen, state=EvseState(seen.evse.ref, last_updated=moment))

    def _tariffs(self, place: EvsePlace, plug: Connector, group: Group) -> list[TariffId]:
        """Return what holds now, the best tariff of each kind, the usual one first.

        The usual one, because some read no further. ``Borders`` touches the site when it changes.
        """
        offered = self.catalogue.offered(place, plug, group.prices, self._clock())
        return [each.id for each in offered if self.shows_tariff(each.id, group)]

    def visible(self, ref: EvseRef, group: Group) -> EvsePlace | None:
        """Return where an EVSE stands, if partners of *group* may see it."""
        place = self.catalogue.place(ref)
        if place is None or not place.station.seen:
            return None
        if not (self.shows(place.location, group) and self.dialect.shows_evse(place.evse)):
            return None
        return place

    def find(
        self, location: str, uid: str, group: Group, evse_id: bool = False
    ) -> EvsePlace | None:
        """Return the visible EVSE *uid* of *location*, both compared without case.

        Args:
            evse_id: *uid* may be the EVSE's other id.
        """
        ref = self.catalogue.evse_by_uid(uid)
        if ref is None and evse_id:
            ref = self.catalogue.evse_by_evse_id(uid)
        place = self.visible(ref, group) if ref is not None else None
        if place is None or place.location.id.casefold() != location.casefold():
            return None
        return place

    def site(self, id: str, group: Group) -> Location | None:
        """Return a site that partners of *group* may see, its id compared without case."""
        found = self._site(id)
        return found if found is not None and self.shows(found, group) else None

    def _site(self, id: str) -> Location | None:
        found = self.catalogue.locations.get(LocationId(id))
        if found is not None:
            return found
        folded = id.casefold()
        return next(
            (each for each in self.catalogue.locations.values() if each.id.casefold() == folded),
            None,
        )

    def body(self, site: Location, group: Group) -> Json:
        """Return the whole Location as JSON values."""
        return self.dialect.location(site, self.views(site, group), self.told(site, group))

    def withdrawn(self, site: Location, group: Group) -> Json:
        """Return the Location by which partners of *group* hear that they see no more of it.

        OCPI deletes no Location: its EVSEs are told as removed. It is told the moment at which
        that was decided, and nothing of what happens there.
        """
        at = group.sharing.since or site.changed_at or site.created_at or _DAWN
        gone = [
            replace(each, state=EvseState(each.evse.ref, removed=True, last_updated=at))
            for each in self._places(site, group)
        ]
        return self.dialect.location(site, gone, at)


def _of_life(seen: EvseView) -> bool:
    """Whether an EVSE's status tells of the EVSE and not of what happens at it."""
    return seen.state.status in (EvseStatus.PLANNED, EvseStatus.REMOVED)


def _parking(place: EvsePlace) -> list[EvseParking]:
    known = {each.id for each in place.location.parking_places}
    return [each for each in place.evse.parking if each.place in known]


def _defined(station: ChargingStation, site: Location) -> datetime | None:
    moments = (station.created_at, station.changed_at, site.created_at)
    known = [each for each in moments if each is not None]
    return max(known) if known else None


@dataclass(frozen=True, slots=True)
class Ready:
    """One site's bytes, with what they were made from.

    Attributes:
        content: identifies what is in it but statuses and dates: what a PATCH of an EVSE cannot
            tell.
        statuses: of each EVSE, as they stand in the body: (status, last_updated).
        told: the site's moment in the feed; every visible change in it gives a new one.
        made: from what, and in which parts.
    """

    body: bytes
    content: str
    statuses: Mapping[EvseRef, tuple[str, str]]
    last_updated: datetime
    site: Location
    told: datetime | None
    made: _Made = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Made:
    """What a site's bytes were made from, beside the site itself.

    Attributes:
        fixed: what of the views is in the bytes but statuses and dates, tariffs included.
        parts: the bytes, ready for other statuses; None if they have to be built anew.
    """

    stations: Sequence[ChargingStation]
    views: Sequence[EvseView]
    fixed: tuple[object, ...]
    parts: Spliced | None


class Pages:
    """Ready bytes of sites, per price group.

    A change of a site, of one of its EVSEs or of what the price book shows there moves the site's
    place in the feed (they are touched in the same commit), so bytes are true as long as that
    place is the one they were made at.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._ready: dict[Group, dict[LocationId, Ready]] = {}
        self._order: list[LocationId] = []

    def order(self, partner: PartnerId) -> list[LocationId]:
        """Return the ids of all sites that *partner* sees, in their stable order."""
        if len(self._order) != len(self.network.catalogue.locations):
            self._order = [site.id for site in self.network.sites()]
        group, network = self.network.group(partner), self.network
        choosy = network.dialect.selective or group.sharing.selective
        if not choosy and not network.catalogue.private:
            return self._order
        sites = network.catalogue.locations
        return [id for id in self._order if network.shows(sites[id], group)]

    async def prepare(self, ids: Sequence[LocationId], partner: PartnerId) -> None:
        """Build what changed of *ids* in slices between which others have their turn.

        ``ready`` then gives all of them as they are at one moment, with little left to do.
        """
        group, begun = self.network.group(partner), time.perf_counter()
        kept = self._kept(group)
        for id in ids:
            self._current(group, kept, id)
            if time.perf_counter() - begun > SLICE_SECONDS:
                await asyncio.sleep(0)
                group, begun = self.network.group(partner), time.perf_counter()
                kept = self._kept(group)  # what is shown to it may have changed meanwhile

    def ready(self, ids: Sequence[LocationId], partner: PartnerId) -> list[Ready]:
        """Return the bytes of *ids* as they are now; builds only what changed."""
        group = self.network.group(partner)
        kept = self._kept(group)
        return [self._current(group, kept, id) for id in ids]

    def one(self, id: LocationId, partner: PartnerId) -> Ready:
        """Return the bytes of one site."""
        group = self.network.group(partner)
        return self._current(group, self._kept(group), id)

    def forget(self, group: Group) -> None:
        """Nobody belongs to *group* any more, as far as we know."""
        self._ready.pop(group, None)

    def _kept(self, group: Group) -> dict[LocationId, Ready]:
        return self._ready.setdefault(group, {})

    def _current(self, group: Group, kept: dict[LocationId, Ready], id: LocationId) -> Ready:
        found, site = kept.get(id), self.network.catalogue.locations[id]
        if found is not None and self._true(found, id) and not group.sharing.delay:
            return found
        ready = None if found is None else self._renewed(found, site, group)
        if ready is None:
            ready = self._built(site, group)
        kept[id] = ready
        return ready

    def _true(self, ready: Ready, id: LocationId) -> bool:
        network = self.network
        return (
            ready.told == network.live.updated("location", id)
            and ready.site is network.catalogue.locations[id]
        )

    def _renewed(self, before: Ready, site: Location, group: Group) -> Ready | None:
        """Return a site with what happened at its EVSEs; None where more has changed.

        That is found by comparing what bytes are made from, tariffs included: a moment in the feed
        says that something changed, and not what.
        """
        made, network = before.made, self.network
        if made.parts is None or before.site is not site or not self._stands(made, site):
            return None
        views = network.again(made.views, site, group)
        if _fixed(views) != made.fixed:
            return None
        changed = [view for view, was in zip(views, made.views, strict=True) if view is not was]
        statuses = {**before.statuses, **_statuses(changed)}
        if group.sharing.status is LiveStatus.HIDDEN and not _alike(before.statuses, statuses):
            return None  # then statuses are of the content
        updated = _newest(network.told(site, group), views)
        return Ready(
            made.parts.written(views, updated),
            before.content,
            statuses,
            updated,
            site,
            network.live.updated("location", site.id),
            _Made(made.stations, views, made.fixed, made.parts),
        )

    def _stands(self, made: _Made, site: Location) -> bool:
        """Whether the stations of a site are the very ones of which bytes were made."""
        stations = self.network.catalogue.stations_of(site.id)
        return len(stations) == len(made.stations) and all(map(is_, stations, made.stations))

    def _built(self, site: Location, group: Group) -> Ready:
        network = self.network
        views, told = network.views(site, group), network.told(site, group)
        body, updated = network.dialect.location(site, views, told), _newest(told, views)
        whole = dumps(body)
        return Ready(
            whole,
            _content(body, group),
            _statuses(views),
            updated,
            site,
            network.live.updated("location", site.id),
            _Made(
                network.catalogue.stations_of(site.id),
                views,
                _fixed(views),
                spliced(network.dialect, body, whole, views, updated),
            ),
        )


def _newest(told: datetime, views: Iterable[EvseView]) -> datetime:
    return max([told, *(view.last_updated for view in views)])


def _fixed(views: Sequence[EvseView]) -> tuple[object, ...]:
    """Return what a site's bytes are made from, but for statuses and their dates."""
    return tuple(
        [
            (
                view.evse,
                view.defined_at,
                view.parking,
                [view.tariffs(plug) for plug in view.evse.connectors],
            )
            for view in views
        ]
    )


def _statuses(views: Iterable[EvseView]) -> dict[EvseRef, tuple[str, str]]:
    return {view.evse.ref: status_of(view) for view in views}


def _alike(
    one: Mapping[EvseRef, tuple[str, str]], other: Mapping[EvseRef, tuple[str, str]]
) -> bool:
    """Whether the statuses are the same, whatever their dates."""
    return {ref: status for ref, (status, _) in one.items()} == {
        ref: status for ref, (status, _) in other.items()
    }


def status_of(view: EvseView) -> tuple[str, str]:
    """Return what a PATCH of an EVSE tells."""
    return str(view.state.status), stamp(view.last_updated)


def _content(body: Json, group: Group) -> str:
    """Return what stands for all of *body* but its dates, and its statuses where those are told
    one by one."""
    aside = ("last_updated",) if group.sharing.status is LiveStatus.HIDDEN else _TOLD_ALONE
    evses = [
        {
            **{name: each for name, each in evse.items() if name not in aside},
            "connectors": [_undated(plug) for plug in evse["connectors"]],
        }
        for evse in body.get("evses") or ()
    ]
    seen = {} if group.live else {"seen": str(group.sharing.status)}
    return sha256(dumps({**_undated(body), "evses": evses, **seen})).hexdigest()


def _undated(body: Json) -> Json:
    return {name: value for name, value in body.items() if name != "last_updated"}
