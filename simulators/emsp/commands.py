"""Commands on their way: the answer at once, the one result later, and the times of both."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime

from simulators.emsp.wire import Json, now, stamp

NAMES = (
    "START_SESSION",
    "STOP_SESSION",
    "UNLOCK_CONNECTOR",
    "RESERVE_NOW",
    "CANCEL_RESERVATION",
)


@dataclass(slots=True, eq=False)
class Command:
    """One command that we sent.

    Attributes:
        answer: CommandResponse.result; ``None`` if the CPO answered with an error.
        answer_code: OCPI status_code of the answer.
        results: every CommandResult that came; one is right, after ACCEPTED only.
        sent, answered, resulted: monotonic seconds.
    """

    id: str
    name: str
    body: Json
    sent_at: datetime = field(default_factory=now)
    sent: float = field(default_factory=time.monotonic)
    answer: str | None = None
    answer_code: int | None = None
    answer_http: int | None = None
    timeout: int | None = None
    answered: float | None = None
    results: list[str] = field(default_factory=list)
    resulted: float | None = None
    written: bool = False
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def reference(self) -> str | None:
        """The authorization_reference that it carried."""
        return self.body.get("authorization_reference")

    def mark_answered(self, http: int, code: int | None) -> None:
        """The answer came."""
        self.answered = time.monotonic()
        self.answer_http, self.answer_code = http, code

    def take(self, result: str) -> None:
        """A CommandResult came."""
        self.results.append(result)
        if self.resulted is None:
            self.resulted = time.monotonic()
        self._arrived.set()

    async def result(self, timeout: float = 30.0) -> str:
        """Wait for the result.

        Raises:
            TimeoutError: none within *timeout* seconds.
        """
        async with asyncio.timeout(timeout):
            await self._arrived.wait()
        return self.results[0]

    def line(self) -> Json:
        """This command as a line of the ledger."""
        return {
            "kind": "command",
            "id": self.id,
            "command": self.name,
            "sent_at": stamp(self.sent_at),
            "answer": self.answer,
            "result": self.results[0] if self.results else None,
            "results": len(self.results),
            "authorization_reference": self.reference,
        }
