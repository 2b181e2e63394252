"""What was agreed with each partner: tokens of both directions, endpoints, state. Durable.

One document per partner in the store; the copy in memory is replaced after the commit. Of the
tokens by which partners call us only hashes are kept.

A *party* is not a *connection*: tokens, sessions and bills belong to parties, and the connection
of a hub leads to many of them. ``Connections.get`` answers for a party with the connection that
leads to it, addressed to that party; whoever sends need not know whether a hub stands between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

from cms.app import failpoints
from cms.app.ports import Clock, Store
from cms.app.writes import PutDocument, Write
from cms.domain import plain
from cms.domain.ids import PartnerId
from cms.domain.partner import Partner, PartnerState
from ocpi_cpo.auth import Access, Caller, digest
from ocpi_cpo.profiles.switches import STANDARD, Profile, TokenForm
from ocpi_cpo.wire import presented

DOCUMENT = "ocpi.connection"


class LinkState(StrEnum):
    INVITED = "invited"  # has token A, or waits for us to register
    REGISTERING = "registering"  # our POST or PUT is open, or its answer was lost
    CONNECTED = "connected"
    REFUSED = "refused"  # it answers 401 or 403 to what it gave us
    GONE = "gone"
    ABSENT = "absent"  # the party is behind a hub that does not reach it; never kept


@dataclass(frozen=True, slots=True)
class InboundToken:
    """A token by which the partner may call us.

    Attributes:
        digest: see ``auth.digest``.
        replaced_until: set once a newer one was handed out: heard until then, or until the newer
            one is used first.
        answering: token A after it was exchanged, until our answer has been written: it may only
            repeat the POST whose answer may have been lost.
    """

    digest: str
    access: Access
    replaced_until: datetime | None = None
    answering: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A module interface of the partner; the address is kept byte for byte."""

    module: str
    role: str
    url: str


@dataclass(frozen=True, slots=True)
class Sync:
    """A wish to tell everything of one module again.

    Attributes:
        number: names the cursor that this one moves; higher than of any before.
        by: who wants it.
        total: how many things were to be told when it was asked for.
        head: of the feed at that moment; what lies beyond is news.
        party: who is told, if that is one behind this connection.
    """

    module: str
    number: int
    asked_at: datetime
    by: str
    total: int
    head: int
    party: PartnerId | None = None


@dataclass(frozen=True, slots=True)
class Role:
    """A party that the partner named in its credentials."""

    role: str
    country: str
    party: str
    name: str

    @property
    def id(self) -> PartnerId:
        return PartnerId(f"{self.country}*{self.party}".upper())


