"""How a charger says things in OCPP 1.6."""

from __future__ import annotations

from typing import Any

from ocpp.v16 import call
from ocpp.v16.datatypes import MeterValue, SampledValue

from simulators.station.model import Outlet, Transaction

VERSION = "1.6"
SUBPROTOCOL = "ocpp1.6"
MESSAGES = {"first": "start", "between": "sample", "last": "stop"}
NO_TRANSACTION = -1


def boot(vendor: str, model: str, serial: str, firmware: str, reason: str) -> Any:
    """BootNotification; *reason* has no place in 1.6."""
    return call.BootNotification(
        charge_point_vendor=vendor,
        charge_point_model=model,
        charge_point_serial_number=serial,
        firmware_version=firmware,
    )


def heartbeat() -> Any:
    """Heartbeat."""
    return call.Heartbeat()


def station_status(at: str, operative: bool) -> Any:
    """StatusNotification of the whole charger (connector 0)."""
    return call.StatusNotification(
        connector_id=0,
        error_code="NoError",
        status="Available" if operative else "Unavailable",
        timestamp=at,
    )


def status_of(outlet: Outlet) -> str:
    """The ChargePointStatus that follows from what is true at *outlet*."""
    if outlet.faulted:
        return "Faulted"
    if not outlet.operative:
        return "Unavailable"
    transaction = outlet.transaction
    if transaction is not None and transaction.running:
        return "Charging" if outlet.meter.running else "SuspendedEV"
    if outlet.plugged:
        return "Preparing" if transaction is None else "Finishing"
    if outlet.reserved_for_remote:
        return "Preparing"
    return "Reserved" if outlet.reserved else "Available"


def status(outlet: Outlet, value: str, at: str) -> Any:
    """StatusNotification."""
    return call.StatusNotification(
        connector_id=outlet.evse,
        error_code="GroundFailure" if value == "Faulted" else "NoError",
        status=value,
        timestamp=at,
    )


def authorize(id_tag: str, token_type: str) -> Any:
    """Authorize; 1.6 knows no type of token."""
    return call.Authorize(id_tag=id_tag)


def accepts(answer: dict[str, Any]) -> bool:
    """Whether *answer* lets the driver charge; silence on the matter does."""
    info = answer.get("idTagInfo")
    return info is None or info.get("status") == "Accepted"


def group_of(answer: dict[str, Any]) -> str | None:
    """The group that the backend says a tag belongs to."""
    parent: str | None = (answer.get("idTagInfo") or {}).get("parentIdTag")
    return parent


def transaction_id(answer: dict[str, Any]) -> str | None:
    """The id that the backend gave to a transaction, as text."""
    number = answer.get("transactionId")
    return None if number is None else str(number)


def _values(at: str, wh: int, power_w: int, context: str) -> MeterValue:
    return MeterValue(
        timestamp=at,
        sampled_value=[
            SampledValue(
                value=str(wh),
                context=context,
                measurand="Energy.Active.Import.Register",
                location="Outlet",
                unit="Wh",
            ),
            SampledValue(
                value=str(power_w),
                context=context,
                measurand="Power.Active.Import",
                location="Outlet",
                unit="W",
            ),
        ],
    )


def _number(transaction: Transaction) -> int:
    return int(transaction.transaction_id or transaction.made_up_id or NO_TRANSACTION)


def first(transaction: Transaction, outlet: Outlet, offline: bool) -> Any:
    """StartTransaction."""
    return call.StartTransaction(
        connector_id=transaction.evse,
        id_tag=transaction.id_tag,
        meter_start=transaction.start_wh,
        timestamp=transaction.start_at,
        reservation_id=transaction.reservation_id,
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
    """MeterValues; without a transactionId when StartTransaction never was answered."""
    return call.MeterValues(
        connector_id=transaction.evse,
        transaction_id=None if transaction.transaction_id is None else _number(transaction),
        meter_value=[_values(at, wh, power_w, "Sample.Periodic")],
    )


def last(transaction: Transaction, outlet: Outlet, seq_no: int, offline: bool) -> Any:
    """StopTransaction; the transactionId is -1 when there never was another."""
    assert transaction.stop_at is not None and transaction.stop_wh is not None
    return call.StopTransaction(
        transaction_id=_number(transaction),
        id_tag=transaction.stop_tag or transaction.id_tag,
        meter_stop=transaction.stop_wh,
        timestamp=transaction.stop_at,
        reason=transaction.stop_reason,
    )


def idle_values(outlet: Outlet, at: str) -> Any:
    """MeterValues outside of any transaction."""
    return call.MeterValues(
        connector_id=outlet.evse,
        meter_value=[_values(at, outlet.meter.wh, 0, "Trigger")],
    )


def data_transfer(vendor: str, message: str | None, data: str | None) -> Any:
    """DataTransfer."""
    return call.DataTransfer(vendor_id=vendor, message_id=message, data=data)


def limit_changed(evse: int, watts: float | None) -> Any:
    """1.6 has no message that tells of a limit from elsewhere."""
    return None
