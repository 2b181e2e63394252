"""Tariffs, and the price book that says where each holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cms.dashboard import views
from cms.dashboard.api.desk import Desk, by, only_all_sites, same
from cms.dashboard.routing import Call, Route
from cms.domain.errors import InvalidValue
from cms.domain.ids import TariffId
from cms.domain.partner import Right
from cms.intake.tariffs import RuleIn, TariffIn


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

    def _check_rule(self, given: RuleIn) -> None:
        """Refuse a line about things that are not there: it would look right and never match."""
        catalogue = self._desk.catalogue
        if given.tariff not in catalogue.tariffs:
            raise InvalidValue("tariff", f"no tariff {given.tariff!r}")
        if given.location is not None and given.location not in catalogue.locations:
            raise InvalidValue("location", f"no site {given.location!r}")
        if given.evse is not None and catalogue.evse_by_uid(given.evse) is None:
            raise InvalidValue("evse", f"no EVSE with the uid {given.evse!r}")
