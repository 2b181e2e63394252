"""Remote wishes: promised durably, carried out, matched to what comes of them."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from cms.app.ports import Page
from cms.app.remote import Asker, Refusal, StartWish, limit_of
from cms.app.writes import CommandRecord
from cms.domain.commands import Answer, Outcome, RemoteStart, Reset, ResetKind
from cms.domain.errors import StoreDown
from cms.domain.ids import EvseRef, SessionId, StationId
from cms.domain.session import Limit
from cms.domain.status import ConnectorReport, Presence
from cms.domain.topology import Approval
from tests.unit.office import CS1, EMS, EVSE, ME, Office, station, token

PARTNER = Asker("partner:IN*EMS", "https://ems.example/result/1")
WISH = StartWish(EVSE, token(), EMS, reference="REF-1", limit=Limit(energy_wh=5000))


@pytest.fixture
async def office() -> Office:
    made = Office()
    await made.furnish()
    made.plug_in()
    return made


async def accepted(office: Office, wish: StartWish = WISH) -> CommandRecord:
    record = await office.remote.accept_start(wish, PARTNER)
    assert isinstance(record, CommandRecord)
    return record


async def test_a_promise_is_durable_with_its_audit_row_before_anybody_hears_of_it(
    office: Office,
) -> None:
    record = await accepted(office)
    assert await office.store.command(record.id) == record
    (row,) = [each for each in await office.store.audit(f"command:{record.id}", Page())]
    assert (row.who, row.what) == ("partner:IN*EMS", "command.remote_start")
    assert limit_of(record) == Limit(energy_wh=5000)


async def test_each_start_draws_an_idtag_of_16_characters_and_a_number(office: Office) -> None:
    record = await accepted(office)
    assert record.id_token is not None
    assert record.number is not None
    assert re.fullmatch(r"[A-Z0-9]{16}", record.id_token)
    assert 0 < record.number < 2**31
    assert office.remote.start_of(record.id_token.lower()) == record
    assert office.remote.start_numbered(record.number) == record


async def test_of_two_starts_at_one_moment_one_is_refused(office: Office) -> None:
    other = replace(WISH, token=token("CARD2"))
    results = await asyncio.gather(
        office.remote.accept_start(WISH, PARTNER), office.remote.accept_start(other, PARTNER)
    )
    assert sorted(map(str, (each for each in results if isinstance(each, Refusal)))) == ["busy"]


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_the_same_start_twice_is_asked_once_and_both_have_its_outcome(
    office: Office, outcome: Outcome
) -> None:
    office.link.answer = Answer(outcome)
    again = replace(PARTNER, reply_to="https://ems.example/result/2")
    one, two = await asyncio.gather(
        office.remote.accept_start(WISH, PARTNER), office.remote.accept_start(WISH, again)
    )
    assert isinstance(one, CommandRecord) and isinstance(two, CommandRecord)
    assert (one.reply_to, two.reply_to) == (PARTNER.reply_to, again.reply_to)
    assert two.id_token is None and one.id != two.id
    answers = await asyncio.gather(*(office.remote.carry_out(each) for each in (two, one)))
    assert [each.outcome for each in answers] == [outcome, outcome]
    assert len(office.link.sent) == 1
    for each in (one, two):
        kept = await office.store.command(each.id)
        assert kept is not None and kept.outcome == outcome


@pytest.mark.parametrize(
    ("change", "asker"),
    [
        ({"token": token("CARD2")}, PARTNER),
        ({"reference": "REF-2"}, PARTNER),
        ({"connector": 1}, PARTNER),
        ({"limit": Limit(energy_wh=1)}, PARTNER),
        ({}, Asker("partner:IN*OTH", PARTNER.reply_to)),
        ({}, Asker("key:K1")),
    ],
)
async def test_other_words_are_another_start_and_the_evse_is_in_use(
    office: Office, change: dict[str, object], asker: Asker
) -> None:
    await accepted(office)
    other = replace(WISH, **change)  # type: ignore[arg-type]
    assert await office.remote.accept_start(other, asker) is Refusal.BUSY


async def test_a_start_that_was_accepted_a_while_ago_is_not_joined(office: Office) -> None:
    await office.remote.carry_out(await accepted(office))
    office.pass_(seconds=10)
    joined = await accepted(office)
    assert (await office.remote.carry_out(joined)).outcome is Outcome.ACCEPTED
    office.pass_(seconds=1)
    assert await office.remote.accept_start(WISH, PARTNER) is Refusal.BUSY
    assert len(office.link.sent) == 1


async def test_while_the_station_is_silent_its_start_may_be_joined_however_long(
    office: Office,
) -> None:
    await accepted(office)
    office.pass_(seconds=25)
    assert (await accepted(office)).verb == "join_start"


async def test_a_start_that_could_not_be_promised_is_joined_by_nobody(office: Office) -> None:
    office.store.healthy = False
    one, two = await asyncio.gather(
        office.remote.accept_start(WISH, PARTNER),
        office.remote.accept_start(WISH, PARTNER),
        return_exceptions=True,
    )
    assert isinstance(one, StoreDown) and isinstance(two, StoreDown)
    office.store.healthy = True
    assert (await accepted(office)).verb == "remote_start"


async def test_after_a_crash_each_of_the_two_ends_as_timeout_and_is_told_once(
    office: Office,
) -> None:
    one, two = await accepted(office), await accepted(office)
    after = restarted(office)
    kept = await office.store.restore()
    ended = await after.remote.give_up_unfinished(kept.unfinished_commands)
    assert {each.id for each in ended} == {one.id, two.id}
    assert {each.outcome for each in ended} == {"timeout"}
    assert one.id_token is not None and after.remote.start_of(one.id_token) is not None


async def test_whoever_heard_before_the_crash_that_time_is_over_hears_nothing_after_it(
    office: Office,
) -> None:
    record = await accepted(office)
    await office.remote.told(record)  # its time was over; the station has not answered yet
    kept = await office.store.restore()
    assert await restarted(office).remote.give_up_unfinished(kept.unfinished_commands) == []
    ended = await office.store.command(record.id)
    assert ended is not None and ended.outcome == "timeout"


async def test_a_start_that_the_station_refuses_frees_the_evse_at_once(office: Office) -> None:
    office.link.answer = Answer(Outcome.REJECTED)
    record = await accepted(office)
    assert (await office.remote.carry_out(record)).outcome is Outcome.REJECTED
    assert (await office.store.command(record.id)).outcome == "rejected"  # type: ignore[union-attr]
    await accepted(office)


async def test_a_start_without_an_answer_keeps_its_meaning_for_the_car_that_comes_late(
    office: Office,
) -> None:
    office.link.answer = Answer(Outcome.TIMEOUT)
    record = await accepted(office)
    await office.remote.carry_out(record)
    assert record.id_token is not None
    assert office.remote.start_of(record.id_token) is not None


async def test_a_start_that_brings_no_session_becomes_a_work_item(office: Office) -> None:
    record = await accepted(office)
    await office.remote.carry_out(record)
    office.pass_(minutes=4)
    await office.remote.expire()
    (item,) = await office.store.work_items(True, Page())
    assert item.subject == f"command:{record.id}"
    await accepted(office)  # and the EVSE is free again


async def test_a_start_that_brought_a_session_leaves_nothing_to_do(office: Office) -> None:
    record = await accepted(office)
    await office.remote.carry_out(record)
    office.remote.came_true(office.remote.started(record, SessionId("S1")))
    office.pass_(minutes=4)
    await office.remote.expire()
    assert await office.store.work_items(True, Page()) == []


async def test_a_session_that_comes_before_the_answer_is_not_forgotten_by_it(
    office: Office,
) -> None:
    record = await accepted(office)
    office.remote.came_true(office.remote.started(record, SessionId("S1")))
    await office.remote.carry_out(record)
    kept = await office.store.command(record.id)
    assert kept is not None
    assert (kept.session, kept.outcome) == ("S1", "accepted")


def restarted(office: Office) -> Office:
    """The same store under a new process."""
    after = Office()
    after.store, after.remote._store = office.store, office.store
    after.now = office.now
    return after


async def test_after_a_crash_what_was_promised_ends_as_time_out_once(office: Office) -> None:
    record = await accepted(office)
    after = restarted(office)
    ended = await after.remote.give_up_unfinished([record])
    assert [each.outcome for each in ended] == ["timeout"]
    assert record.id_token is not None
    assert after.remote.start_of(record.id_token) is not None  # the charger may have heard us


async def test_why_a_start_is_refused(office: Office) -> None:
    async def refusal(wish: StartWish) -> object:
        return await office.remote.accept_start(wish, PARTNER)

    assert await refusal(replace(WISH, evse=EvseRef(StationId("X"), 1))) is Refusal.UNKNOWN_EVSE
    assert await refusal(replace(WISH, connector=2)) is Refusal.UNKNOWN_CONNECTOR
    office.plug_in(ConnectorReport.FAULTED)
    assert await refusal(WISH) is Refusal.INOPERATIVE
    office.plug_in(ConnectorReport.CHARGING)
    assert await refusal(WISH) is Refusal.BUSY
    office.live.put(office.plug_in().with_presence(Presence.GRACE))
    assert await refusal(WISH) is Refusal.OFFLINE


async def test_partners_cannot_start_at_a_station_that_is_still_being_tested(
    office: Office,
) -> None:
    await office.administration.put_station(station(approval=Approval.TESTING), ME)
    office.plug_in()
    assert await office.remote.accept_start(WISH, PARTNER) is Refusal.NOT_LIVE
    own = replace(WISH, owner=None, token=token(partner=None))
    assert isinstance(await office.remote.accept_start(own, Asker("key:1")), CommandRecord)


async def test_every_verb_reaches_the_station_as_its_own_command(office: Office) -> None:
    record = await office.remote.accept_reset(CS1, ResetKind.HARD, Asker("key:1"))
    assert isinstance(record, CommandRecord)
    await office.remote.carry_out(record)
    start = await accepted(office)
    await office.remote.carry_out(start)
    reset, remote_start = office.link.sent
    assert isinstance(reset, Reset)
    assert reset.kind is ResetKind.HARD
    assert isinstance(remote_start, RemoteStart)
    assert remote_start.id_token == start.id_token
