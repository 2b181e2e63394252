"""What of the network one partner is shown: the operator's choice, partner by partner.

Nothing here is about prices (the price book's matter) or about a partner's own sessions and
bills, which it always sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cms.domain.errors import InvalidValue
from cms.domain.ids import LocationId, TariffId
from cms.domain.topology import Location

LONGEST_DELAY = timedelta(hours=24)


class LiveStatus(StrEnum):
    """How a partner sees what EVSEs do."""

    SHOWN = "shown"
    DELAYED = "delayed"
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class Sharing:
    """What one partner is shown.

    Attributes:
        sites: the sites by id; None = all, unless *owners* chooses.
        owners: sites of these owners (the owner's name, compared without case) as well.
        status: whether it sees what an EVSE does as it happens.
        delay_minutes: how much later it sees it, where the status is delayed; else 0.
        tariffs: the tariffs by id; None = whatever the price book shows it.
        since: when this was last changed: what it sees counts as changed then.
    """

    sites: frozenset[LocationId] | None = None
    owners: frozenset[str] = frozenset()
    status: LiveStatus = LiveStatus.SHOWN
    delay_minutes: int = 0
    tariffs: frozenset[TariffId] | None = None
    since: datetime | None = None

    def __post_init__(self) -> None:
        delayed = self.status is LiveStatus.DELAYED
        most = int(LONGEST_DELAY.total_seconds()) // 60
        if delayed and not 1 <= self.delay_minutes <= most:
            raise InvalidValue("sharing.delay_minutes", f"1 to {most}, for a delayed status")
        if not delayed and self.delay_minutes:
            raise InvalidValue("sharing.delay_minutes", "is for a delayed status")

    @property
    def selective(self) -> bool:
        """Whether some sites are left out."""
        return self.sites is not None or bool(self.owners)

    @property
    def delay(self) -> timedelta:
        return timedelta(minutes=self.delay_minutes)

    def shows(self, site: Location) -> bool:
        """Whether the partner hears of *site*."""
        if not self.selective or (self.sites is not None and site.id in self.sites):
            return True
        owner = site.owner.name.casefold() if site.owner is not None else None
        return owner in {each.casefold() for each in self.owners}

    def shows_tariff(self, id: TariffId) -> bool:
        """Whether the partner may read that tariff, if the price book lets it."""
        return self.tariffs is None or id in self.tariffs


EVERYTHING = Sharing()
"""Every site, every status as it happens, every tariff of the price book."""