@dataclass(frozen=True, slots=True)
class Connection:
    """Both directions of the link to one partner. Replaced whole.

    Attributes:
        outbound: the token with which we call the partner; None while there is none.
        raw_token: whether the partner compares our token without base64; None = as the version
            that was agreed says.
        private: its addresses may lead to private networks (``Partner.allow_private_addresses``).
        generation: counts registrations; what was delivered of locations and tariffs under an
            older one counts no more.
        extra_hosts: hosts, beside those of its endpoints, that its response_url may name.
        renewed_at: when tokens were last exchanged, at the registration or since.
        tokens_pulled_to: newest ``last_updated`` seen when its token list was pulled whole.
        syncs: the last one of each module; what was told under an older one counts no more.
        guessed: its endpoints are made by a template, since its version details cannot be read.
        pinned: endpoints that an operator set; they stand before what the partner says.
        hub_party: as whom a hub wants to be addressed, where that is not *partner*.
        via: whose connection this is, in the form that is addressed to a party behind it
            (``Connections.get``); such a form is never kept.
    """

    partner: PartnerId
    state: LinkState = LinkState.INVITED
    inbound: tuple[InboundToken, ...] = ()
    outbound: str | None = None
    raw_token: bool | None = None
    private: bool = False
    versions_url: str | None = None
    version: str | None = None
    endpoints: tuple[Endpoint, ...] = ()
    roles: tuple[Role, ...] = ()
    generation: int = 0
    registered_at: datetime | None = None
    extra_hosts: tuple[str, ...] = ()
    tokens_pulled_to: datetime | None = None
    renewed_at: datetime | None = None
    guessed: bool = False
    pinned: tuple[Endpoint, ...] = ()
    syncs: tuple[Sync, ...] = ()
    hub_party: PartnerId | None = None
    via: PartnerId | None = None

    @property
    def form(self) -> tuple[object, ...]:
        """What a worker is made for: a connection of another form needs another one."""
        return self.generation, self.version, tuple(each.number for each in self.own_syncs)

    def sync(self, module: str) -> Sync | None:
        """Return the last wish to tell *module* again; None if there was none."""
        return next((each for each in self.own_syncs if each.module == module), None)

    @property
    def own_syncs(self) -> tuple[Sync, ...]:
        """Those of the party that this is addressed to."""
        party = None if self.via is None else self.partner
        return tuple(each for each in self.syncs if each.party == party)

    def cursor(self, module: str) -> str:
        """Return the name of the cursor that tells how far *module* is told."""
        sync = self.sync(module)
        return module if sync is None else f"{module}@{sync.number}"

    def mark(self, module: str) -> str:
        """Return what marks things of *module* as told under this registration and its syncs."""
        sync = self.sync(module)
        return str(self.generation) if sync is None else f"{self.generation}@{sync.number}"

    @property
    def address(self) -> PartnerId:
        """The party that a request over this connection is for."""
        return self.partner if self.via is not None else self.hub_party or self.partner

    @property
    def line(self) -> PartnerId:
        """The partner whose tokens and endpoints these are."""
        return self.via or self.partner

    @property
    def connected(self) -> bool:
        return self.state is LinkState.CONNECTED

    @property
    def registered(self) -> bool:
        """Whether credentials were exchanged, even if it refuses them now."""
        return self.state in (LinkState.CONNECTED, LinkState.REFUSED)

    def endpoint(self, module: str, role: str) -> str | None:
        """Return the partner's address of a module, by (identifier, role)."""
        known = (*self.pinned, *self.endpoints)
        return next((e.url for e in known if (e.module, e.role) == (module, role)), None)

    def module_of(self, url: str) -> str:
        """Return the module that an address of the partner belongs to; "" for none."""
        if self.versions_url is not None and url.split("?")[0] == self.versions_url:
            return "versions"
        inside = [e for e in self.endpoints if url == e.url or url.startswith(_below(e.url))]
        return max(inside, key=lambda each: len(each.url)).module if inside else ""

    @property
    def credentials_url(self) -> str | None:
        """Its credentials endpoint; partners disagree about its role, so the role is ignored."""
        known = (*self.pinned, *self.endpoints)
        return next((e.url for e in known if e.module == "credentials"), None)

    def same_host(self, url: str) -> bool:
        """Whether *url* leads to a host that the partner registered."""
        ends = (*self.pinned, *self.endpoints)
        known = [self.versions_url or "", *(each.url for each in ends)]
        hosts = {urlsplit(each).hostname for each in known} | set(self.extra_hosts)
        try:
            return urlsplit(url).hostname in hosts - {None}
        except ValueError:
            return False

    def heard_by(self, now: datetime) -> tuple[InboundToken, ...]:
        """Return the tokens that still open something at *now*."""
        return tuple(
            each
            for each in self.inbound
            if each.replaced_until is None or now < each.replaced_until
        )


