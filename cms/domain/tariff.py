"""Tariffs: what energy, time and a start cost, when, and with which taxes.

A tariff is a list of elements in order of precedence. Each has price components (one per dimension
at most) and restrictions that say when it holds. How one is chosen at a moment is in ``rating``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import ROUND_UP, Decimal
from enum import StrEnum
from fractions import Fraction

from cms.domain import plain
from cms.domain.errors import InvalidValue
from cms.domain.ids import PartnerId, TariffHash, TariffId
from cms.domain.money import MINOR_DIGITS

PUBLISHED_DIGITS = 10
"""Most places of a net price as partners see it.

Enough that net price times volume, rounded to minor units, is our number for any energy up to
300 kWh (``tests/unit/test_rating_properties.py`` holds it): the price is cut upwards, so a product
that should be exactly half a minor unit still rounds up, and it is off by less than 1e-7 in all.
"""


class Dimension(StrEnum):
    """What a price component is for."""

    ENERGY = "energy"  # price per kWh; step in Wh
    FLAT = "flat"  # price per session; no step
    TIME = "time"  # price per hour of charging; step in seconds
    PARKING_TIME = "parking_time"  # price per hour plugged in, not charging; step in seconds


class Basis(StrEnum):
    """Whether the prices of a tariff (its limits always name both) are without or with taxes."""

    NET = "net"
    GROSS = "gross"


class TariffKind(StrEnum):
    """For which sessions a tariff is meant."""

    AD_HOC_PAYMENT = "ad_hoc_payment"
    PROFILE_CHEAP = "profile_cheap"
    PROFILE_FAST = "profile_fast"
    PROFILE_GREEN = "profile_green"
    REGULAR = "regular"


def kind_of_profile(profile: str | None) -> TariffKind | None:
    """Return the kind of tariff that a driver's preference asks for: ``CHEAP``, ``FAST``,
    ``GREEN`` or ``REGULAR``; None for none, or one that we do not know."""
    match (profile or "").casefold():
        case "cheap" | "fast" | "green" as name:
            return TariffKind(f"profile_{name}")
        case "regular":
            return TariffKind.REGULAR
        case _:
            return None


class ReservationPhase(StrEnum):
    """Elements with one of these price reserved time, and nothing else does."""

    RESERVED = "reserved"
    EXPIRED = "expired"  # additionally, or for time instead, when the vehicle never came


@dataclass(frozen=True, slots=True)
class Tax:
    """A tax on a component's net price.

    Attributes:
        name: as it stands on the bill: ``"VAT"``, ``"CGST"``, ``"SGST"`` ...
        percent: of the net price, e.g. ``Decimal("9")``; 0 is zero-rated, which is not untaxed.
    """

    name: str
    percent: Decimal

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidValue("taxes.name", "a tax needs a name")
        if not (self.percent.is_finite() and 0 <= self.percent <= 100):
            raise InvalidValue("taxes.percent", f"{self.percent} is not within 0 .. 100")


@dataclass(frozen=True, slots=True)
class PriceComponent:
    """The price of one dimension.

    Attributes:
        price: per kWh, per hour or per session, on the tariff's basis.
        step_size: the total is billed in multiples of so many Wh or seconds; 0 and 1 round
            nothing that a meter in whole Wh and a clock in seconds can show.
        taxes: ``None`` takes the tariff's; empty means untaxed.
    """

    dimension: Dimension
    price: Decimal
    step_size: int = 1
    taxes: tuple[Tax, ...] | None = None

    def __post_init__(self) -> None:
        if not self.price.is_finite() or abs(self.price) >= 10**12:
            raise InvalidValue("price", f"{self.price} is no price")
        if self.step_size < 0:
            raise InvalidValue("step_size", f"{self.step_size} is negative")


@dataclass(frozen=True, slots=True)
class Restrictions:
    """When an element holds: every given restriction must (AND). ``None`` does not restrict.

    Attributes:
        start_time, end_time: daily window on the site's clock, start included, end excluded. An
            end that is not after the start lies on the next day; only an end starts at 00:00, and
            00:00 as the end is the end of the day.
        start_date, end_date: dates at the site, start included, end excluded.
        min_kwh, max_kwh: energy of the session so far, min included, max excluded.
        min_current, max_current: momentary A summed over the phases, min included, max excluded.
        min_power, max_power: momentary kW, min included, max excluded.
        min_duration, max_duration: seconds of charging and parking so far, min included, max
            excluded.
        day_of_week: weekdays at the site at the moment that is priced, Monday is 0.
        reservation: the element prices reserved time only.
    """

    start_time: time | None = None
    end_time: time | None = None
    start_date: date | None = None
    end_date: date | None = None
    min_kwh: Decimal | None = None
    max_kwh: Decimal | None = None
    min_current: Decimal | None = None
    max_current: Decimal | None = None
    min_power: Decimal | None = None
    max_power: Decimal | None = None
    min_duration: int | None = None
    max_duration: int | None = None
    day_of_week: frozenset[int] = frozenset()
    reservation: ReservationPhase | None = None

    def __post_init__(self) -> None:
        for name in ("kwh", "current", "power", "duration"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            for bound, value in ((f"min_{name}", low), (f"max_{name}", high)):
                if value is not None and not 0 <= value < 10**9:
                    raise InvalidValue(bound, f"{value} is not within 0 .. 1e9")
            if low is not None and high is not None and low >= high:
                raise InvalidValue(f"max_{name}", f"{high} is not above min_{name} {low}")
        if self.start_date and self.end_date and self.start_date >= self.end_date:
            raise InvalidValue("end_date", f"{self.end_date} is not after {self.start_date}")
        if not self.day_of_week <= frozenset(range(7)):
            raise InvalidValue("day_of_week", "weekdays are 0 (Monday) .. 6 (Sunday)")

    @property
    def on_clock(self) -> bool:
        """Whether the site's wall clock or calendar matters."""
        return bool(self.on_time or self.start_date or self.end_date or self.day_of_week)

    @property
    def on_time(self) -> bool:
        """Whether a daily window is given."""
        return self.start_time is not None or self.end_time is not None

    def hold_at(self, local: datetime) -> bool:
        """Whether clock and calendar restrictions hold at *local*, the site's wall time."""
        if self.day_of_week and local.weekday() not in self.day_of_week:
            return False
        day = local.date()
        if self.start_date is not None and day < self.start_date:
            return False
        if self.end_date is not None and day >= self.end_date:
            return False
        return not self.on_time or self._in_window(local.time())

    def _in_window(self, now: time) -> bool:
        start, end = self.start_time or time(), self.end_time or time()
        if start < end:
            return start <= now < end
        return now >= start or now < end


