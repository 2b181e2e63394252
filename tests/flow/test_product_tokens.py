"""Cards of a partner: who decides, how long a driver waits, and whose bill it becomes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from simulators.emsp import Emsp
from simulators.emsp.tokens import Script
from simulators.station import StationSimulator
from tests.flow.product import VERSIONS, Json, Product, card, fault_free, product
from tests.harness import charger as scripted
from tests.harness.charger import plugged, stamp

CARD = "RFID-1"

both_versions = pytest.mark.parametrize("version", VERSIONS)
asking = pytest.mark.parametrize("whitelist", ["ALLOWED_OFFLINE", "NEVER"])


@asynccontextmanager
async def known(
    folder: Path, whitelist: str, version: str = "1.6"
) -> AsyncIterator[tuple[Product, Emsp, StationSimulator]]:
    """A partner whose card ``RFID-1`` we know with that rule, and one charger."""
    async with product(folder) as cpo:
        emsp = await cpo.partner()
        answer = await emsp.push_token(emsp.tokens.add(CARD, whitelist=whitelist))
        assert answer.code == 1000
        yield cpo, emsp, await cpo.station(version=version)


async def charged(cpo: Product, emsp: Emsp, station: StationSimulator) -> tuple[Json, Json]:
    """Charge with the card; returns the partner's copies of session and bill."""
    transaction = await station.start_local(id_tag=CARD)
    assert transaction is not None, "the card was refused"
    await station.session_started()
    session = await cpo.session()
    await emsp.wait_for(lambda: [s for s in emsp.store.sessions.values() if s["kwh"] > 0])
    await station.stop_local()
    await station.session_finished()
    bill = await emsp.wait_for(lambda: emsp.cdr_of(session["id"]))
    (copy,) = emsp.store.sessions.values()
    assert int(bill["total_energy"] * 1000) == transaction.energy_wh
    return copy, bill


@both_versions
@pytest.mark.parametrize("whitelist", ["ALWAYS", "ALLOWED"])
async def test_a_whitelisted_card_charges_without_asking_anybody(
    tmp_path: Path, version: str, whitelist: str
) -> None:
    async with known(tmp_path, whitelist, version) as (cpo, emsp, station):
        session, bill = await charged(cpo, emsp, station)
        assert emsp.tokens.asked == []
        assert session["auth_method"] == bill["auth_method"] == "WHITELIST"
        assert bill["cdr_token"]["uid"] == CARD
        fault_free(emsp)


@both_versions
@asking
async def test_the_partners_own_reference_goes_through_session_and_bill(
    tmp_path: Path, version: str, whitelist: str
) -> None:
    async with known(tmp_path, whitelist, version) as (cpo, emsp, station):
        emsp.tokens.scripts[CARD] = Script(reference="their-ref-1")
        session, bill = await charged(cpo, emsp, station)
        assert len(emsp.tokens.asked) == 1, "one driver, one question"
        assert session["authorization_reference"] == bill["authorization_reference"]
        assert bill["authorization_reference"] == "their-ref-1"
        assert bill["auth_method"] == "AUTH_REQUEST"
        fault_free(emsp)


@both_versions
@asking
@pytest.mark.parametrize("word", ["BLOCKED", "EXPIRED", "NO_CREDIT", "NOT_ALLOWED", "UNKNOWN"])
async def test_a_partners_no_is_a_no(
    tmp_path: Path, version: str, whitelist: str, word: str
) -> None:
    async with known(tmp_path, whitelist, version) as (cpo, emsp, station):
        emsp.tokens.scripts[CARD] = Script(word)
        assert await station.start_local(id_tag=CARD) is None
        assert [each.uid for each in emsp.tokens.asked] == [CARD]
        assert (await cpo.api.get("/sessions"))["total"] == 0


@asking
async def test_a_slow_partner_keeps_the_driver_two_seconds_at_most(
    tmp_path: Path, whitelist: str
) -> None:
    """Where our copy may stand in it does; where it may not, silence is a no."""
    async with known(tmp_path, whitelist) as (_, emsp, station):
        emsp.tokens.scripts[CARD] = Script(seconds=8)
        began = time.monotonic()
        accepted = await station.authorize(CARD)
        assert time.monotonic() - began < 3.5
        assert accepted is (whitelist == "ALLOWED_OFFLINE")


@asking
async def test_a_partner_that_is_down_costs_no_waiting(tmp_path: Path, whitelist: str) -> None:
    async with known(tmp_path, whitelist) as (_, emsp, station):
        await emsp.go_down()
        began = time.monotonic()
        accepted = await station.authorize(CARD)
        assert time.monotonic() - began < 3.5
        assert accepted is (whitelist == "ALLOWED_OFFLINE")


@both_versions
@pytest.mark.parametrize("whitelist", ["ALWAYS", "ALLOWED", "ALLOWED_OFFLINE", "NEVER"])
async def test_a_revoked_card_is_refused_at_the_next_authorize(
    tmp_path: Path, version: str, whitelist: str
) -> None:
    async with known(tmp_path, whitelist, version) as (_, emsp, station):
        token = emsp.tokens.held[CARD, "RFID"]
        assert await station.authorize(CARD), "it is good, and a yes of the partner is remembered"
        answer = await emsp.push_token({**token, "valid": False})
        emsp.tokens.change(CARD, valid=False)
        began = time.monotonic()
        assert answer.code == 1000
        assert not await station.authorize(CARD)
        assert time.monotonic() - began < 1.0


