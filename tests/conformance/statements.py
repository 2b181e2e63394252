"""What we hold ourselves to in OCPI, statement by statement, and which tests hold it.

A test is tied to statements by its name (``test_tr_05_...``, ``test_lo_11_and_12_...``) or by the
marker ``@pytest.mark.statement("TR-05", ...)``. Where the specification leaves a statement open
(kind E) the test carries ``@reading``: it holds our reading of it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent / "ocpi"

statement = pytest.mark.statement
"""Ties a test to statements: ``@statement("TR-05", "TR-06")``."""

reading = pytest.mark.statement(reading=True)
"""Says that a test holds our reading of what the specification leaves open."""

_GROUP = re.compile(r"test_([a-z]{2}|[bc]\d)_(\d\d)(?!\d)")
_MORE = re.compile(r"_(and|to)_(\d\d)(?!\d)")


@dataclass(frozen=True, slots=True)
class Statement:
    """One line of the list.

    Attributes:
        kind: M demanded, S recommended, E left open: our reading.
        topic: a few words of ours.
    """

    id: str
    kind: str
    topic: str

    @property
    def part(self) -> str:
        """A: 2.2.1. B: what differs in 2.1.1. C: what differs in 2.3.0."""
        return self.id[0] if self.id[1].isdigit() else "A"


@dataclass(frozen=True, slots=True)
class Gaps:
    """Why a statement has no test that holds it all.

    Attributes:
        not_applicable: is about another role than ours.
        missing: there is nothing, or too little, to test.
        partly: tests are there and hold a part only; the reason says what is left.
    """

    not_applicable: dict[str, str]
    missing: dict[str, str]
    partly: dict[str, str]


@cache
def statements() -> tuple[Statement, ...]:
    lines = (HERE / "statements.txt").read_text().splitlines()
    return tuple(
        Statement(*line.split(" ", 2)) for line in lines if line and not line.startswith("#")
    )


@cache
def gaps() -> Gaps:
    data = tomllib.loads((HERE / "gaps.toml").read_text())
    return Gaps(data["not_applicable"], data["missing"], data["partly"])


def named(test: str) -> tuple[str, ...]:
    """Return the ids in a test's name: ``test_pg_04_to_06_and_08_x`` -> PG-04 .. PG-06, PG-08."""
    found = _GROUP.match(test)
    if not found:
        return ()
    group, numbers, at = found[1].upper(), [int(found[2])], found.end()
    while more := _MORE.match(test, at):
        last = int(more[2])
        numbers += range(numbers[-1] + 1, last + 1) if more[1] == "to" else [last]
        at = more.end()
    return tuple(f"{group}-{number:02}" for number in numbers)


def held_by(item: pytest.Item) -> tuple[str, ...]:
    """Return the ids that a collected test is tied to."""
    name = getattr(item, "originalname", None) or item.name
    marked = [id for mark in item.iter_markers("statement") for id in mark.args]
    known = {each.id for each in statements()}
    return tuple(id for id in dict.fromkeys([*named(name), *marked]) if id in known)


def rows(outcomes: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
    """Return one row per statement.

    Args:
        outcomes: id -> test -> "passed", "failed" or "skipped".
    """
    return [_row(each, outcomes.get(each.id, {})) for each in statements()]


def _row(own: Statement, tests: dict[str, str]) -> dict[str, Any]:
    status, reason = _status(own.id, tests)
    return {
        "id": own.id,
        "status": status,
        "test": next(iter(sorted(tests)), None),
        "tests": sorted(tests),
        "reason": reason,
        "kind": own.kind,
        "topic": own.topic,
    }


def _status(id: str, tests: dict[str, str]) -> tuple[str, str | None]:
    known = gaps()
    if id in known.not_applicable:
        return "not_applicable", known.not_applicable[id]
    wrong = sorted(test for test, outcome in tests.items() if outcome != "passed")
    if wrong:
        return "not_held", f"{tests[wrong[0]]}: {wrong[0]}"
    if id in known.partly:
        return "not_held", f"in part: {known.partly[id]}"
    if not tests:
        return "not_held", known.missing.get(id, "no test yet")
    return "held", None


def totals(table: Iterable[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Return part -> status -> how many."""
    part_of = {each.id: each.part for each in statements()}
    counts = {p: dict.fromkeys(("held", "not_held", "not_applicable"), 0) for p in "ABC"}
    for row in table:
        counts[part_of[row["id"]]][row["status"]] += 1
    return counts
