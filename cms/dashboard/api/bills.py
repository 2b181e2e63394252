"""Bills, and what they come to per site and day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Annotated, Any
from urllib.parse import quote

from aiohttp import web
from pydantic import Field, ValidationInfo, field_validator

from cms.app.ports import CdrQuery, Page
from cms.app.sums import SumQuery
from cms.dashboard import sheets, views
from cms.dashboard.api.desk import Desk, Paged, narrowed, only_all_sites
from cms.dashboard.routing import Call, Route, Text
from cms.dashboard.views import Json
from cms.domain.errors import NotFound
from cms.domain.ids import CdrId
from cms.domain.partner import Right
from cms.intake.base import Intake, Moment

Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2199, 12, 31))]
MOST_DAYS = 1100


class CdrFilter(Intake):
    site: str | None = None
    ended_from: Moment | None = None
    ended_to: Moment | None = None


class CdrsIn(Paged, CdrFilter):
    pass


class DaysIn(Intake):
    """Days of each site's own calendar, both included; three years at most."""

    first: Day
    last: Day
    site: str | None = None

    @field_validator("last")
    @classmethod
    def _in_order(cls, last: date, info: ValidationInfo) -> date:
        first = info.data.get("first")
        if first is not None and not 0 <= (last - first).days < MOST_DAYS:
            raise ValueError(f"expected first or a later day, at most {MOST_DAYS} days on")
        return last


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of bills and sums; each needs the right to read."""
    read = Right.READ
    its = Bills(desk)
    return [
        Route("GET", "/cdrs", read, its.cdrs, query=CdrsIn),
        Route("GET", "/cdrs.csv", read, its.cdrs_csv, query=CdrFilter, answer="csv", streams=True),
        Route("GET", "/cdrs/{id}", read, its.cdr),
        Route("GET", "/cdrs/{id}/evidence.zip", Right.ADMIN, its.evidence, answer="zip"),
        Route("GET", "/sums", read, its.sums, query=DaysIn, answer="array"),
        Route("GET", "/sums.csv", read, its.sums_csv, query=DaysIn, answer="csv"),
    ]


class Bills:
    """Handlers of bills and sums."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def cdrs(self, call: Call) -> Any:
        """Bills, newest first."""
        found, total = await self._desk.store.cdrs(self._cdr_query(call))
        return {"total": total, "cdrs": [views.cdr(each) for each in found]}

    async def cdrs_csv(self, call: Call) -> web.StreamResponse:
        """The same as CSV, whole, oldest first."""
        query = replace(self._cdr_query(call), newest_first=False)

        async def page(window: Page) -> list[Json]:
            found, _ = await self._desk.store.cdrs(replace(query, page=window))
            return [sheets.cdr_row(views.cdr(each)) for each in found]

        return await sheets.send(call.request, "cdrs.csv", sheets.CDR_COLUMNS, page)

    async def cdr(self, call: Call) -> Any:
        """One bill with its trace."""
        found = await self._desk.store.cdr(CdrId(call.part("id")))
        if found is None or not call.caller.sees(found.cdr.place.location):
            raise NotFound("bill", call.part("id"))
        return views.cdr(found)

    async def evidence(self, call: Call) -> Any:
        """Everything that one bill rests on, to hand to whoever disputes it."""
        only_all_sites(call)
        bundle = await self._desk.evidence.bundle(CdrId(call.part("id")))
        return Text(bundle.archive, "application/zip", f"evidence-{quote(bundle.bill, '')}.zip")

    async def sums(self, call: Call) -> Any:
        """Energy and revenue per site and calendar day."""
        given: DaysIn = call.query
        sites = narrowed(call, given.site)
        found = await self._desk.sums.sums(SumQuery(given.first, given.last, sites))
        return [views.day_sum(each) for each in found]

    async def sums_csv(self, call: Call) -> Any:
        """The same as CSV."""
        return Text(sheets.table(sheets.SUM_COLUMNS, await self.sums(call)), "text/csv", "sums.csv")

    def _cdr_query(self, call: Call) -> CdrQuery:
        given: CdrFilter = call.query
        return CdrQuery(
            sites=narrowed(call, given.site),
            ended_from=given.ended_from,
            ended_to=given.ended_to,
            newest_first=True,
            page=given.page() if isinstance(given, Paged) else Page(),
        )
