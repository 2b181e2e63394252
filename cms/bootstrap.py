"""The composition root: the one place that knows every package, and nothing else."""

from __future__ import annotations

import asyncio
import errno
import functools
import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

import adapters
from cms import measuring
from cms.app.administration import OPERATOR, Administration
from cms.app.authorising import Authoriser, AuthorisingRules
from cms.app.casefile import CaseFile
from cms.app.catalogue import Catalogue
from cms.app.charging import Charging
from cms.app.charging_rules import ChargingRules
from cms.app.correcting import Correcting
from cms.app.definitions import DefinedKey, Definitions, take_up
from cms.app.evidence import Evidence
from cms.app.gatekeeping import EnrolmentLane, Gate
from cms.app.lanes import Lanes
from cms.app.limiting import Limiting
from cms.app.live import LiveState
from cms.app.ports import (
    LoggedFrame,
    RefusedHandshake,
    Restored,
    StationLink,
)
from cms.app.power_cuts import PowerCuts
from cms.app.preferring import Preferring
from cms.app.pricing import Pricing
from cms.app.profiling import Profiling
from cms.app.quoting import Quoting
from cms.app.remote import Remote
from cms.app.reserving import Reserving, ReservingRules
from cms.app.running import RunningPrices
from cms.app.settling import Settling, SettlingRules
from cms.app.silence import Silence
from cms.app.stations import StationDesk, StationRules, Stations
from cms.app.supervision import Supervisor, supervised
from cms.app.work import Work
from cms.config import ChargingConfig, Config, ConfigError
from cms.dashboard.access import Access
from cms.dashboard.api import Api, Desk
from cms.dashboard.openapi import document
from cms.dashboard.page import Page as WebPage
from cms.dashboard.routing import application, json_response
from cms.domain.audit import WorkItem
from cms.domain.commands import Answer, Command, Outcome
from cms.domain.darkness import DarkPolicy, DarkRule
from cms.domain.errors import CmsError, InvalidValue
from cms.domain.ids import LocationId, PartnerId, StationId
from cms.domain.partner import ApiKey, Right
from cms.domain.rating import Rating
from cms.domain.session import Session
from cms.intake.base import within
from cms.observability import SECRETS, Metrics
from cms.store import maintenance, opening, schema
from cms.store.store import SqlStore
from cms.vitals import Vitals, settle_memory
from ocpi_cpo.config import Comparing, OcpiConfig, OwnCertificate, OwnParty
from ocpi_cpo.desk import Partners
from ocpi_cpo.door import asking_for_certificates
from ocpi_cpo.profiles import profile_of
from ocpi_cpo.push.nightly import Nightly
from ocpi_cpo.service import OcpiService
from ocpp_gateway.frame_log import Direction
from ocpp_gateway.limits import Limits
from ocpp_gateway.server import Gateway, Version, tls_context
from ocpp_gateway.signing import signed_readings
from ocpp_gateway.v16.inbound import Inbound as Inbound16
from ocpp_gateway.v16.outbound import Outbound as Outbound16
from ocpp_gateway.v201.inbound import Inbound as Inbound201
from ocpp_gateway.v201.outbound import Outbound as Outbound201

log = structlog.get_logger()


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Running:
    """A running server, as its caller sees it.

    Attributes:
        operator_key: an API key with all rights, good for this run only.
        once: path of a one-time login to the page.
    """

    ocpp_port: int
    http_port: int
    operator_key: str
    parts: Parts

    def once(self) -> str:
        return f"/login/once/{self.parts.access.once(self.parts.operator)}"


class Switchboard:
    """Reaches a station through whoever holds its connection; bound once the gateway stands."""

    def __init__(self) -> None:
        self.link: StationLink | None = None

    async def send(self, command: Command) -> Answer:
        return Answer(Outcome.OFFLINE) if self.link is None else await self.link.send(command)

    async def disconnect(self, station: StationId, why: str) -> None:
        if self.link is not None:
            await self.link.disconnect(station, why)


