"""The rest of A7 to A9: sessions, bills and tariffs as their owner sees them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from cms.app.former import location_at
from cms.app.ports import Frame, Visit
from cms.app.writes import KeepTariff, PutCdr, Touch
from cms.domain.cdr import Cdr, credit
from cms.domain.errors import InvalidValue
from cms.domain.ids import CdrId, EvseUid, LocationId, PartnerId, SessionId, TariffId
from cms.domain.meter import Quantity, Sample
from cms.domain.rating import rate
from cms.domain.session import Session, SessionStatus
from cms.domain.tariff import (
    Basis,
    Dimension,
    DisplayText,
    Element,
    PriceComponent,
    PriceLimit,
    ReservationPhase,
    Restrictions,
    Tariff,
    TariffKind,
    Tax,
    tariff_hash,
)
from cms.domain.tariff_choice import TariffRule
from cms.domain.token import AuthMethod
from cms.domain.transaction import EventKind, TransactionEvent
from cms.domain.usage import Usage, UsageKind
from cms.intake.tariffs import RestrictionsIn
from ocpi_cpo.config import OwnParty
from ocpi_cpo.versions.v221 import bills, prices
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.models import Tariff as WireTariff
from simulators.emsp.partner import Emsp
from simulators.emsp.wire import dumps, loads, moment
from tests.conformance.ocpi.world import (
    EMP,
    OPERATOR,
    OTHER,
    SHELF,
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
from tests.unit import world as charger_world

ALL_TIME = "date_from=2020-01-01T00:00:00Z"
NOON = datetime(2026, 3, 3, 6, 30, tzinfo=UTC)  # 12:00 in Kolkata
KOLKATA = ZoneInfo("Asia/Kolkata")
PARTIES = (OwnParty("IN", "CPO", "One"), OwnParty("IN", "TWO", "Two"))


async def sessions(ask: Asker) -> list[Any]:
    found: list[Any] = (await ask("GET", f"/2.2.1/sessions?{ALL_TIME}")).data
    return found


# -- A7


@pytest.mark.parametrize(
    ("method", "word"),
    [
        (AuthMethod.REQUEST, "AUTH_REQUEST"),
        (AuthMethod.COMMAND, "COMMAND"),
        (AuthMethod.WHITELIST, "WHITELIST"),
    ],
)
async def test_se_11_and_12_method_and_reference_are_the_last_ones(
    cpo: World, ask: Asker, method: AuthMethod, word: str
) -> None:
    session = await cpo.session(reference="FIRST")
    await cpo.keep(replace(session, method=method, reference="LAST"))
    [shown] = await sessions(ask)
    assert (shown["auth_method"], shown["authorization_reference"]) == (word, "LAST")


async def test_cd_17_the_bill_has_the_last_method_and_reference(cpo: World, ask: Asker) -> None:
    session = await cpo.session(reference="LAST", method=AuthMethod.COMMAND)
    bill = replace(
        bill_of(replace(session, ended_at=now())), reference="LAST", method=AuthMethod.COMMAND
    )
    await keep_bill(cpo, bill)
    [shown] = (await ask("GET", "/2.2.1/cdrs")).data
    assert (shown["auth_method"], shown["authorization_reference"]) == ("COMMAND", "LAST")


async def test_se_15_a_session_without_energy_is_pushed_and_completed(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    session = await cpo.session(delivered_wh=0)
    assert "end_date_time" not in (await sessions(ask))[0]
    await cpo.settle(session)
    history = lambda: emsp.history("sessions", "IN", "CPO", session.id)
    await emsp.wait_for(lambda: history() and (history()[-1].body or {})["status"] == "COMPLETED")
    last = history()[-1].body or {}
    assert last["kwh"] == 0 and last["end_date_time"]


async def test_se_16_momentary_values_never_stand_in_a_bill(cpo: World, ask: Asker) -> None:
    await cpo.settle(await cpo.session())
    [bill] = (await ask("GET", "/2.2.1/cdrs")).data
    kinds = {d["type"] for period in bill["charging_periods"] for d in period["dimensions"]}
    assert kinds
    forbidden = {"CURRENT", "POWER", "ENERGY_IMPORT", "ENERGY_EXPORT", "STATE_OF_CHARGE"}
    assert not kinds & forbidden


async def able(cpo: World, *tariffs: TariffId) -> None:
    """Let the EVSE take charging preferences."""
    station = cpo.catalogue.stations[STATION]
    [evse] = station.evses
    plug = replace(evse.connectors[0], tariffs=(SHELF, *tariffs))
    capable = replace(
        evse, connectors=(plug,), capabilities=("RFID_READER", "CHARGING_PREFERENCES_CAPABLE")
    )
    await cpo.administration.put_station(replace(station, evses=(capable,)), OPERATOR)


def preferences(session: Any) -> str:
    return f"/2.2.1/sessions/{session.id}/charging_preferences"


async def charging_now(cpo: World, *tariffs: Tariff) -> tuple[Session, Visit]:
    """A car of our partner charges at an EVSE that takes preferences and shows *tariffs* too."""
    for each in tariffs:
        await cpo.administration.put_tariff(each, OPERATOR)
    await able(cpo, *(each.id for each in tariffs))
    cpo.catalogue.put_token(token())
    visit = await cpo.desk.connected(STATION, "", "1.6")
    event = TransactionEvent(
        EventKind.STARTED, now() - timedelta(minutes=30), now(), b"begun", evse=1, connector=1,
        id_token=token().uid, register_wh=1000,
    )  # fmt: skip
    await cpo.desk.transaction(Frame(visit, "Start", b"{}", now(), b"begun"), None, event)
    [session] = cpo.live.sessions()
    return session, visit


def of_kind(id: str, kind: TariffKind | None, price: str = "18.00") -> Tariff:
    return replace(shelf(TariffId(id), price), kind=kind)


async def test_se_17_and_19_preferences_are_answered_with_one_word(cpo: World, ask: Asker) -> None:
    session, _ = await charging_now(cpo, of_kind("GREEN", TariffKind.PROFILE_GREEN))
    answers = {}
    for profile in ("FAST", "GREEN"):
        heard = await ask("PUT", preferences(session), {"profile_type": profile})
        assert (heard.http, heard.code) == (200, 1000)
        answers[profile] = heard.data
    assert answers == {"FAST": "PROFILE_TYPE_NOT_SUPPORTED", "GREEN": "ACCEPTED"}
    in_an_hour = (now() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    much = {"profile_type": "GREEN", "departure_time": in_an_hour, "energy_need": 500}
    assert (await ask("PUT", preferences(session), much)).data == "NOT_POSSIBLE"
    for body, field in (
        ({"departure_time": in_an_hour}, "profile_type"),
        ({"profile_type": "GREEN", "energy_need": -1}, "energy_need"),
        ({"profile_type": "GREEN", "energy_need": "much"}, "energy_need"),
        ({"profile_type": "GREEN", "departure_time": "soon"}, "departure_time"),
    ):
        heard = await ask("PUT", preferences(session), body)
        assert (heard.http, heard.code) == (200, 2001)
        assert field in heard.envelope["status_message"]


@reading
@statement("SE-17")
@pytest.mark.parametrize("profile", ["FAST", "GREEN", "REGULAR"])
async def test_no_tariff_of_ours_needs_a_departure_or_an_energy_need(
    cpo: World, ask: Asker, profile: str
) -> None:
    """A preference chooses a tariff and steers nothing, so neither word for what is missing is
    ever an honest answer."""
    session, _ = await charging_now(
        cpo, of_kind("GREEN", TariffKind.PROFILE_GREEN), of_kind("FAST", TariffKind.PROFILE_FAST)
    )
    heard = await ask("PUT", preferences(session), {"profile_type": profile})
    assert heard.data == "ACCEPTED"


async def test_se_17_the_profile_that_a_session_runs_under_is_accepted(
    cpo: World, ask: Asker
) -> None:
    session, _ = await charging_now(cpo)
    body = {"profile_type": "REGULAR", "energy_need": 20.5}
    assert (await ask("PUT", preferences(session), body)).data == "ACCEPTED"


@reading
@statement("SE-20", "CO-31")
async def test_an_accepted_preference_opens_a_period_with_the_new_tariff(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    """What is charged before costs what the first tariff says, what comes after what the second
    says; only the last one's step rounds up; the bill holds both, and the partner finds its sum."""
    step = Element((PriceComponent(Dimension.ENERGY, Decimal("30.00"), 500),))
    fast = replace(of_kind("FAST", TariffKind.PROFILE_FAST), elements=(step,))
    session, visit = await charging_now(cpo, fast)
    await tell(cpo, visit, session, EventKind.UPDATED, 3100)
    assert (await ask("PUT", preferences(session), {"profile_type": "FAST"})).data == "ACCEPTED"
    running = cpo.live.session(session.id)
    assert running is not None
    [switch] = running.switches
    # the charger's next words come by its clock, an hour on
    await tell(cpo, visit, session, EventKind.ENDED, 5200, timedelta(hours=1))
    await cpo.settling.settle_due()
    bill = await emsp.wait_for(lambda: emsp.cdr_of(session.id))
    assert [each["id"] for each in bill["tariffs"]] == [SHELF, "FAST"]
    first, *_, last = bill["charging_periods"]
    assert (first["tariff_id"], last["tariff_id"]) == (SHELF, "FAST")
    changes = [each for each in bill["charging_periods"] if each["tariff_id"] == "FAST"]
    assert moment(changes[0]["start_date_time"]) == switch.at
    assert emsp.recomputed[bill["id"]].agrees_with(bill["total_cost"])
    assert not emsp.cost_differences and not emsp.complaints


