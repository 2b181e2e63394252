"""What differs in OCPI 2.3.0 (C1 to C3), and one backend that serves three versions (C4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest

from cms.app.writes import PutCdr, Touch
from cms.domain.cdr import credit
from cms.domain.errors import InvalidValue
from cms.domain.ids import CdrId, LocationId, PartnerId, SessionId, StationId, TariffId
from cms.domain.money import Price
from cms.domain.rating import rate
from cms.domain.session import Session, SessionStatus
from cms.domain.status import EvseStatus
from cms.domain.tariff import (
    Basis,
    Dimension,
    Element,
    PriceComponent,
    PriceLimit,
    Tariff,
    Tax,
)
from cms.domain.token import TokenType
from cms.domain.topology import Connector, Coordinates, EvseParking, Location, ParkingPlace
from cms.domain.usage import Usage
from ocpi_cpo.versions.offered import DIALECTS
from ocpi_cpo.versions.v221 import models, topology
from ocpi_cpo.versions.v230 import money
from ocpi_cpo.versions.v230.dialect import V230
from simulators.emsp.models import strange_members, without_nulls
from simulators.emsp.partner import Emsp
from simulators.emsp.speech230 import (
    Cdr230,
    Connector230,
    Credentials230,
    Evse230,
    Location230,
    Session230,
    Tariff230,
)
from simulators.emsp.wire import dumps, loads, moment
from tests.conformance.ocpi.test_tokens_authorize import wire
from tests.conformance.ocpi.world import (
    EMP,
    OPERATOR,
    OTHER,
    SITE,
    STATION,
    Asker,
    World,
    bill_of,
    now,
    running,
    shelf,
    token,
)
from tests.conformance.statements import reading, statement

INDIA = (Tax("CGST", Decimal(9)), Tax("SGST", Decimal(9)))
KWH = (PriceComponent(Dimension.ENERGY, Decimal("18.00")),)


@pytest.fixture
async def new(cpo: World) -> AsyncIterator[Emsp]:
    """A partner of 2.3.0, registered by itself, told of the whole network."""
    async with Emsp(version="2.3.0") as partner:
        partner.tokens.add("04AABB", contract_id="IN-EMP-C1")
        await cpo.connect(partner)
        await partner.wait_for(lambda: partner.store.locations)
        yield partner


@pytest.fixture
def ask(cpo: World, new: Emsp) -> Asker:
    """Any request with the partner's token."""
    return Asker(cpo.base, new.connection.outbound)


async def _tariff(cpo: World, new: Emsp, own: Tariff) -> dict[str, Any]:
    await cpo.administration.put_tariff(own, OPERATOR)
    await new.wait_for(lambda: new.pushes("tariffs", own.id))
    body = new.pushes("tariffs", own.id)[-1].body
    assert body is not None
    return body


async def _bill(cpo: World, new: Emsp, own: Tariff, wh: int = 1500) -> dict[str, Any]:
    """Bill a session by *own*; return the CDR as it came."""
    begun = now() - timedelta(hours=1)
    session = await cpo.session(connector=1, started_at=begun, delivered_wh=wh)
    ended = now()
    rating = rate(own, [Usage(begun, ended, wh)], ZoneInfo("Asia/Kolkata"))
    bill = replace(
        bill_of(replace(session, ended_at=ended)),
        rating=rating,
        total=rating.total,
        tariffs=(own,),
    )
    closed = replace(session, status=SessionStatus.COMPLETED, ended_at=ended)
    await cpo.keep(closed, PutCdr(bill), Touch("cdr", bill.id, EMP))
    cpo.live.drop_session(session.id)
    cdr = await new.wait_for(lambda: _pushed(new, bill.id))
    return cdr


def _pushed(new: Emsp, id: str) -> dict[str, Any] | None:
    found = [each for each in new.pushes("cdrs", id) if each.http is not None]
    return found[-1].body if found else None


