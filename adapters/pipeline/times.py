"""Q-070, Q-072, Q-073: timestamps as chargers write them.

The happy path is one C call and three comparisons; everything odd goes the long way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from ocpp_gateway.adaptation import NO_NOTES, Note, Timed

_FIRST = datetime(2015, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)

_UNSET = (Note("Q-072", "a clock that was never set"),)
_UNUSABLE = (Note("Q-073", "no usable time"),)
_NAIVE = Note("Q-070", "no time zone")
_VARIANT = Note("Q-073", "unusual form of a time")

_ODD = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})"
    r"(?:[T ]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,](\d{1,9})\d*)?)?)?"
    r"\s*(Z|UTC|GMT|[+-]\d{1,2}(?::?\d{2})?)?",
    re.ASCII,
)
_EPOCH = re.compile(r"\d{9,13}(?:\.\d{1,9})?", re.ASCII)
_MAX_TEXT = 64


def time_reader(naive: tzinfo = UTC) -> Callable[[str, datetime], Timed]:
    """Return a reader that takes a time without zone as one of *naive*."""

    def time(
        text: str,
        received_at: datetime,
        _parse: Callable[[str], datetime] = datetime.fromisoformat,
    ) -> Timed:
        try:
            at = _parse(text)
        except ValueError:
            return _odd(text, received_at, naive)
        if (
            at.tzinfo is UTC
            and text[10] == "T"
            and _FIRST <= at
            and (at <= received_at or at <= received_at + _AHEAD)
        ):
            return at, NO_NOTES
        return _unusual(at, text, received_at, naive)

    return time


def offset(text: str) -> tzinfo:
    """Read ``"utc"`` or an offset such as ``"+05:30"``.

    Raises:
        ValueError: for anything else.
    """
    if text.lower() in ("utc", "z"):
        return UTC
    match = re.fullmatch(r"([+-])(\d{2}):(\d{2})", text, re.ASCII)
    if match is None:
        raise ValueError(f'expected "utc" or an offset such as "+05:30", not {text!r}')
    sign = -1 if match[1] == "-" else 1
    return timezone(sign * timedelta(hours=int(match[2]), minutes=int(match[3])))


def _unusual(at: datetime, text: str, received_at: datetime, naive: tzinfo) -> Timed:
    """Judge what Python could read: another zone, none, another separator, an impossible date."""
    notes: tuple[Note, ...] = ()
    if text[10:11] != "T":
        notes = (_VARIANT,)
    if at.tzinfo is None:
        at = at.replace(tzinfo=naive)
        notes += (_NAIVE,)
    return _judged(at, notes, received_at)


def _judged(at: datetime, notes: tuple[Note, ...], received_at: datetime) -> Timed:
    try:
        at = at.astimezone(UTC)
    except OverflowError:  # year 1 or 9999 with an offset
        return None, _UNSET
    if not _FIRST <= at <= received_at + _AHEAD:
        return None, _UNSET
    return at, notes


def _odd(text: str, received_at: datetime, naive: tzinfo) -> Timed:
    """Read what Python cannot: lower case, ``[GMT]``, one-digit fields, an epoch."""
    if len(text) > _MAX_TEXT:
        return None, _UNUSABLE
    plain = text.strip("\x00 \t\r\n\"'").upper().partition("[")[0].strip()
    if _EPOCH.fullmatch(plain):
        return _of_epoch(plain, received_at)
    match = _ODD.fullmatch(plain)
    if match is None:
        return None, _UNUSABLE
    try:
        at = _of_fields(match)
    except ValueError:
        return None, _UNUSABLE
    if at.tzinfo is None:
        return _judged(at.replace(tzinfo=naive), (_VARIANT, _NAIVE), received_at)
    return _judged(at, (_VARIANT,), received_at)


def _of_epoch(text: str, received_at: datetime) -> Timed:
    seconds, _, fraction = text.partition(".")
    milliseconds = int(seconds) if len(seconds) > 10 else int(seconds) * 1000
    if fraction and len(seconds) <= 10:
        milliseconds += int((fraction + "00")[:3])
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    return _judged(at, (_VARIANT,), received_at)


def _of_fields(match: re.Match[str]) -> datetime:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    return datetime(
        int(year),
        int(month),
        int(day),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        int(((fraction or "") + "000000")[:6]),
        tzinfo=_zone(zone),
    )


def _zone(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text[0] not in "+-":
        return UTC
    digits = text[1:].replace(":", "")
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(hours), minutes=int(minutes)))
