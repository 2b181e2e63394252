"""Scripted sessions: short stories that a station lives through, by name.

Each scenario takes a booted station with the free outlet 1 and returns when its messages are
answered or given up. Tests and the demonstration use them as functions; a person tries them
against any backend with::

    python -m simulators.scenarios --url ws://127.0.0.1:9000/ocpp --identity CP-1 plain
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import orjson

from simulators.habits import PERSONALITIES, QUICK_BACKOFF
from simulators.ledger import Ledger
from simulators.station import QUIRKS, StationConfig, StationSimulator, Transaction, make

Scenario = Callable[[StationSimulator, str], Awaitable[Transaction]]


async def charge(
    station: StationSimulator, id_tag: str, *, wh: int = 5_000, samples: int = 3, evse: int = 1
) -> Transaction:
    """A local charge of *wh* in all, told in *samples* equal parts; physics takes no time here.

    Raises:
        ValueError: if the tag is refused or the outlet is taken.
    """
    transaction = await station.start_local(evse, id_tag)
    if transaction is None:
        raise ValueError(f"{station.config.identity} does not charge for {id_tag}")
    for part in range(samples):
        station.outlets[evse].meter.add(wh * (part + 1) // samples - wh * part // samples)
        station.sample(evse)
    await station.stop_local(evse)
    await station.until(lambda: transaction.over, timeout=60)
    return transaction


async def plain(station: StationSimulator, id_tag: str) -> Transaction:
    """A charge like any other."""
    return await charge(station, id_tag)


async def offline(station: StationSimulator, id_tag: str) -> Transaction:
    """A whole charge without a connection, told afterwards."""
    await station.go_offline()
    transaction = await station.start_local(1, id_tag)
    if transaction is None:
        raise ValueError(f"{station.config.identity} does not trust {id_tag} offline")
    station.outlets[1].meter.add(5_000)
    station.sample()
    await station.stop_local()
    station.go_online()
    await station.until(lambda: transaction.over, timeout=60)
    return transaction


async def lost_answer(station: StationSimulator, id_tag: str) -> Transaction:
    """The answer to the start never arrives; the charger asks again by its habit."""
    station.plug()
    await station.statuses_sent()
    if not await station.authorize(id_tag):
        raise ValueError(f"{id_tag} is refused")
    station.tap.lose_transaction_answers = 1
    transaction = station.begin(station.outlets[1], id_tag, "ISO14443", "Authorized")
    await station.until(lambda: transaction.start_acked, timeout=120)
    station.outlets[1].meter.add(5_000)
    await station.stop_local()
    await station.until(lambda: transaction.over, timeout=120)
    return transaction


async def broken_link(station: StationSimulator, id_tag: str) -> Transaction:
    """The network goes away in the middle of a charge and comes back before its end."""
    transaction = await station.start_local(1, id_tag)
    if transaction is None:
        raise ValueError(f"{station.config.identity} does not charge for {id_tag}")
    await station.until(lambda: transaction.start_acked)
    await station.go_offline()
    station.outlets[1].meter.add(2_500)
    station.sample()
    station.go_online()
    await station.until(lambda: station.online)
    station.outlets[1].meter.add(2_500)
    await station.stop_local()
    await station.until(lambda: transaction.over, timeout=60)
    return transaction


async def nothing_delivered(station: StationSimulator, id_tag: str) -> Transaction:
    """Somebody starts, nothing flows, and they leave."""
    return await charge(station, id_tag, wh=0, samples=1)


SCENARIOS: dict[str, Scenario] = {
    "plain": plain,
    "offline": offline,
    "lost-answer": lost_answer,
    "broken-link": broken_link,
    "nothing-delivered": nothing_delivered,
}


# -- command line ------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulators.scenarios", description=__doc__)
    parser.add_argument("scenario", choices=sorted(SCENARIOS))
    parser.add_argument("--url", required=True, help="e.g. ws://127.0.0.1:9000/ocpp")
    parser.add_argument("--identity", required=True)
    parser.add_argument("--version", choices=["1.6", "2.0.1"], default="1.6")
    parser.add_argument("--password")
    parser.add_argument("--tag", default="TAG-1")
    parser.add_argument("--personality", choices=sorted(PERSONALITIES), default="steady")
    parser.add_argument(
        "--quirk", action="append", choices=[*sorted(QUIRKS), "trailing-nul", "no-subprotocol"]
    )
    parser.add_argument("--ledger", help="file of JSON lines; continued if it exists")
    parser.add_argument("--message-timeout", type=float, default=5.0)
    return parser


async def run(config: StationConfig, scenario: str, id_tag: str, ledger: Ledger) -> Transaction:
    """Live through one scenario with one station."""
    async with StationSimulator(config, ledger) as station:
        await station.booted()
        return await SCENARIOS[scenario](station, id_tag)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one scenario and print what was delivered as JSON."""
    options = _parser().parse_args(arguments)
    habits = replace(PERSONALITIES[options.personality], message_timeout=options.message_timeout)
    config = StationConfig(
        identity=options.identity,
        url=options.url,
        version=options.version,
        password=options.password,
        sample_interval=None,
        personality=habits,
        backoff=QUICK_BACKOFF,
        make=make(options.quirk or []),
    )
    ledger = Ledger(options.ledger)
    try:
        transaction = asyncio.run(run(config, options.scenario, options.tag, ledger))
    except (TimeoutError, ValueError) as failure:
        print(f"{options.scenario} failed: {failure or 'no answer'}", file=sys.stderr)
        return 1
    finally:
        ledger.close()
    print(
        orjson.dumps(
            {
                "transaction_id": transaction.transaction_id,
                "energy_wh": transaction.energy_wh,
                "told": transaction.stop_acked,
            }
        ).decode()
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
