"""OCPP 2.0.1 on real sockets: what stations say, and what they are told."""

from __future__ import annotations

import asyncio
import importlib.resources
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from msgspec import inspect

import adapters
from cms.app.ports import Boot, Registration, StatusReport
from cms.domain.commands import (
    AskTransaction,
    ChangeAvailability,
    Command,
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
from cms.domain.meter import Quantity, ReadingContext, Sample
from cms.domain.status import ConnectorReport
from cms.domain.transaction import ChargingState, EventKind, Flag, TransactionEvent
from ocpp_gateway.server import Gateway, Version
from ocpp_gateway.v16.inbound import Inbound as Inbound16
from ocpp_gateway.v16.outbound import Outbound as Outbound16
from ocpp_gateway.v201 import messages as wire
from ocpp_gateway.v201.inbound import NOTED, REFUSALS, Inbound
from ocpp_gateway.v201.outbound import Outbound
from tests.flow.gateway_fakes import Charger, FakeCore, charger, now

TEN = datetime(2026, 1, 5, 10, tzinfo=UTC)
T = "2026-01-05T10:00:00Z"
STATION = StationId("CS1")
BOOT = {"reason": "PowerUp", "chargingStation": {"model": "One", "vendorName": "ACME"}}


@asynccontextmanager
async def serving(core: FakeCore) -> AsyncIterator[tuple[Gateway, str]]:
    gateway = Gateway(
        events=core,
        gatekeeper=core,
        versions=[
            Version(Inbound16(core, now), Outbound16()),
            Version(Inbound(core, now), Outbound()),
        ],
        adapters=adapters.catalogue(),
        clock=now,
    )
    port = await gateway.start("127.0.0.1", 0)
    try:
        yield gateway, f"ws://127.0.0.1:{port}/ocpp/"
    finally:
        await gateway.stop()


@asynccontextmanager
async def station(core: FakeCore | None = None) -> AsyncIterator[tuple[FakeCore, Gateway, Charger]]:
    """A booted 2.0.1 station."""
    core = core or FakeCore()
    async with (
        serving(core) as (gateway, address),
        charger(address, subprotocols=["ocpp2.0.1"]) as client,
    ):
        assert client.socket.subprotocol == "ocpp2.0.1"
        await client.call("BootNotification", BOOT)
        yield core, gateway, client


def event(kind: str, seq: int, **more: Any) -> dict[str, Any]:
    return {
        "eventType": kind,
        "timestamp": T,
        "triggerReason": "Authorized",
        "seqNo": seq,
        "transactionInfo": {"transactionId": "T-1"},
    } | more


def schema(name: str) -> Any:
    file = importlib.resources.files("ocpp.v201") / "schemas" / f"{name}.json"
    return json.loads(file.read_text("utf-8-sig"))


def legal_request(action: str) -> Any:
    """Return a request with every required field, made from the wire type."""

    def value(kind: inspect.Type) -> Any:
        match kind:
            case inspect.StructType():
                return {f.encode_name: value(f.type) for f in kind.fields if f.required}
            case inspect.ListType():
                return [value(kind.item_type)]
            case inspect.LiteralType():
                return kind.values[0]
            case inspect.StrType():
                return T
            case inspect.IntType() | inspect.FloatType():
                return 1
            case inspect.BoolType():
                return True
            case _:
                return {}

    return value(inspect.type_info(wire.REQUESTS[action]))


async def test_boot_tells_vendor_model_serial_and_firmware() -> None:
    core = FakeCore()
    async with (
        serving(core) as (_, address),
        charger(address, subprotocols=["ocpp2.0.1"]) as client,
    ):
        about = BOOT["chargingStation"] | {"serialNumber": "S1", "firmwareVersion": "1.2\u0000"}
        answer = await client.call("BootNotification", BOOT | {"chargingStation": about})
        assert answer["status"] == "Accepted"
        assert answer["currentTime"].endswith("Z")
        assert answer["interval"] > 0
        booted = await core.until("booted")
        assert booted[2] == Boot("ACME", "One", "S1", "1.2", "ocpp2.0.1")


async def test_a_whole_transaction_reaches_the_core_with_everything_it_says() -> None:
    async with station() as (core, _, client):
        begin = {
            "value": 12.5,
            "context": "Transaction.Begin",
            "measurand": "Energy.Active.Import.Register",
            "unitOfMeasure": {"unit": "kWh"},
        }
        answer = await client.call(
            "TransactionEvent",
            event(
                "Started",
                0,
                transactionInfo={
                    "transactionId": "T-1",
                    "chargingState": "Charging",
                    "remoteStartId": 4711,
                },
                evse={"id": 2, "connectorId": 1},
                idToken={"idToken": "GOOD1", "type": "ISO14443"},
                meterValue=[{"timestamp": T, "sampledValue": [begin]}],
            ),
        )
        assert answer == {"idTokenInfo": {"status": "Accepted"}}
        _, name, started, frame = await core.until("transaction")
        assert (name, frame.action) == ("T-1", "TransactionEvent")
        assert started == TransactionEvent(
            kind=EventKind.STARTED,
            occurred_at=TEN,
            received_at=started.received_at,
            content=frame.key,
            seq_no=0,
            evse=2,
            connector=1,
            id_token="GOOD1",
            samples=(Sample(TEN, Quantity.ENERGY_REGISTER, 12_500, ReadingContext.BEGIN),),
            charging=ChargingState.CHARGING,
            remote_start=4711,
        )

        interval = {
            "value": 250,
            "measurand": "Energy.Active.Import.Interval",
            "unitOfMeasure": {"unit": "Wh", "multiplier": 1},
        }
        power = {"value": 7400, "measurand": "Power.Active.Import", "phase": "L1"}
        answer = await client.call(
            "TransactionEvent",
            event(
                "Updated",
                1,
                offline=True,
                triggerReason="MeterValuePeriodic",
                transactionInfo={"transactionId": "T-1", "chargingState": "SuspendedEV"},
                meterValue=[{"timestamp": T, "sampledValue": [interval, power]}],
            ),
        )
        assert answer == {}
        _, _, updated, _ = await core.until("transaction")
        assert (updated.kind, updated.seq_no, updated.offline) == (EventKind.UPDATED, 1, True)
        assert updated.charging is ChargingState.SUSPENDED_BY_CAR
        assert updated.samples == (
            Sample(TEN, Quantity.ENERGY_INTERVAL, 2500),
            Sample(TEN, Quantity.POWER, 7400, phase="L1"),
        )

        info = {"transactionId": "T-1", "stoppedReason": "EVDisconnected"}
        await client.call("TransactionEvent", event("Ended", 2, transactionInfo=info))
        _, _, ended, _ = await core.until("transaction")
        assert (ended.kind, ended.reason) == (EventKind.ENDED, "EVDisconnected")


async def test_a_stop_without_a_reason_is_local() -> None:
    async with station() as (core, _, client):
        await client.call("TransactionEvent", event("Ended", 3))
        assert (await core.until("transaction"))[2].reason == "Local"


async def test_repeating_an_event_as_offline_is_the_same_event_and_hears_the_same() -> None:
    async with station() as (core, _, client):
        token = {"idToken": {"idToken": "GOOD1", "type": "ISO14443"}}
        first = await client.call("TransactionEvent", event("Started", 0, **token))
        again = await client.call("TransactionEvent", event("Started", 0, offline=True, **token))
        assert first == again
        assert len(core.stored) == 1
        other = event("Started", 0, **token, transactionInfo={"transactionId": "T-2"})
        await client.call("TransactionEvent", other)
        assert len(core.stored) == 2, "another transaction is another event"


async def test_one_sequence_number_with_other_content_is_another_event() -> None:
    async with station() as (core, _, client):
        await client.call("TransactionEvent", event("Updated", 0))
        await client.call("TransactionEvent", event("Updated", 0, numberOfPhasesUsed=3))
        assert len(core.stored) == 2


async def test_an_event_is_acknowledged_only_when_it_is_durable() -> None:
    core = FakeCore()
    async with station(core) as (_, _, client):
        core.durable.clear()
        await client.say(json.dumps([2, "a", "TransactionEvent", event("Started", 0)]))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.socket.recv()
        core.durable.set()
        assert await client.hear() == [3, "a", {}]


async def test_damaged_events_are_repaired_stored_and_acknowledged() -> None:
    async with station() as (core, gateway, client):
        damaged = event("started", 0, timestamp="2026-01-05 10:00:00")
        damaged |= {"seqNo": "0", "transactionInfo": "T-9", "evse": 1, "vendorTemp": 31}
        del damaged["triggerReason"]
        assert await client.call("TransactionEvent", damaged) == {}
        _, name, told, frame = await core.until("transaction")
        assert (name, told.kind, told.evse) == ("T-9", EventKind.STARTED, 1)
        assert (told.occurred_at, told.flags) == (TEN, ())
        codes = [note.partition(":")[0] for note in frame.notes]
        assert codes == ["Q-050", "Q-193", "Q-040", "Q-042", "Q-042", "Q-049", "Q-073", "Q-070"]
        assert gateway.notebook.stations["CS1"]["Q-050"] == 1


async def test_a_clock_that_was_never_set_is_flagged_and_the_time_of_receipt_taken() -> None:
    async with station() as (core, _, client):
        await client.call("TransactionEvent", event("Started", 0, timestamp="1970-01-01T00:00:07Z"))
        told = (await core.until("transaction"))[2]
        assert told.flags == (Flag.TIME_IMPLAUSIBLE,)
        assert told.occurred_at == told.received_at


async def test_an_event_without_a_transaction_is_kept_and_acknowledged() -> None:
    async with station() as (core, _, client):
        nameless = event("Updated", 1)
        del nameless["transactionInfo"]
        assert await client.call("TransactionEvent", nameless) == {}
        _, frame, why = await core.until("keep")
        assert b"TransactionEvent" in frame.raw
        assert "transactionInfo" in why


@pytest.mark.parametrize("registration", [Registration.PENDING, Registration.REJECTED])
async def test_before_it_is_accepted_a_station_hears_security_error_and_its_data_is_kept(
    registration: Registration,
) -> None:
    """B02.FR.09: no message but the boot; what it said is not lost all the same."""
    async with station(FakeCore(registration=registration)) as (core, _, client):
        await client.say(json.dumps([2, "a", "TransactionEvent", event("Started", 0)]))
        assert (await client.hear())[:3] == [4, "a", "SecurityError"]
        assert (await core.until("keep"))[1].action == "TransactionEvent"
        await client.say(json.dumps([2, "b", "Heartbeat", {}]))
        assert (await client.hear())[:3] == [4, "b", "SecurityError"]
        answer = await client.call("BootNotification", BOOT)
        assert answer["status"] == registration.value.capitalize()


async def test_status_is_told_by_evse_and_connector() -> None:
    async with station() as (core, _, client):
        for evse, connector, word, report in (
            (2, 1, "Occupied", ConnectorReport.OCCUPIED),
            (0, 0, "Available", ConnectorReport.FREE),
            (1, 2, "Faulted", ConnectorReport.FAULTED),
        ):
            status = {"timestamp": T, "connectorStatus": word}
            status |= {"evseId": evse, "connectorId": connector}
            assert await client.call("StatusNotification", status) == {}
            told = await core.until("reported")
            assert told[2] == StatusReport(evse, connector, report, TEN)


async def test_a_status_of_half_a_place_changes_nothing_and_leaves_a_note() -> None:
    async with station() as (core, gateway, client):
        for evse, connector in ((0, 1), (1, 0)):
            status = {"timestamp": T, "connectorStatus": "Available"}
            status |= {"evseId": evse, "connectorId": connector}
            assert await client.call("StatusNotification", status) == {}
        assert gateway.notebook.total["Q-194"] == 2
        told = [core.happened.get_nowait()[0] for _ in range(core.happened.qsize())]
        assert "reported" not in told


async def test_authorize_answers_from_the_core_and_never_vouches_for_a_certificate() -> None:
    async with station() as (_, _, client):
        good = {"idToken": {"idToken": "GOOD1", "type": "ISO14443"}}
        assert (await client.call("Authorize", good))["idTokenInfo"]["status"] == "Accepted"
        bad = {"idToken": {"idToken": "NO", "type": "ISO14443"}}
        assert (await client.call("Authorize", bad))["idTokenInfo"]["status"] == "Invalid"
        contract = good | {"certificate": "-----BEGIN CERTIFICATE-----"}
        assert await client.call("Authorize", contract) == {
            "idTokenInfo": {"status": "Accepted"},
            "certificateStatus": "NoCertificateAvailable",
        }


async def test_meter_values_outside_a_transaction_reach_the_core() -> None:
    async with station() as (core, _, client):
        sampled = [{"value": 5}, {"value": 1, "measurand": "Frequency"}]
        values = {"evseId": 1, "meterValue": [{"timestamp": T, "sampledValue": sampled}]}
        assert await client.call("MeterValues", values) == {}
        _, evse, transaction, told = await core.until("meter_values")
        assert (evse, transaction) == (1, None)
        assert told.samples == (Sample(TEN, Quantity.ENERGY_REGISTER, 5),)


@pytest.mark.parametrize(
    "action",
    [
        "BootNotification",
        "Heartbeat",
        "StatusNotification",
        "Authorize",
        "TransactionEvent",
        "MeterValues",
        "DataTransfer",
        "SecurityEventNotification",
        *NOTED,
        *REFUSALS,
    ],
)
async def test_every_action_of_a_station_gets_an_answer_that_the_schema_allows(
    action: str,
) -> None:
    async with station() as (_, _, client):
        answer = await client.call(action, legal_request(action))
        jsonschema.validate(answer, schema(f"{action}Response"))
        assert answer.get("status") not in ("Accepted", "Processing") or action == (
            "BootNotification"
        ), "what is not done is not accepted"


async def test_an_action_that_only_we_may_call_is_not_supported_and_an_unknown_one_not_known() -> (
    None
):
    async with station() as (_, _, client):
        await client.say('[2,"a","RequestStartTransaction",{}]')
        assert (await client.hear())[:3] == [4, "a", "NotSupported"]
        await client.say('[2,"b","Zorg",{}]')
        assert (await client.hear())[:3] == [4, "b", "NotImplemented"]


# ---------------------------------------------------------------- commands

ID = CommandId("c1")
EVSE = EvseRef(STATION, 2)


@pytest.mark.parametrize(
    ("command", "action", "payload", "answer", "outcome", "detail"),
    [
        (
            RemoteStart(ID, EVSE, "A1B2C3D4E5F6G7H8", 4711),
            "RequestStartTransaction",
            {
                "evseId": 2,
                "idToken": {"idToken": "A1B2C3D4E5F6G7H8", "type": "Central"},
                "remoteStartId": 4711,
            },
            {"status": "Accepted", "transactionId": "T-7"},
            Outcome.ACCEPTED,
            {"transaction": "T-7"},
        ),
        (
            RemoteStop(ID, STATION, TransactionId("T-7")),
            "RequestStopTransaction",
            {"transactionId": "T-7"},
            {"status": "Rejected", "statusInfo": {"reasonCode": "UnknownTx"}},
            Outcome.REJECTED,
            {"why": "UnknownTx"},
        ),
        (
            Unlock(ID, EVSE, 1),
            "UnlockConnector",
            {"evseId": 2, "connectorId": 1},
            {"status": "UnlockFailed"},
            Outcome.FAILED,
            {},
        ),
        (Reset(ID, STATION), "Reset", {"type": "OnIdle"}, {"status": "Scheduled"},
         Outcome.SCHEDULED, {}),
        (Reset(ID, STATION, ResetKind.HARD), "Reset", {"type": "Immediate"},
         {"status": "Accepted"}, Outcome.ACCEPTED, {}),
        (
            Trigger(ID, STATION, Wanted.STATUS, 2),
            "TriggerMessage",
            {"evse": {"id": 2, "connectorId": 1}, "requestedMessage": "StatusNotification"},
            {"status": "NotImplemented"},
            Outcome.NOT_SUPPORTED,
            {},
        ),
        (
            Trigger(ID, STATION, Wanted.BOOT),
            "TriggerMessage",
            {"requestedMessage": "BootNotification"},
            {"status": "Accepted"},
            Outcome.ACCEPTED,
            {},
        ),
        (
            ChangeAvailability(ID, STATION, operative=False, evse=2),
            "ChangeAvailability",
            {"evse": {"id": 2}, "operationalStatus": "Inoperative"},
            {"status": "Scheduled"},
            Outcome.SCHEDULED,
            {},
        ),
        (
            AskTransaction(ID, STATION, TransactionId("T-7")),
            "GetTransactionStatus",
            {"transactionId": "T-7"},
            {"ongoingIndicator": False, "messagesInQueue": True},
            Outcome.ACCEPTED,
            {"ongoing": "false", "messages_waiting": "true"},
        ),
        (
            AskTransaction(ID, STATION, TransactionId("T-8")),
            "GetTransactionStatus",
            {"transactionId": "T-8"},
            {"messagesInQueue": False},
            Outcome.ACCEPTED,
            {"messages_waiting": "false"},
        ),
    ],
)  # fmt: skip
async def test_command_and_its_outcome(
    command: Command,
    action: str,
    payload: dict[str, Any],
    answer: dict[str, Any],
    outcome: Outcome,
    detail: dict[str, str],
) -> None:
    jsonschema.validate(payload, schema(f"{action}Request"))
    jsonschema.validate(answer, schema(f"{action}Response"))
    async with station() as (_, gateway, client), asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(gateway.send(command))
        kind, id, heard_action, heard = await client.hear()
        assert (kind, heard_action, heard) == (2, action, payload)
        await client.say(json.dumps([3, id, answer]))
        told = await sending
        assert (told.outcome, told.detail) == (outcome, detail)


async def test_an_unreadable_answer_is_a_failure_and_an_error_answer_says_what_kind() -> None:
    async with station() as (_, gateway, client), asyncio.TaskGroup() as tasks:
        for frame, outcome in (
            ('[3,"%s",{"status":"Zorg"}]', Outcome.FAILED),
            ('[4,"%s","NotImplemented","",{}]', Outcome.NOT_SUPPORTED),
            ('[4,"%s","InternalError","",{}]', Outcome.FAILED),
        ):
            sending = tasks.create_task(gateway.send(Reset(ID, STATION)))
            await client.say(frame % (await client.hear())[1])
            assert (await sending).outcome is outcome


async def test_a_transaction_that_no_station_can_have_is_not_asked_for() -> None:
    async with station() as (_, gateway, _):
        for name in ("", "x" * 37):
            told = await gateway.send(RemoteStop(ID, STATION, TransactionId(name)))
            assert told.outcome is Outcome.NOT_SUPPORTED


async def test_both_versions_live_on_one_port_side_by_side() -> None:
    core = FakeCore()
    async with (
        serving(core) as (gateway, address),
        charger(address, subprotocols=["ocpp2.0.1", "ocpp1.6"]) as newer,
        charger(address, "CS2", "secret-2", ["ocpp1.6"]) as older,
    ):
        await newer.call("BootNotification", BOOT)
        await older.boot()
        assert {one.station: one.dialect for one in gateway.online()} == {
            "CS1": "ocpp2.0.1",
            "CS2": "ocpp1.6",
        }
