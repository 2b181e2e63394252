"""What a CDR should cost, worked out a second time, from the tariff and the charging periods alone.

This is the partner's check on the bill and shares no code with the CPO. It counts in exact
fractions and rounds once, at the end, half up to the currency's smallest unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from datetime import time as clock_time
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise
from math import ceil
from zoneinfo import ZoneInfo

from simulators.emsp.wire import Json, moment

HOUR = 3600
KILO = 1000
SAME_SECONDS = Fraction(5, 1000)
"""Times on the wire end at milliseconds: moments closer than this are one moment."""

TAXED = "tax is included"
"""Beside the members of a component: what its tariff says."""

UNTIMED = ("RESERVE", "DARK")
DECIMALS = {"JPY": 0, "KRW": 0, "VND": 0, "BHD": 3, "JOD": 3, "KWD": 3, "OMR": 3, "TND": 3}
COARSEST_HOURS = Fraction(1, 2000)
"""Half of the third decimal of an hour: volumes written shorter than that still mean more."""


class CannotRate(ValueError):
    """The tariff that a period names is not known."""


@dataclass(frozen=True, slots=True)
class Cost:
    """A total.

    Attributes:
        excl, incl: rounded half up to the currency's decimals.
        exact_excl, exact_incl: before that rounding, clamped.
    """

    excl: Decimal
    incl: Decimal
    exact_excl: Fraction
    exact_incl: Fraction

    def agrees_with(self, total_cost: Mapping[str, Decimal]) -> bool:
        """Whether a CDR's total_cost is this, at the currency's decimals."""
        unit = self.excl
        excl = Decimal(total_cost["excl_vat"]).quantize(unit, ROUND_HALF_UP)
        incl = Decimal(total_cost.get("incl_vat", self.incl)).quantize(unit, ROUND_HALF_UP)
        return (excl, incl) == (self.excl, self.incl)


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch in which no component changes.

    Attributes:
        kind: CHARGE, PARK, RESERVE, or DARK: a period without a time dimension, in which
            energy may be billed but time is not, and does not count for durations.
        seconds, wh: what happened in it.
        elapsed: seconds of the session before it, without reservation.
        so_far: Wh of the session before it.
        low, high: least and greatest current (A) and power (kW), where the CDR says.
    """

    kind: str
    start: datetime
    seconds: Fraction
    wh: Fraction
    tariff: Json | None
    elapsed: Fraction = Fraction(0)
    so_far: Fraction = Fraction(0)
    low: Mapping[str, Fraction] = field(default_factory=dict)
    high: Mapping[str, Fraction] = field(default_factory=dict)

    def part(self, begin: Fraction, end: Fraction) -> Slice:
        """The stretch between two offsets in seconds, with its share of the energy."""
        share = self.wh / self.seconds
        waits = self.kind in UNTIMED
        return replace(
            self,
            start=self.start + timedelta(microseconds=round(begin * 1_000_000)),
            seconds=end - begin,
            wh=share * (end - begin),
            elapsed=self.elapsed + (0 if waits else begin),
            so_far=self.so_far + share * begin,
        )


@dataclass(frozen=True, slots=True)
class Charge:
    """A quantity (Wh, seconds or 1) under one price component."""

    dimension: str
    quantity: Fraction
    component: Json

    def amounts(self) -> tuple[Fraction, Fraction]:
        """Cost excl. and incl. VAT, exact. A component without vat has none. Where the tariff
        says that tax is included (2.3.0), the price is what the driver pays."""
        unit = {"ENERGY": KILO, "FLAT": 1}.get(self.dimension, HOUR)
        cost = self.quantity / unit * exact(self.component["price"])
        factor = 1 + exact(self.component.get("vat") or 0) / 100
        return (cost / factor, cost) if self.component[TAXED] else (cost, cost * factor)


