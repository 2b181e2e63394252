"""What a CPO shares is the CPO's choice: every answer and every push to partners of differing sharing.

Partners on every version see one site of three, and one of two tariffs. Whatever happens in the
network, nothing of the rest may stand in any answer to them or in anything that is pushed to them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from cms.app.ports import Page
from cms.domain.ids import EvseRef, LocationId, PartnerId, StationId, TariffId
from cms.domain.partner import Partner
from cms.domain.sharing import EVERYTHING, LiveStatus, Sharing
from cms.domain.status import ConnectorReport
from cms.domain.tariff_choice import TariffRule
from cms.domain.token import TokenType
from cms.domain.topology import Business
from ocpi_cpo.connections import Endpoint
from ocpi_cpo.registration import TakeOver
from simulators.emsp.connection import Party
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi import world
from tests.conformance.ocpi.test_tokens_authorize import wire
from tests.conformance.ocpi.world import (
    EMP,
    EVSE,
    OPERATOR,
    SHELF,
    SITE,
    Asker,
    Heard,
    World,
    now,
    running,
    shelf,
    until,
)

MALL, YARD = LocationId("MALL-2"), LocationId("YARD-3")
HIDDEN_TARIFF = TariffId("SECRET-9")
FOREIGN = ("MALL-2", "YARD-3", "CSM", "CSY", "SECRET-9", "The mall")
"""What must stand in nothing that a partner of one site reads or hears."""

ONE_SITE = Sharing(frozenset({SITE}), tariffs=frozenset({SHELF}))
OUR_TOKEN = "taken-over-{}-0123456789"
VERSIONS = {"2.1.1": "OLD", "2.2": "TWO", "2.2.1": "EMP", "2.3.0": "NEW"}


@dataclass(slots=True)
class Guest:
    """A partner on one version; ``emsp`` takes its pushes."""

    version: str
    id: PartnerId
    emsp: Emsp
    ask: Asker

    def told(self) -> str:
        """Everything that ever reached it, as text."""
        return "\n".join(f"{each.path} {each.body}" for each in self.emsp.arrivals)


@asynccontextmanager
async def guests(cpo: World, sharing: Sharing) -> AsyncIterator[list[Guest]]:
    """A partner of each version, taken over with its sharing set before it hears anything."""
    async with AsyncExitStack() as stack:
        found = []
        for version, party in VERSIONS.items():
            spoken = "2.2.1" if version == "2.2" else version
            emsp = await stack.enter_async_context(Emsp(party_id=party, version=spoken))
            found.append(await taken_over(cpo, emsp, version, sharing))
        yield found


async def taken_over(cpo: World, emsp: Emsp, version: str, sharing: Sharing) -> Guest:
    id = PartnerId(f"IN*{emsp.us.party_id}")
    token, ours = emsp.hand_out_token(), OUR_TOKEN.format(emsp.us.party_id)
    emsp.connection.inbound, emsp.connection.parties = {token}, [Party("IN", "CPO")]
    ends = [("locations", "RECEIVER"), ("tariffs", "RECEIVER"), ("sessions", "RECEIVER")]
    ends += [("cdrs", "RECEIVER"), ("tokens", "SENDER"), ("commands", "SENDER")]
    given = TakeOver(
        emsp.versions_url,
        version,
        token,
        ours,
        tuple(Endpoint(module, role, emsp.url(module)) for module, role in ends),
    )
    await cpo.service.adopt(
        Partner(id, str(id), allow_private_addresses=True, sharing=sharing), given, "test"
    )
    return Guest(version, id, emsp, Asker(cpo.base, ours))


@asynccontextmanager
async def network(**config: Any) -> AsyncIterator[World]:
    async with running(**config) as cpo:
        await cpo.small_network()
        await cpo.administration.put_tariff(shelf(HIDDEN_TARIFF, "99.00"), OPERATOR)
        await cpo.add_site(MALL, owner=Business("The mall"))
        await cpo.add_site(YARD)
        await cpo.add_station(StationId("CSM"), MALL)
        await cpo.add_station(StationId("CSY"), YARD)
        rule = TariffRule("secret", HIDDEN_TARIFF, location=MALL)
        await cpo.administration.put_rule(rule, OPERATOR)
        both = TariffRule("both", HIDDEN_TARIFF, location=SITE)
        await cpo.administration.put_rule(both, OPERATOR)
        yield cpo


def lists() -> Iterator[str]:
    for module in ("locations", "tariffs", "sessions", "cdrs"):
        for query in (
            "date_from=2020-01-01T00:00:00Z",
            "date_from=2020-01-01T00:00:00Z&offset=0&limit=1",
            "date_from=2020-01-01T00:00:00Z&date_to=2100-01-01T00:00:00Z",
            "date_from=2020-01-01T00:00:00Z&offset=1&limit=1000",
        ):
            yield f"/{module}?{query}"
    yield from ("/locations", "/tariffs", "/locations?limit=1", "/tariffs?offset=1", "/cdrs")


def singles() -> Iterator[str]:
    for site, station in ((MALL, "CSM"), (YARD, "CSY")):
        yield f"/locations/{site}"
        yield f"/locations/{site.lower()}"
        yield f"/locations/{site}/{station}-1"
        yield f"/locations/{site}/{station}-1/1"
        yield f"/locations/{SITE}/{station}-1"
    yield f"/tariffs/{HIDDEN_TARIFF}"
    yield f"/tariffs/IN/CPO/{HIDDEN_TARIFF}"


def leaks(answer: Heard) -> list[str]:
    said = f"{answer.envelope} {dict(answer.headers)}"
    return [mark for mark in FOREIGN if mark in said]


async def heard(cpo: World, guest: Guest) -> None:
    """Wait until *guest* has heard all that it will hear of what happened so far."""
    session = await cpo.session(guest.id)
    await guest.emsp.wait_for(lambda: session.id in guest.told())
    worker = cpo.service.lines.worker(guest.id)
    assert worker is not None
    await until(lambda: not any(each.waiting or each.flying for each in worker._streams))


async def everything_happens(cpo: World) -> None:
    """Each kind of event, at shared and at other sites."""
    for station in ("CS1", "CSM", "CSY"):
        await cpo.report(EvseRef(StationId(station), 1), ConnectorReport.CHARGING)
        await cpo.report(EvseRef(StationId(station), 1), ConnectorReport.FREE)
        await cpo.vanish(EvseRef(StationId(station), 1))
    for id in (MALL, YARD, SITE):
        site = cpo.catalogue.locations[id]
        await cpo.administration.put_location(replace(site, name=f"New {id[:1]}"), OPERATOR)
    for tariff, price in ((HIDDEN_TARIFF, "98.00"), (SHELF, "17.00")):
        await cpo.administration.put_tariff(shelf(tariff, price), OPERATOR)
    await cpo.administration.put_rule(TariffRule("more", SHELF, location=YARD), OPERATOR)
    await cpo.administration.drop_rule("more", OPERATOR)
    for station in ("CSM", "CSY"):
        own = cpo.catalogue.stations[StationId(station)]
        gone = tuple(replace(each, removed=True) for each in own.evses)
        await cpo.administration.put_station(replace(own, evses=gone), OPERATOR)


async def test_nothing_of_other_sites_or_tariffs_is_read_or_heard_in_any_version() -> None:
    async with network() as cpo, guests(cpo, ONE_SITE) as everybody:
        asked = 0
        for moment in ("before", "after"):
            for guest in everybody:
                await heard(cpo, guest)
                for path in (*lists(), *singles()):
                    answer = await guest.ask("GET", f"/{guest.version}{path}")
                    asked += 1
                    assert not leaks(answer), (moment, guest.version, path, answer)
                    assert path in lists() or answer.http == 404, (guest.version, path)
                for module in ("locations", "tariffs"):
                    answer = await guest.ask("GET", f"/{guest.version}/{module}")
                    assert answer.headers["X-Total-Count"] == "1", (guest.version, module)
                    assert len(answer.data) == 1
                assert not [mark for mark in FOREIGN if mark in guest.told()], guest.version
                assert SITE in guest.told() and SHELF in guest.told()
            if moment == "before":
                await everything_happens(cpo)
        assert asked > 4 * 2 * 30


async def test_a_command_at_a_site_that_is_not_shown_is_as_one_at_no_site() -> None:
    async with network() as cpo, guests(cpo, ONE_SITE) as everybody:
        await cpo.report(EvseRef(StationId("CSM"), 1), ConnectorReport.FREE)
        for guest in everybody:
            token = wire("CARD", party_id=guest.id.split("*")[1])
            if guest.version == "2.1.1":
                token = {
                    "uid": "CARD", "type": "RFID", "auth_id": "C1", "issuer": "E", "valid": True,
                    "whitelist": "ALLOWED", "last_updated": "2026-01-01T00:00:00Z",
                }  # fmt: skip

            async def started(
                site: str, guest: Guest = guest, token: dict[str, Any] = token
            ) -> tuple[int, Any]:
                order = {
                    "response_url": f"{guest.emsp.url('commands')}/START_SESSION/{site}",
                    "token": token,
                    "location_id": site,
                    "evse_uid": "CSM-1",
                }
                path = f"/{guest.version}/commands/START_SESSION"
                answer = await guest.ask("POST", path, order)
                return answer.code, {**answer.envelope, "timestamp": ""}

            assert await started(MALL) == await started("NO-SITE"), guest.version
            assert (await started(MALL))[0] == 2003
        assert not cpo.link.sent


async def test_a_real_time_question_names_no_place_that_the_partner_is_not_shown(
    cpo: World, emsp: Emsp
) -> None:
    own = cpo.catalogue.partners[EMP]
    await emsp.push_token(emsp.tokens.add("CARD1", whitelist="NEVER"))
    known = cpo.catalogue.token(EMP, "CARD1", TokenType.RFID)
    await cpo.service.authority.authorise(EMP, known, "CARD1", EVSE)
    await cpo.service.change(replace(own, sharing=Sharing(frozenset())), "test")
    await cpo.service.authority.authorise(EMP, known, "CARD1", EVSE)
    with_place, without = [e for e in emsp.arrivals if e.path.endswith("/authorize")]
    assert with_place.body == {"location_id": SITE, "evse_uids": ["CS1-1"]}
    assert without.body is None


async def test_a_hidden_status_stands_still_and_nothing_tells_when_something_happens() -> None:
    hidden = Sharing(status=LiveStatus.HIDDEN)
    async with network() as cpo, guests(cpo, hidden) as everybody:
        for guest in everybody:
            await heard(cpo, guest)
        paths = [f"/locations?{q}" for q in ("", "limit=1", "date_from=2020-01-01T00:00:00Z")]
        paths += [f"/locations/{SITE}", f"/locations/{SITE}/CS1-1", f"/locations/{SITE}/CS1-1/1"]

        async def read(guest: Guest) -> list[Any]:
            answers = [await guest.ask("GET", f"/{guest.version}{path}") for path in paths]
            return [each.data for each in answers]

        before = {guest.id: await read(guest) for guest in everybody}
        pushes = {guest.id: len(guest.emsp.pushes("locations")) for guest in everybody}
        at = now()
        for report in (ConnectorReport.CHARGING, ConnectorReport.FREE, ConnectorReport.FAULTED):
            await cpo.report(EVSE, report)
        await cpo.vanish(EVSE)
        for guest in everybody:
            await heard(cpo, guest)
            assert await read(guest) == before[guest.id], guest.version
            assert len(guest.emsp.pushes("locations")) == pushes[guest.id], guest.version
            evse = (await guest.ask("GET", f"/{guest.version}/locations/{SITE}/CS1-1")).data
            assert evse["status"] == "UNKNOWN"
            since = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            answer = await guest.ask("GET", f"/{guest.version}/locations?date_from={since}")
            assert (answer.data, answer.headers["X-Total-Count"]) == ([], "0")
        # what is no status is told all the same
        site = cpo.catalogue.locations[SITE]
        await cpo.administration.put_location(replace(site, name="Renamed"), OPERATOR)
        for guest in everybody:
            await heard(cpo, guest)
            assert "Renamed" in guest.told(), guest.version
            since = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            answer = await guest.ask("GET", f"/{guest.version}/locations?date_from={since}")
            assert [each["id"] for each in answer.data] == [SITE]


async def test_a_delayed_status_is_told_later_and_not_a_moment_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten minutes of the clock pass at once."""
    moved = timedelta(0)
    real = world.now
    monkeypatch.setattr(world, "now", lambda: real() + moved)

    async with network() as cpo:
        async with Emsp(party_id="EMP") as emsp:
            delayed = Sharing(status=LiveStatus.DELAYED, delay_minutes=10)
            guest = await taken_over(cpo, emsp, "2.2.1", delayed)
            await cpo.service.change(cpo.catalogue.partners[guest.id], "test")
            await heard(cpo, guest)

            async def status() -> str:
                path = f"/2.2.1/locations/{SITE}/CS1-1"
                found: str = (await guest.ask("GET", path)).data["status"]
                return found

            assert await status() == "UNKNOWN"  # of ten minutes ago nothing is known
            moved = timedelta(minutes=11)
            cpo.service._past.again()
            await cpo.service.news.tell_due()
            await heard(cpo, guest)
            assert await status() == "AVAILABLE"
            before = len(emsp.pushes("locations"))
            await cpo.report(EVSE, ConnectorReport.CHARGING)
            await heard(cpo, guest)
            assert await status() == "AVAILABLE"
            assert len(emsp.pushes("locations")) == before
            happened = cpo.live.evse(EVSE).last_updated
            assert happened is not None
            moved = timedelta(minutes=22)
            await cpo.service.news.tell_due()
            await emsp.wait_for(
                lambda: [e for e in emsp.pushes("locations")[before:] if e.method == "PATCH"]
            )
            [patch] = emsp.pushes("locations")[before:]
            due = (happened + timedelta(minutes=10)).isoformat(timespec="milliseconds")
            assert patch.body is not None
            assert patch.body["status"] == "CHARGING"
            assert patch.body["last_updated"][:19] == due[:19]
            assert await status() == "CHARGING"


