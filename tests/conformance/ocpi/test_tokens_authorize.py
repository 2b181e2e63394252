"""Tokens, receiver and puller (A11); asking in real time (A12)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cms.domain.token import AuthMethod, TokenType, Verdict
from ocpi_cpo.versions.v221.people import token_out
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.partner import Emsp
from simulators.emsp.tokens import Script
from tests.conformance.ocpi.world import (
    EMP,
    EVSE,
    OPERATOR,
    OTHER,
    Asker,
    World,
    now,
    running,
    token,
    until,
)
from tests.conformance.statements import reading


def wire(uid: str = "T1", **more: Any) -> dict[str, Any]:
    return {**token_out(token(uid=uid), now()).wire(), **more}


async def test_tk_01_and_05_a_token_is_stored_as_it_came(cpo: World, ask: Asker) -> None:
    body = wire(visual_number="V1", energy_contract={"supplier_name": "Green"})
    assert (await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", body)).http == 201
    assert (await ask("GET", "/2.2.1/tokens/IN/EMP/T1")).data == body
    assert (await ask("GET", "/2.2.1/tokens/IN/EMP/T2")).http == 404
    assert cpo.forgotten == [(EMP, "T1")]


async def test_tk_02_the_type_is_part_of_the_key(ask: Asker) -> None:
    await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", wire(issuer="card"))
    app = wire(type="APP_USER", issuer="app")
    assert (await ask("PUT", "/2.2.1/tokens/IN/EMP/T1?type=APP_USER", app)).http == 201
    assert (await ask("GET", "/2.2.1/tokens/IN/EMP/T1")).data["issuer"] == "card"
    assert (await ask("GET", "/2.2.1/tokens/IN/EMP/T1?type=APP_USER")).data["issuer"] == "app"


async def test_tk_03_a_patch_without_last_updated_answers_2001(ask: Asker) -> None:
    await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", wire())
    heard = await ask("PATCH", "/2.2.1/tokens/IN/EMP/T1", {"valid": False})
    assert (heard.http, heard.code) == (200, 2001)
    assert (await ask("GET", "/2.2.1/tokens/IN/EMP/T1")).data["valid"] is True


@reading
async def test_tk_04_a_patch_of_an_unknown_token_answers_404_and_2004(ask: Asker) -> None:
    body = {"valid": False, "last_updated": "2099-01-01T00:00:00Z"}
    heard = await ask("PATCH", "/2.2.1/tokens/IN/EMP/T1", body)
    assert (heard.http, heard.code) == (404, 2004)


@reading
async def test_tk_06_a_type_that_differs_from_the_query_answers_2001(ask: Asker) -> None:
    heard = await ask("PUT", "/2.2.1/tokens/IN/EMP/T1?type=APP_USER", wire())
    assert heard.code == 2001


@pytest.mark.parametrize(
    "missing",
    "country_code party_id uid type contract_id issuer valid whitelist last_updated".split(),
)
async def test_tk_07_a_token_without_a_required_field_changes_nothing(
    ask: Asker, missing: str
) -> None:
    await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", wire())
    before = (await ask("GET", "/2.2.1/tokens/IN/EMP/T1")).data
    body = {name: value for name, value in wire(valid=False).items() if name != missing}
    heard = await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", body)
    assert (heard.http, heard.code) == (200, 2001)
    assert missing in heard.envelope["status_message"]
    assert (await ask("GET", "/2.2.1/tokens/IN/EMP/T1")).data == before


@reading
async def test_tk_08_an_older_token_does_not_replace_a_newer_one(ask: Asker) -> None:
    await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", wire())
    old = wire(valid=False, last_updated="2020-01-01T00:00:00Z")
    assert (await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", old)).code == 1000
    assert (await ask("GET", "/2.2.1/tokens/IN/EMP/T1")).data["valid"] is True


@reading
async def test_tk_09_and_11_the_list_is_pulled_at_registration_and_on_demand(cpo: World) -> None:
    async with Emsp() as emsp:
        for number in range(120):  # more than one page
            emsp.tokens.add(f"CARD{number}")
        await cpo.connect(emsp)
        await until(lambda: sum(1 for _ in cpo.catalogue.tokens()) == 120)
        emsp.tokens.held.pop(("CARD7", "RFID"))
        emsp.tokens.add("CARD7", type="APP_USER")
        await cpo.service.pull_tokens(EMP)
        gone = cpo.catalogue.token(EMP, "card7", TokenType.RFID)
        assert gone is not None and gone.valid is False
        new = cpo.catalogue.token(EMP, "CARD7", TokenType.APP_USER)
        assert new is not None and new.valid
        assert not emsp.complaints


@reading
async def test_tk_13_one_partner_neither_reads_nor_writes_anothers_tokens(
    cpo: World, ask: Asker
) -> None:
    await cpo.administration.put_token(token(OTHER, "T9"), OPERATOR)
    assert (await ask("GET", "/2.2.1/tokens/IN/OTH/T9")).http == 404
    foreign = wire("T9", party_id="OTH", valid=False)
    assert (await ask("PUT", "/2.2.1/tokens/IN/OTH/T9", foreign)).http == 404
    kept = cpo.catalogue.token(OTHER, "T9", TokenType.RFID)
    assert kept is not None and kept.valid


@reading
async def test_tk_14_the_same_uid_at_two_partners_is_two_tokens(cpo: World, ask: Asker) -> None:
    await cpo.administration.put_token(token(OTHER, "T1"), OPERATOR)
    assert (await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", wire())).http == 201
    assert {each.partner for each in cpo.catalogue.tokens_named("T1")} == {EMP, OTHER}


# -- A12


async def test_au_01_and_05_an_allowed_token_brings_a_reference(cpo: World, emsp: Emsp) -> None:
    emsp.tokens.add("CARD1")
    decision = await cpo.service.authority.authorise(EMP, None, "CARD1", EVSE)
    assert decision is not None and decision.accepted
    assert decision.method is AuthMethod.REQUEST
    [asked] = emsp.tokens.asked
    assert asked.location == {"location_id": "PUNE-1", "evse_uids": ["CS1-1"]}
    assert decision.reference == asked.reference
    assert decision.token is not None and decision.token.partner == EMP


async def test_au_01_the_type_is_said_unless_it_is_rfid(cpo: World, emsp: Emsp) -> None:
    app = token(EMP, "APP1", type=TokenType.APP_USER)
    await cpo.service.authority.authorise(EMP, app, "APP1", None)
    asked = [each.path for each in emsp.arrivals if each.path.endswith("APP_USER")]
    assert asked == ["/ocpi/2.2.1/tokens/APP1/authorize?type=APP_USER"]


@pytest.mark.parametrize(
    ("allowed", "verdict"),
    [
        ("BLOCKED", Verdict.BLOCKED),
        ("EXPIRED", Verdict.EXPIRED),
        ("NO_CREDIT", Verdict.BLOCKED),
        ("NOT_ALLOWED", Verdict.INVALID),
    ],
)
async def test_au_02_a_refusal_is_a_refusal(
    cpo: World, emsp: Emsp, allowed: str, verdict: Verdict
) -> None:
    emsp.tokens.scripts["CARD1"] = Script(allowed)
    decision = await cpo.service.authority.authorise(EMP, None, "CARD1", EVSE)
    assert decision is not None and decision.verdict is verdict


@pytest.mark.parametrize("http", [200, 404])
async def test_au_03_an_unknown_token_is_refused_in_either_form(
    cpo: World, emsp: Emsp, http: int
) -> None:
    emsp.tokens.scripts["CARD1"] = Script("UNKNOWN", unknown_http=http)
    decision = await cpo.service.authority.authorise(EMP, token(uid="CARD1"), "CARD1", EVSE)
    assert decision is not None and decision.verdict is Verdict.INVALID


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Kind.CLOSE, "tokens", "POST"),
        Fault(Kind.HTTP, "tokens", "POST", http=502),
        Fault(Kind.BAD_JSON, "tokens", "POST"),
        Fault(Kind.HTML, "tokens", "POST", http=200),
        Fault(Kind.OCPI, "tokens", "POST", status_code=3000),
        Fault(Kind.REDIRECT, "tokens", "POST"),
        Fault(Kind.HUGE, "tokens", "POST", size=2 * 1024 * 1024),
    ],
    ids=lambda fault: str(fault.kind.value),
)
async def test_au_08_what_is_no_answer_decides_nothing(
    cpo: World, emsp: Emsp, fault: Fault
) -> None:
    emsp.faults.add(replace(fault))
    assert await cpo.service.authority.authorise(EMP, None, "CARD1", EVSE) is None


@reading
async def test_au_04_a_partner_that_wants_the_place_is_told_it(cpo: World, emsp: Emsp) -> None:
    emsp.tokens.scripts["CARD1"] = Script("NEEDS_LOCATION")
    authority = cpo.service.authority
    told = await authority.authorise(EMP, None, "CARD1", EVSE)
    assert told is not None and told.accepted
    untold = await authority.authorise(EMP, None, "CARD1", None)
    assert untold is not None and not untold.accepted


@reading
@pytest.mark.parametrize(("only", "may"), [("CS1-1", True), ("CS1-2", False)])
async def test_au_04_a_yes_for_some_evses_is_a_no_for_the_others(
    cpo: World, emsp: Emsp, only: str, may: bool
) -> None:
    emsp.tokens.add("CARD1")
    emsp.tokens.scripts["CARD1"] = Script(only=(only,))
    decision = await cpo.service.authority.authorise(EMP, None, "CARD1", EVSE)
    assert decision is not None and decision.accepted is may


async def test_au_13_a_partner_that_hangs_is_given_up_at_the_deadline() -> None:
    async with running(authorise_deadline=timedelta(seconds=0.2)) as cpo, Emsp() as emsp:
        await cpo.connect(emsp)
        emsp.faults.add(Fault(Kind.BLACKHOLE, "tokens", "POST"))
        assert await cpo.service.authority.authorise(EMP, None, "CARD1", None) is None


async def test_an_answer_with_another_partys_token_is_no_yes(cpo: World, emsp: Emsp) -> None:
    emsp.tokens.add("CARD1", party_id="OTH")
    decision = await cpo.service.authority.authorise(EMP, None, "CARD1", EVSE)
    assert decision is not None and not decision.accepted
