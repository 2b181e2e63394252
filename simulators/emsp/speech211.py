"""The partner speaks OCPI 2.1.1. A member that 2.1.1 does not define is refused here, since a
real partner of that age may do so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from simulators.emsp.models import (
    BusinessDetails,
    CommandResponse,
    CommandResult,
    Credentials,
    Currency,
    DayOfWeek,
    DisplayText,
    EnergySource,
    Number,
    Status,
    Url,
    VersionDetails,
)
from simulators.emsp.speech import Book, Sent, Speech, Wrong, checked
from simulators.emsp.wire import Json

_WHOLE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ?")
SENDER_OF_US = {"tokens": "RECEIVER", "commands": "RECEIVER", "credentials": "SENDER"}
"""A CPO's role in each module, since its details do not say; in all others it sends."""


def _date_time(value: Any) -> Any:
    if not isinstance(value, str) or not _WHOLE.fullmatch(value):
        raise ValueError("a time of 2.1.1 is YYYY-MM-DDTHH:MM:SSZ")
    return datetime.fromisoformat(value)


def _ascii(length: int) -> Any:
    return StringConstraints(min_length=1, max_length=length, pattern=r"^[\x20-\x7e]+$")


When = Annotated[datetime, BeforeValidator(_date_time)]
Id36 = Annotated[str, _ascii(36)]
Id39 = Annotated[str, _ascii(39)]
Text = Annotated[str, _ascii(255)]


class Model(BaseModel):
    """Exact JSON types, and no member that is not defined."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Endpoint(Model):
    """One module; without a role."""

    identifier: Literal[
        "cdrs", "commands", "credentials", "locations", "sessions", "tariffs", "tokens"
    ]
    url: Url


class Details(Model):
    """What a version offers, and where."""

    version: Literal["2.1.1"]
    endpoints: list[Endpoint]


class FlatCredentials(Model):
    """Of one party."""

    token: Annotated[str, _ascii(64)]
    url: Url
    business_details: BusinessDetails
    party_id: Annotated[str, _ascii(3)]
    country_code: Annotated[str, _ascii(2)]


class Answer(Model):
    """What a command is answered, at once and later."""

    result: Literal["NOT_SUPPORTED", "REJECTED", "ACCEPTED", "TIMEOUT", "UNKNOWN_SESSION"]


class GeoLocation(Model):
    """Degrees with exactly six decimals."""

    latitude: Annotated[str, StringConstraints(max_length=10, pattern=r"^-?\d{1,2}\.\d{6}$")]
    longitude: Annotated[str, StringConstraints(max_length=11, pattern=r"^-?\d{1,3}\.\d{6}$")]


class RegularHours(Model):
    """One weekday."""

    weekday: Annotated[int, Field(ge=1, le=7)]
    period_begin: Annotated[str, _ascii(5)]
    period_end: Annotated[str, _ascii(5)]


class ExceptionalPeriod(Model):
    """An exception."""

    period_begin: When
    period_end: When


class Hours(Model):
    """Either open round the clock or on weekdays."""

    twentyfourseven: bool
    regular_hours: list[RegularHours] | None = None
    exceptional_openings: list[ExceptionalPeriod] | None = None
    exceptional_closings: list[ExceptionalPeriod] | None = None


class Impact(Model):
    """Grams per kWh; its category is called source."""

    source: Literal["NUCLEAR_WASTE", "CARBON_DIOXIDE"]
    amount: Number


class EnergyMix(Model):
    """Where the energy comes from."""

    is_green_energy: bool
    energy_sources: list[EnergySource] | None = None
    environ_impact: list[Impact] | None = None
    supplier_name: Annotated[str, _ascii(64)] | None = None
    energy_product_name: Annotated[str, _ascii(64)] | None = None


class Connector(Model):
    """A plug or a socket."""

    id: Id36
    standard: Literal[
        "CHADEMO", "DOMESTIC_A", "DOMESTIC_B", "DOMESTIC_C", "DOMESTIC_D", "DOMESTIC_E",
        "DOMESTIC_F", "DOMESTIC_G", "DOMESTIC_H", "DOMESTIC_I", "DOMESTIC_J", "DOMESTIC_K",
        "DOMESTIC_L", "IEC_60309_2_single_16", "IEC_60309_2_three_16", "IEC_60309_2_three_32",
        "IEC_60309_2_three_64", "IEC_62196_T1", "IEC_62196_T1_COMBO", "IEC_62196_T2",
        "IEC_62196_T2_COMBO", "IEC_62196_T3A", "IEC_62196_T3C", "TESLA_R", "TESLA_S",
    ]  # fmt: skip
    format: Literal["SOCKET", "CABLE"]
    power_type: Literal["AC_1_PHASE", "AC_3_PHASE", "DC"]
    voltage: int
    amperage: int
    tariff_id: Id36 | None = None
    terms_and_conditions: Url | None = None
    last_updated: When


class Evse(Model):
    """A place where one car charges at a time."""

    uid: Id39
    evse_id: Annotated[str, _ascii(48)] | None = None
    status: Status
    capabilities: (
        list[
            Literal[
                "CHARGING_PROFILE_CAPABLE", "CREDIT_CARD_PAYABLE", "REMOTE_START_STOP_CAPABLE",
                "RESERVABLE", "RFID_READER", "UNLOCK_CAPABLE",
            ]
        ]
        | None
    ) = None  # fmt: skip
    connectors: Annotated[list[Connector], Field(min_length=1)]
    floor_level: Annotated[str, _ascii(4)] | None = None
    coordinates: GeoLocation | None = None
    physical_reference: Annotated[str, _ascii(16)] | None = None
    directions: list[DisplayText] | None = None
    parking_restrictions: (
        list[Literal["EV_ONLY", "PLUGGED", "DISABLED", "CUSTOMERS", "MOTORCYCLES"]] | None
    ) = None
    images: list[Json] | None = None
    last_updated: When


class Location(Model):
    """A site with its EVSEs."""

    id: Id39
    type: Literal[
        "ON_STREET", "PARKING_GARAGE", "UNDERGROUND_GARAGE", "PARKING_LOT", "OTHER", "UNKNOWN"
    ]
    name: Text | None = None
    address: Annotated[str, _ascii(45)]
    city: Annotated[str, _ascii(45)]
    postal_code: Annotated[str, _ascii(10)]
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    coordinates: GeoLocation
    related_locations: list[Json] | None = None
    evses: list[Evse] | None = None
    directions: list[DisplayText] | None = None
    operator: BusinessDetails | None = None
    suboperator: BusinessDetails | None = None
    owner: BusinessDetails | None = None
    facilities: (
        list[
            Literal[
                "HOTEL", "RESTAURANT", "CAFE", "MALL", "SUPERMARKET", "SPORT", "RECREATION_AREA",
                "NATURE", "MUSEUM", "BUS_STOP", "TAXI_STAND", "TRAIN_STATION", "AIRPORT",
                "CARPOOL_PARKING", "FUEL_STATION", "WIFI",
            ]
        ]
        | None
    ) = None  # fmt: skip
    time_zone: Text | None = None
    opening_times: Hours | None = None
    charging_when_closed: bool | None = None
    images: list[Json] | None = None
    energy_mix: EnergyMix | None = None
    last_updated: When


class PriceComponent(Model):
    """A price without VAT; the rate of VAT is nobody's business."""

    type: Literal["ENERGY", "FLAT", "PARKING_TIME", "TIME"]
    price: Number
    step_size: int


