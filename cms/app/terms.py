"""On what terms a session runs: who pays, who allowed it, up to which limit, at which price."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from cms.app.authorising import START_DEADLINE_SECONDS
from cms.app.catalogue import Catalogue
from cms.app.ports import Clock, Frame, Restored, Soon, Store
from cms.app.remote import limit_of
from cms.app.reservations import Reservations
from cms.app.vouching import Vouchers
from cms.app.writes import CommandRecord, KeepTariff, PutReservation, Write
from cms.domain.ids import EvseRef, PartnerId, ReservationId, SessionId, StationId, TariffHash
from cms.domain.reservation import Reservation, used
from cms.domain.session import NO_LIMIT, Limit, Session, evolve_session
from cms.domain.switching import Switch
from cms.domain.tariff import Tariff, kind_of_profile, tariff_hash
from cms.domain.token import AuthMethod, Decision, Token, Verdict
from cms.domain.transaction import EventKind, Flag, TransactionEvent

_AROUND = timedelta(minutes=15)
"""Between a remote start and the start that it led to, by two clocks."""


class Tokens(Protocol):
    """Decides about tokens (``cms.app.authorising.Authoriser``)."""

    def authorise(
        self, uid: str, where: EvseRef | None, deadline: float = ...
    ) -> Soon[Decision]: ...
    def without_asking(self, uid: str) -> Decision: ...


class RemoteStarts(Protocol):
    """Knows which remote starts are open (``cms.app.remote.Remote``)."""

    reservations: Reservations
    vouchers: Vouchers

    def start_of(self, id_token: str) -> CommandRecord | None: ...
    def start_numbered(self, number: int) -> CommandRecord | None: ...
    def start_reserved(self, reservation: ReservationId) -> CommandRecord | None: ...
    def started(self, record: CommandRecord, session: SessionId) -> CommandRecord: ...
    def came_true(self, record: CommandRecord) -> None: ...


class Terms:
    """Decides about tokens and freezes prices.

    Attributes:
        snapshots: tariffs of sessions since the start of the process, by content.
    """

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        tokens: Tokens,
        starts: RemoteStarts,
        clock: Clock,
        stale_after: timedelta,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._tokens = tokens
        self._starts = starts
        self._reservations = starts.reservations
        self._vouchers = starts.vouchers
        self._clock = clock
        self._stale_after = stale_after
        self._hashes: dict[str, tuple[Tariff, TariffHash]] = {}
        self._durable: set[TariffHash] = set()
        self.snapshots: dict[TariffHash, Tariff] = {}

    def restore(self, kept: Restored) -> None:
        """Take up the tariffs of open sessions."""
        self.snapshots.update(kept.snapshots)
        self._durable.update(kept.snapshots)

    # -- who pays

    def authorize(self, station: StationId, id_token: str, evse: int | None) -> Soon[Decision]:
        """May this token charge at this station?"""
        if self.promised_elsewhere(station, id_token):
            return _PROMISED_ELSEWHERE
        if (decision := self._given(station, id_token, self._clock())) is not None:
            return decision
        where = None if evse is None else EvseRef(station, evse)
        return self._tokens.authorise(id_token, where)

    def _given(self, station: StationId, id_token: str, now: datetime) -> Decision | None:
        """Return what a command decided about a token at this station; None = it says nothing."""
        reserved = self._reservations.decision(station, id_token)
        return reserved or self._vouchers.decision(station, id_token, now)

    async def decide(
        self, frame: Frame, event: TransactionEvent, session: Session | None
    ) -> Decision:
        """Decide about the token of an event; only a live start may wait for a partner.

        Args:
            session: that the event belongs to, if it is open. Whoever was let start it by a
                command of ours needs no new decision, however long ago that was.
        """
        station, uid = frame.visit.station, event.id_token or ""
        if session is not None and _own(session, uid, event):
            return Decision(
                Verdict.ACCEPTED, "its own token", session.token, session.method, session.reference
            )
        if self.promised_elsewhere(station, uid):
            return _PROMISED_ELSEWHERE
        if (given := self._given(station, uid, event.occurred_at)) is not None:
            return given
        begins = event.kind is EventKind.STARTED
        if begins and _looks_drawn(uid) and self.remote_start(station, event) is None:
            await self._recall(station, event)
        age = frame.received_at - event.occurred_at
        if event.kind is EventKind.ENDED or event.offline or age > self._stale_after:
            return self._reservations.word(station, event) or self._tokens.without_asking(uid)
        where = None if event.evse is None else EvseRef(station, event.evse)
        answer = self._tokens.authorise(uid, where, START_DEADLINE_SECONDS)
        return answer if isinstance(answer, Decision) else await answer

    async def _recall(self, station: StationId, event: TransactionEvent) -> None:
        """Find a remote start that memory has forgotten: its charger was away for long."""
        since, until = event.occurred_at - _AROUND, event.occurred_at + _AROUND
        for record in await self._store.commands_of(station, since, until):
            if record.id_token == event.id_token:
                self._starts.came_true(record)

    def remote_start(
        self,
        station: StationId,
        event: TransactionEvent,
        reservation: Reservation | None = None,
    ) -> CommandRecord | None:
        """Return the remote start of ours that an event belongs to.

        Args:
            reservation: which the event uses: a start of it goes under the reservation's token.
        """
        found = None if reservation is None else self._starts.start_reserved(reservation.id)
        if found is None and event.remote_start is not None:
            found = self._starts.start_numbered(event.remote_start)
        if found is None and event.id_token is not None and event.kind is not EventKind.ENDED:
            found = self._starts.start_of(event.id_token)
        return found if found is not None and found.station == station else None

    def promised_elsewhere(self, station: StationId, id_token: str) -> bool:
        """Whether *id_token* was drawn for a start at another station: worth nothing here."""
        found = self._starts.start_of(id_token)
        return found is not None and found.station != station

    def started(self, start: CommandRecord | None, session: Session) -> CommandRecord | None:
        """Return the remote start with the session that came of it, to be written with it."""
        return None if start is None else self._starts.started(start, session.id)

    def reservation(
        self, station: StationId, event: TransactionEvent, decision: Decision | None
    ) -> Reservation | None:
        """Return the reservation that a start uses; what was refused uses none."""
        if event.kind is EventKind.ENDED or decision is None or not decision.accepted:
            return None
        return self._reservations.used_by(station, event, decision.token)

    def used(self, reservation: Reservation | None, session: Session) -> Sequence[PutReservation]:
        """Return the write by which a reservation is used."""
        if reservation is None:
            return ()
        return (PutReservation(used(reservation, session.id, session.started_at)),)

    def reservations_used(self, writes: Sequence[PutReservation]) -> None:
        """A reservation's use is durable."""
        for each in writes:
            self._reservations.put(each.reservation)

    def came_true(self, command: CommandRecord | None) -> None:
        """The session of a remote start is durable."""
        if command is not None:
            self._starts.came_true(command)

    # -- at which price

    def owned(
        self,
        session: Session,
        decision: Decision | None,
        start: CommandRecord | None,
        connector: int,
        at: datetime | None = None,
    ) -> Session:
        """Add who pays, by which authorisation, with which limit and at which price.

        Args:
            at: when that was known, where it was not known from the start: its price holds.

        Nobody is billed for a token that was refused: what was charged with it all the same (the
        charger was alone, or did not obey) is a person's to assign.
        """
        token = None if decision is None or not decision.accepted else decision.token
        owner = None if token is None else token.partner
        method = AuthMethod.WHITELIST if decision is None else decision.method
        reference = None if decision is None else decision.reference
        limit = NO_LIMIT if decision is None else Limit(energy_wh=decision.limit_wh)
        if start is not None:
            token, owner, method = start.token or token, start.owner, AuthMethod.COMMAND
            reference, limit = start.reference or reference, limit_of(start)
        if at is None:
            sound = Flag.TIME_IMPLAUSIBLE not in session.flags
            at = session.started_at if sound else session.received_at
        tariff = self._price(session, connector, owner, token, at)
        return evolve_session(
            session,
            token=token,
            owner=owner,
            method=method,
            reference=reference,
            limit=limit,
            command=None if start is None else start.id,
            tariff=None if tariff is None else self._hash(tariff),
            currency=None if tariff is None else tariff.currency,
        )

    def _price(
        self,
        session: Session,
        connector: int,
        owner: PartnerId | None,
        token: Token | None,
        at: datetime,
    ) -> Tariff | None:
        """Return what was shown to who pays: the kind that the token prefers, else the usual."""
        shown = self.shown(session.ref, connector, owner, at)
        wanted = None if token is None else kind_of_profile(token.default_profile)
        found = next((each for each in shown if wanted is not None and each.kind is wanted), None)
        if found is None:
            found = shown[0] if shown else None
        return found

    def shown(
        self, ref: EvseRef, connector: int, owner: PartnerId | None, at: datetime
    ) -> Sequence[Tariff]:
        """Return the tariffs that who pays was shown at a connector, as it has them."""
        offered = self._catalogue.tariffs_for(ref, connector, owner, at)
        if owner is None:
            return offered
        took = self._catalogue.offers.shown_headline
        return [took(owner, each.id) or each for each in offered]

    def tariff(self, session: Session) -> Tariff | None:
        """Return the tariff that was frozen when *session* started."""
        return None if session.tariff is None else self.snapshots.get(session.tariff)

    def tariff_now(self, session: Session) -> Tariff | None:
        """Return the tariff under which *session* runs now, as it was when it began to hold."""
        hash = session.tariff_now
        return None if hash is None else self.snapshots.get(hash)

    def switches(self, session: Session) -> Sequence[Switch]:
        """Return the tariffs that took its place while *session* ran, as they were then."""
        return [Switch(each.at, self.snapshots[each.tariff]) for each in session.switches]

    def _hash(self, tariff: Tariff) -> TariffHash:
        known = self._hashes.get(tariff.id)
        if known is None or known[0] is not tariff:
            known = self._hashes[tariff.id] = (tariff, tariff_hash(tariff))
        return known[1]

    def keep_tariff(self, session: Session) -> Sequence[Write]:
        """Keep the price with the session, in the same commit; once is enough for all sessions."""
        return () if session.tariff is None else self._keep(session.tariff)

    def keep_switched(self, session: Session, tariff: Tariff) -> tuple[TariffHash, Sequence[Write]]:
        """Freeze the tariff to which a session switches; return its hash, and what keeps it.

        A tariff that it ran under before is still the one that it was then.
        """
        for known in (session.tariff, *(each.tariff for each in session.switches)):
            frozen = None if known is None else self.snapshots.get(known)
            if known is not None and frozen is not None and frozen.id == tariff.id:
                return known, ()
        hash = self._hash(tariff)
        return hash, self._keep(hash)

    def _keep(self, hash: TariffHash) -> Sequence[Write]:
        if hash in self._durable:
            return ()
        fresh = (tariff for tariff, known in self._hashes.values() if known == hash)
        tariff = self.snapshots.get(hash) or next(fresh, None)
        if tariff is None:  # that of a session which was settled before we started: kept long ago
            return ()
        self.snapshots[hash] = tariff
        return (KeepTariff(hash, tariff),)

    def tariff_kept(self, session: Session) -> None:
        """The commit with the session's price is durable."""
        if session.tariff is not None:
            self._durable.add(session.tariff)
        self._durable.update(each.tariff for each in session.switches)


_PROMISED_ELSEWHERE = Decision(Verdict.INVALID, "this start was promised to another station")


def _own(session: Session, uid: str, event: TransactionEvent) -> bool:
    """Whether a token needs no decision: it stops what it began, or a command of ours began it."""
    same = uid.casefold() == session.id_token.casefold()
    if not same or event.kind is EventKind.STARTED:
        return False
    return session.command is not None or event.kind is EventKind.ENDED


def _looks_drawn(uid: str) -> bool:
    return len(uid) == 16 and uid.isascii() and uid.isalnum() and uid.upper() == uid


def start_flags(
    event: TransactionEvent, decision: Decision | None, begun: bool
) -> tuple[Flag, ...]:
    """Return what is odd about how a session comes to be known."""
    flags = list(event.flags)
    if not begun:
        flags.append(Flag.SEQ_GAP)
    if decision is not None and not decision.accepted:
        flags.append(Flag.UNKNOWN_TOKEN if decision.token is None else Flag.REFUSED_TOKEN)
    if event.offline:
        flags.append(Flag.STARTED_OFFLINE)
    return tuple(dict.fromkeys(flags))
