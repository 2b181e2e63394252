"""Signed meter values out of kept frames, for both versions.

They are read when a session is settled, not when a frame arrives: nobody waits for them, and what
is wrong with one can harm nothing else.
"""

from __future__ import annotations

import binascii
import string
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from cms.domain.signed import Nature, SignedReading

OCMF: Final = "OCMF"
UNKNOWN: Final = "UNKNOWN"
LONGEST_NAME: Final = 36

NATURES: Final = {"transaction.begin": Nature.START, "transaction.end": Nature.END}

_HINT: Final = b"igned"
"""Stands in every frame that could hold one, whatever its case."""

_AROUND: Final = b"\x00 \r\n\t"
_HEX: Final = frozenset(string.hexdigits)
_LISTS: Final = ("meterValue", "transactionData")
_decode = msgspec.json.Decoder().decode


def signed_readings(raw: bytes) -> Sequence[SignedReading]:
    """Return the signed values of a call as it was received; none of what is damaged. Never raises."""
    if _HINT not in raw:
        return ()
    try:
        return tuple(_readings(_decode(raw.strip(_AROUND))))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ()


def _readings(call: Any) -> Iterator[SignedReading]:
    payload = call[3] if isinstance(call, list) and len(call) > 3 else None
    for name in _LISTS:
        for value in _objects(payload, name):
            for sample in _objects(value, "sampledValue"):
                if found := _reading(sample):
                    yield found


def _objects(holder: Any, name: str) -> Iterator[dict[str, Any]]:
    found = holder.get(name) if isinstance(holder, dict) else None
    yield from (
        each for each in (found if isinstance(found, list) else ()) if isinstance(each, dict)
    )


def _reading(sample: dict[str, Any]) -> SignedReading | None:
    """Return what a sample carries: 2.x beside its value, 1.6 in the place of its value."""
    context = str(sample.get("context")).casefold()
    nature = NATURES.get(context, Nature.INTERMEDIATE)
    value = sample.get("value")
    if isinstance(about := sample.get("signedMeterValue"), dict):
        return _described(nature, about, value)
    if not isinstance(value, str) or str(sample.get("format")).casefold() != "signeddata":
        return None
    return _described(nature, _within(value) or {"signedMeterData": value}, None)


def _within(value: str) -> dict[str, Any] | None:
    """Return the 2.x description that some 1.6 chargers write as JSON into the value."""
    if not value.lstrip().startswith("{"):
        return None
    try:
        found = _decode(value)
    except (msgspec.DecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) and "signedMeterData" in found else None


def _described(nature: Nature, about: dict[str, Any], value: Any) -> SignedReading | None:
    data = about.get("signedMeterData")
    if not isinstance(data, str) or not data.strip():
        return None
    blob, text = _blob(data)
    key = about.get("publicKey")
    if text is not None and text.startswith(f"{OCMF}|"):
        encoding = OCMF
        plain = text.removeprefix(f"{OCMF}|").rpartition("|")[0]
    else:
        encoding = _named(about.get("encodingMethod"))
        plain = text if text is not None else _number(value)
    return SignedReading(
        nature, plain, blob, encoding, key if isinstance(key, str) and key else None
    )


def _blob(data: str) -> tuple[str, str | None]:
    """Return the data as base64, untouched if it is that already, and its text if it is text."""
    if _HEX.issuperset(data):
        return _base64(data), data
    try:
        content = b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return _base64(data), data
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return data, None
    return data, text if all(each.isprintable() or each in "\r\n\t" for each in text) else None


def _named(method: Any) -> str:
    """Return the encoding that a charger names; a name that no bill can carry says nothing."""
    fits = isinstance(method, str) and method.isascii() and method.isprintable()
    return method if fits and 1 <= len(method) <= LONGEST_NAME else UNKNOWN


def _base64(text: str) -> str:
    return b64encode(text.encode("utf-8", "replace")).decode()


def _number(value: Any) -> str:
    """Return the ordinary value beside a signed one that nobody can read."""
    return f"{value}" if isinstance(value, int | float) else ""
