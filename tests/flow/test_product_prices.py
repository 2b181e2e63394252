"""The price that was shown is the price that is billed, whatever changes in between."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from simulators.emsp import Emsp
from simulators.habits import QUICK_BACKOFF
from simulators.ledger import Ledger
from simulators.station import StationConfig, StationSimulator
from tests.flow.product import (
    CAPABILITIES,
    VERSIONS,
    Json,
    Product,
    card,
    evse_copy,
    fault_free,
    product,
)
from tests.harness.network import Network, password
from tests.harness.partners import register
from tests.harness.server import serving

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

        await emsp.wait_for(lambda: emsp.history("tariffs", "IN", "CPO", "SHELF~2"))
        await cpo.until_told(
            "/price-changes/SHELF~2",
            lambda seen: [each["acknowledged"] for each in seen["acknowledgements"]] == [True],
        )
        assert shown(emsp, cpo) == ["SHELF"]
        gone = await cpo.api.post("/price-changes/SHELF~2/rollback")
        assert gone["state"] == "withdrawn"


@both_versions
async def test_a_driver_who_prefers_another_tariff_pays_each_part_under_its_own(
    tmp_path: Path, version: str
) -> None:
    """On a real socket: the partner sees the switch while the car charges, it survives a crash of
    the process, and the partner's own sum is the bill."""
    able = (*CAPABILITIES, "CHARGING_PREFERENCES_CAPABLE")
    network = Network(tmp_path, 1, prefix="CS-", own_cards=False, capabilities=able)
    identity = network.identity(0)
    config = StationConfig(
        identity, network.ocpp_url, version, password(identity), power_w=60_000,
        sample_interval=0.4, backoff=QUICK_BACKOFF,
    )  # fmt: skip
    async with (
        serving(network) as server,
        Emsp(country_code="IN", party_id="EMP") as emsp,
        StationSimulator(config, Ledger()) as station,
    ):
        async with server.api() as api:
            await register(emsp, api)
            for id, per_kwh, kind in (("USUAL", "20.00", None), ("RUSH", "60.00", "profile_fast")):
                await api.put(f"/tariffs/{id}", price(id, per_kwh) | {"kind": kind})
                rule = {"id": id, "tariff": id, "location": "SITE-0"}
                await api.put(f"/tariff-rules/{id}", rule)
        await station.booted()
        await emsp.push_token(emsp.tokens.add("RFID-0"))
        assert await station.start_local(id_tag="RFID-0") is not None
        [session] = await emsp.wait_for(lambda: charging(emsp))
        assert (await emsp.prefer(session, profile_type="CHEAP")).data == (
            "PROFILE_TYPE_NOT_SUPPORTED"
        )
        assert (await emsp.prefer(session, profile_type="FAST")).data == "ACCEPTED"
        await emsp.wait_for(lambda: "RUSH" in priced_by(charging(emsp)))

        await server.kill()
        await station.until(lambda: not station.online)
        await server.start()
        await station.until(lambda: station.online)
        await station.stop_local()
        bill: Json = await emsp.wait_for(lambda: emsp.cdr_of(session["id"]), 30)
        assert [each["id"] for each in bill["tariffs"]] == ["USUAL", "RUSH"]
        assert list(dict.fromkeys(priced_by([bill]))) == ["USUAL", "RUSH"]
        kwh = {"USUAL": Decimal(0), "RUSH": Decimal(0)}
        for period in bill["charging_periods"]:
            for each in period["dimensions"]:
                if each["type"] == "ENERGY":
                    kwh[period["tariff_id"]] += each["volume"]
        assert all(kwh.values())
        expected = kwh["USUAL"] * 20 + kwh["RUSH"] * 60
        assert abs(gross(bill) - expected) <= Decimal("0.01")
        assert emsp.recomputed[bill["id"]].agrees_with(bill["total_cost"])
        fault_free(emsp)


def charging(emsp: Emsp) -> list[Json]:
    """The partner's copies of sessions that have delivered something."""
    return [each for each in emsp.store.sessions.values() if each["kwh"] > 0]


def priced_by(objects: list[Json]) -> list[str]:
    """The tariffs of the charging periods, in their order."""
    return [each["tariff_id"] for one in objects for each in one.get("charging_periods") or []]
