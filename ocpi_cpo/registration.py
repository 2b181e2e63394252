"""Becoming partners: the credentials handshake from either side, its renewal and its end.

Every step is durable before the other side can rely on it, and while a step is open the tokens of
both moments are heard: a crash in between locks nobody out.

=================  ==============================  =======================================
who begins         before anything leaves          once the answer is here / written
=================  ==============================  =======================================
partner, POST      B, C and endpoints are kept;    A is dead
                   A may only repeat it, whole
we, POST           our B is kept, answers only     C and endpoints are kept, B opens all
                   versions and credentials
partner, PUT       new tokens of both directions   the old inbound one dies with the first
                   are kept beside the old         use of the new one, or after the grace
we, PUT            a second inbound token is kept  the new outbound one is kept
=================  ==============================  =======================================
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import structlog

from cms.app.catalogue import Catalogue
from cms.app.ports import Clock, Store
from cms.app.writes import Audit, PutCursor, PutPartner, PutWorkItem, Write
from cms.domain.audit import AuditEntry, WorkAction, WorkItem, WorkType
from cms.domain.errors import Conflict, InvalidValue, NotFound
from cms.domain.ids import PartnerId
from cms.domain.partner import Partner, PartnerRole, PartnerState
from cms.domain.plain import to_plain
from ocpi_cpo.answers import Kind, PartnerAnswer
from ocpi_cpo.auth import Access, Caller, digest, mint_token
from ocpi_cpo.config import OcpiConfig
from ocpi_cpo.connections import (
    Connection,
    Connections,
    Endpoint,
    InboundToken,
    LinkState,
    Role,
    replaced,
)
from ocpi_cpo.envelope import Reply
from ocpi_cpo.errors import BadParameter, ClientApi, NoEndpoints, NotAllowed, NoVersion, OcpiError
from ocpi_cpo.parties import FROM_NOW, Found, Parties
from ocpi_cpo.partner_api import PartnerApi
from ocpi_cpo.profiles.switches import TokenForm
from ocpi_cpo.versions.dialect import Dialect, TheirCredentials
from ocpi_cpo.versions.offered import dialect_of, newest_common
from ocpi_cpo.wire import Json

log = structlog.get_logger()

Errand = Callable[[str, Coroutine[Any, Any, Any]], None]

LOST_ANSWER_WINDOW = timedelta(minutes=10)
"""How long token A may repeat a POST whose answer did not get through."""

PARTY_LENGTH = 3

MODULES_OF_AN_EMSP = (
    ("credentials", "SENDER"),
    ("locations", "RECEIVER"),
    ("sessions", "RECEIVER"),
    ("cdrs", "RECEIVER"),
    ("tariffs", "RECEIVER"),
    ("tokens", "SENDER"),
    ("commands", "SENDER"),
)

FROM_ZERO = ("tariffs", "locations")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a partner's versions say.

    Attributes:
        raw: whether it took the token without base64.
        guessed: its details cannot be read; the endpoints are made as its profile says.
    """

    dialect: Dialect
    endpoints: tuple[Endpoint, ...]
    raw: bool
    guessed: bool = False

    def agreed(self) -> dict[str, Any]:
        """Return what a connection keeps of it."""
        usual = self.raw == self.dialect.raw_tokens
        return {
            "endpoints": self.endpoints,
            "version": self.dialect.version,
            "raw_token": None if usual else self.raw,
            "guessed": self.guessed,
        }


@dataclass(frozen=True, slots=True)
class TakeOver:
    """A connection that another system of ours had with a partner.

    Attributes:
        token: with which we call the partner.
        our_token: with which the partner calls us.
        endpoints: empty = they are read at *versions_url*.
        roles: empty = the partner is one eMSP.
    """

    versions_url: str
    version: str
    token: str
    our_token: str
    endpoints: tuple[Endpoint, ...] = ()
    roles: tuple[Role, ...] = ()


