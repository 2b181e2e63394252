"""The whole product in this process, with simulated chargers and partners on its sockets.

Chargers and partners share no code with the product; they know the wire. What a test wants to see
it sees where an operator, a partner or a charger would: over the API, in the partner's copies, in
the charger's frames; only what nobody outside can see is looked up inside.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from cms.bootstrap import Running, running
from cms.config import Config, checked
from cms.domain.ids import EvseRef, StationId
from cms.domain.status import EvseState
from simulators.emsp import Emsp
from simulators.habits import QUICK_BACKOFF
from simulators.ledger import Ledger
from simulators.station import StationConfig, StationSimulator
from tests.harness.network import CARD, Network, password
from tests.harness.server import Api

Json = dict[str, Any]
T = TypeVar("T")

VERSIONS = ("1.6", "2.0.1")
STARTS = {"1.6": "RemoteStartTransaction", "2.0.1": "RequestStartTransaction"}
STOPS = {"1.6": "RemoteStopTransaction", "2.0.1": "RequestStopTransaction"}
CAPABILITIES = ["REMOTE_START_STOP_CAPABLE", "RFID_READER", "RESERVABLE", "UNLOCK_CAPABLE"]
KEEP_POLLING_SECONDS = 0.02
"""For what the live picture does not announce (bills read from the store, answers over HTTP)."""


@dataclass(slots=True)
class Product:
    """A running product.

    Attributes:
        api: ``/api/v1`` as the operator.
        ledger: what the simulated chargers delivered.
    """

    server: Running
    network: Network
    api: Api
    ledger: Ledger
    _stack: AsyncExitStack = field(repr=False)

    # -- who takes part

    async def station(
        self, number: int = 0, version: str = "1.6", *, boots: bool = True, **more: Any
    ) -> StationSimulator:
        """Plug in charger *number*; with *boots*, returns once it is booted.

        Args:
            more: fields of ``StationConfig``.
        """
        identity = self.network.identity(number)
        given: Json = {
            "identity": identity,
            "url": self.network.ocpp_url,
            "version": version,
            "password": password(identity),
            "sample_interval": 0.4,
            "power_w": 60_000,  # what the described connector can deliver: bills are plausible
            "backoff": QUICK_BACKOFF,
        }
        config = StationConfig(**(given | more))
        station = await self._stack.enter_async_context(StationSimulator(config, self.ledger))
        if boots:
            await station.booted()
            await station.statuses_sent()
        return station

    async def partner(self, party_id: str = "EMP", **more: Any) -> Emsp:
        """Let a partner register with us; returns once it has our locations."""
        emsp = await self._stack.enter_async_context(
            Emsp(country_code="IN", party_id=party_id, **more)
        )
        body = {"id": f"IN*{party_id}", "name": emsp.name, "allow_private_addresses": True}
        invitation = await self.api.post("/partners", body)
        await emsp.register(invitation["url"], invitation["token"])
        await emsp.refresh("locations")
        await emsp.refresh("tariffs")
        return emsp

    def url(self, path: str) -> str:
        return f"{self.network.base}{path}"

    # -- waiting

    async def until(self, probe: Callable[[], T | None], timeout: float = 15) -> T:
        """Wait until *probe* gives something true; asked again after every change.

        Raises:
            TimeoutError: after *timeout* seconds.
        """
        live = self.server.parts.live
        async with asyncio.timeout(timeout):
            while True:
                changed = asyncio.ensure_future(live.changed())
                try:
                    await asyncio.sleep(0)  # be registered before reading
                    if found := probe():
                        return found
                    await asyncio.wait([changed], timeout=KEEP_POLLING_SECONDS)
                finally:
                    changed.cancel()

    async def until_told(self, path: str, true: Callable[[Any], Any], timeout: float = 15) -> Any:
        """Ask the API for *path* until *true* holds for the answer; returns the answer."""
        async with asyncio.timeout(timeout):
            while True:
                if true(found := await self.api.get(path)):
                    return found
                await asyncio.sleep(KEEP_POLLING_SECONDS)

    # -- looking

    def evse(self, number: int = 0, evse: int = 1) -> EvseState:
        """The live state of an EVSE of charger *number*."""
        ref = EvseRef(StationId(self.network.identity(number)), evse)
        return self.server.parts.live.evse(ref)

    def uid(self, number: int = 0, evse: int = 1) -> str:
        return f"{self.network.identity(number)}-{evse}"

    async def charger(self, number: int = 0) -> Json:
        found: Json = await self.api.get(f"/chargers/{self.network.identity(number)}")
        return found

    async def session(self, number: int = 0, timeout: float = 15) -> Json:
        """The newest session of charger *number*, as soon as there is one."""
        path = f"/sessions?charger={self.network.identity(number)}"
        told = await self.until_told(path, lambda found: found["sessions"], timeout)
        newest: Json = told["sessions"][0]
        return newest

    async def bill(self, session: str | None = None, timeout: float = 15) -> Json:
        """The bill of *session*, or the only bill there is."""

        def mine(told: Json) -> list[Json]:
            return [each for each in told["cdrs"] if session in (None, each["session"])]

        found = mine(await self.until_told("/cdrs", mine, timeout))
        assert len(found) == 1, found
        return found[0]

    async def work(self, kind: str, timeout: float = 15) -> Json:
        """The one open work item of that type, as soon as there is one."""

        def such(items: list[Json]) -> list[Json]:
            return [each for each in items if each["type"] == kind]

        items = such(await self.until_told("/work-items", such, timeout))
        assert len(items) == 1, items
        return items[0]


def config_of(network: Network, capabilities: Sequence[str] = CAPABILITIES, **more: Any) -> Config:
    """The config of *network*; *more* are whole sections that replace those of the same name.

    Every EVSE has *capabilities* unless it says otherwise.
    """
    sections = network.config() | more
    for charger in sections["chargers"]:
        for evse in charger["evses"]:
            evse.setdefault("capabilities", list(capabilities))
    return checked(Config.model_validate(sections))


@asynccontextmanager
async def product(
    folder: Path,
    *,
    chargers: int = 1,
    evses: int = 1,
    database: str | None = None,
    more: dict[str, Json] | None = None,
    topology: dict[str, list[Json]] | None = None,
    **sections: Any,
) -> AsyncIterator[Product]:
    """Run the product over a network of so many chargers, each with its password and one card.

    Args:
        more: keys laid over the sections of the config.
        topology: locations, chargers, tariffs in place of the made-up ones.
        sections: whole sections of the config (``enrolment``, ``tariff_rules`` ...).
    """
    network = Network(
        folder, chargers=chargers, evses=evses, database=database, prefix="CS-", more=more or {}
    )
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            running(config_of(network, **sections, **(topology or {})))
        )
        headers = {"Authorization": f"Bearer {server.operator_key}"}
        timeout = aiohttp.ClientTimeout(total=30)
        http = await stack.enter_async_context(
            aiohttp.ClientSession(headers=headers, timeout=timeout)
        )
        guests = await stack.enter_async_context(AsyncExitStack())
        yield Product(server, network, Api(http, network.base), Ledger(), guests)


def card(number: int = 0) -> str:
    """Our own driver's tag."""
    return CARD.format(number=number)


def evse_copy(emsp: Emsp, uid: str) -> Json | None:
    """What the partner holds of one of our EVSEs."""
    for location in emsp.store.locations.values():
        for evse in location.get("evses") or []:
            if evse["uid"] == uid:
                found: Json = evse
                return found
    return None


def fault_free(emsp: Emsp) -> None:
    """The partner has nothing to complain about, and its own sums agree with every bill."""
    assert not emsp.complaints, emsp.complaints
    assert not emsp.cost_differences, emsp.cost_differences
