"""Sessions, bills and tariffs as JSON for their owner: what the GETs show is what the push sends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog

from cms.app.catalogue import EvsePlace
from cms.app.ports import Dated, DatedCdr, Store
from cms.app.pricing import HEADLINES, READ_TARIFF
from cms.app.writes import Delivery, PutDelivery, PutDocument, Touch, Write
from cms.domain import plain
from cms.domain.charging_profile import ActiveSchedule
from cms.domain.ids import PartnerId, SessionId, TariffId
from cms.domain.rated import Rating
from cms.domain.session import Session, SessionStatus
from cms.domain.tariff import Tariff
from cms.domain.topology import Location
from ocpi_cpo.pages import Network
from ocpi_cpo.versions.v221.profiles import active_out
from ocpi_cpo.wire import Json

RunningPrice = Callable[[Session], Awaitable[Rating | None]]
"""Rates an open session up to now; None where it cannot (yet)."""

Plan = Callable[[SessionId], ActiveSchedule | None]
"""What the owner of a running session is to know of its EVSE's plan."""

log = structlog.get_logger()

_DAWN = datetime(1970, 1, 1, tzinfo=UTC)


async def no_price(session: Session) -> Rating | None:
    """Say nothing about what a running session costs."""
    return None


def no_plan(id: SessionId) -> ActiveSchedule | None:
    """Say nothing about what an EVSE plans."""
    return None


