"""Sessions, CDRs and tariffs, sender: paged lists.

Sessions and CDRs are asked for by owner in the query itself; nothing is filtered afterwards, so
nothing of another partner is ever in hand here.
"""

from __future__ import annotations

from typing import Any

import structlog

from cms.app.catalogue import Catalogue
from cms.app.ports import CdrQuery, Page, SessionQuery, Store
from cms.domain.ids import LocationId
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.envelope import Reply
from ocpi_cpo.paging import Window, page_headers, window
from ocpi_cpo.render import Renderer
from ocpi_cpo.server import Call, Route

log = structlog.get_logger()


class Lists:
    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        render: Renderer,
        config: OcpiConfig,
        version: str,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._render = render
        self._config = config
        self._version = version

    def routes(self) -> list[Route]:
        return [
            Route("GET", (self._version, "sessions"), self._sessions),
            Route("GET", (self._version, "cdrs"), self._cdrs),
            Route("GET", (self._version, "tariffs"), self._tariffs),
        ]

    async def _sessions(self, call: Call) -> Reply:
        asked = window(call.query, self._config.page_limit, needs_from=True)
        found, total = await self._store.sessions(
            SessionQuery(
                owned_by=call.caller.partner,
                sites=self._sites(call.party),
                updated_from=asked.updated_from,
                updated_to=asked.updated_to,
                page=Page(asked.offset, asked.limit),
            )
        )
        return self._page(call, asked, total, [await self._render.session(each) for each in found])

    async def _cdrs(self, call: Call) -> Reply:
        asked = window(call.query, self._config.page_limit)
        found, total = await self._store.cdrs(
            CdrQuery(
                owned_by=call.caller.partner,
                sites=self._sites(call.party),
                updated_from=asked.updated_from,
                updated_to=asked.updated_to,
                page=Page(asked.offset, asked.limit),
            )
        )
        return self._page(call, asked, total, [self._render.cdr(each) for each in found])

    def _sites(self, party: str | None) -> frozenset[LocationId] | None:
        """Return the sites of the party that is addressed; None where it has all of them."""
        if party is None or len(self._config.parties) < 2:
            return None
        return frozenset(
            site.id for site in self._catalogue.locations.values() if site.party == party
        )

    async def _tariffs(self, call: Call) -> Reply:
        asked = window(call.query, self._config.page_limit)
        found = [
            each
            for each in self._render.tariffs(call.caller.partner)
            if asked.holds(self._render.tariff_updated(each))
            and call.party in (None, self._render.tariff_party(each))
        ]
        cut = found[asked.offset : asked.offset + asked.limit]
        for each in cut:
            await self._render.took(call.caller.partner, each, read=True)
        return self._page(call, asked, len(found), [self._render.tariff(each) for each in cut])

    def _page(self, call: Call, asked: Window, total: int, bodies: list[Any]) -> Reply:
        shown = [each for each in bodies if each is not None]
        if len(shown) < len(bodies):
            log.warning("ocpi.unshowable", path=call.url, objects=len(bodies) - len(shown))
        return Reply(shown, headers=page_headers(call.url, asked, total, self._config.page_limit))
