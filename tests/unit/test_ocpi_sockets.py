"""One request, one whole answer, over connections that are kept as long as they can be trusted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from ocpi_cpo import sockets
from ocpi_cpo.answers import Heard, Silence
from ocpi_cpo.client import Ask, GuardedClient

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"


class Script(asyncio.Protocol):
    """Says what it is told to, request by request."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.transport: asyncio.Transport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.peer.connections += 1

    def data_received(self, data: bytes) -> None:
        self.peer.heard.append(data)
        self.peer.arrived.set()
        said = self.peer.says.pop(0) if self.peer.says else FINE
        for part in said if isinstance(said, list) else [said]:
            if part is None:
                self.transport.abort() if said == [None] else self.transport.close()
            else:
                self.transport.write(part)


class Peer:
    def __init__(self) -> None:
        self.connections = 0
        self.heard: list[bytes] = []
        self.arrived = asyncio.Event()
        self.says: list[Any] = []
        self.url = ""


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    found = Peer()
    server = await asyncio.get_running_loop().create_server(lambda: Script(found), "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x?a=b"
    yield found
    server.close()


@pytest.fixture
async def client() -> AsyncIterator[GuardedClient]:
    made = GuardedClient(1.0)
    yield made
    await made.close()


Send = Callable[..., Any]


@pytest.fixture
def send(client: GuardedClient, peer: Peer) -> Send:
    async def one(method: str = "PUT", **more: Any) -> Heard | Silence:
        headers = more.pop("headers", {})
        return await client.send(Ask(method, peer.url, headers, b"body", private=True, **more))

    return one


async def test_a_connection_serves_one_request_after_another(peer: Peer, send: Send) -> None:
    for _ in range(3):
        heard = await send(headers={"X-A": "1"})
        assert isinstance(heard, Heard) and (heard.http, heard.body) == (200, b"fine")
    assert peer.connections == 1
    assert peer.heard[0].startswith(b"PUT /x?a=b HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nX-A: 1\r\n" in peer.heard[0] and peer.heard[0].endswith(b"4\r\n\r\nbody")


async def test_what_must_leave_no_doubt_has_a_connection_of_its_own(peer: Peer, send: Send) -> None:
    await send()
    for _ in range(2):
        assert isinstance(await send("POST", fresh=True), Heard)
    assert peer.connections == 3
    assert b"\r\nConnection: close\r\n" in peer.heard[-1]


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n",
        [b"HTTP/1.1 200 OK\r\nContent-", b"Length: 4\r\n\r\nfi", b"ne"],
        [b"HTTP/1.1 200 OK\r\n\r\nfi", b"ne", None],
        b"HTTP/1.1 100 Continue\r\n\r\n" + FINE,
        b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nfine",
        FINE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    ],
    ids=["chunked", "in parts", "until the end", "continue", "old", "close"],
)
async def test_an_answer_of_any_form_comes_whole_and_so_does_the_next(
    peer: Peer, send: Send, said: Any
) -> None:
    peer.says = [said]
    for _ in range(2):
        heard = await send()
        assert isinstance(heard, Heard) and (heard.http, heard.body) == (200, b"fine")


@pytest.mark.parametrize(
    "said",
    [
        b"nonsense\r\n\r\n",
        [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfine", None],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        [None],
    ],
    ids=["nonsense", "cut off", "broken chunk", "reset"],
)
async def test_what_is_no_whole_answer_leaves_open_whether_it_was_taken(
    peer: Peer, send: Send, said: Any
) -> None:
    peer.says = [said, said]
    silence = await send("POST")
    assert isinstance(silence, Silence) and (silence.why, silence.sent) == ("reset", True)
    assert isinstance(await send("GET"), Silence) and isinstance(await send("GET"), Heard)


async def test_an_answer_that_nobody_asked_for_is_believed_by_nobody(
    peer: Peer, send: Send
) -> None:
    peer.says = [FINE + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nlie"]
    heard = [await send(), await send()]
    assert [each.body for each in heard] == [b"fine", b"fine"]
    assert peer.connections == 2


async def test_a_kept_connection_that_died_costs_a_put_nothing_and_a_post_its_certainty(
    peer: Peer, send: Send
) -> None:
    for method, kind in (("PUT", Heard), ("POST", Silence)):
        assert isinstance(await send(), Heard)
        peer.says = [[None]]
        peer.heard.clear()
        assert isinstance(await send(method), kind)
        assert len(peer.heard) == (2 if kind is Heard else 1)


async def test_a_header_cannot_bring_another_request_with_it(peer: Peer, send: Send) -> None:
    silence = await send(headers={"Authorization": "Token x\r\nX-B: 2"})
    assert silence == Silence("forbidden", sent=False)
    assert not peer.heard


async def test_who_asks_too_much_at_once_waits_for_a_connection(
    peer: Peer, client: GuardedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocpi_cpo.client._PUSHES_AT_ONCE", 2)
    asks = [client.send(Ask("GET", peer.url, {}, private=True)) for _ in range(9)]
    assert all(isinstance(each, Heard) for each in await asyncio.gather(*asks))
    assert peer.connections == 2


async def test_who_gives_up_leaves_no_connection_behind(
    peer: Peer, client: GuardedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocpi_cpo.client._PUSHES_AT_ONCE", 1)
    peer.says = [[]]
    asking = asyncio.ensure_future(client.send(Ask("GET", peer.url, {}, private=True)))
    await peer.arrived.wait()
    asking.cancel()
    await asyncio.wait({asking})
    assert isinstance(await client.send(Ask("GET", peer.url, {}, private=True)), Heard)
    assert peer.connections == 2


async def test_what_nobody_uses_is_closed(
    peer: Peer, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "IDLE_SECONDS", 0.0)
    await send()
    await send()
    assert peer.connections == 2
