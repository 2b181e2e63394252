"""A driver's preference while the car charges: durable switches, frozen tariffs, the one bill."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import pytest

from cms.app.limiting import Limiting
from cms.app.preferring import Preferring
from cms.app.running import RunningPrices
from cms.app.writes import Audit
from cms.domain.cdr import Cdr
from cms.domain.errors import StoreDown
from cms.domain.ids import SessionId, TariffId
from cms.domain.preference import Answer, Wish
from cms.domain.session import Session
from cms.domain.tariff import Basis, Dimension, Element, PriceComponent, Tariff, TariffKind
from cms.domain.topology import ChargingStation
from cms.domain.usage import Reading
from tests.unit.world import CS1, EMS, World

CHEAP, FAST, GREEN = TariffKind.PROFILE_CHEAP, TariffKind.PROFILE_FAST, TariffKind.PROFILE_GREEN
REGULAR = TariffKind.REGULAR


def tariff(id: str, price: str, kind: TariffKind | None, currency: str = "INR") -> Tariff:
    part = PriceComponent(Dimension.ENERGY, Decimal(price))
    return Tariff(TariffId(id), currency, (Element((part,)),), Basis.GROSS, kind=kind)


USUAL, RUSH = tariff("USUAL", "10", None), tariff("RUSH", "30", FAST)
LEAF, DOLLAR = tariff("LEAF", "20", GREEN), tariff("DOLLAR", "1", CHEAP, "USD")


@dataclass
class House:
    """A world whose first EVSE shows four tariffs."""

    world: World
    transaction: str = ""

    def show(self, *tariffs: Tariff) -> None:
        catalogue = self.world.catalogue
        catalogue.tariffs.clear()
        catalogue.tariffs.update((each.id, each) for each in tariffs)
        station = catalogue.stations[CS1]
        [plug] = station.evses[0].connectors
        plug = replace(plug, tariffs=tuple(each.id for each in tariffs))
        evse = replace(station.evses[0], connectors=(plug,))
        catalogue.put_station(ChargingStation(CS1, station.location, (evse,)))

    async def begin(self) -> None:
        self.visit = await self.world.desk.connected(CS1, "", "1.6")
        self.transaction = (await self.world.start(self.visit, "ROAM", wh=1000)).transaction

    async def charge(self, minutes: int, wh: int) -> None:
        """Time passes, and the register is *wh* above its start."""
        self.world.later(minutes=minutes)
        await self.world.samples(self.visit, self.transaction, 1000 + wh)

    async def prefer(self, kind: TariffKind, **more: object) -> Answer:
        preferring = Preferring(self.world.charging, self.world.catalogue, self.world.clock)
        return await preferring.prefer(self.session.id, Wish(kind, **more))  # type: ignore[arg-type]

    @property
    def session(self) -> Session:
        return self.world.session()

    async def bill(self, wh: int) -> Cdr:
        await self.world.stop(self.visit, self.transaction, 1000 + wh)
        await self.world.settling.settle_due()
        return self.world.bill()


@pytest.fixture
async def house() -> House:
    house = House(World())
    house.show(USUAL, RUSH, LEAF, DOLLAR)
    await house.begin()
    return house


async def test_a_preference_switches_the_tariff_from_then_on(house: House) -> None:
    await house.charge(30, 5000)
    assert await house.prefer(FAST) is Answer.HOLDS
    await house.charge(30, 8000)
    prices = RunningPrices(
        house.world.store,  # type: ignore[arg-type]
        house.world.catalogue,
        house.world.charging,
        house.world.clock,
    )
    so_far = await prices.so_far(house.session)
    bill = await house.bill(8000)
    assert bill.total.gross.amount == Decimal("140.00")  # 5 kWh at 10, 3 kWh at 30
    assert so_far is not None and so_far.total == bill.total
    assert [each.id for each in bill.tariffs] == ["USUAL", "RUSH"]
    assert [(each.tariff, each.wh) for each in bill.rating.periods] == [
        ("USUAL", 5000),
        ("RUSH", 3000),
    ]


async def test_switches_survive_a_restart(house: House) -> None:
    await house.charge(30, 5000)
    await house.prefer(FAST)
    house.world = await house.world.restarted()
    house.show(USUAL)  # whatever is shown now: what was switched to holds
    house.visit = await house.world.desk.connected(CS1, "", "1.6")
    await house.charge(30, 8000)
    assert (await house.bill(8000)).total.gross.amount == Decimal("140.00")


async def test_a_tariff_is_frozen_when_it_is_switched_to_and_the_first_one_stays(
    house: House,
) -> None:
    dearer = [
        replace(each, elements=tariff("X", price, None).elements)
        for each, price in ((USUAL, "90"), (RUSH, "40"))
    ]
    await house.charge(30, 1000)
    house.show(*dearer)
    await house.prefer(FAST)  # at 40, as it is shown now
    await house.charge(30, 2000)
    house.show(USUAL, replace(dearer[1], elements=tariff("X", "70", None).elements))
    await house.prefer(REGULAR)  # the one that it began under, at 10
    await house.charge(30, 3000)
    await house.prefer(FAST)  # still at 40
    await house.charge(30, 4000)
    bill = await house.bill(4000)
    assert bill.total.gross.amount == Decimal("100.00")
    assert [each.id for each in bill.tariffs] == ["USUAL", "RUSH"]


async def test_a_switch_is_told_to_the_owner_and_written_down(house: House) -> None:
    await house.prefer(FAST)
    unit = house.world.store.units[-1]
    [entry] = [each.entry for each in unit if isinstance(each, Audit)]
    assert (entry.who, entry.what) == (f"partner:{EMS}", "session.tariff_switched")
    assert (entry.before, entry.after) == ({"tariff": "USUAL"}, {"tariff": "RUSH"})
    assert any(type(each).__name__ == "Touch" and each.owner == EMS for each in unit)  # type: ignore[attr-defined]


async def test_what_holds_already_is_accepted_and_nothing_is_written(house: House) -> None:
    before = house.world.store.commits
    assert await house.prefer(REGULAR) is Answer.HOLDS
    assert house.world.store.commits == before
    await house.prefer(FAST)
    assert await house.prefer(FAST) is Answer.HOLDS
    assert len(house.session.switches) == 1


async def test_a_kind_that_the_connector_does_not_show_is_no_such_tariff(house: House) -> None:
    house.show(USUAL, LEAF)
    assert await house.prefer(FAST) is Answer.NO_SUCH_TARIFF
    assert await house.prefer(CHEAP) is Answer.NO_SUCH_TARIFF


async def test_a_session_neither_changes_currency_nor_gets_a_price_it_did_not_have(
    house: House,
) -> None:
    assert await house.prefer(CHEAP) is Answer.NOT_POSSIBLE
    free = House(World())
    free.show()
    await free.begin()
    free.show(USUAL, RUSH)
    assert await free.prefer(FAST) is Answer.NOT_POSSIBLE
    assert free.session.switches == ()


async def test_more_energy_than_the_connector_gives_until_departure_is_not_possible(
    house: House,
) -> None:
    leaves = house.world.now + timedelta(hours=1)
    wish = {"departs_at": leaves, "energy_wh": 30_000}
    assert await house.prefer(FAST, **wish) is Answer.NOT_POSSIBLE
    assert house.session.switches == ()
    assert await house.prefer(FAST, departs_at=leaves, energy_wh=20_000) is Answer.HOLDS


async def test_nothing_is_promised_that_is_not_durable(house: House) -> None:
    house.world.store.down = True
    with pytest.raises(StoreDown):
        await house.prefer(FAST)
    house.world.store.down = False
    await house.charge(30, 1000)
    assert (await house.bill(1000)).total.gross.amount == Decimal("10.00")


async def test_a_session_that_has_ended_takes_no_preference(house: House) -> None:
    await house.charge(30, 1000)
    await house.world.stop(house.visit, house.transaction, 2000)
    assert await house.prefer(FAST) is Answer.NOT_POSSIBLE
    unknown = Preferring(house.world.charging, house.world.catalogue, house.world.clock)
    assert await unknown.prefer(SessionId("NOPE"), Wish(FAST)) is Answer.NOT_POSSIBLE


async def test_the_limit_in_money_reckons_with_the_switch(house: House) -> None:
    """What the forecast of the limiter prices is what the bill will say."""
    await house.charge(30, 5000)
    await house.prefer(FAST)
    await house.charge(30, 8000)
    world = house.world
    limiting = Limiting(
        world.store,
        world.live,
        world.catalogue,
        world.charging,
        world.remote,
        world.clock,  # type: ignore[arg-type]
    )
    session = replace(house.session, limit=replace(house.session.limit, money=Decimal(500)))
    start = session.started_at
    half = Reading(start + timedelta(minutes=30), 5000)
    cost = limiting._cost(session, [Reading(start, 0), half])
    assert cost is not None
    assert cost(start + timedelta(hours=1), 8000) == Decimal("140.00")
