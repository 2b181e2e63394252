"""Locations, sender: GET as a list, and single objects at each level."""

from __future__ import annotations

import orjson

from cms.app.catalogue import EvsePlace
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.envelope import Reply, joined
from ocpi_cpo.errors import NoSuchPlace
from ocpi_cpo.pages import Group, Network, Pages
from ocpi_cpo.paging import Window, page_headers, page_sizes, window
from ocpi_cpo.server import Call, Route


class Locations:
    def __init__(self, pages: Pages, config: OcpiConfig, version: str) -> None:
        self._pages = pages
        self._network: Network = pages.network
        self._config = config
        self._version = version

    def routes(self) -> list[Route]:
        base = (self._version, "locations")
        return [
            Route("GET", base, self._list),
            Route("GET", (*base, "*"), self._location),
            Route("GET", (*base, "*", "*"), self._evse),
            Route("GET", (*base, "*", "*", "*"), self._connector),
        ]

    async def _list(self, call: Call) -> Reply:
        sizes = page_sizes(call.profile, self._config)
        asked = window(call.query, sizes)
        await self._prepare(call, asked)
        bodies, total = self._window(call, asked)
        return Reply(joined(bodies), headers=page_headers(call.url, asked, total, sizes.most))

    async def _prepare(self, call: Call, asked: Window) -> None:
        """Build what will be looked at, with turns for others; the page itself is of one moment."""
        partner = call.caller.partner
        ids = self._pages.order(partner)
        if self._unfiltered(asked):
            ids = ids[asked.offset : asked.offset + asked.limit]
        await self._pages.prepare(ids, partner)

    def _unfiltered(self, asked: Window) -> bool:
        """Whether the order of the sites alone says which are on the page."""
        dated = asked.updated_from is not None or asked.updated_to is not None
        return not dated and len(self._config.parties) < 2

    def _window(self, call: Call, asked: Window) -> tuple[list[bytes], int]:
        partner = call.caller.partner
        ids = self._pages.order(partner)
        if self._unfiltered(asked):
            cut = ids[asked.offset : asked.offset + asked.limit]
            return [each.body for each in self._pages.ready(cut, partner)], len(ids)
        found = [
            each
            for each in self._pages.ready(ids, partner)
            if asked.holds(each.last_updated) and call.party in (None, each.site.party)
        ]
        cut_bodies = [each.body for each in found[asked.offset : asked.offset + asked.limit]]
        return cut_bodies, len(found)

    async def _location(self, call: Call) -> Reply:
        site = self._network.site(call.path[0], self._network.group(call.caller.partner))
        if site is None:
            raise NoSuchPlace("no such location")
        return Reply(orjson.Fragment(self._pages.one(site.id, call.caller.partner).body))

    async def _evse(self, call: Call) -> Reply:
        place, group = self._place(call)
        if place is None:
            raise NoSuchPlace("no such EVSE")
        return Reply(self._network.dialect.evse(self._network.view(place, group)))

    def _place(self, call: Call) -> tuple[EvsePlace | None, Group]:
        group, other = self._network.group(call.caller.partner), call.profile.evse_id_for_uid
        return self._network.find(call.path[0], call.path[1], group, other), group

    async def _connector(self, call: Call) -> Reply:
        place, group = self._place(call)
        number = call.path[2]
        plug = (
            place.evse.connector(int(number))
            if place is not None and number.isascii() and number.isdigit() and len(number) < 6
            else None
        )
        if place is None or plug is None:
            raise NoSuchPlace("no such connector")
        view = self._network.view(place, group)
        return Reply(self._network.dialect.connector(plug, view))
