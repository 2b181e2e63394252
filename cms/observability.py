"""Logs and metrics: structured, bounded, and never with a secret in them."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_REDACTED = "[secret]"
_SHORTEST_SECRET = 8
"""Shorter texts are no secrets of ours, and would black out half the log."""


class Secrets:
    """Every secret that this process knows, so that none leaves it in a log line.

    Redaction is by value, not by field name: a token inside a URL, a header or an exception's
    text is found as well, whatever stands before and after it.

    A line costs what its length asks, however many secrets are known: a secret is made of
    characters that occur in secrets, so only runs of these are looked at; and wherever a secret
    stands, its first characters are in a set, which one look answers.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._heads: set[str] = set()
        self._lengths: list[int] = []
        self._alphabet: set[str] = set()
        self._runs: re.Pattern[str] | None = None

    def add(self, *secrets: str | None) -> None:
        """Register secrets; call it wherever one is read, drawn or received."""
        new = {each for each in secrets if each and len(each) >= _SHORTEST_SECRET} - self._known
        if not new:
            return
        self._known |= new
        self._heads.update(each[:_SHORTEST_SECRET] for each in new)
        self._lengths = sorted({*self._lengths, *map(len, new)}, reverse=True)
        if not self._alphabet.issuperset(letters := set().union(*new)):
            self._alphabet |= letters
            letter = "".join(map(re.escape, sorted(self._alphabet)))
            self._runs = re.compile(f"[{letter}]{{{_SHORTEST_SECRET},}}")

    def redact(self, text: str) -> str:
        """Return *text* with every known secret blacked out; what overlaps becomes one blot."""
        kept, done = [], 0
        for start, end in self._found(text):
            if start >= done:
                kept.append(text[done:start])
            done = max(done, end)
        return _REDACTED.join([*kept, text[done:]]) if kept else text

    def _found(self, text: str) -> Sequence[tuple[int, int]]:
        """Return where secrets stand in *text*, in order of their beginnings."""
        size, heads = _SHORTEST_SECRET, self._heads
        if self._runs is None or len(text) < size:
            return ()
        starts = [
            at
            for run in self._runs.finditer(text)
            for at in range(run.start(), run.end() - size + 1)
            if text[at : at + size] in heads
        ]
        return [(at, at + length) for at in starts if (length := self._length_at(text, at))]

    def _length_at(self, text: str, at: int) -> int:
        """Return how long the longest secret is that begins at *at*; 0 for none."""
        return next((size for size in self._lengths if text[at : at + size] in self._known), 0)

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

    def without(self, text: str) -> str:
        """Return *text* without known secrets, and without whatever looks like credentials."""
        return _CREDENTIALS.sub(r"\1 " + _REDACTED, self.redact(text))


_CREDENTIALS = re.compile(r"(?i)\b(basic|token|bearer)\s+[A-Za-z0-9+/=_.~-]{8,}")

SECRETS = Secrets()
"""The one registry of this process."""


def _redact(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    scrubbed = SECRETS.scrub(dict(event))
    return {
        key: _CREDENTIALS.sub(r"\1 " + _REDACTED, each) if isinstance(each, str) else each
        for key, each in scrubbed.items()
    }


class _StandardError:
    """Writes each line to what standard error is *now*: whoever replaces it closes the old one."""

    def msg(self, message: str) -> None:
        sys.stderr.write(message + "\n")

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


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
        logger_factory=lambda *_: _StandardError(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_RedactingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


Reading = float | Mapping[str, float] | Mapping[tuple[str, ...], float]
"""What a figure is now; with a label, one figure for each of its values; with several, for each
tuple of theirs."""

Labels = str | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class _Figure:
    name: str
    text: str
    read: Callable[[], Reading]
    label: Labels
    counts: bool


class Metrics(Collector):
    """What ``/metrics`` shows. One per composed server, so that tests never share counts.

    Figures are read from their owners when somebody looks; nothing is counted twice, and the hot
    path knows nothing of metrics.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._figures: list[_Figure] = []
        self.registry.register(self)

    def counter(
        self, name: str, text: str, read: Callable[[], Reading], label: Labels = None
    ) -> None:
        """Show what *read* says as *name*_total; it never falls while the process lives."""
        self._figures.append(_Figure(name, text, read, label, counts=True))

    def gauge(
        self, name: str, text: str, read: Callable[[], Reading], label: Labels = None
    ) -> None:
        """Show what *read* says."""
        self._figures.append(_Figure(name, text, read, label, counts=False))

    def collect(self) -> Iterator[Metric]:
        """See ``prometheus_client.registry.Collector``."""
        for figure in self._figures:
            kind = CounterMetricFamily if figure.counts else GaugeMetricFamily
            names = (figure.label,) if isinstance(figure.label, str) else figure.label or ()
            family = kind(figure.name, figure.text, labels=names)
            reading = figure.read()
            if isinstance(reading, Mapping):
                for value, number in sorted(reading.items()):
                    family.add_metric((value,) if isinstance(value, str) else value, number)
            else:
                family.add_metric([], reading)
            yield family
