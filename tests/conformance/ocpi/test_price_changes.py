"""Prices that change by the clock, over HTTP, with a clock that the test holds: what each partner
was shown is what it is billed, before the hour, at it and after a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cms.app.ports import Frame, Visit
from cms.app.pricing import Pricing
from cms.domain.derived import Markup, PriceBook
from cms.domain.ids import LocationId, StationId, TariffId
from cms.domain.price_change import PriceChange, Unacknowledged
from cms.domain.session import Session
from cms.domain.status import ConnectorReport
from cms.domain.tariff import Dimension, Element, PriceComponent, Restrictions, Tariff
from cms.domain.transaction import EventKind, TransactionEvent
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi import world
from tests.conformance.ocpi.world import (
    EMP,
    EVSE,
    OPERATOR,
    SHELF,
    STATION,
    Asker,
    World,
    shelf,
    token,
)
from tests.conformance.statements import reading, statement

Json = dict[str, Any]


class Hand:
    """A clock that runs, and that the test sets ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def to(self, at: datetime) -> None:
        self.ahead = at - datetime.now(UTC)


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    hand = Hand()
    tomorrow = (hand() + timedelta(days=1)).date()
    hand.to(datetime.combine(tomorrow, time(10), UTC))  # 15:30 in Kolkata
    monkeypatch.setattr(world, "now", hand)
    return hand


@pytest.fixture
async def cpo(hand: Hand) -> AsyncIterator[World]:
    async with world.running() as cpo:
        await cpo.small_network()
        yield cpo


def pricing_of(cpo: World, hand: Hand) -> Pricing:
    return Pricing(cpo.store, cpo.catalogue, cpo.live, hand)


async def begin(cpo: World, hand: Hand, visit: Visit) -> Session:
    content = f"begin {hand()}".encode()
    event = TransactionEvent(
        EventKind.STARTED, hand(), hand(), content, evse=1, connector=1,
        id_token=token().uid, register_wh=1000,
    )  # fmt: skip
    before = {each.id for each in cpo.live.sessions()}
    await cpo.desk.transaction(Frame(visit, "Start", content, hand(), content), None, event)
    [session] = [each for each in cpo.live.sessions() if each.id not in before]
    return session


async def finish(cpo: World, hand: Hand, visit: Visit, session: Session, emsp: Emsp) -> Json:
    """It ends after an hour with 10 kWh; returns the bill as the partner has it."""
    content = f"end {session.id}".encode()
    at = session.started_at + timedelta(hours=1)
    event = TransactionEvent(EventKind.ENDED, at, hand(), content, evse=1, register_wh=11_000)
    frame = Frame(visit, "End", content, hand(), content)
    await cpo.desk.transaction(frame, session.transaction, event)
    await cpo.settling.settle_due()
    bill: Json = await emsp.wait_for(lambda: emsp.cdr_of(session.id))
    assert emsp.recomputed[bill["id"]].agrees_with(bill["total_cost"])
    return bill


def gross(bill: Json) -> Decimal:
    found: Decimal = bill["total_cost"]["incl_vat"]
    return found


def shown_ids(emsp: Emsp) -> list[str]:
    [location] = emsp.store.locations.values()
    found: list[str] = location["evses"][0]["connectors"][0]["tariff_ids"]
    return found


def copy_of(emsp: Emsp, id: str) -> Json | None:
    return next((each for each in emsp.store.tariffs.values() if each["id"] == id), None)


# ---------------------------------------------------------------- one price only


def evening() -> Tariff:
    """18 a kWh, 30 from four in the afternoon."""
    dear = PriceComponent(Dimension.ENERGY, Decimal("30.00"))
    peak = Element((dear,), Restrictions(start_time=time(16), end_time=time(22)))
    own = shelf()
    return replace(own, elements=(peak, *own.elements))


@reading
@statement("TA-08")
async def test_a_reader_of_one_price_is_billed_what_it_was_shown_at_the_start(hand: Hand) -> None:
    """It is pushed one element, another one at the border; what it last took survives a restart."""
    async with Emsp() as emsp:
        async with world.running() as cpo:
            pushed = await _one_price(cpo, emsp)
            visit = await cpo.desk.connected(STATION, "", "1.6")
            whole = await begin(cpo, hand, visit)  # over the border, by the price of its start
            assert gross(await finish(cpo, hand, visit, whole, emsp)) == Decimal("180.00")
        hand.ahead += timedelta(minutes=45)  # 16:15, and nobody has told the partner
        async with world.running(cpo.store) as again:
            await pricing_of(again, hand).load()
            visit = await again.desk.connected(STATION, "", "1.6")
            late = await begin(again, hand, visit)
            await again.service.borders.look()
            await emsp.wait_for(lambda: copy_of(emsp, pushed["id"]) != pushed)
            bill = await finish(again, hand, visit, late, emsp)
            assert gross(bill) == Decimal("180.00"), "what it was shown, not what holds"
            assert bill["tariffs"][0]["elements"] == pushed["elements"]
            hand.ahead += timedelta(hours=1)
            dear = await begin(again, hand, visit)
            assert gross(await finish(again, hand, visit, dear, emsp)) == Decimal("300.00")
        assert not emsp.cost_differences