async def _location(cpo: World, new: Emsp, change: Any) -> dict[str, Any]:
    """Do *change*; return the site as it was pushed then."""
    before = len(new.pushes("locations", SITE))
    await change
    await new.wait_for(lambda: len(new.pushes("locations", SITE)) > before)
    body = new.pushes("locations", SITE)[-1].body
    assert body is not None
    return body


# -- C1: transport, types, credentials


async def test_c1_01_members_that_nobody_defined_are_no_reason_to_refuse(
    cpo: World, ask: Asker
) -> None:
    body = wire("CARD1", loyalty_level={"stars": 5}, energy_contract={"supplier_name": "G", "x": 1})
    assert (await ask("PUT", "/2.3.0/tokens/IN/EMP/CARD1", body)).http == 201
    assert cpo.catalogue.token(EMP, "CARD1", TokenType.RFID) is not None


async def test_c1_02_what_we_send_is_defined_in_2_3_0(cpo: World, new: Emsp, ask: Asker) -> None:
    """We have no members of our own, so none can have a bad name."""
    await _bill(cpo, new, shelf())
    shown = {
        Location230: new.pushes("locations", SITE)[0].body,
        Tariff230: new.pushes("tariffs")[0].body,
        Session230: new.pushes("sessions")[-1].body,
        Cdr230: new.pushes("cdrs")[0].body,
        Credentials230: (await ask("GET", "/2.3.0/credentials")).data,
        Evse230: (await ask("GET", f"/2.3.0/locations/{SITE}/CS1-1")).data,
        Connector230: (await ask("GET", f"/2.3.0/locations/{SITE}/CS1-1/1")).data,
    }
    for model, body in shown.items():
        whole = loads(dumps(body))
        assert list(strange_members(model.model_validate(without_nulls(whole)))) == []
    assert not new.complaints and not new.cost_differences


async def test_c1_03_words_that_are_not_in_the_list_are_taken(cpo: World, ask: Asker) -> None:
    odd = wire("CARD1", type="TATTOO")
    assert (await ask("PUT", "/2.3.0/tokens/IN/EMP/CARD1?type=TATTOO", odd)).http == 201
    shown = await ask("GET", "/2.3.0/tokens/IN/EMP/CARD1?type=TATTOO")
    assert (shown.http, shown.data["uid"]) == (200, "CARD1")
    strict = await ask("PUT", "/2.2.1/tokens/IN/EMP/CARD1?type=TATTOO", odd)
    assert strict.code == 2001  # its list is closed


async def test_c1_03_unknown_modules_and_versions_of_a_partner_do_no_harm(cpo: World) -> None:
    async with Emsp(version="2.3.0", versions=("2.3.0", "2.2.1")) as partner:
        partner.versions = ("3.7.0", "2.3.0", "2.2.1")  # it has a future
        endpoints = partner.endpoints

        def more(version: str | None = None) -> list[dict[str, Any]]:
            url = f"{partner.base_url}/teleport"
            return [*endpoints(version), {"identifier": "teleport", "role": "SENDER", "url": url}]

        partner.endpoints = more  # type: ignore[method-assign]
        await cpo.connect(partner)
        connection = cpo.service.connections.get(EMP)
        assert connection is not None
        assert connection.endpoint("teleport", "SENDER") is not None


async def test_c1_04_closed_lists_stay_closed(ask: Asker) -> None:
    body = wire("CARD1", whitelist="SOMETIMES")
    assert (await ask("PUT", "/2.3.0/tokens/IN/EMP/CARD1", body)).code == 2001
    assert {topology.STATUS[each] for each in EvseStatus} <= set(get_args(models.Status))
    with pytest.raises(InvalidValue):
        EvseParking("P1", "ABOVE")
    with pytest.raises(InvalidValue):
        ParkingPlace("P1", ("VAN",), direction="UPSIDE_DOWN")


