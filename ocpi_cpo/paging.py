"""Windows into lists: what the query asks for, and the headers that go with a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from ocpi_cpo.errors import BadParameter
from ocpi_cpo.wire import moment, stamp


@dataclass(frozen=True, slots=True)
class Window:
    """One page's request.

    Attributes:
        updated_from, updated_to: on ``last_updated``; from is included, to is not.
        limit: what is really used, never above our maximum.
    """

    offset: int
    limit: int
    updated_from: datetime | None = None
    updated_to: datetime | None = None

    def holds(self, last_updated: datetime) -> bool:
        """Whether an object is within the date filters."""
        if self.updated_from is not None and last_updated < self.updated_from:
            return False
        return self.updated_to is None or last_updated < self.updated_to


def window(query: Mapping[str, str], maximum: int, *, needs_from: bool = False) -> Window:
    """Read a list request.

    Raises:
        BadParameter: naming what is missing or no number or date.
    """
    updated_from, updated_to = _date(query, "date_from"), _date(query, "date_to")
    if needs_from and updated_from is None:
        raise BadParameter("date_from: missing")
    limit = _number(query, "limit", maximum, least=1)
    return Window(_number(query, "offset", 0), min(limit, maximum), updated_from, updated_to)


def _date(query: Mapping[str, str], name: str) -> datetime | None:
    text = query.get(name)
    if text is None or text == "":
        return None
    try:
        return moment(text)
    except ValueError as error:
        raise BadParameter(f"{name}: {error}") from None


def _number(query: Mapping[str, str], name: str, default: int, least: int = 0) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 12 or int(text) < least:
        raise BadParameter(f"{name}: a whole number of at least {least}")
    return int(text)


def page_headers(url: str, asked: Window, total: int, maximum: int) -> dict[str, str]:
    """Return X-Total-Count, X-Limit and, if there is more, the link to the next page.

    Args:
        url: of the list on our public address, without a query.
        maximum: the most that a page of this list may hold.
    """
    headers = {"X-Total-Count": str(total), "X-Limit": str(maximum)}
    following = asked.offset + asked.limit
    if following < total:
        query = {
            "date_from": asked.updated_from and stamp(asked.updated_from),
            "date_to": asked.updated_to and stamp(asked.updated_to),
            "offset": str(following),
            "limit": str(asked.limit),
        }
        text = "&".join(f"{name}={quote(each, safe='')}" for name, each in query.items() if each)
        headers["Link"] = f'<{url}?{text}>; rel="next"'
    return headers
