"""The case file: one ordered story of what happened to a session, from everything that is kept.

Any handle leads there: a session's or bill's id, a partner's reference, a command's id, a token or
card number, or a charger and a moment (``CHARGER@2026-11-20T14:05``, site time).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cms.app.catalogue import Catalogue
from cms.app.ports import DatedCdr, JournalEntry, Page, SessionQuery, Store
from cms.app.writes import AuthorisationNote, CommandRecord, Exchange
from cms.domain.audit import AuditEntry, WorkItem
from cms.domain.errors import InvalidValue, NotFound
from cms.domain.ids import CdrId, LocationId, SessionId, StationId
from cms.domain.meter import Quantity
from cms.domain.session import Session

_BEFORE = timedelta(minutes=10)
"""How long before a session's start its authorisation may lie."""

_AROUND = timedelta(hours=12)
_SHOWN_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened.

    Attributes:
        at: aware UTC.
        kind: ``"command"``, ``"decision"``, ``"frame"``, ``"repair"``, ``"commit"``, ``"sample"``,
            ``"price"``, ``"push"``, ``"work"``, ``"audit"``.
        title: one line for a person.
        detail: facts for who wants to know more.
    """

    at: datetime
    kind: str
    title: str
    detail: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """All steps of one session in order, with the zone that a reader lives in."""

    session: Session
    zone: ZoneInfo
    steps: Sequence[Step]

    def site_time(self, step: Step) -> str:
        """Write a step's moment in site time, to the millisecond."""
        return step.at.astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


class CaseFile:
    """Tells stories.

    Args:
        hide: blacks out secrets in text, in dicts and lists of it: a charger may say its password in
            any frame, and the frame is kept as it was.
    """

    def __init__(
        self, store: Store, catalogue: Catalogue, hide: Callable[[Any], Any] = lambda said: said
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._hide = hide

    async def stories(
        self, handle: str, sites: frozenset[LocationId] | None = None
    ) -> Sequence[Story]:
        """Return the stories that *handle* leads to, newest first, at most ten.

        Args:
            sites: whose sessions may be seen; None = all.

        Raises:
            NotFound: the handle leads nowhere.
        """
        sessions = [
            session
            for session in await self._find(handle.strip())
            if sites is None or session.location in sites
        ]
        if not sessions:
            raise NotFound("session, bill, reference, token or charger@time", handle)
        newest = sorted(sessions, key=lambda each: each.started_at, reverse=True)[:10]
        return [await self.story(session) for session in newest]

    async def story(self, session: Session) -> Story:
        """Gather everything that is kept about *session*."""
        steps = [
            *await self._commands(session),
            *await self._decisions(session),
            *await self._frames(session),
            *await self._bill(session),
            *await self._pushes(session),
            *await self._work(session),
            *await self._audit(session),
        ]
        shown = [
            replace(step, title=self._hide(step.title), detail=self._hide(step.detail))
            for step in steps
        ]
        return Story(session, self._zone(session), sorted(shown, key=lambda step: step.at))

    # -- finding

    async def _find(self, handle: str) -> Sequence[Session]:
        if (found := await self._store.session(SessionId(handle))) is not None:
            return [found.session]
        if (bill := await self._store.cdr(CdrId(handle))) is not None:
            return await self._by_id(bill.cdr.session)
        if (command := await self._store.command(handle)) is not None and command.session:
            return await self._by_id(command.session)
        charger, at, moment = handle.rpartition("@")
        if at:
            return await self._by_moment(charger, moment)
        return await self._by_reference(handle) or await self._by_token(handle)

    async def _by_id(self, id: SessionId) -> Sequence[Session]:
        found = await self._store.session(id)
        return [found.session] if found is not None else []

    async def _by_reference(self, reference: str) -> Sequence[Session]:
        query = SessionQuery(reference=reference, newest_first=True, page=Page(limit=10))
        return [each.session for each in (await self._store.sessions(query))[0]]

    async def _by_token(self, uid: str) -> Sequence[Session]:
        query = SessionQuery(id_token=uid, newest_first=True, page=Page(limit=10))
        return [each.session for each in (await self._store.sessions(query))[0]]

    async def _by_moment(self, charger: str, moment: str) -> Sequence[Session]:
        station = self._catalogue.spelled(charger)
        if station is None:
            return []
        at = self._read_moment(station, moment)
        query = SessionQuery(
            station=station,
            started_from=at - _AROUND,
            started_to=at + _AROUND,
            page=Page(limit=100),
        )
        near = [each.session for each in (await self._store.sessions(query))[0]]
        during = [
            session
            for session in near
            if session.started_at <= at and (session.ended_at is None or at <= session.ended_at)
        ]
        return during or sorted(near, key=lambda each: abs(each.started_at - at))[:1]

    def _read_moment(self, station: StationId, text: str) -> datetime:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise InvalidValue(
                "handle", f"expected CHARGER@2026-11-20T14:05, but {text!r} is no moment"
            ) from None
        site = self._catalogue.locations[self._catalogue.stations[station].location]
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=site.zone).astimezone(UTC)

    def _zone(self, session: Session) -> ZoneInfo:
        site = self._catalogue.locations.get(session.location) if session.location else None
        return site.zone if site is not None else ZoneInfo("UTC")

    # -- gathering

    async def _commands(self, session: Session) -> Iterable[Step]:
        records = {each.id: each for each in await self._store.commands_of_session(session.id)}
        if session.command is not None and session.command not in records:
            asked = await self._store.command(session.command)
            records |= {asked.id: asked} if asked is not None else {}
        return [step for record in records.values() for step in _of_command(record)]

    async def _decisions(self, session: Session) -> Iterable[Step]:
        since = await self._after_the_one_before(session)
        notes = await self._store.authorisations(
            session.station, since, session.received_at + _BEFORE
        )
        return [_of_decision(note) for note in notes if _concerns(note, session)]

    async def _after_the_one_before(self, session: Session) -> datetime:
        """When this session's authorisation can have begun: after the last one of that token."""
        query = SessionQuery(
            station=session.station,
            id_token=session.id_token,
            started_from=session.started_at - _BEFORE,
            started_to=session.started_at,
            page=Page(limit=100),
        )
        earlier = [each.session.received_at for each in (await self._store.sessions(query))[0]]
        before = [at for at in earlier if at < session.received_at]
        return max([session.started_at - _BEFORE, *before])

    async def _frames(self, session: Session) -> Iterable[Step]:
        entries = await self._store.journal(session.id)
        return [step for entry in entries for step in _of_frame(entry)]

    async def _bill(self, session: Session) -> Iterable[Step]:
        bill = await self._store.cdr_of(session.id)
        return [] if bill is None else _of_bill(bill)

    async def _pushes(self, session: Session) -> Iterable[Step]:
        return [_of_exchange(each) for each in await self._store.exchanges(session=session.id)]

    async def _work(self, session: Session) -> Iterable[Step]:
        subjects = [f"session:{session.id}"]
        if session.command is not None:
            subjects.append(f"command:{session.command}")
        return [
            step
            for subject in subjects
            for item in await self._store.work_items(False, Page(limit=100), subject)
            for step in _of_work(item)
        ]

    async def _audit(self, session: Session) -> Iterable[Step]:
        rows = await self._store.audit(f"session:{session.id}", Page(limit=100))
        return [_of_audit(row) for row in rows]


