"""A pytest plugin (``-p tests.conformance.report``): writes down which statements are held.

``make conformance`` runs it. It prints the totals and writes ``conformance.json`` and
``docs/ocpi-conformance.md``; a statement is held only if every test that is tied to it passed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.statements import rows, totals

ROOT = Path(__file__).parents[2]
PARTS = {"A": "OCPI 2.2.1", "B": "differences of 2.1.1", "C": "differences of 2.3.0"}
WORDS = {"held": "held", "not_held": "not held", "not_applicable": "n.a."}
KINDS = {"M": "", "S": "recommended", "E": "our reading"}

_outcomes: dict[str, dict[str, str]] = defaultdict(dict)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when != "call" and report.outcome == "passed":
        return
    test = report.nodeid.split("[")[0]
    for id in dict(report.user_properties).get("statements", ()):  # type: ignore[arg-type]
        worse = _outcomes[id].get(test, "passed") == "passed"
        if worse:
            _outcomes[id][test] = report.outcome


def pytest_terminal_summary(terminalreporter: Any) -> None:
    table = rows(_outcomes)
    (ROOT / "conformance.json").write_text(json.dumps({"ocpi": {"rows": table}}, indent=1) + "\n")
    (ROOT / "docs" / "ocpi-conformance.md").write_text(page(table))
    for line in summary(table):
        terminalreporter.write_line(line)


def summary(table: list[dict[str, Any]]) -> list[str]:
    """Return the totals, a line a part."""
    lines = []
    for part, counts in totals(table).items():
        lines.append(
            f"OCPI part {part} ({PARTS[part]}): {counts['held']} held, "
            f"{counts['not_held']} not held, {counts['not_applicable']} not applicable"
        )
    return lines


def page(table: list[dict[str, Any]]) -> str:
    """Return the document."""
    lines = [
        "# What of OCPI is held, statement by statement",
        "",
        "Written by `make conformance`; change the tests, not this page. A row is *held* if every",
        "test that is tied to it passes. *Our reading* marks what the specification leaves open.",
        "",
        *(f"- {line}" for line in summary(table)),
    ]
    for part, title in PARTS.items():
        lines += ["", f"## Part {part}: {title}", "", "| id | topic | status | test or reason |"]
        lines += ["|---|---|---|---|"]
        lines += [_line(row) for row in table if _part(row) == part]
    return "\n".join(lines) + "\n"


def _part(row: dict[str, Any]) -> str:
    id = str(row["id"])
    return id[0] if id[1].isdigit() else "A"


def _line(row: dict[str, Any]) -> str:
    kind = KINDS[row["kind"]]
    topic = f"{row['topic']} ({kind})" if kind else row["topic"]
    why = row["reason"] or ", ".join(f"`{_short(test)}`" for test in row["tests"])
    return f"| {row['id']} | {topic} | {WORDS[row['status']]} | {why.replace('|', '/')} |"


def _short(test: str) -> str:
    return test.rsplit("/", 1)[-1]
