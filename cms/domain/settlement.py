"""From a folded transaction to the one bill of its session. Pure: same facts, same bill.

A bill is made of what the charger said, or not at all: what is not believable is withheld with the
reason, never mended in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from cms.domain.cdr import Cdr, CdrPlace
from cms.domain.errors import InvalidValue
from cms.domain.folding import Folded
from cms.domain.ids import CdrId, TariffId
from cms.domain.limits import Overshoot, overshoot
from cms.domain.rated import Reservation
from cms.domain.rating import Rating, rate
from cms.domain.reservation import reserved_time
from cms.domain.session import Session, SessionStatus, evolve_session
from cms.domain.signed import UNSIGNED, SignedRecord
from cms.domain.switching import Switch, tariffs_used
from cms.domain.tariff import Dimension, Element, PriceComponent, Tariff
from cms.domain.transaction import Flag
from cms.domain.usage import Usage, readings_since, usages_from_readings


@dataclass(frozen=True, slots=True)
class Billed:
    """A settled session with its bill.

    Attributes:
        overshoot: by how much it passed its limit; None if it kept it or had none.
    """

    session: Session
    cdr: Cdr
    overshoot: Overshoot | None = None


@dataclass(frozen=True, slots=True)
class Withheld:
    """A session of which no bill may be made, and why."""

    session: Session
    why: str


def settle(
    session: Session,
    told: Folded,
    tariff: Tariff,
    place: CdrPlace,
    now: datetime,
    switches: Sequence[Switch] = (),
    signed: SignedRecord = UNSIGNED,
) -> Billed | Withheld:
    """Make the bill of a stopped session, or say why there can be none.

    Args:
        told: all its events, folded.
        tariff: as it was when the session started.
        now: when the bill is made.
        switches: tariffs that took its place while the session ran.
        signed: what its meter signed; the bill carries it and depends on none of it.
    """
    if told.withheld is not None or told.energy_wh is None:
        return withhold(session, told, told.withheld or "its energy is not known")
    active = active_from(session, told)
    try:
        usages = active_usages(told, active)
    except InvalidValue as error:
        return withhold(session, told, str(error))
    zone = ZoneInfo(place.time_zone)
    rating = rate(
        tariff,
        () if _refused(session, told) else usages,
        zone,
        reservation=_held(session, active or told.started_at or session.started_at),
        switches=switches,
    )
    prices = tariffs_used(rating, tariff, switches)
    done = _as_told(session, told, SessionStatus.COMPLETED)
    cdr = _bill(done, told, prices, place, rating, usages, now, signed)
    if signed.left_out:
        done = evolve_session(done, flags=done.flagged(Flag.SIGNED_LEFT_OUT))
    beyond = _overshoot(done, told.energy_wh, rating)
    if beyond is not None:
        done = evolve_session(done, flags=done.flagged(Flag.OVERSHOT))
    return Billed(done, cdr, beyond)


def active_from(session: Session, told: Folded) -> datetime | None:
    """Return since when a session counts, from all that its charger told; None if it never did.

    One that a reservation became counts since the reservation was used, at the latest.
    """
    if session.held_from is None or session.activated_at is None:
        return told.active_at
    known = (session.activated_at, told.active_at, told.ended_at)
    return min(each for each in known if each is not None)


def active_usages(told: Folded, active: datetime | None) -> tuple[Usage, ...]:
    """Return what a session used since it was *active*; what it waited before costs no time.

    Raises:
        InvalidValue: its readings make no sense.
    """
    if active is None:
        return ()
    return usages_from_readings(readings_since(told.readings, active), dark=told.dark)


@dataclass(frozen=True, slots=True)
class Unused:
    """A reservation that ended without its driver.

    Attributes:
        cdr: None where nothing is due for it.
    """

    session: Session
    cdr: Cdr | None


def settle_unused(
    session: Session,
    tariff: Tariff,
    place: CdrPlace,
    now: datetime,
    *,
    until: datetime,
    expired: bool,
) -> Unused:
    """Close the session of a reservation that nobody used; bill it where the tariff says so.

    Args:
        until: when it was let go, or expired.
        expired: the driver never came; False where they took it back.
    """
    since = session.held_from or session.started_at
    until = max(since, until)
    done = close_unused(session, until)
    held = reserved_time(since, until, expired=expired)
    rating = rate(tariff, (), ZoneInfo(place.time_zone), reservation=held)
    if not rating.lines:
        return Unused(done, None)
    why = "the reservation expired" if expired else "the reservation was cancelled"
    limited = "" if rating.clamp is None else rating.clamp.words()
    cdr = Cdr(
        CdrId(session.id),
        session.id,
        session.owner,
        place,
        session.token,
        session.method,
        since,
        until,
        0,
        timedelta(),
        timedelta(),
        rating,
        (tariff,),
        now,
        rating.total,
        reference=session.reference,
        remark="; ".join(filter(None, (why, limited))),
    )
    return Unused(done, cdr)


def close_unused(session: Session, until: datetime) -> Session:
    """Return the session of a reservation that ended without its driver, closed."""
    return evolve_session(session, status=SessionStatus.COMPLETED, ended_at=until, charging=False)


def _held(session: Session, until: datetime) -> Reservation | None:
    """Return for how long the EVSE was held before the session, if it was."""
    return None if session.held_from is None else reserved_time(session.held_from, until)


def withhold(session: Session, told: Folded, why: str) -> Withheld:
    """Return the session without a bill, as far as it is known."""
    return Withheld(_as_told(session, told, SessionStatus.INVALID), why)


def free_tariff(currency: str) -> Tariff:
    """Return the price of a connector that has none: everything is free (OCPI 2.2.1, tariffs)."""
    nothing = PriceComponent(Dimension.FLAT, Decimal(0))
    return Tariff(TariffId("FREE"), currency, (Element((nothing,)),))


def _as_told(session: Session, told: Folded, status: SessionStatus) -> Session:
    """Return *session* with what all events together say of it, in its last status."""
    flags = set(session.flags) | set(told.flags)
    if told.started is not None and not told.gaps:
        flags.discard(Flag.SEQ_GAP)
    return evolve_session(
        session,
        status=status,
        started_at=told.started_at or session.started_at,
        activated_at=active_from(session, told),
        ended_at=told.ended_at or session.ended_at,
        start_wh=told.start_wh if told.start_wh is not None else session.start_wh,
        stop_wh=told.stop_wh if told.stop_wh is not None else session.stop_wh,
        last_wh=told.last_wh if told.last_wh is not None else session.last_wh,
        last_at=told.last_at or session.last_at,
        delivered_wh=session.delivered_wh if told.energy_wh is None else told.energy_wh,
        stop_reason=told.reason or session.stop_reason,
        power_w=None,
        charging=False,
        settle_after=None,
        flags=tuple(flag for flag in Flag if flag in flags) if flags else (),
    )


def _refused(session: Session, told: Folded) -> bool:
    """Whether nobody was let charge and nothing was taken: no fee is due for a refusal."""
    return session.token is None and told.energy_wh == 0


def _bill(
    session: Session,
    told: Folded,
    prices: tuple[Tariff, ...],
    place: CdrPlace,
    rating: Rating,
    usages: tuple[Usage, ...],
    now: datetime,
    signed: SignedRecord,
) -> Cdr:
    started_at = session.begun_at
    ended_at = told.ended_at or session.ended_at or started_at
    return Cdr(
        CdrId(session.id),
        session.id,
        session.owner,
        place,
        session.token,
        session.method,
        min(started_at, session.held_from or started_at),
        ended_at,
        told.energy_wh or 0,
        ended_at - started_at,
        rating.parking_time,
        rating,
        prices,
        now,
        rating.total,
        reference=session.reference,
        remark=_remark(told, signed, rating),
        signed=signed.kept,
    )


def _remark(told: Folded, signed: SignedRecord, rating: Rating) -> str | None:
    """Say on the bill what its reader should know of the record and of the sum."""
    missing = [str(low) if low == high else f"{low}-{high}" for low, high in told.gaps]
    words = []
    if missing:
        words.append(f"messages {', '.join(missing)} of the charger never arrived")
    if told.dark:
        words.append("the site had no power for a time, which is not billed")
    if signed.left_out:
        words.append(f"{signed.left_out} signed meter values do not fit on a bill")
    words.append("" if rating.clamp is None else rating.clamp.words())
    return "; ".join(filter(None, words)) or None


def _overshoot(session: Session, wh: int, rating: Rating) -> Overshoot | None:
    if not session.limit.any or session.ended_at is None:
        return None
    seconds = int((session.ended_at - session.begun_at).total_seconds())
    return overshoot(session.limit, wh, rating.total.gross.amount, seconds)
