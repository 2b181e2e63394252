"""May this token charge? From memory where the whitelist lets us, else the partner is asked.

A decision from the cache takes no I/O. The whitelist rules are OCPI's (Token.whitelist):

=================  ===========================================================================
ALWAYS             our copy decides; nobody is asked
ALLOWED            our copy decides; asking is possible but costs the driver time, so we do not
ALLOWED_OFFLINE    the partner decides; our copy only where the partner does not answer in time
NEVER              the partner decides; no answer is a no
=================  ===========================================================================

The id of a contract (Plug & Charge) names its provider: nobody told us of it, and that partner
alone is asked. Who is waited for, and for how long, is ``Asking``'s.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from cms.app.asking import Asking, Errand
from cms.app.catalogue import Catalogue
from cms.app.ports import Clock, Soon, TokenAuthority
from cms.app.writes import CommandRecord
from cms.domain.ids import EvseRef, PartnerId
from cms.domain.token import (
    AuthMethod,
    Decision,
    Token,
    Verdict,
    Whitelist,
    contract_token,
    provider_of,
)

AUTHORIZE_DEADLINE_SECONDS = 1.5
"""How long a driver with a card waits for the partner (Authorize). The charger is promised an answer
within 2 s; the rest is ours, for when hundreds ask at once."""

START_DEADLINE_SECONDS = 4.0
"""How long a live start with a token that nobody has asked about may wait."""

REMEMBER_SECONDS = 60.0
"""A partner's own answer is good for the start that follows the Authorize."""

_REMEMBERED = 10_000

StartOf = Callable[[str], CommandRecord | None]
"""Finds the remote start that a drawn idTag belongs to."""

CardOf = Callable[[str], Token | None]
"""Finds a card that a partner told us of in a reservation only."""


def _no_card(uid: str) -> None:
    """Nobody reserves."""


@dataclass(frozen=True, slots=True)
class AuthorisingRules:
    """What the operator may choose.

    Attributes:
        ask_about_unknown: show tokens that nobody told us of to every connected partner. Off by
            default: it tells all partners who charges where.
    """

    ask_about_unknown: bool = False


