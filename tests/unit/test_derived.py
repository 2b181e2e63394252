"""Tariffs made of tariffs: mark-ups, single prices, versions."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from cms.domain.derived import (
    Markup,
    PriceBook,
    derived_id,
    headline,
    marked_up,
    next_version,
)
from cms.domain.errors import InvalidValue
from cms.domain.ids import PartnerId, TariffId
from cms.domain.price_change import next_midnight
from cms.domain.rating import rate
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
    tariff_hash,
)
from cms.domain.usage import Usage

KOLKATA = ZoneInfo("Asia/Kolkata")
NOON = datetime(2026, 3, 3, 6, 30, tzinfo=UTC)
GST = (Tax("CGST", Decimal(9)), Tax("SGST", Decimal(9)))
SOLAR = Restrictions(start_time=time(9), end_time=time(16))


def energy(price: str, when: Restrictions = Restrictions()) -> Element:
    return Element((PriceComponent(Dimension.ENERGY, Decimal(price)),), when)


def tariff(*elements: Element, id: str = "DC-18", **more: object) -> Tariff:
    return Tariff(TariffId(id), "INR", elements, taxes=GST, **more)  # type: ignore[arg-type]


def book(**more: object) -> PriceBook:
    markup = Markup(**{name: Decimal(str(value)) for name, value in more.items()})
    return PriceBook("ROAM", markup, frozenset({PartnerId("IN*EMS")}), "INR")


def charged(own: Tariff, wh: int = 10_000) -> str:
    used = [Usage(NOON, NOON + timedelta(hours=1), wh)]
    return str(rate(own, used, KOLKATA).total.net)


@pytest.mark.parametrize(
    ("markup", "net"),
    [
        ({}, "180.00 INR"),
        ({"percent": "10"}, "198.00 INR"),
        ({"percent": "-5"}, "171.00 INR"),
        ({"per_kwh": "1.50"}, "195.00 INR"),
        ({"per_session": "20"}, "200.00 INR"),
        ({"percent": "10", "per_kwh": "1.50", "per_session": "20"}, "233.00 INR"),
    ],
)
def test_a_mark_up_is_added_to_what_is_charged(markup: dict[str, str], net: str) -> None:
    assert charged(marked_up(tariff(energy("18")), book(**markup))) == net


def test_a_mark_up_per_session_adds_to_the_fee_and_is_due_once() -> None:
    fee = PriceComponent(Dimension.FLAT, Decimal(5))
    own = tariff(Element((fee, PriceComponent(Dimension.ENERGY, Decimal(18)))))
    assert charged(marked_up(own, book(per_session="20"))) == "205.00 INR"


def test_a_moment_without_a_price_gets_the_mark_up_per_kwh_all_the_same() -> None:
    night_only = tariff(energy("18", Restrictions(start_time=time(22), end_time=time(6))))
    assert charged(marked_up(night_only, book(per_kwh="2"))) == "20.00 INR"


def test_reserved_time_gets_the_percentage_only() -> None:
    held = Restrictions(reservation=ReservationPhase.RESERVED)
    own = tariff(Element((PriceComponent(Dimension.FLAT, Decimal(10)),), held), energy("18"))
    made = marked_up(own, book(percent="10", per_session="20"))
    assert made.elements[0].components[0].price == 11


def test_limits_get_the_percentage() -> None:
    own = tariff(energy("18"), max_price=PriceLimit(Decimal(100)))
    assert charged(marked_up(own, book(percent="10"))) == "110.00 INR"


def test_a_derived_tariff_has_an_id_and_a_snapshot_of_its_own() -> None:
    own = tariff(energy("18"))
    made = marked_up(own, book(percent="10"))
    assert made.id == "DC-18~ROAM"
    assert tariff_hash(made) != tariff_hash(own)
    assert made == marked_up(own, book(percent="10"))


def test_long_ids_stay_within_36_characters_and_apart() -> None:
    one, other = (derived_id(TariffId("X" * 35 + end), "~ROAM") for end in "AB")
    assert len(one) <= 36 and len(other) <= 36 and one != other


def test_a_book_with_amounts_prices_its_own_currency_only() -> None:
    euro = Tariff(TariffId("E"), "EUR", (energy("1"),))
    assert not book(per_kwh="1").prices(euro)
    with pytest.raises(InvalidValue, match="currency"):
        PriceBook("B", Markup(per_kwh=Decimal(1)))


def test_a_headline_is_the_energy_price_of_the_moment() -> None:
    own = tariff(energy("8.50", SOLAR), energy("14.23"), basis=Basis.GROSS)
    by_day = headline(own, KOLKATA, NOON)
    by_night = headline(own, KOLKATA, NOON + timedelta(hours=12))
    assert (len(by_day.elements), len(by_day.elements[0].components)) == (1, 1)
    assert by_day.elements[0].components[0].price == Decimal("8.50")
    assert by_night.elements[0].components[0].price == Decimal("14.23")
    assert by_day.id == by_night.id and by_day.basis is Basis.GROSS
    assert charged(by_day) == charged(tariff(energy("8.50"), basis=Basis.GROSS))


def test_a_headline_is_what_energy_costs_at_the_start_even_if_a_fee_stands_first() -> None:
    fee = Element((PriceComponent(Dimension.FLAT, Decimal(5)),))
    own = tariff(fee, energy("20", Restrictions(min_kwh=Decimal(10))), energy("18"))
    part = headline(own, KOLKATA, NOON).elements[0].components[0]
    assert (part.dimension, part.price, part.taxes) == (Dimension.ENERGY, Decimal(18), GST)


def test_versions_count_up_from_the_first_id() -> None:
    taken = {TariffId("DC-18")}
    second = next_version(TariffId("DC-18"), frozenset(taken))
    third = next_version(second, frozenset({*taken, second}))
    assert (second, third) == ("DC-18~2", "DC-18~3")


def test_the_next_midnight_is_the_sites_own() -> None:
    at = datetime(2026, 3, 3, 19, 0, tzinfo=UTC)  # 00:30 on the 4th in Kolkata
    assert next_midnight(at, KOLKATA) == datetime(2026, 3, 4, 18, 30, tzinfo=UTC)
    assert next_midnight(at, ZoneInfo("Europe/Berlin")) == datetime(2026, 3, 3, 23, tzinfo=UTC)


def test_a_midnight_that_clocks_skip_is_the_first_moment_of_the_day() -> None:
    cairo = ZoneInfo("Africa/Cairo")  # 2026-04-24 begins at 01:00
    at = next_midnight(datetime(2026, 4, 23, 12, tzinfo=UTC), cairo)
    assert at.astimezone(cairo).isoformat() == "2026-04-24T01:00:00+03:00"