@statement("C3-05")
async def test_c1_05_every_cost_is_a_net_and_its_taxes(cpo: World, new: Emsp) -> None:
    india = replace(shelf(TariffId("INDIA")), taxes=INDIA)
    cdr = await _bill(cpo, new, india)
    total = {
        "before_taxes": Decimal("22.88"),
        "taxes": [
            {"name": "CGST", "percentage": 9, "amount": Decimal("2.06")},
            {"name": "SGST", "percentage": 9, "amount": Decimal("2.06")},
        ],
    }
    assert cdr["total_cost"] == cdr["total_energy_cost"] == total
    session = new.pushes("sessions")[-1].body
    assert session is not None and session["total_cost"] == total
    assert not new.complaints and not new.cost_differences


@pytest.mark.parametrize("taxes", [INDIA, ()], ids=["taxed", "untaxed"])
def test_c1_05_what_is_paid_is_the_net_and_all_taxes(taxes: tuple[Tax, ...]) -> None:
    """Even where a limit moved net and gross apart by what is no tax."""
    own = Tariff(
        TariffId("CAP"),
        "INR",
        (Element(KWH),),
        Basis.NET,
        taxes,
        max_price=PriceLimit(Decimal("100.00"), Decimal("110.00")),
    )
    ended = now()
    usages = [Usage(ended - timedelta(hours=1), ended, 50_000)]
    total: Price = rate(own, usages, ZoneInfo("UTC")).total
    assert bool(total.clamp) is not bool(taxes)
    shown = money.price(total)
    taxes = sum((each["amount"] for each in shown["taxes"]), Decimal(0))
    assert shown["before_taxes"] + taxes == total.gross.amount == Decimal("110.00")


async def test_c1_06_a_hub_is_no_role(cpo: World, ask: Asker, new: Emsp) -> None:
    roles = (await ask("GET", "/2.3.0/credentials")).data["roles"]
    assert [each["role"] for each in roles] == ["CPO"]
    body = {**new.credentials(), "token": "b" * 20}
    body["roles"] = [{**body["roles"][0], "role": "HUB"}]
    assert (await ask("PUT", "/2.3.0/credentials", body)).code == 2001


async def test_c1_09_2_3_0_is_offered_and_chosen_where_both_can(cpo: World) -> None:
    async with Emsp(version="2.2.1", versions=("2.1.1", "2.2.1", "2.3.0")) as emsp:
        await cpo.invite()
        await cpo.service.register(EMP, emsp.versions_url, emsp.hand_out_token(), "test")
        connection = cpo.service.connections.get(EMP)
        assert connection is not None and connection.version == "2.3.0"
        assert emsp.speech.version == "2.3.0"


# -- C2: locations

PLACE = ParkingPlace(
    "P1",
    ("PERSONAL_VEHICLE", "TRUCK_WITH_TRAILER"),
    restricted_to_type=True,
    max_weight_kg=40_000,
    max_height_cm=400,
    max_length_cm=1650,
    max_width_cm=255,
    length_cm=2000,
    width_cm=350,
    dangerous_goods_allowed=False,
    direction="PARALLEL",
    drive_through=True,
    time_limit_minutes=90,
    roofed=False,
    lit=True,
)


async def test_c2_01_and_05_a_site_describes_its_parking_places(cpo: World, new: Emsp) -> None:
    change = cpo.add_site(parking_places=(PLACE,), help_phone="+91 20 5550100")
    body = await _location(cpo, new, change)
    assert body["help_phone"] == "+91 20 5550100"
    assert body["parking_places"] == [
        {
            "id": "P1",
            "vehicle_types": ["PERSONAL_VEHICLE", "TRUCK_WITH_TRAILER"],
            "restricted_to_type": True,
            "reservation_required": False,
            "max_vehicle_weight": 40_000,
            "max_vehicle_height": 400,
            "max_vehicle_length": 1650,
            "max_vehicle_width": 255,
            "parking_space_length": 2000,
            "parking_space_width": 350,
            "dangerous_goods_allowed": False,
            "direction": "PARALLEL",
            "drive_through": True,
            "time_limit": 90,
            "roofed": False,
            "lighting": True,
        }
    ]


def test_c2_05_a_parking_place_has_an_id_of_its_own_and_a_vehicle() -> None:
    with pytest.raises(InvalidValue):
        ParkingPlace("P1", ())
    with pytest.raises(InvalidValue):
        replace(_site(), parking_places=(PLACE, PLACE))


