"""What partners would not take, for an operator's eyes: look at it, try it again, give it up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from cms.app.ports import Clock, ParkedObject, Store
from cms.app.writes import Audit, Delivery, PutDelivery, PutWorkItem, Write
from cms.domain.audit import AuditEntry, WorkAction, WorkItem
from cms.domain.errors import Conflict, NotFound
from cms.domain.ids import PartnerId
from ocpi_cpo.push.telling import DROPPED
from ocpi_cpo.push.worker import Worker


class Parking:
    """The parked objects of all partners.

    Args:
        worker: the one that serves a partner now; None while none does.
    """

    def __init__(
        self, store: Store, clock: Clock, worker: Callable[[PartnerId], Worker | None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._worker = worker

    async def of(self, partner: PartnerId) -> Sequence[ParkedObject]:
        """Return what is parked for *partner*, the longest first."""
        rows = await self._store.deliveries(partner, "parked")
        return sorted([await self._shown(row) for row in rows], key=lambda each: each.since)

    async def _shown(self, row: Delivery) -> ParkedObject:
        item = await self._item(row)
        about = await self._store.exchanges_about(row.kind, row.key)
        ours = [each for each in about if each.partner == row.partner and each.outbound]
        return ParkedObject(
            row.kind,
            row.key,
            row.error or "",
            row.at if item is None else item.opened_at,
            row.attempts,
            row.retry_at,
            ours[-1] if ours else None,
        )

    async def retry(self, partner: PartnerId, kind: str, key: str, who: str) -> None:
        """Try one thing now.

        Raises:
            NotFound: it is not parked.
            Conflict: nothing is pushed to the partner now.
        """
        await self._parked(partner, kind, key)
        worker = self._worker(partner)
        if worker is None:
            raise Conflict(f"nothing is pushed to {partner} now: it is not connected")
        await self._store.commit([Audit(self._entry("delivery.retried", partner, kind, key, who))])
        worker.again(kind, key)

    async def drop(
        self, partner: PartnerId, kind: str, key: str, who: str, why: str | None = None
    ) -> None:
        """Give one thing up; a bill for good, anything else until it changes.

        Raises:
            NotFound: it is not parked.
        """
        row = await self._parked(partner, kind, key)
        entry = self._entry("delivery.dropped", partner, kind, key, who, why)
        entry = replace(entry, before={"why": row.error, "attempts": row.attempts})
        unit: list[Write] = [
            PutDelivery(replace(row, state=DROPPED, at=self._clock(), retry_at=None)),
            Audit(entry),
        ]
        item = await self._item(row)
        if item is not None and item.closed_at is None:
            done = replace(
                item, closed_at=self._clock(), closed_by=who, action=WorkAction.DISMISS, note=why
            )
            unit.append(PutWorkItem(done))
        await self._store.commit(unit)
        if (worker := self._worker(partner)) is not None:
            worker.dropped(kind, key)

    async def _parked(self, partner: PartnerId, kind: str, key: str) -> Delivery:
        row = await self._store.delivery(partner, kind, key)
        if row is None or row.state != "parked":
            raise NotFound("parked object", f"{kind}:{key}")
        return row

    async def _item(self, row: Delivery) -> WorkItem | None:
        return await self._store.work_item(f"parked-delivery:{row.partner}:{row.kind}:{row.key}")

    def _entry(
        self, what: str, partner: PartnerId, kind: str, key: str, who: str, why: str | None = None
    ) -> AuditEntry:
        subject = f"{kind}:{key}"
        return AuditEntry(self._clock(), who, what, subject, after={"partner": partner}, reason=why)
