"""A charging session: one transaction of one charger, as the business sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from cms.domain.evolve import evolver, quick
from cms.domain.ids import (
    CommandId,
    EvseRef,
    LocationId,
    PartnerId,
    ReservationId,
    SessionId,
    StationId,
    TariffHash,
    TransactionId,
)
from cms.domain.token import AuthMethod, Token
from cms.domain.transaction import Flag


class SessionStatus(StrEnum):
    RESERVED = "reserved"  # an EVSE is held; no car has come yet
    PENDING = "pending"  # begun, but who pays or the car is missing
    ACTIVE = "active"
    STOPPED = "stopped"  # the charger said so; the record may still be incomplete
    COMPLETED = "completed"  # settled, billed, final
    INVALID = "invalid"  # will not be billed; a work item says why


RUNNING = frozenset({SessionStatus.PENDING, SessionStatus.ACTIVE})
OPEN = frozenset(
    {
        SessionStatus.RESERVED,
        SessionStatus.PENDING,
        SessionStatus.ACTIVE,
        SessionStatus.STOPPED,
    }
)


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that a session may take; None = no such limit."""

    energy_wh: int | None = None
    money: Decimal | None = None
    """Gross, in the tariff's currency."""
    seconds: int | None = None

    @property
    def any(self) -> bool:
        return not (self.energy_wh is None and self.money is None and self.seconds is None)


NO_LIMIT = Limit()


@dataclass(frozen=True, slots=True)
class TariffSwitch:
    """From *at* on, another tariff holds, by its content as it was then."""

    at: datetime
    tariff: TariffHash


@quick
@dataclass(frozen=True, slots=True)
class Session:
    """One session. Replaced whole, never changed in place.

    Attributes:
        evse: 0 for a reservation of which the station has not said which EVSE it is.
        started_at: when its charger began the transaction; of a reservation, when it was asked for.
        activated_at: when everything was there that charging needs (``cms.domain.activation``);
            None while it is pending.
        transaction: what the charger calls it; for chargers that are given numbers, ours as
            decimal text; None for an orphan whose number nobody knows.
        id_token: as the charger presented it (for a remote start: the 16 characters we drew).
        token: the token that pays, as it was at the start; None for an unknown one.
        owner: the partner whose token it is; None is ours. Only the owner hears of the session.
        reference: the partner's authorisation reference, repeated in session and bill.
        command: the remote start that led to it.
        start_wh, last_wh, stop_wh: meter register, Wh; None where nobody said.
        delivered_wh: energy so far, never below 0.
        power_w: the last told power.
        settle_after: set when stopped: not to be settled before.
        touched_at: when partners were last told to look (throttles progress).
        dialect: label of the protocol version; opaque to the core.
        reservation: the reservation that it is, or that led to it.
        held_from: since when its EVSE was held for it, before it charged.
        tariff: under which it began; *switches* took its place, in order of time.
    """

    id: SessionId
    station: StationId
    evse: int
    status: SessionStatus
    started_at: datetime
    received_at: datetime
    id_token: str
    transaction: TransactionId | None = None
    connector: int | None = None
    location: LocationId | None = None
    token: Token | None = None
    owner: PartnerId | None = None
    method: AuthMethod = AuthMethod.WHITELIST
    reference: str | None = None
    command: CommandId | None = None
    start_wh: int | None = None
    last_wh: int | None = None
    last_at: datetime | None = None
    delivered_wh: int = 0
    power_w: int | None = None
    charging: bool = False
    ended_at: datetime | None = None
    stop_wh: int | None = None
    stop_reason: str | None = None
    settle_after: datetime | None = None
    tariff: TariffHash | None = None
    currency: str | None = None
    limit: Limit = NO_LIMIT
    stop_asked_at: datetime | None = None
    touched_at: datetime | None = None
    dialect: str = ""
    flags: tuple[Flag, ...] = ()
    reservation: ReservationId | None = None
    held_from: datetime | None = None
    switches: tuple[TariffSwitch, ...] = ()
    activated_at: datetime | None = None

    @property
    def begun_at(self) -> datetime:
        """Since when it counts: from when it was active on; of a pending one, since it was made."""
        return self.activated_at or self.started_at

    @property
    def ref(self) -> EvseRef:
        return EvseRef(self.station, self.evse)

    @property
    def tariff_now(self) -> TariffHash | None:
        """The tariff that holds now, by its content."""
        return self.switches[-1].tariff if self.switches else self.tariff

    @property
    def running(self) -> bool:
        return self.status in RUNNING

    @property
    def waits_for_token(self) -> bool:
        """Whether plugging in began it, and nobody has said who pays: it may still be given one."""
        nobody = self.token is None and not self.id_token and self.command is None
        return nobody and self.status is SessionStatus.PENDING

    def flagged(self, *flags: Flag) -> tuple[Flag, ...]:
        """Return this session's flags with *flags* added once each, in order of first sight."""
        return tuple(dict.fromkeys((*self.flags, *flags)))


evolve_session = evolver(Session)
"""``replace`` for the hot path."""
