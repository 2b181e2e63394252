"""One request to one partner and what is kept of it: what every telling is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from cms.app.ports import Change, Clock, Store
from cms.app.writes import Delivery, KeepExchange, PutDelivery, Write
from cms.domain.ids import PartnerId, SessionId
from ocpi_cpo.answers import Kind, PartnerAnswer
from ocpi_cpo.connections import Connection
from ocpi_cpo.partner_api import PartnerApi, exchange
from ocpi_cpo.push.behind import Behind
from ocpi_cpo.wire import Json, dumps, join

PARTY_AWAY = frozenset({4001, 4002, 4003})
"""By these a hub says that it does not reach the party: the hub itself is well."""

Refetch = Callable[[Connection], Awaitable[bool]]
"""Looks the partner's endpoints up again; True if they have changed."""

MODULE_OF = {
    "tariff": "tariffs",
    "location": "locations",
    "evse": "locations",
    "session": "sessions",
    "cdr": "cdrs",
    "invoice": "invoicereconciliation",
    "profile": "chargingprofiles",
}

ROLE_OF = {"chargingprofiles": "SENDER"}
"""In which role a partner takes our pushes, where it is not RECEIVER."""


class Result(Enum):
    DONE = "done"  # the partner has it
    NOTHING = "nothing"  # there is nothing to tell (any more)
    LATER = "later"  # the rest of it goes behind the sites
    AGAIN = "again"  # the partner could not take it now
    PARK = "park"  # it will not take this
    STOP = "stop"  # it does not accept our credentials


@dataclass(frozen=True, slots=True)
class Told:
    """How one attempt ended.

    Attributes:
        why: for operators.
        moved: the endpoints were found elsewhere: try again at once.
        unreachable: the request did not reach the partner's machine, or its hub's.
        party_away: the hub says that this party is not reached.
    """

    result: Result
    why: str = ""
    retry_after: float | None = None
    moved: bool = False
    unreachable: bool = False
    party_away: bool = False


NOTHING = Told(Result.NOTHING)
LATER = Told(Result.LATER)
DROPPED = "dropped"
"""State of a delivery that an operator has given up, or that has no form for the partner."""

DONE = Told(Result.DONE)

BILLED = ("cdr", "invoice")
"""Kinds of which every exchange is durable before anything follows from it: alone, or in one commit
with what follows."""


def unheard() -> None:
    """Nobody waits to hear that an answer came."""


@dataclass(slots=True)
class Memory:
    """What is known to have reached the partner; lost with the process, rebuilt from deliveries.

    Attributes:
        longer_bills: its address of bills names our party.
    """

    deliveries: dict[tuple[str, str], Delivery | None] = field(default_factory=dict)
    told: dict[tuple[str, str], Any] = field(default_factory=dict)
    longer_bills: bool = False


class Telling:
    """What the parts of one courier have in common.

    Attributes:
        behind: what is written down behind the telling.
    """

    def __init__(
        self,
        partner: PartnerId,
        store: Store,
        api: PartnerApi,
        clock: Clock,
        refetch: Refetch,
    ) -> None:
        self.partner = partner
        self.store = store
        self.api = api
        self.clock = clock
        self.memory = Memory()
        self.behind = Behind(store)
        self._refetch = refetch

    def url(self, connection: Connection, module: str, party: str = "", *ids: str) -> str:
        base = connection.endpoint(module, "RECEIVER")
        assert base is not None, "a module that the partner does not take is not pushed"
        return join(base, *party.split("*"), *ids) if party else base

    async def put(
        self,
        connection: Connection,
        url: str,
        body: Json | bytes,
        kind: str,
        key: str,
        *,
        sender: PartnerId | None = None,
        session: SessionId | None = None,
    ) -> Told:
        answer = await self.send(
            connection, "PUT", url, body, kind, key, sender=sender, session=session
        )
        return DONE if answer.ok else await self.moved(connection, answer)

    async def moved(self, connection: Connection, answer: PartnerAnswer) -> Told:
        """404 on a PUT or POST: perhaps the partner's endpoints are elsewhere by now."""
        if answer.kind is Kind.MISSING and await self._refetch(connection):
            return Told(Result.AGAIN, answer.text, moved=True)
        return self.judged(answer)

    def judged(self, answer: PartnerAnswer) -> Told:
        if answer.kind is Kind.UNAUTHORISED:
            return Told(Result.STOP, answer.text)
        if answer.again:
            return Told(
                Result.AGAIN,
                answer.text,
                answer.retry_after,
                unreachable=answer.kind is Kind.UNREACHABLE,
                party_away=answer.code in PARTY_AWAY,
            )
        return Told(Result.PARK, answer.text)

    async def send(
        self,
        connection: Connection,
        method: str,
        url: str,
        body: Json | bytes | None,
        kind: str,
        key: str,
        *,
        sender: PartnerId | None = None,
        session: SessionId | None = None,
        fresh: bool = False,
        said: list[Write] | None = None,
    ) -> PartnerAnswer:
        """Send one request.

        Args:
            said: takes what is to be kept of it; the caller writes that down.
        """
        at = self.clock()
        raw = body if isinstance(body, bytes) else b"" if body is None else dumps(body)
        answer = await self.api.call(
            connection, method, url, raw or None, sender=sender, fresh=fresh
        )
        kept = exchange(
            connection, method, url, raw, answer, at=at, kind=kind, key=key, session=session
        )
        if said is not None:
            said.append(KeepExchange(kept))
        elif kind in BILLED:
            await self.store.commit([KeepExchange(kept)])
        else:
            await self.behind.keep(KeepExchange(kept))
        return answer

    async def delivery(self, kind: str, key: str) -> Delivery | None:
        if (kind, key) in self.memory.deliveries:
            return self.memory.deliveries[kind, key]
        found = await self.store.delivery(self.partner, kind, key)
        self.remember(kind, key, found)
        return found

    def remember(self, kind: str, key: str, row: Delivery | None) -> None:
        if kind in ("tariff", "location"):
            self.memory.deliveries[kind, key] = row

    async def keep(
        self,
        kind: str,
        key: str,
        state: str,
        *,
        attempts: int = 0,
        place: str | None = None,
        error: str | None = None,
        said: Sequence[Write] = (),
    ) -> None:
        row = Delivery(self.partner, kind, key, state, 0, self.clock(), attempts, place, error)
        await self.store.commit([*said, PutDelivery(row)])
        self.remember(kind, key, row)


def older(connection: Connection, change: Change) -> bool:
    """Whether a sync comes by something that is older than the registration: never pushed."""
    sync, since = connection.sync(MODULE_OF[change.kind]), connection.registered_at
    if sync is None or since is None or not 0 < change.seq <= sync.head:
        return False
    return change.last_updated < since
