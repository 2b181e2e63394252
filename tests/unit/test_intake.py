"""What operators write down: read strictly, and every error names the field and what is expected."""

from __future__ import annotations

from typing import Any

import pytest

from cms.domain.errors import InvalidValue
from cms.intake.base import Intake, parse
from cms.intake.tariffs import RestrictionsIn, RuleIn, TariffIn
from cms.intake.tokens import TokenIn
from cms.intake.topology import ChargerIn, LocationIn

SOCKET = {
    "standard": "IEC_62196_T2",
    "format": "SOCKET",
    "power_type": "AC_3_PHASE",
    "max_voltage": 230,
    "max_amperage": 32,
}
SITE = {
    "id": "S",
    "address": "a",
    "city": "b",
    "country": "IND",
    "latitude": "1",
    "longitude": "2",
    "time_zone": "Asia/Kolkata",
}


def charger(**more: Any) -> dict[str, Any]:
    return {"id": "C-1", "location": "S", "evses": [{"connectors": [SOCKET]}], **more}


@pytest.mark.parametrize(
    ("model", "data", "field", "reason"),
    [
        (TokenIn, {"uid": "T", "colour": 1}, "colour", "no such key"),
        (TokenIn, {"uid": "T", "vaild": True}, "vaild", "no such key; did you mean valid?"),
        (TokenIn, {}, "uid", "is required"),
        (TokenIn, {"uid": ""}, "uid", "must not be empty"),
        (TokenIn, {"uid": "a\0b"}, "uid", "must not contain a NUL character, not 'a\\x00b'"),
        (TokenIn, {"uid": "T", "valid": "maybe"}, "valid", "expected true or false, not 'maybe'"),
        (
            TokenIn,
            {"uid": "T", "expires_at": "2028-01-01T00:00:00"},
            "expires_at",
            "expected an offset from UTC at its end, like +05:30 or Z, not '2028-01-01T00:00:00'",
        ),
        (TokenIn, [1], "(all of it)", "expected an object with named fields"),
        (
            RuleIn,
            {"id": "r", "tariff": "T", "partner": "EMS"},
            "partner",
            "expected country code and party id, like IN*CPO, not 'EMS'",
        ),
        (ChargerIn, charger(evses=[]), "evses", "must not be empty"),
        (
            ChargerIn,
            charger(evses=[{"connectors": [{**SOCKET, "max_voltage": "many"}]}]),
            "evses[0].connectors[0].max_voltage",
            "expected a whole number, not 'many'",
        ),
        (
            ChargerIn,
            charger(evses=[{"connectors": [{**SOCKET, "max_volatge": 1}]}]),
            "evses[0].connectors[0].max_volatge",
            "no such key; did you mean max_voltage?",
        ),
        (TariffIn, {"id": "T", "currency": "rupees"}, "currency", "expected three capital letters, not 'rupees'"),
        (TariffIn, {"id": "T", "currency": "INR", "price_per_kwh": "NaN"}, "price_per_kwh", "expected a number, not 'NaN'"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_what_is_expected(
    model: type[Intake], data: Any, field: str, reason: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse(model, data)
    assert (caught.value.field, caught.value.reason) == (field, reason)


def test_a_long_value_is_not_repeated_whole() -> None:
    with pytest.raises(InvalidValue) as caught:
        parse(TokenIn, {"uid": "T", "valid": "x" * 10_000})
    assert len(caught.value.reason) < 200


def test_a_rule_of_the_domain_is_named_by_its_whole_path() -> None:
    good, bad = {"connectors": [SOCKET]}, {"connectors": [SOCKET, {**SOCKET, "standard": "FOO"}]}
    with pytest.raises(InvalidValue) as caught:
        parse(ChargerIn, charger(evses=[good, {**bad, "number": 2}])).value()
    assert caught.value.field == "evses[1].connectors[1].standard"


def test_a_time_zone_that_is_none_is_refused() -> None:
    from cms.domain.ids import PartnerId

    with pytest.raises(InvalidValue, match="time_zone: 'Mars/Olympus' is no time zone"):
        parse(LocationIn, {**SITE, "time_zone": "Mars/Olympus"}).value(PartnerId("IN*CPO"))


def test_weekdays_count_from_one_on_paper_and_from_zero_inside() -> None:
    given = parse(RestrictionsIn, {"day_of_week": [1, 7]})
    assert given.value().day_of_week == {0, 6}


def test_price_per_kwh_is_short_for_one_energy_component() -> None:
    short = parse(TariffIn, {"id": "T", "currency": "INR", "price_per_kwh": "18.00"}).value()
    component = {"dimension": "energy", "price": "18.00"}
    long = {"id": "T", "currency": "INR", "elements": [{"components": [component]}]}
    assert short == parse(TariffIn, long).value()


@pytest.mark.parametrize("both", [True, False])
def test_a_tariff_needs_exactly_one_way_of_giving_prices(both: bool) -> None:
    given: dict[str, Any] = {"id": "T", "currency": "INR"}
    if both:
        component = {"dimension": "energy", "price": "18.00"}
        given |= {"price_per_kwh": "1", "elements": [{"components": [component]}]}
    with pytest.raises(InvalidValue, match="elements: give either elements or price_per_kwh"):
        parse(TariffIn, given).value()
