"""LO, SE, CD, TA: the objects in the lists of a CPO, one by one and against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ocpi_check.catalogue import MODERN, Checks, Skipped, demand
from ocpi_check.ground import Ground, first, named, raise_problems, refused_with, updated
from ocpi_check.shapes import PARTS, SESSION_ONLY, SHAPES
from ocpi_check.wire import Json, decimal, moment, now, stamp

check = Checks()
FULL = Decimal(100)
WALL = timedelta(seconds=2)


def _of_shape(id: str, title: str, *modules: str, versions: tuple[str, ...] = MODERN) -> None:
    @check(id, title, versions=versions)
    async def judged(on: Ground) -> None:
        await on.shaped(id, *modules)


def evses(location: Json) -> list[Json]:
    return [each for each in location.get("evses") or [] if isinstance(each, dict)]


def plugs(evse: Json) -> list[Json]:
    return [each for each in evse.get("connectors") or [] if isinstance(each, dict)]


def all_evses(locations: list[Json]) -> Iterator[tuple[Json, Json]]:
    for location in locations:
        for evse in evses(location):
            yield location, evse


def all_plugs(locations: list[Json]) -> Iterator[tuple[Json, Json, Json]]:
    for location, evse in all_evses(locations):
        for plug in plugs(evse):
            yield location, evse, plug


def at(location: Json, evse: Json | None = None, plug: Json | None = None) -> str:
    """How messages call a place."""
    text = f"location {location.get('id')}"
    text += f" EVSE {evse.get('uid')}" if evse else ""
    return text + (f" connector {plug.get('id')}" if plug else "")


async def judge(on: Ground, module: str, problems: list[str]) -> None:
    """Fail with *problems*, shown by the first page of *module*."""
    raise_problems(problems, (await on.listed(module)).pages[0])


# -- locations


@check("LO-01", "lists whole locations, with EVSEs and connectors")
async def lists_locations(on: Ground) -> None:
    found = await on.some("locations")
    empty = [at(each) for each in found if not isinstance(each.get("evses"), list)]
    if len(empty) == len(found):
        await judge(on, "locations", ["no location has EVSEs"])


@check("LO-02", "serves a location, an EVSE and a connector by id, and 404 at each level")
async def by_id(on: Ground) -> None:
    found = await on.some("locations")
    location = first(found, lambda each: any(plugs(evse) for evse in evses(each)))
    if location is None:
        raise Skipped("no location has a connector")
    evse = next(each for each in evses(location) if plugs(each))
    known = {each.rule for each, _ in await on.problems()}  # the lists show these already
    path = [str(location["id"]), str(evse["uid"]), str(plugs(evse)[0]["id"])]
    for depth, name in enumerate(("locations", "evse", "connector"), start=1):
        answer = await on.get("locations", *path[:depth])
        key = "uid" if name == "evse" else "id"
        good = isinstance(answer.data, dict) and answer.data.get(key) == path[depth - 1]
        demand(answer.ok and good, f"{'/'.join(path[:depth])} was {answer.said}", answer)
        mistakes = SHAPES[on.version][name](answer.data, name)
        raise_problems([str(each) for each in mistakes if each.rule not in known], answer)
        wrong = await on.get("locations", *path[: depth - 1], "NO-SUCH-ID")
        demand(wrong.http == 404, f"an unknown {name} must be 404, was {wrong.said}", wrong)


@check("LO-03", "lifts last_updated of EVSE and location with a connector's")
async def bumps(on: Ground) -> None:
    problems = []
    for location in await on.some("locations"):
        for evse in evses(location):
            inner = [(at(location, evse), evse, location)]
            inner += [(at(location, evse, plug), plug, evse) for plug in plugs(evse)]
            problems += [
                f"{name}: last_updated is later than that of what holds it"
                for name, low, high in inner
                if _later(low, high)
            ]
    await judge(on, "locations", problems)


def _later(inner: Json, outer: Json) -> bool:
    low, high = updated(inner), updated(outer)
    return low is not None and high is not None and low > high


@check("LO-04", "gives a location that matches the date filter whole")
async def whole(on: Ground) -> None:
    found = await on.some("locations")
    newest = max((each for each in found if updated(each) is not None), key=updated, default=None)
    if newest is None:
        raise Skipped("no last_updated can be read")
    time = updated(newest)
    answer = await on.page("locations", date_from=stamp(time))
    same = first(answer.items, lambda each: each.get("id") == newest.get("id"))
    demand(same is not None, f"{at(newest)} is not found by its own last_updated", answer)
    demand(
        same is not None and len(evses(same)) >= len(evses(newest)),
        f"{at(newest)} comes without some EVSEs",
        answer,
    )


@check("LO-08", "keeps removed EVSEs, with a connector")
async def removed(on: Ground) -> None:
    found = [e for e in all_evses(await on.some("locations")) if e[1].get("status") == "REMOVED"]
    if not found:
        raise Skipped("no EVSE is REMOVED")
    await judge(on, "locations", [f"{at(a, b)} has no connector" for a, b in found if not plugs(b)])


@check("LO-09", "uses each id once: locations, EVSE uids, connector ids per EVSE")
async def unique(on: Ground) -> None:
    found = await on.some("locations")
    owners = [
        (str(each.get("country_code")), str(each.get("party_id")), str(each.get("id")).upper())
        for each in found
    ]
    uids = [str(evse.get("uid")).upper() for _, evse in all_evses(found)]
    problems = [f"location id {each[2]} is used twice" for each in _twice(owners)]
    problems += [f"EVSE uid {each} is used twice" for each in _twice(uids)]
    for location, evse in all_evses(found):
        ids = [str(plug.get("id")).upper() for plug in plugs(evse)]
        problems += [f"{at(location, evse)}: connector {each} twice" for each in _twice(ids)]
    await judge(on, "locations", problems)


def _twice(values: list[Any]) -> list[Any]:
    return [each for each, times in Counter(values).items() if times > 1]


@check("LO-11", "fills what a location must have, with a time zone of the IANA list")
async def required(on: Ground) -> None:
    await on.shaped("LO-11", "locations")
    problems = []
    for each in await on.some("locations"):
        zone = each.get("time_zone")
        if isinstance(zone, str) and not _zone(zone):
            problems.append(f"{at(each)}: time_zone {zone} is not in the IANA list")
    await judge(on, "locations", problems)


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@check("LO-12", "gives coordinates as text of the right form, latitude first")
async def coordinates(on: Ground) -> None:
    await on.shaped("LO-12", "locations")
    problems = []
    for each in await on.some("locations"):
        place = each.get("coordinates") or {}
        north, east = _degrees(place.get("latitude")), _degrees(place.get("longitude"))
        if north is None or east is None:
            continue
        if abs(north) > 90 or abs(east) > 180:
            problems.append(f"{at(each)}: {north}, {east} is nowhere on Earth; swapped?")
        elif _swapped(each, north, east):
            problems.append(
                f"{at(each)}: {north}, {east} is not in {each.get('country')}, "
                f"but {east}, {north} is: swapped"
            )
    await judge(on, "locations", problems)


def _degrees(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


BOXES = {
    "AUT": (46, 49.1, 9.5, 17.2), "BEL": (49.4, 51.6, 2.5, 6.5), "CHE": (45.8, 47.9, 5.9, 10.5),
    "DEU": (47.2, 55.1, 5.8, 15.1), "DNK": (54.5, 57.8, 8, 15.3), "ESP": (27.6, 43.9, -18.2, 4.4),
    "FRA": (41.3, 51.2, -5.2, 9.7), "GBR": (49.8, 60.9, -8.7, 1.8), "IND": (6.5, 35.7, 68, 97.5),
    "ITA": (35.4, 47.1, 6.6, 18.6), "NLD": (50.7, 53.7, 3.3, 7.3), "NOR": (57.9, 71.3, 4.4, 31.3),
    "POL": (49, 54.9, 14.1, 24.2), "PRT": (32.6, 42.2, -31.3, -6.1),
    "SWE": (55.3, 69.1, 10.9, 24.2), "USA": (18.9, 71.4, -179.2, -66.9),
}  # fmt: skip
"""South, north, west, east of some countries: enough to see that two numbers are swapped."""


def _swapped(location: Json, north: float, east: float) -> bool:
    box = BOXES.get(str(location.get("country")))
    if box is None:
        return False
    south, top, west, right = box

    def inside(a: float, b: float) -> bool:
        return south <= a <= top and west <= b <= right

    return not inside(north, east) and inside(east, north)


@check("LO-13", "gives a postal code wherever there is one", versions=MODERN)
async def postal(on: Ground) -> None:
    found = await on.some("locations")
    without = [at(each) for each in found if each.get("postal_code") == ""]
    await judge(on, "locations", [f"{each}: postal_code is empty" for each in without])


@check("LO-14", "names who may see a location only where it is not published", versions=MODERN)
async def published(on: Ground) -> None:
    await on.shaped("LO-14", "locations")
    problems = []
    for each in await on.some("locations"):
        allowed = each.get("publish_allowed_to") or []
        if allowed and each.get("publish") is True:
            problems.append(f"{at(each)}: publish_allowed_to with publish = true")
        problems += [f"{at(each)}: {one} identifies nobody" for one in allowed if not _names(one)]
    await judge(on, "locations", problems)


def _names(token: Json) -> bool:
    keys = {name for name, value in token.items() if value}
    return {"uid", "type"} <= keys or {"visual_number", "issuer"} <= keys or "group_id" in keys


_of_shape(
    "LO-17",
    "fills what an EVSE and a connector must have",
    "locations",
    versions=("2.2.1", "2.3.0", "2.1.1"),
)


@check(
    "LO-18", "gives max_electric_power where it is less than volts times amperes", versions=MODERN
)
async def power(on: Ground) -> None:
    problems = []
    for location, evse, plug in all_plugs(await on.some("locations")):
        numbers = [
            decimal(plug.get(n)) for n in ("max_voltage", "max_amperage", "max_electric_power")
        ]
        volts, amps, watts = numbers
        if volts is None or amps is None:
            continue
        phases = 3 if plug.get("power_type") == "AC_3_PHASE" else 1
        if volts <= 0 or amps <= 0:
            problems.append(f"{at(location, evse, plug)}: {volts} V and {amps} A is no connector")
        elif watts is not None and watts > volts * amps * phases * Decimal("1.05"):
            problems.append(
                f"{at(location, evse, plug)}: {watts} W is more than {volts} V x {amps} A give"
            )
    await judge(on, "locations", problems)


@check("LO-19", "names at most one valid tariff of each type per connector", versions=MODERN)
async def one_per_type(on: Ground) -> None:
    tariffs = {str(each.get("id")): each for each in await on.present("tariffs")}
    problems = []
    for location, evse, plug in all_plugs(await on.some("locations")):
        known = [tariffs[each] for each in plug.get("tariff_ids") or [] if each in tariffs]
        active = [each.get("type") or "all" for each in known if _valid(each)]
        problems += [
            f"{at(location, evse, plug)}: two valid tariffs of type {kind}"
            for kind in _twice(active)
        ]
    await judge(on, "locations", problems)


def _valid(tariff: Json) -> bool:
    start, end = moment(tariff.get("start_date_time")), moment(tariff.get("end_date_time"))
    return (start is None or start <= now()) and (end is None or end > now())


def tariffs_of(plug: Json) -> list[str]:
    """In any version."""
    one = plug.get("tariff_id")
    return [*(plug.get("tariff_ids") or []), *([one] if one else [])]


@check("LO-20", "names a tariff at every connector, a free one too", "S")
async def priced(on: Ground) -> None:
    problems = [
        f"{at(location, evse, plug)} names no tariff"
        for location, evse, plug in all_plugs(await on.some("locations"))
        if not tariffs_of(plug) and evse.get("status") not in ("REMOVED", "PLANNED")
    ]
    await judge(on, "locations", problems)


@check("LO-21", "lists every tariff that a connector names", "E")
async def resolvable(on: Ground) -> None:
    known = {str(each.get("id")).upper() for each in await on.present("tariffs")}
    problems = [
        f"{at(location, evse, plug)}: tariff {each} is not in the list of tariffs"
        for location, evse, plug in all_plugs(await on.some("locations"))
        for each in tariffs_of(plug)
        if str(each).upper() not in known
    ]
    await judge(on, "locations", problems)


_of_shape(
    "LO-22", "gives each EVSE one of the nine statuses", "locations", versions=("2.1.1", *MODERN)
)
_of_shape(
    "LO-24", "gives planned statuses with their beginning", "locations", versions=("2.1.1", *MODERN)
)


@check("LO-25", "gives opening hours by weekday only where it is not open always")
async def hours(on: Ground) -> None:
    await on.shaped("LO-25", "locations")
    problems, seen = [], False
    for each in await on.some("locations"):
        open_ = each.get("opening_times")
        if not isinstance(open_, dict):
            continue
        seen = True
        regular = open_.get("regular_hours") or []
        if open_.get("twentyfourseven") is True and regular:
            problems.append(f"{at(each)}: twentyfourseven and regular_hours")
        if open_.get("twentyfourseven") is False and not regular:
            problems.append(f"{at(each)}: neither twentyfourseven nor regular_hours")
        problems += [
            f"{at(each)}: {one.get('period_begin')} to {one.get('period_end')} ends before it begins"
            for one in regular
            if str(one.get("period_end")) <= str(one.get("period_begin"))
            and one.get("period_end") != "00:00"
        ]
    if not seen:
        raise Skipped("no location has opening times")
    await judge(on, "locations", problems)


@check("LO-26", "gives exceptions to the hours as periods in UTC that end after they begin")
async def exceptions(on: Ground) -> None:
    await on.shaped("LO-26", "locations")
    problems, seen = [], False
    for each in await on.some("locations"):
        for name in ("exceptional_openings", "exceptional_closings"):
            for one in (each.get("opening_times") or {}).get(name) or []:
                seen = True
                begin, end = moment(one.get("period_begin")), moment(one.get("period_end"))
                if begin is None or end is None or begin >= end:
                    problems.append(f"{at(each)}: {name} {one} is no period")
    if not seen:
        raise Skipped("no location has exceptional hours")
    await judge(on, "locations", problems)


@check("LO-27", "gives images, energy mix and flags in their form; sources add up to 100")
async def extras(on: Ground) -> None:
    await on.shaped("LO-27", "locations")
    problems = []
    for each in await on.some("locations"):
        sources = (each.get("energy_mix") or {}).get("energy_sources") or []
        shares = [decimal(one.get("percentage")) or Decimal(0) for one in sources]
        if sources and abs(sum(shares, Decimal(0)) - FULL) > Decimal("0.5"):
            problems.append(f"{at(each)}: energy sources add up to {sum(shares)} percent")
    await judge(on, "locations", problems)


@check("LO-28", "claims capabilities that exist", versions=MODERN)
async def capabilities(on: Ground) -> None:
    await on.shaped("LO-28", "locations")
    problems = [
        f"{at(location, evse)}: {each} is claimed twice"
        for location, evse in all_evses(await on.some("locations"))
        for each in _twice(evse.get("capabilities") or [])
    ]
    await judge(on, "locations", problems)


# -- sessions


@check("SE-01", "lists the sessions of this eMSP only")
async def own_sessions(on: Ground) -> None:
    answer = await on.page("sessions")
    demand(answer.ok, f"the list of sessions was {answer.said}", answer)
    await _own(on, "sessions")


async def _own(on: Ground, module: str) -> None:
    if on.version == "2.1.1":
        return  # its objects do not say whose token it was
    us = tuple(each.upper() for each in on.us())
    problems = []
    for each in await on.some(module):
        token = each.get("cdr_token") or {}
        owner = (str(token.get("country_code")).upper(), str(token.get("party_id")).upper())
        if owner != us:
            problems.append(
                f"{named(module, each)} has a token of {'*'.join(owner)}: this is a leak"
            )
    await judge(on, module, problems)


_of_shape("SE-06", "fills what a session must have", "sessions")
_of_shape("SE-07", "gives all five members of cdr_token", "sessions", "cdrs")
_of_shape("SE-09", "gives a session one of five statuses", "sessions")
_of_shape("SE-11", "gives auth_method as AUTH_REQUEST, COMMAND or WHITELIST", "sessions")


@check("SE-10", "names EVSE and connector, unless a reservation has none yet", versions=MODERN)
async def placed(on: Ground) -> None:
    problems = [
        f"{named('sessions', each)} {name} is #NA in status {each.get('status')}"
        for each in await on.some("sessions")
        for name in ("evse_uid", "connector_id")
        if each.get(name) == "#NA" and each.get("status") not in ("RESERVATION", "COMPLETED")
    ]
    await judge(on, "sessions", problems)


@check(
    "SE-13",
    "tells the running cost by the rules of the bill: both agree in the end",
    versions=MODERN,
)
async def same_cost(on: Ground) -> None:
    bills = {
        each.get("session_id"): each for each in await on.present("cdrs") if not each.get("credit")
    }
    problems, seen = [], False
    for each in await on.some("sessions"):
        bill = bills.get(each.get("id"))
        if each.get("status") != "COMPLETED" or bill is None or "total_cost" not in each:
            continue
        seen = True
        if type(each["total_cost"]) is not type(bill.get("total_cost")):
            continue  # its form is the business of other checks
        if each["total_cost"] != bill.get("total_cost"):
            problems.append(
                f"{named('sessions', each)} total_cost {each['total_cost']}, "
                f"its CDR {bill.get('total_cost')}"
            )
    if not seen:
        raise Skipped("no finished session with a cost has a CDR")
    await judge(on, "sessions", problems)


@check("SE-15", "gives end_date_time to finished sessions only, after their start")
async def ends(on: Ground) -> None:
    names = ("start_datetime", "end_datetime") if on.version == "2.1.1" else _SPAN
    problems = []
    for each in await on.some("sessions"):
        begin, end = moment(each.get(names[0])), moment(each.get(names[1]))
        if each.get("status") in ("ACTIVE", "PENDING", "RESERVATION") and end is not None:
            problems.append(f"{named('sessions', each)} is {each.get('status')} and has an end")
        if begin is not None and end is not None and end < begin:
            problems.append(f"{named('sessions', each)} ends before it begins")
    await judge(on, "sessions", problems)


_SPAN = ("start_date_time", "end_date_time")


@check("SE-16", "keeps what only sessions have out of CDRs", versions=MODERN)
async def session_only(on: Ground) -> None:
    problems = [
        f"{named('cdrs', each)} has a dimension {kind}, which only sessions have"
        for each in await on.some("cdrs")
        for kind in _dimensions(each)
        if kind in SESSION_ONLY
    ]
    await judge(on, "cdrs", problems)


@check("SE-18", "answers preferences for an unknown session with 404", versions=MODERN)
async def foreign_preferences(on: Ground) -> None:
    body = {"profile_type": "CHEAP"}
    answer = await on.ask("sessions", "PUT", "NO-SUCH-SESSION", "charging_preferences", body=body)
    demand(answer.http == 404, f"preferences for an unknown session were {answer.said}", answer)


@check("SE-19", "refuses preferences without profile_type with 2001", versions=MODERN)
async def no_profile(on: Ground) -> None:
    found = await on.some("sessions")
    id = str(found[-1].get("id"))
    answer = await on.ask("sessions", "PUT", id, "charging_preferences", body={})
    if answer.http == 404:
        raise Skipped("no session takes preferences")
    refused_with(answer, what="preferences without profile_type")


# -- bills


def _dimensions(item: Json) -> Iterator[str]:
    for period in periods(item):
        for each in period.get("dimensions") or []:
            if isinstance(each, dict):
                yield str(each.get("type"))


def periods(item: Json) -> list[Json]:
    return [each for each in item.get("charging_periods") or [] if isinstance(each, dict)]


def volume(item: Json, kind: str) -> Decimal:
    """The sum over all periods of one dimension."""
    found = [
        decimal(each.get("volume")) or Decimal(0)
        for period in periods(item)
        for each in period.get("dimensions") or []
        if isinstance(each, dict) and each.get("type") == kind
    ]
    return sum(found, Decimal(0))


def span(cdr: Json) -> tuple[Any, Any]:
    """Start and end, in any version."""
    end = cdr.get("end_date_time") or cdr.get("stop_date_time")
    return moment(cdr.get("start_date_time")), moment(end)


@check("CD-01", "lists the CDRs of this eMSP only")
async def own_cdrs(on: Ground) -> None:
    answer = await on.page("cdrs")
    demand(answer.ok, f"the list of CDRs was {answer.said}", answer)
    await _own(on, "cdrs")


@check("CD-04", "gives the same CDR again, to the last digit")
async def frozen(on: Ground) -> None:
    before = {str(each.get("id")): each for each in await on.some("cdrs")}
    again = await on.page("cdrs")
    problems = [
        f"{named('cdrs', each)} has changed"
        for each in again.items
        if before.get(str(each.get("id")), each) != each
    ]
    raise_problems(problems, (await on.listed("cdrs")).pages[0], again)


@check("CD-05", "corrects by credit CDRs with ids of their own", versions=MODERN)
async def credits(on: Ground) -> None:
    found = await on.some("cdrs")
    known = {str(each.get("id")) for each in found}
    problems, seen = [], False
    for each in found:
        if not each.get("credit"):
            continue
        seen = True
        reference = str(each.get("credit_reference_id"))
        if reference not in known or reference == each.get("id"):
            problems.append(f"{named('cdrs', each)} credits {reference}, which is no other CDR")
    if not seen:
        raise Skipped("there is no credit CDR")
    await judge(on, "cdrs", problems)


@check("CD-06", "negates only total_cost in a credit CDR", versions=MODERN)
async def negated(on: Ground) -> None:
    found = {str(each.get("id")): each for each in await on.some("cdrs")}
    credit_notes = [each for each in found.values() if each.get("credit")]
    if not credit_notes:
        raise Skipped("there is no credit CDR")
    problems = []
    for each in credit_notes:
        original = found.get(str(each.get("credit_reference_id"))) or {}
        if net(each.get("total_cost")) != -(net(original.get("total_cost")) or Decimal(0)):
            problems.append(f"{named('cdrs', each)} total_cost is not the negated one")
        problems += [
            f"{named('cdrs', each)} {name} differs from the original"
            for name in (*PARTS, "total_energy", "total_time")
            if each.get(name) != original.get(name)
        ]
    await judge(on, "cdrs", problems)


def net(price: Any) -> Decimal | None:
    """What a price is before tax, in any version."""
    if isinstance(price, dict):
        return decimal(price.get("excl_vat", price.get("before_taxes")))
    return decimal(price)


@check("CD-07", "credits a CDR once, and says what it credits", "E", versions=MODERN)
async def credited_once(on: Ground) -> None:
    await on.shaped("CD-07", "cdrs")
    found = await on.some("cdrs")
    problems = [
        f"{named('cdrs', each)} has credit or credit_reference_id without the other"
        for each in found
        if bool(each.get("credit")) != bool(each.get("credit_reference_id"))
    ]
    credited = [each.get("credit_reference_id") for each in found if each.get("credit")]
    problems += [f"CDR {each} is credited twice" for each in _twice(credited)]
    await judge(on, "cdrs", problems)


@check("CD-08", "gives each CDR an id of its own, of at most 36 characters (39 for credits)")
async def cdr_ids(on: Ground) -> None:
    found = await on.some("cdrs")
    ids = [
        (each.get("country_code"), each.get("party_id"), str(each.get("id")).upper())
        for each in found
    ]
    problems = [f"CDR {each[2]} is listed twice" for each in _twice(ids)]
    problems += [
        f"{named('cdrs', each)} has {len(str(each.get('id')))} characters"
        for each in found
        if len(str(each.get("id"))) > (39 if each.get("credit") else 36)
    ]
    await judge(on, "cdrs", problems)


_of_shape("CD-09", "fills what a CDR must have", "cdrs", versions=("2.1.1", *MODERN))


@check("CD-11", "holds every tariff that its periods name", versions=MODERN)
async def own_tariffs(on: Ground) -> None:
    problems = []
    for each in await on.some("cdrs"):
        known = {str(one.get("id")).upper() for one in each.get("tariffs") or []}
        wanted = {str(p["tariff_id"]) for p in periods(each) if p.get("tariff_id")}
        problems += [
            f"{named('cdrs', each)} names tariff {one}, which is not in its tariffs"
            for one in sorted(wanted)
            if one.upper() not in known
        ]
        paid = net(each.get("total_cost"))
        if paid and not known:
            problems.append(f"{named('cdrs', each)} costs something and holds no tariff")
    await judge(on, "cdrs", problems)


_of_shape("CD-12", "holds the flat snapshot of its location, address of at most 45", "cdrs")
_of_shape("CD-13", "names the evse_id in its location", "cdrs")


@check("CD-14", "spans the session: first period at its start, the end after all periods")
async def spans(on: Ground) -> None:
    problems = []
    for each in await on.some("cdrs"):
        begin, end = span(each)
        starts = [moment(one.get("start_date_time")) for one in periods(each)]
        known = [one for one in starts if one is not None]
        if begin is None or end is None or not known:
            continue
        if end < begin:
            problems.append(f"{named('cdrs', each)} ends before it begins")
        if abs(known[0] - begin) > WALL:
            problems.append(f"{named('cdrs', each)} first period begins at another time")
        if max(known) > end:
            problems.append(f"{named('cdrs', each)} has a period after its end")
    await judge(on, "cdrs", problems)


@check("CD-15", "adds up: total_energy and the times are the sums of the periods")
async def sums(on: Ground) -> None:
    problems = []
    for each in await on.some("cdrs"):
        problems += [f"{named('cdrs', each)} {text}" for text in _sums(each)]
    await judge(on, "cdrs", problems)


def _sums(cdr: Json) -> Iterator[str]:
    energy, told = volume(cdr, "ENERGY"), decimal(cdr.get("total_energy"))
    if told is not None and abs(energy - told) > Decimal("0.0015") and not _wrong_unit(cdr):
        yield f"total_energy is {told}, its periods have {energy} kWh"
    parking, whole = decimal(cdr.get("total_parking_time")), decimal(cdr.get("total_time"))
    if parking is not None and whole is not None and parking > whole + Decimal("0.001"):
        yield f"total_parking_time {parking} is more than total_time {whole}"
    if parking is not None and abs(volume(cdr, "PARKING_TIME") - parking) > Decimal("0.01"):
        yield f"total_parking_time is {parking}, its periods {volume(cdr, 'PARKING_TIME')}"
    begin, end = span(cdr)
    if whole is not None and begin is not None and end is not None:
        lasted = Decimal(str((end - begin).total_seconds())) / 3600
        if whole > lasted + Decimal("0.01"):
            yield f"total_time {whole} h is more than from start to end ({lasted:.4f} h)"


def _wrong_unit(cdr: Json) -> bool:
    """Energy of the periods is Wh, or cumulative: CD-20's business."""
    told, energy = decimal(cdr.get("total_energy")), volume(cdr, "ENERGY")
    if not told:
        return False
    return energy / told > 100 or _cumulative(cdr)


