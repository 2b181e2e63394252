"""What the verbs around the server do: serve, demo, check, upgrade, backup, export.

The backend and the demonstrations are imported by the verbs that need them: together they take
longer to load than most verbs take to run.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import structlog
import uvloop

from cms import observability
from cms.cli.office import visit
from cms.config import Config, ConfigError, blaming
from cms.vitals import hold_collector

log = structlog.get_logger()


def check(config: Config) -> None:
    """Check everything that can be checked without opening the store.

    Raises:
        ConfigError: one line naming the key.
    """
    from cms import bootstrap

    with blaming(config):
        bootstrap.topology_of(config)


def serve(config: Config) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    hold_collector()  # until all is up: see ``settle_memory``
    observability.configure(config.log.level, config.log.format)
    with blaming(config):
        return uvloop.run(_serve(config))


async def _serve(config: Config) -> int:
    from cms import bootstrap

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with bootstrap.running(config) as running:
        log.info("server.ready", ocpp=running.ocpp_port, http=running.http_port)
        await stopped.wait()
        log.info("server.stopping")
    return 0


def upgrade(config: Config) -> str:
    """Bring the schema up to date; says what was done."""
    from cms import bootstrap

    with blaming(config):
        return bootstrap.upgrade(config)


def backup(config: Config, to: Path) -> str:
    """Write a backup to *to*, which must not exist."""
    from cms import bootstrap

    if to.exists():
        raise ConfigError(f"{to}: exists already, will not be overwritten")
    with blaming(config):
        asyncio.run(bootstrap.backup(config, to))
    return f"backup written to {to}"


def export_ledger(config: Config, to: Path | None) -> None:
    """Write our ledger as JSON lines to a file or to standard output."""
    text: str = visit(config, lambda office: office.get("/ledger.jsonl"))
    if to is None:
        sys.stdout.write(text)
    else:
        to.write_text(text)


def demo(sessions: int, seed: int, report: Path | None, chargers: int, *, hub: bool = False) -> int:
    """Run the demonstration, or the one with hubs; returns the exit code."""
    if hub:
        from cms.cli.hub_demonstration import run
    else:
        from cms.cli.demonstration import run
    return run(sessions, seed, report, chargers)
