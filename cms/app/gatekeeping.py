"""Who may connect. Decided from memory, in constant time, with nothing written.

Keys are machine-made (128 bits or more), so a salted fast hash is enough and a storm of 10,000
logins costs milliseconds. An unknown identity gets in only through an enrolment lane: a site's
path secret or a source address, switched on for a time, with a bounded list of newcomers. It shows
up as pending and is never silently live.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

from cms.app.catalogue import Catalogue
from cms.app.ports import Admission, Admitted, Boot, Clock, Store
from cms.domain.ids import EvseRef, EvseUid, LocationId, StationId
from cms.domain.topology import (
    Approval,
    ChargingStation,
    Connector,
    ConnectorFormat,
    Evse,
    PowerType,
    StationKey,
)

_NOBODY = StationKey(StationId(""), b"\0" * 16, b"\0" * 32)
"""Compared against where there is no key, so that unknown and known take the same time."""


COMING_WITHIN = timedelta(minutes=1)
"""From the yes to a newcomer's handshake until its first visit is durable; then its place is free."""


@dataclass(frozen=True, slots=True)
class EnrolmentLane:
    """A door for newcomers.

    Attributes:
        location: where they will stand.
        secret: path segment before the identity; None = not by path.
        networks: source networks, e.g. ``("10.1.0.0/16",)``; empty = not by address.
        password: the Basic password that newcomers share; None = none is asked of them.
        until: closed from then on.
        most: newcomers that may wait at once.
    """

    location: LocationId
    until: datetime
    secret: str | None = None
    networks: tuple[str, ...] = ()
    password: str | None = None
    most: int = 20


def hash_key(station: StationId, password: bytes, salt: bytes | None = None) -> StationKey:
    """Return what is kept of a station's password."""
    salt = secrets.token_bytes(16) if salt is None else salt
    return StationKey(station, salt, _digest(salt, password))


def _digest(salt: bytes, password: bytes) -> bytes:
    return hmac.new(salt, password, hashlib.sha256).digest()


def new_password() -> str:
    """Draw a password for a station: 20 characters, 119 bits, no look-alikes needed by typing."""
    return secrets.token_urlsafe(15)


class Gate:
    """Implements the ``Gatekeeper`` port."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: Store,
        clock: Clock,
        lanes: Sequence[EnrolmentLane] = (),
    ) -> None:
        self._catalogue = catalogue
        self._store = store
        self._clock = clock
        self.lanes = list(lanes)
        self.newcomers: dict[StationId, ChargingStation] = {}
        """Let in through a lane and not yet in the catalogue (``take_newcomer``)."""

    def accepting(self) -> bool:
        return self._store.healthy

    def admit(
        self, identity: str, password: bytes | None, source: str, path: Sequence[str]
    ) -> Admission:
        station = self._catalogue.spelled(identity)
        if station is None:
            return self._enrol(identity, password, source, path)
        if self._blocked(station):
            return Admission(Admitted.BLOCKED)
        if not self._knows_password(station, password, source, path):
            return Admission(Admitted.WRONG_PASSWORD)
        return Admission(
            Admitted.YES, station, self._catalogue.stations[station].profile, self._boot(station)
        )

    def take_newcomer(self, station: StationId) -> ChargingStation | None:
        """Return the newcomer that was let in as *station*; its first visit makes it durable."""
        return self.newcomers.get(station)

    def arrived(self, station: StationId) -> None:
        """The newcomer is in the catalogue now."""
        self.newcomers.pop(station, None)

    def _blocked(self, station: StationId) -> bool:
        return self._catalogue.stations[station].put_out

    def _knows_password(
        self, station: StationId, password: bytes | None, source: str, path: Sequence[str]
    ) -> bool:
        key = self._catalogue.keys.get(station)
        if key is not None and key.open:
            return True
        against = key or _NOBODY
        same = hmac.compare_digest(_digest(against.salt, password or b""), against.digest)
        if key is None:  # it came through a lane, and has no password of its own yet
            site = self._catalogue.stations[station].location
            return self._lane(password, source, path, site) is not None
        return same and password is not None

    def _enrol(
        self, identity: str, password: bytes | None, source: str, path: Sequence[str]
    ) -> Admission:
        lane = self._lane(password, source, path)
        if lane is None:
            _digest(_NOBODY.salt, password or b"")
            return Admission(Admitted.UNKNOWN)
        station = StationId(identity)
        if station not in self.newcomers and self._waiting(lane) >= lane.most:
            return Admission(Admitted.BLOCKED)
        self.newcomers[station] = _newcomer(station, lane.location, self._clock())
        return Admission(Admitted.YES, station)

    def _waiting(self, lane: EnrolmentLane) -> int:
        """Count a lane's newcomers; who was let in and never came holds no place for long."""
        since = self._clock() - COMING_WITHIN
        for newcomer in [each for each in self.newcomers.values() if _since(each) < since]:
            del self.newcomers[newcomer.id]
        pending = sum(
            station.approval is Approval.PENDING
            for station in self._catalogue.stations_of(lane.location)
        )
        coming = sum(each.location == lane.location for each in self.newcomers.values())
        return pending + coming

    def _lane(
        self,
        password: bytes | None,
        source: str,
        path: Sequence[str],
        site: LocationId | None = None,
    ) -> EnrolmentLane | None:
        """Return an open lane that lets this connection in; with *site*, one to that site."""
        now = self._clock()
        return next(
            (
                lane
                for lane in self.lanes
                if now < lane.until
                and lane.location in self._catalogue.locations
                and site in (None, lane.location)
                and (_by_path(lane, path) or _by_address(lane, source))
                and _by_password(lane, password)
            ),
            None,
        )

    def _boot(self, station: StationId) -> Boot | None:
        record = self._catalogue.records.get(station)
        if record is None or record.last_boot_at is None:
            return None
        return Boot(record.vendor, record.model, record.serial, record.firmware, record.dialect)


def _by_path(lane: EnrolmentLane, path: Sequence[str]) -> bool:
    if lane.secret is None:
        return False
    return any(hmac.compare_digest(segment.encode(), lane.secret.encode()) for segment in path)


def _by_address(lane: EnrolmentLane, source: str) -> bool:
    try:
        address = ip_address(source)
    except ValueError:
        return False
    return any(address in ip_network(network) for network in lane.networks)


def _by_password(lane: EnrolmentLane, password: bytes | None) -> bool:
    if lane.password is None:
        return True
    return hmac.compare_digest(password or b"", lane.password.encode())


def _since(newcomer: ChargingStation) -> datetime:
    assert newcomer.created_at is not None, "a newcomer's place is dated"
    return newcomer.created_at


def _newcomer(station: StationId, location: LocationId, now: datetime) -> ChargingStation:
    """A station that nobody has described yet: one EVSE, the commonest connector, unseen."""
    ref = EvseRef(station, 1)
    connector = Connector(1, "IEC_62196_T2", ConnectorFormat.SOCKET, PowerType.AC_3_PHASE, 230, 32)
    evse = Evse(ref, EvseUid(f"{station}*1"[:36]), (connector,))
    return ChargingStation(station, location, (evse,), Approval.PENDING, created_at=now)
