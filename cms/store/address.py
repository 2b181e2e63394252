"""Database addresses: ``sqlite:///cms.db`` (a file), ``postgresql://user@host/name``."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from cms.store.errors import CannotOpen

_EXPECTED = "expected sqlite:///FILE or postgresql://USER@HOST/NAME"
_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}


def parse(text: str) -> URL:
    """Read a database address.

    Raises:
        CannotOpen: if it is none that we can use.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise CannotOpen(
            f"database address: not readable; {_EXPECTED}"
        ) from None  # may hold a password
    driver = _DRIVERS.get(url.drivername.partition("+")[0])
    if driver is None:
        raise CannotOpen(f"database address {shown(url)}: {_EXPECTED}")
    if driver.startswith("sqlite") and url.database in (None, "", ":memory:"):
        raise CannotOpen(f"database address {shown(url)}: names no file; {_EXPECTED}")
    return url.set(drivername=driver)


def path_of(url: URL) -> Path:
    """Return the file of an SQLite address."""
    return Path(url.database or "")


def shown(url: URL) -> str:
    """Return *url* for people: no password, no driver."""
    plain = url.set(drivername=url.drivername.partition("+")[0])
    return plain.render_as_string(hide_password=True)


@contextmanager
def speaking_of(url: URL) -> Iterator[None]:
    """Turn a database that cannot be reached into one clear error that names its address."""
    try:
        yield
    except CannotOpen:
        raise
    except (
        SQLAlchemyError,
        sqlite3.Error,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
    ) as error:
        cause = getattr(error, "orig", None) or error
        raise CannotOpen(f"cannot open {shown(url)}: {first_line(cause)}") from error
    except (OSError, TimeoutError) as error:
        raise CannotOpen(f"cannot open {shown(url)}: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Return the first line of what *error* says, or its name."""
    return (str(error).splitlines() or [""])[0] or type(error).__name__