@dataclass(slots=True)
class Connections:
    """All connections, by party and by token.

    Args:
        secret: called with every token that must never stand in a log.
        profile: how a partner differs from the standard.
        partners: the catalogue's, which say through whom a party is reached.
    """

    store: Store
    clock: Clock
    secret: Callable[[str], None]
    profile: Callable[[PartnerId], Profile] = lambda partner: STANDARD
    partners: Mapping[PartnerId, Partner] = field(default_factory=dict)
    _all: dict[PartnerId, Connection] = field(default_factory=dict)
    _by_digest: dict[str, PartnerId] = field(default_factory=dict)
    _listeners: list[Callable[[Connection], None]] = field(default_factory=list)
    _locks: dict[PartnerId, asyncio.Lock] = field(default_factory=dict)
    _dead: set[str] = field(default_factory=set)
    """Digests of retired tokens: no copy from before brings them back."""

    async def load(self) -> None:
        """Take up what the store has."""
        for body in (await self.store.documents(DOCUMENT)).values():
            self._keep(plain.from_text(Connection, body.decode()))

    def get(self, party: PartnerId) -> Connection | None:
        """Return the connection that leads to *party*, addressed to it.

        Where its hub does not reach the party now, it is ``ABSENT`` and nothing can be sent.
        """
        partner = self.partners.get(party)
        if partner is None or partner.via is None:
            return self._all.get(party)
        hub = self._all.get(partner.via)
        if hub is None:
            return None
        there = replace(hub, partner=party, via=hub.partner, hub_party=None)
        if partner.state is PartnerState.CONNECTED:
            return there
        return replace(there, state=LinkState.ABSENT, outbound=None)

    def own(self, partner: PartnerId) -> Connection | None:
        """Return the connection of *partner* itself: whom it registered, and nobody behind it."""
        return self._all.get(partner)

    def __iter__(self) -> Iterator[Connection]:
        return iter(tuple(self._all.values()))

    def behind(self, hub: PartnerId) -> list[PartnerId]:
        """Return the parties that are reached over the connection of *hub*."""
        return sorted(each.id for each in self.partners.values() if each.via == hub)

    def listen(self, listener: Callable[[Connection], None]) -> None:
        """Call *listener* with every connection that changed, after its commit."""
        self._listeners.append(listener)

    async def save(self, connection: Connection, *more: Write) -> None:
        """Make *connection* and *more* durable in one commit, then publish it."""
        async with self._lock(connection.partner):
            await self._save(connection, *more)

    async def change(
        self, partner: PartnerId, how: Callable[[Connection], Connection | None]
    ) -> bool:
        """Replace a connection by what *how* makes of it; None leaves it as it is.

        *how* sees the connection that holds by then: what is done in the background never writes
        back a copy from before a registration. Returns whether it was replaced.
        """
        async with self._lock(partner):
            current = self._all.get(partner)
            changed = how(current) if current is not None else None
            if changed is None or changed == current:
                return False
            await self._save(changed)
            return True

    def _lock(self, partner: PartnerId) -> asyncio.Lock:
        return self._locks.setdefault(partner, asyncio.Lock())

    async def _save(self, connection: Connection, *more: Write) -> None:
        assert connection.via is None, "what is addressed to a party is no connection of its own"
        alive = tuple(each for each in connection.inbound if each.digest not in self._dead)
        connection = replace(connection, inbound=alive)
        body = plain.canonical(connection).encode()
        failpoints.hit(failpoints.X9)
        await self.store.commit([PutDocument(DOCUMENT, connection.partner, body), *more])
        failpoints.hit(failpoints.X10)
        self._keep(connection)
        for listener in self._listeners:
            listener(connection)

    def caller(self, header: str | None) -> tuple[Caller, InboundToken] | None:
        """Say who presents *header*; None for nobody we know. Memory only."""
        now = self.clock()
        for token, raw in presented(header):
            partner = self.opens(token)
            if partner is None or not _wanted(self.profile(partner).token_in, raw):
                continue
            for known in self._all[partner].heard_by(now):
                if known.digest == digest(token):
                    return Caller(partner, known.access, token), known
        return None

    def opens(self, token: str) -> PartnerId | None:
        """Return whose connection *token* opens."""
        used = digest(token)
        return None if used in self._dead else self._by_digest.get(used)

    def shut(self, used: str) -> None:
        """From this moment the token with the digest *used* opens nothing; its removal follows."""
        self._dead.add(used)

    def newest_used(self, partner: PartnerId, used: InboundToken) -> bool:
        """Whether *used* is a newest token whose first use ends the ones that it replaced."""
        return _retired(self._all[partner], used) is not None

    async def retire(self, partner: PartnerId, used: InboundToken) -> None:
        """Let the tokens that *used* replaced open nothing any more."""

        def without(connection: Connection) -> Connection | None:
            changed = _retired(connection, used)
            if changed is not None:
                self._dead |= {each.digest for each in {*connection.inbound} - {*changed.inbound}}
            return changed

        await self.change(partner, without)

    def _keep(self, connection: Connection) -> None:
        before = self._all.get(connection.partner)
        for token in before.inbound if before else ():
            self._by_digest.pop(token.digest, None)
        self._all[connection.partner] = connection
        for token in connection.inbound:
            self._by_digest[token.digest] = connection.partner
        if connection.outbound is not None:
            self.secret(connection.outbound)


def _below(url: str) -> tuple[str, str]:
    path = url.partition("?")[0].rstrip("/")
    return f"{path}/", f"{path}?"


def _wanted(form: TokenForm, raw: bool) -> bool:
    """Whether a token may be written in the form that it was."""
    return form is TokenForm.ANY or (form is TokenForm.RAW) is raw


def replaced(
    tokens: Iterable[InboundToken], until: datetime, but: Container[str] = ()
) -> tuple[InboundToken, ...]:
    """Return *tokens* as they stand once a newer one was handed out.

    Args:
        but: digests of those that it does not replace.
    """
    return tuple(
        each
        if each.replaced_until is not None or each.digest in but
        else replace(each, replaced_until=until)
        for each in tokens
    )


def _retired(connection: Connection, used: InboundToken) -> Connection | None:
    """Return *connection* without its replaced tokens, if *used* is what replaced them."""
    if used.replaced_until is not None or used.answering or used not in connection.inbound:
        return None
    if connection.state is LinkState.REGISTERING or used.access is not Access.EVERYTHING:
        return None
    kept = tuple(each for each in connection.inbound if each.replaced_until is None)
    kept = tuple(each for each in kept if not each.answering)
    return replace(connection, inbound=kept) if kept != connection.inbound else None
