"""O09: no address that a partner hands us leads us to where only we can go.

The partner itself is a script (its host is never connected to); whatever else is asked for goes through
the real client. A canary listens on loopback and counts who comes. The addresses that are tried are all
of loopback, in every way of writing it; those of other private networks are judged without a socket.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from ocpi_cpo.answers import Heard, Silence
from ocpi_cpo.client import Ask, GuardedClient, allowed
from ocpi_cpo.wire import dumps, loads
from tests.conformance.ocpi.test_tokens_authorize import wire as token_wire
from tests.conformance.ocpi.world import EMP, EVSE, SITE, Asker, World, running, until_kept
from tests.reliability.conftest import Judge

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(240),
]

PARTNER = "https://partner.example"
TOKEN_B = "their-token-for-us-0123456789"

LOOPBACK = """
127.0.0.1 127.0.0.2 127.1 127.0.1 127.000.000.001 127.0.0.1. 2130706433 0x7f000001 0x7f.0.0.1
0x7F.0x0.0x0.0x1 0177.0.0.1 0177.0.0.01 017700000001 0177.0x0.1 127.0x1 127.0.0.0x1 0.0.0.0 0 0x0 00
[::1] [0:0:0:0:0:0:0:1] [0000:0000:0000:0000:0000:0000:0000:0001] [::0001] [::ffff:127.0.0.1]
[::ffff:7f00:1] [0:0:0:0:0:ffff:7f00:0001] [::127.0.0.1] [::7f00:1] [64:ff9b::7f00:1]
[64:ff9b::127.0.0.1] [2002:7f00:1::] [::] [::ffff:0.0.0.0] localhost LOCALHOST LocalHost. localhost.
127。0。0。1 127．0．0．1 ①②⑦.⓪.⓪.① １２７.０.０.１ ⓛocalhost
rebind.test 127.0.0.1.nip.test 7f000001.nip.test six.test mapped.test zero.test both.test upper.TEST
""".split()
"""Ways of writing this machine. Names in ``.test`` are answered by :class:`Names`."""

ELSEWHERE = """
10.0.0.1 10.255.255.254 172.16.0.1 172.31.255.254 192.168.0.1 192.168.255.254 100.64.0.1
100.127.255.254 169.254.169.254 169.254.0.1 192.0.0.1 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1
224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 0.0.0.0 0.1.2.3 fe80::1 fe80::1%lo fc00::1 fd00::1
fd00:ec2::254 ff02::1 :: ::1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::10.0.0.1 64:ff9b::a00:1
64:ff9b::a9fe:a9fe 64:ff9b:1::a00:1 2002:a00:1:: 2002:c0a8:1:: 2001:db8::1 100::1 ::ffff:0:0
""".split()
"""Addresses of private and special networks; none of them is ever tried."""


class Names(AbstractResolver):
    """Answers names in ``.test`` and localhost; numbers are read by the system."""

    def __init__(self) -> None:
        self._system = ThreadedResolver()
        self._asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if not host.casefold().rstrip(".").endswith((".test", "localhost")):
            return await self._system.resolve(host, port, family)
        self._asked += 1
        return [_found(host, port, each) for each in self._addresses(host.casefold())]

    def _addresses(self, host: str) -> list[str]:
        match host.split(".")[0]:
            case "six":
                return ["::1"]
            case "mapped":
                return ["::ffff:127.0.0.1"]
            case "zero":
                return ["0.0.0.0"]
            case "both":
                return ["::1", "127.0.0.1"]
            case "rebind" if self._asked % 2:
                return ["192.0.2.1"]  # first one thing, then another
            case _:
                return ["127.0.0.1"]

    async def close(self) -> None:
        await self._system.close()


def _found(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
    )


def corpus(port: int) -> list[str]:
    """Addresses that all lead to this machine, or to nothing."""
    found = [f"https://{host}:{port}/x" for host in LOOPBACK]
    found += [f"http://{host}:{port}/x" for host in LOOPBACK]
    some = ("127.0.0.1", "[::1]", "localhost", "0x7f.1", "rebind.test")
    for host in some:
        at = f"{host}:{port}"
        found += [
            f"https://partner.example@{at}/x",
            f"https://partner.example:443@{at}/x",
            f"https://user:word@{at}/x",
            f"https://{at}/../../x",
            f"https://{at}\\@partner.example/x",
            f"https://{at}#@partner.example/",
            f"https://{at}?@partner.example/",
            f"https:/{at}/x",
            f"https:{at}/x",
            f"//{at}/x",
            f"HTTPS://{at}/x",
            f" https://{at}/x",
            f"https://{at}/x\r\nHost: partner.example",
            f"https://{at}%2f@partner.example/",
            f"ftp://{at}/x",
            f"gopher://{at}/x",
            f"ws://{at}/x",
            f"file://{host}/etc/passwd",
            f"unix://{host}/run/x.sock",
            f"javascript:fetch('https://{at}')",
            f"data:text/plain,{at}",
        ]
    return found


@dataclass(slots=True)
class Canary:
    """Listens where nobody may come; counts who does."""

    port: int = 0
    hits: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hits += 1
        writer.close()

    async def open(self, stack: AsyncExitStack) -> None:
        for host in ("127.0.0.1", "127.0.0.2", "::1"):
            server = await asyncio.start_server(self.serve, host, self.port)
            self.port = self.port or server.sockets[0].getsockname()[1]
            await stack.enter_async_context(server)


class Script:
    """The partner: what it answers at its own host. Everything else is really sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.details = f"{PARTNER}/2.2.1"
        self.endpoints: dict[tuple[str, str], str] = {}
        self.next: str | None = None
        self.location: str | None = None
        self.asked: list[str] = []
        send = GuardedClient.send

        async def scripted(
            client: GuardedClient, ask: Ask, timeout: float | None = None
        ) -> Heard | Silence:
            if ask.url.startswith(f"{PARTNER}/"):
                self.asked.append(f"{ask.method} {ask.url}")
                return self._answer(ask)
            return await send(client, ask, timeout)

        monkeypatch.setattr(GuardedClient, "send", scripted)

    def _answer(self, ask: Ask) -> Heard:
        headers: dict[str, str] = {}
        data: Any = None
        match ask.url.removeprefix(f"{PARTNER}/").split("/"):
            case ["versions"]:
                data = [{"version": "2.2.1", "url": self.details}]
            case ["2.2.1"]:
                data = {"version": "2.2.1", "endpoints": self._endpoints()}
            case ["2.2.1", "tokens", *_]:
                data = []
                headers = {} if self.next is None else {"Link": f'<{self.next}>; rel="next"'}
            case ["2.2.1", "cdrs"] if self.location is not None:
                headers = {"Location": self.location}
        body = dumps({"status_code": 1000, "timestamp": "2026-01-01T00:00:00Z", "data": data})
        return Heard(200, headers, body, 1)

    def _endpoints(self) -> list[dict[str, str]]:
        usual = {
            ("credentials", "SENDER"): f"{PARTNER}/2.2.1/credentials",
            ("tokens", "SENDER"): f"{PARTNER}/2.2.1/tokens",
            ("cdrs", "RECEIVER"): f"{PARTNER}/2.2.1/cdrs",
        }
        return [
            {"identifier": module, "role": role, "url": url}
            for (module, role), url in {**usual, **self.endpoints}.items()
        ]


