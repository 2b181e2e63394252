"""What every store promises: units whole or not at all, first answers, one feed, values as given."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from cms.app import writes as w
from cms.app.ports import CdrQuery, Page, SessionQuery, Store
from cms.app.writes import Ack, Committed, Touch
from cms.domain.cdr import credit, credit_id
from cms.domain.errors import UnitRefused
from cms.domain.ids import CdrId, LocationId, ReservationId, SessionId, TransactionId
from cms.domain.reservation import ReservationState
from cms.domain.session import SessionStatus
from cms.domain.signed import Nature, SignedReading
from cms.domain.tariff import tariff_hash
from cms.domain.token import Verdict
from tests.contract import samples as x
from tests.contract.conftest import Open, Watch

# -- duplicates


async def test_a_repetition_gets_the_first_answer_and_writes_nothing(store: Store) -> None:
    await store.commit([x.frame(), w.PutSession(x.SESSION)])
    again = x.frame(ack=Ack(TransactionId("9"), Verdict.BLOCKED), session=SessionId("s2"))
    said = await store.commit([again, w.PutSession(x.session("s2")), Touch("session", "s2")])
    assert said == Committed(Ack(TransactionId("4711"), Verdict.ACCEPTED), SessionId("s1"), ())
    assert await store.session(SessionId("s2")) is None
    assert await store.head() == 0
    assert len(await store.journal(SessionId("s1"))) == 1


async def test_repetitions_that_wait_together_get_the_first_answer_too(store: Store) -> None:
    units = [
        [
            x.frame(b"same", session=SessionId(f"s{n}"), ack=Ack(TransactionId(str(n)))),
            w.PutSession(x.session(f"s{n}")),
        ]
        for n in range(20)
    ]
    said = await asyncio.gather(*(store.commit(unit) for unit in units))
    fresh = [each for each in said if each.first is None]
    assert len(fresh) == 1
    told = {each.first.transaction for each in said if each.first is not None}
    assert told == {TransactionId("0")}
    assert {each.first_session for each in said if each.first is not None} == {SessionId("s0")}
    _, total = await store.sessions(SessionQuery())
    assert total == 1


async def test_a_repetition_after_a_restart_gets_the_first_answer(open_again: Open) -> None:
    async with open_again() as store:
        await store.commit([x.frame()])
    async with open_again() as store:
        said = await store.commit([x.frame(ack=Ack())])
    assert said.first == Ack(TransactionId("4711"), Verdict.ACCEPTED)


async def test_frames_without_a_key_may_repeat(store: Store) -> None:
    await store.commit([x.frame(None)])
    said = await store.commit([x.frame(None)])
    assert said.first is None
    assert len(await store.journal(x.SESSION.id)) == 2


async def test_an_answer_without_number_and_verdict_is_still_a_first_answer(store: Store) -> None:
    await store.commit([x.frame(ack=Ack(), session=None)])
    said = await store.commit([x.frame()])
    assert said.first == Ack()
    assert said.first_session is None


# -- units that break a rule


async def test_the_guilty_unit_is_refused_and_its_neighbours_are_written(store: Store) -> None:
    await store.commit([w.PutCdr(x.cdr("taken"))])
    units: list[Sequence[w.Write]] = [
        [x.frame(b"a%d" % n), w.PutSession(x.session(f"s{n}")), Touch("session", f"s{n}")]
        for n in range(10)
    ]
    units[4] = [*units[4], w.PutCdr(x.cdr("taken"))]
    said = await asyncio.gather(*(store.commit(unit) for unit in units), return_exceptions=True)
    assert [n for n, each in enumerate(said) if isinstance(each, UnitRefused)] == [4]
    assert sum(isinstance(each, Committed) for each in said) == 9
    assert await store.session(SessionId("s4")) is None
    _, total = await store.sessions(SessionQuery())
    assert total == 9
    assert store.healthy


async def test_a_refused_unit_may_come_again_with_its_key(store: Store) -> None:
    await store.commit([w.PutCdr(x.cdr())])
    with pytest.raises(UnitRefused):
        await store.commit([x.frame(), w.PutCdr(x.cdr())])
    said = await store.commit([x.frame(quarantined=True)])
    assert said.first is None


async def test_a_bill_is_never_replaced(store: Store) -> None:
    await store.commit([w.PutCdr(x.cdr(wh=1000))])
    with pytest.raises(UnitRefused):
        await store.commit([w.PutCdr(x.cdr(wh=2000))])
    kept = await store.cdr(CdrId("b1"))
    assert kept is not None and kept.cdr.energy_wh == 1000


async def test_a_bill_keeps_what_the_meter_signed_to_the_letter(store: Store) -> None:
    reading = SignedReading(Nature.START, "pLäin\n", "AbC+/=" * 800, "OCMF", "KeY=")
    end = SignedReading(Nature.END, "", "aBc=", "UNKNOWN")
    bill = replace(x.cdr(), signed=(reading, end))
    await store.commit([w.PutCdr(bill)])
    kept = await store.cdr(bill.id)
    assert kept is not None and kept.cdr == bill


async def test_a_transaction_number_belongs_to_one_session_of_a_station(store: Store) -> None:
    await store.commit([w.PutSession(x.session("s1", "7"))])
    with pytest.raises(UnitRefused):
        await store.commit([w.PutSession(x.session("s2", "7"))])
    other = x.session("s3", "7", station="CS2")
    await store.commit([w.PutSession(other)])
    orphan = replace(x.session("s4"), transaction=None)
    await store.commit([w.PutSession(orphan), w.PutSession(replace(orphan, id=SessionId("s5")))])


async def test_a_drawn_id_token_belongs_to_one_command(store: Store) -> None:
    await store.commit([w.PutCommand(x.COMMAND)])
    await store.commit([w.PutCommand(replace(x.COMMAND, outcome="accepted"))])
    with pytest.raises(UnitRefused):
        await store.commit([w.PutCommand(replace(x.COMMAND, id="c2"))])  # type: ignore[arg-type]


# -- the feed


async def test_touches_rise_in_the_order_of_commits(store: Store) -> None:
    first = await store.commit([Touch("evse", "CS1/1"), Touch("location", "LOC1")])
    second = await store.commit([Touch("evse", "CS1/1")])
    assert [(t.kind, t.key) for t in first.touched] == [("evse", "CS1/1"), ("location", "LOC1")]
    assert len({t.seq for t in first.touched}) == 2
    assert second.touched[0].seq > max(t.seq for t in first.touched)
    changes = await store.changes(None, ["evse", "location"], 0, 10)
    assert [change.key for change in changes] == ["LOC1", "CS1/1"]
    assert [change.seq for change in changes] == sorted(change.seq for change in changes)
    assert await store.head() == second.touched[0].seq


async def test_what_a_reader_has_not_seen_is_counted_with_the_age_of_the_oldest(
    store: Store, watch: Watch
) -> None:
    kinds = ["session", "location"]
    assert await store.unseen(x.ALPHA, kinds, 0) == (0, None)
    first = await store.commit([Touch("session", "a", x.ALPHA)])
    watch.tick(minutes=5)
    await store.commit([Touch("location", "LOC1"), Touch("session", "b", x.BETA)])
    last = await store.commit([Touch("evse", "CS1/1")])
    (begun,), (ended,) = first.touched, last.touched

    assert await store.unseen(x.ALPHA, kinds, 0) == (2, begun.last_updated)
    count, oldest = await store.unseen(x.ALPHA, kinds, begun.seq)
    assert (count, oldest and oldest > begun.last_updated) == (1, True)
    assert (await store.unseen(None, kinds, 0))[0] == 1
    assert await store.unseen(x.ALPHA, kinds, ended.seq) == (0, None)


async def test_a_thing_has_one_place_in_the_feed_however_often_it_changes(store: Store) -> None:
    await asyncio.gather(*(store.commit([Touch("evse", "CS1/1")]) for _ in range(30)))
    changes = await store.changes(None, ["evse"], 0, 100)
    assert len(changes) == 1
    assert changes[0].seq == await store.head()


async def test_last_updated_rises_by_a_millisecond_at_least(store: Store, watch: Watch) -> None:
    moments = []
    for step in (0, 0, -3600, 0.0001, 5):
        watch.tick(seconds=step)
        (touched,) = (await store.commit([Touch("evse", "CS1/1")])).touched
        moments.append(touched.last_updated)
        (change,) = await store.changes(None, ["evse"], 0, 1)
        assert change.last_updated == touched.last_updated
    steps = [after - before for before, after in pairwise(moments)]
    assert min(steps) >= timedelta(milliseconds=1)
    assert moments[0] == x.NOW


async def test_other_things_keep_their_own_clock(store: Store, watch: Watch) -> None:
    await store.commit([Touch("evse", "CS1/1")])
    said = await store.commit([Touch("evse", "CS1/1", x.ALPHA), Touch("evse", "CS2/1", x.BETA)])
    pushed, own = said.touched
    assert pushed.last_updated == x.NOW + timedelta(milliseconds=1)
    assert own.last_updated == x.NOW


async def test_what_belongs_to_a_partner_is_for_that_partner_only(store: Store) -> None:
    await store.commit(
        [
            Touch("session", "a", x.ALPHA),
            Touch("session", "b", x.BETA),
            Touch("location", "LOC1"),
            Touch("session", "c", x.ALPHA),
        ]
    )
    kinds = ["session", "location"]
    assert [c.key for c in await store.changes(x.ALPHA, kinds, 0, 9)] == ["a", "LOC1", "c"]
    assert [c.key for c in await store.changes(x.BETA, kinds, 0, 9)] == ["b", "LOC1"]
    assert [c.key for c in await store.changes(None, kinds, 0, 9)] == ["LOC1"]
    assert [c.key for c in await store.changes(x.ALPHA, ["session"], 0, 9)] == ["a", "c"]


async def test_the_feed_is_read_in_bounded_steps(store: Store) -> None:
    for n in range(7):
        await store.commit([Touch("session", str(n), x.ALPHA if n % 2 else None)])
    seen: list[str] = []
    after = 0
    while changes := await store.changes(x.ALPHA, ["session"], after, 2):
        assert len(changes) <= 2
        seen += [change.key for change in changes]
        after = changes[-1].seq
    assert seen == [str(n) for n in range(7)]


async def test_a_deleted_thing_leaves_a_tombstone(store: Store) -> None:
    await store.commit([Touch("tariff", "T1")])
    await store.commit([Touch("tariff", "T1", deleted=True)])
    (change,) = await store.changes(None, ["tariff"], 0, 9)
    assert change.deleted
    await store.commit([Touch("tariff", "T1")])
    (change,) = await store.changes(None, ["tariff"], 0, 9)
    assert not change.deleted


async def test_cursors_and_deliveries_are_kept_per_partner(store: Store) -> None:
    await store.commit([w.PutCursor(x.ALPHA, "cdrs", 4), w.PutDelivery(x.DELIVERY)])
    await store.commit([w.PutCursor(x.ALPHA, "cdrs", 9), w.PutCursor(x.ALPHA, "sessions", 2)])
    assert await store.cursors(x.ALPHA) == {"cdrs": 9, "sessions": 2}
    assert await store.cursors(x.BETA) == {}
    assert await store.delivery(x.ALPHA, "cdr", "b1") == x.DELIVERY
    assert await store.delivery(x.BETA, "cdr", "b1") is None
    assert await store.deliveries(x.ALPHA, "parked") == [x.DELIVERY]
    await store.commit([w.PutDelivery(replace(x.DELIVERY, state="delivered"))])
    assert await store.deliveries(x.ALPHA, "parked") == []


async def test_a_batch_is_read_as_its_parts_are(store: Store) -> None:
    told = [replace(x.DELIVERY, key=key, place=key) for key in ("b1", "b2")]
    bills = [x.cdr("b1", "s1"), x.cdr("b2", "s2", created_at=x.NOW + x.MINUTE)]
    bills += [credit(bills[1], credit_id(bills[1].id), x.NOW + 2 * x.MINUTE)]
    bills += [x.cdr("b3", "s2", created_at=x.NOW + 3 * x.MINUTE)]
    await store.commit([w.PutSession(x.session(id)) for id in ("s1", "s2", "s3")])
    await store.commit([Touch("session", "s2", x.ALPHA), Touch("cdr", "b2", x.ALPHA)])
    await store.commit([*(w.PutCdr(bill) for bill in bills), *map(w.PutDelivery, told)])
    sessions = [SessionId(id) for id in ("s1", "s2", "nobody's")]
    ids = [CdrId(id) for id in ("b1", "b2", "nobody's")]
    assert await store.sessions_with(sessions) == {
        id: await store.session(id) for id in sessions[:2]
    }
    assert await store.cdrs_with(ids) == {id: await store.cdr(id) for id in ids[:2]}
    newest = await store.cdrs_of(sessions)
    assert newest == {id: await store.cdr_of(id) for id in sessions[:2]}
    assert [each.cdr.id for each in newest.values()] == ["b1", "b3"]
    found = await store.deliveries_with(x.ALPHA, "cdr", ["b2", "b3", "b1"])
    assert found == {each.key: each for each in told}
    assert await store.deliveries_with(x.BETA, "cdr", ["b1"]) == {}
    assert await store.deliveries_with(x.ALPHA, "session", ["b1"]) == {}


async def test_an_empty_batch_is_empty(store: Store) -> None:
    assert await store.sessions_with([]) == {}
    assert await store.cdrs_with([]) == {}
    assert await store.cdrs_of([]) == {}
    assert await store.deliveries_with(x.ALPHA, "cdr", []) == {}


# -- values


async def test_everything_in_memory_comes_back_after_a_restart(open_again: Open) -> None:
    hash = tariff_hash(x.TARIFF)
    open_session = replace(x.SESSION, tariff=hash)
    async with open_again() as store:
        said = await store.commit(
            [
                w.PutLocation(x.LOCATION),
                w.PutStation(x.CHARGER),
                w.PutRecord(x.RECORD),
                w.PutStationKey(x.KEY),
                w.PutEvse(x.STATE),
                w.PutTariff(x.TARIFF),
                w.PutTariffRule(x.RULE),
                w.KeepTariff(hash, x.TARIFF),
                w.PutToken(x.TOKEN),
                w.PutPartner(x.PARTNER),
                w.PutApiKey(x.API_KEY),
                w.PutSession(open_session),
                w.PutCommand(x.COMMAND),
                w.PutReservation(x.RESERVATION),
                w.PutWorkItem(x.ITEM),
                Touch("evse", "CS1/1"),
                Touch("location", "LOC1"),
                Touch("session", "s1", x.ALPHA),
                Touch("cdr", "b0", x.ALPHA),
            ]
        )
    moment = said.touched[0].last_updated
    async with open_again() as store:
        kept = await store.restore()
    assert kept.locations == [x.LOCATION]
    assert kept.stations == [x.CHARGER]
    assert kept.records == [x.RECORD]
    assert kept.keys == [x.KEY]
    assert kept.evses == [replace(x.STATE, last_updated=moment)]
    assert kept.tariffs == [x.TARIFF]
    assert kept.rules == [x.RULE]
    assert kept.snapshots == {hash: x.TARIFF}
    assert kept.tokens == [x.TOKEN]
    assert kept.partners == [x.PARTNER]
    assert kept.api_keys == [x.API_KEY]
    assert kept.open_sessions == [open_session]
    assert kept.unfinished_commands == [x.COMMAND]
    assert kept.reservations == [x.RESERVATION]
    assert kept.open_work == [x.ITEM]
    assert kept.last_updated == {
        ("evse", "CS1/1"): moment,
        ("location", "LOC1"): moment,
        ("session", "s1"): moment,
    }


async def test_an_empty_store_restores_empty(store: Store) -> None:
    kept = await store.restore()
    assert not kept.locations and not kept.open_sessions and not kept.last_updated
    assert await store.head() == 0


async def test_frames_come_back_as_they_were_in_order(open_again: Open) -> None:
    bare = w.JournalFrame(
        key=b"k2",
        station=x.STATION,
        visit=1,
        action="?",
        raw=b"\x00\xff not text",
        received_at=x.NOW,
        session=x.SESSION.id,
        quarantined=True,
    )
    loose = replace(bare, key=b"k3", session=None)
    async with open_again() as store:
        await store.commit([w.PutSession(x.SESSION), x.frame()])
        await store.commit([bare])
        await store.commit([loose])
    async with open_again() as store:
        entries = await store.journal(x.SESSION.id)
        assert [entry.frame for entry in entries] == [x.frame(), bare]
        assert entries[0].id < entries[1].id
        assert await store.journal_entry(entries[1].id) == entries[1]
        assert await store.journal_entry(10**9) is None
        of = await store.journal_of(x.STATION, x.NOW, x.NOW, 1)
        assert [entry.id for entry in of] == [entries[0].id]
        of = await store.journal_of(x.STATION, x.NOW, x.NOW, 10)
        assert [entry.frame for entry in of] == [x.frame(), bare, loose]


async def test_nul_in_a_word_hurts_nobody_else(store: Store) -> None:
    """A text column of PostgreSQL refuses NUL: that unit may be refused, the store lives on."""
    try:
        await store.commit([w.PutSession(x.session("s1", "1", id_token="A\x00B"))])
    except UnitRefused:
        assert await store.session(SessionId("s1")) is None
    await store.commit([x.frame(), w.PutSession(x.session("s2", "2"))])
    assert store.healthy


async def test_a_session_is_replaced_whole_and_progresses_in_part(store: Store) -> None:
    await store.commit([w.PutSession(x.SESSION)])
    step = w.SessionProgress(
        id=x.SESSION.id,
        status=SessionStatus.ACTIVE,
        last_wh=2500,
        last_at=x.NOW + x.MINUTE,
        delivered_wh=1500,
        power_w=None,
        charging=False,
        touched_at=None,
        flags=(),
        activated_at=x.NOW + x.MINUTE,
    )
    await store.commit([step])
    expected = replace(
        x.SESSION,
        last_wh=2500,
        last_at=x.NOW + x.MINUTE,
        delivered_wh=1500,
        power_w=None,
        charging=False,
        touched_at=None,
        flags=(),
        activated_at=x.NOW + x.MINUTE,
    )
    kept = await store.session(x.SESSION.id)
    assert kept is not None and kept.session == expected
    assert kept.last_updated == x.SESSION.received_at
    await store.commit([step, w.PutSession(x.SESSION)])
    kept = await store.session(x.SESSION.id)
    assert kept is not None and kept.session == x.SESSION
    await store.commit([w.PutSession(x.SESSION), step])
    assert await store.session_of(x.STATION, TransactionId("4711")) == expected
    assert await store.session_of(x.STATION, TransactionId("4712")) is None


async def test_a_bill_comes_back_to_the_last_digit(open_again: Open) -> None:
    bill = x.cdr()
    async with open_again() as store:
        await store.commit([w.PutCdr(bill)])
        (touched,) = (await store.commit([Touch("cdr", bill.id, x.ALPHA)])).touched
    async with open_again() as store:
        kept = await store.cdr(bill.id)
        assert kept is not None
        assert kept.cdr == bill
        assert kept.cdr.trace == bill.trace
        assert kept.created_at == bill.created_at
        assert kept.last_updated == touched.last_updated
        assert await store.cdr_of(bill.session) == kept
        assert await store.cdr_of(SessionId("none")) is None


async def test_tariffs_rules_and_documents_come_and_go(store: Store) -> None:
    await store.commit([w.PutTariff(x.TARIFF), w.PutTariffRule(x.RULE)])
    await store.commit([w.PutDocument("ocpi", "a", b"\x00"), w.PutDocument("ocpi", "b", b"2")])
    await store.commit([w.PutDocument("ocpi", "a", b"1"), w.DropDocument("ocpi", "b")])
    assert await store.documents("ocpi") == {"a": b"1"}
    await store.commit([w.DropTariff(x.TARIFF.id), w.DropTariffRule(x.RULE.id)])
    kept = await store.restore()
    assert not kept.tariffs and not kept.rules
    await store.commit(
        [w.DropDocument("ocpi", "a"), w.PutDocument("ocpi", "a", b"3"), w.DropTariff(x.TARIFF.id)]
    )
    assert await store.documents("ocpi") == {"a": b"3"}


async def test_a_kept_tariff_is_kept_once(store: Store) -> None:
    hash = tariff_hash(x.TARIFF)
    await asyncio.gather(*(store.commit([w.KeepTariff(hash, x.TARIFF)]) for _ in range(5)))
    assert await store.tariff_snapshot(hash) == x.TARIFF


async def test_an_older_visit_never_overwrites_a_newer_one(store: Store) -> None:
    await store.commit([w.PutRecord(replace(x.RECORD, visit=5, vendor="new"))])
    await store.commit([w.PutRecord(replace(x.RECORD, visit=4, vendor="old"))])
    await asyncio.gather(
        store.commit([w.PutRecord(replace(x.RECORD, visit=7, vendor="newest"))]),
        store.commit([w.PutRecord(replace(x.RECORD, visit=6, vendor="late"))]),
    )
    (record,) = (await store.restore()).records
    assert (record.visit, record.vendor) == (7, "newest")


async def test_tokens_are_one_per_owner_uid_and_type_whatever_the_case(store: Store) -> None:
    await store.commit([w.PutToken(x.TOKEN), w.PutToken(replace(x.TOKEN, partner=None))])
    await store.commit([w.PutToken(replace(x.TOKEN, uid="ABC123", valid=False))])
    tokens = (await store.restore()).tokens
    assert {(token.partner, token.uid, token.valid) for token in tokens} == {
        (x.ALPHA, "ABC123", False),
        (None, "Abc123", True),
    }


async def test_the_case_file_is_kept(store: Store) -> None:
    await store.commit([w.Audit(x.ENTRY), x.NOTE, w.KeepExchange(x.EXCHANGE)])
    await store.commit([w.Audit(replace(x.ENTRY, subject="token:1"))])
    assert await store.audit("tariff:AC-18", Page()) == [x.ENTRY]
    assert [entry.subject for entry in await store.audit(None, Page())] == [
        "token:1",
        "tariff:AC-18",
    ]
    assert len(await store.audit(None, Page(1, 5))) == 1
    assert await store.authorisations(x.STATION, x.NOW, x.NOW) == [x.NOTE]
    assert await store.exchanges(session=x.SESSION.id) == [x.EXCHANGE]
    assert await store.exchanges(partner=x.BETA) == []
    assert await store.exchanges_about("session", "s1") == [x.EXCHANGE]


async def test_of_many_exchanges_the_newest_are_told_oldest_first(store: Store) -> None:
    many = [replace(x.EXCHANGE, took_ms=n) for n in range(6)]
    for each in many:
        await store.commit([w.KeepExchange(each)])
    found = await store.exchanges(partner=x.ALPHA, limit=3)
    assert [each.took_ms for each in found] == [3, 4, 5]


# -- commands and work


async def test_a_repeated_request_finds_its_command(store: Store) -> None:
    await store.commit([w.PutCommand(x.COMMAND)])
    assert x.COMMAND.reply_to is not None
    found = await store.command_of_reply(x.COMMAND.asked_by, x.COMMAND.reply_to)
    assert found == x.COMMAND
    assert await store.command_of_reply("partner:other", x.COMMAND.reply_to) is None
    assert await store.command("c1") == x.COMMAND
    assert await store.commands_of_session(x.SESSION.id) == [x.COMMAND]
    assert await store.commands_of(x.STATION, x.NOW, x.NOW) == [x.COMMAND]


async def test_commands_that_still_matter_are_restored(store: Store, watch: Watch) -> None:
    stop = replace(x.COMMAND, verb="remote_stop", id_token=None, number=None)
    running = replace(stop, id="c2")  # type: ignore[arg-type]
    untold = replace(stop, id="c3", outcome="accepted", finished_at=x.NOW)  # type: ignore[arg-type]
    told = replace(untold, id="c4", told_at=x.NOW)  # type: ignore[arg-type]
    started = replace(x.COMMAND, outcome="accepted", finished_at=x.NOW, told_at=x.NOW)
    await store.commit([w.PutCommand(each) for each in (running, untold, told, started)])
    kept = (await store.restore()).unfinished_commands
    assert {each.id for each in kept} == {"c1", "c2", "c3"}
    watch.tick(minutes=2)
    kept = (await store.restore()).unfinished_commands
    assert {each.id for each in kept} == {"c1", "c2"}  # its token is vouched for, still
    watch.tick(minutes=14)
    kept = (await store.restore()).unfinished_commands
    assert {each.id for each in kept} == {"c2"}


async def test_reservations_are_replaced_whole_listed_newest_first_and_restored_while_they_matter(
    store: Store,
) -> None:
    held, later = x.RESERVATION, replace(x.RESERVATION, id=ReservationId(7), location="L2")  # type: ignore[arg-type]
    over = replace(held, state=ReservationState.EXPIRED)
    await store.commit(
        [w.PutReservation(held), w.PutReservation(replace(later, created_at=x.NOW + x.MINUTE))]
    )
    assert [each.id for each in await store.reservations(Page())] == [7, held.id]
    assert [each.id for each in await store.reservations(Page(), frozenset({x.SITE}))] == [held.id]
    await store.commit([w.PutReservation(over)])
    assert await store.reservation(held.id) == over
    assert [each.id for each in (await store.restore()).reservations] == [7]
    for still in (replace(over, owed=True), replace(over, unheard=True)):
        await store.commit([w.PutReservation(still)])
        assert (await store.restore()).reservations[0] == still


async def test_a_session_that_turned_out_to_be_another_leaves_its_frames_to_it(
    store: Store,
) -> None:
    reserved = replace(x.SESSION, transaction=None, status=SessionStatus.RESERVED)
    came = replace(x.SESSION, id=SessionId("s2"))
    await store.commit([w.PutSession(reserved)])
    await store.commit([x.frame(session=came.id), w.PutSession(came)])
    joined = [w.JoinSession(came.id, reserved.id), w.PutSession(x.SESSION)]
    await store.commit(joined)
    assert await store.session(came.id) is None
    kept = await store.session(reserved.id)
    assert kept is not None and kept.session == x.SESSION
    (frame,) = await store.journal(reserved.id)
    assert frame.frame.key == b"k1"
    assert (await store.restore()).open_sessions == [x.SESSION]


async def test_a_work_item_opens_once_closes_and_may_reopen(store: Store) -> None:
    await store.commit([w.PutWorkItem(x.ITEM)])
    await store.commit([w.PutWorkItem(replace(x.ITEM, opened_at=x.NOW + x.MINUTE))])
    assert await store.work_item("w1") == x.ITEM
    closed = replace(x.ITEM, closed_at=x.NOW, closed_by="key:k1", note="done")
    await store.commit([w.PutWorkItem(closed)])
    assert await store.work_item("w1") == closed
    assert await store.work_items(True, Page()) == []
    assert await store.work_items(False, Page()) == [closed]
    again = replace(x.ITEM, opened_at=x.NOW + x.MINUTE)
    await store.commit([w.PutWorkItem(again), w.PutWorkItem(x.ITEM)])
    assert await store.work_items(True, Page()) == [again]


async def test_sessions_due_for_settling_are_found(store: Store) -> None:
    due = x.session("due", status=SessionStatus.STOPPED, settle_after=x.NOW)
    later = x.session("later", status=SessionStatus.STOPPED, settle_after=x.NOW + x.MINUTE)
    done = x.session("done", status=SessionStatus.COMPLETED, settle_after=x.NOW)
    await store.commit([w.PutSession(each) for each in (due, later, done)])
    assert await store.due_for_settling(x.NOW, 10) == [due]
    assert await store.due_for_settling(x.NOW + x.MINUTE, 1) == [due]
    assert await store.due_for_settling(x.NOW + x.MINUTE, 10) == [due, later]


# -- lists


async def test_sessions_are_listed_by_creation_a_page_at_a_time(store: Store) -> None:
    for n in range(5):
        late = x.session(f"s{n}", received_at=x.NOW + n * x.MINUTE)
        await store.commit([w.PutSession(late)])
    await store.commit([w.PutSession(x.session("s0")), Touch("session", "s0")])
    page, total = await store.sessions(SessionQuery(page=Page(1, 2)))
    assert ([each.session.id for each in page], total) == (["s1", "s2"], 5)
    page, total = await store.sessions(SessionQuery(newest_first=True, page=Page(0, 1)))
    assert ([each.session.id for each in page], total) == (["s4"], 5)
    page, total = await store.sessions(SessionQuery(page=Page(10, 5)))
    assert (list(page), total) == ([], 5)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (SessionQuery(), {"a", "b", "c"}),
        (SessionQuery(owned_by=x.ALPHA), {"a"}),
        (SessionQuery(sites=frozenset({LocationId("LOC2")})), {"b"}),
        (SessionQuery(sites=frozenset()), set()),
        (SessionQuery(owned_by=x.BETA, sites=frozenset({x.SITE})), set()),
        (SessionQuery(status=frozenset({SessionStatus.COMPLETED})), {"c"}),
        (SessionQuery(station=x.STATION, evse=2), {"b"}),
        (SessionQuery(id_token="CARD"), {"c"}),
        (SessionQuery(id_token="Abc123"), {"a", "b", "c"}),
        (SessionQuery(reference="REF-2"), {"b"}),
        (SessionQuery(started_from=x.NOW), {"b"}),
        (SessionQuery(started_to=x.NOW), {"a", "c"}),
        (SessionQuery(updated_from=x.NOW + x.MINUTE), {"c"}),
        (SessionQuery(updated_to=x.NOW + x.MINUTE), {"a", "b"}),
    ],
)
async def test_every_filter_of_sessions_narrows(
    store: Store, watch: Watch, query: SessionQuery, expected: set[str]
) -> None:
    await store.commit([w.PutSession(x.session("a")), Touch("session", "a", x.ALPHA)])
    b = x.session("b", owner=x.BETA, location="LOC2", evse=2, reference="REF-2", started_at=x.NOW)
    await store.commit([w.PutSession(b)])
    watch.tick(minutes=1)
    c = x.session("c", owner=None, status=SessionStatus.COMPLETED, id_token="CARD")
    await store.commit([w.PutSession(c), Touch("session", "c")])
    page, total = await store.sessions(query)
    assert {each.session.id for each in page} == expected
    assert total == len(expected)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (CdrQuery(), ["a", "b", "c"]),
        (CdrQuery(newest_first=True), ["c", "b", "a"]),
        (CdrQuery(owned_by=x.BETA), ["b"]),
        (CdrQuery(sites=frozenset({x.SITE})), ["a", "b"]),
        (CdrQuery(session=SessionId("sc")), ["c"]),
        (CdrQuery(ended_from=x.NOW + x.MINUTE), ["c"]),
        (CdrQuery(ended_to=x.NOW + x.MINUTE), ["a", "b"]),
        (CdrQuery(updated_from=x.NOW + x.MINUTE), ["c"]),
        (CdrQuery(updated_to=x.NOW + x.MINUTE), ["a", "b"]),
    ],
)
async def test_every_filter_of_bills_narrows(
    store: Store, watch: Watch, query: CdrQuery, expected: list[str]
) -> None:
    for n, (id, owner) in enumerate((("a", x.ALPHA), ("b", x.BETA))):
        bill = x.cdr(id, f"s{id}", owner=owner, created_at=x.NOW + n * x.MINUTE / 60)
        await store.commit([w.PutCdr(bill), Touch("cdr", id, owner)])
    watch.tick(minutes=1)
    last = x.cdr(
        "c",
        "sc",
        owner=None,
        location=LocationId("LOC2"),
        ended_at=x.NOW + x.MINUTE,
        created_at=watch(),
    )
    await store.commit([w.PutCdr(last), Touch("cdr", "c")])
    page, total = await store.cdrs(query)
    assert [each.cdr.id for each in page] == expected
    assert total == len(expected)


async def test_a_page_and_its_total_are_of_one_moment(store: Store) -> None:
    """Whoever turns pages by the total must not find one row more or less than it says."""
    ready = asyncio.Event()

    async def write() -> None:
        for number in range(150):
            await store.commit(
                [w.PutSession(x.session(f"s{number}")), w.PutCdr(x.cdr(f"b{number}", f"s{number}"))]
            )
            if number == 2:
                ready.set()

    writing = asyncio.create_task(write())
    await ready.wait()
    while not writing.done():
        sessions, total = await store.sessions(SessionQuery(page=Page(0, 500)))
        assert len(sessions) == total
        bills, total = await store.cdrs(CdrQuery(page=Page(0, 500)))
        assert len(bills) == total
    await writing
    _, total = await store.sessions(SessionQuery(page=Page(1000, 10)))
    assert total == 150, "also beyond the last page"
