"""CSV files of other systems -> bodies of our API, with errors that name file, line and column."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cms.config import ConfigError
from cms.domain.errors import InvalidValue
from cms.domain.tariff import Dimension
from cms.intake.base import parse
from cms.intake.tariffs import TariffIn
from cms.intake.tokens import TokenIn
from cms.intake.topology import ChargerIn, LocationIn

Row = dict[str, str]


def read(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield (line number, row) with empty cells left out.

    Raises:
        ConfigError: the file cannot be read, or a row has more cells than the header.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not reader.fieldnames:
                raise ConfigError(f"{path.name}: is empty; its first line must name the columns")
            for row in reader:
                if None in row:
                    raise ConfigError(f"{path.name}:{reader.line_num}: more cells than columns")
                cells = {name.strip(): cell.strip() for name, cell in row.items() if cell}
                yield reader.line_num, {name: cell for name, cell in cells.items() if cell}
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path.name}: not UTF-8") from None


@dataclass(frozen=True, slots=True)
class Taken:
    """One body for the API, with the line that it comes from.

    Attributes:
        place: file and line, as errors name them.
        id: what the API's address ends in.
    """

    place: str
    id: str
    body: dict[str, Any]


def locations(path: Path) -> list[Taken]:
    """Columns are the keys of a location in the config file."""
    return _each(path, "id", lambda row: parse(LocationIn, row))


def tokens(path: Path) -> list[Taken]:
    """Columns are the keys of an own token in the config file."""
    return _each(path, "uid", lambda row: parse(TokenIn, row))


def tariffs(path: Path) -> list[Taken]:
    """Columns: ``id, currency, basis, price_per_kwh, price_per_session, price_per_hour,
    price_per_parking_hour, taxes`` (like ``CGST:9 SGST:9``)."""
    return _each(path, "id", lambda row: parse(TariffIn, _tariff(row)))


def chargers(path: Path) -> list[Taken]:
    """One line per connector; lines of one charger belong together.

    Columns: ``id, location, evse, evse_uid, evse_id, connector, standard, format, power_type,
    max_voltage, max_amperage, max_power_w, tariffs`` (ids with spaces between), ``password,
    profile``. The ids that partners already know are kept as they are.
    """
    found: dict[str, dict[str, Any]] = {}
    places: dict[str, str] = {}
    for line, row in read(path):
        place = f"{path.name}:{line}"
        with _at(place):
            _add_connector(found, row)
            places.setdefault(row["id"], place)
    return [
        _taken(places[id], id, partial(parse, ChargerIn, _listed(body)))
        for id, body in found.items()
    ]


def _each(path: Path, key: str, make: Callable[[Row], BaseModel]) -> list[Taken]:
    taken: dict[str, Taken] = {}
    for line, row in read(path):
        place = f"{path.name}:{line}"
        with _at(place):
            id = row[key]
            if id in taken:
                raise InvalidValue(key, f"{id!r} is at {taken[id].place} already")
        taken[id] = _taken(place, id, partial(make, row))
    return list(taken.values())


def _taken(place: str, id: str, make: Callable[[], BaseModel]) -> Taken:
    with _at(place):
        return Taken(place, id, make().model_dump(mode="json", exclude_none=True))


@contextmanager
def _at(place: str) -> Iterator[None]:
    try:
        yield
    except InvalidValue as error:
        raise ConfigError(f"{place}: {error}") from None
    except KeyError as error:
        raise ConfigError(f"{place}: {error.args[0]}: is required") from None


def _add_connector(found: dict[str, dict[str, Any]], row: Row) -> None:
    body = found.setdefault(row["id"], {"id": row["id"], "location": row["location"], "evses": {}})
    unknown = sorted(set(row) - set(_CHARGER_COLUMNS))
    if unknown:
        raise InvalidValue(unknown[0], f"no such column; known are {', '.join(_CHARGER_COLUMNS)}")
    if row["location"] != body["location"]:
        raise InvalidValue("location", f"the charger's first line says {body['location']!r}")
    for name in ("password", "profile"):
        if name in row:
            body[name] = row[name]
    number = row.get("evse", "1")
    evse = body["evses"].setdefault(number, {"number": number, "connectors": []})
    for column, name in (("evse_uid", "uid"), ("evse_id", "evse_id")):
        if column in row:
            evse[name] = row[column]
    wanted = ("standard", "format", "power_type", "max_voltage", "max_amperage")
    connector: dict[str, Any] = {name: row[name] for name in wanted}
    connector["number"] = row.get("connector", "1")
    connector["tariffs"] = row.get("tariffs", "").split()
    if "max_power_w" in row:
        connector["max_power_w"] = row["max_power_w"]
    evse["connectors"].append(connector)


_CHARGER_COLUMNS = (
    "id location evse evse_uid evse_id connector standard format power_type max_voltage "
    "max_amperage max_power_w tariffs password profile"
).split()


def _listed(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "evses": list(body["evses"].values())}


_PRICES = {
    "price_per_kwh": "ENERGY",
    "price_per_session": "FLAT",
    "price_per_hour": "TIME",
    "price_per_parking_hour": "PARKING_TIME",
}


def _tariff(row: Row) -> dict[str, Any]:
    components = [
        {"dimension": Dimension[name].value, "price": row[column]}
        for column, name in _PRICES.items()
        if column in row
    ]
    if not components:
        raise InvalidValue("price_per_kwh", "expected at least one price")
    taxes = [
        dict(zip(("name", "percent"), tax.split(":"), strict=False))
        for tax in row.get("taxes", "").split()
    ]
    rest: dict[str, Any] = {name: row[name] for name in row if name not in ("taxes", *_PRICES)}
    return {**rest, "taxes": taxes, "elements": [{"components": components}]}
