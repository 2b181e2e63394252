"""What the operator defined, in memory: sites, stations, tariffs, price book, tokens, partners.

Every lookup of the hot path is a dictionary access. Values are replaced after their commit
(``cms.app.administration`` commits, then puts); nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cms.app.offers import Offers
from cms.app.ports import Restored
from cms.domain.ids import (
    EvseRef,
    EvseUid,
    LocationId,
    PartnerId,
    StationId,
    TariffId,
)
from cms.domain.partner import ApiKey, Partner, PartnerState
from cms.domain.sharing import EVERYTHING, Sharing
from cms.domain.tariff import Tariff
from cms.domain.tariff_choice import Place, TariffRule, choose
from cms.domain.token import Token, TokenType
from cms.domain.topology import (
    ChargingStation,
    Connector,
    Evse,
    Location,
    StationKey,
    StationRecord,
)


@dataclass(frozen=True, slots=True)
class EvsePlace:
    """An EVSE with the station and the site it stands in."""

    location: Location
    station: ChargingStation
    evse: Evse


TokenKey = tuple[PartnerId | None, str, TokenType]
"""Owner, uid without case, type: what makes a token one token."""


def key_of(token: Token) -> TokenKey:
    """Return what makes *token* this token and no other."""
    return token.partner, token.uid.casefold(), token.type


class Catalogue:
    def __init__(self) -> None:
        self.locations: dict[LocationId, Location] = {}
        self.private: set[LocationId] = set()
        """Sites of which partners hear nothing."""
        self.stations: dict[StationId, ChargingStation] = {}
        self.records: dict[StationId, StationRecord] = {}
        self.keys: dict[StationId, StationKey] = {}
        self.tariffs: dict[TariffId, Tariff] = {}
        self.file_tariffs: set[TariffId] = set()
        self.file_rules: set[str] = set()
        self.file_tokens: set[TokenKey] = set()
        self.rules: dict[str, TariffRule] = {}
        self.offers = Offers(self.tariffs, self.rules)
        self.offers.via = self._via
        self.partners: dict[PartnerId, Partner] = {}
        self.api_keys: dict[str, ApiKey] = {}
        self._spelling: dict[str, StationId] = {}
        self._by_location: dict[LocationId, dict[StationId, None]] = {}
        self._by_uid: dict[str, EvseRef] = {}
        self._by_evse_id: dict[str, EvseRef] = {}
        self._tokens: dict[str, dict[TokenKey, Token]] = {}

    def restore(self, kept: Restored) -> None:
        """Take up what the store had at start."""
        for location in kept.locations:
            self.put_location(location)
        for station in kept.stations:
            self.put_station(station)
        self.records.update((record.id, record) for record in kept.records)
        self.keys.update((key.station, key) for key in kept.keys)
        self.tariffs.update((tariff.id, tariff) for tariff in kept.tariffs)
        self.rules.update((rule.id, rule) for rule in kept.rules)
        for token in kept.tokens:
            self.put_token(token)
        self.partners.update((partner.id, partner) for partner in kept.partners)
        self.api_keys.update((key.id, key) for key in kept.api_keys)

    # -- topology

    def put_location(self, location: Location) -> None:
        self.locations[location.id] = location
        if location.zone not in self.offers.zones:
            self.offers.zones = (*self.offers.zones, location.zone)
        (self.private.discard if location.roaming else self.private.add)(location.id)
        self._by_location.setdefault(location.id, {})

    def put_station(self, station: ChargingStation) -> None:
        """Replace a station and its EVSEs; ids that it no longer has lead nowhere."""
        before = self.stations.get(station.id)
        if before is not None:
            if before.location != station.location:  # otherwise it keeps its place among others
                self._by_location[before.location].pop(before.id, None)
            for evse in before.evses:
                self._by_uid.pop(evse.uid.casefold(), None)
                if evse.evse_id is not None:
                    self._by_evse_id.pop(evse.evse_id.casefold(), None)
        self.stations[station.id] = station
        self._spelling[station.id.casefold()] = station.id
        self._by_location.setdefault(station.location, {})[station.id] = None
        for evse in station.evses:
            self._by_uid[evse.uid.casefold()] = evse.ref
            if evse.evse_id is not None:
                self._by_evse_id[evse.evse_id.casefold()] = evse.ref

    def spelled(self, identity: str) -> StationId | None:
        """Return the station that *identity* means, whatever its case."""
        return self._spelling.get(identity.casefold())

    def record(self, station: StationId) -> StationRecord:
        return self.records.get(station) or StationRecord(station)

    def stations_of(self, location: LocationId) -> Sequence[ChargingStation]:
        """Stations of a site, in the order they came into the catalogue."""
        return [self.stations[id] for id in self._by_location.get(location, ())]

    def place(self, ref: EvseRef) -> EvsePlace | None:
        station = self.stations.get(ref.station)
        evse = station.evse(ref.evse) if station else None
        location = self.locations.get(station.location) if station else None
        if station is None or evse is None or location is None:
            return None
        return EvsePlace(location, station, evse)

    def evse_by_uid(self, uid: str) -> EvseRef | None:
        return self._by_uid.get(uid.casefold())

    def evse_by_evse_id(self, evse_id: str) -> EvseRef | None:
        return self._by_evse_id.get(evse_id.casefold())

    # -- tariffs

    def tariffs_for(
        self, ref: EvseRef, connector: int, partner: PartnerId | None, now: datetime
    ) -> Sequence[Tariff]:
        """Return the tariffs that *partner* is offered at a connector, the usual one first."""
        place = self.place(ref)
        found = place.evse.connector(connector) if place else None
        if place is None or found is None:
            return ()
        return self.offered(place, found, partner, now)

    def offered(
        self, place: EvsePlace, connector: Connector, partner: PartnerId | None, now: datetime
    ) -> Sequence[Tariff]:
        """Return the tariffs that *partner* is offered at a connector, the usual one first."""
        uid = EvseUid(place.evse.uid)
        return self.offers.at(place.location, uid, connector, partner, now)

    def connectors_with(self, tariff: TariffId) -> Iterator[EvsePlace]:
        """Every EVSE with a connector that shows *tariff* to somebody, now or later."""
        audience = {None, *(rule.partner for rule in self.offers.all_rules())}
        for station in self.stations.values():
            for evse in station.evses:
                place = self.place(evse.ref)
                if place is not None and self._shows(place, tariff, audience):
                    yield place

    def _shows(
        self, place: EvsePlace, tariff: TariffId, audience: Iterable[PartnerId | None]
    ) -> bool:
        rules = tuple(self.offers.all_rules())
        return any(
            tariff in self.offers.versions_of(choose(rules, plug.tariffs, where, partner))
            for plug in place.evse.connectors
            for where in (Place(place.location.id, EvseUid(place.evse.uid), plug.number),)
            for partner in audience
        )

    # -- tokens

    def put_token(self, token: Token) -> None:
        self._tokens.setdefault(token.uid.casefold(), {})[key_of(token)] = token

    def tokens_named(self, uid: str) -> Iterable[Token]:
        """Every token of that uid, our own first."""
        found = self._tokens.get(uid.casefold())
        if found is None:
            return ()
        return sorted(found.values(), key=lambda token: (token.partner is not None, token.uid))

    def token(self, partner: PartnerId | None, uid: str, type: TokenType) -> Token | None:
        return self._tokens.get(uid.casefold(), {}).get((partner, uid.casefold(), type))

    def tokens(self) -> Iterator[Token]:
        for named in self._tokens.values():
            yield from named.values()

    # -- partners

    def connected_partners(self) -> Sequence[Partner]:
        """Return those with a connection of their own; who is behind a hub is asked through it."""
        return [
            each
            for each in self.partners.values()
            if each.state is PartnerState.CONNECTED and each.via is None
        ]

    def _via(self, id: PartnerId) -> PartnerId | None:
        partner = self.partners.get(id)
        return partner.via if partner is not None else None

    def behind(self, hub: PartnerId) -> Sequence[Partner]:
        """Return the parties to which the connection of *hub* leads, in the order they came."""
        return [each for each in self.partners.values() if each.via == hub]

    def sharing_of(self, id: PartnerId | None) -> Sharing:
        """Return what a partner is shown; of a party behind a hub, where none was chosen, the hub's."""
        partner = self.partners.get(id) if id is not None else None
        if partner is None:
            return EVERYTHING
        if partner.via is None or partner.sharing != EVERYTHING:
            return partner.sharing
        hub = self.partners.get(partner.via)
        return hub.sharing if hub is not None else EVERYTHING

    def takes_part(self, id: PartnerId) -> bool:
        """Whether the tokens of a partner count: it is here, and so is what leads to it."""
        partner = self.partners.get(id)
        if partner is None or not partner.here:
            return False
        if partner.via is None:
            return partner.state is PartnerState.CONNECTED
        hub = self.partners.get(partner.via)
        return hub is not None and hub.state is PartnerState.CONNECTED
