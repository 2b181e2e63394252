"""Which bills make up an invoice: ours to partners, and theirs to us (reverse billing).

An invoice lists bills and nothing else decides what is in it. A bill stands in one of our invoices
at most; what a partner invoices is kept as it was told and held against our own bills, and what
does not fit is a person's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from uuid import uuid4

from cms.app.live import LiveState
from cms.app.ports import CdrQuery, Clock, Page, Store
from cms.app.writes import Audit, DropDocument, PutDocument, PutWorkItem, Touch, Write
from cms.domain import plain
from cms.domain.audit import AuditEntry, WorkItem, WorkType
from cms.domain.cdr import Cdr
from cms.domain.errors import Conflict, InvalidValue, NotFound
from cms.domain.ids import CdrId, PartnerId
from cms.domain.plain import to_plain

LONGEST_BILL_ID = 36
"""Of a bill in an invoice (OCPI 2.3.0); ids of our credits keep to it."""

MOST_BILLS = 20_000
_PAGE = 500
_OURS, _THEIRS = "core.invoice/", "core.invoice.received/"


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice.

    Attributes:
        partner: to whom it goes, or who sent it.
        party: of ours that sends it; None for one that a partner sent.
        number: as it stands on the invoice.
        bills: in order; each once.
        withdrawn: the record itself was an error.
    """

    id: str
    partner: PartnerId
    number: str
    bills: tuple[CdrId, ...]
    last_updated: datetime
    party: PartnerId | None = None
    withdrawn: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.id) <= 36:
            raise InvalidValue("id", "is empty or longer than 36 characters")
        if not 1 <= len(self.number) <= 255:
            raise InvalidValue("number", "is empty or longer than 255 characters")
        if not self.bills:
            raise InvalidValue("bills", "an invoice has at least one bill")
        if len(set(self.bills)) != len(self.bills):
            raise InvalidValue("bills", "a bill is named twice")


@dataclass(frozen=True, slots=True)
class Findings:
    """What does not fit in an invoice that a partner sent.

    Attributes:
        unknown: bills that we never made for that partner.
        credited: bills that were taken back, without their credit in the same invoice.
        again: bills that stand in another invoice of that partner already.
    """

    unknown: tuple[str, ...] = ()
    credited: tuple[str, ...] = ()
    again: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        return bool(self.unknown or self.credited or self.again)


