"""What operators do about partners, as the core's ``PartnerDesk`` port names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from cms.app.catalogue import Catalogue
from cms.app.ports import (
    AdoptedLink,
    Comparison,
    Invitation,
    ParkedObject,
    PartnerAddress,
    PartnerHealth,
    SyncState,
)
from cms.domain.errors import Conflict, InvalidValue
from cms.domain.ids import PartnerId
from cms.domain.partner import Partner
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.connections import Endpoint, Role
from ocpi_cpo.door import certificate_name, networks
from ocpi_cpo.errors import OcpiError
from ocpi_cpo.parties import Found
from ocpi_cpo.profiles import checked, profile_of
from ocpi_cpo.registration import PARTY_LENGTH, TakeOver
from ocpi_cpo.service import OcpiService


class Partners:
    """The desk of :class:`OcpiService`."""

    def __init__(self, service: OcpiService, catalogue: Catalogue, config: OcpiConfig) -> None:
        self._service = service
        self._catalogue = catalogue
        self._config = config

    def checked(self, partner: Partner) -> Partner:
        profile = checked(partner.profile, partner.switches)
        _, _, party = partner.id.partition("*")
        if len(party) != PARTY_LENGTH and not profile.lenient_party_ids:
            raise InvalidValue("id", f"{party} has not three characters (lenient_party_ids)")
        networks(partner.networks, "networks")
        ours = partner.our_certificate
        if ours is not None and ours not in self._config.certificates:
            raise InvalidValue("our_certificate", f"no {ours!r} in [[ocpi.certificates]]")
        names = tuple(map(certificate_name, partner.certificates))
        private = partner.allow_private_addresses or self._config.allow_private
        return replace(partner, certificates=names, allow_private_addresses=private)

    def terms(self, partner: PartnerId) -> Mapping[str, object]:
        connection = self._service.connections.get(partner)
        pinned = connection.pinned if connection is not None else ()
        return {
            "switches": asdict(profile_of(self._catalogue.partners.get(partner))),
            "endpoints_set": [asdict(each) for each in pinned],
            "endpoints_guessed": connection is not None and connection.guessed,
        }

    async def change(
        self, partner: Partner, who: str, addresses: Sequence[PartnerAddress] | None = None
    ) -> Partner:
        pinned = None if addresses is None else _endpoints(addresses)
        await self._service.change(self.checked(partner), who, pinned)
        return self._catalogue.partners[partner.id]

    async def adopt(self, partner: Partner, link: AdoptedLink, who: str) -> Partner:
        partner = self.checked(partner)
        roles = [
            Role(role, party.partition("*")[0], party.partition("*")[2], partner.name)
            for role, party in link.roles
        ]
        given = TakeOver(
            link.url,
            link.version,
            link.token,
            link.our_token,
            _endpoints(link.addresses),
            tuple(roles),
        )
        try:
            await self._service.adopt(partner, given, who)
        except OcpiError as error:
            raise Conflict(error.message) from None
        return self._catalogue.partners[partner.id]

    async def invite(self, partner: Partner, who: str) -> Invitation:
        self._check_address(partner.allow_private_addresses)
        token = await self._service.invite(self.checked(partner), who)
        return Invitation(partner.id, self._config.url("versions"), token)

    async def register(self, partner: Partner, url: str, token: str, who: str) -> Partner:
        self._check_address(partner.allow_private_addresses)
        await self._service.invite(self.checked(partner), who)
        try:
            await self._service.register(partner.id, url, token, who)
        except OcpiError as error:
            raise Conflict(error.message) from None
        return self._catalogue.partners[partner.id]

    async def renew(self, partner: PartnerId, who: str, version: str | None = None) -> None:
        if version is not None and version not in self._config.versions:
            raise InvalidValue("version", f"one of {', '.join(self._config.versions)}")
        try:
            await self._service.renew(partner, who, version)
        except OcpiError as error:
            raise Conflict(error.message) from None

    def _check_address(self, private: bool) -> None:
        """A partner keeps the addresses that it is given: they must be safe from the first day.

        Raises:
            Conflict: they are not.
        """
        if not (private or self._config.shown_safely):
            raise Conflict(
                "http.public_url: partners are given https:// addresses only, "
                f"not {self._config.base_url} (allow_private_addresses is for tests)"
            )

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

    async def place(self, hub: PartnerId, party: PartnerId, name: str, who: str) -> None:
        connection, parties = self._service.connections.own(hub), self._service.parties
        if connection is None or not connection.connected or not parties.is_hub(connection):
            raise Conflict(f"{hub} is no hub that is connected")
        if not await parties.take(hub, [Found(party, name)], who):
            raise Conflict(f"{party} is reached in another way, or is ours")


def _endpoints(addresses: Sequence[PartnerAddress]) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(each.module, each.role, each.url) for each in addresses)