async def _one_price(cpo: World, emsp: Emsp) -> Json:
    """A partner that reads one price only has registered; returns what it was pushed."""
    await cpo.small_network()
    await cpo.service.borders.look()
    emsp.tokens.add(token().uid)
    await cpo.connect(emsp)
    single = replace(cpo.catalogue.partners[EMP], switches=(("headline_tariff", "true"),))
    await cpo.administration.put_partner(single, OPERATOR)
    await cpo.administration.put_tariff(evening(), OPERATOR)
    await cpo.administration.put_token(token(), OPERATOR)
    [id] = await emsp.wait_for(lambda: _single(emsp))
    pushed = copy_of(emsp, id)
    assert pushed is not None
    [element] = pushed["elements"]
    assert "restrictions" not in element
    return pushed


def _single(emsp: Emsp) -> list[str]:
    return [each["id"] for each in emsp.store.tariffs.values() if "~now" in each["id"]]


# ---------------------------------------------------------------- at the hour


async def schedule(cpo: World, hand: Hand, price: str) -> PriceChange:
    pricing = pricing_of(cpo, hand)
    at = hand() + timedelta(hours=1)
    change, version = pricing.version(shelf(price=price), at, Unacknowledged.KEEP, OPERATOR)
    return await pricing.schedule(change, version, OPERATOR)


@reading
@statement("TA-07")
async def test_a_new_price_is_pushed_ahead_named_at_its_hour_and_taken_back(
    hand: Hand, cpo: World
) -> None:
    async with Emsp() as emsp:
        await cpo.connect(emsp)
        await emsp.wait_for(lambda: emsp.store.locations)
        await cpo.service.borders.look()  # notes how far it has looked
        change = await schedule(cpo, hand, "25.00")
        new = await emsp.wait_for(lambda: copy_of(emsp, change.tariff))
        assert new["id"] == f"{SHELF}~2"
        assert shown_ids(emsp) == [SHELF]
        await cpo.administration.put_token(token(), OPERATOR)
        visit = await cpo.desk.connected(STATION, "", "1.6")
        before = await begin(cpo, hand, visit)
        hand.ahead += timedelta(hours=1, minutes=1)
        bill = await finish(cpo, hand, visit, before, emsp)
        assert gross(bill) == Decimal("180.00")
        await cpo.service.borders.look()
        await emsp.wait_for(lambda: shown_ids(emsp) == [change.tariff])
        after = await begin(cpo, hand, visit)
        bill = await finish(cpo, hand, visit, after, emsp)
        assert (gross(bill), bill["tariffs"][0]["id"]) == (Decimal("250.00"), change.tariff)

        back = await pricing_of(cpo, hand).rollback(
            change.id, OPERATOR, hand() + timedelta(minutes=5)
        )
        await emsp.wait_for(lambda: copy_of(emsp, back.tariff))
        hand.ahead += timedelta(hours=2)
        await cpo.service.borders.look()
        await emsp.wait_for(lambda: shown_ids(emsp) == [back.tariff])
        last = await begin(cpo, hand, visit)
        assert gross(await finish(cpo, hand, visit, last, emsp)) == Decimal("180.00")
        assert not emsp.complaints and not emsp.cost_differences


