"""OCPP 1.6: what stations say, in the core's words. The only reader of 1.6's field names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from cms.app.ports import Boot, Registration, Soon, StationEvents, StatusReport
from cms.app.writes import Ack
from cms.domain.ids import TransactionId
from cms.domain.meter import Quantity, Sample, sample_of
from cms.domain.status import ConnectorReport
from cms.domain.token import Decision, Verdict
from cms.domain.transaction import ChargingState, EventKind, Flag, TransactionEvent
from ocpp_gateway.adaptation import Dialect, Readings, unread
from ocpp_gateway.dialogue import Received, Route, Salvage
from ocpp_gateway.sampling import AllShapes, Description, Shape
from ocpp_gateway.v16 import messages as wire
from ocpp_gateway.wording import CONTEXTS, MAX_PLACE, NO_PLACE, wire_time, within

REPORTS: Final[dict[str, ConnectorReport]] = {
    "Available": ConnectorReport.FREE,
    "Preparing": ConnectorReport.OCCUPIED,
    "Charging": ConnectorReport.CHARGING,
    "SuspendedEVSE": ConnectorReport.CHARGING,
    "SuspendedEV": ConnectorReport.CHARGING,
    "Finishing": ConnectorReport.OCCUPIED,
    "Reserved": ConnectorReport.RESERVED,
    "Unavailable": ConnectorReport.UNAVAILABLE,
    "Faulted": ConnectorReport.FAULTED,
}

FLOWS: Final[dict[str, ChargingState]] = {
    "Charging": ChargingState.CHARGING,
    "SuspendedEVSE": ChargingState.SUSPENDED_BY_STATION,
    "SuspendedEV": ChargingState.SUSPENDED_BY_CAR,
}
"""What a status says of the car's flow of energy; the others say nothing of it."""

REGISTRATIONS: Final[dict[Registration, wire.BootNotificationStatus]] = {
    Registration.ACCEPTED: "Accepted",
    Registration.PENDING: "Pending",
    Registration.REJECTED: "Rejected",
}

VERDICTS: Final[dict[Verdict, wire.AuthorizeStatus]] = {
    Verdict.ACCEPTED: "Accepted",
    Verdict.BLOCKED: "Blocked",
    Verdict.EXPIRED: "Expired",
    Verdict.INVALID: "Invalid",
    Verdict.CONCURRENT: "ConcurrentTx",
}

UNKNOWN_NUMBER: Final = -1
"""Stands for a register or transaction id that the charger did not tell (errata 3.18)."""


NOTHING: Final = wire.HeartbeatRequest()
"""The empty object ``{}``, the answer of every Action that answers nothing."""

Clock = Callable[[], datetime]


