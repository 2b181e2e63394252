"""OCPI's bytes: JSON with exact decimals, times, tokens in headers, joined addresses, links.

Everything here is pure and the same in every version of OCPI.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import orjson

Json = dict[str, Any]

LONGEST_URL = 255

_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)
_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|z|[+ -]\d\d:?\d\d)?", re.ASCII
)


class BadJson(ValueError):
    """The bytes are no JSON."""


def loads(raw: bytes) -> Any:
    """Read JSON.

    Raises:
        BadJson: with the reason, without the content.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadJson(error.msg) from None


def dumps(value: Any) -> bytes:
    """Write compact JSON. A ``Decimal`` keeps its digits; there is no float on the way."""
    return orjson.dumps(value, default=_foreign)


def _foreign(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    raise TypeError(f"no JSON for {type(value).__name__}")


@lru_cache(maxsize=4096)
def stamp(moment: datetime) -> str:
    """Write *moment* as an OCPI DateTime: UTC, milliseconds, ``Z`` (at most 25 characters).

    What changed is told to many in many places, so the newest moments are kept as text.
    """
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return text.removesuffix(".000") + "Z"


def moment(text: str) -> datetime:
    """Read a DateTime in any documented shape, and leniently with an offset.

    No designator means UTC. In a query string an unescaped ``+`` of an offset arrives as a space.

    Raises:
        ValueError: if it is no moment.
    """
    found = _DATE_TIME.fullmatch(text.strip())
    if not found:
        raise ValueError("not a DateTime like 2026-01-31T12:00:00Z")
    date, time, fraction, zone = found.groups()
    read = datetime.fromisoformat(f"{date}T{time}.{(fraction or '0')[:6]:0<6}{_zone(zone)}")
    try:
        return read.astimezone(UTC)
    except OverflowError:  # the first or the last hours of the calendar, with an offset
        raise ValueError("a moment outside the calendar") from None


def _zone(zone: str | None) -> str:
    if zone is None or zone in "Zz":
        return "+00:00"
    zone = zone.replace(" ", "+")
    return zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"


def authorization(token: str, raw: bool = False) -> str:
    """Return the Authorization header for *token*: base64 of its UTF-8 bytes.

    Args:
        raw: for partners that compare the token as it is.
    """
    return "Token " + (token if raw else base64.b64encode(token.encode()).decode("ascii"))


def presented_tokens(header: str | None) -> tuple[str, ...]:
    """Return what the caller may mean by its Authorization header, best guess first.

    The base64-decoded token (without the one line feed that ``echo | base64`` leaves), then the
    text as it stands. Empty if the header is missing or of another scheme.
    """
    scheme, _, value = (header or "").strip().partition(" ")
    value = value.strip()
    if scheme.lower() != "token" or not value or len(value) > 512:
        return ()
    decoded = _decoded(value)
    return (value,) if decoded is None else (decoded, value)


def presented(header: str | None) -> tuple[tuple[str, bool], ...]:
    """Return the same guesses, each with whether it was written without base64."""
    guesses = presented_tokens(header)
    return tuple((token, at == len(guesses) - 1) for at, token in enumerate(guesses))


def _decoded(value: str) -> str | None:
    try:
        return base64.b64decode(value, validate=True).decode("utf-8").removesuffix("\n") or None
    except (binascii.Error, ValueError):
        return None


@lru_cache(maxsize=8192)
def join(url: str, *segments: str) -> str:
    """Append path *segments* with exactly one slash each, before any query string of *url*."""
    path, question, query = url.partition("?")
    parts = [path.rstrip("/"), *(quote(segment, safe="*:@$,;+=!~()-._'") for segment in segments)]
    return "/".join(parts) + question + query


def with_query(url: str, **query: str) -> str:
    """Append query arguments to *url*, which may have some."""
    if not query:
        return url
    added = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    return f"{url}{'&' if '?' in url else '?'}{added}"


def next_link(headers: Mapping[str, str]) -> str | None:
    """Return the address in ``Link: <...>; rel="next"``, verbatim.

    Args:
        headers: with names that compare without case.
    """
    found = _NEXT.search(headers.get("Link", ""))
    return found.group(1) if found else None


def fitting(url: str | None) -> str | None:
    """Return an address that fits OCPI's URL; one that is longer cannot be cut, and is left out."""
    return url if url is not None and len(url) <= LONGEST_URL else None


def shortened(text: str, limit: int) -> str:
    """Return a display text that fits *limit* characters and holds no line breaks or tabs."""
    clean = " ".join(text.split())
    return clean if len(clean) <= limit else clean[: limit - 1].rstrip() + "…"
