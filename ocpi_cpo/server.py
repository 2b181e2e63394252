"""The HTTP side of every module: who calls, which handler, what every answer carries.

One small router of our own, because OCPI wants things a general one does not give: an envelope and
both request ids on *every* answer, a slash at the end that means nothing, and 401 before 404 before
405.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import structlog
from aiohttp import hdrs, web

from cms.app.ports import Clock
from cms.domain.errors import StoreDown
from cms.domain.ids import PartnerId
from ocpi_cpo.auth import Access, Caller
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.connections import Connection, Connections, InboundToken
from ocpi_cpo.door import Door
from ocpi_cpo.envelope import Reply, refusal
from ocpi_cpo.errors import (
    BadParameter,
    Malformed,
    NotAllowed,
    NotThere,
    OcpiError,
    TooLarge,
    Unauthorised,
)
from ocpi_cpo.parties import Parties, Speaker
from ocpi_cpo.profiles import STANDARD, Profile
from ocpi_cpo.profiles.dates import inward, inward_query, outward
from ocpi_cpo.versions.offered import dialect_of
from ocpi_cpo.wire import BadJson, loads

log = structlog.get_logger()

LARGEST_REQUEST_BYTES = 1024 * 1024

ROUTING_HEADERS = (
    "OCPI-from-country-code",
    "OCPI-from-party-id",
    "OCPI-to-country-code",
    "OCPI-to-party-id",
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request that passed the door.

    Attributes:
        caller: with the party for which it asks.
        connection: of the caller, addressed to that party.
        path: the segments that the route left open, decoded.
        party: our party that the caller addresses, ``country*party``; None where it names none.
        url: of the route without a query, on our public address.
        raw_query: the query as it came, for what a partner did not escape in it.
        profile: how the caller differs from the standard.
        parties: whose things the call may see and change; never more than the connection leads to.
    """

    caller: Caller
    connection: Connection
    method: str
    path: tuple[str, ...]
    query: Mapping[str, str]
    raw: bytes
    url: str
    party: str | None
    request_id: str
    raw_query: str = ""
    profile: Profile = STANDARD
    parties: frozenset[PartnerId] = frozenset()

    def body(self) -> Any:
        """Return the JSON body.

        Raises:
            Malformed: it is none.
        """
        try:
            return inward(self.profile, loads(self.raw))
        except BadJson:
            raise Malformed("the body is no JSON") from None


Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    Attributes:
        path: literal segments; ``*`` stands for any one segment.
        access: what the caller's token must give.
        functional: a module with routing headers.
        answering: token A may still call this after it was exchanged (its answer may be lost).
        offered: to whom; to anybody else it is not there.
    """

    method: str
    path: tuple[str, ...]
    handler: Handler
    access: Access = Access.EVERYTHING
    functional: bool = True
    answering: bool = False
    offered: Callable[[Profile], bool] = lambda profile: True

    def fits(self, segments: tuple[str, ...]) -> bool:
        return len(self.path) == len(segments) and all(
            mine in ("*", theirs) for mine, theirs in zip(self.path, segments, strict=True)
        )


class _Then(web.Response):
    """Calls back once its last byte has been handed to the socket."""

    after: Callable[[], None] | None = None

    async def write_eof(self, data: bytes = b"") -> None:
        await super().write_eof(data)
        if self.after is not None:
            self.after()


class Server:
    """Serves all routes below ``/ocpi``.

    Args:
        first_use: told of each call with the token that it used.
        door: who is let in with a good token.
    """

    def __init__(
        self,
        connections: Connections,
        parties: Parties,
        config: OcpiConfig,
        clock: Clock,
        first_use: Callable[[Connection, InboundToken], None],
        door: Door,
    ) -> None:
        self._connections = connections
        self._parties = parties
        self._config = config
        self._clock = clock
        self._first_use = first_use
        self._door = door
        self._routes: list[Route] = []

    def add(self, *routes: Route) -> None:
        self._routes.extend(routes)

    def app(self) -> web.Application:
        """Return the part that is mounted at ``/ocpi``."""
        app = web.Application()
        app.router.add_route(hdrs.METH_ANY, "/{tail:.*}", self._serve)
        return app

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        began = monotonic()
        ids = {name: _id(request, name) for name in ("X-Request-ID", "X-Correlation-ID")}
        context = _Context()
        reply = await self._reply(request, ids["X-Request-ID"], context)
        headers = {**reply.headers, **ids, **self._routing(request, context)}
        body = reply.body(self._clock().replace(microsecond=0))
        response = _Then(
            body=outward(context.profile, body),
            status=reply.http,
            headers=headers,
            content_type="application/json",
        )
        response.after = reply.after
        log.info(
            "ocpi.answered",
            partner=context.partner,
            method=request.method,
            path="/".join(_segments(request)[:2]),  # further segments may be a card's number
            http=reply.http,
            code=reply.code,
            took_ms=round((monotonic() - began) * 1000, 1),
        )
        return response

    async def _reply(self, request: web.Request, request_id: str, context: _Context) -> Reply:
        try:
            return await self._handle(request, request_id, context)
        except OcpiError as error:
            return refusal(error)
        except StoreDown:
            return Reply(
                code=3000, message="try again later", http=503, headers={"Retry-After": "5"}
            )
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("ocpi.failed", method=request.method, path=_segments(request)[:2])
            return Reply(code=3000, message="our mistake", http=500)

    async def _handle(self, request: web.Request, request_id: str, context: _Context) -> Reply:
        caller, token, connection = self._identified(request)
        context.partner = connection.address
        context.profile = profile = self._connections.profile(caller.partner)
        segments = _segments(request)
        context.functional = self._functional(segments)
        route = self._route(request.method, segments, caller, token, profile)
        if route.functional and profile.routing_required:
            _routed(request)
        party = self._addressed(request) if route.functional else None
        context.party = party
        self._first_use(connection, token)
        speaker = self._speaker(request, connection, route)
        url = self._config.url(*segments)
        call = Call(
            replace(caller, partner=speaker.party),
            self._connections.get(speaker.party) or connection,
            request.method,
            tuple(s for own, s in zip(route.path, segments, strict=True) if own == "*"),
            inward_query(profile, request.query),
            await _body(request),
            url,
            party,
            request_id,
            request.rel_url.raw_query_string,
            profile,
            speaker.parties,
        )
        return await route.handler(call)

    def _speaker(self, request: web.Request, connection: Connection, route: Route) -> Speaker:
        """Say for whom a call is made; configuration modules are the connection's own."""
        if not route.functional or not dialect_of(connection.version).routed:
            return Speaker(connection.partner, frozenset({connection.partner}))
        country = request.headers.get("OCPI-from-country-code")
        return self._parties.speaker(connection, country, request.headers.get("OCPI-from-party-id"))

    def _identified(self, request: web.Request) -> tuple[Caller, InboundToken, Connection]:
        found = self._connections.caller(request.headers.get("Authorization"))
        connection = self._connections.own(found[0].partner) if found else None
        if found is None or connection is None or not self._door.lets_in(found[0].partner, request):
            raise Unauthorised("no valid credentials token")
        return *found, connection

    def _functional(self, segments: tuple[str, ...]) -> bool:
        """Whether an address is in a module with routing headers, even if nothing is there."""
        return any(r.functional and r.path[:2] == segments[:2] for r in self._routes)

    def _route(
        self,
        method: str,
        segments: tuple[str, ...],
        caller: Caller,
        token: InboundToken,
        profile: Profile,
    ) -> Route:
        fitting = [
            route for route in self._routes if route.fits(segments) and route.offered(profile)
        ]
        chosen = next((route for route in fitting if route.method == method), None)
        asked = chosen or (fitting[0] if fitting else None)
        if token.answering and not (chosen is not None and chosen.answering):
            raise Unauthorised("this token was exchanged")
        if caller.access is Access.REGISTRATION and not (
            asked is not None and asked.access is Access.REGISTRATION
        ):
            raise Unauthorised("this token is for registration only")
        if not fitting:
            raise NotThere("no such endpoint")
        if chosen is None:
            raise NotAllowed(f"{method} is not offered here", tuple(r.method for r in fitting))
        return chosen

    def _addressed(self, request: web.Request) -> str | None:
        country = request.headers.get("OCPI-to-country-code")
        party = request.headers.get("OCPI-to-party-id")
        if not country or not party:
            return None
        own = self._config.party(country, party)
        if own is None:
            raise BadParameter(f"OCPI-to: {country}*{party} is none of our parties")
        return own.id

    def _routing(self, request: web.Request, context: _Context) -> dict[str, str]:
        """Return the routing headers of the answer: the request's, swapped."""
        if not (context.functional and context.profile.routing_sent) or context.partner is None:
            return {}
        own = (context.party or self._config.parties[0].id).split("*")
        theirs = context.partner.split("*")
        return {
            "OCPI-from-country-code": own[0],
            "OCPI-from-party-id": own[1],
            "OCPI-to-country-code": request.headers.get("OCPI-from-country-code", theirs[0]),
            "OCPI-to-party-id": request.headers.get("OCPI-from-party-id", theirs[1]),
        }


@dataclass(slots=True)
class _Context:
    """What is known about a request by the time it is answered, however it ends."""

    partner: str | None = None
    functional: bool = False
    party: str | None = None
    profile: Profile = STANDARD


def _routed(request: web.Request) -> None:
    """Check that both ends of a routed request are named.

    Raises:
        BadParameter: naming the first header that is missing.
    """
    for name in ROUTING_HEADERS:
        if not request.headers.get(name):
            raise BadParameter(f"{name}: missing")


def _segments(request: web.Request) -> tuple[str, ...]:
    raw = request.rel_url.raw_path.split("/ocpi", 1)[-1]
    return tuple(unquote(each) for each in raw.strip("/").split("/"))


def _id(request: web.Request, name: str) -> str:
    value = request.headers.get(name, "")
    return value if 0 < len(value) <= 255 and value.isprintable() else str(uuid4())


async def _body(request: web.Request) -> bytes:
    body = bytearray()
    async for part in request.content.iter_any():
        body += part
        if len(body) > LARGEST_REQUEST_BYTES:
            raise TooLarge(f"more than {LARGEST_REQUEST_BYTES} bytes")
    return bytes(body)
