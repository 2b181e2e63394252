"""Token groups, held with real charger sockets: A11, TK-12."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flow.product import VERSIONS, fault_free, product

both_versions = pytest.mark.parametrize("version", VERSIONS)

GROUPED = {"group_id": "FLEET-7", "whitelist": "ALLOWED"}


@both_versions
async def test_tk_12_another_card_of_the_group_stops_what_one_started_and_a_stranger_does_not(
    tmp_path: Path, version: str
) -> None:
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner()
        for uid, more in (("CAR-1", GROUPED), ("CAR-2", GROUPED), ("LONER", {})):
            await emsp.push_token(emsp.tokens.add(uid, **more))
        station = await cpo.station(version=version)
        assert await station.start_local(id_tag="CAR-1", limit_wh=None) is not None
        await station.session_started()
        assert station.transactions[0].group == "FLEET-7"
        assert not await station.stop_with("LONER")
        assert await station.stop_with("CAR-2")
        await station.session_finished()
        bill = await cpo.bill()
        assert bill["energy_wh"] == station.transactions[0].energy_wh
        [sent] = await emsp.wait_for(lambda: list(emsp.store.cdrs.values()))
        assert sent["cdr_token"]["uid"] == "CAR-1"  # who began it pays
        fault_free(emsp)


@both_versions
async def test_tk_12_a_card_of_the_group_stops_what_the_app_started(
    tmp_path: Path, version: str
) -> None:
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner()
        app = emsp.tokens.add("APP-1", type="APP_USER", **GROUPED)
        await emsp.push_token(emsp.tokens.add("CAR-2", **GROUPED))
        station = await cpo.station(version=version)
        started = await emsp.start_session("SITE-0", cpo.uid(), token=app)
        assert await started.result() == "ACCEPTED"
        await station.session_started()
        assert await station.stop_with("CAR-2")
        await station.session_finished()
        fault_free(emsp)


async def test_tk_12_a_group_longer_than_twenty_characters_is_left_out_for_1_6_never_cut(
    tmp_path: Path,
) -> None:
    async with product(tmp_path, chargers=2) as cpo:
        emsp = await cpo.partner()
        long = {**GROUPED, "group_id": "A-GROUP-OF-TWENTY-ONE"}
        await emsp.push_token(emsp.tokens.add("CAR-1", **long))
        for number, (version, group) in enumerate((("1.6", None), ("2.0.1", long["group_id"]))):
            station = await cpo.station(number, version)
            assert await station.start_local(id_tag="CAR-1") is not None
            await station.session_started()
            assert station.transactions[0].group == group
