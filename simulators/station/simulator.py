"""A charging station on the wire: OCPP 1.6J or 2.0.1, with its driver, its meter and its memory.

Everything that a real charger keeps over a loss of power or network is kept here: the register,
the queue of transaction messages, the ledger. What happens to the socket never touches what
happens at the outlet.
"""

from __future__ import annotations

import asyncio
import base64
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from simulators.habits import STEADY, Backoff, OrphanStop, Personality
from simulators.ledger import Ledger, now
from simulators.station import v16, v201
from simulators.station.commands import commands_for
from simulators.station.model import Meter, Outlet, Queue, Transaction, Waiting, new_name
from simulators.station.quirks import WELL_BEHAVED, Make
from simulators.station.reservations import Reservations
from simulators.station.smart import SmartCharging, moment
from simulators.station.wire import Link, LinkLost, Refused, Tap

DIALECTS: dict[str, ModuleType] = {"1.6": v16, "2.0.1": v201}
LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class StationConfig:
    """What a simulated charging station is.

    Attributes:
        url: the backend's address without the identity, e.g. ``ws://127.0.0.1:9000/ocpp``.
        version: ``"1.6"`` or ``"2.0.1"``.
        password: for HTTP Basic; None sends no credentials.
        evses: number of EVSEs, one connector each, numbered from 1.
        power_w: what a charging car draws.
        speed: how many times faster energy flows than the clock says.
        sample_interval: seconds between two meter values; None sends none of its own accord.
        register_wh: where each meter stands on the first day.
        heartbeat_interval: seconds; None takes what the Boot answer says.
        boots_on_reconnect: False for a 2.0.1 station that resumes without BootNotification.
        car_takes_wh: after so many Wh a car is full and its driver leaves; None = never.
        auto_plug: whether a car is plugged in as soon as somebody starts a charge remotely.
        unplug_after_stop: whether the driver leaves as soon as the charge ends.
        authorizes_remote: whether a remote start is followed by an Authorize.
        tells_token: whether it repeats the token when a remote start goes on with a transaction
            that plugging in began, or only the start's number.
        reserves: whether it knows reservations at all.
        reserves_any: whether it can hold any one of its EVSEs, without saying which.
        names_reservation: whether a start says which reservation it uses.
        trusts_unknown_offline: whether a tag is accepted while there is no connection.
        make: wire-level misbehaviour.
        seed: for every choice that is made at random.
    """

    identity: str
    url: str
    version: str = "1.6"
    password: str | None = None
    tls: ssl.SSLContext | None = None
    vendor: str = "Simulated"
    model: str = "Sim-1"
    serial: str = "SIM-0001"
    firmware: str = "1.0.0"
    evses: int = 1
    power_w: int = 11_000
    speed: float = 1.0
    sample_interval: float | None = 10.0
    register_wh: int = 1_000
    heartbeat_interval: float | None = None
    boots_on_reconnect: bool = True
    car_takes_wh: int | None = None
    auto_plug: bool = True
    unplug_after_stop: bool = True
    authorizes_remote: bool = False
    tells_token: bool = True
    trusts_unknown_offline: bool = True
    reserves: bool = True
    reserves_any: bool = True
    names_reservation: bool = True
    personality: Personality = STEADY
    backoff: Backoff = field(default_factory=Backoff)
    make: Make = WELL_BEHAVED
    seed: int = 0


