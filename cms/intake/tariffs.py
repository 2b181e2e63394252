"""Tariffs and the price book as operators write them down, net or gross."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from cms.domain.derived import Markup, PriceBook
from cms.domain.errors import InvalidValue
from cms.domain.ids import EvseUid, LocationId, PartnerId, TariffId
from cms.domain.price_change import Unacknowledged
from cms.domain.tariff import (
    ALWAYS,
    Basis,
    Dimension,
    DisplayText,
    Element,
    PriceComponent,
    PriceLimit,
    ReservationPhase,
    Restrictions,
    Tariff,
    TariffKind,
    Tax,
)
from cms.domain.tariff_choice import TariffRule
from cms.intake.base import Intake, Moment, values_of, within


class TaxIn(Intake):
    name: Annotated[str, Field(min_length=1, max_length=36)]
    percent: Annotated[Decimal, Field(ge=0, le=100)]

    def value(self) -> Tax:
        return Tax(self.name, self.percent)


class ComponentIn(Intake):
    """*price* per kWh, hour or session, net or gross as the tariff's *basis* says."""

    dimension: Dimension
    price: Annotated[Decimal, Field(ge=0)]
    step_size: Annotated[int, Field(ge=1)] = 1
    taxes: tuple[TaxIn, ...] | None = None

    def value(self) -> PriceComponent:
        taxes = None if self.taxes is None else values_of("taxes", self.taxes, TaxIn.value)
        return PriceComponent(self.dimension, self.price, self.step_size, taxes)


class RestrictionsIn(Intake):
    """Bounds in site time, kWh, A, kW and seconds; *day_of_week* counts from 1, Monday, to 7."""

    start_time: time | None = None
    end_time: time | None = None
    start_date: date | None = None
    end_date: date | None = None
    min_kwh: Decimal | None = None
    max_kwh: Decimal | None = None
    min_current: Decimal | None = None
    max_current: Decimal | None = None
    min_power: Decimal | None = None
    max_power: Decimal | None = None
    min_duration: int | None = None
    max_duration: int | None = None
    day_of_week: frozenset[Annotated[int, Field(ge=1, le=7)]] = frozenset()
    reservation: ReservationPhase | None = None

    def value(self) -> Restrictions:
        given = {name: getattr(self, name) for name in type(self).model_fields}
        given["day_of_week"] = frozenset(day - 1 for day in self.day_of_week)
        return Restrictions(**given)


class ElementIn(Intake):
    components: Annotated[tuple[ComponentIn, ...], Field(min_length=1)]
    restrictions: RestrictionsIn | None = None

    def value(self) -> Element:
        components = values_of("components", self.components, ComponentIn.value)
        with within("restrictions"):
            when = ALWAYS if self.restrictions is None else self.restrictions.value()
        return Element(components, when)


class LimitIn(Intake):
    net: Annotated[Decimal, Field(ge=0)] | None = None
    gross: Annotated[Decimal, Field(ge=0)] | None = None

    def value(self) -> PriceLimit:
        return PriceLimit(self.net, self.gross)


class TextIn(Intake):
    language: Annotated[str, Field(pattern=r"^[a-z]{2}$")]
    text: Annotated[str, Field(min_length=1, max_length=512)]


