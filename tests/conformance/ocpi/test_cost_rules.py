"""Cost calculation (A10): the engine that every price here comes from, rule by rule.

The specification's worked examples, to the last digit, are in ``tests/conformance/test_costs.py``.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from cms.domain.folding import fold
from cms.domain.ids import PartnerId, TariffId
from cms.domain.meter import Quantity, Sample
from cms.domain.money import to_decimal
from cms.domain.rating import Rating, Reservation, rate
from cms.domain.settlement import active_usages
from cms.domain.switching import Switch
from cms.domain.tariff import Dimension, PriceLimit, ReservationPhase, Tariff, Tax
from cms.domain.transaction import EventKind, TransactionEvent
from cms.domain.usage import Usage, UsageKind
from ocpi_cpo.versions.v221 import bills, prices
from tests.conformance.statements import reading
from tests.unit.test_rating import (
    BERLIN,
    CHARGING,
    ENERGY,
    FLAT,
    KOLKATA,
    NOON,
    PARKED,
    PARKING,
    TIME,
    element,
    net,
    price,
    session,
    tariff,
    wall,
)


def kwh(number: str) -> Decimal:
    return Decimal(number)


def billed(rating: Rating, dimension: Dimension) -> Decimal:
    """What is billed of a dimension, in minutes (or Wh) after steps."""
    total = sum((Fraction(x.billed) for x in rating.lines if x.dimension is dimension), Fraction())
    return to_decimal(total / (1 if dimension is ENERGY else 60))


def test_co_01_the_first_element_whose_restrictions_all_hold_gives_the_price() -> None:
    book = tariff(
        element(price(ENERGY, "9"), start_time=time(11), max_kwh=kwh("0.000000001")),
        element(price(ENERGY, "9"), start_time=time(11), end_time=time(12)),
        element(price(ENERGY, "2"), start_time=time(11), min_duration=0),
        element(price(ENERGY, "1")),
    )
    assert net(rate(book, session(NOON, (60, 1000, CHARGING)), BERLIN)) == 2


def test_co_02_each_dimension_finds_its_own_element() -> None:
    book = tariff(
        element(price(TIME, "6")),
        element(price(FLAT, "1")),
        element(price(TIME, "99"), price(ENERGY, "0.25")),
    )
    assert net(rate(book, session(NOON, (60, 4000, CHARGING)), BERLIN)) == 6 + 1 + 1


def test_co_03_what_no_element_prices_is_free() -> None:
    book = tariff(element(price(TIME, "6"), start_time=time(13)))
    rating = rate(book, session(NOON, (30, 4000, CHARGING)), BERLIN)
    assert net(rating) == 0
    assert rating.wh == 4000


def test_co_04_restrictions_are_looked_at_moment_by_moment() -> None:
    book = tariff(element(price(TIME, "60"), start_time=time(12, 10), end_time=time(12, 20)))
    assert net(rate(book, session(NOON, (60, 0, CHARGING)), BERLIN)) == 10


@pytest.mark.parametrize(
    ("restrictions", "minutes"),
    [
        ({"start_time": time(12), "end_time": time(12, 30)}, 30),
        ({"start_time": time(22), "end_time": time(12, 30)}, 30),  # wraps midnight
        ({"start_time": time(12, 30), "end_time": time(2)}, 30),  # its evening part
        ({"end_time": time(12)}, 0),  # the end is excluded
        ({"start_time": time(12, 59)}, 1),
        ({"start_date": date(2026, 3, 3)}, 60),
        ({"end_date": date(2026, 3, 3)}, 0),
        ({"start_date": date(2026, 3, 3), "end_date": date(2026, 3, 4)}, 60),
    ],
)
def test_co_05_windows_include_their_start_and_exclude_their_end(
    restrictions: Any, minutes: int
) -> None:
    book = tariff(element(price(TIME, "60"), **restrictions))
    assert net(rate(book, session(NOON, (60, 0, CHARGING)), BERLIN)) == minutes


@pytest.mark.parametrize(
    ("restrictions", "due"),
    [
        ({"start_time": time(12), "end_time": time(12, 0, 1)}, True),
        ({"start_time": time(11), "end_time": time(12)}, False),
        ({"start_time": time(22), "end_time": time(12)}, False),
        ({"start_date": date(2026, 3, 3)}, True),
        ({"start_date": date(2026, 3, 4)}, False),
        ({"start_date": date(2026, 3, 2), "end_date": date(2026, 3, 3)}, False),
    ],
)
def test_co_05_the_very_first_moment_belongs_to_a_window_and_the_last_does_not(
    restrictions: Any, due: bool
) -> None:
    """A fee is due where its window holds at any moment; the session begins on the border."""
    book = tariff(element(price(FLAT, "1"), **restrictions))
    assert net(rate(book, session(NOON, (60, 0, CHARGING)), BERLIN)) == due


def test_co_06_energy_limits_include_the_least_and_exclude_the_most() -> None:
    book = tariff(
        element(price(ENERGY, "1"), max_kwh=kwh("2")),
        element(price(ENERGY, "10"), min_kwh=kwh("2")),
    )
    assert net(rate(book, session(NOON, (60, 3000, CHARGING)), BERLIN)) == 2 + 10
    only = tariff(element(price(FLAT, "1"), min_kwh=kwh("2")))
    assert net(rate(only, session(NOON, (60, 2001, CHARGING)), BERLIN)) == 1
    assert net(rate(only, session(NOON, (60, 2000, CHARGING)), BERLIN)) == 0


@pytest.mark.parametrize(
    ("restriction", "matches"),
    [
        ({"min_power": kwh("16")}, True),
        ({"min_power": kwh("16.001")}, False),
        ({"max_power": kwh("16")}, False),
        ({"max_power": kwh("16.001")}, True),
        ({"min_current": kwh("32")}, True),
        ({"max_current": kwh("32")}, False),
        ({"max_current": kwh("32.001")}, True),
        ({"min_current": kwh("32.001")}, False),
    ],
)
def test_co_07_power_and_current_are_momentary_and_their_maximum_is_excluded(
    restriction: Any, matches: bool
) -> None:
    book = tariff(element(price(ENERGY, "1"), **restriction))
    usage = Usage(NOON, NOON + timedelta(minutes=5), 1000, CHARGING, 16_000, 32_000)
    assert net(rate(book, [usage], BERLIN)) == (1 if matches else 0)


@pytest.mark.parametrize(("least", "matches"), [("48", True), ("48.001", False)])
def test_co_07_the_current_is_that_of_all_phases_together(least: str, matches: bool) -> None:
    """As a charger reports it: 16 A on each of three phases are 48 A."""

    def told(kind: EventKind, minutes: int, wh: int) -> TransactionEvent:
        at = NOON + timedelta(minutes=minutes)
        phases = [Sample(at, Quantity.CURRENT, 16_000, phase=name) for name in ("L1", "L2", "L3")]
        event = TransactionEvent(kind, at, at, f"{kind}{minutes}".encode(), register_wh=wh)
        return replace(event, samples=tuple(phases), id_token="CARD")

    record = fold([told(EventKind.STARTED, 0, 0), told(EventKind.ENDED, 60, 5000)])
    book = tariff(element(price(ENERGY, "1"), min_current=kwh(least)))
    rating = rate(book, active_usages(record, record.active_at), BERLIN)
    assert net(rating) == (5 if matches else 0)


def test_co_08_duration_counts_from_the_start_of_the_session() -> None:
    book = tariff(element(price(PARKED, "60"), min_duration=3600, max_duration=5400))
    rating = rate(book, session(NOON, (50, 0, CHARGING), (90, 0, PARKING)), BERLIN)
    assert net(rating) == 30  # from the 60th to the 90th minute, 10 minutes after parking began


@reading
def test_co_09_at_night_the_weekday_is_that_of_the_moment() -> None:
    saturday = frozenset({5})
    book = tariff(
        element(price(TIME, "60"), start_time=time(22), end_time=time(2), day_of_week=saturday)
    )
    friday_night = session(wall(BERLIN, 2026, 3, 6, 23), (120, 0, CHARGING))
    assert net(rate(book, friday_night, BERLIN)) == 60  # after midnight only


def test_co_10_energy_is_split_at_each_border_and_priced_in_parts() -> None:
    book = tariff(element(price(ENERGY, "1"), end_time=time(12, 15)), element(price(ENERGY, "2")))
    rating = rate(book, session(NOON, (60, 4000, CHARGING)), BERLIN)
    assert [each.wh for each in rating.periods] == [1000, 3000]
    assert net(rating) == 1 + 6


def test_co_11_a_flat_fee_is_due_once_and_has_no_step() -> None:
    book = tariff(element(price(FLAT, "1", 900), end_time=time(12, 30)), element(price(FLAT, "7")))
    assert net(rate(book, session(NOON, (60, 0, CHARGING)), BERLIN)) == 1


@pytest.mark.parametrize("first_step", [1, 500, 4000])
def test_co_12_the_energy_step_is_applied_once_to_the_total_at_the_last_price(
    first_step: int,
) -> None:
    """Only the step of the last component counts."""
    book = tariff(
        element(price(ENERGY, "0.20", first_step), max_kwh=kwh("4.3")),
        element(price(ENERGY, "1", 500)),
    )
    rating = rate(book, session(NOON, (60, 5400, CHARGING)), BERLIN)
    assert billed(rating, ENERGY) == 5500
    assert net(rating) == kwh("0.86") + kwh("1.2")


STEPPED = tariff(element(price(TIME, "1", 1200), price(PARKED, "2", 600)))


def test_co_13_with_parking_only_the_parking_is_rounded() -> None:
    rating = rate(STEPPED, session(NOON, (21, 0, CHARGING), (16, 0, PARKING)), BERLIN)
    assert (billed(rating, TIME), billed(rating, PARKED)) == (21, 20)


@pytest.mark.parametrize("first_step", [1, 900, 3600])
def test_co_14_without_parking_the_charging_time_is_rounded_with_the_last_step(
    first_step: int,
) -> None:
    book = tariff(
        element(price(TIME, "60", first_step), max_duration=1500),
        element(price(TIME, "120", 900)),
    )
    rating = rate(book, session(NOON, (35, 0, CHARGING)), BERLIN)
    assert billed(rating, TIME) == 45
    assert net(rating) == 25 + 20 * 2


def test_co_15_nothing_is_rounded_per_period_or_at_a_change_of_element() -> None:
    book = tariff(
        element(price(TIME, "60", 600), end_time=time(12, 1)),
        element(price(TIME, "60", 600), end_time=time(12, 2)),
        element(price(TIME, "60", 600)),
    )
    assert billed(rate(book, session(NOON, (3, 0, CHARGING)), BERLIN), TIME) == 10


def test_co_15_nor_where_another_tariff_takes_over() -> None:
    """25 minutes of each: 50 minutes are five blocks of 10, and would be six if each was rounded."""
    one, two = (tariff(element(price(TIME, "60", 600))) for _ in range(2))
    two = replace(two, id=TariffId("TWO"))
    switch = Switch(NOON + timedelta(minutes=25), two)
    rating = rate(one, session(NOON, (50, 0, CHARGING)), BERLIN, switches=[switch])
    assert billed(rating, TIME) == 50


def test_co_16_what_is_rounded_up_costs_what_the_last_priced_time_cost() -> None:
    book = tariff(
        element(price(PARKED, "60", 900), end_time=time(12, 4)),
        element(price(PARKED, "120", 900), end_time=time(12, 8)),
    )
    rating = rate(book, session(NOON, (20, 0, PARKING)), BERLIN)
    assert net(rating) == 4 + 2 * (4 + 7)  # 8 minutes have a price, 7 more make 15


def test_co_16_time_without_a_price_is_not_in_the_rounded_total() -> None:
    book = tariff(element(price(PARKED, "60", 900), end_time=time(12, 8)))
    assert billed(rate(book, session(NOON, (20, 0, PARKING)), BERLIN), PARKED) == 15


@reading
@pytest.mark.parametrize(("step", "minutes"), [(900, 45), (1, 45), (0, 45), (1000, 50)])
def test_co_17_exact_multiples_and_steps_of_nothing_round_nothing(step: int, minutes: int) -> None:
    book = tariff(element(price(TIME, "1", step)))
    assert billed(rate(book, session(NOON, (45, 0, CHARGING)), BERLIN), TIME) == minutes


@reading
def test_co_18_a_hair_more_than_a_block_is_not_a_block_more() -> None:
    usages = [Usage(NOON, NOON + timedelta(seconds=2700, microseconds=1))]
    book = tariff(element(price(TIME, "1", 900)))
    assert billed(rate(book, usages, BERLIN), TIME) == 45


def test_co_19_the_energy_step_is_in_watt_hours() -> None:
    book = tariff(element(price(ENERGY, "1", 1)))
    rating = rate(book, [Usage(NOON, NOON, Fraction("115.2"))], BERLIN)
    assert billed(rating, ENERGY) == 116
    assert net(rating) == kwh("0.116")


HELD = tariff(
    element(price(FLAT, "4"), price(TIME, "6", 600), reservation=ReservationPhase.EXPIRED),
    element(price(FLAT, "1"), price(TIME, "3", 600), reservation=ReservationPhase.RESERVED),
    element(price(FLAT, "0.5"), price(TIME, "60")),
)


def held(minutes: int, expired: bool = False) -> Reservation:
    return Reservation(NOON - timedelta(minutes=minutes), NOON, expired)


def test_co_20_reserved_time_and_the_session_have_their_own_elements() -> None:
    used = rate(HELD, session(NOON, (60, 0, CHARGING)), BERLIN, reservation=held(10))
    assert used.reservation.net.amount == Decimal("1.50")
    assert used.fixed.net.amount + used.time.net.amount == Decimal("60.50")
    without = rate(HELD, session(NOON, (60, 0, CHARGING)), BERLIN)
    assert without.reservation.net.amount == 0


def test_co_21_reserved_time_is_rounded_by_its_own_step() -> None:
    rating = rate(HELD, session(NOON, (1, 0, CHARGING)), BERLIN, reservation=held(22))
    assert rating.reservation.net.amount == Decimal("2.50")  # 1 + 30 minutes at 3 an hour


def test_co_22_a_reservation_that_expired_costs_its_fee_and_its_own_time_price() -> None:
    assert net(rate(HELD, [], BERLIN, reservation=held(25, expired=True))) == 4 + 1 + 3
    book = tariff(*(replace(each, components=each.components[:1]) for each in HELD.elements[:1]),
                  *HELD.elements[1:])  # fmt: skip
    assert net(rate(book, [], BERLIN, reservation=held(30, expired=True))) == 4 + 1 + kwh("1.5")


def test_co_23_a_used_reservation_adds_to_the_session_and_an_expired_one_has_none() -> None:
    used = rate(HELD, session(NOON, (60, 0, CHARGING)), BERLIN, reservation=held(30))
    assert net(used) == 1 + kwh("1.5") + kwh("0.5") + 60
    expired = rate(HELD, [], BERLIN, reservation=held(30, expired=True))
    assert expired.fixed.net.amount == 0


def taxed(dimension: Dimension, amount: str, percent: str | None) -> Any:
    taxes = () if percent is None else (Tax("VAT", Decimal(percent)),)
    return price(dimension, amount, taxes=taxes)


@reading
def test_co_24_each_component_has_its_own_tax() -> None:
    book = tariff(
        element(taxed(FLAT, "0.50", "20"), taxed(ENERGY, "1", "10"), taxed(TIME, "3", None))
    )
    rating = rate(book, session(NOON, (60, 2000, CHARGING)), BERLIN)
    assert to_decimal(rating.exact_net) == kwh("5.5")
    assert to_decimal(rating.exact_gross) == kwh("0.6") + kwh("2.2") + 3


SIXTH = tariff(
    element(taxed(FLAT, "0.50", "20"), taxed(ENERGY, "0.25", "10")),
    max_price=PriceLimit(Decimal(10), Decimal(11)),
    min_price=PriceLimit(Decimal("0.50"), Decimal("0.60")),
)


def test_co_25_net_and_gross_are_limited_apart() -> None:
    rating = rate(SIXTH, session(NOON, (60, 37_900, CHARGING)), BERLIN)
    assert to_decimal(rating.exact_net) == kwh("9.975")
    assert to_decimal(rating.exact_gross) == 11
    least = rate(replace(SIXTH, elements=SIXTH.elements[:0] + (element(
        taxed(ENERGY, "0.25", "50")),)), session(NOON, (60, 1600, CHARGING)), BERLIN)  # fmt: skip
    assert to_decimal(least.exact_net) == kwh("0.50")  # 0.40 is too little
    assert to_decimal(least.exact_gross) == kwh("0.60")  # just enough without


@reading
def test_co_26_a_limit_without_tax_limits_the_net_total_only() -> None:
    book = replace(SIXTH, max_price=PriceLimit(Decimal(10)))
    rating = rate(book, session(NOON, (60, 50_000, CHARGING)), BERLIN)
    assert (to_decimal(rating.exact_net), to_decimal(rating.exact_gross)) == (10, kwh("14.35"))


@pytest.mark.parametrize(
    ("wh", "exact", "due"),
    [
        (1200, "0.012", "0.01"),  # three parts of 0.004: each by itself would be nothing
        (1800, "0.018", "0.02"),  # three parts of 0.006: each by itself would be 0.01
        (2500, "0.025", "0.03"),  # a half goes up, to an odd number too
        (2499, "0.02499", "0.02"),
    ],
)
def test_co_27_money_is_rounded_once_half_up(wh: int, exact: str, due: str) -> None:
    """The mode is written down in docs/tariffs.md; a minor unit of the currency is what is paid."""
    third = timedelta(minutes=20)
    book = tariff(
        element(price(ENERGY, "0.01"), max_duration=1200),
        element(price(ENERGY, "0.01"), max_duration=2400),
        element(price(ENERGY, "0.01")),
    )
    usages = [Usage(NOON + n * third, NOON + (n + 1) * third, Fraction(wh, 3)) for n in range(3)]
    rating = rate(book, usages, BERLIN)
    assert len(rating.periods) == 3
    assert rating.exact_net == Fraction(exact)
    assert rating.total.net.amount == Decimal(due)


def test_co_27_fields_have_room_for_four_decimals_and_more() -> None:
    book = tariff(element(taxed(ENERGY, "0.123456", "18.25")))
    [told] = prices.tariff(book, PartnerId("IN*CPO"), NOON).wire()["elements"]
    [component] = told["price_components"]
    assert (component["price"], component["vat"]) == (Decimal("0.123456"), Decimal("18.25"))
    rating = rate(tariff(element(price(TIME, "1"))), session(NOON, (1, 1, CHARGING)), BERLIN)
    [period] = bills._periods(rating)
    volumes = {each.type: each.volume for each in period.dimensions}
    assert volumes == {"ENERGY": Decimal("0.001"), "TIME": Decimal("0.01666667")}


@reading
@pytest.mark.parametrize("wh", [1, 333, 37_900, 60_001])
def test_co_28_parts_add_up_to_the_total_or_a_limit_says_why_not(wh: int) -> None:
    rating = rate(SIXTH, session(NOON, (61, wh, CHARGING)), BERLIN)
    parts = [rating.fixed, rating.energy, rating.time, rating.parking, rating.reservation]
    for side in ("net", "gross"):
        total = sum((getattr(part, side).amount for part in parts), Decimal())
        clamp = getattr(rating.clamp, side).amount if rating.clamp else Decimal()
        assert total + clamp == getattr(rating.total, side).amount


@reading
def test_co_31_each_part_is_priced_by_its_tariff_and_only_the_last_step_rounds() -> None:
    """2.1 kWh at 1, then 2.1 kWh at 2 in steps of 1 kWh: 4.2 kWh are 5, the 0.8 more at 2."""
    one = tariff(element(price(ENERGY, "1", 3000), price(FLAT, "7")))
    two = replace(tariff(element(price(ENERGY, "2", 1000), price(FLAT, "9"))), id=TariffId("TWO"))
    switch = Switch(NOON + timedelta(minutes=30), two)
    usages = session(NOON, (30, 2100, CHARGING), (30, 2100, CHARGING))
    rating = rate(one, usages, BERLIN, switches=[switch])
    assert [(each.tariff, each.wh) for each in rating.periods] == [(one.id, 2100), ("TWO", 2100)]
    assert billed(rating, ENERGY) == 5000
    assert net(rating) == kwh("2.1") + kwh("5.8") + 7


@reading
def test_co_29_energy_that_a_vehicle_gives_back_is_credited() -> None:
    book = tariff(element(price(ENERGY, "0.25")))
    rating = rate(book, session(NOON, (30, 1000, CHARGING), (60, -5000, CHARGING)), BERLIN)
    assert rating.total.net.amount == Decimal("-1.00")
    assert net(rate(replace(book, min_price=PriceLimit(Decimal(0))), session(
        NOON, (60, -4000, CHARGING)), BERLIN)) == 0  # fmt: skip


@reading
def test_co_30_when_clocks_change_durations_are_real_and_windows_are_on_the_wall() -> None:
    window = tariff(element(price(TIME, "60"), start_time=time(2), end_time=time(3)))
    autumn = session(wall(BERLIN, 2026, 10, 25, 0), (300, 0, CHARGING))
    spring = session(wall(BERLIN, 2026, 3, 29, 0), (300, 0, CHARGING))
    assert net(rate(window, autumn, BERLIN)) == 120
    assert net(rate(window, spring, BERLIN)) == 0
    always = tariff(element(price(TIME, "60")))
    assert net(rate(always, autumn, BERLIN)) == net(rate(always, spring, BERLIN)) == 300


def test_windows_are_on_the_wall_of_the_site() -> None:
    book: Tariff = tariff(element(price(TIME, "60"), start_time=time(23), end_time=time(0)))
    evening = session(datetime(2026, 3, 6, 17, 30, tzinfo=UTC), (60, 0, UsageKind.CHARGING))
    assert net(rate(book, evening, KOLKATA)) == 60  # 23:00 to 24:00 in Kolkata
    assert net(rate(book, evening, BERLIN)) == 0
