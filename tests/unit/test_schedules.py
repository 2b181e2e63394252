"""Charging schedules as stations write them, and as they are given to stations."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from cms.domain.charging_profile import ActiveSchedule, ChargingProfile, Period, RateUnit
from cms.domain.commands import AskSchedule, ClearProfile, Outcome, SetProfile
from cms.domain.ids import CommandId, EvseRef, StationId, TransactionId
from ocpp_gateway.v16.outbound import Outbound as Outbound16
from ocpp_gateway.v201.outbound import Outbound as Outbound201

ID, EVSE = CommandId("c"), EvseRef(StationId("CS1"), 2)
T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
PROFILE = ChargingProfile(
    RateUnit.AMPERES,
    (Period(0, Decimal("16.5")), Period(600, Decimal(0))),
    T0,
    3600,
    Decimal(6),
)


def asked(outbound: Any, command: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(outbound.request_for(command).payload)
    return found


def read(outbound: Any, answer: bytes) -> Any:
    request = outbound.request_for(AskSchedule(ID, EVSE, 600))
    assert request is not None
    return request.read(answer)


def test_1_6_binds_a_profile_to_its_transaction() -> None:
    told = asked(Outbound16(), SetProfile(ID, EVSE, 7, PROFILE, TransactionId("42")))
    profile = told["csChargingProfiles"]
    assert told["connectorId"] == 2
    assert (profile["chargingProfileId"], profile["transactionId"]) == (7, 42)
    assert (profile["chargingProfilePurpose"], profile["chargingProfileKind"]) == (
        "TxProfile",
        "Absolute",
    )
    assert profile["chargingSchedule"] == {
        "duration": 3600,
        "startSchedule": "2026-03-01T10:00:00.000Z",
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [
            {"startPeriod": 0, "limit": 16.5},
            {"startPeriod": 600, "limit": 0.0},
        ],
        "minChargingRate": 6.0,
    }


def test_2_0_1_binds_a_profile_to_its_evse_and_transaction() -> None:
    told = asked(Outbound201(), SetProfile(ID, EVSE, 7, PROFILE, TransactionId("T-1")))
    profile = told["chargingProfile"]
    assert (told["evseId"], profile["id"], profile["transactionId"]) == (2, 7, "T-1")
    [schedule] = profile["chargingSchedule"]
    assert (schedule["chargingRateUnit"], schedule["duration"]) == ("A", 3600)


@pytest.mark.parametrize("outbound", [Outbound16(), Outbound201()])
def test_a_profile_for_every_transaction_is_a_default_and_without_a_start_relative(
    outbound: Any,
) -> None:
    own = ChargingProfile(RateUnit.WATTS, (Period(0, Decimal(5000)),))
    told = asked(outbound, SetProfile(ID, EVSE, 7, own))
    profile = told.get("csChargingProfiles") or told["chargingProfile"]
    assert profile["chargingProfilePurpose"] == "TxDefaultProfile"
    assert profile["chargingProfileKind"] == "Relative"
    assert "transactionId" not in profile


def test_a_transaction_that_a_version_cannot_name_is_not_asked_about() -> None:
    strange = SetProfile(ID, EVSE, 7, PROFILE, TransactionId("T-1"))
    assert Outbound16().request_for(strange) is None
    endless = SetProfile(ID, EVSE, 7, PROFILE, TransactionId("T" * 37))
    assert Outbound201().request_for(endless) is None


def test_a_profile_is_taken_back_by_its_number() -> None:
    clear = ClearProfile(ID, StationId("CS1"), 7)
    assert asked(Outbound16(), clear) == {"id": 7}
    assert asked(Outbound201(), clear) == {"chargingProfileId": 7}


@pytest.mark.parametrize("outbound", [Outbound16(), Outbound201()])
def test_clearing_what_is_not_there_is_unknown(outbound: Any) -> None:
    request = outbound.request_for(ClearProfile(ID, StationId("CS1"), 7))
    assert request.read(b'{"status":"Unknown"}').outcome is Outcome.UNKNOWN


def test_a_plan_is_read_with_its_start_and_its_limits_rounded_to_one_decimal() -> None:
    answer = read(
        Outbound16(),
        b'{"status":"Accepted","connectorId":2,"scheduleStart":"2026-03-01T10:00:00Z",'
        b'"chargingSchedule":{"duration":600,"chargingRateUnit":"W","chargingSchedulePeriod":'
        b'[{"startPeriod":0,"limit":7360.04},{"startPeriod":60,"limit":11000}]}}',
    )
    periods = (Period(0, Decimal("7360.0")), Period(60, Decimal("11000.0")))
    assert answer.outcome is Outcome.ACCEPTED
    assert answer.schedule == ActiveSchedule(RateUnit.WATTS, periods, T0, 600)


@pytest.mark.parametrize(
    "answer",
    [
        b'{"status":"Accepted"}',
        (
            b'{"status":"Accepted","connectorId":2,"scheduleStart":"0","chargingSchedule":'
            b'{"duration":0,"chargingRateUnit":"A","chargingSchedulePeriod":[]}}'
        ),
        (
            b'{"status":"Accepted","connectorId":2,"scheduleStart":"0","chargingSchedule":'
            b'{"chargingRateUnit":"A","chargingSchedulePeriod":[{"startPeriod":-5,"limit":-1}]}}'
        ),
    ],
)
def test_an_accepted_question_without_a_plan_that_can_be_used_has_none(answer: bytes) -> None:
    found = read(Outbound16(), answer)
    assert (found.outcome, found.schedule) == (Outcome.ACCEPTED, None)


def test_a_plan_whose_start_cannot_be_read_begins_when_it_was_asked_for() -> None:
    found = read(
        Outbound16(),
        b'{"status":"Accepted","scheduleStart":"0","chargingSchedule":'
        b'{"chargingRateUnit":"A","chargingSchedulePeriod":[{"startPeriod":0,"limit":16}]}}',
    )
    assert found.schedule is not None and found.schedule.start is None
