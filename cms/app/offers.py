"""What each partner is offered: the one place where a connector's tariffs are resolved.

Price book lines, versions that begin by the clock, partners' mark-ups and single-price readers meet
here. What partners are shown, what a session freezes at its start and what a quote names is the
same answer. Memory only; nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from cms.domain.derived import PriceBook, headline, marked_up
from cms.domain.ids import EvseUid, LocationId, PartnerId, TariffId
from cms.domain.price_change import PriceChange, Unacknowledged
from cms.domain.tariff import Tariff, TariffKind
from cms.domain.tariff_choice import Place, TariffRule, choose
from cms.domain.topology import Connector, Location

USUAL = (None, TariffKind.REGULAR)
"""Kinds of the tariff that holds where nobody asked for another."""


def _nobody(partner: PartnerId) -> bool:
    """No partner reads so little."""
    return False


def _its_own(partner: PartnerId) -> PartnerId | None:
    """Every partner has a connection of its own."""
    return None


class Offers:
    """Resolves tariffs.

    Attributes:
        changes: scheduled, begun and withdrawn changes, by id, in the order they were made.
        books: partners' price books, by id.
        zones: time zones of our sites.
        reads_headline: whether a partner reads the first element and component only.
        via: the partner whose connection leads to a party; its prices are the party's where that
            one has none of its own, and what it was told in a broadcast the party has.
    """

    def __init__(self, tariffs: Mapping[TariffId, Tariff], rules: Mapping[str, TariffRule]) -> None:
        self._tariffs = tariffs
        self._rules = rules
        self.changes: dict[str, PriceChange] = {}
        self.books: dict[str, PriceBook] = {}
        self.reads_headline: Callable[[PartnerId], bool] = _nobody
        self.via: Callable[[PartnerId], PartnerId | None] = _its_own
        self.zones: tuple[ZoneInfo, ...] = ()
        self._took: dict[tuple[PartnerId, TariffId], Tariff] = {}
        self._derived: dict[tuple[TariffId, str], tuple[Tariff, PriceBook, Tariff]] = {}
        self._headlines: dict[TariffId, Tariff] = {}
        self._bases: dict[TariffId, TariffId] = {}

    # -- what holds at a connector

    def at(
        self,
        site: Location,
        evse: EvseUid,
        connector: Connector,
        partner: PartnerId | None,
        now: datetime,
    ) -> list[Tariff]:
        """Return what *partner* (None = our own drivers) is offered: the best of each kind, the
        usual one first, because some read no further."""
        kinds: dict[TariffKind | None, Tariff] = {}
        for id in self.ids(site.id, evse, connector, partner, now):
            own = self._form(id, partner, site.zone, now)
            if own is not None and own.valid_at(now):
                kinds.setdefault(own.kind, own)
        return sorted(kinds.values(), key=lambda each: each.kind not in USUAL)

    def ids(
        self,
        location: LocationId,
        evse: EvseUid,
        connector: Connector,
        partner: PartnerId | None,
        now: datetime,
    ) -> tuple[TariffId, ...]:
        """Return the base tariffs that a connector names for *partner*, as of now, best first."""
        where = Place(location, evse, connector.number)
        if not self.changes:
            held = self._rules.values()
            found = choose(held, connector.tariffs, where, self.priced_as(partner))
            return tuple(dict.fromkeys(found))
        begun = [each for each in self.changes.values() if self.holds(each, location, partner, now)]
        replaced = {each.rule.id for each in begun if each.rule is not None}
        rules = [
            *(rule for rule in self._rules.values() if rule.id not in replaced),
            *(each.rule for each in begun if each.rule is not None),
        ]
        successors = {each.replaces: each.tariff for each in begun if each.replaces is not None}
        found = choose(rules, connector.tariffs, where, self.priced_as(partner))
        return tuple(dict.fromkeys(_newest(id, successors) for id in found))

    def holds(
        self, change: PriceChange, location: LocationId, partner: PartnerId | None, now: datetime
    ) -> bool:
        """Whether a change has begun at a site for *partner*."""
        if not change.due(location, now):
            return False
        if partner is None or change.unacknowledged is Unacknowledged.GO_AHEAD:
            return True
        return self.acknowledged(partner, change.tariff)

    # -- what a partner has

    def took(self, partner: PartnerId, form: Tariff) -> bool:
        """Note that a partner has a tariff. Returns whether a change that was due waited for it."""
        base = self.base_of(form.id)
        first = not self.acknowledged(partner, base)
        self._took[partner, form.id] = form
        self._took[partner, base] = form
        return first and any(each.tariff == base for each in self.changes.values())

    def acknowledged(self, partner: PartnerId, tariff: TariffId) -> bool:
        """Whether a partner has taken (or read) a tariff as it is now."""
        return self._had(partner, tariff) is not None

    def _had(self, partner: PartnerId, id: TariffId) -> Tariff | None:
        via = self.via(partner)
        told = self._took.get((via, id)) if via is not None else None
        return self._took.get((partner, id), told)

    def forget(self, tariff: TariffId) -> None:
        """A tariff has changed: whoever had it has it no more. Whoever reads one price keeps being
        billed the one that it was shown, until it takes another."""
        gone = [
            (partner, id)
            for partner, id in self._took
            if self.base_of(id) == tariff and not self.reads_headline(partner)
        ]
        for key in gone:
            del self._took[key]

    # -- forms of one tariff

    def forms(self, id: TariffId, partner: PartnerId, now: datetime) -> list[Tariff]:
        """Return the tariffs that *partner* is shown in the place of one of ours.

        One, as a rule; for a reader of single prices, one per time zone.
        """
        base = self._tariffs.get(id)
        if base is None:
            return []
        zones = self.zones or (ZoneInfo("UTC"),)
        if not self.reads_headline(partner):
            zones = zones[:1]
        forms = (self._form(id, partner, zone, now) for zone in zones)
        return [each for each in forms if each is not None]

    def form(self, id: TariffId, partner: PartnerId, now: datetime) -> Tariff | None:
        """Return the tariff that *partner* is shown under *id*."""
        forms = self.forms(self.base_of(id), partner, now)
        return next((each for each in forms if each.id == id), None)

    def base_of(self, id: TariffId) -> TariffId:
        """Return which of our tariffs a derived one was made of; itself for one of ours."""
        if id in self._tariffs:
            return id
        if (known := self._bases.get(id)) is not None:
            return known
        stem = id
        while "~" in stem:  # of a mark-up that is no more, told before a restart
            stem = TariffId(stem.rpartition("~")[0])
            if stem in self._tariffs:
                return stem
        return id

    def book_of(self, partner: PartnerId | None) -> PriceBook | None:
        """Return the book that makes a partner's prices."""
        return self._book(self.priced_as(partner))

    def _book(self, partner: PartnerId | None) -> PriceBook | None:
        return next((each for each in self.books.values() if partner in each.partners), None)

    def own_prices(self, partner: PartnerId) -> bool:
        """Whether the price book or a partners' book names *partner* itself."""
        ruled = any(rule.partner == partner for rule in self.all_rules())
        return ruled or self._book(partner) is not None

    def priced_as(self, partner: PartnerId | None) -> PartnerId | None:
        """Return whose prices *partner* gets: behind a hub, and without its own, the hub's."""
        via = self.via(partner) if partner is not None else None
        if partner is None or via is None or self.own_prices(partner):
            return partner
        return via if self.own_prices(via) else partner

    def particular(self, partner: PartnerId) -> bool:
        """Whether *partner* may be shown other prices than the rest."""
        return (
            self.own_prices(self.priced_as(partner) or partner)
            or any(self._waits_for(partner, each) for each in self.changes.values())
            or self.reads_headline(partner)
        )

    def _waits_for(self, partner: PartnerId, change: PriceChange) -> bool:
        """Whether a change holds, or will hold, for others and perhaps not for *partner*."""
        keeps = change.unacknowledged is Unacknowledged.KEEP and not change.withdrawn
        return keeps and not self.acknowledged(partner, change.tariff)

    def all_rules(self) -> Iterator[TariffRule]:
        """Every line of the price book, those that begin later too."""
        yield from self._rules.values()
        for change in self.changes.values():
            if change.rule is not None and not change.withdrawn:
                yield change.rule

    def versions_of(self, ids: Iterable[TariffId]) -> set[TariffId]:
        """Return *ids* with all that take their places, now or later."""
        found = set(ids)
        for change in self.changes.values():  # in the order they were made: chains are whole
            if change.replaces in found and not change.withdrawn:
                found.add(change.tariff)
        return found

    def superseded_by(self, id: TariffId) -> PriceChange | None:
        """Return the change that takes (or took) the place of a tariff."""
        found = [
            each for each in self.changes.values() if each.replaces == id and not each.withdrawn
        ]
        return found[-1] if found else None

    def _form(
        self, id: TariffId, partner: PartnerId | None, zone: ZoneInfo, now: datetime
    ) -> Tariff | None:
        base = self._tariffs.get(id)
        book = self.book_of(partner)
        if base is None or (book is not None and not book.prices(base)):
            return None
        own = base if book is None else self._marked(base, book)
        if partner is None or not self.reads_headline(partner):
            return own
        return self._headline(own, partner, zone, now)

    def _marked(self, base: Tariff, book: PriceBook) -> Tariff:
        known = self._derived.get((base.id, book.id))
        if known is None or known[0] is not base or known[1] is not book:
            known = self._derived[base.id, book.id] = (base, book, marked_up(base, book))
            self._bases[known[2].id] = base.id
        return known[2]

    def _headline(self, own: Tariff, partner: PartnerId, zone: ZoneInfo, now: datetime) -> Tariff:
        fresh = headline(own, zone, now)
        self._bases[fresh.id] = self.base_of(own.id)
        known = self._headlines.get(fresh.id)
        if known != fresh:
            self._headlines[fresh.id] = known = fresh
        return known if known is not None else fresh

    def shown_headline(self, partner: PartnerId, id: TariffId) -> Tariff | None:
        """Return the single price that a partner was last seen to take under *id*."""
        return self._had(partner, id)


def _newest(id: TariffId, successors: Mapping[TariffId, TariffId]) -> TariffId:
    """Follow the versions of a tariff to the one that holds; a version never comes back."""
    seen = {id}
    while (after := successors.get(id)) is not None and after not in seen:
        seen.add(after)
        id = after
    return id
