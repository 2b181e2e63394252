"""Tariffs, and the price book that says where each holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from cms.app.quoting import Wanted
from cms.dashboard import views
from cms.dashboard.api.desk import Desk, by, only_all_sites, same
from cms.dashboard.routing import Call, Route
from cms.domain.errors import InvalidValue, NotFound
from cms.domain.ids import PartnerId, TariffId
from cms.domain.partner import Right
from cms.domain.price_change import PriceChange
from cms.domain.tariff import Tariff, kind_of_profile
from cms.intake.base import within
from cms.intake.tariffs import BookIn, QuoteIn, RollbackIn, RuleIn, TariffIn, VersionIn


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of tariffs and rules."""
    read, price = Right.READ, Right.PRICE
    its = Prices(desk)
    return [
        Route("GET", "/tariffs", read, its.tariffs, answer="array"),
        Route("PUT", "/tariffs/{id}", price, its.put_tariff, TariffIn),
        Route("DELETE", "/tariffs/{id}", price, its.drop_tariff),
        Route("GET", "/tariff-rules", read, its.rules, answer="array"),
        Route("PUT", "/tariff-rules/{id}", price, its.put_rule, RuleIn),
        Route("DELETE", "/tariff-rules/{id}", price, its.drop_rule),
        Route("GET", "/price-books", read, its.books, answer="array"),
        Route("PUT", "/price-books/{id}", price, its.put_book, BookIn),
        Route("DELETE", "/price-books/{id}", price, its.drop_book),
        Route("GET", "/price-changes", read, its.changes, answer="array"),
        Route("POST", "/price-changes", price, its.schedule, VersionIn, status=201),
        Route("POST", "/price-changes/preview", price, its.preview, VersionIn),
        Route("GET", "/price-changes/{id}", read, its.change),
        Route("POST", "/price-changes/{id}/rollback", price, its.rollback, RollbackIn),
        Route("POST", "/quotes", read, its.quote, QuoteIn),
    ]


