"""When a transaction becomes a session that charges, or could: its driver may, and the car is there.

A charger may begin a transaction before that (a car was plugged in, a card was shown, a bay is
taken). What comes before is not yet the session: it is shown as pending, and its time costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import pairwise

from cms.domain.transaction import ChargingState, EventKind, TransactionEvent

STRAY_WH = 10
"""So much a register may creep, by rounding or by what the EVSE takes itself, before a car charges."""


def activates(state: ChargingState | None, *, paid: bool, paid_before: bool) -> bool:
    """Whether with an event that tells *state* everything is there that charging needs.

    Args:
        state: of this event; None where it does not say.
        paid: from this event on it is known who pays.
        paid_before: it was known before. Chargers that tell no state begin with the driver's
            yes when the car is there, so that the yes alone is enough there.
    """
    if state is ChargingState.CHARGING:
        return True
    if state is None:
        return paid and not paid_before
    return paid and state is not ChargingState.IDLE


def names_payer(event: TransactionEvent) -> bool:
    """Whether an event of the course of a transaction says who is to pay."""
    named = bool(event.id_token) or event.remote_start is not None
    return named and event.kind is not EventKind.ENDED


def active_at(
    ordered: Iterable[TransactionEvent],
    began: datetime,
    registers: Callable[[], Mapping[datetime, int]],
) -> datetime | None:
    """Return when a transaction became active; None while it is not.

    Args:
        began: its first moment; it is never active before.
        registers: what the meter said when, in Wh, the first and the last one included; asked for
            only where it matters. Where energy had flowed before anything else was told, it counts
            from the last moment without any.
    """
    told = _told(ordered)
    if told is not None and told <= began:
        return began
    empty, full = _flowed(registers())
    if full is None or (told is not None and told <= full):
        return told
    return empty


def _told(ordered: Iterable[TransactionEvent]) -> datetime | None:
    paid = False
    for event in ordered:
        if event.kind is EventKind.ENDED:
            continue
        before, paid = paid, paid or names_payer(event)
        if activates(event.charging, paid=paid, paid_before=before):
            return event.occurred_at
    return None


def _flowed(registers: Mapping[datetime, int]) -> tuple[datetime | None, datetime | None]:
    """Return the last moment before any energy was seen, and the first one after."""
    moments = sorted(registers)
    for empty, full in pairwise(moments):
        if registers[full] > registers[moments[0]] + STRAY_WH:
            return empty, full
    return None, None
