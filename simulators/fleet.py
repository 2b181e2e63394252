"""Thousands of chargers in one process, with prebuilt frames, ledgers and stubborn retries.

Where `simulators.station` is one charger in full, this is many chargers in outline: boot, status,
and sessions of Start, MeterValues and Stop (1.6) or TransactionEvents (2.0.1). No charger has a
task of its own; each is a small machine that the socket's callbacks push on. All of it can be run
from the command line::

    python -m simulators.fleet --url ws://127.0.0.1:9000/ocpp --count 1000 --seed 7 \\
        --ledger fleet.jsonl --password 'secret-{identity}'
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import ssl
import sys
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
import uvloop

from simulators.habits import PERSONALITIES, STEADY, Backoff, OrphanStop, Personality
from simulators.lean_socket import LeanSocket, connect
from simulators.ledger import Ledger, now

LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What a fleet is and does.

    Attributes:
        url: the backend's address without the identity.
        count: number of chargers, named *prefix* + five digits from 0.
        share_201: this part of them speaks 2.0.1, the others 1.6.
        sessions: each charger does so many, one after the other; None = until `Fleet.finish`.
        samples: meter values in each session.
        sample_wh: the energy between two of them is drawn from this range (Wh, inclusive).
        pace: mean seconds between two events of a session (drawn between half of it and one and
            a half). 0: each follows as soon as the one before was answered.
        personalities: dealt out in turn.
        password: from identity to Basic password; None sends no credentials.
        id_tag: from the charger's number to the tag that charges there.
        connecting_at_once: so many TCP connects are under way at a time; None = no limit.
        heartbeat: seconds between heartbeats; None sends none.
    """

    url: str
    count: int
    seed: int = 0
    prefix: str = "FLEET-"
    share_201: float = 0.2
    sessions: int | None = 1
    samples: int = 3
    sample_wh: tuple[int, int] = (50, 500)
    pace: float = 0.0
    personalities: Sequence[Personality] = (STEADY,)
    backoff: Backoff = field(default_factory=lambda: Backoff(0.2, 5.0, 0.5))
    password: Callable[[str], str] | None = None
    id_tag: Callable[[int], str] = lambda number: f"TAG-{number:05d}"
    connecting_at_once: int | None = 200
    heartbeat: float | None = None
    tls: ssl.SSLContext | None = None

    def identity(self, number: int) -> str:
        """The name of the charger with that number."""
        return f"{self.prefix}{number:05d}"

    def version(self, number: int) -> str:
        """The protocol of the charger with that number; spread evenly."""
        is_201 = int((number + 1) * self.share_201) > int(number * self.share_201)
        return "2.0.1" if is_201 else "1.6"

    def identities(self) -> list[str]:
        """All names, for whoever must introduce them to the backend."""
        return [self.identity(number) for number in range(self.count)]


@dataclass(slots=True)
class _Session:
    txn: str
    id_tag: str
    start_at: str
    start_wh: int
    register_wh: int
    samples_left: int
    transaction_id: str | None = None
    made_up_id: str | None = None
    seq_no: int = 0


@dataclass(slots=True)
class _Message:
    """A transaction message; *build* makes its payload when it is sent."""

    session: _Session
    name: str
    action: str
    build: Callable[[bool], str]
    register_wh: int
    seq_no: int | None
    offline: bool
    id: str = ""
    sends: int = 0
    attempts: int = 0
    frozen: bytes = b""


def _values_16(at: str, wh: int) -> str:
    return (
        f'[{{"timestamp":"{at}","sampledValue":[{{"value":"{wh}","context":"Sample.Periodic",'
        '"measurand":"Energy.Active.Import.Register","location":"Outlet","unit":"Wh"},'
        '{"value":"11000","context":"Sample.Periodic","measurand":"Power.Active.Import",'
        '"location":"Outlet","unit":"W"}]}]'
    )


def _values_201(at: str, wh: int, context: str) -> str:
    return (
        f'[{{"timestamp":"{at}","sampledValue":[{{"value":{wh},"context":"{context}",'
        '"measurand":"Energy.Active.Import.Register","location":"Outlet",'
        '"unitOfMeasure":{"unit":"Wh"}}]}]'
    )


