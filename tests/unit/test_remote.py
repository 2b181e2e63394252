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
    results = await asyncio.gather(
        office.remote.accept_start(WISH, PARTNER), office.remote.accept_start(WISH, PARTNER)
    )
    assert sorted(map(str, (each for each in results if isinstance(each, Refusal)))) == ["busy"]


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


async def test_after_a_crash_what_was_promised_ends_as_time_out_once(office: Office) -> None:
    record = await accepted(office)
    after = Office()
    after.store, after.remote._store = office.store, office.store
    after.now = office.now
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
