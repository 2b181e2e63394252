"""Authorize, decided from memory, at a steady pace."""

from __future__ import annotations

from benchmarks import config, servers
from benchmarks.report import Figure, Report
from benchmarks.scale import Scale
from benchmarks.summary import Bound

CHARGERS = 200
PER_SECOND = 1000
TARGET_MS = 5.0


async def measure(report: Report, scale: Scale) -> None:
    """Ask about own tokens a thousand times a second."""
    report.chapter(f"Authorize from the cache, {PER_SECOND:,} a second")
    body = config.network({"A": CHARGERS}, locations=20)
    with servers.cms(scale.folder / "tokens", body) as cms:
        async with servers.load() as load, servers.ticker() as ticker:
            at = {"port": cms.ocpp_port, "prefix": "A"}
            await load("connect", group="all", first=0, count=CHARGERS, **at)
            paced = {"group": "all", "kind": "authorize", "per_second": PER_SECOND}
            await load("paced", seconds=1.0, **paced)  # warm
            await ticker.p99_ms()
            found = await load("paced", seconds=3.0 if scale.quick else 8.0, **paced)
            idle = await ticker.p99_ms()
    errors = f"{found['errors']} CALLERRORs" * bool(found["errors"])
    noise = f"an idle process beside it woke up {idle:.0f} ms late" * (idle > TARGET_MS)
    report.add(
        Figure(
            "Authorize p99",
            found["p99_ms"],
            "ms",
            Bound.AT_MOST,
            TARGET_MS,
            note=f"p50 {found['p50_ms']:.2f} ms, longest {found['max_ms']:.1f} ms, "
            f"{found['count'] / found['seconds']:,.0f}/s; an idle process: p99 {idle:.1f} ms",
            doubt=errors or noise,
            detail=found,
        )
    )
