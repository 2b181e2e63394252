"""The standing figures: what must hold in every scenario, whatever else it is about."""

from __future__ import annotations

from tests.harness.figures import Scenario
from tests.harness.network import PASSWORD
from tests.harness.server import Server

CANARY = PASSWORD.partition("{")[0]
"""Every secret of the harness begins so, and no log line may contain it."""


async def living(this: Scenario, server: Server, *allowed: str) -> None:
    """Standing figures of a server that still runs, then end it and add those of its end.

    Args:
        allowed: log events of level error that the scenario itself provokes.
    """
    metrics = await server.metrics()
    this.figure("task_deaths", int(metrics.get("cms_task_deaths_total", 1)))
    code, _ = await server.terminate()
    this.figure("exit_code", abs(code))
    of_log(this, server)
    lines = server.unhandled(*allowed)
    this.wrong(*lines)
    this.figure("unhandled", len(lines))


def of_log(this: Scenario, server: Server) -> None:
    """Secrets in its log: none."""
    leaks = [line for line in server.log().splitlines() if CANARY in line]
    this.wrong(*leaks)
    this.figure("secrets", len(leaks))
