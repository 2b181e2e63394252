"""The fault proxy, between a client and a server that know nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidMessage

from simulators.faults import FaultProxy, Way, fault_proxy, slow_2g
from simulators.habits import QUICK_BACKOFF, STEADY
from simulators.station import StationConfig, StationSimulator
from tests.flow.tiny_central import tiny_central


class Echo:
    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.ended = asyncio.Event()

    async def __call__(self, socket: Any) -> None:
        try:
            async for message in socket:
                self.heard.append(message)
                await socket.send(message)
        finally:
            self.ended.set()


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, FaultProxy, str]]:
    server = Echo()
    async with serve(server, "127.0.0.1", 0, compression=None, ping_interval=None) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with fault_proxy("127.0.0.1", port, seed=1) as proxy:
            yield server, proxy, f"ws://127.0.0.1:{proxy.port}"


def client(url: str) -> Any:
    return connect(url, compression=None, ping_interval=None, proxy=None, close_timeout=0.2)


async def seconds(work: Any) -> float:
    before = asyncio.get_running_loop().time()
    await work
    return asyncio.get_running_loop().time() - before


async def round_trip(socket: Any, message: Any) -> None:
    await socket.send(message)
    assert await socket.recv() == message


async def silence(socket: Any, for_seconds: float = 0.1) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(for_seconds):
            await socket.recv()


async def test_without_faults_everything_passes(echo: tuple[Echo, FaultProxy, str]) -> None:
    _, proxy, url = echo
    async with client(url) as socket:
        for message in ("a", "b" * 200, b"c" * 70_000):
            await round_trip(socket, message)
    assert proxy.connections == 1


async def test_latency_is_paid_both_ways_but_costs_no_throughput(
    echo: tuple[Echo, FaultProxy, str],
) -> None:
    _, proxy, url = echo
    async with client(url) as socket:
        proxy.up.latency = proxy.down.latency = 0.1
        assert await seconds(round_trip(socket, "x")) >= 0.2

        async def twenty() -> None:
            for number in range(20):
                await socket.send(str(number))
            assert [await socket.recv() for _ in range(20)] == [str(n) for n in range(20)]

        assert await seconds(twenty()) < 1.0


async def test_a_narrow_way_takes_its_time(echo: tuple[Echo, FaultProxy, str]) -> None:
    _, proxy, url = echo
    async with client(url) as socket:
        proxy.up.bits_per_second = 64_000
        assert await seconds(round_trip(socket, "x" * 2_000)) >= 0.25
    slow_2g(proxy.up)
    assert (proxy.up.latency, proxy.up.bits_per_second) == (0.4, 64_000)


async def test_slices_of_one_byte_still_make_messages(
    echo: tuple[Echo, FaultProxy, str],
) -> None:
    _, proxy, url = echo
    proxy.up.slice_bytes = proxy.down.slice_bytes = 1
    async with client(url) as socket:
        await round_trip(socket, "a message in many pieces")


async def test_exactly_the_next_messages_down_are_swallowed(
    echo: tuple[Echo, FaultProxy, str],
) -> None:
    _, proxy, url = echo
    async with client(url) as socket:
        await round_trip(socket, "before")
        proxy.down.swallow = 2
        for message in ("one", b"two" * 100, "three"):
            await socket.send(message)
        assert await socket.recv() == "three"
        await proxy.swallowed(2)
        await asyncio.wait_for(await socket.ping(), 5)
        await round_trip(socket, "after")


async def test_a_message_in_fragments_is_swallowed_whole_and_a_ping_between_passes(
    echo: tuple[Echo, FaultProxy, str],
) -> None:
    server, proxy, url = echo
    async with client(url) as socket:
        proxy.up.swallow = 1
        proxy.up.slice_bytes = 3

        async def parts() -> AsyncIterator[str]:
            yield "gone "
            await asyncio.wait_for(await socket.ping(), 5)
            yield "for ever"

        await socket.send(parts())
        await round_trip(socket, "here")
    assert server.heard == ["here"]


async def test_a_blackhole_in_one_direction_takes_everything_and_says_nothing(
    echo: tuple[Echo, FaultProxy, str],
) -> None:
    server, proxy, url = echo
    async with client(url) as socket:
        await round_trip(socket, "a")
        proxy.down.blackhole = True
        await socket.send("b")
        await silence(socket)
        assert server.heard == ["a", "b"]
        proxy.resume()
        await round_trip(socket, "c")


async def test_a_stall_holds_back_and_then_delivers(
    echo: tuple[Echo, FaultProxy, str],
) -> None:
    server, proxy, url = echo
    async with client(url) as socket:
        await round_trip(socket, "a")
        proxy.up.stalled = True
        await socket.send("b")
        await silence(socket)
        assert server.heard == ["a"]
        proxy.resume()
        assert await socket.recv() == "b"


async def test_a_reset_ends_both_sides(echo: tuple[Echo, FaultProxy, str]) -> None:
    server, proxy, url = echo
    async with client(url) as socket:
        await round_trip(socket, "a")
        proxy.reset()
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        await asyncio.wait_for(server.ended.wait(), 5)


async def test_the_death_of_the_client_reaches_the_server_late(
    echo: tuple[Echo, FaultProxy, str],
) -> None:
    server, proxy, url = echo
    proxy.close_delay = 0.3
    async with client(url) as socket:
        await round_trip(socket, "a")
        socket.transport.abort()
        assert await seconds(asyncio.wait_for(server.ended.wait(), 5)) >= 0.25


async def test_a_nat_forgets_an_idle_connection_without_telling_anybody(
    echo: tuple[Echo, FaultProxy, str],
) -> None:
    server, proxy, url = echo
    async with client(url) as socket:
        await round_trip(socket, "a")
        proxy.idle_timeout = 0.05
        await silence(socket, 0.15)
        await socket.send("b")
        await silence(socket)
        assert server.heard == ["a"]
    proxy.idle_timeout = None
    async with client(url) as fresh:
        await round_trip(fresh, "c")


async def test_a_refusing_proxy_lets_nobody_in(echo: tuple[Echo, FaultProxy, str]) -> None:
    _, proxy, url = echo
    proxy.refusing = True
    with pytest.raises((OSError, EOFError, InvalidMessage)):
        await client(url)
    assert proxy.open == 0


async def test_what_is_no_websocket_passes_untouched() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\x81\x02ok")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, fault_proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        proxy.down.swallow = 5
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.read()).endswith(b"\x81\x02ok")
        writer.close()
        await writer.wait_closed()
    assert proxy.down == Way(swallow=5)


async def test_a_station_behind_the_proxy_survives_a_swallowed_answer_and_a_reset() -> None:
    async with (
        tiny_central() as central,
        fault_proxy("127.0.0.1", central.port) as proxy,
        StationSimulator(
            StationConfig(
                "CP-1",
                f"ws://127.0.0.1:{proxy.port}/ocpp",
                backoff=QUICK_BACKOFF,
                sample_interval=None,
                personality=replace(STEADY, message_timeout=0.3),
            )
        ) as station,
    ):
        await station.booted()
        await station.statuses_sent()
        proxy.down.swallow = 1
        await central.hears("StatusNotification", 2)
        station.plug()
        await proxy.swallowed(1)
        await station.start_local()
        proxy.reset()
        await station.booted(2)
        await station.stop_local()
        await station.session_finished()
    assert len({tuple(each.items()) for each in central.payloads("StopTransaction")}) == 1
