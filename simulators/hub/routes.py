"""Where a request goes: read from its headers, its path and, at last, its body. No I/O here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulators.emsp.connection import Party
from simulators.emsp.wire import Json

BROADCAST = ("locations", "tariffs", "tokens")
"""The only modules whose objects are meant for everybody."""

OWNED = ("sessions", "cdrs")
"""Objects that are for the party of their token alone."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is written on the outside of a request.

    Attributes:
        interface: SENDER or RECEIVER.
        segments: the path below the module, decoded.
    """

    method: str
    interface: str
    module: str
    segments: tuple[str, ...]
    sender: Party | None
    receiver: Party | None
    body: Any = None

    @property
    def where(self) -> str:
        """For complaints."""
        return f"{self.method} {'/'.join((self.module, *self.segments))}"


@dataclass(frozen=True, slots=True)
class Direct:
    """To one party."""

    party: Party


@dataclass(frozen=True, slots=True)
class Broadcast:
    """To everybody of the other side."""


@dataclass(frozen=True, slots=True)
class Everything:
    """A list over all parties."""


@dataclass(frozen=True, slots=True)
class Open:
    """To whoever it concerns; the hub asks one after the other."""


@dataclass(frozen=True, slots=True)
class NoRoute:
    """Nowhere: what the hub answers."""

    code: int
    reason: str


Route = Direct | Broadcast | Everything | Open | NoRoute


def route(letter: Envelope, hub: Party, *, headers: bool) -> Route:
    """Where *letter* goes.

    Args:
        headers: whether this hub works by routing headers; if not, only the content counts.
    """
    if not headers:
        return _by_content(letter)
    if letter.receiver is None:
        return _opened(letter)
    if letter.receiver.same(hub.country_code, hub.party_id):
        return _to_hub(letter)
    return Direct(letter.receiver)


def _to_hub(letter: Envelope) -> Route:
    if letter.method == "GET":
        if letter.interface == "SENDER" and not letter.segments:
            return Everything()
        return NoRoute(2001, "a GET of one object is never for the hub")
    if letter.interface == "RECEIVER" and letter.module in BROADCAST:
        return Broadcast()
    return NoRoute(2001, f"{letter.module} is for one party, never for the hub")


def _opened(letter: Envelope) -> Route:
    """Without a receiver: who owns it, as far as the content says so."""
    if letter.method == "GET" and not letter.segments:
        return NoRoute(2001, "OCPI-to: a list needs a receiver")
    if letter.module in OWNED and (owner := owner_of(letter.body)):
        return Direct(owner)
    return Open()


def _by_content(letter: Envelope) -> Route:
    if letter.method == "GET" and letter.interface == "SENDER" and not letter.segments:
        return Everything()
    if letter.module in OWNED:
        owner = owner_of(letter.body)
        return Direct(owner) if owner else NoRoute(2001, "cdr_token: it names nobody")
    return Broadcast() if letter.module in BROADCAST and letter.interface == "RECEIVER" else Open()


def owner_of(body: Any) -> Party | None:
    """The party whose token a session or bill was charged with."""
    token = body.get("cdr_token") if isinstance(body, dict) else None
    if not isinstance(token, dict) or not token.get("country_code") or not token.get("party_id"):
        return None
    return Party(token["country_code"], token["party_id"])


def party_of(headers: Mapping[str, str], word: str) -> Party | None:
    """The party in the OCPI-from or OCPI-to headers."""
    country = headers.get(f"OCPI-{word}-country-code")
    party = headers.get(f"OCPI-{word}-party-id")
    return Party(country, party) if country and party else None


def bill_mistakes(cdr: Json) -> list[str]:
    """Why a hub with quality control turns a bill away."""
    found = []
    if cdr.get("total_energy", 0) <= 0 and cdr.get("total_time", 0) <= 0:
        found.append("total_energy: neither energy nor time")
    if cdr.get("end_date_time", "") < cdr.get("start_date_time", ""):
        found.append("end_date_time: before the start")
    if cdr.get("total_time", 0) > 24 * 30:
        found.append("total_time: longer than a month")
    return found
