"""A partner is connected from either side, with the commands that docs/partners.md shows."""

from __future__ import annotations

from pathlib import Path

from simulators.emsp import Emsp
from tests.flow.product import Json, Product, fault_free, product
from tests.flow.test_product_door import cli
from tests.harness.server import parse_metrics

MOBILITY = ("--name", "Simulated Mobility")


async def state(cpo: Product) -> Json:
    found: Json = await cpo.api.get("/partners/IN*EMP")
    return found


async def test_a_partner_registers_with_us(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo, Emsp(country_code="IN", party_id="EMP") as emsp:
        told = await cli(cpo, "partners", "add", "IN*EMP", *MOBILITY)
        url, token = (told.split(f'"{name}": "')[1].split('"')[0] for name in ("url", "token"))
        assert url == f"{cpo.network.base}/ocpi/versions"
        await emsp.register(url, token)
        assert (await state(cpo))["state"] == "connected"
        assert token not in await cli(cpo, "partners", "show", "IN*EMP")
        await emsp.wait_for(lambda: emsp.store.locations)
        await emsp.wait_for(lambda: emsp.store.tariffs)
        fault_free(emsp)


async def test_we_register_with_a_partner(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo, Emsp(country_code="IN", party_id="EMP") as emsp:
        token = emsp.hand_out_token()
        await cli(
            cpo, "partners", "add", "IN*EMP", *MOBILITY, "--url", emsp.versions_url,
            "--token", token,
        )  # fmt: skip
        assert emsp.connection.registered and (await state(cpo))["state"] == "connected"
        await emsp.wait_for(lambda: emsp.store.locations)
        shown = await cli(cpo, "partners", "list")
        assert "IN*EMP" in shown and "connected" in shown
        fault_free(emsp)


async def test_a_partner_may_be_sent_everything_again_and_be_left(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner()
        await emsp.wait_for(lambda: emsp.pushes("tariffs") and emsp.pushes("locations"))
        emsp.store.locations.clear()
        await cli(cpo, "partners", "resync", "IN*EMP")
        await emsp.wait_for(lambda: emsp.store.locations)
        await cli(cpo, "partners", "remove", "IN*EMP")
        assert (await state(cpo))["state"] != "connected"
        fault_free(emsp)


async def test_a_partners_tokens_are_renewed_at_once(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner()
        before = emsp.connection.outbound
        await cli(cpo, "partners", "renew", "IN*EMP")
        assert emsp.connection.outbound != before
        assert await emsp.pull("locations")
        async with cpo.api.http.post(
            cpo.url("/api/v1/partners/IN*EMP/renew"), json={"version": "1.0"}
        ) as answer:
            assert answer.status == 400 and "version" in await answer.text()
        fault_free(emsp)


async def test_the_command_line_heals_a_partner(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner()
        await emsp.wait_for(lambda: emsp.pushes("tariffs") and emsp.pushes("locations"))
        emsp.store.tariffs.clear()
        told = await cli(cpo, "partners", "compare", "IN*EMP", "--module", "tariffs")
        assert "DC-18" in told and "put again" in told
        await emsp.wait_for(lambda: emsp.store.tariffs)
        emsp.store.locations.clear()
        told = await cli(cpo, "partners", "sync", "IN*EMP", "--module", "locations", "--wait")
        assert told.splitlines()[-1].startswith("locations: ") and told.endswith("done\n")
        assert emsp.store.locations
        shown = await cli(cpo, "partners", "show", "IN*EMP")
        assert "connected, OCPI 2.2.1" in shown and "locations: delivered" in shown
        assert "KEY" in await cli(cpo, "partners", "parked", "IN*EMP")
        figures = parse_metrics(await metrics(cpo))
        at = 'cms_partner_requests_total{class="delivered",module="locations",partner="IN*EMP"}'
        assert figures[at] >= 2
        assert figures['cms_partner_lag_changes{partner="IN*EMP"}'] == 0
        fault_free(emsp)


async def metrics(cpo: Product) -> str:
    async with cpo.api.http.get(cpo.url("/metrics")) as answer:
        return await answer.text()


async def test_private_addresses_are_refused_unless_the_config_allows_them(tmp_path: Path) -> None:
    strict = {"ocpi": {"allow_private_addresses": False}}
    async with (
        product(tmp_path, more=strict) as cpo,
        Emsp(country_code="IN", party_id="EMP") as emsp,
    ):
        body = {
            "id": "IN*EMP", "name": "Local", "url": emsp.versions_url,
            "token": emsp.hand_out_token(),
        }  # fmt: skip
        async with cpo.api.http.post(cpo.url("/api/v1/partners"), json=body) as answer:
            assert answer.status == 409, await answer.text()
        assert not emsp.connection.registered and emsp.arrivals == []
