"""The simulated partner in a process of its own, told by JSON lines what to hold and how to fail."""

from __future__ import annotations

from typing import Any

import uvloop

from benchmarks import meter, orders
from benchmarks.orders import Json
from simulators.emsp import Emsp
from simulators.emsp.faults import Fault, Kind


class Partner:
    def __init__(self, emsp: Emsp) -> None:
        self.emsp = emsp

    async def do_tokens(self, prefix: str, count: int, whitelist: str) -> Json:
        """Create tokens ``<prefix>00000`` and so on."""
        for number in range(count):
            self.emsp.tokens.add(f"{prefix}{number:05d}", whitelist=whitelist)
        return {}

    async def do_register(self, url: str, token: str) -> Json:
        await self.emsp.register(url, token)
        return {}

    async def do_fail(self, kind: str, **more: Any) -> Json:
        """Misbehave until told otherwise; see ``simulators.emsp.faults``."""
        self.emsp.faults.add(Fault(Kind(kind), **more))
        return {}

    async def do_behave(self) -> Json:
        self.emsp.faults.clear()
        return {}

    async def do_asked(self) -> Json:
        """Tell how many real-time questions came since the last time."""
        arrivals = self.emsp.arrivals
        asked = sum(each.module == "tokens" and each.method == "POST" for each in arrivals)
        arrivals.clear()
        return {"asked": asked, "complaints": [str(each) for each in self.emsp.complaints]}


async def main() -> None:
    async with Emsp() as emsp:
        await orders.serve(orders.of(Partner(emsp)))


if __name__ == "__main__":
    meter.raise_file_limit()
    meter.pin(meter.LOAD_CORE)
    uvloop.run(main())
