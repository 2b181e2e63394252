"""Which tariff a connector shows to whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cms.domain.ids import EvseUid, LocationId, PartnerId, TariffId


@dataclass(frozen=True, slots=True)
class TariffRule:
    """One line of the price book: this tariff there, for those. None = any.

    Attributes:
        id: the operator's name for the line.
        connector: connector number within ``evse``; only together with it.
    """

    id: str
    tariff: TariffId
    partner: PartnerId | None = None
    location: LocationId | None = None
    evse: EvseUid | None = None
    connector: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A connector, as the price book sees it."""

    location: LocationId
    evse: EvseUid
    connector: int


def choose(
    rules: Iterable[TariffRule],
    base: tuple[TariffId, ...],
    place: Place,
    partner: PartnerId | None,
) -> tuple[TariffId, ...]:
    """Return the tariffs of *place* for *partner* (None = our own drivers), best first.

    The most particular rule wins: one that names the partner before one that does not, then the
    one that names the smaller place. Without a rule the connector's own *base* tariffs hold.
    """
    fitting = [rule for rule in rules if _fits(rule, place, partner)]
    if not fitting:
        return base
    best = max(_weight(rule) for rule in fitting)
    return tuple(rule.tariff for rule in fitting if _weight(rule) == best)


def _fits(rule: TariffRule, place: Place, partner: PartnerId | None) -> bool:
    return (
        rule.partner in (None, partner)
        and rule.location in (None, place.location)
        and rule.evse in (None, place.evse)
        and rule.connector in (None, place.connector)
    )


def _weight(rule: TariffRule) -> tuple[bool, bool, bool, bool]:
    return (
        rule.partner is not None,
        rule.connector is not None,
        rule.evse is not None,
        rule.location is not None,
    )
