"""The partner's app with many drivers: each picks a free EVSE, charges, stops, and gets a bill."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import aiohttp

from simulators.emsp.commands import Command
from simulators.emsp.store import Key
from simulators.emsp.wire import Json

if TYPE_CHECKING:
    from simulators.emsp.partner import Emsp


@dataclass(slots=True)
class Drive:
    """How one driver fared.

    Attributes:
        how: "stopped" by STOP_SESSION, or "ended" by the car or the partner's cut-off.
        kwh_seen: the last kWh that the app showed.
        problem: why there is no CDR; ``None`` if all went well.
    """

    number: int
    location_id: str = ""
    evse_uid: str = ""
    reference: str = ""
    start: Command | None = None
    stop: Command | None = None
    session_id: str | None = None
    how: str = ""
    kwh_seen: Decimal = Decimal(0)
    cdr_id: str | None = None
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it ended with a CDR."""
        return self.cdr_id is not None


class NoCharge(Exception):
    """This attempt brought no session; another EVSE may."""


@dataclass(slots=True)
class Habits:
    """How the drivers behave; all times in seconds.

    Attributes:
        charge: least and greatest time from the first kWh to STOP_SESSION.
        stops: share of drivers who stop by the app; the others wait for the car to end.
        patience: for a free EVSE, a session, the end of it and the CDR, each.
        attempts: starts before a driver gives up.
        energy_wh: least and greatest energy that a driver asks for, where the partner's preset has a
            cut-off; ``None``: nobody asks for any.
        at_once: drivers on the road at the same time; ``None``: as many as EVSEs are free.
    """

    charge: tuple[float, float] = (10.0, 30.0)
    stops: float = 0.7
    patience: float = 60.0
    attempts: int = 5
    at_once: int | None = None
    energy_wh: tuple[int, int] | None = None


class Driver:
    """Drives sessions through the app of *emsp*.

    Args:
        pick: which EVSEs these drivers may use, by (location, EVSE); default: all.
    """

    def __init__(
        self,
        emsp: Emsp,
        habits: Habits | None = None,
        pick: Callable[[Json, Json], bool] = lambda location, evse: True,
    ) -> None:
        self._emsp = emsp
        self._habits = habits or Habits()
        self._pick = pick
        self._taken: set[Key] = set()

    async def drive(self, n_sessions: int, seed: int) -> list[Drive]:
        """Drive *n_sessions* sessions, many at once; the same *seed* makes the same choices."""
        chance = random.Random(seed)
        gate = asyncio.Semaphore(self._habits.at_once or n_sessions or 1)
        drives = [Drive(number) for number in range(n_sessions)]

        async def one(drive: Drive, luck: random.Random) -> None:
            async with gate:
                await self._one(drive, luck)

        async with asyncio.TaskGroup() as group:
            for drive in drives:
                group.create_task(one(drive, random.Random(chance.random())))
        return drives

    async def _one(self, drive: Drive, luck: random.Random) -> None:
        for _ in range(self._habits.attempts):
            try:
                await self._attempt(drive, luck)
            except NoCharge as error:
                drive.problem = str(error)
            except (TimeoutError, aiohttp.ClientError) as error:
                drive.problem = f"{type(error).__name__} {error} while {self._stage(drive)}"
                return
            else:
                drive.problem = None
                return

    def _stage(self, drive: Drive) -> str:
        if drive.session_id is None:
            return f"starting at {drive.evse_uid or 'no EVSE'}"
        return f"waiting for the {'CDR' if drive.how else 'end'} of session {drive.session_id}"

    async def _attempt(self, drive: Drive, luck: random.Random) -> None:
        place = await self._emsp.wait_for(lambda: self._claim(luck), self._habits.patience)
        drive.location_id, drive.evse_uid = place[2], place[3]
        try:
            await self._charge(drive, luck)
        finally:
            self._taken.discard(tuple(part.upper() for part in place))

    def _claim(self, luck: random.Random) -> tuple[str, str, str, str] | None:
        """Take a free EVSE out of our copies; ids as the CPO writes them."""
        free = [
            (location["country_code"], location["party_id"], location["id"], evse["uid"])
            for location in self._emsp.store.locations.values()
            for evse in location.get("evses") or []
            if evse["status"] == "AVAILABLE" and self._pick(location, evse)
        ]
        free = [ids for ids in free if tuple(part.upper() for part in ids) not in self._taken]
        if not free:
            return None
        chosen = luck.choice(sorted(free))
        self._taken.add(tuple(part.upper() for part in chosen))
        return chosen

    async def _charge(self, drive: Drive, luck: random.Random) -> None:
        drive.reference = str(uuid.UUID(int=luck.getrandbits(128), version=4))
        await self._start(drive, luck)
        session = await self._emsp.wait_for(
            lambda: self._emsp.session(drive.reference), self._habits.patience
        )
        drive.session_id = session["id"]
        await self._until_energy(drive)
        stops = luck.random() < self._habits.stops and self._habits.energy_wh is None
        seconds = luck.uniform(*self._habits.charge)
        await self._until_end(drive, seconds if stops else None)
        cdr = await self._emsp.wait_for(
            lambda: self._emsp.cdr_of(session["id"]), self._habits.patience
        )
        drive.cdr_id = cdr["id"]

    async def _start(self, drive: Drive, luck: random.Random) -> None:
        token = self._emsp.driver_token(f"APP{luck.getrandbits(48):012X}")
        if self._habits.energy_wh is not None:
            self._emsp.requested_wh[drive.reference] = luck.randint(*self._habits.energy_wh)
        drive.start = await self._emsp.start_session(
            drive.location_id,
            drive.evse_uid,
            token=token,
            authorization_reference=drive.reference,
            **self._connector(drive),
        )
        if drive.start.answer != "ACCEPTED":
            raise NoCharge(f"START_SESSION at {drive.evse_uid}: {drive.start.answer}")
        result = await drive.start.result(self._habits.patience)
        if result != "ACCEPTED":
            raise NoCharge(f"START_SESSION at {drive.evse_uid}: result {result}")

    def _connector(self, drive: Drive) -> Json:
        """The connector, where the EVSE demands that it be named."""
        for location in self._emsp.store.locations.values():
            for evse in location.get("evses") or []:
                here = (location["id"], evse["uid"]) == (drive.location_id, drive.evse_uid)
                wants = "START_SESSION_CONNECTOR_REQUIRED" in (evse.get("capabilities") or [])
                if here and wants:
                    return {"connector_id": evse["connectors"][0]["id"]}
        return {}

    def _watch(self, drive: Drive) -> Json:
        """The session as the app shows it now."""
        session = self._emsp.session(drive.reference)
        assert session is not None
        drive.kwh_seen = Decimal(session["kwh"])
        return session

    async def _until_energy(self, drive: Drive) -> None:
        def moving() -> bool:
            session = self._watch(drive)
            return session["kwh"] > 0 or session["status"] in ("COMPLETED", "INVALID")

        await self._emsp.wait_for(moving, self._habits.patience)

    async def _until_end(self, drive: Drive, seconds: float | None) -> None:
        """Wait for the car to end, or stop it after *seconds*."""

        def over() -> bool:
            return self._watch(drive)["status"] in ("COMPLETED", "INVALID")

        try:
            await self._emsp.wait_for(over, self._habits.patience if seconds is None else seconds)
            drive.how = "ended"
            return
        except TimeoutError:
            drive.how = "stopped"
        assert drive.session_id is not None
        drive.stop = await self._emsp.stop_session(drive.session_id)
        await self._emsp.wait_for(over, self._habits.patience)
