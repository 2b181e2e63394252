"""Versions (A4), credentials and registration from either side (A5)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest

from cms.app.ports import Page
from cms.app.writes import Committed, Unit
from cms.domain.audit import WorkType
from cms.domain.partner import PartnerState
from ocpi_cpo.auth import Access, digest
from ocpi_cpo.connections import InboundToken, LinkState
from ocpi_cpo.errors import ClientApi, NoEndpoints, NoVersion, OcpiError
from simulators.emsp.client import RegistrationFailed
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.partner import INTERFACES, Emsp
from tests.conformance.ocpi.world import EMP, OTHER, Asker, World, now, running, until
from tests.conformance.statements import reading


async def test_ve_01_and_02_versions_lead_to_details_with_every_endpoint(ask: Asker) -> None:
    versions = (await ask("GET", "/versions")).data
    assert [each["version"] for each in versions] == ["2.1.1", "2.2", "2.2.1", "2.3.0"]
    address = next(each["url"] for each in versions if each["version"] == "2.2.1")
    details = (await ask("GET", address)).data
    assert details["version"] == "2.2.1"
    offered = {(each["identifier"], each["role"]) for each in details["endpoints"]}
    assert offered == {
        ("credentials", "SENDER"),
        ("locations", "SENDER"),
        ("sessions", "SENDER"),
        ("cdrs", "SENDER"),
        ("tariffs", "SENDER"),
        ("tokens", "RECEIVER"),
        ("commands", "RECEIVER"),
        ("chargingprofiles", "RECEIVER"),
        ("hubclientinfo", "RECEIVER"),
    }
    assert all(each["url"].startswith(ask.base) for each in details["endpoints"])


async def test_ve_04_a_module_that_the_partner_does_not_take_is_not_pushed(cpo: World) -> None:
    modules = tuple(each for each in INTERFACES if each != "sessions")
    async with Emsp(modules=modules) as emsp:
        await cpo.connect(emsp)
        session = await cpo.session()
        await cpo.settle(session)
        await emsp.wait_for(lambda: emsp.store.cdrs)
        assert not emsp.pushes("sessions")
        assert not emsp.complaints


async def test_ve_06_versions_answer_token_a_and_c_alike(cpo: World, ask: Asker) -> None:
    invited = Asker(cpo.base, await cpo.invite(OTHER))
    assert (await invited("GET", "/2.2.1")).data == (await ask("GET", "/2.2.1")).data


# -- the partner registers with us


async def test_cr_02_and_03_a_post_with_token_a_makes_partners(cpo: World) -> None:
    token_a = await cpo.invite()
    async with Emsp() as emsp:
        await emsp.register(cpo.versions_url, token_a)
        asked = [each.path for each in emsp.arrivals[:2]]
        assert asked == ["/ocpi/versions", "/ocpi/2.2.1"]
        new = Asker(cpo.base, emsp.connection.outbound)
        assert (await new("GET", "/2.2.1/locations")).http == 200
        assert (await Asker(cpo.base, token_a)("GET", "/versions")).http == 401
        assert cpo.catalogue.partners[EMP].state is PartnerState.CONNECTED
        assert not emsp.complaints


async def test_cr_03_the_spent_token_a_opens_nothing_not_even_for_another_post(
    cpo: World,
) -> None:
    token_a = await cpo.invite()
    async with Emsp() as emsp:
        await emsp.register(cpo.versions_url, token_a)
        await _until_one_token_is_left(cpo)
        body = {**emsp.credentials(), "token": "x" * 20}
        heard = await Asker(cpo.base, token_a)("POST", "/2.2.1/credentials", body)
        assert heard.http == 401


async def test_cr_04_a_partner_whose_api_does_not_answer_gets_3001(cpo: World) -> None:
    ask = Asker(cpo.base, await cpo.invite())
    body = _credentials(url="http://127.0.0.1:9/versions")
    heard = await ask("POST", "/2.2.1/credentials", body)
    assert (heard.http, heard.code) == (200, 3001)
    assert (await ask("GET", "/versions")).http == 200  # A still works


async def test_cr_04_a_partner_that_refuses_its_own_token_gets_3001(cpo: World) -> None:
    async with Emsp() as emsp:
        ask = Asker(cpo.base, await cpo.invite())
        heard = await ask("POST", "/2.2.1/credentials", _credentials(url=emsp.versions_url))
        assert heard.code == 3001


async def test_cr_04_a_partner_without_what_we_need_gets_3003_and_may_try_again(
    cpo: World,
) -> None:
    token_a = await cpo.invite()
    async with Emsp(modules=("credentials", "locations")) as poor:
        with pytest.raises(RegistrationFailed) as failed:
            await poor.register(cpo.versions_url, token_a)
        assert failed.value.code == 3003
    async with Emsp() as good:
        await good.register(cpo.versions_url, token_a)
    assert cpo.catalogue.partners[EMP].state is PartnerState.CONNECTED


async def test_cr_05_put_and_delete_before_registration_and_post_after_it_answer_405(
    cpo: World, ask: Asker
) -> None:
    invited = Asker(cpo.base, await cpo.invite(OTHER))
    assert (await invited("PUT", "/2.2.1/credentials", _credentials())).http == 405
    assert (await invited("DELETE", "/2.2.1/credentials")).http == 405
    assert (await ask("POST", "/2.2.1/credentials", _credentials())).http == 405


@reading
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_cr_06_an_unknown_token_answers_401(stranger: Asker, method: str) -> None:
    stranger.token = "nobody"
    assert (await stranger(method, "/2.2.1/credentials", _credentials())).http == 401


async def test_cr_07_a_put_looks_at_the_partner_again_and_gives_a_new_token(
    cpo: World, emsp: Emsp
) -> None:
    before, seen = emsp.connection.outbound, len(emsp.arrivals)
    await emsp.update_credentials()
    assert emsp.connection.outbound != before
    assert [each.path for each in emsp.arrivals[seen:]][:2] == ["/ocpi/versions", "/ocpi/2.2.1"]
    assert not emsp.complaints


@reading
async def test_cr_09_the_old_token_works_until_the_new_one_is_used(cpo: World, emsp: Emsp) -> None:
    old = Asker(cpo.base, emsp.connection.outbound)
    await emsp.update_credentials()
    assert (await old("GET", "/2.2.1/locations")).http == 200
    new = Asker(cpo.base, emsp.connection.outbound)
    assert (await new("GET", "/2.2.1/locations")).http == 200
    await _until_one_token_is_left(cpo)
    assert (await old("GET", "/2.2.1/locations")).http == 401


@reading
async def test_cr_09_the_old_token_dies_with_the_grace_even_if_the_new_one_is_never_used() -> None:
    async with running(token_grace=timedelta(0)) as cpo, Emsp() as emsp:
        await cpo.connect(emsp)
        old = Asker(cpo.base, emsp.connection.outbound)
        await emsp.update_credentials()
        assert (await old("GET", "/versions")).http == 401


@reading
async def test_cr_09_renewals_that_are_the_first_use_of_a_token_lose_none(
    cpo: World, emsp: Emsp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a token is used ends the one before; this must not end the one that comes of it."""
    commit = cpo.store.commit

    async def slow_alone(unit: Unit) -> Committed:
        if len(unit) == 1:  # the old token's end, and nothing of the renewal
            await asyncio.sleep(0.05)
        return await commit(unit)

    monkeypatch.setattr(cpo.store, "commit", slow_alone)
    ask = Asker(cpo.base, emsp.connection.outbound)
    body = {**emsp.credentials(), "token": next(iter(emsp.connection.inbound))}
    for _ in range(3):
        heard = await ask("PUT", "/2.2.1/credentials", body)
        assert (heard.http, heard.code) == (200, 1000)
        ask.token = heard.data["token"]
        await asyncio.sleep(0.1)  # the slow end of the old token comes after the renewal
    assert (await ask("GET", "/2.2.1/locations")).http == 200


