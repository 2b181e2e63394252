"""Brings one bill to one partner: once, whatever crashes or is answered in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cms.app import failpoints
from cms.app.ports import Change, DatedCdr
from cms.app.writes import Delivery, PutWorkItem, Write
from cms.domain.audit import WorkItem, WorkType
from cms.domain.cdr import Cdr
from cms.domain.ids import CdrId
from ocpi_cpo.answers import Kind, PartnerAnswer
from ocpi_cpo.connections import Connection
from ocpi_cpo.profiles.switches import CdrPath
from ocpi_cpo.push.ahead import ReadAhead
from ocpi_cpo.push.telling import DONE, DROPPED, NOTHING, Result, Telling, Told, older
from ocpi_cpo.render import Renderer
from ocpi_cpo.versions.dialect import Dialect
from ocpi_cpo.wire import Json


class Bills:
    """Serves one partner.

    Attributes:
        ambiguous: bills of which a first POST left open whether it was taken.
    """

    def __init__(
        self, telling: Telling, ahead: ReadAhead, render: Renderer, dialect: Dialect
    ) -> None:
        self._tell = telling
        self._ahead = ahead
        self._render = render
        self._dialect = dialect
        self.ambiguous = 0
        self.without_location = 0

    async def tell(
        self, connection: Connection, id: CdrId, change: Change, answered: Callable[[], None]
    ) -> Told:
        """Bring a bill to the partner, unless it has it; see ``Courier.tell``."""
        read = self._ahead.bill(change)
        dated, before = read or (
            await self._tell.store.cdr(id),
            await self._tell.store.delivery(self._tell.partner, "cdr", id),
        )
        if dated is None or dated.cdr.owner != self._tell.partner:
            return NOTHING
        if before is None and older(connection, change):
            return NOTHING
        if before is not None and before.state in ("delivered", DROPPED):
            return NOTHING
        corrected = dated.cdr.credit_of or dated.cdr.replaces
        if corrected is not None and not self._dialect.credits:
            return await self._by_hand(dated.cdr, corrected)
        if before is not None and before.place is not None:
            told = await self._there(connection, dated, before)
            if told is not None:
                return told
        body = self._render.cdr(dated)
        if body is None:
            return Told(Result.PARK, "it cannot be shown: no partner's token pays it")
        return await self._post_cdr(connection, dated, before, body, answered)

    async def _by_hand(self, cdr: Cdr, corrected: CdrId) -> Told:
        """A correction has no form in this version: people settle it, once for credit and bill."""
        why = f"{cdr.id} corrects {corrected}, and OCPI {self._dialect.version} has no credits"
        item = WorkItem(
            f"settle-by-hand:{corrected}",
            WorkType.SETTLE_BY_HAND,
            f"session:{cdr.session}",
            self._tell.clock(),
            station=cdr.place.station,
            location=cdr.place.location,
            evidence={"partner": self._tell.partner, "bill": corrected, "why": why},
        )
        await self._tell.store.commit([PutWorkItem(item)])
        await self._tell.keep("cdr", cdr.id, DROPPED, error=why)
        return NOTHING

    async def _post_cdr(
        self,
        connection: Connection,
        dated: DatedCdr,
        before: Delivery | None,
        body: Json,
        answered: Callable[[], None],
    ) -> Told:
        """POST a bill; that we are about to is durable first, so that a crash leaves a trace.

        A bill that may have been taken is POSTed again with the same id until an answer decides.
        What was said and answered is written in one commit with what became of the bill.
        """
        cdr = dated.cdr
        doubt = before is not None and _in_doubt(before)
        attempts = (before.attempts if before is not None else 0) + 1
        await self._tell.keep("cdr", cdr.id, "retrying", attempts=attempts)
        said: list[Write] = []
        url, answer = await self._post_somewhere(connection, cdr, body, said)
        failpoints.hit(failpoints.X5)
        if answer.ok or answer.kind is Kind.EXISTS:
            answered()
            return await self._delivered(connection, cdr.id, url, answer, attempts, doubt, said)
        if answer.kind is Kind.UNCLEAR:
            self.ambiguous += 1
            await self._tell.keep(
                "cdr", cdr.id, "ambiguous", attempts=attempts, error=answer.text, said=said
            )
            return self._tell.judged(answer)
        if doubt and answer.kind is Kind.REFUSED:
            await self._tell.store.commit(said)
            why = f"a POST before left it open whether it was taken; now: {answer.text}"
            return Told(Result.PARK, why)
        state = "ambiguous" if doubt else "retrying"
        await self._tell.keep("cdr", cdr.id, state, attempts=attempts, error=answer.text, said=said)
        return await self._tell.moved(connection, answer)

    async def _post_somewhere(
        self, connection: Connection, cdr: Cdr, body: Json, said: list[Write]
    ) -> tuple[str, PartnerAnswer]:
        """POST a bill; at the longer address where the partner has none at the usual one."""
        plain = self._tell.url(connection, "cdrs")
        longer = self._tell.url(connection, "cdrs", cdr.place.party)
        choice = self._tell.api.profile(connection.partner).cdr_path
        first, second = (longer, plain) if self._tell.memory.longer_bills else (plain, longer)
        answer = await self._post_at(connection, cdr, body, first, said)
        if answer.kind is not Kind.MISSING or choice is not CdrPath.PARTY_AFTER_404:
            return first, answer
        answer = await self._post_at(connection, cdr, body, second, said)
        if answer.kind is not Kind.MISSING:
            self._tell.memory.longer_bills = second == longer
        return second, answer

    async def _post_at(
        self, connection: Connection, cdr: Cdr, body: Json, url: str, said: list[Write]
    ) -> PartnerAnswer:
        return await self._tell.send(
            connection,
            "POST",
            url,
            body,
            "cdr",
            cdr.id,
            sender=cdr.place.party,
            session=cdr.session,
            fresh=True,
            said=said,
        )

    async def _delivered(
        self,
        connection: Connection,
        id: CdrId,
        url: str,
        answer: PartnerAnswer,
        attempts: int,
        doubt: bool,
        said: Sequence[Write],
    ) -> Told:
        place, error = _place(answer, url, connection), None
        if place is None:
            self.without_location += 1
            error = "the partner did not say where it keeps this bill"
        if answer.kind is Kind.EXISTS:
            error = f"the partner has it already: {answer.text}"
        if doubt:
            error = f"an earlier POST had no clear answer; {error or 'this one was taken'}"
        await self._tell.keep(
            "cdr", id, "delivered", attempts=attempts, place=place, error=error, said=said
        )
        return DONE

    async def _there(
        self, connection: Connection, dated: DatedCdr, before: Delivery
    ) -> Told | None:
        """Look whether the partner has a bill, where it said that it keeps it."""
        assert before.place is not None
        id = dated.cdr.id
        answer = await self._tell.send(
            connection, "GET", before.place, None, "cdr", id, session=dated.cdr.session
        )
        if answer.ok and isinstance(answer.data, dict) and answer.data.get("id") == id:
            await self._tell.keep(
                "cdr", id, "delivered", attempts=before.attempts, place=before.place
            )
            return DONE
        return self._tell.judged(answer) if answer.again else None


def _in_doubt(before: Delivery) -> bool:
    """Whether the partner may have a bill: an unclear answer, or a crash before any answer."""
    return before.state == "ambiguous" or (before.state == "retrying" and before.error is None)


def _place(answer: PartnerAnswer, url: str, connection: Connection) -> str | None:
    """Return where the partner keeps a bill: absolute, and on a host of its own."""
    found = str(answer.headers.get("Location", ""))
    if not found or len(found) > 1000:
        return None
    if found.startswith("/"):
        found = "/".join(url.split("/", 3)[:3]) + found
    return found if found.startswith("http") and connection.same_host(found) else None
