"""Q-059, Q-060, Q-080, Q-081, Q-088, Q-089: measured values and their units.

A value that is no number, or whose unit nobody knows, is not kept; it is never 0. The common case
(digits, or digits with one point, in a unit that fits) takes one table look-up and one
multiplication.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import partial

from cms.domain.meter import Quantity
from cms.domain.units import Wh
from ocpp_gateway.adaptation import (
    NO_NOTES,
    Energy,
    Meaning,
    Note,
    Notes,
    Number,
    ReadValue,
    unread,
)

_MAX_TEXT = 64
_MAX_DIGITS = 15  # 10^15 Wh is a country's year; more is damage
_CONTEXT = Context(prec=80)

_MEASURANDS: dict[str | None, Quantity] = {
    None: Quantity.ENERGY_REGISTER,  # without a measurand it is the import register
    "Energy.Active.Import.Register": Quantity.ENERGY_REGISTER,
    "Energy.Active.Import.Interval": Quantity.ENERGY_INTERVAL,
    "Energy.Active.Export.Register": Quantity.ENERGY_EXPORT,
    "Power.Active.Import": Quantity.POWER,
    "Power.Offered": Quantity.POWER_OFFERED,
    "Current.Import": Quantity.CURRENT,
    "Current.Offered": Quantity.CURRENT_OFFERED,
    "Voltage": Quantity.VOLTAGE,
    "SoC": Quantity.STATE_OF_CHARGE,
    "Temperature": Quantity.TEMPERATURE,
}
_ENERGIES = frozenset({Quantity.ENERGY_REGISTER, Quantity.ENERGY_INTERVAL, Quantity.ENERGY_EXPORT})
_POWERS = frozenset({Quantity.POWER, Quantity.POWER_OFFERED})
_CURRENTS = frozenset({Quantity.CURRENT, Quantity.CURRENT_OFFERED})

_PREFIXES = {"": 0, "k": 3, "K": 3, "m": -3}
"""SI prefixes that field devices use. ``M`` is left out: it is as often meant as milli."""

_BASES = ("wh", "w", "va", "a", "v")
_ENERGY_BASES = ("wh", "w")


def _base_power(quantity: Quantity) -> int:
    """Return the power of ten from the quantity's unit without prefix to our integer."""
    if quantity in _ENERGIES or quantity in _POWERS:
        return 0
    return 2 if quantity is Quantity.STATE_OF_CHARGE else 3


def _own_units(quantity: Quantity) -> tuple[str, ...]:
    """Return the standard's spellings of the units that fit *quantity*, the default first."""
    if quantity in _ENERGIES:
        return "Wh", "kWh"
    if quantity in _POWERS:
        return "W", "kW"
    if quantity in _CURRENTS:
        return ("A",)
    match quantity:
        case Quantity.VOLTAGE:
            return ("V",)
        case Quantity.STATE_OF_CHARGE:
            return ("Percent",)
        case _:
            return "Celsius", "Celcius"


_ODD_UNITS = {"%": "Percent", "percent": "Percent", "c": "Celsius", "°c": "Celsius"} | {
    name: "Celsius" for name in ("celsius", "celcius", "degc", "degree")
}

_NOT_A_NUMBER = (Note("Q-088", "a value that is no number"),)
_TOO_LARGE = (Note("Q-089", "a number beyond any meter"),)
_SENTINEL = (Note("Q-089", "a number that stands for unknown"),)
_SPELT = Note("Q-088", "a number spelt unusually")


@dataclass(frozen=True, slots=True)
class Scales:
    """What a profile says about a family's numbers, whatever the label beside them.

    Attributes:
        energy_is_kwh: values labelled Wh, or not at all, are kWh (Q-080); so are whole-number
            registers.
        power_is_kw: the same for W and kW.
        units: further unit names of this family -> the standard's.
    """

    energy_is_kwh: bool = False
    power_is_kw: bool = False
    units: Mapping[str, str] | None = None


