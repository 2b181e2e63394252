"""OCPP 2.0.1: what stations say, in the core's words. The only reader of 2.0.1's field names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from cms.app.ports import Boot, Registration, Soon, StationEvents, StatusReport
from cms.app.writes import Ack
from cms.domain.ids import ReservationId, TransactionId
from cms.domain.meter import Quantity, Sample, sample_of
from cms.domain.status import ConnectorReport
from cms.domain.token import Decision, Verdict
from cms.domain.transaction import ChargingState, EventKind, Flag, TransactionEvent
from ocpp_gateway.adaptation import Dialect, Note, Readings
from ocpp_gateway.dialogue import Received, Route, Salvage
from ocpp_gateway.sampling import AllShapes, Description, Shape
from ocpp_gateway.v201 import messages as wire
from ocpp_gateway.wording import CONTEXTS, MAX_PLACE, NO_PLACE, wire_time, within

REPORTS: Final[dict[str, ConnectorReport]] = {
    "Available": ConnectorReport.FREE,
    "Occupied": ConnectorReport.OCCUPIED,
    "Reserved": ConnectorReport.RESERVED,
    "Unavailable": ConnectorReport.UNAVAILABLE,
    "Faulted": ConnectorReport.FAULTED,
}

KINDS: Final[dict[str, EventKind]] = {
    "Started": EventKind.STARTED,
    "Updated": EventKind.UPDATED,
    "Ended": EventKind.ENDED,
}

CHARGING: Final[dict[str, ChargingState]] = {
    "Charging": ChargingState.CHARGING,
    "EVConnected": ChargingState.CONNECTED,
    "SuspendedEV": ChargingState.SUSPENDED_BY_CAR,
    "SuspendedEVSE": ChargingState.SUSPENDED_BY_STATION,
    "Idle": ChargingState.IDLE,
}

PLACES: Final[dict[str, str]] = {
    "Body": "body",
    "Cable": "cable",
    "EV": "ev",
    "Inlet": "inlet",
    "Outlet": "outlet",
}

REGISTRATIONS: Final[dict[Registration, wire.RegistrationStatusEnum]] = {
    Registration.ACCEPTED: "Accepted",
    Registration.PENDING: "Pending",
    Registration.REJECTED: "Rejected",
}

VERDICTS: Final[dict[Verdict, wire.AuthorizationStatusEnum]] = {
    Verdict.ACCEPTED: "Accepted",
    Verdict.BLOCKED: "Blocked",
    Verdict.EXPIRED: "Expired",
    Verdict.INVALID: "Invalid",
    Verdict.CONCURRENT: "ConcurrentTx",
}

NAMELESS: Final = "the event names no transaction"

NOTHING: Final = wire.HeartbeatRequest()
"""The empty object ``{}``, the answer of every Action that answers nothing."""

NO_RESULT: Final = wire.TransactionEventResponse()

UNPAIRED: Final = (Note("Q-194", "connector 0 of an EVSE, or a connector of EVSE 0; not used"),)

MAX_NUMBER: Final = 2**31 - 1
"""Highest sequence, reservation or remote start number: the schema's integers are 32 bits wide."""

Clock = Callable[[], datetime]