async def test_c2_05_what_every_parking_place_says_is_said_of_the_barest_one(
    cpo: World, new: Emsp
) -> None:
    bare = ParkingPlace("P2", ("DISABLED",))
    body = await _location(cpo, new, cpo.add_site(parking_places=(bare,)))
    assert body["parking_places"] == [
        {
            "id": "P2",
            "vehicle_types": ["DISABLED"],
            "restricted_to_type": False,
            "reservation_required": False,
        }
    ]
    assert not new.complaints


@pytest.mark.parametrize(("number", "shown"), [("1" * 25, "1" * 25), ("1" * 26, None)])
async def test_c2_01_a_help_phone_has_at_most_25_characters(
    cpo: World, new: Emsp, number: str, shown: str | None
) -> None:
    """A longer one is left out: half a number reaches nobody."""
    change = cpo.add_site(help_phone=number, name="Another name")
    body = await _location(cpo, new, change)
    assert body.get("help_phone") == shown


def _site() -> Location:
    here = Coordinates(Decimal("18.5"), Decimal("73.8"))
    return Location(SITE, PartnerId("IN*CPO"), "1 Road", "Pune", "IND", here, "Asia/Kolkata")


async def test_c2_02_an_evse_names_parking_places_that_are_there(
    cpo: World, new: Emsp, ask: Asker
) -> None:
    await cpo.add_site(parking_places=(PLACE,))
    station = cpo.catalogue.stations[STATION]
    both = (EvseParking("P1", "LEFT"), EvseParking("NOWHERE"))
    evse = replace(station.evses[0], parking=both)
    changed = replace(station, evses=(evse,))
    body = await _location(cpo, new, cpo.administration.put_station(changed, OPERATOR))
    [shown] = body["evses"]
    assert shown["parking"] == [{"parking_id": "P1", "evse_position": "LEFT"}]
    alone = (await ask("GET", f"/2.3.0/locations/{SITE}/CS1-1")).data
    assert alone["parking"] == shown["parking"]
    assert not new.complaints


async def _plug(cpo: World, new: Emsp, **more: Any) -> dict[str, Any]:
    """Change the connector; return the EVSE as it was pushed."""
    station = cpo.catalogue.stations[STATION]
    own = station.evses[0]
    plug: Connector = replace(own.connectors[0], **more)
    changed = replace(station, evses=(replace(own, connectors=(plug,)),))
    body = await _location(cpo, new, cpo.administration.put_station(changed, OPERATOR))
    evse: dict[str, Any] = body["evses"][0]
    return evse


@pytest.mark.parametrize("able", ["ISO_15118_2_PLUG_AND_CHARGE", "ISO_15118_20_PLUG_AND_CHARGE"])
async def test_c2_04_a_connector_tells_plug_and_charge(
    cpo: World, new: Emsp, ask: Asker, able: str
) -> None:
    """What nobody said that drivers can use is not claimed."""
    before = (await ask("GET", f"/2.3.0/locations/{SITE}/CS1-1/1")).data
    assert "capabilities" not in before
    evse = await _plug(cpo, new, capabilities=(able,))
    assert evse["connectors"][0]["capabilities"] == [able]
    alone = (await ask("GET", f"/2.3.0/locations/{SITE}/CS1-1/1")).data
    assert alone["capabilities"] == [able]


@pytest.mark.parametrize("standard", ["SAE_J3400", "MCS"])
async def test_c2_06_new_connectors_and_restrictions_have_their_words(
    cpo: World, new: Emsp, standard: str
) -> None:
    evse = await _plug(cpo, new, standard=standard)
    assert evse["connectors"][0]["standard"] == standard
    station = cpo.catalogue.stations[STATION]
    words = ("EMPLOYEES", "TAXIS", "TENANTS", "EV_ONLY")
    own = replace(station.evses[0], parking_restrictions=words)
    changed = replace(station, evses=(own,))
    body = await _location(cpo, new, cpo.administration.put_station(changed, OPERATOR))
    assert body["evses"][0]["parking_restrictions"] == list(words)
    assert not new.complaints


