"""Commands, receiver: A13."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cms.app.remote import Asker as CoreAsker
from cms.app.remote import StartWish
from cms.app.writes import CommandRecord
from cms.domain.commands import Answer, Outcome, RemoteStart, RemoteStop, Unlock
from cms.domain.ids import StationId
from cms.domain.session import SessionStatus
from cms.domain.status import ConnectorReport
from ocpi_cpo import server
from simulators.emsp.commands import Command
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi.test_tokens_authorize import wire
from tests.conformance.ocpi.world import (
    EMP,
    EVSE,
    OPERATOR,
    OTHER,
    SITE,
    Asker,
    World,
    now,
    running,
    token,
    until,
    until_kept,
)
from tests.conformance.statements import reading


async def test_cm_01_to_03_a_start_is_accepted_and_its_result_told_once(
    cpo: World, emsp: Emsp
) -> None:
    card = emsp.tokens.add("CARD1")
    command = await emsp.start_session(SITE, "CS1-1", token=card)
    assert (command.answer, command.answer_http, command.answer_code) == ("ACCEPTED", 200, 1000)
    assert command.timeout == 30
    assert await command.result() == "ACCEPTED"
    [sent] = cpo.link.sent
    assert isinstance(sent, RemoteStart) and sent.evse == EVSE
    posts = emsp.pushes("commands")
    assert len(posts) == 1
    assert posts[0].body == {"result": "ACCEPTED"}
    assert posts[0].headers["OCPI-to-party-id"] == "EMP"
    assert posts[0].headers["OCPI-from-party-id"] == "CPO"
    assert not emsp.complaints


async def test_cm_02_the_result_never_overtakes_the_answer(
    cpo: World, emsp: Emsp, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = asyncio.Event()
    write = server._Then.write_eof

    async def held(answer: Any, data: bytes = b"") -> None:
        await released.wait()
        await write(answer, data)

    monkeypatch.setattr(server._Then, "write_eof", held)
    sending = asyncio.create_task(emsp.start_session(SITE, "CS1-1", token=emsp.tokens.add("CARD1")))
    await until(lambda: cpo.link.sent)  # the charger has long answered
    await asyncio.sleep(0.2)  # the length of the observation
    assert not emsp.pushes("commands")
    released.set()
    command = await sending
    assert await command.result() == "ACCEPTED"
    assert not emsp.complaints


async def test_cm_12_the_promise_carries_token_owner_and_reference(cpo: World, emsp: Emsp) -> None:
    card = emsp.tokens.add("CARD1")
    command = await emsp.start_session(SITE, "CS1-1", token=card)
    await command.result()
    record = _only_start(cpo)
    assert record.owner == EMP
    assert record.reference == command.reference
    assert record.token is not None and record.token.uid == "CARD1"


@reading
@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Outcome.REJECTED, "REJECTED"),
        (Outcome.FAILED, "FAILED"),
        (Outcome.NOT_SUPPORTED, "NOT_SUPPORTED"),
        (Outcome.OFFLINE, "EVSE_INOPERATIVE"),
        (Outcome.TIMEOUT, "TIMEOUT"),
    ],
)
async def test_cm_04_and_20_every_outcome_has_its_result(
    cpo: World, emsp: Emsp, outcome: Outcome, result: str
) -> None:
    cpo.link.answer = Answer(outcome)
    command = await emsp.start_session(SITE, "CS1-1", token=emsp.tokens.add("CARD1"))
    assert await command.result() == result


@reading
@pytest.mark.parametrize("late", [Outcome.ACCEPTED, Outcome.REJECTED])
async def test_cm_05_and_06_a_charger_that_is_silent_is_a_timeout_and_nothing_follows(
    late: Outcome,
) -> None:
    """Its answer comes all the same, and is kept; the partner hears no second word."""
    async with running(command_timeout=timedelta(seconds=1)) as cpo, Emsp() as emsp:
        await cpo.small_network()
        await cpo.connect(emsp)
        cpo.link.held = asyncio.Event()
        command = await emsp.start_session(SITE, "CS1-1", token=emsp.tokens.add("CARD1"))
        assert command.timeout == 1
        assert await command.result() == "TIMEOUT"
        record = _only_start(cpo)
        cpo.link.answer = Answer(late)
        cpo.link.held.set()  # too late
        await until_over(f"command {record.id}")
        kept = await cpo.store.command(record.id)
        assert kept is not None and kept.outcome == late
        assert command.results == ["TIMEOUT"]
        posts = [each for each in emsp.pushes("commands") if each.method == "POST"]
        assert [each.body for each in posts] == [{"result": "TIMEOUT"}]
        assert not emsp.complaints


@pytest.mark.parametrize("where", [("NOPE", "CS1-1"), (SITE, "NOPE")])
async def test_cm_07_an_unknown_place_answers_2003_and_rejected(
    cpo: World, emsp: Emsp, ask: Asker, where: tuple[str, str]
) -> None:
    heard = await ask("POST", "/2.2.1/commands/START_SESSION", _start(emsp, *where))
    assert (heard.http, heard.code) == (200, 2003)
    assert heard.data["result"] == "REJECTED"
    assert not cpo.link.sent


@pytest.mark.parametrize("missing", ["response_url", "token", "location_id"])
async def test_cm_08_a_command_without_a_required_field_answers_2001(
    cpo: World, emsp: Emsp, ask: Asker, missing: str
) -> None:
    body = {name: value for name, value in _start(emsp).items() if name != missing}
    heard = await ask("POST", "/2.2.1/commands/START_SESSION", body)
    assert (heard.http, heard.code) == (200, 2001)
    assert missing in heard.envelope["status_message"]


async def test_cm_08_an_unknown_command_answers_404(emsp: Emsp, ask: Asker) -> None:
    assert (await ask("POST", "/2.2.1/commands/DANCE", _start(emsp))).http == 404


async def test_cm_09_without_an_evse_the_only_one_that_can_start_is_taken(
    cpo: World, emsp: Emsp
) -> None:
    card = emsp.tokens.add("CARD1")
    command = await emsp.start_session(SITE, token=card)
    assert await command.result() == "ACCEPTED"
    await cpo.add_station(StationId("CS2"), evses=2)
    for number in (1, 2):
        await cpo.report(replace(EVSE, station=StationId("CS2"), evse=number), ConnectorReport.FREE)
    assert (await emsp.start_session(SITE, token=card)).answer == "REJECTED"


async def test_cm_09_a_connector_without_its_evse_answers_2001(emsp: Emsp, ask: Asker) -> None:
    body = {**_start(emsp), "connector_id": "1"}
    del body["evse_uid"]
    assert (await ask("POST", "/2.2.1/commands/START_SESSION", body)).code == 2001


async def test_cm_10_a_token_of_somebody_else_is_rejected(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    body = {**_start(emsp), "token": wire("T9", party_id="OTH")}
    heard = await ask("POST", "/2.2.1/commands/START_SESSION", body)
    assert heard.data["result"] == "REJECTED"
    assert not cpo.link.sent


async def test_cm_13_a_stop_reaches_the_session_of_its_owner_only(cpo: World, emsp: Emsp) -> None:
    mine, theirs = await cpo.session(EMP), await cpo.session(OTHER)
    stop = await emsp.stop_session(mine.id)
    assert (stop.answer, await stop.result()) == ("ACCEPTED", "ACCEPTED")
    assert (await emsp.stop_session(theirs.id)).answer == "REJECTED"
    assert (await emsp.stop_session("nothing")).answer == "UNKNOWN_SESSION"
    done = await cpo.session(EMP, status=SessionStatus.COMPLETED, ended_at=now())
    assert (await emsp.stop_session(done.id)).answer == "UNKNOWN_SESSION"
    assert [type(each) for each in cpo.link.sent] == [RemoteStop]


async def test_cm_19_an_unlock_needs_an_evse_that_can(cpo: World, emsp: Emsp) -> None:
    refused = await emsp.unlock_connector(SITE, "CS1-1", "1")
    assert refused.answer == "NOT_SUPPORTED"
    station = cpo.catalogue.stations[EVSE.station]
    able = tuple(replace(each, capabilities=("UNLOCK_CAPABLE",)) for each in station.evses)
    await cpo.administration.put_station(replace(station, evses=able), OPERATOR)
    command = await emsp.unlock_connector(SITE, "CS1-1", "1")
    assert await command.result() == "ACCEPTED"
    assert [type(each) for each in cpo.link.sent] == [Unlock]


@reading
async def test_cm_21_a_charger_that_is_offline_is_rejected_at_once(cpo: World, emsp: Emsp) -> None:
    await cpo.vanish(EVSE)
    command = await emsp.start_session(SITE, "CS1-1", token=emsp.tokens.add("CARD1"))
    assert command.answer == "REJECTED"
    assert not cpo.link.sent


@reading
@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/x", "http://elsewhere.example/x", "ftp://127.0.0.1/x", "x" * 300]
)
async def test_cm_22_a_response_url_outside_the_partners_hosts_is_refused(
    cpo: World, emsp: Emsp, ask: Asker, url: str
) -> None:
    heard = await ask(
        "POST", "/2.2.1/commands/START_SESSION", {**_start(emsp), "response_url": url}
    )
    assert (heard.http, heard.code) == (200, 2001)
    assert not cpo.link.sent


@reading
@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Outcome.ACCEPTED, "ACCEPTED"),
        (Outcome.REJECTED, "REJECTED"),
        (Outcome.OCCUPIED, "EVSE_OCCUPIED"),
        (Outcome.TIMEOUT, "TIMEOUT"),
    ],
)
async def test_cm_23_of_the_same_start_twice_one_reaches_the_charger_and_both_hear_of_it(
    cpo: World, emsp: Emsp, outcome: Outcome, result: str
) -> None:
    """Two addresses, one while the station thinks and one at the same moment; a third has nobody."""
    cpo.link.held, cpo.link.answer = asyncio.Event(), Answer(outcome)
    both = await asyncio.gather(*(same_start(emsp) for _ in range(2)))
    await until(lambda: cpo.link.sent)
    all_three = [*both, await same_start(emsp)]
    assert {each.answer for each in all_three} == {"ACCEPTED"}
    assert len({each.body["response_url"] for each in all_three}) == 3
    assert not emsp.pushes("commands")  # none of them hears anything that is not known yet
    cpo.link.held.set()
    assert [await each.result() for each in all_three] == [result] * 3
    await settled(cpo)
    assert [each.results for each in all_three] == [[result]] * 3
    assert len(cpo.link.sent) == 1 and len(emsp.pushes("commands")) == 3
    assert not emsp.complaints


@reading
async def test_cm_23_a_start_that_was_accepted_seconds_ago_is_told_once_more(
    cpo: World, emsp: Emsp
) -> None:
    first = await same_start(emsp)
    assert await first.result() == "ACCEPTED"
    again = await same_start(emsp)
    assert (again.answer, await again.result()) == ("ACCEPTED", "ACCEPTED")
    await settled(cpo)
    assert len(cpo.link.sent) == 1
    assert first.results == again.results == ["ACCEPTED"]


@reading
async def test_cm_23_after_a_refusal_the_same_start_is_tried_anew(cpo: World, emsp: Emsp) -> None:
    cpo.link.answer = Answer(Outcome.REJECTED)
    assert await (await same_start(emsp)).result() == "REJECTED"
    cpo.link.answer = Answer(Outcome.ACCEPTED)
    assert await (await same_start(emsp)).result() == "ACCEPTED"
    assert len(cpo.link.sent) == 2


@reading
@pytest.mark.parametrize("who", ["another partner", "another token", "another authorisation"])
async def test_cm_23_somebody_elses_start_at_that_moment_is_refused(
    cpo: World, emsp: Emsp, who: str
) -> None:
    async with Emsp(party_id="OTH") as other:
        await cpo.connect(other)
        cpo.link.held = asyncio.Event()
        first = await same_start(emsp)
        match who:
            case "another partner":
                second = await same_start(other)
            case "another token":
                second = await same_start(emsp, uid="CARD2")
            case _:
                second = await same_start(emsp, reference="ref-2")
        assert (first.answer, second.answer) == ("ACCEPTED", "REJECTED")
        cpo.link.held.set()
        assert await first.result() == "ACCEPTED"
        await settled(cpo)
        assert len(cpo.link.sent) == 1 and second.results == []


@reading
async def test_cm_23_after_a_crash_both_addresses_hear_once_that_it_timed_out() -> None:
    async with Emsp() as emsp:
        async with running() as first:
            await first.small_network()
            await first.connect(emsp)
            first.link.held = asyncio.Event()
            both = [await same_start(emsp), await same_start(emsp)]
            assert {each.answer for each in both} == {"ACCEPTED"}
        for _ in range(2):
            async with running(first.store) as after:
                assert [await each.result() for each in both] == ["TIMEOUT", "TIMEOUT"]
                await settled(after)
        assert [each.results for each in both] == [["TIMEOUT"], ["TIMEOUT"]]


async def until_over(errand: str) -> None:
    """The whole background work of this name has ended: nothing can follow from it any more."""
    await until(lambda: errand not in {each.get_name() for each in asyncio.all_tasks()})


async def same_start(emsp: Emsp, uid: str = "CARD1", reference: str = "ref-1") -> Command:
    """A start of one driver; each has a response_url of its own."""
    card = emsp.tokens.add(uid)
    return await emsp.start_session(SITE, "CS1-1", token=card, authorization_reference=reference)


async def settled(cpo: World) -> None:
    """Every promise that was given has been kept."""
    await until(lambda: all(each.told_at for each in cpo.store._commands.values()))


@pytest.mark.parametrize("again", ["response_url", "X-Request-ID"])
async def test_a_repeated_request_gets_the_same_answer_and_one_remote_start(
    cpo: World, emsp: Emsp, ask: Asker, again: str
) -> None:
    command = emsp_command(emsp)
    body = {**_start(emsp), "response_url": command.body["response_url"]}
    ids = ["r1", "r2"] if again == "response_url" else ["r1", "r1"]
    heard = [
        await ask("POST", "/2.2.1/commands/START_SESSION", body, headers={"X-Request-ID": each})
        for each in ids
    ]
    assert [each.data["result"] for each in heard] == ["ACCEPTED", "ACCEPTED"]
    await command.result()
    assert len(cpo.link.sent) == 1
    assert command.results == ["ACCEPTED"]


async def test_what_was_promised_before_a_crash_ends_as_timeout_told_once() -> None:
    async with Emsp() as emsp:
        async with running() as first:
            await first.small_network()
            await first.connect(emsp)
            command = emsp_command(emsp)
            wish = StartWish(EVSE, token(), EMP)
            asker = CoreAsker(f"partner:{EMP}", command.body["response_url"])
            promised = await first.remote.accept_start(wish, asker)
            assert isinstance(promised, CommandRecord)
        for _ in range(2):
            async with running(first.store):
                assert await command.result() == "TIMEOUT"
        assert command.results == ["TIMEOUT"]


async def test_a_result_is_posted_again_only_where_the_connection_was_refused(
    cpo: World, emsp: Emsp
) -> None:
    cpo.link.held = asyncio.Event()
    command = await emsp.start_session(SITE, "CS1-1", token=emsp.tokens.add("CARD1"))
    await until(lambda: cpo.link.sent)
    await emsp.go_down()
    cpo.link.held.set()
    record = _only_start(cpo)
    await until_kept(lambda: cpo.store.exchanges_about("command", record.id), least=2)
    await emsp.come_back()
    assert await command.result() == "ACCEPTED"
    assert command.results == ["ACCEPTED"]


def emsp_command(emsp: Emsp) -> Any:
    """A command that the test sends itself, with a response_url of the partner."""
    command = Command("cmd-1", "START_SESSION", {})
    command.body["response_url"] = f"{emsp.url('commands')}/START_SESSION/{command.id}"
    command.answer, command.answered = "ACCEPTED", 0.0
    emsp.commands[command.id] = command
    return command


def _start(emsp: Emsp, location: str = SITE, uid: str = "CS1-1") -> dict[str, Any]:
    return {
        "response_url": f"{emsp.url('commands')}/START_SESSION/none",
        "token": wire("CARD1"),
        "location_id": location,
        "evse_uid": uid,
    }


def _only_start(cpo: World) -> CommandRecord:
    sent = cpo.link.sent[-1]
    assert isinstance(sent, RemoteStart)
    record = cpo.remote.start_of(sent.id_token)
    assert record is not None
    return record


async def _outcome(cpo: World, record: CommandRecord) -> list[str]:
    kept = await cpo.store.command(record.id)
    return ["accepted"] if kept is not None and kept.outcome == "accepted" else []
