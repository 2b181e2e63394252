"""The partner's calls to the CPO: registration, pulling, and plain requests with an envelope."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from yarl import URL

from simulators.emsp.connection import Connection, Party, mint_token
from simulators.emsp.models import VersionDetails
from simulators.emsp.speech import Speech, Wrong
from simulators.emsp.wire import (
    BadJson,
    Json,
    dumps,
    join,
    loads,
    moment,
    next_link,
    stamp,
)

NEEDED = [("locations", "SENDER"), ("tokens", "RECEIVER"), ("commands", "RECEIVER")]
"""Without these endpoints of the CPO the registration makes no sense (3003)."""


class RegistrationFailed(Exception):
    """The CPO could not be registered with.

    Attributes:
        code: the OCPI status_code that says why: 3001, 3002, 3003, or the CPO's own.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """What the CPO answered.

    Attributes:
        code: OCPI status_code; ``None`` if there was no envelope.
        problem: what is wrong with the form of the answer; ``None`` if nothing.
    """

    http: int
    code: int | None
    data: Any
    headers: Mapping[str, str]
    message: str | None = None
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """HTTP 2xx and OCPI 1xxx: only both together are success."""
        return 200 <= self.http < 300 and self.code is not None and 1000 <= self.code < 2000


class Client:
    """Calls one CPO.

    Args:
        connection: read for every call, so that a new token counts at once.
        us: the party that we are.
        speech: the version of OCPI that we speak with it.
        timeout: seconds per request.
    """

    def __init__(
        self, connection: Connection, us: Party, speech: Speech, timeout: float = 30.0
    ) -> None:
        self._connection = connection
        self._us = us
        self.speech = speech
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._http: aiohttp.ClientSession | None = None
        self.one_page: int | None = None
        """Reads the first so many objects of a list only."""
        self.answers: list[tuple[str, str, Answer]] = []

    async def close(self) -> None:
        """Close all connections to the CPO."""
        if self._http:
            await self._http.close()
            self._http = None

    async def request(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        token: str | None = None,
        functional: bool = True,
        speech: Speech | None = None,
        receiver: Party | None = None,
        open_routing: bool = False,
    ) -> Answer:
        """Send one request and read its envelope.

        Args:
            speech: in place of the agreed one.
            token: credentials token; default: the one that the CPO gave us.
            functional: with OCPI-from/to headers; configuration modules have none.
            receiver: whom it is for; default: the hub, or the one CPO.
            open_routing: names no receiver; the hub has to find out.

        Raises:
            aiohttp.ClientError, TimeoutError: no answer.
        """
        speech = speech or self.speech
        headers = self._headers(token or self._connection.outbound or "", speech)
        if functional and speech.routed:
            them = None if open_routing else receiver or self._connection.default_receiver
            headers |= routing(sender=self._us, receiver=them)
        payload = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            payload = dumps(body)
        async with self._session().request(
            method, URL(url, encoded=True), data=payload, headers=headers, allow_redirects=False
        ) as response:
            answer = _read(response, await response.read(), headers)
        self.answers.append((method, url, answer))
        return answer

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._http = aiohttp.ClientSession(timeout=self._timeout, connector=connector)
        return self._http

    def _headers(self, token: str, speech: Speech) -> dict[str, str]:
        return {
            "Authorization": speech.authorization(token),
            "X-Request-ID": str(uuid.uuid4()),
            "X-Correlation-ID": str(uuid.uuid4()),
        }

    # -- registration ------------------------------------------------------------------------

    async def endpoints_of(
        self, versions_url: str, token: str, speech: Speech | None = None
    ) -> VersionDetails:
        """Fetch the CPO's versions and the details of the one that we (shall) speak.

        Raises:
            RegistrationFailed: 3001 not usable, 3002 not this version, 3003 endpoints missing.
        """
        speech = speech or self.speech
        wanted = speech.version
        versions = await self._configuration(versions_url, token, speech)
        urls = [v["url"] for v in versions if isinstance(v, dict) and v.get("version") == wanted]
        if not urls:
            raise RegistrationFailed(3002, f"{versions_url} offers no {wanted}")
        try:
            details = speech.details(await self._configuration(urls[0], token, speech))
        except Wrong as error:
            raise RegistrationFailed(3001, f"{error.field}: {error}") from error
        offered = {(e.identifier, e.role) for e in details.endpoints}
        if missing := [need for need in NEEDED if need not in offered]:
            raise RegistrationFailed(3003, f"endpoints missing: {missing}")
        return details

    async def _configuration(self, url: str, token: str, speech: Speech) -> Any:
        try:
            answer = await self.request("GET", url, token=token, functional=False, speech=speech)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise RegistrationFailed(3001, f"{url}: {type(error).__name__}") from error
        if not answer.ok or not answer.data:
            raise RegistrationFailed(3001, f"{url}: HTTP {answer.http}, OCPI {answer.code}")
        return answer.data

    async def register(self, versions_url: str, token_a: str, ours: Json) -> None:
        """Register as the side that begins.

        *ours* are our credentials without the token; our token B is minted here and is valid
        before the POST leaves, because the CPO calls back while it is open.

        Raises:
            RegistrationFailed: nothing is kept.
        """
        details = await self.endpoints_of(versions_url, token_a)
        url = credentials_url(details)
        await self._exchange("POST", url, token_a, ours, details, self.speech)

    async def update(self, ours: Json, speech: Speech | None = None) -> None:
        """Renew both tokens by PUT; the old ones stay in force if that fails.

        *speech*: of a version to move to.

        Raises:
            RegistrationFailed: nothing changes.
        """
        url, token = self._connection.versions_url, self._connection.outbound
        if url is None or token is None:
            raise RegistrationFailed(2000, "not registered")
        speech = speech or self.speech
        details = await self.endpoints_of(url, token, speech)
        await self._exchange("PUT", credentials_url(details), token, ours, details, speech)

    async def _exchange(
        self,
        method: str,
        url: str,
        token: str,
        ours: Json,
        details: VersionDetails,
        speech: Speech,
    ) -> None:
        inbound = mint_token()
        self._connection.inbound.add(inbound)
        self._connection.settled.clear()
        try:
            body = speech.credentials({**ours, "token": inbound})
            answer = await self.request(
                method, url, body, token=token, functional=False, speech=speech
            )
            if not answer.ok:
                raise RegistrationFailed(answer.code or 3001, f"{method} {url}: {answer.http}")
            try:
                credentials = speech.read_credentials(answer.data)
            except Wrong as error:
                raise RegistrationFailed(3001, f"{error.field}: {error}") from error
            self._connection.learn(credentials, details)
            self.speech = speech
            self._connection.accept(inbound)
        except BaseException:
            self._connection.inbound.discard(inbound)
            raise
        finally:
            self._connection.settled.set()

    async def unregister(self) -> Answer:
        """DELETE our credentials at the CPO; on success the connection is forgotten."""
        url = self._connection.endpoints["credentials", self._credentials_role()]
        answer = await self.request("DELETE", url, functional=False)
        if answer.ok:
            self._connection.forget()
        return answer

    def _credentials_role(self) -> str:
        return next(role for name, role in self._connection.endpoints if name == "credentials")

    # -- pulling -----------------------------------------------------------------------------

    async def pages(
        self,
        module: str,
        *,
        limit: int | None = None,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
    ) -> AsyncIterator[Answer]:
        """The pages of the CPO's list of *module*, by following rel="next" verbatim.

        Raises:
            ValueError: a next link that repeats, or leads to another host.
        """
        filters: dict[str, str] = {}
        if date_from:
            filters["date_from"] = stamp(date_from)
        if date_to:
            filters["date_to"] = stamp(date_to)
        if self.one_page is not None:
            filters |= {"limit": str(self.one_page), "offset": "0"}
        elif limit is not None:
            filters["limit"] = str(limit)
        first = self._connection.endpoints[module, "SENDER"]
        url: str | None = f"{first}?{urlencode(filters)}" if filters else first
        seen: set[str] = set()
        while url:
            if url in seen or urlsplit(url).netloc != urlsplit(first).netloc:
                raise ValueError(f"next link repeats or leaves the host: {url}")
            seen.add(url)
            answer = await self.request("GET", url)
            yield answer
            goes_on = answer.ok and self.one_page is None
            url = next_link(answer.headers) if goes_on else None

    async def pull(self, module: str, **filters: Any) -> list[Json]:
        """All objects of *module* over all pages; see `pages` for the filters.

        Raises:
            ValueError: a page that is no success, or no list.
        """
        found: list[Json] = []
        async for page in self.pages(module, **filters):
            if not page.ok or not isinstance(page.data, list):
                raise ValueError(f"GET {module}: HTTP {page.http}, OCPI {page.code}")
            found.extend(page.data)
        return found


def routing(*, sender: Party | None, receiver: Party | None) -> dict[str, str]:
    """The OCPI-from and OCPI-to headers; an unknown party has none."""
    headers: dict[str, str] = {}
    for word, party in (("from", sender), ("to", receiver)):
        if party:
            headers[f"OCPI-{word}-country-code"] = party.country_code
            headers[f"OCPI-{word}-party-id"] = party.party_id
    return headers


def credentials_url(details: VersionDetails) -> str:
    """The credentials endpoint; its role is ignored, as the specification's note says.

    Raises:
        RegistrationFailed: there is none.
    """
    for endpoint in details.endpoints:
        if endpoint.identifier == "credentials":
            return endpoint.url
    raise RegistrationFailed(3003, "no credentials endpoint")


def object_url(base: str, *segments: str, **query: str) -> str:
    """*base* with path *segments* and a *query*, percent-encoded."""
    url = join(base, *(quote(part, safe="*") for part in segments))
    if not query:
        return url
    return url + ("&" if "?" in url else "?") + urlencode(query)


def _read(response: aiohttp.ClientResponse, raw: bytes, asked: Mapping[str, str]) -> Answer:
    try:
        envelope = loads(raw)
    except BadJson as error:
        return Answer(response.status, None, None, response.headers, None, str(error))
    if not isinstance(envelope, dict) or type(envelope.get("status_code")) is not int:
        problem = "no envelope with an integer status_code"
        return Answer(response.status, None, None, response.headers, None, problem)
    return Answer(
        response.status,
        envelope["status_code"],
        envelope.get("data"),
        response.headers,
        envelope.get("status_message"),
        _problem(envelope, response.headers, asked),
    )


def _problem(envelope: Json, headers: Mapping[str, str], asked: Mapping[str, str]) -> str | None:
    try:
        moment(str(envelope.get("timestamp")))
    except ValueError as error:
        return f"timestamp: {error}"
    for name in ("X-Request-ID", "X-Correlation-ID"):
        if headers.get(name) != asked[name]:
            return f"{name} was not echoed"
    return None
