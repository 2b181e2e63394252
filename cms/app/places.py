"""Where an event happened, when a charger does not say it well."""

from __future__ import annotations

from cms.app.catalogue import Catalogue
from cms.app.live import LiveState
from cms.app.writes import CommandRecord
from cms.domain.ids import EvseRef, LocationId, StationId
from cms.domain.status import ConnectorReport, EvseState
from cms.domain.transaction import TransactionEvent


class Places:
    def __init__(self, catalogue: Catalogue, live: LiveState) -> None:
        self._catalogue = catalogue
        self._live = live

    def evse(self, station: StationId, event: TransactionEvent, start: CommandRecord | None) -> int:
        """Return where an event happened; 0 where that cannot be told."""
        if event.evse:
            return event.evse
        if start is not None and start.evse:
            return start.evse
        states = self._live.station(station)
        if len(states) == 1:
            return states[0].ref.evse
        busy = [state for state in states if state.session is None and _busy(state)]
        return busy[0].ref.evse if len(busy) == 1 else 0

    def connector(self, ref: EvseRef, number: int | None) -> int:
        """Return the connector whose price counts."""
        place = self._catalogue.place(ref)
        if place is None:
            return number or 1
        known = place.evse.connector(number) if number else None
        return known.number if known else place.evse.connectors[0].number

    def known(self, ref: EvseRef) -> bool:
        """Whether the operator's description has that EVSE."""
        return self._catalogue.place(ref) is not None

    def location(self, station: StationId) -> LocationId | None:
        """Return the site of a station."""
        known = self._catalogue.stations.get(station)
        return None if known is None else known.location


def _busy(state: EvseState) -> bool:
    reports = set(state.connectors.values())
    return bool(reports & {ConnectorReport.OCCUPIED, ConnectorReport.CHARGING})
