"""What we may ask of a station, and how it may end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cms.domain.charging_profile import ActiveSchedule, ChargingProfile, RateUnit
from cms.domain.ids import CommandId, EvseRef, ReservationId, StationId, TransactionId


@dataclass(frozen=True, slots=True)
class RemoteStart:
    """Start a transaction for a driver who stands at the EVSE with an app.

    Attributes:
        id_token: the 16 characters [A-Z0-9] drawn for this one start.
        number: positive 31-bit number that newer chargers repeat in the transaction.
        card: *id_token* is not drawn but a card's number: the EVSE is reserved for that card.
    """

    id: CommandId
    evse: EvseRef
    id_token: str
    number: int
    connector: int | None = None
    card: bool = False

    @property
    def station(self) -> StationId:
        return self.evse.station


@dataclass(frozen=True, slots=True)
class RemoteStop:
    id: CommandId
    station: StationId
    transaction: TransactionId


@dataclass(frozen=True, slots=True)
class Unlock:
    id: CommandId
    evse: EvseRef
    connector: int = 1

    @property
    def station(self) -> StationId:
        return self.evse.station


class ResetKind(StrEnum):
    SOFT = "soft"  # after transactions have ended
    HARD = "hard"  # at once


@dataclass(frozen=True, slots=True)
class Reset:
    id: CommandId
    station: StationId
    kind: ResetKind = ResetKind.SOFT


class Wanted(StrEnum):
    """What a station may be asked to send now."""

    BOOT = "boot"
    HEARTBEAT = "heartbeat"
    STATUS = "status"
    METER_VALUES = "meter_values"


@dataclass(frozen=True, slots=True)
class Trigger:
    id: CommandId
    station: StationId
    wanted: Wanted
    evse: int | None = None


@dataclass(frozen=True, slots=True)
class ChangeAvailability:
    """Take an EVSE (or, with ``evse=None``, the whole station) in or out of service."""

    id: CommandId
    station: StationId
    operative: bool
    evse: int | None = None


@dataclass(frozen=True, slots=True)
class AskTransaction:
    """Ask whether a transaction still runs and whether messages about it still wait."""

    id: CommandId
    station: StationId
    transaction: TransactionId


@dataclass(frozen=True, slots=True)
class SetProfile:
    """Give an EVSE a charging profile, in place of the one of the same number.

    Attributes:
        number: by which the station knows it; positive, 31 bits.
        transaction: for which alone it holds; None = for every transaction that has none.
    """

    id: CommandId
    evse: EvseRef
    number: int
    profile: ChargingProfile
    transaction: TransactionId | None = None

    @property
    def station(self) -> StationId:
        return self.evse.station


@dataclass(frozen=True, slots=True)
class ClearProfile:
    """Take the charging profile of that number back."""

    id: CommandId
    station: StationId
    number: int


@dataclass(frozen=True, slots=True)
class AskSchedule:
    """Ask what an EVSE plans for the next *seconds*, all limits taken together.

    Attributes:
        unit: in which to say it; None = as the station likes.
    """

    id: CommandId
    evse: EvseRef
    seconds: int
    unit: RateUnit | None = None

    @property
    def station(self) -> StationId:
        return self.evse.station


@dataclass(frozen=True, slots=True)
class Reserve:
    """Hold an EVSE for a token; the same number again replaces what is held under it.

    Attributes:
        evse: None = any one EVSE of the station.
        id_token: who may use it, at most 20 characters.
        card: *id_token* is a card's number, not one that we drew.
        group: the name of a group (``Token.group_name``) whose tokens may use it as well.
    """

    id: CommandId
    station: StationId
    reservation: ReservationId
    evse: int | None
    id_token: str
    card: bool
    expires_at: datetime
    group: str | None = None


@dataclass(frozen=True, slots=True)
class CancelReservation:
    """Let go what is held under a number."""

    id: CommandId
    station: StationId
    reservation: ReservationId


Command = (
    RemoteStart
    | RemoteStop
    | Unlock
    | Reset
    | Trigger
    | ChangeAvailability
    | AskTransaction
    | SetProfile
    | ClearProfile
    | AskSchedule
    | Reserve
    | CancelReservation
)


class Outcome(StrEnum):
    """How a command ended, as far as the station's own answer goes."""

    ACCEPTED = "accepted"
    SCHEDULED = "scheduled"
    REJECTED = "rejected"
    FAILED = "failed"  # the station tried and could not (a lock that jams)
    NOT_SUPPORTED = "not_supported"
    UNKNOWN = "unknown"  # there is no such thing at the station
    OCCUPIED = "occupied"  # somebody is there, or it is held for somebody else
    INOPERATIVE = "inoperative"  # faulted or out of service
    OFFLINE = "offline"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Answer:
    """A station's answer to a command.

    Attributes:
        detail: further facts in the core's words, e.g. ``{"ongoing": "true",
            "messages_waiting": "false"}`` for ``AskTransaction``, ``{"transaction": "..."}`` when a
            station names the running transaction at once.
        schedule: what an EVSE plans, for ``AskSchedule``.
    """

    outcome: Outcome
    detail: dict[str, str] = field(default_factory=dict)
    schedule: ActiveSchedule | None = None
