"""What the command lines of simulated parties share: a registration to make, and a signal to end by."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from simulators.emsp import RegistrationFailed


async def signalled() -> None:
    """Wait for SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await stop.wait()


def run_party(
    arguments: argparse.Namespace,
    run: Callable[[argparse.Namespace], Coroutine[Any, Any, int]],
) -> int:
    """Return what *run* returns; 1 if its registration fails, 2 for wrong arguments."""
    if arguments.register and not arguments.token_a:
        print("--register needs --token-a", file=sys.stderr)
        return 2
    try:
        return asyncio.run(run(arguments))
    except RegistrationFailed as failed:
        print(f"registration failed: {failed}", file=sys.stderr)
        return 1
