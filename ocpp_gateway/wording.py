"""What both versions say alike: contexts of samples, times, the numbers that a place can have."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec import UNSET, UnsetType

from cms.domain.meter import ReadingContext
from ocpp_gateway.adaptation import Note

CONTEXTS: Final[dict[str, ReadingContext]] = {
    "Interruption.Begin": ReadingContext.INTERRUPTION_BEGIN,
    "Interruption.End": ReadingContext.INTERRUPTION_END,
    "Sample.Clock": ReadingContext.CLOCK,
    "Sample.Periodic": ReadingContext.PERIODIC,
    "Transaction.Begin": ReadingContext.BEGIN,
    "Transaction.End": ReadingContext.END,
    "Trigger": ReadingContext.TRIGGER,
    "Other": ReadingContext.OTHER,
}

NO_PLACE: Final = (Note("Q-132", "a number that no EVSE or connector has; not used"),)

MAX_PLACE: Final = 9_999
"""Highest number of an EVSE or connector that is believed."""


def wire_time(at: datetime) -> str:
    """Return *at* (aware UTC) as stations read it: milliseconds and ``Z``."""
    return at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def within(number: int | UnsetType, highest: int) -> int | None:
    """Return *number* if it is one from 0 to *highest*; else None: nobody means another one."""
    return number if number is not UNSET and 0 <= number <= highest else None
