"""The stage of a demonstration: the backend in a process of its own, and simulated chargers.

The backend runs exactly as ``cms serve`` does, over a config and a store in a folder of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from cms.config import ConfigError
from simulators.ledger import Ledger
from simulators.station import StationConfig, StationSimulator, make

PASSWORD = "demo-{}-0123456789abcdef"
START_SECONDS = 30
SAMPLE_SECONDS = 2.0


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


# ---------------------------------------------------------------- the backend's process


@asynccontextmanager
async def operator(places: Places) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the backend's API with the operator's key."""
    told = json.loads(await asyncio.to_thread((places.folder / "operator.json").read_text))
    headers = {"Authorization": f"Bearer {told['key']}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        yield http


@asynccontextmanager
async def server(places: Places) -> AsyncIterator[asyncio.subprocess.Process]:
    """The backend, ready to be asked; stopped at the end.

    Raises:
        ConfigError: it did not become ready; with the end of its log.
    """
    log = await asyncio.to_thread((places.folder / "server.log").open, "wb")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cms", "serve", "--config", str(places.config),
        stdout=log, stderr=log,
    )  # fmt: skip
    try:
        await _ready(process, places)
        yield process
    finally:
        await stop(process)
        log.close()


async def _ready(process: asyncio.subprocess.Process, places: Places) -> None:
    async with aiohttp.ClientSession() as http:
        for _ in range(START_SECONDS * 10):
            if process.returncode is not None:
                break
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"{places.base}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)
    tail = await asyncio.to_thread((places.folder / "server.log").read_text)
    raise ConfigError(f"the backend did not start: {tail[-2000:]}")


async def stop(process: asyncio.subprocess.Process) -> None:
    """End the backend politely, after 15 s for good."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(15):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


# ---------------------------------------------------------------- chargers


async def station(
    stack: AsyncExitStack, places: Places, number: int, ledger: Ledger, seed: int
) -> StationSimulator:
    """Plug in charger *number*; *stack* owns it."""
    kind = KINDS[number % len(KINDS)]
    found = StationSimulator(
        StationConfig(
            identity=identity(number),
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
    found.tap.frames = TimedFrames()
    return await stack.enter_async_context(found)


# ---------------------------------------------------------------- our ledger


def export(places: Places) -> list[dict[str, Any]]:
    """What the backend believes, from its store; it need not run.

    Raises:
        ConfigError: it could not be read.
    """
    file = places.folder / "ledger.jsonl"
    command = [sys.executable, "-m", "cms", "export", "ledger", str(file)]
    code = os.spawnv(os.P_WAIT, sys.executable, [*command, "--config", str(places.config)])
    if code != 0:
        raise ConfigError(f"the ledger could not be exported (exit code {code})")
    return [json.loads(line) for line in file.read_text().splitlines()]


# ---------------------------------------------------------------- the config


def identity(number: int) -> str:
    """Of charger *number*, counted from 0."""
    return f"DEMO-{number + 1:03d}"


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_config(places: Places, chargers: int) -> None:
    """Write the config in the words of config.example.toml; JSON text is TOML text for strings."""
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
    places.config.write_text("\n".join(lines) + "\n")


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
    kind, id = KINDS[number % len(KINDS)], identity(number)
    return [
        "[[chargers]]", f'id = "{id}"', f'location = "{SITES[number % len(SITES)][0]}"',
        f'password = "{PASSWORD.format(number)}"',
        "[[chargers.evses]]", f'uid = "{id}*1"', f'evse_id = "IN*CPO*E{number + 1:05d}"',
        "[[chargers.evses.connectors]]", f'standard = "{kind.standard}"',
        f'format = "{kind.format}"', f'power_type = "{kind.power_type}"',
        f"max_voltage = {kind.voltage}", f"max_amperage = {kind.amperage}",
        f"max_power_w = {kind.power_w}", f'tariffs = ["{kind.tariff}"]',
    ]  # fmt: skip
