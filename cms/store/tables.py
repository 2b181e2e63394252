"""The tables. Two databases, one schema.

Times are whole microseconds since 1970 (``UtcDateTime``), so that both databases order and compare
them alike and no zone can get lost. Money is decimal text, never a binary fraction. Raw frames are
bytes, because text columns refuse NUL. Nested values are compact JSON bytes (``cms.store.codec``).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(at: datetime) -> int:
    """Return *at* as whole microseconds since 1970.

    Raises:
        TypeError: if *at* has no zone.
    """
    passed = at - EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def moment(value: int) -> datetime:
    """Return the moment that :func:`micros` wrote, aware UTC."""
    return EPOCH + timedelta(microseconds=value)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime, kept as whole microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else moment(value)


metadata = MetaData()

Serial = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database counts up itself."""

journal = Table(
    "journal",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("key", LargeBinary, unique=True),
    Column("station", Text, nullable=False),
    Column("visit", BigInteger, nullable=False),
    Column("kind", Text),  # of the event; None where the frame says nothing usable
    Column("action", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("session", Text),
    Column("transaction", Text),
    Column("event", LargeBinary),
    Column("ack_transaction", Text),
    Column("ack_verdict", Text),
    Column("notes", LargeBinary),
    Column("quarantined", Boolean, nullable=False),
    Index("journal_session", "session", "id"),
    # Frames of a session are found by their session; each index costs a page per frame.
    Index(
        "journal_station",
        "station",
        "received_at",
        sqlite_where=text("session IS NULL"),
        postgresql_where=text("session IS NULL"),
    ),
)

OPEN_SESSIONS = text("status IN ('reserved', 'pending', 'active', 'stopped')")
"""Open sessions. SQLite uses the index of them only for a condition in these very words."""

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("station", Text, nullable=False),
    Column("evse", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("id_token", Text, nullable=False),
    Column("transaction", Text),
    Column("connector", Integer),
    Column("location", Text),
    Column("token", LargeBinary),
    Column("token_uid", Text),
    Column("owner", Text),
    Column("method", Text, nullable=False),
    Column("reference", Text),
    Column("command", Text),
    Column("start_wh", BigInteger),
    Column("last_wh", BigInteger),
    Column("last_at", UtcDateTime),
    Column("delivered_wh", BigInteger, nullable=False),
    Column("power_w", BigInteger),
    Column("charging", Boolean, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("stop_wh", BigInteger),
    Column("stop_reason", Text),
    Column("settle_after", UtcDateTime),
    Column("tariff", Text),
    Column("currency", Text),
    Column("limit_wh", BigInteger),
    Column("limit_money", Text),
    Column("limit_seconds", BigInteger),
    Column("stop_asked_at", UtcDateTime),
    Column("touched_at", UtcDateTime),
    Column("dialect", Text, nullable=False),
    Column("flags", Text, nullable=False),  # separated by spaces
    Column("reservation", BigInteger),
    Column("held_from", UtcDateTime),
    Column("switches", Text),  # tariff switches: JSON, [[microseconds, hash], ...]
    Column("activated_at", UtcDateTime),
    UniqueConstraint("station", "transaction", name="sessions_transaction"),
    Index("sessions_created", "received_at", "id"),
    Index("sessions_owner", "owner", "received_at", "id"),
    Index("sessions_location", "location", "received_at", "id"),
    Index("sessions_token", "id_token"),
    Index(
        "sessions_open",
        "status",
        "settle_after",
        sqlite_where=OPEN_SESSIONS,
        postgresql_where=OPEN_SESSIONS,
    ),
)

cdrs = Table(
    "cdrs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("session", Text, nullable=False),
    Column("owner", Text),
    Column("location", Text),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("energy_wh", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("net", Text, nullable=False),
    Column("gross", Text, nullable=False),
    Column("credit", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("cdrs_session", "session"),
    Index("cdrs_created", "created_at", "id"),
    Index("cdrs_owner", "owner", "created_at", "id"),
    Index("cdrs_ended", "location", "ended_at", "id"),
)

change = Table(
    "change",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("owner", Text),  # None: everybody may hear of it
    Column("seq", BigInteger, nullable=False),
    Column("last_updated", UtcDateTime, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Index("change_owner", "owner", "seq"),
    sqlite_with_rowid=False,
)

feed_counter = Table(
    "feed_counter",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),  # always 1
    Column("seq", BigInteger, nullable=False),
)

tariff_snapshots = Table(
    "tariff_snapshots",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

evses = Table(
    "evses",
    metadata,
    Column("ref", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

station_records = Table(
    "station_records",
    metadata,
    Column("id", Text, primary_key=True),
    Column("visit", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)


def _kept_whole(name: str, *more: Column[object]) -> Table:
    """A table of values that are read and written whole, listed by creation."""
    return Table(
        name,
        metadata,
        Column("id", Text, primary_key=True),
        Column("created_at", UtcDateTime, nullable=False),
        Column("body", LargeBinary, nullable=False),
        *more,
    )


locations = _kept_whole("locations")
stations = _kept_whole("stations")
station_keys = _kept_whole("station_keys")
tariffs = _kept_whole("tariffs", Column("from_file", Boolean, nullable=False))
tariff_rules = _kept_whole("tariff_rules")
partners = _kept_whole("partners")
api_keys = _kept_whole("api_keys")

tokens = Table(
    "tokens",
    metadata,
    Column("partner", Text, primary_key=True),  # "" = our own
    Column("uid", Text, primary_key=True),  # without case
    Column("type", Text, primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

commands = Table(
    "commands",
    metadata,
    Column("id", Text, primary_key=True),
    Column("station", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("reply_to", Text),
    Column("id_token", Text, unique=True),
    Column("session", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("outcome", Text),
    Column("told_at", UtcDateTime),
    Column("body", LargeBinary, nullable=False),
    Index("commands_station", "station", "created_at"),
    Index("commands_session", "session"),
    Index("commands_reply", "reply_to"),
    Index("commands_expiry", "expires_at"),
    Index(
        "commands_running",
        "created_at",
        sqlite_where=text("outcome IS NULL"),
        postgresql_where=text("outcome IS NULL"),
    ),
)

OPEN_RESERVATIONS = text("open")

reservations = Table(
    "reservations",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("owner", Text),
    Column("location", Text, nullable=False),
    Column("station", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("open", Boolean, nullable=False),  # lives, or something is owed
    Index("reservations_created", "created_at", "id"),
    Index(
        "reservations_open",
        "created_at",
        sqlite_where=OPEN_RESERVATIONS,
        postgresql_where=OPEN_RESERVATIONS,
    ),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("before", LargeBinary),
    Column("after", LargeBinary),
    Column("reason", Text),
    Index("audit_subject", "subject", "id"),
)

work_items = Table(
    "work_items",
    metadata,
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("station", Text),
    Column("location", Text),
    Column("evidence", LargeBinary, nullable=False),
    Column("actions", Text, nullable=False),  # separated by spaces
    Column("closed_at", UtcDateTime),
    Column("closed_by", Text),
    Column("action", Text),
    Column("note", Text),
    Index("work_items_opened", "opened_at", "id"),
)

authorisations = Table(
    "authorisations",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("station", Text, nullable=False),
    Column("id_token", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("owner", Text),
    Column("session", Text),
    Column("waited_ms", BigInteger, nullable=False),
    Index("authorisations_station", "station", "at"),
    Index("authorisations_at", "at"),
)

cursors = Table(
    "cursors",
    metadata,
    Column("partner", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("partner", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("place", Text),
    Column("error", Text),
    Column("retry_at", UtcDateTime),
    Index("deliveries_state", "partner", "state", "seq"),
)

exchanges = Table(
    "exchanges",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("partner", Text, nullable=False),
    Column("outbound", Boolean, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("http_status", Integer),
    Column("answer", LargeBinary, nullable=False),
    Column("took_ms", BigInteger, nullable=False),
    Column("session", Text),
    Index("exchanges_session", "session", "id"),
    Index("exchanges_partner", "partner", "id"),
    Index("exchanges_about", "kind", "key", "id"),
    Index("exchanges_at", "at"),
)

documents = Table(
    "documents",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)
