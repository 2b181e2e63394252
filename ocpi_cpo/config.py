"""What an operator decides about the roaming side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from ocpi_cpo.push.nightly import Nightly


@dataclass(frozen=True, slots=True)
class OwnParty:
    """One of our own CPO parties.

    Attributes:
        country, party: two letters and three letters or digits, upper case.
        name: the business name that partners show to drivers.
    """

    country: str
    party: str
    name: str
    website: str | None = None

    @property
    def id(self) -> str:
        return f"{self.country}*{self.party}"


@dataclass(frozen=True, slots=True)
class Comparing:
    """How partners' copies are compared with ours.

    Attributes:
        nightly: when to compare by itself; None = by command only.
        pause: between two requests to one partner.
        days: sessions and bills that changed within so long are looked at.
        later: before a partner that cannot answer now is asked once more.
    """

    nightly: Nightly | None = None
    pause: timedelta = timedelta(seconds=0.2)
    days: int = 7
    later: timedelta = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """A client certificate of ours, in files.

    Attributes:
        trust: authorities that the partner's own certificate is checked against, beside the usual
            ones; None = only those.
    """

    certificate: str
    key: str
    trust: str | None = None


@dataclass(frozen=True, slots=True)
class OcpiConfig:
    """Settings of the OCPI edge.

    Attributes:
        base_url: public address of ``/ocpi``, e.g. ``"https://cpo.example/ocpi"``; every address
            that we advertise begins with it, whatever host a request came in on.
        parties: our parties; the first speaks where none is named.
        page_limit: the most objects on one page.
        needed_modules: ``(module, role)`` that a partner must offer to be registered.
        request_timeout: for one request to a partner, from connecting to the last byte.
        authorise_deadline: for one real-time question about a token; a driver waits less long.
        command_timeout: what a partner is told to wait for the result of a command.
        token_grace: how long a replaced token is still heard, unless the new one is used first.
        in_flight: pushes to one partner at the same time.
        parked_retry: when an object that failed while others passed is tried again.
        backoff_cap: the longest pause before a partner that is down is tried again.
        versions: of OCPI, that partners may choose from.
        allow_private: partners' addresses may lead to private networks, every partner's.
        renew_after: how old the tokens of a connection get before we exchange them for new ones.
        comparing: when and how partners' copies are compared with ours.
        pull_tokens_every: how often the partners' token lists are read again, beside their pushes.
        trusted_proxies: addresses whose word on a caller's address and certificate counts.
        client_certificate_header: in which they hand on a caller's certificate.
        certificates: by name, those that we can present to partners.
        look_again_every: how often endpoints that were made by a template are looked for.
    """

    base_url: str
    parties: tuple[OwnParty, ...]
    page_limit: int = 50
    versions: tuple[str, ...] = ("2.1.1", "2.2", "2.2.1", "2.3.0")
    needed_modules: tuple[tuple[str, str], ...] = (("tokens", "SENDER"),)
    request_timeout: timedelta = timedelta(seconds=10)
    authorise_deadline: timedelta = timedelta(seconds=4)
    command_timeout: timedelta = timedelta(seconds=30)
    token_grace: timedelta = timedelta(minutes=5)
    in_flight: int = 8
    parked_retry: timedelta = timedelta(hours=1)
    backoff_cap: timedelta = timedelta(minutes=15)
    poll: timedelta = timedelta(seconds=5)
    pull_tokens_every: timedelta = timedelta(hours=6)
    renew_after: timedelta = timedelta(days=28)
    allow_private: bool = False
    comparing: Comparing = Comparing()
    trusted_proxies: tuple[str, ...] = ()
    client_certificate_header: str | None = None
    certificates: Mapping[str, OwnCertificate] = field(default_factory=dict)
    look_again_every: timedelta = timedelta(minutes=5)

    @property
    def shown_safely(self) -> bool:
        """Whether what we advertise may be given to a partner: https, or a test's own network."""
        return self.allow_private or self.base_url.startswith("https://")

    def url(self, *segments: str) -> str:
        """Return an address of ours."""
        return "/".join([self.base_url.rstrip("/"), *segments])

    def party(self, country: str, party: str) -> OwnParty | None:
        """Return our party of that name, compared without case."""
        wanted = f"{country}*{party}".casefold()
        return next((each for each in self.parties if each.id.casefold() == wanted), None)
