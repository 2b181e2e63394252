"""Partners that are slow, down, wrong: what the push does about it (O01, O02, O07 in small)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from time import monotonic

import pytest

from cms.app import failpoints
from cms.app.ports import Page
from cms.domain.audit import WorkType
from cms.domain.ids import PartnerId, StationId
from cms.domain.partner import PartnerState
from cms.domain.status import ConnectorReport
from ocpi_cpo.versions.v221.people import token_out
from ocpi_cpo.wire import join
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.partner import Emsp
from simulators.emsp.store import Arrival
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


@pytest.fixture
async def cpo() -> AsyncIterator[World]:
    async with running(
        request_timeout=timedelta(seconds=0.5), backoff_cap=timedelta(seconds=1.5)
    ) as world:
        await world.small_network()
        yield world


@pytest.fixture
async def emsp(cpo: World) -> AsyncIterator[Emsp]:
    async with Emsp() as partner:
        await cpo.connect(partner)
        await partner.wait_for(lambda: partner.store.locations)
        yield partner


async def _parked(cpo: World) -> list[str]:
    items = await cpo.store.work_items(True, Page())
    return [each.subject for each in items if each.type is WorkType.PARKED_DELIVERY]


async def _closed(cpo: World) -> list[str]:
    items = await cpo.store.work_items(False, Page())
    return [each.subject for each in items if each.closed_at is not None]


# -- O01: a partner that is down


async def test_o01_ten_flickers_while_a_partner_is_down_are_one_patch_when_it_is_back(
    cpo: World, emsp: Emsp
) -> None:
    await emsp.go_down()
    for _ in range(5):
        await cpo.report(EVSE, ConnectorReport.CHARGING)
        await cpo.report(EVSE, ConnectorReport.FREE)
    await cpo.report(EVSE, ConnectorReport.FAULTED)
    session = await cpo.session()
    bill = await cpo.settle(session)
    before = len(emsp.arrivals)
    await emsp.come_back()

    def patches() -> list[Arrival]:
        return [each for each in emsp.arrivals[before:] if each.method == "PATCH"]

    await emsp.wait_for(lambda: emsp.store.cdrs and patches())  # what failed itself comes last
    assert [each.body and each.body["status"] for each in patches()] == ["OUTOFORDER"]
    assert len(emsp.pushes("sessions")) == 1
    assert [each.object_id for each in emsp.pushes("cdrs")] == [bill.id]
    assert not emsp.complaints


@pytest.mark.parametrize("kind", [Kind.BLACKHOLE, Kind.CLOSE, Kind.DRIP])
async def test_o01_a_dead_partner_delays_nobody(cpo: World, emsp: Emsp, kind: Kind) -> None:
    emsp.faults.add(Fault(kind, seconds=0.05))
    async with Emsp(party_id="OTH") as healthy:
        await cpo.connect(healthy)
        await healthy.wait_for(lambda: healthy.store.locations)
        for report in (ConnectorReport.CHARGING, ConnectorReport.FREE, ConnectorReport.FAULTED):
            began = monotonic()
            before = len(healthy.arrivals)
            await cpo.report(EVSE, report)
            await healthy.wait_for(
                lambda before=before: [a for a in healthy.arrivals[before:] if a.http]
            )
            assert monotonic() - began < 2.0
        assert not healthy.complaints


async def test_o01_a_partner_that_is_down_is_asked_ever_more_rarely(cpo: World) -> None:
    async with Emsp() as emsp:
        await cpo.connect(emsp)
        await emsp.wait_for(lambda: emsp.store.locations)
        emsp.faults.add(Fault(Kind.HTTP, http=502))
        for _ in range(20):
            await cpo.session()
        seen = len(emsp.arrivals)
        await asyncio.sleep(1.5)  # the length of the observation, not a wait for something
        assert len(emsp.arrivals) - seen <= 12  # 8 in flight at first, then single probes
        emsp.faults.clear()
        await emsp.wait_for(lambda: len(emsp.store.sessions) == 20)


async def test_a_partner_that_names_a_time_is_left_alone_until_then(cpo: World, emsp: Emsp) -> None:
    fault = emsp.faults.add(Fault(Kind.HTTP, http=503, retry_after=1, times=1))
    began = monotonic()
    session = await cpo.session()
    await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", session.id))
    assert fault.hits == 1
    assert 0.9 < monotonic() - began < 4


async def test_a_partner_that_calls_us_is_tried_at_once(cpo: World, emsp: Emsp) -> None:
    emsp.faults.add(Fault(Kind.HTTP, http=503, retry_after=600, times=1))
    session = await cpo.session()
    await emsp.wait_for(lambda: emsp.pushes("sessions"))
    await until(lambda: (cpo.service.health(EMP)["push"] or {}).get("failures"))  # type: ignore[attr-defined]
    await emsp.get("locations", SITE)
    await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", session.id))


# -- O02: it was taken, and we do not know


@pytest.mark.parametrize("cut", [Kind.CUT_AFTER, Kind.CUT_WITHIN, Kind.SLOW_AFTER, Kind.HTTP_AFTER])
@pytest.mark.parametrize("repeat", [None, Kind.CONFLICT, Kind.REFUSE_REPEAT])
async def test_o02_a_bill_whose_answer_was_lost_is_there_once(
    cpo: World, emsp: Emsp, cut: Kind, repeat: Kind | None
) -> None:
    fault = emsp.faults.add(Fault(cut, "cdrs", "POST", times=1, seconds=1.0, http=502))
    if repeat is not None:
        emsp.faults.add(Fault(repeat, "cdrs", "POST"))
    bill = await cpo.settle(await cpo.session())
    await emsp.wait_for(lambda: len(emsp.pushes("cdrs")) == 2)

    async def decided() -> list[str]:
        kept = await cpo.store.delivery(EMP, "cdr", bill.id)
        return [kept.state] if kept and kept.state in ("delivered", "parked") else []

    await until_kept(decided)
    kept = await cpo.store.delivery(EMP, "cdr", bill.id)
    assert kept is not None
    assert kept.error is not None  # the doubt is on record
    assert emsp.store.cdr_copies["IN", "CPO", bill.id.upper()] == 1
    assert {each.object_id for each in emsp.pushes("cdrs")} == {bill.id}
    push = cpo.service.health(EMP)["push"]
    assert isinstance(push, dict)
    assert push["ambiguous_bills"] == fault.hits == 1
    print(f"O02 cut={cut.value} repeat={repeat and repeat.value} twice=0 ambiguous=1")


async def test_o02_a_bill_that_was_never_sent_is_in_no_doubt(cpo: World, emsp: Emsp) -> None:
    await emsp.go_down()
    bill = await cpo.settle(await cpo.session())
    await until_kept(lambda: cpo.store.exchanges_about("session", bill.session))
    await emsp.come_back()
    await emsp.wait_for(lambda: emsp.store.cdrs)
    push = cpo.service.health(EMP)["push"]
    assert isinstance(push, dict)
    assert push["ambiguous_bills"] == 0


async def test_x5_killed_between_the_partners_answer_and_our_mark_the_bill_is_there_once() -> None:
    async with Emsp() as emsp:
        emsp.faults.add(Fault(Kind.CONFLICT, "cdrs", "POST"))
        async with running() as first:
            await first.small_network()
            await first.connect(emsp)
            failpoints.arm(failpoints.X5, action="raise")
            bill = await first.settle(await first.session())
            await emsp.wait_for(lambda: emsp.store.cdrs)
        failpoints.disarm()
        async with running(first.store):
            await emsp.wait_for(lambda: len(emsp.pushes("cdrs")) >= 2)
            await until_kept(lambda: _delivered(first, bill.id))
        assert emsp.store.cdr_copies["IN", "CPO", bill.id.upper()] == 1


async def _delivered(cpo: World, id: str) -> list[str]:
    kept = await cpo.store.delivery(EMP, "cdr", id)
    return ["delivered"] if kept is not None and kept.state == "delivered" else []


async def test_a_bill_without_a_location_header_is_delivered_and_the_partner_flagged(
    cpo: World, emsp: Emsp
) -> None:
    emsp.faults.add(Fault(Kind.NO_LOCATION, "cdrs"))
    bill = await cpo.settle(await cpo.session())
    await until_kept(lambda: _delivered(cpo, bill.id))
    push = cpo.service.health(EMP)["push"]
    assert isinstance(push, dict) and push["bills_without_location"] == 1


async def test_a_relative_location_is_read_against_the_address_it_came_from(
    cpo: World, emsp: Emsp
) -> None:
    emsp.faults.add(Fault(Kind.RELATIVE_LOCATION, "cdrs"))
    bill = await cpo.settle(await cpo.session())
    await until_kept(lambda: _delivered(cpo, bill.id))
    kept = await cpo.store.delivery(EMP, "cdr", bill.id)
    assert kept is not None and kept.place is not None
    assert kept.place.startswith(f"{emsp.base_url}/ocpi/2.2.1/cdrs/")


# -- parking


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Kind.OCPI, "sessions", status_code=2001, times=1),
        Fault(Kind.HTTP, "sessions", http=400, times=1),
        Fault(Kind.HTTP, "sessions", http=405, times=1),
        Fault(Kind.REDIRECT, "sessions", times=1),
    ],
    ids=lambda fault: f"{fault.kind.value}-{fault.http}",
)
async def test_what_a_partner_refuses_for_good_is_parked_and_the_rest_goes_on(
    cpo: World, emsp: Emsp, fault: Fault
) -> None:
    emsp.faults.add(
        Fault(fault.kind, fault.module, times=1, http=fault.http, status_code=fault.status_code)
    )
    refused = await cpo.session()
    await until_kept(lambda: _parked(cpo))
    passed = await cpo.session()
    await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", passed.id))
    assert await _parked(cpo) == [f"session:{refused.id}"]
    assert len(emsp.pushes("sessions", refused.id)) <= 1
    cpo.service.retry(EMP)  # an operator says so
    await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", refused.id))
    await until_kept(lambda: _closed(cpo))


async def test_a_bill_goes_although_its_session_was_refused(cpo: World, emsp: Emsp) -> None:
    emsp.faults.add(Fault(Kind.OCPI, "sessions", status_code=2001))
    await cpo.settle(await cpo.session())
    await emsp.wait_for(lambda: emsp.store.cdrs)


async def test_one_object_that_fails_five_times_while_others_pass_is_parked() -> None:
    async with running(backoff_cap=timedelta(seconds=0.05)) as cpo, Emsp() as emsp:
        await cpo.small_network()
        await cpo.connect(emsp)
        await emsp.wait_for(lambda: emsp.store.locations)
        emsp.faults.add(Fault(Kind.HTTP, "cdrs", http=500))
        bill = await cpo.settle(await cpo.session())
        for _ in range(40):
            if await _parked(cpo):
                break
            session = await cpo.session()
            await emsp.wait_for(
                lambda session=session: emsp.history("sessions", "IN", "CPO", session.id)
            )
            await asyncio.sleep(0.06)  # the pause of the object itself
        assert await _parked(cpo) == [f"cdr:{bill.id}"]
        kept = await cpo.store.delivery(EMP, "cdr", bill.id)
        assert kept is not None and kept.retry_at is not None


async def test_a_moved_endpoint_is_found_again(cpo: World, emsp: Emsp) -> None:
    connection = cpo.service.connections.get(EMP)
    assert connection is not None
    wrong = tuple(
        replace(each, url=join(emsp.base_url, "ocpi", "2.2.1", "elsewhere"))
        if each.module == "sessions"
        else each
        for each in connection.endpoints
    )
    await cpo.service.connections.save(replace(connection, endpoints=wrong))
    session = await cpo.session()
    await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", session.id))


# -- O07: nobody sees what is another's


async def test_o07_no_endpoint_shows_one_partner_what_is_anothers(cpo: World, emsp: Emsp) -> None:
    async with Emsp(party_id="OTH") as other:
        other.tokens.add("CARD-OTH")
        emsp.tokens.add("CARD-EMP")
        await cpo.connect(other)
        mine, theirs = await cpo.session(EMP), await cpo.session(OTHER)
        bills = {EMP: await cpo.settle(mine), OTHER: await cpo.settle(theirs)}
        running_ = {EMP: await cpo.session(EMP), OTHER: await cpo.session(OTHER)}
        for owner in (EMP, OTHER):
            await cpo.administration.put_token(token(owner, f"CARD-{owner[3:]}"), OPERATOR)
        cells = leaks = 0
        for asker, me, foreign in ((emsp, EMP, OTHER), (other, OTHER, EMP)):
            ask = Asker(cpo.base, asker.connection.outbound)
            secrets = {
                bills[foreign].id,
                bills[foreign].session,
                running_[foreign].id,
                f"CARD-{foreign[3:]}",
            }
            paths = [
                "/versions",
                "/2.2.1",
                "/2.2.1/credentials",
                "/2.2.1/locations",
                f"/2.2.1/locations/{SITE}",
                "/2.2.1/sessions?date_from=2020-01-01T00:00:00Z",
                "/2.2.1/cdrs",
                "/2.2.1/tariffs",
                f"/2.2.1/sessions/{running_[foreign].id}",
                f"/2.2.1/cdrs/{bills[foreign].id}",
                f"/2.2.1/tokens/IN/{foreign[3:]}/CARD-{foreign[3:]}",
            ]
            for path in paths:
                for method in ("GET", "PUT", "PATCH", "POST", "DELETE"):
                    if path.startswith("/2.2.1/credentials") and method != "GET":
                        continue
                    heard = await ask(method, path, None if method == "GET" else {})
                    cells += 1
                    said = str(heard.data)
                    leaks += any(secret in said for secret in secrets)
            seen = {each.object_id for each in asker.pushes("sessions") + asker.pushes("cdrs")}
            cells += 1
            leaks += bool(seen & secrets)
            assert me != foreign
        print(f"O07 cells={cells} leaks={leaks}")
        assert leaks == 0
        kept = next(iter(cpo.catalogue.tokens_named("CARD-OTH")))
        assert kept.valid


async def test_o07_pushes_of_every_event_reach_their_owner_only(cpo: World, emsp: Emsp) -> None:
    async with Emsp(party_id="OTH") as other, Emsp(party_id="THR") as third:
        partners = {PartnerId(str(each.us)): each for each in (emsp, other, third)}
        for each in (other, third):
            await cpo.connect(each)
        bills = {}
        for owner in partners:
            bills[owner] = [await cpo.settle(await cpo.session(owner)) for _ in range(3)]
        for owner, partner in partners.items():
            await partner.wait_for(lambda partner=partner: len(partner.store.cdrs) == 3)
            assert {each["id"] for each in partner.store.cdrs.values()} == {
                bill.id for bill in bills[owner]
            }
            assert {each["id"] for each in partner.store.sessions.values()} == {
                bill.session for bill in bills[owner]
            }
            assert not partner.complaints


# -- order and crash


async def test_a_restart_repeats_nothing_that_was_delivered() -> None:
    async with Emsp() as emsp:
        async with running() as first:
            await first.small_network()
            await first.connect(emsp)
            bill = await first.settle(await first.session())
            await emsp.wait_for(lambda: emsp.store.cdrs)
            await until_kept(lambda: _delivered(first, bill.id))
        async with running(first.store) as again:
            await again.report(EVSE, ConnectorReport.CHARGING)
            await emsp.wait_for(lambda: [a for a in emsp.arrivals if a.method == "PATCH"])
        assert len(emsp.pushes("cdrs")) == 1
        assert emsp.store.cdr_copies["IN", "CPO", bill.id.upper()] == 1


async def test_many_stations_and_sessions_arrive_complete(cpo: World, emsp: Emsp) -> None:
    for number in range(2, 12):
        await cpo.add_station(StationId(f"CS{number}"))
    sessions = [await cpo.session() for _ in range(60)]
    for each in sessions:
        await cpo.settle(each)
    await emsp.wait_for(lambda: len(emsp.store.cdrs) == 60)
    [site] = await emsp.pull("locations")
    held = emsp.store.locations["IN", "CPO", SITE]
    assert {each["uid"] for each in held["evses"]} == {each["uid"] for each in site["evses"]}
    assert all(copies == 1 for copies in emsp.store.cdr_copies.values())
    assert not emsp.complaints
    assert not emsp.cost_differences


async def test_the_store_away_for_a_moment_loses_nothing(cpo: World, emsp: Emsp) -> None:
    session = await cpo.session()
    cpo.store.healthy = False
    heard = await Asker(cpo.base, emsp.connection.outbound)(
        "PUT", "/2.2.1/tokens/IN/EMP/T1", _token()
    )
    assert heard.http == 503
    assert heard.headers["Retry-After"]
    cpo.store.healthy = True
    await cpo.settle(session)
    await emsp.wait_for(lambda: emsp.store.cdrs)
    assert cpo.catalogue.partners[EMP].state is PartnerState.CONNECTED


def _token() -> dict[str, object]:
    return token_out(token(uid="T1"), now()).wire()
