"""Partners as they are: declared ways in which one differs from the standard.

A profile is a TOML file beside this module; it turns switches of a closed list (``switches``). An
operator may turn single switches for one partner on top of its profile. What comes out is one
value, ``Profile``, that is handed to the edge where it decides; nothing else in the house knows
that partners differ, and no partner's name stands outside this folder.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import structlog

from cms.domain.errors import InvalidValue
from cms.domain.partner import Partner
from ocpi_cpo.profiles.switches import STANDARD, Profile, read, switches

__all__ = ["STANDARD", "Profile", "checked", "profile_of", "profiles", "table", "turned"]

log = structlog.get_logger()

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Shipped:
    """One profile file.

    Attributes:
        about: for whom it is, in one sentence.
        turns: the switches that it turns, as text.
    """

    name: str
    about: str
    turns: tuple[tuple[str, str], ...]


@cache
def profiles() -> Mapping[str, Shipped]:
    """Return the shipped profiles by name.

    Raises:
        InvalidValue: a file turns a switch that there is not, naming file and key.
    """
    found = (_shipped(file) for file in sorted(FOLDER.glob("*.toml")))
    return {each.name: each for each in found}


def _shipped(file: Path) -> Shipped:
    data = tomllib.loads(file.read_text())
    about = str(data.pop("about", ""))
    if not about:
        raise InvalidValue(f"{file.name}: about", "missing")
    turns = tuple((name, _text(value)) for name, value in data.items())
    turned(STANDARD, turns, f"{file.name}: ")
    return Shipped(file.stem, about, turns)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def turned(base: Profile, turns: Sequence[tuple[str, str]], where: str = "switches.") -> Profile:
    """Return *base* with switches turned.

    Raises:
        InvalidValue: no such switch, or no such position of it; the key is named.
    """
    known = switches()
    values: dict[str, Any] = {}
    for name, text in turns:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InvalidValue(f"{where}{name}", f"there is no such switch{hint}")
        try:
            values[name] = read(known[name], text)
        except ValueError as error:
            raise InvalidValue(f"{where}{name}", str(error)) from None
    return base.turned(**values)


def checked(name: str, turns: Sequence[tuple[str, str]] = ()) -> Profile:
    """Return the profile *name* with switches turned.

    Raises:
        InvalidValue: no such profile, switch or position.
    """
    if name not in profiles():
        raise InvalidValue("profile", f"one of {', '.join(profiles())}; not {name!r}")
    return _made(name, tuple(turns))


@cache
def _made(name: str, turns: tuple[tuple[str, str], ...]) -> Profile:
    return turned(turned(STANDARD, profiles()[name].turns), turns)


def profile_of(partner: Partner | None) -> Profile:
    """Return how *partner* differs from the standard; nobody in particular does not."""
    return STANDARD if partner is None else _kept(partner.profile, partner.switches)


@cache
def _kept(name: str, turns: tuple[tuple[str, str], ...]) -> Profile:
    """Return a stored choice. What a later version of ours no longer knows counts as not chosen:
    a partner is served in the standard's way rather than not at all."""
    try:
        return checked(name, turns)
    except InvalidValue as error:
        log.error("profile.unusable", profile=name, field=error.field, why=error.reason)
        return STANDARD


def table() -> str:
    """Return the documentation of all switches as a Markdown table; a test holds it to the docs."""
    return "\n".join(
        [
            "| Switch | Positions (the standard one first) | What it does | Who needs it |",
            "|---|---|---|---|",
            *_rows(),
        ]
    )


def _rows() -> Iterator[str]:
    for name, switch in switches().items():
        users = [each.name for each in profiles().values() if name in dict(each.turns)]
        who = switch.who + (f" ({', '.join(f'`{each}`' for each in users)})" if users else "")
        yield f"| `{name}` | {switch.positions} | {switch.means} | {who} |"
