"""What a run has learned of the party under test, and how checks ask for more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from ocpi_check.catalogue import CPO, EMSP, Failed, Skipped, demand
from ocpi_check.client import Client
from ocpi_check.exchange import Exchange
from ocpi_check.kinds import Problem
from ocpi_check.listener import Arrival, Listener
from ocpi_check.options import Options
from ocpi_check.shapes import SHAPES
from ocpi_check.wire import Json, join, moment, now, stamp, with_query

LISTS = {CPO: ("locations", "sessions", "cdrs", "tariffs"), EMSP: ("tokens",)}
INTERFACES = {
    CPO: {
        **dict.fromkeys(LISTS[CPO], "SENDER"),
        "tokens": "RECEIVER",
        "commands": "RECEIVER",
        "chargingprofiles": "RECEIVER",
        "hubclientinfo": "RECEIVER",
    },
    EMSP: {
        "tokens": "SENDER",
        "commands": "SENDER",
        **dict.fromkeys(LISTS[CPO], "RECEIVER"),
    },
}
LONG_AGO = "2010-01-01T00:00:00Z"
MOST_PAGES = 2000
MOST_PROBLEMS_SHOWN = 6
NOT_WRITING = "changes what the other side stores: only with --write"
NOT_REGISTERING = "needs a registration of its own: only with a token A, without --registered"


@dataclass(slots=True)
class Listed:
    """A list, whole.

    Attributes:
        pages: the answers, in order.
    """

    pages: list[Exchange]

    @property
    def items(self) -> list[Json]:
        return [each for page in self.pages for each in page.items if isinstance(each, dict)]

    def page_of(self, item: Json) -> Exchange:
        """The page on which *item* came."""
        return next(page for page in self.pages if any(each is item for each in page.items))


@dataclass(slots=True)
class Ground:
    """The party under test as far as it is known.

    Attributes:
        role: CPO or EMSP, of the other side.
        versions, details: the answers that told where everything is.
        endpoints: URL of each (module, role); in 2.1.1 the role is the one that fits its side.
        offered: the entries of the version details, as they came.
        registration: the answer to our POST of credentials.
        token_a: what we began with; None where we were registered already.
    """

    options: Options
    client: Client
    listener: Listener
    role: str = CPO
    versions: Exchange | None = None
    details: Exchange | None = None
    offered: list[Json] = field(default_factory=list)
    endpoints: dict[tuple[str, str], str] = field(default_factory=dict)
    registration: Exchange | None = None
    token_a: str | None = None
    memory: dict[str, Any] = field(default_factory=dict)
    _lists: dict[str, Listed] = field(default_factory=dict)
    _problems: list[tuple[Problem, Exchange]] | None = None

    @property
    def version(self) -> str:
        return self.options.version

    # -- addresses

    def url(self, module: str) -> str:
        """Where the other side has *module*.

        Raises:
            Skipped: it does not offer it.
        """
        role = INTERFACES[self.role].get(module, "SENDER")
        found = self.endpoints.get((module, role))
        if module == "credentials":
            found = next((u for (name, _), u in self.endpoints.items() if name == module), None)
        if found is None:
            raise Skipped(f"{module} is not offered")
        return found

    # -- asking

    async def get(self, module: str, *segments: str, **query: str | int | None) -> Exchange:
        """GET on an interface of the other side."""
        return await self.client.ask(
            module, "GET", with_query(join(self.url(module), *segments), **query)
        )

    async def ask(
        self, module: str, method: str, *segments: str, body: Any = None, **more: Any
    ) -> Exchange:
        """Any request to an interface of the other side."""
        url = join(self.url(module), *segments)
        return await self.client.ask(module, method, url, body, **more)

    def window(self, module: str, **query: str | int | None) -> dict[str, str | int | None]:
        """*query* with what the list of *module* always needs."""
        return {"date_from": LONG_AGO, **query} if module == "sessions" else query

    async def page(self, module: str, **query: str | int | None) -> Exchange:
        """One page of a list."""
        return await self.get(module, **self.window(module, **query))

    async def listed(self, module: str) -> Listed:
        """All pages of a list, once read.

        Raises:
            Skipped: not offered.
            Failed: it cannot be read.
        """
        if module not in self._lists:
            self._lists[module] = await self._read(module)
        return self._lists[module]

    async def _read(self, module: str) -> Listed:
        page = await self.page(module)
        pages, seen = [page], {page.url}
        demand(page.ok, f"the list of {module} cannot be read: {page.said}", page)
        while page.next and page.next not in seen and len(pages) < MOST_PAGES:
            seen.add(page.next)
            page = await self.client.ask(module, "GET", page.next)
            pages.append(page)
        return Listed(pages)

    def forget_lists(self) -> None:
        """What was read is old now."""
        self._lists.clear()
        self._problems = None

    async def some(self, module: str) -> list[Json]:
        """The objects of a list.

        Raises:
            Skipped: there are none.
        """
        found = (await self.listed(module)).items
        if not found:
            raise Skipped(f"the list of {module} is empty")
        return found

    async def longest(self) -> tuple[str, Listed]:
        """The list with the most objects, to turn pages in.

        Raises:
            Skipped: no list has any.
        """
        found: list[tuple[str, Listed]] = []
        for module in LISTS[self.role]:
            try:
                found.append((module, await self.listed(module)))
            except (Skipped, Failed):
                continue
        best = max(found, key=lambda each: len(each[1].items), default=None)
        if best is None or not best[1].items:
            raise Skipped("no list has any object")
        return best

    # -- judging objects

    async def problems(self) -> list[tuple[Problem, Exchange]]:
        """Every mistake of shape in every object of every list."""
        if self._problems is None:
            self._problems = []
            for module in LISTS[self.role]:
                try:
                    await self._judge(module)
                except (Skipped, Failed):
                    continue
        return self._problems

    async def _judge(self, module: str) -> None:
        shape = SHAPES[self.version][module]
        found = await self.listed(module)
        for page in found.pages:
            for each in page.items:
                for problem in shape(each, named(module, each)):
                    assert self._problems is not None
                    self._problems.append((problem, page))

    async def shaped(self, rule: str, *modules: str) -> None:
        """Judge one rule of shape over the lists of *modules* (none named: of all).

        Raises:
            Skipped: nothing to judge.
            Failed: with the first mistakes.
        """
        wanted = modules or LISTS[self.role]
        seen = [each for module in wanted for each in await self.present(module)]
        if not seen:
            raise Skipped(f"the lists of {', '.join(wanted)} are empty")
        broken = [(p, page) for p, page in await self.problems() if p.rule == rule]
        if broken:
            raise_problems([str(p) for p, _ in broken], broken[0][1])

    async def present(self, module: str) -> list[Json]:
        try:
            return (await self.listed(module)).items
        except Skipped:
            return []

    # -- tokens of ours

    def token(self, **more: Any) -> Json:
        """A token that would be ours, in the version's form."""
        country, party = self.us()
        uid = self.memory.setdefault("uid", f"CHECK{uuid4().hex[:12].upper()}")
        body: Json = {
            "uid": uid,
            "type": "RFID",
            "issuer": "OCPI check",
            "valid": True,
            "whitelist": "ALLOWED",
            "last_updated": stamp(now()),
        }
        contract = f"{country}-{party}-C{uid[-9:]}"
        if self.version == "2.1.1":
            return body | {"auth_id": contract} | more
        ours = {"country_code": country, "party_id": party, "contract_id": contract}
        return body | ours | more

    def us(self) -> tuple[str, str]:
        """Who we are to the other side.

        Raises:
            Skipped: nobody said.
        """
        if self.client.us is None:
            raise Skipped("who we are is not known: give --party COUNTRY*PARTY")
        return self.client.us

    # -- what a check needs

    def may_write(self) -> None:
        if not self.options.write or self.options.registered:
            raise Skipped(NOT_WRITING)

    def registering(self) -> None:
        if self.options.registered:
            raise Skipped(NOT_REGISTERING)


