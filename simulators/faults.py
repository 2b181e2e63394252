"""A TCP proxy that does to a connection what networks do: slow it, cut it, swallow it, forget it.

It stands in one process with the test, needs no privileges, and every choice it makes at random
comes from a seed. All settings may be changed while connections run; they hold from the next
piece of data on.

"Up" is from the client (charger, partner) to the server behind the proxy; "down" is the answer.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self

READ_SIZE = 65_536
PACKET_BYTES = 1_400


@dataclass(slots=True)
class Way:
    """What happens to data in one direction, on every connection.

    Attributes:
        latency: seconds that each piece of data is late. Order is kept; pieces travel at once
            behind one another, so latency costs no throughput.
        jitter: up to this many seconds more, at random.
        bits_per_second: the narrowest part of the way; None = wide open.
        slice_bytes: data arrives in pieces of this size; None = as it was sent.
        stalled: nothing moves, and the sender feels it (it is no longer read from).
        blackhole: everything is taken and nothing arrives; the sender feels nothing.
        swallow: so many of the next WebSocket messages (not control frames, not the handshake)
            vanish; everything else arrives. Only for unencrypted WebSocket traffic.
    """

    latency: float = 0.0
    jitter: float = 0.0
    bits_per_second: int | None = None
    slice_bytes: int | None = None
    stalled: bool = False
    blackhole: bool = False
    swallow: int = 0


def slow_2g(way: Way) -> None:
    """Make *way* a bad mobile link: 64 kbit/s and 800 ms for a round trip (half of it each way)."""
    way.latency, way.jitter, way.bits_per_second = 0.4, 0.1, 64_000


class _Messages:
    """Follows the WebSocket messages in one direction of a byte stream, to swallow some of them.

    Nothing is held back but an unfinished frame header. A stream that turns out not to be
    WebSocket (TLS, plain HTTP, a refused handshake) passes untouched.
    """

    def __init__(self) -> None:
        self._head: bytearray | None = bytearray()
        self._plain = False
        self._header = bytearray()
        self._left = 0
        self._swallowing = False
        self._final = True
        self._control = False

    def pass_on(self, data: bytes, way: Way, swallowed: Callable[[], None]) -> bytes:
        """What of *data* (and of what was held back) may go on its way now."""
        if self._plain:
            return data
        passed = bytearray()
        if self._head is not None:
            data = self._shake_hands(data, passed)
        if self._plain:
            return bytes(passed) + data
        self._header += data
        while self._header:
            if not self._left and not self._open_frame(way):
                break
            part = self._header[: self._left]
            del self._header[: len(part)]
            self._left -= len(part)
            if self._control or not self._swallowing:
                passed += part
            elif not self._left and self._final:
                swallowed()
        return bytes(passed)

    def _shake_hands(self, data: bytes, passed: bytearray) -> bytes:
        """Pass on the HTTP head; gives what comes after it."""
        assert self._head is not None
        before = len(self._head)
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            self._plain = len(self._head) >= 4 and bytes(self._head[:4]) not in (b"GET ", b"HTTP")
            passed += data
            return b""
        end += 4
        head = bytes(self._head[:end]).lower()
        self._head = None
        self._plain = b"upgrade: websocket" not in head or head.startswith(b"http/1.1 4")
        passed += data[: end - before]
        return data[end - before :]

    def _open_frame(self, way: Way) -> bool:
        """Decide about the frame that begins here; False if its header is not all there yet."""
        length = _frame_length(self._header)
        if length is None:
            return False
        opcode = self._header[0] & 0x0F
        self._control = opcode >= 8
        if opcode in (1, 2):
            self._swallowing = way.swallow > 0
            way.swallow -= self._swallowing
        self._final = bool(self._header[0] & 0x80)
        self._left = length
        return True


def _frame_length(data: bytearray) -> int | None:
    """The length of the WebSocket frame that *data* begins with (RFC 6455 5.2)."""
    if len(data) < 2:
        return None
    short, header = data[1] & 0x7F, 2
    if short == 126:
        header = 4
    elif short == 127:
        header = 10
    if len(data) < header:
        return None
    payload = short if short < 126 else int.from_bytes(data[2:header], "big")
    return header + (4 if data[1] & 0x80 else 0) + payload


@dataclass(slots=True, eq=False)
class _Connection:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    active_at: float
    forgotten: bool = False

    def abort(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()

    def reset(self) -> None:
        """Abort with a TCP RST, as a peer that lost its memory does."""
        for writer in (self.client, self.server):
            if (sock := writer.get_extra_info("socket")) is not None:
                # uvloop's stand-in for a socket cannot do it; a plain abort must then do.
                with suppress(OSError, TypeError, AttributeError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()


class FaultProxy:
    """Listens on loopback and passes on to *host*:*port*, with the faults that are switched on.

    Attributes:
        up, down: what happens to data; see `Way`.
        close_delay: seconds that one side's close (or death) is kept from the other.
        idle_timeout: seconds without any data after which a connection is forgotten as a NAT
            forgets it: both sides stay open, nothing arrives any more. None = never.
        refusing: new connections are reset at once.
        port: where it listens.
        connections: how many were accepted so far.
    """

    def __init__(self, host: str, port: int, seed: int = 0) -> None:
        self.up = Way()
        self.down = Way()
        self.close_delay = 0.0
        self.idle_timeout: float | None = None
        self.refusing = False
        self.port = 0
        self.connections = 0
        self.messages_swallowed = 0
        self._target = (host, port)
        self._chance = random.Random(seed)
        self._open: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def open(self) -> int:
        """How many connections stand."""
        return len(self._open)

    def retarget(self, host: str, port: int) -> None:
        """Pass new connections on to another address (a server that came back elsewhere)."""
        self._target = (host, port)

    def reset(self) -> None:
        """Cut every connection hard (TCP RST), on both sides."""
        for connection in list(self._open):
            connection.reset()

    def notice(self) -> None:
        """Look at the settings again at once (needed only after ending a stall)."""
        self._changed.set()
        self._changed = asyncio.Event()

    def resume(self) -> None:
        """End stalls and blackholes in both directions."""
        for way in (self.up, self.down):
            way.stalled = way.blackhole = False
        self.notice()

    async def swallowed(self, count: int, timeout: float = 10.0) -> None:
        """Wait until *count* messages were swallowed in all."""
        async with asyncio.timeout(timeout):
            while self.messages_swallowed < count:
                await self._changed.wait()

    # -- inside --------------------------------------------------------------------------------

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._join(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refusing:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        await self._carry(reader, writer, there, back)

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> None:
        connection = _Connection(writer, back, asyncio.get_running_loop().time())
        self._open.add(connection)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(connection, reader, back, self.up))
                tasks.create_task(self._pump(connection, there, writer, self.down))
        finally:
            self._open.discard(connection)
            connection.abort()

    async def _pump(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        way: Way,
    ) -> None:
        """Read one side; a second task, behind a queue, delivers to the other when it is time."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=64)
        messages = _Messages()
        delivering = asyncio.create_task(self._deliver(connection, pieces, writer, way))
        try:
            while data := await self._read(reader, way):
                if self._forgets(connection) or way.blackhole:
                    continue
                passed = messages.pass_on(data, way, self._note_swallowed)
                for piece in _slices(passed, way):
                    await pieces.put((self._due(way), piece))
            await pieces.put((0.0, b""))
            await delivering
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    async def _read(self, reader: asyncio.StreamReader, way: Way) -> bytes:
        while way.stalled:
            await self._changed.wait()
        try:
            return await reader.read(READ_SIZE)
        except OSError:
            return b""

    def _forgets(self, connection: _Connection) -> bool:
        """Whether the NAT has forgotten this connection; else it remembers it anew."""
        now = asyncio.get_running_loop().time()
        if self.idle_timeout is not None and now - connection.active_at > self.idle_timeout:
            connection.forgotten = True
        connection.active_at = now
        return connection.forgotten

    def _due(self, way: Way) -> float:
        late = way.latency + self._chance.random() * way.jitter
        return asyncio.get_running_loop().time() + late

    async def _deliver(
        self,
        connection: _Connection,
        pieces: asyncio.Queue[tuple[float, bytes]],
        writer: asyncio.StreamWriter,
        way: Way,
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, piece = await pieces.get()
            if not piece:
                break
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            while way.stalled:
                await self._changed.wait()
            if way.bits_per_second is not None:
                await asyncio.sleep(len(piece) * 8 / way.bits_per_second)
            if not connection.forgotten and not way.blackhole:
                await _write(writer, piece)
        await asyncio.sleep(self.close_delay)
        if not connection.forgotten and not way.blackhole:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _note_swallowed(self) -> None:
        self.messages_swallowed += 1
        self.notice()


def _slices(data: bytes, way: Way) -> list[bytes]:
    """Cut *data* as the way wants it; a narrow way carries packets, not whole messages."""
    size = way.slice_bytes or (PACKET_BYTES if way.bits_per_second is not None else len(data))
    return [data[at : at + size] for at in range(0, len(data), size or 1)]


async def _write(writer: asyncio.StreamWriter, piece: bytes) -> None:
    with suppress(OSError):
        writer.write(piece)
        await writer.drain()


@asynccontextmanager
async def fault_proxy(host: str, port: int, seed: int = 0) -> AsyncIterator[FaultProxy]:
    """A running `FaultProxy` before *host*:*port*."""
    async with FaultProxy(host, port, seed) as proxy:
        yield proxy