class Prices:
    """Handlers of tariffs and rules."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def tariffs(self, call: Call) -> Any:
        """Tariffs."""
        return [views.tariff(each) for each in self._desk.catalogue.tariffs.values()]

    async def put_tariff(self, call: Call) -> Any:
        """Add or replace a tariff."""
        given: TariffIn = call.body
        same("id", given.id, call.part("id"))
        only_all_sites(call)
        return views.tariff(await self._desk.administration.put_tariff(given.value(), by(call)))

    async def drop_tariff(self, call: Call) -> Any:
        """Delete a tariff."""
        only_all_sites(call)
        await self._desk.administration.drop_tariff(TariffId(call.part("id")), by(call))
        return {"deleted": call.part("id")}

    async def rules(self, call: Call) -> Any:
        """The price book."""
        return [views.as_plain(each) for each in self._desk.catalogue.rules.values()]

    async def put_rule(self, call: Call) -> Any:
        """Add or replace a line of the price book."""
        given: RuleIn = call.body
        same("id", given.id, call.part("id"))
        only_all_sites(call)
        self._check_rule(given)
        return views.as_plain(await self._desk.administration.put_rule(given.value(), by(call)))

    async def drop_rule(self, call: Call) -> Any:
        """Delete a line of the price book."""
        only_all_sites(call)
        await self._desk.administration.drop_rule(call.part("id"), by(call))
        return {"deleted": call.part("id")}

    async def books(self, call: Call) -> Any:
        """Partners' price books: mark-ups on the base prices."""
        only_all_sites(call)
        return [views.price_book(each) for each in self._desk.catalogue.offers.books.values()]

    async def put_book(self, call: Call) -> Any:
        """Add or replace a price book."""
        given: BookIn = call.body
        same("id", given.id, call.part("id"))
        only_all_sites(call)
        for partner in given.partners:
            if PartnerId(partner) not in self._desk.catalogue.partners:
                raise InvalidValue("partners", f"no partner {partner!r}")
        return views.price_book(await self._desk.pricing.put_book(given.value(), by(call)))

    async def drop_book(self, call: Call) -> Any:
        """Delete a price book: its partners get the base prices again."""
        only_all_sites(call)
        await self._desk.pricing.drop_book(call.part("id"), by(call))
        return {"deleted": call.part("id")}

    async def changes(self, call: Call) -> Any:
        """Price changes: scheduled, begun and withdrawn."""
        only_all_sites(call)
        changes = self._desk.catalogue.offers.changes.values()
        return [views.price_change(each, self._desk.clock()) for each in changes]

    async def change(self, call: Call) -> Any:
        """One price change: what it means for whom, and which partner has acknowledged it."""
        only_all_sites(call)
        change = self._desk.catalogue.offers.changes.get(call.part("id"))
        if change is None:
            raise NotFound("price change", call.part("id"))
        return await self._shown(change)

    async def schedule(self, call: Call) -> Any:
        """Schedule a new version of a tariff or a new line of the price book."""
        only_all_sites(call)
        change, tariff = self._meant(call)
        return await self._shown(await self._desk.pricing.schedule(change, tariff, by(call)))

    async def preview(self, call: Call) -> Any:
        """What a change would mean for whom; nothing is scheduled."""
        only_all_sites(call)
        change, tariff = self._meant(call)
        return {
            **views.price_change(change, self._desk.clock()),
            "effects": views.as_plain(self._desk.pricing.preview(change, tariff)),
        }

    async def rollback(self, call: Call) -> Any:
        """Withdraw a change that has not begun; schedule the old prices back after one that has."""
        only_all_sites(call)
        given: RollbackIn = call.body
        change = await self._desk.pricing.rollback(call.part("id"), by(call), given.at)
        return await self._shown(change)

    async def quote(self, call: Call) -> Any:
        """What a planned charge will cost, by the engine that makes the bills."""
        given: QuoteIn = call.body
        place, plug = self._desk.quoting.find(
            given.handle, given.location, given.evse, given.connector
        )
        if not call.caller.sees(place.location.id):
            raise NotFound("EVSE", place.evse.uid)
        wanted = Wanted(
            given.start or self._desk.clock(),
            None if given.kwh is None else int(given.kwh * 1000),
            None if given.minutes is None else timedelta(seconds=int(given.minutes * 60)),
            given.amount,
            None if given.power_kw is None else int(given.power_kw * 1000),
            kind_of_profile(given.profile),
        )
        partner = None if given.partner is None else PartnerId(given.partner)
        return views.quote(self._desk.quoting.quote(place, plug, partner, wanted))

    def _meant(self, call: Call) -> tuple[PriceChange, Tariff | None]:
        given: VersionIn = call.body
        pricing = self._desk.pricing
        if given.tariff is not None:
            with within("tariff"):
                tariff = given.tariff.value()
            return pricing.version(tariff, given.at, given.unacknowledged, by(call))
        assert given.rule is not None
        with within("rule"):
            self._check_rule(given.rule)
        return pricing.rule(given.rule.value(), given.at, given.unacknowledged, by(call)), None

    async def _shown(self, change: PriceChange) -> Any:
        pricing = self._desk.pricing
        return {
            **views.price_change(change, self._desk.clock()),
            "effects": views.as_plain(pricing.preview(change)),
            "acknowledgements": views.as_plain(await pricing.acknowledgements(change)),
        }

    def _check_rule(self, given: RuleIn) -> None:
        """Refuse a line about things that are not there: it would look right and never match."""
        catalogue = self._desk.catalogue
        if given.tariff not in catalogue.tariffs:
            raise InvalidValue("tariff", f"no tariff {given.tariff!r}")
        if given.location is not None and given.location not in catalogue.locations:
            raise InvalidValue("location", f"no site {given.location!r}")
        if given.evse is not None and catalogue.evse_by_uid(given.evse) is None:
            raise InvalidValue("evse", f"no EVSE with the uid {given.evse!r}")
