"""What a partner expects in OCPI 2.2.1 objects, checked field by field.

Stricter than a real partner: wrong JSON types, lengths, enum literals and date shapes are all
refused, so that a mistake of the CPO is seen here first. Unknown members are let through
(2.2.1 is silent about them) and listed by `strange_members`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from simulators.emsp.wire import moment


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("must be a JSON number")  # noqa: TRY004 - pydantic wants it
    return Decimal(value)


def _date_time(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004 - pydantic wants it
    return moment(value)


def _ci(length: int) -> Any:
    return StringConstraints(min_length=1, max_length=length, pattern=r"^[\x20-\x7e]+$")


def _text(length: int) -> Any:
    return StringConstraints(max_length=length, pattern=r"^[^\r\n\t]*$")


Number = Annotated[Decimal, BeforeValidator(_number)]
When = Annotated[datetime, BeforeValidator(_date_time)]
Country2 = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Country3 = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Party = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{3}$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Id36 = Annotated[str, _ci(36)]
Id39 = Annotated[str, _ci(39)]
Id48 = Annotated[str, _ci(48)]
Text10 = Annotated[str, _text(10)]
Text20 = Annotated[str, _text(20)]
Text45 = Annotated[str, _text(45)]
Text100 = Annotated[str, _text(100)]
Text255 = Annotated[str, _text(255)]
Url = Annotated[str, StringConstraints(max_length=255, pattern=r"^https?://\S+$")]
Clock = Annotated[str, StringConstraints(pattern=r"^([0-1][0-9]|2[0-3]):[0-5][0-9]$")]
LocalDate = Annotated[
    str, StringConstraints(pattern=r"^[12]\d{3}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")
]
Latitude = Annotated[str, StringConstraints(max_length=10, pattern=r"^-?[0-9]{1,2}\.[0-9]{5,7}$")]
Longitude = Annotated[str, StringConstraints(max_length=11, pattern=r"^-?[0-9]{1,3}\.[0-9]{5,7}$")]

Status = Literal[
    "AVAILABLE", "BLOCKED", "CHARGING", "INOPERATIVE", "OUTOFORDER", "PLANNED", "REMOVED",
    "RESERVED", "UNKNOWN",
]  # fmt: skip
ConnectorType = Literal[
    "CHADEMO", "CHAOJI", "DOMESTIC_A", "DOMESTIC_B", "DOMESTIC_C", "DOMESTIC_D", "DOMESTIC_E",
    "DOMESTIC_F", "DOMESTIC_G", "DOMESTIC_H", "DOMESTIC_I", "DOMESTIC_J", "DOMESTIC_K",
    "DOMESTIC_L", "DOMESTIC_M", "DOMESTIC_N", "DOMESTIC_O", "GBT_AC", "GBT_DC",
    "IEC_60309_2_single_16", "IEC_60309_2_three_16", "IEC_60309_2_three_32",
    "IEC_60309_2_three_64", "IEC_62196_T1", "IEC_62196_T1_COMBO", "IEC_62196_T2",
    "IEC_62196_T2_COMBO", "IEC_62196_T3A", "IEC_62196_T3C", "NEMA_5_20", "NEMA_6_30",
    "NEMA_6_50", "NEMA_10_30", "NEMA_10_50", "NEMA_14_30", "NEMA_14_50",
    "PANTOGRAPH_BOTTOM_UP", "PANTOGRAPH_TOP_DOWN", "TESLA_R", "TESLA_S",
]  # fmt: skip
ConnectorFormat = Literal["SOCKET", "CABLE"]
PowerType = Literal["AC_1_PHASE", "AC_2_PHASE", "AC_2_PHASE_SPLIT", "AC_3_PHASE", "DC"]
Capability = Literal[
    "CHARGING_PROFILE_CAPABLE", "CHARGING_PREFERENCES_CAPABLE", "CHIP_CARD_SUPPORT",
    "CONTACTLESS_CARD_SUPPORT", "CREDIT_CARD_PAYABLE", "DEBIT_CARD_PAYABLE", "PED_TERMINAL",
    "REMOTE_START_STOP_CAPABLE", "RESERVABLE", "RFID_READER",
    "START_SESSION_CONNECTOR_REQUIRED", "TOKEN_GROUP_CAPABLE", "UNLOCK_CAPABLE",
]  # fmt: skip
ParkingType = Literal[
    "ALONG_MOTORWAY", "PARKING_GARAGE", "PARKING_LOT", "ON_DRIVEWAY", "ON_STREET",
    "UNDERGROUND_GARAGE",
]  # fmt: skip
ParkingRestriction = Literal["EV_ONLY", "PLUGGED", "DISABLED", "CUSTOMERS", "MOTORCYCLES"]
Facility = Literal[
    "HOTEL", "RESTAURANT", "CAFE", "MALL", "SUPERMARKET", "SPORT", "RECREATION_AREA", "NATURE",
    "MUSEUM", "BIKE_SHARING", "BUS_STOP", "TAXI_STAND", "TRAM_STOP", "METRO_STATION",
    "TRAIN_STATION", "AIRPORT", "PARKING_LOT", "CARPOOL_PARKING", "FUEL_STATION", "WIFI",
]  # fmt: skip
TokenType = Literal["AD_HOC_USER", "APP_USER", "EMAID", "OTHER", "RFID"]
DayOfWeek = Literal[
    "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"
]  # fmt: skip
AuthMethod = Literal["AUTH_REQUEST", "COMMAND", "WHITELIST"]
DimensionType = Literal[
    "CURRENT", "ENERGY", "ENERGY_EXPORT", "ENERGY_IMPORT", "MAX_CURRENT", "MIN_CURRENT",
    "MAX_POWER", "MIN_POWER", "PARKING_TIME", "POWER", "RESERVATION_TIME", "STATE_OF_CHARGE",
    "TIME",
]  # fmt: skip


class Model(BaseModel):
    """The base of all: exact JSON types, unknown members kept apart."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class Price(Model):
    """An amount with and (optionally) without VAT; a bare number is refused."""

    excl_vat: Number
    incl_vat: Number | None = None


