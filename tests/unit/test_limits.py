"""The stop is given in time: energy, money and time limits, and what went over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from cms.domain.limits import LimitKind, Progress, overshoot, plan
from cms.domain.session import NO_LIMIT, Limit

T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LATENCY = timedelta(seconds=5)


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def progress(wh: int = 0, power_w: int = 36_000, at: datetime = T0) -> Progress:
    return Progress(T0, at, wh, power_w)  # 36 kW are 10 Wh a second


def test_an_energy_limit_is_stopped_one_latency_before_it_is_reached() -> None:
    stop = plan(Limit(energy_wh=300), progress(), T0, look_ahead=MINUTE)

    assert stop is not None and stop.kind is LimitKind.ENERGY
    assert stop.reached_at == after(30)
    assert stop.ask_at == after(25)
    assert stop.overshoot_wh == 0


def test_money_beyond_the_next_sample_is_left_to_the_next_forecast() -> None:
    def cost(at: datetime, wh: int) -> Decimal:
        return Decimal(wh) * 20 / 1000

    limit = Limit(money=Decimal(1000))
    assert plan(limit, progress(), T0, look_ahead=MINUTE, cost=cost) is None


def test_a_limit_that_is_passed_already_is_stopped_at_once_and_the_overshoot_told() -> None:
    stop = plan(Limit(energy_wh=300), progress(wh=320), T0, look_ahead=MINUTE)

    assert stop is not None and stop.ask_at <= T0
    assert stop.overshoot_wh == 320 + 50 - 300


def test_a_car_that_takes_nothing_reaches_no_energy_limit() -> None:
    assert plan(Limit(energy_wh=300), progress(power_w=0), T0, look_ahead=MINUTE) is None


def test_a_time_limit_needs_no_samples() -> None:
    stop = plan(Limit(seconds=60), progress(power_w=0), after(10), look_ahead=MINUTE)

    assert stop is not None and (stop.kind, stop.ask_at) == (LimitKind.TIME, after(55))


def test_a_money_limit_is_found_by_pricing_the_future() -> None:
    def cost(at: datetime, wh: int) -> Decimal:
        return Decimal(5) + Decimal(wh) * 20 / 1000  # 5.00 to start, 20.00 a kWh

    stop = plan(Limit(money=Decimal(11)), progress(), T0, look_ahead=MINUTE, cost=cost)

    assert stop is not None and stop.kind is LimitKind.MONEY
    assert after(29) <= stop.reached_at <= after(30)
    assert cost(stop.reached_at, progress().wh_at(stop.reached_at)) <= 11


def test_the_limit_reached_first_wins() -> None:
    stop = plan(Limit(energy_wh=300, seconds=20), progress(), T0, look_ahead=MINUTE)

    assert stop is not None and stop.kind is LimitKind.TIME


def test_a_steady_charger_stopped_as_planned_never_passes_its_limit() -> None:
    for power in range(1_000, 360_000, 7_777):
        stop = plan(Limit(energy_wh=10_000), progress(power_w=power), T0, look_ahead=600 * MINUTE)
        assert stop is not None
        assert progress(power_w=power).wh_at(stop.ask_at + LATENCY) <= 10_000


def test_overshoot_is_what_lies_above_the_limit() -> None:
    limit = Limit(energy_wh=1000, money=Decimal("20.00"), seconds=600)

    assert overshoot(limit, 1000, Decimal("20.00"), 600) is None
    found = overshoot(limit, 1010, Decimal("20.50"), 600)
    assert found is not None
    assert (found.wh, found.money, found.seconds) == (10, Decimal("0.50"), None)
    assert overshoot(NO_LIMIT, 10**9, None, 10**9) is None
