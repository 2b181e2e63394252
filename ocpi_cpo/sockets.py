"""HTTP/1.1 connections to partners: one request out, one whole answer in, nothing kept but the socket.

A request to a partner is small and its answer is smaller, and there are thousands. What a general
client does for each of them (cookies, redirects, streams, a session's defaults) costs more than the
request itself. Here a request is one write and its answer one future. Parsing is left to the field's
parser (llhttp, by way of aiohttp). Which addresses may be spoken to is decided in ``client``.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, cast

import aiohappyeyeballs
from aiohappyeyeballs import AddrInfoType
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpResponseParser

IDLE_SECONDS = 15.0
"""So long a connection that nobody uses is kept."""
FIRST_ADDRESS_SECONDS = 0.25
"""Before a host's next address is tried beside the first."""

NO_ANSWER_YET = frozenset(range(100, 200)) - {101}
"""Statuses after which the answer is still to come."""


class TooLarge(Exception):
    """The answer is larger than what is read."""


class Gone(ConnectionError):
    """The connection ended, or what came is no HTTP.

    Attributes:
        silent: nothing of an answer had come.
    """

    def __init__(self, why: str, silent: bool) -> None:
        super().__init__(why)
        self.silent = silent


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Socket(BaseProtocol):
    """One connection. One request at a time.

    Args:
        largest: bytes of an answer's body; a larger one ends the connection.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, largest: int) -> None:
        super().__init__(loop)
        self._largest = largest
        self._answer: asyncio.Future[Answer] | None = None
        self._head: Any = None
        self._payload: Any = None
        # Backpressure is not wanted: more than ``largest`` is never read, so nothing can pile up.
        self._responses = HttpResponseParser(
            cast(Any, self), loop, 4 * largest, read_until_eof=True, auto_decompress=False
        )
        self.idle_since = 0.0
        self.used = False

    @property
    def usable(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    async def ask(self, request: bytes, seconds: float) -> Answer:
        """Send *request* and return its answer; afterwards the socket is closed, or ``usable``.

        Raises:
            TimeoutError: the answer was not whole after *seconds*.
            TooLarge, Gone: see there.
        """
        transport = self.transport
        if transport is None:
            raise Gone("it is closed", silent=True)
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answer = answer
        self._head = self._payload = None
        timer = self._loop.call_later(max(seconds, 0.0), self._fail, TimeoutError())
        try:
            transport.write(request)
            return await answer
        finally:
            timer.cancel()
            if self._answer is not None:  # whoever waited has been cancelled
                self.abort()
            self.used = True

    def abort(self) -> None:
        """Close at once."""
        self._answer = None
        if self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        """Close in good manners: TLS says goodbye."""
        if self.transport is not None:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        if not data:  # the parser's reader says that it has room again; it never lacked any
            return
        if self._answer is None:  # nobody asked: whatever comes next could not be trusted
            self.abort()
            return
        try:
            messages, upgraded, rest = self._responses.feed_data(data)
        except Exception as error:
            self._fail(Gone(f"no HTTP: {type(error).__name__}", silent=False))
            return
        for head, payload in messages:
            if head.code not in NO_ANSWER_YET and self._head is None:
                self._head, self._payload = head, payload
        if self._head is not None:
            self._look(clean=not (upgraded or rest) and len(messages) < 2)

    def _look(self, *, clean: bool) -> None:
        """See whether the answer is whole.

        Args:
            clean: nothing came that belongs to no answer of ours.
        """
        payload = self._payload
        if payload.exception() is not None:
            self._fail(Gone("a broken body", silent=False))
        elif payload.total_bytes > self._largest:
            self._fail(TooLarge())
        elif payload.is_eof():
            answer, self._answer = self._answer, None
            if not clean or self._head.should_close:
                self.close()
            if answer is not None and not answer.done():
                answer.set_result(
                    Answer(self._head.code, self._head.headers, payload.read_nowait(-1))
                )

    def _fail(self, error: Exception) -> None:
        answer = self._answer
        self.abort()
        if answer is not None and not answer.done():
            answer.set_exception(error)

    def eof_received(self) -> None:
        """Let the transport close: whoever sends no more gets no more requests."""

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._answer is None:
            return
        if self._head is not None and exc is None:  # a body may end with its connection
            try:
                self._responses.feed_eof()
            except Exception as error:
                self._fail(Gone(f"cut off: {type(error).__name__}", silent=False))
                return
            self._look(clean=False)
        if self._answer is not None:
            self._fail(Gone("reset", silent=self._head is None))


Resolve = Callable[[], Awaitable[Sequence[AddrInfoType]]]
"""Returns the addresses of a host that may be spoken to, best first."""


class Sockets:
    """The connections to one host, for one purpose.

    Args:
        most: at once; who comes then waits.
        tls: None = plain.
        name: the host's name, for TLS.
    """

    def __init__(
        self, resolve: Resolve, most: int, tls: ssl.SSLContext | None, name: str, largest: int
    ) -> None:
        self._resolve = resolve
        self._most = most
        self._tls = tls
        self._name = name if tls is not None else None
        self._largest = largest
        self._idle: deque[Socket] = deque()
        self._out = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sweeping: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> bool:
        """Whether there is any connection, or somebody waits for one."""
        return bool(self._out or self._idle or self._waiting)

    def kept(self) -> Socket | None:
        """Take a connection that is there already; None if there is none, or no room."""
        if self._out >= self._most:
            return None
        oldest = monotonic() - IDLE_SECONDS
        while self._idle:
            socket = self._idle.pop()
            if socket.usable and socket.idle_since > oldest:
                self._out += 1
                return socket
            socket.close()
        return None

    async def opened(self, seconds: float) -> Socket:
        """Make a connection, once there is room.

        Args:
            seconds: to connect, from when there is room.

        Raises:
            TimeoutError, OSError, ssl.SSLError: it cannot be made.
        """
        while self._out >= self._most:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()  # it was given to one who is gone
                raise
            if (socket := self.kept()) is not None:
                return socket
        self._out += 1
        try:
            async with asyncio.timeout(seconds):
                return await self._connected()
        except BaseException:
            self._free()
            raise

    async def _connected(self) -> Socket:
        addresses = await self._resolve()
        if len(addresses) == 1:
            host, port = addresses[0][4][:2]
            return await self._connect(host=str(host), port=int(port))
        loop = asyncio.get_running_loop()
        raw = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=FIRST_ADDRESS_SECONDS, interleave=1, loop=loop
        )
        try:
            return await self._connect(sock=raw)
        except BaseException:
            raw.close()
            raise

    async def _connect(self, **where: Any) -> Socket:
        loop = asyncio.get_running_loop()
        _, socket = await loop.create_connection(
            lambda: Socket(loop, self._largest),
            ssl=self._tls,
            server_hostname=self._name,
            **where,
        )
        return socket

    def back(self, socket: Socket, *, keep: bool) -> None:
        """Give a connection back after its answer."""
        if keep and socket.usable:
            socket.idle_since = monotonic()
            self._idle.append(socket)
            if self._sweeping is None:
                loop = asyncio.get_running_loop()
                self._sweeping = loop.call_later(IDLE_SECONDS, self._sweep)
        else:
            socket.close()
        self._free()

    def _free(self) -> None:
        self._out -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _sweep(self) -> None:
        """Close what nobody has used for a while; the longest unused stands first."""
        self._sweeping = None
        oldest = monotonic() - IDLE_SECONDS
        while self._idle and (not self._idle[0].usable or self._idle[0].idle_since <= oldest):
            self._idle.popleft().close()
        if self._idle:
            loop = asyncio.get_running_loop()
            self._sweeping = loop.call_later(IDLE_SECONDS / 2, self._sweep)

    def close(self) -> None:
        """Close what is idle; what is on its way ends by itself."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        while self._idle:
            self._idle.pop().close()
