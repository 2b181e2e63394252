"""The hub's HTTP side: registration and client info at home, everything else sent on.

Paths: ``/ocpi/versions``, ``/ocpi/<version>``, ``/ocpi/<version>/{credentials,hubclientinfo}``,
``/ocpi/<version>/{sender,receiver}/<module>/...`` and, for whoever steers a hub in another
process, ``/_control/...`` (see ``simulators.hub.control``).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from aiohttp import web

from simulators.emsp.client import RegistrationFailed, object_url, routing
from simulators.emsp.connection import Party, mint_token
from simulators.emsp.languages import SPEECHES
from simulators.emsp.speech import Wrong
from simulators.emsp.wire import BadJson, Json, Reply, join, loads, next_link
from simulators.hub.carrier import Carried
from simulators.hub.control import control
from simulators.hub.members import Client, Member, receivers, senders
from simulators.hub.passages import Passage
from simulators.hub.routes import (
    OWNED,
    Broadcast,
    Direct,
    Envelope,
    Everything,
    NoRoute,
    Open,
    bill_mistakes,
    owner_of,
    party_of,
    route,
)
from simulators.hub.trouble import Mode, Trouble

if TYPE_CHECKING:
    from simulators.hub.hub import Hub

UNKNOWN_RECEIVER = 4001
EXCHANGE_SECONDS = 30
MAX_BODY = 16 * 1024 * 1024
KEPT_HEADERS = ("X-Total-Count", "X-Limit", "Retry-After")
VIA = "via"
"""The path segment before a name that stands for a party's own URL."""


@dataclass(slots=True)
class Call:
    """One request on its way.

    Attributes:
        after: the path after the version.
    """

    request: web.Request
    version: str
    after: tuple[str, ...]
    body: Any = None
    member: Member | None = None
    answered_by: Party | None = None
    letter: Envelope | None = None
    ids: tuple[str | None, str | None] = (None, None)

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def platform(self) -> Member:
        """Who calls; only after authorisation."""
        assert self.member is not None
        return self.member


