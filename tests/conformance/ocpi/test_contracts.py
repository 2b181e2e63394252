"""Contract ids as tokens (Plug & Charge), with real charger sockets: C3-07, C3-08."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.emsp.tokens import Script
from simulators.station.simulator import StationSimulator
from tests.conformance.ocpi.hubs import ANN, Arrival, Hub, hub, token_of
from tests.flow.product import fault_free, product
from tests.flow.test_ocpi_versions import VERSIONS
from tests.flow.test_product_hub import joined

TYPES = {"2.1.1": "OTHER", "2.2.1": "OTHER", "2.3.0": "EMAID"}


async def charged(station: StationSimulator, emaid: str) -> None:
    """A car presents its contract, charges for a moment and leaves."""
    assert await station.start_local(id_tag=emaid, token_type="eMAID", limit_wh=30) is not None
    await station.session_started()
    await station.session_finished()


@pytest.mark.parametrize("emaid", ["IN-EMP-CA2B3C4D5-N", "INEMPCA2B3C4D5N"])
@pytest.mark.parametrize("version", VERSIONS)
async def test_c3_07_and_08_the_provider_is_found_in_the_id_asked_and_billed_alone(
    tmp_path: Path, version: str, emaid: str
) -> None:
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner(version=version, versions=VERSIONS)
        other = await cpo.partner("EM2", version=version, versions=VERSIONS)
        emsp.tokens.add(emaid, type=TYPES[version], contract_id=emaid)  # and does not tell us
        station = await cpo.station(version="2.0.1")
        await charged(station, emaid)
        [asked] = emsp.tokens.asked
        assert (asked.uid, asked.type) == (emaid, TYPES[version])
        [cdr] = await emsp.wait_for(lambda: list(emsp.store.cdrs.values()))
        [session] = emsp.store.sessions.values()
        assert not other.tokens.asked and not other.store.sessions and not other.store.cdrs
        if version != "2.1.1":  # which says only whose contract it is
            for each in (session, cdr):
                said = each["cdr_token"]
                assert (said["uid"], said["type"]) == (emaid, TYPES[version])
        fault_free(emsp)
        fault_free(other)


async def test_c3_08_a_no_and_a_provider_that_is_not_here_are_a_no(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner(version="2.3.0", versions=VERSIONS)
        emsp.tokens.scripts["IN-EMP-CA2B3C4D5"] = Script("BLOCKED")
        station = await cpo.station(version="2.0.1")
        for emaid in ("IN-EMP-CA2B3C4D5", "DE-8AA-CA2B3C4D5"):
            assert await station.start_local(id_tag=emaid, token_type="eMAID") is None
        assert [each.uid for each in emsp.tokens.asked] == ["IN-EMP-CA2B3C4D5"]


async def test_c3_07_a_contract_that_was_pushed_all_the_same_counts(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner(version="2.3.0", versions=VERSIONS)
        token = emsp.tokens.add("IN-EMP-CA2B3C4D5", type="EMAID", whitelist="ALWAYS")
        await emsp.push_token(token)
        station = await cpo.station(version="2.0.1")
        await charged(station, token["uid"])
        [cdr] = await emsp.wait_for(lambda: list(emsp.store.cdrs.values()))
        assert cdr["cdr_token"]["type"] == "EMAID"
        assert not emsp.tokens.asked


async def test_c3_08_a_provider_behind_a_hub_is_asked_through_it_by_name(tmp_path: Path) -> None:
    emaid = "NL-ANN-CA2B3C4D5-N"
    async with product(tmp_path) as cpo, hub() as new:
        await joined(cpo, new)
        named = token_of(ANN, emaid) | {"type": "OTHER", "whitelist": "NEVER"}
        new.allowed[emaid] = (ANN, {"allowed": "ALLOWED", "token": named})
        station = await cpo.station(version="2.0.1")
        await charged(station, emaid)
        [asked] = _asked(new)
        assert (asked.to, asked.query) == (ANN, {"type": "OTHER"})
        await new.until(lambda: new.pushed("cdrs"))
        [bill] = new.pushed("cdrs")
        assert (bill.to, bill.body["cdr_token"]["uid"]) == (ANN, emaid)


def _asked(new: Hub) -> list[Arrival]:
    return [each for each in new.arrivals if each.path.endswith("/authorize")]
