"""Partners as they are, simulated, at the running product: whole sessions with their own habits."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from simulators.emsp import Driver, Emsp
from simulators.emsp.connection import Party
from simulators.emsp.driver import Habits
from simulators.emsp.partner import SHARED_UID
from simulators.emsp.receivers import Push
from simulators.emsp.wire import dumps, loads
from tests.flow.product import Json, Product, fault_free, product
from tests.flow.test_emsp_simulator import example, ours

QUICK = {"charging": {"session_push_seconds": 1.0}}


async def joined(cpo: Product, emsp: Emsp, profile: str) -> None:
    body = {
        "id": str(emsp.us),
        "name": emsp.name,
        "profile": profile,
        "allow_private_addresses": True,
    }
    invitation = await cpo.api.post("/partners", body)
    await emsp.register(invitation["url"], invitation["token"])
    await emsp.refresh("tariffs")
    await emsp.refresh("locations")


async def test_drivers_of_a_ubc_adaptor_share_a_token_and_are_cut_off_at_nine_tenths(
    tmp_path: Path,
) -> None:
    async with product(tmp_path, chargers=2, more=QUICK) as cpo, Emsp(preset="ubc") as emsp:
        await joined(cpo, emsp, "ubc-ocpi-adaptor")
        stations = [
            await cpo.station(0, power_w=60_000),
            await cpo.station(1, version="2.0.1", power_w=60_000),
        ]
        habits = Habits(energy_wh=(30, 40), patience=30)
        drives = await Driver(emsp, habits).drive(2, seed=7)
        assert [each.problem for each in drives] == [None, None]
        assert all(each.transactions for each in stations)
        stops = [each for each in emsp.commands.values() if each.name == "STOP_SESSION"]
        assert [each.answer for each in stops] == ["ACCEPTED"] * 2
        for drive in drives:
            bill = emsp.cdr_of(str(drive.session_id))
            assert bill is not None
            assert bill["cdr_token"]["uid"] == SHARED_UID
            assert Decimal(bill["total_energy"]) * 1000 > 27  # 90 % of the least
        for each in emsp.arrivals:
            assert not [name for name in each.headers if name.lower().startswith("ocpi-")]
        asked = [each for each in emsp.commands.values() if each.name == "START_SESSION"]
        assert len(asked) == 2 and all(each.answer == "ACCEPTED" for each in asked)
        assert {each.http for each in emsp.pushes("cdrs")} == {404, 201}
        fault_free(emsp)


@pytest.mark.parametrize("preset", ["legacy-2.1.1", "strict"])
async def test_a_partner_with_a_preset_charges_with_the_profile_of_that_name(
    tmp_path: Path, preset: str
) -> None:
    async with product(tmp_path, more=QUICK) as cpo, Emsp(preset=preset) as emsp:
        await joined(cpo, emsp, preset)
        await cpo.station(power_w=60_000)
        [drive] = await Driver(emsp, Habits(charge=(1.0, 1.0), stops=1.0, patience=30)).drive(1, 7)
        assert drive.problem is None
        assert not [each for each in emsp.arrivals if (each.http or 0) >= 400]
        fault_free(emsp)


# -- the strict one names the rule, and keeps nothing


SESSION: Json = {
    "country_code": "IN", "party_id": "CPO", "id": "S1", "kwh": 1, "status": "ACTIVE",
    "start_date_time": "2026-11-20T10:00:00Z", "last_updated": "2026-11-20T10:05:00Z",
    "auth_method": "COMMAND", "location_id": "L", "evse_uid": "E", "connector_id": "1",
    "currency": "INR",
    "cdr_token": {
        "country_code": "IN", "party_id": "EMP", "uid": "T", "type": "RFID", "contract_id": "C",
    },
}  # fmt: skip


def put(emsp: Emsp, **changes: object) -> tuple[int, str | None]:
    emsp.connection.parties = [Party("IN", "CPO")]
    push = Push("PUT", "sessions", ("IN", "CPO", "S1"), SESSION | changes)
    reply = emsp.receivers.serve(push)
    return reply.code, reply.message


OTHERS = {**SESSION["cdr_token"], "party_id": "BOB"}
BROKEN = [
    ({"last_updated": "2026-11-20T10:04:00Z"}, "last_updated"),
    ({"kwh": 0}, "kwh: fell from 1 to 0 (mod_sessions)"),
    ({"cdr_token": OTHERS}, "cdr_token"),
]


@pytest.mark.parametrize(("changes", "rule"), BROKEN, ids=[rule[:12] for _, rule in BROKEN])
def test_the_strict_partner_refuses_what_breaks_a_rule_and_keeps_what_it_had(
    changes: Json, rule: str
) -> None:
    emsp = Emsp(preset="strict")
    assert put(emsp)[0] == 1000
    code, message = put(emsp, **changes)
    assert code == 2001 and message is not None and message.startswith(rule)
    assert emsp.store.sessions["IN", "CPO", "S1"] == SESSION
    assert len(emsp.complaints) == 1


def test_the_well_behaved_partner_only_notes_it() -> None:
    emsp = Emsp()
    put(emsp)
    assert put(emsp, kwh=0)[0] == 1000
    assert len(emsp.complaints) == 1


# -- a bill taken back, and a hand at the controls


def billed(emsp: Emsp, **changes: object) -> list[str]:
    """Post a bill and its credit; what the partner finds wrong with the credit alone."""
    bill = loads(dumps(ours(example("cdr_example.json"))))
    emsp.connection.parties = [Party(bill["country_code"], bill["party_id"])]
    negated = {side: -amount for side, amount in bill["total_cost"].items()}
    credit = {
        **bill, "id": "CREDIT-1", "credit": True, "credit_reference_id": bill["id"],
        "total_cost": negated, **changes,
    }  # fmt: skip
    assert emsp.receivers.serve(Push("POST", "cdrs", (), bill)).code == 1000
    before = {each.reason for each in emsp.complaints}
    emsp.receivers.serve(Push("POST", "cdrs", (), loads(dumps(credit))))
    return sorted(each.field for each in emsp.complaints if each.reason not in before)


def test_a_credit_repeats_its_bill_and_negates_nothing_but_the_total() -> None:
    assert billed(Emsp()) == []
    assert billed(Emsp(), total_energy_cost={"excl_vat": -4}) == ["total_energy_cost"]
    assert billed(Emsp(), total_cost={"excl_vat": 4.0}) == [
        "total_cost.excl_vat",
        "total_cost.incl_vat",
    ]
    assert billed(Emsp(), credit_reference_id="NONE") == ["credit_reference_id"]


async def test_a_person_steers_the_partner_by_hand(tmp_path: Path) -> None:
    async with product(tmp_path, more=QUICK) as cpo, aiohttp.ClientSession() as http:
        emsp = await cpo.partner()
        station = await cpo.station()

        async def order(what: str, **body: object) -> tuple[int, Json]:
            url = f"{emsp.base_url}/_control/{what}"
            async with http.post(url, json=body) as answer:
                return answer.status, await answer.json()

        await emsp.push_token(emsp.tokens.add("SOME-CARD", whitelist="NEVER"))
        told = await order("policy", policy="blocked")
        assert told == (200, {})
        assert not await station.authorize("SOME-CARD")
        assert emsp.tokens.asked[-1].allowed == "BLOCKED"
        status, told_wrong = await order("policy", policy="rude")
        assert status == 422 and "one of honest" in told_wrong["error"]
        _, started = await order("start", location="SITE-0", evse=cpo.uid())
        assert started["answer"] == "ACCEPTED"
        session = await emsp.wait_for(lambda: emsp.session(started["authorization_reference"]))
        _, stopped = await order("stop", session=session["id"])
        assert stopped["answer"] == "ACCEPTED"
        await station.session_finished()
        assert (await order("command", name="DANCE"))[0] == 422
