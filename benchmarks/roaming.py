"""From a charger to the partner's socket, and from the partner's app to the charger."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from benchmarks import config, load, messages, servers
from benchmarks.charger import Charger
from benchmarks.report import Figure, Report
from benchmarks.scale import Scale
from benchmarks.summary import Bound, percentile
from benchmarks.wire import upgrade
from simulators.emsp import Emsp

CHARGERS = 20
PARTNER = "IN*EMP"
BETWEEN_S = 0.06
"""Between two measured messages, so that the server is idle when the next one comes."""


async def measure(report: Report, scale: Scale) -> None:
    """Register a simulated partner, then take latencies one at a time."""
    report.chapter("Roaming, at idle")
    body = config.network({"R": CHARGERS}, locations=5)
    with servers.cms(scale.folder / "roaming", body) as cms:
        async with Emsp() as emsp:
            await register(cms, emsp)
            chargers = await _connected(cms)
            try:
                await _all_seen(emsp)
                statuses = await _statuses(emsp, chargers, scale.samples)
                starts = await _starts(emsp, chargers, scale.samples)
            finally:
                for charger in chargers:
                    charger.abort()
    _tell(report, "StatusNotification to the partner's socket, p50", statuses)
    _tell(report, "partner's START_SESSION to the charger's RemoteStart, p50", starts)


async def register(cms: servers.Cms, emsp: Emsp) -> None:
    """Introduce *emsp* to the server, the partner beginning."""
    body = {"id": PARTNER, "name": "Simulated Mobility", "allow_private_addresses": True}
    invitation = await asyncio.to_thread(cms.post, "/api/v1/partners", body)
    await emsp.register(invitation["url"], invitation["token"])


async def _connected(cms: servers.Cms) -> list[Charger]:
    chargers = []
    loop = asyncio.get_running_loop()
    for number in range(CHARGERS):
        name = f"R{number:05d}"
        host = f"127.0.0.1:{cms.ocpp_port}"
        request = upgrade(f"/ocpp/{name}", host, "ocpp1.6", name, load.PASSWORD)
        charger = Charger(name, request)
        await loop.create_connection(partial(_itself, charger), "127.0.0.1", cms.ocpp_port)
        await charger.opened()
        await charger.call(messages.BOOT_16, station=name)
        await charger.call(messages.STATUS_16, status="Available")
        chargers.append(charger)
    return chargers


def _itself(charger: Charger) -> Charger:
    return charger


async def _all_seen(emsp: Emsp) -> None:
    """Wait until the partner holds every EVSE as available."""

    def available() -> bool:
        held = [
            evse["status"]
            for location in emsp.store.locations.values()
            for evse in location.get("evses") or []
        ]
        return len(held) == CHARGERS and set(held) == {"AVAILABLE"}

    await emsp.wait_for(available, 60.0)
    await asyncio.sleep(1.0)


async def _statuses(emsp: Emsp, chargers: list[Charger], samples: int) -> list[float]:
    """Return milliseconds from the frame's leaving to the arrival of the request's head."""
    found = []
    for number in range(samples):
        charger = chargers[number % len(chargers)]
        status = "Unavailable" if number // len(chargers) % 2 == 0 else "Available"
        known = len(emsp.arrivals)
        sent = time.monotonic()
        await charger.call(messages.STATUS_16, status=status)
        await emsp.wait_for(partial(_more_than, emsp, known), 10.0)
        found.append((emsp.arrivals[known].monotonic - sent) * 1e3)
        await asyncio.sleep(BETWEEN_S)
    for charger in chargers:
        await charger.call(messages.STATUS_16, status="Available")
    await asyncio.sleep(1.0)
    return found


async def _starts(emsp: Emsp, chargers: list[Charger], samples: int) -> list[float]:
    """Return milliseconds from the app's request to the call at the charger, which declines it."""
    found = []
    places = _places(emsp)
    for number in range(samples):
        charger = chargers[number % len(chargers)]
        heard: asyncio.Future[float] = asyncio.get_running_loop().create_future()

        def declined(
            id: str, _action: str, _payload: Any, heard: asyncio.Future[float] = heard
        ) -> bytes:
            if not heard.done():
                heard.set_result(time.monotonic())
            return b'[3,"%s",{"status":"Rejected"}]' % id.encode()

        charger.on_call = declined
        token = emsp.tokens.add(f"APP{number:08d}", type="APP_USER")
        location, evse = places[charger.name]
        begun = time.monotonic()
        command = await emsp.start_session(location, evse, token=token)
        if command.answer != "ACCEPTED":
            raise servers.Failed(f"START_SESSION: {command.answer} {command.answer_code}")
        async with asyncio.timeout(10):
            found.append((await heard - begun) * 1e3)
        await command.result(30)
        charger.on_call = None
        await asyncio.sleep(BETWEEN_S)
    return found


def _more_than(emsp: Emsp, known: int) -> bool:
    return len(emsp.arrivals) > known


def _places(emsp: Emsp) -> dict[str, tuple[str, str]]:
    return {
        evse["uid"].rsplit("-", 1)[0]: (location["id"], evse["uid"])
        for location in emsp.store.locations.values()
        for evse in location.get("evses") or []
    }


def _tell(report: Report, name: str, found: list[float]) -> None:
    report.add(
        Figure(
            name,
            percentile(found, 50),
            "ms",
            Bound.AT_MOST,
            15.0,
            note=f"p99 {percentile(found, 99):.1f} ms of {len(found)}",
            detail={"ms": found},
        )
    )
