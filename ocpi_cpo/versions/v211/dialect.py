"""OCPI 2.1.1 as a ``Dialect``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from cms.domain.cdr import Cdr
from cms.domain.commands import Outcome
from cms.domain.ids import PartnerId
from cms.domain.rated import Rating
from cms.domain.session import Session
from cms.domain.tariff import Tariff
from cms.domain.token import Decision, Token, TokenType
from cms.domain.topology import Connector, Evse, Location
from ocpi_cpo.config import OwnParty
from ocpi_cpo.connections import Endpoint, Role
from ocpi_cpo.errors import BadParameter
from ocpi_cpo.versions.dialect import Order, TheirCredentials, UnsupportedOrder
from ocpi_cpo.versions.v211 import money, people, place
from ocpi_cpo.versions.v211.text import plain
from ocpi_cpo.versions.v221.dialect import V221
from ocpi_cpo.versions.v221.models import read
from ocpi_cpo.versions.v221.topology import EvseView
from ocpi_cpo.wire import Json, stamp

_COMMANDS = ("RESERVE_NOW", "START_SESSION", "STOP_SESSION", "UNLOCK_CONNECTOR")
_ANY_TYPE = (TokenType.RFID, TokenType.OTHER, *TokenType)


class V211(V221):
    """One party on each side, no routing, tokens as they are; everything else is translated."""

    version = "2.1.1"
    dates_tariffs = False
    raw_tokens = True
    credits = False
    routed = False
    selective = True
    unknown_token_code = 2000
    modules: Sequence[tuple[str, str]] = (
        ("credentials", "SENDER"),
        ("locations", "SENDER"),
        ("sessions", "SENDER"),
        ("cdrs", "SENDER"),
        ("tariffs", "SENDER"),
        ("tokens", "RECEIVER"),
        ("commands", "RECEIVER"),
    )

    # -- registration

    def endpoint(self, module: str, role: str, url: str) -> Json:
        return {"identifier": module, "url": url}

    def credentials(self, token: str, url: str, parties: Sequence[OwnParty]) -> Json:
        own = parties[0]
        business = {"name": own.name, **({"website": own.website} if own.website else {})}
        body: Json = plain(
            {
                "url": url,
                "business_details": business,
                "party_id": own.party,
                "country_code": own.country,
            }
        )
        return {"token": token, **body}

    def read_credentials(self, data: Any) -> TheirCredentials:
        wire = read(people.Credentials, data)
        country, party = wire.country_code.upper(), wire.party_id.upper()
        role = Role("EMSP", country, party, wire.business_details.name)
        return TheirCredentials(wire.token, wire.url, (role,))

    def read_details(self, data: Any) -> tuple[Endpoint, ...]:
        if not isinstance(data, dict) or not isinstance(data.get("endpoints"), list):
            raise BadParameter("endpoints: missing")
        found: list[Endpoint] = []
        for item in data["endpoints"]:
            try:
                wire = people.Endpoint.model_validate(item)
            except ValidationError:
                continue
            found.append(Endpoint(wire.identifier, people.role_of(wire.identifier), wire.url))
        return tuple(found)

    # -- what we send

    def shows(self, site: Location, parties: Sequence[OwnParty]) -> bool:
        """A site that is not published has no form, nor one of a party that has not registered."""
        return site.publish and (not parties or site.party == parties[0].id)

    def shows_evse(self, evse: Evse) -> bool:
        return any(each.standard in place.STANDARDS for each in evse.connectors)

    def location(self, site: Location, evses: Sequence[EvseView], updated: datetime | None) -> Json:
        return _json(place.location(super().location(site, evses, updated)))

    def evse(self, view: EvseView) -> Json:
        return _json(place.evse(super().evse(view)))

    def connector(self, plug: Connector, view: EvseView) -> Json:
        return _json(place.connector(super().connector(plug, view)))

    def evse_status(self, view: EvseView) -> Json:
        return _json(super().evse_status(view))

    def date_time(self, at: datetime) -> str:
        return str(plain(super().date_time(at)))

    def tariffs_in(self, location: Json) -> Sequence[str]:
        plugs = [plug for evse in location.get("evses") or () for plug in evse["connectors"]]
        return list(dict.fromkeys(plug["tariff_id"] for plug in plugs if "tariff_id" in plug))

    def tariff(self, own: Tariff, party: PartnerId, updated: datetime) -> Json:
        return _json(money.tariff(super().tariff(own, party, updated)))

    def session(
        self,
        own: Session,
        site: Location,
        view: EvseView,
        rating: Rating | None,
        updated: datetime,
    ) -> Json:
        core = super().session(own, site, view, rating, updated)
        plug = view.evse.connector(own.connector or 1) or view.evse.connectors[0]
        if plug.standard not in place.STANDARDS:
            raise ValueError(f"2.1.1 knows no connector {plug.standard}")
        here = replace(view, evse=replace(view.evse, connectors=(plug,)))
        return _json(money.session(core, self.location(site, [here], None)))

    def shows_session(self, own: Session) -> bool:
        """A session names its one connector, so one whose EVSE is not known yet has no form."""
        return own.evse > 0

    def cdr(self, own: Cdr, updated: datetime) -> Json:
        if own.replaces is not None:
            raise ValueError("2.1.1 has no credits: what this bill replaces cannot be taken back")
        core = super().cdr(own, updated)
        snapshot = own.place
        where = place.place_of_bill(
            core["cdr_location"],
            snapshot.max_voltage or 0,
            snapshot.max_amperage or 0,
            stamp(own.ended_at),
        )
        return _json(money.cdr(core, where))

    # -- tokens

    def read_token(self, data: Any, issuer: PartnerId) -> Token:
        return super().read_token(people.token_in(data, issuer), issuer)

    def read_token_changes(self, own: Token, data: Any, now: datetime) -> Token:
        """A change need not say when it happened: then it is now."""
        if not isinstance(data, dict):
            raise BadParameter("body: must be a JSON object")
        dated = {"last_updated": stamp(now), **{k: v for k, v in data.items() if v is not None}}
        before = self.token(own, now)
        changed = self.read_token({**before, **dated}, own.partner or PartnerId(""))
        return replace(
            changed,
            type=own.type if dated.get("type", before["type"]) == before["type"] else changed.type,
            group=own.group,
            default_profile=own.default_profile,
            energy_supplier=own.energy_supplier,
            energy_contract=own.energy_contract,
        )

    def token(self, own: Token, now: datetime) -> Json:
        return _json(people.token_out(super().token(own, now)))

    def addressed_types(self, query: Mapping[str, str]) -> Sequence[TokenType]:
        return _ANY_TYPE

    def token_type(self, own: TokenType) -> str:
        return people.token_type(super().token_type(own))

    def read_decision(self, data: Any, asked: Token | None, evse_uid: str | None) -> Decision:
        if not isinstance(data, dict):
            raise BadParameter("body: must be a JSON object")
        known = {name: data[name] for name in ("allowed", "location", "info") if name in data}
        return super().read_decision(known, asked, evse_uid)

    # -- commands

    def read_order(
        self, command: str, data: Any, now: datetime, asker: PartnerId
    ) -> Order | UnsupportedOrder | None:
        if command not in _COMMANDS:
            return None
        return super().read_order(command, people.order_in(command, data, asker), now, asker)

    def answer(self, result: str, timeout: int, why: str | None) -> Json:
        return {"result": people.result(result)}

    def result(self, outcome: Outcome, why: str | None) -> Json:
        return {"result": people.result(super().result(outcome, why)["result"])}

    def let_go(self, why: str | None) -> Json | None:
        return None  # no word for it; its session ends, and that is told


def _json(value: Json) -> Json:
    found: Json = plain(value)
    return found
