"""Hub client info, receiver: a hub tells which parties are behind it, and how they do.

A party in the role of a drivers' provider becomes a partner behind the hub; its status decides
whether anything is sent to it. What is told of parties in other roles is kept and shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from cms.app.ports import Store
from cms.app.writes import PutDocument
from cms.domain.ids import PartnerId
from cms.domain.partner import PartnerState
from ocpi_cpo.connections import Connection, Connections
from ocpi_cpo.envelope import Reply
from ocpi_cpo.errors import BadParameter, NotThere, OcpiError
from ocpi_cpo.parties import Found, Parties
from ocpi_cpo.partner_api import PartnerApi
from ocpi_cpo.reading import pages
from ocpi_cpo.server import Call, Route
from ocpi_cpo.versions.v221.models import ClientInfo, read
from ocpi_cpo.versions.v221.people import partner_of
from ocpi_cpo.wire import Json, dumps, loads, moment, stamp

log = structlog.get_logger()

DOCUMENT = "ocpi.client_info"
MODULE = "hubclientinfo"
VERSIONS = frozenset({"2.2.1", "2.3.0"})

_STATE = {
    "CONNECTED": PartnerState.CONNECTED,
    "OFFLINE": PartnerState.OFFLINE,
    "PLANNED": PartnerState.PLANNED,
    "SUSPENDED": PartnerState.SUSPENDED,
}
_PROVIDER = "EMSP"


class ClientInfos:
    """What hubs told of the parties behind them. Durable; the role is part of the key."""

    def __init__(
        self, store: Store, connections: Connections, parties: Parties, api: PartnerApi
    ) -> None:
        self._store = store
        self._connections = connections
        self._parties = parties
        self._api = api

    async def of(self, hub: PartnerId) -> list[Json]:
        """Return what *hub* told, by party and role."""
        kept = await self._store.documents(DOCUMENT)
        return [loads(body) for key, body in sorted(kept.items()) if key.split(" ")[0] == hub]

    async def about(self, hub: PartnerId, party: PartnerId) -> Json | None:
        """Return what *hub* told of one party; of several roles the drivers' provider's."""
        kept = await self._store.documents(DOCUMENT)
        found = {key: body for key, body in kept.items() if key.startswith(f"{hub} {party} ")}
        best = min(found, key=lambda key: (not key.endswith(_PROVIDER), key), default=None)
        return None if best is None else loads(found[best])

    async def take(self, hub: PartnerId, told: Sequence[ClientInfo], by: str) -> bool:
        """Keep what a hub tells, unless ours is newer; returns whether any of it is new."""
        kept = await self._store.documents(DOCUMENT)
        fresh = {key: each for each in told if _newer(kept.get(key := _key(hub, each)), each)}
        if fresh:
            await self._store.commit(
                [PutDocument(DOCUMENT, key, _body(each)) for key, each in fresh.items()]
            )
        providers = [each for each in fresh.values() if each.role == _PROVIDER]
        await self._parties.take(
            hub, [Found(_party(each), state=_STATE[each.status]) for each in providers], by
        )
        return any(key not in kept for key in fresh)

    async def pull(self, hub: PartnerId) -> int:
        """Read the whole list of a hub; returns how many it holds.

        Raises:
            ClientApi: the list cannot be read.
        """
        connection = self._connections.own(hub)
        url = connection.endpoint(MODULE, "SENDER") if connection is not None else None
        if connection is None or url is None or not self._parties.is_hub(connection):
            return 0
        found: list[ClientInfo] = []
        async for page, _ in pages(self._api, connection, url, "client info", functional=False):
            found += _good(connection, page)
        await self.take(hub, found, f"partner:{hub}")
        log.info("client_info.pulled", partner=hub, listed=len(found))
        return len(found)


class HubClientInfo:
    """``/hubclientinfo/{country}/{party}``, and the ``/clientinfo`` of the printed examples."""

    def __init__(self, infos: ClientInfos, parties: Parties, version: str) -> None:
        self._infos = infos
        self._parties = parties
        self._version = version

    def routes(self) -> list[Route]:
        if self._version not in VERSIONS:
            return []
        paths = [(self._version, name, "*", "*") for name in (MODULE, "clientinfo")]
        return [
            Route(method, path, handler, functional=False)
            for path in paths
            for method, handler in (("GET", self._get), ("PUT", self._put))
        ]

    async def _get(self, call: Call) -> Reply:
        found = await self._infos.about(self._hub(call), _named(call))
        if found is None:
            raise NotThere("this party was not told of")
        return Reply(found)

    async def _put(self, call: Call) -> Reply:
        hub, info = self._hub(call), read(ClientInfo, call.body())
        if _party(info) != _named(call):
            raise BadParameter("country_code, party_id: differ from the URL")
        new = await self._infos.take(hub, [info], f"partner:{hub}")
        return Reply(http=201 if new else 200)

    def _hub(self, call: Call) -> PartnerId:
        if not self._parties.is_hub(call.connection):
            raise NotThere("client info comes from hubs only")
        return call.connection.line


def _good(connection: Connection, items: Sequence[Any]) -> list[ClientInfo]:
    good = []
    for item in items:
        try:
            good.append(read(ClientInfo, item))
        except OcpiError as error:
            log.warning("client_info.damaged", partner=connection.partner, why=error.message)
    return good


def _named(call: Call) -> PartnerId:
    country, party = call.path
    return partner_of(country, party)


def _party(info: ClientInfo) -> PartnerId:
    return partner_of(info.country_code, info.party_id)


def _key(hub: PartnerId, info: ClientInfo) -> str:
    return f"{hub} {_party(info)} {info.role}"


def _body(info: ClientInfo) -> bytes:
    return dumps({**info.wire(), "last_updated": stamp(info.last_updated)})


def _newer(kept: bytes | None, info: ClientInfo) -> bool:
    """Whether *info* is not older than what is kept."""
    return kept is None or moment(loads(kept)["last_updated"]) <= info.last_updated