class Quantities:
    """Reads measured values in one family's manner. Stateless once made."""

    def __init__(self, scales: Scales = Scales()) -> None:
        self._scales = scales
        self._aliases = {name.lower(): unit for name, unit in (scales.units or {}).items()}
        self._table = {
            (measurand, unit): self._entry(quantity, unit)
            for measurand, quantity in _MEASURANDS.items()
            for unit in (None, *_own_units(quantity))
        }

    def meaning(self, measurand: str | None, unit: str | None, power: int) -> Meaning:
        """Say what a description means and how its values are read; see ``Readings.meaning``."""
        entry = self._table.get((measurand, unit)) or self._odd_entry(measurand, unit)
        if entry is None:
            return None, unread
        quantity, exponent, notes = entry
        if quantity is None:
            return None, lambda value: (None, notes)
        exactly = partial(_exactly, quantity, exponent + power, notes)
        quick = (measurand, unit) in self._table and not power
        return quantity, _quickly(quantity, exponent, notes, exactly) if quick else exactly

    def energy(self, value: str, unit: str | None, measurand: str | None = None) -> Energy:
        """Read an energy; see ``Readings.energy``."""
        quantity, read = self.meaning(measurand, unit, 0)
        number, notes = read(value)
        return (None if number is None or quantity not in _ENERGIES else Wh(number)), notes

    def register(self, value: int) -> Energy:
        """Read a whole-number register; see ``Readings.register``."""
        if value < 0:
            return None, _SENTINEL
        if value >= 10**_MAX_DIGITS:
            return None, _TOO_LARGE
        if self._scales.energy_is_kwh:
            return Wh(value * 1000), (_BY_PROFILE,)
        return Wh(value), NO_NOTES

    def _entry(self, quantity: Quantity, unit: str | None) -> _Entry:
        """Make the table's entry for a unit in the standard's spelling, or for none."""
        base = _base_power(quantity)
        if self._scales.energy_is_kwh and quantity in _ENERGIES and unit in (None, "Wh"):
            return quantity, 3, (_BY_PROFILE,)
        if self._scales.power_is_kw and quantity in _POWERS and unit in (None, "W"):
            return quantity, 3, (_BY_PROFILE,)
        return quantity, base + (3 if unit in ("kWh", "kW") else 0), NO_NOTES

    def _odd_entry(self, measurand: str | None, unit: str | None) -> _Entry | None:
        """Judge a pair that the table lacks: a measurand we do not keep, or an odd unit."""
        quantity = _MEASURANDS.get(measurand)
        if quantity is None or unit is None:
            return None
        name = unit.strip()
        name = self._aliases.get(name.lower(), _ODD_UNITS.get(name.lower(), name))
        if name in _own_units(quantity):
            kept, exponent, notes = self._entry(quantity, name)
            return kept, exponent, (Note("Q-059", f"unit {unit[:20]!r}"), *notes)
        return self._contradicting(quantity, unit, name)

    def _contradicting(self, quantity: Quantity, unit: str, name: str) -> _Entry:
        """Q-060: the measurand decides the dimension; only the prefix is taken from the unit."""
        stem = name.lower()
        if quantity is Quantity.TEMPERATURE or quantity is Quantity.STATE_OF_CHARGE:
            return None, 0, (Note("Q-059", f"unknown unit {unit[:20]!r}"),)
        bases = _ENERGY_BASES if quantity in _ENERGIES else _BASES
        base = next((base for base in bases if stem.endswith(base)), None)
        prefix = None if base is None else _PREFIXES.get(name[: len(name) - len(base)])
        if prefix is None or (prefix < 0 and quantity in _ENERGIES):
            return None, 0, (Note("Q-059", f"unknown unit {unit[:20]!r}"),)
        fits = base == _own_units(quantity)[0].lower()
        code = "Q-059" if fits else "Q-060"
        if fits and prefix == 0:
            kept, exponent, notes = self._entry(quantity, _own_units(quantity)[0])
            return kept, exponent, (Note(code, f"unit {unit[:20]!r}"), *notes)
        return quantity, _base_power(quantity) + prefix, (Note(code, f"unit {unit[:20]!r}"),)


_Entry = tuple[Quantity | None, int, Notes]
_BY_PROFILE = Note("Q-080", "labelled in the thousandth of what it is; scaled by profile")


_NEAR = 1e-6
"""So near to a half a number is rounded exactly. Below 10^9 binary errs by less than this."""

_QUICK_DIGITS = 15


def _quickly(quantity: Quantity, exponent: int, notes: Notes, exactly: ReadValue) -> ReadValue:
    """Return a reader that multiplies in binary.

    It leaves the quick way wherever binary could round another way than the exact decimal would:
    the quick way takes digits with at most one point, of moderate size, not near a half.
    """
    factor, limit = 10.0**exponent, _quick_limit(quantity)

    def read(value: str | float) -> tuple[int | None, Notes]:
        if value.__class__ is float or (
            isinstance(value, str)
            and len(value) <= _QUICK_DIGITS
            and value.isascii()
            and value.replace(".", "", 1).isdecimal()
        ):
            scaled = float(value) * factor + 0.5
            if 0.5 <= scaled < limit:
                whole = int(scaled)
                if _NEAR < scaled - whole < 1 - _NEAR:
                    return whole, notes
        return exactly(value)

    return read


def _exactly(
    quantity: Quantity, exponent: int, notes: Notes, value: str | float
) -> tuple[int | None, Notes]:
    number, damage = _scaled(value if isinstance(value, str) else repr(value), exponent)
    if number is None:
        return None, damage
    if _implausible(quantity, number):
        return None, _SENTINEL
    return number, notes + damage if damage else notes


def _quick_limit(quantity: Quantity | None) -> float:
    """Return what a plausible number of *quantity* is below, at most 10^9."""
    if quantity is Quantity.STATE_OF_CHARGE:
        return 10_001.0
    return 250_001.0 if quantity is Quantity.TEMPERATURE else 1e9


def _implausible(quantity: Quantity, number: int) -> bool:
    if quantity in _ENERGIES:
        return number < 0
    if quantity is Quantity.STATE_OF_CHARGE:
        return not 0 <= number <= 10_000
    return quantity is Quantity.TEMPERATURE and not -90_000 <= number <= 250_000


def _scaled(text: str, exponent: int) -> tuple[int | None, Notes]:
    """Return *text* times ten to *exponent*, half up, exactly."""
    value, notes = number(text)
    if value is None:
        return None, notes
    if abs(exponent) > _MAX_DIGITS or (value and value.adjusted() + exponent >= _MAX_DIGITS):
        return None, _TOO_LARGE
    scaled = value.scaleb(exponent, _CONTEXT).quantize(Decimal(1), ROUND_HALF_UP, _CONTEXT)
    return int(scaled), notes


def number(text: str) -> Number:
    """Q-088: read a decimal number, with blanks around it or a comma for its point.

    Two separators are not guessed at: ``"1,234.5"`` is no number here.
    """
    if len(text) > _MAX_TEXT or not text.isascii():
        return None, _NOT_A_NUMBER
    plain = text.strip("\x00 \t\r\n\"'")
    if plain.count(",") + plain.count(".") == 1:
        plain = plain.replace(",", ".")
    try:
        value = None if "_" in plain else Decimal(plain)
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite():
        return None, _NOT_A_NUMBER
    if value and abs(value.adjusted()) > 2 * _MAX_DIGITS:
        return None, _TOO_LARGE
    return value, NO_NOTES if plain == text else (_SPELT,)
