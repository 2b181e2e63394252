"""What a partner's answer means, whatever it is: one pure matrix.

=====================================  ==========================================================
2xx + 1xxx                             DELIVERED
2xx + 2xxx, 400, 405, 3xx, other 4xx   REFUSED: the same again will be refused again
404                                    MISSING: no such object or endpoint there
409, or 2xxx "already exists"          EXISTS
401, 403                               UNAUTHORISED: our credentials are not wanted any more
2xx + 3xxx, 2xx + 4xxx (a hub's)       LATER
429, 503 with Retry-After              LATER, at that time
5xx, no JSON, too large                UNCLEAR: it may have been taken
connection refused, no such name       UNREACHABLE: nothing was sent
reset, time-out                        UNCLEAR
address not allowed                    REFUSED
=====================================  ==========================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ocpi_cpo.wire import BadJson, loads

LONGEST_RETRY_AFTER_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Heard:
    """An HTTP answer came, whole."""

    http: int
    headers: Mapping[str, str]
    body: bytes
    took_ms: int


@dataclass(frozen=True, slots=True)
class Silence:
    """No usable HTTP answer came.

    Attributes:
        why: one word for operators: "refused", "timeout", "reset", "dns", "tls", "forbidden",
            "too large". Never the inner error's text.
        sent: whether the request may have reached the partner.
    """

    why: str
    sent: bool
    took_ms: int = 0


class Kind(Enum):
    DELIVERED = "delivered"
    REFUSED = "refused"
    MISSING = "missing"
    EXISTS = "exists"
    UNAUTHORISED = "unauthorised"
    LATER = "later"
    UNCLEAR = "unclear"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class PartnerAnswer:
    """A partner's answer, judged.

    Attributes:
        http, code: None where none came.
        text: what an operator should read.
        retry_after: seconds that the partner asked for, capped.
        raw: the body as received, for the case file.
    """

    kind: Kind
    text: str
    http: int | None = None
    code: int | None = None
    data: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: float | None = None
    raw: bytes = b""
    took_ms: int = 0

    @property
    def ok(self) -> bool:
        return self.kind is Kind.DELIVERED

    @property
    def again(self) -> bool:
        """Whether the same request makes sense later."""
        return self.kind in (Kind.LATER, Kind.UNCLEAR, Kind.UNREACHABLE)


def judge(result: Heard | Silence) -> PartnerAnswer:
    """Say what *result* means."""
    if isinstance(result, Silence):
        kind = Kind.UNCLEAR if result.sent else Kind.UNREACHABLE
        if result.why == "forbidden":
            kind = Kind.REFUSED
        return PartnerAnswer(kind, f"no answer: {result.why}", took_ms=result.took_ms)
    code, data, message = _envelope(result.body)
    text = f"HTTP {result.http}" + (f", OCPI {code}" if code is not None else "")
    return PartnerAnswer(
        _kind(result, code, message),
        f"{text}: {message}" if message else text,
        result.http,
        code,
        data,
        result.headers,
        _retry_after(result),
        result.body,
        result.took_ms,
    )


def _kind(heard: Heard, code: int | None, message: str) -> Kind:
    match heard.http:
        case 401 | 403:
            return Kind.UNAUTHORISED
        case 404:
            return Kind.MISSING
        case 409:
            return Kind.EXISTS
        case 429:
            return Kind.LATER
        case 503 if "Retry-After" in heard.headers:
            return Kind.LATER
        case http if http >= 500:
            return Kind.UNCLEAR
        case http if http >= 300:
            return Kind.REFUSED
    return _kind_of_code(code, message)


_EXISTS = re.compile(r"already|duplicate|exists", re.IGNORECASE)


def _kind_of_code(code: int | None, message: str) -> Kind:
    match code:
        case None:
            return Kind.UNCLEAR
        case good if 1000 <= good < 2000:
            return Kind.DELIVERED
        case ours if 2000 <= ours < 3000:
            return Kind.EXISTS if _EXISTS.search(message) else Kind.REFUSED
        case theirs if 3000 <= theirs < 5000:
            return Kind.LATER
    return Kind.UNCLEAR


def _envelope(body: bytes) -> tuple[int | None, Any, str]:
    try:
        envelope = loads(body)
    except BadJson:
        return None, None, ""
    if not isinstance(envelope, dict) or type(envelope.get("status_code")) is not int:
        return None, None, ""
    return envelope["status_code"], envelope.get("data"), str(envelope.get("status_message") or "")


def _retry_after(heard: Heard) -> float | None:
    if heard.http not in (429, 503):
        return None
    try:
        seconds = float(heard.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)
