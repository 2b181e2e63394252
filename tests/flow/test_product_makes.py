"""A charger of a difficult make: it charges, its bill adds up, and every repair is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.station import make
from tests.flow.product import Product, card, product
from tests.harness.server import parse_metrics

DAMAGED = [
    "numbers-as-strings", "wrong-enum-case", "times-without-zone", "nul-after-strings",
    "over-long-strings", "trailing-nul", "no-subprotocol",
]  # fmt: skip


async def repairs(cpo: Product) -> dict[str, float]:
    """How often each repair was made, by its catalogue number."""
    async with cpo.api.http.get(cpo.url("/metrics")) as answer:
        found = parse_metrics(await answer.text())
    return {
        name.split('"')[1]: count
        for name, count in found.items()
        if name.startswith("cms_repairs_total{")
    }


@pytest.mark.parametrize("quirks", [*([each] for each in DAMAGED), DAMAGED], ids=" ".join)
async def test_its_bill_adds_up(tmp_path: Path, quirks: list[str]) -> None:
    async with product(tmp_path) as cpo:
        station = await cpo.station(make=make(quirks))
        transaction = await station.start_local(id_tag=card())
        assert transaction is not None, "its card was not read"
        await station.session_started()
        await station.until(lambda: station.outlets[1].meter.wh - transaction.start_wh > 12)
        await station.stop_local()
        await station.session_finished()
        bill = await cpo.bill()
        assert bill["energy_wh"] == transaction.energy_wh
        session = await cpo.session()
        assert session["contract"] == "IN-CPO-C00000"
        assert [each for each in station.ledger.entries if each["kind"] == "callerror"] == []
        assert station.tap.invalid_answers == []
        charger = await cpo.charger()
        assert charger["vendor"] == "Simulated" or "over-long-strings" in quirks
        assert "\x00" not in str(charger)
        assert sum((await repairs(cpo)).values()) > 0, "no repair without its note"


async def test_kwh_that_no_profile_knows_of_are_not_billed_but_shown(tmp_path: Path) -> None:
    """Its registers say Wh and its samples kWh: a guess would be a wrong bill for somebody."""
    async with product(tmp_path) as cpo:
        station = await cpo.station(make=make(["kwh-without-unit"]))
        await station.start_local(id_tag=card())
        await station.session_started()
        await station.until(lambda: station.tap.frames[-1][0] == "<" and len(station.queue) == 0)
        await station.until(lambda: any("MeterValues" in text for _, text in station.tap.frames))
        await station.stop_local()
        await station.session_finished()
        item = await cpo.work("withheld_bill")
        assert "the register fell" in item["evidence"]["why"]
        assert (await cpo.api.get("/cdrs"))["total"] == 0


async def test_a_well_behaved_charger_needs_no_repair(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        station = await cpo.station()
        await station.start_local(id_tag=card())
        await station.session_started()
        await station.stop_local()
        await station.session_finished()
        await cpo.bill()
        assert await repairs(cpo) == {}
