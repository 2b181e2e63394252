"""Which addresses may be spoken to, and which may not."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from ocpi_cpo.answers import Heard, Silence
from ocpi_cpo.client import Ask, GuardedClient, allowed

NEVER = [
    "169.254.169.254",
    "169.254.1.1",
    "0.0.0.0",
    "224.0.0.1",
    "::",
    "fe80::1",
    "ff02::1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "fd00:ec2::254",
]
PRIVATE = [
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fc00::1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "::7f00:1",
]


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_never_spoken_to(address: str) -> None:
    assert not allowed(address, private=False)
    assert not allowed(address, private=True)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_only_where_the_config_allows(address: str) -> None:
    assert not allowed(address, private=False)
    assert allowed(address, private=True)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111"])
def test_public_addresses_are_spoken_to(address: str) -> None:
    assert allowed(address, private=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",  # no TLS
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://127.1/",
        "https://2130706433/",
        "https://127.000.000.001/",
        "https://user:pass@example.org/",
        "https://example.org:22/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "nonsense",
        "https://" + "x" * 2000,
    ],
)
async def test_a_forbidden_url_is_not_even_tried(url: str) -> None:
    client = GuardedClient(1.0)
    assert await client.send(Ask("GET", url, {})) == Silence("forbidden", sent=False)
    await client.close()


class Liar(AbstractResolver):
    """A name server that changes its mind: public at first, then loopback."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
        ]

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_name_that_leads_to_loopback_is_refused_at_the_connection() -> None:
    for address in ("127.0.0.1", "169.254.169.254"):
        client = GuardedClient(1.0, Liar(address))
        silence = await client.send(Ask("GET", "https://partner.example/", {}))
        assert isinstance(silence, Silence) and silence.why == "forbidden"
        await client.close()


class Site:
    """A web server on loopback that misbehaves by path."""

    def __init__(self) -> None:
        self.hits: list[str] = []

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.hits.append(request.path)
        match request.path:
            case "/redirect":
                return web.Response(status=302, headers={"Location": "/secret"})
            case "/huge":
                return web.Response(body=b"x" * (3 * 1024 * 1024))
            case "/drip":
                answer = web.StreamResponse()
                await answer.prepare(request)
                while True:
                    await answer.write(b" ")
                    await asyncio.sleep(0.02)
            case _:
                return web.Response(body=b"fine")


@pytest.fixture
async def site() -> Any:
    served = Site()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", served.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"  # type: ignore[attr-defined]
    yield served
    await runner.cleanup()


@pytest.mark.parametrize(("path", "why"), [("/huge", "too large"), ("/drip", "timeout")])
async def test_an_answer_without_end_is_cut_off(site: Any, path: str, why: str) -> None:
    client = GuardedClient(0.5)
    silence = await client.send(Ask("GET", site.url + path, {}, private=True))
    assert isinstance(silence, Silence) and (silence.why, silence.sent) == (why, True)
    await client.close()


async def test_a_redirect_is_an_answer_and_is_not_followed(site: Any) -> None:
    client = GuardedClient(1.0)
    heard = await client.send(
        Ask("GET", site.url + "/redirect", {"Authorization": "Token x"}, private=True)
    )
    assert isinstance(heard, Heard) and heard.http == 302
    assert site.hits == ["/redirect"]
    await client.close()


async def test_a_refused_connection_was_not_sent() -> None:
    client = GuardedClient(1.0)
    silence = await client.send(Ask("POST", "http://127.0.0.1:9/", {}, b"x", private=True))
    assert isinstance(silence, Silence) and (silence.why, silence.sent) == ("refused", False)
    await client.close()


async def test_a_good_answer_comes_whole(site: Any) -> None:
    client = GuardedClient(1.0)
    heard = await client.send(Ask("GET", site.url + "/", {}, private=True, fresh=True))
    assert isinstance(heard, Heard) and heard.body == b"fine"
    await client.close()
