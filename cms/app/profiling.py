"""Charging profiles of running sessions and of EVSEs: set, taken back, asked for, followed.

A partner limits its own sessions, an operator any session or EVSE. A station is given one profile
for each session, in which everything that was set holds together: stations that are given several
let the highest of a stack win, not the lowest. What is set, and by whom, is durable; a partner
that has set one hears of every later change that we learn of, through the feed.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

import structlog

from cms.app.catalogue import Catalogue, EvsePlace
from cms.app.live import LiveState
from cms.app.ports import Clock, StationLink, Store
from cms.app.remote import Asker, Refusal, Remote
from cms.app.writes import CommandRecord, DropDocument, PutDocument, Touch
from cms.domain import plain
from cms.domain.charging_profile import (
    ActiveSchedule,
    ChargingProfile,
    EvseCap,
    Setting,
    Steering,
    Supply,
    combined,
    expected,
    same_plan,
    supply_of,
    until,
    worth_telling,
)
from cms.domain.commands import Answer, AskSchedule, ClearProfile, Outcome, SetProfile
from cms.domain.errors import StoreDown
from cms.domain.ids import CommandId, EvseRef, SessionId, StationId
from cms.domain.session import Session

log = structlog.get_logger()

STEERING = "steering"
CAP = "evse_cap"
"""Kinds of documents."""

PLAN = "profile"
"""Kind of the feed under which a session's owner hears that its plan has changed."""

CAPABLE = "CHARGING_PROFILE_CAPABLE"

SET, CLEAR, ASK = "set_profile", "clear_profile", "ask_profile"
VERBS = frozenset({SET, CLEAR, ASK})

_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ProfilingRules:
    """What the operator may choose.

    Attributes:
        most: requests of one partner about one session within *window*; beyond: ``TOO_OFTEN``.
    """

    most: int = 6
    window: timedelta = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Wish:
    """A promise about a session's profile, or an EVSE's.

    Attributes:
        profile: to set; None for other verbs.
        seconds: how far ahead to ask.
        session: None for one about the EVSE itself.
    """

    record: CommandRecord
    who: str
    session: SessionId | None = None
    profile: ChargingProfile | None = None
    seconds: int = 0

    @property
    def ref(self) -> EvseRef:
        return EvseRef(self.record.station, self.record.evse or 1)


