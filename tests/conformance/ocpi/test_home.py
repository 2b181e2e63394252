"""Bills of charging at a driver's home, and bills that refer to an invoice (A8)."""

from __future__ import annotations

from dataclasses import replace

from cms.app.writes import PutCdr, Touch
from cms.domain.ids import LocationId
from ocpi_cpo.versions.offered import DIALECTS
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi.world import Asker, World, bill_of, now


async def test_cd_24_a_bill_of_a_home_says_so_and_a_home_need_not_be_published(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    session = await cpo.session()
    bill = bill_of(replace(session, ended_at=now()))
    home = replace(bill.place, location=LocationId("HOME"), home_charging=True)
    bill = replace(bill, place=home)
    done = await cpo.store.commit([PutCdr(bill), Touch("cdr", bill.id, bill.owner)])
    cpo.live.publish(done.touched)
    await emsp.wait_for(lambda: emsp.store.cdrs)
    [read] = (await ask("GET", "/2.2.1/cdrs")).data
    [pushed] = emsp.store.cdrs.values()
    for each in (read, pushed):
        assert each["home_charging_compensation"] is True
        assert each["cdr_location"]["id"] == "HOME"  # a place that no partner was ever sent
    assert "HOME" not in emsp.store.locations


async def test_cd_24_other_bills_and_older_versions_say_nothing_of_homes(cpo: World) -> None:
    session = await cpo.session()
    bill = bill_of(replace(session, ended_at=now()))
    home = replace(bill, place=replace(bill.place, home_charging=True))
    told = {version: each.cdr(home, now()) for version, each in DIALECTS.items()}
    name = "home_charging_compensation"
    assert [version for version in told if name in told[version]] == ["2.2.1", "2.3.0"]
    assert name not in DIALECTS["2.2.1"].cdr(bill, now())


async def test_cd_24_a_bill_carries_the_reference_of_its_invoice_in_2_2_and_later(
    cpo: World,
) -> None:
    session = await cpo.session()
    bill = replace(bill_of(replace(session, ended_at=now())), invoice_reference="I" * 39)
    told = {version: each.cdr(bill, now()) for version, each in DIALECTS.items()}
    found = {v: each["invoice_reference_id"] for v, each in told.items() if v != "2.1.1"}
    assert found == dict.fromkeys(("2.2", "2.2.1", "2.3.0"), "I" * 39)
    assert "invoice_reference_id" not in told["2.1.1"]
