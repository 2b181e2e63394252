"""What a planned charge will cost: the offer, the snapshot and the engine of a real session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from cms.app.catalogue import Catalogue, EvsePlace
from cms.domain.errors import Conflict, InvalidValue, NotFound
from cms.domain.ids import EvseUid, PartnerId
from cms.domain.money import Money
from cms.domain.quote import Plan, planned, quote
from cms.domain.rating import Rating
from cms.domain.settlement import free_tariff
from cms.domain.tariff import Tariff, TariffKind
from cms.domain.topology import Connector


@dataclass(frozen=True, slots=True)
class Wanted:
    """A planned charge. None = not limited; at least one of the three is given.

    Attributes:
        energy: Wh.
        stay: with parking.
        amount: gross, in the tariff's currency.
        power_w: None is the connector's most.
    """

    start: datetime
    energy: int | None = None
    stay: timedelta | None = None
    amount: Decimal | None = None
    power_w: int | None = None
    kind: TariffKind | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """An answer: the tariff that would be frozen at the start, and what the engine makes of it."""

    place: EvsePlace
    connector: Connector
    partner: PartnerId | None
    tariff: Tariff
    power_w: int
    start: datetime
    plan: Plan
    rating: Rating

    @property
    def end(self) -> datetime:
        return self.start + self.plan.charging + self.plan.parking


class Quoting:
    def __init__(self, catalogue: Catalogue, currency: str) -> None:
        self._catalogue = catalogue
        self._currency = currency

    def find(
        self, handle: str | None, location: str | None, evse: str | None, connector: int | None
    ) -> tuple[EvsePlace, Connector]:
        """Return the connector that is meant.

        Raises:
            InvalidValue: too little is said, naming the field.
            NotFound: there is no such EVSE or connector.
        """
        field = "handle" if handle is not None else "evse"
        named = handle if handle is not None else evse
        if named is None:
            raise InvalidValue("evse", "name the EVSE, by handle or by location and evse")
        ref = self._catalogue.evse_by_uid(named) or self._catalogue.evse_by_evse_id(named)
        place = self._catalogue.place(ref) if ref is not None else None
        if place is None or (location is not None and place.location.id != location):
            raise NotFound(field, EvseUid(named))
        return place, _plug(place, connector)

    def quote(
        self, place: EvsePlace, plug: Connector, partner: PartnerId | None, wanted: Wanted
    ) -> Quote:
        """Price a planned charge.

        Raises:
            NotFound: no such partner, or no tariff of the kind that is asked for.
            Conflict: the amount does not pay for the start.
        """
        if partner is not None and partner not in self._catalogue.partners:
            raise NotFound("partner", partner)
        tariff = self._tariff(place, plug, partner, wanted)
        zone, power = place.location.zone, wanted.power_w or plug.power_w
        budget = None
        if wanted.amount is not None:
            budget = Money(wanted.amount, tariff.currency)
        plan = planned(
            tariff, wanted.start, power, zone,
            energy=wanted.energy, stay=wanted.stay, budget=budget,
        )  # fmt: skip
        if plan is None:
            raise Conflict("the amount does not pay for the start of a session")
        rating = quote(tariff, wanted.start, plan.energy, power, zone, parking=plan.parking)
        return Quote(place, plug, partner, tariff, power, wanted.start, plan, rating)

    def _tariff(
        self, place: EvsePlace, plug: Connector, partner: PartnerId | None, wanted: Wanted
    ) -> Tariff:
        offered = self._catalogue.offered(place, plug, partner, wanted.start)
        if wanted.kind is not None:
            usual = (wanted.kind,) if wanted.kind is not TariffKind.REGULAR else (None, wanted.kind)
            offered = [each for each in offered if each.kind in usual]
            if not offered:
                raise NotFound("tariff of the kind", wanted.kind)
        return offered[0] if offered else free_tariff(self._currency)


def _plug(place: EvsePlace, number: int | None) -> Connector:
    if number is None:
        if len(place.evse.connectors) > 1:
            raise InvalidValue("connector", f"EVSE {place.evse.uid} has several: say which")
        return place.evse.connectors[0]
    found = place.evse.connector(number)
    if found is None:
        raise NotFound("connector", str(number))
    return found
