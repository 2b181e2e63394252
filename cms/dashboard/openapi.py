"""The OpenAPI 3.1 document, made from the routes' own declarations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from cms.dashboard.routing import Route

_ANSWERS = {
    "object": ("application/json", {"type": "object"}),
    "array": ("application/json", {"type": "array", "items": {"type": "object"}}),
    "csv": ("text/csv", {"type": "string"}),
    "lines": ("application/jsonl", {"type": "string"}),
    "zip": ("application/zip", {"type": "string", "format": "binary"}),
    "events": ("text/event-stream", {"type": "string"}),
}

_PROBLEM = {
    "type": "object",
    "properties": {
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "field": {"type": "string"},
    },
    "required": ["status", "detail"],
}

_ERRORS = {
    "400": "A field is wrong: `field` and `detail` say which and why",
    "401": "Nobody we know",
    "403": "The key lacks the right, or sees its own sites only",
    "404": "No such thing, or none that this key may see",
    "409": "It contradicts what is already so",
    "413": "The body is too large",
    "503": "The store is down; try again after Retry-After seconds",
}


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """Return the document that ``/api/v1/openapi.json`` serves."""
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Charge point management: site owners' and operators' API",
            "version": version,
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    media, schema = _ANSWERS[route.answer]
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "description": f"Needs the right `{route.right.value}`.",
        "responses": {
            str(route.status): {"description": "Done", "content": {media: {"schema": schema}}},
            **{code: _problem(text) for code, text in _ERRORS.items()},
        },
    }
    parameters = [*_path_parameters(route), *_query_parameters(route, schemas)]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _schema(route.body, schemas)}},
        }
    return operation


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": schema}},
    }


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]


def _query_parameters(route: Route, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    model = route.query.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(model.pop("$defs", {}))
    required = set(model.get("required", ()))
    return [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in model["properties"].items()
    ]


def _schema(model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema
    return {"$ref": f"#/components/schemas/{model.__name__}"}