@pytest.mark.parametrize("version", ["2.1.1", "2.2", "2.2.1", "2.3.0"])
async def test_c2_07_the_printed_id_is_the_same_in_every_version(ask: Asker, version: str) -> None:
    [site] = (await ask("GET", f"/{version}/locations")).data
    assert site["evses"][0]["evse_id"] == "IN*CPO*ECS11"


@reading
@pytest.mark.parametrize("version", ["2.1.1", "2.2", "2.2.1"])
@pytest.mark.parametrize("standard", ["MCS", "SAE_J3400"])
async def test_c2_08_older_versions_lack_what_is_new(
    cpo: World, new: Emsp, ask: Asker, version: str, standard: str
) -> None:
    await cpo.add_site(parking_places=(PLACE,), help_phone="+91 20 5550100")
    station = cpo.catalogue.stations[STATION]
    own = station.evses[0]
    mcs = replace(own.connectors[0], number=2, standard=standard, capabilities=("X",))
    evse = replace(
        own,
        connectors=(own.connectors[0], mcs),
        parking=(EvseParking("P1"),),
        parking_restrictions=("EMPLOYEES", "TAXIS", "TENANTS", "CUSTOMERS"),
    )
    await cpo.administration.put_station(replace(station, evses=(evse,)), OPERATOR)
    only = replace(evse, connectors=(replace(mcs, number=1),))
    await cpo.add_station(StationId("CS2"))
    other = cpo.catalogue.stations[StationId("CS2")]
    only = replace(other.evses[0], connectors=only.connectors)
    await cpo.administration.put_station(replace(other, evses=(only,)), OPERATOR)
    [site] = (await ask("GET", f"/{version}/locations")).data
    assert not {"parking_places", "help_phone"} & set(site)
    [shown] = site["evses"]  # a truck's charger has no word at all in it
    assert "parking" not in shown
    assert shown["parking_restrictions"] == ["CUSTOMERS"]
    [plug] = shown["connectors"]
    assert plug["id"] == "1" and "capabilities" not in plug
    assert (await ask("GET", f"/{version}/locations/{SITE}/CS2-1")).http == 404


@reading
async def test_c2_09_parking_is_sent_only_where_somebody_described_it(new: Emsp) -> None:
    body = new.pushes("locations", SITE)[0].body
    assert body is not None
    assert "parking_places" not in body and "parking" not in body["evses"][0]


# -- C3: tariffs, bills, tokens, commands


@pytest.mark.parametrize(
    ("basis", "taxes", "told", "price", "vat"),
    [
        (Basis.GROSS, INDIA, "YES", "18.00", 18),
        (Basis.NET, INDIA, "NO", "18.00", 18),
        (Basis.NET, (), "N/A", "18.00", None),
        (Basis.GROSS, (), "N/A", "18.00", None),
        (Basis.NET, (Tax("VAT", Decimal(0)),), "NO", "18.00", 0),
    ],
)
async def test_c3_01_and_03_a_tariff_says_whether_tax_is_in(
    cpo: World,
    new: Emsp,
    basis: Basis,
    taxes: tuple[Tax, ...],
    told: str,
    price: str,
    vat: int | None,
) -> None:
    body = await _tariff(cpo, new, Tariff(TariffId("T1"), "INR", (Element(KWH),), basis, taxes))
    [component] = body["elements"][0]["price_components"]
    assert (body["tax_included"], component["price"]) == (told, Decimal(price))
    assert component.get("vat") == vat


