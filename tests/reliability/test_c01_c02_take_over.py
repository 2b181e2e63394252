"""C01, C02: one identity, one socket: the newest that knows the password, whoever says goodbye when."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from simulators.faults import fault_proxy
from tests.harness.charger import Charger, dial, plugged
from tests.harness.figures import size
from tests.harness.network import Network
from tests.harness.server import Api, serving
from tests.harness.standing import living
from tests.reliability.conftest import Judge

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(240),
]


async def asked(api: Api, identity: str) -> int:
    """Ask the station for a status by the API; returns the HTTP status of the answer."""
    url = f"{api.base}/api/v1/chargers/{identity}/trigger"
    async with api.http.post(url, json={"wanted": "heartbeat"}) as answer:
        return answer.status


async def online(api: Api, identity: str) -> bool:
    told = await api.get(f"/chargers/{identity}")
    return bool(told["online"])


async def reached(api: Api, old: Charger, new: Charger) -> tuple[bool, int]:
    """Whether a call of ours arrived at *new*, and how many strayed to *old*."""
    before_old, before_new = len(old.received), len(new.received)
    await asked(api, new.identity)
    return len(new.received) > before_new, len(old.received) - before_old


async def test_c01_only_the_right_password_takes_an_identity_over(
    tmp_path: Path, scenario: Judge
) -> None:
    network = Network(tmp_path, chargers=6, more={"ocpp": {"call_timeout_seconds": 8}})
    with scenario("C01", mutant="unauthenticated-displaces") as this:
        strayed = unreached = disturbed = admitted = 0
        slowest = 0.0
        async with serving(network) as server, server.api() as api:
            async with fault_proxy("127.0.0.1", network.ocpp_port, this.seed) as proxy:
                for number in range(network.chargers):
                    version = "1.6" if number % 2 == 0 else "2.0.1"
                    dead = number >= 4  # the old one's line is dead, and nobody has noticed
                    through = f"ws://127.0.0.1:{proxy.port}/ocpp" if dead else None
                    async with plugged(network, number, version, url=through) as old:
                        admitted += await _knock_wrongly(network, number, version)
                        ok, stray = await reached(api, old, old)
                        disturbed += not (ok and old.open)
                        if dead:
                            proxy.up.blackhole = proxy.down.blackhole = True
                        took, ok, stray = await _take_over(network, api, number, version, old)
                        slowest = max(slowest, took)
                        unreached += not ok
                        strayed += stray
                        proxy.resume()
                    this.n += 1
            this.figure("wrong_password_admitted", admitted)
            this.figure("disturbed_by_strangers", disturbed)
            this.figure("wrong_socket_calls", strayed)
            this.figure("new_socket_not_reached", unreached)
            this.figure("take_over_s", slowest, 10)
            await living(this, server)


async def _knock_wrongly(network: Network, number: int, version: str) -> int:
    """Try with wrong passwords; returns how often that let us in."""
    admitted = 0
    for secret in ("", "wrong-password-0123456789", "canary-charger-"):
        with suppress(InvalidStatus):
            charger = await dial(network, number, version, secret=secret)
            charger.vanish()
            admitted += 1
    return admitted


async def _take_over(
    network: Network, api: Api, number: int, version: str, old: Charger
) -> tuple[float, bool, int]:
    """Connect a second time; seconds until a call of ours reaches the new socket, and strays."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with plugged(network, number, version) as new:
        strays, ok = 0, False
        while not ok and loop.time() - began < 12:
            ok, stray = await reached(api, old, new)
            strays += stray
        return loop.time() - began, ok and await online(api, new.identity), strays


# ---------------------------------------------------------------- C02


async def test_c02_a_late_close_of_the_old_socket_takes_nobody_offline(
    network: Network, scenario: Judge
) -> None:
    rounds = size("C02_ROUNDS", 1_000)
    lanes = 5
    network.chargers = lanes
    with scenario("C02", mutant="old-close-unregisters-new") as this:
        dice = random.Random(this.seed)
        async with serving(network) as server, server.api() as api:
            found = await asyncio.gather(
                *(
                    _interleaved(network, api, lane, rounds // lanes, random.Random(dice.random()))
                    for lane in range(lanes)
                )
            )
            this.n = sum(each[0] for each in found)
            this.figure("taken_offline", sum(each[1] for each in found))
            this.figure("unreached", sum(each[2] for each in found))
            this.figure("wrong_socket_calls", sum(each[3] for each in found))
            await living(this, server)


async def _interleaved(
    network: Network, api: Api, number: int, rounds: int, dice: random.Random
) -> tuple[int, int, int, int]:
    """Again and again: a newer socket arrives while the older leaves, at random moments."""
    offline = unreached = strayed = 0
    version = "1.6" if number % 2 else "2.0.1"
    old = await dial(network, number, version)
    await old.boot()
    for _ in range(rounds):
        going = asyncio.create_task(_leave(old, dice))
        await asyncio.sleep(dice.choice((0, 0, dice.random() * 0.01)))
        new = await dial(network, number, version)
        await asyncio.gather(going, new.boot())
        await old.closed()
        ok, stray = await reached(api, old, new)
        offline += not await online(api, network.identity(number))
        unreached += not ok
        strayed += stray
        old = new
    old.vanish()
    return rounds, offline, unreached, strayed


async def _leave(charger: Charger, dice: random.Random) -> None:
    """Close at some moment, in some manner, or leave it to the server to close."""
    await asyncio.sleep(dice.random() * 0.02)
    match dice.randrange(3):
        case 0:
            charger.vanish()
        case 1:
            await charger.leave()
        case _:
            pass  # the server closes it when the new one has arrived
