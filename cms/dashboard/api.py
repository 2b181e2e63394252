"""The HTTP API: what every route does. Checked values in, plain data out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, ValidationInfo, field_validator

from cms.app.administration import Administration, By
from cms.app.casefile import CaseFile
from cms.app.catalogue import Catalogue
from cms.app.live import LiveState
from cms.app.ports import (
    CdrQuery,
    Clock,
    Page,
    PartnerDesk,
    SessionQuery,
    StationLog,
    Store,
    WorkDesk,
)
from cms.app.remote import Asker, Refusal, Remote, StartWish, explain
from cms.app.sums import SumQuery, Sums
from cms.app.writes import CommandRecord
from cms.dashboard import sheets, views
from cms.dashboard.access import Access
from cms.dashboard.routing import Call, Route, Text, dumps
from cms.dashboard.views import Json
from cms.domain.audit import WorkAction
from cms.domain.commands import ResetKind, Wanted
from cms.domain.errors import Conflict, Forbidden, InvalidValue, NotFound
from cms.domain.ids import CdrId, EvseRef, LocationId, PartnerId, SessionId, StationId, TariffId
from cms.domain.partner import Right
from cms.domain.rating import Rating
from cms.domain.session import OPEN, Limit, Session, SessionStatus
from cms.domain.token import TokenType
from cms.domain.topology import Approval, ChargingStation
from cms.intake.base import Intake, Moment
from cms.intake.tariffs import RuleIn, TariffIn
from cms.intake.tokens import TokenIn
from cms.intake.topology import ChargerIn, LocationIn

KEEP_OPEN_SECONDS = 15.0
MOST_WORK_ITEMS = 100_000


class Paged(Intake):
    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 50

    def page(self) -> Page:
        return Page(self.offset, self.limit)


class SessionFilter(Intake):
    site: str | None = None
    charger: str | None = None
    status: SessionStatus | None = None
    running: bool | None = None
    started_from: Moment | None = None
    started_to: Moment | None = None
    id_token: str | None = None


class SessionsIn(Paged, SessionFilter):
    pass


class CdrFilter(Intake):
    site: str | None = None
    ended_from: Moment | None = None
    ended_to: Moment | None = None


class CdrsIn(Paged, CdrFilter):
    pass


Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2199, 12, 31))]
MOST_DAYS = 1100


class DaysIn(Intake):
    """Days of each site's own calendar, both included; three years at most."""

    first: Day
    last: Day
    site: str | None = None

    @field_validator("last")
    @classmethod
    def _in_order(cls, last: date, info: ValidationInfo) -> date:
        first = info.data.get("first")
        if first is not None and not 0 <= (last - first).days < MOST_DAYS:
            raise ValueError(f"expected first or a later day, at most {MOST_DAYS} days on")
        return last


class HandleIn(Intake):
    handle: Annotated[str, Field(min_length=1, max_length=200)]


class WorkIn(Paged):
    open: bool = True


class AuditIn(Paged):
    subject: str | None = None


class StartIn(Intake):
    """A start for one of our own tokens, with what it may cost at most."""

    token: Annotated[str, Field(min_length=1, max_length=36)]
    connector: int | None = None
    max_energy_wh: Annotated[int, Field(gt=0)] | None = None
    max_money: Annotated[str, Field(pattern=r"^\d+(\.\d{1,4})?$")] | None = None
    max_seconds: Annotated[int, Field(gt=0)] | None = None

    def limit(self) -> Limit:
        money = None if self.max_money is None else Decimal(self.max_money)
        return Limit(self.max_energy_wh, money, self.max_seconds)


class ResetIn(Intake):
    kind: ResetKind = ResetKind.SOFT


class TriggerIn(Intake):
    wanted: Wanted
    evse: int | None = None


class AvailabilityIn(Intake):
    operative: bool
    evse: int | None = None


class UnlockIn(Intake):
    connector: Annotated[int, Field(ge=1)] = 1


class ApprovalIn(Intake):
    approval: Approval


