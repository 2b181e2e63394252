"""Two site owners under one operator: who may see and do what, asked over HTTP.

Everything here is defined through the API (nothing is read-only): the sites HERE and THERE with a
charger each, one tariff, one card, and one billed session at each site.
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.flow.product import Product, product
from tests.harness.charger import plugged, stamp, start16, stop16

Json = dict[str, Any]

HERE, THERE = "HERE", "THERE"
CARD = "CARD-1"
SOCKET = {
    "standard": "IEC_62196_T2_COMBO",
    "format": "CABLE",
    "power_type": "DC",
    "max_voltage": 500,
    "max_amperage": 120,
    "max_power_w": 60_000,
    "tariffs": ["SHELF"],
}


def site(id: str, **more: Any) -> Json:
    return {
        "id": id,
        "name": f"Site {id}",
        "address": "1 Road",
        "city": "Bengaluru",
        "country": "IND",
        "latitude": "12.97",
        "longitude": "77.64",
        "time_zone": "Asia/Kolkata",
        **more,
    }


def charger(id: str, location: str) -> Json:
    evse = {"number": 1, "uid": f"{id}-1", "connectors": [SOCKET]}
    return {"id": id, "location": location, "evses": [evse]}


def tariff(id: str = "SHELF", price: str = "18.00") -> Json:
    taxes = [{"name": "CGST", "percent": "9"}, {"name": "SGST", "percent": "9"}]
    return {"id": id, "currency": "INR", "basis": "gross", "taxes": taxes, "price_per_kwh": price}


@dataclass(slots=True)
class Owners:
    """The product with its two owners.

    Attributes:
        passwords: of the chargers, by identity.
        sessions: id of the billed session of each site.
    """

    it: Product
    http: aiohttp.ClientSession
    passwords: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Ask the API; with *key* "operator" as the command line does. Returns status and answer."""
        text = self.it.server.operator_key if key == "operator" else key
        sent = dict(headers or {})
        if text is not None:
            sent["Authorization"] = f"Bearer {text}"
        sent_body = raw if raw is not None else None if body is None else json.dumps(body).encode()
        data = None if sent_body is None else io.BytesIO(sent_body)
        url = f"{self.it.network.base}/api/v1{path}"
        async with self.http.request(method, url, data=data, headers=sent) as answer:
            told = await answer.text(errors="replace")
            return answer.status, json.loads(told) if answer.content_type.endswith("json") else told

    async def done(self, method: str, path: str, body: Any = None) -> Any:
        """Ask as the operator; it must succeed."""
        status, answer = await self.ask(method, path, body, key="operator")
        assert status < 300, f"{method} {path}: {status} {answer}"
        return answer

    async def key(self, *rights: str, sites: list[str] | None = None) -> str:
        """Draw a key."""
        body: Json = {"name": "+".join(rights), "rights": list(rights)}
        drawn = await self.done("POST", "/keys", body | ({"sites": sites} if sites else {}))
        text: str = drawn["key"]
        return text

    def identity(self, where: str) -> str:
        return self.it.network.identity(0 if where == HERE else 1)

    async def charge(
        self, where: str, *, began: str, ended: str, wh: int, register: int = 1000
    ) -> str:
        """Have one whole session at *where*; returns its id once it is billed."""
        number = 0 if where == HERE else 1
        secret = self.passwords[self.identity(where)]
        async with plugged(self.it.network, number, secret=secret) as socket:
            started = await socket.call("StartTransaction", start16(CARD, register, began))
            assert started["idTagInfo"]["status"] == "Accepted"
            transaction = started["transactionId"]
            await socket.call("StopTransaction", stop16(transaction, register + wh, ended))

        def billed(told: Json) -> list[Json]:
            return [each for each in told["sessions"] if each["transaction"] == str(transaction)]

        path = f"/sessions?charger={self.identity(where)}&status=completed&limit=500"
        told = await self.it.until_told(path, billed)
        id: str = billed(told)[0]["id"]
        return id


@asynccontextmanager
async def owners(folder: Path, *, charged: bool = True) -> AsyncIterator[Owners]:
    """Run the product with both owners; with *charged*, a session at each site is billed."""
    async with product(folder, chargers=0) as it, aiohttp.ClientSession() as http:
        here = Owners(it, http)
        await here.done("PUT", "/tariffs/SHELF", tariff())
        await here.done("PUT", f"/tokens/{CARD}", {"uid": CARD})
        for where in (HERE, THERE):
            await here.done("PUT", f"/sites/{where}", site(where))
            id = here.identity(where)
            made = await here.done("PUT", f"/chargers/{id}", charger(id, where))
            here.passwords[id] = made["password"]
        if charged:
            for where in (HERE, THERE):
                here.sessions[where] = await here.charge(
                    where, began=stamp(hours=2), ended=stamp(hours=1), wh=10_000
                )
        yield here