class Authoriser:
    def __init__(
        self,
        catalogue: Catalogue,
        authority: TokenAuthority,
        start_of: StartOf,
        clock: Clock,
        errand: Errand,
        rules: AuthorisingRules = AuthorisingRules(),
        card_of: CardOf = _no_card,
    ) -> None:
        self._catalogue = catalogue
        self._asking = Asking(authority, errand, self._remember)
        self._start_of = start_of
        self._clock = clock
        self._rules = rules
        self._card_of = card_of
        self._answers: OrderedDict[tuple[PartnerId, str], tuple[float, Decision]] = OrderedDict()

    def authorise(
        self, uid: str, where: EvseRef | None, deadline: float = AUTHORIZE_DEADLINE_SECONDS
    ) -> Soon[Decision]:
        """Decide now, or return what to wait for (at most *deadline* seconds)."""
        decision = self.from_memory(uid)
        return decision if decision is not None else self._ask(uid, where, deadline)

    def from_memory(self, uid: str) -> Decision | None:
        """Decide without asking anybody; None where a partner has to be asked."""
        if (start := self._start_of(uid)) is not None:
            return _by_command(start)
        token = self._known(uid)
        if token is None:
            return self._unknown(uid)
        if token.partner is None or token.whitelist in (Whitelist.ALWAYS, Whitelist.ALLOWED):
            return self._by_copy(token)
        return self._remembered(token.partner, uid)

    def without_asking(self, uid: str) -> Decision:
        """Decide about something that has long happened: nobody is asked, our copy decides."""
        decision = self.from_memory(uid)
        if decision is not None:
            return decision
        token = self._known(uid)
        if token is not None and token.whitelist is Whitelist.ALLOWED_OFFLINE:
            return self._by_copy(token, "the charger was offline; ")
        return Decision(Verdict.INVALID, "only its partner may decide, and was not asked", token)

    def forget(self, partner: PartnerId, uid: str) -> None:
        """A partner changed a token: what it answered before no longer counts."""
        self._answers.pop((partner, uid.casefold()), None)
        self._asking.forget(partner, uid)

    # -- from memory

    def _known(self, uid: str) -> Token | None:
        found = [token for token in self._catalogue.tokens_named(uid) if self._counts(token)]
        if not found and (card := self._card_of(uid)) is not None and self._counts(card):
            found = [card]
        return next((token for token in found if token.valid), found[0] if found else None)

    def _counts(self, token: Token) -> bool:
        return token.partner is None or self._catalogue.takes_part(token.partner)

    def _by_copy(self, token: Token, prefix: str = "") -> Decision:
        whose = "our own token" if token.partner is None else f"token of {token.partner}"
        if not token.valid:
            return Decision(Verdict.BLOCKED, f"{prefix}{whose}, not valid", token)
        if token.expires_at is not None and token.expires_at <= self._clock():
            return Decision(Verdict.EXPIRED, f"{prefix}{whose}, expired", token)
        return Decision(Verdict.ACCEPTED, f"{prefix}{whose}, whitelist {token.whitelist}", token)

    def _contract(self, uid: str) -> Token | None:
        """Return what *uid* stands for if it names a contract of a partner that takes part."""
        provider = provider_of(uid)
        if provider is None or not self._catalogue.takes_part(provider):
            return None
        asked = self._catalogue.partners[provider].authorise_in_real_time
        return contract_token(provider, uid) if asked else None

    def _unknown(self, uid: str) -> Decision | None:
        if (contract := self._contract(uid)) is not None and contract.partner is not None:
            return self._remembered(contract.partner, uid)
        if not self._rules.ask_about_unknown:
            return Decision(Verdict.INVALID, "nobody told us of this token")
        for partner in self._catalogue.connected_partners():
            remembered = self._remembered(partner.id, uid)
            if remembered is not None and remembered.accepted:
                return remembered
        return None

    def _remembered(self, partner: PartnerId, uid: str) -> Decision | None:
        found = self._answers.get((partner, uid.casefold()))
        return found[1] if found is not None and found[0] > monotonic() else None

    # -- asking

    async def _ask(self, uid: str, where: EvseRef | None, deadline: float) -> Decision:
        token = self._known(uid) or self._contract(uid)
        if token is None:
            return await self._ask_everybody(uid, where, deadline)
        assert token.partner is not None, "our own tokens are decided from memory"
        answer = await self._asking.ask(token.partner, token, uid, where, deadline)
        if answer is not None:
            return answer
        if token.whitelist is Whitelist.ALLOWED_OFFLINE:
            return self._by_copy(token, f"{token.partner} did not answer; ")
        return Decision(Verdict.INVALID, f"{token.partner} did not answer in time", token)

    async def _ask_everybody(self, uid: str, where: EvseRef | None, deadline: float) -> Decision:
        asked = [
            asyncio.ensure_future(self._asking.ask(partner.id, None, uid, where, deadline))
            for partner in self._catalogue.connected_partners()
            if partner.authorise_in_real_time
        ]
        return await _first_yes(asked, uid)

    def _remember(self, partner: PartnerId, uid: str, answer: Decision) -> None:
        self._answers[partner, uid.casefold()] = (monotonic() + REMEMBER_SECONDS, answer)
        self._answers.move_to_end((partner, uid.casefold()))
        while len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)


def _by_command(start: CommandRecord) -> Decision:
    return Decision(
        Verdict.ACCEPTED,
        f"started by {start.asked_by}",
        start.token,
        AuthMethod.COMMAND,
        start.reference,
        start.limit_wh,
    )


async def _first_yes(asked: Sequence[asyncio.Future[Decision | None]], uid: str) -> Decision:
    try:
        for done in asyncio.as_completed(asked):
            answer = await done
            if answer is not None and answer.accepted:
                return answer
        return Decision(Verdict.INVALID, "no partner knows this token")
    finally:
        for each in asked:
            each.cancel()
