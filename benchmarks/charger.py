"""One charger of the load generator: a raw protocol that has one call in flight."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final, cast

import orjson

from benchmarks.wire import (
    CLOSE,
    FIRST_NUMBER,
    ID_DIGITS,
    NUMBER_DIGITS,
    PING,
    PONG,
    TEXT,
    TIME_WIDTH,
    Splitter,
    Template,
    masked,
    template,
)

_RESULT: Final = b"[3,"
_CALL: Final = b"[2,"


class Refused(Exception):
    """The server did not take the connection, or broke it off.

    Attributes:
        status: HTTP status of the answer to the upgrade; 0 if there was none.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}" if status else "connection lost")
        self.status = status


def moment() -> bytes:
    """Return now as OCPP writes it, in milliseconds."""
    now = time.time()
    seconds = int(now)
    return b"%s.%03dZ" % (_second(seconds), int((now - seconds) * 1000))


_last_second: tuple[int, bytes] = (0, b"")


def _second(seconds: int) -> bytes:
    global _last_second
    if _last_second[0] != seconds:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        _last_second = (seconds, text.encode())
    return _last_second[1]


class Hot:
    """A message of one charger, ready but for its holes."""

    __slots__ = ("_buffer", "_id", "_number", "_numbers", "_times")

    def __init__(self, made: Template, first: int = FIRST_NUMBER + 1) -> None:
        self._buffer = made.writable()
        self._id = made.id
        self._times = made.times
        self._numbers = made.numbers
        self._number = first

    def fill(self, id: int) -> bytes:
        """Return the frame with the next id, the next numbers and the time of now."""
        buffer = self._buffer
        buffer[self._id : self._id + ID_DIGITS] = b"%09d" % id
        if self._times:
            now = moment()
            for at in self._times:
                buffer[at : at + TIME_WIDTH] = now
        if self._numbers:
            self._number += 1
            number = b"%09d" % self._number
            for at in self._numbers:
                buffer[at : at + NUMBER_DIGITS] = number
        return bytes(buffer)


class Charger(asyncio.Protocol):
    """Connects, calls, answers what it is asked.

    Attributes:
        on_answer: called with seconds and whether it was a CALLRESULT, instead of a future.
        on_call: called with the server's call as (id, action, payload); returns the whole answer.
        on_lost: called when the connection is gone.
    """

    __slots__ = (
        "_handshake",
        "_id",
        "_reply",
        "_sent_at",
        "_splitter",
        "lost",
        "memory",
        "name",
        "on_answer",
        "on_call",
        "on_lost",
        "transport",
    )

    def __init__(self, name: str, upgrade: bytes) -> None:
        self.name = name
        self.transport: asyncio.Transport | None = None
        self.lost = False
        self.memory: dict[str, Any] = {}
        self.on_answer: Callable[[Charger, float, bool], None] | None = None
        self.on_call: Callable[[str, str, Any], bytes] | None = None
        self.on_lost: Callable[[Charger], None] | None = None
        self._handshake: bytes | None = upgrade
        self._splitter: Splitter = Splitter()
        self._reply: asyncio.Future[bytes] | None = None
        self._id = 0
        self._sent_at = 0.0

    # -- life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        assert self._handshake is not None
        self.transport.write(self._handshake)
        self._handshake = b""

    async def opened(self, timeout: float = 30.0) -> None:
        """Wait for the upgrade.

        Raises:
            Refused, TimeoutError: there is none.
        """
        if self._handshake is not None and not self.lost:
            async with asyncio.timeout(timeout):
                await self._answer()
        if self.lost:
            raise Refused(0)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._settle(Refused(0))
        if self.on_lost is not None:
            self.on_lost(self)

    def abort(self) -> None:
        self.lost = True
        self.on_lost = None
        if self.transport is not None:
            self.transport.abort()

    # -- calls

    async def call(self, text: str, timeout: float = 60.0, **words: str) -> Any:
        """Send one call and return the payload of its CALLRESULT.

        Raises:
            Refused: the connection broke. RuntimeError: a CALLERROR came. TimeoutError.
        """
        async with asyncio.timeout(timeout):
            return await self.send(Hot(template(text, **words)))

    async def send(self, hot: Hot) -> Any:
        self.write(hot)
        reply = await self._answer()
        if not reply.startswith(_RESULT):
            raise RuntimeError(f"{self.name}: {reply[:300]!r}")
        return orjson.loads(reply)[2]

    def write(self, hot: Hot) -> None:
        if self.lost or self.transport is None:
            raise Refused(0)
        self._id += 1
        self._sent_at = perf_counter()
        self.transport.write(hot.fill(self._id))

    async def _answer(self) -> bytes:
        self._reply = asyncio.get_running_loop().create_future()
        return await self._reply

    def _settle(self, outcome: bytes | Exception) -> None:
        reply, self._reply = self._reply, None
        if reply is None or reply.done():
            return
        if isinstance(outcome, bytes):
            reply.set_result(outcome)
        else:
            reply.set_exception(outcome)

    # -- in

    def data_received(self, data: bytes) -> None:
        if self._handshake is not None:
            self._upgraded(data)
            return
        # Nearly always one short whole frame: no need to split anything.
        size = data[1] if len(data) > 1 else 0
        if data[0] == TEXT and size < 126 and len(data) == size + 2:
            self._text(data[2:])
            return
        for opcode, payload in self._splitter.feed(data):
            self._frame(opcode, payload)

    def _upgraded(self, data: bytes) -> None:
        assert self._handshake is not None
        self._handshake += data
        end = self._handshake.find(b"\r\n\r\n")
        if end < 0:
            return
        head, rest = self._handshake[:end], self._handshake[end + 4 :]
        self._handshake = None
        if head.startswith(b"HTTP/1.1 101"):
            self._settle(head)
        else:
            self._settle(Refused(int(head[9:12])))
        if rest:
            self.data_received(rest)

    def _frame(self, opcode: int, payload: bytes) -> None:
        assert self.transport is not None
        if opcode == TEXT:
            self._text(payload)
        elif opcode == PING:
            self.transport.write(masked(PONG, payload))
        elif opcode == CLOSE:
            self.transport.write(masked(CLOSE, payload))
            self.transport.close()

    def _text(self, text: bytes) -> None:
        if text.startswith(_CALL):
            self._asked(text)
        elif self.on_answer is not None:
            self.on_answer(self, perf_counter() - self._sent_at, text.startswith(_RESULT))
        else:
            self._settle(text)

    def _asked(self, text: bytes) -> None:
        assert self.transport is not None
        _kind, id, action, payload = orjson.loads(text)
        if self.on_call is not None:
            answer = self.on_call(id, action, payload)
        else:
            answer = b'[4,"%s","NotImplemented","",{}]' % id.encode()
        self.transport.write(masked(TEXT, answer))
