"""How a call of a station finds its handler and its answer, for every version alike.

A version is two values: an ``InboundSide`` (its routes) and an ``OutboundSide`` (its calls). A
route names the wire type of an Action and the handler that turns it into the core's words.
``serve`` runs the one path: gate, strict decode, repair only on failure, handler, answer. An
answer that is ready at once leaves without a task.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec
import structlog
from msgspec import Raw, Struct

from cms.app.ports import Boot, Frame, Registration, Soon, StationEvents, Visit
from cms.app.writes import Ack
from cms.domain.commands import Answer, Command
from cms.domain.errors import StoreDown
from ocpp_gateway.adaptation import Adapter, Dialect, Note, Notebook, Notes, Payload
from ocpp_gateway.frames import (
    UNDECODABLE,
    Fault,
    MalformedFrame,
    call_error,
    call_result,
    content_key,
    decode_object,
    duplicate_ids,
    fault_of,
)

log = structlog.get_logger()

BOOT: Final = "BootNotification"

EXTENSION: Final = b'"customData"'
"""Where makers may put fields of their own, which the typed request does not hold."""


class Talk:
    """What is known of the station at the other end of one socket.

    Attributes:
        registration: as stored; the answer to a boot replaces it.
        boots: boots counted so far, those on this socket included.
    """

    __slots__ = ("adapter", "boots", "dialect", "registration", "visit")

    def __init__(self, visit: Visit, adapter: Adapter, dialect: Dialect) -> None:
        self.visit = visit
        self.adapter = adapter
        self.dialect = dialect
        self.registration = visit.registration
        self.boots = visit.boots

    def identified(self, boot: Boot) -> None:
        """The station has said who it is. A connection chooses its adapter anew."""


class Received:
    """One call of a station, on its way to a handler.

    Attributes:
        id: raw JSON of the message id.
        raw: the frame as it came.
        payload: what to decode: part of ``raw``, or of what was made readable.
        request: the typed request where the payload needed no repair.
        damaged: part of the message was unusable and has been left out or guessed.
    """

    __slots__ = (
        "action",
        "damaged",
        "id",
        "notes",
        "payload",
        "raw",
        "received_at",
        "request",
        "talk",
    )

    def __init__(
        self,
        talk: Talk,
        id: bytes,
        action: str,
        payload: Raw | bytes,
        raw: bytes,
        received_at: datetime,
        notes: Notes = (),
    ) -> None:
        self.talk = talk
        self.id = id
        self.action = action
        self.payload = payload
        self.raw = raw
        self.received_at = received_at
        self.notes = notes
        self.request: Struct | None = None
        self.damaged = False

    def note(self, notes: Notes) -> None:
        """Keep what a repair or a reading said."""
        if notes:
            self.notes += notes

    def key(self, without: tuple[str, ...] = (), extra: str = "") -> bytes:
        """Return the content key, taken before any repair.

        Args:
            without: fields that change when a charger repeats the message.
            extra: what else tells messages of equal content apart.
        """
        station = self.talk.visit.station
        return content_key(station, self.action, self._content(without), extra)

    def _content(self, without: tuple[str, ...]) -> Payload | Struct | bytes:
        """Return the parsed payload: what its strict type holds, where that is all of it."""
        request = self.request
        if request is not None and EXTENSION not in self.raw:
            if not without:
                return request
            return msgspec.structs.replace(request, **dict.fromkeys(without, msgspec.UNSET))
        try:
            content = decode_object(self.payload)
        except MalformedFrame:
            return bytes(self.payload)
        for name in without:
            content.pop(name, None)
        return content

    def frame(self, key: bytes | None = None) -> Frame:
        """Return the message as journal and case file keep it. Call it after all readings."""
        return Frame(
            self.talk.visit,
            self.action,
            self.raw,
            self.received_at,
            key,
            tuple(map(str, self.notes)) if self.notes else (),
        )


Handler = Callable[[Received, Any], Soon[Struct]]
"""Turns a typed request into the core's words, and what the core says into the typed answer."""


