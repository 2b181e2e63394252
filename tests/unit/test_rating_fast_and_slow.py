"""The engine's short cuts against the long way: each usage on its own, each sum in fractions."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from cms.domain.ids import TariffId
from cms.domain.money import apportion, to_minor
from cms.domain.price_plan import Plan, plan_of
from cms.domain.rated import Period, Rating
from cms.domain.rating import rate
from cms.domain.sweep import Sweep, sweep
from cms.domain.tariff import Basis, Dimension, Element, PriceComponent, Restrictions, Tariff, Tax
from cms.domain.usage import Usage, UsageKind

BERLIN = ZoneInfo("Europe/Berlin")
BEFORE_SPRING = datetime(2026, 3, 28, 22, 50, tzinfo=UTC)
UNIT = {Dimension.ENERGY: 1000, Dimension.FLAT: 1}

rules = st.sampled_from(
    [
        Restrictions(),
        Restrictions(start_time=time(0), end_time=time(3, 30)),
        Restrictions(day_of_week=frozenset({5})),
        Restrictions(max_kwh=Decimal("0.5")),
        Restrictions(min_kwh=Decimal("0.125"), max_kwh=Decimal("1.5")),
        Restrictions(min_duration=900),
        Restrictions(max_duration=3600),
        Restrictions(max_power=Decimal(11)),
        Restrictions(min_current=Decimal(16)),
    ]
)
taxes = st.sampled_from(
    [
        None,
        (),
        (Tax("CGST", Decimal(9)), Tax("SGST", Decimal("9.0"))),
        (Tax("VAT", Decimal("5.5")), Tax("CITY", Decimal(1))),
    ]
)
parts = st.lists(
    st.builds(
        PriceComponent,
        st.sampled_from(Dimension),
        st.decimals(0, 90, places=3),
        st.sampled_from([0, 1, 60, 500, 900]),
        taxes,
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda part: part.dimension,
).map(tuple)
tariffs = st.builds(
    lambda elements, basis: Tariff(
        TariffId("T"), "INR", tuple(elements), basis, (Tax("GST", Decimal(18)),)
    ),
    st.lists(st.builds(Element, parts, rules), min_size=1, max_size=5),
    st.sampled_from(Basis),
)
kinds = st.sampled_from([UsageKind.CHARGING] * 4 + [UsageKind.PARKING, UsageKind.UNBILLED])
energies = st.one_of(
    st.just(0), st.integers(-3, 400), st.fractions(0, 50, max_denominator=7), st.just(125)
)
powers = st.none() | st.integers(0, 22_000)
steps = st.lists(
    st.tuples(st.sampled_from([0, 1, 60, 60, 60, 300, 1800]), energies, kinds, powers, powers),
    min_size=1,
    max_size=40,
)
on_thresholds = st.lists(
    st.tuples(
        st.sampled_from([0, 300, 300, 600]),
        st.sampled_from([0, 125, 250, -125]),
        st.sampled_from([UsageKind.CHARGING] * 5 + [UsageKind.UNBILLED]),
        st.none(),
        st.none(),
    ),
    min_size=6,
    max_size=14,
)
"""Sessions whose pieces end exactly where a price changes, and go back there."""

banded = st.builds(
    lambda rule, dimensions, basis: Tariff(
        TariffId("T"),
        "INR",
        (
            Element(tuple(PriceComponent(each, Decimal(7)) for each in dimensions), rule),
            Element(tuple(PriceComponent(each, Decimal(5)) for each in Dimension)),
        ),
        basis,
    ),
    st.sampled_from(
        [
            Restrictions(max_kwh=Decimal("0.5")),
            Restrictions(min_kwh=Decimal("0.5")),
            Restrictions(min_duration=900),
            Restrictions(start_time=time(0)),
        ]
    ),
    st.lists(st.sampled_from(Dimension), min_size=1, max_size=4, unique=True),
    st.sampled_from(Basis),
)
Step = tuple[int, int | Fraction, UsageKind, int | None, int | None]


def session(steps: list[Step]) -> list[Usage]:
    usages: list[Usage] = []
    at = BEFORE_SPRING
    for seconds, wh, kind, power, current in steps:
        end = at + timedelta(seconds=seconds)
        usages.append(Usage(at, end, wh, kind, power, current))
        at = end
    return usages


def one_by_one(plan: Plan, usages: list[Usage], before: Sweep | None) -> Sweep:
    walk = Sweep(plan, usages[0].start, usages[-1].end, BERLIN, before)
    for usage in usages:
        walk.take(usage)
    return walk


def found(walk: Sweep) -> tuple[object, list[Period]]:
    lasts = (walk.last_energy, walk.last_time, walk.last_parking)
    amounts = (walk.volumes, walk.flats, walk.spent, walk.energy, lasts)
    return amounts, walk.periods(TariffId("T"))


@settings(deadline=None)
@given(tariffs, steps, st.integers(0, 40))
def test_a_run_through_a_session_finds_what_one_usage_after_the_other_does(
    tariff: Tariff, steps: list[Step], cut: int
) -> None:
    plan, usages = plan_of(tariff).session, session(steps)
    fast: Sweep | None = None
    slow: Sweep | None = None
    for part in (usages[:cut], usages[cut:]):  # the second goes on where the first ended
        if part:
            fast, slow = sweep(plan, part, BERLIN, fast), one_by_one(plan, part, slow)
            assert found(fast) == found(slow)


@settings(deadline=None, max_examples=200)
@given(banded, on_thresholds)
def test_a_run_meets_every_threshold_exactly(tariff: Tariff, steps: list[Step]) -> None:
    plan, usages = plan_of(tariff).session, session(steps)
    assert found(sweep(plan, usages, BERLIN)) == found(one_by_one(plan, usages, None))


def test_energy_that_comes_and_goes_back_counts_as_priced_last() -> None:
    night = Element((PriceComponent(Dimension.ENERGY, Decimal(7)),), Restrictions(end_time=time(6)))
    day = Element((PriceComponent(Dimension.ENERGY, Decimal(5)),))
    plan = plan_of(Tariff(TariffId("T"), "INR", (night, day))).session
    at = [BEFORE_SPRING + timedelta(minutes=10 * count) for count in range(5)]
    amounts = [9, 0, 125, -125]  # the first before midnight, at the price of the day
    usages = [Usage(at[i], at[i + 1], wh) for i, wh in enumerate(amounts)]

    assert sweep(plan, usages, BERLIN).last_energy == 0
    assert one_by_one(plan, usages, None).last_energy == 0


def exact(tariff: Tariff, rating: Rating) -> tuple[Fraction, Fraction]:
    """Net and gross, worked out in fractions from the lines' billed amounts and the prices."""
    net = gross = Fraction()
    for line in rating.lines:
        part = next(
            each
            for each in tariff.elements[line.element - 1].components
            if each.dimension is line.dimension
        )
        amount = Fraction(line.billed) / UNIT.get(line.dimension, 3600)
        assert line.net == tariff.net_price(part) * amount
        assert line.gross == tariff.gross_price(part) * amount
        net += line.net
        gross += line.gross
    return net, gross


@settings(deadline=None)
@given(tariffs, steps)
def test_integers_over_one_denominator_are_the_fractions_to_the_last_digit(
    tariff: Tariff, steps: list[Step]
) -> None:
    rating = rate(tariff, session(steps), BERLIN)
    net, gross = exact(tariff, rating)

    assert (rating.exact_net, rating.exact_gross) == (net, gross)
    assert rating.total.net.minor == to_minor(net, "INR")
    assert rating.total.gross.minor == to_minor(gross, "INR")


@given(
    st.lists(st.integers(-9_999, 9_999), min_size=1, max_size=8),
    st.integers(1, 1_000),
    st.integers(-3, 3),
)
def test_parts_over_a_denominator_are_cut_as_fractions_are(
    parts: list[int], over: int, off: int
) -> None:
    total = sum(parts) // over + off
    assert apportion(total, parts, over) == apportion(total, [Fraction(p, over) for p in parts])
