"""Steering a partner in another process: for tests and people, not OCPI.

POST /_control/faults {"kind": ...}, DELETE /_control/faults, GET /_control/report,
POST /_control/policy {"policy": "blocked"}: what every card is answered from now on,
POST /_control/start {"location": "SITE-1", "evse": "CS1-1"}, {"energy_wh": 5000} with a cut-off,
POST /_control/stop {"session": ...}, POST /_control/unlock {"location", "evse", "connector"},
POST /_control/command {"name": ..., ...}: any other, with these members.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from simulators.emsp.commands import NAMES, Command
from simulators.emsp.faults import Fault, Kind
from simulators.emsp.wire import Json, dumps

if TYPE_CHECKING:
    from simulators.emsp.partner import Emsp


async def control(emsp: Emsp, request: web.Request) -> web.Response:
    """Serve one order."""
    asked: Json = await request.json() if request.can_read_body else {}
    try:
        found = await _obey(emsp, request.method, request.match_info["what"], asked)
    except (KeyError, TypeError, ValueError) as error:
        return _json({"error": f"{type(error).__name__}: {error}"}, 422)
    except (aiohttp.ClientError, TimeoutError) as error:
        return _json({"error": f"the CPO: {type(error).__name__}"}, 502)
    return web.Response(status=404) if found is None else _json(found)


async def _obey(emsp: Emsp, method: str, what: str, asked: Json) -> Any:
    match (method, what):
        case ("POST", "faults"):
            emsp.faults.add(Fault(**{**asked, "kind": Kind(asked["kind"])}))
        case ("DELETE", "faults"):
            emsp.faults.clear()
        case ("POST", "policy"):
            emsp.tokens.follow(asked["policy"])
        case ("GET", "report"):
            return emsp.report()
        case ("POST", "start"):
            return await _started(emsp, asked)
        case ("POST", "stop"):
            return _shown(await emsp.stop_session(asked["session"]))
        case ("POST", "unlock"):
            places = (asked["location"], asked["evse"], asked["connector"])
            return _shown(await emsp.unlock_connector(*places))
        case ("POST", "command"):
            name = asked.pop("name")
            if name not in NAMES:
                raise ValueError(f"name: one of {', '.join(NAMES)}")
            return _shown(await emsp.command(name, **asked))
        case _:
            return None
    return {}


async def _started(emsp: Emsp, asked: Json) -> Json:
    reference = str(uuid.uuid4())
    if "energy_wh" in asked:
        emsp.requested_wh[reference] = int(asked["energy_wh"])
    token = emsp.driver_token(f"APP{reference[:12].upper()}")
    command = await emsp.start_session(
        asked["location"], asked.get("evse"), token=token, authorization_reference=reference
    )
    return _shown(command)


def _shown(command: Command) -> Json:
    """A command as its line of the ledger; its result comes later."""
    return {**command.line(), "answer_code": command.answer_code}


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=dumps(value), content_type="application/json")
