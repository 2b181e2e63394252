"""Token groups, held with real charger sockets: A11, TK-12."""

from __future__ import annotations

from base64 import b32encode
from hashlib import sha256
from pathlib import Path

import pytest

from tests.flow.product import VERSIONS, fault_free, product

both_versions = pytest.mark.parametrize("version", VERSIONS)

GROUPED = {"group_id": "FLEET-7", "whitelist": "ALLOWED"}


def name_of(issuer: str, group: str) -> str:
    """Name a group as a charger must know it, after a start or a restart alike."""
    return b32encode(sha256(f"{issuer}\n{group}".encode()).digest()[:10]).decode()


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
        assert station.transactions[0].group == name_of("IN*EMP", "FLEET-7")
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


@both_versions
async def test_tk_12_groups_of_two_partners_with_one_name_are_two_groups(
    tmp_path: Path, version: str
) -> None:
    async with product(tmp_path) as cpo:
        mine, theirs = await cpo.partner(), await cpo.partner("EM2")
        for emsp, uid in ((mine, "MINE-1"), (mine, "MINE-2"), (theirs, "THEIRS-1")):
            await emsp.push_token(emsp.tokens.add(uid, **GROUPED))
        station = await cpo.station(version=version)
        assert await station.start_local(id_tag="MINE-1", limit_wh=None) is not None
        await station.session_started()
        assert not await station.stop_with("THEIRS-1")
        assert await station.stop_with("MINE-2")
        await station.session_finished()
        assert (await cpo.bill())["partner"] == "IN*EMP"
        assert not theirs.store.cdrs and not theirs.store.sessions
        fault_free(mine)
        fault_free(theirs)


@both_versions
async def test_tk_12_a_group_fits_a_charger_however_long_its_issuer_names_it(
    tmp_path: Path, version: str
) -> None:
    long = "A-GROUP-ID-OF-ALL-THE-36-CHARACTERS."
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner()
        for uid in ("CAR-1", "CAR-2"):
            await emsp.push_token(emsp.tokens.add(uid, **{**GROUPED, "group_id": long}))
        station = await cpo.station(version=version)
        assert await station.start_local(id_tag="CAR-1", limit_wh=None) is not None
        await station.session_started()
        assert station.transactions[0].group == name_of("IN*EMP", long)
        assert await station.stop_with("CAR-2")
        await station.session_finished()
