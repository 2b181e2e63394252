"""Roaming partners: who they are, how they do, how one comes and goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from cms.dashboard import views
from cms.dashboard.api.desk import Desk, only_all_sites
from cms.dashboard.routing import Call, Route
from cms.dashboard.views import Json
from cms.domain.errors import InvalidValue, NotFound
from cms.domain.ids import PartnerId
from cms.domain.partner import Right
from cms.intake.base import Intake


class InviteIn(Intake):
    """Without *url* and *token* the partner registers with us; with both we register with it."""

    id: Annotated[str, Field(pattern=r"^[A-Z]{2}\*[A-Z0-9]{3}$")]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    url: str | None = None
    token: str | None = None
    allow_private_addresses: bool = False


class SyncIn(Intake):
    """Without *module* all that it takes from us, and its token list."""

    module: (
        Literal["locations", "tariffs", "sessions", "cdrs", "invoicereconciliation", "tokens"]
        | None
    ) = None


class CompareIn(Intake):
    module: Literal["locations", "tariffs", "sessions", "cdrs"] | None = None


class ParkedIn(Intake):
    action: Literal["retry", "drop"]
    kind: Literal["location", "evse", "tariff", "session", "cdr", "profile", "invoice"]
    key: str
    note: Annotated[str, Field(max_length=1000)] | None = None


class RenewIn(Intake):
    """Without *version* the one that was agreed stays."""

    version: str | None = None


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of partners; each needs the right to administer."""
    admin = Right.ADMIN
    its = Partners(desk)
    return [
        Route("GET", "/partners", admin, its.partners, answer="array"),
        Route("GET", "/partners/{id}", admin, its.partner),
        Route("POST", "/partners", admin, its.add_partner, InviteIn, status=201),
        Route("DELETE", "/partners/{id}", admin, its.drop_partner),
        Route("POST", "/partners/{id}/renew", admin, its.renew, RenewIn),
        Route("POST", "/partners/{id}/resync", admin, its.sync, SyncIn),
        Route("POST", "/partners/{id}/sync", admin, its.sync, SyncIn),
        Route("POST", "/partners/{id}/compare", admin, its.compare, CompareIn),
        Route("GET", "/partners/{id}/comparison", admin, its.comparison),
        Route("GET", "/partners/{id}/parked", admin, its.parked, answer="array"),
        Route("POST", "/partners/{id}/parked/actions", admin, its.act_on_parked, ParkedIn),
    ]


class Partners:
    """Handlers of partners."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def partners(self, call: Call) -> Any:
        """Partners and how they do."""
        only_all_sites(call)
        return [await self._partner(id) for id in tuple(self._desk.catalogue.partners)]

    async def partner(self, call: Call) -> Any:
        """One partner."""
        only_all_sites(call)
        return await self._partner(self._partner_id(call))

    async def add_partner(self, call: Call) -> Any:
        """Invite a partner, or register with one."""
        given: InviteIn = call.body
        only_all_sites(call)
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
        return await self._partner(id)

    async def drop_partner(self, call: Call) -> Any:
        """Unregister a partner."""
        only_all_sites(call)
        id = self._partner_id(call)
        await self._desk.partners.unregister(id, call.caller.who)
        return await self._partner(id)

    async def renew(self, call: Call) -> Any:
        """Exchange the tokens of both directions, at once."""
        given: RenewIn = call.body
        only_all_sites(call)
        id = self._partner_id(call)
        await self._desk.partners.renew(id, call.caller.who, given.version)
        return await self._partner(id)

    async def sync(self, call: Call) -> Any:
        """Send it everything again, or one module."""
        given: SyncIn = call.body
        only_all_sites(call)
        id = self._partner_id(call)
        await self._desk.partners.sync(id, call.caller.who, given.module)
        return await self._partner(id)

    async def compare(self, call: Call) -> Any:
        """Compare its copies with ours, and repair them."""
        given: CompareIn = call.body
        only_all_sites(call)
        id = self._partner_id(call)
        await self._desk.partners.compare(id, call.caller.who, given.module)
        return views.as_plain(self._desk.partners.comparison(id))

    async def comparison(self, call: Call) -> Any:
        """The comparison that runs, else the last one."""
        only_all_sites(call)
        id = self._partner_id(call)
        found = self._desk.partners.comparison(id)
        if found is None:
            raise NotFound("comparison of", id)
        return views.as_plain(found)

    async def parked(self, call: Call) -> Any:
        """What it would not take, and why."""
        only_all_sites(call)
        found = await self._desk.partners.parked(self._partner_id(call))
        return [views.parked(each) for each in found]

    async def act_on_parked(self, call: Call) -> Any:
        """Try one parked object again, or give it up."""
        given: ParkedIn = call.body
        only_all_sites(call)
        id, who, desk = self._partner_id(call), call.caller.who, self._desk.partners
        match given.action:
            case "retry":
                await desk.retry_parked(id, given.kind, given.key, who)
            case "drop":
                await desk.drop_parked(id, given.kind, given.key, who, given.note or call.reason)
        return await self._partner(id)

    def _partner_id(self, call: Call) -> PartnerId:
        id = PartnerId(call.part("id"))
        if id not in self._desk.catalogue.partners:
            raise NotFound("partner", id)
        return id

    async def _partner(self, id: PartnerId) -> Json:
        partner = self._desk.catalogue.partners[id]
        health = await self._desk.partners.health(id)
        return {**views.partner(partner), "health": views.as_plain(health)}