async def test_a_site_that_is_withdrawn_is_told_as_removed_and_shown_again_whole(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    own = cpo.catalogue.partners[EMP]
    await cpo.add_site(MALL)
    await cpo.add_station(StationId("CSM"), MALL)
    await emsp.wait_for(lambda: emsp.store.evse(("IN", "CPO", MALL), "CSM-1"))

    async def shares(sharing: Sharing) -> None:
        await cpo.service.change(replace(cpo.catalogue.partners[EMP], sharing=sharing), "boss")

    def status(site: LocationId, uid: str) -> str | None:
        evse = emsp.store.evse(("IN", "CPO", site), uid)
        return None if evse is None else str(evse["status"])

    puts = len([e for e in emsp.pushes("locations") if e.method == "PUT"])
    at = now()
    await shares(replace(own.sharing, sites=frozenset({SITE})))
    await emsp.wait_for(lambda: status(MALL, "CSM-1") == "REMOVED")
    assert (await ask("GET", f"/2.2.1/locations/{MALL}")).http == 404
    assert [each["id"] for each in (await ask("GET", "/2.2.1/locations")).data] == [SITE]
    since = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert [
        each["id"] for each in (await ask("GET", f"/2.2.1/locations?date_from={since}")).data
    ] == [SITE]
    await cpo.report(EvseRef(StationId("CSM"), 1), ConnectorReport.CHARGING)
    session = await cpo.session()
    await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", session.id))
    assert status(MALL, "CSM-1") == "REMOVED"
    assert len([e for e in emsp.pushes("locations") if e.method == "PUT"]) == puts + 1
    await shares(EVERYTHING)
    await emsp.wait_for(lambda: status(MALL, "CSM-1") == "CHARGING")
    await shares(Sharing(tariffs=frozenset()))
    await emsp.wait_for(lambda: not emsp.store.tariffs)
    assert (await ask("GET", "/2.2.1/tariffs")).data == []
    await shares(EVERYTHING)
    await emsp.wait_for(lambda: emsp.store.tariffs)
    assert not emsp.complaints
    audit = await cpo.store.audit(f"partner:{EMP}", Page())
    assert [each.who for each in audit if each.what == "partner.changed"] == ["boss"] * 4


async def test_a_change_of_sharing_survives_a_crash_before_anything_was_told() -> None:
    async with running() as first:
        await first.small_network()
        async with Emsp() as emsp:
            await first.connect(emsp)
            await emsp.wait_for(lambda: emsp.store.locations)
            own = first.catalogue.partners[EMP]
            await emsp.go_down()
            await first.service.change(replace(own, sharing=Sharing(frozenset())), "test")
            async with running(store=first.store) as second:
                assert second.catalogue.partners[EMP].sharing.sites == frozenset()
                await emsp.come_back()
                second.service.lines.heard(EMP)

                def gone() -> bool:
                    evse = emsp.store.evse(("IN", "CPO", SITE), "CS1-1")
                    return evse is not None and evse["status"] == "REMOVED"

                await emsp.wait_for(gone)


async def test_a_status_that_is_hidden_is_not_told_by_a_push_after_a_restart_either() -> None:
    """What was told is not in memory then; that something happened must not show all the same."""
    hidden = Sharing(status=LiveStatus.HIDDEN)
    async with network() as first, guests(first, hidden) as everybody:
        for guest in everybody:
            await heard(first, guest)
        async with running(store=first.store) as second:
            for guest in everybody:
                await heard(second, guest)
            before = {guest.id: len(guest.emsp.pushes("locations")) for guest in everybody}
            await second.report(EVSE, ConnectorReport.CHARGING)
            for guest in everybody:
                await heard(second, guest)
                assert len(guest.emsp.pushes("locations")) == before[guest.id], guest.version
