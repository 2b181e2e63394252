"""Figures as they come: one line for people, one line of JSON for whoever keeps the history."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from benchmarks.summary import Bound


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number beside what it should be.

    Attributes:
        value: None = it could not be measured; *note* says why.
        target: None = shown for information.
        detail: rounds and whatever explains the number, for the JSON line.
        doubt: why the number should not be trusted; a figure in doubt does not pass.
    """

    name: str
    value: float | None
    unit: str
    bound: Bound = Bound.AT_MOST
    target: float | None = None
    note: str = ""
    doubt: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "NOT MEASURED"
        if self.doubt:
            return "IN DOUBT"
        if self.target is None:
            return ""
        return "pass" if self.bound.holds(self.value, self.target) else "FAIL"

    def line(self) -> str:
        value = "-" if self.value is None else f"{self.value:,.{digits(self.value)}f} {self.unit}"
        target = "" if self.target is None else f"{self.bound.value} {self.target:,g}"
        said = "; ".join(part for part in (self.doubt, self.note) if part)
        return f"  {self.name:<58} {value:>18}   {target:>10}  {self.verdict:<12} {said}".rstrip()


def digits(value: float) -> int:
    """Return how many decimals of *value* a reader wants to see."""
    return 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2


class Report:
    """Prints figures as they come and keeps them."""

    def __init__(self, out: TextIO | None) -> None:
        self.figures: list[Figure] = []
        self._out = out
        self._facts = facts()

    def chapter(self, title: str) -> None:
        print(f"\n{title}", flush=True)

    def add(self, figure: Figure) -> None:
        self.figures.append(figure)
        print(figure.line(), flush=True)
        if self._out is not None:
            self._out.write(json.dumps(self._plain(figure)) + "\n")
            self._out.flush()

    def _plain(self, figure: Figure) -> dict[str, Any]:
        return {
            "figure": figure.name,
            "value": figure.value,
            "unit": figure.unit,
            "bound": figure.bound.value,
            "target": figure.target,
            "verdict": figure.verdict,
            "note": figure.note,
            "doubt": figure.doubt,
            **self._facts,
            "detail": figure.detail,
        }

    @property
    def failed(self) -> list[Figure]:
        wanted = (each for each in self.figures if each.target is not None)
        return [each for each in wanted if each.verdict != "pass"]

    def close(self) -> None:
        wanted = [each for each in self.figures if each.target is not None]
        print(f"\n{len(wanted) - len(self.failed)} of {len(wanted)} figures meet their target")
        for each in self.failed:
            print(f"  {each.verdict}: {each.name}")


def facts() -> dict[str, Any]:
    """What the numbers were taken with."""
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
    }


def commit() -> str:
    try:
        done = subprocess.run(  # noqa: PLW1510
            ["git", "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent,
            timeout=10,
        )
    except OSError:
        return ""
    return done.stdout.strip()
