"""PG: lists in pages, and date filters."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit

from ocpi_check.catalogue import CPO, EMSP, Checks, Failed, Skipped, demand
from ocpi_check.exchange import Exchange
from ocpi_check.ground import LISTS, LONG_AGO, Ground, refused_with, updated
from ocpi_check.wire import Json, just_after, moment, query_of, stamp

check = Checks()
BOTH = (CPO, EMSP)
STEADY = ("cdrs", "tariffs", "tokens", "locations", "sessions")
"""What changes least comes first: pages of a list that moves prove nothing."""
ENOUGH = 3
MOST_STEPS = 40


async def to_turn(on: Ground) -> tuple[str, list[Json]]:
    """A list to turn pages in, at least two objects long.

    Raises:
        Skipped: there is none.
    """
    found: list[tuple[str, list[Json]]] = []
    for module in STEADY:
        if module in LISTS[on.role]:
            try:
                found.append((module, (await on.listed(module)).items))
            except (Skipped, Failed):
                continue
    for module, items in found:
        if len(items) >= ENOUGH:
            return module, items
    module, items = max(found, key=lambda each: len(each[1]), default=("", []))
    if len(items) < 2:
        raise Skipped("no list has two objects: there are no pages to turn")
    return module, items


def ids(items: list[Json]) -> list[str]:
    return [str(each.get("id") or each.get("uid")) for each in items]


def count(page: Exchange, name: str) -> int | None:
    """A header that counts."""
    text = page.headers.get(name, "")
    return int(text) if text.isdigit() else None


async def page(on: Ground, module: str, **query: str | int | None) -> Exchange:
    """A page that must be good.

    Raises:
        Failed: it is not.
    """
    found = await on.page(module, **query)
    demand(found.ok, f"{module} with {query} must be 200/1000, was {found.said}", found)
    return found


@check("PG-01", "takes date_from, date_to, offset and limit; sessions demand date_from")
async def parameters(on: Ground) -> None:
    for module in LISTS[on.role]:
        whole: dict[str, str | int | None] = {
            "date_from": LONG_AGO,
            "date_to": "2099-01-01T00:00:00Z",
            "offset": 0,
            "limit": 1,
        }
        answer = await on.get(module, **whole)
        demand(answer.ok, f"{module} with all four parameters was {answer.said}", answer)
        if module != "sessions":
            answer = await on.get(module)
            demand(answer.ok, f"{module} without parameters was {answer.said}", answer)
    refused_with(await on.get("sessions"), what="sessions without date_from")


def _middle(items: list[Json]) -> datetime:
    times = sorted(each for each in map(updated, items) if each is not None)
    if not times:
        raise Skipped("no object has a last_updated that can be read")
    return times[len(times) // 2]  # type: ignore[no-any-return]


@check("PG-02", "includes date_from and excludes date_to: windows join without overlap", roles=BOTH)
async def windows(on: Ground) -> None:
    module, items = await to_turn(on)
    cut = stamp(_middle(items))
    before = await page(on, module, date_from=LONG_AGO, date_to=cut)
    after = await page(on, module, date_from=cut)
    low, high = count(before, "X-Total-Count"), count(after, "X-Total-Count")
    if low is None or high is None:
        raise Skipped("X-Total-Count is missing (see PG-06)")
    both = set(ids(before.items)) & set(ids(after.items))
    demand(not both, f"{module} {sorted(both)[:3]} are in both windows around {cut}", before, after)
    exact = {
        id
        for id, each in zip(ids(items), items, strict=True)
        if updated(each) == moment(cut) and len(after.items) == high
    }
    demand(
        exact <= set(ids(after.items)),
        f"{module} {sorted(exact)[:3]} with last_updated = date_from are left out",
        after,
    )


@check("PG-03", "filters by last_updated and by nothing else", roles=BOTH)
async def by_last_updated(on: Ground) -> None:
    module, items = await to_turn(on)
    times = [each for each in map(updated, items) if each is not None]
    if not times:
        raise Skipped("no object has a last_updated that can be read")
    newest = max(times)
    after = await page(on, module, date_from=stamp(just_after(newest)))
    old = [each for each in after.items if (updated(each) or newest) <= newest]
    demand(not old, f"{module}: {ids(old)[:3]} have not changed since {stamp(newest)}", after)
    at = await page(on, module, date_from=stamp(newest))
    demand(at.items, f"{module} changed at {stamp(newest)}, and is not found from there on", at)


@check("PG-04", "counts objects with offset, from 0", roles=BOTH)
async def offsets(on: Ground) -> None:
    module, items = await to_turn(on)
    for offset in (0, 1):
        found = await page(on, module, offset=offset, limit=1)
        wanted = ids(items)[offset : offset + 1]
        demand(
            ids(found.items) == wanted,
            f"{module} offset={offset}&limit=1 must be {wanted}, was {ids(found.items)[:3]}",
            found,
        )


@check(
    "PG-05", "serves its own maximum where more is asked for, and tells it as X-Limit", roles=BOTH
)
async def limits(on: Ground) -> None:
    module, items = await to_turn(on)
    many = await on.page(module, limit=100_000)
    demand(many.ok, f"limit=100000 must be served with your maximum, was {many.said}", many)
    most = count(many, "X-Limit")
    demand(most is not None, "X-Limit is missing or no number", many)
    demand(len(many.items) <= (most or 0), f"a page holds more than X-Limit {most}", many)
    one = await page(on, module, limit=1)
    least = min(len(items), most or 0)
    demand(
        (count(one, "X-Limit") or 0) >= least,
        f"X-Limit must be the most a page may hold, not what this page holds: {one.headers.get('X-Limit')}",
        one,
    )


@check("PG-06", "tells in X-Total-Count how many match, on every page", roles=BOTH)
async def totals(on: Ground) -> None:
    module, items = await to_turn(on)
    for query in ({}, {"limit": 1}, {"offset": len(items) + 10}):
        found = await page(on, module, **query)
        total = count(found, "X-Total-Count")
        demand(
            total == len(items),
            f"{module}: X-Total-Count must be {len(items)}, is {total} with {query or 'no query'}",
            found,
        )


@check("PG-07", "links to the next page on every page but the last", roles=BOTH)
async def links(on: Ground) -> None:
    module, items = await to_turn(on)
    start = await page(on, module, limit=1)
    demand(start.next, f"{module}: the first page of one of {len(items)} has no next link", start)
    last = await page(on, module, offset=len(items) - 1, limit=1)
    demand(not last.next, f"{module}: the last page links to {last.next}", last)
    nothing = await page(on, module, date_from="1990-01-01T00:00:00Z", date_to=LONG_AGO)
    demand(not nothing.next, f"{module}: an empty result links to {nothing.next}", nothing)


@check("PG-08", "keeps filters, and the limit used, in an absolute next link", roles=BOTH)
async def next_links(on: Ground) -> None:
    module, _ = await to_turn(on)
    start = await page(on, module, date_from=LONG_AGO, limit=1)
    if not start.next:
        raise Skipped("there is no next link (see PG-07)")
    query = query_of(start.next)
    demand(
        urlsplit(start.next).netloc == urlsplit(on.url(module)).netloc,
        f"the next link must lead to the same host: {start.next}",
        start,
    )
    demand("+" not in start.next, f"dates in the next link must be encoded: {start.next}", start)
    wanted = {"offset": "1", "limit": "1"}
    demand(
        wanted.items() <= query.items() and moment(query.get("date_from")) == moment(LONG_AGO),
        f"the next link must keep date_from, and have offset=1 and limit=1: {start.next}",
        start,
    )


@check("PG-09", "has a stable order: pages give each object exactly once", "S", roles=BOTH)
async def stable(on: Ground) -> None:
    module, items = await to_turn(on)
    size = max(1, -(-len(items) // MOST_STEPS))
    found: list[str] = []
    shown: Exchange | None = None
    for offset in range(0, len(items), size):
        shown = await page(on, module, offset=offset, limit=size)
        found += ids(shown.items)
    assert shown is not None
    demand(
        found == ids(items),
        f"{module} page by page gives {len(set(found))} different objects of {len(items)}, "
        "or another order",
        shown,
    )


@check(
    "PG-10",
    "answers beyond the end with [], and refuses impossible numbers with 2001",
    "E",
    roles=BOTH,
)
async def beyond(on: Ground) -> None:
    module, items = await to_turn(on)
    after = await page(on, module, offset=len(items) + 10)
    demand(after.data == [] and not after.next, f"{module} beyond the end must be []", after)
    for query in ({"offset": -1}, {"offset": "x"}, {"limit": -1}, {"limit": "x"}):
        refused_with(await on.page(module, **query), what=f"{query}")
