"""Bills that are corrected in bulk reach their owner as credit and new bill, each once (CD-04..08)."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from cms.app.correcting import Correcting, Selection
from cms.domain.ids import TariffId
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi.world import EMP, OPERATOR, World, now, shelf
from tests.conformance.statements import reading

CHEAP = TariffId("CHEAP")


def desk(cpo: World) -> Correcting:
    work: set[asyncio.Future[Any]] = set()

    def errand(name: str, coroutine: Any) -> None:
        work.add(asyncio.ensure_future(coroutine))

    return Correcting(
        cpo.store, cpo.live, cpo.catalogue, now, cpo.service.creditable, errand
    )  # fmt: skip


def sums(emsp: Emsp) -> tuple[Decimal, Decimal]:
    costs = [each["total_cost"] for each in emsp.store.cdrs.values()]
    excl = sum((Decimal(str(each["excl_vat"])) for each in costs), Decimal(0))
    return excl, sum((Decimal(str(each["incl_vat"])) for each in costs), Decimal(0))


@reading
async def test_cd_05_to_08_a_bulk_correction_is_one_credit_and_one_new_bill_each(
    cpo: World, emsp: Emsp
) -> None:
    bills = [await cpo.settle(await cpo.session()) for _ in range(4)]
    await cpo.administration.put_tariff(shelf(CHEAP, "12.00"), OPERATOR)
    await emsp.wait_for(lambda: len(emsp.store.cdrs) == 4)
    correcting = desk(cpo)
    run = await correcting.propose(Selection(partner=EMP), "test", CHEAP)
    await correcting.apply(run.id, "test")
    await correcting.apply(run.id, "test")
    await emsp.wait_for(lambda: len(emsp.store.cdrs) == 12)
    assert set(emsp.store.cdr_copies.values()) == {1}
    copies = {each["id"]: each for each in emsp.store.cdrs.values()}
    credits = {e["credit_reference_id"]: e for e in copies.values() if e.get("credit")}
    assert set(credits) == {each.id for each in bills}
    for bill in bills:
        first, back = copies[bill.id], credits[bill.id]
        assert len(back["id"]) <= 39
        assert back["total_cost"] == {k: -v for k, v in first["total_cost"].items()}
        assert back["total_energy"] == first["total_energy"]
    (_, new, _) = run.sums()["INR"]
    assert sums(emsp)[1] == new == 4 * Decimal("18.00")  # 1.5 kWh at 12.00
    assert not emsp.complaints and not emsp.cost_differences


@reading
async def test_cd_05_what_is_corrected_comes_first_then_the_credit_then_the_new_bill(
    cpo: World, emsp: Emsp
) -> None:
    emsp.faults.add(Fault(Kind.HTTP, "cdrs", "POST", http=503, times=2))
    bill = await cpo.settle(await cpo.session())
    await cpo.administration.put_tariff(shelf(CHEAP, "12.00"), OPERATOR)
    correcting = desk(cpo)
    run = await correcting.propose(Selection(ids=(bill.id,)), "test", CHEAP)
    await correcting.apply(run.id, "test")
    await emsp.wait_for(lambda: len(emsp.store.cdrs) == 3, 15)
    taken = list(emsp.store.cdrs.values())
    assert taken[0]["id"] == bill.id
    assert [bool(each.get("credit")) for each in taken] == [False, True, False]


async def test_b3_08_a_correction_for_an_old_version_is_reported_and_settled_by_hand(
    cpo: World,
) -> None:
    async with Emsp(version="2.1.1") as old:
        old.tokens.add("04AABB", contract_id="IN-EMP-C1")
        await cpo.connect(old)
        await old.wait_for(lambda: old.store.locations)
        bill = await cpo.settle(await cpo.session())
        await old.wait_for(lambda: old.store.cdrs)
        await cpo.administration.put_tariff(shelf(CHEAP, "12.00"), OPERATOR)
        correcting = desk(cpo)
        run = await correcting.propose(Selection(partner=EMP), "test", CHEAP)
        assert [each.by_hand for each in run.rows] == [True]
        await correcting.apply(run.id, "test")
        item = await cpo.store.work_item(f"settle-by-hand:{bill.id}")
        assert item is not None and item.evidence["new_gross"] == "18.00 INR"
        later = await cpo.settle(await cpo.session())
        await old.wait_for(lambda: len(old.store.cdrs) == 2)
        assert [each.object_id for each in old.pushes("cdrs")] == [bill.id, later.id]
        assert not old.complaints
