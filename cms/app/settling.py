"""Stopped sessions become bills: one commit closes the session, makes the bill, tells its owner.

A session is settled when its record is complete: start and end are here, nothing between them is
missing. What is missing is asked for once the charger is there; after 24 hours, or once the charger
says that nothing more is coming, the bill is made with the gap written on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Protocol

import structlog

from cms.app import failpoints
from cms.app.catalogue import Catalogue
from cms.app.charging import Charging
from cms.app.former import location_at
from cms.app.lanes import Lanes
from cms.app.live import LiveState
from cms.app.ports import Clock, JournalEntry, Restored, Store
from cms.app.rows import NOBODY, touch
from cms.app.writes import (
    Audit,
    DropDocument,
    PutCdr,
    PutDocument,
    PutSession,
    PutWorkItem,
    Touch,
    Write,
)
from cms.domain.audit import AuditEntry, WorkAction, WorkItem, WorkType
from cms.domain.cdr import Cdr, CdrPlace
from cms.domain.commands import Answer, Outcome
from cms.domain.errors import Conflict, StoreDown, UnitRefused
from cms.domain.folding import PLAUSIBLE_W, Folded, fold
from cms.domain.ids import EvseUid, SessionId, StationId, TransactionId
from cms.domain.session import OPEN, Session, SessionStatus
from cms.domain.settlement import (
    Billed,
    Unused,
    Withheld,
    close_unused,
    free_tariff,
    settle,
    settle_unused,
    withhold,
)
from cms.domain.signed import SignedReading, SignedRecord, signed_record
from cms.domain.switching import Switch
from cms.domain.tariff import Tariff
from cms.domain.transaction import Flag, TransactionEvent

log = structlog.get_logger()

INVOICE = "invoice-reference"
"""Documents: the reference that the bill of a session is to carry, until it is made."""

_AT_ONCE = 64
"""Sessions settled side by side, so that their commits share a group."""

_LONG_RECORD = 200
"""Events from which on folding and rating leave the event loop."""


@dataclass(frozen=True, slots=True)
class SettlingRules:
    """What the operator may choose.

    Attributes:
        give_up: how long a gap is waited for after the stop.
        ask_again: pause between two questions to a charger about what is missing.
        currency: of sessions at connectors without any tariff (their bill is 0).
        believable: energy beyond so many times the connector's power is not believed.
    """

    give_up: timedelta = timedelta(hours=24)
    ask_again: timedelta = timedelta(minutes=1)
    currency: str = "INR"
    believable: int = 3


class Asking(Protocol):
    """Asks a station about one of its transactions (``cms.app.remote.Remote``)."""

    async def ask_transaction(self, station: StationId, transaction: TransactionId) -> Answer: ...


ReadSigned = Callable[[bytes], Sequence[SignedReading]]
"""A frame as it was received -> the values in it that a meter signed. Never raises."""


def nothing_signed(raw: bytes) -> Sequence[SignedReading]:
    """Read no signed values: for stations of protocols that have none."""
    return ()


class Settling:
    def __init__(
        self,
        store: Store,
        live: LiveState,
        catalogue: Catalogue,
        lanes: Lanes,
        charging: Charging,
        asking: Asking,
        clock: Clock,
        rules: SettlingRules = SettlingRules(),
        read_signed: ReadSigned = nothing_signed,
    ) -> None:
        self._store = store
        self._live = live
        self._catalogue = catalogue
        self._lanes = lanes
        self._charging = charging
        self._asking = asking
        self._clock = clock
        self._rules = rules
        self._read_signed = read_signed
        self._due: list[tuple[datetime, int, SessionId]] = []
        self._count = 0
        self._invoices: dict[SessionId, str] = {}
        self._woken = asyncio.Event()
        charging.open.on_stopped = self.wake

    # -- when

    async def restore(self, kept: Restored) -> None:
        """Line up what was stopped and not settled when the last process ended."""
        for key, body in (await self._store.documents(INVOICE)).items():
            self._invoices[SessionId(key)] = body.decode()
        for session in kept.open_sessions:
            if session.status is SessionStatus.STOPPED:
                self.wake(session)

    def wake(self, session: Session) -> None:
        """Line up a session that stopped, or that a late fact came for."""
        self._later(session.id, session.settle_after or self._clock())

    async def run(self) -> None:
        """Settle whatever falls due, for ever."""
        while True:
            self._woken.clear()
            await self.settle_due()
            pause = self._pause()
            try:
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def settle_due(self) -> int:
        """Settle everything that is due now; return how many were tried.

        Raises:
            StoreDown: nothing can be made durable now; everything stays due.
        """
        tried = 0
        while batch := self._take_due():
            tried += len(batch)
            results = await asyncio.gather(
                *(self.settle(id) for id in batch), return_exceptions=True
            )
            failed = {
                id: result
                for id, result in zip(batch, results, strict=True)
                if isinstance(result, BaseException)
            }
            for id, error in failed.items():
                down = isinstance(error, StoreDown)
                self._later(id, self._clock() + (timedelta() if down else self._rules.ask_again))
            for id, error in failed.items():
                await self._failed(id, error)
        return tried

    async def _failed(self, id: SessionId, error: BaseException) -> None:
        """One session that cannot be settled delays no other; a person is shown why."""
        session = self._live.session(id)
        if session is None or isinstance(error, StoreDown) or not isinstance(error, Exception):
            raise error
        log.error("session.not_settled", session=id, exc_info=error)
        item = WorkItem(
            f"not-settled:{id}",
            WorkType.WITHHELD_BILL,
            f"session:{id}",
            self._clock(),
            station=session.station,
            location=session.location,
            evidence={"why": f"settling failed: {error}"},
        )
        await self._store.commit([PutWorkItem(item)])

    def _later(self, id: SessionId, at: datetime) -> None:
        self._count += 1
        heappush(self._due, (at, self._count, id))
        self._woken.set()

    def _take_due(self) -> Sequence[SessionId]:
        now = self._clock()
        batch: dict[SessionId, None] = {}
        while self._due and self._due[0][0] <= now and len(batch) < _AT_ONCE:
            batch[heappop(self._due)[2]] = None
        return tuple(batch)

    def _pause(self) -> float:
        """Seconds until the next one is due; at most a second, since clocks are set."""
        if not self._due:
            return 1.0
        return min(max((self._due[0][0] - self._clock()).total_seconds(), 0.01), 1.0)

    # -- how

    async def settle(self, id: SessionId, *, forced: str | None = None) -> bool:
        """Settle one session if its record is complete. Returns whether it is settled now.

        Args:
            forced: who decided that an incomplete record is to be billed as it is.
        """
        session = self._live.session(id)
        if session is None or session.status is not SessionStatus.STOPPED:
            return False
        failpoints.hit(failpoints.X3)
        entries = await self._store.journal(id)
        events = _events(entries)
        told = await self._fold(session, events)
        if not told.complete and forced is None and not await self._nothing_comes(session, told):
            self._later(id, self._clock() + self._rules.ask_again)
            return False
        signed = await self._signed(entries)
        result = await self._result(session, told, len(events), signed)
        async with self._lanes(session.station):
            if self._live.session(id) is not session:
                self._later(id, self._clock())  # a fact came meanwhile: fold again
                return False
            await self._close(result, told, forced)
        return True

    async def resettle(self, session: Session, who: str) -> Billed | Withheld:
        """Try again to bill a session that was withheld: a person has looked at it.

        Raises:
            UnitRefused: it has its bill already.
        """
        entries = await self._store.journal(session.id)
        events = _events(entries)
        told = await self._fold(session, events)
        signed = await self._signed(entries)
        result = await self._result(session, told, len(events), signed)
        async with self._lanes(session.station):
            await self._close(result, told, who)
        return result

    async def _signed(self, entries: Sequence[JournalEntry]) -> SignedRecord:
        def read() -> SignedRecord:
            frames = (entry.frame for entry in entries if not entry.frame.quarantined)
            return signed_record(each for frame in frames for each in self._read_signed(frame.raw))

        return read() if len(entries) < _LONG_RECORD else await asyncio.to_thread(read)

    async def _fold(self, session: Session, events: Sequence[TransactionEvent]) -> Folded:
        most_w = self._most_w(session)
        if len(events) < _LONG_RECORD:
            return fold(events, most_w=most_w)
        return await asyncio.to_thread(fold, events, most_w=most_w)

    async def _result(
        self, session: Session, told: Folded, size: int, signed: SignedRecord
    ) -> Billed | Withheld:
        place = await self._place(session)
        if place is None:
            return withhold(session, told, "nobody knows at which EVSE it was")
        if told.started is None:
            return withhold(session, told, "its start was never told")
        tariff = await self._tariff(session)
        if tariff is None:
            return withhold(session, told, "the price that it started with is not kept")
        switches = await self._switches(session)
        if switches is None:
            return withhold(session, told, "a price that it switched to is not kept")
        now = self._clock()
        if size < _LONG_RECORD:
            return settle(session, told, tariff, place, now, switches, signed)
        return await asyncio.to_thread(settle, session, told, tariff, place, now, switches, signed)

    async def _switches(self, session: Session) -> Sequence[Switch] | None:
        found = []
        for each in session.switches:
            tariff = await self._store.tariff_snapshot(each.tariff)
            if tariff is None:
                return None
            found.append(Switch(each.at, tariff))
        return found

    async def _tariff(self, session: Session) -> Tariff | None:
        if session.tariff is None:
            return free_tariff(self._rules.currency)
        known = self._charging.tariff(session)
        return known or await self._store.tariff_snapshot(session.tariff)

    async def _nothing_comes(self, session: Session, told: Folded) -> bool:
        """Whether what is missing will never come: the charger says so, or a day has passed."""
        stopped = session.settle_after or session.received_at
        if self._clock() - stopped >= self._rules.give_up:
            return True
        if session.transaction is None or told.started is None or not told.gaps:
            return False
        answer = await self._asking.ask_transaction(session.station, session.transaction)
        if answer.outcome is not Outcome.ACCEPTED:
            return False
        ongoing = answer.detail.get("ongoing", "false")
        return (ongoing, answer.detail.get("messages_waiting")) == ("false", "false")

    # -- what its bill refers to

    async def refer(self, session: Session, reference: str, who: str) -> None:
        """Let the bill of *session* carry *reference*, of an invoice that will list it.

        Args:
            reference: 1 to 39 characters; takes the place of an earlier one.

        Raises:
            Conflict: the bill is made already, and bills never change.
        """
        async with self._lanes(session.station):
            kept = await self._store.session(session.id)
            if kept is None or kept.session.status is SessionStatus.COMPLETED:
                raise Conflict(f"session {session.id} is settled: its bill does not change")
            subject = f"session:{session.id}"
            entry = AuditEntry(self._clock(), who, "session.referred", subject, after=reference)
            await self._store.commit(
                [PutDocument(INVOICE, session.id, reference.encode()), Audit(entry)]
            )
            self._invoices[session.id] = reference

    def reference(self, id: SessionId) -> str | None:
        """Return the invoice reference that the bill of a session will carry, if it has one."""
        return self._invoices.get(id)

    def _bill_rows(self, cdr: Cdr) -> list[Write]:
        """Return the writes that make a bill, with the reference that was given for it."""
        reference = self._invoices.get(cdr.session)
        rows: list[Write] = [
            PutCdr(replace(cdr, invoice_reference=reference)),
            Touch("cdr", cdr.id, cdr.owner or NOBODY),
        ]
        return rows if reference is None else [*rows, DropDocument(INVOICE, cdr.session)]

    # -- what was reserved and not used

    async def unused(
        self, session: Session, until: datetime, *, expired: bool, free: bool
    ) -> Unused:
        """Return how the session of a reservation closes that nobody used, with its bill.

        Args:
            free: nothing is charged for it: it was not its driver who let it go.
        """
        tariff, place = await self._tariff(session), await self._place(session)
        if free or tariff is None or place is None:
            return Unused(close_unused(session, until), None)
        place = replace(place, connector=session.connector or 0)
        return settle_unused(session, tariff, place, self._clock(), until=until, expired=expired)

    def unused_rows(self, unused: Unused) -> Sequence[Write]:
        """Return the writes that close it; whoever ends the reservation commits them with it."""
        session, cdr = unused.session, unused.cdr
        rows: list[Write] = [PutSession(session), touch(session)]
        if cdr is not None:
            rows += self._bill_rows(cdr)
        return rows

    def closed(self, session: Session) -> None:
        """The end of an unused reservation is durable."""
        self._invoices.pop(session.id, None)
        self._charging.open.settled(session)

    # -- the one commit

    async def _close(self, result: Billed | Withheld, told: Folded, by: str | None) -> None:
        match result:
            case Billed():
                await self._bill(result, by)
            case Withheld():
                await self._withhold(result, told)

    async def _bill(self, billed: Billed, by: str | None) -> None:
        session, cdr = billed.session, billed.cdr
        now = self._clock()
        unit: list[Write] = [
            PutSession(session),
            touch(session),
            *self._bill_rows(cdr),
        ]
        if session.token is None and cdr.energy_wh:
            unit.append(PutWorkItem(_unknown_token(billed, now)))
        if billed.overshoot is not None:
            unit.append(PutWorkItem(_overshot(billed, now)))
        if by is not None:
            subject = f"session:{session.id}"
            unit.append(Audit(AuditEntry(now, by, "session.settled", subject)))
        await self._commit(session, unit)

    async def _withhold(self, withheld: Withheld, told: Folded) -> None:
        session = withheld.session
        item = WorkItem(
            f"withheld-bill:{session.id}",
            WorkType.INCOMPLETE_RECORD if told.started is None else WorkType.WITHHELD_BILL,
            f"session:{session.id}",
            self._clock(),
            station=session.station,
            location=session.location,
            evidence={
                "why": withheld.why,
                "start_wh": told.start_wh,
                "stop_wh": told.stop_wh,
                "flags": [str(flag) for flag in session.flags],
            },
            actions=(WorkAction.RETRY, WorkAction.WRITE_OFF),
        )
        await self._commit(session, [PutSession(session), PutWorkItem(item), touch(session)])

    async def _commit(self, session: Session, unit: Sequence[Write]) -> None:
        try:
            done = await self._store.commit(unit)
        except UnitRefused:
            if not await self._settled_before(session):
                raise
            done = await self._store.commit([touch(session)])
        self._charging.open.settled(session)
        if session.status is SessionStatus.COMPLETED:
            self._invoices.pop(session.id, None)
        self._live.publish(done.touched)

    async def _settled_before(self, session: Session) -> bool:
        """Whether this was durable already: the store went away before it could tell us so."""
        kept = await self._store.session(session.id)
        return kept is not None and kept.session.status not in OPEN

    # -- what the topology says

    def _most_w(self, session: Session) -> int:
        place = self._catalogue.place(session.ref)
        if place is None:
            return PLAUSIBLE_W
        most = max(connector.power_w for connector in place.evse.connectors)
        return most * self._rules.believable

    async def _place(self, session: Session) -> CdrPlace | None:
        """Return where it was, in the words of its start."""
        if session.reservation is not None and not session.evse:
            return await self._unassigned(session)
        place = self._catalogue.place(session.ref)
        if place is None:
            return None
        site = await location_at(self._store, place.location, session.begun_at)
        evse = place.evse
        connector = evse.connector(session.connector or 1) or evse.connectors[0]
        return CdrPlace(
            site.id,
            site.party,
            site.address,
            site.city,
            site.country,
            site.coordinates,
            site.time_zone,
            session.station,
            session.evse,
            evse.uid,
            connector.number,
            connector.standard,
            connector.format,
            connector.power_type,
            evse.evse_id,
            site.name,
            site.postal_code,
            site.state,
            connector.max_voltage,
            connector.max_amperage,
            site.home_charging,
        )

    async def _unassigned(self, session: Session) -> CdrPlace | None:
        """Return where a reservation was that never came to have an EVSE: at its station."""
        station = self._catalogue.stations.get(session.station)
        if station is None or not station.evses:
            return None
        known = replace(session, evse=station.evses[0].ref.evse)
        place = await self._place(known)
        if place is None:
            return None
        return replace(place, evse=0, evse_uid=EvseUid(""), evse_id=None, connector=0)


def _events(entries: Sequence[JournalEntry]) -> Sequence[TransactionEvent]:
    return [
        entry.frame.event
        for entry in entries
        if entry.frame.event is not None and not entry.frame.quarantined
    ]


def _unknown_token(billed: Billed, now: datetime) -> WorkItem:
    session = billed.session
    return WorkItem(
        f"unknown-token:{session.id}",
        WorkType.UNKNOWN_TOKEN,
        f"session:{session.id}",
        now,
        station=session.station,
        location=session.location,
        evidence={
            "id_token": session.id_token,
            "refused": Flag.REFUSED_TOKEN in session.flags,
            "energy_wh": billed.cdr.energy_wh,
            "total": str(billed.cdr.total.gross),
        },
        actions=(WorkAction.ASSIGN, WorkAction.WRITE_OFF),
    )


def _overshot(billed: Billed, now: datetime) -> WorkItem:
    session, beyond = billed.session, billed.overshoot
    assert beyond is not None
    return WorkItem(
        f"overshoot:{session.id}",
        WorkType.OVERSHOOT,
        f"session:{session.id}",
        now,
        station=session.station,
        location=session.location,
        evidence={
            "wh": beyond.wh,
            "money": None if beyond.money is None else str(beyond.money),
            "seconds": beyond.seconds,
            "owner": session.owner,
        },
        actions=(WorkAction.WRITE_OFF, WorkAction.DISMISS),
    )