class DisplayText(Model):
    """A text in one language, without markup."""

    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]
    text: Annotated[str, _text(512)]


class Image(Model):
    """A picture somewhere else."""

    url: Url
    thumbnail: Url | None = None
    category: Literal["CHARGER", "ENTRANCE", "LOCATION", "NETWORK", "OPERATOR", "OTHER", "OWNER"]
    type: Annotated[str, _ci(4)]
    width: int | None = None
    height: int | None = None


class BusinessDetails(Model):
    """Who stands behind a party."""

    name: Text100
    website: Url | None = None
    logo: Image | None = None


class GeoLocation(Model):
    """Coordinates as decimal degrees in text."""

    latitude: Latitude
    longitude: Longitude


class AdditionalGeoLocation(GeoLocation):
    """A further point of interest of a location, e.g. its entrance."""

    name: DisplayText | None = None


class EnergySource(Model):
    """A share of an energy mix, in percent."""

    source: Literal[
        "NUCLEAR", "GENERAL_FOSSIL", "COAL", "GAS", "GENERAL_GREEN", "SOLAR", "WIND", "WATER"
    ]
    percentage: Number


class EnvironmentalImpact(Model):
    """Grams per kWh."""

    category: Literal["NUCLEAR_WASTE", "CARBON_DIOXIDE"]
    amount: Number


class EnergyMix(Model):
    """Where the energy comes from."""

    is_green_energy: bool
    energy_sources: list[EnergySource] | None = None
    environ_impact: list[EnvironmentalImpact] | None = None
    supplier_name: Annotated[str, _text(64)] | None = None
    energy_product_name: Annotated[str, _text(64)] | None = None


class RegularHours(Model):
    """Opening hours of one weekday (1 = Monday), local."""

    weekday: Annotated[int, Field(ge=1, le=7)]
    period_begin: Clock
    period_end: Clock


class ExceptionalPeriod(Model):
    """An exception to the opening hours, UTC."""

    period_begin: When
    period_end: When


class Hours(Model):
    """When a location is open."""

    twentyfourseven: bool
    regular_hours: list[RegularHours] | None = None
    exceptional_openings: list[ExceptionalPeriod] | None = None
    exceptional_closings: list[ExceptionalPeriod] | None = None


class PublishTokenType(Model):
    """Who may see a location that is not published."""

    uid: Id36 | None = None
    type: TokenType | None = None
    visual_number: Annotated[str, _text(64)] | None = None
    issuer: Annotated[str, _text(64)] | None = None
    group_id: Id36 | None = None


class StatusSchedule(Model):
    """A planned status; for information only."""

    period_begin: When
    period_end: When | None = None
    status: Status


class Connector(Model):
    """A plug or a socket."""

    id: Id36
    standard: ConnectorType
    format: ConnectorFormat
    power_type: PowerType
    max_voltage: int
    max_amperage: int
    max_electric_power: int | None = None
    tariff_ids: list[Id36] | None = None
    terms_and_conditions: Url | None = None
    last_updated: When


