"""The partner's HTTP side: authenticates, misbehaves if told to, routes, answers, records.

Paths: ``/ocpi/versions``, ``/ocpi/<version>``, ``/ocpi/<version>/<module>/...`` and, for whoever steers
a simulator in another process, ``/_control/...`` (see ``simulators.emsp.control``).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from aiohttp import web

from simulators.emsp.client import RegistrationFailed, routing
from simulators.emsp.connection import Access, Party, mint_token
from simulators.emsp.control import control
from simulators.emsp.faults import Fault, Kind, Stage
from simulators.emsp.invoices import MODULE as INVOICES
from simulators.emsp.languages import SPEECHES
from simulators.emsp.presets import FORMS
from simulators.emsp.receivers import Push
from simulators.emsp.speech import Sent, Speech, Wrong
from simulators.emsp.store import Arrival
from simulators.emsp.wire import BadJson, Json, Reply, join, loads, now, stamp

if TYPE_CHECKING:
    from simulators.emsp.partner import Emsp

CONFIGURATION = ("versions", *SPEECHES, "credentials")
UNROUTED = (*CONFIGURATION, "hubclientinfo")
"""Modules without routing headers."""
RECEIVERS = ("locations", "sessions", "cdrs", "tariffs")
MAX_BODY = 16 * 1024 * 1024
EXCHANGE_SECONDS = 30
_FRACTION = re.compile(rb"T\d\d:\d\d:\d\d\.\d")


@dataclass(slots=True)
class Call:
    """One request on its way through the server."""

    request: web.Request
    arrival: Arrival
    segments: tuple[str, ...]
    speech: Speech
    raw: bytes = b""
    access: Access = Access.NOTHING

    @property
    def module(self) -> str:
        """OCPI module identifier; "versions" and the versions themselves count as modules here."""
        return self.arrival.module


class Handler(Protocol):
    """Serves one module."""

    def __call__(self, call: Call) -> Awaitable[Reply]: ...


class Hung(Exception):
    """The connection was cut on purpose: there is no answer to write."""


class Server:
    """Serves one `Emsp`.

    Args:
        host: address to listen on.
        port: 0 picks a free one, which is kept over `down` and `up`.
    """

    def __init__(self, emsp: Emsp, host: str, port: int) -> None:
        self._emsp = emsp
        self._host = host
        self.port = port
        self._runner: web.AppRunner | None = None
        self._handlers: dict[str, Handler] = {
            "versions": self._versions,
            **dict.fromkeys(emsp.versions, self._details),
            "credentials": self._credentials,
            "tokens": self._tokens,
            "commands": self._commands,
            "chargingprofiles": self._profiles,
            "hubclientinfo": self._client_info,
            INVOICES: self._invoices,
            **dict.fromkeys(RECEIVERS, self._receive),
        }

    async def up(self) -> None:
        """Listen."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/_control/{what}", self._control)
        app.router.add_route("*", "/ocpi/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def down(self) -> None:
        """Stop listening and cut what is open: connections are refused from now on."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    # -- the life of a request ---------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        call = self._arrived(request)
        self._emsp.arrived(call.arrival)
        try:
            response = await self._answer(call)
        except Hung:
            return web.Response()
        finally:
            self._emsp.answered(call.arrival)
        return response

    def _arrived(self, request: web.Request) -> Call:
        path = request.match_info["tail"].strip("/").split("/")
        known = path[0] in SPEECHES
        speech = self._emsp.preset.speech(path[0]) if known else self._emsp.speech
        if path[0] in self._emsp.versions and len(path) > 1:
            path = path[1:]
        arrival = Arrival(
            request.method,
            path[0],
            request.path_qs,
            path[-1] if len(path) > 1 else None,
            now(),
            time.monotonic(),
            dict(request.headers),
        )
        return Call(request, arrival, tuple(path[1:]), speech)

    async def _answer(self, call: Call) -> web.StreamResponse:
        call.raw = await call.request.read()
        call.arrival.body, broken = _parse(call.raw)
        if isinstance(call.arrival.body, dict) and call.module == "cdrs":
            call.arrival.object_id = call.arrival.body.get("id")
        for fault in self._emsp.faults.strike(Stage.BEFORE, call.module, call.arrival.method):
            if (response := await self._misbehave(fault, call)) is not None:
                return response
        if call.module not in CONFIGURATION:
            async with asyncio.timeout(EXCHANGE_SECONDS):
                await self._emsp.connection.settled.wait()
        reply = self._form(call, broken) or await self._handlers[call.module](call)
        return await self._write(call, reply)

    def _form(self, call: Call, broken: str | None) -> Reply | None:
        """Refuse what is wrong with the request whatever its module; note what is only odd."""
        emsp = self._emsp
        where = f"{call.arrival.method} {call.arrival.path}"
        call.access = emsp.connection.access(self._token(call))
        if call.module not in self._handlers:
            return Reply(2000, message="no such module", http=404)
        if not _opens(call.access, call.module):
            if call.module not in CONFIGURATION or self._access_anyhow(call) is Access.NOTHING:
                emsp.complain(where, "Authorization", "no valid token, or not in this form")
            return Reply(2000, message="unauthorised", http=401)
        mistakes = _header_mistakes(call, emsp.us) if call.speech.routed else []
        for name, reason in mistakes:
            emsp.complain(where, name, reason)
        if mistakes and emsp.preset.strict:
            rule = f"{mistakes[0][0]}: {mistakes[0][1]} ({FORMS})"
            return Reply(2001, message=rule)
        if emsp.preset.no_fractions and _FRACTION.search(call.raw):
            return Reply(2001, message="a moment with a fraction of a second", http=400)
        if broken:
            emsp.complain(where, "body", broken)
            return Reply(2001, message=broken, http=400)
        needs_body = call.arrival.method in ("POST", "PUT", "PATCH")
        if needs_body and not call.raw and call.segments[-1:] != ("authorize",):
            emsp.complain(where, "body", "missing")
            return Reply(2001, message="body missing", http=400)
        return None

    def _token(self, call: Call) -> str | None:
        return call.speech.token_of(call.request.headers.get("Authorization"))

    def _access_anyhow(self, call: Call) -> Access:
        """What the token opens in the form of any version: a CPO that does not know ours yet may
        have to try."""
        header = call.request.headers.get("Authorization")
        speeches = [self._emsp.preset.speech(each) for each in SPEECHES]
        found = [self._emsp.connection.access(each.token_of(header)) for each in speeches]
        return next((each for each in found if each is not Access.NOTHING), Access.NOTHING)

    async def _write(self, call: Call, reply: Reply) -> web.StreamResponse:
        headers = self._response_headers(call, reply)
        faults = self._emsp.faults.strike(Stage.AFTER, call.module, call.arrival.method)
        for fault in faults:
            match fault.kind:
                case Kind.CUT_AFTER:
                    self._cut(call)
                case Kind.CUT_WITHIN:
                    await self._cut_within(call, reply, headers)
                case Kind.SLOW_AFTER:
                    await _pause(fault)
                case Kind.HTTP_AFTER:
                    call.arrival.http = fault.http
                    return web.Response(status=fault.http, text="upstream error")
                case Kind.NO_LOCATION:
                    headers.pop("Location", None)
                case Kind.RELATIVE_LOCATION if "Location" in headers:
                    headers["Location"] = "/" + headers["Location"].split("/", 3)[3]
                case _:
                    pass
        call.arrival.http, call.arrival.status_code = reply.http, reply.code
        return web.Response(
            status=reply.http,
            body=reply.body(),
            headers=headers,
            content_type="application/json",
        )

    def _response_headers(self, call: Call, reply: Reply) -> dict[str, str]:
        headers = dict(reply.headers)
        if "Location" in headers:
            headers["Location"] = join(self._emsp.url(call.module), headers["Location"])
        for name in ("X-Request-ID", "X-Correlation-ID"):
            if value := call.request.headers.get(name):
                headers[name] = value
        if call.module not in UNROUTED and call.speech.routed:
            headers |= routing(sender=self._emsp.us, receiver=_sender(call.request))
        return headers

    # -- misbehaviour ------------------------------------------------------------------------

    async def _misbehave(self, fault: Fault, call: Call) -> web.StreamResponse | None:
        """Strike; ``None`` if the request is to be served all the same."""
        call.arrival.http = 200
        match fault.kind:
            case Kind.SLOW:
                call.arrival.http = None
                await _pause(fault)
                return None
            case Kind.CLOSE:
                self._cut(call)
            case Kind.BLACKHOLE:
                call.arrival.http = None
                await fault.released.wait()
                self._cut(call)
            case Kind.OCPI:
                return await self._write(call, Reply(fault.status_code, message="told to fail"))
            case Kind.BAD_JSON:
                return web.Response(body=b'{"status_code": 1000, ', content_type="application/json")
            case Kind.HUGE:
                return web.Response(body=b" " * fault.size, content_type="application/json")
            case Kind.DRIP:
                return await self._drip(fault, call)
            case Kind.REDIRECT:
                status = fault.http if 300 <= fault.http < 400 else 302
                call.arrival.http = status
                return web.Response(status=status, headers={"Location": fault.url})
            case Kind.RAW:
                call.arrival.http = fault.http
                raw = fault.body.encode()
                return web.Response(status=fault.http, body=raw, headers=fault.headers)
            case Kind.HTML:
                call.arrival.http = fault.http
                page = "<html><body>Sorry</body></html>"
                return web.Response(status=fault.http, text=page, content_type="text/html")
            case _:
                return self._plain(fault, call)

    def _plain(self, fault: Fault, call: Call) -> web.Response:
        call.arrival.http = fault.http
        after = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        return web.Response(status=fault.http, headers=after)

    def _cut(self, call: Call) -> NoReturn:
        """Reset the connection.

        Raises:
            Hung: always.
        """
        call.arrival.http = call.arrival.status_code = None
        if call.request.transport:
            call.request.transport.abort()
        raise Hung

    async def _cut_within(self, call: Call, reply: Reply, headers: dict[str, str]) -> None:
        body = reply.body()
        response = web.StreamResponse(status=reply.http, headers=headers)
        response.content_length = len(body)
        await response.prepare(call.request)
        await response.write(body[: len(body) // 2])
        if transport := call.request.transport:
            transport.close()
        call.arrival.http = call.arrival.status_code = None
        raise Hung

    async def _drip(self, fault: Fault, call: Call) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(call.request)
        try:
            while not fault.released.is_set():
                await response.write(b" ")
                await _pause(fault)
        except ConnectionError:
            raise Hung from None
        self._cut(call)

    # -- configuration modules ---------------------------------------------------------------

    async def _versions(self, call: Call) -> Reply:
        return Reply(
            data=[
                {"version": version, "url": self._emsp.address(version)}
                for version in self._emsp.versions
            ]
        )

    async def _details(self, call: Call) -> Reply:
        version = call.module
        if self._emsp.preset.details_404:
            return Reply(2000, message="Cannot GET this", http=404)
        endpoints = self._emsp.preset.speech(version).endpoints(self._emsp.endpoints(version))
        return Reply(data={"version": version, "endpoints": endpoints})

    async def _credentials(self, call: Call) -> Reply:
        emsp, connection = self._emsp, self._emsp.connection
        match call.arrival.method:
            case "GET":
                shown = {**emsp.credentials(), "token": self._token(call)}
                return Reply(data=call.speech.credentials(shown))
            case "POST" if call.access is Access.REGISTRATION and not connection.registered:
                return await self._exchange(call)
            case "PUT" if call.access is Access.EVERYTHING and connection.registered:
                return await self._exchange(call)
            case "DELETE" if call.access is Access.EVERYTHING and connection.registered:
                connection.forget()
                return Reply()
        return Reply(2000, message="not in this state of registration", http=405)

    async def _exchange(self, call: Call) -> Reply:
        """Take the CPO's credentials, look at its endpoints, answer with ours; from now on we
        speak the version of the address."""
        emsp, connection = self._emsp, self._emsp.connection
        try:
            theirs = call.speech.read_credentials(call.arrival.body)
        except Wrong as error:
            emsp.complain("credentials", error.field, str(error))
            return Reply(2001, message=error.field)
        try:
            details = await emsp.client.endpoints_of(theirs.url, theirs.token, call.speech)
        except RegistrationFailed as failed:
            emsp.complain("credentials", "url", str(failed))
            return Reply(failed.code, message=str(failed))
        connection.learn(theirs, details)
        emsp.client.speech = call.speech
        minted = mint_token()
        connection.accept(minted)
        connection.token_a = None
        return Reply(data=call.speech.credentials({**emsp.credentials(), "token": minted}))

    # -- functional modules ------------------------------------------------------------------

    async def _receive(self, call: Call) -> Reply:
        def repeated() -> Fault | None:
            struck = self._emsp.faults.strike(Stage.REPEATED, "cdrs", "POST")
            return struck[0] if struck else None

        bill = (call.arrival.method, call.module) == ("POST", "cdrs")
        if bill and self._emsp.preset.long_bills and len(call.segments) != 2:
            return Reply(2000, message="Cannot POST here", http=404)
        sent = Sent(call.arrival.method, call.module, call.segments, call.arrival.body)
        try:
            body = call.speech.lift(sent, self._emsp)
        except Wrong as error:
            where = f"{call.arrival.method} {call.arrival.path}"
            self._emsp.complain(where, error.field, f"{error} (OCPI {call.speech.version})")
            return Reply(2001, message=f"{error.field}: {error}")
        push = Push(
            call.arrival.method, call.module, call.segments, body, repeated, call.speech.shape
        )
        return self._in_their_words(call, self._emsp.receivers.serve(push))

    def _in_their_words(self, call: Call, reply: Reply) -> Reply:
        """Keep what was stored as it came, and show it so."""
        if reply.code != 1000 or not call.speech.translates:
            return reply
        version, originals = call.speech.version, self._emsp.originals
        location = reply.headers.get("Location")  # of a bill
        key = tuple(location.split("/")) if location else call.segments
        if call.arrival.method != "GET":
            originals.take(version, call.arrival.method, call.module, key, call.arrival.body)
            return reply
        return replace(reply, data=originals.get(version, call.module, key) or reply.data)

    async def _invoices(self, call: Call) -> Reply:
        return self._emsp.invoices.serve(call.arrival.method, call.segments, call.arrival.body)

    async def _tokens(self, call: Call) -> Reply:
        tokens, query = self._emsp.tokens, call.request.query
        match (call.arrival.method, *call.segments):
            case ("GET",):
                page = tokens.page(query, self._emsp.url("tokens"))
                if page.data is not None:
                    page.data[:] = [call.speech.token(each) for each in page.data]
                return page
            case ("POST", uid, "authorize"):
                kind = query.get("type", "RFID")
                await asyncio.sleep(tokens.script(uid, kind).seconds)
                reply = tokens.authorise(uid, kind, call.arrival.body)
                if reply.data is None:
                    return reply
                return Reply(reply.code, call.speech.authorisation(reply.data))
            case _:
                return Reply(2000, message="no such method", http=405)

    async def _commands(self, call: Call) -> Reply:
        where = f"{call.arrival.method} {call.arrival.path}"
        command = self._emsp.commands.get(call.segments[-1]) if call.segments else None
        if call.arrival.method != "POST" or command is None:
            self._emsp.complain(where, "path", "no command of ours")
            return Reply(2000, message="unknown command", http=404)
        try:
            result = call.speech.result(call.arrival.body)
        except Wrong as error:
            self._emsp.complain(where, error.field, f"no result of {call.speech.version}")
            return Reply(2001, message=error.field)
        self._emsp.take_result(command, result.result, where)
        return Reply()

    async def _profiles(self, call: Call) -> Reply:
        if self._emsp.profiles.receive(call.arrival.method, call.segments, call.arrival.body):
            return Reply()
        where = f"{call.arrival.method} {call.arrival.path}"
        self._emsp.complain(where, "path", "nothing of ours")
        return Reply(2000, message="nothing of ours", http=404)

    async def _client_info(self, call: Call) -> Reply:
        """What the hub tells of one party: kept by country code, party id and role."""
        clients = self._emsp.connection.clients
        match (call.arrival.method, *call.segments):
            case ("PUT", country, party) if isinstance(call.arrival.body, dict):
                info = call.arrival.body
                if not Party(country, party).same(
                    str(info.get("country_code")), str(info.get("party_id"))
                ):
                    return Reply(2001, message="party_id: differs from the path")
                self._emsp.connection.place(info)
                return Reply()
            case ("GET", country, party):
                ids = (country.upper(), party.upper())
                found = next((each for key, each in clients.items() if key[:2] == ids), None)
                return Reply(data=found) if found else Reply(2003, message="unknown", http=404)
            case _:
                pass
        return Reply(2000, message="no such method", http=405)

    # -- control from another process --------------------------------------------------------

    async def _control(self, request: web.Request) -> web.Response:
        return await control(self._emsp, request)


def _parse(raw: bytes) -> tuple[Any, str | None]:
    if not raw:
        return None, None
    try:
        return loads(raw), None
    except BadJson as error:
        return None, str(error)


def _opens(access: Access, module: str) -> bool:
    if module in CONFIGURATION:
        return access is not Access.NOTHING
    return access is Access.EVERYTHING


def _header_mistakes(call: Call, us: Party) -> list[tuple[str, str]]:
    headers, found = call.request.headers, []
    for name in ("X-Request-ID", "X-Correlation-ID"):
        if not headers.get(name):
            found.append((name, "missing"))
    if call.raw and call.request.content_type != "application/json":
        found.append(("Content-Type", f"{call.request.content_type} with a body"))
    present = [name for name in headers if name.upper().startswith(("OCPI-FROM", "OCPI-TO"))]
    if call.module in UNROUTED:
        found.extend((name, "not on a configuration module") for name in present)
        return found
    if _sender(call.request) is None:
        found.append(("OCPI-from", "missing on a functional module"))
    to = (headers.get("OCPI-to-country-code", ""), headers.get("OCPI-to-party-id", ""))
    if not us.same(*to):
        found.append(("OCPI-to", f"{'*'.join(to)} is not {us}"))
    return found


def _sender(request: web.Request) -> Party | None:
    country = request.headers.get("OCPI-from-country-code")
    party = request.headers.get("OCPI-from-party-id")
    return Party(country, party) if country and party else None


async def _pause(fault: Fault) -> None:
    """Wait the fault's seconds, or until it is cleared."""
    try:
        async with asyncio.timeout(fault.seconds):
            await fault.released.wait()
    except TimeoutError:
        pass


def ledger_line(arrival: Arrival) -> Json:
    """An arrival as a line of the ledger."""
    return {
        "kind": "request",
        "at": stamp(arrival.at),
        "method": arrival.method,
        "module": arrival.module,
        "path": arrival.path,
        "object_id": arrival.object_id,
        "body": arrival.body,
        "answered": {"http": arrival.http, "status_code": arrival.status_code},
    }
