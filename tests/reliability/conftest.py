"""What the scenarios of the reliability bar share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.harness.figures import Scenario
from tests.harness.figures import scenario as run_scenario
from tests.harness.network import Network

Judge = Callable[..., AbstractContextManager[Scenario]]


@pytest.fixture
def scenario(request: pytest.FixtureRequest) -> Judge:
    """``with scenario("K01", mutant="ack-before-commit") as this:`` judges and prints one scenario."""

    def judge(id: str, *, mutant: str) -> AbstractContextManager[Scenario]:
        return run_scenario(id, mutant=mutant, lines=request.node.user_properties)

    return judge


@pytest.fixture
def network(tmp_path: Path) -> Network:
    """A small network on SQLite."""
    return Network(tmp_path)
