"""One partner's line: reads the feed, keeps the order, paces itself, parks what will not go.

A slow or dead partner costs its own worker and nobody else. The cursor of each stream is the last
``seq`` with nothing open at or below it, so a crash repeats at most what was in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from time import monotonic
from typing import Any

import structlog

from cms.app.ports import Change, Clock, Store
from cms.app.writes import PutCursor
from cms.domain.errors import StoreDown
from cms.domain.ids import PartnerId
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.connections import Connection
from ocpi_cpo.push.ahead import Before
from ocpi_cpo.push.courier import Courier
from ocpi_cpo.push.feed import SharedFeed
from ocpi_cpo.push.pace import Pace, Trunk, pause
from ocpi_cpo.push.stream import PARK_AFTER, Item, Stream
from ocpi_cpo.push.telling import MODULE_OF, ROLE_OF, Result, Told

log = structlog.get_logger()

BATCH = 200
LOW_WATER = 64
READ_AHEAD = 64
"""So far down a line sessions and bills are read, ..."""
READ_AT_ONCE = 32
"""... so many of each with one read, so that a long batch holds nobody up."""
SLICE = 4
"""So many leave before others have their turn, or one session or bill: to make its body takes half a
millisecond, and a partner that catches up has thousands."""
UNWRITTEN = 3
"""Times as many as are on their way may have been taken and not be written down yet."""
_STORE_PAUSE_SECONDS = 1.0
_PARKED_LOOK_SECONDS = 30.0

EVERY_MODULE = frozenset(MODULE_OF.values())

Refused = Callable[[Connection, str], Awaitable[None]]


@dataclass(slots=True, eq=False)
class _Flight:
    """Something that is being told.

    Attributes:
        began: monotonic seconds.
        on_air: a request about it may be on its way.
    """

    stream: Stream
    item: Item
    began: float
    on_air: bool = True


class Worker:
    """Pushes to one partner until it is told to stop.

    Args:
        connection: reads the current one; None once the partner is gone.
        made_for: the connection as it is when the worker begins; names its cursors.
        location_of: the site of an EVSE's key, so that no two requests of one site overlap.
        refused: called when the partner does not accept our credentials; the worker then ends.
        anew: look at all tariffs and sites again, since more or less of them may be shown.
        modules: which streams this line brings.
        trunk: what it shares with the other lines over the connection; None = it is alone.
    """

    def __init__(
        self,
        partner: PartnerId,
        store: Store,
        feed: SharedFeed,
        courier: Courier,
        config: OcpiConfig,
        clock: Clock,
        connection: Callable[[], Connection | None],
        made_for: Connection,
        location_of: Callable[[str], str],
        refused: Refused,
        anew: bool = False,
        modules: frozenset[str] = EVERY_MODULE,
        trunk: Trunk | None = None,
    ) -> None:
        self.partner = partner
        self._store = store
        self._feed = feed
        self._courier = courier
        self._config = config
        self._clock = clock
        self._connection = connection
        self._made_for = made_for
        self._refused = refused
        self._anew = anew
        self._due: set[str] = set()
        self._modules = modules
        self._trunk = trunk
        self._pace = Pace(config.in_flight, config.backoff_cap.total_seconds())
        self._tariffs = Stream("tariffs", ("tariff",), lambda c: c.key)
        self._locations = Stream(
            "locations",
            ("location", "evse"),
            lambda c: location_of(c.key) if c.kind == "evse" else c.key,
        )
        self._sessions = Stream("sessions", ("session",), lambda c: c.key)
        self._cdrs = Stream("cdrs", ("cdr",), lambda c: c.key)
        self._profiles = Stream("chargingprofiles", ("profile",), lambda c: c.key)
        self._invoices = Stream("invoicereconciliation", ("invoice",), lambda c: c.key)
        self._streams = (
            self._tariffs,
            self._locations,
            self._sessions,
            self._profiles,
            self._cdrs,
            self._invoices,
        )
        self._in_turns = self._streams[1:]
        self._turn = 0
        self._seen: Connection | None = None
        self._open: frozenset[str] = frozenset()
        self._before: dict[str, Before] = {}
        self._reading: asyncio.Task[None] | None = None
        self._covered = 0
        self._passes = 0
        self._flights: dict[asyncio.Task[Told], _Flight] = {}
        self._on_air = 0
        self._stopped: str | None = None
        self._nudged = asyncio.Event()
        self._parked: set[tuple[str, str]] = set()
        self._parked_looked = float("-inf")
        self._retry_all = False
        self._wanted: dict[tuple[str, str], bool] = {}
        self._news: set[str] = set()
        self._polled = float("-inf")
        self.last_success_at: datetime | None = None
        self.last_error: str | None = None

    # -- from outside

    def news(self, kind: str) -> None:
        """Something of *kind* changed that this partner may hear of."""
        if _STREAM_OF[kind] in self._modules:
            self._news.add(_STREAM_OF[kind])
            self._nudged.set()

    def due(self, evses: Iterable[str]) -> None:
        """What happened at these EVSEs a while ago may be told by now."""
        if self._locations.name in self._modules:
            self._due.update(evses)
        if self._due:
            self._nudged.set()

    @property
    def failures(self) -> int:
        """Requests in a row that brought no answer that decides anything."""
        return self._pace.failures

    @property
    def pause_seconds(self) -> float:
        """Until the partner is tried again; 0 while all is well."""
        return round(self._pace.waits(monotonic()) or 0.0, 1)

    def heard(self) -> None:
        """The partner called us, or its hub is back: it lives."""
        if self._pace.failures:
            self._wake()
            self._pace.heard(monotonic())
            self._nudged.set()

    @property
    def streams(self) -> Sequence[Stream]:
        return self._streams

    def look(self) -> None:
        """Something that this line lives by has changed."""
        self._nudged.set()

    def retry(self) -> None:
        """An operator wants what is parked tried now."""
        self._retry_all = True
        self._parked_looked = float("-inf")
        self._nudged.set()

    def again(self, kind: str, key: str) -> None:
        """Bring one thing once more, whatever the feed says: it is parked, or known to be lost."""
        self._wanted[kind, key] = True
        self._nudged.set()

    async def forget(self, kind: str, key: str) -> None:
        """The partner has lost its copy of this thing: what was told of it counts no more."""
        await self._courier.lost(kind, key)

    def dropped(self, kind: str, key: str) -> None:
        """An operator has given up a parked thing: it is tried no more."""
        self._courier.ahead.forget(kind, key)
        self._wanted[kind, key] = False
        self._nudged.set()

    def brings(self, module: str) -> bool:
        """Whether this line brings *module*: to a party behind a hub others may be broadcast."""
        return module in self._modules

    def busy(self, kind: str, key: str) -> bool:
        """Whether something about this thing is under way or lined up."""
        return (kind, key) in self._wanted or self._stream(kind).holds(kind, key)

    def health(self) -> dict[str, object]:
        """Return what an operator wants to know of this line."""
        return {
            "waiting": {each.name: each.length for each in self._streams},
            "in_flight": len(self._flights),
            "failures": self.failures,
            "pause_seconds": self.pause_seconds,
            "ambiguous_bills": self._courier.bills.ambiguous,
            "bills_without_location": self._courier.bills.without_location,
        }

    # -- the loop

    async def run(self) -> None:
        """Push until the partner is gone or refuses us. A store that is away is waited for."""
        while True:
            try:
                await self._push()
                return
            except StoreDown:
                log.warning("push.store_down", partner=self.partner)
                await asyncio.sleep(_STORE_PAUSE_SECONDS)

    async def _push(self) -> None:
        await self._begin()
        try:
            while self._stopped is None and self._active() is not None:
                await self._round()
            if self._stopped is None:
                await self._drain()
        finally:
            await self._end()

    async def _begin(self) -> None:
        if self._anew:
            again = map(self._made_for.cursor, (self._tariffs.name, self._locations.name))
            await self._store.commit([PutCursor(self.partner, each, 0) for each in again])
            self._anew = False
        cursors = await self._store.cursors(self.partner)
        for stream in self._streams:
            stream.start(cursors.get(self._made_for.cursor(stream.name), 0))
        self._courier.ahead.clear()
        self._before.clear()
        self._stopped = None

    async def _drain(self) -> None:
        """Hear the answers to what is on its way: the connection has changed, and nobody shall
        have to ask again, in another form, whether a bill was taken."""
        if self._flights:
            await asyncio.wait(
                set(self._flights), timeout=self._config.request_timeout.total_seconds()
            )
            await self._land()

    async def _end(self) -> None:
        for flight in self._flights.values():
            self._off_air(flight)
        ending = [*self._flights, *([self._reading] if self._reading is not None else [])]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        self._flights.clear()
        self._reading = None
        await self._courier.behind.leave()
        connection = self._connection()
        if self._stopped is not None and connection is not None and connection.connected:
            await self._refused(connection, self._stopped)

    async def _round(self) -> None:
        """Look for news, send what may leave, wait for whatever comes first."""
        self._courier.behind.check()
        self._nudged.clear()  # before reading: news that come while we read wake us again
        self._see_modules()
        await self._look()
        self._read_on()
        self._launch()
        if self._trunk is not None:
            self._trunk.next(monotonic())
        await asyncio.sleep(0)  # the wait below may be none
        timer = asyncio.get_running_loop().call_later(self._patience(), self._nudged.set)
        try:
            await self._nudged.wait()
        finally:
            timer.cancel()
        await self._land()

    def _nudge(self, task: asyncio.Task[Any]) -> None:
        self._nudged.set()

    def _active(self) -> Connection | None:
        connection = self._connection()
        return connection if connection is not None and connection.connected else None

    def _patience(self) -> float:
        now = monotonic()
        waits = [self._config.poll.total_seconds(), self._pace.waits(now)]
        waits += [stream.due_in(now) for stream in self._streams]
        return max(0.0, min(each for each in waits if each is not None))

    # -- reading

    async def _look(self) -> None:
        """Top up every stream. Bills are read before sessions: see ``_covered``."""
        if monotonic() - self._polled >= self._config.poll.total_seconds():
            self._polled = monotonic()
            self._news.update(each.name for each in self._streams)
        if self._cdrs.name in self._news or not self._cdrs.exhausted:
            self._news.add(self._sessions.name)
        await self._fetch(self._tariffs)
        await self._fetch(self._locations)
        await self._fetch(self._profiles)
        await self._fetch(self._cdrs)
        await self._fetch(self._invoices)
        bills_to = self._cdrs.fetched_to
        await self._fetch(self._sessions)
        self._covered = self._sessions.fetched_to
        if self._sessions.exhausted:
            self._covered = max(self._covered, bills_to)
        await self._look_at_parked()
        self._look_at_wanted()
        for key in [each for each in self._due if not self._locations.holds("evse", each)]:
            self._due.discard(key)
            self._again("evse", key)

    async def _fetch(self, stream: Stream) -> None:
        if not self._taken(stream):
            return
        if stream.exhausted and stream.name not in self._news:
            return
        if not stream.hungry(LOW_WATER):
            stream.exhausted = False
            return
        self._news.discard(stream.name)
        changes = await self._feed.changes(self.partner, stream.kinds, stream.fetched_to, BATCH)
        stream.feed(changes, BATCH)
        self._advance(stream)

    def _see_modules(self) -> None:
        """See which modules of ours the partner takes; what it does not take it may pull."""
        connection = self._connection()
        if connection is self._seen:
            return
        self._seen = connection
        self._open = frozenset(
            name
            for name in self._modules
            if connection is not None
            and connection.endpoint(name, ROLE_OF.get(name, "RECEIVER")) is not None
        )

    def _taken(self, stream: Stream) -> bool:
        return stream.name in self._open

    def _read_on(self) -> None:
        """Have the store read what is told next, while what was read before is told."""
        if self._reading is not None:
            if not self._reading.done():
                return
            reading, self._reading = self._reading, None
            reading.result()
        sessions, bills = self._unread(self._sessions), self._unread(self._cdrs)
        if sessions or bills:
            self._reading = asyncio.create_task(self._read(sessions, bills))
            self._reading.add_done_callback(self._nudge)
        elif not self._sessions.length and not self._cdrs.length:
            self._courier.ahead.clear()

    def _unread(self, stream: Stream) -> list[Item]:
        """Return what of a line is to be read next: of a long one, only once that is a batch."""
        if not stream.length or not self._taken(stream):
            return []
        unread = [each for each in islice(stream, READ_AHEAD) if not each.read]
        short = stream.length <= READ_AHEAD or not self._flights
        return unread[:READ_AT_ONCE] if short or len(unread) >= READ_AT_ONCE else []

    async def _read(self, sessions: Sequence[Item], bills: Sequence[Item]) -> None:
        asked = [(each, each.change) for each in (*sessions, *bills)]
        of_sessions, of_bills = [x.change for x in sessions], [x.change for x in bills]
        self._before.update(await self._courier.read_ahead(of_sessions, of_bills))
        for item, change in asked:
            item.read = item.change is change  # else a newer one took its place meanwhile

    async def _look_at_parked(self) -> None:
        """Queue what was parked and is due again."""
        if monotonic() - self._parked_looked < _PARKED_LOOK_SECONDS:
            return
        everything, self._retry_all = self._retry_all, False
        self._parked_looked = monotonic()
        rows = await self._store.deliveries(self.partner, "parked")
        self._parked = {(row.kind, row.key) for row in rows}
        for row in rows:
            due = row.retry_at is not None and row.retry_at <= self._clock()
            if (due or everything) and row.kind in _STREAM_OF:
                self._again(row.kind, row.key)

    def _look_at_wanted(self) -> None:
        """Line up, or take out of the line, what somebody asked for by name."""
        wanted, self._wanted = self._wanted, {}
        for (kind, key), again in wanted.items():
            if again:
                self._again(kind, key)
            else:
                self._parked.discard((kind, key))
                self._stream(kind).forget(kind, key)

    def _stream(self, kind: str) -> Stream:
        return next(each for each in self._streams if each.name == _STREAM_OF[kind])

    def _again(self, kind: str, key: str) -> None:
        stream = self._stream(kind)
        change = Change(0, kind, key, None, self._clock(), deleted=False)
        stream.again(Item(change, stream.object_of(change), feed=False))

    # -- sending

    def _launch(self) -> None:
        now, left = monotonic(), SLICE
        connection = self._active()
        while connection is not None and len(self._flights) < UNWRITTEN * self._pace.in_flight:
            room = self._pace.room(now, self._on_air)
            suspect = self._pace.lone_suspect()
            if not room and (suspect is None or self._flights):
                return
            if left <= 0:
                self._nudged.set()
                return
            found = self._next(now, None if room else suspect)
            if found is None:
                return
            stream, item = found
            left -= SLICE if stream is self._sessions or stream is self._cdrs else 1
            if item.thing not in self._parked and self._courier.knows(connection, item.change):
                stream.launch(item)
                self._done_with(stream, item)
                self._advance(stream)
                continue
            if self._trunk is not None:
                if not self._trunk.room(now):
                    self._trunk.wait(self._nudged.set)
                    return
                self._trunk.flying += 1
            stream.launch(item)
            flight = _Flight(stream, item, now)
            self._on_air += 1
            answered = partial(self._answered, flight)
            rear = item.rear is not None
            telling = self._courier.tell(connection, item.change, answered, rear=rear)
            task = asyncio.create_task(telling)
            task.add_done_callback(self._nudge)
            self._flights[task] = flight

    def _answered(self, flight: _Flight) -> None:
        """The next may leave: what is still to be done about this one is our own writing."""
        self._off_air(flight)
        self._nudged.set()

    def _off_air(self, flight: _Flight) -> None:
        if flight.on_air:
            flight.on_air = False
            self._on_air -= 1
            if self._trunk is not None:
                self._trunk.flying -= 1

    def _next(self, now: float, but: str | None) -> tuple[Stream, Item] | None:
        """Return what may leave next, and is not about the object *but*.

        Tariffs are few and go first. The others take turns: a thousand sessions that wait must not
        keep a bill whose own session is told.
        """

        def ready(item: Item) -> bool:
            return item.object != but and self._in_turn(stream, item)

        for turn in range(-1, len(self._in_turns)):
            at = (self._turn + turn) % len(self._in_turns)
            stream = self._tariffs if turn < 0 else self._in_turns[at]
            if not stream.length or not self._taken(stream):
                continue
            if (item := stream.next(now, ready)) is not None:
                self._turn = self._turn if turn < 0 else at + 1
                return stream, item
        return None

    def _in_turn(self, stream: Stream, item: Item) -> bool:
        """Tariffs go before the connectors that show them, a session before its bill.

        A tariff that was deleted, or is not for this partner any more, goes after the connectors
        that showed it.
        """
        if stream is self._tariffs and (item.change.deleted or item.rear is not None):
            return self._shown_no_more(item)
        if stream is self._locations:
            ahead = (e for e in self._tariffs if not e.change.deleted and e.rear is None)
            return not self._tariffs.flying and all(e.attempts for e in ahead)
        if stream is self._sessions:
            return item.read and self._session_ready(item)
        if stream is self._invoices:  # what it lists is known by then
            return not self._taken(self._cdrs) or self._cdrs.told
        return stream is not self._cdrs or self._bill_ready(item)

    def _shown_no_more(self, item: Item) -> bool:
        """Whether every site that changed before a tariff was deleted, or together with what took
        it from the partner, is told or parked."""
        sites = self._locations
        if not self._taken(sites):
            return True
        if not sites.exhausted and sites.fetched_to < item.change.seq:
            return False
        if item.rear == 0 and not sites.exhausted:
            return False
        if item.rear == 0:
            item.rear = sites.fetched_to
        last = max(item.change.seq, item.rear or 0)
        return not any(e.change.seq <= last for e in (*sites, *sites.flying.values()))

    def _session_ready(self, item: Item) -> bool:
        """Whether the partner knows a session's site; or is not going to, as far as we see."""
        if not self._taken(self._locations):
            return True
        site = self._courier.ahead.site(item.change.key)
        if site is None or self._courier.introduced(self._made_for, site):
            return True
        return self._locations.exhausted and not self._locations.untried(site)

    def _bill_ready(self, item: Item) -> bool:
        """Whether a bill's session is delivered or parked (or is not pushed at all), and whatever
        bill it corrects as well."""
        if not item.read:
            return False
        before = self._before[item.change.key]
        if any(self._cdrs.open(each) for each in before.bills):
            return False
        if not self._taken(self._sessions):
            return True
        if item.change.seq > self._covered:
            return False
        return before.session is None or not self._sessions.open(before.session)

    # -- landing

    async def _land(self) -> None:
        for task in [each for each in self._flights if each.done()]:
            flight = self._flights.pop(task)
            self._off_air(flight)
            try:
                told = task.result()
            except StoreDown:
                raise
            except Exception as error:
                log.error("push.failed", partner=self.partner, exc_info=error)
                told = Told(Result.AGAIN, f"our mistake: {type(error).__name__}")
            await self._landed(flight.stream, flight.item, told, flight.began)

    async def _landed(self, stream: Stream, item: Item, told: Told, began: float) -> None:
        match told.result:
            case Result.DONE | Result.NOTHING:
                if told.result is Result.DONE:
                    self._passes += 1
                    self._passed()
                    self.last_success_at, self.last_error = self._clock(), None
                self._done_with(stream, item)
                await self._unpark(item)
            case Result.LATER:
                item.rear = 0
                stream.back(item)
            case Result.AGAIN:
                self.last_error = told.why
                await self._failed(stream, item, told, began)
            case Result.PARK:
                self._passed()
                self.last_error = told.why
                await self._park(stream, item, told.why, None)
            case Result.STOP:
                stream.back(item)
                self._stopped = self.last_error = told.why
        self._advance(stream)

    def _wake(self) -> None:
        for stream in self._streams:
            stream.wake()

    def _passed(self) -> None:
        if self._pace.failures and self._pace.lone_suspect() is None:
            self._wake()  # what failed while nothing got through has waited long enough
        self._pace.passed(monotonic())
        if self._trunk is not None:
            self._trunk.passed(monotonic())

    def _brought_nothing(self, told: Told, began: float) -> None:
        """Tell the trunk, unless the hub itself said that this party alone is not reached."""
        if self._trunk is None:
            return
        if told.party_away:
            self._trunk.passed(monotonic())
        else:
            self._trunk.failed(monotonic(), began, self.partner, told.unreachable)

    async def _failed(self, stream: Stream, item: Item, told: Told, began: float) -> None:
        now = monotonic()
        item.attempts += 1
        if item.attempts == 1 or self._passes > item.passes_seen:
            item.strikes += 1
        item.passes_seen = self._passes
        if told.moved and item.attempts == 1:
            stream.back(item)
            return
        self._pace.failed(now, began, item.object, told.retry_after)
        self._brought_nothing(told, began)
        if item.strikes >= PARK_AFTER:
            await self._park(stream, item, told.why, self._config.parked_retry)
            return
        item.not_before = now + pause(item.attempts, self._config.backoff_cap.total_seconds())
        stream.back(item)
        log.info(
            "push.later",
            partner=self.partner,
            kind=item.change.kind,
            key=item.change.key,
            attempts=item.attempts,
            why=told.why,
        )

    async def _park(self, stream: Stream, item: Item, why: str, retry: timedelta | None) -> None:
        """Put *item* aside; the cursor moves on over it.

        A change of the same thing that came meanwhile is tried on its own.
        """
        at = None if retry is None else self._clock() + retry
        await self._courier.park(item.change, why, at, item.attempts + 1)
        self._parked.add(item.thing)
        self._done_with(stream, item)

    def _done_with(self, stream: Stream, item: Item) -> None:
        stream.land(item)
        if stream is self._cdrs and not stream.holds(*item.thing):
            self._before.pop(item.change.key, None)

    async def _unpark(self, item: Item) -> None:
        if item.thing in self._parked:
            await self._courier.unpark(item.change)
            self._parked.discard(item.thing)

    def _advance(self, stream: Stream) -> None:
        settled = stream.settled()
        if settled > stream.cursor:
            stream.cursor = settled
            name = self._made_for.cursor(stream.name)
            self._courier.behind.move(PutCursor(self.partner, name, settled))


_STREAM_OF = MODULE_OF
