"""Steering a hub in another process: for tests and people, not OCPI.

POST /_control/trouble {"mode": "slow", "seconds": 2}, DELETE /_control/trouble,
POST /_control/status {"party": "IN*AAA", "status": "OFFLINE"}, POST /_control/plan {"party": ...},
GET /_control/report, GET /_control/passages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from simulators.emsp.wire import Json, dumps
from simulators.hub.trouble import Mode

if TYPE_CHECKING:
    from simulators.hub.hub import Hub


async def control(hub: Hub, request: web.Request) -> web.Response:
    """Serve one order."""
    asked: Json = await request.json() if request.can_read_body else {}
    try:
        found = _obey(hub, request.method, request.match_info["what"], asked)
    except (KeyError, TypeError, ValueError) as error:
        return _json({"error": str(error)}, 422)
    return web.Response(status=404) if found is None else _json(found)


def _obey(hub: Hub, method: str, what: str, asked: Json) -> Any:
    match (method, what):
        case ("POST", "trouble"):
            hub.trouble(Mode(asked.pop("mode")), **asked)
        case ("DELETE", "trouble"):
            hub.heal()
        case ("POST", "status"):
            hub.status(asked["party"], asked["status"])
        case ("POST", "plan"):
            hub.plan(asked["party"], asked.get("role", "EMSP"))
        case ("POST", "invite"):
            return {"versions": hub.versions_url, "token_a": hub.hand_out_token()}
        case ("GET", "report"):
            return hub.report()
        case ("GET", "passages"):
            return [each.line() for each in hub.passages]
        case _:
            return None
    return {}


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=dumps(value), content_type="application/json")
