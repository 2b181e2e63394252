"""Settings: one TOML file, every key checked, every error naming file, key and what is expected.

``config.example.toml`` shows every key with its default and its meaning.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import time
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, PrivateAttr, ValidationError

from cms.domain.errors import InvalidValue
from cms.domain.ids import PartnerId
from cms.intake.base import Intake, Moment, first_of, within
from cms.intake.tariffs import RuleIn, TariffIn
from cms.intake.tokens import TokenIn
from cms.intake.topology import ChargerIn, LocationIn

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ValueError("expected an IANA time zone like Asia/Kolkata") from None
    return name


Zone = Annotated[str, AfterValidator(_zone)]
"""Name of a time zone."""


class ConfigError(Exception):
    """The config cannot be used; the text is one line that says where and why."""


class TlsConfig(Intake):
    certificate: Path
    key: Path


class HttpTlsConfig(TlsConfig):
    client_authorities: Path | None = None
    """Ask callers for a client certificate, and take only what these have signed."""


class OcppConfig(Intake):
    host: str = "0.0.0.0"
    port: Port = 9000
    tls: TlsConfig | None = None
    heartbeat_seconds: Annotated[int, Field(ge=10, le=86400)] = 300
    ping_after_seconds: Seconds = 30.0
    dead_after_seconds: Seconds = 46.0
    call_timeout_seconds: Seconds = 30.0
    handshake_timeout_seconds: Seconds = 10.0
    most_handshakes_per_second: Annotated[int, Field(ge=1)] = 2000
    most_unknown_per_address: Annotated[int, Field(ge=1)] = 50


class HttpConfig(Intake):
    host: str = "0.0.0.0"
    port: Port = 8080
    tls: HttpTlsConfig | None = None
    trusted_proxies: tuple[str, ...] = ()
    """Whose X-Forwarded-For and client certificate header count."""
    client_certificate_header: str | None = None
    public_url: str | None = None
    """How partners reach us, e.g. ``https://cpo.example``; default: http://127.0.0.1:port."""
    operator_file: Path = Path("cms-operator.json")
    """Where ``serve`` leaves address and key for the command line (readable by its owner only)."""


class DatabaseConfig(Intake):
    url: str = "sqlite:///cms.db"


class PartyConfig(Intake):
    country_code: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "IN"
    party_id: Annotated[str, Field(pattern=r"^[A-Z0-9]{3}$")] = "CPO"
    name: str = "A charge point operator"
    website: str | None = None

    @property
    def id(self) -> PartnerId:
        return PartnerId(f"{self.country_code}*{self.party_id}")


class ChargingConfig(Intake):
    offline_grace_seconds: Annotated[float, Field(ge=0)] = 300.0
    settle_grace_seconds: Annotated[float, Field(ge=0)] = 0.0
    """How long after its stop a session waits for late meter values."""
    reservation_grace_seconds: Annotated[float, Field(ge=0)] = 15.0
    """How long after its time a start of a reservation may still arrive."""
    session_push_seconds: Annotated[float, Field(ge=1)] = 15.0
    dark_site_window_seconds: Seconds = 10.0
    dark_site_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    dark_site_least: Annotated[int, Field(ge=2)] = 2
    power_cut_policy: Literal["stitch", "end"] = "stitch"
    stitch_within_seconds: Seconds = 3600.0
    ask_partners_about_unknown_tokens: bool = False


class RetentionConfig(Intake):
    journal_days: Annotated[int, Field(ge=1)] = 400
    exchange_days: Annotated[int, Field(ge=1)] = 90
    authorisation_days: Annotated[int, Field(ge=1)] = 90


class EnrolmentConfig(Intake):
    location: str
    until: Moment
    secret: Annotated[str, Field(min_length=16)] | None = None
    networks: tuple[str, ...] = ()
    password: str | None = None
    most: Annotated[int, Field(ge=1, le=1000)] = 20


class LogConfig(Intake):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"


class OwnCertificateConfig(Intake):
    """A client certificate that we can present to partners."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    certificate: Path
    key: Path
    trust: Path | None = None


class OcpiConfig(Intake):
    allow_private_addresses: bool = False
    """Partners' URLs may lead to private addresses (tests, a hub in the same network)."""
    timeout_seconds: Seconds = 10.0
    page_limit: Annotated[int, Field(ge=1, le=1000)] = 100
    compare: bool = True
    """Look at partners' copies each night, and repair them."""
    compare_at: time = time(3, 0)
    compare_time_zone: Zone = "UTC"
    compare_jitter_minutes: Annotated[int, Field(ge=0, le=600)] = 60
    compare_days: Annotated[int, Field(ge=1, le=400)] = 7
    compare_pause_seconds: Annotated[float, Field(ge=0, le=60)] = 0.2
    certificates: tuple[OwnCertificateConfig, ...] = ()


class Config(Intake):
    ocpp: OcppConfig = OcppConfig()
    http: HttpConfig = HttpConfig()
    database: DatabaseConfig = DatabaseConfig()
    party: PartyConfig = PartyConfig()
    parties: tuple[PartyConfig, ...] = ()
    """Further parties of ours, beside *party*: a site names the one that it belongs to."""
    charging: ChargingConfig = ChargingConfig()
    retention: RetentionConfig = RetentionConfig()
    log: LogConfig = LogConfig()
    ocpi: OcpiConfig = OcpiConfig()
    locations: tuple[LocationIn, ...] = ()
    chargers: tuple[ChargerIn, ...] = ()
    tariffs: tuple[TariffIn, ...] = ()
    tariff_rules: tuple[RuleIn, ...] = ()
    tokens: tuple[TokenIn, ...] = ()
    enrolment: tuple[EnrolmentConfig, ...] = ()
    _file: str = PrivateAttr("(defaults)")

    @property
    def public_url(self) -> str:
        scheme = "https" if self.http.tls else "http"
        return (self.http.public_url or f"{scheme}://127.0.0.1:{self.http.port}").rstrip("/")


