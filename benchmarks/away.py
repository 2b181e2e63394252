"""A partner that was away: what it costs the others, and how fast it catches up.

The feed holds one row per thing, so seven days of absence are a backlog of every session and bill
of its drivers and the newest status of each EVSE; that backlog is made here in a minute, while the
partner refuses connections. Its first call after its return ends the pause.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks import fanout
from benchmarks.report import Figure, Report
from benchmarks.scale import Scale
from benchmarks.summary import Bound

CHARGERS = 50
EVSES = 10
HERE, AWAY = "HER", "AWY"
PER_SECOND = 100
LONGEST_SECONDS = 30.0


async def measure(report: Report, scale: Scale) -> None:
    """Compare what the other partner hears before, during and after the absence."""
    report.chapter("A partner that was away for seven days")
    cycles, seconds = (1, 3.0) if scale.quick else (2, 6.0)
    async with fanout.scene(scale, "away", chargers=CHARGERS, locations=20, evses=EVSES) as scene:
        await scene.register(HERE)
        await scene.register(AWAY, prefix="BF", cards=CHARGERS, evses=EVSES)
        before = await scene.window(PER_SECOND, seconds, HERE)
        await scene.crowd("leave", party=AWAY)
        made = await scene.load(
            "starts",
            group="all",
            evses=EVSES,
            cycles=cycles,
            pid=scene.cms.pid,
            tag="B{name}{evse:02d}",
        )
        during = await scene.window(PER_SECOND, seconds, HERE)
        running = asyncio.create_task(scene.window(PER_SECOND, seconds, HERE))
        await asyncio.sleep(1.0)
        returned = (await scene.crowd("return", party=AWAY))["at"]
        after = await running
        await _all_bills(scene, made["count"])
        came = (await scene.crowd("counts"))[AWAY]
    _tell_lag(report, "lag p99 of the other, away, times before", before, during)
    _tell_lag(report, "lag p99 of the other, catching up, times before", before, after)
    _tell_catching_up(report, came, returned, made["count"], made["errors"])


async def _all_bills(scene: fanout.Scene, bills: int) -> None:
    """Wait until the partner that was away has them all, but not for ever."""
    until = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < until:
        came = (await scene.crowd("counts"))[AWAY]["counts"].get("POST cdrs", 0)
        if came >= bills:
            return
        await asyncio.sleep(0.2)


def _tell_lag(report: Report, name: str, before: fanout.Window, then: fanout.Window) -> None:
    known = before.lag is not None and then.lag is not None
    report.add(
        Figure(
            name,
            then.lag / before.lag if then.lag and before.lag else None,
            "x",
            Bound.AT_MOST,
            1.25,
            note=f"{then.lag * 1e3:.0f} ms against {before.lag * 1e3:.0f}"
            if known and then.lag and before.lag
            else "",
            doubt=before.doubt or then.doubt,
        )
    )


def _tell_catching_up(
    report: Report, came: dict[str, Any], returned: float, bills: int, wrong: int
) -> None:
    at, objects = came["caught"]
    counts = came["counts"]
    got = counts.get("POST cdrs", 0)
    doubt = f"{got} of {bills} bills came" if got != bills else f"{wrong} bad starts" * bool(wrong)
    report.add(
        Figure(
            "catching up",
            objects / (at - returned) if objects else None,
            "objects/s",
            Bound.AT_LEAST,
            500.0,
            note=f"{at - returned:.1f} s until the last bill; {counts}",
            doubt=doubt,
        )
    )
