"""What the use cases need from the outside, and what the outside may ask of them.

Each port is a ``Protocol``: an implementation needs no import from here to satisfy it, and a test
double is an ordinary class with the same methods.

* ``StationEvents``   gateway and drivers -> core: what stations say
* ``StationLink``     core -> gateway: what stations are asked
* ``Gatekeeper``      gateway -> core: who may connect, from memory
* ``Store``           core and edges -> database: ``commit`` and the reads that are not in memory
* ``TokenAuthority``  core -> partners' edge: may this token charge, asked in real time
* ``Clock``           now
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeAlias, TypeVar

from cms.app.writes import (
    Ack,
    AuthorisationNote,
    CommandRecord,
    Committed,
    Delivery,
    Exchange,
    JournalFrame,
    Touched,
    Unit,
)
from cms.domain.audit import AuditEntry, WorkAction, WorkItem
from cms.domain.cdr import Cdr
from cms.domain.commands import Answer, Command
from cms.domain.evolve import quick
from cms.domain.ids import (
    CdrId,
    EvseRef,
    LocationId,
    PartnerId,
    ReservationId,
    SessionId,
    StationId,
    TariffHash,
    TransactionId,
)
from cms.domain.partner import ApiKey, Partner
from cms.domain.reservation import Reservation
from cms.domain.session import Session, SessionStatus
from cms.domain.status import ConnectorReport, EvseState
from cms.domain.tariff import Tariff
from cms.domain.tariff_choice import TariffRule
from cms.domain.token import Decision, Token
from cms.domain.topology import ChargingStation, Location, StationKey, StationRecord
from cms.domain.transaction import ChargingState, TransactionEvent

Clock = Callable[[], datetime]
"""Returns now, as an aware UTC datetime."""

T = TypeVar("T")
Soon: TypeAlias = T | Awaitable[T]
"""An answer that is here at once, or one to wait for. Nothing is waited for that need not be."""


# ---------------------------------------------------------------- stations -> core


class Registration(StrEnum):
    ACCEPTED = "accepted"
    PENDING = "pending"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Visit:
    """One stay of one station. A later visit of the same station has a higher number.

    Attributes:
        boots: how many boots we had counted when it came (part of the key of a start whose
            timestamp is unusable).
        registration: as stored; decides what the station may send before it boots.
    """

    station: StationId
    number: int
    boots: int
    registration: Registration


@quick
@dataclass(frozen=True, slots=True)
class Frame:
    """A message as it came, for journal and case file.

    Attributes:
        raw: the bytes as received.
        key: content key for messages that a charger may repeat; None for others.
        action: the message's own name; opaque to the core.
        notes: what the adapters repaired, as ``"code: text"``.
    """

    visit: Visit
    action: str
    raw: bytes
    received_at: datetime
    key: bytes | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Boot:
    vendor: str
    model: str
    serial: str = ""
    firmware: str = ""
    dialect: str = ""


@quick
@dataclass(frozen=True, slots=True)
class StatusReport:
    """What a station says of one connector.

    Attributes:
        evse: 0 means the station as a whole.
        at: the charger's claim; None where it makes none.
        charging: what the report says of the car's flow of energy, where it does; within a
            transaction it tells charging from parking.
    """

    evse: int
    connector: int
    report: ConnectorReport
    at: datetime | None = None
    error: str | None = None
    charging: ChargingState | None = None


class StationEvents(Protocol):
    """What stations say. One lane per station: calls of one station are served in order.

    Methods that change stored state return when that is durable; those that change nothing answer
    at once (``Soon``). All raise ``StoreDown`` where nothing can be made durable; the caller then
    closes the socket and never answers with an error.
    """

    async def connected(self, station: StationId, source: str, dialect: str) -> Visit:
        """A station was let in. Opens a new visit, which fences all older ones."""

    async def disconnected(self, visit: Visit) -> None:
        """A visit ended. Changes nothing if a newer visit has begun."""

    def booted(self, visit: Visit, boot: Boot) -> Awaitable[Registration]: ...

    def heard(self, visit: Visit, now: datetime) -> None:
        """Any sign of life; memory only, no I/O."""

    def reported(self, frame: Frame, status: StatusReport) -> Soon[None]:
        """A status report. An unchanged one answers at once."""

    def authorize(self, visit: Visit, id_token: str, evse: int | None = None) -> Soon[Decision]:
        """May this token charge? From the cache at once; else the partner is asked."""

    def transaction(
        self, frame: Frame, transaction: TransactionId | None, event: TransactionEvent
    ) -> Awaitable[Ack]:
        """One event of one transaction. Durable when it returns; a repetition gets the first Ack.

        Args:
            transaction: what the charger calls it. None on a start = the core draws a number
                (positive 31-bit, as decimal text). A stop or samples with None, ``"-1"``, ``"0"``
                or an unknown one are kept and joined where exactly one open transaction fits.
        """

    def meter_values(
        self,
        frame: Frame,
        evse: int,
        transaction: TransactionId | None,
        event: TransactionEvent,
    ) -> Awaitable[None]:
        """Samples outside the transaction's own messages; *event* is of kind UPDATED."""

    def keep(self, frame: Frame, why: str) -> Awaitable[Ack]:
        """Keep transaction data that nobody could read: journal, quarantine, work item."""

    def limits_changed(self, visit: Visit, evse: int | None) -> None:
        """Something else than we limits an EVSE (None: any of them) now; memory only, no I/O."""

    def security_event(
        self, frame: Frame, kind: str, at: datetime, detail: str
    ) -> Awaitable[None]: ...

    def reservation_ended(
        self, frame: Frame, reservation: ReservationId, expired: bool
    ) -> Awaitable[None]:
        """A station let a reservation go of its own accord.

        Args:
            expired: its time was over; False = the station could not keep it.
        """


