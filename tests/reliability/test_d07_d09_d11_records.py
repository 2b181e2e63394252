"""D07, D09, D11: late, incomplete and unbelievable records reopen nothing and bill nothing wrong."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import permutations

import pytest

from cms.domain.audit import WorkType
from cms.domain.commands import Answer, Outcome
from cms.domain.session import SessionStatus
from cms.domain.transaction import EventKind
from tests.unit.world import CS1, World

pytestmark = pytest.mark.reliability

SEED = 11


async def test_d07_samples_after_the_stop_or_the_bill_are_kept_and_reopen_nothing() -> None:
    stored = reopened = changed = told = 0
    for order in permutations(("settle", "inside", "outside")):
        world = World()
        visit = await world.desk.connected(CS1, "", "1.6")
        ack = await world.start(visit, "ROAM")
        world.later(hours=1)
        await world.stop(visit, ack.transaction, 8000)
        for step in order:
            world.later(minutes=1)
            if step == "settle":
                await world.settling.settle_due()
                continue
            before = len(world.store.frames)
            await world.samples(visit, ack.transaction, 7999 if step == "inside" else 9000)
            stored += len(world.store.frames) - before
            told += 1
        reopened += world.session().status is not SessionStatus.COMPLETED
        changed += world.bill().energy_wh != 7000
        late = order.index("outside") > order.index("settle")
        kinds = [item.type for item in world.store.items.values()]
        assert (WorkType.INCOMPLETE_RECORD in kinds) is late
    print(f"D07: stored {stored}/{told}, reopened {reopened}, bills changed {changed}")
    assert (stored, reopened, changed) == (told, 0, 0)


@pytest.mark.parametrize("answers", ["waits", "nothing", "silent"])
async def test_d09_a_record_with_a_gap_is_billed_in_time_with_the_gap_written_on_it(
    answers: str,
) -> None:
    world = World()
    world.link.answer = {
        "waits": Answer(Outcome.ACCEPTED, {"ongoing": "false", "messages_waiting": "true"}),
        "nothing": Answer(Outcome.ACCEPTED, {"ongoing": "false", "messages_waiting": "false"}),
        "silent": Answer(Outcome.OFFLINE),
    }[answers]
    visit = await world.desk.connected(CS1, "", "2.0.1")
    begun = world.now
    end = {"at": begun + timedelta(hours=1), "seq_no": 5, "register_wh": 8000}
    await world.tell(visit, "t", EventKind.ENDED, **end)
    start = {"at": begun, "seq_no": 0, "evse": 1, "id_token": "ROAM", "register_wh": 1000}
    await world.tell(visit, "t", EventKind.STARTED, **start)
    hours = 0
    while not world.store.bills and hours < 48:
        await world.settling.settle_due()
        await world.tell(visit, "t", EventKind.UPDATED, at=begun, seq_no=2)
        reopened = world.session().running
        assert not reopened
        world.later(hours=1)
        hours += 1
    print(f"D09: {answers}: billed after {hours - 1} h, reopened 0")
    assert hours - 1 <= 25 and world.bill().energy_wh == 7000
    assert "never arrived" in (world.bill().remark or "")


async def test_d11_unbelievable_energy_is_withheld_with_its_reason() -> None:
    dice = random.Random(SEED)
    injected = withheld = wrong = 0
    for _ in range(300):
        world = World()
        visit = await world.desk.connected(CS1, "", "1.6")
        start = dice.randrange(10**6)
        ack = await world.start(visit, "ROAM", wh=start)
        registers = [start + 1000, start + 2000, start + 3000]
        damage = dice.choice(["none", "reset", "below", "times 1000", "2^49"])
        match damage:
            case "reset":
                registers[dice.randrange(1, 3)] = 0 if start > 0 else -1
            case "below":
                registers[2] = start - dice.randrange(100, 5000)
            case "times 1000":
                registers[2] = start + 3_000_000
            case "2^49":
                registers[2] = 2**49
        for register in registers[:2]:
            world.later(minutes=20)
            await world.samples(visit, ack.transaction, register)
        world.later(minutes=20)
        await world.stop(visit, ack.transaction, registers[2])
        await world.settling.settle_due()
        injected += damage != "none"
        held = [item.type for item in world.store.items.values()] == [WorkType.WITHHELD_BILL]
        withheld += held and not world.store.bills
        wrong += any(bill.energy_wh != 3000 for bill in world.store.bills.values())
    print(f"D11: withheld {withheld} of {injected} injected, wrong bills {wrong}, seed {SEED}")
    assert (withheld, wrong) == (injected, 0)