class _Charger:
    """One charger: a memory (sessions, queue, register) and a socket that comes and goes."""

    __slots__ = (
        "_attempt_at",
        "_backlog",
        "_beat",
        "_chance",
        "_connect_failures",
        "_fleet",
        "_in_flight",
        "_next_id",
        "_pending",
        "_plan",
        "_register_wh",
        "_retry",
        "_session",
        "_socket",
        "_timeout",
        "booted",
        "done",
        "habits",
        "identity",
        "number",
        "queue",
        "sessions_left",
        "version",
    )  # fmt: skip

    def __init__(self, fleet: Fleet, number: int) -> None:
        plan = fleet.plan
        self._fleet, self._plan, self.number = fleet, plan, number
        self.identity = plan.identity(number)
        self.version = plan.version(number)
        self.habits = plan.personalities[number % len(plan.personalities)]
        self.sessions_left = plan.sessions
        self.queue: deque[_Message] = deque()
        self.booted = False
        self.done = False
        self._chance = random.Random(f"{plan.seed}/{self.identity}")
        self._register_wh = self._chance.randrange(1_000, 1_000_000)
        self._session: _Session | None = None
        self._socket: LeanSocket | None = None
        self._connect_failures = 0
        self._next_id = 0
        self._in_flight: str | None = None
        self._pending: Callable[[Any], None] | None = None
        self._backlog: deque[tuple[str, str]] = deque()
        self._timeout: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._attempt_at = 0.0

    # -- the socket ------------------------------------------------------------------------------

    async def connect(self) -> None:
        plan = self._plan
        basic = plan.password and f"{self.identity}:{plan.password(self.identity)}"
        self._attempt_at = self._fleet.loop.time()
        try:
            await connect(
                f"{plan.url}/{self.identity}",
                "ocpp1.6" if self.version == "1.6" else "ocpp2.0.1",
                self,
                basic,
                plan.tls,
            )
        except OSError:
            self.closed(None)

    def connected(self, socket: LeanSocket) -> None:
        self._socket = socket

    def opened(self) -> None:
        self._connect_failures = 0
        self._boot()

    def _boot(self) -> None:
        boot = (
            '{"chargePointVendor":"Fleet","chargePointModel":"F-1"}'
            if self.version == "1.6"
            else '{"chargingStation":{"vendorName":"Fleet","model":"F-1"},"reason":"PowerUp"}'
        )
        self._call("BootNotification", boot, self._boot_answered)

    def closed(self, refusal: int | None) -> None:
        if refusal is not None:
            self._fleet.figures[f"refused_{refusal}"] += 1
        self._socket = None
        self.booted = False
        self._lost_call()
        self._stop_timers()
        self._backlog.clear()
        if not self._fleet.closing:
            wait = self._plan.backoff.wait(self._connect_failures, self._chance)
            self._connect_failures += 1
            self._fleet.loop.call_later(wait, self._fleet.connect_later, self)
        self._fleet.note()

    def _stop_timers(self) -> None:
        for timer in (self._timeout, self._retry, self._beat):
            if timer is not None:
                timer.cancel()
        self._timeout = self._retry = self._beat = None

    def _lost_call(self) -> None:
        """A call that was under way when the socket died."""
        in_flight, pending = self._in_flight, self._pending
        self._in_flight = self._pending = None
        is_message = in_flight is not None and pending == self._message_answered
        if is_message and self.habits.counts_lost_links:
            self.queue[0].attempts += 1
            self._give_up_if_exhausted()

    def leave(self, *, abruptly: bool = False) -> None:
        if self._socket is not None:
            if abruptly:
                self._socket.abort()
            else:
                self._socket.close()

    # -- calls -----------------------------------------------------------------------------------

    def _call(self, action: str, payload: str, answered: Callable[[Any], None]) -> None:
        self._next_id += 1
        self._send(f"{self.number:x}-{self._next_id:x}", action, payload.encode(), answered)

    def _send(self, id: str, action: str, payload: bytes, answered: Callable[[Any], None]) -> None:
        assert self._socket is not None and self._in_flight is None
        self._in_flight, self._pending = id, answered
        self._socket.send(b'[2,"%b","%b",%b]' % (id.encode(), action.encode(), payload))
        self._fleet.figures["sent"] += 1
        self._timeout = self._fleet.loop.call_later(self.habits.message_timeout, self._timed_out)

    def received(self, message: bytes) -> None:
        parts = orjson.loads(message)
        if parts[0] == 2:
            self._answer_call(parts[1], parts[2])
        elif parts[1] == self._in_flight:
            self._finish_call(parts)

    def _finish_call(self, parts: Any) -> None:
        answered = self._pending
        self._in_flight = self._pending = None
        if self._timeout is not None:
            self._timeout.cancel()
        assert answered is not None
        answered(parts)
        self._go_on()

    def _timed_out(self) -> None:
        self._fleet.figures["timeouts"] += 1
        self._finish_call(None)

    def _answer_call(self, id: str, action: str) -> None:
        assert self._socket is not None
        answers = {
            "GetConfiguration": b'{"configurationKey":[]}',
            "GetTransactionStatus": (
                b'{"messagesInQueue":%b}' % (b"true" if self.queue else b"false")
            ),
            "TriggerMessage": b'{"status":"NotImplemented"}',
            "RemoteStartTransaction": b'{"status":"Rejected"}',
            "RemoteStopTransaction": b'{"status":"Rejected"}',
            "RequestStartTransaction": b'{"status":"Rejected"}',
            "RequestStopTransaction": b'{"status":"Rejected"}',
            "ChangeConfiguration": b'{"status":"NotSupported"}',
            "ChangeAvailability": b'{"status":"Accepted"}',
            "DataTransfer": b'{"status":"UnknownVendorId"}',
        }
        if action in answers:
            self._socket.send(b'[3,"%b",%b]' % (id.encode(), answers[action]))
        else:
            self._socket.send(b'[4,"%b","NotImplemented","",{}]' % id.encode())

    # -- boot and status -------------------------------------------------------------------------

    def _boot_answered(self, parts: Any) -> None:
        if parts is None or parts[0] == 4 or parts[2].get("status") != "Accepted":
            again = 1.0 if parts is None or parts[0] == 4 else float(parts[2]["interval"])
            self._retry = self._fleet.loop.call_later(again, self._boot_again)
            return
        self.booted = True
        self._fleet.boot_seconds.append(self._fleet.loop.time() - self._attempt_at)
        self._fleet.figures["boots"] += 1
        self._queue_statuses()
        if self._plan.heartbeat is not None:
            self._beat = self._fleet.loop.call_later(
                self._chance.random() * self._plan.heartbeat, self._heartbeat
            )
        self._fleet.note()

    def _boot_again(self) -> None:
        self._retry = None
        if self._socket is not None and self._in_flight is None:
            self._boot()

    def _queue_statuses(self) -> None:
        if self.version == "1.6":
            for connector in (0, 1):
                self._status(connector, "Available")
        else:
            self._status(1, "Available")

    def _status(self, connector: int, value: str) -> None:
        if self.version == "1.6":
            payload = (
                f'{{"connectorId":{connector},"errorCode":"NoError","status":"{value}",'
                f'"timestamp":"{now()}"}}'
            )
        else:
            value = "Available" if value == "Available" else "Occupied"
            payload = (
                f'{{"timestamp":"{now()}","connectorStatus":"{value}",'
                f'"evseId":{connector},"connectorId":1}}'
            )
        self._backlog.append(("StatusNotification", payload))

    def _heartbeat(self) -> None:
        assert self._plan.heartbeat is not None
        self._backlog.append(("Heartbeat", "{}"))
        self._beat = self._fleet.loop.call_later(self._plan.heartbeat, self._heartbeat)
        self._go_on()

    # -- what to do next -------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Send the next thing, if the line is free: statuses first, then what waits."""
        if not self.booted or self._in_flight is not None:
            return
        if self._backlog:
            action, payload = self._backlog.popleft()
            self._call(action, payload, lambda _: None)
        elif self.queue and self._retry is None:
            self._send_head()
        elif not self.queue and not self._plan.pace:
            self._live()

    def live_at_random(self) -> None:
        """Let the next event of this charger's life happen after a time that suits the pace."""
        if self._plan.pace:
            wait = self._plan.pace * (0.5 + self._chance.random())
            self._fleet.loop.call_later(wait, self._live_on)

    def _live_on(self) -> None:
        if not self._fleet.closing:
            self._live()
            if not self.done:
                self.live_at_random()

    def _live(self) -> None:
        """One event: a session begins, delivers a little, or ends."""
        if self._session is not None:
            if self._session.samples_left:
                self._sample(self._session)
            else:
                self._stop(self._session)
        elif self.sessions_left is None or self.sessions_left > 0:
            if self._fleet.finishing:
                self.sessions_left = 0
            elif self.booted or self._next_id:
                self._start()
        self.done = self._session is None and self.sessions_left == 0
        if self.queue:
            self._go_on()
        self._fleet.note()

    def finish(self) -> None:
        """Begin no further session."""
        if self._session is None:
            self.sessions_left = 0
            self.done = True

    # -- sessions --------------------------------------------------------------------------------

    def _start(self) -> None:
        session = self._session = _Session(
            txn=str(uuid.UUID(int=self._chance.getrandbits(128), version=4)),
            id_tag=self._plan.id_tag(self.number),
            start_at=now(),
            start_wh=self._register_wh,
            register_wh=self._register_wh,
            samples_left=self._plan.samples,
        )
        if self.version != "1.6":
            session.transaction_id = session.txn
        self._fleet.figures["sessions_started"] += 1
        if self.booted:
            self._status(1, "Charging")
        if self.version == "1.6":
            payload = (
                f'{{"connectorId":1,"idTag":"{session.id_tag}","meterStart":{session.start_wh},'
                f'"timestamp":"{session.start_at}"}}'
            )
            self._enqueue(session, "start", "StartTransaction", lambda _: payload)
        else:
            self._event(session, "started", "Started", "Authorized", session.start_at)

    def _sample(self, session: _Session) -> None:
        session.samples_left -= 1
        self._flow(session)
        at, wh = now(), session.register_wh
        if self.version == "1.6":

            def payload(_: bool) -> str:
                known = session.transaction_id
                transaction = "" if known is None else f'"transactionId":{known},'
                return f'{{"connectorId":1,{transaction}"meterValue":{_values_16(at, wh)}}}'

            self._enqueue(session, "sample", "MeterValues", payload)
        else:
            self._event(session, "updated", "Updated", "MeterValuePeriodic", at)

    def _stop(self, session: _Session) -> None:
        self._flow(session)
        at, wh = now(), session.register_wh
        self._fleet.ledger.delivered(
            station=self.identity,
            version=self.version,
            txn=session.txn,
            evse=1,
            connector=1,
            id_tag=session.id_tag,
            start_at=session.start_at,
            stop_at=at,
            start_wh=session.start_wh,
            stop_wh=wh,
        )
        self._session = None
        if self.sessions_left is not None:
            self.sessions_left -= 1
        self._fleet.figures["sessions_stopped"] += 1
        if self.version == "1.6":

            def payload(_: bool) -> str:
                id = session.transaction_id or session.made_up_id or "-1"
                return (
                    f'{{"idTag":"{session.id_tag}","meterStop":{wh},"timestamp":"{at}",'
                    f'"transactionId":{id},"reason":"Local"}}'
                )

            self._enqueue(session, "stop", "StopTransaction", payload)
        else:
            self._event(session, "ended", "Ended", "StopAuthorized", at)
        if self.booted:
            self._status(1, "Available")

    def _flow(self, session: _Session) -> None:
        self._register_wh += self._chance.randint(*self._plan.sample_wh)
        session.register_wh = self._register_wh

    def _event(self, session: _Session, name: str, event_type: str, trigger: str, at: str) -> None:
        seq_no, wh = session.seq_no, session.register_wh
        session.seq_no += 1
        state, context, more = "Charging", "Sample.Periodic", ""
        token = f',"idToken":{{"idToken":"{session.id_tag}","type":"ISO14443"}}'
        if event_type == "Started":
            state, context, more = "EVConnected", "Transaction.Begin", token
            more += ',"evse":{"id":1,"connectorId":1}'
        elif event_type == "Ended":
            state, context, more = "Idle", "Transaction.End", token
        reason = ',"stoppedReason":"Local"' if event_type == "Ended" else ""

        def payload(offline: bool) -> str:
            mark = ',"offline":true' if offline else ""
            return (
                f'{{"eventType":"{event_type}","timestamp":"{at}","triggerReason":"{trigger}",'
                f'"seqNo":{seq_no},"transactionInfo":{{"transactionId":"{session.txn}",'
                f'"chargingState":"{state}"{reason}}},'
                f'"meterValue":{_values_201(at, wh, context)}{mark}{more}}}'
            )

        self._enqueue(session, name, "TransactionEvent", payload, seq_no)

    def _enqueue(
        self,
        session: _Session,
        name: str,
        action: str,
        build: Callable[[bool], str],
        seq_no: int | None = None,
    ) -> None:
        self.queue.append(
            _Message(session, name, action, build, session.register_wh, seq_no, not self.booted)
        )

    # -- delivery of what waits --------------------------------------------------------------------

    def _send_head(self) -> None:
        message, habits = self.queue[0], self.habits
        if not message.sends or not habits.same_id:
            self._next_id += 1
            message.id = f"{self.number:x}-{self._next_id:x}"
        if not (message.frozen and habits.freezes_frame):
            late = message.offline or (message.sends > 0 and habits.marks_retries_offline)
            message.frozen = message.build(late).encode()
        if message.sends:
            self._fleet.figures["retries"] += 1
        message.sends += 1
        self._send(message.id, message.action, message.frozen, self._message_answered)

    def _message_answered(self, parts: Any) -> None:
        message = self.queue[0]
        if parts is not None and parts[0] == 3:
            self._acknowledged(message, parts[2])
            return
        message.attempts += 1
        drops = False
        if parts is not None:
            self._fleet.figures["callerrors"] += 1
            self._fleet.ledger.callerror(
                station=self.identity,
                txn=message.session.txn,
                action=message.action,
                code=str(parts[2]),
                description=str(parts[3]) if len(parts) > 3 else "",
            )
            drops = self.habits.drops_on_callerror
        if not self._give_up_if_exhausted(at_once=drops):
            wait = min(self.habits.retry_interval * message.attempts, LONGEST_PAUSE_S)
            self._retry = self._fleet.loop.call_later(wait, self._retry_now)

    def _retry_now(self) -> None:
        self._retry = None
        self._go_on()

    def _acknowledged(self, message: _Message, answer: dict[str, Any]) -> None:
        session = message.session
        if message.name == "start":
            session.transaction_id = str(answer.get("transactionId"))
        self._fleet.ledger.acked(
            station=self.identity,
            txn=session.txn,
            message=message.name,
            transaction_id=session.transaction_id,
            register_wh=message.register_wh,
            seq_no=message.seq_no,
            answer=answer,
        )
        self.queue.popleft()
        self._fleet.figures["acked"] += 1
        self._fleet.note()

    def _give_up_if_exhausted(self, *, at_once: bool = False) -> bool:
        message, limit = self.queue[0], self.habits.attempts
        if not at_once and (limit is None or message.attempts < limit):
            return False
        self.queue.popleft()
        self._fleet.figures["gave_up"] += 1
        self._fleet.ledger.gave_up(
            station=self.identity, txn=message.session.txn, message=message.name
        )
        if message.name == "start" and self.habits.orphan_stop is OrphanStop.INVENTED:
            message.session.made_up_id = str(self._chance.randrange(1, 2**31))
        return True


