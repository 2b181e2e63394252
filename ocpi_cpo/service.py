"""The OCPI edge as one thing: what bootstrap mounts, runs and hands to the core."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from random import uniform
from typing import Any

import structlog
from aiohttp import web
from aiohttp.abc import AbstractResolver

from cms.app.administration import Administration
from cms.app.catalogue import Catalogue
from cms.app.invoicing import Invoicing
from cms.app.live import LiveState
from cms.app.ports import Clock, DatedCdr, PartnerHealth, Store, TokenAuthority
from cms.app.preferring import Preferring
from cms.app.profiling import Profiling
from cms.app.remote import Remote
from cms.app.reserving import Reserving
from cms.app.supervision import Supervisor, supervised
from cms.app.writes import CommandRecord
from cms.domain.ids import PartnerId
from cms.domain.partner import Partner, PartnerState
from cms.domain.reservation import Reservation
from cms.domain.sharing import EVERYTHING
from ocpi_cpo.authority import Authority
from ocpi_cpo.borders import Borders
from ocpi_cpo.client import GuardedClient
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.connections import Connection, Connections, Endpoint, InboundToken
from ocpi_cpo.door import Door
from ocpi_cpo.errors import OcpiError
from ocpi_cpo.faces import Face
from ocpi_cpo.health import Health
from ocpi_cpo.modules.clientinfo import ClientInfos, HubClientInfo
from ocpi_cpo.modules.commands import Commands
from ocpi_cpo.modules.credentials import Credentials
from ocpi_cpo.modules.invoices import MODULE as INVOICES
from ocpi_cpo.modules.invoices import Invoices
from ocpi_cpo.modules.lists import Lists
from ocpi_cpo.modules.locations import Locations
from ocpi_cpo.modules.preferences import Preferences
from ocpi_cpo.modules.profiles import Profiles
from ocpi_cpo.modules.tokens import Forget, Puller, Tokens
from ocpi_cpo.modules.versions import Versions
from ocpi_cpo.pages import Network, Pages
from ocpi_cpo.parties import Found, Parties
from ocpi_cpo.partner_api import PartnerApi
from ocpi_cpo.past import Past
from ocpi_cpo.promises import Promises
from ocpi_cpo.push.comparing import Comparing, View
from ocpi_cpo.push.feed import SharedFeed
from ocpi_cpo.push.lines import Lines
from ocpi_cpo.push.news import News
from ocpi_cpo.push.parking import Parking
from ocpi_cpo.push.statuses import Statuses
from ocpi_cpo.push.syncing import Syncing
from ocpi_cpo.push.tallies import Tallies
from ocpi_cpo.registration import Registration, TakeOver
from ocpi_cpo.render import Renderer, RunningPrice, no_plan, no_price
from ocpi_cpo.server import Server
from ocpi_cpo.versions.dialect import Dialect
from ocpi_cpo.versions.offered import CORE, DIALECTS, dialect_of
from ocpi_cpo.wire import Json

log = structlog.get_logger()

RENEWAL_LOOK_SECONDS = 6 * 3600.0
CLOCK_LOOK_SECONDS = 60.0
DUE_LOOK_SECONDS = 5.0


def _no_secret(secret: str) -> None:
    """Register nothing: for tests that log nowhere."""


def _nothing_to_forget(partner: PartnerId, uid: str) -> None:
    """Forget nothing: nobody remembers answers."""


class OcpiService:
    """Partners' edge. ``authority`` and ``app`` work at once; ``run`` does the background work.

    Args:
        remote, reserving: where commands go; None until ``connect_remote`` (they are built after
            us, since the core needs our ``authority`` first).
        running_price: what an open session costs so far.
        secret: told of every token that must never stand in a log.
        forget: told of each token that a partner changed (``Authoriser.forget``).
        resolver: for tests; the system's by default.
    """

    def __init__(
        self,
        store: Store,
        live: LiveState,
        catalogue: Catalogue,
        administration: Administration,
        clock: Clock,
        config: OcpiConfig,
        *,
        remote: Remote | None = None,
        profiling: Profiling | None = None,
        reserving: Reserving | None = None,
        running_price: RunningPrice = no_price,
        secret: Callable[[str], None] = _no_secret,
        forget: Forget = _nothing_to_forget,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._store = store
        self._live = live
        self._catalogue = catalogue
        self._clock = clock
        self._config = config
        self._supervisor: Supervisor | None = None
        self._waiting: list[tuple[str, Coroutine[Any, Any, Any]]] = []
        self._greeted: dict[PartnerId, int] = {}
        self._forget = forget
        self.connections = Connections(
            store, clock, secret, lambda id: self._api.profile(id), catalogue.partners
        )
        self.connections.listen(self._changed)
        self.parties = Parties(store, catalogue, self.connections, config, clock)
        self.borders = Borders(store, live, catalogue, clock)
        self._profiling = profiling
        self._client = GuardedClient(
            config.request_timeout.total_seconds(), resolver, config.certificates
        )
        self.tallies = Tallies(clock)
        self.invoicing = Invoicing(store, live, clock)
        self._api = PartnerApi(self._client, config, self.tallies, catalogue.partners.get)
        catalogue.offers.reads_headline = lambda id: self._api.profile(id).headline_tariff
        self._past = Past(live, clock)
        self.client_infos = ClientInfos(store, self.connections, self.parties, self._api)
        self._faces = {
            version: self._face(dialect, running_price) for version, dialect in DIALECTS.items()
        }
        self.pages = self._faces[CORE].pages
        self.registration = Registration(
            store,
            catalogue,
            self.connections,
            self.parties,
            self._api,
            config,
            clock,
            self._errand,
        )
        feed = SharedFeed(store)
        self.lines = Lines(
            store,
            catalogue,
            self.connections,
            self.parties,
            self.registration,
            self.invoicing,
            self._api,
            self._faces,
            feed,
            config,
            clock,
            self.pull_client_info,
            self._errand,
        )
        self.parties.listen(self.lines.arrange)
        self.news = News(live, catalogue, self.lines, feed, self._past, clock)
        self._puller = Puller(
            catalogue, administration, self.connections, self.parties, self._api, self._forgotten
        )
        self.syncing = Syncing(store, self.connections, clock, self.pull_tokens, self._errand)
        self.parking = Parking(store, clock, self.lines.worker)
        self.healths = Health(
            store,
            self.connections,
            self.tallies,
            self.syncing,
            self.lines.worker,
            self.lines.modules,
            clock,
        )
        self.comparing = Comparing(
            store,
            self.connections,
            self._api,
            self.lines.worker,
            self._view,
            clock,
            config.comparing,
            self._errand,
        )
        self._authority = Authority(
            store,
            catalogue,
            self.connections,
            self.parties,
            self._api,
            config,
            clock,
            self._errand,
        )
        self._commands: dict[str, Commands] = {}
        self._profiles: dict[str, Profiles] = {}
        self._server = self._built(administration)
        self._reserving: Reserving | None = None
        if remote is not None and reserving is not None:
            self.connect_remote(remote, reserving)

    def _face(self, dialect: Dialect, running_price: RunningPrice) -> Face:
        parties = self._config.parties
        network = Network(self._catalogue, self._live, dialect, parties, self._clock, self._past)
        party = PartnerId(parties[0].id)
        plan = no_plan if self._profiling is None else self._profiling.plan
        render = Renderer(self._store, network, party, running_price, plan)
        return Face(dialect, network, Pages(network), Statuses(network), render)

    def _built(self, administration: Administration) -> Server:
        door = Door(
            self._catalogue.partners.get,
            self._config.trusted_proxies,
            self._config.client_certificate_header,
        )
        server = Server(self.connections, self.parties, self._config, self._clock, self._used, door)
        server.add(*Versions(self._config).routes())
        for version in self._config.versions:
            face = self._faces[version]
            tokens = Tokens(
                self._catalogue,
                administration,
                self.parties,
                face.dialect,
                self._clock,
                self._forgotten,
            )
            server.add(*Credentials(self.registration, face.dialect).routes())
            server.add(*Locations(face.pages, self._config, version).routes())
            lists = Lists(self._store, self._catalogue, face.render, self._config, version)
            server.add(*lists.routes())
            server.add(*tokens.routes())
            if (INVOICES, "SENDER") in face.dialect.modules:
                server.add(*Invoices(self.invoicing, self._config, version).routes())
            server.add(*HubClientInfo(self.client_infos, self.parties, version).routes())
        return server

    def connect_remote(self, remote: Remote, reserving: Reserving) -> None:
        """Let partners' commands reach stations."""
        self._reserving = reserving
        reserving.on_let_go = self._let_go
        promises = self._promises("command")
        self._commands = {
            version: Commands(
                self._store,
                self._live,
                face.network,
                remote,
                promises,
                self._clock,
                reserving,
            )
            for version, face in self._faces.items()
        }
        for version in self._config.versions:
            self._server.add(*self._commands[version].routes())
        if self._profiling is not None:
            self._connect_profiling(self._profiling, remote)

    def connect_preferring(self, preferring: Preferring) -> None:
        """Let partners' drivers change their mind while they charge."""
        for version in self._config.versions:
            module = Preferences(preferring, self._live, self._catalogue, version)
            self._server.add(*module.routes())

    def _connect_profiling(self, profiling: Profiling, remote: Remote) -> None:
        promises = self._promises("profile")
        for version in self._config.versions:
            self._profiles[version] = module = Profiles(
                self._store,
                self._live,
                self._catalogue,
                profiling,
                remote,
                promises,
                self._clock,
                version,
            )
            self._server.add(*module.routes())

    def _promises(self, kind: str) -> Promises:
        return Promises(
            kind,
            self._store,
            self.connections,
            self._api,
            self._config,
            self._clock,
            self._errand,
        )

    @property
    def authority(self) -> TokenAuthority:
        """Asks partners in real time; for the core."""
        return self._authority

    def app(self) -> web.Application:
        """Return the part to mount at ``/ocpi`` (``add_subapp``)."""
        return self._server.app()

    # -- background

    async def load(self) -> None:
        """Take up the connections from the store. Call it before serving."""
        await self.connections.load()
        await self.comparing.load()

    async def run(self, leftovers: Sequence[CommandRecord] = ()) -> None:
        """Push, pull and tell, until cancelled.

        Args:
            leftovers: commands that ended as TIMEOUT because of a restart (``Remote``): their
                partners hear it, once.
        """
        try:
            async with supervised() as supervisor:
                self._supervisor = supervisor
                self.lines.begin(supervisor)
                waiting, self._waiting = self._waiting, []
                for name, work in waiting:
                    supervisor.errand(name, work)
                self._reach()
                for connection in self.connections:
                    self._changed(connection)
                for version, commands in self._commands.items():
                    mine = [each for each in leftovers if self._version_of(each) == version]
                    await commands.tell_leftovers(mine)
                    if (profiles := self._profiles.get(version)) is not None:
                        await profiles.tell_leftovers(mine)
                for own in () if self._reserving is None else self._reserving.unheard():
                    self._let_go(own)
                supervisor.keep("news to partners", self.news.spread)
                supervisor.keep("tariff borders", self.borders.run)
                supervisor.every(
                    # Not at the hour: partners shall not be asked by everybody at once.
                    self._config.pull_tokens_every.total_seconds() * uniform(0.9, 1.1),
                    "pull tokens",
                    self._pull_from_all,
                )
                supervisor.every(
                    CLOCK_LOOK_SECONDS, "nightly comparison", self.comparing.look_at_the_clock
                )
                supervisor.every(DUE_LOOK_SECONDS, "delayed statuses", self.news.tell_due)
                supervisor.every(
                    self._config.look_again_every.total_seconds(),
                    "look for endpoints",
                    self._look_for_endpoints,
                )
                supervisor.every(RENEWAL_LOOK_SECONDS, "renew tokens", self.renew_old_tokens)
                await asyncio.Event().wait()
        finally:
            self._supervisor = None
            self.lines.end()
            self._greeted.clear()
            await self._client.close()

    def _let_go(self, own: Reservation) -> None:
        """Tell a partner that we cancelled its reservation."""
        if own.owner is not None:
            commands = self._commands[self._version_with(own.owner)]
            self._errand(f"let go {own.id}", commands.let_go(own))

    def _version_of(self, record: CommandRecord) -> str:
        """Return in which version the partner that asked for a command is told its end."""
        return self._version_with(PartnerId(record.asked_by.removeprefix("partner:")))

    def _version_with(self, partner: PartnerId) -> str:
        connection = self.connections.get(partner)
        return dialect_of(connection.version if connection is not None else None).version

    def _errand(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        if self._supervisor is not None:
            self._supervisor.errand(name, work)
        else:
            self._waiting.append((name, work))

    def _changed(self, connection: Connection) -> None:
        """A connection is new or has changed."""
        self.lines.arrange(connection.partner)
        if self._supervisor is None or not connection.connected:
            return
        before = self._greeted.get(connection.partner)
        if before != connection.generation:
            self._greeted[connection.partner] = connection.generation
            anew = before is not None or connection.tokens_pulled_to is None
            self._errand("read lists", self._read_lists(connection.partner, anew))

    async def _read_lists(self, line: PartnerId, anew: bool) -> None:
        """Read who is behind a hub, then the tokens, which may be theirs."""
        await self.pull_client_info(line)
        await self.pull_tokens(line, anew)

    def _reach(self) -> None:
        """Remember what happened for as long as somebody hears of it later."""
        every = (each.sharing.delay for each in self._catalogue.partners.values())
        self._past.reach(max(every, default=timedelta(0)))

    async def _look_for_endpoints(self) -> None:
        """Read the endpoints that we had to make by a template, where they can be read by now."""
        for connection in self.connections:
            if connection.guessed and connection.connected:
                await self.registration.look_again(connection)

    def _used(self, connection: Connection, token: InboundToken) -> None:
        """A partner called with *token*: it lives, and a new token's first use ends the old."""
        self.lines.heard(connection.partner)
        if self.connections.newest_used(connection.partner, token):
            self._errand("retire tokens", self.connections.retire(connection.partner, token))

    def _forgotten(self, partner: PartnerId, uid: str) -> None:
        self._forget(partner, uid)
        known = self._catalogue.partners.get(partner)
        if known is not None and known.via is not None:
            self._forget(known.via, uid)  # what was asked through the hub without naming a party

    async def _pull_from_all(self) -> None:
        for connection in self.connections:
            if connection.connected:
                await self._read_lists(connection.partner, True)

    async def renew_old_tokens(self) -> None:
        """Exchange tokens that are older than the config allows. A partner that refuses keeps its
        own, and is asked again at the next look."""
        for connection in self.connections:
            since = connection.renewed_at or connection.registered_at
            if not connection.connected or since is None:
                continue
            if self._clock() - since < self._config.renew_after:
                continue
            try:
                await self.registration.update(connection.partner, "system")
            except OcpiError as error:
                log.warning("tokens.not_renewed", partner=connection.partner, why=error.message)

    # -- admin verbs

    async def invite(self, partner: Partner, by: str, raw_token: bool | None = None) -> str:
        """Add a partner and return token A for it, shown this once. See ``Registration``."""
        return await self.registration.invite(partner, by, raw_token)

    async def register(
        self, partner: PartnerId, versions_url: str, token_a: str, by: str
    ) -> Connection:
        """Register at a partner with the token A that it gave us."""
        return await self.registration.register(partner, versions_url, token_a, by)

    async def renew(self, partner: PartnerId, by: str, version: str | None = None) -> Connection:
        """Renew the tokens of both directions, and move to *version* if one is given."""
        return await self.registration.update(partner, by, version)

    async def unregister(self, partner: PartnerId, by: str) -> None:
        """End the connection and tell the partner; a party behind a hub is served no more."""
        known = self._catalogue.partners.get(partner)
        if known is not None and known.via is not None:
            await self.parties.leave(known.via, {partner}, by)
        else:
            await self.registration.unregister(partner, by)

    async def resume(self, partner: PartnerId, by: str) -> None:
        """Go on with a partner that refused our credentials."""
        known = self._catalogue.partners.get(partner)
        if known is None or known.via is None:
            await self.registration.resume(partner, by)
        elif known.state is PartnerState.SUSPENDED:
            await self.parties.take(known.via, [Found(partner)], by)

    async def pull_tokens(self, partner: PartnerId, whole: bool = True) -> int:
        """Read the partner's token list; what goes wrong is logged, and 0 returned."""
        try:
            return await self._puller.pull(partner, whole)
        except OcpiError as error:
            log.warning("tokens.not_pulled", partner=partner, why=error.message)
            return 0

    async def pull_client_info(self, hub: PartnerId) -> int:
        """Read who is behind a hub; what goes wrong is logged, and 0 returned."""
        try:
            return await self.client_infos.pull(hub)
        except OcpiError as error:
            log.warning("client_info.not_pulled", partner=hub, why=error.message)
            return 0

    async def sync(self, partner: PartnerId, by: str, module: str | None = None) -> None:
        """Tell *module* (None = all) from the beginning again. See ``Syncing``."""
        await self.syncing.ask(partner, by, module)

    def creditable(self, partner: PartnerId) -> bool:
        """Whether the partner's version can take a bill back."""
        connection = self.connections.get(partner)
        return connection is None or dialect_of(connection.version).credits

    def rendered_bill(self, dated: DatedCdr) -> Mapping[str, Json | None]:
        """Return a bill as partners read it, by version; None where it has no form."""
        return {version: face.render.cdr(dated) for version, face in self._faces.items()}

    async def adopt(self, partner: Partner, given: TakeOver, by: str) -> Connection:
        """Take a partner's connection over from another system. See ``Registration``."""
        return await self.registration.adopt(partner, given, by)

    async def change(
        self, partner: Partner, by: str, endpoints: Sequence[Endpoint] | None = None
    ) -> None:
        """Keep what an operator chose for a partner, and tell it what that changes for it."""
        concerned = (partner.id, *(each.id for each in self._catalogue.behind(partner.id)))
        faces = self._faces.values()
        groups = [(face, id, face.network.group(id)) for face in faces for id in concerned]
        await self.registration.change(partner, by, endpoints)
        self._reach()
        self.lines.resume(partner.id)  # what kept the partner away may be what was changed
        for face, id, group in groups:
            if group.sharing != EVERYTHING and group != face.network.group(id):
                face.pages.forget(group)

    def retry(self, partner: PartnerId) -> None:
        """Try everything that is parked for *partner* again, now."""
        self.lines.retry(partner)

    def _view(self, connection: Connection) -> View:
        face = self._faces[dialect_of(connection.version).version]
        return View(face.pages, face.render)

    async def partner_health(self, partner: PartnerId) -> PartnerHealth:
        """Return how the partner does, in the core's words."""
        return await self.healths.of(partner)

    def health(self, partner: PartnerId) -> dict[str, object]:
        """Return the state of the link, for operators. Nothing secret is in it."""
        connection, worker = self.connections.get(partner), self.lines.worker(partner)
        if connection is None:
            return {"state": "unknown"}
        at = connection.registered_at
        return {
            "state": str(connection.state),
            "registered_at": at.isoformat() if at is not None else None,
            "version": connection.version,
            "endpoints": [f"{each.module} {each.role}" for each in connection.endpoints],
            "endpoints_guessed": connection.guessed,
            "push": worker.health() if worker is not None else None,
        }
