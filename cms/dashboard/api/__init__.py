"""The HTTP API, one room per subject. Checked values in, plain data out.

Each room holds its routes, the models of what they take, and their handlers.
"""

from __future__ import annotations

from collections.abc import Sequence

from cms.dashboard.api import (
    bills,
    commands,
    corrections,
    invoices,
    keys,
    network,
    partners,
    prices,
    profiles,
    reservations,
    sessions,
    tokens,
    work,
)
from cms.dashboard.api.desk import Desk
from cms.dashboard.api.live import Live
from cms.dashboard.routing import Route

__all__ = ["Api", "Desk"]


class Api:
    """All rooms over one desk; ``routes`` is the whole API."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._live = Live(desk)

    def routes(self) -> Sequence[Route]:
        """Return every route that is served, and nothing else is."""
        desk = self._desk
        return [
            *network.routes(desk),
            *commands.routes(desk),
            *profiles.routes(desk),
            *reservations.routes(desk),
            *sessions.routes(desk),
            *bills.routes(desk),
            *corrections.routes(desk),
            *invoices.routes(desk),
            *self._live.routes(),
            *prices.routes(desk),
            *tokens.routes(desk),
            *partners.routes(desk),
            *keys.routes(desk),
            *work.routes(desk),
        ]

    async def leave(self, _: object = None) -> None:
        """End every stream, so that a stop need not wait for browsers."""
        await self._live.leave()
