"""O04: whatever fails while things change, the partner's copies end as ours, each change after the other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from cms.domain.cdr import credit
from cms.domain.ids import CdrId, EvseRef, LocationId, StationId, TariffId
from cms.domain.session import Session, SessionStatus
from cms.domain.status import ConnectorReport
from cms.store.memory import MemoryStore
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.partner import Emsp
from tests.conformance.ocpi.world import OPERATOR, Asker, World, now, running, shelf
from tests.harness.figures import size
from tests.reliability.conftest import Judge

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(300),
]

ALL_TIME = "date_from=2020-01-01T00:00:00Z&limit=1000"
MODULES = ("locations", "tariffs", "sessions", "cdrs")
STEPS = 30


@dataclass(slots=True)
class Life:
    """A CPO that may be started again, its partner, and what happens to them.

    Attributes:
        trail: what was done, for whoever has to find out.
        bills: what each bill was made of, to correct it later.
    """

    dice: random.Random
    store: MemoryStore
    emsp: Emsp
    stack: AsyncExitStack
    cpo: World
    trail: list[str] = field(default_factory=list)
    open: list[Session] = field(default_factory=list)
    bills: list[Any] = field(default_factory=list)
    down: bool = False
    lives: int = 1

    @property
    def evses(self) -> list[EvseRef]:
        stations = self.cpo.catalogue.stations.values()
        return [evse.ref for station in stations for evse in station.evses]


async def reported(life: Life) -> None:
    reports = (ConnectorReport.FREE, ConnectorReport.CHARGING, ConnectorReport.FAULTED)
    await life.cpo.report(life.dice.choice(life.evses), life.dice.choice(reports))


async def site_changed(life: Life) -> None:
    site = life.dice.choice(list(life.cpo.catalogue.locations.values()))
    named = replace(site, name=f"Name {life.dice.randrange(1000)}", city=life.dice.choice("ABC"))
    await life.cpo.administration.put_location(named, OPERATOR)


async def site_added(life: Life) -> None:
    number = len(life.cpo.catalogue.locations) + 1
    site = LocationId(f"PUNE-{number}")
    await life.cpo.add_site(site)
    await life.cpo.add_station(StationId(f"CS{number}"), site=site)


async def tariff_changed(life: Life) -> None:
    id = life.dice.choice((TariffId("AC-18"), TariffId("DC-20")))
    price = f"{life.dice.randrange(10, 30)}.00"
    await life.cpo.administration.put_tariff(shelf(id, price), OPERATOR)


async def session_begun(life: Life) -> None:
    life.open.append(await life.cpo.session(delivered_wh=0, status=SessionStatus.PENDING))


async def session_goes_on(life: Life) -> None:
    if life.open:
        own = life.open.pop(life.dice.randrange(len(life.open)))
        more = own.delivered_wh + life.dice.randrange(1, 900)
        own = replace(own, status=SessionStatus.ACTIVE, delivered_wh=more)
        life.open.append(await life.cpo.keep(own))


async def session_ends(life: Life) -> None:
    if life.open:
        own = life.open.pop(life.dice.randrange(len(life.open)))
        life.bills.append(await life.cpo.settle(own))


async def bill_credited(life: Life) -> None:
    from tests.conformance.ocpi.test_money import keep_bill

    if life.bills:
        bill = life.bills.pop(life.dice.randrange(len(life.bills)))
        await keep_bill(life.cpo, credit(bill, CdrId(f"{bill.id[:34]}-C"), now()))


async def answers_fail(life: Life) -> None:
    kinds = (
        Kind.CLOSE,
        Kind.CUT_AFTER,
        Kind.CUT_WITHIN,
        Kind.HTTP_AFTER,
        Kind.BAD_JSON,
        Kind.HTML,
        Kind.HTTP,
        Kind.SLOW,
    )
    fault = Fault(
        life.dice.choice(kinds),
        life.dice.choice((*MODULES, "*")),
        times=life.dice.randrange(1, 4),
        http=502,
        seconds=0.05,
    )
    life.emsp.faults.add(fault)


async def partner_goes(life: Life) -> None:
    if not life.down:
        await life.emsp.go_down()
        life.down = True


async def partner_comes(life: Life) -> None:
    if life.down:
        await life.emsp.come_back()
        life.down = False
        if life.dice.random() < 0.3:  # from a backup: it has lost what it heard last
            life.emsp.store.locations.clear()
            await life.cpo.service.sync(_party(life.emsp), "test")


async def we_restart(life: Life) -> None:
    await life.stack.aclose()
    life.cpo = await life.stack.enter_async_context(_cpo(life.store))
    life.lives += 1
    for own in life.open:
        life.cpo.live.put_session(own)


async def a_moment(life: Life) -> None:
    await asyncio.sleep(life.dice.random() * 0.1)


Step = Callable[[Life], Awaitable[None]]
WEIGHTS: dict[Step, int] = {
    reported: 6,
    site_changed: 3,
    site_added: 1,
    tariff_changed: 2,
    session_begun: 4,
    session_goes_on: 6,
    session_ends: 4,
    bill_credited: 1,
    answers_fail: 5,
    partner_goes: 1,
    partner_comes: 2,
    we_restart: 1,
    a_moment: 6,
}


def _cpo(store: MemoryStore | None = None) -> Any:
    return running(
        store,
        request_timeout=timedelta(seconds=2),
        backoff_cap=timedelta(seconds=0.2),
        parked_retry=timedelta(seconds=1),
    )


def _party(emsp: Emsp) -> Any:
    return f"{emsp.us.country_code}*{emsp.us.party_id}"


async def _lived(dice: random.Random) -> tuple[Life, list[str]]:
    """Live one life and compare what the partner holds in the end with what we hold."""
    async with Emsp() as emsp, AsyncExitStack() as stack:
        cpo = await stack.enter_async_context(_cpo())
        await cpo.small_network()
        await cpo.connect(emsp)
        life = Life(dice, cpo.store, emsp, stack, cpo)
        for step in dice.choices(list(WEIGHTS), list(WEIGHTS.values()), k=STEPS):
            life.trail.append(step.__name__)
            await step(life)
        await partner_comes(life)
        emsp.faults.clear()
        return life, await _quiet(life)


async def _quiet(life: Life, within: float = 20.0) -> list[str]:
    """Wait until nothing differs any more; returns what still does."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        life.cpo.service.retry(_party(life.emsp))
        await Asker(life.cpo.base, life.emsp.connection.outbound)("GET", "/versions")
        differs = await _differences(life)
        if not differs or asyncio.get_running_loop().time() > deadline:
            return differs
        await asyncio.sleep(0.1)


