"""One lane per station: first come, first served, and nobody waits for another's station."""

from __future__ import annotations

import asyncio

import pytest

from cms.app.lanes import Lanes
from cms.domain.ids import StationId

A, B = StationId("A"), StationId("B")


async def test_turns_of_one_station_come_in_the_order_in_which_they_were_asked_for() -> None:
    lanes, order = Lanes(), []

    async def take(name: str) -> None:
        async with lanes(A):
            order.append(f"{name} in")
            await asyncio.sleep(0)
            order.append(f"{name} out")

    await asyncio.gather(*(take(name) for name in "123"))
    assert order == ["1 in", "1 out", "2 in", "2 out", "3 in", "3 out"]


async def test_lanes_of_different_stations_do_not_wait_for_each_other() -> None:
    lanes = Lanes()
    async with lanes(A):
        async with asyncio.timeout(1), lanes(B):
            assert not lanes.idle(B)
    assert lanes.idle(A)
    assert lanes.idle(B)


async def test_a_turn_that_is_cancelled_while_it_waits_holds_up_nobody() -> None:
    lanes = Lanes()
    async with lanes(A):
        waiting = asyncio.create_task(_enter(lanes))
        last = asyncio.create_task(_enter(lanes))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await last
    assert waiting.cancelled()


async def test_a_turn_that_is_cancelled_just_when_it_came_passes_it_on() -> None:
    lanes = Lanes()
    async with lanes(A):
        first = asyncio.create_task(_enter(lanes))
        second = asyncio.create_task(_enter(lanes))
        await asyncio.sleep(0)
    first.cancel()  # its turn has been given, it has not run yet
    async with asyncio.timeout(1):
        await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert lanes.idle(A)


async def test_a_failure_inside_a_turn_frees_the_lane() -> None:
    lanes = Lanes()
    with pytest.raises(ValueError, match="inside"):
        async with lanes(A):
            raise ValueError("inside")
    assert lanes.idle(A)


async def _enter(lanes: Lanes) -> None:
    async with lanes(A):
        pass
