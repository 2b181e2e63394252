"""Reservations over real HTTP: what partners ask, hear, see and pay. The charger is a fake link."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cms.app.ports import Frame, Visit
from cms.app.remote import Asker as CoreAsker
from cms.domain.commands import Answer, CancelReservation, Outcome, RemoteStart, Reserve
from cms.domain.reservation import Reservation, ReservationState
from cms.domain.status import ConnectorReport
from cms.domain.tariff import (
    Dimension,
    Element,
    PriceComponent,
    ReservationPhase,
    Restrictions,
)
from cms.domain.transaction import EventKind, TransactionEvent
from simulators.emsp.commands import Command
from simulators.emsp.partner import Emsp
from simulators.emsp.wire import moment
from tests.conformance.ocpi.world import (
    EMP,
    EVSE,
    OPERATOR,
    SITE,
    STATION,
    Asker,
    World,
    now,
    running,
    shelf,
    until,
    until_kept,
)
from tests.conformance.statements import reading

HOUR = timedelta(hours=1)


async def reservable(cpo: World, evses: int = 1, *, any_of: bool = False) -> None:
    """Let the EVSEs of the station be reserved; with *any_of* also without saying which."""
    await cpo.add_station(evses=evses, reserves_any=any_of)
    station = cpo.catalogue.stations[STATION]
    able = tuple(
        replace(each, capabilities=("RFID_READER", "RESERVABLE")) for each in station.evses
    )
    await cpo.administration.put_station(replace(station, evses=able), OPERATOR)
    for each in able:
        await cpo.report(each.ref, ConnectorReport.FREE)


@pytest.fixture
async def desk(cpo: World, emsp: Emsp) -> AsyncIterator[World]:
    """The CPO with its one EVSE reservable, and its station connected."""
    await reservable(cpo)
    yield cpo


async def priced(cpo: World) -> None:
    """Reserved time costs 6 an hour in steps of 10 minutes; not to come costs 4 more."""
    base = shelf()
    elements = (
        *base.elements,
        Element(
            (PriceComponent(Dimension.TIME, Decimal(6), 600),),
            Restrictions(reservation=ReservationPhase.RESERVED),
        ),
        Element(
            (PriceComponent(Dimension.FLAT, Decimal(4)),),
            Restrictions(reservation=ReservationPhase.EXPIRED),
        ),
    )
    await cpo.administration.put_tariff(replace(base, elements=elements), OPERATOR)


async def reserve(emsp: Emsp, name: str = "R1", uid: str = "CARD1", **more: Any) -> Command:
    """RESERVE_NOW for an hour, with a card unless told otherwise."""
    token = emsp.tokens.add(uid, **more.pop("token", {}))
    expiry: datetime = more.pop("expiry", now() + HOUR)
    body = {"evse_uid": "CS1-1", "authorization_reference": "REF-1", **more}
    body = {key: value for key, value in body.items() if value is not None}
    return await emsp.reserve_now(name, expiry, SITE, token=token, **body)


async def held(emsp: Emsp, cpo: World, **more: Any) -> Reservation:
    command = await reserve(emsp, **more)
    assert command.answer == "ACCEPTED"
    assert await command.result() == "ACCEPTED"
    own = cpo.reserving.named(EMP, more.get("name", "R1"))
    assert own is not None
    return own


async def session_as(emsp: Emsp, own: Reservation, status: str) -> dict[str, Any]:
    """The partner's copy of the reservation's session, once it has *status*."""

    def there() -> dict[str, Any] | None:
        found = [each for each in emsp.store.sessions.values() if each["id"] == own.session]
        return found[0] if found and found[0]["status"] == status else None

    found: dict[str, Any] = await emsp.wait_for(there)
    return found


async def bill_of(emsp: Emsp, own: Reservation) -> dict[str, Any]:
    found: dict[str, Any] = await emsp.wait_for(lambda: emsp.cdr_of(own.session))
    return found


def sent(cpo: World, kind: type) -> list[Any]:
    return [each for each in cpo.link.sent if isinstance(each, kind)]


class Car:
    """A car at the station: what its charger says, straight to the core."""

    def __init__(self, cpo: World) -> None:
        self._cpo = cpo
        self._count = 0
        self.visit: Visit | None = None

    async def says(
        self, kind: EventKind, transaction: Any = None, at: datetime | None = None, **more: Any
    ) -> Any:
        visit = await self.here()
        self._count += 1
        at = at or now()
        key = f"{kind}{self._count}".encode()
        event = replace(TransactionEvent(kind, at, now(), key), **more)
        frame = Frame(visit, "Call", key, now(), key)
        return await self._cpo.desk.transaction(frame, transaction, event)

    async def here(self) -> Visit:
        """Its station has a connection."""
        if self.visit is None:
            self.visit = await self._cpo.desk.connected(STATION, "peer", "1.6")
        return self.visit


# ---------------------------------------------------------------- asking


async def test_cm_14_and_16_a_reservation_is_held_seen_and_told(desk: World, emsp: Emsp) -> None:
    own = await held(emsp, desk)
    (asked,) = sent(desk, Reserve)
    assert (asked.reservation, asked.evse, asked.id_token) == (own.id, 1, "CARD1")
    session = await session_as(emsp, own, "RESERVATION")
    assert session["cdr_token"]["uid"] == "CARD1"
    assert (session["auth_method"], session["authorization_reference"]) == ("COMMAND", "REF-1")
    assert (session["evse_uid"], session["connector_id"], session["kwh"]) == ("CS1-1", "1", 0)
    await emsp.wait_for(
        lambda: any(
            evse["status"] == "RESERVED"
            for location in emsp.store.locations.values()
            for evse in location["evses"]
        )
    )
    assert not emsp.complaints


@pytest.mark.parametrize("field", ["token", "expiry_date", "reservation_id", "location_id"])
async def test_cm_14_what_a_reservation_needs_is_demanded_by_name(
    desk: World, emsp: Emsp, ask: Asker, field: str
) -> None:
    command = await reserve(emsp)
    body = {key: value for key, value in command.body.items() if key != field}
    heard = await ask("POST", "/2.2.1/commands/RESERVE_NOW", body)
    assert (heard.http, heard.code) == (200, 2001)
    assert field in heard.envelope["status_message"]


@reading
async def test_cm_14_a_reservation_that_is_over_already_is_a_wrong_field(
    desk: World, emsp: Emsp
) -> None:
    command = await reserve(emsp, expiry=now() - HOUR)
    assert (command.answer_http, command.answer_code) == (200, 2001)
    assert not desk.link.sent


async def test_cm_14_the_same_id_at_the_same_site_replaces(desk: World, emsp: Emsp) -> None:
    own = await held(emsp, desk)
    await session_as(emsp, own, "RESERVATION")
    later = now() + 2 * HOUR
    again = await reserve(emsp, uid="CARD2", expiry=later, name="r1")
    assert await again.result() == "ACCEPTED"
    first, second = sent(desk, Reserve)
    assert first.reservation == second.reservation == own.id
    assert second.id_token == "CARD2"
    assert abs(second.expires_at - later) < timedelta(seconds=1)
    await emsp.wait_for(
        lambda: any(s["cdr_token"]["uid"] == "CARD2" for s in emsp.store.sessions.values())
    )
    assert len(emsp.store.sessions) == 1
    assert not emsp.complaints


async def test_cm_15_equal_ids_of_two_partners_never_collide(desk: World, emsp: Emsp) -> None:
    await reservable(desk, 2)
    own = await held(emsp, desk)
    async with Emsp(party_id="OTH") as other:
        await desk.connect(other)
        command = await reserve(other, evse_uid="CS1-2")
        assert await command.result() == "ACCEPTED"
        first, second = sent(desk, Reserve)
        assert first.reservation != second.reservation
        assert all(0 < each.reservation < 2**31 for each in (first, second))
        cancelled = await other.cancel_reservation("R1")
        assert await cancelled.result() == "ACCEPTED"
        assert desk.reserving.named(EMP, "R1") == own
        assert {each["cdr_token"]["party_id"] for each in other.store.sessions.values()} <= {"OTH"}


async def test_cm_14_what_cannot_be_reserved_says_so(cpo: World, emsp: Emsp) -> None:
    command = await reserve(emsp)  # the EVSE is not RESERVABLE
    assert command.answer == "NOT_SUPPORTED"
    assert (await reserve(emsp, evse_uid=None)).answer == "NOT_SUPPORTED"
    await reservable(cpo)
    unknown = await reserve(emsp, evse_uid="CS1-9")
    assert (unknown.answer_code, unknown.answer) == (2003, "REJECTED")
    foreign = await emsp.reserve_now(
        "R1", now() + HOUR, SITE, token={**emsp.tokens.add("CARD1"), "party_id": "OTH"}
    )
    assert foreign.answer == "REJECTED"
    assert not cpo.link.sent


@reading
async def test_cm_14_and_21_a_charger_that_is_away_is_not_asked(desk: World, emsp: Emsp) -> None:
    await desk.vanish(EVSE)
    assert (await reserve(emsp)).answer == "REJECTED"
    assert not desk.link.sent


@reading
@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Outcome.OCCUPIED, "EVSE_OCCUPIED"),
        (Outcome.INOPERATIVE, "EVSE_INOPERATIVE"),
        (Outcome.REJECTED, "REJECTED"),
        (Outcome.NOT_SUPPORTED, "NOT_SUPPORTED"),
        (Outcome.FAILED, "FAILED"),
        (Outcome.TIMEOUT, "TIMEOUT"),
    ],
)
async def test_cm_20_what_a_charger_says_of_a_reservation_is_what_is_told(
    desk: World, emsp: Emsp, outcome: Outcome, result: str
) -> None:
    desk.link.answer = Answer(outcome)
    command = await reserve(emsp)
    assert (command.answer, await command.result()) == ("ACCEPTED", result)
    assert desk.reserving.named(EMP, "R1") is None
    assert not emsp.store.sessions
    assert desk.live.evse(EVSE).status.value == "available"


@reading
async def test_cm_05_and_06_a_yes_that_comes_too_late_is_taken_back_and_not_told() -> None:
    async with running(command_timeout=timedelta(seconds=1)) as cpo, Emsp() as emsp:
        await cpo.small_network()
        await reservable(cpo)
        await cpo.connect(emsp)
        cpo.link.held = asyncio.Event()
        command = await reserve(emsp)
        assert await command.result() == "TIMEOUT"
        cpo.link.held.set()  # the charger says yes all the same
        await cpo.reserving.pay_debts()
        await until(lambda: sent(cpo, CancelReservation))
        await until(lambda: not [t for t in asyncio.all_tasks() if t.get_name()[:8] == "command "])
        assert command.results == ["TIMEOUT"] and len(emsp.pushes("commands")) == 1
        assert cpo.live.evse(EVSE).status.value == "available"
        assert not emsp.store.sessions


async def test_cm_05_after_a_crash_the_partner_hears_timeout_once() -> None:
    async with running() as cpo, Emsp() as emsp:
        await cpo.small_network()
        await reservable(cpo)
        await cpo.connect(emsp)
        cpo.link.held = asyncio.Event()
        command = await reserve(emsp)
        await until(lambda: cpo.link.sent)
        async with running(cpo.store) as after:
            assert await command.result() == "TIMEOUT"
            await after.report(EVSE, ConnectorReport.FREE)
            await after.reserving.pay_debts()  # the charger may hold it: it is told to let go
            assert len(sent(after, CancelReservation)) == 1
            await until_kept(lambda: after.store.exchanges(partner=EMP))
        assert command.results == ["TIMEOUT"]


# ---------------------------------------------------------------- without an EVSE


async def test_se_10_without_an_evse_one_that_is_free_is_chosen_and_named(
    desk: World, emsp: Emsp
) -> None:
    await reservable(desk, 2)
    await desk.report(EVSE, ConnectorReport.OCCUPIED)
    own = await held(emsp, desk, evse_uid=None)
    assert own.hold.evse == 2
    assert (await session_as(emsp, own, "RESERVATION"))["evse_uid"] == "CS1-2"


async def test_se_10_and_cd_13_what_has_no_evse_yet_says_so_until_it_is_used(
    desk: World, emsp: Emsp
) -> None:
    await reservable(desk, 2, any_of=True)
    own = await held(emsp, desk, evse_uid=None)
    (asked,) = sent(desk, Reserve)
    assert asked.evse is None
    session = await session_as(emsp, own, "RESERVATION")
    assert (session["evse_uid"], session["connector_id"]) == ("#NA", "#NA")
    await Car(desk).says(
        EventKind.STARTED, evse=2, id_token="CARD1", register_wh=500, reservation=own.id
    )
    session = await session_as(emsp, own, "ACTIVE")
    assert (session["id"], session["evse_uid"]) == (own.session, "CS1-2")
    assert len(emsp.store.sessions) == 1
    assert not emsp.complaints


# ---------------------------------------------------------------- using


async def test_se_09_and_10_a_used_reservation_goes_on_as_the_same_session(
    desk: World, emsp: Emsp
) -> None:
    own = await held(emsp, desk)
    reserved = await session_as(emsp, own, "RESERVATION")
    car = Car(desk)
    ack = await car.says(EventKind.STARTED, evse=1, id_token="CARD1", register_wh=500)
    active = await session_as(emsp, own, "ACTIVE")
    assert moment(active["start_date_time"]) > moment(reserved["start_date_time"])
    await car.says(EventKind.ENDED, ack.transaction, register_wh=1500)
    await desk.settling.settle_due()
    await session_as(emsp, own, "COMPLETED")
    statuses = [each.body["status"] for each in emsp.pushes("sessions") if each.body is not None]
    assert [each for i, each in enumerate(statuses) if statuses[:i][-1:] != [each]] == [
        "RESERVATION", "ACTIVE", "COMPLETED",
    ]  # fmt: skip
    assert not emsp.complaints


async def test_au_14_the_app_starts_what_it_reserved_under_the_reserved_token(
    desk: World, emsp: Emsp
) -> None:
    own = await held(emsp, desk, uid="APP1", token={"type": "APP_USER"})
    (asked,) = sent(desk, Reserve)
    assert len(asked.id_token) == 16 and asked.id_token != "APP1"
    started = await emsp.start_session(SITE, token=emsp.tokens.add("APP1", type="APP_USER"))
    assert await started.result() == "ACCEPTED"  # the EVSE need not be named
    (start,) = sent(desk, RemoteStart)
    assert (start.evse, start.id_token) == (EVSE, asked.id_token)
    await Car(desk).says(EventKind.STARTED, evse=1, id_token=asked.id_token, register_wh=500)
    session = await session_as(emsp, own, "ACTIVE")
    assert session["cdr_token"]["uid"] == "APP1"
    assert session["authorization_reference"] == started.reference
    assert not [each for each in emsp.arrivals if "authorize" in str(each.path)]


async def test_cm_16_nobody_else_is_let_start_where_it_is_held(desk: World, emsp: Emsp) -> None:
    await held(emsp, desk)
    other = await emsp.start_session(SITE, "CS1-1", token=emsp.tokens.add("CARD9"))
    assert other.answer == "REJECTED"
    assert not sent(desk, RemoteStart)


async def test_au_14_and_15_a_card_that_reserved_is_not_asked_about(
    desk: World, emsp: Emsp
) -> None:
    emsp.tokens.add("CARD1", whitelist="NEVER")
    await emsp.push_token(emsp.tokens.add("CARD1", whitelist="NEVER"))
    await held(emsp, desk, token={"whitelist": "NEVER"})
    decision = desk.desk.authorize(await Car(desk).here(), "CARD1")
    assert decision.accepted and decision.reference == "REF-1"  # type: ignore[union-attr]
    assert asked_about(emsp, "CARD1") == 0


async def test_au_15_a_card_that_started_is_not_asked_about_when_it_is_shown_itself(
    desk: World, emsp: Emsp
) -> None:
    card = emsp.tokens.add("CARD1", whitelist="NEVER")
    await emsp.push_token(card)
    started = await emsp.start_session(SITE, "CS1-1", token=card)
    assert await started.result() == "ACCEPTED"
    car = Car(desk)
    decision = desk.desk.authorize(await car.here(), "CARD1")
    assert decision.accepted  # type: ignore[union-attr]
    await car.says(EventKind.STARTED, evse=1, id_token="CARD1", register_wh=500)
    await emsp.wait_for(lambda: emsp.session(started.reference))
    assert asked_about(emsp, "CARD1") == 0


def asked_about(emsp: Emsp, uid: str) -> int:
    return len([each for each in emsp.arrivals if f"/{uid}/authorize" in str(each.path)])


# ---------------------------------------------------------------- cancelling


async def test_cm_18_a_partner_takes_its_reservation_back(desk: World, emsp: Emsp) -> None:
    own = await held(emsp, desk)
    command = await emsp.cancel_reservation("R1")
    assert (command.answer, await command.result()) == ("ACCEPTED", "ACCEPTED")
    assert [each.reservation for each in sent(desk, CancelReservation)] == [own.id]
    session = await session_as(emsp, own, "COMPLETED")
    assert session["kwh"] == 0
    assert desk.live.evse(EVSE).status.value == "available"
    assert not emsp.complaints


async def test_cm_18_what_is_unknown_foreign_or_over_is_refused(desk: World, emsp: Emsp) -> None:
    await held(emsp, desk)
    async with Emsp(party_id="OTH") as other:
        await desk.connect(other)
        assert (await other.cancel_reservation("R1")).answer == "REJECTED"
    assert (await emsp.cancel_reservation("R2")).answer == "REJECTED"
    assert desk.reserving.named(EMP, "R1") is not None
    desk.link.answer = Answer(Outcome.REJECTED)  # the charger holds it no longer
    assert await (await emsp.cancel_reservation("R1")).result() == "UNKNOWN_RESERVATION"
    assert (await emsp.cancel_reservation("R1")).answer == "REJECTED"


async def test_cm_18_taking_it_back_may_cost(desk: World, emsp: Emsp) -> None:
    await priced(desk)
    own = await held(emsp, desk)
    await (await emsp.cancel_reservation("R1")).result()
    bill = await bill_of(emsp, own)
    assert bill["total_cost"]["incl_vat"] == 1  # 10 minutes, the least
    assert bill["total_reservation_cost"] == bill["total_cost"]
    assert not emsp.complaints and not emsp.cost_differences


async def test_cm_17_what_we_let_go_is_told_at_the_address_of_its_reservation(
    desk: World, emsp: Emsp
) -> None:
    await priced(desk)
    own = await held(emsp, desk)
    await desk.reserving.cancel(own, CoreAsker("key:boss", reason="road works"))
    [command] = [each for each in emsp.commands.values() if each.name == "RESERVE_NOW"]
    await emsp.wait_for(lambda: command.results == ["ACCEPTED", "CANCELED_RESERVATION"])
    await session_as(emsp, own, "COMPLETED")
    await until(lambda: not desk.reserving.unheard())
    assert emsp.cdr_of(own.session) is None  # and nothing is charged for it
    assert not emsp.complaints


async def test_cm_17_what_the_charger_cannot_keep_is_told_too(desk: World, emsp: Emsp) -> None:
    own = await held(emsp, desk)
    visit = await Car(desk).here()
    frame = Frame(visit, "Call", b"raw", now())
    await desk.desk.reservation_ended(frame, own.id, expired=False)
    [command] = emsp.commands.values()
    await emsp.wait_for(lambda: command.results == ["ACCEPTED", "CANCELED_RESERVATION"])


async def test_cm_17_a_restart_does_not_keep_it_from_being_told() -> None:
    async with running() as cpo, Emsp() as emsp:
        await cpo.small_network()
        await reservable(cpo)
        await cpo.connect(emsp)
        own = await held(emsp, cpo)
        cpo.reserving.on_let_go = lambda each: None  # it dies before it could tell
        await cpo.reserving.let_go(own.id, "the station removed it")
        async with running(cpo.store):
            [command] = emsp.commands.values()
            await emsp.wait_for(lambda: command.results == ["ACCEPTED", "CANCELED_RESERVATION"])
        assert not emsp.complaints


# ---------------------------------------------------------------- paying


async def expire(cpo: World, own: Reservation) -> None:
    """Its time is over by the charger's own word."""
    book, hold = cpo.remote.reservations, own.hold
    over = replace(own, hold=replace(hold, expires_at=now()))
    book.put(over)
    visit = await Car(cpo).here()
    await cpo.desk.reservation_ended(Frame(visit, "Call", b"raw", now()), own.id, expired=True)


