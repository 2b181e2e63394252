"""A quick copy is the same as ``dataclasses.replace``."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, replace
from datetime import UTC, datetime

import pytest

from cms.domain.evolve import evolver
from cms.domain.ids import SessionId, StationId
from cms.domain.session import Session, SessionStatus, evolve_session

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SESSION = Session(SessionId("s"), StationId("CS1"), 1, SessionStatus.PENDING, NOW, NOW, "CARD")


def test_it_changes_what_is_named_and_leaves_the_rest() -> None:
    after = evolve_session(SESSION, status=SessionStatus.ACTIVE, last_wh=7)

    assert after == replace(SESSION, status=SessionStatus.ACTIVE, last_wh=7)
    assert SESSION.last_wh is None and hash(after) != hash(SESSION)
    with pytest.raises(FrozenInstanceError):
        after.last_wh = 8  # type: ignore[misc]


def test_a_field_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError):
        evolve_session(SESSION, nonsense=1)


def test_a_class_that_checks_its_values_is_refused() -> None:
    @dataclass(frozen=True, slots=True)
    class Checked:
        value: int

        def __post_init__(self) -> None:
            assert self.value > 0

    with pytest.raises(TypeError, match="checks its values"):
        evolver(Checked)
