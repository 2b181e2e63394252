"""Charging profiles, receiver: A16."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from cms.app.profiling import CAPABLE
from cms.app.remote import Asker as CoreAsker
from cms.app.remote import Refusal
from cms.domain.charging_profile import (
    ActiveSchedule,
    ChargingProfile,
    Period,
    RateUnit,
)
from cms.domain.commands import Answer, AskSchedule, ClearProfile, Outcome, SetProfile
from cms.domain.errors import InvalidValue
from cms.domain.ids import StationId
from cms.domain.session import Session, SessionStatus
from cms.store.memory import MemoryStore
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi.world import EVSE, OTHER, Asker, World, now, running, until
from tests.conformance.statements import reading

SEVEN_KW = {
    "charging_rate_unit": "W",
    "charging_profile_period": [{"start_period": 0, "limit": 7000}],
}
OPERATOR = CoreAsker("key:boss")


@pytest.fixture
async def session(cpo: World, emsp: Emsp) -> AsyncIterator[Session]:
    """A running session of the partner's, at an EVSE that takes profiles."""
    await equip(cpo)
    yield await cpo.session()


async def equip(cpo: World) -> None:
    """Let the EVSE take profiles; the station can say what it plans."""
    station = cpo.catalogue.stations[StationId("CS1")]
    evses = tuple(replace(each, capabilities=(CAPABLE,)) for each in station.evses)
    cpo.catalogue.put_station(replace(station, evses=evses))
    cpo.link.answers[AskSchedule] = planned(22_080)


def planned(watts: int) -> Answer:
    start = now().replace(microsecond=0)
    plan = ActiveSchedule(RateUnit.WATTS, (Period(0, Decimal(watts)),), start, 1800)
    return Answer(Outcome.ACCEPTED, schedule=plan)


def sent(cpo: World, kind: type[Any]) -> list[Any]:
    return [each for each in cpo.link.sent if isinstance(each, kind)]


def watts(limit: int) -> ChargingProfile:
    return ChargingProfile(RateUnit.WATTS, (Period(0, Decimal(limit)),))


async def limit_ourselves(cpo: World, session: Session, limit: int) -> None:
    """An operator limits the session."""
    wish = await cpo.profiling.accept_set(session, watts(limit), OPERATOR)
    assert not isinstance(wish, Refusal)
    assert (await cpo.profiling.carry_out(wish)).outcome is Outcome.ACCEPTED


# -- set, ask, clear


async def test_cf_01_and_02_a_profile_is_set_asked_for_and_cleared_each_with_one_result(
    cpo: World, emsp: Emsp, session: Session
) -> None:
    asked = await emsp.profiles.set(session.id, SEVEN_KW)
    assert (asked.http, asked.code, asked.answer, asked.timeout) == (200, 1000, "ACCEPTED", 30)
    assert await asked.result() == {"result": "ACCEPTED"}
    [given] = sent(cpo, SetProfile)
    assert (given.evse, given.transaction) == (EVSE, session.transaction)
    assert given.profile == watts(7000)

    cpo.link.answers[AskSchedule] = planned(7000)
    asked = await emsp.profiles.ask(session.id, 900)
    assert asked.answer == "ACCEPTED"
    told = await asked.result()
    assert told["profile"]["charging_profile"]["charging_profile_period"] == [
        {"start_period": 0, "limit": 7000}
    ]
    assert told["profile"]["start_date_time"].endswith("Z")
    assert [each.seconds for each in sent(cpo, AskSchedule)] == [900]

    asked = await emsp.profiles.clear(session.id)
    assert await asked.result() == {"result": "ACCEPTED"}
    assert [each.number for each in sent(cpo, ClearProfile)] == [given.number]
    assert not emsp.complaints


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Outcome.REJECTED, "REJECTED"),
        (Outcome.NOT_SUPPORTED, "REJECTED"),
        (Outcome.FAILED, "REJECTED"),
        (Outcome.OFFLINE, "REJECTED"),
        (Outcome.TIMEOUT, "REJECTED"),
        (Outcome.UNKNOWN, "UNKNOWN"),
    ],
)
async def test_cf_02_every_outcome_has_its_result_and_a_profile_only_with_accepted(
    cpo: World, emsp: Emsp, session: Session, outcome: Outcome, result: str
) -> None:
    cpo.link.answers[SetProfile] = cpo.link.answers[AskSchedule] = Answer(outcome)
    for asked in (
        await emsp.profiles.set(session.id, SEVEN_KW),
        await emsp.profiles.ask(session.id),
    ):
        assert await asked.result() == {"result": result}
    assert not emsp.complaints


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Outcome.ACCEPTED, "ACCEPTED"),
        (Outcome.REJECTED, "REJECTED"),
        (Outcome.TIMEOUT, "REJECTED"),
        (Outcome.UNKNOWN, "UNKNOWN"),
    ],
)
async def test_cf_02_what_comes_of_clearing_has_its_word_too(
    cpo: World, emsp: Emsp, session: Session, outcome: Outcome, result: str
) -> None:
    await (await emsp.profiles.set(session.id, SEVEN_KW)).result()
    cpo.link.answers[ClearProfile] = Answer(outcome)
    asked = await emsp.profiles.clear(session.id)
    assert (asked.http, asked.code, asked.answer, asked.timeout) == (200, 1000, "ACCEPTED", 30)
    assert await asked.result() == {"result": result}
    assert len(sent(cpo, ClearProfile)) == 1 and not emsp.complaints


