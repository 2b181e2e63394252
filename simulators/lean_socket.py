"""A WebSocket client that costs almost nothing: one protocol object, no task, no copy.

It exists so that one process can be ten thousand chargers. It knows what such chargers need of
RFC 6455: the opening handshake with Basic credentials, text frames, ping, pong and close; no
extensions. Frames leave with a masking key of zero, which is as good as any on a test bench and
lets prebuilt bytes go out as they are.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from typing import Protocol, cast
from urllib.parse import urlsplit

ZERO_MASK = b"\x00\x00\x00\x00"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Listener(Protocol):
    """Who is told what happens on a socket."""

    def connected(self, socket: LeanSocket) -> None:
        """TCP (and TLS) stand; the handshake is under way."""

    def opened(self) -> None:
        """The handshake succeeded."""

    def received(self, message: bytes) -> None:
        """A whole message arrived."""

    def closed(self, refusal: int | None) -> None:
        """The socket is gone; *refusal* is the HTTP status of a refused handshake."""


def frame(opcode: int, payload: bytes) -> bytes:
    """One final client frame around *payload*."""
    length = len(payload)
    if length < 126:
        head = bytes((0x80 | opcode, 0x80 | length))
    elif length < 65_536:
        head = bytes((0x80 | opcode, 0xFE)) + length.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0xFF)) + length.to_bytes(8, "big")
    return head + ZERO_MASK + payload


def upgrade_request(host: str, path: str, subprotocol: str, basic: str | None) -> bytes:
    """The opening handshake; *basic* is ``user:password``."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: {subprotocol}",
    ]
    if basic is not None:
        lines.append(f"Authorization: Basic {base64.b64encode(basic.encode()).decode()}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class LeanSocket(asyncio.Protocol):
    """One connection; see `connect`."""

    __slots__ = ("_buffer", "_listener", "_open", "_parts", "_refusal", "_request", "_transport")

    def __init__(self, listener: Listener, request: bytes) -> None:
        self._listener = listener
        self._request = request
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._parts = b""
        self._open = False
        self._refusal: int | None = None

    def send(self, message: bytes) -> None:
        """Send *message* as text."""
        if self._transport is not None:
            self._transport.write(frame(TEXT, message))

    def close(self) -> None:
        """Say goodbye and close."""
        if self._transport is not None:
            self._transport.write(frame(CLOSE, b"\x03\xe8"))
            self._transport.close()

    def abort(self) -> None:
        """Vanish."""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's, so isinstance would lie here.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)
        self._listener.connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._listener.closed(self._refusal)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._open and not self._shake_hands():
            return
        while self._take_frame():
            pass

    def _shake_hands(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        status = int(self._buffer.split(b" ", 2)[1])
        self._buffer = self._buffer[end + 4 :]
        if status != 101:
            self._refusal = status
            self.abort()
            return False
        self._open = True
        self._listener.opened()
        return True

    def _take_frame(self) -> bool:
        data = self._buffer
        if len(data) < 2:
            return False
        length, at = data[1], 2
        if length == 126:
            length, at = int.from_bytes(data[2:4], "big"), 4
        elif length == 127:
            length, at = int.from_bytes(data[2:10], "big"), 10
        if len(data) < at + length:
            return False
        payload, self._buffer = data[at : at + length], data[at + length :]
        self._on_frame(data[0] & 0x0F, bool(data[0] & 0x80), payload)
        return True

    def _on_frame(self, opcode: int, final: bool, payload: bytes) -> None:
        if opcode in (0, TEXT, BINARY):
            if not final:
                self._parts += payload
                return
            message, self._parts = self._parts + payload, b""
            self._listener.received(message)
        elif opcode == PING and self._transport is not None:
            self._transport.write(frame(PONG, payload))
        elif opcode == CLOSE:
            self.close()


async def connect(
    url: str,
    subprotocol: str,
    listener: Listener,
    basic: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Connect to *url* and begin the handshake; *listener* hears how it goes.

    Raises:
        OSError: if there is nobody to connect to (the listener then hears nothing).
    """
    parts = urlsplit(url)
    secure = parts.scheme == "wss"
    port = parts.port or (443 if secure else 80)
    assert parts.hostname is not None
    request = upgrade_request(f"{parts.hostname}:{port}", parts.path, subprotocol, basic)
    await asyncio.get_running_loop().create_connection(
        lambda: LeanSocket(listener, request),
        parts.hostname,
        port,
        ssl=(tls or ssl.create_default_context()) if secure else None,
    )
