"""``cms demo``: the whole product against strangers, live in the terminal, judged by three ledgers.

The backend runs as its own process, exactly as ``cms serve``. Simulated chargers of both versions
and one misbehaving make connect to it over websockets, a simulated partner over HTTP; they share no
code with it. At the end the chargers' ledger, the partner's and ours are compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from cms.cli import stage
from cms.cli.stage import Places, TimedFrames
from cms.config import ConfigError
from simulators.emsp import Driver, Emsp
from simulators.emsp.driver import Drive, Habits
from simulators.ledger import Ledger
from simulators.oracle import Verdict, compare
from simulators.station import StationSimulator

PARTNER = "IN*EMP"
CARD = "DEMO-CARD-1"
AT_ONCE_ON_SCREEN = 12

console = Console()


@dataclass(slots=True)
class Scene:
    """Everything that plays in one demonstration."""

    places: Places
    stations: list[StationSimulator]
    partner: Emsp
    http: aiohttp.ClientSession
    ledger: Ledger
    drives: list[Drive] = field(default_factory=list)
    authorise_ms: list[float] = field(default_factory=list)
    status_ms: list[float] = field(default_factory=list)


def run(sessions: int, seed: int, report: Path | None, chargers: int) -> int:
    """Run the demonstration; 0 if every ledger agrees.

    Args:
        sessions: stop after so many; 0 = go on until Ctrl-C.
    """
    chargers = max(chargers, min(sessions, 40))
    with tempfile.TemporaryDirectory(prefix="cms-demo-") as folder:
        places = Places(Path(folder), stage.free_port(), stage.free_port())
        stage.write_config(places, chargers)
        try:
            return asyncio.run(_play(places, chargers, sessions, seed, report))
        except KeyboardInterrupt:
            return 0


async def _play(
    places: Places, chargers: int, sessions: int, seed: int, report: Path | None
) -> int:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(stage.server(places))
        scene = await stack.enter_async_context(_scene(places, chargers, seed))
        page = await scene.http.post(f"{places.base}/api/v1/page-link")
        console.print(f"page: {places.base}{(await page.json())['path']}", soft_wrap=True)
        if sessions == 0:
            await _watch_for_ever(scene, seed)
            return 0
        await _watch(scene, _drive(scene, sessions, seed))
        await _authorise_cards(scene)
        await _break_and_mend(scene)
        await _drain(scene)
        await stage.stop(server)
    verdict, figures = _judge(scene, sessions)
    _report(figures, verdict, report)
    return 0 if not figures["mismatches"] else 1


# ---------------------------------------------------------------- chargers and partner


@asynccontextmanager
async def _scene(places: Places, chargers: int, seed: int) -> AsyncIterator[Scene]:
    ledger = Ledger()
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(stage.operator(places))
        partner = await stack.enter_async_context(Emsp(country_code="IN", party_id="EMP"))
        await _register(partner, places, http)
        stations = [
            await stage.station(stack, places, number, ledger, seed) for number in range(chargers)
        ]
        async with asyncio.timeout(60):
            await asyncio.gather(*(each.booted(timeout=60) for each in stations))
        yield Scene(places, stations, partner, http, ledger)


async def _register(partner: Emsp, places: Places, http: aiohttp.ClientSession) -> None:
    body = {"id": PARTNER, "name": "Simulated Mobility", "allow_private_addresses": True}
    async with http.post(f"{places.base}/api/v1/partners", json=body) as answer:
        invitation = await answer.json()
        if answer.status != 201:
            raise ConfigError(f"the partner was not invited: {invitation}")
    await partner.register(invitation["url"], invitation["token"])
    await partner.push_token(partner.tokens.add(CARD))


async def _drive(scene: Scene, sessions: int, seed: int) -> None:
    habits = Habits(charge=(10.0, 30.0), stops=1.0, patience=90.0, at_once=len(scene.stations))
    scene.drives = await Driver(scene.partner, habits).drive(sessions, seed)


async def _watch_for_ever(scene: Scene, seed: int) -> None:
    round_ = seed
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            await _watch(scene, _drive(scene, 4 * len(scene.stations), round_))
            round_ += 1


async def _authorise_cards(scene: Scene) -> None:
    """Show the partner's card at every charger, some times over, and take the time."""
    for _ in range(5):
        for station in scene.stations:
            began = time.monotonic()
            await station.authorize(CARD)
            scene.authorise_ms.append((time.monotonic() - began) * 1000)


async def _break_and_mend(scene: Scene) -> None:
    """Let chargers fail and recover, and take the time until the partner has heard of it."""
    for station in scene.stations[:20]:
        for repaired in (False, True):
            seen = len(scene.partner.arrivals)
            began = time.monotonic()
            station.fault(1, repaired=repaired)
            patched = partial(_patched, scene.partner, station.config.identity, seen)
            heard = await scene.partner.wait_for(patched, timeout=10)
            scene.status_ms.append((heard - began) * 1000)


