"""The product with everything a partner may see of it: sites, tariffs, sessions, bills."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from simulators.emsp import Emsp
from tests.flow.product import Json, Product, product

TAXES = [{"name": "CGST", "percent": "9"}, {"name": "SGST", "percent": "9"}]
SITES = 3


def _site(number: int) -> Json:
    hours = [{"weekday": day, "begin": "08:00", "end": "20:00"} for day in range(1, 8)]
    closing = {"begin": "2026-12-25T00:00:00+05:30", "end": "2026-12-26T00:00:00+05:30"}
    site: Json = {
        "id": f"Site-{number}", "name": f"Site {number}", "address": f"MG Road {number}",
        "city": "Bengaluru", "postal_code": "560038", "country": "IND", "latitude": "12.978370",
        "longitude": "77.640830", "time_zone": "Asia/Kolkata",
    }  # fmt: skip
    if number == 1:
        site["opening"] = {"twentyfourseven": False, "regular": hours, "closings": [closing]}
    return site


def _charger(cpo_identity: str, number: int, tariff: str) -> Json:
    connector = {
        "number": 1, "standard": "IEC_62196_T2_COMBO", "format": "CABLE", "power_type": "DC",
        "max_voltage": 500, "max_amperage": 120, "max_power_w": 60_000, "tariffs": [tariff],
    }  # fmt: skip
    evse = {
        "number": 1, "uid": f"{cpo_identity}-1", "evse_id": f"IN*CPO*E{number:05d}1",
        "connectors": [connector],
    }  # fmt: skip
    return {
        "id": cpo_identity, "location": f"Site-{number}",
        "password": f"canary-charger-{cpo_identity}", "evses": [evse],
    }  # fmt: skip


def _tariffs() -> list[Json]:
    def component(dimension: str, price: str) -> Json:
        return {"dimension": dimension, "price": price, "taxes": TAXES}

    mixed = [component("energy", "20.00"), component("time", "600.00"), component("flat", "5.00")]
    return [
        {
            "id": "DC-18", "currency": "INR", "basis": "gross", "taxes": TAXES,
            "price_per_kwh": "18.00",
        },
        {"id": "MIXED", "currency": "INR", "elements": [{"components": mixed}]},
        {
            "id": "LIMITED", "currency": "INR", "taxes": TAXES, "price_per_kwh": "15.00",
            "min_price": {"net": "10.00", "gross": "11.80"},
        },
        {"id": "FREE", "currency": "INR", "elements": [{"components": [component("flat", "0")]}]},
    ]  # fmt: skip


@asynccontextmanager
async def seeded(
    folder: Path, version: str = "2.2.1", party: str = "EMP"
) -> AsyncIterator[tuple[Product, Emsp]]:
    """A product whose partner *party* has charged at every site, each under another tariff."""
    chargers = [
        _charger(f"CS-{number:05d}", number, tariff)
        for number, tariff in enumerate(("DC-18", "MIXED", "LIMITED"))
    ]
    topology = {
        "locations": [_site(number) for number in range(SITES)],
        "chargers": chargers,
        "tariffs": _tariffs(),
    }
    async with product(folder, chargers=SITES, topology=topology) as cpo:
        emsp = await cpo.partner(party, version=version)
        for number in range(SITES):
            await charged(cpo, emsp, number)
        yield cpo, emsp


async def charged(cpo: Product, emsp: Emsp, number: int) -> Json:
    """One whole session at charger *number*; returns its bill."""
    station = await cpo.station(number)
    token = emsp.tokens.add(f"CARD{number}")
    reference = f"REF-{number}"
    command = await emsp.start_session(
        f"Site-{number}", cpo.uid(number), token=token, authorization_reference=reference
    )
    assert (command.answer, await command.result()) == ("ACCEPTED", "ACCEPTED")
    await station.session_started()
    uid = token["uid"]

    def mine() -> Json | None:
        sessions = emsp.store.sessions.values()
        return next((s for s in sessions if s["cdr_token"]["uid"] == uid and s["kwh"] > 0), None)

    session = await emsp.wait_for(mine, 15)
    stop = await emsp.stop_session(session["id"])
    assert (stop.answer, await stop.result()) == ("ACCEPTED", "ACCEPTED")
    await station.session_finished()
    return await emsp.wait_for(lambda: emsp.cdr_of(session["id"]), 15)
