"""One line per scenario: what was tried, what came out, what was allowed.

``K01 pass seed=7 n=412 lost=0(0) duplicates=0(0) stop_s=0.41(10) t=38.2s mutant=ack-before-commit``
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FIGURES = "CMS_FIGURES"
"""Environment: append every figure as a JSON line to this file."""

Number = int | float


def seed(default: int = 7) -> int:
    """The seed of this run (``CMS_SEED``)."""
    return int(os.environ.get("CMS_SEED", default))


def size(name: str, default: int) -> int:
    """How large to make something: ``CMS_<name>`` from the environment, else *default*."""
    return int(os.environ.get(f"CMS_{name}", default))


@dataclass(slots=True)
class Scenario:
    """One scenario under way. Figures are judged when its block ends.

    Attributes:
        n: how many of whatever the scenario counts; a scenario over nothing fails.
        facts: what is printed without a limit.
    """

    id: str
    seed: int
    mutant: str
    n: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _figures: list[tuple[str, Number, Number]] = field(default_factory=list)

    def figure(self, name: str, value: Number, limit: Number = 0) -> None:
        """Record a value that may be *limit* at most."""
        self._figures.append((name, value, limit))

    def wrong(self, *what: Any) -> None:
        """Keep what explains a bad figure; shown on failure."""
        self.notes += [str(each) for each in what]

    @property
    def good(self) -> bool:
        return self.n > 0 and all(value <= limit for _, value, limit in self._figures)

    def line(self, verdict: str, seconds: float) -> str:
        shown = [f"{name}={_short(value)}({_short(limit)})" for name, value, limit in self._figures]
        facts = [f"{name}={_short(value)}" for name, value in self.facts.items()]
        parts = [self.id, verdict, f"seed={self.seed}", f"n={self.n}", *shown, *facts]
        return " ".join([*parts, f"t={seconds:.1f}s", f"mutant={self.mutant}"])

    def record(self, verdict: str, seconds: float) -> dict[str, Any]:
        return {
            "id": self.id,
            "verdict": verdict,
            "seed": self.seed,
            "n": self.n,
            "figures": {name: [value, limit] for name, value, limit in self._figures},
            "facts": self.facts,
            "seconds": round(seconds, 1),
            "mutant": self.mutant,
        }


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


@contextmanager
def scenario(
    id: str, *, mutant: str, lines: list[tuple[str, object]], default_seed: int = 7
) -> Iterator[Scenario]:
    """Run a scenario in the block; prints its line and fails the test if a figure is over its limit.

    Args:
        mutant: the broken variant of the product on which this scenario must fail.
        lines: where the line is also put, for the summary at the end (a test's user properties).
    """
    this = Scenario(id, seed(default_seed), mutant)
    began = time.monotonic()
    finished = False
    try:
        yield this
        finished = True
    except BaseException as error:
        if type(error).__name__ == "Skipped":
            raise
        _tell(this, "FAIL", time.monotonic() - began, lines)
        raise
    finally:
        if finished:
            _tell(this, "pass" if this.good else "FAIL", time.monotonic() - began, lines)
    assert this.good, "\n".join([this.line("FAIL", time.monotonic() - began), *this.notes[:40]])


def _tell(this: Scenario, verdict: str, seconds: float, lines: list[tuple[str, object]]) -> None:
    line = this.line(verdict, seconds)
    print(line)
    lines.append(("figure", line))
    if file := os.environ.get(FIGURES):
        with Path(file).open("a") as out:
            out.write(json.dumps(this.record(verdict, seconds)) + "\n")


def summary(reports: dict[str, list[Any]]) -> list[str]:
    """The lines of all scenarios of a pytest run, from its reports (also those of xdist's workers)."""
    return sorted(
        str(value)
        for kind in ("passed", "failed")
        for report in reports.get(kind, [])
        for name, value in getattr(report, "user_properties", [])
        if name == "figure"
    )
