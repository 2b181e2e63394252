"""OCPP 2.0.1: what we ask of stations, and what their answers mean to the core."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct

from cms.domain.charging_profile import ChargingProfile
from cms.domain.commands import (
    Answer,
    AskSchedule,
    AskTransaction,
    CancelReservation,
    ChangeAvailability,
    ClearProfile,
    Command,
    Outcome,
    RemoteStart,
    RemoteStop,
    Reserve,
    Reset,
    ResetKind,
    SetProfile,
    Trigger,
    Unlock,
    Wanted,
)
from ocpp_gateway import schedules
from ocpp_gateway.dialogue import Request
from ocpp_gateway.v201 import messages as wire
from ocpp_gateway.v201.inbound import group_of
from ocpp_gateway.wording import wire_time

Read = Callable[[bytes | Raw], Answer]

OUTCOMES: Final = {
    "Accepted": Outcome.ACCEPTED,
    "Unlocked": Outcome.ACCEPTED,
    "Scheduled": Outcome.SCHEDULED,
    "Rejected": Outcome.REJECTED,
    "OngoingAuthorizedTransaction": Outcome.REJECTED,
    "UnlockFailed": Outcome.FAILED,
    "UnknownConnector": Outcome.FAILED,
    "NotImplemented": Outcome.NOT_SUPPORTED,
    "Unknown": Outcome.UNKNOWN,
    "Occupied": Outcome.OCCUPIED,
    "Faulted": Outcome.INOPERATIVE,
    "Unavailable": Outcome.INOPERATIVE,
}

TRIGGERS: Final[dict[Wanted, wire.MessageTriggerEnum]] = {
    Wanted.BOOT: "BootNotification",
    Wanted.HEARTBEAT: "Heartbeat",
    Wanted.STATUS: "StatusNotification",
    Wanted.METER_VALUES: "MeterValues",
}

MAX_TRANSACTION: Final = 36


class Outbound:
    """Turns the core's commands into 2.0.1 calls."""

    def request_for(self, command: Command) -> Request | None:
        found = payload_of(command)
        if found is None:
            return None
        action, payload = found
        return Request(action, payload, READERS[action])


def payload_of(command: Command) -> tuple[str, Struct] | None:
    """Return Action and payload; None for what cannot be said in 2.0.1."""
    match command:
        case RemoteStart():
            return "RequestStartTransaction", wire.RequestStartTransactionRequest(
                evseId=command.evse.evse,
                idToken=token(command.id_token, command.card),
                remoteStartId=command.number,
            )
        case RemoteStop():
            if not 0 < len(command.transaction) <= MAX_TRANSACTION:
                return None  # no transaction of this station can have such a name
            return "RequestStopTransaction", wire.RequestStopTransactionRequest(
                transactionId=command.transaction
            )
        case Unlock():
            return "UnlockConnector", wire.UnlockConnectorRequest(
                evseId=command.evse.evse, connectorId=command.connector
            )
        case Reset():
            return "Reset", wire.ResetRequest(
                type="Immediate" if command.kind is ResetKind.HARD else "OnIdle"
            )
        case Trigger():
            return "TriggerMessage", wire.TriggerMessageRequest(
                evse=trigger_place(command), requestedMessage=TRIGGERS[command.wanted]
            )
        case ChangeAvailability():
            return "ChangeAvailability", wire.ChangeAvailabilityRequest(
                evse=UNSET if command.evse is None else wire.EVSE(id=command.evse),
                operationalStatus="Operative" if command.operative else "Inoperative",
            )
        case Reserve():
            return "ReserveNow", wire.ReserveNowRequest(
                id=command.reservation,
                expiryDateTime=wire_time(command.expires_at),
                idToken=token(command.id_token, command.card),
                evseId=UNSET if command.evse is None else command.evse,
                groupIdToken=group_of(command.group),
            )
        case CancelReservation():
            return "CancelReservation", wire.CancelReservationRequest(
                reservationId=command.reservation
            )
        case AskTransaction():
            if not 0 < len(command.transaction) <= MAX_TRANSACTION:
                return None
            return "GetTransactionStatus", wire.GetTransactionStatusRequest(
                transactionId=command.transaction
            )
        case SetProfile():
            return _set_profile(command)
        case ClearProfile():
            return "ClearChargingProfile", wire.ClearChargingProfileRequest(
                chargingProfileId=command.number
            )
        case AskSchedule():
            return "GetCompositeSchedule", wire.GetCompositeScheduleRequest(
                duration=command.seconds,
                chargingRateUnit=UNSET if command.unit is None else command.unit.value,
                evseId=command.evse.evse,
            )


