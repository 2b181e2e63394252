"""A roaming hub that stands between parties, speaks OCPI 2.2.1 or 2.3.0, and knows only the wire.

`Hub` is the whole hub; `PROFILES` are the habits of real ones; `Mode` and `Trouble` make it
misbehave; `Passage` is one request that went through it.
"""

from simulators.hub.hub import Hub
from simulators.hub.members import Client, Member, Status
from simulators.hub.passages import Passage
from simulators.hub.profiles import PROFILES, HubProfile
from simulators.hub.trouble import Mode, Trouble

__all__ = [
    "PROFILES",
    "Client",
    "Hub",
    "HubProfile",
    "Member",
    "Mode",
    "Passage",
    "Status",
    "Trouble",
]