class Inbound:
    """Turns 1.6 messages into calls of the core. Holds nothing of any station.

    Args:
        heartbeat_s: heartbeat interval that stations are told at boot; while pending or rejected,
            the time until the next boot.
    """

    dialect = Dialect.V16
    known = frozenset(wire.REQUESTS)
    gated = False  # data of a station that is not accepted yet is stored and acknowledged

    def __init__(self, events: StationEvents, clock: Clock, heartbeat_s: int = 300) -> None:
        self._events = events
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._shapes = AllShapes(shape)
        self.routes = {
            "BootNotification": Route(wire.BootNotificationRequest, self._boot),
            "Heartbeat": Route(wire.HeartbeatRequest, self._heartbeat),
            "StatusNotification": Route(
                wire.StatusNotificationRequest, self._status, ids=(b"connectorId",)
            ),
            "Authorize": Route(wire.AuthorizeRequest, self._authorize, ids=(b"idTag",)),
            "StartTransaction": Route(
                wire.StartTransactionRequest,
                self._start,
                transaction=True,
                ids=(b"connectorId", b"idTag", b"meterStart"),
                salvage=Salvage(
                    ("connectorId",),
                    {"idTag": "", "meterStart": UNKNOWN_NUMBER, "timestamp": ""},
                ),
                kept=started_unread,
            ),
            "StopTransaction": Route(
                wire.StopTransactionRequest,
                self._stop,
                transaction=True,
                ids=(b"transactionId", b"meterStop"),
                salvage=Salvage(
                    (),
                    {
                        "transactionId": UNKNOWN_NUMBER,
                        "meterStop": UNKNOWN_NUMBER,
                        "timestamp": "",
                    },
                ),
                kept=lambda ack: NOTHING,
            ),
            "MeterValues": Route(
                wire.MeterValuesRequest,
                self._meter_values,
                transaction=True,
                ids=(b"transactionId", b"connectorId"),
                salvage=Salvage(("connectorId", "meterValue"), {}),
                kept=lambda ack: NOTHING,
            ),
            "DataTransfer": Route(wire.DataTransferRequest, self._data_transfer),
            "DiagnosticsStatusNotification": Route(
                wire.DiagnosticsStatusNotificationRequest, self._noted
            ),
            "FirmwareStatusNotification": Route(
                wire.FirmwareStatusNotificationRequest, self._noted
            ),
            "LogStatusNotification": Route(wire.LogStatusNotificationRequest, self._noted),
            "SignedFirmwareStatusNotification": Route(
                wire.SignedFirmwareStatusNotificationRequest, self._noted
            ),
            "SecurityEventNotification": Route(
                wire.SecurityEventNotificationRequest,
                self._security_event,
                transaction=True,  # as durable as transactions, and never refused
                salvage=Salvage((), {"type": "Unreadable", "timestamp": ""}),
                kept=lambda ack: NOTHING,
            ),
            "SignCertificate": Route(wire.SignCertificateRequest, self._sign_certificate),
        }

    # ------------------------------------------------------------ life

    def _boot(self, call: Received, request: wire.BootNotificationRequest) -> Awaitable[Struct]:
        text = call.talk.adapter.readings.text
        boot = Boot(
            vendor=text(request.chargePointVendor)[0],
            model=text(request.chargePointModel)[0],
            serial=text(request.chargePointSerialNumber or request.chargeBoxSerialNumber or "")[0],
            firmware=text(request.firmwareVersion or "")[0],
            dialect=self.dialect.value,
        )
        return self._booted(call, boot)

    async def _booted(self, call: Received, boot: Boot) -> Struct:
        call.talk.identified(boot)
        registration = await self._events.booted(call.talk.visit, boot)
        call.talk.registration = registration
        call.talk.boots += 1
        return wire.BootNotificationResponse(
            status=REGISTRATIONS[registration],
            currentTime=wire_time(self._clock()),
            interval=self._heartbeat_s,
        )

    def _heartbeat(self, call: Received, request: Struct) -> Struct:
        return wire.HeartbeatResponse(currentTime=wire_time(call.received_at))

    def _noted(self, call: Received, request: Struct) -> Struct:
        """Progress of something that we never asked for; the frame log shows it."""
        return NOTHING

    def _sign_certificate(self, call: Received, request: Struct) -> Struct:
        return wire.SignCertificateResponse(status="Rejected")  # no authority is configured

    def _data_transfer(self, call: Received, request: Struct) -> Struct:
        return wire.DataTransferResponse(status="UnknownVendorId")

    def _security_event(
        self, call: Received, request: wire.SecurityEventNotificationRequest
    ) -> Awaitable[Struct]:
        at, notes = call.talk.adapter.readings.time(request.timestamp, call.received_at)
        call.note(notes)
        text = call.talk.adapter.readings.text
        return nothing_after(
            self._events.security_event(
                call.frame(call.key()),
                text(request.type)[0],
                at or call.received_at,
                text(request.techInfo or "")[0],
            )
        )

    # ------------------------------------------------------------ status, tokens

    def _status(self, call: Received, request: wire.StatusNotificationRequest) -> Soon[Struct]:
        if within(request.connectorId, MAX_PLACE) is None:
            call.note(NO_PLACE)
            return NOTHING
        at = None
        if request.timestamp:
            at, notes = call.talk.adapter.readings.time(request.timestamp, call.received_at)
            call.note(notes)
        soon = self._events.reported(
            call.frame(),
            StatusReport(
                evse=request.connectorId,  # 1.6 has no EVSEs: each connector is one
                connector=1 if request.connectorId else 0,
                report=REPORTS[request.status],
                at=at,
                error=None if request.errorCode == "NoError" else error_text(call, request),
                charging=FLOWS.get(request.status),
            ),
        )
        return NOTHING if soon is None else nothing_after(soon)

    def _authorize(self, call: Received, request: wire.AuthorizeRequest) -> Soon[Struct]:
        token, notes = call.talk.adapter.readings.token(request.idTag)
        call.note(notes)
        soon = self._events.authorize(call.talk.visit, token)
        return authorized(soon) if isinstance(soon, Decision) else authorized_after(soon)

    # ------------------------------------------------------------ transactions

    def _start(self, call: Received, request: wire.StartTransactionRequest) -> Awaitable[Struct]:
        readings = call.talk.adapter.readings
        at, time_notes = readings.time(request.timestamp, call.received_at)
        register, register_notes = readings.register(request.meterStart)
        token, token_notes = readings.token(request.idTag)
        call.note(time_notes + register_notes + token_notes)
        evse = place(call, request.connectorId)
        # Where the clock is unset, only the boot count tells two starts apart.
        key = call.key(extra="" if at is not None else str(call.talk.boots))
        event = TransactionEvent(
            kind=EventKind.STARTED,
            occurred_at=at or call.received_at,
            received_at=call.received_at,
            content=key,
            evse=evse,
            connector=None if evse is None else 1,
            id_token=token or None,
            register_wh=register,
            reservation=request.reservationId or None,
            flags=flags(call, at, register),
        )
        return started(self._events.transaction(call.frame(key), None, event))

    def _stop(self, call: Received, request: wire.StopTransactionRequest) -> Awaitable[Struct]:
        readings = call.talk.adapter.readings
        at, time_notes = readings.time(request.timestamp, call.received_at)
        register, register_notes = readings.register(request.meterStop)
        token, token_notes = readings.token(request.idTag or "")
        call.note(time_notes + register_notes + token_notes)
        samples = self._samples(call, request.transactionData or ())
        key = call.key()
        event = TransactionEvent(
            kind=EventKind.ENDED,
            occurred_at=at or call.received_at,
            received_at=call.received_at,
            content=key,
            id_token=token or None,
            register_wh=register,
            samples=samples,
            reason=request.reason or "Local",  # 1.6: an absent reason means Local
            flags=flags(call, at, register),
        )
        transaction = TransactionId(str(request.transactionId))
        return stopped(self._events.transaction(call.frame(key), transaction, event), token != "")

    def _meter_values(self, call: Received, request: wire.MeterValuesRequest) -> Awaitable[Struct]:
        samples = self._samples(call, request.meterValue)
        evse = place(call, request.connectorId)
        key = call.key()
        event = TransactionEvent(
            kind=EventKind.UPDATED,
            occurred_at=samples[0].at if samples else call.received_at,
            received_at=call.received_at,
            content=key,
            evse=evse,
            connector=None if evse is None else 1,
            samples=samples,
            flags=(Flag.DAMAGED,) if call.damaged else (),
        )
        transaction = (
            None if request.transactionId is UNSET else TransactionId(str(request.transactionId))
        )
        return nothing_after(
            self._events.meter_values(call.frame(key), evse or 0, transaction, event)
        )

    def _samples(
        self, call: Received, values: Iterable[wire.MeterValue | wire.TransactionData]
    ) -> tuple[Sample, ...]:
        """Return every usable sample; what is not usable leaves a note and stays in the journal."""
        readings = call.talk.adapter.readings
        shapes = self._shapes.of(readings)
        samples: list[Sample] = []
        for value in values:
            claimed, notes = readings.time(value.timestamp, call.received_at)
            call.note(notes)
            at = claimed or call.received_at
            for each in value.sampledValue:
                read, quantity, context, phase, place = shapes[
                    each.measurand, each.unit, each.context, each.phase, each.location, each.format
                ]
                number, notes = read(each.value)
                if notes:
                    call.note(notes)
                if number is not None:
                    samples.append(sample_of((at, quantity, number, context, phase, place)))
        return tuple(samples)


