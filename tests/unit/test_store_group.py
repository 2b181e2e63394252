"""How units become one transaction: duplicates, coalescing, numbering."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cms.app import writes as w
from cms.app.writes import Ack, Committed, Touch
from cms.domain.ids import EvseRef, TransactionId
from cms.store.group import Group, Unwritable
from cms.store.statements import KINDS, for_postgres, for_sqlite
from cms.store.tables import micros, moment
from tests.contract import samples as x


def outcomes(group: Group, first: int = 1) -> list[Committed]:
    return group.committed(group.batch.touches(first), {})


def test_a_known_key_writes_nothing_of_its_unit() -> None:
    said = Committed(Ack(TransactionId("1")))
    group = Group([[x.frame(b"k"), w.PutSession(x.SESSION), Touch("session", "s1")]], x.NOW)
    batch = group.plan({b"k": said})
    assert not batch.rows and not batch.keyed and not batch.touched
    assert outcomes(group) == [said]


def test_the_second_of_a_key_in_one_group_gets_the_first_ones_answer() -> None:
    first, second = x.frame(b"k", ack=Ack(TransactionId("1"))), x.frame(b"k", ack=Ack())
    group = Group([[first], [second], [x.frame(b"other")]], x.NOW)
    assert group.keys == [b"k", b"other"]
    assert len(group.plan({}).of("journal")) == 2
    fresh, repeated, other = outcomes(group)
    assert repeated == Committed(Ack(TransactionId("1")), x.SESSION.id)
    assert fresh == other == Committed()


def test_an_evse_that_changes_often_is_one_row_and_one_place_in_the_feed() -> None:
    units = [
        [w.PutEvse(replace(x.STATE, version=n)), Touch("evse", "CS1/1"), Touch("location", "L")]
        for n in range(10)
    ]
    group = Group(units, x.NOW)
    batch = group.plan({})
    (row,) = batch.of("put_evse")
    assert b'"version":9' in row[1]
    touches = batch.touches(41)
    assert [(row[1], row[3]) for row in touches] == [("CS1/1", 41), ("L", 42)]
    assert {each.touched[0].seq for each in group.committed(touches, {})} == {41}


def test_later_moments_are_told_to_whoever_touched() -> None:
    group = Group([[Touch("evse", "a")], [Touch("evse", "b")]], x.NOW)
    group.plan({})
    later = micros(x.NOW) + 1000
    one, two = group.committed(group.batch.touches(1), {("evse", "b"): later})
    assert one.touched[0].last_updated == x.NOW
    assert two.touched[0].last_updated == moment(later)


def test_progress_counts_only_if_no_whole_row_follows() -> None:
    step = w.SessionProgress(
        x.SESSION.id, x.SESSION.status, 1, None, 1, None, False, None, flags=()
    )
    assert not Group([[step, w.PutSession(x.SESSION)]], x.NOW).plan({}).of("progress")
    assert Group([[w.PutSession(x.SESSION), step]], x.NOW).plan({}).of("progress")


def test_rows_are_sorted_where_several_processes_write() -> None:
    refs = [EvseRef(x.STATION, n) for n in (3, 1, 2)]
    batch = Group([[w.PutEvse(replace(x.STATE, ref=ref))] for ref in refs], x.NOW).plan({})
    assert [row[0] for row in batch.of("put_evse", ordered=True)] == ["CS1/1", "CS1/2", "CS1/3"]


def test_a_time_without_zone_is_no_row() -> None:
    naive = replace(x.SESSION, started_at=x.NOW.replace(tzinfo=None))
    with pytest.raises(Unwritable, match="offset-naive"):
        Group([[w.PutSession(naive)]], x.NOW).plan({})


def test_every_statement_has_as_many_parameters_as_its_rows_have_values() -> None:
    """A row is a tuple in the order of the columns: both databases must read it alike."""
    writes = [
        x.frame(),
        w.PutSession(x.SESSION),
        w.PutCdr(x.cdr()),
        w.PutCommand(x.COMMAND),
        w.PutWorkItem(x.ITEM),
        w.Audit(x.ENTRY),
        x.NOTE,
        w.KeepExchange(x.EXCHANGE),
        w.PutDelivery(x.DELIVERY),
        w.PutToken(x.TOKEN),
        w.PutTariff(x.TARIFF),
        w.PutEvse(x.STATE),
        w.PutRecord(x.RECORD),
        w.PutLocation(x.LOCATION),
    ]
    batch = Group([writes], x.NOW).plan({})
    sqlite, postgres = for_sqlite().writes, for_postgres().writes
    for kind in KINDS:
        assert sqlite[kind].parameters == postgres[kind].parameters
        for row in batch.of(kind):
            assert len(row) == len(sqlite[kind].parameters), kind


def test_moments_are_exact_to_the_microsecond() -> None:
    assert moment(micros(x.NOW)) == x.NOW
    assert moment(-1) < moment(0)
    assert micros(moment(-1)) == -1
