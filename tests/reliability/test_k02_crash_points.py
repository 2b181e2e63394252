"""K02: struck at each named moment of a bill's way, nothing is lost and nothing is doubled."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from cms import config as config_file
from cms.app import failpoints
from cms.bootstrap import Running, running
from simulators.emsp import Emsp
from simulators.fleet import Fleet, FleetPlan
from simulators.habits import QUICK_BACKOFF, STEADY
from simulators.ledger import Ledger
from tests.harness.charger import (
    CallErrorReceived,
    Json,
    event201,
    plugged,
    stamp,
    start16,
    stop16,
    values16,
)
from tests.harness.figures import Scenario
from tests.harness.network import CARD, Network, password
from tests.harness.partners import judged, registered
from tests.harness.server import Server, serving
from tests.harness.standing import living
from tests.reliability.conftest import Judge

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(300),
]

Arm = Callable[..., None]
START_WH, STOP_WH = 1_000, 1_300


@asynccontextmanager
async def in_process(network: Network) -> AsyncIterator[Running]:
    async with running(config_file.load(network.write())) as server:
        yield server


@dataclass(slots=True)
class Transaction:
    """One whole transaction of one charger, message by message."""

    number: int
    version: str
    id: Any = None
    began: str = ""

    @property
    def messages(self) -> tuple[str, ...]:
        return ("start", "sample", "stop") if self.version == "1.6" else (
            "started", "updated", "ended",
        )  # fmt: skip

    def frame(self, message: str, at: str) -> tuple[str, Json]:
        tag, id = CARD.format(number=self.number), self.id
        match message:
            case "start":
                return "StartTransaction", start16(tag, START_WH, at)
            case "sample":
                return "MeterValues", values16(id, START_WH + 100, at)
            case "stop":
                return "StopTransaction", stop16(id, STOP_WH, at, tag)
            case "started":
                return "TransactionEvent", event201("Started", id, 0, START_WH, at, tag)
            case "updated":
                return "TransactionEvent", event201("Updated", id, 1, START_WH + 100, at)
            case _:
                return "TransactionEvent", event201("Ended", id, 2, STOP_WH, at)


async def delivered(
    network: Network, one: Transaction, message: str, strike: Callable[[], None]
) -> int:
    """Send *message* while *strike* is armed, then again until it is answered.

    Returns how many CALLERRORs came: none may.
    """
    errors = 0
    action, payload = one.frame(message, stamp())
    for attempt in range(200):
        with suppress(ConnectionClosed, ConnectionError, InvalidStatus, TimeoutError, OSError):
            async with plugged(network, one.number, one.version) as charger:
                if attempt == 0:
                    strike()
                try:
                    answer = await charger.call(action, payload, timeout=5)
                except CallErrorReceived:
                    errors += 1
                    continue
                if message == "start":
                    one.id = answer["transactionId"]
                return errors
        await asyncio.sleep(0.05)
    raise AssertionError(f"{message} was never answered")


async def bill_of(server: Running, station: str, within: float = 20) -> tuple[int, int, int | None]:
    """Sessions, bills and billed Wh of *station*, once there is a bill (or time is up)."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        lines = [line async for line in server.parts.store.ledger()]
        ids = {x["id"] for x in lines if x["kind"] == "session" and x["station"] == station}
        bills = [x for x in lines if x["kind"] == "cdr" and x["session_id"] in ids]
        if bills or asyncio.get_running_loop().time() > deadline:
            energy: Any = bills[0]["energy_wh"] if bills else None
            return len(ids), len(bills), energy
        await asyncio.sleep(0.05)


CELLS = [
    (point, 1, version, message)
    for point in (failpoints.X1, failpoints.X2)
    for version, messages in (
        ("1.6", ("start", "sample", "stop")),
        ("2.0.1", ("started", "updated", "ended")),
    )
    for message in messages
] + [
    (point, hit, version, message)
    for version, message in (("1.6", "stop"), ("2.0.1", "ended"))
    for point, hit in ((failpoints.X1, 2), (failpoints.X2, 2), (failpoints.X4, 1))
]
"""Point, which passing of it, version, message. The second passing of X1 and X2 is the bill's own."""


