"""Routes, their rights and their document are one declaration, so they cannot disagree."""

from __future__ import annotations

import inspect
import re
from typing import Any, cast

import orjson
import pytest
from openapi_spec_validator import validate

from cms.dashboard.access import Access
from cms.dashboard.api import Api, Desk
from cms.dashboard.openapi import document
from cms.dashboard.routing import Route, application
from cms.domain.partner import Right

ROUTES = Api(cast(Desk, None)).routes()
DOCUMENT = orjson.loads(orjson.dumps(document(ROUTES, "1.2.3")))


def test_the_document_is_valid_openapi() -> None:
    validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")


def test_every_route_is_in_the_document_and_nothing_else() -> None:
    shown = {
        (method.upper(), path)
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
    }
    assert shown == {(route.method, route.path) for route in ROUTES}


def test_a_route_cannot_be_declared_without_a_right() -> None:
    assert inspect.signature(Route).parameters["right"].default is inspect.Parameter.empty
    assert all(isinstance(route.right, Right) for route in ROUTES)


def test_only_declared_routes_are_served() -> None:
    app = application(ROUTES, cast(Access, None))
    served = {
        (route.method, route.resource.canonical if route.resource else "")
        for route in app.router.routes()
    }
    declared = {(route.method, route.path) for route in ROUTES}
    assert served - {("HEAD", path) for _, path in declared} == declared


def test_names_of_operations_are_unique() -> None:
    names = [route.name for route in ROUTES]
    assert len(names) == len(set(names))


def test_a_change_needs_more_than_the_right_to_read() -> None:
    # a link to look for whoever may look; a quote and a preview change nothing
    allowed = {"/page-link", "/quotes"}
    for route in ROUTES:
        if route.method != "GET" and route.path not in allowed:
            assert route.right is not Right.READ, f"{route.method} {route.path}"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_an_operation_says_what_it_takes(route: Route) -> None:
    operation: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    named = [each["name"] for each in operation.get("parameters", []) if each["in"] == "path"]
    assert named == re.findall(r"{(\w+)}", route.path)
    asked = {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
    assert asked == set(route.query.model_fields if route.query else ())
    assert ("requestBody" in operation) == (route.body is not None)
    assert str(route.status) in operation["responses"]
    assert f"`{route.right.value}`" in operation["description"]
    assert operation["summary"], "the handler says what it does"
