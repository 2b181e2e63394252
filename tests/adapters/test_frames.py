"""Every recorded frame, through the same three steps as in the gateway."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import adapters
from adapters.standard import REQUESTS
from ocpp_gateway import frames
from ocpp_gateway.adaptation import Adapter, Dialect, Identity, Notes

FRAMES = Path(__file__).parent / "frames"
CASES = [
    pytest.param(case, id=f"{file.stem}: {case['case']}")
    for file in sorted(FRAMES.glob("*.json"))
    for case in json.loads(file.read_text("utf-8"))
]
CATALOGUE = adapters.catalogue()


def adapter_of(case: dict[str, Any]) -> Adapter:
    if "identity" not in case:
        return CATALOGUE.choose(profile=case.get("profile", "standard"))
    chosen = CATALOGUE.choose(Identity(**case["identity"]))
    assert chosen.name == case["profile"]
    return chosen


def data_of(case: dict[str, Any]) -> bytes:
    return bytes.fromhex(case["frame_hex"]) if "frame_hex" in case else case["frame"].encode()


def parsed(data: bytes) -> frames.Call:
    """Take a call apart, and make sure that its payload is JSON all the way down."""
    call = frames.parse(data)
    assert isinstance(call, frames.Call)
    frames.decode_object(call.payload)
    return call


def understood(adapter: Adapter, dialect: Dialect, data: bytes) -> tuple[str, Any, Notes]:
    """Return what strict decoding sees after as little repair as it takes."""
    notes: Notes = ()
    try:
        call = parsed(data)
    except frames.MalformedFrame:
        data, notes = adapter.repair_bytes(data)
        call = parsed(data)
    action, more = adapter.repair_action(call.action, dialect)
    notes += more
    wanted = REQUESTS[dialect][action]
    try:
        return action, msgspec.json.decode(call.payload, type=wanted), notes
    except frames.UNDECODABLE:
        payload = frames.decode_object(call.payload)
        before = copy.deepcopy(payload)
        repaired, more = adapter.repair_payload(action, payload, dialect)
        assert payload == before, "a repair must not change its argument"
        return action, msgspec.convert(repaired, wanted), notes + more


@pytest.mark.parametrize("case", CASES)
def test_frame_becomes_what_it_meant(case: dict[str, Any]) -> None:
    dialect = Dialect(case["dialect"])
    if "payload" not in case:
        with pytest.raises(msgspec.ValidationError):
            understood(adapter_of(case), dialect, data_of(case))
        return
    action, message, notes = understood(adapter_of(case), dialect, data_of(case))
    assert (action, msgspec.to_builtins(message)) == (case["action"], case["payload"])
    assert [note.code for note in notes] == case["notes"]


@pytest.mark.parametrize("case", [case for case in CASES if "payload" in case.values[0]])
def test_a_repaired_payload_needs_no_second_repair(case: dict[str, Any]) -> None:
    adapter, dialect = adapter_of(case), Dialect(case["dialect"])
    _, notes = adapter.repair_payload(case["action"], case["payload"], dialect)
    assert [str(note) for note in notes] == []


def test_every_damaged_frame_fails_without_repair() -> None:
    """The corpus is about damage: a frame that strict decoding takes proves nothing."""
    for param in CASES:
        case = param.values[0]
        assert case["notes"] or "payload" not in case, case["case"]


def test_names_and_evidence_are_given() -> None:
    for param in CASES:
        case = param.values[0]
        assert case["seen"].startswith(("https://", "synthetic")), case["case"]
