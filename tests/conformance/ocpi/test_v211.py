"""What differs in OCPI 2.1.1 (B1 to B5): a partner of that age beside partners of today."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cms.app.ports import Page
from cms.app.writes import PutCdr, Touch
from cms.domain.audit import WorkType
from cms.domain.cdr import credit
from cms.domain.commands import Answer, Outcome
from cms.domain.ids import CdrId, LocationId, SessionId, StationId, TariffId
from cms.domain.rating import rate
from cms.domain.session import Session, SessionStatus
from cms.domain.status import ConnectorReport
from cms.domain.tariff import (
    Dimension,
    DisplayText,
    Element,
    EnergyMix,
    EnvironmentalImpact,
    PriceComponent,
    PriceLimit,
    ReservationPhase,
    Restrictions,
    Tariff,
    TariffKind,
)
from cms.domain.token import AuthMethod, TokenType, Verdict
from cms.domain.topology import (
    Connector,
    ConnectorFormat,
    Coordinates,
    Hours,
    Location,
    OpeningTimes,
    PowerType,
)
from cms.domain.usage import Usage, UsageKind
from ocpi_cpo.config import OwnParty
from ocpi_cpo.versions.v211 import money
from ocpi_cpo.versions.v211.dialect import V211
from ocpi_cpo.versions.v221.dialect import V221
from simulators.emsp import languages
from simulators.emsp.client import RegistrationFailed
from simulators.emsp.partner import Emsp
from simulators.emsp.speech import Speech
from simulators.emsp.speech211 import Speech211
from simulators.emsp.tokens import Script
from tests.conformance.ocpi.world import (
    EMP,
    EVSE,
    OPERATOR,
    OTHER,
    SITE,
    STATION,
    Asker,
    Heard,
    World,
    bill_of,
    now,
    running,
    shelf,
    token,
    until_kept,
)
from tests.conformance.statements import reading, statement

PARTIES = ("country_code", "party_id")


@pytest.fixture
async def old(cpo: World) -> AsyncIterator[Emsp]:
    """A partner of 2.1.1, registered by itself, told of the whole network."""
    async with Emsp(version="2.1.1") as partner:
        partner.tokens.add("04AABB", contract_id="IN-EMP-C1")
        await cpo.connect(partner)
        await partner.wait_for(lambda: partner.store.locations)
        yield partner


@pytest.fixture
def plain(cpo: World, old: Emsp) -> Asker:
    """Any request with the partner's token as it is."""
    return Plain(cpo.base, old.connection.outbound)


class Plain(Asker):
    """Sends its token without base64."""

    async def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> Heard:
        header = {"authorization_header": f"Token {self.token}"}
        return await super().__call__(method, path, body, **header, **more)


def members(value: Any) -> Iterator[str]:
    """Every member's name at any depth."""
    match value:
        case dict():
            yield from value
            for each in value.values():
                yield from members(each)
        case list():
            for each in value:
                yield from members(each)


def texts(value: Any) -> Iterator[str]:
    """Every string at any depth."""
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from texts(each)
        case list():
            for each in value:
                yield from texts(each)


