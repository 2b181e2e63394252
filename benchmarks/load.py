"""The load generator: its own process, told what to do by JSON lines on standard input.

It answers each line with one JSON line. The CPU of the server under test is read here, at the
edges of the measured window, so that no start or end of a run is counted.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle as endless

import uvloop

from benchmarks import messages, meter, orders
from benchmarks.charger import Charger, Hot, Refused
from benchmarks.orders import Json
from benchmarks.summary import percentile
from benchmarks.wire import template, upgrade

PASSWORD = "bench-password-0123456789"
ADDRESSES_PER_NET = 250
PACE_S = 0.002
QUIET_NS = 10_000_000
"""CPU in a fifth of a second below which a server is at rest."""


@dataclass(slots=True)
class Tally:
    """What was counted since the last reset."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0

    def answered(self, seconds: float, good: bool) -> None:
        self.seconds.append(seconds)
        if not good:
            self.errors += 1

    def summary(self) -> Json:
        if not self.seconds:
            return {"count": 0, "errors": self.errors}
        return {
            "count": len(self.seconds),
            "errors": self.errors,
            "p50_ms": percentile(self.seconds, 50) * 1e3,
            "p99_ms": percentile(self.seconds, 99) * 1e3,
            "max_ms": max(self.seconds) * 1e3,
        }


@dataclass(slots=True)
class Group:
    """Chargers that talk to one server.

    Attributes:
        lost: connections that ended without our wish since the last reset.
    """

    port: int
    version: str
    names: list[str]
    chargers: list[Charger] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    lost: int = 0

    def gone(self, charger: Charger) -> None:
        self.lost += 1


_STATUSES = ("Unavailable", "Available")

TEXTS = {
    "heartbeat": (messages.HEARTBEAT,),
    "status_same": (messages.STATUS_16.replace("<status>", "Available"),),
    "status_changed": (
        messages.STATUS_16.replace("<status>", "Unavailable"),
        messages.STATUS_16.replace("<status>", "Available"),
    ),
    "meter_values": (messages.METER_VALUES,),
    "transaction_event": (messages.EVENT_UPDATED,),
    "authorize": (messages.AUTHORIZE,),
}


