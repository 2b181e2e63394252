"""What a driver wishes of a charge that runs, and whether it can be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cms.domain.tariff import TariffKind

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Wish:
    """What matters to the driver.

    Attributes:
        kind: the tariff to charge under, which says how.
        energy_wh: what the session shall deliver in all, Wh; None = as much as the car takes.
        departs_at: by when, aware UTC; None = whenever.
    """

    kind: TariffKind
    energy_wh: int | None = None
    departs_at: datetime | None = None


class Answer(StrEnum):
    """What became of a wish."""

    HOLDS = "holds"  # the session runs under such a tariff, from now on at the latest
    NO_SUCH_TARIFF = "no such tariff"  # the connector shows none of that kind
    NOT_POSSIBLE = "not possible"


def reachable(wish: Wish, delivered_wh: int, power_w: int, now: datetime) -> bool:
    """Whether the connector could deliver in time what is wished for, at its full power.

    Args:
        delivered_wh: what the session has delivered already.
        power_w: the most that the connector delivers.
    """
    if wish.energy_wh is None or wish.departs_at is None:
        return True
    missing = wish.energy_wh - delivered_wh
    return missing <= 0 or missing * _HOUR <= power_w * (wish.departs_at - now)


def serves(kind: TariffKind | None, wanted: TariffKind) -> bool:
    """Whether a tariff of *kind* is of the kind *wanted*; one without a kind is a regular one."""
    return (kind or TariffKind.REGULAR) is wanted
