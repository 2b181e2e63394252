"""Schema, opening, backup, retention, ledger and sums."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from cms.app import writes as w
from cms.app.sums import DaySum, SumQuery
from cms.app.writes import Ack, Touch
from cms.domain.cdr import credit
from cms.domain.ids import CdrId, LocationId, SessionId
from cms.domain.money import Money
from cms.domain.session import OPEN, SessionStatus
from cms.domain.transaction import EventKind
from cms.store import address, schema
from cms.store.errors import CannotOpen, InUse, NotDurable, SchemaTooNew, SchemaTooOld
from cms.store.maintenance import Keep, backup, export_ledger, retention
from cms.store.opening import open_for_reading, open_store, server_runs
from cms.store.store import SqlStore
from cms.store.tables import metadata
from tests.contract import samples as x
from tests.contract.conftest import Watch
from tests.services import PostgresServer, unavailable


@pytest.fixture
async def store(database_url: str, watch: Watch) -> AsyncIterator[SqlStore]:
    async with open_store(database_url, watch) as opened:
        yield opened


# -- schema


async def _execute(url: str, sql: str) -> None:
    where = address.parse(url)
    if where.get_backend_name() == "sqlite":
        connection = sqlite3.connect(address.path_of(where))
        connection.execute(sql)
        connection.commit()
        connection.close()
    else:
        other = await asyncpg.connect(url)
        await other.execute(sql)
        await other.close()


async def test_an_empty_postgres_is_upgraded_by_command_only(
    empty_postgres_url: str, watch: Watch
) -> None:
    assert await schema.current(empty_postgres_url) is None
    with pytest.raises(SchemaTooOld, match="cms db upgrade"):
        async with open_store(empty_postgres_url, watch):
            pass
    assert await schema.upgrade(empty_postgres_url) == schema.newest()
    assert await schema.upgrade(empty_postgres_url) == schema.newest()
    assert await schema.current(empty_postgres_url) == schema.newest()
    async with open_store(empty_postgres_url, watch) as opened:
        assert await opened.head() == 0


async def test_an_sqlite_file_is_made_and_upgraded_at_start(tmp_path: Path, watch: Watch) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    async with open_store(url, watch):
        pass
    assert await schema.current(url) == schema.newest()


async def test_a_newer_schema_is_refused_and_left_alone(database_url: str, watch: Watch) -> None:
    async with open_store(database_url, watch):
        pass
    await _execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    for attempt in (
        open_store(database_url, watch).__aenter__,
        lambda: schema.upgrade(database_url),
    ):
        with pytest.raises(SchemaTooNew, match="newer version of this program"):
            await attempt()
    assert await schema.current(database_url) == "9999"


async def test_migrations_lead_to_the_tables_that_the_program_uses(
    database_url: str, store: SqlStore
) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    engine = create_async_engine(address.parse(database_url))
    async with engine.connect() as connection:
        found = await connection.run_sync(differences)
    await engine.dispose()
    assert found == []


# -- opening


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "expected sqlite:///FILE"),
        ("mysql://root@127.0.0.1/cms", "expected sqlite:///FILE"),
        ("sqlite://", "names no file"),
        ("sqlite:////nowhere/at/all/cms.db", "No such file or directory"),
        ("postgresql://u:hidden@127.0.0.1:1/cms", r"cannot open postgresql://u:\*\*\*@127.0.0.1:1"),
    ],
)
async def test_a_wrong_address_is_one_clear_line(url: str, says: str, watch: Watch) -> None:
    with pytest.raises(CannotOpen, match=says) as caught:
        async with open_store(url, watch):
            pass
    assert "\n" not in str(caught.value)
    assert "hidden" not in str(caught.value)


async def test_a_file_that_is_no_database_is_one_clear_line(tmp_path: Path, watch: Watch) -> None:
    path = tmp_path / "cms.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(CannotOpen, match="not a database"):
        async with open_store(f"sqlite:///{path}", watch):
            pass


async def test_a_missing_postgres_database_is_one_clear_line(
    postgres_url: str, watch: Watch
) -> None:
    with pytest.raises(CannotOpen, match="does not exist"):
        async with open_store(postgres_url + "_no", watch):
            pass


async def test_a_second_process_refuses_an_sqlite_file(tmp_path: Path, watch: Watch) -> None:
    url = f"sqlite:///{tmp_path}/cms.db"
    script = (
        "import asyncio, sys\n"
        "from datetime import UTC, datetime\n"
        "from cms.store.opening import open_store\n"
        "async def main():\n"
        "    async with open_store(sys.argv[1], lambda: datetime.now(UTC)):\n"
        "        print('open', flush=True)\n"
        "        sys.stdin.read()\n"
        "asyncio.run(main())\n"
    )
    assert not await server_runs(url)
    other = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert other.stdout is not None
    try:
        assert await other.stdout.readline() == b"open\n"
        assert await server_runs(url)
        with pytest.raises(InUse, match=f"in use by process {other.pid}"):
            async with open_store(url, watch):
                pass
    finally:
        other.kill()  # a lease dies with its process
        await other.communicate()
    async with open_store(url, watch):
        assert await server_runs(url)
    assert not await server_runs(url)


async def test_servers_share_a_postgres_and_are_seen(postgres_url: str, watch: Watch) -> None:
    assert not await server_runs(postgres_url)
    async with open_store(postgres_url, watch), open_store(postgres_url, watch):
        assert await server_runs(postgres_url)
    assert not await server_runs(postgres_url)


async def test_a_postgres_that_would_lose_commits_is_refused(
    own_postgres: PostgresServer, watch: Watch
) -> None:
    url = own_postgres.url().render_as_string()
    await schema.upgrade(url)
    await _execute(url, "ALTER SYSTEM SET full_page_writes = off")
    await _execute(url, "SELECT pg_reload_conf()")
    await asyncio.to_thread(own_postgres.stop, "fast")
    await asyncio.to_thread(own_postgres.start)
    with pytest.raises(NotDurable, match="full_page_writes=off"):
        async with open_store(url, watch):
            pass


async def test_the_store_says_how_durable_it_is(store: SqlStore) -> None:
    assert "FULL" in store.durability or "fsync=on" in store.durability


# -- backup


async def test_a_backup_under_load_holds_all_that_was_acknowledged_before(
    tmp_path: Path, watch: Watch
) -> None:
    url, copy = f"sqlite:///{tmp_path}/cms.db", tmp_path / "copy.db"
    async with open_store(url, watch) as store:
        for n in range(20):
            await store.commit([w.PutSession(x.session(f"s{n}"))])
        writing = asyncio.gather(
            *(store.commit([w.PutSession(x.session(f"t{n}"))]) for n in range(200))
        )
        await backup(url, copy)
        await writing
    async with open_store(f"sqlite:///{copy}", watch) as restored:
        kept = {session.id for session in (await restored.restore()).open_sessions}
    assert kept >= {f"s{n}" for n in range(20)}
    with pytest.raises(CannotOpen):
        await backup(f"sqlite:///{tmp_path}/none.db", tmp_path / "x.db")


async def test_a_backup_of_postgres_is_an_archive(
    postgres_url: str, tmp_path: Path, watch: Watch
) -> None:
    async with open_store(postgres_url, watch) as store:
        await store.commit([w.PutSession(x.SESSION)])
        try:
            await backup(postgres_url, tmp_path / "dump")
        except CannotOpen as error:
            if "not installed" in str(error):
                unavailable("pg_dump")
            raise
    assert (tmp_path / "dump").read_bytes().startswith(b"PGDMP")
    with pytest.raises(CannotOpen, match="pg_dump of postgresql://"):
        await backup(postgres_url + "_no", tmp_path / "dump2")


# -- retention


async def test_retention_cuts_settled_sessions_only_and_keeps_first_answers(
    store: SqlStore, watch: Watch
) -> None:
    sample = replace(x.EVENT, kind=EventKind.UPDATED)
    settled = x.session("done", status=SessionStatus.COMPLETED)
    running = x.session("runs", status=SessionStatus.ACTIVE)
    for session in (settled, running):
        name = session.id.encode()
        await store.commit([x.frame(name + b"start", session=session.id), w.PutSession(session)])
        for n in range(7):
            key = name + b"sample%d" % n
            await store.commit([x.frame(key, session=session.id, event=sample)])
    await store.commit([x.frame(b"odd", session=settled.id, event=None, quarantined=True)])
    await store.commit([x.NOTE, w.KeepExchange(x.EXCHANGE)])

    keep = Keep(journal_days=400, exchange_days=90, authorisation_days=90)
    assert await retention(store, keep, watch) == 0
    watch.tick(days=91)
    assert await retention(store, keep, watch) == 2
    assert await store.exchanges(session=x.SESSION.id) == []
    watch.tick(days=400)
    fresh = replace(x.NOTE, at=watch())
    await store.commit([fresh, x.frame(None, session=settled.id, received_at=watch())])
    assert await retention(store, keep, watch, batch=3) == 8
    assert await retention(store, keep, watch, batch=3) == 0

    assert len(await store.journal(running.id)) == 8
    start, odd, late = (entry.frame for entry in await store.journal(settled.id))
    assert (start.raw, start.event, start.ack) == (b"", None, x.frame().ack)
    assert odd.raw and late.raw
    assert await store.authorisations(x.STATION, x.NOW, watch()) == [fresh]
    again = await store.commit([x.frame(b"donestart", ack=Ack())])
    assert again.first == x.frame().ack


# -- ledger and sums


async def test_the_ledger_tells_sessions_bills_frames_and_work(store: SqlStore) -> None:
    await store.commit(
        [
            x.frame(),
            w.PutSession(replace(x.SESSION, stop_wh=1500, ended_at=x.NOW)),
            w.PutCdr(x.cdr()),
            w.PutWorkItem(x.ITEM),
        ]
    )
    lines = [line async for line in export_ledger(store)]
    assert [line["kind"] for line in lines] == ["session", "cdr", "journal", "work_item"]
    assert lines[0] == {
        "kind": "session",
        "id": "s1",
        "station": "CS1",
        "transaction_id": "4711",
        "version": "1.6",
        "evse": 1,
        "connector": 1,
        "id_tag": "ABC123",
        "started_at": "2026-03-03T06:29:00.123456Z",
        "ended_at": "2026-03-03T06:30:00.123456Z",
        "start_wh": 1000,
        "stop_wh": 1500,
        "energy_wh": 500,
        "status": "active",
        "partner": "IN*ALP",
        "flags": ["seq_gap", "dark"],
    }
    assert lines[1] == {
        "kind": "cdr",
        "id": "b1",
        "session_id": "s1",
        "partner": "IN*ALP",
        "energy_wh": 1234,
        "currency": "INR",
        "total_excl": "18.82",
        "total_incl": "22.21",
        "credit": False,
    }
    assert lines[2]["transaction_id"] == "4711" and lines[2]["quarantined"] is False
    assert lines[3] == {
        "kind": "work_item",
        "id": "w1",
        "type": "orphan_stop",
        "subject": "journal:1",
        "state": "open",
    }


async def test_the_ledger_is_read_beside_a_running_server(
    database_url: str, tmp_path: Path, store: SqlStore, watch: Watch
) -> None:
    await store.commit([w.PutSession(x.SESSION)])
    async with open_for_reading(database_url, watch) as reader:
        lines = [line async for line in export_ledger(reader)]
    assert [line["id"] for line in lines] == ["s1"]
    with pytest.raises(CannotOpen, match="no such file"):
        async with open_for_reading(f"sqlite:///{tmp_path}/none.db", watch):
            pass


async def test_a_long_ledger_is_walked_in_pages_and_complete(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cms.store.reports.PAGE", 10)
    many = [w.PutSession(x.session(f"s{n:03}")) for n in range(35)]
    await store.commit([*many, *(w.PutCdr(x.cdr(f"b{n:03}", f"s{n:03}")) for n in range(20))])
    lines = [line async for line in export_ledger(store)]
    assert [line["id"] for line in lines] == [
        *(f"s{n:03}" for n in range(35)),
        *(f"b{n:03}" for n in range(20)),
    ]


async def test_sums_are_cut_by_the_sites_day_and_equal_the_bills(store: SqlStore) -> None:
    """At 18:30 UTC the next day begins in Kolkata; at the other site it is still the old one."""
    midnight = datetime(2026, 3, 3, 18, 30, tzinfo=UTC)
    other = LocationId("LOC2")
    bills = [
        x.cdr("a", "sa", ended_at=midnight - timedelta(microseconds=1), wh=1111),
        x.cdr("b", "sb", ended_at=midnight, wh=333),
        x.cdr("c", "sc", ended_at=midnight + timedelta(hours=1), wh=777, owner=None),
        x.cdr("d", "sd", ended_at=midnight, wh=5555, location=other),
    ]
    taken_back = credit(bills[1], CdrId("b-credit"), midnight)
    await store.commit(
        [
            w.PutLocation(x.LOCATION),
            w.PutLocation(replace(x.LOCATION, id=other, time_zone="Europe/Berlin")),
            *(w.PutCdr(bill) for bill in (*bills, taken_back)),
        ]
    )
    march = SumQuery(date(2026, 3, 1), date(2026, 3, 31))
    sums = await store.sums(march)
    assert [(s.location, s.day.day, s.bills, s.energy_wh) for s in sums] == [
        ("LOC1", 3, 1, 1111),
        ("LOC1", 4, 2, 777),  # a bill that was taken back is still a bill
        ("LOC2", 3, 1, 5555),
    ]
    zero = Money.zero("INR")
    gross = sum((bill.total.gross for bill in (*bills, taken_back)), zero)
    assert sum((s.gross for s in sums), Decimal()) == gross.amount
    assert sums[0].gross == bills[0].total.gross.amount
    assert sums[1].net == bills[2].total.net.amount

    only = SumQuery(date(2026, 3, 4), date(2026, 3, 4), frozenset({x.SITE, other}))
    assert await store.sums(only) == [sums[1]]
    assert await store.sums(replace(march, sites=frozenset({other}))) == [sums[2]]
    assert await store.sums(replace(march, sites=frozenset())) == []
    assert isinstance(sums[0], DaySum)


async def test_bills_of_a_site_nobody_knows_count_in_utc(store: SqlStore) -> None:
    await store.commit([w.PutCdr(x.cdr()), Touch("cdr", "b1")])
    (only,) = await store.sums(SumQuery(x.NOW.date(), x.NOW.date()))
    assert (only.location, only.day, only.bills) == ("LOC1", x.NOW.date(), 1)
    assert await store.session(SessionId("s1")) is None


async def test_looking_at_a_missing_file_does_not_make_it(tmp_path: Path) -> None:
    assert await schema.current(f"sqlite:///{tmp_path}/none.db") is None
    assert not (tmp_path / "none.db").exists()


async def test_sessions_that_were_told_as_active_keep_their_start_over_an_upgrade(
    tmp_path: Path, empty_postgres_url: str, watch: Watch
) -> None:
    """From the schema before they had a moment of activation, with open and settled sessions in it."""
    statuses = (*OPEN, SessionStatus.COMPLETED)
    for url in (f"sqlite:///{tmp_path}/old.db", empty_postgres_url):
        await schema.upgrade(url)
        async with open_store(url, watch) as store:
            await store.commit(
                [
                    w.PutSession(replace(x.session(each, each), status=each, activated_at=None))
                    for each in statuses
                ]
            )
        await _downgrade(url, "0004")
        assert await schema.current(url) == "0004"
        await schema.upgrade(url)
        async with open_store(url, watch) as store:
            kept = {each: await store.session(SessionId(each)) for each in statuses}
        told = {each for each, row in kept.items() if row and row.session.activated_at is not None}
        assert told == {SessionStatus.ACTIVE, SessionStatus.STOPPED}
        assert all(row and row.session.begun_at == row.session.started_at for row in kept.values())


async def _downgrade(url: str, version: str) -> None:
    def go(connection: Connection) -> None:
        config = schema._config()
        config.attributes["connection"] = connection
        command.downgrade(config, version)

    await schema._on_connection(address.parse(url), go)


async def test_a_migration_that_dies_leaves_the_version_before(
    tmp_path: Path, empty_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step fails at its last statement: nothing of it is there, and it runs again."""
    from alembic import op

    original = op.execute

    def fails(*_: object, **__: object) -> None:
        raise OSError("killed here")

    for url in (f"sqlite:///{tmp_path}/cms.db", empty_postgres_url):
        monkeypatch.setattr(op, "execute", fails)
        with pytest.raises(CannotOpen, match="killed here"):
            await schema.upgrade(url)
        assert await schema.current(url) is None
        monkeypatch.setattr(op, "execute", original)
        assert await schema.upgrade(url) == schema.newest()
