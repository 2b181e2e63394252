"""A session with a limit is stopped in time, and a charger that does not obey is shown."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cms.app.limiting import Limiting
from cms.app.ports import StatusReport, Visit
from cms.app.remote import Asker, Refusal, StartWish
from cms.domain.audit import WorkType
from cms.domain.commands import Answer, Outcome, RemoteStop
from cms.domain.ids import EvseRef
from cms.domain.session import Limit
from cms.domain.status import ConnectorReport
from tests.unit.world import CS1, World


class Limited(World):
    def __init__(self) -> None:
        super().__init__()
        self.limiting = Limiting(
            self.store,  # type: ignore[arg-type]
            self.live,
            self.catalogue,
            self.charging,
            self.remote,
            self.clock,
        )

    def stops(self) -> int:
        return sum(isinstance(command, RemoteStop) for command in self.link.sent)


@pytest.fixture
def world() -> Limited:
    return Limited()


async def _begin(world: Limited, limit: Limit) -> tuple[Visit, str]:
    visit = await world.desk.connected(CS1, "", "1.6")
    done = world.desk.reported(world.frame(visit), StatusReport(1, 1, ConnectorReport.OCCUPIED))
    if done is not None:
        await done
    wish = StartWish(EvseRef(CS1, 1), None, limit=limit)
    record = await world.remote.accept_start(wish, Asker("key:1"))
    assert not isinstance(record, Refusal)
    ack = await world.start(visit, record.id_token or "", wh=0)
    return visit, ack.transaction


async def _charge(world: Limited, visit: Visit, transaction: str, seconds: int) -> int:
    """7200 W: 2 Wh a second, a sample every 30 s, until the stop is given. Returns the Wh."""
    wh = 0
    for second in range(1, seconds + 1):
        world.later(seconds=1)
        wh += 2
        if second % 30 == 0:
            await world.samples(visit, transaction, wh)
        await world.limiting.give_due()
        if world.stops():
            break
    return wh


async def test_the_stop_is_given_five_seconds_before_the_energy_limit(world: Limited) -> None:
    visit, transaction = await _begin(world, Limit(energy_wh=500))
    wh = await _charge(world, visit, transaction, 600)

    assert wh == 490  # and 5 s of 2 Wh are to come


async def test_a_money_limit_is_kept(world: Limited) -> None:
    visit, transaction = await _begin(world, Limit(money=Decimal("9.00")))  # 500 Wh at 18.00
    wh = await _charge(world, visit, transaction, 600)

    assert 486 <= wh <= 490


async def test_a_time_limit_is_kept_without_any_sample(world: Limited) -> None:
    await _begin(world, Limit(seconds=120))
    world.later(seconds=114)
    await world.limiting.give_due()
    assert world.stops() == 0
    world.later(seconds=1)
    await world.limiting.give_due()
    assert world.stops() == 1


async def test_a_charger_that_does_not_obey_is_asked_again_and_shown_once(world: Limited) -> None:
    await _begin(world, Limit(seconds=60))
    world.link.answer = Answer(Outcome.REJECTED)
    for _ in range(4):
        world.later(seconds=60)
        await world.limiting.give_due()

    assert world.stops() == 4
    assert [each.type for each in world.store.items.values()] == [WorkType.STOP_FAILED]


async def test_a_sample_after_the_stop_was_given_does_not_give_it_again(world: Limited) -> None:
    visit, transaction = await _begin(world, Limit(energy_wh=100))
    await _charge(world, visit, transaction, 600)
    assert world.stops() == 1
    for _ in range(5):
        world.later(seconds=1)
        await world.samples(visit, transaction, 99)
        await world.limiting.give_due()

    assert world.stops() == 1


async def test_a_session_that_has_stopped_is_left_alone(world: Limited) -> None:
    visit, transaction = await _begin(world, Limit(seconds=60))
    await world.stop(visit, transaction, 0)
    world.later(seconds=60)
    await world.limiting.give_due()

    assert world.stops() == 0


async def test_a_session_without_limit_costs_nothing(world: Limited) -> None:
    visit = await world.desk.connected(CS1, "", "1.6")
    await world.start(visit)

    assert await world.limiting.give_due() == 0
