"""The trace: how a price came about, in lines that a person can follow with a pencil."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Context, Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from cms.domain.money import Price, to_decimal
from cms.domain.rated import Clamp, CostLine, Period
from cms.domain.tariff import Basis, Dimension, Tariff
from cms.domain.units import plain
from cms.domain.usage import UsageKind

_WIDE = Context(prec=60)

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
    price = f"{plain(line.price)} {currency}{_per(line.dimension)}"
    text += f"{price} = net {_exact(line.net)}"
    for tax in line.taxes:
        percent, unit = tax.percent.as_integer_ratio()
        share = Fraction(line.net.numerator * percent, line.net.denominator * unit * 100)
        text += f" + {tax.name} {plain(tax.percent)} % {_exact(share)}"
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
        f" + {line.name} {plain(line.percent)} % {line.amount.amount}" for line in total.taxes
    )
    clamp = "" if total.clamp is None else f" + limit {total.clamp.amount}"
    rounding = "" if total.rounding is None else f" + rounding {total.rounding.amount}"
    parts = f"net {total.net.amount}{taxes}{rounding}{clamp}"
    return f"Rounded once, half up: {parts} = gross {total.gross}"


def _exact(value: Fraction | int | Decimal) -> str:
    """Write an exact value: as a decimal where it ends, else as a fraction with six digits."""
    if isinstance(value, int):
        return str(value)
    numerator, denominator = value.as_integer_ratio()
    if 10**12 % denominator == 0:
        return str(plain(Decimal(numerator * (10**12 // denominator)).scaleb(-12, _WIDE)))
    return f"{numerator}/{denominator} ({to_decimal(Fraction(numerator, denominator))})"
