"""How a charger says things in OCPP 2.0.1."""

from __future__ import annotations

from typing import Any

from ocpp.v201 import call
from ocpp.v201.datatypes import (
    ChargingLimitType,
    ChargingStationType,
    EVSEType,
    IdTokenType,
    MeterValueType,
    SampledValueType,
    TransactionType,
    UnitOfMeasureType,
)

from simulators.station.model import Outlet, Transaction

VERSION = "2.0.1"
SUBPROTOCOL = "ocpp2.0.1"
MESSAGES = {"first": "started", "between": "updated", "last": "ended"}

STOP_TRIGGER = {
    "Local": "StopAuthorized",
    "Remote": "RemoteStop",
    "DeAuthorized": "Deauthorized",
    "EVDisconnected": "EVCommunicationLost",
    "PowerLoss": "AbnormalCondition",
    "SoftReset": "ResetCommand",
    "HardReset": "ResetCommand",
    "UnlockCommand": "UnlockCommand",
    "Other": "AbnormalCondition",
}
STOPPED_REASON = {
    "SoftReset": "Reboot",
    "HardReset": "ImmediateReset",
    "UnlockCommand": "Other",
    "DeAuthorized": "DeAuthorized",
}


def boot(vendor: str, model: str, serial: str, firmware: str, reason: str) -> Any:
    """BootNotification."""
    return call.BootNotification(
        charging_station=ChargingStationType(
            vendor_name=vendor, model=model, serial_number=serial, firmware_version=firmware
        ),
        reason=reason,
    )


def heartbeat() -> Any:
    """Heartbeat."""
    return call.Heartbeat()


def station_status(at: str, operative: bool) -> Any:
    """2.0.1 reports connectors only."""
    return None


def status_of(outlet: Outlet) -> str:
    """The ConnectorStatus that follows from what is true at *outlet*."""
    if outlet.faulted:
        return "Faulted"
    if not outlet.operative:
        return "Unavailable"
    busy = outlet.plugged or (outlet.transaction is not None and outlet.transaction.running)
    if busy:
        return "Occupied"
    return "Reserved" if outlet.reserved else "Available"


def status(outlet: Outlet, value: str, at: str) -> Any:
    """StatusNotification."""
    return call.StatusNotification(
        timestamp=at,
        connector_status=value,
        evse_id=outlet.evse,
        connector_id=outlet.connector,
    )


def authorize(id_tag: str, token_type: str) -> Any:
    """Authorize."""
    return call.Authorize(id_token=IdTokenType(id_token=id_tag, type=token_type))


def accepts(answer: dict[str, Any]) -> bool:
    """Whether *answer* lets the driver charge; silence on the matter does."""
    info = answer.get("idTokenInfo")
    return info is None or info.get("status") == "Accepted"


def group_of(answer: dict[str, Any]) -> str | None:
    """The group that the backend says a token belongs to."""
    group = (answer.get("idTokenInfo") or {}).get("groupIdToken") or {}
    found: str | None = group.get("idToken")
    return found


def transaction_id(answer: dict[str, Any]) -> str | None:
    """2.0.1 backends give no ids; the charger's own holds."""
    return None


def _values(at: str, wh: int, power_w: int, context: str) -> MeterValueType:
    return MeterValueType(
        timestamp=at,
        sampled_value=[
            SampledValueType(
                value=wh,
                context=context,
                measurand="Energy.Active.Import.Register",
                location="Outlet",
                unit_of_measure=UnitOfMeasureType(unit="Wh"),
            ),
            SampledValueType(
                value=power_w,
                context=context,
                measurand="Power.Active.Import",
                location="Outlet",
                unit_of_measure=UnitOfMeasureType(unit="W"),
            ),
        ],
    )


def _token(transaction: Transaction) -> IdTokenType:
    return IdTokenType(id_token=transaction.id_tag, type=transaction.token_type)


def _stopping_token(transaction: Transaction) -> IdTokenType:
    if transaction.stop_tag is None:
        return _token(transaction)
    return IdTokenType(id_token=transaction.stop_tag, type="ISO14443")


