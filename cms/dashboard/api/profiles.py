"""Charging profiles: what a session, or an EVSE for all of them, may take at most."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, model_validator

from cms.app.profiling import Profiling, Wish
from cms.app.remote import Asker, Refusal, explain
from cms.dashboard.api.desk import Desk
from cms.dashboard.routing import Call, Route
from cms.dashboard.views import Json
from cms.domain.charging_profile import (
    LONGEST_SECONDS,
    ActiveSchedule,
    ChargingProfile,
    Period,
    RateUnit,
    Setting,
)
from cms.domain.errors import Conflict
from cms.domain.partner import Right
from cms.domain.plain import to_plain
from cms.intake.base import Intake, Moment

Rate = Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=1)]
Seconds = Annotated[int, Field(ge=0, le=LONGEST_SECONDS)]
Length = Annotated[int, Field(ge=1, le=LONGEST_SECONDS)]


class PeriodIn(Intake):
    offset: Seconds
    limit: Rate


class ProfileIn(Intake):
    """One limit for the whole time, or periods by seconds from the start."""

    unit: RateUnit = RateUnit.WATTS
    limit: Rate | None = None
    periods: tuple[PeriodIn, ...] = ()
    start: Moment | None = None
    duration: Length | None = None
    min_rate: Rate | None = None

    @model_validator(mode="after")
    def _one_way(self) -> ProfileIn:
        if (self.limit is None) == (not self.periods):
            raise ValueError("limit or periods, one of them")
        return self

    def value(self) -> ChargingProfile:
        """Return the profile.

        Raises:
            InvalidValue: naming the field.
        """
        periods = tuple(Period(each.offset, each.limit) for each in self.periods)
        if self.limit is not None:
            periods = (Period(0, self.limit),)
        return ChargingProfile(self.unit, periods, self.start, self.duration, self.min_rate)


class AskIn(Intake):
    seconds: Length = 900


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of charging profiles."""
    read, operate = Right.READ, Right.OPERATE
    its = Profiles(desk)
    return [
        Route("GET", "/sessions/{id}/profile", read, its.of_session),
        Route("PUT", "/sessions/{id}/profile", operate, its.set_on_session, ProfileIn),
        Route("DELETE", "/sessions/{id}/profile", operate, its.clear_on_session),
        Route("POST", "/sessions/{id}/plan", operate, its.plan, AskIn),
        Route("GET", "/evses/{uid}/profile", read, its.of_evse),
        Route("PUT", "/evses/{uid}/profile", operate, its.set_on_evse, ProfileIn),
        Route("DELETE", "/evses/{uid}/profile", operate, its.clear_on_evse),
    ]


class Profiles:
    """Handlers of charging profiles."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def _profiling(self) -> Profiling:
        return self._desk.profiling

    async def of_session(self, call: Call) -> Any:
        """What limits it, and who set it."""
        session = await self._desk.session(call)
        steering = self._profiling.steering(session.id)
        cap = self._profiling.cap(session.ref)
        return {
            "session": session.id,
            "settings": [_setting(each) for each in (steering.settings if steering else ())],
            "evse": None if cap is None else _setting(cap.setting),
            "owner_is_told": steering is not None and steering.followed,
            "last_plan": _plan(steering.plan if steering is not None else None),
        }

    async def set_on_session(self, call: Call) -> Any:
        """Limit a running session; what its partner set goes on holding where it is lower."""
        session = await self._desk.session(call)
        profile = call.body.value()
        return await self._done(self._profiling.accept_set(session, profile, _asker(call)))

    async def clear_on_session(self, call: Call) -> Any:
        """Take back what operators set on it."""
        session = await self._desk.session(call)
        return await self._done(self._profiling.accept_clear(session, _asker(call)))

    async def plan(self, call: Call) -> Any:
        """Ask its charger what it plans, all limits taken together."""
        session = await self._desk.session(call)
        return await self._done(
            self._profiling.accept_ask(session, call.body.seconds, _asker(call))
        )

    async def of_evse(self, call: Call) -> Any:
        """What limits every session of it, and who set it."""
        cap = self._profiling.cap(self._desk.evse(call))
        return {"evse": call.part("uid"), "setting": None if cap is None else _setting(cap.setting)}

    async def set_on_evse(self, call: Call) -> Any:
        """Limit every session of it, the running one too."""
        ref, profile = self._desk.evse(call), call.body.value()
        return await self._done(self._profiling.accept_cap(ref, profile, _asker(call)))

    async def clear_on_evse(self, call: Call) -> Any:
        """Limit it no more."""
        ref = self._desk.evse(call)
        return await self._done(self._profiling.accept_cap(ref, None, _asker(call)))

    async def _done(self, wish: Awaitable[Wish | Refusal]) -> Any:
        """Carry a wish out and tell the station's own answer."""
        accepted = await wish
        if isinstance(accepted, Refusal):
            raise Conflict(explain(accepted))
        answer = await self._profiling.carry_out(accepted)
        told: Json = {"command": accepted.record.id, "outcome": answer.outcome}
        if answer.schedule is not None:
            told["plan"] = _plan(answer.schedule)
        return told


def _setting(own: Setting) -> Json:
    return {
        "who": own.who,
        "at": own.at.isoformat(),
        "sure": own.sure,
        "profile": to_plain(own.profile),
    }


def _plan(own: ActiveSchedule | None) -> Any:
    return None if own is None else to_plain(own)


def _asker(call: Call) -> Asker:
    return Asker(call.caller.who, None, call.reason)
