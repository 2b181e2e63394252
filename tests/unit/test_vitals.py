"""The process's own pulse."""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import suppress

from prometheus_client import CollectorRegistry

from cms.vitals import Vitals


def test_a_collection_is_measured_while_it_is_watched() -> None:
    registry = CollectorRegistry()
    vitals = Vitals(registry)
    vitals.watch_collector()
    try:
        loop: list[object] = []
        loop.append(loop)
        del loop
        gc.collect()
    finally:
        vitals.leave_collector()
    pause = registry.get_sample_value("cms_gc_pause_seconds_max")
    assert pause is not None and pause > 0
    collected = registry.get_sample_value("cms_gc_collected_cycles_total")
    assert collected is not None and collected >= 1
    gc.collect()
    assert registry.get_sample_value("cms_gc_collected_cycles_total") == collected
    vitals.leave_collector()  # twice is no error


async def test_a_stall_of_the_loop_is_seen() -> None:
    registry = CollectorRegistry()
    watching = asyncio.create_task(Vitals(registry).watch_loop())
    try:
        await asyncio.sleep(0.02)
        time.sleep(0.08)  # noqa: ASYNC251 - the stall itself
        await asyncio.sleep(0.03)
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    stall = registry.get_sample_value("cms_loop_stall_seconds_max")
    assert stall is not None and stall >= 0.05
