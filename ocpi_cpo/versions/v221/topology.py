"""Sites, EVSEs and connectors -> OCPI 2.2.1 Locations. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast, get_args

from cms.domain.ids import TariffId
from cms.domain.status import EvseState, EvseStatus
from cms.domain.topology import (
    Business,
    Coordinates,
    Evse,
    EvseParking,
    Image,
    Location,
    OpeningTimes,
)
from cms.domain.topology import Connector as Plug
from ocpi_cpo.versions.v221 import models, prices
from ocpi_cpo.wire import fitting, shortened

STATUS: dict[EvseStatus, models.Status] = {
    EvseStatus.AVAILABLE: "AVAILABLE",
    EvseStatus.OCCUPIED: "CHARGING",  # the EVSE is in use, whether or not energy flows
    EvseStatus.CHARGING: "CHARGING",
    EvseStatus.RESERVED: "RESERVED",
    EvseStatus.INOPERATIVE: "INOPERATIVE",
    EvseStatus.FAULTED: "OUTOFORDER",
    EvseStatus.PLANNED: "PLANNED",
    EvseStatus.REMOVED: "REMOVED",
    EvseStatus.UNKNOWN: "UNKNOWN",
}

_CAPABILITIES = frozenset(get_args(models.Capability))
_DAWN = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class EvseView:
    """An EVSE as one partner sees it.

    Attributes:
        defined_at: when the connectors were last defined; None = not known.
        tariffs: which tariffs the price book shows this partner at a connector.
        parking: those parking places of its site that it serves.
    """

    evse: Evse
    state: EvseState
    tariffs: Callable[[Plug], Sequence[TariffId]]
    defined_at: datetime | None = None
    moved_at: datetime | None = None
    parking: Sequence[EvseParking] = ()

    @property
    def last_updated(self) -> datetime:
        return self.state.last_updated or self.moved_at or self.defined_at or _DAWN

    @property
    def plugs_updated(self) -> datetime:
        """When its connectors were last defined; no later than anything of it changed."""
        return min(self.defined_at or self.last_updated, self.last_updated)


def location(
    site: Location, evses: Sequence[EvseView], last_updated: datetime | None
) -> models.Location:
    """Return the whole Location.

    Args:
        last_updated: when anything visible in it last changed; never older than a part of it.
    """
    country, party = site.party.split("*")
    newest = max([last_updated or site.created_at or _DAWN, *(e.last_updated for e in evses)])
    return models.Location(
        country_code=country,
        party_id=party,
        id=site.id,
        publish=site.publish,
        publish_allowed_to=_allowed(site),
        name=site.name and shortened(site.name, 255),
        address=shortened(site.address, 45),
        city=shortened(site.city, 45),
        postal_code=site.postal_code and shortened(site.postal_code, 10),
        state=site.state and shortened(site.state, 20),
        country=site.country,
        coordinates=coordinates(site.coordinates),
        parking_type=site.parking_type,
        evses=tuple(evse(each) for each in evses) or None,
        directions=prices.texts(site.directions),
        operator=_business(site.operator),
        suboperator=_business(site.suboperator),
        owner=_business(site.owner),
        facilities=site.facilities or None,
        time_zone=site.time_zone,
        opening_times=_hours(site.opening),
        charging_when_closed=site.charging_when_closed,
        images=_images(site.images),
        energy_mix=prices.energy_mix(site.energy_mix),
        last_updated=newest,
    )


def evse(view: EvseView) -> models.Evse:
    """Return the whole EVSE."""
    own = view.evse
    capabilities = tuple(
        cast(models.Capability, each) for each in own.capabilities if each in _CAPABILITIES
    )
    return models.Evse(
        uid=own.uid,
        evse_id=own.evse_id,
        status=STATUS[view.state.status],
        status_schedule=_schedule(own),
        capabilities=capabilities or None,
        connectors=tuple(connector(each, view) for each in own.connectors),
        floor_level=own.floor_level and shortened(own.floor_level, 4),
        coordinates=None if own.coordinates is None else coordinates(own.coordinates),
        physical_reference=own.physical_reference and shortened(own.physical_reference, 16),
        directions=prices.texts(own.directions),
        parking_restrictions=own.parking_restrictions or None,
        images=_images(own.images),
        last_updated=view.last_updated,
    )


def connector(plug: Plug, view: EvseView) -> models.Connector:
    """Return the whole Connector. Its id is its number, unique within the EVSE."""
    return models.Connector(
        id=str(plug.number),
        standard=plug.standard,
        format=plug.format.value,
        power_type=plug.power_type.value,
        max_voltage=plug.max_voltage,
        max_amperage=plug.max_amperage,
        max_electric_power=plug.max_power_w,
        tariff_ids=tuple(view.tariffs(plug)) or None,
        terms_and_conditions=fitting(plug.terms_url),
        last_updated=view.plugs_updated,
    )


def coordinates(place: Coordinates) -> models.GeoLocation:
    """Return coordinates as text with six places, the most that fits a negative value."""
    micro = Decimal("0.000001")
    return models.GeoLocation(
        latitude=format(place.latitude.quantize(micro), "f"),
        longitude=format(place.longitude.quantize(micro), "f"),
    )


def _allowed(site: Location) -> tuple[models.PublishToken, ...] | None:
    return (
        tuple(
            models.PublishToken(
                uid=each.uid,
                type=cast(models.TokenKind | None, each.type),
                visual_number=each.visual_number,
                issuer=each.issuer,
                group_id=each.group,
            )
            for each in site.publish_to
        )
        or None
    )


def _images(images: Sequence[Image]) -> tuple[models.Image, ...] | None:
    return (
        tuple(
            models.Image(
                url=url,
                thumbnail=fitting(each.thumbnail),
                category=each.category,
                type=each.type,
                width=each.width,
                height=each.height,
            )
            for each in images
            if (url := fitting(each.url)) is not None
        )
        or None
    )


def _schedule(own: Evse) -> tuple[models.StatusSchedule, ...] | None:
    return (
        tuple(
            models.StatusSchedule(
                period_begin=each.begin, period_end=each.end, status=STATUS[each.status]
            )
            for each in own.schedule
        )
        or None
    )


def _business(business: Business | None) -> models.BusinessDetails | None:
    if business is None:
        return None
    return models.BusinessDetails(
        name=shortened(business.name, 100), website=fitting(business.website)
    )


def _hours(opening: OpeningTimes) -> models.Hours:
    regular = tuple(
        models.RegularHours(weekday=each.weekday, period_begin=each.begin, period_end=each.end)
        for each in opening.regular
    )
    openings, closings = (
        tuple(
            models.ExceptionalPeriod(period_begin=each.begin, period_end=each.end) for each in some
        )
        for some in (opening.openings, opening.closings)
    )
    return models.Hours(
        twentyfourseven=opening.twentyfourseven,
        regular_hours=None if opening.twentyfourseven else regular or None,
        exceptional_openings=openings or None,
        exceptional_closings=closings or None,
    )
