"""Invoice reconciliation of OCPI 2.3.0: our invoices to partners, and theirs to us."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web

from cms.app.ports import Page
from cms.app.writes import PutCdr, Touch
from cms.domain.audit import WorkType
from cms.domain.cdr import Cdr, credit, credit_id
from cms.domain.errors import Conflict, InvalidValue, NotFound
from cms.domain.ids import CdrId
from ocpi_cpo.connections import Endpoint
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi.world import EMP, OTHER, Asker, World, now, until, until_kept

Json = dict[str, Any]


@dataclass
class Desk:
    """A partner's receiver of invoice records.

    Attributes:
        lost: answers that it loses after it has stored what came.
    """

    base: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    records: dict[str, Json] = field(default_factory=dict)
    lost: int = 0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path))
        id = request.path.rsplit("/", 1)[-1]
        known = id in self.records
        if request.method == "POST":
            body = await request.json()
            self.records[body["id"]] = body
        elif request.method in ("PUT", "DELETE") and not known:
            return web.json_response({"status_code": 2003, "timestamp": _stamp()}, status=404)
        elif request.method == "PUT":
            self.records[id] = await request.json()
        elif request.method == "DELETE":
            del self.records[id]
        if self.lost:
            self.lost -= 1
            return web.Response(status=502, text="<html>")
        return web.json_response({"status_code": 1000, "timestamp": _stamp()})


def _stamp() -> str:
    return now().strftime("%Y-%m-%dT%H:%M:%SZ")


@asynccontextmanager
async def receiving() -> AsyncIterator[Desk]:
    desk, app = Desk(), web.Application()
    app.router.add_route("*", "/{tail:.*}", desk.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    desk.base = f"http://127.0.0.1:{runner.addresses[0][1]}/invoicereconciliation"
    try:
        yield desk
    finally:
        await runner.cleanup()


@pytest.fixture
async def emsp(cpo: World) -> AsyncIterator[Emsp]:
    async with Emsp(version="2.3.0") as partner:
        await cpo.connect(partner)
        await partner.wait_for(lambda: partner.store.locations)
        yield partner


@pytest.fixture
async def desk(cpo: World, emsp: Emsp) -> AsyncIterator[Desk]:
    async with receiving() as receiver:
        link = cpo.service.connections.get(EMP)
        assert link is not None
        there = Endpoint("invoicereconciliation", "RECEIVER", receiver.base)
        await cpo.service.connections.save(replace(link, endpoints=(there, *link.endpoints)))
        yield receiver


async def bills(cpo: World, count: int) -> list[Cdr]:
    return [await cpo.settle(await cpo.session()) for _ in range(count)]


async def test_d1_01_and_02_the_module_is_offered_in_both_roles_from_2_3_0_on(
    cpo: World, ask: Asker
) -> None:
    newest = (await ask("GET", "/2.3.0")).data["endpoints"]
    roles = {e["role"] for e in newest if e["identifier"] == "invoicereconciliation"}
    assert roles == {"SENDER", "RECEIVER"}
    older = (await ask("GET", "/2.2.1")).data["endpoints"]
    assert not [e for e in older if e["identifier"] == "invoicereconciliation"]
    assert (await ask("GET", "/2.2.1/invoicereconciliation")).http == 404


async def test_d1_03_a_record_is_posted_then_put_then_deleted(
    cpo: World, emsp: Emsp, desk: Desk, ask: Asker
) -> None:
    first, second, third = await bills(cpo, 3)
    await emsp.wait_for(lambda: len(emsp.store.cdrs) == 3)
    invoicing = cpo.service.invoicing
    made = await invoicing.issue(EMP, "2026-11", "key:7", [first.id, second.id])
    await until(lambda: desk.records)
    assert desk.asked == [("POST", "/invoicereconciliation")]
    told = desk.records[made.id]
    assert (told["invoice_id"], told["cdrs"]) == ("2026-11", [first.id, second.id])
    assert (told["country_code"], told["party_id"]) == ("IN", "CPO")
    listed = (await ask("GET", "/2.3.0/invoicereconciliation")).data
    assert listed == [told]

    await invoicing.change(EMP, made.id, "2026-11", "key:7", [first.id, third.id])
    await until(lambda: len(desk.asked) == 2)
    assert desk.asked[1] == ("PUT", f"/invoicereconciliation/IN/CPO/{made.id}")
    assert desk.records[made.id]["cdrs"] == [first.id, third.id]

    await invoicing.withdraw(EMP, made.id, "key:7")
    await until(lambda: not desk.records)
    assert desk.asked[2][0] == "DELETE"
    assert (await ask("GET", "/2.3.0/invoicereconciliation")).data == []
    whats = [each.what for each in await cpo.store.audit(f"invoice:{made.id}", Page())]
    assert whats == ["invoice.withdrawn", "invoice.changed", "invoice.issued"]


async def test_d1_03_a_post_whose_answer_was_lost_is_not_made_twice(
    cpo: World, emsp: Emsp, desk: Desk
) -> None:
    desk.lost = 1
    [bill] = await bills(cpo, 1)
    made = await cpo.service.invoicing.issue(EMP, "1", "key:7", [bill.id])
    await until(lambda: len(desk.asked) == 2, 10)
    assert [each[0] for each in desk.asked] == ["POST", "PUT"]
    assert list(desk.records) == [made.id]


async def test_d1_02_a_bill_stands_in_one_invoice_and_the_list_alone_decides(
    cpo: World, emsp: Emsp
) -> None:
    first, second = await bills(cpo, 2)
    foreign = await cpo.settle(await cpo.session(OTHER))
    invoicing = cpo.service.invoicing
    await invoicing.issue(EMP, "1", "key:7", [first.id])
    with pytest.raises(Conflict, match="stands in invoice 1"):
        await invoicing.issue(EMP, "2", "key:7", [first.id, second.id])
    with pytest.raises(NotFound):
        await invoicing.issue(EMP, "2", "key:7", [foreign.id])
    rest = await invoicing.issue(EMP, "2", "key:7")
    assert rest.bills == (second.id,)
    with pytest.raises(InvalidValue, match="no bill"):
        await invoicing.issue(EMP, "3", "key:7")
    with pytest.raises(Conflict, match="already"):
        await invoicing.issue(EMP, "2", "key:7", [second.id])


async def test_d1_04_ids_that_an_invoice_cannot_carry_are_refused(cpo: World, emsp: Emsp) -> None:
    [bill] = await bills(cpo, 1)
    long = credit(bill, CdrId("C" * 39), now())
    await cpo.store.commit([PutCdr(long), Touch("cdr", long.id, EMP)])
    with pytest.raises(InvalidValue, match="longer than 36"):
        await cpo.service.invoicing.issue(EMP, "1", "key:7", [bill.id, long.id])
    assert len(credit_id(bill.id)) <= 36


def theirs(*ids: str, **more: Any) -> Json:
    return {
        "country_code": "IN",
        "party_id": "EMP",
        "id": "R-1",
        "invoice_id": "REV-7",
        "cdrs": list(ids),
        "last_updated": "2026-11-28T10:00:00Z",
        **more,
    }


async def test_d1_01_what_a_partner_invoices_is_kept_and_held_against_our_bills(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    good, taken_back = await bills(cpo, 2)
    foreign = await cpo.settle(await cpo.session(OTHER))
    back = credit(taken_back, credit_id(taken_back.id), now())
    await cpo.store.commit([PutCdr(back), Touch("cdr", back.id, EMP)])
    path = "/2.3.0/invoicereconciliation"
    heard = await ask("POST", path, theirs(good.id, taken_back.id, foreign.id, "NEVER"))
    assert (heard.http, heard.code) == (201, 1000)
    [item] = [
        each
        for each in await cpo.store.work_items(True, Page())
        if each.type is WorkType.INVOICE_DIFFERS
    ]
    assert item.evidence["unknown"] == [foreign.id, "NEVER"]
    assert item.evidence["credited"] == [taken_back.id]
    assert (await ask("GET", f"{path}/IN/EMP/R-1")).data["cdrs"][0] == good.id

    later = theirs(good.id, last_updated="2026-11-28T11:00:00Z")
    assert (await ask("PUT", f"{path}/IN/EMP/R-1", later)).http == 200
    closed = await cpo.store.work_item(item.id)
    assert closed is not None and closed.closed_by == "system"
    again = theirs(good.id, id="R-2", invoice_id="REV-8")
    assert (await ask("POST", path, again)).http == 201
    second = await cpo.store.work_item("invoice-differs:IN*EMP:R-2")
    assert second is not None and second.evidence["again"] == [good.id]
    assert (await ask("DELETE", f"{path}/IN/EMP/R-2")).code == 1000
    assert (await ask("GET", f"{path}/IN/EMP/R-2")).http == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"cdrs": []}, "cdrs"),
        ({"cdrs": ["A", "A"]}, "cdrs"),
        ({"cdrs": ["C" * 37]}, "cdrs"),
        ({"invoice_id": ""}, "invoice_id"),
        ({"party_id": "OTH"}, "party_id"),
        ({"last_updated": "yesterday"}, "last_updated"),
    ],
)
async def test_d1_02_a_wrong_record_is_refused_by_the_field(
    cpo: World, emsp: Emsp, ask: Asker, change: Json, field: str
) -> None:
    heard = await ask("POST", "/2.3.0/invoicereconciliation", theirs("A") | change)
    assert heard.code == 2001 and field in heard.envelope["status_message"]
    assert await cpo.service.invoicing.received(EMP) == []


async def test_d1_01_another_partners_invoices_are_not_there(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    path = "/2.3.0/invoicereconciliation"
    await ask("POST", path, theirs("A"))
    async with Emsp(version="2.3.0", party_id="OTH") as other:
        await cpo.connect(other)
        theirs_ = Asker(cpo.base, other.connection.outbound)
        for method in ("GET", "PUT", "DELETE"):
            heard = await theirs_(
                method, f"{path}/IN/EMP/R-1", theirs("A") if method == "PUT" else None
            )
            assert heard.http == 404
        assert (await theirs_("GET", path)).data == []
    await until_kept(lambda: cpo.service.invoicing.received(EMP))
