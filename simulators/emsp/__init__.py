"""A roaming partner (eMSP) that speaks OCPI 2.1.1, 2.2, 2.2.1 or 2.3.0 and knows nothing but the wire.

`Emsp` is the whole partner; `Driver` is its app; `Fault` and `Kind` make it misbehave;
`PRESETS` are the habits of real ones; `Script` decides what a real-time authorisation is answered; `rate` recomputes a CDR.
"""

from simulators.emsp.client import Answer, RegistrationFailed
from simulators.emsp.commands import Command
from simulators.emsp.driver import Drive, Driver
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.partner import Emsp
from simulators.emsp.presets import PRESETS, Preset
from simulators.emsp.rating import rate
from simulators.emsp.store import Arrival, Complaint, Version, key_of
from simulators.emsp.tokens import Script

__all__ = [
    "PRESETS",
    "Answer",
    "Arrival",
    "Command",
    "Complaint",
    "Drive",
    "Driver",
    "Emsp",
    "Fault",
    "Kind",
    "Preset",
    "RegistrationFailed",
    "Script",
    "Version",
    "key_of",
    "rate",
]