@reading
async def test_cr_09_a_put_that_fails_leaves_everything_as_it_was(cpo: World, emsp: Emsp) -> None:
    ask = Asker(cpo.base, emsp.connection.outbound)
    before = cpo.service.connections.get(EMP)
    body = {**emsp.credentials(), "token": "b" * 20, "url": "http://127.0.0.1:9/versions"}
    assert (await ask("PUT", "/2.2.1/credentials", body)).code == 3001
    assert cpo.service.connections.get(EMP) == before
    assert (await ask("GET", "/2.2.1/locations")).http == 200


async def test_cr_10_a_get_shows_our_credentials_with_the_callers_own_token(ask: Asker) -> None:
    shown = (await ask("GET", "/2.2.1/credentials")).data
    assert shown["token"] == ask.token
    assert shown["url"] == f"{ask.base}/versions"
    assert [(r["role"], r["country_code"], r["party_id"]) for r in shown["roles"]] == [
        ("CPO", "IN", "CPO")
    ]


async def test_cr_11_a_delete_ends_both_directions(cpo: World, emsp: Emsp, ask: Asker) -> None:
    heard = await ask("DELETE", "/2.2.1/credentials")
    assert (heard.http, heard.code) == (200, 1000)
    assert (await ask("GET", "/versions")).http == 401
    seen = len(emsp.arrivals)
    await cpo.session()
    async with Emsp(party_id="OTH") as witness:  # when it has been told, so would the other be
        await cpo.connect(witness)
        await witness.wait_for(lambda: witness.store.locations)
    assert len(emsp.arrivals) == seen
    assert cpo.catalogue.partners[EMP].state is PartnerState.GONE


