"""What counts as a difference between a partner's copy and ours, and which nights are due."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cms.domain.ids import PartnerId
from ocpi_cpo.push.differing import differences
from ocpi_cpo.push.nightly import Nightly

SITE = {
    "id": "PUNE-1",
    "name": "Karve Road",
    "coordinates": {"latitude": "18.508100", "longitude": "73.807700"},
    "images": None,
    "opening_times": {"twentyfourseven": True, "exceptional_openings": []},
    "last_updated": "2026-11-20T10:00:00Z",
    "evses": [
        {"uid": "CS1-1", "status": "AVAILABLE", "connectors": [{"id": "1", "max_voltage": 230}]},
        {"uid": "CS1-2", "status": "REMOVED", "connectors": [{"id": "1", "max_voltage": 230}]},
    ],
}


def fields(theirs: Any, ours: Any = SITE) -> list[str]:
    return [each.field for each in differences(ours, theirs)]


def test_the_same_in_other_spellings_is_the_same() -> None:
    theirs = {
        "party": "their own field",
        "id": "PUNE-1",
        "name": "Karve Road",
        "coordinates": {"latitude": "18.508100", "longitude": "73.807700"},
        "opening_times": {"twentyfourseven": True},
        "last_updated": "2020-01-01T00:00:00Z",
        "evses": [
            {
                "uid": "cs1-1",
                "status": "AVAILABLE",
                "connectors": [{"id": "1", "max_voltage": 230.0}],
            }
        ],
    }
    assert fields(theirs | {"evses": [theirs["evses"][0] | {"uid": "CS1-1"}]}) == []
    at = {"start": "2026-11-20T10:00:00Z", "total": 18.5}
    assert fields({"start": "2026-11-20T10:00:00.000+00:00", "total": "18.50"}, at) == []


def test_each_field_that_differs_is_named_with_both_values() -> None:
    theirs = {
        **SITE,
        "name": "Elsewhere",
        "evses": [
            {"uid": "CS1-1", "status": "CHARGING", "connectors": []},
            {"uid": "CS9-9", "status": "AVAILABLE", "connectors": []},
        ],
    }
    told = {each.field: (each.ours, each.theirs) for each in differences(SITE, theirs)}
    assert told["name"] == ('"Karve Road"', '"Elsewhere"')
    assert told["evses[CS1-1].status"] == ('"AVAILABLE"', '"CHARGING"')
    assert told["evses[CS1-1].connectors[1]"] == ('{"id":"1","max_voltage":230}', None)
    assert told["evses[CS9-9]"][0] is None
    assert set(told) == {
        "name", "evses[CS1-1].status", "evses[CS1-1].connectors[1]", "evses[CS9-9]"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(True, 1), (True, None), (18, "eighteen"), ("a", "A"), ([1, 2], [1]), (1.5, 1.49)],
)
def test_what_is_not_the_same_is_a_difference(ours: Any, theirs: Any) -> None:
    assert fields({"x": theirs}, {"x": ours})


def test_a_list_of_nameless_parts_is_compared_in_order() -> None:
    ours = {"periods": [{"wh": 1}, {"wh": 2}]}
    assert fields({"periods": [{"wh": 1}, {"wh": 3}]}, ours) == ["periods[1].wh"]
    assert fields({"periods": [{"wh": 1}]}, ours) == ["periods"]
    assert fields("nothing", ours) == [""]


KOLKATA = Nightly(time(3), ZoneInfo("Asia/Kolkata"), timedelta(minutes=30))
BERLIN = Nightly(time(2, 30), ZoneInfo("Europe/Berlin"), timedelta(0))
EMP = PartnerId("IN*EMP")


def test_a_partner_is_due_once_a_night_however_long_we_were_away() -> None:
    night = KOLKATA.moment(EMP, date(2026, 11, 20))
    assert datetime(2026, 11, 19, 21, 30, tzinfo=UTC) <= night
    assert night < datetime(2026, 11, 19, 22, tzinfo=UTC)
    before, after = night - timedelta(seconds=1), night + timedelta(seconds=1)
    assert not KOLKATA.due(EMP, before - timedelta(hours=1), before)
    assert KOLKATA.due(EMP, before, after)
    assert not KOLKATA.due(EMP, after, after + timedelta(hours=20))
    assert KOLKATA.due(EMP, night - timedelta(days=9), after)


def test_partners_have_moments_of_their_own() -> None:
    night = date(2026, 11, 20)
    moments = {KOLKATA.moment(PartnerId(f"IN*E{n:02}"), night) for n in range(50)}
    assert len(moments) == 50
    assert KOLKATA.moment(EMP, night) - KOLKATA.moment(EMP, date(2026, 11, 19)) != timedelta(days=1)


def test_nights_with_a_change_of_the_clock_have_one_moment() -> None:
    skipped, repeated = date(2026, 3, 29), date(2026, 10, 25)
    assert BERLIN.moment(EMP, skipped) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert BERLIN.moment(EMP, repeated) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