async def test_co_22_and_23_and_cd_13_an_expired_reservation_is_billed(
    desk: World, emsp: Emsp
) -> None:
    await priced(desk)
    await reservable(desk, 2, any_of=True)
    own = await held(emsp, desk, evse_uid=None)
    await expire(desk, own)
    await session_as(emsp, own, "COMPLETED")
    bill = await bill_of(emsp, own)
    assert bill["total_cost"]["incl_vat"] == 5  # 10 minutes, and 4 for not coming
    assert bill["total_reservation_cost"] == bill["total_cost"]
    assert (bill["total_energy"], bill["session_id"]) == (0, own.session)
    place = bill["cdr_location"]
    assert {place[name] for name in ("evse_uid", "evse_id", "connector_id")} == {"#NA"}
    [period] = bill["charging_periods"]
    assert [each["type"] for each in period["dimensions"]] == ["RESERVATION_TIME"]
    assert "total_fixed_cost" not in bill
    assert not emsp.complaints and not emsp.cost_differences


async def test_co_20_to_23_and_cd_14_a_used_reservation_pays_both(desk: World, emsp: Emsp) -> None:
    await priced(desk)
    own = await held(emsp, desk)
    started = now() - timedelta(seconds=1)
    book = desk.remote.reservations
    book.put(replace(own, held_at=started - timedelta(minutes=22)))  # 22 minutes of waiting
    car = Car(desk)
    ack = await car.says(EventKind.STARTED, evse=1, id_token="CARD1", register_wh=500, at=started)
    await car.says(EventKind.ENDED, ack.transaction, register_wh=1500)
    await desk.settling.settle_due()
    bill = await bill_of(emsp, own)
    assert bill["total_reservation_cost"]["incl_vat"] == 3  # 30 minutes at 6 an hour
    assert bill["total_energy_cost"]["incl_vat"] == 18
    assert bill["total_cost"]["incl_vat"] == 21
    first, *rest = bill["charging_periods"]
    assert first["start_date_time"] == bill["start_date_time"]
    assert [each["type"] for each in first["dimensions"]] == ["RESERVATION_TIME"]
    assert rest and bill["cdr_location"]["evse_uid"] == "CS1-1"
    assert not emsp.complaints and not emsp.cost_differences


