"""Sessions and CDRs -> OCPI 2.2.1. Pure functions; nothing here computes a price."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from cms.domain import units
from cms.domain.cdr import Cdr, CdrPlace
from cms.domain.money import Price, to_decimal
from cms.domain.rated import Period, Rating
from cms.domain.session import Session, SessionStatus
from cms.domain.signed import Nature, SignedReading
from cms.domain.tariff import Dimension
from cms.domain.topology import Evse, Location
from cms.domain.usage import UsageKind
from ocpi_cpo.versions.v221 import models, prices
from ocpi_cpo.versions.v221.people import cdr_token, method_name
from ocpi_cpo.versions.v221.topology import coordinates
from ocpi_cpo.wire import shortened

NOT_AVAILABLE = "#NA"
"""Stands in a required text that truly cannot be filled."""

NO_CURRENCY = "XXX"
"""ISO 4217's code for "no currency": a session without any tariff."""

VOLUME_DIGITS = 8
"""Places of hours and of energies that do not end on a watt-hour."""

LONGEST_KEY = 512
"""A longer public key is left out: a part of it checks nothing."""

_NATURES: dict[Nature, Any] = {
    Nature.START: "Start",
    Nature.INTERMEDIATE: "Intermediate",
    Nature.END: "End",
}
_STATUS: dict[SessionStatus, Any] = {
    SessionStatus.RESERVED: "RESERVATION",
    SessionStatus.PENDING: "PENDING",
    SessionStatus.ACTIVE: "ACTIVE",
    SessionStatus.STOPPED: "ACTIVE",  # until its record is complete and billed
    SessionStatus.COMPLETED: "COMPLETED",
    SessionStatus.INVALID: "INVALID",
}
_FINAL = frozenset({SessionStatus.COMPLETED, SessionStatus.INVALID})


def session(
    own: Session, site: Location, evse: Evse, rating: Rating | None, last_updated: datetime
) -> models.Session:
    """Return the whole Session.

    Args:
        rating: what it costs so far, or in the end; None = not known, and then nothing is said.

    Raises:
        ValueError: if no partner's token pays it.
    """
    if own.token is None:
        raise ValueError(f"session {own.id} has no token")
    country, party = site.party.split("*")
    return models.Session(
        country_code=country,
        party_id=party,
        id=own.id,
        start_date_time=own.begun_at,
        end_date_time=own.ended_at if own.status in _FINAL else None,
        kwh=units.kwh(own.delivered_wh),
        cdr_token=cdr_token(own.token),
        auth_method=method_name(own.method),
        authorization_reference=own.reference,
        location_id=site.id,
        evse_uid=evse.uid if own.evse else NOT_AVAILABLE,
        connector_id=_connector_id(own, evse),
        currency=(rating and rating.currency) or own.currency or NO_CURRENCY,
        charging_periods=None if rating is None else tuple(_periods(rating)) or None,
        total_cost=None if rating is None else price(rating.total),
        status=_status(own),
        last_updated=last_updated,
    )


def _status(own: Session) -> Any:
    """Return the status; what never was active does not become so by ending."""
    if own.status is SessionStatus.STOPPED and own.activated_at is None:
        return "PENDING"
    return _STATUS[own.status]


def _connector_id(own: Session, evse: Evse) -> str:
    if own.connector is not None or not own.evse:
        return str(own.connector or NOT_AVAILABLE)
    return str(evse.connectors[0].number) if len(evse.connectors) == 1 else NOT_AVAILABLE


def cdr(own: Cdr, last_updated: datetime) -> models.Cdr:
    """Return the whole CDR; the same for ever, since everything in it is a snapshot.

    Raises:
        ValueError: if no partner's token pays it.
    """
    if own.token is None:
        raise ValueError(f"bill {own.id} has no token")
    country, party = own.place.party.split("*")
    rating = own.rating
    priced = {line.dimension for line in rating.lines if not line.reserved}
    return models.Cdr(
        country_code=country,
        party_id=party,
        id=own.id,
        start_date_time=own.started_at,
        end_date_time=own.ended_at,
        session_id=own.session,
        cdr_token=cdr_token(own.token),
        auth_method=method_name(own.method),
        authorization_reference=own.reference,
        cdr_location=_place(own.place),
        meter_id=own.meter_id and shortened(own.meter_id, 255),
        currency=own.currency,
        tariffs=tuple(prices.tariff(each, own.place.party, own.started_at) for each in own.tariffs)
        or None,
        charging_periods=tuple(_periods(rating)) or (_whole(own),),
        signed_data=_signed(own.signed),
        total_cost=price(own.total),
        total_fixed_cost=_part(rating.fixed, Dimension.FLAT in priced),
        total_energy=units.kwh(own.energy_wh),
        total_energy_cost=_part(rating.energy, Dimension.ENERGY in priced),
        total_time=_hours(own.total_time),
        total_time_cost=_part(rating.time, Dimension.TIME in priced),
        total_parking_time=_hours(own.parking_time) if own.parking_time else None,
        total_parking_cost=_part(rating.parking, Dimension.PARKING_TIME in priced),
        total_reservation_cost=_part(
            rating.reservation, any(line.reserved for line in rating.lines)
        ),
        remark=own.remark and shortened(own.remark, 255),
        invoice_reference_id=own.invoice_reference,
        credit=own.credit or None,
        credit_reference_id=own.credit_of,
        home_charging_compensation=own.place.home_charging or None,
        last_updated=last_updated,
    )


