"""What operators change: topology, prices, tokens, partners, keys, approvals.

Every change is one commit with its audit row: who, before, after, reason. What the config file
defines is read-only here; only the file's own synchronisation may change it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cms.app.catalogue import Catalogue, key_of
from cms.app.gatekeeping import hash_key, new_password
from cms.app.lanes import Lanes
from cms.app.live import LiveState
from cms.app.ports import Clock, StationLink, Store
from cms.app.writes import (
    Audit,
    DropTariff,
    DropTariffRule,
    PutApiKey,
    PutEvse,
    PutLocation,
    PutPartner,
    PutStation,
    PutStationKey,
    PutTariff,
    PutTariffRule,
    PutToken,
    Touch,
    Write,
)
from cms.domain.audit import AuditEntry
from cms.domain.errors import Conflict, Forbidden, InvalidValue, NotFound
from cms.domain.ids import LocationId, StationId, TariffId
from cms.domain.partner import ApiKey, Partner, Right
from cms.domain.plain import to_plain
from cms.domain.status import EvseState
from cms.domain.tariff import Tariff
from cms.domain.tariff_choice import TariffRule
from cms.domain.token import Token
from cms.domain.topology import Approval, ChargingStation, Location, StationKey

FILE = "file"
"""Who changes what the config file defines."""

OPERATOR = "operator"
"""Id of the key that the command line uses; drawn at each start, never stored."""


@dataclass(frozen=True, slots=True)
class By:
    """Who changes something, and why."""

    who: str
    reason: str | None = None


class Administration:
    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        live: LiveState,
        lanes: Lanes,
        link: StationLink,
        clock: Clock,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._live = live
        self._lanes = lanes
        self._link = link
        self._clock = clock

    # -- sites and stations

    async def put_location(self, location: Location, by: By) -> Location:
        """Add or replace a site.

        Raises:
            Forbidden: the config file defines it.
        """
        before = self._catalogue.locations.get(location.id)
        self._guard(before, by, f"location {location.id}")
        new = replace(
            location,
            from_file=by.who == FILE,
            created_at=before.created_at if before else self._clock(),
            changed_at=before.changed_at if before else None,
        )
        if new == before:
            return new
        if before is not None:
            new = replace(new, changed_at=self._clock())
        await self._commit(
            [PutLocation(new), Touch("location", new.id)],
            self._entry(by, "location", new.id, before, new),
        )
        self._catalogue.put_location(new)
        return new

    async def put_station(self, station: ChargingStation, by: By) -> ChargingStation:
        """Add or replace a station with its EVSEs. An EVSE left out becomes REMOVED, never gone.

        Raises:
            Forbidden: the config file defines it.
            NotFound: its site is unknown.
            InvalidValue: an EVSE's uid or id belongs to another.
        """
        async with self._lanes(station.id):
            before = self._catalogue.stations.get(station.id)
            self._guard(before, by, f"charger {station.id}")
            self._check(station)
            new = replace(
                _keeping_removed(station, before),
                from_file=by.who == FILE,
                created_at=before.created_at if before else self._clock(),
                published=station.live or (before is not None and before.seen),
                changed_at=before.changed_at if before else None,
            )
            if new == before:
                return new
            if before is not None:
                new = replace(new, changed_at=self._clock())
            await self._put_station(new, before, by)
            return new

    async def approve(self, station: StationId, approval: Approval, by: By) -> ChargingStation:
        """Move a station on its way into the network (or out of it).

        Raises:
            NotFound: no such station.
            Forbidden: the config file defines it.
        """
        async with self._lanes(station):
            before = self._catalogue.stations.get(station)
            if before is None:
                raise NotFound("charger", station)
            self._guard(before, by, f"charger {station}")
            new = replace(before, approval=approval, published=before.seen)
            new = replace(new, published=new.seen)
            if new != before:
                await self._put_station(new, before, by)
        if new.put_out:
            await self._link.disconnect(station, f"the station is {approval}")
        return new

    async def new_password(self, station: StationId, by: By) -> str:
        """Draw a new password for a station; the old one is refused from now on."""
        password = new_password()
        await self.set_password(station, password.encode(), by)
        return password

    async def set_password(self, station: StationId, password: bytes, by: By) -> None:
        """Keep a salted hash of a station's password.

        Raises:
            NotFound: no such station.
            InvalidValue: shorter than 16 bytes (a fast hash protects long random keys only).
        """
        if len(password) < 16:
            raise InvalidValue("password", "at least 16 bytes, random")
        await self._put_key(hash_key(station, password), by, "charger.password_changed")

    async def open_to_all(self, station: StationId, by: By) -> None:
        """Let a station connect without a password (its own config says ``auth = "none"``)."""
        await self._put_key(StationKey(station, b"", b"", open=True), by, "charger.password_waived")

    # -- prices

    async def put_tariff(self, tariff: Tariff, by: By) -> Tariff:
        """Add or replace a tariff. Running sessions keep the one that they started with.

        Raises:
            Forbidden: the config file defines it.
            Conflict: a newer version has taken its place, so nobody would be offered it.
        """
        before = self._catalogue.tariffs.get(tariff.id)
        newer = self._catalogue.offers.superseded_by(tariff.id)
        if newer is not None and newer.first <= self._clock():
            raise Conflict(f"{newer.tariff} has taken the place of {tariff.id}; change that one")
        _not_of_file(tariff.id in self._catalogue.file_tariffs, by, f"tariff {tariff.id}")
        if before == tariff:
            return tariff
        await self._commit(
            [PutTariff(tariff, from_file=by.who == FILE), Touch("tariff", tariff.id)],
            self._entry(by, "tariff", tariff.id, before, tariff),
        )
        self._catalogue.tariffs[tariff.id] = tariff
        self._catalogue.offers.forget(tariff.id)
        return tariff

    async def drop_tariff(self, id: TariffId, by: By) -> None:
        """Delete a tariff that no connector shows any more (bills and sessions keep theirs).

        Raises:
            NotFound: no such tariff.
            Conflict: a connector still shows it.
        """
        before = self._catalogue.tariffs.get(id)
        if before is None:
            raise NotFound("tariff", id)
        _not_of_file(id in self._catalogue.file_tariffs, by, f"tariff {id}")
        shown = next(self._catalogue.connectors_with(id), None)
        if shown is not None:
            raise Conflict(f"tariff {id} is still shown at EVSE {shown.evse.uid}")
        await self._commit(
            [DropTariff(id), Touch("tariff", id, deleted=True)],
            self._entry(by, "tariff", id, before, None),
        )
        del self._catalogue.tariffs[id]
        self._catalogue.file_tariffs.discard(id)

    async def put_rule(self, rule: TariffRule, by: By) -> TariffRule:
        """Add or replace a line of the price book; every site it concerns is told again.

        Raises:
            Forbidden: the config file defines it.
            NotFound: its tariff is unknown.
        """
        _not_of_file(rule.id in self._catalogue.file_rules, by, f"tariff rule {rule.id}")
        before = self._catalogue.rules.get(rule.id)
        if before == rule:
            return rule
        if rule.tariff not in self._catalogue.tariffs:
            raise NotFound("tariff", rule.tariff)
        await self._commit(
            [PutTariffRule(rule), *self._touch_for(rule, before)],
            self._entry(by, "tariff_rule", rule.id, before, rule),
        )
        self._catalogue.rules[rule.id] = rule
        return rule

    async def drop_rule(self, id: str, by: By) -> None:
        before = self._catalogue.rules.get(id)
        if before is None:
            raise NotFound("tariff rule", id)
        _not_of_file(id in self._catalogue.file_rules, by, f"tariff rule {id}")
        await self._commit(
            [DropTariffRule(id), *self._touch_for(before)],
            self._entry(by, "tariff_rule", id, before, None),
        )
        del self._catalogue.rules[id]

    # -- tokens, partners, keys

    async def put_token(self, token: Token, by: By) -> bool:
        """Add or replace a token. Returns True if it is new.

        Raises:
            Forbidden: the config file defines it.
        """
        _not_of_file(key_of(token) in self._catalogue.file_tokens, by, f"token {token.uid}")
        before = self._catalogue.token(token.partner, token.uid, token.type)
        if before == token:
            return False
        await self._commit(
            [PutToken(token)],
            self._entry(by, "token", f"{token.partner or 'own'}:{token.uid}", before, token),
        )
        self._catalogue.put_token(token)
        return before is None

    async def put_tokens(self, tokens: Sequence[Token], by: By) -> int:
        """Add or replace many tokens in one commit, with one audit row. Returns how many changed.

        For lists that a partner or a file hands over: one row says how many and from whom.
        """
        changed = [
            token
            for token in tokens
            if self._catalogue.token(token.partner, token.uid, token.type) != token
        ]
        if changed:
            entry = self._entry(by, "token", "list", None, {"changed": len(changed)})
            await self._commit([PutToken(token) for token in changed], entry)
            for token in changed:
                self._catalogue.put_token(token)
        return len(changed)

    async def put_partner(self, partner: Partner, by: By) -> Partner:
        before = self._catalogue.partners.get(partner.id)
        if before == partner:
            return partner
        await self._commit(
            [PutPartner(partner)], self._entry(by, "partner", partner.id, before, partner)
        )
        self._catalogue.partners[partner.id] = partner
        return partner

    async def new_api_key(
        self,
        name: str,
        rights: Iterable[Right],
        sites: Iterable[LocationId] | None,
        by: By,
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """Draw a key to the HTTP API. Its text is told once and kept only as a hash."""
        sites = None if sites is None else frozenset(sites)
        key, text = self.draw_key(secrets.token_hex(4), name, rights, sites, expires_at)
        entry = self._entry(by, "api_key", key.id, None, _shown(key))
        await self._commit([PutApiKey(key)], entry)
        self._catalogue.api_keys[key.id] = key
        return key, text

    def draw_key(
        self,
        id: str,
        name: str,
        rights: Iterable[Right],
        sites: frozenset[LocationId] | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """Draw a key and its text; nothing is kept."""
        secret, salt = secrets.token_urlsafe(24), secrets.token_bytes(16)
        digest = _key_digest(salt, secret)
        key = ApiKey(
            id, name, salt, digest, frozenset(rights), sites, expires_at, created_at=self._clock()
        )
        return key, f"cms_{id}_{secret}"

    async def revoke_api_key(self, id: str, by: By) -> None:
        before = self._catalogue.api_keys.get(id)
        if before is None:
            raise NotFound("API key", id)
        if id == OPERATOR:
            raise Forbidden("the command line's own key ends with the server")
        after = replace(before, revoked=True)
        entry = self._entry(by, "api_key", id, _shown(before), _shown(after))
        await self._commit([PutApiKey(after)], entry)
        self._catalogue.api_keys[id] = after

    def holder_of(self, text: str) -> ApiKey | None:
        """Return the API key that *text* is, if it is valid now. Memory only, constant time."""
        prefix, _, rest = text.partition("_")
        id, _, secret = rest.partition("_")
        key = self._catalogue.api_keys.get(id) if prefix == "cms" else None
        digest = _key_digest(key.salt if key else b"", secret)
        if key is None or not hmac.compare_digest(digest, key.digest):
            return None
        return self.key(id)

    def key(self, id: str) -> ApiKey | None:
        """Return the API key of that id, if it is valid now."""
        key = self._catalogue.api_keys.get(id)
        if key is None or key.revoked:
            return None
        return None if key.expires_at is not None and key.expires_at <= self._clock() else key

    # -- inside

    def _guard(self, before: Location | ChargingStation | None, by: By, what: str) -> None:
        _not_of_file(before is not None and before.from_file, by, what)

    def _check(self, station: ChargingStation) -> None:
        if station.location not in self._catalogue.locations:
            raise NotFound("location", station.location)
        for evse in station.evses:
            for found in (
                self._catalogue.evse_by_uid(evse.uid),
                evse.evse_id and self._catalogue.evse_by_evse_id(evse.evse_id),
            ):
                if found and found != evse.ref:
                    raise InvalidValue(
                        "uid", f"EVSE {evse.uid} ({evse.evse_id}) is {found} already"
                    )
        spelled = self._catalogue.spelled(station.id)
        if spelled is not None and spelled != station.id:
            raise InvalidValue("id", f"{station.id!r} is {spelled!r} already, but for its case")

    async def _put_station(
        self, new: ChargingStation, before: ChargingStation | None, by: By
    ) -> None:
        states = [self._state(new, evse.ref.evse) for evse in new.evses]
        writes: list[Write] = [PutStation(new)]
        writes += [PutEvse(state) for state in states]
        writes += [Touch("evse", str(state.ref)) for state in states]
        writes += [Touch("location", id) for id in _sites(new, before)]
        writes.append(Audit(self._entry(by, "charger", new.id, before, new)))
        done = await self._store.commit(writes)
        self._catalogue.put_station(new)
        self._live.publish(done.touched, states)

    def _state(self, station: ChargingStation, number: int) -> EvseState:
        evse = station.evse(number)
        assert evse is not None
        before = self._live.evse(evse.ref)
        gone = evse.removed or station.put_out
        return before.observed(replace(before, live=station.live, removed=gone))

    async def _put_key(self, key: StationKey, by: By, what: str) -> None:
        station = self._catalogue.stations.get(key.station)
        if station is None:
            raise NotFound("charger", key.station)
        self._guard(station, by, f"charger {key.station}")
        entry = AuditEntry(self._clock(), by.who, what, f"charger:{key.station}", reason=by.reason)
        await self._commit([PutStationKey(key)], entry)
        self._catalogue.keys[key.station] = key

    def _touch_for(self, *rules: TariffRule | None) -> list[Touch]:
        """Tell partners again what a line of the price book decides: who sees a tariff, and where."""
        tariffs = [rule.tariff for rule in rules if rule is not None]
        known = [id for id in dict.fromkeys(tariffs) if id in self._catalogue.tariffs]
        places = [rule.location for rule in rules if rule is not None]
        everywhere = any(place is None for place in places)
        ids = self._catalogue.locations if everywhere else [id for id in places if id]
        sites = [Touch("location", id) for id in dict.fromkeys(ids)]
        return [*(Touch("tariff", id) for id in known), *sites]

    def _entry(
        self, by: By, kind: str, key: str, before: object | None, after: object | None
    ) -> AuditEntry:
        what = "added" if before is None else "removed" if after is None else "changed"
        return AuditEntry(
            self._clock(),
            by.who,
            f"{kind}.{what}",
            f"{kind}:{key}",
            _shown_in_audit(before),
            _shown_in_audit(after),
            by.reason,
        )

    async def _commit(self, writes: Sequence[Write], entry: AuditEntry) -> None:
        done = await self._store.commit([*writes, Audit(entry)])
        self._live.publish(done.touched)


def _not_of_file(of_file: bool, by: By, what: str) -> None:
    if of_file and by.who != FILE:
        raise Forbidden(f"{what} is defined by the config file; change it there")


def _shown_in_audit(value: object | None) -> object | None:
    return value if value is None or isinstance(value, dict) else to_plain(value)


def _key_digest(salt: bytes, secret: str) -> bytes:
    return hmac.new(salt or b"\0", secret.encode(), hashlib.sha256).digest()


def _shown(key: ApiKey) -> dict[str, object]:
    return {
        "name": key.name,
        "rights": sorted(key.rights),
        "sites": None if key.sites is None else sorted(key.sites),
        "revoked": key.revoked,
    }


def _keeping_removed(new: ChargingStation, before: ChargingStation | None) -> ChargingStation:
    if before is None:
        return new
    kept = {evse.ref for evse in new.evses}
    gone = [replace(evse, removed=True) for evse in before.evses if evse.ref not in kept]
    return replace(new, evses=(*new.evses, *gone))


def _sites(new: ChargingStation, before: ChargingStation | None) -> list[LocationId]:
    return list(dict.fromkeys([new.location, *([before.location] if before else [])]))