async def tell(
    cpo: World,
    visit: Visit,
    session: Session,
    kind: EventKind,
    wh: int,
    later: timedelta = timedelta(),
) -> None:
    """The charger tells its register."""
    at = now() + later
    sample = (Sample(at, Quantity.ENERGY_REGISTER, wh),) if kind is EventKind.UPDATED else ()
    register = wh if kind is EventKind.ENDED else None
    content = f"{kind}{wh}".encode()
    event = TransactionEvent(kind, at, now(), content, evse=1, samples=sample, register_wh=register)
    frame = Frame(visit, "Words", content, now(), content)
    await cpo.desk.transaction(frame, session.transaction, event)


@pytest.mark.parametrize(
    ("profile", "expected"), [(None, "USUAL"), ("GREEN", "GREEN"), ("FAST", "USUAL")]
)
async def test_se_20_a_tokens_default_profile_chooses_the_tariff_at_the_start(
    profile: str | None, expected: str
) -> None:
    house = charger_world.World()
    usual = shelf(TariffId("USUAL"))
    green = replace(shelf(TariffId("GREEN")), kind=TariffKind.PROFILE_GREEN)
    for each in (usual, green):
        house.catalogue.tariffs[each.id] = each
        house.catalogue.rules[each.id] = TariffRule(each.id, each.id)
    card = replace(charger_world.token("ROAM", charger_world.EMS), default_profile=profile)
    house.catalogue.put_token(card)
    visit = await house.desk.connected(charger_world.CS1, "", "1.6")
    await house.start(visit, "ROAM")
    frozen = house.session().tariff
    assert frozen == tariff_hash(house.catalogue.tariffs[TariffId(expected)])


