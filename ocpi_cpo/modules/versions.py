"""Versions and version details: cheap, without side effects, for token A and C alike."""

from __future__ import annotations

from ocpi_cpo.auth import Access
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.envelope import Reply
from ocpi_cpo.profiles.switches import CredentialsAs
from ocpi_cpo.server import Call, Handler, Route
from ocpi_cpo.versions.dialect import Dialect
from ocpi_cpo.versions.offered import dialect_of


class Versions:
    def __init__(self, config: OcpiConfig) -> None:
        self._config = config

    def routes(self) -> list[Route]:
        return [
            self._route(("versions",), self._versions),
            *(self._details_of(dialect_of(version)) for version in self._config.versions),
        ]

    async def _versions(self, call: Call) -> Reply:
        return Reply(
            [
                {"version": version, "url": self._config.url(version)}
                for version in self._config.versions
            ]
        )

    def _details_of(self, dialect: Dialect) -> Route:
        version = dialect.version

        async def details(call: Call) -> Reply:
            endpoints = [
                dialect.endpoint(module, role, self._config.url(version, module))
                for module, usual in dialect.modules
                for role in _roles(module, usual, call.profile.credentials_as)
            ]
            once = [each for at, each in enumerate(endpoints) if each not in endpoints[:at]]
            return Reply({"version": version, "endpoints": once})

        return self._route((version,), details)

    def _route(self, path: tuple[str, ...], handler: Handler) -> Route:
        """A registration whose answer was lost is repeated from its beginning, which is here."""
        return Route("GET", path, handler, Access.REGISTRATION, functional=False, answering=True)


def _roles(module: str, usual: str, credentials: CredentialsAs) -> tuple[str, ...]:
    """Return with which roles a module is listed; the standard leaves that of credentials open."""
    if module != "credentials":
        return (usual,)
    return ("SENDER", "RECEIVER") if credentials is CredentialsAs.BOTH else (str(credentials),)
