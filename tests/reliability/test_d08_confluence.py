"""D08: any order, duplicates, gaps: what a transaction was is a function of the set of its events."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from cms.app.ports import CdrQuery, SessionQuery, Store, Visit
from cms.domain.folding import fold
from cms.domain.ids import SessionId, TransactionId
from cms.domain.meter import Quantity, Sample
from cms.domain.transaction import ChargingState, EventKind, Flag, TransactionEvent
from cms.store.opening import open_store
from tests.reliability.conftest import Judge
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
def test_every_order_and_every_repetition_folds_to_the_same_transaction(scenario: Judge) -> None:
    with scenario("D08-fold", mutant="last-told-wins") as this:
        this.seed = SEED
        dice = random.Random(SEED)
        divergences = 0
        for _ in range(STREAMS):
            events = stream(dice)
            want = fold(events)
            for _ in range(ORDERS):
                divergences += fold(delivered(dice, events)) != want
                this.n += 1
        this.figure("divergences", divergences)
    assert this.n == 20_000


@pytest.mark.reliability
def test_the_energy_is_never_negative_and_never_more_than_the_registers_say() -> None:
    dice = random.Random(SEED + 1)
    for _ in range(1_000):
        told = fold(stream(dice))
        if told.energy_wh is not None:
            assert told.start_wh is not None and told.stop_wh is not None
            assert 0 <= told.energy_wh <= max(told.stop_wh - told.start_wh, 0)


@pytest.mark.reliability
async def test_two_hundred_orders_through_the_store_leave_one_session_and_one_bill(
    tmp_path: Path, scenario: Judge
) -> None:
    with scenario("D08-store", mutant="late-events-dropped") as this:
        dice = random.Random(SEED)
        outcomes = set()
        now = [T0]
        async with open_store(f"sqlite:///{tmp_path}/cms.db", lambda: now[0]) as store:
            world = World(store)  # type: ignore[arg-type]
            world.now = T0 + timedelta(hours=3)
            now[0] = world.now
            visit = await world.desk.connected(CS1, "", "2.0.1")
            for number in range(200):
                name = TransactionId(f"t{number}")
                tellings = _stream(world, visit, name)
                copies = [each for each in tellings if dice.random() < 0.4]
                order = [*tellings, *copies]
                dice.shuffle(order)
                for tell in order:
                    await tell()
                await world.settling.settle_due()
                outcomes.add(await _outcome(store, name))
            _, sessions = await store.sessions(SessionQuery())
            _, bills = await store.cdrs(CdrQuery())
        this.seed, this.n = SEED, sessions
        this.figure("divergences", len(outcomes) - 1)
        this.figure("sessions_beyond_200", abs(sessions - 200))
        this.figure("bills_beyond_200", abs(bills - 200))


async def _outcome(store: Store, name: TransactionId) -> str:
    """The session and its bill as the store has them, but for the names they were given."""
    session = await store.session_of(CS1, name)
    assert session is not None
    dated = await store.cdr_of(session.id)
    assert dated is not None
    bill = dated.cdr
    nameless = replace(session, id=SessionId(""), transaction=None, touched_at=None)
    return repr((nameless, bill.energy_wh, bill.total, bill.rating))


def _stream(
    world: World, visit: Visit, name: TransactionId
) -> list[Callable[[], Awaitable[object]]]:
    def telling(number: int, kind: EventKind, **more: object) -> Callable[[], Awaitable[object]]:
        at = T0 + timedelta(minutes=10 * number)
        sample = Sample(at, Quantity.ENERGY_REGISTER, 1000 + 900 * number)
        facts = {"at": at, "seq_no": number, "samples": (sample,), "name": name, **more}
        return lambda: _tell(world, visit, name, kind, facts)

    return [
        telling(0, EventKind.STARTED, evse=1, id_token="ROAM", register_wh=1000),
        *(telling(number, EventKind.UPDATED) for number in range(1, 7)),
        telling(7, EventKind.ENDED, register_wh=7300, reason="local"),
    ]


async def _tell(
    world: World, visit: Visit, name: TransactionId, kind: EventKind, facts: dict[str, Any]
) -> None:
    """Tell one event; its content is its facts with the transaction's name."""
    told = world.event(kind, facts["at"], **{k: v for k, v in facts.items() if k not in _OURS})
    told = replace(told, content=sha256(told.content + name.encode()).digest())
    await world.desk.transaction(world.frame(visit, "Event", told.content), name, told)


_OURS = {"at", "name"}
