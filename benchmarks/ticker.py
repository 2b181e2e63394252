"""An idle process that does nothing but wake up: the stall that this machine causes by itself.

Prints the longest delay since the last line read from standard input, in milliseconds.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from benchmarks import meter

PERIOD_S = 0.005


class Ticker:
    def __init__(self) -> None:
        self.longest = 0.0

    async def tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            await asyncio.sleep(PERIOD_S)
            self.longest = max(self.longest, loop.time() - begun - PERIOD_S)

    def tell(self) -> None:
        print(f"{self.longest * 1e3:.3f}", flush=True)
        self.longest = 0.0


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
