"""``dataclasses.replace`` for the hot path: the same result, in less than half of its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, Concatenate, TypeVar

T = TypeVar("T")


def evolver(cls: type[T]) -> Callable[Concatenate[T, ...], T]:
    """Return a function that copies an instance of *cls* with some fields changed.

    Args:
        cls: a frozen dataclass with slots and without ``__post_init__`` (it would not be called).

    Raises:
        TypeError: *cls* checks its values on construction, which this would skip.
    """
    if hasattr(cls, "__post_init__"):
        raise TypeError(f"{cls.__name__} checks its values; use dataclasses.replace")
    slots: dict[str, Any] = {each.name: getattr(cls, each.name) for each in fields(cls)}  # type: ignore[arg-type]
    setters = [slot.__set__ for slot in slots.values()]
    read = attrgetter(*slots)
    new = object.__new__

    def evolve(before: T, /, **changes: Any) -> T:
        after = new(cls)
        for put, value in zip(setters, read(before), strict=True):
            put(after, value)
        for name, value in changes.items():
            slots[name].__set__(after, value)
        return after

    return evolve
