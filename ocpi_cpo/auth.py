"""Credentials tokens: minting them, recognising them, and what a caller may do."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import Enum

from cms.domain.ids import PartnerId


class Access(Enum):
    """What an endpoint asks of its caller, or a token gives."""

    REGISTRATION = "registration"  # versions, details, credentials
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Attributes:
        partner: the party for which the call is made: by the token alone the one to which the
            connection belongs, by the headers perhaps one behind it.
        token: as the caller presented it; lives for this one request.
    """

    partner: PartnerId
    access: Access
    token: str


def mint_token() -> str:
    """Return a new credentials token: 43 characters of random bits.

    It begins with no dash: on a command line it would be taken for an option.
    """
    while (token := secrets.token_urlsafe(32)).startswith("-"):
        pass
    return token


def digest(token: str) -> str:
    """Return the form in which a token of ours is kept. It has 256 random bits, so one hash does."""
    return hashlib.sha256(token.encode()).hexdigest()
