"""OCPP 1.6: what we ask of stations, and what their answers mean to the core."""

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
from ocpp_gateway.v16 import messages as wire
from ocpp_gateway.v16.inbound import parent
from ocpp_gateway.wording import wire_time

OUTCOMES: Final = {
    "Accepted": Outcome.ACCEPTED,
    "Unlocked": Outcome.ACCEPTED,
    "Scheduled": Outcome.SCHEDULED,
    "Rejected": Outcome.REJECTED,
    "UnlockFailed": Outcome.FAILED,
    "NotSupported": Outcome.NOT_SUPPORTED,
    "NotImplemented": Outcome.NOT_SUPPORTED,
    "Unknown": Outcome.UNKNOWN,
    "Occupied": Outcome.OCCUPIED,
    "Faulted": Outcome.INOPERATIVE,
    "Unavailable": Outcome.INOPERATIVE,
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


READERS: Final[dict[str, Callable[[bytes | Raw], Answer]]] = {
    action: reader(wire.RESPONSES[action])
    for action in (
        "RemoteStartTransaction",
        "RemoteStopTransaction",
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
_composite = msgspec.json.Decoder(wire.GetCompositeScheduleResponse).decode


def read_composite(payload: bytes | Raw) -> Answer:
    """Read what a connector plans; "Accepted" without a plan has been seen, and says nothing."""
    answer = _composite(payload)
    plan = answer.chargingSchedule
    if plan is UNSET:
        return Answer(OUTCOMES[answer.status])
    start = answer.scheduleStart or plan.startSchedule or ""
    found = schedules.schedule(
        plan.chargingRateUnit,
        plan.chargingSchedulePeriod,
        schedules.start_of(start),
        plan.duration or None,
        None if plan.minChargingRate is UNSET else plan.minChargingRate,
    )
    return Answer(OUTCOMES[answer.status], schedule=found)


READERS["GetCompositeSchedule"] = read_composite


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
        case Reserve():
            return "ReserveNow", wire.ReserveNowRequest(
                connectorId=command.evse or 0,  # 0 = any one of its connectors
                expiryDate=wire_time(command.expires_at),
                idTag=command.id_token,
                parentIdTag=parent(command.group),
                reservationId=command.reservation,
            )
        case CancelReservation():
            return "CancelReservation", wire.CancelReservationRequest(
                reservationId=command.reservation
            )
        case AskTransaction():
            return None
        case SetProfile():
            return _set_profile(command)
        case ClearProfile():
            return "ClearChargingProfile", wire.ClearChargingProfileRequest(id=command.number)
        case AskSchedule():
            return "GetCompositeSchedule", wire.GetCompositeScheduleRequest(
                connectorId=command.evse.evse,
                duration=command.seconds,
                chargingRateUnit=UNSET if command.unit is None else command.unit.value,
            )


def _set_profile(command: SetProfile) -> tuple[str, Struct] | None:
    name = command.transaction
    if name is not None and not name.isdecimal():
        return None  # not a number of ours, so not a 1.6 transaction
    return "SetChargingProfile", wire.SetChargingProfileRequest(
        connectorId=command.evse.evse,
        csChargingProfiles=wire.ChargingProfile(
            chargingProfileId=command.number,
            transactionId=UNSET if name is None else int(name),
            stackLevel=schedules.STACK_LEVEL,
            chargingProfilePurpose="TxDefaultProfile" if name is None else "TxProfile",
            chargingProfileKind=schedules.kind_of(command.profile),
            chargingSchedule=_schedule(command.profile),
        ),
    )


def _schedule(profile: ChargingProfile) -> wire.ChargingSchedule:
    return wire.ChargingSchedule(
        duration=UNSET if profile.duration is None else profile.duration,
        startSchedule=UNSET if profile.start is None else wire_time(profile.start),
        chargingRateUnit=schedules.unit_of(profile),
        chargingSchedulePeriod=[
            wire.ChargingSchedulePeriod(startPeriod=each.offset, limit=float(each.limit))
            for each in profile.periods
        ],
        minChargingRate=UNSET if profile.min_rate is None else float(profile.min_rate),
    )
