"""Sessions, CDRs and tariffs, sender: paged lists.

Sessions and CDRs are asked for by owner in the query itself; nothing is filtered afterwards, so
nothing of another partner is ever in hand here.
"""

from __future__ import annotations

from typing import Any

import structlog

from cms.app.catalogue import Catalogue
from cms.app.ports import CdrQuery, Page, SessionQuery, Store
from cms.domain.ids import CdrId, LocationId, SessionId
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.envelope import Reply
from ocpi_cpo.errors import NotThere
from ocpi_cpo.paging import PageSizes, Window, page_headers, page_sizes, window
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
            *self._of_one(),
        ]

    def _of_one(self) -> list[Route]:
        """Single objects: no part of the standard, for partners whose profile wants them."""
        paths = {
            ("sessions", "*"): self._session,
            ("cdrs", "*"): self._cdr,
            ("tariffs", "*"): self._tariff,
            ("tariffs", "*", "*", "*"): self._tariff,
        }
        return [
            Route("GET", (self._version, *path), handler, offered=lambda each: each.extra_reads)
            for path, handler in paths.items()
        ]

    def _sizes(self, call: Call) -> PageSizes:
        return page_sizes(call.profile, self._config)

    async def _sessions(self, call: Call) -> Reply:
        asked = window(call.query, self._sizes(call), needs_from=True)
        found, total = await self._store.sessions(
            SessionQuery(
                owners=call.parties,
                sites=self._sites(call.party),
                updated_from=asked.updated_from,
                updated_to=asked.updated_to,
                page=Page(asked.offset, asked.limit),
            )
        )
        return self._page(call, asked, total, [await self._render.session(each) for each in found])

    async def _cdrs(self, call: Call) -> Reply:
        asked = window(call.query, self._sizes(call))
        found, total = await self._store.cdrs(
            CdrQuery(
                owners=call.parties,
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
        asked = window(call.query, self._sizes(call))
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

    async def _session(self, call: Call) -> Reply:
        dated = await self._store.session(SessionId(call.path[0]))
        mine = dated is not None and dated.session.owner == call.caller.partner
        return self._one(await self._render.session(dated) if dated and mine else None)

    async def _cdr(self, call: Call) -> Reply:
        dated = await self._store.cdr(CdrId(call.path[0]))
        mine = dated is not None and dated.cdr.owner == call.caller.partner
        return self._one(self._render.cdr(dated) if dated and mine else None)

    async def _tariff(self, call: Call) -> Reply:
        """One tariff, by its id; a party before it must be the tariff's own."""
        shown = self._render.tariffs(call.caller.partner)
        found = next((each for each in shown if each.id == call.path[-1]), None)
        if found is None:
            return self._one(None)
        party = "*".join(call.path[:-1]).upper()
        mine = party in ("", self._render.tariff_party(found))
        return self._one(self._render.tariff(found) if mine else None)

    def _one(self, body: Any) -> Reply:
        if body is None:
            raise NotThere("no such object")
        return Reply(body)

    def _page(self, call: Call, asked: Window, total: int, bodies: list[Any]) -> Reply:
        shown = [each for each in bodies if each is not None]
        if len(shown) < len(bodies):
            log.warning("ocpi.unshowable", path=call.url, objects=len(bodies) - len(shown))
        return Reply(shown, headers=page_headers(call.url, asked, total, self._sizes(call).most))
