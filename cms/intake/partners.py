"""What an operator says of a roaming partner."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cms.intake.base import LENIENT_PARTY, Intake

_ID = Field(pattern=LENIENT_PARTY)
_NAME = Field(min_length=1, max_length=100)


class InviteIn(Intake):
    """Without *url* and *token* the partner registers with us; with both we register with it.

    *hub*: it leads to further parties. *broadcast*: what all of them may see is told to it once.
    """

    id: Annotated[str, _ID]
    name: Annotated[str, _NAME]
    url: str | None = None
    token: str | None = None
    allow_private_addresses: bool = False
    profile: str | None = None
    switches: dict[str, str] = Field(default_factory=dict)
    hub: bool = False
    broadcast: bool = True


class EndpointIn(Intake):
    module: Annotated[str, Field(min_length=1, max_length=64)]
    role: Literal["SENDER", "RECEIVER"]
    url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=255)]


class SharingIn(Intake):
    """What is named is changed. ``sites`` and ``tariffs``: null = all."""

    sites: frozenset[str] | None = None
    owners: frozenset[str] = frozenset()
    status: Literal["shown", "hidden", "delayed"] = "shown"
    delay_minutes: int = 0
    tariffs: frozenset[str] | None = None


class SettingsIn(Intake):
    """What is named is changed. ``switches``: null turns one back to what the profile says."""

    name: Annotated[str, _NAME] | None = None
    profile: str | None = None
    switches: dict[str, str | None] = Field(default_factory=dict)
    sharing: SharingIn | None = None
    networks: tuple[str, ...] | None = None
    certificates: tuple[str, ...] | None = None
    our_certificate: str | None = None
    allow_private_addresses: bool | None = None
    endpoints: tuple[EndpointIn, ...] | None = None


class AdoptIn(Intake):
    """A connection as another system had it.

    Attributes:
        token: with which we call the partner.
        our_token: with which it calls us; kept as a hash only.
        endpoints: none = they are read at *url*.
    """

    name: Annotated[str, _NAME]
    url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=255)]
    version: str
    token: Annotated[str, Field(pattern=r"^[!-~]{1,64}$")]
    our_token: Annotated[str, Field(pattern=r"^[!-~]{8,64}$")]
    endpoints: tuple[EndpointIn, ...] = ()
    roles: tuple[Annotated[str, Field(pattern=r"^(EMSP|HUB|NSP|NAP|OTHER|SCSP) [A-Z]{2}\*[A-Z0-9]{1,10}$")], ...] = ()  # fmt: skip
    allow_private_addresses: bool = False
    profile: str | None = None
    switches: dict[str, str] = Field(default_factory=dict)
