"""What a version of OCPI must be able to say and to read.

The rest of the package speaks the core's words and plain JSON; a further version is a further
implementation of this protocol and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from cms.domain.cdr import Cdr
from cms.domain.commands import Outcome
from cms.domain.ids import PartnerId
from cms.domain.rated import Rating
from cms.domain.session import Session
from cms.domain.tariff import Tariff
from cms.domain.token import Decision, Token, TokenType
from cms.domain.topology import Connector, Evse, Location
from ocpi_cpo.config import OwnParty
from ocpi_cpo.connections import Endpoint, Role
from ocpi_cpo.versions.v221.topology import EvseView
from ocpi_cpo.wire import Json


@dataclass(frozen=True, slots=True)
class TheirCredentials:
    token: str
    url: str
    roles: tuple[Role, ...]


@dataclass(frozen=True, slots=True)
class StartOrder:
    """START_SESSION as a partner sent it."""

    reply_to: str
    token: Token
    location: str
    evse_uid: str | None
    connector: str | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class StopOrder:
    reply_to: str
    session: str


@dataclass(frozen=True, slots=True)
class UnlockOrder:
    reply_to: str
    location: str
    evse_uid: str
    connector: str


Order = StartOrder | StopOrder | UnlockOrder


@dataclass(frozen=True, slots=True)
class UnsupportedOrder:
    """A command that is well-formed and that we cannot carry out."""

    reply_to: str
    why: str


class Dialect(Protocol):
    """One version. Methods that read raise ``BadParameter``, naming the field."""

    @property
    def version(self) -> str: ...

    @property
    def modules(self) -> Sequence[tuple[str, str]]:
        """(identifier, role) of what we offer."""

    # registration
    def credentials(self, token: str, url: str, parties: Sequence[OwnParty]) -> Json: ...
    def read_credentials(self, data: Any) -> TheirCredentials: ...
    def read_versions(self, data: Any) -> dict[str, str]:
        """Return version -> address; entries that are damaged are left out."""

    def read_details(self, data: Any) -> tuple[Endpoint, ...]: ...

    # what we send
    def location(
        self, site: Location, evses: Sequence[EvseView], updated: datetime | None
    ) -> Json: ...
    def evse(self, view: EvseView) -> Json: ...
    def connector(self, plug: Connector, view: EvseView) -> Json: ...
    def evse_status(self, view: EvseView) -> Json:
        """Return the body of the PATCH that tells a status."""

    def tariff(self, own: Tariff, party: PartnerId, updated: datetime) -> Json: ...
    def session(
        self, own: Session, site: Location, evse: Evse, rating: Rating | None, updated: datetime
    ) -> Json: ...
    def cdr(self, own: Cdr, updated: datetime) -> Json: ...

    # tokens
    def read_token(self, data: Any) -> Token: ...
    def read_token_changes(self, own: Token, data: Any, now: datetime) -> Token:
        """Return *own* with what a PATCH changes."""

    def token(self, own: Token, now: datetime) -> Json: ...
    def read_token_type(self, name: str) -> TokenType: ...
    def token_type(self, own: TokenType) -> str: ...
    def place(self, location: str, evse_uid: str) -> Json:
        """Return the body of a real-time question."""

    def read_decision(self, data: Any, asked: Token | None, evse_uid: str | None) -> Decision: ...

    # commands
    def read_order(self, command: str, data: Any, now: datetime) -> Order | UnsupportedOrder | None:
        """Read a command; None if this version has no such command."""

    def answer(self, result: str, timeout: int, why: str | None) -> Json: ...
    def result(self, outcome: Outcome, why: str | None) -> Json: ...
