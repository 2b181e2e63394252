"""One socket to the backend, with the `ocpp` package's ChargePoint on it.

The package carries the protocol: message ids, one call at a time, schema checks of what the
backend says, dispatch of its calls. This module adds what the package leaves out: a call ends at
once when the socket dies, a CALLERROR is told apart from silence, and a tap for the tests.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ocpp.exceptions import OCPPError
from ocpp.v16 import ChargePoint as ChargePoint16
from ocpp.v201 import ChargePoint as ChargePoint201
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from simulators.station.quirks import Make

TRANSACTIONAL = frozenset(
    {"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"}
)
Handlers = dict[str, Callable[..., Any]]


class LinkLost(Exception):
    """There is no socket, or it died before the answer came."""


class Refused(Exception):
    """The backend answered with a CALLERROR."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description


@dataclass(slots=True)
class Tap:
    """What passed over all sockets of one station, and what is to be done to it.

    Attributes:
        frames: the last frames, as (">" sent | "<" received, text).
        calls: every CALL of the backend that arrived, as (action, payload).
        mute_on: actions of the backend that are never answered.
        lose_answers: so many of the next CALLRESULTs vanish on their way to the charger.
        lose_transaction_answers: the same, but of answers to transaction messages only.
        invalid_answers: what the backend answered and the schema forbids, as text.
    """

    frames: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=1000))
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    mute_on: set[str] = field(default_factory=set)
    lose_answers: int = 0
    lose_transaction_answers: int = 0
    invalid_answers: list[str] = field(default_factory=list)
    _transactional: set[str] = field(default_factory=set)

    def swallows(self, frame: list[Any]) -> bool:
        """Note an incoming frame; True if the charger shall not see it."""
        if frame[0] == 2:
            self.calls.append((frame[2], frame[3]))
            return frame[2] in self.mute_on
        if frame[0] == 3 and self.lose_answers:
            self.lose_answers -= 1
            return True
        if frame[0] == 3 and self.lose_transaction_answers and frame[1] in self._transactional:
            self.lose_transaction_answers -= 1
            return True
        return False

    def sent(self, text: str) -> None:
        """Note an outgoing frame."""
        self.frames.append((">", text))
        frame = text.split('"', 4)
        if len(frame) == 5 and frame[3] in TRANSACTIONAL:
            self._transactional.add(frame[1])


def _parsed(text: str) -> list[Any] | None:
    """A frame's parts; None if it is none (the `ocpp` package then says so in its log)."""
    try:
        frame = json.loads(text)
    except ValueError:
        return None
    return frame if isinstance(frame, list) and len(frame) >= 3 else None


class _Socket:
    """What the package's ChargePoint takes for its connection."""

    def __init__(
        self, socket: ClientConnection, make: Make, tap: Tap, changed: Callable[[], None]
    ) -> None:
        self._socket = socket
        self._make = make
        self._tap = tap
        self._changed = changed
        self.answers: dict[str, list[Any]] = {}

    async def send(self, text: str) -> None:
        text = self._make.frame(text)
        self._tap.sent(text)
        await self._socket.send(text)

    async def recv(self) -> str:
        while True:
            data = await self._socket.recv()
            text = data if isinstance(data, str) else data.decode()
            self._tap.frames.append(("<", text))
            frame = _parsed(text)
            swallowed = frame is not None and self._tap.swallows(frame)
            self._changed()
            if swallowed:
                continue
            if frame is not None and frame[0] != 2:
                self.answers[frame[1]] = frame
            return text


class Link:
    """One live connection.

    Args:
        version: ``"1.6"`` or ``"2.0.1"``.
        handlers: what to do on each action of the backend; keyword arguments in snake case, the
            result an object of the package's ``call_result``.
        after_answer: called when the answer to a call of the backend has been written.
        changed: called whenever something arrived.
    """

    def __init__(
        self,
        station: str,
        version: str,
        socket: ClientConnection,
        handlers: Handlers,
        after_answer: Callable[[], None],
        make: Make,
        tap: Tap,
        timeout: float,
        changed: Callable[[], None],
    ) -> None:
        self._socket = socket
        self._wire = _Socket(socket, make, tap, changed)
        self._tap = tap
        self._lost = asyncio.Event()
        kind = ChargePoint16 if version == "1.6" else ChargePoint201
        self._charge_point = kind(station, self._wire, response_timeout=timeout)
        self._charge_point.route_map = {
            action: {"_on_action": handler, "_after_action": lambda **_: after_answer()}
            for action, handler in handlers.items()
        }

    @property
    def alive(self) -> bool:
        """Whether the socket has not died."""
        return not self._lost.is_set()

    async def serve(self) -> None:
        """Read until the socket dies."""
        try:
            await self._charge_point.start()
        except (ConnectionClosed, OSError):
            pass
        finally:
            self._lost.set()

    async def call(self, payload: Any, unique_id: str | None = None) -> dict[str, Any]:
        """Send a CALL and give the CALLRESULT's payload, as it came.

        Raises:
            LinkLost: if the socket died first.
            Refused: on a CALLERROR.
            TimeoutError: if nothing came within the message time-out.
        """
        unique_id = unique_id or str(self._charge_point._unique_id_generator())
        calling = asyncio.ensure_future(self._call(payload, unique_id))
        lost = asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait({calling, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not calling.done():
                raise LinkLost
            return calling.result()
        finally:
            for task in (calling, lost):
                task.cancel()
            await asyncio.gather(calling, lost, return_exceptions=True)
            self._wire.answers.pop(unique_id, None)

    async def _call(self, payload: Any, unique_id: str) -> dict[str, Any]:
        if self._lost.is_set():
            raise LinkLost
        try:
            await self._charge_point.call(
                payload, suppress=True, unique_id=unique_id, skip_schema_validation=False
            )
        except (ConnectionClosed, OSError) as death:
            raise LinkLost from death
        except (OCPPError, TypeError) as complaint:
            if unique_id not in self._wire.answers:
                raise
            self._tap.invalid_answers.append(f"{type(payload).__name__}: {complaint}")
        answer = self._wire.answers[unique_id]
        if answer[0] == 4:
            raise Refused(str(answer[2]), str(answer[3]) if len(answer) > 3 else "")
        return dict(answer[2])

    async def close(self) -> None:
        """Close politely."""
        await self._socket.close()

    def cut(self) -> None:
        """Let the socket vanish without a word, as a power cut does."""
        self._socket.transport.abort()
