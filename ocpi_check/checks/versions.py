"""B and C: what OCPI 2.1.1 and 2.3.0 have otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from ocpi_check.catalogue import CPO, EMSP, Checks, Phase, Skipped, demand
from ocpi_check.checks.joining import OF_211
from ocpi_check.checks.objects import at, evses, judge, plugs
from ocpi_check.checks.receiving import order, result, stored, token_in_order
from ocpi_check.checks.transport import a_list, list_url
from ocpi_check.client import OMIT
from ocpi_check.ground import LISTS, Ground, named, raise_problems, refused_with
from ocpi_check.shapes import PARTS, SHAPES
from ocpi_check.wire import Json, decimal

check = Checks()
OLD, NEW = ("2.1.1",), ("2.3.0",)
BOTH = (CPO, EMSP)


def _of_shape(id: str, title: str, *modules: str, versions: tuple[str, ...]) -> None:
    @check(id, title, versions=versions)
    async def judged(on: Ground) -> None:
        await on.shaped(id, *modules)


# -- 2.1.1


@check(
    "B1-01", "takes and sends credentials tokens as they are, not encoded", versions=OLD, roles=BOTH
)
async def raw_tokens(on: Ground) -> None:
    module = a_list(on)
    answer = await on.client.ask(module, "GET", list_url(on, module, limit=1))
    demand(answer.ok, f"a token as it is was {answer.said}", answer)


@check("B1-02", "does without request ids and routing headers", versions=OLD, roles=BOTH)
async def no_ids(on: Ground) -> None:
    module = a_list(on)
    bare = {"X-Request-ID": OMIT, "X-Correlation-ID": OMIT}
    answer = await on.client.ask(module, "GET", list_url(on, module, limit=1), more=bare)
    demand(answer.ok, f"a request without ids was {answer.said}", answer)


@check(
    "B1-03",
    "uses no status code of later versions",
    versions=OLD,
    phase=Phase.LOOKING_BACK,
)
async def old_codes(on: Ground) -> None:
    for each in on.client.kept:
        demand(each.code != 2004 and (each.code or 0) < 4000, f"status_code {each.code}", each)


@check("B1-04", "writes ASCII only", versions=OLD)
async def ascii_only(on: Ground) -> None:
    seen = False
    for module in LISTS[on.role]:
        for each in await on.present(module):
            seen = True
            bad = [text for text in _texts(each) if not text.isascii()]
            raise_problems([f"{named(module, each)} has {text!r}" for text in bad])
    if not seen:
        raise Skipped("every list is empty")


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)
        case _:
            pass


@check("B1-05", "writes whole seconds", versions=OLD)
async def whole_seconds(on: Ground) -> None:
    seen = False
    for module in LISTS[on.role]:
        for each in await on.present(module):
            seen = True
            text = str(each.get("last_updated"))
            demand("." not in text, f"{named(module, each)} last_updated {text} has a fraction")
    if not seen:
        raise Skipped("every list is empty")


@check("B1-06", "lists endpoints by identifier and url, without a role", versions=OLD, roles=BOTH)
async def no_roles(on: Ground) -> None:
    assert on.details is not None
    odd = [str(each.get("identifier")) for each in on.offered if "role" in each]
    raise_problems([f"{each} has a role" for each in odd], on.details)


@check("B1-07", "offers the modules of 2.1.1 only", versions=OLD, roles=BOTH)
async def modules(on: Ground) -> None:
    assert on.details is not None
    late = ("chargingprofiles", "hubclientinfo")
    found = [str(each.get("identifier")) for each in on.offered]
    raise_problems([f"{each} is not in 2.1.1" for each in found if each in late], on.details)
    if on.role == CPO:
        missing = [each for each in OF_211 if each not in found]
        raise_problems([f"{each} is not offered" for each in missing], on.details)


@check("B1-08", "gives flat credentials of one party", versions=OLD, roles=BOTH)
async def flat(on: Ground) -> None:
    answer = await on.ask("credentials", "GET")
    problems = SHAPES["2.1.1"]["credentials"](answer.data, "credentials")
    raise_problems([str(each) for each in problems], answer)


_of_shape("B1-12", "leaves country_code and party_id out of its objects", versions=OLD)
_of_shape(
    "B2-01", "gives a location its type, and nothing of later versions", "locations", versions=OLD
)
_of_shape("B2-03", "gives every location a postal code", "locations", versions=OLD)
_of_shape("B2-05", "gives coordinates with six decimals", "locations", versions=OLD)
_of_shape("B2-06", "gives a connector voltage, amperage and one tariff", "locations", versions=OLD)
_of_shape("B2-07", "claims the six capabilities of 2.1.1 only", "locations", versions=OLD)
_of_shape(
    "B2-08",
    "uses the connector types, power types and facilities of 2.1.1",
    "locations",
    versions=OLD,
)
_of_shape("B2-10", "names the source of an environmental impact", "locations", versions=OLD)


@check("B2-09", "says twentyfourseven or regular hours", versions=OLD)
async def hours(on: Ground) -> None:
    problems, seen = [], False
    for each in await on.some("locations"):
        open_ = each.get("opening_times")
        if isinstance(open_, dict):
            seen = True
            both = open_.get("twentyfourseven") is True and open_.get("regular_hours")
            problems += [f"{at(each)}: both"] if both else []
    if not seen:
        raise Skipped("no location has opening times")
    await judge(on, "locations", problems)


_of_shape(
    "B3-01",
    "gives a session auth_id and its location, not what came later",
    "sessions",
    versions=OLD,
)


@check("B3-02", "gives costs as bare numbers excluding VAT", versions=OLD)
async def bare_costs(on: Ground) -> None:
    await on.shaped("B3-02", "sessions", "cdrs")


_of_shape("B3-03", "shows no reservation as a session", "sessions", versions=OLD)


@check("B3-04", "has no charging preferences", versions=OLD)
async def no_preferences(on: Ground) -> None:
    body = {"profile_type": "CHEAP"}
    answer = await on.ask("sessions", "PUT", "NO-SUCH-SESSION", "charging_preferences", body=body)
    demand(answer.http in (404, 405), f"charging_preferences was {answer.said}", answer)


_of_shape("B3-06", "gives a CDR stop_date_time, auth_id and its location", "cdrs", versions=OLD)
_of_shape("B3-07", "leaves what later versions have out of CDRs", "cdrs", versions=OLD)
_of_shape("B3-08", "lists no credit CDRs", "cdrs", versions=OLD)
_of_shape(
    "B3-09",
    "uses the dimensions of 2.1.1, and no tariff_id in periods",
    "sessions",
    "cdrs",
    versions=OLD,
)
_of_shape(
    "B3-10", "gives auth_method as AUTH_REQUEST or WHITELIST", "sessions", "cdrs", versions=OLD
)


@check("B2-02", "lists no location that is not published", versions=OLD)
async def unpublished(on: Ground) -> None:
    hidden = [at(each) for each in await on.some("locations") if each.get("publish") is False]
    await judge(on, "locations", [f"{each} is not published" for each in hidden])


@check("B2-04", "keeps ids of connectors within 36 characters", versions=OLD)
async def id_lengths(on: Ground) -> None:
    long = [
        at(location, evse, plug)
        for location in await on.some("locations")
        for evse in evses(location)
        for plug in plugs(evse)
        if len(str(plug.get("id"))) > 36
    ]
    await judge(on, "locations", [f"{each} has a longer id" for each in long])


_of_shape("B4-01", "gives a tariff only what 2.1.1 has", "tariffs", versions=OLD)
_of_shape("B4-02", "gives price components no vat", "tariffs", versions=OLD)
_of_shape("B4-03", "restricts tariffs by what 2.1.1 has", "tariffs", versions=OLD)


@check(
    "B5-01", "gives tokens back with auth_id, as RFID or OTHER", versions=OLD, phase=Phase.WRITING
)
async def old_token(on: Ground) -> None:
    problems = SHAPES["2.1.1"]["tokens"](await stored(on), "token")
    raise_problems([str(each) for each in problems])


@check("B5-05", "knows no CANCEL_RESERVATION", versions=OLD)
async def no_cancel(on: Ground) -> None:
    answer = await order(on, "CANCEL_RESERVATION", reservation_id="R1")
    demand(result(answer) != "ACCEPTED", f"CANCEL_RESERVATION was {answer.said}", answer)


@check("B5-06", "takes a number as reservation_id", versions=OLD)
async def number(on: Ground) -> None:
    answer = await order(
        on, "RESERVE_NOW", token=token_in_order(on), expiry_date="2099-01-01T00:00:00Z",
        reservation_id="letters", location_id="NO-SUCH-LOCATION",
    )  # fmt: skip
    if result(answer) == "NOT_SUPPORTED":
        raise Skipped("RESERVE_NOW is not supported")
    refused_with(answer, (2001, 2003), "RESERVE_NOW with letters as reservation_id")


@check("B5-07", "answers commands with a result and nothing else", versions=OLD)
async def bare_answer(on: Ground) -> None:
    answer = await order(on, "STOP_SESSION", session_id="NO-SUCH-SESSION")
    members = set(answer.data) if isinstance(answer.data, dict) else set()
    demand(members == {"result"}, f"the answer has {sorted(members)}", answer)


# -- 2.3.0


@check("C1-05", "gives prices as before_taxes and taxes", versions=NEW)
async def new_prices(on: Ground) -> None:
    await on.shaped("C1-05", "sessions", "cdrs")


@check("C1-06", "names no HUB among its roles", versions=NEW, roles=BOTH)
async def no_hub(on: Ground) -> None:
    answer = await on.ask("credentials", "GET")
    roles = [each.get("role") for each in (answer.data or {}).get("roles") or []]
    demand("HUB" not in roles, "a role is HUB", answer)


@check("C1-07", "gives hub_party_id as country code and party id", versions=NEW, roles=BOTH)
async def hub_party(on: Ground) -> None:
    answer = await on.ask("credentials", "GET")
    found = (answer.data or {}).get("hub_party_id")
    demand(found is None or len(str(found)) == 5, f"hub_party_id is {found}", answer)


@check("C1-09", "lists version 2.3.0", versions=NEW, roles=BOTH)
async def lists_230(on: Ground) -> None:
    assert on.versions is not None
    found = [each.get("version") for each in on.versions.items]
    demand("2.3.0" in found, f"versions are {found}", on.versions)


@check("C1-01", "refuses nothing because of members that it does not know", versions=NEW)
async def open_bodies(on: Ground) -> None:
    answer = await order(on, "STOP_SESSION", session_id="NO-SUCH-SESSION", xx_unknown={"deep": [1]})
    demand(answer.code != 2001, f"a command with an unknown member was {answer.said}", answer)


@check("C1-04", "keeps to the closed enums", versions=NEW)
async def closed(on: Ground) -> None:
    await on.shaped("C1-04", "locations")


_of_shape("C2-01", "gives parking places as a list", "locations", versions=NEW)


@check("C2-02", "lists every parking place that an EVSE names", versions=NEW)
async def parking(on: Ground) -> None:
    await on.shaped("C2-02", "locations")
    problems = []
    for each in await on.some("locations"):
        known = {place.get("id") for place in _objects(each.get("parking_places"))}
        problems += [
            f"{at(each, evse)}: parking {one.get('parking_id')} is not among parking_places"
            for evse in evses(each)
            for one in _objects(evse.get("parking"))
            if one.get("parking_id") not in known
        ]
    await judge(on, "locations", problems)


def _objects(value: Any) -> list[Json]:
    """Those in a list; what is no list is the business of the checks of its shape."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


