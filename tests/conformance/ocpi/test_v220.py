"""OCPI 2.2, for partners that offer nothing newer: agreed upon, and spoken, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from cms.domain.partner import Partner
from ocpi_cpo.versions.v220.dialect import V220
from tests.conformance.ocpi import hubs
from tests.conformance.ocpi.hubs import Arrival, Hub
from tests.conformance.ocpi.world import EMP, Asker, World


class Old(Hub):
    """A platform of one eMSP that speaks 2.1.1 and 2.2."""

    def _sorted(self, arrival: Arrival) -> web.Response:
        if arrival.module == "versions":
            urls = [{"version": v, "url": f"{self.base}/{v}"} for v in ("2.1.1", "2.2")]
            return self._answer(arrival, urls)
        if (arrival.module, arrival.method) == ("credentials", "POST"):
            self.ask = Asker(
                str(arrival.body["url"]).removesuffix("/versions"), arrival.body["token"]
            )
            return self._answer(arrival, self.credentials())
        return super()._sorted(arrival)


@asynccontextmanager
async def old() -> AsyncIterator[Old]:
    async with hubs.hub(version="2.2", party=EMP) as plain:
        role = {
            "role": "EMSP", "country_code": "IN", "party_id": "EMP",
            "business_details": {"name": "Old Mobility"},
        }  # fmt: skip
        plain.roles, plain.__class__ = [role], Old
        assert isinstance(plain, Old)
        yield plain


async def test_with_a_partner_of_2_2_the_highest_common_version_is_2_2(cpo: World) -> None:
    async with old() as partner:
        own = Partner(EMP, "Old Mobility", allow_private_addresses=True)
        await cpo.service.invite(own, "test")
        await cpo.service.register(EMP, f"{partner.base}/versions", partner.token, "test")
        connection = cpo.service.connections.own(EMP)
        assert connection is not None and connection.version == "2.2"
        site = await partner.until(lambda: partner.pushed("locations"))
        assert site[0].body["id"] and (await partner.call(EMP, "GET", "/locations")).code == 1000
        session = await cpo.session()
        [put, *_] = await partner.until(lambda: partner.pushed("sessions"))
        assert set(put.body["cdr_token"]) == {"uid", "type", "contract_id"}
        await cpo.settle(session)
        [bill] = await partner.until(lambda: partner.pushed("cdrs"))
        assert set(bill.body["cdr_token"]) == {"uid", "type", "contract_id"}
        assert (
            "postal_code" in bill.body["cdr_location"] and "state" not in bill.body["cdr_location"]
        )
        assert "home_charging_compensation" not in bill.body
        details = (await partner.configure("GET", "")).data
        assert details["version"] == "2.2"


def test_2_2_knows_fewer_connectors_than_2_2_1() -> None:
    assert {"NEMA_5_20", "GBT_DC", "CHAOJI"} <= V220.newer_standards
    assert not {"IEC_62196_T2", "CHADEMO", "IEC_62196_T2_COMBO"} & V220.newer_standards
