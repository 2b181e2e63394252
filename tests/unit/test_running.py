"""What a session costs so far is what its bill would say if it ended now."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cms.app import running
from cms.app.running import RunningPrices
from tests.unit.world import CS1, World


def prices(world: World) -> RunningPrices:
    return RunningPrices(world.store, world.catalogue, world.charging, world.clock)  # type: ignore[arg-type]


@pytest.mark.parametrize("long_record", [200, 1])
async def test_the_price_so_far_becomes_the_price_of_the_bill(
    monkeypatch: pytest.MonkeyPatch, long_record: int
) -> None:
    """Also where the record is so long that it is priced beside the event loop."""
    monkeypatch.setattr(running, "_LONG_RECORD", long_record)
    world = World()
    visit = await world.desk.connected(CS1, "", "1.6")
    ack = await world.start(visit, "ROAM")
    begun = world.session().start_wh or 0
    world.later(minutes=10)
    await world.samples(visit, ack.transaction, begun + 2_000)
    first = await prices(world).so_far(world.session())
    world.later(minutes=10)
    await world.samples(visit, ack.transaction, begun + 5_000)
    second = await prices(world).so_far(world.session())
    assert first is not None and second is not None
    assert Decimal(0) < first.total.gross.amount < second.total.gross.amount
    await world.stop(visit, ack.transaction, begun + 5_000)
    await world.settling.settle_due()
    assert world.bill().total.gross == second.total.gross


async def test_without_a_tariff_nothing_is_said() -> None:
    world = World()
    visit = await world.desk.connected(CS1, "", "1.6")
    world.catalogue.tariffs.clear()
    await world.start(visit, "ROAM")
    assert await prices(world).so_far(world.session()) is None
