"""A site's bytes with holes where statuses and their dates stand.

What happens at an EVSE changes four things in a site's bytes: the EVSE's status, its date, the date
of its connectors and that of the site. These are cut out once and put in again as they change. How
a version of OCPI writes a site is its own matter: the holes are found in what it wrote.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime

from ocpi_cpo.versions.dialect import Dialect
from ocpi_cpo.versions.v221.topology import EvseView
from ocpi_cpo.wire import Json, dumps

_MARK = secrets.token_hex(16)
"""Stands in no site: every process draws its own."""

_HOLE = re.compile(rf'"{_MARK} (\w+) (\d+)"'.encode())
_SITE = "site", 0


class Spliced:
    """The bytes of one site in parts, the holes filled with what stood there last."""

    __slots__ = ("_dialect", "_filled", "_holes", "_parts")

    def __init__(self, dialect: Dialect, body: Json, evses: int) -> None:
        self._dialect = dialect
        self._filled: list[EvseView | None] = [None] * evses
        self._parts: list[bytes] = []
        self._holes: dict[tuple[str, int], list[int]] = {}
        pieces = _HOLE.split(dumps(_marked(body)))
        for piece, name, number in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=False):
            self._parts += [piece, b""]
            place = len(self._parts) - 1
            self._holes.setdefault((name.decode(), int(number)), []).append(place)
        self._parts.append(pieces[-1])

    def written(self, views: Sequence[EvseView], updated: datetime) -> bytes:
        """Return the bytes with the statuses and dates of *views*, and the site's own date."""
        for number, view in enumerate(views):
            if view is not self._filled[number]:
                self._fill_evse(number, view)
                self._filled[number] = view
        self._fill(_SITE, self._dialect.date_time(updated))
        return b"".join(self._parts)

    def _fill_evse(self, number: int, view: EvseView) -> None:
        told = self._dialect.evse_status(view)
        self._fill(("status", number), told["status"])
        self._fill(("updated", number), told["last_updated"])
        self._fill(("plugs", number), self._dialect.date_time(view.plugs_updated))

    def _fill(self, hole: tuple[str, int], text: str) -> None:
        quoted = b'"%b"' % text.encode()
        for place in self._holes.get(hole, ()):
            self._parts[place] = quoted


def spliced(
    dialect: Dialect, body: Json, whole: bytes, views: Sequence[EvseView], updated: datetime
) -> Spliced | None:
    """Return a site in parts; None if filling its holes does not give what *dialect* wrote.

    Args:
        body: the site as *dialect* wrote it for *views*.
        whole: its bytes.
    """
    if len(body.get("evses") or ()) != len(views):
        return None
    made = Spliced(dialect, body, len(views))
    return made if made.written(views, updated) == whole else None


def _marked(body: Json) -> Json:
    evses = body.get("evses")
    marked = {**body, "last_updated": _mark(*_SITE)}
    if evses:
        marked["evses"] = [_marked_evse(evse, number) for number, evse in enumerate(evses)]
    return marked


def _marked_evse(evse: Json, number: int) -> Json:
    return {
        **evse,
        "status": _mark("status", number),
        "connectors": [
            {**plug, "last_updated": _mark("plugs", number)} for plug in evse["connectors"]
        ],
        "last_updated": _mark("updated", number),
    }


def _mark(name: str, number: int) -> str:
    return f"{_MARK} {name} {number}"