def load(path: Path | None) -> Config:
    """Read the config file; ``CMS_DATABASE`` in the environment overrides ``database.url``.

    Args:
        path: None = ``CMS_CONFIG`` from the environment, else ``config.toml`` if it is there, else
            all defaults.

    Raises:
        ConfigError: one line that names the file, the key and what is expected.
    """
    path = path or _found()
    data = _read(path) if path is not None else {}
    name = path.name if path is not None else "(defaults)"
    try:
        config = checked(Config.model_validate(data))
        config._file = name
        return _elsewhere(config, os.environ.get("CMS_DATABASE"))
    except ValidationError as error:
        raise ConfigError(f"{name}: {first_of(error, Config)}") from None
    except InvalidValue as error:
        raise ConfigError(f"{name}: {error}") from None


def _elsewhere(config: Config, url: str | None) -> Config:
    """Return *config* with the database that the environment names, if it names one."""
    if not url:
        return config
    return config.model_copy(update={"database": DatabaseConfig(url=url)})


@contextmanager
def blaming(config: Config) -> Iterator[None]:
    """Name the file in errors about a config that reads well and still cannot be used."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{config._file}: {error}") from None


def checked(config: Config) -> Config:
    """Check what no single key shows: references, files that must be there.

    Raises:
        InvalidValue: naming the key.
    """
    _once("locations", (each.id for each in config.locations))
    _once("chargers", (each.id for each in config.chargers))
    _once("tariffs", (each.id for each in config.tariffs))
    _once("tariff_rules", (each.id for each in config.tariff_rules))
    _once("tokens", (f"{each.partner or 'own'}:{each.uid}" for each in config.tokens))
    sites = {each.id for each in config.locations}
    tariffs = {each.id for each in config.tariffs}
    for position, charger in enumerate(config.chargers):
        with within(f"chargers[{position}]"):
            _check_charger(charger, sites, tariffs)
    for position, rule in enumerate(config.tariff_rules):
        with within(f"tariff_rules[{position}]"):
            _known("tariff", rule.tariff, tariffs)
            _known("location", rule.location, sites)
    for position, lane in enumerate(config.enrolment):
        with within(f"enrolment[{position}]"):
            _check_lane(lane, sites)
    _once("ocpi.certificates", (each.name for each in config.ocpi.certificates))
    for proxy in config.http.trusted_proxies:
        _network("http.trusted_proxies", proxy)
    for key, file in _files(config):
        if file is not None and not file.is_file():
            raise InvalidValue(key, f"no file {file}")
    _check_public_url(config)
    return config


def _check_public_url(config: Config) -> None:
    """Every address that a partner is given begins with it, and OCPI wants these to be https."""
    given = config.http.public_url
    if given is None or given.startswith("https://") or config.ocpi.allow_private_addresses:
        return
    raise InvalidValue(
        "http.public_url",
        f"expected https://, not {given!r} (http:// only with ocpi.allow_private_addresses, for tests)",
    )


def _files(config: Config) -> Iterator[tuple[str, Path | None]]:
    """Every file that must be there, with its key."""
    for key, tls in (("ocpp.tls", config.ocpp.tls), ("http.tls", config.http.tls)):
        if tls is not None:
            yield f"{key}.certificate", tls.certificate
            yield f"{key}.key", tls.key
    if config.http.tls is not None:
        yield "http.tls.client_authorities", config.http.tls.client_authorities
    for position, own in enumerate(config.ocpi.certificates):
        yield f"ocpi.certificates[{position}].certificate", own.certificate
        yield f"ocpi.certificates[{position}].key", own.key
        yield f"ocpi.certificates[{position}].trust", own.trust


def _check_charger(charger: ChargerIn, sites: set[str], tariffs: set[str]) -> None:
    _known("location", charger.location, sites)
    if charger.auth == "basic" and charger.password is None:
        raise InvalidValue("password", 'expected at least 16 random characters, or auth = "none"')
    for number, evse in enumerate(charger.evses):
        for socket, connector in enumerate(evse.connectors):
            for tariff in connector.tariffs:
                _known(f"evses[{number}].connectors[{socket}].tariffs", tariff, tariffs)


def _check_lane(lane: EnrolmentConfig, sites: set[str]) -> None:
    _known("location", lane.location, sites)
    if lane.secret is None and not lane.networks:
        raise InvalidValue("secret", "give a secret or networks, or anybody could walk in")
    for network in lane.networks:
        _network("networks", network)


def _network(key: str, text: str) -> None:
    try:
        ip_network(text)
    except ValueError:
        raise InvalidValue(key, f"expected a network like 10.20.0.0/16, not {text!r}") from None


def _known(key: str, id: str | None, known: set[str]) -> None:
    if id is not None and id not in known:
        what = key.rpartition(".")[2].removesuffix("s")
        raise InvalidValue(key, f"no {what} {id!r} in this file")


def _once(key: str, ids: Iterable[str]) -> None:
    seen: dict[str, int] = {}
    for position, id in enumerate(ids):
        before = seen.setdefault(id.casefold(), position)
        if before != position:
            raise InvalidValue(f"{key}[{position}]", f"{id!r} is {key}[{before}] already")


def _found() -> Path | None:
    if given := os.environ.get("CMS_CONFIG"):
        return Path(given)
    return Path("config.toml") if Path("config.toml").is_file() else None


def _read(path: Path) -> dict[str, dict[str, object]]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder, expected a TOML file") from None
    except PermissionError:
        raise ConfigError(f"{path}: may not be read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: not TOML: {error}") from None
