"""Stations come, boot, report and leave; everybody else sees it in ``LiveState``.

A station's connection is a *visit*. A later visit fences the earlier ones: what an old socket still
says about presence or status changes nothing, so its late death cannot take a station offline.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Protocol

from cms.app.catalogue import Catalogue
from cms.app.charging import Charging
from cms.app.lanes import Lanes
from cms.app.live import LiveState
from cms.app.ports import (
    Boot,
    Clock,
    Frame,
    Registration,
    Restored,
    Soon,
    StatusReport,
    Store,
    Visit,
)
from cms.app.profiling import Profiling
from cms.app.writes import (
    Audit,
    PutEvse,
    PutRecord,
    PutStation,
    Write,
    moved,
)
from cms.domain.audit import AuditEntry
from cms.domain.ids import EvseRef, LocationId, ReservationId, StationId
from cms.domain.status import EvseState, Presence
from cms.domain.token import Decision
from cms.domain.topology import Approval, ChargingStation

_REGISTRATIONS = {
    Approval.PENDING: Registration.PENDING,
    Approval.TESTING: Registration.ACCEPTED,
    Approval.APPROVED: Registration.ACCEPTED,
    Approval.REJECTED: Registration.REJECTED,
    Approval.REMOVED: Registration.REJECTED,
}


@dataclass(frozen=True, slots=True)
class StationRules:
    """What the operator may choose.

    Attributes:
        offline_grace: how long partners keep the last status of a station that is gone.
    """

    offline_grace: timedelta = timedelta(minutes=5)


class Newcomers(Protocol):
    """Stations that were let in through an enrolment lane and are not in the catalogue yet."""

    def take_newcomer(self, station: StationId) -> ChargingStation | None: ...
    def arrived(self, station: StationId) -> None: ...


class Watcher(Protocol):
    """Is told, within the station's lane, that a station left or came back (power cuts)."""

    def left(self, station: StationId, now: datetime) -> None: ...
    def came(self, station: StationId, now: datetime) -> None: ...


class ReservationEvents(Protocol):
    """Hears what stations do with reservations (``cms.app.reserving.Reserving``)."""

    async def reservation_ended(
        self, frame: Frame, reservation: ReservationId, expired: bool
    ) -> None: ...


