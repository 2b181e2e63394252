"""Prices that begin later, and prices for particular partners: scheduled, previewed, taken back.

A new version of a tariff is a tariff of its own, pushed ahead to the partners; at its hour it takes
the place of the old one, site by site. What was sold under the old one keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cms.app.administration import By
from cms.app.catalogue import Catalogue, EvsePlace
from cms.app.live import LiveState
from cms.app.offers import Offers
from cms.app.ports import Clock, Store
from cms.app.writes import (
    Audit,
    DropDocument,
    DropTariff,
    PutDocument,
    PutTariff,
    Touch,
    Write,
)
from cms.domain import plain
from cms.domain.audit import AuditEntry
from cms.domain.derived import PriceBook, as_version, next_version
from cms.domain.errors import Conflict, Forbidden, InvalidValue, NotFound
from cms.domain.ids import LocationId, PartnerId, TariffId
from cms.domain.partner import PartnerState
from cms.domain.price_change import PriceChange, SiteMoment, Unacknowledged, next_midnight
from cms.domain.quote import quote
from cms.domain.tariff import Tariff
from cms.domain.tariff_choice import TariffRule
from cms.domain.topology import Connector

CHANGES = "prices.changes"
BOOKS = "prices.books"
HEADLINES = "prices.headlines"
"""What each partner that reads one price only was shown last, by partner and tariff."""

READ_TARIFF = "tariff-read"
"""Kind of the delivery row of a partner that read a tariff itself."""

SAMPLE_WH = 20_000
"""Energy of the charge that a preview prices before and after."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change means at one site for one audience.

    Attributes:
        partner: None is our own drivers.
        connectors: how many of the site change alike.
        before, after: tariff ids; None where nothing is offered.
        sample_before, sample_after: gross price of 20 kWh from that moment, as text.
    """

    site: LocationId
    at: datetime
    partner: PartnerId | None
    connectors: int
    before: TariffId | None
    after: TariffId | None
    sample_before: str | None
    sample_after: str | None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Whether one partner has taken the tariff of a change."""

    partner: PartnerId
    tariff: TariffId
    acknowledged: bool
    at: datetime | None = None
    state: str | None = None
    error: str | None = None


