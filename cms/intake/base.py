"""What all intake models share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from cms.domain.errors import InvalidValue

M = TypeVar("M", bound=BaseModel)


class Intake(BaseModel):
    """Unknown keys are errors: a misspelt key that is silently ignored costs an evening."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


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
        raise first_of(error, where) from None


def first_of(error: ValidationError, where: str = "") -> InvalidValue:
    """Return the first of pydantic's complaints as one of ours."""
    first = error.errors(include_url=False)[0]
    return InvalidValue(path_of(first["loc"], where), _reason(first["msg"], first.get("input")))


def path_of(parts: tuple[int | str, ...], where: str = "") -> str:
    """Write a path the way people do: ``locations[2].time_zone``."""
    path = where
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path or "(the whole)"


@contextmanager
def within(where: str) -> Iterator[None]:
    """Prefix the field of an ``InvalidValue`` with the place it stands in."""
    try:
        yield
    except InvalidValue as error:
        raise InvalidValue(
            f"{where}.{error.field}" if where else error.field, error.reason
        ) from None


def _reason(message: str, given: object) -> str:
    message = message.removeprefix("Value error, ")
    if isinstance(given, (str, int, float, bool)) and str(given) and str(given) not in message:
        return f"{message}, not {given!r}"
    return message
