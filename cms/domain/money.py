"""Money: exact decimals with a currency, rounded once, half up, in :func:`to_minor`.

Inside a calculation amounts are fractions. They become minor units (cents, paise) at one point,
and whatever must add up to a rounded total is cut from that total by :func:`apportion`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

from cms.domain.evolve import quick

_TWO_DIGITS = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF
CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL
HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP
MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD
SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS
VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
_NO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DIGITS = "CLF UYW"

MINOR_DIGITS: dict[str, int] = {
    code: digits
    for codes, digits in (
        (_TWO_DIGITS, 2),
        (_NO_DIGITS, 0),
        (_THREE_DIGITS, 3),
        (_FOUR_DIGITS, 4),
    )
    for code in codes.split()
}
"""Digits after the point of every active currency (ISO 4217)."""

_WIDE = Context(prec=60)


class CurrencyError(ValueError):
    """An unknown currency, or two currencies where one is needed."""


def minor_digits(currency: str) -> int:
    """Return the digits after the point of *currency*, e.g. 2 for ``"INR"``.

    Raises:
        CurrencyError: if *currency* is no active ISO 4217 code (upper case).
    """
    try:
        return MINOR_DIGITS[currency]
    except KeyError:
        raise CurrencyError(f"{currency!r} is not an ISO 4217 currency code") from None


def half_up(value: Fraction | int) -> int:
    """Round to a whole number; a half goes away from zero, as on an invoice."""
    return half_up_ratio(value.numerator, value.denominator)


def half_up_ratio(numerator: int, denominator: int) -> int:
    """Round ``numerator / denominator`` (denominator above 0) like :func:`half_up`."""
    if numerator < 0:
        return -((-2 * numerator + denominator) // (2 * denominator))
    return (2 * numerator + denominator) // (2 * denominator)


def to_minor(amount: Fraction | int, currency: str) -> int:
    """Round an exact amount to minor units. This is the one declared rounding point of money."""
    return half_up_ratio(amount.numerator * 10 ** minor_digits(currency), amount.denominator)


def to_decimal(value: Fraction | int, digits: int = 6) -> Decimal:
    """Return *value* as a decimal with *digits* places, half up: for comparing and for reading."""
    whole = half_up_ratio(value.numerator * 10**digits, value.denominator)
    return Decimal(whole).scaleb(-digits, _WIDE)


def apportion(total: int, exact: Sequence[Fraction | int], over: int = 1) -> list[int]:
    """Round *exact* parts to whole numbers that sum to *total*: the largest remainder method.

    The parts are *exact* divided by *over*: integers over one denominator are a tenth of the work
    of fractions.

    Each part becomes its floor, and what is then missing goes, one by one, to the parts with the
    largest remainders (the earlier part on a tie). For this to move no part by one or more,
    *total* must lie within one of the exact sum; otherwise the difference goes round the parts.

    Raises:
        ValueError: if there are no parts but *total* is not zero.
    """
    if not exact:
        if total:
            raise ValueError(f"{total} cannot be shared among no parts")
        return []
    parts = [int(value // over) for value in exact]
    missing = total - sum(parts)
    if missing:
        order = sorted(range(len(parts)), key=lambda i: parts[i] * over - exact[i])
        step = 1 if missing > 0 else -1
        if step < 0:
            order.reverse()
        for turn in range(abs(missing)):
            parts[order[turn % len(order)]] += step
    return parts


def share(total: int, weights: Sequence[Fraction | int]) -> list[int]:
    """Split *total* in proportion to *weights*, as whole numbers that sum to it.

    Raises:
        ValueError: if the weights sum to zero but *total* does not.
    """
    whole = sum(weights)
    if not whole:
        return apportion(total, [] if total else [0] * len(weights))
    return apportion(total, [Fraction(total) * weight / whole for weight in weights])


@quick
@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency. Adding two currencies is an error, not a conversion."""

    amount: Decimal
    currency: str

    @classmethod
    def from_minor(cls, minor: int, currency: str) -> Money:
        """Build from minor units: ``from_minor(1800, "INR")`` is 18.00 INR."""
        return cls(Decimal(minor).scaleb(-minor_digits(currency), _WIDE), currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        """Nothing, written with the currency's digits (``0.00``)."""
        return cls.from_minor(0, currency)

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount - other.amount, self.currency)

    def __neg__(self) -> Money:
        # 0 - x instead of -x: a negated zero would print as "-0.00".
        return Money(Decimal(0) - self.amount, self.currency)

    def __bool__(self) -> bool:
        return bool(self.amount)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyError(f"cannot combine {self.currency} with {other.currency}")

    @property
    def minor(self) -> int:
        """The amount in minor units.

        Raises:
            ValueError: if the amount is not payable, i.e. has more digits than the currency.
        """
        scaled = self.amount.scaleb(minor_digits(self.currency), _WIDE)
        if scaled != scaled.to_integral_value():
            raise ValueError(f"{self} has parts of a minor unit")
        return int(scaled)

    def rounded(self) -> Money:
        """Return the payable amount: half a minor unit rounds away from zero."""
        quantum = Decimal(1).scaleb(-minor_digits(self.currency))
        return Money(self.amount.quantize(quantum, ROUND_HALF_UP, _WIDE), self.currency)


