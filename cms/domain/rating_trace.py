"""The trace: how a price came about, in lines that a person can follow with a pencil."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from math import gcd
from zoneinfo import ZoneInfo

from cms.domain.money import Price, half_up_ratio, to_decimal
from cms.domain.rated import Clamp, CostLine, Period
from cms.domain.tariff import Basis, Dimension, Tariff
from cms.domain.units import plain
from cms.domain.usage import UsageKind

_WIDE = Context(prec=60)
_DIGITS = 12
"""Most digits after the point of an exact decimal; longer ones are written as fractions."""
_LONGEST = 10**_DIGITS
_LEAST, _MOST = 10 ** (_DIGITS - 6), 10 ** (_DIGITS + 20)

_PRICED = {
    Dimension.ENERGY: "energy",
    Dimension.FLAT: "flat price",
    Dimension.TIME: "charging time",
    Dimension.PARKING_TIME: "parking time",
}
_TIMES = {
    UsageKind.CHARGING: "charging",
    UsageKind.PARKING: "parking",
    UsageKind.UNBILLED: "no power at the site, time not billed",
    UsageKind.RESERVED: "reserved",
}


def trace_of(
    tariffs: Sequence[Tariff],
    periods: Sequence[Period],
    lines: Sequence[CostLine],
    total: Price,
    clamp: Clamp | None,
    exact: tuple[Fraction, Fraction],
    zone: ZoneInfo,
) -> tuple[str, ...]:
    """Write the steps from periods to total. *exact* is (net, gross) before any clamp;
    *tariffs* are those that held, in order: the limits are the last one's."""
    currency, several = tariffs[0].currency, len(tariffs) > 1
    return (
        *dict.fromkeys(_heading(tariff, zone) for tariff in tariffs),
        *(_period(period, zone, several) for period in periods),
        *(_line(line, currency) for line in lines),
        f"Sum: net {_exact(exact[0])}, gross {_exact(exact[1])} {currency}",
        *_clamp(tariffs[-1], clamp),
        _total(total),
    )


def _heading(tariff: Tariff, zone: ZoneInfo) -> str:
    basis = "include taxes" if tariff.basis is Basis.GROSS else "are without taxes"
    return f"Tariff {tariff.id}: prices in {tariff.currency} {basis}; site time {zone.key}"


def _period(period: Period, zone: ZoneInfo, several: bool) -> str:
    start, end = _wall(period.start, zone), _wall(period.end, zone)
    text = f"{start} to {end}: {_TIMES[period.kind]}, {_exact(period.wh)} Wh"
    if several:
        text += f"; tariff {period.tariff}"
    if period.wh:
        text += f"; energy {_by(period.energy)}"
    if period.kind is not UsageKind.UNBILLED:
        text += f"; time {_by(period.time)}"
    return text


def _by(element: int | None) -> str:
    return "free" if element is None else f"by element {element}"


def _wall(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).isoformat(" ")


def _line(line: CostLine, currency: str) -> str:
    what = _PRICED[line.dimension]
    if line.reserved:
        what = "reservation, flat" if line.dimension is Dimension.FLAT else "reserved time"
    whose = "" if line.tariff is None else f"{line.tariff}, element"
    text = f"{whose or 'Element'} {line.element}, {what}: {_volume(line)}"
    price = f"{_text(line.price)} {currency}{_per(line.dimension)}"
    text += f"{price} = net {_exact(line.net)}"
    for tax in line.taxes:
        shown, percent, unit = _percent(tax.percent)
        share = _ratio(line.net.numerator * percent, line.net.denominator * unit)
        text += f" + {tax.name} {shown} % {share}"
    return f"{text} = gross {_exact(line.gross)} {currency}"


def _volume(line: CostLine) -> str:
    if line.dimension is Dimension.FLAT:
        return ""
    unit = "Wh" if line.dimension is Dimension.ENERGY else "s"
    text = f"{_exact(line.volume)} {unit}"
    if line.billed != line.volume:
        text += f", by its step billed as {_exact(line.billed)} {unit}"
    return f"{text} x "


def _per(dimension: Dimension) -> str:
    return {Dimension.ENERGY: "/kWh", Dimension.FLAT: ""}.get(dimension, "/h")


def _clamp(tariff: Tariff, clamp: Clamp | None) -> Iterator[str]:
    if clamp is None:
        return
    names = []
    for name, limit in (("minimum", tariff.min_price), ("maximum", tariff.max_price)):
        if limit is not None:
            net, gross = tariff.net_limit(limit), tariff.gross_limit(limit)
            ends = f"net {_exact(net)}" + ("" if gross is None else f", gross {_exact(gross)}")
            names.append(f"{name} price {ends}")
    yield (
        f"Limits ({'; '.join(names)}) change net by {clamp.net.amount}"
        f" and gross by {clamp.gross.amount} {tariff.currency}"
    )


def _total(total: Price) -> str:
    taxes = "".join(
        f" + {line.name} {_text(line.percent)} % {line.amount.amount}" for line in total.taxes
    )
    clamp = "" if total.clamp is None else f" + limit {total.clamp.amount}"
    rounding = "" if total.rounding is None else f" + rounding {total.rounding.amount}"
    parts = f"net {total.net.amount}{taxes}{rounding}{clamp}"
    return f"Rounded once, half up: {parts} = gross {total.gross}"


def _exact(value: Fraction | int | Decimal) -> str:
    """Write an exact value: as a decimal where it ends, else as a fraction with six digits."""
    return str(value) if isinstance(value, int) else _ratio(*value.as_integer_ratio())


def _ratio(numerator: int, denominator: int) -> str:
    """Write ``numerator / denominator`` (above 0) like :func:`_exact`."""
    common = gcd(numerator, denominator)
    numerator, denominator = numerator // common, denominator // common
    if _LONGEST % denominator:
        return f"{numerator}/{denominator} ({_about(numerator, denominator)})"
    scaled = numerator * (_LONGEST // denominator)
    if not _LEAST <= scaled < _MOST:  # below 0, or so small or large that text takes an exponent
        return str(plain(Decimal(scaled).scaleb(-_DIGITS, _WIDE)))
    whole, rest = divmod(scaled, _LONGEST)
    return f"{whole}.{rest:0{_DIGITS}}".rstrip("0") if rest else str(whole)


def _about(numerator: int, denominator: int) -> str:
    whole = half_up_ratio(numerator * 10**6, denominator)
    if whole <= 0:
        return str(to_decimal(Fraction(numerator, denominator)))
    return f"{whole // 10**6}.{whole % 10**6:06}"


@lru_cache(maxsize=1024)
def _text(value: Decimal) -> str:
    """Write a price or a percentage; a tariff has few of them, and they come back with each bill."""
    return str(plain(value))


@lru_cache(maxsize=256)
def _percent(value: Decimal) -> tuple[str, int, int]:
    """Write a percentage; return also numerator and denominator of the share that it is."""
    numerator, denominator = value.as_integer_ratio()
    return _text(value), numerator, denominator * 100
