"""Open sessions by what their chargers call them, and how one that changed becomes visible.

What a session becomes is durable first and shown then, to ``LiveState`` and to whoever acts on it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from cms.app.live import LiveState
from cms.app.places import Places
from cms.app.ports import Restored, Store
from cms.app.rows import evse_rows, touch
from cms.app.writes import Ack, Committed, Write
from cms.domain import progress
from cms.domain.ids import SessionId, StationId, TransactionId
from cms.domain.session import OPEN, Session, evolve_session
from cms.domain.status import EvseState, evolve_evse


def _ignore(session: Session) -> None:
    """Nobody is interested."""


class OpenSessions:
    """The sessions of every station that have no bill yet.

    Attributes:
        told: what was answered to the frame that began each, by the frame's key.
        on_stopped: told of every session that stopped, or got a late fact, after the commit.
        on_progress: told of every running session that began or got samples, after the commit.
    """

    def __init__(self, store: Store, live: LiveState, places: Places) -> None:
        self._store = store
        self._live = live
        self._places = places
        self._sessions: dict[StationId, dict[TransactionId, SessionId]] = {}
        self._owners: dict[TransactionId, StationId] = {}
        self._keys: dict[SessionId, bytes] = {}
        self.told: dict[bytes, Ack] = {}
        self.on_stopped: Callable[[Session], None] = _ignore
        self.on_progress: Callable[[Session], None] = _ignore

    def restore(self, kept: Restored) -> None:
        """Take up the open sessions from the store."""
        for session in sorted(kept.open_sessions, key=lambda each: each.started_at):
            self.take_up(session)
            if session.running and self._places.known(session.ref):
                state = self._live.evse(session.ref).with_session(session.id)
                self._live.put(replace(state, meter=progress.meter(session)))

    # -- what their chargers call them

    def running(self, station: StationId) -> Iterable[Session]:
        """Running sessions of a station."""
        for id in tuple(self._sessions.get(station, {}).values()):
            session = self._live.session(id)
            if session is not None and session.running:
                yield session

    def session_of(self, station: StationId, transaction: TransactionId) -> Session | None:
        """Return an open session by what its charger calls it."""
        id = self._sessions.get(station, {}).get(transaction)
        return None if id is None else self._live.session(id)

    def foreign(self, station: StationId, transaction: TransactionId) -> bool:
        """Whether another station's open session has this name."""
        return self._owners.get(transaction, station) != station

    def draw(self) -> TransactionId:
        """Draw a number that no open transaction has: positive, 31 bits, not to be guessed."""
        while True:
            number = TransactionId(str(secrets.randbelow(2**31 - 1) + 1))
            if number not in self._owners:
                return number

    def remember(self, session: Session) -> None:
        """Know *session* by its transaction."""
        if session.transaction is not None:
            self._sessions.setdefault(session.station, {})[session.transaction] = session.id
            self._owners[session.transaction] = session.station

    def take_up(self, session: Session) -> None:
        """Remember and show a session that only the store knew."""
        self.remember(session)
        self._live.put_session(session)

    def answered(self, session: SessionId, key: bytes | None, ack: Ack) -> None:
        """Remember what was answered to the frame that began *session*."""
        if key is not None:
            self.told[key] = ack
            self._keys[session] = key

    def renamed(self, before: SessionId, after: SessionId) -> None:
        """A session goes on under another id."""
        self._live.drop_session(before)
        self._keys[after] = self._keys.pop(before, b"")

    def settled(self, session: Session) -> None:
        """Forget a session that has its bill (or will never have one)."""
        self._live.drop_session(session.id)
        transactions = self._sessions.get(session.station)
        if transactions is not None and session.transaction is not None:
            transactions.pop(session.transaction, None)
            self._owners.pop(session.transaction, None)
            if not transactions:
                del self._sessions[session.station]
        self.told.pop(self._keys.pop(session.id, b""), None)

    # -- what they become

    async def become(
        self,
        session: Session,
        after: Session,
        unit: Sequence[Write],
        ack: Ack,
        states: Sequence[EvseState] = (),
    ) -> Ack:
        """Make *unit* durable and show what *session* became; a repetition gets the first answer."""
        done = await self._store.commit(unit)
        if done.first is not None:
            return await self.again(session, done.first)
        self.publish(after, done, states)
        return ack

    async def again(self, session: Session, first: Ack) -> Ack:
        """Answer a repetition as the first time.

        Where the store went away just when it had made the first one durable, what we remember of
        the session is older than what is kept: take up what is kept.
        """
        if session.transaction is None:
            return first
        kept = await self._store.session_of(session.station, session.transaction)
        known = self._live.session(session.id)
        if kept is None or known is None or kept.status not in OPEN:
            return first
        if kept.running or not known.running:
            self._live.put_session(kept)
            return first
        before = self._live.evse(kept.ref)
        state = before.with_session(None) if before.session == kept.id else before
        done = await self._store.commit([*evse_rows(kept, before, state), touch(kept)])
        self.publish(kept, done, () if state is before else (state,))
        return first

    def publish(self, session: Session, done: Committed, states: Sequence[EvseState] = ()) -> None:
        """Show what is durable now, and tell whoever acts on it."""
        for each in done.touched:
            if each.kind == "session" and each.key == session.id:
                session = evolve_session(session, touched_at=each.last_updated)
        self._live.put_session(session)
        for state in states:
            self._live.put(state)
        running = session.running
        if running:
            state = self._live.evse(session.ref)
            if state.session == session.id:
                self._live.put(evolve_evse(state, meter=progress.meter(session)))
        if done.touched:
            self._live.publish(done.touched)
        (self.on_progress if running else self.on_stopped)(session)