ALWAYS = Restrictions()


@dataclass(frozen=True, slots=True)
class Element:
    """Prices that hold together under the same restrictions."""

    components: tuple[PriceComponent, ...]
    restrictions: Restrictions = ALWAYS

    def __post_init__(self) -> None:
        if not self.components:
            raise InvalidValue("components", "an element needs at least one price component")
        dimensions = [component.dimension for component in self.components]
        if len(set(dimensions)) != len(dimensions):
            raise InvalidValue("components", "an element prices each dimension once at most")
        if self.restrictions.reservation is not None and not set(dimensions) <= {
            Dimension.FLAT,
            Dimension.TIME,
        }:
            raise InvalidValue("components", "reserved time has flat and time prices only")


@dataclass(frozen=True, slots=True)
class PriceLimit:
    """The least or most that a session costs; net and gross are clamped apart.

    Attributes:
        net: ``None`` only on a gross tariff, which derives it from *gross*.
        gross: ``None`` on a net tariff clamps the net total only.
    """

    net: Decimal | None = None
    gross: Decimal | None = None

    def __post_init__(self) -> None:
        if self.net is None and self.gross is None:
            raise InvalidValue("limit", "needs a net or a gross amount")
        for name, value in (("net", self.net), ("gross", self.gross)):
            if value is not None and not 0 <= value < 10**12:
                raise InvalidValue(name, f"{value} is no limit of a price")