@reading
@statement("TA-07")
async def test_a_partner_that_has_not_taken_the_new_price_is_shown_and_billed_the_old_one(
    hand: Hand, cpo: World
) -> None:
    async with Emsp() as emsp:
        await cpo.connect(emsp)
        await emsp.wait_for(lambda: emsp.store.locations)
        await cpo.service.borders.look()  # notes how far it has looked
        fault = emsp.faults.add(Fault(Kind.OCPI, "tariffs", "PUT", status_code=2000))
        change = await schedule(cpo, hand, "25.00")
        await emsp.wait_for(lambda: fault.hits)
        hand.ahead += timedelta(hours=1, minutes=1)
        await cpo.service.borders.look()
        await cpo.administration.put_token(token(), OPERATOR)
        visit = await cpo.desk.connected(STATION, "", "1.6")
        session = await begin(cpo, hand, visit)
        assert shown_ids(emsp) == [SHELF]
        assert copy_of(emsp, change.tariff) is None
        bill = await finish(cpo, hand, visit, session, emsp)
        assert (gross(bill), bill["tariffs"][0]["id"]) == (Decimal("180.00"), SHELF)
        emsp.faults.clear(fault)
        hand.ahead += timedelta(hours=2)  # so long after the hour the operator has it tried again
        await cpo.service.parking.retry(EMP, "tariff", change.tariff, "operator")
        await emsp.wait_for(lambda: shown_ids(emsp) == [change.tariff])
        after = await begin(cpo, hand, visit)
        assert gross(await finish(cpo, hand, visit, after, emsp)) == Decimal("250.00")


def test_the_next_border_is_waited_for_and_not_found_by_chance(hand: Hand, cpo: World) -> None:
    """Waking every so often would show a price late by as much."""
    borders = cpo.service.borders
    assert 14 < borders.pause() <= 15.1
    for seconds, expected in ((30, 15), (5, 5)):
        ends = hand() + timedelta(seconds=seconds)
        tariff = replace(shelf(TariffId("ENDS")), valid_to=ends)
        cpo.catalogue.tariffs[tariff.id] = tariff
        assert expected - 1 < borders.pause() <= expected + 0.1


async def test_ta_03_a_partner_that_enters_or_leaves_a_price_book_sees_connectors_change_first(
    cpo: World, emsp: Emsp, hand: Hand
) -> None:
    """The new tariff, then every site that shows it, and only then the old one is taken back."""
    await cpo.add_site(LocationId("MUMBAI-1"))
    await cpo.add_station(StationId("CS7"), LocationId("MUMBAI-1"))
    await emsp.wait_for(lambda: len(emsp.store.locations) == 2)
    pricing = pricing_of(cpo, hand)
    book = PriceBook("ROAM", Markup(Decimal(10)), frozenset({EMP}))
    [old] = {id for site in emsp.store.locations.values() for id in shown_in(site)}

    seen = len(emsp.arrivals)
    await pricing.put_book(book, OPERATOR)
    [new] = await ordered(emsp, seen, gone=old)
    assert new != old
    put = [
        each for each in emsp.arrivals[seen:] if (each.method, each.module) == ("PUT", "tariffs")
    ]
    assert len(put) == 1

    seen = len(emsp.arrivals)
    await pricing.drop_book(book.id, OPERATOR)
    assert await ordered(emsp, seen, gone=new) == [old]
    assert not emsp.complaints


@statement("TA-03")
async def test_the_order_holds_when_the_partner_was_away_meanwhile(
    cpo: World, emsp: Emsp, hand: Hand
) -> None:
    [old] = {id for site in emsp.store.locations.values() for id in shown_in(site)}
    await emsp.go_down()
    book = PriceBook("ROAM", Markup(Decimal(10)), frozenset({EMP}))
    await pricing_of(cpo, hand).put_book(book, OPERATOR)
    await cpo.report(EVSE, ConnectorReport.CHARGING)
    seen = len(emsp.arrivals)
    await emsp.come_back()
    await Asker(cpo.base, emsp.connection.outbound)("GET", "/versions")
    await ordered(emsp, seen, gone=old)


def shown_in(site: dict[str, Any]) -> set[str]:
    """The tariffs that a site's connectors show."""
    return {
        id
        for evse in site["evses"]
        for plug in evse["connectors"]
        for id in plug.get("tariff_ids") or ()
    }


async def ordered(emsp: Emsp, seen: int, gone: str) -> list[str]:
    """Return what sites show once *gone* was taken back: once, and after all of them changed."""

    def deleted() -> list[int]:
        return [
            at
            for at, each in enumerate(emsp.arrivals)
            if at >= seen and (each.method, each.module, each.http) == ("DELETE", "tariffs", 200)
        ]

    [at] = await emsp.wait_for(deleted)
    assert emsp.arrivals[at].path.endswith(f"/{gone}")
    taken = [each for each in emsp.arrivals[seen:at] if each.http in (200, 201) and each.body]
    put = [each.module for each in taken if each.method == "PUT"]
    assert put.index("tariffs") < put.index("locations")  # the new one before it is shown
    told = {each.object_id for each in taken if (each.module, each.method) == ("locations", "PUT")}
    assert len(told) == len(emsp.store.locations)
    shows = {id for site in emsp.store.locations.values() for id in shown_in(site)}
    assert gone not in shows
    return sorted(shows)