class Load:
    def __init__(self) -> None:
        self.groups: dict[str, Group] = {}

    # -- connecting

    async def do_connect(
        self,
        group: str,
        port: int,
        prefix: str,
        first: int,
        count: int,
        version: str = "1.6",
        at_once: int = 100,
        boot: bool = True,
    ) -> Json:
        """Connect and boot *count* more chargers, *at_once* in flight at the same time."""
        held = self.groups.setdefault(group, Group(port, version, []))
        names = [f"{prefix}{number:05d}" for number in range(first, first + count)]
        held.names += names
        return await self._arrive(held, names, at_once, boot)

    async def do_drop(self, group: str) -> Json:
        """Break all connections off without a word."""
        held = self.groups[group]
        for charger in held.chargers:
            charger.abort()
        held.chargers.clear()
        await asyncio.sleep(0.1)
        return {}

    async def do_storm(self, group: str) -> Json:
        """Break all connections off and let every charger come back at the same moment."""
        held = self.groups[group]
        for charger in held.chargers:
            charger.abort()
        held.chargers.clear()
        return await self._arrive(held, list(held.names), len(held.names), True)

    async def _arrive(self, held: Group, names: list[str], at_once: int, boot: bool) -> Json:
        begun = time.perf_counter()
        gate = asyncio.Semaphore(at_once)
        boots = Tally()
        refused: dict[int, int] = {}

        async def one(name: str) -> None:
            async with gate:
                held.chargers.append(await self._persist(held, name, boot, boots, refused))

        await asyncio.gather(*(one(name) for name in names))
        return {
            "connected": len(held.chargers),
            "seconds": time.perf_counter() - begun,
            "boots": boots.summary(),
            "refused": {str(status): count for status, count in refused.items()},
        }

    async def _persist(
        self,
        held: Group,
        name: str,
        boot: bool,
        boots: Tally,
        refused: dict[int, int],
    ) -> Charger:
        """Try until the charger is in and booted, as firmware does."""
        for attempt in range(60):
            charger = _charger(held, name)
            try:
                await _connect(charger, held.port, int(name[-5:]))
                if boot:
                    await _boot(charger, held.version, boots)
            except (Refused, OSError, TimeoutError) as error:
                charger.abort()
                status = error.status if isinstance(error, Refused) else -1
                refused[status] = refused.get(status, 0) + 1
                await asyncio.sleep(random.uniform(0.5, 1.5) * min(attempt + 1, 5))
                continue
            charger.on_lost = held.gone
            return charger
        raise RuntimeError(f"{name} is not let in: {refused}")

    # -- transactions

    async def do_open_transactions(self, group: str) -> Json:
        """Let every charger start the one transaction whose meter values are measured."""
        held = self.groups[group]
        await asyncio.gather(*(_open(charger, held.version) for charger in held.chargers))
        return {}

    async def do_starts(
        self, group: str, evses: int, cycles: int, pid: int, tag: str = "T{name}{evse:02d}"
    ) -> Json:
        """Start *evses* new transactions per charger, one in flight each; then stop them all.

        Only the starts are measured. The stops between them make room on the EVSEs.
        """
        held = self.groups[group]
        tally, cpu, wall, client = Tally(), 0, 0.0, 0.0
        for cycle in range(cycles):
            before, begun, own = meter.cpu_ns(pid), time.perf_counter(), time.process_time()
            await asyncio.gather(
                *(_start_all(each, evses, tag, tally, cycle) for each in held.chargers)
            )
            cpu += meter.cpu_ns(pid) - before
            wall += time.perf_counter() - begun
            client += time.process_time() - own
            await asyncio.gather(*(_stop_all(each) for each in held.chargers))
            await _quiet(pid)  # bills of what was stopped are made later, and are not counted
        return {
            **tally.summary(),
            "cpu_ns": cpu,
            "seconds": wall,
            "client_core": client / wall,
            "lost": held.lost,
        }

    # -- drivers before the reader

    async def do_authorize(
        self, group: str, kinds: Json, turn: int, timeout: float, first: int | None = None
    ) -> Json:
        """Let every charger ask about one card, all at the same moment; each turn has its cards.

        Args:
            first: so many chargers only; None = all.
            kinds: of cards, by the prefix of their names, with the answer that is right; charger
                after charger gets one of the next kind.
            timeout: seconds after which a charger gives up.
        """
        held = self.groups[group]
        names = list(kinds)
        tallies = {kind: Tally() for kind in kinds}
        lost = []

        async def one(number: int, charger: Charger) -> None:
            kind = names[number % len(names)]
            tag = f"{kind}{turn * len(held.chargers) + number:05d}"
            begun = time.perf_counter()
            try:
                answer = await charger.call(messages.AUTHORIZE, timeout, tag=tag)
            except TimeoutError:
                lost.append(tag)
                return
            took = time.perf_counter() - begun
            tallies[kind].answered(took, answer["idTagInfo"]["status"] == kinds[kind])

        await asyncio.gather(*(one(*each) for each in enumerate(held.chargers[:first])))
        seconds = [each for tally in tallies.values() for each in tally.seconds]
        wrong = sum(each.errors for each in tallies.values())
        return {
            **Tally(seconds, wrong).summary(),
            "timed_out": lost,
            "kinds": {kind: each.summary() for kind, each in tallies.items()},
        }

    # -- hot loops

    async def do_run(self, group: str, kind: str, seconds: float, warm: float, pid: int) -> Json:
        """Keep one call of *kind* in flight on every connection, for *seconds* after *warm*."""
        held = self.groups[group]
        held.lost = 0
        running = True
        pending = 0
        done = asyncio.Event()
        hot = {charger.name: _hot(kind, charger) for charger in held.chargers}

        def answered(charger: Charger, took: float, good: bool) -> None:
            nonlocal pending
            held.tally.answered(took, good)
            if running:
                charger.write(next(hot[charger.name]))
                return
            pending -= 1
            if pending == 0:
                done.set()

        for charger in held.chargers:
            charger.on_answer = answered
            pending += 1
            charger.write(next(hot[charger.name]))
        await asyncio.sleep(warm)
        held.tally = Tally()
        cpu, begun, own = meter.cpu_ns(pid), time.perf_counter(), time.process_time()
        await asyncio.sleep(seconds)
        cpu, wall = meter.cpu_ns(pid) - cpu, time.perf_counter() - begun
        own = time.process_time() - own
        result = held.tally.summary()
        running = False
        async with asyncio.timeout(30):
            await done.wait()
        for charger in held.chargers:
            charger.on_answer = None
        return {
            **result,
            "cpu_ns": cpu,
            "seconds": wall,
            "client_core": own / wall,
            "lost": held.lost,
        }

    async def do_paced(self, group: str, kind: str, per_second: int, seconds: float) -> Json:
        """Send *per_second* calls of *kind*, spread evenly over time and connections.

        A latency counts from the sending; where the call before was still in flight when the next
        one was due, it counts from then. The sender wakes up every few milliseconds, so that it
        takes no core for itself.
        """
        held = self.groups[group]
        tally = Tally()
        counted_from: dict[str, float] = {}
        hot = {charger.name: _hot(kind, charger) for charger in held.chargers}

        def answered(charger: Charger, _took: float, good: bool) -> None:
            tally.answered(time.perf_counter() - counted_from.pop(charger.name), good)

        for charger in held.chargers:
            charger.on_answer = answered
        begun, lateness = time.perf_counter(), []
        for number in range(int(per_second * seconds)):
            at = begun + number / per_second
            while time.perf_counter() < at:  # noqa: ASYNC110
                await asyncio.sleep(PACE_S)
            charger = held.chargers[number % len(held.chargers)]
            busy = charger.name in counted_from
            while charger.name in counted_from:  # noqa: ASYNC110
                await asyncio.sleep(PACE_S)
            now = time.perf_counter()
            lateness.append(now - at)
            counted_from[charger.name] = at if busy else now
            charger.write(next(hot[charger.name]))
        async with asyncio.timeout(30):
            while counted_from:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for charger in held.chargers:
            charger.on_answer = None
        wall = time.perf_counter() - begun
        return {
            **tally.summary(),
            "seconds": wall,
            "sender_late_p99_ms": percentile(lateness, 99) * 1e3,
        }

    async def do_changes(self, group: str, per_second: int, seconds: float) -> Json:
        """Change the status of one charger after the other, evenly; tell when each was sent.

        A charger whose last change is not answered yet is passed over, and its turn counts as
        missed pace.
        """
        held = self.groups[group]
        tally = Tally()
        busy: set[str] = set()
        sent: dict[str, list[tuple[float, float, str]]] = {}
        hot = {
            charger.name: {
                status: Hot(template(messages.STATUS_16, status=status)) for status in _STATUSES
            }
            for charger in held.chargers
        }

        def answered(charger: Charger, took: float, good: bool) -> None:
            busy.discard(charger.name)
            tally.answered(took, good)

        for charger in held.chargers:
            charger.on_answer = answered
        begun, number, total = time.perf_counter(), 0, int(per_second * seconds)
        while number < total:
            while number < min((time.perf_counter() - begun) * per_second, total):
                charger = held.chargers[number % len(held.chargers)]
                number += 1
                if charger.name not in busy:
                    busy.add(charger.name)
                    status = _next_status(charger)
                    moments = (time.monotonic(), time.time(), status)
                    sent.setdefault(charger.name, []).append(moments)
                    charger.write(hot[charger.name][status])
            await asyncio.sleep(PACE_S)
        async with asyncio.timeout(30):
            while busy:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for charger in held.chargers:
            charger.on_answer = None
        return {**tally.summary(), "seconds": time.perf_counter() - begun, "sent": sent}