def _set_profile(command: SetProfile) -> tuple[str, Struct] | None:
    name = command.transaction
    if name is not None and not 0 < len(name) <= MAX_TRANSACTION:
        return None
    return "SetChargingProfile", wire.SetChargingProfileRequest(
        evseId=command.evse.evse,
        chargingProfile=wire.ChargingProfile(
            id=command.number,
            stackLevel=schedules.STACK_LEVEL,
            chargingProfilePurpose="TxDefaultProfile" if name is None else "TxProfile",
            chargingProfileKind=schedules.kind_of(command.profile),
            chargingSchedule=[_schedule(command.number, command.profile)],
            transactionId=UNSET if name is None else name,
        ),
    )


def _schedule(number: int, profile: ChargingProfile) -> wire.ChargingSchedule:
    return wire.ChargingSchedule(
        id=number,
        startSchedule=UNSET if profile.start is None else wire_time(profile.start),
        duration=UNSET if profile.duration is None else profile.duration,
        chargingRateUnit=schedules.unit_of(profile),
        chargingSchedulePeriod=[
            wire.ChargingSchedulePeriod(startPeriod=each.offset, limit=float(each.limit))
            for each in profile.periods
        ],
        minChargingRate=UNSET if profile.min_rate is None else float(profile.min_rate),
    )


def token(text: str, card: bool) -> wire.IdToken:
    """Return a token: a card's number as readers know it, or one that no reader could have seen."""
    return wire.IdToken(idToken=text, type="ISO14443" if card else "Central")


def trigger_place(command: Trigger) -> wire.EVSE | msgspec.UnsetType:
    """Return where; a status is always that of a connector (F06)."""
    if command.evse is None:
        return UNSET
    if command.wanted is Wanted.STATUS:
        return wire.EVSE(id=command.evse, connectorId=1)
    return wire.EVSE(id=command.evse)


# ---------------------------------------------------------------- answers


def by_status(type_: Any) -> Read:
    """Return what reads the answers of type *type_*, which are a ``status`` and perhaps a why."""
    decode = msgspec.json.Decoder(type_).decode

    def read(payload: bytes | Raw) -> Answer:
        answer = decode(payload)
        return Answer(OUTCOMES[answer.status], why(answer.statusInfo))

    return read


def why(info: wire.StatusInfo | msgspec.UnsetType) -> dict[str, str]:
    """Return the station's own reason for its answer, where it gives one."""
    if info is UNSET:
        return {}
    return {"why": f"{info.reasonCode} {info.additionalInfo or ''}".strip()}


_started = msgspec.json.Decoder(wire.RequestStartTransactionResponse).decode
_status_of = msgspec.json.Decoder(wire.GetTransactionStatusResponse).decode


def read_start(payload: bytes | Raw) -> Answer:
    """Read the answer to a remote start; a transaction that runs already is named at once."""
    answer = _started(payload)
    running = {"transaction": answer.transactionId} if answer.transactionId else {}
    return Answer(OUTCOMES[answer.status], running | why(answer.statusInfo))


def read_transaction_status(payload: bytes | Raw) -> Answer:
    """Read whether a transaction runs and whether messages about it still wait.

    A transaction that the station does not know is told without ``ongoing`` (E14).
    """
    answer = _status_of(payload)
    waiting = {"messages_waiting": "true" if answer.messagesInQueue else "false"}
    if answer.ongoingIndicator is UNSET:
        return Answer(Outcome.ACCEPTED, waiting)
    ongoing = {"ongoing": "true" if answer.ongoingIndicator else "false"}
    return Answer(Outcome.ACCEPTED, ongoing | waiting)


_composite = msgspec.json.Decoder(wire.GetCompositeScheduleResponse).decode


def read_composite(payload: bytes | Raw) -> Answer:
    """Read what an EVSE plans."""
    answer = _composite(payload)
    plan, said = answer.schedule, why(answer.statusInfo)
    if plan is UNSET:
        return Answer(OUTCOMES[answer.status], said)
    found = schedules.schedule(
        plan.chargingRateUnit,
        plan.chargingSchedulePeriod,
        schedules.start_of(plan.scheduleStart),
        plan.duration,
    )
    return Answer(OUTCOMES[answer.status], said, found)


READERS: Final[dict[str, Read]] = {
    "GetCompositeSchedule": read_composite,
    "RequestStartTransaction": read_start,
    "GetTransactionStatus": read_transaction_status,
} | {
    action: by_status(wire.RESPONSES[action])
    for action in (
        "RequestStopTransaction",
        "UnlockConnector",
        "Reset",
        "TriggerMessage",
        "ChangeAvailability",
        "SetChargingProfile",
        "ClearChargingProfile",
        "ReserveNow",
        "CancelReservation",
    )
}
