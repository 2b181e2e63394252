"""Ties each conformance test to the statements that it holds; see ``statements``."""

from __future__ import annotations

import pytest

from tests.conformance.statements import held_by


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "statement(*ids, reading=False): the statements of OCPI that a test holds"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if ids := held_by(item):
            item.user_properties.append(("statements", list(ids)))
