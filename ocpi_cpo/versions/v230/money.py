"""Prices, tariffs and bills of 2.3.0. Pure functions."""

from __future__ import annotations

from cms.domain.cdr import Cdr
from cms.domain.money import Price
from cms.domain.tariff import Basis, Element, PriceLimit, Tariff
from ocpi_cpo.wire import Json

LIMIT_LINE = "Price limit"
"""Name of the line that carries what a minimum or maximum price moved and that is no tax: the sum
of all lines is what is paid."""

ROUNDING_LINE = "Rounding"
"""Name of the line that carries the minor unit by which equal taxes (CGST, SGST) miss the gross."""


def price(own: Price) -> Json:
    """Return a payable price: net, and each tax by its name."""
    lines: list[Json] = [
        {"name": line.name, "percentage": line.percent, "amount": line.amount.amount}
        for line in own.taxes
    ]
    if own.rounding is not None and own.rounding:
        lines.append({"name": ROUNDING_LINE, "amount": own.rounding.amount})
    if own.clamp is not None and own.clamp:
        lines.append({"name": LIMIT_LINE, "amount": own.clamp.amount})
    return {"before_taxes": own.net.amount, **({"taxes": lines} if lines else {})}


def tariff(own: Tariff, core: Json) -> Json:
    """Return a Tariff: *core* is the same in 2.2.1, where prices are always net.

    A shelf price stays what it is on the shelf.
    """
    found = {**core, "tax_included": tax_included(own)}
    for name, limit in (("min_price", own.min_price), ("max_price", own.max_price)):
        if limit is not None:
            found[name] = _limit(own, limit)
    if own.basis is Basis.GROSS:
        found["elements"] = [
            {**wire, "price_components": _as_on_the_shelf(wire["price_components"], element)}
            for wire, element in zip(core["elements"], own.elements, strict=True)
        ]
    return found


def _as_on_the_shelf(wires: list[Json], element: Element) -> list[Json]:
    return [
        {**wire, "price": component.price}
        for wire, component in zip(wires, element.components, strict=True)
    ]


def tax_included(own: Tariff) -> str:
    """Return YES, NO, or N/A where nothing is taxed."""
    components = [each for element in own.elements for each in element.components]
    if not any(own.taxes_of(each) for each in components):
        return "N/A"
    return "YES" if own.basis is Basis.GROSS else "NO"


def _limit(own: Tariff, limit: PriceLimit) -> Json:
    net, gross = own.published_limit(limit)
    return {"before_taxes": net, **({} if gross is None else {"after_taxes": gross})}


def cdr(own: Cdr, core: Json, tariffs: list[Json]) -> Json:
    """Return a bill: *core* is the same in 2.2.1."""
    rating = own.rating
    costs = {
        "total_cost": own.total,
        "total_fixed_cost": rating.fixed,
        "total_energy_cost": rating.energy,
        "total_time_cost": rating.time,
        "total_parking_cost": rating.parking,
        "total_reservation_cost": rating.reservation,
    }
    found = {**core, **{name: price(cost) for name, cost in costs.items() if name in core}}
    return {**found, "tariffs": tariffs} if tariffs else found
