"""The checker's client: one request at a time, at a polite pace, each exchange kept."""

from __future__ import annotations

import asyncio
import base64
import io
import uuid
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import aiohttp
from yarl import URL

from ocpi_check.exchange import Exchange, NoAnswer, blacked_out, curl
from ocpi_check.wire import BadJson, Json, authorization, dumps, loads

CONFIGURATION = ("versions", "details", "credentials", "hubclientinfo")
LARGEST_ANSWER_BYTES = 32 * 1024 * 1024
OMIT = ""
"""As a header's value: leave that header out."""


@dataclass(slots=True)
class Client:
    """Asks the party under test.

    Attributes:
        version: which way tokens are written, and whether there are routing headers.
        token: what we authenticate with unless a request says otherwise.
        us, them: country code and party id of either side, for routing headers.
        timeout: seconds per request.
        pace: most requests per second; 0 = as fast as answers come.
        kept: every exchange, in order.
        secrets: what is blacked out.
    """

    version: str
    token: str | None = None
    us: tuple[str, str] | None = None
    them: tuple[str, str] | None = None
    timeout: float = 15.0
    pace: float = 20.0
    kept: list[Exchange] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    _http: aiohttp.ClientSession | None = None
    _next: float = 0.0

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    def hide(self, secret: str) -> None:
        """Black *secret* out from now on, raw and encoded."""
        if len(secret) >= 6:
            self.secrets |= {secret, base64.b64encode(secret.encode()).decode()}

    async def ask(
        self,
        module: str,
        method: str,
        url: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        token: str | None = None,
        header: str | None = None,
        more: dict[str, str] | None = None,
    ) -> Exchange:
        """Send one request.

        Args:
            module: whose interface *url* is.
            raw: bytes in place of a JSON *body*.
            token: in place of ours.
            header: a whole Authorization header in place of a token's; "" sends none.
            more: headers laid over the usual ones; an empty value leaves one out.

        Raises:
            NoAnswer: nothing came back.
        """
        functional = module not in CONFIGURATION
        content = raw if raw is not None else None if body is None else dumps(body)
        sent = self._headers(functional, content is not None, token, header) | (more or {})
        sent = {name: value for name, value in sent.items() if value != OMIT}
        await self._wait()
        try:
            exchange = await self._exchange(module, functional, method, url, sent, content)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            why = f"{type(error).__name__} {error}".strip()
            request = blacked_out(curl(method, url, sent, content), self.secrets)
            raise NoAnswer(request, blacked_out(why, self.secrets)) from None
        self.kept.append(exchange)
        return exchange

    async def _exchange(
        self,
        module: str,
        functional: bool,
        method: str,
        url: str,
        sent: dict[str, str],
        content: bytes | None,
    ) -> Exchange:
        payload = None if content is None else io.BytesIO(content)
        async with self._session().request(
            method,
            URL(url, encoded=True),
            data=payload,
            headers=sent,
            allow_redirects=False,
        ) as answer:
            raw = await answer.content.read(LARGEST_ANSWER_BYTES)
            while more := await answer.content.read(LARGEST_ANSWER_BYTES - len(raw)):
                raw += more
            envelope, trouble = _read(raw)
            return Exchange(
                module, functional, method, url, sent, content, answer.status,
                answer.headers.copy(), raw, envelope, trouble, frozenset(self.secrets),
            )  # fmt: skip

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=self.timeout)
            headers = {"User-Agent": "cms-ocpi-check"}
            self._http = aiohttp.ClientSession(
                timeout=timeout, headers=headers, skip_auto_headers=["Content-Type"]
            )
        return self._http

    def _headers(
        self, functional: bool, has_body: bool, token: str | None, header: str | None
    ) -> dict[str, str]:
        found: Json = {
            "X-Request-ID": str(uuid.uuid4()),
            "X-Correlation-ID": str(uuid.uuid4()),
        }
        used = token or self.token
        if header is not None:
            found["Authorization"] = header
        elif used is not None:
            found["Authorization"] = authorization(used, self.version)
        if has_body:
            found["Content-Type"] = "application/json"
        return found | (self.routing() if functional else {})

    def routing(self) -> dict[str, str]:
        """The OCPI-from and OCPI-to headers, as far as both sides are known."""
        if self.version == "2.1.1":
            return {}
        found: dict[str, str] = {}
        for word, party in (("from", self.us), ("to", self.them)):
            if party is not None:
                found[f"OCPI-{word}-country-code"], found[f"OCPI-{word}-party-id"] = party
        return found

    async def _wait(self) -> None:
        """Not more often than *pace*."""
        if self.pace <= 0:
            return
        due, self._next = self._next, max(self._next, monotonic()) + 1 / self.pace
        await asyncio.sleep(max(0.0, due - monotonic()))


def _read(raw: bytes) -> tuple[Any, str | None]:
    if not raw:
        return None, "no body"
    try:
        return loads(raw), None
    except BadJson as error:
        return None, str(error)
