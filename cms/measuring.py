"""Which figures ``/metrics`` shows, and whose they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cms.app.ports import Page, PartnerHealth
from cms.domain.audit import WorkType
from cms.domain.errors import StoreDown
from cms.domain.ids import PartnerId

if TYPE_CHECKING:
    from cms.bootstrap import Parts

MOST_WORK_ITEMS = 100_000


class WorkFigures:
    """Open work items by type, as last read from the store."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._open: Counter[str] = Counter()
        self._oldest_seconds = 0.0

    async def refresh(self) -> None:
        """Read them; while the store is down the last figures stand."""
        try:
            items = await self._parts.store.work_items(True, Page(limit=MOST_WORK_ITEMS))
        except StoreDown:
            return
        self._open = Counter(str(each.type) for each in items)
        now = self._parts.clock()
        ages = [(now - each.opened_at).total_seconds() for each in items]
        self._oldest_seconds = max(ages, default=0.0)

    def by_type(self) -> Mapping[str, float]:
        return {str(type): float(self._open[str(type)]) for type in WorkType}

    def oldest_seconds(self) -> float:
        return self._oldest_seconds


class PartnerFigures:
    """How partners did when somebody last looked; bounded by their number."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._healths: dict[str, PartnerHealth] = {}

    async def refresh(self) -> None:
        """Look; while the store is down the last figures stand."""
        health = self._parts.roaming.partner_health
        try:
            self._healths = {id: await health(id) for id in tuple(self._parts.catalogue.partners)}
        except StoreDown:
            return

    def each(self, read: Callable[[PartnerHealth], float]) -> Callable[[], Mapping[str, float]]:
        """Return a reading of one figure of every partner."""
        return lambda: {id: read(health) for id, health in self._healths.items()}

    def age(self, at: datetime | None) -> float:
        """Return how many seconds ago something was; 0 for what never was."""
        return 0.0 if at is None else max(0.0, (self._parts.clock() - at).total_seconds())

    def requests(self) -> Mapping[tuple[str, ...], float]:
        """Return how requests ended, by partner, module and class."""
        tallies = self._parts.roaming.tallies
        return {
            (id, module, kind): float(count)
            for id in self._healths
            for (module, kind), count in tallies.of(PartnerId(id)).total.items()
        }


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures that are read from the store, which takes a moment."""

    work: WorkFigures
    partners: PartnerFigures

    async def refresh(self) -> None:
        await self.work.refresh()
        await self.partners.refresh()


def show(parts: Parts) -> Figures:
    """Declare every figure; returns those that must be refreshed before each look."""
    _of_stations(parts)
    _of_store(parts)
    partners = PartnerFigures(parts)
    _of_partners(parts, partners)
    work = WorkFigures(parts)
    gauge = parts.metrics.gauge
    gauge("cms_work_items_open", "Work items that wait for a person", work.by_type, "type")
    gauge("cms_work_item_oldest_seconds", "Age of the oldest of them", work.oldest_seconds)
    parts.metrics.counter(
        "cms_task_deaths",
        "Background tasks that ended by an exception and were started again",
        lambda: parts.supervisor.deaths,
    )
    return Figures(work, partners)


def _of_stations(parts: Parts) -> None:
    counter, gauge, gateway = parts.metrics.counter, parts.metrics.gauge, parts.gateway
    gauge("cms_stations_online", "Stations with a connection now", lambda: len(gateway.online()))
    gauge("cms_evses", "EVSEs by what partners see", lambda: _statuses(parts), "status")
    gauge(
        "cms_sessions_open",
        "Sessions that run or wait to be settled",
        lambda: len(parts.live.sessions()),
    )
    counter("cms_messages", "Frames read from stations", lambda: gateway.counters.frames_in)
    counter("cms_messages_sent", "Frames sent to stations", lambda: gateway.counters.frames_out)
    counter(
        "cms_messages_malformed",
        "Frames that are no message",
        lambda: gateway.counters.frames_malformed,
    )
    counter("cms_takeovers", "Newer sockets won", lambda: gateway.counters.takeovers)
    counter(
        "cms_sockets_dead", "Sockets given up for silence", lambda: gateway.counters.sockets_dead
    )
    counter(
        "cms_calls_timed_out",
        "Commands that a station never answered",
        lambda: gateway.counters.calls_timed_out,
    )
    counter(
        "cms_acks_overdue",
        "Sockets closed because the store was too slow to answer",
        lambda: gateway.counters.acks_overdue,
    )
    counter(
        "cms_repairs", "Repairs of stations' messages", lambda: dict(gateway.notebook.total), "code"
    )
    counter(
        "cms_handshakes_refused",
        "Refused handshakes",
        lambda: dict(gateway.refused.totals),
        "reason",
    )


def _of_store(parts: Parts) -> None:
    counter, gauge, store = parts.metrics.counter, parts.metrics.gauge, parts.store
    gauge("cms_store_up", "1 while the store can commit", lambda: float(store.healthy))
    gauge("cms_store_waiting", "Units that wait to become durable", lambda: store.waiting)
    counter("cms_store_groups", "Durable transactions", lambda: store.groups[0])
    counter("cms_store_units", "Units of work in them", lambda: store.groups[1])


def _of_partners(parts: Parts, of: PartnerFigures) -> None:
    gauge, label = parts.metrics.gauge, "partner"
    for name, text, read in (
        ("connected", "1 while it is registered", lambda h: float(h.connected)),
        ("lag_changes", "Changes that it has not seen yet", lambda h: float(h.lag)),
        ("lag_seconds", "Age of the oldest of them", lambda h: of.age(h.oldest_unseen_at)),
        ("parked", "Objects that it refuses", lambda h: float(h.parked)),
        ("failures", "Requests in a row without a usable answer", lambda h: float(h.failures)),
        ("silent_seconds", "Since it last took what it was told", lambda h: of.age(h.last_success_at)),
        ("token_age_seconds", "Since its tokens were exchanged", lambda h: of.age(h.tokens_renewed_at)),
    ):  # fmt: skip
        gauge(f"cms_partner_{name}", text, of.each(read), label)
    parts.metrics.counter(
        "cms_partner_requests",
        "Requests to partners by how they ended",
        of.requests,
        ("partner", "module", "class"),
    )


def _statuses(parts: Parts) -> Mapping[str, float]:
    return Counter(str(state.status) for state in parts.live.evses())
