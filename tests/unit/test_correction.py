"""What a bill should have been, and the runs that make it so: to the paisa, once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cms.app.correcting import Correcting, Outcome, Run, RunState, Selection
from cms.app.ports import CdrQuery, Page
from cms.app.writes import PutCdr, Unit
from cms.domain.cdr import Cdr, CdrPlace, credit, credit_id, replacement_id
from cms.domain.correction import Change, corrected, makes, usages_of
from cms.domain.errors import InvalidValue, NotFound, StoreDown
from cms.domain.ids import CdrId, EvseUid, PartnerId, SessionId, StationId, TariffId
from cms.domain.rating import rate
from cms.domain.tariff import Basis, Dimension, Element, PriceComponent, PriceLimit, Tariff, Tax
from cms.domain.token import AuthMethod
from cms.domain.topology import ConnectorFormat, Coordinates, PowerType
from cms.domain.usage import Usage, UsageKind
from tests.unit.office import CS1, EMS, ME, SITE, Office, token

START = datetime(2026, 11, 20, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
GST = (Tax("CGST", Decimal(9)), Tax("SGST", Decimal(9)))


def tariff(id: str = "T1", price: str = "18.00", parking: str | None = None) -> Tariff:
    parts = [PriceComponent(Dimension.ENERGY, Decimal(price))]
    parts += [PriceComponent(Dimension.PARKING_TIME, Decimal(parking))] if parking else []
    return Tariff(TariffId(id), "INR", (Element(tuple(parts)),), Basis.GROSS, GST)


def bill(
    id: str = "B1", own: Tariff | None = None, usages: tuple[Usage, ...] | None = None, **more: Any
) -> Cdr:
    used = usages or (
        Usage(START, START + HOUR, 7001),
        Usage(START + HOUR, START + 2 * HOUR, 0, UsageKind.PARKING),
    )
    rating = rate(own or tariff(), used, ZoneInfo("Asia/Kolkata"))
    place = CdrPlace(
        SITE, PartnerId("IN*CPO"), "Road 1", "Pune", "IND",
        Coordinates(Decimal("18.508100"), Decimal("73.807700")), "Asia/Kolkata", CS1, 1,
        EvseUid("E1"), 1, "IEC_62196_T2", ConnectorFormat.SOCKET, PowerType.AC_3_PHASE,
    )  # fmt: skip
    made = Cdr(
        CdrId(id), SessionId(f"S-{id}"), EMS, place, token(), AuthMethod.WHITELIST, START,
        used[-1].end, sum(int(each.wh) for each in used), used[-1].end - START, HOUR, rating,
        (own or tariff(),), START + 3 * HOUR, rating.total,
    )  # fmt: skip
    return replace(made, **more)


# -- pure


def test_a_bill_at_another_price_is_what_that_price_would_have_made() -> None:
    new = corrected(bill(), Change(tariff("T2", "12.00", "60")), START)
    assert str(new.total.gross) == "144.01 INR"  # 7.001 kWh at 12, one hour parked at 60
    assert (new.replaces, new.id, new.energy_wh) == ("B1", replacement_id(CdrId("B1")), 7001)
    assert [each.id for each in new.tariffs] == ["T2"]


@pytest.mark.parametrize(
    ("old", "new", "said", "remark"),
    [
        ("500", None, "dark; the minimum price of the tariff holds", "dark"),
        (None, "500", "dark", "dark; the minimum price of the tariff holds"),
        ("500", "600", None, "the minimum price of the tariff holds"),
        (None, None, None, None),
    ],
)
def test_a_remark_about_a_price_limit_is_about_the_bill_it_stands_on(
    old: str | None, new: str | None, said: str | None, remark: str | None
) -> None:
    def limited(id: str, least: str | None) -> Tariff:
        return replace(tariff(id), min_price=PriceLimit(gross=Decimal(least)) if least else None)

    made = corrected(bill(own=limited("T1", old), remark=said), Change(limited("T2", new)), START)
    assert made.remark == remark


def test_other_energy_is_spread_as_the_old_was_and_adds_up() -> None:
    used = tuple(
        Usage(START + HOUR * n, START + HOUR * (n + 1), wh) for n, wh in enumerate((1000, 3000, 0))
    )
    new = corrected(bill(usages=used), Change(energy_wh=3999), START)
    assert new.energy_wh == new.rating.wh == 3999
    assert sum(each.wh for each in usages_of(new)) == 3999
    assert str(new.total.gross) == "71.98 INR"  # 71.982


def test_energy_that_was_never_told_is_spread_over_the_time_that_charged() -> None:
    used = (
        Usage(START, START + HOUR, 0),
        Usage(START + HOUR, START + 2 * HOUR, 0, UsageKind.PARKING),
    )
    new = corrected(bill(usages=used), Change(energy_wh=5000), START)
    assert next((e.kind, e.wh) for e in usages_of(new)) == (UsageKind.CHARGING, 5000)
    assert str(new.total.gross) == "90.00 INR"


def test_a_bills_own_periods_make_the_same_bill() -> None:
    own = bill(own=tariff(parking="60"))
    assert makes(own, usages_of(own))
    assert not makes(own, usages_of(own)[:1])


def test_a_credit_and_another_currency_cannot_be_corrected() -> None:
    euro = replace(tariff("E"), currency="EUR")
    with pytest.raises(InvalidValue, match="is a credit"):
        corrected(credit(bill(), CdrId("C"), START), Change(energy_wh=1), START)
    with pytest.raises(InvalidValue, match="is in EUR"):
        corrected(bill(), Change(euro), START)
    with pytest.raises(InvalidValue, match="give a tariff"):
        Change()


def test_ids_of_credits_fit_into_an_invoice() -> None:
    uuid = CdrId("01a1fb3c-7018-7581-94ed-a5dbf406e757")
    assert len(credit_id(uuid)) == len(replacement_id(uuid)) == 36
    assert len({uuid, credit_id(uuid), replacement_id(uuid)}) == 3
    assert credit_id(CdrId("B1")) == "B1-C"


# -- runs


class Desk(Office):
    def __init__(self) -> None:
        super().__init__()
        self.errands: list[Coroutine[Any, Any, Any]] = []
        self.by_hand: set[PartnerId] = set()
        self.correcting = Correcting(
            self.store,
            self.live,
            self.catalogue,
            self.clock,
            lambda partner: partner not in self.by_hand,
            lambda name, work: self.errands.append(work),
        )

    async def with_bills(self, count: int = 3) -> None:
        await self.furnish()
        self.catalogue.tariffs[TariffId("T2")] = tariff("T2", "12.00")
        for number in range(count):
            await self.store.commit([PutCdr(bill(f"B{number}"))])

    async def bills(self) -> dict[str, Cdr]:
        found, _ = await self.store.cdrs(CdrQuery(page=Page(limit=500)))
        return {each.cdr.id: each.cdr for each in found}


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.with_bills()
    return desk


async def proposed(desk: Desk, **more: Any) -> Run:
    return await desk.correcting.propose(Selection(partner=EMS), "key:7", TariffId("T2"), **more)


async def test_a_dry_run_says_to_the_paisa_what_would_change_and_changes_nothing(
    desk: Desk,
) -> None:
    before = await desk.bills()
    run = await proposed(desk)
    assert run.state is RunState.PROPOSED
    assert [(str(r.old_gross), str(r.new_gross), str(r.difference)) for r in run.rows] == [
        ("126.02", "84.01", "-42.01")
    ] * 3
    assert run.sums() == {"INR": (Decimal("378.06"), Decimal("252.03"), Decimal("-126.03"))}
    assert await desk.bills() == before


async def test_each_bill_is_credited_once_and_replaced_and_the_sums_are_as_shown(
    desk: Desk,
) -> None:
    run = await desk.correcting.apply((await proposed(desk, reason="wrong price")).id, "key:7")
    bills = await desk.bills()
    assert run.state is RunState.DONE
    assert {row.outcome for row in run.rows} == {Outcome.DONE}
    assert len(bills) == 9
    total = sum(each.total.gross.amount for each in bills.values())
    assert total == Decimal("252.03")
    for number in range(3):
        id = CdrId(f"B{number}")
        back, new = bills[credit_id(id)], bills[replacement_id(id)]
        assert (back.credit_of, back.total) == (id, -bills[id].total)
        assert (back.energy_wh, back.rating) == (bills[id].energy_wh, bills[id].rating)
        assert new.replaces == id and not new.credit and "wrong price" in (new.remark or "")
    [entry] = await desk.store.audit("session:S-B0", Page())
    assert (entry.what, entry.who) == ("bill.corrected", "key:7")


async def test_carried_out_twice_it_does_nothing_the_second_time(desk: Desk) -> None:
    run = await proposed(desk)
    await desk.correcting.apply(run.id, "key:7")
    after = await desk.bills()
    assert (await desk.correcting.apply(run.id, "key:7")).state is RunState.DONE
    assert await desk.bills() == after


async def test_another_run_over_the_same_bills_takes_nothing_back_twice(desk: Desk) -> None:
    first, second = await proposed(desk), await proposed(desk)
    await desk.correcting.apply(first.id, "key:7")
    run = await desk.correcting.apply(second.id, "key:8")
    assert {row.outcome for row in run.rows} == {Outcome.CREDITED_BEFORE}
    assert len(await desk.bills()) == 9
    third = await proposed(desk)
    told = {row.bill: row.outcome for row in third.rows}
    assert [told[f"B{n}"] for n in range(3)] == [Outcome.CREDITED_BEFORE] * 3
    assert [told[replacement_id(CdrId(f"B{n}"))] for n in range(3)] == [Outcome.UNCHANGED] * 3


async def test_a_run_that_went_on_after_a_crash_knows_bills_that_a_limit_changed_as_its_own(
    desk: Desk,
) -> None:
    least = replace(tariff("MIN"), min_price=PriceLimit(gross=Decimal(500)))
    await desk.administration.put_tariff(least, ME)
    run = await desk.correcting.propose(Selection(partner=EMS), "key:7", least.id)
    await desk.correcting.apply(run.id, "key:7")
    again = replace(await desk.correcting.run(run.id), state=RunState.APPLYING)
    await desk.correcting._keep(again)
    assert (await desk.correcting.apply(run.id, "key:7")).rows == again.rows
    assert {row.outcome for row in again.rows} == {Outcome.DONE}


@pytest.mark.parametrize("commits", range(1, 8))
async def test_interrupted_anywhere_it_goes_on_and_ends_the_same(desk: Desk, commits: int) -> None:
    run = await proposed(desk)
    real, left = desk.store.commit, commits

    async def failing(unit: Unit) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise StoreDown("the power went")
        return await real(unit)

    desk.store.commit = failing  # type: ignore[method-assign]
    try:
        await desk.correcting.apply(run.id, "key:7")
    except StoreDown:
        pass
    desk.store.commit = real  # type: ignore[method-assign]
    await desk.correcting.resume()
    bills = await desk.bills()
    state = (await desk.correcting.run(run.id)).state
    if state is RunState.PROPOSED:
        assert len(bills) == 3
        return
    assert state is RunState.DONE
    assert len(bills) == 9
    assert sum(each.total.gross.amount for each in bills.values()) == Decimal("252.03")


async def test_a_partner_whose_version_has_no_credits_is_settled_by_hand(desk: Desk) -> None:
    desk.by_hand.add(EMS)
    run = await proposed(desk)
    assert all(row.by_hand for row in run.rows)
    await desk.correcting.apply(run.id, "key:7")
    items = await desk.store.work_items(True, Page())
    assert sorted(each.id for each in items) == [f"settle-by-hand:B{n}" for n in range(3)]
    assert items[0].evidence["new_gross"] == "84.01 INR"


async def test_in_the_background_it_is_told_how_far_it_is(desk: Desk) -> None:
    run = await proposed(desk)
    waiting = asyncio.ensure_future(desk.correcting.begin(run.id, "key:7"))
    while not desk.errands:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await desk.errands.pop()
    assert (await waiting).state is RunState.DONE


async def test_wrong_wishes_are_refused_by_name(desk: Desk) -> None:
    ask = desk.correcting.propose
    with pytest.raises(NotFound):
        await ask(Selection(partner=EMS), "me", TariffId("NONE"))
    with pytest.raises(NotFound):
        await ask(Selection(ids=(CdrId("NONE"),)), "me", TariffId("T2"))
    with pytest.raises(InvalidValue, match="fits no bill"):
        await ask(Selection(station=StationId("CS9")), "me", TariffId("T2"))
    with pytest.raises(InvalidValue, match="is of one session"):
        await ask(Selection(partner=EMS), "me", energy_wh=1000)
    with pytest.raises(NotFound):
        await desk.correcting.apply("none", "me")