def _cumulative(cdr: Json) -> bool:
    values = [
        decimal(each.get("volume"))
        for period in periods(cdr)
        for each in period.get("dimensions") or []
        if isinstance(each, dict) and each.get("type") == "ENERGY"
    ]
    known = [each for each in values if each is not None]
    told = decimal(cdr.get("total_energy"))
    if told is None or len(known) < 2 or sum(known) <= told * Decimal("1.001"):
        return False
    return known == sorted(known) and abs(known[-1] - told) <= Decimal("0.0015")


@check("CD-16", "has cost parts that make up the total, unless a limit clamps it", versions=MODERN)
async def parts_of_total(on: Ground) -> None:
    problems = []
    for each in await on.some("cdrs"):
        total = net(each.get("total_cost"))
        parts = [net(each[name]) or Decimal(0) for name in PARTS if each.get(name)]
        if total is None or not parts or clamped(each) or not each.get("tariffs"):
            continue
        sign = -1 if each.get("credit") else 1
        if abs(sum(parts, Decimal(0)) * sign - total) > Decimal("0.02") * len(parts):
            problems.append(f"{named('cdrs', each)} parts add up to {sum(parts)}, total {total}")
    await judge(on, "cdrs", problems)


def clamped(cdr: Json) -> bool:
    """A tariff of it has a least or greatest price."""
    return any(each.get("min_price") or each.get("max_price") for each in cdr.get("tariffs") or [])


