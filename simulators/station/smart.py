"""Smart charging of a station: the profiles that it holds, and what they leave of its power."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

VOLTS, PHASES = 230, 3

MAX = ("ChargePointMaxProfile", "ChargingStationMaxProfile")


def moment(text: str) -> datetime:
    """An aware moment from the wire."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Held:
    """A profile as the backend set it.

    Attributes:
        periods: (seconds from the start, watts).
        start: None = relative to the start of the transaction.
    """

    id: int
    evse: int
    stack: int
    purpose: str
    transaction: str | None
    periods: tuple[tuple[int, float], ...]
    start: datetime | None = None
    duration: int | None = None

    def watts(self, at: datetime, began: datetime) -> float | None:
        """The limit at *at*; None where it says nothing."""
        elapsed = (at - (self.start or began)).total_seconds()
        if elapsed < 0 or (self.duration is not None and elapsed >= self.duration):
            return None
        held = [watts for offset, watts in self.periods if offset <= elapsed]
        return held[-1] if held else None

    def edges(self, began: datetime) -> Iterable[datetime]:
        """When its limit may change."""
        start = self.start or began
        ends = [offset for offset, _ in self.periods]
        if self.duration is not None:
            ends.append(self.duration)
        return [start + timedelta(seconds=each) for each in ends]


def held_from(profile: dict[str, Any], evse: int, schedule: dict[str, Any], id: int) -> Held:
    """The profile that a SetChargingProfile carries; keys as the `ocpp` package writes them.

    Raises:
        ValueError: the schedule does not begin at 0, or its periods do not rise.
    """
    factor = 1 if schedule["charging_rate_unit"] == "W" else VOLTS * PHASES
    periods = tuple(
        (each["start_period"], float(each["limit"]) * factor)
        for each in schedule["charging_schedule_period"]
    )
    offsets = [offset for offset, _ in periods]
    if not offsets or offsets[0] != 0 or offsets != sorted(set(offsets)):
        raise ValueError("periods")
    absolute = profile["charging_profile_kind"] == "Absolute"
    if absolute and "start_schedule" not in schedule:
        raise ValueError("start_schedule")
    name = profile.get("transaction_id")
    return Held(
        id,
        evse,
        profile["stack_level"],
        profile["charging_profile_purpose"],
        None if name is None else str(name),
        periods,
        moment(schedule["start_schedule"]) if absolute else None,
        schedule.get("duration"),
    )


@dataclass(slots=True)
class SmartCharging:
    """What a station holds.

    Attributes:
        local: EVSE -> watts that something on the spot allows (a grid limit, a switch).
    """

    profiles: dict[int, Held] = field(default_factory=dict)
    local: dict[int, float] = field(default_factory=dict)

    def put(self, held: Held) -> None:
        """Take a profile, in place of one of its number or of its level and purpose."""
        for each in list(self.profiles.values()):
            same = (each.evse, each.stack, each.purpose) == (held.evse, held.stack, held.purpose)
            if each.id == held.id or same:
                del self.profiles[each.id]
        self.profiles[held.id] = held

    def clear(
        self,
        id: int | None = None,
        evse: int | None = None,
        purpose: str | None = None,
        stack: int | None = None,
    ) -> bool:
        """Drop what fits; whether anything did."""
        gone = [
            each.id
            for each in self.profiles.values()
            if (id is None or each.id == id)
            and (evse is None or each.evse == evse)
            and (purpose is None or each.purpose == purpose)
            and (stack is None or each.stack == stack)
        ]
        for number in gone:
            del self.profiles[number]
        return bool(gone)

    def ended(self, transaction: str | None) -> None:
        """Drop the profiles of a transaction that is over."""
        for each in list(self.profiles.values()):
            if each.transaction is not None and each.transaction == transaction:
                del self.profiles[each.id]

    def watts(
        self, evse: int, transaction: str | None, began: datetime, at: datetime, most: float
    ) -> float:
        """What may flow at *evse*: the leading profile of each purpose, the lowest of them."""
        limits = [most, self.local.get(evse, most)]
        own = self._leading(("TxProfile",), evse, transaction, began, at)
        default = self._leading(("TxDefaultProfile",), evse, None, began, at)
        limits += [own if own is not None else default if default is not None else most]
        whole = self._leading(MAX, 0, None, began, at)
        limits += [] if whole is None else [whole]
        return min(limits)

    def _leading(
        self,
        purposes: tuple[str, ...],
        evse: int,
        transaction: str | None,
        began: datetime,
        at: datetime,
    ) -> float | None:
        fitting = [
            each
            for each in self.profiles.values()
            if each.purpose in purposes
            and each.evse in (evse, 0)
            and each.transaction in (None, transaction)
        ]
        for each in sorted(fitting, key=lambda held: -held.stack):
            if (watts := each.watts(at, began)) is not None:
                return watts
        return None

    def next_edge(self, began: datetime, at: datetime) -> datetime | None:
        """When something may change next."""
        edges = [edge for each in self.profiles.values() for edge in each.edges(began)]
        return min((edge for edge in edges if edge > at), default=None)

    def composite(
        self,
        evse: int,
        transaction: str | None,
        began: datetime,
        at: datetime,
        seconds: int,
        unit: str,
        most: float,
    ) -> list[dict[str, Any]]:
        """The plan for *seconds* from *at*, as periods of the wire."""
        edges = {at}
        for each in self.profiles.values():
            edges |= {e for e in each.edges(began) if at < e < at + timedelta(seconds=seconds)}
        factor = 1 if unit == "W" else VOLTS * PHASES
        found: list[dict[str, Any]] = []
        for edge in sorted(edges):
            watts = self.watts(evse, transaction, began, edge, most)
            limit = round(watts / factor, 1)
            if not found or found[-1]["limit"] != limit:
                offset = round((edge - at).total_seconds())
                found.append({"start_period": offset, "limit": limit})
        return found
