"""How each partner does: what operators look at, and what the figures are made of."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from cms.app.ports import Clock, PartnerHealth, Store
from cms.domain.ids import PartnerId
from ocpi_cpo.connections import Connection, Connections
from ocpi_cpo.push.syncing import KINDS, Syncing
from ocpi_cpo.push.tallies import Tallies
from ocpi_cpo.push.worker import Worker


class Health:
    """Gathers it from the connection, the worker, the tallies and the feed.

    Args:
        worker: the one that serves a partner now; None while none does.
        brought: what is pushed to a partner under its own name; the rest a hub is told for all.
    """

    def __init__(
        self,
        store: Store,
        connections: Connections,
        tallies: Tallies,
        syncing: Syncing,
        worker: Callable[[PartnerId], Worker | None],
        brought: Callable[[PartnerId], Collection[str]],
        clock: Clock,
    ) -> None:
        self._store = store
        self._connections = connections
        self._tallies = tallies
        self._syncing = syncing
        self._worker = worker
        self._brought = brought
        self._clock = clock

    async def of(self, partner: PartnerId) -> PartnerHealth:
        """Return how *partner* does now. Nothing secret is in it.

        Raises:
            StoreDown: the feed cannot be read.
        """
        connection, tally = self._connections.get(partner), self._tallies.of(partner)
        requests = tally.last_hour(self._clock())
        if connection is None:
            return PartnerHealth(
                partner, False, tally.last_success_at, tally.last_error, requests=requests
            )
        worker = self._worker(partner)
        unseen, oldest = await self._unseen(connection, worker)
        return PartnerHealth(
            partner,
            connection.connected,
            tally.last_success_at,
            (worker.last_error if worker is not None else None) or tally.last_error,
            sum(unseen.values()),
            len(await self._store.deliveries(partner, "parked")),
            str(connection.state),
            connection.version,
            connection.registered_at,
            oldest,
            unseen,
            worker.failures if worker is not None else 0,
            worker.pause_seconds if worker is not None else 0.0,
            requests,
            connection.renewed_at,
            connection.tokens_pulled_to,
            self._syncing.states(connection, unseen),
        )

    async def _unseen(
        self, connection: Connection, worker: Worker | None
    ) -> tuple[dict[str, int], datetime | None]:
        """Return by module what the partner has not been told, and when the oldest was made."""
        if not connection.registered:
            return {}, None
        cursors = await self._store.cursors(connection.partner)
        brought = self._brought(connection.partner)
        streams = {each.name: each for each in worker.streams} if worker is not None else {}
        counts: dict[str, int] = {}
        moments = []
        for module, kinds in KINDS.items():
            if module not in brought or connection.endpoint(module, "RECEIVER") is None:
                continue
            stream, told = streams.get(module), cursors.get(connection.cursor(module), 0)
            if stream is not None and stream.exhausted:
                told = max(told, stream.fetched_to)
                count, oldest = stream.unseen()
                later, first = await self._store.unseen(connection.partner, kinds, told)
                counts[module], oldest = count + later, oldest or first
            else:
                counts[module], oldest = await self._store.unseen(connection.partner, kinds, told)
            moments += [oldest] if oldest is not None else []
        return counts, min(moments, default=None)
