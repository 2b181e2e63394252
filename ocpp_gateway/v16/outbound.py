"""OCPP 1.6: what we ask of stations, and what their answers mean to the core."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct

from cms.domain.commands import (
    Answer,
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
from ocpp_gateway.dialogue import Request
from ocpp_gateway.v16 import messages as wire

OUTCOMES: Final = {
    "Accepted": Outcome.ACCEPTED,
    "Unlocked": Outcome.ACCEPTED,
    "Scheduled": Outcome.SCHEDULED,
    "Rejected": Outcome.REJECTED,
    "UnlockFailed": Outcome.FAILED,
    "NotSupported": Outcome.NOT_SUPPORTED,
    "NotImplemented": Outcome.NOT_SUPPORTED,
}

TRIGGERS: Final[dict[Wanted, wire.RequestedMessage]] = {
    Wanted.BOOT: "BootNotification",
    Wanted.HEARTBEAT: "Heartbeat",
    Wanted.STATUS: "StatusNotification",
    Wanted.METER_VALUES: "MeterValues",
}


def reader(type_: Any) -> Callable[[bytes | Raw], Answer]:
    """Return what reads the answers of type *type_*, all of which are one ``status``."""
    decode = msgspec.json.Decoder(type_).decode

    def read(payload: bytes | Raw) -> Answer:
        return Answer(OUTCOMES[decode(payload).status])

    return read


READERS: Final = {
    action: reader(wire.RESPONSES[action])
    for action in (
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "UnlockConnector",
        "Reset",
        "TriggerMessage",
        "ChangeAvailability",
    )
}


class Outbound:
    """Turns the core's commands into 1.6 calls."""

    def request_for(self, command: Command) -> Request | None:
        found = payload_of(command)
        if found is None:
            return None
        action, payload = found
        return Request(action, payload, READERS[action])


def payload_of(command: Command) -> tuple[str, Struct] | None:
    """Return Action and payload; None for what 1.6 has no call for."""
    match command:
        case RemoteStart():
            return "RemoteStartTransaction", wire.RemoteStartTransactionRequest(
                connectorId=command.evse.evse, idTag=command.id_token
            )
        case RemoteStop():
            if not command.transaction.isdecimal():
                return None  # not a number of ours, so not a 1.6 transaction
            return "RemoteStopTransaction", wire.RemoteStopTransactionRequest(
                transactionId=int(command.transaction)
            )
        case Unlock():
            return "UnlockConnector", wire.UnlockConnectorRequest(connectorId=command.evse.evse)
        case Reset():
            return "Reset", wire.ResetRequest(
                type="Hard" if command.kind is ResetKind.HARD else "Soft"
            )
        case Trigger():
            return "TriggerMessage", wire.TriggerMessageRequest(
                requestedMessage=TRIGGERS[command.wanted],
                connectorId=UNSET if command.evse is None else command.evse,
            )
        case ChangeAvailability():
            return "ChangeAvailability", wire.ChangeAvailabilityRequest(
                connectorId=command.evse or 0,  # 0 = the charge point as a whole
                type="Operative" if command.operative else "Inoperative",
            )
        case AskTransaction():
            return None
