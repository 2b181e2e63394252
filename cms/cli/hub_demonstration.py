"""``cms demo --hub``: drivers of four providers charge, three of them behind hubs, and none of the
four may see or hear what is another's.

The backend runs as its own process. Around it stand a hub at 2.2.1 with two providers behind one
token, a hub at 2.3.0 with one, a provider at 2.1.1 with a connection of its own, and chargers of
both versions. One provider is away for a while. At the end the chargers' ledger, the providers' and
ours are compared, and everything that passed is searched for what reached the wrong one.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from cms.cli import stage
from cms.cli.stage import Places
from cms.config import ConfigError
from simulators.emsp import Driver, Emsp
from simulators.emsp.driver import Drive, Habits
from simulators.hub import Hub
from simulators.ledger import Ledger
from simulators.oracle import compare
from simulators.station import StationSimulator

LEAST_SESSIONS = 8
"""Two for each provider: one by the app, one by card."""
USUAL_SESSIONS = 16
PATIENCE_SECONDS = 90.0
CHARGE_SECONDS = (2.0, 5.0)
PULSE_SECONDS = 0.1
"""For what can only be asked for over the API."""

console = Console()


@dataclass(frozen=True, slots=True)
class Part:
    """A provider's part. *hub*: index in HUBS; ``None``: a connection of its own."""

    party: str
    version: str
    hub: int | None

    @property
    def id(self) -> str:
        return f"IN*{self.party}"

    @property
    def card(self) -> str:
        return f"CARD-{self.party}"


HUBS = (("HUB", "2.2.1"), ("HB3", "2.3.0"))
PARTS = (
    Part("AAA", "2.2.1", 0),
    Part("BBB", "2.2.1", 0),
    Part("CCC", "2.3.0", 1),
    Part("DDD", "2.1.1", None),
)
AWAY, NEIGHBOUR = PARTS[1], PARTS[0]
"""Who is offline for a while, and who shares its token and must not notice."""


@dataclass(slots=True)
class Provider:
    """A provider in play, with its own chargers, so that nobody waits for another's.

    Attributes:
        by_app, by_card: the chargers where its drivers start by the app, and by card.
        carded: transactions that its card started.
        pulled: ids of sessions and bills that it was shown when it asked for all.
    """

    part: Part
    emsp: Emsp
    by_app: list[StationSimulator] = field(default_factory=list)
    by_card: list[StationSimulator] = field(default_factory=list)
    drives: list[Drive] = field(default_factory=list)
    carded: int = 0
    pulled: dict[str, set[str]] = field(default_factory=dict)

    @property
    def charged(self) -> int:
        return len(self.drives) + self.carded

    def cdrs(self) -> list[dict[str, Any]]:
        return [each for each in self.emsp.store.cdrs.values() if not each.get("credit")]


@dataclass(slots=True)
class Scene:
    """Everything that plays. *faults*: what went wrong on the way."""

    places: Places
    http: aiohttp.ClientSession
    hubs: list[Hub]
    providers: dict[str, Provider]
    stations: list[StationSimulator]
    ledger: Ledger
    faults: list[str] = field(default_factory=list)
    away: dict[str, Any] = field(default_factory=dict)


def run(sessions: int, seed: int, report: Path | None, chargers: int) -> int:
    """Run the demonstration; 0 if every ledger agrees and nobody saw what is another's.

    Args:
        sessions: in all; 0 = 16.
    """
    sessions = max(sessions or USUAL_SESSIONS, LEAST_SESSIONS)
    chargers = max(chargers, 2 * len(PARTS))
    with tempfile.TemporaryDirectory(prefix="cms-demo-") as folder:
        places = Places(Path(folder), stage.free_port(), stage.free_port())
        stage.write_config(places, chargers)
        return asyncio.run(_play(places, chargers, sessions, seed, report))


async def _play(
    places: Places, chargers: int, sessions: int, seed: int, report: Path | None
) -> int:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(stage.server(places))
        scene = await stack.enter_async_context(_scene(places, chargers, seed))
        console.print("registered: two hubs, three providers behind them, one beside them")
        await _charge(scene, sessions, seed)
        await asyncio.gather(*(each.drained() for each in scene.stations))
        await _settled(scene)
        await _ask_for_all(scene)
        await stage.stop(server)
    return _report(scene, _judge(scene), report)


# ---------------------------------------------------------------- who takes part


