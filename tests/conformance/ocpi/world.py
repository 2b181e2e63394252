"""A small CPO on loopback for the OCPI tests: the real core in memory, the real OCPI edge, HTTP.

The charging stations are a fake link that answers as it is told; what sessions and bills become is
written straight to the store, as the core's use cases do in one commit.
"""

from __future__ import annotations

import asyncio
import io
import socket as sockets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import aiohttp
from aiohttp import web

from cms.app.administration import Administration, By
from cms.app.authorising import Authoriser
from cms.app.catalogue import Catalogue
from cms.app.charging import Charging
from cms.app.lanes import Lanes
from cms.app.live import LiveState
from cms.app.preferring import Preferring
from cms.app.profiling import Profiling
from cms.app.remote import Remote
from cms.app.reserving import Reserving
from cms.app.running import RunningPrices
from cms.app.settling import Settling
from cms.app.stations import StationDesk, Stations
from cms.app.supervision import Supervisor
from cms.app.writes import PutCdr, PutSession, Touch, Write, moved
from cms.domain.cdr import Cdr, CdrPlace
from cms.domain.commands import Answer, Command, Outcome
from cms.domain.ids import (
    CdrId,
    EvseRef,
    EvseUid,
    LocationId,
    PartnerId,
    SessionId,
    StationId,
    TariffId,
    TransactionId,
)
from cms.domain.partner import Partner
from cms.domain.rating import Rating, rate
from cms.domain.session import Session, SessionStatus
from cms.domain.status import ConnectorReport, Presence
from cms.domain.tariff import Basis, Dimension, Element, PriceComponent, Tariff, Tax
from cms.domain.token import AuthMethod, Token, TokenType, Whitelist
from cms.domain.topology import (
    ChargingStation,
    Connector,
    ConnectorFormat,
    Coordinates,
    Evse,
    Location,
    PowerType,
)
from cms.domain.usage import Usage, UsageKind
from cms.store.memory import MemoryStore
from ocpi_cpo.config import OcpiConfig, OwnParty
from ocpi_cpo.service import OcpiService
from ocpi_cpo.wire import authorization, dumps, loads
from simulators.emsp.partner import Emsp

OPERATOR = By("test")
EMP = PartnerId("IN*EMP")
OTHER = PartnerId("IN*OTH")
SITE = LocationId("PUNE-1")
STATION = StationId("CS1")
EVSE = EvseRef(STATION, 1)
SHELF = TariffId("AC-18")


class FakeLink:
    """Answers commands as told; by default every station accepts at once.

    Attributes:
        answers: per type of command, in place of *answer*.
    """

    def __init__(self) -> None:
        self.sent: list[Command] = []
        self.answer = Answer(Outcome.ACCEPTED)
        self.answers: dict[type, Answer] = {}
        self.held: asyncio.Event | None = None

    async def send(self, command: Command) -> Answer:
        self.sent.append(command)
        if self.held is not None:
            await self.held.wait()
        return self.answers.get(type(command), self.answer)

    async def disconnect(self, station: StationId, why: str) -> None:
        """Nothing is connected."""


