"""One station's connection: the only code that touches its socket after the handshake.

Three sides, none of which waits for another:

* the *reader* takes frames off the socket; an answer that is ready at once leaves from there,
* the *worker* serves calls one after the other where an answer has to wait for a commit,
* the *outbound lane* has at most one call of ours in flight; it is a timer and a future, no task.

The worker exists only while it has work. A full inbox pauses the reader, and so the station.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import uuid4

import msgspec
import structlog
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import DATA_OPCODES
from websockets.http11 import Request as Upgrade
from websockets.protocol import State

from cms.app.ports import Boot, Clock, Registration, StationEvents, Visit
from cms.domain.commands import Answer, Outcome
from cms.domain.errors import StoreDown
from ocpp_gateway.adaptation import (
    Adapter,
    AdapterError,
    Adapters,
    Dialect,
    Identity,
    Notebook,
    Notes,
)
from ocpp_gateway.dialogue import BOOT, Dispatcher, OutboundSide, Received, Request, Talk
from ocpp_gateway.frame_log import Direction, FrameLog
from ocpp_gateway.frames import (
    UNDECODABLE,
    Call,
    CallError,
    CallResult,
    MalformedFrame,
    call,
    call_error,
    parse,
)
from ocpp_gateway.limits import Limits
from ocpp_gateway.rpc import Rpc
from ocpp_gateway.wheel import Wheel

log = structlog.get_logger()

HEAD: Final = re.compile(rb'\s*\[\s*2\s*,\s*("[^"\\]{1,64}")\s*,\s*"(\w{1,64})"\s*,?')
"""The readable beginning of a call whose rest may be no JSON."""

NOT_SUPPORTED: Final = frozenset({"NotImplemented", "NotSupported"})
NORMAL, GOING_AWAY, POLICY, INTERNAL, RESTART, LATER = 1000, 1001, 1008, 1011, 1012, 1013


NO_REQUEST: Final = Upgrade("", Headers())
"""Stands for every handshake that is over; the library wants to see that there was one."""


MAX_EARLY: Final = 16
"""Messages that may wait until a visit is open."""


class Doorkeeper(Protocol):
    """Counts sockets that are not admitted yet."""

    def knocks(self, socket: Socket) -> None:
        """A socket was opened."""

    def leaves(self, socket: Socket) -> None:
        """A socket that knocked was admitted or has gone."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """What the handshake found out."""

    station: str
    adapter: Adapter
    dialect: Dialect
    echo: str | None
    profile: str | None
    source: str


class Socket(ServerConnection):
    """The library's connection, and when it last said anything.

    The library checks and frames; the few writes of ours go round its task-switching ``send``.
    """

    def __init__(self, doorkeeper: Doorkeeper, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._doorkeeper: Doorkeeper | None = doorkeeper
        self.last_byte = self.loop.time()
        self.address = ""
        self.admitted: Admitted | None = None
        self._receiver: Callable[[bytes], None] | None = None
        self._fragments: list[bytes] | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else ""
        super().connection_made(transport)
        if self._doorkeeper is not None:
            self._doorkeeper.knocks(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.let_in()
        super().connection_lost(exc)

    def let_in(self) -> None:
        """Stop counting this socket as one that waits at the door."""
        if self._doorkeeper is not None:
            self._doorkeeper.leaves(self)
            self._doorkeeper = None

    def data_received(self, data: bytes) -> None:
        self.last_byte = self.loop.time()
        super().data_received(data)

    def process_event(self, event: Any) -> None:
        """Hand a whole message over at once, without the library's queue and its wake-ups."""
        if self.request is None or event.opcode not in DATA_OPCODES:
            super().process_event(event)
        elif event.fin and self._fragments is None:
            self._deliver(bytes(event.data))
        else:
            self._gather(bytes(event.data), event.fin)

    def _gather(self, data: bytes, last: bool) -> None:
        """Join the fragments of one message; the protocol has checked their order and size."""
        self._fragments = [*(self._fragments or ()), data]
        if last:
            message = b"".join(self._fragments)
            self._fragments = None
            self._deliver(message)

    def _deliver(self, message: bytes) -> None:
        if self._receiver is not None:
            self._receiver(message)
            return
        self._early.append(message)
        if len(self._early) == MAX_EARLY:
            self.transport.pause_reading()

    def deliver_to(self, receiver: Callable[[bytes], None]) -> None:
        """From now on call *receiver* with each message, those that came early first."""
        early, self._early = self._early, []
        self._receiver = receiver
        for message in early:
            receiver(message)
        if len(early) >= MAX_EARLY:
            self.transport.resume_reading()

    @property
    def is_open(self) -> bool:
        return self.protocol.state is State.OPEN

    def write(self, data: bytes) -> bool:
        """Send one text message without waiting. False if the connection is closing."""
        if self.protocol.state is not State.OPEN or self.transport.is_closing():
            return False
        self.protocol.send_text(data)
        self.send_data()
        return True

    def unsent(self) -> int:
        """Bytes that wait because the station does not read."""
        return self.transport.get_write_buffer_size()

    def forget_handshake(self) -> None:
        """Give back the memory of the HTTP part, which nobody reads any more."""
        self.request = NO_REQUEST
        self.response = None

    def limit_frames(self, size: int) -> None:
        self.protocol.max_message_size = size