@asynccontextmanager
async def _scene(places: Places, chargers: int, seed: int) -> AsyncIterator[Scene]:
    ledger = Ledger()
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(stage.operator(places))
        hubs = [
            await stack.enter_async_context(Hub(party_id=party, versions=(version,)))
            for party, version in HUBS
        ]
        providers = {part.id: await _provider(stack, part, hubs) for part in PARTS}
        scene = Scene(places, http, hubs, providers, [], ledger)
        await _registered(scene)
        for number in range(chargers):
            station = await stage.station(stack, places, number, ledger, seed)
            scene.stations.append(station)
            owner = providers[PARTS[number % len(PARTS)].id]
            lanes = (owner.by_app, owner.by_card)
            lanes[number // len(PARTS) % 2].append(station)
        async with asyncio.timeout(60):
            await asyncio.gather(*(each.booted(timeout=60) for each in scene.stations))
        await asyncio.gather(*(_met(scene, each) for each in providers.values()))
        yield scene


async def _provider(stack: AsyncExitStack, part: Part, hubs: list[Hub]) -> Provider:
    """Listening; behind a hub also registered there, before the hub registers with us: at 2.3.0 its
    credentials name who is behind it."""
    emsp = Emsp(country_code="IN", party_id=part.party, version=part.version)
    await stack.enter_async_context(emsp)
    if part.hub is not None:
        hub = hubs[part.hub]
        await emsp.register(hub.versions_url, hub.hand_out_token())
    return Provider(part, emsp)


async def _registered(scene: Scene) -> None:
    """Let the hubs and the provider beside them register with us."""
    for hub in scene.hubs:
        invitation = await _invitation(scene, str(hub.us), hub=True)
        await hub.register(invitation["url"], invitation["token"])
        await hub.quiet()
    for each in scene.providers.values():
        if each.part.hub is None:
            invitation = await _invitation(scene, each.part.id, hub=False)
            await each.emsp.register(invitation["url"], invitation["token"])


async def _invitation(scene: Scene, id: str, *, hub: bool) -> dict[str, Any]:
    body = {"id": id, "name": f"Simulated {id}", "hub": hub, "allow_private_addresses": True}
    async with scene.http.post(f"{scene.places.base}/api/v1/partners", json=body) as answer:
        invitation: dict[str, Any] = await answer.json()
        if answer.status != 201:
            raise ConfigError(f"{id} was not invited: {invitation}")
    return invitation


async def _met(scene: Scene, provider: Provider) -> None:
    """The provider knows who is there and what there is, and we know its card."""
    emsp = provider.emsp
    if provider.part.hub is not None:
        await emsp.meet()
    for module in ("tariffs", "locations"):
        await emsp.refresh(module)
    await emsp.push_token(emsp.tokens.add(provider.part.card))
    await _told(scene, "tokens?limit=500", lambda told: provider.part.card in _uids(told))


def _uids(told: dict[str, Any]) -> set[str]:
    return {each["uid"] for each in told["tokens"]}


async def _told(scene: Scene, path: str, true: Callable[[Any], Any]) -> Any:
    """Ask our API until *true* holds for its answer."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            async with scene.http.get(f"{scene.places.base}/api/v1/{path}") as answer:
                if answer.status == 200 and true(found := await answer.json()):
                    return found
            await asyncio.sleep(PULSE_SECONDS)


# ---------------------------------------------------------------- charging


async def _charge(scene: Scene, sessions: int, seed: int) -> None:
    """Half of the sessions, the time that one provider is away, and the other half."""
    share = {part.id: len(range(n, sessions, len(PARTS))) for n, part in enumerate(PARTS)}
    cards = {id: many // 2 for id, many in share.items()}
    first = {id: (many - cards[id] + 1) // 2 for id, many in share.items()}
    chance = random.Random(seed)

    def shift(by_app: dict[str, int], by_card: dict[str, int]) -> list[Awaitable[None]]:
        return [
            way(each, many[id], chance.randrange(2**32))
            for id, each in scene.providers.items()
            for way, many in ((_by_app, by_app), (_by_card, by_card))
        ]

    early = {id: (many - 1) // 2 for id, many in cards.items()}
    await asyncio.gather(*shift(first, early))
    console.print(f"first half: {_charged(scene)} sessions")
    await _while_away(scene, chance)
    late = {id: many - early[id] - (id in (AWAY.id, NEIGHBOUR.id)) for id, many in cards.items()}
    await asyncio.gather(*shift({id: share[id] - cards[id] - first[id] for id in share}, late))
    console.print(f"second half: {_charged(scene)} sessions in all")


def _charged(scene: Scene) -> int:
    return sum(each.charged for each in scene.providers.values())


async def _by_app(provider: Provider, many: int, seed: int) -> None:
    """START_SESSION and STOP_SESSION, at this provider's own chargers."""
    mine = {f"{each.config.identity}*1" for each in provider.by_app}
    habits = Habits(charge=CHARGE_SECONDS, stops=1.0, patience=PATIENCE_SECONDS, at_once=len(mine))
    driver = Driver(provider.emsp, habits, pick=lambda _, evse: evse["uid"] in mine)
    provider.drives += await driver.drive(many, seed)


async def _by_card(provider: Provider, many: int, seed: int) -> None:
    """The card at the reader, and again to stop."""
    chance = random.Random(seed)
    for number in range(many):
        station = provider.by_card[number % len(provider.by_card)]
        await _one_by_card(provider, station, chance.uniform(*CHARGE_SECONDS))


async def _one_by_card(provider: Provider, station: StationSimulator, seconds: float) -> None:
    provider.carded += 1
    before = len(station.transactions)
    if await station.start_local(1, provider.part.card) is None:
        return  # counted as charged: the missing bill is found at the end
    await station.session_started(before + 1)
    await asyncio.sleep(seconds)
    await station.stop_local(1)
    await station.session_finished(before + 1)
    await station.until(lambda: station.outlets[1].free)


async def _while_away(scene: Scene, chance: random.Random) -> None:
    """A provider is offline: its card still charges, nothing is sent to it, the one with the same
    token does not notice; back again it gets everything."""
    hub, away, beside = scene.hubs[0], scene.providers[AWAY.id], scene.providers[NEIGHBOUR.id]
    hub.status(AWAY.id, "OFFLINE")
    await _state(scene, "offline")
    passed, had, billed = len(hub.passages), len(away.cdrs()), len(beside.cdrs())
    await asyncio.gather(*(_by_card(each, 1, chance.randrange(2**32)) for each in (away, beside)))
    await _more_bills(scene, beside, billed)
    reached = [each for each in hub.passages[passed:] if each.receiver == AWAY.id]
    scene.faults += [
        f"{each.method} {each.path} was sent to {AWAY.id}, offline" for each in reached
    ]
    began = time.monotonic()
    hub.status(AWAY.id, "CONNECTED")
    await _state(scene, "connected")
    await _more_bills(scene, away, had)
    scene.away = {"sent_while_offline": len(reached), "caught_up_seconds": _since(began)}
    console.print(f"{AWAY.id} was offline and caught up in {scene.away['caught_up_seconds']} s")


async def _state(scene: Scene, state: str) -> None:
    def so(told: list[dict[str, Any]]) -> bool:
        return {each["id"]: each["state"] for each in told}.get(AWAY.id) == state

    await _told(scene, f"partners/{scene.hubs[0].us}/parties", so)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 2)


