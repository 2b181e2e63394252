"""Commands, receiver: a partner asks for a start, a stop, an unlock.

The answer at once is a promise that is durable before it leaves. What the station said follows in
exactly one CommandResult: one POST, never before the answer was written, sent again only where the
connection was refused (then nothing was heard), inside the time that the answer announced.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import assert_never

import structlog

from cms.app.catalogue import Catalogue, EvsePlace
from cms.app.live import LiveState
from cms.app.ports import Clock, Store
from cms.app.remote import STARTABLE, Asker, Refusal, Remote, StartWish, explain
from cms.app.writes import CommandRecord, Exchange, KeepExchange
from cms.domain.commands import Answer, Outcome
from cms.domain.errors import CmsError
from cms.domain.ids import EvseRef, PartnerId, SessionId
from cms.domain.topology import Location
from ocpi_cpo.answers import Kind, PartnerAnswer
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.connections import Connection, Connections
from ocpi_cpo.envelope import Reply
from ocpi_cpo.errors import BadParameter, NotThere, OcpiError, UnknownPlace
from ocpi_cpo.pages import Network
from ocpi_cpo.partner_api import LARGEST_KEPT_BYTES, PartnerApi, exchange
from ocpi_cpo.registration import Errand
from ocpi_cpo.server import Call, Route
from ocpi_cpo.versions.dialect import (
    Dialect,
    StartOrder,
    StopOrder,
    UnlockOrder,
    UnsupportedOrder,
)
from ocpi_cpo.wire import dumps

log = structlog.get_logger()

WRITTEN_WITHIN_SECONDS = 5.0
"""An answer that takes longer to write goes to a caller that has gone; the result is sent anyway."""

REPEATED_WITHIN = timedelta(minutes=5)
"""A request that says the same again within this time is the same request, sent again."""

_REMEMBERED = 10_000
_FIRST_PAUSE_SECONDS = 0.5

_STRAIGHT: dict[Refusal, str] = {Refusal.UNKNOWN_SESSION: "UNKNOWN_SESSION"}


@dataclass(frozen=True, slots=True)
class Promise:
    """A command that was accepted, on its way to its one result.

    Attributes:
        key: under which its answer is remembered; None for one that a restart left over.
    """

    record: CommandRecord
    partner: PartnerId
    sender: PartnerId | None
    written: asyncio.Event
    deadline: float
    key: tuple[PartnerId, str] | None = None


class Commands:
    def __init__(
        self,
        store: Store,
        live: LiveState,
        network: Network,
        remote: Remote,
        connections: Connections,
        api: PartnerApi,
        config: OcpiConfig,
        clock: Clock,
        errand: Errand,
    ) -> None:
        self._store = store
        self._live = live
        self._network = network
        self._catalogue: Catalogue = network.catalogue
        self._dialect: Dialect = network.dialect
        self._remote = remote
        self._connections = connections
        self._api = api
        self._config = config
        self._clock = clock
        self._errand = errand
        self._since = clock()
        self._answers: OrderedDict[tuple[PartnerId, str], tuple[float, asyncio.Future[Reply]]] = (
            OrderedDict()
        )

    def routes(self) -> list[Route]:
        return [Route("POST", (self._dialect.version, "commands", "*"), self._serve)]

    # -- repeated requests

    async def _serve(self, call: Call) -> Reply:
        """Answer a command; the same request again gets the same answer and does nothing."""
        body = call.body()
        partner = call.caller.partner
        order = self._dialect.read_order(call.path[0], body, self._clock(), partner)
        if order is None:
            raise NotThere("no such command")
        self._check_reply_to(call.connection, order.reply_to)
        keys = _keys(call)
        for key in keys:
            if (first := self._said(key)) is not None:
                return await asyncio.shield(first)
        promised: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._remember(keys, promised)
        try:
            reply = await self._first(call, order)
        except BaseException as error:
            self._failed(keys, promised, error)
            raise
        promised.set_result(Reply(reply.data, reply.code, reply.message))
        if reply.after is None:
            self._answers.pop(keys[1], None)  # nothing was promised: asked again, look again
        return reply

    def _said(self, key: tuple[PartnerId, str]) -> asyncio.Future[Reply] | None:
        """Return the answer to the same request, if that was no more than minutes ago."""
        at, answer = self._answers.get(key, (0.0, None))
        return answer if monotonic() - at < REPEATED_WITHIN.total_seconds() else None

    def _failed(
        self,
        keys: Sequence[tuple[PartnerId, str]],
        promised: asyncio.Future[Reply],
        error: BaseException,
    ) -> None:
        """Give a refusal to those who repeat; what was our trouble may be tried again."""
        if isinstance(error, asyncio.CancelledError):
            promised.cancel()
        else:
            promised.set_exception(error)
            promised.exception()  # nobody may be waiting for it
        for key in keys[1:] if isinstance(error, OcpiError) else keys:
            self._answers.pop(key, None)

    def _remember(
        self, keys: Sequence[tuple[PartnerId, str]], answer: asyncio.Future[Reply]
    ) -> None:
        for key in keys:
            self._answers.pop(key, None)  # the newest last
            self._answers[key] = monotonic(), answer
        while len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)

    async def _first(
        self, call: Call, order: StartOrder | StopOrder | UnlockOrder | UnsupportedOrder
    ) -> Reply:
        asker = Asker(f"partner:{call.caller.partner}", order.reply_to)
        known = await self._store.command_of_reply(asker.who, order.reply_to)
        if known is not None and await self._repeats(call, known):
            return self._answer("ACCEPTED")
        match order:
            case StartOrder():
                return await self._start(call, order, asker)
            case StopOrder():
                return await self._stop(call, order, asker)
            case UnlockOrder():
                return await self._unlock(call, order, asker)
            case UnsupportedOrder():
                return self._answer("NOT_SUPPORTED", order.why)
        assert_never(order)

    async def _repeats(self, call: Call, known: CommandRecord) -> bool:
        """Whether a request is the one that led to *known*, before we restarted.

        Some partners give every command the same response_url, so the address alone says nothing.
        What a crash left no trace of counts as the same.
        """
        if known.created_at >= self._since:
            return False  # what this process answered, it remembers
        if self._clock() - known.created_at >= REPEATED_WITHIN:
            return False
        kept = await self._store.exchanges_about("command", known.id)
        bodies = {each.request for each in kept if not each.outbound}
        return not bodies or call.raw[:LARGEST_KEPT_BYTES] in bodies

    def _check_reply_to(self, connection: Connection, url: str) -> None:
        if not connection.private and not url.startswith("https://"):
            raise BadParameter("response_url: must begin with https://")
        if not connection.same_host(url):
            raise BadParameter("response_url: leads to a host that you did not register")

    # -- the three commands

    async def _start(self, call: Call, order: StartOrder, asker: Asker) -> Reply:
        if order.token.partner != call.caller.partner:
            return self._answer("REJECTED", "the token is of another party")
        site = self._site(order.location)
        place = self._evse(site, order.evse_uid)
        if place is None:
            return self._answer("REJECTED", "evse_uid is needed to choose an EVSE here")
        wish = StartWish(
            place.evse.ref,
            order.token,
            call.caller.partner,
            self._connector(place, order.connector),
            order.reference,
        )
        return self._promised(call, await self._remote.accept_start(wish, asker), site)

    async def _stop(self, call: Call, order: StopOrder, asker: Asker) -> Reply:
        id = SessionId(order.session)
        session = self._live.session(id)
        if session is None:
            kept = await self._store.session(id)
            session = kept.session if kept is not None else None
        if session is None or not session.running:
            return self._answer("UNKNOWN_SESSION")
        if session.owner != call.caller.partner:
            return self._answer("REJECTED", "this session is not yours")
        place = self._catalogue.place(session.ref)
        accepted = await self._remote.accept_stop(session, asker)
        return self._promised(call, accepted, place.location if place else None)

    async def _unlock(self, call: Call, order: UnlockOrder, asker: Asker) -> Reply:
        site = self._site(order.location)
        place = self._evse(site, order.evse_uid)
        assert place is not None, "an EVSE that is named is found, or the command is refused"
        number = self._connector(place, order.connector)
        if "UNLOCK_CAPABLE" not in place.evse.capabilities:
            return self._answer("NOT_SUPPORTED", "this EVSE cannot be unlocked from afar")
        accepted = await self._remote.accept_unlock(place.evse.ref, number or 1, asker)
        return self._promised(call, accepted, site)

    def _site(self, id: str) -> Location:
        site = self._network.site(id)
        if site is None or site.removed:
            raise self._unknown("location")
        return site

    def _evse(self, site: Location, uid: str | None) -> EvsePlace | None:
        """Return the EVSE that is named or, where none is, the only one that could start."""
        if uid is not None:
            place = self._network.find(site.id, uid)
            if place is None:
                raise self._unknown("EVSE")
            return place
        able = [
            place
            for station in self._catalogue.stations_of(site.id)
            for evse in station.evses
            if (place := self._network.visible(evse.ref)) is not None and self._startable(evse.ref)
        ]
        return able[0] if len(able) == 1 else None

    def _startable(self, ref: EvseRef) -> bool:
        state = self._live.evse(ref)
        return state.online and state.status in STARTABLE

    def _connector(self, place: EvsePlace, id: str | None) -> int | None:
        if id is None:
            if "START_SESSION_CONNECTOR_REQUIRED" in place.evse.capabilities:
                raise BadParameter("connector_id: missing, and this EVSE needs it")
            return None
        if not (id.isascii() and id.isdigit()) or place.evse.connector(int(id)) is None:
            raise self._unknown("connector")
        return int(id)

    def _unknown(self, what: str) -> UnknownPlace:
        return UnknownPlace(
            f"no such {what}", data=self._dialect.answer("REJECTED", 0, f"no such {what}")
        )

    # -- the promise and its one result

    def _answer(self, result: str, why: str | None = None) -> Reply:
        seconds = int(self._config.command_timeout.total_seconds())
        return Reply(self._dialect.answer(result, seconds if result == "ACCEPTED" else 0, why))

    def _promised(
        self, call: Call, accepted: CommandRecord | Refusal, site: Location | None
    ) -> Reply:
        if isinstance(accepted, Refusal):
            if accepted in (Refusal.UNKNOWN_EVSE, Refusal.UNKNOWN_CONNECTOR):
                raise self._unknown(accepted.value.removeprefix("unknown_"))
            return self._answer(_STRAIGHT.get(accepted, "REJECTED"), explain(accepted))
        seconds = self._config.command_timeout.total_seconds()
        promise = Promise(
            accepted,
            call.caller.partner,
            site.party if site is not None else None,
            asyncio.Event(),
            monotonic() + seconds,
            _keys(call)[1],
        )
        reply = self._answer("ACCEPTED")
        self._keep(call, dumps(reply.data), accepted)
        self._errand(f"command {accepted.id}", self._carry_out(promise))
        return Reply(reply.data, after=promise.written.set)

    async def _carry_out(self, promise: Promise) -> None:
        working = asyncio.ensure_future(self._remote.carry_out(promise.record))
        try:
            await asyncio.wait({working}, timeout=promise.deadline - monotonic())
            outcome = _outcome(working)
            if outcome is not Outcome.ACCEPTED and promise.key is not None:
                self._answers.pop(promise.key, None)  # asked again, it is a new wish
            await self._tell(promise, outcome)
            await asyncio.wait({working})  # after a time-out the station may still answer
            _outcome(working)
        finally:
            working.cancel()

    async def _tell(self, promise: Promise, outcome: Outcome) -> None:
        """Send the one CommandResult."""
        try:
            async with asyncio.timeout(WRITTEN_WITHIN_SECONDS):
                await promise.written.wait()
        except TimeoutError:
            log.warning("command.answer_unwritten", partner=promise.partner, id=promise.record.id)
        pause = _FIRST_PAUSE_SECONDS
        while True:
            answer = await self._post(promise, outcome)
            if answer is None or answer.kind is not Kind.UNREACHABLE:
                break
            if monotonic() + pause >= promise.deadline:
                break
            await asyncio.sleep(pause)
            pause *= 2
        await self._remote.told(promise.record)

    async def _post(self, promise: Promise, outcome: Outcome) -> PartnerAnswer | None:
        connection, url = self._connections.get(promise.partner), promise.record.reply_to
        if connection is None or connection.outbound is None or url is None:
            return None
        body = self._dialect.result(outcome, None)
        at = self._clock()
        answer = await self._api.call(
            connection, "POST", url, body, sender=promise.sender, fresh=True
        )
        kept = exchange(
            connection,
            "POST",
            url,
            dumps(body),
            answer,
            at=at,
            kind="command",
            key=promise.record.id,
            session=promise.record.session,
        )
        self._errand("keep exchange", self._store.commit([KeepExchange(kept)]))
        log.info(
            "command.told",
            partner=promise.partner,
            id=promise.record.id,
            outcome=outcome,
            answer=answer.text,
        )
        return answer

    async def tell_leftovers(self, ended: Sequence[CommandRecord]) -> None:
        """Tell partners, once, that what was promised before a crash has ended as TIMEOUT."""
        for record in ended:
            if record.reply_to is None or not record.asked_by.startswith("partner:"):
                continue
            written = asyncio.Event()
            written.set()
            partner = PartnerId(record.asked_by.removeprefix("partner:"))
            ref = EvseRef(record.station, record.evse or 1)
            place = self._catalogue.place(ref)
            sender = place.location.party if place is not None else None
            promise = Promise(record, partner, sender, written, deadline=monotonic())
            self._errand(f"leftover {record.id}", self._tell(promise, Outcome.TIMEOUT))

    def _keep(self, call: Call, answer: bytes, record: CommandRecord | None) -> None:
        kept = Exchange(
            self._clock(),
            call.caller.partner,
            outbound=False,
            kind="command",
            key=record.id if record is not None else call.request_id,
            method=call.method,
            url=call.url,
            request=call.raw[:LARGEST_KEPT_BYTES],
            http_status=200,
            answer=answer[:LARGEST_KEPT_BYTES],
            took_ms=0,
            session=record.session if record is not None else None,
        )
        self._errand("keep exchange", self._store.commit([KeepExchange(kept)]))


def _keys(call: Call) -> tuple[tuple[PartnerId, str], tuple[PartnerId, str]]:
    """Return what makes a request the same request: its own id and body, or its body alone."""
    content = hashlib.sha256(call.path[0].encode() + b" " + call.raw).hexdigest()
    partner = call.caller.partner
    return (partner, f"{call.request_id}:{content}"), (partner, content)


def _outcome(working: asyncio.Future[Answer]) -> Outcome:
    """Return how the station's part ended; no answer in time, or none that we kept: TIMEOUT."""
    if not working.done() or working.cancelled():
        return Outcome.TIMEOUT
    error = working.exception()
    if error is not None:
        if not isinstance(error, CmsError):
            log.error("command.failed", exc_info=error)
        return Outcome.TIMEOUT
    return working.result().outcome
