"""A whole charging session over OCPP 2.0.1, from the socket to the one bill in the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from cms.app.ports import CdrQuery
from cms.bootstrap import Running, running
from cms.config import Config
from cms.domain.cdr import Cdr
from tests.flow.gateway_fakes import Charger, charger

REGISTER = "Energy.Active.Import.Register"


def config_in(folder: Path) -> Config:
    connector = {
        "number": 1,
        "standard": "IEC_62196_T2_COMBO",
        "format": "CABLE",
        "power_type": "DC",
        "max_voltage": 500,
        "max_amperage": 120,
        "tariffs": ["T18"],
    }
    here = {"latitude": "12.97", "longitude": "77.64", "time_zone": "Asia/Kolkata"}
    return Config.model_validate(
        {
            "ocpp": {"host": "127.0.0.1", "port": 0},
            "http": {"host": "127.0.0.1", "port": 0, "operator_file": folder / "operator.json"},
            "database": {"url": f"sqlite:///{folder}/cms.db"},
            "locations": [
                {"id": "L", "name": "L", "address": "1", "city": "B", "country": "IND", **here}
            ],
            "chargers": [
                {
                    "id": "CS1",
                    "location": "L",
                    "auth": "none",
                    "approval": "approved",
                    "evses": [{"number": 1, "connectors": [connector]}],
                }
            ],
            "tariffs": [
                {
                    "id": "T18",
                    "currency": "INR",
                    "basis": "gross",
                    "taxes": [{"name": "GST", "percent": "18"}],
                    "price_per_kwh": "18.00",
                }
            ],
            "tokens": [
                {
                    "uid": "CARD1",
                    "type": "rfid",
                    "contract_id": "IN-CPO-C1",
                    "issuer": "us",
                    "valid": True,
                }
            ],
        }
    )


@asynccontextmanager
async def product(folder: Path, vendor: str, model: str) -> AsyncIterator[tuple[Running, Charger]]:
    async with running(config_in(folder)) as server:
        address = f"ws://127.0.0.1:{server.ocpp_port}/ocpp/"
        async with charger(address, "CS1", None, ["ocpp2.0.1"]) as client:
            station = {"vendorName": vendor, "model": model}
            boot = {"reason": "PowerUp", "chargingStation": station}
            assert (await client.call("BootNotification", boot))["status"] == "Accepted"
            yield server, client


def event(kind: str, seq: int, at: datetime, register: float, **more: Any) -> dict[str, Any]:
    when = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    context = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}.get(kind)
    sampled: dict[str, Any] = {"value": register, "measurand": REGISTER}
    if context:
        sampled["context"] = context
    return {
        "eventType": kind,
        "timestamp": when,
        "triggerReason": "Authorized",
        "seqNo": seq,
        "transactionInfo": {"transactionId": "T-1", "chargingState": "Charging"},
        "meterValue": [{"timestamp": when, "sampledValue": [sampled]}],
    } | more


async def charge(client: Charger, registers: list[float]) -> None:
    """Tell one session of a quarter of an hour between each two registers, ending now."""
    first = datetime.now(UTC) - timedelta(minutes=15 * (len(registers) - 1))
    last = len(registers) - 1
    start = {
        "evse": {"id": 1, "connectorId": 1},
        "idToken": {"idToken": "CARD1", "type": "ISO14443"},
    }
    for seq, register in enumerate(registers):
        kind = "Started" if seq == 0 else "Ended" if seq == last else "Updated"
        at = first + timedelta(minutes=15 * seq)
        more = start if seq == 0 else {}
        answer = await client.call("TransactionEvent", event(kind, seq, at, register, **more))
        expected = {"idTokenInfo": {"status": "Accepted"}} if seq == 0 else {}
        assert answer == expected


async def the_bill(server: Running) -> Cdr:
    async with asyncio.timeout(15):
        while True:
            found, _ = await server.parts.store.cdrs(CdrQuery())
            if found:
                assert len(found) == 1, "one session has one bill"
                return found[0].cdr
            await asyncio.sleep(0.05)  # nothing outside announces that a session is settled


async def test_a_session_becomes_one_bill_of_what_the_registers_say(tmp_path: Path) -> None:
    async with product(tmp_path, "ACME", "One") as (server, client):
        await charge(client, [1_000.0, 3_500.0, 8_777.4])
        bill = await the_bill(server)
    assert bill.energy_wh == 7_777
    assert bill.total.gross.amount == Decimal("139.99")  # 7.777 kWh x 18.00 = 139.986


async def test_a_family_that_labels_kwh_as_wh_is_billed_by_its_profile(tmp_path: Path) -> None:
    """Q-080: the same numbers mean a thousand times as much, because an approved profile says so."""
    async with product(tmp_path, "Example Charging", "KW-22") as (server, client):
        await charge(client, [100.0, 103.5, 107.777])
        bill = await the_bill(server)
        assert server.parts.gateway.notebook.stations["CS1"]["Q-080"] == 3
    assert bill.energy_wh == 7_777
