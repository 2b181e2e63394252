"""A tariff that makes no sense cannot be built; one that exists keeps its identity."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cms.domain.errors import InvalidValue
from cms.domain.ids import PartnerId, TariffId
from cms.domain.tariff import (
    Basis,
    Dimension,
    DisplayText,
    Element,
    EnergyMix,
    EnergySource,
    PriceComponent,
    PriceLimit,
    ReservationPhase,
    Restrictions,
    Tariff,
    TariffKind,
    Tax,
    tariff_from_text,
    tariff_hash,
    tariff_text,
)

GST = (Tax("CGST", Decimal(9)), Tax("SGST", Decimal(9)))
ENERGY = PriceComponent(Dimension.ENERGY, Decimal("18.00"))
FREE = Tariff(TariffId("T"), "INR", (Element((ENERGY,)),))


def shelf(price: str, **more: Any) -> Tariff:
    component = PriceComponent(Dimension.ENERGY, Decimal(price))
    return Tariff(
        TariffId("T"), "INR", (Element((component,)),), basis=Basis.GROSS, taxes=GST, **more
    )


@pytest.mark.parametrize(
    ("field", "build"),
    [
        ("id", lambda: replace(FREE, id=TariffId("x" * 37))),
        ("currency", lambda: replace(FREE, currency="RS")),
        ("elements", lambda: replace(FREE, elements=())),
        ("components", lambda: Element(())),
        ("components", lambda: Element((ENERGY, ENERGY))),
        ("price", lambda: PriceComponent(Dimension.FLAT, Decimal("NaN"))),
        ("step_size", lambda: PriceComponent(Dimension.TIME, Decimal(1), -1)),
        ("taxes.percent", lambda: Tax("VAT", Decimal(-1))),
        ("max_kwh", lambda: Restrictions(min_kwh=Decimal(5), max_kwh=Decimal(5))),
        ("min_power", lambda: Restrictions(min_power=Decimal(-1))),
        ("end_date", lambda: Restrictions(start_date=date(2026, 1, 2), end_date=date(2026, 1, 2))),
        ("day_of_week", lambda: Restrictions(day_of_week=frozenset({7}))),
        ("party", lambda: replace(FREE, party=PartnerId("INCPO"))),
        ("valid_from", lambda: replace(FREE, valid_from=datetime(2026, 1, 1))),  # noqa: DTZ001
        ("min_price.net", lambda: replace(FREE, min_price=PriceLimit(gross=Decimal(1)))),
        ("limit", lambda: PriceLimit()),
        (
            "max_price.net",
            lambda: replace(
                FREE, min_price=PriceLimit(Decimal(2)), max_price=PriceLimit(Decimal(1))
            ),
        ),
        (
            "components",
            lambda: Element((ENERGY,), Restrictions(reservation=ReservationPhase.RESERVED)),
        ),
    ],
)
def test_bad_tariff_names_the_field_and_the_reason(field: str, build: Any) -> None:
    with pytest.raises(InvalidValue) as caught:
        build()
    assert caught.value.field == field
    assert caught.value.reason


def test_shelf_price_has_an_exact_net_and_one_for_the_wire() -> None:
    tariff = shelf("18.00")
    component = tariff.elements[0].components[0]
    assert tariff.net_price(component) * 118 == 1800
    assert tariff.gross_price(component) == 18
    assert tariff.published_price(component) == Decimal("15.2542372882")


def test_net_price_that_ends_is_published_as_it_is() -> None:
    tariff = shelf("11.80")
    assert tariff.published_price(tariff.elements[0].components[0]) == Decimal(10)


def test_gross_limit_of_a_shelf_price_has_its_net() -> None:
    limit = PriceLimit(gross=Decimal(590))
    tariff = shelf("18.00", max_price=limit)
    assert tariff.net_limit(limit) == 500
    assert tariff.published_limit(limit) == (Decimal(500), Decimal(590))


def test_gross_limit_over_different_taxes_needs_both_amounts() -> None:
    untaxed = PriceComponent(Dimension.FLAT, Decimal(1), taxes=())
    with pytest.raises(InvalidValue, match="both"):
        Tariff(
            TariffId("T"),
            "INR",
            (Element((ENERGY, untaxed)),),
            basis=Basis.GROSS,
            taxes=GST,
            max_price=PriceLimit(gross=Decimal(100)),
        )


RICH = replace(
    shelf("18.00", min_price=PriceLimit(Decimal(10), Decimal("11.8"))),
    elements=(
        Element(
            (
                ENERGY,
                PriceComponent(Dimension.PARKING_TIME, Decimal(60), 300, ()),
            ),
            Restrictions(
                start_time=time(18),
                end_time=time(22, 30),
                start_date=date(2026, 1, 1),
                min_kwh=Decimal("2.5"),
                max_power=Decimal("7.4"),
                min_duration=60,
                day_of_week=frozenset({5, 6}),
            ),
        ),
        Element((ENERGY,)),
    ),
    kind=TariffKind.REGULAR,
    valid_from=datetime(2026, 1, 1, 5, 30, tzinfo=ZoneInfo("Asia/Kolkata")),
    names=(DisplayText("en", "Evening"),),
    energy_mix=EnergyMix(True, (EnergySource("SOLAR", Decimal(100)),)),
    party=PartnerId("IN*CPO"),
)


def test_tariff_survives_its_canonical_text() -> None:
    assert tariff_from_text(tariff_text(RICH)) == RICH
    assert tariff_hash(tariff_from_text(tariff_text(RICH))) == tariff_hash(RICH)


def test_hash_is_of_the_content_not_of_its_spelling() -> None:
    assert tariff_hash(shelf("18.00")) == tariff_hash(shelf("18.0"))
    assert tariff_hash(shelf("18.00")) != tariff_hash(shelf("18.01"))
    utc = replace(RICH, valid_from=datetime(2026, 1, 1, tzinfo=UTC))
    assert tariff_hash(utc) == tariff_hash(RICH)


def test_canonical_text_stays_the_same_over_releases() -> None:
    assert tariff_text(shelf("18.00")) == (
        '{"basis":"gross","currency":"INR","elements":[{"components":[{"dimension":"energy",'
        '"price":"18"}]}],"id":"T","taxes":[{"name":"CGST","percent":"9"},'
        '{"name":"SGST","percent":"9"}]}'
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id":1}', '{"id":"T","currency":"INR"}'])
def test_text_that_is_no_tariff_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        tariff_from_text(text)


def test_validity_includes_its_start_and_excludes_its_end() -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    tariff = replace(FREE, valid_from=start, valid_to=end)
    assert tariff.valid_at(start)
    assert not tariff.valid_at(end)
    assert FREE.valid_at(end)


@pytest.mark.parametrize(
    ("start", "end", "inside", "outside"),
    [
        (time(9), time(18), [time(9), time(17, 59, 59)], [time(18), time(8, 59, 59)]),
        (time(22), time(6), [time(22), time(0), time(5, 59)], [time(6), time(21, 59)]),
        (None, time(6), [time(0), time(5, 59)], [time(6), time(23)]),
        (time(20), time(0), [time(20), time(23, 59, 59)], [time(0), time(19)]),
        (time(20), None, [time(20), time(23, 59, 59)], [time(0), time(19)]),
    ],
)
def test_daily_window_includes_its_start_and_excludes_its_end(
    start: time | None, end: time | None, inside: list[time], outside: list[time]
) -> None:
    rule = Restrictions(start_time=start, end_time=end)
    day = date(2026, 3, 3)
    assert all(rule.hold_at(datetime.combine(day, each)) for each in inside)
    assert not any(rule.hold_at(datetime.combine(day, each)) for each in outside)


def test_weekday_of_an_overnight_window_is_that_of_the_moment() -> None:
    friday_night = Restrictions(start_time=time(22), end_time=time(6), day_of_week=frozenset({4}))
    assert friday_night.hold_at(datetime(2026, 3, 6, 23))  # noqa: DTZ001
    assert not friday_night.hold_at(datetime(2026, 3, 7, 2))  # noqa: DTZ001
