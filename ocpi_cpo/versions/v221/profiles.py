"""Charging profiles: OCPI 2.2.1 (and 2.3.0, whose text is the same) <-> the core's words. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from cms.domain.charging_profile import (
    LONGEST_SECONDS,
    TENTH,
    ActiveSchedule,
    ChargingProfile,
    Period,
    RateUnit,
)
from cms.domain.commands import Outcome
from cms.domain.errors import InvalidValue
from ocpi_cpo.errors import BadParameter
from ocpi_cpo.versions.v221.models import Model, Url, When, none_is_empty, read
from ocpi_cpo.wire import Json, stamp

ResultKind = Literal["ACCEPTED", "REJECTED", "UNKNOWN"]


def _tenths(value: Decimal) -> Decimal:
    if value != value.quantize(TENTH):
        raise ValueError("one decimal at most")
    return value


def _decimal(value: Any) -> Any:
    """Return the digits that a JSON number was written with."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(str(value))
    return value


Rate = Annotated[Decimal, BeforeValidator(_decimal), Field(ge=0, le=10**9), AfterValidator(_tenths)]
Seconds = Annotated[int, Field(ge=0, le=LONGEST_SECONDS)]


class ProfilePeriod(Model):
    start_period: Seconds
    limit: Rate


class Profile(Model):
    start_date_time: When | None = None
    duration: Annotated[int, Field(gt=0, le=LONGEST_SECONDS)] | None = None
    charging_rate_unit: Literal["W", "A"]
    min_charging_rate: Rate | None = None
    charging_profile_period: Annotated[
        tuple[ProfilePeriod, ...], BeforeValidator(none_is_empty)
    ] = ()


class SetChargingProfile(Model):
    charging_profile: Profile
    response_url: Url


@dataclass(frozen=True, slots=True)
class ProfileOrder:
    """A profile as a partner sent it."""

    reply_to: str
    profile: ChargingProfile


def order_in(data: Any) -> ProfileOrder:
    """Read a SetChargingProfile.

    Raises:
        BadParameter: naming the field.
    """
    wire = read(SetChargingProfile, data)
    own = wire.charging_profile
    if not own.charging_profile_period:
        raise BadParameter("charging_profile.charging_profile_period: at least one is needed")
    try:
        profile = ChargingProfile(
            RateUnit(own.charging_rate_unit),
            tuple(Period(each.start_period, each.limit) for each in own.charging_profile_period),
            None if own.start_date_time is None else own.start_date_time.astimezone(UTC),
            own.duration,
            own.min_charging_rate,
        )
    except InvalidValue as error:
        raise BadParameter(f"charging_profile.{_field(error.field)}: {error.reason}") from None
    return ProfileOrder(wire.response_url, profile)


def _field(own: str) -> str:
    return {"periods": "charging_profile_period", "min_rate": "min_charging_rate"}.get(own, own)


def active_out(plan: ActiveSchedule) -> Json:
    """Return an ActiveChargingProfile.

    Raises:
        ValueError: nobody knows when it starts.
    """
    if plan.start is None:
        raise ValueError("a plan without its start cannot be told")
    profile: Json = {"charging_rate_unit": plan.unit.value}
    if plan.duration is not None:
        profile["duration"] = plan.duration
    if plan.min_rate is not None:
        profile["min_charging_rate"] = _number(plan.min_rate)
    profile["charging_profile_period"] = _periods(plan.periods)
    start = stamp(plan.start.replace(microsecond=0))
    profile["start_date_time"] = start
    return {"start_date_time": start, "charging_profile": profile}


def _periods(periods: Iterable[Period]) -> list[Json]:
    return [{"start_period": each.offset, "limit": _number(each.limit)} for each in periods]


def _number(value: Decimal) -> int | Decimal:
    return int(value) if value == int(value) else value


def result_name(outcome: Outcome) -> ResultKind:
    """Return how it ended in the three words there are; silence is no consent."""
    match outcome:
        case Outcome.ACCEPTED:
            return "ACCEPTED"
        case Outcome.UNKNOWN:
            return "UNKNOWN"
        case _:
            return "REJECTED"


def result(outcome: Outcome) -> Json:
    """Return a ChargingProfileResult or a ClearProfileResult; they look the same."""
    return {"result": result_name(outcome)}


def active_result(outcome: Outcome, plan: ActiveSchedule | None) -> Json:
    """Return an ActiveChargingProfileResult; a profile only with ACCEPTED."""
    name = result_name(outcome)
    if name != "ACCEPTED" or plan is None:
        return {"result": name if name != "ACCEPTED" else "UNKNOWN"}
    return {"result": name, "profile": active_out(plan)}
