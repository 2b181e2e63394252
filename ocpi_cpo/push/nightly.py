"""When the nightly comparison of a partner is due. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo

from cms.domain.ids import PartnerId


@dataclass(frozen=True, slots=True)
class Nightly:
    """When to compare.

    Attributes:
        at: by the wall clock of *zone*; a time that a night skips is taken an hour later.
        jitter: each partner has its own moment within so much after *at*, another one each night.
    """

    at: time
    zone: ZoneInfo
    jitter: timedelta = timedelta(hours=1)

    def moment(self, partner: PartnerId, night: date) -> datetime:
        """Return when *partner* is compared on that day, in UTC."""
        start = datetime.combine(night, self.at, self.zone).astimezone(UTC)
        drawn = int.from_bytes(sha256(f"{partner} {night}".encode()).digest()[:4], "big")
        return start + self.jitter * drawn / 2**32

    def due(self, partner: PartnerId, last: datetime, now: datetime) -> bool:
        """Whether a moment has passed since *last*; however many passed, once is enough."""
        today = now.astimezone(self.zone).date()
        nights = (today, today - timedelta(days=1))
        return any(last < self.moment(partner, night) <= now for night in nights)