@check("CD-19", "has periods that follow each other, each with its dimensions")
async def rising(on: Ground) -> None:
    await on.shaped("CD-19", "cdrs", "sessions")
    problems = []
    for module in ("cdrs", "sessions"):
        for each in await on.present(module):
            starts = [str(one.get("start_date_time")) for one in periods(each)]
            times = [moment(one) for one in starts]
            known = [one for one in times if one is not None]
            if any(b <= a for a, b in pairwise(known)):
                problems.append(f"{named(module, each)} has periods that do not rise")
    await judge(on, "cdrs", problems)


@check("CD-20", "gives ENERGY of each period in kWh, and times in hours")
async def units(on: Ground) -> None:
    problems = []
    for each in await on.some("cdrs"):
        told, energy = decimal(each.get("total_energy")), volume(each, "ENERGY")
        if told and energy / told > 100:
            problems.append(f"{named('cdrs', each)} has periods of {energy}: Wh, not kWh?")
        elif _cumulative(each):
            problems.append(f"{named('cdrs', each)} has cumulative ENERGY: each period is its own")
        begin, end = span(each)
        hours = volume(each, "TIME") + volume(each, "PARKING_TIME")
        if begin is not None and end is not None:
            lasted = Decimal(str((end - begin).total_seconds())) / 3600
            if hours > lasted * 2 + 1:
                problems.append(f"{named('cdrs', each)} has {hours} hours in {lasted:.2f}")
    await judge(on, "cdrs", problems)


