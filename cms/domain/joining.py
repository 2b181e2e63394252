"""To which transaction a message belongs that does not name one.

Some chargers stop transaction -1, 0 or one that nobody knows, and some send samples without any.
Such a message is joined only where exactly one open transaction fits by tag, register and time;
between two nothing is ever guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cms.domain.ids import SessionId, TransactionId
from cms.domain.meter import Quantity
from cms.domain.session import Session
from cms.domain.transaction import EventKind, TransactionEvent

NO_TRANSACTION = frozenset({"", "-1", "0"})
"""What chargers write that were never told a number."""


def names_one(transaction: TransactionId | None) -> bool:
    """Whether a charger's transaction id means any transaction at all."""
    return transaction is not None and transaction not in NO_TRANSACTION


def only_fit(event: TransactionEvent, candidates: Iterable[Session]) -> Session | None:
    """Return the one running session that *event* can belong to; None for none or several."""
    fitting = [each for each in candidates if each.running and fits(event, each)]
    return fitting[0] if len(fitting) == 1 else None


def fits(event: TransactionEvent, session: Session) -> bool:
    """Whether tag, place, register and time allow *event* to be part of *session*.

    An end needs a register that the session can have reached: time alone is no evidence.
    """
    if event.id_token is not None and event.id_token.casefold() != session.id_token.casefold():
        return False
    if event.evse is not None and session.evse and event.evse != session.evse:
        return False
    if event.occurred_at < session.started_at:
        return False
    return _register_fits(event, session)


def _register_fits(event: TransactionEvent, session: Session) -> bool:
    register = register_of(event)
    known = session.last_wh if session.last_wh is not None else session.start_wh
    if register is None or known is None:
        return event.kind is not EventKind.ENDED
    if event.kind is EventKind.ENDED:
        return register >= known
    return register >= (session.start_wh if session.start_wh is not None else known)


def register_of(event: TransactionEvent) -> int | None:
    """The register that an event tells: its own, else the highest of its samples."""
    if event.register_wh is not None:
        return event.register_wh
    return max(
        (
            sample.value
            for sample in event.samples
            if sample.quantity is Quantity.ENERGY_REGISTER and sample.place == "outlet"
        ),
        default=None,
    )


@dataclass(frozen=True, slots=True)
class Orphan:
    """A stop that was kept without its start, waiting for it.

    Attributes:
        session: the row that was made for it, to become the real session.
        began_at: its earliest sample, else its end.
        register_wh: with which it ended.
    """

    session: SessionId
    began_at: datetime
    ended_at: datetime
    id_token: str | None = None
    register_wh: int | None = None


def only_orphan(start: TransactionEvent, orphans: Iterable[Orphan]) -> Orphan | None:
    """Return the one orphan stop whose start this is; None for none or several."""
    fitting = [each for each in orphans if _is_end_of(each, start)]
    return fitting[0] if len(fitting) == 1 else None


def _is_end_of(orphan: Orphan, start: TransactionEvent) -> bool:
    if orphan.register_wh is None or start.register_wh is None:
        return False
    if orphan.id_token is None or start.id_token is None:
        return False
    return (
        orphan.id_token.casefold() == start.id_token.casefold()
        and orphan.register_wh >= start.register_wh
        and orphan.began_at >= start.occurred_at
    )
