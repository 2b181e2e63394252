"""How the partner speaks: one class per version of OCPI, 2.2.1 being the partner's mother tongue.

Inside, everything has the shape of 2.2.1. A further version checks what arrives against its own
models, then *lifts* it into that shape; what leaves is *lowered*. Nothing here is shared with the
CPO's own translation: this is the second opinion.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from simulators.emsp.models import (
    CommandResponse,
    CommandResult,
    Credentials,
    VersionDetails,
    without_nulls,
)
from simulators.emsp.wire import Json, token_of

M = TypeVar("M", bound=BaseModel)


class Wrong(ValueError):
    """What arrived is no object of this version.

    Attributes:
        field: dotted path of the member.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


class Book(Protocol):
    """What the partner remembers, for members that a version leaves out."""

    def party_of_cpo(self) -> tuple[str, str]:
        """Country code and party id of the CPO."""

    def token_of_contract(self, contract: str) -> Json | None:
        """Our token with this contract id."""

    def reference_of_contract(self, contract: str) -> str | None:
        """The authorization_reference of our START_SESSION for this contract."""

    def session_like(self, contract: str, start: str, evse_uid: str) -> str | None:
        """The id of the session that a CDR without one must be for."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A push as it arrived, before it is understood.

    Attributes:
        segments: the path below the module's URL.
    """

    method: str
    module: str
    segments: tuple[str, ...]
    body: Any


class Speech:
    """OCPI 2.2.1: nothing to translate."""

    version = "2.2.1"
    routed = True
    """Whether requests carry routing headers and request ids that are demanded."""
    translates = False
    """Whether objects have another shape than inside."""

    # -- headers

    def authorization(self, token: str) -> str:
        """The Authorization header."""
        return "Token " + base64.b64encode(token.encode()).decode()

    def token_of(self, header: str | None) -> str | None:
        """The token in an Authorization header; ``None`` if it is not in this version's form."""
        return token_of(header)

    # -- configuration

    def endpoints(self, core: list[Json]) -> list[Json]:
        """Our endpoints, as version details name them."""
        return core

    def details(self, data: Any) -> VersionDetails:
        """Read the CPO's version details.

        Raises:
            Wrong: they are none.
        """
        return checked(VersionDetails, data)

    def credentials(self, core: Json) -> Json:
        """Our Credentials."""
        return core

    def read_credentials(self, data: Any) -> Credentials:
        """Read the CPO's Credentials.

        Raises:
            Wrong: they are none.
        """
        return checked(Credentials, data)

    # -- what leaves

    def token(self, core: Json) -> Json:
        """A token of ours, or the members of one that changed."""
        return core

    def token_query(self, kind: str) -> dict[str, str]:
        """What the address of a token needs beside its uid."""
        return {} if kind == "RFID" else {"type": kind}

    def authorisation(self, core: Json) -> Json:
        """An AuthorizationInfo."""
        return core

    def order(self, name: str, core: Json) -> Json:
        """The body of a command."""
        return core

    # -- what arrives

    def response(self, data: Any) -> CommandResponse:
        """Read the answer to a command.

        Raises:
            Wrong: it is none.
        """
        return checked(CommandResponse, data)

    def result(self, data: Any) -> CommandResult:
        """Read the result of a command.

        Raises:
            Wrong: it is none.
        """
        return checked(CommandResult, data)

    def lift(self, sent: Sent, book: Book) -> Any:
        """The body of a push in the shape of 2.2.1 (whose own checks come later).

        Raises:
            Wrong: it is no such object of this version.
        """
        return sent.body

    def shape(self, model: type[BaseModel]) -> type[BaseModel]:
        """The model by which what ``lift`` returned is checked, for one of 2.2.1."""
        return model


def checked(model: type[M], data: Any) -> M:
    """Validate *data*.

    Raises:
        Wrong: with the first member that is wrong.
    """
    try:
        return model.model_validate(without_nulls(data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Wrong(".".join(map(str, first["loc"])) or "body", first["msg"]) from error
