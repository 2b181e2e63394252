"""Unsure of the receiver's copy: it is read there, and set right (LO-30, CD-04, CD-27)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cms.app.ports import Comparison, Page
from cms.domain.audit import WorkType
from cms.domain.cdr import Cdr
from cms.domain.errors import Conflict, NotFound
from cms.domain.ids import PartnerId
from ocpi_cpo.config import Comparing
from ocpi_cpo.push.nightly import Nightly
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi.hubs import ANN, BOB, HUB, Hub, hub, joined
from tests.conformance.ocpi.world import (
    EMP,
    OTHER,
    SITE,
    World,
    running,
    until,
    until_kept,
)
from tests.conformance.statements import reading

QUICK = Comparing(pause=timedelta(0), later=timedelta(seconds=0.05))


@pytest.fixture
async def cpo() -> AsyncIterator[World]:
    async with running(comparing=QUICK, request_timeout=timedelta(seconds=0.5)) as world:
        await world.small_network()
        yield world


async def compared(cpo: World, module: str | None = None) -> Comparison:
    async def quiet() -> list[int]:
        return [1] if (await cpo.service.partner_health(EMP)).lag == 0 else []

    await until_kept(quiet)
    await cpo.service.comparing.ask(EMP, "test", module)
    return await ended(cpo)


async def ended(cpo: World, partner: PartnerId = EMP) -> Comparison:
    async def report() -> list[Comparison]:
        found = cpo.service.comparing.report(partner)
        return [found] if found is not None and found.ended_at is not None else []

    await until_kept(report)
    return (await report())[0]


async def billed(cpo: World, emsp: Emsp, count: int = 1) -> list[Cdr]:
    bills = [await cpo.settle(await cpo.session()) for _ in range(count)]

    async def delivered() -> list[str]:
        rows = [await cpo.store.delivery(EMP, "cdr", each.id) for each in bills]
        return [row.key for row in rows if row is not None and row.state == "delivered"]

    await until_kept(delivered, count)
    return bills


def counts(report: Comparison) -> dict[str, tuple[int, int, int, int]]:
    return {e.module: (e.looked, e.same, e.differing, e.missing) for e in report.looked}


async def test_lo_30_equal_copies_are_looked_at_and_left_alone(cpo: World, emsp: Emsp) -> None:
    await cpo.session()
    await billed(cpo, emsp)
    seen = len(emsp.arrivals)
    report = await compared(cpo)
    assert (report.findings, report.stopped) == ((), None)
    assert counts(report) == {
        "locations": (1, 1, 0, 0),
        "tariffs": (1, 1, 0, 0),
        "sessions": (2, 2, 0, 0),
        "cdrs": (1, 1, 0, 0),
    }
    assert {each.method for each in emsp.arrivals[seen:]} == {"GET"}


@pytest.mark.parametrize("version", ["2.1.1", "2.2", "2.3.0"])
async def test_lo_30_copies_are_compared_in_the_words_of_each_version(
    cpo: World, version: str
) -> None:
    async with Emsp(version=version) as emsp:
        emsp.tokens.add("04A2B3C4D5", contract_id="IN-EMP-C1")
        await cpo.connect(emsp)
        await emsp.wait_for(lambda: emsp.store.locations)
        await billed(cpo, emsp)
        same = counts(await compared(cpo))
        assert same == {name: (1, 1, 0, 0) for name in ("locations", "tariffs", "sessions", "cdrs")}
        [[place, copy]] = [
            each for each in emsp.originals._kept.items() if each[0][1] == "locations"
        ]
        emsp.originals._kept[place] = {**copy, "name": "Elsewhere"}
        [finding] = (await compared(cpo, "locations")).findings
        assert (finding.field, finding.theirs, finding.done) == (
            "name",
            '"Elsewhere"',
            "put again",
        )
        assert not emsp.complaints


async def test_lo_30_a_copy_that_differs_is_reported_and_put_again(cpo: World, emsp: Emsp) -> None:
    session = await cpo.session()
    await emsp.wait_for(lambda: emsp.store.sessions)
    [[key, site]] = emsp.store.locations.items()
    good = dict(site)
    evse = {**site["evses"][0], "status": "OUTOFORDER"}
    emsp.store.locations[key] = {**site, "name": "Elsewhere", "evses": [evse]}
    emsp.store.tariffs.clear()
    [at] = emsp.store.sessions
    emsp.store.sessions[at] = {**emsp.store.sessions[at], "kwh": 0.5}
    report = await compared(cpo)
    told = {(e.module, e.object, e.field): (e.ours, e.theirs, e.done) for e in report.findings}
    assert told["locations", SITE, "name"] == ('"Karve Road"', '"Elsewhere"', "put again")
    assert ("locations", SITE, "evses[CS1-1].status") in told
    assert told["sessions", session.id, "kwh"][1] == "0.5"
    assert counts(report)["tariffs"] == (1, 0, 0, 1)

    def healed() -> bool:
        return (
            emsp.store.locations[key]["name"] == good["name"]
            and emsp.store.locations[key]["evses"][0]["status"] == "AVAILABLE"
            and emsp.store.sessions[at]["kwh"] == 1.5
            and len(emsp.store.tariffs) == 1
        )

    await emsp.wait_for(healed)
    assert (await compared(cpo)).findings == ()


@reading
async def test_cd_27_a_bill_that_is_gone_is_posted_again_with_the_same_id(
    cpo: World, emsp: Emsp
) -> None:
    lost, kept = await billed(cpo, emsp, 2)
    del emsp.store.cdrs["IN", "CPO", lost.id.upper()]
    emsp.store.cdr_copies.clear()
    report = await compared(cpo, "cdrs")
    [finding] = report.findings
    assert (finding.object, finding.done) == (lost.id, "posted again")
    await emsp.wait_for(lambda: len(emsp.store.cdrs) == 2)
    posts = [each.object_id for each in emsp.pushes("cdrs") if each.method == "POST"]
    assert sorted(posts) == sorted([lost.id, kept.id, lost.id])
    looks = [each for each in emsp.arrivals if each.module == "cdrs" and each.method == "GET"]
    assert len(looks) == 3  # both once, the lost one a second time before it is sent


async def test_cd_04_a_bill_that_differs_is_reported_to_a_person_and_never_overwritten(
    cpo: World, emsp: Emsp
) -> None:
    [bill] = await billed(cpo, emsp)
    [at] = emsp.store.cdrs
    emsp.store.cdrs[at] = {**emsp.store.cdrs[at], "total_energy": 99}
    seen = len(emsp.arrivals)
    report = await compared(cpo, "cdrs")
    [finding] = report.findings
    assert (finding.field, finding.theirs, finding.done) == ("total_energy", "99", "reported")
    [item] = await cpo.store.work_items(True, Page(), f"cdr:{bill.id}")
    assert (item.type, item.evidence["fields"]) == (WorkType.COPY_DIFFERS, ["total_energy"])
    assert {each.method for each in emsp.arrivals[seen:]} == {"GET"}


async def test_lo_30_a_partner_without_that_look_is_left_alone(cpo: World, emsp: Emsp) -> None:
    emsp.faults.add(Fault(Kind.HTTP, "locations", "GET", http=405))
    emsp.faults.add(Fault(Kind.HTML, "tariffs", "GET", http=404))
    seen = len(emsp.arrivals)
    report = await compared(cpo)
    offered = {each.module: each.offered for each in report.looked}
    assert (offered["locations"], offered["tariffs"]) == (False, False)
    assert report.findings == () and report.stopped is None
    assert not [each for each in emsp.arrivals[seen:] if each.method != "GET"]


async def test_a_partner_that_does_not_answer_is_asked_twice_and_no_more(
    cpo: World, emsp: Emsp
) -> None:
    await billed(cpo, emsp, 3)
    emsp.faults.add(Fault(Kind.HTTP, method="GET", http=503))
    seen = len(emsp.arrivals)
    report = await compared(cpo)
    assert report.stopped is not None and "503" in report.stopped
    assert len(emsp.arrivals) - seen == 2


async def test_only_one_comparison_of_a_connected_partner_runs(cpo: World, emsp: Emsp) -> None:
    emsp.faults.add(Fault(Kind.SLOW, "locations", "GET", seconds=0.2))
    await cpo.service.comparing.ask(EMP, "test")
    with pytest.raises(Conflict, match="being compared"):
        await cpo.service.comparing.ask(EMP, "test")
    running_now = cpo.service.comparing.report(EMP)
    assert running_now is not None and running_now.ended_at is None
    await ended(cpo)
    with pytest.raises(NotFound):
        await cpo.service.comparing.ask(OTHER, "test")
    await emsp.unregister()
    with pytest.raises(Conflict, match="not connected"):
        await cpo.service.comparing.ask(EMP, "test")


async def test_at_night_every_connected_partner_is_compared_once() -> None:
    just_now = datetime.now(UTC) - timedelta(seconds=1)
    at = time(just_now.hour, just_now.minute, just_now.second)
    nightly = replace(QUICK, nightly=Nightly(at, ZoneInfo("UTC"), timedelta(0)))
    async with running(comparing=nightly) as cpo, Emsp() as emsp:
        await cpo.small_network()
        await cpo.connect(emsp)
        await emsp.wait_for(lambda: emsp.store.locations)
        link = cpo.service.connections.get(EMP)
        assert link is not None
        yesterday = replace(link, registered_at=just_now - timedelta(days=1))
        await cpo.service.connections.save(yesterday)
        await until(lambda: cpo.service.lines.worker(EMP) is not None)
        await cpo.service.comparing.look_at_the_clock()
        report = cpo.service.comparing.report(EMP)
        assert report is not None and (report.by, report.stopped) == ("system", None)
        looks = len(emsp.arrivals)
        await cpo.service.comparing.look_at_the_clock()
        assert len(emsp.arrivals) == looks
        async with running(cpo.store, comparing=nightly) as again:
            kept = again.service.comparing.report(EMP)
            assert kept == report
            await asyncio.sleep(0)


# -- behind a hub


@asynccontextmanager
async def behind_hub(**more: Any) -> AsyncIterator[tuple[World, Hub]]:
    """A CPO and a hub with two parties; of each, two sessions and two bills were told."""
    async with (
        running(comparing=QUICK, request_timeout=timedelta(seconds=0.5), **more) as cpo,
        hub(forwards=True) as roaming,
    ):
        await cpo.small_network()
        await joined(cpo, roaming, ANN, BOB)
        for party in (ANN, BOB):
            for _ in range(2):
                await cpo.settle(await cpo.session(owner=party))
        await roaming.until(lambda: len(roaming.pushed("cdrs")) == 4)
        await quiet(cpo, ANN, BOB)
        yield cpo, roaming


async def quiet(cpo: World, *parties: PartnerId) -> None:
    async def still() -> list[int]:
        lags = [(await cpo.service.partner_health(each)).lag for each in parties]
        return [] if any(lags) else [1]

    await until_kept(still)


async def compared_behind(cpo: World, party: PartnerId = ANN) -> Comparison:
    await quiet(cpo, party)
    await cpo.service.comparing.ask(party, "test")
    return await ended(cpo, party)


def copies(roaming: Hub, party: PartnerId, module: str) -> list[tuple[str | None, str]]:
    return [key for key in roaming.copies if key[0] == party and key[1].startswith(f"/{module}/")]


async def test_lo_30_a_party_behind_a_hub_is_asked_for_its_own_copies() -> None:
    async with behind_hub() as (cpo, roaming):
        seen = len(roaming.arrivals)
        report = await compared_behind(cpo)
        assert counts(report) == {"sessions": (2, 2, 0, 0), "cdrs": (2, 2, 0, 0)}
        assert {(each.method, each.to) for each in roaming.arrivals[seen:]} == {("GET", ANN)}
        with pytest.raises(Conflict, match="broadcast"):
            await cpo.service.comparing.ask(ANN, "test", "locations")
        assert (await compared_behind(cpo)).stopped is None  # and another may begin


async def test_lo_30_what_a_party_behind_a_hub_lost_is_brought_to_it_alone() -> None:
    async with behind_hub() as (cpo, roaming):
        lost, kept = copies(roaming, ANN, "sessions")
        [bill, _] = copies(roaming, ANN, "cdrs")
        del roaming.copies[lost], roaming.copies[bill]
        roaming.copies[kept] = {**roaming.copies[kept], "kwh": 0.5}
        seen = len(roaming.arrivals)
        report = await compared_behind(cpo)
        assert counts(report) == {"sessions": (2, 0, 1, 1), "cdrs": (2, 1, 0, 1)}
        await roaming.until(lambda: {lost, bill} <= roaming.copies.keys())
        await roaming.until(lambda: roaming.copies[kept]["kwh"] != 0.5)
        pushed = [each for each in roaming.arrivals[seen:] if each.method != "GET"]
        assert {each.to for each in pushed} == {ANN}
        assert [each.body["id"] for each in pushed if each.method == "POST"] == [
            bill[1].rsplit("/", 1)[1]
        ]
        assert counts(await compared_behind(cpo))["sessions"] == (2, 2, 0, 0)


@pytest.mark.parametrize("refusal", [(404, 2003), (200, 2001), (200, 2000), (405, 2000)])
async def test_lo_30_a_hub_that_passes_no_question_on_says_nothing_of_its_parties(
    refusal: tuple[int, int],
) -> None:
    """Its own refusal is no sign that a bill is gone: none is sent twice for it."""
    async with behind_hub() as (cpo, roaming):
        roaming.says[ANN] = refusal
        seen = len(roaming.arrivals)
        report = await compared_behind(cpo)
        assert {each.module: each.offered for each in report.looked} == {
            "sessions": False,
            "cdrs": False,
        }
        assert (report.findings, report.stopped) == ((), None)
        await quiet(cpo, ANN)
        assert {each.method for each in roaming.arrivals[seen:]} == {"GET"}


async def test_at_night_the_parties_behind_a_hub_are_compared_and_the_hub_is_not() -> None:
    async with behind_hub() as (cpo, roaming):
        at = datetime.now(UTC) - timedelta(seconds=1)
        moment = time(at.hour, at.minute, at.second)
        comparing = cpo.service.comparing
        comparing._rules = replace(QUICK, nightly=Nightly(moment, ZoneInfo("UTC"), timedelta(0)))
        own = cpo.service.connections.own(HUB)
        assert own is not None
        yesterday = replace(own, registered_at=at - timedelta(days=1))
        await cpo.service.connections.save(yesterday)
        await comparing.look_at_the_clock()
        for party in (ANN, BOB):
            report = comparing.report(party)
            assert report is not None and (report.by, report.stopped) == ("system", None)
            assert counts(report) == {"sessions": (2, 2, 0, 0), "cdrs": (2, 2, 0, 0)}
        assert comparing.report(HUB) is None
        looks = len(roaming.arrivals)
        await comparing.look_at_the_clock()
        assert len(roaming.arrivals) == looks
