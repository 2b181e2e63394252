"""Ids that we draw."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from cms.domain.ids import new_session_id

NOW = datetime(2026, 3, 3, 6, 30, tzinfo=UTC)


def test_session_ids_are_uuids_of_version_7_in_order_of_time() -> None:
    drawn = [new_session_id(NOW + n * timedelta(milliseconds=1)) for n in range(100)]
    assert drawn == sorted(drawn)
    assert {(UUID(id).version, UUID(id).variant) for id in drawn} == {(7, "specified in RFC 4122")}
    assert all(len(id) == 36 for id in drawn)


def test_session_ids_of_one_moment_differ() -> None:
    assert len({new_session_id(NOW) for _ in range(10_000)}) == 10_000