_of_shape("CD-23", "gives signed data in its form", "cdrs")
_of_shape("CD-24", "gives the flags of home charging in their form", "cdrs")


@check("CD-26", "makes no CDR of an invalid session", "E", versions=MODERN)
async def invalid(on: Ground) -> None:
    bad = {
        each.get("id") for each in await on.present("sessions") if each.get("status") == "INVALID"
    }
    problems = [
        f"{named('cdrs', each)} bills session {each.get('session_id')}, which is INVALID"
        for each in await on.some("cdrs")
        if each.get("session_id") in bad
    ]
    await judge(on, "cdrs", problems)


# -- tariffs


def components(tariff: Json) -> Iterator[tuple[Json, Json]]:
    """Each price component with the restrictions of its element."""
    for element in tariff.get("elements") or []:
        for each in element.get("price_components") or []:
            yield each, element.get("restrictions") or {}


@check("TA-01", "lists its tariffs, each once")
async def lists_tariffs(on: Ground) -> None:
    found = await on.some("tariffs")
    ids = [
        (each.get("country_code"), each.get("party_id"), str(each.get("id")).upper())
        for each in found
    ]
    await judge(on, "tariffs", [f"tariff {each[2]} is listed twice" for each in _twice(ids)])


_of_shape("TA-05", "fills what a tariff must have", "tariffs", versions=("2.1.1", *MODERN))


