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
from ocpi_cpo.versions.dialect import Order, TheirCredentials, UnsupportedOrder
from ocpi_cpo.versions.v221 import models
from ocpi_cpo.versions.v221.dialect import V221
from ocpi_cpo.versions.v221.models import read
from ocpi_cpo.versions.v221.people import TYPE_OF
from ocpi_cpo.versions.v221.topology import EvseView
from ocpi_cpo.versions.v230 import money, place
from ocpi_cpo.wire import Json

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
        return core if rating is None else {**core, "total_cost": money.price(rating.total)}

    def cdr(self, own: Cdr, updated: datetime) -> Json:
        tariffs = [self.tariff(each, own.place.party, own.started_at) for each in own.tariffs]
        return money.cdr(own, super().cdr(own, updated), tariffs)

    # -- tokens: their types are open

    def read_token(self, data: Any, issuer: PartnerId) -> Token:
        return super().read_token(_known_type(data), issuer)

    def addressed_types(self, query: Mapping[str, str]) -> Sequence[TokenType]:
        return (TYPE_OF.get(query.get("type", "RFID"), TokenType.OTHER),)

    def read_decision(self, data: Any, asked: Token | None, evse_uid: str | None) -> Decision:
        return super().read_decision(_with_known_type(data), asked, evse_uid)

    # -- commands: so are they

    def read_order(
        self, command: str, data: Any, now: datetime, asker: PartnerId
    ) -> Order | UnsupportedOrder | None:
        order = super().read_order(command, _with_known_type(data), now, asker)
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


def _known_type(token: Any) -> Any:
    """Return *token* with a type that the core knows: any other word means another kind."""
    if isinstance(token, dict) and isinstance(token.get("type"), str):
        return {**token, "type": token["type"] if token["type"] in TYPE_OF else "OTHER"}
    return token


def _with_known_type(data: Any) -> Any:
    if isinstance(data, dict) and "token" in data:
        return {**data, "token": _known_type(data["token"])}
    return data
