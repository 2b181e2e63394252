"""Brings one object to one partner: which request, with which body, and what the answer means.

Bodies are rendered from the current state at the moment of sending. Every request is kept with its
answer for the case file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any

import structlog

from cms.app import failpoints
from cms.app.invoicing import Invoicing
from cms.app.ports import Change, Clock, DatedCdr, Store
from cms.app.writes import Delivery, KeepExchange, PutDelivery, PutWorkItem, Write
from cms.domain.audit import WorkAction, WorkItem, WorkType
from cms.domain.cdr import Cdr
from cms.domain.ids import CdrId, EvseRef, LocationId, PartnerId, SessionId, TariffId
from cms.domain.tariff import Tariff
from ocpi_cpo.answers import Kind, PartnerAnswer
from ocpi_cpo.connections import Connection
from ocpi_cpo.modules.invoices import MODULE as INVOICES
from ocpi_cpo.modules.invoices import record
from ocpi_cpo.pages import Group, Pages
from ocpi_cpo.partner_api import PartnerApi, exchange
from ocpi_cpo.profiles.switches import CdrPath
from ocpi_cpo.push.ahead import Before, ReadAhead
from ocpi_cpo.push.behind import Behind
from ocpi_cpo.push.statuses import Statuses
from ocpi_cpo.render import Renderer
from ocpi_cpo.versions.dialect import Dialect
from ocpi_cpo.wire import Json, dumps, join, loads

log = structlog.get_logger()

PARTY_AWAY = frozenset({4001, 4002, 4003})
"""By these a hub says that it does not reach the party: the hub itself is well."""

Refetch = Callable[[Connection], Awaitable[bool]]
"""Looks the partner's endpoints up again; True if they have changed."""

MODULE_OF = {
    "tariff": "tariffs",
    "location": "locations",
    "evse": "locations",
    "session": "sessions",
    "cdr": "cdrs",
    "invoice": "invoicereconciliation",
    "profile": "chargingprofiles",
}

ROLE_OF = {"chargingprofiles": "SENDER"}
"""In which role a partner takes our pushes, where it is not RECEIVER."""


class Result(Enum):
    DONE = "done"  # the partner has it
    NOTHING = "nothing"  # there is nothing to tell (any more)
    LATER = "later"  # the rest of it goes behind the sites
    AGAIN = "again"  # the partner could not take it now
    PARK = "park"  # it will not take this
    STOP = "stop"  # it does not accept our credentials


@dataclass(frozen=True, slots=True)
class Told:
    """How one attempt ended.

    Attributes:
        why: for operators.
        moved: the endpoints were found elsewhere: try again at once.
        unreachable: the request did not reach the partner's machine, or its hub's.
        party_away: the hub says that this party is not reached.
    """

    result: Result
    why: str = ""
    retry_after: float | None = None
    moved: bool = False
    unreachable: bool = False
    party_away: bool = False


NOTHING = Told(Result.NOTHING)
LATER = Told(Result.LATER)
DROPPED = "dropped"
"""State of a delivery that an operator has given up, or that has no form for the partner."""

DONE = Told(Result.DONE)

_BILLED = ("cdr", "invoice")
"""Kinds of which every exchange is durable before anything follows from it: alone, or in one commit
with what follows."""


def _unheard() -> None:
    """Nobody waits to hear that an answer came."""


@dataclass(slots=True)
class _Memory:
    """What is known to have reached the partner; lost with the process, rebuilt from deliveries.

    Attributes:
        longer_bills: its address of bills names our party.
    """

    deliveries: dict[tuple[str, str], Delivery | None] = field(default_factory=dict)
    told: dict[tuple[str, str], Any] = field(default_factory=dict)
    longer_bills: bool = False


