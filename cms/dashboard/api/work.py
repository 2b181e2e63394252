"""What waits for a person, what was changed, and our whole ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from cms.app.ports import Page
from cms.dashboard import views
from cms.dashboard.api.desk import Desk, Paged, only_all_sites
from cms.dashboard.routing import Call, Route, dumps
from cms.domain.audit import WorkAction
from cms.domain.errors import NotFound
from cms.domain.ids import StationId
from cms.domain.partner import Right
from cms.intake.base import Intake

MOST_WORK_ITEMS = 100_000


class WorkIn(Paged):
    open: bool = True


class ActionIn(Intake):
    action: WorkAction
    note: Annotated[str, Field(max_length=1000)] | None = None
    target: str | None = None
    """For ``join`` the session's id, for ``assign`` ``partner:uid`` or ``own:uid``."""


class AuditIn(Paged):
    subject: str | None = None


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of work items, ledger and audit."""
    operate, admin = Right.OPERATE, Right.ADMIN
    its = Work(desk)
    return [
        Route("GET", "/work-items", operate, its.work_items, query=WorkIn, answer="array"),
        Route("POST", "/work-items/{id}/actions", operate, its.act, ActionIn),
        Route("GET", "/ledger.jsonl", admin, its.ledger, answer="lines", streams=True),
        Route("GET", "/audit", admin, its.audit, query=AuditIn, answer="array"),
    ]


class Work:
    """Handlers of work items, ledger and audit."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def work_items(self, call: Call) -> Any:
        """What waits for a person."""
        given: WorkIn = call.query
        if call.caller.sites is None:
            items = await self._desk.work.items(given.open, given.page())
        else:
            every = await self._desk.work.items(given.open, Page(limit=MOST_WORK_ITEMS))
            seen = [each for each in every if self._sees_work(call, each.station)]
            items = seen[given.offset : given.offset + given.limit]
        return [views.work_item(each) for each in items]

    async def act(self, call: Call) -> Any:
        """Do something about it."""
        given: ActionIn = call.body
        item = await self._desk.store.work_item(call.part("id"))
        if item is None or not self._sees_work(call, item.station):
            raise NotFound("work item", call.part("id"))
        closed = await self._desk.work.act(
            item.id, given.action, call.caller.who, note=given.note, target=given.target
        )
        return views.work_item(closed)

    async def ledger(self, call: Call) -> web.StreamResponse:
        """Sessions, bills, frames and work items as JSON lines.

        Written line by line; it may be longer than memory.
        """
        only_all_sites(call)
        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        await response.prepare(call.request)
        async for line in self._desk.sums.ledger():
            await response.write(dumps(line) + b"\n")
        return response

    async def audit(self, call: Call) -> Any:
        """Who changed what."""
        given: AuditIn = call.query
        only_all_sites(call)
        rows = await self._desk.store.audit(given.subject, given.page())
        return [views.audit_entry(each) for each in rows]

    def _sees_work(self, call: Call, station: str | None) -> bool:
        if call.caller.sites is None:
            return True
        known = self._desk.catalogue.stations.get(StationId(station or ""))
        return known is not None and call.caller.sees(known.location)
