"""Invoice reconciliation (OCPI 2.3.0): sender of our invoices, receiver of partners'."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from cms.app.invoicing import Invoice, Invoicing
from cms.domain.errors import InvalidValue
from cms.domain.ids import CdrId, PartnerId
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.envelope import Reply
from ocpi_cpo.errors import BadParameter, NotThere
from ocpi_cpo.paging import page_headers, page_sizes, window
from ocpi_cpo.server import Call, Route
from ocpi_cpo.versions.v221 import models
from ocpi_cpo.versions.v221.models import read
from ocpi_cpo.wire import Json, stamp

MODULE = "invoicereconciliation"


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class InvoiceRecord(models.Model):
    """The one object of the module."""

    country_code: models.Country2
    party_id: models.Party
    id: models.Id36
    invoice_id: Annotated[str, Field(min_length=1, max_length=255)]
    cdrs: Annotated[
        tuple[models.Id36, ...], BeforeValidator(_listed), Field(min_length=1, max_length=20_000)
    ]
    last_updated: models.When


def record(invoice: Invoice, party: PartnerId) -> Json:
    """Return one of our invoices as its receiver reads it."""
    country, own = party.split("*")
    return {
        "country_code": country,
        "party_id": own,
        "id": invoice.id,
        "invoice_id": invoice.number,
        "cdrs": list(invoice.bills),
        "last_updated": stamp(invoice.last_updated),
    }


class Invoices:
    """``/invoicereconciliation``: GET lists ours; everything else is about the caller's own."""

    def __init__(self, invoicing: Invoicing, config: OcpiConfig, version: str) -> None:
        self._invoicing = invoicing
        self._config = config
        self._version = version

    def routes(self) -> list[Route]:
        base = (self._version, MODULE)
        one = (*base, "*", "*", "*")
        return [
            Route("GET", base, self._list),
            Route("POST", base, self._post),
            Route("GET", one, self._get),
            Route("PUT", one, self._put),
            Route("DELETE", one, self._delete),
        ]

    # -- sender

    async def _list(self, call: Call) -> Reply:
        sizes = page_sizes(call.profile, self._config)
        asked = window(call.query, sizes)
        default = PartnerId(self._config.parties[0].id)
        found = [
            each
            for each in await self._invoicing.ours(call.caller.partner)
            if asked.holds(each.last_updated) and call.party in (None, each.party or default)
        ]
        cut = found[asked.offset : asked.offset + asked.limit]
        return Reply(
            [record(each, each.party or default) for each in cut],
            headers=page_headers(call.url, asked, len(found), sizes.most),
        )

    # -- receiver

    async def _post(self, call: Call) -> Reply:
        invoice = self._read(call)
        known = await self._invoicing.received_one(invoice.partner, invoice.id)
        if known is not None and known.last_updated > invoice.last_updated:
            return Reply()  # older than what we have
        await self._invoicing.take(invoice)
        return Reply(http=201 if known is None else 200)

    async def _get(self, call: Call) -> Reply:
        found = await self._stored(call)
        return Reply(record(found, found.partner))

    async def _put(self, call: Call) -> Reply:
        self._own(call)
        invoice = self._read(call)
        if invoice.id.casefold() != call.path[2].casefold():
            raise BadParameter("id: differs from the URL")
        known = await self._invoicing.received_one(invoice.partner, invoice.id)
        if known is None or known.last_updated <= invoice.last_updated:
            await self._invoicing.take(invoice)
        return Reply(http=201 if known is None else 200)

    async def _delete(self, call: Call) -> Reply:
        await self._invoicing.forget(await self._stored(call))
        return Reply()

    def _own(self, call: Call) -> PartnerId:
        """Check that the URL names the caller's own party; anybody else's is not there."""
        country, party, _ = call.path
        if f"{country}*{party}".casefold() != call.caller.partner.casefold():
            raise NotThere(f"{country}*{party} is no party of yours")
        return call.caller.partner

    async def _stored(self, call: Call) -> Invoice:
        found = await self._invoicing.received_one(self._own(call), call.path[2])
        if found is None:
            raise NotThere("no such invoice")
        return found

    def _read(self, call: Call) -> Invoice:
        wire = read(InvoiceRecord, call.body())
        if f"{wire.country_code}*{wire.party_id}".casefold() != call.caller.partner.casefold():
            raise BadParameter("country_code, party_id: are not yours")
        try:
            return Invoice(
                wire.id,
                call.caller.partner,
                wire.invoice_id,
                tuple(map(CdrId, wire.cdrs)),
                wire.last_updated,
            )
        except InvalidValue as error:
            raise BadParameter(f"cdrs: {error.reason}") from None