def rate(cdr: Json, tariffs: Sequence[Json], time_zone: str, *, taken_back: bool = False) -> Cost:
    """Work out the total cost of *cdr*.

    Args:
        tariffs: Tariff objects; of several with one id, the first counts.
        time_zone: IANA name; clock restrictions are local to the location.
        taken_back: the driver cancelled what was reserved; it did not expire.

    Raises:
        CannotRate: a period names a tariff that is not among *tariffs*.
    """
    whole = _slices(cdr, tariffs)
    zone = ZoneInfo(time_zone)
    slices = [part for piece in whole for part in _cut(piece, zone)]
    expired = not taken_back and all(piece.kind == "RESERVE" for piece in whole)
    charges = [*_volumes(slices, zone, expired), *_flats(slices, zone, expired)]
    last = next((piece.tariff for piece in reversed(whole) if piece.tariff), None)
    return _total(charges, last, cdr)


def exact(number: Decimal | int | str) -> Fraction:
    """A JSON number without loss."""
    return Fraction(number)


# -- from charging periods to slices -------------------------------------------------------------


def _slices(cdr: Json, tariffs: Sequence[Json]) -> list[Slice]:
    periods = cdr["charging_periods"]
    starts = [moment(period["start_date_time"]) for period in periods]
    ends = [*starts[1:], moment(cdr["end_date_time"])]
    found: list[Slice] = []
    elapsed = so_far = Fraction(0)
    for period, start, end in zip(periods, starts, ends, strict=True):
        tariff = _tariff(period.get("tariff_id"), tariffs)
        for piece in _pieces(period, start, end, tariff):
            found.append(replace(piece, elapsed=elapsed, so_far=so_far))
            elapsed += 0 if piece.kind in UNTIMED else piece.seconds
            so_far += piece.wh
    return found


def _tariff(tariff_id: str | None, tariffs: Sequence[Json]) -> Json | None:
    if tariff_id is None:
        return None
    for tariff in tariffs:
        if tariff["id"].upper() == tariff_id.upper():
            return tariff
    raise CannotRate(f"no tariff {tariff_id}")


def _pieces(period: Json, start: datetime, end: datetime, tariff: Json | None) -> Iterator[Slice]:
    """The slices of one period: several only if it mixes charging and parking."""
    volumes = {d["type"]: exact(d["volume"]) for d in period["dimensions"]}
    low, high = _measured(volumes, "MIN"), _measured(volumes, "MAX")
    times = [
        (kind, volumes[name])
        for name, kind in (
            ("RESERVATION_TIME", "RESERVE"),
            ("TIME", "CHARGE"),
            ("PARKING_TIME", "PARK"),
        )
        if name in volumes
    ]
    lasted = _seconds(end - start)
    if len(times) < 2:
        kind, hours = times[0] if times else ("DARK", lasted / HOUR)
        written = next((d for d in period["dimensions"] if d["type"].endswith("TIME")), None)
        times = [(kind, _best_seconds(hours, lasted, written) / HOUR)]
    energy = volumes.get("ENERGY", Fraction(0)) * KILO
    for kind, hours in times:
        seconds = hours * HOUR
        yield Slice(kind, start, seconds, energy, tariff, low=low, high=high)
        start += timedelta(microseconds=round(seconds * 1_000_000))
        energy = Fraction(0)


def _measured(volumes: Mapping[str, Fraction], end: str) -> dict[str, Fraction]:
    other = "MAX" if end == "MIN" else "MIN"
    found = {}
    for name in ("CURRENT", "POWER"):
        value = volumes.get(f"{end}_{name}", volumes.get(f"{other}_{name}"))
        if value is not None:
            found[name] = value
    return found


def _best_seconds(hours: Fraction, lasted: Fraction, written: Json | None) -> Fraction:
    """What the volume means, as short as it is written: the time by the clock, or else (a period
    that ended before the next one began) whole seconds."""
    if written is None:
        return lasted
    exponent = Decimal(written["volume"]).as_tuple().exponent
    digits = -exponent if isinstance(exponent, int) else 0
    half = min(Fraction(1, 2) / 10 ** max(digits, 0), COARSEST_HOURS)
    seconds = hours * HOUR
    meant = (lasted, Fraction(round(seconds)))
    return next((one for one in meant if abs(seconds - one) <= half * HOUR), seconds)