@dataclass
class World:
    """The CPO under test.

    Attributes:
        store: shared with a second CPO in tests of restarts.
    """

    service: OcpiService
    store: MemoryStore
    live: LiveState
    catalogue: Catalogue
    administration: Administration
    remote: Remote
    profiling: Profiling
    reserving: Reserving
    desk: StationDesk
    settling: Settling
    link: FakeLink
    base: str
    secrets: list[str] = field(default_factory=list)
    forgotten: list[tuple[PartnerId, str]] = field(default_factory=list)

    @property
    def versions_url(self) -> str:
        return f"{self.base}/versions"

    # -- the network

    async def add_site(self, id: LocationId = SITE, **more: Any) -> Location:
        site = Location(
            id,
            PartnerId("IN*CPO"),
            "12 Karve Road",
            "Pune",
            "IND",
            Coordinates(Decimal("18.5081"), Decimal("-73.8077")),
            "Asia/Kolkata",
            name="Karve Road",
            created_at=now(),
        )
        return await self.administration.put_location(replace(site, **more), OPERATOR)

    async def add_station(
        self, id: StationId = STATION, site: LocationId = SITE, evses: int = 1, **more: Any
    ) -> ChargingStation:
        plugs = (
            Connector(
                1,
                "IEC_62196_T2",
                ConnectorFormat.SOCKET,
                PowerType.AC_3_PHASE,
                230,
                32,
                tariffs=(SHELF,),
            ),
        )
        station = ChargingStation(
            id,
            site,
            tuple(
                Evse(EvseRef(id, n), EvseUid(f"{id}-{n}"), plugs, f"IN*CPO*E{id}{n}")
                for n in range(1, evses + 1)
            ),
            created_at=now(),
        )
        await self.administration.put_station(replace(station, **more), OPERATOR)
        return self.catalogue.stations[id]

    async def add_tariff(self, id: TariffId = SHELF, price: str = "18.00") -> Tariff:
        return await self.administration.put_tariff(shelf(id, price), OPERATOR)

    async def small_network(self) -> None:
        """One site, one station that is online and free, one tariff."""
        await self.add_tariff()
        await self.add_site()
        await self.add_station()
        await self.report(EVSE, ConnectorReport.FREE)

    async def report(self, ref: EvseRef, report: ConnectorReport) -> None:
        """An online station reports one connector."""
        before = self.live.evse(ref)
        place = self.catalogue.place(ref)
        assert place is not None
        after = before.with_presence(Presence.ONLINE).with_report(1, report)
        done = await self.store.commit(moved(place.location.id, after))
        self.live.publish(done.touched, [after])

    async def vanish(self, ref: EvseRef) -> None:
        """A station's grace is over."""
        after = self.live.evse(ref).with_presence(Presence.OFFLINE)
        place = self.catalogue.place(ref)
        assert place is not None
        done = await self.store.commit(moved(place.location.id, after))
        self.live.publish(done.touched, [after])

    # -- sessions and bills

    async def session(self, owner: PartnerId = EMP, **more: Any) -> Session:
        """A session runs, and its owner is to hear of it."""
        begun = now() - timedelta(hours=1)
        new = Session(
            SessionId(str(uuid4())),
            STATION,
            1,
            SessionStatus.ACTIVE,
            begun,
            begun,
            "04AABB",
            transaction=TransactionId(uuid4().hex[:8]),
            connector=1,
            location=SITE,
            token=token(owner),
            owner=owner,
            currency="INR",
            delivered_wh=1500,
        )
        told = replace(new, **more)
        if told.status not in (SessionStatus.PENDING, SessionStatus.RESERVED):
            told = replace(told, activated_at=told.activated_at or told.started_at)
        return await self.keep(told)

    async def keep(self, session: Session, *more: Write) -> Session:
        done = await self.store.commit(
            [PutSession(session), Touch("session", session.id, session.owner), *more]
        )
        self.live.put_session(session)
        self.live.publish(done.touched)
        return session

    async def settle(self, session: Session) -> Cdr:
        """Close *session* and make its bill, in one commit."""
        ended = now()
        bill = bill_of(replace(session, ended_at=ended))
        closed = replace(session, status=SessionStatus.COMPLETED, ended_at=ended)
        await self.keep(closed, PutCdr(bill), Touch("cdr", bill.id, session.owner))
        self.live.drop_session(session.id)
        return bill

    # -- partners

    async def invite(self, partner: PartnerId = EMP, private: bool = True) -> str:
        return await self.service.invite(
            Partner(partner, str(partner), allow_private_addresses=private), "test"
        )

    async def connect(self, emsp: Emsp) -> None:
        """The partner registers with us."""
        us = PartnerId(str(emsp.us))
        await emsp.register(self.versions_url, await self.invite(us))


@dataclass
class Heard:
    http: int
    headers: Any
    envelope: Any

    @property
    def code(self) -> int:
        found: int = self.envelope["status_code"]
        return found

    @property
    def data(self) -> Any:
        return self.envelope.get("data")


class Asker:
    """A bare HTTP client with a credentials token, for what a good partner never does."""

    def __init__(self, base: str, token: str | None) -> None:
        self.base = base
        self.token = token

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
        authorization_header: str | None = None,
    ) -> Heard:
        sent = dict(headers or {})
        if authorization_header is not None:
            sent["Authorization"] = authorization_header
        elif self.token is not None:
            sent["Authorization"] = authorization(self.token)
        content = raw if raw is not None else None if body is None else dumps(body)
        payload = None if content is None else io.BytesIO(content)
        url = path if path.startswith("http") else f"{self.base}{path}"
        async with aiohttp.ClientSession() as http:
            async with http.request(
                method, url, data=payload, headers=sent, allow_redirects=False
            ) as answer:
                return Heard(answer.status, answer.headers, loads(await answer.read()))


def now() -> datetime:
    return datetime.now(UTC)


def shelf(id: TariffId = SHELF, price: str = "18.00") -> Tariff:
    """A gross shelf price per kWh, 18 % tax included."""
    return Tariff(
        id,
        "INR",
        (Element((PriceComponent(Dimension.ENERGY, Decimal(price)),)),),
        Basis.GROSS,
        (Tax("GST", Decimal(18)),),
    )


def token(owner: PartnerId = EMP, uid: str = "04AABB", **more: Any) -> Token:
    new = Token(
        owner,
        uid,
        TokenType.RFID,
        f"{owner.replace('*', '-')}-C1",
        "Simulated Mobility",
        True,
        Whitelist.ALLOWED,
        last_updated=now(),
    )
    return replace(new, **more)


