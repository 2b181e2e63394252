"""How long a silent socket is believed to live. Time is an argument; no socket is opened."""

from __future__ import annotations

from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

from cms.app.ports import Registration, Visit
from cms.domain.ids import StationId
from ocpp_gateway.adaptation import STRICT, Dialect
from ocpp_gateway.connection import Admitted, Hub, Socket, StationConnection
from ocpp_gateway.limits import Limits


class Line:
    """A socket that only says when it last heard a byte, and whether it was given up."""

    def __init__(self, latency: float = 0.0) -> None:
        self.last_byte = 0.0
        self.is_open = True
        self.latency = latency
        self.given_up = 0
        self.transport = SimpleNamespace(abort=self._abort)

    def limit_frames(self, size: int) -> None: ...

    async def ping(self) -> None: ...

    def _abort(self) -> None:
        self.given_up += 1


class Pings:
    def __init__(self) -> None:
        self.sent = 0

    def __call__(self, work: Coroutine[Any, Any, None]) -> None:
        work.close()
        self.sent += 1


def connection(line: Line, mute: set[str]) -> tuple[StationConnection, Pings]:
    pings = Pings()
    hub = SimpleNamespace(
        limits=Limits(ping_after_s=30, dead_after_s=46, heartbeat_s=300),
        mute=mute,
        spawn=pings,
        counters=SimpleNamespace(sockets_dead=0),
    )
    visit = Visit(StationId("CS1"), 1, 0, Registration.ACCEPTED)
    admitted = Admitted("CS1", STRICT, Dialect.V16, None, None, "10.0.0.1")
    return StationConnection(cast(Hub, hub), cast(Socket, line), visit, admitted), pings


def test_a_busy_socket_is_left_alone() -> None:
    line = Line()
    talk, pings = connection(line, set())
    line.last_byte = 95.0
    assert talk.look(100) == 25
    assert (pings.sent, line.given_up) == (0, 0)


def test_silence_is_pinged_once_and_ends_the_socket_at_the_limit() -> None:
    line = Line(latency=0.1)
    talk, pings = connection(line, mute := set())
    assert talk.look(30) == 16
    assert talk.look(45) == 1
    assert (pings.sent, line.given_up) == (1, 0)
    assert talk.look(46) is None
    assert line.given_up == 1
    assert mute == set()  # it had answered pings before: this time it is dead


def test_a_station_that_never_answered_a_ping_gets_three_heartbeats_next_time() -> None:
    mute: set[str] = set()
    talk, _ = connection(Line(), mute)
    assert talk.look(46) is None
    assert mute == {"CS1"}
    line = Line()
    talk, _ = connection(line, mute)
    assert talk.look(47) is not None
    assert talk.look(899) == 1
    assert line.given_up == 0
    assert talk.look(900) is None
    assert line.given_up == 1
