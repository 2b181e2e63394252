"""``cms demo``: the whole product against strangers, live in the terminal, judged by three ledgers.

The backend runs as its own process, exactly as ``cms serve``. Simulated chargers of both versions
and one misbehaving make connect to it over websockets, a simulated partner over HTTP; they share no
code with it. At the end the chargers' ledger, the partner's and ours are compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections import deque
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

from cms.config import ConfigError
from simulators.emsp import Driver, Emsp
from simulators.emsp.driver import Drive, Habits
from simulators.ledger import Ledger
from simulators.oracle import Verdict, compare
from simulators.station import StationConfig, StationSimulator, make

PARTNER = "IN*EMP"
CARD = "DEMO-CARD-1"
PASSWORD = "demo-{}-0123456789abcdef"
START_SECONDS = 30
SAMPLE_SECONDS = 2.0
AT_ONCE_ON_SCREEN = 12

console = Console()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of charger of the demonstration."""

    version: str
    power_w: int
    standard: str
    power_type: str
    format: str
    voltage: int
    amperage: int
    tariff: str
    vendor: str
    quirks: tuple[str, ...] = ()


KINDS = (
    Kind("1.6", 60_000, "IEC_62196_T2_COMBO", "DC", "CABLE", 500, 120, "DC-18", "Simulated"),
    Kind("2.0.1", 22_000, "IEC_62196_T2", "AC_3_PHASE", "SOCKET", 230, 32, "AC-12", "Simulated"),
    Kind("1.6", 7_400, "IEC_62196_T2", "AC_1_PHASE", "SOCKET", 230, 32, "AC-12", "Simulated"),
    Kind("2.0.1", 120_000, "IEC_62196_T2_COMBO", "DC", "CABLE", 800, 200, "DC-18", "Simulated"),
    Kind(
        "1.6", 30_000, "IEC_62196_T2_COMBO", "DC", "CABLE", 500, 60, "DC-18", "Oddly",
        ("numbers-as-strings", "times-without-zone", "wrong-enum-case", "trailing-nul"),
    ),
)  # fmt: skip

SITES = (
    ("BLR-1", "Indiranagar", "100 Feet Road 12", "Bengaluru", "560038", "12.978370", "77.640830"),
    ("PUN-1", "Koregaon Park", "North Main Road 3", "Pune", "411001", "18.536200", "73.893980"),
)


@dataclass(slots=True)
class Places:
    """Where everything of one demonstration lies and listens."""

    folder: Path
    ocpp: int
    http: int

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"


class TimedFrames(deque[tuple[str, str]]):
    """A charger's tap that also remembers when each frame passed."""

    def __init__(self) -> None:
        super().__init__(maxlen=2000)
        self.times: deque[tuple[float, str, str]] = deque(maxlen=20_000)

    def append(self, frame: tuple[str, str]) -> None:
        super().append(frame)
        self.times.append((time.monotonic(), *frame))


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
        places = Places(Path(folder), _free_port(), _free_port())
        places.config.write_text(_config(places, chargers))
        try:
            return asyncio.run(_play(places, chargers, sessions, seed, report))
        except KeyboardInterrupt:
            return 0


async def _play(
    places: Places, chargers: int, sessions: int, seed: int, report: Path | None
) -> int:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(_server(places))
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
        await _stop(server)
    verdict, figures = _judge(scene, sessions)
    _report(figures, verdict, report)
    return 0 if not figures["mismatches"] else 1


# ---------------------------------------------------------------- the backend's process


@asynccontextmanager
async def _server(places: Places) -> AsyncIterator[asyncio.subprocess.Process]:
    log = await asyncio.to_thread((places.folder / "server.log").open, "wb")
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cms", "serve", "--config", str(places.config),
        stdout=log, stderr=log,
    )  # fmt: skip
    try:
        await _ready(server, places)
        yield server
    finally:
        await _stop(server)
        log.close()


async def _ready(server: asyncio.subprocess.Process, places: Places) -> None:
    async with aiohttp.ClientSession() as http:
        for _ in range(START_SECONDS * 10):
            if server.returncode is not None:
                break
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"{places.base}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)
    tail = await asyncio.to_thread((places.folder / "server.log").read_text)
    raise ConfigError(f"the backend did not start: {tail[-2000:]}")


async def _stop(server: asyncio.subprocess.Process) -> None:
    if server.returncode is None:
        server.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(15):
                await server.wait()
        except TimeoutError:
            server.kill()
            await server.wait()


# ---------------------------------------------------------------- chargers and partner


