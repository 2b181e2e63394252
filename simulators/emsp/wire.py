"""OCPI 2.2.1 on the wire as this simulator speaks it: JSON, tokens, times, envelopes, links.

JSON numbers are read as ``Decimal`` and written back digit for digit, so that nothing that a
partner compares has been through a binary float.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

Json = dict[str, Any]

MAX_SIGNIFICANT_DIGITS = 15
"""A number with more is a binary float that leaked, e.g. 0.30000000000000004."""

_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z")
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)


class BadJson(ValueError):
    """The text is no JSON that OCPI allows."""


def loads(raw: bytes) -> Any:
    """Read JSON strictly: UTF-8, no duplicate keys, no NaN, no float noise.

    Raises:
        BadJson: with the reason.
    """
    try:
        return json.loads(
            raw.decode("utf-8"),
            parse_float=_number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    except BadJson:
        raise
    except (ValueError, RecursionError) as error:
        raise BadJson(str(error)) from error


def _number(text: str) -> Decimal:
    number = Decimal(text)
    if len(number.as_tuple().digits) > MAX_SIGNIFICANT_DIGITS:
        raise BadJson(f"number with binary noise or too many digits: {text}")
    return number


def _refuse_constant(text: str) -> Any:
    raise BadJson(f"{text} is no JSON")


def _object(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadJson("duplicate key in an object")
    return found


def dumps(value: Any) -> bytes:
    """Write compact JSON; a ``Decimal`` keeps its digits."""
    return orjson.dumps(value, default=_foreign)


def _foreign(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"no JSON for {type(value).__name__}")


def now() -> datetime:
    """The wall clock, aware, UTC."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """Write *moment* as an OCPI DateTime: UTC, milliseconds, ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """Read an OCPI DateTime in the one shape that 2.2.1 wants from a sender.

    Raises:
        ValueError: for any other shape (offsets, microseconds, no ``Z``).
    """
    if not _DATE_TIME.fullmatch(text):
        raise ValueError(f"no OCPI DateTime (YYYY-MM-DDTHH:MM:SS[.sss]Z): {text!r}")
    return datetime.fromisoformat(text)


def lenient_moment(text: str) -> datetime:
    """Read a date filter in any documented shape; no designator means UTC.

    Raises:
        ValueError: if it is no date at all.
    """
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def authorization(token: str) -> str:
    """The Authorization header of 2.2.1: base64 (RFC 4648, part 4) of the UTF-8 token."""
    return "Token " + base64.b64encode(token.encode()).decode()


def token_of(header: str | None) -> str | None:
    """The credentials token in an Authorization header; ``None`` if it is not in 2.2.1's form."""
    scheme, _, value = (header or "").partition(" ")
    if scheme.lower() != "token":
        return None
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


def join(url: str, *segments: str) -> str:
    """Append path *segments* with exactly one slash each, before any query string of *url*."""
    path, question, query = url.partition("?")
    return "/".join([path.rstrip("/"), *segments]) + question + query


def next_link(headers: Mapping[str, str]) -> str | None:
    """The address in ``Link: <...>; rel="next"``, verbatim."""
    found = _NEXT.search(headers.get("Link", ""))
    return found.group(1) if found else None


@dataclass(frozen=True, slots=True)
class Reply:
    """What an interface answers, before it becomes bytes.

    Attributes:
        http: HTTP status.
        code: OCPI status_code.
        data: left out of the envelope when ``None``.
    """

    code: int = 1000
    data: Any = None
    message: str | None = None
    http: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """The OCPI envelope."""
        envelope: Json = {"status_code": self.code, "timestamp": stamp(now())}
        if self.message:
            envelope["status_message"] = self.message
        if self.data is not None:
            envelope["data"] = self.data
        return dumps(envelope)
