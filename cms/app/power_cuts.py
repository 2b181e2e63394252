"""A site without power: its chargers vanish together, and nobody is billed for the dark.

Status becomes unknown at once, without the grace that a bad link gets. Sessions wait for their
charger (stitched when it returns, ended at their last sample when it does not) or end at once, as
the operator chose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from cms.app.catalogue import Catalogue
from cms.app.charging import Charging
from cms.app.live import LiveState
from cms.app.ports import Clock
from cms.app.rows import concluded_row, our_row
from cms.app.stations import Stations
from cms.app.writes import Write
from cms.domain import progress
from cms.domain.darkness import DarkPolicy, DarkRule, went_dark
from cms.domain.folding import OURS
from cms.domain.ids import LocationId, SessionId, StationId
from cms.domain.session import Session
from cms.domain.status import Presence
from cms.domain.transaction import EventKind, Flag, TransactionEvent

POWER_LOST = "power_lost"

_DOUBT = timedelta(seconds=2)
"""For so long it may still turn out that our own line was cut, or that we are being stopped."""


class PowerCuts:
    """Watches stations leave and come (implements ``Watcher``), and acts on what it sees."""

    def __init__(
        self,
        stations: Stations,
        charging: Charging,
        live: LiveState,
        catalogue: Catalogue,
        clock: Clock,
        rule: DarkRule = DarkRule(),
    ) -> None:
        self._stations = stations
        self._charging = charging
        self._live = live
        self._catalogue = catalogue
        self._clock = clock
        self._rule = rule
        self._gone: dict[LocationId, dict[StationId, datetime]] = {}
        self._dark: dict[StationId, datetime] = {}
        self._darken: dict[StationId, tuple[datetime, datetime]] = {}
        """Station -> since when it is gone, when we took it for dark."""
        self._stitch: dict[StationId, datetime] = {}
        self._woken = asyncio.Event()
        stations.watcher = self

    def restore(self) -> None:
        """Take up stations that were dark when the last process ended."""
        for state in self._live.evses():
            if state.presence is Presence.DARK:
                self._dark.setdefault(state.ref.station, self._clock())

    # -- seen by ``Stations``, within a lane: memory only

    def left(self, station: StationId, now: datetime) -> None:
        site = self._site(station)
        if site is None:
            return
        gone = self._gone.setdefault(site, {})
        gone[station] = now
        online = self._stations.online_of(site)
        since = went_dark(self._rule, online, tuple(gone.values()), now)
        if since is None:
            return
        for each, at in gone.items():
            if now - at <= self._rule.window and each not in self._dark:
                self._darken.setdefault(each, (at, now))

    def came(self, station: StationId, now: datetime) -> None:
        self._darken.pop(station, None)
        site = self._site(station)
        if site is not None:
            self._gone.get(site, {}).pop(station, None)
        if station in self._dark:
            self._stitch[station] = now
            self._woken.set()

    # -- acting, each change in its own lane

    async def run(self) -> None:
        """Act on what was seen, for ever."""
        while True:
            self._woken.clear()
            await self.act()
            try:
                async with asyncio.timeout(0.5):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def act(self) -> None:
        """Darken, stitch and end what is due now.

        Raises:
            StoreDown: nothing can be made durable; what was not done stays due.
        """
        for station, (since, noticed) in tuple(self._darken.items()):
            if self._clock() - noticed < _DOUBT:
                continue
            if not self._our_own_link(station):
                await self._go_dark(station, since)
            self._darken.pop(station, None)
        for station, at in tuple(self._stitch.items()):
            await self._come_back(station, at)
            self._dark.pop(station, None)
            self._stitch.pop(station, None)
        await self._end_overdue()

    async def _go_dark(self, station: StationId, since: datetime) -> None:
        await self._stations.go_dark(station)
        if self._stations.connected_now(station):
            return
        self._dark[station] = since
        for session in tuple(self._charging.open.running(station)):
            if self._rule.policy is DarkPolicy.END:
                await self._end(session.id)
            else:
                await self._mark(session.id, since, Flag.DARK, "core.dark")

    async def _come_back(self, station: StationId, at: datetime) -> None:
        for session in tuple(self._charging.open.running(station)):
            if Flag.DARK in session.flags:
                await self._mark(session.id, at, Flag.STITCHED, "core.stitched")

    async def _end_overdue(self) -> None:
        now = self._clock()
        for station, since in tuple(self._dark.items()):
            if now - since >= self._rule.hold:
                for session in tuple(self._charging.open.running(station)):
                    await self._end(session.id)

    async def _mark(self, id: SessionId, at: datetime, flag: Flag, action: str) -> None:
        now = self._clock()

        def how(session: Session) -> tuple[Session, Sequence[Write]]:
            content = OURS + f"{flag}:{id}:{at.isoformat()}".encode()
            event = TransactionEvent(EventKind.UPDATED, at, now, content, flags=(flag,))
            after = replace(session, flags=session.flagged(flag), power_w=None)
            return after, (our_row(session, event, action),)

        await self._charging.change(id, how)

    async def _end(self, id: SessionId) -> None:
        now = self._clock()

        def how(session: Session) -> tuple[Session, Sequence[Write]] | None:
            if not session.running:
                return None
            flagged = replace(session, flags=session.flagged(Flag.DARK))
            hold = now + self._charging.rules.interrupted_hold
            after = progress.concluded(flagged, POWER_LOST, hold)
            return after, (concluded_row(after, now),)

        await self._charging.change(id, how)

    # -- inside

    def _site(self, station: StationId) -> LocationId | None:
        known = self._catalogue.stations.get(station)
        return None if known is None else known.location

    def _our_own_link(self, station: StationId) -> bool:
        """Whether other sites vanished too and nobody is left: then our own line was cut."""
        now, site = self._clock(), self._site(station)
        elsewhere = (
            at for place, gone in self._gone.items() if place != site for at in gone.values()
        )
        vanished = any(now - at <= self._rule.window for at in elsewhere)
        return vanished and self._stations.connected_count() == 0