class Inbound:
    """Turns 2.0.1 messages into calls of the core. Holds nothing of any station.

    Args:
        heartbeat_s: heartbeat interval that stations are told at boot; while pending or rejected,
            the time until the next boot.
    """

    dialect = Dialect.V201
    known = frozenset(wire.REQUESTS)
    gated = True  # a station that is not accepted hears SecurityError (B02.FR.09)

    def __init__(self, events: StationEvents, clock: Clock, heartbeat_s: int = 300) -> None:
        self._events = events
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._shapes = AllShapes(shape)
        self.routes = {
            "BootNotification": Route(wire.BootNotificationRequest, self._boot),
            "Heartbeat": Route(wire.HeartbeatRequest, self._heartbeat),
            "StatusNotification": Route(
                wire.StatusNotificationRequest, self._status, ids=(b"evseId", b"connectorId")
            ),
            "Authorize": Route(wire.AuthorizeRequest, self._authorize),
            "TransactionEvent": Route(
                wire.TransactionEventRequest,
                self._transaction_event,
                transaction=True,
                ids=(b"transactionId", b"seqNo", b"eventType"),
                unkeyed=("offline",),
                salvage=Salvage(
                    ("transactionInfo",),
                    {
                        "eventType": "Updated",
                        "timestamp": "",
                        "triggerReason": "Trigger",
                        "seqNo": 0,
                    },
                ),
                kept=lambda ack: NO_RESULT,
            ),
            "MeterValues": Route(
                wire.MeterValuesRequest,
                self._meter_values,
                transaction=True,
                ids=(b"evseId",),
                salvage=Salvage(("evseId", "meterValue"), {}),
                kept=lambda ack: NOTHING,
            ),
            "DataTransfer": Route(wire.DataTransferRequest, self._data_transfer),
            "SecurityEventNotification": Route(
                wire.SecurityEventNotificationRequest,
                self._security_event,
                transaction=True,  # as durable as transactions, and never refused
                salvage=Salvage((), {"type": "Unreadable", "timestamp": ""}),
                kept=lambda ack: NOTHING,
            ),
            "ReservationStatusUpdate": Route(
                wire.ReservationStatusUpdateRequest,
                self._reservation_ended,
                ids=(b"reservationId",),
            ),
            "NotifyChargingLimit": Route(wire.NotifyChargingLimitRequest, self._limited),
            "ClearedChargingLimit": Route(wire.ClearedChargingLimitRequest, self._limited),
            "ReportChargingProfiles": Route(wire.ReportChargingProfilesRequest, self._limited),
            "NotifyEVChargingSchedule": Route(
                wire.NotifyEVChargingScheduleRequest, self._car_plans
            ),
            **self._refusals(),
            **{action: Route(wire.REQUESTS[action], self._noted) for action in NOTED},
        }

    def _refusals(self) -> dict[str, Route]:
        """Return the Actions that ask for something we do not do: told so, in their own words."""

        def saying(answer: Struct) -> Callable[[Received, Struct], Struct]:
            return lambda call, request: answer

        return {
            action: Route(wire.REQUESTS[action], saying(answer))
            for action, answer in REFUSALS.items()
        }

    # ------------------------------------------------------------ life

    def _boot(self, call: Received, request: wire.BootNotificationRequest) -> Awaitable[Struct]:
        text = call.talk.adapter.readings.text
        station = request.chargingStation
        boot = Boot(
            vendor=text(station.vendorName)[0],
            model=text(station.model)[0],
            serial=text(station.serialNumber or "")[0],
            firmware=text(station.firmwareVersion or "")[0],
            dialect=self.dialect.value,
        )
        return self._booted(call, boot)

    async def _booted(self, call: Received, boot: Boot) -> Struct:
        call.talk.identified(boot)
        registration = await self._events.booted(call.talk.visit, boot)
        call.talk.registration = registration
        call.talk.boots += 1
        return wire.BootNotificationResponse(
            currentTime=wire_time(self._clock()),
            interval=self._heartbeat_s,
            status=REGISTRATIONS[registration],
        )

    def _heartbeat(self, call: Received, request: Struct) -> Struct:
        return wire.HeartbeatResponse(currentTime=wire_time(call.received_at))

    def _noted(self, call: Received, request: Struct) -> Struct:
        """A report that needs no decision; the frame log shows it."""
        return NOTHING

    def _limited(
        self,
        call: Received,
        request: wire.NotifyChargingLimitRequest
        | wire.ClearedChargingLimitRequest
        | wire.ReportChargingProfilesRequest
        | wire.NotifyEVChargingScheduleRequest,
    ) -> Struct:
        """What limits an EVSE has changed (K11 to K13); the core asks what it plans now."""
        evse = within(request.evseId, MAX_PLACE) or None  # 0 = the station as a whole
        self._events.limits_changed(call.talk.visit, evse)
        return NOTHING

    def _car_plans(self, call: Received, request: wire.NotifyEVChargingScheduleRequest) -> Struct:
        """The car has chosen among what it was offered; the answer says that we read it."""
        self._limited(call, request)
        return wire.NotifyEVChargingScheduleResponse(status="Accepted")

    def _data_transfer(self, call: Received, request: Struct) -> Struct:
        return wire.DataTransferResponse(status="UnknownVendorId")

    def _security_event(
        self, call: Received, request: wire.SecurityEventNotificationRequest
    ) -> Awaitable[Struct]:
        readings = call.talk.adapter.readings
        at, notes = readings.time(request.timestamp, call.received_at)
        call.note(notes)
        return nothing_after(
            self._events.security_event(
                call.frame(call.key()),
                readings.text(request.type)[0],
                at or call.received_at,
                readings.text(request.techInfo or "")[0],
            )
        )

    def _reservation_ended(
        self, call: Received, request: wire.ReservationStatusUpdateRequest
    ) -> Soon[Struct]:
        number = within(request.reservationId, MAX_NUMBER)
        if number is None:
            return NOTHING
        expired = request.reservationUpdateStatus == "Expired"
        return nothing_after(
            self._events.reservation_ended(call.frame(), ReservationId(number), expired)
        )

    # ------------------------------------------------------------ status, tokens

    def _status(self, call: Received, request: wire.StatusNotificationRequest) -> Soon[Struct]:
        if not (0 <= request.evseId <= MAX_PLACE and 0 <= request.connectorId <= MAX_PLACE):
            call.note(NO_PLACE)
            return NOTHING
        if (request.evseId == 0) != (request.connectorId == 0):
            call.note(UNPAIRED)
            return NOTHING
        at, notes = call.talk.adapter.readings.time(request.timestamp, call.received_at)
        call.note(notes)
        soon = self._events.reported(
            call.frame(),
            StatusReport(
                evse=request.evseId,
                connector=request.connectorId,
                report=REPORTS[request.connectorStatus],
                at=at,
            ),
        )
        return NOTHING if soon is None else nothing_after(soon)

    def _authorize(self, call: Received, request: wire.AuthorizeRequest) -> Soon[Struct]:
        proof = (request.certificate, request.iso15118CertificateHashData)
        unproven = any(each is not UNSET and bool(each) for each in proof)
        token, notes = call.talk.adapter.readings.token(request.idToken.idToken)
        call.note(notes)
        soon = self._events.authorize(call.talk.visit, token)
        if isinstance(soon, Decision):
            return authorized(soon, unproven)
        return authorized_after(soon, unproven)

    # ------------------------------------------------------------ transactions

    def _transaction_event(
        self, call: Received, request: wire.TransactionEventRequest
    ) -> Awaitable[Struct]:
        at, notes = call.talk.adapter.readings.time(request.timestamp, call.received_at)
        call.note(notes)
        about = request.transactionInfo
        if not about.transactionId:
            return nameless(self._events.keep(call.frame(call.key(("offline",))), NAMELESS))
        evse, connector = place(request.evse)
        kind = KINDS[request.eventType]
        token = self._token(call, request.idToken)
        samples = () if request.meterValue is UNSET else self._samples(call, request.meterValue, at)
        key = call.key(without=("offline",))
        event = TransactionEvent(
            kind=kind,
            occurred_at=at or call.received_at,
            received_at=call.received_at,
            content=key,
            seq_no=within(request.seqNo, MAX_NUMBER) or 0,
            evse=evse,
            connector=connector,
            id_token=token,
            samples=samples,
            charging=None if about.chargingState is UNSET else CHARGING[about.chargingState],
            reason=reason(kind, about),
            remote_start=within(about.remoteStartId, MAX_NUMBER),
            reservation=within(request.reservationId, MAX_NUMBER) or None,
            offline=request.offline is True,
            flags=flags(call, at),
        )
        name = TransactionId(about.transactionId)
        return answered(self._events.transaction(call.frame(key), name, event), token is not None)

    def _token(self, call: Received, presented: wire.IdToken | UnsetType) -> str | None:
        """Return the token that was presented; None where there is none (NoAuthorization)."""
        if presented is UNSET:
            return None
        token, notes = call.talk.adapter.readings.token(presented.idToken)
        call.note(notes)
        return token or None

    def _meter_values(self, call: Received, request: wire.MeterValuesRequest) -> Awaitable[Struct]:
        samples = self._samples(call, request.meterValue, None)
        evse = within(request.evseId, MAX_PLACE) or 0
        key = call.key()
        event = TransactionEvent(
            kind=EventKind.UPDATED,
            occurred_at=samples[0].at if samples else call.received_at,
            received_at=call.received_at,
            content=key,
            evse=evse or None,
            samples=samples,
            flags=(Flag.DAMAGED,) if call.damaged else (),
        )
        return nothing_after(self._events.meter_values(call.frame(key), evse, None, event))

    def _samples(
        self, call: Received, values: Iterable[wire.MeterValue], otherwise: datetime | None
    ) -> tuple[Sample, ...]:
        """Return every usable sample; what is not usable leaves a note and stays in the journal.

        Args:
            otherwise: when a sample was taken that does not say; None = when it was received.
        """
        readings = call.talk.adapter.readings
        shapes = self._shapes.of(readings)
        samples: list[Sample] = []
        for value in values:
            claimed, notes = readings.time(value.timestamp, call.received_at)
            call.note(notes)
            at = claimed or otherwise or call.received_at
            for each in value.sampledValue:
                unit = each.unitOfMeasure
                read, quantity, context, phase, place = shapes[
                    each.measurand,
                    None if unit is UNSET else unit.unit,
                    None if unit is UNSET else unit.multiplier,
                    each.context,
                    each.phase,
                    each.location,
                ]
                number, notes = read(each.value)
                if notes:
                    call.note(notes)
                if number is not None:
                    samples.append(sample_of((at, quantity, number, context, phase, place)))
        return tuple(samples)


