"""CSV files of other systems -> bodies of our API, with errors that name file, line and column."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
            for row in reader:
                if None in row:
                    raise ConfigError(f"{path.name}:{reader.line_num}: more cells than columns")
                cells = {name.strip(): cell.strip() for name, cell in row.items() if cell}
                yield reader.line_num, {name: cell for name, cell in cells.items() if cell}
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path.name}: not UTF-8") from None


def _checked(path: Path, line: int, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except InvalidValue as error:
        raise ConfigError(f"{path.name}:{line}: {error}") from None
    except KeyError as error:
        raise ConfigError(f"{path.name}:{line}: {error.args[0]}: expected, but empty") from None


def locations(path: Path) -> list[dict[str, Any]]:
    """Columns are the keys of a location in the config file."""
    return [
        _checked(path, line, lambda row=row: _dump(parse(LocationIn, row)))  # type: ignore[misc]
        for line, row in read(path)
    ]


def chargers(path: Path) -> list[dict[str, Any]]:
    """One line per connector; lines of one charger belong together.

    Columns: ``id, location, evse, evse_uid, evse_id, connector, standard, format, power_type,
    max_voltage, max_amperage, max_power_w, tariffs`` (ids with spaces between), ``password,
    profile``. The ids that partners already know are kept as they are.
    """
    found: dict[str, dict[str, Any]] = {}
    lines: dict[str, int] = {}
    for line, row in read(path):
        _checked(path, line, lambda row=row: _add_connector(found, row))  # type: ignore[misc]
        lines.setdefault(row["id"], line)
    return [
        _checked(path, lines[id], lambda body=body: _dump(parse(ChargerIn, _listed(body))))  # type: ignore[misc]
        for id, body in found.items()
    ]


def _add_connector(found: dict[str, dict[str, Any]], row: Row) -> None:
    body = found.setdefault(row["id"], {"id": row["id"], "location": row["location"], "evses": {}})
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


def _listed(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "evses": list(body["evses"].values())}


def tokens(path: Path) -> list[dict[str, Any]]:
    """Columns are the keys of an own token in the config file."""
    return [
        _checked(path, line, lambda row=row: _dump(parse(TokenIn, row)))  # type: ignore[misc]
        for line, row in read(path)
    ]


def tariffs(path: Path) -> list[dict[str, Any]]:
    """Columns: ``id, currency, basis, price_per_kwh, price_per_session, price_per_hour,
    price_per_parking_hour, taxes`` (like ``CGST:9 SGST:9``)."""
    return [
        _checked(path, line, lambda row=row: _dump(parse(TariffIn, _tariff(row))))  # type: ignore[misc]
        for line, row in read(path)
    ]


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
    rest: dict[str, Any] = {name: row[name] for name in ("id", "currency", "basis") if name in row}
    return {**rest, "taxes": taxes, "elements": [{"components": components}]}


def _dump(model: Any) -> dict[str, Any]:
    body: dict[str, Any] = model.model_dump(mode="json", exclude_none=True)
    return body
