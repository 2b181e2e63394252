"""How a charger that nobody has described comes into the network, and how one leaves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from simulators.emsp import Emsp
from simulators.station import StationSimulator
from tests.flow.product import (
    STARTS,
    VERSIONS,
    Json,
    Product,
    card,
    evse_copy,
    fault_free,
    product,
)

SECRET = "lane-secret-0123456789"
NEW = "NEW-1"
UID = f"{NEW}*1"

both_versions = pytest.mark.parametrize("version", VERSIONS)


def lane(**more: Any) -> list[Json]:
    """One open lane to the only site; by its path secret unless *more* says otherwise."""
    until = datetime.now(UTC) + timedelta(hours=1)
    return [{"location": "SITE-0", "until": until, "secret": SECRET} | more]


async def newcomer(
    cpo: Product, identity: str = NEW, version: str = "1.6", *, secret: str | None = SECRET
) -> StationSimulator:
    """A charger that nobody has described, on its way in."""
    url = cpo.network.ocpp_url if secret is None else f"{cpo.network.ocpp_url}/{secret}"
    return await cpo.station(
        version=version, boots=False, identity=identity, url=url, password=None
    )


async def connected(cpo: Product, identity: str = NEW) -> Json:
    """Wait until the operator sees the charger online."""
    found = await cpo.until_told(
        "/chargers", lambda all: [each for each in all if each["id"] == identity and each["online"]]
    )
    charger: Json = next(each for each in found if each["id"] == identity)
    return charger


async def again(station: StationSimulator) -> None:
    """Let the charger come back, so that it asks for admission now and not in ten seconds."""
    await station.go_offline()
    station.go_online()


async def approve(cpo: Product, approval: str) -> Json:
    answer: Json = await cpo.api.post(f"/chargers/{NEW}/approval", {"approval": approval})
    return answer


async def boot_status(cpo: Product, station: StationSimulator) -> str:
    """What the last BootNotification was answered."""
    await station.until(lambda: any('"interval"' in text for way, text in station.tap.frames))
    text = [text for way, text in station.tap.frames if way == "<" and '"interval"' in text][-1]
    return text.split('"status":"')[1].split('"')[0]


def visible(emsp: Emsp, pulled: list[Json]) -> bool:
    """Whether the partner can know of the newcomer."""
    return evse_copy(emsp, UID) is not None or UID in str(pulled)


async def test_a_stranger_is_refused_and_leaves_no_trace_in_the_network(tmp_path: Path) -> None:
    async with product(tmp_path) as cpo:
        station = await newcomer(cpo, secret=None)
        await station.until(lambda: station.refusals != [])
        assert set(station.refusals) == {401}
        assert [each["id"] for each in await cpo.api.get("/chargers")] == ["CS-00000"]
        told = await cpo.api.get("/refused-handshakes")
        assert (told[0]["identity"], told[0]["reason"]) == (NEW, "401 unknown")


async def test_a_wrong_or_closed_lane_is_no_lane(tmp_path: Path) -> None:
    closed = lane(until=datetime.now(UTC) - timedelta(seconds=1))
    async with product(tmp_path, enrolment=closed) as cpo:
        late = await newcomer(cpo)
        wrong = await newcomer(cpo, "NEW-2", secret="lane-secret-0123456780")
        for station in (late, wrong):
            await station.until(lambda: station.refusals != [])  # noqa: B023
            assert set(station.refusals) == {401}
        assert len(await cpo.api.get("/chargers")) == 1


@both_versions
@pytest.mark.parametrize("how", ["path", "address"])
async def test_a_newcomer_waits_unseen_until_somebody_looks(
    tmp_path: Path, version: str, how: str
) -> None:
    doors = lane() if how == "path" else lane(secret=None, networks=["127.0.0.0/8"])
    async with product(tmp_path, enrolment=doors) as cpo:
        emsp = await cpo.partner()
        station = await newcomer(cpo, version=version, secret=SECRET if how == "path" else None)
        charger = await connected(cpo)
        assert charger["approval"] == "pending" and charger["site"] == "SITE-0"
        assert await boot_status(cpo, station) == "Pending"
        assert not visible(emsp, await emsp.pull("locations"))
        (row,) = await cpo.api.get(f"/audit?subject=charger:{NEW}")
        assert row["what"] == "charger.enrolled"
        fault_free(emsp)


@both_versions
async def test_a_newcomer_is_tested_then_approved_and_only_then_seen(
    tmp_path: Path, version: str
) -> None:
    async with product(tmp_path, enrolment=lane()) as cpo:
        emsp = await cpo.partner()
        station = await newcomer(cpo, version=version)
        await connected(cpo)

        await approve(cpo, "testing")
        await again(station)
        await station.booted()
        await station.statuses_sent()
        told = await cpo.api.post(f"/evses/{UID}/start", {"token": card()})
        assert told["outcome"] == "accepted"
        await station.session_started()
        assert len(station.received_so_far(STARTS[version])) == 1
        running = f"/sessions?charger={NEW}"
        await cpo.until_told(running, lambda found: found["sessions"][0]["energy_wh"] > 0)
        await station.stop_local()
        await station.session_finished()
        found = await cpo.until_told(running, lambda all: all["sessions"][0]["ended_at"])
        assert found["sessions"][0]["energy_wh"] == station.transactions[0].energy_wh
        copy = evse_copy(emsp, UID)
        assert copy is None or copy["status"] == "PLANNED", "a charger under test is not in service"

        await approve(cpo, "approved")
        await emsp.wait_for(lambda: (evse_copy(emsp, UID) or {}).get("status") == "AVAILABLE")
        assert visible(emsp, await emsp.pull("locations"))
        fault_free(emsp)


async def test_a_partner_cannot_start_a_charger_under_test(tmp_path: Path) -> None:
    async with product(tmp_path, enrolment=lane()) as cpo:
        emsp = await cpo.partner()
        station = await newcomer(cpo)
        await connected(cpo)
        await approve(cpo, "testing")
        await again(station)
        await station.booted()
        token = emsp.tokens.add("APP1", type="APP_USER")
        command = await emsp.start_session("SITE-0", UID, token=token)
        assert command.answer != "ACCEPTED"
        assert station.received_so_far(STARTS["1.6"]) == []


async def test_an_approved_newcomer_keeps_its_door_until_it_gets_a_password(tmp_path: Path) -> None:
    """Approval must not lock a charger out that has nothing but the lane's secret yet."""
    async with product(tmp_path, enrolment=lane()) as cpo:
        station = await newcomer(cpo)
        await connected(cpo)
        await approve(cpo, "approved")
        await again(station)
        await station.booted()
        drawn = (await cpo.api.post(f"/chargers/{NEW}/password"))["password"]
        await again(station)
        await station.until(lambda: 401 in station.refusals)
        with_password = await cpo.station(boots=False, identity=NEW, password=drawn)
        await with_password.booted()


