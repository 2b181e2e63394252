"""What we send by ourselves: the push side of A6 to A9, and A16."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from cms.domain.ids import PartnerId, StationId, TariffId
from cms.domain.session import SessionStatus
from cms.domain.status import ConnectorReport
from cms.domain.tariff_choice import TariffRule
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi.world import (
    EMP,
    EVSE,
    OPERATOR,
    OTHER,
    SITE,
    World,
    shelf,
)
from tests.conformance.statements import reading


async def test_lo_05_a_new_site_is_put_whole(cpo: World, emsp: Emsp) -> None:
    site = emsp.history("locations", "IN", "CPO", SITE)
    assert [each.method for each in site] == ["PUT"]
    assert emsp.store.tariffs  # LO-21: its tariff came first
    order = [each.module for each in emsp.arrivals if each.method == "PUT"]
    assert order.index("tariffs") < order.index("locations")


async def test_lo_05_a_new_evse_is_told_with_its_site(cpo: World, emsp: Emsp) -> None:
    await cpo.add_station(StationId("CS2"))
    await emsp.wait_for(lambda: emsp.store.evse(("IN", "CPO", SITE), "CS2-1"))
    assert not emsp.complaints


async def test_lo_06_a_status_is_a_patch_of_two_fields(cpo: World, emsp: Emsp) -> None:
    await cpo.report(EVSE, ConnectorReport.CHARGING)
    patch = await emsp.wait_for(
        lambda: next((a for a in emsp.arrivals if a.method == "PATCH" and a.http), None)
    )
    assert patch.path.endswith("/locations/IN/CPO/PUNE-1/CS1-1")
    assert patch.body is not None
    assert set(patch.body) == {"status", "last_updated"}
    assert patch.body["status"] == "CHARGING"
    puts = [a for a in emsp.pushes("locations") if a.method == "PUT"]
    assert len(puts) == 1  # a status alone is no reason to send the site again


async def test_lo_08_a_removed_evse_is_pushed_as_removed(cpo: World, emsp: Emsp) -> None:
    station = cpo.catalogue.stations[EVSE.station]
    gone = tuple(replace(each, removed=True) for each in station.evses)
    await cpo.administration.put_station(replace(station, evses=gone), OPERATOR)

    def removed() -> bool:
        evse = emsp.store.evse(("IN", "CPO", SITE), "CS1-1")
        return evse is not None and evse["status"] == "REMOVED"

    await emsp.wait_for(removed)


@reading
async def test_lo_21_a_tariff_is_known_before_the_connector_that_shows_it(
    cpo: World, emsp: Emsp
) -> None:
    cheap = TariffId("CHEAP")
    await cpo.administration.put_tariff(shelf(cheap, "12.00"), OPERATOR)
    await cpo.administration.put_rule(TariffRule("r", cheap, location=SITE), OPERATOR)

    def shown() -> bool:
        evse = emsp.store.evse(("IN", "CPO", SITE), "CS1-1")
        return evse is not None and evse["connectors"][0]["tariff_ids"] == [cheap]

    await emsp.wait_for(shown)
    known = emsp.history("tariffs", "IN", "CPO", cheap)[0].monotonic
    assert known < emsp.history("locations", "IN", "CPO", SITE)[-1].monotonic


async def test_tr_24_a_patch_that_fails_is_repaired_by_a_put(cpo: World, emsp: Emsp) -> None:
    emsp.store.locations.clear()  # the partner lost it
    await cpo.report(EVSE, ConnectorReport.CHARGING)

    def whole() -> bool:
        evse = emsp.store.evse(("IN", "CPO", SITE), "CS1-1")
        return evse is not None and evse["status"] == "CHARGING"

    await emsp.wait_for(whole)
    methods = [each.method for each in emsp.pushes("locations")]
    assert methods == ["PUT", "PATCH", "GET", "PUT"]


async def test_se_02_to_05_sessions_are_full_puts_to_their_owner_only(
    cpo: World, emsp: Emsp
) -> None:
    async with Emsp(party_id="OTH") as other:
        await cpo.connect(other)
        session = await cpo.session(status=SessionStatus.PENDING)
        await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", session.id))
        await cpo.keep(replace(session, status=SessionStatus.ACTIVE))
        await emsp.wait_for(lambda: len(emsp.history("sessions", "IN", "CPO", session.id)) > 1)
        bill = await cpo.settle(session)
        await emsp.wait_for(lambda: emsp.store.cdrs)
        sent = emsp.history("sessions", "IN", "CPO", session.id)
        assert {each.method for each in sent} == {"PUT"}
        statuses = [each.body["status"] for each in sent if each.body]
        assert statuses == ["PENDING", "ACTIVE", "COMPLETED"]
        theirs = await cpo.session(OTHER)
        await other.wait_for(lambda: other.store.sessions)
        assert [each["id"] for each in other.store.sessions.values()] == [theirs.id]
        assert not other.store.cdrs
        assert [each["id"] for each in emsp.store.cdrs.values()] == [bill.id]
        assert not emsp.complaints + other.complaints


@reading
async def test_of_05_the_completed_session_comes_before_its_bill(cpo: World, emsp: Emsp) -> None:
    emsp.faults.add(Fault(Kind.SLOW, "sessions", seconds=0.2))  # a bill could overtake
    for _ in range(5):
        await cpo.settle(await cpo.session())
    await emsp.wait_for(lambda: len(emsp.store.cdrs) == 5)
    for bill in emsp.store.cdrs.values():
        session = emsp.history("sessions", "IN", "CPO", bill["session_id"])[-1]
        assert session.body is not None and session.body["status"] == "COMPLETED"
        posted = emsp.history("cdrs", "IN", "CPO", bill["id"])[0]
        assert session.monotonic < posted.monotonic
    assert not emsp.complaints


async def test_cd_02_and_03_a_bill_is_one_post_and_its_place_is_kept(
    cpo: World, emsp: Emsp
) -> None:
    bill = await cpo.settle(await cpo.session())
    await emsp.wait_for(lambda: emsp.store.cdrs)
    [post] = emsp.pushes("cdrs")
    assert (post.method, post.path) == ("POST", "/ocpi/2.2.1/cdrs")
    async with asyncio.timeout(5):
        while True:
            kept = await cpo.store.delivery(EMP, "cdr", bill.id)
            if kept is not None and kept.state == "delivered":
                break
            await asyncio.sleep(0.005)
    assert kept.place is not None and kept.place.startswith(emsp.base_url)
    exchanges = await cpo.store.exchanges(session=bill.session)
    assert {each.kind for each in exchanges} == {"session", "cdr"}
    secret = next(iter(emsp.connection.inbound)).encode()
    assert not [each for each in exchanges if secret in each.request + each.answer]


async def test_of_08_a_new_partner_hears_sessions_from_its_registration_on(cpo: World) -> None:
    await cpo.settle(await cpo.session())
    async with Emsp() as emsp:
        await cpo.connect(emsp)
        later = await cpo.session()
        await emsp.wait_for(lambda: emsp.store.sessions)
        assert [each["id"] for each in emsp.store.sessions.values()] == [later.id]
        assert not emsp.store.cdrs
        assert len(await emsp.pull("cdrs")) == 1  # what was before, it may pull


async def test_of_08_nothing_is_pushed_before_registration(cpo: World) -> None:
    async with Emsp() as emsp:
        await cpo.invite(PartnerId(str(emsp.us)))
        await cpo.session()
        await cpo.report(EVSE, ConnectorReport.CHARGING)
        assert not emsp.arrivals


async def test_a_new_registration_tells_locations_again_and_no_bill_twice(cpo: World) -> None:
    async with Emsp() as emsp:
        await cpo.connect(emsp)
        bill = await cpo.settle(await cpo.session())
        await emsp.wait_for(lambda: emsp.store.cdrs)
        await emsp.unregister()
        before = len(emsp.pushes("locations"))
        await cpo.connect(emsp)
        await emsp.wait_for(lambda: len(emsp.pushes("locations")) > before)
        after = await cpo.settle(await cpo.session())
        await emsp.wait_for(lambda: len(emsp.store.cdrs) == 2)
        assert [emsp.store.cdr_copies["IN", "CPO", id.upper()] for id in (bill.id, after.id)] == [
            1,
            1,
        ]
        posted = [each.object_id for each in emsp.pushes("cdrs")]
        assert posted == [bill.id, after.id]