@reading
async def test_se_18_preferences_that_cannot_be_answer_404(cpo: World, ask: Asker) -> None:
    session, foreign = await cpo.session(), await cpo.session(OTHER)
    wish = {"profile_type": "REGULAR"}
    heard = await ask("PUT", preferences(session), wish)
    assert (heard.http, heard.code) == (404, 2001)
    await able(cpo)
    heard = await ask("PUT", preferences(foreign), wish)
    assert heard.http == 404
    heard = await ask("PUT", "/2.2.1/sessions/NOPE/charging_preferences", wish)
    assert heard.http == 404


@reading
@statement("RT-11")
async def test_sessions_and_bills_are_narrowed_to_the_party_that_is_addressed() -> None:
    async with running(parties=PARTIES) as cpo, Emsp() as emsp:
        await cpo.small_network()
        await cpo.add_site(LocationId("TWO-1"), party=PartnerId("IN*TWO"))
        await cpo.connect(emsp)
        ask = Asker(cpo.base, emsp.connection.outbound)
        one, two = await cpo.session(), await cpo.session(location=LocationId("TWO-1"))
        for session, party in ((one, "CPO"), (two, "TWO")):
            bill = bill_of(replace(session, ended_at=now()))
            place = replace(
                bill.place, location=session.location or SITE, party=PartnerId(f"IN*{party}")
            )
            await keep_bill(cpo, replace(bill, place=place))
        for session, party in ((one, "CPO"), (two, "TWO")):
            to = {"OCPI-to-country-code": "IN", "OCPI-to-party-id": party}
            for module in (f"sessions?{ALL_TIME}", "cdrs"):
                heard = await ask("GET", f"/2.2.1/{module}", headers=to)
                assert [each.get("session_id", each["id"]) for each in heard.data] == [session.id]
                assert {each["party_id"] for each in heard.data} == {party}
                assert heard.headers["X-Total-Count"] == "1"
        assert len(await sessions(ask)) == 2


