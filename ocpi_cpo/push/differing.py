"""How a partner's copy of a thing differs from ours. Pure.

What means the same is the same: absent, null and an empty list; 18, 18.0 and "18.00" where either is
a number; one moment in two spellings. Fields that we do not send are the partner's own affair, and
so is ``last_updated``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from ocpi_cpo.wire import Json, dumps, moment

_THEIR_OWN = frozenset({"last_updated"})
_NAMES = ("uid", "id")
_LONGEST_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Difference:
    """One field.

    Attributes:
        field: its path, e.g. ``"evses[CS1-1].status"``; "" for the whole thing.
        ours, theirs: as JSON, cut to a length that a person reads; None where there is nothing.
    """

    field: str
    ours: str | None
    theirs: str | None


def differences(ours: Json, theirs: Any) -> list[Difference]:
    """Return what differs, in the order of our fields."""
    return list(_between(ours, theirs, ""))


def _between(ours: Any, theirs: Any, path: str) -> Iterator[Difference]:
    if _empty(ours):
        return  # what we do not send is not compared
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            if name not in _THEIR_OWN:
                yield from _between(value, theirs.get(name), f"{path}.{name}" if path else name)
    elif isinstance(ours, list) and isinstance(theirs, list):
        yield from _of_lists(ours, theirs, path)
    elif not _same(ours, theirs):
        yield Difference(path, _shown(ours), _shown(theirs))


def _of_lists(ours: list[Any], theirs: list[Any], path: str) -> Iterator[Difference]:
    named, others = _by_name(ours), _by_name(theirs)
    if named is None or others is None:
        if len(ours) != len(theirs):
            yield Difference(path, _shown(ours), _shown(theirs))
            return
        for at, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _between(mine, other, f"{path}[{at}]")
        return
    for name, mine in named.items():
        if name in others:
            yield from _between(mine, others[name], f"{path}[{name}]")
        elif mine.get("status") != "REMOVED":  # partners may forget what is gone
            yield Difference(f"{path}[{name}]", _shown(mine), None)
    for name in others.keys() - named.keys():
        if others[name].get("status") != "REMOVED":
            yield Difference(f"{path}[{name}]", None, _shown(others[name]))


def _by_name(values: list[Any]) -> dict[str, Json] | None:
    """Return objects by their uid or id, without case; None if they have none."""
    found = {}
    for value in values:
        name = _name(value)
        if name is None:
            return None
        found[name] = value
    return found


def _name(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    return next((str(value[each]).upper() for each in _NAMES if value.get(each)), None)


def _empty(value: Any) -> bool:
    return value is None or value == [] or value == {}


def _same(ours: Any, theirs: Any) -> bool:
    if type(ours) is type(theirs) and ours == theirs:
        return True
    if isinstance(ours, bool) or isinstance(theirs, bool) or theirs is None:
        return False
    if isinstance(ours, int | float | Decimal) or isinstance(theirs, int | float | Decimal):
        return _number(ours) is not None and _number(ours) == _number(theirs)
    if isinstance(ours, str) and isinstance(theirs, str):
        return _same_moment(ours, theirs)
    return False


def _number(value: Any) -> Decimal | None:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None


def _same_moment(ours: str, theirs: str) -> bool:
    try:
        return moment(ours) == moment(theirs)
    except ValueError:
        return False


def _shown(value: Any) -> str | None:
    if value is None:
        return None
    try:
        text = dumps(value).decode()
    except TypeError:
        text = str(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
