"""The gateway with real sockets, in front of a core small enough to read."""

from __future__ import annotations

import asyncio
import gc
import json
import socket as sockets
import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.server import ServerProtocol

from cms.app.ports import Registration, Visit
from cms.domain.commands import (
    ChangeAvailability,
    Outcome,
    RemoteStart,
    RemoteStop,
    Reset,
    ResetKind,
    Trigger,
    Unlock,
    Wanted,
)
from cms.domain.ids import CommandId, EvseRef, StationId, TransactionId
from cms.domain.meter import Quantity
from cms.domain.status import ConnectorReport
from cms.domain.transaction import ChargingState, EventKind, Flag
from ocpp_gateway.connection import Socket, StationConnection
from ocpp_gateway.limits import Limits
from ocpp_gateway.server import tls_context
from tests.flow.gateway_fakes import PATIENCE_S, FakeCore, basic, charger, serving

CS1 = StationId("CS1")
OURS = (Socket, StationConnection, ServerProtocol)
START = {
    "connectorId": 1,
    "idTag": "GOOD1",
    "meterStart": 100,
    "timestamp": "2026-11-20T10:00:00Z",
}


def remote_start() -> RemoteStart:
    return RemoteStart(CommandId("c1"), EvseRef(CS1, 1), "ABCDEFGH12345678", 7)


async def status_of_refusal(address: str, **options: Any) -> int:
    try:
        async with charger(address, **options):
            return 101
    except websockets.InvalidStatus as refusal:
        return refusal.response.status_code


# ---------------------------------------------------------------- handshake


async def test_a_known_charger_with_its_password_is_let_in() -> None:
    core = FakeCore()
    async with serving(core) as (gateway, address), charger(address) as station:
        assert station.socket.subprotocol == "ocpp1.6"
        assert await core.until("connected") == ("connected", "CS1", "ocpp1.6")
        assert [each.station for each in gateway.online()] == ["CS1"]


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"password": "wrong"}, 401),
        ({"password": None}, 401),
        ({"identity": "CS9", "password": "secret-1"}, 401),
        ({"identity": "CS2", "password": "secret-1"}, 401),
        ({"identity": "CS1%2F..%2Fetc"}, 404),
        ({"identity": "x" * 49}, 404),
        ({"identity": "CS1%00"}, 404),
        ({"subprotocols": ("ocpp9",)}, 400),
    ],
)
async def test_a_stranger_is_refused_with_the_reason_kept(
    options: dict[str, Any], status: int
) -> None:
    core = FakeCore()
    async with serving(core) as (gateway, address):
        assert await status_of_refusal(address, **options) == status
        [refused] = gateway.refused.last()
        assert refused.status == status
        assert refused.reason
        assert core.visits == 0


async def test_the_user_name_must_be_the_identity() -> None:
    async with serving(FakeCore()) as (gateway, address):
        headers = basic("CS2", "secret-1")
        with pytest.raises(websockets.InvalidStatus):
            async with websockets.connect(
                address + "CS1", additional_headers=headers, proxy=None, subprotocols=["ocpp1.6"]
            ):
                pass
        assert "user name" in gateway.refused.last("cs1")[0].reason


async def test_the_identity_is_matched_without_case_and_known_in_the_catalogues_spelling() -> None:
    core = FakeCore()
    async with serving(core) as (_, address), charger(address, "cs1"):
        assert (await core.until("connected"))[1] == "CS1"


async def test_beyond_the_admission_rate_chargers_are_told_when_to_come_back() -> None:
    limits = Limits(handshakes_per_s=0.001, handshake_burst=1)
    async with serving(FakeCore(), limits) as (_, address), charger(address):
        with pytest.raises(websockets.InvalidStatus) as refusal:
            async with charger(address, "CS2", "secret-2"):
                pass
        assert refusal.value.response.status_code == 503
        assert refusal.value.response.headers["Retry-After"] == "10"


async def test_a_silent_socket_is_closed_at_the_handshake_deadline() -> None:
    async with serving(FakeCore(), Limits(handshake_s=0.2)) as (_, address):
        host, port = address.split("/")[2].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        writer.close()


async def test_at_the_door_the_oldest_idler_gives_way_and_chargers_still_get_in() -> None:
    limits = Limits(unauthenticated_per_address=2, unauthenticated_grace_s=0)
    async with serving(FakeCore(), limits) as (_, address):
        host, port = address.split("/")[2].split(":")
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await silent[0][0].readexactly(1)
        async with charger(address) as station:
            assert "currentTime" in await station.call("Heartbeat", {})
        for _, writer in silent:
            writer.close()