class Cut(Exception):
    """The connection was cut on purpose."""


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is passed back as it came."""

    http: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Server:
    """Serves one `Hub`.

    Args:
        port: 0 picks a free one, which is kept over `down` and `up`.
    """

    def __init__(self, hub: Hub, host: str, port: int) -> None:
        self._hub, self._host, self.port = hub, host, port
        self._runner: web.AppRunner | None = None
        self._aliases: dict[str, tuple[Client, str]] = {}
        self._lists: dict[str, list[Any]] = {}
        self._asked: dict[str, deque[float]] = {}

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
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _control(self, request: web.Request) -> web.Response:
        return await control(self._hub, request)

    # -- the life of a request ---------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        call = self._arrived(request)
        try:
            call.body = await _body(request)
            answer = self._gate(call) or await self._answer(call)
        except BadJson as error:
            answer = Reply(2001, message=f"body: {error}", http=400)
        except Cut:
            if request.transport:
                request.transport.abort()
            return web.Response()
        return self._write(call, answer)

    def _arrived(self, request: web.Request) -> Call:
        first, *rest = (part for part in request.match_info["tail"].split("/") if part)
        headers = request.headers
        ids = (headers.get("X-Request-ID"), headers.get("X-Correlation-ID"))
        if first in SPEECHES:
            return Call(request, first, tuple(rest), ids=ids)
        return Call(request, self._hub.versions[0], (first, *rest), ids=ids)

    def _gate(self, call: Call) -> Reply | None:
        """Refuse who has no token or comes at a bad time."""
        header = call.request.headers.get("Authorization")
        speech = SPEECHES[call.version]
        raw = (header or "").partition(" ")[2].strip()
        for token in (speech.token_of(header), raw):
            call.member = call.member or self._hub.directory.member_of(token)
        if call.member is None:
            return Reply(2000, message="unauthorised", http=401)
        return None

    async def _answer(self, call: Call) -> Reply | Raw:
        match call.after:
            case ("versions",):
                return Reply(
                    data=[
                        {"version": each, "url": self._hub.details_url(each)}
                        for each in self._hub.versions
                    ]
                )
            case () if call.version in self._hub.versions:
                endpoints = self._hub.endpoints(call.version)
                return Reply(data={"version": call.version, "endpoints": endpoints})
            case ("credentials",):
                return await self._credentials(call)
            case ("hubclientinfo",) if self._hub.profile.client_info and call.method == "GET":
                clients = [each.info() for each in self._hub.clients_for(call.platform)]
                return self._page(call, self._hub.address(call.version, "hubclientinfo"), clients)
            case ("sender" | "receiver" as interface, module, *rest):
                return await self._functional(call, interface.upper(), module, tuple(rest))
            case _:
                pass
        return Reply(2000, message="no such address", http=404)

    def _write(self, call: Call, answer: Reply | Raw) -> web.Response:
        headers = dict(answer.headers)
        for name, value in zip(("X-Request-ID", "X-Correlation-ID"), call.ids, strict=True):
            if value:
                headers[name] = value
        if call.letter is not None and self._hub.profile.routes:
            by = call.answered_by or call.letter.receiver or self._hub.us
            headers |= routing(sender=by, receiver=call.letter.sender)
        body = answer.body() if isinstance(answer, Reply) else answer.body
        return web.Response(
            status=answer.http, body=body, headers=headers, content_type="application/json"
        )

    # -- registration ------------------------------------------------------------------------

    async def _credentials(self, call: Call) -> Reply:
        hub, member = self._hub, call.platform
        match call.method:
            case "GET":
                return Reply(data={**hub.credentials(member, call.version), "token": "hidden"})
            case "DELETE" if member.registered:
                hub.leave(member)
                return Reply()
            case "POST" | "PUT" if (call.method == "PUT") == member.registered:
                return await self._exchange(call, member)
        return Reply(2000, message="not in this state of registration", http=405)

    async def _exchange(self, call: Call, member: Member) -> Reply:
        hub = self._hub
        try:
            theirs = SPEECHES[call.version].read_credentials(call.body)
            await hub.look_at(member, theirs, call.version)
        except Wrong as error:
            hub.complain("credentials", error.field, str(error))
            return Reply(2001, message=f"{error.field}: {error}")
        except RegistrationFailed as failed:
            return Reply(failed.code, message=str(failed))
        hub.settled(member)
        return Reply(data={**hub.credentials(member, call.version), "token": member.mint()})

    # -- functional modules ------------------------------------------------------------------

    async def _functional(
        self, call: Call, interface: str, module: str, segments: tuple[str, ...]
    ) -> Reply | Raw:
        async with asyncio.timeout(EXCHANGE_SECONDS):
            await call.platform.settled.wait()
        headers = call.request.headers
        sender = party_of(headers, "from")
        if sender is None and not self._hub.profile.routes:
            sender = _only(call.platform)
        receiver = party_of(headers, "to")
        letter = Envelope(call.method, interface, module, segments, sender, receiver, call.body)
        call.letter = letter
        if refusal := await self._refusal(call, letter):
            return self._alone(letter, refusal)
        if segments[:1] == (VIA,):
            return await self._by_alias(call, letter)
        match route(letter, self._hub.us, headers=self._hub.profile.routes):
            case Direct(party):
                return await self._direct(call, letter, party)
            case Broadcast():
                return self._broadcast(call, letter)
            case Everything():
                return await self._everything(call, letter)
            case Open():
                return await self._open(call, letter)
            case NoRoute(code, reason):
                self._hub.complain(letter.where, "OCPI-to", reason)
                return self._alone(letter, Reply(code, message=reason))

    def _alone(self, letter: Envelope, reply: Reply) -> Reply:
        """Answer without asking anybody, and write that down."""
        self._record(letter, "hub", letter.receiver, None, reply.http, reply.code)
        return reply

    async def _refusal(self, call: Call, letter: Envelope) -> Reply | None:
        who = None if letter.sender is None else str(letter.sender)
        return (
            await self._misbehaviour(letter.module, who)
            or self._wrong_sender(call, letter)
            or self._not_accepted(letter)
            or self._too_often(letter)
        )

    def _wrong_sender(self, call: Call, letter: Envelope) -> Reply | None:
        hub = self._hub
        for name, value in zip(("X-Request-ID", "X-Correlation-ID"), call.ids, strict=True):
            if not value:
                hub.complain(letter.where, name, "missing")
        if letter.sender is None or not call.platform.has(letter.sender):
            hub.complain(letter.where, "OCPI-from", f"{letter.sender} is no party of the caller")
            return Reply(2001, message="OCPI-from: no party of yours")
        return None

    def _not_accepted(self, letter: Envelope) -> Reply | None:
        accepts, key = self._hub.profile.accepts, (letter.module, letter.method)
        if accepts is not None and letter.method != "GET" and key not in accepts:
            self._hub.complain(letter.where, "method", "not accepted by this hub")
            return Reply(2000, message="method not allowed", http=405)
        bill = self._hub.profile.checks_bills and key == ("cdrs", "POST")
        if bill and (mistakes := bill_mistakes(letter.body)):
            self._hub.complain(letter.where, "cdr", mistakes[0])
            return Reply(2001, message=mistakes[0])
        return self._leak(letter)

    def _leak(self, letter: Envelope) -> Reply | None:
        """A session or bill that is addressed to another party than its token's."""
        owner, to = owner_of(letter.body), letter.receiver
        if letter.module not in OWNED or owner is None or to is None:
            return None
        if owner.same(to.country_code, to.party_id):
            return None
        if not to.same(self._hub.us.country_code, self._hub.us.party_id):
            self._hub.complain(letter.where, "cdr_token", f"{owner}'s, sent to {to}: a leak")
        return None

    def _too_often(self, letter: Envelope) -> Reply | None:
        """The hub's own limit of real-time authorisations."""
        most = self._hub.profile.authorize_per_minute
        if most is None or letter.segments[-1:] != ("authorize",):
            return None
        asked = self._asked.setdefault(str(letter.sender), deque())
        now = time.monotonic()
        while asked and asked[0] <= now - 60:
            asked.popleft()
        if len(asked) >= most:
            after = {"Retry-After": str(int(60 - (now - asked[0])) + 1)}
            return Reply(2000, message="too many authorisations", http=429, headers=after)
        asked.append(now)
        return None

    async def _misbehaviour(self, module: str, who: str | None) -> Reply | None:
        """Strike; ``None`` if the request is to be served all the same."""
        troubles = self._hub.troubles
        if troubles.strike(module, who, Mode.DEAD):
            raise Cut
        if slow := troubles.strike(module, who, Mode.SLOW):
            await asyncio.sleep(slow.seconds)
        struck = troubles.strike(
            module, who, Mode.REJECT, Mode.RATE_LIMIT, Mode.RANDOM_500, Mode.AUTH_FAIL
        )
        return None if struck is None else _told_to_fail(struck)

    # -- to one party ------------------------------------------------------------------------

    async def _direct(self, call: Call, letter: Envelope, party: Party) -> Reply | Raw:
        kinds = receivers if letter.interface == "RECEIVER" else senders
        client = self._hub.directory.find(party, *kinds(letter.module))
        if client is None or client.member is call.member:
            reason = f"{party} is no receiver of {letter.module} here"
            return self._alone(letter, Reply(UNKNOWN_RECEIVER, message=reason))
        return await self._through(call, letter, client, "direct")

    async def _through(self, call: Call, letter: Envelope, client: Client, how: str) -> Reply | Raw:
        url = self._url_at(client, letter)
        if url is None and client.reachable:
            reason = f"{client.party} offers no {letter.module}"
            return self._alone(letter, Reply(UNKNOWN_RECEIVER, message=reason))
        return await self._send(call, letter, client, url or "", how)

    def _url_at(self, client: Client, letter: Envelope) -> str | None:
        ends = client.member.endpoints if client.member else {}
        base = ends.get((letter.module, letter.interface))
        return None if base is None else object_url(base, *letter.segments)

    async def _send(self, call: Call, letter: Envelope, client: Client, url: str, how: str) -> Raw:
        url = self._with_query(call, client, url)
        answer = await self._hub.carrier.ask(
            client,
            letter.method,
            url,
            self._rewritten(call, letter, client),
            sender=letter.sender,
            correlation_id=call.ids[1],
        )
        self._record(letter, how, client.party, answer.request_id, answer.http, answer.code, call)
        call.answered_by = answer.by or letter.receiver
        return Raw(answer.http, answer.raw, self._headers_back(call, letter, client, answer))

    def _with_query(self, call: Call, client: Client, url: str) -> str:
        """*url* with the caller's query, in which a response_url is ours."""
        query = call.request.rel_url.raw_query_string
        if not query:
            return url
        mine = self._caller(call)
        if mine is not None and "response_url" in call.request.query:
            theirs = call.request.query["response_url"]
            ours = self._alias(call, mine, theirs, "sender", _module(call))
            query = urlencode({**call.request.query, "response_url": ours})
        return url + ("&" if "?" in url else "?") + query

    def _rewritten(self, call: Call, letter: Envelope, client: Client) -> Any:
        """The body as it is sent on: response_url leads through the hub."""
        mine = self._caller(call)
        if not isinstance(letter.body, dict) or "response_url" not in letter.body or mine is None:
            return letter.body
        segments = letter.segments[:1] if letter.module == "commands" else ()
        url = letter.body["response_url"]
        ours = self._alias(call, mine, url, "sender", letter.module, *segments)
        return {**letter.body, "response_url": ours}

    def _caller(self, call: Call) -> Client | None:
        sender = call.letter.sender if call.letter else None
        return self._hub.directory.find(sender) if sender else None

    def _headers_back(
        self, call: Call, letter: Envelope, client: Client, answer: Carried
    ) -> dict[str, str]:
        """Of the answer's headers those that go back; links lead through the hub."""
        found = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
        interface = letter.interface.lower()
        if link := next_link(answer.headers):
            ours = self._alias(call, client, link, interface, letter.module)
            found["Link"] = f'<{ours}>; rel="next"'
        if place := answer.headers.get("Location"):
            found["Location"] = self._alias(call, client, place, interface, letter.module)
        return found

    def _alias(self, call: Call, client: Client, url: str, *segments: str) -> str:
        """A URL of ours that stands for *url* of *client*."""
        name = mint_token()
        self._aliases[name] = (client, url)
        interface, module, *more = segments
        return self._hub.address(call.version, interface, module, VIA, name, *more)

    async def _by_alias(self, call: Call, letter: Envelope) -> Reply | Raw:
        name = letter.segments[1] if len(letter.segments) > 1 else ""
        if name in self._lists:
            url = self._hub.address(
                call.version, letter.interface.lower(), letter.module, VIA, name
            )
            return self._page(call, url, self._lists[name])
        if name not in self._aliases:
            return self._alone(letter, Reply(2003, message="no such address", http=404))
        client, url = self._aliases[name]
        to = letter.receiver
        if to is not None and not client.party.same(to.country_code, to.party_id):
            self._hub.complain(letter.where, "OCPI-to", f"{to} instead of {client.party}")
            return self._alone(letter, Reply(UNKNOWN_RECEIVER, message=f"{to} is not there"))
        return await self._send(call, letter, client, url, "direct")

    # -- to everybody ------------------------------------------------------------------------

    def _broadcast(self, call: Call, letter: Envelope) -> Reply:
        """To every party of the other side, in order for each; the sender need not wait."""
        reached = [
            client
            for client in self._hub.directory.all(*receivers(letter.module))
            if client.member is not call.member and client.reachable
        ]
        if self._hub.troubles.strike(letter.module, str(letter.sender), Mode.PARTIAL):
            reached = reached[:1]
        self._hub.record(
            replace(self._passage(letter, "hub", self._hub.us, call), http=200, code=1000)
        )
        for client in reached:
            if (url := self._url_at(client, letter)) is not None:
                url = self._with_query(call, client, url)
                passage = self._passage(letter, "broadcast", client.party, call)
                self._hub.carrier.queue(client, replace(passage, path=url))
        call.answered_by = self._hub.us
        return Reply()

    async def _open(self, call: Call, letter: Envelope) -> Reply | Raw:
        """One party after the other, until one knows what it is about."""
        kinds = receivers if letter.interface == "RECEIVER" else senders
        last: Raw | None = None
        for client in self._hub.directory.all(*kinds(letter.module)):
            url = self._url_at(client, letter)
            if client.member is call.member or not client.reachable or url is None:
                continue
            last = await self._send(call, letter, client, url, "open")
            if last.http != 404 and _code(last) not in (2003, 2004, 4002, 4003):
                return last
        if last is not None and last.http == 404 or last is not None and _code(last) < 4000:
            return last
        call.answered_by = self._hub.us
        return self._alone(letter, Reply(UNKNOWN_RECEIVER, message="nobody knows this"))

    async def _everything(self, call: Call, letter: Envelope) -> Reply:
        """The lists of all parties as one; read once, and kept for the pages that follow."""
        call.answered_by = self._hub.us
        found: list[Any] = []
        for client in self._hub.directory.all(*senders(letter.module)):
            if client.member is not call.member and client.reachable:
                found += await self._list_of(call, letter, client)
        name = mint_token()
        self._lists[name] = found
        url = self._hub.address(call.version, "sender", letter.module, VIA, name)
        reply = self._page(call, url, found)
        return self._alone(letter, reply)

    async def _list_of(self, call: Call, letter: Envelope, client: Client) -> list[Any]:
        url = self._url_at(client, letter)
        dates = {k: v for k, v in call.request.query.items() if k in ("date_from", "date_to")}
        found: list[Any] = []
        if url is not None and dates:
            url += "?" + urlencode(dates, quote_via=quote)
        while url is not None:
            answer = await self._hub.carrier.ask(
                client, "GET", url, None, sender=letter.sender, correlation_id=call.ids[1]
            )
            self._record(
                letter, "all", client.party, answer.request_id, answer.http, answer.code, call
            )
            page = (answer.envelope or {}).get("data")
            found += page if isinstance(page, list) else []
            url = next_link(answer.headers)
        return found

    def _page(self, call: Call, url: str, items: list[Any]) -> Reply:
        """One page of a list of ours."""
        troubles, module = self._hub.troubles, _module(call)
        who = None if call.letter is None else str(call.letter.sender)
        most = self._hub.profile.page_limit
        try:
            offset = int(call.request.query.get("offset", 0))
            limit = min(int(call.request.query.get("limit", most)), most)
        except ValueError:
            return Reply(2001, message="offset, limit: whole numbers")
        stress = troubles.strike(module, who, Mode.PAGINATION_STRESS)
        limit = 1 if stress else limit
        shown, skip = items[offset : offset + limit], limit
        if stress and call.request.query.get("breath") != "taken":
            shown, skip = [], 0
        headers = {"X-Total-Count": str(len(items)), "X-Limit": str(1 if stress else most)}
        if offset + skip < len(items):
            kept = {**call.request.query, "offset": str(offset + skip), "limit": str(limit)}
            kept.pop("breath", None)
            if stress and skip == 0:
                kept["breath"] = "taken"
            headers["Link"] = f'<{join(url)}?{urlencode(kept)}>; rel="next"'
        elif troubles.strike(module, who, Mode.PARTIAL):
            shown = shown[:-1]
        return Reply(data=shown, headers=headers)

    # -- writing down ------------------------------------------------------------------------

    def _passage(
        self, letter: Envelope, how: str, to: Party | None, call: Call | None = None
    ) -> Passage:
        return Passage(
            how,
            letter.method,
            letter.module,
            "/".join(letter.segments),
            str(letter.sender) if letter.sender else None,
            str(to) if to else None,
            letter.body,
            call.ids[1] if call else None,
            (call.ids[0] if call else None, None),
        )

    def _record(
        self,
        letter: Envelope,
        how: str,
        to: Party | None,
        request_id: str | None,
        http: int,
        code: int | None,
        call: Call | None = None,
    ) -> None:
        passage = self._passage(letter, how, to, call)
        passage.request_ids = (passage.request_ids[0], request_id)
        passage.http, passage.code = http, code
        self._hub.record(passage)


async def _body(request: web.Request) -> Any:
    raw = await request.read()
    return loads(raw) if raw else None


def _only(member: Member) -> Party | None:
    """The one party of a platform that puts none in its headers."""
    role = member.roles[0] if member.roles else None
    return Party(role["country_code"], role["party_id"]) if role else None


def _module(call: Call) -> str:
    return call.letter.module if call.letter else call.after[0]


def _code(answer: Raw) -> int:
    try:
        found: Json = loads(answer.body)
    except BadJson:
        return 0
    return int(found.get("status_code", 0))


def _told_to_fail(struck: Trouble) -> Reply:
    match struck.mode:
        case Mode.RATE_LIMIT:
            after = {"Retry-After": str(max(1, round(struck.seconds)))}
            return Reply(2000, message="too many requests", http=429, headers=after)
        case Mode.RANDOM_500:
            return Reply(3000, message="internal error", http=500)
        case Mode.AUTH_FAIL:
            return Reply(2000, message="unauthorised", http=401)
        case _:
            return Reply(struck.code, message="rejected by the hub")
