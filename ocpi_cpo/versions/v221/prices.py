"""Tariffs -> OCPI 2.2.1 Tariffs. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from cms.domain.ids import PartnerId
from cms.domain.tariff import (
    Dimension,
    DisplayText,
    Element,
    EnergyMix,
    PriceComponent,
    PriceLimit,
    ReservationPhase,
    Restrictions,
    Tariff,
    TariffKind,
)
from ocpi_cpo.versions.v221 import models
from ocpi_cpo.wire import fitting, shortened

_DIMENSION: dict[Dimension, Any] = {
    Dimension.ENERGY: "ENERGY",
    Dimension.FLAT: "FLAT",
    Dimension.TIME: "TIME",
    Dimension.PARKING_TIME: "PARKING_TIME",
}
_KIND: dict[TariffKind, Any] = {
    TariffKind.AD_HOC_PAYMENT: "AD_HOC_PAYMENT",
    TariffKind.PROFILE_CHEAP: "PROFILE_CHEAP",
    TariffKind.PROFILE_FAST: "PROFILE_FAST",
    TariffKind.PROFILE_GREEN: "PROFILE_GREEN",
    TariffKind.REGULAR: "REGULAR",
}
_PHASE: dict[ReservationPhase, Any] = {
    ReservationPhase.RESERVED: "RESERVATION",
    ReservationPhase.EXPIRED: "RESERVATION_EXPIRES",
}
_DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")


def tariff(own: Tariff, party: PartnerId, last_updated: datetime) -> models.Tariff:
    """Return the whole Tariff. Prices are net, as OCPI 2.2.1 wants them, the taxes a percentage.

    Args:
        party: ours that owns it where the tariff itself names none.
    """
    country, party_id = (own.party or party).split("*")
    return models.Tariff(
        country_code=country,
        party_id=party_id,
        id=own.id,
        currency=own.currency,
        type=None if own.kind is None else _KIND[own.kind],
        tariff_alt_text=texts(own.names),
        tariff_alt_url=fitting(own.alt_url),
        min_price=_limit(own, own.min_price),
        max_price=_limit(own, own.max_price),
        elements=tuple(_element(own, each) for each in own.elements),
        start_date_time=own.valid_from,
        end_date_time=own.valid_to,
        energy_mix=energy_mix(own.energy_mix),
        last_updated=last_updated,
    )


def texts(own: Sequence[DisplayText]) -> tuple[models.DisplayText, ...] | None:
    """Return words in several languages; None for none."""
    return (
        tuple(
            models.DisplayText(language=each.language, text=shortened(each.text, 512))
            for each in own
        )
        or None
    )


def _limit(own: Tariff, limit: PriceLimit | None) -> models.Price | None:
    if limit is None:
        return None
    net, gross = own.published_limit(limit)
    return models.Price(excl_vat=net, incl_vat=gross)


def _element(own: Tariff, element: Element) -> models.TariffElement:
    return models.TariffElement(
        price_components=tuple(_component(own, each) for each in element.components),
        restrictions=_restrictions(element.restrictions),
    )


def _component(own: Tariff, component: PriceComponent) -> models.PriceComponent:
    taxes = own.taxes_of(component)
    vat = sum((tax.percent for tax in taxes), Decimal(0)) if taxes else None
    return models.PriceComponent(
        type=_DIMENSION[component.dimension],
        price=own.published_price(component),
        vat=vat,
        step_size=component.step_size,
    )


def _restrictions(own: Restrictions) -> models.Restrictions | None:
    wire = models.Restrictions(
        start_time=_clock(own.start_time),
        end_time=_clock(own.end_time),
        start_date=_date(own.start_date),
        end_date=_date(own.end_date),
        min_kwh=own.min_kwh,
        max_kwh=own.max_kwh,
        min_current=own.min_current,
        max_current=own.max_current,
        min_power=own.min_power,
        max_power=own.max_power,
        min_duration=own.min_duration,
        max_duration=own.max_duration,
        day_of_week=tuple(_DAYS[day] for day in sorted(own.day_of_week)) or None,
        reservation=None if own.reservation is None else _PHASE[own.reservation],
    )
    return wire if wire.wire() else None


def _clock(at: time | None) -> str | None:
    return None if at is None else at.strftime("%H:%M")


def _date(at: date | None) -> str | None:
    return None if at is None else at.isoformat()


def energy_mix(mix: EnergyMix | None) -> models.EnergyMix | None:
    """Return where the energy comes from."""
    if mix is None:
        return None
    return models.EnergyMix(
        is_green_energy=mix.is_green,
        energy_sources=tuple(
            models.EnergySource(source=each.source, percentage=each.percent) for each in mix.sources
        )
        or None,
        environ_impact=tuple(
            models.EnvironmentalImpact(category=each.category, amount=each.amount)
            for each in mix.impact
        )
        or None,
        supplier_name=mix.supplier and shortened(mix.supplier, 64),
        energy_product_name=mix.product and shortened(mix.product, 64),
    )
