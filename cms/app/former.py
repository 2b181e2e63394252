"""What a site was called before it was changed, from the audit."""

from __future__ import annotations

from datetime import datetime

from cms.app.ports import Page, Store
from cms.domain import plain
from cms.domain.topology import Location

_MOST_CHANGES = 1000


async def location_at(store: Store, site: Location, at: datetime) -> Location:
    """Return *site* as it was at *at*; as it is now where nothing older is known.

    Nothing is read for a site that was not changed since.
    """
    if site.changed_at is None or site.changed_at <= at:
        return site
    found = site
    for entry in await store.audit(f"location:{site.id}", Page(limit=_MOST_CHANGES)):
        if entry.at <= at:
            break
        if entry.before is not None:
            found = plain.from_plain(Location, entry.before)
    return found
