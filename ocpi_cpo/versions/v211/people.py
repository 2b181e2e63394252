"""Credentials, tokens, authorisation and commands of 2.1.1."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from cms.domain.ids import PartnerId
from ocpi_cpo.versions.v221 import models
from ocpi_cpo.versions.v221.models import Id36, Id39, Language, Model, Url, When, read
from ocpi_cpo.wire import Json

_ROLES = {"tokens": "SENDER", "commands": "SENDER", "credentials": "SENDER"}
"""What a partner is in each module, since its details do not say; in all others it receives."""


def role_of(module: str) -> str:
    return _ROLES.get(module, "RECEIVER")


class Endpoint(Model):
    identifier: Annotated[str, Field(min_length=1, max_length=64)]
    url: Url


class Credentials(Model):
    """Of one party: flat."""

    token: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
    url: Url
    business_details: models.BusinessDetails
    party_id: models.TheirParty
    country_code: models.Country2


class Token(Model):
    """Whose it is stands in the address only."""

    uid: Id36
    type: Literal["RFID", "OTHER"]
    auth_id: Id36
    visual_number: Annotated[str, Field(max_length=64)] | None = None
    issuer: Annotated[str, Field(max_length=64)]
    valid: bool
    whitelist: models.WhitelistKind
    language: Language | None = None
    last_updated: When


class StartSession(models.Command):
    token: Token
    location_id: Id39
    evse_uid: Id39 | None = None


class ReserveNow(StartSession):
    expiry_date: When
    reservation_id: int


def token_in(data: Any, issuer: PartnerId) -> Json:
    """Return a partner's token as 2.2.1 has it.

    Raises:
        BadParameter: naming the field.
    """
    return _lifted(read(Token, data), issuer)


def _lifted(wire: Token, issuer: PartnerId) -> Json:
    country, party = issuer.split("*")
    core = wire.wire()
    core["contract_id"] = core.pop("auth_id")
    return {**core, "country_code": country, "party_id": party}


def token_out(core: Json) -> Json:
    """Return a token of 2.2.1 as 2.1.1 has it; apps' tokens are of another type."""
    names = ("uid", "visual_number", "issuer", "valid", "whitelist", "language", "last_updated")
    return {
        **{name: core[name] for name in names if name in core},
        "auth_id": core["contract_id"],
        "type": token_type(core["type"]),
    }


def token_type(core: str) -> str:
    return core if core == "RFID" else "OTHER"


def order_in(command: str, data: Any, asker: PartnerId) -> Any:
    """Return a command's body as 2.2.1 has it.

    Raises:
        BadParameter: naming the field.
    """
    match command:
        case "START_SESSION":
            start = read(StartSession, data)
            return {**start.wire(), "token": _lifted(start.token, asker)}
        case "RESERVE_NOW":
            wish = read(ReserveNow, data)
            number = str(wish.reservation_id)
            return {**wish.wire(), "token": _lifted(wish.token, asker), "reservation_id": number}
        case _:
            return data


def result(core: str) -> str:
    """Return how a command ended, in the five words that 2.1.1 has for it."""
    known = ("ACCEPTED", "NOT_SUPPORTED", "REJECTED", "TIMEOUT", "UNKNOWN_SESSION")
    return core if core in known else "REJECTED"