def _next_status(charger: Charger) -> str:
    before = charger.memory.get("status", _STATUSES[1])
    status: str = _STATUSES[0] if before == _STATUSES[1] else _STATUSES[1]
    charger.memory["status"] = status
    return status


def _charger(held: Group, name: str) -> Charger:
    protocol = "ocpp1.6" if held.version == "1.6" else "ocpp2.0.1"
    host = f"127.0.0.1:{held.port}"
    return Charger(name, upgrade(f"/ocpp/{name}", host, protocol, name, PASSWORD))


async def _connect(charger: Charger, port: int, number: int) -> None:
    """Connect from an address of its own, as chargers do: limits per address stay as they are."""
    net, host = divmod(number, ADDRESSES_PER_NET)
    source = (f"127.1.{net}.{host + 1}", 0)
    await asyncio.get_running_loop().create_connection(
        lambda: charger, "127.0.0.1", port, local_addr=source
    )
    await charger.opened()


async def _boot(charger: Charger, version: str, boots: Tally) -> None:
    text = messages.BOOT_16 if version == "1.6" else messages.BOOT_201
    begun = time.perf_counter()
    answer = await charger.call(text, station=charger.name)
    boots.answered(time.perf_counter() - begun, answer.get("status", "Accepted") == "Accepted")


