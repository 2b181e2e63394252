"""Signed meter values: read out of kept frames, kept as they came, never in anybody's way."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from cms.domain.signed import LONGEST, MOST_BETWEEN, Nature, SignedReading, signed_record
from ocpp_gateway.signing import signed_readings

PLAIN = '{"FV":"1.0","RD":[{"RV":1.5,"RU":"kWh|x"}]}'
TEXT = f'OCMF|{PLAIN}|{{"SD":"aBcD"}}'
BLOB = b64encode(TEXT.encode()).decode()


def v16(value: str, context: str | None = None, name: str = "meterValue") -> bytes:
    sample = {"value": value, "format": "SignedData"} | ({"context": context} if context else {})
    values = [{"timestamp": "2026-03-03T06:30:00Z", "sampledValue": [{"value": "5"}, sample]}]
    return json.dumps([2, "1", "MeterValues", {name: values}]).encode()


def v201(context: str = "Transaction.End", value: float = 5, **about: Any) -> bytes:
    sample = {"value": value, "context": context, "signedMeterValue": about}
    values = [{"timestamp": "2026-03-03T06:30:00Z", "sampledValue": [sample]}]
    return json.dumps([2, "1", "TransactionEvent", {"meterValue": values}]).encode()


def one(nature: Nature, signed: str, **more: Any) -> SignedReading:
    return SignedReading(nature, **{"plain": "p", "encoding": "OCMF"} | more, signed=signed)


@pytest.mark.parametrize("name", ["meterValue", "transactionData"])
def test_ocmf_is_known_by_its_text_and_its_middle_is_the_plain_data(name: str) -> None:
    (found,) = signed_readings(v16(TEXT, "Transaction.Begin", name))
    assert found == SignedReading(Nature.START, PLAIN, BLOB, "OCMF")


def test_2x_data_stay_as_they_are_with_method_and_key() -> None:
    about = {"signedMeterData": BLOB, "encodingMethod": "OCMF", "publicKey": "KeY="}
    (found,) = signed_readings(v201(**about, signingMethod="ECDSA"))
    assert found == SignedReading(Nature.END, PLAIN, BLOB, "OCMF", "KeY=")


def test_1_6_may_hold_the_description_of_2x_as_text() -> None:
    about = {"signedMeterData": BLOB, "encodingMethod": "OCMF", "publicKey": "KeY="}
    (found,) = signed_readings(v16(json.dumps(about)))
    assert found == SignedReading(Nature.INTERMEDIATE, PLAIN, BLOB, "OCMF", "KeY=")


def test_what_nobody_knows_is_called_unknown_and_kept() -> None:
    opaque = b64encode(b"\xff\x00\x01").decode()
    (first,) = signed_readings(v16(opaque))
    assert (first.plain, first.signed, first.encoding) == ("", opaque, "UNKNOWN")
    (second,) = signed_readings(v16("0a0B"))
    assert (second.plain, second.signed) == ("0a0B", b64encode(b"0a0B").decode())
    (third,) = signed_readings(v201(value=12.5, signedMeterData=opaque, encodingMethod="é" * 4))
    assert (third.plain, third.encoding) == ("12.5", "UNKNOWN")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"SignedData',
        b'[2,"1","MeterValues",{"meterValue":"SignedData"}]',
        b'[2,"1","MeterValues",{"meterValue":[{"sampledValue":[7,{"format":"SignedData"}]}]}]',
        v201(signedMeterData=""),
        v201(signedMeterData=7),
        v16("  "),
        b"[" * 100_000 + b"SignedData",
    ],
)
def test_what_is_damaged_says_nothing(raw: bytes) -> None:
    assert signed_readings(raw) == ()


def test_wrong_case_and_trailing_octets_hide_nothing() -> None:
    raw = v16(TEXT, "transaction.begin").replace(b"SignedData", b"signeddata")
    (found,) = signed_readings(raw + b"\x00\n")
    assert (found.nature, found.signed) == (Nature.START, BLOB)


def test_each_stands_once_start_first_and_end_last() -> None:
    start, end = one(Nature.START, "a"), one(Nature.END, "b")
    twice = one(Nature.INTERMEDIATE, "b")
    record = signed_record([end, twice, start, one(Nature.INTERMEDIATE, "c")])
    assert [each.signed for each in record.kept] == ["a", "c", "b"]
    assert record.left_out == 0


def test_what_no_bill_can_carry_is_left_out_and_counted() -> None:
    long = one(Nature.START, "x" * (LONGEST + 1))
    other = one(Nature.END, "y", encoding="EDL")
    fits = one(Nature.START, "z" * LONGEST)
    record = signed_record([long, fits, other])
    assert (record.kept, record.left_out) == ((fits,), 2)
    assert signed_record([long]).left_out == 1
    many = [one(Nature.INTERMEDIATE, str(number)) for number in range(MOST_BETWEEN + 3)]
    record = signed_record([*many, fits])
    assert (len(record.kept), record.left_out) == (MOST_BETWEEN + 1, 3)
