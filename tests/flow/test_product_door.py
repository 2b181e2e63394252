"""Who is let in, who is not and why, and what an operator sees of either."""

from __future__ import annotations

import asyncio
import base64
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.flow.product import VERSIONS, Json, Product, card, product
from tests.harness.network import Network, password
from tests.harness.server import ROOT

ID = "CS-00000"


async def knock(
    cpo: Product, identity: str, user: str | None = None, secret: str | None = None, **more: Any
) -> ClientConnection:
    """Open a socket as *identity*, with *user* and *secret* as its Basic credentials."""
    basic = f"{identity if user is None else user}:{secret or password(ID)}".encode()
    return await connect(
        f"{cpo.network.ocpp_url}/{identity}",
        subprotocols=more.pop("subprotocols", ["ocpp1.6"]),
        additional_headers={"Authorization": f"Basic {base64.b64encode(basic).decode()}"},
        compression=None,
    )


async def status_of(knocking: Any) -> int:
    with pytest.raises(InvalidStatus) as refused:
        await knocking
    status: int = refused.value.response.status_code
    return status


async def last_refusal(cpo: Product) -> Json:
    found: list[Json] = await cpo.api.get("/refused-handshakes")
    return max(found, key=lambda each: each["at"])


async def cli(cpo: Product, *arguments: str) -> str:
    """Run ``cms`` on this network's config while its server runs here; returns its output."""
    cpo.network.write()
    return await run_cms(cpo.network, *arguments)


async def run_cms(network: Network, *arguments: str) -> str:
    """Run ``cms`` on *network*'s config file; returns its output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cms", *arguments, "--config", str(network.config_file),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT,
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def test_a_wrong_password_is_refused_and_the_operator_sees_it(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        assert await status_of(knock(cpo, ID, secret="canary-charger-CS-00001")) == 401
        told = await last_refusal(cpo)
        assert (told["identity"], told["source"]) == (ID, "127.0.0.1")
        assert told["reason"] == "401 wrong password"
        assert "canary" not in str(await cpo.api.get("/refused-handshakes"))
        shown = await cli(cpo, "chargers", "refused")
        assert ID in shown and "wrong password" in shown and "canary" not in shown


async def test_no_password_is_a_wrong_password(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        assert (
            await status_of(connect(f"{cpo.network.ocpp_url}/{ID}", subprotocols=["ocpp1.6"]))
            == 401
        )


async def test_a_user_name_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Its password would do, but the two names must be one."""
    async with product(tmp_path, chargers=2) as cpo:
        assert await status_of(knock(cpo, ID, user="CS-00001")) == 401
        assert "user name" in (await last_refusal(cpo))["reason"]


async def test_an_identity_is_the_same_whatever_its_case(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        socket = await knock(cpo, "cs-00000", user="Cs-00000")
        await cpo.until(lambda: cpo.evse().online)
        (charger,) = await cpo.api.get("/chargers")
        assert (charger["id"], charger["online"]) == (ID, True)
        await socket.close()


async def test_a_version_that_nobody_speaks_is_refused_by_name(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        assert await status_of(knock(cpo, ID, subprotocols=["ocpp0.9"])) == 400
        assert "ocpp0.9" in (await last_refusal(cpo))["reason"]


async def test_a_new_password_shuts_the_old_one_out(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        place = cpo.network.topology()["chargers"][0] | {"id": "API-1"}
        del place["password"]
        place["evses"][0] |= {"uid": "API-1-1", "evse_id": "IN*CPO*EAPI1"}
        async with cpo.api.http.put(cpo.url("/api/v1/chargers/API-1"), json=place) as answer:
            first = (await answer.json())["password"]
        socket = await knock(cpo, "API-1", secret=first)
        await socket.close()
        second = (await cpo.api.post("/chargers/API-1/password"))["password"]
        assert await status_of(knock(cpo, "API-1", secret=first)) == 401
        await (await knock(cpo, "API-1", secret=second)).close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_operator_sees_the_last_frames_of_a_charger(tmp_path: Path, version: str) -> None:
    async with product(tmp_path) as cpo:
        station = await cpo.station(version=version)
        await station.authorize(card())
        frames = await cpo.api.get(f"/chargers/{ID}/log")
        texts = [each["text"] for each in frames]
        assert any("BootNotification" in each for each in texts)
        assert any(card() in each for each in texts)
        assert {each["inbound"] for each in frames} == {True, False}
        shown = await cli(cpo, "chargers", "log", ID)
        assert "BootNotification" in shown and password(ID) not in shown
