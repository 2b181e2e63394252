"""A made-up network: sites, chargers, tariffs and cards, as a config file that ``cms serve`` reads."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

PASSWORD = "canary-charger-{identity}"
"""Password of each charger; long enough, and easy to find where it must not be."""

CARD = "TAG-{number:05d}"
"""Tag of the driver who charges at the charger of that number."""

CENTRES = ("12.978370", "77.640830")


def password(identity: str) -> str:
    """The Basic password of a charger."""
    return PASSWORD.format(identity=identity)


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(slots=True)
class Network:
    """What a test's CPO owns.

    Attributes:
        chargers: how many; each has *evses* EVSEs of one connector.
        database: address of the store; None = an SQLite file in *folder*.
        own_cards: our own tokens ``TAG-00000`` and so on, one per charger, so that they may charge.
        per_site: chargers of one location.
        capabilities: of every EVSE; none = what the config takes by default.
        more: keys laid over the config, by section.
    """

    folder: Path
    chargers: int = 4
    evses: int = 1
    database: str | None = None
    prefix: str = "FLEET-"
    own_cards: bool = True
    per_site: int = 100
    capabilities: Sequence[str] = ()
    more: dict[str, Any] = field(default_factory=dict)
    ocpp_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)

    @property
    def config_file(self) -> Path:
        return self.folder / "config.toml"

    @property
    def operator_file(self) -> Path:
        return self.folder / "operator.json"

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.folder}/cms.db"

    @property
    def ocpp_url(self) -> str:
        return f"ws://127.0.0.1:{self.ocpp_port}/ocpp"

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def identity(self, number: int) -> str:
        """The charger's name in its URL."""
        return f"{self.prefix}{number:05d}"

    def write(self) -> Path:
        """Write the config file."""
        self.config_file.write_text(toml(self.config()))
        return self.config_file

    def config(self) -> dict[str, Any]:
        """The config as the file says it."""
        sections: dict[str, Any] = {
            "ocpp": {
                "host": "127.0.0.1",
                "port": self.ocpp_port,
                "heartbeat_seconds": 300,
                "most_unknown_per_address": 1000,  # all of these chargers share one address
            },
            "http": {
                "host": "127.0.0.1",
                "port": self.http_port,
                "operator_file": str(self.operator_file),
            },
            "database": {"url": self.database_url},
            "party": {"country_code": "IN", "party_id": "CPO", "name": "Harness"},
            "charging": {"session_push_seconds": 1},
            "ocpi": {"allow_private_addresses": True},
        }
        for section, keys in self.more.items():
            known = sections.get(section, {})
            sections[section] = {**known, **keys} if isinstance(keys, dict) else keys
        return sections | self.topology()

    def topology(self) -> dict[str, list[dict[str, Any]]]:
        """Locations, chargers, tariffs and cards."""
        numbers = range(self.chargers)
        sites = sorted({number // self.per_site for number in numbers})
        return {
            "locations": [self._site(number) for number in sites],
            "chargers": [self._charger(number) for number in numbers],
            "tariffs": [_tariff()],
            "tokens": [_card(number) for number in numbers if self.own_cards],
        }

    def _site(self, number: int) -> dict[str, Any]:
        return {
            "id": f"SITE-{number}",
            "name": f"Site {number}",
            "address": f"100 Feet Road {number + 1}",
            "city": "Bengaluru",
            "country": "IND",
            "latitude": CENTRES[0],
            "longitude": CENTRES[1],
            "time_zone": "Asia/Kolkata",
        }

    def _charger(self, number: int) -> dict[str, Any]:
        identity = self.identity(number)
        evses = [_evse(identity, number, evse + 1) for evse in range(self.evses)]
        if self.capabilities:
            evses = [{**each, "capabilities": list(self.capabilities)} for each in evses]
        return {
            "id": identity,
            "location": f"SITE-{number // self.per_site}",
            "password": password(identity),
            "evses": evses,
        }


def _evse(identity: str, charger: int, number: int) -> dict[str, Any]:
    connector = {
        "number": 1,
        "standard": "IEC_62196_T2_COMBO",
        "format": "CABLE",
        "power_type": "DC",
        "max_voltage": 500,
        "max_amperage": 120,
        "max_power_w": 60_000,
        "tariffs": ["DC-18"],
    }
    return {
        "number": number,
        "uid": f"{identity}-{number}",
        "evse_id": f"IN*CPO*E{charger:05d}{number}",
        "connectors": [connector],
    }


def _tariff() -> dict[str, Any]:
    taxes = [{"name": "CGST", "percent": "9"}, {"name": "SGST", "percent": "9"}]
    return {
        "id": "DC-18",
        "currency": "INR",
        "basis": "gross",
        "taxes": taxes,
        "price_per_kwh": "18.00",
    }


def _card(number: int) -> dict[str, Any]:
    return {"uid": CARD.format(number=number), "contract_id": f"IN-CPO-C{number:05d}"}


def toml(config: dict[str, Any]) -> str:
    """Write a config: everything inline, one key a line (a subset of TOML that needs no library)."""
    return "".join(f"{key} = {_inline(value)}\n" for key, value in config.items())


def _inline(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{key} = {_inline(each)}" for key, each in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_inline, value)) + "]"
        case datetime():
            return value.isoformat()
        case _:
            return json.dumps(value)