class Courier:
    """Serves one partner.

    Args:
        broadcast: the partner is a hub that is told for everybody behind it.

    Attributes:
        ahead: what is read ahead of the telling.
        behind: what is written down behind it.
        ambiguous: bills of which a first POST left open whether it was taken.
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
        self._api = api
        self._dialect = dialect
        self._clock = clock
        self._refetch = refetch
        self._invoicing = invoicing
        self._broadcast = broadcast
        self._memory = _Memory()
        self.ahead = ReadAhead(partner, store)
        self.behind = Behind(store)
        self.ambiguous = 0
        self.without_location = 0

    def succeed(self, before: Courier) -> None:
        """Know what *before* knew: the registration is the same."""
        self._memory = before._memory

    def forget(self) -> None:
        """A new registration: what was told under the old one counts no more."""
        self._memory = _Memory()

    async def lost(self, kind: str, key: str) -> None:
        """The partner's copy of a thing is not what it was told: it must be told again."""
        self._memory.told.pop((kind, key), None)
        self.ahead.forget(kind, key)
        known = await self._delivery(kind, key)
        if known is not None and known.place is not None:
            place = f"lost {known.place.split(' ', 1)[-1]}"
            await self._keep_delivery(kind, key, "delivered", place=place)

    async def tell(
        self,
        connection: Connection,
        change: Change,
        answered: Callable[[], None] = _unheard,
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
                return await self._cdr(connection, CdrId(change.key), change, answered)
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
        known = self._memory.deliveries
        unknown = [each for each in sites if ("location", each) not in known]
        found = await self._store.deliveries_with(self._partner, "location", unknown)
        for site in unknown:
            known.setdefault(("location", site), found.get(site))  # told meanwhile: that is newer

    def introduced(self, connection: Connection, id: LocationId) -> bool:
        """Whether the partner knows a site since it registered, or has no business to."""
        known = self._memory.deliveries.get(("location", id))
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
        known = await self._delivery("tariff", id)
        party = ((known.place if known is not None else None) or "").split(" ", 1)[-1]
        url = self._url(connection, "tariffs", party, id)
        answer = await self._send(connection, "DELETE", url, None, "tariff", id)
        if answer.ok or answer.kind is Kind.MISSING:
            await self._keep_delivery("tariff", id, "delivered", place=None)
            return DONE
        return self._judged(answer)

    async def _put_tariff(self, connection: Connection, form: Tariff) -> Told:
        id, party = form.id, self._render.tariff_party(form)
        url, body = self._url(connection, "tariffs", party, id), self._render.tariff(form)
        told = await self._put(connection, url, body, "tariff", id, sender=party)
        if told.result is Result.DONE:
            place = f"{connection.generation} {party}"
            await self._render.took(self._partner, form)  # first: what says delivered is known
            await self._keep_delivery("tariff", id, "delivered", place=place)
        return told

    async def _tariffs_first(self, connection: Connection, body: Json) -> Told:
        """Push the tariffs that a location shows and the partner does not know."""
        if connection.endpoint("tariffs", "RECEIVER") is None:
            return DONE
        for id in map(TariffId, self._dialect.tariffs_in(body)):
            known = await self._delivery("tariff", id)
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
                known = self._memory.deliveries.get(("location", id))
                if known is None or self._network.site(id, self._group) is None:
                    return False
                return known.place == self._content(connection, id)
            case "evse":
                ref, group = EvseRef.parse(change.key), self._group
                told = self._memory.told.get(("evse", change.key))
                place = self._network.visible(ref, group) if told and group.live else None
                return place is not None and told == self._statuses.of(place, group).status
            case _:
                return False

    def _content(self, connection: Connection, id: LocationId) -> str:
        """Return what a delivery of a site says when the partner has it as it is now."""
        return f"{connection.mark('locations')} {self._pages.one(id, self._partner).content}"

    async def _location(self, connection: Connection, id: LocationId) -> Told:
        """PUT a site if more of it changed than what a PATCH of an EVSE tells."""
        known = await self._delivery("location", id)
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
        url = self._url(connection, "locations", party, id)
        told = await self._put(connection, url, shown.body, "location", id, sender=party)
        if told.result is Result.DONE:
            statuses = {("evse", str(ref)): each for ref, each in shown.statuses.items()}
            self._memory.told.update(statuses)
            place = f"{connection.mark('locations')} {shown.content}"
            await self._keep_delivery("location", id, "delivered", place=place)
        return told

    async def _withdraw(
        self, connection: Connection, id: LocationId, known: Delivery | None
    ) -> Told:
        """Tell, once, that what the partner knows of a site is not for it any more."""
        site = self._network.catalogue.locations.get(id)
        place = (known.place if known is not None else None) or ""
        if site is None or _generation(place) != str(connection.generation):
            return NOTHING
        url = self._url(connection, "locations", site.party, id)
        body = self._network.withdrawn(site, self._group)
        told = await self._put(connection, url, body, "location", id, sender=site.party)
        if told.result is Result.DONE:
            await self._keep_delivery("location", id, "delivered", place=None)
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
        known = await self._delivery("location", site.id)
        told = (known.place if known is not None else None) or ""
        if not told.startswith(f"{connection.mark('locations')} "):
            return await self._put_location(connection, site.id)
        shown = self._statuses.of(place, group)
        if self._memory.told.get(("evse", str(ref))) == shown.status:
            return NOTHING
        url = self._url(connection, "locations", site.party, site.id, shown.uid)
        answer = await self._send(
            connection, "PATCH", url, shown.body, "evse", str(ref), sender=site.party
        )
        if answer.ok:
            self._memory.told["evse", str(ref)] = shown.status
            return DONE
        if answer.kind in (Kind.MISSING, Kind.REFUSED) and answer.code is not None:
            return await self._repair(connection, site.id, url, str(ref), answer)
        return self._judged(answer)

    async def _repair(
        self, connection: Connection, id: LocationId, url: str, ref: str, refused: PartnerAnswer
    ) -> Told:
        """A PATCH failed: see whether the partner has the object; if not, PUT the whole site.

        Nobody in particular can be asked about what was broadcast: it is PUT again.
        """
        if self._broadcast:
            return await self._put_location(connection, id)
        there = await self._send(connection, "GET", url, None, "evse", ref)
        if there.kind is not Kind.MISSING and there.kind is not Kind.REFUSED:
            return self._judged(refused if there.ok else there)
        return await self._put_location(connection, id)

    # -- sessions

    async def _session(self, connection: Connection, id: SessionId, change: Change) -> Told:
        dated = self.ahead.session(change) or await self._store.session(id)
        if dated is None or dated.session.owner != self._partner:
            return NOTHING
        if _older(connection, change):
            return NOTHING
        if self._memory.told.get(("session", id)) == dated.last_updated:
            return NOTHING
        if not self._render.shows(dated.session):
            return NOTHING
        body = await self._render.session(dated, self.ahead.first_rating(id))
        if body is None:
            return Told(Result.PARK, "it cannot be shown: its token or its EVSE is not known")
        party = self._render.session_party(dated.session)
        url = self._url(connection, "sessions", party, id)
        told = await self._put(connection, url, body, "session", id, sender=party, session=id)
        if told.result is Result.DONE:
            self._memory.told["session", id] = dated.last_updated
            if len(self._memory.told) > 100_000:
                self._memory.told.clear()
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
        return await self._put(
            connection, join(base, id), body, "profile", id, sender=party, session=id
        )

    # -- bills

    async def _cdr(
        self, connection: Connection, id: CdrId, change: Change, answered: Callable[[], None]
    ) -> Told:
        read = self.ahead.bill(change)
        dated, before = read or (
            await self._store.cdr(id),
            await self._store.delivery(self._partner, "cdr", id),
        )
        if dated is None or dated.cdr.owner != self._partner:
            return NOTHING
        if before is None and _older(connection, change):
            return NOTHING
        if before is not None and before.state in ("delivered", DROPPED):
            return NOTHING
        corrected = dated.cdr.credit_of or dated.cdr.replaces
        if corrected is not None and not self._dialect.credits:
            return await self._by_hand(dated.cdr, corrected)
        if before is not None and before.place is not None:
            told = await self._there(connection, dated, before)
            if told is not None:
                return told
        body = self._render.cdr(dated)
        if body is None:
            return Told(Result.PARK, "it cannot be shown: no partner's token pays it")
        return await self._post_cdr(connection, dated, before, body, answered)

    async def _by_hand(self, cdr: Cdr, corrected: CdrId) -> Told:
        """A correction has no form in this version: people settle it, once for credit and bill."""
        why = f"{cdr.id} corrects {corrected}, and OCPI {self._dialect.version} has no credits"
        item = WorkItem(
            f"settle-by-hand:{corrected}",
            WorkType.SETTLE_BY_HAND,
            f"session:{cdr.session}",
            self._clock(),
            station=cdr.place.station,
            location=cdr.place.location,
            evidence={"partner": self._partner, "bill": corrected, "why": why},
        )
        await self._store.commit([PutWorkItem(item)])
        await self._keep_delivery("cdr", cdr.id, DROPPED, error=why)
        return NOTHING

    async def _post_cdr(
        self,
        connection: Connection,
        dated: DatedCdr,
        before: Delivery | None,
        body: Json,
        answered: Callable[[], None],
    ) -> Told:
        """POST a bill; that we are about to is durable first, so that a crash leaves a trace.

        A bill that may have been taken is POSTed again with the same id until an answer decides.
        What was said and answered is written in one commit with what became of the bill.
        """
        cdr = dated.cdr
        doubt = before is not None and _in_doubt(before)
        attempts = (before.attempts if before is not None else 0) + 1
        await self._keep_delivery("cdr", cdr.id, "retrying", attempts=attempts)
        said: list[Write] = []
        url, answer = await self._post_somewhere(connection, cdr, body, said)
        failpoints.hit(failpoints.X5)
        if answer.ok or answer.kind is Kind.EXISTS:
            answered()
            return await self._delivered(connection, cdr.id, url, answer, attempts, doubt, said)
        if answer.kind is Kind.UNCLEAR:
            self.ambiguous += 1
            await self._keep_delivery(
                "cdr", cdr.id, "ambiguous", attempts=attempts, error=answer.text, said=said
            )
            return self._judged(answer)
        if doubt and answer.kind is Kind.REFUSED:
            await self._store.commit(said)
            why = f"a POST before left it open whether it was taken; now: {answer.text}"
            return Told(Result.PARK, why)
        state = "ambiguous" if doubt else "retrying"
        await self._keep_delivery(
            "cdr", cdr.id, state, attempts=attempts, error=answer.text, said=said
        )
        return await self._moved(connection, answer)

    async def _post_somewhere(
        self, connection: Connection, cdr: Cdr, body: Json, said: list[Write]
    ) -> tuple[str, PartnerAnswer]:
        """POST a bill; at the longer address where the partner has none at the usual one."""
        plain = self._url(connection, "cdrs")
        longer = self._url(connection, "cdrs", cdr.place.party)
        choice = self._api.profile(connection.partner).cdr_path
        first, second = (longer, plain) if self._memory.longer_bills else (plain, longer)
        answer = await self._post_at(connection, cdr, body, first, said)
        if answer.kind is not Kind.MISSING or choice is not CdrPath.PARTY_AFTER_404:
            return first, answer
        answer = await self._post_at(connection, cdr, body, second, said)
        if answer.kind is not Kind.MISSING:
            self._memory.longer_bills = second == longer
        return second, answer

    async def _post_at(
        self, connection: Connection, cdr: Cdr, body: Json, url: str, said: list[Write]
    ) -> PartnerAnswer:
        return await self._send(
            connection,
            "POST",
            url,
            body,
            "cdr",
            cdr.id,
            sender=cdr.place.party,
            session=cdr.session,
            fresh=True,
            said=said,
        )

    async def _delivered(
        self,
        connection: Connection,
        id: CdrId,
        url: str,
        answer: PartnerAnswer,
        attempts: int,
        doubt: bool,
        said: Sequence[Write],
    ) -> Told:
        place, error = _place(answer, url, connection), None
        if place is None:
            self.without_location += 1
            error = "the partner did not say where it keeps this bill"
        if answer.kind is Kind.EXISTS:
            error = f"the partner has it already: {answer.text}"
        if doubt:
            error = f"an earlier POST had no clear answer; {error or 'this one was taken'}"
        await self._keep_delivery(
            "cdr", id, "delivered", attempts=attempts, place=place, error=error, said=said
        )
        return DONE

    async def _there(
        self, connection: Connection, dated: DatedCdr, before: Delivery
    ) -> Told | None:
        """Look whether the partner has a bill, where it said that it keeps it."""
        assert before.place is not None
        id = dated.cdr.id
        answer = await self._send(
            connection, "GET", before.place, None, "cdr", id, session=dated.cdr.session
        )
        if answer.ok and isinstance(answer.data, dict) and answer.data.get("id") == id:
            await self._keep_delivery(
                "cdr", id, "delivered", attempts=before.attempts, place=before.place
            )
            return DONE
        return self._judged(answer) if answer.again else None

    # -- invoices

    async def _invoice(self, connection: Connection, id: str) -> Told:
        """POST a new record, PUT one that changed or may be there, DELETE one that was an error."""
        own = await self._invoicing.one(self._partner, id)
        before = await self._delivery("invoice", id)
        if own is None or (own.withdrawn and before is None):
            return NOTHING
        party = own.party or self._render.party
        url = self._url(connection, INVOICES, party, id)
        body = record(own, party)

        async def ask(method: str, url: str, body: Json | None) -> PartnerAnswer:
            return await self._send(connection, method, url, body, "invoice", id, sender=party)

        if own.withdrawn:
            answer = await ask("DELETE", url, None)
            done = answer.ok or answer.kind is Kind.MISSING
        else:
            put = await ask("PUT", url, body) if before is not None else None
            if put is None or put.kind is Kind.MISSING:
                await self._keep_delivery("invoice", id, "retrying")
                answer = await ask("POST", self._url(connection, INVOICES), body)
            else:
                answer = put
            done = answer.ok or answer.kind is Kind.EXISTS
        if not done:
            return await self._moved(connection, answer)
        await self._keep_delivery("invoice", id, "delivered")
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
        before = await self._delivery(change.kind, change.key)
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
        self._remember(change.kind, change.key, row)
        await self._store.commit([PutDelivery(row), PutWorkItem(item)])

    async def unpark(self, change: Change) -> None:
        """What was parked got through: close its work item."""
        before = await self._delivery(change.kind, change.key)
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
            self._remember(change.kind, change.key, row)
            writes.append(PutDelivery(row))
        if writes:
            await self._store.commit(writes)

    # -- inside

    def _url(self, connection: Connection, module: str, party: str = "", *ids: str) -> str:
        base = connection.endpoint(module, "RECEIVER")
        assert base is not None, "a module that the partner does not take is not pushed"
        return join(base, *party.split("*"), *ids) if party else base

    async def _put(
        self,
        connection: Connection,
        url: str,
        body: Json | bytes,
        kind: str,
        key: str,
        *,
        sender: PartnerId | None = None,
        session: SessionId | None = None,
    ) -> Told:
        answer = await self._send(
            connection, "PUT", url, body, kind, key, sender=sender, session=session
        )
        return DONE if answer.ok else await self._moved(connection, answer)

    async def _moved(self, connection: Connection, answer: PartnerAnswer) -> Told:
        """404 on a PUT or POST: perhaps the partner's endpoints are elsewhere by now."""
        if answer.kind is Kind.MISSING and await self._refetch(connection):
            return Told(Result.AGAIN, answer.text, moved=True)
        return self._judged(answer)

    def _judged(self, answer: PartnerAnswer) -> Told:
        if answer.kind is Kind.UNAUTHORISED:
            return Told(Result.STOP, answer.text)
        if answer.again:
            return Told(
                Result.AGAIN,
                answer.text,
                answer.retry_after,
                unreachable=answer.kind is Kind.UNREACHABLE,
                party_away=answer.code in PARTY_AWAY,
            )
        return Told(Result.PARK, answer.text)

    async def _send(
        self,
        connection: Connection,
        method: str,
        url: str,
        body: Json | bytes | None,
        kind: str,
        key: str,
        *,
        sender: PartnerId | None = None,
        session: SessionId | None = None,
        fresh: bool = False,
        said: list[Write] | None = None,
    ) -> PartnerAnswer:
        """Send one request.

        Args:
            said: takes what is to be kept of it; the caller writes that down.
        """
        at = self._clock()
        raw = body if isinstance(body, bytes) else b"" if body is None else dumps(body)
        answer = await self._api.call(
            connection, method, url, raw or None, sender=sender, fresh=fresh
        )
        kept = exchange(
            connection, method, url, raw, answer, at=at, kind=kind, key=key, session=session
        )
        if said is not None:
            said.append(KeepExchange(kept))
        elif kind in _BILLED:
            await self._store.commit([KeepExchange(kept)])
        else:
            await self.behind.keep(KeepExchange(kept))
        return answer

    async def _delivery(self, kind: str, key: str) -> Delivery | None:
        if (kind, key) in self._memory.deliveries:
            return self._memory.deliveries[kind, key]
        found = await self._store.delivery(self._partner, kind, key)
        self._remember(kind, key, found)
        return found

    def _remember(self, kind: str, key: str, row: Delivery | None) -> None:
        if kind in ("tariff", "location"):
            self._memory.deliveries[kind, key] = row

    async def _keep_delivery(
        self,
        kind: str,
        key: str,
        state: str,
        *,
        attempts: int = 0,
        place: str | None = None,
        error: str | None = None,
        said: Sequence[Write] = (),
    ) -> None:
        row = Delivery(self._partner, kind, key, state, 0, self._clock(), attempts, place, error)
        await self._store.commit([*said, PutDelivery(row)])
        self._remember(kind, key, row)


def _generation(place: str) -> str:
    """Return under which registration a site was told."""
    return place.partition(" ")[0].partition("@")[0]


def _older(connection: Connection, change: Change) -> bool:
    """Whether a sync comes by something that is older than the registration: never pushed."""
    sync, since = connection.sync(MODULE_OF[change.kind]), connection.registered_at
    if sync is None or since is None or not 0 < change.seq <= sync.head:
        return False
    return change.last_updated < since


def _in_doubt(before: Delivery) -> bool:
    """Whether the partner may have a bill: an unclear answer, or a crash before any answer."""
    return before.state == "ambiguous" or (before.state == "retrying" and before.error is None)


def _place(answer: PartnerAnswer, url: str, connection: Connection) -> str | None:
    """Return where the partner keeps a bill: absolute, and on a host of its own."""
    found = str(answer.headers.get("Location", ""))
    if not found or len(found) > 1000:
        return None
    if found.startswith("/"):
        found = "/".join(url.split("/", 3)[:3]) + found
    return found if found.startswith("http") and connection.same_host(found) else None
