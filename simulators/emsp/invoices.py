"""Invoice reconciliation of OCPI 2.3.0, both interfaces: the CPO's records here, and ours there."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from simulators.emsp.client import Answer, object_url
from simulators.emsp.connection import Connection, Party
from simulators.emsp.models import Id36, Model, Text255, When
from simulators.emsp.speech import Wrong, checked
from simulators.emsp.store import Key, Store, key_of
from simulators.emsp.wire import Json, Reply, now, stamp

MODULE = "invoicereconciliation"
Request = Callable[..., Awaitable[Answer]]
Complain = Callable[[str, str, str], None]


class Record(Model):
    """Which bills an invoice is for."""

    country_code: Annotated[str, Field(min_length=2, max_length=2)]
    party_id: Annotated[str, Field(min_length=3, max_length=3)]
    id: Id36
    invoice_id: Annotated[Text255, Field(min_length=1)]
    cdrs: Annotated[list[Id36], Field(min_length=1)]
    last_updated: When


@dataclass(slots=True)
class Invoices:
    """The CPO's invoices to us, and ours to the CPO (reverse billing).

    Attributes:
        received: the CPO's records.
        ours: our own, by id.
    """

    us: Party
    store: Store
    connection: Connection
    request: Request
    complain: Complain
    received: dict[Key, Json] = field(default_factory=dict)
    ours: dict[str, Json] = field(default_factory=dict)

    # -- receiver

    def serve(self, method: str, segments: tuple[str, ...], body: Any) -> Reply:
        """Answer one request; a GET without a path lists our own."""
        where = f"{method} {'/'.join((MODULE, *segments))}"
        key = key_of(*segments)
        match (method, len(segments)):
            case ("GET", 0):
                listed = list(self.ours.values())
                return Reply(data=listed, headers={"X-Total-Count": str(len(listed))})
            case ("POST", 0):
                return self._take(where, None, body)
            case ("GET" | "PUT" | "DELETE", 3) if key not in self.received:
                return Reply(2003, message="unknown invoice", http=404)
            case ("GET", 3):
                return Reply(data=self.received[key])
            case ("PUT", 3):
                return self._take(where, key, body)
            case ("DELETE", 3):
                del self.received[key]
                self.store.pulse.beat()
                return Reply()
            case _:
                pass
        self.complain(where, "method", "this module has no such method")
        return Reply(2000, message="no such method", http=405)

    def _take(self, where: str, key: Key | None, body: Any) -> Reply:
        try:
            checked(Record, body)
        except Wrong as error:
            self.complain(where, error.field, str(error))
            return Reply(2001, message=f"{error.field}: {error}")
        found = key_of(body["country_code"], body["party_id"], body["id"])
        if not self.connection.owns(*found[:2]) or key not in (None, found):
            self.complain(where, "party_id, id", "differ from the path or the CPO's parties")
            return Reply(2001, message="party_id, id")
        for name, reason in self._mistakes(found, body):
            self.complain(where, name, reason)
        new = found not in self.received
        self.received[found] = body
        self.store.pulse.beat()
        return Reply(http=201 if new else 200)

    def _mistakes(self, key: Key, record: Json) -> Iterator[tuple[str, str]]:
        """Bills that we do not have, that are listed twice, or that another invoice has."""
        listed = [key_of(record["country_code"], record["party_id"], id) for id in record["cdrs"]]
        if len(set(listed)) != len(listed):
            yield "cdrs", "a bill twice"
        elsewhere = {
            key_of(other["country_code"], other["party_id"], id)
            for place, other in self.received.items()
            if place != key
            for id in other["cdrs"]
        }
        for each in listed:
            if each not in self.store.cdrs:
                yield "cdrs", f"{each[-1]}: we have no such bill"
            if each in elsewhere:
                yield "cdrs", f"{each[-1]}: is in another invoice"

    # -- sender

    async def issue(self, number: str, cdrs: list[str]) -> tuple[Json, Answer]:
        """POST a record of an invoice of ours."""
        id = str(uuid.uuid4())
        record: Json = {
            "country_code": self.us.country_code,
            "party_id": self.us.party_id,
            "id": id,
            "invoice_id": number,
            "cdrs": cdrs,
            "last_updated": stamp(now()),
        }
        self.ours[id] = record
        return record, await self.request("POST", self._theirs(), record)

    async def change(self, record: Json, **changes: Any) -> Answer:
        """PUT a record of ours again."""
        changed = {**record, **changes, "last_updated": stamp(now())}
        self.ours[record["id"]] = changed
        return await self.request("PUT", self._url(record), changed)

    async def withdraw(self, record: Json) -> Answer:
        """DELETE a record of ours."""
        self.ours.pop(record["id"], None)
        return await self.request("DELETE", self._url(record))

    async def look(self, record: Json) -> Answer:
        """GET the CPO's copy of a record of ours."""
        return await self.request("GET", self._url(record))

    def _theirs(self) -> str:
        return self.connection.endpoints[MODULE, "RECEIVER"]

    def _url(self, record: Json) -> str:
        ids = (record["country_code"], record["party_id"], record["id"])
        return object_url(self._theirs(), *ids)