class Fleet:
    """Many chargers. Use it as ``async with Fleet(plan, ledger) as fleet``.

    Attributes:
        figures: counts of what happened: sent, acked, retries, timeouts, callerrors, gave_up,
            boots, sessions_started, sessions_stopped, refused_<HTTP status>.
        boot_seconds: from the beginning of each connection to its accepted Boot answer.
    """

    def __init__(self, plan: FleetPlan, ledger: Ledger | None = None) -> None:
        self.plan = plan
        self.ledger = ledger if ledger is not None else Ledger()
        self.figures: Counter[str] = Counter()
        self.boot_seconds: list[float] = []
        self.closing = False
        self.finishing = False
        self.loop: asyncio.AbstractEventLoop
        self.chargers: list[_Charger] = []
        self._changed = asyncio.Event()
        self._gate: asyncio.Semaphore | None = None
        self._connecting: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self.loop = asyncio.get_running_loop()
        allow_many_files()
        if self.plan.connecting_at_once is not None:
            self._gate = asyncio.Semaphore(self.plan.connecting_at_once)
        self.chargers = [_Charger(self, number) for number in range(self.plan.count)]
        for charger in self.chargers:
            self.connect_later(charger)
            charger.live_at_random()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closing = True
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for charger in self.chargers:
            charger.leave()
        with suppress(TimeoutError):
            await self._until(lambda: not any(c._socket for c in self.chargers), 10)

    # -- from outside ------------------------------------------------------------------------------

    async def booted(self, count: int | None = None, timeout: float = 60.0) -> None:
        """Wait until *count* chargers (all, if None) are booted at the same time."""
        wanted = self.plan.count if count is None else count
        await self._until(lambda: sum(each.booted for each in self.chargers) >= wanted, timeout)

    async def acknowledged(self, count: int, timeout: float = 60.0) -> None:
        """Wait until *count* transaction messages have been answered in all."""
        await self._until(lambda: self.figures["acked"] >= count, timeout)

    def finish(self) -> None:
        """Let each charger end the session it is in, and begin no other."""
        self.finishing = True
        for charger in self.chargers:
            charger.finish()
        self.note()

    async def drain(self, timeout: float = 120.0) -> None:
        """Wait until every session is over and every message answered (or given up).

        Raises:
            TimeoutError: naming how much is left.
        """
        try:
            await self._until(lambda: not any(map(_busy, self.chargers)), timeout)
        except TimeoutError:
            busy = [each for each in self.chargers if _busy(each)]
            waiting = sum(len(each.queue) for each in busy)
            raise TimeoutError(
                f"{len(busy)} chargers still busy, {waiting} messages wait; {dict(self.figures)}"
            ) from None

    def drop_all(self) -> None:
        """Let every socket vanish at once (a power cut); the chargers come back by themselves."""
        for charger in self.chargers:
            charger.leave(abruptly=True)

    # -- for the chargers --------------------------------------------------------------------------

    def note(self) -> None:
        """Something happened."""
        self._changed.set()

    def connect_later(self, charger: _Charger) -> None:
        """Connect *charger* when its turn comes."""
        if self.closing:
            return
        task = self.loop.create_task(self._connect(charger))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, charger: _Charger) -> None:
        if self._gate is None:
            await charger.connect()
        else:
            async with self._gate:
                await charger.connect()

    async def _until(self, true: Callable[[], bool], timeout: float) -> None:
        """Wait for *true*; it is asked at most twenty times a second, since it asks everybody."""
        async with asyncio.timeout(timeout):
            while not true():
                self._changed.clear()
                await self._changed.wait()
                await asyncio.sleep(0.05)


