"""Brings one object to one partner: which request, with which body, and what the answer means.

Bodies are rendered from the current state at the moment of sending. Every request is kept with its
answer for the case file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from cms.app.invoicing import Invoicing
from cms.app.ports import Change, Clock, Store
from cms.app.writes import Delivery, PutDelivery, PutWorkItem, Write
from cms.domain.audit import WorkAction, WorkItem, WorkType
from cms.domain.ids import CdrId, EvseRef, LocationId, PartnerId, SessionId, TariffId
from cms.domain.tariff import Tariff
from ocpi_cpo.answers import Kind, PartnerAnswer
from ocpi_cpo.connections import Connection
from ocpi_cpo.modules.invoices import MODULE as INVOICES
from ocpi_cpo.modules.invoices import record
from ocpi_cpo.pages import Group, Pages
from ocpi_cpo.partner_api import PartnerApi
from ocpi_cpo.push.ahead import Before, ReadAhead
from ocpi_cpo.push.bills import Bills
from ocpi_cpo.push.statuses import Statuses
from ocpi_cpo.push.telling import (
    DONE,
    LATER,
    NOTHING,
    Memory,
    Refetch,
    Result,
    Telling,
    Told,
    older,
    unheard,
)
from ocpi_cpo.render import Renderer
from ocpi_cpo.versions.dialect import Dialect
from ocpi_cpo.wire import Json, join, loads

log = structlog.get_logger()


class Courier:
    """Serves one partner.

    Args:
        broadcast: the partner is a hub that is told for everybody behind it.

    Attributes:
        ahead: what is read ahead of the telling.
        behind: what is written down behind it.
        bills: how those are told.
    """

    def __init__(
        self,
        partner: PartnerId,
        store: Store,
        pages: Pages,
        statuses: Statuses,
        render: Renderer,
        api: PartnerApi,
        dialect: Dialect,
        clock: Clock,
        refetch: Refetch,
        invoicing: Invoicing,
        broadcast: bool = False,
    ) -> None:
        self._partner = partner
        self._store = store
        self._pages = pages
        self._statuses = statuses
        self._network = pages.network
        self._render = render
        self._dialect = dialect
        self._clock = clock
        self._invoicing = invoicing
        self._broadcast = broadcast
        self._tell = Telling(partner, store, api, clock, refetch)
        self.ahead = ReadAhead(partner, store)
        self.behind = self._tell.behind
        self.bills = Bills(self._tell, self.ahead, render, dialect)

    def succeed(self, before: Courier) -> None:
        """Know what *before* knew: the registration is the same."""
        self._tell.memory = before._tell.memory

    def forget(self) -> None:
        """A new registration: what was told under the old one counts no more."""
        self._tell.memory = Memory()

    async def lost(self, kind: str, key: str) -> None:
        """The partner's copy of a thing is not what it was told: it must be told again."""
        self._tell.memory.told.pop((kind, key), None)
        self.ahead.forget(kind, key)
        known = await self._tell.delivery(kind, key)
        if known is not None and known.place is not None:
            place = f"lost {known.place.split(' ', 1)[-1]}"
            await self._tell.keep(kind, key, "delivered", place=place)

    async def tell(
        self,
        connection: Connection,
        change: Change,
        answered: Callable[[], None] = unheard,
        *,
        rear: bool = False,
    ) -> Told:
        """Bring *change* to the partner, unless it knows it.

        Args:
            answered: called when the partner has taken it and only our own mark is to be written.
            rear: the sites are told; what of a tariff was left for LATER is due.
        """
        match change.kind:
            case "tariff":
                return await self._tariff(connection, change, rear or change.deleted)
            case "location":
                return await self._location(connection, LocationId(change.key))
            case "evse":
                ref = EvseRef.parse(change.key)
                return await self._evse(connection, ref, fresh=change.seq > 0)
            case "session":
                return await self._session(connection, SessionId(change.key), change)
            case "cdr":
                return await self.bills.tell(connection, CdrId(change.key), change, answered)
            case "profile":
                return await self._profile(connection, SessionId(change.key))
            case "invoice":
                return await self._invoice(connection, change.key)
            case _:
                raise ValueError(f"partners are not told of a {change.kind}")

    async def read_ahead(
        self, sessions: Sequence[Change], bills: Sequence[Change]
    ) -> Mapping[str, Before]:
        """Read what telling all these needs; returns what goes before each bill."""
        if sessions:
            await self.ahead.sessions(sessions)
            await self._read_sites(self.ahead.sites())
        return await self.ahead.bills(bills) if bills else {}

    async def _read_sites(self, sites: Iterable[LocationId]) -> None:
        """Read which sites the partner knows, of those of which that is not in memory."""
        known = self._tell.memory.deliveries
        unknown = [each for each in sites if ("location", each) not in known]
        found = await self._store.deliveries_with(self._partner, "location", unknown)
        for site in unknown:
            known.setdefault(("location", site), found.get(site))  # told meanwhile: that is newer

    def introduced(self, connection: Connection, id: LocationId) -> bool:
        """Whether the partner knows a site since it registered, or has no business to."""
        known = self._tell.memory.deliveries.get(("location", id))
        place = (known.place if known is not None else None) or ""
        if _generation(place) == str(connection.generation):
            return True
        return self._network.site(id, self._group) is None

    @property
    def _group(self) -> Group:
        return self._network.group(self._partner)

    # -- tariffs

    async def _tariff(self, connection: Connection, change: Change, rear: bool) -> Told:
        """Bring a tariff in the forms that the partner is shown; take back those it had before.

        Args:
            rear: no site shows those any more; the new forms were told before.
        """
        base = TariffId(change.key)
        forms = self._render.tariff_forms(base, self._partner)
        for form in () if rear and not change.deleted else forms:
            told = await self._put_tariff(connection, form)
            if told.result is not Result.DONE:
                return told
        gone = [id for id in await self._told_of(base) if id not in {each.id for each in forms}]
        if gone and not rear:
            return LATER
        for id in gone:
            told = await self._drop_tariff(connection, id)
            if told.result is not Result.DONE:
                return told
        return DONE if forms or gone else NOTHING

    async def _told_of(self, base: TariffId) -> list[TariffId]:
        """Return under which ids the partner knows one of our tariffs."""
        offers = self._network.catalogue.offers
        rows = await self._store.deliveries(self._partner, "delivered")
        return [
            TariffId(row.key)
            for row in rows
            if row.kind == "tariff" and row.place is not None
            if row.key == base or offers.base_of(TariffId(row.key)) == base
        ]

    async def _drop_tariff(self, connection: Connection, id: TariffId) -> Told:
        known = await self._tell.delivery("tariff", id)
        party = ((known.place if known is not None else None) or "").split(" ", 1)[-1]
        url = self._tell.url(connection, "tariffs", party, id)
        answer = await self._tell.send(connection, "DELETE", url, None, "tariff", id)
        if answer.ok or answer.kind is Kind.MISSING:
            await self._tell.keep("tariff", id, "delivered", place=None)
            return DONE
        return self._tell.judged(answer)

    async def _put_tariff(self, connection: Connection, form: Tariff) -> Told:
        id, party = form.id, self._render.tariff_party(form)
        url, body = self._tell.url(connection, "tariffs", party, id), self._render.tariff(form)
        told = await self._tell.put(connection, url, body, "tariff", id, sender=party)
        if told.result is Result.DONE:
            place = f"{connection.generation} {party}"
            await self._render.took(self._partner, form)  # first: what says delivered is known
            await self._tell.keep("tariff", id, "delivered", place=place)
        return told

    async def _tariffs_first(self, connection: Connection, body: Json) -> Told:
        """Push the tariffs that a location shows and the partner does not know."""
        if connection.endpoint("tariffs", "RECEIVER") is None:
            return DONE
        for id in map(TariffId, self._dialect.tariffs_in(body)):
            known = await self._tell.delivery("tariff", id)
            place = (known.place if known is not None else None) or ""
            if not place.startswith(f"{connection.mark('tariffs')} "):
                form = self._form(id)
                told = await self._put_tariff(connection, form) if form is not None else DONE
                if told.result in (Result.AGAIN, Result.STOP):
                    return told
        return DONE

    def _form(self, id: TariffId) -> Tariff | None:
        offers = self._network.catalogue.offers
        return offers.form(id, self._partner, self._network.now())

    # -- locations

    def knows(self, connection: Connection, change: Change) -> bool:
        """Whether the partner certainly knows of *change*: that needs no question to the store.

        Most changes of a site are statuses, which are told one by one.
        """
        match change.kind:
            case "location":
                id = LocationId(change.key)
                known = self._tell.memory.deliveries.get(("location", id))
                if known is None or self._network.site(id, self._group) is None:
                    return False
                return known.place == self._content(connection, id)
            case "evse":
                ref, group = EvseRef.parse(change.key), self._group
                told = self._tell.memory.told.get(("evse", change.key))
                place = self._network.visible(ref, group) if told and group.live else None
                return place is not None and told == self._statuses.of(place, group).status
            case _:
                return False

    def _content(self, connection: Connection, id: LocationId) -> str:
        """Return what a delivery of a site says when the partner has it as it is now."""
        return f"{connection.mark('locations')} {self._pages.one(id, self._partner).content}"

    async def _location(self, connection: Connection, id: LocationId) -> Told:
        """PUT a site if more of it changed than what a PATCH of an EVSE tells."""
        known = await self._tell.delivery("location", id)
        if self._network.site(id, self._group) is None:
            return await self._withdraw(connection, id, known)
        if known is not None and known.place == self._content(connection, id):
            return NOTHING
        return await self._put_location(connection, id)

    async def _put_location(self, connection: Connection, id: LocationId) -> Told:
        told = await self._tariffs_first(connection, loads(self._pages.one(id, self._partner).body))
        if told.result is not Result.DONE:
            return told
        shown = self._pages.one(id, self._partner)
        party = shown.site.party
        url = self._tell.url(connection, "locations", party, id)
        told = await self._tell.put(connection, url, shown.body, "location", id, sender=party)
        if told.result is Result.DONE:
            statuses = {("evse", str(ref)): each for ref, each in shown.statuses.items()}
            self._tell.memory.told.update(statuses)
            place = f"{connection.mark('locations')} {shown.content}"
            await self._tell.keep("location", id, "delivered", place=place)
        return told

    async def _withdraw(
        self, connection: Connection, id: LocationId, known: Delivery | None
    ) -> Told:
        """Tell, once, that what the partner knows of a site is not for it any more."""
        site = self._network.catalogue.locations.get(id)
        place = (known.place if known is not None else None) or ""
        if site is None or _generation(place) != str(connection.generation):
            return NOTHING
        url = self._tell.url(connection, "locations", site.party, id)
        body = self._network.withdrawn(site, self._group)
        told = await self._tell.put(connection, url, body, "location", id, sender=site.party)
        if told.result is Result.DONE:
            await self._tell.keep("location", id, "delivered", place=None)
        return told

    async def _evse(self, connection: Connection, ref: EvseRef, *, fresh: bool) -> Told:
        """PATCH a status; the whole site where the partner does not know it.

        Args:
            fresh: it has just happened: a partner from whom that is kept must not even hear
                *that* something did. What is due for one that hears later comes again then.
        """
        group = self._group
        place = self._network.visible(ref, group)
        if place is None:
            return NOTHING
        site = place.location
        if fresh and not group.live:
            return await self._location(connection, site.id)
        known = await self._tell.delivery("location", site.id)
        told = (known.place if known is not None else None) or ""
        if not told.startswith(f"{connection.mark('locations')} "):
            return await self._put_location(connection, site.id)
        shown = self._statuses.of(place, group)
        if self._tell.memory.told.get(("evse", str(ref))) == shown.status:
            return NOTHING
        url = self._tell.url(connection, "locations", site.party, site.id, shown.uid)
        answer = await self._tell.send(
            connection, "PATCH", url, shown.body, "evse", str(ref), sender=site.party
        )
        if answer.ok:
            self._tell.memory.told["evse", str(ref)] = shown.status
            return DONE
        if answer.kind in (Kind.MISSING, Kind.REFUSED) and answer.code is not None:
            return await self._repair(connection, site.id, url, str(ref), answer)
        return self._tell.judged(answer)

    async def _repair(
        self, connection: Connection, id: LocationId, url: str, ref: str, refused: PartnerAnswer
    ) -> Told:
        """A PATCH failed: see whether the partner has the object; if not, PUT the whole site.

        Nobody in particular can be asked about what was broadcast: it is PUT again.
        """
        if self._broadcast:
            return await self._put_location(connection, id)
        there = await self._tell.send(connection, "GET", url, None, "evse", ref)
        if there.kind is not Kind.MISSING and there.kind is not Kind.REFUSED:
            return self._tell.judged(refused if there.ok else there)
        return await self._put_location(connection, id)

    # -- sessions

    async def _session(self, connection: Connection, id: SessionId, change: Change) -> Told:
        dated = self.ahead.session(change) or await self._store.session(id)
        if dated is None or dated.session.owner != self._partner:
            return NOTHING
        if older(connection, change):
            return NOTHING
        if self._tell.memory.told.get(("session", id)) == dated.last_updated:
            return NOTHING
        if not self._render.shows(dated.session):
            return NOTHING
        body = await self._render.session(dated, self.ahead.first_rating(id))
        if body is None:
            return Told(Result.PARK, "it cannot be shown: its token or its EVSE is not known")
        party = self._render.session_party(dated.session)
        url = self._tell.url(connection, "sessions", party, id)
        told = await self._tell.put(connection, url, body, "session", id, sender=party, session=id)
        if told.result is Result.DONE:
            self._tell.memory.told["session", id] = dated.last_updated
            if len(self._tell.memory.told) > 100_000:
                self._tell.memory.told.clear()
        return told

    # -- charging profiles

    async def _profile(self, connection: Connection, id: SessionId) -> Told:
        """PUT what an EVSE plans for a session whose owner has set a profile on it."""
        shown = self._render.profile(id, self._partner)
        if shown is None:
            return NOTHING
        base = connection.endpoint("chargingprofiles", "SENDER")
        assert base is not None, "a module that the partner does not have is not pushed"
        party, body = shown
        return await self._tell.put(
            connection, join(base, id), body, "profile", id, sender=party, session=id
        )

    # -- invoices

    async def _invoice(self, connection: Connection, id: str) -> Told:
        """POST a new record, PUT one that changed or may be there, DELETE one that was an error."""
        own = await self._invoicing.one(self._partner, id)
        before = await self._tell.delivery("invoice", id)
        if own is None or (own.withdrawn and before is None):
            return NOTHING
        party = own.party or self._render.party
        url = self._tell.url(connection, INVOICES, party, id)
        body = record(own, party)

        async def ask(method: str, url: str, body: Json | None) -> PartnerAnswer:
            return await self._tell.send(connection, method, url, body, "invoice", id, sender=party)

        if own.withdrawn:
            answer = await ask("DELETE", url, None)
            done = answer.ok or answer.kind is Kind.MISSING
        else:
            put = await ask("PUT", url, body) if before is not None else None
            if put is None or put.kind is Kind.MISSING:
                await self._tell.keep("invoice", id, "retrying")
                answer = await ask("POST", self._tell.url(connection, INVOICES), body)
            else:
                answer = put
            done = answer.ok or answer.kind is Kind.EXISTS
        if not done:
            return await self._tell.moved(connection, answer)
        await self._tell.keep("invoice", id, "delivered")
        return DONE

    # -- parking

    async def park(self, change: Change, why: str, retry_at: datetime | None, tries: int) -> None:
        """Put an object aside, with a work item."""
        item = WorkItem(
            f"parked-delivery:{self._partner}:{change.kind}:{change.key}",
            WorkType.PARKED_DELIVERY,
            f"{change.kind}:{change.key}",
            self._clock(),
            evidence={"partner": self._partner, "answer": why, "attempts": tries},
            actions=(WorkAction.RETRY, WorkAction.DISMISS),
        )
        log.warning("push.parked", partner=self._partner, object=item.subject, why=why)
        before = await self._tell.delivery(change.kind, change.key)
        row = Delivery(
            self._partner,
            change.kind,
            change.key,
            "parked",
            change.seq,
            self._clock(),
            attempts=tries,
            place=before.place if before is not None else None,
            error=why,
            retry_at=retry_at,
        )
        self._tell.remember(change.kind, change.key, row)
        await self._store.commit([PutDelivery(row), PutWorkItem(item)])

    async def unpark(self, change: Change) -> None:
        """What was parked got through: close its work item."""
        before = await self._tell.delivery(change.kind, change.key)
        id = f"parked-delivery:{self._partner}:{change.kind}:{change.key}"
        item = await self._store.work_item(id)
        writes: list[Write] = []
        if item is not None and item.closed_at is None:
            writes.append(
                PutWorkItem(
                    replace(
                        item,
                        closed_at=self._clock(),
                        closed_by="system",
                        note="the partner has taken it",
                    )
                )
            )
        if before is not None and before.state == "parked":
            row = replace(before, state="delivered", at=self._clock(), retry_at=None)
            self._tell.remember(change.kind, change.key, row)
            writes.append(PutDelivery(row))
        if writes:
            await self._store.commit(writes)


def _generation(place: str) -> str:
    """Return under which registration a site was told."""
    return place.partition(" ")[0].partition("@")[0]
