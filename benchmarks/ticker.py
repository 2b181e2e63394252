"""An idle process that does nothing but wake up: the stall that this machine causes by itself.

Asked by a line on standard input, it prints the longest delay and the 99th percentile since it was
asked before, in milliseconds.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from benchmarks import meter
from benchmarks.summary import percentile

PERIOD_S = 0.005


class Ticker:
    def __init__(self) -> None:
        self.delays: list[float] = []

    async def tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            await asyncio.sleep(PERIOD_S)
            self.delays.append(max(loop.time() - begun - PERIOD_S, 0.0))

    def tell(self) -> None:
        delays, self.delays = self.delays or [0.0], []
        print(f"{max(delays) * 1e3:.3f} {percentile(delays, 99) * 1e3:.3f}", flush=True)


async def main() -> None:
    ticker = Ticker()
    loop = asyncio.get_running_loop()
    ticking = loop.create_task(ticker.tick())
    done = loop.create_future()

    def asked() -> None:
        if sys.stdin.readline():
            ticker.tell()
        else:
            loop.remove_reader(sys.stdin.fileno())
            done.set_result(None)

    loop.add_reader(sys.stdin.fileno(), asked)
    await done
    ticking.cancel()


if __name__ == "__main__":
    meter.pin(meter.SERVER_CORE)
    uvloop.run(main())
