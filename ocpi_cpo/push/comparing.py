"""Looks at partners' copies of our things, says what differs, and sets right what may be set right.

Locations, tariffs and sessions are PUT again by the partner's own worker, in its order and at its
pace. Bills are never overwritten: one that differs is a person's, one that is gone is POSTed again
once a second look has found it missing. Only one request is under way at a time, with a pause
after each, and a partner that does not answer is left alone.

A party behind a hub is asked over the hub, about what it is brought under its own name. A hub need
not pass such questions on, and its own refusal looks like the party's: nothing counts as gone until
one answer to a question about that module has held a copy.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import structlog

from cms.app.ports import (
    CdrQuery,
    Clock,
    Comparison,
    DatedCdr,
    Finding,
    Looked,
    Page,
    SessionQuery,
    Store,
)
from cms.app.writes import Audit, Delivery, PutDelivery, PutDocument, PutWorkItem, Write
from cms.domain import plain
from cms.domain.audit import AuditEntry, WorkItem, WorkType
from cms.domain.errors import Conflict, InvalidValue, NotFound
from cms.domain.ids import PartnerId
from ocpi_cpo import config
from ocpi_cpo.answers import Kind, PartnerAnswer
from ocpi_cpo.connections import Connection, Connections
from ocpi_cpo.pages import Pages
from ocpi_cpo.partner_api import PartnerApi
from ocpi_cpo.push.differing import differences
from ocpi_cpo.push.telling import DROPPED
from ocpi_cpo.push.worker import Worker
from ocpi_cpo.render import Renderer
from ocpi_cpo.wire import Json, dumps, join, loads

log = structlog.get_logger()

DOCUMENT = "ocpi.comparison"
MODULES = ("locations", "tariffs", "sessions", "cdrs")
MOST_FINDINGS = 500
_PAGE = 100
_KIND = {"locations": "location", "tariffs": "tariff", "sessions": "session", "cdrs": "cdr"}

Errand = Callable[[str, Coroutine[Any, Any, Any]], None]


@dataclass(frozen=True, slots=True)
class View:
    """How a partner's version shows our things."""

    pages: Pages
    render: Renderer


@dataclass(frozen=True, slots=True)
class _Thing:
    """One thing to look at. ``url`` None: there is no address at which it could be."""

    key: str
    url: str | None
    ours: Json


class _Leave(Exception):
    """The partner does not answer as it should; it is left alone."""


class _NoGet(Exception):
    """The partner offers no GET of this module."""


@dataclass(slots=True)
class _Look:
    """A comparison under way."""

    connection: Connection
    worker: Worker
    view: View
    report: Comparison
    findings: list[Finding] = field(default_factory=list)
    looked: dict[str, Looked] = field(default_factory=dict)
    doubtful: list[tuple[_Thing, PartnerAnswer]] = field(default_factory=list)
    """What may be gone, or may not have been asked about: no copy came yet over this hub."""

    @property
    def behind_hub(self) -> bool:
        return self.connection.via is not None

    def shown(self, module: str) -> bool:
        """Whether a copy of anything of *module* came."""
        seen = self.looked.get(module)
        return seen is not None and seen.same + seen.differing > 0

    def count(self, module: str, **more: int) -> None:
        before = self.looked.setdefault(module, Looked(module))
        self.looked[module] = replace(
            before, **{name: getattr(before, name) + number for name, number in more.items()}
        )

    def found(self, finding: Finding) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)

    def so_far(self) -> Comparison:
        return replace(
            self.report, looked=tuple(self.looked.values()), findings=tuple(self.findings)
        )


