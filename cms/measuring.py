"""Which figures ``/metrics`` shows, and whose they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cms.app.ports import Page
from cms.domain.audit import WorkType
from cms.domain.errors import StoreDown

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


def show(parts: Parts) -> WorkFigures:
    """Declare every figure; returns those that must be refreshed before each look."""
    _of_stations(parts)
    _of_store(parts)
    _of_partners(parts)
    work = WorkFigures(parts)
    gauge = parts.metrics.gauge
    gauge("cms_work_items_open", "Work items that wait for a person", work.by_type, "type")
    gauge("cms_work_item_oldest_seconds", "Age of the oldest of them", work.oldest_seconds)
    parts.metrics.counter(
        "cms_task_deaths",
        "Background tasks that ended by an exception and were started again",
        lambda: parts.supervisor.deaths,
    )
    return work


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


def _of_partners(parts: Parts) -> None:
    gauge, health = parts.metrics.gauge, parts.roaming.partner_health
    partners = parts.catalogue.partners

    gauge(
        "cms_partner_connected",
        "1 while its worker can reach it",
        lambda: {id: float(health(id).connected) for id in partners},
        "partner",
    )
    gauge(
        "cms_partner_lag_changes",
        "Changes that it has not seen yet",
        lambda: {id: health(id).lag for id in partners},
        "partner",
    )
    gauge(
        "cms_partner_parked",
        "Objects that it refuses",
        lambda: {id: health(id).parked for id in partners},
        "partner",
    )


def _statuses(parts: Parts) -> Mapping[str, float]:
    return Counter(str(state.status) for state in parts.live.evses())
