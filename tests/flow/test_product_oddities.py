"""Numbers and texts of 1.6 chargers that no charger should send: taken in, never believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flow.product import Product, card, product
from tests.harness.charger import plugged, stamp, start16, status16, stop16


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str | None:
    """Both databases: PostgreSQL refuses what SQLite takes."""
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.mark.parametrize("connector", [-1, 10_000, 10**18])
async def test_a_connector_that_cannot_be_changes_nothing(
    tmp_path: Path, database: str | None, connector: int
) -> None:
    async with product(tmp_path, database=database) as cpo, plugged(cpo.network) as client:
        await client.call("StatusNotification", status16("Available"))
        before = cpo.evse()
        assert await client.call("StatusNotification", status16("Faulted", connector)) == {}
        assert cpo.evse().status is before.status


@pytest.mark.parametrize("connector", [-1, 0, 10**18])
async def test_a_start_at_no_connector_is_kept_and_stopped(
    tmp_path: Path, database: str | None, connector: int
) -> None:
    async with product(tmp_path, database=database) as cpo, plugged(cpo.network) as client:
        start = start16(card(), 1_000, stamp(minutes=30), connector)
        number = (await client.call("StartTransaction", start))["transactionId"]
        assert await client.call("StopTransaction", stop16(number, 5_000, stamp())) == {}
        session = await cpo.session()
        assert session["energy_wh"] == 4_000
        assert session["evse"] in (0, 1), "the only EVSE, or none"


async def test_nul_in_free_text_reaches_no_column(tmp_path: Path, database: str | None) -> None:
    async with product(tmp_path, database=database) as cpo, plugged(cpo.network) as client:
        event = {"type": "Tamper\x00ed", "timestamp": stamp(), "techInfo": "lid\x00  "}
        assert await client.call("SecurityEventNotification", event) == {}
        item = await cpo.work("security")
        assert "\x00" not in str(item) and "lid" in str(item)
        status = status16("Faulted") | {"errorCode": "OtherError", "info": "E\x0042"}
        assert await client.call("StatusNotification", status) == {}
        error = await told_error(cpo)
        assert "E42" in error and "\x00" not in error


async def told_error(cpo: Product) -> str:
    charger = await cpo.charger()
    error: str = charger["evses"][0]["error"]
    return error