async def _open(charger: Charger, version: str) -> None:
    tag = f"T{charger.name}00"
    if version == "1.6":
        answer = await charger.call(messages.START, connector="1", tag=tag)
        charger.memory["transaction"] = str(answer["transactionId"])
        return
    transaction = f"{charger.name}-{time.time_ns()}"
    await charger.call(messages.EVENT_STARTED, transaction=transaction, tag=tag)
    charger.memory["transaction"] = transaction


async def _start_all(charger: Charger, evses: int, tag: str, tally: Tally, cycle: int) -> None:
    started = charger.memory.setdefault("started", [])
    for evse in range(1, evses + 1):
        made = template(
            messages.START, connector=str(evse), tag=tag.format(name=charger.name, evse=evse - 1)
        )
        hot = Hot(made, 100_000_001 + cycle)
        begun = time.perf_counter()
        answer = await charger.send(hot)
        good = answer["idTagInfo"]["status"] == "Accepted" and answer["transactionId"] > 0
        tally.answered(time.perf_counter() - begun, good)
        started.append(answer["transactionId"])


async def _quiet(pid: int) -> None:
    """Wait until the server does next to nothing."""
    calm = 0
    for _ in range(300):
        before = meter.cpu_ns(pid)
        await asyncio.sleep(0.2)
        calm = calm + 1 if meter.cpu_ns(pid) - before < QUIET_NS else 0
        if calm == 3:
            return


async def _stop_all(charger: Charger) -> None:
    for transaction in charger.memory["started"]:
        await charger.call(messages.STOP, transaction=str(transaction))
    charger.memory["started"].clear()


def _hot(kind: str, charger: Charger) -> Iterator[Hot]:
    """Return the frames that this charger sends in turn; their numbers go on from run to run."""
    held: dict[str, Iterator[Hot]] = charger.memory.setdefault("hot", {})
    if kind not in held:
        known = {
            "transaction": charger.memory.get("transaction", "1234567890"),
            "tag": f"T{charger.name}00",
        }
        held[kind] = endless([Hot(template(text, **known)) for text in TEXTS[kind]])
    return held[kind]


async def main() -> None:
    await orders.serve(orders.of(Load()))


if __name__ == "__main__":
    meter.raise_file_limit()
    meter.pin(meter.LOAD_CORE)
    uvloop.run(main())
