"""Roaming partners: who they are, how they do, how one comes and goes."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from cms.app.ports import AdoptedLink, PartnerAddress
from cms.dashboard import views
from cms.dashboard.api.desk import Desk, only_all_sites
from cms.dashboard.routing import Call, Route
from cms.dashboard.views import Json
from cms.domain.errors import InvalidValue, NotFound
from cms.domain.ids import PartnerId
from cms.domain.partner import Partner, PartnerRole, Right
from cms.domain.sharing import LiveStatus, Sharing
from cms.intake.base import Intake
from cms.intake.partners import AdoptIn, EndpointIn, InviteIn, SettingsIn, SharingIn

_PARTY = re.compile(r"[A-Z]{2}\*[A-Z0-9]{3}")

T = TypeVar("T")


class PartyIn(Intake):
    name: Annotated[str, Field(min_length=1, max_length=100)]


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
        Route("PATCH", "/partners/{id}", admin, its.change, SettingsIn),
        Route("POST", "/partners/{id}/adopt", admin, its.adopt, AdoptIn, status=201),
        Route("DELETE", "/partners/{id}", admin, its.drop_partner),
        Route("POST", "/partners/{id}/renew", admin, its.renew, RenewIn),
        Route("POST", "/partners/{id}/resync", admin, its.sync, SyncIn),
        Route("POST", "/partners/{id}/sync", admin, its.sync, SyncIn),
        Route("POST", "/partners/{id}/compare", admin, its.compare, CompareIn),
        Route("GET", "/partners/{id}/comparison", admin, its.comparison),
        Route("GET", "/partners/{id}/parked", admin, its.parked, answer="array"),
        Route("POST", "/partners/{id}/parked/actions", admin, its.act_on_parked, ParkedIn),
        Route("GET", "/partners/{id}/parties", admin, its.parties, answer="array"),
        Route("PUT", "/partners/{id}/parties/{party}", admin, its.place_party, PartyIn),
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
        partner, who, desk = self._new(given.id, given), call.caller.who, self._desk.partners
        role = PartnerRole.HUB if given.hub else partner.role
        partner = replace(partner, role=role, broadcast=given.broadcast)
        if given.url is None or given.token is None:
            invitation = await desk.invite(partner, who)
            return {"id": partner.id, "url": invitation.url, "token": invitation.token}
        await desk.register(partner, given.url, given.token, who)
        return await self._partner(partner.id)

    def _new(self, id: str, given: InviteIn | AdoptIn) -> Partner:
        """Return a partner as it is added: what is not said stays as it was the last time."""
        known = self._desk.catalogue.partners.get(PartnerId(id))
        base = known or Partner(PartnerId(id), given.name)
        return replace(
            base,
            name=given.name,
            allow_private_addresses=given.allow_private_addresses,
            profile=given.profile or base.profile,
            switches=tuple(given.switches.items()) or base.switches,
        )

    async def adopt(self, call: Call) -> Any:
        """Take its connection over from another system."""
        given: AdoptIn = call.body
        only_all_sites(call)
        id = call.part("id")
        if not re.fullmatch(r"[A-Z]{2}\*[A-Z0-9]{1,10}", id):
            raise InvalidValue("id", f"{id!r} is not like IN*EMS")
        roles = [each.split(" ") for each in given.roles]
        link = AdoptedLink(
            given.url,
            given.version,
            given.token,
            given.our_token,
            [_address(each) for each in given.endpoints],
            [(role, PartnerId(party)) for role, party in roles],
        )
        await self._desk.partners.adopt(self._new(id, given), link, call.caller.who)
        return await self._partner(PartnerId(id))

    async def change(self, call: Call) -> Any:
        """Set how it is served, what it is shown, and from where it may call."""
        given: SettingsIn = call.body
        only_all_sites(call)
        before = self._desk.catalogue.partners[self._partner_id(call)]
        changed = replace(
            before,
            name=given.name or before.name,
            profile=given.profile or before.profile,
            switches=_turned(before.switches, given.switches),
            sharing=self._sharing(before.sharing, given.sharing),
            networks=_said(given.networks, before.networks),
            certificates=_said(given.certificates, before.certificates),
            our_certificate=_said(given.our_certificate, before.our_certificate) or None,
            allow_private_addresses=_said(
                given.allow_private_addresses, before.allow_private_addresses
            ),
        )
        ends = given.endpoints
        addresses = None if ends is None else [_address(each) for each in ends]
        await self._desk.partners.change(changed, call.caller.who, addresses)
        return await self._partner(before.id)

    def _sharing(self, before: Sharing, given: SharingIn | None) -> Sharing:
        if given is None:
            return before
        said = {name: getattr(given, name) for name in given.model_fields_set}
        known = self._desk.catalogue
        _all_known("sharing.sites", said.get("sites"), known.locations)
        _all_known("sharing.tariffs", said.get("tariffs"), known.tariffs)
        if "status" in said:
            said["status"] = LiveStatus(said["status"])
            said.setdefault("delay_minutes", 0)
        return replace(before, **said)

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

    async def parties(self, call: Call) -> Any:
        """The parties behind a hub, and how each does."""
        only_all_sites(call)
        behind = self._desk.catalogue.behind(self._partner_id(call))
        return [await self._partner(each.id) for each in behind]

    async def place_party(self, call: Call) -> Any:
        """Say that a party is behind a hub which does not say so itself."""
        given: PartyIn = call.body
        only_all_sites(call)
        hub, party = self._partner_id(call), call.part("party").upper()
        if not _PARTY.fullmatch(party):
            raise InvalidValue("party", "expected a country code and a party id, like NL*TNM")
        await self._desk.partners.place(hub, PartnerId(party), given.name, call.caller.who)
        return await self._partner(PartnerId(party))

    def _partner_id(self, call: Call) -> PartnerId:
        id = PartnerId(call.part("id"))
        if id not in self._desk.catalogue.partners:
            raise NotFound("partner", id)
        return id

    async def _partner(self, id: PartnerId) -> Json:
        partner = self._desk.catalogue.partners[id]
        health = await self._desk.partners.health(id)
        terms = self._desk.partners.terms(id)
        return {**views.partner(partner), "terms": terms, "health": views.as_plain(health)}


def _address(given: EndpointIn) -> PartnerAddress:
    return PartnerAddress(given.module, given.role, given.url)


def _said(given: T | None, before: T) -> T:
    return before if given is None else given


def _turned(
    before: tuple[tuple[str, str], ...], given: Mapping[str, str | None]
) -> tuple[tuple[str, str], ...]:
    turned = {**dict(before), **given}
    return tuple((name, value) for name, value in turned.items() if value is not None)


def _all_known(field: str, ids: Iterable[str] | None, known: Container[str]) -> None:
    missing = sorted(each for each in ids or () if each not in known)
    if missing:
        raise InvalidValue(field, f"there is no {missing[0]!r}")
