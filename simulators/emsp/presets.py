"""Partners as they are: how one differs from the well-behaved partner, as a closed list of switches.

``ubc`` knows nothing but what is published about the adaptor; ``legacy-2.1.1`` is an old platform;
``strict`` does everything right and takes nothing that is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from simulators.emsp.languages import SPEECHES
from simulators.emsp.speech import Speech
from simulators.emsp.wire import Json

CLAUSES = {
    "locations": "mod_locations",
    "sessions": "mod_sessions",
    "tariffs": "mod_tariffs",
    "cdrs": "mod_cdrs",
    "commands": "mod_commands",
    "tokens": "mod_tokens",
    "credentials": "credentials",
    "versions": "version_information_endpoint",
    "invoicereconciliation": "mod_invoice_reconciliation",
}
"""Module -> the part of the specification that has its rules; all others: transport."""

FORMS = "transport_and_format"


@dataclass(frozen=True, slots=True)
class Preset:
    """How a partner differs.

    Attributes:
        version: of OCPI that it begins with, unless told otherwise.
        raw_tokens: writes tokens as they are, and expects them so.
        routes: puts routing headers on its calls and expects them. Without: it wants none.
        details_404: its version details cannot be read.
        one_page: reads the first so many objects of a list and follows no Link.
        evse_key: how START_SESSION names the EVSE's uid.
        cut_off: share of the energy that a driver asked for, at which STOP_SESSION is sent.
        shared_token: one APP_USER token with whitelist ALWAYS for all drivers.
        long_bills: takes bills at ``/cdrs/{country code}/{party id}`` only.
        no_fractions: refuses a moment with a fraction of a second.
        token_page: the most tokens on a page of its list.
        strict: refuses what breaks the specification (2001) and names the rule.
    """

    name: str
    version: str = "2.2.1"
    raw_tokens: bool = False
    routes: bool = True
    details_404: bool = False
    one_page: int | None = None
    evse_key: str = "evse_uid"
    cut_off: Decimal | None = None
    shared_token: bool = False
    long_bills: bool = False
    no_fractions: bool = False
    token_page: int = 50
    strict: bool = False

    def speech(self, version: str) -> Speech:
        """How it speaks *version*."""
        plain = SPEECHES[version]
        if (self.raw_tokens, self.routes, self.evse_key) == (False, True, "evse_uid"):
            return plain
        return _odd(self, plain)

    def due(self, requested_wh: int, kwh: Decimal) -> bool:
        """Whether it is time to stop a session."""
        return self.cut_off is not None and requested_wh * self.cut_off < 1000 * kwh


class _Odd(Speech):
    """A version of OCPI with the habits of *preset* in front."""

    preset: Preset

    @property
    def routed(self) -> bool:  # type: ignore[override]
        return super().routed and self.preset.routes

    def authorization(self, token: str) -> str:
        return f"Token {token}" if self.preset.raw_tokens else super().authorization(token)

    def token_of(self, header: str | None) -> str | None:
        if not self.preset.raw_tokens:
            return super().token_of(header)
        scheme, _, value = (header or "").partition(" ")
        return value if scheme == "Token" and value else None

    def order(self, name: str, core: Json) -> Json:
        body = super().order(name, core)
        if name == "START_SESSION" and "evse_uid" in body:
            body = {**body, self.preset.evse_key: body["evse_uid"]}
            if self.preset.evse_key != "evse_uid":
                del body["evse_uid"]
        return body


def _odd(preset: Preset, plain: Speech) -> Speech:
    kind = type(plain)
    habits = type(f"Odd{kind.__name__}", (_Odd, kind), {"preset": preset})
    found: Speech = habits()
    return found


PRESETS: dict[str, Preset] = {
    each.name: each
    for each in (
        Preset("spec"),
        Preset("strict", strict=True),
        Preset(
            "ubc",
            raw_tokens=True,
            routes=False,
            details_404=True,
            one_page=1000,
            evse_key="evse_id",
            cut_off=Decimal("0.9"),
            shared_token=True,
            long_bills=True,
        ),
        Preset("legacy-2.1.1", version="2.1.1", no_fractions=True, token_page=10),
    )
}
"""By name."""


def clause(module: str) -> str:
    """The part of the specification that rules *module*."""
    return CLAUSES.get(module, FORMS)
