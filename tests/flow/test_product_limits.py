"""A start with a limit is stopped in time; what passes the limit all the same is seen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from cms.app.remote import Asker, Refusal, StartWish
from cms.domain.ids import EvseRef, PartnerId, StationId
from cms.domain.session import Limit
from cms.domain.token import Token, TokenType, Whitelist
from simulators.station import StationSimulator
from tests.flow.product import STOPS, VERSIONS, Json, Product, card, fault_free, product

both_versions = pytest.mark.parametrize("version", VERSIONS)


@asynccontextmanager
async def one(folder: Path, version: str) -> AsyncIterator[tuple[Product, StationSimulator]]:
    """One charger of 60 kW: about 17 Wh, or 30 paise, a second."""
    async with product(folder) as cpo:
        yield cpo, await cpo.station(version=version)


async def start(cpo: Product, **limit: object) -> None:
    told = await cpo.api.post(f"/evses/{cpo.uid()}/start", {"token": card(), **limit})
    assert told["outcome"] == "accepted"


async def stopped_by_us(cpo: Product, station: StationSimulator, version: str) -> Json:
    """Wait for the end; returns the bill."""
    await station.session_finished(timeout=25)
    assert len(station.received_so_far(STOPS[version])) == 1
    bill = await cpo.bill()
    assert bill["energy_wh"] == station.transactions[0].energy_wh
    return bill


async def kept_its_limit(cpo: Product) -> None:
    session = await cpo.session()
    assert "overshot" not in session["flags"]
    assert await cpo.api.get("/work-items") == []


@both_versions
async def test_a_limit_of_energy(tmp_path: Path, version: str) -> None:
    async with one(tmp_path, version) as (cpo, station):
        await start(cpo, max_energy_wh=150)
        bill = await stopped_by_us(cpo, station, version)
        assert 30 <= bill["energy_wh"] <= 150
        await kept_its_limit(cpo)


@both_versions
async def test_a_limit_of_money(tmp_path: Path, version: str) -> None:
    async with one(tmp_path, version) as (cpo, station):
        await start(cpo, max_money="2.50")
        bill = await stopped_by_us(cpo, station, version)
        assert Decimal("0.50") <= Decimal(bill["total_gross"]) <= Decimal("2.50")
        await kept_its_limit(cpo)


@both_versions
async def test_a_limit_of_time(tmp_path: Path, version: str) -> None:
    async with one(tmp_path, version) as (cpo, station):
        await start(cpo, max_seconds=8)
        await stopped_by_us(cpo, station, version)
        await kept_its_limit(cpo)


async def test_a_limit_of_a_partners_session(tmp_path: Path) -> None:
    """OCPI 2.2.1 has no field for it; the core takes one for whoever starts."""
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner()
        station = await cpo.station()
        token = Token(
            PartnerId("IN*EMP"), "APP1", TokenType.APP_USER, "IN-EMP-C1", "them", True,
            Whitelist.NEVER,
        )  # fmt: skip
        wish = StartWish(
            EvseRef(StationId(cpo.network.identity(0)), 1),
            token,
            PartnerId("IN*EMP"),
            limit=Limit(energy_wh=150),
        )
        remote = cpo.server.parts.remote
        record = await remote.accept_start(wish, Asker("partner:IN*EMP"))
        assert not isinstance(record, Refusal)
        await remote.carry_out(record)
        await stopped_by_us(cpo, station, "1.6")
        (bill,) = await emsp.wait_for(lambda: list(emsp.store.cdrs.values()))
        assert bill["total_energy"] <= Decimal("0.150")
        fault_free(emsp)


@both_versions
async def test_a_charger_that_does_not_stop_is_seen_and_its_excess_is_told(
    tmp_path: Path, version: str
) -> None:
    async with one(tmp_path, version) as (cpo, station):
        station.answers[STOPS[version]] = "Rejected"
        await start(cpo, max_energy_wh=120)
        item = await cpo.work("stop_failed", timeout=20)
        assert item["evidence"]["answer"] == "rejected"
        begun = station.transactions[0].start_wh
        running = "/sessions?running=true"
        await cpo.until_told(running, lambda all: all["sessions"][0]["energy_wh"] > 140, 20)
        assert station.outlets[1].meter.wh - begun > 120, "the car still draws"
        await station.stop_local()
        over = await cpo.work("overshoot")
        session = await cpo.session()
        assert over["subject"] == f"session:{session['id']}"
        assert over["evidence"]["wh"] == station.transactions[0].energy_wh - 120
        assert "overshot" in session["flags"]
        assert (await cpo.bill())["energy_wh"] == station.transactions[0].energy_wh
