"""Which versions of OCPI the partner speaks."""

from __future__ import annotations

from simulators.emsp.speech import Speech
from simulators.emsp.speech211 import Speech211
from simulators.emsp.speech220 import Speech220
from simulators.emsp.speech230 import Speech230

SPEECHES: dict[str, Speech] = {
    each.version: each for each in (Speech211(), Speech220(), Speech(), Speech230())
}