@pytest.mark.parametrize("missing", ["token", "url", "roles"])
async def test_cr_15_credentials_without_a_required_field_answer_2001(
    cpo: World, missing: str
) -> None:
    body = {name: value for name, value in _credentials().items() if name != missing}
    heard = await Asker(cpo.base, await cpo.invite())("POST", "/2.2.1/credentials", body)
    assert (heard.http, heard.code) == (200, 2001)
    assert missing in heard.envelope["status_message"]


async def test_cr_16_a_role_named_twice_is_refused(cpo: World) -> None:
    body = _credentials()
    body["roles"] = body["roles"] * 2
    heard = await Asker(cpo.base, await cpo.invite())("POST", "/2.2.1/credentials", body)
    assert heard.code == 2001


@reading
async def test_cr_18_a_party_that_somebody_else_holds_cannot_be_claimed(
    cpo: World, emsp: Emsp
) -> None:
    ask = Asker(cpo.base, await cpo.invite(OTHER))
    both = [_role("OTH"), _role("EMP")]
    heard = await ask("POST", "/2.2.1/credentials", {**_credentials(), "roles": both})
    assert (heard.http, heard.code) == (200, 2001)


async def test_a_party_that_was_not_agreed_cannot_register(cpo: World) -> None:
    ask = Asker(cpo.base, await cpo.invite(OTHER))
    heard = await ask("POST", "/2.2.1/credentials", _credentials())
    assert (heard.http, heard.code) == (200, 2001)


# -- we register with a partner


async def test_cr_13_we_register_and_our_token_works_while_the_post_is_open(cpo: World) -> None:
    async with Emsp() as emsp:
        await cpo.invite()
        token_a = emsp.hand_out_token()
        await cpo.service.register(EMP, emsp.versions_url, token_a, "test")
        assert emsp.connection.registered
        await emsp.wait_for(lambda: emsp.store.locations)
        assert not emsp.complaints
        assert [each.method for each in emsp.arrivals[:3]] == ["GET", "GET", "POST"]


async def test_cr_12_and_vers_as_sender_we_do_not_post_to_a_partner_that_lacks_what_we_need(
    cpo: World,
) -> None:
    async with Emsp(modules=("credentials",)) as emsp:
        await cpo.invite()
        with pytest.raises(NoEndpoints):
            await cpo.service.register(EMP, emsp.versions_url, emsp.hand_out_token(), "test")
        assert "POST" not in {each.method for each in emsp.arrivals}