@asynccontextmanager
async def _scene(places: Places, chargers: int, seed: int) -> AsyncIterator[Scene]:
    ledger = Ledger()
    async with AsyncExitStack() as stack:
        told = json.loads(await asyncio.to_thread((places.folder / "operator.json").read_text))
        headers = {"Authorization": f"Bearer {told['key']}"}
        http = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))
        partner = await stack.enter_async_context(Emsp(country_code="IN", party_id="EMP"))
        await _register(partner, places, http)
        stations = [
            await _station(stack, places, number, ledger, seed) for number in range(chargers)
        ]
        async with asyncio.timeout(60):
            await asyncio.gather(*(each.booted(timeout=60) for each in stations))
        yield Scene(places, stations, partner, http, ledger)


async def _station(
    stack: AsyncExitStack, places: Places, number: int, ledger: Ledger, seed: int
) -> StationSimulator:
    kind = KINDS[number % len(KINDS)]
    station = StationSimulator(
        StationConfig(
            identity=_identity(number),
            url=f"ws://127.0.0.1:{places.ocpp}/ocpp",
            version=kind.version,
            password=PASSWORD.format(number),
            vendor=kind.vendor,
            power_w=kind.power_w,
            sample_interval=SAMPLE_SECONDS,
            register_wh=random.Random(f"{seed}/{number}").randrange(10_000, 9_000_000),
            make=make(kind.quirks),
            seed=seed,
        ),
        ledger,
    )
    station.tap.frames = TimedFrames()
    return await stack.enter_async_context(station)


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
    ours = [json.loads(line) for line in _export(scene.places).splitlines()]
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


def _export(places: Places) -> str:
    file = places.folder / "ledger.jsonl"
    command = [sys.executable, "-m", "cms", "export", "ledger", str(file)]
    code = os.spawnv(os.P_WAIT, sys.executable, [*command, "--config", str(places.config)])
    if code != 0:
        raise ConfigError(f"the ledger could not be exported (exit code {code})")
    return file.read_text()


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


# ---------------------------------------------------------------- the config


def _identity(number: int) -> str:
    return f"DEMO-{number + 1:03d}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _config(places: Places, chargers: int) -> str:
    """Write a config in the words of config.example.toml; JSON text is TOML text for strings."""
    lines = [
        "[ocpp]", 'host = "127.0.0.1"', f"port = {places.ocpp}",
        "[http]", 'host = "127.0.0.1"', f"port = {places.http}",
        f"operator_file = {json.dumps(str(places.folder / 'operator.json'))}",
        "[database]", f"url = {json.dumps(f'sqlite:///{places.folder}/demo.db')}",
        "[party]", 'name = "Demo Charging"',
        "[charging]", "session_push_seconds = 2.0",
        "[ocpi]", "allow_private_addresses = true",
        *_tariffs(),
        *_sites(),
    ]  # fmt: skip
    for number in range(chargers):
        lines += _charger(number)
    return "\n".join(lines) + "\n"


def _tariffs() -> list[str]:
    taxes = 'taxes = [{ name = "CGST", percent = "9" }, { name = "SGST", percent = "9" }]'
    found = []
    for id, price in (("DC-18", "18.00"), ("AC-12", "12.50")):
        found += [
            "[[tariffs]]", f'id = "{id}"', 'currency = "INR"', 'basis = "gross"', taxes,
            f'price_per_kwh = "{price}"',
        ]  # fmt: skip
    return found


def _sites() -> list[str]:
    found = []
    for id, name, address, city, code, latitude, longitude in SITES:
        found += [
            "[[locations]]", f'id = "{id}"', f'name = "{name}"', f'address = "{address}"',
            f'city = "{city}"', f'postal_code = "{code}"', 'country = "IND"',
            f'latitude = "{latitude}"', f'longitude = "{longitude}"',
            'time_zone = "Asia/Kolkata"',
        ]  # fmt: skip
    return found


def _charger(number: int) -> list[str]:
    kind, id = KINDS[number % len(KINDS)], _identity(number)
    return [
        "[[chargers]]", f'id = "{id}"', f'location = "{SITES[number % len(SITES)][0]}"',
        f'password = "{PASSWORD.format(number)}"',
        "[[chargers.evses]]", f'uid = "{id}*1"', f'evse_id = "IN*CPO*E{number + 1:05d}"',
        "[[chargers.evses.connectors]]", f'standard = "{kind.standard}"',
        f'format = "{kind.format}"', f'power_type = "{kind.power_type}"',
        f"max_voltage = {kind.voltage}", f"max_amperage = {kind.amperage}",
        f"max_power_w = {kind.power_w}", f'tariffs = ["{kind.tariff}"]',
    ]  # fmt: skip
