"""StartTransaction, answered when it is on disk: how many per core-second, and how soon."""

from __future__ import annotations

from typing import Any

from benchmarks import config, databases, meter, servers
from benchmarks.report import Figure, Report
from benchmarks.scale import Scale
from benchmarks.summary import Bound

CHARGERS = 300
EVSES = 10
COMMIT_MS = 4.0
"""What one start may take beyond the disk's own fdatasync, in milliseconds."""


async def sqlite(report: Report, scale: Scale) -> None:
    """SQLite, WAL, synchronous=FULL."""
    report.chapter(f"Durable StartTransaction, {CHARGERS} in flight, SQLite synchronous=FULL")
    await _measure(report, scale, "SQLite", None, 7000)


async def postgresql(report: Report, scale: Scale) -> None:
    """PostgreSQL, fsync and synchronous_commit on; its own CPU is not the server's."""
    report.chapter(f"Durable StartTransaction, {CHARGERS} in flight, PostgreSQL")
    async with databases.postgresql() as url:
        await _measure(report, scale, "PostgreSQL", url, 5000)


async def _measure(
    report: Report, scale: Scale, store: str, database: str | None, least: float
) -> None:
    folder = scale.folder / f"durable-{store}"
    body = config.network({"S": CHARGERS}, 60, evses=EVSES, tokens_per_charger=EVSES)
    with servers.cms(folder, body, database) as cms:
        async with servers.load() as load:
            at = {"port": cms.ocpp_port, "prefix": "S"}
            await load("connect", group="one", first=0, count=1, **at)
            await load("starts", group="one", evses=EVSES, cycles=1, pid=cms.pid)  # warm
            alone = await load(
                "starts",
                group="one",
                evses=EVSES,
                cycles=max(scale.samples // EVSES, 3),
                pid=cms.pid,
            )
            await load("drop", group="one")
            await load("connect", group="all", first=0, count=CHARGERS, **at)
            await load("starts", group="all", evses=EVSES, cycles=1, pid=cms.pid)  # warm
            busy = await load(
                "starts", group="all", evses=EVSES, cycles=scale.start_cycles, pid=cms.pid
            )
        _tell(report, store, least, alone, busy, meter.fdatasync_ms(folder))


def _tell(
    report: Report,
    store: str,
    least: float,
    alone: dict[str, Any],
    busy: dict[str, Any],
    fdatasync: float,
) -> None:
    per_core_second = busy["count"] / (busy["cpu_ns"] / 1e9)
    doubt = f"{busy['errors']} not accepted, {busy['lost']} lost" * bool(
        busy["errors"] or busy["lost"]
    )
    report.add(
        Figure(
            f"{store}: starts per core-second of the server",
            per_core_second,
            "/s",
            Bound.AT_LEAST,
            least,
            note=f"{1e6 / per_core_second:.0f} us each, {busy['count'] / busy['seconds']:,.0f}/s",
            doubt=doubt,
            detail=busy,
        )
    )
    report.add(
        Figure(f"{store}: p99", busy["p99_ms"], "ms", Bound.AT_MOST, 50.0, detail=busy, doubt=doubt)
    )
    report.add(
        Figure(
            f"{store}: one alone, p50",
            alone["p50_ms"],
            "ms",
            Bound.AT_MOST,
            round(fdatasync + COMMIT_MS, 2),
            note=f"fdatasync here {fdatasync:.2f} ms",
            detail=alone,
        )
    )
