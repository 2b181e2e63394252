"""A quick copy is the same as ``dataclasses.replace``."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field, replace
from datetime import UTC, datetime

import pytest

from cms.domain.evolve import evolver, quick
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
    with pytest.raises(AttributeError):
        evolve_session(SESSION, nonsense=1)


def test_a_class_that_checks_its_values_is_refused() -> None:
    @dataclass(frozen=True, slots=True)
    class Checked:
        value: int

        def __post_init__(self) -> None:
            assert self.value > 0

    with pytest.raises(TypeError, match="checks its values"):
        evolver(Checked)


def test_a_quick_constructor_makes_the_same_frozen_value() -> None:
    @dataclass(frozen=True, slots=True)
    class Plain:
        name: str
        count: int = 3

    plain = Plain("a")
    made = quick(Plain)(name="a")

    assert type(made) is Plain and made == plain and made.count == 3
    assert quick(Plain)("b", 4) == replace(made, name="b", count=4)
    with pytest.raises(FrozenInstanceError):
        made.count = 4  # type: ignore[misc]
    with pytest.raises(TypeError):
        Plain()  # type: ignore[call-arg]


def test_a_quick_constructor_still_checks_the_values() -> None:
    @quick
    @dataclass(frozen=True, slots=True)
    class Checked:
        value: int

        def __post_init__(self) -> None:
            if self.value < 0:
                raise ValueError

    assert Checked(1).value == 1
    with pytest.raises(ValueError):
        Checked(-1)


def test_a_field_that_makes_its_own_default_gets_no_quick_constructor() -> None:
    @dataclass(frozen=True, slots=True)
    class Listed:
        names: list[str] = field(default_factory=list)

    with pytest.raises(TypeError, match="no plain parameter"):
        quick(Listed)
