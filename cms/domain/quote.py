"""Prices before a session: what so much energy will cost, and how much a sum of money buys.

Both are answers of the one rating engine for an imagined session at constant power.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from cms.domain.errors import InvalidValue
from cms.domain.money import Money
from cms.domain.rating import Rating, rate
from cms.domain.tariff import Tariff
from cms.domain.units import Wh
from cms.domain.usage import Usage, UsageKind

GRAIN_WH = 10
"""Energy for money is cut down to a multiple of this."""

MOST_WH = 1_000_000
"""No quote is for more than this: it bounds the search and exceeds every vehicle."""


def quote(
    tariff: Tariff,
    start: datetime,
    energy: int,
    power_w: int,
    zone: ZoneInfo,
    *,
    parking: timedelta = timedelta(0),
) -> Rating:
    """Price a session that takes *energy* Wh at *power_w* from *start*, then parks.

    Raises:
        InvalidValue: if *energy* or *parking* is negative or *power_w* is not above 0.
    """
    if power_w <= 0:
        raise InvalidValue("power_w", f"{power_w} W is not above 0")
    if not 0 <= energy <= MOST_WH:
        raise InvalidValue("energy", f"{energy} Wh is not within 0 .. {MOST_WH}")
    charged = start + timedelta(seconds=-(-energy * 3600 // power_w))
    usages = [Usage(start, charged, energy, UsageKind.CHARGING, power_w)]
    if parking:
        usages.append(Usage(charged, charged + parking, 0, UsageKind.PARKING, 0))
    return rate(tariff, usages, zone)


def energy_for(
    tariff: Tariff, start: datetime, budget: Money, power_w: int, zone: ZoneInfo
) -> Wh | None:
    """Return how many Wh *budget* (gross) buys at constant power, cut down to 10 Wh.

    Walks through the tariff's times of day, so the same sum may buy less in the evening.

    Returns:
        ``None`` if the budget does not even pay for the start; ``MOST_WH`` at most.

    Raises:
        InvalidValue: if the currencies differ or *power_w* is not above 0.
    """
    if budget.currency != tariff.currency:
        raise InvalidValue("budget", f"{budget.currency} does not pay a tariff in another currency")
    low, high = -1, MOST_WH // GRAIN_WH
    while low < high:
        middle = (low + high + 1) // 2
        gross = quote(tariff, start, middle * GRAIN_WH, power_w, zone).total.gross
        if gross.amount <= budget.amount:
            low = middle
        else:
            high = middle - 1
    return None if low < 0 else Wh(low * GRAIN_WH)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a planned charge comes to.

    Attributes:
        energy: Wh.
        charging, parking: how long it takes power, and how long it stays after that.
    """

    energy: Wh
    charging: timedelta
    parking: timedelta


def planned(
    tariff: Tariff,
    start: datetime,
    power_w: int,
    zone: ZoneInfo,
    *,
    energy: int | None = None,
    stay: timedelta | None = None,
    budget: Money | None = None,
) -> Plan | None:
    """Return how much a charge takes until the first of its limits is reached.

    Args:
        energy: Wh that are wanted.
        stay: how long the vehicle stays; what is left of it after charging is parking.
        budget: gross, for charging; parking that follows is not within it.

    Returns:
        ``None`` if the budget does not even pay for the start.

    Raises:
        InvalidValue: nothing is limited, or what is given cannot be.
    """
    if power_w <= 0:
        raise InvalidValue("power_kw", f"{power_w} W is not above 0")
    limits = [] if energy is None else [energy]
    if stay is not None:
        limits.append(int(stay.total_seconds()) * power_w // 3600)
    if budget is not None:
        bought = energy_for(tariff, start, budget, power_w, zone)
        if bought is None:
            return None
        limits.append(bought)
    if not limits:
        raise InvalidValue("kwh", "give kwh, minutes or amount")
    most = min(min(limits), MOST_WH)
    charging = timedelta(seconds=-(-most * 3600 // power_w))
    parking = timedelta() if stay is None else max(stay - charging, timedelta())
    return Plan(Wh(most), charging, parking)