async def _settled(scene: Scene) -> None:
    """Wait until every provider has a bill for each session."""
    for each in scene.providers.values():
        await _more_bills(scene, each, each.charged - 1)
    for hub in scene.hubs:
        await hub.quiet()


async def _more_bills(scene: Scene, provider: Provider, than: int) -> None:
    """Wait for more than so many bills; that they do not come is written down, and judged."""
    try:
        await provider.emsp.wait_for(lambda: len(provider.cdrs()) > than, PATIENCE_SECONDS)
    except TimeoutError:
        scene.faults.append(f"{provider.part.id}: {len(provider.cdrs())} bills, not {than + 1}")


async def _ask_for_all(scene: Scene) -> None:
    """Each provider asks for all sessions and bills: it is shown its own."""
    for each in scene.providers.values():
        for module in ("sessions", "cdrs"):
            shown = await each.emsp.pull(module, date_from=datetime.now(UTC) - timedelta(days=1))
            each.pulled[module] = {item["id"] for item in shown}


# ---------------------------------------------------------------- judging


def _judge(scene: Scene) -> dict[str, Any]:
    ours = stage.export(scene.places)
    told = [
        {**line, "partner": id}
        for id, each in scene.providers.items()
        for line in each.emsp.ledger.lines
    ]
    mismatches = compare(scene.ledger.entries, told, ours).mismatches
    owners = dict(_owners(scene, ours))
    rows = {id: _row(scene, id, owners, ours) for id in scene.providers}
    faults = [*scene.faults, *map(str, mismatches), *_complaints(scene)]
    return {
        "chargers": len(scene.stations),
        "sessions": len(owners),
        "providers": rows,
        "away": scene.away,
        "mismatches": [*faults, *(each for row in rows.values() for each in row["mismatches"])],
        "leaks": [each for row in rows.values() for each in row["leaks"]],
    }


