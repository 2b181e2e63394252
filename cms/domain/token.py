"""Tokens (cards, apps) and what may be decided about them without asking anybody."""

from __future__ import annotations

import re
from base64 import b32encode
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from cms.domain.ids import PartnerId


class TokenType(StrEnum):
    RFID = "rfid"
    APP_USER = "app_user"
    AD_HOC_USER = "ad_hoc_user"
    OTHER = "other"
    EMAID = "emaid"  # a contract's own id, which a car presents (Plug & Charge)


class Whitelist(StrEnum):
    """When the copy of a token that we hold may decide."""

    ALWAYS = "always"
    ALLOWED = "allowed"
    ALLOWED_OFFLINE = "allowed_offline"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its issuer last told us.

    Attributes:
        partner: who issued it; None is our own.
        uid: compared without case, kept in the case received; at most 36 characters.
        contract_id: the contract that pays.
        group: tokens of one group of one issuer may stop each other's sessions.
    """

    partner: PartnerId | None
    uid: str
    type: TokenType
    contract_id: str
    issuer: str
    valid: bool
    whitelist: Whitelist
    visual_number: str | None = None
    group: str | None = None
    language: str | None = None
    default_profile: str | None = None
    energy_supplier: str | None = None
    energy_contract: str | None = None
    expires_at: datetime | None = None
    last_updated: datetime | None = None

    @property
    def group_name(self) -> str | None:
        """What chargers know its group by; None = it is of no group.

        Sixteen characters A-Z and 2-7, the same for ever. Chargers compare groups as bare text, so
        issuers that happened to choose the same word would share one: the issuer is hashed in.
        """
        if self.group is None:
            return None
        named = f"{self.partner or ''}\n{self.group}".encode()
        return b32encode(sha256(named).digest()[:10]).decode("ascii")


_EMAID = re.compile(r"([A-Z]{2})(-?)([A-Z0-9]{3})\2C[A-Z0-9]{8}(?:\2[A-Z0-9])?")


def provider_of(uid: str) -> PartnerId | None:
    """Return whose contract *uid* is the id of; None = it has not the form of one (ISO 15118-1).

    With its hyphens or without: ``DE-8AA-CA2B3C4D5-N``, ``DE8AACA2B3C4D5``. Case does not matter.
    """
    found = _EMAID.fullmatch(uid.upper())
    return None if found is None else PartnerId(f"{found[1]}*{found[3]}")


def contract_token(provider: PartnerId, uid: str) -> Token:
    """Return the token that a contract's id stands for before its provider has said a word.

    It may never decide by itself.
    """
    return Token(provider, uid, TokenType.EMAID, uid, provider, True, Whitelist.NEVER)


class Verdict(StrEnum):
    ACCEPTED = "accepted"
    BLOCKED = "blocked"
    EXPIRED = "expired"
    INVALID = "invalid"
    CONCURRENT = "concurrent"


class AuthMethod(StrEnum):
    """How a session came to be allowed; the last one wins."""

    WHITELIST = "whitelist"
    REQUEST = "request"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Decision:
    """May this token charge here now, and why.

    Attributes:
        reference: the partner's own reference for this authorisation, to be repeated in the bill.
        why: one sentence for the case file.
    """

    verdict: Verdict
    why: str
    token: Token | None = None
    method: AuthMethod = AuthMethod.WHITELIST
    reference: str | None = None
    limit_wh: int | None = None

    @property
    def accepted(self) -> bool:
        return self.verdict is Verdict.ACCEPTED