async def test_many_chargers_of_one_address_may_come_back_at_once() -> None:
    limits = Limits(unauthenticated_per_address=2)
    core = FakeCore(passwords={f"CS{n}": b"secret-1" for n in range(30)})
    async with serving(core, limits) as (gateway, address), AsyncExitStack() as stack:
        links = [stack.enter_async_context(charger(address, f"CS{n}")) for n in range(30)]
        await asyncio.gather(*links)
        for _ in links:
            await core.until("connected")
        assert len(gateway.online()) == 30


# ---------------------------------------------------------------- what chargers say


async def test_a_boot_is_answered_with_the_registration_and_the_interval() -> None:
    core = FakeCore()
    async with serving(core) as (_, address), charger(address) as station:
        answer = await station.boot()
        assert list(answer) == ["status", "currentTime", "interval"]
        assert (answer["status"], answer["interval"]) == ("Accepted", 300)
        _, _, boot = await core.until("booted")
        assert (boot.vendor, boot.model, boot.dialect) == ("ACME", "One", "ocpp1.6")


async def test_a_whole_session_is_told_to_the_core_in_its_own_words() -> None:
    core = FakeCore()
    async with serving(core) as (_, address), charger(address) as station:
        assert "currentTime" in await station.call("Heartbeat", {})
        report = {"connectorId": 1, "errorCode": "NoError", "status": "Preparing"}
        assert await station.call("StatusNotification", report) == {}
        suspended = {**report, "status": "SuspendedEV"}
        assert await station.call("StatusNotification", suspended) == {}
        assert (await station.call("Authorize", {"idTag": "GOOD1"}))["idTagInfo"] == {
            "status": "Accepted"
        }
        assert (await station.call("Authorize", {"idTag": "BAD"}))["idTagInfo"] == {
            "status": "Invalid"
        }
        started = await station.call("StartTransaction", START)
        assert started == {"idTagInfo": {"status": "Accepted"}, "transactionId": 1000}
        sample = {"value": "1500", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
        values = [{"timestamp": "2026-11-20T10:01:00Z", "sampledValue": [sample]}]
        meter = {"connectorId": 1, "transactionId": 1000, "meterValue": values}
        assert await station.call("MeterValues", meter) == {}
        stop = {
            "transactionId": 1000,
            "meterStop": 5100,
            "timestamp": "2026-11-20T11:00:00Z",
            "reason": "EVDisconnected",
        }
        assert await station.call("StopTransaction", stop) == {}
    assert (await core.until("reported"))[2].report is ConnectorReport.OCCUPIED
    status = (await core.until("reported"))[2]
    assert (status.report, status.charging) == (
        ConnectorReport.CHARGING,
        ChargingState.SUSPENDED_BY_CAR,
    )
    _, _, event, frame = await core.until("transaction")
    assert (event.kind, event.register_wh, event.id_token) == (EventKind.STARTED, 100, "GOOD1")
    assert json.loads(frame.raw)[3] == START
    _, evse, transaction, event = await core.until("meter_values")
    assert (evse, transaction) == (1, "1000")
    assert [(s.quantity, s.value) for s in event.samples] == [(Quantity.ENERGY_REGISTER, 1500)]
    _, transaction, event, _ = await core.until("transaction")
    assert (transaction, event.kind, event.register_wh) == ("1000", EventKind.ENDED, 5100)
    assert event.reason == "EVDisconnected"


@pytest.mark.parametrize(
    ("action", "payload", "answer"),
    [
        ("DataTransfer", {"vendorId": "x"}, {"status": "UnknownVendorId"}),
        ("FirmwareStatusNotification", {"status": "Installed"}, {}),
        ("DiagnosticsStatusNotification", {"status": "Idle"}, {}),
        ("LogStatusNotification", {"status": "Idle"}, {}),
        ("SignedFirmwareStatusNotification", {"status": "Idle"}, {}),
        (
            "SecurityEventNotification",
            {"type": "Tamper", "timestamp": "2026-11-20T10:00:00Z"},
            {},
        ),
        ("SignCertificate", {"csr": "x"}, {"status": "Rejected"}),
    ],
)
async def test_every_other_call_of_a_charger_gets_a_legal_answer(
    action: str, payload: dict[str, Any], answer: dict[str, Any]
) -> None:
    async with serving(FakeCore()) as (_, address), charger(address) as station:
        assert await station.call(action, payload) == answer


async def test_a_repeated_start_with_a_new_message_id_gets_the_first_answer() -> None:
    core = FakeCore()
    async with serving(core) as (_, address), charger(address) as station:
        first = await station.call("StartTransaction", START)
        reordered = dict(reversed(START.items()))
        assert await station.call("StartTransaction", reordered) == first
        other = await station.call("StartTransaction", {**START, "meterStart": 101})
        assert other["transactionId"] != first["transactionId"]


async def test_starts_of_an_unset_clock_are_told_apart_by_the_boot_before_them() -> None:
    async with serving(FakeCore()) as (_, address), charger(address) as station:
        unset = {**START, "timestamp": "never"}
        first = await station.call("StartTransaction", unset)
        assert await station.call("StartTransaction", unset) == first
        await station.boot()
        assert (await station.call("StartTransaction", unset)) != first


async def test_frames_of_a_charger_are_kept_for_the_operator() -> None:
    async with serving(FakeCore()) as (gateway, address), charger(address) as station:
        await station.call("Heartbeat", {})
        received, sent = gateway.frames(CS1)
        assert received.data == b'[2, "m1", "Heartbeat", {}]'
        assert sent.data.startswith(b'[3,"m1",{"currentTime":"')


# ---------------------------------------------------------------- malformed


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ('[2,"1","Heartbeat"]', "FormationViolation"),
        ('[2,"1","Heartbeat",[]]', "FormationViolation"),
        ('[2,"1",{"a":1},{}]', "FormationViolation"),
        ('[2,"1","Heartbeat",{"x":1}]', "FormationViolation"),
        ('[2,"1","Authorize",{}]', "OccurenceConstraintViolation"),
        ('[2,"1","Authorize",{"idTag":7}]', "TypeConstraintViolation"),
        ('[2,"1","Authorize",{"idTag":"%s"}]' % ("x" * 21), "PropertyConstraintViolation"),
        ('[2,"1","Authorize",{"idTag":"A","idTag":"B"}]', "FormationViolation"),
        ('[2,"1","BootNotification",{}]', "OccurenceConstraintViolation"),
        ('[2,"1","Nonsense",{}]', "NotImplemented"),
        ('[2,"1","RemoteStartTransaction",{"idTag":"A"}]', "NotSupported"),
    ],
)
async def test_a_malformed_call_gets_the_right_error(frame: str, code: str) -> None:
    async with serving(FakeCore()) as (_, address), charger(address) as station:
        await station.say(frame)
        kind, id, found, _description, details = await station.hear()
        assert (kind, id, found, details) == (4, "1", code, {})
        assert "currentTime" in await station.call("Heartbeat", {})


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"hello",
        b"{}",
        b"[]",
        b"[2]",
        b'[5,"1",{}]',
        b"[" * 60_000,
        b'[2,"1","Heartbeat",{"a":' + b"[" * 50_000,
        b"[2,NaN]",
        b"[" + b"9" * 5000 + b"]",
        b'[3,"unknown",{}]',
        b"[3,null,{}]",
        b'[4,"unknown","GenericError","",{}]',
        b'[2,"\\ud800","Heartbeat",{}',
        b"\xff\xfe\x00",
    ],
)
async def test_what_is_no_call_is_met_with_silence_and_the_socket_lives(frame: bytes) -> None:
    async with serving(FakeCore()) as (_, address), charger(address) as station:
        await station.say(frame)
        assert "currentTime" in await station.call("Heartbeat", {})


