"""The rest of A4, A5, A11 to A13: versions, registration, who may charge, and commands again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cms.app.authorising import Authoriser
from cms.app.remote import Asker as CoreAsker
from cms.app.remote import StartWish
from cms.app.supervision import Supervisor
from cms.app.writes import CommandRecord, Exchange, KeepExchange
from cms.domain.commands import Answer, Outcome, RemoteStart
from cms.domain.ids import EvseRef, StationId
from cms.domain.token import AuthMethod, Decision, Whitelist
from ocpi_cpo.versions.offered import newest_common
from ocpi_cpo.wire import dumps
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.partner import INTERFACES, Emsp
from simulators.emsp.tokens import Script
from tests.conformance.ocpi.test_commands import emsp_command
from tests.conformance.ocpi.test_tokens_authorize import wire
from tests.conformance.ocpi.world import (
    EMP,
    EVSE,
    OPERATOR,
    SITE,
    Asker,
    World,
    now,
    running,
    token,
    until,
)
from tests.conformance.statements import reading, statement

# -- A4, A5


async def test_ve_03_credentials_are_listed_once_and_a_partners_role_of_it_is_ignored(
    cpo: World, ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints = (await ask("GET", "/2.2.1")).data["endpoints"]
    ours = [each["role"] for each in endpoints if each["identifier"] == "credentials"]
    assert ours == ["SENDER"]
    monkeypatch.setitem(INTERFACES, "credentials", "RECEIVER")
    async with Emsp(party_id="OTH") as odd:
        await cpo.connect(odd)
        connection = cpo.service.connections.get(_partner(odd))
        assert connection is not None and connection.credentials_url == odd.url("credentials")


@reading
async def test_ve_05_and_08_unknown_modules_are_ignored_and_addresses_kept_as_given(
    cpo: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd(Emsp):
        def endpoints(self, *version: Any) -> list[Any]:
            odd = {"identifier": "nl-tnm-x", "role": "SENDER", "url": f"{self.base_url}/x"}
            return [odd, *super().endpoints(*version), {"identifier": "junk"}]

    async with Odd() as emsp:
        await cpo.connect(emsp)
        await emsp.wait_for(lambda: emsp.store.locations)
        connection = cpo.service.connections.get(EMP)
        assert connection is not None
        assert connection.endpoint("nl-tnm-x", "SENDER") == f"{emsp.base_url}/x"
        kept = {(e.module, e.role): e.url for e in connection.endpoints}
        for each in super(Odd, emsp).endpoints():
            assert kept[each["identifier"], each["role"]] == each["url"]
        assert not [each for each in emsp.arrivals if each.path.startswith("/x")]


def test_ve_05_and_07_the_highest_common_version_is_chosen() -> None:
    chosen = newest_common(["2.2.1"], ["2.0", "9.9", "2.2.1", "2.1.1"])
    assert chosen is not None and chosen.version == "2.2.1"
    assert newest_common(["2.2.1"], ["2.0", "9.9"]) is None


async def test_cr_01_token_a_is_made_by_an_operator_and_shown_once(cpo: World) -> None:
    token_a = await cpo.invite()
    assert (await Asker(cpo.base, token_a)("GET", "/versions")).http == 200
    kept = b"".join((await cpo.store.documents("ocpi.connection")).values())
    assert token_a.encode() not in kept  # a hash only: nobody can look it up again


async def test_cr_17_ids_need_no_prefix_of_their_party(ask: Asker) -> None:
    body = wire(contract_id="DE-XYZ-C1234567-8")
    assert (await ask("PUT", "/2.2.1/tokens/IN/EMP/T1", body)).http == 201


async def test_cr_15_and_16_our_credentials_name_every_party_of_ours_once() -> None:
    from ocpi_cpo.config import OwnParty

    parties = (OwnParty("IN", "CPO", "One"), OwnParty("IN", "TWO", "Two"))
    async with running(parties=parties) as cpo:
        shown = (await Asker(cpo.base, await cpo.invite())("GET", "/2.2.1/credentials")).data
        roles = [(r["role"], r["country_code"], r["party_id"]) for r in shown["roles"]]
        assert roles == [("CPO", "IN", "CPO"), ("CPO", "IN", "TWO")]
        assert [r["business_details"]["name"] for r in shown["roles"]] == ["One", "Two"]


# -- A12


def authoriser(cpo: World) -> Authoriser:
    errand = Supervisor().errand
    return Authoriser(cpo.catalogue, cpo.service.authority, cpo.remote.start_of, now, errand)


async def decide(cpo: World, emsp: Emsp, whitelist: Whitelist, valid: bool = True) -> Decision:
    """A driver holds a card of *emsp* before a reader; we hold a copy of the token."""
    card = token(uid="CARD1", whitelist=whitelist, valid=valid)
    await cpo.administration.put_token(card, OPERATOR)
    found = authoriser(cpo).authorise("CARD1", EVSE)
    return found if isinstance(found, Decision) else await found


def asked(emsp: Emsp) -> int:
    return len([each for each in emsp.arrivals if "authorize" in each.path])


@pytest.mark.parametrize("whitelist", [Whitelist.ALWAYS, Whitelist.ALLOWED])
async def test_au_06_and_07_and_13_our_copy_decides_and_nobody_is_asked(
    cpo: World, emsp: Emsp, whitelist: Whitelist
) -> None:
    decision = await decide(cpo, emsp, whitelist)
    assert decision.accepted and decision.method is AuthMethod.WHITELIST
    assert asked(emsp) == 0


@pytest.mark.parametrize("whitelist", [Whitelist.ALLOWED_OFFLINE, Whitelist.NEVER])
async def test_au_08_and_09_and_13_the_partner_is_asked(
    cpo: World, emsp: Emsp, whitelist: Whitelist
) -> None:
    emsp.tokens.add("CARD1")
    decision = await decide(cpo, emsp, whitelist)
    assert decision.accepted and decision.method is AuthMethod.REQUEST
    assert asked(emsp) == 1


@pytest.mark.parametrize(
    ("whitelist", "accepted"), [(Whitelist.ALLOWED_OFFLINE, True), (Whitelist.NEVER, False)]
)
async def test_au_08_and_09_without_an_answer_the_whitelist_says(
    cpo: World, emsp: Emsp, whitelist: Whitelist, accepted: bool
) -> None:
    emsp.faults.add(Fault(Kind.HTTP, "tokens", "POST", http=502))
    decision = await decide(cpo, emsp, whitelist)
    assert decision.accepted is accepted
    assert asked(emsp) == 1


@pytest.mark.parametrize("whitelist", [Whitelist.ALLOWED_OFFLINE, Whitelist.NEVER])
async def test_au_10_an_invalid_copy_does_not_stop_the_question(
    cpo: World, emsp: Emsp, whitelist: Whitelist
) -> None:
    emsp.tokens.add("CARD1")  # its issuer has allowed it again, we have not heard yet
    decision = await decide(cpo, emsp, whitelist, valid=False)
    assert decision.accepted and asked(emsp) == 1


@reading
@pytest.mark.parametrize("whitelist", [Whitelist.ALWAYS, Whitelist.ALLOWED])
async def test_au_11_an_invalid_copy_that_decides_refuses(
    cpo: World, emsp: Emsp, whitelist: Whitelist
) -> None:
    decision = await decide(cpo, emsp, whitelist, valid=False)
    assert not decision.accepted and asked(emsp) == 0


@reading
async def test_au_11_an_invalid_copy_refuses_while_the_partner_is_away(
    cpo: World, emsp: Emsp
) -> None:
    emsp.faults.add(Fault(Kind.HTTP, "tokens", "POST", http=502))
    decision = await decide(cpo, emsp, Whitelist.ALLOWED_OFFLINE, valid=False)
    assert not decision.accepted


@pytest.mark.parametrize("allowed", ["BLOCKED", "EXPIRED", "NO_CREDIT", "NOT_ALLOWED"])
async def test_au_12_a_refusal_is_never_taken_for_silence(
    cpo: World, emsp: Emsp, allowed: str
) -> None:
    emsp.tokens.scripts["CARD1"] = Script(allowed)
    decision = await decide(cpo, emsp, Whitelist.ALLOWED_OFFLINE)
    assert not decision.accepted


async def test_au_14_a_token_in_a_command_is_not_asked_about_and_stands_in_the_start(
    cpo: World, emsp: Emsp
) -> None:
    card = emsp.tokens.add("CARD1", whitelist="NEVER")
    command = await emsp.start_session(SITE, "CS1-1", token=card)
    assert await command.result() == "ACCEPTED"
    [sent] = cpo.link.sent
    assert isinstance(sent, RemoteStart)
    decision = authoriser(cpo).authorise(sent.id_token, EVSE)  # what the charger asks us next
    assert isinstance(decision, Decision) and decision.accepted
    assert decision.method is AuthMethod.COMMAND
    assert decision.token is not None and decision.token.uid == "CARD1"
    assert decision.reference == command.reference
    assert asked(emsp) == 0


@reading
async def test_tk_14_of_two_issuers_of_one_uid_the_same_is_always_chosen(
    cpo: World, emsp: Emsp
) -> None:
    async with Emsp(party_id="AAA") as first:
        await cpo.connect(first)
        for owner in (EMP, _partner(first)):
            await cpo.administration.put_token(token(owner, "SAME"), OPERATOR)
        chosen = {
            found.token.partner
            for _ in range(5)
            if isinstance(found := authoriser(cpo).authorise("SAME", EVSE), Decision)
            and found.token is not None
        }
        assert len(chosen) == 1


def _partner(emsp: Emsp) -> Any:
    return type(EMP)(str(emsp.us))


# -- A13


async def test_cm_11_accepted_is_said_though_nobody_plugs_in(cpo: World, emsp: Emsp) -> None:
    command = await emsp.start_session(SITE, "CS1-1", token=emsp.tokens.add("CARD1"))
    assert await command.result() == "ACCEPTED"
    assert not emsp.pushes("sessions") and not emsp.pushes("cdrs")


@statement("CM-10")
async def test_an_evse_that_wants_a_connector_is_not_started_without_one(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    station = cpo.catalogue.stations[EVSE.station]
    wants = tuple(
        replace(each, capabilities=("START_SESSION_CONNECTOR_REQUIRED",)) for each in station.evses
    )
    await cpo.administration.put_station(replace(station, evses=wants), OPERATOR)
    assert (await ask("POST", "/2.2.1/commands/START_SESSION", _start(emsp))).code == 2001
    body = {**_start(emsp), "connector_id": "1"}
    heard = await ask("POST", "/2.2.1/commands/START_SESSION", body)
    assert heard.data["result"] == "ACCEPTED"


async def test_a_partner_with_one_address_for_all_results_can_give_many_commands(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    """Some always name the same response_url; then the body tells commands apart."""
    command = emsp_command(emsp)
    await cpo.add_station(StationId("CS2"))
    from cms.domain.status import ConnectorReport

    await cpo.report(replace(EVSE, station=StationId("CS2")), ConnectorReport.FREE)
    url = command.body["response_url"]
    for uid in ("CS1-1", "CS2-1"):
        body = {**_start(emsp, uid), "response_url": url}
        heard = await ask("POST", "/2.2.1/commands/START_SESSION", body)
        assert heard.data["result"] == "ACCEPTED"
    await until(lambda: len(cpo.link.sent) == 2)
    await until(lambda: len(command.results) == 2)


async def test_what_was_refused_or_failed_can_be_asked_again_in_the_same_words(
    cpo: World, emsp: Emsp, ask: Asker
) -> None:
    command = emsp_command(emsp)
    body = {**_start(emsp), "response_url": command.body["response_url"]}
    await cpo.vanish(EVSE)
    heard = await ask("POST", "/2.2.1/commands/START_SESSION", body)
    assert heard.data["result"] == "REJECTED"
    from cms.domain.status import ConnectorReport

    await cpo.report(EVSE, ConnectorReport.FREE)
    cpo.link.answer = Answer(Outcome.REJECTED)
    for sent in (1, 2):
        heard = await ask("POST", "/2.2.1/commands/START_SESSION", body)
        assert heard.data["result"] == "ACCEPTED"
        await until(lambda sent=sent: len(command.results) == sent)
    assert len(cpo.link.sent) == 2


@pytest.mark.parametrize(("same", "sent"), [(True, 0), (False, 1)])
async def test_after_a_restart_a_request_is_a_repetition_only_in_the_same_words(
    same: bool, sent: int
) -> None:
    async with Emsp() as emsp:
        async with running() as first:
            await first.small_network()
            await first.connect(emsp)
            url = f"{emsp.url('commands')}/START_SESSION/one-for-all"
            body = {**_start(emsp), "response_url": url}
            asker = CoreAsker(f"partner:{EMP}", url)
            wish = StartWish(EVSE, token(), EMP)
            promised = await first.remote.accept_start(wish, asker)
            assert isinstance(promised, CommandRecord)
            kept = Exchange(
                now(), EMP, False, "command", promised.id, "POST", "", dumps(body), 200, b"", 0
            )
            await first.store.commit([KeepExchange(kept)])
        async with running(first.store) as again:
            from cms.domain.status import ConnectorReport

            await again.report(EVSE, ConnectorReport.FREE)
            ask = Asker(again.base, emsp.connection.outbound)
            await again.add_station(StationId("CS2"))  # the first EVSE waits for its car
            await again.report(EvseRef(StationId("CS2"), 1), ConnectorReport.FREE)
            other = {**body, "evse_uid": "CS2-1", "authorization_reference": "another wish"}
            await ask("POST", "/2.2.1/commands/START_SESSION", body if same else other)
            assert len(again.link.sent) <= sent
            if sent:
                await until(lambda: again.link.sent)


def _start(emsp: Emsp, uid: str = "CS1-1") -> dict[str, Any]:
    return {
        "response_url": f"{emsp.url('commands')}/START_SESSION/none",
        "token": wire("CARD1"),
        "location_id": SITE,
        "evse_uid": uid,
    }
