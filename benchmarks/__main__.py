"""``python -m benchmarks``: every figure, with its target beside it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks import (
    away,
    billing,
    crowd,
    decisions,
    durable,
    fanout,
    meter,
    pages,
    path,
    roaming,
    scale,
    servers,
    tokens,
    walk,
)
from benchmarks.report import Figure, Report, facts

Suite = Callable[[Report, scale.Scale], Awaitable[None]]

SUITES: dict[str, Suite] = {
    "rating": billing.measure,
    "path": path.measure,
    "sqlite": durable.sqlite,
    "postgresql": durable.postgresql,
    "authorize": tokens.measure,
    "decisions": decisions.measure,
    "roaming": roaming.measure,
    "pages": pages.measure,
    "walk": walk.measure,
    "fanout": fanout.measure,
    "away": away.measure,
    "crowd": crowd.measure,
}

SUITE_SECONDS = 300.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about three minutes, smaller sizes")
    parser.add_argument("--only", action="append", choices=SUITES, help="repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append the JSON lines there")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a target is missed")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave logs and stores there")
    return parser.parse_args()


async def run(chosen: list[str], size: scale.Scale, report: Report) -> None:
    """Run suite after suite; one that fails says so and the next one runs."""
    for name in chosen:
        try:
            async with asyncio.timeout(SUITE_SECONDS):
                await SUITES[name](report, size)
        except Exception as error:
            what = f"{type(error).__name__}: {error}".strip()
            report.add(Figure(f"{name}: broke off", None, "", target=0, note=what[-1500:]))


def main() -> int:
    """Measure, print, keep; returns the exit code."""
    given = arguments()
    meter.raise_file_limit()
    meter.pin(meter.LOAD_CORE)
    begun = time.monotonic()
    with ExitStack() as held:
        folder = place(given.keep, held)
        size = scale.quick(folder) if given.quick else scale.Scale(folder)
        file = given.json or results_file()
        report = Report(held.enter_context(file.open("a")))
        _introduce(folder)
        asyncio.run(run(given.only or list(SUITES), size, report))
        report.close()
    print(f"{time.monotonic() - begun:.0f} s; JSON lines in {file}")
    return 1 if given.strict and report.failed else 0


def place(keep: Path | None, held: ExitStack) -> Path:
    """Return an empty folder: one that goes away with *held*, or a new one inside *keep*."""
    if keep is None:
        return Path(held.enter_context(tempfile.TemporaryDirectory(prefix="cms-bench-")))
    keep.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="run-", dir=keep.resolve()))


def results_file() -> Path:
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    return folder / f"{time.strftime('%Y%m%d-%H%M%S')}.jsonl"


def _introduce(folder: Path) -> None:
    known = facts()
    print(
        f"commit {known['commit']}, Python {known['python']}, {known['cores']} cores "
        f"(load {known['load_average']:.1f}), fdatasync {meter.fdatasync_ms(folder):.2f} ms, "
        f"server on core {meter.SERVER_CORE}, load on core {meter.LOAD_CORE}"
    )
    if os.getloadavg()[0] > 1:
        print("  this machine is busy with something else: trust ratios, not milliseconds")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except servers.Failed as error:
        sys.exit(f"benchmarks: {error}")
