"""What a bill should have been: the same session at another price, or with other energy. Pure.

A bill is never changed. Whoever was wrong takes it back whole (a credit) and makes another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from cms.domain.cdr import Cdr, replacement_id
from cms.domain.errors import InvalidValue
from cms.domain.money import Price, share
from cms.domain.rated import Rating, Reservation
from cms.domain.rating import rate
from cms.domain.switching import switches_of, tariffs_used
from cms.domain.tariff import Tariff
from cms.domain.usage import Usage, UsageKind

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Change:
    """What was wrong with a bill; at least one of the two.

    Attributes:
        tariff: the price that should have held; None keeps the bill's own.
        energy_wh: what was really charged; None keeps the bill's own.

    Raises:
        InvalidValue: if nothing changes, or the energy is negative.
    """

    tariff: Tariff | None = None
    energy_wh: int | None = None

    def __post_init__(self) -> None:
        if self.tariff is None and self.energy_wh is None:
            raise InvalidValue("tariff", "give a tariff, the energy, or both")
        if self.energy_wh is not None and self.energy_wh < 0:
            raise InvalidValue("energy_wh", "is negative")


@dataclass(frozen=True, slots=True)
class Difference:
    """What a correction does to a bill, in the bill's currency; amounts are rounded money."""

    old_net: Decimal
    old_gross: Decimal
    new_net: Decimal
    new_gross: Decimal

    @property
    def net(self) -> Decimal:
        return self.new_net - self.old_net

    @property
    def gross(self) -> Decimal:
        return self.new_gross - self.old_gross


def difference(old: Price, new: Price) -> Difference:
    """Return what changes from *old* to *new*, to the minor unit."""
    return Difference(old.net.amount, old.gross.amount, new.net.amount, new.gross.amount)


def corrected(
    bill: Cdr,
    change: Change,
    now: datetime,
    usages: Sequence[Usage] | None = None,
    remark: str | None = None,
) -> Cdr:
    """Return the bill that takes the place of *bill*.

    Args:
        usages: what the charger told of the session, where that is still kept and makes *bill*;
            else the bill's own periods are priced again, which are the same wherever the new
            tariff cuts the session no finer than the old one did.

    Raises:
        InvalidValue: *bill* is a credit, the currency would change, one tariff shall take the
            place of several, or there is no time over which energy could be spread.
    """
    if bill.credit:
        raise InvalidValue("bill", f"{bill.id} is a credit and cannot be corrected")
    tariff, switches = switches_of(bill.rating, bill.tariffs)
    if change.tariff is not None:
        if switches:
            raise InvalidValue("tariff", f"{bill.id} ran under several tariffs, not under one")
        tariff = change.tariff
    if tariff.currency != bill.currency:
        raise InvalidValue("tariff", f"is in {tariff.currency}, the bill in {bill.currency}")
    wh = bill.energy_wh if change.energy_wh is None else change.energy_wh
    used = _with_energy(usages_of(bill) if usages is None else usages, wh)
    rating = rate(
        tariff,
        used,
        ZoneInfo(bill.place.time_zone),
        reservation=reservation_of(bill),
        switches=switches,
    )
    return replace(
        bill,
        id=replacement_id(bill.id),
        energy_wh=wh,
        rating=rating,
        tariffs=tariffs_used(rating, tariff, switches),
        total=rating.total,
        created_at=now,
        remark=_remark(bill, remark, rating),
        replaces=bill.id,
    )


def _remark(bill: Cdr, remark: str | None, rating: Rating) -> str | None:
    """Return *remark*, else the bill's, with what is said of price limits as it is now."""
    words = (bill.remark or "").split("; ") if remark is None else [remark]
    if bill.rating.clamp is not None:
        words = [each for each in words if each != bill.rating.clamp.words()]
    if rating.clamp is not None:
        words.append(rating.clamp.words())
    return "; ".join(filter(None, words)) or None


def makes(bill: Cdr, usages: Sequence[Usage]) -> bool:
    """Whether *usages*, at the bill's own tariffs, give exactly this bill."""
    zone = ZoneInfo(bill.place.time_zone)
    tariff, switches = switches_of(bill.rating, bill.tariffs)
    held = reservation_of(bill)
    try:
        rating = rate(tariff, usages, zone, reservation=held, switches=switches)
    except InvalidValue:
        return False
    return rating.total == bill.total and rating.wh == bill.energy_wh


def usages_of(bill: Cdr) -> tuple[Usage, ...]:
    """Return the use that the bill's own periods tell."""
    return tuple(
        Usage(
            each.start, each.end, each.wh, each.kind, _middle(each.min_power_w, each.max_power_w),
            _middle(each.min_current_ma, each.max_current_ma),
        )
        for each in bill.rating.periods
        if each.kind is not UsageKind.RESERVED
    )  # fmt: skip


def reservation_of(bill: Cdr) -> Reservation | None:
    """Return the reservation that the bill prices, if there is one."""
    held = [each for each in bill.rating.periods if each.kind is UsageKind.RESERVED]
    if not held:
        return None
    return Reservation(held[0].start, held[-1].end, expired=len(held) == len(bill.rating.periods))


def _middle(low: int | None, high: int | None) -> int | None:
    return low if low == high else None


def _with_energy(usages: Sequence[Usage], wh: int) -> Sequence[Usage]:
    """Return *usages* with *wh* in all, spread as it was; over the time where there was none."""
    if sum(each.wh for each in usages) == wh:
        return usages
    weights: list[int | Fraction] = [max(each.wh, 0) for each in usages]
    if not sum(weights):
        weights = _lit_seconds(usages)
    if wh and not sum(weights):
        raise InvalidValue("energy_wh", "the session has no time in which it could be charged")
    parts = share(wh, weights)
    return [each._replace(wh=part) for each, part in zip(usages, parts, strict=True)]


def _lit_seconds(usages: Sequence[Usage]) -> list[int | Fraction]:
    """Return how long each usage charged; where nothing did, how long it lasted at all."""
    lasted = [Fraction((each.end - each.start) // _MICROSECOND, 1_000_000) for each in usages]
    charged: list[int | Fraction] = [
        time if each.kind is UsageKind.CHARGING else 0
        for each, time in zip(usages, lasted, strict=True)
    ]
    return charged if any(charged) else list(lasted)
