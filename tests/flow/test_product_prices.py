"""The price that was shown is the price that is billed, whatever changes in between."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from simulators.emsp import Emsp
from simulators.station import StationSimulator
from tests.flow.product import VERSIONS, Json, Product, card, evse_copy, fault_free, product

GST = [{"name": "CGST", "percent": "9"}, {"name": "SGST", "percent": "9"}]

both_versions = pytest.mark.parametrize("version", VERSIONS)


def price(id: str, per_kwh: str) -> Json:
    return {
        "id": id, "currency": "INR", "basis": "gross", "taxes": GST, "price_per_kwh": per_kwh,
    }  # fmt: skip


async def put(cpo: Product, path: str, body: Json) -> None:
    async with cpo.api.http.put(cpo.url(f"/api/v1{path}"), json=body) as answer:
        assert answer.status == 200, await answer.text()


async def set_price(cpo: Product, id: str, per_kwh: str, partner: str | None = None) -> None:
    """Make *id* the tariff of the only site: for everybody, or for one partner."""
    await put(cpo, f"/tariffs/{id}", price(id, per_kwh))
    rule: Json = {"id": f"rule-{id}", "tariff": id, "location": "SITE-0"}
    await put(cpo, f"/tariff-rules/rule-{id}", rule | ({"partner": partner} if partner else {}))


def shown(emsp: Emsp, cpo: Product) -> list[str]:
    """The tariff ids that the partner sees at the EVSE."""
    ids: list[str] = (evse_copy(emsp, cpo.uid()) or {"connectors": [{}]})["connectors"][0].get(
        "tariff_ids", []
    )
    return ids


async def begin(emsp: Emsp, cpo: Product, station: StationSimulator, reference: str) -> None:
    token = emsp.tokens.add("APP1", type="APP_USER")
    command = await emsp.start_session(
        "SITE-0", cpo.uid(), token=token, authorization_reference=reference
    )
    assert await command.result() == "ACCEPTED"
    await emsp.wait_for(lambda: (emsp.session(reference) or {"kwh": 0})["kwh"] > 0)


async def finish(emsp: Emsp, station: StationSimulator, reference: str) -> Json:
    await station.stop_local()
    session = emsp.session(reference)
    assert session is not None
    bill: Json = await emsp.wait_for(lambda: emsp.cdr_of(session["id"]))
    return bill


def gross(bill: Json) -> Decimal:
    total: Decimal = bill["total_cost"]["incl_vat"]
    return total


def due(bill: Json, per_kwh: str) -> Decimal:
    return (bill["total_energy"] * Decimal(per_kwh)).quantize(Decimal("0.01"))


@both_versions
async def test_a_session_keeps_the_price_that_it_started_with(tmp_path: Path, version: str) -> None:
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner()
        station = await cpo.station(version=version)
        await set_price(cpo, "SHELF", "40.00")
        await begin(emsp, cpo, station, "ref-1")
        await set_price(cpo, "SHELF", "90.00")
        first = await finish(emsp, station, "ref-1")
        assert abs(gross(first) - due(first, "40.00")) <= Decimal("0.01")

        await begin(emsp, cpo, station, "ref-2")
        second = await finish(emsp, station, "ref-2")
        assert abs(gross(second) - due(second, "90.00")) <= Decimal("0.01")
        assert first["tariffs"][0]["elements"] != second["tariffs"][0]["elements"]
        fault_free(emsp)


async def test_each_partner_sees_and_pays_its_own_price(tmp_path: Path) -> None:
    async with product(tmp_path, chargers=1) as cpo:
        first, second = await cpo.partner("EMP"), await cpo.partner("OTH")
        station = await cpo.station()
        await set_price(cpo, "CHEAP", "20.00", "IN*EMP")
        await set_price(cpo, "DEAR", "60.00", "IN*OTH")
        for emsp, id, per_kwh in ((first, "CHEAP", "20.00"), (second, "DEAR", "60.00")):
            await emsp.wait_for(lambda: shown(emsp, cpo) == [id])  # noqa: B023
            await begin(emsp, cpo, station, f"ref-{id}")
            bill = await finish(emsp, station, f"ref-{id}")
            assert [each["id"] for each in bill["tariffs"]] == [id]
            assert abs(gross(bill) - due(bill, per_kwh)) <= Decimal("0.01")
            fault_free(emsp)
        names = {each["id"] for each in first.store.tariffs.values()}
        assert "CHEAP" in names and "DEAR" not in names, "another partner's price is no news"

        assert await station.start_local(id_tag=card()) is not None
        await station.session_started(3)
        await cpo.until_told("/sessions?running=true", lambda all: all["sessions"][0]["energy_wh"])
        await station.stop_local()
        own = await cpo.bill((await cpo.session())["id"])
        assert own["tariffs"] == ["DC-18"]


@both_versions
async def test_what_was_pushed_as_the_price_is_what_is_billed(tmp_path: Path, version: str) -> None:
    """The partner recomputes the bill from the tariff that it was shown before the session."""
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner()
        station = await cpo.station(version=version)
        await set_price(cpo, "SHELF", "33.33")
        await emsp.wait_for(lambda: shown(emsp, cpo) == ["SHELF"])
        (pushed,) = [t for t in emsp.store.tariffs.values() if t["id"] == "SHELF"]
        await begin(emsp, cpo, station, "ref-1")
        bill = await finish(emsp, station, "ref-1")
        assert bill["tariffs"][0]["elements"] == pushed["elements"]
        assert bill["tariffs"][0].get("min_price") == pushed.get("min_price")
        assert emsp.recomputed[bill["id"]].agrees_with(bill["total_cost"])
        fault_free(emsp)


async def test_a_partner_in_a_price_book_is_shown_and_billed_the_marked_up_price(
    tmp_path: Path,
) -> None:
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner()
        station = await cpo.station()
        await set_price(cpo, "SHELF", "40.00")
        partners = await cpo.api.get("/partners")
        book = {"id": "ROAM", "percent": "10", "partners": [each["id"] for each in partners]}
        await put(cpo, "/price-books/ROAM", book)
        await emsp.wait_for(lambda: shown(emsp, cpo) == ["SHELF~ROAM"])
        await begin(emsp, cpo, station, "ref-1")
        bill = await finish(emsp, station, "ref-1")
        assert bill["tariffs"][0]["id"] == "SHELF~ROAM"
        assert abs(gross(bill) - due(bill, "44.00")) <= Decimal("0.01")


async def test_a_version_is_pushed_ahead_and_its_acknowledgement_is_seen(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner()
        await cpo.station()
        await set_price(cpo, "SHELF", "40.00")
        await emsp.wait_for(lambda: shown(emsp, cpo) == ["SHELF"])
        change = await cpo.api.post("/price-changes", {"tariff": price("SHELF", "50.00")})
        assert (change["id"], change["state"]) == ("SHELF~2", "scheduled")
        assert {each["after"] for each in change["effects"]} == {"SHELF~2"}

        async def acknowledged() -> bool:
            seen = await cpo.api.get("/price-changes/SHELF~2")
            return [each["acknowledged"] for each in seen["acknowledgements"]] == [True]

        while not await acknowledged():  # the push is on its way; the test's time limit ends it
            continue
        assert shown(emsp, cpo) == ["SHELF"]
        gone = await cpo.api.post("/price-changes/SHELF~2/rollback")
        assert gone["state"] == "withdrawn"
