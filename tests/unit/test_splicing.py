"""Bytes into which statuses were put are those of a site that was built whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cms.app.catalogue import Catalogue
from cms.app.live import LiveState
from cms.app.writes import Touched
from cms.domain.ids import EvseRef, EvseUid, LocationId, PartnerId, StationId, TariffId
from cms.domain.partner import Partner
from cms.domain.sharing import EVERYTHING, LiveStatus, Sharing
from cms.domain.status import ConnectorReport, EvseState, Presence
from cms.domain.tariff import Dimension, Element, PriceComponent, Tariff
from cms.domain.tariff_choice import TariffRule
from cms.domain.topology import Approval, ChargingStation, EvseParking, ParkingPlace
from ocpi_cpo import pages as module
from ocpi_cpo.pages import Network, Pages
from ocpi_cpo.past import Past
from ocpi_cpo.versions.dialect import Dialect
from ocpi_cpo.versions.offered import DIALECTS
from ocpi_cpo.wire import dumps
from tests.contract.samples import CHARGER, EVSE, LOCATION, MINUTE, NOW, SITE, TARIFF

PLAIN, PRICED = PartnerId("DE*PLA"), PartnerId("DE*PRI")
BLIND, LATE = PartnerId("DE*BLI"), PartnerId("DE*LAT")
SHARED = {
    PLAIN: EVERYTHING,
    PRICED: EVERYTHING,
    BLIND: Sharing(status=LiveStatus.HIDDEN),
    LATE: Sharing(status=LiveStatus.DELAYED, delay_minutes=2),
}
STATIONS = [StationId("CS1"), StationId("CS2"), StationId("CS3")]
REFS = [EvseRef(station, number) for station in STATIONS for number in (1, 2)]


def tariff(id: str, until: datetime | None = None) -> Tariff:
    element = Element((PriceComponent(Dimension.ENERGY, Decimal(20)),))
    return Tariff(TariffId(id), "INR", (element,), valid_to=until)


def station(id: StationId, standard: str = "IEC_62196_T2") -> ChargingStation:
    """Two EVSEs; one plug of the second has a standard that old versions do not know."""
    plug = EVSE.connectors[0]
    evses = tuple(
        replace(
            EVSE,
            ref=EvseRef(id, number),
            uid=EvseUid(f"{id}-{number}"),
            evse_id=f"IN*CPO*E{id}{number}",
            connectors=plugs,
        )
        for number, plugs in (
            (1, (plug,)),
            (2, (plug, replace(plug, number=2, standard=standard))),
        )
    )
    return replace(CHARGER, id=id, evses=evses, approval=Approval.APPROVED)


class World:
    """One site with two stations, and four partners who see it in their own ways."""

    def __init__(self) -> None:
        self.time = NOW
        self.catalogue, self.live = Catalogue(), LiveState()
        self.past = Past(self.live, self.clock)
        self.past.reach(SHARED[LATE].delay)
        self.catalogue.put_location(LOCATION)
        for own in STATIONS[:2]:
            self.catalogue.put_station(station(own, "MCS"))
        for each in (TARIFF, tariff("ENDS", NOW + 10 * MINUTE), tariff("OTHER"), tariff("OWN")):
            self.catalogue.tariffs[each.id] = each
        self.catalogue.rules["own"] = TariffRule("own", TariffId("OWN"), PRICED)
        for id, sharing in SHARED.items():
            self.catalogue.partners[id] = Partner(id, "P", sharing=sharing)
        self.faces = [Pages(self.network(dialect)) for dialect in DIALECTS.values()]

    def clock(self) -> datetime:
        return self.time

    def network(self, dialect: Dialect) -> Network:
        return Network(self.catalogue, self.live, dialect, (), self.clock, self.past)

    def touch(self, *refs: EvseRef, states: tuple[EvseState, ...] = ()) -> None:
        """What a commit tells: EVSEs if any, and the site."""
        self.time += timedelta(milliseconds=7)
        touched = [Touched("evse", str(ref), 0, self.time) for ref in refs]
        self.live.publish([*touched, Touched("location", SITE, 0, self.time)], states)
        for ref in refs:
            self.past.note(ref)

    # -- kinds of change

    def report(self, ref: EvseRef, number: int) -> None:
        before = replace(self.live.evse(ref), presence=Presence.ONLINE)
        said = list(ConnectorReport)[number % len(ConnectorReport)]
        self.touch(ref, states=(before.with_report(1, said),))

    def gone(self, ref: EvseRef, number: int) -> None:
        self.touch(ref, states=(self.live.evse(ref).with_presence(Presence.OFFLINE),))

    def life(self, ref: EvseRef, number: int) -> None:
        """It is planned, taken out for good, or in service (again)."""
        live, removed = ((True, False), (False, False), (True, True))[number % 3]
        self.touch(ref, states=(replace(self.live.evse(ref), live=live, removed=removed),))

    def touched_only(self, ref: EvseRef, number: int) -> None:
        self.touch()

    def prices(self, ref: EvseRef, number: int) -> None:
        partner = (None, PRICED)[number % 2]
        rule = TariffRule("r", TariffId(("OTHER", "ENDS")[number // 2 % 2]), partner, SITE)
        self.catalogue.rules["r"] = rule
        self.touch()

    def later(self, ref: EvseRef, number: int) -> None:
        """Time passes: a tariff may end, and what was delayed be told."""
        self.time += timedelta(minutes=number % 12)
        self.touch()

    def wait(self, ref: EvseRef, number: int) -> None:
        """Time passes without a word in the feed."""
        self.time += timedelta(seconds=number)

    def redefine(self, ref: EvseRef, number: int) -> None:
        own = self.catalogue.stations.get(ref.station)
        if own is None:
            return
        first = replace(
            own.evses[0],
            floor_level=str(number),
            parking=(EvseParking("P1"),) if number % 2 else (),
        )
        new = replace(own, evses=(first, *own.evses[1:]), changed_at=self.time)
        self.catalogue.put_station(new)
        self.touch(ref)

    def enrol(self, ref: EvseRef, number: int) -> None:
        """A station comes, or is not to be seen."""
        approval = (Approval.APPROVED, Approval.TESTING)[number % 2]
        standard = ("IEC_62196_T2", "MCS")[number // 2 % 2]
        self.catalogue.put_station(replace(station(STATIONS[2], standard), approval=approval))
        self.touch()

    def rename(self, ref: EvseRef, number: int) -> None:
        site = self.catalogue.locations[SITE]
        places = (ParkingPlace("P1", ("PERSONAL_CAR",), False, False),) if number % 2 else ()
        changed = replace(site, name=f"Mall {number}", parking_places=places, changed_at=self.time)
        self.catalogue.put_location(changed)
        self.touch()

    # -- what is read

    def compare(self) -> None:
        """Each version's bytes for each partner, against those that are built whole."""
        site = self.catalogue.locations[SITE]
        for face in self.faces:
            for partner in SHARED:
                kept = face.one(SITE, partner)
                whole = Pages(face.network).one(SITE, partner)
                assert kept.body == dumps(face.network.body(site, face.network.group(partner)))
                assert kept.body == whole.body
                assert kept.content == whole.content
                assert kept.statuses == whole.statuses
                assert kept.last_updated == whole.last_updated
                assert kept.made.parts is not None