async def test_a_giant_frame_closes_its_own_socket_only() -> None:
    core = FakeCore(registration=Registration.PENDING)
    async with (
        serving(core) as (_, address),
        charger(address) as big,
        charger(address, "CS2", "secret-2") as other,
    ):
        await big.say("x" * (64 * 1024 + 1))
        assert await big.closed() == 1009
        assert "currentTime" in await other.call("Heartbeat", {})


async def test_odd_transaction_data_with_a_usable_core_is_stored_and_acknowledged() -> None:
    core = FakeCore()
    async with serving(core) as (_, address), charger(address) as station:
        odd = {"connectorId": 1, "idTag": None, "meterStart": "many", "timestamp": 5, "extra": {}}
        answer = await station.call("StartTransaction", odd)
        assert answer["transactionId"] == 1000
        _, _, event, _ = await core.until("transaction")
        assert (event.register_wh, event.id_token) == (None, None)
        assert {Flag.DAMAGED, Flag.TIME_IMPLAUSIBLE, Flag.REGISTER_MISSING} <= set(event.flags)


async def test_transaction_data_that_nobody_can_read_is_kept_for_a_person() -> None:
    core = FakeCore()
    async with serving(core) as (_, address), charger(address) as station:
        await station.say('[2,"7","StopTransaction",{"transactionId":1,"meterStop":NaN')
        assert await station.hear() == [3, "7", {}]
        _, frame, why = await core.until("keep")
        assert frame.raw.endswith(b"NaN")
        assert why


