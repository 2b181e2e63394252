"""Logs and metrics: structured, bounded, and never with a secret in them."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_REDACTED = "[secret]"
_SHORTEST_SECRET = 8
"""Shorter texts are no secrets of ours, and would black out half the log."""


class Secrets:
    """Every secret that this process knows, so that none leaves it in a log line.

    Redaction is by value, not by field name: a token inside a URL, a header or an exception's
    text is found as well.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, *secrets: str | None) -> None:
        """Register secrets; call it wherever one is read, drawn or received."""
        new = {each for each in secrets if each and len(each) >= _SHORTEST_SECRET} - self._known
        if new:
            self._known |= new
            longest_first = sorted(self._known, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def redact(self, text: str) -> str:
        """Return *text* with every known secret blacked out."""
        return text if self._pattern is None else self._pattern.sub(_REDACTED, text)

    def scrub(self, value: Any) -> Any:
        """Return *value* (text, bytes, list, dict, anything) without known secrets."""
        match value:
            case str():
                return self.redact(value)
            case bytes():
                return self.redact(value.decode("utf-8", "replace"))
            case dict():
                return {self.scrub(key): self.scrub(each) for key, each in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.scrub(each) for each in value]
            case None | bool() | int() | float():
                return value
            case _:
                return self.redact(str(value))


SECRETS = Secrets()
"""The one registry of this process."""

_CREDENTIALS = re.compile(r"(?i)\b(basic|token|bearer)\s+[A-Za-z0-9+/=_.~-]{8,}")


def _redact(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    scrubbed = SECRETS.scrub(dict(event))
    return {
        key: _CREDENTIALS.sub(r"\1 " + _REDACTED, each) if isinstance(each, str) else each
        for key, each in scrubbed.items()
    }


class _RedactingFormatter(logging.Formatter):
    """Libraries log through the standard library; their lines pass the same filter."""

    def format(self, record: logging.LogRecord) -> str:
        return _CREDENTIALS.sub(r"\1 " + _REDACTED, SECRETS.redact(super().format(record)))


def configure(level: str = "info", format: str = "json") -> None:
    """Set up logging for the process: JSON lines (or plain text) on standard error."""
    number = logging.getLevelNamesMapping()[level.upper()]
    last: Any = (
        structlog.processors.JSONRenderer()
        if format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redact,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_RedactingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


class Metrics:
    """What ``/metrics`` shows. One registry per composed server, so tests never share counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.stations_online = Gauge(
            "cms_stations_online", "Stations with a connection now", registry=self.registry
        )
        self.sessions_open = Gauge(
            "cms_sessions_open", "Sessions running or unsettled", registry=self.registry
        )
        self.work_items_open = Gauge(
            "cms_work_items_open", "Work items that wait", ["type"], registry=self.registry
        )
        self.work_item_age = Gauge(
            "cms_work_item_oldest_seconds",
            "Age of the oldest open work item",
            registry=self.registry,
        )
        self.store_up = Gauge(
            "cms_store_up", "1 while the store can commit", registry=self.registry
        )
        self.messages = Counter(
            "cms_messages_total", "Frames read from stations", registry=self.registry
        )
        self.repairs = Counter(
            "cms_repairs_total", "Repairs of stations' messages", ["code"], registry=self.registry
        )
        self.refused_handshakes = Counter(
            "cms_handshakes_refused_total", "Refused upgrades", ["reason"], registry=self.registry
        )
        self.partner_lag = Gauge(
            "cms_partner_lag_changes",
            "Changes a partner has not seen",
            ["partner"],
            registry=self.registry,
        )
        self.parked = Gauge(
            "cms_partner_parked", "Objects a partner refuses", ["partner"], registry=self.registry
        )
        self.commit_seconds = Histogram(
            "cms_commit_seconds", "Time of one group commit", registry=self.registry
        )
        self.task_deaths = Counter(
            "cms_task_deaths_total",
            "Background tasks ended by an exception",
            registry=self.registry,
        )
