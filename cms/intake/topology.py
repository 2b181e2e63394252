"""Sites, stations, EVSEs and connectors as operators write them down."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from cms.domain.ids import EvseRef, EvseUid, LocationId, PartnerId, StationId, TariffId
from cms.domain.status import EvseStatus
from cms.domain.tariff import DisplayText, EnergyMix, EnergySource, EnvironmentalImpact
from cms.domain.topology import (
    AllowedToken,
    Approval,
    Business,
    ChargingStation,
    Connector,
    ConnectorFormat,
    Coordinates,
    Evse,
    ExceptionalPeriod,
    Hours,
    Image,
    Location,
    OpeningTimes,
    PlannedStatus,
    PowerType,
)
from cms.intake.base import Intake, Moment, values_of
from cms.intake.tariffs import TextIn

Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Identity = Annotated[str, Field(pattern=r"^[A-Za-z0-9*_=+|@.:-]{1,48}$")]


class BusinessIn(Intake):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    website: str | None = None
    logo: str | None = None

    def value(self) -> Business:
        return Business(self.name, self.website, self.logo)


class HoursIn(Intake):
    weekday: Annotated[int, Field(ge=1, le=7)]
    begin: Clock
    end: Clock


class PeriodIn(Intake):
    begin: Moment
    end: Moment

    def value(self) -> ExceptionalPeriod:
        return ExceptionalPeriod(self.begin, self.end)


class OpeningIn(Intake):
    twentyfourseven: bool = True
    regular: tuple[HoursIn, ...] = ()
    openings: tuple[PeriodIn, ...] = ()
    closings: tuple[PeriodIn, ...] = ()

    def value(self) -> OpeningTimes:
        return OpeningTimes(
            self.twentyfourseven,
            values_of(
                "regular", self.regular, lambda each: Hours(each.weekday, each.begin, each.end)
            ),
            values_of("openings", self.openings, PeriodIn.value),
            values_of("closings", self.closings, PeriodIn.value),
        )


class ImageIn(Intake):
    url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=255)]
    category: str
    type: Annotated[str, Field(min_length=1, max_length=4)]
    thumbnail: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=255)] | None = None
    width: Annotated[int, Field(ge=1, le=99999)] | None = None
    height: Annotated[int, Field(ge=1, le=99999)] | None = None

    def value(self) -> Image:
        return Image(self.url, self.category, self.type, self.thumbnail, self.width, self.height)


class ShareIn(Intake):
    source: str
    percent: Decimal


class ImpactIn(Intake):
    category: str
    amount: Decimal


class EnergyMixIn(Intake):
    is_green: bool
    sources: tuple[ShareIn, ...] = ()
    impact: tuple[ImpactIn, ...] = ()
    supplier: Annotated[str, Field(max_length=64)] | None = None
    product: Annotated[str, Field(max_length=64)] | None = None

    def value(self) -> EnergyMix:
        return EnergyMix(
            self.is_green,
            tuple(EnergySource(each.source, each.percent) for each in self.sources),
            tuple(EnvironmentalImpact(each.category, each.amount) for each in self.impact),
            self.supplier,
            self.product,
        )


class AllowedTokenIn(Intake):
    uid: str | None = None
    type: Literal["AD_HOC_USER", "APP_USER", "OTHER", "RFID"] | None = None
    visual_number: str | None = None
    issuer: str | None = None
    group: str | None = None

    def value(self) -> AllowedToken:
        return AllowedToken(self.uid, self.type, self.visual_number, self.issuer, self.group)


class PlannedStatusIn(Intake):
    begin: Moment
    status: EvseStatus
    end: Moment | None = None

    def value(self) -> PlannedStatus:
        return PlannedStatus(self.begin, self.status, self.end)


def _texts(given: tuple[TextIn, ...]) -> tuple[DisplayText, ...]:
    return tuple(DisplayText(each.language, each.text) for each in given)


class ConnectorIn(Intake):
    number: Annotated[int, Field(ge=1)] = 1
    standard: str
    format: ConnectorFormat
    power_type: PowerType
    max_voltage: Annotated[int, Field(gt=0)]
    max_amperage: Annotated[int, Field(gt=0)]
    max_power_w: Annotated[int, Field(gt=0)] | None = None
    tariffs: tuple[str, ...] = ()
    terms_url: str | None = None

    def value(self) -> Connector:
        return Connector(
            self.number,
            self.standard,
            self.format,
            self.power_type,
            self.max_voltage,
            self.max_amperage,
            self.max_power_w,
            tuple(TariffId(id) for id in self.tariffs),
            self.terms_url,
        )


class EvseIn(Intake):
    """*uid* is what partners know; without one it is ``<charger>*<number>``."""

    number: Annotated[int, Field(ge=1)] = 1
    uid: str | None = None
    evse_id: Annotated[str, Field(max_length=48)] | None = None
    connectors: Annotated[list[ConnectorIn], Field(min_length=1)]
    capabilities: tuple[str, ...] = ("REMOTE_START_STOP_CAPABLE", "RFID_READER")
    floor_level: str | None = None
    physical_reference: str | None = None
    parking_restrictions: tuple[str, ...] = ()
    removed: bool = False
    latitude: Decimal | None = None
    longitude: Decimal | None = None
    directions: tuple[TextIn, ...] = ()
    images: tuple[ImageIn, ...] = ()
    schedule: tuple[PlannedStatusIn, ...] = ()

    def value(self, station: StationId) -> Evse:
        where = None
        if self.latitude is not None and self.longitude is not None:
            where = Coordinates(self.latitude, self.longitude)
        return Evse(
            EvseRef(station, self.number),
            EvseUid(self.uid or f"{station}*{self.number}"),
            values_of("connectors", self.connectors, ConnectorIn.value),
            self.evse_id,
            self.capabilities,
            self.floor_level,
            self.physical_reference,
            self.parking_restrictions,
            self.removed,
            coordinates=where,
            directions=_texts(self.directions),
            images=values_of("images", self.images, ImageIn.value),
            schedule=values_of("schedule", self.schedule, PlannedStatusIn.value),
        )


class ChargerIn(Intake):
    """*password* is for the config file only; the API draws one and shows it once."""

    id: Identity
    location: str
    evses: Annotated[list[EvseIn], Field(min_length=1)]
    profile: str | None = None
    approval: Approval = Approval.APPROVED
    reserves_any: bool = False
    auth: Literal["basic", "none"] = "basic"
    password: Annotated[str, Field(min_length=16, max_length=128)] | None = None

    def value(self) -> ChargingStation:
        station = StationId(self.id)
        return ChargingStation(
            station,
            LocationId(self.location),
            values_of("evses", self.evses, lambda each: each.value(station)),
            self.approval,
            self.profile,
            reserves_any=self.reserves_any,
        )


class LocationIn(Intake):
    id: Annotated[str, Field(min_length=1, max_length=36)]
    party: str | None = None
    name: str | None = None
    address: Annotated[str, Field(min_length=1, max_length=255)]
    city: Annotated[str, Field(min_length=1, max_length=45)]
    postal_code: Annotated[str, Field(max_length=10)] | None = None
    state: Annotated[str, Field(max_length=45)] | None = None
    country: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    latitude: Decimal
    longitude: Decimal
    time_zone: str
    operator: BusinessIn | None = None
    owner: BusinessIn | None = None
    suboperator: BusinessIn | None = None
    opening: OpeningIn = OpeningIn()
    charging_when_closed: bool = True
    publish: bool = True
    parking_type: str | None = None
    facilities: tuple[str, ...] = ()
    publish_to: tuple[AllowedTokenIn, ...] = ()
    roaming: bool = True
    home_charging: bool = False
    directions: tuple[TextIn, ...] = ()
    images: tuple[ImageIn, ...] = ()
    energy_mix: EnergyMixIn | None = None

    def value(self, party: PartnerId) -> Location:
        """Return the site, owned by *party* unless it names one of ours itself."""
        return Location(
            id=LocationId(self.id),
            party=PartnerId(self.party) if self.party else party,
            address=self.address,
            city=self.city,
            country=self.country,
            coordinates=Coordinates(self.latitude, self.longitude),
            time_zone=self.time_zone,
            name=self.name,
            postal_code=self.postal_code,
            state=self.state,
            operator=_business(self.operator),
            owner=_business(self.owner),
            suboperator=_business(self.suboperator),
            opening=self.opening.value(),
            charging_when_closed=self.charging_when_closed,
            publish=self.publish,
            parking_type=self.parking_type,
            facilities=self.facilities,
            publish_to=values_of("publish_to", self.publish_to, AllowedTokenIn.value),
            roaming=self.roaming,
            home_charging=self.home_charging,
            directions=_texts(self.directions),
            images=values_of("images", self.images, ImageIn.value),
            energy_mix=None if self.energy_mix is None else self.energy_mix.value(),
        )


def _business(given: BusinessIn | None) -> Business | None:
    return None if given is None else given.value()
