"""Moments as one partner writes and wants them. Pure functions over what crosses the wire."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ocpi_cpo.profiles.switches import DatesOut, Profile
from ocpi_cpo.wire import stamp

_UNZONED = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?", re.ASCII)
_OURS = re.compile(rb'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{3})?Z"')


def inward(profile: Profile, data: Any) -> Any:
    """Return JSON values with the moments that name no zone read in the partner's own."""
    if profile.dates_without_zone == "UTC":
        return data
    return _zoned(data, ZoneInfo(profile.dates_without_zone))


def inward_query(profile: Profile, query: Mapping[str, str]) -> Mapping[str, str]:
    """Return the arguments of a query, read likewise."""
    if profile.dates_without_zone == "UTC":
        return query
    zone = ZoneInfo(profile.dates_without_zone)
    return {name: _zoned(text, zone) for name, text in query.items()}


def _zoned(data: Any, zone: ZoneInfo) -> Any:
    match data:
        case str() if _UNZONED.fullmatch(data):
            return _moment(data, zone)
        case dict():
            return {name: _zoned(each, zone) for name, each in data.items()}
        case list():
            return [_zoned(each, zone) for each in data]
        case _:
            return data


def _moment(text: str, zone: ZoneInfo) -> str:
    """Return *text* in UTC; as it is where it is no moment, for the reader to complain about."""
    date, _, fraction = text.partition(".")
    try:
        read = datetime.fromisoformat(f"{date}.{fraction[:6] or '0':0<6}")
    except ValueError:
        return text
    return stamp(read.replace(tzinfo=zone))


def outward(profile: Profile, body: bytes) -> bytes:
    """Return the bytes of a body of ours with its moments in the partner's pattern."""
    match profile.dates_out:
        case DatesOut.SHORTEST:
            return body
        case DatesOut.WHOLE:
            return _OURS.sub(rb'"\1Z"', body)
        case DatesOut.FRACTION:
            return _OURS.sub(lambda found: _fraction(found), body)


def _fraction(found: re.Match[bytes]) -> bytes:
    return b'"' + found[1] + (found[2] or b".000") + b'Z"'
