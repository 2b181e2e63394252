"""Roaming partners and holders of API keys, as far as the core cares."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cms.domain.ids import LocationId, PartnerId
from cms.domain.sharing import EVERYTHING, Sharing


class PartnerState(StrEnum):
    INVITED = "invited"  # added by an operator, not yet connected
    CONNECTED = "connected"
    SUSPENDED = "suspended"  # credentials refused, or stopped by an operator
    GONE = "gone"


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
