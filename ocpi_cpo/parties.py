"""Who stands behind a connection, who speaks over it, and what that one may touch.

A connection belongs to one partner. That partner's credentials, its client info (of a hub), the
tokens it sends or an operator say which further parties it leads to; each of those is a partner of
its own with ``via`` set. Whose things a call may touch follows from the connection and the
``OCPI-from`` headers together: headers may narrow what the token shows, and never widen it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

import structlog

from cms.app.catalogue import Catalogue
from cms.app.ports import Clock, Store
from cms.app.writes import Audit, PutCursor, PutPartner, PutWorkItem, Write
from cms.domain.audit import AuditEntry, WorkAction, WorkItem, WorkType
from cms.domain.ids import PartnerId
from cms.domain.partner import Partner, PartnerState
from cms.domain.plain import to_plain
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.connections import Connection, Connections
from ocpi_cpo.errors import BadParameter
from ocpi_cpo.versions.v221.people import partner_of

log = structlog.get_logger()

FROM_NOW = ("sessions", "cdrs")
"""What is told from the moment on at which somebody came."""

_HEADERS = "OCPI-from-country-code, OCPI-from-party-id"
_OWING = ("cdr",)

Moved = Callable[[PartnerId], None]
"""Told of a connection whose parties have changed."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """For whom a call is made.

    Attributes:
        party: who asks.
        parties: whose things the call may touch.
    """

    party: PartnerId
    parties: frozenset[PartnerId]


@dataclass(frozen=True, slots=True)
class Found:
    """A party that a partner says is behind it."""

    id: PartnerId
    name: str = ""
    state: PartnerState = PartnerState.CONNECTED


class Parties:
    """The parties behind connections, kept as partners in the catalogue and the store."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        connections: Connections,
        config: OcpiConfig,
        clock: Clock,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._connections = connections
        self._config = config
        self._clock = clock
        self._turn = asyncio.Lock()
        self._moved: list[Moved] = []

    def listen(self, moved: Moved) -> None:
        self._moved.append(moved)

    # -- who speaks

    def is_hub(self, connection: Connection) -> bool:
        partner = self._catalogue.partners.get(connection.line)
        return partner is not None and partner.hub

    def behind(self, line: PartnerId) -> frozenset[PartnerId]:
        """Return the parties behind a connection that take part."""
        return frozenset(each.id for each in self._catalogue.behind(line) if each.here)

    def speaker(self, connection: Connection, country: str | None, party: str | None) -> Speaker:
        """Say for whom a call over *connection* is made.

        Args:
            country, party: of the ``OCPI-from`` headers.

        Raises:
            BadParameter: the headers name nobody behind this connection, or nobody although it
                leads to several.
        """
        own, behind = connection.partner, self.behind(connection.partner)
        hub = self.is_hub(connection)
        if not country or not party:
            if hub:
                raise BadParameter(
                    f"{_HEADERS}: missing, and this connection leads to many parties"
                )
            return Speaker(own, behind | {own})
        named = partner_of(country, party)
        if named in (own, connection.hub_party):
            return Speaker(own, behind | {own} if hub else frozenset({own}))
        if named in behind:
            return Speaker(named, frozenset({named}))
        if hub or behind:
            raise BadParameter(f"{_HEADERS}: {named} does not take part behind this connection")
        return Speaker(own, frozenset({own}))  # one party only: the headers say nothing

    def broadcasts(self, hub: PartnerId) -> bool:
        """Whether what all may see is told to a hub once, for everybody behind it.

        Not where one of them is shown other prices or another part of the network: a broadcast
        would overwrite what that one is shown.
        """
        own, behind = self._catalogue.partners[hub], self._catalogue.behind(hub)
        priced = self._catalogue.offers.own_prices
        return own.broadcast and all(
            self._catalogue.sharing_of(each.id) == own.sharing and not priced(each.id)
            for each in behind
            if each.here
        )

    # -- how parties become known

    async def learn(self, connection: Connection, party: PartnerId) -> bool:
        """Let a token that a hub passes on make its party known; returns whether it is.

        Only where the hub has no client info to say so, and only a party that nobody holds and
        that nobody ended.
        """
        if not self.is_hub(connection) or connection.endpoint("hubclientinfo", "SENDER"):
            return False
        if party in self._catalogue.partners:
            return False
        by = f"partner:{connection.line}"
        return bool(await self.take(connection.line, [Found(party)], by))

    def may_take(self, line: PartnerId, party: PartnerId) -> bool:
        """Whether *party* is behind *line*, or held by nobody."""
        if self._config.party(*party.split("*", 1)) is not None or party == line:
            return False
        known = self._catalogue.partners.get(party)
        if known is None or known.via == line or known.state is PartnerState.GONE:
            return True
        if known.via is None:
            return False
        other = self._connections.own(known.via)
        return other is None or not other.registered

    async def take(self, line: PartnerId, found: Iterable[Found], by: str) -> list[PartnerId]:
        """Keep what a partner says of the parties behind it; returns those that are.

        Who has a connection of its own, or is behind another hub, stays where it is.
        """
        async with self._turn:
            return await self._take(line, found, by)

    async def _take(self, line: PartnerId, found: Iterable[Found], by: str) -> list[PartnerId]:
        taken: list[PartnerId] = []
        writes: list[Write] = []
        fresh: dict[PartnerId, Partner] = {}
        for each in found:
            if not self.may_take(line, each.id):
                log.warning("party.held_by_another", partner=line, party=each.id)
                continue
            taken.append(each.id)
            before = self._catalogue.partners.get(each.id)
            after = self._placed(before, line, each)
            if after != before:
                fresh[each.id] = after
                writes += await self._writes(before, after, by)
        if writes:
            await self._store.commit(writes)
            self._catalogue.partners.update(fresh)
            for moved in self._moved:
                moved(line)
        return taken

    def _placed(self, before: Partner | None, line: PartnerId, found: Found) -> Partner:
        now = self._clock()
        base = before or Partner(found.id, found.name or found.id, created_at=now)
        came = before is None or before.via != line
        return replace(
            base,
            name=found.name or base.name,
            state=found.state,
            via=line,
            connected_at=now if came and base.connected_at is None else base.connected_at,
        )

    async def _writes(self, before: Partner | None, after: Partner, by: str) -> list[Write]:
        entry = AuditEntry(
            self._clock(),
            by,
            "party.placed",
            f"partner:{after.id}",
            None if before is None else to_plain(before),
            to_plain(after),
        )
        writes: list[Write] = [PutPartner(after), Audit(entry)]
        known = await self._store.cursors(after.id)
        if any(stream not in known for stream in FROM_NOW):
            head = await self._store.head()
            writes += [PutCursor(after.id, name, head) for name in FROM_NOW if name not in known]
        if after.state is PartnerState.SUSPENDED and (owing := await self._owing(after.id)):
            writes.append(PutWorkItem(self._item(after, owing)))
        return writes

    async def _owing(self, party: PartnerId) -> int:
        """Return how many bills a party has not got."""
        after = (await self._store.cursors(party)).get("cdrs")
        if after is None:
            return 0
        waiting = await self._store.changes(party, _OWING, after, 1000)
        parked = await self._store.deliveries(party, "parked")
        mine = {each.key for each in waiting if each.owner == party}
        return len(mine | {row.key for row in parked if row.kind == "cdr"})

    def _item(self, partner: Partner, bills: int) -> WorkItem:
        return WorkItem(
            f"partner-suspended:{partner.id}",
            WorkType.PARTNER_SUSPENDED,
            f"partner:{partner.id}",
            self._clock(),
            evidence={"hub": partner.via, "bills_outstanding": bills},
            actions=(WorkAction.DISMISS,),
        )

    async def suspend(self, party: PartnerId, why: str) -> None:
        """A party behind a hub refuses us: nothing is sent to it until a person looks."""
        partner = self._catalogue.partners[party]
        item = WorkItem(
            f"partner-refuses-us:{party}",
            WorkType.PARTNER_REFUSES_US,
            f"partner:{party}",
            self._clock(),
            evidence={"hub": partner.via, "answer": why},
            actions=(WorkAction.RETRY, WorkAction.DISMISS),
        )
        assert partner.via is not None
        await self._store.commit([PutWorkItem(item)])
        await self.take(partner.via, [Found(party, state=PartnerState.SUSPENDED)], "system")

    async def leave(self, line: PartnerId, parties: Collection[PartnerId], by: str) -> None:
        """Parties are behind *line* no more; their sessions and bills stay."""
        gone = [
            Found(each.id, state=PartnerState.GONE)
            for each in self._catalogue.behind(line)
            if each.id in parties and each.state is not PartnerState.GONE
        ]
        await self.take(line, gone, by)
