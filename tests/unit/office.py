"""A small network over the in-memory store, for tests of what operators and partners ask."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from cms.app.administration import Administration, By
from cms.app.catalogue import Catalogue
from cms.app.lanes import Lanes
from cms.app.live import LiveState
from cms.app.remote import Remote
from cms.domain.commands import Answer, Command, Outcome
from cms.domain.ids import EvseRef, EvseUid, LocationId, PartnerId, StationId, TariffId
from cms.domain.partner import Partner, PartnerState
from cms.domain.status import ConnectorReport, EvseState, Presence
from cms.domain.tariff import Dimension, Element, PriceComponent, Tariff
from cms.domain.token import Token, TokenType, Whitelist
from cms.domain.topology import (
    ChargingStation,
    Connector,
    ConnectorFormat,
    Coordinates,
    Evse,
    Location,
    PowerType,
)
from cms.store.memory import MemoryStore

SITE = LocationId("BLR-1")
CS1 = StationId("CS1")
EVSE = EvseRef(CS1, 1)
EMS = PartnerId("IN*EMS")
ME = By("key:test", "because")


class Link:
    """Stations that answer every command in one way."""

    def __init__(self) -> None:
        self.sent: list[Command] = []
        self.answer = Answer(Outcome.ACCEPTED)
        self.closed: list[StationId] = []

    async def send(self, command: Command) -> Answer:
        self.sent.append(command)
        return self.answer

    async def disconnect(self, station: StationId, why: str) -> None:
        self.closed.append(station)


class Office:
    """Everything but the gateway: store, catalogue, live picture, administration, remote."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 12, tzinfo=UTC)
        self.store = MemoryStore(self.clock)
        self.catalogue = Catalogue()
        self.live = LiveState()
        self.lanes = Lanes()
        self.link = Link()
        self.administration = Administration(
            self.store, self.catalogue, self.live, self.lanes, self.link, self.clock
        )
        self.remote = Remote(self.store, self.live, self.catalogue, self.link, self.clock)

    def clock(self) -> datetime:
        return self.now

    def pass_(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    async def furnish(self) -> None:
        """One site, one station with one EVSE, one tariff, one connected partner."""
        await self.administration.put_location(location(), ME)
        await self.administration.put_tariff(tariff(), ME)
        await self.administration.put_station(station(), ME)
        self.catalogue.partners[EMS] = Partner(EMS, "EMS", PartnerState.CONNECTED)

    def plug_in(self, report: ConnectorReport = ConnectorReport.OCCUPIED) -> EvseState:
        """Let the EVSE be online with this report."""
        state = self.live.evse(EVSE).with_presence(Presence.ONLINE).with_report(1, report)
        self.live.put(state)
        return state


def location(id: str = SITE, **more: object) -> Location:
    return Location(
        id=LocationId(id),
        party=PartnerId("IN*CPO"),
        address="100 Feet Road 12",
        city="Bengaluru",
        country="IND",
        coordinates=Coordinates(Decimal("12.978370"), Decimal("77.640830")),
        time_zone="Asia/Kolkata",
        **more,  # type: ignore[arg-type]
    )


def station(id: str = CS1, evses: int = 1, **more: object) -> ChargingStation:
    name = StationId(id)
    return ChargingStation(
        name,
        SITE,
        tuple(
            Evse(EvseRef(name, number), EvseUid(f"{id}*{number}"), (connector(),))
            for number in range(1, evses + 1)
        ),
        **more,  # type: ignore[arg-type]
    )


def connector() -> Connector:
    return Connector(
        1,
        "IEC_62196_T2",
        ConnectorFormat.SOCKET,
        PowerType.AC_3_PHASE,
        230,
        32,
        tariffs=(TariffId("T1"),),
    )


def tariff(id: str = "T1", price: str = "18.00") -> Tariff:
    component = PriceComponent(Dimension.ENERGY, Decimal(price))
    return Tariff(TariffId(id), "INR", (Element((component,)),))


def token(
    uid: str = "CARD1",
    partner: PartnerId | None = EMS,
    whitelist: Whitelist = Whitelist.ALLOWED,
    valid: bool = True,
    **more: object,
) -> Token:
    return Token(
        partner,
        uid,
        TokenType.RFID,
        "C-1",
        "issuer",
        valid,
        whitelist,
        **more,  # type: ignore[arg-type]
    )
