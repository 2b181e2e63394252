"""Telling many partners what changes: how late they hear it, what it costs the chargers.

A change counts as told to a partner at the first request that carries it or a later one of the same
EVSE. What was never told puts the figure in doubt.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from benchmarks import config, meter, servers
from benchmarks.report import Figure, Report
from benchmarks.scale import Scale
from benchmarks.summary import Bound, percentile

SHOWN = {"Available": "AVAILABLE", "Unavailable": "INOPERATIVE"}
CALM_SECONDS = 1.5
LONGEST_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Change:
    """A status that a charger sent: when by the monotonic clock, and by the wall clock."""

    at: float
    wall: float
    status: str


@dataclass(frozen=True, slots=True)
class Window:
    """What one stretch of load brought.

    Attributes:
        cpu_us: of the server, per message of a charger.
        answered_ms: 99th percentile of the answers to chargers.
        lags: seconds, of each change at each partner.
        lost: changes that a partner was never told, nor a later one.
        told: requests that partners got.
    """

    messages: int
    cpu_us: float
    answered_ms: float
    lags: list[float]
    lost: int
    told: int
    doubt: str

    @property
    def lag(self) -> float | None:
        return percentile(self.lags, 99) if self.lags else None


class Scene:
    """A server, chargers, and partners that are registered one by one."""

    def __init__(self, cms: servers.Cms, load: servers.Load, crowd: servers.Obedient) -> None:
        self.cms = cms
        self.load = load
        self.crowd = crowd

    async def register(self, *parties: str, **cards: Any) -> None:
        """Let partners register, and wait until they know the network."""
        for party in parties:
            body = {"id": f"IN*{party}", "name": party, "allow_private_addresses": True}
            invitation = await asyncio.to_thread(self.cms.post, "/api/v1/partners", body)
            told = {"url": invitation["url"], "token": invitation["token"], **cards}
            await self.crowd("register", party=party, **told)
        await self.calm()

    async def calm(self, *parties: str) -> None:
        """Wait until nothing is brought to *parties* any more; to nobody if none is named."""
        async with asyncio.timeout(LONGEST_SECONDS):
            before, since = None, time.monotonic()
            while time.monotonic() - since < CALM_SECONDS:
                counts = await self.crowd("counts")
                counts = {each: counts[each] for each in parties or counts}
                if counts != before:
                    before, since = counts, time.monotonic()
                await asyncio.sleep(0.1)

    async def window(self, per_second: int, seconds: float, *heard_by: str) -> Window:
        """Let statuses change at an even pace, and see when *heard_by* hear of each."""
        await self.crowd("statuses", parties=heard_by)
        before = meter.cpu_ns(self.cms.pid)
        ran = await self.load("changes", group="all", per_second=per_second, seconds=seconds)
        await self.calm(*heard_by)
        cpu = meter.cpu_ns(self.cms.pid) - before
        told = (await self.crowd("statuses", parties=heard_by))["statuses"]
        changes = {
            f"{name}-1": [Change(*each) for each in sent] for name, sent in ran["sent"].items()
        }
        lags: list[float] = []
        lost = 0
        for party in heard_by:
            found, missed = lags_of(changes, told[party])
            lags += found
            lost += missed
        doubts = [
            f"{ran['errors']} CALLERRORs" * bool(ran["errors"]),
            f"{lost} changes never told" * bool(lost),
        ]
        return Window(
            ran["count"],
            cpu / 1e3 / ran["count"],
            ran["p99_ms"],
            lags,
            lost,
            sum(len(told[party]) for party in heard_by),
            "; ".join(each for each in doubts if each),
        )


def lags_of(
    changes: dict[str, list[Change]], told: list[tuple[float, str, str, str]]
) -> tuple[list[float], int]:
    """Return how late one partner heard of each change, and how many it never heard of."""
    heard: dict[str, list[tuple[float, int]]] = {}
    for at, uid, status, updated in told:
        if (number := _which(changes.get(uid, []), status, updated)) is not None:
            heard.setdefault(uid, []).append((at, number))
    lags, lost = [], 0
    for uid, sent in changes.items():
        left = iter(sorted(heard.get(uid, [])))
        at, known = 0.0, -1
        for number, change in enumerate(sent):
            while known < number and (following := next(left, None)) is not None:
                at, known = following[0], max(known, following[1])
            if known < number:
                lost += 1
            else:
                lags.append(max(at - change.at, 0.0))
    return lags, lost


def _which(sent: list[Change], status: str, updated: str) -> int | None:
    """Return which of the changes of one EVSE a request carried: the last that fits its time."""
    wall = datetime.fromisoformat(updated).timestamp() + 0.001
    number = bisect_right([each.wall for each in sent], wall) - 1
    if number >= 0 and SHOWN[sent[number].status] != status:
        number -= 1
    return number if number >= 0 else None


async def measure(report: Report, scale: Scale) -> None:
    """Measure the same load without and with partners."""
    seconds = 3.0 if scale.quick else 8.0
    parties = [f"P{number:02d}" for number in range(20)]
    report.chapter("Fan-out: 100 status changes a second to 20 partners")
    async with scene(scale, "fanout-wide", chargers=100, locations=20) as wide:
        alone = await wide.window(100, seconds)
        await wide.register(*parties)
        heard = await wide.window(100, seconds, *parties)
    _tell(report, alone, heard)
    report.chapter("Fan-out: 1,000 status changes a second over 200 EVSEs to 2 partners")
    async with scene(scale, "fanout-fast", chargers=200, locations=40) as fast:
        alone = await fast.window(1000, seconds)
        await fast.register(*parties[:2])
        heard = await fast.window(1000, seconds, *parties[:2])
    _tell(report, alone, heard)


@asynccontextmanager
async def scene(
    scale: Scale, name: str, chargers: int, locations: int, evses: int = 1
) -> AsyncIterator[Scene]:
    body = config.network({"F": chargers}, locations=locations, evses=evses)
    with servers.cms(scale.folder / name, body) as cms:
        async with servers.load() as load, servers.obedient("partners") as crowd:
            at = {"port": cms.ocpp_port, "prefix": "F"}
            await load("connect", group="all", first=0, count=chargers, **at)
            await load("changes", group="all", per_second=200, seconds=chargers * 2 / 200)
            yield Scene(cms, load, crowd)


def _tell(report: Report, alone: Window, heard: Window) -> None:
    each = (heard.cpu_us * heard.messages - alone.cpu_us * alone.messages) / max(heard.told, 1)
    changes = len(heard.lags) + heard.lost
    report.add(
        Figure(
            "lag p99",
            heard.lag,
            "s",
            Bound.AT_MOST,
            1.0,
            note=f"p50 {percentile(heard.lags or [0.0], 50) * 1e3:.0f} ms; {changes:,} changes to "
            f"tell, {heard.told:,} requests ({heard.told / max(changes, 1):.2f} a change)",
            doubt=heard.doubt,
        )
    )
    report.add(
        Figure(
            "server CPU per charger message, times without partners",
            heard.cpu_us / alone.cpu_us,
            "x",
            Bound.AT_MOST,
            1.05,
            note=f"{heard.cpu_us:.0f} µs against {alone.cpu_us:.0f}; {each:.0f} µs a request told",
            doubt=heard.doubt,
        )
    )
    report.add(
        Figure(
            "answers to chargers, p99",
            heard.answered_ms,
            "ms",
            note=f"{alone.answered_ms:.1f} ms without partners",
        )
    )
