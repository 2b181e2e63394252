"""The objects of OCPI 2.2.1, checked: what we send is built from these, what comes passes them.

Inbound, unknown members are ignored and ``null`` means missing; types are strict, so ``"true"`` is
no boolean. Outbound, a value that the specification does not allow cannot be built.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
)

from ocpi_cpo.errors import BadParameter
from ocpi_cpo.wire import Json, moment, stamp


def _moment(value: Any) -> Any:
    return moment(value) if isinstance(value, str) else value


def none_is_empty(value: Any) -> Any:
    return () if value is None else tuple(value) if isinstance(value, list) else value


def _ci(length: int) -> Any:
    return StringConstraints(min_length=1, max_length=length, pattern=r"^[\x20-\x7e]+$")


def _text(length: int) -> Any:
    return StringConstraints(max_length=length, pattern=r"^[^\r\n\t]*$")


When = Annotated[datetime, BeforeValidator(_moment), PlainSerializer(stamp)]
"""Aware UTC inside, OCPI's DateTime outside."""

Country2 = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2}$")]
Country3 = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Party = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{3}$")]
TheirParty = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,10}$")]
"""A partner's. Three characters, but for those whose profile lets them have others: who is who was
agreed when the partner was added, and nothing but that party is let in."""
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Id36 = Annotated[str, _ci(36)]
Id39 = Annotated[str, _ci(39)]
Id48 = Annotated[str, _ci(48)]
Url = Annotated[str, StringConstraints(max_length=255, pattern=r"^https?://\S+$")]
Clock = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]

Status = Literal[
    "AVAILABLE", "BLOCKED", "CHARGING", "INOPERATIVE", "OUTOFORDER", "PLANNED", "REMOVED",
    "RESERVED", "UNKNOWN",
]  # fmt: skip
Capability = Literal[
    "CHARGING_PROFILE_CAPABLE", "CHARGING_PREFERENCES_CAPABLE", "CHIP_CARD_SUPPORT",
    "CONTACTLESS_CARD_SUPPORT", "CREDIT_CARD_PAYABLE", "DEBIT_CARD_PAYABLE", "PED_TERMINAL",
    "REMOTE_START_STOP_CAPABLE", "RESERVABLE", "RFID_READER",
    "START_SESSION_CONNECTOR_REQUIRED", "TOKEN_GROUP_CAPABLE", "UNLOCK_CAPABLE",
]  # fmt: skip
TokenKind = Literal["AD_HOC_USER", "APP_USER", "OTHER", "RFID"]
WhitelistKind = Literal["ALWAYS", "ALLOWED", "ALLOWED_OFFLINE", "NEVER"]
ProfileKind = Literal["CHEAP", "FAST", "GREEN", "REGULAR"]
RoleKind = Literal["CPO", "EMSP", "HUB", "NAP", "NSP", "OTHER", "SCSP"]
AuthMethodKind = Literal["AUTH_REQUEST", "COMMAND", "WHITELIST"]
DimensionKind = Literal[
    "CURRENT", "ENERGY", "ENERGY_EXPORT", "ENERGY_IMPORT", "MAX_CURRENT", "MIN_CURRENT",
    "MAX_POWER", "MIN_POWER", "PARKING_TIME", "POWER", "RESERVATION_TIME", "STATE_OF_CHARGE",
    "TIME",
]  # fmt: skip
CommandResponseKind = Literal["NOT_SUPPORTED", "REJECTED", "ACCEPTED", "UNKNOWN_SESSION"]
CommandResultKind = Literal[
    "ACCEPTED", "CANCELED_RESERVATION", "EVSE_OCCUPIED", "EVSE_INOPERATIVE", "FAILED",
    "NOT_SUPPORTED", "REJECTED", "TIMEOUT", "UNKNOWN_RESERVATION",
]  # fmt: skip
AllowedKind = Literal["ALLOWED", "BLOCKED", "EXPIRED", "NO_CREDIT", "NOT_ALLOWED"]


class Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    def wire(self) -> Json:
        """Return the object as JSON values: no nulls, decimals still exact."""
        return self.model_dump(exclude_none=True)


M = TypeVar("M", bound=Model)


