"""One request and its answer, and how both are shown to a person without any secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ocpi_check.wire import next_link

BLACK = "█████"
MOST_SHOWN_CHARACTERS = 2000
_TELLING = ("authorization", "content-type", "x-request-id", "x-correlation-id")
_TOKEN = re.compile(r'("token"\s*:\s*")[^"]*(")')
_HEADER = re.compile(r"(?i)(authorization: *\w+) [^\s'\"]+")


class NoAnswer(Exception):
    """Nothing came back, or nothing that is HTTP.

    Attributes:
        request: what was asked, as a person would type it.
    """

    def __init__(self, request: str, why: str) -> None:
        super().__init__(f"no answer: {why}")
        self.request = request


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was asked and what came back.

    Attributes:
        module: the interface that was asked ("versions", "locations" ...).
        functional: a module with routing headers.
        sent: request headers.
        envelope: the JSON of the answer; None if it is none.
        trouble: why the body is no JSON.
    """

    module: str
    functional: bool
    method: str
    url: str
    sent: Mapping[str, str]
    body: bytes | None
    http: int
    headers: Mapping[str, str]
    raw: bytes
    envelope: Any = None
    trouble: str | None = None
    hidden: frozenset[str] = field(default_factory=frozenset)

    @property
    def code(self) -> int | None:
        """OCPI's status_code."""
        found = self.envelope.get("status_code") if isinstance(self.envelope, dict) else None
        return found if type(found) is int else None

    @property
    def data(self) -> Any:
        return self.envelope.get("data") if isinstance(self.envelope, dict) else None

    @property
    def items(self) -> list[Any]:
        """``data`` of a list; nothing if it is none."""
        return self.data if isinstance(self.data, list) else []

    @property
    def ok(self) -> bool:
        """HTTP 2xx and OCPI 1xxx; only both together are success."""
        return 200 <= self.http < 300 and self.code is not None and 1000 <= self.code < 2000

    @property
    def refused(self) -> bool:
        """The OCPI layer said no to what was asked (2xxx)."""
        return 200 <= self.http < 300 and self.code is not None and 2000 <= self.code < 3000

    @property
    def said(self) -> str:
        """HTTP status and OCPI code, as one says it: ``200/2001``."""
        return f"{self.http}/{self.code if self.code is not None else 'no status_code'}"

    @property
    def next(self) -> str | None:
        return next_link(self.headers)

    def shown(self) -> str:
        """The exchange as text, secrets blacked out."""
        lines = [curl(self.method, self.url, self.sent, self.body)]
        lines.append(f"< HTTP {self.http}")
        lines += [f"< {name}: {value}" for name, value in self.headers.items() if _wanted(name)]
        lines.append(_shortened(self.raw.decode(errors="replace")) or "(no body)")
        return blacked_out("\n".join(lines), self.hidden)


def curl(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> str:
    """The request as a person would type it."""
    parts = [f"curl -i -X {method} '{url}'"]
    parts += [f"  -H '{name}: {value}'" for name, value in headers.items() if _sent(name)]
    if body is not None:
        parts.append(f"  -d '{_shortened(body.decode(errors='replace'))}'")
    return " \\\n".join(parts)


def _sent(name: str) -> bool:
    return name.lower() in _TELLING or name.lower().startswith("ocpi-")


def _wanted(name: str) -> bool:
    low = name.lower()
    return low.startswith(("x-", "ocpi-")) or low in ("link", "content-type", "location", "allow")


def _shortened(text: str) -> str:
    if len(text) <= MOST_SHOWN_CHARACTERS:
        return text
    return f"{text[:MOST_SHOWN_CHARACTERS]} ... ({len(text)} characters)"


def blacked_out(text: str, secrets: Iterable[str] = ()) -> str:
    """*text* without credentials: by their value, and wherever a token stands."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, BLACK)
    text = _HEADER.sub(lambda found: f"{found.group(1)} {BLACK}", text)
    return _TOKEN.sub(rf"\g<1>{BLACK}\g<2>", text)
