"""Accepts stations, finds them again, and lets them go: the core's ``StationLink``.

The order of a handshake (nothing about an existing connection is touched before it has passed):
identity's syntax, limits, who it is and whether its password fits, the version. All of it is
decided from memory and without suspending.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request as Upgrade
from websockets.http11 import Response

from cms.app.ports import Admitted as Verdict
from cms.app.ports import Boot, Clock, Frame, Gatekeeper, StationEvents
from cms.domain.commands import Answer, Command, Outcome
from cms.domain.errors import StoreDown
from cms.domain.ids import StationId
from ocpp_gateway.adaptation import (
    Adapter,
    AdapterError,
    Adapters,
    Dialect,
    Identity,
    Notebook,
)
from ocpp_gateway.connection import (
    GOING_AWAY,
    LATER,
    POLICY,
    RESTART,
    Admitted,
    Counters,
    Hub,
    Socket,
    StationConnection,
)
from ocpp_gateway.dialogue import Dispatcher, InboundSide, OutboundSide
from ocpp_gateway.frame_log import FrameLog, LoggedFrame, Refused, RefusedLog
from ocpp_gateway.limits import Flaps, Limits, TokenBucket

log = structlog.get_logger()

BACKLOG: Final = 2048
"""Connections that the kernel holds for us while the loop is busy."""

SOCKET_LOG: Final = logging.getLogger("ocpp_gateway.socket")
SOCKET_LOG.setLevel(logging.WARNING)  # strangers open and drop sockets; that is no news

PROTOCOL_HEADER: Final = "Sec-WebSocket-Protocol"


@dataclass(frozen=True, slots=True)
class Version:
    """One protocol version: what it understands and what it can ask."""

    inbound: InboundSide
    outbound: OutboundSide


@dataclass(frozen=True, slots=True)
class Online:
    """One station as it is connected now."""

    station: StationId
    dialect: str
    source: str
    adapter: str
    visit: int


class Refusal(Exception):
    """A handshake that is refused: HTTP status and reason (for the operator, not the caller)."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the server's TLS settings: TLS 1.2 or newer, this certificate chain.

    Raises:
        OSError, ssl.SSLError: the files cannot be read or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


