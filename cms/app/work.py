"""What operators do about what is odd: end, join, assign, retry, write off, dismiss.

Every action is audited in the commit that closes its item: who, what, about what, and why.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime

from cms.app.catalogue import Catalogue
from cms.app.charging import Charging
from cms.app.live import LiveState
from cms.app.ports import Clock, Page, Store
from cms.app.rows import NOBODY, concluded_row, our_row, touch
from cms.app.settling import Settling
from cms.app.writes import Audit, PutCdr, PutSession, PutWorkItem, Touch, Write
from cms.domain import progress
from cms.domain.audit import AuditEntry, WorkAction, WorkItem, WorkType
from cms.domain.cdr import Cdr, credit, credit_id, replacement_id
from cms.domain.errors import Conflict, NotFound
from cms.domain.folding import OURS
from cms.domain.ids import PartnerId, SessionId
from cms.domain.session import Session, SessionStatus
from cms.domain.settlement import Withheld
from cms.domain.token import Token
from cms.domain.transaction import EventKind, TransactionEvent

Elsewhere = Callable[[WorkItem, str], Awaitable[None]]
"""Tries again what is not the core's own (a parked delivery): the item, and who wants it."""


class Work:
    """Implements the ``WorkDesk`` port."""

    def __init__(
        self,
        store: Store,
        live: LiveState,
        catalogue: Catalogue,
        charging: Charging,
        settling: Settling,
        clock: Clock,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._store = store
        self._live = live
        self._catalogue = catalogue
        self._charging = charging
        self._settling = settling
        self._clock = clock
        self.elsewhere = elsewhere

    async def items(self, open_only: bool, page: Page) -> Sequence[WorkItem]:
        return await self._store.work_items(open_only, page)

    async def act(
        self,
        id: str,
        action: WorkAction,
        who: str,
        *,
        note: str | None = None,
        target: str | None = None,
    ) -> WorkItem:
        """Do *action* about a work item and return it closed.

        Args:
            target: for ``JOIN`` the session's id, for ``ASSIGN`` ``partner:uid`` or ``own:uid``.

        Raises:
            NotFound: no such item, or no such target.
            Conflict: the item is closed, the action is none of its own, or it cannot be done.
        """
        item = await self._store.work_item(id)
        if item is None:
            raise NotFound("work item", id)
        if item.closed_at is not None:
            raise Conflict(f"work item {id} is closed already")
        if action not in (*item.actions, WorkAction.DISMISS):
            raise Conflict(f"{action} is no action of work item {id}")
        await self._do(item, action, who, target)
        return await self._closed(item, action, who, note, target)

    async def _do(self, item: WorkItem, action: WorkAction, who: str, target: str | None) -> None:
        match action:
            case WorkAction.END_AT_LAST_SAMPLE:
                await self._end(_session_of(item))
            case WorkAction.JOIN:
                await self._join(_session_of(item), target)
            case WorkAction.ASSIGN:
                await self._assign(_session_of(item), target, who)
            case WorkAction.RETRY:
                await self._retry(item, who)
            case WorkAction.WRITE_OFF | WorkAction.DISMISS:
                pass  # nothing changes but the item; the audit says who let it be

    async def _closed(
        self, item: WorkItem, action: WorkAction, who: str, note: str | None, target: str | None
    ) -> WorkItem:
        now = self._clock()
        done = replace(item, closed_at=now, closed_by=who, action=action, note=note)
        entry = AuditEntry(
            now,
            who,
            f"work_item.{action}",
            item.subject,
            before={"type": str(item.type), "evidence": item.evidence},
            after={"target": target},
            reason=note,
        )
        await self._store.commit([PutWorkItem(done), Audit(entry)])
        return done

    # -- sessions that do not end by themselves

    async def _end(self, id: SessionId) -> None:
        now = self._clock()

        def how(session: Session) -> tuple[Session, Sequence[Write]] | None:
            if not session.running:
                return None
            after = progress.concluded(session, "ended_by_operator", now)
            return after, (concluded_row(after, now),)

        if await self._charging.change(id, how) is None:
            raise Conflict(f"session {id} does not run")

    # -- stops without a start

    async def _join(self, orphan: SessionId, target: str | None) -> None:
        """End session *target* with the stop that was kept as *orphan*."""
        if target is None:
            raise Conflict("join needs the session to join with")
        told = [
            entry.frame.event
            for entry in await self._store.journal(orphan)
            if entry.frame.event is not None and entry.frame.event.kind is EventKind.ENDED
        ]
        if not told:
            raise Conflict(f"nothing is kept of the stop {orphan}")
        now = self._clock()

        def how(session: Session) -> tuple[Session, Sequence[Write]] | None:
            if not session.running:
                return None
            event = _joined(told[0], orphan, now)
            after = progress.ended(session, event, now)
            return after, (our_row(session, event, "core.joined"),)

        if await self._charging.change(SessionId(target), how) is None:
            raise NotFound("running session", target)

    # -- energy that nobody pays for

    async def _assign(self, id: SessionId, target: str | None, who: str) -> None:
        """Give a session to the token that *target* names; a bill made to nobody is taken back."""
        token = self._token(target)
        bill = await self._store.cdr_of(id)
        if bill is not None:
            await self._bill_again(bill.cdr, token)
            return

        def how(session: Session) -> tuple[Session, Sequence[Write]]:
            return replace(session, token=token, owner=token.partner), ()

        if await self._charging.change(id, how) is None:
            raise NotFound("session", id)

    async def _bill_again(self, bill: Cdr, token: Token) -> None:
        if bill.token is not None:
            raise Conflict(f"bill {bill.id} has its payer")
        kept = await self._store.session(bill.session)
        if kept is None:
            raise NotFound("session", bill.session)
        now, owner = self._clock(), token.partner
        session = replace(kept.session, token=token, owner=owner)
        back = credit(bill, credit_id(bill.id), now, "nobody was known to pay")
        anew = replace(
            bill,
            id=replacement_id(bill.id),
            owner=owner,
            token=token,
            created_at=now,
            remark="assigned by an operator",
        )
        unit: list[Write] = [
            PutSession(session),
            PutCdr(back),
            PutCdr(anew),
            touch(session),
            Touch("cdr", back.id, NOBODY),
            Touch("cdr", anew.id, NOBODY if owner is None else owner),
        ]
        done = await self._store.commit(unit)
        self._live.publish(done.touched)

    def _token(self, target: str | None) -> Token:
        owner, _, uid = (target or "").partition(":")
        partner = None if owner == "own" else PartnerId(owner)
        found = next(
            (each for each in self._catalogue.tokens_named(uid) if each.partner == partner), None
        )
        if found is None:
            raise NotFound("token", target or "")
        return found

    # -- trying again

    async def _retry(self, item: WorkItem, who: str) -> None:
        if item.type not in (WorkType.WITHHELD_BILL, WorkType.INCOMPLETE_RECORD):
            if self.elsewhere is None:
                raise Conflict(f"nobody can try {item.type} again")
            await self.elsewhere(item, who)
            return
        kept = await self._store.session(_session_of(item))
        if kept is None or kept.session.status is not SessionStatus.INVALID:
            raise Conflict(f"{item.subject} is not withheld")
        result = await self._settling.resettle(kept.session, who)
        if isinstance(result, Withheld):
            raise Conflict(f"still no bill: {result.why}")


def silent(session: Session, last_heard: datetime | None, now: datetime) -> WorkItem:
    """Return the work item about a session whose charger does not come back."""
    return WorkItem(
        f"silent-session:{session.id}",
        WorkType.SILENT_SESSION,
        f"session:{session.id}",
        now,
        station=session.station,
        location=session.location,
        evidence={
            "last_heard": None if last_heard is None else last_heard.isoformat(),
            "last_sample": None if session.last_at is None else session.last_at.isoformat(),
            "delivered_wh": session.delivered_wh,
        },
        actions=(WorkAction.END_AT_LAST_SAMPLE, WorkAction.DISMISS),
    )


def _session_of(item: WorkItem) -> SessionId:
    kind, _, id = item.subject.partition(":")
    if kind != "session":
        raise Conflict(f"{item.subject} is no session")
    return SessionId(id)


def _joined(event: TransactionEvent, orphan: SessionId, now: datetime) -> TransactionEvent:
    """The charger's own stop, in the record of the session that a person joined it with."""
    return replace(event, content=OURS + f"joined:{orphan}".encode(), received_at=now)
