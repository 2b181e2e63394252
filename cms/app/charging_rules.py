"""What the operator may choose of how transactions are taken in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from cms.domain.ids import PartnerId


@dataclass(frozen=True, slots=True)
class ChargingRules:
    """What the operator may choose.

    Attributes:
        settle_grace: how long after a stop late samples are waited for.
        touch_every: a running session is told to its partner at most so often ...
        touch_for: ... unless this says otherwise for that partner.
        stale_after: a start older than this never waits for a partner.
        interrupted_hold: how long the real stop of a transaction that was cut off is waited for.
    """

    settle_grace: timedelta = timedelta()
    touch_every: timedelta = timedelta(seconds=15)
    touch_for: Callable[[PartnerId | None], timedelta | None] = lambda owner: None
    stale_after: timedelta = timedelta(minutes=5)
    interrupted_hold: timedelta = timedelta(minutes=15)