async def test_cr_12_a_partner_without_our_version_is_told_apart(cpo: World) -> None:
    async with Emsp(versions=("9.9",)) as emsp:
        await cpo.invite()
        with pytest.raises(NoVersion):
            await cpo.service.register(EMP, emsp.versions_url, emsp.hand_out_token(), "test")
        assert {each.method for each in emsp.arrivals} == {"GET"}
        with pytest.raises(ClientApi):
            # its details address answers an object, not the list of versions
            await cpo.service.register(EMP, emsp.details_url, emsp.hand_out_token(), "test")


@reading
async def test_cr_14_the_returned_token_is_durable_and_token_a_forgotten(cpo: World) -> None:
    async with Emsp() as emsp:
        await cpo.invite()
        token_a = emsp.hand_out_token()
        await cpo.service.register(EMP, emsp.versions_url, token_a, "test")
        kept = b"".join((await cpo.store.documents("ocpi.connection")).values())
        assert token_a.encode() not in kept
        assert next(iter(emsp.connection.inbound)).encode() in kept
        assert (emsp.connection.outbound or "?").encode() not in kept  # inbound: a hash only


@reading
async def test_cr_14_a_registration_whose_answer_is_lost_can_be_repeated(cpo: World) -> None:
    async with Emsp() as emsp:
        await cpo.invite()
        emsp.faults.add(Fault(Kind.CLOSE, "credentials", "POST", times=1))
        token_a = emsp.hand_out_token()
        with pytest.raises(OcpiError):
            await cpo.service.register(EMP, emsp.versions_url, token_a, "test")
        await cpo.service.register(EMP, emsp.versions_url, token_a, "test")
        await emsp.wait_for(lambda: emsp.store.locations)


async def test_cr_19_we_renew_and_both_sides_go_on(cpo: World, emsp: Emsp) -> None:
    before = emsp.connection.outbound
    await cpo.service.renew(EMP, "test")
    assert emsp.connection.outbound != before
    session = await cpo.session()
    await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", session.id))
    assert len(await emsp.pull("locations")) == 1
    assert not emsp.complaints


async def test_cr_19_tokens_are_renewed_before_they_are_a_month_old(cpo: World, emsp: Emsp) -> None:
    token = emsp.connection.outbound
    await cpo.service.renew_old_tokens()
    assert emsp.connection.outbound == token  # still young
    connection = cpo.service.connections.get(EMP)
    assert connection is not None and connection.renewed_at is not None
    old = replace(connection, renewed_at=now() - timedelta(days=28))
    await cpo.service.connections.save(old)
    emsp.faults.add(Fault(Kind.OCPI, "credentials", "PUT", times=1, status_code=3000))
    await cpo.service.renew_old_tokens()
    assert emsp.connection.outbound == token  # it would not; both sides go on
    assert (await Asker(cpo.base, token)("GET", "/versions")).http == 200
    await cpo.service.renew_old_tokens()
    assert emsp.connection.outbound != token
    session = await cpo.session()
    await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", session.id))


async def test_cr_11_as_sender_we_tell_the_partner_that_we_leave(cpo: World, emsp: Emsp) -> None:
    await cpo.service.unregister(EMP, "test")
    assert not emsp.connection.registered
    connection = cpo.service.connections.get(EMP)
    assert connection is not None and connection.outbound is None


async def test_a_partner_that_refuses_our_token_is_stopped_with_a_work_item(
    cpo: World, emsp: Emsp
) -> None:
    emsp.connection.inbound.clear()  # it forgot us
    session = await cpo.session()
    await emsp.wait_for(lambda: emsp.pushes("sessions"))
    await until(lambda: cpo.catalogue.partners[EMP].state is PartnerState.SUSPENDED)
    connection = cpo.service.connections.get(EMP)
    assert connection is not None and connection.state is LinkState.REFUSED
    items = await cpo.store.work_items(True, Page())
    assert WorkType.PARTNER_REFUSES_US in {each.type for each in items}
    emsp.connection.accept(connection.outbound or "")  # and remembers
    await cpo.service.resume(EMP, "test")
    await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", session.id))


