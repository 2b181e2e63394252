"""What rating a session yields: periods, cost lines, payable prices and the trace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from cms.domain.errors import InvalidValue
from cms.domain.evolve import quick
from cms.domain.ids import TariffId
from cms.domain.money import Money, Price
from cms.domain.tariff import Basis, Dimension, Tax
from cms.domain.usage import UsageKind


@dataclass(frozen=True, slots=True)
class Reservation:
    """Time for which an EVSE was held.

    Attributes:
        start, end: aware UTC; *end* is when charging started or the reservation expired.
        expired: the vehicle never came.
    """

    start: datetime
    end: datetime
    expired: bool = False

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise InvalidValue("reservation.start", "the times need a time zone")
        if self.end < self.start:
            raise InvalidValue("reservation.end", f"{self.end} is before {self.start}")


@quick
@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of a session in which the same price components held.

    Volumes are as measured; steps appear in the cost lines only. The energy of all periods is the
    energy of the session, in whole Wh wherever the session's registers were.

    Attributes:
        wh: energy in Wh.
        energy, time: number of the tariff element (from 1) that priced it; ``None`` = free.
            *time* is the charging, parking or reserved time, as *kind* says.
        min_power_w ... max_current_ma: what was reported in it; ``None`` if nothing was.
    """

    start: datetime
    end: datetime
    kind: UsageKind
    tariff: TariffId
    wh: int | Fraction
    energy: int | None = None
    time: int | None = None
    min_power_w: int | None = None
    max_power_w: int | None = None
    min_current_ma: int | None = None
    max_current_ma: int | None = None

    @property
    def duration(self) -> timedelta:
        return self.end - self.start


@quick
@dataclass(frozen=True, slots=True)
class CostLine:
    """The exact cost of one price component over the whole session.

    Attributes:
        element: number of the tariff element, from 1.
        volume: as measured, in Wh, seconds, or 1 for a flat price.
        billed: *volume* after step_size.
        price: as in the tariff, on *basis*, per kWh, hour or session.
        net, gross: exact, before any rounding of money.
        reserved: the line prices a reservation, not the session.
        tariff: whose component it is, where a session ran under several.
    """

    dimension: Dimension
    element: int
    volume: int | Fraction
    billed: int | Fraction
    price: Decimal
    basis: Basis
    taxes: tuple[Tax, ...]
    net: Fraction
    gross: Fraction
    reserved: bool = False
    tariff: TariffId | None = None


@dataclass(frozen=True, slots=True)
class Clamp:
    """What a minimum (positive) or maximum (negative) price added to the parts, per side."""

    net: Money
    gross: Money

    def words(self) -> str:
        """Say on a bill why its parts do not add up to its total; empty where they do."""
        if not (self.net.amount or self.gross.amount):
            return ""
        raised = self.net.amount > 0 or self.gross.amount > 0
        return f"the {'minimum' if raised else 'maximum'} price of the tariff holds"


@quick
@dataclass(frozen=True, slots=True)
class Rating:
    """A rated session.

    ``fixed + energy + time + parking + reservation`` is ``total`` to the last minor unit, on net,
    each tax and gross, unless ``clamp`` says what a minimum or maximum price moved.

    Attributes:
        tariff: under which the session began; its periods say under which it went on.
        reservation: flat and time cost of the reservation before the session.
        exact_net, exact_gross: the totals after clamps and before rounding.
        wh: energy of the session, Wh.
        unbilled_time: dark time.
        trace: how the total came about, step by step, with exact values, for a person.
    """

    tariff: TariffId
    currency: str
    periods: tuple[Period, ...]
    lines: tuple[CostLine, ...]
    fixed: Price
    energy: Price
    time: Price
    parking: Price
    reservation: Price
    total: Price
    clamp: Clamp | None
    exact_net: Fraction
    exact_gross: Fraction
    wh: int | Fraction
    charging_time: timedelta
    parking_time: timedelta
    unbilled_time: timedelta
    reserved_time: timedelta
    trace: tuple[str, ...]
