"""Q-055 to Q-064: enumerations in another case, another spelling or other words.

Folding comes first and needs no table: case and separators are ignored. The tables hold only words
that chargers use for a standard word. What remains unknown is replaced where the standard has a
word for "something else", and is damage otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from adapters.pipeline.scalars import DAMAGED, Damage

Aliases = Mapping[str, Mapping[str, tuple[str, ...]]]
"""field -> folded word -> standard words, the first that the field's enumeration has is taken."""

_STATUS = {
    "occupied": ("Occupied", "Preparing"),  # 1.5's word, and 2.x's
    "busy": ("Preparing", "Occupied"),
    "plugged": ("Preparing", "Occupied"),
    "connected": ("Preparing", "Occupied"),
    "preparing": ("Occupied",),
    "charging": ("Occupied",),
    "suspendedev": ("Occupied",),
    "suspendedevse": ("Occupied",),
    "finishing": ("Occupied",),
    "suspended": ("SuspendedEVSE", "Occupied"),
    "paused": ("SuspendedEVSE", "Occupied"),
    "finished": ("Finishing", "Occupied"),
    "complete": ("Finishing", "Occupied"),
    "completed": ("Finishing", "Occupied"),
    "idle": ("Available",),
    "free": ("Available",),
    "ready": ("Available",),
    "fault": ("Faulted",),
    "faulty": ("Faulted",),
    "error": ("Faulted",),
    "offline": ("Unavailable",),
    "inoperative": ("Unavailable",),
    "outofservice": ("Unavailable",),
    "reservation": ("Reserved",),
}
_ERROR = {
    "none": ("NoError",),
    "null": ("NoError",),
    "0": ("NoError",),
    "ok": ("NoError",),
    "": ("NoError",),
}
_EVENT = {
    "start": ("Started",),
    "begin": ("Started",),
    "update": ("Updated",),
    "stop": ("Ended",),
    "stopped": ("Ended",),
    "end": ("Ended",),
}
_UNITS = {
    "%": ("Percent",),
    "hz": ("Hertz",),
    "c": ("Celsius", "Celcius"),
    "degc": ("Celsius", "Celcius"),
    "celcius": ("Celsius", "Celcius"),
}

COMMON: Aliases = {
    "status": _STATUS,
    "connectorStatus": _STATUS,
    "errorCode": _ERROR,
    "eventType": _EVENT,
    "unit": _UNITS,
    "measurand": {"socstate": ("SoC",), "stateofcharge": ("SoC",)},
}

FALLBACK: Mapping[str, tuple[str, str]] = {
    "errorCode": ("Q-056", "OtherError"),
    "reason": ("Q-064", "Other"),
    "stoppedReason": ("Q-064", "Other"),
    "triggerReason": ("Q-193", "Trigger"),
}
"""field -> (quirk, the standard's word for "something else")."""

CODES: Mapping[str, str] = {
    "idTag": "Q-048",
    "meterValue": "Q-043",
    "transactionData": "Q-043",
    "status": "Q-055",
    "connectorStatus": "Q-055",
    "errorCode": "Q-056",
    "measurand": "Q-058",
    "unit": "Q-059",
    "context": "Q-061",
    "location": "Q-061",
    "phase": "Q-062",
    "reason": "Q-064",
    "stoppedReason": "Q-064",
    "triggerReason": "Q-193",
    "eventType": "Q-193",
}


def code_of(field: str) -> str:
    """Return the quirk's number for a wrong word in *field*."""
    return CODES.get(field, "Q-055")


@lru_cache(maxsize=512)
def folded(word: str) -> str:
    """Return *word* without case and separators: ``"Suspended_EV"`` is ``"suspendedev"``."""
    return "".join(char for char in word.lower() if char.isalnum() or char == "%")


def recognise(
    word: str, allowed: tuple[str, ...], field: str, aliases: Aliases = COMMON
) -> str | Damage:
    """Return the one of *allowed* that *word* means."""
    key = folded(word[:80])
    by_fold = next((one for one in allowed if folded(one) == key), None)
    if by_fold is not None:
        return by_fold
    for meant in aliases.get(field, {}).get(key, ()):
        if meant in allowed:
            return meant
    _, other = FALLBACK.get(field, ("", ""))
    if other in allowed:
        return other
    return DAMAGED
