"""From where a partner may call, and with which client certificate: the operator's choice.

Whoever calls from elsewhere, or without the certificate, is a stranger: it gets the answer that a
wrong token gets and learns nothing, not even that its token is good.
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from collections.abc import Callable, Sequence
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import unquote

import structlog
from aiohttp import web

from cms.domain.errors import InvalidValue
from cms.domain.ids import PartnerId
from cms.domain.partner import Partner

log = structlog.get_logger()

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class Door:
    """Checks who stands before it.

    Args:
        proxies: addresses of proxies whose word on address and certificate counts.
        header: in which such a proxy hands on the client's certificate (PEM, escaped or not, or
            base64); None = it does not.
    """

    def __init__(
        self,
        partner: Callable[[PartnerId], Partner | None],
        proxies: Sequence[str] = (),
        header: str | None = None,
    ) -> None:
        self._partner = partner
        self._proxies = networks(proxies, "proxies")
        self._header = header

    def lets_in(self, id: PartnerId, request: web.Request) -> bool:
        """Whether *request*, whose token is *id*'s, may come in."""
        partner = self._partner(id)
        if partner is None or not (partner.networks or partner.certificates):
            return True
        why = self._objection(partner, request)
        if why is not None:
            log.warning("ocpi.turned_away", partner=id, why=why)
        return why is None

    def _objection(self, partner: Partner, request: web.Request) -> str | None:
        if partner.networks:
            caller = self._address(request)
            allowed = networks(partner.networks, "networks")
            if caller is None or not any(caller in each for each in allowed):
                return f"it calls from {caller}"
        if partner.certificates:
            shown = self._certificate(request)
            if not shown & set(partner.certificates):
                return "it presents no certificate of its own"
        return None

    def _proxied(self, request: web.Request) -> bool:
        peer = _read(request.remote)
        return peer is not None and any(peer in each for each in self._proxies)

    def _address(self, request: web.Request) -> Address | None:
        """Return who calls: the last address before the proxies that we trust."""
        if not self._proxied(request):
            return _read(request.remote)
        told = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        for text in reversed(told):
            address = _read(text.strip())
            if address is None or not any(address in each for each in self._proxies):
                return address
        return _read(request.remote)

    def _certificate(self, request: web.Request) -> set[str]:
        """Return the names of the client's certificate: its fingerprint, its ``CN=``."""
        if self._proxied(request) and self._header is not None:
            raw = _der(request.headers.get(self._header, ""))
            return set() if raw is None else {sha256(raw).hexdigest()}
        tls = request.get_extra_info("ssl_object")
        raw = tls.getpeercert(binary_form=True) if tls is not None else None
        if raw is None:
            return set()
        subject = (tls.getpeercert() or {}).get("subject", ())
        names = {f"CN={value}" for part in subject for key, value in part if key == "commonName"}
        return {sha256(raw).hexdigest(), *names}


def _read(text: str | None) -> Address | None:
    """Return an address; an IPv4 one that IPv6 only wraps is itself."""
    try:
        found = ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    wrapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return wrapped or found


def _der(text: str) -> bytes | None:
    """Read a certificate as proxies write it in a header."""
    text = unquote(text).strip()
    try:
        if text.startswith("-----BEGIN"):
            body = text.replace("-----BEGIN CERTIFICATE-----", "")
            return base64.b64decode("".join(body.partition("-----END")[0].split()), validate=True)
        return base64.b64decode(text, validate=True) or None
    except (binascii.Error, ValueError):
        return None


def networks(texts: Sequence[str], field: str) -> tuple[Network, ...]:
    """Read addresses and networks.

    Raises:
        InvalidValue: naming *field*.
    """
    try:
        return tuple(ip_network(each) for each in texts)
    except ValueError as error:
        raise InvalidValue(field, f"expected networks like 10.20.0.0/16: {error}") from None


def certificate_name(text: str) -> str:
    """Return how a client certificate is named: ``CN=...``, or its SHA-256 without colons.

    Raises:
        InvalidValue: it is neither.
    """
    if text.startswith("CN=") and len(text) > 3:
        return text
    plain = text.replace(":", "").lower()
    if not _FINGERPRINT.fullmatch(plain):
        raise InvalidValue(
            "certificates", f"expected CN=... or a SHA-256 fingerprint; not {text!r}"
        )
    return plain


def asking_for_certificates(context: ssl.SSLContext, authorities: str) -> ssl.SSLContext:
    """Have a TLS listener ask its clients for a certificate, and take none it cannot trace."""
    context.load_verify_locations(cafile=authorities)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context
