"""Whom a driver is made to wait for: nobody waits for a partner that is known to be silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from cms.app.asking import SILENT_AFTER, WHILE_SILENT, Asking
from cms.app.supervision import supervised
from cms.domain.ids import EvseRef, PartnerId
from cms.domain.token import Decision, Token, Verdict
from tests.unit.office import EMS, EVSE

OTHER = PartnerId("IN*OTH")
YES = Decision(Verdict.ACCEPTED, "asked")
PATIENCE = 0.01


class Partner:
    """Answers each question when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[PartnerId, str]] = []
        self.answers: dict[str, asyncio.Future[Decision | None]] = {}

    async def authorise(
        self, partner: PartnerId, token: Token | None, uid: str, where: EvseRef | None
    ) -> Decision | None:
        self.asked.append((partner, uid))
        return await self.answers.setdefault(uid, asyncio.get_running_loop().create_future())

    async def says(self, uid: str, answer: Decision | None) -> None:
        self.answers.setdefault(uid, asyncio.get_running_loop().create_future()).set_result(answer)
        await settle()


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(10):
        await asyncio.sleep(0)


class Scene:
    def __init__(self, asking: Asking, partner: Partner, learned: dict[str, Decision]) -> None:
        self.asking = asking
        self.partner = partner
        self.learned = learned

    async def ask(
        self, uid: str, patience: float = PATIENCE, partner: PartnerId = EMS
    ) -> Decision | None:
        return await self.asking.ask(partner, None, uid, EVSE, patience)

    async def make_silent(self) -> None:
        for number in range(SILENT_AFTER):
            await self.ask(f"LOST{number}")
            await self.partner.says(f"LOST{number}", None)
        assert self.asking.silent(EMS)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    partner, learned = Partner(), dict[str, Decision]()
    async with supervised() as supervisor:
        asking = Asking(
            partner, supervisor.errand, lambda _, uid, answer: learned.update({uid: answer})
        )
        yield Scene(asking, partner, learned)


async def test_who_answers_in_time_decides(scene: Scene) -> None:
    await scene.partner.says("A", YES)
    assert await scene.ask("A") == YES
    assert scene.learned == {"A": YES}


async def test_a_late_answer_is_good_for_the_second_try(scene: Scene) -> None:
    assert await scene.ask("A") is None
    await scene.partner.says("A", YES)
    assert scene.learned == {"A": YES}


async def test_an_answer_about_a_token_that_changed_meanwhile_is_not_kept(scene: Scene) -> None:
    assert await scene.ask("A") is None
    scene.asking.forget(EMS, "a")
    await scene.partner.says("A", YES)
    assert scene.learned == {}


async def test_two_drivers_with_one_card_at_one_place_are_one_question(scene: Scene) -> None:
    first = asyncio.ensure_future(scene.ask("A", 5.0))
    second = asyncio.ensure_future(scene.ask("a", 5.0))
    await settle()
    await scene.partner.says("A", YES)
    assert [await first, await second] == [YES, YES]
    assert scene.partner.asked == [(EMS, "A")]


async def test_nobody_waits_for_a_partner_that_is_known_to_be_silent(scene: Scene) -> None:
    await scene.make_silent()
    async with asyncio.timeout(1.0):
        assert await scene.ask("A", patience=60.0) is None


async def test_a_silent_partner_is_asked_all_the_same_but_by_few_at_once(scene: Scene) -> None:
    await scene.make_silent()
    before = len(scene.partner.asked)
    for number in range(50):
        await scene.ask(f"D{number}")
        await settle()
    assert len(scene.partner.asked) - before == WHILE_SILENT


async def test_the_first_answer_ends_the_silence_and_is_kept(scene: Scene) -> None:
    await scene.make_silent()
    await scene.ask("A")
    await settle()
    await scene.partner.says("A", YES)
    assert not scene.asking.silent(EMS)
    assert scene.learned == {"A": YES}
    await scene.partner.says("B", YES)
    assert await scene.ask("B", 5.0) == YES


async def test_a_no_is_an_answer(scene: Scene) -> None:
    refusal = Decision(Verdict.INVALID, "unknown")
    for number in range(2 * SILENT_AFTER):
        await scene.partner.says(f"NO{number}", refusal)
        assert await scene.ask(f"NO{number}", 5.0) == refusal
    assert not scene.asking.silent(EMS)


async def test_a_partner_that_answers_now_and_then_is_not_silent(scene: Scene) -> None:
    for number in range(SILENT_AFTER):
        await scene.partner.says(f"N{number}", None)
        await scene.partner.says(f"Y{number}", YES)
        assert await scene.ask(f"N{number}", 5.0) is None
        assert await scene.ask(f"Y{number}", 5.0) == YES
    assert not scene.asking.silent(EMS)


async def test_one_partners_silence_is_nobody_elses(scene: Scene) -> None:
    await scene.make_silent()
    await scene.partner.says("A", YES)
    assert await scene.ask("A", 5.0, OTHER) == YES


async def test_a_mistake_of_ours_counts_as_no_answer_and_leaves_nothing_behind(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(scene.partner, "authorise", broken)
    assert await scene.ask("A", 5.0) is None
    assert await scene.ask("A", 5.0) is None  # a question of its own: the first one is gone