def _busy(charger: _Charger) -> bool:
    return not charger.done or bool(charger.queue)


def allow_many_files() -> None:
    """Raise the limit of open files to what the system lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


# -- command line ------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulators.fleet", description=__doc__)
    parser.add_argument("--url", required=True, help="e.g. ws://127.0.0.1:9000/ocpp")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ledger", help="file of JSON lines; continued if it exists")
    parser.add_argument("--prefix", default="FLEET-")
    parser.add_argument("--share-201", type=float, default=0.2)
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--pace", type=float, default=0.0, help="seconds between two events")
    parser.add_argument("--password", help="{identity} in it is replaced")
    parser.add_argument("--tag", default="TAG-{number:05d}", help="{number} in it is replaced")
    parser.add_argument("--personality", action="append", choices=sorted(PERSONALITIES))
    parser.add_argument("--connecting-at-once", type=int, default=200)
    parser.add_argument("--timeout", type=float, default=600.0)
    return parser


def plan_from(arguments: argparse.Namespace) -> FleetPlan:
    """The plan that a command line describes."""
    password: str | None = arguments.password
    tag: str = arguments.tag
    return FleetPlan(
        url=arguments.url,
        count=arguments.count,
        seed=arguments.seed,
        prefix=arguments.prefix,
        share_201=arguments.share_201,
        sessions=arguments.sessions,
        samples=arguments.samples,
        pace=arguments.pace,
        personalities=[PERSONALITIES[name] for name in arguments.personality or ["steady"]],
        password=None if password is None else lambda id: password.replace("{identity}", id),
        id_tag=lambda number: tag.format(number=number),
        connecting_at_once=arguments.connecting_at_once,
    )


async def run(plan: FleetPlan, ledger: Ledger, timeout: float) -> Fleet:
    """Do everything that *plan* says; gives the fleet with its figures."""
    async with Fleet(plan, ledger) as fleet:
        await fleet.drain(timeout)
        return fleet


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a fleet until it is drained; print its figures as one JSON line."""
    options = _parser().parse_args(arguments)
    ledger = Ledger(options.ledger)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            fleet = runner.run(run(plan_from(options), ledger, options.timeout))
    except TimeoutError as late:
        print(f"not drained: {late}", file=sys.stderr)
        return 1
    finally:
        ledger.close()
    boots = sorted(fleet.boot_seconds)
    figures = dict(fleet.figures) | {
        "seed": options.seed,
        "boot_p50_ms": round(boots[len(boots) // 2] * 1000, 1),
        "boot_p99_ms": round(boots[int(len(boots) * 0.99)] * 1000, 1),
    }
    print(orjson.dumps(figures).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
