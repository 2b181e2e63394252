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
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from time import monotonic

from aiohappyeyeballs import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from ocpi_cpo.answers import Heard, Silence
from ocpi_cpo.config import OwnCertificate
from ocpi_cpo.sockets import Gone, Sockets, TooLarge

LARGEST_ANSWER_BYTES = 1024 * 1024
LONGEST_URL = 255
_CONNECT_SECONDS = 5.0
_PUSHES_AT_ONCE = 32
"""Connections to one host for whatever may wait a moment."""
_DRIVERS_AT_ONCE = 512
"""... for what a driver waits for. Each charger asks one thing at a time, so as a rule this holds a
whole city's; who queues loses patience before it is their turn."""
_NAME_SECONDS = 10.0
"""So long the addresses that a name leads to are kept, as they were when they were checked."""
_MOST_REMEMBERED = 256
"""Hosts, before those are forgotten to which there is no connection."""
_REPEATABLE = frozenset({"GET", "PUT", "DELETE"})
"""Asked twice, they do what they do asked once."""
_ENDING = re.compile(r"[\x00-\x1f\x7f]")

_Purpose = tuple[str, str, int, bool, bool, bool, str | None]
"""Scheme, host, port; private, fresh, waited_for, certificate of an ``Ask``."""

_EMBEDDING = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
_PLAIN = re.compile(r"[!-\[\]-~]+")
_METADATA = frozenset({ip_address("169.254.169.254"), ip_address("fd00:ec2::254")})


class ForbiddenAddress(OSError):
    """The address may not be spoken to."""


class NoSuchName(OSError):
    """The name leads nowhere."""


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
        self._guards: dict[bool, GuardedResolver] = {}
        self._tls = ssl.create_default_context()
        self._sockets: dict[_Purpose, Sockets] = {}
        self._found: dict[tuple[str, int, bool], tuple[float, list[AddrInfoType]]] = {}

    async def close(self) -> None:
        for sockets in self._sockets.values():
            sockets.close()
        self._sockets.clear()
        for guard in self._guards.values():
            await guard.close()
        self._guards.clear()

    async def send(self, ask: Ask, timeout: float | None = None) -> Heard | Silence:
        """Send one request and read its answer, at most 1 MiB of it."""
        began = monotonic()
        url = askable(ask.url, ask.private)
        if url is None:
            return Silence("forbidden", sent=False)
        if ask.certificate is not None and ask.certificate not in self._certificates:
            return Silence("no certificate of that name", sent=False)
        try:
            request = _request(ask, url)
        except ValueError:
            return Silence("forbidden", sent=False)
        deadline = began + (timeout or self._timeout)
        answer = await self._exchange(ask, url, request, deadline, began)
        if isinstance(answer, Gone) and answer.silent and ask.method in _REPEATABLE:
            # The kept connection had died: a new one, since asking twice changes nothing.
            ask = replace(ask, fresh=True)
            answer = await self._exchange(ask, url, _request(ask, url), deadline, began)
        if isinstance(answer, Gone):
            return Silence("reset", sent=True, took_ms=_ms(began))
        return answer

    async def _exchange(
        self, ask: Ask, url: URL, request: bytes, deadline: float, began: float
    ) -> Heard | Silence | Gone:
        """Send one request over one connection; returns ``Gone`` where that was a kept one."""
        sockets = self._sockets_for(ask, url)
        socket = None if ask.fresh else sockets.kept()
        if socket is None:
            try:
                async with asyncio.timeout(deadline - monotonic()):
                    socket = await sockets.opened(_CONNECT_SECONDS)
            except Exception as error:
                return _unsent(error, began)
        whole, again = False, socket.used
        try:
            answer = await socket.ask(request, deadline - monotonic())
            whole = True
        except TimeoutError:
            return Silence("timeout", sent=True, took_ms=_ms(began))
        except TooLarge:
            return Silence("too large", sent=True, took_ms=_ms(began))
        except Gone as gone:
            return gone if again else Silence("reset", sent=True, took_ms=_ms(began))
        finally:
            sockets.back(socket, keep=whole and not ask.fresh)
        return Heard(answer.status, answer.headers, answer.body, _ms(began))

    def _sockets_for(self, ask: Ask, url: URL) -> Sockets:
        host, port = url.raw_host or "", url.port or 0
        purpose = (url.scheme, host, port, ask.private, ask.fresh, ask.waited_for, ask.certificate)
        found = self._sockets.get(purpose)
        if found is None:
            if len(self._sockets) >= _MOST_REMEMBERED:
                self._forget()
            tls = self._tls if ask.certificate is None else self._certificates[ask.certificate]
            found = self._sockets[purpose] = Sockets(
                partial(self._addresses, host, port, ask.private),
                _DRIVERS_AT_ONCE if ask.waited_for else _PUSHES_AT_ONCE,
                tls if url.scheme == "https" else None,
                host.rstrip("."),
                LARGEST_ANSWER_BYTES,
            )
        return found

    def _forget(self) -> None:
        """Let go of hosts that nobody speaks to: partners may name as many as they like."""
        self._sockets = {what: each for what, each in self._sockets.items() if each.busy}
        old = monotonic() - _NAME_SECONDS
        self._found = {what: each for what, each in self._found.items() if each[0] > old}

    async def _addresses(self, host: str, port: int, private: bool) -> list[AddrInfoType]:
        """Return where *host* may be spoken to.

        Raises:
            ForbiddenAddress: nowhere.
            OSError: it has no address.
        """
        if _numeric(host):
            return [_address(host, port)]  # ``askable`` has looked at it
        key = (host, port, private)
        known = self._found.get(key)
        if known is not None and monotonic() - known[0] < _NAME_SECONDS:
            return known[1]
        if private not in self._guards:
            self._guards[private] = GuardedResolver(private, self._resolver)
        try:
            found = await self._guards[private].resolve(host, port, socket.AF_UNSPEC)
        except ForbiddenAddress:
            raise
        except OSError as error:
            raise NoSuchName(str(error)) from error
        addresses = [_address(each["host"], port) for each in found]
        self._found[key] = (monotonic(), addresses)
        return addresses


