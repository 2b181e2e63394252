"""Who is connected to the hub: platforms, and the parties that stand behind each."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from simulators.emsp.connection import Party, mint_token
from simulators.emsp.models import Credentials, VersionDetails
from simulators.emsp.wire import Json, now, stamp

SENDERS = {"tokens": ("EMSP",), "commands": ("EMSP",), "chargingprofiles": ("SCSP", "EMSP")}
"""Whose parties are senders of a module; of all others it is the CPO's."""


def senders(module: str) -> tuple[str, ...]:
    """The roles that have the sender interface of *module*."""
    return SENDERS.get(module, ("CPO",))


def receivers(module: str) -> tuple[str, ...]:
    """The roles that have the receiver interface of *module*."""
    return ("CPO",) if module in SENDERS else ("EMSP", "NSP", "SCSP")


class Status(Enum):
    """ConnectionStatus of HubClientInfo."""

    CONNECTED = "CONNECTED"
    OFFLINE = "OFFLINE"
    PLANNED = "PLANNED"
    SUSPENDED = "SUSPENDED"


@dataclass(slots=True, eq=False)
class Member:
    """A platform: one pair of tokens, one version, one or more parties.

    Attributes:
        token_a: opens the registration, once.
        inbound: with which it calls us; two for a moment during an exchange.
        outbound: with which we call it; ``None`` while it is not registered.
        endpoints: its URLs by (module, role).
        roles: as it registered them: role, party_id, country_code, business_details.
        settled: cleared while we send it our credentials; a push that overtakes its answer waits.
    """

    version: str
    token_a: str | None = None
    inbound: set[str] = field(default_factory=set)
    outbound: str | None = None
    versions_url: str | None = None
    endpoints: dict[tuple[str, str], str] = field(default_factory=dict)
    roles: list[Json] = field(default_factory=list)
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    _newest: str | None = None

    def __post_init__(self) -> None:
        self.settled.set()

    @property
    def registered(self) -> bool:
        """Whether credentials have been exchanged."""
        return self.outbound is not None

    def opens(self, token: str | None) -> bool:
        """Whether *token* is one of its own; the first use of the newest ends the older ones."""
        if token is None:
            return False
        if token == self._newest:
            self.inbound, self._newest = {token}, None
        return token in self.inbound or token == self.token_a

    def mint(self) -> str:
        """A further token with which it may call us."""
        self._newest = mint_token()
        self.inbound.add(self._newest)
        return self._newest

    def learn(self, credentials: Credentials, details: VersionDetails, version: str) -> None:
        """Take over its credentials and endpoints."""
        self.version, self.token_a = version, None
        self.outbound, self.versions_url = credentials.token, credentials.url
        self.endpoints = {(each.identifier, each.role): each.url for each in details.endpoints}
        self.roles = [each.model_dump(exclude_none=True) for each in credentials.roles]

    def forget(self) -> None:
        """Unregister it."""
        self.inbound.clear()
        self.endpoints.clear()
        self.outbound = self.versions_url = None

    def has(self, party: Party) -> bool:
        """Whether *party* stands behind it, in any role."""
        return any(party.same(each["country_code"], each["party_id"]) for each in self.roles)


@dataclass(slots=True, eq=False)
class Client:
    """A party in one role, as HubClientInfo shows it.

    Attributes:
        member: the platform that it stands behind; ``None`` for one that is only planned.
    """

    party: Party
    role: str
    member: Member | None
    name: str = ""
    status: Status = Status.CONNECTED
    last_updated: datetime = field(default_factory=now)

    @property
    def reachable(self) -> bool:
        """Whether anything may be sent to it."""
        return (
            self.status is Status.CONNECTED and self.member is not None and self.member.registered
        )

    def info(self) -> Json:
        """As a ClientInfo."""
        return {
            "party_id": self.party.party_id,
            "country_code": self.party.country_code,
            "role": self.role,
            "status": self.status.value,
            "last_updated": stamp(self.last_updated),
        }

    def as_role(self) -> Json:
        """As a CredentialsRole, for the hub's credentials in 2.3.0."""
        return {
            "role": self.role,
            "party_id": self.party.party_id,
            "country_code": self.party.country_code,
            "business_details": {"name": self.name or str(self.party)},
        }


class Directory:
    """All parties that the hub knows."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self._clients: dict[tuple[str, str, str], Client] = {}

    def member_of(self, token: str | None) -> Member | None:
        """Whose token this is."""
        return next((each for each in self.members if each.opens(token)), None)

    def settle(self, member: Member) -> list[Client]:
        """Bring the parties in step with a member's roles; returns those that changed."""
        changed = [self._place(member, role) for role in member.roles]
        named = {(each.party, each.role) for each in changed}
        for client in self._clients.values():
            if client.member is member and (client.party, client.role) not in named:
                client.status, client.last_updated = Status.SUSPENDED, now()
                changed.append(client)
        return changed

    def _place(self, member: Member, role: Json) -> Client:
        party = Party(role["country_code"], role["party_id"])
        client = Client(party, role["role"], member, role["business_details"]["name"])
        self._clients[_key(party, role["role"])] = client
        return client

    def plan(self, party: Party, role: str) -> Client:
        """A party that will be connected one day."""
        client = Client(party, role, None, status=Status.PLANNED)
        self._clients[_key(party, role)] = client
        return client

    def all(self, *roles: str) -> list[Client]:
        """Every party, or those of these roles."""
        return [each for each in self._clients.values() if not roles or each.role in roles]

    def find(self, party: Party, *roles: str) -> Client | None:
        """The party in one of these roles, a reachable one first."""
        found = [each for each in self.all(*roles) if each.party.same(*_ids(party))]
        return min(found, key=lambda each: not each.reachable, default=None)


def _ids(party: Party) -> tuple[str, str]:
    return party.country_code, party.party_id


def _key(party: Party, role: str) -> tuple[str, str, str]:
    return party.country_code.upper(), party.party_id.upper(), role
