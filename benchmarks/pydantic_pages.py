"""The reference for pages: aiohttp, each location built and written through pydantic every time."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import uvloop
from aiohttp import web
from pydantic import BaseModel

from benchmarks import meter
from simulators.emsp.models import Location


class Page(BaseModel):
    """The envelope of OCPI."""

    data: list[Location]
    status_code: int = 1000
    timestamp: str = "2026-01-01T00:00:00Z"


def application(rows: list[dict[str, object]]) -> web.Application:
    async def page(request: web.Request) -> web.Response:
        limit = int(request.query["limit"])
        built = Page(data=[Location.model_validate(row) for row in rows[:limit]])
        return web.Response(
            text=built.model_dump_json(exclude_none=True), content_type="application/json"
        )

    app = web.Application()
    app.router.add_get("/locations", page)
    return app


async def main(port: int, rows: list[dict[str, object]]) -> None:
    runner = web.AppRunner(application(rows))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    meter.pin(meter.SERVER_CORE)
    uvloop.run(main(int(sys.argv[1]), json.loads(Path("page.json").read_text())))
