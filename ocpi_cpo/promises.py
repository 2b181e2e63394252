"""What a partner asks of a station: one answer at once, one result later.

The answer at once is a promise that is durable before it leaves. What came of it follows in
exactly one result: one POST to the partner's response_url, never before the answer was written,
sent again only where the connection was refused (then nothing was heard), inside the time that the
answer announced. A request that arrives again gets the first answer and does nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

import structlog

from cms.app.ports import Clock, Store
from cms.app.writes import CommandRecord, Exchange, KeepExchange
from cms.domain.commands import Answer, Outcome
from cms.domain.errors import CmsError
from cms.domain.ids import PartnerId
from ocpi_cpo.answers import Kind, PartnerAnswer
from ocpi_cpo.client import askable
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.connections import Connection, Connections
from ocpi_cpo.envelope import Reply
from ocpi_cpo.errors import BadParameter, OcpiError
from ocpi_cpo.partner_api import LARGEST_KEPT_BYTES, PartnerApi, exchange
from ocpi_cpo.registration import Errand
from ocpi_cpo.server import Call
from ocpi_cpo.wire import Json, dumps

log = structlog.get_logger()

WRITTEN_WITHIN_SECONDS = 5.0
"""An answer that takes longer to write goes to a caller that has gone; the result is sent anyway."""

REPEATED_WITHIN = timedelta(minutes=5)
"""A request that says the same again within this time is the same request, sent again."""

TIMED_OUT = Answer(Outcome.TIMEOUT)

_REMEMBERED = 10_000
_FIRST_PAUSE_SECONDS = 0.5

Key = tuple[PartnerId, str]


async def _timed_out() -> Answer:
    """Its time is over, and there is nothing to decide about it."""
    return TIMED_OUT


@dataclass(frozen=True, slots=True)
class Wish:
    """What was accepted, and how its one result is found and told.

    Attributes:
        sender: our party that tells it; None = the first.
        work: asks the station, and returns what it said.
        told: keeps that the partner has heard, or can never hear.
        result: the body of the one POST.
        lasting: the same request within minutes is this one again, even after it came true; where
            not, only while it is under way.
        give_up: decides what is told once the announced time is over without an answer; by default
            that it is.
    """

    record: CommandRecord
    partner: PartnerId
    sender: PartnerId | None
    work: Callable[[], Awaitable[Answer]]
    told: Callable[[], Awaitable[None]]
    result: Callable[[Answer], Json]
    lasting: bool = True
    give_up: Callable[[], Awaitable[Answer]] = _timed_out


@dataclass(frozen=True, slots=True)
class _Promise:
    """A wish on its way to its one result.

    Attributes:
        key: under which its answer is remembered; None for one that a restart left over.
    """

    wish: Wish
    written: asyncio.Event
    deadline: float
    key: Key | None = None


class Promises:
    """Answers at once, tells one result, for every module where partners ask for something.

    Args:
        kind: of the exchanges that are kept for the case file.
    """

    def __init__(
        self,
        kind: str,
        store: Store,
        connections: Connections,
        api: PartnerApi,
        config: OcpiConfig,
        clock: Clock,
        errand: Errand,
    ) -> None:
        self._kind = kind
        self._store = store
        self._connections = connections
        self._api = api
        self._config = config
        self._clock = clock
        self._errand = errand
        self._since = clock()
        self._answers: OrderedDict[Key, tuple[float, asyncio.Future[Reply]]] = OrderedDict()

    @property
    def seconds(self) -> int:
        """How long a partner is told to wait for a result."""
        return int(self._config.command_timeout.total_seconds())

    # -- repeated requests

    async def once(self, call: Call, first: Callable[[], Awaitable[Reply]]) -> Reply:
        """Answer a request; the same request again gets the same answer and does nothing."""
        keys = _keys(call)
        for key in keys:
            if (said := self._said(key)) is not None:
                return await asyncio.shield(said)
        promised: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._remember(keys, promised)
        try:
            reply = await first()
        except BaseException as error:
            self._failed(keys, promised, error)
            raise
        promised.set_result(Reply(reply.data, reply.code, reply.message))
        if reply.after is None:
            self._answers.pop(keys[1], None)  # nothing was promised: asked again, look again
        return reply

    async def repeats(self, call: Call, known: CommandRecord | None) -> bool:
        """Whether a request is the one that led to *known*, before we restarted.

        Some partners give every request the same response_url, so the address alone says nothing.
        What a crash left no trace of counts as the same.

        Args:
            known: the newest that was asked for with the request's response_url.
        """
        if known is None or known.created_at >= self._since:
            return False  # what this process answered, it remembers
        if self._clock() - known.created_at >= REPEATED_WITHIN:
            return False
        kept = await self._store.exchanges_about(self._kind, known.id)
        bodies = {each.request for each in kept if not each.outbound}
        return not bodies or call.raw[:LARGEST_KEPT_BYTES] in bodies

    def check_reply_to(self, connection: Connection, url: str) -> None:
        """Check that a result may be sent to *url*.

        Raises:
            BadParameter: it is not safe, or leads away from the partner.
        """
        if not connection.private and not url.startswith("https://"):
            raise BadParameter("response_url: must begin with https://")
        if askable(url, connection.private) is None:
            raise BadParameter("response_url: is no address that we may send to")
        if not connection.same_host(url):
            raise BadParameter("response_url: leads to a host that you did not register")

    def _said(self, key: Key) -> asyncio.Future[Reply] | None:
        """Return the answer to the same request, if that was no more than minutes ago."""
        at, answer = self._answers.get(key, (0.0, None))
        return answer if monotonic() - at < REPEATED_WITHIN.total_seconds() else None

    def _failed(
        self, keys: Sequence[Key], promised: asyncio.Future[Reply], error: BaseException
    ) -> None:
        """Give a refusal to those who repeat; what was our trouble may be tried again."""
        if isinstance(error, asyncio.CancelledError):
            promised.cancel()
        else:
            promised.set_exception(error)
            promised.exception()  # nobody may be waiting for it
        for key in keys[1:] if isinstance(error, OcpiError) else keys:
            self._answers.pop(key, None)

    def _remember(self, keys: Sequence[Key], answer: asyncio.Future[Reply]) -> None:
        for key in keys:
            self._answers.pop(key, None)  # the newest last
            self._answers[key] = monotonic(), answer
        while len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)

    # -- the one result

    def accepted(self, call: Call, wish: Wish, answer: Json) -> Reply:
        """Return *answer* as the reply to *call*, with *wish* carried out and told behind it."""
        deadline = monotonic() + self._config.command_timeout.total_seconds()
        promise = _Promise(wish, asyncio.Event(), deadline, _keys(call)[1])
        self._keep(call, dumps(answer), wish.record)
        self._errand(f"{self._kind} {wish.record.id}", self._carry_out(promise))
        return Reply(answer, after=promise.written.set)

    def tell_leftover(self, wish: Wish) -> None:
        """Tell a partner, once, that what was promised before a crash has ended as TIMEOUT."""
        written = asyncio.Event()
        written.set()
        promise = _Promise(wish, written, deadline=monotonic())
        self._errand(f"leftover {wish.record.id}", self._tell(promise, TIMED_OUT))

    def tell_later(self, wish: Wish) -> None:
        """Tell a partner something new about a promise of which it knows the result."""
        written = asyncio.Event()
        written.set()
        promise = _Promise(wish, written, monotonic() + self.seconds)
        self._errand(f"later {wish.record.id}", self._tell(promise, TIMED_OUT))

    async def _carry_out(self, promise: _Promise) -> None:
        working = asyncio.ensure_future(promise.wish.work())
        try:
            await asyncio.wait({working}, timeout=promise.deadline - monotonic())
            late = not working.done()
            answer = await promise.wish.give_up() if late else _answer(working)
            over = answer.outcome is not Outcome.ACCEPTED or not promise.wish.lasting
            if over and promise.key is not None:
                self._answers.pop(promise.key, None)  # asked again, it is a new wish
            await self._tell(promise, answer)
            await asyncio.wait({working})  # after a time-out the station may still answer
            _answer(working)
        finally:
            working.cancel()

    async def _tell(self, promise: _Promise, answer: Answer) -> None:
        """Send the one result."""
        wish = promise.wish
        try:
            async with asyncio.timeout(WRITTEN_WITHIN_SECONDS):
                await promise.written.wait()
        except TimeoutError:
            log.warning(f"{self._kind}.answer_unwritten", partner=wish.partner, id=wish.record.id)
        pause = _FIRST_PAUSE_SECONDS
        while True:
            heard = await self._post(wish, answer)
            if heard is None or heard.kind is not Kind.UNREACHABLE:
                break
            if monotonic() + pause >= promise.deadline:
                break
            await asyncio.sleep(pause)
            pause *= 2
        await wish.told()

    async def _post(self, wish: Wish, answer: Answer) -> PartnerAnswer | None:
        connection, url = self._connections.get(wish.partner), wish.record.reply_to
        if connection is None or connection.outbound is None or url is None:
            return None
        body = wish.result(answer)
        at = self._clock()
        heard = await self._api.call(connection, "POST", url, body, sender=wish.sender, fresh=True)
        kept = exchange(
            connection,
            "POST",
            url,
            dumps(body),
            heard,
            at=at,
            kind=self._kind,
            key=wish.record.id,
            session=wish.record.session,
        )
        self._errand("keep exchange", self._store.commit([KeepExchange(kept)]))
        log.info(
            f"{self._kind}.told",
            partner=wish.partner,
            id=wish.record.id,
            outcome=answer.outcome,
            answer=heard.text,
        )
        return heard

    def _keep(self, call: Call, answer: bytes, record: CommandRecord) -> None:
        kept = Exchange(
            self._clock(),
            call.caller.partner,
            outbound=False,
            kind=self._kind,
            key=record.id,
            method=call.method,
            url=call.url,
            request=call.raw[:LARGEST_KEPT_BYTES],
            http_status=200,
            answer=answer[:LARGEST_KEPT_BYTES],
            took_ms=0,
            session=record.session,
        )
        self._errand("keep exchange", self._store.commit([KeepExchange(kept)]))


def _keys(call: Call) -> tuple[Key, Key]:
    """Return what makes a request the same request: its own id and content, or content alone."""
    where = f"{call.method} {call.url}?{call.raw_query}\n".encode()
    content = hashlib.sha256(where + call.raw).hexdigest()
    partner = call.caller.partner
    return (partner, f"{call.request_id}:{content}"), (partner, content)


def _answer(working: asyncio.Future[Answer]) -> Answer:
    """Return what the station said; no answer in time, or none that we kept: TIMEOUT."""
    if not working.done() or working.cancelled():
        return TIMED_OUT
    error = working.exception()
    if error is not None:
        if not isinstance(error, CmsError):
            log.error("promise.failed", exc_info=error)
        return TIMED_OUT
    return working.result()