async def test_cf_02_a_station_that_accepts_without_a_plan_is_told_what_is_set(
    cpo: World, emsp: Emsp, session: Session
) -> None:
    await (await emsp.profiles.set(session.id, SEVEN_KW)).result()
    cpo.link.answers[AskSchedule] = Answer(Outcome.ACCEPTED)
    told = await (await emsp.profiles.ask(session.id, 600)).result()
    profile = told["profile"]["charging_profile"]
    assert (profile["duration"], profile["charging_profile_period"]) == (
        600,
        [{"start_period": 0, "limit": 7000}],
    )
    assert not emsp.complaints


async def test_cf_02_a_result_is_told_once_and_a_repeated_request_does_nothing(
    cpo: World, ask: Asker, emsp: Emsp, session: Session
) -> None:
    body = {"charging_profile": SEVEN_KW, "response_url": f"{emsp.url('chargingprofiles')}/one"}
    headers = {"X-Request-ID": "the-same"}
    path = f"/2.2.1/chargingprofiles/{session.id}"
    for _ in range(2):
        heard = await ask("PUT", path, body, headers=headers)
        assert heard.data == {"result": "ACCEPTED", "timeout": 30}
    await emsp.wait_for(lambda: emsp.pushes("chargingprofiles"))
    assert len(sent(cpo, SetProfile)) == 1
    assert [each.body for each in emsp.pushes("chargingprofiles")] == [{"result": "ACCEPTED"}]


async def test_cf_02_what_a_crash_left_over_is_told_once_as_rejected() -> None:
    store = MemoryStore(now)
    async with Emsp() as emsp:
        async with running(store) as cpo:
            await cpo.small_network()
            await cpo.connect(emsp)
            await equip(cpo)
            session = await cpo.session()
            cpo.link.held = asyncio.Event()
            asked = await emsp.profiles.set(session.id, SEVEN_KW)
            await until(lambda: sent(cpo, SetProfile))
        async with running(store):
            assert await asked.result() == {"result": "REJECTED"}
        assert len(asked.results) == 1


# -- refusals


async def all_three(emsp: Emsp, session: Session) -> list[Any]:
    """Whatever may be asked about a session."""
    return [
        await emsp.profiles.set(session.id, SEVEN_KW),
        await emsp.profiles.ask(session.id),
        await emsp.profiles.clear(session.id),
    ]


async def test_cf_03_an_unknown_or_ended_session_is_unknown(
    cpo: World, emsp: Emsp, session: Session
) -> None:
    assert (await emsp.profiles.set("nobody", SEVEN_KW)).answer == "UNKNOWN_SESSION"
    await cpo.settle(session)
    for asked in (
        await emsp.profiles.set(session.id, SEVEN_KW),
        await emsp.profiles.ask(session.id),
        await emsp.profiles.clear(session.id),
    ):
        assert (asked.http, asked.code, asked.answer, asked.timeout) == (
            200, 1000, "UNKNOWN_SESSION", 0,
        )  # fmt: skip
    assert not cpo.link.sent


