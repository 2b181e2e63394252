"""The config file: every key is shown, every mistake is one line that says where and what."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from cms.bootstrap import topology_of
from cms.config import Config, ConfigError, blaming, load
from cms.observability import SECRETS

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"

SITE = """
[[locations]]
id = "S"
address = "a"
city = "b"
country = "IND"
latitude = "1"
longitude = "2"
time_zone = "Asia/Kolkata"
"""
CHARGER = """
[[chargers]]
id = "C"
location = "S"
password = "0123456789abcdef"
evses = [{ connectors = [{ standard = "IEC_62196_T2", format = "SOCKET", power_type = "AC_3_PHASE", max_voltage = 230, max_amperage = 32, tariffs = [] }] }]
"""
TARIFF = '[[tariffs]]\nid = "T"\ncurrency = "INR"\nprice_per_kwh = "18"\n'


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CMS_CONFIG", "CMS_DATABASE"):
        monkeypatch.delenv(name, raising=False)


def written(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text)
    return file


def test_the_example_loads_and_its_network_holds_together() -> None:
    config = load(EXAMPLE)
    assert [each.id for each in config.locations] == ["BLR-1"]
    topology_of(config)


def test_the_examples_defaults_are_the_defaults() -> None:
    shown, default = load(EXAMPLE), Config()
    for section in ("ocpp", "http", "database", "charging", "retention", "ocpi", "log"):
        assert getattr(shown, section) == getattr(default, section), section


def test_the_example_names_every_key() -> None:
    shown = set(_keys_shown(tomllib.loads(_uncommented())))
    assert sorted(set(_keys_of(Config)) - shown) == []


def test_what_the_example_only_hints_at_is_valid_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (
        "chargers.pem",
        "chargers.key",
        "partners.pem",
        "partners.key",
        "partners-ca.pem",
        "roaming.pem",
        "roaming.key",
        "hub-ca.pem",
    ):
        (tmp_path / name).touch()
    topology_of(load(written(tmp_path, _uncommented())))


def _uncommented() -> str:
    return re.sub(r"(?m)^# (?=\[|[a-z_0-9]+ = )", "", EXAMPLE.read_text())


def _keys_of(model: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        here = f"{path}.{name}" if path else name
        yield here
        for inner in _models_in(field.annotation):
            yield from _keys_of(inner, here)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)


def _keys_shown(data: Any, path: str = "") -> Iterator[str]:
    if isinstance(data, list):
        for each in data:
            yield from _keys_shown(each, path)
    if isinstance(data, dict):
        for name, value in data.items():
            here = f"{path}.{name}" if path else name
            yield here
            yield from _keys_shown(value, here)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("x = [", "config.toml: not TOML: "),
        ("[ocpp]\nprot = 9", "config.toml: ocpp.prot: no such key; did you mean port?"),
        ("[ocp]\nport = 9", "config.toml: ocp: no such key; did you mean ocpp?"),
        ("[ocpp]\nport = 'abc'", "config.toml: ocpp.port: expected a whole number, not 'abc'"),
        ("[ocpp]\nport = 70000", "config.toml: ocpp.port: expected less than or equal to 65535"),
        ("ocpp = 3", "config.toml: ocpp: expected an object with named fields"),
        ("[log]\nlevel = 'loud'", "config.toml: log.level: expected 'debug', 'info', 'warning'"),
        ("[party]\ncountry_code = 'India'", "country_code: expected two capital letters, not 'India'"),
        ("[http.tls]\ncertificate = 'no.pem'\nkey = 'no.key'", "http.tls.certificate: no file no.pem"),
        (CHARGER, "chargers[0].location: no location 'S' in this file"),
        (SITE + CHARGER.replace("password", "# password"), "chargers[0].password: expected at least 16"),
        (SITE + CHARGER.replace("0123456789abcdef", "short"), "chargers[0].password: "),
        (SITE + CHARGER.replace("tariffs = []", "tariffs = ['X']"), "chargers[0].evses[0].connectors[0].tariffs: no tariff 'X' in this file"),
        (SITE + CHARGER + CHARGER.replace('"C"', '"c"'), "chargers[1]: 'c' is chargers[0] already"),
        (SITE + SITE, "locations[1]: 'S' is locations[0] already"),
        (SITE.replace("Asia/Kolkata", "Asia/Bangalore"), "locations[0].time_zone: 'Asia/Bangalore' is no time zone"),
        (SITE.replace('"1"', '"91"'), "locations[0].latitude: 91 is not within -90 .. 90"),
        (TARIFF.replace('"18"', '"-1"'), "tariffs[0].price_per_kwh: expected greater than or equal to 0"),
        ("[[tariff_rules]]\nid = 'r'\ntariff = 'X'", "tariff_rules[0].tariff: no tariff 'X' in this file"),
        (TARIFF + "[[tariff_rules]]\nid = 'r'\ntariff = 'T'\nlocation = 'X'", "tariff_rules[0].location: no location 'X' in this file"),
        ("[[enrolment]]\nlocation = 'S'\nuntil = 2026-12-01T00:00:00\nsecret = '0123456789abcdef'", "enrolment[0].until: expected an offset from UTC"),
        (SITE + "[[enrolment]]\nlocation = 'S'\nuntil = 2026-12-01T00:00:00Z", "enrolment[0].secret: give a secret or networks"),
        (SITE + "[[enrolment]]\nlocation = 'S'\nuntil = 2026-12-01T00:00:00Z\nnetworks = ['10.1/40']", "enrolment[0].networks: expected a network like 10.20.0.0/16, not '10.1/40'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_file_and_key(tmp_path: Path, text: str, error: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        config = load(file)
        with blaming(config):
            topology_of(config)
    assert error in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("config.toml: ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nope.toml: no such file"):
        load(tmp_path / "nope.toml")
    with pytest.raises(ConfigError, match="is a folder, expected a TOML file"):
        load(tmp_path)


def test_the_environment_names_another_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMS_DATABASE", "sqlite:///other.db")
    assert load(written(tmp_path, "[log]\nlevel = 'info'")).database.url == "sqlite:///other.db"


def test_every_secret_of_the_file_is_blacked_out_in_logs(tmp_path: Path) -> None:
    lane = "[[enrolment]]\nlocation = 'S'\nuntil = 2026-12-01T00:00:00Z\n"
    lane += "secret = 'a-path-secret-16+'\npassword = 'newcomers-share-it'\n"
    database = "[database]\nurl = 'postgresql://me:hunter2%2Bhunter2@db/cms'\n"
    topology_of(load(written(tmp_path, database + SITE + CHARGER + lane)))
    for secret in (
        "0123456789abcdef", "a-path-secret-16+", "newcomers-share-it", "hunter2%2Bhunter2",
        "hunter2+hunter2",
    ):  # fmt: skip
        assert SECRETS.redact(f"x {secret} y") == "x [secret] y"


def test_without_a_file_everything_has_a_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(None) == Config()
