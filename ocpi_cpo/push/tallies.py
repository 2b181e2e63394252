"""How requests to each partner ended, by module: the last hour for people, all of them for graphs.

Counted where every request passes (``PartnerApi.call``). Memory only and bounded: modules are
OCPI's own names, classes those of ``answers.Kind``, an hour is sixty minutes.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cms.app.ports import Clock
from cms.domain.ids import PartnerId
from ocpi_cpo.answers import PartnerAnswer

HOUR = timedelta(hours=1)
MODULES = (
    "cdrs",
    "chargingprofiles",
    "commands",
    "credentials",
    "hubclientinfo",
    "invoicereconciliation",
    "locations",
    "sessions",
    "tariffs",
    "tokens",
    "versions",
)
OTHER = "other"
"""Of an address that belongs to no module, e.g. one that a partner gave for a command's result."""

Cell = tuple[str, str]
"""Module and class."""


@dataclass(slots=True)
class Tally:
    """One partner's counts.

    Attributes:
        total: since the process began.
        last_success_at: when it last took or gave what it was asked for.
        last_error: what it last said or did instead; None once something succeeded since.
    """

    total: Counter[Cell] = field(default_factory=Counter)
    last_success_at: datetime | None = None
    last_error: str | None = None
    _minutes: deque[tuple[datetime, Counter[Cell]]] = field(default_factory=deque)

    def note(self, module: str, answer: PartnerAnswer, now: datetime) -> None:
        """Count one answer."""
        cell = (module if module in MODULES else OTHER, answer.kind.value)
        minute = now.replace(second=0, microsecond=0)
        if not self._minutes or self._minutes[-1][0] != minute:
            self._minutes.append((minute, Counter()))
        self._forget(now)
        self._minutes[-1][1][cell] += 1
        self.total[cell] += 1
        if answer.ok:
            self.last_success_at, self.last_error = now, None
        else:
            self.last_error = answer.text

    def last_hour(self, now: datetime) -> Mapping[str, Mapping[str, int]]:
        """Return module -> class -> how many, of the sixty minutes before *now*."""
        self._forget(now)
        found: dict[str, dict[str, int]] = {}
        for _, cells in self._minutes:
            for (module, kind), count in cells.items():
                kinds = found.setdefault(module, {})
                kinds[kind] = kinds.get(kind, 0) + count
        return {module: dict(sorted(found[module].items())) for module in sorted(found)}

    def _forget(self, now: datetime) -> None:
        while self._minutes and now - self._minutes[0][0] > HOUR:
            self._minutes.popleft()


class Tallies:
    """Everybody's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._all: dict[PartnerId, Tally] = {}

    def of(self, partner: PartnerId) -> Tally:
        return self._all.setdefault(partner, Tally())

    def note(self, partner: PartnerId, module: str, answer: PartnerAnswer) -> None:
        """Count one answer of *partner*."""
        self.of(partner).note(module, answer, self._clock())
