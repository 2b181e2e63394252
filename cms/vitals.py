"""The process's own pulse: garbage-collection pauses, stalls of the event loop, garbage cycles."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

_TICK_SECONDS = 0.01


class Vitals:
    """Longest pauses since start; both are goals of ours (50 ms with 10,000 chargers)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gc_pause = Gauge(
            "cms_gc_pause_seconds_max", "Longest garbage-collection pause", registry=registry
        )
        self._stall = Gauge(
            "cms_loop_stall_seconds_max", "Longest stall of the event loop", registry=registry
        )
        self._cycles = Counter(
            "cms_gc_collected_cycles_total",
            "Objects that only the cycle collector could free",
            registry=registry,
        )
        self._began = 0.0
        self._longest_pause = 0.0
        self._longest_stall = 0.0

    def watch_collector(self) -> None:
        """Measure every garbage collection from now on."""
        gc.callbacks.append(self._collected)

    def leave_collector(self) -> None:
        """Stop measuring."""
        if self._collected in gc.callbacks:
            gc.callbacks.remove(self._collected)

    def _collected(self, phase: str, info: Mapping[str, Any]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
            return
        pause = time.perf_counter() - self._began
        if pause > self._longest_pause:
            self._longest_pause = pause
            self._gc_pause.set(pause)
        self._cycles.inc(info.get("collected", 0))

    async def watch_loop(self) -> None:
        """Tick a hundred times a second and note how late a tick came."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _TICK_SECONDS
            await asyncio.sleep(_TICK_SECONDS)
            late = loop.time() - due
            if late > self._longest_stall:
                self._longest_stall = late
                self._stall.set(late)


def hold_collector() -> None:
    """Scan nothing while we load: all of it stays, and each full pass takes longer than the last."""
    gc.disable()


def settle_memory() -> None:
    """Tune the collector for a long-running process: what exists at start is never scanned again.

    With the default thresholds a full pass over 10,000 connections stalls the loop for a quarter of
    a second; connections make no cycles, so collecting rarely loses nothing. The middle generation
    is kept small as well: everything that a storm of chargers brings along passes through it, and
    a pass over 600,000 objects of it was measured to take 400 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 2, 4_000)
    gc.enable()