async def test_a_mistake_of_ours_keeps_the_transaction_and_never_answers_with_an_error() -> None:
    core = FakeCore(broken=True)
    async with serving(core) as (_, address), charger(address) as station:
        stop = {"transactionId": 1, "meterStop": 5, "timestamp": "2026-11-20T11:00:00Z"}
        assert await station.call("StopTransaction", stop) == {}
        assert (await core.until("keep"))[2] == "failed: RuntimeError"


async def test_a_numeric_message_id_is_echoed_as_it_came() -> None:
    async with serving(FakeCore()) as (_, address), charger(address) as station:
        await station.say('[2, 17 , "Heartbeat", {}]')
        assert (await station.hear())[:2] == [3, 17]


async def test_data_of_a_station_that_waits_for_approval_is_stored_and_acknowledged() -> None:
    core = FakeCore(registration=Registration.PENDING)
    async with serving(core) as (_, address), charger(address) as station:
        assert (await station.boot())["status"] == "Pending"
        assert (await station.call("StartTransaction", START))["transactionId"] == 1000


# ---------------------------------------------------------------- flow


async def test_an_answer_that_waits_for_its_commit_holds_up_only_later_calls() -> None:
    core = FakeCore()
    async with (
        serving(core) as (gateway, address),
        charger(address) as slow,
        charger(address, "CS2", "secret-2") as other,
    ):
        core.durable.clear()
        await slow.say(json.dumps([2, "a", "StartTransaction", START]))
        await slow.say('[2,"b","Heartbeat",{}]')
        assert "currentTime" in await other.call("Heartbeat", {})
        wish = asyncio.create_task(gateway.send(remote_start()))
        _, id, action, _ = await slow.hear()  # our call crosses the answers that still wait
        assert action == "RemoteStartTransaction"
        await slow.say(json.dumps([3, id, {"status": "Accepted"}]))
        assert (await wish).outcome is Outcome.ACCEPTED
        core.durable.set()
        assert [(await slow.hear())[1] for _ in range(2)] == ["a", "b"]


async def test_a_flood_is_read_no_faster_than_it_is_served_and_nothing_is_dropped() -> None:
    core = FakeCore()
    async with (
        serving(core, Limits(max_inbound=4)) as (gateway, address),
        charger(address) as flooder,
        charger(address, "CS2", "secret-2") as other,
    ):
        core.durable.clear()
        blanks = " " * 20_000  # so that one read of the socket holds only a few frames
        sending = []
        for n in range(200):
            start = json.dumps({**START, "meterStart": n})
            frame = f'[2,"{n}","StartTransaction",{blanks}{start}]'
            sending.append(asyncio.ensure_future(flooder.say(frame)))
        for _ in range(20):
            assert "currentTime" in await other.call("Heartbeat", {})
        assert gateway.counters.frames_in < 100
        core.durable.set()
        assert [(await flooder.hear())[1] for _ in range(200)] == [str(n) for n in range(200)]
        await asyncio.gather(*sending)


async def test_an_acknowledgement_that_waits_too_long_closes_that_socket() -> None:
    core = FakeCore()
    async with serving(core, Limits(ack_s=0.5)) as (gateway, address):
        async with charger(address) as station:
            core.durable.clear()
            await station.say(json.dumps([2, "a", "StartTransaction", START]))
            assert await station.closed() == 1013
            assert gateway.counters.acks_overdue == 1
        core.durable.set()
        await core.until("disconnected")