class TariffIn(Intake):
    """*price_per_kwh* is the short form of one ENERGY component; else give *elements*."""

    id: Annotated[str, Field(min_length=1, max_length=36)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    basis: Basis = Basis.NET
    taxes: tuple[TaxIn, ...] = ()
    price_per_kwh: Annotated[Decimal, Field(ge=0)] | None = None
    elements: tuple[ElementIn, ...] = ()
    min_price: LimitIn | None = None
    max_price: LimitIn | None = None
    kind: TariffKind | None = None
    valid_from: Moment | None = None
    valid_to: Moment | None = None
    names: tuple[TextIn, ...] = ()
    alt_url: str | None = None

    @field_validator("names")
    @classmethod
    def _each_language_once(cls, names: tuple[TextIn, ...]) -> tuple[TextIn, ...]:
        languages = [each.language for each in names]
        for language in languages:
            if languages.count(language) > 1:
                raise ValueError(f"the language {language!r} is given twice")
        return names

    def value(self) -> Tariff:
        return Tariff(
            id=TariffId(self.id),
            currency=self.currency,
            elements=self._elements(),
            basis=self.basis,
            taxes=values_of("taxes", self.taxes, TaxIn.value),
            min_price=None if self.min_price is None else self.min_price.value(),
            max_price=None if self.max_price is None else self.max_price.value(),
            kind=self.kind,
            valid_from=self.valid_from,
            valid_to=self.valid_to,
            names=tuple(DisplayText(each.language, each.text) for each in self.names),
            alt_url=self.alt_url,
        )

    def _elements(self) -> tuple[Element, ...]:
        if (self.price_per_kwh is None) == (not self.elements):
            raise InvalidValue("elements", "give either elements or price_per_kwh")
        if self.price_per_kwh is not None:
            return (Element((PriceComponent(Dimension.ENERGY, self.price_per_kwh),)),)
        return values_of("elements", self.elements, ElementIn.value)


class RuleIn(Intake):
    """A line of the price book: this tariff there, for those; what is left out means any."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    tariff: str
    partner: Annotated[str, Field(pattern=r"^[A-Z]{2}\*[A-Z0-9]{3}$")] | None = None
    location: str | None = None
    evse: str | None = None
    connector: int | None = None

    def value(self) -> TariffRule:
        return TariffRule(
            self.id,
            TariffId(self.tariff),
            None if self.partner is None else PartnerId(self.partner),
            None if self.location is None else LocationId(self.location),
            None if self.evse is None else EvseUid(self.evse),
            self.connector,
        )


class VersionIn(Intake):
    """A new version of a tariff (*tariff*), or a new line of the price book (*rule*), that begins
    at *at*: by default each site's next local midnight."""

    tariff: TariffIn | None = None
    rule: RuleIn | None = None
    at: Moment | None = None
    unacknowledged: Unacknowledged = Unacknowledged.KEEP

    @model_validator(mode="after")
    def _one_of_both(self) -> VersionIn:
        if (self.tariff is None) == (self.rule is None):
            raise ValueError("give either tariff or rule")
        return self


class RollbackIn(Intake):
    """When the old prices are to hold again; by default each site's next local midnight."""

    at: Moment | None = None


class BookIn(Intake):
    """A mark-up on every base price, for some partners. Amounts are on the base's own basis."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,12}$")]
    percent: Annotated[Decimal, Field(ge=-100, le=1000)] = Decimal(0)
    per_kwh: Annotated[Decimal, Field(ge=0)] = Decimal(0)
    per_session: Annotated[Decimal, Field(ge=0)] = Decimal(0)
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    partners: tuple[Annotated[str, Field(pattern=r"^[A-Z]{2}\*[A-Z0-9]{3}$")], ...] = ()

    def value(self) -> PriceBook:
        return PriceBook(
            self.id,
            Markup(self.percent, self.per_kwh, self.per_session),
            frozenset(map(PartnerId, self.partners)),
            self.currency,
        )


class QuoteIn(Intake):
    """A charge that is planned: where, for whom, from when, and how much of what.

    The connector is named by *handle* (an EVSE's uid or the number printed on it) or by *location*
    and *evse* (its uid); *connector* is needed where the EVSE has several. At least one of *kwh*,
    *minutes* and *amount* (gross) says how much; of several the one that is reached first ends the
    charging, and *minutes* that are left over are parking.
    """

    handle: str | None = None
    location: str | None = None
    evse: str | None = None
    connector: Annotated[int, Field(ge=1)] | None = None
    partner: Annotated[str, Field(pattern=r"^[A-Z]{2}\*[A-Z0-9]{3}$")] | None = None
    profile: Literal["CHEAP", "FAST", "GREEN", "REGULAR"] | None = None
    kwh: Annotated[Decimal, Field(ge=0, le=1000)] | None = None
    minutes: Annotated[Decimal, Field(gt=0, le=44640)] | None = None
    amount: Annotated[Decimal, Field(ge=0, lt=10**9)] | None = None
    power_kw: Annotated[Decimal, Field(gt=0, le=5000)] | None = None
    start: Moment | None = None

    @model_validator(mode="after")
    def _how_much(self) -> QuoteIn:
        if self.kwh is None and self.minutes is None and self.amount is None:
            raise ValueError("give kwh, minutes or amount")
        return self
