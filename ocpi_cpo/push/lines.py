"""The lines to partners: which party has a worker, for how long, and what it is made for.

A connection leads to its partner and, at a hub, to the parties behind it; each has a line of its
own. When what a line depends on changes, a fresh one takes over from where it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cms.app.catalogue import Catalogue
from cms.app.invoicing import Invoicing
from cms.app.ports import Clock, Store
from cms.app.supervision import Supervisor
from cms.domain.ids import EvseRef, PartnerId
from cms.domain.sharing import Sharing
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.connections import Connection, Connections
from ocpi_cpo.faces import Face
from ocpi_cpo.parties import Parties
from ocpi_cpo.partner_api import PartnerApi
from ocpi_cpo.push.courier import Courier
from ocpi_cpo.push.feed import SharedFeed
from ocpi_cpo.push.pace import Trunk
from ocpi_cpo.push.watch import HubWatch
from ocpi_cpo.push.worker import EVERY_MODULE, Worker
from ocpi_cpo.registration import Registration
from ocpi_cpo.versions.offered import dialect_of

FOR_ALL = frozenset({"tariffs", "locations"})
"""What may be broadcast."""

ITS_OWN = EVERY_MODULE - FOR_ALL
"""What only its owner may hear."""


@dataclass(frozen=True, slots=True)
class _MadeFor:
    """What a line depends on: when it changes, a fresh one takes over."""

    form: tuple[object, ...]
    sharing: Sharing
    modules: frozenset[str]
    shared: bool


@dataclass(slots=True)
class _Line:
    """One party's worker with what it was made for."""

    worker: Worker
    courier: Courier
    made_for: _MadeFor
    leads_by: PartnerId
    running: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Lines:
    """Has a worker for each party to which a connection leads, between ``begin`` and ``end``.

    Args:
        faces: how we look, by version.
        pull_client_info: reads who is behind a hub, once it is back.
        errand: does something once in the background.
    """

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        connections: Connections,
        parties: Parties,
        registration: Registration,
        invoicing: Invoicing,
        api: PartnerApi,
        faces: Mapping[str, Face],
        feed: SharedFeed,
        config: OcpiConfig,
        clock: Clock,
        pull_client_info: Callable[[PartnerId], Coroutine[Any, Any, int]],
        errand: Callable[[str, Coroutine[Any, Any, Any]], None],
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._connections = connections
        self._parties = parties
        self._registration = registration
        self._invoicing = invoicing
        self._api = api
        self._faces = faces
        self._feed = feed
        self._config = config
        self._clock = clock
        self._pull_client_info = pull_client_info
        self._errand = errand
        self._supervisor: Supervisor | None = None
        self._lines: dict[PartnerId, _Line] = {}
        self._modules: dict[PartnerId, frozenset[str]] = {}
        self._watches: dict[PartnerId, HubWatch] = {}

    def begin(self, supervisor: Supervisor) -> None:
        """Let *supervisor* own the workers that ``arrange`` makes from now on."""
        self._supervisor = supervisor

    def end(self) -> None:
        """Forget the workers, whose owner has ended them."""
        self._supervisor = None
        self._lines.clear()
        self._watches.clear()

    # -- who has one

    def __iter__(self) -> Iterator[tuple[PartnerId, Worker]]:
        """Every party's worker, also one whose time is over."""
        return ((party, line.worker) for party, line in self._lines.items())

    def worker(self, party: PartnerId) -> Worker | None:
        """Return the worker that serves *party* now, if there is one."""
        line = self._lines.get(party)
        return line.worker if line is not None and line.running else None

    def modules(self, party: PartnerId) -> frozenset[str]:
        """Return what is pushed to *party* under its own name."""
        return self._modules.get(party, EVERY_MODULE)

    def trunk(self, line: PartnerId) -> Trunk:
        """Return what the lines over one connection share."""
        return self._watch(line).trunk

    # -- arranging them

    def arrange(self, line: PartnerId) -> None:
        """Have a worker for each party to which a connection leads."""
        connection = self._connections.own(line)
        if self._supervisor is None or connection is None:
            return
        behind = [each.id for each in self._catalogue.behind(line)]
        hub = self._catalogue.partners[line].hub if line in self._catalogue.partners else False
        for party in (line, *behind):
            self._modules[party] = self._brought(party, line, hub)
        for party in (line, *behind):
            self._keep(party, self._supervisor, shared=hub or bool(behind))

    def look_at_broadcasts(self) -> None:
        """The price book may have given a party behind a hub prices of its own, or taken them."""
        for connection in self._connections:
            line = connection.partner
            if not connection.connected or not self._parties.is_hub(connection):
                continue
            if self._modules.get(line) != self._brought(line, line, hub=True):
                self.arrange(line)

    def _brought(self, party: PartnerId, line: PartnerId, hub: bool) -> frozenset[str]:
        """Return what is pushed to *party* under its own name.

        What all may see is told once per connection: to a hub as a broadcast, for all behind it.
        Where a hub takes none, or parties behind it see different prices, each is told its own.
        """
        if not hub:
            return EVERY_MODULE if party == line else ITS_OWN
        if self._parties.broadcasts(line):
            return FOR_ALL if party == line else ITS_OWN
        return frozenset() if party == line else EVERY_MODULE

    def _keep(self, party: PartnerId, supervisor: Supervisor, *, shared: bool) -> None:
        """Have a worker for a connected party, a fresh one where what it was made for changed."""
        connection, line = self._connections.get(party), self._lines.get(party)
        if line is not None:
            line.worker.look()  # so that it sees whether its time is over
        if connection is None or not connection.connected:
            return
        sharing = self._catalogue.sharing_of(party)
        wanted = _MadeFor(connection.form, sharing, self._modules[party], shared)
        if not wanted.modules or line is not None and line.running and line.made_for == wanted:
            return
        self._lines[party] = fresh = self._line(connection, wanted, line)
        fresh.running = True
        supervisor.keep(f"push {party}", lambda: self._push(fresh, line))

    async def _push(self, line: _Line, before: _Line | None) -> None:
        if before is not None and before.running:
            await before.ended.wait()
        await line.worker.run()
        line.running = False
        line.ended.set()
        self.arrange(line.leads_by)  # in case its time has come again while it ended

    def _line(self, connection: Connection, wanted: _MadeFor, before: _Line | None) -> _Line:
        courier = self._courier(connection)
        worker = Worker(
            connection.partner,
            self._store,
            self._feed,
            courier,
            self._config,
            self._clock,
            lambda: self._still(connection.partner, wanted),
            connection,
            self._site_of,
            self._refused,
            anew=before is not None and before.made_for.sharing != wanted.sharing,
            modules=wanted.modules,
            trunk=self.trunk(connection.line) if wanted.shared else None,
        )
        if before is not None and before.made_for.form == wanted.form:
            courier.succeed(before.courier)
        return _Line(worker, courier, wanted, connection.line)

    def _courier(self, connection: Connection) -> Courier:
        face = self._faces[dialect_of(connection.version).version]
        return Courier(
            connection.partner,
            self._store,
            face.pages,
            face.statuses,
            face.render,
            self._api,
            face.dialect,
            self._clock,
            self._registration.look_again,
            self._invoicing,
            broadcast=self._parties.is_hub(connection) and connection.via is None,
        )

    def _still(self, party: PartnerId, wanted: _MadeFor) -> Connection | None:
        """Return the party's connection as it is now; None where a line's time is over."""
        found = self._connections.get(party)
        if found is None or self._modules.get(party) != wanted.modules:
            return None
        same = found.form == wanted.form and self._catalogue.sharing_of(party) == wanted.sharing
        return found if same else None

    def _site_of(self, evse: str) -> str:
        place = self._catalogue.place(EvseRef.parse(evse))
        return place.location.id if place is not None else evse

    # -- whether the other side lives

    def heard(self, line: PartnerId) -> None:
        """A partner called us: it lives, and so does the way to those behind it."""
        for each in self._over(line):
            each.worker.heard()
        if (watch := self._watches.get(line)) is not None:
            watch.heard()

    def resume(self, line: PartnerId) -> None:
        """Try all parties to which a connection leads at once."""
        for each in self._over(line):
            each.worker.heard()
            each.worker.look()

    def retry(self, party: PartnerId) -> None:
        """Try everything that is parked for *party* again, now."""
        if (line := self._lines.get(party)) is not None:
            line.worker.retry()

    def _over(self, line: PartnerId) -> list[_Line]:
        parties = (line, *(each.id for each in self._catalogue.behind(line)))
        return [self._lines[each] for each in parties if each in self._lines]

    def _watch(self, line: PartnerId) -> HubWatch:
        """Return what looks after a connection that several lines share."""
        if line not in self._watches:
            watch = HubWatch(
                self._config.in_flight,
                lambda: self._probe(line),
                lambda: self.resume(line),
            )
            self._watches[line] = watch
            if self._supervisor is not None:
                self._supervisor.keep(f"hub {line}", watch.run)
        return self._watches[line]

    async def _probe(self, line: PartnerId) -> bool:
        """See whether a hub is back; how the parties behind it do may have changed meanwhile."""
        back = await self._answers(line)
        if back:
            self._errand("pull client info", self._pull_client_info(line))
        return back

    async def _answers(self, line: PartnerId) -> bool:
        """Ask a hub for its versions: whether it lives."""
        connection = self._connections.own(line)
        if connection is None or not connection.connected or connection.versions_url is None:
            return False
        url = connection.versions_url
        return (await self._api.call(connection, "GET", url, functional=False)).ok

    async def _refused(self, connection: Connection, why: str) -> None:
        """A partner does not accept our credentials; of a party behind a hub it may be that
        party's own machine that says so."""
        if connection.via is not None and await self._answers(connection.line):
            await self._parties.suspend(connection.partner, why)
        else:
            await self._registration.refused(connection, why)