@dataclass(frozen=True, slots=True)
class Salvage:
    """How to go on with transaction data that no repair brings into shape.

    Attributes:
        core: fields without which the message says nothing usable.
        fill: stand-ins for other required fields; each reads as "unknown" downstream.
    """

    core: tuple[str, ...]
    fill: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Route:
    """One Action that stations call.

    Attributes:
        type: strict wire type of the request.
        transaction: transaction data: never refused because its content is odd.
        ids: keys that must not stand twice in one object.
        unkeyed: fields that do not belong to the content key.
        salvage: what to do where repair fails; None = it can only be kept.
        kept: the answer to a message that could only be kept; None = none is legal.
    """

    type: type[Struct]
    handle: Handler
    transaction: bool = False
    ids: tuple[bytes, ...] = ()
    unkeyed: tuple[str, ...] = ()
    salvage: Salvage | None = None
    kept: Callable[[Ack], Struct | None] | None = None
    decode: Callable[[bytes | Raw], Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "decode", msgspec.json.Decoder(self.type).decode)


class InboundSide(Protocol):
    """What a version understands.

    Attributes:
        routes: by Action.
        known: every Action of the version, those included that stations do not call.
        gated: whether an unregistered station is refused everything but its boot (2.x).
    """

    @property
    def dialect(self) -> Dialect: ...
    @property
    def routes(self) -> Mapping[str, Route]: ...
    @property
    def known(self) -> frozenset[str]: ...
    @property
    def gated(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Request:
    """A call of ours: what to send, and how to read the answer's payload.

    ``read`` may raise what a decoder raises (``UNDECODABLE``); the caller takes that as a failure.
    """

    action: str
    payload: Struct
    read: Callable[[bytes | Raw], Answer]


class OutboundSide(Protocol):
    """What a version can ask of a station."""

    def request_for(self, command: Command) -> Request | None:
        """Return the call that carries *command*; None if the version has none for it."""


class Dispatcher:
    """Answers the calls of every station that speaks one version. Keeps nothing of any station."""

    __slots__ = ("_events", "_notebook", "_routes", "_side")

    def __init__(self, side: InboundSide, events: StationEvents, notebook: Notebook) -> None:
        self._side = side
        self._routes = side.routes
        self._events = events
        self._notebook = notebook

    def route(self, action: str) -> Route | None:
        """Return how *action* is served, if it is."""
        return self._routes.get(action)

    def serve(self, call: Received) -> Soon[bytes | None]:
        """Return the bytes that answer *call*, at once where nothing has to be waited for.

        Raises:
            StoreDown: nothing can be made durable; the caller closes the socket.
        """
        route = self._routes.get(call.action) or self._renamed(call)
        if route is None:
            return self._unknown(call)
        if self._side.gated and call.action != BOOT and not is_registered(call.talk):
            return self._not_registered(call, route)
        try:
            request = call.request = route.decode(call.payload)
        except UNDECODABLE as error:
            request = self._repaired(call, route)
            if request is None:
                return self._unusable(call, route, fault_of(error), str(error))
        if route.ids and (repeated := duplicate_ids(call.payload, route.ids)):
            if not route.transaction:
                return self._error(call, Fault.SYNTAX, f"{repeated[0]} stands twice")
            call.damaged = True
            call.note(tuple(Note("frame", "the key stands twice", name) for name in repeated))
        return self._handled(call, route, request)

    def _handled(self, call: Received, route: Route, request: Struct) -> Soon[bytes | None]:
        try:
            answer = route.handle(call, request)
        except StoreDown:
            raise
        except Exception as error:
            return self._failed(call, route, error)
        if isinstance(answer, Struct):
            if call.notes:
                self._notebook.record(call.talk.visit.station, call.notes)
            return call_result(call.id, answer)
        return self._when_done(call, route, answer)

    async def _when_done(
        self, call: Received, route: Route, answer: Awaitable[Struct]
    ) -> bytes | None:
        try:
            result = await answer
        except StoreDown:
            raise
        except Exception as error:
            late = self._failed(call, route, error)
            return await late if isinstance(late, Awaitable) else late
        if call.notes:
            self._notebook.record(call.talk.visit.station, call.notes)
        return call_result(call.id, result)

    # ------------------------------------------------------------ what does not go straight

    def _renamed(self, call: Received) -> Route | None:
        """Look for an Action that the adapter can name, e.g. one in the wrong case."""
        name, notes = call.talk.adapter.repair_action(call.action, self._side.dialect)
        route = self._routes.get(name)
        if route is not None:
            call.action = name
            call.note(notes)
        return route

    def _unknown(self, call: Received) -> bytes | None:
        known = call.action in self._side.known
        fault = Fault.UNSERVED_ACTION if known else Fault.UNKNOWN_ACTION
        return self._error(call, fault, call.action)

    def _not_registered(self, call: Received, route: Route) -> Soon[bytes | None]:
        """2.x: an unregistered station hears SecurityError (B02.FR.09); its data is kept."""
        refusal = self._error(call, Fault.NOT_REGISTERED, "not registered")
        if not route.transaction:
            return refusal
        return self._keep(call, route, "the station is not registered", refusal)

    def _repaired(self, call: Received, route: Route) -> Struct | None:
        """Return the request after the adapter's repair, or what can be saved of it, or None."""
        try:
            payload = decode_object(call.payload)
        except MalformedFrame:
            return None
        try:
            repaired, notes = call.talk.adapter.repair_payload(
                call.action, payload, self._side.dialect
            )
        except Exception:
            log.exception("adapter.failed", action=call.action, adapter=call.talk.adapter.name)
            repaired, notes = payload, ()
        call.note(notes)
        try:
            return msgspec.convert(repaired, route.type)
        except (msgspec.ValidationError, RecursionError):
            pass
        saved = salvage(route, repaired) if route.salvage is not None else None
        call.damaged = saved is not None
        return saved

    def _unusable(
        self, call: Received, route: Route, fault: Fault, reason: str
    ) -> Soon[bytes | None]:
        refusal = self._error(call, fault, reason)
        return self._keep(call, route, reason, refusal) if route.transaction else refusal

    def _failed(self, call: Received, route: Route, error: Exception) -> Soon[bytes | None]:
        """A mistake of ours. Transaction data is kept for a person and never refused."""
        log.error(
            "call.failed",
            action=call.action,
            station=call.talk.visit.station,
            exc_info=error,
        )
        if route.transaction:
            return self._keep(call, route, f"failed: {type(error).__name__}", None)
        return self._error(call, Fault.INTERNAL, "not processed")

    async def _keep(
        self, call: Received, route: Route, why: str, otherwise: bytes | None
    ) -> bytes | None:
        """Keep what cannot be used, durably; answer it if an answer is legal, else *otherwise*."""
        call.note((Note("frame", why[:120]),))
        self._notebook.record(call.talk.visit.station, call.notes)
        ack = await self._events.keep(call.frame(call.key(route.unkeyed)), why[:255])
        refused = self._side.gated and not is_registered(call.talk)
        answer = None if route.kept is None or refused else route.kept(ack)
        return otherwise if answer is None else call_result(call.id, answer)

    def _error(self, call: Received, fault: Fault, reason: str) -> bytes | None:
        return call_error(self._side.dialect, call.id, fault, reason)


def is_registered(talk: Talk) -> bool:
    return talk.registration is Registration.ACCEPTED


def salvage(route: Route, payload: Payload) -> Struct | None:
    """Build a request from those fields of *payload* that are usable, or None.

    Unusable optional fields are left out, unusable required ones get the route's stand-ins. The
    result may break the wire type's bounds (an empty list of samples); handlers bear that.
    """
    plan = route.salvage
    if plan is None:
        return None
    fields: dict[str, Any] = {}
    for info in msgspec.structs.fields(route.type):
        value = _usable(payload.get(info.name, msgspec.UNSET), info.type)
        if value is msgspec.UNSET and info.required:
            if info.name in plan.core or info.name not in plan.fill:
                return None
            value = plan.fill[info.name]
        if value is not msgspec.UNSET:
            fields[info.name] = value
    return route.type(**fields)


def _usable(value: Any, type_: Any) -> Any:
    """Return *value* as *type_*, of a list its usable entries, or ``UNSET``."""
    if value is msgspec.UNSET:
        return value
    try:
        return msgspec.convert(value, type_)
    except (msgspec.ValidationError, RecursionError):
        pass
    if not isinstance(value, list):
        return msgspec.UNSET
    kept = [each for each in value if _converts([each], type_)]
    return msgspec.convert(kept, type_) if kept else msgspec.UNSET


def _converts(value: Any, type_: Any) -> bool:
    try:
        msgspec.convert(value, type_)
    except (msgspec.ValidationError, RecursionError):
        return False
    return True
