"""A charger that does exactly what a test says: any frame, any id, any order, any number of times."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.harness.network import Network, password

Json = dict[str, Any]
PROTOCOLS = {"1.6": "ocpp1.6", "2.0.1": "ocpp2.0.1"}


class CallErrorReceived(Exception):
    """The server answered with a CALLERROR."""

    def __init__(self, action: str, code: str, description: str) -> None:
        super().__init__(f"{action}: {code} {description}")
        self.code = code


class Charger:
    """One socket of one charger. See `plugged`.

    Attributes:
        received: CALLs of the server, in order, as (action, payload).
        answers: from action to the answer that its CALL gets; a callable gets the payload. Without
            an entry: ``{"status": "Accepted"}``; None = no answer at all.
        callerrors: every CALLERROR that came.
    """

    def __init__(self, socket: ClientConnection, identity: str, version: str) -> None:
        self.identity = identity
        self.version = version
        self.received: list[tuple[str, Json]] = []
        self.answers: dict[str, Json | None | Callable[[Json], Json]] = {}
        self.callerrors: list[Any] = []
        self._socket = socket
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._changed = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    # -- asking

    async def call(
        self, action: str, payload: Json, *, id: str | None = None, timeout: float = 15
    ) -> Json:
        """CALL and return the CALLRESULT's payload.

        Raises:
            CallErrorReceived: on a CALLERROR.
            ConnectionClosed: if the socket closes first.
            TimeoutError: if nothing comes.
        """
        id = id or uuid.uuid4().hex
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[id] = future
        await self.send(json.dumps([2, id, action, payload]))
        async with asyncio.timeout(timeout):
            answer = await future
        if answer[0] == 4:
            raise CallErrorReceived(action, answer[2], answer[3])
        result: Json = answer[2]
        return result

    async def send(self, text: str) -> None:
        """Send any text."""
        await self._socket.send(text)

    async def boot(self) -> Json:
        """BootNotification."""
        return await self.call("BootNotification", boot(self.version))

    async def until(self, true: Callable[[], Any], timeout: float = 10) -> None:
        """Wait until *true*, asked again after each frame that comes."""
        async with asyncio.timeout(timeout):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def called(self, action: str, timeout: float = 10) -> Json:
        """Wait for a CALL of the server; returns its payload."""
        await self.until(lambda: any(name == action for name, _ in self.received), timeout)
        return next(payload for name, payload in self.received if name == action)

    # -- leaving

    async def closed(self, timeout: float = 15) -> int | None:
        """Wait until the server has closed the socket; returns the close code."""
        async with asyncio.timeout(timeout):
            await self._socket.wait_closed()
        return self._socket.close_code

    @property
    def open(self) -> bool:
        return self._socket.close_code is None and not self._reader.done()

    def vanish(self) -> None:
        """Be gone without a word."""
        self._socket.transport.abort()

    async def leave(self) -> None:
        """Close properly."""
        with suppress(ConnectionClosed):
            await self._socket.close()
        await self._reader

    # -- inside

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                await self._take(json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            self._fail_waiting()
            self._changed.set()

    def _fail_waiting(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("the socket closed before the answer"))
                future.exception()  # somebody may have stopped waiting; that is no news

    async def _take(self, frame: list[Any]) -> None:
        if frame[0] == 2:
            self.received.append((frame[2], frame[3]))
            await self._answer(frame)
        else:
            if frame[0] == 4:
                self.callerrors.append(frame)
            future = self._waiting.pop(str(frame[1]), None)
            if future is not None and not future.done():
                future.set_result(frame)
        self._changed.set()

    async def _answer(self, frame: list[Any]) -> None:
        answer = self.answers.get(frame[2], {"status": "Accepted"})
        if answer is None:
            return
        payload = answer(frame[3]) if callable(answer) else answer
        with suppress(ConnectionClosed):
            await self._socket.send(json.dumps([3, frame[1], payload]))


@asynccontextmanager
async def plugged(
    network: Network,
    number: int = 0,
    version: str = "1.6",
    *,
    boots: bool = True,
    secret: str | None = None,
    url: str | None = None,
) -> AsyncIterator[Charger]:
    """Connect charger *number*; it is gone after the block.

    Args:
        secret: another password than the right one.
        url: another way to the server than the straight one (a proxy).
    """
    charger = await dial(network, number, version, secret=secret, url=url)
    try:
        if boots:
            await charger.boot()
        yield charger
    finally:
        charger.vanish()
        await charger._reader


async def dial(
    network: Network,
    number: int,
    version: str = "1.6",
    *,
    secret: str | None = None,
    url: str | None = None,
) -> Charger:
    """Connect charger *number*; the caller lets it go."""
    identity = network.identity(number)
    basic = f"{identity}:{password(identity) if secret is None else secret}"
    socket = await connect(
        f"{url or network.ocpp_url}/{identity}",
        subprotocols=[PROTOCOLS[version]],  # type: ignore[list-item]
        additional_headers={"Authorization": f"Basic {base64.b64encode(basic.encode()).decode()}"},
        compression=None,
        ping_interval=None,
        open_timeout=15,
        close_timeout=2,
    )
    return Charger(socket, identity, version)


# -- messages


def stamp(at: datetime | None = None, **ago: float) -> str:
    """A time as chargers write it; *ago* goes back from now."""
    at = at or datetime.now(UTC) - timedelta(**ago)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def boot(version: str) -> Json:
    if version == "1.6":
        return {"chargePointVendor": "Harness", "chargePointModel": "H-1"}
    return {"chargingStation": {"vendorName": "Harness", "model": "H-1"}, "reason": "PowerUp"}


def start16(tag: str, wh: int, at: str, connector: int = 1) -> Json:
    return {"connectorId": connector, "idTag": tag, "meterStart": wh, "timestamp": at}


def stop16(transaction: int | None, wh: int, at: str, tag: str | None = None) -> Json:
    body: Json = {"meterStop": wh, "timestamp": at, "reason": "Local"}
    if transaction is not None:
        body["transactionId"] = transaction
    return body if tag is None else body | {"idTag": tag}


def values16(transaction: int | None, wh: int, at: str, connector: int = 1) -> Json:
    sample = {"value": str(wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    body: Json = {
        "connectorId": connector,
        "meterValue": [{"timestamp": at, "sampledValue": [sample]}],
    }
    return body if transaction is None else body | {"transactionId": transaction}


def event201(
    kind: str, transaction: str, seq_no: int, wh: int, at: str, tag: str | None = None, **more: Any
) -> Json:
    contexts = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}
    triggers = {"Started": "Authorized", "Ended": "StopAuthorized"}
    value = {
        "value": wh,
        "context": contexts.get(kind, "Sample.Periodic"),
        "measurand": "Energy.Active.Import.Register",
        "unitOfMeasure": {"unit": "Wh"},
    }
    body: Json = {
        "eventType": kind,
        "timestamp": at,
        "triggerReason": triggers.get(kind, "MeterValuePeriodic"),
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": transaction},
        "meterValue": [{"timestamp": at, "sampledValue": [value]}],
        **more,
    }
    if kind == "Started":
        body["evse"] = {"id": 1, "connectorId": 1}
    if tag is not None:
        body["idToken"] = {"idToken": tag, "type": "ISO14443"}
    return body


def status16(status: str, connector: int = 1) -> Json:
    return {"connectorId": connector, "errorCode": "NoError", "status": status}
