"""The closed list of switches. A partner that needs something else needs a new switch, with a test.

Every switch says what it does and who needs it; ``docs/partners.md`` shows the same words.
"""

# ruff: noqa: RUF009  (``_switch`` is ``dataclasses.field`` with the words that belong to it)

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Any, get_args, get_type_hints
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class TokenForm(StrEnum):
    """How a credentials token stands in the Authorization header."""

    ANY = "any"
    BASE64 = "base64"
    RAW = "raw"


class CredentialsAs(StrEnum):
    """The role with which our version details list the credentials endpoint."""

    SENDER = "SENDER"
    RECEIVER = "RECEIVER"
    BOTH = "both"


class DatesOut(StrEnum):
    """How we write the moments that we send."""

    SHORTEST = "shortest"
    WHOLE = "whole"
    FRACTION = "fraction"


class CdrPath(StrEnum):
    """Where bills are sent."""

    PLAIN = "plain"
    PARTY_AFTER_404 = "party-after-404"


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch, for readers and for the reader of its position.

    Attributes:
        kind: bool, int, str or an enumeration; ``optional`` where "" means "not set".
    """

    name: str
    kind: Any
    optional: bool
    default: Any
    means: str
    who: str

    @property
    def positions(self) -> str:
        if self.kind is bool:
            return "`true`, `false`" if self.default else "`false`, `true`"
        if self.kind in (int, str):
            shown = f"`{self.default}`" if self.default is not None else "not set"
            return f"{shown}; {'a number' if self.kind is int else 'a text'}"
        return ", ".join(f"`{each.value}`" for each in self.kind)


def _switch(default: Any, means: str, who: str) -> Any:
    return dataclasses.field(default=default, metadata={"means": means, "who": who})


@dataclass(frozen=True, slots=True)
class Profile:
    """How one partner differs from the standard. Each field is a switch."""

    token_in: TokenForm = _switch(
        TokenForm.ANY,
        "in which form its calls must carry the token",
        "`any` suits everybody; the others where an audit demands one form",
    )
    token_out: TokenForm = _switch(
        TokenForm.ANY,
        "in which form our calls carry the token; `any`: as the version says, the other way where "
        "that is refused during registration",
        "partners that compare the token without base64",
    )
    lenient_party_ids: bool = _switch(
        False,
        "its party id may have 1 to 10 letters or digits, not exactly 3",
        "platforms that call themselves `EMSP`",
    )
    routing_required: bool = _switch(
        False,
        "its calls of functional modules must carry the OCPI-to and OCPI-from headers (2001)",
        "hubs, where the header alone says who asks",
    )
    routing_sent: bool = _switch(
        True,
        "our calls and answers carry the routing headers",
        "`false` for partners that refuse headers that they do not know",
    )
    credentials_as: CredentialsAs = _switch(
        CredentialsAs.SENDER,
        "with which role our version details list the credentials endpoint",
        "partners that look for one role only",
    )
    endpoints_template: str | None = _switch(
        None,
        "its endpoints where its version details cannot be read while it registers: `{base}` is its "
        "versions URL without `/versions`, `{version}` and `{module}` speak for themselves. They are "
        "read again in the background until that works; `cms partners set --endpoint` overrides one",
        "partners whose details link leads nowhere until they are registered, or for ever",
    )
    page_default: int | None = _switch(
        None,
        "objects on a page where it gives no limit; not set: as in `[ocpi] page_limit`",
        "partners that do not follow the Link header: the first page must hold everything",
    )
    page_most: int | None = _switch(
        None,
        "the most objects on one page; not set: as in `[ocpi] page_limit`",
        "the same",
    )
    evse_id_for_uid: bool = _switch(
        False,
        "an EVSE that is not found by its uid is looked for by its evse_id",
        "partners that keep EVSEs by evse_id",
    )
    evse_id_key: bool = _switch(
        False,
        "START_SESSION may say `evse_id` in place of `evse_uid`",
        "builds that name the key so",
    )
    cdr_path: CdrPath = _switch(
        CdrPath.PLAIN,
        "`party-after-404`: a bill that is answered 404 at its `/cdrs` goes to `/cdrs/{country}/{party}`",
        "older builds that know the longer path only",
    )
    headline_tariff: bool = _switch(
        False,
        "it is shown a tariff of one element, sent again at each price boundary, and billed by it",
        "partners that read the first element and its first component only",
    )
    dates_without_zone: str = _switch(
        "UTC",
        "the time zone (IANA) of moments that it writes without one",
        "partners that write their local time",
    )
    clock_skew_seconds: int = _switch(
        0,
        "a `last_updated` so much older than ours still counts as the newer one",
        "partners whose clocks jump, or whose nodes disagree",
    )
    dates_out: DatesOut = _switch(
        DatesOut.SHORTEST,
        "moments that we send: `whole` seconds, always a `fraction` (milliseconds), or the fraction "
        "only where there is one",
        "partners with one fixed pattern",
    )
    session_push_seconds: int | None = _switch(
        None,
        "progress of a running session goes out at most this often (at once on a change of status); "
        "not set: as in `[charging] session_push_seconds`",
        "partners that stop a session by what they hear of it",
    )
    extra_reads: bool = _switch(
        False,
        "GET of a single tariff, session or bill: `tariffs/{id}`, `tariffs/{country}/{party}/{id}`, "
        "`sessions/{id}`, `cdrs/{id}`; its own only, as in the lists",
        "partners that look single objects up; not in the standard",
    )
    authorise_here: bool = _switch(
        False,
        "POST and PUT of `tokens/{country}/{party}/{uid}/authorize` are answered from our copy of its "
        "token: ALLOWED, BLOCKED, NOT_ALLOWED or UNKNOWN; nothing is changed",
        "hubs that ask the operator too; not in the standard",
    )

    def turned(self, **values: Any) -> Profile:
        """Return this profile with some switches in other positions."""
        return dataclasses.replace(self, **values)


STANDARD = Profile()
"""OCPI as it is written."""


@cache
def switches() -> Mapping[str, Switch]:
    """Return every switch by name, in the order of the list."""
    hints = get_type_hints(Profile)
    return {
        each.name: Switch(
            each.name,
            _kind(hints[each.name]),
            isinstance(hints[each.name], UnionType),
            each.default,
            each.metadata["means"],
            each.metadata["who"],
        )
        for each in dataclasses.fields(Profile)
    }


def _kind(hint: Any) -> Any:
    if isinstance(hint, UnionType):
        return next(each for each in get_args(hint) if each is not type(None))
    return hint


def read(switch: Switch, text: str) -> Any:
    """Read a position as a person wrote it.

    Raises:
        ValueError: it is none, saying what is expected.
    """
    if switch.optional and text == "":
        return None
    if switch.kind is bool:
        return _one_of({"true": True, "false": False}, text.lower())
    if switch.kind is int:
        return _number(text)
    if switch.kind is str:
        return _CHECKS.get(switch.name, str)(text)
    return _one_of({each.value: each for each in switch.kind}, text)


def _one_of(known: Mapping[str, Any], text: str) -> Any:
    if text not in known:
        raise ValueError(f"one of {', '.join(known)}; not {text!r}")
    return known[text]


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 <= int(text) <= 100_000:
        raise ValueError(f"a whole number from 0 to 100000; not {text!r}")
    return int(text)


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"a time zone like Asia/Kolkata; not {text!r}") from None
    return text


def _template(text: str) -> str:
    if "{module}" not in text:
        raise ValueError("must contain {module}")
    try:
        text.format(base="b", version="v", module="m")
    except (KeyError, IndexError, ValueError):
        raise ValueError("may name {base}, {version} and {module}, nothing else") from None
    return text


_CHECKS: Mapping[str, Any] = {"dates_without_zone": _zone, "endpoints_template": _template}