async def test_when_the_store_goes_every_socket_closes_and_upgrades_get_503() -> None:
    core = FakeCore()
    async with (
        serving(core) as (_, address),
        charger(address) as first,
        charger(address, "CS2", "secret-2") as second,
    ):
        core.down = True
        await first.say(json.dumps([2, "a", "StartTransaction", START]))
        assert await first.closed() == 1013
        assert await second.closed() == 1013
        assert await status_of_refusal(address) == 503
        core.down = False
        async with charger(address) as back:
            assert (await back.call("StartTransaction", START))["transactionId"] == 1000


async def test_a_planned_stop_lets_due_answers_leave_and_closes_with_1012() -> None:
    core = FakeCore()
    async with serving(core) as (gateway, address), charger(address) as station:
        core.durable.clear()
        await station.say(json.dumps([2, "a", "StartTransaction", START]))
        await station.say('[2,"b","Heartbeat",{}]')
        await core.until("heard")
        await core.until("heard")
        stopping = asyncio.create_task(gateway.stop())
        await asyncio.sleep(0)
        core.durable.set()
        assert (await station.hear())[:2] == [3, "a"]
        assert (await station.hear())[:2] == [3, "b"]
        assert await station.closed() == 1012
        await stopping


async def test_a_charger_that_falls_silent_is_given_up() -> None:
    limits = Limits(ping_after_s=1.0, dead_after_s=2.0)
    core = FakeCore()
    async with serving(core, limits) as (gateway, address):
        async with charger(address) as station:
            station.socket.transport.pause_reading()  # neither pongs nor anything else
            await core.until("disconnected")
            assert gateway.counters.sockets_dead == 1
            station.socket.transport.abort()


async def test_a_charger_that_only_answers_pings_stays() -> None:
    core = FakeCore()
    limits = Limits(ping_after_s=1.0, dead_after_s=4.0)  # a busy machine may stall us for seconds
    async with serving(core, limits) as (gateway, address), charger(address) as station:
        await asyncio.sleep(5.5)
        assert gateway.online()
        assert "currentTime" in await station.call("Heartbeat", {})


# ---------------------------------------------------------------- what we ask


@pytest.mark.parametrize(
    ("command", "action", "payload", "answer", "outcome"),
    [
        (
            remote_start(),
            "RemoteStartTransaction",
            {"connectorId": 1, "idTag": "ABCDEFGH12345678"},
            {"status": "Rejected"},
            Outcome.REJECTED,
        ),
        (
            RemoteStop(CommandId("c"), CS1, TransactionId("1000")),
            "RemoteStopTransaction",
            {"transactionId": 1000},
            {"status": "Accepted"},
            Outcome.ACCEPTED,
        ),
        (
            Unlock(CommandId("c"), EvseRef(CS1, 2)),
            "UnlockConnector",
            {"connectorId": 2},
            {"status": "UnlockFailed"},
            Outcome.FAILED,
        ),
        (
            Reset(CommandId("c"), CS1, ResetKind.HARD),
            "Reset",
            {"type": "Hard"},
            {"status": "Accepted"},
            Outcome.ACCEPTED,
        ),
        (
            Trigger(CommandId("c"), CS1, Wanted.STATUS, 1),
            "TriggerMessage",
            {"requestedMessage": "StatusNotification", "connectorId": 1},
            {"status": "NotImplemented"},
            Outcome.NOT_SUPPORTED,
        ),
        (
            ChangeAvailability(CommandId("c"), CS1, operative=False),
            "ChangeAvailability",
            {"connectorId": 0, "type": "Inoperative"},
            {"status": "Scheduled"},
            Outcome.SCHEDULED,
        ),
        (
            remote_start(),
            "RemoteStartTransaction",
            {"connectorId": 1, "idTag": "ABCDEFGH12345678"},
            {"status": "Perhaps"},
            Outcome.FAILED,
        ),
    ],
)
async def test_a_command_goes_out_and_its_answer_comes_back_in_the_cores_words(
    command: Any, action: str, payload: dict[str, Any], answer: dict[str, Any], outcome: Outcome
) -> None:
    core = FakeCore()
    async with serving(core) as (gateway, address), charger(address) as station:
        await core.until("connected")
        asked = asyncio.create_task(gateway.send(command))
        kind, id, found, body = await station.hear()
        assert (kind, found, body) == (2, action, payload)
        await station.say(json.dumps([3, id, answer]))
        assert (await asked).outcome is outcome


async def test_a_command_for_an_absent_station_is_offline() -> None:
    async with serving(FakeCore()) as (gateway, _):
        assert (await gateway.send(remote_start())).outcome is Outcome.OFFLINE