class Renderer:
    def __init__(
        self,
        store: Store,
        network: Network,
        party: PartnerId,
        running_price: RunningPrice = no_price,
        plan: Plan = no_plan,
    ) -> None:
        self._plan = plan
        self._store = store
        self._network = network
        self._catalogue = network.catalogue
        self._live = network.live
        self._dialect = network.dialect
        self._party = party
        self._running_price = running_price

    @property
    def party(self) -> PartnerId:
        """Our party that speaks where none is named."""
        return self._party

    async def session(self, dated: Dated, billed: Rating | None = None) -> Json | None:
        """Return a session; None if it cannot be shown: no token, no such place, a broken rule.

        Args:
            billed: what its first bill says, where that was read already.
        """
        own = dated.session
        place = self._place(own)
        if place is None or own.token is None or own.token.partner is None:
            return None
        if not self.shows(own):
            return None
        site = self._site(own) or place.location
        view = self._network.view(place, self._network.group(own.owner))
        rating = await self._rating(own, billed)
        return _shown(
            f"session:{own.id}",
            lambda: self._dialect.session(own, site, view, rating, dated.last_updated),
        )

    def session_party(self, own: Session) -> PartnerId:
        """Return which of our parties a session belongs to."""
        place, site = self._place(own), self._site(own)
        found = site or (place.location if place is not None else None)
        return found.party if found is not None else self._party

    def shows(self, own: Session) -> bool:
        """Whether a session has a form in its partner's version at all."""
        return self._dialect.shows_session(own)

    def _place(self, own: Session) -> EvsePlace | None:
        """Return where a session is; of a reservation without an EVSE yet, any of its station."""
        station = self._catalogue.stations.get(own.station)
        if own.evse or station is None or not station.evses:
            return self._catalogue.place(own.ref)
        return self._catalogue.place(station.evses[0].ref)

    def _site(self, own: Session) -> Location | None:
        return self._catalogue.locations.get(own.location) if own.location else None

    async def _rating(self, own: Session, billed: Rating | None) -> Rating | None:
        if own.status is SessionStatus.COMPLETED:
            return billed or await self._first_rating(own)
        return None if own.status is SessionStatus.INVALID else await self._running_price(own)

    def profile(self, id: SessionId, partner: PartnerId) -> tuple[PartnerId, Json] | None:
        """Return in whose name *partner* hears what is planned for a running session of its own.

        None where there is nothing to tell (any more).
        """
        session, plan = self._live.session(id), self._plan(id)
        if session is None or plan is None or not session.running or session.owner != partner:
            return None
        body = _shown(f"profile:{id}", lambda: active_out(plan))
        return None if body is None else (self.session_party(session), body)

    async def _first_rating(self, own: Session) -> Rating | None:
        """A completed session stays as it was told; only bills are corrected."""
        bill = await self._store.cdr_of(own.id)
        while bill is not None and bill.cdr.replaces is not None:
            bill = await self._store.cdr(bill.cdr.replaces)
        return None if bill is None else bill.cdr.rating

    def cdr(self, dated: DatedCdr) -> Json | None:
        """Return a bill; None if it cannot be shown: no partner's token, a broken rule."""
        token = dated.cdr.token
        if token is None or token.partner is None:
            return None
        return _shown(
            f"cdr:{dated.cdr.id}", lambda: self._dialect.cdr(dated.cdr, dated.last_updated)
        )

    def tariffs(self, partner: PartnerId) -> list[Tariff]:
        """Return the tariffs that *partner* may see, as it sees them: all but those written for
        others only."""
        return [
            form
            for id in sorted(self._catalogue.tariffs)
            for form in self.tariff_forms(id, partner)
        ]

    def tariff_forms(self, id: TariffId, partner: PartnerId) -> list[Tariff]:
        """Return what *partner* is shown in the place of one of our tariffs; nothing if it is not
        for it, or begins later and this version of OCPI cannot say so."""
        if not self.tariff_visible(id, partner):
            return []
        now = self._network.now()
        return [
            each
            for each in self._catalogue.offers.forms(id, partner, now)
            if self._dialect.dates_tariffs or each.valid_from is None or each.valid_from <= now
        ]

    def tariff_visible(self, id: TariffId, partner: PartnerId) -> bool:
        """Whether *partner* may see one: see ``tariffs``."""
        if not self._network.shows_tariff(id, self._network.group(partner)):
            return False
        return id not in self._for_others(partner) or id in self._shown(partner)

    async def took(self, partner: PartnerId, form: Tariff, *, read: bool = False) -> None:
        """Note that *partner* has a tariff; where a change of price waited for that, its sites
        show it from now on.

        Args:
            read: it asked for it itself, so no delivery of ours says so.
        """
        offers = self._catalogue.offers
        if offers.reads_headline(partner) and offers.shown_headline(partner, form.id) != form:
            body = plain.canonical(form).encode()
            await self._store.commit([PutDocument(HEADLINES, f"{partner} {form.id}", body)])
        if not offers.took(partner, form):
            return
        base = offers.base_of(form.id)
        sites = {place.location.id for place in self._catalogue.connectors_with(base)}
        unit: list[Write] = [Touch("location", site) for site in sorted(sites)]
        if read:
            now = self._network.now()
            unit.append(PutDelivery(Delivery(partner, READ_TARIFF, base, "delivered", 0, now)))
        done = await self._store.commit(unit)
        self._live.publish(done.touched)

    def tariff(self, own: Tariff) -> Json:
        return self._dialect.tariff(own, self._party, self.tariff_updated(own))

    def tariff_updated(self, own: Tariff) -> datetime:
        base = self._catalogue.offers.base_of(own.id)
        return self._live.updated("tariff", base) or own.valid_from or _DAWN

    def tariff_party(self, own: Tariff | None) -> PartnerId:
        """Return which of our parties a tariff belongs to."""
        return own.party if own is not None and own.party is not None else self._party

    def _for_others(self, partner: PartnerId) -> set[TariffId]:
        """Return the tariffs that the price book shows to particular other partners."""
        offers = self._catalogue.offers
        own = offers.priced_as(partner)
        return offers.versions_of(
            rule.tariff for rule in offers.all_rules() if rule.partner not in (None, own)
        )

    def _shown(self, partner: PartnerId) -> set[TariffId]:
        """Return the tariffs that are for *partner* as well: by a rule, or at a connector."""
        offers = self._catalogue.offers
        own = offers.priced_as(partner)
        ruled = {rule.tariff for rule in offers.all_rules() if rule.partner in (None, own)}
        base = {
            tariff
            for station in self._catalogue.stations.values()
            for evse in station.evses
            for plug in evse.connectors
            for tariff in plug.tariffs
        }
        return offers.versions_of(ruled | base)


def _shown(what: str, make: Callable[[], Json]) -> Json | None:
    try:
        return make()
    except ValueError as error:
        log.error("ocpi.unshowable", object=what, error=str(error))
        return None
