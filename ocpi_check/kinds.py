"""How a JSON value of each OCPI type must look; a judge yields what is wrong, with the rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ocpi_check.wire import DATE_TIME, decimal, moment

MOST_SIGNIFICANT_DIGITS = 15
"""A number with more is a binary float that leaked, e.g. 0.30000000000000004."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in an object.

    Attributes:
        rule: id of the statement that it breaks.
        path: where, e.g. ``evses[0].connectors[1].max_voltage``.
    """

    rule: str
    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path} {self.text}"


Judge = Callable[[Any, str], Iterator[Problem]]


def kind_of(value: Any) -> str:
    """The JSON type of *value*, for messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return f'the string "{value[:40]}"'
        case dict():
            return "an object"
        case list():
            return "an array"
        case _:
            return f"the number {value}"


def text(most: int, rule: str = "TR-32") -> Judge:
    """A string of printable UTF-8, so many characters at most."""

    def judge(value: Any, path: str) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield Problem(rule, path, f"must be a string, is {kind_of(value)}")
        elif any(each in value for each in "\r\n\t"):
            yield Problem("TR-32", path, "holds a line break or tab, which no OCPI string may")
        elif len(value) > most:
            yield Problem("TR-33", path, f"has {len(value)} characters, at most {most} are allowed")

    return judge


def ascii_text(most: int) -> Judge:
    """A string of 2.1.1, or an id: printable ASCII."""
    plain = text(most)

    def judge(value: Any, path: str) -> Iterator[Problem]:
        yield from plain(value, path)
        if isinstance(value, str) and not (value.isascii() and value.isprintable()):
            yield Problem("TR-32", path, f'must be printable ASCII, is "{value[:40]}"')

    return judge


def ident(most: int = 36) -> Judge:
    """An id: a CiString that is not empty."""
    plain = ascii_text(most)

    def judge(value: Any, path: str) -> Iterator[Problem]:
        yield from plain(value, path)
        if value == "":
            yield Problem("TR-32", path, "is empty")

    return judge


def pattern(expression: str, what: str, rule: str) -> Judge:
    """A string of one form."""
    wanted = re.compile(expression)

    def judge(value: Any, path: str) -> Iterator[Problem]:
        if not isinstance(value, str) or not wanted.fullmatch(value):
            yield Problem(rule, path, f"must be {what}, is {kind_of(value)}")

    return judge


def one_of(names: Sequence[str], rule: str = "TR-31") -> Judge:
    """An enum literal, exactly as the specification writes it."""

    def judge(value: Any, path: str) -> Iterator[Problem]:
        if value not in names:
            known = ", ".join(names) if len(names) < 12 else f"one of {len(names)} known values"
            yield Problem(rule, path, f"is {kind_of(value)}; allowed: {known}")

    return judge


def number(value: Any, path: str) -> Iterator[Problem]:
    """A JSON number that has not been through a binary float."""
    found = decimal(value)
    if found is None:
        yield Problem("TR-37", path, f"must be a JSON number, is {kind_of(value)}")
    elif len(found.normalize().as_tuple().digits) > MOST_SIGNIFICANT_DIGITS:
        yield Problem("TR-37", path, f"shows binary float noise: {value}")


def integer(value: Any, path: str) -> Iterator[Problem]:
    """A JSON number without a fraction part."""
    if isinstance(value, Decimal):
        yield Problem("TR-38", path, f"is an int and must have no fraction part, is {value}")
    elif isinstance(value, bool) or not isinstance(value, int):
        yield Problem("TR-37", path, f"must be a JSON number, is {kind_of(value)}")


def boolean(rule: str) -> Judge:
    def judge(value: Any, path: str) -> Iterator[Problem]:
        if not isinstance(value, bool):
            yield Problem(rule, path, f"must be true or false, is {kind_of(value)}")

    return judge


def when(value: Any, path: str) -> Iterator[Problem]:
    """A DateTime: UTC, ``YYYY-MM-DDTHH:MM:SS``, up to three digits of a second, ``Z``."""
    if not isinstance(value, str) or not DATE_TIME.fullmatch(value) or moment(value) is None:
        shape = "YYYY-MM-DDTHH:MM:SS[.sss]Z in UTC"
        yield Problem("TR-34", path, f"must be {shape}, is {kind_of(value)}")


def url(value: Any, path: str) -> Iterator[Problem]:
    """An absolute address of at most 255 characters."""
    if not isinstance(value, str) or not re.fullmatch(r"https?://\S+", value):
        yield Problem("TR-40", path, f"must be an absolute URL, is {kind_of(value)}")
    elif len(value) > 255:
        yield Problem("TR-40", path, f"has {len(value)} characters, at most 255 are allowed")


def many(judge: Judge, rule: str = "TR-15", least: int = 0) -> Judge:
    """An array."""

    def judged(value: Any, path: str) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield Problem(rule, path, f"must be an array, is {kind_of(value)}")
            return
        if len(value) < least:
            yield Problem(rule, path, f"must have at least {least} entry, has {len(value)}")
        for index, each in enumerate(value):
            yield from judge(each, f"{path}[{index}]")

    return judged


@dataclass(frozen=True, slots=True)
class Shape:
    """An object and its members.

    Attributes:
        rule: of a missing member, unless *missing* names another; and of an object that is none.
        never: members that this version must not have, with the rule.
    """

    name: str
    rule: str
    required: Mapping[str, Judge]
    optional: Mapping[str, Judge] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    never: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, value: Any, path: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield Problem(self.rule, path, f"must be a {self.name}, is {kind_of(value)}")
            return
        dot = f"{path}." if path else ""
        for name, judge in {**self.required, **self.optional}.items():
            if value.get(name) is not None:
                yield from judge(value[name], f"{dot}{name}")
            elif name in self.required:
                rule = self.missing.get(name, self.rule)
                yield Problem(rule, f"{dot}{name}", f"is missing; a {self.name} must have it")
        for name, rule in self.never.items():
            if value.get(name) is not None:
                yield Problem(rule, f"{dot}{name}", "does not exist in this version")

    def with_(self, **changes: Any) -> Shape:
        """The shape of another version: members laid over, or taken away where None."""
        required = _kept({**self.required, **changes.get("required", {})})
        optional = _kept({**self.optional, **changes.get("optional", {})})
        return Shape(
            self.name,
            changes.get("rule", self.rule),
            required,
            {name: judge for name, judge in optional.items() if name not in required},
            {**self.missing, **changes.get("missing", {})},
            {**self.never, **changes.get("never", {})},
        )


def _kept(members: Mapping[str, Judge | None]) -> dict[str, Judge]:
    return {name: judge for name, judge in members.items() if judge is not None}