async def test_se_10_an_unused_reservation_that_is_free_ends_without_a_bill(
    desk: World, emsp: Emsp
) -> None:
    own = await held(emsp, desk)
    await expire(desk, own)
    session = await session_as(emsp, own, "COMPLETED")
    assert session["kwh"] == 0
    kept = await desk.store.reservation(own.id)
    assert kept is not None and kept.state is ReservationState.EXPIRED
    assert await desk.store.cdr_of(own.session) is None  # type: ignore[arg-type]


# ---------------------------------------------------------------- 2.1.1


async def test_b3_03_and_b5_06_2_1_1_reserves_by_number_and_sees_a_pending_session(
    cpo: World,
) -> None:
    await reservable(cpo)
    async with Emsp(version="2.1.1") as old:
        await cpo.connect(old)
        command = await old.command(
            "RESERVE_NOW",
            reservation_id=7,
            expiry_date=(now() + HOUR).strftime("%Y-%m-%dT%H:%M:%SZ"),
            location_id=SITE,
            evse_uid="CS1-1",
            token=old.tokens.add("CARD1"),
        )
        assert (command.answer, await command.result()) == ("ACCEPTED", "ACCEPTED")
        own = cpo.reserving.named(EMP, "7")
        assert own is not None
        await session_as(old, own, "PENDING")
        await cpo.reserving.cancel(own, CoreAsker("key:boss"))
        await session_as(old, own, "COMPLETED")
        await until(lambda: not cpo.reserving.unheard())
        assert command.results == ["ACCEPTED"]  # this version has no word for it
        assert not old.complaints
