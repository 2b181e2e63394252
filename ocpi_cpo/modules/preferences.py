"""Charging preferences, sender: a driver says what matters, we say what can be done about it.

No charger is steered by preferences yet, so the only preference that can be met is the one that
the session runs under already; the rest is answered with the reason, never with a promise.
"""

from __future__ import annotations

from cms.app.catalogue import Catalogue, EvsePlace
from cms.app.live import LiveState
from cms.app.ports import Clock, Store
from cms.domain.ids import SessionId
from cms.domain.session import Session
from cms.domain.tariff import Tariff, TariffKind
from ocpi_cpo.envelope import Reply
from ocpi_cpo.errors import NotThere
from ocpi_cpo.server import Call, Route
from ocpi_cpo.versions.v221.models import ChargingPreferences, read

VERSIONS = frozenset({"2.2", "2.2.1", "2.3.0"})
"""Those that have this interface; its text is the same in both."""

CAPABLE = "CHARGING_PREFERENCES_CAPABLE"

_KIND = {
    "CHEAP": TariffKind.PROFILE_CHEAP,
    "FAST": TariffKind.PROFILE_FAST,
    "GREEN": TariffKind.PROFILE_GREEN,
    "REGULAR": TariffKind.REGULAR,
}


class NotCapable(NotThere):
    """The EVSE takes no preferences."""

    code = 2001


class Preferences:
    """``PUT /sessions/{id}/charging_preferences``."""

    def __init__(
        self, store: Store, live: LiveState, catalogue: Catalogue, clock: Clock, version: str
    ) -> None:
        self._store = store
        self._live = live
        self._catalogue = catalogue
        self._clock = clock
        self._version = version

    def routes(self) -> list[Route]:
        if self._version not in VERSIONS:
            return []
        path = (self._version, "sessions", "*", "charging_preferences")
        return [Route("PUT", path, self._put)]

    async def _put(self, call: Call) -> Reply:
        wish = read(ChargingPreferences, call.body())
        session = self._live.session(SessionId(call.path[0]))
        if session is None or session.owner not in call.parties or not session.running:
            raise NotThere("no such session")
        place = self._catalogue.place(session.ref)
        if place is None or CAPABLE not in place.evse.capabilities:
            raise NotCapable("this EVSE takes no charging preferences")
        return Reply(await self._answer(_KIND[wish.profile_type], session, place))

    async def _answer(self, wanted: TariffKind, session: Session, place: EvsePlace) -> str:
        running = None
        if session.tariff is not None:
            running = await self._store.tariff_snapshot(session.tariff)
        if running is not None and _serves(running, wanted):
            return "ACCEPTED"
        number = session.connector or place.evse.connectors[0].number
        shown = self._catalogue.tariffs_for(session.ref, number, session.owner, self._clock())
        if not any(_serves(each, wanted) for each in shown):
            return "PROFILE_TYPE_NOT_SUPPORTED"
        return "NOT_POSSIBLE"


def _serves(tariff: Tariff, wanted: TariffKind) -> bool:
    """Whether sessions of that kind run under *tariff*; one without a kind is a regular one."""
    return (tariff.kind or TariffKind.REGULAR) is wanted
