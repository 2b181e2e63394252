"""Live changes as server-sent events, as far as the caller may see them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from cms.dashboard import views
from cms.dashboard.api.desk import Desk
from cms.dashboard.routing import Call, Route, dumps
from cms.domain.ids import CdrId, EvseRef, SessionId
from cms.domain.partner import Right

KEEP_OPEN_SECONDS = 15.0


class Live:
    """The streams that are open now."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._streams: set[asyncio.Task[Any]] = set()

    def routes(self) -> Sequence[Route]:
        """Return the one route of events."""
        return [Route("GET", "/events", Right.READ, self.events, answer="events", streams=True)]

    async def events(self, call: Call) -> web.StreamResponse:
        """Live changes as server-sent events.

        The stream ends when the caller leaves, or may not look any more, or we stop. A comment
        every 15 s keeps the way open.
        """
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
            }
        )
        await response.prepare(call.request)
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            await self._follow(call, response)
        except (ConnectionResetError, asyncio.CancelledError):
            pass  # they left, or we stop
        finally:
            self._streams.discard(task)
        return response

    async def leave(self, _: object = None) -> None:
        """End every stream, so that a stop need not wait for browsers."""
        for task in list(self._streams):
            task.cancel()

    async def _follow(self, call: Call, response: web.StreamResponse) -> None:
        with self._desk.live.subscribed() as subscription:
            changes = aiter(subscription)
            waiting = asyncio.ensure_future(anext(changes))
            try:
                await response.write(b": live\n\n")
                while self._desk.access.caller(call.request) is not None:
                    done, _ = await asyncio.wait([waiting], timeout=KEEP_OPEN_SECONDS)
                    if not done:
                        await response.write(b": still here\n\n")
                        continue
                    touched = waiting.result()
                    waiting = asyncio.ensure_future(anext(changes))
                    if subscription.missed:
                        subscription.missed = False
                        await response.write(b"event: refresh\ndata: {}\n\n")
                    event = await self._event(call, touched.kind, touched.key)
                    if event is not None:
                        await response.write(event)
            finally:
                waiting.cancel()

    async def _event(self, call: Call, kind: str, key: str) -> bytes | None:
        """Return what *call* may see of a change, as a server-sent event; None for nothing."""
        match kind:
            case "evse":
                ref = EvseRef.parse(key)
                place = self._desk.catalogue.place(ref)
                if place is None or not call.caller.sees(place.location.id):
                    return None
                view = views.evse(self._desk.live.evse(ref), self._desk.live)
                data: dict[str, Any] = {**view, "site": place.location.id, "uid": place.evse.uid}
            case "session":
                session = await self._desk.known_session(SessionId(key))
                if session is None or not call.caller.sees(session.location):
                    return None
                data = views.session(session)
            case "cdr":
                bill = await self._desk.store.cdr(CdrId(key))
                if bill is None or not call.caller.sees(bill.cdr.place.location):
                    return None
                kind, data = "bill", views.cdr(bill)
            case _:
                return None
        return b"event: " + kind.encode() + b"\ndata: " + dumps(data) + b"\n\n"
