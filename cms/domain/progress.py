"""A session as each event of its charger leaves it. Pure: the newest picture, not yet the bill.

The bill comes from folding all events (``cms.domain.folding``); these rules keep the running picture
close to it, and never let an older sample move it back.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from cms.domain.activation import STRAY_WH, activates
from cms.domain.folding import REGISTER_TOLERANCE_WH, newest, same_values, takes_power
from cms.domain.joining import Orphan, register_of
from cms.domain.meter import ReadingContext
from cms.domain.session import Session, SessionStatus, evolve_session
from cms.domain.status import LastMeter
from cms.domain.transaction import EventKind, Flag, TransactionEvent

CONCLUDED = frozenset({"interrupted", "power_lost", "ended_by_operator"})
"""Reasons of ends that we concluded; the charger's own word replaces them."""


def progressed(
    session: Session, event: TransactionEvent, *, paid_before: bool | None = None
) -> Session:
    """Return *session* after an event's samples; older ones than known change nothing.

    Args:
        paid_before: whether it was known before *event* who pays; None = as it is known now.
    """
    flags = session.flagged(*event.flags) if event.flags else session.flags
    last_wh, last_at = session.last_wh, session.last_at
    start_wh, delivered, power = session.start_wh, session.delivered_wh, session.power_w
    told = newest(event.samples)
    if told is not None and (last_at is None or told.at >= last_at):
        power = told.power_w if told.power_w is not None else power
        register = told.register_wh
        if register is None:
            pass
        elif last_wh is not None and register < last_wh - REGISTER_TOLERANCE_WH:
            flags = tuple(dict.fromkeys((*flags, Flag.REGISTER_FELL)))
        else:
            last_wh, last_at = register, told.at
            start_wh = register if start_wh is None else start_wh
            delivered = max(delivered, register - start_wh)
    charging = session.charging
    if event.charging is not None:
        charging = takes_power(event.charging)
    elif delivered > session.delivered_wh:
        charging = True
    activated = _activated(session, event, delivered, paid_before)
    active = session.status is SessionStatus.PENDING and activated is not None
    return evolve_session(
        session,
        status=SessionStatus.ACTIVE if active else session.status,
        activated_at=activated,
        start_wh=start_wh,
        last_wh=last_wh,
        last_at=last_at,
        delivered_wh=delivered,
        power_w=power,
        charging=charging,
        flags=flags,
    )


def _activated(
    session: Session, event: TransactionEvent, delivered: int, paid_before: bool | None
) -> datetime | None:
    """Return since when *session* is active, as ``activation.active_at`` will say of all events."""
    known = session.activated_at
    if known is not None and event.occurred_at >= known:
        return known
    paid = session.token is not None or session.command is not None
    before = paid if paid_before is None else paid_before
    if event.kind is not EventKind.ENDED and activates(
        event.charging, paid=paid, paid_before=before
    ):
        return max(event.occurred_at, session.started_at)
    if known is None and delivered > STRAY_WH:
        return session.last_at or session.started_at
    return known


def begun_with(session: Session, event: TransactionEvent) -> Session:
    """Return *session*, which only now has its start and who pays, active since then if it was."""
    activated = _activated(session, event, session.delivered_wh, False)
    active = session.status is SessionStatus.PENDING and activated is not None
    status = SessionStatus.ACTIVE if active else session.status
    return evolve_session(session, status=status, activated_at=activated)


def begun(session: Session, event: TransactionEvent) -> Session:
    """Return *session* with its start, which came after later events of it."""
    start_wh = begin_register(event)
    delivered = session.delivered_wh
    if start_wh is not None and session.last_wh is not None:
        delivered = max(session.last_wh - start_wh, 0)
    return evolve_session(
        session,
        started_at=event.occurred_at,
        evse=event.evse or session.evse,
        connector=event.connector or session.connector,
        id_token=event.id_token or session.id_token,
        start_wh=session.start_wh if start_wh is None else start_wh,
        delivered_wh=delivered,
        flags=tuple(flag for flag in session.flags if flag is not Flag.SEQ_GAP),
    )


def ended(session: Session, event: TransactionEvent, settle_after: datetime) -> Session:
    """Return *session* as its end leaves it: stopped, to be settled after the grace."""
    told = progressed(session, event)
    register = event.register_wh if event.register_wh is not None else told.last_wh
    delivered = told.delivered_wh
    if register is not None and told.start_wh is not None:
        delivered = max(register - told.start_wh, 0)
    activated = told.activated_at
    if activated is None and delivered > STRAY_WH:
        activated = session.last_at or session.started_at
    return evolve_session(
        told,
        status=SessionStatus.STOPPED,
        activated_at=activated,
        ended_at=event.occurred_at,
        stop_wh=register,
        last_wh=register,
        last_at=event.occurred_at,
        stop_reason=event.reason,
        settle_after=settle_after,
        delivered_wh=delivered,
        power_w=None,
        charging=False,
    )


def concluded(session: Session, reason: str, settle_after: datetime) -> Session:
    """Return *session* as ended at its last sample, for one of the reasons in ``CONCLUDED``."""
    return evolve_session(
        session,
        status=SessionStatus.STOPPED,
        ended_at=max(session.last_at or session.begun_at, session.begun_at),
        stop_wh=session.last_wh,
        stop_reason=reason,
        settle_after=settle_after,
        power_w=None,
        charging=False,
    )


def reunited(session: Session, orphan: Orphan, settle_after: datetime) -> Session:
    """Return a session whose stop was here before its start."""
    return evolve_session(
        session,
        status=SessionStatus.STOPPED,
        ended_at=orphan.ended_at,
        stop_wh=orphan.register_wh,
        last_wh=orphan.register_wh,
        last_at=orphan.ended_at,
        delivered_wh=max((orphan.register_wh or 0) - (session.start_wh or 0), 0),
        charging=False,
        settle_after=settle_after,
        flags=session.flagged(Flag.ORPHAN_STOP),
    )


def begin_register(event: TransactionEvent) -> int | None:
    """Return the register with which a transaction starts: its own, else among its samples."""
    if event.kind is not EventKind.STARTED or event.register_wh is not None:
        return event.register_wh if event.kind is EventKind.STARTED else None
    begin = [each for each in event.samples if each.context is ReadingContext.BEGIN]
    told = newest(begin or event.samples)
    return None if told is None else told.register_wh


def meter(session: Session) -> LastMeter | None:
    """Return what a running session's EVSE shows of its meter."""
    if session.last_at is None and session.power_w is None:
        return None
    at = session.last_at or session.started_at
    return LastMeter(at, session.last_wh, session.delivered_wh, session.power_w)


def same_start(session: Session, event: TransactionEvent) -> bool:
    """Whether a second start says what is known; what it leaves out contradicts nothing."""
    known = replace(
        event,
        occurred_at=session.started_at,
        id_token=session.id_token or event.id_token,
        register_wh=event.register_wh if event.register_wh is None else session.start_wh,
    )
    return same_values(known, event)


def same_end(session: Session, event: TransactionEvent) -> bool:
    """Whether a second end says what is known; what it leaves out contradicts nothing."""
    register = session.stop_wh if event.register_wh is None else event.register_wh
    return session.ended_at == event.occurred_at and session.stop_wh == register


def adds_energy(session: Session, event: TransactionEvent) -> bool:
    """Whether a late event tells a register outside of what the session was settled with."""
    register = register_of(event)
    if register is None or session.stop_wh is None:
        return False
    below = session.start_wh is not None and register < session.start_wh - REGISTER_TOLERANCE_WH
    return below or register > session.stop_wh + REGISTER_TOLERANCE_WH
