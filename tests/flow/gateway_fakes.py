"""A core small enough to read, for tests of the gateway alone, and a charger of plain websockets."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import websockets

from cms.app.ports import (
    Admission,
    Admitted,
    Boot,
    Frame,
    Registration,
    Soon,
    StatusReport,
    Visit,
)
from cms.app.writes import Ack
from cms.domain.errors import StoreDown
from cms.domain.ids import ReservationId, StationId, TransactionId
from cms.domain.token import Decision, Verdict
from cms.domain.transaction import TransactionEvent
from ocpp_gateway.adaptation import STRICT, Adapters
from ocpp_gateway.limits import Limits
from ocpp_gateway.server import Gateway, Version
from ocpp_gateway.v16.inbound import Inbound
from ocpp_gateway.v16.outbound import Outbound

PATIENCE_S = 10


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class FakeCore:
    """``StationEvents`` and ``Gatekeeper`` in memory. ``happened`` tells the story in order."""

    passwords: dict[str, bytes | None] = field(
        default_factory=lambda: {"CS1": b"secret-1", "CS2": b"secret-2"}
    )
    registration: Registration = Registration.ACCEPTED
    happened: asyncio.Queue[tuple[Any, ...]] = field(default_factory=asyncio.Queue)
    stored: dict[bytes, Ack] = field(default_factory=dict)
    durable: asyncio.Event = field(default_factory=asyncio.Event)
    down: bool = False
    visits: int = 0
    broken: bool = False

    def __post_init__(self) -> None:
        self.durable.set()

    # Gatekeeper
    def admit(
        self, identity: str, password: bytes | None, source: str, path: Sequence[str]
    ) -> Admission:
        for name, wanted in self.passwords.items():
            if name.casefold() == identity.casefold():
                good = wanted is None or wanted == password
                return Admission(Admitted.YES if good else Admitted.WRONG_PASSWORD, StationId(name))
        return Admission(Admitted.UNKNOWN)

    def accepting(self) -> bool:
        return not self.down

    # StationEvents
    async def connected(self, station: StationId, source: str, dialect: str) -> Visit:
        if self.down:
            raise StoreDown
        self.visits += 1
        self.note("connected", station, dialect)
        return Visit(station, self.visits, 0, self.registration)

    async def disconnected(self, visit: Visit) -> None:
        self.note("disconnected", visit.station, visit.number)

    async def booted(self, visit: Visit, boot: Boot) -> Registration:
        await self._commit()
        self.note("booted", visit.station, boot)
        return self.registration

    def heard(self, visit: Visit, now: datetime) -> None:
        self.note("heard", visit.station)

    def reported(self, frame: Frame, status: StatusReport) -> Soon[None]:
        self.note("reported", frame.visit.station, status)
        return None

    def authorize(self, visit: Visit, id_token: str, evse: int | None = None) -> Soon[Decision]:
        good = id_token.startswith("GOOD")
        return Decision(Verdict.ACCEPTED if good else Verdict.INVALID, "by the test's list")

    async def transaction(
        self, frame: Frame, transaction: TransactionId | None, event: TransactionEvent
    ) -> Ack:
        if self.broken:
            raise RuntimeError("a bug of ours")
        await self._commit()
        assert frame.key is not None
        number = transaction or TransactionId(str(1000 + len(self.stored)))
        ack = self.stored.setdefault(frame.key, Ack(number, Verdict.ACCEPTED))
        self.note("transaction", transaction, event, frame)
        return ack

    async def meter_values(
        self, frame: Frame, evse: int, transaction: TransactionId | None, event: TransactionEvent
    ) -> None:
        await self._commit()
        self.note("meter_values", evse, transaction, event)

    async def keep(self, frame: Frame, why: str) -> Ack:
        await self._commit()
        self.note("keep", frame, why)
        return Ack()

    def limits_changed(self, visit: Visit, evse: int | None) -> None:
        self.note("limits_changed", visit.station, evse)

    async def reservation_ended(
        self, frame: Frame, reservation: ReservationId, expired: bool
    ) -> None:
        self.note("reservation_ended", reservation, expired)

    def security_event(self, frame: Frame, kind: str, at: datetime, detail: str) -> Awaitable[None]:
        self.note("security_event", kind, detail)
        return self._commit()

    async def _commit(self) -> None:
        await self.durable.wait()
        if self.down:
            raise StoreDown

    # for the tests
    def note(self, *fact: Any) -> None:
        self.happened.put_nowait(fact)

    async def until(self, name: str) -> tuple[Any, ...]:
        """Return the next thing called *name*; others before it are passed over."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                fact = await self.happened.get()
                if fact[0] == name:
                    return fact


@asynccontextmanager
async def serving(
    core: FakeCore, limits: Limits | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Gateway, str]]:
    """Run a gateway in front of *core*; yield it and the address before the identity."""
    gateway = Gateway(
        events=core,
        gatekeeper=core,
        versions=[Version(Inbound(core, now), Outbound())],
        adapters=Adapters(STRICT),
        clock=now,
        limits=limits,
    )
    port = await gateway.start("127.0.0.1", 0, tls)
    try:
        yield gateway, f"ws://127.0.0.1:{port}/ocpp/"
    finally:
        await gateway.stop()


def basic(identity: str, password: str) -> dict[str, str]:
    token = base64.b64encode(f"{identity}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


@asynccontextmanager
async def charger(
    address: str,
    identity: str = "CS1",
    password: str | None = "secret-1",
    subprotocols: Sequence[str] | None = ("ocpp1.6",),
    **options: Any,
) -> AsyncIterator[Charger]:
    """Connect as a charger that does exactly what the test says."""
    async with websockets.connect(
        address + identity,
        subprotocols=[websockets.Subprotocol(s) for s in subprotocols] if subprotocols else None,
        additional_headers={} if password is None else basic(identity, password),
        compression=None,
        proxy=None,
        **options,
    ) as socket:
        yield Charger(socket)


class Charger:
    """A websocket and a count of messages."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self._count = 0

    async def say(self, data: str | bytes) -> None:
        await self.socket.send(data)

    async def hear(self) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            return json.loads(await self.socket.recv())

    async def call(self, action: str, payload: Any) -> Any:
        """Send a call and return the payload of its answer."""
        self._count += 1
        await self.say(json.dumps([2, f"m{self._count}", action, payload]))
        kind, id, *rest = await self.hear()
        assert (kind, id) == (3, f"m{self._count}"), (kind, id, rest)
        return rest[0]

    async def boot(self) -> Any:
        return await self.call(
            "BootNotification", {"chargePointVendor": "ACME", "chargePointModel": "One"}
        )

    async def closed(self) -> int | None:
        """Wait until the other side has closed; return its code."""
        async with asyncio.timeout(PATIENCE_S):
            await self.socket.wait_closed()
        return self.socket.close_code
