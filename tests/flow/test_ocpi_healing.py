"""Push that heals: told again by command, how a partner does, what it would not take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from cms.app.ports import Page, PartnerHealth, SyncState
from cms.domain.errors import Conflict, InvalidValue, NotFound
from cms.domain.status import ConnectorReport
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi.world import EMP, EVSE, OTHER, SITE, World, running, until_kept


@pytest.fixture
async def cpo() -> AsyncIterator[World]:
    async with running(
        request_timeout=timedelta(seconds=0.5), backoff_cap=timedelta(seconds=1.5)
    ) as world:
        await world.small_network()
        yield world


@pytest.fixture
async def emsp(cpo: World) -> AsyncIterator[Emsp]:
    async with Emsp() as partner:
        await cpo.connect(partner)
        await partner.wait_for(lambda: partner.store.locations)
        yield partner


async def health(cpo: World) -> PartnerHealth:
    return await cpo.service.partner_health(EMP)


async def synced(cpo: World, module: str) -> SyncState:
    """Wait until a sync is done."""
    async with asyncio.timeout(5):
        while True:
            states = {each.module: each for each in (await health(cpo)).syncs}
            if module in states and states[module].done:
                return states[module]
            await asyncio.sleep(0.005)


async def delivered(cpo: World, id: str) -> None:
    async def such() -> list[str]:
        kept = await cpo.store.delivery(EMP, "cdr", id)
        return [kept.state] if kept is not None and kept.state == "delivered" else []

    await until_kept(such)


# -- told again


@pytest.mark.parametrize("module", ["locations", "tariffs", "sessions"])
async def test_one_module_is_told_again_and_no_other(cpo: World, emsp: Emsp, module: str) -> None:
    session = await cpo.session()
    await emsp.wait_for(lambda: emsp.store.sessions)
    copies = getattr(emsp.store, module)
    before = dict(copies)
    copies.clear()
    seen = len(emsp.arrivals)
    await cpo.service.sync(EMP, "test", module)
    state = await synced(cpo, module)
    assert (state.total > 0, state.by) == (True, "test")
    assert set(copies) == set(before)
    told = {each.module for each in emsp.arrivals[seen:]}
    assert told == {module}, told
    assert session.id
    assert not emsp.complaints


async def test_a_sync_of_bills_sends_what_the_partner_may_lack_and_nothing_twice(
    cpo: World, emsp: Emsp
) -> None:
    there = await cpo.settle(await cpo.session())
    await emsp.wait_for(lambda: emsp.store.cdrs)
    await delivered(cpo, there.id)
    fault = emsp.faults.add(Fault(Kind.OCPI, "cdrs", "POST", status_code=2001))
    refused = await cpo.settle(await cpo.session())
    await until_kept(lambda: cpo.store.deliveries(EMP, "parked"))
    emsp.faults.clear()
    await cpo.service.sync(EMP, "test", "cdrs")
    await emsp.wait_for(lambda: len(emsp.store.cdrs) == 2)
    await synced(cpo, "cdrs")
    assert fault.hits == 1
    assert [each.object_id for each in emsp.pushes("cdrs")] == [there.id, refused.id, refused.id]
    assert set(emsp.store.cdr_copies.values()) == {1}
    assert (await health(cpo)).parked == 0


async def test_a_sync_brings_nothing_from_before_the_registration(cpo: World) -> None:
    await cpo.settle(await cpo.session())
    async with Emsp() as emsp:
        await cpo.connect(emsp)
        await emsp.wait_for(lambda: emsp.store.locations)
        await cpo.service.sync(EMP, "test")
        for module in ("tariffs", "locations", "sessions", "cdrs"):
            await synced(cpo, module)
        assert not emsp.pushes("sessions") and not emsp.pushes("cdrs")


async def test_a_sync_survives_a_restart_and_repeats_no_bill() -> None:
    async with Emsp() as emsp:
        async with running(request_timeout=timedelta(seconds=0.5)) as first:
            await first.small_network()
            await first.connect(emsp)
            bill = await first.settle(await first.session())
            await emsp.wait_for(lambda: emsp.store.cdrs)
            await delivered(first, bill.id)
            emsp.faults.add(Fault(Kind.HTTP, "locations", http=503))
            emsp.store.locations.clear()
            await first.service.sync(EMP, "test")
        emsp.faults.clear()
        async with running(first.store) as again:
            await emsp.wait_for(lambda: emsp.store.locations)
            for module in ("tariffs", "locations", "sessions", "cdrs"):
                await synced(again, module)
        assert [each.object_id for each in emsp.pushes("cdrs")] == [bill.id]


async def test_tokens_are_read_again_by_the_same_command(cpo: World, emsp: Emsp) -> None:
    await cpo.service.sync(EMP, "test", "tokens")
    await synced(cpo, "tokens")
    asked = [each for each in emsp.arrivals if each.module == "tokens" and each.method == "GET"]
    assert len(asked) == 2  # at the registration, and now


async def test_wrong_wishes_are_refused(cpo: World, emsp: Emsp) -> None:
    with pytest.raises(InvalidValue, match="locations"):
        await cpo.service.sync(EMP, "test", "hats")
    with pytest.raises(NotFound):
        await cpo.service.sync(OTHER, "test")
    link = cpo.service.connections.get(EMP)
    assert link is not None
    fewer = tuple(each for each in link.endpoints if each.module != "cdrs")
    await cpo.service.connections.save(replace(link, endpoints=fewer))
    with pytest.raises(Conflict, match="takes no cdrs"):
        await cpo.service.sync(EMP, "test", "cdrs")
    await emsp.unregister()
    with pytest.raises(Conflict, match="not registered"):
        await cpo.service.sync(EMP, "test")


# -- how it does


async def test_lag_is_the_number_and_the_age_of_what_the_partner_has_not_seen(
    cpo: World, emsp: Emsp
) -> None:
    async def quiet() -> list[int]:
        return [1] if (await health(cpo)).lag == 0 else []

    await until_kept(quiet)
    assert (await health(cpo)).oldest_unseen_at is None
    await emsp.go_down()
    sessions = [await cpo.session() for _ in range(60)]  # more than one reading of the feed
    first = await cpo.store.session(sessions[0].id)
    await cpo.report(EVSE, ConnectorReport.CHARGING)
    now = await health(cpo)
    assert first is not None
    assert now.unseen["sessions"] == 60
    assert now.unseen["locations"] >= 1
    assert now.oldest_unseen_at == first.last_updated
    await emsp.come_back()
    await emsp.wait_for(lambda: len(emsp.store.sessions) == 60)
    await until_kept(quiet)


async def test_requests_of_the_last_hour_are_counted_by_module_and_end(
    cpo: World, emsp: Emsp
) -> None:
    emsp.faults.add(Fault(Kind.OCPI, "sessions", status_code=2001, times=1))
    emsp.faults.add(Fault(Kind.HTTP, "sessions", http=502, times=1))
    await cpo.session()
    await until_kept(lambda: cpo.store.deliveries(EMP, "parked"))
    await cpo.session()
    await emsp.wait_for(lambda: emsp.store.sessions)

    async def counted() -> list[int]:
        ended = (await health(cpo)).requests.get("sessions", {})
        return [1] if ended == {"delivered": 1, "refused": 1, "unclear": 1} else []

    await until_kept(counted)
    now = await health(cpo)
    assert now.requests["tokens"] == {"delivered": 1}
    assert now.version == "2.2.1" and now.state == "connected"
    assert now.last_success_at is not None and now.tokens_renewed_at is not None


# -- what it would not take


async def test_parked_objects_show_why_and_the_last_answer(cpo: World, emsp: Emsp) -> None:
    emsp.faults.add(Fault(Kind.OCPI, "cdrs", "POST", status_code=2001))
    bill = await cpo.settle(await cpo.session())
    await until_kept(lambda: cpo.store.deliveries(EMP, "parked"))
    [found] = await cpo.service.parking.of(EMP)
    assert (found.kind, found.key, found.attempts) == ("cdr", bill.id, 1)
    assert "2001" in found.why
    assert found.last is not None and b"2001" in found.last.answer
    emsp.faults.clear()
    await cpo.service.parking.retry(EMP, "cdr", bill.id, "key:7")
    await emsp.wait_for(lambda: emsp.store.cdrs)
    await delivered(cpo, bill.id)
    assert await cpo.service.parking.of(EMP) == []


async def test_a_dropped_bill_is_never_sent_again_and_the_audit_says_who(
    cpo: World, emsp: Emsp
) -> None:
    emsp.faults.add(Fault(Kind.OCPI, "cdrs", "POST", status_code=2001))
    bill = await cpo.settle(await cpo.session())
    await until_kept(lambda: cpo.store.deliveries(EMP, "parked"))
    await cpo.service.parking.drop(EMP, "cdr", bill.id, "key:7", "settled by letter")
    emsp.faults.clear()
    cpo.service.retry(EMP)
    await cpo.service.sync(EMP, "test", "cdrs")
    await synced(cpo, "cdrs")
    after = await cpo.settle(await cpo.session())
    await emsp.wait_for(lambda: emsp.store.cdrs)
    assert [each["id"] for each in emsp.store.cdrs.values()] == [after.id]
    [entry] = await cpo.store.audit(f"cdr:{bill.id}", Page())
    assert (entry.who, entry.what, entry.reason) == (
        "key:7",
        "delivery.dropped",
        "settled by letter",
    )
    items = await cpo.store.work_items(True, Page())
    assert not [each for each in items if each.subject == f"cdr:{bill.id}"]


async def test_only_what_is_parked_can_be_retried_or_dropped(cpo: World, emsp: Emsp) -> None:
    with pytest.raises(NotFound):
        await cpo.service.parking.retry(EMP, "location", SITE, "key:7")
    with pytest.raises(NotFound):
        await cpo.service.parking.drop(EMP, "cdr", "none", "key:7")
