"""The lease of an SQLite file: one process writes it, a second one refuses."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from cms.store.errors import InUse


class FileLease:
    """Held from construction until ``release``; a killed process gives it back by dying.

    Raises:
        InUse: on construction, naming the process that holds it.
    """

    def __init__(self, database: Path) -> None:
        path = lease_path(database)
        self._file: IO[str] = open(path, "a+", encoding="ascii")  # noqa: SIM115
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read(self._file)
            self._file.close()
            raise InUse(f"{database} is in use by process {holder}; stop it first") from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        self._file.close()


def lease_path(database: Path) -> Path:
    return database.with_name(database.name + ".lease")


def is_held(database: Path) -> bool:
    """Whether a process holds the lease of *database*."""
    try:
        with open(lease_path(database), encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read().strip() or "unknown"
