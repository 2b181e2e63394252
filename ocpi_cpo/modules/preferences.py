"""Charging preferences, sender: a driver says what matters, we say what can be done about it.

No charger is steered by them: a preference chooses the tariff. So none of them needs to know when
the driver leaves or how much energy they need, and neither is ever asked for; where both are given
and the connector cannot deliver that in time, we say so.
"""

from __future__ import annotations

from decimal import Decimal

from cms.app.catalogue import Catalogue
from cms.app.live import LiveState
from cms.app.preferring import Preferring
from cms.domain.ids import SessionId
from cms.domain.preference import Answer, Wish
from cms.domain.tariff import TariffKind
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
_WORD = {
    Answer.HOLDS: "ACCEPTED",
    Answer.NO_SUCH_TARIFF: "PROFILE_TYPE_NOT_SUPPORTED",
    Answer.NOT_POSSIBLE: "NOT_POSSIBLE",
}


class NotCapable(NotThere):
    """The EVSE takes no preferences."""

    code = 2001


class Preferences:
    """``PUT /sessions/{id}/charging_preferences``."""

    def __init__(
        self, preferring: Preferring, live: LiveState, catalogue: Catalogue, version: str
    ) -> None:
        self._preferring = preferring
        self._live = live
        self._catalogue = catalogue
        self._version = version

    def routes(self) -> list[Route]:
        if self._version not in VERSIONS:
            return []
        path = (self._version, "sessions", "*", "charging_preferences")
        return [Route("PUT", path, self._put)]

    async def _put(self, call: Call) -> Reply:
        wish = _wish(read(ChargingPreferences, call.body()))
        session = self._live.session(SessionId(call.path[0]))
        if session is None or session.owner not in call.parties or not session.running:
            raise NotThere("no such session")
        place = self._catalogue.place(session.ref)
        if place is None or CAPABLE not in place.evse.capabilities:
            raise NotCapable("this EVSE takes no charging preferences")
        return Reply(_WORD[await self._preferring.prefer(session.id, wish)])


def _wish(given: ChargingPreferences) -> Wish:
    need = given.energy_need
    wh = None if need is None else round(Decimal(str(need)) * 1000)
    return Wish(_KIND[given.profile_type], wh, given.departure_time)
