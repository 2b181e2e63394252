"""Bulk correction of bills: look first, then credit and replace, one commit per bill.

A run is kept before anything is changed: which bills, what they become, to the minor unit. Carrying
it out does exactly that, bill by bill; a run that was interrupted goes on where it was, and a run
that is carried out twice does nothing the second time, because the credit of a bill can have one
id only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import uuid4

import structlog

from cms.app.catalogue import Catalogue
from cms.app.live import LiveState
from cms.app.ports import CdrQuery, Clock, Page, Store
from cms.app.rows import NOBODY
from cms.app.writes import Audit, KeepTariff, PutCdr, PutDocument, PutWorkItem, Touch, Write
from cms.domain import plain
from cms.domain.audit import AuditEntry, WorkItem, WorkType
from cms.domain.cdr import Cdr, credit, credit_id, replacement_id
from cms.domain.correction import Change, corrected, difference, makes, usages_of
from cms.domain.errors import Conflict, InvalidValue, NotFound, UnitRefused
from cms.domain.folding import fold
from cms.domain.ids import CdrId, PartnerId, StationId, TariffHash, TariffId
from cms.domain.settlement import active_usages
from cms.domain.tariff import tariff_hash
from cms.domain.usage import Usage

log = structlog.get_logger()

DOCUMENT = "core.correction"
MOST_BILLS = 5000
_PAGE = 200
_NOTE_EVERY = 100
_PATIENCE_SECONDS = 20.0

Errand = Callable[[str, Coroutine[Any, Any, Any]], None]
"""Runs something once, in the background, under supervision."""

Creditable = Callable[[PartnerId], bool]
"""Whether a partner's version has credits at all; what has none is settled by hand."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which bills. Every field narrows; credits are never among them.

    Attributes:
        ids: these and no others; an id that is none of a bill is an error.
        tariff: bills in which this tariff was used.
        ended_from, ended_to: when their sessions ended; from included, to excluded.
    """

    ids: tuple[CdrId, ...] = ()
    partner: PartnerId | None = None
    station: StationId | None = None
    tariff: TariffId | None = None
    ended_from: datetime | None = None
    ended_to: datetime | None = None

    def fits(self, bill: Cdr) -> bool:
        """Whether *bill* is among those selected, as far as the store does not tell."""
        return (
            not bill.credit
            and self.station in (None, bill.place.station)
            and (self.tariff is None or any(each.id == self.tariff for each in bill.tariffs))
            and self.partner in (None, bill.owner)
            and (self.ended_from is None or self.ended_from <= bill.ended_at)
            and (self.ended_to is None or bill.ended_at < self.ended_to)
        )


class Outcome(StrEnum):
    TO_DO = "to_do"
    DONE = "done"
    UNCHANGED = "unchanged"  # it is right as it is
    CREDITED_BEFORE = "credited_before"  # it was taken back already
    IMPOSSIBLE = "impossible"  # see ``why``


@dataclass(frozen=True, slots=True)
class Row:
    """One bill of a run: what it is, what it becomes.

    Attributes:
        by_hand: its owner's version has no credits: nothing is pushed, people settle it.
        why: what stands against it.
    """

    bill: CdrId
    session: str
    owner: PartnerId | None
    currency: str
    old_wh: int
    new_wh: int
    old_net: Decimal
    old_gross: Decimal
    new_net: Decimal
    new_gross: Decimal
    outcome: Outcome = Outcome.TO_DO
    by_hand: bool = False
    why: str | None = None

    @property
    def difference(self) -> Decimal:
        """Gross, in the bill's currency."""
        return self.new_gross - self.old_gross


class RunState(StrEnum):
    PROPOSED = "proposed"
    APPLYING = "applying"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Run:
    """One correction of many bills.

    Attributes:
        tariff: content hash of the tariff that replaces the bills' own.
    """

    id: str
    at: datetime
    who: str
    state: RunState
    rows: tuple[Row, ...]
    tariff: TariffHash | None = None
    energy_wh: int | None = None
    reason: str | None = None
    applied_by: str | None = None
    finished_at: datetime | None = None

    def sums(self) -> Mapping[str, tuple[Decimal, Decimal, Decimal]]:
        """Return currency -> gross sums (old, new, difference) of what is or will be corrected."""
        found: dict[str, tuple[Decimal, Decimal, Decimal]] = {}
        for row in self.rows:
            if row.outcome in (Outcome.TO_DO, Outcome.DONE):
                old, new, more = found.get(row.currency, (Decimal(0),) * 3)
                found[row.currency] = (
                    old + row.old_gross,
                    new + row.new_gross,
                    more + row.difference,
                )
        return found


