"""OCPI 2.2.1 as a ``Dialect``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, assert_never

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
from ocpi_cpo.versions.dialect import (
    CancelOrder,
    Order,
    ReserveOrder,
    StartOrder,
    StopOrder,
    TheirCredentials,
    UnlockOrder,
    UnsupportedOrder,
)
from ocpi_cpo.versions.v221 import bills, models, people, prices, topology
from ocpi_cpo.versions.v221.models import read
from ocpi_cpo.versions.v221.topology import EvseView
from ocpi_cpo.wire import Json, shortened, stamp


class V221:
    version = "2.2.1"
    dates_tariffs = True
    raw_tokens = False
    credits = True
    routed = True
    selective = False
    unknown_token_code = 2004
    newer_standards: frozenset[str] = frozenset({"MCS", "SAE_J3400"})
    newer_restrictions: frozenset[str] = frozenset({"EMPLOYEES", "TAXIS", "TENANTS"})
    modules: Sequence[tuple[str, str]] = (
        ("credentials", "SENDER"),
        ("locations", "SENDER"),
        ("sessions", "SENDER"),
        ("cdrs", "SENDER"),
        ("tariffs", "SENDER"),
        ("tokens", "RECEIVER"),
        ("commands", "RECEIVER"),
        ("chargingprofiles", "RECEIVER"),
        ("hubclientinfo", "RECEIVER"),
    )

    # -- registration

    def endpoint(self, module: str, role: str, url: str) -> Json:
        return {"identifier": module, "role": role, "url": url}

    def credentials(self, token: str, url: str, parties: Sequence[OwnParty]) -> Json:
        roles = tuple(
            models.CredentialsRole(
                role="CPO",
                business_details=models.BusinessDetails(name=each.name, website=each.website),
                party_id=each.party,
                country_code=each.country,
            )
            for each in parties
        )
        return models.Credentials(token=token, url=url, roles=roles).wire()

    def read_credentials(self, data: Any) -> TheirCredentials:
        wire = read(models.Credentials, data)
        roles = tuple(
            Role(
                each.role,
                each.country_code.upper(),
                each.party_id.upper(),
                each.business_details.name,
            )
            for each in wire.roles
        )
        if len(roles) != len({(each.role, each.id) for each in roles}):
            raise BadParameter("roles: a role of a party is named twice")
        return TheirCredentials(wire.token, wire.url, roles)

    def read_versions(self, data: Any) -> dict[str, str]:
        found: dict[str, str] = {}
        for item in data if isinstance(data, list) else []:
            try:
                info = models.VersionInfo.model_validate(item)
            except ValidationError:
                continue
            found[info.version] = info.url
        return found

    def read_details(self, data: Any) -> tuple[Endpoint, ...]:
        if not isinstance(data, dict) or not isinstance(data.get("endpoints"), list):
            raise BadParameter("endpoints: missing")
        found: list[Endpoint] = []
        for item in data["endpoints"]:
            try:
                wire = models.Endpoint.model_validate(item)
            except ValidationError:
                continue
            found.append(Endpoint(wire.identifier, wire.role, wire.url))
        return tuple(found)

    # -- what we send

    def shows(self, site: Location, parties: Sequence[OwnParty]) -> bool:
        return True

    def shows_evse(self, evse: Evse) -> bool:
        return any(each.standard not in self.newer_standards for each in evse.connectors)

    def location(self, site: Location, evses: Sequence[EvseView], updated: datetime | None) -> Json:
        return topology.location(site, [self.known(each) for each in evses], updated).wire()

    def evse(self, view: EvseView) -> Json:
        return topology.evse(self.known(view)).wire()

    def known(self, view: EvseView) -> EvseView:
        """Return *view* without connectors and restrictions that this version has no word for."""
        own = view.evse
        plugs = tuple(each for each in own.connectors if each.standard not in self.newer_standards)
        rules = tuple(
            each for each in own.parking_restrictions if each not in self.newer_restrictions
        )
        if plugs == own.connectors and rules == own.parking_restrictions:
            return view
        return replace(view, evse=replace(own, connectors=plugs, parking_restrictions=rules))

    def connector(self, plug: Connector, view: EvseView) -> Json:
        return topology.connector(plug, view).wire()

    def evse_status(self, view: EvseView) -> Json:
        return {
            "status": topology.STATUS[view.state.status],
            "last_updated": stamp(view.last_updated),
        }

    def date_time(self, at: datetime) -> str:
        return stamp(at)

    def tariffs_in(self, location: Json) -> Sequence[str]:
        plugs = [plug for evse in location.get("evses") or () for plug in evse["connectors"]]
        return list(dict.fromkeys(id for plug in plugs for id in plug.get("tariff_ids") or ()))

    def tariff(self, own: Tariff, party: PartnerId, updated: datetime) -> Json:
        return prices.tariff(own, party, updated).wire()

    def session(
        self,
        own: Session,
        site: Location,
        view: EvseView,
        rating: Rating | None,
        updated: datetime,
    ) -> Json:
        return bills.session(own, site, view.evse, rating, updated).wire()

    def shows_session(self, own: Session) -> bool:
        return True

    def cdr(self, own: Cdr, updated: datetime) -> Json:
        return bills.cdr(own, updated).wire()

    # -- tokens

    def read_token(self, data: Any, issuer: PartnerId) -> Token:
        return people.token_in(read(models.Token, data))

    def read_token_changes(self, own: Token, data: Any, now: datetime) -> Token:
        if not isinstance(data, dict):
            raise BadParameter("body: must be a JSON object")
        if data.get("last_updated") is None:
            raise BadParameter("last_updated: missing")
        issuer = own.partner or PartnerId("")
        return self.read_token({**self.token(own, now), **data}, issuer)

    def token(self, own: Token, now: datetime) -> Json:
        return people.token_out(own, now).wire()

    def addressed_types(self, query: Mapping[str, str]) -> Sequence[TokenType]:
        try:
            return (people.TYPE_OF[query.get("type", "RFID")],)
        except KeyError:
            raise BadParameter(f"type: one of {', '.join(people.TYPE_OF)}") from None

    def token_type(self, own: TokenType) -> str:
        return people.type_name(own)

    def place(self, location: str, evse_uid: str) -> Json:
        return models.LocationReferences(location_id=location, evse_uids=(evse_uid,)).wire()

    def read_decision(self, data: Any, asked: Token | None, evse_uid: str | None) -> Decision:
        return people.decision(read(models.AuthorizationInfo, data), asked, evse_uid)

    # -- commands

    def read_order(
        self, command: str, data: Any, now: datetime, asker: PartnerId
    ) -> Order | UnsupportedOrder | None:
        reader = _ORDERS.get(command)
        return None if reader is None else reader(data, now)

    def answer(self, result: str, timeout: int, why: str | None) -> Json:
        kind: Any = result
        return models.CommandResponse(result=kind, timeout=timeout, message=_words(why)).wire()

    def result(self, outcome: Outcome, why: str | None) -> Json:
        return models.CommandResult(result=_result(outcome), message=_words(why)).wire()

    def let_go(self, why: str | None) -> Json | None:
        return models.CommandResult(result="CANCELED_RESERVATION", message=_words(why)).wire()


def _words(why: str | None) -> tuple[models.DisplayText, ...] | None:
    if why is None:
        return None
    return (models.DisplayText(language="en", text=shortened(why, 512)),)


def _result(outcome: Outcome) -> models.CommandResultKind:
    match outcome:
        case Outcome.ACCEPTED | Outcome.SCHEDULED:
            return "ACCEPTED"
        case Outcome.REJECTED:
            return "REJECTED"
        case Outcome.FAILED:
            return "FAILED"
        case Outcome.NOT_SUPPORTED:
            return "NOT_SUPPORTED"
        case Outcome.OCCUPIED:
            return "EVSE_OCCUPIED"
        case Outcome.INOPERATIVE | Outcome.OFFLINE:
            return "EVSE_INOPERATIVE"
        case Outcome.UNKNOWN:  # of all commands only the cancelling of a reservation ends so
            return "UNKNOWN_RESERVATION"
        case Outcome.TIMEOUT:
            return "TIMEOUT"
    assert_never(outcome)


def _start(data: Any, now: datetime) -> StartOrder:
    wire = read(models.StartSession, data)
    if wire.connector_id is not None and wire.evse_uid is None:
        raise BadParameter("evse_uid: missing, and connector_id is given")
    return StartOrder(
        wire.response_url,
        people.token_in(wire.token),
        wire.location_id,
        wire.evse_uid,
        wire.connector_id,
        wire.authorization_reference,
    )


def _stop(data: Any, now: datetime) -> StopOrder:
    wire = read(models.StopSession, data)
    return StopOrder(wire.response_url, wire.session_id)


def _unlock(data: Any, now: datetime) -> UnlockOrder:
    wire = read(models.UnlockConnector, data)
    return UnlockOrder(wire.response_url, wire.location_id, wire.evse_uid, wire.connector_id)


def _reserve(data: Any, now: datetime) -> ReserveOrder:
    wire = read(models.ReserveNow, data)
    if wire.expiry_date <= now:
        raise BadParameter("expiry_date: lies in the past")
    return ReserveOrder(
        wire.response_url,
        people.token_in(wire.token),
        wire.expiry_date,
        wire.reservation_id,
        wire.location_id,
        wire.evse_uid,
        wire.authorization_reference,
    )


def _cancel(data: Any, now: datetime) -> CancelOrder:
    wire = read(models.CancelReservation, data)
    return CancelOrder(wire.response_url, wire.reservation_id)


_ORDERS: dict[str, Callable[[Any, datetime], Order]] = {
    "START_SESSION": _start,
    "STOP_SESSION": _stop,
    "UNLOCK_CONNECTOR": _unlock,
    "RESERVE_NOW": _reserve,
    "CANCEL_RESERVATION": _cancel,
}
