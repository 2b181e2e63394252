"""The one door to partners' addresses: checked, bounded, without redirects.

Whatever address a partner gives us (versions, endpoints, response_url, Location, next links) is
requested through here and nowhere else. The name is resolved by our own resolver, every address
is checked, and the connection goes to exactly the checked address: a second look-up in between
cannot lead elsewhere.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from time import monotonic

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from ocpi_cpo.answers import Heard, Silence
from ocpi_cpo.config import OwnCertificate

LARGEST_ANSWER_BYTES = 1024 * 1024
LONGEST_URL = 255
_CONNECT_SECONDS = 5.0
_PUSHES_AT_ONCE = 32
"""Connections to one host for whatever may wait a moment."""
_DRIVERS_AT_ONCE = 512
"""... for what a driver waits for. Each charger asks one thing at a time, so as a rule this holds a
whole city's; who queues loses patience before it is their turn."""
_EMBEDDING = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
_PLAIN = re.compile(r"[!-\[\]-~]+")
_METADATA = frozenset({ip_address("169.254.169.254"), ip_address("fd00:ec2::254")})


class ForbiddenAddress(OSError):
    """The address may not be spoken to."""


def allowed(address: str, private: bool) -> bool:
    """Whether a numeric *address* may be connected to.

    Args:
        private: the partner's configuration lets it lead to private and loopback addresses.
            Link-local, metadata, multicast and unspecified ones stay forbidden.
    """
    found = _innermost(ip_address(address.partition("%")[0]))
    if found.is_multicast or found.is_unspecified or found.is_link_local or found in _METADATA:
        return False
    return private or found.is_global


def _innermost(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one only wraps, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if any(address in net for net in _EMBEDDING) or int(address) >> 32 == 0 and int(address) > 1:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


class GuardedResolver(AbstractResolver):
    """Resolves names and keeps the addresses that are allowed."""

    def __init__(self, private: bool, inner: AbstractResolver | None = None) -> None:
        self._private = private
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        good = [each for each in found if allowed(each["host"], self._private)]
        if not good:
            raise ForbiddenAddress(f"{host} leads to no address that is allowed")
        return good

    async def close(self) -> None:
        await self._inner.close()


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to a partner.

    Attributes:
        url: sent byte for byte.
        private: see :func:`allowed`; plain http is possible only then.
        certificate: name of the client certificate to present.
        waited_for: a driver waits for the answer: it never queues behind what is pushed.
        fresh: on a connection of its own, so that a kept one that died meanwhile cannot leave
            doubt whether the request was sent.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    private: bool = False
    fresh: bool = False
    certificate: str | None = None
    waited_for: bool = False


class GuardedClient:
    """Sends requests; what partners may do is a value, never an exception.

    Args:
        timeout: seconds for one request, from connecting to the last byte.
        resolver: looks names up; what it finds is checked here.
        certificates: those that we can present, by name. They are read at the start; one that
            cannot be read raises OSError.
    """

    def __init__(
        self,
        timeout: float = 10.0,
        resolver: AbstractResolver | None = None,
        certificates: Mapping[str, OwnCertificate] | None = None,
    ) -> None:
        self._timeout = timeout
        self._resolver = resolver
        self._certificates = {
            name: _presenting(each) for name, each in (certificates or {}).items()
        }
        self._sessions: dict[tuple[bool, bool, bool, str | None], aiohttp.ClientSession] = {}

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def send(self, ask: Ask, timeout: float | None = None) -> Heard | Silence:
        """Send one request and read its answer, at most 1 MiB of it."""
        began = monotonic()
        url = askable(ask.url, ask.private)
        if url is None:
            return Silence("forbidden", sent=False)
        if ask.certificate is not None and ask.certificate not in self._certificates:
            return Silence("no certificate of that name", sent=False)
        try:
            async with asyncio.timeout(timeout or self._timeout):
                return await self._exchange(ask, url, began)
        except Exception as error:
            return _silence(error, began)

    async def _exchange(self, ask: Ask, url: URL, began: float) -> Heard | Silence:
        async with self._session(ask).request(
            ask.method,
            url,
            data=ask.body,
            headers={**ask.headers, "Accept-Encoding": "identity"},
            allow_redirects=False,
        ) as response:
            body = await response.content.read(LARGEST_ANSWER_BYTES + 1)
            while len(body) <= LARGEST_ANSWER_BYTES:
                part = await response.content.read(LARGEST_ANSWER_BYTES + 1 - len(body))
                if not part:
                    return Heard(response.status, response.headers, body, _ms(began))
                body += part
            response.close()
            return Silence("too large", sent=True, took_ms=_ms(began))

    def _session(self, ask: Ask) -> aiohttp.ClientSession:
        key = (ask.private, ask.fresh, ask.waited_for, ask.certificate)
        if key not in self._sessions:
            connector = aiohttp.TCPConnector(
                resolver=GuardedResolver(ask.private, self._resolver),
                limit=0,
                limit_per_host=_DRIVERS_AT_ONCE if ask.waited_for else _PUSHES_AT_ONCE,
                force_close=ask.fresh,
                ttl_dns_cache=10,
                ssl=True if ask.certificate is None else self._certificates[ask.certificate],
            )
            self._sessions[key] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                trust_env=False,
                auto_decompress=False,
                skip_auto_headers=["User-Agent"],
            )
        return self._sessions[key]


def _presenting(own: OwnCertificate) -> ssl.SSLContext:
    """Return how TLS is spoken where *own* is presented."""
    context = ssl.create_default_context()
    context.load_cert_chain(own.certificate, own.key)
    if own.trust is not None:
        context.load_verify_locations(cafile=own.trust)
    return context


def askable(address: str, private: bool) -> URL | None:
    """Return *address* if it may be asked, as far as its text tells; its name is yet to be resolved.

    Other letters than ASCII, user names and backslashes hide a host from those who read it in
    another way than we do.
    """
    if len(address) > 4 * LONGEST_URL or not _PLAIN.fullmatch(address):
        return None
    try:
        url = URL(address, encoded=True)
        host, port = url.host, url.port or 0
    except ValueError:
        return None
    if not host or url.user or url.password:
        return None
    if url.scheme != "https" and not (url.scheme == "http" and private):
        return None
    if not private and port != 443 and port < 1024:
        return None
    return url if _literal_allowed(host, private) else None


def _literal_allowed(host: str, private: bool) -> bool:
    """Check an address that stands in the URL itself: no resolver is asked about it."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return True
    return allowed(host, private)


def _silence(error: Exception, began: float) -> Silence:
    took = _ms(began)
    match error:
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return Silence("tls", sent=False, took_ms=took)
        case aiohttp.ClientConnectorDNSError():
            inner = error.os_error
            why = "forbidden" if isinstance(inner, ForbiddenAddress) else "dns"
            return Silence(why, sent=False, took_ms=took)
        case aiohttp.ConnectionTimeoutError():
            return Silence("timeout", sent=False, took_ms=took)
        case aiohttp.ClientConnectorError():
            return Silence("refused", sent=False, took_ms=took)
        case aiohttp.InvalidURL():
            return Silence("forbidden", sent=False, took_ms=took)
        case TimeoutError():
            return Silence("timeout", sent=True, took_ms=took)
        case aiohttp.ClientError() | OSError() | ValueError():
            return Silence("reset", sent=True, took_ms=took)
        case _:
            raise error


def _ms(began: float) -> int:
    return round((monotonic() - began) * 1000)
