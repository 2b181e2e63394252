"""A process that is told what to do by JSON lines on standard input, and answers each with one."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Json = dict[str, Any]


def of(doer: object) -> Callable[[Json], Awaitable[Json]]:
    """Let an order's ``do`` name one of the methods of *doer* that begin with ``do_``."""

    async def obey(order: Json) -> Json:
        handler: Callable[..., Awaitable[Json]] = getattr(doer, f"do_{order.pop('do')}")
        return await handler(**order)

    return obey


async def serve(obey: Callable[[Json], Awaitable[Json]]) -> None:
    """Obey until standard input ends; what goes wrong is an answer too."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            result = await obey(json.loads(line))
        except Exception as error:
            result = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
