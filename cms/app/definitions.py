"""What the config file defines, taken up at start: the file is the truth about what it names.

New and changed things are put, each with its audit row (``who = "file"``); what was in the file and
is no longer there is REMOVED, never deleted: partners and bills still know it.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cms.app.administration import FILE, Administration, By
from cms.app.catalogue import Catalogue
from cms.app.gatekeeping import hash_key
from cms.domain.ids import StationId
from cms.domain.tariff import Tariff
from cms.domain.tariff_choice import TariffRule
from cms.domain.token import Token
from cms.domain.topology import Approval, ChargingStation, Location, unique_uids

_BY = By(FILE)


@dataclass(frozen=True, slots=True)
class DefinedKey:
    """A station's password as the file gives it; None = it connects without one."""

    station: StationId
    password: bytes | None


@dataclass(frozen=True, slots=True)
class Definitions:
    """Everything that a config file says about the network."""

    locations: Sequence[Location] = ()
    stations: Sequence[ChargingStation] = ()
    keys: Sequence[DefinedKey] = ()
    tariffs: Sequence[Tariff] = ()
    rules: Sequence[TariffRule] = ()
    tokens: Sequence[Token] = ()

    def check(self) -> None:
        """Check what spans several things.

        Raises:
            InvalidValue: two EVSEs share a uid.
        """
        unique_uids(self.stations)


async def take_up(
    defined: Definitions, administration: Administration, catalogue: Catalogue
) -> None:
    """Make the catalogue say what the file says; unchanged things cost no write."""
    for tariff in defined.tariffs:
        await administration.put_tariff(tariff, _BY)
    for location in defined.locations:
        await administration.put_location(location, _BY)
    for station in defined.stations:
        await administration.put_station(station, _BY)
    for key in defined.keys:
        await _put_key(key, administration, catalogue)
    for rule in defined.rules:
        await administration.put_rule(rule, _BY)
    await administration.put_tokens(list(defined.tokens), _BY)
    await _remove_absent(defined, administration, catalogue)


async def _put_key(key: DefinedKey, administration: Administration, catalogue: Catalogue) -> None:
    known = catalogue.keys.get(key.station)
    if key.password is None:
        if known is None or not known.open:
            await administration.open_to_all(key.station, _BY)
        return
    if known is not None and not known.open:
        same = hash_key(key.station, key.password, known.salt)
        if hmac.compare_digest(same.digest, known.digest):
            return
    await administration.set_password(key.station, key.password, _BY)


async def _remove_absent(
    defined: Definitions, administration: Administration, catalogue: Catalogue
) -> None:
    stations = {station.id for station in defined.stations}
    for station in list(catalogue.stations.values()):
        gone = station.from_file and station.id not in stations
        if gone and station.approval is not Approval.REMOVED:
            await administration.approve(station.id, Approval.REMOVED, _BY)
    locations = {location.id for location in defined.locations}
    for location in list(catalogue.locations.values()):
        if location.from_file and location.id not in locations and not location.removed:
            await administration.put_location(replace(location, removed=True), _BY)
    tariffs = {tariff.id for tariff in defined.tariffs}
    for id in [each for each in catalogue.file_tariffs if each not in tariffs]:
        if next(catalogue.connectors_with(id), None) is None:
            await administration.drop_tariff(id, _BY)
