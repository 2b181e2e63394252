"""A simulated charging station: its behaviour, its firmware's habits and its make's quirks."""

from __future__ import annotations

from simulators.station.model import Meter, Transaction
from simulators.station.quirks import QUIRKS, WELL_BEHAVED, Make, make
from simulators.station.simulator import StationConfig, StationSimulator, stations
from simulators.station.wire import LinkLost, Refused

__all__ = [
    "QUIRKS",
    "WELL_BEHAVED",
    "LinkLost",
    "Make",
    "Meter",
    "Refused",
    "StationConfig",
    "StationSimulator",
    "Transaction",
    "make",
    "stations",
]
