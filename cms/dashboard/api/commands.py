"""Commands to chargers: each is asked of the charger, and its own answer told."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field

from cms.app.remote import Asker, Refusal, StartWish, explain
from cms.app.writes import CommandRecord
from cms.dashboard.api.desk import Desk
from cms.dashboard.routing import Call, Route
from cms.domain.commands import ResetKind, Wanted
from cms.domain.errors import Conflict, InvalidValue
from cms.domain.partner import Right
from cms.domain.session import Limit
from cms.domain.topology import ChargingStation
from cms.intake.base import Intake


class StartIn(Intake):
    """A start for one of our own tokens, with what it may cost at most."""

    token: Annotated[str, Field(min_length=1, max_length=36)]
    connector: int | None = None
    max_energy_wh: Annotated[int, Field(gt=0)] | None = None
    max_money: Annotated[str, Field(pattern=r"^\d+(\.\d{1,4})?$")] | None = None
    max_seconds: Annotated[int, Field(gt=0)] | None = None

    def limit(self) -> Limit:
        money = None if self.max_money is None else Decimal(self.max_money)
        return Limit(self.max_energy_wh, money, self.max_seconds)


class ResetIn(Intake):
    kind: ResetKind = ResetKind.SOFT


class TriggerIn(Intake):
    wanted: Wanted
    evse: int | None = None


class AvailabilityIn(Intake):
    operative: bool
    evse: int | None = None


class UnlockIn(Intake):
    connector: Annotated[int, Field(ge=1)] = 1


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of commands; each needs the right to operate."""
    operate = Right.OPERATE
    its = Commands(desk)
    return [
        Route("POST", "/chargers/{id}/reset", operate, its.reset, ResetIn),
        Route("POST", "/chargers/{id}/trigger", operate, its.trigger, TriggerIn),
        Route("POST", "/chargers/{id}/availability", operate, its.availability, AvailabilityIn),
        Route("POST", "/evses/{uid}/start", operate, its.start, StartIn),
        Route("POST", "/evses/{uid}/unlock", operate, its.unlock, UnlockIn),
        Route("POST", "/sessions/{id}/stop", operate, its.stop),
    ]


class Commands:
    """Handlers of commands."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def reset(self, call: Call) -> Any:
        """Reset the charger."""
        station = self._desk.station(call)
        return await self._done(
            self._desk.remote.accept_reset(station.id, call.body.kind, _asker(call))
        )

    async def trigger(self, call: Call) -> Any:
        """Ask it to send something now."""
        station = self._desk.station(call)
        _check_evse(station, call.body.evse)
        wish = self._desk.remote.accept_trigger(
            station.id, call.body.wanted, call.body.evse, _asker(call)
        )
        return await self._done(wish)

    async def availability(self, call: Call) -> Any:
        """Take in or out of service."""
        station = self._desk.station(call)
        _check_evse(station, call.body.evse)
        wish = self._desk.remote.accept_availability(
            station.id, call.body.operative, call.body.evse, _asker(call)
        )
        return await self._done(wish)

    async def start(self, call: Call) -> Any:
        """Start a session remotely."""
        given: StartIn = call.body
        ref = self._desk.evse(call)
        token = next(
            (each for each in self._desk.catalogue.tokens_named(given.token) if not each.partner),
            None,
        )
        if token is None or not token.valid:
            raise InvalidValue("token", f"{given.token!r} is no valid token of our own")
        wish = StartWish(ref, token, None, given.connector, None, given.limit())
        return await self._done(self._desk.remote.accept_start(wish, _asker(call)))

    async def unlock(self, call: Call) -> Any:
        """Unlock a connector."""
        ref = self._desk.evse(call)
        return await self._done(
            self._desk.remote.accept_unlock(ref, call.body.connector, _asker(call))
        )

    async def stop(self, call: Call) -> Any:
        """Stop it remotely."""
        session = await self._desk.session(call)
        return await self._done(self._desk.remote.accept_stop(session, _asker(call)))

    async def _done(self, wish: Awaitable[CommandRecord | Refusal]) -> Any:
        """Carry a wish out and tell the station's own answer."""
        accepted = await wish
        if accepted is Refusal.UNKNOWN_CONNECTOR:
            raise InvalidValue("connector", explain(accepted))
        if isinstance(accepted, Refusal):
            raise Conflict(explain(accepted))
        answer = await self._desk.remote.carry_out(accepted)
        return {"command": accepted.id, "outcome": answer.outcome}


def _check_evse(station: ChargingStation, number: int | None) -> None:
    if number is not None and station.evse(number) is None:
        raise InvalidValue("evse", f"charger {station.id} has no EVSE {number}")


def _asker(call: Call) -> Asker:
    return Asker(call.caller.who, None, call.reason)
