"""Sessions: lists, one with its price so far, its story."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from cms.app.ports import Page, SessionQuery
from cms.dashboard import sheets, views
from cms.dashboard.api.desk import Desk, Paged, narrowed
from cms.dashboard.routing import Call, Route
from cms.dashboard.views import Json
from cms.domain.ids import StationId
from cms.domain.partner import Right
from cms.domain.session import OPEN, Session, SessionStatus
from cms.intake.base import Intake, Moment


class SessionFilter(Intake):
    site: str | None = None
    charger: str | None = None
    status: SessionStatus | None = None
    running: bool | None = None
    started_from: Moment | None = None
    started_to: Moment | None = None
    id_token: str | None = None


class SessionsIn(Paged, SessionFilter):
    pass


class InvoiceReferenceIn(Intake):
    reference: Annotated[str, Field(min_length=1, max_length=39, pattern=r"^[\x21-\x7e]+$")]


class HandleIn(Intake):
    handle: Annotated[str, Field(min_length=1, max_length=200)]


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of sessions; all but one need the right to read only."""
    read = Right.READ
    its = Sessions(desk)
    return [
        Route("GET", "/sessions", read, its.sessions, query=SessionsIn),
        Route(
            "GET", "/sessions.csv", read, its.csv, query=SessionFilter, answer="csv", streams=True
        ),
        Route("GET", "/sessions/{id}", read, its.session),
        Route("GET", "/sessions/{id}/timeline", read, its.timeline),
        Route(
            "PUT",
            "/sessions/{id}/invoice-reference",
            Right.OPERATE,
            its.refer,
            InvoiceReferenceIn,
        ),
        Route("GET", "/explain", read, its.explain, query=HandleIn, answer="array"),
    ]


class Sessions:
    """Handlers of sessions."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def sessions(self, call: Call) -> Any:
        """Sessions, newest first."""
        found, total = await self._desk.store.sessions(self._session_query(call))
        return {
            "total": total,
            "sessions": [views.session(self._fresh(each.session)) for each in found],
        }

    async def csv(self, call: Call) -> web.StreamResponse:
        """The same as CSV, whole, oldest first."""
        query = replace(self._session_query(call), newest_first=False)

        async def page(window: Page) -> list[Json]:
            found, _ = await self._desk.store.sessions(replace(query, page=window))
            return [views.session(self._fresh(each.session)) for each in found]

        return await sheets.send(call.request, "sessions.csv", sheets.SESSION_COLUMNS, page)

    async def session(self, call: Call) -> Any:
        """One session."""
        session = await self._desk.session(call)
        return {**views.session(session), "price": await self._price(session)}

    async def refer(self, call: Call) -> Any:
        """Give the number of the invoice that will list its bill, before the bill is made."""
        session = await self._desk.session(call)
        given: str = call.body.reference
        await self._desk.settling.refer(session, given, call.caller.who)
        return {"session": session.id, "invoice_reference": given}

    async def timeline(self, call: Call) -> Any:
        """Its whole story, in site time."""
        session = await self._desk.session(call)
        return views.story(await self._desk.casefile.story(session))

    async def explain(self, call: Call) -> Any:
        """Stories that any handle leads to."""
        stories = await self._desk.casefile.stories(call.query.handle, call.caller.sites)
        return [views.story(each) for each in stories]

    def _session_query(self, call: Call) -> SessionQuery:
        given: SessionFilter = call.query
        status = None if given.status is None else frozenset({given.status})
        if given.running is not None and status is None:
            status = OPEN if given.running else frozenset(SessionStatus) - OPEN
        return SessionQuery(
            sites=narrowed(call, given.site),
            station=self._spelled(given.charger),
            status=status,
            started_from=given.started_from,
            started_to=given.started_to,
            id_token=given.id_token,
            newest_first=True,
            page=given.page() if isinstance(given, Paged) else Page(),
        )

    async def _price(self, session: Session) -> Json | None:
        """What the session's bill says, or what it would say now; None where nobody can tell."""
        if (bill := await self._desk.store.cdr_of(session.id)) is not None:
            return views.price(bill.cdr.total, bill.cdr.currency, final=True)
        if session.status not in OPEN:
            return None
        rating = await self._desk.running_price(session)
        return None if rating is None else views.price(rating.total, rating.currency, final=False)

    def _fresh(self, session: Session) -> Session:
        return self._desk.live.session(session.id) or session

    def _spelled(self, charger: str | None) -> StationId | None:
        if charger is None:
            return None
        return self._desk.catalogue.spelled(charger) or StationId(charger)
