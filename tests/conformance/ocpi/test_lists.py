"""Pagination and date filters (A2), and the sender lists: locations, sessions, CDRs, tariffs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from urllib.parse import quote, urlsplit

import pytest

from cms.domain.ids import EvseRef, LocationId, PartnerId, StationId, TariffId
from cms.domain.session import SessionStatus
from cms.domain.status import ConnectorReport
from cms.domain.tariff import Dimension, Element, PriceComponent
from cms.domain.tariff_choice import TariffRule
from cms.domain.topology import Approval, OpeningTimes
from ocpi_cpo.wire import stamp
from simulators.emsp.models import Cdr, Location, Session, Tariff, without_nulls
from simulators.emsp.partner import Emsp
from simulators.emsp.wire import moment
from tests.conformance.ocpi.world import (
    EMP,
    EVSE,
    OPERATOR,
    OTHER,
    SHELF,
    SITE,
    STATION,
    Asker,
    Heard,
    World,
    now,
    running,
    shelf,
)
from tests.conformance.statements import reading

ALL_TIME = "date_from=2020-01-01T00:00:00Z"


@pytest.fixture
async def many(cpo: World, emsp: Emsp) -> World:
    """25 sites, one of which has a station."""
    for number in range(2, 26):
        await cpo.add_site(LocationId(f"PUNE-{number}"))
    return cpo


async def crawl(ask: Asker, path: str) -> AsyncIterator[Heard]:
    heard = await ask("GET", path)
    yield heard
    while (link := heard.headers.get("Link")) is not None:
        found = re.fullmatch(r'<(http[^>]+)>; rel="next"', link)
        assert found
        heard = await ask("GET", found.group(1))
        yield heard


# -- A2


async def test_pg_01_sessions_without_date_from_answer_2001(ask: Asker) -> None:
    heard = await ask("GET", "/2.2.1/sessions")
    assert (heard.http, heard.code) == (200, 2001)
    assert "date_from" in heard.envelope["status_message"]


async def test_pg_02_adjacent_windows_return_each_object_exactly_once(
    many: World, ask: Asker
) -> None:
    heard = await ask("GET", "/2.2.1/locations?limit=50")
    times = sorted({each["last_updated"] for each in heard.data}, key=moment)
    cut = quote(times[len(times) // 2])
    early = (await ask("GET", f"/2.2.1/locations?{ALL_TIME}&date_to={cut}")).data
    late = (await ask("GET", f"/2.2.1/locations?date_from={cut}")).data
    ids = [each["id"] for each in early + late]
    assert sorted(ids) == sorted(each["id"] for each in heard.data)
    assert early and late


async def test_pg_03_the_filter_is_on_last_updated(cpo: World, ask: Asker) -> None:
    session = await cpo.session()  # it began an hour ago, and was written now
    since = quote(stamp(now() - timedelta(minutes=1)))
    heard = await ask("GET", f"/2.2.1/sessions?date_from={since}")
    assert [each["id"] for each in heard.data] == [session.id]


async def test_pg_04_to_08_pages_follow_each_other_until_the_last(many: World, ask: Asker) -> None:
    pages = [heard async for heard in crawl(ask, f"/2.2.1/locations?limit=10&{ALL_TIME}")]
    assert [len(each.data) for each in pages] == [10, 10, 5]
    ids = [item["id"] for each in pages for item in each.data]
    assert len(set(ids)) == 25
    assert {each.headers["X-Total-Count"] for each in pages} == {"25"}
    link = pages[0].headers["Link"]
    assert "date_from=2020-01-01T00%3A00%3A00Z" in link and "limit=10" in link
    assert urlsplit(link[1:]).netloc == urlsplit(ask.base).netloc
    assert "Link" not in pages[-1].headers


async def test_pg_05_a_limit_above_ours_is_served_with_ours(many: World, ask: Asker) -> None:
    heard = await ask("GET", "/2.2.1/locations?limit=2000")
    assert heard.code == 1000
    assert heard.headers["X-Limit"] == "50"


async def test_pg_09_an_update_moves_nothing_in_the_list(many: World, ask: Asker) -> None:
    before = [each["id"] for each in (await ask("GET", "/2.2.1/locations")).data]
    await many.report(EVSE, ConnectorReport.CHARGING)
    after = [each["id"] for each in (await ask("GET", "/2.2.1/locations")).data]
    assert after == before


@reading
async def test_pg_10_an_offset_beyond_the_end_is_an_empty_page(many: World, ask: Asker) -> None:
    heard = await ask("GET", "/2.2.1/locations?offset=1000")
    assert (heard.http, heard.code, heard.data) == (200, 1000, [])
    assert heard.headers["X-Total-Count"] == "25"
    assert "Link" not in heard.headers


@reading
@pytest.mark.parametrize("query", ["offset=-1", "limit=x", "limit=-5", "offset=1e3", "offset=٣"])
async def test_pg_10_a_window_that_is_no_number_answers_2001(ask: Asker, query: str) -> None:
    heard = await ask("GET", f"/2.2.1/locations?{query}")
    assert (heard.http, heard.code) == (200, 2001)


# -- A6


async def test_lo_01_locations_are_whole_and_right_to_the_letter(ask: Asker) -> None:
    heard = await ask("GET", "/2.2.1/locations")
    [site] = heard.data
    Location.model_validate(site)
    assert site["evses"][0]["connectors"][0]["tariff_ids"] == [SHELF]


async def test_lo_02_single_objects_at_each_level(ask: Asker) -> None:
    site = (await ask("GET", "/2.2.1/locations")).data[0]
    assert (await ask("GET", "/2.2.1/locations/PUNE-1")).data == site
    assert (await ask("GET", "/2.2.1/locations/PUNE-1/CS1-1")).data == site["evses"][0]
    plug = (await ask("GET", "/2.2.1/locations/PUNE-1/CS1-1/1")).data
    assert plug == site["evses"][0]["connectors"][0]


@pytest.mark.parametrize(
    "path", ["NOPE", "PUNE-1/NOPE", "PUNE-1/CS1-1/9", "NOPE/CS1-1", "PUNE-1/CS1-1/x"]
)
async def test_lo_02_unknown_at_any_level_answers_404(ask: Asker, path: str) -> None:
    assert (await ask("GET", f"/2.2.1/locations/{path}")).http == 404


async def test_lo_03_a_changed_evse_moves_its_location_too(cpo: World, ask: Asker) -> None:
    before = (await ask("GET", "/2.2.1/locations/PUNE-1")).data
    await cpo.report(EVSE, ConnectorReport.CHARGING)
    after = (await ask("GET", "/2.2.1/locations/PUNE-1")).data
    assert moment(after["last_updated"]) > moment(before["last_updated"])
    evses = before["evses"][0], after["evses"][0]
    assert moment(evses[1]["last_updated"]) > moment(evses[0]["last_updated"])
    assert after["evses"][0]["status"] == "CHARGING"


async def test_lo_04_what_changes_nothing_visible_moves_nothing(cpo: World, ask: Asker) -> None:
    before = (await ask("GET", "/2.2.1/locations/PUNE-1")).data
    cpo.live.put(replace(cpo.live.evse(EVSE), error="fan is dusty"))
    assert (await ask("GET", "/2.2.1/locations/PUNE-1")).data == before


async def test_lo_08_a_removed_evse_stays_as_removed(cpo: World, ask: Asker) -> None:
    station = cpo.catalogue.stations[STATION]
    gone = tuple(replace(each, removed=True) for each in station.evses)
    await cpo.administration.put_station(replace(station, evses=gone), OPERATOR)
    evse = (await ask("GET", "/2.2.1/locations/PUNE-1")).data["evses"][0]
    assert evse["status"] == "REMOVED"
    assert evse["connectors"]


async def test_lo_11_and_12_required_fields_and_coordinates(ask: Asker) -> None:
    site = (await ask("GET", "/2.2.1/locations")).data[0]
    for name in ("country_code", "party_id", "id", "publish", "address", "city", "country"):
        assert site[name] is not None
    assert site["time_zone"] == "Asia/Kolkata"
    assert site["coordinates"] == {"latitude": "18.508100", "longitude": "-73.807700"}


async def test_lo_22_a_charger_that_is_offline_is_unknown(cpo: World, ask: Asker) -> None:
    await cpo.vanish(EVSE)
    evse = (await ask("GET", "/2.2.1/locations/PUNE-1/CS1-1")).data
    assert evse["status"] == "UNKNOWN"


@reading
@pytest.mark.parametrize(
    ("report", "status"),
    [
        (ConnectorReport.FREE, "AVAILABLE"),
        (ConnectorReport.OCCUPIED, "CHARGING"),
        (ConnectorReport.CHARGING, "CHARGING"),
        (ConnectorReport.RESERVED, "RESERVED"),
        (ConnectorReport.UNAVAILABLE, "INOPERATIVE"),
        (ConnectorReport.FAULTED, "OUTOFORDER"),
    ],
)
async def test_lo_23_each_report_has_its_status(
    cpo: World, ask: Asker, report: ConnectorReport, status: str
) -> None:
    await cpo.report(EVSE, report)
    assert (await ask("GET", "/2.2.1/locations/PUNE-1/CS1-1")).data["status"] == status


async def test_lo_25_opening_times_are_always_said(cpo: World, ask: Asker) -> None:
    site = cpo.catalogue.locations[SITE]
    await cpo.administration.put_location(replace(site, opening=OpeningTimes()), OPERATOR)
    shown = (await ask("GET", "/2.2.1/locations/PUNE-1")).data
    assert shown["opening_times"] == {"twentyfourseven": True}


async def test_a_station_that_waits_for_approval_is_not_seen(cpo: World, ask: Asker) -> None:
    await cpo.add_station(StationId("NEW"), approval=Approval.TESTING)
    uids = [each["uid"] for each in (await ask("GET", "/2.2.1/locations/PUNE-1")).data["evses"]]
    assert uids == ["CS1-1"]
    assert (await ask("GET", "/2.2.1/locations/PUNE-1/NEW-1")).http == 404


async def test_a_page_is_cached_and_never_stale(cpo: World, ask: Asker) -> None:
    await ask("GET", "/2.2.1/locations")
    ready = cpo.service.pages.ready([SITE], EMP)[0]
    assert cpo.service.pages.ready([SITE], EMP)[0] is ready
    for report in (ConnectorReport.CHARGING, ConnectorReport.FREE, ConnectorReport.FAULTED):
        await cpo.report(EVSE, report)
        status = (await ask("GET", "/2.2.1/locations")).data[0]["evses"][0]["status"]
        single = (await ask("GET", "/2.2.1/locations/PUNE-1/CS1-1")).data["status"]
        assert status == single
    assert cpo.service.pages.ready([SITE], EMP)[0] is not ready


async def test_each_partner_sees_the_prices_that_are_meant_for_it(cpo: World, ask: Asker) -> None:
    await cpo.administration.put_tariff(shelf(TariffId("EMP-15"), "15.00"), OPERATOR)
    await cpo.administration.put_rule(
        TariffRule("emp", TariffId("EMP-15"), partner=EMP, location=SITE), OPERATOR
    )
    async with Emsp(party_id="OTH") as other:
        await cpo.connect(other)
        theirs = Asker(cpo.base, other.connection.outbound)
        for asker, tariff in ((ask, "EMP-15"), (theirs, SHELF)):
            site = (await asker("GET", "/2.2.1/locations")).data[0]
            assert site["evses"][0]["connectors"][0]["tariff_ids"] == [tariff]
        listed = {each["id"] for each in (await theirs("GET", "/2.2.1/tariffs")).data}
        assert listed == {SHELF}
        await other.wait_for(lambda: other.store.locations)
        assert {each["id"] for each in other.store.tariffs.values()} == {SHELF}


@reading
async def test_rt_11_a_list_is_narrowed_to_the_party_that_is_addressed() -> None:
    from ocpi_cpo.config import OwnParty

    parties = (OwnParty("IN", "CPO", "One"), OwnParty("IN", "TWO", "Two"))
    async with running(parties=parties) as cpo, Emsp() as emsp:
        await cpo.small_network()
        await cpo.add_site(LocationId("TWO-1"), party=PartnerId("IN*TWO"))
        await cpo.connect(emsp)
        ask = Asker(cpo.base, emsp.connection.outbound)
        to = {"OCPI-to-country-code": "IN", "OCPI-to-party-id": "TWO"}
        heard = await ask("GET", "/2.2.1/locations", headers=to)
        assert [each["id"] for each in heard.data] == ["TWO-1"]
        assert len((await ask("GET", "/2.2.1/locations")).data) == 2


# -- A7, A8


async def test_se_01_a_partner_sees_its_own_sessions_only(cpo: World, ask: Asker) -> None:
    mine, _ = await cpo.session(EMP), await cpo.session(OTHER)
    heard = await ask("GET", f"/2.2.1/sessions?{ALL_TIME}")
    assert [each["id"] for each in heard.data] == [mine.id]
    assert heard.headers["X-Total-Count"] == "1"
    assert (await ask("GET", f"/2.2.1/sessions/{mine.id}")).http in (404, 405)


async def test_se_06_and_07_a_session_has_every_required_field(cpo: World, ask: Asker) -> None:
    session = await cpo.session(reference="R1")
    [shown] = (await ask("GET", f"/2.2.1/sessions?{ALL_TIME}")).data
    shown = {**shown, "kwh": Decimal(str(shown["kwh"]))}
    Session.model_validate(without_nulls(shown))
    assert shown["id"] == session.id
    assert shown["kwh"] == Decimal("1.5")
    assert shown["status"] == "ACTIVE"
    assert shown["authorization_reference"] == "R1"
    assert set(shown["cdr_token"]) == {"country_code", "party_id", "uid", "type", "contract_id"}


async def test_se_09_a_stopped_session_is_active_until_it_is_billed(cpo: World, ask: Asker) -> None:
    session = await cpo.session(status=SessionStatus.STOPPED)
    [shown] = (await ask("GET", f"/2.2.1/sessions?{ALL_TIME}")).data
    assert (shown["status"], "end_date_time" in shown) == ("ACTIVE", False)
    await cpo.settle(session)
    [shown] = (await ask("GET", f"/2.2.1/sessions?{ALL_TIME}")).data
    assert (shown["status"], "end_date_time" in shown) == ("COMPLETED", True)


async def test_se_13_a_finished_session_costs_what_its_bill_says(cpo: World, ask: Asker) -> None:
    await cpo.settle(await cpo.session())
    [session] = (await ask("GET", f"/2.2.1/sessions?{ALL_TIME}")).data
    [bill] = (await ask("GET", "/2.2.1/cdrs")).data
    assert session["total_cost"] == bill["total_cost"] == {"excl_vat": 22.88, "incl_vat": 27.00}


async def test_cd_01_and_04_a_bill_never_changes_and_is_seen_by_its_owner_only(
    cpo: World, ask: Asker
) -> None:
    bill = await cpo.settle(await cpo.session())
    await cpo.settle(await cpo.session(OTHER))
    first = (await ask("GET", "/2.2.1/cdrs")).data
    site = cpo.catalogue.locations[SITE]
    await cpo.administration.put_location(replace(site, address="1 New Street"), OPERATOR)
    await cpo.administration.put_tariff(shelf(SHELF, "99.00"), OPERATOR)
    assert (await ask("GET", "/2.2.1/cdrs")).data == first
    assert [each["id"] for each in first] == [bill.id]


async def test_cd_09_and_11_to_16_a_bill_is_whole(cpo: World, emsp: Emsp, ask: Asker) -> None:
    bill = await cpo.settle(await cpo.session())
    await emsp.wait_for(lambda: emsp.store.cdrs)
    [sent] = emsp.store.cdrs.values()
    checked = Cdr.model_validate(sent)
    assert checked.session_id == bill.session
    assert checked.tariffs and checked.tariffs[0].id == SHELF
    assert checked.cdr_location.address == "12 Karve Road"
    assert sent["cdr_location"]["evse_id"] == "IN*CPO*ECS11"
    assert moment(sent["start_date_time"]) == moment(stamp(bill.started_at))
    assert moment(sent["end_date_time"]) == moment(stamp(bill.ended_at))
    assert checked.total_energy == Decimal("1.5")
    energies = [
        d.volume for p in checked.charging_periods for d in p.dimensions if d.type == "ENERGY"
    ]
    assert sum(energies) == checked.total_energy
    parts = [sent.get(f"total_{name}_cost") for name in ("fixed", "energy", "time", "parking")]
    for side in ("excl_vat", "incl_vat"):
        assert sum(part[side] for part in parts if part) == sent["total_cost"][side]
    assert not emsp.cost_differences


# -- A9


async def test_ta_01_and_05_tariffs_are_whole_and_net(cpo: World, emsp: Emsp, ask: Asker) -> None:
    [shown] = await emsp.pull("tariffs")
    tariff = Tariff.model_validate(shown)
    [component] = tariff.elements[0].price_components
    assert (component.type, component.vat, component.step_size) == ("ENERGY", 18, 1)
    gross = component.price * Decimal("1.18")
    assert abs(gross - 18) < Decimal("1e-8")


async def test_ta_01_a_deleted_tariff_is_no_longer_listed(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    old = TariffId("OLD")
    await cpo.add_tariff(old, "20.00")
    await emsp.wait_for(lambda: emsp.history("tariffs", "IN", "CPO", old))
    await cpo.administration.drop_tariff(old, OPERATOR)
    assert {each["id"] for each in (await ask("GET", "/2.2.1/tariffs")).data} == {SHELF}
    await emsp.wait_for(lambda: emsp.history("tariffs", "IN", "CPO", old)[-1].method == "DELETE")


async def test_ta_01_tariffs_have_pages_and_date_filters(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    for n in range(2):
        await cpo.add_tariff(TariffId(f"T{n}"), "20.00")
    pages = [await ask("GET", f"/2.2.1/tariffs?limit=1&offset={n}") for n in range(4)]
    seen = [each["id"] for page in pages for each in page.data]
    assert sorted(seen) == sorted([SHELF, "T0", "T1"])
    assert {page.headers["X-Total-Count"] for page in pages} == {"3"}
    assert ["Link" in page.headers for page in pages] == [True, True, False, False]
    last = max((each["last_updated"] for page in pages for each in page.data), key=moment)
    since = (await ask("GET", f"/2.2.1/tariffs?date_from={last}")).data
    assert since and {each["last_updated"] for each in since} == {last}
    before = (await ask("GET", f"/2.2.1/tariffs?date_to={last}")).data
    assert {each["id"] for each in (*since, *before)} == set(seen)
    assert len(since) + len(before) == 3


async def test_ta_02_a_changed_tariff_is_put_whole(cpo: World, emsp: Emsp) -> None:
    changed = replace(
        shelf(),
        elements=(
            Element(
                (
                    PriceComponent(Dimension.ENERGY, Decimal("20.00")),
                    PriceComponent(Dimension.FLAT, Decimal("5.00")),
                )
            ),
        ),
    )
    await cpo.administration.put_tariff(changed, OPERATOR)
    await emsp.wait_for(lambda: len(emsp.history("tariffs", "IN", "CPO", SHELF)) > 1)
    sent = emsp.history("tariffs", "IN", "CPO", SHELF)[-1]
    assert sent.method == "PUT" and sent.body is not None
    assert len(sent.body["elements"][0]["price_components"]) == 2
    first = emsp.history("tariffs", "IN", "CPO", SHELF)[0]
    assert first.body is not None and set(first.body) <= set(sent.body)
    asked = [each for each in emsp.arrivals if each.module == "tariffs"]
    assert {each.method for each in asked} == {"PUT"}
    assert {each.path.rsplit("/tariffs/", 1)[-1] for each in asked} == {f"IN/CPO/{SHELF}"}


def test_evse_keys_read_back() -> None:
    assert EvseRef.parse(str(EVSE)) == EVSE