class Restrictions(Model):
    """When an element applies."""

    start_time: Annotated[str, _ascii(5)] | None = None
    end_time: Annotated[str, _ascii(5)] | None = None
    start_date: Annotated[str, _ascii(10)] | None = None
    end_date: Annotated[str, _ascii(10)] | None = None
    min_kwh: Number | None = None
    max_kwh: Number | None = None
    min_power: Number | None = None
    max_power: Number | None = None
    min_duration: int | None = None
    max_duration: int | None = None
    day_of_week: list[DayOfWeek] | None = None


class Element(Model):
    """Components under common restrictions."""

    price_components: Annotated[list[PriceComponent], Field(min_length=1)]
    restrictions: Restrictions | None = None


class Tariff(Model):
    """A price list."""

    id: Id36
    currency: Currency
    tariff_alt_text: list[DisplayText] | None = None
    tariff_alt_url: Url | None = None
    elements: Annotated[list[Element], Field(min_length=1)]
    energy_mix: EnergyMix | None = None
    last_updated: When


class Dimension(Model):
    """A measured volume."""

    type: Literal["ENERGY", "FLAT", "MAX_CURRENT", "MIN_CURRENT", "PARKING_TIME", "TIME"]
    volume: Number


class Period(Model):
    """A stretch of a session."""

    start_date_time: When
    dimensions: Annotated[list[Dimension], Field(min_length=1)]


class Session(Model):
    """A running or finished session."""

    id: Id36
    start_datetime: When
    end_datetime: When | None = None
    kwh: Number
    auth_id: Id36
    auth_method: Literal["AUTH_REQUEST", "WHITELIST"]
    location: Location
    meter_id: Text | None = None
    currency: Currency
    charging_periods: list[Period] | None = None
    total_cost: Number | None = None
    status: Literal["ACTIVE", "COMPLETED", "INVALID", "PENDING"]
    last_updated: When


