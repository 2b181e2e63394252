"""The smallest central system that can be believed, on the `ocpp` package, for the simulators' tests.

It is not ours on purpose: the simulators must agree with somebody else's idea of the protocol. It
keeps what it was told in lists, gives transaction ids by content (a repetition gets the first
answer), and misbehaves on demand.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from ocpp.exceptions import InternalError
from ocpp.v16 import ChargePoint as ChargePoint16
from ocpp.v16 import call_result as result16
from ocpp.v201 import ChargePoint as ChargePoint201
from ocpp.v201 import call_result as result201
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response


class Central:
    """What it knows, and what it is told to do wrong.

    Attributes:
        heard: (identity, action, payload in camel case, message id) of each CALL, in order.
        silent_on: action -> how many of the next such calls are taken in but never answered.
        errors_on: action -> how many of the next such calls get a CALLERROR.
        refusals: how many of the next handshakes are answered 401.
        strict: hold every call against the schema, and answer CALLERROR to what breaks it.
        blocked: tags that are not accepted.
    """

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, dict[str, Any], str]] = []
        self.silent_on: dict[str, int] = {}
        self.errors_on: dict[str, int] = {}
        self.blocked: set[str] = set()
        self.boot_status = "Accepted"
        self.strict = False
        self.refusals = 0
        self.charge_points: dict[str, Any] = {}
        self.headers: list[dict[str, str]] = []
        self.port = 0
        self._ids: dict[tuple[Any, ...], int] = {}
        self._server: Server | None = None
        self._changed = asyncio.Event()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ocpp"

    def payloads(self, action: str) -> list[dict[str, Any]]:
        return [payload for _, name, payload, _ in self.heard if name == action]

    def message_ids(self, action: str) -> list[str]:
        return [id for _, name, _, id in self.heard if name == action]

    async def hears(self, action: str, count: int = 1, timeout: float = 10.0) -> dict[str, Any]:
        """Wait for the *count*-th call of that action and give its payload."""
        async with asyncio.timeout(timeout):
            while len(self.payloads(action)) < count:
                await self._changed.wait()
                self._changed.clear()
        return self.payloads(action)[count - 1]

    def transaction_id(self, *key: Any) -> int:
        return self._ids.setdefault(key, 1000 + len(self._ids))

    def tag_status(self, tag: str) -> str:
        return "Invalid" if tag.strip("\x00 ") in self.blocked else "Accepted"

    async def start(self) -> None:
        self._server = await serve(
            self._accept,
            "127.0.0.1",
            self.port,
            subprotocols=["ocpp1.6", "ocpp2.0.1"],  # type: ignore[list-item]
            select_subprotocol=lambda _, offered: offered[0] if offered else None,
            process_request=self._admit,
            compression=None,
            ping_interval=None,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def die(self) -> None:
        """Vanish as a killed process does: every socket is cut, the port is closed."""
        assert self._server is not None
        for connection in self._server.connections:
            connection.transport.abort()
        self._server.close(close_connections=False)
        await self._server.wait_closed()

    def _admit(self, socket: ServerConnection, request: Request) -> Response | None:
        if self.refusals:
            self.refusals -= 1
            return socket.respond(HTTPStatus.UNAUTHORIZED, "go away")
        return None

    async def _accept(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.headers.append(dict(socket.request.headers.raw_items()))
        identity = socket.request.path.rsplit("/", 1)[-1]
        make = Central201 if socket.subprotocol == "ocpp2.0.1" else Central16
        charge_point = make(identity, _Ears(self, identity, socket), self)
        self.charge_points[identity] = charge_point
        try:
            await charge_point.start()
        except ConnectionClosed:
            pass


class _Ears:
    """The connection that the package's ChargePoint sees."""

    def __init__(self, central: Central, identity: str, socket: ServerConnection) -> None:
        self.central, self.identity, self.socket = central, identity, socket
        self.unanswered: set[str] = set()

    async def recv(self) -> str:
        text = str(await self.socket.recv()).rstrip("\x00\n")
        frame = json.loads(text)
        if frame[0] == 2:
            self.central.heard.append((self.identity, frame[2], frame[3], frame[1]))
            self.central._changed.set()
            if self.central.silent_on.get(frame[2], 0):
                self.central.silent_on[frame[2]] -= 1
                self.unanswered.add(frame[1])
        return text

    async def send(self, text: str) -> None:
        if json.loads(text)[1] in self.unanswered:
            self.unanswered.discard(json.loads(text)[1])
            return
        await self.socket.send(text)


def _now() -> str:
    return datetime.now(UTC).isoformat()


class _Shared:
    central: Central
    route_map: Any
    id: str

    def wire(self, names: dict[str, Any]) -> None:
        def guarded(action: str, handler: Any) -> Any:
            def handle(**payload: Any) -> Any:
                if self.central.errors_on.get(action, 0):
                    self.central.errors_on[action] -= 1
                    raise InternalError("told to")
                return handler(**payload)

            return {"_on_action": handle, "_skip_schema_validation": not self.central.strict}

        self.route_map = {action: guarded(action, handler) for action, handler in names.items()}


class Central16(ChargePoint16, _Shared):  # type: ignore[misc]
    def __init__(self, id: str, connection: Any, central: Central) -> None:
        super().__init__(id, connection, response_timeout=5)
        self.central = central
        self.wire(
            {
                "BootNotification": lambda **_: result16.BootNotification(
                    current_time=_now(), interval=1000, status=central.boot_status
                ),
                "Heartbeat": lambda **_: result16.Heartbeat(current_time=_now()),
                "StatusNotification": lambda **_: result16.StatusNotification(),
                "MeterValues": lambda **_: result16.MeterValues(),
                "DataTransfer": lambda **_: result16.DataTransfer(status="Accepted"),
                "Authorize": lambda *, id_tag: result16.Authorize(
                    id_tag_info={"status": central.tag_status(id_tag)}
                ),
                "StartTransaction": self.on_start,
                "StopTransaction": lambda **_: result16.StopTransaction(),
            }
        )

    def on_start(
        self, *, connector_id: int, id_tag: str, meter_start: int, timestamp: str, **_: Any
    ) -> Any:
        return result16.StartTransaction(
            transaction_id=self.central.transaction_id(
                self.id, connector_id, id_tag, meter_start, timestamp
            ),
            id_tag_info={"status": self.central.tag_status(id_tag)},
        )


class Central201(ChargePoint201, _Shared):  # type: ignore[misc]
    def __init__(self, id: str, connection: Any, central: Central) -> None:
        super().__init__(id, connection, response_timeout=5)
        self.central = central
        self.wire(
            {
                "BootNotification": lambda **_: result201.BootNotification(
                    current_time=_now(), interval=1000, status=central.boot_status
                ),
                "Heartbeat": lambda **_: result201.Heartbeat(current_time=_now()),
                "StatusNotification": lambda **_: result201.StatusNotification(),
                "MeterValues": lambda **_: result201.MeterValues(),
                "DataTransfer": lambda **_: result201.DataTransfer(status="Accepted"),
                "Authorize": lambda *, id_token, **_: result201.Authorize(
                    id_token_info={"status": central.tag_status(id_token["id_token"])}
                ),
                "TransactionEvent": self.on_event,
            }
        )

    def on_event(self, *, id_token: dict[str, str] | None = None, **_: Any) -> Any:
        info = id_token and {"status": self.central.tag_status(id_token["id_token"])}
        return result201.TransactionEvent(id_token_info=info)


@asynccontextmanager
async def tiny_central() -> AsyncIterator[Central]:
    central = Central()
    await central.start()
    try:
        yield central
    finally:
        await central.die()
