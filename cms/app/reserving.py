"""Reservations: asked, held, used, cancelled, expired.

As with every wish, ``accept`` decides from memory and makes the promise durable before anybody hears
of it; ``carry_out`` asks the station. What becomes of a reservation is decided in its station's lane,
so that an answer, a start, a cancellation and the clock never decide twice.

A reservation that its asker was told has failed is never left standing: the station is told to let
it go, again and again until it answers or the time is over. One whose station is away when the time
is over waits for the station: the driver may have come in the meantime, and then it was used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import uuid4

import structlog

from cms.app import failpoints
from cms.app.catalogue import Catalogue
from cms.app.lanes import Lanes
from cms.app.live import LiveState
from cms.app.ports import Clock, Frame, Restored, StationLink, Store
from cms.app.remote import (
    ANSWER_WINDOW,
    Asker,
    Refusal,
    Remote,
    draw_id_token,
    promised,
)
from cms.app.reservations import Reservations
from cms.app.rows import evse_rows, touch
from cms.app.terms import Terms
from cms.app.writes import (
    CommandRecord,
    Committed,
    PutCommand,
    PutEvse,
    PutReservation,
    PutSession,
    Unit,
    Write,
)
from cms.domain.commands import Answer, CancelReservation, Outcome, Reserve
from cms.domain.errors import InvalidValue
from cms.domain.ids import (
    CommandId,
    EvseRef,
    LocationId,
    PartnerId,
    ReservationId,
    StationId,
    new_session_id,
)
from cms.domain.reservation import (
    Hold,
    Reservation,
    ReservationState,
    ended,
    held,
    refused,
    shown_for,
)
from cms.domain.session import Session, SessionStatus, evolve_session
from cms.domain.settlement import Unused
from cms.domain.status import ConnectorReport, EvseState, EvseStatus
from cms.domain.token import AuthMethod, Decision, Token, Verdict

log = structlog.get_logger()

RESERVABLE = "RESERVABLE"
"""What an EVSE must be able to do."""

_FREE = frozenset({EvseStatus.AVAILABLE, EvseStatus.RESERVED})
_BROKEN = frozenset({ConnectorReport.FAULTED, ConnectorReport.UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class ReservingRules:
    """What the operator may choose.

    Attributes:
        grace: how long after its time a start of a reservation may still arrive.
        patience: how long a station that is away may keep a reservation undecided.
    """

    grace: timedelta = timedelta(seconds=15)
    patience: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class ReserveWish:
    """A reservation as it is asked for.

    Attributes:
        name: what *owner* calls it; the same name at the same site replaces what is held.
        evses: where it may be, the best first; all at *location*.
        any_of_station: hold any one of the EVSEs of the station of the first; False: that EVSE.
        reference: the partner's authorisation reference.
    """

    name: str
    location: LocationId
    evses: Sequence[EvseRef]
    token: Token
    expires_at: datetime
    owner: PartnerId | None = None
    any_of_station: bool = False
    reference: str | None = None


class Closing(Protocol):
    """Prices what nobody used (``cms.app.settling.Settling``)."""

    async def unused(
        self, session: Session, until: datetime, *, expired: bool, free: bool
    ) -> Unused: ...

    def unused_rows(self, unused: Unused) -> Sequence[Write]: ...
    def closed(self, session: Session) -> None: ...


def _ignore(own: Reservation) -> None:
    """Nobody waits for it."""


class Reserving:
    """Reservations of every station.

    Attributes:
        on_let_go: told of every reservation that we let go and whose owner waits to hear it.
    """

    def __init__(
        self,
        store: Store,
        live: LiveState,
        catalogue: Catalogue,
        lanes: Lanes,
        remote: Remote,
        terms: Terms,
        closing: Closing,
        link: StationLink,
        clock: Clock,
        rules: ReservingRules = ReservingRules(),
    ) -> None:
        self._store = store
        self._live = live
        self._catalogue = catalogue
        self._lanes = lanes
        self._remote = remote
        self._terms = terms
        self._closing = closing
        self._link = link
        self._clock = clock
        self._rules = rules
        self._book: Reservations = remote.reservations
        self._away: dict[StationId, datetime] = {}
        self.on_let_go: Callable[[Reservation], None] = _ignore

    # -- restart, reading

    async def restore(self, kept: Restored) -> None:
        """Take up what lives. What was asked when the last process ended has failed: its asker is
        told so (``Remote.give_up_unfinished``), and the station is told to let go."""
        self._book.restore(kept.reservations)
        for own in self._book:
            hold = own.hold
            self._remote.vouchers.vouch(hold.station, hold.token, hold.reference, own.created_at)
            if own.live and own.hold.ref is not None:
                state = self._live.evse(own.hold.ref)
                self._live.put(replace(state, reservation=own.id))
            if own.state is ReservationState.ASKED or own.asked is not None:
                await self._refuse(own.id, "we were restarted before the station answered", True)

    def unheard(self) -> Sequence[Reservation]:
        """Reservations that we let go and whose owner has not heard of it."""
        return [each for each in self._book if each.unheard]

    def named(self, owner: PartnerId | None, name: str) -> Reservation | None:
        """Return the live reservation that *owner* calls *name*."""
        return self._book.named(owner, name)

    def at_site(self, owner: PartnerId, token: Token, site: LocationId) -> EvseRef | None:
        """Return the EVSE that is held for *token* at *site*, if there is just one."""
        own = self._book.at_site(owner, token, site)
        return None if own is None else own.hold.ref

    # -- accepting

    async def accept(
        self, wish: ReserveWish, asker: Asker, window: timedelta = ANSWER_WINDOW
    ) -> CommandRecord | Refusal:
        """Promise to ask for a reservation, or say at once why not. Durable on return.

        Args:
            window: in which the asker expects the outcome.

        Raises:
            InvalidValue: it would be over already.
        """
        now = self._clock()
        if wish.expires_at <= now:
            raise InvalidValue("expires_at", "lies in the past")
        evse = self._choose(wish)
        if isinstance(evse, Refusal):
            return evse
        async with self._lanes(evse.station):
            before = self._replaced(wish)
            if before is None and (no := self._why_not(evse, wish)) is not None:
                return no  # what stood in memory a moment ago has changed meanwhile
            return await self._promise(wish, evse, before, asker, window)

    async def _promise(
        self,
        wish: ReserveWish,
        evse: EvseRef,
        before: Reservation | None,
        asker: Asker,
        window: timedelta,
    ) -> CommandRecord:
        now, id = self._clock(), CommandId(str(uuid4()))
        any_of_station = wish.any_of_station and (before is None or before.hold.evse is None)
        shown, card = shown_for(wish.token, draw_id_token())
        hold = Hold(
            evse.station,
            None if any_of_station else evse.evse,
            wish.token,
            shown,
            card,
            wish.expires_at,
            asker.who,
            wish.reference,
            asker.reply_to,
            id,
        )
        same_station = before is not None and before.station == hold.station
        if before is not None and same_station:
            own = replace(before, asked=hold)
        else:
            number = await self._draw()
            own = Reservation(number, wish.name, wish.owner, wish.location, hold, now)
        record = CommandRecord(
            id,
            "reserve",
            hold.station,
            asker.who,
            now,
            now + window,
            evse=hold.evse,
            token=wish.token,
            owner=wish.owner,
            reference=wish.reference,
            reply_to=asker.reply_to,
            reservation=own.id,
        )
        await self._store.commit([*promised(record, asker), PutReservation(own)])
        self._book.put(own)
        self._remote.vouchers.vouch(hold.station, wish.token, wish.reference, now)
        return record

    async def _draw(self) -> ReservationId:
        """Draw a number that no reservation ever had."""
        while True:
            number = self._book.draw()
            if await self._store.reservation(number) is None:
                return number

    def _choose(self, wish: ReserveWish) -> EvseRef | Refusal:
        """Return where to ask: where it is already, else the first EVSE that nothing speaks
        against."""
        before = self._replaced(wish)
        if before is not None and (ref := before.hold.ref) is not None and ref in wish.evses:
            return ref
        no = Refusal.UNKNOWN_EVSE
        for evse in wish.evses:
            found = self._why_not(evse, wish)
            if found is None:
                return evse
            no = found
        return no

    def _replaced(self, wish: ReserveWish) -> Reservation | None:
        """Return the reservation that a wish replaces: same name, same site, same owner."""
        own = self._book.named(wish.owner, wish.name)
        return own if own is not None and own.location == wish.location else None

    def _why_not(self, evse: EvseRef, wish: ReserveWish) -> Refusal | None:
        place = self._catalogue.place(evse)
        if place is None or place.evse.removed:
            return Refusal.UNKNOWN_EVSE
        if wish.owner is not None and not place.station.live:
            return Refusal.NOT_LIVE
        if RESERVABLE not in place.evse.capabilities:
            return Refusal.NOT_RESERVABLE
        state = self._live.evse(evse)
        if not state.online:
            return Refusal.OFFLINE
        before, taken = self._replaced(wish), self._book.at(evse)
        if taken is not None and taken != before:
            return Refusal.RESERVED
        if self._remote.claimed(evse) or state.session is not None:
            return Refusal.BUSY
        status = replace(state, live=True).status
        if status in _FREE:
            return None
        busy = status in (EvseStatus.CHARGING, EvseStatus.OCCUPIED)
        return Refusal.BUSY if busy else Refusal.INOPERATIVE

    async def accept_cancel(
        self, own: Reservation, asker: Asker, window: timedelta = ANSWER_WINDOW
    ) -> CommandRecord | Refusal:
        """Promise to take a reservation back."""
        if not any(state.online for state in self._live.station(own.station)):
            return Refusal.OFFLINE
        now = self._clock()
        record = CommandRecord(
            CommandId(str(uuid4())),
            "cancel_reservation",
            own.station,
            asker.who,
            now,
            now + window,
            evse=own.hold.evse,
            owner=own.owner,
            reply_to=asker.reply_to,
            reservation=own.id,
        )
        await self._store.commit(promised(record, asker))
        return record

    # -- carrying out

    async def carry_out(self, record: CommandRecord) -> Answer:
        """Ask the station, and keep what came of it. Returns what is true, and may be told."""
        own = self._book.get(_number(record))
        if own is None:
            return await self._finished(record, Answer(Outcome.UNKNOWN))
        if record.verb == "cancel_reservation":
            return await self._carry_out_cancel(record, own)
        hold = own.asked or own.hold
        answer = await self._link.send(
            Reserve(
                record.id,
                hold.station,
                own.id,
                hold.evse,
                hold.id_token,
                hold.card,
                hold.expires_at,
                hold.token.group_name,
            )
        )
        failpoints.hit(failpoints.X8)
        if answer.outcome is Outcome.ACCEPTED:
            return await self._hold(record, answer)
        doubt = answer.outcome in (Outcome.TIMEOUT, Outcome.FAILED)
        await self._refuse(own.id, f"the station: {answer.outcome}", doubt, record)
        return await self._finished(record, answer)

    async def give_up(self, record: CommandRecord) -> Answer:
        """The asker waits no longer: decide now what it is told. A later yes is taken back.

        Returns:
            What is told, which is the station's own if it was here a moment before.
        """
        async with self._lanes(record.station):
            answer = await self._finished(record, Answer(Outcome.TIMEOUT))
            if answer.outcome is Outcome.TIMEOUT and record.verb == "reserve":
                why = "the station did not answer in time"
                await self._refused(_number(record), why, True, record)
        return answer

    async def cancel(self, own: Reservation, asker: Asker) -> Answer:
        """Take back a reservation for a reason of ours; its owner is told.

        A station that is away is told when it comes back.
        """
        accepted = await self.accept_cancel(own, asker)
        if isinstance(accepted, Refusal):
            why = asker.reason or f"cancelled by {asker.who}"
            await self.let_go(own.id, why, owed=True)
            return Answer(Outcome.SCHEDULED)
        return await self.carry_out(accepted)

    async def told(self, id: ReservationId) -> None:
        """The owner of a reservation that we let go has heard of it, or never will."""
        own = self._book.get(id)
        if own is None or not own.unheard:
            return
        async with self._lanes(own.station):
            own = replace(self._book.get(id) or own, unheard=False)
            await self._store.commit([PutReservation(own)])
            self._book.put(own)

    # -- what stations do of their own accord

    async def reservation_ended(self, frame: Frame, id: ReservationId, expired: bool) -> None:
        """A station let a reservation go of its own accord."""
        own = self._book.get(id)
        if own is None or own.station != frame.visit.station or not own.live:
            return
        early = self._clock() < own.hold.expires_at - self._rules.grace
        if expired and not early:
            await self._expire(id)
            return
        why = "the station says that its time is over" if expired else "the station removed it"
        await self.let_go(id, why)

    async def let_go(self, id: ReservationId, why: str, *, owed: bool = False) -> None:
        """End a reservation that is not to be held any longer, through no doing of its owner."""
        await self._end(id, ReservationState.CANCELLED, why, owed=owed, unheard=True, free=True)

    # -- time

    async def look(self) -> None:
        """Do what the time, and what stations show, demand. Call it about every second."""
        now = self._clock()
        for own in self._book:
            if not any(state.online for state in self._live.station(own.station)):
                self._away[own.station] = now
            if own.state is ReservationState.HELD:
                await self._look_at(own, now)

    async def pay_debts(self) -> None:
        """Tell stations to let go of what they may still hold. Call it every few seconds."""
        now = self._clock()
        await asyncio.gather(*(self._settle_debt(own, now) for own in self._book if own.owed))

    async def _look_at(self, own: Reservation, now: datetime) -> None:
        away = self._away.get(own.station, own.created_at)
        due = max(own.hold.expires_at, away) + self._rules.grace
        if now >= min(due, own.hold.expires_at + self._rules.patience):
            await self._expire(own.id)
            return
        if own.hold.ref is None:
            return
        state = self._live.evse(own.hold.ref)
        if state.online and state.connectors and set(state.connectors.values()) <= _BROKEN:
            await self.let_go(own.id, "the EVSE is out of order")
        elif self._taken(state, own):
            await self.let_go(own.id, "somebody else charges there")

    def _taken(self, state: EvseState, own: Reservation) -> bool:
        """Whether another driver charges there; a car without a token yet may be the right one."""
        other = None if state.session is None else self._live.session(state.session)
        return other is not None and other.id != own.session and other.id_token != ""

    async def _settle_debt(self, own: Reservation, now: datetime) -> None:
        """Tell a station to let go of what it may still hold."""
        if now >= own.hold.expires_at:
            await self._debt_paid(own.id)  # it has let go by itself
            return
        if any(state.online for state in self._live.station(own.station)):
            command = CancelReservation(CommandId(uuid4().hex), own.station, own.id)
            answer = await self._link.send(command)
            if answer.outcome not in (Outcome.TIMEOUT, Outcome.OFFLINE):
                await self._debt_paid(own.id)

    async def _debt_paid(self, id: ReservationId) -> None:
        own = self._book.get(id)
        if own is None:
            return
        async with self._lanes(own.station):
            own = replace(self._book.get(id) or own, owed=False)
            await self._store.commit([PutReservation(own)])
            self._book.put(own)

    async def _expire(self, id: ReservationId) -> None:
        own = self._book.get(id)
        until = self._clock() if own is None else own.hold.expires_at
        await self._end(id, ReservationState.EXPIRED, "nobody came", at=until)

    # -- inside

    async def _hold(self, record: CommandRecord, answer: Answer) -> Answer:
        """The station holds it: show it, and let its owner see its session.

        If the asker has been told meanwhile that it failed, the station is told to let go.
        """
        async with self._lanes(record.station):
            own = self._book.get(_number(record))
            if own is None or own.state is ReservationState.USED:
                return await self._finished(record, answer)  # its driver was quicker
            hold = own.asked or own.hold
            if not own.live or hold.command != record.id:
                await self._too_late(own)
                return await self._finished(record, Answer(Outcome.TIMEOUT))
            await self._held(record, own, hold)
        await self._leave_others(own)
        return answer

    async def _held(self, record: CommandRecord, own: Reservation, hold: Hold) -> None:
        now = self._clock()
        session = self._session(own, hold, now)
        after = held(own, session.id, now)
        session = evolve_session(session, reservation=after.id, held_from=after.held_at)
        done = replace(record, outcome=str(Outcome.ACCEPTED), finished_at=now, session=session.id)
        states = self._moved(own, after)
        unit: list[Write] = [PutCommand(done), PutReservation(after)]
        unit += self._terms.keep_tariff(session)
        unit += [PutSession(session), touch(session)]
        committed = await self._commit(unit, session, states)
        self._terms.tariff_kept(session)
        self._book.put(after)
        self._live.put_session(session)
        self._live.publish(committed.touched, [new for _, new in states])

    def _session(self, own: Reservation, hold: Hold, now: datetime) -> Session:
        """Return the session by which a reservation is seen; of a replaced one, the same."""
        evse = hold.evse or 0
        before = None if own.session is None else self._live.session(own.session)
        connector = self._connector(hold.ref)
        session = Session(
            new_session_id(now) if before is None else before.id,
            hold.station,
            evse,
            SessionStatus.RESERVED,
            now if before is None else before.started_at,
            now if before is None else before.received_at,
            hold.id_token,
            connector=connector,
            location=own.location,
            dialect=self._catalogue.record(hold.station).dialect,
            touched_at=now,
        )
        decision = Decision(
            Verdict.ACCEPTED, "reserved", hold.token, AuthMethod.COMMAND, hold.reference
        )
        if evse:
            return self._terms.owned(session, decision, None, connector or 1)
        station = self._catalogue.stations[hold.station]  # the price of its first EVSE, till then
        priced = evolve_session(session, evse=station.evses[0].ref.evse)
        return evolve_session(self._terms.owned(priced, decision, None, 1), evse=0)

    def _connector(self, ref: EvseRef | None) -> int | None:
        """Return the connector of an EVSE that has one only."""
        place = None if ref is None else self._catalogue.place(ref)
        if place is None or len(place.evse.connectors) != 1:
            return None
        return place.evse.connectors[0].number

    def _moved(
        self, before: Reservation, after: Reservation
    ) -> Sequence[tuple[EvseState, EvseState]]:
        """Return every EVSE that is held, or held no longer, as it was and as it is."""
        refs = {each.hold.ref for each in (before, after)} - {None}
        found = []
        for ref in refs:
            assert ref is not None
            state = self._live.evse(ref)
            if after.live and ref == after.hold.ref:
                found.append((state, state.with_reservation(after.id)))
            elif state.reservation == after.id:
                found.append((state, state.with_reservation(None)))
        return found

    async def _commit(
        self, unit: Unit, session: Session, states: Iterable[tuple[EvseState, EvseState]]
    ) -> Committed:
        rows = [row for was, now in states for row in evse_rows(session, was, now)]
        return await self._store.commit([*unit, *rows])

    async def _leave_others(self, own: Reservation) -> None:
        """One name is one reservation: what it stood for at another station is taken back."""
        for each in self._book:
            same = (each.owner, each.name.casefold(), each.location) == (
                own.owner,
                own.name.casefold(),
                own.location,
            )
            if same and each.live and each.id != own.id and each.created_at <= own.created_at:
                why = "replaced by one at another station"
                await self._end(each.id, ReservationState.CANCELLED, why, owed=True)

    async def _too_late(self, own: Reservation) -> None:
        """A yes to something that is over already; called in the lane."""
        if own.live:
            return  # it is held on the terms that were there before
        after = replace(own, owed=True)
        await self._store.commit([PutReservation(after)])
        self._book.put(after)

    async def _refuse(
        self, id: ReservationId, why: str, owed: bool, record: CommandRecord | None = None
    ) -> None:
        if (own := self._book.get(id)) is not None:
            async with self._lanes(own.station):
                await self._refused(id, why, owed, record)

    async def _refused(
        self, id: ReservationId, why: str, owed: bool, record: CommandRecord | None
    ) -> None:
        """Keep that the station said no, or nothing; called in the lane."""
        own = self._book.get(id)
        hold = None if own is None else own.asked or own.hold
        if own is None or hold is None or not own.live:
            return
        if record is not None and hold.command != record.id:
            return
        after = refused(own, why, self._clock(), owed=owed)
        await self._store.commit([PutReservation(after)])
        self._book.put(after)

    async def _carry_out_cancel(self, record: CommandRecord, own: Reservation) -> Answer:
        answer = await self._link.send(CancelReservation(record.id, own.station, own.id))
        ours = record.owner is None or record.asked_by != f"partner:{record.owner}"
        if answer.outcome in (Outcome.ACCEPTED, Outcome.REJECTED):
            known = answer.outcome is Outcome.ACCEPTED
            why = f"cancelled by {record.asked_by}"
            await self._end(
                own.id,
                ReservationState.CANCELLED,
                why if known else f"{why}; the station held it no longer",
                unheard=ours,
                free=ours or not known,
            )
            if not known and not ours:
                answer = replace(answer, outcome=Outcome.UNKNOWN)
        return await self._finished(record, answer)

    async def _end(
        self,
        id: ReservationId,
        state: ReservationState,
        why: str,
        *,
        at: datetime | None = None,
        owed: bool = False,
        unheard: bool = False,
        free: bool = False,
    ) -> None:
        """End a live reservation with its session, in one commit; of two ends the first counts.

        Args:
            free: nothing is charged for it.
        """
        own = self._book.get(id)
        if own is None:
            return
        async with self._lanes(own.station):
            own = self._book.get(id)
            if own is None or not own.live:
                return
            until = at or self._clock()
            after = ended(own, state, why, until, owed=owed, unheard=unheard)
            await self._close(own, after, until, free)
        log.info("reservation.ended", id=id, state=state, why=why, owner=after.owner)
        if after.unheard:
            self.on_let_go(after)

    async def _close(
        self, own: Reservation, after: Reservation, until: datetime, free: bool
    ) -> None:
        states = self._moved(own, after)
        session = None if own.session is None else self._live.session(own.session)
        rows: list[Write] = [PutReservation(after)]
        if session is None or session.status is not SessionStatus.RESERVED:
            done = await self._store.commit([*rows, *_rows_of(states)])
        else:
            expired = after.state is ReservationState.EXPIRED
            unused = await self._closing.unused(session, until, expired=expired, free=free)
            rows += self._closing.unused_rows(unused)
            done = await self._commit(rows, session, states)
            self._closing.closed(unused.session)
        self._book.put(after)
        self._live.publish(done.touched, [new for _, new in states])

    async def _finished(self, record: CommandRecord, answer: Answer) -> Answer:
        """Keep how a command ended; the first word counts."""
        kept = await self._store.command(record.id)
        if kept is not None and kept.outcome is not None:
            return Answer(Outcome(kept.outcome), answer.detail)
        done = replace(record, outcome=str(answer.outcome), finished_at=self._clock())
        await self._store.commit([PutCommand(done)])
        return answer


def _rows_of(states: Iterable[tuple[EvseState, EvseState]]) -> Sequence[Write]:
    """Return the writes by which EVSEs change that have no session."""
    return [PutEvse(new) for old, new in states if new is not old]


def _number(record: CommandRecord) -> ReservationId:
    assert record.reservation is not None, "a command about a reservation names it"
    return record.reservation
