"""OCPP-J messages as values (OCPP-J 1.6, section 4.2; OCPP 2.0.1 part 4, section 4.2).

A message is JSON bytes. Only the frame is taken apart here; the payload stays raw until the typed
decoder of its Action reads it. The message id stays raw too and is echoed as it came, so that a
charger finds its own spelling again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import Raw
from ocpp import exceptions as published

from ocpp_gateway.adaptation import Dialect, Payload

MAX_DEPTH: Final = 32
"""Deepest nesting of arrays and objects that is looked at; legal messages need less than ten."""

MAX_DESCRIPTION: Final = 255
"""Longest ``errorDescription`` (OCPP-J 1.6, 4.2.3)."""

UNREADABLE_ID: Final = b'"-1"'
"""Stands for a message id that could not be read (OCPP 2.0.1 part 4, 4.2.3)."""


class MessageType(IntEnum):
    CALL = 2
    CALL_RESULT = 3
    CALL_ERROR = 4


@dataclass(frozen=True, slots=True)
class Call:
    """A request. ``id`` is the raw JSON of the message id, quotes included."""

    id: bytes
    action: str
    payload: Raw


@dataclass(frozen=True, slots=True)
class CallResult:
    id: bytes
    payload: Raw


@dataclass(frozen=True, slots=True)
class CallError:
    id: bytes
    code: str
    description: str = ""


Frame = Call | CallResult | CallError


class Fault(IntEnum):
    """What is wrong with a frame or its payload; each version has its own word for it."""

    NOT_JSON = 1
    NOT_A_FRAME = 2
    UNKNOWN_TYPE = 3
    SYNTAX = 4
    MISSING = 5
    TYPE = 6
    VALUE = 7
    UNKNOWN_ACTION = 8
    UNSERVED_ACTION = 9
    NOT_REGISTERED = 10
    INTERNAL = 11


ERROR_CODES: Final[dict[Dialect, dict[Fault, str]]] = {
    Dialect.V16: {
        Fault.SYNTAX: published.FormationViolationError.code,  # misspelt on purpose, errata 5.2
        Fault.MISSING: published.OccurenceConstraintViolationError.code,  # likewise, errata 5.1
        Fault.TYPE: published.TypeConstraintViolationError.code,
        Fault.VALUE: published.PropertyConstraintViolationError.code,
        Fault.UNKNOWN_ACTION: published.NotImplementedError.code,
        Fault.UNSERVED_ACTION: published.NotSupportedError.code,
        Fault.NOT_REGISTERED: published.SecurityError.code,
        Fault.INTERNAL: published.InternalError.code,
    },
    Dialect.V201: {
        Fault.NOT_JSON: "RpcFrameworkError",  # these two are not among the package's classes
        Fault.NOT_A_FRAME: "RpcFrameworkError",
        Fault.UNKNOWN_TYPE: "MessageTypeNotSupported",
        Fault.SYNTAX: published.FormatViolationError.code,
        Fault.MISSING: published.OccurenceConstraintViolationError.code,
        Fault.TYPE: published.TypeConstraintViolationError.code,
        Fault.VALUE: published.PropertyConstraintViolationError.code,
        Fault.UNKNOWN_ACTION: published.NotImplementedError.code,
        Fault.UNSERVED_ACTION: published.NotSupportedError.code,
        Fault.NOT_REGISTERED: published.SecurityError.code,
        Fault.INTERNAL: published.InternalError.code,
    },
}
"""Faults without an entry are met with silence: OCPP 1.6 has no answer to what is no call."""


class MalformedFrame(ValueError):
    """Not an OCPP-J message. ``id`` is the raw message id where an answer is still possible."""

    def __init__(self, fault: Fault, reason: str, id: bytes | None = None) -> None:
        super().__init__(reason)
        self.fault = fault
        self.id = id


_call: Final = msgspec.json.Decoder(tuple[int, Raw, str, Raw])
_array: Final = msgspec.json.Decoder(list[Raw])
_int: Final = msgspec.json.Decoder(int)
_str: Final = msgspec.json.Decoder(str)
_anything: Final = msgspec.json.Decoder()

UNDECODABLE: Final = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
"""What a decoder may raise: bad JSON or shape, endless nesting, bytes that are no text."""


def parse(data: bytes) -> Frame:
    """Take a message apart.

    Raises:
        MalformedFrame: for anything that is not a call, result or error. Never anything else.
    """
    if not data.isascii():
        _check_text(data)
    try:
        kind, id, action, payload = _call.decode(data)
    except UNDECODABLE:
        return _parse_slowly(data)
    raw_id = bytes(id)
    # Valid JSON that ends in "}]" has an object for its last element; else look closer.
    if kind == 2 and _is_id(raw_id) and (data.endswith(b"}]") or _is_object(payload)):
        return Call(raw_id, action, payload)
    return _parse_slowly(data)


def _check_text(data: bytes) -> None:
    """Refuse bytes that are no UTF-8: the socket hands them over unchecked."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise MalformedFrame(Fault.NOT_JSON, f"no UTF-8 at byte {error.start}") from None