class Registration:
    """The state machine of one connection; ``Connections`` holds where each partner stands."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        connections: Connections,
        parties: Parties,
        api: PartnerApi,
        config: OcpiConfig,
        clock: Clock,
        errand: Errand,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._connections = connections
        self._parties = parties
        self._api = api
        self._config = config
        self._clock = clock
        self._errand = errand
        self._turns: dict[PartnerId, asyncio.Lock] = {}
        self._handed_out: dict[PartnerId, set[str]] = defaultdict(set)
        """Digests of tokens in exchanges of ours that are open: nobody's renewal ends them."""

    # -- operators

    async def invite(self, partner: Partner, by: str, raw_token: bool | None = None) -> str:
        """Add a partner (or invite it again) and return token A, which is shown this once.

        Raises:
            Conflict: it is connected; unregister first.
        """
        before = self._connections.own(partner.id)
        if before is not None and before.registered:
            raise Conflict(f"{partner.id} is registered already")
        token = self._mint()
        base = before or Connection(partner.id)
        await self._save(
            replace(
                base,
                state=LinkState.INVITED,
                inbound=(InboundToken(digest(token), Access.REGISTRATION),),
                outbound=None,
                endpoints=(),
                private=partner.allow_private_addresses,
                raw_token=raw_token,
            ),
            replace(partner, state=PartnerState.INVITED, via=None),
            by,
            "partner.invited",
        )
        return token

    async def register(
        self, partner: PartnerId, versions_url: str, token_a: str, by: str
    ) -> Connection:
        """Register at a partner that gave us its token A.

        Raises:
            NotFound: no such partner; add it first.
            Conflict: it is registered already.
            OcpiError: the partner does not play its part; nothing changed for it.
        """
        own, before = self._known(partner)
        if before.registered:
            raise Conflict(f"{partner} is registered already")
        self._connections.secret(token_a)
        seen = await self._look(before, versions_url, token_a)
        token = self._mint()
        open_ = replace(
            before,
            state=LinkState.REGISTERING,
            inbound=(*before.inbound, InboundToken(digest(token), Access.REGISTRATION)),
            versions_url=versions_url,
        )
        await self._connections.save(open_)
        answer, theirs = await self._present(open_, "POST", seen, token_a, token)
        if theirs is None:
            await self._connections.save(before)
            raise ClientApi(f"{partner} refuses our registration: {answer.text}")
        self._claims(theirs, partner)
        done = replace(
            open_,
            inbound=(InboundToken(digest(token), Access.EVERYTHING),),
            **seen.agreed(),
        )
        return await self._connect(done, own, theirs, by, "partner.registered")

    async def update(self, partner: PartnerId, by: str, version: str | None = None) -> Connection:
        """Renew the tokens of both directions (PUT).

        Args:
            version: to move to; default: the one that was agreed.

        Raises:
            NotFound, Conflict: not registered.
            OcpiError: the partner does not play its part; the old tokens stay in force.
        """
        own, before = self._known(partner)
        if not before.registered or before.outbound is None or before.versions_url is None:
            raise Conflict(f"{partner} is not registered")
        dialect = dialect_of(version or before.version)
        seen = await self._look(before, before.versions_url, before.outbound, dialect)
        token = self._mint()
        newest = InboundToken(digest(token), Access.EVERYTHING)
        self._handed_out[partner].add(newest.digest)
        try:
            return await self._exchanged(own, before, seen, token, newest, by)
        finally:
            self._handed_out[partner].discard(newest.digest)

    async def _exchanged(
        self,
        own: Partner,
        before: Connection,
        seen: Seen,
        token: str,
        newest: InboundToken,
        by: str,
    ) -> Connection:
        """PUT our credentials with *token*; it works from the moment it leaves.

        The partner may renew at the same moment: what it was handed meanwhile stays as well, since
        which of the two it goes on with depends on what reached it last.
        """
        partner, earlier = own.id, {each.digest for each in before.inbound}
        await self._connections.change(
            partner, lambda current: replace(current, inbound=(*current.inbound, newest))
        )
        answer, theirs = await self._present(before, "PUT", seen, before.outbound or "", token)
        if theirs is None:
            if not answer.again:
                await self._forget(partner, newest.digest)
            raise ClientApi(f"{partner} does not renew: {answer.text}")
        self._claims(theirs, partner)
        async with self._turn(partner):
            current = self._connections.own(partner) or before
            others = tuple(each for each in current.inbound if each.digest != newest.digest)
            grace = self._clock() + self._config.token_grace
            older = replaced(others, grace, {e.digest for e in others} - earlier)
            done = replace(current, inbound=(*older, newest), **seen.agreed())
            return await self._connect(done, own, theirs, by, "partner.renewed")

    def _turn(self, partner: PartnerId) -> asyncio.Lock:
        """One at a time reads which tokens there are and adds one. Nothing is asked meanwhile."""
        return self._turns.setdefault(partner, asyncio.Lock())

    async def unregister(self, partner: PartnerId, by: str) -> None:
        """End the connection: tell the partner (DELETE), then forget every token.

        The partner's answer does not matter: whether it heard us or not, we are done.
        """
        own, before = self._known(partner)
        if before.registered and before.credentials_url is not None:
            await self._api.call(before, "DELETE", before.credentials_url, functional=False)
        await self._end(before, own, by)

    async def adopt(self, partner: Partner, given: TakeOver, by: str) -> Connection:
        """Take a partner's connection over from another system: nobody registers again.

        Of the token by which it calls us only a hash is kept. Sessions and bills are told from now
        on, sites and tariffs from the beginning.

        Raises:
            Conflict: it is registered here already, or somebody else has that token.
            InvalidValue: a version that we do not speak.
            OcpiError: no endpoints are given, and the partner's cannot be read.
        """
        before = self._connections.own(partner.id) or Connection(partner.id)
        if before.registered:
            raise Conflict(f"{partner.id} is registered already")
        if given.version not in self._config.versions:
            raise InvalidValue("version", f"one of {', '.join(self._config.versions)}")
        if self._connections.opens(given.our_token) not in (None, partner.id):
            raise Conflict("our_token opens another partner's connection")
        dialect = dialect_of(given.version)
        for token in (given.token, given.our_token):
            self._connections.secret(token)
        base = replace(before, private=partner.allow_private_addresses, raw_token=None, pinned=())
        self._catalogue.partners.setdefault(partner.id, partner)
        seen = (
            Seen(dialect, given.endpoints, dialect.raw_tokens)
            if given.endpoints
            else await self._look(base, given.versions_url, given.token, dialect)
        )
        taken = replace(
            base,
            inbound=(InboundToken(digest(given.our_token), Access.EVERYTHING),),
            **seen.agreed(),
        )
        country, party = partner.id.split("*")
        roles = given.roles or (Role("EMSP", country, party, partner.name),)
        theirs = TheirCredentials(given.token, given.versions_url, roles)
        self._claims(theirs, partner.id)
        own = replace(partner, via=None)
        return await self._connect(taken, own, theirs, by, "partner.adopted")

    async def change(
        self, partner: Partner, by: str, endpoints: Sequence[Endpoint] | None = None
    ) -> None:
        """Keep what an operator chose for a partner.

        Args:
            endpoints: that stand before those that the partner names; None = as they were.

        Raises:
            NotFound: no such partner.
        """
        before = self._known(partner.via or partner.id)[1]
        own, told = self._catalogue.partners[partner.id], self._connections.get(partner.id)
        again: list[Write] = []
        if partner.sharing != own.sharing:
            sharing = replace(partner.sharing, since=self._clock())
            partner = replace(partner, sharing=sharing)
            cursor = (told or before).cursor
            again = [PutCursor(partner.id, cursor(each), 0) for each in FROM_ZERO]
        if partner.via is not None:  # the connection is the hub's, and stays as it is
            await self._save(before, partner, by, "partner.changed", *again)
            return
        pinned = before.pinned if endpoints is None else tuple(endpoints)
        after = replace(before, private=partner.allow_private_addresses, pinned=pinned)
        await self._save(after, partner, by, "partner.changed", *again)

    async def refused(self, connection: Connection, text: str) -> None:
        """The partner answers 401 or 403: nothing is sent any more until a person looks."""
        own, connection = self._known(connection.line)
        if not connection.connected:
            return
        now = self._clock()
        item = WorkItem(
            f"partner-refuses-us:{connection.partner}",
            WorkType.PARTNER_REFUSES_US,
            f"partner:{connection.partner}",
            now,
            evidence={"answer": text},
            actions=(WorkAction.RETRY, WorkAction.DISMISS),
        )
        log.error("partner.refuses_us", partner=connection.partner, answer=text)
        await self._save(
            replace(connection, state=LinkState.REFUSED),
            replace(own, state=PartnerState.SUSPENDED),
            "system",
            "partner.suspended",
            PutWorkItem(item),
        )

    async def resume(self, partner: PartnerId, by: str) -> None:
        """Try again with a partner that refused us."""
        own, before = self._known(partner)
        if before.state is LinkState.REFUSED:
            await self._save(
                replace(before, state=LinkState.CONNECTED),
                replace(own, state=PartnerState.CONNECTED),
                by,
                "partner.resumed",
            )

    async def look_again(self, connection: Connection) -> bool:
        """Read the partner's endpoints again. True if they have changed (and are kept)."""
        connection = self._connections.own(connection.line) or connection
        if connection.versions_url is None or connection.outbound is None:
            return False
        try:
            dialect = dialect_of(connection.version)
            seen = await self._read(
                connection, connection.versions_url, connection.outbound, dialect
            )
        except OcpiError as error:
            log.warning("partner.unreadable", partner=connection.partner, why=error.message)
            return False

        def moved(current: Connection) -> Connection | None:
            if not current.connected or current.version != seen.dialect.version:
                return None
            if set(seen.endpoints) == set(current.endpoints) and not current.guessed:
                return None
            return replace(current, endpoints=seen.endpoints, guessed=False)

        return await self._connections.change(connection.partner, moved)

    # -- the partner's requests

    def shown(self, caller: Caller, dialect: Dialect) -> Reply:
        """GET: our credentials, with the very token that the caller uses."""
        return Reply(self._ours(caller.token, dialect))

    async def posted(self, caller: Caller, body: Any, dialect: Dialect) -> Reply:
        """POST: a partner registers with us, by token A, in the version of the address."""
        own, before = self._known(caller.partner)
        if caller.access is Access.EVERYTHING:
            raise NotAllowed("registered already; use PUT", ("GET", "PUT", "DELETE"))
        connection, theirs = await self._learned(before, body, dialect)
        token = self._mint()
        used = digest(caller.token)
        until = self._clock() + LOST_ANSWER_WINDOW
        connection = replace(
            connection,
            inbound=(
                InboundToken(used, Access.REGISTRATION, until, answering=True),
                InboundToken(digest(token), Access.EVERYTHING),
            ),
        )
        await self._connect(connection, own, theirs, f"partner:{own.id}", "partner.registered")

        def written() -> None:
            self._connections.shut(used)  # the next request may be there before it is forgotten
            self._errand("forget token A", self._forget(own.id, used))

        return Reply(self._ours(token, dialect), after=written)

    async def put(self, caller: Caller, body: Any, dialect: Dialect) -> Reply:
        """PUT: a registered partner renews, or moves to the version of the address.

        What it was told, and how far, stays as it is.
        """
        own, before = self._known(caller.partner)
        if caller.access is not Access.EVERYTHING or not before.registered:
            raise NotAllowed("not registered yet; use POST", ("GET", "POST"))
        learned, theirs = await self._learned(before, body, dialect)
        token = self._mint()
        newest = InboundToken(digest(token), Access.EVERYTHING)
        async with self._turn(own.id):
            current = self._connections.own(own.id) or learned
            grace = self._clock() + self._config.token_grace
            older = replaced(current.inbound, grace, self._handed_out[own.id])
            done = replace(learned, inbound=(*older, newest))
            await self._connect(done, own, theirs, f"partner:{own.id}", "partner.renewed")
        return Reply(self._ours(token, dialect))

    async def deleted(self, caller: Caller) -> Reply:
        """DELETE: a registered partner leaves."""
        own, before = self._known(caller.partner)
        if caller.access is not Access.EVERYTHING or not before.registered:
            raise NotAllowed("not registered", ("GET", "POST"))
        await self._end(before, own, f"partner:{own.id}")
        return Reply()

    # -- inside

    def _known(self, partner: PartnerId) -> tuple[Partner, Connection]:
        own, connection = self._catalogue.partners.get(partner), self._connections.own(partner)
        if own is None or connection is None:
            raise NotFound("partner", partner)
        return own, replace(connection, private=own.allow_private_addresses)

    def _mint(self) -> str:
        token = mint_token()
        self._connections.secret(token)
        return token

    def _ours(self, token: str, dialect: Dialect) -> Json:
        return dialect.credentials(token, self._config.url("versions"), self._config.parties)

    async def _learned(
        self, before: Connection, body: Any, dialect: Dialect
    ) -> tuple[Connection, TheirCredentials]:
        """Check what a partner presents, and look at its API with the token it gives."""
        theirs = dialect.read_credentials(body)
        self._connections.secret(theirs.token)
        self._claims(theirs, before.partner)
        seen = await self._look(before, theirs.url, theirs.token, dialect)
        current = self._connections.own(before.partner) or before
        return replace(current, private=before.private, **seen.agreed()), theirs

    def _claims(self, theirs: TheirCredentials, partner: PartnerId) -> None:
        """Check that the parties named are the one that was agreed, and nobody else's.

        Raises:
            BadParameter: with the party.
        """
        if not self._api.profile(partner).lenient_party_ids:
            for role in theirs.roles:
                if len(role.party) != PARTY_LENGTH:
                    raise BadParameter(f"roles.party_id: {role.party} has not three characters")
        if partner not in {*(role.id for role in theirs.roles), theirs.hub_party}:
            raise BadParameter(f"roles: {partner} was agreed, and is not among them")
        own = self._catalogue.partners.get(partner)
        hub = _hub(theirs, partner) or (own is not None and own.hub)
        for party in [partner] if hub else [role.id for role in theirs.roles]:
            if self._holder(party) not in (None, partner):
                log.error("partner.claims_foreign_party", partner=partner, party=party)
                self._errand("tell of a foreign claim", self._claimed(partner, party))
                raise BadParameter(f"roles: {party} is registered by somebody else")

    async def _claimed(self, partner: PartnerId, party: PartnerId) -> None:
        item = WorkItem(
            f"claims-foreign-party:{partner}:{party}",
            WorkType.SECURITY,
            f"partner:{partner}",
            self._clock(),
            evidence={"claimed": party, "held_by": self._holder(party)},
            actions=(WorkAction.DISMISS,),
        )
        await self._store.commit([PutWorkItem(item)])

    def _holder(self, party: PartnerId) -> PartnerId | None:
        """Return whose connection leads to *party*. What a hub only lists, it does not hold."""
        for each in self._connections:
            own = self._catalogue.partners.get(each.partner)
            listed = () if own is not None and own.hub else each.roles
            if each.registered and party in {each.partner, *(role.id for role in listed)}:
                return each.partner
        known = self._catalogue.partners.get(party)
        line = None if known is None or not known.here else known.via
        found = self._connections.own(line) if line is not None else None
        return line if found is not None and found.registered else None

    async def _look(
        self, connection: Connection, url: str, token: str, dialect: Dialect | None = None
    ) -> Seen:
        """Read the partner's versions, and its endpoints of one of them.

        Args:
            dialect: of the version wanted; None chooses the highest that both sides offer.

        Raises:
            ClientApi, NoVersion, NoEndpoints: see ``errors``.
        """
        try:
            return await self._read(connection, url, token, dialect)
        except ClientApi as error:
            template = self._api.profile(connection.partner).endpoints_template
            if template is None:
                raise
            log.warning("partner.endpoints_guessed", partner=connection.partner, why=error.message)
        spoken = dialect or dialect_of(None)
        made = made_endpoints(template, url, spoken.version)
        return Seen(spoken, made, spoken.raw_tokens, guessed=True)

    async def _read(
        self, connection: Connection, url: str, token: str, dialect: Dialect | None
    ) -> Seen:
        """Do as ``_look`` says, where everything can be read."""
        guess = dialect or dialect_of(None)
        data, _ = await self._get(connection, url, token, guess.raw_tokens)
        if not isinstance(data, list):
            raise ClientApi("your versions are no list")
        versions = guess.read_versions(data)
        dialect = dialect or newest_common(self._config.versions, versions)
        if dialect is None or dialect.version not in versions:
            wanted = dialect.version if dialect else " or ".join(self._config.versions)
            raise NoVersion(f"version {wanted} is not offered")
        details_url = versions[dialect.version]
        data, raw = await self._get(connection, details_url, token, dialect.raw_tokens)
        try:
            endpoints = dialect.read_details(data)
        except BadParameter as error:
            raise ClientApi(f"version details: {error.message}") from None
        offered = {(each.module, each.role) for each in (*endpoints, *connection.pinned)}
        missing = [each for each in self._config.needed_modules if each not in offered]
        if missing or not any(each.module == "credentials" for each in endpoints):
            names = ", ".join(f"{module} ({role})" for module, role in missing) or "credentials"
            raise NoEndpoints(f"endpoints missing: {names}")
        return Seen(dialect, endpoints, raw)

    async def _get(
        self, connection: Connection, url: str, token: str, raw: bool
    ) -> tuple[Any, bool]:
        """Return what stands at *url*, and whether the token was wanted raw.

        Partners mix up whether the token is encoded; where nothing else is known, a token that is
        refused one way is tried the other way.
        """
        if connection.raw_token is not None:
            raw = connection.raw_token
        answer = await self._api.call(
            connection, "GET", url, functional=False, token=token, raw=raw
        )
        fixed = self._api.profile(connection.partner).token_out is not TokenForm.ANY
        if answer.kind is Kind.UNAUTHORISED and connection.raw_token is None and not fixed:
            other = await self._api.call(
                connection, "GET", url, functional=False, token=token, raw=not raw
            )
            if other.ok:
                return other.data, not raw
        if not answer.ok:
            raise ClientApi(f"your versions cannot be read: {answer.text}")
        return answer.data, raw

    async def _present(
        self,
        connection: Connection,
        method: str,
        seen: Seen,
        token: str,
        ours: str,
    ) -> tuple[PartnerAnswer, TheirCredentials | None]:
        known = (*connection.pinned, *seen.endpoints)
        url = next(each.url for each in known if each.module == "credentials")
        answer = await self._api.call(
            connection,
            method,
            url,
            self._ours(ours, seen.dialect),
            functional=False,
            token=token,
            raw=seen.raw,
            timeout=30.0,
        )
        if not answer.ok:
            return answer, None
        try:
            theirs = seen.dialect.read_credentials(answer.data)
        except OcpiError:
            return answer, None
        self._connections.secret(theirs.token)
        return answer, theirs

    async def _connect(
        self, connection: Connection, own: Partner, theirs: TheirCredentials, by: str, what: str
    ) -> Connection:
        """Make a finished handshake durable, with where the push begins."""
        now = self._clock()
        new = not (self._connections.own(own.id) or connection).registered
        done = replace(
            connection,
            state=LinkState.CONNECTED,
            outbound=theirs.token,
            versions_url=theirs.url,
            roles=theirs.roles,
            hub_party=theirs.hub_party,
            generation=connection.generation + new,
            syncs=tuple(s for s in connection.syncs if not new or s.module in FROM_NOW),
            registered_at=now if new else connection.registered_at,
            renewed_at=now,
        )
        since = own.connected_at if own.connected_at and not new else now
        role = PartnerRole.HUB if _hub(theirs, own.id) else own.role
        partner = replace(own, state=PartnerState.CONNECTED, connected_at=since, role=role)
        await self._save(done, partner, by, what, *(await self._cursors(own.id, new)))
        await self._place(done, () if new else connection.roles, by)
        log.info("partner.connected", partner=own.id, new=new)
        return done

    async def _place(self, done: Connection, before: tuple[Role, ...], by: str) -> None:
        """The roles of drivers' providers, beside the agreed one, are parties behind it."""
        named = {each.id: each for each in done.roles if each.role == "EMSP"}
        named.pop(done.partner, None)
        found = [Found(each.id, each.name) for each in named.values()]
        await self._parties.take(done.partner, found, by)
        dropped = {each.id for each in before if each.role == "EMSP"} - set(named)
        await self._parties.leave(done.partner, dropped, by)

    async def _cursors(self, partner: PartnerId, new: bool) -> list[Write]:
        """Sessions and bills from now on; what it can look up anyway, from the beginning."""
        if not new:
            return []
        known, head = await self._store.cursors(partner), await self._store.head()
        fresh = [PutCursor(partner, stream, head) for stream in FROM_NOW if stream not in known]
        everybody = [partner, *(each.id for each in self._catalogue.behind(partner))]
        return [*fresh, *(PutCursor(each, stream, 0) for each in everybody for stream in FROM_ZERO)]

    async def _end(self, before: Connection, own: Partner, by: str) -> None:
        gone = replace(
            before,
            state=LinkState.GONE,
            inbound=(),
            outbound=None,
            endpoints=(),
            roles=(),
            tokens_pulled_to=None,
            hub_party=None,
        )
        await self._save(gone, replace(own, state=PartnerState.GONE), by, "partner.unregistered")
        behind = {each.id for each in self._catalogue.behind(own.id)}
        await self._parties.leave(own.id, behind, by)

    async def _forget(self, partner: PartnerId, used: str) -> None:
        def without(current: Connection) -> Connection:
            kept = tuple(each for each in current.inbound if each.digest != used)
            return replace(current, inbound=kept)

        await self._connections.change(partner, without)

    async def _save(
        self, connection: Connection, partner: Partner, by: str, what: str, *more: Write
    ) -> None:
        before = self._catalogue.partners.get(partner.id)
        if before is None:
            partner = replace(partner, created_at=self._clock())
        entry = AuditEntry(
            self._clock(),
            by,
            what,
            f"partner:{partner.id}",
            None if before is None else to_plain(before),
            to_plain(partner),
        )
        self._catalogue.partners[partner.id] = partner
        try:
            await self._connections.save(connection, PutPartner(partner), Audit(entry), *more)
        except BaseException:
            if before is None:
                del self._catalogue.partners[partner.id]
            else:
                self._catalogue.partners[partner.id] = before
            raise


def made_endpoints(template: str, versions_url: str, version: str) -> tuple[Endpoint, ...]:
    """Return the endpoints of an eMSP whose own word on them cannot be read."""
    base = versions_url.partition("?")[0].rstrip("/").removesuffix("/versions")
    return tuple(
        Endpoint(module, role, template.format(base=base, version=version, module=module))
        for module, role in MODULES_OF_AN_EMSP
    )


def _hub(theirs: TheirCredentials, partner: PartnerId) -> bool:
    """Whether the agreed party presents itself as a hub."""
    as_hub = any(each.role == "HUB" and each.id == partner for each in theirs.roles)
    return as_hub or theirs.hub_party == partner
