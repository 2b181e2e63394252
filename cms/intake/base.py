"""What all intake models share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, field_validator
from pydantic_core import ErrorDetails

from cms.domain.errors import InvalidValue

M = TypeVar("M", bound=BaseModel)
V = TypeVar("V")

Moment = AwareDatetime
"""A point in time with its offset from UTC. Without one nobody knows what it means."""

NO_NUL = "must not contain a NUL character"

WHOLE = "(all of it)"
"""Names the field of a complaint about the whole thing."""


class Intake(BaseModel):
    """Unknown keys are errors: a misspelt key that is silently ignored costs an evening."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @field_validator("*")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        """Refuse what a text column cannot hold, here and not in the store."""
        for each in value if isinstance(value, tuple | list | frozenset) else (value,):
            if isinstance(each, str) and "\0" in each:
                raise ValueError(NO_NUL)
        return value


def parse(model: type[M], data: Any, where: str = "") -> M:
    """Read *data* as *model*.

    Args:
        where: prefix of the field's name in errors, e.g. ``"locations[2]"``.

    Raises:
        InvalidValue: for the first field that is wrong, named by its path.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise first_of(error, model, where) from None


def first_of(error: ValidationError, model: type[BaseModel], where: str = "") -> InvalidValue:
    """Return the first of pydantic's complaints as one of ours."""
    first = error.errors(include_url=False)[0]
    return InvalidValue(path_of(first["loc"], where), _reason(first, model))


def path_of(parts: tuple[int | str, ...], where: str = "") -> str:
    """Write a path the way people do: ``locations[2].time_zone``."""
    path = where
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path or WHOLE


@contextmanager
def within(where: str) -> Iterator[None]:
    """Prefix the field of an ``InvalidValue`` with the place it stands in."""
    try:
        yield
    except InvalidValue as error:
        raise InvalidValue(
            f"{where}.{error.field}" if where else error.field, error.reason
        ) from None


def values_of(where: str, given: Iterable[Any], make: Callable[[Any], V]) -> tuple[V, ...]:
    """Make a value of each, naming the one that is wrong: ``evses[2].connectors[0].standard``."""
    made = []
    for position, each in enumerate(given):
        with within(f"{where}[{position}]"):
            made.append(make(each))
    return tuple(made)


_PLAINER = {
    "missing": "is required",
    "model_type": "expected an object with named fields",
    "model_attributes_type": "expected an object with named fields",
    "dict_type": "expected an object with named fields",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    "frozen_set_type": "expected a list",
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "decimal_type": "expected a number",
    "decimal_parsing": "expected a number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a number",
    "datetime_type": "expected a moment like 2026-11-20T14:05:00+05:30",
    "datetime_parsing": "expected a moment like 2026-11-20T14:05:00+05:30",
    "datetime_from_date_parsing": "expected a moment like 2026-11-20T14:05:00+05:30",
    "timezone_aware": "expected an offset from UTC at its end, like +05:30 or Z",
    "date_type": "expected a day like 2026-11-20",
    "date_parsing": "expected a day like 2026-11-20",
    "date_from_datetime_parsing": "expected a day like 2026-11-20",
    "date_from_datetime_inexact": "expected a day like 2026-11-20",
    "time_parsing": "expected a time of day like 08:30",
    "path_type": "expected a file name",
}
"""Pydantic's kinds of complaint that read better in our words; the others keep theirs."""


def _reason(error: ErrorDetails, model: type[BaseModel]) -> str:
    kind, given = error["type"], error.get("input")
    if kind == "extra_forbidden":
        return _unknown_key(error["loc"], model)
    if kind in ("too_short", "string_too_short") and not given:
        return "must not be empty"
    message = _PLAINER.get(kind) or _by_pattern(error) or _reworded(error["msg"])
    plain = kind != "missing" and isinstance(given, str | int | float) and str(given) != ""
    return f"{message}, not {_cut(given)}" if plain and repr(given) not in message else message


PARTY = r"^[A-Z]{2}\*[A-Z0-9]{3}$"
LENIENT_PARTY = r"^[A-Z]{2}\*[A-Z0-9]{1,10}$"  # some partners' ids are longer than they may be
_PATTERNS = {
    PARTY: "expected country code and party id, like IN*CPO",
    LENIENT_PARTY: "expected country code and party id, like IN*EMP",
    r"^[A-Z]{2}$": "expected two capital letters",
    r"^[A-Z]{3}$": "expected three capital letters",
    r"^[A-Z0-9]{3}$": "expected three capital letters or digits",
    r"^([01]\d|2[0-3]):[0-5]\d$": "expected a time of day like 08:30",
    r"^[A-Za-z0-9*_=+|@.:-]{1,48}$": "expected 1 to 48 of A-Z a-z 0-9 * _ = + | @ . : -",
    r"^\d+(\.\d{1,4})?$": "expected an amount like 250.00",
}
"""What a pattern means to a person."""


def _by_pattern(error: ErrorDetails) -> str | None:
    return _PATTERNS.get(error.get("ctx", {}).get("pattern", ""))


def _reworded(message: str) -> str:
    message = message.removeprefix("Value error, ")
    for theirs, ours in (("Input should be", "expected"), ("String should", "should")):
        if message.startswith(theirs):
            return ours + message[len(theirs) :]
    return message


def _cut(given: object) -> str:
    text = repr(given)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _unknown_key(loc: Sequence[int | str], model: type[BaseModel]) -> str:
    near = get_close_matches(str(loc[-1]), _keys_at(loc[:-1], model), n=1)
    return f"no such key; did you mean {near[0]}?" if near else "no such key"


def _keys_at(loc: Sequence[int | str], model: type[BaseModel]) -> list[str]:
    """Return the keys that the model at *loc* knows; none where the path cannot be followed."""
    for part in loc:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        found = None if field is None else next(_models_in(field.annotation), None)
        if found is None:
            return []
        model = found
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)
