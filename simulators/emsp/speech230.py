"""The partner speaks OCPI 2.3.0: prices with their taxes, tariffs that say whether tax is in."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from simulators.emsp.models import (
    Cdr,
    CdrLocation,
    CdrToken,
    Connector,
    Credentials,
    CredentialsRole,
    Evse,
    Location,
    Model,
    Number,
    Session,
    Tariff,
    Text45,
    Text255,
)
from simulators.emsp.speech import Book, Sent, Speech, Wrong, checked
from simulators.emsp.wire import Json

COSTS = (
    "total_cost", "total_fixed_cost", "total_energy_cost", "total_time_cost", "total_parking_cost",
    "total_reservation_cost",
)  # fmt: skip
PARTS = COSTS[1:]


class TaxAmount(Model):
    """One tax on a price."""

    name: Text255
    account_number: Text255 | None = None
    percentage: Number | None = None
    amount: Number


class Price(Model):
    """An amount before taxes, and each tax."""

    before_taxes: Number
    taxes: list[TaxAmount] | None = None


class PriceLimit(Model):
    """A limit of a total, before and after taxes."""

    before_taxes: Number
    after_taxes: Number | None = None


class Tariff230(Tariff):
    """A price list that says whether its prices include tax."""

    tax_included: Literal["YES", "NO", "N/A"]
    min_price: PriceLimit | None = None  # type: ignore[assignment]
    max_price: PriceLimit | None = None  # type: ignore[assignment]


class CdrToken230(CdrToken):
    """Types of tokens are open: a contract's id is one."""

    type: Text255  # type: ignore[assignment]


class Session230(Session):
    """A session with the new kind of price."""

    cdr_token: CdrToken230
    total_cost: Price | None = None  # type: ignore[assignment]


class CdrLocation230(CdrLocation):
    """Connector standards are open."""

    connector_standard: Text255  # type: ignore[assignment]


class Cdr230(Cdr):
    """A bill with the new kind of price."""

    cdr_location: CdrLocation230
    tariffs: list[Tariff230] | None = None  # type: ignore[assignment]
    cdr_token: CdrToken230
    total_cost: Price  # type: ignore[assignment]
    total_fixed_cost: Price | None = None  # type: ignore[assignment]
    total_energy_cost: Price | None = None  # type: ignore[assignment]
    total_time_cost: Price | None = None  # type: ignore[assignment]
    total_parking_cost: Price | None = None  # type: ignore[assignment]
    total_reservation_cost: Price | None = None  # type: ignore[assignment]


class Parking(Model):
    """A parking place."""

    id: Annotated[str, Field(min_length=1, max_length=36)]
    vehicle_types: Annotated[list[Text255], Field(min_length=1)]
    restricted_to_type: bool
    reservation_required: bool
    time_limit: Number | None = None


class EvseParking(Model):
    """Which parking place an EVSE serves."""

    parking_id: Annotated[str, Field(min_length=1, max_length=36)]
    evse_position: Literal["LEFT", "RIGHT", "CENTER"] | None = None


class Connector230(Connector):
    """A plug; its standard is open."""

    standard: Text255  # type: ignore[assignment]
    capabilities: list[Text255] | None = None


class Evse230(Evse):
    """An EVSE with its parking places; several lists are open."""

    connectors: Annotated[list[Connector230], Field(min_length=1)]  # type: ignore[assignment]
    capabilities: list[Text255] | None = None  # type: ignore[assignment]
    parking_restrictions: list[Text255] | None = None  # type: ignore[assignment]
    parking: list[EvseParking] | None = None


class Location230(Location):
    """A site with its parking places."""

    evses: list[Evse230] | None = None  # type: ignore[assignment]
    parking_type: Text45 | None = None  # type: ignore[assignment]
    facilities: list[Text255] | None = None  # type: ignore[assignment]
    parking_places: list[Parking] | None = None
    help_phone: Annotated[str, Field(max_length=25)] | None = None


class Role230(CredentialsRole):
    """A party; a hub is none."""

    role: Literal["CPO", "EMSP", "NAP", "NSP", "OTHER", "SCSP"]


class Credentials230(Credentials):
    """What two parties exchange."""

    roles: Annotated[list[Role230], Field(min_length=1)]  # type: ignore[assignment]
    hub_party_id: Annotated[str, Field(max_length=5)] | None = None


