"""What a run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

VERSIONS = ("2.1.1", "2.2.1", "2.3.0")


class Unusable(Exception):
    """The arguments cannot be used, or the party cannot be reached: nothing was checked."""


@dataclass(frozen=True, slots=True)
class Plug:
    """Where a real charge may be started: ``LOCATION/EVSE/CONNECTOR``."""

    location: str
    evse: str
    connector: str

    @classmethod
    def parse(cls, text: str) -> Plug:
        parts = text.split("/")
        if len(parts) != 3 or not all(parts):
            raise Unusable(f"--start-session: LOCATION/EVSE/CONNECTOR is needed, not {text!r}")
        return cls(*parts)


@dataclass(frozen=True, slots=True)
class Options:
    """How to check.

    Attributes:
        url: the other side's versions URL.
        token: a registration token (A), or with *registered* the token that is in use (C).
        registered: change nothing: no registration, nothing stored.
        role: of the other side; None = seen from its endpoints.
        only: groups ("TR") or ids ("TR-14"); empty = everything.
        party: who we are, country code and party id.
        write: may store and change tokens (at an eMSP: objects).
        plug: where a real charge may be started; None = nowhere.
        listen: where to listen for the other side; port 0 = any free one.
        public_url: how the other side reaches that.
        timeout: seconds per request.
        pace: most requests per second; 0 = no limit.
        charge_seconds: how long a real charge lasts.
        patience: seconds to wait for what follows a charge (session, CDR).
    """

    url: str
    token: str
    registered: bool = False
    role: Literal["CPO", "EMSP"] | None = None
    version: str = "2.2.1"
    only: tuple[str, ...] = ()
    party: tuple[str, str] | None = None
    write: bool = False
    plug: Plug | None = None
    listen: tuple[str, int] = ("127.0.0.1", 0)
    public_url: str | None = None
    timeout: float = 15.0
    pace: float = 20.0
    charge_seconds: float = 10.0
    patience: float = 60.0

    @classmethod
    def of(cls, **texts: Any) -> Options:
        """From what a person wrote on a command line.

        Raises:
            Unusable: naming the argument.
        """
        if texts["version"] not in VERSIONS:
            raise Unusable(f"--version: {texts['version']} is none of {', '.join(VERSIONS)}")
        return cls(
            url=texts["url"],
            token=texts["token"],
            registered=texts["registered"],
            role=_role(texts["role"]),
            version=texts["version"],
            only=tuple(each.strip().upper() for each in texts["only"].split(",") if each.strip()),
            party=_party(texts["party"]),
            write=texts["write"],
            plug=Plug.parse(texts["start_session"]) if texts["start_session"] else None,
            listen=_listen(texts["listen"]),
            public_url=texts["public_url"],
            timeout=texts["timeout"],
            pace=texts["pace"],
            charge_seconds=texts["charge_seconds"],
            patience=texts["patience"],
        )


def _role(text: str | None) -> Literal["CPO", "EMSP"] | None:
    if text is None:
        return None
    if text.upper() == "CPO":
        return "CPO"
    if text.upper() == "EMSP":
        return "EMSP"
    raise Unusable(f"--role: cpo or emsp, not {text}")


def _party(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    country, _, party = text.partition("*")
    if len(country) != 2 or len(party) != 3:
        raise Unusable(f"--party: COUNTRY*PARTY as in IN*EMP is needed, not {text}")
    return country.upper(), party.upper()


def _listen(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise Unusable(f"--listen: HOST:PORT is needed, not {text}")
    return host, int(port)
