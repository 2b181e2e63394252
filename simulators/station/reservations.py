"""What a charger holds for drivers who are still on their way, in both versions of OCPP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ocpp.v201 import call as call201

from simulators.station.model import Outlet

if TYPE_CHECKING:
    from simulators.station.simulator import StationSimulator


@dataclass(frozen=True, slots=True)
class Reserved:
    """One reservation, as the charger keeps it.

    Attributes:
        evse: None = any one of them.
        group: tokens of this group may use it too.
    """

    number: int
    evse: int | None
    id_tag: str
    group: str | None
    expires_at: datetime

    def lets(self, id_tag: str, group: str | None = None) -> bool:
        """Whether *id_tag*, of *group*, may use it."""
        same = id_tag.casefold() == self.id_tag.casefold()
        return same or (group is not None and group == self.group)


class Reservations:
    """The reservations of one station; kept over the loss of the connection.

    Attributes:
        history: every reservation that it ever held, oldest first.
    """

    def __init__(self, station: StationSimulator) -> None:
        self._station = station
        self._held: dict[int, Reserved] = {}
        self.history: list[Reserved] = []

    def __len__(self) -> int:
        return len(self._held)

    def get(self, number: int) -> Reserved | None:
        return self._held.get(number)

    def at(self, evse: int) -> Reserved | None:
        """The reservation of that very EVSE."""
        return next((each for each in self._held.values() if each.evse == evse), None)

    # -- what the backend asks

    def verdict(self, wish: Reserved) -> str:
        """The ReserveNow status that follows from what is true here."""
        outlets = self._station.outlets
        if wish.evse is not None:
            outlet = outlets.get(wish.evse)
            return "Rejected" if outlet is None else self._of(outlet, wish.number)
        found = [self._of(each, wish.number) for each in outlets.values()]
        free = found.count("Accepted") - self._unassigned(wish.number)
        if free > 0:
            return "Accepted"
        return next((each for each in found if each != "Accepted"), "Occupied")

    def _of(self, outlet: Outlet, number: int) -> str:
        if outlet.faulted:
            return "Faulted"
        if not outlet.operative:
            return "Unavailable"
        taken = self.at(outlet.evse)
        busy = outlet.plugged or outlet.transaction is not None or outlet.reserved_for_remote
        return "Occupied" if busy or (taken and taken.number != number) else "Accepted"

    def _unassigned(self, without: int | None = None) -> int:
        """How many may be used at any EVSE."""
        return sum(each.evse is None and each.number != without for each in self._held.values())

    def hold(self, wish: Reserved) -> None:
        """Keep *wish*, in place of what had its number, until its time is over."""
        self._drop(wish.number)
        self._held[wish.number] = wish
        self.history.append(wish)
        self._show(wish)
        self._station.spawn(self._expire(wish))

    def cancel(self, number: int) -> bool:
        """Let go what the backend wants back; False if nothing is held under that number."""
        return self._drop(number)

    # -- what happens here

    def lets(self, outlet: Outlet, id_tag: str, group: str | None = None) -> bool:
        """Whether *id_tag* may charge at *outlet* as far as reservations go."""
        taken = self.at(outlet.evse)
        if taken is not None:
            return taken.lets(id_tag, group)
        if any(each.evse is None and each.lets(id_tag, group) for each in self._held.values()):
            return True
        free = [
            each
            for each in self._station.outlets.values()
            if each.free and not each.plugged and self.at(each.evse) is None
        ]
        others = [each for each in free if each is not outlet]
        return len(others) >= self._unassigned()

    def use(self, outlet: Outlet, id_tag: str, group: str | None = None) -> int | None:
        """The reservation that a start at *outlet* uses up, if any."""
        here = self.at(outlet.evse)
        for each in [here] if here else [r for r in self._held.values() if r.evse is None]:
            if each.lets(id_tag, group):
                self._drop(each.number)
                return each.number
        return None

    def break_off(self, evse: int) -> None:
        """The EVSE cannot be kept: whoever reserved it is told, where the protocol can tell."""
        if (taken := self.at(evse)) is not None:
            self.remove(taken.number)

    def remove(self, number: int) -> None:
        """Let go of one's own accord."""
        if self._drop(number):
            self._tell(number, "Removed")

    async def _expire(self, own: Reserved) -> None:
        await asyncio.sleep(max((own.expires_at - datetime.now(UTC)).total_seconds(), 0))
        if self._held.get(own.number) is own:
            self._drop(own.number)
            self._tell(own.number, "Expired")

    def _tell(self, number: int, how: str) -> None:
        if self._station.config.version != "1.6" and self._station.online:
            self._station.say_now(
                call201.ReservationStatusUpdate(
                    reservation_id=number, reservation_update_status=how
                )
            )

    def _drop(self, number: int) -> bool:
        own = self._held.pop(number, None)
        if own is not None:
            self._show(own)
        return own is not None

    def _show(self, own: Reserved) -> None:
        for outlet in self._station.outlets.values():
            if own.evse == outlet.evse:
                outlet.reserved = self.at(outlet.evse) is not None
                self._station.show(outlet)
        self._station.note()


def reserved(
    number: int, evse: int | None, id_tag: str, group: str | None, expires_at: str
) -> Reserved:
    """Read what the backend asks for; an EVSE 0 means any."""
    at = datetime.fromisoformat(expires_at)
    return Reserved(number, evse or None, id_tag, group, at)


def answer(
    station: StationSimulator, wish: Reserved, later: Callable[[Callable[[], None]], None]
) -> str:
    """The status of a ReserveNow: what a test ordered, or else the honest one."""
    honest = "Rejected" if wish.evse is None and not station.config.reserves_any else None
    status = station.answers.get("ReserveNow", honest or station.reservations.verdict(wish))
    if status == "Accepted":
        later(lambda: station.reservations.hold(wish))
    return status