def shape(readings: Readings, description: Description) -> Shape:
    """Return what a sampled value without its value means (1.6, SampledValue)."""
    measurand, unit, context, phase, location, format = description
    quantity, read = readings.meaning(measurand or None, unit or None, 0)
    if format == "SignedData":
        read = unread  # opaque; the journal keeps it for whoever can check it
    return (
        read,
        quantity or Quantity.ENERGY_REGISTER,  # what means nothing is never read
        CONTEXTS[context or "Sample.Periodic"],
        phase or None,
        (location or "Outlet").lower(),
    )


# ---------------------------------------------------------------- answers


async def nothing_after(durable: Awaitable[None]) -> Struct:
    await durable
    return NOTHING


def authorized(decision: Decision) -> Struct:
    token = decision.token
    return wire.AuthorizeResponse(
        idTagInfo=wire.IdTagInfo(
            expiryDate=wire_time(token.expires_at) if token and token.expires_at else UNSET,
            parentIdTag=parent(token.group_name if token else None),
            status=VERDICTS[decision.verdict],
        )
    )


def parent(group: str | None) -> str | UnsetType:
    """Return the name of a group, which is ours and fits, as 1.6 carries it."""
    return group or UNSET


async def authorized_after(soon: Awaitable[Decision]) -> Struct:
    return authorized(await soon)


