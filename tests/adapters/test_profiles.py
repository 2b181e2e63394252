"""The catalogue of profiles: its format, its guards, and that every one of them is sound."""

from __future__ import annotations

from pathlib import Path

import pytest

import adapters
from adapters import profiles
from cms.domain.meter import Quantity
from ocpp_gateway.adaptation import AmbiguousAdapter, Identity, UnknownAdapter

HEAD = 'schema = 1\nname = "a"\nstage = "{stage}"\nseen = ["x"]\n[[match]]\nvendor = ["Acme*"]\n'
EXAMPLE = Identity(vendor="Example Charging", model="KW-22")


def profile(body: str = "", stage: str = "approved", name: str = "a") -> profiles.Profile:
    return profiles.parse(HEAD.format(stage=stage).replace('"a"', f'"{name}"') + body, "a.toml")


def test_the_built_in_catalogue_is_sound() -> None:
    known = [EXAMPLE, Identity("OpenEVSE", "WiFi", "4.2.2"), Identity("FoxESS", "A022KP1")]
    assert profiles.lint(profiles.built_in(), known) == []


def test_every_profile_claims_at_least_one_station_and_not_the_nameless_one() -> None:
    for one in profiles.built_in():
        assert one.match
        assert not one.fits(Identity()), f"{one.name} claims a station that says nothing"


def test_a_station_gets_the_profile_of_its_family_without_case() -> None:
    catalogue = adapters.catalogue()
    assert catalogue.choose(EXAMPLE).name == "example.kwh"
    assert catalogue.choose(Identity("EXAMPLE charging", "kw-7")).name == "example.kwh"
    assert catalogue.choose(Identity("Example Charging", "XX-7")).name == "standard"
    assert catalogue.choose(None).name == "standard"


def test_the_config_fixes_a_profile_whatever_the_station_says() -> None:
    catalogue = adapters.catalogue()
    assert catalogue.choose(Identity("Other"), profile="example.kwh").name == "example.kwh"
    assert catalogue.choose(EXAMPLE, profile="standard").name == "standard"
    with pytest.raises(UnknownAdapter, match=r"no adapter 'zorg'.*standard"):
        catalogue.choose(profile="zorg")


def test_two_profiles_that_claim_one_station_are_an_error(tmp_path: Path) -> None:
    for name in ("one", "two"):
        text = HEAD.format(stage="draft").replace('"a"', f'"{name}"')
        (tmp_path / f"{name}.toml").write_text(text)
    catalogue = adapters.catalogue(tmp_path)
    with pytest.raises(AmbiguousAdapter, match="one, two"):
        catalogue.choose(Identity("Acme"))
    both = profiles.load(tmp_path)
    assert any("all claim" in line for line in profiles.lint(both, [Identity("Acme")]))


def test_one_name_twice_is_an_error(tmp_path: Path) -> None:
    text = HEAD.format(stage="draft").replace('"a"', '"example.kwh"')
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(profiles.ProfileError, match=r"example\.kwh: defined twice"):
        adapters.catalogue(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("schema = [", "a.toml"),
        ("name = 'a'", "schema: expected 1"),
        ("schema = 1", "name: is required"),
        (HEAD.format(stage="zorg"), "stage: expected one of draft, approved"),
        (HEAD.format(stage="draft") + "[zorg]\na = 1", "zorg: unknown"),
        (HEAD.format(stage="draft") + "[meter]\nzorg = 1", r"meter.zorg: unknown; known are"),
        (HEAD.format(stage="draft") + "[[match]]\nzorg = ['a']", r"match.zorg: unknown"),
        (HEAD.format(stage="draft") + "[[match]]", "would claim every station"),
        (HEAD.format(stage="approved") + "[meter]\nenergy_is_kwh = 'yes'", "true or false"),
        (HEAD.format(stage="approved") + "[time]\nnaive = 'IST'", 'such as "\\+05:30"'),
        (HEAD.format(stage="approved") + "[handshake]\npin = 'ocpp1.5'", "ocpp1.5"),
    ],
)
def test_a_bad_profile_is_refused_by_file_and_key(text: str, reason: str) -> None:
    with pytest.raises(profiles.ProfileError, match=reason) as raised:
        profiles.parse(text, "a.toml")
    assert str(raised.value).startswith("a.toml: ")


def test_keys_that_change_money_are_held_back_until_approved() -> None:
    body = '[meter]\nenergy_is_kwh = true\npower_is_kw = true\n[time]\nnaive = "+05:30"\n'
    draft, approved = profile(body, "draft"), profile(body)
    assert draft.held_back == {"meter.energy_is_kwh", "time.naive"}
    assert approved.held_back == frozenset()
    assert draft.adapter().readings.energy("1", "Wh", None)[0] == 1
    assert approved.adapter().readings.energy("1", "Wh", None)[0] == 1000
    power = draft.adapter().readings.measure("Power.Active.Import", "7", "W", 0)
    assert power[:2] == (Quantity.POWER, 7000)


def test_explain_names_each_key_with_its_source_and_what_is_held_back() -> None:
    draft = profile("[meter]\nenergy_is_kwh = true\n", "draft")
    assert profiles.explain([draft], Identity("Acme One")) == [
        "a (draft): a",
        "meter.energy_is_kwh = True from a [held back: not approved, changes money]",
    ]
    assert profiles.explain([draft], Identity("Other")) == [
        "standard: no profile claims this station"
    ]


def test_lint_finds_profiles_without_evidence_or_effect() -> None:
    empty = profiles.parse(HEAD.format(stage="draft").replace('seen = ["x"]\n', ""), "a.toml")
    assert profiles.lint([empty]) == ["a: changes nothing", "a: no evidence in seen"]


def test_a_pinned_family_is_refused_another_version() -> None:
    pinned = profile('[handshake]\npin = "ocpp1.6"\n').adapter().handshake.choose_protocol
    assert pinned(["ocpp2.0.1"]) is None
    chosen = pinned(["ocpp2.0.1", "ocpp1.6"])
    assert chosen is not None and chosen.echo == "ocpp1.6"


def test_fields_that_a_family_cannot_bear_are_left_out_of_our_calls() -> None:
    outbound = profile('[outbound]\nomit = ["TriggerMessage.connectorId"]\n').adapter().outbound
    call = {"requestedMessage": "MeterValues", "connectorId": 1}
    changed, notes = outbound("TriggerMessage", call)
    assert changed == {"requestedMessage": "MeterValues"}
    assert [str(note) for note in notes] == ["Q-170: connectorId: left out for this family"]
    assert outbound("UnlockConnector", {"connectorId": 1}) == ({"connectorId": 1}, ())


def test_words_of_units_reach_the_readings_too() -> None:
    own = profile('[vocabulary.unit]\n"kiloW-h" = "kWh"\n').adapter().readings
    assert own.energy("1.5", "kiloW-h", None)[0] == 1500
