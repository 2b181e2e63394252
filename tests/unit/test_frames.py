"""OCPP-J frames: what is one, what is none, and what is said about it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp import exceptions as published

from ocpp_gateway.adaptation import Dialect
from ocpp_gateway.frame_log import MAX_KEPT, Direction, FrameLog, Refused, RefusedLog
from ocpp_gateway.frames import (
    ERROR_CODES,
    Call,
    CallError,
    CallResult,
    Fault,
    MalformedFrame,
    call,
    call_error,
    call_result,
    content_key,
    decode_object,
    duplicate_ids,
    fault_of,
    parse,
)
from ocpp_gateway.v16 import messages as v16

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def test_a_call_is_taken_apart_and_its_payload_stays_raw() -> None:
    frame = parse(b'[2, "19", "Heartbeat" , {"a": [1]} ]')
    assert isinstance(frame, Call)
    assert (frame.id, frame.action, bytes(frame.payload)) == (b'"19"', "Heartbeat", b'{"a": [1]}')


def test_answers_and_errors_are_told_apart() -> None:
    result = parse(b'[3,"19",{"status":"Accepted"}]')
    assert isinstance(result, CallResult)
    assert parse(b'[4,"19","InternalError","why",{}]') == CallError(b'"19"', "InternalError", "why")
    assert parse(b'[4,"19","InternalError"]') == CallError(b'"19"', "InternalError", "")


@pytest.mark.parametrize(
    ("data", "fault", "id"),
    [
        (b"", Fault.NOT_JSON, None),
        (b"\xff", Fault.NOT_JSON, None),
        (b'[2,"1","\xc3("', Fault.NOT_JSON, None),
        (b"nonsense", Fault.NOT_JSON, None),
        (b"{}", Fault.NOT_JSON, None),
        (b"[NaN]", Fault.NOT_JSON, None),
        (b"[" * 100_000, Fault.NOT_JSON, None),
        (b"[]", Fault.NOT_A_FRAME, None),
        (b'["2","1","A",{}]', Fault.NOT_A_FRAME, b'"1"'),
        (b"[" + b"9" * 5000 + b',"1"]', Fault.NOT_A_FRAME, b'"1"'),
        (b'[5,"1","A",{}]', Fault.UNKNOWN_TYPE, b'"1"'),
        (b'[2,"1"]', Fault.SYNTAX, b'"1"'),
        (b'[2,"1","A"]', Fault.SYNTAX, b'"1"'),
        (b'[2,"1","A",{},{}]', Fault.SYNTAX, b'"1"'),
        (b'[2,"1","A",[{}]]', Fault.SYNTAX, b'"1"'),
        (b'[2,"1","A",null]', Fault.SYNTAX, b'"1"'),
        (b'[2,"1",["A"],{}]', Fault.SYNTAX, b'"1"'),
        (b'[2,null,"A",{}]', Fault.NOT_A_FRAME, None),
        (b'[2,["1"],"A",{}]', Fault.NOT_A_FRAME, None),
        (b'[3,"1"]', Fault.NOT_JSON, None),
    ],
)
def test_what_is_no_frame_is_called_by_its_fault(
    data: bytes, fault: Fault, id: bytes | None
) -> None:
    with pytest.raises(MalformedFrame) as caught:
        parse(data)
    assert (caught.value.fault, caught.value.id) == (fault, id)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_parsing_raises_nothing_but_malformed_frame(data: bytes) -> None:
    try:
        parse(data)
    except MalformedFrame as error:
        for dialect in Dialect:
            reply = call_error(dialect, error.id, error.fault, str(error))
            assert reply is None or json.loads(reply)[0] == 4


@given(JSON)
def test_any_payload_of_any_action_is_decoded_or_refused_with_a_code(payload: object) -> None:
    data = json.dumps([2, "1", "StartTransaction", payload]).encode()
    try:
        frame = parse(data)
        assert isinstance(frame, Call)
        msgspec.json.decode(frame.payload, type=v16.StartTransactionRequest)
    except MalformedFrame as error:
        assert error.fault in (Fault.SYNTAX, Fault.NOT_JSON)
    except msgspec.MsgspecError as error:
        assert fault_of(error) in ERROR_CODES[Dialect.V16]


def test_error_codes_are_those_of_each_version() -> None:
    names = {
        cls.code
        for cls in vars(published).values()
        if isinstance(cls, type) and hasattr(cls, "code")
    }
    v16_only = set(ERROR_CODES[Dialect.V16].values())
    assert v16_only <= names
    assert "FormationViolation" in v16_only  # misspelt in 1.6 for ever, errata 5.2
    assert "OccurenceConstraintViolation" in v16_only  # errata 5.1
    assert set(ERROR_CODES[Dialect.V201].values()) - names == {
        "RpcFrameworkError",
        "MessageTypeNotSupported",
    }
    assert "FormatViolation" in set(ERROR_CODES[Dialect.V201].values())


def test_what_is_no_call_is_silence_in_1_6_and_an_error_in_2_0_1() -> None:
    assert call_error(Dialect.V16, None, Fault.NOT_JSON, "?") is None
    assert call_error(Dialect.V201, None, Fault.NOT_JSON, "?") == (
        b'[4,"-1","RpcFrameworkError","?",{}]'
    )


def test_an_error_may_quote_anything_and_stays_json_and_short() -> None:
    reply = call_error(Dialect.V16, b'"1"', Fault.VALUE, 'a "quote"\n\0\ud800' + "x" * 999)
    assert reply is not None
    assert len(json.loads(reply)[3]) <= 255


def test_answers_are_compact_and_echo_the_id_as_it_came() -> None:
    answer = v16.HeartbeatResponse(currentTime="T")
    assert call_result(b'"\\u0061"', answer) == b'[3,"\\u0061",{"currentTime":"T"}]'
    assert call_result(b"17", v16.HeartbeatRequest()) == b"[3,17,{}]"
    assert call("1", "Reset", v16.ResetRequest(type="Soft")) == b'[2,"1","Reset",{"type":"Soft"}]'


# ---------------------------------------------------------------- content keys


def test_the_key_does_not_depend_on_the_order_of_fields() -> None:
    one = content_key("CS1", "A", {"a": 1, "b": {"c": 2, "d": 3}})
    assert one == content_key("CS1", "A", {"b": {"d": 3, "c": 2}, "a": 1})


@pytest.mark.parametrize(
    "other",
    [
        content_key("CS2", "A", {"a": 1}),
        content_key("CS1", "B", {"a": 1}),
        content_key("CS1", "A", {"a": 2}),
        content_key("CS1", "A", {"a": 1}, "boot 2"),
        content_key("CS1", "A", {"a": "1"}),
    ],
)
def test_the_key_depends_on_everything_else(other: bytes) -> None:
    assert content_key("CS1", "A", {"a": 1}) != other


def test_the_key_of_a_typed_request_is_the_key_of_its_payload() -> None:
    payload = {"timestamp": "T", "meterStart": 5, "idTag": "A", "connectorId": 1}
    typed = msgspec.convert(payload, v16.StartTransactionRequest)
    assert content_key("CS1", "S", typed) == content_key("CS1", "S", payload)


def test_keys_lie_in_the_order_of_the_moments_that_their_messages_tell() -> None:
    moments = [f"2026-03-01T10:00:{second:02}.5Z" for second in range(30)]
    keys = [content_key(f"CS{29 - n}", "A", {"timestamp": at}) for n, at in enumerate(moments)]
    assert keys == sorted(keys) and len({len(key) for key in keys}) == 1


# ---------------------------------------------------------------- depth, duplicates


def test_payloads_deeper_than_any_legal_one_are_refused() -> None:
    assert decode_object(b'{"a":' * 30 + b"1" + b"}" * 30)
    for depth in (40, 50_000):
        with pytest.raises(MalformedFrame):
            decode_object(b'{"a":' * depth + b"1" + b"}" * depth)


@pytest.mark.parametrize("payload", [b"[]", b"1", b"", b"{", b'{"a":1e999}'])
def test_a_payload_that_is_no_readable_object_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedFrame):
        decode_object(payload)


def test_a_key_that_stands_twice_in_one_object_is_found_and_in_two_objects_not() -> None:
    names = (b"idTag", b"transactionId")
    assert duplicate_ids(b'{"idTag":"A","x":1,"idTag":"B"}', names) == ("idTag",)
    assert duplicate_ids(b'{"idTag":"A","x":{"idTag":"B"}}', names) == ()
    assert duplicate_ids(b'{"x":["idTag","idTag"]}', names) == ()


# ---------------------------------------------------------------- frame log


def test_the_log_tells_each_station_its_last_frames_in_order() -> None:
    log = FrameLog()
    for n in range(5):
        log.add("A", Direction.RECEIVED, b"a%d" % n, n)
        log.add("B", Direction.SENT, b"b%d" % n, n)
    assert [each.data for each in log.last("A", 3)] == [b"a2", b"a3", b"a4"]
    assert [each.direction for each in log.last("B", 1)] == [Direction.SENT]
    assert log.last("C") == []


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.binary(max_size=700)), max_size=80))
def test_whatever_is_written_the_log_returns_an_unbroken_tail(
    frames: list[tuple[str, bytes]],
) -> None:
    log = FrameLog(2 * (MAX_KEPT + 256))
    for station, data in frames:
        log.add(station, Direction.RECEIVED, data, 0.0)
    for station in "ABC":
        mine = [data for name, data in frames if name == station]
        tail = [each.data for each in log.last(station, 1000)]
        assert tail == mine[len(mine) - len(tail) :]
    if frames:
        station, data = frames[-1]
        assert log.last(station, 1)[0].data == data


def test_a_long_frame_is_cut_and_its_size_kept() -> None:
    log = FrameLog()
    log.add("A", Direction.RECEIVED, b"x" * 5000, 0.0)
    [entry] = log.last("A")
    assert (len(entry.data), entry.size) == (MAX_KEPT, 5000)


def test_refusals_are_bounded_and_found_by_identity_without_case() -> None:
    log = RefusedLog(limit=3)
    for name in ("one", "TWO", "three", "two"):
        log.add(Refused(datetime(2026, 1, 1, tzinfo=UTC), name, "10.0.0.1", 401, "unknown"))
    assert [each.identity for each in log.last("two")] == ["TWO", "two"]
    assert [each.identity for each in log.last()] == ["TWO", "three", "two"]