@dataclass(slots=True)
class Bed:
    """A CPO, the scripted partner, and how the partner calls the CPO."""

    cpo: World
    script: Script
    ask: Asker
    said: list[str] = field(default_factory=list)

    async def credentials(self, method: str, url: str) -> int:
        body = {
            "token": TOKEN_B,
            "url": url,
            "roles": [
                {
                    "role": "EMSP",
                    "country_code": "IN",
                    "party_id": "EMP",
                    "business_details": {"name": "Somebody"},
                }
            ],
        }
        heard = await self.ask(method, "/2.2.1/credentials", body)
        self.said.append(str(heard.envelope.get("status_message")))
        if heard.code == 1000:
            self.ask.token = heard.data["token"]
        return heard.code


# ---------------------------------------------------------------- the fields


async def by_put(bed: Bed, url: str) -> None:
    """The address of its versions, in its credentials."""
    assert await bed.credentials("PUT", url) != 1000


async def by_versions(bed: Bed, url: str) -> None:
    """The address of its details, in its list of versions."""
    bed.script.details = url
    assert await bed.credentials("PUT", f"{PARTNER}/versions") != 1000
    bed.script.details = f"{PARTNER}/2.2.1"


async def by_token_list(bed: Bed, url: str) -> None:
    """An endpoint that we read from."""
    bed.script.endpoints = {("tokens", "SENDER"): url}
    if await bed.credentials("PUT", f"{PARTNER}/versions") == 1000:
        await bed.cpo.service.pull_tokens(EMP)


async def by_push(bed: Bed, url: str) -> None:
    """An endpoint that we write to."""
    bed.script.endpoints = {("cdrs", "RECEIVER"): url}
    if await bed.credentials("PUT", f"{PARTNER}/versions") == 1000:
        connection = bed.cpo.service.connections.get(EMP)
        # an address that is none at all is left out, and then there is nothing to push to
        if connection is not None and connection.endpoint("cdrs", "RECEIVER") is not None:
            await _pushed(bed, "parked")


