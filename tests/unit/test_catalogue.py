"""What the operator defined, in memory: found by any spelling, never by a name that is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cms.app.catalogue import Catalogue
from cms.domain.ids import EvseRef, EvseUid, LocationId, StationId, TariffId
from cms.domain.partner import Partner, PartnerState
from cms.domain.tariff_choice import TariffRule
from cms.domain.token import TokenType
from tests.unit.office import CS1, EMS, EVSE, SITE, Office, location, station, tariff, token


@pytest.fixture
def catalogue() -> Catalogue:
    it = Catalogue()
    it.put_location(location())
    it.put_station(station(evses=2))
    it.tariffs[TariffId("T1")] = tariff()
    return it


def test_stations_and_evses_are_found_whatever_the_case(catalogue: Catalogue) -> None:
    assert catalogue.spelled("cs1") == CS1
    assert catalogue.evse_by_uid("cs1*2") == EvseRef(CS1, 2)
    assert catalogue.spelled("CS2") is None


def test_an_id_that_a_station_gave_up_leads_nowhere(catalogue: Catalogue) -> None:
    first, second = station(evses=2).evses
    renamed = replace(first, uid=EvseUid("NEW"))
    catalogue.put_station(replace(station(), evses=(renamed, second)))
    assert catalogue.evse_by_uid("CS1*1") is None
    assert catalogue.evse_by_uid("NEW") == EVSE


def test_a_station_that_moves_is_of_one_site_only(catalogue: Catalogue) -> None:
    other = LocationId("BLR-2")
    catalogue.put_location(location(other))
    catalogue.put_station(replace(station(), location=other))
    assert catalogue.stations_of(SITE) == []
    assert [each.id for each in catalogue.stations_of(other)] == [CS1]


def test_nobody_stands_where_nothing_is(catalogue: Catalogue) -> None:
    assert catalogue.place(EvseRef(CS1, 3)) is None
    assert catalogue.place(EvseRef(StationId("X"), 1)) is None
    place = catalogue.place(EVSE)
    assert place is not None and place.location.id == SITE


def test_the_most_particular_line_of_the_price_book_wins(catalogue: Catalogue) -> None:
    now = Office().now
    for id in ("SITE", "THEIRS"):
        catalogue.tariffs[TariffId(id)] = tariff(id)
    catalogue.rules["a"] = TariffRule("a", TariffId("SITE"), location=SITE)
    catalogue.rules["b"] = TariffRule("b", TariffId("THEIRS"), EMS, SITE)
    assert catalogue.tariffs_for(EVSE, 1, None, now)[0].id == "SITE"
    assert catalogue.tariffs_for(EVSE, 1, EMS, now)[0].id == "THEIRS"


def test_a_tariff_that_is_not_valid_yet_is_no_price(catalogue: Catalogue) -> None:
    now = Office().now
    later = replace(tariff(), valid_from=now + timedelta(days=1))
    catalogue.tariffs[TariffId("T1")] = later
    assert catalogue.tariffs_for(EVSE, 1, None, now) == []
    assert catalogue.tariffs_for(EVSE, 7, None, now) == ()


def test_connectors_with_a_tariff_count_whoever_sees_it(catalogue: Catalogue) -> None:
    catalogue.rules["r"] = TariffRule("r", TariffId("THEIRS"), EMS, SITE)
    assert len(list(catalogue.connectors_with(TariffId("THEIRS")))) == 2
    assert list(catalogue.connectors_with(TariffId("NONE"))) == []


def test_one_uid_may_be_a_card_of_several_ours_first(catalogue: Catalogue) -> None:
    for owner in (EMS, None):
        catalogue.put_token(token("Card", owner))
    assert [each.partner for each in catalogue.tokens_named("CARD")] == [None, EMS]
    assert catalogue.token(EMS, "card", TokenType.RFID) is not None
    assert catalogue.token(EMS, "card", TokenType.APP_USER) is None
    assert catalogue.tokens_named("other") == ()
    catalogue.put_token(token("CARD", EMS, valid=False))
    assert sum(1 for _ in catalogue.tokens()) == 2, "replaced, not added"


def test_only_connected_partners_are_connected(catalogue: Catalogue) -> None:
    for number, state in enumerate(PartnerState):
        id = replace(token(), partner=EMS).partner or EMS
        catalogue.partners[type(id)(f"IN*P0{number}")] = Partner(id, "P", state)
    assert [each.state for each in catalogue.connected_partners()] == [PartnerState.CONNECTED]
