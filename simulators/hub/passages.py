"""What went through the hub: one line for each request and each party that it reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulators.emsp.wire import Json, now, stamp


@dataclass(slots=True, eq=False)
class Passage:
    """One request through the hub, to one receiver.

    Attributes:
        how: "direct", "broadcast", "open", "all" (GET of everything), or "hub" (answered here).
        sender, receiver: parties as ``IN*CPO``; ``None`` where none was named or found.
        http, code: what the receiver answered, or the hub in its place.
        request_ids: X-Request-ID of the hop in, and of the hop out.
    """

    how: str
    method: str
    module: str
    path: str
    sender: str | None
    receiver: str | None
    body: Any
    correlation_id: str | None
    request_ids: tuple[str | None, str | None] = (None, None)
    http: int | None = None
    code: int | None = None
    at: datetime = field(default_factory=now)

    def line(self) -> Json:
        """As a line of the ledger."""
        return {
            "kind": "passage",
            "at": stamp(self.at),
            "how": self.how,
            "method": self.method,
            "module": self.module,
            "path": self.path,
            "from": self.sender,
            "to": self.receiver,
            "body": self.body,
            "answered": {"http": self.http, "status_code": self.code},
        }