def _concerns(note: AuthorisationNote, session: Session) -> bool:
    if note.session is not None:
        return note.session == session.id
    return note.id_token == session.id_token and note.at <= session.received_at


def _of_command(record: CommandRecord) -> Iterable[Step]:
    facts: dict[str, object] = {"command": record.id, "asked_by": record.asked_by}
    if record.reference is not None:
        facts["reference"] = record.reference
    wish = record.verb.replace("_", " ")
    yield Step(record.created_at, "command", f"{wish} asked by {record.asked_by}", facts)
    if record.finished_at is not None:
        title = f"{wish}: the charger's answer is {record.outcome}"
        yield Step(record.finished_at, "command", title, {"command": record.id})


def _of_decision(note: AuthorisationNote) -> Step:
    title = f"token {note.id_token}: {note.verdict}, because: {note.why}"
    return Step(note.at, "decision", title, {"waited_ms": note.waited_ms})


def _of_frame(entry: JournalEntry) -> Iterable[Step]:
    frame = entry.frame
    where = " (kept aside, no effect)" if frame.quarantined else ""
    facts: dict[str, object] = {
        "journal": entry.id,
        "visit": frame.visit,
        "raw": frame.raw[:_SHOWN_BYTES].decode("utf-8", "replace"),
    }
    if frame.event is not None:
        facts["charger_time"] = frame.event.occurred_at.isoformat()
        facts["flags"] = [str(flag) for flag in frame.event.flags]
    yield Step(frame.received_at, "frame", f"{frame.action} received{where}", facts)
    for note in frame.notes:
        yield Step(frame.received_at, "repair", note, {"journal": entry.id})
    if frame.event is not None:
        for sample in frame.event.samples:
            if sample.quantity is Quantity.ENERGY_REGISTER and sample.phase is None:
                title = f"register {sample.value} Wh"
                yield Step(sample.at, "sample", title, {"context": str(sample.context)})


def _of_bill(bill: DatedCdr) -> Sequence[Step]:
    cdr = bill.cdr
    title = f"bill {cdr.id}: {cdr.energy_wh} Wh"
    steps = [Step(bill.created_at, "commit", title, {"cdr": cdr.id})]
    return steps + [Step(bill.created_at, "price", line) for line in cdr.trace]


def _of_exchange(exchange: Exchange) -> Step:
    way = "to" if exchange.outbound else "from"
    answer = "no answer" if exchange.http_status is None else f"HTTP {exchange.http_status}"
    title = f"{exchange.method} {exchange.kind} {way} {exchange.partner}: {answer}"
    facts: dict[str, object] = {
        "url": exchange.url,
        "took_ms": exchange.took_ms,
        "request": exchange.request[:_SHOWN_BYTES].decode("utf-8", "replace"),
        "answer": exchange.answer[:_SHOWN_BYTES].decode("utf-8", "replace"),
    }
    return Step(exchange.at, "push", title, facts)


def _of_work(item: WorkItem) -> Iterable[Step]:
    yield Step(item.opened_at, "work", f"needs a person: {item.type}", dict(item.evidence))
    if item.closed_at is not None:
        title = f"{item.type} closed by {item.closed_by}: {item.action}"
        yield Step(item.closed_at, "work", title, {"note": item.note})


def _of_audit(row: AuditEntry) -> Step:
    return Step(row.at, "audit", f"{row.what} by {row.who}", {"reason": row.reason})