@check("TA-06", "gives vat as a percentage", versions=MODERN)
async def vat(on: Ground) -> None:
    problems = []
    for each in await on.some("tariffs"):
        rates = [decimal(one.get("vat")) for one, _ in components(each)]
        problems += [
            f"{named('tariffs', each)} vat {one} is no percentage"
            for one in rates
            if one is not None and (one < 0 or one > 60 or 0 < one < 1)
        ]
    await judge(on, "tariffs", problems)


@check(
    "TA-07",
    "bounds a tariff's validity by a period, and gives it a type that exists",
    versions=MODERN,
)
async def validity(on: Ground) -> None:
    await on.shaped("TA-07", "tariffs")
    problems = []
    for each in await on.some("tariffs"):
        start, end = moment(each.get("start_date_time")), moment(each.get("end_date_time"))
        if start is not None and end is not None and end <= start:
            problems.append(f"{named('tariffs', each)} ends before it begins")
    await judge(on, "tariffs", problems)


@check("TA-09", "says free of charge as one unrestricted FLAT of 0.00")
async def free(on: Ground) -> None:
    problems, seen = [], False
    for each in await on.some("tariffs"):
        found = list(components(each))
        if not found or any(decimal(one.get("price")) for one, _ in found):
            continue
        seen = True
        if [(one.get("type"), bool(rules)) for one, rules in found] != [("FLAT", False)]:
            problems.append(f"{named('tariffs', each)} is free in another way")
    if not seen:
        raise Skipped("no tariff is free")
    await judge(on, "tariffs", problems)


_of_shape(
    "TA-11",
    "gives local times as HH:MM and dates as YYYY-MM-DD",
    "tariffs",
    versions=("2.1.1", *MODERN),
)


@check("TA-12", "prices reservations by FLAT and TIME only", versions=MODERN)
async def reservations(on: Ground) -> None:
    problems = [
        f"{named('tariffs', each)} has {one.get('type')} in a reservation element"
        for each in await on.some("tariffs")
        for one, rules in components(each)
        if rules.get("reservation") and one.get("type") not in ("FLAT", "TIME")
    ]
    await judge(on, "tariffs", problems)


@check("TA-13", "ends each dimension with an unrestricted element", "S")
async def fallback(on: Ground) -> None:
    problems = []
    for each in await on.some("tariffs"):
        last = {
            str(one.get("type")): rules
            for one, rules in components(each)
            if not rules.get("reservation")
        }
        problems += [
            f"{named('tariffs', each)} prices {kind} only under restrictions"
            for kind, rules in last.items()
            if rules
        ]
    await judge(on, "tariffs", problems)