class Gateway:
    """Holds the sockets of all stations of this process.

    Args:
        versions: what is spoken; the adapter picks one per station.
        clock: now, aware UTC.
    """

    def __init__(
        self,
        *,
        events: StationEvents,
        gatekeeper: Gatekeeper,
        versions: Sequence[Version],
        adapters: Adapters,
        clock: Clock,
        limits: Limits | None = None,
        frame_log: FrameLog | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.notebook = Notebook()
        self.refused = RefusedLog()
        self.frame_log = frame_log or FrameLog()
        self._gatekeeper = gatekeeper
        self._adapters = adapters
        self._events = events
        self._clock = clock
        self._stations: dict[StationId, StationConnection] = {}
        self._at_the_door: dict[str, dict[Socket, float]] = {}
        self._flaps = Flaps(self.limits.flaps, self.limits.flap_window_s)
        self._versions = {version.inbound.dialect: version for version in versions}
        self._outbound: Mapping[Dialect, OutboundSide] = {
            dialect: version.outbound for dialect, version in self._versions.items()
        }
        self._server: Server | None = None
        self._draining = False
        self._open_hub: Hub | None = None
        self._bucket: TokenBucket | None = None

    # ------------------------------------------------------------ start, stop

    async def start(
        self, host: str, port: int, tls: ssl.SSLContext | None = None, reuse_port: bool = False
    ) -> int:
        """Listen; return the port.

        Raises:
            OSError: the port is taken or not ours to take.
        """
        self._open_hub = Hub(
            events=self._events,
            dispatchers={
                dialect: Dispatcher(version.inbound, self._events, self.notebook)
                for dialect, version in self._versions.items()
            },
            outbound=self._outbound,
            adapters=self._adapters,
            notebook=self.notebook,
            clock=self._clock,
            limits=self.limits,
            frame_log=self.frame_log,
            left=self._left,
            store_down=self._store_down,
            each_tick=self._tick,
        )
        loop = asyncio.get_running_loop()
        limits = self.limits
        self._bucket = TokenBucket(limits.handshakes_per_s, limits.handshake_burst, loop.time())
        options: dict[str, Any] = {"backlog": BACKLOG, "ssl": tls}
        if reuse_port:
            options["reuse_port"] = True
        self._server = await serve(
            self._talk,
            host,
            port,
            process_request=self._handshake,
            process_response=self._upgraded,
            create_connection=partial(Socket, self),  # type: ignore[arg-type]  # any factory does
            logger=SOCKET_LOG,
            compression=None,
            ping_interval=None,
            open_timeout=limits.handshake_s,
            close_timeout=limits.close_s,
            max_size=limits.max_frame_before_boot,
            max_queue=4,
            server_header=None,
            **options,
        )
        self._open_hub.wheel.start()
        return int(next(iter(self._server.sockets)).getsockname()[1])

    async def stop(self, grace_s: float = 8.0) -> None:
        """Take nobody in, let due answers leave, close every socket with 1012."""
        if self._server is None or self._draining:
            return
        self._draining = True
        self._server.close(close_connections=False)
        try:
            async with asyncio.timeout(grace_s):
                leaving = [c.finish(RESTART, "restart") for c in self._stations.values()]
                await asyncio.gather(*leaving, return_exceptions=True)
                await self._server.wait_closed()
        except TimeoutError:
            for socket in list(self._server.connections):
                socket.transport.abort()
            log.warning("gateway.stop_timeout", left=len(self._stations))
        hub = self._hub
        hub.wheel.stop()
        if hub.tasks:
            await asyncio.wait(list(hub.tasks), timeout=1.0)

    # ------------------------------------------------------------ StationLink

    async def send(self, command: Command) -> Answer:
        """Deliver *command*; see ``StationLink.send``."""
        connection = self._stations.get(command.station)
        if connection is None:
            return Answer(Outcome.OFFLINE)
        request = self._outbound[connection.dialect].request_for(command)
        if request is None:
            return Answer(Outcome.NOT_SUPPORTED)
        return await connection.send(request)

    async def disconnect(self, station: StationId, why: str) -> None:
        """Close the station's socket, if it has one."""
        connection = self._stations.get(station)
        if connection is not None:
            connection.fail_calls(why)
            connection.close(POLICY, why[:100])

    # ------------------------------------------------------------ what the operator sees

    @property
    def counters(self) -> Counters:
        return self._hub.counters

    def online(self) -> list[Online]:
        """Return every connected station."""
        return [
            Online(station, c.dialect.value, c.socket.address, c.adapter.name, c.visit.number)
            for station, c in self._stations.items()
        ]

    def frames(self, station: StationId, limit: int = 50) -> list[LoggedFrame]:
        """Return the last frames of *station*, oldest first."""
        return self.frame_log.last(station, limit)

    # ------------------------------------------------------------ the door

    def knocks(self, socket: Socket) -> None:
        """Count a socket that is not admitted yet; beyond the cap the oldest idler goes.

        A site's chargers that all come back at once pass the cap for a moment; only sockets that
        stand at the door for longer than they need give way.
        """
        now = socket.loop.time()
        door = self._at_the_door.setdefault(socket.address, {})
        door[socket] = now
        if len(door) <= self.limits.unauthenticated_per_address:
            return
        oldest, since = next(iter(door.items()))
        if now - since >= self.limits.unauthenticated_grace_s:
            self.leaves(oldest)
            oldest.transport.abort()

    def leaves(self, socket: Socket) -> None:
        """A socket was admitted or has gone."""
        door = self._at_the_door.get(socket.address)
        if door is not None:
            door.pop(socket, None)
            if not door:
                del self._at_the_door[socket.address]

    def _handshake(self, socket: ServerConnection, upgrade: Upgrade) -> Response | None:
        assert isinstance(socket, Socket)
        identity = ""
        try:
            path = self._adapters.standard.handshake.read_path(upgrade.path)
            if path.identity is None:
                raise Refusal(HTTPStatus.NOT_FOUND, "no charger's identity in the path")
            identity = path.identity
            socket.admitted = self._admit(socket, upgrade, identity, path.before)
        except Refusal as refusal:
            return self._refuse(socket, identity or upgrade.path, refusal)
        self.notebook.record(socket.admitted.station, path.notes)
        return None

    def _admit(
        self, socket: Socket, upgrade: Upgrade, identity: str, before: tuple[str, ...]
    ) -> Admitted:
        self._check_limits()
        admission = self._gatekeeper.admit(
            identity, password_of(upgrade, identity), socket.address, before
        )
        if admission.verdict is Verdict.BLOCKED:
            raise Refusal(HTTPStatus.FORBIDDEN, "blocked")
        if admission.verdict is not Verdict.YES or admission.station is None:
            raise Refusal(HTTPStatus.UNAUTHORIZED, admission.verdict.value.replace("_", " "))
        station = admission.station
        if self._flaps.refuses(station, socket.loop.time()):
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "two devices fight for this identity")
        adapter = self._adapter(admission.boot, admission.profile)
        return self._negotiated(socket, upgrade, station, adapter, admission.profile)

    def _check_limits(self) -> None:
        assert self._bucket is not None
        if self._draining or not self._gatekeeper.accepting():
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "not accepting now")
        if not self._bucket.take(asyncio.get_running_loop().time()):
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many handshakes")

    def _adapter(self, boot: Boot | None, profile: str | None) -> Adapter:
        identity = (
            None if boot is None else Identity(boot.vendor, boot.model, boot.firmware, boot.serial)
        )
        try:
            return self._adapters.choose(identity, profile)
        except AdapterError as error:
            log.warning("adapter.unclear", error=str(error))
            return self._adapters.standard

    def _negotiated(
        self,
        socket: Socket,
        upgrade: Upgrade,
        station: StationId,
        adapter: Adapter,
        profile: str | None,
    ) -> Admitted:
        """Choose the version, and mend headers that would fail an upgrade for no good reason."""
        changes, notes = adapter.handshake.repair_headers(dict(upgrade.headers.raw_items()))
        for name, value in changes.items():
            if name in upgrade.headers:
                del upgrade.headers[name]
            if value is not None:
                upgrade.headers[name] = value
        offered = [
            token.strip()
            for line in upgrade.headers.get_all(PROTOCOL_HEADER)
            for token in line.split(",")
            if token.strip()
        ]
        chosen = adapter.handshake.choose_protocol(offered)
        if chosen is None or chosen.dialect not in self._versions:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"no common version in {offered!r:.100}")
        self.notebook.record(station, notes + chosen.notes)
        if PROTOCOL_HEADER in upgrade.headers:
            del upgrade.headers[PROTOCOL_HEADER]  # settled here, not by the library
        return Admitted(station, adapter, chosen.dialect, chosen.echo, profile, socket.address)

    def _refuse(self, socket: Socket, identity: str, refusal: Refusal) -> Response:
        self._hub.counters.handshakes_refused += 1
        self.refused.add(
            Refused(
                at=self._clock(),
                identity=printable(identity)[:64],
                source=socket.address,
                status=refusal.status.value,
                reason=printable(refusal.reason),
            )
        )
        response = socket.respond(refusal.status, f"{refusal.status.phrase}\n")
        if refusal.status is HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = 'Basic realm="charger"'
        if refusal.status is HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers["Retry-After"] = str(self.limits.retry_after_s)
        return response

    def _upgraded(
        self, socket: ServerConnection, upgrade: Upgrade, response: Response
    ) -> Response | None:
        assert isinstance(socket, Socket)
        if socket.admitted is not None and response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            socket.let_in()
            if socket.admitted.echo is not None:
                response.headers[PROTOCOL_HEADER] = socket.admitted.echo
        return None

    # ------------------------------------------------------------ connections

    async def _talk(self, socket: ServerConnection) -> None:
        assert isinstance(socket, Socket) and socket.admitted is not None
        admitted = socket.admitted
        station = StationId(admitted.station)
        socket.forget_handshake()
        try:
            visit = await self._events.connected(station, admitted.source, admitted.dialect.value)
        except StoreDown:
            await socket.close(LATER, "try again later")
            return
        connection = StationConnection(self._hub, socket, visit, admitted)
        if self._arrived(connection):
            await connection.run()
        else:
            await socket.close(GOING_AWAY, "replaced by a newer connection")

    def _arrived(self, new: StationConnection) -> bool:
        """Take *new* as the station's connection; False if a newer one is already here."""
        station = new.visit.station
        old = self._stations.get(station)
        if old is not None and old.visit.number > new.visit.number:
            return False
        self._stations[station] = new
        if old is None:
            new.open_gate()
        else:
            self._hub.counters.takeovers += 1
            self._hub.spawn(self._take_over(old, new))
        return True

    async def _take_over(self, old: StationConnection, new: StationConnection) -> None:
        """The newest wins. Calls of ours leave on the new socket once the old one is out."""
        old.fail_calls("connection replaced")
        alive = await old.answers_ping(self.limits.probe_s)
        if alive and old.socket.address != new.socket.address:
            self._suspect(new)
        new.open_gate()
        if alive:
            await old.finish(GOING_AWAY, "replaced by a newer connection")
        else:
            old.socket.transport.abort()

    def _suspect(self, new: StationConnection) -> None:
        """Two living devices use one identity. Once it looks like a fight, a person must see it."""
        station = new.visit.station
        times = self._flaps.count(station, self._hub.loop.time())
        log.warning(
            "station.taken_over_alive", station=station, source=new.socket.address, times=times
        )
        if times == self.limits.flaps:
            self._hub.spawn(self._report_fight(new))

    async def _report_fight(self, new: StationConnection) -> None:
        now = self._clock()
        detail = f"taken over alive {self.limits.flaps} times, last from {new.socket.address}"
        try:
            await self._events.security_event(
                Frame(new.visit, "TakeOver", b"", now), "IdentityFight", now, detail
            )
        except StoreDown:
            log.warning("station.fight_not_kept", station=new.visit.station)

    def _left(self, connection: StationConnection) -> None:
        station = connection.visit.station
        if self._stations.get(station) is connection:  # a newer one stays
            del self._stations[station]

    def _tick(self, now: float) -> None:
        for connection in self._overdue(now):
            del self._hub.waiting[connection]
            connection.overdue()
        if self._stations and not self._gatekeeper.accepting() and not self._draining:
            self._store_down()

    def _overdue(self, now: float) -> list[StationConnection]:
        found: list[StationConnection] = []
        for connection, since in self._hub.waiting.items():  # oldest first
            if now - since < self.limits.ack_s:
                break
            found.append(connection)
        return found

    def _store_down(self) -> None:
        """Be absent, not rude: every socket closes, and chargers keep what they have to say."""
        for connection in list(self._stations.values()):
            connection.close(LATER, "try again later")

    @property
    def _hub(self) -> Hub:
        assert self._open_hub is not None, "the gateway has not been started"
        return self._open_hub


def password_of(upgrade: Upgrade, identity: str) -> bytes | None:
    """Return the password of the Basic authorization as bytes; None where there is none.

    Raises:
        Refusal: the header is no Basic authorization, or names somebody else.
    """
    headers = upgrade.headers.get_all("Authorization")
    if not headers:
        return None
    scheme, _, value = headers[0].partition(" ")
    try:
        user, colon, password = base64.b64decode(value.strip(), validate=True).partition(b":")
    except ValueError:
        colon = b""
        user = password = b""
    if len(headers) > 1 or scheme.lower() != "basic" or not colon:
        raise Refusal(HTTPStatus.UNAUTHORIZED, "no readable Basic authorization")
    if user.lower() != identity.encode().lower():
        raise Refusal(HTTPStatus.UNAUTHORIZED, "the user name is not the identity")
    return password


def printable(text: str) -> str:
    """Return *text* without what could forge a log line or a terminal's screen."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
