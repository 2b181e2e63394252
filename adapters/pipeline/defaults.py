"""Q-046, Q-049: what stands in for a required field that a charger leaves out.

Every stand-in says "unknown" in a way that the readings and the core understand: an empty time is
no time, a register of -1 is no register, transaction -1 is one the charger cannot name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNKNOWN_REGISTER = -1
UNKNOWN_TRANSACTION = -1
WHOLE_STATION = 0
NO_TIME = ""

_STATION = {"vendorName": "unknown", "model": "unknown"}

DEFAULTS: Mapping[tuple[str, str], Any] = {
    # 1.6
    ("BootNotificationRequest", "chargePointVendor"): "unknown",
    ("BootNotificationRequest", "chargePointModel"): "unknown",
    ("StatusNotificationRequest", "errorCode"): "NoError",
    ("StartTransactionRequest", "connectorId"): WHOLE_STATION,
    ("StartTransactionRequest", "idTag"): "",
    ("StartTransactionRequest", "meterStart"): UNKNOWN_REGISTER,
    ("StartTransactionRequest", "timestamp"): NO_TIME,
    ("StopTransactionRequest", "transactionId"): UNKNOWN_TRANSACTION,
    ("StopTransactionRequest", "meterStop"): UNKNOWN_REGISTER,
    ("StopTransactionRequest", "timestamp"): NO_TIME,
    ("TransactionData", "timestamp"): NO_TIME,
    ("TransactionData", "sampledValue"): [],
    ("MeterValuesRequest", "connectorId"): WHOLE_STATION,
    ("SecurityEventNotificationRequest", "type"): "unknown",
    # 2.0.1
    ("BootNotificationRequest", "chargingStation"): _STATION,
    ("BootNotificationRequest", "reason"): "Unknown",
    ("ChargingStation", "vendorName"): "unknown",
    ("ChargingStation", "model"): "unknown",
    ("TransactionEventRequest", "eventType"): "Updated",
    ("TransactionEventRequest", "triggerReason"): "Trigger",
    ("TransactionEventRequest", "seqNo"): 0,
    ("TransactionEventRequest", "timestamp"): NO_TIME,
    ("MeterValuesRequest", "evseId"): WHOLE_STATION,
    ("IdToken", "type"): "ISO14443",
    # both
    ("MeterValue", "timestamp"): NO_TIME,
    ("StatusNotificationRequest", "timestamp"): NO_TIME,
    ("SecurityEventNotificationRequest", "timestamp"): NO_TIME,
}
"""(message type, field) -> stand-in."""

EMPTY_ITEMS: Mapping[tuple[str, str], list[Any]] = {
    # A value that is no number: the readings drop it, so nothing is stored.
    ("MeterValue", "sampledValue"): [{"value": ""}],
    ("MeterValuesRequest", "meterValue"): [{"timestamp": NO_TIME, "sampledValue": [{"value": ""}]}],
}
"""(message type, field) -> what an empty list becomes where at least one item is required."""

CORES: Mapping[str, tuple[str, ...]] = {
    "StartTransactionRequest": ("idTag", "meterStart"),
    "StopTransactionRequest": ("transactionId", "meterStop"),
    "MeterValuesRequest": ("meterValue",),
    "TransactionEventRequest": ("transactionInfo",),
}
"""message type -> fields of which one must be there, or the message says nothing usable."""

SCALAR_FIELD: Mapping[str, str] = {
    "IdToken": "idToken",
    "EVSE": "id",
    "Transaction": "transactionId",
    "UnitOfMeasure": "unit",
    "SampledValue": "value",
    "StopTransactionSampledValue": "value",
}
"""message type -> the field that a bare scalar in its place means (Q-042)."""

NEVER_CUT = frozenset(
    {
        "idTag",
        "parentIdTag",
        "idToken",
        "transactionId",
        "certificate",
        "csr",
        "exiRequest",
        "signedMeterData",
        "publicKey",
        "serialNumber",
        "issuerNameHash",
        "issuerKeyHash",
    }
)
"""Text that identifies or proves something: shortening it makes it another's, or worthless."""

TOKENS = frozenset({"idTag", "idToken"})
"""Text fields that hold a token; a too long one is replaced by one that is nobody's (Q-048)."""

DECIDES_MEANING: Mapping[str, tuple[str, ...]] = {
    "SampledValue": ("measurand", "unit", "unitOfMeasure"),
    "StopTransactionSampledValue": ("measurand", "unit"),
    "UnitOfMeasure": ("unit", "multiplier"),
}
"""message type -> optional fields without which the number beside them would mean another thing.

If one is there and unusable, the sample goes; the message stays (Q-058, Q-059).
"""