class Profiling:
    def __init__(
        self,
        store: Store,
        live: LiveState,
        catalogue: Catalogue,
        remote: Remote,
        link: StationLink,
        clock: Clock,
        rules: ProfilingRules = ProfilingRules(),
    ) -> None:
        self._store = store
        self._live = live
        self._catalogue = catalogue
        self._remote = remote
        self._link = link
        self._clock = clock
        self._rules = rules
        self._steered: dict[SessionId, Steering] = {}
        self._caps: dict[EvseRef, EvseCap] = {}
        self._asked: dict[SessionId, deque[datetime]] = {}
        self._turns: dict[StationId, asyncio.Lock] = {}
        self._stale: set[SessionId] = set()
        self._looking: set[SessionId] = set()
        self._started: set[StationId] = set()
        self._woken = asyncio.Event()

    async def restore(self) -> None:
        """Take up what is set. Sessions that ended meanwhile are dropped by the next look."""
        for body in (await self._store.documents(STEERING)).values():
            steering = plain.from_text(Steering, body.decode())
            self._steered[steering.session] = steering
        for body in (await self._store.documents(CAP)).values():
            cap = plain.from_text(EvseCap, body.decode())
            self._caps[cap.evse] = cap

    # -- reading

    def steering(self, session: SessionId) -> Steering | None:
        return self._steered.get(session)

    def cap(self, evse: EvseRef) -> EvseCap | None:
        return self._caps.get(evse)

    def plan(self, session: SessionId) -> ActiveSchedule | None:
        """Return what the owner of *session* is to know of its plan; None = nothing (any more)."""
        steering = self._steered.get(session)
        return steering.plan if steering is not None and steering.followed else None

    # -- accepting

    async def accept_set(
        self, session: Session, profile: ChargingProfile, asker: Asker
    ) -> Wish | Refusal:
        """Promise to limit a running session."""
        details = {"profile": plain.to_plain(profile)}
        return await self._accept(SET, session, asker, profile=profile, details=details)

    async def accept_clear(self, session: Session, asker: Asker) -> Wish | Refusal:
        """Promise to take back what *asker*'s side has set on a session."""
        return await self._accept(CLEAR, session, asker)

    async def accept_ask(self, session: Session, seconds: int, asker: Asker) -> Wish | Refusal:
        """Promise to ask what a session's EVSE plans."""
        return await self._accept(ASK, session, asker, seconds=seconds)

    async def accept_cap(
        self, evse: EvseRef, profile: ChargingProfile | None, asker: Asker
    ) -> Wish | Refusal:
        """Promise to limit an EVSE for all sessions; None = to limit it no more."""
        if (refusal := self._cannot(evse)) is not None:
            return refusal
        details = None if profile is None else {"profile": plain.to_plain(profile)}
        verb = CLEAR if profile is None else SET
        record = await self._remote.accept_wish(verb, evse, asker, details=details)
        if isinstance(record, Refusal):
            return record
        return Wish(record, asker.who, profile=profile)

    async def _accept(
        self,
        verb: str,
        session: Session,
        asker: Asker,
        *,
        profile: ChargingProfile | None = None,
        seconds: int = 0,
        details: dict[str, object] | None = None,
    ) -> Wish | Refusal:
        if not session.running or session.transaction is None:
            return Refusal.UNKNOWN_SESSION
        if asker.who.startswith("partner:") and asker.who != f"partner:{session.owner}":
            return Refusal.NOT_YOURS
        if (refusal := self._cannot(session.ref)) is not None:
            return refusal
        if asker.who.startswith("partner:") and self._too_often(session.id):
            return Refusal.TOO_OFTEN
        record = await self._remote.accept_wish(verb, session.ref, asker, session, details)
        if isinstance(record, Refusal):
            return record
        return Wish(record, asker.who, session.id, profile, seconds)

    def _cannot(self, evse: EvseRef) -> Refusal | None:
        place = self._place(evse)
        if place is None:
            return Refusal.UNKNOWN_EVSE
        return None if CAPABLE in place.evse.capabilities else Refusal.NOT_CAPABLE

    def _too_often(self, session: SessionId) -> bool:
        """Count a request, unless there were too many lately."""
        now = self._clock()
        lately = self._asked.setdefault(session, deque())
        while lately and lately[0] <= now - self._rules.window:
            lately.popleft()
        if len(lately) >= self._rules.most:
            return True
        lately.append(now)
        return False

    # -- carrying out

    async def carry_out(self, wish: Wish) -> Answer:
        """Ask the station, keep what came of it, return its answer."""
        async with self._turns.setdefault(wish.record.station, asyncio.Lock()):
            answer = await self._done(wish)
        await self._remote.finish(wish.record, answer.outcome)
        return answer

    async def _done(self, wish: Wish) -> Answer:
        if wish.session is None:
            return await self._cap(wish)
        session = self._live.session(wish.session)
        if session is None or not session.running:
            return Answer(Outcome.REJECTED, {"why": "the session has ended"})
        match wish.record.verb:
            case "set_profile":
                return await self._set(wish, session)
            case "clear_profile":
                return await self._clear(wish, session)
            case _:
                return await self._ask(session, wish.seconds)

    async def _set(self, wish: Wish, session: Session) -> Answer:
        assert wish.profile is not None
        before = self._steering(session)
        sure = Setting(wish.who, wish.profile, self._clock())
        after = before.with_setting(wish.who, sure)
        answer = await self._give(session, after)
        match answer.outcome:
            case Outcome.ACCEPTED:
                await self._keep(session, self._followed(after, wish.who, session))
            case Outcome.TIMEOUT:  # it may hold: clearing it must reach the station
                await self._keep(session, before.with_setting(wish.who, replace(sure, sure=False)))
            case _:
                pass
        if answer.outcome is Outcome.ACCEPTED:
            self._others_look(wish.who, session)
        return answer

    async def _clear(self, wish: Wish, session: Session) -> Answer:
        before = self._steering(session)
        if before.by(wish.who) is None:
            return Answer(Outcome.UNKNOWN)
        after = before.with_setting(wish.who, None)
        answer = await self._give(session, after)
        if answer.outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN):
            await self._keep(session, self._followed(after, wish.who, session))
            self._others_look(wish.who, session)
        return answer

    async def _cap(self, wish: Wish) -> Answer:
        before = self._caps.get(wish.ref)
        number = before.number if before is not None else _draw_number()
        if wish.profile is None:
            if before is None:
                return Answer(Outcome.UNKNOWN)
            asked = ClearProfile(wish.record.id, wish.record.station, number)
            answer = await self._link.send(asked)
            if answer.outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN):
                await self._store.commit([DropDocument(CAP, str(wish.ref))])
                self._caps.pop(wish.ref, None)
                await self._again(wish.ref)
            return answer
        answer = await self._link.send(
            SetProfile(wish.record.id, wish.ref, number, wish.profile, None)
        )
        if answer.outcome in (Outcome.ACCEPTED, Outcome.TIMEOUT):
            sure = answer.outcome is Outcome.ACCEPTED
            setting = Setting(wish.who, wish.profile, self._clock(), sure)
            cap = EvseCap(wish.ref, number, setting)
            body = plain.canonical(cap).encode()
            await self._store.commit([PutDocument(CAP, str(wish.ref), body)])
            self._caps[wish.ref] = cap
        if answer.outcome is Outcome.ACCEPTED:
            await self._again(wish.ref)
        return answer

    async def _again(self, evse: EvseRef) -> None:
        """What limits an EVSE has changed: tell the session that runs there, too.

        Many stations use the default for coming transactions only.
        """
        for session in self._live.sessions():
            if session.ref == evse and session.running and session.transaction is not None:
                steering = self._steering(session)
                answer = await self._give(session, steering)
                if answer.outcome is Outcome.ACCEPTED:
                    await self._keep(session, steering)
                self._look_at(session.id)

    async def _ask(self, session: Session, seconds: int) -> Answer:
        """Ask for the plan; what a station accepts without telling one is worked out here."""
        profiles = self._profiles(session)
        unit = profiles[0].unit if profiles else None
        id = CommandId(str(uuid4()))
        answer = await self._link.send(AskSchedule(id, session.ref, seconds, unit))
        if answer.outcome is not Outcome.ACCEPTED:
            return answer
        return replace(answer, schedule=self._completed(answer.schedule, session, seconds))

    def _completed(
        self, told: ActiveSchedule | None, session: Session, seconds: int
    ) -> ActiveSchedule:
        now = self._clock()
        if told is None:
            span = timedelta(seconds=seconds)
            return expected(
                self._profiles(session), self._supply(session), session.begun_at, now, span
            )
        start = told.start or now.replace(microsecond=0)
        return replace(told, start=start, duration=told.duration or seconds)

    async def _give(self, session: Session, steering: Steering) -> Answer:
        """Give the station the one profile in which everything holds, or take it back."""
        assert session.transaction is not None
        id, profiles = CommandId(str(uuid4())), self._profiles(session, steering)
        profile = combined(profiles, self._supply(session), session.begun_at)
        if profile is None:
            return await self._link.send(ClearProfile(id, session.station, steering.number))
        return await self._link.send(
            SetProfile(id, session.ref, steering.number, profile, session.transaction)
        )

    # -- following

    def limits_changed(self, station: StationId, evse: int | None) -> None:
        """A station says that something else limits it now. Memory only; ``run`` goes and asks.

        Args:
            evse: None = any of its EVSEs.
        """
        for id in self._steered:
            session = self._live.session(id)
            if session is None or session.station != station:
                continue
            if evse is None or session.evse == evse:
                self._look_at(id)

    def booted(self, station: StationId) -> None:
        """A station has started, and may have forgotten what it was given. Memory only."""
        if any(evse.station == station for evse in self._caps) or self._steers(station):
            self._started.add(station)
            self._woken.set()

    def _steers(self, station: StationId) -> bool:
        sessions = (self._live.session(id) for id in self._steered)
        return any(each is not None and each.station == station for each in sessions)

    async def remind(self, station: StationId) -> None:
        """Give a station again everything that is set there."""
        self._started.discard(station)
        async with self._turns.setdefault(station, asyncio.Lock()):
            for cap in [each for each in self._caps.values() if each.evse.station == station]:
                id = CommandId(str(uuid4()))
                await self._link.send(SetProfile(id, cap.evse, cap.number, cap.setting.profile))
            for steering in list(self._steered.values()):
                session = self._live.session(steering.session)
                if session is None or session.station != station or not session.running:
                    continue
                if steering.settings:
                    await self._give(session, steering)

    async def run(self) -> None:
        """Follow the sessions whose owners are to hear of changes, for ever."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._woken.clear()
                for station in list(self._started):
                    self._started.discard(station)
                    tasks.create_task(self.remind(station))
                for id in await self.due():
                    tasks.create_task(self._looked(id))
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await self._woken.wait()
                except TimeoutError:
                    continue

    async def due(self) -> Sequence[SessionId]:
        """Drop what is over, and return the sessions whose plan has to be looked at now."""
        now = self._clock()
        for id in [each for each in self._asked if self._live.session(each) is None]:
            del self._asked[id]
        found = []
        for id, steering in list(self._steered.items()):
            session = self._live.session(id)
            if session is None or not session.running:
                await self._drop(id)
                continue
            news = id in self._stale or _has_ended(steering, session, now)
            if news and steering.followed and id not in self._looking:
                found.append(id)
        return found

    async def look(self, id: SessionId) -> None:
        """Learn what a session's EVSE plans; if that is news, its owner hears of it."""
        session = self._live.session(id)
        if session is None or not session.running or id not in self._steered:
            return
        self._stale.discard(id)
        async with self._turns.setdefault(session.station, asyncio.Lock()):
            now, steering = self._clock(), self._steered.get(id)
            if steering is None:
                return
            profiles = self._profiles(session)
            span = worth_telling(profiles, session.begun_at, now)
            seconds = int(span.total_seconds())
            told = (await self._ask(session, seconds)).schedule
            plan = until(self._completed(told, session, seconds), now + span)
            ended = _has_ended(steering, session, now) or steering.ended
            news = not same_plan(steering.plan, plan, now) or ended is not steering.ended
            if news:
                await self._keep(session, replace(steering, plan=plan, ended=ended), tell=True)

    async def _looked(self, id: SessionId) -> None:
        self._looking.add(id)
        try:
            await self.look(id)
        except StoreDown:
            self._stale.add(id)
        except Exception:
            log.exception("profile.look_failed", session=id)
        finally:
            self._looking.discard(id)

    def _look_at(self, id: SessionId) -> None:
        self._stale.add(id)
        self._woken.set()

    def _others_look(self, who: str, session: Session) -> None:
        """What somebody else than the owner has changed, the owner is to hear of."""
        if not who.startswith("partner:"):
            self._look_at(session.id)

    # -- inside

    def _followed(self, steering: Steering, who: str, session: Session) -> Steering:
        """A partner that has set one with success hears of changes against what it set."""
        if not who.startswith("partner:"):
            return steering
        now, profiles = self._clock(), self._profiles(session, steering)
        span = worth_telling(profiles, session.begun_at, now)
        plan = expected(profiles, self._supply(session), session.begun_at, now, span)
        return replace(steering, followed=True, plan=plan)

    def _steering(self, session: Session) -> Steering:
        return self._steered.get(session.id) or Steering(session.id, _draw_number())

    def _profiles(
        self, session: Session, steering: Steering | None = None
    ) -> tuple[ChargingProfile, ...]:
        """Everything that holds for *session*, its owner's first."""
        known = steering or self._steered.get(session.id)
        cap = self._caps.get(session.ref)
        own = known.profiles if known is not None else ()
        return own if cap is None else (*own, cap.setting.profile)

    def _supply(self, session: Session) -> Supply:
        place = self._place(session.ref)
        assert place is not None, "only EVSEs that are described are steered"
        return supply_of(place.evse, session.connector)

    def _place(self, evse: EvseRef) -> EvsePlace | None:
        place = self._catalogue.place(evse)
        return None if place is None or place.evse.removed else place

    async def _keep(self, session: Session, steering: Steering, *, tell: bool = False) -> None:
        body = plain.canonical(steering).encode()
        tellings = [Touch(PLAN, session.id, session.owner)] if tell and session.owner else []
        done = await self._store.commit([PutDocument(STEERING, session.id, body), *tellings])
        self._steered[session.id] = steering
        self._live.publish(done.touched)

    async def _drop(self, id: SessionId) -> None:
        await self._store.commit([DropDocument(STEERING, id)])
        self._steered.pop(id, None)
        self._stale.discard(id)


def _has_ended(steering: Steering, session: Session, now: datetime) -> bool:
    """Whether the owner's profile has run out, and that is news."""
    if steering.partners is None or steering.ended:
        return False
    end = steering.partners.profile.ends(session.begun_at)
    return end is not None and end <= now


def _draw_number() -> int:
    """Return a number for a profile: unique at its station, whoever else sets some there."""
    return secrets.randbelow(2**31 - 1) + 1
