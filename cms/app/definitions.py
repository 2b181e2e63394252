"""What the config file defines, taken up at start: the file is the truth about what it names.

New and changed things are put, each with its audit row (``who = "file"``); what was in the file and
is no longer there is REMOVED, never deleted: partners and bills still know it.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cms.app.administration import FILE, Administration, By
from cms.app.catalogue import Catalogue, TokenKey, key_of
from cms.app.gatekeeping import hash_key
from cms.app.ports import Store
from cms.app.writes import PutDocument
from cms.domain.ids import PartnerId, StationId, TariffId
from cms.domain.tariff import Tariff
from cms.domain.tariff_choice import TariffRule
from cms.domain.token import Token, TokenType
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


@dataclass(frozen=True, slots=True)
class Names:
    """What a config file named that has no place of its own to remember it."""

    tariffs: frozenset[TariffId] = frozenset()
    rules: frozenset[str] = frozenset()
    tokens: frozenset[TokenKey] = frozenset()


async def take_up(
    defined: Definitions, administration: Administration, catalogue: Catalogue, store: Store
) -> None:
    """Make the catalogue say what the file says; unchanged things cost no write."""
    before, now = await _named_before(store), _named(defined)
    _protect(catalogue, now)
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
    await _drop_unnamed(before, now, administration, catalogue)
    if now != before:
        await store.commit([PutDocument(_KIND, _KEY, _written(now))])


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


async def _drop_unnamed(
    before: Names, now: Names, administration: Administration, catalogue: Catalogue
) -> None:
    """Take back the prices and tokens that the file named last time and names no more."""
    for rule in sorted(before.rules - now.rules):
        if rule in catalogue.rules:
            await administration.drop_rule(rule, _BY)
    for tariff in sorted(before.tariffs - now.tariffs):
        shown = next(catalogue.connectors_with(tariff), None)
        if tariff in catalogue.tariffs and shown is None:
            await administration.drop_tariff(tariff, _BY)
    for key in before.tokens - now.tokens:
        token = catalogue.token(*key)
        if token is not None:
            await administration.put_token(replace(token, valid=False), _BY)


_KIND, _KEY = "config_file", "names"


def _named(defined: Definitions) -> Names:
    return Names(
        frozenset(tariff.id for tariff in defined.tariffs),
        frozenset(rule.id for rule in defined.rules),
        frozenset(key_of(token) for token in defined.tokens),
    )


def _protect(catalogue: Catalogue, names: Names) -> None:
    catalogue.file_tariffs = set(names.tariffs)
    catalogue.file_rules = set(names.rules)
    catalogue.file_tokens = set(names.tokens)


async def _named_before(store: Store) -> Names:
    body = (await store.documents(_KIND)).get(_KEY)
    if body is None:
        return Names()
    kept = json.loads(body)
    return Names(
        frozenset(TariffId(each) for each in kept["tariffs"]),
        frozenset(kept["rules"]),
        frozenset(
            (PartnerId(partner) if partner else None, uid, TokenType(type))
            for partner, uid, type in kept["tokens"]
        ),
    )


def _written(names: Names) -> bytes:
    kept = {
        "tariffs": sorted(names.tariffs),
        "rules": sorted(names.rules),
        "tokens": sorted([key[0] or "", key[1], str(key[2])] for key in names.tokens),
    }
    return json.dumps(kept).encode()
