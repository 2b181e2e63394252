"""Wakes the lines that a change concerns, at once or when a delay has passed."""

from __future__ import annotations

from cms.app.catalogue import Catalogue
from cms.app.live import LiveState
from cms.app.ports import Clock
from cms.domain.ids import EvseRef, SessionId
from ocpi_cpo.past import Past
from ocpi_cpo.push.feed import SITES, SharedFeed
from ocpi_cpo.push.lines import Lines
from ocpi_cpo.push.telling import MODULE_OF

_OWNED = ("session", "profile")
"""Kinds whose key is a session's: only its owner hears."""

_WAITING = 10_000
"""Changes that may wait to be spread; beyond that every worker looks at everything."""


class News:
    """Spreads what is published. What is missed here, the lines' own poll finds."""

    def __init__(
        self,
        live: LiveState,
        catalogue: Catalogue,
        lines: Lines,
        feed: SharedFeed,
        past: Past,
        clock: Clock,
    ) -> None:
        self._live = live
        self._catalogue = catalogue
        self._lines = lines
        self._feed = feed
        self._past = past
        self._clock = clock
        self._due_looked = clock()

    async def spread(self) -> None:
        """Wake the workers that a change concerns, until cancelled."""
        with self._live.subscribed(_WAITING) as news:
            async for touched in news:
                kinds = {touched.kind} if not news.missed else MODULE_OF.keys()
                news.missed = False
                if len(kinds) > 1:
                    self._past.again()
                elif touched.kind == "evse":
                    self._past.note(EvseRef.parse(touched.key))
                for kind in kinds & MODULE_OF.keys():
                    self._tell(kind, touched.key)

    async def tell_due(self) -> None:
        """Tell those who hear of statuses later what they may hear by now."""
        now, before = self._clock(), self._due_looked
        self._due_looked = now
        for partner, worker in self._lines:
            if delay := self._catalogue.sharing_of(partner).delay:
                due = self._past.between(before - delay, now - delay)
                worker.due(str(ref) for ref in due)

    def _tell(self, kind: str, key: str) -> None:
        """Wake the owner's worker, or everybody's where the owner is not in memory."""
        if kind in ("tariff", "location"):
            self._lines.look_at_broadcasts()
        if kind in SITES:
            self._feed.news()
        session = self._live.session(SessionId(key)) if kind in _OWNED else None
        for partner, worker in self._lines:
            if session is None or session.owner == partner:
                worker.news(kind)