async def _billed(cpo: World, old: Emsp, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a session and its bill as they came over the wire."""
    session = await cpo.session(connector=1, **more)
    await old.wait_for(lambda: old.pushes("sessions"))
    await cpo.settle(session)
    await old.wait_for(lambda: old.store.cdrs)
    sessions, cdrs = old.pushes("sessions")[-1].body, old.pushes("cdrs")[-1].body
    assert sessions is not None and cdrs is not None
    return sessions, cdrs


async def _site(cpo: World, old: Emsp, **more: Any) -> dict[str, Any]:
    """Change the site; return it as it was pushed."""
    before = len(old.pushes("locations"))
    await cpo.add_site(**more)
    await old.wait_for(lambda: len(old.pushes("locations")) > before)
    body = old.pushes("locations")[-1].body
    assert body is not None
    return body


async def _evse(cpo: World, old: Emsp, **more: Any) -> dict[str, Any]:
    """Change the EVSE; return it as it was pushed."""
    before = len(old.pushes("locations"))
    own = replace(cpo.catalogue.stations[STATION].evses[0], **more)
    station = replace(cpo.catalogue.stations[STATION], evses=(own,))
    await cpo.administration.put_station(station, OPERATOR)
    await old.wait_for(lambda: len(old.pushes("locations")) > before)
    body = old.pushes("locations")[-1].body
    assert body is not None
    found: dict[str, Any] = body["evses"][0] if "evses" in body else body
    return found


async def _tariff(cpo: World, old: Emsp, own: Tariff) -> dict[str, Any]:
    """Put a tariff; return it as it was pushed."""
    await cpo.administration.put_tariff(own, OPERATOR)
    await old.wait_for(lambda: old.pushes("tariffs", own.id))
    body = old.pushes("tariffs", own.id)[-1].body
    assert body is not None
    return body


# -- B1: transport and registration


async def test_b1_01_the_token_stands_in_the_header_as_it_is(cpo: World, old: Emsp) -> None:
    sent = {each.headers["Authorization"] for each in old.arrivals if each.http == 200}
    known = {f"Token {each}" for each in old.connection.inbound}
    assert sent & known and all(len(each) == len("Token ") + 43 for each in sent)
    ours = Asker(cpo.base, None)
    header = f"Token {old.connection.outbound}"
    assert (await ours("GET", "/2.1.1/locations", authorization_header=header)).http == 200


async def test_b1_01_a_partner_that_encodes_all_the_same_is_found_out(
    cpo: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Encodes(Speech211):
        def authorization(self, token: str) -> str:
            return Speech().authorization(token)

        def token_of(self, header: str | None) -> str | None:
            return Speech().token_of(header)

    monkeypatch.setitem(languages.SPEECHES, "2.1.1", Encodes())
    async with Emsp(version="2.1.1") as odd:
        await cpo.connect(odd)
        await odd.wait_for(lambda: odd.store.locations)
        connection = cpo.service.connections.get(EMP)
        assert connection is not None and connection.raw_token is False
        tried = {each.where for each in odd.complaints}  # in both forms, once each
        assert tried == {"GET /ocpi/versions", "GET /ocpi/2.1.1"}


async def test_b1_02_no_ids_and_no_routing_are_asked_for_or_sent(
    cpo: World, old: Emsp, plain: Asker
) -> None:
    heard = await plain("GET", "/2.1.1/locations")  # an asker sends neither
    assert (heard.http, heard.code) == (200, 1000)
    names = {name.upper() for each in old.arrivals for name in each.headers}
    assert not [each for each in names if each.startswith("OCPI-")]


async def test_b1_03_an_unknown_token_has_a_code_of_2_1_1(plain: Asker) -> None:
    heard = await plain("GET", "/2.1.1/tokens/IN/EMP/NONE")
    assert (heard.http, heard.code) == (404, 2000)


@pytest.mark.parametrize("http", [200, 404])
async def test_b1_03_an_unknown_token_may_be_answered_in_any_way(
    cpo: World, old: Emsp, http: int
) -> None:
    old.tokens.scripts["CARD1"] = Script("UNKNOWN", unknown_http=http)
    decision = await cpo.service.authority.authorise(EMP, token(uid="CARD1"), "CARD1", EVSE)
    assert decision is not None and decision.verdict is Verdict.INVALID


async def test_b1_04_texts_are_ascii(cpo: World, old: Emsp) -> None:
    body = await _site(cpo, old, name="Café Großmarkt — पुणे", city="Poznań", address="Åvägen 1")
    assert all(each.isascii() for each in texts(body))
    assert (body["name"][:15], body["city"], body["address"]) == (
        "Cafe Grossmarkt",
        "Poznan",
        "Avagen 1",
    )


async def test_b1_05_times_are_whole_seconds(cpo: World, old: Emsp, plain: Asker) -> None:
    await _billed(cpo, old)
    await cpo.report(EVSE, ConnectorReport.OCCUPIED)
    await old.wait_for(lambda: [e for e in old.pushes("locations") if e.method == "PATCH"])
    heard = [each.body for each in old.arrivals if each.module != "credentials"]
    listed = [
        (await plain("GET", f"/2.1.1/{name}?date_from=2020-01-01T00:00:00Z")).envelope
        for name in ("locations", "sessions", "cdrs", "tariffs")
    ]
    times = [each for each in texts([*heard, *listed]) if re.match(r"\d{4}-\d\d-\d\dT", each)]
    assert len(times) > 20
    assert [each for each in times if not re.fullmatch(r"[-\d]{10}T[:\d]{8}Z", each)] == []


async def test_b1_06_and_07_details_name_seven_modules_without_roles(plain: Asker) -> None:
    versions = {each["version"]: each["url"] for each in (await plain("GET", "/versions")).data}
    details = (await plain("GET", versions["2.1.1"])).data
    assert [set(each) for each in details["endpoints"]] == [{"identifier", "url"}] * 7
    assert sorted(each["identifier"] for each in details["endpoints"]) == [
        "cdrs",
        "commands",
        "credentials",
        "locations",
        "sessions",
        "tariffs",
        "tokens",
    ]
    assert (await plain("GET", "/2.1.1/hubclientinfo")).http == 404
    assert (await plain("GET", "/2.1.1/chargingprofiles")).http == 404


async def test_b1_08_credentials_are_flat(plain: Asker, cpo: World) -> None:
    shown = (await plain("GET", "/2.1.1/credentials")).data
    assert set(shown) == {"token", "url", "business_details", "party_id", "country_code"}
    assert (shown["country_code"], shown["party_id"]) == ("IN", "CPO")
    assert shown["url"] == f"{cpo.base}/versions"


async def test_b1_08_only_the_party_that_registered_is_shown() -> None:
    parties = (OwnParty("IN", "CPO", "Pune Charging"), OwnParty("IN", "TWO", "Second"))
    async with running(parties=parties) as cpo, Emsp(version="2.1.1") as old:
        await cpo.small_network()
        await cpo.add_site(LocationId("OTHER-1"), party="IN*TWO")
        await cpo.connect(old)
        await old.wait_for(lambda: old.store.locations)
        assert [each["id"] for each in await old.pull("locations")] == [SITE]
        assert [each.object_id for each in old.pushes("locations")] == [SITE]


async def test_b1_09_the_handshake_is_the_same(cpo: World, old: Emsp, plain: Asker) -> None:
    body = Speech211().credentials({**old.credentials(), "token": "b" * 20})
    assert (await plain("POST", "/2.1.1/credentials", body)).http == 405
    invited = Plain(cpo.base, await cpo.invite(OTHER))
    assert (await invited("PUT", "/2.1.1/credentials", body)).http == 405
    assert (await invited("DELETE", "/2.1.1/credentials")).http == 405
    dead = {**body, "party_id": "OTH", "url": "http://127.0.0.1:9/versions"}
    assert (await invited("POST", "/2.1.1/credentials", dead)).code == 3001
    before = old.connection.outbound
    await old.update_credentials()
    assert old.connection.outbound != before
    assert not old.complaints


async def test_b1_09_a_partner_without_what_we_need_gets_3003(cpo: World) -> None:
    async with Emsp(version="2.1.1", modules=("credentials", "locations")) as poor:
        with pytest.raises(RegistrationFailed) as failed:
            await poor.register(cpo.versions_url, await cpo.invite())
        assert failed.value.code == 3003


@reading
@statement("PG-02")
async def test_b1_10_date_from_is_included_and_date_to_is_not(cpo: World, plain: Asker) -> None:
    [site] = (await plain("GET", "/2.1.1/locations")).data
    at = cpo.service.pages.network.updated(cpo.catalogue.locations[SITE]).isoformat()[:-6] + "Z"
    assert len((await plain("GET", f"/2.1.1/locations?date_from={at}")).data) == 1
    assert (await plain("GET", f"/2.1.1/locations?date_to={at}")).data == []
    again = f"/2.1.1/locations?date_from={site['last_updated']}"  # as the partner knows it
    assert len((await plain("GET", again)).data) == 1


@reading
async def test_b1_11_the_limit_header_is_the_most_that_a_page_holds(plain: Asker) -> None:
    heard = await plain("GET", "/2.1.1/tariffs?limit=7")
    assert (heard.headers["X-Limit"], heard.headers["X-Total-Count"]) == ("50", "1")


async def test_b1_12_objects_name_no_party(cpo: World, old: Emsp, plain: Asker) -> None:
    await _billed(cpo, old)
    pushed = [each.body for each in old.arrivals]
    listed = [
        (await plain("GET", f"/2.1.1/{name}?date_from=2020-01-01T00:00:00Z")).data
        for name in ("locations", "sessions", "cdrs", "tariffs")
    ]
    assert all(listed)
    assert not set(members([*pushed, *listed])) & set(PARTIES)
    put = old.pushes("locations", SITE)[0].path
    assert put == f"/ocpi/2.1.1/locations/IN/CPO/{SITE}"


async def test_b1_13_a_change_of_a_token_needs_no_date(cpo: World, old: Emsp, plain: Asker) -> None:
    await old.push_token(old.tokens.add("CARD1"))
    heard = await plain("PATCH", "/2.1.1/tokens/IN/EMP/CARD1", {"valid": False})
    assert (heard.http, heard.code) == (200, 1000)
    kept = cpo.catalogue.token(EMP, "CARD1", TokenType.RFID)
    assert kept is not None and not kept.valid
    assert kept.last_updated is not None and now() - kept.last_updated < timedelta(seconds=30)


# -- B2: locations


@pytest.mark.parametrize(
    ("parking", "type"),
    [
        (None, "UNKNOWN"),
        ("ON_STREET", "ON_STREET"),
        ("PARKING_GARAGE", "PARKING_GARAGE"),
        ("UNDERGROUND_GARAGE", "UNDERGROUND_GARAGE"),
        ("PARKING_LOT", "PARKING_LOT"),
        ("ON_DRIVEWAY", "OTHER"),
        ("ALONG_MOTORWAY", "OTHER"),
    ],
)
async def test_b2_01_a_site_has_a_type_and_lacks_what_came_later(
    cpo: World, old: Emsp, parking: str | None, type: str
) -> None:
    body = await _site(cpo, old, parking_type=parking, state="MH", address="1 New Road")
    assert body["type"] == type
    gone = {*PARTIES, "publish", "publish_allowed_to", "state", "parking_type"}
    assert not set(body) & gone


async def test_b2_02_a_site_that_is_not_published_is_not_there(
    cpo: World, old: Emsp, plain: Asker
) -> None:
    await cpo.add_site(LocationId("HIDDEN"), publish=False)
    await cpo.add_site(LocationId("SHOWN"))
    await old.wait_for(lambda: old.pushes("locations", "SHOWN"))
    assert not old.pushes("locations", "HIDDEN")
    heard = await plain("GET", "/2.1.1/locations")
    assert [each["id"] for each in heard.data] == [SITE, "SHOWN"]
    assert heard.headers["X-Total-Count"] == "2"
    assert (await plain("GET", "/2.1.1/locations/HIDDEN")).http == 404


async def test_b2_03_postal_code_is_always_there_and_addresses_are_short(
    cpo: World, old: Emsp
) -> None:
    body = await _site(cpo, old, address="Æ" * 45, postal_code=None)
    assert body["postal_code"] == "#NA"
    assert len(body["address"]) == 45
    assert (await _site(cpo, old, postal_code="411004"))["postal_code"] == "411004"


async def test_b2_04_and_05_ids_fit_and_coordinates_have_six_decimals(
    cpo: World, old: Emsp
) -> None:
    far = Coordinates(Decimal("18.5"), Decimal("-173.80771234"))
    body = await _site(cpo, old, coordinates=far)
    assert body["coordinates"] == {"latitude": "18.500000", "longitude": "-173.807712"}
    long = LocationId("L" * 36)
    await cpo.add_site(long)
    await old.wait_for(lambda: old.pushes("locations", long))
    assert not old.complaints  # which checks every length


async def test_b2_06_a_connector_has_volts_amperes_and_its_usual_tariff(
    cpo: World, old: Emsp
) -> None:
    green = replace(shelf(TariffId("GREEN")), kind=TariffKind.PROFILE_GREEN)
    usual = replace(shelf(TariffId("USUAL")), kind=TariffKind.REGULAR)
    for each in (green, usual):
        await cpo.administration.put_tariff(each, OPERATOR)
    plug = replace(_plug(), max_power_w=7400, tariffs=(green.id, usual.id))
    evse = await _evse(cpo, old, connectors=(plug,))
    [body] = evse["connectors"]
    assert (body["voltage"], body["amperage"], body["tariff_id"]) == (230, 32, "USUAL")
    assert not set(body) & {"max_voltage", "max_amperage", "max_electric_power", "tariff_ids"}


async def test_b2_07_capabilities_of_later_versions_are_left_out(cpo: World, old: Emsp) -> None:
    evse = await _evse(
        cpo, old, capabilities=("RFID_READER", "CHIP_CARD_SUPPORT", "TOKEN_GROUP_CAPABLE")
    )
    assert evse["capabilities"] == ["RFID_READER"]
    evse = await _evse(cpo, old, capabilities=("PED_TERMINAL",), floor_level="1")
    assert "capabilities" not in evse


async def test_b2_08_words_of_later_versions_are_left_out(cpo: World, old: Emsp) -> None:
    body = await _site(cpo, old, facilities=("WIFI", "TRAM_STOP", "BIKE_SHARING"))
    assert body["facilities"] == ["WIFI"]
    gbt = replace(_plug(2), standard="GBT_DC", power_type=PowerType.DC)
    two = replace(_plug(3), power_type=PowerType.AC_2_PHASE)
    evse = await _evse(cpo, old, connectors=(_plug(), gbt, two))
    assert [(p["id"], p["power_type"]) for p in evse["connectors"]] == [
        ("1", "AC_3_PHASE"),
        ("3", "AC_1_PHASE"),
    ]


async def test_b2_08_an_evse_without_any_known_connector_is_not_there(
    cpo: World, old: Emsp, plain: Asker
) -> None:
    gbt = replace(_plug(), standard="GBT_DC")
    await cpo.add_station(StationId("CS2"))
    own = cpo.catalogue.stations[StationId("CS2")]
    odd = replace(own, evses=(replace(own.evses[0], connectors=(gbt,)),))
    await cpo.administration.put_station(odd, OPERATOR)
    [site] = (await plain("GET", "/2.1.1/locations")).data
    assert [each["uid"] for each in site["evses"]] == ["CS1-1"]
    assert (await plain("GET", f"/2.1.1/locations/{SITE}/CS2-1")).http == 404
    assert len((await plain("GET", "/2.2.1/locations")).data[0]["evses"]) == 2


async def test_b2_09_hours_are_either_round_the_clock_or_weekdays(cpo: World, old: Emsp) -> None:
    body = await _site(cpo, old, name="open")
    assert body["opening_times"] == {"twentyfourseven": True}
    monday = OpeningTimes(False, (Hours(1, "08:00", "20:00"),))
    body = await _site(cpo, old, opening=monday)
    assert body["opening_times"] == {
        "twentyfourseven": False,
        "regular_hours": [{"weekday": 1, "period_begin": "08:00", "period_end": "20:00"}],
    }


async def test_b2_10_an_environmental_impact_has_a_source(cpo: World, old: Emsp) -> None:
    mix = EnergyMix(False, impact=(EnvironmentalImpact("CARBON_DIOXIDE", Decimal(372)),))
    body = await _tariff(cpo, old, replace(shelf(TariffId("MIX")), energy_mix=mix))
    assert body["energy_mix"]["environ_impact"] == [{"source": "CARBON_DIOXIDE", "amount": 372}]


@reading
async def test_b2_11_what_was_removed_is_told_as_removed(cpo: World, old: Emsp) -> None:
    station = cpo.catalogue.stations[STATION]
    gone = tuple(replace(each, removed=True) for each in station.evses)
    await cpo.administration.put_station(replace(station, evses=gone), OPERATOR)

    def removed() -> bool:
        evse = old.store.evse(("IN", "CPO", SITE), "CS1-1")
        return evse is not None and evse["status"] == "REMOVED"

    await old.wait_for(removed)


def _plug(number: int = 1) -> Connector:
    return Connector(number, "IEC_62196_T2", ConnectorFormat.SOCKET, PowerType.AC_3_PHASE, 230, 32)


# -- B3: sessions and bills


async def test_b3_01_and_02_a_session_names_its_contract_and_holds_its_place(
    cpo: World, old: Emsp
) -> None:
    await cpo.add_station(evses=2)
    session, _ = await _billed(cpo, old, reference="REF-1")
    assert set(session) == {
        "id", "start_datetime", "end_datetime", "kwh", "auth_id", "auth_method", "location",
        "currency", "charging_periods", "total_cost", "status", "last_updated",
    }  # fmt: skip
    assert session["auth_id"] == "IN-EMP-C1"
    [evse] = session["location"]["evses"]
    assert (session["location"]["id"], evse["uid"]) == (SITE, "CS1-1")
    assert [each["id"] for each in evse["connectors"]] == ["1"]
    assert session["total_cost"] == Decimal("22.88")  # without the tax that makes it 27.00


def test_b3_03_a_reservation_is_no_status() -> None:
    core = {
        "id": "S1", "start_date_time": "2026-01-01T00:00:00Z", "kwh": 0, "currency": "INR",
        "cdr_token": {"contract_id": "C1"}, "auth_method": "COMMAND", "status": "RESERVATION",
        "last_updated": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    assert money.session(core, {})["status"] == "PENDING"


async def test_b3_04_there_are_no_charging_preferences(cpo: World, plain: Asker) -> None:
    session = await cpo.session()
    path = f"/2.1.1/sessions/{session.id}/charging_preferences"
    assert (await plain("PUT", path, {"profile_type": "FAST"})).http == 404


@reading
async def test_b3_05_sessions_are_always_put_whole(cpo: World, old: Emsp) -> None:
    session = await cpo.session(connector=1)
    await old.wait_for(lambda: old.pushes("sessions"))
    await cpo.keep(replace(session, delivered_wh=2500))
    await old.wait_for(lambda: len(old.pushes("sessions")) > 1)
    assert {each.method for each in old.pushes("sessions")} == {"PUT"}
    assert not old.complaints


async def test_b3_06_and_07_a_bill_has_the_members_of_its_age(cpo: World, old: Emsp) -> None:
    _, bill = await _billed(cpo, old, reference="REF-1")
    assert set(bill) == {
        "id", "start_date_time", "stop_date_time", "auth_id", "auth_method", "location",
        "currency", "tariffs", "charging_periods", "total_cost", "total_energy", "total_time",
        "last_updated",
    }  # fmt: skip
    [evse] = bill["location"]["evses"]
    assert (bill["auth_id"], evse["uid"], len(evse["connectors"])) == ("IN-EMP-C1", "CS1-1", 1)
    assert len(bill["id"]) <= 36
    assert not old.cost_differences and not old.complaints


async def test_b3_08_a_credit_is_not_sent_but_given_to_a_person(cpo: World, old: Emsp) -> None:
    session = await cpo.session(connector=1)
    bill = await cpo.settle(session)
    await old.wait_for(lambda: old.store.cdrs)
    back = credit(bill, CdrId("CREDIT-1"), now())
    done = await cpo.store.commit([PutCdr(back), Touch("cdr", back.id, EMP)])
    cpo.live.publish(done.touched)
    anew = replace(bill, id=CdrId("ANEW-1"), replaces=bill.id)
    done = await cpo.store.commit([PutCdr(anew), Touch("cdr", anew.id, EMP)])
    cpo.live.publish(done.touched)
    await until_kept(lambda: cpo.store.deliveries(EMP, "dropped"), 2)
    rows = await cpo.store.deliveries(EMP, "dropped")
    assert {each.key for each in rows} == {"CREDIT-1", "ANEW-1"}
    [item] = [e for e in await cpo.store.work_items(True, Page()) if e.evidence.get("bill")]
    assert (item.id, item.type) == (f"settle-by-hand:{bill.id}", WorkType.SETTLE_BY_HAND)
    assert len(old.pushes("cdrs")) == 1
    assert [each["id"] for each in await old.pull("cdrs")] == [bill.id]


def test_b3_09_power_and_tariff_are_no_part_of_a_period() -> None:
    ended = now()
    usages = [
        Usage(ended - timedelta(hours=1), ended, 7000, UsageKind.CHARGING, 7000, 30_000),
    ]
    bill = bill_of(_session(ended))
    rating = rate(bill.tariffs[0], usages, ZoneInfo("Asia/Kolkata"))
    rated = replace(bill, energy_wh=7000, rating=rating, total=rating.total)
    core = V221().cdr(rated, ended)["charging_periods"][0]
    assert {"MAX_POWER", "MIN_POWER"} <= {each["type"] for each in core["dimensions"]}
    [period] = V211().cdr(rated, ended)["charging_periods"]
    assert set(period) == {"start_date_time", "dimensions"}
    known = {"ENERGY", "TIME", "MIN_CURRENT", "MAX_CURRENT"}
    assert {each["type"] for each in period["dimensions"]} == known


def test_b1_05_periods_that_begin_within_one_second_are_one() -> None:
    """In whole seconds their starts would be the same, and one of them would last no time."""
    began = now().replace(microsecond=0) - timedelta(hours=1)
    cuts = (0, 0.25, 0.75, 1800)
    usages = [
        Usage(
            began + timedelta(seconds=start), began + timedelta(seconds=end), wh, kind, *more
        )
        for start, end, wh, kind, more in (
            (cuts[0], cuts[1], 2, UsageKind.CHARGING, (28_800, 90_000)),
            (cuts[1], cuts[2], 0, UsageKind.PARKING, ()),
            (cuts[2], cuts[3], 6000, UsageKind.CHARGING, (12_000, 52_000)),
        )
    ]  # fmt: skip
    bill = bill_of(_session(began + timedelta(seconds=cuts[3])))
    rating = rate(bill.tariffs[0], usages, ZoneInfo("Asia/Kolkata"))
    rated = replace(bill, started_at=began, energy_wh=6002, rating=rating, total=rating.total)
    assert len(V221().cdr(rated, now())["charging_periods"]) == 3
    [period] = V211().cdr(rated, now())["charging_periods"]
    volumes = {each["type"]: each["volume"] for each in period["dimensions"]}
    assert volumes["ENERGY"] == Decimal("6.002")
    assert volumes["MAX_CURRENT"] == 90 and volumes["MIN_CURRENT"] == 52
    assert volumes["PARKING_TIME"] > 0


@reading
@pytest.mark.parametrize(
    ("method", "told"),
    [
        (AuthMethod.COMMAND, "AUTH_REQUEST"),
        (AuthMethod.REQUEST, "AUTH_REQUEST"),
        (AuthMethod.WHITELIST, "WHITELIST"),
    ],
)
async def test_b3_10_a_command_counts_as_asked(
    cpo: World, old: Emsp, method: AuthMethod, told: str
) -> None:
    await cpo.session(connector=1, method=method)
    await old.wait_for(lambda: old.pushes("sessions"))
    body = old.pushes("sessions")[0].body
    assert body is not None and body["auth_method"] == told


# -- B4: tariffs


async def test_b4_01_and_02_a_tariff_lacks_what_came_later(cpo: World, old: Emsp) -> None:
    rich = replace(
        shelf(TariffId("RICH")),
        kind=TariffKind.REGULAR,
        names=(DisplayText("en", "Rs. 18 per kWh"),),
        alt_url="https://cpo.example/rich",
        valid_from=now() - timedelta(days=1),
        valid_to=now() + timedelta(days=1),
    )
    body = await _tariff(cpo, old, rich)
    assert set(body) == {
        "id", "currency", "tariff_alt_text", "tariff_alt_url", "elements", "last_updated",
    }  # fmt: skip
    [component] = body["elements"][0]["price_components"]
    assert component == {"type": "ENERGY", "price": Decimal("15.2542372882"), "step_size": 1}


async def test_b4_03_restrictions_of_later_versions_do_not_become_open_prices(
    cpo: World, old: Emsp
) -> None:
    night = Restrictions(start_time=time(22), end_time=time(6), min_power=Decimal(3))
    strong = Restrictions(min_current=Decimal(20))
    energy = (PriceComponent(Dimension.ENERGY, Decimal(18)),)
    dear = (PriceComponent(Dimension.ENERGY, Decimal(99)),)
    own = Tariff(
        TariffId("RULES"),
        "INR",
        (Element(energy, night), Element(dear, strong), Element(energy)),
    )
    body = await _tariff(cpo, old, own)
    assert [each.get("restrictions") for each in body["elements"]] == [
        {"start_time": "22:00", "end_time": "06:00", "min_power": 3},
        None,
    ]
    assert 99 not in [e["price_components"][0]["price"] for e in body["elements"]]


async def test_b4_04_tariffs_are_pushed_by_put(cpo: World, old: Emsp) -> None:
    await _tariff(cpo, old, shelf(TariffId("NEW")))
    assert {each.method for each in old.pushes("tariffs")} == {"PUT"}


@reading
def test_b4_05_and_06_every_version_bills_the_same() -> None:
    """Components are chosen one by one, and a step is billed once, as in 2.2.1."""
    ended = now()
    start = PriceComponent(Dimension.FLAT, Decimal("5.00"))
    energy = PriceComponent(Dimension.ENERGY, Decimal("18.00"), 500)
    hour = PriceComponent(Dimension.TIME, Decimal("60.00"), 300)
    own = Tariff(TariffId("TWO"), "INR", (Element((start,)), Element((energy, hour))))
    half = ended - timedelta(minutes=29)
    usages = [Usage(ended - timedelta(hours=1), half, 900), Usage(half, ended, 750)]
    rating = rate(own, usages, ZoneInfo("Asia/Kolkata"))
    bill = replace(
        bill_of(_session(ended)),
        energy_wh=1650,
        rating=rating,
        total=rating.total,
        tariffs=(own,),
    )
    old, new = V211().cdr(bill, ended), V221().cdr(bill, ended)
    assert old["total_cost"] == new["total_cost"]["excl_vat"] == Decimal("101.00")


@reading
async def test_b4_07_limits_and_reservations_stand_in_the_text(cpo: World, old: Emsp) -> None:
    energy = Element((PriceComponent(Dimension.ENERGY, Decimal(18)),))
    held = Element(
        (PriceComponent(Dimension.TIME, Decimal(30)),),
        Restrictions(reservation=ReservationPhase.RESERVED),
    )
    own = Tariff(
        TariffId("LIMITS"),
        "INR",
        (energy, held),
        max_price=PriceLimit(Decimal("500.00")),
        names=(DisplayText("en", "Day rate"), DisplayText("hi", "Din")),
    )
    body = await _tariff(cpo, old, own)
    assert len(body["elements"]) == 1
    english, hindi = body["tariff_alt_text"]
    assert english["text"] == (
        "Maximum price 500.00 INR without taxes. Prices that depend on a reservation or on the"
        " current are not listed. Day rate"
    )
    assert hindi == {"language": "hi", "text": "Din"}


def _session(ended: datetime) -> Session:
    begun = ended - timedelta(hours=1)
    return Session(
        SessionId("S1"),
        STATION,
        1,
        SessionStatus.ACTIVE,
        begun,
        begun,
        "04AABB",
        connector=1,
        location=SITE,
        token=token(),
        owner=EMP,
        currency="INR",
        ended_at=ended,
    )


# -- B5: tokens and commands


async def test_b5_01_a_token_has_an_auth_id_and_two_types(
    cpo: World, old: Emsp, plain: Asker
) -> None:
    card = old.tokens.add("CARD1", group_id="G1", visual_number="V1")
    assert (await old.push_token(card)).http == 201
    kept = cpo.catalogue.token(EMP, "CARD1", TokenType.RFID)
    assert kept is not None and (kept.partner, kept.contract_id) == (EMP, card["contract_id"])
    shown = (await plain("GET", "/2.1.1/tokens/IN/EMP/CARD1")).data
    assert set(shown) == {
        "uid", "type", "auth_id", "visual_number", "issuer", "valid", "whitelist", "last_updated",
    }  # fmt: skip
    app = {**shown, "uid": "APP1", "type": "APP_USER"}
    assert (await plain("PUT", "/2.1.1/tokens/IN/EMP/APP1", app)).code == 2001


async def test_b5_01_a_token_list_is_pulled_whole(cpo: World, old: Emsp) -> None:
    old.tokens.add("CARD1")
    old.tokens.add("APP1", type="APP_USER")
    await cpo.service.pull_tokens(EMP)
    assert cpo.catalogue.token(EMP, "CARD1", TokenType.RFID) is not None
    assert cpo.catalogue.token(EMP, "APP1", TokenType.OTHER) is not None


async def test_b5_02_the_uid_alone_addresses_a_token(cpo: World, old: Emsp, plain: Asker) -> None:
    await old.push_token(old.tokens.add("APP1", type="OTHER"))
    assert (await plain("GET", "/2.1.1/tokens/IN/EMP/APP1")).data["type"] == "OTHER"
    assert (await plain("PATCH", "/2.1.1/tokens/IN/EMP/APP1", {"valid": False})).code == 1000
    card = {**(await plain("GET", "/2.1.1/tokens/IN/EMP/APP1")).data, "type": "RFID"}
    await plain("PUT", "/2.1.1/tokens/IN/EMP/APP1", {**card, "valid": True})
    other = cpo.catalogue.token(EMP, "APP1", TokenType.OTHER)
    new = cpo.catalogue.token(EMP, "APP1", TokenType.RFID)
    assert other is not None and not other.valid
    assert new is not None and new.valid
    app = token(EMP, "APP9", type=TokenType.APP_USER)
    await cpo.service.authority.authorise(EMP, app, "APP9", None)
    asked = [each.path for each in old.arrivals if "authorize" in each.path]
    assert asked == ["/ocpi/2.1.1/tokens/APP9/authorize?type=OTHER"]


async def test_b5_03_and_04_an_authorisation_has_neither_token_nor_reference(
    cpo: World, old: Emsp
) -> None:
    card = token(uid="CARD1")
    old.tokens.scripts["CARD1"] = Script("ALLOWED")
    decision = await cpo.service.authority.authorise(EMP, card, "CARD1", EVSE)
    assert decision is not None and decision.accepted
    assert decision.token == card and decision.reference is None
    [asked] = old.tokens.asked
    assert asked.location == {"location_id": SITE, "evse_uids": ["CS1-1"]}  # no connector_ids
    old.tokens.scripts["CARD1"] = Script("NO_CREDIT")
    refused = await cpo.service.authority.authorise(EMP, card, "CARD1", EVSE)
    assert refused is not None and refused.verdict is Verdict.BLOCKED


async def test_b5_03_a_card_that_only_its_partner_knows_has_a_payer_all_the_same(
    cpo: World, old: Emsp
) -> None:
    old.tokens.scripts["CARD2"] = Script("ALLOWED")
    decision = await cpo.service.authority.authorise(EMP, None, "CARD2", EVSE)
    assert decision is not None and decision.token is not None
    assert (decision.token.partner, decision.token.contract_id) == (EMP, "CARD2")


async def test_b5_05_there_are_four_commands(old: Emsp, plain: Asker) -> None:
    body = {"response_url": old.url("commands"), "reservation_id": "1"}
    assert (await plain("POST", "/2.1.1/commands/CANCEL_RESERVATION", body)).http == 404
    stop = await old.stop_session("NONE")
    assert stop.answer == "UNKNOWN_SESSION"
    unlock = await old.unlock_connector(SITE, "CS1-1", "1")
    assert unlock.answer == "NOT_SUPPORTED"
    assert not old.complaints


async def test_b5_06_a_start_needs_no_connector_and_no_reference(cpo: World, old: Emsp) -> None:
    command = await old.start_session(SITE, "CS1-1", token=old.tokens.add("CARD1"))
    assert (command.answer, await command.result()) == ("ACCEPTED", "ACCEPTED")
    assert len(cpo.link.sent) == 1
    assert not old.complaints


async def test_b5_06_the_number_of_a_reservation_is_a_number(old: Emsp, plain: Asker) -> None:
    body = {
        "response_url": old.url("commands"),
        "token": Speech211().token(old.tokens.add("CARD1")),
        "expiry_date": "2099-01-01T00:00:00Z",
        "reservation_id": 7,
        "location_id": SITE,
    }
    assert (await plain("POST", "/2.1.1/commands/RESERVE_NOW", body)).code == 1000
    wrong = await plain("POST", "/2.1.1/commands/RESERVE_NOW", {**body, "reservation_id": "7"})
    assert wrong.code == 2001


@reading
@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Outcome.REJECTED, "REJECTED"),
        (Outcome.FAILED, "REJECTED"),
        (Outcome.NOT_SUPPORTED, "NOT_SUPPORTED"),
        (Outcome.OFFLINE, "REJECTED"),
        (Outcome.TIMEOUT, "TIMEOUT"),
    ],
)
async def test_b5_07_both_answers_have_one_word(
    cpo: World, old: Emsp, outcome: Outcome, result: str
) -> None:
    cpo.link.answer = Answer(outcome)
    command = await old.start_session(SITE, "CS1-1", token=old.tokens.add("CARD1"))
    await command.result()
    [post] = old.pushes("commands")
    assert post.body == {"result": result}
    [sent] = [answer for _, url, answer in old.client.answers if "/commands/" in url]
    assert sent.data == {"result": "ACCEPTED"}


@reading
async def test_b5_08_a_start_is_not_asked_about_again(cpo: World, old: Emsp) -> None:
    card = old.tokens.add("CARD1", whitelist="NEVER")
    command = await old.start_session(SITE, "CS1-1", token=card)
    await command.result()
    assert old.tokens.asked == []


def test_a_site_that_is_not_published_is_shown_to_those_who_know_the_word(cpo: World) -> None:
    hidden = replace(cpo.catalogue.locations[SITE], publish=False)
    assert isinstance(hidden, Location)
    assert V221().shows(hidden, ()) and not V211().shows(hidden, ())
