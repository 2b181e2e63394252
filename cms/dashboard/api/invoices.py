"""Invoices: which bills we invoice to whom, and what partners invoice us."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from cms.app.invoicing import Invoice
from cms.dashboard.api.desk import Desk, only_all_sites
from cms.dashboard.routing import Call, Route
from cms.dashboard.views import Json
from cms.domain.errors import NotFound
from cms.domain.ids import CdrId, PartnerId
from cms.domain.partner import Right
from cms.intake.base import Intake, Moment

Number = Annotated[str, Field(min_length=1, max_length=255)]


class InvoiceIn(Intake):
    """Without *bills* all bills of the period that stand in no invoice yet."""

    number: Number
    bills: tuple[str, ...] = ()
    ended_from: Moment | None = None
    ended_to: Moment | None = None


class ChangeIn(Intake):
    number: Number
    bills: tuple[str, ...]


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of invoices; each needs the right to administer."""
    admin = Right.ADMIN
    its = Invoices(desk)
    base = "/partners/{id}/invoices"
    return [
        Route("GET", base, admin, its.ours, answer="array"),
        Route("POST", base, admin, its.issue, InvoiceIn, status=201),
        Route("PUT", f"{base}/{{invoice}}", admin, its.change, ChangeIn),
        Route("DELETE", f"{base}/{{invoice}}", admin, its.withdraw),
        Route("GET", "/partners/{id}/invoices-received", admin, its.received, answer="array"),
    ]


class Invoices:
    """Handlers of invoices."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def ours(self, call: Call) -> Any:
        """Our invoices to a partner, oldest first."""
        found = await self._desk.invoicing.ours(self._partner(call))
        return [await self._shown(each) for each in found]

    async def issue(self, call: Call) -> Any:
        """Group bills into an invoice; the partner is told where it takes such records."""
        given: InvoiceIn = call.body
        issued = await self._desk.invoicing.issue(
            self._partner(call),
            given.number,
            call.caller.who,
            tuple(map(CdrId, given.bills)),
            given.ended_from,
            given.ended_to,
        )
        return await self._shown(issued)

    async def change(self, call: Call) -> Any:
        """Replace number and bills of an invoice."""
        given: ChangeIn = call.body
        id, bills = call.part("invoice"), tuple(map(CdrId, given.bills))
        return await self._shown(
            await self._desk.invoicing.change(
                self._partner(call), id, given.number, call.caller.who, bills
            )
        )

    async def withdraw(self, call: Call) -> Any:
        """Take an invoice back whose record was an error."""
        partner, id = self._partner(call), call.part("invoice")
        return await self._shown(await self._desk.invoicing.withdraw(partner, id, call.caller.who))

    async def received(self, call: Call) -> Any:
        """What a partner invoices us; what does not fit is a work item."""
        found = await self._desk.invoicing.received(self._partner(call))
        return [await self._shown(each) for each in found]

    async def _shown(self, invoice: Invoice) -> Json:
        currency, total = await self._desk.invoicing.total(invoice)
        return {
            "id": invoice.id,
            "partner": invoice.partner,
            "number": invoice.number,
            "bills": list(invoice.bills),
            "last_updated": invoice.last_updated,
            "withdrawn": invoice.withdrawn,
            "currency": currency,
            "total_gross": total,
        }

    def _partner(self, call: Call) -> PartnerId:
        only_all_sites(call)
        id = PartnerId(call.part("id"))
        if id not in self._desk.catalogue.partners:
            raise NotFound("partner", id)
        return id
