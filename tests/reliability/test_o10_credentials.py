"""O10: whatever dies while credentials are exchanged, nobody is locked out, and no old token lives on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from ocpi_cpo.wire import authorization
from simulators.emsp import Emsp, Fault, Kind
from simulators.emsp.client import RegistrationFailed
from tests.harness.charger import Json
from tests.harness.figures import size
from tests.harness.network import Network
from tests.harness.server import Server, serving
from tests.harness.standing import living
from tests.reliability.conftest import Judge

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(300),
]

TRIES = 4
"""How often a side whose exchange broke off repeats it by itself."""

LATE_LOOKS = 50
"""How often, a tenth of a second apart, an old token is tried before it counts as living on."""

Broken = (RegistrationFailed, aiohttp.ClientError, OSError, TimeoutError, AssertionError)


@dataclass(slots=True)
class Link:
    """A server and one partner; who has what, and what came of it.

    Attributes:
        retired: tokens that were replaced, or given out for a registration that is over.
        by_hand: how often an operator had to hand over a new token A.
    """

    server: Server
    emsp: Emsp
    retired: set[str] = field(default_factory=set)
    token_a: str = ""
    versions_url: str = ""
    by_hand: int = 0

    @property
    def id(self) -> str:
        return f"{self.emsp.us.country_code}*{self.emsp.us.party_id}"

    async def invite(self) -> None:
        body = {"id": self.id, "name": "Simulated", "allow_private_addresses": True}
        told = await self.post("/partners", body)
        self.versions_url, self.token_a = told["url"], told["token"]

    async def post(self, path: str, body: Json | None = None) -> Json:
        """Ask as the operator, whose key is another in each of the server's lives."""
        async with self.server.api() as api:
            found: Json = await api.post(path, body)
            return found

    async def opens(self, token: str | None) -> bool:
        """Whether *token* opens a module of ours."""
        headers = {"Authorization": authorization(token or "")}
        async with aiohttp.ClientSession(headers=headers) as http:
            async with http.get(f"{self.server.network.base}/ocpi/2.2.1/locations") as answer:
                return answer.status == 200


# -- the exchanges, by who begins


async def they_register(link: Link) -> None:
    await link.emsp.register(link.versions_url, link.token_a)
    link.retired.add(link.token_a)


async def they_renew(link: Link) -> None:
    before = link.emsp.connection.outbound
    await link.emsp.update_credentials()
    link.retired.add(before or "")


async def they_leave(link: Link) -> None:
    before = link.emsp.connection.outbound
    answer = await link.emsp.unregister()
    if not answer.ok and answer.http != 401:  # 401: we had done it before we died
        raise RegistrationFailed(answer.code or 0, "not unregistered")
    link.emsp.connection.forget()
    link.retired.add(before or "")


async def we_register(link: Link) -> None:
    before = link.emsp.connection.outbound
    async with link.server.api() as api:
        if (await api.get(f"/partners/{link.id}"))["state"] == "connected":
            return  # it had been done before we died
    body = {
        "id": link.id, "name": "Simulated", "allow_private_addresses": True,
        "url": link.emsp.versions_url, "token": link.emsp.connection.token_a,
    }  # fmt: skip
    await link.post("/partners", body)
    link.retired.add(before or "")


async def we_renew(link: Link) -> None:
    before = link.emsp.connection.outbound
    await link.post(f"/partners/{link.id}/renew", {})
    link.retired.add(before or "")


