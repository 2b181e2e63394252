"""O06: a bill that was wrong after it was sent: one credit, one new bill, sums right to the paisa."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulators.emsp import Complaint, Emsp
from tests.harness.charger import plugged, stamp, start16, stop16
from tests.harness.figures import size
from tests.harness.network import CARD, Network
from tests.harness.partners import registered
from tests.harness.server import Api, Server, serving
from tests.harness.standing import living
from tests.reliability.conftest import Judge

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(240),
]

OLD, NEW = Decimal("18.00"), Decimal("13.37")
CHEAP = {
    "id": "DC-13",
    "currency": "INR",
    "basis": "gross",
    "taxes": [{"name": "CGST", "percent": "9"}, {"name": "SGST", "percent": "9"}],
    "price_per_kwh": str(NEW),
}


def price(wh: int, per_kwh: Decimal) -> Decimal:
    """What *wh* cost with all taxes, half up, computed by nobody else's code."""
    exact = Decimal(wh) * per_kwh / 1000
    return exact.quantize(Decimal("0.01"), ROUND_HALF_UP)


def copies(emsp: Emsp) -> Counter[str]:
    return Counter(line["id"] for line in emsp.ledger.of("cdr") if line["stored"])


def owed(emsp: Emsp) -> Decimal:
    """What the partner's copies come to, taxes included."""
    costs = (Decimal(str(each["total_cost"]["incl_vat"])) for each in emsp.store.cdrs.values())
    return sum(costs, Decimal(0))


async def charged(network: Network, number: int, wh: int, late_wh: int | None) -> None:
    """One whole session; *late_wh*: another stop with other energy comes once it is billed."""
    tag = CARD.format(number=number)
    async with plugged(network, number) as charger:
        began = await charger.call("StartTransaction", start16(tag, 1_000, stamp(hours=1)))
        transaction = began["transactionId"]
        await charger.call("StopTransaction", stop16(transaction, 1_000 + wh, stamp(minutes=1)))
        if late_wh is not None:
            await asyncio.sleep(0.5)  # settled by then; the charger knows nothing of it
            late = stop16(transaction, 1_000 + late_wh, stamp(minutes=1))
            await charger.call("StopTransaction", late)


async def contradicted(api: Api) -> list[dict[str, Any]]:
    return [each for each in await api.work_items() if each["type"] == "conflicting_stop"]


async def corrected_by_hand(server: Server, api: Api, late: dict[str, int]) -> int:
    """An operator follows each contradicting stop; returns how many verbs failed."""
    failed = 0
    async with asyncio.timeout(30):
        while len(await contradicted(api)) < len(late):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    for item in await contradicted(api):
        session = item["subject"].removeprefix("session:")
        wh = item["evidence"]["contradicts"]["register_wh"] - 1_000
        code, text = await server.cli(
            "bills", "correct", "--id", session, "--kwh", str(Decimal(wh) / 1000),
            "--reason", "late stop", "--apply",
        )  # fmt: skip
        failed += code != 0 or "done" not in text
    return failed


async def killed_in_the_middle(server: Server, run: str, emsp: Emsp, before: int) -> None:
    """Carry *run* out and kill the server once some of its bills are out."""
    async with server.api() as api:

        async def carry_out() -> None:
            with suppress(aiohttp.ClientError, TimeoutError, AssertionError):
                await api.post(f"/corrections/{run}/apply")

        asking = asyncio.create_task(carry_out())
        await emsp.wait_for(lambda: len(copies(emsp)) > before, 30)
        await server.kill()
        await asking
    await server.start()


async def test_o06_corrected_after_the_bill_was_sent(tmp_path: Path, scenario: Judge) -> None:
    """Late stops are corrected by hand; then all bills of the partner get another price."""
    count, odd = size("O06_SESSIONS", 12), 3
    network = Network(tmp_path, chargers=count, own_cards=False)
    with scenario("O06", mutant="credit-anew") as this:
        random_ = random.Random(this.seed)
        energy = [random_.randrange(1_000, 20_000) for _ in range(count)]
        late = {n: energy[n] + random_.randrange(1, 5_000) for n in range(odd)}
        async with serving(network) as server, server.api() as api:
            async with registered(server, cards=range(count)) as emsp:
                for number, wh in enumerate(energy):
                    await charged(network, number, wh, late.get(number))
                await emsp.wait_for(lambda: len(copies(emsp)) == count, 60)
                first = sum(price(wh, OLD) for wh in energy)
                this.figure("wrong_at_first_paise", int(abs(owed(emsp) - first) * 100))

                failed = await corrected_by_hand(server, api, {str(n): n for n in late})
                await emsp.wait_for(lambda: len(copies(emsp)) == count + 2 * odd, 60)
                true = [late.get(number, wh) for number, wh in enumerate(energy)]
                middle = sum(price(wh, OLD) for wh in true)
                this.figure("wrong_after_late_stops_paise", int(abs(owed(emsp) - middle) * 100))

                await api.put("/tariffs/DC-13", CHEAP)
                asked = {"partner": "IN*EMP", "tariff": "DC-13", "reason": "wrong price"}
                run = await api.post("/corrections", asked)
                shown = Decimal(run["sums"][0]["difference"])
                told = sum(price(wh, NEW) for wh in true) - middle
                this.figure("shown_beside_computed_paise", int(abs(shown - told) * 100))
                await killed_in_the_middle(server, run["id"], emsp, len(copies(emsp)))
                expected = 3 * count + 2 * odd  # each a bill, a credit, a bill; the odd ones twice
                with suppress(TimeoutError):
                    await emsp.wait_for(lambda: len(copies(emsp)) >= expected, 60)
                code, _ = await server.cli("bills", "apply", run["id"])
                await asyncio.sleep(1)  # whatever came twice would be here by now
                final = sum(price(wh, NEW) for wh in true)
                this.n = count
                this.facts["bills"] = len(copies(emsp))
                this.figure("wrong_at_last_paise", int(abs(owed(emsp) - final) * 100))
                this.figure("verbs_failed", failed + (code != 0))
                this.figure("credited_not_once", _not_once(emsp))
                this.figure("twice", sum(n - 1 for n in copies(emsp).values()))
                wrong = [each for each in emsp.complaints if not _of_corrected_energy(each)]
                this.figure("partner_complains", len(wrong))
                this.figure("bills_beside", abs(expected - len(copies(emsp))))
                this.wrong(*wrong)
            await living(this, server)


def _of_corrected_energy(complaint: Complaint) -> bool:
    """A completed session stays as it was told, so a bill of corrected energy differs from it."""
    return (complaint.where, complaint.field) == ("POST cdrs", "total_energy")


def _not_once(emsp: Emsp) -> int:
    """Bills that were taken back more than once, or stand beside their replacement."""
    credits = Counter(
        each["credit_reference_id"] for each in emsp.store.cdrs.values() if each.get("credit")
    )
    sessions = Counter(
        each["session_id"] for each in emsp.store.cdrs.values()
        if not each.get("credit") and each["id"] not in credits
    )  # fmt: skip
    twice = sum(count - 1 for count in credits.values())
    return twice + sum(count - 1 for count in sessions.values())
