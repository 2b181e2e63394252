"""Tariffs, sessions and bills: 2.2.1 -> 2.1.1. Pure functions of JSON values."""

from __future__ import annotations

from typing import Any

from ocpi_cpo.versions.v211.place import energy_mix
from ocpi_cpo.versions.v211.text import fitting, only
from ocpi_cpo.wire import Json

DIMENSIONS = frozenset({"ENERGY", "FLAT", "MAX_CURRENT", "MIN_CURRENT", "PARKING_TIME", "TIME"})
_UNKNOWN_RULES = ("min_current", "max_current", "reservation")
_RULES = (
    "start_time", "end_time", "start_date", "end_date", "min_kwh", "max_kwh", "min_power",
    "max_power", "min_duration", "max_duration", "day_of_week",
)  # fmt: skip
_TEXT_LENGTH = 512


def tariff(core: Json) -> Json:
    """Return a Tariff; what it cannot express stands in its text for people."""
    found = only(("id", "currency", "tariff_alt_text", "tariff_alt_url"), core)
    elements = [each for each in core["elements"] if not _foreign(each)]
    found["elements"] = [_element(each) for each in elements or core["elements"]]
    if notes := _notes(core, some_left_out=len(elements) < len(core["elements"])):
        found["tariff_alt_text"] = _added(found.get("tariff_alt_text") or (), notes)
    if "energy_mix" in core:
        found["energy_mix"] = energy_mix(core["energy_mix"])
    return {**found, "last_updated": core["last_updated"]}


def _foreign(element: Json) -> bool:
    """Whether an element holds only under a rule that 2.1.1 does not have."""
    return any(name in (element.get("restrictions") or ()) for name in _UNKNOWN_RULES)


def _element(core: Json) -> Json:
    components = [only(("type", "price", "step_size"), each) for each in core["price_components"]]
    rules = only(_RULES, core.get("restrictions") or {})
    return {"price_components": components, **({"restrictions": rules} if rules else {})}


def _notes(core: Json, some_left_out: bool) -> str:
    notes = []
    for name, words in (("min_price", "Minimum price"), ("max_price", "Maximum price")):
        if name in core:
            notes.append(f"{words} {core[name]['excl_vat']:f} {core['currency']} without taxes.")
    if some_left_out:
        notes.append("Prices that depend on a reservation or on the current are not listed.")
    return " ".join(notes)


def _added(texts: Any, notes: str) -> list[Json]:
    """Return the texts with *notes* in English, in front, so that nothing cuts them off."""
    english = next((each["text"] for each in texts if each["language"] == "en"), "")
    text = fitting(f"{notes} {english}".strip(), _TEXT_LENGTH)
    others = [each for each in texts if each["language"] != "en"]
    return [{"language": "en", "text": text}, *others]


def session(core: Json, location: Json) -> Json:
    """Return a Session with the place where it is."""
    found = {
        "id": core["id"],
        "start_datetime": core["start_date_time"],
        "kwh": core["kwh"],
        "auth_id": core["cdr_token"]["contract_id"],
        "auth_method": auth_method(core),
        "location": location,
        **only(("meter_id", "currency"), core),
        "status": "PENDING" if core["status"] == "RESERVATION" else core["status"],
        "last_updated": core["last_updated"],
    }
    if "end_date_time" in core:
        found["end_datetime"] = core["end_date_time"]
    if core.get("charging_periods"):
        found["charging_periods"] = periods(core)
    if "total_cost" in core:
        found["total_cost"] = core["total_cost"]["excl_vat"]
    return found


def cdr(core: Json, location: Json) -> Json:
    """Return a CDR with the place where it was.

    Raises:
        ValueError: a credit, which 2.1.1 does not have.
    """
    if core.get("credit"):
        raise ValueError("2.1.1 has no credits: this one is settled by other means")
    found = {
        "id": core["id"],
        "start_date_time": core["start_date_time"],
        "stop_date_time": core["end_date_time"],
        "auth_id": core["cdr_token"]["contract_id"],
        "auth_method": auth_method(core),
        "location": location,
        **only(("meter_id", "currency"), core),
    }
    if core.get("tariffs"):
        found["tariffs"] = [tariff(each) for each in core["tariffs"]]
    found["charging_periods"] = periods(core)
    found["total_cost"] = core["total_cost"]["excl_vat"]
    return {
        **found,
        **only(("total_energy", "total_time", "total_parking_time", "remark"), core),
        "last_updated": core["last_updated"],
    }


def auth_method(core: Json) -> str:
    """Return the method; a command counts as asked, since the partner itself gave it."""
    return "AUTH_REQUEST" if core["auth_method"] == "COMMAND" else str(core["auth_method"])


def periods(core: Json) -> list[Json]:
    """Return the charging periods with the dimensions that 2.1.1 has.

    Times are whole seconds here, and each period ends where the next one starts: those that begin
    within one second are one period.
    """
    found: list[Json] = []
    for each in core["charging_periods"]:
        start, parts = each["start_date_time"], _dimensions(each)
        if found and found[-1]["start_date_time"][:_SECOND] == start[:_SECOND]:
            found[-1]["dimensions"] = _together(found[-1]["dimensions"], parts)
        else:
            found.append({"start_date_time": start, "dimensions": parts})
    return found


_SECOND = len("2026-01-01T00:00:00")


def _together(one: list[Json], other: list[Json]) -> list[Json]:
    """Return the dimensions of two periods as those of one."""
    volumes: dict[str, Any] = {}
    for part in (*one, *other):
        name, volume = part["type"], part["volume"]
        before = volumes.get(name)
        if before is None:
            volumes[name] = volume
        elif name.startswith(("MAX_", "MIN_")):
            volumes[name] = (max if name.startswith("MAX_") else min)(before, volume)
        else:
            volumes[name] = before + volume
    return [{"type": name, "volume": volume} for name, volume in volumes.items()]


def _dimensions(period: Json) -> list[Json]:
    """Return a period's dimensions; of reserved time, which has none here, no energy."""
    known = [part for part in period["dimensions"] if part["type"] in DIMENSIONS]
    return known or [{"type": "ENERGY", "volume": 0}]