async def test_an_error_answer_is_an_answer() -> None:
    core = FakeCore()
    async with serving(core) as (gateway, address), charger(address) as station:
        await core.until("connected")
        asked = asyncio.create_task(gateway.send(remote_start()))
        _, id, _, _ = await station.hear()
        await station.say(json.dumps([4, id, "NotImplemented", "no", {}]))
        assert (await asked).outcome is Outcome.NOT_SUPPORTED


async def test_one_call_at_a_time_and_a_wrong_id_frees_nothing() -> None:
    core = FakeCore()
    async with serving(core) as (gateway, address), charger(address) as station:
        await core.until("connected")
        first = asyncio.create_task(gateway.send(remote_start()))
        second = asyncio.create_task(gateway.send(Unlock(CommandId("c2"), EvseRef(CS1, 1))))
        _, id, action, _ = await station.hear()
        assert action == "RemoteStartTransaction"
        await station.say('[3,"not-yours",{"status":"Accepted"}]')
        assert "currentTime" in await station.call("Heartbeat", {})  # and not the second call
        await station.say(json.dumps([3, id, {"status": "Accepted"}]))
        _, id, action, _ = await station.hear()
        assert action == "UnlockConnector"
        await station.say(json.dumps([3, id, {"status": "Unlocked"}]))
        assert [(await each).outcome for each in (first, second)] == [Outcome.ACCEPTED] * 2


async def test_a_charger_that_never_answers_is_a_timeout_and_its_late_answer_nothing() -> None:
    core = FakeCore()
    async with serving(core, Limits(call_s=0.2)) as (gateway, address):
        async with charger(address) as station:
            await core.until("connected")
            assert (await gateway.send(remote_start())).outcome is Outcome.TIMEOUT
            _, id, _, _ = await station.hear()
            await station.say(json.dumps([3, id, {"status": "Accepted"}]))
            assert "currentTime" in await station.call("Heartbeat", {})