class Cdr(Model):
    """The bill."""

    id: Id36
    start_date_time: When
    stop_date_time: When
    auth_id: Id36
    auth_method: Literal["AUTH_REQUEST", "WHITELIST"]
    location: Location
    meter_id: Text | None = None
    currency: Currency
    tariffs: list[Tariff] | None = None
    charging_periods: Annotated[list[Period], Field(min_length=1)]
    total_cost: Number
    total_energy: Number
    total_time: Number
    total_parking_time: Number | None = None
    remark: Text | None = None
    last_updated: When


class Speech211(Speech):
    """OCPI 2.1.1."""

    version = "2.1.1"
    translates = True
    routed = False

    def authorization(self, token: str) -> str:
        return f"Token {token}"

    def token_of(self, header: str | None) -> str | None:
        scheme, _, value = (header or "").partition(" ")
        return value if scheme == "Token" and value else None

    # -- configuration

    def endpoints(self, core: list[Json]) -> list[Json]:
        return [{"identifier": each["identifier"], "url": each["url"]} for each in core]

    def details(self, data: Any) -> VersionDetails:
        wire = checked(Details, data)
        endpoints = [
            {
                "identifier": each.identifier,
                "role": SENDER_OF_US.get(each.identifier, "SENDER"),
                "url": each.url,
            }
            for each in wire.endpoints
        ]
        return VersionDetails.model_validate({"version": wire.version, "endpoints": endpoints})

    def credentials(self, core: Json) -> Json:
        role = core["roles"][0]
        flat = {name: role[name] for name in ("business_details", "party_id", "country_code")}
        return {**{name: core[name] for name in ("token", "url") if name in core}, **flat}

    def read_credentials(self, data: Any) -> Credentials:
        wire = checked(FlatCredentials, data)
        role = {
            "role": "CPO",
            "business_details": wire.business_details.model_dump(exclude_none=True),
            "party_id": wire.party_id,
            "country_code": wire.country_code,
        }
        return checked(Credentials, {"token": wire.token, "url": wire.url, "roles": [role]})

    # -- what leaves

    def token(self, core: Json) -> Json:
        gone = ("country_code", "party_id", "group_id", "default_profile_type", "energy_contract")
        lowered = {name: value for name, value in core.items() if name not in gone}
        if "contract_id" in lowered:
            lowered["auth_id"] = lowered.pop("contract_id")
        if "type" in lowered:
            lowered["type"] = "RFID" if lowered["type"] == "RFID" else "OTHER"
        if "last_updated" in lowered:
            lowered["last_updated"] = _whole(lowered["last_updated"])
        return lowered

    def token_query(self, kind: str) -> dict[str, str]:
        return {}

    def authorisation(self, core: Json) -> Json:
        return {name: core[name] for name in ("allowed", "location", "info") if name in core}

    def order(self, name: str, core: Json) -> Json:
        gone = ("connector_id", "authorization_reference")
        keep = () if name == "UNLOCK_CONNECTOR" else gone
        lowered = {key: value for key, value in core.items() if key not in keep}
        if "token" in lowered:
            lowered["token"] = self.token(lowered["token"])
        if "expiry_date" in lowered:
            lowered["expiry_date"] = _whole(lowered["expiry_date"])
        return lowered

    # -- what arrives

    def response(self, data: Any) -> CommandResponse:
        wire = checked(Answer, data)
        answer = "REJECTED" if wire.result == "TIMEOUT" else wire.result
        return CommandResponse(result=answer, timeout=30)

    def result(self, data: Any) -> CommandResult:
        wire = checked(Answer, data)
        return checked(CommandResult, {"result": wire.result})

    def lift(self, sent: Sent, book: Book) -> Any:
        _only_ascii(sent.body)
        match (sent.module, sent.method, len(sent.segments)):
            case ("locations", "PUT", 3):
                checked(Location, sent.body)
                return location(sent.body, sent.segments[0], sent.segments[1])
            case ("locations", "PUT", 4):
                checked(Evse, sent.body)
                return evse(sent.body)
            case ("locations", "PUT", 5):
                checked(Connector, sent.body)
                return connector(sent.body)
            case ("tariffs", "PUT", 3):
                checked(Tariff, sent.body)
                return tariff(sent.body, sent.segments[0], sent.segments[1])
            case ("sessions", "PUT", 3):
                checked(Session, sent.body)
                return session(sent.body, sent.segments[0], sent.segments[1], book)
            case ("cdrs", "POST", _):
                checked(Cdr, sent.body)
                return cdr(sent.body, book)
            case _:
                return sent.body


def _only_ascii(value: Any, path: str = "body") -> None:
    match value:
        case str():
            if not (value.isascii() and value.isprintable()):
                raise Wrong(path, "a string of 2.1.1 is printable ASCII")
        case dict():
            for name, each in value.items():
                _only_ascii(each, f"{path}.{name}")
        case list():
            for each in value:
                _only_ascii(each, path)
        case _:
            pass


