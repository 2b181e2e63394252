"""Reservations: what becomes of them, whoever speaks first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from cms.app.ports import StatusReport, Visit
from cms.app.remote import Asker, Refusal, StartWish
from cms.app.reserving import ReserveWish
from cms.app.writes import CommandRecord
from cms.domain.commands import Answer, CancelReservation, Command, Outcome, RemoteStart, Reserve
from cms.domain.errors import InvalidValue
from cms.domain.ids import EvseRef, TransactionId
from cms.domain.reservation import Reservation, ReservationState, shown_for
from cms.domain.session import SessionStatus
from cms.domain.status import ConnectorReport, EvseStatus, Presence
from cms.domain.tariff import Dimension, Element, PriceComponent, ReservationPhase, Restrictions
from cms.domain.token import AuthMethod, Decision, Token, TokenType, Verdict, Whitelist
from cms.domain.transaction import ChargingState, EventKind
from tests.unit.world import CS1, CS2, EMS, SITE, TARIFF, World, token

APP = replace(token("APP-USER-0815", EMS), type=TokenType.APP_USER, whitelist=Whitelist.NEVER)
CARD = replace(token("04A1B2C3", EMS), whitelist=Whitelist.NEVER)
PARTNER = Asker("partner:IN*EMS", "https://ems.example/reply/1")
E1, E2 = EvseRef(CS1, 1), EvseRef(CS1, 2)


class Place:
    """A world with two stations online whose EVSEs can be reserved."""

    def __init__(self) -> None:
        self.world = World()
        self.let_go: list[Reservation] = []
        for id, station in list(self.world.catalogue.stations.items()):
            evses = tuple(
                replace(each, capabilities=(*each.capabilities, "RESERVABLE"))
                for each in station.evses
            )
            self.world.catalogue.put_station(replace(station, evses=evses, reserves_any=True))
            del id
        self.world.reserving.on_let_go = self.let_go.append
        self.visits: dict[Any, Visit] = {}

    async def connect(self) -> None:
        for station in (CS1, CS2):
            self.visits[station] = await self.world.stations.connected(station, "peer", "1.6")
            for evse in (1, 2):
                await self.status(EvseRef(station, evse), ConnectorReport.FREE)

    async def status(self, ref: EvseRef, report: ConnectorReport) -> None:
        visit = self.visits[ref.station]
        soon = self.world.stations.reported(
            self.world.frame(visit), StatusReport(ref.evse, 1, report)
        )
        if soon is not None:
            await soon

    def wish(
        self, who: Token = APP, *evses: EvseRef, minutes: float = 30, **more: Any
    ) -> ReserveWish:
        until = self.world.now + timedelta(minutes=minutes)
        wish = ReserveWish("R1", SITE, evses or (E1,), who, until, EMS, reference="REF-1")
        return replace(wish, **more)

    async def ask(self, wish: ReserveWish) -> CommandRecord:
        accepted = await self.world.reserving.accept(wish, PARTNER)
        assert isinstance(accepted, CommandRecord), accepted
        return accepted

    async def hold(self, wish: ReserveWish | None = None) -> Reservation:
        record = await self.ask(wish or self.wish())
        answer = await self.world.reserving.carry_out(record)
        assert answer.outcome is Outcome.ACCEPTED
        return self.kept(record)

    def kept(self, record: CommandRecord) -> Reservation:
        assert record.reservation is not None
        return self.world.store.reserved[record.reservation]

    def now(self, own: Reservation) -> Reservation:
        return self.world.store.reserved[own.id]

    def session(self, own: Reservation) -> Any:
        return self.world.store.rows[self.now(own).session]  # type: ignore[index]

    def sent(self, kind: type[Command]) -> Sequence[Any]:
        return [each for each in self.world.link.sent if isinstance(each, kind)]

    def status_of(self, ref: EvseRef) -> EvseStatus:
        return self.world.live.evse(ref).status

    def priced(self) -> None:
        """Reserved time costs 0.10 a minute in steps of 10 minutes; not to come costs 4 more."""
        tariff = replace(
            TARIFF,
            elements=(
                *TARIFF.elements,
                Element(
                    (PriceComponent(Dimension.TIME, Decimal("6.00"), 600),),
                    Restrictions(reservation=ReservationPhase.RESERVED),
                ),
                Element(
                    (PriceComponent(Dimension.FLAT, Decimal("4.00")),),
                    Restrictions(reservation=ReservationPhase.EXPIRED),
                ),
            ),
        )
        self.world.catalogue.tariffs[TARIFF.id] = tariff


@pytest.fixture
async def place() -> Place:
    it = Place()
    await it.connect()
    return it


# ---------------------------------------------------------------- what a station is asked


def test_a_card_is_held_under_its_own_number_and_an_app_under_a_drawn_one() -> None:
    assert shown_for(CARD, "DRAWN") == ("04A1B2C3", True)
    assert shown_for(APP, "DRAWN") == ("DRAWN", False)
    assert shown_for(replace(CARD, uid="X" * 21), "DRAWN") == ("DRAWN", False)
    assert shown_for(replace(CARD, type=TokenType.OTHER), "DRAWN") == ("DRAWN", False)


async def test_a_reservation_is_durable_before_it_is_asked_and_shown_once_it_is_held(
    place: Place,
) -> None:
    record = await place.ask(place.wish())
    assert place.kept(record).state is ReservationState.ASKED
    assert not place.world.link.sent
    assert place.status_of(E1) is EvseStatus.AVAILABLE
    await place.world.reserving.carry_out(record)
    own = place.kept(record)
    (sent,) = place.sent(Reserve)
    assert (own.state, own.id) == (ReservationState.HELD, sent.reservation)
    assert 0 < own.id < 2**31
    assert len(sent.id_token) == 16 and not sent.card
    assert place.status_of(E1) is EvseStatus.RESERVED
    session = place.session(own)
    assert session.status is SessionStatus.RESERVED
    assert (session.owner, session.token, session.reference) == (EMS, APP, "REF-1")
    assert session.method is AuthMethod.COMMAND
    assert place.world.live.session(session.id) == session


async def test_equal_names_of_two_owners_are_two_reservations(place: Place) -> None:
    own = await place.hold()
    other = replace(place.wish(token("CARD"), E2), owner=None)
    assert (await place.hold(other)).id != own.id


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Outcome.OCCUPIED, Outcome.OCCUPIED),
        (Outcome.INOPERATIVE, Outcome.INOPERATIVE),
        (Outcome.REJECTED, Outcome.REJECTED),
        (Outcome.NOT_SUPPORTED, Outcome.NOT_SUPPORTED),
    ],
)
async def test_a_station_that_will_not_is_believed(
    place: Place, outcome: Outcome, told: Outcome
) -> None:
    record = await place.ask(place.wish())
    place.world.link.answer = Answer(outcome)
    assert (await place.world.reserving.carry_out(record)).outcome is told
    own = place.kept(record)
    assert (own.state, own.owed, own.session) == (ReservationState.REFUSED, False, None)
    assert place.world.store.starts[record.id].outcome == told
    assert place.status_of(E1) is EvseStatus.AVAILABLE


# ---------------------------------------------------------------- what is not even asked


async def test_what_cannot_be_reserved_is_refused_at_once(place: Place) -> None:
    accept, store = place.world.reserving.accept, place.world.store
    await place.status(E2, ConnectorReport.OCCUPIED)
    assert await accept(place.wish(APP, E2), PARTNER) is Refusal.BUSY
    await place.status(E2, ConnectorReport.FAULTED)
    assert await accept(place.wish(APP, E2), PARTNER) is Refusal.INOPERATIVE
    assert await accept(place.wish(APP, EvseRef(CS1, 9)), PARTNER) is Refusal.UNKNOWN_EVSE
    with pytest.raises(InvalidValue, match="past"):
        await accept(place.wish(minutes=-1), PARTNER)
    await place.world.stations.disconnected(place.visits[CS2])
    assert await accept(place.wish(APP, EvseRef(CS2, 1)), PARTNER) is Refusal.OFFLINE
    await place.hold()
    other = replace(place.wish(token("CARD")), owner=None, name="R2")
    assert await accept(other, PARTNER) is Refusal.RESERVED
    assert len(store.reserved) == 1


async def test_an_evse_that_cannot_be_reserved_says_so(place: Place) -> None:
    station = place.world.catalogue.stations[CS1]
    plain = tuple(replace(each, capabilities=("RFID_READER",)) for each in station.evses)
    place.world.catalogue.put_station(replace(station, evses=plain))
    assert await place.world.reserving.accept(place.wish(), PARTNER) is Refusal.NOT_RESERVABLE


async def test_of_two_wishes_for_one_evse_at_one_moment_one_is_refused(place: Place) -> None:
    accept = place.world.reserving.accept
    other = replace(place.wish(), name="R2")
    got = await asyncio.gather(accept(place.wish(), PARTNER), accept(other, PARTNER))
    assert [isinstance(each, CommandRecord) for each in got] == [True, False]


async def test_without_an_evse_the_first_free_one_is_held(place: Place) -> None:
    await place.status(E1, ConnectorReport.OCCUPIED)
    own = await place.hold(place.wish(APP, E1, E2))
    assert own.hold.evse == 2


# ---------------------------------------------------------------- replacing


async def test_the_same_name_again_replaces_under_the_same_number(place: Place) -> None:
    own = await place.hold()
    later = await place.hold(place.wish(CARD, E2, minutes=60))
    assert later.id == own.id
    assert (later.hold.evse, later.hold.id_token) == (2, CARD.uid)
    assert later.session == own.session
    assert place.status_of(E1) is EvseStatus.AVAILABLE
    assert place.status_of(E2) is EvseStatus.RESERVED
    assert place.session(own).evse == 2
    assert [each.reservation for each in place.sent(Reserve)] == [own.id, own.id]


async def test_a_replacement_that_is_refused_leaves_what_was_held(place: Place) -> None:
    own = await place.hold()
    record = await place.ask(place.wish(minutes=60))
    place.world.link.answer = Answer(Outcome.REJECTED)
    await place.world.reserving.carry_out(record)
    after = place.now(own)
    assert (after.state, after.hold, after.asked) == (ReservationState.HELD, own.hold, None)


async def test_a_replacement_at_another_station_lets_the_first_one_go(place: Place) -> None:
    own = await place.hold()
    later = await place.hold(place.wish(APP, EvseRef(CS2, 1)))
    assert later.id != own.id
    assert place.now(own).state is ReservationState.CANCELLED
    assert place.session(own).status is SessionStatus.COMPLETED
    await place.world.reserving.pay_debts()
    assert [each.reservation for each in place.sent(CancelReservation)] == [own.id]
    assert not place.now(own).owed


# ---------------------------------------------------------------- being used


async def test_the_app_starts_with_the_reserved_token_and_the_session_goes_on(
    place: Place,
) -> None:
    own = await place.hold()
    await place.status(E1, ConnectorReport.RESERVED)
    place.world.later(minutes=5)
    wish = StartWish(E1, APP, EMS, reference="REF-2")
    record = await place.world.remote.accept_start(wish, PARTNER)
    assert isinstance(record, CommandRecord)
    await place.world.remote.carry_out(record)
    (sent,) = place.sent(RemoteStart)
    assert (sent.id_token, sent.card) == (own.hold.id_token, False)
    ack = await place.world.start(place.visits[CS1], own.hold.id_token, reservation=own.id)
    assert ack.verdict is Verdict.ACCEPTED
    session = place.session(own)
    assert session.id == own.session
    assert (session.status, session.reference) == (SessionStatus.ACTIVE, "REF-2")
    assert (session.command, session.held_from) == (record.id, own.held_at)
    assert session.started_at == place.world.now
    assert place.now(own).state is ReservationState.USED
    assert place.world.live.evse(E1).reservation is None
    assert place.world.partners.asked == []


async def test_a_start_that_does_not_say_which_reservation_uses_it_all_the_same(
    place: Place,
) -> None:
    own = await place.hold(place.wish(CARD))
    await place.world.start(place.visits[CS1], CARD.uid)
    assert place.session(own).status is SessionStatus.ACTIVE
    assert place.now(own).state is ReservationState.USED


async def test_a_card_of_the_same_group_may_use_it(place: Place) -> None:
    mine, yours = (replace(each, group="FLEET") for each in (CARD, token("04D4", EMS)))
    place.world.catalogue.put_token(yours)
    own = await place.hold(place.wish(mine))
    (sent,) = place.sent(Reserve)
    assert sent.group == mine.group_name == yours.group_name
    assert sent.group != replace(mine, partner=None).group_name
    await place.world.start(place.visits[CS1], yours.uid, reservation=own.id)
    assert place.now(own).state is ReservationState.USED
    assert place.session(own).token == yours


async def test_nobody_else_starts_from_afar_where_it_is_held(place: Place) -> None:
    await place.hold()
    other = StartWish(E1, token("CARD"), None)
    assert await place.world.remote.accept_start(other, PARTNER) is Refusal.RESERVED
    assert isinstance(
        await place.world.remote.accept_start(StartWish(E2, token("CARD"), None), PARTNER),
        CommandRecord,
    )


async def test_a_start_of_yesterday_does_not_use_it(place: Place) -> None:
    place.world.catalogue.put_token(replace(CARD, whitelist=Whitelist.ALWAYS))
    own = await place.hold(place.wish(CARD))
    yesterday = place.world.now - timedelta(days=1)
    await place.world.start(place.visits[CS1], CARD.uid, at=yesterday)
    assert place.now(own).state is ReservationState.HELD


async def test_a_car_that_was_plugged_in_before_its_token_goes_on_under_the_reservation(
    place: Place,
) -> None:
    own = await place.hold(place.wish(CARD))
    visit, world = place.visits[CS1], place.world
    await world.tell(visit, "T1", EventKind.STARTED, seq_no=0, evse=1, register_wh=1000)
    (plugged,) = [each for each in world.store.rows.values() if each.id != own.session]
    world.later(seconds=5)
    await world.tell(visit, "T1", EventKind.UPDATED, seq_no=1, id_token=CARD.uid)
    assert plugged.id not in world.store.rows
    session = place.session(own)
    assert (session.id, session.transaction) == (own.session, TransactionId("T1"))
    assert session.status is SessionStatus.ACTIVE
    assert world.live.evse(E1).session == own.session
    world.later(minutes=10)
    await world.tell(visit, "T1", EventKind.ENDED, seq_no=2, register_wh=3000, evse=1)
    await world.settling.settle_due()
    assert world.bill().session == own.session
    assert world.bill().energy_wh == 2000


async def test_a_start_may_come_before_the_stations_own_yes(place: Place) -> None:
    record = await place.ask(place.wish(CARD))
    await place.world.start(place.visits[CS1], CARD.uid, reservation=record.reservation)
    answer = await place.world.reserving.carry_out(record)
    assert answer.outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN)
    assert place.kept(record).state is ReservationState.USED
    assert len(place.world.store.rows) == 1


# ---------------------------------------------------------------- who is asked about a card


async def test_a_card_named_in_a_command_is_not_asked_about_for_a_quarter_of_an_hour(
    place: Place,
) -> None:
    world = place.world
    world.catalogue.put_token(CARD)
    await place.hold(place.wish(CARD, minutes=60))
    decision = world.charging.authorize(CS1, CARD.uid, None)
    assert decision.accepted and decision.method is AuthMethod.COMMAND  # type: ignore[union-attr]
    assert decision.reference == "REF-1"  # type: ignore[union-attr]
    world.later(minutes=16)
    asked = world.charging.authorize(CS1, CARD.uid, None)
    assert not hasattr(asked, "accepted")  # now its partner is asked
    await asked  # type: ignore[misc]
    assert world.partners.asked == [CARD.uid]


async def test_elsewhere_the_card_is_asked_about(place: Place) -> None:
    place.world.catalogue.put_token(CARD)
    await place.hold(place.wish(CARD))
    await place.world.charging.authorize(CS2, CARD.uid, None)  # type: ignore[misc]
    assert place.world.partners.asked == [CARD.uid]


async def test_a_card_that_its_partner_changed_is_asked_about_again(place: Place) -> None:
    place.world.catalogue.put_token(CARD)
    await place.hold(place.wish(CARD))
    place.world.remote.vouchers.forget(EMS, CARD.uid)
    await place.world.charging.authorize(CS1, CARD.uid, None)  # type: ignore[misc]
    assert place.world.partners.asked == [CARD.uid]


async def test_drawn_characters_are_good_for_the_reservation_and_its_station_only(
    place: Place,
) -> None:
    own = await place.hold()
    there = place.world.charging.authorize(CS2, own.hold.id_token, None)
    here = place.world.charging.authorize(CS1, own.hold.id_token, None)
    assert here.accepted and not there.accepted  # type: ignore[union-attr]


async def test_a_start_command_vouches_for_its_card_too_also_after_a_restart(place: Place) -> None:
    world = place.world
    world.catalogue.put_token(CARD)
    record = await world.remote.accept_start(StartWish(E1, CARD, EMS, reference="S1"), PARTNER)
    assert isinstance(record, CommandRecord)
    other = await world.restarted()
    other.catalogue.put_token(CARD)
    decision = other.charging.authorize(CS1, CARD.uid, None)
    assert decision.accepted and decision.reference == "S1"  # type: ignore[union-attr]


# ---------------------------------------------------------------- ending


async def test_an_expired_one_is_billed_where_the_tariff_says_so(place: Place) -> None:
    place.priced()
    own = await place.hold(place.wish(minutes=22))
    place.world.later(minutes=22, seconds=16)
    await place.world.reserving.look()
    assert place.now(own).state is ReservationState.EXPIRED
    bill = place.world.bill()
    assert bill.session == own.session
    assert (bill.started_at, bill.ended_at) == (own.held_at, own.hold.expires_at)
    assert bill.energy_wh == 0
    assert bill.rating.reservation.gross.amount == Decimal("7.00")  # 30 minutes, and not to come
    assert place.session(own).status is SessionStatus.COMPLETED
    assert place.status_of(E1) is EvseStatus.AVAILABLE
    assert place.let_go == []


async def test_an_expired_one_costs_nothing_where_reserving_is_free(place: Place) -> None:
    own = await place.hold()
    place.world.later(minutes=31)
    await place.world.reserving.look()
    assert place.session(own).status is SessionStatus.COMPLETED
    assert place.world.store.bills == {}


async def test_a_used_one_pays_both_parts_from_its_beginning(place: Place) -> None:
    place.priced()
    own = await place.hold(place.wish(CARD))
    place.world.partners.answer = Decision(
        Verdict.ACCEPTED, "yes", CARD, AuthMethod.REQUEST, "REF-3"
    )
    place.world.later(minutes=22)
    ack = await place.world.start(place.visits[CS1], CARD.uid, wh=1000)
    place.world.later(minutes=30)
    await place.world.stop(place.visits[CS1], ack.transaction, wh=2000)
    await place.world.settling.settle_due()
    bill = place.world.bill()
    assert bill.started_at == own.held_at
    assert bill.rating.reservation.gross.amount == Decimal("3.00")
    assert bill.total.gross.amount == Decimal("21.00")
    assert bill.total_time == timedelta(minutes=30)
    assert bill.reference == "REF-3"  # after a quarter of an hour its partner was asked


async def test_one_that_its_driver_took_back_pays_for_its_time(place: Place) -> None:
    place.priced()
    own = await place.hold()
    place.world.later(minutes=5)
    record = await place.world.reserving.accept_cancel(own, PARTNER)
    assert isinstance(record, CommandRecord)
    answer = await place.world.reserving.carry_out(record)
    assert answer.outcome is Outcome.ACCEPTED
    assert place.world.bill().total.gross.amount == Decimal("1.00")
    assert place.let_go == []


async def test_one_that_we_let_go_costs_nothing_and_its_owner_is_told(place: Place) -> None:
    place.priced()
    own = await place.hold()
    await place.world.reserving.cancel(own, Asker("key:boss", reason="road works"))
    assert [each.id for each in place.let_go] == [own.id]
    assert place.now(own).unheard
    assert place.world.store.bills == {}
    await place.world.reserving.told(own.id)
    assert not place.now(own).unheard
    assert place.world.reserving.unheard() == []


async def test_a_station_that_holds_it_no_longer_says_so(place: Place) -> None:
    own = await place.hold()
    record = await place.world.reserving.accept_cancel(own, PARTNER)
    assert isinstance(record, CommandRecord)
    place.world.link.answer = Answer(Outcome.REJECTED)
    answer = await place.world.reserving.carry_out(record)
    assert answer.outcome is Outcome.UNKNOWN
    assert place.now(own).state is ReservationState.CANCELLED


@pytest.mark.parametrize(
    ("expired", "minutes", "state", "told"),
    [
        (False, 1, ReservationState.CANCELLED, True),
        (True, 1, ReservationState.CANCELLED, True),  # before its time: the station's own doing
        (True, 30, ReservationState.EXPIRED, False),
    ],
)
async def test_a_station_that_lets_go_by_itself(
    place: Place, expired: bool, minutes: int, state: ReservationState, told: bool
) -> None:
    own = await place.hold()
    place.world.later(minutes=minutes)
    frame = place.world.frame(place.visits[CS1])
    await place.world.desk.reservation_ended(frame, own.id, expired)
    assert place.now(own).state is state
    assert bool(place.let_go) is told
    assert place.session(own).status is SessionStatus.COMPLETED


async def test_another_station_cannot_end_it(place: Place) -> None:
    own = await place.hold()
    frame = place.world.frame(place.visits[CS2])
    await place.world.desk.reservation_ended(frame, own.id, False)
    assert place.now(own).state is ReservationState.HELD


async def test_an_evse_that_breaks_or_is_taken_lets_it_go(place: Place) -> None:
    own = await place.hold()
    await place.status(E1, ConnectorReport.FAULTED)
    await place.world.reserving.look()
    assert place.now(own).why == "the EVSE is out of order"
    other = await place.hold(place.wish(APP, E2))
    await place.world.start(place.visits[CS1], "CARD", evse=2)
    await place.world.reserving.look()
    assert place.now(other).why == "somebody else charges there"
    assert [each.id for each in place.let_go] == [own.id, other.id]


# ---------------------------------------------------------------- faults


async def test_a_yes_that_comes_too_late_is_taken_back(place: Place) -> None:
    record = await place.ask(place.wish())
    assert (await place.world.reserving.give_up(record)).outcome is Outcome.TIMEOUT
    own = place.kept(record)
    assert (own.state, own.owed) == (ReservationState.REFUSED, True)
    answer = await place.world.reserving.carry_out(record)  # the station says yes all the same
    assert answer.outcome is Outcome.TIMEOUT
    assert place.kept(record).state is ReservationState.REFUSED
    assert place.world.store.rows == {}
    await place.world.reserving.pay_debts()
    assert [each.reservation for each in place.sent(CancelReservation)] == [own.id]
    assert not place.kept(record).owed


async def test_a_yes_a_moment_before_the_time_is_over_is_what_is_told(place: Place) -> None:
    record = await place.ask(place.wish())
    await place.world.reserving.carry_out(record)
    assert (await place.world.reserving.give_up(record)).outcome is Outcome.ACCEPTED
    assert place.kept(record).state is ReservationState.HELD


async def test_a_silent_station_is_told_to_let_go_until_it_answers(place: Place) -> None:
    record = await place.ask(place.wish())
    place.world.link.answer = Answer(Outcome.TIMEOUT)
    await place.world.reserving.carry_out(record)
    for _ in range(3):
        await place.world.reserving.pay_debts()
    assert len(place.sent(CancelReservation)) == 3
    place.world.link.answer = Answer(Outcome.REJECTED)
    await place.world.reserving.pay_debts()
    await place.world.reserving.pay_debts()
    assert len(place.sent(CancelReservation)) == 4


async def test_a_restart_between_promise_and_outcome_takes_it_back(place: Place) -> None:
    record = await place.ask(place.wish())
    other = await place.world.restarted()
    own = other.store.reserved[record.reservation]  # type: ignore[index]
    assert (own.state, own.owed) == (ReservationState.REFUSED, True)
    assert other.store.starts[record.id].outcome == Outcome.TIMEOUT


async def test_what_is_held_survives_a_restart(place: Place) -> None:
    own = await place.hold(place.wish(CARD))
    other = await place.world.restarted()
    for evse in other.live.station(CS1):
        other.live.put(replace(evse, presence=Presence.ONLINE))
    assert other.live.evse(E1).reservation == own.id
    assert other.reserving.named(EMS, "r1") is not None
    visit = await other.stations.connected(CS1, "peer", "1.6")
    await other.start(visit, CARD.uid, reservation=own.id)
    assert other.store.reserved[own.id].state is ReservationState.USED
    assert other.store.rows[own.session].status is SessionStatus.ACTIVE  # type: ignore[index]


async def test_one_whose_time_ends_while_the_station_is_away_waits_for_the_station(
    place: Place,
) -> None:
    own = await place.hold(place.wish(CARD))
    await place.world.stations.disconnected(place.visits[CS1])
    came = place.world.later(minutes=20)
    place.world.later(minutes=40)
    await place.world.reserving.look()
    assert place.now(own).state is ReservationState.HELD  # long over; but who knows
    visit = await place.world.stations.connected(CS1, "peer", "1.6")
    place.world.later(seconds=5)
    await place.world.start(visit, CARD.uid, at=came, reservation=own.id)
    assert place.now(own).state is ReservationState.USED
    assert place.session(own).started_at == came


async def test_one_whose_station_stays_away_ends_after_a_day(place: Place) -> None:
    own = await place.hold()
    await place.world.stations.disconnected(place.visits[CS1])
    place.world.later(hours=25)
    await place.world.reserving.look()
    assert place.now(own).state is ReservationState.EXPIRED


async def test_a_station_that_is_away_is_told_of_our_cancelling_when_it_is_back(
    place: Place,
) -> None:
    own = await place.hold()
    await place.world.stations.disconnected(place.visits[CS1])
    answer = await place.world.reserving.cancel(own, Asker("key:boss"))
    assert answer.outcome is Outcome.SCHEDULED
    assert place.now(own).state is ReservationState.CANCELLED
    await place.world.reserving.pay_debts()
    assert place.sent(CancelReservation) == []
    await place.world.stations.connected(CS1, "peer", "1.6")
    await place.world.reserving.pay_debts()
    assert len(place.sent(CancelReservation)) == 1


# ---------------------------------------------------------------- any EVSE


async def test_any_evse_of_a_station_is_held_without_saying_which(place: Place) -> None:
    own = await place.hold(place.wish(CARD, E1, E2, any_of_station=True))
    (sent,) = place.sent(Reserve)
    assert (sent.evse, own.hold.evse) == (None, None)
    assert place.session(own).evse == 0
    await place.world.start(place.visits[CS1], CARD.uid, evse=2, reservation=own.id)
    session = place.session(own)
    assert (session.evse, session.id) == (2, own.session)
    assert session.tariff is not None


async def test_any_evse_that_nobody_came_for_is_billed_at_no_evse(place: Place) -> None:
    place.priced()
    await place.hold(place.wish(CARD, E1, E2, any_of_station=True))
    place.world.later(minutes=31)
    await place.world.reserving.look()
    bill = place.world.bill()
    assert (bill.place.evse, bill.place.connector) == (0, 0)
    assert bill.place.station == CS1


async def test_charging_state_of_a_used_one_goes_on_as_any_other(place: Place) -> None:
    own = await place.hold(place.wish(CARD))
    ack = await place.world.start(place.visits[CS1], CARD.uid)
    await place.world.samples(
        place.visits[CS1], ack.transaction, 1500, charging=ChargingState.CHARGING
    )
    assert place.session(own).delivered_wh == 500


async def test_the_chargers_own_word_counts_more_than_evse_and_clock(place: Place) -> None:
    own = await place.hold(place.wish(CARD))
    wrong_clock = place.world.now - timedelta(hours=5)
    await place.world.start(place.visits[CS1], CARD.uid, evse=2, at=wrong_clock, reservation=own.id)
    assert place.now(own).state is ReservationState.USED
    assert place.session(own).evse == 2
    assert place.status_of(E1) is EvseStatus.AVAILABLE  # it is held no longer


async def test_a_number_of_somebody_elses_reservation_moves_nothing(place: Place) -> None:
    own = await place.hold()
    await place.world.start(place.visits[CS1], "CARD", evse=2, reservation=own.id)
    assert place.now(own).state is ReservationState.HELD
    assert place.session(own).status is SessionStatus.RESERVED