class Speech230(Speech):
    """OCPI 2.3.0."""

    version = "2.3.0"
    translates = True

    def read_credentials(self, data: Any) -> Credentials:
        checked(Credentials230, data)
        return super().read_credentials(data)

    def shape(self, model: type[BaseModel]) -> type[BaseModel]:
        return _OPEN.get(model, model)

    def lift(self, sent: Sent, book: Book) -> Any:
        match (sent.module, sent.method, len(sent.segments)):
            case ("locations", "PUT", 3):
                _resolved(checked(Location230, sent.body))
            case ("tariffs", "PUT", 3):
                checked(Tariff230, sent.body)
                return tariff(sent.body)
            case ("sessions", "PUT", 3):
                checked(Session230, sent.body)
                return with_costs(sent.body)
            case ("cdrs", "POST", _):
                checked(Cdr230, sent.body)
                for name, reason in tax_mistakes(sent.body):
                    raise Wrong(name, reason)
                core = with_costs(sent.body)
                if core.get("tariffs"):
                    core["tariffs"] = [tariff(each) for each in core["tariffs"]]
                return core
            case _:
                pass
        return sent.body


_OPEN: dict[type[BaseModel], type[BaseModel]] = {
    Location: Location230,
    Evse: Evse230,
    Connector: Connector230,
}
"""Sites keep their words: what is open in 2.3.0 has no word in 2.2.1."""


def _resolved(site: Location230) -> None:
    known = {each.id for each in site.parking_places or []}
    for point in site.evses or []:
        for each in point.parking or []:
            if each.parking_id not in known:
                raise Wrong("evses.parking.parking_id", f"{each.parking_id} is no parking place")


def tariff(wire: Json) -> Json:
    """A Tariff in the shape of 2.2.1; ``tax_included`` stays, for whoever rates by it."""
    core = dict(wire)
    for name in ("min_price", "max_price"):
        if limit := core.get(name):
            core[name] = {"excl_vat": limit["before_taxes"]}
            if limit.get("after_taxes") is not None:
                core[name]["incl_vat"] = limit["after_taxes"]
    return core


def with_costs(wire: Json) -> Json:
    """An object whose prices have the shape of 2.2.1."""
    return {k: price(v) if k in COSTS and v is not None else v for k, v in wire.items()}


def price(wire: Json) -> Json:
    """A Price in the shape of 2.2.1: what was paid includes every tax."""
    taxes = sum((Decimal(each["amount"]) for each in wire.get("taxes") or []), Decimal(0))
    return {"excl_vat": wire["before_taxes"], "incl_vat": Decimal(wire["before_taxes"]) + taxes}


# -- taxes, a second time ------------------------------------------------------------------------


def tax_mistakes(cdr: Json) -> Iterator[tuple[str, str]]:
    """Where the taxes of a bill cannot be right, whatever the prices."""
    if cdr.get("credit"):
        return
    clamped = any(t.get("min_price") or t.get("max_price") for t in cdr.get("tariffs") or [])
    parts = [cdr[name] for name in PARTS if cdr.get(name)]
    if parts and not clamped:
        yield from _not_the_sum(cdr["total_cost"], parts)
    yield from _not_the_rate(cdr, clamped)


def _by_name(price: Json) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for tax in price.get("taxes") or []:
        found[tax["name"]] = found.get(tax["name"], Decimal(0)) + Decimal(tax["amount"])
    return {name: amount for name, amount in found.items() if amount}


def _not_the_sum(total: Json, parts: list[Json]) -> Iterator[tuple[str, str]]:
    whole = _by_name(total)
    names = set(whole).union(*(_by_name(each) for each in parts))
    for name in sorted(names):
        added = sum((_by_name(each).get(name, Decimal(0)) for each in parts), Decimal(0))
        if added != whole.get(name, Decimal(0)):
            yield "total_cost.taxes", f"{name}: {whole.get(name, 0)}, parts {added}"


def _not_the_rate(cdr: Json, clamped: bool) -> Iterator[tuple[str, str]]:
    """A tax that is not its percentage of the net, where one rate holds for all of it."""
    rates = {
        component.get("vat")
        for tariff in cdr.get("tariffs") or []
        for element in tariff["elements"]
        for component in element["price_components"]
    }
    lines = cdr["total_cost"].get("taxes") or []
    taxes = [each for each in lines if each.get("percentage") is not None]
    if clamped or len(rates) != 1 or None in rates:
        return
    net = Decimal(cdr["total_cost"]["before_taxes"])
    for tax in taxes:
        due = net * Decimal(tax["percentage"]) / 100
        if abs(due - Decimal(tax["amount"])) > Decimal("0.01"):
            yield "total_cost.taxes", f"{tax['name']}: {tax['amount']}, expected about {due}"
    asked = sum((Decimal(each["percentage"]) for each in taxes), Decimal(0))
    if asked != rates.pop():
        yield "total_cost.taxes", f"rates add up to {asked}, the tariff says otherwise"
