"""What a version of OCPI must be able to say and to read.

The rest of the package speaks the core's words and plain JSON; a further version is a further
implementation of this protocol and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """What a partner presents.

    Attributes:
        hub_party: as whom its hub function wants to be addressed; only 2.3.0 can say it.
    """

    token: str
    url: str
    roles: tuple[Role, ...]
    hub_party: PartnerId | None = None


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


@dataclass(frozen=True, slots=True)
class ReserveOrder:
    """RESERVE_NOW as a partner sent it.

    Attributes:
        name: the partner's own id of the reservation.
    """

    reply_to: str
    token: Token
    expires_at: datetime
    name: str
    location: str
    evse_uid: str | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """CANCEL_RESERVATION as a partner sent it."""

    reply_to: str
    name: str


Order = StartOrder | StopOrder | UnlockOrder | ReserveOrder | CancelOrder


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

    @property
    def raw_tokens(self) -> bool:
        """Whether credentials tokens stand in headers as they are, without base64."""

    @property
    def routed(self) -> bool:
        """Whether requests of functional modules name both parties in headers."""

    @property
    def credits(self) -> bool:
        """Whether a bill can be taken back by another one."""

    # registration
    def endpoint(self, module: str, role: str, url: str) -> Json:
        """Return one endpoint of our version details."""

    def credentials(self, token: str, url: str, parties: Sequence[OwnParty]) -> Json: ...
    def read_credentials(self, data: Any) -> TheirCredentials: ...
    def read_versions(self, data: Any) -> dict[str, str]:
        """Return version -> address; entries that are damaged are left out."""

    def read_details(self, data: Any) -> tuple[Endpoint, ...]: ...

    # what we send
    @property
    def selective(self) -> bool:
        """Whether ``shows`` ever says no."""

    def shows(self, site: Location, parties: Sequence[OwnParty]) -> bool:
        """Whether *site* has a form in this version at all."""

    def shows_evse(self, evse: Evse) -> bool:
        """Whether *evse* has."""

    def location(
        self, site: Location, evses: Sequence[EvseView], updated: datetime | None
    ) -> Json: ...
    def evse(self, view: EvseView) -> Json: ...
    def connector(self, plug: Connector, view: EvseView) -> Json: ...
    def evse_status(self, view: EvseView) -> Json:
        """Return the body of the PATCH that tells a status."""

    def date_time(self, at: datetime) -> str:
        """Return a moment as it stands in what we send."""

    def tariffs_in(self, location: Json) -> Sequence[str]:
        """Return the ids of the tariffs that a location of this version shows, each once."""

    @property
    def dates_tariffs(self) -> bool:
        """Whether a tariff can be sent ahead of the moment from which it holds."""

    def tariff(self, own: Tariff, party: PartnerId, updated: datetime) -> Json: ...
    def session(
        self,
        own: Session,
        site: Location,
        view: EvseView,
        rating: Rating | None,
        updated: datetime,
    ) -> Json: ...
    def shows_session(self, own: Session) -> bool:
        """Whether *own* has a form in this version."""

    def cdr(self, own: Cdr, updated: datetime) -> Json:
        """Return a bill.

        Raises:
            ValueError: it has no form in this version.
        """

    # tokens
    @property
    def unknown_token_code(self) -> int:
        """The status code for a token that is not there."""

    def read_token(self, data: Any, issuer: PartnerId) -> Token:
        """Read a token.

        Args:
            issuer: whose token it is where the object itself does not say.
        """

    def read_token_changes(self, own: Token, data: Any, now: datetime) -> Token:
        """Return *own* with what a PATCH changes."""

    def token(self, own: Token, now: datetime) -> Json: ...
    def addressed_types(self, query: Mapping[str, str]) -> Sequence[TokenType]:
        """Return the types that a token's address may mean, the likeliest first."""

    def token_type(self, own: TokenType) -> str: ...
    def place(self, location: str, evse_uid: str) -> Json:
        """Return the body of a real-time question."""

    def read_decision(self, data: Any, asked: Token | None, evse_uid: str | None) -> Decision: ...

    # commands
    def read_order(
        self, command: str, data: Any, now: datetime, asker: PartnerId
    ) -> Order | UnsupportedOrder | None:
        """Read a command; None if this version has no such command.

        Args:
            asker: whose token it names, where the token itself does not say.
        """

    def answer(self, result: str, timeout: int, why: str | None) -> Json: ...
    def result(self, outcome: Outcome, why: str | None) -> Json: ...
    def let_go(self, why: str | None) -> Json | None:
        """Return how a partner hears that we cancelled its reservation; None = it cannot."""