def _patched(partner: Emsp, identity: str, since: int) -> float | None:
    """When the partner got the first PATCH of this charger's EVSE after so many requests."""
    return next(
        (
            each.monotonic
            for each in partner.arrivals[since:]
            if each.method == "PATCH" and each.path.endswith(f"/{identity}*1")
        ),
        None,
    )


async def _drain(scene: Scene) -> None:
    await asyncio.gather(*(each.drained() for each in scene.stations))


# ---------------------------------------------------------------- watching


async def _watch(scene: Scene, work: Any) -> None:
    """Show the network while *work* goes on."""
    task = asyncio.ensure_future(work)
    try:
        with Live(console=console, refresh_per_second=2, transient=True) as live:
            while not task.done():
                live.update(await _picture(scene))
                await asyncio.wait([task], timeout=1.0)
        await task
    finally:
        task.cancel()


async def _picture(scene: Scene) -> Group:
    base = f"{scene.places.base}/api/v1"
    async with scene.http.get(f"{base}/sessions?running=true&limit=100") as answer:
        running = (await answer.json())["sessions"]
    async with scene.http.get(f"{base}/cdrs?limit=1") as answer:
        bills = (await answer.json())["total"]
    table = Table("charger", "protocol", "status", "kWh", "kW", title="running sessions")
    for each in running[:AT_ONCE_ON_SCREEN]:
        table.add_row(
            each["charger"],
            each["protocol"],
            each["status"],
            f"{each['energy_wh'] / 1000:.3f}",
            "" if each["power_w"] is None else f"{each['power_w'] / 1000:.1f}",
        )
    online = sum(each.online for each in scene.stations)
    line = f"{online} chargers online, {len(running)} charging, {bills} bills made"
    return Group(table, line)


# ---------------------------------------------------------------- judging


def _judge(scene: Scene, sessions: int) -> tuple[Verdict, dict[str, Any]]:
    ours = stage.export(scene.places)
    chargers = list(scene.ledger.entries)
    verdict = compare(chargers, scene.partner.ledger.lines, ours)
    delivered = [each for each in chargers if each["kind"] == "delivered"]
    bills = [each for each in ours if each["kind"] == "cdr"]
    recomputed = [each for each in scene.partner.ledger.lines if each["kind"] == "recomputed"]
    mismatches = [
        *map(str, verdict.mismatches),
        *(f"complaint: {each}" for each in scene.partner.complaints),
        *(f"cost: {each}" for each in scene.partner.cost_differences),
        *(f"drive {each.number}: {each.problem}" for each in scene.drives if not each.ok),
    ]
    if len(delivered) != sessions or len(bills) != sessions:
        mismatches.append(
            f"{sessions} sessions wanted, {len(delivered)} delivered, {len(bills)} bills made"
        )
    started = [each for each in scene.drives if each.session_id is not None]
    return verdict, {
        "chargers": len(scene.stations),
        "sessions_started": len(started),
        "sessions_finished": sum(each.ok for each in scene.drives),
        "cdrs_at_partner": len({each["cdr_id"] for each in recomputed}),
        "wh_ledger": sum(each["stop_wh"] - each["start_wh"] for each in delivered),
        "wh_cdr": sum(each["energy_wh"] for each in bills),
        "cost_recomputed": str(sum((Decimal(each["incl"]) for each in recomputed), Decimal(0))),
        "mismatches": mismatches,
        "latency_ms": {
            "status_to_partner": _percentiles(scene.status_ms),
            "authorise": _percentiles(scene.authorise_ms),
            "start_to_charger": _percentiles(_start_latencies(scene)),
        },
    }


def _start_latencies(scene: Scene) -> list[float]:
    """From the partner's START_SESSION leaving to the remote start reaching the charger."""
    arrivals = sorted(
        at
        for station in scene.stations
        for at, way, text in _times(station)
        if way == "<" and ("RemoteStartTransaction" in text or "RequestStartTransaction" in text)
    )
    found = []
    for command in scene.partner.commands.values():
        if command.name == "START_SESSION" and command.answer == "ACCEPTED":
            after = next((at for at in arrivals if at >= command.sent), None)
            if after is not None:
                found.append((after - command.sent) * 1000)
    return found


def _times(station: StationSimulator) -> Sequence[tuple[float, str, str]]:
    frames = station.tap.frames
    return list(frames.times) if isinstance(frames, TimedFrames) else []


def _percentiles(values: list[float]) -> dict[str, float | None]:
    if len(values) < 2:
        return {"p50": None, "p99": None}
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 2), "p99": round(cuts[98], 2)}


def _report(figures: dict[str, Any], verdict: Verdict, report: Path | None) -> None:
    if report is not None:
        report.write_text(json.dumps(figures, indent=2) + "\n")
    table = Table("figure", "value", show_header=False)
    for name, value in figures.items():
        shown = len(value) if name == "mismatches" else value
        table.add_row(name, str(shown))
    console.print(table)
    for each in figures["mismatches"][:20]:
        console.print(f"MISMATCH {each}", markup=False)
    console.print(verdict.print_line("demo", "-"), soft_wrap=True)