async def test_cf_03_and_lo_28_an_evse_without_the_capability_does_not_support_it(
    cpo: World, emsp: Emsp
) -> None:
    session = await cpo.session()
    for asked in await all_three(emsp, session):
        assert (asked.http, asked.code, asked.answer) == (200, 1000, "NOT_SUPPORTED")
    assert not cpo.link.sent and not emsp.pushes("chargingprofiles")


async def test_cf_03_a_session_of_another_partner_and_one_out_of_reach_are_rejected(
    cpo: World, emsp: Emsp, session: Session
) -> None:
    theirs = await cpo.session(OTHER)
    for asked in await all_three(emsp, theirs):
        assert (asked.http, asked.code, asked.answer) == (200, 1000, "REJECTED")
    await cpo.vanish(EVSE)
    assert (await emsp.profiles.set(session.id, SEVEN_KW)).answer == "REJECTED"
    assert not cpo.link.sent and not emsp.pushes("chargingprofiles")


async def test_cf_03_too_many_requests_about_one_session_come_too_often(
    cpo: World, emsp: Emsp, session: Session
) -> None:
    answers = [(await emsp.profiles.ask(session.id)).answer for _ in range(8)]
    assert answers == ["ACCEPTED"] * 6 + ["TOO_OFTEN"] * 2
    other = await cpo.session()
    assert (await emsp.profiles.ask(other.id)).answer == "ACCEPTED"


async def test_cf_03_nothing_to_clear_is_accepted_and_then_unknown(
    cpo: World, emsp: Emsp, session: Session
) -> None:
    await limit_ourselves(cpo, session, 5000)
    asked = await emsp.profiles.clear(session.id)
    assert asked.answer == "ACCEPTED"
    assert await asked.result() == {"result": "UNKNOWN"}
    assert not sent(cpo, ClearProfile)  # what an operator set is not the partner's to clear


# -- told of changes


async def test_cf_04_a_partner_that_set_a_profile_hears_when_an_operator_limits_further(
    cpo: World, emsp: Emsp, session: Session
) -> None:
    await (await emsp.profiles.set(session.id, SEVEN_KW)).result()
    cpo.link.answers[AskSchedule] = planned(5000)
    await limit_ourselves(cpo, session, 5000)
    [told] = await emsp.wait_for(lambda: emsp.profiles.active.get(session.id))
    assert told["charging_profile"]["charging_profile_period"] == [
        {"start_period": 0, "limit": 5000}
    ]
    assert sent(cpo, SetProfile)[-1].profile.periods == (Period(0, Decimal(5000)),)
    [push] = [each for each in emsp.pushes("chargingprofiles") if each.method == "PUT"]
    assert push.headers["OCPI-from-party-id"] == "CPO"
    assert not emsp.complaints


async def test_cf_04_what_the_partner_set_holds_where_it_is_lower_than_ours(
    cpo: World, emsp: Emsp, session: Session
) -> None:
    await (await emsp.profiles.set(session.id, SEVEN_KW)).result()
    await limit_ourselves(cpo, session, 11_000)
    assert sent(cpo, SetProfile)[-1].profile.periods == (Period(0, Decimal(7000)),)


async def test_cf_04_it_hears_when_the_charger_tells_of_another_limit_and_once_only(
    cpo: World, emsp: Emsp, session: Session
) -> None:
    await (await emsp.profiles.set(session.id, SEVEN_KW)).result()
    cpo.link.answers[AskSchedule] = planned(3700)
    cpo.profiling.limits_changed(session.station, 1)
    await emsp.wait_for(lambda: emsp.profiles.active.get(session.id))
    cpo.profiling.limits_changed(session.station, None)  # the same again
    await until(lambda: len(sent(cpo, AskSchedule)) == 2)
    await cpo.profiling.look(session.id)
    assert len(emsp.profiles.active[session.id]) == 1
    assert not emsp.complaints