def test_se_14_a_running_session_has_a_period_for_each_price(cpo: World) -> None:
    """What a running session shows is rated as its bill will be, up to now."""
    usages = [Usage(NOON, NOON + timedelta(hours=1), 12_000)]
    rating = rate(BORDERED, usages, KOLKATA)
    station, site = cpo.catalogue.stations[STATION], cpo.catalogue.locations[SITE]
    own = Session(
        SessionId("S1"),
        STATION,
        1,
        SessionStatus.ACTIVE,
        NOON,
        NOON,
        "04AABB",
        connector=1,
        token=token(),
        owner=EMP,
        delivered_wh=12_000,
    )
    shown = bills.session(own, site, station.evses[0], rating, now()).wire()
    starts = [each["start_date_time"] for each in shown["charging_periods"]]
    assert starts == ["2026-03-03T06:30:00Z", "2026-03-03T07:00:00Z", "2026-03-03T07:15:00Z"]
    assert shown["total_cost"]["excl_vat"] == rating.total.net.amount


# -- A8


async def keep_bill(cpo: World, bill: Cdr) -> Cdr:
    done = await cpo.store.commit([PutCdr(bill), Touch("cdr", bill.id, bill.owner)])
    cpo.live.publish(done.touched)
    return bill


async def test_cd_05_and_06_a_credit_takes_a_bill_back_and_a_new_one_follows(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    bill = await cpo.settle(await cpo.session())
    back = await keep_bill(cpo, credit(bill, CdrId(f"{bill.id}-C"[:39]), now()))
    await keep_bill(cpo, replace(bill, id=CdrId("ANEW"), created_at=now()))
    await emsp.wait_for(lambda: len(emsp.store.cdrs) == 3)
    shown = {each["id"]: each for each in (await ask("GET", "/2.2.1/cdrs")).data}
    first, taken, anew = shown[bill.id], shown[back.id], shown["ANEW"]
    assert (taken["credit"], taken["credit_reference_id"]) == (True, bill.id)
    assert taken["total_cost"] == {k: -v for k, v in first["total_cost"].items()}
    same = set(first) - {"id", "total_cost", "last_updated"}
    assert {k: taken[k] for k in same} == {k: first[k] for k in same}
    assert not {"credit", "credit_reference_id"} & (set(first) | set(anew))


@reading
async def test_cd_07_and_08_a_bill_is_credited_once_and_ids_have_their_lengths(
    cpo: World, emsp: Emsp
) -> None:
    bill = await cpo.settle(await cpo.session())
    back = credit(bill, CdrId("C" * 39), now())
    with pytest.raises(InvalidValue):
        credit(back, CdrId("D"), now())
    with pytest.raises(InvalidValue):
        credit(bill, CdrId("C" * 40), now())
    with pytest.raises(InvalidValue):
        replace(bill, id=CdrId("C" * 37))


BORDERED = Tariff(
    TariffId("BORDERED"),
    "INR",
    (
        Element(
            (PriceComponent(Dimension.ENERGY, Decimal(10)),), Restrictions(end_time=time(12, 30))
        ),
        Element((PriceComponent(Dimension.ENERGY, Decimal(20)),), Restrictions(max_kwh=Decimal(9))),
        Element(
            (
                PriceComponent(Dimension.ENERGY, Decimal(30)),
                PriceComponent(Dimension.PARKING_TIME, Decimal(60), 900),
            ),
        ),
    ),
)


def bordered(cpo: World, session: Any) -> Cdr:
    """An hour with 12 kWh, then 20 minutes of parking; prices change at 12:30 and at 9 kWh."""
    usages = [
        Usage(NOON, NOON + timedelta(hours=1), 12_000, UsageKind.CHARGING, 12_000, 52_000),
        Usage(NOON + timedelta(hours=1), NOON + timedelta(minutes=80), 0, UsageKind.PARKING),
    ]
    rating = rate(BORDERED, usages, KOLKATA)
    ended = NOON + timedelta(minutes=80)
    return replace(
        bill_of(replace(session, started_at=NOON, ended_at=ended)),
        energy_wh=12_000,
        total_time=ended - NOON,
        parking_time=rating.parking_time,
        rating=rating,
        tariffs=(BORDERED,),
        total=rating.total,
    )


@reading
async def test_cd_15_and_18_to_22_periods_change_with_prices_and_hold_what_was_measured(
    cpo: World, emsp: Emsp
) -> None:
    bill = await keep_bill(cpo, bordered(cpo, await cpo.session()))
    await emsp.wait_for(lambda: emsp.store.cdrs)
    [shown] = emsp.store.cdrs.values()
    assert shown["id"] == bill.id
    periods = shown["charging_periods"]
    starts = [each["start_date_time"] for each in periods]
    assert starts == [
        "2026-03-03T06:30:00Z",
        "2026-03-03T07:00:00Z",
        "2026-03-03T07:15:00Z",
        "2026-03-03T07:30:00Z",
    ]
    volumes = [{d["type"]: d["volume"] for d in each["dimensions"]} for each in periods]
    assert [each["ENERGY"] for each in volumes] == [6, 3, 3, 0]  # kWh, not counted on
    assert [each.get("TIME") for each in volumes[:3]] == [Decimal("0.5")] + [Decimal("0.25")] * 2
    assert "TIME" not in volumes[3]
    parked = volumes[3]["PARKING_TIME"]
    assert abs(parked - Decimal(20) / 60) < Decimal("1e-6")  # 20 minutes, though 30 are billed
    assert shown["total_parking_cost"]["excl_vat"] == 30
    assert volumes[0]["MAX_POWER"] == 12 and volumes[0]["MAX_CURRENT"] == 52
    assert shown["total_energy"] == sum(each["ENERGY"] for each in volumes)
    assert abs(shown["total_time"] - Decimal(80) / 60) < Decimal("1e-6")
    assert {each["tariff_id"] for each in periods} == {each["id"] for each in shown["tariffs"]}
    assert not emsp.cost_differences and not emsp.complaints


async def test_cd_21_a_throttled_car_that_wants_power_is_not_parking() -> None:
    """The engine is told what the car asks for, not what it gets."""
    usage = Usage(NOON, NOON + timedelta(hours=1), 0, UsageKind.CHARGING, 0, 0)
    rating = rate(BORDERED, [usage], KOLKATA)
    assert rating.parking_time == timedelta(0)


async def test_cd_12_a_place_is_flat_and_short_enough(cpo: World) -> None:
    session = await cpo.session()
    bill = bill_of(replace(session, ended_at=now()))
    place = replace(bill.place, address="a" * 80, state="s" * 30)
    shown = bills.cdr(replace(bill, place=place), now()).wire()["cdr_location"]
    assert len(shown["address"]) == 45 and len(shown["state"]) == 20
    assert shown["evse_uid"] == EvseUid("CS1-1") and "evses" not in shown


async def test_cd_10_a_street_that_was_renamed_under_way_has_its_old_name_in_the_bill(
    cpo: World,
) -> None:
    """Settling takes the place of a bill from here; token and tariff are kept with the session."""
    began = now()
    site = cpo.catalogue.locations[SITE]
    assert await location_at(cpo.store, site, began) is site
    for name in ("New Street", "Newest Street"):
        await cpo.administration.put_location(replace(site, address=name), OPERATOR)
    renamed = cpo.catalogue.locations[SITE]
    assert renamed.address == "Newest Street"
    assert (await location_at(cpo.store, renamed, began)).address == site.address
    assert (await location_at(cpo.store, renamed, now())).address == "Newest Street"


async def test_cd_25_a_bill_is_sent_at_once(cpo: World, emsp: Emsp) -> None:
    await cpo.settle(await cpo.session())
    await emsp.wait_for(lambda: emsp.store.cdrs, timeout=2.0)


@reading
async def test_cd_26_an_invalid_session_has_no_bill_and_a_free_one_costs_nothing(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    session = await cpo.session(status=SessionStatus.INVALID, ended_at=now())
    await emsp.wait_for(
        lambda: [
            v
            for v in emsp.history("sessions", "IN", "CPO", session.id)
            if v.body and v.body["status"] == "INVALID"
        ]
    )
    free = Tariff(TariffId("F"), "INR", (Element((PriceComponent(Dimension.FLAT, Decimal(0)),)),))
    bill = bill_of(replace(await cpo.session(), ended_at=now()))
    rating = rate(free, [Usage(bill.started_at, bill.ended_at, 1500)], KOLKATA)
    await keep_bill(cpo, replace(bill, rating=rating, tariffs=(free,), total=rating.total))
    await emsp.wait_for(lambda: emsp.store.cdrs)
    [shown] = (await ask("GET", "/2.2.1/cdrs")).data
    assert shown["total_cost"] == {"excl_vat": 0, "incl_vat": 0}
    assert [each["id"] for each in shown["tariffs"]] == ["F"]


@reading
async def test_cd_27_a_bill_whose_answer_was_lost_is_sent_again_unchanged(
    cpo: World, emsp: Emsp
) -> None:
    emsp.faults.add(Fault(Kind.CUT_AFTER, "cdrs", "POST", times=1))
    await cpo.settle(await cpo.session())
    await emsp.wait_for(lambda: len(emsp.pushes("cdrs")) == 2)
    first, second = emsp.pushes("cdrs")
    assert first.body == second.body
    assert len(emsp.store.cdrs) == 1


# -- A9


@reading
async def test_ta_04_a_deletion_leaves_bills_and_running_sessions_alone(
    cpo: World, ask: Asker
) -> None:
    await cpo.settle(await cpo.session())
    running_one = await cpo.session()
    before = (await ask("GET", "/2.2.1/cdrs")).data
    station = cpo.catalogue.stations[STATION]
    bare = tuple(
        replace(e, connectors=tuple(replace(c, tariffs=()) for c in e.connectors))
        for e in station.evses
    )
    await cpo.administration.put_station(replace(station, evses=bare), OPERATOR)
    await cpo.administration.drop_tariff(SHELF, OPERATOR)
    assert (await ask("GET", "/2.2.1/cdrs")).data == before
    assert running_one.id in {each["id"] for each in await sessions(ask)}


@reading
@pytest.mark.parametrize("change", ["deleted", "dearer"])
@statement("TA-04", "TA-08")
async def test_a_car_that_charges_pays_what_held_when_it_began(
    cpo: World, emsp: Emsp, change: str
) -> None:
    """In the running price, and to the last digit on the bill, whose tariff is the old one."""
    session, visit = await charging_now(cpo)
    before = shelf()
    if change == "dearer":
        await cpo.administration.put_tariff(shelf(SHELF, "99.00"), OPERATOR)
    else:
        station = cpo.catalogue.stations[STATION]
        bare = tuple(
            replace(e, connectors=tuple(replace(c, tariffs=()) for c in e.connectors))
            for e in station.evses
        )
        await cpo.administration.put_station(replace(station, evses=bare), OPERATOR)
        await cpo.administration.drop_tariff(SHELF, OPERATOR)
    await tell(cpo, visit, session, EventKind.UPDATED, 2000)
    shown = await emsp.wait_for(
        lambda: s if (s := next(iter(emsp.store.sessions.values()), None)) and s["kwh"] == 1
        else None
    )  # fmt: skip
    assert shown["total_cost"]["incl_vat"] == 18
    await tell(cpo, visit, session, EventKind.ENDED, 3000, timedelta(hours=1))
    await cpo.settling.settle_due()
    bill = await emsp.wait_for(lambda: emsp.cdr_of(session.id))
    assert bill["total_cost"]["incl_vat"] == 36  # 2 kWh
    [tariff] = bill["tariffs"]
    expected = prices.tariff(before, PartnerId("IN*CPO"), now()).wire()["elements"]
    assert tariff["elements"] == loads(dumps(expected))
    assert not emsp.cost_differences and not emsp.complaints


async def test_ta_06_prices_are_net_and_the_tax_is_a_percentage(cpo: World, ask: Asker) -> None:
    vat = (Tax("CGST", Decimal("2.5")), Tax("SGST", Decimal("2.5")))
    components = (
        PriceComponent(Dimension.ENERGY, Decimal("21.00"), taxes=vat),
        PriceComponent(Dimension.TIME, Decimal("30.00"), taxes=()),
        PriceComponent(Dimension.FLAT, Decimal("5.00"), taxes=(Tax("GST", Decimal(0)),)),
    )
    book = Tariff(TariffId("TAXED"), "INR", (Element(components),), Basis.GROSS)
    await cpo.administration.put_tariff(book, OPERATOR)
    listed = {each["id"]: each for each in (await ask("GET", "/2.2.1/tariffs")).data}
    energy, hours, flat = listed["TAXED"]["elements"][0]["price_components"]
    assert (energy["price"], energy["vat"]) == (20, 5)
    assert hours["price"] == 30 and "vat" not in hours
    assert (flat["price"], flat["vat"]) == (5, 0)


async def test_ta_07_kind_and_validity_are_said_and_a_future_tariff_is_sent_ahead(
    cpo: World, emsp: Emsp
) -> None:
    begins = now().replace(microsecond=0) + timedelta(days=7)
    book = replace(
        shelf(TariffId("NEXT"), "19.00"),
        kind=TariffKind.REGULAR,
        valid_from=begins,
        valid_to=begins + timedelta(days=30),
    )
    await cpo.administration.put_tariff(book, OPERATOR)
    sent = await emsp.wait_for(lambda: emsp.store.tariffs.get(("IN", "CPO", "NEXT")))
    WireTariff.model_validate(sent)
    assert sent["type"] == "REGULAR"
    assert sent["start_date_time"] == begins.strftime("%Y-%m-%dT%H:%M:%SZ")
    ends = begins + timedelta(days=30)
    assert sent["end_date_time"] == ends.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert "type" not in emsp.store.tariffs["IN", "CPO", SHELF]
    ref = next(iter(cpo.catalogue.stations[STATION].evses)).ref
    assert [t.id for t in cpo.catalogue.tariffs_for(ref, 1, EMP, now())] == [SHELF]


@reading
@pytest.mark.parametrize(
    ("limit", "remark"),
    [
        ({"min_price": PriceLimit(gross=Decimal(50))}, "the minimum price of the tariff holds"),
        ({"max_price": PriceLimit(gross=Decimal(20))}, "the maximum price of the tariff holds"),
        ({"min_price": PriceLimit(gross=Decimal(36))}, None),
    ],
)
async def test_co_28_a_bill_that_a_price_limit_changed_says_so(
    cpo: World, emsp: Emsp, limit: Any, remark: str | None
) -> None:
    await cpo.administration.put_tariff(replace(shelf(), **limit), OPERATOR)
    session, visit = await charging_now(cpo)
    await tell(cpo, visit, session, EventKind.ENDED, 3000)
    await cpo.settling.settle_due()
    bill = await emsp.wait_for(lambda: emsp.cdr_of(session.id))
    assert bill.get("remark") == remark
    parts = bill["total_energy_cost"]["incl_vat"]
    assert parts == 36
    assert (bill["total_cost"]["incl_vat"] == parts) is (remark is None)


@pytest.mark.parametrize("kind", [None, *TariffKind])
def test_ta_07_a_tariff_for_everybody_has_no_type_and_the_five_types_have_their_words(
    kind: TariffKind | None,
) -> None:
    shown = prices.tariff(replace(shelf(), kind=kind), PartnerId("IN*CPO"), now()).wire()
    words = {"AD_HOC_PAYMENT", "PROFILE_CHEAP", "PROFILE_FAST", "PROFILE_GREEN", "REGULAR"}
    assert len(TariffKind) == len(words)
    assert ("type" not in shown) if kind is None else (shown["type"] in words)
    assert kind is None or shown["type"] == kind.value.upper()


async def test_ta_08_a_running_session_keeps_the_tariff_that_it_started_with(cpo: World) -> None:
    """Its price is made from the snapshot that it refers to by content."""
    before = tariff_hash(shelf())
    session = await cpo.session(tariff=before)
    await cpo.store.commit([KeepTariff(before, shelf())])
    await cpo.administration.put_tariff(shelf(SHELF, "99.00"), OPERATOR)
    kept = await cpo.store.session(session.id)
    assert kept is not None and kept.session.tariff == before
    assert await cpo.store.tariff_snapshot(before) == shelf()


async def test_ta_09_and_cd_11_where_no_price_is_set_the_bill_names_a_free_tariff(
    cpo: World, emsp: Emsp
) -> None:
    """One element without restrictions, in it one flat fee of nothing."""
    station = cpo.catalogue.stations[STATION]
    bare = tuple(
        replace(e, connectors=tuple(replace(c, tariffs=()) for c in e.connectors))
        for e in station.evses
    )
    await cpo.administration.put_station(replace(station, evses=bare), OPERATOR)
    cpo.catalogue.put_token(token())
    visit = await cpo.desk.connected(STATION, "", "1.6")
    event = TransactionEvent(
        EventKind.STARTED, now() - timedelta(minutes=30), now(), b"begun", evse=1, connector=1,
        id_token=token().uid, register_wh=1000,
    )  # fmt: skip
    await cpo.desk.transaction(Frame(visit, "Start", b"{}", now(), b"begun"), None, event)
    [session] = cpo.live.sessions()
    await tell(cpo, visit, session, EventKind.ENDED, 3000)
    await cpo.settling.settle_due()
    bill = await emsp.wait_for(lambda: emsp.cdr_of(session.id))
    [free] = bill["tariffs"]
    component = {"type": "FLAT", "price": 0, "step_size": 1}
    assert free["elements"] == [{"price_components": [component]}]
    assert {each["tariff_id"] for each in bill["charging_periods"]} == {free["id"]}
    assert (bill["total_cost"]["excl_vat"], bill["total_energy"]) == (0, 2)
    assert not emsp.complaints and not emsp.cost_differences


async def test_ta_10_alternative_texts_stand_beside_the_elements(cpo: World, emsp: Emsp) -> None:
    texts = (DisplayText("en", "Bring your own cable"), DisplayText("mr", "स्वतःची केबल आणा"))
    await cpo.administration.put_tariff(replace(shelf(), names=texts), OPERATOR)
    sent = await emsp.wait_for(
        lambda: t if (t := emsp.store.tariffs["IN", "CPO", SHELF]).get("tariff_alt_text") else None
    )
    assert sent["elements"]
    assert [each["text"] for each in sent["tariff_alt_text"]] == [each.text for each in texts]


def test_ta_11_times_of_day_are_written_as_hours_and_minutes() -> None:
    window = Restrictions(start_time=time(22), end_time=time(0), day_of_week=frozenset({5, 6}))
    energy = (PriceComponent(Dimension.ENERGY, Decimal(1)),)
    book = Tariff(TariffId("N"), "INR", (Element(energy, window),))
    shown = prices.tariff(book, PartnerId("IN*CPO"), now()).wire()
    assert shown["elements"][0]["restrictions"] == {
        "start_time": "22:00",
        "end_time": "00:00",
        "day_of_week": ("SATURDAY", "SUNDAY"),
    }


@pytest.mark.parametrize("name", ["start_time", "end_time"])
def test_ta_11_there_is_no_24_00(name: str) -> None:
    with pytest.raises(ValidationError):
        RestrictionsIn.model_validate({name: "24:00"})
    assert getattr(RestrictionsIn.model_validate({name: "00:00"}), name) == time(0)


def test_ta_11_the_clock_and_the_calendar_are_those_of_the_site() -> None:
    """18:00 UTC on Friday is 23:30 in Pune: half an hour of Friday's window, then Saturday's."""
    friday = datetime(2026, 3, 6, 18, tzinfo=UTC)
    hour = (PriceComponent(Dimension.TIME, Decimal(60)),)
    book = Tariff(
        TariffId("N"),
        "INR",
        (Element(hour, Restrictions(start_time=time(23), day_of_week=frozenset({4}))),),
    )
    used = [Usage(friday, friday + timedelta(hours=1))]
    assert rate(book, used, ZoneInfo("Asia/Kolkata")).total.net.amount == 30
    assert rate(book, used, ZoneInfo("UTC")).total.net.amount == 0


def test_ta_12_reserved_time_has_flat_and_time_prices_only() -> None:
    held = Restrictions(reservation=ReservationPhase.RESERVED)
    for dimension in (Dimension.ENERGY, Dimension.PARKING_TIME):
        with pytest.raises(InvalidValue):
            Element((PriceComponent(dimension, Decimal(1)),), held)
    for dimension in (Dimension.FLAT, Dimension.TIME):
        Element((PriceComponent(dimension, Decimal(1)),), held)


def test_ta_13_a_component_has_a_step_of_one_unless_somebody_wants_another() -> None:
    shown = prices.tariff(shelf(), PartnerId("IN*CPO"), now()).wire()
    assert shown["elements"][-1].get("restrictions") is None
    assert shown["elements"][0]["price_components"][0]["step_size"] == 1
