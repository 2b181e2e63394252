"""Units that share one transaction: duplicates resolved, writes turned into rows by statement.

Pure and synchronous. The committers run what a ``Group`` plans and hand its outcomes back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cms.app import writes as w
from cms.app.writes import Committed, JournalFrame, Touch, Touched, Unit
from cms.store import codec
from cms.store.codec import Values
from cms.store.tables import micros, moment

DONE = Committed()
Thing = tuple[str, str]
"""Kind and key of something in the feed."""


@dataclass(frozen=True, slots=True)
class Trim:
    """Delete one bounded batch of what is older than *before* (retention's own write)."""

    kind: str
    before: datetime
    limit: int


class Unwritable(Exception):
    """A value that cannot be a row: the unit that holds it is refused, no other."""


class Batch:
    """Rows to write, by statement. Of keyed rows the last one counts, as if written in order."""

    __slots__ = ("keyed", "now", "rows", "touched")

    def __init__(self, now: int) -> None:
        self.now = now
        self.rows: dict[str, list[Values]] = {}
        self.keyed: dict[str, dict[Any, Values]] = {}
        self.touched: dict[Thing, Touch] = {}

    def add(self, unit: Unit) -> list[Thing]:
        """Take up a unit's writes; returns what it touches, in order.

        Raises:
            Unwritable: if a value cannot be a row.
        """
        things: list[Thing] = []
        try:
            for write in unit:
                if type(write) is Touch:
                    thing = (write.kind, write.key)
                    self.touched[thing] = write
                    things.append(thing)
                else:
                    _PUT[type(write)](self, write)
        except Exception as error:
            raise Unwritable(f"{type(error).__name__}: {error}") from error
        return things

    def append(self, kind: str, values: Values) -> None:
        rows = self.rows.get(kind)
        if rows is None:
            rows = self.rows[kind] = []
        rows.append(values)

    def put(self, kind: str, key: Any, values: Values) -> None:
        rows = self.keyed.get(kind)
        if rows is None:
            rows = self.keyed[kind] = {}
        rows[key] = values

    def forget(self, kind: str, key: Any) -> None:
        rows = self.keyed.get(kind)
        if rows is not None:
            rows.pop(key, None)

    def of(self, kind: str, *, ordered: bool = False) -> Sequence[Values]:
        """Return the rows of one statement, sorted by key if *ordered*."""
        keyed = self.keyed.get(kind)
        if keyed:
            return [keyed[key] for key in sorted(keyed)] if ordered else list(keyed.values())
        return self.rows.get(kind, ())

    def touches(self, first: int, *, ordered: bool = False) -> list[Values]:
        """Return the feed's rows, numbered from *first*."""
        things = sorted(self.touched) if ordered else list(self.touched)
        return [
            (kind, key, (touch := self.touched[kind, key]).owner, seq, self.now, touch.deleted)
            for seq, (kind, key) in enumerate(things, first)
        ]


class Group:
    """Some units on their way into one transaction.

    Args:
        units: in order of arrival.
        now: when partners read that the touched things changed, unless an earlier moment of
            the same thing pushes it on.
    """

    def __init__(self, units: Sequence[Unit], now: datetime) -> None:
        self._units = units
        self._frames = [keyed_frame(unit) for unit in units]
        self._outcomes: list[Committed | None] = [None] * len(units)
        self._things: list[list[Thing]] = [[] for _ in units]
        self.batch = Batch(micros(now))

    @property
    def keys(self) -> list[bytes]:
        """The journal keys of the group, each once, sorted."""
        return sorted({f.key for f in self._frames if f is not None and f.key is not None})

    def plan(self, known: Mapping[bytes, Committed]) -> Batch:
        """Turn every unit that is no duplicate into rows.

        Args:
            known: those of ``keys`` that are journalled already, with what was said then.

        Raises:
            Unwritable: if a value cannot be a row.
        """
        first: dict[bytes, Committed] = dict(known)
        for index, (unit, frame) in enumerate(zip(self._units, self._frames, strict=True)):
            if frame is not None and frame.key is not None:
                if (said := first.get(frame.key)) is not None:
                    self._outcomes[index] = said
                    continue
                first[frame.key] = Committed(frame.ack, frame.session)
            self._things[index] = self.batch.add(unit)
        return self.batch

    def committed(self, rows: Sequence[Values], later: Mapping[Thing, int]) -> list[Committed]:
        """Return each unit's outcome, in order.

        Args:
            rows: the feed's rows as written.
            later: things whose moment rose above the group's own.
        """
        now = moment(self.batch.now)
        touched = {
            (row[0], row[1]): Touched(
                row[0],
                row[1],
                row[3],
                moment(at) if later and (at := later.get(row[:2])) else now,
            )
            for row in rows
        }
        return [
            outcome
            if outcome is not None
            else (Committed(touched=tuple([touched[each] for each in things])) if things else DONE)
            for outcome, things in zip(self._outcomes, self._things, strict=True)
        ]


def keyed_frame(unit: Unit) -> JournalFrame | None:
    """Return the frame whose key makes a repetition of *unit* harmless."""
    for write in unit:
        if type(write) is JournalFrame and write.key is not None:
            return write
    return None


# -- one small function per kind of write


def _session(batch: Batch, write: w.PutSession) -> None:
    session = write.session
    batch.put("put_session", session.id, codec.session_values(session))
    batch.forget("progress", session.id)


def _join(batch: Batch, write: w.JoinSession) -> None:
    batch.append("join_journal", (write.into, write.gone))
    batch.append("drop_session", (write.gone,))
    batch.forget("put_session", write.gone)
    batch.forget("progress", write.gone)


def _evse(batch: Batch, write: w.PutEvse) -> None:
    ref = str(write.state.ref)
    batch.put("put_evse", ref, (ref, codec.encode(write.state)))


def _record(batch: Batch, write: w.PutRecord) -> None:
    record = write.record
    before = batch.keyed.get("put_record", {}).get(record.id)
    if before is None or before[1] <= record.visit:
        batch.put("put_record", record.id, (record.id, record.visit, codec.encode(record)))


def _whole(kind: str, attribute: str, key: str = "id") -> Callable[[Batch, Any], None]:
    """A value that is kept whole under its key."""

    def put(batch: Batch, write: Any) -> None:
        value = getattr(write, attribute)
        id = getattr(value, key)
        at = getattr(value, "created_at", None)
        created = batch.now if at is None else micros(at)
        batch.put(kind, id, (id, created, codec.encode(value)))

    return put


def _tariff(batch: Batch, write: w.PutTariff) -> None:
    id = write.tariff.id
    body = codec.tariff_body(write.tariff)
    batch.put("put_tariff", id, (id, batch.now, body, write.from_file))
    batch.forget("drop_tariff", id)


def _drop_tariff(batch: Batch, write: w.DropTariff) -> None:
    batch.put("drop_tariff", write.id, (write.id,))
    batch.forget("put_tariff", write.id)


def _rule(batch: Batch, write: w.PutTariffRule) -> None:
    rule = write.rule
    batch.put("put_rule", rule.id, (rule.id, batch.now, codec.encode(rule)))
    batch.forget("drop_rule", rule.id)


def _drop_rule(batch: Batch, write: w.DropTariffRule) -> None:
    batch.put("drop_rule", write.id, (write.id,))
    batch.forget("put_rule", write.id)


def _token(batch: Batch, write: w.PutToken) -> None:
    key = codec.token_key(write.token)
    batch.put("put_token", key, (*key, batch.now, codec.encode(write.token)))


def _document(batch: Batch, write: w.PutDocument) -> None:
    key = (write.kind, write.key)
    batch.put("put_document", key, (*key, write.body))
    batch.forget("drop_document", key)


def _drop_document(batch: Batch, write: w.DropDocument) -> None:
    key = (write.kind, write.key)
    batch.put("drop_document", key, key)
    batch.forget("put_document", key)


def _delivery(batch: Batch, write: w.PutDelivery) -> None:
    values = codec.delivery_values(write.delivery)
    batch.put("put_delivery", values[:3], values)


_PUT: dict[type, Callable[[Batch, Any], None]] = {
    JournalFrame: lambda b, x: b.append("journal", codec.journal_values(x)),
    w.PutSession: _session,
    w.JoinSession: _join,
    w.SessionProgress: lambda b, x: b.put("progress", x.id, codec.progress_values(x)),
    w.PutCdr: lambda b, x: b.append("put_cdr", codec.cdr_values(x.cdr)),
    w.KeepTariff: lambda b, x: b.put("keep_tariff", x.hash, (x.hash, codec.tariff_body(x.tariff))),
    w.PutEvse: _evse,
    w.PutRecord: _record,
    w.PutLocation: _whole("put_location", "location"),
    w.PutStation: _whole("put_station", "station"),
    w.PutStationKey: _whole("put_station_key", "key", "station"),
    w.PutTariff: _tariff,
    w.DropTariff: _drop_tariff,
    w.PutTariffRule: _rule,
    w.DropTariffRule: _drop_rule,
    w.PutToken: _token,
    w.PutPartner: _whole("put_partner", "partner"),
    w.PutApiKey: _whole("put_api_key", "key"),
    w.PutCommand: lambda b, x: b.put("put_command", x.command.id, codec.command_values(x.command)),
    w.PutReservation: lambda b, x: b.put(
        "put_reservation", x.reservation.id, codec.reservation_values(x.reservation)
    ),
    w.Audit: lambda b, x: b.append("audit", codec.audit_values(x.entry)),
    w.PutWorkItem: lambda b, x: b.append("put_work_item", codec.work_values(x.item)),
    w.AuthorisationNote: lambda b, x: b.append("authorisation", codec.authorisation_values(x)),
    w.PutCursor: lambda b, x: b.put(
        "put_cursor", (x.partner, x.stream), (x.partner, x.stream, x.seq)
    ),
    w.PutDelivery: _delivery,
    w.KeepExchange: lambda b, x: b.append("exchange", codec.exchange_values(x.exchange)),
    w.PutDocument: _document,
    w.DropDocument: _drop_document,
    Trim: lambda b, x: b.append(x.kind, (micros(x.before), x.limit)),
}
