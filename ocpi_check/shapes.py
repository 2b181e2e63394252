"""The objects of OCPI, field by field, in each version. 2.2.1 is written out, others differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ocpi_check.kinds import (
    Judge,
    Problem,
    Shape,
    ascii_text,
    boolean,
    ident,
    integer,
    kind_of,
    many,
    number,
    one_of,
    pattern,
    text,
    url,
    when,
)

STATUSES = (
    "AVAILABLE", "BLOCKED", "CHARGING", "INOPERATIVE", "OUTOFORDER", "PLANNED", "REMOVED",
    "RESERVED", "UNKNOWN",
)  # fmt: skip
STANDARDS_211 = (
    "CHADEMO", "DOMESTIC_A", "DOMESTIC_B", "DOMESTIC_C", "DOMESTIC_D", "DOMESTIC_E", "DOMESTIC_F",
    "DOMESTIC_G", "DOMESTIC_H", "DOMESTIC_I", "DOMESTIC_J", "DOMESTIC_K", "DOMESTIC_L",
    "IEC_60309_2_single_16", "IEC_60309_2_three_16", "IEC_60309_2_three_32",
    "IEC_60309_2_three_64", "IEC_62196_T1", "IEC_62196_T1_COMBO", "IEC_62196_T2",
    "IEC_62196_T2_COMBO", "IEC_62196_T3A", "IEC_62196_T3C", "TESLA_R", "TESLA_S",
)  # fmt: skip
STANDARDS = (
    *STANDARDS_211, "CHAOJI", "DOMESTIC_M", "DOMESTIC_N", "DOMESTIC_O", "GBT_AC", "GBT_DC",
    "NEMA_5_20", "NEMA_6_30", "NEMA_6_50", "NEMA_10_30", "NEMA_10_50", "NEMA_14_30",
    "NEMA_14_50", "PANTOGRAPH_BOTTOM_UP", "PANTOGRAPH_TOP_DOWN",
)  # fmt: skip
POWER_TYPES = ("AC_1_PHASE", "AC_2_PHASE", "AC_2_PHASE_SPLIT", "AC_3_PHASE", "DC")
CAPABILITIES_211 = (
    "CHARGING_PROFILE_CAPABLE", "CREDIT_CARD_PAYABLE", "REMOTE_START_STOP_CAPABLE", "RESERVABLE",
    "RFID_READER", "UNLOCK_CAPABLE",
)  # fmt: skip
CAPABILITIES = (
    *CAPABILITIES_211, "CHARGING_PREFERENCES_CAPABLE", "CHIP_CARD_SUPPORT",
    "CONTACTLESS_CARD_SUPPORT", "DEBIT_CARD_PAYABLE", "PED_TERMINAL",
    "START_SESSION_CONNECTOR_REQUIRED", "TOKEN_GROUP_CAPABLE",
)  # fmt: skip
PARKING_TYPES = (
    "ALONG_MOTORWAY", "PARKING_GARAGE", "PARKING_LOT", "ON_DRIVEWAY", "ON_STREET",
    "UNDERGROUND_GARAGE",
)  # fmt: skip
LOCATION_TYPES_211 = (
    "ON_STREET", "PARKING_GARAGE", "UNDERGROUND_GARAGE", "PARKING_LOT", "OTHER", "UNKNOWN",
)  # fmt: skip
RESTRICTIONS = ("EV_ONLY", "PLUGGED", "DISABLED", "CUSTOMERS", "MOTORCYCLES")
FACILITIES = (
    "HOTEL", "RESTAURANT", "CAFE", "MALL", "SUPERMARKET", "SPORT", "RECREATION_AREA", "NATURE",
    "MUSEUM", "BIKE_SHARING", "BUS_STOP", "TAXI_STAND", "TRAM_STOP", "METRO_STATION",
    "TRAIN_STATION", "AIRPORT", "PARKING_LOT", "CARPOOL_PARKING", "FUEL_STATION", "WIFI",
)  # fmt: skip
TOKEN_TYPES = ("AD_HOC_USER", "APP_USER", "OTHER", "RFID")
WHITELISTS = ("ALWAYS", "ALLOWED", "ALLOWED_OFFLINE", "NEVER")
DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
SESSION_ONLY = ("CURRENT", "ENERGY_EXPORT", "ENERGY_IMPORT", "POWER", "STATE_OF_CHARGE")
CDR_DIMENSIONS = (
    "ENERGY", "MAX_CURRENT", "MIN_CURRENT", "MAX_POWER", "MIN_POWER", "PARKING_TIME",
    "RESERVATION_TIME", "TIME",
)  # fmt: skip
DIMENSIONS_211 = ("ENERGY", "FLAT", "MAX_CURRENT", "MIN_CURRENT", "PARKING_TIME", "TIME")
ROLES = ("CPO", "EMSP", "HUB", "NAP", "NSP", "OTHER", "SCSP")

COUNTRY = pattern(r"[A-Za-z]{2}", "a country code of two letters", "TR-33")
PARTY = pattern(r"[A-Za-z0-9]{3}", "a party id of three characters", "TR-33")
CURRENCY = pattern(r"[A-Z]{3}", "a currency of three letters (ISO 4217)", "TR-31")
CLOCK = r"([01]\d|2[0-3]):[0-5]\d"

DISPLAY_TEXT = Shape(
    "DisplayText",
    "TR-40",
    {"language": pattern(r"[a-z]{2}", "a language of two letters", "TR-40"), "text": text(512)},
)


def price(value: Any, path: str) -> Iterator[Problem]:
    """An amount with and (optionally) without VAT, never a bare number."""
    if not isinstance(value, dict):
        yield Problem("TR-39", path, f"must be an object with excl_vat, is {kind_of(value)}")
        return
    yield from _PRICE(value, path)


_PRICE = Shape("Price", "TR-39", {"excl_vat": number}, {"incl_vat": number})
_TAX = Shape(
    "TaxAmount",
    "C1-05",
    {"name": text(255), "amount": number},
    {"account_number": text(255), "percentage": number},
)
PRICE_230 = Shape(
    "Price",
    "C1-05",
    {"before_taxes": number},
    {"taxes": many(_TAX, "C1-05")},
    never={"excl_vat": "C1-05", "incl_vat": "C1-05"},
)
LIMIT_230 = Shape("PriceLimit", "C3-02", {"before_taxes": number}, {"after_taxes": number})


def bare_price(value: Any, path: str) -> Iterator[Problem]:
    """2.1.1: a number, excluding VAT."""
    if isinstance(value, dict):
        yield Problem("B3-02", path, "must be a bare number excluding VAT in 2.1.1, is an object")
        return
    yield from number(value, path)


GEO = Shape(
    "GeoLocation",
    "LO-12",
    {
        "latitude": pattern(
            r"(?=.{1,10}$)-?\d{1,2}\.\d{5,7}", "a latitude as text, 5 to 7 decimals", "LO-12"
        ),
        "longitude": pattern(
            r"(?=.{1,11}$)-?\d{1,3}\.\d{5,7}", "a longitude as text, 5 to 7 decimals", "LO-12"
        ),
    },
)
GEO_211 = GEO.with_(
    required={
        "latitude": pattern(r"-?\d{1,2}\.\d{6}", "a latitude with 6 decimals", "B2-05"),
        "longitude": pattern(r"-?\d{1,3}\.\d{6}", "a longitude with 6 decimals", "B2-05"),
    }
)
IMAGE = Shape(
    "Image",
    "LO-27",
    {
        "url": url,
        "category": one_of(
            ("CHARGER", "ENTRANCE", "LOCATION", "NETWORK", "OPERATOR", "OTHER", "OWNER"), "LO-27"
        ),
        "type": ascii_text(4),
    },
    {"thumbnail": url, "width": integer, "height": integer},
)
BUSINESS = Shape("BusinessDetails", "CR-15", {"name": text(100)}, {"website": url, "logo": IMAGE})
_OPERATOR = BUSINESS.with_(rule="LO-27")
_SOURCE = Shape(
    "EnergySource",
    "LO-27",
    {
        "source": one_of(
            (
                "NUCLEAR", "GENERAL_FOSSIL", "COAL", "GAS", "GENERAL_GREEN", "SOLAR", "WIND",
                "WATER",
            ),
            "LO-27",
        ),
        "percentage": number,
    },
)  # fmt: skip
_IMPACT = Shape(
    "EnvironmentalImpact",
    "LO-27",
    {"category": one_of(("NUCLEAR_WASTE", "CARBON_DIOXIDE"), "LO-27"), "amount": number},
)
ENERGY_MIX = Shape(
    "EnergyMix",
    "LO-27",
    {"is_green_energy": boolean("LO-27")},
    {
        "energy_sources": many(_SOURCE),
        "environ_impact": many(_IMPACT),
        "supplier_name": text(64),
        "energy_product_name": text(64),
    },
)
_IMPACT_211 = Shape(
    "EnvironmentalImpact",
    "B2-10",
    {"source": one_of(("NUCLEAR_WASTE", "CARBON_DIOXIDE"), "B2-10"), "amount": number},
    never={"category": "B2-10"},
)
ENERGY_MIX_211 = ENERGY_MIX.with_(optional={"environ_impact": many(_IMPACT_211)})
_WEEKDAY = pattern(CLOCK, "a local time HH:MM", "LO-25")


def weekday(value: Any, path: str) -> Iterator[Problem]:
    if value not in (1, 2, 3, 4, 5, 6, 7) or isinstance(value, bool):
        yield Problem("LO-25", path, f"must be 1 (Monday) to 7, is {kind_of(value)}")


_REGULAR = Shape(
    "RegularHours",
    "LO-25",
    {"weekday": weekday, "period_begin": _WEEKDAY, "period_end": _WEEKDAY},
)
_EXCEPTION = Shape("ExceptionalPeriod", "LO-26", {"period_begin": when, "period_end": when})
HOURS = Shape(
    "Hours",
    "LO-25",
    {"twentyfourseven": boolean("LO-25")},
    {
        "regular_hours": many(_REGULAR),
        "exceptional_openings": many(_EXCEPTION),
        "exceptional_closings": many(_EXCEPTION),
    },
)
_SCHEDULE = Shape(
    "StatusSchedule",
    "LO-24",
    {"period_begin": when, "status": one_of(STATUSES, "LO-22")},
    {"period_end": when},
)
PUBLISH_TOKEN = Shape(
    "PublishTokenType",
    "LO-14",
    {},
    {
        "uid": ident(),
        "type": one_of(TOKEN_TYPES, "LO-14"),
        "visual_number": text(64),
        "issuer": text(64),
        "group_id": ident(),
    },
)

CONNECTOR = Shape(
    "Connector",
    "LO-17",
    {
        "id": ident(),
        "standard": one_of(STANDARDS),
        "format": one_of(("SOCKET", "CABLE")),
        "power_type": one_of(POWER_TYPES),
        "max_voltage": integer,
        "max_amperage": integer,
        "last_updated": when,
    },
    {"max_electric_power": integer, "tariff_ids": many(ident()), "terms_and_conditions": url},
)
CONNECTOR_211 = CONNECTOR.with_(
    required={
        "max_voltage": None,
        "max_amperage": None,
        "voltage": integer,
        "amperage": integer,
        "standard": one_of(STANDARDS_211, "B2-08"),
        "power_type": one_of(("AC_1_PHASE", "AC_3_PHASE", "DC"), "B2-08"),
    },
    optional={"max_electric_power": None, "tariff_ids": None, "tariff_id": ident()},
    missing={"voltage": "B2-06", "amperage": "B2-06"},
    never=dict.fromkeys(
        ("max_voltage", "max_amperage", "max_electric_power", "tariff_ids"), "B2-06"
    ),
)
CONNECTOR_230 = CONNECTOR.with_(
    required={"standard": ascii_text(255)}, optional={"capabilities": many(ascii_text(255))}
)


def _evse(connector: Judge, **changes: Any) -> Shape:
    return Shape(
        "EVSE",
        "LO-17",
        {
            "uid": ident(),
            "status": one_of(STATUSES, "LO-22"),
            "connectors": many(connector, "LO-17", least=1),
            "last_updated": when,
        },
        {
            "evse_id": ident(48),
            "status_schedule": many(_SCHEDULE),
            "capabilities": many(one_of(CAPABILITIES, "LO-28")),
            "floor_level": text(4),
            "coordinates": GEO,
            "physical_reference": text(16),
            "directions": many(DISPLAY_TEXT),
            "parking_restrictions": many(one_of(RESTRICTIONS)),
            "images": many(IMAGE),
        },
    ).with_(**changes)


EVSE = _evse(CONNECTOR)
EVSE_211 = _evse(
    CONNECTOR_211,
    required={"uid": ident(39)},
    optional={"capabilities": many(one_of(CAPABILITIES_211, "B2-07")), "coordinates": GEO_211},
)
_EVSE_PARKING = Shape(
    "EVSEParking",
    "C2-02",
    {"parking_id": ident()},
    {"evse_position": one_of(("LEFT", "RIGHT", "CENTER"), "C1-04")},
)
EVSE_230 = _evse(
    CONNECTOR_230,
    optional={
        "capabilities": many(ascii_text(255)),
        "parking_restrictions": many(ascii_text(255)),
        "parking": many(_EVSE_PARKING),
        "accepted_service_providers": many(text(50)),
    },
)

LOCATION = Shape(
    "Location",
    "LO-11",
    {
        "country_code": COUNTRY,
        "party_id": PARTY,
        "id": ident(),
        "publish": boolean("LO-11"),
        "address": text(255),
        "city": text(45),
        "country": pattern(r"[A-Z]{3}", "a country of three letters (ISO alpha-3)", "LO-11"),
        "coordinates": GEO,
        "time_zone": text(255),
        "last_updated": when,
    },
    {
        "publish_allowed_to": many(PUBLISH_TOKEN),
        "name": text(255),
        "postal_code": text(10),
        "state": text(45),
        "related_locations": many(GEO.with_(optional={"name": DISPLAY_TEXT})),
        "parking_type": one_of(PARKING_TYPES),
        "evses": many(EVSE),
        "directions": many(DISPLAY_TEXT),
        "operator": _OPERATOR,
        "suboperator": _OPERATOR,
        "owner": _OPERATOR,
        "facilities": many(one_of(FACILITIES)),
        "opening_times": HOURS,
        "charging_when_closed": boolean("LO-27"),
        "images": many(IMAGE),
        "energy_mix": ENERGY_MIX,
    },
)
LOCATION_211 = LOCATION.with_(
    required={
        "country_code": None,
        "party_id": None,
        "publish": None,
        "time_zone": None,
        "id": ident(39),
        "type": one_of(LOCATION_TYPES_211, "B2-01"),
        "address": text(45),
        "postal_code": text(10),
        "coordinates": GEO_211,
    },
    optional={
        "time_zone": text(255),
        "publish_allowed_to": None,
        "state": None,
        "parking_type": None,
        "related_locations": many(GEO_211.with_(optional={"name": DISPLAY_TEXT})),
        "evses": many(EVSE_211),
        "facilities": many(
            one_of(
                [
                    each
                    for each in FACILITIES
                    if each not in ("BIKE_SHARING", "PARKING_LOT", "TRAM_STOP", "METRO_STATION")
                ],
                "B2-08",
            )
        ),
        "energy_mix": ENERGY_MIX_211,
    },
    missing={"type": "B2-01", "postal_code": "B2-03"},
    never={
        **dict.fromkeys(("publish", "publish_allowed_to", "state", "parking_type"), "B2-01"),
        **dict.fromkeys(("country_code", "party_id"), "B1-12"),
    },
)
_PARKING = Shape(
    "Parking",
    "C2-05",
    {
        "id": ident(),
        "vehicle_types": many(ascii_text(255), "C2-05", least=1),
        "restricted_to_type": boolean("C2-05"),
        "reservation_required": boolean("C2-05"),
    },
    {"time_limit": number},
)
LOCATION_230 = LOCATION.with_(
    optional={
        "evses": many(EVSE_230),
        "parking_type": ascii_text(255),
        "facilities": many(ascii_text(255)),
        "parking_places": many(_PARKING, "C2-01"),
        "help_phone": ascii_text(25),
    }
)

CDR_TOKEN = Shape(
    "CdrToken",
    "SE-07",
    {
        "country_code": COUNTRY,
        "party_id": PARTY,
        "uid": ident(),
        "type": one_of(TOKEN_TYPES),
        "contract_id": ident(),
    },
)
CDR_TOKEN_230 = CDR_TOKEN.with_(required={"type": ascii_text(255)})


def _period(dimensions: tuple[str, ...], rule: str, **changes: Any) -> Shape:
    dimension = Shape("CdrDimension", "CD-19", {"type": one_of(dimensions, rule), "volume": number})
    return Shape(
        "ChargingPeriod",
        "CD-19",
        {"start_date_time": when, "dimensions": many(dimension, "CD-19", least=1)},
        {"tariff_id": ident()},
    ).with_(**changes)


_NO_TARIFF = {"optional": {"tariff_id": None}, "never": {"tariff_id": "B3-09"}}
_METHODS = ("AUTH_REQUEST", "COMMAND", "WHITELIST")
SESSION = Shape(
    "Session",
    "SE-06",
    {
        "country_code": COUNTRY,
        "party_id": PARTY,
        "id": ident(),
        "start_date_time": when,
        "kwh": number,
        "cdr_token": CDR_TOKEN,
        "auth_method": one_of(_METHODS, "SE-11"),
        "location_id": ident(),
        "evse_uid": ident(),
        "connector_id": ident(),
        "currency": CURRENCY,
        "status": one_of(("ACTIVE", "COMPLETED", "INVALID", "PENDING", "RESERVATION"), "SE-09"),
        "last_updated": when,
    },
    {
        "end_date_time": when,
        "authorization_reference": ident(),
        "meter_id": text(255),
        "charging_periods": many(_period((*CDR_DIMENSIONS, *SESSION_ONLY), "TR-31")),
        "total_cost": price,
    },
)
_METHODS_211 = one_of(("AUTH_REQUEST", "WHITELIST"), "B3-10")
SESSION_211 = SESSION.with_(
    required={
        **dict.fromkeys(
            (
                "country_code", "party_id", "start_date_time", "cdr_token", "location_id",
                "evse_uid", "connector_id",
            )
        ),
        "start_datetime": when,
        "auth_id": ident(),
        "auth_method": _METHODS_211,
        "location": LOCATION_211,
        "status": one_of(("ACTIVE", "COMPLETED", "INVALID", "PENDING"), "B3-03"),
    },
    optional={
        "end_date_time": None,
        "end_datetime": when,
        "authorization_reference": None,
        "charging_periods": many(_period(DIMENSIONS_211, "B3-09", **_NO_TARIFF)),
        "total_cost": bare_price,
    },
    missing=dict.fromkeys(("start_datetime", "auth_id", "location"), "B3-01"),
    never={
        **dict.fromkeys(
            (
                "start_date_time", "end_date_time", "cdr_token", "location_id", "evse_uid",
                "connector_id", "authorization_reference",
            ),
            "B3-01",
        ),
        **dict.fromkeys(("country_code", "party_id"), "B1-12"),
    },
)  # fmt: skip
SESSION_230 = SESSION.with_(
    required={"cdr_token": CDR_TOKEN_230}, optional={"total_cost": PRICE_230}
)

_COMPONENT = Shape(
    "PriceComponent",
    "TA-05",
    {
        "type": one_of(("ENERGY", "FLAT", "PARKING_TIME", "TIME"), "TA-05"),
        "price": number,
        "step_size": integer,
    },
    {"vat": number},
)
_COMPONENT_211 = _COMPONENT.with_(optional={"vat": None}, never={"vat": "B4-02"})
_TIME_OF_DAY = pattern(CLOCK, "a local time HH:MM (end of day is 00:00)", "TA-11")
_DAY = pattern(r"\d{4}-\d\d-\d\d", "a local date YYYY-MM-DD", "TA-11")
_RESTRICTIONS = Shape(
    "TariffRestrictions",
    "TA-05",
    {},
    {
        "start_time": _TIME_OF_DAY,
        "end_time": _TIME_OF_DAY,
        "start_date": _DAY,
        "end_date": _DAY,
        **dict.fromkeys(
            (
                "min_kwh", "max_kwh", "min_current", "max_current", "min_power", "max_power",
            ),
            number,
        ),
        "min_duration": integer,
        "max_duration": integer,
        "day_of_week": many(one_of(DAYS)),
        "reservation": one_of(("RESERVATION", "RESERVATION_EXPIRES")),
    },
)  # fmt: skip
_GONE_211 = ("min_current", "max_current", "reservation")
_RESTRICTIONS_211 = _RESTRICTIONS.with_(
    optional=dict.fromkeys(_GONE_211), never=dict.fromkeys(_GONE_211, "B4-03")
)


def _element(component: Judge, restrictions: Judge) -> Judge:
    return many(
        Shape(
            "TariffElement",
            "TA-05",
            {"price_components": many(component, "TA-05", least=1)},
            {"restrictions": restrictions},
        ),
        "TA-05",
        least=1,
    )


TARIFF = Shape(
    "Tariff",
    "TA-05",
    {
        "country_code": COUNTRY,
        "party_id": PARTY,
        "id": ident(),
        "currency": CURRENCY,
        "elements": _element(_COMPONENT, _RESTRICTIONS),
        "last_updated": when,
    },
    {
        "type": one_of(
            ("AD_HOC_PAYMENT", "PROFILE_CHEAP", "PROFILE_FAST", "PROFILE_GREEN", "REGULAR"),
            "TA-07",
        ),
        "tariff_alt_text": many(DISPLAY_TEXT),
        "tariff_alt_url": url,
        "min_price": price,
        "max_price": price,
        "start_date_time": when,
        "end_date_time": when,
        "energy_mix": ENERGY_MIX,
    },
)
_NOT_211 = ("type", "min_price", "max_price", "start_date_time", "end_date_time")
TARIFF_211 = TARIFF.with_(
    required={
        "country_code": None,
        "party_id": None,
        "elements": _element(_COMPONENT_211, _RESTRICTIONS_211),
    },
    optional={**dict.fromkeys(_NOT_211), "energy_mix": ENERGY_MIX_211},
    never={
        **dict.fromkeys(_NOT_211, "B4-01"),
        **dict.fromkeys(("country_code", "party_id"), "B1-12"),
    },
)
TARIFF_230 = TARIFF.with_(
    required={"tax_included": one_of(("YES", "NO", "N/A"), "C3-01")},
    optional={"min_price": LIMIT_230, "max_price": LIMIT_230},
    missing={"tax_included": "C3-01"},
)

CDR_LOCATION = Shape(
    "CdrLocation",
    "CD-12",
    {
        "id": ident(),
        "address": text(45),
        "city": text(45),
        "country": pattern(r"[A-Z]{3}", "a country of three letters (ISO alpha-3)", "CD-12"),
        "coordinates": GEO,
        "evse_uid": ident(),
        "evse_id": ident(48),
        "connector_id": ident(),
        "connector_standard": one_of(STANDARDS),
        "connector_format": one_of(("SOCKET", "CABLE")),
        "connector_power_type": one_of(POWER_TYPES),
    },
    {"name": text(255), "postal_code": text(10), "state": text(20)},
    missing={"evse_id": "CD-13"},
)
_SIGNED_VALUE = Shape(
    "SignedValue",
    "CD-23",
    {"nature": ascii_text(32), "plain_data": text(5000), "signed_data": text(5000)},
)
_SIGNED = Shape(
    "SignedData",
    "CD-23",
    {"encoding_method": ascii_text(36), "signed_values": many(_SIGNED_VALUE, "CD-23", least=1)},
    {"encoding_method_version": integer, "public_key": ascii_text(512), "url": text(512)},
)
PARTS = (
    "total_fixed_cost", "total_energy_cost", "total_time_cost", "total_parking_cost",
    "total_reservation_cost",
)  # fmt: skip
CDR = Shape(
    "CDR",
    "CD-09",
    {
        "country_code": COUNTRY,
        "party_id": PARTY,
        "id": ident(39),
        "start_date_time": when,
        "end_date_time": when,
        "cdr_token": CDR_TOKEN,
        "auth_method": one_of(_METHODS),
        "cdr_location": CDR_LOCATION,
        "currency": CURRENCY,
        "charging_periods": many(_period((*CDR_DIMENSIONS, *SESSION_ONLY), "TR-31"), "CD-09", 1),
        "total_cost": price,
        "total_energy": number,
        "total_time": number,
        "last_updated": when,
    },
    {
        "session_id": ident(),
        "authorization_reference": ident(),
        "meter_id": text(255),
        "tariffs": many(TARIFF),
        "signed_data": _SIGNED,
        **dict.fromkeys(PARTS, price),
        "total_parking_time": number,
        "remark": text(255),
        "invoice_reference_id": ident(39),
        "credit": boolean("CD-07"),
        "credit_reference_id": ident(39),
        "home_charging_compensation": boolean("CD-24"),
    },
)
_NOT_IN_CDR_211 = (
    "session_id", "authorization_reference", "signed_data", *PARTS, "invoice_reference_id",
    "home_charging_compensation",
)  # fmt: skip
CDR_211 = CDR.with_(
    required={
        **dict.fromkeys(("country_code", "party_id", "end_date_time", "cdr_token")),
        "cdr_location": None,
        "id": ident(36),
        "stop_date_time": when,
        "auth_id": ident(),
        "auth_method": _METHODS_211,
        "location": LOCATION_211,
        "charging_periods": many(_period(DIMENSIONS_211, "B3-09", **_NO_TARIFF), "CD-09", 1),
        "total_cost": bare_price,
    },
    optional={
        **dict.fromkeys((*_NOT_IN_CDR_211, "credit", "credit_reference_id")),
        "tariffs": many(TARIFF_211),
    },
    missing=dict.fromkeys(("stop_date_time", "auth_id", "location"), "B3-06"),
    never={
        **dict.fromkeys(("end_date_time", "cdr_token", "cdr_location"), "B3-06"),
        **dict.fromkeys(_NOT_IN_CDR_211, "B3-07"),
        **dict.fromkeys(("credit", "credit_reference_id"), "B3-08"),
        **dict.fromkeys(("country_code", "party_id"), "B1-12"),
    },
)
CDR_230 = CDR.with_(
    required={
        "cdr_token": CDR_TOKEN_230,
        "cdr_location": CDR_LOCATION.with_(required={"connector_standard": ascii_text(255)}),
        "total_cost": PRICE_230,
    },
    optional={**dict.fromkeys(PARTS, PRICE_230), "tariffs": many(TARIFF_230)},
)

_TOKEN_REQUIRED: dict[str, Any] = {
    "country_code": COUNTRY,
    "party_id": PARTY,
    "uid": ident(),
    "type": one_of(TOKEN_TYPES),
    "contract_id": ident(),
    "issuer": text(64),
    "valid": boolean("TK-07"),
    "whitelist": one_of(WHITELISTS),
    "last_updated": when,
}
TOKEN = Shape(
    "Token",
    "TK-07",
    _TOKEN_REQUIRED,
    {
        "visual_number": text(64),
        "group_id": ident(),
        "language": pattern(r"[a-z]{2}", "a language of two letters", "TK-07"),
        "default_profile_type": one_of(("CHEAP", "FAST", "GREEN", "REGULAR")),
    },
)
TOKEN_211 = TOKEN.with_(
    required={
        **dict.fromkeys(("country_code", "party_id", "contract_id")),
        "auth_id": ident(),
        "type": one_of(("OTHER", "RFID"), "B5-01"),
    },
    optional=dict.fromkeys(("group_id", "default_profile_type")),
    missing={"auth_id": "B5-01"},
    never=dict.fromkeys(
        ("contract_id", "country_code", "party_id", "group_id", "default_profile_type"), "B5-01"
    ),
)
TOKEN_230 = TOKEN.with_(required={"type": ascii_text(255)})

_ROLE = Shape(
    "CredentialsRole",
    "CR-15",
    {
        "role": one_of(ROLES, "CR-15"),
        "business_details": BUSINESS,
        "party_id": PARTY,
        "country_code": COUNTRY,
    },
)
CREDENTIALS = Shape(
    "Credentials",
    "CR-15",
    {"token": text(64), "url": url, "roles": many(_ROLE, "CR-15", least=1)},
)
CREDENTIALS_211 = Shape(
    "Credentials",
    "B1-08",
    {
        "token": text(64),
        "url": url,
        "business_details": BUSINESS,
        "party_id": PARTY,
        "country_code": COUNTRY,
    },
    never={"roles": "B1-08"},
)
_ROLE_230 = _ROLE.with_(
    required={"role": one_of([each for each in ROLES if each != "HUB"], "C1-06")}
)
CREDENTIALS_230 = CREDENTIALS.with_(
    required={"roles": many(_ROLE_230, "CR-15", least=1)},
    optional={"hub_party_id": pattern(r"[A-Za-z0-9]{5}", "country code + party id", "C1-07")},
)

SHAPES: dict[str, dict[str, Shape]] = {
    "2.2.1": {
        "locations": LOCATION, "sessions": SESSION, "cdrs": CDR, "tariffs": TARIFF,
        "tokens": TOKEN, "credentials": CREDENTIALS, "evse": EVSE, "connector": CONNECTOR,
    },
    "2.1.1": {
        "locations": LOCATION_211, "sessions": SESSION_211, "cdrs": CDR_211,
        "tariffs": TARIFF_211, "tokens": TOKEN_211, "credentials": CREDENTIALS_211,
        "evse": EVSE_211, "connector": CONNECTOR_211,
    },
    "2.3.0": {
        "locations": LOCATION_230, "sessions": SESSION_230, "cdrs": CDR_230,
        "tariffs": TARIFF_230, "tokens": TOKEN_230, "credentials": CREDENTIALS_230,
        "evse": EVSE_230, "connector": CONNECTOR_230,
    },
}  # fmt: skip
