"""The shared picture, and how its readers learn that it changed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from cms.app.live import LiveState
from cms.app.writes import Touched
from cms.domain.ids import EvseRef, StationId
from cms.domain.status import EvseState, EvseStatus, Presence

REF = EvseRef(StationId("CS/1"), 2)
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_an_evse_never_heard_of_is_offline_and_unknown() -> None:
    assert LiveState().evse(REF).status is EvseStatus.UNKNOWN


def test_a_published_state_carries_the_moment_that_the_commit_gave_it() -> None:
    live = LiveState()
    live.publish([Touched("evse", str(REF), 7, AT)], [EvseState(REF, Presence.ONLINE)])
    assert live.evse(REF).presence is Presence.ONLINE
    assert live.evse(REF).last_updated == AT
    assert live.updated("evse", str(REF)) == AT


async def test_who_waits_before_reading_never_misses_a_change() -> None:
    live = LiveState()
    waiting = asyncio.create_task(live.changed())
    await asyncio.sleep(0)
    live.publish([Touched("session", "S1", 1, AT)])
    async with asyncio.timeout(1):
        await waiting


async def test_a_reader_that_is_too_slow_is_told_to_look_again_and_piles_up_nothing() -> None:
    live = LiveState()
    with live.subscribed(size=2) as subscription:
        for seq in range(5):
            live.publish([Touched("session", f"S{seq}", seq, AT)])
        assert subscription.missed
        changes = aiter(subscription)
        assert [(await anext(changes)).key for _ in range(2)] == ["S0", "S1"]


def test_what_is_no_news_wakes_nobody() -> None:
    live = LiveState()
    with live.subscribed() as subscription:
        live.publish([], [EvseState(REF)])
        assert not subscription.missed
