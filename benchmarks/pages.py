"""A page of fifty locations, from cached parts, beside the same page built through pydantic."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import config, load, messages, meter, servers
from benchmarks.charger import Charger
from benchmarks.report import Figure, Report
from benchmarks.roaming import register
from benchmarks.scale import Scale
from benchmarks.summary import Bound, median
from benchmarks.wire import upgrade
from simulators.emsp import Emsp

PAGE = 50
LOCATIONS = 60
EVSES_PER_LOCATION = 6


class Reader:
    """Reads the same URL again and again over one kept connection."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None and parts.port is not None
        self._at = (parts.hostname, parts.port)
        lines = [
            f"GET {parts.path}?{parts.query} HTTP/1.1",
            f"Host: {parts.netloc}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self._request = ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def read(self, times: int) -> bytes:
        """Return the body of the last answer."""
        reader, writer = await asyncio.open_connection(*self._at)
        body = b""
        try:
            for _ in range(times):
                writer.write(self._request)
                head = await reader.readuntil(b"\r\n\r\n")
                if b" 200 " not in head.split(b"\r\n", 1)[0]:
                    raise servers.Failed(head.split(b"\r\n", 1)[0].decode())
                body = await reader.readexactly(_length(head))
        finally:
            writer.close()
        return body


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    raise servers.Failed("an answer without Content-Length")


async def measure(report: Report, scale: Scale) -> None:
    """Read pages from both servers in turn."""
    report.chapter(f"OCPI GET locations, page of {PAGE}, {EVSES_PER_LOCATION} EVSEs each")
    folder = scale.folder / "pages"
    body = config.network({"P": LOCATIONS}, locations=LOCATIONS, evses=EVSES_PER_LOCATION)
    with servers.cms(folder, body) as cms:
        async with Emsp() as emsp:
            await register(cms, emsp)
            base = emsp.connection.endpoints["locations", "SENDER"]
            ours = Reader(f"{base}?offset=0&limit={PAGE}", _headers(emsp))
            page = json.loads(await ours.read(20))["data"]
            if len(page) != PAGE:
                raise servers.Failed(f"a page of {PAGE} has {len(page)} locations")
            (folder / "page.json").write_text(json.dumps(page))
            found = await _rounds(cms, ours, folder, scale)
            stale = await _replaced(cms, ours)
    _tell(report, *found, stale, len(json.dumps(page)))


def _headers(emsp: Emsp) -> dict[str, str]:
    token = emsp.connection.outbound or ""
    return {
        "Authorization": f"Token {base64.b64encode(token.encode()).decode()}",
        "X-Request-ID": "bench",
        "X-Correlation-ID": "bench",
        "OCPI-from-country-code": "IN",
        "OCPI-from-party-id": "EMP",
    }


async def _rounds(
    cms: servers.Cms, ours: Reader, folder: Path, scale: Scale
) -> tuple[list[float], list[float]]:
    with servers.reference("pydantic_pages", folder) as (pid, port):
        theirs = Reader(f"http://127.0.0.1:{port}/locations?limit={PAGE}", {})
        await theirs.read(5)
        cached, built = [], []
        for _ in range(scale.rounds):
            cached.append(await _cpu_ms(cms.pid, ours, 200 if scale.quick else 600))
            built.append(await _cpu_ms(pid, theirs, 30 if scale.quick else 100))
    return cached, built


async def _cpu_ms(pid: int, reader: Reader, times: int) -> float:
    before = meter.cpu_ns(pid)
    await reader.read(times)
    return (meter.cpu_ns(pid) - before) / 1e6 / times


async def _replaced(cms: servers.Cms, ours: Reader) -> str:
    """Change a status and read again: a cache that shows the old one is worth nothing."""
    name = "P00000"
    host = f"127.0.0.1:{cms.ocpp_port}"
    charger = Charger(name, upgrade(f"/ocpp/{name}", host, "ocpp1.6", name, load.PASSWORD))
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: charger, "127.0.0.1", cms.ocpp_port)
    try:
        await charger.opened()
        await charger.call(messages.BOOT_16, station=name)
        for status, expected in (("Available", "AVAILABLE"), ("Faulted", "OUTOFORDER")):
            await charger.call(messages.STATUS_16, status=status)
            page = json.loads(await ours.read(1))["data"]
            shown = {evse["uid"]: evse["status"] for each in page for evse in each["evses"]}
            if shown.get(f"{name}-1") != expected:
                return f"after {status} the page shows {shown.get(f'{name}-1')}"
    finally:
        charger.abort()
    return ""


def _tell(report: Report, cached: list[float], built: list[float], stale: str, size: int) -> None:
    report.add(
        Figure(
            "CPU per page",
            median(cached),
            "ms",
            Bound.AT_MOST,
            0.5,
            note=f"{size / 1024:.0f} KiB, {PAGE / median(cached) * 1e3:,.0f} locations/s per core",
            doubt=stale,
            detail={"cached_ms": cached, "built_ms": built},
        )
    )
    report.add(
        Figure(
            "locations per second, times a page built through pydantic",
            median(built) / median(cached),
            "x",
            Bound.AT_LEAST,
            10.0,
            note=f"{median(built):.2f} ms",
            doubt=stale,
        )
    )
