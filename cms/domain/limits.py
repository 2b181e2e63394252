"""When a running session will reach its limit, when to ask for the stop, and by how much it passed.

The forecast is made of the last register, the power and the time; money is asked of a function
that prices the session as it would be at a later moment, so fees, times of day and parking are in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from cms.domain.session import Limit

STOP_LATENCY = timedelta(seconds=5)
"""From the decision to stop until the current is off: socket, charger, contactor."""

_SECOND = timedelta(seconds=1)

_Number = TypeVar("_Number", int, Decimal)


class LimitKind(StrEnum):
    ENERGY = "energy"
    MONEY = "money"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a session was when it was last heard of.

    Attributes:
        at: the moment of the register, aware UTC.
        wh: energy delivered so far.
        power_w: what it takes now; the most that it can take where it does not say.
    """

    started_at: datetime
    at: datetime
    wh: int
    power_w: int

    def wh_at(self, moment: datetime) -> int:
        """Return the energy at *moment* if the power stays, rounded up to whole Wh."""
        ahead = max(moment - self.at, timedelta())
        watt_microseconds = self.power_w * (ahead // timedelta(microseconds=1))
        return self.wh - (-watt_microseconds // 3_600_000_000)


CostAt = Callable[[datetime, int], Decimal]
"""Gross price of the session if it ended at a moment with so many Wh."""


@dataclass(frozen=True, slots=True)
class Stop:
    """When to ask for the stop, so that the limit is not passed.

    Attributes:
        ask_at: give the stop now or at this moment, whichever is later.
        reached_at: when the limit would be reached.
        overshoot_wh: energy beyond an energy limit that can no longer be helped.
    """

    kind: LimitKind
    ask_at: datetime
    reached_at: datetime
    overshoot_wh: int = 0


def plan(
    limit: Limit,
    progress: Progress,
    now: datetime,
    *,
    look_ahead: timedelta,
    cost: CostAt | None = None,
    latency: timedelta = STOP_LATENCY,
) -> Stop | None:
    """Return the stop to give if nothing changes; None if no limit will be reached.

    Args:
        look_ahead: how far into the future money is priced: until well after the next sample,
            since every sample brings a new forecast.
        cost: prices the session at a later moment; needed for a limit of money.
        latency: from asking until the power is off.
    """
    horizon = now + look_ahead + latency
    found = [
        (reached, kind)
        for kind, reached in (
            (LimitKind.ENERGY, _energy_reached(limit, progress)),
            (LimitKind.TIME, _time_reached(limit, progress)),
            (LimitKind.MONEY, _money_reached(limit, progress, now, horizon, cost)),
        )
        if reached is not None
    ]
    if not found:
        return None
    reached_at, kind = min(found)
    off_at = max(now, reached_at - latency) + latency
    beyond = 0
    if limit.energy_wh is not None:
        beyond = max(progress.wh_at(off_at) - limit.energy_wh, 0) if off_at > reached_at else 0
    return Stop(kind, reached_at - latency, reached_at, beyond)


def _energy_reached(limit: Limit, progress: Progress) -> datetime | None:
    if limit.energy_wh is None:
        return None
    left = limit.energy_wh - progress.wh
    if left <= 0:
        return progress.at
    if progress.power_w <= 0:
        return None
    seconds = left * 3600 // progress.power_w
    return progress.at + timedelta(seconds=min(seconds, 10**8))


def _time_reached(limit: Limit, progress: Progress) -> datetime | None:
    if limit.seconds is None:
        return None
    return progress.started_at + timedelta(seconds=limit.seconds)


def _money_reached(
    limit: Limit,
    progress: Progress,
    now: datetime,
    horizon: datetime,
    cost: CostAt | None,
) -> datetime | None:
    """Find the last second at which the price is not above the limit, by halving."""
    most = limit.money
    if most is None or cost is None:
        return None

    def passed(moment: datetime) -> bool:
        return cost(moment, progress.wh_at(moment)) > most

    if not passed(horizon):
        return None
    low, high = max(now, progress.at), horizon
    if passed(low):
        return low
    while high - low > _SECOND:
        middle = low + (high - low) / 2
        low, high = (low, middle) if passed(middle) else (middle, high)
    return low


@dataclass(frozen=True, slots=True)
class Overshoot:
    """By how much a session passed its limit; None where it did not."""

    wh: int | None = None
    money: Decimal | None = None
    seconds: int | None = None


def overshoot(limit: Limit, wh: int, cost: Decimal | None, seconds: int) -> Overshoot | None:
    """Compare a finished session with its limit; None if it kept it."""
    found = Overshoot(
        wh=_above(wh, limit.energy_wh),
        money=_above(cost, limit.money),
        seconds=_above(seconds, limit.seconds),
    )
    return None if found == Overshoot() else found


def _above(value: _Number | None, most: _Number | None) -> _Number | None:
    if value is None or most is None or value <= most:
        return None
    return value - most
