"""Versions and version details: cheap, without side effects, for token A and C alike."""

from __future__ import annotations

from ocpi_cpo.auth import Access
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.envelope import Reply
from ocpi_cpo.server import Call, Route
from ocpi_cpo.versions.dialect import Dialect


class Versions:
    def __init__(self, config: OcpiConfig, dialect: Dialect) -> None:
        self._config = config
        self._dialect = dialect

    def routes(self) -> list[Route]:
        return [
            Route("GET", ("versions",), self._versions, Access.REGISTRATION, functional=False),
            Route(
                "GET",
                (self._dialect.version,),
                self._details,
                Access.REGISTRATION,
                functional=False,
            ),
        ]

    async def _versions(self, call: Call) -> Reply:
        version = self._dialect.version
        return Reply([{"version": version, "url": self._config.url(version)}])

    async def _details(self, call: Call) -> Reply:
        version = self._dialect.version
        endpoints = [
            {"identifier": module, "role": role, "url": self._config.url(version, module)}
            for module, role in self._dialect.modules
        ]
        return Reply({"version": version, "endpoints": endpoints})
