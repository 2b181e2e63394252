"""D01 to D06: what a charger repeats, mixes up or forgets costs nobody anything."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from simulators.faults import FaultProxy, fault_proxy
from tests.harness.charger import (
    CallErrorReceived,
    Charger,
    Json,
    event201,
    plugged,
    stamp,
    start16,
    stop16,
    values16,
)
from tests.harness.figures import size
from tests.harness.network import CARD, Network
from tests.harness.server import Server, serving
from tests.harness.standing import living
from tests.reliability.conftest import Judge

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(180),
]

START_WH = 1_000


def sessions_of(ledger: list[Json], identity: str) -> list[Json]:
    return [line for line in ledger if line["kind"] == "session" and line["station"] == identity]


def cdrs_of(ledger: list[Json], session: str) -> list[Json]:
    return [line for line in ledger if line["kind"] == "cdr" and line["session_id"] == session]


async def settled(server: Server, identity: str, count: int, within: float = 15) -> list[Json]:
    """Wait until *count* bills for *identity* exist; returns the ledger."""
    async with asyncio.timeout(within):
        while True:
            ledger = await server.ledger()
            ids = {each["id"] for each in sessions_of(ledger, identity)}
            bills = [line for line in ledger if line["kind"] == "cdr" and line["session_id"] in ids]
            if len(bills) >= count:
                return ledger
            await asyncio.sleep(0.05)


# ---------------------------------------------------------------- D01


class LostStart:
    """One start whose answer a fault proxy swallows, and the charger's repetitions of it."""

    def __init__(self, server: Server, proxy: FaultProxy, number: int, version: str) -> None:
        self.server = server
        self.network = server.network
        self.proxy = proxy
        self.number = number
        self.version = version
        self.tag = CARD.format(number=number) if number % 5 else "NOBODYS-CARD"
        self.at = stamp()
        self.answers: list[Json] = []
        self.id = f"start-{number}"

    def plug(self) -> Any:
        url = f"ws://127.0.0.1:{self.proxy.port}/ocpp"
        return plugged(self.network, self.number, self.version, url=url)

    def payload(self, retry: bool) -> tuple[str, Json]:
        if self.version == "1.6":
            return "StartTransaction", start16(self.tag, START_WH, self.at)
        offline = {"offline": True} if retry else {}
        body = event201("Started", f"T-{self.number}", 0, START_WH, self.at, self.tag, **offline)
        return "TransactionEvent", body

    async def lose(self, charger: Charger) -> None:
        self.proxy.down.swallow = 1
        before = self.proxy.messages_swallowed
        asking = asyncio.create_task(charger.call(*self.payload(False), id=self.id, timeout=60))
        await self.proxy.swallowed(before + 1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    async def again(self, charger: Charger, same_id: bool) -> None:
        id = self.id if same_id else None
        self.answers.append(await charger.call(*self.payload(True), id=id))

    async def run(self, tries: int, same_id: bool, way: str) -> None:
        async with self.plug() as charger:
            await self.lose(charger)
            if way == "same socket":
                for _ in range(tries):
                    await self.again(charger, same_id)
                return
        if way == "restart":
            await self.server.kill()
            await self.server.start()
        for _ in range(tries):
            async with self.plug() as charger:
                await self.again(charger, same_id)

    def expected(self) -> str:
        return "Accepted" if self.number % 5 else "Invalid"

    def verdicts(self) -> set[str]:
        name = "idTagInfo" if self.version == "1.6" else "idTokenInfo"
        return {answer[name]["status"] for answer in self.answers}


async def test_d01_a_start_whose_answer_was_lost_is_answered_as_the_first_time(
    network: Network, scenario: Judge
) -> None:
    ways = [
        (version, tries, same_id, way)
        for version in ("1.6", "2.0.1")
        for tries, same_id in ((1, True), (2, False), (5, True), (3, False))
        for way in ("same socket", "new socket")
    ]
    ways += [(version, 2, same_id, "restart") for version in ("1.6", "2.0.1") for same_id in (0, 1)]
    network.chargers = len(ways)
    with scenario("D01", mutant="new-id-on-duplicate") as this:
        wrong_count = differing = 0
        async with serving(network) as server:
            async with fault_proxy("127.0.0.1", network.ocpp_port, this.seed) as proxy:
                starts = []
                for number, (version, tries, same_id, way) in enumerate(ways):
                    start = LostStart(server, proxy, number, version)
                    await start.run(tries, bool(same_id), way)
                    starts.append(start)
            ledger = await server.ledger()
            for start in starts:
                found = sessions_of(ledger, network.identity(start.number))
                wrong_count += len(found) != 1
                told = {str(answer.get("transactionId")) for answer in start.answers}
                if start.version == "2.0.1":
                    told = {f"T-{start.number}"}
                ours = {each["transaction_id"] for each in found}
                if told != ours or start.verdicts() != {start.expected()}:
                    differing += 1
                    this.wrong(f"{ways[start.number]}: {start.answers} but {found}")
                this.n += len(start.answers)
            this.figure("not_one_session", wrong_count)
            this.figure("differing_answers", differing)
            this.figure("callerrors", 0)
            await living(this, server)


# ---------------------------------------------------------------- D02


async def test_d02_the_same_start_through_two_processes_is_one_transaction(
    postgres_url: str, scenario: Judge
) -> None:
    from cms.app import writes as w
    from cms.app.ports import SessionQuery
    from cms.domain.ids import SessionId, TransactionId
    from cms.store.opening import open_store
    from tests.contract import samples as x
    from tests.contract.conftest import Watch

    rounds = size("D02_ROUNDS", 1_000)
    with scenario("D02", mutant="no-unique-key") as this:
        watch = Watch()

        def unit(round: int, side: int) -> list[w.Write]:
            number = TransactionId(str(round * 2 + side + 1))
            session = SessionId(f"s{round}-{side}")
            frame = x.frame(
                f"start {round}".encode(), session=session, ack=w.Ack(number), transaction=number
            )
            return [frame, w.PutSession(x.session(session, transaction=number))]

        async with open_store(postgres_url, watch) as one, open_store(postgres_url, watch) as two:
            twice = differing = 0
            for first in range(0, rounds, 20):
                numbers = range(first, min(first + 20, rounds))
                said = await asyncio.gather(
                    *(one.commit(unit(n, 0)) for n in numbers),
                    *(two.commit(unit(n, 1)) for n in numbers),
                )
                half = len(numbers)
                for a, b in zip(said[:half], said[half:], strict=True):
                    this.n += 1
                    fresh = [each for each in (a, b) if each.first is None]
                    twice += len(fresh) != 1
                    told = {each.first.transaction for each in (a, b) if each.first is not None}
                    differing += len(told) != 1
            _, total = await one.sessions(SessionQuery())
        this.figure("duplicates", twice)
        this.figure("differing_answers", differing)
        this.figure("sessions_beyond_rounds", abs(total - rounds))


# ---------------------------------------------------------------- D03


async def test_d03_starts_that_only_look_alike_are_never_merged(
    network: Network, scenario: Judge
) -> None:
    network.evses = 2
    rounds = size("D03_ROUNDS", 25)
    with scenario("D03", mutant="key-without-register") as this:
        merged = 0
        async with serving(network) as server:
            async with plugged(network) as charger:
                for index in range(rounds):
                    at, base = stamp(), START_WH + index
                    looks = [
                        start16(CARD.format(number=0), base * 10, at),
                        start16(CARD.format(number=0), base * 10, at, connector=2),
                        start16(CARD.format(number=0), base * 10 + 1, at),
                        start16(CARD.format(number=1), base * 10, at),
                    ]
                    answers = [await charger.call("StartTransaction", each) for each in looks]
                    ids = {answer["transactionId"] for answer in answers}
                    merged += len(looks) - len(ids)
                    this.n += len(looks)
                    for answer in answers:
                        body = stop16(answer["transactionId"], base * 10 + 500, stamp())
                        await charger.call("StopTransaction", body)
            found = sessions_of(await server.ledger(), network.identity(0))
            this.figure("wrongly_merged", merged)
            this.figure("sessions_missing", abs(this.n - len(found)))
            await living(this, server)


# ---------------------------------------------------------------- D04


async def test_d04_a_repeated_stop_is_acknowledged_and_the_first_one_holds(
    network: Network, scenario: Judge
) -> None:
    network.chargers = 6
    with scenario("D04", mutant="conflict-hidden") as this:
        async with serving(network) as server:
            for number in range(network.chargers):
                restart = number % 3 == 2
                await _stopped_again_and_again(server, number, restart)
                this.n += 1
            bills = conflicts = energy = 0
            ledger = await settled(server, network.identity(0), 1)
            async with server.api() as api:
                items = await api.work_items()
            for number in range(network.chargers):
                (session,) = sessions_of(ledger, network.identity(number))
                bills += abs(1 - len(cdrs_of(ledger, session["id"])))
                energy += abs(session["energy_wh"] - 5_000)
                subject = f"session:{session['id']}"
                about = [each for each in items if each["subject"] == subject]
                listed = [each for each in about if each["type"] == "conflicting_stop"]
                if not any(_both_values(each["evidence"]) for each in listed):
                    conflicts += 1
                    this.wrong(f"{session}: {about}")
            this.figure("bills_beyond_one", bills)
            this.figure("delta_wh", energy)
            this.figure("conflicts_not_listed", conflicts)
            await living(this, server)


def _both_values(evidence: Json) -> bool:
    text = str(evidence)
    return str(START_WH + 5_000) in text and str(START_WH + 9_000) in text


async def _stopped_again_and_again(server: Server, number: int, restart: bool) -> None:
    """A whole session, then the same stop twice more, then one that says something else."""
    version = "1.6" if number % 2 == 0 else "2.0.1"
    network, tag, at = server.network, CARD.format(number=number), stamp(minutes=5)
    transaction: Any = f"T-{number}"
    async with plugged(network, number, version) as charger:
        if version == "1.6":
            answer = await charger.call("StartTransaction", start16(tag, START_WH, at))
            transaction = answer["transactionId"]
        else:
            begin = event201("Started", transaction, 0, START_WH, at, tag)
            await charger.call("TransactionEvent", begin)
        stop = _stop(version, transaction, START_WH + 5_000, stamp(minutes=1))
        await charger.call(*stop)
    await settled(server, network.identity(number), 1)
    if restart:
        await server.kill()
        await server.start()
    async with plugged(network, number, version) as charger:
        await charger.call(*stop)
        await charger.call(*stop)
        await charger.call(*_stop(version, transaction, START_WH + 9_000, stamp()))


def _stop(version: str, transaction: Any, wh: int, at: str) -> tuple[str, Json]:
    if version == "1.6":
        return "StopTransaction", stop16(transaction, wh, at)
    return "TransactionEvent", event201("Ended", transaction, 1, wh, at)


# ---------------------------------------------------------------- D05


async def test_d05_nobody_touches_another_chargers_transaction(
    network: Network, scenario: Judge
) -> None:
    guesses = size("D05_GUESSES", 250)
    with scenario("D05", mutant="transactions-of-everybody") as this:
        dice = random.Random(this.seed)
        errors = 0
        async with serving(network) as server:
            async with plugged(network, 0) as owner, plugged(network, 1) as thief:
                answer = await owner.call(
                    "StartTransaction", start16(CARD.format(number=0), START_WH, stamp())
                )
                theirs = answer["transactionId"]
                before = sessions_of(await server.ledger(), network.identity(0))
                ids = [theirs] * 5 + [dice.randrange(1, 2**31) for _ in range(guesses)]
                for id in ids:
                    wh = START_WH + dice.randrange(10_000)
                    for action, body in (
                        ("MeterValues", values16(id, wh, stamp())),
                        ("StopTransaction", stop16(id, wh, stamp(), CARD.format(number=1))),
                    ):
                        try:
                            await thief.call(action, body)
                        except CallErrorReceived:
                            errors += 1
                        this.n += 1
                ledger = await server.ledger()
                changed = sessions_of(ledger, network.identity(0)) != before
                async with server.api() as api:
                    items = await api.work_items()
                stop = stop16(theirs, START_WH + 700, stamp())
                await owner.call("StopTransaction", stop)
            ledger = await settled(server, network.identity(0), 1)
            (session,) = sessions_of(ledger, network.identity(0))
            about_thief = [each for each in items if each["charger"] == network.identity(1)]
            foreign = [each for each in about_thief if each["type"] == "foreign_transaction"]
            kept = Counter(line["station"] for line in ledger if line["kind"] == "journal")[
                network.identity(1)
            ]
            this.figure("sessions_changed", int(changed))
            this.figure("delta_wh", abs(session["energy_wh"] - 700))
            this.figure("callerrors", errors)
            this.figure("security_items_missing", int(not foreign))
            this.figure("frames_not_kept", max(0, this.n - kept))
            this.facts["work_items"] = len(about_thief)
            await living(this, server)


# ---------------------------------------------------------------- D06


async def test_d06_a_stop_without_a_transaction_is_kept_and_joined_once_with_its_start(
    network: Network, scenario: Judge
) -> None:
    kinds: list[Any] = [-1, 0, 123_456_789, None]
    network.chargers = 2 * len(kinds)
    with scenario("D06", mutant="orphans-dropped") as this:
        orphans_missing = energy = joined_wrong = errors = 0
        async with serving(network) as server:
            for number in range(network.chargers):
                errors += await _orphan(server, number, kinds[number % len(kinds)])
                this.n += 1
            async with server.api() as api:
                items = await api.work_items()
            for number in range(network.chargers):
                mine = [each for each in items if each["charger"] == network.identity(number)]
                if not any(each["type"] == "orphan_stop" for each in mine):
                    orphans_missing += 1
                    this.wrong(f"{kinds[number % len(kinds)]}: no orphan among {mine}")
            for number in range(len(kinds)):  # the start of half of them turns up after all
                async with plugged(network, number) as charger:
                    late = start16(CARD.format(number=number), START_WH, stamp(minutes=9))
                    first = await charger.call("StartTransaction", late)
                    again = await charger.call("StartTransaction", late)
                    joined_wrong += first != again
                ledger = await settled(server, network.identity(number), 1)
                found = sessions_of(ledger, network.identity(number))
                bills = [bill for each in found for bill in cdrs_of(ledger, each["id"])]
                joined_wrong += len(found) != 1 or len(bills) != 1
                energy += sum(abs(bill["energy_wh"] - 4_000) for bill in bills)
                if len(found) != 1 or len(bills) != 1:
                    this.wrong(f"{kinds[number]}: {found} {bills}")
            this.figure("orphans_not_listed", orphans_missing)
            this.figure("joined_wrongly", joined_wrong)
            this.figure("delta_wh", energy)
            this.figure("callerrors", errors)
            await living(this, server)


async def _orphan(server: Server, number: int, id: int | None) -> int:
    """Samples and the stop of a transaction whose start never came. Returns how many CALLERRORs."""
    errors = 0
    tag = CARD.format(number=number)
    async with plugged(server.network, number) as charger:
        for action, body in (
            ("MeterValues", values16(id, START_WH + 2_000, stamp(minutes=5))),
            ("StopTransaction", stop16(id, START_WH + 4_000, stamp(minutes=1), tag)),
        ):
            try:
                await charger.call(action, body)
            except CallErrorReceived:
                errors += 1
    return errors