async def test_cf_04_a_session_where_the_sender_set_none_is_never_told(
    cpo: World, emsp: Emsp, session: Session
) -> None:
    cpo.link.answers[SetProfile] = Answer(Outcome.REJECTED)
    await (await emsp.profiles.set(session.id, SEVEN_KW)).result()  # without success
    cpo.link.answers[SetProfile] = Answer(Outcome.ACCEPTED)
    await limit_ourselves(cpo, session, 5000)
    cpo.profiling.limits_changed(session.station, None)
    assert not await cpo.profiling.due()
    assert cpo.profiling.plan(session.id) is None
    head = await cpo.store.head()
    assert not [
        each
        for each in await cpo.store.changes(session.owner, ["profile"], 0, head)
        if each.kind == "profile"
    ]


async def test_cf_04_what_is_set_and_who_is_to_hear_of_it_survives_a_restart() -> None:
    store = MemoryStore(now)
    async with Emsp() as emsp:
        async with running(store) as cpo:
            await cpo.small_network()
            await cpo.connect(emsp)
            await equip(cpo)
            session = await cpo.session()
            await (await emsp.profiles.set(session.id, SEVEN_KW)).result()
        async with running(store) as cpo:
            cpo.live.put_session(session)
            await equip(cpo)
            cpo.link.answers[AskSchedule] = planned(5000)
            await limit_ourselves(cpo, session, 5000)
            await emsp.wait_for(lambda: emsp.profiles.active.get(session.id))
            assert [each.who for each in _steering(cpo, session).settings] == [
                "partner:IN*EMP",
                "key:boss",
            ]
        assert not emsp.complaints


async def test_cf_04_and_05_when_its_profile_ends_the_partner_hears_the_evse_s_maximum(
    cpo: World, emsp: Emsp, session: Session
) -> None:
    left = timedelta(seconds=3)
    duration = int((now() - session.started_at + left).total_seconds())
    cpo.link.answers[AskSchedule] = Answer(Outcome.NOT_SUPPORTED)  # then we work it out ourselves
    await (await emsp.profiles.set(session.id, {**SEVEN_KW, "duration": duration})).result()
    told = (await emsp.wait_for(lambda: emsp.profiles.active.get(session.id)))[-1]
    profile = told["charging_profile"]
    assert profile["charging_profile_period"] == [{"start_period": 0, "limit": 22080}]
    assert 300 <= profile["duration"] <= 3600
    assert not emsp.complaints


@pytest.mark.parametrize("told_for", [None, 1800, 86_400])
async def test_cf_05_a_plan_of_a_whole_day_is_told_for_an_hour_at_most(
    cpo: World, emsp: Emsp, session: Session, told_for: int | None
) -> None:
    """Some stations tell more than they are asked for."""
    await (await emsp.profiles.set(session.id, SEVEN_KW)).result()
    start = now().replace(microsecond=0)
    steps = tuple(Period(at, Decimal(5000 + at)) for at in (0, 1200, 7200))
    plan = ActiveSchedule(RateUnit.WATTS, steps, start, told_for)
    cpo.link.answers[AskSchedule] = Answer(Outcome.ACCEPTED, schedule=plan)
    cpo.profiling.limits_changed(session.station, 1)
    [told] = await emsp.wait_for(lambda: emsp.profiles.active.get(session.id))
    profile = told["charging_profile"]
    assert 300 <= profile["duration"] <= 3600
    assert [each["start_period"] for each in profile["charging_profile_period"]] == [0, 1200]
    assert not emsp.complaints


@pytest.mark.parametrize(
    ("unit", "limit", "shown"),
    [(RateUnit.AMPERES, "16.5", Decimal("16.5")), (RateUnit.WATTS, "7000.0", 7000)],
)
async def test_cf_06_what_we_tell_has_its_unit_and_no_more_than_one_decimal(
    cpo: World, emsp: Emsp, session: Session, unit: RateUnit, limit: str, shown: Any
) -> None:
    start = now().replace(microsecond=0)
    plan = ActiveSchedule(unit, (Period(0, Decimal(limit)),), start, 900)
    cpo.link.answers[AskSchedule] = Answer(Outcome.ACCEPTED, schedule=plan)
    told = await (await emsp.profiles.ask(session.id, 900)).result()
    profile = told["profile"]["charging_profile"]
    assert profile["charging_rate_unit"] == ("A" if unit is RateUnit.AMPERES else "W")
    assert profile["charging_profile_period"] == [{"start_period": 0, "limit": shown}]
    with pytest.raises(InvalidValue):
        Period(0, Decimal("16.55"))