class Stations:
    """Visits, registration, status and presence of every station.

    Attributes:
        watcher: hears of every leaving and coming; None = nobody does.
    """

    def __init__(
        self,
        store: Store,
        live: LiveState,
        catalogue: Catalogue,
        lanes: Lanes,
        clock: Clock,
        rules: StationRules = StationRules(),
        newcomers: Newcomers | None = None,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._live = live
        self._catalogue = catalogue
        self._lanes = lanes
        self._clock = clock
        self._rules = rules
        self._newcomers = newcomers
        self._now = now
        self._here: dict[StationId, int] = {}
        self._seen: dict[StationId, datetime] = {}
        self._leaving: deque[tuple[float, StationId, int]] = deque()
        self.watcher: Watcher | None = None

    # -- restart

    def restore(self, kept: Restored) -> None:
        """Take up the states that the store had. Nobody is here yet; the grace counts from now."""
        known = {state.ref: state for state in kept.evses}
        for station in self._catalogue.stations.values():
            for evse in station.evses:
                state = known.get(evse.ref) or EvseState(evse.ref)
                gone = evse.removed or station.put_out
                state = replace(state, session=None, meter=None, reservation=None)
                state = replace(state, live=station.live, removed=gone)
                if state.presence is Presence.ONLINE:
                    state = replace(state, presence=Presence.GRACE)
                self._live.put(state)
            self._leave_later(station.id)

    # -- reading

    def connected_now(self, station: StationId) -> bool:
        return station in self._here

    def connected_count(self) -> int:
        return len(self._here)

    def online_of(self, location: LocationId) -> int:
        """Return how many stations of a site hold a connection now."""
        return sum(each.id in self._here for each in self._catalogue.stations_of(location))

    def seen(self, station: StationId) -> datetime | None:
        """Return when anything was last heard of a station, by our clock."""
        return self._seen.get(station) or self._catalogue.record(station).last_seen_at

    # -- coming and going

    async def connected(self, station: StationId, source: str, dialect: str) -> Visit:
        """Open a new visit, which fences all older ones."""
        async with self._lanes(station):
            now = self._clock()
            before = self._catalogue.record(station)
            record = replace(before, visit=before.visit + 1, dialect=dialect, last_seen_at=now)
            newcomer = self._newcomer(station)
            states, writes = self._online(station, newcomer)
            if newcomer is not None:
                writes = [PutStation(newcomer), _enrolled(newcomer, source, now), *writes]
            done = await self._store.commit([PutRecord(record), *writes])
            self._take_in(newcomer)
            self._catalogue.records[station] = record
            self._here[station] = record.visit
            self._seen[station] = now
            self._live.publish(done.touched, states)
            if self.watcher is not None:
                self.watcher.came(station, now)
            return Visit(station, record.visit, record.boots, self._registration(station))

    async def disconnected(self, visit: Visit) -> None:
        """Begin the grace, unless a newer visit has begun."""
        async with self._lanes(visit.station):
            if self._here.get(visit.station) != visit.number:
                return
            del self._here[visit.station]
            for state in self._live.station(visit.station):
                if state.presence is Presence.ONLINE:
                    self._live.put(state.with_presence(Presence.GRACE))
            self._leave_later(visit.station)
            self._live.announce()
            if self.watcher is not None:
                self.watcher.left(visit.station, self._clock())

    async def booted(self, visit: Visit, boot: Boot) -> Registration:
        """Keep what a station says of itself, and tell it whether it may work."""
        async with self._lanes(visit.station):
            registration = self._registration(visit.station)
            if self._fenced(visit):
                return registration
            now = self._clock()
            before = self._catalogue.record(visit.station)
            record = replace(
                before,
                boots=before.boots + 1,
                vendor=boot.vendor,
                model=boot.model,
                serial=boot.serial,
                firmware=boot.firmware,
                dialect=boot.dialect or before.dialect,
                last_boot_at=now,
                last_seen_at=now,
            )
            await self._store.commit([PutRecord(record)])
            self._catalogue.records[visit.station] = record
            return registration

    def heard(self, visit: Visit, now: datetime) -> None:
        """Note a sign of life; memory only."""
        self._seen[visit.station] = now

    async def expire(self) -> None:
        """End the grace of stations that did not come back. Call it about every second."""
        while self._leaving and self._leaving[0][0] <= self._now():
            _, station, visit = self._leaving[0]
            await self._end_grace(station, visit)
            self._leaving.popleft()

    async def go_dark(self, station: StationId) -> None:
        """Say that a station has lost its power: its status is unknown at once."""
        async with self._lanes(station):
            if station not in self._here:
                await self._gone(station, Presence.DARK)

    # -- status

    def reported(self, frame: Frame, status: StatusReport) -> Soon[None]:
        """Take in a status report; what is nothing new is answered at once, without I/O."""
        if self._lanes.idle(frame.visit.station) and self._nothing_new(frame, status):
            return None
        return self._report(frame, status)

    def _nothing_new(self, frame: Frame, status: StatusReport) -> bool:
        if status.evse < 1 or self._fenced(frame.visit):
            return True
        state = self._live.evse(EvseRef(frame.visit.station, status.evse))
        return (
            state.connectors.get(status.connector) is status.report
            and state.error == status.error
            and state.presence is Presence.ONLINE
            and (state.session is None or self.charging.knows(state.session, status.charging))
        )

    async def _report(self, frame: Frame, status: StatusReport) -> None:
        async with self._lanes(frame.visit.station):
            if self._nothing_new(frame, status):
                return
            place = self._catalogue.place(EvseRef(frame.visit.station, status.evse))
            if place is None:
                return  # the operator's description has no such EVSE; the frame log shows it
            number = status.connector
            if place.evse.connector(number) is None:
                if len(place.evse.connectors) > 1:
                    return
                number = place.evse.connectors[0].number
            before = self._live.evse(place.evse.ref)
            after = before.with_presence(Presence.ONLINE).with_report(number, status.report)
            if after.error != status.error:
                after = replace(after, error=status.error)
            writes = self._difference(place.location.id, before, after)
            if before.session is not None:
                await self.charging.status_reported(frame, status, before.session, after, writes)
            elif after is not before:
                done = await self._store.commit(writes)
                self._live.publish(done.touched, (after,))

    # -- inside

    charging: Charging
    """Set by ``StationDesk``: status reports during a transaction are part of its record."""

    def _difference(
        self, location: LocationId, before: EvseState, after: EvseState
    ) -> Sequence[Write]:
        if after.version != before.version:
            return moved(location, after)
        return () if after is before else (PutEvse(after),)

    def _fenced(self, visit: Visit) -> bool:
        return self._here.get(visit.station) != visit.number

    def _registration(self, station: StationId) -> Registration:
        known = self._catalogue.stations.get(station)
        return Registration.REJECTED if known is None else _REGISTRATIONS[known.approval]

    def _newcomer(self, station: StationId) -> ChargingStation | None:
        if station in self._catalogue.stations or self._newcomers is None:
            return None
        return self._newcomers.take_newcomer(station)

    def _take_in(self, newcomer: ChargingStation | None) -> None:
        if newcomer is not None and self._newcomers is not None:
            self._catalogue.put_station(newcomer)
            self._newcomers.arrived(newcomer.id)

    def _online(
        self, station: StationId, newcomer: ChargingStation | None
    ) -> tuple[Sequence[EvseState], list[Write]]:
        """Return the states of a station that is here again, and the writes where it shows."""
        known = newcomer or self._catalogue.stations.get(station)
        if known is None:
            return (), []
        states: list[EvseState] = []
        writes: list[Write] = []
        for evse in known.evses:
            before = self._live.evse(evse.ref)
            if newcomer is not None:
                before = replace(before, live=False)
            after = before.with_presence(Presence.ONLINE)
            states.append(after)
            if after.version != before.version or newcomer is not None:
                writes += self._difference(known.location, before, after)
        return states, writes

    def _leave_later(self, station: StationId) -> None:
        until = self._now() + self._rules.offline_grace.total_seconds()
        self._leaving.append((until, station, self._catalogue.record(station).visit))

    async def _end_grace(self, station: StationId, visit: int) -> None:
        async with self._lanes(station):
            if station in self._here or self._catalogue.record(station).visit != visit:
                return
            await self._gone(station, Presence.OFFLINE, only_from=Presence.GRACE)

    async def _gone(
        self, station: StationId, presence: Presence, only_from: Presence | None = None
    ) -> None:
        known = self._catalogue.stations.get(station)
        states: list[EvseState] = []
        writes: list[Write] = []
        for before in self._live.station(station):
            if only_from is not None and before.presence is not only_from:
                continue
            after = before.with_presence(presence)
            if known is not None and after is not before:
                states.append(after)
                writes += self._difference(known.location, before, after)
        if writes:
            record = replace(self._catalogue.record(station), last_seen_at=self.seen(station))
            done = await self._store.commit([*writes, PutRecord(record)])
            self._catalogue.records[station] = record
            self._live.publish(done.touched, states)


def _enrolled(station: ChargingStation, source: str, now: datetime) -> Audit:
    return Audit(
        AuditEntry(
            now,
            "system",
            "charger.enrolled",
            f"charger:{station.id}",
            after={"source": source, "location": station.location, "approval": "pending"},
        )
    )


class StationDesk:
    """What stations say, in one place: implements the ``StationEvents`` port."""

    def __init__(
        self, stations: Stations, charging: Charging, profiling: Profiling | None = None
    ) -> None:
        self.stations = stations
        self.charging = charging
        self.profiling = profiling
        stations.charging = charging
        self.connected = stations.connected
        self.disconnected = stations.disconnected
        self.heard = stations.heard
        self.reported = stations.reported
        self.transaction = charging.transaction
        self.meter_values = charging.meter_values
        self.keep = charging.keep
        self.security_event = charging.security_event
        self.reserving: ReservationEvents | None = None

    def restore(self, kept: Restored) -> None:
        """Take up what the store had at start; nothing is written."""
        self.stations.restore(kept)
        self.charging.restore(kept)

    async def booted(self, visit: Visit, boot: Boot) -> Registration:
        """A station has started; what limits its EVSEs it may have forgotten."""
        registration = await self.stations.booted(visit, boot)
        if self.profiling is not None:
            self.profiling.booted(visit.station)
        return registration

    def limits_changed(self, visit: Visit, evse: int | None) -> None:
        """Have somebody look what an EVSE plans now."""
        if self.profiling is not None:
            self.profiling.limits_changed(visit.station, evse)

    async def reservation_ended(
        self, frame: Frame, reservation: ReservationId, expired: bool
    ) -> None:
        """A station let a reservation go of its own accord."""
        if self.reserving is not None:
            await self.reserving.reservation_ended(frame, reservation, expired)

    def authorize(self, visit: Visit, id_token: str, evse: int | None = None) -> Soon[Decision]:
        """May this token charge? From the cache at once; else the partner is asked."""
        return self.charging.authorize(visit.station, id_token, evse)