class ActionIn(Intake):
    action: WorkAction
    note: Annotated[str, Field(max_length=1000)] | None = None
    target: str | None = None
    """For ``join`` the session's id, for ``assign`` ``partner:uid`` or ``own:uid``."""


class InviteIn(Intake):
    """Without *url* and *token* the partner registers with us; with both we register with it."""

    id: Annotated[str, Field(pattern=r"^[A-Z]{2}\*[A-Z0-9]{3}$")]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    url: str | None = None
    token: str | None = None
    allow_private_addresses: bool = False


class KeyIn(Intake):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    rights: Annotated[frozenset[Right], Field(min_length=1)]
    sites: frozenset[str] | None = None
    expires_at: Moment | None = None


class TokensIn(Paged):
    partner: str | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that the API asks, as bootstrap wires it."""

    store: Store
    catalogue: Catalogue
    live: LiveState
    administration: Administration
    remote: Remote
    sums: Sums
    casefile: CaseFile
    work: WorkDesk
    partners: PartnerDesk
    log: StationLog
    running_price: Callable[[Session], Awaitable[Rating | None]]
    clock: Clock
    party: PartnerId
    access: Access


class Api:
    """The handlers. One method per route; ``routes`` is the whole API."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._streams: set[asyncio.Task[Any]] = set()

    def routes(self) -> Sequence[Route]:
        read, operate, price, admin = Right.READ, Right.OPERATE, Right.PRICE, Right.ADMIN
        return [
            Route("GET", "/sites", read, "Sites with EVSEs by status", self.sites, answer="array"),
            Route("GET", "/sites/{id}", read, "One site with its chargers", self.site),
            Route("PUT", "/sites/{id}", admin, "Add or replace a site", self.put_site, LocationIn),
            Route("GET", "/chargers", read, "Chargers, live", self.chargers, answer="array"),
            Route("GET", "/chargers/{id}", read, "One charger, live", self.charger),
            Route(
                "PUT",
                "/chargers/{id}",
                admin,
                "Add or replace a charger; a new one's password is told once",
                self.put_charger,
                ChargerIn,
            ),
            Route(
                "POST",
                "/chargers/{id}/approval",
                admin,
                "Approve, test, reject or remove",
                self.approve,
                ApprovalIn,
            ),
            Route(
                "POST",
                "/chargers/{id}/password",
                admin,
                "Draw a new password, told once",
                self.password,
            ),
            Route(
                "GET",
                "/chargers/{id}/log",
                operate,
                "Its last frames",
                self.frames,
                answer="array",
            ),
            Route(
                "GET",
                "/refused-handshakes",
                operate,
                "Who was not let in, and why",
                self.refusals,
                answer="array",
            ),
            Route(
                "POST", "/chargers/{id}/reset", operate, "Reset the charger", self.reset, ResetIn
            ),
            Route(
                "POST",
                "/chargers/{id}/trigger",
                operate,
                "Ask it to send something now",
                self.trigger,
                TriggerIn,
            ),
            Route(
                "POST",
                "/chargers/{id}/availability",
                operate,
                "Take in or out of service",
                self.availability,
                AvailabilityIn,
            ),
            Route(
                "POST",
                "/evses/{uid}/start",
                operate,
                "Start a session remotely",
                self.start,
                StartIn,
            ),
            Route(
                "POST", "/evses/{uid}/unlock", operate, "Unlock a connector", self.unlock, UnlockIn
            ),
            Route(
                "GET",
                "/sessions",
                read,
                "Sessions, newest first",
                self.sessions,
                query=SessionsIn,
            ),
            Route(
                "GET",
                "/sessions.csv",
                read,
                "The same as CSV, whole, oldest first",
                self.sessions_csv,
                query=SessionFilter,
                answer="csv",
                streams=True,
            ),
            Route("GET", "/sessions/{id}", read, "One session", self.session),
            Route(
                "GET",
                "/sessions/{id}/timeline",
                read,
                "Its whole story, in site time",
                self.timeline,
            ),
            Route("POST", "/sessions/{id}/stop", operate, "Stop it remotely", self.stop),
            Route(
                "GET",
                "/explain",
                read,
                "Stories that any handle leads to",
                self.explain,
                query=HandleIn,
                answer="array",
            ),
            Route("GET", "/cdrs", read, "Bills, newest first", self.cdrs, query=CdrsIn),
            Route(
                "GET",
                "/cdrs.csv",
                read,
                "The same as CSV, whole, oldest first",
                self.cdrs_csv,
                query=CdrFilter,
                answer="csv",
                streams=True,
            ),
            Route("GET", "/cdrs/{id}", read, "One bill with its trace", self.cdr),
            Route(
                "GET",
                "/sums",
                read,
                "Energy and revenue per site and calendar day",
                self.sums,
                query=DaysIn,
                answer="array",
            ),
            Route(
                "GET",
                "/sums.csv",
                read,
                "The same as CSV",
                self.sums_csv,
                query=DaysIn,
                answer="csv",
            ),
            Route(
                "GET",
                "/events",
                read,
                "Live changes as server-sent events",
                self.events,
                answer="events",
                streams=True,
            ),
            Route("GET", "/tariffs", read, "Tariffs", self.tariffs, answer="array"),
            Route(
                "PUT",
                "/tariffs/{id}",
                price,
                "Add or replace a tariff",
                self.put_tariff,
                TariffIn,
            ),
            Route("DELETE", "/tariffs/{id}", price, "Delete a tariff", self.drop_tariff),
            Route("GET", "/tariff-rules", read, "The price book", self.rules, answer="array"),
            Route(
                "PUT",
                "/tariff-rules/{id}",
                price,
                "Add or replace a line of the price book",
                self.put_rule,
                RuleIn,
            ),
            Route(
                "DELETE",
                "/tariff-rules/{id}",
                price,
                "Delete a line of the price book",
                self.drop_rule,
            ),
            Route("GET", "/tokens", admin, "Tokens", self.tokens, query=TokensIn),
            Route(
                "PUT",
                "/tokens/{uid}",
                admin,
                "Add or replace an own token",
                self.put_token,
                TokenIn,
            ),
            Route(
                "GET", "/partners", admin, "Partners and how they do", self.partners, answer="array"
            ),
            Route("GET", "/partners/{id}", admin, "One partner", self.partner),
            Route(
                "POST",
                "/partners",
                admin,
                "Invite a partner, or register with one",
                self.add_partner,
                InviteIn,
                status=201,
            ),
            Route("DELETE", "/partners/{id}", admin, "Unregister a partner", self.drop_partner),
            Route("POST", "/partners/{id}/resync", admin, "Send it everything again", self.resync),
            Route("GET", "/keys", admin, "API keys", self.keys, answer="array"),
            Route(
                "POST",
                "/keys",
                admin,
                "Draw an API key, told once",
                self.new_key,
                KeyIn,
                status=201,
            ),
            Route("DELETE", "/keys/{id}", admin, "Revoke an API key", self.revoke_key),
            Route("POST", "/page-link", read, "Draw a one-time link to the page", self.page_link),
            Route(
                "GET",
                "/work-items",
                operate,
                "What waits for a person",
                self.work_items,
                query=WorkIn,
                answer="array",
            ),
            Route(
                "POST",
                "/work-items/{id}/actions",
                operate,
                "Do something about it",
                self.act,
                ActionIn,
            ),
            Route(
                "GET",
                "/ledger.jsonl",
                admin,
                "Sessions, bills, frames and work items as JSON lines",
                self.ledger,
                answer="lines",
                streams=True,
            ),
            Route(
                "GET",
                "/audit",
                admin,
                "Who changed what",
                self.audit,
                query=AuditIn,
                answer="array",
            ),
        ]

    # -- sites and chargers

    async def sites(self, call: Call) -> Any:
        catalogue = self._desk.catalogue
        return [
            views.site(location, catalogue.stations_of(location.id), self._desk.live)
            for location in catalogue.locations.values()
            if call.caller.sees(location.id) and not location.removed
        ]

    async def site(self, call: Call) -> Any:
        id = LocationId(call.part("id"))
        location = self._desk.catalogue.locations.get(id)
        if location is None or not call.caller.sees(id):
            raise NotFound("site", id)
        stations = self._desk.catalogue.stations_of(id)
        view = views.site(location, stations, self._desk.live)
        return {**view, "chargers": [self._charger(station) for station in stations]}

    async def put_site(self, call: Call) -> Any:
        given: LocationIn = call.body
        _same("id", given.id, call.part("id"))
        location = given.value(self._desk.party)
        _only_all_sites(call)
        await self._desk.administration.put_location(location, _by(call))
        return views.site(location, self._desk.catalogue.stations_of(location.id), self._desk.live)

    async def chargers(self, call: Call) -> Any:
        return [
            self._charger(station)
            for station in self._desk.catalogue.stations.values()
            if call.caller.sees(station.location)
        ]

    async def charger(self, call: Call) -> Any:
        return self._charger(self._station(call))

    async def put_charger(self, call: Call) -> Any:
        given: ChargerIn = call.body
        _same("id", given.id, call.part("id"))
        _only_all_sites(call)
        administration = self._desk.administration
        known = StationId(given.id) in self._desk.catalogue.keys
        if given.location not in self._desk.catalogue.locations:
            raise InvalidValue("location", f"no site {given.location!r}")
        station = await administration.put_station(given.value(), _by(call))
        view = self._charger(station)
        if given.auth == "none":
            await administration.open_to_all(station.id, _by(call))
        elif given.password is not None:
            await administration.set_password(station.id, given.password.encode(), _by(call))
        elif not known:
            view["password"] = await administration.new_password(station.id, _by(call))
        return view

    async def approve(self, call: Call) -> Any:
        station = self._station(call)
        approved = await self._desk.administration.approve(
            station.id, call.body.approval, _by(call)
        )
        return self._charger(approved)

    async def password(self, call: Call) -> Any:
        station = self._station(call)
        drawn = await self._desk.administration.new_password(station.id, _by(call))
        return {"id": station.id, "password": drawn}

    async def frames(self, call: Call) -> Any:
        station = self._station(call)
        return [views.as_plain(each) for each in self._desk.log.frames(station.id)]

    async def refusals(self, call: Call) -> Any:
        _only_all_sites(call)
        return [views.as_plain(each) for each in self._desk.log.refusals()]

    # -- commands

    async def reset(self, call: Call) -> Any:
        station = self._station(call)
        return await self._done(
            self._desk.remote.accept_reset(station.id, call.body.kind, _asker(call))
        )

    async def trigger(self, call: Call) -> Any:
        station = self._station(call)
        _check_evse(station, call.body.evse)
        wish = self._desk.remote.accept_trigger(
            station.id, call.body.wanted, call.body.evse, _asker(call)
        )
        return await self._done(wish)

    async def availability(self, call: Call) -> Any:
        station = self._station(call)
        _check_evse(station, call.body.evse)
        wish = self._desk.remote.accept_availability(
            station.id, call.body.operative, call.body.evse, _asker(call)
        )
        return await self._done(wish)

    async def start(self, call: Call) -> Any:
        given: StartIn = call.body
        ref = self._evse(call)
        token = next(
            (each for each in self._desk.catalogue.tokens_named(given.token) if not each.partner),
            None,
        )
        if token is None or not token.valid:
            raise InvalidValue("token", f"{given.token!r} is no valid token of our own")
        wish = StartWish(ref, token, None, given.connector, None, given.limit())
        return await self._done(self._desk.remote.accept_start(wish, _asker(call)))

    async def unlock(self, call: Call) -> Any:
        ref = self._evse(call)
        return await self._done(
            self._desk.remote.accept_unlock(ref, call.body.connector, _asker(call))
        )

    async def stop(self, call: Call) -> Any:
        session = await self._session(call)
        return await self._done(self._desk.remote.accept_stop(session, _asker(call)))

    async def _done(self, wish: Awaitable[CommandRecord | Refusal]) -> Any:
        """Carry a wish out and tell the station's own answer."""
        accepted = await wish
        if accepted is Refusal.UNKNOWN_CONNECTOR:
            raise InvalidValue("connector", explain(accepted))
        if isinstance(accepted, Refusal):
            raise Conflict(explain(accepted))
        answer = await self._desk.remote.carry_out(accepted)
        return {"command": accepted.id, "outcome": answer.outcome}

    # -- sessions and bills

    async def sessions(self, call: Call) -> Any:
        found, total = await self._desk.store.sessions(self._session_query(call))
        return {
            "total": total,
            "sessions": [views.session(self._fresh(each.session)) for each in found],
        }

    async def sessions_csv(self, call: Call) -> web.StreamResponse:
        query = replace(self._session_query(call), newest_first=False)

        async def page(window: Page) -> list[Json]:
            found, _ = await self._desk.store.sessions(replace(query, page=window))
            return [views.session(self._fresh(each.session)) for each in found]

        return await sheets.send(call.request, "sessions.csv", sheets.SESSION_COLUMNS, page)

    async def session(self, call: Call) -> Any:
        session = await self._session(call)
        return {**views.session(session), "price": await self._price(session)}

    async def _price(self, session: Session) -> Json | None:
        """What the session's bill says, or what it would say now; None where nobody can tell."""
        if (bill := await self._desk.store.cdr_of(session.id)) is not None:
            return views.price(bill.cdr.total, bill.cdr.currency, final=True)
        if session.status not in OPEN:
            return None
        rating = await self._desk.running_price(session)
        return None if rating is None else views.price(rating.total, rating.currency, final=False)

    async def timeline(self, call: Call) -> Any:
        session = await self._session(call)
        return views.story(await self._desk.casefile.story(session))

    async def explain(self, call: Call) -> Any:
        stories = await self._desk.casefile.stories(call.query.handle, call.caller.sites)
        return [views.story(each) for each in stories]

    async def cdrs(self, call: Call) -> Any:
        found, total = await self._desk.store.cdrs(self._cdr_query(call))
        return {"total": total, "cdrs": [views.cdr(each) for each in found]}

    async def cdrs_csv(self, call: Call) -> web.StreamResponse:
        query = replace(self._cdr_query(call), newest_first=False)

        async def page(window: Page) -> list[Json]:
            found, _ = await self._desk.store.cdrs(replace(query, page=window))
            return [sheets.cdr_row(views.cdr(each)) for each in found]

        return await sheets.send(call.request, "cdrs.csv", sheets.CDR_COLUMNS, page)

    async def cdr(self, call: Call) -> Any:
        found = await self._desk.store.cdr(CdrId(call.part("id")))
        if found is None or not call.caller.sees(found.cdr.place.location):
            raise NotFound("bill", call.part("id"))
        return views.cdr(found)

    async def sums(self, call: Call) -> Any:
        given: DaysIn = call.query
        sites = _narrowed(call, given.site)
        found = await self._desk.sums.sums(SumQuery(given.first, given.last, sites))
        return [views.day_sum(each) for each in found]

    async def sums_csv(self, call: Call) -> Any:
        return Text(sheets.table(sheets.SUM_COLUMNS, await self.sums(call)), "text/csv", "sums.csv")

    # -- live

    async def events(self, call: Call) -> web.StreamResponse:
        """Stream changes until the caller leaves, or may not look any more, or we stop.

        A comment every 15 s keeps the way open.
        """
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
            }
        )
        await response.prepare(call.request)
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            await self._follow(call, response)
        except (ConnectionResetError, asyncio.CancelledError):
            pass  # they left, or we stop
        finally:
            self._streams.discard(task)
        return response

    async def _follow(self, call: Call, response: web.StreamResponse) -> None:
        with self._desk.live.subscribed() as subscription:
            changes = aiter(subscription)
            waiting = asyncio.ensure_future(anext(changes))
            try:
                await response.write(b": live\n\n")
                while self._desk.access.caller(call.request) is not None:
                    done, _ = await asyncio.wait([waiting], timeout=KEEP_OPEN_SECONDS)
                    if not done:
                        await response.write(b": still here\n\n")
                        continue
                    touched = waiting.result()
                    waiting = asyncio.ensure_future(anext(changes))
                    if subscription.missed:
                        subscription.missed = False
                        await response.write(b"event: refresh\ndata: {}\n\n")
                    event = await self._event(call, touched.kind, touched.key)
                    if event is not None:
                        await response.write(event)
            finally:
                waiting.cancel()

    async def leave(self, _: object = None) -> None:
        """End every stream, so that a stop need not wait for browsers."""
        for task in list(self._streams):
            task.cancel()

    async def _event(self, call: Call, kind: str, key: str) -> bytes | None:
        """Return what *call* may see of a change, as a server-sent event; None for nothing."""
        match kind:
            case "evse":
                ref = EvseRef.parse(key)
                place = self._desk.catalogue.place(ref)
                if place is None or not call.caller.sees(place.location.id):
                    return None
                view = views.evse(self._desk.live.evse(ref), self._desk.live)
                data: dict[str, Any] = {**view, "site": place.location.id, "uid": place.evse.uid}
            case "session":
                session = await self._known_session(SessionId(key))
                if session is None or not call.caller.sees(session.location):
                    return None
                data = views.session(session)
            case "cdr":
                bill = await self._desk.store.cdr(CdrId(key))
                if bill is None or not call.caller.sees(bill.cdr.place.location):
                    return None
                kind, data = "bill", views.cdr(bill)
            case _:
                return None
        return b"event: " + kind.encode() + b"\ndata: " + dumps(data) + b"\n\n"

    # -- prices

    async def tariffs(self, call: Call) -> Any:
        return [views.tariff(each) for each in self._desk.catalogue.tariffs.values()]

    async def put_tariff(self, call: Call) -> Any:
        given: TariffIn = call.body
        _same("id", given.id, call.part("id"))
        _only_all_sites(call)
        return views.tariff(await self._desk.administration.put_tariff(given.value(), _by(call)))

    async def drop_tariff(self, call: Call) -> Any:
        _only_all_sites(call)
        await self._desk.administration.drop_tariff(TariffId(call.part("id")), _by(call))
        return {"deleted": call.part("id")}

    async def rules(self, call: Call) -> Any:
        return [views.as_plain(each) for each in self._desk.catalogue.rules.values()]

    async def put_rule(self, call: Call) -> Any:
        given: RuleIn = call.body
        _same("id", given.id, call.part("id"))
        _only_all_sites(call)
        self._check_rule(given)
        return views.as_plain(await self._desk.administration.put_rule(given.value(), _by(call)))

    def _check_rule(self, given: RuleIn) -> None:
        """Refuse a line about things that are not there: it would look right and never match."""
        catalogue = self._desk.catalogue
        if given.tariff not in catalogue.tariffs:
            raise InvalidValue("tariff", f"no tariff {given.tariff!r}")
        if given.location is not None and given.location not in catalogue.locations:
            raise InvalidValue("location", f"no site {given.location!r}")
        if given.evse is not None and catalogue.evse_by_uid(given.evse) is None:
            raise InvalidValue("evse", f"no EVSE with the uid {given.evse!r}")

    async def drop_rule(self, call: Call) -> Any:
        _only_all_sites(call)
        await self._desk.administration.drop_rule(call.part("id"), _by(call))
        return {"deleted": call.part("id")}

    # -- tokens, partners, keys

    async def tokens(self, call: Call) -> Any:
        given: TokensIn = call.query
        _only_all_sites(call)
        found = [
            each
            for each in self._desk.catalogue.tokens()
            if given.partner is None or (each.partner or "own") == given.partner
        ]
        window = found[given.offset : given.offset + given.limit]
        return {"total": len(found), "tokens": [views.as_plain(each) for each in window]}

    async def put_token(self, call: Call) -> Any:
        given: TokenIn = call.body
        _same("uid", given.uid, call.part("uid"))
        _only_all_sites(call)
        if given.partner is not None:
            raise InvalidValue("partner", "a partner's tokens come from the partner")
        token = given.value()
        await self._desk.administration.put_token(token, _by(call))
        return views.as_plain(self._desk.catalogue.token(None, token.uid, TokenType(token.type)))

    async def partners(self, call: Call) -> Any:
        _only_all_sites(call)
        return [self._partner(id) for id in self._desk.catalogue.partners]

    async def partner(self, call: Call) -> Any:
        _only_all_sites(call)
        return self._partner(self._partner_id(call))

    async def add_partner(self, call: Call) -> Any:
        given: InviteIn = call.body
        _only_all_sites(call)
        if (given.url is None) != (given.token is None):
            raise InvalidValue("url", "give url and token together, or neither")
        id, who = PartnerId(given.id), call.caller.who
        if given.url is None or given.token is None:
            invitation = await self._desk.partners.invite(
                id, given.name, who, private=given.allow_private_addresses
            )
            return {"id": id, "url": invitation.url, "token": invitation.token}
        await self._desk.partners.register(
            id, given.name, given.url, given.token, who, private=given.allow_private_addresses
        )
        return self._partner(id)

    async def drop_partner(self, call: Call) -> Any:
        _only_all_sites(call)
        id = self._partner_id(call)
        await self._desk.partners.unregister(id, call.caller.who)
        return self._partner(id)

    async def resync(self, call: Call) -> Any:
        _only_all_sites(call)
        id = self._partner_id(call)
        await self._desk.partners.resync(id, call.caller.who)
        return self._partner(id)

    async def keys(self, call: Call) -> Any:
        _only_all_sites(call)
        return [views.api_key(each) for each in self._desk.catalogue.api_keys.values()]

    async def new_key(self, call: Call) -> Any:
        given: KeyIn = call.body
        _only_all_sites(call)
        self._check_key(given)
        sites = None if given.sites is None else [LocationId(each) for each in given.sites]
        key, text = await self._desk.administration.new_api_key(
            given.name, given.rights, sites, _by(call), given.expires_at
        )
        return {**views.api_key(key), "key": text}

    def _check_key(self, given: KeyIn) -> None:
        for site in sorted(given.sites or ()):
            if site not in self._desk.catalogue.locations:
                raise InvalidValue("sites", f"no site {site!r}")
        if given.expires_at is not None and given.expires_at <= self._desk.clock():
            raise InvalidValue("expires_at", "lies in the past")

    async def revoke_key(self, call: Call) -> Any:
        _only_all_sites(call)
        await self._desk.administration.revoke_api_key(call.part("id"), _by(call))
        return {"revoked": call.part("id")}

    async def page_link(self, call: Call) -> Any:
        key = self._desk.administration.key(call.caller.id)
        if key is None:
            raise NotFound("API key", call.caller.id)
        return {"path": f"/login/once/{self._desk.access.once(key)}"}

    # -- work and audit

    async def work_items(self, call: Call) -> Any:
        given: WorkIn = call.query
        if call.caller.sites is None:
            items = await self._desk.work.items(given.open, given.page())
        else:
            every = await self._desk.work.items(given.open, Page(limit=MOST_WORK_ITEMS))
            seen = [each for each in every if self._sees_work(call, each.station)]
            items = seen[given.offset : given.offset + given.limit]
        return [views.work_item(each) for each in items]

    async def act(self, call: Call) -> Any:
        given: ActionIn = call.body
        item = await self._desk.store.work_item(call.part("id"))
        if item is None or not self._sees_work(call, item.station):
            raise NotFound("work item", call.part("id"))
        closed = await self._desk.work.act(
            item.id, given.action, call.caller.who, note=given.note, target=given.target
        )
        return views.work_item(closed)

    async def ledger(self, call: Call) -> web.StreamResponse:
        """Write our ledger line by line; it may be longer than memory."""
        _only_all_sites(call)
        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        await response.prepare(call.request)
        async for line in self._desk.sums.ledger():
            await response.write(dumps(line) + b"\n")
        return response

    async def audit(self, call: Call) -> Any:
        given: AuditIn = call.query
        _only_all_sites(call)
        rows = await self._desk.store.audit(given.subject, given.page())
        return [views.audit_entry(each) for each in rows]

    # -- inside

    def _charger(self, station: ChargingStation) -> views.Json:
        return views.charger(station, self._desk.catalogue, self._desk.live)

    def _station(self, call: Call) -> ChargingStation:
        catalogue = self._desk.catalogue
        id = catalogue.spelled(call.part("id"))
        station = catalogue.stations.get(id) if id is not None else None
        if station is None or not call.caller.sees(station.location):
            raise NotFound("charger", call.part("id"))
        return station

    def _evse(self, call: Call) -> EvseRef:
        ref = self._desk.catalogue.evse_by_uid(call.part("uid"))
        place = self._desk.catalogue.place(ref) if ref is not None else None
        if ref is None or place is None or not call.caller.sees(place.location.id):
            raise NotFound("EVSE", call.part("uid"))
        return ref

    async def _session(self, call: Call) -> Session:
        id = SessionId(call.part("id"))
        session = await self._known_session(id)
        if session is None or not call.caller.sees(session.location):
            raise NotFound("session", id)
        return session

    async def _known_session(self, id: SessionId) -> Session | None:
        if (live := self._desk.live.session(id)) is not None:
            return live
        kept = await self._desk.store.session(id)
        return None if kept is None else kept.session

    def _fresh(self, session: Session) -> Session:
        return self._desk.live.session(session.id) or session

    def _spelled(self, charger: str | None) -> StationId | None:
        if charger is None:
            return None
        return self._desk.catalogue.spelled(charger) or StationId(charger)

    def _session_query(self, call: Call) -> SessionQuery:
        given: SessionFilter = call.query
        status = None if given.status is None else frozenset({given.status})
        if given.running is not None and status is None:
            status = OPEN if given.running else frozenset(SessionStatus) - OPEN
        return SessionQuery(
            sites=_narrowed(call, given.site),
            station=self._spelled(given.charger),
            status=status,
            started_from=given.started_from,
            started_to=given.started_to,
            id_token=given.id_token,
            newest_first=True,
            page=given.page() if isinstance(given, Paged) else Page(),
        )

    def _cdr_query(self, call: Call) -> CdrQuery:
        given: CdrFilter = call.query
        return CdrQuery(
            sites=_narrowed(call, given.site),
            ended_from=given.ended_from,
            ended_to=given.ended_to,
            newest_first=True,
            page=given.page() if isinstance(given, Paged) else Page(),
        )

    def _partner_id(self, call: Call) -> PartnerId:
        id = PartnerId(call.part("id"))
        if id not in self._desk.catalogue.partners:
            raise NotFound("partner", id)
        return id

    def _partner(self, id: PartnerId) -> views.Json:
        partner = self._desk.catalogue.partners[id]
        health = self._desk.partners.health(id)
        return {**views.partner(partner), "health": views.as_plain(health)}

    def _sees_work(self, call: Call, station: str | None) -> bool:
        if call.caller.sites is None:
            return True
        known = self._desk.catalogue.stations.get(StationId(station or ""))
        return known is not None and call.caller.sees(known.location)


def _check_evse(station: ChargingStation, number: int | None) -> None:
    if number is not None and station.evse(number) is None:
        raise InvalidValue("evse", f"charger {station.id} has no EVSE {number}")


def _by(call: Call) -> By:
    return By(call.caller.who, call.reason)


def _asker(call: Call) -> Asker:
    return Asker(call.caller.who, None, call.reason)


def _same(field: str, given: str, path: str) -> None:
    if given != path:
        raise InvalidValue(field, f"{given!r} is not what the address says: {path!r}")


def _only_all_sites(call: Call) -> None:
    """What concerns the whole network is for keys that see all of it."""
    if call.caller.sites is not None:
        raise Forbidden("this key sees its own sites only")


def _narrowed(call: Call, site: str | None) -> frozenset[LocationId] | None:
    """The sites to look at: the caller's own, narrowed to one where asked."""
    if site is None:
        return call.caller.sites
    if not call.caller.sees(LocationId(site)):
        raise NotFound("site", site)
    return frozenset({LocationId(site)})
