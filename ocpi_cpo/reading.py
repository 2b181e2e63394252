"""Reading a partner's list, page by page, as its links lead."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ocpi_cpo.connections import Connection
from ocpi_cpo.errors import ClientApi
from ocpi_cpo.partner_api import PartnerApi
from ocpi_cpo.wire import next_link

MOST_PAGES = 10_000


async def pages(
    api: PartnerApi, connection: Connection, url: str, what: str, *, functional: bool = True
) -> AsyncIterator[tuple[list[Any], int | None]]:
    """Yield the pages of a list as they come, each with the list's total where the partner says it.

    Args:
        what: the list's name, for operators.
        functional: see ``PartnerApi.call``.

    Raises:
        ClientApi: a page cannot be read, or the links go round in circles or elsewhere.
    """
    following: str | None = url
    host, seen = urlsplit(url).netloc, set[str]()
    while following is not None:
        if following in seen or urlsplit(following).netloc != host or len(seen) > MOST_PAGES:
            raise ClientApi("its next link repeats, or leaves the host")
        seen.add(following)
        answer = await api.call(connection, "GET", following, functional=functional)
        if not answer.ok or not isinstance(answer.data, list):
            raise ClientApi(f"its {what} list cannot be read: {answer.text}")
        yield answer.data, total_of(answer.headers)
        following = next_link(answer.headers)


def total_of(headers: Mapping[str, str]) -> int | None:
    text = headers.get("X-Total-Count", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None
