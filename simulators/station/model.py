"""The hardware behind the socket: meters, outlets, transactions and what waits to be sent."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class Meter:
    """An energy register in Wh that only ever rises, also over sessions and reboots.

    Args:
        register_wh: where it stands to begin with.
        power_w: the power that flows while it runs.
        speed: how many times faster energy flows than the clock says, so that a session of
            seconds can deliver kilowatt-hours.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        register_wh: int,
        power_w: int,
        speed: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.power_w = power_w
        self._speed = speed
        self._clock = clock
        self._settled_wh = float(register_wh)
        self._since: float | None = None

    @property
    def running(self) -> bool:
        """Whether current flows."""
        return self._since is not None

    @property
    def wh(self) -> int:
        """The register now, in whole Wh (rounded down, as a counter does)."""
        return int(self._settled_wh + self._flowed())

    def limit(self, power_w: float) -> None:
        """Let no more than *power_w* flow from now on."""
        if self._since is not None:
            self._settled_wh += self._flowed()
            self._since = self._clock()
        self.power_w = int(power_w)

    def run(self) -> None:
        """Close the contactor."""
        if self._since is None:
            self._since = self._clock()

    def halt(self) -> int:
        """Open the contactor and give the register."""
        self._settled_wh += self._flowed()
        self._since = None
        return self.wh

    def add(self, wh: int) -> None:
        """Let *wh* flow at once (for tests that do not want to wait for physics)."""
        self._settled_wh += wh

    def seconds_until(self, wh: int) -> float | None:
        """Real seconds until the register reaches *wh*; None if it never will."""
        rate = self.power_w * self._speed / 3600
        return max(0.0, (wh - self._settled_wh - self._flowed()) / rate) if rate > 0 else None

    def _flowed(self) -> float:
        if self._since is None:
            return 0.0
        return (self._clock() - self._since) * self.power_w * self._speed / 3600


@dataclass(slots=True)
class Transaction:
    """One charge as the charger sees it.

    Attributes:
        txn: the charger's own name for it, in the ledger.
        transaction_id: 1.6: the backend's number as text, None until StartTransaction.conf came;
            2.0.1: the charger's own id, from the beginning.
        id_tag: 1.6 idTag, or 2.0.1 idToken's text.
        limit_wh: the car is full after so many Wh; None = it never is.
        made_up_id: 1.6: what the charger writes in StopTransaction after StartTransaction was
            discarded unanswered, if its firmware invents a number.
        start_acked, stop_acked: the first and the last message were answered.
        group: of its token, as the backend told it: another token of it may stop this charge.
        stop_tag: of another token that stopped it.
        unpaid: it began by plugging in, and nobody has said yet who pays.
        over: nothing of this transaction waits any longer, and energy flows no more.
    """

    txn: str
    evse: int
    connector: int
    id_tag: str
    token_type: str
    start_at: str
    start_wh: int
    trigger: str
    transaction_id: str | None = None
    remote_start_id: int | None = None
    reservation_id: int | None = None
    limit_wh: int | None = None
    stop_at: str | None = None
    stop_wh: int | None = None
    stop_reason: str | None = None
    next_seq_no: int = 0
    made_up_id: str | None = None
    start_acked: bool = False
    stop_acked: bool = False
    group: str | None = None
    stop_tag: str | None = None
    unpaid: bool = False
    over: bool = False
    stop_wanted: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def running(self) -> bool:
        """Whether it has not been stopped at the charger."""
        return self.stop_at is None

    @property
    def energy_wh(self) -> int | None:
        """What was delivered; None while it still runs."""
        return None if self.stop_wh is None else self.stop_wh - self.start_wh

    def seq_no(self) -> int:
        """The next sequence number of a 2.0.1 TransactionEvent, from 0."""
        self.next_seq_no += 1
        return self.next_seq_no - 1


def new_name() -> str:
    """A fresh name for a transaction or a message."""
    return str(uuid.uuid4())


@dataclass(slots=True)
class Outlet:
    """One EVSE with its single connector.

    Attributes:
        waits_for_driver: a remotely started charge goes on only once the driver confirms it.
    """

    evse: int
    meter: Meter
    connector: int = 1
    plugged: bool = False
    operative: bool = True
    faulted: bool = False
    reserved_for_remote: bool = False
    inoperative_after: bool = False
    reserved: bool = False
    transaction: Transaction | None = None
    waits_for_driver: bool = False

    @property
    def free(self) -> bool:
        """Whether a new transaction could begin here."""
        return (
            self.operative
            and not self.faulted
            and not self.reserved_for_remote
            and self.transaction is None
        )

    @property
    def takes_remote_start(self) -> bool:
        """Whether it is free, or serves a car for which nobody pays yet."""
        begun = self.transaction
        unpaid = begun is not None and begun.unpaid and begun.running
        return self.free or (unpaid and not self.reserved_for_remote)


@dataclass(slots=True)
class Waiting:
    """A transaction message that has not been answered.

    Attributes:
        message: its name in the ledger.
        payload: makes the payload of an attempt; the argument says whether it is a later one.
        register_wh: what the message says of the register, if anything.
        sends: how often it left; *attempts*: how many of these count against the habit's limit.
        pause: seconds to wait before the next attempt.
        frozen: the first attempt's payload, for firmware that repeats bytes.
    """

    transaction: Transaction
    message: str
    payload: Callable[[bool], Any]
    register_wh: int | None
    seq_no: int | None = None
    unique_id: str = field(default_factory=new_name)
    sends: int = 0
    attempts: int = 0
    pause: float = 0.0
    made_offline: bool = False
    frozen: Any = None


class Queue:
    """Transaction messages in the order in which they happened; the head stays until done with."""

    def __init__(self) -> None:
        self._waiting: deque[Waiting] = deque()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: Waiting) -> None:
        """Append; wakes whoever waits in `head`."""
        self._waiting.append(item)
        self._filled.set()

    async def head(self) -> Waiting:
        """The oldest message, as soon as there is one; it stays in the queue."""
        await self._filled.wait()
        return self._waiting[0]

    def done(self) -> None:
        """Take the oldest message out."""
        self._waiting.popleft()
        if not self._waiting:
            self._filled.clear()

    def holds(self, transaction: Transaction | None = None) -> bool:
        """Whether a message of *transaction* (of any, if None) still waits."""
        return any(transaction is None or item.transaction is transaction for item in self._waiting)