def total(amounts: Iterable[Money], currency: str) -> Money:
    """Sum *amounts*, all of *currency*; zero when there are none."""
    result = Money.zero(currency)
    for amount in amounts:
        result += amount
    return result


@quick
@dataclass(frozen=True, slots=True)
class TaxLine:
    """One tax on a price, e.g. CGST, 9 percent, 1.37 INR."""

    name: str
    percent: Decimal
    amount: Money


@quick
@dataclass(frozen=True, slots=True)
class Price:
    """A payable price: net, its taxes and, rarely, a clamp line. Gross is their sum, always.

    Attributes:
        net: without taxes.
        taxes: one line per tax, in the order of the tariff; empty when nothing is taxed.
        clamp: what a minimum or maximum price moved between net and gross that belongs to no tax
            (net and gross are clamped apart). ``None`` when there is no such difference.
        rounding: the minor unit (either sign) by which equal taxes miss the tax that lies between
            net and gross, e.g. CGST and SGST of an odd number of paise; an invoice's round-off
            line. ``None`` when there is no such difference.

    Raises:
        CurrencyError: on construction, if the currencies differ.
    """

    net: Money
    taxes: tuple[TaxLine, ...] = ()
    clamp: Money | None = None
    rounding: Money | None = None

    def __post_init__(self) -> None:
        currency = self.net.currency
        for line in self.taxes:
            if line.amount.currency != currency:
                raise CurrencyError(f"tax in {line.amount.currency} on a price in {currency}")
        if self.clamp is not None and self.clamp.currency != currency:
            raise CurrencyError(f"clamp in {self.clamp.currency} on a price in {currency}")
        if self.rounding is not None and self.rounding.currency != currency:
            raise CurrencyError(f"rounding in {self.rounding.currency} on a price in {currency}")

    @classmethod
    def zero(cls, currency: str) -> Price:
        """A price of nothing."""
        return cls(Money.zero(currency))

    @property
    def currency(self) -> str:
        """The one currency of all parts."""
        return self.net.currency

    @property
    def tax(self) -> Money:
        """All taxes together, neither the clamp nor the rounding line counted."""
        return total((line.amount for line in self.taxes), self.currency)

    @property
    def gross(self) -> Money:
        """What is paid: net + taxes + rounding + clamp."""
        gross = self.net + self.tax
        for line in (self.rounding, self.clamp):
            if line is not None:
                gross += line
        return gross

    def __add__(self, other: Price) -> Price:
        return Price(
            self.net + other.net,
            merge_taxes((*self.taxes, *other.taxes)),
            _added(self.clamp, other.clamp),
            _added(self.rounding, other.rounding),
        )

    def __neg__(self) -> Price:
        """The same price given back, line by line."""
        taxes = tuple(TaxLine(line.name, line.percent, -line.amount) for line in self.taxes)
        return Price(
            -self.net,
            taxes,
            None if self.clamp is None else -self.clamp,
            None if self.rounding is None else -self.rounding,
        )


def _added(one: Money | None, other: Money | None) -> Money | None:
    """Add two lines that may be missing."""
    if one is None or other is None:
        return other if one is None else one
    return one + other


def merge_taxes(lines: Iterable[TaxLine]) -> tuple[TaxLine, ...]:
    """Add up the lines of the same name and percentage, in order of first appearance."""
    merged: dict[tuple[str, Decimal], TaxLine] = {}
    for line in lines:
        key = (line.name, line.percent)
        known = merged.get(key)
        amount = line.amount if known is None else known.amount + line.amount
        merged[key] = TaxLine(line.name, line.percent, amount)
    return tuple(merged.values())
