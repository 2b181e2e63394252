"""OCPI 2.3.0 as a ``Dialect``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from cms.domain.cdr import Cdr
from cms.domain.ids import PartnerId
from cms.domain.rated import Rating
from cms.domain.session import Session
from cms.domain.tariff import Tariff
from cms.domain.token import Decision, Token, TokenType
from cms.domain.topology import Connector, Location
from ocpi_cpo.errors import BadParameter
from ocpi_cpo.versions.dialect import (
    Order,
    ReserveOrder,
    StartOrder,
    TheirCredentials,
    UnsupportedOrder,
)
from ocpi_cpo.versions.v221 import models
from ocpi_cpo.versions.v221.dialect import V221
from ocpi_cpo.versions.v221.models import read
from ocpi_cpo.versions.v221.people import TYPE_OF
from ocpi_cpo.versions.v221.topology import EvseView
from ocpi_cpo.versions.v230 import money, place
from ocpi_cpo.wire import Json

EMAID = "EMAID"
"""The type of a token that is a contract's id; 2.3.0 has a word for it, its elders have not."""

_UNKNOWN_COMMAND = "no such command is known here"


class V230(V221):
    """Open enumerations are taken as they come; money names its taxes."""

    version = "2.3.0"
    modules = (
        *V221.modules,
        ("invoicereconciliation", "SENDER"),
        ("invoicereconciliation", "RECEIVER"),
    )
    newer_standards: frozenset[str] = frozenset()
    newer_restrictions: frozenset[str] = frozenset()

    # -- registration

    def read_credentials(self, data: Any) -> TheirCredentials:
        theirs = super().read_credentials(data)
        if any(each.role == "HUB" for each in theirs.roles):
            raise BadParameter("roles.role: HUB is no role; see hub_party_id")
        return replace(theirs, hub_party=_hub_party(data.get("hub_party_id")))

    # -- what we send

    def location(self, site: Location, evses: Sequence[EvseView], updated: datetime | None) -> Json:
        return place.location(site, evses, super().location(site, evses, updated))

    def evse(self, view: EvseView) -> Json:
        return place.evse(view, super().evse(view))

    def connector(self, plug: Connector, view: EvseView) -> Json:
        return place.connector(plug, super().connector(plug, view))

    def tariff(self, own: Tariff, party: PartnerId, updated: datetime) -> Json:
        return money.tariff(own, super().tariff(own, party, updated))

    def session(
        self,
        own: Session,
        site: Location,
        view: EvseView,
        rating: Rating | None,
        updated: datetime,
    ) -> Json:
        core = super().session(own, site, view, rating, updated)
        core = {**core, "cdr_token": _typed(core["cdr_token"], own.token)}
        return core if rating is None else {**core, "total_cost": money.price(rating.total)}

    def cdr(self, own: Cdr, updated: datetime) -> Json:
        tariffs = [self.tariff(each, own.place.party, own.started_at) for each in own.tariffs]
        core = super().cdr(own, updated)
        core = {**core, "cdr_token": _typed(core["cdr_token"], own.token)}
        return money.cdr(own, core, tariffs)

    # -- tokens: their types are open

    def read_token(self, data: Any, issuer: PartnerId) -> Token:
        token = super().read_token(_known_type(data), issuer)
        return replace(token, type=TokenType.EMAID) if _is_contract(data) else token

    def token(self, own: Token, now: datetime) -> Json:
        return _typed(super().token(own, now), own)

    def addressed_types(self, query: Mapping[str, str]) -> Sequence[TokenType]:
        named = query.get("type", "RFID")
        if named == EMAID:
            return (TokenType.EMAID,)
        return (TYPE_OF.get(named, TokenType.OTHER),)

    def token_type(self, own: TokenType) -> str:
        return EMAID if own is TokenType.EMAID else super().token_type(own)

    def read_decision(self, data: Any, asked: Token | None, evse_uid: str | None) -> Decision:
        found = super().read_decision(_with_known_type(data), asked, evse_uid)
        if found.token is None or not _is_contract(data.get("token")):
            return found
        return replace(found, token=replace(found.token, type=TokenType.EMAID))

    # -- commands: so are they

    def read_order(
        self, command: str, data: Any, now: datetime, asker: PartnerId
    ) -> Order | UnsupportedOrder | None:
        order = super().read_order(command, _with_known_type(data), now, asker)
        if isinstance(order, StartOrder | ReserveOrder) and _is_contract(data.get("token")):
            return replace(order, token=replace(order.token, type=TokenType.EMAID))
        if order is not None:
            return order
        return UnsupportedOrder(read(models.Command, data).response_url, _UNKNOWN_COMMAND)


def _hub_party(text: Any) -> PartnerId | None:
    """Read ``hub_party_id``: country code and party id in one word."""
    if text is None:
        return None
    if not (isinstance(text, str) and len(text) == 5 and text.isascii() and text.isalnum()):
        raise BadParameter("hub_party_id: not a country code and a party id in five characters")
    return PartnerId(f"{text[:2]}*{text[2:]}".upper())


def _typed(core: Json, own: Token | None) -> Json:
    """Return a token, or the part of one in a session or bill, with the type that 2.3.0 has."""
    return {**core, "type": EMAID} if own is not None and own.type is TokenType.EMAID else core


def _is_contract(token: Any) -> bool:
    return isinstance(token, dict) and token.get("type") == EMAID


def _known_type(token: Any) -> Any:
    """Return *token* with a type that the core knows: any other word means another kind."""
    if isinstance(token, dict) and isinstance(token.get("type"), str):
        return {**token, "type": token["type"] if token["type"] in TYPE_OF else "OTHER"}
    return token


def _with_known_type(data: Any) -> Any:
    if isinstance(data, dict) and "token" in data:
        return {**data, "token": _known_type(data["token"])}
    return data
