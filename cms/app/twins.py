"""The same remote start asked for twice within seconds: asked of the station once, told to both.

Whoever taps twice, or repeats a request whose answer was lost, wants one charge. Each request keeps
a promise of its own, durable as every promise is; what the station said to the first is the outcome
of all. After a crash they are unfinished like any other, and end as TIMEOUT, each told once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from cms.app.writes import CommandRecord
from cms.domain.commands import Answer, Outcome
from cms.domain.ids import CommandId, EvseRef

SECONDS_APART = timedelta(seconds=10)
"""A start that says the same so soon after one that was accepted is that one again."""

JOIN_START = "join_start"
"""Verb of the promise to tell what came of a start that is under way."""


@dataclass(frozen=True, slots=True)
class Start:
    """A remote start that is under way, or was a moment ago.

    Attributes:
        promised: whether its promise is durable; it may yet fail.
        answer: what the station says.
    """

    record: CommandRecord
    promised: asyncio.Future[bool]
    answer: asyncio.Future[Answer]

    def may_be_joined(self, now: datetime) -> bool:
        """Whether asking again *now* is asking for this one: not if it came to nothing."""
        if not self.answer.done():
            return True
        if self.answer.cancelled() or self.answer.exception() is not None:
            return False
        accepted = self.answer.result().outcome is Outcome.ACCEPTED
        return accepted and now - self.record.created_at <= SECONDS_APART


class Twins:
    """The newest remote start of each EVSE, and who joined it. Memory only."""

    def __init__(self) -> None:
        self._newest: dict[EvseRef, Start] = {}
        self._joined: dict[CommandId, Start] = {}

    def begin(self, record: CommandRecord) -> Start:
        """Note a start before its promise is made durable."""
        loop = asyncio.get_running_loop()
        start = Start(record, loop.create_future(), loop.create_future())
        self._newest[EvseRef(record.station, record.evse or 0)] = start
        return start

    def like(self, record: CommandRecord, now: datetime) -> Start | None:
        """Return the start that *record* asks for once more, by the same asker in the same words.

        The authorisation reference is among them: a partner whose drivers all share one token
        tells by it whose start it is, and of two drivers one must hear no.
        """
        found = self._newest.get(EvseRef(record.station, record.evse or 0))
        if found is None or record.reply_to is None or record.token is None:
            return None
        return (
            found if _words(found.record) == _words(record) and found.may_be_joined(now) else None
        )

    def join(self, record: CommandRecord, start: Start) -> None:
        """Let *record* have the outcome of *start*."""
        self._joined[record.id] = start

    def answered(self, record: CommandRecord, answer: Answer | None) -> None:
        """The station has answered *record*, or asking it failed (None)."""
        start = self._newest.get(EvseRef(record.station, record.evse or 0))
        if start is None or start.record.id != record.id or start.answer.done():
            return
        if answer is None:
            start.answer.cancel()
        else:
            start.answer.set_result(answer)

    async def outcome(self, record: CommandRecord) -> Answer:
        """Return what the station says to the start that *record* joined.

        Raises:
            CancelledError: asking the station failed.
        """
        start = self._joined[record.id]
        try:
            return await asyncio.shield(start.answer)
        finally:
            self._joined.pop(record.id, None)


def _words(record: CommandRecord) -> tuple[object, ...]:
    token = record.token
    who = None if token is None else (token.partner, token.uid.casefold(), token.type)
    limits = (record.limit_wh, record.limit_money, record.limit_seconds)
    return (record.asked_by, record.owner, who, record.connector, record.reference, *limits)