_of_shape("C2-05", "fills what a parking place must have", "locations", versions=NEW)
_of_shape("C3-01", "says of each tariff whether tax is included", "tariffs", versions=NEW)
_of_shape("C3-02", "gives limits as before_taxes and after_taxes", "tariffs", versions=NEW)


@check("C3-05", "adds up each tax over the cost parts", versions=NEW)
async def tax_sums(on: Ground) -> None:
    problems = []
    for each in await on.some("cdrs"):
        parts = [each[name] for name in PARTS if isinstance(each.get(name), dict)]
        total = each.get("total_cost")
        if not parts or not isinstance(total, dict) or each.get("credit") or _limited(each):
            continue
        added: dict[str, Decimal] = {}
        for part in parts:
            for name, amount in _taxes(part):
                added[name] = added.get(name, Decimal(0)) + amount
        problems += [
            f"{named('cdrs', each)} tax {name} is {amount}, its parts have {added.get(name, 0)}"
            for name, amount in _taxes(total)
            if added.get(name, Decimal(0)) != amount
        ]
    await judge(on, "cdrs", problems)


def _limited(cdr: Json) -> bool:
    return any(t.get("min_price") or t.get("max_price") for t in cdr.get("tariffs") or [])


def _taxes(price: Json) -> list[tuple[str, Decimal]]:
    return [
        (str(each.get("name")), decimal(each.get("amount")) or Decimal(0))
        for each in _objects(price.get("taxes"))
    ]


@check("C3-06", "negates each tax in a credit CDR", versions=NEW)
async def negated_taxes(on: Ground) -> None:
    credit_notes = [each for each in await on.some("cdrs") if each.get("credit")]
    if not credit_notes:
        raise Skipped("there is no credit CDR")
    problems = [
        f"{named('cdrs', each)} has a tax that is not negated"
        for each in credit_notes
        if any(amount > 0 for _, amount in _taxes(each.get("total_cost") or {}))
    ]
    await judge(on, "cdrs", problems)


@check("C3-09", "answers a command that it does not know with NOT_SUPPORTED", versions=NEW)
async def unknown_command(on: Ground) -> None:
    answer = await order(on, "OPEN_SESAME")
    demand(
        result(answer) == "NOT_SUPPORTED",
        f"an unknown command was {answer.said}, {result(answer)}",
        answer,
    )
