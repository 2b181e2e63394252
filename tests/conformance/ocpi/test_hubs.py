"""Hubs: checklist A3 and A15. Three parties behind one token, told apart by their headers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cms.domain.audit import WorkType
from cms.domain.ids import PartnerId
from cms.domain.partner import Partner, PartnerRole, PartnerState
from cms.domain.status import ConnectorReport
from cms.domain.tariff_choice import TariffRule
from cms.domain.token import TokenType
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi.hubs import (
    ANN,
    BOB,
    CAT,
    HUB,
    MEMBERS,
    Hub,
    client,
    hub,
    joined,
    routing,
    token_of,
    until_behind,
)
from tests.conformance.ocpi.test_transport import ROUTING
from tests.conformance.ocpi.world import (
    EVSE,
    OPERATOR,
    SHELF,
    SITE,
    Asker,
    World,
    running,
    token,
    until,
)
from tests.conformance.statements import reading, statement

SINCE = "?date_from=2020-01-01T00:00:00Z"


@pytest.fixture
async def roaming(cpo: World) -> AsyncIterator[Hub]:
    """A hub with three parties, told of the network."""
    async with hub() as new:
        await joined(cpo, new, *MEMBERS)
        await new.until(lambda: new.pushed("locations"))
        yield new


def ids(heard: Any) -> set[str]:
    assert heard.code == 1000, heard.envelope
    return {each["id"] for each in heard.data}


# -- who is who


async def test_rt_03_a_session_goes_to_its_owner_behind_the_hub_and_to_nobody_else(
    cpo: World, roaming: Hub
) -> None:
    sessions = {party: await cpo.session(owner=party) for party in MEMBERS}
    await roaming.until(lambda: len(roaming.pushed("sessions")) == len(MEMBERS))
    for party, own in sessions.items():
        [sent] = roaming.pushed("sessions", to=party)
        assert sent.path == f"/sessions/IN/CPO/{own.id}"
        assert (sent.sender, sent.body["cdr_token"]["party_id"]) == ("IN*CPO", party.split("*")[1])
    bills = {party: await cpo.settle(own) for party, own in sessions.items()}
    await roaming.until(lambda: len(roaming.pushed("cdrs")) == len(MEMBERS))
    for party, bill in bills.items():
        [posted] = roaming.pushed("cdrs", to=party)
        assert posted.body["id"] == bill.id


@statement("TR-08")
async def test_headers_narrow_what_a_hubs_token_shows(cpo: World, roaming: Hub) -> None:
    sessions = {party: await cpo.session(owner=party) for party in MEMBERS}
    bills = {party: await cpo.settle(await cpo.session(owner=party)) for party in MEMBERS}
    for party in MEMBERS:
        shown = ids(await roaming.call(party, "GET", f"/sessions{SINCE}"))
        assert shown & {each.id for each in sessions.values()} == {sessions[party].id}
        assert ids(await roaming.call(party.lower(), "GET", "/cdrs")) == {bills[party].id}


@statement("TR-08")
@pytest.mark.parametrize("stranger", ["IN*EMP", "XX*XXX", "IN*CPO"])
async def test_headers_never_widen_what_a_hubs_token_shows(
    cpo: World, roaming: Hub, emsp: Emsp, stranger: str
) -> None:
    await cpo.session()
    for path in (f"/sessions{SINCE}", "/cdrs", "/locations", "/tariffs"):
        heard = await roaming.call(stranger, "GET", path)
        assert (heard.http, heard.code) == (200, 2001)
        assert "OCPI-from-party-id" in heard.envelope["status_message"]
        assert [heard.headers[name] for name in ROUTING] == ["IN", "CPO", *stranger.split("*")]


@reading
@statement("RT-05")
async def test_over_a_hubs_token_nobody_is_not_everybody(cpo: World, roaming: Hub) -> None:
    await cpo.session(owner=ANN)
    heard = await roaming.call(None, "GET", f"/sessions{SINCE}")
    assert (heard.http, heard.code) == (200, 2001)
    assert "OCPI-from" in heard.envelope["status_message"]


@statement("RT-09")
async def test_a_hub_in_its_own_name_sees_what_parties_behind_it_own_and_no_more(
    cpo: World, roaming: Hub, emsp: Emsp
) -> None:
    mine = {(await cpo.session(owner=party)).id for party in MEMBERS}
    await cpo.session()
    assert ids(await roaming.call(HUB, "GET", f"/sessions{SINCE}")) == mine


async def test_rt_04_answers_swap_the_parties_behind_a_hub_too(roaming: Hub) -> None:
    for path in ("/locations", "/locations/NOPE", "/tokens/XX/YYY/T1", "/sessions"):
        heard = await roaming.call(BOB, "GET", path)
        assert [heard.headers[name] for name in ROUTING] == ["IN", "CPO", "DE", "BOB"]


async def test_rt_12_both_ids_come_back_over_a_hub_on_every_path(roaming: Hub) -> None:
    assert roaming.ask is not None
    ids = {"X-Request-ID": "hop-2", "X-Correlation-ID": "chain-1"}
    for sender, path in ((ANN, "/locations"), (ANN, "/locations/NOPE"), ("XX*XXX", "/cdrs")):
        heard = await roaming.ask("GET", f"/2.2.1{path}", headers={**routing(sender), **ids})
        assert {name: heard.headers[name] for name in ids} == ids


async def test_a_command_comes_from_one_party_and_its_result_goes_back_to_it(
    cpo: World, roaming: Hub
) -> None:
    body = {
        "response_url": f"{roaming.base}/commands/START_SESSION/1",
        "token": token_of(BOB, "BOB-1"),
        "location_id": SITE,
        "evse_uid": "CS1-1",
    }
    heard = await roaming.call(ANN, "POST", "/commands/START_SESSION", body)
    assert heard.data["result"] == "REJECTED", "the token is another's"
    heard = await roaming.call(BOB, "POST", "/commands/START_SESSION", body)
    assert heard.data["result"] == "ACCEPTED"
    [result] = await roaming.until(lambda: roaming.pushed("commands"))
    assert (result.to, result.sender) == (BOB, "IN*CPO")


async def test_a_party_stops_no_session_of_another_behind_the_same_hub(
    cpo: World, roaming: Hub
) -> None:
    own = await cpo.session(owner=ANN)
    body = {"response_url": f"{roaming.base}/commands/STOP_SESSION/1", "session_id": own.id}
    heard = await roaming.call(BOB, "POST", "/commands/STOP_SESSION", body)
    assert heard.data["result"] == "REJECTED"
    wish = {"profile_type": "FAST"}
    path = f"/sessions/{own.id}/charging_preferences"
    assert (await roaming.call(BOB, "PUT", path, wish)).http == 404
    heard = await roaming.call(ANN, "POST", "/commands/STOP_SESSION", body)
    assert heard.data["result"] == "ACCEPTED"


# -- broadcast


async def test_rt_06_locations_and_tariffs_are_told_once_to_the_hub(
    cpo: World, roaming: Hub
) -> None:
    for module, id in (("locations", SITE), ("tariffs", SHELF)):
        [sent] = roaming.pushed(module)
        assert (sent.method, sent.to) == ("PUT", HUB)
        assert sent.path == f"/{module}/IN/CPO/{id}"
    await cpo.report(EVSE, ConnectorReport.CHARGING)
    [patch] = await roaming.until(lambda: roaming.pushed("locations", method="PATCH"))
    assert patch.to == HUB
    await cpo.settle(await cpo.session(owner=ANN))
    await roaming.until(lambda: roaming.pushed("cdrs"))
    assert not roaming.pushed("sessions", to=HUB) + roaming.pushed("cdrs", to=HUB)


async def test_rt_06_a_get_is_never_broadcast(cpo: World, roaming: Hub) -> None:
    roaming.says[None] = (200, 2003)
    await cpo.report(EVSE, ConnectorReport.CHARGING)
    await roaming.until(lambda: roaming.pushed("locations", method="PATCH"))
    await roaming.until(lambda: roaming.arrivals[-1].method == "PUT")
    reads = [a for a in roaming.arrivals if a.method == "GET" and a.module == "locations"]
    assert not [each for each in reads if each.to == HUB]


@statement("RT-06")
async def test_where_a_hub_takes_no_broadcast_each_party_is_told(cpo: World) -> None:
    async with hub() as new:
        new.clients = [client(each, "CONNECTED") for each in MEMBERS]
        partner = Partner(
            HUB, "Hub", allow_private_addresses=True, role=PartnerRole.HUB, broadcast=False
        )
        await new.register(cpo.base, await cpo.service.invite(partner, "test"))
        await new.until(lambda: len(new.pushed("locations")) == len(MEMBERS))
        assert {each.to for each in new.pushed("locations")} == set(MEMBERS)
        assert {each.to for each in new.pushed("tariffs")} == set(MEMBERS)


@statement("RT-06")
async def test_prices_of_one_party_end_the_broadcast_so_that_nobody_else_sees_them(
    cpo: World, roaming: Hub
) -> None:
    await cpo.add_tariff(SHELF.__class__("ANN-ONLY"))
    rule = TariffRule("ann", SHELF.__class__("ANN-ONLY"), partner=ANN)
    await cpo.administration.put_rule(rule, OPERATOR)
    await roaming.until(lambda: roaming.pushed("tariffs", to=ANN))
    await roaming.until(lambda: roaming.pushed("locations", to=BOB))
    named = {each.to for each in roaming.pushed("tariffs") if each.path.endswith("ANN-ONLY")}
    assert BOB not in named and CAT not in named


async def test_rt_07_a_broadcast_token_is_its_partys_as_the_url_says(
    cpo: World, roaming: Hub
) -> None:
    for party in (ANN, BOB):
        country, id = party.split("*")
        heard = await roaming.call(
            HUB, "PUT", f"/tokens/{country}/{id}/T-1", token_of(party, "T-1")
        )
        assert (heard.http, heard.code) == (201, 1000)
        assert [heard.headers[name] for name in ROUTING] == ["IN", "CPO", "IN", "HUB"]
        assert cpo.catalogue.token(party, "T-1", TokenType.RFID) is not None


@statement("TR-26")
async def test_a_party_puts_no_token_of_another_behind_the_same_hub(
    cpo: World, roaming: Hub
) -> None:
    path = "/tokens/DE/BOB/T-2"
    assert (await roaming.call(ANN, "PUT", path, token_of(BOB, "T-2"))).http == 404
    assert (await roaming.call(BOB, "PUT", path, token_of(BOB, "T-2"))).code == 1000
    assert (await roaming.call(ANN, "GET", path)).http == 404
    changed = {"valid": False, "last_updated": "2030-01-01T00:00:00Z"}
    assert (await roaming.call(ANN, "PATCH", path, changed)).http == 404
    assert (await roaming.call(BOB, "PATCH", path, changed)).code == 1000


# -- open routing, reading everything


async def test_rt_08_an_unknown_token_is_asked_about_without_a_receiver(
    cpo: World, roaming: Hub
) -> None:
    roaming.allowed["STRAY"] = (CAT, {"allowed": "ALLOWED", "token": token_of(CAT, "STRAY")})
    decision = await cpo.service.authority.authorise(HUB, None, "STRAY", EVSE)
    [asked] = [each for each in roaming.arrivals if each.method == "POST"]
    assert (asked.to, asked.sender) == (None, "IN*CPO")
    assert decision is not None and decision.accepted
    assert decision.token is not None and decision.token.partner == CAT


@statement("RT-08")
async def test_who_answers_for_a_party_not_behind_the_hub_decides_nothing(
    cpo: World, roaming: Hub
) -> None:
    roaming.allowed["STRAY"] = ("XX*XXX", {"allowed": "ALLOWED"})
    assert await cpo.service.authority.authorise(HUB, None, "STRAY", EVSE) is None
    roaming.allowed["STRAY"] = (ANN, {"allowed": "ALLOWED", "token": token_of(BOB, "STRAY")})
    decision = await cpo.service.authority.authorise(HUB, None, "STRAY", EVSE)
    assert decision is not None and not decision.accepted, "the token is another's"


async def test_a_known_token_is_asked_about_at_its_party(cpo: World, roaming: Hub) -> None:
    roaming.allowed["KNOWN"] = (BOB, {"allowed": "ALLOWED", "token": token_of(BOB, "KNOWN")})
    decision = await cpo.service.authority.authorise(BOB, token(BOB, "KNOWN"), "KNOWN", EVSE)
    assert decision is not None and decision.accepted
    [asked] = [each for each in roaming.arrivals if each.method == "POST"]
    assert asked.to == BOB


async def test_rt_09_the_tokens_of_all_parties_are_read_through_the_hub(cpo: World) -> None:
    async with hub() as new:
        new.tokens = [token_of(each, f"T-{n}") for n, each in enumerate((*MEMBERS, "XX*XXX"))]
        await joined(cpo, new, *MEMBERS)
        await until(lambda: cpo.catalogue.token(CAT, "T-2", TokenType.RFID))
        reads = [a for a in new.arrivals if a.module == "tokens" and a.method == "GET"]
        assert {each.to for each in reads} == {HUB}
        assert len(reads) == 2, "every page"
        assert {each.partner for each in cpo.catalogue.tokens()} == set(MEMBERS)


@statement("RT-09")
async def test_what_one_party_lists_no_more_invalidates_its_own_only(
    cpo: World, roaming: Hub
) -> None:
    roaming.tokens = [token_of(ANN, "SAME"), token_of(BOB, "SAME")]
    await cpo.service.pull_tokens(HUB)
    roaming.tokens = [token_of(BOB, "SAME")]
    await cpo.service.pull_tokens(HUB)
    valid = {each.partner: each.valid for each in cpo.catalogue.tokens_named("SAME")}
    assert valid == {ANN: False, BOB: True}


# -- client info


async def test_hc_01_client_info_is_put_and_read_back(cpo: World, roaming: Hub) -> None:
    for http in (201, 200):
        heard = await roaming.client("FR*NEW", "CONNECTED")
        assert (heard.http, heard.code) == (http, 1000)
        assert not [name for name in ROUTING if name in heard.headers]
    heard = await roaming.configure("GET", "/hubclientinfo/fr/new")
    assert (heard.code, heard.data["status"], heard.data["role"]) == (1000, "CONNECTED", "EMSP")
    assert (await roaming.configure("GET", "/clientinfo/FR/NEW")).data == heard.data
    assert (await roaming.configure("GET", "/hubclientinfo/FR/NOT")).http == 404
    for method in ("POST", "PATCH", "DELETE"):
        assert (await roaming.configure(method, "/hubclientinfo/FR/NEW", {})).http == 405


@statement("HC-01", "TR-25")
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"status": "AWAY"}, "status"),
        ({"role": "KING"}, "role"),
        ({"last_updated": None}, "last_updated"),
        ({"party_id": "OLD"}, "party_id"),
        ({"country_code": "FRA"}, "country_code"),
    ],
)
async def test_bad_client_info_names_its_field_and_changes_nothing(
    cpo: World, roaming: Hub, change: dict[str, Any], field: str
) -> None:
    body = {**client("FR*NEW", "CONNECTED"), **change}
    heard = await roaming.configure("PUT", "/hubclientinfo/FR/NEW", body)
    assert (heard.http, heard.code) == (200, 2001)
    assert field in heard.envelope["status_message"]
    assert (await roaming.configure("GET", "/hubclientinfo/FR/NEW")).http == 404


async def test_hc_02_nothing_is_sent_to_who_is_away_and_it_catches_up_when_back(
    cpo: World, roaming: Hub
) -> None:
    for status in ("OFFLINE", "PLANNED", "SUSPENDED"):
        await roaming.client(ANN, status)
        seen = len(roaming.arrivals)
        own = await cpo.session(owner=ANN)
        other = await cpo.session(owner=BOB)
        await told(roaming, BOB, other.id)
        assert not [each for each in roaming.arrivals[seen:] if each.to == ANN]
        health = await cpo.service.partner_health(ANN)
        assert not health.connected
        await roaming.client(ANN, "CONNECTED")
        await told(roaming, ANN, own.id)


async def told(new: Hub, party: str, id: str, module: str = "sessions") -> None:
    """Wait until *party* has got the thing *id*."""
    await new.until(lambda: _told(new, module, party, id))


def _told(roaming: Hub, module: str, party: str, id: str) -> bool:
    return any(each.body["id"] == id for each in roaming.pushed(module, to=party))


async def test_hc_02_what_was_billed_meanwhile_arrives_when_the_party_is_back(
    cpo: World, roaming: Hub
) -> None:
    await roaming.client(ANN, "OFFLINE")
    own = await cpo.session(owner=ANN)
    bill = await cpo.settle(own)
    await roaming.client(ANN, "CONNECTED")
    [sent] = await roaming.until(lambda: roaming.pushed("cdrs", to=ANN))
    assert sent.body["id"] == bill.id
    puts = [each.body["status"] for each in roaming.pushed("sessions", to=ANN)]
    assert puts == ["COMPLETED"], "once, as it is now: nothing was queued"


@statement("HC-02")
async def test_no_command_result_and_no_question_goes_to_who_is_away(
    cpo: World, roaming: Hub
) -> None:
    held = cpo.link.held = asyncio.Event()
    body = {
        "response_url": f"{roaming.base}/commands/START_SESSION/1",
        "token": token_of(BOB, "BOB-1"),
        "location_id": SITE,
        "evse_uid": "CS1-1",
    }
    await roaming.call(BOB, "POST", "/commands/START_SESSION", body)
    await roaming.client(BOB, "OFFLINE")
    assert await cpo.service.authority.authorise(BOB, token(BOB), "04AABB", EVSE) is None
    held.set()
    await until(lambda: cpo.link.sent)
    own = await cpo.session(owner=ANN)
    await told(roaming, ANN, own.id)
    assert not roaming.pushed("commands") + roaming.pushed("tokens")


async def test_hc_03_a_suspended_party_with_bills_open_is_work_for_a_person(
    cpo: World, roaming: Hub
) -> None:
    await roaming.client(BOB, "SUSPENDED")
    await roaming.client(ANN, "OFFLINE")
    await cpo.settle(await cpo.session(owner=ANN))
    await roaming.client(ANN, "SUSPENDED")
    item = await cpo.store.work_item(f"partner-suspended:{ANN}")
    assert item is not None and item.type is WorkType.PARTNER_SUSPENDED
    assert item.evidence == {"hub": HUB, "bills_outstanding": 1}
    assert await cpo.store.work_item(f"partner-suspended:{BOB}") is None, "nothing is owed to it"


async def test_hc_04_a_connected_party_extends_whose_tokens_the_hub_may_put(
    cpo: World, roaming: Hub
) -> None:
    path, body = "/tokens/FR/NEW/T-1", token_of("FR*NEW", "T-1")
    assert (await roaming.call(HUB, "PUT", path, body)).http == 404
    assert (await roaming.call("FR*NEW", "PUT", path, body)).code == 2001
    await roaming.client("FR*NEW", "PLANNED")
    assert (await roaming.call(HUB, "PUT", path, body)).http == 404
    await roaming.client("FR*NEW", "CONNECTED")
    assert (await roaming.call(HUB, "PUT", path, body)).http == 201
    assert (await roaming.call("FR*NEW", "PUT", path, body)).http == 200


async def test_hc_05_all_pages_of_client_info_are_read_at_the_start(cpo: World) -> None:
    parties = [f"NL*P{n:02}" for n in range(5)]
    async with hub() as new:
        await joined(cpo, new, *parties)
        reads = [each for each in new.arrivals if each.module == "hubclientinfo"]
        assert len(reads) == 3, "five in pages of two"
        assert not [name for each in reads for name in ROUTING if name in each.headers]
        assert {each.id for each in cpo.catalogue.behind(HUB)} == set(parties)


@statement("HC-05")
async def test_after_a_restart_client_info_is_read_again(cpo: World, roaming: Hub) -> None:
    roaming.clients = [client(ANN, "OFFLINE"), client("FR*NEW", "CONNECTED")]
    async with running(store=cpo.store) as later:
        await until_behind(later, roaming, "FR*NEW")
        assert later.catalogue.partners[ANN].state is PartnerState.OFFLINE
        assert later.catalogue.partners[BOB].state is PartnerState.CONNECTED, "as it was told last"


async def test_hc_06_only_a_hub_writes_client_info_and_the_role_is_part_of_the_key(
    cpo: World, roaming: Hub, ask: Asker
) -> None:
    heard = await ask("PUT", "/2.2.1/hubclientinfo/NL/ANN", client(ANN, "SUSPENDED"))
    assert heard.http == 404
    assert cpo.catalogue.partners[ANN].state is PartnerState.CONNECTED
    assert (await roaming.client(ANN, "SUSPENDED", role="CPO")).http == 201
    assert cpo.catalogue.partners[ANN].state is PartnerState.CONNECTED, "as a CPO, not as an eMSP"
    heard = await roaming.configure("GET", "/hubclientinfo/NL/ANN")
    assert (heard.data["role"], heard.data["status"]) == ("EMSP", "CONNECTED")


@statement("HC-06")
async def test_older_client_info_changes_nothing(cpo: World, roaming: Hub) -> None:
    old = {**client(ANN, "OFFLINE"), "last_updated": "2020-01-01T00:00:00Z"}
    assert (await roaming.configure("PUT", "/hubclientinfo/NL/ANN", old)).code == 1000
    assert cpo.catalogue.partners[ANN].state is PartnerState.CONNECTED


@reading
@statement("CR-18")
async def test_a_hub_takes_no_party_that_has_its_own_connection_or_is_ours(
    cpo: World, roaming: Hub, emsp: Emsp
) -> None:
    for party in ("IN*EMP", "IN*CPO"):
        assert (await roaming.client(party, "SUSPENDED")).code == 1000
        heard = await roaming.call(party, "GET", f"/sessions{SINCE}")
        assert heard.code == 2001
    emp = cpo.catalogue.partners[PartnerId("IN*EMP")]
    assert (emp.via, emp.state) == (None, PartnerState.CONNECTED)
    country, id = "IN", "EMP"
    path = f"/tokens/{country}/{id}/T1"
    assert (await roaming.call(HUB, "PUT", path, token_of("IN*EMP", "T1"))).http == 404


@reading
@statement("CR-18")
async def test_a_second_hub_takes_no_party_of_the_first(cpo: World, roaming: Hub) -> None:
    async with hub(party="IN*HB2") as second:
        await joined(cpo, second, "FR*NEW")
        await second.client(ANN, "SUSPENDED")
        assert cpo.catalogue.partners[ANN].via == HUB
        assert cpo.catalogue.partners[ANN].state is PartnerState.CONNECTED
        assert (await second.call(ANN, "GET", "/cdrs")).code == 2001


@statement("HC-04")
async def test_a_hub_without_client_info_makes_parties_known_by_their_tokens(cpo: World) -> None:
    async with hub(client_info=False) as new:
        new.tokens = [token_of(ANN, "T-1")]
        await joined(cpo, new)
        await until(lambda: cpo.catalogue.token(ANN, "T-1", TokenType.RFID))
        assert (await new.call(HUB, "PUT", "/tokens/DE/BOB/T-2", token_of(BOB, "T-2"))).http == 201
        assert {each.id for each in cpo.catalogue.behind(HUB)} == {ANN, BOB}
        own = await cpo.session(owner=BOB)
        await told(new, BOB, own.id)


# -- trouble


@pytest.mark.parametrize("code", [4001, 4002, 4003])
async def test_tr_19_a_party_that_the_hub_does_not_reach_hurts_no_other(
    cpo: World, roaming: Hub, code: int
) -> None:
    roaming.says[ANN] = (200, code)
    lost = await cpo.session(owner=ANN)
    await told(roaming, ANN, lost.id)
    for party in (BOB, CAT):
        own = await cpo.session(owner=party)
        await told(roaming, party, own.id)
    tried = len(roaming.pushed("sessions", to=ANN))
    assert tried <= 2, "it waits, alone"
    del roaming.says[ANN]
    await roaming.until(lambda: len(roaming.pushed("sessions", to=ANN)) > tried)


@statement("TR-19")
async def test_a_hub_that_is_away_is_asked_by_one_probe_for_all_its_parties(
    cpo: World, roaming: Hub
) -> None:
    roaming.says[None] = (503, 3000)
    seen = len(roaming.arrivals)
    waiting = {party: await cpo.session(owner=party) for party in MEMBERS}
    trunk = cpo.service.lines.trunk(HUB)
    await until(lambda: trunk.closed)
    asked = [each for each in roaming.arrivals[seen:] if each.module == "sessions"]
    assert len(asked) <= len(MEMBERS)
    for party in MEMBERS:
        await cpo.session(owner=party)
    assert not trunk.room(trunk.closed_at), "what is new waits as well"
    del roaming.says[None]
    await roaming.call(CAT, "GET", "/locations")  # it lives: it may be asked at once
    for party, own in waiting.items():
        await told(roaming, party, own.id)
    assert [each for each in roaming.arrivals[seen:] if each.module == "versions"]


@statement("TR-19")
async def test_a_refusal_by_one_partys_machine_stops_that_party_only(
    cpo: World, roaming: Hub
) -> None:
    roaming.says[ANN] = (401, 2000)
    await cpo.session(owner=ANN)
    await until(lambda: cpo.catalogue.partners[ANN].state is PartnerState.SUSPENDED)
    assert await cpo.store.work_item(f"partner-refuses-us:{ANN}") is not None
    own = await cpo.session(owner=BOB)
    await told(roaming, BOB, own.id)
    assert cpo.catalogue.partners[HUB].state is PartnerState.CONNECTED
    del roaming.says[ANN]
    await cpo.service.resume(ANN, "test")
    await roaming.until(lambda: len(roaming.pushed("sessions", to=ANN)) > 1)


async def test_a_hub_that_leaves_takes_its_parties_with_it(cpo: World, roaming: Hub) -> None:
    await cpo.service.unregister(HUB, "test")
    assert {each.state for each in cpo.catalogue.behind(HUB)} == {PartnerState.GONE}
    assert not cpo.catalogue.takes_part(ANN)


# -- 2.3.0, platforms


async def test_c1_07_the_hub_party_id_is_how_a_hub_is_addressed(cpo: World) -> None:
    roles = [_role(each) for each in MEMBERS]
    async with hub(version="2.3.0", roles=roles, more={"hub_party_id": "NLTHB"}) as new:
        partner = Partner(ANN, "Platform", allow_private_addresses=True, role=PartnerRole.HUB)
        await new.register(cpo.base, await cpo.service.invite(partner, "test"))
        [sent] = await new.until(lambda: new.pushed("locations"))
        assert sent.to == "NL*THB", "a broadcast"
        [read] = [a for a in new.arrivals if a.module == "tokens" and a.method == "GET"]
        assert read.to == "NL*THB", "reading everything"


@statement("C1-07")
@pytest.mark.parametrize("bad", ["NL", "NLTHBX", 7, "NL*TH"])
async def test_a_hub_party_id_that_is_none_is_refused(cpo: World, bad: object) -> None:
    async with hub(version="2.3.0", roles=[_role(ANN)], more={"hub_party_id": bad}) as new:
        partner = Partner(ANN, "Platform", allow_private_addresses=True)
        heard = await new.register(cpo.base, await cpo.service.invite(partner, "test"))
        assert (heard.code, "hub_party_id" in heard.envelope["status_message"]) == (2001, True)


async def test_c1_08_the_roles_are_the_parties_behind_the_hub_and_change_by_put(
    cpo: World,
) -> None:
    more = {"hub_party_id": "INHUB"}
    roles = [_role(each) for each in (ANN, BOB)]
    async with hub(version="2.3.0", roles=roles, more=more, client_info=False) as new:
        await joined(cpo, new, ANN, BOB)
        own = {party: await cpo.session(owner=party) for party in (ANN, BOB)}
        for party, session in own.items():
            await told(new, party, session.id)
            assert ids(await new.call(party, "GET", f"/sessions{SINCE}")) == {session.id}
        new.roles = [_role(each) for each in (BOB, CAT)]
        heard = await new.configure("PUT", "/credentials", new.credentials())
        assert heard.code == 1000
        new.ask = Asker(cpo.base, heard.data["token"])
        assert cpo.service.parties.behind(HUB) == {BOB, CAT}
        assert (await new.call(ANN, "GET", f"/sessions{SINCE}")).code == 2001
        late = await cpo.session(owner=CAT)
        await told(new, CAT, late.id)


@statement("C1-06", "C1-08")
async def test_hub_client_info_exists_in_2_3_0_as_well(cpo: World) -> None:
    roles = [_role(ANN)]
    async with hub(version="2.3.0", roles=roles, more={"hub_party_id": "INHUB"}) as new:
        await joined(cpo, new, ANN)
        assert (await new.client(BOB, "CONNECTED")).http == 201
        assert (await new.configure("GET", "/hubclientinfo/DE/BOB")).data["status"] == "CONNECTED"


@statement("TR-08", "TR-26")
async def test_a_platform_with_several_providers_is_told_apart_like_a_hub(cpo: World) -> None:
    roles = [_role(each) for each in (ANN, BOB)]
    async with hub(roles=roles, client_info=False, party=ANN) as new:
        partner = Partner(ANN, "Platform", allow_private_addresses=True)
        await new.register(cpo.base, await cpo.service.invite(partner, "test"))
        own = {party: await cpo.session(owner=party) for party in (ANN, BOB)}
        for party, session in own.items():
            await told(new, party, session.id)
            assert ids(await new.call(party, "GET", f"/sessions{SINCE}")) == {session.id}
        assert (await new.call(None, "GET", f"/sessions{SINCE}")).code == 1000
        assert (await new.call(CAT, "GET", f"/sessions{SINCE}")).code == 2001
        assert (await new.call(BOB, "PUT", "/tokens/DE/BOB/T", token_of(BOB, "T"))).http == 201
        assert (await new.call(BOB, "PUT", "/tokens/NL/ANN/T", token_of(ANN, "T"))).http == 404
        assert {each.to for each in new.pushed("locations")} == {ANN}, "once"


def _role(party: str) -> dict[str, Any]:
    country, id = party.split("*")
    return {
        "role": "EMSP",
        "country_code": country,
        "party_id": id,
        "business_details": {"name": f"Provider {id}"},
    }
