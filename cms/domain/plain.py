"""Frozen values as plain data (dicts, lists, text, numbers) and back, without loss.

Used where a value is kept as it was: tariff snapshots, bills. Decimals are text, money
``"18.00 INR"``, fractions ``"a/b"``, times ISO 8601 (UTC), durations whole microseconds, sets
sorted lists. Fields that hold their default are left out, so a value written by an older version
reads back unchanged.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import cache
from typing import Any, NewType, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from cms.domain.money import Money

T = TypeVar("T")

_MICROSECOND = timedelta(microseconds=1)


def canonical(value: object) -> str:
    """Return *value* as JSON text that depends on content only: sorted keys, no spaces."""
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def from_text(kind: type[T], text: str) -> T:
    """Read back what :func:`canonical` wrote of a dataclass *kind*.

    Raises:
        ValueError: if *text* is no JSON or does not describe a *kind*.
    """
    return from_plain(kind, json.loads(text))


def to_plain(value: object) -> Any:
    """Return *value* as data that JSON can carry.

    Raises:
        TypeError: for a type that has no plain form.
    """
    match value:
        case None | bool() | int() | str() if not isinstance(value, Enum):
            return value
        case Enum():
            return value.value
        case Decimal():
            return _decimal(value)
        case Money():
            return str(value)
        case Fraction():
            return f"{value.numerator}/{value.denominator}"
        case datetime() if value.tzinfo is not None:
            return value.astimezone(UTC).isoformat()
        case date() | time():
            return value.isoformat()
        case timedelta():
            return value // _MICROSECOND
        case tuple() | list():
            return [to_plain(item) for item in value]
        case frozenset() | set():
            return sorted(to_plain(item) for item in value)
        case _:
            return _dataclass_to_plain(value)


def _dataclass_to_plain(value: object) -> dict[str, Any]:
    if dataclasses.is_dataclass(value):
        return {
            name: to_plain(item)
            for name, default in _fields(value.__class__)
            if not _is_default(item := getattr(value, name), default)
        }
    raise TypeError(f"{type(value).__name__} has no plain form")


def from_plain(kind: type[T], data: object) -> T:
    """Build a *kind* (a dataclass) from what :func:`to_plain` made of one.

    Raises:
        ValueError: if *data* does not describe a *kind*.
    """
    try:
        return cast(T, _reader(cast(Any, kind))(data))
    except (TypeError, KeyError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"no {kind.__name__}: {error}") from error


def _decimal(value: Decimal) -> str:
    """Write a decimal by its value: 18, 18.0 and 18.00 are one price and one text."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def _is_default(item: object, default: object) -> bool:
    """Whether to leave *item* out. Types must agree too, for 0 == False and Decimal(0) == 0."""
    return item is default or (type(item) is type(default) and item == default)


@cache
def _fields(kind: Any) -> tuple[tuple[str, object], ...]:
    """Names and defaults of the fields that make the value (init fields)."""
    return tuple((f.name, f.default) for f in dataclasses.fields(kind) if f.init)


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """Return the function that reads a *kind* from plain data."""
    if isinstance(kind, NewType):
        return _reader(kind.__supertype__)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (types.UnionType, Union):
        return _union_reader(arguments)
    if origin is tuple:
        return _tuple_reader(arguments)
    if origin is frozenset:
        item = _reader(arguments[0])
        return lambda data: frozenset(item(each) for each in data)
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    return _enum_reader(kind)


def _union_reader(arguments: tuple[Any, ...]) -> Callable[[Any], Any]:
    """Readers of ``X | None`` and of ``int | Fraction``, the only unions that values use."""
    kinds = [each for each in arguments if each is not type(None)]
    if kinds == [int, Fraction] or kinds == [Fraction, int]:
        read: Callable[[Any], Any] = _number
    elif len(kinds) == 1:
        read = _reader(kinds[0])
    else:
        raise TypeError(f"cannot read one of {kinds}")
    return lambda data: None if data is None else read(data)


def _tuple_reader(arguments: tuple[Any, ...]) -> Callable[[Any], Any]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _reader(arguments[0])
        return lambda data: tuple(item(each) for each in data)
    items = [_reader(each) for each in arguments]
    return lambda data: tuple(read(each) for read, each in zip(items, data, strict=True))


def _dataclass_reader(kind: Any) -> Callable[[Any], Any]:
    """Read a dict by the fields of *kind*. The readers are found late: types may nest."""
    hints = get_type_hints(kind)

    def read(data: Any) -> Any:
        return kind(**{name: _reader(hints[name])(each) for name, each in data.items()})

    return read


def _enum_reader(kind: Any) -> Callable[[Any], Any]:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    raise TypeError(f"cannot read {kind}")


def _number(data: Any) -> int | Fraction:
    return data if isinstance(data, int) else Fraction(data)


def _money(data: str) -> Money:
    amount, currency = data.split(" ")
    return Money(Decimal(amount), currency)


def _strictly(*kinds: type) -> Callable[[Any], Any]:
    def read(data: Any) -> Any:
        if type(data) not in kinds:
            raise TypeError(f"{data!r} is no {kinds[0].__name__}")
        return data

    return read


_SIMPLE: dict[Any, Callable[[Any], Any]] = {
    str: _strictly(str),
    int: _strictly(int),
    bool: _strictly(bool),
    Decimal: Decimal,
    Fraction: Fraction,
    Money: _money,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    time: time.fromisoformat,
    timedelta: lambda data: timedelta(microseconds=data),
}
