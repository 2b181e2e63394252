"""The bodies by which partners hear of a status: made once for all who see the same of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cms.app.catalogue import EvsePlace
from cms.domain.ids import EvseRef
from cms.domain.status import EvseState
from cms.domain.topology import ChargingStation, Location
from ocpi_cpo.pages import Group, Network, status_of
from ocpi_cpo.wire import dumps


@dataclass(frozen=True, slots=True)
class Shown:
    """What a PATCH of an EVSE tells.

    Attributes:
        status: as ``pages.status_of`` says it.
    """

    uid: str
    status: tuple[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Made:
    state: EvseState
    moved_at: datetime | None
    station: ChargingStation
    site: Location
    shown: Shown


class Statuses:
    """Serves all lines that speak one version."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._made: dict[tuple[Group, EvseRef], _Made] = {}

    def of(self, place: EvsePlace, group: Group) -> Shown:
        """Return what partners of *group* are told of an EVSE now."""
        if not group.live:  # what these may see depends on the hour as well
            return self._shown(place, group)
        ref, live = place.evse.ref, self._network.live
        state, moved_at = live.evse(ref), live.updated("evse", str(ref))
        known = self._made.get((group, ref))
        if (
            known is None
            or known.state is not state
            or known.moved_at != moved_at
            or known.station is not place.station
            or known.site is not place.location
        ):
            known = _Made(state, moved_at, place.station, place.location, self._shown(place, group))
            self._made[group, ref] = known
        return known.shown

    def _shown(self, place: EvsePlace, group: Group) -> Shown:
        view = self._network.view(place, group)
        body = dumps(self._network.dialect.evse_status(view))
        return Shown(view.evse.uid, status_of(view), body)
