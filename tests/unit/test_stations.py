"""Stations come, report and leave, and everybody sees it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from cms.app.ports import Boot, Registration, StatusReport
from cms.domain.errors import StoreDown
from cms.domain.ids import EvseRef
from cms.domain.status import ConnectorReport, EvseStatus, Presence
from cms.domain.topology import Approval
from tests.unit.world import CS1, World

REF = EvseRef(CS1, 1)


def report(what: ConnectorReport, evse: int = 1, **more: object) -> StatusReport:
    return StatusReport(evse, 1, what, **more)  # type: ignore[arg-type]


@pytest.fixture
def world() -> World:
    return World()


async def test_a_changed_status_is_durable_and_told_before_it_is_answered(world: World) -> None:
    visit = await world.desk.connected(CS1, "10.0.0.1", "1.6")
    done = world.desk.reported(world.frame(visit), report(ConnectorReport.FREE))
    assert done is not None
    await done

    assert world.live.evse(REF).status is EvseStatus.AVAILABLE
    assert world.store.evses[REF].status is EvseStatus.AVAILABLE
    assert world.live.evse(REF).last_updated == world.now
    assert world.live.updated("location", "SITE") == world.now


async def test_an_unchanged_status_is_answered_at_once_and_writes_nothing(world: World) -> None:
    visit = await world.desk.connected(CS1, "10.0.0.1", "1.6")
    await _said(world, visit, ConnectorReport.FREE)
    commits = world.store.commits

    assert world.desk.reported(world.frame(visit), report(ConnectorReport.FREE)) is None
    assert world.store.commits == commits


async def test_an_unchanged_status_waits_for_a_change_that_is_not_durable_yet(
    world: World,
) -> None:
    visit = await world.desk.connected(CS1, "10.0.0.1", "1.6")
    await _said(world, visit, ConnectorReport.FREE)
    change = world.desk.reported(world.frame(visit), report(ConnectorReport.OCCUPIED))
    assert change is not None
    writing = asyncio.ensure_future(change)
    await asyncio.sleep(0)  # it is in the store's hands now
    back = world.desk.reported(world.frame(visit), report(ConnectorReport.FREE))
    assert back is not None  # what memory shows is about to change
    await asyncio.gather(writing, back)

    assert world.live.evse(REF).status is EvseStatus.AVAILABLE
    assert world.live.evse(REF).version == 3


async def test_a_refused_commit_changes_no_picture(world: World) -> None:
    visit = await world.desk.connected(CS1, "10.0.0.1", "1.6")
    await _said(world, visit, ConnectorReport.FREE)
    world.store.down = True

    with pytest.raises(StoreDown):
        await _said(world, visit, ConnectorReport.FAULTED)
    assert world.live.evse(REF).status is EvseStatus.AVAILABLE


async def test_a_station_that_is_gone_keeps_its_status_for_the_grace(world: World) -> None:
    visit = await world.desk.connected(CS1, "10.0.0.1", "1.6")
    await _said(world, visit, ConnectorReport.FREE)
    await world.desk.disconnected(visit)

    world.later(seconds=299)
    await world.stations.expire()
    assert world.live.evse(REF).status is EvseStatus.AVAILABLE
    assert not world.live.evse(REF).online
    world.later(seconds=2)
    await world.stations.expire()
    assert world.live.evse(REF).status is EvseStatus.UNKNOWN
    assert world.store.evses[REF].presence is Presence.OFFLINE


async def test_a_station_that_is_back_in_time_never_changed(world: World) -> None:
    visit = await world.desk.connected(CS1, "10.0.0.1", "1.6")
    await _said(world, visit, ConnectorReport.FREE)
    version = world.live.evse(REF).version
    await world.desk.disconnected(visit)
    world.later(seconds=200)
    await world.desk.connected(CS1, "10.0.0.1", "1.6")
    world.later(seconds=200)
    await world.stations.expire()

    assert world.live.evse(REF).online
    assert world.live.evse(REF).version == version


async def test_late_death_of_an_old_socket_does_not_take_the_station_offline(
    world: World,
) -> None:
    old = await world.desk.connected(CS1, "10.0.0.1", "1.6")
    new = await world.desk.connected(CS1, "10.0.0.2", "1.6")
    await world.desk.disconnected(old)

    assert new.number > old.number
    assert world.live.evse(REF).online


async def test_a_status_of_an_older_visit_changes_nothing(world: World) -> None:
    old = await world.desk.connected(CS1, "10.0.0.1", "1.6")
    new = await world.desk.connected(CS1, "10.0.0.2", "1.6")
    await _said(world, new, ConnectorReport.FREE)

    assert world.desk.reported(world.frame(old), report(ConnectorReport.FAULTED)) is None
    assert world.live.evse(REF).status is EvseStatus.AVAILABLE


async def test_a_boot_is_counted_and_answered_by_the_stored_approval(world: World) -> None:
    visit = await world.desk.connected(CS1, "10.0.0.1", "1.6")
    answer = await world.desk.booted(visit, Boot("Maker", "M1", firmware="1.2"))

    assert answer is Registration.ACCEPTED
    assert world.store.records[CS1].boots == 1
    assert world.catalogue.record(CS1).vendor == "Maker"
    assert (await world.desk.connected(CS1, "10.0.0.1", "1.6")).boots == 1


async def test_a_pending_station_is_not_shown(world: World) -> None:
    station = replace(world.catalogue.stations[CS1], approval=Approval.PENDING)
    world.catalogue.put_station(station)
    world.stations.restore(await world.store.restore())
    visit = await world.desk.connected(CS1, "10.0.0.1", "1.6")
    await _said(world, visit, ConnectorReport.FREE)

    assert visit.registration is Registration.PENDING
    assert world.live.evse(REF).status is EvseStatus.PLANNED


async def test_after_a_restart_the_last_status_holds_for_the_grace(world: World) -> None:
    visit = await world.desk.connected(CS1, "10.0.0.1", "1.6")
    await _said(world, visit, ConnectorReport.FREE)
    again = await world.restarted()

    assert again.live.evse(REF).status is EvseStatus.AVAILABLE
    assert not again.live.evse(REF).online
    again.later(seconds=301)
    await again.stations.expire()
    assert again.live.evse(REF).status is EvseStatus.UNKNOWN
    newer = await again.desk.connected(CS1, "10.0.0.1", "1.6")
    assert newer.number == visit.number + 1


async def test_an_evse_that_nobody_described_is_not_invented(world: World) -> None:
    visit = await world.desk.connected(CS1, "10.0.0.1", "1.6")
    commits = world.store.commits
    done = world.desk.reported(world.frame(visit), report(ConnectorReport.FREE, evse=7))
    if done is not None:
        await done

    assert world.store.commits == commits


async def _said(world: World, visit: object, what: ConnectorReport) -> None:
    done = world.desk.reported(world.frame(visit), report(what))  # type: ignore[arg-type]
    if done is not None:
        await done
