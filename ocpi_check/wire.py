"""JSON, times, tokens, links and addresses as OCPI has them, read by the checker's own eyes."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

# How we write is shared with the simulated partner; how we read is our own, for it is the judge.
from simulators.emsp.wire import dumps, now, stamp

__all__ = ["dumps", "now", "stamp"]

Json = dict[str, Any]

RAW_TOKENS = ("2.1.1",)
"""Versions in which the Authorization header holds the token as it is."""

DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z")
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)


class BadJson(ValueError):
    """The text is no JSON that OCPI allows."""


def loads(raw: bytes) -> Any:
    """Read JSON; fractions become ``Decimal``, so that nothing goes through a binary float.

    Raises:
        BadJson: with the reason.
    """
    try:
        return json.loads(
            raw.decode(), parse_float=Decimal, parse_constant=_refused, object_pairs_hook=_object
        )
    except BadJson:
        raise
    except (ValueError, RecursionError) as error:
        raise BadJson(str(error)) from None


def _refused(text: str) -> Any:
    raise BadJson(f"{text} is no JSON")


def _object(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadJson("an object has one member twice")
    return found


def moment(text: Any) -> datetime | None:
    """Read a DateTime leniently (its exact shape is a check of its own); None if it is none."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def just_after(at: datetime) -> datetime:
    """The next moment that can be written as exactly as *at* is: whole seconds stay whole."""
    return at + (timedelta(milliseconds=1) if at.microsecond else timedelta(seconds=1))


def authorization(token: str, version: str) -> str:
    """The Authorization header for a credentials token in that version."""
    if version in RAW_TOKENS:
        return f"Token {token}"
    return "Token " + base64.b64encode(token.encode()).decode()


def next_link(headers: Mapping[str, str]) -> str | None:
    """The address in ``Link: <...>; rel="next"``, verbatim."""
    found = _NEXT.search(headers.get("Link", ""))
    return found.group(1) if found else None


def join(url: str, *segments: str) -> str:
    """Append path *segments*, encoded, with exactly one slash each, before any query of *url*."""
    path, question, query = url.partition("?")
    encoded = [quote(each, safe="*") for each in segments]
    return "/".join([path.rstrip("/"), *encoded]) + question + query


def with_query(url: str, **query: str | int | None) -> str:
    """Add a query to *url*, which may have one; None leaves a name out."""
    text = urlencode({name: value for name, value in query.items() if value is not None})
    if not text:
        return url
    return f"{url}{'&' if '?' in url else '?'}{text}"


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def without_query(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


def decimal(value: Any) -> Decimal | None:
    """A JSON number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return Decimal(value)
