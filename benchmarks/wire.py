"""Just enough WebSocket for a load generator: prebuilt client frames, patched in place.

Client frames must be masked (RFC 6455, 5.3). The mask here is zero, which is legal and leaves the
payload readable, so that a number inside a ready frame can be overwritten where it stands. The
server unmasks all the same.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

TEXT: Final = 0x81
CLOSE: Final = 0x88
PING: Final = 0x89
PONG: Final = 0x8A

_ZERO_MASK: Final = b"\0\0\0\0"
_SHORT: Final = 126
_MEDIUM: Final = 1 << 16

ID_DIGITS: Final = 9
TIME_WIDTH: Final = len("2026-01-01T00:00:00.000Z")
NUMBER_DIGITS: Final = 9

FIRST_NUMBER: Final = 10 ** (NUMBER_DIGITS - 1)
"""Counters start here: JSON numbers have no leading zeros, and frames keep their length."""


def masked(opcode: int, payload: bytes) -> bytes:
    """Return one whole client frame."""
    return _head(opcode, len(payload)) + payload


def _head(opcode: int, size: int) -> bytes:
    if size < _SHORT:
        return bytes((opcode, 0x80 | size)) + _ZERO_MASK
    if size < _MEDIUM:
        return bytes((opcode, 0x80 | 126)) + struct.pack("!H", size) + _ZERO_MASK
    return bytes((opcode, 0x80 | 127)) + struct.pack("!Q", size) + _ZERO_MASK


def upgrade(path: str, host: str, protocol: str, user: str, password: str) -> bytes:
    """Return an HTTP upgrade request with Basic credentials and one subprotocol."""
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {protocol}\r\nAuthorization: Basic {credentials}\r\n\r\n"
    ).encode()


class Splitter:
    """Cuts a byte stream from a server into frames (never masked, never fragmented by ours)."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return the whole frames that *data* completes, as (first byte, payload)."""
        data = self._rest + data
        frames = []
        at = 0
        while (found := _frame_at(data, at)) is not None:
            start, end = found
            frames.append((data[at], data[start:end]))
            at = end
        self._rest = data[at:]
        return frames


def _frame_at(data: bytes, at: int) -> tuple[int, int] | None:
    """Return where the payload of the frame at *at* starts and ends; None if it is not whole."""
    left = len(data) - at
    if left < 2:
        return None
    size, start = data[at + 1], at + 2
    if size == 126:
        if left < 4:
            return None
        size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
    elif size == 127:
        if left < 10:
            return None
        size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
    return (start, start + size) if start + size <= len(data) else None


@dataclass(frozen=True, slots=True)
class Template:
    """A whole client frame with holes of fixed width: message id, times, counted numbers.

    Attributes:
        times: offsets of the moments to write. numbers: of the counters.
    """

    frame: bytes
    id: int
    times: tuple[int, ...]
    numbers: tuple[int, ...]

    def writable(self) -> bytearray:
        return bytearray(self.frame)


_ID_HOLE = "#" * ID_DIGITS
_TIME_HOLE = "@" * TIME_WIDTH
_NUMBER_HOLE = "%" * NUMBER_DIGITS


def template(text: str, **words: str) -> Template:
    """Prepare a message.

    Args:
        text: the OCPP-J message with ``<id>`` (once), ``<time>`` and ``<number>`` for the holes and
            ``<word>`` for each of *words*.
    """
    for name, word in words.items():
        text = text.replace(f"<{name}>", word)
    holes: Mapping[str, str] = {"<id>": _ID_HOLE, "<time>": _TIME_HOLE, "<number>": _NUMBER_HOLE}
    for name, hole in holes.items():
        text = text.replace(name, hole)
    frame = masked(TEXT, text.encode())
    return Template(
        frame,
        frame.index(_ID_HOLE.encode()),
        _all(frame, _TIME_HOLE.encode()),
        _all(frame, _NUMBER_HOLE.encode()),
    )


def _all(frame: bytes, hole: bytes) -> tuple[int, ...]:
    found = []
    at = frame.find(hole)
    while at >= 0:
        found.append(at)
        at = frame.find(hole, at + len(hole))
    return tuple(found)