async def test_cf_04_a_session_that_has_ended_is_told_of_nothing_and_forgotten(
    cpo: World, emsp: Emsp, session: Session
) -> None:
    await (await emsp.profiles.set(session.id, SEVEN_KW)).result()
    await cpo.keep(replace(session, status=SessionStatus.STOPPED))
    cpo.profiling.limits_changed(session.station, None)
    assert not await cpo.profiling.due()
    assert cpo.profiling.steering(session.id) is None
    assert not await cpo.store.documents("steering")


# -- form


async def test_cf_06_units_starts_and_limits_are_taken_as_they_are(
    cpo: World, emsp: Emsp, session: Session
) -> None:
    profile = {
        "start_date_time": "2026-01-01T10:00:00+02:00",
        "duration": 3600,
        "charging_rate_unit": "A",
        "min_charging_rate": 6,
        "charging_profile_period": [
            {"start_period": 0, "limit": 16.5},
            {"start_period": 1800, "limit": 0},
        ],
    }
    await (await emsp.profiles.set(session.id, profile)).result()
    given = sent(cpo, SetProfile)[-1].profile
    assert (given.unit, given.duration, given.min_rate) == (RateUnit.AMPERES, 3600, Decimal(6))
    assert given.start is not None and given.start.isoformat() == "2026-01-01T08:00:00+00:00"
    assert given.periods == (Period(0, Decimal("16.5")), Period(1800, Decimal(0)))
    await (await emsp.profiles.set(session.id, SEVEN_KW)).result()
    assert sent(cpo, SetProfile)[-1].profile.start is None  # from the beginning of the charging


@pytest.mark.parametrize(
    ("profile", "field"),
    [
        ({"charging_profile_period": [{"start_period": 0, "limit": 7}]}, "charging_rate_unit"),
        ({"charging_rate_unit": "kW"}, "charging_rate_unit"),
        ({"charging_rate_unit": "W"}, "charging_profile_period"),
        ({"charging_rate_unit": "W", "charging_profile_period": [{"start_period": 0, "limit": 7.25}]}, "limit"),
        ({"charging_rate_unit": "W", "charging_profile_period": [{"start_period": 0, "limit": -1}]}, "limit"),
        ({"charging_rate_unit": "W", "charging_profile_period": [{"start_period": 9, "limit": 1}] * 2}, "charging_profile_period"),
        ({**SEVEN_KW, "duration": 0}, "duration"),
    ],
)  # fmt: skip
async def test_cf_06_a_profile_that_is_wrong_is_refused_with_its_field(
    cpo: World, emsp: Emsp, ask: Asker, session: Session, profile: Any, field: str
) -> None:
    body = {"charging_profile": profile, "response_url": f"{emsp.url('chargingprofiles')}/x"}
    heard = await ask("PUT", f"/2.2.1/chargingprofiles/{session.id}", body)
    assert (heard.http, heard.code) == (200, 2001)
    assert field in heard.envelope["status_message"]
    assert not cpo.link.sent


@reading
@pytest.mark.parametrize("order", ["before", "behind", "escaped"])
async def test_cf_07_a_response_url_with_its_own_query_is_taken_whole(
    cpo: World, emsp: Emsp, ask: Asker, session: Session, order: str
) -> None:
    own = f"{emsp.url('chargingprofiles')}/results/7?tenant=a&key=b"
    query = {
        "before": f"duration=900&response_url={own}",
        "behind": f"response_url={own}&duration=900",
        "escaped": "response_url="
        + own.replace(":", "%3A").replace("/", "%2F").replace("?", "%3F").replace("&", "%26")
        + "&duration=900",
    }[order]
    heard = await ask("GET", f"/2.2.1/chargingprofiles/{session.id}?{query}")
    assert heard.data["result"] == "ACCEPTED"
    assert sent(cpo, AskSchedule)[0].seconds == 900
    [push] = await emsp.wait_for(lambda: emsp.pushes("chargingprofiles"))
    assert push.path.endswith("/results/7?tenant=a&key=b")


