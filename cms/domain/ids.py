"""Identifiers. One type per kind of thing, so that mypy catches a swapped argument."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NewType
from uuid import UUID

StationId = NewType("StationId", str)
"""A charging station's OCPP identity, in the spelling that the catalogue keeps.

1 to 48 characters of ``[A-Za-z0-9*_=+|@.:-]``, compared without case at the edge only.
"""

LocationId = NewType("LocationId", str)
TariffId = NewType("TariffId", str)
SessionId = NewType("SessionId", str)
"""Ours, at most 36 characters; partners know a session and its CDR by it for ever."""

CdrId = NewType("CdrId", str)
"""Derived from the session's id: a session can never get two CDRs under two names."""

CommandId = NewType("CommandId", str)
TransactionId = NewType("TransactionId", str)
"""What the charger calls its transaction, as text; unique per station only."""

ReservationId = NewType("ReservationId", int)
"""The number that a charger knows a reservation by: ours, positive, 31 bits."""

TariffHash = NewType("TariffHash", str)
"""Content hash of a tariff as it was when a session started."""

PartnerId = NewType("PartnerId", str)
"""``country_code*party_id`` of a roaming partner, upper case, e.g. ``"IN*EMS"``."""

EvseUid = NewType("EvseUid", str)
"""The id by which partners know an EVSE. Stable for ever; a moved EVSE gets a new one."""


@dataclass(frozen=True, slots=True, order=True)
class EvseRef:
    """One EVSE of one station, e.g. ``EvseRef(StationId("CS1"), 2)``, written ``CS1/2``."""

    station: StationId
    evse: int

    def __str__(self) -> str:
        return f"{self.station}/{self.evse}"

    @classmethod
    def parse(cls, text: str) -> EvseRef:
        """Read back what ``str()`` wrote.

        Raises:
            ValueError: if *text* is not ``station/number``.
        """
        station, _, evse = text.rpartition("/")
        if not station:
            raise ValueError(f"not an EVSE reference: {text!r}")
        return cls(StationId(station), int(evse))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def new_session_id(now: datetime) -> SessionId:
    """Draw a session's id: a UUID of version 7 (RFC 9562), whose first 48 bits are the time.

    In order of time, because each of them stands in four indexes: random ids would touch a page of
    each per session, and pages are what a commit costs.
    """
    milliseconds = (now - _EPOCH) // _MILLISECOND
    random = int.from_bytes(os.urandom(10), "big")
    high, low = random >> 68, random & ((1 << 62) - 1)  # 12 and 62 random bits
    return SessionId(str(UUID(int=milliseconds << 80 | 7 << 76 | high << 64 | 2 << 62 | low)))