def _request(ask: Ask, url: URL) -> bytes:
    """Return a request as bytes.

    Raises:
        ValueError: a header holds what could end it.
    """
    lines = [f"{ask.method} {url.raw_path_qs} HTTP/1.1", f"Host: {url.host_port_subcomponent}"]
    lines += [f"{name}: {value}" for name, value in ask.headers.items()]
    lines += ["Accept: */*", "Accept-Encoding: identity"]
    if ask.body is not None or ask.method != "GET":
        lines.append(f"Content-Length: {len(ask.body or b'')}")
    if ask.fresh:
        lines.append("Connection: close")
    if any(map(_ENDING.search, lines)):
        raise ValueError("a line of the request holds a control character")
    return "\r\n".join([*lines, "", ""]).encode() + (ask.body or b"")


def _address(numeric: str, port: int) -> AddrInfoType:
    """Return a numeric address as sockets want it."""
    address, _, zone = numeric.partition("%")
    if ip_address(address).version == 4:
        return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)
    scope = int(zone) if zone.isdigit() else 0
    there = (address, port, 0, scope)
    return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", there


def _presenting(own: OwnCertificate) -> ssl.SSLContext:
    """Return how TLS is spoken where *own* is presented."""
    context = ssl.create_default_context()
    context.load_cert_chain(own.certificate, own.key)
    if own.trust is not None:
        context.load_verify_locations(cafile=own.trust)
    return context


@lru_cache(maxsize=4096)
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


@lru_cache(maxsize=1024)
def _literal_allowed(host: str, private: bool) -> bool:
    """Check an address that stands in the URL itself: no resolver is asked about it.

    Numbers that are no address in full are read differently by different readers.
    """
    if _numeric(host):
        return allowed(host, private)
    return ":" not in host and not host.replace(".", "").isdigit()


def _numeric(host: str) -> bool:
    """Whether *host* is an address, written in full; what is not goes to the resolver as a name."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _unsent(error: Exception, began: float) -> Silence:
    """Say why no connection could be made."""
    match error:
        case ssl.SSLError() | ssl.CertificateError():
            why = "tls"
        case ForbiddenAddress():
            why = "forbidden"
        case NoSuchName():
            why = "dns"
        case TimeoutError():
            why = "timeout"
        case OSError() | ValueError():
            why = "refused"
        case _:
            raise error
    return Silence(why, sent=False, took_ms=_ms(began))


def _ms(began: float) -> int:
    return round((monotonic() - began) * 1000)
