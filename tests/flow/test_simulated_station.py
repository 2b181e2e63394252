"""The charging station simulator against a central system that is not ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ocpp.v16 import call as call16
from ocpp.v201 import call as call201

from simulators.habits import (
    LIBOCPP,
    LIBOCPP_ONE_ATTEMPT,
    MICROOCPP,
    QUICK_BACKOFF,
    SAP,
    STEADY,
    STEADY_SAME_ID,
    Personality,
)
from simulators.ledger import Ledger, read
from simulators.station import StationConfig, StationSimulator, make
from tests.flow.tiny_central import Central, tiny_central

BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])
FIRST = {"1.6": "StartTransaction", "2.0.1": "TransactionEvent"}


@pytest.fixture
async def central() -> Any:
    async with tiny_central() as running:
        yield running


def impatient(personality: Personality) -> Personality:
    """The same habits in a hurry."""
    return replace(personality, retry_interval=0.02, message_timeout=0.2)


def config(central: Central, version: str = "1.6", **more: Any) -> StationConfig:
    more = {
        "identity": "CP-1",
        "url": central.url,
        "sample_interval": None,
        "backoff": QUICK_BACKOFF,
        "personality": impatient(STEADY),
    } | more
    return StationConfig(version=version, **more)


def kinds(ledger: Ledger) -> list[tuple[str, str | None]]:
    return [(entry["kind"], entry.get("message")) for entry in ledger.entries]


@BOTH
async def test_a_local_charge_is_told_from_boot_to_stop(central: Central, version: str) -> None:
    async with StationSimulator(config(central, version, password="secret")) as station:
        await station.booted()
        transaction = await station.start_local(id_tag="TAG-1")
        assert transaction is not None
        await station.session_started()
        station.outlets[1].meter.add(7_500)
        station.sample()
        await station.stop_local()
        await station.session_finished()
        await station.statuses_sent()

    assert central.headers[0]["Authorization"].startswith("Basic ")
    (delivered,) = station.ledger.of("delivered")
    assert delivered["stop_wh"] - delivered["start_wh"] >= 7_500
    assert delivered["txn"] == transaction.txn
    messages = [entry["message"] for entry in station.ledger.of("acked")]
    if version == "1.6":
        assert messages == ["start", "sample", "stop"]
        assert central.payloads("StopTransaction")[0]["transactionId"] == 1000
        statuses = [each["status"] for each in central.payloads("StatusNotification")]
        assert statuses == [
            "Available", "Available", "Preparing", "Charging", "Finishing", "Available",
        ]  # fmt: skip
    else:
        assert messages == ["started", "updated", "updated", "ended"]
        events = central.payloads("TransactionEvent")
        assert [event["seqNo"] for event in events] == [0, 1, 2, 3]
        assert {event["transactionInfo"]["transactionId"] for event in events} == {transaction.txn}
        statuses = [each["connectorStatus"] for each in central.payloads("StatusNotification")]
        assert statuses == ["Available", "Occupied", "Available"]
    assert not station.tap.invalid_answers


@BOTH
async def test_a_refused_tag_charges_nothing(central: Central, version: str) -> None:
    central.blocked.add("STOLEN")
    async with StationSimulator(config(central, version)) as station:
        await station.booted()
        assert await station.start_local(id_tag="STOLEN") is None
        assert not station.outlets[1].plugged
    assert not central.payloads(FIRST[version])


@BOTH
async def test_a_tag_refused_only_at_the_start_ends_the_charge(
    central: Central, version: str
) -> None:
    async with StationSimulator(config(central, version)) as station:
        await station.booted()
        await station.start_local(id_tag="LATE")
        await station.session_started()
        await station.stop_local()
        await station.session_finished()
        await station.go_offline()
        central.blocked.add("LATE")
        await station.start_local(id_tag="LATE")
        station.go_online()
        ended = await station.session_finished(2)
    assert ended.stop_reason == "DeAuthorized"


@BOTH
async def test_a_remote_start_carries_its_marks_and_a_remote_stop_ends_it(
    central: Central, version: str
) -> None:
    async with StationSimulator(config(central, version)) as station:
        await station.booted()
        server = central.charge_points["CP-1"]
        if version == "1.6":
            answer = await server.call(
                call16.RemoteStartTransaction(id_tag="REMOTE", connector_id=1)
            )
        else:
            answer = await server.call(
                call201.RequestStartTransaction(
                    id_token={"id_token": "REMOTE", "type": "Central"},
                    remote_start_id=77,
                    evse_id=1,
                )
            )
        assert answer.status == "Accepted"
        transaction = await station.session_started()
        assert transaction.id_tag == "REMOTE"
        if version == "1.6":
            stop: Any = call16.RemoteStopTransaction(
                transaction_id=int(transaction.transaction_id or 0)
            )
        else:
            started = central.payloads("TransactionEvent")[0]
            assert started["transactionInfo"]["remoteStartId"] == 77
            assert started["triggerReason"] == "RemoteStart"
            stop = call201.RequestStopTransaction(transaction_id=transaction.txn)
        assert (await server.call(stop)).status == "Accepted"
        assert (await station.session_finished()).stop_reason == "Remote"


async def test_a_second_remote_start_on_the_same_outlet_is_rejected(central: Central) -> None:
    async with StationSimulator(config(central)) as station:
        await station.booted()
        server = central.charge_points["CP-1"]
        start = call16.RemoteStartTransaction(id_tag="REMOTE", connector_id=1)
        assert (await server.call(start)).status == "Accepted"
        assert (await server.call(start)).status == "Rejected"


async def test_a_car_that_is_full_ends_the_charge_by_itself_and_samples_rise(
    central: Central,
) -> None:
    fast = config(central, speed=10_000, power_w=22_000, sample_interval=0.03)
    async with StationSimulator(fast) as station:
        await station.booted()
        await station.start_local(limit_wh=9_000)
        await station.session_finished()
    (delivered,) = station.ledger.of("delivered")
    assert delivered["stop_wh"] - delivered["start_wh"] >= 9_000
    registers = [entry["register_wh"] for entry in station.ledger.of("acked")]
    assert len(registers) > 3
    assert registers == sorted(registers)


@BOTH
@pytest.mark.parametrize("habits", [STEADY, STEADY_SAME_ID, SAP, LIBOCPP, MICROOCPP])
async def test_a_lost_answer_to_the_start_is_asked_for_again(
    central: Central, version: str, habits: Personality
) -> None:
    central.silent_on[FIRST[version]] = 1
    async with StationSimulator(config(central, version, personality=impatient(habits))) as station:
        await station.booted()
        await station.start_local()
        await station.session_started()
        await station.stop_local()
        await station.session_finished()
        sent = [text for way, text in station.tap.frames if way == ">" and FIRST[version] in text]
    ids = central.message_ids(FIRST[version])[:2]
    assert (ids[0] == ids[1]) is habits.same_id
    assert (sent[0] == sent[1]) is habits.same_id
    payloads = central.payloads(FIRST[version])[:2]
    assert payloads[1].pop("offline", False) is (version == "2.0.1" and habits is LIBOCPP)
    assert payloads[0] == payloads[1]
    assert ("gave_up", "start") not in kinds(station.ledger)


@BOTH
async def test_firmware_with_one_attempt_loses_the_stop_for_ever(
    central: Central, version: str
) -> None:
    habits = impatient(LIBOCPP_ONE_ATTEMPT)
    async with StationSimulator(config(central, version, personality=habits)) as station:
        await station.booted()
        await station.start_local()
        await station.drained()
        central.errors_on |= {"StopTransaction": 1, "TransactionEvent": 1}
        await station.stop_local()
        await station.session_finished()
    last = "stop" if version == "1.6" else "ended"
    assert kinds(station.ledger)[-3:] == [
        ("delivered", None), ("callerror", None), ("gave_up", last),
    ]  # fmt: skip


@pytest.mark.parametrize("habits", [MICROOCPP, LIBOCPP])
async def test_a_start_that_never_was_answered_leaves_a_stop_without_a_known_id(
    central: Central, habits: Personality
) -> None:
    central.silent_on["StartTransaction"] = 3
    async with StationSimulator(config(central, personality=impatient(habits))) as station:
        await station.booted()
        await station.start_local()
        station.sample()
        await station.stop_local()
        await station.session_finished()
    assert len(central.payloads("StartTransaction")) == 3
    assert "transactionId" not in central.payloads("MeterValues")[0]
    claimed = central.payloads("StopTransaction")[0]["transactionId"]
    assert claimed == -1 if habits is MICROOCPP else claimed > 0
    assert ("gave_up", "start") in kinds(station.ledger)


@BOTH
async def test_a_charge_made_offline_is_told_in_order_after_the_backend_died_and_came_back(
    central: Central, version: str
) -> None:
    async with StationSimulator(config(central, version)) as station:
        await station.booted()
        await central.die()
        await station.until(lambda: not station.online)
        await station.start_local()
        station.outlets[1].meter.add(1_234)
        station.sample()
        await station.stop_local()
        assert not list(station.ledger.of("acked"))
        await central.start()
        await station.booted(2)
        await station.session_finished()
    messages = [entry["message"] for entry in station.ledger.of("acked")]
    if version == "1.6":
        assert messages == ["start", "sample", "stop"]
    else:
        assert messages == ["started", "updated", "updated", "ended"]
        assert all(event["offline"] for event in central.payloads("TransactionEvent"))


async def test_a_death_of_the_backend_in_mid_session_loses_nothing(central: Central) -> None:
    central.silent_on["StopTransaction"] = 1
    patient = replace(STEADY, message_timeout=30.0)
    async with StationSimulator(config(central, personality=patient)) as station:
        await station.booted()
        await station.start_local()
        await station.session_started()
        await station.stop_local()
        await central.hears("StopTransaction")
        await central.die()
        await central.start()
        await station.session_finished()
    assert len(central.payloads("StopTransaction")) == 2
    assert len(set(central.message_ids("StopTransaction"))) == 2
    assert [entry["message"] for entry in station.ledger.of("acked")] == ["start", "stop"]


async def test_the_register_goes_on_where_the_last_session_left_it(central: Central) -> None:
    async with StationSimulator(config(central, register_wh=500)) as station:
        await station.booted()
        for _ in range(2):
            await station.start_local()
            station.outlets[1].meter.add(1_000)
            await station.stop_local()
        await station.session_finished(2)
    first, second = station.ledger.of("delivered")
    assert first["start_wh"] == 500
    assert first["stop_wh"] == second["start_wh"]
    assert second["stop_wh"] >= 2_500


async def test_a_refused_handshake_is_noted_and_tried_again(central: Central) -> None:
    central.refusals = 2
    async with StationSimulator(config(central)) as station:
        await station.booted()
        assert station.refusals == [401, 401]


async def test_a_pending_charger_says_nothing_but_boot(central: Central) -> None:
    central.boot_status = "Pending"
    async with StationSimulator(config(central)) as station:
        await central.hears("BootNotification")
        await station.start_local()
        assert not station.online
    assert {action for _, action, _, _ in central.heard} == {"BootNotification"}


@BOTH
async def test_reset_stops_the_charge_and_boots_again(central: Central, version: str) -> None:
    async with StationSimulator(config(central, version)) as station:
        await station.booted()
        await station.start_local()
        await station.session_started()
        kind = {"1.6": call16.Reset(type="Hard"), "2.0.1": call201.Reset(type="Immediate")}
        answer = await central.charge_points["CP-1"].call(kind[version])
        assert answer.status == "Accepted"
        await station.booted(2)
        assert (await station.session_finished()).stop_reason == "HardReset"
    if version == "2.0.1":
        assert central.payloads("BootNotification")[1]["reason"] == "RemoteReset"


@BOTH
async def test_commands_do_what_they_accept(central: Central, version: str) -> None:
    async with StationSimulator(config(central, version, evses=2)) as station:
        await station.booted()
        await station.statuses_sent()
        server = central.charge_points["CP-1"]
        heard = len(central.payloads("StatusNotification"))
        if version == "1.6":
            closing: Any = call16.ChangeAvailability(connector_id=2, type="Inoperative")
            trigger: Any = call16.TriggerMessage(requested_message="MeterValues", connector_id=1)
            unlock: Any = call16.UnlockConnector(connector_id=9)
        else:
            closing = call201.ChangeAvailability(operational_status="Inoperative", evse={"id": 2})
            trigger = call201.TriggerMessage(requested_message="MeterValues", evse={"id": 1})
            unlock = call201.UnlockConnector(evse_id=9, connector_id=1)
        assert (await server.call(closing)).status == "Accepted"
        status = await central.hears("StatusNotification", heard + 1)
        assert "Unavailable" in status.values()
        assert (await server.call(trigger)).status == "Accepted"
        assert (await central.hears("MeterValues"))["meterValue"]
        wrong = "NotSupported" if version == "1.6" else "UnknownConnector"
        assert (await server.call(unlock)).status == wrong
        assert (await station.data_transfer("org.example"))["status"] == "Accepted"


async def test_transaction_status_tells_what_waits(central: Central) -> None:
    central.silent_on["TransactionEvent"] = 1
    habits = replace(STEADY, message_timeout=1.0)
    async with StationSimulator(config(central, "2.0.1", personality=habits)) as station:
        await station.booted()
        transaction = await station.start_local()
        assert transaction is not None
        await central.hears("TransactionEvent")
        ask = call201.GetTransactionStatus(transaction_id=transaction.txn)
        answer = await central.charge_points["CP-1"].call(ask)
        assert (answer.ongoing_indicator, answer.messages_in_queue) == (True, True)
        await station.stop_local()
        await station.session_finished()
        answer = await central.charge_points["CP-1"].call(ask)
        assert (answer.ongoing_indicator, answer.messages_in_queue) == (False, False)


async def test_a_muted_command_gets_no_answer_and_an_ordered_one_its_status(
    central: Central,
) -> None:
    async with StationSimulator(config(central)) as station:
        await station.booted()
        server = central.charge_points["CP-1"]
        station.answers["RemoteStartTransaction"] = "Rejected"
        start = call16.RemoteStartTransaction(id_tag="REMOTE")
        assert (await server.call(start)).status == "Rejected"
        station.tap.mute_on.add("RemoteStartTransaction")
        server._response_timeout = 0.1
        with pytest.raises(TimeoutError):
            await server.call(start)
        assert len(station.received_so_far("RemoteStartTransaction")) == 2


async def test_every_quirk_changes_the_frame_and_the_charge_still_is_in_the_ledger(
    central: Central,
) -> None:
    odd = make(
        [
            "numbers-as-strings", "wrong-enum-case", "kwh-without-unit", "times-without-zone",
            "nul-after-strings", "over-long-strings", "trailing-nul", "no-subprotocol",
        ]
    )  # fmt: skip
    async with StationSimulator(config(central, make=odd)) as station:
        await station.booted()
        await station.start_local(id_tag="TAG-1")
        station.outlets[1].meter.add(1_500)
        station.sample()
        await station.stop_local()
        await station.session_finished()
        frames = [text for way, text in station.tap.frames if way == ">"]
    assert "Sec-WebSocket-Protocol" not in central.headers[0]
    assert all(frame.endswith("\x00\n") for frame in frames)
    start = central.payloads("StartTransaction")[0]
    assert start["connectorId"] == "1"
    assert start["idTag"] == "TAG-1\x00  "
    assert not start["timestamp"].endswith("Z")
    assert central.payloads("StatusNotification")[0]["errorCode"] == "noerror"
    assert len(central.payloads("BootNotification")[0]["firmwareVersion"]) > 50
    sample = central.payloads("MeterValues")[0]["meterValue"][0]["sampledValue"][0]
    assert sample["value"] == "2.500"
    assert "unit" not in sample
    (delivered,) = station.ledger.of("delivered")
    assert delivered["id_tag"] == "TAG-1"


async def test_the_ledger_file_holds_what_happened(central: Central, tmp_path: Any) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    async with StationSimulator(config(central), ledger) as station:
        await station.booted()
        await station.start_local()
        await station.stop_local()
        await station.session_finished()
    assert read(path) == ledger.entries
    ledger.close()
    with path.open("ab") as file:
        file.write(b'{"kind":"ack')
    assert read(path) == ledger.entries