class StationSimulator:
    """One station. Use it as ``async with StationSimulator(config, ledger) as station``.

    The context starts it (it connects and boots by itself) and, at the end, closes its socket.
    Methods that wait take a *timeout* in seconds and raise `TimeoutError` after it.

    Attributes:
        ledger: what is true at this charger; may be shared with other stations.
        tap: what passed over the socket; also loses answers and mutes handlers on demand.
        transactions: every transaction so far, oldest first.
        answers: action of the backend -> status to answer instead of the honest one.
        boots: how many BootNotifications were accepted.
        reservations: what it holds for drivers on their way.
        groups: tag -> the group that the backend told with its last yes.
        refusals: HTTP status of each handshake that the backend refused.
    """

    def __init__(self, config: StationConfig, ledger: Ledger | None = None) -> None:
        self.config = config
        self.ledger = ledger if ledger is not None else Ledger()
        self.tap = Tap()
        self.transactions: list[Transaction] = []
        self.answers: dict[str, str] = {}
        self.configuration = {
            "HeartbeatInterval": "0",
            "MeterValueSampleInterval": str(int(config.sample_interval or 0)),
            "TransactionMessageAttempts": str(config.personality.attempts or 0),
            "TransactionMessageRetryInterval": str(int(config.personality.retry_interval)),
        }
        self.outlets = {
            number: Outlet(number, Meter(config.register_wh, config.power_w, config.speed))
            for number in range(1, config.evses + 1)
        }
        self.smart = SmartCharging()
        self._regulated = 0
        self.reservations = Reservations(self)
        self.groups: dict[str, str | None] = {}
        self.boots = 0
        self.refusals: list[int] = []
        self.queue = Queue()
        self.say = DIALECTS[config.version]
        self._chance = random.Random(f"{config.seed}/{config.identity}")
        self._link: Link | None = None
        self._accepted = False
        self._boot_reason = "PowerUp"
        self._statuses: asyncio.Queue[Any] = asyncio.Queue()
        self._last_status: dict[int, str] = {}
        self._changed = asyncio.Event()
        self._wanted_online = asyncio.Event()
        self._wanted_online.set()
        self._tasks: asyncio.TaskGroup | None = None
        self._life: asyncio.Task[None] | None = None

    # -- life ----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        ready = asyncio.Event()
        self._life = asyncio.create_task(self._live(ready), name=f"sim-{self.config.identity}")
        await ready.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._link is not None:
            with suppress(OSError, WebSocketException, TimeoutError):
                async with asyncio.timeout(2):
                    await self._link.close()
        assert self._life is not None
        self._life.cancel()
        with suppress(asyncio.CancelledError):
            await self._life

    async def _live(self, ready: asyncio.Event) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._keep_connected())
                tasks.create_task(self._deliver_queue())
                ready.set()
        finally:
            self._tasks = None
            self._changed.set()

    def spawn(self, work: Any) -> None:
        """Let something happen on its own, as long as the station lives."""
        assert self._tasks is not None, "the station is not running"
        self._tasks.create_task(work)

    # -- waiting -------------------------------------------------------------------------------

    def note(self) -> None:
        """Wake whoever waits for something about this station."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, true: Callable[[], bool], timeout: float | None = 30.0) -> None:
        """Wait until *true* holds; it is asked again after each event at this station.

        Raises:
            TimeoutError: after *timeout* seconds.
            RuntimeError: if the station does not run (any more).
        """
        async with asyncio.timeout(timeout):
            while True:
                changed = self._changed
                if true():
                    return
                if self._tasks is None:
                    raise RuntimeError(f"station {self.config.identity} does not run")
                await changed.wait()

    @property
    def online(self) -> bool:
        """Whether it is connected and its BootNotification was accepted."""
        return self._link is not None and self._link.alive and self._accepted

    async def booted(self, times: int = 1, timeout: float = 30.0) -> None:
        """Wait until it has booted for the *times*-th time, and is online."""
        await self.until(lambda: self.online and self.boots >= times, timeout)

    async def session_started(self, count: int = 1, timeout: float = 30.0) -> Transaction:
        """Wait until the start of the *count*-th transaction was answered."""
        await self.until(
            lambda: len(self.transactions) >= count and self.transactions[count - 1].start_acked,
            timeout,
        )
        return self.transactions[count - 1]

    async def session_finished(self, count: int = 1, timeout: float = 60.0) -> Transaction:
        """Wait until *count* transactions are over and nothing of them waits to be sent."""
        await self.until(lambda: sum(each.over for each in self.transactions) >= count, timeout)
        return [each for each in self.transactions if each.over][count - 1]

    async def drained(self, timeout: float = 60.0) -> None:
        """Wait until no transaction message waits."""
        await self.until(lambda: not len(self.queue), timeout)

    async def received(self, action: str, count: int = 1, timeout: float = 30.0) -> dict[str, Any]:
        """Wait for the *count*-th call of that action by the backend; gives its payload."""
        await self.until(lambda: len(self.received_so_far(action)) >= count, timeout)
        return self.received_so_far(action)[count - 1]

    def received_so_far(self, action: str) -> list[dict[str, Any]]:
        """The payloads of the backend's calls of that action."""
        return [payload for name, payload in self.tap.calls if name == action]

    # -- the driver ----------------------------------------------------------------------------

    def plug(self, evse: int = 1) -> None:
        """Connect the car."""
        self.outlets[evse].plugged = True
        self._report(self.outlets[evse])

    async def unplug(self, evse: int = 1) -> None:
        """Pull the cable; a running transaction ends with it."""
        outlet = self.outlets[evse]
        if outlet.transaction is not None and outlet.transaction.running:
            self.stop(outlet, "EVDisconnected")
        outlet.plugged = False
        outlet.transaction = None
        self._report(outlet)

    async def start_local(
        self,
        evse: int = 1,
        id_tag: str = "TAG-1",
        *,
        token_type: str = "ISO14443",
        limit_wh: int | None = None,
    ) -> Transaction | None:
        """Plug in, hold *id_tag* to the reader, and charge if it is accepted.

        Args:
            limit_wh: instead of the configuration's *car_takes_wh*.

        Returns:
            The transaction; None if the tag was refused or the outlet is taken.
        """
        outlet = self.outlets[evse]
        if not outlet.free:
            return None
        self.plug(evse)
        accepted = await self.authorize(id_tag, token_type)
        if not accepted or not self.reservations.lets(outlet, id_tag, self.groups.get(id_tag)):
            await self.unplug(evse)
            return None
        return self.begin(outlet, id_tag, token_type, "Authorized", limit_wh=limit_wh)

    async def stop_local(self, evse: int = 1) -> None:
        """Hold the same tag to the reader again."""
        self.stop(self.outlets[evse], "Local")

    async def stop_with(self, id_tag: str, evse: int = 1) -> bool:
        """Hold another tag to the reader: it stops the charge if it is of the same group."""
        outlet = self.outlets[evse]
        transaction = outlet.transaction
        if transaction is None or not transaction.running:
            return False
        answer = await self.call(self.say.authorize(id_tag, "ISO14443"))
        group = self.say.group_of(answer)
        if not self.say.accepts(answer) or group is None or group != transaction.group:
            return False
        transaction.stop_tag = id_tag
        self.stop(outlet, "Local")
        return True

    def fault(self, evse: int = 1, *, repaired: bool = False) -> None:
        """Break an outlet (a running transaction ends), or repair it."""
        outlet = self.outlets[evse]
        if not repaired and outlet.transaction is not None and outlet.transaction.running:
            self.stop(outlet, "Other")
        outlet.faulted = not repaired
        self._report(outlet)
        if not repaired:
            self.reservations.break_off(evse)

    # -- the network ---------------------------------------------------------------------------

    async def go_offline(self, *, politely: bool = False) -> None:
        """Lose the network, until `go_online`. Charging goes on."""
        self._wanted_online.clear()
        link = self._link
        if link is not None:
            if politely:
                await link.close()
            else:
                link.cut()
        await self.until(lambda: self._link is None)

    def go_online(self) -> None:
        """Get the network back."""
        self._wanted_online.set()

    async def call(self, payload: Any, unique_id: str | None = None) -> dict[str, Any]:
        """Send any CALL of the `ocpp` package now; gives the CALLRESULT's payload.

        Raises:
            LinkLost: without a connection. Refused: on a CALLERROR. TimeoutError: on silence.
        """
        if self._link is None:
            raise LinkLost
        return await self._link.call(payload, unique_id)

    async def authorize(self, id_tag: str, token_type: str = "ISO14443") -> bool:
        """Ask the backend whether *id_tag* may charge; without one, decide as configured."""
        if not self.online:
            return self.config.trusts_unknown_offline
        try:
            answer = await self.call(self.say.authorize(id_tag, token_type))
        except (LinkLost, Refused, TimeoutError):
            return self.config.trusts_unknown_offline
        self.groups[id_tag] = self.say.group_of(answer)
        return bool(self.say.accepts(answer))

    async def data_transfer(
        self, vendor: str, message: str | None = None, data: str | None = None
    ) -> dict[str, Any]:
        """Send a DataTransfer; gives the answer."""
        return await self.call(self.say.data_transfer(vendor, message, data))

    # -- transactions --------------------------------------------------------------------------

    def begin(
        self,
        outlet: Outlet,
        id_tag: str,
        token_type: str,
        trigger: str,
        *,
        remote_start_id: int | None = None,
        limit_wh: int | None = None,
    ) -> Transaction:
        """Close the contactor at *outlet* and tell the backend when it can be told."""
        transaction = Transaction(
            txn=new_name(),
            evse=outlet.evse,
            connector=outlet.connector,
            id_tag=id_tag,
            token_type=token_type,
            start_at=now(),
            start_wh=outlet.meter.wh,
            trigger=trigger,
            remote_start_id=remote_start_id,
            limit_wh=self.config.car_takes_wh if limit_wh is None else limit_wh,
        )
        used = self.reservations.use(outlet, id_tag, self.groups.get(id_tag))
        if self.config.names_reservation:
            transaction.reservation_id = used
        if self.config.version != "1.6":
            transaction.transaction_id = transaction.txn
        outlet.reserved_for_remote = False
        outlet.transaction = transaction
        self.regulate()
        outlet.meter.run()
        self.transactions.append(transaction)
        self._enqueue_first(transaction, outlet)
        self._report(outlet)
        if self.config.version != "1.6":
            self.sample(outlet.evse, trigger="ChargingStateChanged")
        self.spawn(self._charge(transaction, outlet))
        return transaction

    def stop(self, outlet: Outlet, reason: str) -> None:
        """Open the contactor, write the ledger, and tell the backend when it can be told.

        Does nothing if no transaction runs there.
        """
        transaction = outlet.transaction
        if transaction is None or not transaction.running:
            return
        transaction.stop_wh = outlet.meter.halt()
        transaction.stop_at = now()
        transaction.stop_reason = reason
        self._deliver_to_ledger(transaction)
        self._enqueue_last(transaction, outlet)
        transaction.stop_wanted.set()
        self.smart.ended(transaction.transaction_id)
        self._report(outlet)
        self._settle(outlet)

    def _settle(self, outlet: Outlet) -> None:
        """What follows a stop: the driver leaves, a scheduled closure takes effect."""
        if outlet.inoperative_after:
            outlet.operative, outlet.inoperative_after = False, False
        if self.config.unplug_after_stop:
            outlet.plugged = False
            outlet.transaction = None
        self._report(outlet)

    async def _charge(self, transaction: Transaction, outlet: Outlet) -> None:
        while transaction.running:
            pause, full = self._next_pause(transaction, outlet)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await transaction.stop_wanted.wait()
            if transaction.running:
                if full and self._is_full(transaction, outlet):
                    self.stop(outlet, "EVDisconnected")
                else:
                    self.sample(outlet.evse)

    def _is_full(self, transaction: Transaction, outlet: Outlet) -> bool:
        """Whether the car is full after all: its power may have fallen meanwhile."""
        assert transaction.limit_wh is not None
        return outlet.meter.wh >= transaction.start_wh + transaction.limit_wh

    def _next_pause(self, transaction: Transaction, outlet: Outlet) -> tuple[float | None, bool]:
        """Seconds until the next thing happens, and whether it is that the car is full."""
        interval = self.config.sample_interval
        if transaction.limit_wh is None:
            return interval, False
        left = outlet.meter.seconds_until(transaction.start_wh + transaction.limit_wh)
        if left is None or (interval is not None and left > interval):
            return interval, False
        return left, True

    def sample(self, evse: int = 1, trigger: str = "MeterValuePeriodic") -> None:
        """Report the register of the running transaction at *evse* now."""
        outlet = self.outlets[evse]
        transaction = outlet.transaction
        if transaction is None or not transaction.running:
            return
        at, wh, power = now(), outlet.meter.wh, outlet.meter.power_w
        seq_no = transaction.seq_no()
        self._enqueue(
            transaction,
            "between",
            lambda offline: self.say.between(
                transaction, outlet, at, wh, power, seq_no, trigger, offline
            ),
            wh,
            seq_no,
        )

    def _enqueue_first(self, transaction: Transaction, outlet: Outlet) -> None:
        self._enqueue(
            transaction,
            "first",
            lambda offline: self.say.first(transaction, outlet, offline),
            transaction.start_wh,
            transaction.seq_no(),
        )

    def _enqueue_last(self, transaction: Transaction, outlet: Outlet) -> None:
        seq_no = transaction.seq_no()
        self._enqueue(
            transaction,
            "last",
            lambda offline: self.say.last(transaction, outlet, seq_no, offline),
            transaction.stop_wh,
            seq_no,
        )

    def _enqueue(
        self,
        transaction: Transaction,
        part: str,
        payload: Callable[[bool], Any],
        register_wh: int | None,
        seq_no: int,
    ) -> None:
        self.queue.add(
            Waiting(
                transaction,
                self.say.MESSAGES[part],
                payload,
                register_wh,
                seq_no if self.config.version != "1.6" else None,
                made_offline=not self.online,
            )
        )
        self.note()

    def _deliver_to_ledger(self, transaction: Transaction) -> None:
        assert transaction.stop_at is not None and transaction.stop_wh is not None
        self.ledger.delivered(
            station=self.config.identity,
            version=self.config.version,
            txn=transaction.txn,
            evse=transaction.evse,
            connector=transaction.connector,
            id_tag=transaction.id_tag,
            start_at=transaction.start_at,
            stop_at=transaction.stop_at,
            start_wh=transaction.start_wh,
            stop_wh=transaction.stop_wh,
        )

    # -- delivery of transaction messages -------------------------------------------------------

    async def _deliver_queue(self) -> None:
        """Send what waits, oldest first, one at a time, by the habits of the firmware."""
        while True:
            item = await self.queue.head()
            await asyncio.sleep(item.pause)
            await self.until(lambda: self.online, timeout=None)
            assert self._link is not None
            await self._attempt(self._link, item)

    async def _attempt(self, link: Link, item: Waiting) -> None:
        habits = self.config.personality
        payload = self._payload(item)
        if item.sends and not habits.same_id:
            item.unique_id = new_name()
        item.sends += 1
        try:
            answer = await link.call(payload, item.unique_id)
        except LinkLost:
            item.attempts += habits.counts_lost_links
            item.pause = 0.0
            self._give_up_if_exhausted(item)
        except (Refused, TimeoutError) as failure:
            item.attempts += 1
            item.pause = min(habits.retry_interval * item.attempts, LONGEST_PAUSE_S)
            self._failed(item, payload, failure)
        else:
            self._answered(item, answer)

    def _failed(self, item: Waiting, payload: Any, failure: Refused | TimeoutError) -> None:
        if isinstance(failure, Refused):
            self._write_callerror(item, payload, failure)
            if self.config.personality.drops_on_callerror:
                self._give_up(item)
                return
        self._give_up_if_exhausted(item)

    def _payload(self, item: Waiting) -> Any:
        habits = self.config.personality
        if habits.freezes_frame and item.frozen is not None:
            return item.frozen
        late = item.made_offline or (item.sends > 0 and habits.marks_retries_offline)
        item.frozen = item.payload(late)
        return item.frozen

    def _answered(self, item: Waiting, answer: dict[str, Any]) -> None:
        transaction = item.transaction
        is_first = item.message == self.say.MESSAGES["first"]
        if is_first:
            transaction.transaction_id = self.say.transaction_id(answer) or (
                transaction.transaction_id
            )
        self.ledger.acked(
            station=self.config.identity,
            txn=transaction.txn,
            message=item.message,
            transaction_id=transaction.transaction_id,
            register_wh=item.register_wh,
            seq_no=item.seq_no,
            answer=answer,
        )
        transaction.start_acked |= is_first
        transaction.group = self.say.group_of(answer) or transaction.group
        transaction.stop_acked |= item.message == self.say.MESSAGES["last"]
        self._done(item)
        if transaction.running and not self.say.accepts(answer):
            self.stop(self.outlets[transaction.evse], "DeAuthorized")

    def _write_callerror(self, item: Waiting, payload: Any, error: Refused) -> None:
        self.ledger.callerror(
            station=self.config.identity,
            txn=item.transaction.txn,
            action=type(payload).__name__,
            code=error.code,
            description=error.description,
        )

    def _give_up_if_exhausted(self, item: Waiting) -> None:
        attempts = self.config.personality.attempts
        if attempts is not None and item.attempts >= attempts:
            self._give_up(item)

    def _give_up(self, item: Waiting) -> None:
        transaction = item.transaction
        self.ledger.gave_up(station=self.config.identity, txn=transaction.txn, message=item.message)
        invents = self.config.personality.orphan_stop is OrphanStop.INVENTED
        if item.message == "start" and invents:
            transaction.made_up_id = str(self._chance.randrange(1, 2**31))
        self._done(item)

    def _done(self, item: Waiting) -> None:
        self.queue.done()
        transaction = item.transaction
        transaction.over = not transaction.running and not self.queue.holds(transaction)
        self.note()

    # -- connection ----------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        failures = 0
        while True:
            await self._wanted_online.wait()
            try:
                socket = await self._open()
            except InvalidStatus as refusal:
                self.refusals.append(refusal.response.status_code)
                self.note()
            except (OSError, TimeoutError, InvalidHandshake, EOFError):
                pass
            else:
                failures = 0
                if self._wanted_online.is_set():
                    await self._be_connected(socket)
                socket.transport.abort()
            await asyncio.sleep(self.config.backoff.wait(failures, self._chance))
            failures += 1

    async def _open(self) -> ClientConnection:
        config = self.config
        headers = {}
        if config.password is not None:
            credentials = f"{config.identity}:{config.password}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(credentials).decode()
        names = config.make.sends_subprotocol
        return await connect(
            f"{config.url}/{config.identity}",
            subprotocols=[Subprotocol(self.say.SUBPROTOCOL)] if names else None,
            additional_headers=headers,
            ssl=config.tls,
            compression=None,
            proxy=None,
            open_timeout=10,
            close_timeout=1,
            ping_interval=None,
        )

    async def _be_connected(self, socket: ClientConnection) -> None:
        config = self.config
        commands = commands_for(self)
        link = Link(
            config.identity,
            config.version,
            socket,
            commands.handlers(),
            commands.carry_out,
            config.make,
            self.tap,
            config.personality.message_timeout,
            self.note,
        )
        self._link = link
        self._statuses = asyncio.Queue()
        self._last_status.clear()
        serving = asyncio.create_task(link.serve())
        chatting = asyncio.create_task(self._chat(link))
        try:
            await serving
            commands.carry_out()
        finally:
            for task in (serving, chatting):
                task.cancel()
            await asyncio.gather(serving, chatting, return_exceptions=True)
            self._link, self._accepted = None, False
            socket.transport.abort()
            self.note()
        if (mistake := chatting.exception() if not chatting.cancelled() else None) is not None:
            raise mistake

    async def _chat(self, link: Link) -> None:
        """Everything that the station says of its own accord on one connection."""
        try:
            interval = await self._boot(link)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send_statuses(link))
                tasks.create_task(self._beat(link, interval))
        except* LinkLost:
            pass
        except* Exception:
            link.cut()
            raise

    async def _boot(self, link: Link) -> float:
        """Ask for admission until it is granted; gives the heartbeat interval in seconds."""
        resumes = self.boots > 0 and not self.config.boots_on_reconnect
        if resumes and self._boot_reason == "PowerUp":
            interval = self.config.heartbeat_interval or 300.0
        else:
            interval = await self._ask_for_admission(link)
            self.boots += 1
        self._accepted = True
        self._boot_reason = "PowerUp"
        self._report_everything()
        self.note()
        return self.config.heartbeat_interval or interval

    async def _ask_for_admission(self, link: Link) -> float:
        while True:
            try:
                answer = await link.call(self.boot_payload())
            except (Refused, TimeoutError):
                await asyncio.sleep(self.config.personality.retry_interval)
                continue
            interval = float(answer.get("interval") or 300)
            if answer.get("status") == "Accepted":
                return interval
            await asyncio.sleep(interval)

    def boot_payload(self) -> Any:
        """What this station says of itself at boot."""
        config = self.config
        return self.say.boot(
            config.vendor, config.model, config.serial, config.firmware, self._boot_reason
        )

    async def _beat(self, link: Link, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            with suppress(Refused, TimeoutError):
                await link.call(self.say.heartbeat())

    # -- status --------------------------------------------------------------------------------

    def _report(self, outlet: Outlet, *, again: bool = False) -> None:
        """Queue a StatusNotification if the status of *outlet* is new (or *again* is wanted)."""
        self.note()
        if not self.online:
            return
        value = self.say.status_of(outlet)
        if again or self._last_status.get(outlet.evse) != value:
            self._last_status[outlet.evse] = value
            self._statuses.put_nowait(self.say.status(outlet, value, now()))

    def show(self, outlet: Outlet) -> None:
        """Send the status of *outlet* if it is new."""
        self._report(outlet)

    def _report_everything(self) -> None:
        if (whole := self.say.station_status(now(), True)) is not None:
            self._statuses.put_nowait(whole)
        for outlet in self.outlets.values():
            self._report(outlet, again=True)

    async def _send_statuses(self, link: Link) -> None:
        while True:
            payload = await self._statuses.get()
            with suppress(Refused, TimeoutError):
                await link.call(payload)
            self._statuses.task_done()

    async def statuses_sent(self, timeout: float = 30.0) -> None:
        """Wait until every status so far was answered."""
        async with asyncio.timeout(timeout):
            await self._statuses.join()

    # -- smart charging ------------------------------------------------------------------------

    def regulate(self) -> None:
        """Let at each outlet flow what its profiles allow now, and look again when that changes."""
        self._regulated += 1
        at = datetime.now(UTC)
        edges = []
        for outlet in self.outlets.values():
            transaction = outlet.transaction
            running = transaction is not None and transaction.running
            began = moment(transaction.start_at) if transaction is not None and running else at
            name = transaction.transaction_id if transaction is not None else None
            most = self.config.power_w
            outlet.meter.limit(self.smart.watts(outlet.evse, name, began, at, most))
            edges.append(self.smart.next_edge(began, at))
        self.note()
        if (edge := min((each for each in edges if each is not None), default=None)) is not None:
            self.spawn(self._regulate_at(edge, self._regulated))

    async def _regulate_at(self, edge: datetime, turn: int) -> None:
        await asyncio.sleep(max(0.0, (edge - datetime.now(UTC)).total_seconds()) + 0.001)
        if self._regulated == turn:
            self.regulate()

    def grid_limit(self, watts: float | None, evse: int = 1) -> None:
        """Something on the spot limits an outlet, or does so no more; 2.0.1 stations say so."""
        if watts is None:
            self.smart.local.pop(evse, None)
        else:
            self.smart.local[evse] = watts
        self.regulate()
        if (payload := self.say.limit_changed(evse, watts)) is not None:
            self.say_now(payload)

    # -- what commands do ----------------------------------------------------------------------

    def report(self, evse: int | None = None) -> None:
        """Send the status of one outlet, or of all, again."""
        if evse is None:
            self._report_everything()
        else:
            self._report(self.outlets[evse], again=True)

    def say_now(self, payload: Any) -> None:
        """Send a CALL beside everything else; its fate is nobody's business."""

        async def send() -> None:
            with suppress(LinkLost, Refused, TimeoutError):
                await self.call(payload)

        self.spawn(send())

    def reset(self, reason: str) -> None:
        """Stop what runs, lose the socket, come back and boot."""

        async def restart() -> None:
            for outlet in self.outlets.values():
                self.stop(outlet, reason)
            self._boot_reason = "RemoteReset"
            if self._link is not None:
                with suppress(OSError, WebSocketException):
                    await self._link.close()

        self.spawn(restart())

    async def start_remotely(
        self, outlet: Outlet, id_tag: str, token_type: str, remote_start_id: int | None
    ) -> None:
        """Carry out an accepted remote start: wait for the car, then charge."""
        if self.config.auto_plug:
            self.plug(outlet.evse)
        try:
            await self.until(lambda: outlet.plugged and not outlet.waits_for_driver, timeout=60)
        except TimeoutError:
            outlet.reserved_for_remote = False
            self._report(outlet)
            return
        if self.config.authorizes_remote and not await self.authorize(id_tag, token_type):
            outlet.reserved_for_remote = False
            self._report(outlet)
            return
        begun = outlet.transaction
        if begun is not None and begun.unpaid:
            begun.id_tag, begun.token_type = id_tag, token_type
            begun.remote_start_id = remote_start_id
            self._go_on(begun, outlet)
            return
        self.begin(outlet, id_tag, token_type, "RemoteStart", remote_start_id=remote_start_id)

    def begin_by_plug(self, evse: int = 1) -> Transaction:
        """2.0.1 with TxStartPoint EVConnected: plugging in begins a transaction without a token."""
        outlet = self.outlets[evse]
        self.plug(evse)
        transaction = Transaction(
            txn=(name := new_name()),
            evse=outlet.evse,
            connector=outlet.connector,
            id_tag="",
            token_type="Central",
            start_at=now(),
            start_wh=outlet.meter.wh,
            trigger="CablePluggedIn",
            transaction_id=name,
            limit_wh=self.config.car_takes_wh,
            unpaid=True,
        )
        outlet.transaction = transaction
        self.transactions.append(transaction)
        first = self.say.first(transaction, outlet, False)
        self._enqueue(
            transaction, "first", lambda _: first, transaction.start_wh, transaction.seq_no()
        )
        return transaction

    def _go_on(self, transaction: Transaction, outlet: Outlet) -> None:
        """Somebody pays for what plugging in began: tell the backend, and close the contactor."""
        at, wh, seq_no = now(), outlet.meter.wh, transaction.seq_no()
        tells = self.config.tells_token
        transaction.unpaid = outlet.reserved_for_remote = False
        self._enqueue(
            transaction,
            "between",
            lambda offline: v201.paid(transaction, outlet, at, wh, seq_no, tells, offline),
            wh,
            seq_no,
        )
        self.regulate()
        outlet.meter.run()
        self.sample(outlet.evse, trigger="ChargingStateChanged")
        self.spawn(self._charge(transaction, outlet))


@asynccontextmanager
async def stations(
    *configs: StationConfig, ledger: Ledger
) -> AsyncIterator[list[StationSimulator]]:
    """Several stations at once, with one ledger, all of them booted."""
    started = [StationSimulator(config, ledger) for config in configs]
    try:
        for station in started:
            await station.__aenter__()
        for station in started:
            await station.booted()
        yield started
    finally:
        for station in started:
            if station._life is not None:
                await station.__aexit__()
