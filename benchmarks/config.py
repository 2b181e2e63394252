"""Configs for the server under test: a network of as many chargers as a figure needs."""

from __future__ import annotations

from pathlib import Path

from benchmarks.load import PASSWORD

LOCATION = """
[[locations]]
id = "L{number:04d}"
name = "Site {number}"
address = "100 Feet Road {number}"
city = "Bengaluru"
postal_code = "560038"
country = "IND"
latitude = "12.978370"
longitude = "77.640830"
time_zone = "Asia/Kolkata"
facilities = ["CAFE", "WIFI"]
opening = {{ twentyfourseven = true }}
operator = {{ name = "A charge point operator", website = "https://cpo.example" }}
"""

TARIFF = """
[[tariffs]]
id = "AC"
currency = "INR"
basis = "gross"
taxes = [{ name = "CGST", percent = "9" }, { name = "SGST", percent = "9" }]
price_per_kwh = "18.00"

[[tariff_rules]]
id = "everybody"
tariff = "AC"
"""

CHARGER = """
[[chargers]]
id = "{id}"
location = "{location}"
auth = "basic"
password = "{password}"
"""

EVSE = """
[[chargers.evses]]
number = {number}
uid = "{id}-{number}"
evse_id = "IN*CPO*E{id}{number:02d}"
[[chargers.evses.connectors]]
number = 1
standard = "IEC_62196_T2"
format = "SOCKET"
power_type = "AC_3_PHASE"
max_voltage = 230
max_amperage = 32
max_power_w = 22000
tariffs = ["AC"]
"""

TOKEN = """
[[tokens]]
uid = "{uid}"
type = "rfid"
contract_id = "IN-CPO-{uid}"
issuer = "A charge point operator"
valid = true
"""


def network(
    chargers: dict[str, int], locations: int, evses: int = 1, tokens_per_charger: int = 1
) -> str:
    """Return the part of a config that describes a network.

    Args:
        chargers: how many, by the prefix of their names.
        locations: over which they are spread evenly.
        tokens_per_charger: named ``T<charger>00`` and so on.
    """
    parts = [TARIFF, *(LOCATION.format(number=number) for number in range(locations))]
    for prefix, count in chargers.items():
        for number in range(count):
            id = f"{prefix}{number:05d}"
            place = f"L{number % locations:04d}"
            parts.append(CHARGER.format(id=id, location=place, password=PASSWORD))
            parts += (EVSE.format(id=id, number=each + 1) for each in range(evses))
    for prefix, count in chargers.items():
        for number in range(count):
            for token in range(tokens_per_charger):
                parts.append(TOKEN.format(uid=f"T{prefix}{number:05d}{token:02d}"))
    return "".join(parts)


def write(folder: Path, ocpp_port: int, http_port: int, database: str, body: str) -> Path:
    """Write a config whose settings are the defaults, but for addresses and log level."""
    path = folder / "config.toml"
    path.write_text(
        f'[ocpp]\nhost = "127.0.0.1"\nport = {ocpp_port}\n'
        f'[http]\nhost = "127.0.0.1"\nport = {http_port}\n'
        f'operator_file = "{folder / "operator.json"}"\n'
        f'[database]\nurl = "{database}"\n'
        '[log]\nlevel = "warning"\n'
        "[ocpi]\nallow_private_addresses = true\n"
        f"{body}"
    )
    return path