class Evse(Model):
    """A place where one car charges at a time."""

    uid: Id36
    evse_id: Id48 | None = None
    status: Status
    status_schedule: list[StatusSchedule] | None = None
    capabilities: list[Capability] | None = None
    connectors: Annotated[list[Connector], Field(min_length=1)]
    floor_level: Annotated[str, _text(4)] | None = None
    coordinates: GeoLocation | None = None
    physical_reference: Annotated[str, _text(16)] | None = None
    directions: list[DisplayText] | None = None
    parking_restrictions: list[ParkingRestriction] | None = None
    images: list[Image] | None = None
    last_updated: When


class Location(Model):
    """A site with its EVSEs."""

    country_code: Country2
    party_id: Party
    id: Id36
    publish: bool
    publish_allowed_to: list[PublishTokenType] | None = None
    name: Text255 | None = None
    address: Text255
    city: Text45
    postal_code: Text10 | None = None
    state: Text45 | None = None
    country: Country3
    coordinates: GeoLocation
    related_locations: list[AdditionalGeoLocation] | None = None
    parking_type: ParkingType | None = None
    evses: list[Evse] | None = None
    directions: list[DisplayText] | None = None
    operator: BusinessDetails | None = None
    suboperator: BusinessDetails | None = None
    owner: BusinessDetails | None = None
    facilities: list[Facility] | None = None
    time_zone: Text255
    opening_times: Hours | None = None
    charging_when_closed: bool | None = None
    images: list[Image] | None = None
    energy_mix: EnergyMix | None = None
    last_updated: When


class CdrToken(Model):
    """The token of a session, all five members."""

    country_code: Country2
    party_id: Party
    uid: Id36
    type: TokenType
    contract_id: Id36


class Dimension(Model):
    """A measured volume: kWh, hours, A, kW or percent by type."""

    type: DimensionType
    volume: Number


class ChargingPeriod(Model):
    """A stretch of a session; it ends where the next begins."""

    start_date_time: When
    dimensions: Annotated[list[Dimension], Field(min_length=1)]
    tariff_id: Id36 | None = None


class Session(Model):
    """A running or finished session."""

    country_code: Country2
    party_id: Party
    id: Id36
    start_date_time: When
    end_date_time: When | None = None
    kwh: Number
    cdr_token: CdrToken
    auth_method: AuthMethod
    authorization_reference: Id36 | None = None
    location_id: Id36
    evse_uid: Id36
    connector_id: Id36
    meter_id: Text255 | None = None
    currency: Currency
    charging_periods: list[ChargingPeriod] | None = None
    total_cost: Price | None = None
    status: Literal["ACTIVE", "COMPLETED", "INVALID", "PENDING", "RESERVATION"]
    last_updated: When


class PriceComponent(Model):
    """A price per kWh, per hour or once, excl. VAT; *vat* in percent."""

    type: Literal["ENERGY", "FLAT", "PARKING_TIME", "TIME"]
    price: Number
    vat: Number | None = None
    step_size: Annotated[int, Field(ge=0)]


class Restrictions(Model):
    """When an element applies; all must hold."""

    start_time: Clock | None = None
    end_time: Clock | None = None
    start_date: LocalDate | None = None
    end_date: LocalDate | None = None
    min_kwh: Number | None = None
    max_kwh: Number | None = None
    min_current: Number | None = None
    max_current: Number | None = None
    min_power: Number | None = None
    max_power: Number | None = None
    min_duration: int | None = None
    max_duration: int | None = None
    day_of_week: list[DayOfWeek] | None = None
    reservation: Literal["RESERVATION", "RESERVATION_EXPIRES"] | None = None


class TariffElement(Model):
    """Components under common restrictions."""

    price_components: Annotated[list[PriceComponent], Field(min_length=1)]
    restrictions: Restrictions | None = None


class Tariff(Model):
    """A price list."""

    country_code: Country2
    party_id: Party
    id: Id36
    currency: Currency
    type: (
        Literal["AD_HOC_PAYMENT", "PROFILE_CHEAP", "PROFILE_FAST", "PROFILE_GREEN", "REGULAR"]
        | None
    ) = None
    tariff_alt_text: list[DisplayText] | None = None
    tariff_alt_url: Url | None = None
    min_price: Price | None = None
    max_price: Price | None = None
    elements: Annotated[list[TariffElement], Field(min_length=1)]
    start_date_time: When | None = None
    end_date_time: When | None = None
    energy_mix: EnergyMix | None = None
    last_updated: When


