"""A site that loses its power is dark at once, and the dark is not billed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from cms.app.ports import StatusReport, Visit
from cms.app.power_cuts import PowerCuts
from cms.domain.darkness import DarkPolicy, DarkRule
from cms.domain.ids import EvseRef, LocationId, StationId
from cms.domain.session import SessionStatus
from cms.domain.status import ConnectorReport, EvseStatus, Presence
from cms.domain.tariff import Basis, Dimension, Element, PriceComponent, Tariff
from cms.domain.topology import ChargingStation
from cms.domain.transaction import Flag
from tests.unit.world import CS1, CS2, CS3, SITE, TARIFF, World, _evse

REF = EvseRef(CS1, 1)


class Grid(World):
    def __init__(self, policy: DarkPolicy = DarkPolicy.STITCH) -> None:
        super().__init__()
        self.cuts = PowerCuts(
            self.stations,
            self.charging,
            self.live,
            self.catalogue,
            self.clock,
            DarkRule(policy=policy),
        )
        by_time = PriceComponent(Dimension.TIME, Decimal(60))
        self.catalogue.tariffs[TARIFF.id] = Tariff(
            TARIFF.id, "INR", (Element((by_time,)),), Basis.NET
        )

    async def lit(self) -> list[Visit]:
        visits = [await self.desk.connected(each, "", "1.6") for each in (CS1, CS2, CS3)]
        for visit in visits:
            done = self.desk.reported(self.frame(visit), StatusReport(1, 1, ConnectorReport.FREE))
            if done is not None:
                await done
        return visits

    async def cut(self, *visits: Visit) -> None:
        for visit in visits:
            self.later(seconds=1)
            await self.desk.disconnected(visit)
        self.later(seconds=2)
        await self.cuts.act()


@pytest.fixture
def world() -> Grid:
    return Grid()


async def test_a_site_whose_chargers_vanish_together_is_unknown_at_once(world: Grid) -> None:
    await world.cut(*await world.lit())

    assert world.live.evse(REF).presence is Presence.DARK
    assert world.live.evse(REF).status is EvseStatus.UNKNOWN


async def test_one_charger_that_leaves_keeps_its_grace(world: Grid) -> None:
    await world.cut((await world.lit())[0])

    assert world.live.evse(REF).status is EvseStatus.AVAILABLE


async def test_a_charger_that_is_back_at_once_does_not_go_dark(world: Grid) -> None:
    visits = await world.lit()
    for visit in visits:
        await world.desk.disconnected(visit)
    await world.lit()
    world.later(seconds=3)
    await world.cuts.act()

    assert world.live.evse(REF).status is EvseStatus.AVAILABLE


async def test_when_everybody_everywhere_is_gone_it_is_our_own_line(world: Grid) -> None:
    other = LocationId("OTHER")
    site = replace(world.catalogue.locations[SITE], id=other)
    world.catalogue.put_location(site)
    far = [StationId("FAR1"), StationId("FAR2")]
    for each in far:
        world.catalogue.put_station(ChargingStation(each, other, (_evse(each, 1),)))
    visits = await world.lit() + [await world.desk.connected(each, "", "1.6") for each in far]
    await world.cut(*visits)

    assert world.live.evse(REF).status is EvseStatus.AVAILABLE


async def test_a_session_goes_on_after_the_dark_which_nobody_pays(world: Grid) -> None:
    visits = await world.lit()
    ack = await world.start(visits[0], wh=0)
    world.later(minutes=10)
    await world.samples(visits[0], ack.transaction, 1000)
    await world.cut(*visits)
    world.later(minutes=30)
    visits = await world.lit()
    await world.cuts.act()
    assert {Flag.DARK, Flag.STITCHED} <= set(world.session().flags)
    assert world.live.evse(REF).status is EvseStatus.CHARGING
    world.later(minutes=20)
    await world.stop(visits[0], ack.transaction, 3000)
    await world.settling.settle_due()
    bill = world.bill()

    lit = timedelta(minutes=30, seconds=1)
    assert bill.rating.unbilled_time == bill.total_time - lit
    assert bill.energy_wh == 3000
    assert bill.total.net.amount == Decimal("30.02")  # 60.00 an hour
    assert bill.remark is not None


async def test_by_the_other_policy_it_ends_at_its_last_sample() -> None:
    world = Grid(DarkPolicy.END)
    visits = await world.lit()
    ack = await world.start(visits[0], wh=0)
    last = world.later(minutes=10)
    await world.samples(visits[0], ack.transaction, 1000)
    world.later(minutes=1)
    await world.cut(*visits)
    session = world.session()
    assert (session.status, session.ended_at, session.stop_wh) == ("stopped", last, 1000)

    world.later(minutes=16)
    await world.settling.settle_due()
    assert world.bill().energy_wh == 1000
    assert world.session().status is SessionStatus.COMPLETED


async def test_a_session_whose_charger_never_returns_ends_after_the_hold(world: Grid) -> None:
    visits = await world.lit()
    ack = await world.start(visits[0], wh=0)
    world.later(minutes=10)
    await world.samples(visits[0], ack.transaction, 1000)
    await world.cut(*visits)
    assert world.session().running
    world.later(hours=1)
    await world.cuts.act()

    assert world.session().status is SessionStatus.STOPPED
    assert world.session().stop_reason == "power_lost"
