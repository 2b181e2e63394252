"""Charging profiles, receiver: a partner limits a running session of its own.

The answer at once is a promise; what the station said follows in exactly one result
(``ocpi_cpo.promises``). Later changes go to the partner through the feed (``push.courier``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import unquote

from cms.app.catalogue import Catalogue
from cms.app.live import LiveState
from cms.app.ports import Clock, Store
from cms.app.profiling import ASK, VERBS, Profiling
from cms.app.profiling import Wish as ProfileWish
from cms.app.remote import Asker, Refusal, Remote
from cms.app.writes import CommandRecord
from cms.domain.charging_profile import LONGEST_SECONDS
from cms.domain.commands import Answer
from cms.domain.ids import EvseRef, PartnerId, SessionId
from cms.domain.session import Session
from ocpi_cpo.envelope import Reply
from ocpi_cpo.errors import BadParameter
from ocpi_cpo.promises import Promises, Wish
from ocpi_cpo.server import Call, Route
from ocpi_cpo.versions.v221 import profiles
from ocpi_cpo.wire import Json

VERSIONS = frozenset({"2.2.1", "2.3.0"})
"""Those that have this module; its text is the same in both."""

MODULE = "chargingprofiles"

First = Callable[[], Awaitable[Reply]]

_WORDS = {
    Refusal.UNKNOWN_SESSION: "UNKNOWN_SESSION",
    Refusal.UNKNOWN_EVSE: "UNKNOWN_SESSION",
    Refusal.NOT_CAPABLE: "NOT_SUPPORTED",
    Refusal.TOO_OFTEN: "TOO_OFTEN",
}


class Profiles:
    def __init__(
        self,
        store: Store,
        live: LiveState,
        catalogue: Catalogue,
        profiling: Profiling,
        remote: Remote,
        promises: Promises,
        clock: Clock,
        version: str,
    ) -> None:
        self._store = store
        self._live = live
        self._catalogue = catalogue
        self._profiling = profiling
        self._remote = remote
        self._promises = promises
        self._clock = clock
        self._version = version

    def routes(self) -> list[Route]:
        if self._version not in VERSIONS:
            return []
        path = (self._version, MODULE, "*")
        return [
            Route("PUT", path, self._put),
            Route("GET", path, self._get),
            Route("DELETE", path, self._delete),
        ]

    async def _put(self, call: Call) -> Reply:
        order = profiles.order_in(call.body())
        asker = self._asker(call, order.reply_to)

        async def first() -> Reply:
            session = await self._session(call)
            if session is None:
                return self._answer("UNKNOWN_SESSION")
            return self._promised(
                call, await self._profiling.accept_set(session, order.profile, asker)
            )

        return await self._once(call, asker, first)

    async def _get(self, call: Call) -> Reply:
        seconds = _duration(call)
        asker = self._asker(call, _reply_to(call))

        async def first() -> Reply:
            session = await self._session(call)
            if session is None:
                return self._answer("UNKNOWN_SESSION")
            return self._promised(call, await self._profiling.accept_ask(session, seconds, asker))

        return await self._once(call, asker, first)

    async def _delete(self, call: Call) -> Reply:
        asker = self._asker(call, _reply_to(call))

        async def first() -> Reply:
            session = await self._session(call)
            if session is None:
                return self._answer("UNKNOWN_SESSION")
            return self._promised(call, await self._profiling.accept_clear(session, asker))

        return await self._once(call, asker, first)

    async def _once(self, call: Call, asker: Asker, first: First) -> Reply:
        async def unless_repeated() -> Reply:
            known = await self._store.command_of_reply(asker.who, asker.reply_to or "")
            if await self._promises.repeats(call, known):
                return self._answer("ACCEPTED")
            return await first()

        return await self._promises.once(call, unless_repeated)

    def _asker(self, call: Call, reply_to: str) -> Asker:
        self._promises.check_reply_to(call.connection, reply_to)
        return Asker(f"partner:{call.caller.partner}", reply_to)

    async def _session(self, call: Call) -> Session | None:
        id = SessionId(call.path[0])
        if (live := self._live.session(id)) is not None:
            return live
        kept = await self._store.session(id)
        return kept.session if kept is not None else None

    # -- the promise and its one result

    def _answer(self, result: str) -> Reply:
        return Reply({"result": result, "timeout": self._seconds(result)})

    def _seconds(self, result: str) -> int:
        return self._promises.seconds if result == "ACCEPTED" else 0

    def _promised(self, call: Call, accepted: ProfileWish | Refusal) -> Reply:
        if isinstance(accepted, Refusal):
            return self._answer(_WORDS.get(accepted, "REJECTED"))
        answer: Json = {"result": "ACCEPTED", "timeout": self._promises.seconds}
        return self._promises.accepted(call, self._wish(accepted.record, accepted), answer)

    def _wish(self, record: CommandRecord, own: ProfileWish | None) -> Wish:
        partner = PartnerId(record.asked_by.removeprefix("partner:"))
        place = self._catalogue.place(EvseRef(record.station, record.evse or 1))
        wish = own or ProfileWish(record, record.asked_by)
        return Wish(
            record,
            partner,
            place.location.party if place is not None else None,
            work=lambda: self._profiling.carry_out(wish),
            told=lambda: self._remote.told(record),
            result=lambda answer: _result(record.verb, answer),
            lasting=False,  # set, replaced and set again are three wishes
        )

    async def tell_leftovers(self, ended: Sequence[CommandRecord]) -> None:
        """Tell partners, once, that what was promised before a crash was not done."""
        for record in ended:
            if is_of_profiles(record) and record.reply_to is not None:
                self._promises.tell_leftover(self._wish(record, None))


def is_of_profiles(record: CommandRecord) -> bool:
    return record.verb in VERBS and record.asked_by.startswith("partner:")


def _result(verb: str, answer: Answer) -> Json:
    if verb == ASK:
        return profiles.active_result(answer.outcome, answer.schedule)
    return profiles.result(answer.outcome)


def _reply_to(call: Call) -> str:
    """Return the response_url of the query.

    Partners write it unescaped, with a query of its own: then everything behind it belongs to it.

    Raises:
        BadParameter: it is missing.
    """
    before, name, rest = f"&{call.raw_query}".partition("&response_url=")
    if not name or not rest:
        raise BadParameter("response_url: missing")
    if "://" not in rest or "%26" in rest:  # escaped, or at least where it matters
        return unquote(rest.partition("&")[0])
    head, found, tail = rest.rpartition("&duration=")
    behind = found and tail.isdigit() and "&duration=" not in before
    return head if behind else rest


def _duration(call: Call) -> int:
    """Return how many seconds ahead to look.

    Raises:
        BadParameter: it is missing, or no such number.
    """
    text = call.query.get("duration")
    if text is None:
        raise BadParameter("duration: missing")
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:11]) <= LONGEST_SECONDS:
        raise BadParameter("duration: must be a whole number of seconds above 0")
    return int(text)
