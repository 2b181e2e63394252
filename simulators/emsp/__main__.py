"""Run the partner: ``python -m simulators.emsp --port 8100 --register URL --token-a TOKEN``.

``/_control/...`` on the same port steers it (see ``simulators.emsp.control``).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from simulators.command_line import run_party, signalled
from simulators.emsp.driver import Driver, Habits
from simulators.emsp.languages import SPEECHES
from simulators.emsp.partner import Emsp
from simulators.emsp.presets import PRESETS
from simulators.emsp.tokens import POLICIES


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m simulators.emsp",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--public-url", help="how the CPO reaches this partner")
    parser.add_argument("--country", default="IN")
    parser.add_argument("--party", default="EMP")
    parser.add_argument("--ocpi", choices=tuple(SPEECHES), help="default: the preset's")
    parser.add_argument("--policy", default="honest", choices=("honest", *POLICIES))
    parser.add_argument("--preset", default="spec", choices=sorted(PRESETS))
    parser.add_argument("--ledger", type=Path, help="append the ledger to this file (JSON lines)")
    parser.add_argument("--register", metavar="URL", help="the CPO's versions URL")
    parser.add_argument("--token-a", help="the token that the CPO gave us for --register")
    parser.add_argument("--tokens", type=int, default=0, help="create this many RFID tokens")
    parser.add_argument("--drive", type=int, default=0, help="drive this many sessions, then end")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--energy", type=int, nargs=2, metavar="WH", help="drivers ask for so much")
    parser.add_argument("--seconds", type=float, nargs=2, default=(10.0, 30.0))
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> int:
    emsp = Emsp(
        country_code=arguments.country,
        party_id=arguments.party,
        version=arguments.ocpi,
        preset=arguments.preset,
        host=arguments.host,
        port=arguments.port,
        public_url=arguments.public_url,
        ledger=arguments.ledger,
    )
    emsp.tokens.follow(arguments.policy)
    async with emsp:
        for number in range(arguments.tokens):
            emsp.tokens.add(f"RFID{number:08d}")
        await _registered(emsp, arguments)
        return await _work(emsp, arguments)


async def _registered(emsp: Emsp, arguments: argparse.Namespace) -> None:
    if arguments.register:
        await emsp.register(arguments.register, arguments.token_a)
        if ("hubclientinfo", "SENDER") in emsp.connection.endpoints:
            await emsp.meet()
        if emsp.connection.parties:
            await emsp.refresh("locations")
        print(f"registered with {emsp.connection.hub or emsp.connection.parties[0]}", flush=True)
        return
    token_a = emsp.hand_out_token()
    print(f"versions {emsp.versions_url}\ntoken_a {token_a}", flush=True)


async def _work(emsp: Emsp, arguments: argparse.Namespace) -> int:
    if not arguments.drive:
        await signalled()
        return 0
    energy = tuple(arguments.energy) if arguments.energy else None
    habits = Habits(charge=tuple(arguments.seconds), energy_wh=energy)
    drives = await Driver(emsp, habits).drive(arguments.drive, arguments.seed)
    bad = [f"{drive.number}: {drive.problem}" for drive in drives if not drive.ok]
    print(
        json.dumps({**emsp.report(), "drives": len(drives), "failed": bad}, indent=2, default=str)
    )
    return 1 if bad or emsp.complaints or emsp.cost_differences else 0


def main() -> int:
    """Run until SIGINT or SIGTERM, or until the drives are done; 1 if anything was wrong."""
    return run_party(_arguments(), _run)


if __name__ == "__main__":
    sys.exit(main())