class Correcting:
    """Proposes runs and carries them out."""

    def __init__(
        self,
        store: Store,
        live: LiveState,
        catalogue: Catalogue,
        clock: Clock,
        creditable: Creditable,
        errand: Errand,
    ) -> None:
        self._store = store
        self._live = live
        self._catalogue = catalogue
        self._clock = clock
        self._creditable = creditable
        self._errand = errand
        self._applying: set[str] = set()

    # -- looking

    async def propose(
        self,
        selection: Selection,
        who: str,
        tariff: TariffId | None = None,
        energy_wh: int | None = None,
        reason: str | None = None,
    ) -> Run:
        """Work out what a correction would do, and keep it; no bill is touched.

        Raises:
            NotFound: no such tariff, or no such bill.
            InvalidValue: nothing would change, nothing is selected, or far too much is.
        """
        new = None if tariff is None else self._catalogue.tariffs.get(tariff)
        if tariff is not None and new is None:
            raise NotFound("tariff", tariff)
        change = Change(new, energy_wh)
        bills = await self._selected(selection)
        if energy_wh is not None and len(bills) > 1:
            raise InvalidValue("energy_wh", f"is of one session, but {len(bills)} bills are chosen")
        rows = tuple([await self._row(bill, change) for bill in bills])
        kept = None if new is None else tariff_hash(new)
        run = Run(
            uuid4().hex[:12], self._clock(), who, RunState.PROPOSED, rows, kept, energy_wh, reason
        )
        snapshot: list[Write] = [] if new is None else [KeepTariff(tariff_hash(new), new)]
        await self._keep(run, *snapshot)
        return run

    async def run(self, id: str) -> Run:
        """Return a run.

        Raises:
            NotFound: there is none.
        """
        body = (await self._store.documents(DOCUMENT)).get(id)
        if body is None:
            raise NotFound("correction", id)
        return plain.from_text(Run, body.decode())

    async def runs(self) -> Sequence[Run]:
        """Return all runs, newest first."""
        kept = (await self._store.documents(DOCUMENT)).values()
        runs = [plain.from_text(Run, body.decode()) for body in kept]
        return sorted(runs, key=lambda each: each.at, reverse=True)

    async def _selected(self, selection: Selection) -> Sequence[Cdr]:
        bills = [
            bill
            for bill in await (self._named(selection) if selection.ids else self._walked(selection))
            if selection.fits(bill)
        ]
        if not bills:
            raise InvalidValue("selection", "fits no bill")
        if len(bills) > MOST_BILLS:
            raise InvalidValue("selection", f"more than {MOST_BILLS} bills: choose fewer")
        return bills

    async def _named(self, selection: Selection) -> list[Cdr]:
        bills = []
        for id in dict.fromkeys(selection.ids):
            found = await self._store.cdr(id)
            if found is None:
                raise NotFound("bill", id)
            bills.append(found.cdr)
        return bills

    async def _walked(self, selection: Selection) -> list[Cdr]:
        bills: list[Cdr] = []
        query = CdrQuery(
            owned_by=selection.partner,
            ended_from=selection.ended_from,
            ended_to=selection.ended_to,
        )
        offset = 0
        while len(bills) <= MOST_BILLS:
            page = Page(offset, _PAGE)
            found, total = await self._store.cdrs(replace(query, page=page))
            bills += [each.cdr for each in found if selection.fits(each.cdr)]
            offset += _PAGE
            if offset >= total:
                break
        return bills

    async def _row(self, bill: Cdr, change: Change) -> Row:
        before = Row(
            bill.id,
            bill.session,
            bill.owner,
            bill.currency,
            bill.energy_wh,
            bill.energy_wh,
            bill.total.net.amount,
            bill.total.gross.amount,
            bill.total.net.amount,
            bill.total.gross.amount,
            by_hand=bill.owner is not None and not self._creditable(bill.owner),
        )
        if bill.credit:
            return replace(before, outcome=Outcome.IMPOSSIBLE, why="it is a credit")
        if await self._store.cdr(credit_id(bill.id)) is not None:
            return replace(before, outcome=Outcome.CREDITED_BEFORE)
        try:
            new = corrected(bill, change, self._clock(), await self._usages(bill))
        except InvalidValue as error:
            return replace(before, outcome=Outcome.IMPOSSIBLE, why=str(error))
        told = difference(bill.total, new.total)
        same = new.total == bill.total and new.energy_wh == bill.energy_wh
        return replace(
            before,
            new_wh=new.energy_wh,
            new_net=told.new_net,
            new_gross=told.new_gross,
            outcome=Outcome.UNCHANGED if same else Outcome.TO_DO,
        )

    async def _usages(self, bill: Cdr) -> Sequence[Usage] | None:
        """Return what the charger told, where it is still kept and is what the bill rests on."""
        events = [
            entry.frame.event
            for entry in await self._store.journal(bill.session)
            if entry.frame.event is not None and not entry.frame.quarantined
        ]
        charged = usages_of(bill)
        if not events or not charged:
            return None
        try:
            usages = active_usages(fold(events), charged[0].start)
        except InvalidValue:
            return None
        return usages if makes(bill, usages) else None

    # -- doing

    async def begin(self, id: str, who: str) -> Run:
        """Carry a run out in the background; returns it once it is done, or after a while as it is.

        Raises:
            NotFound: there is none.
        """
        await self.run(id)
        done = asyncio.Event()

        async def carry_out() -> None:
            try:
                await self.apply(id, who)
            except Conflict:
                pass  # it is being carried out already: whoever asked sees how far it is
            finally:
                done.set()

        self._errand("correction", carry_out())
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await done.wait()
        return await self.run(id)

    async def apply(self, id: str, who: str) -> Run:
        """Carry a run out; one that was interrupted goes on, one that is done stays as it is.

        Raises:
            NotFound: there is none.
            Conflict: it is being carried out right now.
        """
        if id in self._applying:
            raise Conflict(f"correction {id} is being carried out")
        self._applying.add(id)
        try:
            run = await self.run(id)
            if run.state is RunState.DONE:
                return run
            run = replace(run, state=RunState.APPLYING, applied_by=run.applied_by or who)
            await self._keep(run)
            rows = list(run.rows)
            for number, row in enumerate(rows):
                rows[number] = await self._done(run, row)
                if number % _NOTE_EVERY == _NOTE_EVERY - 1:
                    await self._keep(replace(run, rows=tuple(rows)))
            run = replace(run, rows=tuple(rows), state=RunState.DONE, finished_at=self._clock())
            await self._keep(run)
            return run
        finally:
            self._applying.discard(id)

    async def resume(self) -> int:
        """Carry on with runs that a crash interrupted; returns how many there were."""
        open_ = [each for each in await self.runs() if each.state is RunState.APPLYING]
        for each in open_:
            await self.apply(each.id, each.applied_by or "system")
        return len(open_)

    async def _done(self, run: Run, row: Row) -> Row:
        """Correct one bill in one commit, unless it is corrected already."""
        if row.outcome not in (Outcome.TO_DO, Outcome.DONE):
            return row
        if await self._store.cdr(credit_id(row.bill)) is not None:
            return await self._judged(run, row)
        try:
            await self._correct(run, row)
        except InvalidValue as error:
            return replace(row, outcome=Outcome.IMPOSSIBLE, why=str(error))
        except UnitRefused:  # somebody else credits it at this very moment
            return await self._judged(run, row)
        return replace(row, outcome=Outcome.DONE)

    async def _judged(self, run: Run, row: Row) -> Row:
        """Say whether the credit that is there came of this run."""
        new = await self._store.cdr(replacement_id(row.bill))
        said = "" if new is None or new.cdr.remark is None else new.cdr.remark
        ours = said == _remark(run) or said.startswith(f"{_remark(run)}; ")
        return replace(row, outcome=Outcome.DONE if ours else Outcome.CREDITED_BEFORE)

    async def _correct(self, run: Run, row: Row) -> None:
        kept = await self._store.cdr(row.bill)
        if kept is None:
            raise InvalidValue("bill", f"{row.bill} is not there")
        bill, now = kept.cdr, self._clock()
        new = corrected(
            bill, await self._change(run), now, await self._usages(bill), remark=_remark(run)
        )
        if new.total.gross.amount != row.new_gross or new.total.net.amount != row.new_net:
            raise InvalidValue("bill", "would come to something else than was shown")
        back = credit(bill, credit_id(bill.id), now, _remark(run))
        owner = NOBODY if bill.owner is None else bill.owner
        unit: list[Write] = [
            PutCdr(back),
            PutCdr(new),
            Touch("cdr", back.id, owner),
            Touch("cdr", new.id, owner),
            Audit(_entry(run, bill, new, now)),
        ]
        if row.by_hand:
            unit.append(PutWorkItem(_by_hand(bill, new, now)))
        done = await self._store.commit(unit)
        self._live.publish(done.touched)

    async def _change(self, run: Run) -> Change:
        if run.tariff is None:
            return Change(None, run.energy_wh)
        tariff = await self._store.tariff_snapshot(run.tariff)
        if tariff is None:
            raise InvalidValue("tariff", "the tariff of this correction is not kept")
        return Change(tariff, run.energy_wh)

    async def _keep(self, run: Run, *more: Write) -> None:
        body = plain.canonical(run).encode()
        await self._store.commit([*more, PutDocument(DOCUMENT, run.id, body)])


def _remark(run: Run) -> str:
    return f"correction {run.id}" + (f": {run.reason}" if run.reason else "")


def _entry(run: Run, bill: Cdr, new: Cdr, now: datetime) -> AuditEntry:
    return AuditEntry(
        now,
        run.applied_by or run.who,
        "bill.corrected",
        f"session:{bill.session}",
        before={"bill": bill.id, "energy_wh": bill.energy_wh, "gross": str(bill.total.gross)},
        after={
            "bill": new.id,
            "energy_wh": new.energy_wh,
            "gross": str(new.total.gross),
            "correction": run.id,
        },
        reason=run.reason,
    )


def _by_hand(bill: Cdr, new: Cdr, now: datetime) -> WorkItem:
    return WorkItem(
        f"settle-by-hand:{bill.id}",
        WorkType.SETTLE_BY_HAND,
        f"session:{bill.session}",
        now,
        station=bill.place.station,
        location=bill.place.location,
        evidence={
            "partner": bill.owner,
            "bill": bill.id,
            "replacement": new.id,
            "old_gross": str(bill.total.gross),
            "new_gross": str(new.total.gross),
            "why": "its version of the protocol has no credits",
        },
    )
