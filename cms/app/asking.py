"""Questions to partners while a driver waits: nobody waits for a partner that is known to be silent.

A question outlives the driver's patience: whoever answers late has answered for the second try.
After a few questions in a row that nobody answered the partner counts as silent. Decisions then
fall at once, by the whitelist's rule; a few questions are put to it all the same, with nobody
waiting, and the first that is answered ends the silence. So a dead partner costs the first drivers
their patience, and nobody after them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog

from cms.app.ports import TokenAuthority
from cms.domain.ids import EvseRef, PartnerId
from cms.domain.token import Decision, Token

log = structlog.get_logger()

SILENT_AFTER = 3
"""Questions in a row without an answer."""

WHILE_SILENT = 4
"""Questions to a silent partner under way at once."""

Errand = Callable[[str, Coroutine[Any, Any, Any]], None]
"""Runs something in the background (``Supervisor.errand``)."""

Learn = Callable[[PartnerId, str, Decision], None]
"""Is told what a partner answered about a uid, whether anybody still waits or not."""


@dataclass(frozen=True, slots=True)
class _Question:
    partner: PartnerId
    uid: str
    where: EvseRef | None


@dataclass(slots=True)
class _Line:
    """How a partner answered lately.

    Attributes:
        unanswered: questions in a row that ended without a decision.
        open: what is under way.
    """

    unanswered: int = 0
    open: dict[_Question, asyncio.Future[Decision | None]] = field(default_factory=dict)

    @property
    def silent(self) -> bool:
        return self.unanswered >= SILENT_AFTER


class Asking:
    """Puts questions to partners.

    Args:
        authority: asks, and gives up by itself after a while.
        errand: keeps a question under way when nobody waits for it any more.
        learn: called with each answer.
    """

    def __init__(self, authority: TokenAuthority, errand: Errand, learn: Learn) -> None:
        self._authority = authority
        self._errand = errand
        self._learn = learn
        self._lines: dict[PartnerId, _Line] = {}

    def silent(self, partner: PartnerId) -> bool:
        """Whether nobody waits for *partner* now."""
        line = self._lines.get(partner)
        return line is not None and line.silent

    async def ask(
        self,
        partner: PartnerId,
        token: Token | None,
        uid: str,
        where: EvseRef | None,
        patience: float,
    ) -> Decision | None:
        """Return what *partner* says within *patience* seconds; None = nothing that decides."""
        line = self._lines.setdefault(partner, _Line())
        question = _Question(partner, uid.casefold(), where)
        told = line.open.get(question)
        if told is None and not (line.silent and len(line.open) >= WHILE_SILENT):
            told = self._put(line, question, token, uid)
        if told is None or line.silent:
            return None
        await asyncio.wait({told}, timeout=patience)
        return told.result() if told.done() else None

    def forget(self, partner: PartnerId, uid: str) -> None:
        """The token has changed: what is under way about it is not learned any more."""
        line = self._lines.get(partner, _Line())
        for question in [each for each in line.open if each.uid == uid.casefold()]:
            del line.open[question]

    def _put(
        self, line: _Line, question: _Question, token: Token | None, uid: str
    ) -> asyncio.Future[Decision | None]:
        told: asyncio.Future[Decision | None] = asyncio.get_running_loop().create_future()
        line.open[question] = told
        self._errand(f"ask {question.partner}", self._asked(line, question, token, uid, told))
        return told

    async def _asked(
        self,
        line: _Line,
        question: _Question,
        token: Token | None,
        uid: str,
        told: asyncio.Future[Decision | None],
    ) -> None:
        answer: Decision | None = None
        try:
            answer = await self._authority.authorise(question.partner, token, uid, question.where)
            self._heard(line, question.partner, answer)
            if answer is not None and line.open.get(question) is told:
                self._learn(question.partner, uid, answer)
        finally:
            if line.open.get(question) is told:
                del line.open[question]
            if not told.done():
                told.set_result(answer)

    def _heard(self, line: _Line, partner: PartnerId, answer: Decision | None) -> None:
        before = line.silent
        line.unanswered = line.unanswered + 1 if answer is None else 0
        if line.silent != before:
            log.warning("partner.silent" if line.silent else "partner.answers", partner=partner)
