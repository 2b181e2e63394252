"""Repair over every message of both versions, not only over those that somebody recorded."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect

import adapters
from adapters.standard import REQUESTS
from ocpp_gateway.adaptation import Dialect

MESSAGES = [
    pytest.param(dialect, action, id=f"{dialect} {action}")
    for dialect in Dialect
    for action in sorted(REQUESTS[dialect])
]
STANDARD = adapters.STANDARD

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=60),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3)
    ),
    max_leaves=12,
)


def example(kind: inspect.Type) -> Any:
    """Return one legal value with every field present."""
    match kind:
        case inspect.StructType():
            return {field.encode_name: example(field.type) for field in kind.fields}
        case inspect.ListType():
            return [example(kind.item_type)] * max(1, kind.min_length or 0)
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.StrType():
            return "x" * max(kind.min_length or 0, 1)
        case inspect.IntType():
            return int(kind.ge or 1)
        case inspect.FloatType():
            return 1.5 if kind.ge is None else float(kind.ge)
        case inspect.BoolType():
            return True
        case _:
            return {}


def legal(dialect: Dialect, action: str) -> Any:
    payload = example(inspect.type_info(REQUESTS[dialect][action]))
    msgspec.convert(payload, REQUESTS[dialect][action])
    return payload


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside *value*."""
    match value:
        case dict():
            inner = [places(child, (*path, key)) for key, child in value.items()]
        case list():
            inner = [places(child, (*path, key)) for key, child in enumerate(value)]
        case _:
            inner = []
    return [place for group in inner for place in group] + ([path] if path else [])


def put(payload: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(payload)
    inside = changed
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return changed


@pytest.mark.parametrize(("dialect", "action"), MESSAGES)
def test_a_legal_message_is_left_alone(dialect: Dialect, action: str) -> None:
    payload = legal(dialect, action)
    assert STANDARD.repair_payload(action, payload, dialect) == (payload, ())


@pytest.mark.parametrize(("dialect", "action"), MESSAGES)
def test_numbers_truths_and_words_in_other_types_come_back(dialect: Dialect, action: str) -> None:
    """Q-040, Q-044, Q-055: each leaf in turn as text, in upper case; every one is understood."""
    payload, wanted = legal(dialect, action), REQUESTS[dialect][action]
    for path in places(payload):
        leaf = payload
        for key in path:
            leaf = leaf[key]
        if isinstance(leaf, dict | list) or path[-1] == "vendorId":
            continue
        wrong = str(leaf).upper() if leaf != "x" else leaf
        repaired, notes = STANDARD.repair_payload(action, put(payload, path, wrong), dialect)
        assert msgspec.to_builtins(msgspec.convert(repaired, wanted)) == payload, path
        assert len(notes) == (wrong != leaf), path


@pytest.mark.parametrize(("dialect", "action"), MESSAGES)
def test_nothing_wrong_in_any_field_raises(dialect: Dialect, action: str) -> None:
    """Every field of every message with every wrong type; the repair may fail, never break."""
    payload = legal(dialect, action)
    for path in places(payload):
        for wrong in (None, "", "zorg", -1, 10**30, 1.5, 1e308, True, [], {}, [[]], [{}], {"a": 1}):
            repaired, _ = STANDARD.repair_payload(action, put(payload, path, wrong), dialect)
            json.dumps(repaired)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([p.values for p in MESSAGES]), st.dictionaries(st.text(), JSON, max_size=4))
def test_any_object_at_all_is_survived(which: tuple[Dialect, str], payload: dict[str, Any]) -> None:
    dialect, action = which
    before = copy.deepcopy(payload)
    STANDARD.repair_payload(action, payload, dialect)
    assert payload == before


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='[]{},:"\\0123eE+-.NaInfty \x00', max_size=200))
def test_any_bytes_at_all_are_survived(data: bytes | str) -> None:
    raw = data.encode() if isinstance(data, str) else data
    repaired, notes = STANDARD.repair_bytes(raw)
    assert notes or repaired == raw


def test_a_frame_of_a_megabyte_of_brackets_costs_no_recursion() -> None:
    data = b"[" * 1_000_000
    assert STANDARD.repair_bytes(data) == (data, ())


def test_a_thousand_damages_leave_a_bounded_number_of_notes() -> None:
    payload = {"connectorId": 1, **{f"extra{n}": n for n in range(1000)}}
    _, notes = STANDARD.repair_payload("MeterValues", payload, Dialect.V16)
    assert len(notes) <= 32
