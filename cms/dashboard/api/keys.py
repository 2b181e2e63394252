"""API keys of people and programs, and one-time links to the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from cms.dashboard import views
from cms.dashboard.api.desk import Desk, by, only_all_sites
from cms.dashboard.routing import Call, Route
from cms.domain.errors import InvalidValue, NotFound
from cms.domain.ids import LocationId
from cms.domain.partner import Right
from cms.intake.base import Intake, Moment


class KeyIn(Intake):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    rights: Annotated[frozenset[Right], Field(min_length=1)]
    sites: frozenset[str] | None = None
    expires_at: Moment | None = None


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of API keys and links to the page."""
    read, admin = Right.READ, Right.ADMIN
    its = Keys(desk)
    return [
        Route("GET", "/keys", admin, its.keys, answer="array"),
        Route("POST", "/keys", admin, its.new_key, KeyIn, status=201),
        Route("DELETE", "/keys/{id}", admin, its.revoke_key),
        Route("POST", "/page-link", read, its.page_link),
    ]


class Keys:
    """Handlers of API keys."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def keys(self, call: Call) -> Any:
        """API keys."""
        only_all_sites(call)
        return [views.api_key(each) for each in self._desk.catalogue.api_keys.values()]

    async def new_key(self, call: Call) -> Any:
        """Draw an API key, told once."""
        given: KeyIn = call.body
        only_all_sites(call)
        self._check_key(given)
        sites = None if given.sites is None else [LocationId(each) for each in given.sites]
        key, text = await self._desk.administration.new_api_key(
            given.name, given.rights, sites, by(call), given.expires_at
        )
        return {**views.api_key(key), "key": text}

    async def revoke_key(self, call: Call) -> Any:
        """Revoke an API key."""
        only_all_sites(call)
        await self._desk.administration.revoke_api_key(call.part("id"), by(call))
        return {"revoked": call.part("id")}

    async def page_link(self, call: Call) -> Any:
        """Draw a one-time link to the page."""
        key = self._desk.administration.key(call.caller.id)
        if key is None:
            raise NotFound("API key", call.caller.id)
        return {"path": f"/login/once/{self._desk.access.once(key)}"}

    def _check_key(self, given: KeyIn) -> None:
        for site in sorted(given.sites or ()):
            if site not in self._desk.catalogue.locations:
                raise InvalidValue("sites", f"no site {site!r}")
        if given.expires_at is not None and given.expires_at <= self._desk.clock():
            raise InvalidValue("expires_at", "lies in the past")
