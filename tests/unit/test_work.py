"""What an operator does about what is odd is done once, and audited."""

from __future__ import annotations

import pytest

from cms.app.ports import Page
from cms.app.work import Work, silent
from cms.app.writes import Audit, PutWorkItem
from cms.domain.audit import WorkAction, WorkItem, WorkType
from cms.domain.errors import Conflict, NotFound
from cms.domain.session import SessionStatus
from cms.domain.transaction import EventKind
from tests.unit.world import CS1, EMS, World


class Office(World):
    def __init__(self) -> None:
        super().__init__()
        self.retried: list[str] = []
        self.work = Work(
            self.store,  # type: ignore[arg-type]
            self.live,
            self.catalogue,
            self.charging,
            self.settling,
            self.clock,
            self._again,
        )

    async def _again(self, item: WorkItem, who: str) -> None:
        self.retried.append(item.id)

    def item(self) -> WorkItem:
        (item,) = self.store.items.values()
        return item

    async def act(self, action: WorkAction, **more: str) -> WorkItem:
        return await self.work.act(self.item().id, action, "key:7", note="because", **more)


@pytest.fixture
def world() -> Office:
    return Office()


async def test_a_silent_session_is_ended_at_its_last_sample_and_billed(world: Office) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit, "ROAM")
    last = world.later(minutes=30)
    await world.samples(visit, ack.transaction, 5000)
    world.later(days=2)
    item = silent(world.session(), world.now, world.now)
    await world.store.commit([PutWorkItem(item)])
    done = await world.act(WorkAction.END_AT_LAST_SAMPLE)
    await world.settling.settle_due()

    assert (world.bill().energy_wh, world.bill().ended_at) == (4000, last)
    assert world.session().stop_reason == "ended_by_operator"
    assert done.closed_by == "key:7" and world.item().closed_at == world.now


async def test_every_action_is_audited_with_its_reason(world: Office) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    await world.samples(visit, "4711", 5000)
    await world.act(WorkAction.DISMISS)

    (entry,) = [w.entry for unit in world.store.units for w in unit if isinstance(w, Audit)]
    assert (entry.who, entry.what, entry.reason) == ("key:7", "work_item.dismiss", "because")


async def test_an_orphan_stop_is_joined_with_the_session_a_person_names(world: Office) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    await world.start(visit, "ROAM")
    world.later(minutes=20)
    await world.start(visit, "CARD", wh=1500, evse=2)
    world.later(minutes=40)
    await world.stop(visit, "-1", 8000)  # fits both
    item = next(each for each in world.store.items.values())
    assert item.type is WorkType.ORPHAN_STOP
    target = world.session()
    await world.act(WorkAction.JOIN, target=target.id)
    await world.settling.settle_due()

    assert world.bill().session == target.id and world.bill().energy_wh == 7000


async def test_energy_of_nobody_is_assigned_by_credit_and_new_bill(world: Office) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit, "STRANGER")
    world.later(hours=1)
    await world.stop(visit, ack.transaction)
    await world.settling.settle_due()
    first = world.bill()
    await world.act(WorkAction.ASSIGN, target=f"{EMS}:ROAM")
    first_again, back, anew = world.store.bills.values()

    assert first_again == first
    assert back.credit_of == first.id and back.total == -first.total
    assert (anew.owner, anew.total) == (EMS, first.total) and anew.id != first.id
    assert world.session().owner == EMS


async def test_a_withheld_bill_is_tried_again_and_says_why_it_still_cannot_be(
    world: Office,
) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit)
    world.later(hours=1)
    await world.stop(visit, ack.transaction, 0)
    await world.settling.settle_due()

    with pytest.raises(Conflict, match="the register fell"):
        await world.act(WorkAction.RETRY)
    assert world.item().closed_at is None
    assert (await world.act(WorkAction.WRITE_OFF)).action is WorkAction.WRITE_OFF
    assert world.session().status is SessionStatus.INVALID


async def test_a_late_start_makes_a_withheld_bill_possible(world: Office) -> None:
    begun = world.now
    visit = await world.desk.connected(CS1, "", "2.0.1")
    world.later(hours=1)
    await world.tell(visit, "t", EventKind.ENDED, seq_no=1, evse=1, register_wh=8000)
    world.later(hours=25)
    await world.settling.settle_due()
    assert world.item().type is WorkType.INCOMPLETE_RECORD
    start = {"at": begun, "seq_no": 0, "evse": 1, "id_token": "ROAM", "register_wh": 1000}
    await world.tell(visit, "t", EventKind.STARTED, **start)
    item = world.store.items[f"withheld-bill:{world.session().id}"]
    await world.work.act(item.id, WorkAction.RETRY, "key:7")

    assert world.bill().energy_wh == 7000


async def test_what_belongs_to_others_is_handed_on(world: Office) -> None:
    item = WorkItem(
        "parked", WorkType.PARKED_DELIVERY, "cdr:1", world.now, actions=(WorkAction.RETRY,)
    )
    await world.store.commit([PutWorkItem(item)])
    await world.act(WorkAction.RETRY)

    assert world.retried == ["parked"]


async def test_wrong_wishes_are_refused(world: Office) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    await world.samples(visit, "4711", 5000)

    with pytest.raises(NotFound):
        await world.work.act("nothing", WorkAction.DISMISS, "key:7")
    with pytest.raises(Conflict):
        await world.act(WorkAction.ASSIGN)
    await world.act(WorkAction.DISMISS)
    with pytest.raises(Conflict):
        await world.act(WorkAction.DISMISS)
    assert len(await world.work.items(True, Page())) == 0
