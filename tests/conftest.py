"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from sqlalchemy import URL, make_url

from cms.app import failpoints
from tests.harness import figures
from tests.services import (
    ADDRESS,
    NO_SERVICE,
    Databases,
    PostgresServer,
    postgres_binaries,
    unavailable,
)

settings.register_profile("anywhere", deadline=None)  # a busy machine is no failure
settings.load_profile("anywhere")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """The PostgreSQL of this test process: the given one, else one of our own."""
    given = os.environ.get(ADDRESS)
    if given:
        yield make_url(given)
        return
    binaries = postgres_binaries()
    if binaries is None:
        unavailable(f"PostgreSQL is not installed and {ADDRESS} is not set")
        return
    server = PostgresServer(binaries)
    server.start()
    yield server.url()
    server.remove()


@pytest.fixture(scope="session")
def postgres_databases(postgres_server: URL) -> Iterator[Databases]:
    from cms.store.schema import upgrade

    databases = Databases(postgres_server)
    databases.prepare(upgrade)
    yield databases
    databases.close()


@pytest.fixture
def postgres_url(postgres_databases: Databases) -> Iterator[str]:
    """The address of a PostgreSQL database of this test's own, with the current schema."""
    url = postgres_databases.create()
    yield url
    postgres_databases.drop(url)


@pytest.fixture
def empty_postgres_url(postgres_databases: Databases) -> Iterator[str]:
    """The address of a PostgreSQL database of this test's own, without any table."""
    url = postgres_databases.create(empty=True)
    yield url
    postgres_databases.drop(url)


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A running server that this test may stop and start."""
    binaries = postgres_binaries()
    if binaries is None:
        unavailable("PostgreSQL is not installed, and this test must stop and start one")
        return
    server = PostgresServer(binaries)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def arm() -> Iterator[Callable[..., None]]:
    """Arm failpoints in this process; they are disarmed after the test."""
    yield failpoints.arm
    failpoints.disarm()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show the scenarios' figures, and how many tests were skipped for want of a service."""
    for line in figures.summary(terminalreporter.stats):
        terminalreporter.write_line(line)
    skipped = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple) and NO_SERVICE in report.longrepr[2]
    ]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} tests skipped for want of a service")