def _signed(own: Sequence[SignedReading]) -> models.SignedData | None:
    if not own:
        return None
    keys = [key for each in own if (key := each.public_key) and len(key) <= LONGEST_KEY]
    return models.SignedData(
        encoding_method=own[0].encoding,
        public_key=keys[0] if keys else None,
        signed_values=tuple(
            models.SignedValue(
                nature=_NATURES[each.nature], plain_data=each.plain, signed_data=each.signed
            )
            for each in own
        ),
    )


def price(own: Price) -> models.Price:
    """Return a payable price, net and gross."""
    return models.Price(excl_vat=own.net.amount, incl_vat=own.gross.amount)


def _part(own: Price, priced: bool) -> models.Price | None:
    return price(own) if priced or own.net or own.gross else None


def _place(own: CdrPlace) -> models.CdrLocation:
    return models.CdrLocation(
        id=own.location,
        name=own.name and shortened(own.name, 255),
        address=shortened(own.address, 45),
        city=shortened(own.city, 45),
        postal_code=own.postal_code and shortened(own.postal_code, 10),
        state=own.state and shortened(own.state, 20),
        country=own.country,
        coordinates=coordinates(own.coordinates),
        evse_uid=own.evse_uid if own.evse else NOT_AVAILABLE,
        evse_id=own.evse_id or NOT_AVAILABLE,
        connector_id=str(own.connector or NOT_AVAILABLE),
        connector_standard=own.standard,
        connector_format=own.format.value,
        connector_power_type=own.power_type.value,
    )


def _periods(rating: Rating) -> Iterator[models.ChargingPeriod]:
    for each in rating.periods:
        yield models.ChargingPeriod(
            start_date_time=each.start,
            dimensions=tuple(_dimensions(each)),
            tariff_id=each.tariff,
        )


def _whole(own: Cdr) -> models.ChargingPeriod:
    """Return the one period of a session in which nothing could be rated."""
    energy = models.Dimension(type="ENERGY", volume=units.kwh(own.energy_wh))
    time = models.Dimension(type="TIME", volume=_hours(own.total_time - own.parking_time))
    return models.ChargingPeriod(start_date_time=own.started_at, dimensions=(energy, time))


def _dimensions(period: Period) -> Iterator[models.Dimension]:
    if period.kind is UsageKind.RESERVED:
        yield models.Dimension(type="RESERVATION_TIME", volume=_hours(period.duration))
        return
    yield models.Dimension(type="ENERGY", volume=_volume(Fraction(period.wh) / 1000))
    if period.kind is UsageKind.CHARGING:
        yield models.Dimension(type="TIME", volume=_hours(period.duration))
    elif period.kind is UsageKind.PARKING:
        yield models.Dimension(type="PARKING_TIME", volume=_hours(period.duration))
    yield from _bounds("MIN_POWER", period.min_power_w)
    yield from _bounds("MAX_POWER", period.max_power_w)
    yield from _bounds("MIN_CURRENT", period.min_current_ma)
    yield from _bounds("MAX_CURRENT", period.max_current_ma)


def _bounds(type: Any, thousandths: int | None) -> Iterator[models.Dimension]:
    if thousandths is not None:
        yield models.Dimension(type=type, volume=_volume(Fraction(thousandths, 1000)))


def _hours(duration: timedelta) -> Decimal:
    return _volume(Fraction(duration // timedelta(microseconds=1), 3_600_000_000))


def _volume(value: Fraction) -> Decimal:
    return units.plain(to_decimal(value, VOLUME_DIGITS))
