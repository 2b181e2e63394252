"""A session that runs under several tariffs: parts, steps, flat prices, limits, the one bill."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from cms.domain.correction import Change, corrected, makes
from cms.domain.errors import InvalidValue
from cms.domain.ids import TariffId
from cms.domain.preference import Wish, reachable
from cms.domain.rating import Rating, Reservation, rate
from cms.domain.switching import Switch, parts_of, switches_of, tariffs_used
from cms.domain.tariff import (
    Dimension,
    Element,
    PriceComponent,
    PriceLimit,
    ReservationPhase,
    Restrictions,
    Tariff,
    TariffKind,
)
from cms.domain.usage import Usage, UsageKind
from tests.contract import samples

KOLKATA = ZoneInfo("Asia/Kolkata")
T0 = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def part(dimension: Dimension, price: str, step: int = 1) -> PriceComponent:
    return PriceComponent(dimension, Decimal(price), step)


def tariff(id: str, *parts: PriceComponent, **more: object) -> Tariff:
    return Tariff(TariffId(id), "INR", (Element(parts),), **more)  # type: ignore[arg-type]


def energy(id: str, price: str, step: int = 1) -> Tariff:
    return tariff(id, part(Dimension.ENERGY, price, step))


DAY, FAST = energy("DAY", "10.00"), energy("FAST", "20.00")
TWO_HOURS = (Usage(T0, T0 + 2 * HOUR, 4000),)


def switched(first: Tariff, second: Tariff, at: timedelta = HOUR) -> Rating:
    return rate(first, TWO_HOURS, KOLKATA, switches=[Switch(T0 + at, second)])


def net(rating: Rating) -> Decimal:
    return rating.total.net.amount


def test_each_part_is_priced_under_its_own_tariff_in_a_period_of_its_own() -> None:
    rating = switched(DAY, FAST)
    assert net(rating) == Decimal("60.00")  # 2 kWh at 10, 2 kWh at 20
    assert [(each.tariff, each.start, each.wh) for each in rating.periods] == [
        ("DAY", T0, 2000),
        ("FAST", T0 + HOUR, 2000),
    ]
    assert [(line.tariff, line.volume) for line in rating.lines] == [("DAY", 2000), ("FAST", 2000)]
    assert (rating.tariff, rating.wh, rating.charging_time) == ("DAY", 4000, 2 * HOUR)
    assert "DAY, element 1" in "\n".join(rating.trace)
    assert "FAST, element 1" in "\n".join(rating.trace)


def test_a_session_without_a_switch_says_nothing_of_tariffs_in_its_lines() -> None:
    assert [line.tariff for line in rate(DAY, TWO_HOURS, KOLKATA).lines] == [None]


def test_only_the_tariff_that_priced_last_rounds_the_energy_up() -> None:
    rating = switched(energy("A", "10.00", 3000), energy("B", "20.00", 500), timedelta(minutes=61))
    assert [(line.volume, line.billed) for line in rating.lines] == [(2033, 2033), (1967, 1967)]
    rating = rate(
        energy("A", "10.00", 3000),
        (Usage(T0, T0 + 2 * HOUR, 4100),),
        KOLKATA,
        switches=[Switch(T0 + HOUR, energy("B", "20.00", 500))],
    )
    assert [(line.volume, line.billed) for line in rating.lines] == [(2050, 2050), (2050, 2450)]


def test_the_step_of_time_is_the_last_tariffs_too() -> None:
    first = tariff("A", part(Dimension.TIME, "60.00", 3600))
    second = tariff("B", part(Dimension.TIME, "120.00", 900))
    rating = switched(first, second, timedelta(minutes=50))
    assert [line.billed for line in rating.lines] == [3000, 4200]
    parked = [*TWO_HOURS, Usage(T0 + 2 * HOUR, T0 + 2.1 * HOUR, 0, UsageKind.PARKING)]
    first = tariff("A", part(Dimension.PARKING_TIME, "60.00", 3600))
    rating = rate(first, parked, KOLKATA, switches=[Switch(T0 + HOUR, second)])
    assert [(line.dimension, line.billed) for line in rating.lines] == [(Dimension.TIME, 3600)]


def test_a_flat_price_is_due_once_under_the_tariff_that_asks_for_it_first() -> None:
    first, second = (tariff(id, part(Dimension.FLAT, price)) for id, price in ("A7", "B9"))
    assert net(switched(first, second)) == Decimal("7.00")
    assert net(switched(DAY, second)) == Decimal("29.00")
    again = [Switch(T0 + HOUR, DAY), Switch(T0 + 1.5 * HOUR, second)]
    assert net(rate(first, TWO_HOURS, KOLKATA, switches=again)) == Decimal("17.00")


def test_restrictions_speak_of_the_whole_session() -> None:
    late = Tariff(
        TariffId("LATE"),
        "INR",
        (
            Element((part(Dimension.ENERGY, "1.00"),), Restrictions(max_kwh=Decimal(3))),
            Element((part(Dimension.TIME, "30.00"),), Restrictions(min_duration=5400)),
        ),
    )
    rating = switched(DAY, late)
    assert [(line.dimension, line.volume) for line in rating.lines] == [
        (Dimension.ENERGY, 2000),
        (Dimension.ENERGY, 1000),  # from 2 to 3 kWh of the session
        (Dimension.TIME, 1800),  # from an hour and a half on
    ]


def test_the_limits_are_those_of_the_tariff_that_held_at_the_end() -> None:
    low = replace(FAST, min_price=PriceLimit(Decimal(100)))
    assert net(switched(DAY, low)) == Decimal("100.00")
    assert net(switched(low, DAY)) == Decimal("60.00")
    assert net(switched(DAY, low, 3 * HOUR)) == Decimal("40.00"), "nothing was used under it"


@pytest.mark.parametrize(
    ("minutes", "used"),
    [
        ((-5,), ["FAST"]),
        ((0,), ["FAST"]),
        ((60,), ["DAY", "FAST"]),
        ((120,), ["DAY"]),
        ((500,), ["DAY"]),
        ((60, 60), ["DAY", "DAY"]),
        ((60, 90), ["DAY", "FAST", "DAY"]),
    ],
)
def test_parts_are_what_was_used_under_each_tariff(
    minutes: tuple[int, ...], used: list[str]
) -> None:
    switches = [
        Switch(T0 + timedelta(minutes=each), next_one)
        for each, next_one in zip(minutes, (FAST, DAY), strict=False)
    ]
    parts = parts_of(DAY, TWO_HOURS, switches)
    assert [each.tariff.id for each in parts] == used
    assert sum(usage.wh for each in parts for usage in each.usages) == 4000
    rating = rate(DAY, TWO_HOURS, KOLKATA, switches=switches)
    assert {each.id for each in tariffs_used(rating, DAY, switches)} == set(used)


def test_a_session_without_any_use_has_one_part() -> None:
    assert [each.tariff.id for each in parts_of(DAY, (), [Switch(T0, FAST)])] == ["DAY"]
    assert net(rate(DAY, (), KOLKATA, switches=[Switch(T0, FAST)])) == 0


def test_a_session_stays_in_its_currency() -> None:
    euro = replace(FAST, currency="EUR")
    with pytest.raises(InvalidValue, match="switches"):
        switched(DAY, euro)


def test_a_reservation_is_priced_by_the_first_tariff() -> None:
    held = Element(
        (part(Dimension.TIME, "6.00"),), Restrictions(reservation=ReservationPhase.RESERVED)
    )
    first = replace(DAY, elements=(*DAY.elements, held))
    rating = rate(
        first, TWO_HOURS, KOLKATA, reservation=Reservation(T0 - HOUR, T0),
        switches=[Switch(T0, FAST)],
    )  # fmt: skip
    assert net(rating) == Decimal("86.00")
    assert [each.id for each in tariffs_used(rating, first, [Switch(T0, FAST)])] == ["DAY", "FAST"]


def test_dark_time_between_the_parts_costs_nothing() -> None:
    dark = [
        Usage(T0, T0 + HOUR, 1000),
        Usage(T0 + HOUR, T0 + 2 * HOUR, 0, UsageKind.UNBILLED),
        Usage(T0 + 2 * HOUR, T0 + 3 * HOUR, 1000),
    ]
    timed = tariff("B", part(Dimension.TIME, "60.00"))
    rating = rate(DAY, dark, KOLKATA, switches=[Switch(T0 + 1.5 * HOUR, timed)])
    assert net(rating) == Decimal("70.00")
    assert rating.unbilled_time == HOUR


# ---------------------------------------------------------------- bills


def test_the_periods_of_a_bill_tell_its_tariffs_back() -> None:
    rating = switched(DAY, FAST)
    first, switches = switches_of(rating, (DAY, FAST))
    assert (first, switches) == (DAY, [Switch(T0 + HOUR, FAST)])


def test_the_energy_of_a_bill_with_two_tariffs_is_corrected_under_both() -> None:
    rating = switched(DAY, FAST)
    bill = replace(
        samples.cdr("B-1"),
        rating=rating,
        total=rating.total,
        tariffs=(DAY, FAST),
        energy_wh=4000,
    )
    assert makes(bill, TWO_HOURS)
    new = corrected(bill, Change(energy_wh=2000), T0)
    assert net(new.rating) == Decimal("30.00")
    assert [each.id for each in new.tariffs] == ["DAY", "FAST"]
    with pytest.raises(InvalidValue, match="ran under several tariffs"):
        corrected(bill, Change(DAY), T0)


# ---------------------------------------------------------------- what can be


@pytest.mark.parametrize(
    ("wh", "minutes", "possible"),
    [(None, 1, True), (10_000, None, True), (7000, 60, True), (7001, 60, False), (1000, -5, True),
     (1001, -5, False)],
)  # fmt: skip
def test_a_wish_that_the_connector_cannot_meet_in_time_is_not_possible(
    wh: int | None, minutes: int | None, possible: bool
) -> None:
    departs = None if minutes is None else T0 + timedelta(minutes=minutes)
    wish = Wish(TariffKind.PROFILE_FAST, wh, departs)
    assert reachable(wish, 1000, 6000, T0) is possible