@pytest.mark.parametrize("wh", [1, 333, 1500, 7777, 50_001])
@pytest.mark.parametrize("basis", list(Basis))
async def test_c3_03_what_the_shelf_says_is_what_is_billed(
    cpo: World, new: Emsp, basis: Basis, wh: int
) -> None:
    own = Tariff(TariffId("T1"), "INR", (Element(KWH),), basis, INDIA)
    await _bill(cpo, new, own, wh)
    assert not new.complaints and not new.cost_differences
    [cost] = new.recomputed.values()
    if basis is Basis.GROSS:
        exact = (Decimal(wh) * 18 / 1000).quantize(Decimal("0.01"), "ROUND_HALF_UP")
        assert cost.incl == exact  # nothing was lost on the way over a net price


async def test_c3_02_and_04_limits_name_both_sides_and_clamp_each(cpo: World, new: Emsp) -> None:
    own = Tariff(
        TariffId("LIMITS"),
        "INR",
        (Element(KWH),),
        Basis.NET,
        INDIA,
        min_price=PriceLimit(Decimal("10.00"), Decimal("11.80")),
        max_price=PriceLimit(Decimal("100.00"), Decimal("110.00")),
    )
    body = await _tariff(cpo, new, own)
    assert body["min_price"] == {
        "before_taxes": Decimal("10.00"),
        "after_taxes": Decimal("11.80"),
    }
    assert body["max_price"] == {
        "before_taxes": Decimal("100.00"),
        "after_taxes": Decimal("110.00"),
    }
    cdr = await _bill(cpo, new, own, 50_000)
    paid = sum((each["amount"] for each in cdr["total_cost"]["taxes"]), Decimal(0))
    assert cdr["total_cost"]["before_taxes"] == Decimal("100.00")
    assert cdr["total_cost"]["before_taxes"] + paid == Decimal("110.00")
    assert not new.complaints and not new.cost_differences


async def test_c3_06_a_credit_gives_back_the_net_and_each_tax(cpo: World, new: Emsp) -> None:
    session = await cpo.session(connector=1)
    bill = await cpo.settle(session)
    await new.wait_for(lambda: new.store.cdrs)
    back = credit(bill, CdrId("CREDIT-1"), now())
    done = await cpo.store.commit([PutCdr(back), Touch("cdr", back.id, EMP)])
    cpo.live.publish(done.touched)
    cdr = await new.wait_for(lambda: _pushed(new, back.id))
    assert cdr["total_cost"] == {
        "before_taxes": Decimal("-22.88"),
        "taxes": [{"name": "GST", "percentage": 18, "amount": Decimal("-4.12")}],
    }
    assert not new.cost_differences


async def test_c3_09_an_unknown_command_is_answered(ask: Asker, new: Emsp) -> None:
    body = {"response_url": f"{new.url('commands')}/X/1", "speed": 9}
    heard = await ask("POST", "/2.3.0/commands/FLY", body)
    assert (heard.http, heard.code, heard.data["result"]) == (200, 1000, "NOT_SUPPORTED")
    assert (await ask("POST", "/2.3.0/commands/FLY", {})).code == 2001
    assert (await ask("POST", "/2.2.1/commands/FLY", body)).http == 404


def test_c3_10_every_version_costs_the_same_to_the_last_minor_unit() -> None:
    hour = PriceComponent(Dimension.TIME, Decimal("60.00"), 300)
    own = Tariff(TariffId("STEP"), "INR", (Element((*KWH, hour)),), Basis.NET, INDIA)
    ended = now()
    rating = rate(own, [Usage(ended - timedelta(minutes=31), ended, 1234)], ZoneInfo("UTC"))
    bill = replace(bill_of(_session(ended)), rating=rating, total=rating.total, tariffs=(own,))
    newest, core = (DIALECTS[each].cdr(bill, ended) for each in ("2.3.0", "2.2.1"))
    taxes = sum((each["amount"] for each in newest["total_cost"]["taxes"]), Decimal(0))
    net = newest["total_cost"]["before_taxes"]
    assert (net, net + taxes) == (core["total_cost"]["excl_vat"], core["total_cost"]["incl_vat"])
    assert net == Decimal("57.21")  # 22.212 for energy, 35 minutes in steps of five


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
        delivered_wh=1500,
    )


# -- C4: three versions from one backend