class Counters:
    """Totals since start, for metrics. Plain attributes: the hot path only adds."""

    __slots__ = (
        "acks_overdue",
        "calls_timed_out",
        "frames_in",
        "frames_malformed",
        "frames_out",
        "handshakes_refused",
        "sockets_dead",
        "takeovers",
    )

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    frames_in: int
    frames_out: int
    frames_malformed: int
    handshakes_refused: int
    takeovers: int
    sockets_dead: int
    acks_overdue: int
    calls_timed_out: int


class Hub:
    """What all connections share.

    Attributes:
        waiting: connections whose station waits for an answer, and since when; oldest first.
        mute: stations whose sockets died without ever having answered a ping.
    """

    __slots__ = (
        "adapters",
        "clock",
        "counters",
        "dispatchers",
        "events",
        "frame_log",
        "left",
        "limits",
        "loop",
        "mute",
        "notebook",
        "outbound",
        "store_down",
        "tasks",
        "waiting",
        "wheel",
    )

    def __init__(
        self,
        *,
        events: StationEvents,
        dispatchers: Mapping[Dialect, Dispatcher],
        outbound: Mapping[Dialect, OutboundSide],
        adapters: Adapters,
        notebook: Notebook,
        clock: Clock,
        limits: Limits,
        frame_log: FrameLog,
        left: Callable[[StationConnection], None],
        store_down: Callable[[], None],
        each_tick: Callable[[float], None],
    ) -> None:
        self.events = events
        self.dispatchers = dispatchers
        self.outbound = outbound
        self.adapters = adapters
        self.notebook = notebook
        self.clock = clock
        self.limits = limits
        self.frame_log = frame_log
        self.left = left
        self.store_down = store_down
        self.loop = asyncio.get_running_loop()
        self.counters = Counters()
        self.waiting: dict[StationConnection, float] = {}
        self.mute: set[str] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.wheel = Wheel(each_tick)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work* as a task that the hub owns and whose failure it logs."""
        self.task(work).add_done_callback(self._reap)

    def task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* as a task whose end the caller awaits; the hub keeps it alive."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def _reap(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("gateway.task_failed", exc_info=error)


class StationConnection(Talk):
    """Talks with one station over one socket, until one of them leaves."""

    __slots__ = (
        "_booting",
        "_closing",
        "_ended_at_last",
        "_gate",
        "_hub",
        "_inbox",
        "_paused",
        "_pinged_at",
        "_profile",
        "_rpc",
        "_timer",
        "_worker",
        "socket",
    )

    def __init__(self, hub: Hub, socket: Socket, visit: Visit, admitted: Admitted) -> None:
        super().__init__(visit, admitted.adapter, admitted.dialect)
        self._hub = hub
        self.socket = socket
        self._profile = admitted.profile
        self._inbox: deque[Received] | None = None
        self._paused = False
        self._worker: asyncio.Task[None] | None = None
        self._rpc: Rpc[tuple[Request, asyncio.Future[Answer]]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pinged_at = -1.0
        self._gate = False
        self._booting = 0
        self._closing = False
        self._ended_at_last = False
        if visit.registration is Registration.ACCEPTED:
            socket.limit_frames(hub.limits.max_frame)

    # ------------------------------------------------------------ reader

    async def run(self) -> None:
        """Serve the station until its socket closes; what was read is served to the end."""
        self._hub.wheel.watch(self, self._hub.limits.ping_after_s)
        self.socket.deliver_to(self.receive)
        try:
            await self.socket.wait_closed()
        finally:
            await self._ended()

    def receive(self, data: bytes) -> None:
        """Take in one message. Called by the socket; never raises, never waits."""
        if self._closing:
            return
        try:
            self._received(data)
        except Exception:
            log.exception("connection.failed", station=self.visit.station)
            self.close(INTERNAL, "internal error")

    def _pause(self) -> None:
        """The inbox is full: read no more until it is empty, so that the station waits too."""
        if not self._paused:
            self._paused = True
            self.socket.transport.pause_reading()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self.socket.transport.resume_reading()

    def _received(self, data: bytes) -> None:
        hub = self._hub
        now = hub.clock()
        hub.counters.frames_in += 1
        hub.frame_log.add(self.visit.station, Direction.RECEIVED, data, now.timestamp())
        hub.events.heard(self.visit, now)
        notes: Notes = ()
        try:
            frame = parse(data)
        except MalformedFrame as error:
            repaired = self._readable(data, error)
            if repaired is None:
                return
            frame, notes = repaired
        if isinstance(frame, Call):
            self._called(Received(self, frame.id, frame.action, frame.payload, data, now, notes))
        else:
            self._answered(frame)

    def _readable(
        self, data: bytes, error: MalformedFrame
    ) -> tuple[Call | CallResult | CallError, Notes] | None:
        """Return the frame after repair; else answer what is to be answered, and None."""
        hub = self._hub
        hub.counters.frames_malformed += 1
        try:
            repaired, notes = self.adapter.repair_bytes(data)
            if notes:
                return parse(repaired), notes
        except MalformedFrame:
            pass
        except Exception:
            log.exception("adapter.failed", adapter=self.adapter.name)
        head = HEAD.match(data)
        if head is not None:
            action = head[2].decode()
            route = hub.dispatchers[self.dialect].route(action)
            if route is not None and route.transaction:
                return Call(head[1], action, msgspec.Raw(data[head.end() :])), ()
        reply = call_error(self.dialect, error.id, error.fault, str(error))
        if reply is not None:
            self._write(reply)
        return None

    # ------------------------------------------------------------ calls of the station

    def _called(self, received: Received) -> None:
        if received.action == BOOT:
            self._booting += 1  # nothing of ours leaves before its answer
        if self._worker is not None:
            assert self._inbox is not None
            self._inbox.append(received)
            if len(self._inbox) >= self._hub.limits.max_inbound:
                self._pause()
            return
        soon = self._serve(received)
        if soon is not None:
            self._inbox = deque()
            self._worker = self._hub.loop.create_task(self._work(received, soon))
            self._hub.tasks.add(self._worker)

    def _serve(self, received: Received) -> Awaitable[bytes | None] | None:
        """Answer at once, or return what has to be awaited first."""
        try:
            soon = self._hub.dispatchers[self.dialect].serve(received)
        except StoreDown:
            self._store_down()
            return None
        if soon is None or isinstance(soon, bytes):
            self._answer(received, soon)
            return None
        return soon

    async def _work(self, received: Received, soon: Awaitable[bytes | None] | None) -> None:
        """Serve the inbox in order until it is empty."""
        assert self._inbox is not None
        hub, later = self._hub, soon
        try:
            while True:
                if later is not None:
                    hub.waiting[self] = hub.loop.time()
                    data = await later
                    hub.waiting.pop(self, None)
                    self._answer(received, data)
                if not self._inbox:
                    break
                received = self._inbox.popleft()
                later = self._serve(received)
        except StoreDown:
            self._store_down()
        except Exception:
            log.exception("call.failed", action=received.action, station=self.visit.station)
            self.close(INTERNAL, "internal error")
        finally:
            hub.waiting.pop(self, None)
            if self._worker is not None:
                hub.tasks.discard(self._worker)
            self._worker = self._inbox = None
            self._resume()

    def _answer(self, received: Received, data: bytes | None) -> None:
        if data is not None:
            self._write(data)
        if received.action == BOOT:
            self._booting -= 1
            self.socket.limit_frames(self._hub.limits.max_frame)
            self._pump()

    def _write(self, data: bytes) -> None:
        hub = self._hub
        if not self.socket.write(data):
            return
        hub.counters.frames_out += 1
        hub.frame_log.add(self.visit.station, Direction.SENT, data, hub.clock().timestamp())
        if self.socket.unsent() > hub.limits.max_unsent:
            log.warning("station.does_not_read", station=self.visit.station)
            self.socket.transport.abort()

    def identified(self, boot: Boot) -> None:
        if self._profile is not None:
            return
        identity = Identity(boot.vendor, boot.model, boot.firmware, boot.serial)
        try:
            self.adapter = self._hub.adapters.choose(identity)
        except AdapterError as error:
            log.warning("adapter.unclear", station=self.visit.station, error=str(error))

    # ------------------------------------------------------------ calls of ours

    async def send(self, request: Request) -> Answer:
        """Deliver a call and wait for the answer, silence or departure. Never raises for those."""
        hub = self._hub
        if self._closing or not self.socket.is_open:
            return Answer(Outcome.OFFLINE)
        if self._rpc is None:
            self._rpc = Rpc(hub.limits.call_s, hub.limits.max_outbound)
        id = uuid4().hex
        future: asyncio.Future[Answer] = hub.loop.create_future()
        if not self._rpc.submit(id, self._encode(id, request), (request, future), hub.loop.time()):
            return Answer(Outcome.REJECTED, {"why": "too many calls wait"})
        self._pump()
        return await future

    def _encode(self, id: str, request: Request) -> bytes:
        payload = msgspec.to_builtins(request.payload)
        try:
            payload, notes = self.adapter.outbound(request.action, payload)
            self._hub.notebook.record(self.visit.station, notes)
        except Exception:
            log.exception("adapter.failed", action=request.action, adapter=self.adapter.name)
        return call(id, request.action, payload)

    def open_gate(self) -> None:
        """From now on calls of ours may leave on this socket."""
        self._gate = True
        self._pump()

    def _pump(self) -> None:
        """Send the next call if it may leave, and set the timer anew."""
        if self._rpc is None:
            return
        now = self._hub.loop.time()
        if self._gate and not self._booting:
            data = self._rpc.next_to_send(now)
            if data is not None:
                self._write(data)
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._rpc.deadline()
        self._timer = None
        if deadline is not None:
            self._timer = self._hub.loop.call_at(deadline, self._expire)
        elif self._rpc.idle:
            self._rpc = None

    def _expire(self) -> None:
        if self._rpc is None:
            return
        for request, future in self._rpc.expired(self._hub.loop.time() + 0.001):
            self._hub.counters.calls_timed_out += 1
            log.warning("call.timeout", action=request.action, station=self.visit.station)
            settle(future, Answer(Outcome.TIMEOUT))
        self._pump()

    def _answered(self, frame: CallResult | CallError) -> None:
        waiting = None if self._rpc is None else self._rpc.answered(plain_id(frame.id))
        if waiting is None:
            log.info("answer.ignored", station=self.visit.station, id=frame.id[:50].decode())
            return
        request, future = waiting
        settle(future, meaning(request, frame))
        self._pump()

    # ------------------------------------------------------------ life and death

    def look(self, now: float) -> float | None:
        """See whether the station still lives; the wheel calls it."""
        limits = self._hub.limits
        silent = now - self.socket.last_byte
        if self._closing or not self.socket.is_open:
            return self._see_out(silent)
        if silent < limits.ping_after_s:
            return limits.ping_after_s - silent
        patience = self._patience()
        if silent >= patience:
            self._give_up()
            return None
        if self._pinged_at < self.socket.last_byte:
            self._pinged_at = now
            self._hub.spawn(self._ping())
        return min(patience - silent, limits.ping_after_s)

    def _see_out(self, silent: float) -> float | None:
        """A closing handshake that the station does not finish ends all the same."""
        if self._ended_at_last:
            return None
        if silent >= self._hub.limits.close_s:
            self.socket.transport.abort()
        return self._hub.limits.close_s

    def _patience(self) -> float:
        """Seconds of silence that end it; longer for a station that answers no pings."""
        limits = self._hub.limits
        if self.visit.station not in self._hub.mute:
            return limits.dead_after_s
        return max(limits.dead_after_s, 3 * limits.heartbeat_s)

    async def _ping(self) -> None:
        try:
            await (await self.socket.ping())
        except ConnectionClosed:
            return
        self._hub.mute.discard(self.visit.station)

    def _give_up(self) -> None:
        log.info("station.silent", station=self.visit.station)
        self._hub.counters.sockets_dead += 1
        if self.socket.latency == 0.0:
            self._hub.mute.add(self.visit.station)  # perhaps it lives and answers no pings
        self.socket.transport.abort()

    async def answers_ping(self, within_s: float) -> bool:
        """Whether the station answers on this socket now."""
        try:
            async with asyncio.timeout(within_s):
                await (await self.socket.ping())
        except (TimeoutError, ConnectionClosed):
            return False
        return True

    def fail_calls(self, why: str) -> None:
        """End all calls of ours that wait for this station."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        rpc, self._rpc = self._rpc, None
        for _, future in rpc.abandon() if rpc is not None else ():
            settle(future, Answer(Outcome.OFFLINE, {"why": why}))

    def close(self, code: int, reason: str) -> None:
        """Begin to close; what has been read is still served, nothing more is read."""
        if not self._closing:
            self._closing = True
            self._hub.spawn(self.socket.close(code, reason))

    async def finish(self, code: int, reason: str) -> None:
        """Read no more, let the answers leave that are due, then close."""
        self._closing = True
        if self._worker is not None:
            await asyncio.wait([self._worker])
        await self.socket.close(code, reason)

    def overdue(self) -> None:
        """An answer has waited too long: better no socket than a silent one."""
        self._hub.counters.acks_overdue += 1
        log.warning("answer.overdue", station=self.visit.station)
        self.close(LATER, "try again later")

    def _store_down(self) -> None:
        if self._inbox is not None:
            self._inbox.clear()
        self.close(LATER, "try again later")
        self._hub.store_down()

    async def _ended(self) -> None:
        self._closing = self._ended_at_last = True
        self.fail_calls("connection lost")
        if self._worker is not None:
            await asyncio.wait([self._worker])
        self._hub.left(self)
        try:
            await self._hub.events.disconnected(self.visit)
        except StoreDown:
            pass  # after the store's return, the next start or visit sets it right


def settle(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)


def plain_id(raw: bytes) -> str:
    """Return the message id that *raw* JSON spells."""
    try:
        return str(msgspec.json.decode(raw))
    except UNDECODABLE:
        return ""


def meaning(request: Request, frame: CallResult | CallError) -> Answer:
    """Say what the station's answer means."""
    if isinstance(frame, CallError):
        outcome = Outcome.NOT_SUPPORTED if frame.code in NOT_SUPPORTED else Outcome.FAILED
        return Answer(outcome, {"error": frame.code[:50], "description": frame.description[:255]})
    try:
        return request.read(frame.payload)
    except UNDECODABLE as error:
        return Answer(Outcome.FAILED, {"error": "unreadable", "description": str(error)[:255]})
