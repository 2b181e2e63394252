"""The wrapper around every answer of ours, and what stands in its headers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from ocpi_cpo.errors import NotAllowed, OcpiError
from ocpi_cpo.wire import dumps, stamp


class _Nothing:
    """The module defines no data for this answer."""


NOTHING = _Nothing()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it becomes bytes.

    Attributes:
        data: plain JSON values, or an ``orjson.Fragment`` of ready bytes; ``NOTHING`` leaves the
            field out.
        http: HTTP status; other than 2xx only where the OCPI layer was not reached.
        after: called once the last byte of the answer has been written.
    """

    data: Any = NOTHING
    code: int = 1000
    message: str | None = None
    http: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    after: Callable[[], None] | None = None

    def body(self, now: datetime) -> bytes:
        """Return the envelope."""
        envelope: dict[str, Any] = {}
        if not isinstance(self.data, _Nothing):
            envelope["data"] = self.data
        envelope["status_code"] = self.code
        if self.message is not None:
            envelope["status_message"] = self.message
        envelope["timestamp"] = stamp(now)
        return dumps(envelope)


def joined(parts: list[bytes]) -> orjson.Fragment:
    """Return a JSON array of ready parts, without looking into them."""
    return orjson.Fragment(b"[" + b",".join(parts) + b"]")


def refusal(error: OcpiError) -> Reply:
    """Return the answer that *error* stands for."""
    headers = {}
    if isinstance(error, NotAllowed) and error.allowed:
        headers["Allow"] = ", ".join(error.allowed)
    if error.http == 401:
        headers["WWW-Authenticate"] = "Token"
    data = NOTHING if error.data is None else error.data
    return Reply(data, error.code, error.message, error.http, headers)