async def _differences(life: Life) -> list[str]:
    ask, found = Asker(life.cpo.base, life.emsp.connection.outbound), []
    for module in MODULES:
        heard = await ask("GET", f"/2.2.1/{module}?{ALL_TIME}")
        ours = {each["id"]: _plain(each, module) for each in heard.data}
        copies = getattr(life.emsp.store, module)
        theirs = {key[-1]: _plain(each, module) for key, each in copies.items()}
        folded = {id.upper(): each for id, each in ours.items()}
        for id in sorted({*folded} | {id.upper() for id in theirs}):
            mine = folded.get(id)
            other = next((each for key, each in theirs.items() if key.upper() == id), None)
            if mine != other:
                found.append(f"{module} {id}: {_first_difference(mine, other)}")
    return found


def _plain(value: Any, module: str = "") -> Any:
    """Comparable whatever the numbers were read as; a partner dates a patched location itself."""
    if isinstance(value, dict):
        skip = {"last_updated"} if module == "locations" else set[str]()
        return {k: _plain(v) for k, v in value.items() if k not in skip and v is not None}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float | int | Decimal) and not isinstance(value, bool):
        return Decimal(str(value)).normalize()
    return value


def _first_difference(mine: Any, other: Any) -> str:
    if isinstance(mine, dict) and isinstance(other, dict):
        names = [n for n in sorted({*mine, *other}) if mine.get(n) != other.get(n)]
        return f"{names[0]}: ours {mine.get(names[0])}, theirs {other.get(names[0])}"[:300]
    return f"ours {mine is not None}, theirs {other is not None}"


async def test_o04_random_failures_under_change(scenario: Judge) -> None:
    with scenario("O04", mutant="unclear-counts-as-told") as this:
        dice = random.Random(this.seed)
        differs, complaints, twice, lives = list[str](), list[str](), 0, 0
        for _ in range(size("O04_LIVES", 25)):
            life, left = await _lived(random.Random(dice.random()))
            differs += left
            complaints += [str(each) for each in life.emsp.complaints if each.field != "tariffs"]
            twice += sum(count - 1 for count in life.emsp.store.cdr_copies.values())
            lives += life.lives
            this.n += len(life.trail)
            # a bill of this bed is of the first price, which a later one may have overtaken
            if left or life.emsp.complaints:
                this.wrong(" ".join(life.trail), *left, *life.emsp.complaints)
        this.facts["lives"] = lives
        this.figure("divergences", len(differs))
        this.figure("order_inversions", sum("older" in each for each in complaints))
        this.figure("doubled_periods", sum("doubled" in each for each in complaints))
        this.figure("other_complaints", len(complaints))
        this.figure("bills_twice", twice)
