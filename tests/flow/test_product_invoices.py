"""Invoice reconciliation between the running product and a partner on 2.3.0, both ways."""

from __future__ import annotations

from pathlib import Path

from simulators.emsp import Driver
from simulators.emsp.driver import Habits
from tests.flow.product import fault_free, product

PARTNER = "/partners/IN*EMP"
HABITS = Habits(charge=(1.0, 1.0), stops=1.0, patience=30, at_once=1)


async def test_an_invoice_reaches_the_partner_is_changed_and_withdrawn(tmp_path: Path) -> None:
    async with product(tmp_path, more={"charging": {"session_push_seconds": 1.0}}) as cpo:
        emsp = await cpo.partner(version="2.3.0")
        await cpo.station()
        drives = await Driver(emsp, HABITS).drive(2, seed=7)
        first, second = (str(each.cdr_id) for each in drives)

        made = await cpo.api.post(f"{PARTNER}/invoices", {"number": "2026-11", "bills": [first]})
        record = await emsp.wait_for(lambda: next(iter(emsp.invoices.received.values()), None))
        assert (record["invoice_id"], record["cdrs"]) == ("2026-11", [first])
        assert record["id"] == made["id"]

        change = {"number": "2026-11a", "bills": [first, second]}
        await cpo.api.put(f"{PARTNER}/invoices/{made['id']}", change)
        await emsp.wait_for(
            lambda: [e for e in emsp.invoices.received.values() if e["cdrs"] == [first, second]]
        )
        await cpo.api.delete(f"{PARTNER}/invoices/{made['id']}")
        await emsp.wait_for(lambda: not emsp.invoices.received)
        assert [each.method for each in emsp.pushes("invoicereconciliation")] == [
            "POST",
            "PUT",
            "DELETE",
        ]
        fault_free(emsp)


async def test_a_partner_s_own_invoice_is_kept_and_a_bill_that_is_none_is_a_person_s(
    tmp_path: Path,
) -> None:
    async with product(tmp_path, more={"charging": {"session_push_seconds": 1.0}}) as cpo:
        emsp = await cpo.partner(version="2.3.0")
        await cpo.station()
        [drive] = await Driver(emsp, HABITS).drive(1, seed=7)
        record, answer = await emsp.invoices.issue("R-1", [str(drive.cdr_id)])
        assert answer.ok
        [shown] = await cpo.api.get(f"{PARTNER}/invoices-received")
        assert (shown["number"], shown["bills"]) == ("R-1", [drive.cdr_id])
        assert (await emsp.invoices.look(record)).data == record

        assert (await emsp.invoices.change(record, cdrs=["NO-BILL-OF-OURS"])).ok
        told = await cpo.until_told("/work-items", lambda items: items)
        assert "NO-BILL-OF-OURS" in str(told)

        assert (await emsp.invoices.withdraw(record)).ok
        assert await cpo.api.get(f"{PARTNER}/invoices-received") == []
        fault_free(emsp)
