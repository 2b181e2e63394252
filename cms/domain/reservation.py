"""A reservation: an EVSE is held for one driver, until they come or the time is over.

Everything here is pure. What a station is asked to hold is a ``Hold``; a ``Reservation`` is the
promise around it, from the question to its end. While it is held it may be replaced by another hold
at the same station, under the same number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from cms.domain import rated
from cms.domain.ids import (
    CommandId,
    EvseRef,
    LocationId,
    PartnerId,
    ReservationId,
    SessionId,
    StationId,
)
from cms.domain.token import Token, TokenType

CARD_LENGTH = 20
"""Characters of a card's number that every charger can compare."""

CLOCKS_APART = timedelta(minutes=2)
"""How far a charger's clock and ours may differ when a start is held against a reservation."""


class ReservationState(StrEnum):
    ASKED = "asked"  # promised; the station has not answered yet
    HELD = "held"
    USED = "used"  # its driver came, or the charger said so
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # nobody came
    REFUSED = "refused"  # the station would not, or did not answer


LIVE = frozenset({ReservationState.ASKED, ReservationState.HELD})


@dataclass(frozen=True, slots=True)
class Hold:
    """What a station is asked to hold, for whom and until when.

    Attributes:
        evse: None = any one EVSE of the station, which the station keeps free.
        token: the token that may use it.
        id_token: what the station is given for it: the card's own number, or 16 drawn characters.
        card: *id_token* is a card's number, which the driver will show to the reader.
        reference: the partner's authorisation reference.
        reply_to: where the one who asked wants to hear of it; opaque to the core.
        command: the command by which it was asked for.
    """

    station: StationId
    evse: int | None
    token: Token
    id_token: str
    card: bool
    expires_at: datetime
    asked_by: str = ""
    reference: str | None = None
    reply_to: str | None = None
    command: CommandId | None = None

    @property
    def ref(self) -> EvseRef | None:
        return None if self.evse is None else EvseRef(self.station, self.evse)


@dataclass(frozen=True, slots=True)
class Reservation:
    """One reservation. Replaced whole, never changed in place.

    Attributes:
        id: the number by which chargers know it: ours, positive, 31 bits, unique.
        name: what its owner calls it, unique per owner, compared without case.
        owner: the partner who asked for it; None is ours.
        asked: a replacement that the station is being asked for.
        session: by which its owner sees it, once it is held.
        held_at: since when the station holds it.
        ended_at: when it was used or ended otherwise.
        why: how it ended, in words for operators.
        owed: the station may still hold it, and is to be told to let go.
        unheard: its owner is to be told that we let it go, and has not been.
    """

    id: ReservationId
    name: str
    owner: PartnerId | None
    location: LocationId
    hold: Hold
    created_at: datetime
    state: ReservationState = ReservationState.ASKED
    asked: Hold | None = None
    session: SessionId | None = None
    held_at: datetime | None = None
    ended_at: datetime | None = None
    why: str | None = None
    owed: bool = False
    unheard: bool = False

    @property
    def live(self) -> bool:
        return self.state in LIVE

    @property
    def station(self) -> StationId:
        return self.hold.station

    def may_use(self, token: Token | None) -> bool:
        """Whether *token* is the one that it is held for, or of the same group of its issuer."""
        own = self.hold.token
        if token is None or token.partner != own.partner:
            return False
        if token.uid.casefold() == own.uid.casefold():
            return True
        return own.group is not None and token.group == own.group

    def covers(self, evse: int | None) -> bool:
        """Whether an EVSE of its station may be the one that is held; None = not told which."""
        return self.hold.evse is None or evse is None or self.hold.evse == evse

    def in_time(self, at: datetime) -> bool:
        """Whether a start at *at*, by the charger's clock, falls into it."""
        begun = self.held_at or self.created_at
        return begun - CLOCKS_APART <= at <= self.hold.expires_at + CLOCKS_APART


def shown_for(token: Token, drawn: str) -> tuple[str, bool]:
    """Return what a station is given for *token*, and whether that is a card's own number.

    A driver with a card will hold that very card to the reader, so its number it must be. An app
    has no card: its driver starts from afar, under the drawn characters.
    """
    uid = token.uid
    card = token.type is TokenType.RFID and len(uid) <= CARD_LENGTH and uid.isascii()
    return (uid, True) if card and uid.isprintable() else (drawn, False)


def held(own: Reservation, session: SessionId, now: datetime) -> Reservation:
    """Return it as the station's yes leaves it: held, or held on the terms that replace the old."""
    return replace(
        own,
        state=ReservationState.HELD,
        hold=own.asked or own.hold,
        asked=None,
        session=own.session or session,
        held_at=own.held_at or now,
    )


def refused(own: Reservation, why: str, now: datetime, *, owed: bool) -> Reservation:
    """Return it as a no, or silence, leaves it. What was held before a replacement stays held.

    Args:
        owed: nobody knows whether the station holds it.
    """
    if own.state is ReservationState.HELD:
        return replace(own, asked=None, why=why)
    return replace(own, state=ReservationState.REFUSED, ended_at=now, why=why, owed=owed)


def used(own: Reservation, session: SessionId, at: datetime) -> Reservation:
    """Return it with its driver arrived."""
    return replace(own, state=ReservationState.USED, session=session, asked=None, ended_at=at)


def ended(
    own: Reservation,
    state: ReservationState,
    why: str,
    at: datetime,
    *,
    owed: bool = False,
    unheard: bool = False,
) -> Reservation:
    """Return it as it ended without its driver.

    Args:
        unheard: its owner is to be told, if anybody waits for that.
    """
    told = own.owner is None or own.hold.reply_to is None
    return replace(
        own,
        state=state,
        why=why,
        ended_at=at,
        asked=None,
        owed=owed,
        unheard=unheard and not told,
    )


def reserved_time(since: datetime, until: datetime, *, expired: bool = False) -> rated.Reservation:
    """Return the time that an EVSE was held, to be priced; clocks that disagree make it no less
    than nothing."""
    return rated.Reservation(since, max(since, until), expired)
