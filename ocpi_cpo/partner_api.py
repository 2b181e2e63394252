"""Calling a partner: headers, bodies, and what is kept of every exchange."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from secrets import token_hex
from typing import Any

from cms.app.writes import Exchange
from cms.domain.ids import PartnerId, SessionId
from cms.domain.partner import Partner
from ocpi_cpo.answers import PartnerAnswer, judge
from ocpi_cpo.client import Ask, GuardedClient
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.connections import Connection
from ocpi_cpo.profiles import Profile, profile_of
from ocpi_cpo.profiles.dates import inward, outward
from ocpi_cpo.profiles.switches import TokenForm
from ocpi_cpo.push.tallies import Tallies
from ocpi_cpo.versions.offered import dialect_of
from ocpi_cpo.wire import authorization, dumps

LARGEST_KEPT_BYTES = 16 * 1024
"""Of a body, in the case file."""


@dataclass(frozen=True, slots=True)
class _Manner:
    """How one calls over a connection.

    Attributes:
        line: the partner whose profile counts.
        own: the partner whose connection it is.
        routed: whether headers say who speaks to whom.
    """

    connection: Connection
    line: Partner | None
    own: Partner | None
    profile: Profile
    authorization: str
    routed: bool
    receiver: dict[str, str]

    def holds(self, connection: Connection, line: Partner | None, own: Partner | None) -> bool:
        """Whether all that it was worked out from is as it was."""
        return self.connection is connection and self.line is line and self.own is own


class PartnerApi:
    """Sends requests in the name of one of our parties.

    Args:
        partner: who it is, by id: what an operator chose for it.
    """

    def __init__(
        self,
        client: GuardedClient,
        config: OcpiConfig,
        tallies: Tallies,
        partner: Callable[[PartnerId], Partner | None] = lambda id: None,
    ) -> None:
        self._client = client
        self._config = config
        self._tallies = tallies
        self._partner = partner
        self._manners: dict[PartnerId, _Manner] = {}

    def profile(self, id: PartnerId) -> Profile:
        """Return how a partner differs from the standard; who is behind a hub, as the hub does."""
        return profile_of(self._line(id))

    def _line(self, id: PartnerId) -> Partner | None:
        """Return the partner whose connection leads to *id*."""
        own = self._partner(id)
        return own if own is None or own.via is None else self._partner(own.via)

    async def call(
        self,
        connection: Connection,
        method: str,
        url: str,
        body: Any = None,
        *,
        sender: PartnerId | str | None = None,
        functional: bool = True,
        token: str | None = None,
        raw: bool | None = None,
        timeout: float | None = None,
        fresh: bool = False,
        open_route: bool = False,
        waited_for: bool = False,
    ) -> PartnerAnswer:
        """Send one request and judge the answer.

        Args:
            body: JSON values, or ready bytes.
            sender: our party (``country*party``) in whose name; default: the first.
            functional: with routing headers; configuration modules have none.
            token: in place of the connection's own.
            raw: the token without base64; default: as the connection wants it.
            fresh, waited_for: see ``client.Ask``.
            open_route: name no receiver; the hub finds the one whom it concerns.
        """
        manner = self._manner(connection)
        profile = manner.profile
        shown = manner.authorization
        if token is not None or raw is not None:
            text = token or connection.outbound or ""
            shown = authorization(text, _raw(profile, connection, raw))
        headers = {"Authorization": shown, "X-Request-ID": _fresh_id()}
        headers["X-Correlation-ID"] = _fresh_id()
        if functional and manner.routed:
            headers |= self._sender(sender)
            if not open_route:
                headers |= manner.receiver
        payload = body if isinstance(body, bytes) or body is None else dumps(body)
        if payload is not None:
            headers["Content-Type"] = "application/json"
            payload = outward(profile, payload)
        certificate = manner.own.our_certificate if manner.own is not None else None
        ask = Ask(method, url, headers, payload, connection.private, fresh, certificate, waited_for)
        answer = judge(await self._client.send(ask, timeout))
        self._tallies.note(connection.partner, connection.module_of(url), answer)
        data = inward(profile, answer.data)
        return answer if data is answer.data else replace(answer, data=data)

    def _manner(self, connection: Connection) -> _Manner:
        """Return how one calls over *connection*; worked out once while nothing of it changes."""
        line, own = self._line(connection.partner), self._partner(connection.line)
        known = self._manners.get(connection.partner)
        if known is not None and known.holds(connection, line, own):
            return known
        profile = profile_of(line)
        text = authorization(connection.outbound or "", _raw(profile, connection, None))
        routed = profile.routing_sent and dialect_of(connection.version).routed
        made = _Manner(connection, line, own, profile, text, routed, _receiver(connection))
        self._manners[connection.partner] = made
        return made

    def _sender(self, sender: PartnerId | str | None) -> dict[str, str]:
        country, party = (sender or self._config.parties[0].id).split("*")
        return {"OCPI-from-country-code": country, "OCPI-from-party-id": party}


def _fresh_id() -> str:
    """Return a random UUID as text (RFC 9562, version 4)."""
    text = token_hex(16)
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:]}"


def _receiver(connection: Connection) -> dict[str, str]:
    country, party = connection.address.split("*")
    return {"OCPI-to-country-code": country, "OCPI-to-party-id": party}


def _raw(profile: Profile, connection: Connection, wanted: bool | None) -> bool:
    """Whether the token goes without base64: as the profile says, else as it was found out."""
    if profile.token_out is not TokenForm.ANY:
        return profile.token_out is TokenForm.RAW
    if wanted is not None:
        return wanted
    if connection.raw_token is not None:
        return connection.raw_token
    return dialect_of(connection.version).raw_tokens


def exchange(
    connection: Connection,
    method: str,
    url: str,
    body: bytes,
    answer: PartnerAnswer,
    *,
    at: datetime,
    kind: str,
    key: str,
    session: SessionId | None = None,
) -> Exchange:
    """Return what is kept of a request of ours: bounded, without tokens of the connection."""
    return Exchange(
        at,
        connection.partner,
        outbound=True,
        kind=kind,
        key=key,
        method=method,
        url=without_secrets(connection, url.encode()).decode("utf-8", "replace"),
        request=without_secrets(connection, body[:LARGEST_KEPT_BYTES]),
        http_status=answer.http,
        answer=without_secrets(
            connection, (answer.raw or answer.text.encode())[:LARGEST_KEPT_BYTES]
        ),
        took_ms=answer.took_ms,
        session=session,
    )


def without_secrets(connection: Connection, text: bytes) -> bytes:
    """Black out the token of the connection, in clear and in base64."""
    if connection.outbound is None:
        return text
    plain = connection.outbound.encode()
    return text.replace(plain, b"[secret]").replace(base64.b64encode(plain), b"[secret]")
