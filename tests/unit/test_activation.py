"""Since when a session counts: its driver may charge, and the car is there. Nothing else is billed."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest

from cms.app.writes import Touch
from cms.domain.folding import fold
from cms.domain.ids import TariffId, TransactionId
from cms.domain.rating import rate
from cms.domain.session import SessionStatus
from cms.domain.settlement import active_usages
from cms.domain.tariff import Dimension, Element, PriceComponent, Tariff
from cms.domain.transaction import ChargingState, EventKind, TransactionEvent
from cms.domain.usage import Reading, UsageKind, readings_since
from tests.unit.test_folding import at, ended, event, started, updated
from tests.unit.world import CS1, World

MINUTE = timedelta(minutes=1)
States = ChargingState


def plugged(minutes: int = 0, **more: object) -> TransactionEvent:
    return started(minutes, id_token=None, charging=States.CONNECTED, **more)


def told(minutes: int, **more: object) -> TransactionEvent:
    return event(EventKind.UPDATED, minutes, **more)


@pytest.mark.parametrize(
    ("events", "active"),
    [
        pytest.param([started()], 0, id="a start with a card that says nothing of the car"),
        pytest.param([plugged(), told(5, id_token="CARD")], 5, id="plugged in first"),
        pytest.param([plugged(), told(5, remote_start=7)], 5, id="started by an app"),
        pytest.param(
            [started(charging=States.IDLE), told(3), told(4, charging=States.CONNECTED)],
            4,
            id="the card first, then the car",
        ),
        pytest.param([plugged(), updated(9, 1010)], None, id="a meter that creeps"),
        pytest.param([plugged(), updated(9, 1010), updated(20, 1500)], 9, id="energy, unexplained"),
        pytest.param([plugged(), told(8, charging=States.CHARGING)], 8, id="it charges anyhow"),
        pytest.param([plugged(), told(8, charging=States.SUSPENDED_BY_STATION)], None, id="held"),
        pytest.param(
            [plugged(), ended(9, 1000, id_token="CARD")], None, id="a card that only ends"
        ),
    ],
)
def test_it_is_active_when_all_is_there(events: list[TransactionEvent], active: int | None) -> None:
    expected = None if active is None else at(active)
    assert {fold(order).active_at for order in permutations(events)} == {expected}


def test_it_is_never_active_after_its_end() -> None:
    late = [started(charging=States.IDLE), ended(10, 9000), told(20, charging=States.CHARGING)]
    assert fold(late).active_at == at(0)  # all its energy came within ten minutes of its start


def test_readings_before_count_as_read_when_it_became_active() -> None:
    readings = [
        Reading(at(0), 1000, False, 50),
        Reading(at(5), 1004),
        Reading(at(7), None, True),
        Reading(at(10), 1200, None, 7000, 3000),
        Reading(at(20), 2000),
    ]
    first, *rest = readings_since(readings, at(8))
    assert first == Reading(at(8), 1000, True)
    assert rest == readings[3:]  # the state of 7, the register of 0; of the power nothing is known
    assert readings_since(readings, at(0)) == tuple(readings)
    assert readings_since(readings, at(99)) == (
        Reading(at(20), 1000, True),
        readings[4],
    )
    assert readings_since((), at(1)) == ()


@pytest.mark.parametrize("active", [0, 1, 29, 30, 45, 60, 90])
def test_no_energy_is_lost_or_doubled_whenever_it_became_active(active: int) -> None:
    record = fold([started(), updated(30, 4000), ended()])
    usages = active_usages(record, at(active))
    assert sum(each.wh for each in usages) == record.energy_wh == 7000
    assert usages[0].start == at(min(active, 60)) and usages[-1].end == at(60)


def test_time_before_is_neither_charged_nor_parked() -> None:
    record = fold([plugged(), told(20, id_token="CARD"), updated(40, 4000), ended()])
    usages = active_usages(record, record.active_at)
    assert (usages[0].start, usages[0].kind) == (at(20), UsageKind.PARKING)
    parts = [PriceComponent(each, Decimal(6)) for each in (Dimension.TIME, Dimension.PARKING_TIME)]
    rating = rate(Tariff(TariffId("T"), "INR", (Element(tuple(parts)),)), usages, ZoneInfo("UTC"))
    assert rating.charging_time + rating.parking_time == 40 * MINUTE


def test_what_never_was_active_used_nothing() -> None:
    record = fold([started(charging=States.IDLE), ended(10, 1000)])
    assert record.active_at is None and active_usages(record, None) == ()


# ---------------------------------------------------------------- as it is seen while it runs


@pytest.fixture
def world() -> World:
    return World()


async def says(world: World, kind: EventKind, **more: object) -> None:
    """A charger that names its transactions itself tells one event, now."""
    visit = await world.desk.connected(CS1, "", "2.0.1")
    number = len(world.store.frames)
    heard = world.event(kind, None, evse=1, seq_no=number, **more)
    frame = world.frame(visit, "Event", heard.content)
    await world.desk.transaction(frame, TransactionId("TX1"), heard)


async def test_who_shows_a_card_before_the_car_is_there_waits_and_is_told_anew(
    world: World,
) -> None:
    shown = world.now
    await says(world, EventKind.STARTED, id_token="ROAM", register_wh=0, charging=States.IDLE)
    pending = world.session()
    assert (pending.status, pending.begun_at) == (SessionStatus.PENDING, shown)

    plugged_in = world.later(minutes=3)
    told_before = len(world.store.units)
    await says(world, EventKind.UPDATED, charging=States.CONNECTED)
    active = world.session()
    assert (active.status, active.begun_at) == (SessionStatus.ACTIVE, plugged_in)
    assert active.started_at == shown
    news = [write for unit in world.store.units[told_before:] for write in unit]
    assert any(isinstance(each, Touch) and each.key == active.id for each in news)

    again = await world.restarted()
    assert again.session() == active
    again.later(minutes=30)
    await says(again, EventKind.ENDED, register_wh=6000)
    await again.settling.settle_due()
    bill, done = again.bill(), again.session()
    assert (bill.started_at, done.begun_at) == (plugged_in, plugged_in)
    assert (bill.total_time, bill.energy_wh) == (30 * MINUTE, 6000)
    assert bill.rating.periods[0].start == plugged_in


async def test_a_car_that_was_plugged_in_first_pays_from_its_card_on(world: World) -> None:
    await says(world, EventKind.STARTED, register_wh=0, charging=States.CONNECTED)
    carded = world.later(minutes=20)
    await says(world, EventKind.UPDATED, id_token="ROAM")
    assert (world.session().status, world.session().begun_at) == (SessionStatus.ACTIVE, carded)
    world.later(minutes=10)
    await says(world, EventKind.ENDED, register_wh=100)
    await world.settling.settle_due()
    bill = world.bill()
    assert (bill.started_at, bill.total_time, bill.energy_wh) == (carded, 10 * MINUTE, 100)


async def test_a_card_whose_car_never_came_owes_nothing(world: World) -> None:
    await says(world, EventKind.STARTED, id_token="ROAM", register_wh=0, charging=States.IDLE)
    world.later(minutes=2)
    await says(world, EventKind.ENDED, register_wh=0)
    assert world.session().activated_at is None
    await world.settling.settle_due()
    assert world.session().status is SessionStatus.COMPLETED
    assert world.bill().total.gross.amount == 0 and world.bill().rating.lines == ()


async def test_a_start_that_comes_last_moves_the_beginning_to_it(world: World) -> None:
    began = world.now
    first = world.event(
        EventKind.STARTED, began, evse=1, seq_no=0, id_token="ROAM", register_wh=0,
        charging=States.CONNECTED,
    )  # fmt: skip
    world.later(minutes=5)
    await says(world, EventKind.UPDATED, charging=States.CHARGING)
    assert world.session().begun_at == world.now
    visit = await world.desk.connected(CS1, "", "2.0.1")
    frame = world.frame(visit, "Event", first.content)
    await world.desk.transaction(frame, TransactionId("TX1"), first)
    assert (world.session().status, world.session().begun_at) == (SessionStatus.ACTIVE, began)


async def test_a_price_that_changes_while_a_car_waits_for_its_card_is_that_of_the_card(
    world: World,
) -> None:
    await says(world, EventKind.STARTED, register_wh=0, charging=States.CONNECTED)
    world.later(minutes=20)
    asked: list[datetime] = []
    shown = world.charging.terms.shown

    def noted(ref: object, connector: object, owner: object, at: datetime) -> object:
        asked.append(at)
        return shown(ref, connector, owner, at)  # type: ignore[arg-type]

    world.charging.terms.shown = noted  # type: ignore[assignment, method-assign]
    await says(world, EventKind.UPDATED, id_token="ROAM")
    assert asked == [world.now]