class CdrLocation(Model):
    """The one EVSE of a CDR with its address."""

    id: Id36
    name: Text255 | None = None
    address: Text45
    city: Text45
    postal_code: Text10 | None = None
    state: Text20 | None = None
    country: Country3
    coordinates: GeoLocation
    evse_uid: Id36
    evse_id: Id48
    connector_id: Id36
    connector_standard: ConnectorType
    connector_format: ConnectorFormat
    connector_power_type: PowerType


class SignedValue(Model):
    """A meter value that the meter signed."""

    nature: Annotated[str, _ci(32)]
    plain_data: Annotated[str, StringConstraints(max_length=5000)]
    signed_data: Annotated[str, StringConstraints(max_length=5000)]


class SignedData(Model):
    """Signed meter values of a CDR."""

    encoding_method: Id36
    encoding_method_version: int | None = None
    public_key: Annotated[str, StringConstraints(max_length=512)] | None = None
    signed_values: Annotated[list[SignedValue], Field(min_length=1)]
    url: Annotated[str, StringConstraints(max_length=512)] | None = None


class Cdr(Model):
    """The bill."""

    country_code: Country2
    party_id: Party
    id: Id39
    start_date_time: When
    end_date_time: When
    session_id: Id36 | None = None
    cdr_token: CdrToken
    auth_method: AuthMethod
    authorization_reference: Id36 | None = None
    cdr_location: CdrLocation
    meter_id: Text255 | None = None
    currency: Currency
    tariffs: list[Tariff] | None = None
    charging_periods: Annotated[list[ChargingPeriod], Field(min_length=1)]
    signed_data: SignedData | None = None
    total_cost: Price
    total_fixed_cost: Price | None = None
    total_energy: Number
    total_energy_cost: Price | None = None
    total_time: Number
    total_time_cost: Price | None = None
    total_parking_time: Number | None = None
    total_parking_cost: Price | None = None
    total_reservation_cost: Price | None = None
    remark: Text255 | None = None
    invoice_reference_id: Id39 | None = None
    credit: bool | None = None
    credit_reference_id: Id39 | None = None
    home_charging_compensation: bool | None = None
    last_updated: When


class CredentialsRole(Model):
    """A party and what it is."""

    role: Literal["CPO", "EMSP", "HUB", "NAP", "NSP", "OTHER", "SCSP"]
    business_details: BusinessDetails
    party_id: Party
    country_code: Country2


class Credentials(Model):
    """What two parties exchange when they register."""

    token: Annotated[str, StringConstraints(max_length=64, pattern=r"^[\x21-\x7e]+$")]
    url: Url
    roles: Annotated[list[CredentialsRole], Field(min_length=1)]


class CommandResponse(Model):
    """The answer to a command, at once."""

    result: Literal["NOT_SUPPORTED", "REJECTED", "ACCEPTED", "UNKNOWN_SESSION"]
    timeout: int
    message: list[DisplayText] | None = None


class CommandResult(Model):
    """What the charger said to a command, later."""

    result: Literal[
        "ACCEPTED", "CANCELED_RESERVATION", "EVSE_OCCUPIED", "EVSE_INOPERATIVE", "FAILED",
        "NOT_SUPPORTED", "REJECTED", "TIMEOUT", "UNKNOWN_RESERVATION",
    ]  # fmt: skip
    message: list[DisplayText] | None = None


class LocationReferences(Model):
    """Where a token is about to be used."""

    location_id: Id36
    evse_uids: list[Id36] | None = None


class Endpoint(Model):
    """One module interface of a version."""

    identifier: Annotated[str, _ci(255)]
    role: Literal["SENDER", "RECEIVER"]
    url: Url


class VersionDetails(Model):
    """What a version offers, and where."""

    version: str
    endpoints: list[Endpoint]


def without_nulls(value: Any) -> Any:
    """A copy of JSON *value* in which members that are ``null`` are simply missing."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def strange_members(model: BaseModel, prefix: str = "") -> Iterator[str]:
    """The paths of members of *model* that OCPI 2.2.1 does not define."""
    for name in model.model_extra or {}:
        yield prefix + name
    for name in type(model).model_fields:
        value = getattr(model, name)
        for index, item in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(item, BaseModel):
                place = f"{name}.{index}" if isinstance(value, list) else name
                yield from strange_members(item, f"{prefix}{place}.")