@dataclass(frozen=True, slots=True)
class DisplayText:
    """Words for people, in one language (ISO 639-1, two small letters)."""

    language: str
    text: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z]{2}", self.language):
            raise InvalidValue("language", f"{self.language!r} is not a code of two small letters")


@dataclass(frozen=True, slots=True)
class EnergySource:
    """A share of the energy, in percent; *source* is upper-case text as the field writes it."""

    source: str
    percent: Decimal


@dataclass(frozen=True, slots=True)
class EnvironmentalImpact:
    """Waste per kWh in grams; *category* is upper-case text as the field writes it."""

    category: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class EnergyMix:
    """Where the energy comes from. The shares of its sources, if any are given, make 100."""

    is_green: bool
    sources: tuple[EnergySource, ...] = ()
    impact: tuple[EnvironmentalImpact, ...] = ()
    supplier: str | None = None
    product: str | None = None

    def __post_init__(self) -> None:
        total = sum((source.percent for source in self.sources), Decimal())
        if self.sources and total != 100:
            raise InvalidValue("energy_mix.sources", f"make {total} percent, not 100")


@dataclass(frozen=True, slots=True)
class Tariff:
    """A tariff. Replaced whole, never changed in place.

    Attributes:
        id: 1 to 36 characters.
        currency: ISO 4217.
        basis: whether the components' prices are net or gross (a shelf price).
        taxes: of every component that names none of its own.
        min_price, max_price: limits of the session's total, on net and gross apart.
        kind: for which sessions; ``None`` = all.
        valid_from, valid_to: UTC, start included, end excluded; ``None`` = open.
        names: alternative texts; extra information only, never a price.
        party: our own ``country_code*party_id`` that owns it towards partners; ``None`` = the
            site's.

    Raises:
        InvalidValue: on construction, naming the field and the reason.
    """

    id: TariffId
    currency: str
    elements: tuple[Element, ...]
    basis: Basis = Basis.NET
    taxes: tuple[Tax, ...] = ()
    min_price: PriceLimit | None = None
    max_price: PriceLimit | None = None
    kind: TariffKind | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    names: tuple[DisplayText, ...] = ()
    alt_url: str | None = None
    energy_mix: EnergyMix | None = None
    party: PartnerId | None = None
    _compiled: object = field(default=None, init=False, repr=False, compare=False, hash=False)
    """What ``rating`` precomputes from the rest; no part of the value."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.id) <= 36:
            raise InvalidValue("id", "1 to 36 characters")
        if self.currency not in MINOR_DIGITS:
            raise InvalidValue("currency", f"{self.currency!r} is not an ISO 4217 currency code")
        if not self.elements:
            raise InvalidValue("elements", "a tariff needs at least one element")
        if self.party is not None and not re.fullmatch(r"[A-Z]{2}\*[A-Z0-9]{3}", self.party):
            raise InvalidValue("party", f"{self.party!r} is not like IN*CPO")
        self._check_validity()
        self._check_limits()

    def _check_validity(self) -> None:
        for name in ("valid_from", "valid_to"):
            at = getattr(self, name)
            if at is not None and at.tzinfo is None:
                raise InvalidValue(name, f"{at} has no time zone")
        if self.valid_from and self.valid_to and self.valid_from >= self.valid_to:
            raise InvalidValue("valid_to", f"{self.valid_to} is not after {self.valid_from}")

    def _check_limits(self) -> None:
        if self.basis is Basis.NET:
            for name in ("min_price", "max_price"):
                limit = getattr(self, name)
                if limit is not None and limit.net is None:
                    raise InvalidValue(f"{name}.net", "a net tariff needs the net amount")
        for part in ("net", "gross"):
            low = self._limit_part(self.min_price, part)
            high = self._limit_part(self.max_price, part)
            if low is not None and high is not None and low > high:
                raise InvalidValue(f"max_price.{part}", "is below min_price")

    def _limit_part(self, limit: PriceLimit | None, part: str) -> Fraction | None:
        if limit is None:
            return None
        return self.net_limit(limit) if part == "net" else self.gross_limit(limit)

    def valid_at(self, now: datetime) -> bool:
        """Whether a session that starts *now* may use this tariff."""
        return (self.valid_from is None or self.valid_from <= now) and (
            self.valid_to is None or now < self.valid_to
        )

    def taxes_of(self, component: PriceComponent) -> tuple[Tax, ...]:
        """The component's own taxes, else the tariff's."""
        return self.taxes if component.taxes is None else component.taxes

    def net_price(self, component: PriceComponent) -> Fraction:
        """Return the exact net price per kWh, hour or session."""
        price = Fraction(component.price)
        if self.basis is Basis.NET:
            return price
        return price / _with_taxes(self.taxes_of(component))

    def gross_price(self, component: PriceComponent) -> Fraction:
        """Return the exact gross price per kWh, hour or session."""
        price = Fraction(component.price)
        if self.basis is Basis.GROSS:
            return price
        return price * _with_taxes(self.taxes_of(component))

    def published_price(self, component: PriceComponent) -> Decimal:
        """Return the net price for partners: exact, or cut upwards at ``PUBLISHED_DIGITS``."""
        if self.basis is Basis.NET:
            return component.price
        return _cut_upwards(self.net_price(component))

    def net_limit(self, limit: PriceLimit) -> Fraction:
        """Return the exact net amount of a limit.

        Raises:
            InvalidValue: if it must be derived from gross and components are taxed differently.
        """
        if limit.net is not None:
            return Fraction(limit.net)
        return Fraction(limit.gross or 0) / self._common_factor()

    def gross_limit(self, limit: PriceLimit) -> Fraction | None:
        """Return the exact gross amount of a limit; ``None`` clamps the net total only."""
        if limit.gross is not None:
            return Fraction(limit.gross)
        if self.basis is Basis.NET:
            return None
        return self.net_limit(limit) * self._common_factor()

    def published_limit(self, limit: PriceLimit) -> tuple[Decimal, Decimal | None]:
        """Return (net, gross) of a limit as partners see it."""
        gross = self.gross_limit(limit)
        net = limit.net if limit.net is not None else _cut_upwards(self.net_limit(limit))
        return net, None if gross is None else _cut_upwards(gross)

    def _common_factor(self) -> Fraction:
        factors = {
            _with_taxes(self.taxes_of(component))
            for element in self.elements
            for component in element.components
        }
        if len(factors) != 1:
            raise InvalidValue("limit", "taxes differ, so it needs both the net and gross amount")
        return factors.pop()


def tariff_text(tariff: Tariff) -> str:
    """Return the canonical text of a tariff: equal tariffs, equal text. For snapshots."""
    return plain.canonical(tariff)


def tariff_from_text(text: str) -> Tariff:
    """Read a tariff back from its canonical text.

    Raises:
        ValueError: if *text* describes no valid tariff.
    """
    return plain.from_text(Tariff, text)


def tariff_hash(tariff: Tariff) -> TariffHash:
    """Return the content hash by which a snapshot is kept: SHA-256 of the canonical text, hex."""
    return TariffHash(hashlib.sha256(tariff_text(tariff).encode()).hexdigest())


def _with_taxes(taxes: Iterable[Tax]) -> Fraction:
    """Return gross over net, e.g. 1.18."""
    return 1 + sum((Fraction(tax.percent) for tax in taxes), Fraction()) / 100


def _cut_upwards(value: Fraction) -> Decimal:
    """Return *value* with ``PUBLISHED_DIGITS`` places at most, cut away from zero."""
    scaled = value * 10**PUBLISHED_DIGITS
    whole = -(-abs(scaled.numerator) // scaled.denominator)
    number = Decimal(whole if value >= 0 else -whole).scaleb(-PUBLISHED_DIGITS)
    return number.quantize(Decimal(1), ROUND_UP) if number == int(number) else number.normalize()