class StationEyes:
    """What the gateway remembers, in the words of the ``StationLog`` port."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def frames(self, station: StationId) -> Sequence[LoggedFrame]:
        return [
            LoggedFrame(
                frame.at,
                frame.direction is Direction.RECEIVED,
                SECRETS.redact(frame.data.decode("utf-8", "replace")),
            )
            for frame in self._gateway.frames(station, 100)
        ]

    def refusals(self) -> Sequence[RefusedHandshake]:
        return [
            RefusedHandshake(each.at, each.identity, each.source, f"{each.status} {each.reason}")
            for each in self._gateway.refused.last(limit=200)
        ]


class Parts:
    """Everything that one process is made of, wired. Nothing runs yet; no socket is open."""

    def __init__(self, config: Config, store: SqlStore, kept: Restored, supervisor: Supervisor):
        self.config = config
        self.store = store
        self.clock = utc_now
        self.kept = kept
        self.supervisor = supervisor
        self.metrics = Metrics()
        self.vitals = Vitals(self.metrics.registry)
        self.catalogue = Catalogue()
        self.live = LiveState()
        self.lanes = Lanes()
        self.switchboard = Switchboard()
        self.catalogue.restore(kept)
        self.live.restore(kept.last_updated)
        self._wire_core()
        self._wire_gateway()
        self._wire_desk()
        self.figures = measuring.show(self)

    def _wire_core(self) -> None:
        charging = self.config.charging
        self.gate = Gate(self.catalogue, self.store, utc_now, lanes_of(self.config))
        self.remote = Remote(self.store, self.live, self.catalogue, self.switchboard, utc_now)
        self.profiling = Profiling(
            self.store, self.live, self.catalogue, self.remote, self.switchboard, utc_now
        )
        self.administration = Administration(
            self.store, self.catalogue, self.live, self.lanes, self.switchboard, utc_now
        )
        self.roaming = OcpiService(
            self.store,
            self.live,
            self.catalogue,
            self.administration,
            utc_now,
            ocpi_of(self.config),
            profiling=self.profiling,
            running_price=self._price_so_far,
            secret=SECRETS.add,
            forget=self._forget,
        )
        self.authoriser = Authoriser(
            self.catalogue,
            self.roaming.authority,
            self.remote.start_of,
            utc_now,
            self.supervisor.errand,
            AuthorisingRules(charging.ask_partners_about_unknown_tokens),
            self.remote.reservations.card,
        )
        self.stations = Stations(
            self.store,
            self.live,
            self.catalogue,
            self.lanes,
            utc_now,
            StationRules(timedelta(seconds=charging.offline_grace_seconds)),
            self.gate,
        )
        self.charging = Charging(
            self.store,
            self.live,
            self.catalogue,
            self.lanes,
            self.authoriser,
            self.remote,
            utc_now,
            ChargingRules(
                settle_grace=timedelta(seconds=charging.settle_grace_seconds),
                touch_every=timedelta(seconds=charging.session_push_seconds),
                touch_for=self._touch_for,
            ),
        )
        self.events = StationDesk(self.stations, self.charging, self.profiling)
        self.running_prices = RunningPrices(self.store, self.catalogue, self.charging, utc_now)
        self.limiting = Limiting(
            self.store, self.live, self.catalogue, self.charging, self.remote, utc_now
        )
        self.power_cuts = PowerCuts(
            self.stations, self.charging, self.live, self.catalogue, utc_now, dark_rule(charging)
        )
        self.settling = Settling(
            self.store,
            self.live,
            self.catalogue,
            self.lanes,
            self.charging,
            self.remote,
            utc_now,
            SettlingRules(),
            signed_readings,
        )
        self.reserving = Reserving(
            self.store,
            self.live,
            self.catalogue,
            self.lanes,
            self.remote,
            self.charging.terms,
            self.settling,
            self.switchboard,
            utc_now,
            ReservingRules(timedelta(seconds=charging.reservation_grace_seconds)),
        )
        self.events.reserving = self.reserving
        self.roaming.connect_remote(self.remote, self.reserving)
        self.roaming.connect_preferring(Preferring(self.charging, self.catalogue, utc_now))
        self.work = Work(
            self.store,
            self.live,
            self.catalogue,
            self.charging,
            self.settling,
            utc_now,
            self._retry_delivery,
        )

    async def _retry_delivery(self, item: WorkItem, who: str) -> None:
        """A parked delivery is the roaming edge's: its partner is tried again, now."""
        partner = str(item.evidence.get("partner", ""))
        log.info("delivery.retried", partner=partner, by=who)
        self.roaming.retry(PartnerId(partner))

    async def _price_so_far(self, session: Session) -> Rating | None:
        return await self.running_prices.so_far(session)

    def _touch_for(self, owner: PartnerId | None) -> timedelta | None:
        """How often the owner of a session wants to hear how it goes on."""
        own = self.catalogue.partners.get(owner) if owner is not None else None
        if own is not None and own.via is not None:
            own = self.catalogue.partners.get(own.via)  # habits are those of who is connected
        seconds = profile_of(own).session_push_seconds
        return None if seconds is None else timedelta(seconds=seconds)

    def _forget(self, partner: PartnerId, uid: str) -> None:
        self.authoriser.forget(partner, uid)
        self.remote.vouchers.forget(partner, uid)

    def _wire_gateway(self) -> None:
        ocpp = self.config.ocpp
        self.gateway = Gateway(
            events=self.events,
            gatekeeper=self.gate,
            versions=[
                Version(Inbound16(self.events, utc_now, ocpp.heartbeat_seconds), Outbound16()),
                Version(Inbound201(self.events, utc_now, ocpp.heartbeat_seconds), Outbound201()),
            ],
            adapters=adapters.catalogue(),
            clock=utc_now,
            limits=Limits(
                handshake_s=ocpp.handshake_timeout_seconds,
                unauthenticated_per_address=ocpp.most_unknown_per_address,
                handshakes_per_s=float(ocpp.most_handshakes_per_second),
                ping_after_s=ocpp.ping_after_seconds,
                dead_after_s=ocpp.dead_after_seconds,
                call_s=ocpp.call_timeout_seconds,
                heartbeat_s=ocpp.heartbeat_seconds,
            ),
        )
        self.switchboard.link = self.gateway

    def _wire_desk(self) -> None:
        self.access = Access(self.administration)
        self.pricing = Pricing(self.store, self.catalogue, self.live, utc_now)
        self.casefile = CaseFile(self.store, self.catalogue, SECRETS.scrub)
        self.correcting = Correcting(
            self.store,
            self.live,
            self.catalogue,
            utc_now,
            self.roaming.creditable,
            self.supervisor.errand,
        )
        self.operator, self.operator_key = self._draw_operator()
        desk = Desk(
            store=self.store,
            catalogue=self.catalogue,
            live=self.live,
            administration=self.administration,
            remote=self.remote,
            settling=self.settling,
            profiling=self.profiling,
            reserving=self.reserving,
            sums=self.store,
            casefile=self.casefile,
            correcting=self.correcting,
            invoicing=self.roaming.invoicing,
            evidence=Evidence(
                self.store, self.casefile, self.roaming.rendered_bill, SECRETS.without, utc_now
            ),
            work=self.work,
            partners=Partners(self.roaming, self.catalogue, ocpi_of(self.config)),
            log=StationEyes(self.gateway),
            running_price=self._price_so_far,
            clock=utc_now,
            party=self.config.party.id,
            access=self.access,
            pricing=self.pricing,
            quoting=Quoting(self.catalogue, SettlingRules().currency),
        )
        self.api = Api(desk)

    def _draw_operator(self) -> tuple[ApiKey, str]:
        """Draw the command line's key: all rights, this run only, in memory only."""
        key, text = self.administration.draw_key(OPERATOR, "command line", frozenset(Right))
        self.catalogue.api_keys[OPERATOR] = key
        SECRETS.add(text)
        return key, text

    async def start(self) -> None:
        """Take up what memory lost, what the file says, and what a crash left undone."""
        self.events.restore(self.kept)
        await self.settling.restore(self.kept)
        self.limiting.restore()
        self.power_cuts.restore()
        await self.profiling.restore()
        defined = definitions_of(self.config)
        await take_up(defined, self.administration, self.catalogue, self.store)
        await self.reserving.restore(self.kept)
        self._leftovers = await self.remote.give_up_unfinished(self.kept.unfinished_commands)
        await self.pricing.load()
        await self.roaming.load()

    def keep_running(self) -> None:
        """Start everything that runs in the background."""
        keep = self.supervisor
        keep.keep("settling", self.settling.run)
        keep.keep("limits", self.limiting.run)
        keep.keep("power cuts", self.power_cuts.run)
        keep.keep("charging profiles", self.profiling.run)
        keep.keep("roaming", self._roam)
        keep.keep("corrections", self._go_on_correcting)
        keep.every(1.0, "grace", self.stations.expire)
        silence = Silence(self.store, self.live, self.stations, utc_now)
        keep.every(60.0, "silence", silence.look)
        keep.every(5.0, "remote starts", self.remote.expire)
        keep.every(1.0, "reservations", self.reserving.look)
        keep.every(5.0, "reservations to be let go", self.reserving.pay_debts)
        keep.keep("loop watch", self.vitals.watch_loop)
        keep.every(3600.0, "retention", self._forget_old)

    async def _go_on_correcting(self) -> None:
        if count := await self.correcting.resume():
            log.info("corrections.resumed", runs=count)

    async def _roam(self) -> None:
        leftovers, self._leftovers = self._leftovers, ()
        await self.roaming.run(leftovers)

    async def _forget_old(self) -> None:
        kept = self.config.retention
        gone = await maintenance.retention(
            self.store,
            maintenance.Keep(kept.journal_days, kept.exchange_days, kept.authorisation_days),
            utc_now,
        )
        log.info("retention.done", rows=gone)

    def http(self) -> web.Application:
        """Return everything that is served over HTTP."""
        app = web.Application()
        api = application(self.api.routes(), self.access)
        described = functools.cache(lambda: document(self.api.routes(), version("cms")))
        api.router.add_get("/openapi.json", _constant(described))
        api.on_shutdown.append(self.api.leave)
        app.add_subapp("/api/v1", api)
        app.add_subapp("/ocpi", self.roaming.app())
        page = WebPage(self.access, self.config.party.name, self.config.http.tls is not None)
        app.add_routes(page.routes())
        app.router.add_get("/healthz", _constant(lambda: {"status": "ok"}))
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._metrics)
        return app

    async def _ready(self, request: web.Request) -> web.Response:
        if self.store.healthy:
            return json_response({"status": "ready", "store": "up"})
        return json_response({"status": "not ready", "store": "down"}, 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        await self.figures.refresh()
        body = generate_latest(self.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _constant(data: Callable[[], object]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        return json_response(data())

    return serve


# ---------------------------------------------------------------- config -> core


def lanes_of(config: Config) -> list[EnrolmentLane]:
    return [
        EnrolmentLane(
            LocationId(each.location),
            each.until if each.until.tzinfo else each.until.replace(tzinfo=UTC),
            each.secret,
            each.networks,
            each.password,
            each.most,
        )
        for each in config.enrolment
    ]


def ocpi_of(config: Config) -> OcpiConfig:
    own = tuple(
        OwnParty(each.country_code, each.party_id, each.name, each.website)
        for each in (config.party, *config.parties)
    )
    return OcpiConfig(
        f"{config.public_url}/ocpi",
        own,
        page_limit=config.ocpi.page_limit,
        request_timeout=timedelta(seconds=config.ocpi.timeout_seconds),
        allow_private=config.ocpi.allow_private_addresses,
        comparing=comparing_of(config),
        trusted_proxies=config.http.trusted_proxies,
        client_certificate_header=config.http.client_certificate_header,
        certificates={
            each.name: OwnCertificate(
                str(each.certificate), str(each.key), str(each.trust) if each.trust else None
            )
            for each in config.ocpi.certificates
        },
    )


def comparing_of(config: Config) -> Comparing:
    given = config.ocpi
    jitter = timedelta(minutes=given.compare_jitter_minutes)
    nightly = Nightly(given.compare_at, ZoneInfo(given.compare_time_zone), jitter)
    return Comparing(
        nightly if given.compare else None,
        timedelta(seconds=given.compare_pause_seconds),
        given.compare_days,
    )


def dark_rule(given: ChargingConfig) -> DarkRule:
    return DarkRule(
        least=given.dark_site_least,
        percent=round(given.dark_site_share * 100),
        window=timedelta(seconds=given.dark_site_window_seconds),
        policy=DarkPolicy(given.power_cut_policy),
        hold=timedelta(seconds=given.stitch_within_seconds),
    )


def definitions_of(config: Config) -> Definitions:
    """Return what the file defines, checked.

    Raises:
        InvalidValue: naming the entry and its field.
    """
    defined = Definitions(
        locations=_each("locations", config.locations, lambda each: each.value(config.party.id)),
        stations=_each("chargers", config.chargers, lambda each: each.value()),
        keys=[
            DefinedKey(
                StationId(each.id), None if each.password is None else each.password.encode()
            )
            for each in config.chargers
        ],
        tariffs=_each("tariffs", config.tariffs, lambda each: each.value()),
        rules=_each("tariff_rules", config.tariff_rules, lambda each: each.value()),
        tokens=_each("tokens", config.tokens, lambda each: each.value()),
    )
    _hide_secrets(config)
    defined.check()
    return defined


def _hide_secrets(config: Config) -> None:
    """Register every secret of the file, so that none can leave in a log line."""
    SECRETS.add(*(each.password for each in config.chargers))
    SECRETS.add(*(each.password for each in config.enrolment))
    SECRETS.add(*(each.secret for each in config.enrolment))
    with suppress(ValueError):
        password = urlsplit(config.database.url).password
        SECRETS.add(password, None if password is None else unquote(password))


def topology_of(config: Config) -> Definitions:
    """Check what the file defines.

    Raises:
        ConfigError: one line naming the entry.
    """
    try:
        return definitions_of(config)
    except InvalidValue as error:
        raise ConfigError(str(error)) from None


def _each(where: str, given: Sequence[Any], make: Callable[[Any], Any]) -> list[Any]:
    found = []
    for position, each in enumerate(given):
        with within(f"{where}[{position}]"):
            found.append(make(each))
    return found


# ---------------------------------------------------------------- running


@asynccontextmanager
async def assembled(config: Config) -> AsyncIterator[Parts]:
    """Open the store and wire everything; no socket is open, nothing runs in the background.

    Raises:
        ConfigError: the file or the store cannot be used; one line.
    """
    topology_of(config)
    async with AsyncExitStack() as stack:
        try:
            store = await stack.enter_async_context(
                opening.open_store(config.database.url, utc_now)
            )
        except CmsError as error:
            raise ConfigError(f"database.url: {error}") from None
        supervisor = await stack.enter_async_context(supervised())
        try:
            parts = Parts(config, store, await store.restore(), supervisor)
        except ssl.SSLError as error:
            raise ConfigError(f"ocpi.certificates: {error}") from None
        await parts.start()
        yield parts


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Running]:
    """Run the whole product while the block runs. Leaving the block stops all of it.

    Raises:
        ConfigError: the config, the store or a port cannot be used; one line.
    """
    async with assembled(config) as parts:
        ocpp, http = config.ocpp, config.http
        runner = web.AppRunner(parts.http(), access_log=None, handle_signals=False)
        try:
            settle_memory()  # before anybody connects: a pass over 10,000 chargers takes a second
            http_port = await _serve(runner, http.host, http.port, _tls("http", http.tls))
            ocpp_tls = _tls("ocpp", ocpp.tls)
            ocpp_port = await _listening(
                "ocpp", ocpp.host, ocpp.port, parts.gateway.start(ocpp.host, ocpp.port, ocpp_tls)
            )
            parts.keep_running()
            parts.vitals.watch_collector()
            _leave_address(config, parts, http_port)
            log.info("store.open", durability=parts.store.durability)
            yield Running(ocpp_port, http_port, parts.operator_key, parts)
        finally:
            _take_address(config, parts)
            parts.vitals.leave_collector()
            await parts.gateway.stop()
            await runner.cleanup()


@asynccontextmanager
async def back_office(config: Config) -> AsyncIterator[tuple[str, str]]:
    """Serve the API alone on a loopback port; yields its address and a key with all rights.

    For admin verbs while no server runs: the same routes, checks and audit rows.

    Raises:
        ConfigError: the store cannot be opened, for instance because a server holds it.
    """
    async with assembled(config) as parts:
        runner = web.AppRunner(parts.http(), access_log=None)
        try:
            port = await _serve(runner, "127.0.0.1", 0, None)
            yield f"http://127.0.0.1:{port}", parts.operator_key
        finally:
            await runner.cleanup()


async def _serve(runner: web.AppRunner, host: str, port: int, tls: ssl.SSLContext | None) -> int:
    await runner.setup()
    site = web.TCPSite(runner, host, port, ssl_context=tls, backlog=1024)
    await _listening("http", host, port, site.start())
    return int(runner.addresses[0][1])


async def _listening(key: str, host: str, port: int, starting: Awaitable[Any]) -> Any:
    try:
        return await starting
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = f"{key}.port: port {port} is in use by another program"
        elif error.errno == errno.EACCES:
            why = f"{key}.port: port {port} is for privileged programs only"
        else:
            why = f"{key}.host: cannot listen on {host!r}: {(error.strerror or str(error)).lower()}"
        raise ConfigError(why) from None


def _tls(key: str, given: Any) -> ssl.SSLContext | None:
    if given is None:
        return None
    try:
        context = tls_context(given.certificate, given.key)
        authorities = getattr(given, "client_authorities", None)
        if authorities is not None:
            asking_for_certificates(context, str(authorities))
        return context
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{key}.tls: {error}") from None


def _leave_address(config: Config, parts: Parts, port: int) -> None:
    """Leave address and key where the command line finds them, readable by us only."""
    file = config.http.operator_file
    scheme = "https" if config.http.tls else "http"
    text = json.dumps({"url": f"{scheme}://127.0.0.1:{port}", "key": parts.operator_key})
    try:
        file.unlink(missing_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(text)
    except OSError as error:
        raise ConfigError(f"http.operator_file: cannot write {file}: {error.strerror}") from None


def _take_address(config: Config, parts: Parts) -> None:
    """Remove what ``_leave_address`` left, and nobody else's."""
    file = config.http.operator_file
    try:
        if json.loads(file.read_text())["key"] == parts.operator_key:
            file.unlink()
    except (OSError, ValueError, KeyError, TypeError):
        return


# ---------------------------------------------------------------- errands of the command line


def upgrade(config: Config) -> str:
    """Bring the schema up to this version; says what is there now."""
    try:
        return asyncio.run(schema.upgrade(config.database.url))
    except CmsError as error:
        raise ConfigError(f"database.url: {error}") from None


async def backup(config: Config, to: Path) -> None:
    """Write a consistent copy of the store, also while a server runs."""
    try:
        await maintenance.backup(config.database.url, to)
    except CmsError as error:
        raise ConfigError(f"database.url: {error}") from None
