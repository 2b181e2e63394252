"""Frozen dataclasses for the hot path: made and copied in a third of the time, else the same.

A frozen dataclass writes each field through ``object.__setattr__``, which costs more than all the
rest of its making. Here the fields are written while the object still is of a *draft* class, which
has the same slots and is not frozen; then it becomes what it is. The functions are written out per
class, as ``dataclasses`` does, since a loop over names costs as much as it saves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
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
        raise TypeError(f"{cls.__name__} checks its values; leave it as it is")
    names = _names(cls)
    lines = [
        "def evolve(before, /, **changes):",
        " after = new(Draft)",
        *(f" after.{name} = before.{name}" for name in names),
        " for name in changes:",
        "  put(after, name, changes[name])",
        " after.__class__ = cls",
        " return after",
    ]
    known = {"new": object.__new__, "put": setattr, "cls": cls, "Draft": _draft(cls)}
    evolve: Callable[Concatenate[T, ...], T] = _written("evolve", lines, known)
    return evolve


def quick(cls: type[T]) -> type[T]:
    """Give a frozen dataclass a constructor of the same signature that costs half; a
    ``__post_init__`` is called as ever.

    Raises:
        TypeError: *cls* has fields that are no plain parameters.
    """
    known: dict[str, Any] = {"cls": cls, "Draft": _draft(cls), "put": object.__setattr__}
    parts: tuple[Field[Any], ...] = fields(cls)  # type: ignore[arg-type]
    known |= {f"default_{f.name}": f.default for f in parts if f.default is not MISSING}
    lines = [
        f"def __init__({', '.join(['self', *map(_parameter, parts)])}):",
        " put(self, '__class__', Draft)",
        *(f" self.{each.name} = {each.name}" for each in parts),
        " self.__class__ = cls",
        *([" self.__post_init__()"] if hasattr(cls, "__post_init__") else []),
    ]
    cls.__init__ = _written("__init__", lines, known)  # type: ignore[method-assign]
    return cls


def _names(cls: Any) -> tuple[str, ...]:
    return tuple(each.name for each in fields(cls))


def _draft(cls: type) -> type:
    """Return a class of the same layout whose instances can be written."""
    return type("Draft", (), {"__slots__": _names(cls)})


def _parameter(field: Field[Any]) -> str:
    if field.default_factory is not MISSING or not field.init or field.kw_only:
        raise TypeError(f"{field.name} is no plain parameter")
    return field.name if field.default is MISSING else f"{field.name}=default_{field.name}"


def _written(name: str, lines: list[str], known: dict[str, Any]) -> Any:
    exec("\n".join(lines), known)  # noqa: S102
    return known[name]
