"""Partners as they are: what each switch of a compatibility profile changes, and that it must be on.

Every test looks at the standard's way first: without its switch it would fail.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cms.domain.errors import InvalidValue
from cms.domain.ids import LocationId, PartnerId
from cms.domain.partner import Partner
from cms.domain.token import TokenType, Whitelist
from ocpi_cpo import profiles
from ocpi_cpo.connections import Endpoint
from ocpi_cpo.profiles.switches import Profile, switches
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi.test_tokens_authorize import wire
from tests.conformance.ocpi.world import (
    EMP,
    OPERATOR,
    SHELF,
    SITE,
    Asker,
    World,
    now,
    running,
    token,
    until,
    until_kept,
)

OURS = re.compile(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"')


async def turn(cpo: World, partner: PartnerId = EMP, **positions: str) -> None:
    """Turn switches of a partner that is there."""
    own = cpo.catalogue.partners[partner]
    await cpo.service.change(replace(own, switches=tuple(positions.items())), "test")


# -- the list itself


def test_every_switch_is_documented_with_who_needs_it() -> None:
    assert set(switches()) == {each.name for each in fields(Profile)}
    assert all(each.means and each.who for each in switches().values())
    page = Path(__file__).parents[3] / "docs" / "partners.md"
    assert profiles.table() in page.read_text()


def test_the_shipped_profiles_are_readable_and_strict_turns_nothing() -> None:
    shipped = profiles.profiles()
    assert {
        "strict", "ubc-ocpi-adaptor", "chargeindia-hub", "gireve-hub", "legacy-2.1.1",
    } <= set(shipped)  # fmt: skip
    assert profiles.checked("strict") == profiles.STANDARD
    assert all(profiles.checked(name) != profiles.STANDARD for name in shipped if name != "strict")


@pytest.mark.parametrize(
    ("turns", "field", "why"),
    [
        ([("tokn_out", "raw")], "switches.tokn_out", "token_out"),
        ([("token_out", "rot13")], "switches.token_out", "any, base64, raw"),
        ([("page_most", "many")], "switches.page_most", "whole number"),
        ([("extra_reads", "maybe")], "switches.extra_reads", "true, false"),
        ([("dates_without_zone", "Mars/Base")], "switches.dates_without_zone", "time zone"),
        ([("endpoints_template", "{base}/x")], "switches.endpoints_template", "{module}"),
        ([("endpoints_template", "{module}/{0}")], "switches.endpoints_template", "nothing else"),
    ],
)
def test_an_unknown_switch_or_position_is_an_error_that_names_it(
    turns: Sequence[tuple[str, str]], field: str, why: str
) -> None:
    with pytest.raises(InvalidValue) as found:
        profiles.checked("strict", turns)
    assert found.value.field == field and why in found.value.reason


def test_an_unknown_profile_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(InvalidValue, match="gireve-hub"):
        profiles.checked("ubc")


def test_no_partner_is_named_in_code_outside_the_profiles() -> None:
    root = Path(__file__).parents[3]
    names = re.compile(r"\b(ubc|chargeindia|gireve|hubject)\b", re.IGNORECASE)
    for package in ("cms", "ocpi_cpo", "ocpp_gateway"):
        for file in (root / package).rglob("*.py"):
            if file.parent.name != "profiles":
                assert not names.search(file.read_text()), file


# -- tokens in headers


@pytest.mark.parametrize(("form", "raw"), [("base64", False), ("raw", True)])
async def test_token_in(cpo: World, emsp: Emsp, ask: Asker, form: str, raw: bool) -> None:
    assert ask.token is not None
    encoded = base64.b64encode(ask.token.encode()).decode()
    headers = {False: f"Token {encoded}", True: f"Token {ask.token}"}
    for header in headers.values():
        assert (await ask("GET", "/versions", authorization_header=header)).http == 200
    await turn(cpo, token_in=form)
    assert (await ask("GET", "/versions", authorization_header=headers[raw])).http == 200
    assert (await ask("GET", "/versions", authorization_header=headers[not raw])).http == 401


@pytest.mark.parametrize("form", ["raw", "base64"])
async def test_token_out(cpo: World, emsp: Emsp, form: str) -> None:
    await turn(cpo, token_out=form)
    session = await cpo.session()
    await emsp.wait_for(lambda: emsp.pushes("sessions", session.id) or emsp.pushes("sessions"))
    sent = emsp.pushes("sessions")[-1].headers["Authorization"].removeprefix("Token ")
    known = cpo.service.connections.get(EMP)
    assert known is not None and known.outbound is not None
    encoded = base64.b64encode(known.outbound.encode()).decode()
    assert sent == (known.outbound if form == "raw" else encoded)


# -- who is who


async def test_lenient_party_ids(cpo: World) -> None:
    long = PartnerId("IN*EMSP")
    async with Emsp(party_id="EMSP") as partner:
        strict = Partner(long, "Long", allow_private_addresses=True)
        with pytest.raises(Exception, match="2001|three characters"):
            await partner.register(cpo.versions_url, await cpo.service.invite(strict, "test"))
        lenient = replace(strict, switches=(("lenient_party_ids", "true"),))
        await partner.register(cpo.versions_url, await cpo.service.invite(lenient, "test"))
        await partner.wait_for(lambda: partner.store.locations)
        card = partner.tokens.add("CARD1")
        await partner.push_token(card)
        assert cpo.catalogue.token(long, "CARD1", TokenType.RFID) is not None
        session = await cpo.session(long)
        await partner.wait_for(lambda: partner.pushes("sessions"))
        body: Any = partner.pushes("sessions")[0].body
        assert (body["id"], body["cdr_token"]["party_id"]) == (session.id, "EMSP")


async def test_routing_required(cpo: World, emsp: Emsp, ask: Asker) -> None:
    assert (await ask("GET", "/2.2.1/locations")).code == 1000
    await turn(cpo, routing_required="true")
    refused = await ask("GET", "/2.2.1/locations")
    assert refused.code == 2001 and "OCPI-from-country-code" in refused.envelope["status_message"]
    assert (await ask("GET", "/versions")).code == 1000  # configuration modules have none
    named = {
        "OCPI-from-country-code": "IN", "OCPI-from-party-id": "EMP",
        "OCPI-to-country-code": "IN", "OCPI-to-party-id": "CPO",
    }  # fmt: skip
    assert (await ask("GET", "/2.2.1/locations", headers=named)).code == 1000


async def test_routing_sent(cpo: World, emsp: Emsp, ask: Asker) -> None:
    assert "OCPI-from-party-id" in (await ask("GET", "/2.2.1/tariffs")).headers
    await turn(cpo, routing_sent="false")
    assert not [
        each for each in (await ask("GET", "/2.2.1/tariffs")).headers if each.startswith("OCPI-")
    ]
    session = await cpo.session()
    await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", session.id))
    assert not [
        each for each in emsp.pushes("sessions")[-1].headers if each.lower().startswith("ocpi-")
    ]


@pytest.mark.parametrize(
    ("position", "roles"),
    [("SENDER", ["SENDER"]), ("RECEIVER", ["RECEIVER"]), ("both", ["SENDER", "RECEIVER"])],
)
async def test_credentials_as(
    cpo: World, emsp: Emsp, ask: Asker, position: str, roles: list[str]
) -> None:
    await turn(cpo, credentials_as=position)
    details = (await ask("GET", "/2.2.1")).data["endpoints"]
    assert [each["role"] for each in details if each["identifier"] == "credentials"] == roles
    old = (await ask("GET", "/2.1.1")).data["endpoints"]
    assert len([each for each in old if each["identifier"] == "credentials"]) == 1


# -- endpoints that cannot be read


async def test_endpoints_template(cpo: World) -> None:
    async with Emsp() as partner:
        hidden = partner.faults.add(Fault(Kind.HTTP, "2.2.1", "GET", http=404))
        plain = Partner(EMP, "Emp", allow_private_addresses=True)
        with pytest.raises(Exception, match="3001"):
            await partner.register(cpo.versions_url, await cpo.service.invite(plain, "test"))
        template = (("endpoints_template", "{base}/{version}/{module}"),)
        own = replace(plain, switches=template)
        await partner.register(cpo.versions_url, await cpo.service.invite(own, "test"))
        known = cpo.service.connections.get(EMP)
        assert known is not None and known.guessed
        assert known.endpoint("sessions", "RECEIVER") == partner.url("sessions")
        await partner.wait_for(lambda: partner.store.locations)  # everything works all the same
        await cpo.service._look_for_endpoints()
        assert known == cpo.service.connections.get(EMP)
        partner.faults.clear(hidden)
        await cpo.service._look_for_endpoints()
        found = cpo.service.connections.get(EMP)
        assert found is not None and not found.guessed


async def test_endpoints_template_is_looked_behind_again_in_the_background() -> None:
    async with running(look_again_every=timedelta(seconds=0.05)) as cpo:
        await cpo.small_network()
        async with Emsp() as partner:
            hidden = partner.faults.add(Fault(Kind.HTTP, "2.2.1", "GET", http=404))
            own = Partner(
                EMP, "E", allow_private_addresses=True, profile="ubc-ocpi-adaptor",
                switches=(("token_out", "base64"), ("routing_sent", "true")),
            )  # fmt: skip
            await partner.register(cpo.versions_url, await cpo.service.invite(own, "test"))
            partner.faults.clear(hidden)

            def read() -> bool:
                known = cpo.service.connections.get(EMP)
                return known is not None and not known.guessed

            await until(read)


async def test_an_operators_endpoint_stands_before_what_the_partner_says(
    cpo: World, emsp: Emsp
) -> None:
    elsewhere = f"{emsp.base_url}/ocpi/2.2.1/elsewhere"
    pinned = [Endpoint("sessions", "RECEIVER", elsewhere)]
    await cpo.service.change(cpo.catalogue.partners[EMP], "test", pinned)
    session = await cpo.session()
    await emsp.wait_for(
        lambda: [
            each for each in emsp.arrivals if each.path.endswith(f"elsewhere/IN/CPO/{session.id}")
        ]
    )


# -- lists


async def test_page_sizes(cpo: World, emsp: Emsp, ask: Asker) -> None:
    for number in range(2, 62):
        await cpo.add_site(LocationId(f"PUNE-{number}"))
    usual = await ask("GET", "/2.2.1/locations")
    assert len(usual.data) == 50 and usual.headers["X-Limit"] == "50" and "Link" in usual.headers
    await turn(cpo, page_default="60", page_most="1000")
    first = await ask("GET", "/2.2.1/locations")
    assert len(first.data) == 60 and first.headers["X-Limit"] == "1000"
    whole = await ask("GET", "/2.2.1/locations?limit=1000")
    assert len(whole.data) == 61 and "Link" not in whole.headers
    assert len((await ask("GET", "/2.2.1/locations?limit=5000")).data) == 61


async def test_extra_reads(cpo: World, emsp: Emsp, ask: Asker) -> None:
    mine, other = await cpo.session(), await cpo.session(PartnerId("IN*OTH"))
    bill, foreign = await cpo.settle(mine), await cpo.settle(other)
    there = {
        f"/2.2.1/sessions/{mine.id}": mine.id,
        f"/2.2.1/cdrs/{bill.id}": bill.id,
        f"/2.2.1/tariffs/{SHELF}": SHELF,
        f"/2.2.1/tariffs/IN/CPO/{SHELF}": SHELF,
    }
    for path in there:
        assert (await ask("GET", path)).http == 404
    await turn(cpo, extra_reads="true")
    for path, id in there.items():
        assert (await ask("GET", path)).data["id"] == id
    for path in (
        f"/2.2.1/sessions/{other.id}", f"/2.2.1/cdrs/{foreign.id}", "/2.2.1/tariffs/NONE",
        f"/2.2.1/tariffs/IN/XXX/{SHELF}",
    ):  # fmt: skip
        assert (await ask("GET", path)).http == 404
    assert (await ask("PUT", f"/2.2.1/tariffs/{SHELF}", {})).http == 405  # read only


# -- EVSEs


async def test_evse_id_for_uid(cpo: World, emsp: Emsp, ask: Asker) -> None:
    path = "/2.2.1/locations/PUNE-1/IN*CPO*ECS11"
    assert (await ask("GET", path)).http == 404
    await turn(cpo, evse_id_for_uid="true")
    assert (await ask("GET", path)).data["uid"] == "CS1-1"
    assert (await ask("GET", "/2.2.1/locations/PUNE-1/CS1-1")).data["uid"] == "CS1-1"


async def test_evse_id_key(cpo: World, emsp: Emsp, ask: Asker) -> None:
    await cpo.add_station(type(cpo.catalogue.stations["CS1"].id)("CS2"))  # type: ignore[index]
    order = {
        "response_url": f"{emsp.url('commands')}/START_SESSION/1",
        "token": wire(),
        "location_id": SITE,
        "evse_id": "CS1-1",
    }
    await turn(cpo, evse_id_key="true")
    assert (await ask("POST", "/2.2.1/commands/START_SESSION", order)).data["result"] == "ACCEPTED"
    await until(lambda: cpo.link.sent)
    second = {**order, "response_url": f"{emsp.url('commands')}/START_SESSION/2", "evse_id": "X"}
    # on, it is the EVSE that is meant, and there is none; off, the key means nothing
    assert (await ask("POST", "/2.2.1/commands/START_SESSION", second)).code == 2003
    await turn(cpo)
    answer = await ask("POST", "/2.2.1/commands/START_SESSION", second)
    assert answer.code == 1000


# -- bills


async def test_cdr_path(cpo: World, emsp: Emsp) -> None:
    await turn(cpo, cdr_path="party-after-404")
    gone = emsp.faults.add(Fault(Kind.HTTP, "cdrs", "POST", times=1, http=404))
    await cpo.settle(await cpo.session())
    tries = await emsp.wait_for(
        lambda: (
            found if len(found := [e for e in emsp.arrivals if e.module == "cdrs"]) > 1 else None
        )
    )
    assert gone.hits == 1
    assert [each.path.partition("/2.2.1/")[2] for each in tries][:2] == ["cdrs", "cdrs/IN/CPO"]


async def test_cdr_path_is_the_plain_one_by_default(cpo: World, emsp: Emsp) -> None:
    emsp.faults.add(Fault(Kind.HTTP, "cdrs", "POST", times=1, http=404))
    bill = await cpo.settle(await cpo.session())
    await emsp.wait_for(lambda: [e for e in emsp.arrivals if e.module == "cdrs"])
    await until_kept(lambda: cpo.store.deliveries(EMP, "parked"))
    assert {e.path.partition("/2.2.1/")[2] for e in emsp.arrivals if e.module == "cdrs"} == {"cdrs"}
    assert (await cpo.store.delivery(EMP, "cdr", bill.id)) is not None


# -- dates and clocks


async def test_dates_without_zone(cpo: World, emsp: Emsp, ask: Asker) -> None:
    body = {**wire("ZONE"), "last_updated": "2026-03-01T12:00:00"}
    path = "/2.2.1/tokens/IN/EMP/ZONE"
    await ask("PUT", path, body)
    known = cpo.catalogue.token(EMP, "ZONE", TokenType.RFID)
    assert known is not None and known.last_updated == datetime(2026, 3, 1, 12, tzinfo=UTC)
    await turn(cpo, dates_without_zone="Asia/Kolkata")
    await ask("PUT", path, {**body, "last_updated": "2026-03-02T12:00:00.5"})
    known = cpo.catalogue.token(EMP, "ZONE", TokenType.RFID)
    at = datetime(2026, 3, 2, 6, 30, 0, 500_000, tzinfo=UTC)
    assert known is not None and known.last_updated == at
    await ask("PUT", path, {**body, "last_updated": "2026-03-03T12:00:00+01:00"})
    known = cpo.catalogue.token(EMP, "ZONE", TokenType.RFID)
    assert known is not None and known.last_updated == datetime(2026, 3, 3, 11, tzinfo=UTC)
    soon = (now() + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S")
    assert (await ask("GET", f"/2.2.1/locations?date_from={soon}")).data != []


async def test_clock_skew_seconds(cpo: World, emsp: Emsp, ask: Asker) -> None:
    newest = now()
    path, body = "/2.2.1/tokens/IN/EMP/SKEW", wire("SKEW", last_updated=newest.isoformat())
    await ask("PUT", path, body)

    async def older(seconds: int) -> bool:
        """Block the token as of *seconds* ago; whether that counted."""
        at = (newest - timedelta(seconds=seconds)).isoformat()
        await ask("PUT", path, {**body, "valid": False, "last_updated": at})
        known = cpo.catalogue.token(EMP, "SKEW", TokenType.RFID)
        assert known is not None
        return not known.valid

    assert not await older(60)
    await turn(cpo, clock_skew_seconds="120")
    assert not await older(300)
    assert await older(60)


@pytest.mark.parametrize(
    ("position", "fraction"),
    [("whole", r""), ("fraction", r"\.\d{3}"), ("shortest", r"(\.\d{3})?")],
)
async def test_dates_out(cpo: World, emsp: Emsp, ask: Asker, position: str, fraction: str) -> None:
    await turn(cpo, dates_out=position)
    session = await cpo.session()
    pushed = await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", session.id))
    answer = await ask("GET", "/2.2.1/locations")
    moments = [
        pushed[-1].body["last_updated"],  # type: ignore[index]
        answer.data[0]["last_updated"],
        answer.data[0]["evses"][0]["last_updated"],
        answer.envelope["timestamp"],
    ]
    assert all(re.fullmatch(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d{fraction}Z", m) for m in moments)


# -- what a hub asks of the operator


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_authorise_here(cpo: World, emsp: Emsp, ask: Asker, method: str) -> None:
    cards: dict[str, dict[str, Any]] = {
        "GOOD": {}, "BAD": {"valid": False}, "ASK": {"whitelist": Whitelist.NEVER},
    }  # fmt: skip
    for uid, more in cards.items():
        await cpo.administration.put_token(token(uid=uid, **more), OPERATOR)
    path = "/2.2.1/tokens/IN/EMP/{}/authorize"
    assert (await ask(method, path.format("GOOD"), {})).http == 404
    await turn(cpo, authorise_here="true")
    before = list(cpo.catalogue.tokens())
    wanted = {"GOOD": "ALLOWED", "BAD": "BLOCKED", "ASK": "NOT_ALLOWED", "NONE": "UNKNOWN"}
    for uid, allowed in wanted.items():
        assert (await ask(method, path.format(uid), {})).data["allowed"] == allowed
    assert list(cpo.catalogue.tokens()) == before  # nothing was changed
    foreign = await ask(method, "/2.2.1/tokens/IN/OTH/GOOD/authorize", {})
    assert foreign.http == 404