def shape(readings: Readings, description: Description) -> Shape:
    """Return what a sampled value without its value means (2.0.1, SampledValueType)."""
    measurand, unit, multiplier, context, phase, location = description
    quantity, read = readings.meaning(measurand or None, unit or None, multiplier or 0)
    return (
        read,
        quantity or Quantity.ENERGY_REGISTER,  # what means nothing is never read
        CONTEXTS[context or "Sample.Periodic"],
        phase or None,
        PLACES[location or "Outlet"],
    )


# ---------------------------------------------------------------- answers

NOTED: Final = (
    "FirmwareStatusNotification",
    "LogStatusNotification",
    "NotifyCustomerInformation",
    "NotifyDisplayMessages",
    "NotifyEvent",
    "NotifyMonitoringReport",
    "NotifyReport",
    "PublishFirmwareStatusNotification",
)
"""Reports whose answer is empty: receiving them is all that they ask for."""

REFUSALS: Final[dict[str, Struct]] = {
    "Get15118EVCertificate": wire.Get15118EVCertificateResponse(status="Failed", exiResponse=""),
    "GetCertificateStatus": wire.GetCertificateStatusResponse(status="Failed"),
    "NotifyEVChargingNeeds": wire.NotifyEVChargingNeedsResponse(status="Rejected"),
    "SignCertificate": wire.SignCertificateResponse(status="Rejected"),
}
"""Wishes that we do not fulfil: no certificate authority, no plans made for cars."""


