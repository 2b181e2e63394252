"""Telling a partner everything of a module again, by an operator's wish; and how far that is.

A wish gives the module a new cursor that begins at zero, durable with the wish itself, so a crash
or a new worker goes on where it was. What was told under the older cursor counts no more; bills
are the exception: one that the partner certainly has is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from cms.app.ports import Clock, Store, SyncState
from cms.app.writes import Audit
from cms.domain.audit import AuditEntry
from cms.domain.errors import Conflict, InvalidValue, NotFound
from cms.domain.ids import PartnerId
from ocpi_cpo.connections import Connection, Connections, Sync

KINDS = {
    "tariffs": ("tariff",),
    "locations": ("location", "evse"),
    "sessions": ("session",),
    "cdrs": ("cdr",),
    "invoicereconciliation": ("invoice",),
}
"""Of the feed, by the module that tells them; in the order in which partners hear them."""

TOKENS = "tokens"
"""The one module that is pulled, not pushed."""

Pull = Callable[[PartnerId], Coroutine[Any, Any, int]]
Errand = Callable[[str, Coroutine[Any, Any, Any]], None]


class Syncing:
    """Takes wishes and tells how far they are.

    Args:
        pull: reads the partner's whole token list; returns how many tokens changed.
    """

    def __init__(
        self, store: Store, connections: Connections, clock: Clock, pull: Pull, errand: Errand
    ) -> None:
        self._store = store
        self._connections = connections
        self._clock = clock
        self._pull = pull
        self._errand = errand
        self._pulled: dict[PartnerId, SyncState] = {}

    async def ask(self, partner: PartnerId, who: str, module: str | None = None) -> None:
        """Begin to tell *module* again; None = whatever the partner takes.

        Raises:
            NotFound: no such partner.
            Conflict: it is not registered, or has no endpoint for that module.
            InvalidValue: there is no such module.
        """
        if module is not None and module not in (*KINDS, TOKENS):
            raise InvalidValue("module", f"expected one of: {', '.join((*KINDS, TOKENS))}")
        connection = self._registered(partner)
        wanted = [each for each in KINDS if module in (None, each)]
        taken = [each for each in wanted if connection.endpoint(each, "RECEIVER") is not None]
        if module in KINDS and not taken:
            raise Conflict(f"{partner} takes no {module} from us; it may read them itself")
        await self._begin(connection, taken, who, module)
        if module in (None, TOKENS):
            self._pulled[partner] = SyncState(TOKENS, self._clock(), who, 0, 1)
            self._errand("pull tokens", self._pull_all(partner, who))

    async def _begin(
        self, connection: Connection, modules: Sequence[str], who: str, asked: str | None
    ) -> None:
        now, head = self._clock(), await self._store.head()
        number = max([int(now.timestamp() * 1000), *(s.number + 1 for s in connection.syncs)])
        fresh = {
            module: Sync(
                module,
                number,
                now,
                who,
                (await self._store.unseen(connection.partner, KINDS[module], 0))[0],
                head,
                None if connection.via is None else connection.partner,
            )
            for module in modules
        }
        current = self._connections.own(connection.line) or connection
        replaced = {(each.module, each.party) for each in fresh.values()}
        kept = tuple(each for each in current.syncs if (each.module, each.party) not in replaced)
        entry = AuditEntry(
            now,
            who,
            "partner.resynchronised",
            f"partner:{connection.partner}",
            after={"modules": [*fresh, *([TOKENS] if asked in (None, TOKENS) else [])]},
        )
        changed = replace(current, syncs=(*kept, *fresh.values()))
        await self._connections.save(changed, Audit(entry))

    async def _pull_all(self, partner: PartnerId, who: str) -> None:
        begun = self._pulled[partner]
        count = await self._pull(partner)
        self._pulled[partner] = replace(begun, total=count, left=0)

    def _registered(self, partner: PartnerId) -> Connection:
        connection = self._connections.get(partner)
        if connection is None:
            raise NotFound("partner", partner)
        if not connection.registered:
            raise Conflict(f"{partner} is not registered")
        return connection

    def states(self, connection: Connection, unseen: dict[str, int]) -> Sequence[SyncState]:
        """Return how far each wish is.

        Args:
            unseen: by module, what the partner has not been told yet.
        """
        found = [
            SyncState(each.module, each.asked_at, each.by, each.total, unseen.get(each.module, 0))
            for each in connection.own_syncs
        ]
        pulled = self._pulled.get(connection.partner)
        return [*found, *([pulled] if pulled is not None else [])]