async def test_registration_survives_a_restart() -> None:
    async with Emsp() as emsp:
        async with running() as first:
            await first.small_network()
            await first.connect(emsp)
            await emsp.wait_for(lambda: emsp.store.locations)
        async with running(first.store) as again:
            ask = Asker(again.base, emsp.connection.outbound)
            assert (await ask("GET", "/2.2.1/locations")).http == 200
            session = await again.session()
            await emsp.wait_for(lambda: emsp.history("sessions", "IN", "CPO", session.id))


async def test_x7_a_lost_answer_to_a_post_lets_token_a_repeat_it(cpo: World) -> None:
    """The answer that held C never left: A, and nothing else, opens the same door again."""
    token_a = await cpo.invite()
    async with Emsp() as emsp:
        await emsp.register(cpo.versions_url, token_a)
        await _until_one_token_is_left(cpo)
        connection = cpo.service.connections.get(EMP)
        assert connection is not None
        # put the store back to the moment before the answer had been written
        lost = await _before_the_answer(cpo, token_a)
        cpo.service.connections._dead.clear()  # as after the restart that such a loss needs
        await cpo.service.connections.save(replace(connection, inbound=lost))
        ask = Asker(cpo.base, token_a)
        assert (await ask("GET", "/2.2.1/locations")).http == 401
        assert (await ask("GET", "/2.2.1/credentials")).http == 401
        assert (await ask("GET", "/versions")).http == 200  # where a repetition begins
        emsp.connection.accept("again" * 5)
        body = {**emsp.credentials(), "token": "again" * 5}
        heard = await ask("POST", "/2.2.1/credentials", body)
        assert heard.code == 1000
        new = Asker(cpo.base, heard.data["token"])
        assert (await new("GET", "/2.2.1/locations")).http == 200


async def test_cr_03_token_a_opens_nothing_before_it_is_forgotten(
    cpo: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forgetting it takes a commit; the partner's next request may be here before."""

    async def not_yet(partner: str, used: str) -> None:
        """The commit takes its time."""

    monkeypatch.setattr(cpo.service.registration, "_forget", not_yet)
    token_a = await cpo.invite()
    async with Emsp() as emsp:
        await emsp.register(cpo.versions_url, token_a)
        assert (await Asker(cpo.base, token_a)("GET", "/versions")).http == 401


async def test_a_partner_is_tried_at_once_when_an_operator_changes_how_it_is_served(
    cpo: World,
) -> None:
    async with Emsp() as emsp:
        await cpo.connect(emsp)
        worker = cpo.service.lines.worker(EMP)
        assert worker is not None
        worker._pace.failed(monotonic(), monotonic(), "a site", 600.0)
        assert worker.pause_seconds > 500
        await cpo.service.change(cpo.catalogue.partners[EMP], "test")
        assert worker.pause_seconds == 0


async def _before_the_answer(cpo: World, token_a: str) -> Any:
    connection = cpo.service.connections.get(EMP)
    assert connection is not None
    until = now() + timedelta(minutes=10)
    spent = InboundToken(digest(token_a), Access.REGISTRATION, until, answering=True)
    return (spent, *connection.inbound)


async def _until_one_token_is_left(cpo: World) -> None:
    def one() -> bool:
        connection = cpo.service.connections.get(EMP)
        return connection is not None and len(connection.inbound) == 1

    await until(one)


def _role(party: str) -> dict[str, Any]:
    return {
        "role": "EMSP",
        "country_code": "IN",
        "party_id": party,
        "business_details": {"name": "Somebody"},
    }


def _credentials(**more: Any) -> dict[str, Any]:
    body = {"token": "b" * 20, "url": "http://127.0.0.1:9/versions", "roles": [_role("EMP")]}
    return {**body, **more}
