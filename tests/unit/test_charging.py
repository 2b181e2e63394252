"""Starts, samples and stops become sessions; nothing that a charger says is lost or doubled."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from cms.app.ports import StatusReport
from cms.app.remote import Asker, Refusal, StartWish
from cms.app.writes import CommandRecord, PutSession, Touch
from cms.domain.audit import WorkType
from cms.domain.errors import StoreDown
from cms.domain.ids import EvseRef, TransactionId
from cms.domain.meter import Quantity, Sample
from cms.domain.session import Limit, SessionStatus
from cms.domain.status import ConnectorReport, EvseStatus
from cms.domain.token import AuthMethod, Decision, Verdict
from cms.domain.transaction import ChargingState, EventKind, Flag
from tests.unit.world import CS1, CS2, EMS, World, token

REF = EvseRef(CS1, 1)
HOUR = timedelta(hours=1)


@pytest.fixture
def world() -> World:
    return World()


# ---------------------------------------------------------------- the happy path


async def test_a_start_is_given_a_number_and_opens_a_session_with_its_price(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit)
    session = world.session()

    assert 0 < int(ack.transaction) < 2**31
    assert ack.verdict is Verdict.ACCEPTED
    assert session.transaction == ack.transaction and session.status is SessionStatus.ACTIVE
    assert session.tariff in world.store.tariffs and session.currency == "INR"
    assert session.token is not None and session.owner is None
    assert world.live.evse(REF).status is EvseStatus.CHARGING
    assert world.live.session(session.id) is not None


async def test_samples_move_energy_power_and_status(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit)
    world.later(minutes=1)
    await world.samples(visit, ack.transaction, 1250)
    session = world.live.session(world.session().id)

    assert session is not None
    assert (session.delivered_wh, session.last_wh, session.status) == (250, 1250, "active")
    assert world.session().delivered_wh == 250
    meter = world.live.evse(REF).meter
    assert meter is not None and meter.delivered_wh == 250


async def test_partners_are_told_of_samples_at_most_every_fifteen_seconds(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit, "ROAM")
    await world.samples(visit, ack.transaction, 1100)  # the status changes: told at once
    touches = []
    for _ in range(30):
        world.later(seconds=1)
        await world.samples(visit, ack.transaction, 1100 + world.now.second)
        touches += [w for w in world.store.units[-1] if isinstance(w, Touch)]

    assert len(touches) == 2
    assert {(touch.kind, touch.owner) for touch in touches} == {("session", EMS)}


async def test_no_partner_hears_of_a_session_of_our_own(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    await world.start(visit)

    touched = [w for unit in world.store.units for w in unit if isinstance(w, Touch)]
    assert [each.owner for each in touched if each.kind == "session"] == [""]


async def test_a_stop_is_durable_and_waits_to_be_settled(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit)
    world.later(hours=1)
    stopped = []
    world.charging.open.on_stopped = stopped.append
    await world.stop(visit, ack.transaction, reason="local")
    session = world.session()

    assert session.status is SessionStatus.STOPPED
    assert (session.stop_wh, session.delivered_wh, session.stop_reason) == (8000, 7000, "local")
    assert session.settle_after == world.now
    assert world.live.evse(REF).session is None
    assert [each.id for each in stopped] == [session.id]


async def test_a_charger_with_its_own_transaction_ids_is_told_the_same_way(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "2.0.1")
    ack = await world.tell(
        visit, "abc", EventKind.STARTED, seq_no=0, evse=1, id_token="CARD", register_wh=1000
    )
    world.later(minutes=10)
    sample = Sample(world.now, Quantity.ENERGY_REGISTER, 2500)
    await world.tell(visit, "abc", EventKind.UPDATED, seq_no=1, samples=(sample,))
    world.later(minutes=10)
    await world.tell(visit, "abc", EventKind.ENDED, seq_no=2, register_wh=4000)
    session = world.session()

    assert ack.transaction is None and ack.verdict is Verdict.ACCEPTED
    assert session.transaction == "abc" and session.status is SessionStatus.STOPPED
    assert session.delivered_wh == 3000 and len(world.store.rows) == 1


# ---------------------------------------------------------------- repetitions


async def test_a_repeated_start_gets_the_first_answer_and_no_second_session(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    first = await world.start(visit)
    again = await world.start(visit, at=world.now)

    assert again == first
    assert len(world.store.rows) == 1


async def test_a_start_repeated_after_a_restart_gets_the_first_answer(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    at = world.now
    first = await world.start(visit, at=at)
    world.later(minutes=1)
    await world.stop(visit, first.transaction)
    again = await world.restarted()
    visit = await again.desk.connected(CS1, "", "1.6")

    assert await again.start(visit, at=at) == first
    assert len(world.store.rows) == 1


@pytest.mark.parametrize(
    "other", [{"evse": 2}, {"wh": 1001}, {"token": "OTHER"}], ids=["place", "register", "tag"]
)
async def test_look_alikes_are_different_transactions(
    world: World, other: dict[str, object]
) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    first = await world.start(visit, at=world.now)
    second = await world.start(visit, at=world.now, **other)  # type: ignore[arg-type]

    assert first.transaction != second.transaction
    assert len(world.store.rows) == 2


async def test_a_number_that_is_taken_is_drawn_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter([6, 6, 7])
    monkeypatch.setattr("cms.app.open_sessions.secrets.randbelow", lambda most: next(numbers))
    visit = await world.desk.connected(CS1, "", "1.6")
    first = await world.start(visit)
    second = await world.start(visit, evse=2)

    assert (first.transaction, second.transaction) == ("7", "8")


async def test_when_the_store_is_down_nothing_is_acknowledged_or_shown(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    world.store.down = True
    with pytest.raises(StoreDown):
        await world.start(visit)

    assert world.live.sessions() == ()
    world.store.down = False
    assert (await world.start(visit)).verdict is Verdict.ACCEPTED


async def test_what_the_store_refuses_is_quarantined_and_acknowledged(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    world.store.refuse = lambda unit: any(isinstance(write, PutSession) for write in unit)
    ack = await world.start(visit)

    assert ack.transaction is not None
    assert [frame.quarantined for frame in world.store.frames] == [True]
    assert _kinds(world) == [WorkType.QUARANTINED_FRAME]


# ---------------------------------------------------------------- tokens


async def test_an_unknown_token_is_refused_and_its_transaction_kept(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit, "STRANGER")

    assert ack.verdict is Verdict.INVALID and ack.transaction is not None
    assert Flag.UNKNOWN_TOKEN in world.session().flags


async def test_a_live_start_asks_the_partner_and_an_old_one_never_waits(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    world.partners.answer = Decision(
        Verdict.ACCEPTED, "yes", token("ASK", EMS), AuthMethod.REQUEST, "ref-1"
    )
    await world.start(visit, "ASK")
    assert (world.session().reference, world.session().method) == ("ref-1", AuthMethod.REQUEST)
    assert world.partners.asked == ["ASK"]

    other = World()
    visit = await other.desk.connected(CS1, "", "1.6")
    ack = await other.start(visit, "ASK", at=other.now - HOUR)
    assert other.partners.asked == []
    assert ack.verdict is Verdict.INVALID
    assert other.session().owner is None, "a token that was refused is nobody's to pay"
    assert Flag.REFUSED_TOKEN in other.session().flags


async def test_a_token_shown_after_plugging_in_pays_from_then_on(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "2.0.1")
    await world.tell(visit, "t", EventKind.STARTED, seq_no=0, evse=1, register_wh=0)
    assert world.session().token is None
    await world.tell(visit, "t", EventKind.UPDATED, seq_no=1, id_token="ROAM")

    assert world.session().owner == EMS and world.session().id_token == "ROAM"


# ---------------------------------------------------------------- remote starts


@pytest.mark.parametrize("by", ["tag", "number"])
async def test_a_remote_start_takes_over_what_plugging_in_began(world: World, by: str) -> None:
    visit = await world.desk.connected(CS1, "", "2.0.1")
    await _said(world, visit, ConnectorReport.OCCUPIED)
    await world.tell(visit, "t", EventKind.STARTED, seq_no=0, evse=1, register_wh=0)
    began = world.session()
    record = await _asked(world)
    rival = StartWish(REF, token("RIVAL", EMS), EMS)
    assert await world.remote.accept_start(rival, Asker("x")) is Refusal.BUSY
    said = {"id_token": record.id_token} if by == "tag" else {"remote_start": record.number}
    await world.tell(visit, "t", EventKind.UPDATED, seq_no=1, **said)

    session = world.session()
    assert (session.id, session.owner, session.reference) == (began.id, EMS, "auth-7")
    assert (session.command, session.method) == (record.id, AuthMethod.COMMAND)
    assert session.id_token == record.id_token
    assert session.token is not None and session.token.uid == "APP"
    assert await world.remote.accept_start(rival, Asker("x")) is Refusal.BUSY


async def test_a_start_does_not_take_over_a_car_that_charges_without_a_token(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "2.0.1")
    await _said(world, visit, ConnectorReport.OCCUPIED)
    await world.tell(visit, "t", EventKind.STARTED, seq_no=0, evse=1, register_wh=0)
    charging = ChargingState.CHARGING
    await world.tell(visit, "t", EventKind.UPDATED, seq_no=1, charging=charging)
    wish = StartWish(REF, token("APP", EMS), EMS)
    assert await world.remote.accept_start(wish, Asker("x")) is Refusal.BUSY


async def _asked(world: World, ref: EvseRef = REF, **more: object) -> CommandRecord:
    wish = StartWish(ref, token("APP", EMS), EMS, reference="auth-7", **more)  # type: ignore[arg-type]
    record = await world.remote.accept_start(wish, Asker(f"partner:{EMS}"))
    assert not isinstance(record, Refusal)
    return record


@pytest.mark.parametrize("by", ["tag", "number"])
async def test_a_remote_start_gives_the_session_its_owner_reference_and_limit(
    world: World, by: str
) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    await _said(world, visit, ConnectorReport.OCCUPIED)
    limit = Limit(energy_wh=5000, money=Decimal("100.00"), seconds=3600)
    record = await _asked(world, limit=limit)
    if by == "tag":
        ack = await world.start(visit, record.id_token or "")
    else:
        ack = await world.tell(
            visit,
            "x",
            EventKind.STARTED,
            seq_no=0,
            evse=1,
            remote_start=record.number,
            id_token=record.id_token,
            register_wh=0,
        )
    session = world.session()

    assert ack.verdict is Verdict.ACCEPTED
    assert (session.owner, session.reference, session.limit) == (EMS, "auth-7", limit)
    assert session.command == record.id and session.method is AuthMethod.COMMAND
    assert session.token is not None and session.token.uid == "APP"
    assert world.store.starts[record.id].session == session.id


async def test_a_start_promised_to_one_station_is_worth_nothing_at_another(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    await _said(world, visit, ConnectorReport.OCCUPIED)
    record = await _asked(world)
    thief = await world.desk.connected(CS2, "", "1.6")
    ack = await world.start(thief, record.id_token or "")
    decision = world.desk.authorize(thief, record.id_token or "")

    assert ack.verdict is Verdict.INVALID and world.session().owner is None
    assert isinstance(decision, Decision) and not decision.accepted


async def test_a_remote_start_whose_charger_was_away_for_an_hour_finds_its_owner(
    world: World,
) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    await _said(world, visit, ConnectorReport.OCCUPIED)
    record = await _asked(world)
    begun = world.later(seconds=20)
    world.later(hours=1)
    await world.remote.expire()
    await world.start(visit, record.id_token or "", at=begun)

    assert world.session().owner == EMS and world.session().reference == "auth-7"


# ---------------------------------------------------------------- late, odd, contradicting


async def test_the_end_before_the_start_before_the_samples_is_one_session(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "2.0.1")
    begun, ended = world.now, world.now + HOUR
    world.later(hours=2)
    await world.tell(visit, "t", EventKind.ENDED, at=ended, seq_no=2, register_wh=9000)
    middle = Sample(begun + HOUR / 2, Quantity.ENERGY_REGISTER, 5000)
    await world.tell(visit, "t", EventKind.UPDATED, at=middle.at, seq_no=1, samples=(middle,))
    await world.tell(
        visit, "t", EventKind.STARTED, at=begun, seq_no=0, evse=1, id_token="ROAM", register_wh=2000
    )
    session = world.session()

    assert len(world.store.rows) == 1
    assert (session.started_at, session.ended_at) == (begun, ended)
    assert (session.delivered_wh, session.owner) == (7000, EMS)
    assert session.status is SessionStatus.STOPPED
    assert world.live.evse(REF).session is None


async def test_a_late_sample_does_not_reopen_what_has_stopped(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit)
    world.later(hours=1)
    await world.stop(visit, ack.transaction)
    world.later(minutes=1)
    await world.samples(visit, ack.transaction, 7900)

    assert world.session().status is SessionStatus.STOPPED
    assert world.session().stop_wh == 8000
    assert world.store.frames[-1].session == world.session().id


async def test_a_second_stop_with_other_values_is_kept_for_a_person(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit)
    world.later(hours=1)
    await world.stop(visit, ack.transaction, 8000)
    await world.stop(visit, ack.transaction, 9000)

    assert world.session().stop_wh == 8000
    assert Flag.CONFLICTING_END in world.session().flags
    item = next(iter(world.store.items.values()))
    assert item.type is WorkType.CONFLICTING_STOP
    assert item.evidence["holds"] != item.evidence["contradicts"]
    assert world.store.frames[-1].quarantined


async def test_another_stations_transaction_is_not_touched(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit)
    before = world.session()
    thief = await world.desk.connected(CS2, "", "1.6")
    await world.start(thief, wh=0)
    await world.stop(thief, ack.transaction, 8000)
    await world.samples(thief, ack.transaction, 9000)

    assert world.session() == before
    assert world.session(1).running and world.session(1).delivered_wh == 0
    assert _kinds(world) == [WorkType.FOREIGN_TRANSACTION]


@pytest.mark.parametrize("name", ["-1", "0", "4711", None])
async def test_a_stop_without_its_number_joins_the_only_transaction_that_fits(
    world: World, name: str | None
) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    await world.start(visit)
    world.later(hours=1)
    await world.stop(visit, name, 8000, id_token="CARD")

    assert world.session().status is SessionStatus.STOPPED
    assert Flag.UNKNOWN_TRANSACTION in world.session().flags
    assert world.store.items == {}


async def test_a_stop_that_fits_nothing_waits_and_its_start_joins_it_once(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    begun = world.now
    ended = world.later(hours=1)
    await world.stop(visit, "-1", 8000, id_token="CARD")
    assert world.session().status is SessionStatus.INVALID
    assert _kinds(world) == [WorkType.ORPHAN_STOP]

    world.later(hours=1)
    again = await world.restarted()
    visit = await again.desk.connected(CS1, "", "1.6")
    await again.start(visit, wh=1000, at=begun)
    session = again.session()
    assert len(world.store.rows) == 1
    assert (session.status, session.started_at, session.ended_at) == ("stopped", begun, ended)
    assert session.delivered_wh == 7000
    assert next(iter(world.store.items.values())).closed_at is not None


async def test_samples_of_an_unknown_transaction_are_kept_for_a_person(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    await world.samples(visit, "4711", 5000)

    assert world.store.frames[-1].quarantined
    assert _kinds(world) == [WorkType.ORPHAN_METER_VALUES]


async def test_samples_of_an_idle_evse_belong_to_nobody(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    await world.samples(visit, None, 5000)

    assert world.store.frames == []


async def test_a_new_start_on_a_busy_evse_ends_the_old_one_at_its_last_sample(
    world: World,
) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit)
    last = world.later(minutes=10)
    await world.samples(visit, ack.transaction, 3000)
    world.later(minutes=10)
    await world.start(visit, wh=3500)
    old, new = world.session(0), world.session(1)

    assert (old.status, old.stop_wh, old.ended_at) == (SessionStatus.STOPPED, 3000, last)
    assert old.settle_after == world.now + timedelta(minutes=15)
    assert world.live.evse(REF).session == new.id


async def test_the_real_stop_of_an_interrupted_transaction_replaces_our_conclusion(
    world: World,
) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit)
    world.later(minutes=20)
    await world.start(visit, wh=3500)
    await world.stop(visit, ack.transaction, 3400)

    assert world.session(0).stop_wh == 3400
    assert world.store.items == {}
    assert world.live.evse(REF).session == world.session(1).id


async def test_an_old_transaction_delivered_late_does_not_move_the_picture(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    await _said(world, visit, ConnectorReport.FREE)
    old = world.now - 5 * HOUR
    ack = await world.start(visit, at=old)
    assert world.live.evse(REF).status is EvseStatus.AVAILABLE
    await world.stop(visit, ack.transaction, at=old + HOUR)

    assert world.session().status is SessionStatus.STOPPED
    assert world.session().delivered_wh == 7000


async def test_status_reports_during_a_transaction_are_part_of_its_record(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    await world.start(visit)
    charging = StatusReport(1, 1, ConnectorReport.CHARGING, charging=ChargingState.CHARGING)
    done = world.desk.reported(world.frame(visit), charging)
    assert done is not None
    await done

    assert world.session().charging and world.session().status is SessionStatus.ACTIVE
    event = world.store.frames[-1].event
    assert event is not None and event.charging is ChargingState.CHARGING
    assert world.desk.reported(world.frame(visit), charging) is None


async def test_a_settled_session_is_never_reopened(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit)
    world.later(hours=1)
    await world.stop(visit, ack.transaction)
    settled = replace(world.session(), status=SessionStatus.COMPLETED)
    world.store.rows[settled.id] = settled
    world.charging.open.settled(settled)
    await world.samples(visit, ack.transaction, 9000)

    assert world.session().status is SessionStatus.COMPLETED
    assert Flag.AFTER_END in world.session().flags
    assert _kinds(world) == [WorkType.INCOMPLETE_RECORD]
    assert world.charging.open.session_of(CS1, TransactionId(ack.transaction)) is None


async def test_after_a_restart_a_running_session_goes_on(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit, "ROAM")
    again = await world.restarted()
    visit = await again.desk.connected(CS1, "", "1.6")
    again.later(minutes=5)
    await again.samples(visit, ack.transaction, 2000)

    assert again.session().delivered_wh == 1000
    assert again.live.evse(REF).session == again.session().id
    assert again.charging.tariff(again.session()) is not None


async def test_a_start_whose_waiter_was_cancelled_is_taken_up_from_the_store(
    world: World,
) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    at = world.now
    commit = world.store.commit

    async def cancelled(unit: object) -> object:
        await commit(unit)  # type: ignore[arg-type]
        raise asyncio.CancelledError

    world.store.commit = cancelled  # type: ignore[assignment,method-assign]
    with pytest.raises(asyncio.CancelledError):
        await world.start(visit, at=at)
    world.store.commit = commit  # type: ignore[method-assign]
    world.later(minutes=10)
    ack = await world.start(visit, at=at)
    await world.stop(visit, ack.transaction)

    assert world.session().status is SessionStatus.STOPPED
    assert world.store.items == {}


async def test_what_nobody_can_read_is_kept_and_acknowledged(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    await world.desk.keep(world.frame(visit, "Stop", b"k" * 32), "no number")

    assert world.store.frames[0].quarantined and _kinds(world) == [WorkType.QUARANTINED_FRAME]


def _kinds(world: World) -> list[WorkType]:
    return [item.type for item in world.store.items.values()]


async def _said(world: World, visit: object, what: ConnectorReport) -> None:
    done = world.desk.reported(world.frame(visit), StatusReport(1, 1, what))  # type: ignore[arg-type]
    if done is not None:
        await done


async def test_the_own_tag_of_a_remote_start_stays_good_however_long_it_charges(
    world: World,
) -> None:
    visit = await world.desk.connected(CS1, "", "2.0.1")
    await _said(world, visit, ConnectorReport.OCCUPIED)
    record = await _asked(world)
    tag = record.id_token
    await world.tell(visit, "t", EventKind.STARTED, seq_no=0, evse=1, id_token=tag, register_wh=0)
    world.later(hours=2)
    await world.remote.expire()
    ack = await world.tell(visit, "t", EventKind.UPDATED, seq_no=1, id_token=tag)
    assert ack.verdict is Verdict.ACCEPTED
    ack = await world.tell(visit, "t", EventKind.ENDED, seq_no=2, id_token=tag, register_wh=9)
    assert ack.verdict is Verdict.ACCEPTED


async def test_a_blocked_token_stays_blocked_while_its_transaction_goes_on(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "2.0.1")
    begun = {"seq_no": 0, "evse": 1, "id_token": "BAD", "register_wh": 0}
    ack = await world.tell(visit, "t", EventKind.STARTED, **begun)
    assert ack.verdict is Verdict.BLOCKED
    ack = await world.tell(visit, "t", EventKind.UPDATED, seq_no=1, id_token="BAD")

    assert ack.verdict is Verdict.BLOCKED
