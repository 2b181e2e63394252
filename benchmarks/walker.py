"""Reads all pages of sites over one connection, and looks at every object for what is wrong."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlsplit

import orjson

from benchmarks.orders import Json

STATUSES = {"UNKNOWN", "AVAILABLE", "INOPERATIVE"}
"""What the EVSEs of this benchmark can be."""


class Walker:
    """Walks again and again; nothing is parsed while a page is timed."""

    def __init__(self, url: str, headers: dict[str, str], limit: int) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None and parts.port is not None
        self._at = (parts.hostname, parts.port)
        lines = [f"Host: {parts.netloc}", *(f"{name}: {value}" for name, value in headers.items())]
        self._path = parts.path
        self._rest = "\r\n".join(lines) + "\r\n\r\n"
        self._limit = limit
        self._updated: dict[str, str] = {}
        self._ms: list[float] = []
        self._bytes = 0
        self._wrong: list[str] = []
        self._shown: dict[str, str] = {}
        self._walks = 0
        self._sites: set[int] = set()

    def found(self) -> Json:
        """Return what was seen so far.

        ``shown`` is the status of each EVSE in the last walk, ``sites`` how many each walk had.
        """
        return {
            "ms": self._ms,
            "bytes": self._bytes / len(self._ms),
            "walks": self._walks,
            "sites": sorted(self._sites),
            "wrong": self._wrong[:20],
            "shown": self._shown,
        }

    async def walk(self, seconds: float) -> None:
        """Walk for so long, but at least once."""
        reader, writer = await asyncio.open_connection(*self._at)
        begun = time.monotonic()
        try:
            while not self._walks or time.monotonic() - begun < seconds:
                self._judge(await self._once(reader, writer))
        finally:
            writer.close()

    async def _once(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[Any]:
        """Read from the first page to the last, as the total tells."""
        sites: list[Any] = []
        total = 1
        while len(sites) < total:
            begun = time.perf_counter()
            query = f"GET {self._path}?offset={len(sites)}&limit={self._limit} HTTP/1.1\r\n"
            writer.write((query + self._rest).encode())
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(_header(head, b"content-length")))
            self._ms.append((time.perf_counter() - begun) * 1e3)
            self._bytes += len(body)
            total = int(_header(head, b"x-total-count"))
            page = orjson.loads(body)["data"]
            if not page:
                break
            sites += page
        return sites

    def _judge(self, sites: list[Any]) -> None:
        self._walks += 1
        ids = [site["id"] for site in sites]
        self._sites.add(len(set(ids)))
        if len(set(ids)) != len(ids):
            self._wrong.append("a site came twice in one walk")
        for site in sites:
            self._site(site)

    def _site(self, site: Any) -> None:
        """A site is whole if it is as new as its newest EVSE, and nothing of it grows older."""
        if site["last_updated"] < max(evse["last_updated"] for evse in site["evses"]):
            self._wrong.append(f"{site['id']} is older than an EVSE of it")
        for evse in site["evses"]:
            uid, updated = evse["uid"], evse["last_updated"]
            if updated < self._updated.get(uid, ""):
                self._wrong.append(f"{uid} grew older")
            if evse["status"] not in STATUSES:
                self._wrong.append(f"{uid} is {evse['status']}")
            if updated == self._updated.get(uid) and self._shown[uid] != evse["status"]:
                self._wrong.append(f"{uid} changed its status and not its date")
            self._updated[uid], self._shown[uid] = updated, evse["status"]


def _header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n"):
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    raise ValueError(f"no {name.decode()} in {head[:200]!r}")
