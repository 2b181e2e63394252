"""Q-040, Q-041, Q-044: numbers as text, text as numbers, truth as either.

Each function returns the value in the wanted type, or ``DAMAGED`` where there is none to be had.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP
from enum import Enum, auto
from typing import Final

import msgspec

from adapters.pipeline.quantities import number


class Damage(Enum):
    """The mark of a value that cannot be repaired; not None, which means absent."""

    DAMAGED = auto()


DAMAGED: Final = Damage.DAMAGED

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


def as_int(value: object) -> int | Damage:
    """Return a whole number, half up: registers with a fraction lose less than a watt-hour."""
    match value:
        case bool():
            return int(value)
        case int():
            return value
        case float() | str():
            exact, _ = number(repr(value) if isinstance(value, float) else value)
            return DAMAGED if exact is None else int(exact.to_integral_value(ROUND_HALF_UP))
        case _:
            return DAMAGED


def as_float(value: object) -> float | Damage:
    match value:
        case bool():
            return DAMAGED
        case int() | float():
            return value
        case str():
            exact, _ = number(value)
            return DAMAGED if exact is None else float(exact)
        case _:
            return DAMAGED


def as_bool(value: object) -> bool | Damage:
    word = value.strip().lower() if isinstance(value, str) else str(value)
    if isinstance(value, int | str | bool):
        if word.lower() in _TRUE:
            return True
        if word.lower() in _FALSE:
            return False
    return DAMAGED


def as_text(value: object) -> str | Damage:
    """Return text; numbers in their shortest exact form, objects as JSON (Q-181)."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return repr(value)
        case dict() | list():
            return msgspec.json.encode(value).decode()
        case _:
            return DAMAGED