async def by_next_link(bed: Bed, url: str) -> None:
    """The next page of a list."""
    bed.script.next = url
    await bed.cpo.service.pull_tokens(EMP)
    bed.script.next = None


async def by_location(bed: Bed, url: str) -> None:
    """Where it says that it keeps a bill; looked at when a bill is in doubt."""
    bed.script.location = url.replace("\r\n", "")
    await _pushed(bed, "delivered")
    bed.script.location = None


async def by_response_url(bed: Bed, url: str) -> None:
    """Where a command's result is to go."""
    for command, more in COMMANDS.items():
        body = {"response_url": url, "token": token_wire("CARD1"), "location_id": SITE, **more}
        heard = await bed.ask("POST", f"/2.2.1/commands/{command}", body)
        bed.said.append(str(heard.envelope.get("status_message")))
        assert heard.code in (2000, 2001), (command, url, heard.envelope)


COMMANDS: dict[str, dict[str, Any]] = {
    "START_SESSION": {"evse_uid": "CS1-1"},
    "STOP_SESSION": {"session_id": "S1"},
    "UNLOCK_CONNECTOR": {"evse_uid": "CS1-1", "connector_id": "1"},
    "RESERVE_NOW": {"reservation_id": "R1", "expiry_date": "2099-01-01T00:00:00Z"},
    "CANCEL_RESERVATION": {"reservation_id": "R1"},
}

FIELDS: tuple[Callable[[Bed, str], Awaitable[None]], ...] = (
    by_put,
    by_versions,
    by_token_list,
    by_push,
    by_next_link,
    by_location,
    by_response_url,
)


async def _pushed(bed: Bed, state: str) -> None:
    bill = await bed.cpo.settle(await bed.cpo.session())

    async def there() -> list[Any]:
        found = await bed.cpo.store.delivery(EMP, "cdr", bill.id)
        return [found] if found is not None and found.state == state else []

    await until_kept(there, timeout=10)


# ---------------------------------------------------------------- the scenario


async def test_o09_no_address_of_a_partner_leads_inside(
    monkeypatch: pytest.MonkeyPatch, scenario: Judge
) -> None:
    monkeypatch.setattr("ocpi_cpo.client._CONNECT_SECONDS", 0.5)
    with scenario("O09", mutant="names-are-believed") as this:
        async with AsyncExitStack() as stack:
            canary = Canary()
            await canary.open(stack)
            cpo = await stack.enter_async_context(running(request_timeout=timedelta(seconds=1)))
            cpo.service._client._resolver = Names()
            await cpo.small_network()
            bed = Bed(cpo, Script(monkeypatch), Asker(cpo.base, await cpo.invite(private=False)))
            urls = corpus(canary.port)
            for url in urls:  # with token A, before anything was agreed
                assert await bed.credentials("POST", url) != 1000
            assert await bed.credentials("POST", f"{PARTNER}/versions") == 1000
            for by in FIELDS:
                for url in urls:
                    await by(bed, url)
                bed.script.endpoints = {}
                assert await bed.credentials("PUT", f"{PARTNER}/versions") == 1000, (
                    by,
                    bed.said[-3:],
                )
            await asyncio.sleep(0.2)  # whoever is on the way arrives
            this.n = len(urls) * (len(FIELDS) + len(COMMANDS))
            this.figure("canary_hits", canary.hits)
            this.figure("inner_text_told", sum(_inner(each) for each in bed.said))
            this.figure("let_through", sum(allowed(each, private=False) for each in ELSEWHERE))
            this.facts |= {"urls": len(urls), "elsewhere": len(ELSEWHERE), "port": canary.port > 0}
            this.wrong(*{each for each in bed.said if _inner(each)})
            assert cpo.live.evse(EVSE).online  # and all the while we served


def _inner(text: str) -> bool:
    """Whether an answer tells more than that the address is not to be had."""
    words = ("Errno", "connect call", "127.0.0.1", "::1", "getaddrinfo", "SSL:", "Traceback")
    return any(word.casefold() in text.casefold() for word in words)


def test_the_corpus_is_of_many_kinds() -> None:
    urls = corpus(8080)
    assert len(set(urls)) == len(urls) >= 120
    assert loads(dumps(urls)) == urls


def _addresses() -> Iterator[str]:
    yield from ELSEWHERE


@pytest.mark.parametrize("address", list(_addresses()))
def test_o09_special_networks_are_not_spoken_to(address: str) -> None:
    assert not allowed(address, private=False)
