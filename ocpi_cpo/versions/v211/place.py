"""Locations, EVSEs and connectors: 2.2.1 -> 2.1.1. Pure functions of JSON values."""

from __future__ import annotations

from typing import Any

from ocpi_cpo.versions.v211.text import fitting, only
from ocpi_cpo.versions.v221.bills import NOT_AVAILABLE
from ocpi_cpo.wire import Json

TYPES = frozenset({"ON_STREET", "PARKING_GARAGE", "UNDERGROUND_GARAGE", "PARKING_LOT"})
CAPABILITIES = frozenset(
    "CHARGING_PROFILE_CAPABLE CREDIT_CARD_PAYABLE REMOTE_START_STOP_CAPABLE RESERVABLE RFID_READER"
    " UNLOCK_CAPABLE".split()
)
FACILITIES = frozenset(
    "HOTEL RESTAURANT CAFE MALL SUPERMARKET SPORT RECREATION_AREA NATURE MUSEUM BUS_STOP"
    " TAXI_STAND TRAIN_STATION AIRPORT CARPOOL_PARKING FUEL_STATION WIFI".split()
)
RESTRICTIONS = frozenset("EV_ONLY PLUGGED DISABLED CUSTOMERS MOTORCYCLES".split())
STANDARDS = frozenset(
    "CHADEMO DOMESTIC_A DOMESTIC_B DOMESTIC_C DOMESTIC_D DOMESTIC_E DOMESTIC_F DOMESTIC_G"
    " DOMESTIC_H DOMESTIC_I DOMESTIC_J DOMESTIC_K DOMESTIC_L IEC_60309_2_single_16"
    " IEC_60309_2_three_16 IEC_60309_2_three_32 IEC_60309_2_three_64 IEC_62196_T1"
    " IEC_62196_T1_COMBO IEC_62196_T2 IEC_62196_T2_COMBO IEC_62196_T3A IEC_62196_T3C TESLA_R"
    " TESLA_S".split()
)
_POWER = {"AC_2_PHASE": "AC_1_PHASE", "AC_2_PHASE_SPLIT": "AC_1_PHASE"}
"""The nearest that promises no more than there is."""

_LENGTHS = {"name": 255, "address": 45, "city": 45, "postal_code": 10}


def location(core: Json) -> Json:
    """Return a whole Location."""
    found = only(
        (
            "id", "name", "address", "city", "postal_code", "country", "coordinates",
            "related_locations", "evses", "directions", "operator", "suboperator", "owner",
            "facilities", "time_zone", "opening_times", "charging_when_closed", "images",
            "energy_mix", "last_updated",
        ),
        core,
    )  # fmt: skip
    found["type"] = location_type(core.get("parking_type"))
    found.setdefault("postal_code", NOT_AVAILABLE)
    for name, length in _LENGTHS.items():
        if name in found:
            found[name] = fitting(found[name], length)
    if "evses" in found:
        found["evses"] = [evse(each) for each in found["evses"]]
    if "opening_times" in found:
        found["opening_times"] = hours(found["opening_times"])
    if "energy_mix" in found:
        found["energy_mix"] = energy_mix(found["energy_mix"])
    return _kept(found, "facilities", FACILITIES)


def location_type(parking: str | None) -> str:
    """Return the required type; what 2.1.1 does not know is OTHER, what nobody said UNKNOWN."""
    if parking is None:
        return "UNKNOWN"
    return parking if parking in TYPES else "OTHER"


def evse(core: Json) -> Json:
    """Return a whole EVSE, with those connectors that have a form here."""
    found = only(
        (
            "uid", "evse_id", "status", "status_schedule", "capabilities", "connectors",
            "floor_level", "coordinates", "physical_reference", "directions",
            "parking_restrictions", "images", "last_updated",
        ),
        core,
    )  # fmt: skip
    found["connectors"] = [
        connector(each) for each in core["connectors"] if each["standard"] in STANDARDS
    ]
    found = _kept(found, "capabilities", CAPABILITIES)
    return _kept(found, "parking_restrictions", RESTRICTIONS)


def connector(core: Json) -> Json:
    """Return a whole Connector; of several tariffs the first."""
    found = only(("id", "standard", "format"), core)
    found["power_type"] = _POWER.get(core["power_type"], core["power_type"])
    found["voltage"], found["amperage"] = core["max_voltage"], core["max_amperage"]
    if core.get("tariff_ids"):
        found["tariff_id"] = core["tariff_ids"][0]
    return {**found, **only(("terms_and_conditions", "last_updated"), core)}


def hours(core: Json) -> Json:
    """Return opening times: open round the clock, or weekdays."""
    always = core["twentyfourseven"]
    regular = () if always else ("regular_hours",)
    return only(("twentyfourseven", *regular, "exceptional_openings", "exceptional_closings"), core)


def energy_mix(core: Json) -> Json:
    """Return an energy mix: an impact's category is called its source."""
    found = dict(core)
    if found.get("environ_impact"):
        found["environ_impact"] = [
            {"source": each["category"], "amount": each["amount"]}
            for each in found["environ_impact"]
        ]
    return found


def place_of_bill(core: Json, voltage: int, amperage: int, at: str) -> Json:
    """Return a CdrLocation as a Location with the one EVSE and connector.

    Args:
        at: when the session was over, the moment that the snapshot is of. The status of an EVSE
            is no part of a bill, so none is claimed.

    Raises:
        ValueError: the connector has no form here.
    """
    standard = core["connector_standard"]
    if standard not in STANDARDS:
        raise ValueError(f"2.1.1 knows no connector {standard}")
    plug = {
        "id": core["connector_id"],
        "standard": standard,
        "format": core["connector_format"],
        "power_type": core["connector_power_type"],
        "max_voltage": voltage,
        "max_amperage": amperage,
        "last_updated": at,
    }
    point = {
        "uid": core["evse_uid"],
        "status": "UNKNOWN",
        "connectors": [plug],
        "last_updated": at,
    }
    if core["evse_id"] != NOT_AVAILABLE:
        point["evse_id"] = core["evse_id"]
    return location({**core, "evses": [point], "last_updated": at})


def _kept(found: Json, name: str, known: frozenset[str]) -> Json:
    """Leave out values that 2.1.1 does not know, and the list if none is left."""
    values: list[Any] = [each for each in found.get(name) or () if each in known]
    if values:
        return {**found, name: values}
    return {key: value for key, value in found.items() if key != name}
