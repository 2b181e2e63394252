"""What CPOs of OCPI 2.3.0 do wrong: mostly what was right in 2.2.1."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from ocpi_check.shapes import PARTS
from ocpi_check.wire import Json
from tests.flow.broken_cpo import Asked, Defects, Said, evses_in, of

DEFECTS_230 = Defects()
defect = DEFECTS_230.answers


# -- prices and taxes


def _with_vat(price: Json) -> Json:
    """A price as 2.2.1 writes it."""
    net = Decimal(price["before_taxes"])
    taxes = sum((Decimal(each["amount"]) for each in price.get("taxes") or []), Decimal(0))
    return {"excl_vat": net, "incl_vat": net + taxes}


def _prices(asked: Asked, said: Said) -> Iterator[tuple[Json, str]]:
    """Each price of a session or bill: what it stands in, and its name there."""
    for module in ("sessions", "cdrs"):
        for each in of(asked, said, module):
            yield from ((each, name) for name in ("total_cost", *PARTS) if each.get(name))


@defect("C1-05")
def tells_prices_with_vat(asked: Asked, said: Said) -> None:
    for each, name in _prices(asked, said):
        each[name] = _with_vat(each[name])


@defect("C1-05")
def tells_taxes_as_one_amount(asked: Asked, said: Said) -> None:
    for each, name in _prices(asked, said):
        each[name]["taxes"] = each[name]["taxes"][0]["amount"]


@defect("C1-05", "C3-05")
def leaves_the_names_of_taxes_out(asked: Asked, said: Said) -> None:
    for each, name in _prices(asked, said):
        for tax in each[name]["taxes"]:
            del tax["name"]


@defect("C3-01")
def does_not_say_whether_tax_is_included(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "tariffs"):
        del each["tax_included"]


@defect("C3-01")
def says_true_where_tax_is_included(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "tariffs"):
        each["tax_included"] = True


@defect("C3-02")
def limits_prices_with_vat(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "tariffs"):
        each["max_price"] = {"excl_vat": 1000, "incl_vat": 1180}


@defect("C3-05", "CO-24", "SE-13")
def adds_a_cent_of_one_tax(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        tax = each["total_cost"]["taxes"][0]
        tax["amount"] = Decimal(tax["amount"]) + Decimal("0.01")


@defect("C3-05", "SE-13")
def names_a_tax_otherwise_in_the_total(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "cdrs"):
        each["total_cost"]["taxes"][0]["name"] = "VAT"


@defect("C3-06", "CO-24", "PG-06", "PG-09")
def credits_without_negating_the_taxes(asked: Asked, said: Said) -> None:
    for each in list(of(asked, said, "cdrs"))[:1]:
        if asked.query:
            continue
        total = each["total_cost"]
        negated = {**total, "before_taxes": -Decimal(total["before_taxes"])}
        credit = {"credit": True, "credit_reference_id": each["id"], "id": f"{each['id']}-C"}
        said.items.append({**each, **credit, "total_cost": negated})


# -- credentials


@defect("C1-06")
def names_the_role_of_a_hub(asked: Asked, said: Said) -> None:
    if asked.module == "credentials" and isinstance(said.data, dict):
        said.data["roles"].append({**said.data["roles"][0], "role": "HUB"})


@defect("C1-07")
def names_its_hub_by_party_only(asked: Asked, said: Said) -> None:
    if asked.module == "credentials" and isinstance(said.data, dict):
        said.data["hub_party_id"] = "HUB"


# -- locations


@defect("C1-04", "C2-02")
def puts_evses_in_places_that_no_enum_has(asked: Asked, said: Said) -> None:
    for each in evses_in(asked, said):
        each["parking"] = [{"parking_id": "P1", "evse_position": "MIDDLE"}]


@defect("C2-01")
def gives_one_parking_place_in_place_of_a_list(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        each["parking_places"] = _place("P1")


@defect("C2-02")
def names_parking_places_that_it_does_not_list(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        each["parking_places"] = [_place("P1")]
        each["evses"][0]["parking"] = [{"parking_id": "P2"}]


@defect("C2-05")
def says_of_no_parking_place_what_may_stand_there(asked: Asked, said: Said) -> None:
    for each in of(asked, said, "locations"):
        each["parking_places"] = [{**_place("P1"), "vehicle_types": []}]


def _place(id: str) -> Json:
    flags = {"restricted_to_type": False, "reservation_required": False}
    return {"id": id, "vehicle_types": ["PASSENGER_CAR"], **flags}


# -- commands


@defect("C1-01", "TR-42")
def refuses_members_that_it_does_not_know(asked: Asked, said: Said) -> None:
    if asked.module == "commands" and b"xx_unknown" in asked.body:
        said.body = {k: v for k, v in said.body.items() if k != "data"} | {"status_code": 2001}


@defect("C3-09")
def rejects_commands_that_it_does_not_know(asked: Asked, said: Said) -> None:
    if asked.parts[-1] == "OPEN_SESAME":
        said.data["result"] = "REJECTED"