@both_versions
async def test_a_card_that_nobody_knows_is_refused(tmp_path: Path, version: str) -> None:
    async with known(tmp_path, "ALWAYS", version) as (cpo, emsp, station):
        assert await station.start_local(id_tag="STRANGER") is None
        assert (await cpo.api.get("/sessions"))["total"] == 0
        assert emsp.tokens.asked == [], "partners are not told who charges where"


@both_versions
async def test_a_session_of_an_unknown_card_is_kept_for_a_person(
    tmp_path: Path, version: str
) -> None:
    """A charger that let a stranger charge while it was alone: kept, refused, billed to nobody."""
    async with known(tmp_path, "ALWAYS", version) as (cpo, emsp, station):
        await station.go_offline()
        transaction = await station.start_local(id_tag="STRANGER")
        assert transaction is not None
        await station.until(lambda: len(station.queue) > 2)  # energy has flowed
        station.go_online()
        await station.session_finished()
        assert transaction.stop_reason == "DeAuthorized", "our answer to the start says no"
        item = await cpo.work("unknown_token")
        session = await cpo.session()
        assert item["subject"] == f"session:{session['id']}" and session["partner"] is None
        assert "unknown_token" in session["flags"]
        assert (await cpo.bill())["partner"] is None
        assert emsp.store.sessions == {} and emsp.store.cdrs == {}


async def told_late(client: scripted.Charger, version: str, tag: str) -> None:
    """Tell a session of half an hour that ended ten minutes ago, as after a lost connection."""
    begin, end = stamp(minutes=40), stamp(minutes=10)
    if version == "1.6":
        answer = await client.call("StartTransaction", scripted.start16(tag, 1_000, begin))
        number = answer["transactionId"]
        await client.call("StopTransaction", scripted.stop16(number, 9_000, end))
        return
    started = scripted.event201("Started", "T-1", 0, 1_000, begin, tag, offline=True)
    await client.call("TransactionEvent", started)
    await client.call(
        "TransactionEvent", scripted.event201("Ended", "T-1", 1, 9_000, end, offline=True)
    )


@both_versions
@pytest.mark.parametrize("whitelist", ["ALWAYS", "ALLOWED", "ALLOWED_OFFLINE"])
async def test_a_session_without_connection_is_billed_by_our_copy_of_the_card(
    tmp_path: Path, version: str, whitelist: str
) -> None:
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner()
        await emsp.push_token(emsp.tokens.add(CARD, whitelist=whitelist))
        async with plugged(cpo.network, version=version) as client:
            await told_late(client, version, CARD)
            bill = await emsp.wait_for(lambda: list(emsp.store.cdrs.values()))
        assert emsp.tokens.asked == [], "what has long happened needs no permission"
        assert bill[0]["total_energy"] == 8 and bill[0]["auth_method"] == "WHITELIST"
        fault_free(emsp)


@both_versions
async def test_a_session_without_connection_of_a_card_that_must_be_asked_about_waits_for_a_person(
    tmp_path: Path, version: str
) -> None:
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner()
        await emsp.push_token(emsp.tokens.add(CARD, whitelist="NEVER"))
        async with plugged(cpo.network, version=version) as client:
            await told_late(client, version, CARD)
            session = await cpo.session()
            assert session["energy_wh"] == 8_000
            item = await cpo.work("unknown_token")
            assert item["subject"] == f"session:{session['id']}"
            assert item["evidence"]["refused"] is True
        assert emsp.tokens.asked == [] and emsp.store.cdrs == {}


@both_versions
async def test_a_person_may_assign_such_a_session_to_its_partner(
    tmp_path: Path, version: str
) -> None:
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner()
        await emsp.push_token(emsp.tokens.add(CARD, whitelist="NEVER"))
        async with plugged(cpo.network, version=version) as client:
            await told_late(client, version, CARD)
            item = await cpo.work("unknown_token")
        body = {"action": "assign", "target": f"IN*EMP:{CARD}", "note": "they agreed"}
        await cpo.api.post(f"/work-items/{item['id']}/actions", body)
        (bill,) = await emsp.wait_for(lambda: list(emsp.store.cdrs.values()))
        assert bill["total_energy"] == 8 and bill["cdr_token"]["uid"] == CARD
        fault_free(emsp)


@both_versions
async def test_a_card_that_its_partner_refuses_is_not_billed_to_it(
    tmp_path: Path, version: str
) -> None:
    """A charger that starts all the same, and stops when it hears our answer."""
    async with known(tmp_path, "NEVER", version) as (cpo, emsp, station):
        emsp.tokens.scripts[CARD] = Script("BLOCKED")
        station.plug()
        station.begin(station.outlets[1], CARD, "ISO14443", "Authorized")
        await station.session_finished()
        await cpo.bill()
        assert emsp.store.sessions == {} and emsp.store.cdrs == {}
        fault_free(emsp)


@both_versions
async def test_our_own_card_charges_and_no_partner_hears_of_it(
    tmp_path: Path, version: str
) -> None:
    async with product(tmp_path) as cpo:
        emsp = await cpo.partner()
        station = await cpo.station(version=version)
        assert await station.start_local(id_tag=card()) is not None
        await station.session_started()
        await cpo.until_told("/sessions", lambda found: found["sessions"][0]["energy_wh"])
        await station.stop_local()
        await station.session_finished()
        bill = await cpo.bill()
        assert bill["partner"] is None
        assert bill["energy_wh"] == station.transactions[0].energy_wh
        assert emsp.store.sessions == {} and emsp.store.cdrs == {}
        fault_free(emsp)
