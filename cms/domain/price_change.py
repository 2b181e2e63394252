"""A change of price that begins later: where, when, and for whom it holds already."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from cms.domain.errors import InvalidValue
from cms.domain.ids import LocationId, TariffId
from cms.domain.tariff_choice import TariffRule


class Unacknowledged(StrEnum):
    """What holds for a partner that has not taken the new tariff by the hour."""

    KEEP = "keep_old"  # what it was shown last, until it takes the new one: shown is billed
    GO_AHEAD = "go_ahead"


@dataclass(frozen=True, slots=True)
class SiteMoment:
    """When a change begins at one site."""

    location: LocationId
    at: datetime


@dataclass(frozen=True, slots=True)
class PriceChange:
    """A new version of a tariff, or a new line of the price book, that begins at a moment.

    Attributes:
        id: unique; of a version, the id of the new tariff.
        tariff: what holds from then on.
        replaces: the tariff whose place it takes, wherever that would hold; ``None`` for a line.
        rule: the line of the price book that begins; ``None`` for a version.
        moments: when it begins at each site that was there when it was scheduled.
        default: when it begins at a site that came later.
        made_at, made_by: when and by whom it was scheduled.
        withdrawn_at: it never holds after that.
        restores: the version whose prices it brings back, where it is a rollback.
    """

    id: str
    tariff: TariffId
    replaces: TariffId | None
    rule: TariffRule | None
    moments: tuple[SiteMoment, ...]
    default: datetime
    unacknowledged: Unacknowledged
    made_at: datetime
    made_by: str
    withdrawn_at: datetime | None = None
    restores: TariffId | None = None

    def __post_init__(self) -> None:
        if (self.replaces is None) == (self.rule is None):
            raise InvalidValue("change", "is either a version of a tariff or a line of the book")

    def begins(self, location: LocationId) -> datetime:
        """Return when it begins at a site."""
        return next((each.at for each in self.moments if each.location == location), self.default)

    @property
    def first(self) -> datetime:
        """When it begins at the first site."""
        return min((each.at for each in self.moments), default=self.default)

    @property
    def last(self) -> datetime:
        """When it has begun everywhere."""
        return max((each.at for each in self.moments), default=self.default)

    @property
    def withdrawn(self) -> bool:
        return self.withdrawn_at is not None

    def due(self, location: LocationId, now: datetime) -> bool:
        """Whether its hour has come at a site."""
        return not self.withdrawn and self.begins(location) <= now


def next_midnight(now: datetime, zone: ZoneInfo) -> datetime:
    """Return the next local midnight after *now*, UTC; where clocks skip it, the first moment of
    that day."""
    day = now.astimezone(zone).date() + timedelta(days=1)
    wall = datetime.combine(day, time(), zone)
    at = wall.astimezone(UTC)
    while at.astimezone(zone).date() < day:
        at += timedelta(minutes=15)
    return at