class Comparing:
    """Compares partners' copies with ours, at night and by command.

    Args:
        worker: the one that serves a partner now; None while none does.
        view: of a connection's version.
    """

    def __init__(
        self,
        store: Store,
        connections: Connections,
        api: PartnerApi,
        worker: Callable[[PartnerId], Worker | None],
        view: Callable[[Connection], View],
        clock: Clock,
        rules: config.Comparing,
        errand: Errand,
    ) -> None:
        self._store = store
        self._connections = connections
        self._api = api
        self._worker = worker
        self._view = view
        self._clock = clock
        self._rules = rules
        self._errand = errand
        self._reports: dict[PartnerId, Comparison] = {}
        self._looks: dict[PartnerId, _Look] = {}

    async def load(self) -> None:
        """Take up the last reports."""
        for key, body in (await self._store.documents(DOCUMENT)).items():
            self._reports[PartnerId(key)] = plain.from_text(Comparison, body.decode())

    def report(self, partner: PartnerId) -> Comparison | None:
        """Return the comparison that runs, else the last one; None if there never was one."""
        look = self._looks.get(partner)
        return look.so_far() if look is not None else self._reports.get(partner)

    async def ask(self, partner: PartnerId, who: str, module: str | None = None) -> None:
        """Begin to compare *module* (None = all) in the background.

        Raises:
            NotFound: no such partner.
            Conflict: nothing is pushed to it now, it is being compared, or *module* is broadcast
                to its hub.
            InvalidValue: there is no such module.
        """
        if module is not None and module not in MODULES:
            raise InvalidValue("module", f"expected one of: {', '.join(MODULES)}")
        look = self._begin(partner, who)
        if module is not None and look.behind_hub and not look.worker.brings(module):
            del self._looks[partner]
            raise Conflict(f"{module} of {partner} are broadcast to its hub")
        entry = AuditEntry(self._clock(), who, "partner.compared", f"partner:{partner}")
        await self._store.commit([Audit(entry)])
        modules = MODULES if module is None else (module,)
        self._errand(f"compare {partner}", self._run(partner, look, modules))

    async def look_at_the_clock(self) -> None:
        """Compare whoever is due tonight, one after the other."""
        for connection in self._everybody():
            if self._due(connection):
                look = self._begin(connection.partner, "system")
                await self._run(connection.partner, look, MODULES)

    def _everybody(self) -> Iterator[Connection]:
        """Every partner's connection, and those of the parties behind it after each hub's."""
        for connection in self._connections:
            yield connection
            for id in self._connections.behind(connection.partner):
                if (there := self._connections.get(id)) is not None:
                    yield there

    def _due(self, connection: Connection) -> bool:
        nightly, partner = self._rules.nightly, connection.partner
        if nightly is None or not connection.connected or connection.registered_at is None:
            return False
        own = self._connections.partners.get(partner)
        if own is not None and own.hub:
            return False  # what is broadcast is read back from nobody
        if partner in self._looks or self._worker(partner) is None:
            return False
        before = self._reports.get(partner)
        last = connection.registered_at if before is None else before.begun_at
        return nightly.due(partner, last, self._clock())

    def _begin(self, partner: PartnerId, who: str) -> _Look:
        connection, worker = self._connections.get(partner), self._worker(partner)
        if connection is None:
            raise NotFound("partner", partner)
        if worker is None or not connection.connected:
            raise Conflict(f"{partner} is not connected")
        if partner in self._looks:
            raise Conflict(f"{partner} is being compared")
        look = _Look(
            connection, worker, self._view(connection), Comparison(partner, self._clock(), who)
        )
        self._looks[partner] = look
        return look

    # -- one partner

    async def _run(self, partner: PartnerId, look: _Look, modules: Sequence[str]) -> None:
        stopped: str | None = "it was interrupted"
        try:
            stopped = await self._compare(look, modules)
        finally:
            self._looks.pop(partner, None)
            report = replace(look.so_far(), ended_at=self._clock(), stopped=stopped)
            self._reports[partner] = report
        body = plain.canonical(report).encode()
        await self._store.commit([PutDocument(DOCUMENT, partner, body)])
        log.info(
            "partner.compared",
            partner=partner,
            looked=sum(each.looked for each in report.looked),
            differing=sum(each.differing + each.missing for each in report.looked),
            stopped=stopped,
        )

    async def _compare(self, look: _Look, modules: Sequence[str]) -> str | None:
        """Look at every module; returns why it ended early, None if it did not."""
        for module in modules:
            if look.connection.endpoint(module, "RECEIVER") is None:
                continue
            if look.behind_hub and not look.worker.brings(module):
                continue
            look.doubtful.clear()
            try:
                async for thing in self._things(look, module):
                    await self._look_at(look, module, thing)
                if look.doubtful:
                    raise _NoGet
            except _NoGet:
                look.looked[module] = Looked(module, offered=False)
            except _Leave as reason:
                return str(reason)
        return None

    def _things(self, look: _Look, module: str) -> AsyncIterator[_Thing]:
        match module:
            case "locations":
                return self._locations(look)
            case "tariffs":
                return self._tariffs(look)
            case "sessions":
                return self._sessions(look)
            case _:
                return self._bills(look)

    async def _locations(self, look: _Look) -> AsyncIterator[_Thing]:
        partner, pages = look.connection.partner, look.view.pages
        group = pages.network.group(partner)
        for id in tuple(pages.order(partner)):
            site = pages.network.site(id, group)
            if site is not None:
                ours = loads(pages.one(id, partner).body)
                yield _Thing(id, self._url(look, "locations", site.party, id), ours)

    async def _tariffs(self, look: _Look) -> AsyncIterator[_Thing]:
        render = look.view.render
        for own in render.tariffs(look.connection.partner):
            url = self._url(look, "tariffs", render.tariff_party(own), own.id)
            yield _Thing(own.id, url, render.tariff(own))

    async def _sessions(self, look: _Look) -> AsyncIterator[_Thing]:
        render, offset = look.view.render, 0
        since = max(self._since(), look.connection.registered_at or self._since())
        while True:
            query = SessionQuery(
                owned_by=look.connection.partner, updated_from=since, page=Page(offset, _PAGE)
            )
            found, total = await self._store.sessions(query)
            for dated in found:
                ours = await render.session(dated)
                if ours is not None:
                    party = render.session_party(dated.session)
                    id = dated.session.id
                    yield _Thing(id, self._url(look, "sessions", party, id), ours)
            offset += _PAGE
            if offset >= total:
                return

    async def _bills(self, look: _Look) -> AsyncIterator[_Thing]:
        offset = 0
        while True:
            query = CdrQuery(
                owned_by=look.connection.partner,
                updated_from=self._since(),
                page=Page(offset, _PAGE),
            )
            found, total = await self._store.cdrs(query)
            for dated in found:
                thing = await self._bill(look, dated)
                if thing is not None:
                    yield thing
            offset += _PAGE
            if offset >= total:
                return

    async def _bill(self, look: _Look, dated: DatedCdr) -> _Thing | None:
        id, partner = dated.cdr.id, look.connection.partner
        ours = look.view.render.cdr(dated)
        row = await self._store.delivery(partner, "cdr", id)
        if ours is None or (row is not None and row.state in ("parked", DROPPED)):
            return None
        if row is None or row.state != "delivered":
            since = look.connection.registered_at
            if row is None and since is not None and dated.created_at < since:
                return None
            if not look.worker.busy("cdr", id):
                look.count("cdrs", looked=1, missing=1)
                look.found(Finding("cdrs", id, "", "made", "never sent", "posted"))
                look.worker.again("cdr", id)
            return None
        return _Thing(id, row.place, ours)

    def _since(self) -> Any:
        return self._clock() - timedelta(days=self._rules.days)

    def _url(self, look: _Look, module: str, party: str, id: str) -> str:
        base = look.connection.endpoint(module, "RECEIVER") or ""
        return join(base, *party.split("*"), id)

    # -- one thing

    async def _look_at(self, look: _Look, module: str, thing: _Thing) -> None:
        """Compare one thing, unless something about it is on its way right now."""
        if thing.url is None:
            look.count(module, unverifiable=1)
            return
        if look.worker.busy(_KIND[module], thing.key):
            look.count(module, moving=1)
            return
        answer = await self._get(look, module, thing.url)
        if look.worker.busy(_KIND[module], thing.key):
            look.count(module, moving=1)
            return
        if answer.kind is Kind.MISSING or answer.kind is Kind.REFUSED:
            if look.behind_hub and not look.shown(module):
                look.doubtful.append((thing, answer))
                return
            await self._missing(look, module, thing, answer)
            return
        await self._held(look, module, thing, answer)
        while look.doubtful:  # the hub does pass questions on: these are gone
            await self._missing(look, module, *look.doubtful.pop(0))

    async def _held(self, look: _Look, module: str, thing: _Thing, answer: PartnerAnswer) -> None:
        look.count(module, looked=1)
        found = differences(loads(dumps(thing.ours)), answer.data)
        if not found:
            look.count(module, same=1)
            return
        look.count(module, differing=1)
        what = "reported" if module == "cdrs" else "put again"
        for each in found:
            look.found(Finding(module, thing.key, each.field, each.ours, each.theirs, what))
        await self._repair(look, module, thing, [each.field for each in found])

    async def _get(self, look: _Look, module: str, url: str) -> PartnerAnswer:
        """Ask for one copy; once more after a while if the partner cannot answer now."""
        answer = await self._asked(look, url)
        if answer.again:
            later = answer.retry_after or self._rules.later.total_seconds()
            await asyncio.sleep(later)
            answer = await self._asked(look, url)
        if answer.again:
            raise _Leave(f"it does not answer: {answer.text}")
        return self._judged(look, module, answer)

    async def _asked(self, look: _Look, url: str) -> PartnerAnswer:
        self._still_there(look)
        await asyncio.sleep(self._rules.pause.total_seconds())
        return await self._api.call(look.connection, "GET", url)

    def _still_there(self, look: _Look) -> None:
        current = self._connections.get(look.connection.partner)
        if current is None or not current.connected or current.form != look.connection.form:
            raise _Leave("the connection has changed")
        if look.worker.failures:
            raise _Leave("it does not take what is pushed now")

    def _judged(self, look: _Look, module: str, answer: PartnerAnswer) -> PartnerAnswer:
        """Tell "no such thing" from "no such question"."""
        if answer.kind is Kind.UNAUTHORISED:
            raise _Leave(f"it refuses our credentials: {answer.text}")
        if answer.kind is Kind.DELIVERED and isinstance(answer.data, dict):
            return answer
        known = answer.code is not None or look.shown(module)
        if answer.http == 405 or not known or answer.kind is Kind.DELIVERED:
            raise _NoGet
        return answer

    async def _missing(
        self, look: _Look, module: str, thing: _Thing, answer: PartnerAnswer
    ) -> None:
        look.count(module, looked=1, missing=1)
        what = "posted again" if module == "cdrs" else "put again"
        look.found(Finding(module, thing.key, "", "there", answer.text, what))
        await self._repair(look, module, thing, [])

    async def _repair(self, look: _Look, module: str, thing: _Thing, fields: Sequence[str]) -> None:
        """Have the partner's worker bring it again; a bill that differs is for a person."""
        partner = look.connection.partner
        if module == "cdrs" and fields:
            item = WorkItem(
                f"copy-differs:{partner}:cdr:{thing.key}",
                WorkType.COPY_DIFFERS,
                f"cdr:{thing.key}",
                self._clock(),
                evidence={"partner": partner, "place": thing.url, "fields": list(fields)},
            )
            await self._store.commit([PutWorkItem(item)])
            return
        if module == "cdrs":
            await self._lost_bill(partner, thing.key)
        else:
            await look.worker.forget(_KIND[module], thing.key)
        look.worker.again(_KIND[module], thing.key)

    async def _lost_bill(self, partner: PartnerId, id: str) -> None:
        """The courier looks a second time at the place, then POSTs it with the same id."""
        row = await self._store.delivery(partner, "cdr", id)
        if row is not None:
            why = "the partner's copy was gone when we compared"
            lost: Delivery = replace(row, state="retrying", at=self._clock(), error=why)
            writes: list[Write] = [PutDelivery(lost)]
            await self._store.commit(writes)
