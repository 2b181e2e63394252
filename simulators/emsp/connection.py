"""What one registration with a CPO consists of: tokens, endpoints, parties."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from enum import Enum

from simulators.emsp.models import Credentials, VersionDetails
from simulators.emsp.wire import Json


class Access(Enum):
    """What a caller's token opens."""

    NOTHING = "nothing"
    REGISTRATION = "registration"  # token A: versions and credentials
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Party:
    """A country code and a party id."""

    country_code: str
    party_id: str

    def same(self, country_code: str, party_id: str) -> bool:
        """Whether both ids are these, without case."""
        return (self.country_code.upper(), self.party_id.upper()) == (
            country_code.upper(),
            party_id.upper(),
        )

    def __str__(self) -> str:
        return f"{self.country_code}*{self.party_id}"


def mint_token() -> str:
    """A credentials token: 64 characters at most, unguessable."""
    return secrets.token_urlsafe(32)


@dataclass(slots=True)
class Connection:
    """Both directions of the link to the CPO.

    Attributes:
        token_a: handed out for a registration that the CPO starts; opens little.
        inbound: the tokens with which the CPO may call us (two for a moment during PUT).
        outbound: the token with which we call the CPO; ``None`` while not registered.
        endpoints: the CPO's URLs by (module, role), byte for byte.
        parties: the CPO's roles, or the CPOs behind a hub.
        hub: the hub's own party, if we are connected to one.
        clients: what the hub told of parties, by country code, party id and role.
        settled: cleared while credentials are being exchanged; pushes that overtake the
            exchange wait for it.
    """

    token_a: str | None = None
    inbound: set[str] = field(default_factory=set)
    outbound: str | None = None
    versions_url: str | None = None
    endpoints: dict[tuple[str, str], str] = field(default_factory=dict)
    parties: list[Party] = field(default_factory=list)
    hub: Party | None = None
    clients: dict[tuple[str, str, str], Json] = field(default_factory=dict)
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    _newest: str | None = None

    def __post_init__(self) -> None:
        self.settled.set()

    @property
    def registered(self) -> bool:
        """Whether credentials have been exchanged."""
        return self.outbound is not None

    def access(self, token: str | None) -> Access:
        """What *token* opens. The first use of the newest token ends the older ones."""
        if token is not None and token == self._newest:
            self.inbound, self._newest = {token}, None
        if token is not None and token in self.inbound:
            return Access.EVERYTHING
        if token is not None and token == self.token_a:
            return Access.REGISTRATION
        return Access.NOTHING

    def owns(self, country_code: str, party_id: str) -> bool:
        """Whether the CPO registered this party."""
        return any(party.same(country_code, party_id) for party in self.parties)

    def learn(self, credentials: Credentials, details: VersionDetails) -> None:
        """Take over the CPO's credentials and endpoints."""
        self.outbound = credentials.token
        self.versions_url = credentials.url
        self.endpoints = {(e.identifier, e.role): e.url for e in details.endpoints}
        self.parties = [
            Party(role.country_code, role.party_id)
            for role in credentials.roles
            if role.role == "CPO"
        ]
        hubs = [r for r in credentials.roles if r.role == "HUB"]
        named = (credentials.model_extra or {}).get("hub_party_id")
        if hubs:
            self.hub = Party(hubs[0].country_code, hubs[0].party_id)
        elif isinstance(named, str):
            self.hub = Party(named[:2], named[2:])
        for info in list(self.clients.values()):
            self.place(info)

    def place(self, info: Json) -> None:
        """Take over a ClientInfo: a CPO that is connected is one of ours."""
        key = (info["country_code"].upper(), info["party_id"].upper(), info["role"])
        self.clients[key] = info
        if info["role"] != "CPO":
            return
        self.parties = [p for p in self.parties if not p.same(key[0], key[1])]
        if info["status"] == "CONNECTED":
            self.parties.append(Party(info["country_code"], info["party_id"]))

    @property
    def default_receiver(self) -> Party | None:
        """Whom a request is for unless it says so: the hub, or the one CPO."""
        return self.hub or (self.parties[0] if self.parties else None)

    def accept(self, token: str) -> None:
        """Let the CPO call us with *token*; older ones work until it is used."""
        self.inbound.add(token)
        self._newest = token

    def forget(self) -> None:
        """Unregister: nothing opens any more, nobody is called any more."""
        self.inbound.clear()
        self.outbound = self.versions_url = None
        self.endpoints.clear()
        self.parties.clear()
        self.clients.clear()
        self.hub = None
