"""Ten thousand chargers: memory of each, all coming back at once, pauses and stalls, garbage."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from benchmarks import config, meter, servers
from benchmarks.report import Figure, Report
from benchmarks.scale import Scale
from benchmarks.summary import Bound

PAUSE = "cms_gc_pause_seconds_max"
STALL = "cms_loop_stall_seconds_max"
CYCLES = "cms_gc_collected_cycles_total"
SPARE_FILES = 500


async def measure(report: Report, scale: Scale) -> None:
    """Let chargers arrive, rest, and come back all at once."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    many = min(scale.many, files - SPARE_FILES)
    report.chapter(f"A crowd: {many:,} chargers, storm of {scale.storm:,}")
    body = config.network({"M": many}, locations=max(many // 20, 1))
    with servers.cms(scale.folder / "crowd", body) as cms:
        async with servers.load() as load, servers.ticker() as ticker:
            at = {"port": cms.ocpp_port, "prefix": "M"}
            report.add(Figure(f"start with {many:,} chargers", cms.start_seconds, "s"))
            few_kb = await _settled(load, cms, "few", 0, scale.few, scale.settle, at)
            rest = many - scale.few
            many_kb = await _settled(load, cms, "rest", scale.few, rest, scale.settle, at)
            _tell_memory(report, scale, many, few_kb, many_kb)
            await load("drop", group="few")
            await load("drop", group="rest")
            await load("connect", group="storm", first=0, count=scale.storm, **at)
            await ticker.longest_ms()
            storm = await load("storm", group="storm")
            _tell_storm(report, scale, storm)
            await load("connect", group="more", first=scale.storm, count=many - scale.storm, **at)
            before = cms.gauges(CYCLES)
            await load("storm", group="storm")
            await load("storm", group="more")
            await asyncio.sleep(min(scale.settle, 10.0))
            _tell_pauses(report, cms, before, await ticker.longest_ms(), many)


async def _settled(
    load: servers.Load,
    cms: servers.Cms,
    group: str,
    first: int,
    count: int,
    settle: float,
    at: dict[str, Any],
) -> int:
    await load("connect", group=group, first=first, count=count, **at)
    await asyncio.sleep(settle)
    return meter.pss_kb(cms.pid)


def _tell_memory(report: Report, scale: Scale, many: int, few_kb: int, many_kb: int) -> None:
    smaller = many < 10_000
    report.add(
        Figure(
            "memory per idle booted charger",
            (many_kb - few_kb) * 1.024 / (many - scale.few),
            "kB",
            Bound.AT_MOST,
            22.0,
            note=f"PSS {few_kb / 1024:.0f} MiB at {scale.few:,}, {many_kb / 1024:.0f} MiB at "
            f"{many:,}" + (f" (not 10,000: {'quick run' if scale.quick else 'files'})" * smaller),
            detail={"few_kb": few_kb, "many_kb": many_kb},
        )
    )


def _tell_storm(report: Report, scale: Scale, storm: dict[str, Any]) -> None:
    size = f"{scale.storm:,} reconnect at once"
    boots = storm["boots"]
    report.add(
        Figure(
            f"{size}: all booted again",
            storm["seconds"],
            "s",
            Bound.AT_MOST,
            15.0,
            note=f"refused on the way: {storm['refused'] or 'none'}",
            detail=storm,
        )
    )
    report.add(
        Figure(
            f"{size}: Boot answers p99",
            boots["p99_ms"] / 1e3,
            "s",
            Bound.AT_MOST,
            10.0,
            doubt=f"{boots['errors']} not accepted" * bool(boots["errors"]),
        )
    )


def _tell_pauses(
    report: Report, cms: servers.Cms, before: dict[str, float], idle_ms: float, many: int
) -> None:
    found = cms.gauges(PAUSE, STALL, CYCLES)
    absent = "the server does not show it"
    pause = found.get(PAUSE)
    report.add(
        Figure(
            "longest garbage-collection pause",
            None if pause is None else pause * 1e3,
            "ms",
            Bound.AT_MOST,
            50.0,
            note=absent * (pause is None),
        )
    )
    stall = found.get(STALL)
    report.add(
        Figure(
            "longest loop stall, less the idle ticker's",
            None if stall is None else max(stall * 1e3 - idle_ms, 0.0),
            "ms",
            Bound.AT_MOST,
            50.0,
            note=absent if stall is None else f"{stall * 1e3:.1f} ms less {idle_ms:.1f} ms",
        )
    )
    cycles = found[CYCLES] - before[CYCLES] if CYCLES in found and CYCLES in before else None
    report.add(
        Figure(
            f"garbage cycles left by {many:,} reconnects",
            cycles,
            "objects",
            Bound.AT_MOST,
            0.0,
            note=absent * (cycles is None),
        )
    )