@dataclass(slots=True)
class Invoicing:
    """Our invoices, and those that partners send."""

    store: Store
    live: LiveState
    clock: Clock
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    # -- ours

    async def ours(self, partner: PartnerId) -> Sequence[Invoice]:
        """Return our invoices to *partner*, oldest first; withdrawn ones are not among them."""
        return [each for each in await self._kept(_OURS, partner) if not each.withdrawn]

    async def one(self, partner: PartnerId, id: str) -> Invoice | None:
        """Return one of ours, withdrawn or not; None if there is none."""
        return next((each for each in await self._kept(_OURS, partner) if each.id == id), None)

    async def issue(
        self,
        partner: PartnerId,
        number: str,
        who: str,
        bills: Sequence[CdrId] = (),
        ended_from: datetime | None = None,
        ended_to: datetime | None = None,
    ) -> Invoice:
        """Make an invoice of *bills*, or of all bills of a period that stand in none yet.

        Raises:
            InvalidValue: nothing to invoice, or a bill's id is too long.
            NotFound: there is no such bill for that partner.
            Conflict: a bill stands in another invoice, or the number is taken.
        """
        async with self._lock:
            taken = await self._taken(partner)
            if bills:
                chosen = [await self._bill(partner, id) for id in bills]
                for bill in chosen:
                    if (other := taken.get(bill.id)) is not None:
                        raise Conflict(f"bill {bill.id} stands in invoice {other} already")
            else:
                found = await self._ended(partner, ended_from, ended_to)
                chosen = [each for each in found if each.id not in taken]
            if any(each.number == number for each in await self.ours(partner)):
                raise Conflict(f"there is an invoice {number} already")
            return await self._put(
                partner, str(uuid4()), number, chosen, who, "invoice.issued", None
            )

    async def change(
        self, partner: PartnerId, id: str, number: str, who: str, bills: Sequence[CdrId]
    ) -> Invoice:
        """Replace number and bills of one of our invoices.

        Raises:
            NotFound: no such invoice, or no such bill for that partner.
            Conflict: a bill stands in another invoice.
        """
        async with self._lock:
            before = await self.one(partner, id)
            if before is None or before.withdrawn:
                raise NotFound("invoice", id)
            taken = await self._taken(partner)
            chosen = [await self._bill(partner, each) for each in bills]
            for bill in chosen:
                if taken.get(bill.id, before.number) != before.number:
                    raise Conflict(f"bill {bill.id} stands in invoice {taken[bill.id]} already")
            return await self._put(partner, id, number, chosen, who, "invoice.changed", before)

    async def withdraw(self, partner: PartnerId, id: str, who: str) -> Invoice:
        """Take an invoice back: the record itself was an error. Its bills are free again.

        Raises:
            NotFound: no such invoice.
        """
        async with self._lock:
            before = await self.one(partner, id)
            if before is None or before.withdrawn:
                raise NotFound("invoice", id)
            gone = replace(before, withdrawn=True, last_updated=self.clock())
            entry = AuditEntry(
                self.clock(), who, "invoice.withdrawn", f"invoice:{id}", to_plain(before)
            )
            await self._commit(
                [_document(_OURS, gone), Touch("invoice", id, partner, deleted=True), Audit(entry)]
            )
            return gone

    async def total(self, invoice: Invoice) -> tuple[str, Decimal]:
        """Return currency and gross sum of an invoice's bills; credits are negative."""
        currency, total = "", Decimal(0)
        for id in invoice.bills:
            found = await self.store.cdr(id)
            if found is not None:
                currency, total = found.cdr.currency, total + found.cdr.total.gross.amount
        return currency, total

    async def _put(
        self,
        partner: PartnerId,
        id: str,
        number: str,
        bills: Sequence[Cdr],
        who: str,
        what: str,
        before: Invoice | None,
    ) -> Invoice:
        if not bills:
            raise InvalidValue("bills", "no bill of that partner waits for an invoice")
        if len({(each.currency, each.place.party) for each in bills}) > 1:
            raise InvalidValue("bills", "are of several currencies, or of several of our parties")
        long = next((each.id for each in bills if len(each.id) > LONGEST_BILL_ID), None)
        if long is not None:
            raise InvalidValue("bills", f"{long} is longer than {LONGEST_BILL_ID} characters")
        new = Invoice(
            id,
            partner,
            number,
            tuple(each.id for each in bills),
            self.clock(),
            bills[0].place.party,
        )
        entry = AuditEntry(
            self.clock(),
            who,
            what,
            f"invoice:{id}",
            None if before is None else to_plain(before),
            to_plain(new),
        )
        await self._commit([_document(_OURS, new), Touch("invoice", id, partner), Audit(entry)])
        return new

    async def _commit(self, unit: Sequence[Write]) -> None:
        done = await self.store.commit(unit)
        self.live.publish(done.touched)

    async def _taken(self, partner: PartnerId) -> dict[CdrId, str]:
        return {bill: each.number for each in await self.ours(partner) for bill in each.bills}

    async def _bill(self, partner: PartnerId, id: CdrId) -> Cdr:
        found = await self.store.cdr(id)
        if found is None or found.cdr.owner != partner:
            raise NotFound(f"bill for {partner}", id)
        return found.cdr

    async def _ended(
        self, partner: PartnerId, ended_from: datetime | None, ended_to: datetime | None
    ) -> list[Cdr]:
        bills: list[Cdr] = []
        query = CdrQuery(owned_by=partner, ended_from=ended_from, ended_to=ended_to)
        while True:
            page = Page(len(bills), _PAGE)
            found, total = await self.store.cdrs(replace(query, page=page))
            bills += [each.cdr for each in found]
            if total > MOST_BILLS:
                raise InvalidValue("ended_from", f"more than {MOST_BILLS} bills: choose a period")
            if len(bills) >= total or not found:
                return bills

    async def _kept(self, kind: str, partner: PartnerId) -> list[Invoice]:
        kept = (await self.store.documents(f"{kind}{partner}")).values()
        found = [plain.from_text(Invoice, body.decode()) for body in kept]
        return sorted(found, key=lambda each: (each.last_updated, each.id))

    # -- theirs

    async def received(self, partner: PartnerId) -> Sequence[Invoice]:
        """Return what *partner* invoices us, oldest first."""
        return await self._kept(_THEIRS, partner)

    async def received_one(self, partner: PartnerId, id: str) -> Invoice | None:
        """Return one that *partner* sent, its id compared without case; None if there is none."""
        found = await self.received(partner)
        return next((each for each in found if each.id.casefold() == id.casefold()), None)

    async def take(self, invoice: Invoice) -> Findings:
        """Keep an invoice that a partner sent, and hold it against our bills."""
        async with self._lock:
            findings = await self._check(invoice)
            unit: list[Write] = [_document(_THEIRS, invoice)]
            item = await self._item(invoice)
            if findings.any:
                unit.append(PutWorkItem(_differs(invoice, findings, self.clock())))
            elif item is not None and item.closed_at is None:
                now = self.clock()
                unit.append(
                    PutWorkItem(
                        replace(item, closed_at=now, closed_by="system", note="it fits now")
                    )
                )
            await self.store.commit(unit)
            return findings

    async def forget(self, invoice: Invoice) -> None:
        """A partner takes an invoice back."""
        async with self._lock:
            kind = f"{_THEIRS}{invoice.partner}"
            unit: list[Write] = [DropDocument(kind, invoice.id)]
            item = await self._item(invoice)
            if item is not None and item.closed_at is None:
                now = self.clock()
                done = replace(
                    item, closed_at=now, closed_by=f"partner:{invoice.partner}", note="withdrawn"
                )
                unit.append(PutWorkItem(done))
            await self.store.commit(unit)

    async def _check(self, invoice: Invoice) -> Findings:
        others = {
            bill
            for each in await self.received(invoice.partner)
            if each.id != invoice.id
            for bill in each.bills
        }
        listed = set(invoice.bills)
        unknown, taken_back = [], []
        for id in invoice.bills:
            found = await self.store.cdr(id)
            if found is None or found.cdr.owner != invoice.partner:
                unknown.append(id)
                continue
            back = await self._credit(found.cdr)
            if back is not None and back.id not in listed:
                taken_back.append(id)
        again = [id for id in invoice.bills if id in others]
        return Findings(tuple(unknown), tuple(taken_back), tuple(again))

    async def _credit(self, bill: Cdr) -> Cdr | None:
        query = CdrQuery(session=bill.session, page=Page(limit=100))
        found, _ = await self.store.cdrs(query)
        return next((each.cdr for each in found if each.cdr.credit_of == bill.id), None)

    async def _item(self, invoice: Invoice) -> WorkItem | None:
        return await self.store.work_item(_item_id(invoice))


def _document(kind: str, invoice: Invoice) -> PutDocument:
    body = plain.canonical(invoice).encode()
    return PutDocument(f"{kind}{invoice.partner}", invoice.id, body)


def _item_id(invoice: Invoice) -> str:
    return f"invoice-differs:{invoice.partner}:{invoice.id}"


def _differs(invoice: Invoice, findings: Findings, now: datetime) -> WorkItem:
    return WorkItem(
        _item_id(invoice),
        WorkType.INVOICE_DIFFERS,
        f"invoice:{invoice.id}",
        now,
        evidence={
            "partner": invoice.partner,
            "number": invoice.number,
            "unknown": list(findings.unknown[:100]),
            "credited": list(findings.credited[:100]),
            "again": list(findings.again[:100]),
        },
    )
