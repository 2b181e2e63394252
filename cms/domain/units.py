"""Energy, power and current as whole numbers: Wh, W and mA, parsed once from a charger's text."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import NewType

Wh = NewType("Wh", int)
"""Energy in whole watt-hours: a register's reading, or the difference of two."""

_ENERGY = {"Wh": 0, "kWh": 3}
_POWER = {"W": 0, "kW": 3}
_CURRENT = {"A": 3, "mA": 0}

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_MAX_TEXT = 64
_MAX_MAGNITUDE = 15  # 10^15 Wh is a country's year; more is damage, and huge ints cost time
_CONTEXT = Context(prec=80)


def wh(value: str, unit: str = "Wh") -> Wh:
    """Convert a meter reading as a charger wrote it to watt-hours, half up.

    Args:
        value: decimal text, e.g. ``"12.345"``. Text, because a float has already lost digits.
        unit: ``"Wh"`` or ``"kWh"``. Wh is the default when the field is absent (OCPP 1.6,
            SampledValue.unit).

    Raises:
        ValueError: if *value* is no number of a plausible size or *unit* is no unit of energy.
    """
    return Wh(_scaled(value, unit, _ENERGY, "energy"))


def watts(value: str, unit: str = "W") -> int:
    """Convert power as a charger wrote it (``"W"`` or ``"kW"``) to whole watts, half up.

    Raises:
        ValueError: as :func:`wh`.
    """
    return _scaled(value, unit, _POWER, "power")


def milliamps(value: str, unit: str = "A") -> int:
    """Convert a current as a charger wrote it (``"A"`` or ``"mA"``) to whole milliamperes.

    Raises:
        ValueError: as :func:`wh`.
    """
    return _scaled(value, unit, _CURRENT, "current")


def kwh(energy: Wh | int) -> Decimal:
    """Return whole watt-hours as kilowatt-hours, exact, without trailing zeros: 1500 is 1.5."""
    return plain(Decimal(energy).scaleb(-3, _CONTEXT))


def kwh_exact(energy: Fraction | int) -> Fraction:
    """Return watt-hours, whole or not, as an exact fraction of kilowatt-hours."""
    return Fraction(energy) / 1000


def plain(value: Decimal) -> Decimal:
    """Drop trailing zeros and any exponent: ``1.500`` is ``1.5``, ``1E+2`` is ``100``."""
    if not value:
        return Decimal(0)
    value = value.normalize(_CONTEXT)
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent > 0:
        return value.quantize(Decimal(1), context=_CONTEXT)
    return value


def _scaled(text: str, unit: str, units: dict[str, int], what: str) -> int:
    if unit not in units:
        raise ValueError(f"{unit!r} is no unit of {what}; expected one of {', '.join(units)}")
    if len(text) > _MAX_TEXT or not _NUMBER.fullmatch(text):
        raise ValueError(f"{text[:_MAX_TEXT]!r} is no decimal number")
    number = Decimal(text).scaleb(units[unit], _CONTEXT)
    if number and number.adjusted() >= _MAX_MAGNITUDE:
        raise ValueError(f"{text!r} {unit} is no plausible {what}")
    return int(number.quantize(Decimal(1), ROUND_HALF_UP, _CONTEXT))
