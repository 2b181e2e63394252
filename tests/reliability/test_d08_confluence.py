"""D08: any order, duplicates, gaps: what a transaction was is a function of the set of its events."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cms.domain.folding import fold
from cms.domain.meter import Quantity, Sample
from cms.domain.transaction import ChargingState, EventKind, Flag, TransactionEvent
from tests.unit.world import CS1, World

T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
SEED = 20_260_301
STREAMS = 400
ORDERS = 50


def stream(dice: random.Random) -> list[TransactionEvent]:
    """One charger's transaction, with the oddities that real firmware has."""
    numbering = dice.choice(["counts", "counts", "zeros", "none"])
    first = dice.choice([0, 0, 17])
    register, now = dice.randrange(10**6), T0
    events: list[TransactionEvent] = []
    for index in range(dice.randrange(2, 12)):
        last = dice.random() < 0.15 or index == 11
        kind = EventKind.STARTED if index == 0 else EventKind.ENDED if last else EventKind.UPDATED
        register += dice.choice([0, 250, 250, 400, -3])
        now += timedelta(seconds=dice.choice([0, 1, 30, 60]))
        events.append(
            TransactionEvent(
                kind,
                now,
                now + timedelta(seconds=index),
                dice.randbytes(8),
                seq_no={"counts": first + index, "zeros": 0, "none": None}[numbering],
                evse=1,
                id_token="CARD" if index == 0 else None,
                register_wh=register if kind is not EventKind.UPDATED else None,
                samples=(Sample(now, Quantity.ENERGY_REGISTER, register),),
                charging=dice.choice([None, *ChargingState]),
                flags=dice.choice([(), (), (), (Flag.DARK,), (Flag.STITCHED,)]),
            )
        )
        if last:
            break
    if dice.random() < 0.2:
        events.append(replace(events[-1], content=dice.randbytes(8), register_wh=register + 500))
    if dice.random() < 0.3 and len(events) > 2:
        del events[dice.randrange(len(events))]
    return events


def delivered(dice: random.Random, events: list[TransactionEvent]) -> list[TransactionEvent]:
    """The same events in some order, some twice; a repetition comes later and calls itself offline."""
    copies = [
        replace(event, offline=True, received_at=event.received_at + timedelta(hours=1))
        for event in events
        if dice.random() < 0.4
    ]
    arriving = [*events, *copies]
    dice.shuffle(arriving)
    return arriving


@pytest.mark.reliability
def test_every_order_and_every_repetition_folds_to_the_same_transaction() -> None:
    dice = random.Random(SEED)
    divergences = folded = 0
    for _ in range(STREAMS):
        events = stream(dice)
        want = fold(events)
        for _ in range(ORDERS):
            divergences += fold(delivered(dice, events)) != want
            folded += 1
    print(f"D08 fold: {folded} orders of {STREAMS} streams, {divergences} divergences, seed {SEED}")
    assert folded == 20_000
    assert divergences == 0


@pytest.mark.reliability
def test_the_energy_is_never_negative_and_never_more_than_the_registers_say() -> None:
    dice = random.Random(SEED + 1)
    for _ in range(1_000):
        told = fold(stream(dice))
        if told.energy_wh is not None:
            assert told.start_wh is not None and told.stop_wh is not None
            assert 0 <= told.energy_wh <= max(told.stop_wh - told.start_wh, 0)


@pytest.mark.reliability
async def test_two_hundred_orders_through_the_store_leave_one_session_and_one_bill() -> None:
    dice = random.Random(8)
    outcomes = set()
    for _ in range(200):
        world = World()
        visit = await world.desk.connected(CS1, "", "2.0.1")
        tellings = _stream(world, visit)
        copies = [each for each in tellings if dice.random() < 0.4]
        order = [*tellings, *copies]
        dice.shuffle(order)
        world.later(hours=3)
        for tell in order:
            await tell()
        await world.settling.settle_due()
        session = replace(world.session(), id="s", received_at=world.now, touched_at=None)  # type: ignore[arg-type]
        assert len(world.store.rows) == 1
        bill = world.bill()
        outcomes.add((repr(session), bill.energy_wh, str(bill.total), repr(bill.rating)))
    print(f"D08 store: 200 orders of one stream, {len(outcomes) - 1} divergences, seed 8")
    assert len(outcomes) == 1


def _stream(world: World, visit: object) -> list[Callable[[], Awaitable[object]]]:
    begun = world.now

    def telling(number: int, kind: EventKind, **more: object) -> Callable[[], Awaitable[object]]:
        at = begun + timedelta(minutes=10 * number)
        sample = Sample(at, Quantity.ENERGY_REGISTER, 1000 + 900 * number)
        facts = {"at": at, "seq_no": number, "samples": (sample,), **more}
        return lambda: world.tell(visit, "t", kind, **facts)  # type: ignore[arg-type]

    return [
        telling(0, EventKind.STARTED, evse=1, id_token="ROAM", register_wh=1000),
        *(telling(number, EventKind.UPDATED) for number in range(1, 7)),
        telling(7, EventKind.ENDED, register_wh=7300, reason="local"),
    ]
