"""The partner's own append-only record, in memory and (if asked) as JSON lines on disk."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from simulators.emsp.wire import Json, dumps


class Ledger:
    """Lines in the order in which they happened.

    Args:
        path: also append each line here, flushed at once. ``None``: memory only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.lines: list[Json] = []
        self._file: IO[bytes] | None = path.open("ab") if path else None

    def append(self, line: Json) -> None:
        """Keep *line*; on disk before this returns (flushed, not fsynced)."""
        self.lines.append(line)
        if self._file:
            self._file.write(dumps(line) + b"\n")
            self._file.flush()

    def of(self, kind: str) -> list[Json]:
        """The lines of one *kind*: request, cdr, command or recomputed."""
        return [line for line in self.lines if line["kind"] == kind]

    def close(self) -> None:
        """Close the file; memory stays readable."""
        if self._file:
            self._file.close()
            self._file = None