def read(model: type[M], data: Any) -> M:
    """Check *data* from a partner.

    Raises:
        BadParameter: naming the first field that is missing or wrong.
    """
    if not isinstance(data, dict):
        raise BadParameter("body: must be a JSON object")
    try:
        return model.model_validate({k: v for k, v in data.items() if v is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"])) or "body"
        raise BadParameter(f"{name}: {first['msg']}") from None


# ---------------------------------------------------------------- common parts


class Price(Model):
    excl_vat: Decimal
    incl_vat: Decimal | None = None


class DisplayText(Model):
    language: Language
    text: Annotated[str, _text(512)]


class Image(Model):
    url: Url
    thumbnail: Url | None = None
    category: Annotated[str, _ci(36)]
    type: Annotated[str, _ci(4)]
    width: int | None = None
    height: int | None = None


class BusinessDetails(Model):
    name: Annotated[str, _text(100)]
    website: Url | None = None
    logo: Image | None = None


# ---------------------------------------------------------------- versions, credentials


class VersionInfo(Model):
    version: str
    url: Url


class Endpoint(Model):
    identifier: Annotated[str, _ci(64)]
    role: Literal["SENDER", "RECEIVER"]
    url: Url


class CredentialsRole(Model):
    role: RoleKind
    business_details: BusinessDetails
    party_id: TheirParty
    country_code: Country2


class Credentials(Model):
    token: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
    url: Url
    roles: Annotated[tuple[CredentialsRole, ...], BeforeValidator(none_is_empty)] = Field(
        min_length=1
    )


# ---------------------------------------------------------------- hub client info


class ClientInfo(Model):
    party_id: Party
    country_code: Country2
    role: RoleKind
    status: Literal["CONNECTED", "OFFLINE", "PLANNED", "SUSPENDED"]
    last_updated: When


# ---------------------------------------------------------------- locations


class GeoLocation(Model):
    latitude: Annotated[str, StringConstraints(max_length=10, pattern=r"^-?\d{1,2}\.\d{5,7}$")]
    longitude: Annotated[str, StringConstraints(max_length=11, pattern=r"^-?\d{1,3}\.\d{5,7}$")]


class RegularHours(Model):
    weekday: Annotated[int, Field(ge=1, le=7)]
    period_begin: Clock
    period_end: Clock


class ExceptionalPeriod(Model):
    period_begin: When
    period_end: When


class StatusSchedule(Model):
    period_begin: When
    period_end: When | None = None
    status: Status


class PublishToken(Model):
    uid: Id36 | None = None
    type: TokenKind | None = None
    visual_number: Annotated[str, _text(64)] | None = None
    issuer: Annotated[str, _text(64)] | None = None
    group_id: Id36 | None = None


class EnergySource(Model):
    source: str
    percentage: Decimal


class EnvironmentalImpact(Model):
    category: str
    amount: Decimal


class EnergyMix(Model):
    is_green_energy: bool
    energy_sources: tuple[EnergySource, ...] | None = None
    environ_impact: tuple[EnvironmentalImpact, ...] | None = None
    supplier_name: Annotated[str, _text(64)] | None = None
    energy_product_name: Annotated[str, _text(64)] | None = None


class Hours(Model):
    twentyfourseven: bool
    regular_hours: tuple[RegularHours, ...] | None = None
    exceptional_openings: tuple[ExceptionalPeriod, ...] | None = None
    exceptional_closings: tuple[ExceptionalPeriod, ...] | None = None


class Connector(Model):
    id: Id36
    standard: str
    format: Literal["SOCKET", "CABLE"]
    power_type: Literal["AC_1_PHASE", "AC_2_PHASE", "AC_2_PHASE_SPLIT", "AC_3_PHASE", "DC"]
    max_voltage: int
    max_amperage: int
    max_electric_power: int | None = None
    tariff_ids: tuple[Id36, ...] | None = None
    terms_and_conditions: Url | None = None
    last_updated: When


class Evse(Model):
    uid: Id36
    evse_id: Id48 | None = None
    status: Status
    status_schedule: tuple[StatusSchedule, ...] | None = None
    capabilities: tuple[Capability, ...] | None = None
    connectors: tuple[Connector, ...] = Field(min_length=1)
    floor_level: Annotated[str, _text(4)] | None = None
    coordinates: GeoLocation | None = None
    physical_reference: Annotated[str, _text(16)] | None = None
    directions: tuple[DisplayText, ...] | None = None
    parking_restrictions: tuple[str, ...] | None = None
    images: tuple[Image, ...] | None = None
    last_updated: When


class Location(Model):
    country_code: Country2
    party_id: Party
    id: Id36
    publish: bool
    publish_allowed_to: tuple[PublishToken, ...] | None = None
    name: Annotated[str, _text(255)] | None = None
    address: Annotated[str, _text(45)]
    city: Annotated[str, _text(45)]
    postal_code: Annotated[str, _text(10)] | None = None
    state: Annotated[str, _text(20)] | None = None
    country: Country3
    coordinates: GeoLocation
    parking_type: str | None = None
    evses: tuple[Evse, ...] | None = None
    directions: tuple[DisplayText, ...] | None = None
    operator: BusinessDetails | None = None
    suboperator: BusinessDetails | None = None
    owner: BusinessDetails | None = None
    facilities: tuple[str, ...] | None = None
    time_zone: Annotated[str, _text(255)]
    opening_times: Hours | None = None
    charging_when_closed: bool | None = None
    images: tuple[Image, ...] | None = None
    energy_mix: EnergyMix | None = None
    last_updated: When


class LocationReferences(Model):
    location_id: Id36
    evse_uids: Annotated[tuple[Id36, ...], BeforeValidator(none_is_empty)] = ()


# ---------------------------------------------------------------- tariffs


class PriceComponent(Model):
    type: Literal["ENERGY", "FLAT", "PARKING_TIME", "TIME"]
    price: Decimal
    vat: Decimal | None = None
    step_size: Annotated[int, Field(ge=0)]


class Restrictions(Model):
    start_time: Clock | None = None
    end_time: Clock | None = None
    start_date: str | None = None
    end_date: str | None = None
    min_kwh: Decimal | None = None
    max_kwh: Decimal | None = None
    min_current: Decimal | None = None
    max_current: Decimal | None = None
    min_power: Decimal | None = None
    max_power: Decimal | None = None
    min_duration: int | None = None
    max_duration: int | None = None
    day_of_week: tuple[str, ...] | None = None
    reservation: Literal["RESERVATION", "RESERVATION_EXPIRES"] | None = None


class TariffElement(Model):
    price_components: tuple[PriceComponent, ...] = Field(min_length=1)
    restrictions: Restrictions | None = None


class Tariff(Model):
    country_code: Country2
    party_id: Party
    id: Id36
    currency: Currency
    type: (
        Literal["AD_HOC_PAYMENT", "PROFILE_CHEAP", "PROFILE_FAST", "PROFILE_GREEN", "REGULAR"]
        | None
    ) = None
    tariff_alt_text: tuple[DisplayText, ...] | None = None
    tariff_alt_url: Url | None = None
    min_price: Price | None = None
    max_price: Price | None = None
    elements: tuple[TariffElement, ...] = Field(min_length=1)
    start_date_time: When | None = None
    end_date_time: When | None = None
    energy_mix: EnergyMix | None = None
    last_updated: When


# ---------------------------------------------------------------- sessions, bills


class CdrToken(Model):
    country_code: Country2
    party_id: TheirParty
    uid: Id36
    type: TokenKind
    contract_id: Id36


class Dimension(Model):
    type: DimensionKind
    volume: Decimal


class ChargingPeriod(Model):
    start_date_time: When
    dimensions: tuple[Dimension, ...] = Field(min_length=1)
    tariff_id: Id36 | None = None


class Session(Model):
    country_code: Country2
    party_id: Party
    id: Id36
    start_date_time: When
    end_date_time: When | None = None
    kwh: Decimal
    cdr_token: CdrToken
    auth_method: AuthMethodKind
    authorization_reference: Id36 | None = None
    location_id: Id36
    evse_uid: Id36
    connector_id: Id36
    currency: Currency
    charging_periods: tuple[ChargingPeriod, ...] | None = None
    total_cost: Price | None = None
    status: Literal["ACTIVE", "COMPLETED", "INVALID", "PENDING", "RESERVATION"]
    last_updated: When


class ChargingPreferences(Model):
    profile_type: ProfileKind
    departure_time: When | None = None
    energy_need: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    discharge_allowed: bool | None = None


class CdrLocation(Model):
    id: Id36
    name: Annotated[str, _text(255)] | None = None
    address: Annotated[str, _text(45)]
    city: Annotated[str, _text(45)]
    postal_code: Annotated[str, _text(10)] | None = None
    state: Annotated[str, _text(20)] | None = None
    country: Country3
    coordinates: GeoLocation
    evse_uid: Id36
    evse_id: Id48
    connector_id: Id36
    connector_standard: str
    connector_format: Literal["SOCKET", "CABLE"]
    connector_power_type: str


class SignedValue(Model):
    nature: Literal["Start", "End", "Intermediate"]
    plain_data: Annotated[str, StringConstraints(max_length=5000)]
    signed_data: Annotated[str, StringConstraints(max_length=5000)]


class SignedData(Model):
    encoding_method: Id36
    public_key: Annotated[str, StringConstraints(max_length=512)] | None = None
    signed_values: tuple[SignedValue, ...] = Field(min_length=1)


class Cdr(Model):
    country_code: Country2
    party_id: Party
    id: Id39
    start_date_time: When
    end_date_time: When
    session_id: Id36 | None = None
    cdr_token: CdrToken
    auth_method: AuthMethodKind
    authorization_reference: Id36 | None = None
    cdr_location: CdrLocation
    meter_id: Annotated[str, _text(255)] | None = None
    currency: Currency
    tariffs: tuple[Tariff, ...] | None = None
    charging_periods: tuple[ChargingPeriod, ...] = Field(min_length=1)
    signed_data: SignedData | None = None
    total_cost: Price
    total_fixed_cost: Price | None = None
    total_energy: Decimal
    total_energy_cost: Price | None = None
    total_time: Decimal
    total_time_cost: Price | None = None
    total_parking_time: Decimal | None = None
    total_parking_cost: Price | None = None
    total_reservation_cost: Price | None = None
    remark: Annotated[str, _text(255)] | None = None
    invoice_reference_id: Id39 | None = None
    credit: bool | None = None
    credit_reference_id: Id39 | None = None
    home_charging_compensation: bool | None = None
    last_updated: When


# ---------------------------------------------------------------- tokens, authorisation


class EnergyContract(Model):
    supplier_name: Annotated[str, _text(64)]
    contract_id: Annotated[str, _text(64)] | None = None


class Token(Model):
    country_code: Country2
    party_id: TheirParty
    uid: Id36
    type: TokenKind
    contract_id: Id36
    visual_number: Annotated[str, _text(64)] | None = None
    issuer: Annotated[str, _text(64)]
    group_id: Id36 | None = None
    valid: bool
    whitelist: WhitelistKind
    language: Language | None = None
    default_profile_type: ProfileKind | None = None
    energy_contract: EnergyContract | None = None
    last_updated: When


class AuthorizationInfo(Model):
    allowed: AllowedKind
    token: Token | None = None
    location: LocationReferences | None = None
    authorization_reference: Id36 | None = None
    info: DisplayText | None = None


# ---------------------------------------------------------------- commands


class Command(Model):
    response_url: Url


class StartSession(Command):
    token: Token
    location_id: Id36
    evse_uid: Id36 | None = None
    connector_id: Id36 | None = None
    authorization_reference: Id36 | None = None


class StopSession(Command):
    session_id: Id36


class UnlockConnector(Command):
    location_id: Id36
    evse_uid: Id36
    connector_id: Id36


class ReserveNow(Command):
    token: Token
    expiry_date: When
    reservation_id: Id36
    location_id: Id36
    evse_uid: Id36 | None = None
    authorization_reference: Id36 | None = None


class CancelReservation(Command):
    reservation_id: Id36


class CommandResponse(Model):
    result: CommandResponseKind
    timeout: int
    message: tuple[DisplayText, ...] | None = None


class CommandResult(Model):
    result: CommandResultKind
    message: tuple[DisplayText, ...] | None = None
