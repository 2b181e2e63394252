"""Who may charge: from memory where the whitelist lets us, else the partner is asked."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from cms.app.authorising import Authoriser, AuthorisingRules
from cms.app.supervision import Supervisor
from cms.app.writes import CommandRecord
from cms.domain.ids import CommandId, EvseRef, PartnerId
from cms.domain.partner import Partner, PartnerState
from cms.domain.token import AuthMethod, Decision, Token, Verdict, Whitelist
from tests.unit.office import CS1, EMS, EVSE, Office, token


class Authority:
    """A partner that answers as it is told, or never."""

    def __init__(self, answer: Decision | None) -> None:
        self.answer = answer
        self.asked: list[tuple[PartnerId, str]] = []
        self.silent = False

    async def authorise(
        self, partner: PartnerId, token: Token | None, uid: str, where: EvseRef | None
    ) -> Decision | None:
        self.asked.append((partner, uid))
        if self.silent:
            await asyncio.Event().wait()
        return self.answer


class Scene:
    def __init__(self, rules: AuthorisingRules = AuthorisingRules()) -> None:
        self.office = Office()
        self.office.catalogue.partners[EMS] = Partner(EMS, "EMS", PartnerState.CONNECTED)
        self.authority = Authority(Decision(Verdict.ACCEPTED, "asked", reference="REF-1"))
        self.start: CommandRecord | None = None
        self.authoriser = Authoriser(
            self.office.catalogue,
            self.authority,
            lambda _: self.start,
            self.office.clock,
            Supervisor().errand,
            rules,
        )

    def holds(self, *tokens: Token) -> None:
        for each in tokens:
            self.office.catalogue.put_token(each)

    async def decide(self, uid: str = "CARD1", deadline: float = 0.05) -> Decision:
        soon = self.authoriser.authorise(uid, EVSE, deadline)
        return soon if isinstance(soon, Decision) else await soon


@pytest.mark.parametrize("whitelist", [Whitelist.ALWAYS, Whitelist.ALLOWED])
def test_our_copy_decides_at_once_and_nobody_is_asked(whitelist: Whitelist) -> None:
    scene = Scene()
    scene.holds(token(whitelist=whitelist))
    decision = scene.authoriser.authorise("card1", EVSE)
    assert isinstance(decision, Decision)  # no awaiting: no I/O
    assert decision.accepted
    assert scene.authority.asked == []


@pytest.mark.parametrize("whitelist", [Whitelist.ALLOWED_OFFLINE, Whitelist.NEVER])
async def test_the_partner_decides_where_the_whitelist_says_so(whitelist: Whitelist) -> None:
    scene = Scene()
    scene.holds(token(whitelist=whitelist))
    decision = await scene.decide()
    assert decision.reference == "REF-1"
    assert scene.authority.asked == [(EMS, "CARD1")]


async def test_a_silent_partner_means_our_copy_for_allowed_offline_and_no_for_never() -> None:
    scene = Scene()
    scene.authority.silent = True
    scene.holds(token("A", whitelist=Whitelist.ALLOWED_OFFLINE))
    scene.holds(token("B", whitelist=Whitelist.NEVER))
    assert (await scene.decide("A")).accepted
    refused = await scene.decide("B")
    assert refused.verdict is Verdict.INVALID
    assert "did not answer in time" in refused.why


async def test_the_start_that_follows_an_authorize_does_not_ask_again() -> None:
    scene = Scene()
    scene.holds(token(whitelist=Whitelist.NEVER))
    await scene.decide()
    await scene.decide()
    assert len(scene.authority.asked) == 1
    scene.authoriser.forget(EMS, "card1")
    await scene.decide()
    assert len(scene.authority.asked) == 2


async def test_a_blocked_or_expired_token_is_refused_with_its_reason() -> None:
    scene = Scene()
    scene.holds(token("BLOCKED", valid=False))
    expired = scene.office.now - timedelta(seconds=1)
    scene.holds(token("OLD", partner=None, expires_at=expired))
    assert (await scene.decide("BLOCKED")).verdict is Verdict.BLOCKED
    assert (await scene.decide("OLD")).verdict is Verdict.EXPIRED


async def test_a_token_of_a_partner_that_is_gone_counts_no_more() -> None:
    scene = Scene()
    scene.holds(token())
    scene.office.catalogue.partners[EMS] = Partner(EMS, "EMS", PartnerState.GONE)
    assert (await scene.decide()).verdict is Verdict.INVALID


async def test_an_unknown_token_is_shown_to_partners_only_where_the_operator_wants_it() -> None:
    assert (await Scene().decide("X")).verdict is Verdict.INVALID
    asking = Scene(AuthorisingRules(ask_about_unknown=True))
    assert (await asking.decide("X")).accepted
    assert asking.authority.asked == [(EMS, "X")]


def test_the_idtag_of_a_remote_start_means_its_token_and_its_reference() -> None:
    scene = Scene()
    now = scene.office.now
    scene.start = CommandRecord(
        CommandId("1"), "remote_start", CS1, "partner:IN*EMS", now, now,
        token=token(), reference="REF-9", limit_wh=5000,
    )  # fmt: skip
    decision = scene.authoriser.from_memory("ABCDEFGHIJKLMNOP")
    assert decision is not None
    assert (decision.method, decision.reference) == (AuthMethod.COMMAND, "REF-9")
    assert decision.limit_wh == 5000


def test_what_happened_long_ago_is_decided_without_asking() -> None:
    scene = Scene()
    scene.holds(token("A", whitelist=Whitelist.ALLOWED_OFFLINE))
    scene.holds(token("B", whitelist=Whitelist.NEVER))
    assert scene.authoriser.without_asking("A").accepted
    assert not scene.authoriser.without_asking("B").accepted
    assert scene.authority.asked == []
