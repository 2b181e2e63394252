"""When a site has lost its power: its chargers vanish together.

One charger that leaves has a bad link; nearly all of a site within a short time have no mains.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class DarkPolicy(StrEnum):
    """What becomes of the sessions of a dark site."""

    STITCH = "stitch"  # they go on when the charger comes back within the hold
    END = "end"  # they end at their last sample


@dataclass(frozen=True, slots=True)
class DarkRule:
    """When a site counts as dark.

    Attributes:
        least: so many stations must have vanished; a site with fewer can never be told apart.
        percent: of those that were online before, at least this share must have vanished.
        window: within this time of each other, by our clock. Longer than the time in which a dead
            socket is found out, since not all sockets are found dead at once.
        policy: what becomes of sessions.
        hold: how long a session may wait for its charger to return.
    """

    least: int = 2
    percent: int = 80
    window: timedelta = timedelta(seconds=90)
    policy: DarkPolicy = DarkPolicy.STITCH
    hold: timedelta = timedelta(hours=1)


def went_dark(
    rule: DarkRule, online: int, vanished_at: Collection[datetime], now: datetime
) -> datetime | None:
    """Return when the site lost its power, or None if it did not.

    Args:
        online: how many stations of the site are connected now.
        vanished_at: when each of those that are gone was lost, by our clock.
    """
    recent = [at for at in vanished_at if now - at <= rule.window]
    if len(recent) < rule.least:
        return None
    if len(recent) * 100 < rule.percent * (len(recent) + online):
        return None
    return min(recent)
