"""Ten thousand EVSEs read page by page, again and again, while statuses change."""

from __future__ import annotations

import asyncio

from benchmarks import config, servers
from benchmarks.fanout import SHOWN, Scene
from benchmarks.report import Figure, Report
from benchmarks.scale import Scale
from benchmarks.summary import Bound, percentile

SITES = 2500
EVSES_PER_SITE = 4
CHANGING = 200
PER_SECOND = 200
PAGE = 100
READER = "RDR"


async def measure(report: Report, scale: Scale) -> None:
    """Walk all pages back to back; look at every object of every walk."""
    report.chapter(
        f"GET locations: {SITES * EVSES_PER_SITE:,} EVSEs in pages of {PAGE} sites, "
        f"{PER_SECOND} status changes a second"
    )
    seconds = 4.0 if scale.quick else 10.0
    body = config.network({"F": SITES}, locations=SITES, evses=EVSES_PER_SITE)
    with servers.cms(scale.folder / "walk", body) as cms:
        async with servers.load() as load, servers.obedient("partners") as crowd:
            at = {"port": cms.ocpp_port, "prefix": "F"}
            await load("connect", group="all", first=0, count=CHANGING, **at)
            scene = Scene(cms, load, crowd)
            await scene.register(READER, receives=False)
            await crowd("walk", party=READER, limit=PAGE, seconds=0.1)  # fills what is cached
            changing = asyncio.create_task(
                load("changes", group="all", per_second=PER_SECOND, seconds=seconds + 1.0)
            )
            walked = await crowd("walk", party=READER, limit=PAGE, seconds=seconds)
            sent = (await changing)["sent"]
            last = await crowd("walk", party=READER, limit=PAGE, seconds=0.0)
    stale = [
        name
        for name, changes in sent.items()
        if last["shown"].get(f"{name}-1") != SHOWN[changes[-1][2]]
    ]
    wrong = [*walked["wrong"], *last["wrong"], *(f"{name} shows an old status" for name in stale)]
    seen = {*walked["sites"], *last["sites"]}
    if seen != {SITES}:
        wrong.append(f"walks of {sorted(seen)} sites")
    report.add(
        Figure(
            "page p99",
            percentile(walked["ms"], 99),
            "ms",
            Bound.AT_MOST,
            50.0,
            note=f"p50 {percentile(walked['ms'], 50):.1f} ms, longest {max(walked['ms']):.1f} ms; "
            f"{walked['walks']} walks of {SITES:,} sites, {walked['bytes'] / 1024:.0f} KiB a page",
            doubt="; ".join(wrong[:5]),
        )
    )
    report.add(Figure("objects missed, told twice, or torn", len(wrong), "", Bound.AT_MOST, 0))