@reading
def test_c4_01_every_versions_money_comes_from_one_net_and_its_taxes() -> None:
    ended = now()
    bill = bill_of(_session(ended))
    oldest, _, core, newest = (each.cdr(bill, ended)["total_cost"] for each in DIALECTS.values())
    assert (oldest, core["excl_vat"], newest["before_taxes"]) == (Decimal("22.88"),) * 3
    [tax] = newest["taxes"]
    assert core["incl_vat"] == Decimal("22.88") + tax["amount"] == Decimal("27.00")


@reading
def test_c4_02_an_id_that_fits_one_version_fits_all() -> None:
    with pytest.raises(InvalidValue):
        replace(_site(), id=LocationId("L" * 37))
    with pytest.raises(InvalidValue):
        replace(shelf(), id=TariffId("T" * 37))


@reading
async def test_c4_03_an_object_has_one_date_in_all_versions(cpo: World, ask: Asker) -> None:
    await cpo.settle(await cpo.session(connector=1))
    for name in ("locations", "tariffs", "sessions", "cdrs"):
        lists = [
            (await ask("GET", f"/{version}/{name}?date_from=2020-01-01T00:00:00Z")).data
            for version in DIALECTS
        ]
        dates = [moment(each[0]["last_updated"]) for each in lists]
        oldest, middle, core, newest = dates
        assert middle == core == newest
        assert oldest == core.replace(microsecond=0)  # 2.1.1 has whole seconds


@reading
@statement("CR-08")
async def test_c4_04_a_partner_moves_to_another_version_and_is_told_nothing_twice(
    cpo: World,
) -> None:
    async with Emsp(version="2.1.1", versions=("2.1.1", "2.2.1", "2.3.0")) as emsp:
        emsp.tokens.add("04AABB", contract_id="IN-EMP-C1")
        await cpo.connect(emsp)
        await emsp.wait_for(lambda: emsp.store.locations)
        first = await cpo.session(connector=1)
        await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", first.id))
        before = len(emsp.pushes("locations")), len(emsp.pushes("tariffs"))
        for version in ("2.2.1", "2.3.0"):
            await emsp.update_credentials(version)
            connection = cpo.service.connections.get(EMP)
            assert connection is not None and connection.version == version
            session = await cpo.session(connector=1)
            await emsp.wait_for(
                lambda id=session.id: emsp.history("sessions", "IN", "CPO", id)  # type: ignore[misc]
            )
            assert emsp.pushes("sessions", session.id)[0].path.startswith(f"/ocpi/{version}/")
        assert (len(emsp.pushes("locations")), len(emsp.pushes("tariffs"))) == before
        assert len(emsp.pushes("sessions", first.id)) == 1
        assert {each["id"] for each in await emsp.pull("locations")} == {SITE}
        assert not emsp.complaints


@reading
async def test_c4_04_we_move_a_partner_to_another_version(cpo: World) -> None:
    async with Emsp(version="2.1.1", versions=("2.1.1", "2.3.0")) as emsp:
        await cpo.connect(emsp)
        await emsp.wait_for(lambda: emsp.store.locations)
        known = await cpo.store.cursors(EMP)
        await cpo.service.renew(EMP, "test", "2.3.0")
        assert emsp.speech.version == "2.3.0"
        session = await cpo.session(connector=1)
        await emsp.wait_for(lambda: emsp.pushes("sessions", session.id))
        assert emsp.pushes("sessions", session.id)[0].path.startswith("/ocpi/2.3.0/")
        assert len(emsp.pushes("locations", SITE)) == 1
        assert (await cpo.store.cursors(EMP))["locations"] >= known["locations"]


async def test_a_version_that_the_operator_does_not_offer_is_not_there() -> None:
    async with running(versions=("2.2.1",)) as cpo:
        ask = Asker(cpo.base, await cpo.invite(OTHER))
        assert [each["version"] for each in (await ask("GET", "/versions")).data] == ["2.2.1"]
        assert (await ask("GET", "/2.3.0")).http == 401  # as for every address that is none
        assert isinstance(DIALECTS["2.3.0"], V230)
