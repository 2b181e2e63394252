"""O11: a command that is repeated, late or never answered starts one charge at most, and each is billed."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ocpi_cpo.wire import authorization, dumps
from simulators.emsp import Emsp, Fault, Kind
from simulators.emsp.commands import Command
from tests.harness.charger import Charger, Json, plugged, stamp, start16, status16, stop16
from tests.harness.network import Network
from tests.harness.partners import registered
from tests.harness.server import Server, serving
from tests.harness.standing import living
from tests.reliability.conftest import Judge

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(240),
]

REPEATS = 5
START, STOP = "RemoteStartTransaction", "RemoteStopTransaction"


@dataclass(slots=True)
class Bed:
    """A server and a partner, and what came of the partner's commands."""

    network: Network
    server: Server
    emsp: Emsp
    wrong: list[str] = field(default_factory=list)
    extra_starts: int = 0
    extra_stops: int = 0
    extra_results: int = 0

    def command(self, name: str, **body: Any) -> Command:
        """A command that a test sends by itself, as often as it likes."""
        command = Command(str(uuid.uuid4()), name, body)
        command.body["response_url"] = f"{self.emsp.url('commands')}/{name}/{command.id}"
        command.answer, command.answered = "ACCEPTED", 0.0
        self.emsp.commands[command.id] = command
        return command

    def start(self, number: int) -> Command:
        token = self.emsp.tokens.add(f"APP-{number}-{uuid.uuid4()}"[:36], type="APP_USER")
        return self.command(
            "START_SESSION",
            token=token,
            location_id="SITE-0",
            evse_uid=self.evse(number),
            authorization_reference=str(uuid.uuid4()),
        )

    def evse(self, number: int) -> str:
        wanted = self.network.identity(number).casefold()
        for site in self.emsp.store.locations.values():
            for evse in site["evses"]:
                if wanted in str(evse["uid"]).casefold():
                    return str(evse["uid"])
        raise LookupError(wanted)

    async def send(self, command: Command, request_ids: list[str]) -> list[str]:
        """Send *command* once under each id, all at once; returns the answers."""
        url = self.emsp.connection.endpoints["commands", "RECEIVER"] + f"/{command.name}"
        headers = {
            "Authorization": authorization(self.emsp.connection.outbound or ""),
            "Content-Type": "application/json",
        }

        async def once(id: str) -> str:
            async with aiohttp.ClientSession() as http:
                more = {**headers, "X-Request-ID": id, "X-Correlation-ID": id}
                async with http.post(url, data=dumps(command.body), headers=more) as answer:
                    told: Json = await answer.json()
                    return str((told.get("data") or {}).get("result"))

        return list(await asyncio.gather(*(once(id) for id in request_ids)))

    def count(self, charger: Charger, action: str) -> int:
        return sum(name == action for name, _ in charger.received)

    async def charge(self, charger: Charger, tag: str, wh: int = 500) -> None:
        began = await charger.call("StartTransaction", start16(tag, 1_000, stamp(minutes=5)))
        assert began["idTagInfo"]["status"] == "Accepted", began
        number = began["transactionId"]
        await charger.call("StopTransaction", stop16(number, 1_000 + wh, stamp(), tag))

    async def billed(self, command: Command) -> None:
        """Wait for the one bill that carries the command's reference."""
        await self.emsp.wait_for(lambda: self._bills()[command.reference or "?"] >= 1, 20)

    def _bills(self) -> Counter[str]:
        return Counter(
            str(cdr.get("authorization_reference")) for cdr in self.emsp.store.cdrs.values()
        )


async def same_start_again(bed: Bed, number: int) -> None:
    """Five times at once and five times later; half under the same request id."""
    async with plugged(bed.network, number) as charger:
        await charger.call("StatusNotification", status16("Preparing"))
        command = bed.start(number)
        same = ["one-id"] * REPEATS
        for ids in (same, [str(uuid.uuid4()) for _ in range(REPEATS)], same):
            answers = await bed.send(command, ids)
            bed.wrong += [f"a repeated start was answered {a}" for a in answers if a != "ACCEPTED"]
        await command.result()
        bed.extra_starts += bed.count(charger, START) - 1
        await bed.charge(charger, (await charger.called(START))["idTag"])
        await bed.billed(command)
        bed.extra_results += len(command.results) - 1


