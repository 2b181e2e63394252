"""Tariffs made of tariffs: a partner's mark-up, and the one price that holds at a moment.

A derived tariff is a tariff like any other: it has an id of its own that stays the same, it is
shown, frozen at the start of a session and rated. So what is shown is what is billed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from cms.domain.errors import InvalidValue
from cms.domain.ids import PartnerId, TariffId
from cms.domain.tariff import (
    ALWAYS,
    Dimension,
    Element,
    PriceComponent,
    PriceLimit,
    Tariff,
    Tax,
)

MOST_ID = 36
"""Characters of a tariff's id."""

MOST_BOOK_ID = 12
_DIGEST = 6


@dataclass(frozen=True, slots=True)
class Markup:
    """What is added to a base price, on the base's own basis (net or gross).

    Attributes:
        percent: of every price and limit; negative is a discount.
        per_kwh, per_session: amounts in the base's currency.
    """

    percent: Decimal = Decimal(0)
    per_kwh: Decimal = Decimal(0)
    per_session: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        if not (self.percent.is_finite() and -100 <= self.percent <= 1000):
            raise InvalidValue("percent", f"{self.percent} is not within -100 .. 1000")
        for name in ("per_kwh", "per_session"):
            value: Decimal = getattr(self, name)
            if not (value.is_finite() and 0 <= value < 10**9):
                raise InvalidValue(name, f"{value} is no amount to add")


@dataclass(frozen=True, slots=True)
class PriceBook:
    """A mark-up that several partners share.

    Attributes:
        id: 1 to 12 characters; part of the derived tariffs' ids.
        partners: whose prices it makes; a partner is in one book at most.
        currency: of the amounts; tariffs in another currency get the percentage only if there are
            no amounts, and are not offered otherwise. ``None`` where there are none.
    """

    id: str
    markup: Markup
    partners: frozenset[PartnerId] = frozenset()
    currency: str | None = None

    def __post_init__(self) -> None:
        plain = self.id.replace("-", "").isalnum() and self.id.isascii()
        if not 1 <= len(self.id) <= MOST_BOOK_ID or not plain:
            raise InvalidValue("id", f"1 to {MOST_BOOK_ID} letters, digits and hyphens")
        amounts = self.markup.per_kwh or self.markup.per_session
        if amounts and self.currency is None:
            raise InvalidValue("currency", "amounts need one")

    def prices(self, base: Tariff) -> bool:
        """Whether this book can mark *base* up."""
        return self.currency in (None, base.currency)


def derived_id(base: TariffId, suffix: str) -> TariffId:
    """Return the id of a tariff derived from *base*: stable, and 36 characters at most."""
    if len(base) + len(suffix) <= MOST_ID:
        return TariffId(base + suffix)
    digest = hashlib.sha256(base.encode()).hexdigest()[:_DIGEST]
    return TariffId(f"{base[: MOST_ID - len(suffix) - _DIGEST - 1]}.{digest}{suffix}")


# ---------------------------------------------------------------- mark-ups


def marked_up(base: Tariff, book: PriceBook) -> Tariff:
    """Return *base* with the mark-up of *book*.

    Reserved time gets the percentage only; the amounts are for what is charged.
    """
    markup = book.markup
    elements = [_dearer(element, markup) for element in base.elements]
    for dimension, amount in (
        (Dimension.ENERGY, markup.per_kwh),
        (Dimension.FLAT, markup.per_session),
    ):
        if amount and not _always_prices(base.elements, dimension):
            part = PriceComponent(dimension, amount, 1, _usual_taxes(base))
            elements.append(Element((part,)))
    return replace(
        base,
        id=derived_id(base.id, f"~{book.id}"),
        elements=tuple(elements),
        min_price=_dearer_limit(base.min_price, markup),
        max_price=_dearer_limit(base.max_price, markup),
    )


def _dearer(element: Element, markup: Markup) -> Element:
    reserved = element.restrictions.reservation is not None
    return replace(
        element,
        components=tuple(_dearer_part(part, markup, reserved) for part in element.components),
    )


def _dearer_part(part: PriceComponent, markup: Markup, reserved: bool) -> PriceComponent:
    price = part.price * (1 + markup.percent / 100)
    if not reserved and part.dimension is Dimension.ENERGY:
        price += markup.per_kwh
    if not reserved and part.dimension is Dimension.FLAT:
        price += markup.per_session
    return replace(part, price=price.normalize() + 0)


def _dearer_limit(limit: PriceLimit | None, markup: Markup) -> PriceLimit | None:
    if limit is None:
        return None
    factor = 1 + markup.percent / 100
    return PriceLimit(
        None if limit.net is None else limit.net * factor,
        None if limit.gross is None else limit.gross * factor,
    )


def _always_prices(elements: Sequence[Element], dimension: Dimension) -> bool:
    """Whether *dimension* has a price at every moment, so that no moment lacks the mark-up."""
    return any(
        element.restrictions == ALWAYS
        and any(part.dimension is dimension for part in element.components)
        for element in elements
    )


def _usual_taxes(base: Tariff) -> tuple[Tax, ...] | None:
    """Return the taxes of an added price: the tariff's, else those of its first component."""
    return None if base.taxes else base.taxes_of(base.elements[0].components[0])


# ---------------------------------------------------------------- one price for one moment


def headline(tariff: Tariff, zone: ZoneInfo, now: datetime) -> Tariff:
    """Return what a reader of the first element and component only needs to see at *now*.

    One element with one component and no restriction: the energy price of the moment, or the time
    price or the fee where energy costs nothing. A session that starts now is billed by it whole.
    Limits stay out: they are read by nobody who reads so little.
    """
    local = now.astimezone(zone)
    part = _first_price(tariff, local) or PriceComponent(Dimension.FLAT, Decimal(0))
    return replace(
        tariff,
        id=derived_id(tariff.id, f"~now{_zone_mark(zone)}"),
        elements=(Element((replace(part, taxes=tariff.taxes_of(part)),)),),
        taxes=(),
        min_price=None,
        max_price=None,
    )


def _zone_mark(zone: ZoneInfo) -> str:
    return hashlib.sha256(zone.key.encode()).hexdigest()[:3]


_HEADLINE_ORDER = (Dimension.ENERGY, Dimension.TIME, Dimension.FLAT)


def _first_price(tariff: Tariff, local: datetime) -> PriceComponent | None:
    """Return the first price that holds for a session that begins at *local*."""
    for dimension in _HEADLINE_ORDER:
        for element in tariff.elements:
            rules = element.restrictions
            begins = not (rules.min_kwh or rules.min_duration or rules.reservation)
            part = next((each for each in element.components if each.dimension is dimension), None)
            if part is not None and begins and rules.hold_at(local):
                return part
    return None


# ---------------------------------------------------------------- versions


def next_version(id: TariffId, taken: frozenset[TariffId]) -> TariffId:
    """Return the id of the next version of *id*: ``DC-18``, ``DC-18~2``, ``DC-18~3`` ..."""
    root, mark, number = id.rpartition("~")
    stem = TariffId(root) if mark and number.isdigit() else id
    count = int(number) if mark and number.isdigit() else 1
    while True:
        count += 1
        found = derived_id(stem, f"~{count}")
        if found not in taken:
            return found


def as_version(tariff: Tariff, id: TariffId, since: datetime) -> Tariff:
    """Return *tariff* as the version *id* that holds from *since*."""
    return replace(tariff, id=id, valid_from=since, valid_to=None)