def _owners(scene: Scene, ours: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Session to provider, by who drove: the app's word and the card at the reader, not ours."""
    by_card = {each.part.card: id for id, each in scene.providers.items()}
    for id, each in scene.providers.items():
        yield from ((drive.session_id, id) for drive in each.drives if drive.session_id)
    for line in ours:
        if line["kind"] == "session" and line["id_tag"] in by_card:
            yield line["id"], by_card[line["id_tag"]]


def _row(
    scene: Scene, id: str, owners: dict[str, str], ours: list[dict[str, Any]]
) -> dict[str, Any]:
    """One provider's part of the verdict."""
    provider = scene.providers[id]
    bills = provider.cdrs()
    mine = {session for session, owner in owners.items() if owner == id}
    delivered = sum(
        each["energy_wh"] for each in ours if each["kind"] == "session" and each["id"] in mine
    )
    billed = sum(Decimal(each["total_energy"]) for each in bills)
    return {
        "version": provider.part.version,
        "hub": None if provider.part.hub is None else str(scene.hubs[provider.part.hub].us),
        "sessions": len(provider.emsp.store.sessions),
        "cdrs": len(bills),
        "kwh": str(billed),
        "money": str(sum((_gross(each) for each in bills), Decimal(0))),
        "mismatches": list(_differences(provider, mine, billed * 1000 - delivered)),
        "leaks": list(_leaks(scene, provider, mine, ours)),
    }


def _gross(cdr: dict[str, Any]) -> Decimal:
    cost = cdr["total_cost"]
    return Decimal(cost.get("incl_vat", cost["excl_vat"]))


def _differences(provider: Provider, mine: set[str], off: Decimal) -> Iterator[str]:
    id, emsp = provider.part.id, provider.emsp
    has = {
        "driven": provider.charged,
        "sessions": len(emsp.store.sessions),
        "bills": len(provider.cdrs()),
        "sessions shown": len(provider.pulled.get("sessions", ())),
        "bills shown": len(provider.pulled.get("cdrs", ())),
    }
    yield from (f"{id}: {n} {what} of {len(mine)}" for what, n in has.items() if n != len(mine))
    if off:
        yield f"{id}: billed {off} Wh more than delivered"
    yield from (f"{id}: cost: {each}" for each in emsp.cost_differences)
    yield from (f"{id}: drive {d.number}: {d.problem}" for d in provider.drives if not d.ok)


def _leaks(
    scene: Scene, provider: Provider, mine: set[str], ours: list[dict[str, Any]]
) -> Iterator[str]:
    """What of others reached this provider: in its copies, in requests to it, in what it was shown,
    in what its hub sent on to it, in our own belief of whose it is."""
    id, sessions = provider.part.id, {e["id"] for e in ours if e["kind"] == "session"} - mine
    bills = {
        each["id"] for each in ours if each["kind"] == "cdr" and each["session_id"] not in mine
    }
    others = sessions | bills
    for module in ("sessions", "cdrs"):
        seen = set(provider.pulled.get(module, ()))
        seen |= {key[-1] for key in getattr(provider.emsp.store, module)}
        seen |= {each.object_id for each in provider.emsp.pushes(module) if each.object_id}
        yield from (f"{id} saw {module}/{each}" for each in sorted(_same(seen, others)))
        for hub in scene.hubs:
            for passage in hub.passed(module, id):
                if any(each in json.dumps(passage.body, default=str) for each in others):
                    yield f"{hub.us} sent {passage.method} {passage.path} on to {id}"
    for line in ours:
        if line["kind"] in ("session", "cdr") and line["partner"] == id and line["id"] in others:
            yield f"we take {line['kind']} {line['id']} for {id}'s"


def _same(seen: set[str], others: set[str]) -> set[str]:
    """Ids without case, as OCPI compares them."""
    return {each for each in others if each.upper() in {found.upper() for found in seen}}


def _complaints(scene: Scene) -> Iterator[str]:
    parties = {str(each.us): each.complaints for each in scene.hubs}
    parties |= {id: each.emsp.complaints for id, each in scene.providers.items()}
    for id, complaints in parties.items():
        yield from (f"{id} complains: {each}" for each in complaints)


def _report(scene: Scene, figures: dict[str, Any], report: Path | None) -> int:
    if report is not None:
        report.write_text(json.dumps(figures, indent=2) + "\n")
    columns = ("OCPI", "hub", "sessions", "CDRs", "kWh", "INR", "wrong", "seen of others")
    table = Table("provider", *columns, box=SIMPLE_HEAD, pad_edge=False)  # 80 columns
    for id, row in figures["providers"].items():
        names = ("version", "hub", "sessions", "cdrs", "kwh", "money")
        shown = [str(row[name] or "-") for name in names]
        table.add_row(id, *shown, str(len(row["mismatches"])), str(len(row["leaks"])))
    console.print(table)
    wrong = [f"LEAK {each}" for each in figures["leaks"]]
    wrong += [f"MISMATCH {each}" for each in figures["mismatches"]]
    for each in wrong[:20]:
        console.print(each, markup=False, soft_wrap=True)
    console.print(f"{figures['sessions']} sessions, {len(wrong)} faults")
    return 1 if wrong else 0
