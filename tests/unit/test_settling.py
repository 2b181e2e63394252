"""A stopped session becomes exactly one bill, or none with a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from cms.app.writes import DropDocument, PutCdr, PutSession, Touch
from cms.domain.audit import AuditEntry, WorkType
from cms.domain.commands import Answer, AskTransaction, Outcome
from cms.domain.errors import Conflict, StoreDown
from cms.domain.plain import to_plain
from cms.domain.session import Limit, SessionStatus
from cms.domain.signed import Nature, SignedReading
from cms.domain.transaction import EventKind, Flag
from tests.unit.world import CS1, EMS, World

HOUR = timedelta(hours=1)


@pytest.fixture
def world() -> World:
    return World()


async def _charged(world: World, token: str = "ROAM", wh: int = 8000, **more: object) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit, token)
    world.later(hours=1)
    await world.stop(visit, ack.transaction, wh, **more)


async def test_a_stopped_session_is_closed_and_billed_in_one_commit(world: World) -> None:
    await _charged(world)
    assert await world.settling.settle_due() == 1
    bill, session = world.bill(), world.session()

    assert session.status is SessionStatus.COMPLETED
    assert bill.energy_wh == 7000 and bill.owner == EMS and bill.id == session.id
    assert bill.total.gross.amount == Decimal("126.00")  # 7 kWh at 18.00, taxes within
    unit = world.store.units[-1]
    assert any(isinstance(write, PutCdr) for write in unit)
    touches = [write for write in unit if isinstance(write, Touch)]
    assert [(each.kind, each.owner) for each in touches] == [("session", EMS), ("cdr", EMS)]
    assert world.live.session(session.id) is None


async def test_nothing_is_billed_twice(world: World) -> None:
    await _charged(world)
    await world.settling.settle_due()
    world.settling.wake(world.session())
    await world.settling.settle_due()

    assert len(world.store.bills) == 1


async def test_what_was_stopped_before_a_crash_is_settled_after_it(world: World) -> None:
    await _charged(world)
    again = await world.restarted()
    await again.settling.settle_due()

    assert world.bill().energy_wh == 7000


async def test_a_store_that_is_down_delays_the_bill_and_loses_nothing(world: World) -> None:
    await _charged(world)
    world.store.down = True
    with pytest.raises(StoreDown):
        await world.settling.settle_due()
    world.store.down = False
    world.later(minutes=2)
    await world.settling.settle_due()

    assert world.bill().energy_wh == 7000


async def test_a_session_that_cannot_be_settled_delays_no_other(world: World) -> None:
    await _charged(world)
    await _charged(world, "CARD", wh=9000)
    poisoned = world.session(0).id
    journal = world.store.journal

    async def broken(id: object) -> object:
        if id == poisoned:
            raise ValueError("a row that nobody can read")
        return await journal(id)  # type: ignore[arg-type]

    world.store.journal = broken  # type: ignore[assignment,method-assign]
    await world.settling.settle_due()

    assert world.bill().session == world.session(1).id
    (item,) = world.store.items.values()
    assert item.subject == f"session:{poisoned}" and "nobody can read" in str(item.evidence)


async def test_a_fact_that_comes_while_settling_is_in_the_bill(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit)
    world.later(minutes=30)
    await world.samples(visit, ack.transaction, 4000)
    await world.start(visit, wh=8000)  # the first one was cut off, as far as we know
    world.later(minutes=30)
    journal = world.store.journal

    async def slow(id: object) -> object:
        entries = await journal(id)  # type: ignore[arg-type]
        world.store.journal = journal  # type: ignore[method-assign]
        await world.stop(visit, ack.transaction, 8000)
        return entries

    world.store.journal = slow  # type: ignore[assignment,method-assign]
    await world.settling.settle_due()

    assert world.bill().energy_wh == 7000


@pytest.mark.parametrize("wh", [999 - 10, 0, 9_000_000])
async def test_unbelievable_energy_is_withheld_before_a_person(world: World, wh: int) -> None:
    await _charged(world, wh=wh)
    await world.settling.settle_due()

    assert world.store.bills == {}
    assert world.session().status is SessionStatus.INVALID
    (item,) = world.store.items.values()
    assert item.type is WorkType.WITHHELD_BILL and item.evidence["why"]


async def test_no_energy_costs_nothing(world: World) -> None:
    await _charged(world, wh=1000)
    await world.settling.settle_due()

    assert world.bill().energy_wh == 0
    assert world.bill().total.gross.amount == Decimal("0.00")


async def test_a_connector_without_a_price_is_free(world: World) -> None:
    world.catalogue.tariffs.clear()
    await _charged(world)
    await world.settling.settle_due()

    assert world.bill().total.gross.amount == 0 and world.bill().energy_wh == 7000


async def test_the_price_of_the_start_holds_whatever_changes_meanwhile(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit)
    (tariff,) = world.catalogue.tariffs.values()
    world.catalogue.tariffs[tariff.id] = replace(tariff, taxes=())
    world.later(hours=1)
    await world.stop(visit, ack.transaction)
    await world.settling.settle_due()

    assert world.bill().tariffs == (tariff,)


async def test_energy_of_an_unknown_token_is_billed_to_nobody_and_shown(world: World) -> None:
    await _charged(world, "STRANGER")
    await world.settling.settle_due()

    assert world.bill().token is None
    assert [each.type for each in world.store.items.values()] == [WorkType.UNKNOWN_TOKEN]


async def test_an_overshoot_is_reported(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit)
    session = world.live.session(world.session().id)
    assert session is not None
    limited = replace(session, limit=Limit(energy_wh=6900, money=Decimal("125.00")))
    await world.store.commit([PutSession(limited)])
    world.live.put_session(limited)
    world.later(hours=1)
    await world.stop(visit, ack.transaction)
    await world.settling.settle_due()

    (item,) = world.store.items.values()
    assert item.type is WorkType.OVERSHOOT
    assert (item.evidence["wh"], item.evidence["money"]) == (100, "1.00")
    assert Flag.OVERSHOT in world.session().flags


# ---------------------------------------------------------------- incomplete records


async def _with_a_gap(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "2.0.1")
    begun = {"seq_no": 0, "evse": 1, "id_token": "ROAM", "register_wh": 1000}
    await world.tell(visit, "t", EventKind.STARTED, **begun)
    world.later(hours=1)
    await world.tell(visit, "t", EventKind.ENDED, seq_no=3, register_wh=8000)


async def test_a_gap_waits_while_the_charger_has_messages(world: World) -> None:
    world.link.answer = Answer(Outcome.ACCEPTED, {"ongoing": "false", "messages_waiting": "true"})
    await _with_a_gap(world)
    await world.settling.settle_due()

    assert world.store.bills == {} and world.session().status is SessionStatus.STOPPED
    assert isinstance(world.link.sent[0], AskTransaction)


async def test_a_gap_is_billed_and_named_once_the_charger_says_nothing_waits(world: World) -> None:
    world.link.answer = Answer(Outcome.ACCEPTED, {"ongoing": "false", "messages_waiting": "false"})
    await _with_a_gap(world)
    await world.settling.settle_due()

    assert world.bill().remark == "messages 1-2 of the charger never arrived"
    assert Flag.SEQ_GAP in world.session().flags


async def test_a_gap_of_a_charger_that_is_away_is_billed_after_a_day(world: World) -> None:
    world.link.answer = Answer(Outcome.OFFLINE)
    await _with_a_gap(world)
    world.later(hours=23)
    await world.settling.settle_due()
    assert world.store.bills == {}
    world.later(hours=2)
    await world.settling.settle_due()

    assert world.bill().energy_wh == 7000


async def test_what_was_missing_and_came_completes_the_record_at_once(world: World) -> None:
    world.link.answer = Answer(Outcome.OFFLINE)
    await _with_a_gap(world)
    await world.settling.settle_due()
    visit = await world.desk.connected(CS1, "", "2.0.1")
    for number in (1, 2):
        await world.tell(visit, "t", EventKind.UPDATED, seq_no=number)
    await world.settling.settle_due()

    assert world.bill().remark is None
    assert Flag.SEQ_GAP not in world.session().flags


async def test_an_end_whose_start_never_comes_is_withheld_after_a_day(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "2.0.1")
    await world.tell(visit, "t", EventKind.ENDED, seq_no=3, evse=1, register_wh=8000)
    await world.settling.settle_due()
    assert world.session().status is SessionStatus.STOPPED
    world.later(hours=25)
    await world.settling.settle_due()

    assert world.session().status is SessionStatus.INVALID and world.store.bills == {}
    assert [each.type for each in world.store.items.values()] == [WorkType.INCOMPLETE_RECORD]


async def test_a_bill_calls_the_site_what_it_was_called_at_the_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _charged(world)
    [before] = world.catalogue.locations.values()
    changed = world.now
    renamed = replace(before, address="New Street", changed_at=changed)
    world.catalogue.put_location(renamed)
    entry = AuditEntry(
        changed, "cli", "location.changed", f"location:{before.id}", to_plain(before), None
    )

    async def audit(store: object, subject: str, page: object) -> list[AuditEntry]:
        return [entry] if subject == entry.subject else []

    monkeypatch.setattr(type(world.store), "audit", audit, raising=False)
    await world.settling.settle_due()
    assert world.bill().place.address == before.address != "New Street"


async def test_a_bill_of_a_home_that_nobody_is_shown_says_that_it_was_a_home(
    world: World,
) -> None:
    for site in list(world.catalogue.locations.values()):
        world.catalogue.put_location(replace(site, publish=False, home_charging=True))
    await _charged(world)
    await world.settling.settle_due()

    assert world.bill().place.home_charging


async def test_a_bill_carries_what_the_frames_of_its_session_hold_signed(world: World) -> None:
    world.settling._read_signed = lambda raw: (
        SignedReading(Nature.END, "p", raw.decode("latin-1")[:10] + "x" * 5_000, "OCMF"),
        SignedReading(Nature.START, "p", "aBc", "OCMF"),
    )
    await _charged(world)
    await world.settling.settle_due()

    assert [each.signed for each in world.bill().signed] == ["aBc"]
    assert "do not fit on a bill" in (world.bill().remark or "")
    assert Flag.SIGNED_LEFT_OUT in world.session().flags


async def test_a_reference_given_before_the_bill_stands_on_it_and_none_comes_after(
    world: World,
) -> None:
    await _charged(world)
    await world.settling.refer(world.session(), "OLD", "key:k")
    await world.settling.refer(world.session(), "INV-7", "key:k")
    await world.settling.settle_due()

    assert world.bill().invoice_reference == "INV-7"
    assert world.settling.reference(world.session().id) is None
    assert any(isinstance(write, DropDocument) for write in world.store.units[-1])
    with pytest.raises(Conflict):
        await world.settling.refer(world.session(), "LATE", "key:k")
    assert world.bill().invoice_reference == "INV-7"


async def test_a_reference_outlives_a_restart(world: World) -> None:
    await _charged(world)
    await world.settling.refer(world.session(), "INV-7", "key:k")
    again = await world.restarted()
    await again.settling.settle_due()

    assert world.bill().invoice_reference == "INV-7"
    assert await world.store.documents("invoice-reference") == {}
