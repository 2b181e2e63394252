"""Copies as they came, in the shape of the version in which they were pushed.

The partner works with copies in its mother tongue; whoever GETs one reads it in his own words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from simulators.emsp.store import Key, find, key_of, replaced
from simulators.emsp.wire import Json, moment

_NAMES = ("evses", "uid"), ("connectors", "id")
"""Below a location: member and its key, one for each further segment of the path."""


@dataclass(slots=True)
class Originals:
    """Copies by version, module and key."""

    _kept: dict[tuple[str, str, Key], Json] = field(default_factory=dict)

    def take(self, version: str, method: str, module: str, key: Key, body: Any) -> None:
        """Apply what was pushed and stored; *key*: country code, party id, id, and further down."""
        top = (version, module, key_of(*key[:3]))
        if method == "DELETE":
            self._kept.pop(top, None)
        elif len(key) == 3 and method != "PATCH":
            self._kept[top] = body
        elif top in self._kept:
            self._kept[top] = _changed(self._kept[top], _NAMES, key[3:], method, body)

    def get(self, version: str, module: str, key: Key) -> Json | None:
        """The copy at *key*; ``None`` if none came in this version."""
        found = self._kept.get((version, module, key_of(*key[:3])))
        for (member, name), id in zip(_NAMES, key[3:], strict=False):
            found = find(found.get(member) or [], name, id) if found else None
        return found


def _changed(
    held: Json, names: tuple[tuple[str, str], ...], path: Key, method: str, body: Json
) -> Json:
    """*held* with *body* put, or merged, in at *path*."""
    if not path:
        return body if method == "PUT" else _merged(held, body)
    (member, name), *further = names
    items = held.get(member) or []
    old = find(items, name, path[0]) or {}
    inner = _changed(old, tuple(further), path[1:], method, body)
    return {**held, member: replaced(items, name, inner), **_newer(held, body)}


def _newer(held: Json, body: Json) -> Json:
    """A parent is as new as what changed in it."""
    told = [each["last_updated"] for each in (held, body) if each.get("last_updated")]
    return {"last_updated": max(told, key=moment)} if told else {}


def _merged(held: Json, body: Json) -> Json:
    """A PATCH; periods of a session are added."""
    merged = {**held, **body}
    if added := body.get("charging_periods"):
        merged["charging_periods"] = [*(held.get("charging_periods") or []), *added]
    return merged