async def test_a_full_outbound_queue_refuses() -> None:
    core = FakeCore()
    async with serving(core, Limits(max_outbound=1)) as (gateway, address):
        async with charger(address):
            await core.until("connected")
            waiting = [asyncio.create_task(gateway.send(remote_start())) for _ in range(3)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert [t.result().outcome for t in waiting if t.done()] == [Outcome.REJECTED]
    assert {(await each).outcome for each in waiting} == {Outcome.REJECTED, Outcome.OFFLINE}


async def test_nothing_is_sent_before_the_answer_to_a_boot() -> None:
    core = FakeCore()
    async with serving(core) as (gateway, address), charger(address) as station:
        await core.until("connected")
        core.durable.clear()
        await station.say(
            '[2,"boot","BootNotification",{"chargePointVendor":"A","chargePointModel":"B"}]'
        )
        await core.until("heard")
        wish = asyncio.create_task(gateway.send(remote_start()))
        await asyncio.sleep(0)
        core.durable.set()
        assert (await station.hear())[1] == "boot"
        _, id, action, _ = await station.hear()
        assert action == "RemoteStartTransaction"
        await station.say(json.dumps([3, id, {"status": "Accepted"}]))
        await wish


# ---------------------------------------------------------------- take-over


async def test_the_newest_connection_wins_and_is_the_only_one_that_is_asked() -> None:
    core = FakeCore()
    async with serving(core) as (gateway, address), charger(address) as old:
        await core.until("connected")
        async with charger(address) as new:
            await core.until("connected")
            wish = asyncio.create_task(gateway.send(remote_start()))
            _, id, _, _ = await new.hear()
            await new.say(json.dumps([3, id, {"status": "Accepted"}]))
            assert (await wish).outcome is Outcome.ACCEPTED
            assert await old.closed() == 1001


async def test_what_the_old_socket_had_said_is_served_and_answered_there() -> None:
    core = FakeCore()
    async with serving(core) as (_, address), charger(address) as old:
        await core.until("connected")
        core.durable.clear()
        await old.say(json.dumps([2, "a", "StartTransaction", START]))
        await core.until("heard")
        async with charger(address):
            await core.until("connected")
            core.durable.set()
            assert (await old.hear())[:2] == [3, "a"]
            assert await old.closed() == 1001


async def test_late_death_of_an_old_socket_does_not_take_the_station_offline() -> None:
    core = FakeCore()
    async with serving(core, Limits(probe_s=0.2)) as (gateway, address):
        async with charger(address) as old:
            await core.until("connected")
            old.socket.transport.pause_reading()  # half-open: it will never answer the probe
            async with charger(address) as new:
                await core.until("connected")
                assert (await core.until("disconnected")) == ("disconnected", "CS1", 1)
                assert [each.visit for each in gateway.online()] == [2]
                assert "currentTime" in await new.call("Heartbeat", {})
            old.socket.transport.abort()


async def test_a_wrong_password_never_disturbs_the_connection_that_is_there() -> None:
    core = FakeCore()
    async with serving(core) as (gateway, address), charger(address) as station:
        assert await status_of_refusal(address, password="guess") == 401
        assert "currentTime" in await station.call("Heartbeat", {})
        assert gateway.counters.takeovers == 0


async def test_two_devices_that_fight_for_one_identity_are_stopped() -> None:
    core = FakeCore()
    limits = Limits(flaps=2)
    async with serving(core, limits) as (gateway, address):
        held = []
        for n in range(3):
            link = charger(address, local_addr=(f"127.0.0.{n + 2}", 0))
            held.append((link, await link.__aenter__()))
            await core.until("connected")
            if n:
                assert await held[n - 1][1].closed() == 1001
        assert await status_of_refusal(address) == 503
        assert gateway.counters.takeovers == 2
        assert (await core.until("security_event"))[1] == "IdentityFight"
        for link, _ in held:
            await link.__aexit__(None, None, None)


async def test_a_charger_with_a_bad_link_may_come_back_as_often_as_it_likes() -> None:
    core = FakeCore()
    async with serving(core, Limits(flaps=2)) as (_, address):
        for _ in range(6):
            async with charger(address) as station:
                assert "currentTime" in await station.call("Heartbeat", {})
                station.socket.transport.abort()


async def test_an_operator_can_close_a_stations_socket() -> None:
    core = FakeCore()
    async with serving(core) as (gateway, address), charger(address) as station:
        await core.until("connected")
        await gateway.disconnect(CS1, "key changed")
        assert await station.closed() == 1008


# ---------------------------------------------------------------- transport


async def test_fragments_and_binary_frames_are_messages_too() -> None:
    async with serving(FakeCore()) as (_, address), charger(address) as station:
        await station.socket.send(['[2,"1",', '"Heart', 'beat",{}]'])
        assert (await station.hear())[:2] == [3, "1"]
        await station.say(b'[2,"2","Heartbeat",{}]')
        assert (await station.hear())[:2] == [3, "2"]


async def test_what_a_charger_says_before_its_visit_is_open_is_served_in_order() -> None:
    class SlowDoor(FakeCore):
        async def connected(self, station: StationId, source: str, dialect: str) -> Visit:
            await self.durable.wait()
            return await super().connected(station, source, dialect)

    core = SlowDoor()
    core.durable.clear()
    async with serving(core) as (_, address), charger(address) as station:
        for n in range(40):
            await station.say(f'[2,"{n}","Heartbeat",{{}}]')
        core.durable.set()
        assert [(await station.hear())[1] for _ in range(40)] == [str(n) for n in range(40)]


async def test_tls_with_own_certificate_files(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = await asyncio.create_subprocess_exec(
        *"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1".split(),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
        *("-keyout", str(key), "-out", str(certificate)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await make.wait() == 0
    trusting = ssl.create_default_context(cafile=certificate)
    async with serving(FakeCore(), tls=tls_context(certificate, key)) as (_, address):
        options = {"ssl": trusting, "server_hostname": "localhost"}
        async with charger(address.replace("ws://", "wss://"), **options) as station:
            assert "currentTime" in await station.call("Heartbeat", {})


async def test_reconnecting_leaves_no_garbage_behind() -> None:
    core = FakeCore()
    async with serving(core) as (gateway, address):

        async def visit() -> None:
            async with charger(address) as station:
                await station.boot()
                await station.call("StartTransaction", START)
                station.socket.transport.abort()
            await core.until("disconnected")

        await visit()
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                await visit()
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            ours = [each for each in gc.garbage if issubclass(type(each), OURS)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        assert ours == []
        assert gateway.online() == []


def test_loopback_has_more_than_one_address() -> None:
    """Otherwise the fight above would be one device with a bad link."""
    with sockets.socket() as probe:
        probe.bind(("127.0.0.2", 0))
