"""The rest of A6: what stands in a Location, who may see it, and what is pushed when it changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cms.domain.errors import InvalidValue
from cms.domain.ids import EvseUid, LocationId, StationId, TariffId
from cms.domain.status import ConnectorReport, EvseStatus
from cms.domain.tariff import (
    Dimension,
    DisplayText,
    Element,
    EnergyMix,
    EnergySource,
    EnvironmentalImpact,
    PriceComponent,
    Tariff,
    TariffKind,
)
from cms.domain.topology import (
    AllowedToken,
    ExceptionalPeriod,
    Hours,
    Image,
    OpeningTimes,
    PlannedStatus,
    PowerType,
)
from simulators.emsp.models import Location
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi.world import (
    EMP,
    EVSE,
    OPERATOR,
    SHELF,
    SITE,
    STATION,
    Asker,
    World,
    shelf,
    until,
)
from tests.conformance.statements import reading

WHERE = f"/2.2.1/locations/{SITE}"


async def change_site(cpo: World, **more: Any) -> None:
    site = cpo.catalogue.locations[SITE]
    await cpo.administration.put_location(replace(site, **more), OPERATOR)


async def change_evse(cpo: World, **more: Any) -> None:
    station = cpo.catalogue.stations[STATION]
    evses = tuple(replace(each, **more) for each in station.evses)
    await cpo.administration.put_station(replace(station, evses=evses), OPERATOR)


@reading
async def test_lo_07_what_is_taken_away_is_told_by_a_put(cpo: World, emsp: Emsp) -> None:
    await change_site(cpo, name=None, facilities=())
    await emsp.wait_for(lambda: len(emsp.history("locations", "IN", "CPO", SITE)) > 1)
    last = emsp.history("locations", "IN", "CPO", SITE)[-1]
    assert last.method == "PUT" and last.body is not None and "name" not in last.body
    patches = [each for each in emsp.pushes("locations") if each.method == "PATCH"]
    assert not [each for each in patches if each.body and {"evses", "connectors"} & set(each.body)]


async def test_lo_09_an_id_is_never_given_to_something_else(cpo: World, ask: Asker) -> None:
    await change_evse(cpo, removed=True)
    with pytest.raises(InvalidValue, match="uid"):
        other = replace(cpo.catalogue.stations[STATION], id=StationId("CS2"), evses=_named(cpo))
        await cpo.administration.put_station(other, OPERATOR)
    station = cpo.catalogue.stations[STATION]
    await cpo.administration.put_station(replace(station, evses=_moved(station.evses)), OPERATOR)
    uids = {each["uid"]: each["status"] for each in (await ask("GET", WHERE)).data["evses"]}
    assert uids["CS1-1"] == "REMOVED" and "CS1-9" in uids


def _named(cpo: World) -> Any:
    """An EVSE of another charger that takes the uid of the one that is gone."""
    [evse] = cpo.catalogue.stations[STATION].evses
    ref = replace(evse.ref, station=StationId("CS2"))
    return (replace(evse, ref=ref, evse_id=None, removed=False),)


def _moved(evses: Any) -> Any:
    """The same place with another charger: the old EVSE is left out, a new one has its own uid."""
    [evse] = evses
    ref = replace(evse.ref, evse=9)
    return (replace(evse, ref=ref, uid=EvseUid("CS1-9"), evse_id=None, removed=False),)


@reading
async def test_lo_10_a_site_whose_evses_are_all_removed_is_still_shown(
    cpo: World, ask: Asker
) -> None:
    await change_evse(cpo, removed=True)
    [site] = (await ask("GET", "/2.2.1/locations")).data
    assert [each["status"] for each in site["evses"]] == ["REMOVED"]


async def test_lo_13_postal_code_and_lengths(cpo: World, ask: Asker) -> None:
    await change_site(cpo, postal_code="411004", address="a" * 200, state="s" * 40)
    site = (await ask("GET", WHERE)).data
    assert site["postal_code"] == "411004"
    assert len(site["address"]) <= 45 and len(site["state"]) <= 20  # old receivers hold no more


async def test_lo_14_an_unpublished_site_is_sent_with_who_may_see_it(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    who = (AllowedToken(uid="04AA", type="RFID"), AllowedToken(group="STAFF"))
    await change_site(cpo, publish=False, publish_to=who)
    site = (await ask("GET", WHERE)).data
    assert site["publish"] is False
    assert site["publish_allowed_to"] == [{"uid": "04AA", "type": "RFID"}, {"group_id": "STAFF"}]
    Location.model_validate(site)
    await emsp.wait_for(lambda: emsp.store.locations["IN", "CPO", SITE]["publish"] is False)


@pytest.mark.parametrize("wrong", [{"uid": "04AA"}, {"visual_number": "1"}, {"issuer": "X"}, {}])
def test_lo_14_a_token_that_may_see_it_must_be_named_enough(wrong: Any) -> None:
    with pytest.raises(InvalidValue, match="publish_to"):
        AllowedToken(**wrong)


async def test_lo_14_a_published_site_names_nobody(cpo: World) -> None:
    with pytest.raises(InvalidValue, match="publish_to"):
        await change_site(cpo, publish_to=(AllowedToken(group="STAFF"),))


async def test_lo_15_a_private_site_is_neither_shown_nor_pushed(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    hidden = LocationId("HOME-1")
    await cpo.add_site(hidden, roaming=False)
    await cpo.add_station(StationId("CS2"), site=hidden)
    await cpo.add_site(LocationId("PUNE-2"))
    await emsp.wait_for(lambda: ("IN", "CPO", "PUNE-2") in emsp.store.locations)
    heard = await ask("GET", "/2.2.1/locations")
    assert {each["id"] for each in heard.data} == {SITE, "PUNE-2"}
    assert heard.headers["X-Total-Count"] == "2"
    for path in ("HOME-1", "HOME-1/CS2-1", "HOME-1/CS2-1/1"):
        assert (await ask("GET", f"/2.2.1/locations/{path}")).http == 404
    assert ("IN", "CPO", "HOME-1") not in emsp.store.locations


async def test_lo_16_each_connector_that_charges_alone_is_an_evse_of_its_own(
    cpo: World, ask: Asker
) -> None:
    await cpo.add_station(StationId("TWIN"), evses=2)
    evses = {each["uid"]: each for each in (await ask("GET", WHERE)).data["evses"]}
    assert {"TWIN-1", "TWIN-2"} <= set(evses)
    assert all(len(each["connectors"]) == 1 for each in evses.values())


async def test_lo_17_and_18_evses_and_connectors_have_what_is_required(
    cpo: World, ask: Asker
) -> None:
    plug = replace(
        cpo.catalogue.stations[STATION].evses[0].connectors[0],
        max_power_w=11_000,
        power_type=PowerType.AC_3_PHASE,
    )
    await change_evse(cpo, connectors=(plug,))
    [evse] = (await ask("GET", WHERE)).data["evses"]
    assert {"uid", "status", "connectors", "last_updated"} <= set(evse)
    [shown] = evse["connectors"]
    required = "id standard format power_type max_voltage max_amperage last_updated".split()
    assert set(required) <= set(shown)
    assert shown["max_voltage"] == 230  # line to neutral, though three phases
    assert shown["max_electric_power"] == 11_000
    assert shown["format"] == "SOCKET"


async def test_lo_19_a_connector_names_what_holds_now_one_tariff_of_each_kind(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=1)
    books = [
        replace(shelf(TariffId("OLD")), valid_to=datetime(2026, 1, 1, tzinfo=UTC)),
        replace(shelf(TariffId("ENDS")), valid_to=ends),
        replace(shelf(TariffId("NEXT")), valid_from=ends),
        replace(shelf(TariffId("GREEN")), kind=TariffKind.PROFILE_GREEN),
        replace(shelf(TariffId("GREEN2")), kind=TariffKind.PROFILE_GREEN),
    ]
    for book in books:
        await cpo.administration.put_tariff(book, OPERATOR)
    plug = cpo.catalogue.stations[STATION].evses[0].connectors[0]
    await cpo.service.borders.look()
    await change_evse(cpo, connectors=(replace(plug, tariffs=tuple(b.id for b in books)),))
    assert (await ask("GET", f"{WHERE}/CS1-1/1")).data["tariff_ids"] == ["ENDS", "GREEN"]
    await emsp.wait_for(lambda: _ids(emsp) == ["ENDS", "GREEN"])
    await until(lambda: datetime.now(UTC) > ends)
    await cpo.service.borders.look()
    assert (await ask("GET", WHERE)).data["evses"][0]["connectors"][0]["tariff_ids"] == [
        "NEXT",
        "GREEN",
    ]
    await emsp.wait_for(lambda: _ids(emsp) == ["NEXT", "GREEN"])


async def test_lo_20_what_costs_nothing_names_a_tariff_that_says_so(cpo: World, ask: Asker) -> None:
    free = Tariff(
        TariffId("FREE"), "INR", (Element((PriceComponent(Dimension.FLAT, Decimal(0)),)),)
    )
    await cpo.administration.put_tariff(free, OPERATOR)
    plug = replace(cpo.catalogue.stations[STATION].evses[0].connectors[0], tariffs=(free.id,))
    await change_evse(cpo, connectors=(plug,))
    assert (await ask("GET", f"{WHERE}/CS1-1/1")).data["tariff_ids"] == ["FREE"]
    [shown] = [t for t in (await ask("GET", "/2.2.1/tariffs")).data if t["id"] == "FREE"]
    assert shown["elements"] == [
        {"price_components": [{"type": "FLAT", "price": 0, "step_size": 1}]}
    ]


async def test_lo_24_a_schedule_is_shown_and_changes_no_status(cpo: World, ask: Asker) -> None:
    began = datetime.now(UTC) - timedelta(hours=1)
    planned = (PlannedStatus(began, EvseStatus.INOPERATIVE, began + timedelta(hours=2)),)
    await change_evse(cpo, schedule=planned)
    evse = (await ask("GET", f"{WHERE}/CS1-1")).data
    assert evse["status"] == "AVAILABLE"
    assert [each["status"] for each in evse["status_schedule"]] == ["INOPERATIVE"]


async def test_lo_25_and_26_regular_and_exceptional_hours(cpo: World, ask: Asker) -> None:
    christmas = datetime(2026, 12, 25, 3, tzinfo=UTC)
    opening = OpeningTimes(
        twentyfourseven=False,
        regular=(Hours(5, "18:00", "23:59"), Hours(6, "00:00", "02:00")),
        openings=(ExceptionalPeriod(christmas - timedelta(days=1), christmas),),
        closings=(ExceptionalPeriod(christmas, christmas + timedelta(hours=2)),),
    )
    await change_site(cpo, opening=opening)
    hours = (await ask("GET", WHERE)).data["opening_times"]
    assert hours["twentyfourseven"] is False
    assert [each["weekday"] for each in hours["regular_hours"]] == [5, 6]
    assert hours["exceptional_closings"] == [
        {"period_begin": "2026-12-25T03:00:00Z", "period_end": "2026-12-25T05:00:00Z"}
    ]
    assert len(hours["exceptional_openings"]) == 1


@pytest.mark.parametrize("wrong", [(5, "22:00", "02:00"), (0, "08:00", "20:00"), (8, "0", "1")])
def test_lo_25_opening_over_midnight_is_two_entries(wrong: Any) -> None:
    with pytest.raises(InvalidValue):
        Hours(*wrong)


async def test_lo_25_regular_hours_are_left_out_where_it_is_always_open(
    cpo: World, ask: Asker
) -> None:
    await change_site(cpo, opening=OpeningTimes(True, (Hours(1, "08:00", "20:00"),)))
    assert (await ask("GET", WHERE)).data["opening_times"] == {"twentyfourseven": True}


async def test_lo_27_energy_mix_and_images(cpo: World, ask: Asker) -> None:
    mix = EnergyMix(
        True,
        (EnergySource("SOLAR", Decimal("60.5")), EnergySource("WIND", Decimal("39.5"))),
        (EnvironmentalImpact("CARBON_DIOXIDE", Decimal("12.3")),),
        "Sun Ltd",
        "Roof",
    )
    image = Image("https://cpo.example/p.jpg", "ENTRANCE", "jpeg", None, 800, 600)
    words = (DisplayText("en", "Second basement"), DisplayText("hi", "दूसरा तहखाना"))
    await change_site(cpo, energy_mix=mix, images=(image,), directions=words)
    await change_evse(cpo, images=(image,), directions=words)
    site = (await ask("GET", WHERE)).data
    Location.model_validate({k: v for k, v in site.items() if k != "energy_mix"})
    assert site["energy_mix"]["is_green_energy"] is True
    assert sum(each["percentage"] for each in site["energy_mix"]["energy_sources"]) == 100
    assert (
        site["images"]
        == site["evses"][0]["images"]
        == [
            {
                "url": image.url,
                "category": "ENTRANCE",
                "type": "jpeg",
                "width": 800,
                "height": 600,
            }
        ]
    )
    assert site["directions"][1]["text"] == words[1].text
    assert "operator" not in site  # then it is who stands in our credentials
    assert site["charging_when_closed"] is True


def test_lo_27_a_mix_that_does_not_make_100_percent_and_a_long_type_are_refused() -> None:
    with pytest.raises(InvalidValue, match="100"):
        EnergyMix(True, (EnergySource("SOLAR", Decimal(99)),))
    with pytest.raises(InvalidValue, match="type"):
        Image("https://cpo.example/p", "ENTRANCE", "image/jpeg")


async def test_lo_28_what_we_do_not_offer_is_not_claimed(cpo: World, ask: Asker) -> None:
    wide = ("RFID_READER", "RESERVABLE", "CHARGING_PROFILE_CAPABLE", "UNLOCK_CAPABLE", "DANCES")
    await change_evse(cpo, capabilities=wide)
    evse = (await ask("GET", f"{WHERE}/CS1-1")).data
    assert evse["capabilities"] == [
        "RFID_READER",
        "RESERVABLE",
        "CHARGING_PROFILE_CAPABLE",
        "UNLOCK_CAPABLE",
    ]


@reading
async def test_lo_29_push_and_get_show_the_same(cpo: World, emsp: Emsp, ask: Asker) -> None:
    await cpo.report(EVSE, ConnectorReport.CHARGING)
    await emsp.wait_for(
        lambda: (emsp.store.evse(("IN", "CPO", SITE), "CS1-1") or {}).get("status") == "CHARGING"
    )
    [shown] = (await ask("GET", "/2.2.1/locations")).data
    pushed = emsp.store.locations["IN", "CPO", SITE]
    assert set(pushed) == set(shown)
    assert [e["uid"] for e in pushed["evses"]] == [e["uid"] for e in shown["evses"]]
    assert pushed["evses"][0]["connectors"][0]["tariff_ids"] == [SHELF]


async def test_ta_03_a_deleted_tariff_goes_after_the_connectors_that_showed_it(
    cpo: World, emsp: Emsp
) -> None:
    """Both changes wait together while the partner is away; the order must hold all the same."""
    old = TariffId("OLD")
    await cpo.add_tariff(old, "20.00")
    before = cpo.catalogue.stations[STATION].evses[0].connectors[0]
    await change_evse(cpo, connectors=(replace(before, tariffs=(old,)),))
    await emsp.wait_for(lambda: _ids(emsp) == [old])
    await emsp.go_down()
    await change_evse(cpo, connectors=(replace(before, tariffs=(SHELF,)),))
    await cpo.administration.drop_tariff(old, OPERATOR)
    seen = len(emsp.arrivals)
    await emsp.come_back()
    await Asker(cpo.base, emsp.connection.outbound)("GET", "/versions")
    await emsp.wait_for(
        lambda: [a for a in emsp.arrivals[seen:] if a.method == "DELETE" and a.http]
    )
    kinds = [(a.method, a.module) for a in emsp.arrivals[seen:] if a.http == 200]
    assert kinds.index(("PUT", "locations")) < kinds.index(("DELETE", "tariffs"))
    assert _ids(emsp) == [SHELF]
    await until(lambda: not emsp.complaints)


@reading
async def test_ta_03_a_tariff_that_the_partner_does_not_have_any_more_is_gone(
    cpo: World, emsp: Emsp
) -> None:
    """404 to the DELETE is as good as done: nothing is parked, and it is not sent again."""
    old = TariffId("OLD")
    await cpo.add_tariff(old, "20.00")
    await emsp.wait_for(lambda: ("IN", "CPO", old) in emsp.store.tariffs)
    del emsp.store.tariffs["IN", "CPO", old]
    await cpo.administration.drop_tariff(old, OPERATOR)
    [gone] = await emsp.wait_for(
        lambda: [a for a in emsp.arrivals if a.method == "DELETE" and a.http]
    )
    assert gone.http == 404
    await cpo.add_tariff(TariffId("NEXT"), "21.00")  # what comes after it is not held up
    await emsp.wait_for(lambda: ("IN", "CPO", "NEXT") in emsp.store.tariffs)
    assert len([a for a in emsp.arrivals if a.method == "DELETE"]) == 1
    assert not await cpo.store.deliveries(EMP, "parked")


def _ids(emsp: Emsp) -> Any:
    evse = emsp.store.evse(("IN", "CPO", SITE), "CS1-1")
    return None if evse is None else evse["connectors"][0]["tariff_ids"]
