"""The engine's rules one by one; numbers in the checklist's order (CO-01 ...)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cms.domain.errors import InvalidValue
from cms.domain.ids import TariffId
from cms.domain.money import to_decimal
from cms.domain.rating import Rating, Reservation, rate
from cms.domain.tariff import (
    Basis,
    Dimension,
    Element,
    PriceComponent,
    PriceLimit,
    ReservationPhase,
    Restrictions,
    Tariff,
    Tax,
)
from cms.domain.usage import Usage, UsageKind

KOLKATA = ZoneInfo("Asia/Kolkata")
BERLIN = ZoneInfo("Europe/Berlin")
GST = (Tax("CGST", Decimal(9)), Tax("SGST", Decimal(9)))
CHARGING, PARKING, UNBILLED = UsageKind.CHARGING, UsageKind.PARKING, UsageKind.UNBILLED
ENERGY, FLAT = Dimension.ENERGY, Dimension.FLAT
TIME, PARKED = Dimension.TIME, Dimension.PARKING_TIME


def price(dimension: Dimension, amount: str, step: int = 1, **more: Any) -> PriceComponent:
    return PriceComponent(dimension, Decimal(amount), step, **more)


def element(*components: PriceComponent, **restrictions: Any) -> Element:
    return Element(components, Restrictions(**restrictions))


def tariff(*elements: Element, currency: str = "EUR", **more: Any) -> Tariff:
    return Tariff(TariffId("T"), currency, elements, **more)


def session(start: datetime, *segments: tuple[float, int, UsageKind] | Usage) -> list[Usage]:
    """Segments of (minutes, Wh, kind), one after the other."""
    usages: list[Usage] = []
    for segment in segments:
        at = usages[-1].end if usages else start
        if isinstance(segment, Usage):
            usages.append(segment)
            continue
        minutes, energy, kind = segment
        usages.append(Usage(at, at + timedelta(minutes=minutes), energy, kind))
    return usages


def wall(zone: ZoneInfo, *when: int) -> datetime:
    return datetime(*when, tzinfo=zone).astimezone(UTC)  # type: ignore[misc,arg-type]


NOON = wall(BERLIN, 2026, 3, 3, 12)  # a Tuesday


def net(rating: Rating) -> Decimal:
    return to_decimal(rating.exact_net)


def test_dimensions_are_chosen_independently_from_the_first_matching_element() -> None:
    book = tariff(
        element(price(TIME, "6"), end_time=time(18)),
        element(price(ENERGY, "0.50"), max_kwh=Decimal(1)),
        element(price(ENERGY, "0.25"), price(TIME, "99")),
    )
    rating = rate(book, session(NOON, (60, 3000, CHARGING)), BERLIN)
    assert net(rating) == Decimal(6) + Decimal("0.5") + Decimal("0.5")


def test_dimension_without_a_matching_component_is_free() -> None:
    book = tariff(element(price(ENERGY, "1"), start_time=time(20)))
    rating = rate(book, session(NOON, (60, 3000, CHARGING)), BERLIN)
    assert net(rating) == 0
    assert rating.total.gross.amount == Decimal("0.00")


def test_clock_restriction_splits_energy_at_the_boundary_by_time() -> None:
    book = tariff(element(price(ENERGY, "0.20"), end_time=time(17)), element(price(ENERGY, "0.30")))
    rating = rate(book, session(wall(BERLIN, 2026, 3, 3, 16, 50), (30, 3000, CHARGING)), BERLIN)
    assert [(p.wh, p.energy) for p in rating.periods] == [(1000, 1), (2000, 2)]
    assert rating.periods[1].start == wall(BERLIN, 2026, 3, 3, 17)
    assert net(rating) == Decimal("0.8")


def test_energy_at_a_boundary_is_a_whole_watt_hour_and_nothing_is_lost() -> None:
    book = tariff(element(price(ENERGY, "0.20"), end_time=time(17)), element(price(ENERGY, "0.30")))
    rating = rate(book, session(wall(BERLIN, 2026, 3, 3, 16, 53), (11, 1000, CHARGING)), BERLIN)
    assert [p.wh for p in rating.periods] == [636, 364]


def test_energy_threshold_is_met_exactly_and_its_instant_is_interpolated() -> None:
    book = tariff(
        element(price(ENERGY, "0.10"), max_kwh=Decimal("1.5")),
        element(price(ENERGY, "1.00"), min_kwh=Decimal("1.5")),
    )
    rating = rate(book, session(NOON, (60, 6000, CHARGING)), BERLIN)
    assert [(p.wh, p.duration) for p in rating.periods] == [
        (1500, timedelta(minutes=15)),
        (4500, timedelta(minutes=45)),
    ]
    assert net(rating) == Decimal("0.15") + Decimal("4.5")


def test_power_and_current_hold_from_their_minimum_to_below_their_maximum() -> None:
    book = tariff(
        element(price(ENERGY, "1"), max_power=Decimal(16)),
        element(price(ENERGY, "2"), max_current=Decimal(32)),
        element(price(ENERGY, "3")),
    )
    usages = session(
        NOON,
        Usage(NOON, NOON, 1000, CHARGING, 15_999, 99_000),
        Usage(NOON, NOON, 1000, CHARGING, 16_000, 31_999),
        Usage(NOON, NOON, 1000, CHARGING, 16_000, 32_000),
    )
    assert [p.energy for p in rate(book, usages, BERLIN).periods] == [1, 2, 3]


def test_unknown_power_is_the_average_and_unknown_current_matches_no_restriction() -> None:
    by_power = tariff(
        element(price(ENERGY, "1"), max_power=Decimal(7)), element(price(ENERGY, "2"))
    )
    by_current = tariff(element(price(ENERGY, "1"), max_current=Decimal(32)))
    assert net(rate(by_power, session(NOON, (60, 6999, CHARGING)), BERLIN)) == Decimal("6.999")
    assert net(rate(by_power, session(NOON, (60, 7000, CHARGING)), BERLIN)) == Decimal(14)
    assert net(rate(by_current, session(NOON, (60, 7000, CHARGING)), BERLIN)) == 0


def test_duration_counts_charging_and_parking_from_the_start() -> None:
    book = tariff(element(price(PARKED, "6"), min_duration=3600))
    rating = rate(book, session(NOON, (50, 0, CHARGING), (40, 0, PARKING)), BERLIN)
    assert net(rating) == Decimal(3)  # 30 of the 40 minutes


def test_dark_time_neither_costs_nor_counts_as_duration() -> None:
    book = tariff(
        element(price(ENERGY, "0.25"), price(TIME, "6"), price(PARKED, "6"), max_duration=3600),
        element(price(TIME, "600")),
    )
    usages = session(NOON, (30, 1000, CHARGING), (120, 0, UNBILLED), (30, 1000, CHARGING))
    rating = rate(book, usages, BERLIN)
    assert net(rating) == Decimal("6.5")
    assert rating.unbilled_time == timedelta(minutes=120)
    assert [p.kind for p in rating.periods] == [CHARGING, UNBILLED, CHARGING]


def test_energy_counted_in_dark_time_is_billed() -> None:
    book = tariff(element(price(ENERGY, "0.25")))
    rating = rate(book, session(NOON, (30, 1000, CHARGING), (9, 8, UNBILLED)), BERLIN)
    assert rating.wh == 1008
    assert net(rating) == Decimal("0.252")


def test_flat_is_due_once_at_the_first_element_that_matches() -> None:
    book = tariff(
        element(price(FLAT, "5"), min_duration=1800),
        element(price(FLAT, "1", 900), min_duration=600),
    )
    assert net(rate(book, session(NOON, (9, 0, CHARGING)), BERLIN)) == 0
    assert net(rate(book, session(NOON, (60, 0, CHARGING)), BERLIN)) == 1


def test_flat_is_due_for_a_session_without_energy_or_time() -> None:
    book = tariff(element(price(FLAT, "1.50")))
    rating = rate(book, [Usage(NOON, NOON)], BERLIN)
    assert net(rating) == Decimal("1.5")
    assert len(rating.periods) == 1


def test_energy_step_is_applied_once_by_the_last_component() -> None:
    book = tariff(
        element(price(ENERGY, "0.20", 500), max_kwh=Decimal("4.3")),
        element(price(ENERGY, "0.27", 500)),
    )
    rating = rate(book, session(NOON, (60, 5400, CHARGING)), BERLIN)
    assert net(rating) == Decimal("4.3") * Decimal("0.20") + Decimal("1.2") * Decimal("0.27")
    assert [(line.volume, line.billed) for line in rating.lines] == [(4300, 4300), (1100, 1200)]
    assert sum(p.wh for p in rating.periods) == 5400


STEPPED = tariff(element(price(TIME, "1", 600), price(PARKED, "2", 600)))


@pytest.mark.parametrize(
    ("segments", "charging", "parking"),
    [
        ([(21, 0, CHARGING), (16, 0, PARKING)], 21, 20),
        ([(21, 0, CHARGING)], 30, 0),
        ([(30, 0, CHARGING)], 30, 0),
        ([(5, 0, PARKING), (21, 0, CHARGING), (6, 0, PARKING), (1, 0, CHARGING)], 22, 20),
        ([(20 + 1 / 60_000, 0, CHARGING)], 20, 0),
        ([(20 + 1 / 60, 0, CHARGING)], 30, 0),
    ],
)
def test_time_step_rounds_parking_if_there_is_any_else_charging(
    segments: Any, charging: int, parking: int
) -> None:
    rating = rate(STEPPED, session(NOON, *segments), BERLIN)
    billed = {line.dimension: Fraction(line.billed) / 60 for line in rating.lines}
    assert to_decimal(billed.get(TIME, Fraction()), 2) == charging
    assert to_decimal(billed.get(PARKED, Fraction()), 2) == parking


def test_free_parking_is_not_in_the_rounded_total_and_its_surplus_has_the_last_price() -> None:
    book = tariff(
        element(price(PARKED, "6", 900), end_time=time(12, 8)),
        element(price(TIME, "0", 600)),
    )
    rating = rate(book, session(NOON, (20, 0, PARKING)), BERLIN)
    assert [(line.volume, line.billed) for line in rating.lines] == [(480, 900)]
    assert net(rating) == Decimal("1.5")


@pytest.mark.parametrize("step", [0, 1])
def test_step_of_nothing_rounds_nothing(step: int) -> None:
    book = tariff(element(price(TIME, "3600", step)))
    usages = [Usage(NOON, NOON + timedelta(milliseconds=1500))]
    assert net(rate(book, usages, BERLIN)) == Decimal("1.5")


HELD = tariff(
    element(price(FLAT, "4"), price(TIME, "6", 600), reservation=ReservationPhase.EXPIRED),
    element(price(FLAT, "1"), price(TIME, "3", 600), reservation=ReservationPhase.RESERVED),
    element(price(FLAT, "0.5"), price(ENERGY, "0.25"), price(TIME, "60", 3600)),
)


def test_used_reservation_pays_its_own_flat_and_time_beside_the_session() -> None:
    held = Reservation(NOON - timedelta(minutes=22), NOON)
    rating = rate(HELD, session(NOON, (60, 4000, CHARGING)), BERLIN, reservation=held)
    assert rating.reservation.net.amount == Decimal("2.50")  # 1 + 30 min at 3
    assert rating.fixed.net.amount == Decimal("0.50")
    assert rating.total.net.amount == Decimal("64.00")
    assert rating.reserved_time == timedelta(minutes=22)


def test_expired_reservation_adds_its_fee_replaces_the_time_price_and_pays_no_session() -> None:
    held = Reservation(NOON, NOON + timedelta(minutes=25), expired=True)
    rating = rate(HELD, [], BERLIN, reservation=held)
    assert rating.total.net.amount == Decimal("8.00")  # 4 + 1 + 30 min at 6
    assert rating.total == rating.reservation
    assert rating.wh == 0


def test_expired_reservation_without_a_time_price_of_its_own_pays_the_reserved_one() -> None:
    book = tariff(
        element(price(FLAT, "4"), reservation=ReservationPhase.EXPIRED),
        element(price(TIME, "3"), reservation=ReservationPhase.RESERVED),
    )
    held = Reservation(NOON, NOON + timedelta(minutes=20), expired=True)
    assert net(rate(book, [], BERLIN, reservation=held)) == 5


def test_minimum_price_is_for_sessions_not_for_reservations_that_expired() -> None:
    book = replace(HELD, min_price=PriceLimit(Decimal(50), Decimal(50)))
    held = Reservation(NOON, NOON + timedelta(minutes=5), expired=True)
    assert rate(book, [], BERLIN, reservation=held).clamp is None


CAPPED = tariff(
    element(
        price(FLAT, "0.5", taxes=(Tax("VAT", Decimal(20)),)),
        price(ENERGY, "0.25", taxes=(Tax("VAT", Decimal(10)),)),
    ),
    max_price=PriceLimit(Decimal(10), Decimal(11)),
)


def test_net_and_gross_are_clamped_apart() -> None:
    rating = rate(CAPPED, session(NOON, (60, 37_900, CHARGING)), BERLIN)
    assert (rating.exact_net, rating.exact_gross) == (Fraction("9.975"), 11)
    assert rating.total.net.amount == Decimal("9.98")
    assert rating.total.gross.amount == Decimal("11.00")
    assert rating.total.clamp is None  # both sides are limited, so what lies between them is tax
    assert rating.clamp is not None
    assert (rating.clamp.net.amount, rating.clamp.gross.amount) == (0, Decimal("-0.02"))
    assert any("maximum price" in step for step in rating.trace)


def test_limit_on_net_alone_leaves_taxes_as_they_were_and_shows_a_clamp_line() -> None:
    book = replace(CAPPED, max_price=PriceLimit(Decimal(10)))
    rating = rate(book, session(NOON, (60, 50_000, CHARGING)), BERLIN)
    assert (rating.exact_net, rating.exact_gross) == (10, Fraction("14.35"))
    assert rating.total.clamp is not None
    assert rating.total.clamp.amount == Decimal("3.00")
    assert rating.total.tax.amount == Decimal("1.35")
    assert rating.total.gross.amount == Decimal("14.35")


def test_taxes_of_a_clamped_total_keep_their_proportion() -> None:
    book = tariff(
        element(price(ENERGY, "18")),
        currency="INR",
        basis=Basis.GROSS,
        taxes=GST,
        min_price=PriceLimit(gross=Decimal(59)),
    )
    rating = rate(book, session(NOON, (5, 100, CHARGING)), KOLKATA)
    assert rating.total.net.amount == Decimal("50.00")
    assert [line.amount.amount for line in rating.total.taxes] == [Decimal("4.50")] * 2
    assert rating.total.gross.amount == Decimal("59.00")


def test_repeated_hour_matches_twice_and_the_skipped_hour_never() -> None:
    book = tariff(element(price(TIME, "60"), start_time=time(2), end_time=time(3)))
    autumn = session(wall(BERLIN, 2026, 10, 25, 0), (360, 0, CHARGING))
    spring = session(wall(BERLIN, 2026, 3, 29, 0), (360, 0, CHARGING))
    assert net(rate(book, autumn, BERLIN)) == 120
    assert net(rate(book, spring, BERLIN)) == 0


def test_window_that_begins_in_the_skipped_hour_begins_at_the_jump() -> None:
    book = tariff(element(price(TIME, "60"), start_time=time(2, 30), end_time=time(4)))
    spring = session(wall(BERLIN, 2026, 3, 29, 0), (360, 0, CHARGING))
    assert net(rate(book, spring, BERLIN)) == 60


def test_window_that_ends_in_the_repeated_hour_ends_twice() -> None:
    book = tariff(element(price(TIME, "60"), start_time=time(1), end_time=time(2, 30)))
    autumn = session(wall(BERLIN, 2026, 10, 25, 0), (360, 0, CHARGING))
    assert net(rate(book, autumn, BERLIN)) == 60 + 30 + 30


def test_half_hour_zones_and_weekdays_are_the_sites_own() -> None:
    book = tariff(element(price(TIME, "60"), day_of_week=frozenset({5})))  # Saturday
    friday = session(datetime(2026, 3, 6, 18, tzinfo=UTC), (60, 0, CHARGING))  # 23:30 in Kolkata
    assert net(rate(book, friday, KOLKATA)) == 30
    assert net(rate(book, friday, BERLIN)) == 0


def test_dates_include_their_start_and_exclude_their_end() -> None:
    book = tariff(
        element(price(TIME, "60"), start_date=date(2026, 3, 4), end_date=date(2026, 3, 5))
    )
    rating = rate(book, session(wall(BERLIN, 2026, 3, 3, 23), (26 * 60, 0, CHARGING)), BERLIN)
    assert net(rating) == 24 * 60


def test_usages_that_leave_a_gap_are_refused() -> None:
    usages = [Usage(NOON, NOON), Usage(NOON + timedelta(seconds=1), NOON + timedelta(seconds=2))]
    with pytest.raises(InvalidValue, match="does not continue"):
        rate(STEPPED, usages, BERLIN)


def test_energy_given_back_is_credited() -> None:
    book = tariff(element(price(ENERGY, "0.25", 1000)))
    rating = rate(book, session(NOON, (60, -4000, CHARGING)), BERLIN)
    assert rating.total.gross.amount == Decimal("-1.00")


def test_trace_names_every_figure_that_makes_the_total() -> None:
    book = tariff(
        element(price(ENERGY, "18.00"), price(PARKED, "60", 300)),
        currency="INR",
        basis=Basis.GROSS,
        taxes=GST,
    )
    start = wall(KOLKATA, 2026, 1, 1, 11, 30)
    rating = rate(book, session(start, (31, 5555, CHARGING), (12, 0, PARKING)), KOLKATA)
    assert rating.trace == (
        "Tariff T: prices in INR include taxes; site time Asia/Kolkata",
        (
            "2026-01-01 11:30:00+05:30 to 2026-01-01 12:01:00+05:30: charging, 5555 Wh;"
            " energy by element 1; time free"
        ),
        "2026-01-01 12:01:00+05:30 to 2026-01-01 12:13:00+05:30: parking, 0 Wh; time by element 1",
        (
            "Element 1, energy: 5555 Wh x 18 INR/kWh = net 9999/118 (84.737288) + CGST 9 %"
            " 89991/11800 (7.626356) + SGST 9 % 89991/11800 (7.626356) = gross 99.99 INR"
        ),
        (
            "Element 1, parking time: 720 s, by its step billed as 900 s x 60 INR/h"
            " = net 750/59 (12.711864) + CGST 9 % 135/118 (1.144068)"
            " + SGST 9 % 135/118 (1.144068) = gross 15 INR"
        ),
        "Sum: net 11499/118 (97.449153), gross 114.99 INR",
        "Rounded once, half up: net 97.45 + CGST 9 % 8.77 + SGST 9 % 8.77 = gross 114.99 INR",
    )


SHELF = {"currency": "INR", "basis": Basis.GROSS, "taxes": GST}
ON_TOP = {"currency": "INR", "taxes": GST}
KSEB = tariff(
    element(price(ENERGY, "5.00"), start_time=time(9), end_time=time(16)),
    element(price(ENERGY, "9.30")),
    **ON_TOP,
)
DRIVE_IN = tariff(
    element(price(FLAT, "20"), price(ENERGY, "18"), price(PARKED, "120", 900)), **SHELF
)

INDIA: list[tuple[str, Tariff, list[tuple[float, int, UsageKind]], str, str, str, str]] = [
    # name, tariff, segments, net, CGST, SGST, gross
    ("one kWh", tariff(element(price(ENERGY, "18")), **SHELF), [(60, 1000, CHARGING)],
     "15.25", "1.37", "1.37", "18.00"),
    ("one Wh", tariff(element(price(ENERGY, "18")), **SHELF), [(60, 1, CHARGING)],
     "0.02", "0.00", "0.00", "0.02"),
    ("nothing", tariff(element(price(ENERGY, "18")), **SHELF), [(60, 0, CHARGING)],
     "0.00", "", "", "0.00"),
    ("odd energy", tariff(element(price(ENERGY, "18")), **SHELF), [(60, 12_345, CHARGING)],
     "188.31", "16.95", "16.95", "222.21"),
    ("full bus", tariff(element(price(ENERGY, "18")), **SHELF), [(60, 300_000, CHARGING)],
     "4576.27", "411.86", "411.86", "5400.00"),
    ("net price", tariff(element(price(ENERGY, "15.25")), **ON_TOP), [(60, 1000, CHARGING)],
     "15.25", "1.37", "1.37", "18.00"),
    ("net price, half a paisa", tariff(element(price(ENERGY, "5")), **ON_TOP),
     [(60, 1001, CHARGING)], "5.01", "0.45", "0.45", "5.91"),
    ("solar hours", KSEB, [(60, 10_000, CHARGING)], "50.00", "4.50", "4.50", "59.00"),
    ("over 16:00", KSEB, [(480, 48_000, CHARGING)], "278.70", "25.08", "25.08", "328.87"),
    ("flat, energy, parking", DRIVE_IN, [(60, 2000, CHARGING), (16, 0, PARKING)],
     "98.31", "8.85", "8.85", "116.00"),
    ("minute price", tariff(element(price(TIME, "90", 60)), **SHELF), [(10.5, 900, CHARGING)],
     "13.98", "1.26", "1.26", "16.50"),
    ("free", tariff(element(price(FLAT, "0")), **SHELF), [(60, 5000, CHARGING)],
     "0.00", "0.00", "0.00", "0.00"),
    ("five percent", tariff(element(price(ENERGY, "20", taxes=(Tax("IGST", Decimal(5)),))),
                            currency="INR", basis=Basis.GROSS), [(60, 777, CHARGING)],
     "14.80", "0.74", "", "15.54"),
    ("at most 100", tariff(element(price(ENERGY, "18")), **SHELF,
                           max_price=PriceLimit(gross=Decimal(100))), [(60, 9000, CHARGING)],
     "84.75", "7.62", "7.62", "100.00"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("book", "segments", "net", "cgst", "sgst", "gross"),
    [pytest.param(*case[1:], id=case[0]) for case in INDIA],
)
def test_rupee_bill(
    book: Tariff, segments: Any, net: str, cgst: str, sgst: str, gross: str
) -> None:
    start = wall(KOLKATA, 2026, 3, 3, 9, 30)
    total = rate(book, session(start, *segments), KOLKATA).total
    taxes = [str(line.amount.amount) for line in total.taxes]
    assert (str(total.net.amount), taxes, str(total.gross.amount)) == (
        net,
        [each for each in (cgst, sgst) if each],
        gross,
    )