async def started(durable: Awaitable[Ack]) -> Struct:
    answer = started_unread(await durable)
    if answer is None:
        raise LookupError("the core gave a started transaction no number")
    return answer


def started_unread(ack: Ack) -> Struct | None:
    """Return the answer to a start; None if no number was given, for none may be made up."""
    if ack.transaction is None:
        return None
    return wire.StartTransactionResponse(
        idTagInfo=wire.IdTagInfo(
            parentIdTag=parent(ack.group), status=VERDICTS[ack.verdict or Verdict.INVALID]
        ),
        transactionId=int(ack.transaction),
    )


async def stopped(durable: Awaitable[Ack], token_presented: bool) -> Struct:
    ack = await durable
    if not token_presented or ack.verdict is None:
        return NOTHING
    return wire.StopTransactionResponse(idTagInfo=wire.IdTagInfo(status=VERDICTS[ack.verdict]))


def flags(call: Received, at: datetime | None, register: int | None) -> tuple[Flag, ...]:
    found = []
    if at is None:
        found.append(Flag.TIME_IMPLAUSIBLE)
    if register is None:
        found.append(Flag.REGISTER_MISSING)
    if call.damaged:
        found.append(Flag.DAMAGED)
    return tuple(found)


def place(call: Received, connector: int) -> int | None:
    """Return the EVSE that a connector is; None for 0 (the whole charger) and for no number."""
    found = within(connector, MAX_PLACE)
    if found is None:
        call.note(NO_PLACE)
    return found or None


def error_text(call: Received, request: wire.StatusNotificationRequest) -> str:
    """Return a status report's error as one line for the operator."""
    text = call.talk.adapter.readings.text
    parts = (request.errorCode, request.vendorErrorCode or "", request.info or "")
    return " ".join(clean for part in parts if (clean := text(part)[0]))
