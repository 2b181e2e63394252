"""Asking a partner, while the driver waits, whether a token may charge (``TokenAuthority``)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import structlog

from cms.app.catalogue import Catalogue
from cms.app.ports import Clock, Store
from cms.app.writes import KeepExchange
from cms.domain.ids import EvseRef, PartnerId
from cms.domain.token import AuthMethod, Decision, Token, TokenType, Verdict, Whitelist
from ocpi_cpo.answers import Kind, PartnerAnswer
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.connections import Connection, Connections
from ocpi_cpo.errors import BadParameter
from ocpi_cpo.parties import Parties
from ocpi_cpo.partner_api import PartnerApi, exchange
from ocpi_cpo.registration import Errand
from ocpi_cpo.versions.dialect import Dialect
from ocpi_cpo.versions.offered import dialect_of
from ocpi_cpo.versions.v221.people import partner_of
from ocpi_cpo.wire import Json, dumps, join, with_query

log = structlog.get_logger()

_NOT_ENOUGH = 2002
_UNKNOWN_TOKEN = 2004


class Authority:
    """What a partner does not say in time, or cannot say, is None; the whitelist rules decide."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        connections: Connections,
        parties: Parties,
        api: PartnerApi,
        config: OcpiConfig,
        clock: Clock,
        errand: Errand,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._connections = connections
        self._parties = parties
        self._api = api
        self._config = config
        self._clock = clock
        self._errand = errand

    async def authorise(
        self, partner: PartnerId, token: Token | None, uid: str, where: EvseRef | None
    ) -> Decision | None:
        """Ask *partner* about *uid*. None = no answer in time, or none that decides anything.

        A hub is asked without naming a receiver: it finds the party that knows the token, and
        that party becomes the owner of what is charged with it.
        """
        connection = self._connections.get(partner)
        base = connection.endpoint("tokens", "SENDER") if connection else None
        if connection is None or base is None or not connection.connected:
            return None
        dialect = dialect_of(connection.version)
        type = token.type if token is not None else TokenType.RFID
        url = join(base, token.uid if token is not None else uid, "authorize")
        if type is not TokenType.RFID:
            url = with_query(url, type=dialect.token_type(type))
        place, evse_uid = self._place(dialect, where, partner)
        found = self._catalogue.place(where) if where is not None else None
        sender = found.location.party if found is not None else None
        answer = await self._ask(connection, url, uid, place, sender)
        if connection.via is None and self._parties.is_hub(connection) and answer.ok:
            responder = await self._responder(connection, answer, token)
            if responder is None:
                return None
            connection = responder
        return self._decision(connection, answer, token, uid, evse_uid)

    async def _responder(
        self, connection: Connection, answer: PartnerAnswer, token: Token | None
    ) -> Connection | None:
        """Return the connection of the party that answered through a hub, as its headers say."""
        country = answer.headers.get("OCPI-from-country-code")
        party = answer.headers.get("OCPI-from-party-id")
        if not country or not party:
            log.warning("authorise.nobody_answers", partner=connection.partner)
            return None
        who = partner_of(country, party)
        known = who in self._parties.behind(connection.partner)
        if known or await self._parties.learn(connection, who):
            return self._connections.get(who)
        log.warning("authorise.stranger", partner=connection.partner, party=who)
        return None

    async def _ask(
        self,
        connection: Connection,
        url: str,
        uid: str,
        place: Json | None,
        sender: PartnerId | None,
    ) -> PartnerAnswer:
        at = self._clock()
        open_route = connection.via is None and self._parties.is_hub(connection)
        answer = await self._api.call(
            connection,
            "POST",
            url,
            place,
            sender=sender,
            timeout=self._config.authorise_deadline.total_seconds(),
            open_route=open_route,
            waited_for=True,
        )
        body = b"" if place is None else dumps(place)
        kept = exchange(connection, "POST", url, body, answer, at=at, kind="authorise", key=uid)
        self._errand("keep exchange", self._store.commit([KeepExchange(kept)]))
        return answer

    def _place(
        self, dialect: Dialect, where: EvseRef | None, partner: PartnerId
    ) -> tuple[Json | None, str | None]:
        """Name the place, to a partner that is shown its site."""
        place = self._catalogue.place(where) if where is not None else None
        if place is None or not place.location.roaming:
            return None, None
        if not self._catalogue.sharing_of(partner).shows(place.location):
            return None, None
        return dialect.place(place.location.id, place.evse.uid), place.evse.uid

    def _decision(
        self,
        connection: Connection,
        answer: PartnerAnswer,
        token: Token | None,
        uid: str,
        evse_uid: str | None,
    ) -> Decision | None:
        """Read an answer. Only an answer that says no is a no; the rest is silence."""
        if answer.ok:
            return self._read(connection, answer.data, token, uid, evse_uid)
        if answer.kind is Kind.MISSING or answer.code == _UNKNOWN_TOKEN:
            return _no("the partner does not know this token", token)
        if answer.code == _NOT_ENOUGH:
            return _no("the partner wants to know more than we can say", token)
        if answer.kind is Kind.REFUSED and answer.code is not None:
            return _no(f"the partner refuses: {answer.text}", token)
        log.warning("authorise.unanswered", partner=connection.partner, answer=answer.text)
        return None

    def _read(
        self,
        connection: Connection,
        data: Any,
        token: Token | None,
        uid: str,
        evse_uid: str | None,
    ) -> Decision | None:
        try:
            decision = dialect_of(connection.version).read_decision(data, token, evse_uid)
        except BadParameter as error:
            log.warning("authorise.damaged", partner=connection.partner, why=error.message)
            return None
        known = decision.token
        if known is not None and known.partner != connection.partner:
            return _no("the partner answers with a token of another party", token)
        if known is None and decision.accepted:
            return replace(decision, token=_unnamed(connection.partner, uid))
        return decision


def _unnamed(partner: PartnerId, uid: str) -> Token:
    """Return the token of somebody whom *partner* lets charge without saying who it is.

    2.1.1 has no way to say it. The uid stands in for the contract, so that the bill finds its
    payer; the copy may never decide by itself.
    """
    return Token(partner, uid, TokenType.RFID, uid, partner, True, Whitelist.NEVER)


def _no(why: str, token: Token | None) -> Decision:
    return Decision(Verdict.INVALID, why, token, AuthMethod.REQUEST)