async def nothing_after(durable: Awaitable[None]) -> Struct:
    await durable
    return NOTHING


def authorized(decision: Decision, unproven: bool) -> Struct:
    """Answer an Authorize.

    Args:
        unproven: it came with a contract certificate, which we have no means to check: that is
            said, and the token is decided on all the same.
    """
    token = decision.token
    expires = wire_time(token.expires_at) if token and token.expires_at else UNSET
    return wire.AuthorizeResponse(
        idTokenInfo=wire.IdTokenInfo(
            status=VERDICTS[decision.verdict],
            cacheExpiryDateTime=expires,
            groupIdToken=group_of(token.group_name if token else None),
        ),
        certificateStatus="NoCertificateAvailable" if unproven else UNSET,
    )


async def authorized_after(soon: Awaitable[Decision], unproven: bool) -> Struct:
    return authorized(await soon, unproven)


def group_of(group: str | None) -> wire.IdToken | UnsetType:
    """Return the name of a group, which is ours and fits, as 2.0.1 carries it."""
    return wire.IdToken(idToken=group, type="Central") if group else UNSET


async def answered(durable: Awaitable[Ack], token_presented: bool) -> Struct:
    """Return the answer once the event is durable; about a token only if one was presented."""
    ack = await durable
    if not token_presented or ack.verdict is None:
        return NO_RESULT
    return wire.TransactionEventResponse(
        idTokenInfo=wire.IdTokenInfo(status=VERDICTS[ack.verdict], groupIdToken=group_of(ack.group))
    )


async def nameless(durable: Awaitable[Ack]) -> Struct:
    await durable
    return NO_RESULT


def place(evse: wire.EVSE | UnsetType) -> tuple[int | None, int | None]:
    """Return the numbers of EVSE and connector, each None where it is not told."""
    if evse is UNSET:
        return None, None
    return within(evse.id, MAX_PLACE) or None, within(evse.connectorId, MAX_PLACE) or None


def reason(kind: EventKind, about: wire.Transaction) -> str | None:
    """Return why the transaction ended; an absent reason means Local (TransactionType.stoppedReason)."""
    if about.stoppedReason is not UNSET:
        return about.stoppedReason
    return "Local" if kind is EventKind.ENDED else None


def flags(call: Received, at: datetime | None) -> tuple[Flag, ...]:
    found = () if at is not None else (Flag.TIME_IMPLAUSIBLE,)
    return (*found, Flag.DAMAGED) if call.damaged else found
