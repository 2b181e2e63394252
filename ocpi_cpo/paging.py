"""Windows into lists: what the query asks for, and the headers that go with a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.errors import BadParameter
from ocpi_cpo.profiles import Profile
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


@dataclass(frozen=True, slots=True)
class PageSizes:
    """How many objects are on a page.

    Attributes:
        default: where none is asked for.
        most: at most.
    """

    default: int
    most: int


def page_sizes(profile: Profile, config: OcpiConfig) -> PageSizes:
    """Return the sizes of pages for one partner."""
    most = profile.page_most or max(profile.page_default or 0, config.page_limit)
    return PageSizes(min(profile.page_default or config.page_limit, most), most)


def window(query: Mapping[str, str], sizes: PageSizes, *, needs_from: bool = False) -> Window:
    """Read a list request.

    Raises:
        BadParameter: naming what is missing or no number or date.
    """
    updated_from, updated_to = _date(query, "date_from"), _date(query, "date_to")
    if needs_from and updated_from is None:
        raise BadParameter("date_from: missing")
    limit = min(_number(query, "limit", sizes.default, least=1), sizes.most)
    return Window(_number(query, "offset", 0), limit, updated_from, updated_to)


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
