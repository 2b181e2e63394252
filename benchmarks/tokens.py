"""Authorize, decided from memory, at a steady pace."""

from __future__ import annotations

from benchmarks import config, servers
from benchmarks.report import Figure, Report
from benchmarks.scale import Scale
from benchmarks.summary import Bound

CHARGERS = 200
PER_SECOND = 1000


async def measure(report: Report, scale: Scale) -> None:
    """Ask about own tokens a thousand times a second."""
    report.chapter(f"Authorize from the cache, {PER_SECOND:,} a second")
    body = config.network({"A": CHARGERS}, locations=20)
    with servers.cms(scale.folder / "tokens", body) as cms:
        async with servers.load() as load:
            at = {"port": cms.ocpp_port, "prefix": "A"}
            await load("connect", group="all", first=0, count=CHARGERS, **at)
            paced = {"group": "all", "kind": "authorize", "per_second": PER_SECOND}
            await load("paced", seconds=1.0, **paced)  # warm
            found = await load("paced", seconds=3.0 if scale.quick else 8.0, **paced)
    report.add(
        Figure(
            "Authorize p99",
            found["p99_ms"],
            "ms",
            Bound.AT_MOST,
            5.0,
            note=f"p50 {found['p50_ms']:.2f} ms, longest {found['max_ms']:.1f} ms, "
            f"{found['count'] / found['seconds']:,.0f}/s",
            doubt=f"{found['errors']} CALLERRORs" * bool(found["errors"]),
            detail=found,
        )
    )
