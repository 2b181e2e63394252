"""Commands, receiver: a partner asks for a start, a stop, an unlock, a reservation.

The answer at once is a promise; what the station said follows in exactly one CommandResult
(``ocpi_cpo.promises``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, assert_never

from cms.app.catalogue import Catalogue, EvsePlace
from cms.app.live import LiveState
from cms.app.ports import Clock, Store
from cms.app.remote import STARTABLE, Asker, Refusal, Remote, StartWish, explain
from cms.app.reserving import Reserving
from cms.app.writes import CommandRecord
from cms.domain.ids import EvseRef, PartnerId, SessionId
from cms.domain.reservation import Reservation
from cms.domain.topology import Location
from ocpi_cpo.envelope import Reply
from ocpi_cpo.errors import BadParameter, NotThere, UnknownPlace
from ocpi_cpo.modules.profiles import is_of_profiles
from ocpi_cpo.modules.reservations import Reservations
from ocpi_cpo.pages import Network
from ocpi_cpo.promises import Promises, Wish
from ocpi_cpo.server import Call, Route
from ocpi_cpo.versions.dialect import (
    CancelOrder,
    Dialect,
    Order,
    ReserveOrder,
    StartOrder,
    StopOrder,
    UnlockOrder,
    UnsupportedOrder,
)

_STRAIGHT: dict[Refusal, str] = {
    Refusal.UNKNOWN_SESSION: "UNKNOWN_SESSION",
    Refusal.NOT_RESERVABLE: "NOT_SUPPORTED",
}


class Commands:
    def __init__(
        self,
        store: Store,
        live: LiveState,
        network: Network,
        remote: Remote,
        promises: Promises,
        clock: Clock,
        reserving: Reserving,
    ) -> None:
        self._store = store
        self._live = live
        self._network = network
        self._catalogue: Catalogue = network.catalogue
        self._dialect: Dialect = network.dialect
        self._remote = remote
        self._promises = promises
        self._clock = clock
        self._reserving = reserving
        self._reservations = Reservations(network, reserving, timedelta(seconds=promises.seconds))

    def routes(self) -> list[Route]:
        return [Route("POST", (self._dialect.version, "commands", "*"), self._serve)]

    async def _serve(self, call: Call) -> Reply:
        """Answer a command; the same request again gets the same answer and does nothing."""
        body = _named(call.body()) if call.profile.evse_id_key else call.body()
        partner = call.caller.partner
        order = self._dialect.read_order(call.path[0], body, self._clock(), partner)
        if order is None:
            raise NotThere("no such command")
        self._promises.check_reply_to(call.connection, order.reply_to)
        return await self._promises.once(call, lambda: self._first(call, order))

    async def _first(self, call: Call, order: Order | UnsupportedOrder) -> Reply:
        asker = Asker(f"partner:{call.caller.partner}", order.reply_to)
        known = await self._store.command_of_reply(asker.who, order.reply_to)
        if await self._promises.repeats(call, known):
            return self._answer("ACCEPTED")
        match order:
            case StartOrder():
                return await self._start(call, order, asker)
            case StopOrder():
                return await self._stop(call, order, asker)
            case UnlockOrder():
                return await self._unlock(call, order, asker)
            case ReserveOrder():
                return await self._reserve(call, order, asker)
            case CancelOrder():
                return await self._cancel(call, order, asker)
            case UnsupportedOrder():
                return self._answer("NOT_SUPPORTED", order.why)
        assert_never(order)

    # -- the commands

    async def _start(self, call: Call, order: StartOrder, asker: Asker) -> Reply:
        owner = order.token.partner
        if owner is None or owner not in call.parties:
            return self._answer("REJECTED", "the token is of another party")
        site = self._site(call, order.location)
        place = self._reservations.reserved(call.caller.partner, order.token, site)
        if place is None or order.evse_uid is not None:
            place = self._evse(call, site, order.evse_uid)
        if place is None:
            return self._answer("REJECTED", "evse_uid is needed to choose an EVSE here")
        wish = StartWish(
            place.evse.ref,
            order.token,
            owner,
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
        if session.owner not in call.parties:
            return self._answer("REJECTED", "this session is not yours")
        place = self._catalogue.place(session.ref)
        accepted = await self._remote.accept_stop(session, asker)
        return self._promised(call, accepted, place.location if place else None)

    async def _unlock(self, call: Call, order: UnlockOrder, asker: Asker) -> Reply:
        site = self._site(call, order.location)
        place = self._evse(call, site, order.evse_uid)
        assert place is not None, "an EVSE that is named is found, or the command is refused"
        number = self._connector(place, order.connector)
        if "UNLOCK_CAPABLE" not in place.evse.capabilities:
            return self._answer("NOT_SUPPORTED", "this EVSE cannot be unlocked from afar")
        accepted = await self._remote.accept_unlock(place.evse.ref, number or 1, asker)
        return self._promised(call, accepted, site)

    async def _reserve(self, call: Call, order: ReserveOrder, asker: Asker) -> Reply:
        if order.token.partner != call.caller.partner:
            return self._answer("REJECTED", "the token is of another party")
        site = self._site(call, order.location)
        named = None if order.evse_uid is None else self._evse(call, site, order.evse_uid)
        accepted = await self._reservations.reserve(order, site, named, asker)
        return self._promised(call, accepted, site)

    async def _cancel(self, call: Call, order: CancelOrder, asker: Asker) -> Reply:
        found = await self._reservations.cancel(order, call.caller.partner, asker)
        if found is None:
            return self._answer("REJECTED", "you have no such reservation")
        return self._promised(call, *found)

    def _site(self, call: Call, id: str) -> Location:
        site = self._network.site(id, self._network.group(call.caller.partner))
        if site is None or site.removed:
            raise self._unknown("location")
        return site

    def _evse(self, call: Call, site: Location, uid: str | None) -> EvsePlace | None:
        """Return the EVSE that is named or, where none is, the only one that could start."""
        group = self._network.group(call.caller.partner)
        if uid is not None:
            place = self._network.find(site.id, uid, group, call.profile.evse_id_for_uid)
            if place is None:
                raise self._unknown("EVSE")
            return place
        able = [
            place
            for station in self._catalogue.stations_of(site.id)
            for evse in station.evses
            if (place := self._network.visible(evse.ref, group)) is not None
            and self._startable(evse.ref)
        ]
        return able[0] if len(able) == 1 else None

    def _startable(self, ref: EvseRef) -> bool:
        state = self._live.evse(ref)
        return state.online and state.reservation is None and state.status in STARTABLE

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
        seconds = self._promises.seconds
        return Reply(self._dialect.answer(result, seconds if result == "ACCEPTED" else 0, why))

    def _promised(
        self, call: Call, accepted: CommandRecord | Refusal, site: Location | None
    ) -> Reply:
        if isinstance(accepted, Refusal):
            if accepted in (Refusal.UNKNOWN_EVSE, Refusal.UNKNOWN_CONNECTOR):
                raise self._unknown(accepted.value.removeprefix("unknown_"))
            return self._answer(_STRAIGHT.get(accepted, "REJECTED"), explain(accepted))
        sender = site.party if site is not None else None
        wish = self._wish(accepted, call.caller.partner, sender)
        return self._promises.accepted(call, wish, self._answer("ACCEPTED").data)

    def _wish(self, record: CommandRecord, partner: PartnerId, sender: PartnerId | None) -> Wish:
        wish = Wish(
            record,
            partner,
            sender,
            work=lambda: self._remote.carry_out(record),
            told=lambda: self._remote.told(record),
            result=lambda answer: self._dialect.result(answer.outcome, None),
        )
        return wish if record.reservation is None else self._reservations.through(wish)

    async def let_go(self, own: Reservation) -> None:
        """Tell a partner that we cancelled its reservation, at the address of its RESERVE_NOW."""
        body, command = self._dialect.let_go(own.why), own.hold.command
        record = None if command is None else await self._store.command(command)
        if body is None or record is None or own.owner is None:
            await self._reserving.told(own.id)
            return
        site = self._catalogue.locations.get(own.location)
        self._promises.tell_later(
            Wish(
                record,
                own.owner,
                site.party if site is not None else None,
                work=lambda: self._reserving.carry_out(record),
                told=lambda: self._reserving.told(own.id),
                result=lambda answer: body,
            )
        )

    async def tell_leftovers(self, ended: Sequence[CommandRecord]) -> None:
        """Tell partners, once, that what was promised before a crash has ended as TIMEOUT."""
        for record in ended:
            if record.reply_to is None or not record.asked_by.startswith("partner:"):
                continue
            if is_of_profiles(record):
                continue
            partner = PartnerId(record.asked_by.removeprefix("partner:"))
            place = self._catalogue.place(EvseRef(record.station, record.evse or 1))
            sender = place.location.party if place is not None else None
            self._promises.tell_leftover(self._wish(record, partner, sender))


def _named(body: Any) -> Any:
    """Return a command in which an EVSE named by ``evse_id`` is named as it should be."""
    if isinstance(body, dict) and body.get("evse_uid") is None and "evse_id" in body:
        return {**body, "evse_uid": body["evse_id"]}
    return body