async def late_car(bed: Bed, number: int) -> None:
    """The charger is silent, the partner hears TIMEOUT, and the car starts all the same."""
    async with plugged(bed.network, number) as charger:
        await charger.call("StatusNotification", status16("Preparing"))
        charger.answers[START] = None
        command = bed.start(number)
        await bed.send(command, ["r1"])
        asked = await charger.called(START)
        result = await command.result()
        if result != "TIMEOUT":
            bed.wrong.append(f"a silent charger was told as {result}")
        await bed.charge(charger, asked["idTag"])
        await bed.billed(command)
        bed.extra_starts += bed.count(charger, START) - 1
        bed.extra_results += len(command.results) - 1


async def deaf_partner(bed: Bed, number: int) -> None:
    """The address for the result takes the request and cuts the line: told once, never again."""
    async with plugged(bed.network, number) as charger:
        await charger.call("StatusNotification", status16("Preparing"))
        fault = bed.emsp.faults.add(Fault(Kind.CLOSE, "commands", "POST"))
        command = bed.start(number)
        await bed.send(command, ["r1"])
        await bed.charge(charger, (await charger.called(START))["idTag"])
        await bed.emsp.wait_for(lambda: fault.hits > 0, 20)
        await bed.billed(command)
        bed.emsp.faults.clear(fault)
        bed.extra_results += fault.hits - 1 + len(command.results)
        bed.extra_starts += bed.count(charger, START) - 1


async def same_stop_again(bed: Bed, number: int) -> None:
    async with plugged(bed.network, number) as charger:
        await charger.call("StatusNotification", status16("Preparing"))
        start = bed.start(number)
        await bed.send(start, ["r1"])
        tag = (await charger.called(START))["idTag"]
        began = await charger.call("StartTransaction", start16(tag, 1_000, stamp(minutes=5)))
        reference = start.reference
        await bed.emsp.wait_for(lambda: _session(bed.emsp, reference) is not None, 20)
        session = _session(bed.emsp, reference)
        stop = bed.command("STOP_SESSION", session_id=(session or {})["id"])
        for ids in (["s"] * REPEATS, [str(uuid.uuid4()) for _ in range(REPEATS)]):
            answers = await bed.send(stop, ids)
            bed.wrong += [f"a repeated stop was answered {a}" for a in answers if a != "ACCEPTED"]
        await stop.result()
        bed.extra_stops += bed.count(charger, STOP) - 1
        stopped = stop16(began["transactionId"], 1_700, stamp(), tag)
        await charger.call("StopTransaction", stopped)
        await bed.billed(start)
        bed.extra_results += len(stop.results) - 1 + len(start.results) - 1


async def car_that_never_comes(bed: Bed, number: int) -> None:
    """Accepted and nothing plugged in: no session, no bill."""
    async with plugged(bed.network, number) as charger:
        await charger.call("StatusNotification", status16("Preparing"))
        command = bed.start(number)
        await bed.send(command, ["r1"])
        await charger.called(START)
        await command.result()
        if _session(bed.emsp, command.reference) is not None:
            bed.wrong.append("a session without a car")


def _session(emsp: Emsp, reference: str | None) -> Json | None:
    found = emsp.store.sessions.values()
    return next((s for s in found if s.get("authorization_reference") == reference), None)


WAYS = (same_start_again, late_car, deaf_partner, same_stop_again, car_that_never_comes)


async def test_o11_repeated_late_and_lost_commands(tmp_path: Path, scenario: Judge) -> None:
    rounds = 2
    network = Network(
        tmp_path,
        chargers=rounds * len(WAYS),
        own_cards=False,
        more={"ocpp": {"call_timeout_seconds": 1}},
    )
    with scenario("O11", mutant="every-request-is-a-new-wish") as this:
        async with serving(network) as server:
            async with registered(server) as emsp:
                await emsp.wait_for(lambda: emsp.store.locations, 20)
                bed = Bed(network, server, emsp)
                for number in range(rounds * len(WAYS)):
                    await WAYS[number % len(WAYS)](bed, number)
                    this.n += 1
                billed = bed._bills()
                this.wrong(*bed.wrong, *emsp.complaints)
                this.figure("extra_starts", bed.extra_starts)
                this.figure("extra_stops", bed.extra_stops)
                this.figure("extra_results", bed.extra_results)
                this.figure("unbilled", rounds * (len(WAYS) - 1) - len(billed))
                this.figure("billed_twice", sum(each - 1 for each in billed.values()))
                this.figure("wrong_answers", len(bed.wrong))
                this.figure("partner_complains", len(emsp.complaints))
            await living(this, server)
