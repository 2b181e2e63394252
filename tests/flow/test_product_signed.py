"""What a charger's meter signs reaches the partner's bill as it came, in both versions of OCPP."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import pytest

from simulators.emsp import Emsp
from simulators.station.quirks import Make, SigningMeter
from tests.flow.product import VERSIONS, Json, Product, fault_free, product


async def drive(cpo: Product, version: str, meter: SigningMeter) -> tuple[Emsp, Json]:
    """Charge by a partner's app at a charger with *meter*; returns the partner's bill."""
    emsp = await cpo.partner()
    station = await cpo.station(0, version, make=Make((meter,)))
    [place] = emsp.store.locations.values()
    token = emsp.tokens.add("APP1", type="APP_USER")
    uid = place["evses"][0]["uid"]
    start = await emsp.start_session(place["id"], uid, token=token, authorization_reference="r1")
    assert (start.answer, await start.result()) == ("ACCEPTED", "ACCEPTED")
    await station.session_started()
    session = await emsp.wait_for(lambda: emsp.session("r1"))
    await emsp.wait_for(lambda: emsp.session("r1")["kwh"] > 0)
    path = f"/sessions/{session['id']}/invoice-reference"
    await cpo.api.put(path, {"reference": "INV-2026/7"})
    stop = await emsp.stop_session(session["id"])
    assert (stop.answer, await stop.result()) == ("ACCEPTED", "ACCEPTED")
    await station.session_finished()
    bill = await emsp.wait_for(lambda: emsp.cdr_of(session["id"]))
    fault_free(emsp)
    return emsp, bill


@pytest.mark.parametrize("version", VERSIONS)
async def test_signed_values_reach_the_bill_as_they_came(tmp_path: Path, version: str) -> None:
    meter = SigningMeter()
    async with product(tmp_path) as cpo:
        _, bill = await drive(cpo, version, meter)
        told = bill["signed_data"]
        assert told["encoding_method"] == "OCMF"
        assert told.get("public_key") == ("QUJDabc=" if version == "2.0.1" else None)
        values = told["signed_values"]
        assert [each["nature"] for each in values] == ["Start", "End"]
        assert [b64decode(each["signed_data"]).decode() for each in values] == meter.signed
        assert all(
            f"|{each['plain_data']}|" in text
            for each, text in zip(values, meter.signed, strict=True)
        )
        assert bill["total_energy"] > 0
        assert bill["invoice_reference_id"] == "INV-2026/7"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_signature_of_8000_characters_costs_nobody_anything(
    tmp_path: Path, version: str
) -> None:
    meter = SigningMeter(padding=8_000)
    async with product(tmp_path) as cpo:
        _, bill = await drive(cpo, version, meter)
        assert "signed_data" not in bill and bill["total_energy"] > 0
        assert "2 signed meter values do not fit" in bill["remark"]
        assert "signed_left_out" in (await cpo.session())["flags"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_broken_signature_never_costs_the_reading_beside_it(
    tmp_path: Path, version: str
) -> None:
    async with product(tmp_path) as cpo:
        _, bill = await drive(cpo, version, SigningMeter(broken=True))
        assert "signed_data" not in bill and bill["total_energy"] > 0