class Pricing:
    def __init__(self, store: Store, catalogue: Catalogue, live: LiveState, clock: Clock) -> None:
        self._store = store
        self._catalogue = catalogue
        self._live = live
        self._clock = clock

    @property
    def _offers(self) -> Offers:
        return self._catalogue.offers

    async def load(self) -> None:
        """Take up books and changes, and who has acknowledged what."""
        for key, body in (await self._store.documents(BOOKS)).items():
            self._offers.books[key] = plain.from_text(PriceBook, body.decode())
        kept = [
            plain.from_text(PriceChange, body.decode())
            for body in (await self._store.documents(CHANGES)).values()
        ]
        for change in sorted(kept, key=lambda each: each.made_at):
            self._offers.changes[change.id] = change
        for change in kept:
            for told in await self.acknowledgements(change):
                form = self._form(change, told.partner)
                if told.state == "delivered" and form is not None:
                    self._offers.took(told.partner, form)
        for key, body in (await self._store.documents(HEADLINES)).items():
            partner = PartnerId(key.partition(" ")[0])
            self._offers.took(partner, plain.from_text(Tariff, body.decode()))

    # -- price books

    async def put_book(self, book: PriceBook, by: By) -> PriceBook:
        """Add or replace a price book; its partners are told their new prices.

        Raises:
            Conflict: a partner is in another book already.
        """
        for other in self._offers.books.values():
            both = other.partners & book.partners
            if other.id != book.id and both:
                raise Conflict(f"partner {min(both)} is in the price book {other.id} already")
        before = self._offers.books.get(book.id)
        if before == book:
            return book
        body = plain.canonical(book).encode()
        await self._commit(
            [PutDocument(BOOKS, book.id, body), *self._everything()],
            by, "price_book", book.id, before, book,
        )  # fmt: skip
        self._offers.books[book.id] = book
        return book

    async def drop_book(self, id: str, by: By) -> None:
        """Delete a price book: its partners are offered the base prices again.

        Raises:
            NotFound: no such book.
        """
        before = self._offers.books.get(id)
        if before is None:
            raise NotFound("price book", id)
        await self._commit(
            [DropDocument(BOOKS, id), *self._everything()], by, "price_book", id, before, None
        )
        del self._offers.books[id]

    def _everything(self) -> list[Write]:
        tariffs = [Touch("tariff", id) for id in self._catalogue.tariffs]
        return [*tariffs, *(Touch("location", id) for id in self._catalogue.locations)]

    # -- changes

    def version(
        self, tariff: Tariff, at: datetime | None, unacknowledged: Unacknowledged, by: By
    ) -> tuple[PriceChange, Tariff]:
        """Return the change by which *tariff* would take the place of the one with its id.

        Args:
            at: None is each site's next local midnight.

        Raises:
            NotFound: no such tariff.
            Forbidden: the config file defines it.
            Conflict: a change of it is scheduled already.
            InvalidValue: *at* has passed.
        """
        old = self._newest(tariff.id)
        if old not in self._catalogue.tariffs:
            raise NotFound("tariff", tariff.id)
        if old in self._catalogue.file_tariffs:
            raise Forbidden(f"tariff {old} is defined by the config file; change it there")
        taken = {*self._catalogue.tariffs, *(each.tariff for each in self._offers.changes.values())}
        id = next_version(old, frozenset(taken))
        change = self._change(id, id, old, None, self._sites_with(old), at, unacknowledged, by)
        return change, as_version(tariff, id, change.first)

    def rule(
        self, rule: TariffRule, at: datetime | None, unacknowledged: Unacknowledged, by: By
    ) -> PriceChange:
        """Return the change by which a line of the price book would begin.

        Raises:
            NotFound: its tariff is unknown.
            Forbidden: the config file defines the line.
        """
        if rule.tariff not in self._catalogue.tariffs:
            raise NotFound("tariff", rule.tariff)
        if rule.id in self._catalogue.file_rules:
            raise Forbidden(f"tariff rule {rule.id} is defined by the config file; change it there")
        sites = [rule.location] if rule.location else list(self._catalogue.locations)
        stem, number = f"rule-{rule.id}", 1
        while f"{stem}~{number}" in self._offers.changes:
            number += 1
        id = f"{stem}~{number}"
        return self._change(id, rule.tariff, None, rule, sites, at, unacknowledged, by)

    def _change(
        self,
        id: str,
        tariff: TariffId,
        replaces: TariffId | None,
        rule: TariffRule | None,
        sites: Iterable[LocationId],
        at: datetime | None,
        unacknowledged: Unacknowledged,
        by: By,
    ) -> PriceChange:
        now = self._clock()
        if at is not None and at <= now:
            raise InvalidValue("at", f"{at.isoformat()} has passed; put the tariff itself instead")
        moments = tuple(
            SiteMoment(site, at or next_midnight(now, self._catalogue.locations[site].zone))
            for site in sites
        )
        default = at or max((each.at for each in moments), default=now)
        return PriceChange(
            id, tariff, replaces, rule, moments, default, unacknowledged, now, by.who
        )  # fmt: skip

    def _newest(self, id: TariffId) -> TariffId:
        """Follow a tariff to its newest version.

        Raises:
            Conflict: that one has not begun everywhere yet.
        """
        seen: set[TariffId] = set()
        while id not in seen and (change := self._offers.superseded_by(id)) is not None:
            seen.add(id)
            if change.last > self._clock():
                raise Conflict(f"{change.id} is scheduled already; withdraw it first")
            id = change.tariff
        return id

    def _sites_with(self, tariff: TariffId) -> list[LocationId]:
        places = self._catalogue.connectors_with(tariff)
        return list(dict.fromkeys(place.location.id for place in places))

    async def schedule(self, change: PriceChange, tariff: Tariff | None, by: By) -> PriceChange:
        """Make a change durable and tell the partners ahead. *tariff* is the new version, if any."""
        writes: list[Write] = [_kept(change), Touch("tariff", change.tariff)]
        if tariff is not None:
            writes.insert(0, PutTariff(tariff))
        await self._commit(writes, by, "price_change", change.id, None, change)
        if tariff is not None:
            self._catalogue.tariffs[tariff.id] = tariff
        self._offers.changes[change.id] = change
        if change.rule is not None:
            await self._note_known(change)
        return change

    async def _note_known(self, change: PriceChange) -> None:
        """A line may name a tariff that partners have taken long ago."""
        for told in await self.acknowledgements(change):
            form = self._form(change, told.partner)
            if told.state == "delivered" and form is not None:
                self._offers.took(told.partner, form)

    async def rollback(self, id: str, by: By, at: datetime | None = None) -> PriceChange:
        """Take a change back: before its first hour withdraw it, after it bring the old prices
        back as a further version, at *at* or each site's next local midnight.

        Raises:
            NotFound: no such change.
            Conflict: it is withdrawn already, or a newer version has taken its place.
        """
        change = self._offers.changes.get(id)
        if change is None:
            raise NotFound("price change", id)
        if change.withdrawn:
            raise Conflict(f"{id} is withdrawn already")
        if change.first > self._clock():
            return await self._withdraw(change, by)
        if change.replaces is None:
            return await self._end_rule(change, by)
        old = self._catalogue.tariffs[change.replaces]
        back, version = self.version(
            replace(old, id=change.tariff, valid_from=None, valid_to=None),
            at,
            change.unacknowledged,
            by,
        )
        return await self.schedule(replace(back, restores=old.id), version, by)

    async def _withdraw(self, change: PriceChange, by: By) -> PriceChange:
        """Take back what has not begun. Its tariff, if it was made for it, is gone as well."""
        gone = replace(change, withdrawn_at=self._clock())
        writes: list[Write] = [_kept(gone)]
        if change.replaces is not None:
            writes += [DropTariff(change.tariff), Touch("tariff", change.tariff, deleted=True)]
        await self._commit(writes, by, "price_change", change.id, change, gone)
        self._offers.changes[change.id] = gone
        if change.replaces is not None:
            self._catalogue.tariffs.pop(change.tariff, None)
            self._offers.forget(change.tariff)
        return gone

    async def _end_rule(self, change: PriceChange, by: By) -> PriceChange:
        """End a line that has begun: what the price book said before holds again, at once."""
        gone = replace(change, withdrawn_at=self._clock())
        touches = [Touch("location", each.location) for each in change.moments]
        await self._commit([_kept(gone), *touches], by, "price_change", change.id, change, gone)
        self._offers.changes[change.id] = gone
        return gone

    # -- looking ahead

    def preview(self, change: PriceChange, tariff: Tariff | None = None) -> list[Effect]:
        """Say what a change means: per site and audience, with a sample charge before and after."""
        after = self._imagined(change, tariff)
        found: dict[tuple[object, ...], Effect] = {}
        for moment in change.moments:
            for place, plug in self._plugs(moment.location):
                for partner in self._audience():
                    effect = self._effect(after, place, plug, partner, moment)
                    if effect.before == effect.after:
                        continue
                    key = (moment.location, partner, effect.before, effect.after)
                    known = found.get(key)
                    count = 1 if known is None else known.connectors + 1
                    found[key] = replace(known or effect, connectors=count)
        return list(found.values())

    def _imagined(self, change: PriceChange, tariff: Tariff | None) -> Offers:
        """Return offers as if the change held and everybody had taken it."""
        tariffs = dict(self._catalogue.tariffs)
        if tariff is not None:
            tariffs[tariff.id] = tariff
        after = Offers(tariffs, self._catalogue.rules)
        after.books = self._offers.books
        after.reads_headline, after.via = self._offers.reads_headline, self._offers.via
        obeyed = replace(change, unacknowledged=Unacknowledged.GO_AHEAD)
        after.changes = {**self._without(change), change.id: obeyed}
        return after

    def _without(self, change: PriceChange) -> dict[str, PriceChange]:
        return {id: each for id, each in self._offers.changes.items() if id != change.id}

    def _effect(
        self,
        after: Offers,
        place: EvsePlace,
        plug: Connector,
        partner: PartnerId | None,
        moment: SiteMoment,
    ) -> Effect:
        before = Offers(self._catalogue.tariffs, self._catalogue.rules)
        before.books, before.reads_headline = after.books, after.reads_headline
        before.via = after.via
        before.changes = {
            id: each
            for id, each in self._offers.changes.items()
            if id not in after.changes or each == after.changes[id]
        }
        old, new = (
            next(iter(each.at(place.location, place.evse.uid, plug, partner, moment.at)), None)
            for each in (before, after)
        )
        return Effect(
            moment.location,
            moment.at,
            partner,
            1,
            None if old is None else old.id,
            None if new is None else new.id,
            _sample(old, place, plug, moment.at),
            _sample(new, place, plug, moment.at),
        )

    def _plugs(self, location: LocationId) -> Iterable[tuple[EvsePlace, Connector]]:
        for station in self._catalogue.stations_of(location):
            for evse in station.evses:
                place = self._catalogue.place(evse.ref)
                if place is not None and not evse.removed:
                    for plug in evse.connectors:
                        yield place, plug

    def _audience(self) -> Sequence[PartnerId | None]:
        return (None, *(each.id for each in self._catalogue.connected_partners()))

    async def acknowledgements(self, change: PriceChange) -> list[Acknowledgement]:
        """Return, per partner that is connected, whether it has taken a change's tariff."""
        found = []
        for partner in self._catalogue.partners.values():
            form = self._form(change, partner.id)
            if partner.state is not PartnerState.CONNECTED or form is None:
                continue
            row = await self._store.delivery(partner.id, "tariff", form.id)
            if row is None or row.state != "delivered":
                read = await self._store.delivery(partner.id, READ_TARIFF, change.tariff)
                row = read or row
            known = self._offers.acknowledged(partner.id, change.tariff)
            found.append(
                Acknowledgement(
                    partner.id,
                    form.id,
                    known,
                    None if row is None else row.at,
                    None if row is None else row.state,
                    None if row is None else row.error,
                )
            )
        return found

    def _form(self, change: PriceChange, partner: PartnerId) -> Tariff | None:
        forms = self._offers.forms(change.tariff, partner, self._clock())
        return forms[0] if forms else None

    async def _commit(
        self,
        writes: Sequence[Write],
        by: By,
        kind: str,
        key: str,
        before: object | None,
        after: object | None,
    ) -> None:
        what = "added" if before is None else "removed" if after is None else "changed"
        entry = AuditEntry(
            self._clock(),
            by.who,
            f"{kind}.{what}",
            f"{kind}:{key}",
            None if before is None else plain.to_plain(before),
            None if after is None else plain.to_plain(after),
            by.reason,
        )
        done = await self._store.commit([*writes, Audit(entry)])
        self._live.publish(done.touched)


def _kept(change: PriceChange) -> PutDocument:
    return PutDocument(CHANGES, change.id, plain.canonical(change).encode())


def _sample(tariff: Tariff | None, place: EvsePlace, plug: Connector, at: datetime) -> str | None:
    if tariff is None:
        return None
    total = quote(tariff, at, SAMPLE_WH, plug.power_w, place.location.zone).total
    return str(total.gross)
