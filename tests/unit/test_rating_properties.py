"""What holds for every session: to the paisa, adding up, more energy never cheaper."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cms.domain.ids import TariffId
from cms.domain.money import Price
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
NOON = datetime(2026, 3, 3, 6, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
PAISA = Decimal("0.01")
MOST_WH = 300_000
GST = (Tax("CGST", Decimal(9)), Tax("SGST", Decimal(9)))


def shelf(amount: Decimal, taxes: tuple[Tax, ...] = GST) -> Tariff:
    component = PriceComponent(Dimension.ENERGY, amount)
    return Tariff(TariffId("S"), "INR", (Element((component,)),), basis=Basis.GROSS, taxes=taxes)


def charged(tariff: Tariff, energy: int) -> Rating:
    return rate(tariff, [Usage(NOON, NOON + HOUR, energy)], KOLKATA)


def paisa(amount: Decimal) -> Decimal:
    return amount.quantize(PAISA, ROUND_HALF_UP)


def assert_to_the_paisa(tariff: Tariff, amount: Decimal, energy: int) -> None:
    rating = charged(tariff, energy)
    total = rating.total
    assert total.gross.amount == paisa(amount * energy / 1000)
    over = total.rounding.amount if total.rounding is not None else Decimal()
    taxed = sum(tax.amount.amount for tax in total.taxes)
    assert total.net.amount + taxed + over == total.gross.amount
    assert rating.energy == total
    if energy:
        cgst, sgst = (tax.amount.amount for tax in total.taxes)
        assert cgst == sgst
        assert abs(over) <= PAISA
    assert_partner_agrees(tariff, energy, total)


def assert_partner_agrees(tariff: Tariff, energy: int, total: Price) -> None:
    """A partner multiplies the published net price, adds tax and rounds to the paisa."""
    published = tariff.published_price(tariff.elements[0].components[0])
    net = published * energy / 1000
    percent = sum(tax.percent for tax in tariff.taxes)
    assert paisa(net) == total.net.amount
    assert paisa(net * (100 + percent) / 100) == total.gross.amount


EIGHTEEN = shelf(Decimal("18.00"))


def test_shelf_price_of_18_bills_to_the_paisa_at_every_small_and_every_97th_energy() -> None:
    for energy in [*range(2_001), *range(2_001, MOST_WH + 1, 97), MOST_WH]:
        assert_to_the_paisa(EIGHTEEN, Decimal("18.00"), energy)


@given(st.integers(0, MOST_WH))
def test_shelf_price_of_18_bills_to_the_paisa_at_any_energy(energy: int) -> None:
    assert_to_the_paisa(EIGHTEEN, Decimal("18.00"), energy)


@given(st.integers(1, 10_000), st.integers(0, MOST_WH))
def test_any_shelf_price_bills_to_the_paisa_at_any_energy(price: int, energy: int) -> None:
    amount = Decimal(price) / 100
    assert_to_the_paisa(shelf(amount), amount, energy)


@pytest.mark.parametrize("price", ["17.50", "19.90", "0.01", "99.99", "11.80", "8.85", "20.65"])
def test_exact_half_paise_round_up_for_us_and_for_partners(price: str) -> None:
    amount = Decimal(price)
    tariff = shelf(amount)
    halves = [wh for wh in range(1, 20_001) if (amount * wh * 10) % 100 == 50]
    for energy in [*halves[:150], *range(1, MOST_WH, 1_999)]:
        assert_to_the_paisa(tariff, amount, energy)


@given(
    st.lists(st.decimals(0, 14, places=2), min_size=1, max_size=3),
    st.integers(1, 5_000),
    st.integers(0, MOST_WH),
)
def test_any_list_of_taxes_adds_up(percents: list[Decimal], price: int, energy: int) -> None:
    taxes = tuple(Tax(f"T{i}", percent) for i, percent in enumerate(percents))
    total = charged(shelf(Decimal(price) / 100, taxes), energy).total
    assert total.gross.amount == paisa(Decimal(price) * energy / 100_000)
    assert all(tax.amount.amount >= 0 for tax in total.taxes)


@given(st.integers(0, MOST_WH), st.integers(0, 5_000))
def test_more_energy_is_never_cheaper(energy: int, more: int) -> None:
    less_total = charged(BOOK, energy).total
    more_total = charged(BOOK, energy + more).total
    assert less_total.net.amount <= more_total.net.amount
    assert less_total.gross.amount <= more_total.gross.amount


prices = st.decimals(0, 40, places=2)
steps = st.sampled_from([0, 1, 60, 300, 500, 900])
taxes = st.sampled_from([(), GST, (Tax("VAT", Decimal("5.5")),)])
components = st.lists(
    st.builds(PriceComponent, st.sampled_from(Dimension), prices, steps, taxes),
    min_size=1,
    max_size=4,
    unique_by=lambda component: component.dimension,
).map(tuple)
restrictions = st.sampled_from(
    [
        Restrictions(),
        Restrictions(max_kwh=Decimal("7.5")),
        Restrictions(min_duration=1800),
        Restrictions(max_power=Decimal(11)),
        Restrictions(start_time=NOON.time(), end_time=(NOON + 5 * HOUR).time()),
        Restrictions(day_of_week=frozenset({1})),
    ]
)
held = st.builds(
    lambda flat, hourly, step, tax, phase: Element(
        (
            PriceComponent(Dimension.FLAT, flat, 0, tax),
            PriceComponent(Dimension.TIME, hourly, step, tax),
        ),
        Restrictions(reservation=phase),
    ),
    prices,
    prices,
    steps,
    taxes,
    st.sampled_from(ReservationPhase),
)
limits = st.none() | st.builds(
    lambda amount: PriceLimit(amount, amount * Decimal("1.18")), st.decimals(1, 60, places=2)
)
tariffs = st.builds(
    lambda held, elements, low, high, basis: Tariff(
        TariffId("R"),
        "INR",
        (*held, *elements),
        basis,
        min_price=low if high is None or low is None or low.net <= high.net else None,
        max_price=high,
    ),
    st.lists(held, max_size=2),
    st.lists(st.builds(Element, components, restrictions), min_size=1, max_size=4),
    limits,
    limits,
    st.sampled_from(Basis),
)
segments = st.lists(
    st.tuples(
        st.integers(0, 7_200),
        st.integers(0, 30_000),
        st.sampled_from([UsageKind.CHARGING, UsageKind.PARKING, UsageKind.UNBILLED]),
    ),
    min_size=1,
    max_size=6,
)
BOOK = Tariff(
    TariffId("B"),
    "INR",
    (
        Element(
            (PriceComponent(Dimension.ENERGY, Decimal("12.50")),),
            Restrictions(max_kwh=Decimal("20.5")),
        ),
        Element((PriceComponent(Dimension.ENERGY, Decimal("19.00")),)),
    ),
    basis=Basis.GROSS,
    taxes=GST,
)


def session(parts: list[tuple[int, int, UsageKind]]) -> list[Usage]:
    usages: list[Usage] = []
    for seconds, energy, kind in parts:
        start = usages[-1].end if usages else NOON
        usages.append(Usage(start, start + timedelta(seconds=seconds), energy, kind))
    return usages


@settings(deadline=None)
@given(tariffs, segments, st.none() | st.tuples(st.integers(0, 3_600), st.booleans()))
def test_parts_add_up_to_the_total_on_net_every_tax_and_gross(
    tariff: Tariff, parts: list[tuple[int, int, UsageKind]], held: tuple[int, bool] | None
) -> None:
    reservation = held and Reservation(NOON - timedelta(seconds=held[0]), NOON, held[1])
    usages = session(parts)
    rating = rate(tariff, usages, KOLKATA, reservation=reservation or None)
    total = rating.fixed + rating.energy + rating.time + rating.parking + rating.reservation
    if rating.clamp is None:
        assert total.net == rating.total.net
        assert total.gross == rating.total.gross
        assert rating.total.clamp is None
    else:
        assert total.net + rating.clamp.net == rating.total.net
        assert total.gross + rating.clamp.gross == rating.total.gross
    assert rating.total.net.amount == paisa(_decimal(rating.exact_net))
    assert rating.total.gross.amount == paisa(_decimal(rating.exact_gross))
    assert rating.wh == sum(usage.wh for usage in usages)
    assert sum(period.wh for period in rating.periods) == rating.wh
    spent = rating.charging_time + rating.parking_time + rating.unbilled_time
    assert spent == usages[-1].end - NOON


def _decimal(value: Fraction) -> Decimal:
    """Enough digits that no half of a paisa is missed: prices here have few."""
    scaled = value * 10**30
    return Decimal(scaled.numerator // scaled.denominator).scaleb(-30)


def without_steps(tariff: Tariff) -> Tariff:
    elements = tuple(
        Element(
            tuple(
                PriceComponent(part.dimension, part.price, 1, part.taxes)
                for part in element.components
            ),
            element.restrictions,
        )
        for element in tariff.elements
    )
    return Tariff(tariff.id, tariff.currency, elements, tariff.basis, max_price=tariff.max_price)


@settings(deadline=None)
@given(tariffs, segments, st.integers(1, 5))
def test_cutting_a_session_finer_moves_at_most_a_watt_hour_at_each_boundary(
    tariff: Tariff, parts: list[tuple[int, int, UsageKind]], pieces: int
) -> None:
    """Power restrictions see the same average; only interpolation to whole Wh may differ."""
    tariff = without_steps(tariff)
    fine = [(seconds, energy, kind) for seconds, energy, kind in parts for _ in range(pieces)]
    coarse = [(seconds * pieces, energy * pieces, kind) for seconds, energy, kind in parts]
    one, other = rate(tariff, session(coarse), KOLKATA), rate(tariff, session(fine), KOLKATA)
    assert one.wh == other.wh
    assert one.parking_time == other.parking_time
    dearest = Fraction(40, 1000)  # per Wh; at most ten boundaries of time, energy and duration
    assert abs(one.exact_net - other.exact_net) <= 10 * dearest


@given(st.integers(0, MOST_WH), st.integers(1, 20))
def test_energy_at_one_price_costs_the_same_however_it_is_cut(energy: int, pieces: int) -> None:
    each = energy // pieces
    parts = [(60, each, UsageKind.CHARGING)] * pieces
    parts.append((60, energy - each * pieces, UsageKind.CHARGING))
    whole = charged(EIGHTEEN, energy)
    cut = rate(EIGHTEEN, session(parts), KOLKATA)
    assert cut.exact_gross == whole.exact_gross
    assert cut.total == whole.total


@settings(deadline=None)
@given(tariffs, segments, st.integers(0, 5))
def test_price_of_a_running_session_never_falls_without_steps(
    tariff: Tariff, parts: list[tuple[int, int, UsageKind]], cut: int
) -> None:
    """What a driver sees during a session is a lower bound of the bill."""
    plain = without_steps(tariff)
    usages = session(parts)
    early = rate(plain, usages[: cut % len(usages) + 1], KOLKATA)
    assert early.exact_gross <= rate(plain, usages, KOLKATA).exact_gross