def named(module: str, item: Any) -> str:
    """How messages call an object: ``location LOC1``."""
    id = (item.get("id") or item.get("uid")) if isinstance(item, dict) else None
    return f"{module.removesuffix('s')} {id or '?'}:"


def raise_problems(problems: Iterable[str], *exchanges: Exchange) -> None:
    """Fail with *problems*, the first few of them spelled out; nothing if there are none.

    Raises:
        Failed: if there is any.
    """
    found = list(dict.fromkeys(problems))
    if not found:
        return
    text = "; ".join(found[:MOST_PROBLEMS_SHOWN])
    more = len(found) - MOST_PROBLEMS_SHOWN
    raise Failed(f"{text}; and {more} more" if more > 0 else text, *exchanges)


def none_of(arrivals: Iterable[Arrival], why: str) -> None:
    """Fail with each of *arrivals*; *why* says what is wrong with it."""
    raise_problems(f"{each.method} {each.path} {why}" for each in arrivals)


def refused_with(
    exchange: Exchange, codes: Iterable[int] = (2001,), what: str = "this request"
) -> None:
    """Demand HTTP 200 and one of OCPI's *codes*, which is how bad content is refused.

    Raises:
        Failed: anything else.
    """
    wanted = tuple(codes)
    names = " or ".join(str(each) for each in wanted)
    demand(
        exchange.http == 200 and exchange.code in wanted,
        f"{what} must be answered with HTTP 200 and status_code {names}, was {exchange.said}",
        exchange,
    )


def updated(item: Json) -> Any:
    """``last_updated`` of an object as a moment; None if it is none."""
    return moment(item.get("last_updated"))


def first(items: Iterable[Json], such: Callable[[Json], Any]) -> Json | None:
    return next((each for each in items if such(each)), None)
