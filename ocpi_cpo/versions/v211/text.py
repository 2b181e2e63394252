"""Texts and times of 2.1.1: printable ASCII, whole seconds."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from ocpi_cpo.wire import Json

_FRACTION = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d{1,6}Z")
_LETTERS = str.maketrans(
    {
        "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O",
        "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ł": "l", "Ł": "L",
        "ı": "i", "€": "EUR", "₹": "Rs", "£": "GBP", "…": "...", "–": "-", "—": "-", "‘": "'",
        "’": "'", "“": '"', "”": '"', "\u00a0": " ",
    }
)  # fmt: skip


def ascii_only(text: str) -> str:
    """Return *text* without what 2.1.1 cannot carry.

    Accents are taken off and common signs spelt out; what has no such form becomes ``?``.
    """
    if text.isascii() and text.isprintable():
        return text
    parts = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    bare = "".join(each for each in parts if not unicodedata.combining(each))
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in bare)


def fitting(text: str, limit: int) -> str:
    """Return *text* as ASCII of at most *limit* characters: spelling signs out may lengthen it."""
    return ascii_only(text)[:limit].rstrip()


def plain(value: Any) -> Any:
    """Return JSON *value* with ASCII texts and whole seconds throughout."""
    match value:
        case str():
            found = _FRACTION.fullmatch(value)
            return f"{found[1]}Z" if found else ascii_only(value)
        case dict():
            return {name: plain(each) for name, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case _:
            return value


def only(names: tuple[str, ...], core: Json) -> Json:
    """Return the members of *core* that are called one of *names*, in that order."""
    return {name: core[name] for name in names if core.get(name) is not None}