class Admitted(StrEnum):
    YES = "yes"
    UNKNOWN = "unknown"
    WRONG_PASSWORD = "wrong_password"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a station may connect, decided from memory.

    Attributes:
        station: in the catalogue's spelling; None unless admitted.
        profile: adapter profile that the operator fixed; None = by identity.
    """

    verdict: Admitted
    station: StationId | None = None
    profile: str | None = None
    boot: Boot | None = None
    """What the station said of itself at its last boot, if ever."""


class Gatekeeper(Protocol):
    def admit(
        self, identity: str, password: bytes | None, source: str, path: Sequence[str]
    ) -> Admission:
        """Decide about a handshake. Synchronous, no I/O, constant time for the password.

        Args:
            identity: last path segment, percent-decoded, syntax already checked.
            password: of the Basic authorization, None where there is none.
            source: the peer's address.
            path: the segments before the identity (a site's secret may be among them).
        """

    def accepting(self) -> bool:
        """False while the store is down: upgrades get 503 and Retry-After."""


# ---------------------------------------------------------------- core -> stations


class StationLink(Protocol):
    """Reaches a station, wherever its socket is held."""

    async def send(self, command: Command) -> Answer:
        """Deliver *command* and wait for the station's own answer.

        Never raises for what a station may do: silence is ``TIMEOUT``, no socket is ``OFFLINE``.
        """

    async def disconnect(self, station: StationId, why: str) -> None:
        """Close the station's socket, if it has one (rejected, removed, key changed)."""


class TokenAuthority(Protocol):
    async def authorise(
        self, partner: PartnerId, token: Token | None, uid: str, where: EvseRef | None
    ) -> Decision | None:
        """Ask *partner* whether the token may charge. None = no answer in time."""


# ---------------------------------------------------------------- edges, for operators' eyes


@dataclass(frozen=True, slots=True)
class LoggedFrame:
    """A frame that went over a station's socket lately."""

    at: datetime
    inbound: bool
    text: str


@dataclass(frozen=True, slots=True)
class RefusedHandshake:
    at: datetime
    identity: str
    source: str
    reason: str


class StationLog(Protocol):
    """What the gateway remembers for operators; bounded, in memory."""

    def frames(self, station: StationId) -> Sequence[LoggedFrame]:
        """The last frames of a station, oldest first."""

    def refusals(self) -> Sequence[RefusedHandshake]:
        """The last refused handshakes, oldest first."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What an operator hands to a new partner, out of band. The token is told once."""

    partner: PartnerId
    url: str
    token: str


@dataclass(frozen=True, slots=True)
class SyncState:
    """How far a module is told again.

    Attributes:
        total: how many things there were when it was asked for.
        left: how many of the module the partner has not been told yet, news included.
    """

    module: str
    asked_at: datetime
    by: str
    total: int
    left: int

    @property
    def done(self) -> bool:
        return self.left == 0


@dataclass(frozen=True, slots=True)
class PartnerHealth:
    """How a partner does.

    Attributes:
        lag: changes that the partner has not seen yet; ``unseen`` says of which modules.
        oldest_unseen_at: when the oldest of them was made.
        parked: things that it refuses.
        failures: requests in a row that brought no answer that decides anything.
        pause_seconds: until it is tried again; 0 while all is well.
        requests: of the last hour: module -> how it ended -> how many.
        tokens_renewed_at: when the tokens of the connection were last exchanged.
        tokens_pulled_to: newest of its driver tokens, by its own clock.
        syncs: what was to be told again, the last of each module.
    """

    partner: PartnerId
    connected: bool
    last_success_at: datetime | None = None
    last_error: str | None = None
    lag: int = 0
    parked: int = 0
    state: str = "unknown"
    version: str | None = None
    registered_at: datetime | None = None
    oldest_unseen_at: datetime | None = None
    unseen: Mapping[str, int] = field(default_factory=dict)
    failures: int = 0
    pause_seconds: float = 0.0
    requests: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    tokens_renewed_at: datetime | None = None
    tokens_pulled_to: datetime | None = None
    syncs: Sequence[SyncState] = ()


@dataclass(frozen=True, slots=True)
class ParkedObject:
    """Something that a partner would not take.

    Attributes:
        why: what it said, or what was wrong.
        since: when it was first put aside.
        attempts: how often it was tried.
        retry_at: when it is tried again by itself; None = never.
        last: the last request about it with its answer; None if none is kept.
    """

    kind: str
    key: str
    why: str
    since: datetime
    attempts: int
    retry_at: datetime | None = None
    last: Exchange | None = None


class WorkDesk(Protocol):
    """What operators do about work items."""

    async def items(self, open_only: bool, page: Page) -> Sequence[WorkItem]: ...
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
            Conflict: the item is closed, or the action is none of its own.
        """


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a partner's copy has otherwise.

    Attributes:
        object: its id.
        field: the path of the field; "" for the whole thing.
        ours, theirs: as text, shortened.
        done: ``"put again"``, ``"posted again"``, ``"posted"`` or ``"reported"``.
    """

    module: str
    object: str
    field: str
    ours: str | None
    theirs: str | None
    done: str


@dataclass(frozen=True, slots=True)
class Looked:
    """How many things of one module were looked at, and what was found.

    Attributes:
        moving: passed over, since something about them was on its way.
        unverifiable: the partner never said where it keeps them.
        offered: False: the partner offers no look at this module.
    """

    module: str
    looked: int = 0
    same: int = 0
    differing: int = 0
    missing: int = 0
    moving: int = 0
    unverifiable: int = 0
    offered: bool = True


@dataclass(frozen=True, slots=True)
class Comparison:
    """A partner's copies beside ours.

    Attributes:
        ended_at: None while it runs.
        stopped: why it ended before everything was looked at; None if it did not.
        findings: the first of them; ``looked`` counts all.
    """

    partner: PartnerId
    begun_at: datetime
    by: str
    ended_at: datetime | None = None
    looked: tuple[Looked, ...] = ()
    findings: tuple[Finding, ...] = ()
    stopped: str | None = None


@dataclass(frozen=True, slots=True)
class PartnerAddress:
    """One address of a partner that an operator set by hand; what it is of is the edge's word."""

    module: str
    role: str
    url: str


@dataclass(frozen=True, slots=True)
class AdoptedLink:
    """A connection to a partner as another system had it.

    Attributes:
        token: with which we call the partner.
        our_token: with which it calls us.
        addresses: empty = they are read at *url*.
        roles: ``(role, party)``; empty = the partner is a single provider.
    """

    url: str
    version: str
    token: str
    our_token: str
    addresses: Sequence[PartnerAddress] = ()
    roles: Sequence[tuple[str, PartnerId]] = ()


class PartnerDesk(Protocol):
    """What operators do about partners' connections."""

    def checked(self, partner: Partner) -> Partner:
        """Return *partner* with what an operator chose in its usual spelling.

        Raises:
            InvalidValue: there is no such profile, switch, network, certificate; or its id is not
                one that its profile allows.
        """

    def terms(self, partner: PartnerId) -> Mapping[str, object]:
        """How the partner is served: every switch as it stands, addresses that were set."""

    async def change(
        self, partner: Partner, who: str, addresses: Sequence[PartnerAddress] | None = None
    ) -> Partner:
        """Keep what an operator chose for a partner, and tell it what that changes for it.

        Args:
            addresses: that stand before those that the partner names; None = as they were.
        """

    async def adopt(self, partner: Partner, link: AdoptedLink, who: str) -> Partner:
        """Take a partner's connection over from another system; nobody registers again.

        Raises:
            Conflict: it is registered already, or its addresses cannot be read.
        """

    async def invite(self, partner: Partner, who: str) -> Invitation:
        """Add a partner that will register with us."""

    async def register(self, partner: Partner, url: str, token: str, who: str) -> Partner:
        """Register with a partner at its URL, with the token it handed us.

        Raises:
            Conflict: the partner refuses or does not answer; the text says which.
        """

    async def renew(self, partner: PartnerId, who: str, version: str | None = None) -> None:
        """Exchange the tokens of both directions now, and move to *version* if one is given.

        Raises:
            Conflict: it is not registered, or refuses or does not answer; nothing changes then.
        """

    async def place(self, hub: PartnerId, party: PartnerId, name: str, who: str) -> None:
        """Say that *party* is behind *hub*.

        Raises:
            Conflict: *hub* is none or is not connected, or the party is reached in another way.
        """

    async def unregister(self, partner: PartnerId, who: str) -> None: ...
    async def sync(
        self, partner: PartnerId, who: str, module: str | None = None
    ) -> Sequence[SyncState]:
        """Send this partner everything of *module* that it may see again; None = of all.

        Bills are sent only where it is not certain that the partner has them.

        Raises:
            Conflict: it is not registered, or does not take that module.
            InvalidValue: there is no such module.
        """

    async def health(self, partner: PartnerId) -> PartnerHealth: ...
    async def compare(self, partner: PartnerId, who: str, module: str | None = None) -> None:
        """Begin to compare its copies with ours, in the background; None = of all modules.

        Raises:
            Conflict: it is not connected, or is being compared.
            InvalidValue: there is no such module.
        """

    def comparison(self, partner: PartnerId) -> Comparison | None:
        """The comparison that runs, else the last one."""

    async def parked(self, partner: PartnerId) -> Sequence[ParkedObject]:
        """What it would not take, oldest first."""

    async def retry_parked(self, partner: PartnerId, kind: str, key: str, who: str) -> None:
        """Try one parked thing now.

        Raises:
            NotFound: nothing of that name is parked.
            Conflict: the partner is not connected.
        """

    async def drop_parked(
        self, partner: PartnerId, kind: str, key: str, who: str, why: str | None = None
    ) -> None:
        """Give one parked thing up: it is tried no more, until it changes.

        Raises:
            NotFound: nothing of that name is parked.
        """


# ---------------------------------------------------------------- store


@quick
@dataclass(frozen=True, slots=True)
class Change:
    """``key`` of ``kind`` is newer than what a reader at a lower ``seq`` has seen."""

    seq: int
    kind: str
    key: str
    owner: PartnerId | None
    last_updated: datetime
    deleted: bool


@dataclass(frozen=True, slots=True)
class JournalEntry:
    id: int
    frame: JournalFrame


@dataclass(frozen=True, slots=True)
class Restored:
    """Everything that lives in memory, as the store had it at start."""

    locations: Sequence[Location] = ()
    stations: Sequence[ChargingStation] = ()
    records: Sequence[StationRecord] = ()
    keys: Sequence[StationKey] = ()
    evses: Sequence[EvseState] = ()
    tariffs: Sequence[Tariff] = ()
    rules: Sequence[TariffRule] = ()
    snapshots: Mapping[TariffHash, Tariff] = field(default_factory=dict)
    """Tariffs of open sessions."""
    tokens: Sequence[Token] = ()
    partners: Sequence[Partner] = ()
    api_keys: Sequence[ApiKey] = ()
    open_sessions: Sequence[Session] = ()
    unfinished_commands: Sequence[CommandRecord] = ()
    reservations: Sequence[Reservation] = ()
    """Those that live, or of which something is owed to a station or a partner."""
    open_work: Sequence[WorkItem] = ()
    last_updated: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    """(kind, key) -> when partners were last given to see a change."""


@dataclass(frozen=True, slots=True)
class Page:
    """A window into a list ordered by creation and id."""

    offset: int = 0
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Dated:
    """A thing with its place in the feed."""

    session: Session
    last_updated: datetime


@dataclass(frozen=True, slots=True)
class DatedCdr:
    cdr: Cdr
    last_updated: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """Which sessions. Every field narrows; None does not.

    ``owned_by`` is the partner that asks: set on every query of a partner, so that nothing of
    another can be found. ``owners`` is that for one who asks for several parties. ``sites``
    likewise for site owners.
    """

    owned_by: PartnerId | None = None
    owners: frozenset[PartnerId] | None = None
    sites: frozenset[LocationId] | None = None
    station: StationId | None = None
    evse: int | None = None
    status: frozenset[SessionStatus] | None = None
    started_from: datetime | None = None
    started_to: datetime | None = None
    updated_from: datetime | None = None
    updated_to: datetime | None = None
    id_token: str | None = None
    reference: str | None = None
    newest_first: bool = False
    page: Page = Page()


@dataclass(frozen=True, slots=True)
class CdrQuery:
    owned_by: PartnerId | None = None
    owners: frozenset[PartnerId] | None = None
    sites: frozenset[LocationId] | None = None
    ended_from: datetime | None = None
    ended_to: datetime | None = None
    updated_from: datetime | None = None
    updated_to: datetime | None = None
    session: SessionId | None = None
    newest_first: bool = False
    page: Page = Page()


class Store(Protocol):
    """The durable store. One suite of contract tests runs over every implementation."""

    async def commit(self, unit: Unit) -> Committed:
        """Make *unit* durable, whole or not at all; returns when it is.

        Units that wait at the same time share one transaction. A unit whose journal key is known
        writes nothing and returns what was said the first time.

        Raises:
            UnitRefused: a constraint or data error of this unit alone.
            StoreDown: nothing can be written now; the store is down until ``healthy`` again.
        """

    @property
    def healthy(self) -> bool: ...

    async def restore(self) -> Restored: ...

    # the feed
    async def changes(
        self, owner: PartnerId | None, kinds: Sequence[str], after: int, limit: int
    ) -> Sequence[Change]:
        """Changes that *owner* may hear of (its own and everybody's), in order of ``seq``."""

    async def unseen(
        self, owner: PartnerId | None, kinds: Sequence[str], after: int
    ) -> tuple[int, datetime | None]:
        """How many of these changes lie beyond *after*, and when the oldest of them was made."""

    async def cursors(self, partner: PartnerId) -> Mapping[str, int]: ...
    async def head(self) -> int:
        """The highest ``seq`` given so far; 0 for an empty feed."""

    async def delivery(self, partner: PartnerId, kind: str, key: str) -> Delivery | None: ...
    async def deliveries(self, partner: PartnerId, state: str) -> Sequence[Delivery]: ...
    async def deliveries_with(
        self, partner: PartnerId, kind: str, keys: Sequence[str]
    ) -> Mapping[str, Delivery]:
        """Those of *keys* that are known, by key: one read for a batch."""

    async def documents(self, kind: str) -> Mapping[str, bytes]: ...

    # sessions, bills, frames
    async def session(self, id: SessionId) -> Dated | None: ...
    async def sessions_with(self, ids: Sequence[SessionId]) -> Mapping[SessionId, Dated]:
        """Those of *ids* that exist: one read for a batch."""

    async def session_of(
        self, station: StationId, transaction: TransactionId
    ) -> Session | None: ...
    async def sessions(self, query: SessionQuery) -> tuple[Sequence[Dated], int]:
        """Return one page and the total."""

    async def cdr(self, id: CdrId) -> DatedCdr | None: ...
    async def cdrs_with(self, ids: Sequence[CdrId]) -> Mapping[CdrId, DatedCdr]:
        """Those of *ids* that exist: one read for a batch."""

    async def cdr_of(self, session: SessionId) -> DatedCdr | None:
        """The newest bill of a session; a credit is none."""

    async def cdrs_of(self, sessions: Sequence[SessionId]) -> Mapping[SessionId, DatedCdr]:
        """``cdr_of`` each of *sessions* that has one: one read for a batch."""

    async def cdrs(self, query: CdrQuery) -> tuple[Sequence[DatedCdr], int]: ...
    async def due_for_settling(self, now: datetime, limit: int) -> Sequence[Session]: ...
    async def journal(self, session: SessionId) -> Sequence[JournalEntry]:
        """All frames of one session in order of arrival."""

    async def journal_entry(self, id: int) -> JournalEntry | None: ...
    async def journal_of(
        self, station: StationId, since: datetime, until: datetime, limit: int
    ) -> Sequence[JournalEntry]: ...
    async def tariff_snapshot(self, hash: TariffHash) -> Tariff | None: ...

    # commands, audit, work, case file
    async def command(self, id: str) -> CommandRecord | None: ...
    async def command_of_reply(self, asked_by: str, reply_to: str) -> CommandRecord | None:
        """The newest command that was asked with this reply address."""

    async def reservation(self, id: ReservationId) -> Reservation | None: ...
    async def reservations(
        self, page: Page, sites: frozenset[LocationId] | None = None
    ) -> Sequence[Reservation]:
        """Newest first; of *sites* only, where they are given."""

    async def commands_of_session(self, session: SessionId) -> Sequence[CommandRecord]: ...
    async def commands_of(
        self, station: StationId, since: datetime, until: datetime
    ) -> Sequence[CommandRecord]: ...
    async def audit(self, subject: str | None, page: Page) -> Sequence[AuditEntry]: ...
    async def work_items(
        self, open_only: bool, page: Page, subject: str | None = None
    ) -> Sequence[WorkItem]:
        """Oldest first; of one *subject* (``"session:<id>"``) where it is given."""

    async def work_item(self, id: str) -> WorkItem | None: ...
    async def authorisations(
        self, station: StationId, since: datetime, until: datetime
    ) -> Sequence[AuthorisationNote]: ...
    async def exchanges(
        self, session: SessionId | None = None, partner: PartnerId | None = None, limit: int = 200
    ) -> Sequence[Exchange]: ...
    async def exchanges_about(self, kind: str, key: str) -> Sequence[Exchange]: ...


Announce = Callable[[Sequence[Touched]], None]
"""Tells whoever waits that the feed has grown. Losing it costs delay, never data."""
