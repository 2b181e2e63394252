"""Sharing and prices are a party's own where set, else its hub's; habits of the wire are the hub's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest

from cms.domain.derived import Markup, PriceBook
from cms.domain.ids import LocationId, TariffId
from cms.domain.sharing import LiveStatus, Sharing
from cms.domain.status import ConnectorReport
from tests.conformance.ocpi.hubs import ANN, BOB, HUB, MEMBERS, Hub, hub, joined
from tests.conformance.ocpi.world import EVSE, SHELF, SITE, World, now

YARD = LocationId("YARD-3")


@pytest.fixture
async def roaming(cpo: World) -> AsyncIterator[Hub]:
    """A hub with three parties, and two sites."""
    await cpo.add_site(YARD)
    async with hub() as new:
        await joined(cpo, new, *MEMBERS)
        await new.until(lambda: len(new.pushed("locations")) == 2)
        yield new


async def share(cpo: World, id: str, sharing: Sharing) -> None:
    own = next(each for each in cpo.catalogue.partners.values() if each.id == id)
    await cpo.service.change(replace(own, sharing=sharing), "test")


async def sites(new: Hub, party: str) -> set[str]:
    heard = await new.call(party, "GET", "/locations")
    assert heard.code == 1000, heard.envelope
    return {each["id"] for each in heard.data}


async def test_a_party_is_shown_what_its_hub_is_unless_its_own_was_chosen(
    cpo: World, roaming: Hub
) -> None:
    await share(cpo, HUB, Sharing(frozenset({SITE})))
    for party in MEMBERS:
        assert await sites(roaming, party) == {SITE}
    assert cpo.service.parties.broadcasts(HUB)  # they see the same
    await share(cpo, ANN, Sharing(frozenset({YARD})))
    assert (await sites(roaming, ANN), await sites(roaming, BOB)) == ({YARD}, {SITE})
    assert not cpo.service.parties.broadcasts(HUB)
    await roaming.until(lambda: roaming.pushed("locations", to=ANN))
    assert not [e for e in roaming.pushed("locations", to=ANN) if e.body.get("id") == SITE]


async def test_a_status_hidden_from_a_hub_is_hidden_from_who_is_behind_it(
    cpo: World, roaming: Hub
) -> None:
    await share(cpo, HUB, Sharing(status=LiveStatus.HIDDEN))
    await cpo.report(EVSE, ConnectorReport.CHARGING)
    heard = await roaming.call(BOB, "GET", f"/locations/{SITE}/CS1-1")
    assert heard.data["status"] == "UNKNOWN"


async def test_a_hubs_price_book_is_that_of_its_parties_unless_one_has_its_own(
    cpo: World, roaming: Hub
) -> None:
    books = cpo.catalogue.offers.books
    books["H"] = PriceBook("H", Markup(Decimal(10)), frozenset({HUB}))
    books["A"] = PriceBook("A", Markup(Decimal(20)), frozenset({ANN}))
    offers = cpo.catalogue.offers
    shown = {each: [form.id for form in offers.forms(SHELF, each, now())] for each in (ANN, BOB)}
    assert shown == {ANN: [f"{SHELF}~A"], BOB: [f"{SHELF}~H"]}
    assert not cpo.service.parties.broadcasts(HUB)
    del books["A"]
    assert cpo.service.parties.broadcasts(HUB)


async def test_what_was_told_to_a_hub_for_all_everybody_behind_it_has(
    cpo: World, roaming: Hub
) -> None:
    await roaming.until(lambda: roaming.pushed("tariffs"))
    await roaming.until(lambda: cpo.catalogue.offers.acknowledged(HUB, SHELF))
    assert all(cpo.catalogue.offers.acknowledged(each, SHELF) for each in (ANN, BOB))
    assert not cpo.catalogue.offers.acknowledged(ANN, TariffId("NEVER-TOLD"))


async def test_habits_of_the_wire_are_those_of_who_is_connected(cpo: World, roaming: Hub) -> None:
    await cpo.session(owner=ANN)
    await roaming.until(lambda: roaming.pushed("sessions", to=ANN))
    own = cpo.catalogue.partners[HUB]
    await cpo.service.change(replace(own, switches=(("dates_out", "whole"),)), "test")
    session = await cpo.session(owner=BOB)
    [sent] = await roaming.until(lambda: roaming.pushed("sessions", to=BOB))
    assert sent.body["id"] == session.id and "." not in sent.body["last_updated"]