def _is_id(raw: bytes) -> bool:
    """A text, or a number: some chargers count. Not empty, not null, nothing nested."""
    return raw[:1] == b'"' or raw[:1].isdigit()


def _is_object(raw: Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b"{"


def _parse_slowly(data: bytes) -> Frame:
    """Everything that is not a plain call: answers, errors, and what is wrong."""
    try:
        parts = _array.decode(data)
    except UNDECODABLE as error:
        raise MalformedFrame(Fault.NOT_JSON, _why(error)) from None
    id = bytes(parts[1]) if len(parts) > 1 and _is_id(bytes(parts[1])) else None
    try:
        kind = _int.decode(parts[0]) if parts else None
    except UNDECODABLE:
        kind = None
    match kind, len(parts):
        case MessageType.CALL, _:
            raise MalformedFrame(_call_fault(id, parts), "a call is [2, id, action, {}]", id)
        case MessageType.CALL_RESULT, 3 if id is not None and _is_object(parts[2]):
            return CallResult(id, parts[2])
        case MessageType.CALL_ERROR, 3 | 4 | 5 if id is not None:
            return CallError(id, *(_text(part) for part in parts[2:4]))
        case ((MessageType.CALL_RESULT | MessageType.CALL_ERROR), _):
            raise MalformedFrame(Fault.NOT_JSON, "an answer to no call")
        case int(), _:
            raise MalformedFrame(Fault.UNKNOWN_TYPE, "unknown message type", id)
        case _:
            raise MalformedFrame(Fault.NOT_A_FRAME, "no message type", id)


def _call_fault(id: bytes | None, parts: list[Raw]) -> Fault:
    return Fault.SYNTAX if id is not None else Fault.NOT_A_FRAME


def _text(raw: Raw) -> str:
    try:
        return _str.decode(raw)
    except UNDECODABLE:
        return ""


def _why(error: BaseException) -> str:
    return "too deeply nested" if isinstance(error, RecursionError) else str(error)


def fault_of(error: BaseException) -> Fault:
    """Say what kind of fault the typed decoder found."""
    if not isinstance(error, msgspec.ValidationError):
        return Fault.SYNTAX
    text = str(error)
    if "missing required" in text:
        return Fault.MISSING
    if "unknown field" in text:
        return Fault.SYNTAX
    if text.startswith("Expected `") and ", got `" in text:
        return Fault.TYPE
    return Fault.VALUE


def decode_object(payload: bytes | Raw) -> Payload:
    """Read a payload as plain values, for repair and for the content key.

    Raises:
        MalformedFrame: no object, nested deeper than ``MAX_DEPTH``, or no readable JSON.
    """
    try:
        value = _anything.decode(payload)
    except UNDECODABLE as error:
        raise MalformedFrame(Fault.SYNTAX, _why(error)) from None
    if not isinstance(value, dict):
        raise MalformedFrame(Fault.SYNTAX, "the payload is no object")
    if _deeper_than(value, MAX_DEPTH):
        raise MalformedFrame(Fault.SYNTAX, "too deeply nested")
    return value


def _deeper_than(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        return levels == 0 or any(_deeper_than(each, levels - 1) for each in value.values())
    if isinstance(value, list):
        return levels == 0 or any(_deeper_than(each, levels - 1) for each in value)
    return False


def duplicate_ids(payload: bytes | Raw, names: tuple[bytes, ...]) -> tuple[str, ...]:
    """Return those of *names* that stand more than once as keys in one object of *payload*.

    The decoders keep the last of two equal keys; which transaction a message means must not
    depend on that in silence.
    """
    raw = bytes(payload)
    for quoted in _quoted(names):
        if raw.count(quoted) > 1:
            return tuple(name for each in names if _repeats(raw, name := each.decode()))
    return ()


@cache
def _quoted(names: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(b'"' + name + b'"' for name in names)


def _repeats(raw: bytes, name: str) -> bool:
    found = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        found = found or sum(key == name for key, _ in pairs) > 1

    try:
        json.loads(raw, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return False
    return found


# ---------------------------------------------------------------- what we write

_encoder: Final = msgspec.json.Encoder()
_sorted: Final = msgspec.json.Encoder(order="sorted")


def call_result(id: bytes, payload: msgspec.Struct) -> bytes:
    """Return the answer to the call *id*: compact JSON, keys in the schema's order."""
    return b"[3,%b,%b]" % (id, _encoder.encode(payload))


def call_error(dialect: Dialect, id: bytes | None, fault: Fault, reason: str) -> bytes | None:
    """Return the error answer in *dialect*'s words; None where silence is the answer."""
    code = ERROR_CODES[dialect].get(fault)
    if code is None or (id is None and dialect is Dialect.V16):
        return None
    description = reason[:MAX_DESCRIPTION].encode("utf-8", "replace").decode()
    return b'[4,%b,"%b",%b,{}]' % (
        UNREADABLE_ID if id is None else id,
        code.encode(),
        _encoder.encode(description),
    )


def call(id: str, action: str, payload: msgspec.Struct | Payload) -> bytes:
    """Return a call of ours."""
    return _encoder.encode((MessageType.CALL.value, id, action, payload))


# ---------------------------------------------------------------- what a message is

DIGEST_BYTES: Final = 16
_MOMENT: Final = b'"timestamp":"'
_MOMENT_LENGTH: Final = len("2026-01-01T00:00:00.000")


def content_key(
    station: str, action: str, content: Payload | msgspec.Struct | bytes, extra: str = ""
) -> bytes:
    """Return the key by which a repetition of a message is known, unique over all stations.

    Two messages have one key exactly if station, action and content are equal. Keys of objects
    are sorted; the message id is not part of the content.

    The key begins with the first moment that the content tells, so that an index over keys grows
    at its end: a page is written once for many keys, where keys in random order touch a page each.

    Args:
        content: the parsed payload before any repair, without fields that change on repetition,
            as plain values or typed; or bytes, of a message that nobody could parse.
        extra: what else distinguishes messages of equal content (the boot count, where the
            station's clock is unset).
    """
    body = content if isinstance(content, bytes) else _sorted.encode(content)
    head = f"{station}\0{action}\0{extra}\0".encode()
    return _moment(body) + blake2b(head + body, digest_size=DIGEST_BYTES).digest()


def _moment(body: bytes) -> bytes:
    """Return the digits of the first timestamp in *body*, whatever it says; empty without one."""
    at = body.find(_MOMENT)
    if at < 0:
        return b""
    at += len(_MOMENT)
    return body[at : at + _MOMENT_LENGTH].translate(None, b"-:.TZ")