def _seconds(span: timedelta) -> Fraction:
    return Fraction(span // timedelta(microseconds=1), 1_000_000)


# -- where a component may change ----------------------------------------------------------------


def _cut(piece: Slice, zone: ZoneInfo) -> Iterator[Slice]:
    """Split *piece* wherever a restriction of its tariff may begin or end to hold."""
    if not piece.seconds or not piece.tariff:
        yield piece
        return
    inside = {
        at for at in _boundaries(piece, zone) if SAME_SECONDS < at < piece.seconds - SAME_SECONDS
    }
    points = [Fraction(0), *sorted(inside), piece.seconds]
    for begin, end in pairwise(points):
        yield piece.part(begin, end)


def _boundaries(piece: Slice, zone: ZoneInfo) -> Iterator[Fraction]:
    """Offsets in seconds from the start of *piece*."""
    clocks = {"00:00"}
    for element in (piece.tariff or {})["elements"]:
        rules = element.get("restrictions") or {}
        clocks |= {rules[name] for name in ("start_time", "end_time") if rules.get(name)}
        for name in ("min_duration", "max_duration"):
            if rules.get(name) is not None:
                yield rules[name] - piece.elapsed
        for name in ("min_kwh", "max_kwh"):
            if rules.get(name) is not None and piece.wh:
                ahead = exact(rules[name]) * KILO - piece.so_far
                yield ahead / piece.wh * piece.seconds
    for at in _clock_moments(piece, clocks, zone):
        yield _seconds(at - piece.start)


def _clock_moments(piece: Slice, clocks: Iterable[str], zone: ZoneInfo) -> Iterator[datetime]:
    """When local clocks show one of *clocks* on the days of *piece*; a repeated hour twice."""
    day = piece.start.astimezone(zone).date()
    end = piece.start + timedelta(seconds=float(piece.seconds))
    while day <= end.astimezone(zone).date():
        for text in clocks:
            for fold in (0, 1):
                local = datetime.combine(day, clock_time.fromisoformat(text), zone)
                yield local.replace(fold=fold).astimezone(piece.start.tzinfo)
        day += timedelta(days=1)


# -- restrictions --------------------------------------------------------------------------------


def _component(
    piece: Slice, dimension: str, zone: ZoneInfo, reservation: str | None
) -> Json | None:
    """The first component of *dimension* whose element holds at the start of *piece*."""
    for element in (piece.tariff or {"elements": []})["elements"]:
        rules = element.get("restrictions") or {}
        if rules.get("reservation") != reservation or not _holds(rules, piece, zone):
            continue
        for component in element["price_components"]:
            if component["type"] == dimension:
                included = (piece.tariff or {}).get("tax_included") == "YES"
                return {**component, TAXED: included}
    return None


def _holds(rules: Json, piece: Slice, zone: ZoneInfo) -> bool:
    local = piece.start.astimezone(zone)
    elapsed = round(piece.elapsed, 2)
    return (
        _in_day(rules, local)
        and _in_dates(rules, local)
        and _in_range(rules, "duration", elapsed, elapsed)
        and _in_range(rules, "kwh", piece.so_far / KILO, piece.so_far / KILO)
        and _in_range(rules, "current", piece.low.get("CURRENT"), piece.high.get("CURRENT"))
        and _in_range(rules, "power", *_power(piece))
    )


def _power(piece: Slice) -> tuple[Fraction | None, Fraction | None]:
    """Least and greatest kW; the mean where the CDR does not say."""
    mean = piece.wh / KILO / (piece.seconds / HOUR) if piece.seconds else None
    return piece.low.get("POWER", mean), piece.high.get("POWER", mean)


def _in_range(rules: Json, name: str, low: Fraction | None, high: Fraction | None) -> bool:
    """Whether min is reached and max is not; an unknown quantity meets no limit."""
    least, most = rules.get(f"min_{name}"), rules.get(f"max_{name}")
    if least is not None and (low is None or low < exact(least)):
        return False
    return most is None or (high is not None and high < exact(most))


def _in_day(rules: Json, local: datetime) -> bool:
    days = rules.get("day_of_week")
    if days and local.strftime("%A").upper() not in days:
        return False
    start, end, now = (
        rules.get("start_time") or "00:00",
        rules.get("end_time") or "00:00",
        local.strftime("%H:%M"),
    )
    if end == "00:00":
        return bool(now >= start)
    if end <= start:
        return bool(now >= start or now < end)
    return bool(start <= now < end)


def _in_dates(rules: Json, local: datetime) -> bool:
    today = local.date().isoformat()
    start, end = rules.get("start_date"), rules.get("end_date")
    return (start is None or today >= start) and (end is None or today < end)


# -- charges -------------------------------------------------------------------------------------


def _volumes(slices: Sequence[Slice], zone: ZoneInfo, expired: bool) -> Iterator[Charge]:
    """Energy, time and parking with their step sizes, each rounded once on its total."""
    priced: dict[str, list[Charge]] = {"ENERGY": [], "TIME": [], "PARKING_TIME": [], "RESERVED": []}
    for piece in slices:
        if piece.kind == "RESERVE":
            _add(priced["RESERVED"], "TIME", piece.seconds, _reserved_time(piece, zone, expired))
            continue
        _add(priced["ENERGY"], "ENERGY", piece.wh, _component(piece, "ENERGY", zone, None))
        if name := {"CHARGE": "TIME", "PARK": "PARKING_TIME"}.get(piece.kind):
            _add(priced[name], name, piece.seconds, _component(piece, name, zone, None))
    parking = any(charge.quantity for charge in priced["PARKING_TIME"])
    for name, charges in priced.items():
        yield from charges
        if name != "TIME" or not parking:
            yield from _surplus(charges)


def _add(charges: list[Charge], dimension: str, quantity: Fraction, found: Json | None) -> None:
    if found and quantity:
        charges.append(Charge(dimension, quantity, found))


def _reserved_time(piece: Slice, zone: ZoneInfo, expired: bool) -> Json | None:
    instead = _component(piece, "TIME", zone, "RESERVATION_EXPIRES") if expired else None
    return instead or _component(piece, "TIME", zone, "RESERVATION")


def _surplus(charges: Sequence[Charge]) -> Iterator[Charge]:
    """What the last component's step adds to the total."""
    if not charges:
        return
    last = charges[-1]
    step = int(last.component["step_size"])
    if step == 0 or (step == 1 and last.dimension != "ENERGY"):
        return
    total = sum((charge.quantity for charge in charges), Fraction(0))
    steps = ceil(Fraction(round(total * KILO), KILO) / step)
    yield replace(last, quantity=steps * step - total)


def _flats(slices: Sequence[Slice], zone: ZoneInfo, expired: bool) -> Iterator[Charge]:
    """Each FLAT once, at the first moment it applies: session, reservation, expiry."""
    reserved = [piece for piece in slices if piece.kind == "RESERVE"]
    used = [piece for piece in slices if piece.kind not in UNTIMED]
    wanted: list[tuple[Sequence[Slice], str | None]] = [(used, None), (reserved, "RESERVATION")]
    if expired:
        wanted.append((reserved, "RESERVATION_EXPIRES"))
    for pieces, reservation in wanted:
        components = (_component(piece, "FLAT", zone, reservation) for piece in pieces)
        if found := next((c for c in components if c), None):
            yield Charge("FLAT", Fraction(1), found)


# -- the total -----------------------------------------------------------------------------------


def _total(charges: Iterable[Charge], tariff: Json | None, cdr: Json) -> Cost:
    excl = incl = Fraction(0)
    for charge in charges:
        net, gross = charge.amounts()
        excl, incl = excl + net, incl + gross
    excl = _clamp(excl, tariff or {}, "excl_vat")
    incl = _clamp(incl, tariff or {}, "incl_vat")
    sign = -1 if cdr.get("credit") else 1
    decimals = DECIMALS.get(cdr["currency"], 2)
    return Cost(_half_up(excl, decimals) * sign, _half_up(incl, decimals) * sign, excl, incl)


def _clamp(amount: Fraction, tariff: Json, side: str) -> Fraction:
    """min_price and max_price, each side for itself; a limit that lacks a side leaves it."""
    low, high = (tariff.get(name) or {} for name in ("min_price", "max_price"))
    if side in high:
        amount = min(amount, exact(high[side]))
    return max(amount, exact(low[side])) if side in low else amount


def _half_up(amount: Fraction, decimals: int) -> Decimal:
    """Round money. A net price made from a shelf price is itself shortened, so that what is half
    a cent on the shelf arrives a little below it: seven digits are taken as meant."""
    amount = round(amount, 7)
    cents = (abs(amount) * 10**decimals * 2 + 1) // 2
    return Decimal(int(cents) if amount >= 0 else -int(cents)).scaleb(-decimals)
