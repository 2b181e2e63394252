"""The list of statements, and that tests say when they hold our reading."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.statements import HERE, gaps, named, rows, statements

FILES = sorted(HERE.glob("test_*.py"))


def test_every_statement_has_one_row() -> None:
    ids = [each.id for each in statements()]
    assert len(ids) == len(set(ids)) == 373
    assert [row["id"] for row in rows({})] == ids
    counts = [sum(each.part == part for each in statements()) for part in "ABC"]
    assert counts == [292, 49, 32]


def test_reasons_are_about_statements_that_exist() -> None:
    known = {each.id for each in statements()}
    reasons = [*gaps().not_applicable, *gaps().missing, *gaps().partly]
    assert set(reasons) <= known
    assert len(reasons) == len(set(reasons))


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ({}, "not_held"),
        ({"a": "passed"}, "held"),
        ({"a": "passed", "b": "failed"}, "not_held"),
        ({"a": "skipped"}, "not_held"),
    ],
)
def test_a_statement_is_held_by_tests_that_passed_and_nothing_else(
    outcomes: dict[str, str], status: str
) -> None:
    [row] = [row for row in rows({"TR-02": outcomes}) if row["id"] == "TR-02"]
    assert row["status"] == status
    assert (row["reason"] is None) == (status == "held")


def test_a_name_says_which_statements_it_holds() -> None:
    assert named("test_tr_05_a_thing") == ("TR-05",)
    assert named("test_pg_04_to_06_and_08_pages") == ("PG-04", "PG-05", "PG-06", "PG-08")
    assert named("test_b1_07_modules_221_and_so_on") == ("B1-07",)
    assert named("test_a_name_without_any") == ()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.name))
def test_a_test_of_our_own_reading_says_so(file: Path) -> None:
    open_ones = {each.id for each in statements() if each.kind == "E"}
    silent = [
        name
        for name, ids, decorators in _tests(file)
        if open_ones & set(ids) and "reading" not in decorators
    ]
    assert not silent


def _tests(file: Path) -> Iterator[tuple[str, list[str], str]]:
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = " ".join(ast.unparse(each) for each in node.decorator_list)
            constants = [each for each in ast.walk(node) if isinstance(each, ast.Constant)]
            marked = [str(each.value) for each in constants] if "statement(" in decorators else []
            yield node.name, [*named(node.name), *marked], decorators
