"""Tokens and decisions: OCPI 2.2.1 <-> the core's words. Pure functions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cms.domain.ids import PartnerId
from cms.domain.token import AuthMethod, Decision, Token, TokenType, Verdict, Whitelist
from ocpi_cpo.versions.v221 import models

_TYPE: dict[TokenType, Any] = {
    TokenType.RFID: "RFID",
    TokenType.APP_USER: "APP_USER",
    TokenType.AD_HOC_USER: "AD_HOC_USER",
    TokenType.OTHER: "OTHER",
    TokenType.EMAID: "OTHER",  # which has its own word from 2.3.0 on
}
TYPE_OF = {wire: own for own, wire in _TYPE.items() if own is not TokenType.EMAID}
_WHITELIST: dict[Whitelist, Any] = {
    Whitelist.ALWAYS: "ALWAYS",
    Whitelist.ALLOWED: "ALLOWED",
    Whitelist.ALLOWED_OFFLINE: "ALLOWED_OFFLINE",
    Whitelist.NEVER: "NEVER",
}
_WHITELIST_OF = {wire: own for own, wire in _WHITELIST.items()}
_METHOD: dict[AuthMethod, Any] = {
    AuthMethod.WHITELIST: "WHITELIST",
    AuthMethod.REQUEST: "AUTH_REQUEST",
    AuthMethod.COMMAND: "COMMAND",
}
_VERDICT = {
    "ALLOWED": Verdict.ACCEPTED,
    "BLOCKED": Verdict.BLOCKED,
    "EXPIRED": Verdict.EXPIRED,
    "NO_CREDIT": Verdict.BLOCKED,
    "NOT_ALLOWED": Verdict.INVALID,
}


def partner_of(country_code: str, party_id: str) -> PartnerId:
    """Return the partner that a country code and a party id mean, whatever their case."""
    return PartnerId(f"{country_code}*{party_id}".upper())


def type_name(type: TokenType) -> str:
    return str(_TYPE[type])


def method_name(method: AuthMethod) -> models.AuthMethodKind:
    found: models.AuthMethodKind = _METHOD[method]
    return found


def token_in(wire: models.Token) -> Token:
    """Return a partner's token in the core's words."""
    contract = wire.energy_contract
    return Token(
        partner=partner_of(wire.country_code, wire.party_id),
        uid=wire.uid,
        type=TYPE_OF[wire.type],
        contract_id=wire.contract_id,
        issuer=wire.issuer,
        valid=wire.valid,
        whitelist=_WHITELIST_OF[wire.whitelist],
        visual_number=wire.visual_number,
        group=wire.group_id,
        language=wire.language,
        default_profile=wire.default_profile_type,
        energy_supplier=None if contract is None else contract.supplier_name,
        energy_contract=None if contract is None else contract.contract_id,
        last_updated=wire.last_updated,
    )


def token_out(own: Token, now: datetime) -> models.Token:
    """Return a token as its issuer told us.

    Raises:
        ValueError: for a token of ours, which has no place in OCPI.
    """
    if own.partner is None:
        raise ValueError("tokens of our own are not shown to partners")
    country, party = own.partner.split("*")
    contract = None
    if own.energy_supplier is not None:
        contract = models.EnergyContract(
            supplier_name=own.energy_supplier, contract_id=own.energy_contract
        )
    profile: Any = own.default_profile
    return models.Token(
        country_code=country,
        party_id=party,
        uid=own.uid,
        type=_TYPE[own.type],
        contract_id=own.contract_id,
        visual_number=own.visual_number,
        issuer=own.issuer,
        group_id=own.group,
        valid=own.valid,
        whitelist=_WHITELIST[own.whitelist],
        language=own.language,
        default_profile_type=profile,
        energy_contract=contract,
        last_updated=own.last_updated or now,
    )


def cdr_token(own: Token) -> models.CdrToken:
    """Return the five fields of a token that stand in sessions and bills.

    Raises:
        ValueError: for a token of ours.
    """
    if own.partner is None:
        raise ValueError("tokens of our own are not shown to partners")
    country, party = own.partner.split("*")
    return models.CdrToken(
        country_code=country,
        party_id=party,
        uid=own.uid,
        type=_TYPE[own.type],
        contract_id=own.contract_id,
    )


def decision(info: models.AuthorizationInfo, asked: Token | None, evse_uid: str | None) -> Decision:
    """Return what a partner's answer about a token means here.

    Args:
        asked: the token as we know it; the answer's own copy wins.
        evse_uid: where it shall be used; an answer that names other EVSEs only is a no.
    """
    token = token_in(info.token) if info.token is not None else asked
    verdict, why = _VERDICT[info.allowed], f"the partner says {info.allowed}"
    if info.info is not None:
        why = f"{why}: {info.info.text}"
    if verdict is Verdict.ACCEPTED and not _covers(info, evse_uid):
        verdict, why = Verdict.INVALID, "the partner allows other EVSEs only"
    return Decision(verdict, why, token, AuthMethod.REQUEST, info.authorization_reference)


def _covers(info: models.AuthorizationInfo, evse_uid: str | None) -> bool:
    if evse_uid is None or info.location is None or not info.location.evse_uids:
        return True
    return evse_uid.casefold() in {uid.casefold() for uid in info.location.evse_uids}