async def test_the_list_of_newcomers_is_bounded(tmp_path: Path) -> None:
    async with product(tmp_path, enrolment=lane(most=2)) as cpo:
        for number in (1, 2):
            await newcomer(cpo, f"NEW-{number}")
            await connected(cpo, f"NEW-{number}")
        third = await newcomer(cpo, "NEW-3")
        await third.until(lambda: third.refusals != [])
        assert set(third.refusals) == {403}
        assert "NEW-3" not in {each["id"] for each in await cpo.api.get("/chargers")}
        await cpo.api.post("/chargers/NEW-1/approval", {"approval": "rejected"})
        await connected(cpo, "NEW-3")


@both_versions
@pytest.mark.parametrize("word", ["rejected", "removed"])
async def test_a_charger_that_is_put_out_loses_its_socket_and_does_not_come_back(
    tmp_path: Path, version: str, word: str
) -> None:
    async with product(tmp_path, enrolment=lane()) as cpo:
        emsp = await cpo.partner()
        station = await newcomer(cpo, version=version)
        await connected(cpo)
        await approve(cpo, "approved")
        await again(station)
        await station.booted()
        await emsp.wait_for(lambda: evse_copy(emsp, UID))
        await approve(cpo, word)
        await station.until(lambda: not station.online and 403 in station.refusals)
        assert not (await cpo.api.get(f"/chargers/{NEW}"))["online"]
        await emsp.wait_for(lambda: (evse_copy(emsp, UID) or {}).get("status") == "REMOVED")
        assert visible(emsp, await emsp.pull("locations")), "an EVSE never vanishes from a list"
        fault_free(emsp)


async def test_a_charger_that_is_taken_back_into_test_stays_known_and_is_not_in_service(
    tmp_path: Path,
) -> None:
    async with product(tmp_path, enrolment=lane()) as cpo:
        emsp = await cpo.partner()
        station = await newcomer(cpo)
        await connected(cpo)
        await approve(cpo, "approved")
        await again(station)
        await station.booted()
        await emsp.wait_for(lambda: (evse_copy(emsp, UID) or {}).get("status") == "AVAILABLE")
        await approve(cpo, "testing")
        await emsp.wait_for(lambda: (evse_copy(emsp, UID) or {}).get("status") == "PLANNED")
        await approve(cpo, "approved")
        await emsp.wait_for(lambda: (evse_copy(emsp, UID) or {}).get("status") == "AVAILABLE")
        fault_free(emsp)


@pytest.mark.parametrize("word", ["rejected", "removed"])
async def test_a_newcomer_that_is_sent_away_was_never_seen(tmp_path: Path, word: str) -> None:
    async with product(tmp_path, enrolment=lane()) as cpo:
        emsp = await cpo.partner()
        station = await newcomer(cpo)
        await connected(cpo)
        await approve(cpo, word)
        await station.until(lambda: 403 in station.refusals)
        assert not visible(emsp, await emsp.pull("locations"))
        fault_free(emsp)
