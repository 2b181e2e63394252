"""A4 to A6, A16 and B once more, clause by clause: what one test of each left unsaid."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cms.app.ports import Page
from cms.domain.audit import WorkType
from cms.domain.ids import LocationId, StationId, TariffId
from cms.domain.partner import PartnerState
from cms.domain.session import SessionStatus
from cms.domain.status import ConnectorReport, EvseStatus
from cms.domain.tariff import TariffKind
from cms.domain.token import TokenType
from cms.domain.topology import (
    ConnectorFormat,
    Coordinates,
    ExceptionalPeriod,
    OpeningTimes,
    PlannedStatus,
)
from ocpi_cpo.errors import NoEndpoints
from ocpi_cpo.wire import stamp
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.partner import INTERFACES, Emsp
from simulators.emsp.wire import moment
from tests.conformance.ocpi.world import (
    EMP,
    EVSE,
    OPERATOR,
    OTHER,
    SITE,
    STATION,
    Asker,
    World,
    now,
    shelf,
    until,
    until_kept,
)
from tests.conformance.statements import reading, statement

WHERE = f"/2.2.1/locations/{SITE}"
ALL_TIME = "date_from=2020-01-01T00:00:00Z"


def credentials(**more: Any) -> dict[str, Any]:
    role = {
        "role": "EMSP",
        "country_code": "IN",
        "party_id": "EMP",
        "business_details": {"name": "Somebody"},
    }
    return {"token": "b" * 20, "url": "http://127.0.0.1:9/versions", "roles": [role], **more}


async def change_plug(cpo: World, **more: Any) -> None:
    station = cpo.catalogue.stations[STATION]
    [evse] = station.evses
    plugs = tuple(replace(each, **more) for each in evse.connectors)
    changed = replace(station, evses=(replace(evse, connectors=plugs),))
    await cpo.administration.put_station(changed, OPERATOR)


async def change_site(cpo: World, **more: Any) -> None:
    site = cpo.catalogue.locations[SITE]
    await cpo.administration.put_location(replace(site, **more), OPERATOR)


# -- A4


async def test_ve_04_an_identifier_that_stands_twice_is_chosen_by_its_role(cpo: World) -> None:
    class Both(Emsp):
        def endpoints(self, *version: Any) -> list[Any]:
            usual = super().endpoints(*version)
            wrong = [
                {
                    **each,
                    "role": "RECEIVER" if each["role"] == "SENDER" else "SENDER",
                    "url": f"{self.base_url}/wrong/{each['identifier']}",
                }
                for each in usual
                if each["identifier"] != "credentials"
            ]
            return [*wrong, *usual, *wrong]

    async with Both() as emsp:
        emsp.tokens.add("CARD1")
        await cpo.connect(emsp)
        await until(lambda: cpo.catalogue.token(EMP, "CARD1", TokenType.RFID))
        await cpo.settle(await cpo.session())
        await emsp.wait_for(lambda: emsp.store.cdrs and emsp.store.locations)
        assert not [each for each in emsp.arrivals if "wrong" in each.path]


@pytest.mark.parametrize("module", ["locations", "tariffs", "cdrs"])
async def test_ve_04_and_of_01_a_module_without_a_receiver_is_never_pushed(
    cpo: World, module: str
) -> None:
    modules = tuple(each for each in INTERFACES if each != module)
    async with Emsp(modules=modules) as emsp:
        await cpo.connect(emsp)
        await cpo.settle(await cpo.session())
        await cpo.report(EVSE, ConnectorReport.CHARGING)
        witness = await cpo.session()
        await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", witness.id))
        assert not [e for e in emsp.pushes(module) if e.method != "GET"]
        assert len(await emsp.pull(module)) == 1


async def test_ve_06_looking_at_versions_changes_nothing_and_calls_nobody(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    invited = Asker(cpo.base, await cpo.invite(OTHER))
    before = await cpo.store.documents("ocpi.connection")
    head, seen = await cpo.store.head(), len(emsp.arrivals)
    for _ in range(3):
        for path in ("/versions", "/2.1.1", "/2.2.1", "/2.3.0"):
            with_a, with_c = await invited("GET", path), await ask("GET", path)
            assert (with_a.http, with_c.http) == (200, 200)
            assert with_a.data == with_c.data
    assert await cpo.store.documents("ocpi.connection") == before
    assert (await cpo.store.head(), len(emsp.arrivals)) == (head, seen)


# -- A5


async def test_cr_03_token_c_opens_every_module(cpo: World, ask: Asker) -> None:
    for path in ("locations", f"sessions?{ALL_TIME}", "cdrs", "tariffs", "credentials"):
        assert (await ask("GET", f"/2.2.1/{path}")).code == 1000
    assert (await ask("GET", "/2.2.1/tokens/IN/EMP/NONE")).code == 2004
    assert (await ask("POST", "/2.2.1/commands/STOP_SESSION", {})).code == 2001
    assert (await ask("PUT", "/2.2.1/chargingprofiles/NONE", {})).code == 2001


@pytest.mark.parametrize("trouble", ["dead", "html", "401", "json", "version", "modules"])
@reading
async def test_cr_04_whatever_is_wrong_has_its_code_keeps_nothing_and_leaves_a_usable(
    cpo: World, trouble: str
) -> None:
    ask = Asker(cpo.base, await cpo.invite())
    before = await cpo.store.documents("ocpi.connection")
    version = "2.1.1" if trouble == "version" else "2.2.1"
    modules = ("credentials",) if trouble == "modules" else tuple(INTERFACES)
    async with Emsp(version=version, modules=modules) as odd:
        if trouble != "401":
            odd.connection.accept("b" * 20)
        if trouble == "html":
            odd.faults.add(Fault(Kind.HTML, http=200))
        if trouble == "json":
            odd.faults.add(Fault(Kind.RAW, http=200, body='{"status_code":1000,"data":{"a":1}}'))
        url = "http://127.0.0.1:9/versions" if trouble == "dead" else odd.versions_url
        heard = await ask("POST", "/2.2.1/credentials", credentials(url=url))
    code = {"version": 3002, "modules": 3003}.get(trouble, 3001)
    assert (heard.http, heard.code) == (200, code)
    assert "data" not in heard.envelope
    assert await cpo.store.documents("ocpi.connection") == before
    assert cpo.catalogue.partners[EMP].state is PartnerState.INVITED
    async with Emsp() as good:
        await good.register(cpo.versions_url, ask.token or "")
    assert cpo.catalogue.partners[EMP].state is PartnerState.CONNECTED


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("role", None),
        ("party_id", None),
        ("country_code", None),
        ("business_details", None),
        ("business_details", {}),
        ("party_id", "LONG"),
        ("country_code", "IND"),
        ("role", "KING"),
    ],
)
async def test_cr_15_every_member_of_a_role_is_checked(cpo: World, member: str, value: Any) -> None:
    ask = Asker(cpo.base, await cpo.invite())
    [role] = credentials()["roles"]
    for wrong in ({**role, member: value}, {k: v for k, v in role.items() if k != member}):
        heard = await ask("POST", "/2.2.1/credentials", credentials(roles=[wrong]))
        assert (heard.http, heard.code) == (200, 2001)
        assert member in heard.envelope["status_message"]


async def test_cr_12_what_lacks_is_told_to_the_operator_by_name(cpo: World) -> None:
    """The operator who registers is the one that is alerted: the command fails, and says why."""
    modules = tuple(each for each in INTERFACES if each != "tokens")
    async with Emsp(modules=modules) as emsp:
        await cpo.invite()
        before = await cpo.store.documents("ocpi.connection")
        with pytest.raises(NoEndpoints, match=r"tokens \(SENDER\)"):
            await cpo.service.register(EMP, emsp.versions_url, emsp.hand_out_token(), "test")
        assert {each.method for each in emsp.arrivals} == {"GET"}
        assert await cpo.store.documents("ocpi.connection") == before


@reading
async def test_cr_18_a_foreign_claim_is_work_for_a_person(cpo: World, emsp: Emsp) -> None:
    ask = Asker(cpo.base, await cpo.invite(OTHER))
    [role] = credentials()["roles"]
    both = [{**role, "party_id": "OTH"}, role]
    assert (await ask("POST", "/2.2.1/credentials", credentials(roles=both))).code == 2001
    await until_kept(lambda: cpo.store.work_items(True, Page()))
    [item] = await cpo.store.work_items(True, Page())
    assert (item.type, item.subject) == (WorkType.SECURITY, f"partner:{OTHER}")
    assert item.evidence == {"claimed": EMP, "held_by": EMP}


# -- A6


async def test_lo_03_a_changed_connector_moves_its_evse_and_its_site_and_no_other(
    cpo: World, ask: Asker
) -> None:
    await cpo.add_station(StationId("CS2"))
    before = (await ask("GET", WHERE)).data
    await change_plug(cpo, max_amperage=16)
    after = (await ask("GET", WHERE)).data
    assert [each["uid"] for each in after["evses"]] == [each["uid"] for each in before["evses"]]
    assert after["evses"][0]["connectors"][0]["max_amperage"] == 16

    def dates(site: Any, at: int) -> list[datetime]:
        evse = site["evses"][at]
        parts = (site, evse, evse["connectors"][0])
        return [moment(each["last_updated"]) for each in parts]

    moved = list(zip(dates(after, 0), dates(before, 0), strict=True))
    assert [a > b for a, b in moved] == [True, True, True]
    assert dates(after, 1)[1:] == dates(before, 1)[1:]  # the other EVSE and its connector


async def test_lo_03_a_status_leaves_the_connector_where_it_was(cpo: World, ask: Asker) -> None:
    plug = (await ask("GET", f"{WHERE}/CS1-1/1")).data
    await cpo.report(EVSE, ConnectorReport.CHARGING)
    assert (await ask("GET", f"{WHERE}/CS1-1/1")).data["last_updated"] == plug["last_updated"]


@reading
async def test_lo_04_a_site_that_the_filter_finds_comes_with_all_its_evses(
    cpo: World, ask: Asker
) -> None:
    await cpo.add_station(StationId("CS2"))
    await cpo.add_site(LocationId("PUNE-2"))
    since = stamp(now() + timedelta(milliseconds=2))
    await until(lambda: stamp(now()) > since)
    await cpo.report(EVSE, ConnectorReport.CHARGING)
    [site] = (await ask("GET", f"/2.2.1/locations?date_from={since}")).data
    assert [each["uid"] for each in site["evses"]] == ["CS1-1", "CS2-1"]


async def test_lo_11_and_13_every_member_that_is_required_and_no_made_up_postal_code(
    cpo: World, ask: Asker
) -> None:
    site = (await ask("GET", WHERE)).data
    assert "postal_code" not in site  # none exists
    required = (
        "country_code party_id id publish address city country coordinates time_zone last_updated"
    )
    assert set(required.split()) <= set(site)
    assert (site["country_code"], site["country"]) == ("IN", "IND")
    await change_site(cpo, postal_code="411004")
    assert (await ask("GET", WHERE)).data["postal_code"] == "411004"


@pytest.mark.parametrize(
    ("latitude", "longitude", "shown"),
    [
        ("18.5", "73", ("18.500000", "73.000000")),
        ("-18.12345678", "-173.80771234", ("-18.123457", "-173.807712")),
        ("0", "-0.0000001", ("0.000000", None)),
    ],
)
async def test_lo_12_coordinates_fit_and_stand_in_their_places(
    cpo: World, ask: Asker, latitude: str, longitude: str, shown: tuple[str, str | None]
) -> None:
    await change_site(cpo, coordinates=Coordinates(Decimal(latitude), Decimal(longitude)))
    found = (await ask("GET", WHERE)).data["coordinates"]
    assert len(found["latitude"]) <= 10 and len(found["longitude"]) <= 11
    assert found["latitude"] == shown[0]
    assert shown[1] is None or found["longitude"] == shown[1]


async def test_lo_18_a_tethered_cable_and_a_limit_below_volts_times_amperes(
    cpo: World, ask: Asker
) -> None:
    await change_plug(cpo, format=ConnectorFormat.CABLE)
    plug = (await ask("GET", f"{WHERE}/CS1-1/1")).data
    assert (plug["format"], "max_electric_power" in plug) == ("CABLE", False)
    await change_plug(cpo, max_power_w=11_000)
    plug = (await ask("GET", f"{WHERE}/CS1-1/1")).data
    assert plug["max_electric_power"] == 11_000 < plug["max_voltage"] * plug["max_amperage"] * 3


async def test_lo_19_each_profile_type_has_its_one_tariff(cpo: World, ask: Asker) -> None:
    kinds = (
        TariffKind.REGULAR,
        TariffKind.PROFILE_CHEAP,
        TariffKind.PROFILE_FAST,
        TariffKind.PROFILE_GREEN,
    )
    books = [
        replace(shelf(TariffId(f"{kind}-{number}")), kind=kind)
        for kind in kinds
        for number in (1, 2)
    ]
    for book in books:
        await cpo.administration.put_tariff(book, OPERATOR)
    await change_plug(cpo, tariffs=tuple(each.id for each in books))
    shown = (await ask("GET", f"{WHERE}/CS1-1/1")).data["tariff_ids"]
    assert shown == [f"{kind}-1" for kind in kinds]
    listed = {t["id"]: t.get("type") for t in (await ask("GET", "/2.2.1/tariffs")).data}
    assert sorted(listed[each] for each in shown) == [
        "PROFILE_CHEAP",
        "PROFILE_FAST",
        "PROFILE_GREEN",
        "REGULAR",
    ]


async def test_lo_22_and_24_going_offline_and_what_was_planned_are_pushed_as_they_happen(
    cpo: World, emsp: Emsp
) -> None:
    def told() -> list[str]:
        patches = [e for e in emsp.pushes("locations") if e.method == "PATCH" and e.body]
        return [each.body["status"] for each in patches if each.body and "status" in each.body]

    await cpo.vanish(EVSE)
    await emsp.wait_for(lambda: told() == ["UNKNOWN"])
    began = datetime.now(UTC) + timedelta(milliseconds=50)
    station = cpo.catalogue.stations[STATION]
    planned = (PlannedStatus(began, EvseStatus.INOPERATIVE, began + timedelta(hours=2)),)
    evses = tuple(replace(each, schedule=planned) for each in station.evses)
    await cpo.administration.put_station(replace(station, evses=evses), OPERATOR)
    await until(lambda: datetime.now(UTC) > began)
    assert told() == ["UNKNOWN"]  # the plan alone tells nothing
    await cpo.report(EVSE, ConnectorReport.UNAVAILABLE)
    await emsp.wait_for(lambda: told() == ["UNKNOWN", "INOPERATIVE"])


async def test_lo_26_exceptional_openings_are_in_utc_beside_the_closings(
    cpo: World, ask: Asker
) -> None:
    eve = datetime(2026, 12, 24, 22, tzinfo=UTC)
    openings = (ExceptionalPeriod(eve, eve + timedelta(hours=3)),)
    closings = (ExceptionalPeriod(eve + timedelta(hours=5), eve + timedelta(hours=7)),)
    await change_site(cpo, opening=OpeningTimes(True, openings=openings, closings=closings))
    assert (await ask("GET", WHERE)).data["opening_times"] == {
        "twentyfourseven": True,
        "exceptional_openings": [
            {"period_begin": "2026-12-24T22:00:00Z", "period_end": "2026-12-25T01:00:00Z"}
        ],
        "exceptional_closings": [
            {"period_begin": "2026-12-25T03:00:00Z", "period_end": "2026-12-25T05:00:00Z"}
        ],
    }


async def test_lo_27_charging_when_closed_is_told_where_it_is_not_so(
    cpo: World, ask: Asker
) -> None:
    await change_site(cpo, charging_when_closed=False)
    assert (await ask("GET", WHERE)).data["charging_when_closed"] is False


# -- A16


async def test_of_02_everything_that_changed_in_a_gap_can_be_read_by_its_date(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    await emsp.go_down()
    since = stamp(now() + timedelta(milliseconds=2))
    await until(lambda: stamp(now()) > since)
    changed = await cpo.session()
    bill = await cpo.settle(await cpo.session())
    await cpo.report(EVSE, ConnectorReport.CHARGING)
    await cpo.administration.put_tariff(shelf(TariffId("GAP")), OPERATOR)
    found = {
        module: {
            each["id"] for each in (await ask("GET", f"/2.2.1/{module}?date_from={since}")).data
        }
        for module in ("locations", "sessions", "cdrs", "tariffs")
    }
    assert found["locations"] == {SITE}
    assert found["sessions"] == {changed.id, bill.session}
    assert found["cdrs"] == {bill.id}
    assert "GAP" in found["tariffs"]


@reading
async def test_of_05_a_site_is_put_before_its_status_is_patched(cpo: World, emsp: Emsp) -> None:
    await emsp.go_down()
    await cpo.add_site(LocationId("PUNE-2"))
    ref = replace(EVSE, station=StationId("CS2"))
    await cpo.add_station(StationId("CS2"), site=LocationId("PUNE-2"))
    for report in (ConnectorReport.FREE, ConnectorReport.CHARGING, ConnectorReport.FAULTED):
        await cpo.report(ref, report)
    await emsp.come_back()
    await Asker(cpo.base, emsp.connection.outbound)("GET", "/versions")

    def last() -> Any:
        return (emsp.store.evse(("IN", "CPO", "PUNE-2"), "CS2-1") or {}).get("status")

    await emsp.wait_for(lambda: last() == "OUTOFORDER")
    first = next(e for e in emsp.pushes("locations") if "PUNE-2" in e.path and e.http)
    assert first.method == "PUT"
    assert not emsp.complaints


@reading
async def test_of_06_a_refused_token_is_work_for_a_person(cpo: World, emsp: Emsp) -> None:
    emsp.connection.inbound.clear()
    await cpo.session()
    await until_kept(lambda: cpo.store.work_items(True, Page()))
    [item] = await cpo.store.work_items(True, Page())
    assert (item.type, item.subject) == (WorkType.PARTNER_REFUSES_US, f"partner:{EMP}")


@reading
async def test_of_07_a_partner_that_answers_500_is_given_pauses_and_delays_nobody(
    cpo: World, emsp: Emsp
) -> None:
    async with Emsp(party_id="OTH") as other:
        await cpo.connect(other)
        await other.wait_for(lambda: other.store.locations)
        emsp.faults.add(Fault(Kind.HTTP, http=500))
        seen = len(emsp.arrivals)
        for number in range(20):
            await cpo.session(OTHER)
            await cpo.session(EMP, delivered_wh=number)
        await other.wait_for(lambda: len(other.store.sessions) == 20)
        health = await cpo.service.partner_health(EMP)
        assert health.failures > 0 and health.pause_seconds > 0
        assert len(emsp.arrivals) - seen <= 20  # not each of the twenty again and again
        emsp.faults.clear()
        await Asker(cpo.base, emsp.connection.outbound)("GET", "/versions")
        await emsp.wait_for(lambda: len(emsp.store.sessions) == 20)


@statement("OF-08")
async def test_nothing_is_pushed_after_the_partner_has_left(cpo: World, emsp: Emsp) -> None:
    await emsp.unregister()
    seen = len(emsp.arrivals)
    await cpo.settle(await cpo.session())
    await cpo.report(EVSE, ConnectorReport.CHARGING)
    async with Emsp(party_id="OTH") as witness:
        await cpo.connect(witness)
        await witness.wait_for(lambda: witness.store.locations)
    assert len(emsp.arrivals) == seen


# -- B: a partner of 2.1.1


@pytest.fixture
async def old(cpo: World) -> AsyncIterator[Emsp]:
    async with Emsp(version="2.1.1") as partner:
        partner.tokens.add("04AABB", contract_id="IN-EMP-C1")
        await cpo.connect(partner)
        await partner.wait_for(lambda: partner.store.locations)
        yield partner


def plain(cpo: World, old: Emsp) -> Asker:
    """Our server takes a token of 2.1.1 in either form; this one encodes it."""
    return Asker(cpo.base, old.connection.outbound)


@statement("B1-07")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "hubclientinfo/IN/EMP"),
        ("GET", "clientinfo/IN/EMP"),
        ("PUT", "chargingprofiles/S1"),
        ("GET", "chargingprofiles/S1?duration=60&response_url=http://127.0.0.1:9/"),
        ("DELETE", "chargingprofiles/S1"),
        ("PUT", "invoicereconciliation/IN/EMP/1"),
        ("PUT", "sessions/S1/charging_preferences"),
        ("GET", "bookings"),
        ("POST", "commands/CANCEL_RESERVATION"),
    ],
)
async def test_a_partner_of_2_1_1_finds_no_module_of_later_versions(
    cpo: World, old: Emsp, method: str, path: str
) -> None:
    heard = await plain(cpo, old)(method, f"/2.1.1/{path}", {} if method != "GET" else None)
    assert heard.http == 404


@statement("B1-07", "B3-03")
async def test_a_reservation_is_told_to_2_1_1_with_a_word_that_it_has(
    cpo: World, old: Emsp
) -> None:
    held = await cpo.session(connector=1, status=SessionStatus.RESERVED)
    done = await cpo.session(connector=1)
    await old.wait_for(lambda: old.pushes("sessions", done.id))
    shown = (await plain(cpo, old)("GET", f"/2.1.1/sessions?{ALL_TIME}")).data
    bodies = [each.body for each in old.pushes("sessions", held.id) if each.body]
    statuses = [each["status"] for each in [*bodies, *shown]]
    assert set(statuses) <= {"ACTIVE", "COMPLETED", "INVALID", "PENDING"}
    assert not old.complaints


async def test_b1_09_a_partner_of_2_1_1_that_offers_another_version_gets_3002(cpo: World) -> None:
    async with Emsp() as newer:
        newer.connection.accept("b" * 20)
        body = {
            "token": "b" * 20,
            "url": newer.versions_url,
            "business_details": {"name": "Old"},
            "party_id": "EMP",
            "country_code": "IN",
        }
        heard = await Asker(cpo.base, await cpo.invite())("POST", "/2.1.1/credentials", body)
    assert (heard.http, heard.code) == (200, 3002)


@pytest.mark.parametrize("member", ["token", "url", "business_details", "party_id", "country_code"])
async def test_b1_08_every_member_of_flat_credentials_is_required(cpo: World, member: str) -> None:
    body = {
        "token": "b" * 20,
        "url": "http://127.0.0.1:9/versions",
        "business_details": {"name": "Old"},
        "party_id": "EMP",
        "country_code": "IN",
    }
    del body[member]
    heard = await Asker(cpo.base, await cpo.invite())("POST", "/2.1.1/credentials", body)
    assert (heard.http, heard.code) == (200, 2001)
    assert member in heard.envelope["status_message"]
