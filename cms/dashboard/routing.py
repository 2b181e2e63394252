"""Routes as data: what a route needs, takes and gives is declared beside its handler.

The declaration is what serves the request, what checks the caller's right and what the OpenAPI
document is made of, so the three cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
import orjson
import structlog
from aiohttp import web
from pydantic import BaseModel

from cms.dashboard.access import Access, Caller
from cms.domain.errors import Conflict, Forbidden, InvalidValue, NotFound, StoreDown
from cms.domain.partner import Right
from cms.intake.base import NO_NUL, parse

log = structlog.get_logger()

M = TypeVar("M", bound=BaseModel)

MOST_BODY_BYTES = 1024 * 1024
RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request with its checked body."""

    request: web.Request
    caller: Caller
    body: Any
    query: Any

    def part(self, name: str) -> str:
        """A piece of the path.

        Raises:
            InvalidValue: it holds what no id of ours can.
        """
        text = self.request.match_info[name]
        if "\0" in text:
            raise InvalidValue(name, NO_NUL)
        return text

    @property
    def reason(self) -> str | None:
        """Why the caller does it, for the audit."""
        return self.request.headers.get("X-Reason")


@dataclass(frozen=True, slots=True)
class Text:
    """An answer that is no JSON."""

    body: str | bytes
    content_type: str
    filename: str | None = None


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the API. What it does is the first line of its handler's docstring.

    Attributes:
        right: what the caller's key must allow. There is no route without one.
        body: model of the request's JSON body; None = there is none.
        query: model of the query string.
        answer: an example-free description of what comes back, for the document.
        streams: the handler writes the response itself (events, files).
    """

    method: str
    path: str
    right: Right
    handler: Handler
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    answer: str = "object"
    status: int = 200
    streams: bool = False

    @property
    def name(self) -> str:
        words = re.sub(r"[^a-z0-9]+", "_", self.path.lower()).strip("_")
        return f"{self.method.lower()}_{words or 'root'}"

    @property
    def summary(self) -> str:
        """What it does, in a few words; empty where docstrings are stripped (``python -OO``)."""
        return (self.handler.__doc__ or "").partition("\n")[0].removesuffix(".")


def application(routes: Sequence[Route], access: Access) -> web.Application:
    """Return the API as an application to be mounted under ``/api/v1``."""
    app = web.Application(middlewares=[problems], client_max_size=MOST_BODY_BYTES)
    for route in routes:
        app.router.add_route(route.method, route.path, _served(route, access), name=route.name)
    return app


def _served(route: Route, access: Access) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        caller = access.caller(request)
        if caller is None:
            return problem(401, "log in, or send Authorization: Bearer with an API key")
        if not caller.may(route.right):
            return problem(403, f"this key lacks the right {route.right.value!r}")
        body = None if route.body is None else parse(route.body, await _json(request))
        query = None if route.query is None else parse(route.query, dict(request.query))
        result = await route.handler(Call(request, caller, body, query))
        return result if isinstance(result, web.StreamResponse) else _answer(result, route.status)

    return serve


async def _json(request: web.Request) -> object:
    try:
        return orjson.loads(await request.read() or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidValue("body", f"not JSON: {error}") from None


def _answer(result: Any, status: int) -> web.Response:
    if isinstance(result, Text):
        headers = (
            {"Content-Disposition": f'attachment; filename="{result.filename}"'}
            if result.filename
            else None
        )
        if isinstance(result.body, bytes):
            kind = result.content_type
            return web.Response(body=result.body, content_type=kind, headers=headers)
        return web.Response(text=result.body, content_type=result.content_type, headers=headers)
    return json_response(result, status)


def json_response(data: Any, status: int = 200) -> web.Response:
    """Answer with JSON; Decimal as text, times as RFC 3339 in UTC."""
    return web.Response(body=dumps(data), status=status, content_type="application/json")


def dumps(data: Any) -> bytes:
    return orjson.dumps(data, default=_plain, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, frozenset | set):
        return sorted(value)
    return msgspec.to_builtins(value, str_keys=True)


def problem(
    status: int, detail: str, field: str | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    """Answer with an error (RFC 9457): what, which field, and why."""
    body: dict[str, object] = {"status": status, "detail": detail}
    if field is not None:
        body["field"] = field
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )


@web.middleware
async def problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn what went wrong into the answer it deserves; never an inner text."""
    try:
        return await handler(request)
    except InvalidValue as error:
        return problem(400, error.reason, error.field)
    except NotFound as error:
        return problem(404, str(error))
    except Forbidden as error:
        return problem(403, str(error))
    except Conflict as error:
        return problem(409, str(error))
    except ConnectionResetError:
        raise  # who asked has left; nobody reads an answer
    except StoreDown:
        return problem(503, "the store is down", headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return problem(405, f"expected one of: {allowed}", headers={"Allow": allowed})
    except web.HTTPNotFound:
        return problem(404, f"no such address: {request.path}")
    except web.HTTPException as error:
        return problem(error.status, error.text or error.reason or "")
    except Exception:
        log.exception("api.failed", method=request.method, path=request.path)
        return problem(500, "an error of ours; it is in the log")