Exchange = Callable[[Link], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Moment:
    """When we are killed.

    Attributes:
        point: a crash point and which passing of it, or "" for a moment on the wire.
        held: what the partner holds back, so that we can be killed while we wait for it.
    """

    name: str
    exchange: Exchange
    point: str = ""
    held: Fault | None = None


def moments() -> list[Moment]:
    def on_the_wire(name: str, exchange: Exchange, kind: Kind, module: str) -> Moment:
        return Moment(name, exchange, held=Fault(kind, module, seconds=30))

    found = []
    for exchange in (they_register, they_renew, we_register, we_renew):
        name = exchange.__name__
        found += [
            on_the_wire(f"{name}: asking for versions", exchange, Kind.BLACKHOLE, "versions"),
            on_the_wire(f"{name}: asking for details", exchange, Kind.BLACKHOLE, "2.2.1"),
            Moment(f"{name}: before it is kept", exchange, "X9:1:kill"),
            Moment(f"{name}: before it is told", exchange, "X10:1:kill"),
        ]
    for exchange in (we_register, we_renew):
        name = exchange.__name__
        found += [
            on_the_wire(f"{name}: before it is heard", exchange, Kind.BLACKHOLE, "credentials"),
            on_the_wire(f"{name}: before its answer", exchange, Kind.SLOW_AFTER, "credentials"),
            Moment(f"{name}: before the second is kept", exchange, "X9:2:kill"),
            Moment(f"{name}: before the second is told", exchange, "X10:2:kill"),
        ]
    found += [
        Moment("they_leave: before it is kept", they_leave, "X9:1:kill"),
        Moment("they_leave: before it is told", they_leave, "X10:1:kill"),
    ]
    return found


# -- the scenario


async def test_o10_killed_at_each_step_of_an_exchange(tmp_path: Path, scenario: Judge) -> None:
    network = Network(tmp_path, chargers=1, own_cards=False)
    alive = locked = old = by_hand = 0
    with scenario("O10-kills", mutant="old-token-ends-first") as this:
        async with serving(network) as server:
            for number, moment in enumerate(some(moments(), this.seed)):
                async with linked(server, f"P{number:02d}") as link:
                    if moment.exchange in (they_renew, we_renew, they_leave):
                        await they_register(link)
                        await settled(link)
                    if not await die(link, moment):
                        alive += 1
                        this.wrong(f"{moment.name}: not killed")
                    lost, late = await recovered(link, moment)
                    this.wrong(*(f"{moment.name}: {each}" for each in (*lost, *late)))
                    locked, old = locked + bool(lost), old + len(late)
                    by_hand += link.by_hand
                    this.n += 1
            this.figure("not_killed", alive)
            this.figure("lock_outs", locked)
            this.figure("late_old_tokens", old)
            this.figure("by_an_operator", by_hand, 4)
            await living(this, server, "partner.refuses_us")


def some(found: list[Moment], seed: int) -> list[Moment]:
    """As many as are wanted; which ones, the seed says. ``CMS_O10_MOMENTS=26`` is all of them."""
    wanted = size("O10_MOMENTS", 6)
    return random.Random(seed).sample(found, min(wanted, len(found)))


@asynccontextmanager
async def linked(server: Server, party: str) -> AsyncIterator[Link]:
    async with Emsp(country_code="IN", party_id=party) as emsp:
        link = Link(server, emsp)
        await link.invite()
        yield link


async def settled(link: Link) -> None:
    """Let a registration be over: token A is forgotten behind our answer, by a commit of its own,
    which would otherwise be the first to pass a crash point."""
    assert await link.opens(link.emsp.connection.outbound)
    await asyncio.sleep(0.5)


async def die(link: Link, moment: Moment) -> bool:
    """Let the exchange begin and kill us at *moment*; returns whether we were killed there."""
    server = link.server
    if moment.exchange is we_register:
        link.emsp.hand_out_token()
    if moment.point:
        await server.kill()
        server.env["CMS_FAILPOINT"] = _point(moment)
        await server.start()
        trying = asyncio.create_task(_tried(moment.exchange, link))
        killed = await server.ended(within=20) == -9
        del server.env["CMS_FAILPOINT"]
    else:
        assert moment.held is not None
        fault = link.emsp.faults.add(moment.held)
        trying = asyncio.create_task(_tried(moment.exchange, link))
        await link.emsp.wait_for(lambda: fault.hits > 0)
        killed = server.running
        await server.kill()
        link.emsp.faults.clear()
    await trying
    await server.start()
    return killed


def _point(moment: Moment) -> str:
    """The invitation of a partner that we register with is an exchange of its own, kept first."""
    name, hit, action = moment.point.split(":")
    return f"{name}:{int(hit) + (moment.exchange is we_register)}:{action}"


async def _tried(exchange: Exchange, link: Link) -> None:
    with suppress(*Broken):
        await exchange(link)


async def recovered(link: Link, moment: Moment) -> tuple[list[str], list[str]]:
    """Let whoever began repeat it; returns who is locked out, and which old tokens still open."""
    if not await _again(moment.exchange, link):
        await _by_hand(link, moment)
    lost = []
    if moment.exchange is they_leave:
        await link.invite()
        await they_register(link)
    if not await link.opens(link.emsp.connection.outbound):
        lost.append("the partner is locked out")
    seen = len(link.emsp.pushes("locations"))
    try:
        await link.post(f"/partners/{link.id}/resync")
        await link.emsp.wait_for(lambda: len(link.emsp.pushes("locations")) > seen, 20)
    except (AssertionError, TimeoutError):
        lost.append("we are locked out")
    old = link.retired - {link.emsp.connection.outbound, ""}
    late = [f"the token {each[:4]}... still opens" for each in old if await _opens_on(link, each)]
    return lost, late


async def _opens_on(link: Link, token: str) -> bool:
    """Whether a token opens on, seconds after the one that replaced it was used."""
    for _ in range(LATE_LOOKS):
        if not await link.opens(token):
            return False
        await asyncio.sleep(0.1)
    return True


async def _again(exchange: Exchange, link: Link) -> bool:
    for _ in range(TRIES):
        with suppress(*Broken):
            await exchange(link)
            return True
    return False


async def _by_hand(link: Link, moment: Moment) -> None:
    """Our first registration went through at the partner, and its answer is lost: only the
    partner has a token, so its operator hands out another."""
    assert moment.exchange is we_register, f"{moment.name}: it does not recover by itself"
    link.by_hand += 1
    link.emsp.connection.forget()
    link.emsp.hand_out_token()
    await we_register(link)


async def _forgotten(link: Link) -> None:
    """Once our answer has gone out, token A is forgotten in the background, and opens nothing."""
    headers = {"Authorization": authorization(link.token_a)}
    async with aiohttp.ClientSession(headers=headers) as http, asyncio.timeout(10):
        while True:
            async with http.get(link.versions_url) as answer:
                if answer.status == 401:
                    return
            await asyncio.sleep(0.02)


# -- without a kill


async def test_o10_both_sides_renew_at_once_and_token_a_opens_nothing_else(
    tmp_path: Path, scenario: Judge
) -> None:
    network = Network(tmp_path, chargers=1, own_cards=False)
    with scenario("O10", mutant="old-token-ends-first") as this:
        locked = wrong_url = reused = 0
        async with serving(network) as server:
            for number in range(10):
                async with linked(server, f"Q{number:02d}") as link:
                    reused += await link.opens(link.token_a)
                    link.emsp.faults.add(Fault(Kind.HTTP, "versions", http=404, times=1))
                    with suppress(RegistrationFailed):
                        await they_register(link)
                        wrong_url += 1
                    await they_register(link)
                    assert await link.opens(link.emsp.connection.outbound)
                    reused += await link.opens(link.token_a)
                    await _forgotten(link)
                    for _ in range(3):
                        await asyncio.gather(
                            _tried(they_renew, link),
                            _tried(we_renew, link),
                            _tried(they_renew, link),
                        )
                    lost, _ = await recovered(link, Moment("both", they_renew))
                    locked += bool(lost)
                    this.wrong(*lost)
                    this.n += 1
            this.figure("lock_outs", locked)
            this.figure("registered_with_a_wrong_url", wrong_url)
            this.figure("token_a_opened_more", reused)
            await living(this, server, "partner.refuses_us")
