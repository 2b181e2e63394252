"""Prices that begin later: the right tariff, at the right site, for the right partner."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from cms.app.catalogue import Catalogue
from cms.app.ports import Page
from cms.app.pricing import Pricing
from cms.app.writes import Delivery, PutDelivery
from cms.domain.derived import Markup, PriceBook
from cms.domain.errors import Conflict, InvalidValue, NotFound
from cms.domain.ids import EvseRef, PartnerId, StationId, TariffId
from cms.domain.price_change import PriceChange, Unacknowledged
from cms.domain.tariff import Dimension, Element, PriceComponent, Tariff
from cms.domain.tariff_choice import TariffRule
from tests.unit.office import EMS, EVSE, ME, SITE, Office, location, station, tariff

MIDNIGHT = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)  # at the site, in Kolkata
BERLIN = StationId("CS2")


@pytest.fixture
async def office() -> Office:
    office = Office()
    await office.furnish()
    return office


@pytest.fixture
def pricing(office: Office) -> Pricing:
    return Pricing(office.store, office.catalogue, office.live, office.clock)


def dearer(price: str = "25") -> Tariff:
    part = PriceComponent(Dimension.ENERGY, Decimal(price))
    return replace(tariff(), elements=(Element((part,)),))


def shown(
    office: Office,
    partner: PartnerId | None = None,
    ref: EvseRef = EVSE,
    at: datetime | None = None,
) -> list[str]:
    now = at or office.now
    return [each.id for each in office.catalogue.tariffs_for(ref, 1, partner, now)]


async def schedule(
    pricing: Pricing, how: Unacknowledged = Unacknowledged.KEEP, at: datetime | None = None
) -> PriceChange:
    change, version = pricing.version(dearer(), at, how, ME)
    return await pricing.schedule(change, version, ME)


def took(office: Office, id: str, partner: PartnerId = EMS) -> None:
    office.catalogue.offers.took(partner, office.catalogue.tariffs[TariffId(id)])


async def test_a_version_begins_at_the_sites_midnight(office: Office, pricing: Pricing) -> None:
    old = tariff().id
    change = await schedule(pricing)
    assert [each.at for each in change.moments] == [MIDNIGHT]
    assert shown(office, at=MIDNIGHT - timedelta(seconds=1)) == [old]
    assert shown(office, at=MIDNIGHT) == [f"{old}~2"]
    assert office.catalogue.tariffs[TariffId(f"{old}~2")].valid_from == MIDNIGHT


async def test_sites_in_other_zones_have_their_own_midnight(
    office: Office, pricing: Pricing
) -> None:
    there = replace(location(), id=type(SITE)("BER-1"), time_zone="Europe/Berlin")
    await office.administration.put_location(there, ME)
    other = station()
    evses = tuple(
        replace(each, ref=EvseRef(BERLIN, each.ref.evse), uid="BER-EVSE", evse_id=None)
        for each in other.evses
    )
    await office.administration.put_station(
        replace(other, id=BERLIN, location=there.id, evses=evses), ME
    )
    await schedule(pricing)
    ref, old = EvseRef(BERLIN, 1), tariff().id
    assert shown(office, at=MIDNIGHT) == [f"{old}~2"]
    assert shown(office, ref=ref, at=MIDNIGHT) == [old]
    assert shown(office, ref=ref, at=datetime(2026, 11, 20, 23, tzinfo=UTC)) == [f"{old}~2"]


async def test_a_partner_keeps_the_old_price_until_it_has_the_new_tariff(
    office: Office, pricing: Pricing
) -> None:
    old = tariff().id
    await schedule(pricing)
    assert shown(office, EMS, at=MIDNIGHT) == [old]
    took(office, f"{old}~2")
    assert shown(office, EMS, at=MIDNIGHT) == [f"{old}~2"]


async def test_going_ahead_waits_for_nobody(office: Office, pricing: Pricing) -> None:
    await schedule(pricing, Unacknowledged.GO_AHEAD)
    assert shown(office, EMS, at=MIDNIGHT) == [f"{tariff().id}~2"]


async def test_a_rollback_before_the_hour_withdraws(office: Office, pricing: Pricing) -> None:
    change = await schedule(pricing)
    gone = await pricing.rollback(change.id, ME)
    assert gone.withdrawn and change.tariff not in office.catalogue.tariffs
    assert shown(office, at=MIDNIGHT) == [tariff().id]
    with pytest.raises(Conflict):
        await pricing.rollback(change.id, ME)


async def test_a_rollback_after_the_hour_brings_the_old_prices_back_as_a_version(
    office: Office, pricing: Pricing
) -> None:
    change = await schedule(pricing)
    office.now = MIDNIGHT + timedelta(hours=1)
    back = await pricing.rollback(change.id, ME)
    old = tariff().id
    assert (back.replaces, back.tariff, back.restores) == (f"{old}~2", f"{old}~3", old)
    assert shown(office) == [f"{old}~2"]
    assert shown(office, at=MIDNIGHT + timedelta(days=1)) == [f"{old}~3"]
    assert office.catalogue.tariffs[back.tariff].elements == tariff().elements


async def test_one_change_of_a_tariff_at_a_time(office: Office, pricing: Pricing) -> None:
    await schedule(pricing)
    with pytest.raises(Conflict, match="scheduled already"):
        await schedule(pricing)


async def test_a_moment_that_has_passed_is_refused(office: Office, pricing: Pricing) -> None:
    with pytest.raises(InvalidValue) as error:
        pricing.version(dearer(), office.now, Unacknowledged.KEEP, ME)
    assert error.value.field == "at"
    with pytest.raises(NotFound):
        pricing.version(replace(dearer(), id=TariffId("NONE")), None, Unacknowledged.KEEP, ME)


async def test_a_tariff_that_was_replaced_is_not_changed_by_mistake(
    office: Office, pricing: Pricing
) -> None:
    await schedule(pricing)
    office.now = MIDNIGHT
    with pytest.raises(Conflict, match="taken the place"):
        await office.administration.put_tariff(dearer("30"), ME)


async def test_a_preview_says_what_changes_for_whom(office: Office, pricing: Pricing) -> None:
    change, version = pricing.version(dearer(), None, Unacknowledged.KEEP, ME)
    effects = pricing.preview(change, version)
    assert {each.partner for each in effects} == {None, EMS}
    assert all(each.site == SITE and each.at == MIDNIGHT for each in effects)
    assert all(each.sample_before != each.sample_after for each in effects)
    assert change.id not in office.catalogue.offers.changes


async def test_a_line_of_the_price_book_begins_later_too(office: Office, pricing: Pricing) -> None:
    night = replace(dearer(), id=TariffId("NIGHT"))
    await office.administration.put_tariff(night, ME)
    took(office, "NIGHT")
    rule = TariffRule("later", night.id, partner=EMS)
    change = pricing.rule(rule, None, Unacknowledged.KEEP, ME)
    await pricing.schedule(change, None, ME)
    assert shown(office, EMS) == [tariff().id]
    assert shown(office, EMS, at=MIDNIGHT) == ["NIGHT"]
    assert shown(office, at=MIDNIGHT) == [tariff().id]


async def test_a_partner_in_a_book_is_offered_marked_up_prices(
    office: Office, pricing: Pricing
) -> None:
    await pricing.put_book(PriceBook("ROAM", Markup(Decimal(10)), frozenset({EMS})), ME)
    offered = office.catalogue.tariffs_for(EVSE, 1, EMS, office.now)
    base = tariff().elements[0].components[0].price
    assert [each.id for each in offered] == [f"{tariff().id}~ROAM"]
    assert offered[0].elements[0].components[0].price == base * Decimal("1.1")
    assert shown(office) == [tariff().id]


async def test_a_partner_is_in_one_book_at_most(office: Office, pricing: Pricing) -> None:
    await pricing.put_book(PriceBook("ONE", Markup(Decimal(10)), frozenset({EMS})), ME)
    with pytest.raises(Conflict, match="ONE"):
        await pricing.put_book(PriceBook("TWO", Markup(), frozenset({EMS})), ME)


async def test_books_changes_and_acknowledgements_outlive_a_restart(
    office: Office, pricing: Pricing
) -> None:
    change = await schedule(pricing)
    await pricing.put_book(PriceBook("ROAM", Markup(Decimal(10)), frozenset({EMS})), ME)
    row = Delivery(EMS, "tariff", f"{change.tariff}~ROAM", "delivered", 0, office.now)
    await office.store.commit([PutDelivery(row)])

    fresh = Catalogue()
    fresh.restore(await office.store.restore())
    fresh.partners[EMS] = office.catalogue.partners[EMS]
    again = Pricing(office.store, fresh, office.live, office.clock)
    await again.load()

    assert [each.id for each in fresh.tariffs_for(EVSE, 1, EMS, MIDNIGHT)] == [
        f"{change.tariff}~ROAM"
    ]
    told = await again.acknowledgements(change)
    assert [(each.partner, each.acknowledged) for each in told] == [(EMS, True)]


async def test_every_change_of_price_leaves_its_audit_row(office: Office, pricing: Pricing) -> None:
    change = await schedule(pricing)
    await pricing.rollback(change.id, ME)
    rows = await office.store.audit(f"price_change:{change.id}", Page())
    assert [each.what for each in rows] == ["price_change.changed", "price_change.added"]
