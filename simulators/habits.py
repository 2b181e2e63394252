"""How real firmware behaves when an answer does not come.

The specifications leave much open (1.6 section 3.7.1, 1.6-J errata 3.1 and 3.3; 2.0.1 E13), and
firmware fills the gap in ways that decide whether money is lost. Each personality here is one
such way, named after the open source firmware that shows it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import Enum


class OrphanStop(Enum):
    """What a 1.6 charger writes as transactionId when StartTransaction was never answered."""

    MINUS_ONE = "minus-one"
    INVENTED = "invented"


@dataclass(frozen=True, slots=True)
class Personality:
    """The retry habits of one kind of firmware.

    Attributes:
        attempts: how often a transaction message is sent before it is discarded; None = for ever.
        counts_lost_links: whether a socket that dies under a call uses up an attempt, as a
            time-out does.
        same_id: whether a repetition carries the first attempt's message id.
        freezes_frame: whether a repetition is the first attempt byte for byte. Otherwise the
            frame is made anew, with what is known by then (``offline``, the transaction id).
        marks_retries_offline: whether a later attempt of a 2.0.1 event says ``offline`` (libocpp),
            so that it differs from the first in its bytes though not in its meaning.
        drops_on_callerror: whether one CALLERROR discards the message whatever *attempts* says.
        retry_interval: seconds to wait, multiplied by the number of earlier attempts (1.6
            section 3.7.1). Does not apply when the link was lost: then the reconnect is the wait.
        message_timeout: seconds until an unanswered call counts as failed.
        orphan_stop: see there.
    """

    name: str
    attempts: int | None
    counts_lost_links: bool = False
    same_id: bool = False
    freezes_frame: bool = False
    marks_retries_offline: bool = False
    drops_on_callerror: bool = False
    retry_interval: float = 10.0
    message_timeout: float = 30.0
    orphan_stop: OrphanStop = OrphanStop.MINUS_ONE


LIBOCPP = Personality(
    "libocpp",
    attempts=3,
    counts_lost_links=True,
    marks_retries_offline=True,
    orphan_stop=OrphanStop.INVENTED,
)
LIBOCPP_ONE_ATTEMPT = replace(LIBOCPP, name="libocpp-one-attempt", attempts=1)
MICROOCPP = Personality("microocpp", attempts=3, counts_lost_links=True, same_id=True)
SAP = Personality("sap", attempts=None, same_id=True, freezes_frame=True, drops_on_callerror=True)
STEADY = Personality("steady", attempts=None, retry_interval=0.2)
STEADY_SAME_ID = Personality("steady-same-id", attempts=None, same_id=True, retry_interval=0.2)

PERSONALITIES = {
    personality.name: personality
    for personality in (LIBOCPP, LIBOCPP_ONE_ATTEMPT, MICROOCPP, SAP, STEADY, STEADY_SAME_ID)
}


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a charger waits before it connects again.

    Attributes:
        first: seconds before the first try.
        limit: seconds that a wait never exceeds; it doubles with each failure until then.
        jitter: up to this many seconds are added at random.
    """

    first: float = 1.0
    limit: float = 60.0
    jitter: float = 0.5

    def wait(self, failures: int, chance: random.Random) -> float:
        """Seconds to wait after *failures* unsuccessful tries in a row."""
        doubled = self.first * 2 ** min(failures, 16)
        return float(min(doubled, self.limit) + chance.random() * self.jitter)


NO_BACKOFF = Backoff(first=0.02, limit=0.02, jitter=0.0)
"""Comes back at once, as firmware does that knows no back-off (1.6 has none)."""
QUICK_BACKOFF = Backoff(first=0.05, limit=0.5, jitter=0.05)
"""For tests and demonstrations, where nobody wants to wait."""
