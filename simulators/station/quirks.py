"""Wire-level misbehaviour: what leaves a charger whose firmware is only nearly right.

A quirk is a function over the frame that a well-behaved charger would send. Quirks work on CALLs
only (what chargers report); the answers to the backend's own calls are left alone.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any

Payload = dict[str, Any]
Damage = Callable[[Payload], Payload]

ENUM_KEYS = frozenset(
    {
        "status",
        "errorCode",
        "connectorStatus",
        "measurand",
        "context",
        "location",
        "reason",
        "eventType",
        "triggerReason",
        "chargingState",
        "stoppedReason",
    }
)
FREE_TEXT_KEYS = frozenset(
    {
        "chargePointVendor",
        "chargePointModel",
        "chargePointSerialNumber",
        "chargeBoxSerialNumber",
        "firmwareVersion",
        "idTag",
        "vendorName",
        "model",
        "serialNumber",
        "info",
    }
)
LONG_TEXT_KEYS = FREE_TEXT_KEYS - {"idTag"}


def _walk(value: Any, change: Callable[[str, Any], Any], key: str = "") -> Any:
    """Apply *change* to every leaf of a JSON value, with the key that it stands under."""
    if isinstance(value, dict):
        return {name: _walk(item, change, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, change, key) for item in value]
    return change(key, value)


def numbers_as_strings(payload: Payload) -> Payload:
    """``{"connectorId": "1"}``: every number in quotation marks."""

    def change(_: str, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return str(value) if is_number else value

    return dict(_walk(payload, change))


def wrong_enum_case(payload: Payload) -> Payload:
    """``"available"``, ``"transaction.begin"``: enumerated values in lower case."""
    return dict(
        _walk(
            payload,
            lambda key, value: value.lower() if key in ENUM_KEYS else value,
        )
    )


def kwh_without_unit(payload: Payload) -> Payload:
    """Energy registers in kWh with no unit beside them (the specification then says Wh)."""
    payload = json.loads(json.dumps(payload))
    for values in [*payload.get("meterValue", []), *payload.get("transactionData", [])]:
        for sample in values["sampledValue"]:
            if sample.get("measurand", "Energy").lower().startswith("energy"):
                kwh = Decimal(str(sample["value"])) / 1000
                sample["value"] = (
                    f"{kwh:.3f}" if isinstance(sample["value"], str) else float(round(kwh, 3))
                )
                sample.pop("unit", None)
                sample.pop("unitOfMeasure", None)
    return dict(payload)


def times_without_zone(payload: Payload) -> Payload:
    """``2026-01-31T12:00:00.000``: the zone is left for the reader to guess."""
    return dict(
        _walk(
            payload,
            lambda key, value: value.removesuffix("Z") if key == "timestamp" else value,
        )
    )


def nul_after_strings(payload: Payload) -> Payload:
    """A C string's terminator and some of its padding travel with every free text."""
    return dict(
        _walk(
            payload,
            lambda key, value: value + "\x00  " if key in FREE_TEXT_KEYS else value,
        )
    )


def over_long_strings(payload: Payload) -> Payload:
    """Free text beyond the length that the schema allows (idTags are left alone)."""
    return dict(
        _walk(
            payload,
            lambda key, value: f"{value} " + "x" * 260 if key in LONG_TEXT_KEYS else value,
        )
    )


class SigningMeter:
    """A meter that signs what it counts, in OCMF, at the start and the end of a charge.

    1.6 tells both in StopTransaction.transactionData, 2.0.1 beside the values themselves.

    Args:
        padding: characters more in every signature, for firmware that knows no limit.
        broken: signed values are no objects and no text.
    """

    def __init__(self, padding: int = 0, broken: bool = False) -> None:
        self.signed: list[str] = []
        self._padding = padding
        self._broken = broken
        self._began: tuple[str, int] | None = None

    def __call__(self, payload: Payload) -> Payload:
        if "meterStart" in payload:
            self._began = (payload["timestamp"], payload["meterStart"])
        if "meterStop" in payload and self._began is not None:
            ended = (payload["timestamp"], payload["meterStop"])
            moments = [(*self._began, "Transaction.Begin"), (*ended, "Transaction.End")]
            return payload | {"transactionData": [self._v16(*moment) for moment in moments]}
        if "transactionInfo" in payload:
            payload = json.loads(json.dumps(payload))
            for values in payload.get("meterValue", []):
                first = values["sampledValue"][0]
                if first["context"] != "Sample.Periodic":
                    first["signedMeterValue"] = self._v201(first["value"])
        return payload

    def _v16(self, at: str, wh: int, context: str) -> Payload:
        value = self._sign(wh)
        sample = {"value": "" if self._broken else value, "context": context}
        return {"timestamp": at, "sampledValue": [sample | {"format": "SignedData"}]}

    def _v201(self, wh: float) -> Any:
        if self._broken:
            return "none"
        data = b64encode(self._sign(wh).encode()).decode()
        about = {"signingMethod": "ECDSA-secp256r1-SHA256", "encodingMethod": "OCMF"}
        return about | {"signedMeterData": data, "publicKey": "QUJDabc="}

    def _sign(self, wh: float) -> str:
        reading = json.dumps({"FV": "1.0", "RD": [{"RV": wh, "RU": "Wh"}]})
        seal = sha256(reading.encode()).hexdigest() + "x" * self._padding
        text = f'OCMF|{reading}|{{"SD":"{seal}"}}'
        self.signed.append(text)
        return text


@dataclass(frozen=True, slots=True)
class Make:
    """A make of chargers, as the wire sees it.

    Attributes:
        damages: done to each CALL's payload, in this order.
        trailing: appended to each CALL after the closing bracket.
        sends_subprotocol: False for a make that opens its socket without naming a protocol.
    """

    damages: tuple[Damage, ...] = ()
    trailing: str = ""
    sends_subprotocol: bool = True

    @property
    def well_behaved(self) -> bool:
        """Whether frames leave as the specification wants them."""
        return not self.damages and not self.trailing

    def frame(self, text: str) -> str:
        """The bytes (as text) that this make sends where *text* would be right."""
        if self.well_behaved or not text.startswith("[2,"):
            return text
        kind, id, action, payload = json.loads(text)
        for damage in self.damages:
            payload = damage(payload)
        return json.dumps([kind, id, action, payload], separators=(",", ":")) + self.trailing


WELL_BEHAVED = Make()

QUIRKS: dict[str, Damage] = {
    "numbers-as-strings": numbers_as_strings,
    "wrong-enum-case": wrong_enum_case,
    "kwh-without-unit": kwh_without_unit,
    "times-without-zone": times_without_zone,
    "nul-after-strings": nul_after_strings,
    "over-long-strings": over_long_strings,
}


def make(names: Iterable[str]) -> Make:
    """A make from the names of its quirks.

    The names are those of `QUIRKS`, and ``trailing-nul`` and ``no-subprotocol``.

    Raises:
        KeyError: for a name that is none of these.
    """
    chosen = list(names)
    return Make(
        damages=tuple(
            QUIRKS[name] for name in chosen if name not in ("trailing-nul", "no-subprotocol")
        ),
        trailing="\x00\n" if "trailing-nul" in chosen else "",
        sends_subprotocol="no-subprotocol" not in chosen,
    )