async def test_k02_the_matrix_of_crash_points_and_messages(
    network: Network, scenario: Judge, arm: Arm
) -> None:
    network.chargers = len(CELLS)
    with scenario("K02-matrix", mutant="down-means-acknowledged") as this:
        missed = violations = callerrors = 0
        async with in_process(network) as server:
            for number, (point, hit, version, struck) in enumerate(CELLS):
                one = Transaction(number, version, None if version == "1.6" else f"T-{number}")
                for message in one.messages:
                    strike = (
                        (lambda p=point, h=hit: arm(p, h)) if message == struck else (lambda: None)
                    )
                    callerrors += await delivered(network, one, message, strike)
                found = await bill_of(server, network.identity(number))
                if failpoints.hits(point) < hit:
                    missed += 1
                    this.wrong(f"{point} {version} {struck}: never hit")
                if found != (1, 1, STOP_WH - START_WH):
                    violations += 1
                    this.wrong(f"{point}:{hit} {version} {struck}: sessions, bills, Wh = {found}")
                failpoints.disarm()
                this.n += 1
            deaths = server.parts.supervisor.deaths
        this.figure("points_missed", missed)
        this.figure("violations", violations)
        this.figure("callerrors", callerrors)
        this.figure("task_deaths", deaths)


# ---------------------------------------------------------------- real kills

POINTS = ("X1", "X2", "X3", "X4", "X5", "X1", "X2", "X8", "X5", "X2")


def busy(network: Network, seed: int) -> FleetPlan:
    return FleetPlan(
        url=network.ocpp_url,
        count=network.chargers,
        seed=seed,
        share_201=0.5,
        sessions=None,
        samples=2,
        sample_wh=(1, 5),
        pace=0.4,
        personalities=[replace(STEADY, message_timeout=10.0)],
        backoff=QUICK_BACKOFF,
        password=password,
        id_tag=lambda number: CARD.format(number=number),
    )


async def killed_at(server: Server, emsp: Emsp, network: Network, point: str, hit: int) -> int:
    """Start the server with *point* armed and let it die there; returns its exit code."""
    server.env["CMS_FAILPOINT"] = f"{point}:{hit}:kill"
    await server.launch()
    if point == "X8":
        await server.ready()
        await asked_to_start(network, emsp)
    return await server.ended(within=30)


async def asked_to_start(network: Network, emsp: Emsp) -> None:
    """Have the partner start a charger that nobody else uses; the kill comes while it answers."""
    spare = network.chargers - 1
    async with plugged(network, spare) as charger:
        await charger.call("StatusNotification", _available())
        with suppress(Exception):  # whatever the partner hears while we die
            await emsp.start_session(
                f"SITE-{spare // network.per_site}",
                f"{network.identity(spare)}-1",
                token=emsp.tokens.add("APP-X8", type="APP_USER"),
            )
        await charger.closed()


def _available() -> Json:
    return {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


async def test_k02_ten_real_kills_at_named_points(tmp_path: Path, scenario: Judge) -> None:
    network = Network(tmp_path, chargers=9, own_cards=False)
    with scenario("K02-kills", mutant="ack-before-commit") as this:
        dice = random.Random(this.seed)
        async with serving(network) as server:
            async with registered(server, cards=range(network.chargers)) as emsp:
                plan = replace(busy(network, this.seed), count=network.chargers - 1)
                async with Fleet(plan, Ledger()) as fleet:
                    await fleet.booted()
                    await server.kill()
                    codes = [
                        await killed_at(server, emsp, network, point, _hit(point, dice))
                        for point in POINTS
                    ]
                    del server.env["CMS_FAILPOINT"]
                    await server.start()
                    fleet.finish()
                    await fleet.drain(timeout=60)
                    await _verdict(this, server, emsp, fleet)
                this.n = len(codes)
                this.figure("points_missed", sum(code != -9 for code in codes))
                unresolved = [each for each in emsp.commands.values() if _left_open(each)]
                this.figure("commands_left_open", len(unresolved))
                await living(this, server)


def _hit(point: str, dice: random.Random) -> int:
    """The passing at which to strike; commits are many, the other points are few."""
    return dice.randrange(20, 60) if point in ("X1", "X2") else dice.randrange(1, 4) if (
        point in ("X3", "X4", "X5")
    ) else 1  # fmt: skip


def _left_open(command: Any) -> bool:
    return command.answer == "ACCEPTED" and len(command.results) != 1


async def _verdict(this: Scenario, server: Server, emsp: Emsp, fleet: Fleet) -> None:
    verdict = await judged(server, fleet.ledger.entries, emsp)
    this.wrong(*verdict.mismatches, *emsp.complaints)
    this.figure("violations", len(verdict.mismatches))
    this.figure("partner_complains", len(emsp.complaints))
    for name in ("delivered", "cdrs", "cdrs_at_partner"):
        this.facts[name] = verdict.figures[name]
