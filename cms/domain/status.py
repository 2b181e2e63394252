"""What an EVSE's status is, and the one rule that derives it from what was observed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cms.domain.evolve import evolver, quick
from cms.domain.ids import EvseRef, ReservationId, SessionId


class ConnectorReport(StrEnum):
    """What a charger last said about one connector, in words common to all protocols."""

    FREE = "free"
    OCCUPIED = "occupied"
    CHARGING = "charging"
    RESERVED = "reserved"
    UNAVAILABLE = "unavailable"
    FAULTED = "faulted"


class EvseStatus(StrEnum):
    """What drivers and partners are told."""

    AVAILABLE = "available"
    OCCUPIED = "occupied"
    CHARGING = "charging"
    RESERVED = "reserved"
    INOPERATIVE = "inoperative"
    FAULTED = "faulted"
    PLANNED = "planned"
    REMOVED = "removed"
    UNKNOWN = "unknown"


class Presence(StrEnum):
    """Whether the station holds a connection to us."""

    ONLINE = "online"
    GRACE = "grace"  # gone a moment ago: partners keep the last status until the grace is over
    OFFLINE = "offline"
    DARK = "dark"  # its whole site vanished together: unknown at once


_STRONGEST_FIRST = (
    (ConnectorReport.CHARGING, EvseStatus.CHARGING),
    (ConnectorReport.OCCUPIED, EvseStatus.OCCUPIED),
    (ConnectorReport.RESERVED, EvseStatus.RESERVED),
    (ConnectorReport.FREE, EvseStatus.AVAILABLE),
    (ConnectorReport.FAULTED, EvseStatus.FAULTED),
    (ConnectorReport.UNAVAILABLE, EvseStatus.INOPERATIVE),
)


@quick
@dataclass(frozen=True, slots=True)
class LastMeter:
    """The newest meter values of a running session.

    Attributes:
        at: charger's time of the sample, aware UTC.
        register_wh: the counter; None where only power is told.
        delivered_wh: energy of this session so far.
        power_w, soc_percent: None where the charger does not say.
    """

    at: datetime
    register_wh: int | None = None
    delivered_wh: int | None = None
    power_w: int | None = None
    soc_percent: int | None = None


@dataclass(frozen=True, slots=True)
class EvseState:
    """Everything observed about one EVSE. Replaced whole, never changed in place.

    Attributes:
        connectors: the last report per connector number (1-based).
        session: the running transaction's session, if any.
        reservation: for which the EVSE is held, whether or not the charger shows it.
        live: approved and published; False reads as PLANNED to the outside.
        removed: taken out of the network for good.
        error: the charger's last error text, for the operator.
        last_updated: when what partners see last changed; given inside the group commit, strictly
            rising per EVSE; None until the first commit.
        version: counts changes of ``status``.
    """

    ref: EvseRef
    presence: Presence = Presence.OFFLINE
    connectors: Mapping[int, ConnectorReport] = field(default_factory=dict)
    session: SessionId | None = None
    meter: LastMeter | None = None
    live: bool = True
    removed: bool = False
    error: str | None = None
    last_updated: datetime | None = None
    version: int = 0
    reservation: ReservationId | None = None

    @property
    def online(self) -> bool:
        """Commands look at this, not at the status kept during the grace."""
        return self.presence is Presence.ONLINE

    @property
    def status(self) -> EvseStatus:
        """The single status the outside world sees.

        An EVSE serves one car at a time, so a running session or a busy connector makes the EVSE
        busy, and one free connector is enough to make an otherwise idle EVSE available.
        """
        if self.removed:
            return EvseStatus.REMOVED
        if not self.live:
            return EvseStatus.PLANNED
        if self.presence is Presence.OFFLINE or self.presence is Presence.DARK:
            return EvseStatus.UNKNOWN
        if self.session is not None:
            return EvseStatus.CHARGING
        if not self.connectors:
            return EvseStatus.UNKNOWN
        reports = self.connectors.values()
        for report, status in _STRONGEST_FIRST:
            if report in reports:
                held = self.reservation is not None and report is ConnectorReport.FREE
                return EvseStatus.RESERVED if held else status
        raise AssertionError("every report is in the table")

    def with_report(self, connector: int, report: ConnectorReport) -> EvseState:
        """Return the state after one connector's report; itself where nothing is new."""
        if self.connectors.get(connector) is report:
            return self
        return self.observed(evolve_evse(self, connectors={**self.connectors, connector: report}))

    def with_presence(self, presence: Presence) -> EvseState:
        """Return the state after the station came or went."""
        if presence is self.presence:
            return self
        return self.observed(evolve_evse(self, presence=presence))

    def with_session(self, session: SessionId | None) -> EvseState:
        """Return the state after a session began (its id) or ended (None)."""
        if session == self.session:
            return self
        meter = self.meter if session is not None else None
        return self.observed(evolve_evse(self, session=session, meter=meter))

    def with_reservation(self, reservation: ReservationId | None) -> EvseState:
        """Return the state after the EVSE was held (the number) or let go (None)."""
        if reservation == self.reservation:
            return self
        return self.observed(evolve_evse(self, reservation=reservation))

    def observed(self, new: EvseState) -> EvseState:
        """Return *new* with its version risen if the outside world sees a difference."""
        if new.status is self.status:
            return new
        return evolve_evse(new, version=self.version + 1)


evolve_evse = evolver(EvseState)
"""``replace`` for the hot path."""