def first(transaction: Transaction, outlet: Outlet, offline: bool) -> Any:
    """TransactionEvent Started, with the register and the token."""
    return call.TransactionEvent(
        event_type="Started",
        timestamp=transaction.start_at,
        trigger_reason=transaction.trigger,
        seq_no=0,
        transaction_info=TransactionType(
            transaction_id=transaction.txn,
            charging_state="EVConnected",
            remote_start_id=transaction.remote_start_id,
        ),
        meter_value=[_values(transaction.start_at, transaction.start_wh, 0, "Transaction.Begin")],
        evse=EVSEType(id=outlet.evse, connector_id=outlet.connector),
        id_token=None if transaction.unpaid else _token(transaction),
        reservation_id=transaction.reservation_id,
        offline=offline or None,
    )


def between(
    transaction: Transaction,
    outlet: Outlet,
    at: str,
    wh: int,
    power_w: int,
    seq_no: int,
    trigger: str,
    offline: bool,
) -> Any:
    """TransactionEvent Updated."""
    return call.TransactionEvent(
        event_type="Updated",
        timestamp=at,
        trigger_reason=trigger,
        seq_no=seq_no,
        transaction_info=TransactionType(transaction_id=transaction.txn, charging_state="Charging"),
        meter_value=[_values(at, wh, power_w, "Sample.Periodic")],
        offline=offline or None,
    )


def paid(
    transaction: Transaction,
    outlet: Outlet,
    at: str,
    wh: int,
    seq_no: int,
    tells_token: bool,
    offline: bool,
) -> Any:
    """TransactionEvent Updated: a remote start goes on with what plugging in began (F01)."""
    return call.TransactionEvent(
        event_type="Updated",
        timestamp=at,
        trigger_reason="RemoteStart",
        seq_no=seq_no,
        transaction_info=TransactionType(
            transaction_id=transaction.txn,
            charging_state="EVConnected",
            remote_start_id=transaction.remote_start_id,
        ),
        meter_value=[_values(at, wh, 0, "Sample.Clock")],
        evse=EVSEType(id=outlet.evse, connector_id=outlet.connector),
        id_token=_token(transaction) if tells_token else None,
        offline=offline or None,
    )


def last(transaction: Transaction, outlet: Outlet, seq_no: int, offline: bool) -> Any:
    """TransactionEvent Ended, with the last register."""
    assert transaction.stop_at is not None and transaction.stop_wh is not None
    reason = transaction.stop_reason or "Local"
    return call.TransactionEvent(
        event_type="Ended",
        timestamp=transaction.stop_at,
        trigger_reason=STOP_TRIGGER.get(reason, "AbnormalCondition"),
        seq_no=seq_no,
        transaction_info=TransactionType(
            transaction_id=transaction.txn,
            charging_state="EVConnected" if outlet.plugged else "Idle",
            stopped_reason=STOPPED_REASON.get(reason, reason),
        ),
        meter_value=[_values(transaction.stop_at, transaction.stop_wh, 0, "Transaction.End")],
        id_token=_stopping_token(transaction) if transaction.id_tag else None,
        offline=offline or None,
    )


def idle_values(outlet: Outlet, at: str) -> Any:
    """MeterValues outside of any transaction."""
    return call.MeterValues(
        evse_id=outlet.evse, meter_value=[_values(at, outlet.meter.wh, 0, "Trigger")]
    )


def data_transfer(vendor: str, message: str | None, data: str | None) -> Any:
    """DataTransfer."""
    return call.DataTransfer(vendor_id=vendor, message_id=message, data=data)


def limit_changed(evse: int, watts: float | None) -> Any:
    """NotifyChargingLimit, or ClearedChargingLimit where *watts* is None."""
    if watts is None:
        return call.ClearedChargingLimit(charging_limit_source="Other", evse_id=evse)
    return call.NotifyChargingLimit(
        charging_limit=ChargingLimitType(charging_limit_source="Other"), evse_id=evse
    )
