"""What a charger knows to be true, written down where no backend can touch it.

A ledger is append-only: one JSON object a line, flushed before the call returns, so that what is in
it survives the death of everything else. Four kinds of entries exist:

``delivered``
    The energy that really flowed in one transaction, written when it ends at the charger, before
    anybody is told and whether or not anybody ever answers.
``acked``
    A CALLRESULT's bytes arrived for a transaction message.
``callerror``
    A CALLERROR arrived for a transaction message.
``gave_up``
    The charger's retry habit discarded a transaction message for good.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BufferedWriter
from pathlib import Path
from typing import Any

import orjson

Entry = dict[str, Any]


def stamp(at: datetime) -> str:
    """Write an aware time as ISO 8601 in UTC, to the millisecond, with ``Z``."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def now() -> str:
    """The present as a ledger (and a charger) writes it."""
    return stamp(datetime.now(UTC))


class Ledger:
    """An append-only list of entries, in memory and, if *path* is given, in a file of JSON lines.

    Several stations may share one ledger. A file that exists is continued, not replaced.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.entries: list[Entry] = []
        self._file: BufferedWriter | None = None
        if path is not None:
            self._file = Path(path).open("ab")  # noqa: SIM115 - lives as long as the ledger

    def append(self, entry: Entry) -> None:
        """Add *entry*; when this returns, the operating system has it."""
        self.entries.append(entry)
        if self._file is not None:
            self._file.write(orjson.dumps(entry) + b"\n")
            self._file.flush()

    def delivered(
        self,
        *,
        station: str,
        version: str,
        txn: str,
        evse: int,
        connector: int,
        id_tag: str,
        start_at: str,
        stop_at: str,
        start_wh: int,
        stop_wh: int,
    ) -> None:
        """Energy flowed from register *start_wh* to *stop_wh*, both in Wh."""
        self.append(
            {
                "kind": "delivered",
                "station": station,
                "version": version,
                "txn": txn,
                "evse": evse,
                "connector": connector,
                "id_tag": id_tag,
                "start_at": start_at,
                "stop_at": stop_at,
                "start_wh": start_wh,
                "stop_wh": stop_wh,
            }
        )

    def acked(
        self,
        *,
        station: str,
        txn: str,
        message: str,
        transaction_id: str | None,
        register_wh: int | None,
        seq_no: int | None,
        answer: dict[str, Any],
    ) -> None:
        """The answer to *message* arrived.

        Args:
            message: ``start``, ``sample`` or ``stop`` (1.6); ``started``, ``updated`` or ``ended``.
            transaction_id: as text; for 1.6 the decimal text of the backend's number.
        """
        self.append(
            {
                "kind": "acked",
                "station": station,
                "txn": txn,
                "message": message,
                "transaction_id": transaction_id,
                "at": now(),
                "register_wh": register_wh,
                "seq_no": seq_no,
                "answer": answer,
            }
        )

    def callerror(
        self, *, station: str, txn: str | None, action: str, code: str, description: str
    ) -> None:
        """The backend answered *action* with a CALLERROR."""
        self.append(
            {
                "kind": "callerror",
                "station": station,
                "txn": txn,
                "action": action,
                "code": code,
                "description": description,
            }
        )

    def gave_up(self, *, station: str, txn: str, message: str) -> None:
        """The charger discarded *message* unanswered; nobody will ever send it again."""
        self.append({"kind": "gave_up", "station": station, "txn": txn, "message": message})

    def of(self, kind: str) -> Iterator[Entry]:
        """The entries of one kind, in order."""
        return (entry for entry in self.entries if entry["kind"] == kind)

    def close(self) -> None:
        """Close the file; the entries in memory stay."""
        if self._file is not None:
            self._file.close()
            self._file = None


def read(path: str | Path) -> list[Entry]:
    """Read the entries of a ledger's file; a torn last line (a killed writer) is left out."""
    lines = Path(path).read_bytes().split(b"\n")
    return [orjson.loads(line) for line in lines[:-1] if line]