def bill_of(session: Session) -> Cdr:
    assert session.ended_at is not None
    wh = session.delivered_wh
    usages = [Usage(session.started_at, session.ended_at, wh, UsageKind.CHARGING)]
    rating = rate(shelf(), usages, ZoneInfo("Asia/Kolkata"))
    place = CdrPlace(
        SITE,
        PartnerId("IN*CPO"),
        "12 Karve Road",
        "Pune",
        "IND",
        Coordinates(Decimal("18.5081"), Decimal("-73.8077")),
        "Asia/Kolkata",
        STATION,
        1,
        EvseUid("CS1-1"),
        1,
        "IEC_62196_T2",
        ConnectorFormat.SOCKET,
        PowerType.AC_3_PHASE,
        evse_id="IN*CPO*ECS11",
    )
    return Cdr(
        CdrId(f"C{session.id}"[:36]),
        session.id,
        session.owner,
        place,
        session.token,
        AuthMethod.WHITELIST,
        session.started_at,
        session.ended_at,
        wh,
        session.ended_at - session.started_at,
        timedelta(0),
        rating,
        (shelf(),),
        session.ended_at,
        rating.total,
    )


async def until(probe: Callable[[], Any], timeout: float = 5.0) -> None:
    """Wait for something in memory that no event announces."""
    async with asyncio.timeout(timeout):
        while not probe():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def until_kept(
    rows: Callable[[], Awaitable[Sequence[Any]]], least: int = 1, timeout: float = 5.0
) -> None:
    """Wait until the store has *least* rows of something."""
    async with asyncio.timeout(timeout):
        while len(await rows()) < least:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(
    store: MemoryStore | None = None, leftovers: Sequence[Any] = (), **config: Any
) -> AsyncIterator[World]:
    """A CPO that listens on loopback and pushes, until the block ends."""
    store = store or MemoryStore(now)
    live, catalogue, lanes, link = LiveState(), Catalogue(), Lanes(), FakeLink()
    kept = await store.restore()
    catalogue.restore(kept)
    live.restore(kept.last_updated)
    for state in kept.evses:
        live.put(state)
    administration = Administration(store, catalogue, live, lanes, link, now)
    remote = Remote(store, live, catalogue, link, now)
    profiling = Profiling(store, live, catalogue, remote, link, now)
    await profiling.restore()
    secrets: list[str] = []
    forgotten: list[tuple[PartnerId, str]] = []

    async def so_far(session: Session) -> Rating | None:
        return await running_prices.so_far(session)

    runner_app = web.Application()
    runner = web.AppRunner(runner_app, access_log=None, shutdown_timeout=0.2)
    socket = _bound()
    base = f"http://127.0.0.1:{socket.getsockname()[1]}/ocpi"
    service = OcpiService(
        store,
        live,
        catalogue,
        administration,
        now,
        OcpiConfig(
            **{
                "base_url": base,
                "parties": (OwnParty("IN", "CPO", "Pune Charging"),),
                "poll": timedelta(seconds=0.5),
                **config,
            }
        ),
        profiling=profiling,
        running_price=so_far,
        secret=secrets.append,
        forget=lambda partner, uid: forgotten.append((partner, uid)),
    )
    authoriser = Authoriser(
        catalogue,
        service.authority,
        remote.start_of,
        now,
        Supervisor().errand,
        card_of=remote.reservations.card,
    )
    charging = Charging(store, live, catalogue, lanes, authoriser, remote, now)
    running_prices = RunningPrices(store, catalogue, charging, now)
    settling = Settling(store, live, catalogue, lanes, charging, remote, now)
    reserving = Reserving(
        store, live, catalogue, lanes, remote, charging.terms, settling, link, now
    )
    desk = StationDesk(Stations(store, live, catalogue, lanes, now), charging)
    desk.reserving = reserving
    service.connect_remote(remote, reserving)
    service.connect_preferring(Preferring(charging, catalogue, now))
    await service.load()
    charging.restore(kept)
    await reserving.restore(kept)
    runner_app.add_subapp("/ocpi", service.app())
    await runner.setup()
    await web.SockSite(runner, socket).start()
    ended = await remote.give_up_unfinished(kept.unfinished_commands)
    work = asyncio.create_task(service.run([*leftovers, *ended]))
    following = asyncio.create_task(profiling.run())
    try:
        yield World(
            service,
            store,
            live,
            catalogue,
            administration,
            remote,
            profiling,
            reserving,
            desk,
            settling,
            link,
            base,
            secrets,
            forgotten,
        )
    finally:
        work.cancel()
        following.cancel()
        await asyncio.gather(work, following, return_exceptions=True)
        await runner.cleanup()


def _bound() -> sockets.socket:
    found = sockets.socket()
    found.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
    found.bind(("127.0.0.1", 0))
    return found
