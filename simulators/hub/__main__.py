"""Run the hub: ``python -m simulators.hub --port 8200 --register URL --token-a TOKEN --emsp IN*AAA``.

It registers at a CPO (or prints an invitation for one), brings simulated eMSPs of its own along,
and runs until SIGINT or SIGTERM; then it prints what went through. ``/_control/...`` on the same
port steers it (see ``simulators.hub.control``).
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from simulators.command_line import run_party, signalled
from simulators.emsp import Emsp
from simulators.hub.hub import Hub
from simulators.hub.profiles import PROFILES


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m simulators.hub",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--public-url", help="how parties reach this hub")
    parser.add_argument("--profile", default="spec", choices=sorted(PROFILES))
    parser.add_argument("--ocpi", default="2.2.1", choices=("2.2.1", "2.3.0"))
    parser.add_argument("--ledger", type=Path, help="append the passages to this file (JSON lines)")
    parser.add_argument("--register", metavar="URL", help="a CPO's versions URL")
    parser.add_argument("--token-a", help="the token that the CPO gave us for --register")
    parser.add_argument("--invite", type=int, default=1, help="print this many invitations")
    parser.add_argument(
        "--emsp", action="append", default=[], metavar="CC*PID", help="bring an eMSP along"
    )
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> int:
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(
            Hub(
                profile=arguments.profile,
                versions=(arguments.ocpi,),
                host=arguments.host,
                port=arguments.port,
                public_url=arguments.public_url,
                ledger=arguments.ledger,
            )
        )
        emsps = [await _join(stack, hub, each, arguments.ocpi) for each in arguments.emsp]
        await _meet(hub, arguments)
        await signalled()
        report = hub.report() | {str(each.us): each.report() for each in emsps}
        print(json.dumps(report, indent=2, default=str))
        return 1 if hub.complaints or any(each.complaints for each in emsps) else 0


async def _join(stack: AsyncExitStack, hub: Hub, party: str, version: str) -> Emsp:
    country, _, id = party.partition("*")
    emsp = Emsp(country_code=country, party_id=id, version=version)
    await stack.enter_async_context(emsp)
    await emsp.register(hub.versions_url, hub.hand_out_token())
    return emsp


async def _meet(hub: Hub, arguments: argparse.Namespace) -> None:
    if arguments.register:
        member = await hub.register(arguments.register, arguments.token_a)
        print(f"registered with {[each['party_id'] for each in member.roles]}", flush=True)
        return
    print(f"versions {hub.versions_url}", flush=True)
    for _ in range(arguments.invite):
        print(f"token_a {hub.hand_out_token()}", flush=True)


def main() -> int:
    """Run until told to stop; 1 if any party did something wrong, 2 for wrong arguments."""
    return run_party(_arguments(), _run)


if __name__ == "__main__":
    sys.exit(main())
