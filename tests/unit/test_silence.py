"""A session that does not end is shown to a person, once."""

from __future__ import annotations

import pytest

from cms.app.ports import StatusReport
from cms.app.silence import Silence
from cms.domain.audit import WorkType
from cms.domain.status import ConnectorReport
from tests.unit.world import CS1, World


@pytest.fixture
def world() -> World:
    return World()


def _silence(world: World) -> Silence:
    return Silence(world.store, world.live, world.stations, world.clock)  # type: ignore[arg-type]


async def test_a_session_whose_charger_stays_away_is_shown_once(world: World) -> None:
    silence = _silence(world)
    visit = await world.desk.connected(CS1, "", "1.6")
    await world.start(visit)
    await world.desk.disconnected(visit)
    world.later(hours=5)
    assert await silence.look() == 0
    world.later(hours=2)
    assert [await silence.look(), await silence.look()] == [1, 0]
    assert [each.type for each in world.store.items.values()] == [WorkType.SILENT_SESSION]


async def test_a_session_whose_evse_is_free_is_shown(world: World) -> None:
    silence = _silence(world)
    visit = await world.desk.connected(CS1, "", "1.6")
    await world.start(visit)
    done = world.desk.reported(world.frame(visit), StatusReport(1, 1, ConnectorReport.FREE))
    assert done is not None
    await done
    world.later(minutes=16)

    assert await silence.look() == 1


async def test_a_session_that_charges_is_left_alone(world: World) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    await world.start(visit)
    world.later(hours=20)
    world.desk.heard(visit, world.now)

    assert await _silence(world).look() == 0
