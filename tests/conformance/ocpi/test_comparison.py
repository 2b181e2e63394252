"""Unsure of the receiver's copy: it is read there, and set right (LO-30, CD-04, CD-27)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from cms.app.ports import Comparison, Page
from cms.domain.audit import WorkType
from cms.domain.cdr import Cdr
from cms.domain.errors import Conflict, NotFound
from ocpi_cpo.config import Comparing
from ocpi_cpo.push.nightly import Nightly
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.partner import Emsp
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


async def ended(cpo: World) -> Comparison:
    async def report() -> list[Comparison]:
        found = cpo.service.comparing.report(EMP)
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
        await until(lambda: cpo.service._worker(EMP) is not None)
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