def _whole(text: str) -> str:
    return re.sub(r"\.\d+Z$", "Z", text)


# -- lifting: every function takes what was checked above --------------------------------------


def location(wire: Json, country: str, party: str) -> Json:
    """A Location in the shape of 2.2.1."""
    core = {name: value for name, value in wire.items() if name != "type"}
    core |= {"country_code": country, "party_id": party, "publish": True}
    core.setdefault("time_zone", "UTC")
    if "evses" in core:
        core["evses"] = [evse(each) for each in core["evses"]]
    core.pop("energy_mix", None)
    return core


def evse(wire: Json) -> Json:
    """An EVSE in the shape of 2.2.1."""
    return {**wire, "connectors": [connector(each) for each in wire["connectors"]]}


def connector(wire: Json) -> Json:
    """A Connector in the shape of 2.2.1."""
    core = {k: v for k, v in wire.items() if k not in ("voltage", "amperage", "tariff_id")}
    core |= {"max_voltage": wire["voltage"], "max_amperage": wire["amperage"]}
    if wire.get("tariff_id"):
        core["tariff_ids"] = [wire["tariff_id"]]
    return core


def tariff(wire: Json, country: str, party: str) -> Json:
    """A Tariff in the shape of 2.2.1; without the rate of VAT, as nobody told it."""
    core = {name: value for name, value in wire.items() if name != "energy_mix"}
    return {**core, "country_code": country, "party_id": party}


def _token(contract: str, book: Book) -> Json:
    """The token of a contract; of a stranger's none is known, which shows as a leak later."""
    held = book.token_of_contract(contract)
    if held is None:
        stranger = {"country_code": "ZZ", "party_id": "ZZZ", "uid": "unknown", "type": "OTHER"}
        return {**stranger, "contract_id": contract}
    return {k: held[k] for k in ("country_code", "party_id", "uid", "type", "contract_id")}


def session(wire: Json, country: str, party: str, book: Book) -> Json:
    """A Session in the shape of 2.2.1."""
    place = wire["location"]
    core: Json = {
        "country_code": country,
        "party_id": party,
        "id": wire["id"],
        "start_date_time": wire["start_datetime"],
        "cdr_token": _token(wire["auth_id"], book),
        "location_id": place["id"],
        "evse_uid": place["evses"][0]["uid"],
        "connector_id": place["evses"][0]["connectors"][0]["id"],
    }
    same = ("kwh", "auth_method", "meter_id", "currency", "charging_periods", "status")
    core |= {name: wire[name] for name in (*same, "last_updated") if name in wire}
    if "end_datetime" in wire:
        core["end_date_time"] = wire["end_datetime"]
    if "total_cost" in wire:
        core["total_cost"] = {"excl_vat": wire["total_cost"]}
    if reference := book.reference_of_contract(wire["auth_id"]):
        core["authorization_reference"] = reference
    return core


def cdr(wire: Json, book: Book) -> Json:
    """A CDR in the shape of 2.2.1; its periods are priced by the one tariff that it names."""
    country, party = book.party_of_cpo()
    place = wire["location"]
    point = place["evses"][0]
    plug = point["connectors"][0]
    core: Json = {
        "country_code": country,
        "party_id": party,
        "end_date_time": wire["stop_date_time"],
        "cdr_token": _token(wire["auth_id"], book),
        "cdr_location": {
            **{k: place[k] for k in ("id", "name", "address", "city", "country") if k in place},
            "postal_code": place["postal_code"],
            "coordinates": place["coordinates"],
            "evse_uid": point["uid"],
            "evse_id": point.get("evse_id", "#NA"),
            "connector_id": plug["id"],
            "connector_standard": plug["standard"],
            "connector_format": plug["format"],
            "connector_power_type": plug["power_type"],
        },
        "total_cost": {"excl_vat": wire["total_cost"]},
    }
    same = (
        "id", "start_date_time", "auth_method", "meter_id", "currency", "total_energy",
        "total_time", "total_parking_time", "remark", "last_updated",
    )  # fmt: skip
    core |= {name: wire[name] for name in same if name in wire}
    tariffs = [tariff(each, country, party) for each in wire.get("tariffs") or []]
    if tariffs:
        core["tariffs"] = tariffs
    core["charging_periods"] = list(_periods(wire, tariffs))
    found = book.session_like(wire["auth_id"], wire["start_date_time"], point["uid"])
    if found:
        core["session_id"] = found
    if reference := book.reference_of_contract(wire["auth_id"]):
        core["authorization_reference"] = reference
    return core


def _periods(wire: Json, tariffs: list[Json]) -> Iterator[Json]:
    named = {"tariff_id": tariffs[0]["id"]} if tariffs else {}
    for each in wire["charging_periods"]:
        yield {**each, **named}
