"""A message without a transaction joins one only where nothing else can be meant."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cms.domain.ids import SessionId, StationId, TransactionId
from cms.domain.joining import Orphan, names_one, only_fit, only_orphan
from cms.domain.meter import Quantity, Sample
from cms.domain.session import Session, SessionStatus
from cms.domain.transaction import EventKind, TransactionEvent

T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)

SESSION = Session(
    SessionId("s1"),
    StationId("CS1"),
    1,
    SessionStatus.ACTIVE,
    T0,
    T0,
    "CARD",
    TransactionId("77"),
    start_wh=1000,
    last_wh=3000,
    last_at=T0,
)
OTHER = replace(SESSION, id=SessionId("s2"), evse=2, transaction=TransactionId("78"))
STOP = TransactionEvent(
    EventKind.ENDED, T0 + HOUR, T0 + HOUR, b"stop", id_token="card", register_wh=5000
)


def test_a_stop_of_nobody_joins_the_only_transaction_that_fits() -> None:
    assert only_fit(STOP, [SESSION]) is SESSION


def test_between_two_that_fit_nothing_is_guessed() -> None:
    assert only_fit(STOP, [SESSION, OTHER]) is None


@pytest.mark.parametrize(
    "change",
    [
        {"id_token": "ELSE"},
        {"register_wh": 2999},
        {"register_wh": None},
        {"occurred_at": T0 - HOUR},
        {"evse": 2},
    ],
)
def test_one_thing_that_does_not_fit_is_enough(change: dict[str, object]) -> None:
    assert only_fit(replace(STOP, **change), [SESSION]) is None  # type: ignore[arg-type]


def test_a_stopped_transaction_is_not_stopped_again() -> None:
    assert only_fit(STOP, [replace(SESSION, status=SessionStatus.STOPPED)]) is None


def test_samples_join_by_place_and_register() -> None:
    sample = Sample(T0 + HOUR, Quantity.ENERGY_REGISTER, 3500)
    event = TransactionEvent(EventKind.UPDATED, T0 + HOUR, T0, b"x", evse=1, samples=(sample,))

    assert only_fit(event, [SESSION, OTHER]) is SESSION


def test_what_chargers_write_that_know_no_number() -> None:
    assert not any(names_one(text and TransactionId(text)) for text in (None, "", "-1", "0"))
    assert names_one(TransactionId("77"))


def test_a_start_that_turns_up_late_finds_the_stop_that_waited() -> None:
    orphan = Orphan(SessionId("o"), T0 + HOUR, T0 + HOUR, "CARD", 5000)
    start = TransactionEvent(EventKind.STARTED, T0, T0, b"start", id_token="CARD", register_wh=1000)

    assert only_orphan(start, [orphan]) is orphan
    assert only_orphan(start, [orphan, replace(orphan, session=SessionId("p"))]) is None
    assert only_orphan(replace(start, register_wh=6000), [orphan]) is None
    assert only_orphan(replace(start, occurred_at=T0 + 2 * HOUR), [orphan]) is None
