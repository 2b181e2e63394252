"""Roaming partners and holders of API keys, as far as the core cares."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cms.domain.ids import LocationId, PartnerId
from cms.domain.sharing import EVERYTHING, Sharing


class PartnerState(StrEnum):
    """Where a partner stands. OFFLINE and PLANNED are what a hub says of parties behind it."""

    INVITED = "invited"  # added by an operator, not yet connected
    CONNECTED = "connected"
    OFFLINE = "offline"  # its hub does not reach it now
    PLANNED = "planned"  # it will connect to its hub one day
    SUSPENDED = "suspended"  # credentials refused, or stopped by an operator or its hub
    GONE = "gone"


class PartnerRole(StrEnum):
    EMSP = "emsp"  # drivers' provider: owns tokens, sessions and bills
    HUB = "hub"  # leads to other parties and owns nothing


@dataclass(frozen=True, slots=True)
class Partner:
    """A roaming partner.

    Attributes:
        authorise_in_real_time: ask the partner where the whitelist allows or demands it.
        allow_private_addresses: its URLs may lead to private addresses (tests, local hubs).
        connected_at: sessions and bills before this moment are not pushed.
        profile: name of the way in which it differs from the standard.
        switches: (name, value) where it differs from its profile.
        sharing: what of the network it is shown.
        networks: addresses that it may call from (``"10.0.0.0/8"``); none = from anywhere.
        certificates: one of these client certificates it must present (SHA-256 fingerprint, or
            ``"CN=..."``); none = none is asked of it.
        our_certificate: name of the client certificate that we present to it.
        role: a hub's connection leads to parties that are partners of their own.
        via: the partner whose connection leads to this party; None = its own.
        broadcast: of a hub: what all parties may see is told to it once, for all of them.
    """

    id: PartnerId
    name: str
    state: PartnerState = PartnerState.INVITED
    authorise_in_real_time: bool = True
    allow_private_addresses: bool = False
    connected_at: datetime | None = None
    created_at: datetime | None = None
    profile: str = "strict"
    switches: tuple[tuple[str, str], ...] = ()
    sharing: Sharing = EVERYTHING
    networks: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    our_certificate: str | None = None
    role: PartnerRole = PartnerRole.EMSP
    via: PartnerId | None = None
    broadcast: bool = True

    @property
    def hub(self) -> bool:
        return self.role is PartnerRole.HUB

    @property
    def here(self) -> bool:
        """Whether it takes part, even if nobody reaches it just now."""
        return self.state in (PartnerState.CONNECTED, PartnerState.OFFLINE)


class Right(StrEnum):
    READ = "read"
    OPERATE = "operate"
    PRICE = "price"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key to the HTTP API.

    Attributes:
        id: shown in lists and in the audit; not secret.
        sites: None = all sites.
    """

    id: str
    name: str
    salt: bytes
    digest: bytes
    rights: frozenset[Right]
    sites: frozenset[LocationId] | None = None
    expires_at: datetime | None = None
    revoked: bool = False
    created_at: datetime | None = None