CHANGES: list[Callable[[World, EvseRef, int], None]] = [
    World.report,
    World.report,
    World.report,
    World.gone,
    World.life,
    World.touched_only,
    World.prices,
    World.later,
    World.wait,
    World.redefine,
    World.enrol,
    World.rename,
]


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(CHANGES), st.sampled_from(REFS), st.integers(0, 11), st.booleans()
        ),
        min_size=1,
        max_size=10,
    )
)
def test_after_any_changes_the_bytes_are_those_of_a_site_built_whole(
    changes: list[tuple[Callable[[World, EvseRef, int], None], EvseRef, int, bool]],
) -> None:
    world = World()
    world.compare()
    for change, ref, number, read in changes:
        change(world, ref, number)
        if read:
            world.compare()
    world.compare()


@pytest.fixture(params=range(len(DIALECTS)), ids=list(DIALECTS))
def face(request: pytest.FixtureRequest) -> Iterator[tuple[World, Pages]]:
    world = World()
    world.report(REFS[0], 0)
    yield world, world.faces[request.param]


def test_a_status_is_put_into_the_bytes_that_are_there(face: tuple[World, Pages]) -> None:
    world, pages = face
    before = pages.one(SITE, PLAIN)

    world.report(REFS[0], 2)
    after = pages.one(SITE, PLAIN)

    assert after.made.parts is before.made.parts is not None
    assert after.body != before.body and b'"CHARGING"' in after.body
    assert after.content == before.content


def test_another_price_builds_the_site_anew_even_if_a_status_came_after_it(
    face: tuple[World, Pages],
) -> None:
    world, pages = face
    before = pages.one(SITE, PLAIN)

    world.prices(REFS[0], 0)
    world.report(REFS[0], 2)
    after = pages.one(SITE, PLAIN)

    assert after.made.parts is not before.made.parts
    assert b"OTHER" in after.body and b"OTHER" not in before.body


def test_what_one_partner_is_not_to_see_is_in_no_bytes_of_its(face: tuple[World, Pages]) -> None:
    world, pages = face
    for partner in SHARED:
        pages.one(SITE, partner)

    world.report(REFS[0], 2)

    assert b'"CHARGING"' in pages.one(SITE, PLAIN).body
    assert b'"CHARGING"' not in pages.one(SITE, BLIND).body
    assert b'"CHARGING"' not in pages.one(SITE, LATE).body
    world.time += 3 * MINUTE
    assert b'"CHARGING"' in pages.one(SITE, LATE).body


def test_that_an_evse_is_gone_for_good_is_news_for_who_sees_no_status(
    face: tuple[World, Pages],
) -> None:
    world, pages = face
    before = pages.one(SITE, BLIND)

    world.life(REFS[0], 2)
    world.time += MINUTE
    after = pages.one(SITE, BLIND)

    assert b"REMOVED" in after.body
    assert after.content != before.content
    assert after.last_updated > before.last_updated


def many(world: World, count: int) -> list[LocationId]:
    ids = [LocationId(f"S{number}") for number in range(count)]
    for number, id in enumerate(ids):
        world.catalogue.put_location(replace(LOCATION, id=id))
        world.catalogue.put_station(replace(station(StationId(f"X{number}")), location=id))
    return ids


async def test_others_have_their_turn_while_a_page_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what happens in such a turn is on the page, which is of one moment."""
    monkeypatch.setattr(module, "SLICE_SECONDS", 0.0)
    world = World()
    ids, pages = many(world, 20), world.faces[-1]
    preparing = asyncio.create_task(pages.prepare(ids, PLAIN))
    for _ in range(10):
        await asyncio.sleep(0)
        assert not preparing.done()
    ref, at = EvseRef(StationId("X0"), 1), world.time + MINUTE
    state = EvseState(ref, Presence.ONLINE).with_report(1, ConnectorReport.FAULTED)
    world.live.publish(
        [Touched("evse", str(ref), 0, at), Touched("location", ids[0], 0, at)], [state]
    )
    await preparing

    ready = pages.ready(ids, PLAIN)

    assert b"OUTOFORDER" in ready[0].body
    assert not any(b"OUTOFORDER" in each.body for each in ready[1:])
