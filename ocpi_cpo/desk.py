"""What operators do about partners, as the core's ``PartnerDesk`` port names it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cms.app.catalogue import Catalogue
from cms.app.ports import Comparison, Invitation, ParkedObject, PartnerHealth, SyncState
from cms.domain.errors import Conflict, InvalidValue
from cms.domain.ids import PartnerId
from cms.domain.partner import Partner
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.errors import OcpiError
from ocpi_cpo.service import OcpiService


class Partners:
    """The desk of :class:`OcpiService`."""

    def __init__(self, service: OcpiService, catalogue: Catalogue, config: OcpiConfig) -> None:
        self._service = service
        self._catalogue = catalogue
        self._config = config

    async def invite(
        self, partner: PartnerId, name: str, who: str, *, private: bool = False
    ) -> Invitation:
        token = await self._service.invite(self._partner(partner, name, private), who)
        return Invitation(partner, self._config.url("versions"), token)

    async def register(
        self,
        partner: PartnerId,
        name: str,
        url: str,
        token: str,
        who: str,
        *,
        private: bool = False,
    ) -> Partner:
        await self._service.invite(self._partner(partner, name, private), who)
        try:
            await self._service.register(partner, url, token, who)
        except OcpiError as error:
            raise Conflict(error.message) from None
        return self._catalogue.partners[partner]

    async def renew(self, partner: PartnerId, who: str, version: str | None = None) -> None:
        if version is not None and version not in self._config.versions:
            raise InvalidValue("version", f"one of {', '.join(self._config.versions)}")
        try:
            await self._service.renew(partner, who, version)
        except OcpiError as error:
            raise Conflict(error.message) from None

    async def unregister(self, partner: PartnerId, who: str) -> None:
        await self._service.unregister(partner, who)

    async def sync(
        self, partner: PartnerId, who: str, module: str | None = None
    ) -> Sequence[SyncState]:
        """Tell everything again; a partner that refused us is tried again."""
        await self._service.resume(partner, who)
        await self._service.sync(partner, who, module)
        self._service.retry(partner)
        return (await self.health(partner)).syncs

    async def health(self, partner: PartnerId) -> PartnerHealth:
        return await self._service.partner_health(partner)

    async def compare(self, partner: PartnerId, who: str, module: str | None = None) -> None:
        await self._service.comparing.ask(partner, who, module)

    def comparison(self, partner: PartnerId) -> Comparison | None:
        return self._service.comparing.report(partner)

    async def parked(self, partner: PartnerId) -> Sequence[ParkedObject]:
        return await self._service.parking.of(partner)

    async def retry_parked(self, partner: PartnerId, kind: str, key: str, who: str) -> None:
        await self._service.parking.retry(partner, kind, key, who)

    async def drop_parked(
        self, partner: PartnerId, kind: str, key: str, who: str, why: str | None = None
    ) -> None:
        await self._service.parking.drop(partner, kind, key, who, why)

    def _partner(self, id: PartnerId, name: str, private: bool) -> Partner:
        known = self._catalogue.partners.get(id) or Partner(id, name)
        private = private or self._config.allow_private
        return replace(known, name=name, allow_private_addresses=private)