@reading
async def test_cf_07_a_response_url_that_leads_to_a_foreign_host_is_refused(
    cpo: World, ask: Asker, session: Session
) -> None:
    query = "duration=900&response_url=http://elsewhere.example/x"
    heard = await ask("GET", f"/2.2.1/chargingprofiles/{session.id}?{query}")
    assert heard.code == 2001 and "response_url" in heard.envelope["status_message"]


@pytest.mark.parametrize(
    ("method", "query", "field"),
    [
        ("GET", "response_url=http://127.0.0.1/x", "duration"),
        ("GET", "duration=soon&response_url=http://127.0.0.1/x", "duration"),
        ("GET", "duration=0&response_url=http://127.0.0.1/x", "duration"),
        ("GET", "duration=900", "response_url"),
        ("DELETE", "", "response_url"),
        ("DELETE", "response_url=", "response_url"),
    ],
)
async def test_cf_08_a_missing_duration_or_response_url_is_2001(
    cpo: World, ask: Asker, session: Session, method: str, query: str, field: str
) -> None:
    heard = await ask(method, f"/2.2.1/chargingprofiles/{session.id}?{query}")
    assert (heard.http, heard.code) == (200, 2001)
    assert field in heard.envelope["status_message"]
    assert not cpo.link.sent


async def test_cf_08_limits_are_maxima_a_second_one_never_raises_the_first(
    cpo: World, emsp: Emsp, session: Session
) -> None:
    await limit_ourselves(cpo, session, 4000)
    await (await emsp.profiles.set(session.id, SEVEN_KW)).result()
    assert sent(cpo, SetProfile)[-1].profile.periods == (Period(0, Decimal(4000)),)


async def test_ve_02_the_module_is_offered_as_receiver_in_both_newer_versions_only(
    cpo: World, ask: Asker, emsp: Emsp
) -> None:
    for version, offered in (("2.1.1", False), ("2.2.1", True), ("2.3.0", True)):
        heard = await ask("GET", f"/{version}")
        found = [e for e in heard.data["endpoints"] if e["identifier"] == "chargingprofiles"]
        url = f"{cpo.base}/{version}/chargingprofiles"
        whole = {"identifier": "chargingprofiles", "role": "RECEIVER", "url": url}
        assert found == ([whole] if offered else [])
    heard = await ask("GET", "/2.1.1/chargingprofiles/x")
    assert (heard.http, heard.code) == (404, 2000)


async def test_cf_01_2_3_0_speaks_the_same(cpo: World) -> None:
    async with Emsp(party_id="E23", version="2.3.0") as emsp:
        await cpo.connect(emsp)
        await equip(cpo)
        session = await cpo.session(emsp_id(emsp))
        asked = await emsp.profiles.set(session.id, SEVEN_KW)
        assert await asked.result() == {"result": "ACCEPTED"}
        cpo.link.answers[AskSchedule] = planned(5000)
        await limit_ourselves(cpo, session, 5000)
        await emsp.wait_for(lambda: emsp.profiles.active.get(session.id))
        assert not emsp.complaints


@reading
@pytest.mark.parametrize("written", ["http://127.0.0.1/cp", "http://127.0.0.1/cp/"])
def test_tr_29_the_push_s_address_has_exactly_one_slash_and_keeps_its_query(written: str) -> None:
    from ocpi_cpo.wire import join

    assert join(written, "S1") == "http://127.0.0.1/cp/S1"
    assert join("http://127.0.0.1/cp?tenant=a", "S1") == "http://127.0.0.1/cp/S1?tenant=a"


def emsp_id(emsp: Emsp) -> Any:
    return str(emsp.us)


def _steering(cpo: World, session: Session) -> Any:
    found = cpo.profiling.steering(session.id)
    assert found is not None
    return found
