"""The charger behind the simulator: its meter, its makes' quirks, its patience, its frames."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from simulators.fleet import FleetPlan
from simulators.habits import NO_BACKOFF, Backoff
from simulators.lean_socket import TEXT, frame
from simulators.station import QUIRKS, WELL_BEHAVED, Meter, make


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_meter_counts_power_times_time_and_stands_still_when_open() -> None:
    clock = Clock()
    meter = Meter(1_000, 11_000, clock=clock)
    clock.seconds = 3_600
    assert meter.wh == 1_000
    meter.run()
    clock.seconds += 1_800
    assert meter.wh == 6_500
    assert meter.halt() == 6_500
    clock.seconds += 3_600
    assert meter.wh == 6_500


def test_a_fast_meter_delivers_kilowatt_hours_in_seconds() -> None:
    clock = Clock()
    meter = Meter(0, 22_000, speed=60, clock=clock)
    meter.run()
    clock.seconds = 20
    assert meter.wh == 7_333
    assert meter.seconds_until(22_000) == pytest.approx(40)
    assert meter.seconds_until(5) == 0


def test_a_meter_without_power_never_gets_there() -> None:
    assert Meter(0, 0).seconds_until(1) is None


CALL = '[2,"id-1","StartTransaction",%s]'
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 5, "timestamp": "2026-01-31T12:00:00.000Z"}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
VALUES = {
    "connectorId": 1,
    "meterValue": [
        {
            "timestamp": "2026-01-31T12:00:00.000Z",
            "sampledValue": [
                {"value": "12345", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
                {"value": "11000", "measurand": "Power.Active.Import", "unit": "W"},
            ],
        }
    ],
}


@pytest.mark.parametrize(
    ("quirk", "payload", "key", "value"),
    [
        ("numbers-as-strings", START, "meterStart", "5"),
        ("wrong-enum-case", STATUS, "status", "available"),
        ("times-without-zone", START, "timestamp", "2026-01-31T12:00:00.000"),
        ("nul-after-strings", START, "idTag", "TAG\x00  "),
        ("over-long-strings", BOOT, "chargePointModel", "M " + "x" * 260),
    ],
)
def test_a_quirk_damages_what_it_names_and_nothing_else(
    quirk: str, payload: dict[str, Any], key: str, value: str
) -> None:
    damaged = QUIRKS[quirk](payload)
    assert damaged[key] == value
    if quirk != "numbers-as-strings" and quirk != "over-long-strings":
        assert {k: v for k, v in damaged.items() if k != key and k != "errorCode"} == {
            k: v for k, v in payload.items() if k != key and k != "errorCode"
        }


def test_kilowatt_hours_without_a_unit_leave_power_alone() -> None:
    damaged = QUIRKS["kwh-without-unit"](VALUES)
    energy, power = damaged["meterValue"][0]["sampledValue"]
    assert energy == {"value": "12.345", "measurand": "Energy.Active.Import.Register"}
    assert power["unit"] == "W"
    assert VALUES["meterValue"][0]["sampledValue"][0]["unit"] == "Wh"  # type: ignore[index]


def test_a_make_damages_calls_but_no_answers() -> None:
    odd = make(["numbers-as-strings", "trailing-nul"])
    text = odd.frame(CALL % json.dumps(START))
    assert text.endswith("\x00\n")
    assert json.loads(text.rstrip("\x00\n"))[3]["connectorId"] == "1"
    assert odd.frame('[3,"id-1",{"n":1}]') == '[3,"id-1",{"n":1}]'
    assert WELL_BEHAVED.frame(CALL % "{}") == CALL % "{}"


def test_a_make_of_unknown_quirks_is_refused() -> None:
    with pytest.raises(KeyError, match="no-such-quirk"):
        make(["no-such-quirk"])


def test_backoff_doubles_up_to_its_limit() -> None:
    chance = random.Random(1)
    waits = [Backoff(1, 10, 0).wait(failures, chance) for failures in range(6)]
    assert waits == [1, 2, 4, 8, 10, 10]
    assert NO_BACKOFF.wait(100, chance) < 0.05


@pytest.mark.parametrize("length", [0, 125, 126, 65_535, 65_536])
def test_a_lean_frame_is_what_another_implementation_reads(length: int) -> None:
    from websockets.frames import Frame
    from websockets.streams import StreamReader

    reader = StreamReader()
    reader.feed_data(frame(TEXT, b"x" * length))
    parsing = Frame.parse(reader.read_exact, mask=True)
    with pytest.raises(StopIteration) as parsed:
        next(parsing)
    assert parsed.value.value.data == b"x" * length


def test_a_fleet_spreads_its_versions_evenly() -> None:
    plan = FleetPlan("ws://x", 100, share_201=0.2)
    versions = [plan.version(number) for number in range(100)]
    assert versions.count("2.0.1") == 20
    assert versions[:10].count("2.0.1") == 2
    assert plan.identities()[7] == "FLEET-00007"
