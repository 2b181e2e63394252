"""How much is measured: the whole benchmark, or a quick look."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of one run.

    Attributes:
        rounds: of each comparison, interleaved; medians are taken over them.
        seconds, warm: of one window, and before it.
        few, many: idle chargers whose memory is compared.
        storm: chargers that come back at once.
        settle: seconds after the last boot before memory is read.
        start_cycles: bursts of new transactions.
        samples: of each latency that is taken one at a time.
    """

    folder: Path
    rounds: int = 3
    seconds: float = 2.5
    warm: float = 0.7
    few: int = 1000
    many: int = 10_000
    storm: int = 5000
    settle: float = 30.0
    start_cycles: int = 5
    samples: int = 100
    quick: bool = False


def quick(folder: Path) -> Scale:
    """A look of about three minutes: same targets, shorter windows, fewer chargers."""
    return Scale(
        folder,
        seconds=1.0,
        warm=0.4,
        few=500,
        many=2500,
        storm=2000,
        settle=5.0,
        start_cycles=2,
        samples=30,
        quick=True,
    )
