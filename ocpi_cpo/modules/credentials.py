"""Credentials: the handshake's endpoint. What it does is in ``ocpi_cpo.registration``."""

from __future__ import annotations

from ocpi_cpo.auth import Access
from ocpi_cpo.envelope import Reply
from ocpi_cpo.registration import Registration
from ocpi_cpo.server import Call, Handler, Route
from ocpi_cpo.versions.dialect import Dialect


class Credentials:
    """Of one version; a POST or PUT here makes it the version of the connection."""

    def __init__(self, registration: Registration, dialect: Dialect) -> None:
        self._registration = registration
        self._dialect = dialect

    def routes(self) -> list[Route]:
        return [
            self._route("GET", self._get),
            self._route("POST", self._post),
            self._route("PUT", self._put),
            self._route("DELETE", self._delete),
        ]

    def _route(self, method: str, handler: Handler) -> Route:
        return Route(
            method,
            (self._dialect.version, "credentials"),
            handler,
            Access.REGISTRATION,
            functional=False,
            answering=method == "POST",
        )

    async def _get(self, call: Call) -> Reply:
        return self._registration.shown(call.caller, self._dialect)

    async def _post(self, call: Call) -> Reply:
        return await self._registration.posted(call.caller, call.body(), self._dialect)

    async def _put(self, call: Call) -> Reply:
        return await self._registration.put(call.caller, call.body(), self._dialect)

    async def _delete(self, call: Call) -> Reply:
        return await self._registration.deleted(call.caller)
