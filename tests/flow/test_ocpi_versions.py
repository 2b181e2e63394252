"""Three partners on three versions of OCPI at once, with real chargers behind: who hears what."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

from simulators.emsp import Emsp
from simulators.station import StationSimulator
from tests.flow.product import Json, Product, evse_copy, fault_free, product

VERSIONS = ("2.1.1", "2.2.1", "2.3.0")
PARTIES = {"2.1.1": "OLD", "2.2.1": "EMP", "2.3.0": "NEW"}


async def guests(cpo: Product) -> dict[str, tuple[Emsp, StationSimulator]]:
    """One partner per version, each with a charger that its driver will use."""
    found = {}
    for number, version in enumerate(VERSIONS):
        emsp = await cpo.partner(PARTIES[version], version=version, versions=VERSIONS)
        station = await cpo.station(number, "2.0.1" if number else "1.6")
        found[version] = (emsp, station)
    return found


async def drive(cpo: Product, number: int, emsp: Emsp, station: StationSimulator) -> Json:
    """Start by the app, charge for a moment, stop; returns the partner's copy of the bill."""
    reference = f"ref-{number}-{emsp.speech.version}"
    token = emsp.tokens.add(f"APP{number}{emsp.speech.version}", type="APP_USER")
    uid = cpo.uid(number)
    [site] = [
        each["id"]
        for each in emsp.store.locations.values()
        if uid in [evse["uid"] for evse in each.get("evses") or []]
    ]
    start = await emsp.start_session(site, uid, token=token, authorization_reference=reference)
    assert (start.answer, await start.result()) == ("ACCEPTED", "ACCEPTED")
    await station.session_started()
    session = await emsp.wait_for(lambda: emsp.session(reference))
    await emsp.wait_for(lambda: emsp.session(reference)["kwh"] > 0)
    stop = await emsp.stop_session(session["id"])
    assert (stop.answer, await stop.result()) == ("ACCEPTED", "ACCEPTED")
    await station.session_finished()
    return await emsp.wait_for(lambda: emsp.cdr_of(session["id"]))


async def test_three_versions_at_once_and_every_session_finds_its_owner_only(
    tmp_path: Path,
) -> None:
    async with product(tmp_path, chargers=3) as cpo:
        partners = await guests(cpo)
        bills = await asyncio.gather(
            *(drive(cpo, n, *partners[version]) for n, version in enumerate(VERSIONS))
        )
        for number, version in enumerate(VERSIONS):
            emsp, _ = partners[version]
            assert [each["id"] for each in emsp.store.cdrs.values()] == [bills[number]["id"]]
            assert len(emsp.store.sessions) == 1
            assert {each.path.split("/")[2] for each in emsp.pushes("cdrs")} == {version}
            fault_free(emsp)
            await as_billed(cpo, emsp, bills[number])
        for emsp, _ in partners.values():  # and all of them watch all chargers
            assert all(evse_copy(emsp, cpo.uid(number)) for number in range(3))


async def as_billed(cpo: Product, emsp: Emsp, seen: Json) -> None:
    """What the partner worked out by itself from what it was sent is our bill, net and gross."""
    ours = await cpo.bill(seen["session_id"])
    net, gross = Decimal(str(ours["total_net"])), Decimal(str(ours["total_gross"]))
    cost = emsp.recomputed[seen["id"]]
    assert cost.excl == net
    if emsp.speech.version != "2.1.1":  # which is told no tax
        assert cost.incl == gross


async def test_a_partner_grows_up_between_two_sessions_and_loses_nothing(tmp_path: Path) -> None:
    async with product(tmp_path, chargers=1) as cpo:
        emsp = await cpo.partner("OLD", version="2.1.1", versions=VERSIONS)
        station = await cpo.station(0)
        first = await drive(cpo, 0, emsp, station)
        sites, prices = len(emsp.pushes("locations")), len(emsp.pushes("tariffs"))
        for version in ("2.2.1", "2.3.0"):
            await emsp.update_credentials(version)
            await emsp.refresh("locations")  # as whoever has changed the version does
            await emsp.refresh("tariffs")
            await station.unplug()
            await emsp.wait_for(lambda: (evse_copy(emsp, cpo.uid()) or {})["status"] == "AVAILABLE")
            bill = await drive(cpo, 0, emsp, station)
            assert bill["id"] != first["id"]
            await as_billed(cpo, emsp, bill)
        assert len(emsp.store.cdrs) == 3
        assert set(emsp.store.cdr_copies.values()) == {1}
        again = [
            e.path.split("/")[2] for e in emsp.pushes("locations")[sites:] if e.method == "PUT"
        ]
        # Once the site changes it is told whole, in its new form; in 2.3.0 it has no other.
        assert again == ["2.2.1"]
        assert len(emsp.pushes("tariffs")) == prices  # what does not change is not told again
        fault_free(emsp)
